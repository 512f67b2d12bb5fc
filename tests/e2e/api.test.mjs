// api.test.mjs - the HTTP API's conventions over real sockets: credentials, headers, strict input, lists, cursors,
// expansion, problems; two merchants that see nothing of each other.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { conform } from './conform.mjs';
import { Engine, temporaryFolder } from './tael.mjs';

const configuration = `return { merchants = {
    ["demo.test"] = { name = "Demo", mode = "test", accounts = { ["alipay-demo"] = { channel = "alipay",
        environment = "sandbox", app_id = "2021000000000001", seller_id = "2088000000000001",
        key = "demo.alipay", alipay_key = "sandbox.alipay" } } },
    ["other.test"] = { name = "Other", mode = "test", accounts = { ["alipay-other"] = { channel = "alipay",
        environment = "sandbox", app_id = "2021000000000002", seller_id = "2088000000000002",
        key = "demo.alipay", alipay_key = "sandbox.alipay" } } },
} }`;

let engine, alipay, otherKey, orders = 0;
const order = () => `A${++orders}`;

/** A request over the engine's own socket, as its operator. */
const local = (method, target, { body, headers } = {}) => engine.operator(method, target, body, headers);

/** Bytes as they are, for what fetch would tidy up. */
function plain(method, target, headers = {}, body) {
    return new Promise((resolve, reject) => {
        const request = http.request({ host: '127.0.0.1', port: engine.ports.api, method, path: target, headers },
            (response) => {
                let text = '';
                response.on('data', (data) => { text += data; });
                response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
            });
        request.on('error', reject);
        request.end(body);
    });
}

/** The same for what no client would send: the answer, as { status, headers, body }, of a connection that ends. */
async function bytes(text) {
    let answer = '';
    await new Promise((resolve, reject) => {
        const socket = net.connect(engine.ports.api, '127.0.0.1', () => socket.write(text));
        socket.on('data', (data) => { answer += data; }).on('end', resolve).on('error', reject);
    });
    const [head, body] = answer.split('\r\n\r\n');
    const [line, ...fields] = head.split('\r\n');
    return { status: Number(line.split(' ')[1]), body: JSON.parse(body),
        headers: new Headers(fields.map((field) => field.split(': '))) };
}

before(async () => {
    const folder = temporaryFolder('api');
    fs.writeFileSync(path.join(folder, 'tael.lua'), configuration);
    engine = await new Engine({ folder }).start();
    await conform(engine);
    alipay = new Alipay(engine);
    const made = await local('POST', '/v1/merchants/other.test/api_keys', { body: { note: 'test' } });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    otherKey = made.body.key;
});
after(() => engine.remove());

const created = async (fields, options) => {
    const answer = await engine.create(order(), fields, options);
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
};

test('a payment has every documented field', async () => {
    const answer = await engine.create(order(), { metadata: { a: 'b' }, description: 'd' });
    assert.equal(answer.headers.get('location'), `/v1/payments/${answer.body.id}`);
    const names = ['id', 'object', 'merchant', 'livemode', 'merchant_order_id', 'state', 'reason', 'late', 'amount',
        'currency', 'captured_amount', 'refunded_amount', 'refundable_amount', 'authorized_amount', 'capture',
        'parallel', 'subject', 'description', 'channel', 'account', 'product', 'attempt', 'next_action', 'failure',
        'payer', 'return_url', 'expires_at', 'paid_at', 'closed_at', 'flow', 'generation', 'metadata', 'created_at',
        'updated_at', 'version'];
    for (const name of names) assert.ok(name in answer.body, `${name} is missing`);
    assert.deepEqual(answer.body, await engine.payment(answer.body.id));
    assert.deepEqual(answer.body.metadata, { a: 'b' });
});

test('the payer\'s network is shown, of either family', async () => {
    for (const [address, shown] of [['203.0.113.7', '203.0.113.0/24'], ['2001:db8:1:2::7', '2001:db8:1::/48']])
        assert.equal((await created({ payer: { client_ip: address } })).payer.client_ip, shown);
    const answer = await engine.create(order(), { payer: { client_ip: 'not an ip' } });
    assert.deepEqual([answer.status, answer.body.errors[0].pointer], [400, '/payer/client_ip']);
});

