// api_keys.test.mjs - API keys over their life: made, listed, revoked, on an engine of two workers with two merchants, by the
// API and by the commands.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { conform } from './conform.mjs';
import { Engine, program, sleep, temporaryFolder } from './tael.mjs';

const account = (slug, app) => `accounts = { ["${slug}"] = { channel = "alipay", environment = "sandbox",
    app_id = "${app}", seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" } }`;
const configuration = `return { merchants = {
    ["demo.test"] = { name = "Demo", mode = "test", ${account('alipay-demo', '2021000000000001')} },
    ["other.test"] = { name = "Other", mode = "test", ${account('alipay-other', '2021000000000002')} },
} }`;
const CONNECTIONS = 16; // of two workers each has some of them, but for one time in 30,000

let engine;
before(async () => {
    const folder = temporaryFolder('api-keys');
    fs.writeFileSync(path.join(folder, 'tael.lua'), configuration);
    engine = await new Engine({ folder, env: { TAEL_WORKERS: '2', TAEL_LIMITS__KEY: 'false' } }).start();
    await conform(engine);
});
after(() => engine.remove());

const keysOf = (merchant, more = '') => `/v1/merchants/${merchant}/api_keys${more}`;
const make = async (merchant = 'demo.test', body = {}) => (await engine.operator('POST', keysOf(merchant), body)).body;
const revoke = (key, merchant = 'demo.test') => engine.operator('DELETE', keysOf(merchant, `/${key}`));
const list = async (query = '', merchant = 'demo.test') => (await engine.operator('GET', keysOf(merchant, query))).body;

/** Connections that stay, so that each goes on with its worker; ask: all of them at once, [status, code] of each. */
function connections() {
    const agents = Array.from({ length: CONNECTIONS }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }));
    const one = (agent, key, target) => new Promise((resolve, reject) => {
        http.get({ host: '127.0.0.1', port: engine.ports.api, path: target, agent, headers: { authorization: `Bearer ${key}` } },
            (response) => {
                let text = '';
                response.on('data', (data) => { text += data; });
                response.on('end', () => resolve([response.statusCode, JSON.parse(text).code]));
            }).on('error', reject);
    });
    return {
        ask: (key, target = '/v1/accounts') => Promise.all(agents.map((agent) => one(agent, key, target))),
        end: () => agents.forEach((agent) => agent.destroy()),
    };
}

/** All answers are this one. */
function all(answers, expected) {
    for (const answer of answers) assert.deepEqual(answer, expected);
}

test('a key that was revoked is refused by every worker from that moment on, and after a restart', async () => {
    const key = await make();
    const open = connections();
    all(await open.ask(key.key), [200, undefined]);
    const answer = await revoke(key.id);
    all(await open.ask(key.key), [401, 'key_revoked']);
    assert.equal(answer.status, 200, answer.text);
    const { key: _, ...shown } = key;
    assert.deepEqual({ ...answer.body, revoked_at: null }, shown);
    assert.match(answer.body.revoked_at, /^\d{4}-.*Z$/);
    open.end();
    const [line] = engine.logged('key.revoked');
    assert.deepEqual([line.merchant, line.key_id, line.actor], ['demo.test', key.id, 'operator']);
    assert.ok(engine.logged('key.created').some((made) => made.key_id === key.id && made.actor === 'operator'));
    assert.ok(!engine.process.output.includes(key.key), 'no key is in the log');

    const again = await revoke(key.id);
    assert.deepEqual([again.status, again.body], [200, answer.body]);
    assert.equal(engine.logged('key.revoked').length, 1, 'what changes nothing is not told');

    await engine.restart();
    const refused = await engine.get('/v1/accounts', { key: key.key });
    assert.deepEqual([refused.status, refused.body.code], [401, 'key_revoked']);
    assert.equal((await engine.get('/v1/accounts')).status, 200, 'others stay');
});

test('a request that was let in before goes on', async () => {
    for (let pause = 50; ; pause *= 2) {
        const key = await make();
        const begun = engine.get('/v1/events?wait=20', { key: key.key });
        await sleep(pause);
        assert.equal((await revoke(key.id)).status, 200);
        const { body } = await engine.create(`K${pause}`);
        const { status, text } = await begun;
        if (status === 401 && pause < 10_000) continue; // it has not come in yet
        assert.deepEqual([status, text.includes(body.id)], [200, true], text);
        break;
    }
});

test('keys are listed newest first, page by page, and never with what is secret', async () => {
    const first = await make('other.test', { note: 'till 1', scopes: ['payments:read'] });
    const second = await make('other.test');
    await revoke(first.id, 'other.test');
    const { status, text, body } = await engine.operator('GET', keysOf('other.test'));
    assert.equal(status, 200, text);
    assert.deepEqual(body.data.map(({ id, note, scopes, revoked_at: at }) => [id, note, scopes, at !== null]), [
        [second.id, null, ['payments:read', 'payments:write', 'refunds:write'], false],
        [first.id, 'till 1', ['payments:read'], true]]);
    assert.equal(body.next_cursor, null);
    for (const key of [first, second]) assert.ok(!text.includes(key.key.slice(22)));
    assert.ok(body.data.every((key) => !('key' in key) && !('hash' in key)));

    const page = await list('?limit=1', 'other.test');
    const next = await list(`?limit=1&cursor=${page.next_cursor}`, 'other.test');
    assert.deepEqual([page.data[0].id, next.data[0].id, next.next_cursor], [second.id, first.id, null]);
    const foreign = await engine.operator('GET', keysOf('demo.test', `?cursor=${page.next_cursor}`));
    assert.deepEqual([foreign.status, foreign.body.code], [400, 'invalid_cursor']);
});

