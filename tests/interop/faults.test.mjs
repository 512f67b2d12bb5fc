// faults.test.mjs - everything that our sandbox can do wrong, as Alipay's official library sees it, and whether
// the money moved all the same.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { Merchant, Sandbox, until } from './sandbox.mjs';

let sandbox, merchant, sdk, help;
let orders = 0;

before(async () => {
    sandbox = await new Sandbox({ speed: 1000 }).start();
    merchant = await new Merchant().start();
    sdk = sandbox.sdk({ timeout: 2000 });
    help = (await sandbox.lever('GET', 'help')).body;
});
after(async () => {
    await sandbox.remove();
    await merchant.stop();
});

const ask = (method, content, more = {}) =>
    sdk.exec(`alipay.trade.${method}`, { bizContent: content, ...more }, { validateSign: true });

/** What comes of a call: "said" and the answer, or "refused" and why the library threw. */
const outcome = (call) => call.then((answer) => ({ said: answer }), (error) => ({ refused: error.message }));

const order = (changed = {}) => ({
    out_trade_no: `F${Date.now()}${++orders}`, total_amount: '20.00', subject: 'coffee', ...changed,
});

const precreate = (content) => ask('precreate', content, { notifyUrl: merchant.url });

async function scanned(changed) {
    const content = order(changed);
    await until('the order is taken', async () => (await outcome(precreate(content))).said?.code === '10000');
    await sandbox.lever('POST', `trades/${content.out_trade_no}/scan`);
    return content;
}

async function paid(changed) {
    const content = await scanned(changed);
    const { body } = await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    assert.equal(body.trade_status, 'TRADE_SUCCESS');
    return content;
}

const query = ({ out_trade_no }) => ask('query', { out_trade_no });
const refund = ({ out_trade_no }, amount, no) => ask('refund', { out_trade_no, refund_amount: amount, out_request_no: no });
const refundQuery = ({ out_trade_no }, no) => ask('fastpay.refund.query', { out_trade_no, out_request_no: no });
const behave = async (body) => {
    const answer = await sandbox.lever('POST', 'behaviour', body);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body;
};
const LONG = 600000;
const later = async (ms) =>
    assert.equal((await sandbox.lever('POST', 'clock', { advance_ms: ms })).status, 200);
const moved = async ({ out_trade_no }) => {
    const { body } = await sandbox.lever('GET', 'bill');
    return body.trades.find((trade) => trade.out_trade_no === out_trade_no).refunded
        .reduce((sum, one) => sum + one.amount, 0);
};
const notes = ({ out_trade_no }) => merchant.bodies
    .map((body) => ({ body, fields: Object.fromEntries(new URLSearchParams(body)) }))
    .filter((note) => note.fields.out_trade_no === out_trade_no);
const deliveries = async ({ out_trade_no }) =>
    (await sandbox.lever('GET', `deliveries?out_trade_no=${out_trade_no}`)).body.deliveries;

// ---- faults of calls: {fault: [what the library makes of it, does the refund act]} ----

const error = (pattern) => (seen) => assert.match(seen.refused ?? `answered ${JSON.stringify(seen.said)}`, pattern);
const says = (code, subCode) => (seen) =>
    assert.deepEqual([seen.said?.code, seen.said?.subCode], [code, subCode], seen.refused);
const anyError = error(/^(?!answered)/);

