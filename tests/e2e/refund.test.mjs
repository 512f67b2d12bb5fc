// refund.test.mjs - money given back when things go wrong: every fault of the simulated Alipay, many requests at once,
// kills in the middle, refunds that somebody else made, messages that run again. The sandbox's books decide.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Alipay, beijingTime } from './alipay.mjs';
import { Engine, sleep, until } from './tael.mjs';

const env = { TAEL_PAYMENTS__POLL: '300ms,500ms,1s,2s', TAEL_LIMITS__KEY: 'false' };
let engine, orders = 0;
const number = () => `G${++orders}`;

before(async () => { engine = await new Engine({ env }).start(); });
after(() => engine.remove());

// ---- what a test does ----

const lever = async (method, target, body) => {
    const response = await fetch(`${engine.sandbox}/sandbox/${target}`, { method, body: body && JSON.stringify(body) });
    const text = await response.text();
    assert.equal(response.status, 200, `${method} ${target}: ${text}`);
    return JSON.parse(text);
};

const fault = (order_no, name, more = {}) =>
    lever('POST', 'behaviour', { op: 'refund', fault: name, out_trade_no: order_no, times: 1, ...more });

/** A payment that its simulated payer has paid, with its order's number. */
async function paid(amount = 1000, product = 'qr') {
    const { body, status, text } = await engine.create(number(), { product, amount });
    assert.equal(status, 201, text);
    const [{ order_no }] = (await engine.get(`/v1/payments/${body.id}/attempts`)).body.data;
    if (product === 'page') assert.equal((await fetch(body.next_action.url)).status, 200);
    await lever('POST', `trades/${order_no}/pay`);
    await until('the payment is paid', async () => (await engine.payment(body.id)).state === 'paid');
    return { ...body, order_no };
}

const refund = (payment, fields) =>
    engine.post(`/v1/payments/${payment.id}/refunds`, { merchant_refund_id: number(), ...fields });

const read = async (id) => (await engine.get(`/v1/refunds/${id}`)).body;
const becomes = (id, states, seconds = 60) => until(`the refund is ${states}`, async () => {
    const now = await read(id);
    return [states].flat().includes(now.state) && now;
}, seconds);

/** What the sandbox has given back, by its own books. */
const books = async (payment) => (await lever('GET', `trades/${payment.order_no}`)).refunded;

const alarms = (kind) => engine.process.output.split('\n')
    .filter((line) => line.includes('"event":"alarm"') && line.includes(`"kind":"${kind}"`));

/** The calls about a refund, in order. */
const callsOf = async (payment, refund) => (await engine.get(`/v1/payments/${payment.id}/timeline`)).body.entries
    .filter(({ kind, facts }) => kind === 'call' && facts.refund === refund.id).map(({ at, facts }) => ({ at, ...facts }));


// ---- faults ----

test('whatever goes wrong with the request, the money goes back once, and the rest can follow', async () => {
    const { faults } = await lever('GET', 'help');
    const names = faults.filter(({ name, ops }) => (!ops || ops.includes('refund'))
        && !['balance_too_low', 'refused'].includes(name)).map(({ name }) => name);
    assert.ok(names.length >= 30, names.join(' '));
    await Promise.all(names.map(async (name) => {
        const payment = await paid();
        await fault(payment.order_no, name, name.startsWith('slow') ? { ms: 1500 } : {});
        const answer = await refund(payment, { amount: 300 });
        assert.equal(answer.status, 201, `${name}: ${answer.text}`);
        const done = await becomes(answer.body.id, ['succeeded', 'failed', 'abnormal'], 90);
        assert.equal(done.state, 'succeeded', `${name}: ${JSON.stringify(done)}`);
        assert.equal(await books(payment), 300, name);
        const rest = await refund(payment, {});
        assert.deepEqual([rest.status, rest.body.amount], [201, 700], name);
        await becomes(rest.body.id, 'succeeded');
        assert.equal(await books(payment), 1000, name);
        const now = await engine.payment(payment.id);
        assert.deepEqual([now.refunded_amount, now.refundable_amount], [1000, 0], name);
    }));
});