test('every answer carries a request id and the version', async () => {
    const seen = new Set();
    for (const target of ['/v1/payments', '/v1/nothing', '/v1/payments/x', '/healthz']) {
        const { headers } = await engine.get(target);
        assert.match(headers.get('tael-request-id'), /^req_[0-9A-HJKMNP-TV-Z]{26}$/);
        seen.add(headers.get('tael-request-id'));
    }
    assert.equal(seen.size, 4);
    const answer = await engine.get('/v1/payments', { headers: { 'tael-version': '2026-11-01' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('tael-version'), '2026-11-01');
    const unknown = await engine.get('/v1/payments', { headers: { 'tael-version': '2020-01-01' } });
    assert.deepEqual([unknown.status, unknown.body.code], [400, 'unsupported_version']);
});

test('so does what is refused before the API is asked, under the same name as by the API', async () => {
    const head = `Host: a\r\nAuthorization: Bearer ${engine.key}\r\nContent-Type: application/json\r\n`;
    const seen = new Set();
    for (const [text, status, code] of [
        ['GET /healthz HTTP/1.1\r\n\r\n', 400, 'invalid_header'],
        [`GET /${'a'.repeat(9000)} HTTP/1.1\r\n\r\n`, 414, 'uri_too_long'],
        [`GET /healthz HTTP/1.1\r\nHost: a\r\nA: ${'a'.repeat(9000)}\r\n\r\n`, 431, 'headers_too_large'],
        [`POST /v1/payments HTTP/1.1\r\n${head}Content-Length: 999999999\r\n\r\n`, 413, 'too_large'],
        [`POST /v1/payments HTTP/1.1\r\n${head}Content-Encoding: gzip\r\n\r\n`, 415, 'unsupported_media_type'],
        ['FOO /healthz HTTP/1.1\r\nHost: a\r\n\r\n', 501, 'method_not_allowed'],
        ['GET /healthz HTTP/1.1\r\nHost: a\r\n', 408, 'request_timeout'],
    ]) {
        const answer = await bytes(text), { body } = answer, id = answer.headers.get('tael-request-id');
        assert.deepEqual([answer.status, body.status, body.code], [status, status, code]);
        assert.match(id, /^req_[0-9A-HJKMNP-TV-Z]{26}$/, code);
        assert.equal(body.request_id, id);
        seen.add(id);
        const page = (await engine.get(`/problems/${code}`, { key: null })).text;
        assert.ok(page.includes(`${body.title} (HTTP `), `${body.title}: ${page}`);
    }
    assert.equal(seen.size, 7);
});

test('a target in absolute form asks for its path, whatever Host says', async () => { // RFC 9112 §3.2.2
    const fields = `Host: a\r\nConnection: close\r\nAuthorization: Bearer ${engine.key}\r\n\r\n`;
    for (const target of ['http://pay.example/v1/payments?limit=1', 'https://a:8443/v1/payments?limit=1']) {
        const answer = await bytes(`GET ${target} HTTP/1.1\r\n${fields}`);
        assert.deepEqual([answer.status, 'data' in answer.body], [200, true], target);
    }
    for (const [target, status] of [['http://a', 404], ['http://a?x=1', 404], ['http://u@a/v1/payments', 400],
        ['ftp://a/v1/payments', 400], ['http://a/v1/../v1/payments', 400]])
        assert.equal((await bytes(`GET ${target} HTTP/1.1\r\n${fields}`)).status, status, target);
});

test('a problem is whole and says nothing of the inside', async () => {
    const answer = await engine.create(order(), { amount: '12' });
    assert.equal(answer.headers.get('content-type'), 'application/problem+json');
    const { body } = answer;
    assert.equal(body.type, 'https://tael.dev/problems/invalid_field');
    assert.equal(body.instance, '/v1/payments');
    assert.equal(body.request_id, answer.headers.get('tael-request-id'));
    assert.equal(body.retriable, false);
    assert.equal(body.errors[0].pointer, '/amount');
    assert.doesNotMatch(answer.text, /\.lua|sqlite|stack/i);
    const page = await engine.get('/problems/invalid_field', { key: null });
    assert.equal(page.status, 200);
    assert.match(page.text, /HTTP 400/);
});

test('credentials: Bearer and Basic; anything else is 401 and says how', async () => {
    const basic = (text) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    assert.equal((await engine.get('/v1/payments', { key: null, headers: basic(`${engine.key}:`) })).status, 200);
    const wrong = [{}, basic(`${engine.key}:password`), basic('x:'), { authorization: 'Bearer' },
        { authorization: `Digest ${engine.key}` }, { authorization: `Bearer ${engine.key} x` },
        { authorization: `Bearer tael_live_${'0'.repeat(48)}` }, { authorization: `Bearer ${engine.key.toUpperCase()}` }];
    for (const headers of wrong) {
        const answer = await engine.get('/v1/payments', { key: null, headers });
        assert.equal(answer.status, 401, JSON.stringify(headers));
        assert.match(answer.headers.get('www-authenticate'), /^Bearer/);
    }
    const told = async (headers) => (await engine.get('/v1/payments', { key: null, headers })).body.detail;
    assert.match(await told({}), /as Bearer token, or as Basic user/);
    assert.match(await told(basic(`${engine.key}:password`)), /Basic user without a password/);
    // a key of another engine, one that is misspelt and none at all are the same to who guesses
    for (const key of [`${engine.key.slice(0, -1)}${engine.key.endsWith('x') ? 'y' : 'x'}`, `tael_live_${'0'.repeat(48)}`, 'x', otherKey.replace(/.$/, '')])
        for (const headers of [basic(`${key}:`), { authorization: `Bearer ${key}` }])
            assert.equal(await told(headers), 'This API key is not known to this engine.');
});

test('a foreign payment is as missing as one that never was', async () => {
    const payment = await created();
    await alipay.notify(payment);
    const [event] = await engine.events(payment.id);
    const never = `pay_${'0'.repeat(26)}`;
    for (const target of [`/v1/payments/${payment.id}`, `/v1/payments/${payment.id}/attempts`]) {
        const foreign = await engine.get(target, { key: otherKey });
        const missing = await engine.get(target.replace(payment.id, never), { key: otherKey });
        assert.equal(foreign.status, 404);
        const same = ({ request_id, instance, ...rest }) => rest;
        assert.deepEqual(same(foreign.body), same(missing.body));
    }
    assert.equal((await engine.get(`/v1/events/${event.id}`, { key: otherKey })).status, 404);
    assert.equal((await engine.get(`/v1/events/${event.id}`)).status, 200);
    const { data } = (await engine.get('/v1/payments?limit=100', { key: otherKey })).body;
    assert.deepEqual(data, []);
    const mine = (await engine.get(`/v1/notifications?payment=${payment.id}`)).body.data;
    assert.equal((await engine.get(`/v1/notifications/${mine[0].id}`, { key: otherKey })).status, 404);
    assert.deepEqual((await engine.get(`/v1/events?payment=${payment.id}`, { key: otherKey })).body.data, []);
    const theirs = await engine.create(order(), { account: 'alipay-demo' }, { key: otherKey });
    assert.deepEqual([theirs.status, theirs.body.errors[0].pointer], [400, '/account']);
});

test('an operator names the merchant when there are several', async () => {
    const none = await local('GET', '/v1/payments');
    assert.deepEqual([none.status, none.body.code], [400, 'invalid_header']);
    const some = await local('GET', '/v1/payments', { headers: { 'tael-merchant': 'demo.test' } });
    assert.equal(some.status, 200);
    assert.ok(some.body.data.length > 0);
    const wrong = await local('GET', '/v1/payments', { headers: { 'tael-merchant': 'nobody' } });
    assert.equal(wrong.status, 400);
});

test('the header that names a merchant means nothing over the network', async () => {
    const { data } = (await engine.get('/v1/payments', { key: otherKey, headers: { 'tael-merchant': 'demo.test' } })).body;
    assert.deepEqual(data, []);
});

test('paths are exact; those that could be read in two ways are refused', async () => {
    const headers = { authorization: `Bearer ${engine.key}` };
    for (const target of ['/v1/payments/', '/V1/payments', '/v1', '/', '/v1/payments/a/b', '/admin', '/metrics', '/-/banner', '/-/verify'])
        assert.equal((await plain('GET', target, headers)).status, 404, target);
    for (const target of ['/v1//payments', '/v1/../v1/payments', '/v1/%2e%2e/v1', '/v1/pay%2fments', '/v1/a%00', '/v1/a;b', '/v1/%zz'])
        assert.equal((await plain('GET', target, headers)).status, 400, target);
});

test('methods: HEAD where GET is, otherwise 405 and what is allowed', async () => {
    const payment = await created();
    const head = await plain('HEAD', `/v1/payments/${payment.id}`, { authorization: `Bearer ${engine.key}` });
    assert.deepEqual([head.status, head.text], [200, '']);
    for (const [method, target, allow] of [['DELETE', '/v1/payments', 'GET, HEAD, POST'],
        ['PUT', `/v1/payments/${payment.id}`, 'GET, HEAD, PATCH'], ['GET', '/notify/alipay/alipay-demo', 'POST']]) {
        const answer = await plain(method, target, { authorization: `Bearer ${engine.key}` });
        assert.deepEqual([answer.status, answer.headers.allow], [405, allow], target);
    }
});

test('bodies: only JSON, uncompressed, one object, once each name', async () => {
    const headers = { authorization: `Bearer ${engine.key}` };
    const good = JSON.stringify({ merchant_order_id: order(), amount: 1, currency: 'CNY', subject: 's', channel: 'alipay', product: 'page' });
    for (const [type, extra] of [['text/plain'], ['application/x-www-form-urlencoded'], [undefined],
        ['application/json; charset=gbk'], ['application/json', { 'content-encoding': 'gzip' }]]) {
        const answer = await plain('POST', '/v1/payments', { ...headers, ...(type ? { 'content-type': type } : {}), ...extra }, good);
        assert.equal(answer.status, 415, `${type} ${JSON.stringify(extra)}`);
    }
    const bad = ['', '[]', 'null', good.slice(0, -1), `${good}x`, good.replace('{', '{"amount":2,'), good.replace('"s"', '"\\ud800"'),
        `{"a":${'['.repeat(40)}${']'.repeat(40)}}`, good.replace('1,', '01,')];
    for (const body of bad) {
        const answer = await plain('POST', '/v1/payments', { ...headers, 'content-type': 'application/json' }, body);
        assert.equal(answer.status, 400, body);
        assert.equal(JSON.parse(answer.text).code, 'invalid_json', body);
    }
    const charset = await plain('POST', '/v1/payments', { ...headers, 'content-type': 'application/json; charset=UTF-8' }, good);
    assert.equal(charset.status, 201);
});

test('fields are checked to their limits', async () => {
    const refused = {
        '/subject': [{ subject: 'x'.repeat(129) }, { subject: 'a\nb' }, { subject: 1 }, { subject: 'a/b' }],
        '/amount': [{ amount: 1e15 }, { amount: -1 }, { amount: true }],
        '/currency': [{ currency: 'cny' }, { currency: 'USD' }, { currency: 'XAU' }],
        '/channel': [{ channel: 'nothing' }, { channel: ['alipay'] }],
        '/expires_in': [{ expires_in: 59 }, { expires_in: 1296001 }, { expires_in: '60' }],
        '/expires_at': [{ expires_at: '2020-01-01T00:00:00Z' }, { expires_at: 'soon' }, { expires_at: new Date(Date.now() + 600e3).toISOString(), expires_in: 60 }],
        '/return_url': [{ return_url: 'http://shop.example/' }, { return_url: 'https://u:p@shop.example/' }, { return_url: 'javascript:alert(1)' }, { return_url: `https://shop.example/${'x'.repeat(255)}` }],
        '/metadata': [{ metadata: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`k${i}`, 'v'])) }],
        '/metadata/a b': [{ metadata: { 'a b': 'v' } }],
        [`/metadata/${'a'.repeat(41)}`]: [{ metadata: { ['a'.repeat(41)]: 'v' } }],
        '/metadata/a': [{ metadata: { a: 1 } }, { metadata: { a: 'x'.repeat(501) } }],
        '/payer/ip': [{ payer: { ip: '1.2.3.4' } }],
        '/capture': [{ capture: 'manual' }],
        '/channel_options/paypal': [{ channel_options: { paypal: {} } }],
        '/channel_options/alipay/frm': [{ channel_options: { alipay: { frm: true } } }],
    };
    for (const [pointer, cases] of Object.entries(refused)) {
        for (const fields of cases) {
            const answer = await engine.create(order(), fields);
            assert.equal(answer.status, 400, `${JSON.stringify(fields)}: ${answer.text}`);
            assert.equal(answer.body.errors[0].pointer, pointer, answer.text);
        }
    }
});

