// review.test.mjs - what only a person can decide: the channel is asked first, its answer stands beside the decision, and above a limit
// two persons must say the same.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Alipay, beijingTime } from './alipay.mjs';
import { Engine, until } from './tael.mjs';

let engine, alipay, persons, orders = 0;

before(async () => {
    engine = await new Engine({ env: { TAEL_PAYMENTS__REVIEW_APPROVAL_ABOVE: '5000' } }).start();
    alipay = new Alipay(engine);
    persons = [await newKey('one'), await newKey('two')];
});
after(() => engine.remove());

/** The key of a person who may decide. */
const newKey = (note) => engine.newKey('demo.test', ['payments:read', 'admin'], note);

const created = async (fields) => {
    const answer = await engine.create(`V${++orders}`, { amount: 1000, ...fields });
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
};
const numberOf = (payment) => Alipay.page(payment).biz.out_trade_no;
const lever = async (number, action) => {
    const answer = await fetch(`${engine.sandbox}/sandbox/trades/${number}/${action}`, { method: 'POST' });
    assert.ok(answer.ok, await answer.text());
};
const decide = (payment, decision, person = 0) => engine.post(`/v1/payments/${payment.id}/review`,
    { decision, note: 'looked at it' }, { key: persons[person] });
const attemptOf = async (payment) => (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data[0];

/** A payment that a signed message about another amount has put before a person. */
const underReview = async (fields) => {
    const payment = await created(fields);
    await fetch(payment.next_action.url); // the payer opens the order
    await alipay.notify(payment, { total_amount: '0.01' });
    const now = await engine.payment(payment.id);
    assert.deepEqual([now.state, now.reason], ['review', 'amount_mismatch']);
    return payment;
};

test('what the channel says was paid is accepted as paid, with the call that says so', async () => {
    const payment = await underReview();
    const early = await decide(payment, 'paid');
    assert.deepEqual([early.status, early.body.code], [409, 'state_conflict'], early.text);
    assert.match(early.body.detail, /does not say that it was paid/);
    await lever(numberOf(payment), 'pay');
    const done = await decide(payment, 'paid');
    assert.equal(done.status, 200, done.text);
    assert.deepEqual([done.body.state, done.body.captured_amount, done.body.reason], ['paid', 1000, null]);
    const attempt = await attemptOf(payment);
    assert.equal(attempt.state, 'succeeded');
    const again = await decide(payment, 'paid');
    assert.deepEqual([again.status, again.body.code, again.body.state], [409, 'state_conflict', 'paid']);
    const back = await engine.post(`/v1/payments/${payment.id}/refunds`, { merchant_refund_id: `B-${payment.id}` });
    assert.equal(back.status, 201, back.text);
    await until('the money is back', async () => (await engine.payment(payment.id)).refunded_amount === 1000);
});

/** What whoever has the merchant's key asks the channel past the engine; gives the answer's text. */
const askChannel = async (payment, changed) => {
    const page = new URL(payment.next_action.url);
    const fields = { ...Object.fromEntries(page.searchParams), ...changed };
    delete fields.sign;
    const key = fs.readFileSync(path.join(engine.folder, 'data/keys/demo.alipay.key'), 'utf8');
    const text = Object.keys(fields).sort().map((name) => `${name}=${fields[name]}`).join('&');
    fields.sign = crypto.sign('RSA-SHA256', Buffer.from(text), key).toString('base64');
    page.search = new URLSearchParams(fields).toString();
    const answer = await fetch(page);
    assert.equal(answer.status, 200);
    return answer.text();
};

/** Opens the order at the channel with another total than ours, as a stolen key could. */
const openWith = (payment, total) => askChannel(payment, { biz_content: JSON.stringify({
    ...Alipay.page(payment).biz, total_amount: total }) });

/** Gives the money back in the merchant's console there. */
const refundAtChannel = async (payment, amount) => assert.match(await askChannel(payment, {
    method: 'alipay.trade.refund', timestamp: beijingTime(), biz_content: JSON.stringify({
        out_trade_no: numberOf(payment), refund_amount: amount, out_request_no: `C-${payment.id}` }),
}), /"fund_change":"Y"/);

test('another amount that was really paid can be accepted, and given back no more than that', async () => {
    const payment = await created();
    await openWith(payment, '9.99');
    await lever(numberOf(payment), 'pay');
    await until('it is under review', async () => (await engine.payment(payment.id)).state === 'review');
    const done = await decide(payment, 'paid');
    assert.equal(done.status, 200, done.text);
    assert.deepEqual([done.body.state, done.body.amount, done.body.captured_amount], ['paid', 1000, 999]);
    const more = await engine.post(`/v1/payments/${payment.id}/refunds`, { merchant_refund_id: `M-${payment.id}`, amount: 1000 });
    assert.deepEqual([more.status, more.body.code, more.body.refundable], [409, 'refund_exceeds_captured', 999], more.text);
    const all = await engine.post(`/v1/payments/${payment.id}/refunds`, { merchant_refund_id: `A-${payment.id}` });
    assert.equal(all.status, 201, all.text);
    await until('the money is back', async () => (await engine.payment(payment.id)).refunded_amount === 999);
});

test('more than was asked for is decided by two persons when it is above the limit', async () => {
    const payment = await created();
    await openWith(payment, '50.01');
    await lever(numberOf(payment), 'pay');
    await until('it is under review', async () => (await engine.payment(payment.id)).state === 'review');
    const first = await decide(payment, 'paid', 0);
    assert.deepEqual([first.status, first.body.code], [403, 'second_approval_required'], first.text);
    const done = await decide(payment, 'paid', 1);
    assert.equal(done.status, 200, done.text);
    assert.equal(done.body.captured_amount, 5001);
    const attempt = await attemptOf(payment);
    assert.equal(attempt.amount, 5001);
    assert.ok(attempt.calls.every((call) => call.class !== null), JSON.stringify(attempt.calls));
});

test('another amount that ended without money is decided once', async () => {
    const payment = await created();
    await openWith(payment, '9.99');
    await engine.post(`/v1/payments/${payment.id}/sync`);
    assert.equal((await engine.payment(payment.id)).state, 'review');
    await lever(numberOf(payment), 'close');
    const done = await decide(payment, 'closed');
    assert.equal(done.status, 200, done.text);
    await until('the order has ended here too', async () => {
        await engine.post(`/v1/payments/${payment.id}/sync`);
        return (await attemptOf(payment)).state === 'expired';
    });
    assert.equal((await engine.payment(payment.id)).state, 'closed');
});

test('nothing is called unpaid while the channel may still take money', async () => {
    const payment = await underReview();
    const open = await decide(payment, 'closed');
    assert.deepEqual([open.status, open.body.code], [409, 'state_conflict'], open.text);
    assert.match(open.body.detail, /can still be paid/);
    await lever(numberOf(payment), 'close');
    const done = await decide(payment, 'closed');
    assert.equal(done.status, 200, done.text);
    assert.deepEqual([done.body.state, done.body.reason, done.body.captured_amount], ['closed', 'manual', 0]);
});

test('money that is there cannot be called unpaid', async () => {
    const payment = await underReview();
    await lever(numberOf(payment), 'pay');
    for (const word of ['closed', 'failed']) {
        const answer = await decide(payment, word);
        assert.deepEqual([answer.status, answer.body.code], [409, 'state_conflict'], answer.text);
        assert.match(answer.body.detail, /holds money/);
    }
});

test('money that was given back at the channel itself is no longer there', async () => {
    const payment = await underReview();
    await lever(numberOf(payment), 'pay');
    await until('it is known here', async () => (await attemptOf(payment)).state === 'succeeded');
    const other = await created(); // an order that our rows do not call paid
    await openWith(other, '9.99');
    await lever(numberOf(other), 'pay');
    await until('it is under review', async () => (await engine.payment(other.id)).state === 'review');
    await refundAtChannel(payment, '10.00');
    await refundAtChannel(other, '9.99');
    for (const returned of [payment, other]) {
        const early = await decide(returned, 'paid');
        assert.deepEqual([early.status, early.body.code], [409, 'state_conflict'], early.text);
        const done = await decide(returned, 'closed');
        assert.equal(done.status, 200, done.text);
        assert.deepEqual([done.body.state, done.body.reason, done.body.captured_amount], ['closed', 'manual', 0]);
    }
    const ended = await attemptOf(other);
    assert.deepEqual([ended.state, ended.channel_code], ['expired', 'given_back']);
    await alipay.notify(other, { total_amount: '9.99', trade_no: ended.trade_no }); // from before it went back
    const closed = await engine.payment(other.id);
    assert.deepEqual([closed.state, closed.captured_amount], ['closed', 0]);
});

test('a trade number that belongs to another order is a conflict, not a fault', async () => {
    const payment = await created(), other = await created();
    await openWith(payment, '9.99');
    await lever(numberOf(payment), 'pay');
    await until('it is under review', async () => (await engine.payment(payment.id)).state === 'review');
    const { trade_no } = JSON.parse(await askChannel(payment, { method: 'alipay.trade.query', timestamp: beijingTime(),
        biz_content: JSON.stringify({ out_trade_no: numberOf(payment) }) })).alipay_trade_query_response;
    assert.equal(await alipay.notify(other, { total_amount: '10.00', trade_no }), 'success');
    assert.equal((await engine.payment(other.id)).state, 'paid');
    const answer = await decide(payment, 'paid');
    assert.deepEqual([answer.status, answer.body.code], [409, 'state_conflict'], answer.text);
    assert.match(answer.body.detail, /trade number .* belongs to another order/);
    assert.equal((await engine.payment(payment.id)).state, 'review');
});

test('a pending payment ends with its order when the money came and went before we knew', async () => {
    const notify = (on) => fetch(`${engine.sandbox}/sandbox/behaviour`,
        { method: 'POST', body: JSON.stringify({ notify: on }) });
    await notify(false);
    for (const [wish, reason] of [['sync', 'channel'], ['close', 'merchant']]) {
        const payment = await created();
        await fetch(payment.next_action.url);
        await lever(numberOf(payment), 'pay');
        await refundAtChannel(payment, '10.00');
        const asked = await engine.post(`/v1/payments/${payment.id}/${wish}`);
        assert.ok(asked.status < 300, asked.text);
        const now = await engine.payment(payment.id), attempt = await attemptOf(payment);
        assert.deepEqual([now.state, now.reason, now.captured_amount], ['closed', reason, 0]);
        assert.deepEqual([attempt.state, attempt.channel_code], ['expired', 'given_back']);
        assert.match(await (await fetch(`${engine.url}/return/alipay/${numberOf(payment)}`)).text(), /closed\. What was paid has been given back/);
        await until('a person is told', () => engine.process.output.split('\n').some((line) =>
            line.includes('"kind":"foreign_refund"') && line.includes(payment.id)));
    }
    await notify(true);
});

test('one that was closed and is called failed in the end was never closed, in its row and its events', async () => {
    const payment = await created();
    await fetch(payment.next_action.url);
    await engine.post(`/v1/payments/${payment.id}/close`);
    assert.equal((await engine.payment(payment.id)).state, 'closed');
    await alipay.notify(payment, { total_amount: '0.01', trade_no: (await attemptOf(payment)).trade_no });
    assert.equal((await engine.payment(payment.id)).state, 'review');
    const done = await decide(payment, 'failed'); // of row and events the last test
    assert.deepEqual([done.status, done.body.state, done.body.closed_at], [200, 'failed', null], done.text);
});

test('a silent channel decides nothing', async () => {
    const payment = await underReview();
    await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST',
        body: JSON.stringify({ op: 'query', fault: 'wrong_signature', out_trade_no: numberOf(payment), times: 1 }) });
    const answer = await decide(payment, 'failed');
    assert.deepEqual([answer.status, answer.body.code], [409, 'state_conflict'], answer.text);
    assert.match(answer.body.detail, /no verified answer/);
});