test('an answer that was lost is asked for, and the number stays the same', async () => {
    const payment = await paid();
    await fault(payment.order_no, 'http_502_before');
    const { body } = await refund(payment, { amount: 400 });
    assert.equal(body.state, 'unknown');
    const done = await becomes(body.id, 'succeeded');
    assert.equal(done.refund_no, body.refund_no);
    const ops = (await callsOf(payment, done)).map(({ op, class: word }) => `${op} ${word}`);
    assert.deepEqual(ops, ['refund unknown', 'refund_query not_found', 'refund ok']);
    const states = (await engine.events(payment.id)).filter((event) => event.data.id === done.id)
        .map((event) => event.data.state).reverse();
    assert.deepEqual(states, ['created', 'pending', 'unknown', 'succeeded']);
});

test('a no to the first request is the end, a no after silence only when it is not there', async () => {
    const first = await paid();
    await fault(first.order_no, 'refused', { sub_code: 'ACQ.REASON_TRADE_REFUND_FEE_ERR' });
    const { body: failed } = await refund(first, { amount: 400 });
    assert.equal(failed.state, 'failed');
    assert.equal((await engine.payment(first.id)).refundable_amount, 1000);
    assert.deepEqual((await callsOf(first, failed)).map(({ op }) => op), ['refund']);

    const second = await paid();
    await fault(second.order_no, 'http_502_before');
    const { body: refused } = await refund(second, { amount: 400 });
    assert.equal(refused.state, 'unknown');
    await fault(second.order_no, 'refused', { sub_code: 'ACQ.REASON_TRADE_REFUND_FEE_ERR', times: 99 });
    const end = await becomes(refused.id, ['succeeded', 'failed']);
    assert.deepEqual([end.state, end.failure.channel_code], ['failed', 'ACQ.REASON_TRADE_REFUND_FEE_ERR']);
    assert.equal(await books(second), 0);
    assert.equal((await engine.payment(second.id)).refundable_amount, 1000);
});

test('what needs a person waits for one, holds up nothing else, and goes on under its number', async () => {
    const payment = await paid();
    await lever('POST', 'balance', { app_id: '2021000000000001', set: 50 });
    const { body: stuck } = await refund(payment, { amount: 400 });
    assert.equal(stuck.state, 'abnormal');
    await until('the alarm is in the log', () => alarms('refund_abnormal').some((line) => line.includes(stuck.id)));
    const { body: small } = await refund(payment, { amount: 40 });
    assert.equal((await becomes(small.id, 'succeeded')).amount, 40);
    assert.equal((await engine.payment(payment.id)).refundable_amount, 560);
    await lever('POST', 'balance', { app_id: '2021000000000001', set: null });
    await sleep(1100);
    const again = await engine.post(`/v1/refunds/${stuck.id}/retry`);
    assert.deepEqual([again.status, again.body.state, again.body.refund_no], [200, 'succeeded', stuck.refund_no], again.text);
    assert.equal(await books(payment), 440);
    const over = await engine.post(`/v1/refunds/${stuck.id}/retry`);
    assert.deepEqual([over.status, over.body.code, over.body.state], [409, 'state_conflict', 'succeeded']);
});

// ---- many at once ----

test('64 refunds of one payment at once give back what was received and no more', async () => {
    const payment = await paid(1000);
    const answers = await Promise.all(Array.from({ length: 64 }, () => refund(payment, { amount: 100 })));
    const made = answers.filter(({ status }) => status === 201);
    assert.equal(made.length, 10, answers.map(({ text }) => text).join('\n'));
    for (const { status, body } of answers.filter((answer) => answer.status !== 201))
        assert.deepEqual([status, body.code, body.refundable], [409, 'refund_exceeds_captured', 0]);
    const ends = await Promise.all(made.map(({ body }) => becomes(body.id, ['succeeded', 'failed', 'abnormal'])));
    assert.ok(ends.every(({ state }) => state === 'succeeded'));
    const now = await engine.payment(payment.id);
    assert.deepEqual([now.captured_amount, now.refunded_amount, now.refundable_amount], [1000, 1000, 0]);
    assert.equal(await books(payment), 1000);
    // one after the other: no request left before the answer to the one before had come
    const calls = (await Promise.all(ends.map((end) => callsOf(payment, end)))).flat().filter(({ op }) => op === 'refund')
        .map(({ at, ms, ...call }) => ({ ...call, from: Date.parse(at), to: Date.parse(at) + ms })).sort((a, b) => a.from - b.from);
    assert.equal(calls.length, 10, JSON.stringify(calls, null, 1));
    calls.slice(1).forEach(({ from }, i) => assert.ok(from >= calls[i].to - 1, JSON.stringify(calls, null, 1)));
});

