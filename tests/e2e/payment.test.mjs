// payment.test.mjs - one payment through the whole engine, over real sockets.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { Engine, until } from './tael.mjs';

let engine, alipay;
let orders = 0;
const order = () => `P${++orders}`;

before(async () => {
    engine = await new Engine().start();
    alipay = new Alipay(engine);
});
after(() => engine.remove());

const created = async (fields) => {
    const answer = await engine.create(order(), fields);
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
};

/** Verdict and failed check of the newest notification of a list query. */
const newest = async (query) => (await engine.get(`/v1/notifications?${query}&limit=1`)).body.data[0];

test('a payment is created, paid on the page, notified and queried', async () => {
    const payment = await created();
    assert.equal(payment.state, 'pending');
    assert.equal(payment.next_action.type, 'redirect');
    const page = await fetch(payment.next_action.url);
    assert.equal(page.status, 200);
    const number = Alipay.page(payment).biz.out_trade_no;
    await fetch(`${engine.sandbox}/sandbox/trades/${number}/pay`, { method: 'POST' });
    const paid = await until('the payment is paid', async () => {
        const now = await engine.payment(payment.id);
        return now.state === 'paid' && now;
    });
    assert.equal(paid.captured_amount, 1234);
    assert.equal(paid.next_action, null);
    const types = (await engine.events(payment.id)).map((event) => event.type);
    assert.deepEqual(types.sort(), ['payment.created', 'payment.paid'].sort(), types.join());
    const [attempt] = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data;
    assert.equal(attempt.state, 'succeeded');
    assert.match(attempt.evidence, /^ntf_/);
    const notification = (await engine.get(`/v1/notifications/${attempt.evidence}`)).body;
    assert.equal(notification.verdict, 'pass');
    assert.equal(notification.effect, 'applied');
    assert.equal(notification.payment, payment.id);
});

test('a duplicate gets the same answer and changes nothing', async () => {
    const payment = await created();
    const body = alipay.form(alipay.fields(payment));
    assert.equal(await alipay.send(payment, body), 'success');
    const before = await engine.payment(payment.id);
    assert.equal(before.state, 'paid');
    assert.equal(await alipay.send(payment, body), 'success');
    assert.deepEqual(await engine.payment(payment.id), before);
    assert.equal((await engine.events(payment.id)).length, 2);
});

test('64 notifications at once make one transition and one event', async () => {
    const payment = await created();
    const body = alipay.form(alipay.fields(payment));
    const answers = await Promise.all(Array.from({ length: 64 }, () => alipay.send(payment, body)));
    assert.deepEqual([...new Set(answers)], ['success']);
    const paid = await engine.payment(payment.id);
    assert.equal(paid.state, 'paid');
    assert.equal(paid.version, 2);
    assert.deepEqual((await engine.events(payment.id)).map((event) => event.type).sort(),
        ['payment.created', 'payment.paid']);
});

const refused = {
    tampered: { check: 'signature', send: (payment) => alipay.notify(payment, {}, { total_amount: '0.01' }) },
    'of a foreign application': { check: 'identity', send: (payment) => alipay.notify(payment, { app_id: '2021009999999999' }) },
    'of another seller': { check: 'identity', send: (payment) => alipay.notify(payment, { seller_id: '2088999999999999' }) },
    'for an order we do not know': { check: 'order', send: (payment) => alipay.notify(payment, { out_trade_no: '0'.repeat(26) }) },
    'signed with another algorithm': { check: 'algorithm', send: (payment) => alipay.notify(payment, { sign_type: 'RSA' }) },
    'without a signature': { check: 'form', send: (payment) => alipay.send(payment, new URLSearchParams(alipay.fields(payment)).toString()) },
    'with a doubled parameter': { check: 'decode', send: (payment) => alipay.send(payment, `${alipay.form(alipay.fields(payment))}&total_amount=0.01`) },
    'with a broken escape': { check: 'decode', send: (payment) => alipay.send(payment, `${alipay.form(alipay.fields(payment))}&x=%zz`) },
};

for (const [what, { check, send }] of Object.entries(refused)) {
    test(`a notification ${what} changes nothing`, async () => {
        const payment = await created();
        const counted = async () => (await engine.metrics())
            .match(new RegExp(`tael_notifications_total\\{[^}]*check="${check}"[^}]*\\} (\\d+)`))?.[1] ?? '0';
        const before = Number(await counted());
        assert.equal(await send(payment), 'fail');
        assert.deepEqual(await engine.payment(payment.id), payment);
        assert.equal((await engine.events(payment.id)).length, 1);
        assert.ok(Number(await counted()) > before, `the verdict is not counted under check ${check}`);
    });
}

test('another amount, though signed, puts the payment under review', async () => {
    const payment = await created();
    assert.equal(await alipay.notify(payment, { total_amount: '12.33' }), 'success');
    const now = await engine.payment(payment.id);
    assert.equal(now.state, 'review');
    assert.equal(now.reason, 'amount_mismatch');
    assert.equal(now.captured_amount, 0);
    const notification = await newest(`payment=${payment.id}`);
    assert.equal(notification.effect, 'review');
});