test('an unknown name is quoted between its characters', async () => {
    const long = '支付'.repeat(40); // its 64th byte is in the middle of one
    const answer = await engine.create(order(), { [long]: 1 });
    assert.deepEqual([answer.status, answer.body.code], [400, 'unknown_field'], answer.text);
    assert.equal(answer.body.detail, `unknown field '${long.slice(0, 21)}'`);
    const nobody = await engine.get(`/v1/scripts/merchants/${encodeURIComponent(long)}/versions`, { key: await engine.newKey('demo.test', ['scripts:read']) });
    assert.deepEqual([nobody.status, nobody.body.detail], [404, `There is no merchant '${long.slice(0, 21)}'.`], nobody.text);
});

test('a key that came with an order that was there already means no other body from then on', async () => {
    const name = order(), headers = { 'idempotency-key': `late-${name}` };
    const first = await engine.create(name);
    for (let i = 0; i < 2; i++) {
        const again = await engine.create(name, {}, { headers });
        assert.deepEqual([again.status, again.body.id, again.headers.get('idempotency-replayed')], [201, first.body.id, 'true']);
    }
    const other = await engine.create(order(), {}, { headers });
    assert.deepEqual([other.status, other.body.code, other.body.existing], [422, 'idempotency_key_reused', first.body.id], other.text);
});