test('twins are one refund, whoever comes first', async () => {
    const payment = await paid();
    const body = { amount: 250, merchant_refund_id: number() };
    const answers = await Promise.all(Array.from({ length: 8 }, () => refund(payment, body)));
    assert.deepEqual([...new Set(answers.map((answer) => `${answer.status} ${answer.body.id}`))].length, 1);
    assert.equal(answers.filter(({ headers }) => headers.get('idempotency-replayed') === null).length, 1);
    await becomes(answers[0].body.id, 'succeeded');
    assert.equal(await books(payment), 250);
});

// ---- hints, and what others did ----

/** A notification of this payment's trade about a refund, as Alipay sends it; signed with its key. */
const refundNotice = async (payment, fields) => {
    const trade = await lever('GET', `trades/${payment.order_no}`);
    const alipay = new Alipay(engine);
    const page = Alipay.page(payment);
    return alipay.send(payment, alipay.form(alipay.fields(payment, {
        trade_no: trade.trade_no, app_id: page.app_id, gmt_refund: `${beijingTime()}.000`, refund_fee: '3.00', ...fields,
    })));
};

test('a notification about a refund only lets the channel be asked, at once', async () => {
    const payment = await paid(1000, 'page');
    await fault(payment.order_no, 'in_process', { ms: 60000 });
    const { body } = await refund(payment, { amount: 300 });
    assert.equal(body.state, 'pending');
    assert.deepEqual((await callsOf(payment, body)).map(({ op }) => op), ['refund']);
    assert.equal(await refundNotice(payment, { out_biz_no: body.refund_no }), 'success');
    await until('the channel was asked', async () => (await callsOf(payment, body)).length === 2);
    assert.equal((await read(body.id)).state, 'pending', 'not settled by what the notification says');
    assert.equal((await engine.payment(payment.id)).refunded_amount, 0);
    assert.equal(alarms('foreign_refund').length, 0);
});

test('a notification without a number lets all that is open be asked about', async () => {
    const payment = await paid(1000, 'page');
    await fault(payment.order_no, 'in_process', { ms: 60000 });
    const { body } = await refund(payment, { amount: 300 });
    const before = alarms('foreign_refund').length;
    assert.equal(await refundNotice(payment, {}), 'success');
    await until('the channel was asked', async () => (await callsOf(payment, body)).length === 2);
    assert.equal(alarms('foreign_refund').length, before);
});

test('a refund that somebody made at the channel is alarmed and settles nothing', async () => {
    const payment = await paid(1000, 'page'), other = await paid();
    const { body: elsewhere } = await refund(other, { amount: 300 });
    for (const out_biz_no of ['BACKOFFICE-1', '0'.repeat(26), elsewhere.refund_no, undefined]) {
        const before = alarms('foreign_refund').length;
        assert.equal(await refundNotice(payment, out_biz_no ? { out_biz_no } : {}), 'success');
        await until('the alarm is in the log', () => alarms('foreign_refund').length === before + 1);
        assert.ok(alarms('foreign_refund').at(-1).includes(payment.id));
    }
    const now = await engine.payment(payment.id);
    assert.deepEqual([now.state, now.refunded_amount, now.refundable_amount], ['paid', 0, 1000]);
});

// ---- messages once more ----

test('a stored message runs again and changes what the model still allows: here nothing', async () => {
    const payment = await paid(1000, 'page');
    const [stored] = (await engine.get(`/v1/notifications?payment=${payment.id}`)).body.data;
    const before = await engine.payment(payment.id);
    const again = await engine.post(`/v1/notifications/${stored.id}/replay`);
    assert.equal(again.status, 200, again.text);
    assert.notEqual(again.body.id, stored.id);
    assert.deepEqual([again.body.verdict, again.body.effect, again.body.first], ['pass', 'none', stored.id]);
    assert.equal(again.body.raw_sha256, stored.raw_sha256);
    assert.deepEqual(await engine.payment(payment.id), before);
    const second = await engine.post(`/v1/notifications/${again.body.id}/replay`);
    assert.deepEqual([second.status, second.body.first], [200, stored.id]);
});

test('a refused message runs again: still refused, and nothing is kept', async () => {
    const payment = (await engine.create(number())).body;
    const alipay = new Alipay(engine);
    assert.equal(await alipay.send(payment, alipay.form(alipay.fields(payment), { total_amount: '0.01' })), 'fail');
    const [refused] = (await engine.get('/v1/notifications?verdict=refused&limit=1')).body.data;
    assert.equal(refused.failed_check, 'signature');
    const again = await engine.post(`/v1/notifications/${refused.id}/replay`);
    assert.deepEqual([again.status, again.body.id, again.body.verdict, again.body.failed_check],
        [200, refused.id, 'refused', 'signature']);
    assert.equal((await engine.payment(payment.id)).state, 'pending');
    assert.equal((await engine.post(`/v1/notifications/ntf_${'0'.repeat(26)}/replay`)).status, 404);
});

