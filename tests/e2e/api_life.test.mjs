// api_life.test.mjs - what moves a payment over the HTTP API: metadata, close, cancel, sync, attempts, a person's decision;
// QR codes; what only the operator may do.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { conform } from './conform.mjs';
import { askOperator, Engine, sleep, until } from './tael.mjs';

let engine, alipay, document, orders = 0;
const order = () => `L${++orders}`;

before(async () => {
    engine = await new Engine({ env: { TAEL_LIMITS__KEY: 'false' } }).start();
    document = await conform(engine);
    alipay = new Alipay(engine);
});
after(() => engine.remove());

/** A request over the engine's own socket, as its operator; held against the document like all others. */
async function local(method, target, body) {
    const answer = await engine.operator(method, target, body);
    document.check(method, target, answer);
    return answer;
}

const created = async (fields) => {
    const answer = await engine.create(order(), fields);
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
};
const orderNumber = async (payment) => (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data[0].order_no;
const payer = async (payment, action) => {
    const answer = await fetch(`${engine.sandbox}/sandbox/trades/${await orderNumber(payment)}/${action}`, { method: 'POST' });
    assert.equal(answer.status, 200, await answer.text());
};
const apart = () => sleep(1100); // two calls about one order are a second apart
const act = (payment, what, body, options) => engine.post(`/v1/payments/${payment.id}/${what}`, body, options);

test('metadata that has changed often enough stays as it is', async () => {
    const payment = await created();
    const patch = (n) => engine.request('PATCH', `/v1/payments/${payment.id}`, { body: { metadata: { n: String(n) } } });
    for (let n = payment.version; n < 500; n++) {
        const { status, text } = await patch(n);
        assert.equal(status, 200, text);
    }
    const more = await patch(500);
    assert.deepEqual([more.status, more.body.code], [409, 'state_conflict'], more.text);
    assert.match(more.body.detail, /has 500 events/);
    assert.equal((await patch(499)).status, 200, 'what changes nothing');
    assert.equal((await engine.payment(payment.id)).metadata.n, '499');
    assert.equal((await engine.post(`/v1/payments/${payment.id}/close`)).status, 202, 'its life goes on');
});

test('metadata is merged, null removes, in every state', async () => {
    const payment = await created({ metadata: { a: '1', b: '2' } });
    const patch = (metadata, options) => engine.request('PATCH', `/v1/payments/${payment.id}`, { body: { metadata }, ...options });
    const merged = await patch({ b: null, c: '3' });
    assert.equal(merged.status, 200, merged.text);
    assert.deepEqual(merged.body.metadata, { a: '1', c: '3' });
    assert.equal(merged.body.version, payment.version + 1);
    await alipay.notify(payment);
    assert.deepEqual((await patch({ a: null, c: null })).body.metadata, {});
    assert.deepEqual((await engine.payment(payment.id)).metadata, {});
    assert.equal((await engine.payment(payment.id)).state, 'paid');
    const nothing = await patch({});
    assert.equal(nothing.body.version, (await engine.payment(payment.id)).version);
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, 'v']));
    assert.equal((await patch(many)).status, 200);
    for (const [wrong, pointer] of [[{ k20: 'v' }, '/metadata'], [{ 'a b': 'v' }, '/metadata/a b'], [{ a: 1 }, '/metadata/a']]) {
        const answer = await patch(wrong);
        assert.deepEqual([answer.status, answer.body.errors[0].pointer], [400, pointer], answer.text);
    }
    const other = await engine.request('PATCH', `/v1/payments/${payment.id}`, { body: { subject: 'x', metadata: {} } });
    assert.deepEqual([other.status, other.body.code], [400, 'unknown_field']);
    assert.equal((await engine.request('PATCH', `/v1/payments/${payment.id}`, { body: {} })).body.code, 'missing_field');
});

test('a name that nobody knows is quoted whatever it is', async () => {
    const name = `ab${'中'.repeat(30)}`;
    const unknown = await engine.request('POST', '/v1/payments', { body: { [name]: 1 } });
    assert.deepEqual([unknown.status, unknown.body.detail], [400, `unknown field 'ab${'中'.repeat(20)}'`], unknown.text);
    for (const [bytes, told] of [[Buffer.from(name), `ab${'中'.repeat(20)}`], [Buffer.from([0x61, 0xff]), 'a?']]) {
        const answer = await askOperator(engine.folder, 'GET', '/v1/payments', undefined, { 'tael-merchant': bytes.toString('latin1') });
        assert.deepEqual([answer.status, answer.body.detail], [400, `There is no merchant '${told}'.`], answer.text);
    }
});

