// life.test.mjs - what happens to a payment besides being paid at once: QR codes, closing before and after the payer
// opens the order, expiry, reversal, money that comes late or twice. Real sockets, the sandbox's own clock and faults.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Alipay, beijingTime } from './alipay.mjs';
import { Engine, sleep, until } from './tael.mjs';

let engine;
let orders = 0;
const order = () => `L${++orders}`;

before(async () => {
    engine = await new Engine({ env: { TAEL_PAYMENTS__POLL: '500ms,1s,2s,5s' } }).start();
});
after(async () => {
    await engine.prove();
    await engine.remove();
});

// ---- what a test does ----

const created = async (fields, at = engine) => {
    const answer = await at.create(order(), fields);
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
};

const attemptsOf = async (payment, at = engine) => (await at.get(`/v1/payments/${payment.id}/attempts`)).body.data;
const attemptOf = async (payment, at) => (await attemptsOf(payment, at))[0];

/** A lever of the sandbox. */
const lever = async (method, target, body, at = engine) => {
    const response = await fetch(`${at.sandbox}/sandbox/${target}`, {
        method, body: body && JSON.stringify(body), headers: { 'content-type': 'application/json' },
    });
    const text = await response.text();
    assert.equal(response.status, 200, `${method} ${target}: ${text}`);
    return JSON.parse(text);
};

const fault = (op, name, more = {}) => lever('POST', 'behaviour', { op, fault: name, ...more });
const quiet = (notify, at) => lever('POST', 'behaviour', { notify }, at);

/** The payer opens the page or scans the code. */
const open = async (payment, at = engine) => {
    const { order_no } = await attemptOf(payment, at);
    if (payment.next_action.type === 'redirect') {
        assert.equal((await fetch(payment.next_action.url)).status, 200);
        return order_no;
    }
    await lever('POST', `trades/${order_no}/scan`, undefined, at);
    return order_no;
};

const pay = async (payment, at = engine) => {
    const number = await open(payment, at);
    return lever('POST', `trades/${number}/pay`, undefined, at);
};

const act = (payment, what, at = engine) => at.post(`/v1/payments/${payment.id}/${what}`);

const becomes = (payment, state, at = engine) => until(`the payment is ${state}`, async () => {
    const now = await at.payment(payment.id);
    return now.state === state && now;
});

const advance = (seconds, at = engine) => at.advance(seconds);

/** Types of a payment's events, oldest first. */
const story = async (payment, at = engine) => (await at.events(payment.id)).map((event) => event.type).reverse();

const callsOf = (attempt) => attempt.calls.map((call) => `${call.op} ${call.class}`);

const alarms = (at, kind) => at.process.output.split('\n')
    .filter((line) => line.includes('"event":"alarm"') && line.includes(`"kind":"${kind}"`));

/** A success that Alipay would send for an attempt, whatever became of the order meanwhile. */
const successOf = async (payment, changed = {}, at = engine) => {
    const alipay = new Alipay(at);
    const attempt = changed.attempt ?? await attemptOf(payment, at);
    const now = beijingTime();
    const amount = (payment.amount / 100).toFixed(2);
    const app_id = (await lever('GET', 'trades', undefined, at)).trades[0]?.app_id ?? '2021000000000001';
    const form = alipay.form({
        notify_time: now, notify_type: 'trade_status_sync', notify_id: `n${Date.now()}${Math.random()}`,
        charset: 'utf-8', version: '1.0', sign_type: 'RSA2', app_id, auth_app_id: app_id,
        trade_no: attempt.trade_no ?? `2026112522001${Date.now()}${Math.floor(Math.random() * 1000)}`,
        out_trade_no: attempt.order_no, seller_id: at.seller, trade_status: 'TRADE_SUCCESS', total_amount: amount,
        gmt_create: now, gmt_payment: now,
    });
    const response = await fetch(`${at.url}/notify/alipay/${payment.account}`, {
        method: 'POST', body: form,
        headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    });
    return response.text();
};

// ---- QR codes ----