const refunds = {
    lost_before: [error(/[Tt]imeout/), false], lost_after: [error(/[Tt]imeout/), true],
    reset_before: [anyError, false], reset_after: [anyError, true],
    hangup_before: [says('10000', undefined), true], // this library asks again by itself: measured
    hangup_after: [(seen) => assert.equal(seen.said.fundChange, 'N'), true],
    busy_before: [says('20000', 'isp.unknow-error'), false], busy_after: [says('20000', 'isp.unknow-error'), true],
    acq_error_before: [says('40004', 'ACQ.SYSTEM_ERROR'), false],
    acq_error_after: [says('40004', 'ACQ.SYSTEM_ERROR'), true],
    http_500_before: [error(/HTTP|500/), false], http_500_after: [error(/HTTP|500/), true],
    http_502_before: [error(/HTTP|502/), false], http_502_after: [error(/HTTP|502/), true],
    http_503_before: [error(/HTTP|503/), false], http_503_after: [error(/HTTP|503/), true],
    http_504_before: [error(/HTTP|504/), false], http_504_after: [error(/HTTP|504/), true],
    refused: [says('40004', 'ACQ.TRADE_NOT_ALLOW_REFUND'), false],
    limited: [says('40005', 'isv.app-call-limited'), false],
    no_code: [says(undefined, 'ACQ.SYSTEM_ERROR'), false],
    unsigned_success: [anyError, false],
    wrong_signature: [error(/验签失败|签名|sign/i), true], unsigned: [anyError, true],
    double_node: [() => {}, true], // this library takes the second node: measured, and the reason for the fault
    sign_first: [anyError, true], // this library cannot read it
    signed_before_escaping: [says('10000', undefined), true], // no slash in it: nothing to notice
    empty: [anyError, true], html: [anyError, true], garbage: [anyError, true], cut_body: [anyError, true],
    slow: [says('10000', undefined), true], slow_answer: [says('10000', undefined), true],
    slow_body: [says('10000', undefined), true],
    in_process: [says('10000', undefined), false], in_process_fails: [says('10000', undefined), false],
    balance_too_low: [says('40004', 'ACQ.SELLER_BALANCE_NOT_ENOUGH'), false],
    query_lags: [says('10000', undefined), true], notice_first: [says('10000', undefined), true],
};

for (const [fault, [look, acts]] of Object.entries(refunds)) {
    test(`the next refund: ${fault}`, async () => {
        const content = await paid();
        const ms = { slow: 300, slow_answer: 300, slow_body: 300, in_process: 60000, in_process_fails: 60000 }[fault];
        await behave({ op: 'refund', fault, ...(ms && { ms }) });
        assert.equal((await query(content)).tradeStatus, 'TRADE_SUCCESS'); // other calls are met by nothing
        const start = Date.now();
        look(await outcome(refund(content, '5.00', 'R1')));
        if (fault.startsWith('slow')) assert.ok(Date.now() - start >= 300, `${Date.now() - start} ms`);
        assert.equal(await moved(content), acts ? 500 : 0);
        if (fault === 'balance_too_low') await sandbox.lever('POST', 'balance', { add: 1 });
        const again = await refund(content, '5.00', 'R1'); // and the call after it is whole
        assert.equal(again.code, '10000');
        if (!fault.startsWith('in_process')) assert.equal(await moved(content), 500);
    });
}

test('every fault is listed, and every listed fault is tested', () => {
    const elsewhere = ['paid_meanwhile', 'retry', 'payer_balance_too_low'];
    assert.deepEqual(help.faults.map(({ name }) => name).sort(), [...Object.keys(refunds), ...elsewhere].sort());
});

test('a refund of an answer that was lost: asked for, and sent again', async () => {
    const content = await paid();
    await behave({ op: 'refund', fault: 'lost_after' });
    error(/[Tt]imeout/)(await outcome(refund(content, '5.00', 'R1')));
    assert.equal((await refundQuery(content, 'R1')).refundStatus, 'REFUND_SUCCESS');
    await behave({ op: 'refund', fault: 'lost_before' });
    error(/[Tt]imeout/)(await outcome(refund(content, '5.00', 'R2')));
    assert.equal((await refundQuery(content, 'R2')).refundStatus, undefined);
    const again = await refund(content, '5.00', 'R2');
    assert.deepEqual([again.fundChange, again.refundFee], ['Y', '10.00']);
});