test('equal bodies are one request, however they are written', async () => {
    const name = order();
    const first = await engine.create(name, { description: null, metadata: { a: '1', b: '2' } });
    const again = await engine.create(name, { metadata: { b: '2', a: '1' } });
    assert.equal(again.body.id, first.body.id);
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
    const other = await engine.create(name, { metadata: { b: '2', a: '3' } });
    assert.equal(other.status, 409);
});

test('an idempotency key may be quoted, and must be visible ASCII', async () => {
    const name = order();
    const first = await engine.create(name, {}, { headers: { 'idempotency-key': '"q-1"' } });
    const again = await engine.create(name, {}, { headers: { 'idempotency-key': 'q-1' } });
    assert.equal(again.body.id, first.body.id);
    for (const key of ['x'.repeat(256), 'a b', '""'])
        assert.equal((await engine.create(order(), {}, { headers: { 'idempotency-key': key } })).body.code, 'invalid_header', key);
});

test('unknown parameters are refused with the nearest name', async () => {
    const answer = await engine.get('/v1/payments?limt=3');
    assert.deepEqual([answer.status, answer.body.code], [400, 'invalid_parameter']);
    assert.match(answer.body.detail, /did you mean 'limit'/);
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'state=nothing', 'limit=1&limit=2', 'state=%zz', 'created_after=x'])
        assert.equal((await engine.get(`/v1/payments?${query}`)).status, 400, query);
});