test('a QR code is created at the channel, scanned and paid', async () => {
    const payment = await created({ product: 'qr' });
    assert.equal(payment.state, 'pending');
    assert.equal(payment.next_action.type, 'qr_code');
    assert.match(payment.next_action.code_url, /\/qr\//);
    assert.deepEqual((await engine.payment(payment.id)).next_action, payment.next_action);
    const attempt = await attemptOf(payment);
    assert.equal(attempt.state, 'waiting_payer');
    assert.deepEqual(callsOf(attempt), ['create ok']);
    assert.deepEqual(await story(payment), ['payment.created', 'attempt.waiting_payer']);
    await pay(payment);
    const paid = await becomes(payment, 'paid');
    assert.equal(paid.captured_amount, 1234);
    assert.equal(paid.next_action, null);
});

test('a QR code that the channel declines fails the payment at once', async () => {
    await fault('precreate', 'refused', { sub_code: 'ACQ.TOTAL_FEE_EXCEED' });
    const payment = await created({ product: 'qr' });
    assert.equal(payment.state, 'failed');
    assert.equal(payment.failure.decline_code, 'merchant_limit');
    assert.equal((await attemptOf(payment)).state, 'declined');
    assert.deepEqual(await story(payment), ['payment.created', 'payment.failed']);
});

test('a channel that refuses our configuration is a problem, and the order goes on when it is put right', async () => {
    const name = order();
    await fault('precreate', 'refused', { sub_code: 'isv.insufficient-isv-permissions', times: 1 });
    const refused = await engine.create(name, { product: 'qr' });
    assert.equal(refused.status, 502, refused.text);
    assert.equal(refused.body.code, 'channel_refused_configuration');
    assert.match(refused.body.payment, /^pay_/);
    const again = await until('the order was sent again', async () => {
        const answer = await engine.create(name, { product: 'qr' });
        return answer.status === 201 && answer.body.next_action?.type === 'qr_code' && answer;
    });
    assert.equal(again.body.id, refused.body.payment);
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
    assert.equal((await attemptsOf(again.body)).length, 1);
});

for (const silence of ['reset_before', 'reset_after', 'busy_after', 'wrong_signature', 'http_502_after', 'unsigned_success']) {
    test(`an order whose answer is lost (${silence}) is gone on with under its number`, async () => {
        await fault('precreate', silence);
        const name = order();
        const first = await engine.create(name, { product: 'qr' });
        assert.equal(first.status, 201, first.text);
        assert.deepEqual(first.body.next_action, { type: 'wait', poll_after_ms: 1000, hint: 'unknown' });
        const number = (await attemptOf(first.body)).order_no;
        const later = await until('the code is there', async () => {
            const now = await engine.payment(first.body.id);
            return now.next_action?.type === 'qr_code' && now;
        });
        const attempts = await attemptsOf(later);
        assert.equal(attempts.length, 1);
        assert.equal(attempts[0].order_no, number);
        assert.deepEqual(callsOf(attempts[0]).slice(0, 2), ['create unknown', 'query not_found']);
        assert.equal(attempts[0].state, 'waiting_payer');
        await pay(later);
        await becomes(later, 'paid');
    });
}

test('a retry goes on with an order whose answer was lost, and does not wait for a timer', async () => {
    await fault('precreate', 'reset_after');
    const name = order();
    const first = await engine.create(name, { product: 'qr' });
    assert.equal(first.body.next_action.type, 'wait');
    await sleep(1100);
    const again = await engine.create(name, { product: 'qr' });
    assert.equal(again.body.id, first.body.id);
    assert.equal(again.body.next_action.type, 'qr_code', again.text);
});

test('twins of a QR create wait for the one that is under way', async () => {
    await fault('precreate', 'slow_answer', { ms: 1500 });
    const name = order();
    const answers = await Promise.all(Array.from({ length: 6 }, () => engine.create(name, { product: 'qr' })));
    assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [201]);
    assert.equal(new Set(answers.map((answer) => answer.body.id)).size, 1);
    assert.deepEqual([...new Set(answers.map((answer) => answer.body.next_action.type))], ['qr_code']);
    assert.deepEqual(callsOf(await attemptOf(answers[0].body)), ['create ok']);
});