test('a refund in process: not known to be done, then done; or undone, and made again', async () => {
    for (const fault of ['in_process', 'in_process_fails']) {
        const content = await paid();
        await behave({ op: 'refund', fault, ms: LONG }); // by the sandbox's clock, which only we set ahead
        const first = await refund(content, '20.00', 'R1');
        assert.deepEqual([first.fundChange, first.refundFee, first.gmtRefundPay], ['N', '0.00', undefined]);
        const running = await refundQuery(content, 'R1');
        assert.deepEqual([running.refundStatus, running.refundAmount], [undefined, '20.00']);
        assert.equal((await ask('refund', { out_trade_no: content.out_trade_no, refund_amount: '0.01',
            out_request_no: 'R2' })).subCode, 'ACQ.REASON_TRADE_REFUND_FEE_ERR'); // its part is held
        const cancel = await ask('cancel', { out_trade_no: content.out_trade_no });
        assert.deepEqual([cancel.retryFlag, cancel.action], ['Y', undefined]);
        await later(LONG);
        if (fault === 'in_process') {
            await until('it is done', async () => (await refundQuery(content, 'R1')).refundStatus === 'REFUND_SUCCESS');
            assert.equal((await query(content)).tradeStatus, 'TRADE_CLOSED');
        } else {
            await until('it is undone', async () => (await refundQuery(content, 'R1')).refundAmount === undefined);
            assert.equal(await moved(content), 0);
            assert.equal((await refund(content, '20.00', 'R1')).fundChange, 'Y');
        }
        assert.equal(await moved(content), 2000);
    }
});

test('refund query that lags behind', async () => {
    const content = await paid();
    await behave({ op: 'refund', fault: 'query_lags', ms: LONG });
    assert.equal((await refund(content, '5.00', 'R1')).fundChange, 'Y');
    assert.equal((await refundQuery(content, 'R1')).refundStatus, undefined);
    await later(LONG);
    await until('it is known', async () => (await refundQuery(content, 'R1')).refundStatus === 'REFUND_SUCCESS');
});

test('a notification before the answer', async () => {
    const content = await paid();
    await behave({ op: 'refund', fault: 'notice_first' });
    await refund(content, '20.00', 'R1');
    const told = notes(content).filter(({ fields }) => fields.out_biz_no === 'R1');
    assert.equal(told.length, 1); // it was there when the answer came, though a full refund is silent else
    await behave({ op: 'pay', fault: 'notice_first' });
    const other = await paid();
    assert.equal(notes(other).length, 1);
});

test('the payer who pays in the moment of the close, or of the cancel', async () => {
    const content = await scanned();
    await behave({ op: 'close', fault: 'paid_meanwhile' });
    assert.equal((await ask('close', { out_trade_no: content.out_trade_no })).subCode, 'ACQ.TRADE_STATUS_ERROR');
    assert.equal((await query(content)).tradeStatus, 'TRADE_SUCCESS');
    const other = await scanned();
    await behave({ op: 'cancel', fault: 'paid_meanwhile' });
    const answer = await ask('cancel', { out_trade_no: other.out_trade_no });
    assert.deepEqual([answer.action, answer.retryFlag], ['refund', 'N']);
    assert.equal(await moved(other), 2000);
});

test('a cancel that wants to be repeated, and one that has to wait for money', async () => {
    const content = await paid();
    await behave({ op: 'cancel', fault: 'retry', times: 2 });
    for (let i = 0; i < 2; i++)
        assert.equal((await ask('cancel', { out_trade_no: content.out_trade_no })).retryFlag, 'Y');
    assert.equal((await ask('cancel', { out_trade_no: content.out_trade_no })).action, 'refund');
    const other = await paid();
    await behave({ op: 'cancel', fault: 'balance_too_low' });
    for (let i = 0; i < 2; i++)
        assert.equal((await ask('cancel', { out_trade_no: other.out_trade_no })).subCode, 'ACQ.SELLER_BALANCE_NOT_ENOUGH');
    await sandbox.lever('POST', 'balance', { add: 1 });
    assert.equal((await ask('cancel', { out_trade_no: other.out_trade_no })).action, 'refund');
});