test('lists filter by what names a payment, by state and time', async () => {
    const payment = await created();
    const [attempt] = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data;
    const trade_no = `2026112522001402${Date.now()}`;
    await alipay.notify(payment, { trade_no });
    const ids = async (query) => (await engine.get(`/v1/payments?${query}`)).body.data.map((found) => found.id);
    assert.deepEqual(await ids(`merchant_order_id=${payment.merchant_order_id}`), [payment.id]);
    assert.deepEqual(await ids(`order_no=${attempt.order_no}`), [payment.id]);
    assert.deepEqual(await ids(`trade_no=${trade_no}`), [payment.id]);
    assert.deepEqual(await ids(`trade_no=${trade_no}&state=pending`), []);
    const keys = [`merchant_order_id=${payment.merchant_order_id}`, `order_no=${attempt.order_no}`, `trade_no=${trade_no}`];
    assert.deepEqual(await ids(`${keys.join('&')}&channel=alipay`), [payment.id]);
    const other = await created(), [another] = (await engine.get(`/v1/payments/${other.id}/attempts`)).body.data;
    for (const wrong of ['channel=wechatpay', `order_no=${another.order_no}`, 'order_no=none', 'trade_no=none'])
        assert.deepEqual(await ids(`${keys[0]}&${wrong}`), [], wrong);
    assert.deepEqual(await ids(`${keys[2]}&merchant_order_id=${other.merchant_order_id}`), []);
    const messages = async (query) => (await engine.get(`/v1/notifications?payment=${payment.id}&${query}`)).body.data.length;
    assert.deepEqual([await messages('channel=alipay'), await messages('channel=wechatpay')], [1, 0]);
    assert.equal((await ids('state=paid&limit=1'))[0], payment.id);
    assert.ok((await ids('channel=alipay')).includes(payment.id));
    assert.deepEqual(await ids('channel=wechatpay'), []);
    const { created_at } = payment;
    assert.deepEqual(await ids(`created_after=${created_at}&created_before=${new Date(Date.parse(created_at) + 1).toISOString()}`), [payment.id]);
    assert.ok(!(await ids(`created_before=${created_at}`)).includes(payment.id));
    for (const always of ['created_before=9999-12-31T23:59:59Z', 'created_before=2100-01-01T00:00:00Z',
        'created_after=0001-01-01T00:00:00Z', 'created_after=1950-01-01T00:00:00Z'])
        assert.deepEqual(await ids(`limit=1&${always}`), await ids('limit=1'), always);
    for (const never of ['created_after=2100-01-01T00:00:00Z', 'created_before=1900-01-01T00:00:00Z'])
        assert.deepEqual(await ids(never), [], never);
});

