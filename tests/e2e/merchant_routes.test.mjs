// merchant_routes.test.mjs - a merchant's own endpoints: found by method and path, authorised for the route, answered
// by its script with effects that are this merchant's alone; whatever is wrong in one harms nobody.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, root, saveFile, temporaryFolder, until } from './tael.mjs';

const isolation = process.env.ISOLATION ?? 'state';
const scripts = temporaryFolder('merchant-routes');
const ACCOUNT = `{ channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
// twice the usual share: a machine may be slow, and what a process takes is measured
const engine = new Engine({ scripts, env: { TAEL_WORKERS: '2', TAEL_SCRIPTS__ISOLATION: isolation, TAEL_SCRIPTS__SHARE: '10' } });
const SECRET = 'a secret of thirty-two bytes ....';
const home = path.join(scripts, 'merchants/demo.test');
const base = '/m/demo.test';

/** Whom the scripts may ask: answers with what it was sent, or as the path wants. */
const outside = http.createServer((request, response) => {
    let text = '';
    request.on('data', (data) => { text += data; });
    request.on('end', () => {
        seen.push({ method: request.method, url: request.url, headers: request.headers, text });
        const [, what, value] = request.url.split(/[/?]/);
        if (what === 'slow') return void setTimeout(() => response.end('slow'), Number(value)).unref();
        if (what === 'status') response.writeHead(Number(value), { location: 'http://127.0.0.1:1/', 'content-type': 'text/plain' });
        else if (what === 'large') return response.end('x'.repeat(Number(value)));
        else if (what === 'many') return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(Array(20000).fill(1)));
        else if (what === 'deep') return response.writeHead(200, { 'content-type': 'application/json' })
            .end('['.repeat(Number(value)) + ']'.repeat(Number(value)));
        else response.writeHead(200, { 'content-type': 'application/json', 'x-theirs': 'yes' });
        response.end(JSON.stringify({ method: request.method, text, url: request.url, nothing: null, price: 1.5 }));
    });
});
const seen = [];

before(async () => {
    await new Promise((resolve) => { outside.listen(0, '127.0.0.1', resolve); });
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true, force: true });
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), `return {
        merchants = {
            ["demo.test"] = { name = "Demo", mode = "test", accounts = { ["alipay-demo"] = ${ACCOUNT} },
                secrets = { erp = "demo.erp" }, hosts = { "127.0.0.1:${outside.address().port}", "10.0.0.1", "shop.example:8443", "localhost:1" } },
            ["other.test"] = { name = "Other", mode = "test", accounts = { ["alipay-other"] = ${ACCOUNT} } },
        },
    }\n`, { mode: 0o600 });
    fs.mkdirSync(path.join(engine.folder, 'data/keys'), { recursive: true, mode: 0o700 });
    fs.chmodSync(path.join(engine.folder, 'data'), 0o700);
    fs.writeFileSync(path.join(engine.folder, 'data/keys/demo.erp.secret'), Buffer.from(SECRET).toString('base64'), { mode: 0o600 });
    await engine.start();
});
after(async () => {
    outside.close();
    outside.closeAllConnections();
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

const HEAD = 'local tael = require "tael"\nlocal routes = {}\n';
const save = (text, file = 'routes.lua', folder = home) => {
    const place = path.join(folder, file);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    saveFile(place, text);
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
const logged = (event) => engine.logged(event);
const failures = () => logged('script.failed');

const operator = async (target, body) => (await engine.operator('POST', target, body)).body;
const newKey = (merchant, scopes) => engine.newKey(merchant, scopes);

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
    const reader = await engine.get(`${base}/mine`, { key: await newKey('demo.test', ['payments:read', 'scripts:write']) });
    assert.deepEqual([reader.status, /payments:write/.test(reader.body.detail)], [403, true], reader.text);
    const answer = await engine.get(`${base}/mine`, { key: await newKey('demo.test') });
    assert.deepEqual([answer.status, answer.body], [200, { seen: true, ip: '127.0.0.1' }]);
    assert.match(answer.headers.get('ratelimit'), /^"key";r=\d+/);
    assert.equal((await engine.get(`${base}/open`, { key: 'their own' })).text, 'Bearer their own');
});

test('a route takes what is signed with a secret of its merchant, and scripts sign without seeing it', async () => {
    await publish(`routes["POST /signed"] = { auth = "hmac", secret = "erp", handler = function(request) return { json = { a = request.json.a } } end }