test('a fault may be meant for every call, for one order, with one sub code', async () => {
    const one = await paid(), other = await paid();
    await behave({ op: 'query', fault: 'refused', sub_code: 'ACQ.TEST', out_trade_no: one.out_trade_no });
    assert.equal((await query(other)).code, '10000');
    assert.equal((await query(one)).subCode, 'ACQ.TEST');
    assert.equal((await query(one)).code, '10000');
    await behave({ fault: 'busy_before', times: 2 });
    assert.equal((await query(one)).code, '20000');
    assert.equal((await refund(one, '1.00', 'R1')).code, '20000');
    assert.equal((await refund(one, '1.00', 'R1')).code, '10000');
    await behave({ op: 'refund', fault: 'busy_before', times: 5 });
    const listed = await behave({ op: 'query', fault: 'html', times: 3 });
    assert.deepEqual(listed.faults.map(({ op, fault, times }) => [op, fault, times]),
        [['query', 'html', 3], ['refund', 'busy_before', 5]]);
    assert.deepEqual((await behave({ op: 'query', fault: null })).faults.map(({ op }) => op), ['refund']);
    assert.deepEqual((await behave({ fault: null })).faults, []);
    for (const wrong of [{ fault: 'nonsense' }, { fault: 'retry', op: 'refund' }, { fault: 'html', op: 'pay' },
        { fault: 'html', op: 'fly' }, { fault: 'html', times: 0 }, { fault: 'html', ms: -1 },
        { fault: 'refused', sub_code: 'a b' }, { notices: 'nonsense' }, { notices: 'lose', op: 'query' }, { magic: 1 },
        { falt: 'html' }, { fault: 'html', op: 'refund', notices: 'lose', magic: false, notify: 1 },
        { fault: 'html', op: 'pay', notices: 'lose' }, { fault: 'notice_first', op: 'pay', notices: 'nonsense' }])
        assert.equal((await sandbox.lever('POST', 'behaviour', wrong)).status, 400, JSON.stringify(wrong));
    const { body: unchanged } = await sandbox.lever('GET', 'behaviour');
    assert.deepEqual([unchanged.faults, unchanged.notices, unchanged.magic, unchanged.notify], [[], [], true, true]);
});

test('a caller that gives up ends the waiting; a stop is not held up by it', async () => {
    const content = await paid();
    await behave({ op: 'refund', fault: 'lost_after', ms: 60000 });
    await outcome(refund(content, '5.00', 'R1'));
    await behave({ op: 'query', fault: 'lost_before', ms: 60000 });
    await outcome(query(content));
    const start = Date.now();
    assert.deepEqual(await sandbox.stop(), { code: 0, signal: null });
    assert.ok(Date.now() - start < 20000, `${Date.now() - start} ms`); // both calls would have waited a minute
    await sandbox.start();
    assert.equal(await moved(content), 500);
});

test('a connection that was used before is closed without an answer', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const content = await paid();
    const url = new URL(sandbox.gateway);
    const signed = new URL(sdk.pageExecute('alipay.trade.query', 'GET', { bizContent: { out_trade_no: content.out_trade_no } }));
    const get = () => new Promise((resolve) => {
        const request = http.get({ host: url.hostname, port: url.port, path: url.pathname + signed.search, agent },
            (response) => response.resume().on('end', () => resolve(response.statusCode)));
        request.on('error', (problem) => resolve(problem.code));
    });
    assert.equal(await get(), 200);
    await behave({ op: 'query', fault: 'hangup_before' });
    assert.equal(await get(), 'ECONNRESET');
    assert.equal(await get(), 200);
    agent.destroy();
});

// ---- faults of notifications ----

