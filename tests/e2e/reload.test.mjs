// reload.test.mjs - SIGHUP and tael reload: certificates are read again, the rest is named; and a stop that is
// heard while an engine starts.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { Engine, Process, freePort, program, sleep, temporaryFolder, until } from './tael.mjs';

const folder = temporaryFolder('reload');
after(() => fs.rmSync(folder, { recursive: true, force: true }));

const file = (name) => path.join(folder, name);

/** A certificate of its own, by the name that it will show. */
function certify(name) {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
        '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', file('new.key'), '-out', file('new.pem')],
    { stdio: 'ignore' });
    fs.renameSync(file('new.key'), file('tls.key'));
    fs.renameSync(file('new.pem'), file('tls.pem'));
}

const shown = (port) => new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().subject.CN);
        socket.destroy();
    });
    socket.on('error', reject);
});

const write = (drain, api) => fs.writeFileSync(file('tael.lua'), `return { dev = true, drain = "${drain}", http = {
    listen = { "127.0.0.1:${api}" }, tls = { cert = "tls.pem", key = secret.file "${file('tls.key')}" } } }\n`);

test('a reload reads certificates again and says what needs a restart', { timeout: 120_000 }, async (t) => {
    const ports = { api: await freePort(), operations: await freePort(), sandbox: await freePort() };
    certify('first');
    write('2s', ports.api);
    const env = { TAEL_OPERATIONS__LISTEN: `127.0.0.1:${ports.operations}`,
        TAEL_SANDBOX__LISTEN: `127.0.0.1:${ports.sandbox}` };
    const engine = new Process(['serve'], { cwd: folder, env });
    t.after(() => engine.stop('SIGKILL'));
    await until('it is ready', async () => {
        assert.equal(engine.end, undefined, engine.output);
        return (await fetch(`http://127.0.0.1:${ports.operations}/readyz`).catch(() => null))?.ok;
    });
    assert.equal(await shown(ports.api), 'first');
    const tael = (...args) => spawnSync(program, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } });
    let done = tael('reload');
    assert.deepEqual([done.status, done.stdout], [0, 'reloaded: 1 certificates\n'], done.stderr);

    certify('second');
    write('3s', ports.api);
    done = tael('reload', '--json');
    assert.deepEqual(JSON.parse(done.stdout),
        { object: 'reload', certificates: 1, channels: [], scripts: [], refused: [], needs_restart: ['drain'] }, done.stderr);
    assert.equal(await shown(ports.api), 'second');
    assert.match(tael('reload').stdout, /needs a restart: drain\n$/);

    const hangUp = async (wanted) => {
        const before = engine.output.length;
        process.kill(engine.child.pid, 'SIGHUP');
        await until('the log says what SIGHUP did', () => wanted.test(engine.output.slice(before)));
    };
    write('4s', ports.api);
    await hangUp(/"event":"engine\.reloaded"[^\n]*"needs_restart":"drain"/);
    fs.writeFileSync(file('tael.lua'), 'return { drian = "3s" }\n');
    await hangUp(/"event":"engine\.not_reloaded"[^\n]*unknown key 'drian'; did you mean 'drain'\?/);
    assert.equal(await shown(ports.api), 'second');
    assert.equal((await engine.stop()).code, 0, engine.output);
});

test('there may be any number of merchants, and a reload reads them again only when the file has changed', { timeout: 120_000 }, async (t) => {
    const at = temporaryFolder('merchants');
    const ports = { api: await freePort(), operations: await freePort(), sandbox: await freePort() };
    const merchants = (name) => fs.writeFileSync(path.join(at, 'tael.lua'), `local merchants = {}
for i = 1, 1200 do merchants[("m%d"):format(i)] = { mode = "test", name = i == 1200 and "${name}" or nil } end
return { dev = true, merchants = merchants }\n`);
    merchants('one');
    const env = { TAEL_HTTP__LISTEN: `127.0.0.1:${ports.api}`, TAEL_OPERATIONS__LISTEN: `127.0.0.1:${ports.operations}`,
        TAEL_SANDBOX__LISTEN: `127.0.0.1:${ports.sandbox}` };
    const engine = new Process(['serve'], { cwd: at, env });
    t.after(async () => { await engine.stop('SIGKILL'); fs.rmSync(at, { recursive: true, force: true }); });
    await until('it is ready', async () => {
        assert.equal(engine.end, undefined, engine.output);
        return (await fetch(`http://127.0.0.1:${ports.operations}/readyz`).catch(() => null))?.ok;
    });
    const tael = (...args) => spawnSync(program, [...args, '--json'], { cwd: at, encoding: 'utf8', env: { ...process.env, ...env } });
    const changed = () => JSON.parse(tael('reload').stdout).needs_restart;
    const made = tael('keys', 'api', 'm1200');
    assert.equal(made.status, 0, made.stderr);
    assert.deepEqual(changed(), []);
    merchants('two');
    assert.deepEqual(changed(), ['merchants.m1200.name']);
    merchants('one');
    assert.deepEqual(changed(), []);
});

// ---- a stop while an engine starts ----

/** A package whose load takes as long as it may. */
function loopingScripts() {
    const channel = file('scripts/channels/alipay');
    fs.mkdirSync(channel, { recursive: true });
    fs.writeFileSync(path.join(channel, 'init.lua'), 'local n = 0\nwhile true do n = n + 1 end\n');
    return file('scripts');
}

test('a channel file that does not end is refused with its line', { timeout: 60_000 }, async () => {
    const engine = new Engine({ scripts: loopingScripts() });
    await assert.rejects(engine.start());
    const end = await engine.process.ended;
    assert.equal(end.code, 3, engine.process.output);
    assert.match(engine.process.output,
        /scripts\/channels\/alipay\/init\.lua:2: does not end: 50 million instructions[^\n]*\nnext: /);
    fs.rmSync(engine.folder, { recursive: true });
});

test('a stop is heard while an engine starts', { timeout: 60_000 }, async () => {
    for (const wait of [0, 60, 200]) {
        const at = temporaryFolder('early');
        const engine = new Process(['serve', '--dev'], { cwd: at, env: {
            TAEL_HTTP__LISTEN: '127.0.0.1:0', TAEL_OPERATIONS__LISTEN: 'false', TAEL_SANDBOX__LISTEN: '127.0.0.1:0',
            TAEL_SCRIPTS__FOLDER: loopingScripts() } });
        await until('it runs', () => engine.child.pid);
        await sleep(wait);
        const end = await engine.stop();
        // before main has blocked it, a signal ends a program as usual; once the file was refused, that is said
        assert.ok(end.signal === 'SIGTERM' || end.code === 0 || /does not end/.test(engine.output),
            `${wait} ms: ${JSON.stringify(end)} ${engine.output}`);
        fs.rmSync(at, { recursive: true });
    }
});