test('what is noted on a closed payment does not change when it was closed', async () => {
    const payment = await created();
    await alipay.notify(payment, { trade_status: 'TRADE_CLOSED', gmt_payment: '' });
    const closed = await engine.payment(payment.id);
    assert.deepEqual([closed.state, closed.closed_at], ['closed', closed.updated_at]);
    await sleep(5);
    const noted = (await engine.request('PATCH', `/v1/payments/${payment.id}`, { body: { metadata: { a: '1' } } })).body;
    assert.notEqual(noted.updated_at, closed.updated_at);
    const [event] = await engine.events(payment.id);
    const [listed] = (await engine.get(`/v1/payments?merchant_order_id=${payment.merchant_order_id}`)).body.data;
    for (const view of [noted, event.data, listed]) assert.equal(view.closed_at, closed.closed_at);
});

test('a body that says more than the path is refused, none or {} is fine', async () => {
    const payment = await created();
    assert.equal((await act(payment, 'sync', {})).status, 200);
    const wrong = await act(payment, 'sync', { reason: 'x' });
    assert.deepEqual([wrong.status, wrong.body.code], [400, 'unknown_field']);
    assert.equal((await act(payment, 'close', '[]')).status, 400);
    assert.equal((await act({ id: `pay_${'0'.repeat(26)}` }, 'close')).status, 404);
});

test('close ends an order that nobody has paid, and may be repeated', async () => {
    const payment = await created({ product: 'qr' });
    await payer(payment, 'scan');
    await apart();
    const answer = await act(payment, 'close');
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([answer.body.state, answer.body.reason, answer.body.closing, answer.body.next_action], ['closed', 'merchant', false, null]);
    assert.equal((await act(payment, 'close')).body.state, 'closed');
});

test('an order that was not opened yet cannot be closed at once: 202, closing', async () => {
    const payment = await created({ product: 'qr' });
    const answer = await act(payment, 'close');
    assert.deepEqual([answer.status, answer.body.state, answer.body.closing, answer.body.next_action], [202, 'pending', true, null], answer.text);
    assert.equal((await engine.payment(payment.id)).closing, true);
    assert.equal((await fetch(`${engine.url}/qr/${payment.id}.svg`)).status, 404);
});

test('money that came first makes it paid, and paid cannot be closed', async () => {
    const payment = await created({ product: 'qr' });
    await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST', body: JSON.stringify({ notify: false }) });
    await payer(payment, 'pay');
    await apart();
    const answer = await act(payment, 'close');
    assert.deepEqual([answer.status, answer.body.state, answer.body.closing], [200, 'paid', false], answer.text);
    await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST', body: JSON.stringify({ notify: true }) });
});

test('sync asks the channel now', async () => {
    const payment = await created({ product: 'qr' });
    await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST', body: JSON.stringify({ notify: false }) });
    await payer(payment, 'pay');
    await apart();
    assert.equal((await act(payment, 'sync')).body.state, 'paid');
    await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST', body: JSON.stringify({ notify: true }) });
});

test('cancel reverses the order', async () => {
    const payment = await created({ product: 'qr' });
    await payer(payment, 'scan');
    const answer = await act(payment, 'cancel');
    assert.ok([200, 202].includes(answer.status), answer.text);
    const done = await until('the payment is closed', async () => {
        const now = await engine.payment(payment.id);
        return now.state === 'closed' ? now : null;
    });
    assert.equal(done.closing, false);
});

test('another attempt: the open one is answered as it is, a second one needs refund_surplus', async () => {
    const payment = await created({ product: 'qr' });
    const same = await act(payment, 'attempts', { product: 'qr' });
    assert.deepEqual([same.status, same.body.attempt], [200, payment.attempt], same.text);
    const refused = await act(payment, 'attempts', { product: 'page' });
    assert.deepEqual([refused.status, refused.body.code, refused.body.retriable], [409, 'attempt_open', true], refused.text);
    const free = await created({ product: 'qr', parallel: 'refund_surplus' });
    const second = await act(free, 'attempts', { product: 'page' });
    assert.equal(second.status, 201, second.text);
    assert.notEqual(second.body.attempt, free.attempt);
    assert.equal(second.body.next_action.type, 'redirect');
    assert.equal((await fetch(free.next_action.svg_url)).status, 200, 'the code that he has before him can still be paid');
    for (const [product, first] of [['qr', free], ['page', second.body]]) { // back to what he has seen before
        const back = await act(free, 'attempts', { product });
        assert.deepEqual([back.status, back.body.attempt, back.body.product, back.body.next_action],
            [200, first.attempt, product, first.next_action], back.text);
    }
    assert.equal((await engine.get(`/v1/payments/${free.id}/attempts`)).body.data.length, 2);
});