routes["POST /unknown"] = { auth = "hmac", secret = "none", handler = function() end }\n`
        + open('GET /sign', `
        local mac = tael.crypto.hmac_sha256("erp", "text")
        return { json = { mac = mac, sum = tael.crypto.sha256("abc"), same = tael.crypto.equal(mac, mac), other = tael.crypto.equal(mac, "x") } }`)
        + open('GET /none', 'tael.crypto.hmac_sha256("none", "text")'));
    const body = '{"a":1}', now = Math.floor(Date.now() / 1000);
    const sign = (id, at, text, secret = SECRET) => `v1,${crypto.createHmac('sha256', secret).update(`${id}.${at}.${text}`).digest('base64')}`;
    const post = (headers, text = body) => engine.post(`${base}/signed`, text, { key: null, headers });
    const headers = (signature, at = now) => ({ 'webhook-id': 'msg_1', 'webhook-timestamp': String(at), 'webhook-signature': signature });
    const good = await post(headers(`v1,bm9uZQ== ${sign('msg_1', now, body)}`));
    assert.deepEqual([good.status, good.body], [200, { a: 1 }], good.text);
    for (const [why, given, text] of [
        ['no signature', {}], ['another secret', headers(sign('msg_1', now, body, 'another'))], ['another id', headers(sign('msg_2', now, body))],
        ['another body', headers(sign('msg_1', now, body)), '{"a":2}'], ['too old', headers(sign('msg_1', now - 400, body), now - 400)],
        ['too new', headers(sign('msg_1', now + 400, body), now + 400)], ['no time', { ...headers(sign('msg_1', 'x', body)), 'webhook-timestamp': 'x' }]])
        assert.deepEqual([(await post(given, text)).status], [401], why);
    assert.equal((await engine.post(`${base}/unknown`, body, { key: null, headers: headers(sign('msg_1', now, body)) })).status, 502);
    const signed = await engine.get(`${base}/sign`, { key: null });
    assert.deepEqual(signed.body, { mac: crypto.createHmac('sha256', SECRET).update('text').digest('hex'),
        sum: crypto.createHash('sha256').update('abc').digest('hex'), same: true, other: false });
    assert.equal((await engine.get(`${base}/none`, { key: null })).status, 502);
    assert.ok(!engine.process.output.includes(Buffer.from(SECRET).toString('base64')));
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
        await publish(open('GET /x', body));
        const answer = await engine.get(`${base}/x`, { key: null });
        assert.deepEqual([answer.status, answer.body.code], [502, 'script_failed'], `${body}: ${answer.text} ${failures().at(-1)?.detail}`);
        assert.doesNotMatch(answer.text, /routes\.lua|sorry|nil value/, 'nothing of the script is told to the client');
        const line = await until('its author is told', () => failures().find((one) => one.request === answer.body.request_id), 10);
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
        ['return { ["GET /x"] = { handler = function() end, auth = "maybe" } }', /auth is "none", "api_key" or "hmac"/],
        ['return { ["GET /x"] = { handler = function() end, auth = "hmac" } }', /auth "hmac", and nothing else, names a secret of the merchant/],
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
            return logged('scripts.refused').slice(before).some((line) => told.test(line.error));
        }, 10);
    }
});

test('a route that never ends is ended, harms nobody, and rests after five', async () => {
    await publish(open('GET /loop', 'while true do end') + open('GET /x', 'return { text = "x" }'));
    const other = path.join(scripts, 'merchants/other.test');
    await publish(open('GET /x', 'return { text = "other" }'), other, 'other.test');
    const codes = [];
    await until('it rests', async () => {
        const [loop, neighbour] = await Promise.all([engine.get(`${base}/loop`, { key: null }), engine.get('/m/other.test/x', { key: null })]);
        assert.equal(neighbour.text, 'other');
        codes.push(loop.body.code);
        return loop.body.code === 'script_unavailable';
    });
    const ended = codes.filter((code) => code === 'script_timeout').length;
    assert.ok(ended >= 5, `${codes}\n${engine.process.output.slice(-3000)}`);
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

// ---- money ----

const order = (more = '') => `{ merchant_order_id = request.json.id, amount = request.json.amount, currency = "CNY", subject = "coffee",
    channel = "alipay", product = "qr"${more} }`;

test('a route charges for its own merchant, once however often it is asked', async () => {
    await publish(open('POST /orders', `
        local payment, err = tael.charge ${order()}
        if not payment then return tael.problem(402, err.code, err.message, { pointer = err.pointer, existing = err.existing }) end
        return { status = 201, json = { id = payment.id, pay = payment.next_action, state = payment.state, reason = tostring(payment.reason) } }`)
        + open('GET /orders/:id', `
        local payment, err = tael.find(request.params.id)
        if not payment then return tael.problem(404, err.code) end
        local same = tael.get(payment.id)
        return { json = { id = same.id, state = same.state, refunded = same.refunded_amount } }`)
        + open('POST /orders/:id/close', `
        local done, err = tael.close(tael.find(request.params.id))
        return { json = { done = done or false, code = err and err.code } }`)
        + open('POST /orders/:id/query', 'return { json = { state = assert(tael.query(tael.find(request.params.id))).state } }')
        + open('POST /orders/:id/refund', `
        local refund, err = tael.refund(tael.find(request.params.id), request.json)
        return { json = refund and { id = refund.id, state = refund.state, amount = refund.amount } or { code = err.code } }`)
        + open('POST /orders/:id/review', `
        local done, err = tael.review(tael.find(request.params.id), "odd")
        return { json = { done = done or false, code = err and err.code } }`));
    const post = (target, body = {}) => engine.post(base + target, body, { key: null });
    const answers = await Promise.all(Array.from({ length: 8 }, () => post('/orders', { id: 'C1', amount: 500 })));
    const ids = new Set(answers.map((answer) => { assert.equal(answer.status, 201, answer.text); return answer.body.id; }));
    assert.equal(ids.size, 1);
    const [first] = answers;
    assert.deepEqual([first.body.state, first.body.pay.type, first.body.reason], ['pending', 'qr_code', 'nil']);
    assert.equal((await engine.get('/v1/payments?merchant_order_id=C1')).body.data.length, 1);
    const events = await engine.events(first.body.id);
    assert.match(events[0].actor, /^script:[0-9a-f]{16}$/);
    // the same order through the API is the same payment
    const again = await engine.post('/v1/payments', { merchant_order_id: 'C1', amount: 500, currency: 'CNY', subject: 'coffee', channel: 'alipay', product: 'qr' });
    assert.deepEqual([again.status, again.body.id], [201, first.body.id], again.text);
    // the world says no: a second result
    const taken = await post('/orders', { id: 'C1', amount: 501 });
    assert.deepEqual([taken.status, taken.body.code, taken.body.existing], [402, 'merchant_order_id_taken', first.body.id]);
    const bad = await post('/orders', { id: 'not an id', amount: 500 });
    assert.deepEqual([bad.body.code, bad.body.pointer], ['invalid_field', '/merchant_order_id'], bad.text);
    assert.equal((await post('/orders', { id: 'C2', amount: -1 })).body.code, 'invalid_field');
    // what is of a wrong type is the author's mistake
    const five = await post('/orders', { id: 'C2', amount: 'five' });
    assert.equal(five.status, 502);
    const line = await until('its author is told', () => failures().find((one) => one.request === five.body.request_id), 10);
    assert.match(line.detail, /routes\.lua:\d+: tael\.charge: amount must be an integer of minor units, not a string/);
    // another merchant sees nothing of it
    assert.equal((await engine.get(`${base}/orders/NONE`, { key: null })).status, 404);
    // paid, asked about, refunded once
    const [{ order_no: number }] = (await engine.get(`/v1/payments/${first.body.id}/attempts`)).body.data;
    await fetch(`${engine.sandbox}/sandbox/trades/${number}/pay`, { method: 'POST' });
    await until('it is paid', async () => (await post('/orders/C1/query')).body.state === 'paid');
    assert.deepEqual((await post('/orders/C1/close')).body, { done: false, code: 'paid' });
    assert.deepEqual((await post('/orders/C1/review')).body, { done: false, code: 'state_conflict' });
    const refunds = await Promise.all(Array.from({ length: 4 }, () => post('/orders/C1/refund', { merchant_refund_id: 'R1', amount: 200 })));
    assert.equal(new Set(refunds.map((refund) => refund.body.id)).size, 1, refunds[0].text);
    await until('200 are given back', async () => (await engine.get(`${base}/orders/C1`, { key: null })).body.refunded === 200);
    assert.equal((await post('/orders/C1/refund', { merchant_refund_id: 'R2', amount: 301 })).body.code, 'refund_exceeds_captured');
    assert.equal((await post('/orders/C1/refund', { amount: 1 })).status, 502);
    // closed
    const { body: third } = await post('/orders', { id: 'C3', amount: 500 });
    const [{ order_no: opened }] = (await engine.get(`/v1/payments/${third.id}/attempts`)).body.data;
    await fetch(`${engine.sandbox}/sandbox/trades/${opened}/scan`, { method: 'POST' });
    const closed = await until('it is closed', async () => {
        const { body } = await post('/orders/C3/close');
        return (body.done || body.code !== 'unknown') && body;
    });
    assert.deepEqual(closed, { done: true });
    await post('/orders', { id: 'C5', amount: 500 });
    assert.deepEqual((await post('/orders/C5/close')).body, { done: false, code: 'unknown' }, 'no payer has opened it');
    // before a person
    const { body: held } = await post('/orders', { id: 'C4', amount: 500 });
    assert.deepEqual((await post('/orders/C4/review')).body, { done: true });
    assert.deepEqual((await post('/orders/C4/review')).body, { done: true });
    const payment = await engine.payment(held.id);
    assert.deepEqual([payment.state, payment.reason], ['review', 'script']);
    await until('a person is told', () => logged('alarm').some((line) => line.kind === 'review_wanted' && line.detail === 'odd'));
});

test('what a route asks for is its own merchant\'s', async () => {
    const other = path.join(scripts, 'merchants/other.test');
    await publish(open('GET /p/:id', `
        local one, err = tael.get(request.params.id)
        local two = tael.find("C1")
        local three, why = tael.refund(request.params.id, { merchant_refund_id = "X", amount = 1 })
        local four, no = tael.review(request.params.id, "x")
        local five = tael.close(request.params.id)
        return { json = { one = one and one.id, code = err and err.code, two = two and two.id, why = why and why.code, no = no and no.code, five = five } }`), other, 'other.test');
    const { body: mine } = await engine.get('/v1/payments?merchant_order_id=C1');
    const answer = await engine.get(`/m/other.test/p/${mine.data[0].id}`, { key: null });
    assert.deepEqual(answer.body, { code: 'not_found', why: 'not_found', no: 'not_found' }, answer.text);
    fs.rmSync(other, { recursive: true, force: true });
});

// ---- others ----

test('a route asks hosts that are listed for its merchant, and nobody else', async () => {
    const url = `http://127.0.0.1:${outside.address().port}`;
    await publish(open('POST /ask', `
        local json = request.json
        local response, err = tael.http[json.method](json.url, json.options)
        if response then
            return { json = { status = response.status, theirs = response.headers["x-theirs"], body = #response.body, json = response.json } }
        end
        return { json = { code = err.code, message = err.message, status = err.status, sent = err.sent } }`));
    const ask = async (method, target, options) => (await engine.post(`${base}/ask`, { method, url: target, options }, { key: null })).body;
    const got = await ask('get', `${url}/a?b=1`, { query: { c: 'd e&f' }, headers: { 'X-Mine': 'm' }, timeout: '5s' });
    assert.deepEqual([got.status, got.theirs, got.json], [200, 'yes', { method: 'GET', text: '', url: '/a?b=1&c=d%20e%26f', price: '1.5' }], JSON.stringify(got));
    assert.equal(seen.at(-1).headers['x-mine'], 'm');
    for (const method of ['post', 'put', 'patch', 'delete']) {
        const answer = await ask(method, `${url}/x`, { json: { a: [1, 2] } });
        assert.deepEqual([answer.json?.method, answer.json?.text], [method.toUpperCase(), '{"a":[1,2]}'], JSON.stringify(answer));
    }
    assert.equal((await ask('post', `${url}/x`, { form: { a: '1 2', b: 'c' } })).json.text, 'a=1%202&b=c');
    assert.equal((await ask('post', `${url}/x`, { body: 'plain' })).json.text, 'plain');
    const moved = await ask('get', `${url}/status/302`);
    assert.deepEqual([moved.code, moved.status], ['http_status', 302]);
    assert.equal((await ask('get', `${url}/status/500`)).code, 'http_status');
    assert.equal((await ask('get', `${url}/slow/3000`, { timeout: '100ms' })).code, 'timeout');
    assert.equal((await ask('get', `${url}/large/300000`)).code, 'too_large');
    assert.equal((await ask('get', `${url}/large/200000`)).body, 200000);
    const many = await ask('get', `${url}/many`);
    assert.deepEqual([many.status, many.json], [200, undefined]);
    const deep = await ask('get', `${url}/deep/32`);
    assert.equal(deep.code, 'result_too_large', JSON.stringify(deep));
    assert.match(deep.message, /^tael\.http\.get was performed, and what it came to is more than a script is given: result 1 json\[1\]/);
    assert.equal((await ask('get', 'http://localhost:1/')).code, 'network');
    const before = seen.length;
    for (const target of ['https://example.com/', 'http://10.0.0.1/', `http://127.0.0.1:${outside.address().port + 1}/`, `${url.replace('127.0.0.1', 'localhost')}/`,
        `http://127.1:${outside.address().port}/`, `http://user@127.0.0.1:${outside.address().port}/`, 'http://shop.example:8443/',
        `http://evil.example\\@127.0.0.1:${outside.address().port}/`, 'ftp://127.0.0.1/', 'file:///etc/passwd', `${url}/a b`, `${url}/a#b`, `${url}/\r\nX: y`, ''])
        assert.equal((await ask('get', target)).code, 'host_not_allowed', target);
    // listed, but at no public address
    const inner = await ask('get', 'https://10.0.0.1/');
    assert.equal(inner.code, 'host_not_allowed', JSON.stringify(inner));
    assert.equal(seen.length, before);
    for (const options of [{ json: {}, body: 'x' }, { headers: { 'X-A': 'a\r\nb' } }, { headers: { Host: 'x' } }, { headers: { 'Content-Length': '1' } },
        { timeout: '11s' }, { timeout: 'soon' }, { tiemout: '1s' }, { headers: { a: 1 } }])
        assert.equal((await engine.post(`${base}/ask`, { method: 'get', url: `${url}/`, options }, { key: null })).status, 502, JSON.stringify(options));
});