test('an order goes on after a kill, under its number', async () => {
    const own = await new Engine({ env: { TAEL_PAYMENTS__POLL: '500ms,1s,2s,5s' } }).start();
    await lever('POST', 'behaviour', { op: 'precreate', fault: 'lost_after' }, own);
    const name = order();
    const creating = own.create(name, { product: 'qr' }).catch(() => null);
    const found = await until('the order is under way', async () => (await own.get(`/v1/payments?merchant_order_id=${name}`))
        .body.data[0]);
    const { order_no } = await attemptOf(found, own);
    assert.deepEqual(callsOf(await attemptOf(found, own)), ['create null']);
    await own.restart('SIGKILL');
    await creating;
    const later = await until('the code is there', async () => {
        const answer = await own.create(name, { product: 'qr' });
        return answer.body.next_action?.type === 'qr_code' && answer.body;
    });
    assert.equal(later.id, found.id);
    const attempts = await attemptsOf(later, own);
    assert.deepEqual(attempts.map((attempt) => attempt.order_no), [order_no]);
    await pay(later, own);
    await becomes(later, 'paid', own);
    await own.remove();
});

// ---- closing ----

test('a payment that nobody has opened is watched until its time is over, then closed', async () => {
    const payment = await created({ expires_in: 60 });
    const answer = await act(payment, 'close');
    assert.equal(answer.status, 202, answer.text);
    assert.equal(answer.body.closing, true);
    assert.equal(answer.body.next_action, null);
    assert.equal(answer.body.state, 'pending');
    assert.deepEqual(await story(payment), ['payment.created', 'payment.updated']);
    const again = await act(payment, 'close');
    assert.equal(again.status, 202);
    assert.equal((await engine.payment(payment.id)).version, answer.body.version, 'a second close changes nothing');
    await advance(60 + 121);
    const closed = await becomes(payment, 'closed');
    assert.equal(closed.reason, 'merchant');
    assert.equal(closed.closing, false);
    assert.equal((await act(payment, 'close')).status, 200);
});

test('an order that is opened after the close was asked for is closed all the same', async () => {
    const payment = await created();
    assert.equal((await act(payment, 'close')).status, 202);
    await open(payment);
    const closed = await becomes(payment, 'closed');
    assert.equal(closed.reason, 'merchant');
    const { order_no } = await attemptOf(payment);
    assert.equal((await lever('GET', `trades/${order_no}`)).trade_status, 'TRADE_CLOSED');
});

for (const product of ['page', 'qr']) {
    test(`a payment (${product}) that waits for the payer is closed at the channel first`, async () => {
        const payment = await created({ product });
        const number = await open(payment);
        const answer = await act(payment, 'close');
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.body.state, 'closed');
        assert.equal(answer.body.reason, 'merchant');
        assert.equal((await lever('GET', `trades/${number}`)).trade_status, 'TRADE_CLOSED');
        const attempt = await attemptOf(payment);
        assert.equal(attempt.state, 'expired');
        assert.deepEqual(callsOf(attempt).slice(-3), ['query ok', 'close ok', 'query ok']);
    });
}

test('money that comes while the order is being closed makes it paid', async () => {
    const payment = await created();
    await open(payment);
    await fault('close', 'paid_meanwhile');
    const answer = await act(payment, 'close');
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.state, 'paid');
    assert.equal(answer.body.late, false);
});

test('closing what is paid changes nothing', async () => {
    const payment = await created();
    await pay(payment);
    const paid = await becomes(payment, 'paid');
    const answer = await act(payment, 'close');
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, paid);
});

test('a payment that cannot be closed says in which state it is', async () => {
    await fault('precreate', 'refused', { sub_code: 'ACQ.TOTAL_FEE_EXCEED' });
    const failed = await created({ product: 'qr' });
    const answer = await act(failed, 'close');
    assert.equal(answer.status, 409, answer.text);
    assert.equal(answer.body.code, 'state_conflict');
    assert.equal(answer.body.state, 'failed');
    assert.equal((await act({ id: `pay_${'0'.repeat(26)}` }, 'close')).status, 404);
});