const first = (content, n = 1) => until(`${n} notes`, () => notes(content).length >= n && notes(content));
const good = ({ fields }) => sdk.checkNotifySignV2(fields);

test('notices: lose, delay, duplicate, and back to normal', async () => {
    await behave({ notices: 'lose' });
    assert.deepEqual(await deliveries(await paid()), []);
    await behave({ notices: 'delay', ms: 600 });
    const start = Date.now();
    const late = await paid();
    const pending = (await sandbox.lever('GET', 'deliveries')).body;
    assert.ok(pending.waiting >= 1);
    assert.ok(pending.deliveries.some((delivery) => delivery.out_trade_no === late.out_trade_no));
    await first(late);
    assert.ok(Date.now() - start >= 600);
    await behave({ notices: 'duplicate' });
    const twice = await first(await paid(), 2);
    assert.equal(twice[0].body, twice[1].body);
    const once = await paid();
    await first(once);
    await until('delivered', async () => (await deliveries(once))[0].state === 'delivered');
    assert.equal(notes(once).length, 1);
});

test('notices: one is held back until the next was sent', async () => {
    await behave({ notices: 'reorder', op: 'pay', ms: 600000 });
    const content = await paid();
    await behave({ op: 'refund', notices: 'duplicate' });
    await refund(content, '5.00', 'R1');
    const told = await first(content, 3);
    assert.deepEqual(told.map(({ fields }) => fields.out_biz_no), ['R1', 'R1', undefined]);
    assert.ok(told.every(good));
});

test('notices: the first delivery is spoilt, the next is whole', async () => {
    const stubborn = await new Merchant((n, body) => 'fail').start();
    stubborn.answer = (n) => (n === 1 ? 'fail' : 'success');
    for (const [variant, look] of Object.entries({
        tamper: ({ fields }) => assert.deepEqual([good({ fields }), fields.total_amount], [false, '0.01']),
        changed_amount: ({ fields }) => assert.deepEqual([good({ fields }), fields.total_amount], [true, '20.01']),
        bad_signature: ({ fields }) => assert.equal(good({ fields }), false),
        unsigned: ({ fields }) => assert.equal(fields.sign, undefined),
        other_seller: ({ fields }) => assert.equal(good({ fields }), true),
    })) {
        stubborn.bodies.length = 0;
        const content = order();
        await ask('precreate', content, { notifyUrl: stubborn.url });
        await behave({ notices: variant });
        await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
        const [one, two] = [await stubborn.received(1), await stubborn.received(2)];
        look({ fields: one });
        assert.equal(good({ fields: two }), true);
        assert.equal(two.total_amount, '20.00');
        assert.equal(two.notify_id, one.notify_id);
    }
    await stubborn.stop();
});

test('no notifications at all', async () => {
    assert.equal((await behave({ notify: false })).notify, false);
    assert.deepEqual(await deliveries(await paid()), []);
    await behave({ notify: true });
});

// ---- magic amounts ----

/** An order that is made when it can be made at once; paid when its amount lets it be. */
const magicOrder = (digits) => order({ total_amount: `20.${digits}` });