test('a route that says too much to the log is answered all the same', async () => {
    const dropped = logged('script.lines_dropped').length;
    await publish(open('GET /chatty', 'for i = 1, 27 do tael.log.info("line " .. i) end return { text = "said" }'));
    const answer = await engine.get(`${base}/chatty`, { key: null });
    assert.deepEqual([answer.status, answer.text], [200, 'said']);
    await until('it is told', () => logged('script.lines_dropped').length === dropped + 1);
    assert.equal(logged('script.info').filter((line) => /^line \d+$/.test(line.message)).length, 20);
    const [line] = logged('script.lines_dropped').slice(-1);
    assert.deepEqual([line.level, line.merchant, line.lines], ['warn', 'demo.test', 7]);
});

test('a number with a fraction is called one', async () => {
    await publish(open('POST /charge', `local _, why = pcall(tael.charge, { merchant_order_id = "F1", currency = "CNY", subject = "x",
        channel = "alipay", product = "qr", amount = request.json.amount })
        return { text = tostring(why) }`));
    const answer = await engine.post(`${base}/charge`, { amount: 12.5 }, { key: null });
    assert.match(answer.text, /tael\.charge: argument 1 amount is a number with a fraction \(amounts are integers of minor units\)/);
});

test('while a route waits its merchant\'s rules are asked, and others are answered', async () => {
    const url = `http://127.0.0.1:${outside.address().port}`;
    save('return { risk = function() return "deny", "by the rule" end }\n', 'rules.lua');
    await publish(open('GET /slow', `return { text = assert(tael.http.get("${url}/slow/1500")).body }`) + open('GET /fast', 'return { text = "fast" }'));
    const slow = Array.from({ length: 12 }, () => engine.get(`${base}/slow`, { key: null }));
    await until('all wait', () => seen.filter((request) => request.url === '/slow/1500').length >= 12, 10);
    let settled = 0;
    for (const answer of slow) answer.then(() => { settled++; });
    const denied = await engine.create('WHILE');
    assert.deepEqual([denied.status, denied.body.detail], [402, 'by the rule'], denied.text);
    assert.equal((await engine.get(`${base}/fast`, { key: null })).text, 'fast');
    assert.equal(settled, 0, 'they still wait');
    for (const answer of await Promise.all(slow)) assert.deepEqual([answer.status, answer.text], [200, 'slow']);
    fs.rmSync(path.join(home, 'rules.lua'));
});