test('a close whose answer is lost settles by itself', async () => {
    const payment = await created();
    await open(payment);
    await fault('close', 'reset_before', { times: 1 });
    const answer = await act(payment, 'close');
    assert.ok(answer.status === 202 || answer.status === 200, answer.text);
    const closed = await becomes(payment, 'closed');
    assert.equal(closed.reason, 'merchant');
});

test('a close goes on after a kill', async () => {
    const own = await new Engine({ env: { TAEL_PAYMENTS__POLL: '500ms,1s,2s,5s' } }).start();
    const payment = await created({}, own);
    const number = await open(payment, own);
    await lever('POST', 'behaviour', { op: 'close', fault: 'lost_before' }, own);
    const closing = act(payment, 'close', own).catch(() => null);
    await until('the close is under way', async () => (await attemptOf(payment, own)).calls.some((call) => call.op === 'close'));
    await own.restart('SIGKILL');
    await closing;
    const closed = await becomes(payment, 'closed', own);
    assert.equal(closed.reason, 'merchant');
    assert.equal((await lever('GET', `trades/${number}`, undefined, own)).trade_status, 'TRADE_CLOSED');
    await own.remove();
});

// ---- expiry ----

test('an order that nobody opened expires here after the channel was asked', async () => {
    const payment = await created({ expires_in: 60 });
    await advance(61);
    assert.equal((await engine.payment(payment.id)).state, 'pending');
    await advance(121);
    const closed = await becomes(payment, 'closed');
    assert.equal(closed.reason, 'expired');
    assert.ok((await attemptOf(payment)).calls.some((call) => call.op === 'query' && call.class === 'not_found'));
});

test('an order that was opened and not paid expires with the channel', async () => {
    const payment = await created({ expires_in: 60, product: 'qr' });
    await open(payment);
    await advance(61);
    const closed = await becomes(payment, 'closed');
    assert.equal(closed.reason, 'expired');
    assert.equal((await attemptOf(payment)).state, 'expired');
});

test('the pages of the sandbox answer HEAD as they answer GET, and levers that move something do not', async () => {
    const head = (target) => fetch(engine.sandbox + target, { method: 'HEAD' });
    for (const target of ['/', '/sandbox', '/sandbox/help', '/sandbox/trades']) {
        const [asked, got] = [await head(target), await fetch(engine.sandbox + target)];
        assert.deepEqual([asked.status, asked.headers.get('content-type'), await asked.text()],
            [200, got.headers.get('content-type'), ''], target);
    }
    for (const target of ['/sandbox/notify', '/nothing']) assert.equal((await head(target)).status, 404, target);
});

// ---- cancel ----

test('a reversal of an order that waits closes it', async () => {
    const payment = await created({ product: 'qr' });
    const number = await open(payment);
    const answer = await act(payment, 'cancel');
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.state, 'closed');
    assert.equal(answer.body.reason, 'merchant');
    const attempt = await attemptOf(payment);
    assert.equal(attempt.state, 'cancelled');
    assert.deepEqual(callsOf(attempt).slice(-3), ['query ok', 'cancel ok', 'query ok']);
    assert.equal((await lever('GET', `trades/${number}`)).trade_status, 'TRADE_CLOSED');
    assert.match(await (await fetch(`${engine.url}/return/alipay/${number}`)).text(), /data-state="closed">[^<]*Nothing was paid/);
});

test('a reversal that meets the payer gives his money back', async () => {
    await quiet(false);
    const payment = await created({ product: 'qr' });
    const number = await open(payment);
    await fault('cancel', 'paid_meanwhile');
    const answer = await act(payment, 'cancel');
    await quiet(true);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.state, 'closed');
    assert.equal(answer.body.reason, 'voided');
    const trade = await lever('GET', `trades/${number}`);
    assert.equal(trade.trade_status, 'TRADE_CLOSED');
    assert.equal(trade.refunded, 1234);
    assert.deepEqual(alarms(engine, 'unknown_word'), []);
    for (const [lang, said] of [['en', 'What was paid has been given back'], ['zh', '所付款项已退回']]) {
        const page = await (await fetch(`${engine.url}/return/alipay/${number}`, { headers: { 'accept-language': lang } })).text();
        assert.match(page, new RegExp(`data-state="closed">[^<]*${said}`), 'what the payer is told');
    }
});