/** What each amount does, seen by the library; every rule of the table has to stand here. */
const ofTotal = {
    61: async (content) => {
        error(/[Tt]imeout/)(await outcome(precreate(content)));
        assert.equal((await sandbox.lever('POST', `trades/${content.out_trade_no}/scan`)).status, 404);
        assert.equal((await precreate(content)).code, '10000');
    },
    62: async (content) => {
        error(/[Tt]imeout/)(await outcome(precreate(content)));
        assert.equal((await sandbox.lever('POST', `trades/${content.out_trade_no}/scan`)).status, 200);
        assert.equal((await precreate(content)).code, '10000');
    },
    63: async (content) => {
        assert.equal((await precreate(content)).code, '20000');
        assert.equal((await sandbox.lever('POST', `trades/${content.out_trade_no}/scan`)).status, 404);
        assert.equal((await precreate(content)).code, '10000');
    },
    64: async (content) => {
        assert.equal((await precreate(content)).code, '20000');
        assert.equal((await sandbox.lever('POST', `trades/${content.out_trade_no}/scan`)).status, 200);
    },
    65: async (content) => {
        const page = await (await fetch((await precreate(content)).qrCode)).text();
        const pay = page.match(/action="(\/cashier\/[0-9a-f]+\/pay)"/)[1];
        for (let i = 0; i < 2; i++)
            assert.match(await (await fetch(sandbox.url + pay, { method: 'POST' })).text(), /余额不足/);
        assert.equal((await query(content)).tradeStatus, 'WAIT_BUYER_PAY');
    },
    66: async (content) => assert.deepEqual(await deliveries(await paid(content)), []),
    67: async (content) => assert.equal((await first(await paid(content), 2)).length, 2),
    68: async (content) => assert.deepEqual((await spoilt(content)).map(good), [false, true]),
    69: async (content) => {
        const told = await spoilt(content);
        assert.deepEqual(told.map(good), [true, true]);
        assert.deepEqual(told.map(({ fields }) => fields.total_amount), ['20.70', '20.69']);
    },
    70: async (content) => assert.deepEqual((await spoilt(content)).map(good), [false, true]),
    71: async (content) => {
        const start = Date.now();
        await first(await paid(content));
        assert.ok(Date.now() - start >= 60, 'a minute at a thousand times the speed');
    },
    72: async (content) => afterPayment(content, anyError),
    73: async (content) => afterPayment(content, anyError),
    74: async (content) => {
        await scanned(content);
        anyError(await outcome(query(content)));
        assert.equal((await query(content)).tradeStatus, 'WAIT_BUYER_PAY');
    },
    75: async (content) => {
        await scanned(content);
        assert.equal((await query(content)).tradeStatus, 'TRADE_SUCCESS'); // the library falls for it
        assert.equal((await query(content)).tradeStatus, 'WAIT_BUYER_PAY');
    },
    76: async (content) => {
        await scanned(content);
        error(/[Tt]imeout/)(await outcome(ask('close', { out_trade_no: content.out_trade_no })));
        assert.equal((await query(content)).tradeStatus, 'TRADE_CLOSED');
    },
    77: async (content) => {
        await scanned(content);
        assert.equal((await ask('close', { out_trade_no: content.out_trade_no })).subCode, 'ACQ.TRADE_STATUS_ERROR');
        assert.equal((await query(content)).tradeStatus, 'TRADE_SUCCESS');
    },
    78: async (content) => {
        await scanned(content);
        assert.equal((await ask('cancel', { out_trade_no: content.out_trade_no })).retryFlag, 'Y');
        assert.equal((await query(content)).tradeStatus, 'WAIT_BUYER_PAY');
        assert.equal((await ask('cancel', { out_trade_no: content.out_trade_no })).action, 'close');
    },
    79: async (content) => {
        await paid(content);
        error(/[Tt]imeout/)(await outcome(ask('cancel', { out_trade_no: content.out_trade_no })));
        assert.equal(await moved(content), 2079);
    },
};

/** The first two deliveries to a merchant who takes only what is right. */
async function spoilt(content) {
    const careful = await new Merchant((n) => (n === 1 ? 'fail' : 'success')).start();
    await ask('precreate', content, { notifyUrl: careful.url });
    await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    const told = [{ fields: await careful.received(1) }, { fields: await careful.received(2) }];
    await careful.stop();
    return told;
}

async function afterPayment(content, look) {
    await scanned(content);
    assert.equal((await query(content)).tradeStatus, 'WAIT_BUYER_PAY');
    await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    look(await outcome(query(content)));
    assert.equal((await query(content)).tradeStatus, 'TRADE_SUCCESS');
}