test('who goes away while a route waits leaves nothing behind, and too many at once are told so', async () => {
    const url = `http://127.0.0.1:${outside.address().port}`;
    await publish(open('GET /slow', `return { text = tael.http.get("${url}/slow/60000", { timeout = "8s" }) and "slow" or "no" }`) + open('GET /fast', 'return { text = "fast" }'));
    const begun = () => seen.filter((request) => request.url === '/slow/60000').length;
    for (let round = 0; round < 4; round++) {
        const before = begun(), gone = new AbortController();
        const slow = Array.from({ length: 60 }, () => fetch(`${engine.url}${base}/slow`, { signal: gone.signal }).catch((err) => err.name));
        await until('all wait', () => begun() >= before + 60, 10);
        assert.equal((await engine.get(`${base}/fast`, { key: null })).text, 'fast');
        gone.abort();
        assert.deepEqual([...new Set(await Promise.all(slow))], ['AbortError']);
    }
    // two workers with 64 each: of 160 at once some are told to come again
    const gone = new AbortController();
    const codes = [];
    const many = Array.from({ length: 160 }, () => fetch(`${engine.url}${base}/slow`, { signal: gone.signal })
        .then(async (answer) => { codes.push((await answer.json()).code); }).catch((err) => err.name));
    await until('some are refused', () => codes.length > 0, 10);
    gone.abort();
    await Promise.all(many);
    assert.deepEqual([...new Set(codes)], ['script_unavailable']);
    await until('it is logged', () => failures().some((line) => line.failure === 'busy'), 10);
    await until('it answers again', async () => (await engine.get(`${base}/fast`, { key: null })).text === 'fast', 10);
});