test('the timeline has a message and its repeats, refused ones by their check', async () => {
    const payment = await created();
    const fields = alipay.fields(payment), form = alipay.form(fields);
    for (let i = 0; i < 3; i++) assert.equal(await alipay.send(payment, form), 'success');
    await alipay.send(payment, alipay.form({ ...fields, notify_id: 'another', total_amount: '0.01' }));
    const { entries } = (await engine.get(`/v1/payments/${payment.id}/timeline`)).body;
    const [applied, wrong] = entries.filter((entry) => entry.kind === 'notification');
    assert.deepEqual([applied.facts.verdict, applied.facts.effect, wrong.facts.failed_check], ['pass', 'applied', 'amount']);
    const repeats = entries.filter((entry) => entry.kind === 'repeat');
    assert.equal(repeats.length, 1);
    assert.deepEqual([repeats[0].facts.first, repeats[0].facts.count], [applied.id, 2]);
    assert.ok(repeats[0].facts.last_at >= repeats[0].at);
    const paid = entries.find((entry) => entry.facts.type === 'payment.paid');
    assert.equal(paid.facts.evidence, applied.id);
    assert.deepEqual([paid.facts.payment.state, paid.facts.attempt.state], ['paid', 'succeeded']);
    assert.equal((await engine.get('/v1/payments/pay_x/timeline')).status, 404);
});

test('a stored message is run again: what it did already stays as it is', async () => {
    const payment = await created();
    await alipay.notify(payment);
    const [first] = (await engine.get(`/v1/notifications?payment=${payment.id}`)).body.data;
    const before = await engine.payment(payment.id);
    const again = await engine.post(`/v1/notifications/${first.id}/replay`);
    assert.equal(again.status, 200, again.text);
    assert.deepEqual([again.body.verdict, again.body.effect, again.body.raw_sha256], ['pass', 'none', first.raw_sha256]);
    assert.deepEqual(await engine.payment(payment.id), before);
    assert.equal((await engine.post(`/v1/notifications/ntf_${'0'.repeat(26)}/replay`)).status, 404);
});

test('a review is decided by the operator alone', async () => {
    const payment = await created();
    await alipay.notify(payment, { total_amount: '0.01' });
    assert.equal((await engine.payment(payment.id)).state, 'review');
    const decision = { decision: 'closed', note: 'a test' };
    const key = await act(payment, 'review', decision);
    assert.deepEqual([key.status, key.body.code], [403, 'forbidden']);
    const wrong = await local('POST', `/v1/payments/${payment.id}/review`, { decision: 'gone', note: 'x' });
    assert.deepEqual([wrong.status, wrong.body.errors[0].pointer], [400, '/decision']);
    const conflict = await local('POST', `/v1/payments/${payment.id}/review`, { decision: 'paid', note: 'x' });
    assert.deepEqual([conflict.status, conflict.body.code, conflict.body.state], [409, 'state_conflict', 'review'], conflict.text);
});

test('a key may do what it was made for; admin decides about reviews', async () => {
    const make = async (body) => (await local('POST', '/v1/merchants/demo.test/api_keys', body)).body;
    const reader = await make({ note: 'reports', scopes: ['payments:read'] });
    assert.deepEqual([reader.note, reader.scopes], ['reports', ['payments:read']]);
    const payment = await created();
    assert.equal((await engine.get(`/v1/payments/${payment.id}`, { key: reader.key })).status, 200);
    for (const [target, body] of [['close'], ['refunds', { merchant_refund_id: 'x' }], ['review', { decision: 'paid', note: 'x' }]]) {
        const answer = await act(payment, target, body, { key: reader.key });
        assert.deepEqual([answer.status, answer.body.code], [403, 'forbidden'], target);
    }
    const usual = await make();
    assert.deepEqual(usual.scopes, ['payments:read', 'payments:write', 'refunds:write']);
    const person = await make({ scopes: ['payments:read', 'admin'] });
    const decided = await act(payment, 'review', { decision: 'closed', note: 'x' }, { key: person.key });
    assert.deepEqual([decided.status, decided.body.code, decided.body.state], [409, 'state_conflict', 'pending'], decided.text);
    const wrong = await local('POST', '/v1/merchants/demo.test/api_keys', { scopes: ['everything'] });
    assert.deepEqual([wrong.status, wrong.body.errors[0].pointer], [400, '/scopes']);
});