test('a reversal is repeated while the channel wants it', async () => {
    const payment = await created({ product: 'qr' });
    await open(payment);
    await fault('cancel', 'retry', { times: 2 });
    const answer = await act(payment, 'cancel');
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.state, 'closed');
    assert.equal((await attemptOf(payment)).calls.filter((call) => call.op === 'cancel').length, 3);
});

test('a reversal that is carried out when nobody waits for its answer any more still counts', async () => {
    await quiet(false);
    const payment = await created({ product: 'qr' });
    const number = await open(payment);
    await fault('cancel', 'slow', { ms: 11000 }); // the engine waits for 10 seconds
    const cancelled = act(payment, 'cancel');
    await until('the cancel is on its way', async () => callsOf(await attemptOf(payment)).at(-1) === 'cancel null');
    await lever('POST', `trades/${number}/pay`);
    assert.equal((await cancelled).status, 202);
    await until('the channel says that it is paid, and is not believed', async () =>
        callsOf(await attemptOf(payment)).slice(-2).join() === 'cancel unknown,query ok');
    assert.equal((await engine.payment(payment.id)).state, 'pending');
    const now = await becomes(payment, 'closed');
    await quiet(true);
    assert.equal(now.reason, 'voided');
    assert.equal(now.captured_amount, 0);
    assert.equal((await lever('GET', `trades/${number}`)).refunded, 1234);
});

test('what was paid before the reversal stays paid', async () => {
    await quiet(false);
    const payment = await created({ product: 'qr' });
    await pay(payment);
    const answer = await act(payment, 'cancel');
    await quiet(true);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.state, 'paid');
    assert.ok(!(await attemptOf(payment)).calls.some((call) => call.op === 'cancel'));
});

test('a success that is told after the reversal moves nothing before the channel was asked', async () => {
    const payment = await created({ product: 'qr' });
    await open(payment);
    assert.equal((await act(payment, 'cancel')).body.state, 'closed');
    const before = (await attemptOf(payment)).calls.length;
    assert.equal(await successOf(payment), 'success');
    await until('the channel was asked', async () => {
        const { calls } = await attemptOf(payment);
        return calls.length > before && calls.at(-1).class === 'ok';
    });
    const now = await engine.payment(payment.id);
    assert.equal(now.state, 'closed');
    assert.equal(now.captured_amount, 0);
    const [notification] = (await engine.get(`/v1/notifications?payment=${payment.id}&limit=1`)).body.data;
    assert.equal(notification.verdict, 'pass');
    assert.equal(notification.effect, 'none');
});

// ---- asked about now ----

test('a sync finds what nobody told', async () => {
    await quiet(false);
    const payment = await created();
    await pay(payment);
    const answer = await act(payment, 'sync');
    await quiet(true);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.state, 'paid');
});

// ---- late, and twice ----

/** A payment that is closed because its order has expired. */
const expired = async (at) => {
    const payment = await created({ expires_in: 60 }, at);
    await open(payment, at);
    await advance(61, at);
    return becomes(payment, 'closed', at);
};