test('a request that waits ends on the files that it began with, however often they change', async () => {
    const url = `http://127.0.0.1:${outside.address().port}`;
    const version = async (number) => {
        save(`return { number = ${number} }`, 'lib/early.lua');
        save(`return { number = ${number} }`, 'lib/late.lua');
        await publish(`local early = require "lib.early"\n` + open('GET /wait', `
            local before = early.number
            local response = assert(tael.http.get("${url}/slow/4000"))
            return { json = { before = before, after = early.number, late = require("lib.late").number, mine = ${number}, body = response.body } }`)
            + open('GET /now', `return { json = { early.number, require("lib.late").number, ${number} } }`));
    };
    await version(1);
    const before = seen.filter((request) => request.url === '/slow/4000').length;
    const waiting = Array.from({ length: 8 }, () => engine.get(`${base}/wait`, { key: null }));
    await until('all wait', () => seen.filter((request) => request.url === '/slow/4000').length >= before + 8, 10);
    for (let number = 2; number <= 6; number++) { // more than a process keeps
        await version(number);
        assert.deepEqual((await engine.get(`${base}/now`, { key: null })).body, [number, number, number]);
    }
    for (const answer of await Promise.all(waiting))
        assert.deepEqual(answer.body, { before: 1, after: 1, late: 1, mine: 1, body: 'slow' }, answer.text);
    fs.rmSync(path.join(home, 'lib'), { recursive: true });
});