test('above the limit two persons must decide the same', async () => {
    const payment = await underReview({ amount: 9000 });
    await lever(numberOf(payment), 'close');
    for (let i = 0; i < 2; i++) { // the same person twice is one person
        const first = await decide(payment, 'closed', 0);
        assert.deepEqual([first.status, first.body.code], [403, 'second_approval_required'], first.text);
    }
    const other = await decide(payment, 'failed', 1);
    assert.deepEqual([other.status, other.body.code], [403, 'second_approval_required'], other.text);
    const done = await decide(payment, 'failed', 0);
    assert.equal(done.status, 200, done.text);
    assert.equal(done.body.state, 'failed');
    const types = (await engine.events(payment.id)).map((event) => event.type);
    assert.equal(types[0], 'payment.failed');
});

test('every state that a payment entered is counted, whoever decided', async () => {
    const text = await engine.metrics();
    for (const state of ['review', 'paid', 'closed', 'failed']) {
        const events = (await engine.get(`/v1/events?type=payment.${state}&limit=100`)).body.data.length;
        const counted = text.match(new RegExp(`tael_payments_total\\{channel="alipay",state="${state}"\\} (\\d+)`))?.[1];
        assert.ok(events > 0, state);
        assert.equal(Number(counted), events, state);
    }
});

test('the store proves itself after all these decisions', () => engine.prove());