for (const policy of ['accept', 'refund', 'review']) {
    test(`money that comes late: ${policy}`, async () => {
        const own = await new Engine({ env: {
            TAEL_PAYMENTS__POLL: '500ms,1s,2s,5s', TAEL_PAYMENTS__ON_LATE_PAID: policy,
        } }).start();
        const payment = await expired(own);
        assert.equal(await successOf(payment, {}, own), 'success');
        const paid = await own.payment(payment.id);
        assert.equal(paid.state, 'paid');
        assert.equal(paid.late, true);
        assert.equal(paid.captured_amount, 1234);
        const types = await story(payment, own);
        assert.equal(types.includes('refund.created'), policy === 'refund', types.join());
        assert.equal(paid.refundable_amount, policy === 'refund' ? 0 : 1234);
        if (policy === 'refund') {
            const { data } = (await own.get(`/v1/payments/${payment.id}/refunds`)).body;
            assert.equal(data.length, 1);
            assert.equal(data[0].amount, 1234);
            assert.equal(data[0].reason, 'late');
            const page = await (await fetch(`${own.url}/return/alipay/${(await attemptsOf(payment, own))[0].order_no}`)).text();
            assert.match(page, /data-state="paid">What was paid (is being|has been) given back\./);
        }
        assert.equal(await successOf(payment, {}, own), 'success');
        assert.equal((await own.payment(payment.id)).captured_amount, 1234);
        await own.remove(); // the whole log has been read
        assert.equal(alarms(own, 'paid_late').length, policy === 'review' ? 1 : 0);
    });
}

/** A payment with two open orders, both paid before anybody has told us. */
const twice = async (at) => {
    await quiet(false, at);
    const payment = await created({ parallel: 'refund_surplus' }, at);
    await open(payment, at);
    const second = await at.post(`/v1/payments/${payment.id}/attempts`, { product: 'qr' });
    assert.equal(second.status, 201, second.text);
    assert.equal(second.body.next_action.type, 'qr_code');
    assert.equal(second.headers.get('location'), `/v1/payments/${payment.id}/attempts`);
    const numbers = (await attemptsOf(payment, at)).map((attempt) => attempt.order_no);
    assert.equal(numbers.length, 2);
    for (const number of numbers) await lever('POST', `trades/${number}/pay`, undefined, at);
    return { payment, numbers };
};

/** How many refunds have entered each state, as /metrics tells. */
const refundsCounted = async () => {
    const metrics = await engine.metrics();
    return ['created', 'pending', 'succeeded'].map((state) => Number(metrics.match(
        new RegExp(`^tael_refunds_total\\{channel="alipay",state="${state}"\\} (\\d+)$`, 'm'))?.[1] ?? 0));
};

test('money that comes twice: the second goes back', async () => {
    const counted = await refundsCounted();
    const { payment, numbers } = await twice(engine);
    assert.equal((await act(payment, 'sync')).body.state, 'paid');
    const refund = await until('the second money has gone back', async () => {
        const { data } = (await engine.get(`/v1/payments/${payment.id}/refunds`)).body;
        return data[0]?.state === 'succeeded' && data[0];
    });
    await quiet(true);
    assert.equal(refund.amount, 1234);
    assert.equal(refund.reason, 'duplicate');
    const paid = await engine.payment(payment.id);
    assert.equal(paid.captured_amount, 2468);
    assert.equal(paid.refunded_amount, 1234);
    assert.equal(paid.refundable_amount, 1234);
    const trades = await Promise.all(numbers.map((number) => lever('GET', `trades/${number}`)));
    assert.deepEqual(trades.map((trade) => trade.refunded).sort(), [0, 1234]);
    await until('the alarm is in the log', () => alarms(engine, 'duplicate_paid').length === 1);
    assert.deepEqual(await refundsCounted(), counted.map((count) => count + 1));
});