test('when its process is killed what waits in it is told, and the next is answered', { skip: isolation !== 'process' }, async () => {
    const url = `http://127.0.0.1:${outside.address().port}`;
    await publish(open('GET /wait', `return { text = assert(tael.http.get("${url}/slow/1000")).body }`) + open('GET /fast', 'return { text = "fast" }'));
    const before = seen.filter((request) => request.url === '/slow/1000').length;
    const waiting = Array.from({ length: 12 }, () => engine.get(`${base}/wait`, { key: null }));
    await until('all wait', () => seen.filter((request) => request.url === '/slow/1000').length >= before + 12, 10);
    const mine = fs.readdirSync('/proc').filter((pid) => {
        try {
            const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
            return /^Name:\ttael-script$/m.test(status) && status.includes(`PPid:\t${engine.process.child.pid}\n`);
        } catch { return false; }
    });
    assert.ok(mine.length > 0);
    for (const pid of mine) process.kill(Number(pid), 'SIGKILL');
    await until('the next is answered', async () => (await engine.get(`${base}/fast`, { key: null })).text === 'fast', 10);
    for (const answer of await Promise.all(waiting))
        assert.deepEqual([answer.status, answer.body.code], [503, 'script_unavailable'], answer.text);
    await publish(open('GET /fast', 'return { text = "faster" }')); // the calls that were lost count against the old files
});