test('whose key it is counts, and what is no key is told', async () => {
    const key = await make('other.test');
    const wrong = await revoke(key.id);
    assert.deepEqual([wrong.status, wrong.body.detail], [404, "This is no API key of 'demo.test' but of 'other.test'."]);
    assert.equal((await engine.get('/v1/accounts', { key: key.key })).status, 200, 'nothing has happened');
    const live = key.key.slice(0, 22).replace('_test_', '_live_');
    for (const name of [`key_${'0'.repeat(26)}`, 'pay_1', key.key, live, key.key.slice(0, 21), 'tael_test_zzzzzzzzzzzz']) {
        const { status, body } = await revoke(name, 'other.test');
        assert.deepEqual([status, body.code], [404, 'not_found'], name);
    }
    for (const answer of [await revoke(key.id, 'nobody'), await engine.operator('GET', keysOf('nobody'))])
        assert.deepEqual([answer.status, answer.body.detail], [404, "There is no merchant 'nobody'."]);
    const byPart = await revoke(key.key.slice(0, 22), 'other.test');
    assert.deepEqual([byPart.status, byPart.body.id], [200, key.id]);
    const admin = await make('demo.test', { scopes: ['admin'] });
    for (const [method, target] of [['GET', keysOf('demo.test')], ['DELETE', keysOf('demo.test', `/${admin.id}`)]])
        assert.equal((await engine.request(method, target, { key: admin.key })).status, 404, 'only over the engine\'s own socket');
});

// ---- the commands ----

function ends(code, words) {
    const { status, stdout, stderr } = spawnSync(program, words,
        { cwd: engine.folder, env: { ...process.env, ...engine.environment, LC_ALL: 'C' }, encoding: 'utf8', timeout: 60_000 });
    assert.equal(status, code, `tael ${words.join(' ')}: ${stdout}${stderr}`);
    return { stdout, stderr, all: stdout + stderr };
}

test('keys apis shows them, keys revoke ends one by its id or by the key itself', async () => {
    const key = await make('other.test', { note: 'till 7' });
    const whole = ends(0, ['keys', 'api', 'other.test']).stdout.trim();
    const { stdout } = ends(0, ['keys', 'apis', 'other.test', '--limit', '2']);
    const [head, newest, before, ...rest] = stdout.split('\n');
    assert.match(head, /^ID +CREATED +ENDS +REVOKED +SCOPES +NOTE$/);
    assert.match(newest, /^key_\w{26} +\S+Z +- +- +payments:read payments:write refunds:write +-$/);
    assert.match(before, new RegExp(`^${key.id} .* till 7$`));
    assert.deepEqual(rest, ['']);
    const objects = ends(0, ['keys', 'apis', 'other.test', '--json']).stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(objects, (await list('', 'other.test')).data);

    const said = ends(0, ['keys', 'revoke', key.id, '--merchant', 'other.test']);
    assert.match(said.stdout, new RegExp(`^${key.id} is revoked since \\S+Z: .* 401 \\(key_revoked\\)\\n$`));
    assert.equal(ends(0, ['--merchant', 'other.test', 'keys', 'revoke', key.id]).stdout, said.stdout, 'once more');
    const [object] = [JSON.parse(ends(0, ['keys', 'revoke', whole, '--merchant', 'other.test', '--json']).stdout)];
    assert.deepEqual(object, (await list('?limit=1', 'other.test')).data[0]);
    assert.equal((await engine.get('/v1/accounts', { key: whole })).body.code, 'key_revoked');
});

test('keys revoke says what is wrong, and never the key', async () => {
    const { key, id } = await make('other.test');
    const foreign = ends(1, ['keys', 'revoke', key, '--merchant', 'demo.test']);
    assert.match(foreign.stderr, /^tael: This is no API key of 'demo\.test' but of 'other\.test'\. \(not_found\)\nnext: tael keys apis /);
    const broken = ends(2, ['keys', 'revoke', `${key.slice(0, -1)}!`, '--merchant', 'other.test']);
    assert.match(broken.stderr, /^tael: this is no API key .*\nnext: tael keys apis MERCHANT /);
    for (const { all: text } of [foreign, broken]) assert.ok(!text.includes(key.slice(22, 40)), text);
    assert.match(ends(1, ['keys', 'revoke', 'key_1', '--merchant', 'other.test']).stderr, /no such API key/);
    assert.match(ends(1, ['keys', 'apis', 'nobody']).stderr, /no merchant 'nobody'.*\nnext: tael config show/);
    const remote = ['--url', engine.url, '--key', engine.key];
    for (const words of [['apis', 'other.test'], ['revoke', id], ['api', 'other.test']])
        assert.match(ends(2, ['keys', ...words, ...remote]).stderr, /engine's own machine alone\nnext: without --url and --key/);
    assert.match(ends(2, ['keys', 'revoke']).stderr, /it needs KEY_ID/);
});

test('they are there in Chinese', () => {
    const { stdout } = ends(0, ['--lang', 'zh', 'keys', 'apis', 'other.test', '--limit', '1']);
    assert.match(stdout, /^编号 +创建时间 +到期 +吊销 +权限 +备注\n/);
});