test('a trade number that belongs to another order pays nothing', async () => {
    const first = await created(), second = await created();
    const trade_no = `2026112522001400${Date.now()}`;
    assert.equal(await alipay.notify(first, { trade_no }), 'success');
    assert.equal((await engine.payment(first.id)).state, 'paid');
    await alipay.notify(second, { trade_no });
    assert.notEqual((await engine.payment(second.id)).state, 'paid');
});

test('an old notification, sent again later, changes nothing', async () => {
    const payment = await created();
    const old = alipay.form(alipay.fields(payment, { trade_status: 'WAIT_BUYER_PAY' }));
    await alipay.notify(payment);
    const paid = await engine.payment(payment.id);
    assert.equal(paid.state, 'paid');
    await alipay.send(payment, old);
    assert.deepEqual(await engine.payment(payment.id), paid);
});

test('a notification older than the order could be is refused at the window', async () => {
    const payment = await created();
    assert.equal(await alipay.notify(payment, { notify_time: '2020-01-15 10:20:30' }), 'fail');
    assert.deepEqual(await engine.payment(payment.id), payment);
});

test('a word that the channel does not define makes the attempt unknown', async () => {
    const payment = await created();
    const trade_no = `2026112522001401${Date.now()}`;
    await alipay.notify(payment, { trade_no, trade_status: 'TRADE_TELEPORTED' });
    const [attempt] = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data;
    assert.equal(attempt.state, 'unknown');
    assert.equal((await engine.payment(payment.id)).state, 'pending');
    await until('a person is told', () => /"event":"alarm".*"kind":"unknown_word"/.test(engine.process.output));
    assert.equal(await alipay.notify(payment, { trade_no }), 'success');
    assert.equal((await engine.payment(payment.id)).state, 'paid');
});

test('twins of one create make one payment', async () => {
    const name = order();
    const answers = await Promise.all(Array.from({ length: 16 }, () => engine.create(name)));
    assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [201]);
    assert.equal(new Set(answers.map((answer) => answer.body.id)).size, 1);
    assert.equal(answers.filter((answer) => answer.headers.get('idempotency-replayed') === 'true').length, 15);
    assert.equal(new Set(answers.map((answer) => answer.body.next_action.url)).size, 1);
});

test('an idempotency key belongs to one body', async () => {
    const headers = { 'idempotency-key': 'key-1' };
    const name = order();
    const first = await engine.create(name, {}, { headers });
    const again = await engine.create(name, {}, { headers });
    assert.equal(again.body.id, first.body.id);
    const other = await engine.create(order(), { amount: 99 }, { headers });
    assert.equal(other.status, 422);
    assert.equal(other.body.code, 'idempotency_key_reused');
    const taken = await engine.create(name, { amount: 99 });
    assert.equal(taken.status, 409);
    assert.equal(taken.body.code, 'merchant_order_id_taken');
    assert.equal(taken.body.existing, first.body.id);
});

test('bad input names the field and changes nothing', async () => {
    const cases = [
        [{ amount: 12.5 }, '/amount'], [{ amount: '12' }, '/amount'], [{ amount: 0 }, '/amount'],
        [{ currency: 'XXQ' }, '/currency'], [{ curency: 'CNY' }, '/curency'], [{ subject: '' }, '/subject'],
        [{ merchant_order_id: 'with blank' }, '/merchant_order_id'], [{ product: 'telepathy' }, '/product'],
    ];
    for (const [fields, pointer] of cases) {
        const answer = await engine.create(order(), fields);
        assert.equal(answer.status, 400, `${JSON.stringify(fields)}: ${answer.text}`);
        assert.equal(answer.body.errors[0].pointer, pointer, answer.text);
        assert.ok(answer.body.detail.length > 10);
    }
});

test('a stranger sees nothing', async () => {
    const payment = await created();
    assert.equal((await engine.get(`/v1/payments/${payment.id}`, { key: null })).status, 401);
    assert.equal((await engine.get(`/v1/payments/${payment.id}`, { key: `${engine.key.slice(0, -1)}${engine.key.endsWith('x') ? 'y' : 'x'}` })).status, 401);
    assert.equal((await engine.get(`/v1/payments/pay_${'0'.repeat(26)}`)).status, 404);
});

test('lists come newest first, page by page', async () => {
    const ids = [];
    for (let i = 0; i < 5; i++) ids.unshift((await created()).id);
    const first = (await engine.get('/v1/payments?limit=3')).body;
    const second = (await engine.get(`/v1/payments?limit=2&cursor=${encodeURIComponent(first.next_cursor)}`)).body;
    assert.deepEqual([...first.data, ...second.data].map((payment) => payment.id), ids);
    const forged = await engine.get('/v1/payments?limit=2&cursor=AAAA');
    assert.equal(forged.status, 400);
    assert.equal(forged.body.code, 'invalid_cursor');
});
