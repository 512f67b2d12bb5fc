// odd_channel.test.mjs - what a channel may say against its own word, what an anonymous sender may send, and what a
// late or robbed sealer leaves: nothing of it moves money wrongly, raises, is answered in two ways, or is overlooked.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { Engine, until } from './tael.mjs';

let engine, alipay, orders = 0;

before(async () => {
    engine = await new Engine({ env: { TAEL_AUDIT__SEAL_EVERY: '10s', TAEL_LIMITS__KEY: 'false' } }).start();
    alipay = new Alipay(engine);
});
after(() => engine.remove());

const created = async (fields) => {
    const answer = await engine.create(`O${++orders}`, fields);
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
};
const list = async (payment) => (await engine.get(`/v1/notifications?payment=${payment.id}`)).body.data;

test('another amount, said again, is answered as the first time and changes nothing', async () => {
    const payment = await created();
    const body = alipay.form(alipay.fields(payment, { total_amount: '12.35' }));
    assert.equal(await alipay.send(payment, body), 'success');
    const reviewed = await engine.payment(payment.id);
    assert.equal(reviewed.state, 'review');
    assert.equal(await alipay.send(payment, body), 'success');
    assert.deepEqual(await engine.payment(payment.id), reviewed);
    assert.equal((await engine.events(payment.id)).length, 2);
    const [again, first] = await list(payment);
    assert.equal(again.first, first.id, 'the repeat names the first');
});

test('another trade number neither ends an order nor hides its success', async () => {
    const payment = await created();
    const fields = alipay.fields(payment, { trade_status: 'WAIT_BUYER_PAY' });
    delete fields.gmt_payment;
    assert.equal(await alipay.send(payment, alipay.form(fields)), 'success');
    const closed = { ...fields, trade_status: 'TRADE_CLOSED', trade_no: '2026112522001499999999' };
    assert.equal(await alipay.send(payment, alipay.form(closed)), 'fail');
    assert.equal((await engine.payment(payment.id)).state, 'pending');
    const [refused] = await list(payment);
    assert.equal(refused.failed_check, 'order');
    assert.equal(await alipay.notify(payment, { trade_no: fields.trade_no }), 'success');
    const paid = await engine.payment(payment.id);
    assert.equal(paid.state, 'paid');
    assert.equal(paid.late, false);
});

test('names that are no text are refused like everything else, by the channel and by the API', async () => {
    const payment = await created();
    for (const body of ['%ff%fe=1', '%ff=1&%ff=2', 'sign_type=%ff'])
        assert.equal(await alipay.send(payment, body), 'fail', body);
    const { data } = (await engine.get('/v1/notifications?verdict=refused&limit=3')).body;
    assert.deepEqual(data.map((refused) => refused.failed_check), ['decode', 'decode', 'decode']);
    const query = await engine.get('/v1/payments?%ff=1');
    assert.equal(query.status, 400);
    assert.equal(query.body.code, 'invalid_parameter');
    assert.doesNotMatch(engine.process.output, /request\.failed/);
});

test('what an anonymous sender quotes is kept short', async () => {
    const payment = await created();
    await fetch(Alipay.page(payment).notify_url, {
        method: 'POST', body: 'a=1',
        headers: { 'content-type': `application/x-www-form-urlencoded; charset=${'x'.repeat(6000)}` },
    });
    const [refused] = (await engine.get('/v1/notifications?verdict=refused&limit=1')).body.data;
    assert.equal(refused.failed_check, 'decode');
    const { detail } = refused.checks.find((check) => check.name === 'decode');
    assert.match(detail, /^charset x+$/);
    assert.ok(detail.length <= 200, `${detail.length} characters`);
});

test("a payer's number that is not ASCII is taken and not shown", async () => {
    const payment = await created({ payer: { buyer_id: 'a中文中文' } });
    assert.equal(payment.payer.id_hint, null);
});

test('the payer comes back with the state before the fragment, and the return proves nothing', async () => {
    const payment = await created({ return_url: 'https://shop.example/done#order' });
    const page = Alipay.page(payment);
    const signed = alipay.form({
        app_id: page.app_id, out_trade_no: page.biz.out_trade_no, method: 'alipay.trade.page.pay.return',
        sign_type: 'RSA2', trade_no: '2026112522001400000001', total_amount: page.biz.total_amount,
    });
    const answer = await fetch(`${page.return_url}?${signed}`, { redirect: 'manual' });
    assert.equal(answer.headers.get('location'),
        `https://shop.example/done?payment_id=${payment.id}&state=pending#order`);
    assert.equal(await alipay.send(payment, signed), 'fail');
    assert.equal((await engine.payment(payment.id)).state, 'pending');
});

test('an event knows its seal also when very many came before the sealer', async () => {
    const wave = () => Promise.all(Array.from({ length: 100 }, () => created()));
    for (let i = 0; i < 22; i++) await wave();
    const { data: [last] } = (await engine.get('/v1/events?limit=1')).body;
    const seal = async (id) => (await engine.get(`/v1/events/${id}`)).body.chain.seal;
    await until('the last event is sealed', () => seal(last.id), 40);
    let cursor = '', unsealed = 0;
    for (;;) {
        const page = (await engine.get(`/v1/events?limit=100${cursor}`)).body;
        for (const event of page.data) if (!await seal(event.id)) unsealed++;
        if (!page.next_cursor) break;
        cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`;
    }
    assert.equal(unsealed, 0, `${unsealed} events without a seal`);
});

test('seals that were all removed are missed, though every chain holds', async () => {
    const robbed = await new Engine().start();
    await robbed.create('S1');
    const { data: [event] } = (await robbed.get('/v1/events')).body;
    await until('the event is sealed', async () => (await robbed.get(`/v1/events/${event.id}`)).body.chain.seal);
    await robbed.stop();
    assert.match(robbed.doctor().text, /^ok +seals/m);
    execFileSync('sqlite3', [path.join(robbed.folder, 'data/tael.db'), 'DELETE FROM seals']);
    const { text } = robbed.doctor();
    assert.match(text, /^fail +seals/m);
    assert.match(text, /^ok +chain/m);
    await robbed.remove();
});

test('a position of the sealer that is none is told as that, and all else is proved', async () => {
    const spoiled = await new Engine().start();
    await spoiled.create('S2');
    const { data: [event] } = (await spoiled.get('/v1/events')).body;
    await until('the event is sealed', async () => (await spoiled.get(`/v1/events/${event.id}`)).body.chain.seal);
    await spoiled.stop();
    execFileSync('sqlite3', [path.join(spoiled.folder, 'data/tael.db'), "UPDATE settings SET value = x'010203' WHERE name = 'sealed'"]);
    const { text } = spoiled.doctor();
    assert.match(text, /^fail +seals .*\n +all  settings  'sealed' has 3 bytes in the place of 8$/m);
    assert.match(text, /^ok +chain .*\nfail.*\n.*\nok +rebuild/m);
    await spoiled.remove();
});
