// merchant_routes.test.mjs - a merchant's own endpoints: found by method and path, authorised for the route, answered
// by its script with effects that are this merchant's alone; whatever is wrong in one harms nobody.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, root, temporaryFolder, until } from './tael.mjs';

const isolation = process.env.ISOLATION ?? 'state';
const scripts = temporaryFolder('merchant-routes');
const ACCOUNT = `{ channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
const engine = new Engine({ scripts, env: { TAEL_WORKERS: '2', TAEL_SCRIPTS__ISOLATION: isolation } });
const home = path.join(scripts, 'merchants/demo.test');
const base = '/m/demo.test';

before(async () => {
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true, force: true });
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), `return {
        merchants = {
            ["demo.test"] = { name = "Demo", mode = "test", accounts = { ["alipay-demo"] = ${ACCOUNT} } },
            ["other.test"] = { name = "Other", mode = "test", accounts = { ["alipay-other"] = ${ACCOUNT} } },
        },
    }\n`, { mode: 0o600 });
    await engine.start();
});
after(async () => {
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

const HEAD = 'local tael = require "tael"\nlocal routes = {}\n';
const save = (text, file = 'routes.lua', folder = home) => {
    const place = path.join(folder, file);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    fs.writeFileSync(place, text);
};
let saved = 0;
/** Until both workers run it: each generation answers GET /version with a number of its own. */
const publish = async (text, folder = home, slug = 'demo.test') => {
    const version = String(++saved);
    save(`${HEAD}${text}\nroutes["GET /version"] = { auth = "none", handler = function() return { text = "${version}" } end }