const ofRefund = {
    61: [error(/[Tt]imeout/), false], 62: [error(/[Tt]imeout/), true],
    63: [says('20000', 'isp.unknow-error'), false], 64: [says('20000', 'isp.unknow-error'), true],
    65: [says('40004', 'ACQ.SELLER_BALANCE_NOT_ENOUGH'), false],
    66: [(seen) => assert.equal(seen.said.fundChange, 'N'), false],
    67: [(seen) => assert.equal(seen.said.fundChange, 'N'), false],
    68: [anyError, false], 69: [anyError, true], 70: [anyError, true], 71: [anyError, false],
    72: [error(/HTTP|502/), true], 73: [says('10000', undefined), true],
    74: [says('40004', 'ACQ.TRADE_NOT_ALLOW_REFUND'), false], 75: [says('10000', undefined), true],
    76: [anyError, true], 77: [says('10000', undefined), true], 78: [anyError, true],
    79: [says(undefined, 'ACQ.SYSTEM_ERROR'), false],
};

for (const [digits, run] of Object.entries(ofTotal)) {
    test(`total_amount 20.${digits}`, () => run(magicOrder(digits)));
}

for (const [digits, [look, acts]] of Object.entries(ofRefund)) {
    test(`refund_amount 5.${digits}`, async () => {
        const content = await paid(), amount = 500 + Number(digits);
        look(await outcome(refund(content, `5.${digits}`, 'R1')));
        const query = await outcome(refundQuery(content, 'R1'));
        if (digits === '75') assert.equal(query.said.code, '20000');
        if (digits === '77') assert.ok(notes(content).some(({ fields }) => fields.out_biz_no === 'R1'));
        if (digits !== '66' && digits !== '67') assert.equal(await moved(content), acts ? amount : 0);
        if (digits === '65') await sandbox.lever('POST', 'balance', { add: 1 });
        if (digits === '74') return says('40004', 'ACQ.TRADE_NOT_ALLOW_REFUND')(await outcome(refund(content, '5.74', 'R1')));
        await until('it is done', async () => {
            await refund(content, `5.${digits}`, 'R1');
            return (await refundQuery(content, 'R1')).refundStatus === 'REFUND_SUCCESS';
        });
        assert.equal(await moved(content), amount);
    });
}

test('every magic amount is in the table, and the table is what was tested', async () => {
    const listed = (of) => help.magic_amounts.filter((rule) => rule.of === of).map((rule) => String(rule.digits));
    assert.deepEqual(listed('total'), Object.keys(ofTotal));
    assert.deepEqual(listed('refund'), Object.keys(ofRefund));
    const page = await (await fetch(`${sandbox.url}/sandbox`)).text();
    for (const rule of help.magic_amounts) assert.ok(page.includes(rule.says.replaceAll("'", '&#39;')), rule.says);
});

test('refund_amount 5.73: for ten seconds, at the usual speed', async () => {
    const usual = await new Sandbox().start();
    const library = usual.sdk(), content = order();
    await library.exec('alipay.trade.precreate', { bizContent: content });
    await usual.lever('POST', `trades/${content.out_trade_no}/pay`);
    const refunded = { out_trade_no: content.out_trade_no, refund_amount: '5.73', out_request_no: 'R1' };
    assert.equal((await library.exec('alipay.trade.refund', { bizContent: refunded })).fundChange, 'Y');
    const asked = () => library.exec('alipay.trade.fastpay.refund.query', { bizContent: refunded });
    assert.equal((await asked()).refundStatus, undefined);
    assert.equal((await usual.lever('POST', 'clock', { advance_ms: 10000 })).status, 200);
    assert.equal((await asked()).refundStatus, 'REFUND_SUCCESS');
    await usual.remove();
});

test('magic can be turned off', async () => {
    await behave({ magic: false });
    assert.equal((await precreate(magicOrder(63))).code, '10000');
    await behave({ magic: true });
});