test('a cursor holds for one query and one merchant', async () => {
    for (let i = 0; i < 3; i++) await created();
    const { next_cursor } = (await engine.get('/v1/payments?limit=1')).body;
    const use = (query, options) => engine.get(`/v1/payments?${query}cursor=${encodeURIComponent(next_cursor)}`, options);
    assert.equal((await use('')).status, 200);
    for (const answer of [await use('state=paid&'), await use('', { key: otherKey }),
        await engine.get(`/v1/events?cursor=${encodeURIComponent(next_cursor)}`)])
        assert.deepEqual([answer.status, answer.body.code], [400, 'invalid_cursor']);
});

test('events after one come in the order of commits, nothing missed, nothing twice', async () => {
    const first = (await engine.get('/v1/events?limit=1')).body.data[0];
    const payments = [];
    for (let i = 0; i < 7; i++) payments.push(await created());
    const seen = [];
    let target = `/v1/events?after=${first.id}&limit=3`, next;
    do {
        const { body } = await engine.get(next ? `${target}&cursor=${encodeURIComponent(next)}` : target);
        seen.push(...body.data);
        next = body.next_cursor;
    } while (next);
    assert.deepEqual(seen.map((event) => event.data.id), payments.map((payment) => payment.id));
    assert.deepEqual(seen.map((event) => event.type), payments.map(() => 'payment.created'));
    await created({}, { key: otherKey });
    const theirs = (await engine.get('/v1/events?limit=1', { key: otherKey })).body.data[0];
    for (const query of ['', `&payment=${payments[0].id}`, '&wait=0']) {
        const foreign = await engine.get(`/v1/events?after=${theirs.id}${query}`);
        assert.deepEqual([foreign.status, foreign.body.errors], [400, [{ parameter: 'after', code: 'invalid_parameter',
            detail: 'after names no event of yours' }]], foreign.text);
    }
    const one = await engine.get(`/v1/events/${seen[0].id}`);
    assert.equal(one.body.sequence, 1);
    assert.match(one.body.chain.hash, /^[0-9a-f]{64}$/);
    assert.equal((await engine.get('/v1/events?type=payment.paid&limit=100')).body.data.every((event) => event.type === 'payment.paid'), true);
    assert.equal((await engine.get('/v1/events?after=evt_x')).status, 400);
});