test('money that comes twice: a person is told', async () => {
    const own = await new Engine({ env: {
        TAEL_PAYMENTS__POLL: '500ms,1s,2s,5s', TAEL_PAYMENTS__ON_DUPLICATE_PAID: 'review',
    } }).start();
    const { payment, numbers } = await twice(own);
    await act(payment, 'sync', own);
    await until('both orders have succeeded', async () => (await attemptsOf(payment, own))
        .every((attempt) => attempt.state === 'succeeded'));
    await until('the alarm is in the log', () => alarms(own, 'duplicate_paid').length === 1);
    assert.equal((await own.get(`/v1/payments/${payment.id}/refunds`)).body.data.length, 0);
    const paid = await own.payment(payment.id);
    assert.deepEqual([paid.captured_amount, paid.refundable_amount], [2468, 2468]);
    for (const [i, left] of [1234, 0].entries()) { // whoever decides gives back one, or both
        const back = await own.post(`/v1/payments/${payment.id}/refunds`, { merchant_refund_id: `T${i}`, amount: 1234 });
        assert.equal(back.status, 201, back.text);
        await until('the money has gone back', async () => (await own.payment(payment.id)).refunded_amount === 2468 - left);
    }
    const more = await own.post(`/v1/payments/${payment.id}/refunds`, { merchant_refund_id: 'T2', amount: 1 });
    assert.deepEqual([more.status, more.body.code], [409, 'refund_exceeds_captured'], more.text);
    const trades = await Promise.all(numbers.map((number) => lever('GET', `trades/${number}`, undefined, own)));
    assert.deepEqual(trades.map((trade) => trade.refunded), [1234, 1234]);
    await own.prove();
    await own.remove();
});

test('a payer who comes back from an order that is not the newest is told what became of that one', async () => {
    await quiet(false);
    const payment = await created({ parallel: 'refund_surplus' });
    const second = await engine.post(`/v1/payments/${payment.id}/attempts`, { product: 'qr' });
    assert.equal(second.status, 201, second.text);
    await fetch(payment.next_action.url);
    const page = Alipay.page(payment), { out_trade_no } = page.biz;
    await lever('POST', `trades/${out_trade_no}/pay`);
    const signed = new Alipay(engine).form({
        app_id: page.app_id, out_trade_no, method: 'alipay.trade.page.pay.return', sign_type: 'RSA2',
        trade_no: '2026112522001400000001', total_amount: page.biz.total_amount,
    });
    const answer = await fetch(`${page.return_url}?${signed}`);
    assert.match(await answer.text(), /data-state="paid"/);
    assert.equal((await engine.payment(payment.id)).state, 'paid');
    await quiet(true);
});

test('an order that was reversed is no surplus when another has paid meanwhile and its message comes late', async () => {
    await quiet(false);
    const payment = await created({ parallel: 'refund_surplus' });
    await open(payment);
    assert.equal((await engine.post(`/v1/payments/${payment.id}/attempts`, { product: 'qr' })).status, 201);
    await act(payment, 'sync');
    const [second, first] = await attemptsOf(payment);
    assert.equal(first.state, 'waiting_payer');
    await lever('POST', `trades/${first.order_no}/pay`);
    for (const op of ['query', 'cancel']) // whatever is asked about the first, its answer is lost
        await fault(op, 'wrong_signature', { out_trade_no: first.order_no, times: 1000 });
    assert.equal((await act(payment, 'cancel')).status, 202);
    await until('the first has been given back', async () => (await lever('GET', `trades/${first.order_no}`)).refunded === 1234);
    await lever('POST', `trades/${second.order_no}/pay`);
    await becomes(payment, 'paid');
    assert.equal(await successOf(payment, { attempt: first }), 'success');
    await fault('query', null);
    await fault('cancel', null);
    await until('the first has ended', async () => (await attemptsOf(payment))[1].state === 'cancelled');
    const paid = await engine.payment(payment.id);
    assert.deepEqual([paid.captured_amount, paid.refundable_amount], [1234, 1234]);
    assert.deepEqual((await engine.get(`/v1/payments/${payment.id}/refunds`)).body.data, []);
    await quiet(true);
});

test('an order beside the one that was paid is closed at the channel', async () => {
    const payment = await created({ parallel: 'refund_surplus' });
    await open(payment);
    assert.equal((await engine.post(`/v1/payments/${payment.id}/attempts`, { product: 'qr' })).status, 201);
    const [second, first] = await attemptsOf(payment);
    await lever('POST', `trades/${second.order_no}/pay`);
    await becomes(payment, 'paid');
    await until('the other order is closed', async () => (await lever('GET', `trades/${first.order_no}`))
        .trade_status === 'TRADE_CLOSED');
    await until('and known to be', async () => (await attemptsOf(payment))[1].state === 'expired');
    assert.equal((await engine.payment(payment.id)).state, 'paid');
});