return routes\n`, 'routes.lua', folder);
    let agreed = 0;
    await until('both workers run what was saved', async () => {
        const answers = await Promise.all(Array.from({ length: 16 }, () => engine.get(`/m/${slug}/version`, { key: null })));
        agreed = answers.every((answer) => answer.text === version) ? agreed + 1 : 0;
        return agreed === 2;
    }, 20);
};
const open = (key, body, more = '') => `routes["${key}"] = { auth = "none", ${more}handler = function(request) ${body} end }\n`;
const logged = (event) => engine.process.output.split('\n').filter((line) => line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line));
const failures = () => logged('script.failed');

const operator = (target, body) => new Promise((resolve, reject) => {
    const request = http.request({ socketPath: path.join(engine.folder, 'data/tael.sock'), method: 'POST', path: target,
        headers: { 'content-type': 'application/json' } }, (response) => {
        let text = '';
        response.on('data', (data) => { text += data; });
        response.on('end', () => resolve(JSON.parse(text)));
    });
    request.on('error', reject);
    request.end(JSON.stringify(body));
});
const newKey = async (merchant) => (await operator(`/v1/merchants/${merchant}/api_keys`, { note: 'test' })).key;

/** The status of a path as it stands here: fetch would tidy it up. */
const raw = (target) => new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port: engine.ports.api, path: target }, (response) => {
        response.resume();
        resolve(response.statusCode);
    }).on('error', reject);
});

test('without routes.lua there is nothing', async () => {
    for (const target of [base, `${base}/`, `${base}/orders`, '/m/nobody/x', '/m/', '/m/other.test/x']) {
        const answer = await engine.get(target);
        assert.deepEqual([answer.status, answer.body.code], [404, 'not_found'], target);
    }
});

test('a route is found by method and path, and given what was sent', async () => {
    await publish(open('GET /', 'return { text = "root" }')
        + open('GET /orders/:id', 'return { json = { id = request.params.id, q = request.query.q, x = request.headers["x-mine"], m = request.method, path = request.path, ip = request.ip } }')
        + open('GET /orders/new', 'return { text = "literal" }')
        + open('POST /orders', 'return { status = 201, json = request.json, headers = { ["X-Mine"] = "yes" } }')
        + open('POST /form', 'return { json = request.form }', 'body = "form", ')
        + open('PUT /text', 'return { body = request.body, headers = { ["Content-Type"] = "text/x" } }', 'body = "text", max_body = 10, ')
        + open('DELETE /orders/:id', 'return nil'));
    const get = (target, options) => engine.get(base + target, { key: null, ...options });
    assert.equal((await get('')).text, 'root');
    assert.equal((await get('/')).text, 'root');
    const found = await get('/orders/a%20b?q=1%262', { headers: { 'x-mine': 'm' } });
    assert.deepEqual([found.status, found.body], [200, { id: 'a b', q: '1&2', x: 'm', m: 'GET',
        path: `${base}/orders/a%20b`, ip: '127.0.0.1' }]);
    assert.match(found.headers.get('tael-request-id'), /^req_/);
    assert.equal((await get('/orders/new')).text, 'literal');
    const made = await engine.post(`${base}/orders`, { a: null, b: [], c: [1, 'x', true], d: 9007199254740993n.toString() }, { key: null });
    assert.deepEqual([made.status, made.body, made.headers.get('x-mine'), made.headers.get('content-type')],
        [201, { a: null, b: [], c: [1, 'x', true], d: '9007199254740993' }, 'yes', 'application/json']);
    const exact = await engine.post(`${base}/orders`, '{"n":9007199254740993}', { key: null });
    assert.equal(exact.text, '{"n":9007199254740993}');
    const form = await engine.post(`${base}/form`, 'a=1&b=%E4%BD%A0', { key: null, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    assert.deepEqual(form.body, { a: '1', b: '你' }, form.text);
    const text = await engine.request('PUT', `${base}/text`, { body: 'ten bytes!', key: null, headers: { 'content-type': 'text/plain' } });
    assert.deepEqual([text.status, text.text, text.headers.get('content-type')], [200, 'ten bytes!', 'text/x']);
    const long = await engine.request('PUT', `${base}/text`, { body: 'eleven byte', key: null, headers: { 'content-type': 'text/plain' } });
    assert.deepEqual([long.status, long.body.code], [413, 'too_large']);
    assert.equal((await engine.request('DELETE', `${base}/orders/1`, { key: null })).status, 204);
    const head = await fetch(`${engine.url}${base}/orders/new`, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    for (const target of ['/orders', '/orders/', '/orders/a/b', '/Orders/a', '/none']) {
        const answer = await get(target);
        assert.equal(answer.status, target === '/orders' ? 405 : 404, target);
        if (target === '/orders') assert.equal(answer.headers.get('allow'), 'POST');
    }
    for (const target of ['/orders/a%2fb', '/orders/%00', '/orders//a', '/orders/a;b', '/orders/%5c', '/orders/%2e%2e', '/orders/..'])
        assert.equal(await raw(base + target), 400, target);
    assert.equal((await get('/orders/x?a=1&a=2')).body.code, 'invalid_parameter');
    assert.equal((await engine.post(`${base}/orders`, '{"a":', { key: null })).body.code, 'invalid_json');
    assert.equal((await engine.post(`${base}/orders`, '{"a":1,"a":2}', { key: null })).body.code, 'invalid_json');
    assert.equal((await engine.post(`${base}/orders`, '{}', { key: null, headers: { 'content-type': 'text/plain' } })).status, 415);
});

test('a route asks for a key of its own merchant, unless it says otherwise', async () => {
    await publish('routes["GET /mine"] = function(request) return { json = { seen = request.headers.authorization == nil, ip = request.ip } } end\n'
        + open('GET /open', 'return { text = request.headers.authorization }'));
    assert.equal((await engine.get(`${base}/mine`, { key: null })).status, 401);
    assert.equal((await engine.get(`${base}/mine`, { key: 'tael_test_nonsense' })).status, 401);
    const other = await engine.get(`${base}/mine`, { key: await newKey('other.test') });
    assert.deepEqual([other.status, other.body.code], [403, 'forbidden']);
    const answer = await engine.get(`${base}/mine`, { key: await newKey('demo.test') });
    assert.deepEqual([answer.status, answer.body], [200, { seen: true, ip: '127.0.0.1' }]);
    assert.match(answer.headers.get('ratelimit'), /^"key";r=\d+/);
    assert.equal((await engine.get(`${base}/open`, { key: 'their own' })).text, 'Bearer their own');
});

test('what a script gives is checked before it is sent', async () => {
    const wrong = {
        'return { status = 99 }': /status is not a number from 200 to 599/,
        'return { status = 200.5 }': /status is not a number/,
        'return { headers = { ["X-A"] = "a\\r\\nSet-Cookie: b" } }': /a header has a name or value that cannot be sent/,
        'return { headers = { ["X A"] = "a" } }': /a header has a name or value/,
        'return { headers = { ["Content-Length"] = "1" } }': /Content-Length is the server's own/,
        'return { headers = { ["transfer-encoding"] = "chunked" } }': /transfer-encoding is the server's own/,
        'return { headers = "a" }': /./,
        'return { jsno = 1 }': /unknown field 'jsno'/,
        'return { json = 1, text = "x" }': /only one of json, text and body/,
        'return { json = 1.5 }': /json: /,
        'return { text = 5 }': /text and body are texts/,
        'return "text"': /a handler gives/,
        'return { text = ("x"):rep(1100000) }': /./,
        'error("sorry")': /routes\.lua:3: sorry\n/,
        'error({ code = 1 })': /raised a value that is not a text/,
        'return request.nothing.x': /attempt to index a nil value \(field 'nothing'\)/,
        'tael.random("x", 2)': /tael\.random: first must be an integer, not a string/,
        'tael.random(1)': /tael\.random: last must be an integer, not nil/,
        'tael.now(1)': /tael\.now: takes at most 0 arguments/,
        'tael.random(2, 1)': /tael\.random: the first must not be greater/,
        'tael.log.info({})': /message must be a text/,
        'tael.log.info("x", { a = {} })': /field 'a' must be a text, a number or a boolean/,
    };
    for (const [body, told] of Object.entries(wrong)) {
        const before = failures().length;
        await publish(open('GET /x', body));
        const answer = await engine.get(`${base}/x`, { key: null });
        assert.deepEqual([answer.status, answer.body.code], [502, 'script_failed'], body);
        assert.doesNotMatch(answer.text, /routes\.lua|sorry|nil value/, 'nothing of the script is told to the client');
        await until('its author is told', () => failures().length > before, 10);
        const line = failures().at(-1);
        assert.match(line.detail, told, body);
        assert.deepEqual([line.merchant, line.route, line.request], ['demo.test', 'GET /x', answer.body.request_id]);
    }
});

test('what is wrong in routes.lua leaves what runs, and says where', async () => {
    await publish(open('GET /x', 'return { text = "good" }'));
    const wrong = [
        ['return 5', /demo\.test\/routes\.lua must return a table of routes/],
        ['return { ["GET"] = function() end }', /routes\.lua: \["GET"\]: a key is a method/],
        ['return { ["get /x"] = function() end }', /a key is a method/],
        ['return { ["GET /x"] = 5 }', /the handler must be a function, and is a number/],
        ['return { ["GET /x"] = { handler = function() end, atuh = "none" } }', /there is no option 'atuh'/],
        ['return { ["GET /x"] = { handler = function() end, auth = "maybe" } }', /auth is "none" or "api_key"/],
        ['return { ["GET /x"] = { handler = function() end, max_body = 0 } }', /max_body is a number of bytes/],
        ['return { ["GET /:a/:a"] = function() end }', /':a' occurs twice/],
        ['return { ["GET /:a"] = function() end, ["POST /:b"] = function() end }', /this place is called ':\w' elsewhere/],
        ['return { ["GET /:a"] = function() end, ["GET /:b"] = function() end }', /are the same/],
        ['return { ["GET /a/../b"] = function() end }', /a path is/],
        ['return { [1] = function() end }', /has a key that is not a text/],
        ['require("tael").now() return {}', /routes\.lua:1: tael\.now: not while a file is being loaded/],
    ];
    for (const [text, told] of wrong) {
        const before = logged('scripts.refused').length;
        save(text);
        await until(`refused: ${text}`, async () => {
            assert.equal((await engine.get(`${base}/x`, { key: null })).text, 'good');
            return logged('scripts.refused').length > before;
        }, 10);
        assert.match(logged('scripts.refused').at(-1).error, told);
    }
});

test('a route that never ends is ended, harms nobody, and rests after five', async () => {
    await publish(open('GET /loop', 'while true do end') + open('GET /x', 'return { text = "x" }'));
    const other = path.join(scripts, 'merchants/other.test');
    await publish(open('GET /x', 'return { text = "other" }'), other, 'other.test');
    let timeouts = 0;
    await until('it rests', async () => {
        const [loop, neighbour] = await Promise.all([engine.get(`${base}/loop`, { key: null }), engine.get('/m/other.test/x', { key: null })]);
        assert.equal(neighbour.text, 'other');
        if (loop.body.code === 'script_timeout') timeouts++;
        return loop.body.code === 'script_unavailable';
    });
    assert.ok(timeouts >= 5, `${timeouts}`);
    const alarm = logged('alarm').find((line) => line.kind === 'scripts_suspended');
    assert.match(alarm.detail, /5 calls in a minute had to be ended: its routes are not asked/);
    // its rules are asked all the same, and payments are made
    assert.equal((await engine.create('RESTS')).status, 201);
    await publish(open('GET /x', 'return { text = "again" }'));
    assert.equal((await engine.get(`${base}/x`, { key: null })).text, 'again');
    fs.rmSync(other, { recursive: true, force: true });
});

test('time, chance and the log', async () => {
    await publish(open('GET /world', `
        local seen, low, high = {}, 9, 0
        for i = 1, 12 do
            local n = tael.random(1, 6)
            low, high = math.min(low, n), math.max(high, n)
        end
        tael.log.warn("seen", { count = 12, ok = true, text = "t" })
        return { json = { now = tael.now(), one = tael.id(), two = tael.id("cart"), low = low, high = high,
            single = tael.random(7, 7), wide = tostring(tael.random(1, math.maxinteger)) } }`));
    const { body } = await engine.get(`${base}/world`, { key: null });
    assert.ok(Math.abs(body.now - Date.now()) < 60000);
    assert.match(body.one, /^[0-9a-z]{26}$/);
    assert.match(body.two, /^cart_[0-9a-z]{26}$/);
    assert.ok(body.low >= 1 && body.high <= 6 && body.single === 7);
    const line = await until('it is logged', () => logged('script.warn')[0], 10);
    assert.deepEqual([line.merchant, line.message, line['script.count'], line['script.ok'], line['script.text'], line.level],
        ['demo.test', 'seen', 12, true, 't', 'warn']);
});