test('a route has its seconds, waiting included', async () => {
    const url = `http://127.0.0.1:${outside.address().port}`;
    await publish(open('GET /long', `
        local times = 0
        while tael.http.get("${url}/slow/4000") do times = times + 1 end
        tael.log.info("never told", { times = times })
        return { text = tostring(times) }`));
    const answer = await engine.get(`${base}/long`, { key: null });
    assert.deepEqual([answer.status, answer.body.code], [502, 'script_timeout'], answer.text);
    await until('its author is told', () => failures().some((line) => /took longer than its 10 seconds/.test(line.detail)), 10);
});

// ---- state, counters ----

test('a route keeps small state, compared and set', async () => {
    await publish(open('POST /put', `
        local json = request.json
        local value = json.value
        local version, err = tael.state.put(json.key, value, json.version)
        return { json = { version = version, code = err and err.code } }`)
        + open('GET /get/:key', `
        local value, version = tael.state.get(request.params.key)
        return { json = { value = value, version = version } }`)
        + open('POST /count', `
        for _ = 1, 15 do
            local value, version = tael.state.get("count")
            if tael.state.put("count", (value or 0) + 1, version) then return { status = 204 } end
        end
        return { status = 500 }`)
        + open('GET /metric', 'tael.metric("orders", 2, { kind = "x" }) return { json = tael.metric("orders", 1, { kind = "x" }) }'));
    const put = async (body) => (await engine.post(`${base}/put`, body, { key: null })).body;
    const get = async (key) => (await engine.get(`${base}/get/${key}`, { key: null })).body;
    assert.deepEqual(await get('a'), { version: 0 });
    const one = await put({ key: 'a', value: { list: [1, 'x', true], deep: { n: 9007199254740991 } } });
    assert.deepEqual(await get('a'), { value: { list: [1, 'x', true], deep: { n: 9007199254740991 } }, version: one.version });
    assert.deepEqual(await put({ key: 'a', value: 1, version: 0 }), { code: 'conflict' });
    const two = await put({ key: 'a', value: 2, version: one.version });
    assert.ok(two.version > one.version);
    assert.deepEqual(await put({ key: 'a', value: 3, version: one.version }), { code: 'conflict' });
    assert.deepEqual(await put({ key: 'a' }), { version: 0 });
    assert.deepEqual(await get('a'), { version: 0 });
    const three = await put({ key: 'a', value: 2, version: 0 });
    assert.ok(three.version > two.version, 'what is made again is another');
    const large = await engine.post(`${base}/put`, { key: 'b', value: 'x'.repeat(4095) }, { key: null });
    assert.equal(large.status, 502);
    await until('its author is told', () => failures().some((line) => /value must have at most 4096 bytes/.test(line.detail)), 10);
    const counted = await Promise.all(Array.from({ length: 8 }, () => engine.post(`${base}/count`, {}, { key: null })));
    assert.ok(counted.every((answer) => answer.status === 204));
    assert.equal((await get('count')).value, 8);
    await engine.restart();
    await publish(open('GET /get/:key', 'return { json = { value = tael.state.get(request.params.key) } }') + open('GET /metric', 'tael.metric("orders", 2, { kind = "x" }) return { json = tael.metric("orders", 1, { kind = "x" }) }'));
    assert.equal((await get('count')).value, 8);
    assert.equal((await engine.get(`${base}/metric`, { key: null })).body, true);
    const metrics = await engine.metrics();
    assert.match(metrics, /tael_script_total\{labels="kind=x",merchant="demo\.test",metric="orders"\} 3\n/);
});