/** Dark modules of an SVG of ours, as the pixels of a portable bitmap. */
function bitmap(svg, scale = 6) {
    const [, size] = /viewBox="0 0 (\d+) \1"/.exec(svg).map(Number);
    const rows = Array.from({ length: size * scale }, () => new Uint8Array(size * scale));
    for (const [, x, y, width] of [...svg.matchAll(/M(\d+) (\d+)h(\d+)v1h-\3z/g)].map((match) => match.map(Number)))
        for (let row = y * scale; row < (y + 1) * scale; row++) rows[row].fill(1, x * scale, (x + width) * scale);
    return { size, text: `P1\n${size * scale} ${size * scale}\n${rows.map((row) => row.join(' ')).join('\n')}\n` };
}

test('the picture of a QR code holds the code, with its quiet zone', async () => {
    const payment = await created({ product: 'qr' });
    const { svg_url, code_url } = payment.next_action;
    assert.equal(svg_url, `${engine.url}/qr/${payment.id}.svg`);
    const answer = await engine.get(`/qr/${payment.id}.svg`, { key: null });
    assert.deepEqual([answer.status, answer.headers.get('content-type'), answer.headers.get('cache-control')],
        [200, 'image/svg+xml', 'no-store']);
    assert.equal(answer.headers.get('content-security-policy'), "default-src 'none'");
    assert.match(answer.text, /shape-rendering="crispEdges"/);
    const { size, text } = bitmap(answer.text);
    const dark = [...answer.text.matchAll(/M(\d+) (\d+)h(\d+)v1h/g)].map((match) => match.map(Number));
    assert.equal(Math.min(...dark.map(([, x]) => x)), 4);
    assert.equal(Math.min(...dark.map(([,, y]) => y)), 4);
    assert.equal(Math.max(...dark.map(([, x,, width]) => x + width)), size - 4);
    const file = path.join(engine.folder, 'code.pbm');
    fs.writeFileSync(file, text);
    const scanned = spawnSync('zbarimg', ['--quiet', '--raw', file], { encoding: 'utf8' });
    assert.equal(scanned.stdout?.trim(), code_url, scanned.stderr ?? String(scanned.error));
});

test('there is a picture only while there is something to scan', async () => {
    const page = await created();
    const paid = await created({ product: 'qr' });
    await payer(paid, 'pay');
    await until('it is paid', async () => (await engine.payment(paid.id)).state === 'paid');
    for (const id of [page.id, paid.id, `pay_${'0'.repeat(26)}`, 'x'])
        assert.equal((await engine.get(`/qr/${id}.svg`, { key: null })).status, 404, id);
});

test('a further order that there is no time left for is told as that, not as a field of the request', async () => {
    const payment = await created({ expires_in: 90, parallel: 'refund_surplus' });
    await engine.advance(40);
    const answer = await act(payment, 'attempts', { channel: 'alipay', product: 'qr' });
    assert.deepEqual([answer.status, answer.body.code, answer.body.errors], [409, 'state_conflict', undefined], answer.text);
    assert.match(answer.body.detail, /^no order of this payment can be made now: alipay: an order must live 1m to 2h/);
    const wrong = await act(payment, 'attempts', { channel: 'alipay', product: 'wap' });
    assert.deepEqual([wrong.status, wrong.body.errors[0].pointer], [400, '/product'], wrong.text);
});

test('the clock of development mode goes ahead, and what comes due is done', async () => {
    const payment = await created({ expires_in: 600 });
    const answer = await local('POST', '/v1/system/clock', { advance_in: 1200 });
    assert.deepEqual([answer.status, answer.body.object, answer.body.advanced_in], [200, 'clock', 1200], answer.text);
    assert.ok(Date.parse(answer.body.now) > Date.now() + 1190e3);
    assert.ok(answer.body.fired >= 1, answer.text);
    const closed = await until('the payment has expired', async () => {
        const now = await engine.payment(payment.id);
        return now.state === 'closed' ? now : null;
    });
    assert.equal(closed.reason, 'expired');
    for (const wrong of [{}, { advance_in: 0 }, { advance_in: '1' }, { advance_in: 1.5 }, { advance_ms: 1 }])
        assert.equal((await local('POST', '/v1/system/clock', wrong)).status, 400, JSON.stringify(wrong));
    assert.equal((await engine.post('/v1/system/clock', { advance_in: 1 })).status, 404, 'not over the network');
});