// ---- kills ----

test('a kill in the middle of a refund: the timer goes on, the money goes once', async () => {
    for (const [name, ms] of [['slow', 1500], ['slow_answer', 1500], ['in_process', 1500]]) {
        const payment = await paid();
        await fault(payment.order_no, name, { ms });
        const asked = refund(payment, { amount: 300, merchant_refund_id: `kill-${name}` }).catch(() => null);
        await sleep(600);
        await engine.restart('SIGKILL');
        await asked;
        const { body } = await refund(payment, { amount: 300, merchant_refund_id: `kill-${name}` });
        await engine.advance(60);
        const done = await becomes(body.id, ['succeeded', 'failed', 'abnormal']);
        assert.equal(done.state, 'succeeded', name);
        assert.equal(await books(payment), 300, name);
        assert.equal((await engine.payment(payment.id)).refunded_amount, 300);
    }
});

// ---- the proof ----

const sql = (text) => execFileSync('sqlite3', [path.join(engine.folder, 'data/tael.db'), text]);

test('the store proves itself after all this, and what is changed in it is found', async () => {
    await sleep(1500); // the last seal
    await engine.stop();
    const clean = engine.doctor();
    assert.match(clean.text, /^ok +rebuild /m, clean.text);
    assert.match(clean.text, /^ok +chain /m, clean.text);
    const changes = [
        ["UPDATE refunds SET amount = amount + 1 WHERE id = (SELECT MAX(id) FROM refunds)", /ref_\w+ +amount/],
        ["UPDATE payments SET refunded_amount = refunded_amount - 1 WHERE refunded_amount > 0", /pay_\w+ +refunded_amount/],
        ["DELETE FROM refunds WHERE id = (SELECT MAX(id) FROM refunds)", /ref_\w+ +the events name it/],
        ["UPDATE calls SET answer = (SELECT answer FROM calls WHERE answer IS NOT NULL ORDER BY id LIMIT 1) WHERE id = "
            + '(SELECT MAX(evidence) FROM refunds)', /cal_\w+ +the evidence's bytes do not open/],
        // of what cannot be read at all it is said too, and the rest is looked at
        [`UPDATE events SET data = '{"pay' WHERE id = (SELECT MAX(id) FROM events)`, /evt_\w+ +it holds no JSON object\n(.*\n)*ok +seals/],
        [`UPDATE events SET data = json_set(data, '$.refund', 'x') WHERE id = (SELECT MAX(id) FROM events WHERE type LIKE 'refund.%')`,
            /evt_\w+ +its refund is no object\n/],
        [`UPDATE events SET data = '{"payment":["x",1]}' WHERE id = (SELECT MAX(id) FROM events WHERE type LIKE 'payment.%')`,
            /evt_\w+ +its payment is no object\n(.*\n)*ok +seals/],
        [`UPDATE events SET data = json_set(data, '$.payment.request', 'x') WHERE version = 1`,
            /evt_\w+ +its payment has no digest of a request\n(.*\n)*ok +seals/],
        [`UPDATE events SET data = '[]' WHERE id = (SELECT MAX(id) FROM events)`, /evt_\w+ +it holds no JSON object\n(.*\n)*ok +seals/],
        [`UPDATE events SET type = 'x.y', data = '{"x":1}' WHERE id = (SELECT MAX(id) FROM events)`,
            /evt_\w+ +it names another object than its type says\n(.*\n)*ok +seals/],
        ['UPDATE events SET prev = id WHERE id = (SELECT MAX(id) FROM events WHERE payment IS NOT NULL)',
            /evt_\w+ +the event before it is no older one\n/],
    ];
    execFileSync('cp', ['-a', path.join(engine.folder, 'data'), path.join(engine.folder, 'kept')]);
    for (const [change, expected] of changes) {
        sql(`${change};`);
        const { text } = engine.doctor();
        assert.match(text, expected, `${change}\n${text}`);
        execFileSync('sh', ['-c', 'rm -f data/tael.db*; cp -a kept/tael.db* data/'], { cwd: engine.folder });
    }
    assert.match(engine.doctor().text, /^ok +rebuild /m);
    await engine.start();
});