test('the date as people write it', async () => {
    await publish(open('GET /date', `return { json = { tael.date("%F %T %z", 1795907733049), tael.date("%d.%m.%Y %H:%M:%S 100%% %%F", 1795907733049, "+08:00"), #tael.date("%F") } }`));
    assert.deepEqual((await engine.get(`${base}/date`, { key: null })).body, ['2026-11-28 23:15:33 +0000', '29.11.2026 07:15:33 100% %F', 10]);
});

test('the demo shop sells coffee', async () => {
    save(fs.readFileSync(path.join(root, 'scripts/merchants/demo.test/routes.lua'), 'utf8'));
    const buy = (body) => engine.post(`${base}/orders`, body, { key: null });
    const bought = await until('it is open', async () => {
        const answer = await buy({ id: 'SHOP1', item: 'espresso' });
        return answer.status === 201 && answer;
    }, 10);
    assert.deepEqual([bought.body.price, bought.body.pay.type], ['18.00', 'redirect']);
    assert.deepEqual((await engine.get(`${base}/orders/SHOP1`, { key: null })).body, { state: 'pending', paid: false });
    assert.equal((await engine.get(`${base}/orders/SHOP2`, { key: null })).status, 404);
    assert.equal((await buy({ id: 'SHOP2', item: 'tea' })).body.code, 'invalid_field');
    assert.equal((await buy({ id: 'no blanks', item: 'beans' })).status, 400);
    assert.equal((await buy({ id: 'SHOP1', item: 'beans' })).body.code, 'merchant_order_id_taken');
});

test('what was moved by scripts can be proved', async () => {
    await engine.prove();
    await engine.start();
});

test('who asks and leaves is counted all the same', async () => {
    const other = path.join(scripts, 'merchants/other.test');
    fs.mkdirSync(other, { recursive: true });
    saveFile(path.join(other, 'routes.lua'), `${HEAD}routes["GET /burn"] = { auth = "none", handler = function()
    local n = 0
    for i = 1, 1200000 do n = n + i end
    return { json = { n = n } }
end }\nreturn routes\n`);
    const burn = () => fetch(`${engine.url}/m/other.test/burn`);
    await until('it is there', async () => (await burn()).status === 200);
    const leave = () => new Promise((resolve) => {
        const socket = net.connect(engine.ports.api, '127.0.0.1', () => socket.write('GET /m/other.test/burn HTTP/1.1\r\nHost: a\r\n\r\n'));
        setTimeout(() => socket.destroy(), 4);
        socket.on('error', () => {}).on('close', resolve);
    });
    // each begins a call and hears no answer: only the share can end it
    await until('the share is used up', async () => {
        await Promise.all(Array.from({ length: 8 }, leave));
        return engine.process.output.includes('scripts_over_share');
    }, 30);
    assert.match(engine.process.output, /its routes take more than/);
});
