// api_refunds.test.mjs - refunds over the HTTP API: keys, races, sums, lists, scopes, problems; and what is seen of them
// elsewhere: the payment, its timeline, its events. The channel is the sandbox.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { conform } from './conform.mjs';
import { Engine, sleep, temporaryFolder, until } from './tael.mjs';

const account = (id) => `{ channel = "alipay", environment = "sandbox", app_id = "202100000000000${id}",
    seller_id = "208800000000000${id}", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
const merchants = `return { merchants = { ["demo.test"] = { mode = "test", accounts = { ["alipay-demo"] = ${account(1)} } },
    ["other.test"] = { mode = "test", accounts = { ["alipay-other"] = ${account(2)} } } } }`;

let engine, otherKey, orders = 0;
const order = () => `R${++orders}`;

before(async () => {
    const folder = temporaryFolder('refunds');
    fs.writeFileSync(path.join(folder, 'tael.lua'), merchants);
    engine = await new Engine({ folder, env: { TAEL_LIMITS__KEY: 'false' } }).start();
    await conform(engine);
    otherKey = (await engine.operator('POST', '/v1/merchants/other.test/api_keys', {})).body.key;
    assert.match(otherKey, /^tael_test_/);
});
after(() => engine.remove());

/** A payment by QR code whose simulated payer has paid. */
async function paid(amount = 1234) {
    const { body, status, text } = await engine.create(order(), { product: 'qr', amount });
    assert.equal(status, 201, text);
    const [attempt] = (await engine.get(`/v1/payments/${body.id}/attempts`)).body.data;
    const lever = await fetch(`${engine.sandbox}/sandbox/trades/${attempt.order_no}/pay`, { method: 'POST' });
    assert.equal(lever.status, 200, await lever.text());
    return until('the payment is paid', async () => {
        const payment = await engine.payment(body.id);
        return payment.state === 'paid' ? payment : null;
    });
}
const refund = (payment, fields, options) => engine.post(`/v1/payments/${payment.id}/refunds`, fields, options);
const settled = (id) => until('the refund has settled', async () => {
    const { body } = await engine.get(`/v1/refunds/${id}`);
    return ['succeeded', 'failed', 'abnormal'].includes(body.state) ? body : null;
}, 60);

test('a refund is made, sent and settled, and the payment shows it', async () => {
    const payment = await paid();
    const answer = await refund(payment, { amount: 500, merchant_refund_id: order(), reason: 'size' });
    assert.equal(answer.status, 201, answer.text);
    assert.equal(answer.headers.get('location'), `/v1/refunds/${answer.body.id}`);
    assert.equal(answer.headers.get('idempotency-replayed'), null);
    assert.deepEqual([answer.body.amount, answer.body.currency, answer.body.reason, answer.body.payment],
        [500, 'CNY', 'size', payment.id]);
    const done = await settled(answer.body.id);
    assert.equal(done.state, 'succeeded');
    assert.ok(done.succeeded_at);
    const now = await engine.payment(payment.id);
    assert.deepEqual([now.state, now.captured_amount, now.refunded_amount, now.refundable_amount], ['paid', 1234, 500, 734]);
    const { body } = await engine.get(`/v1/payments/${payment.id}?expand=refunds,attempts`);
    assert.deepEqual(body.refunds.map((found) => found.id), [done.id]);
    assert.equal(body.attempts[0].id, done.attempt);
});

test('without an amount all that is left goes back', async () => {
    const payment = await paid(1000);
    const first = await refund(payment, { amount: 1, merchant_refund_id: order() });
    const rest = await refund(payment, { merchant_refund_id: order() });
    assert.equal(rest.body.amount, 999);
    await settled(first.body.id);
    await settled(rest.body.id);
    const now = await engine.payment(payment.id);
    assert.deepEqual([now.refunded_amount, now.refundable_amount, now.state], [1000, 0, 'paid']);
});

test('a key makes one refund, by number or by header; another body is another request', async () => {
    const payment = await paid();
    const number = order();
    const first = await refund(payment, { amount: 10, merchant_refund_id: number });
    const again = await refund(payment, { merchant_refund_id: number, amount: 10 });
    assert.deepEqual([again.status, again.body.id, again.headers.get('idempotency-replayed')], [201, first.body.id, 'true']);
    const taken = await refund(payment, { amount: 11, merchant_refund_id: number });
    assert.deepEqual([taken.status, taken.body.code, taken.body.existing], [409, 'merchant_refund_id_taken', first.body.id]);
    const headers = { 'idempotency-key': `key-${number}` };
    const keyed = await refund(payment, { amount: 20 }, { headers });
    const twin = await refund(payment, { amount: 20 }, { headers });
    assert.deepEqual([keyed.status, twin.body.id, twin.headers.get('idempotency-replayed')], [201, keyed.body.id, 'true']);
    const reused = await refund(payment, { amount: 21 }, { headers });
    assert.deepEqual([reused.status, reused.body.code], [422, 'idempotency_key_reused']);
    const joined = { 'idempotency-key': `joined-${number}` };
    const joins = await refund(payment, { merchant_refund_id: number, amount: 10 }, { headers: joined });
    assert.deepEqual([joins.status, joins.body.id], [201, first.body.id]);
    const apart = await refund(payment, { amount: 22 }, { headers: joined });
    assert.deepEqual([apart.status, apart.body.code, apart.body.existing], [422, 'idempotency_key_reused', first.body.id]);
    const none = await refund(payment, { amount: 5 });
    assert.deepEqual([none.status, none.body.code], [400, 'idempotency_key_required']);
    const elsewhere = await refund(await paid(), { amount: 10, merchant_refund_id: number });
    assert.deepEqual([elsewhere.status, elsewhere.body.code], [409, 'merchant_refund_id_taken']);
    assert.equal((await engine.get(`/v1/payments/${payment.id}/refunds`)).body.data.length, 2);
});

test('racing refunds give back no more than was received', async () => {
    const payment = await paid(1000);
    const answers = await Promise.all(Array.from({ length: 8 }, () => refund(payment, { amount: 300, merchant_refund_id: order() })));
    const made = answers.filter((answer) => answer.status === 201);
    assert.equal(made.length, 3, answers.map((answer) => answer.text).join('\n'));
    for (const answer of answers.filter((one) => one.status !== 201)) {
        assert.deepEqual([answer.status, answer.body.code], [409, 'refund_exceeds_captured']);
        assert.equal(typeof answer.body.refundable, 'number');
    }
    for (const answer of made) assert.equal((await settled(answer.body.id)).state, 'succeeded');
    const now = await engine.payment(payment.id);
    assert.deepEqual([now.refunded_amount, now.refundable_amount], [900, 100]);
    const bill = await (await fetch(`${engine.sandbox}/sandbox/money`)).json();
    const [attempt] = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data;
    assert.equal(bill.paid.find((trade) => trade.out_trade_no === attempt.order_no).refunded, 900);
});

test('what cannot be refunded says why', async () => {
    const open = (await engine.create(order())).body;
    const refused = await refund(open, { merchant_refund_id: order() });
    assert.deepEqual([refused.status, refused.body.code], [409, 'payment_not_refundable']);
    const payment = await paid(100);
    const much = await refund(payment, { amount: 101, merchant_refund_id: order() });
    assert.deepEqual([much.status, much.body.code, much.body.refundable], [409, 'refund_exceeds_captured', 100]);
    const bad = { '/amount': [0, -1, 1.5, '1'], '/merchant_refund_id': ['', 'a b', 'x'.repeat(65)], '/reason': ['', 'x'.repeat(81)] };
    for (const [pointer, values] of Object.entries(bad)) {
        for (const value of values) {
            const answer = await refund(payment, { merchant_refund_id: order(), [pointer.slice(1)]: value });
            assert.deepEqual([answer.status, answer.body.errors?.[0].pointer], [400, pointer], answer.text);
        }
    }
    assert.equal((await refund(payment, { merchant_refund_id: order(), splits: [] })).body.code, 'unknown_field');
    assert.equal((await refund({ id: `pay_${'0'.repeat(26)}` }, { merchant_refund_id: order() })).status, 404);
});

test('lists: of a payment, of the merchant, by state, number and time, page by page', async () => {
    const payment = await paid(1000);
    const made = [];
    for (let i = 0; i < 5; i++) {
        made.push((await refund(payment, { amount: 1 + i, merchant_refund_id: order() })).body);
        await settled(made[i].id);
    }
    const newest = made.map((found) => found.id).reverse();
    const ids = async (target) => (await engine.get(target)).body.data.map((found) => found.id);
    assert.deepEqual(await ids(`/v1/payments/${payment.id}/refunds`), newest);
    assert.deepEqual(await ids(`/v1/refunds?payment=${payment.id}`), newest);
    assert.deepEqual((await ids('/v1/refunds?limit=5')), newest);
    assert.deepEqual(await ids(`/v1/refunds?merchant_refund_id=${made[2].merchant_refund_id}`), [made[2].id]);
    assert.deepEqual(await ids(`/v1/refunds?payment=${payment.id}&state=failed`), []);
    assert.deepEqual(await ids(`/v1/refunds?payment=${payment.id}&state=succeeded`), newest);
    const { created_at } = made[3];
    assert.deepEqual(await ids(`/v1/refunds?payment=${payment.id}&created_after=${created_at}`), newest.slice(0, 2));
    assert.deepEqual(await ids(`/v1/payments/${payment.id}/refunds?created_before=${created_at}`), newest.slice(2));
    for (const base of ['/v1/refunds', `/v1/payments/${payment.id}/refunds`]) {
        const filter = base === '/v1/refunds' ? `&payment=${payment.id}` : '';
        const seen = [];
        let cursor;
        do {
            const { body } = await engine.get(`${base}?limit=2${filter}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
            seen.push(...body.data.map((found) => found.id));
            cursor = body.next_cursor;
        } while (cursor);
        assert.deepEqual(seen, newest);
    }
    const page = (await engine.get('/v1/refunds?limit=1')).body;
    const foreign = await engine.get(`/v1/refunds?state=failed&cursor=${encodeURIComponent(page.next_cursor)}`);
    assert.deepEqual([foreign.status, foreign.body.code], [400, 'invalid_cursor']);
    const of = async (one, cursor = '') => engine.get(`/v1/payments/${one.id}/refunds?limit=1${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    const { next_cursor } = (await of(payment)).body;
    const elsewhere = await of(await paid(100), next_cursor);
    assert.deepEqual([(await of(payment, next_cursor)).status, elsewhere.status, elsewhere.body.code], [200, 400, 'invalid_cursor']);
    assert.equal((await engine.get('/v1/refunds?payment=pay_x')).status, 400);
});

test('another merchant sees none of it', async () => {
    const payment = await paid(100);
    const { body } = await refund(payment, { merchant_refund_id: order() });
    const options = { key: otherKey };
    assert.equal((await engine.get(`/v1/refunds/${body.id}`, options)).status, 404);
    assert.equal((await engine.get(`/v1/payments/${payment.id}/refunds`, options)).status, 404);
    assert.equal((await engine.get(`/v1/payments/${payment.id}/timeline`, options)).status, 404);
    assert.equal((await engine.post(`/v1/refunds/${body.id}/retry`, undefined, options)).status, 404);
    assert.equal((await refund(payment, { merchant_refund_id: order() }, options)).status, 404);
    assert.deepEqual((await engine.get('/v1/refunds', options)).body.data, []);
});

test('what the channel declines has failed, and its money may be given back again', async () => {
    const payment = await paid(1000);
    const [attempt] = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data;
    const set = await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST', body: JSON.stringify({
        op: 'refund', fault: 'refused', sub_code: 'ACQ.REASON_TRADE_REFUND_FEE_ERR', out_trade_no: attempt.order_no, times: 1 }) });
    assert.equal(set.status, 200, await set.text());
    const { body } = await refund(payment, { amount: 400, merchant_refund_id: order() });
    const failed = await settled(body.id);
    assert.equal(failed.state, 'failed');
    assert.equal(failed.failure.channel_code, 'ACQ.REASON_TRADE_REFUND_FEE_ERR');
    assert.equal((await engine.payment(payment.id)).refundable_amount, 1000);
    const retry = await engine.post(`/v1/refunds/${failed.id}/retry`);
    assert.deepEqual([retry.status, retry.body.code, retry.body.state], [409, 'state_conflict', 'failed']);
    assert.ok(retry.body.allowed.includes('abnormal'));
    const more = await refund(payment, { merchant_refund_id: order() });
    assert.equal((await settled(more.body.id)).amount, 1000);
});

test('what needs a person is abnormal, and the same refund is tried again', async () => {
    const payment = await paid(700);
    const balance = (body) => fetch(`${engine.sandbox}/sandbox/balance`, { method: 'POST', body: JSON.stringify({ app_id: '2021000000000001', ...body }) });
    assert.equal((await balance({ set: 100 })).status, 200);
    const { body } = await refund(payment, { merchant_refund_id: order() });
    const stuck = await settled(body.id);
    assert.deepEqual([stuck.state, stuck.failure.code], ['abnormal', 'abnormal']);
    assert.equal((await engine.payment(payment.id)).refundable_amount, 0);
    assert.equal((await balance({ set: null })).status, 200);
    await sleep(1100); // two calls about one refund are a second apart
    const retry = await engine.post(`/v1/refunds/${stuck.id}/retry`, {});
    assert.equal(retry.status, 200, retry.text);
    const done = await until('the refund has succeeded', async () => {
        const { body: refund } = await engine.get(`/v1/refunds/${stuck.id}`);
        return refund.state === 'succeeded' ? refund : null;
    });
    assert.equal(done.refund_no, stuck.refund_no);
});

test('the timeline tells it all in order', async () => {
    const payment = await paid(1000);
    const { body } = await refund(payment, { amount: 250, merchant_refund_id: 'T-1', reason: 'broken' });
    await settled(body.id);
    const story = (await engine.get(`/v1/payments/${payment.id}/timeline`)).body;
    assert.equal(story.payment, payment.id);
    const times = story.entries.map((entry) => entry.at);
    assert.deepEqual(times, [...times].sort());
    const words = story.entries.map(({ kind, facts }) => kind === 'call' ? `call ${facts.op} ${facts.class}`
        : kind === 'notification' ? `notification ${facts.verdict} ${facts.effect}` : `${kind} ${facts.type}`);
    for (const expected of ['event payment.created', 'call create ok', 'notification pass applied', 'event payment.paid',
        'refund refund.created', 'refund refund.pending', 'call refund ok', 'refund refund.succeeded'])
        assert.ok(words.includes(expected), `${expected} is not in\n${words.join('\n')}`);
    assert.ok(words.indexOf('event payment.created') === 0);
    assert.ok(words.indexOf('notification pass applied') < words.indexOf('event payment.paid'));
    assert.ok(words.indexOf('call refund ok') < words.indexOf('refund refund.succeeded'));
    const made = story.entries.find((entry) => entry.facts.type === 'refund.created');
    assert.deepEqual(made.facts.refund, { id: body.id, state: 'created', merchant_refund_id: 'T-1', amount: 250, currency: 'CNY', reason: 'broken' });
    const call = story.entries.find((entry) => entry.facts.op === 'refund');
    assert.match(call.id, /^cal_/);
    assert.equal(call.facts.refund, body.id);
    assert.equal(typeof call.facts.ms, 'number');
});

test('the events of a refund hold the refund as of then', async () => {
    const payment = await paid(1000);
    const { body } = await refund(payment, { amount: 100, merchant_refund_id: order() });
    await settled(body.id);
    const events = (await engine.events(payment.id)).filter((event) => event.type.startsWith('refund.')).reverse();
    assert.deepEqual([events[0].type, events[0].data.object, events[0].data.id, events[0].data.state],
        ['refund.created', 'refund', body.id, 'created']);
    const last = events.at(-1);
    assert.deepEqual([last.type, last.data.state, last.data.amount], ['refund.succeeded', 'succeeded', 100]);
});
