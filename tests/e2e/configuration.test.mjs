// configuration.test.mjs - what the program makes of its environment and its file.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { program, root, temporaryFolder } from './tael.mjs';

const folder = temporaryFolder('configuration');
after(() => fs.rmSync(folder, { recursive: true, force: true }));

function run(args, { env = {}, file } = {}) {
    const at = path.join(folder, 'tael.lua');
    fs.rmSync(at, { force: true });
    if (file) fs.writeFileSync(at, file);
    return spawnSync(program, args, {
        cwd: folder, encoding: 'utf8', timeout: 60000,
        env: { PATH: process.env.PATH, HOME: folder, TAEL_SCRIPTS__FOLDER: path.join(root, 'scripts'), ...env },
    });
}

test('a variable of the environment that names no key is refused with the nearest name', () => {
    const refused = run(['config', 'check'], { env: { TAEL_HTTP__LISEN: '127.0.0.1:1' } });
    assert.equal(refused.status, 3, refused.stdout);
    assert.match(refused.stderr, /TAEL_HTTP__LISEN: this environment variable names no key; did you mean TAEL_HTTP__LISTEN\?/);
    const serve = run(['serve'], { env: { TAEL_WORKER: '2' } });
    assert.equal(serve.status, 3, serve.stdout);
    assert.match(serve.stderr, /did you mean TAEL_WORKERS/);
});

test('variables of the file itself and of commands are no keys', () => {
    const file = 'return { drain = env "TAEL_MY_DRAIN", keys = { master = secret.env "TAEL_MY_MASTER" } }';
    const fine = run(['config', 'check'], { file, env: { TAEL_MY_DRAIN: '3s', TAEL_MY_MASTER: 'x', TAEL_KEY: 'k', TAEL_URL: 'http://x' } });
    assert.equal(fine.status, 0, fine.stderr);
});

test('a secret never comes from a variable of its own name', () => {
    const refused = run(['config', 'check'], { env: { TAEL_KEYS__MASTER: 'hunter2hunter2hunter2' } });
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, /write keys\.master = secret\.env\("TAEL_KEYS__MASTER"\) into the file/);
    assert.doesNotMatch(refused.stdout + refused.stderr, /hunter2/);
});

test('every key is shown, with where it comes from', () => {
    const file = 'return { http = { tls = { cert = "c.pem", key = secret.file "k.pem" } }, limits = { key = "7/m", notify_address = false },\n'
        + 'merchants = { acme = { mode = "live", policies = { on_late_paid = "refund" } } } }';
    const shown = run(['config', 'show'], { file, env: { TAEL_CLIENT__CONNECT: '1s' } });
    assert.equal(shown.status, 0, shown.stderr);
    for (const line of [`http.tls.cert = "${folder}/c.pem"`, `http.tls.key = secret.file("${folder}/k.pem")`, 'limits.key = "7/m"',
        'limits.notify_address = false', 'client.connect = "1s"   -- TAEL_CLIENT__CONNECT', 'client.ca = nil   -- default',
        'http.public_url = "https://127.0.0.1:8080"   -- default', 'payments.on_duplicate_paid = "refund"   -- default',
        'merchants["acme"].policies.on_late_paid = "refund"'])
        assert.ok(shown.stdout.split('\n').includes(line), `${line}\n${shown.stdout}`);
    const object = JSON.parse(run(['config', 'show', '--json'], { file }).stdout);
    assert.equal(object.limits.key, '7/m');
    assert.equal(object.client.total, 10000);
});

test('a folder of scripts that has no channels takes those that Tael came with; one that is not there is named', () => {
    const account = 'merchants = { acme = { mode = "live", accounts = { one = { channel = "CHANNEL", environment = "production", '
        + 'app_id = "2021000000000001", seller_id = "2088000000000001", key = "acme.alipay", alipay_key = "alipay" } } } } }';
    const own = path.join(folder, 'scripts');
    fs.mkdirSync(path.join(own, 'merchants'), { recursive: true });
    const env = { TAEL_SCRIPTS__FOLDER: undefined };
    const file = (name, channel = 'alipay') => `return {\n  scripts = { folder = "${name}" },\n  ${account.replace('CHANNEL', channel)}`;
    const fine = run(['config', 'check'], { env, file: file('scripts') });
    assert.equal(fine.status, 0, fine.stderr);
    const shown = run(['config', 'show'], { env, file: file('scripts') }).stdout;
    assert.ok(shown.split('\n').includes(`scripts.folder = "${own}"   -- channels: ${root}/scripts/channels`), shown);
    for (const args of [['config', 'check'], ['dev']]) {
        const missing = run(args, { env, file: file('skripts') });
        assert.equal(missing.status, 3, missing.stdout);
        assert.ok(missing.stderr.includes(`tael.lua:2: scripts.folder: no such folder: ${folder}/skripts\n`)
            || /tael\.lua:2:\d+: scripts\.folder: no such folder: \S+\/skripts\n/.test(missing.stderr), missing.stderr);
        const unknown = run(args, { env, file: file('scripts', 'alipai') });
        assert.ok(unknown.stderr.includes(`there is no channel 'alipai' in ${root}/scripts/channels`), unknown.stderr);
    }
    const variable = run(['config', 'check'], { env: { TAEL_SCRIPTS__FOLDER: 'skripts' } });
    assert.match(variable.stderr, /^tael: TAEL_SCRIPTS__FOLDER: no such folder: \S+\/skripts\n/);
});