test('expansion brings what hangs on a payment', async () => {
    const payment = await created();
    await alipay.notify(payment);
    const { body } = await engine.get(`/v1/payments/${payment.id}?expand=attempts,events,notifications`);
    assert.equal(body.attempts[0].id, payment.attempt);
    assert.deepEqual(body.events.map((event) => event.type), ['payment.paid', 'payment.created']);
    assert.equal(body.notifications[0].effect, 'applied');
    assert.equal((await engine.get(`/v1/payments/${payment.id}?expand=secrets`)).status, 400);
});

test('channels and accounts can be read, keys cannot', async () => {
    const [channel] = (await engine.get('/v1/channels')).body.data;
    assert.equal(channel.name, 'alipay');
    assert.equal(channel.products.page.next_action, 'redirect');
    const accounts = await engine.get('/v1/accounts');
    assert.deepEqual(accounts.body.data.map((account) => account.id), ['alipay-demo']);
    assert.doesNotMatch(accounts.text, /sandbox\.alipay|demo\.alipay/);
    assert.equal((await engine.get('/v1/accounts/alipay-other')).status, 404);
});

test('Accept that leaves no JSON is refused', async () => {
    for (const [accept, status] of [['text/html', 406], ['application/json;q=0', 406], ['*/*', 200], ['text/html, application/*;q=0.5', 200],
        ['application/json;q=0, */*', 406], ['*/*;q=0.1, application/json; q=0.000', 406], ['application/*;q=0, application/json', 200],
        ['*/*;q=0', 406], ['application/json;q=0;x=1', 406], ['application/json;q=0.01', 200],
        ['application/problem+json;q=0, application/*', 200], ['application/problem+json;q=0', 406], ['application/problem+json', 200]])
        assert.equal((await engine.get('/v1/payments', { headers: { accept } })).status, status, accept);
});

test('operations have a port of their own, without the API', async () => {
    const operations = async (target) => fetch(engine.operations + target);
    assert.equal(await (await operations('/healthz')).text(), 'ok\n');
    const ready = await (await operations('/readyz')).json();
    assert.equal(ready.ready, true);
    assert.deepEqual(ready.checks.map((check) => check.name), ['store', 'writer', 'scripts', 'clock', 'disk', 'keys']);
    const metrics = await engine.metrics();
    assert.match(metrics, /tael_http_requests_total\{method="POST",route="\/v1\/payments",status="201"\} \d+/);
    assert.match(metrics, /# TYPE tael_store_units gauge/);
    assert.equal((await (await operations('/v1/system')).json()).object, 'system');
    assert.equal((await operations('/v1/payments')).status, 404);
});

test('a notification for a channel or account that is not there is 404, all alike', async () => {
    const texts = new Set();
    for (const target of ['/notify/alipay/nobody', '/notify/wechatpay/alipay-demo', '/notify/x/y']) {
        const answer = await plain('POST', target, { 'content-type': 'application/x-www-form-urlencoded' }, 'a=b');
        assert.equal(answer.status, 404);
        texts.add(answer.text);
    }
    assert.equal(texts.size, 1);
});
