// life.test.mjs - an order's whole life with Alipay's official library against our sandbox: code, close, cancel,
// refunds and their notifications, and the answers that say no.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Merchant, Sandbox, appId, sellerId, until } from './sandbox.mjs';

let sandbox, merchant, sdk;
let orders = 0;

before(async () => {
    sandbox = await new Sandbox({ speed: 200 }).start();
    merchant = await new Merchant().start();
    sdk = sandbox.sdk();
});
after(async () => {
    await sandbox.remove();
    await merchant.stop();
});

const number = () => `L${Date.now()}${++orders}`;

/** One call as the library makes it: signed, and the answer's signature checked. */
const ask = (method, content, more = {}) =>
    sdk.exec(`alipay.trade.${method}`, { bizContent: content, ...more }, { validateSign: true });

function order(changed = {}) {
    return { out_trade_no: number(), total_amount: '20.00', subject: '咖啡 coffee', ...changed };
}

const precreate = (content, more = {}) => ask('precreate', content, { notifyUrl: merchant.url, ...more });

/** A precreated order that a payer has scanned. */
async function scanned(changed) {
    const content = order(changed);
    const { qrCode } = await precreate(content);
    assert.equal((await fetch(qrCode)).status, 200);
    return content;
}

const paid = async (changed) => {
    const content = await scanned(changed);
    const { body } = await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    assert.equal(body.trade_status, 'TRADE_SUCCESS');
    return content;
};

const query = ({ out_trade_no }) => ask('query', { out_trade_no });
const refund = ({ out_trade_no }, amount, no, more = {}) =>
    ask('refund', { out_trade_no, refund_amount: amount, ...(no && { out_request_no: no }), ...more });
const refundQuery = ({ out_trade_no }, no, more = {}) =>
    ask('fastpay.refund.query', { out_trade_no, out_request_no: no, ...more });

const bill = async ({ out_trade_no }) =>
    (await sandbox.lever('GET', 'bill')).body.trades.find((trade) => trade.out_trade_no === out_trade_no);

/** The notification of a refund, once it has come. */
const refundNote = ({ out_trade_no }, no) => until(`notification of ${no}`, () => merchant.bodies
    .map((body) => Object.fromEntries(new URLSearchParams(body)))
    .find((note) => note.out_trade_no === out_trade_no && note.out_biz_no === no));

function refused(answer, subCode) {
    assert.equal(answer.code, '40004', JSON.stringify(answer));
    assert.equal(answer.subCode, subCode);
    assert.ok(answer.subMsg.length > 1);
}

// ---- precreate ----

test('a precreated order begins with the scan of its code', async () => {
    const content = order({ body: 'two cups', passback_params: 'a%3D1', product_code: 'QR_CODE_OFFLINE' });
    const answer = await precreate(content);
    assert.equal(answer.code, '10000');
    assert.equal(answer.outTradeNo, content.out_trade_no);
    assert.ok(answer.qrCode.startsWith(`${sandbox.url}/qr/`), answer.qrCode);
    refused(await query(content), 'ACQ.TRADE_NOT_EXIST');
    refused(await ask('close', { out_trade_no: content.out_trade_no }), 'ACQ.TRADE_NOT_EXIST');
    const page = await fetch(answer.qrCode);
    const html = await page.text();
    assert.equal(page.status, 200);
    assert.match(html, /¥20\.00/);
    assert.match(html, /咖啡 coffee/);
    assert.doesNotMatch(html, /<script/);
    assert.equal((await query(content)).tradeStatus, 'WAIT_BUYER_PAY');
    const seen = merchant.bodies.length;
    const pay = html.match(/action="(\/cashier\/[0-9a-f]+\/pay)"/)[1];
    assert.match(await (await fetch(sandbox.url + pay, { method: 'POST' })).text(), /已支付 Paid/);
    const note = await merchant.received(seen + 1);
    assert.equal(sdk.checkNotifySignV2(note), true);
    assert.equal(note.out_trade_no, content.out_trade_no);
    assert.equal(note.trade_status, 'TRADE_SUCCESS');
    assert.equal(note.passback_params, 'a%3D1');
    assert.equal((await query(content)).tradeStatus, 'TRADE_SUCCESS');
});

test('precreate again: the same content gives the same code, other content is refused', async () => {
    const content = order({ timeout_express: '30m' });
    const first = await precreate(content);
    assert.equal((await precreate(content)).qrCode, first.qrCode);
    for (const changed of [{ total_amount: '20.01' }, { subject: 'tea' }, { timeout_express: '31m' }, { body: 'x' }])
        refused(await precreate({ ...content, ...changed }), 'ACQ.CONTEXT_INCONSISTENT');
    await fetch(first.qrCode);
    assert.equal((await precreate(content)).qrCode, first.qrCode);
    await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    refused(await precreate(content), 'ACQ.TRADE_HAS_SUCCESS');
    const closed = await scanned();
    await ask('close', { out_trade_no: closed.out_trade_no });
    refused(await precreate(closed), 'ACQ.TRADE_HAS_CLOSE');
});

test('16 precreates of one order at once make one code', async () => {
    const content = order();
    const answers = await Promise.all(Array.from({ length: 16 }, () => precreate(content)));
    assert.equal(new Set(answers.map((answer) => answer.qrCode)).size, 1);
});

test('wrong precreates name the parameter', async () => {
    const wrong = {
        out_trade_no: { out_trade_no: 'a-b' }, total_amount: { total_amount: '0.001' },
        subject: { subject: 'a=b' }, product_code: { product_code: 'FAST_INSTANT_TRADE_PAY' },
        timeout_express: { timeout_express: '16d' }, time_expire: { time_expire: 'soon' },
        qr_code_timeout_express: { qr_code_timeout_express: '0m' },
    };
    for (const [name, changed] of Object.entries(wrong)) {
        const answer = await precreate(order(changed));
        refused(answer, 'ACQ.INVALID_PARAMETER');
        assert.match(answer.subMsg, new RegExp(`：${name}$`));
    }
    refused(await precreate(order({ time_expire: '2020-01-01 00:00:00' })), 'ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR');
    refused(await precreate(order({ seller_id: '2088000000000009' })), 'ACQ.SELLER_NOT_EXIST');
    assert.equal((await precreate(order({ seller_id: sellerId }))).code, '10000');
});

test('the code as a picture: no scan', async () => {
    const content = order();
    const { qrCode } = await precreate(content);
    for (const [url, headers] of [[`${qrCode}.svg`, {}], [qrCode, { accept: 'image/avif,image/webp,*/*;q=0.8' }]]) {
        const picture = await fetch(url, { headers });
        assert.equal(picture.headers.get('content-type'), 'image/svg+xml');
        assert.match(await picture.text(), /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 \d+ \d+"/);
    }
    assert.equal((await fetch(qrCode, { method: 'HEAD' })).status, 200);
    refused(await query(content), 'ACQ.TRADE_NOT_EXIST');
    assert.equal((await fetch(`${sandbox.url}/qr/${'0'.repeat(32)}`)).status, 404);
    assert.equal((await fetch(qrCode, { method: 'POST' })).status, 404);
});

// ---- close, cancel ----

test('close ends an order that waits, and nothing else', async () => {
    const content = await scanned();
    const answer = await ask('close', { out_trade_no: content.out_trade_no });
    assert.equal(answer.code, '10000');
    assert.equal(answer.outTradeNo, content.out_trade_no);
    const state = await query(content);
    assert.equal(state.tradeStatus, 'TRADE_CLOSED');
    assert.equal(state.tradeNo, answer.tradeNo);
    assert.equal(state.sendPayDate, undefined);
    refused(await ask('close', { out_trade_no: content.out_trade_no }), 'ACQ.REASON_TRADE_STATUS_INVALID');
    const { body } = await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    assert.equal(body.trade_status, 'TRADE_CLOSED');
    refused(await ask('close', { out_trade_no: (await paid()).out_trade_no }), 'ACQ.TRADE_STATUS_ERROR');
    refused(await ask('close', {}), 'ACQ.INVALID_PARAMETER');
});

test('cancel closes what waits, gives back what was paid, and may be repeated', async () => {
    const waits = await scanned();
    for (let i = 0; i < 2; i++) {
        const answer = await ask('cancel', { out_trade_no: waits.out_trade_no });
        assert.deepEqual([answer.code, answer.action, answer.retryFlag], ['10000', 'close', 'N']);
    }
    assert.equal((await query(waits)).tradeStatus, 'TRADE_CLOSED');
    const content = await paid();
    await refund(content, '5.00', 'R1');
    for (let i = 0; i < 2; i++) {
        const answer = await ask('cancel', { out_trade_no: content.out_trade_no });
        assert.deepEqual([answer.code, answer.action, answer.retryFlag], ['10000', 'refund', 'N']);
        assert.match(answer.gmtRefundPay, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    }
    const line = await bill(content);
    assert.deepEqual([line.paid, line.net], [2000, 0]);
    assert.deepEqual(line.refunded.map(({ kind, out_request_no, amount }) => [kind, out_request_no, amount]),
        [['cancel', undefined, 1500], ['refund', 'R1', 500]]);
    const state = await query(content);
    assert.equal(state.tradeStatus, 'TRADE_CLOSED');
    assert.ok(state.sendPayDate, 'it was paid');
    const nobody = await ask('cancel', { out_trade_no: number() });
    assert.deepEqual([nobody.code, nobody.action, nobody.retryFlag], ['10000', undefined, 'N']);
    const unscanned = order();
    await precreate(unscanned);
    assert.equal((await ask('cancel', { out_trade_no: unscanned.out_trade_no })).action, undefined);
});

// ---- refund ----

test('partial refunds add up, are notified, and the last one closes the trade silently', async () => {
    const content = await paid({ body: 'b' });
    const first = await refund(content, '7.50', 'R1', { refund_reason: '一杯', query_options: ['refund_detail_item_list'] });
    assert.equal(first.code, '10000');
    assert.deepEqual([first.fundChange, first.refundFee, first.sendBackFee], ['Y', '7.50', '7.50']);
    assert.deepEqual(first.refundDetailItemList, [{ amount: '7.50', fundChannel: 'ALIPAYACCOUNT' }]);
    const note = await refundNote(content, 'R1');
    assert.equal(sdk.checkNotifySignV2(note), true);
    assert.equal(sdk.checkNotifySignV2({ ...note, refund_fee: '0.01' }), false);
    assert.equal(note.trade_status, 'TRADE_SUCCESS');
    assert.deepEqual([note.refund_fee, note.send_back_fee, note.total_amount], ['7.50', '7.50', '20.00']);
    assert.match(note.gmt_refund, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$/);
    const second = await refund(content, '2.5', 'R2');
    assert.deepEqual([second.fundChange, second.refundFee], ['Y', '10.00']);
    assert.equal((await query(content)).tradeStatus, 'TRADE_SUCCESS');
    const last = await refund(content, '10', 'R3');
    assert.deepEqual([last.fundChange, last.refundFee], ['Y', '20.00']);
    const state = await query(content);
    assert.equal(state.tradeStatus, 'TRADE_CLOSED');
    assert.ok(state.sendPayDate);
    const { body } = await sandbox.lever('GET', `deliveries?out_trade_no=${content.out_trade_no}`);
    assert.equal(body.deliveries.length, 3); // the payment, R1, R2
    refused(await refund(content, '0.01', 'R4'), 'ACQ.TRADE_HAS_CLOSE');
    assert.equal((await refund(content, '10', 'R3')).fundChange, 'N');
});

test('a refund is asked for by its number', async () => {
    const content = await paid();
    await refund(content, '3.00', 'Q1', { refund_reason: 'cold' });
    const found = await refundQuery(content, 'Q1', { query_options: ['gmt_refund_pay'] });
    assert.equal(found.refundStatus, 'REFUND_SUCCESS');
    assert.deepEqual([found.refundAmount, found.totalAmount, found.outRequestNo, found.refundReason],
        ['3.00', '20.00', 'Q1', 'cold']);
    assert.match(found.gmtRefundPay, /^\d{4}-/);
    assert.equal((await refundQuery(content, 'Q1')).gmtRefundPay, undefined); // only when asked for
    const unknown = await refundQuery(content, 'Q2');
    assert.equal(unknown.code, '10000');
    for (const field of ['refundStatus', 'refundAmount', 'outRequestNo']) assert.equal(unknown[field], undefined);
    refused(await refundQuery({ out_trade_no: number() }, 'Q1'), 'ACQ.TRADE_NOT_EXIST');
    refused(await ask('fastpay.refund.query', { out_trade_no: content.out_trade_no }), 'ACQ.INVALID_PARAMETER');
});

test('the same refund moves money once, however often and at once it comes', async () => {
    const content = await paid();
    const answers = await Promise.all(Array.from({ length: 16 }, () => refund(content, '4.00', 'S1')));
    assert.deepEqual(answers.map((answer) => answer.fundChange).filter((change) => change === 'Y').length, 1);
    assert.deepEqual(answers.filter((answer) => answer.code !== '10000' || answer.refundFee !== '4.00'), []);
    refused(await refund(content, '4.01', 'S1'), 'ACQ.DISCORDANT_REPEAT_REQUEST');
    assert.deepEqual((await bill(content)).refunded.map(({ amount }) => amount), [400]);
});

test('many refunds at once never give back more than was paid', async () => {
    const content = await paid();
    const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => refund(content, '3.00', `M${i}`)));
    const done = answers.filter((answer) => answer.fundChange === 'Y');
    assert.equal(done.length, 6);
    assert.deepEqual(done.map((answer) => answer.refundFee).sort(), ['12.00', '15.00', '18.00', '3.00', '6.00', '9.00']);
    for (const answer of answers.filter((one) => one.fundChange !== 'Y'))
        refused(answer, 'ACQ.REASON_TRADE_REFUND_FEE_ERR');
    const line = await bill(content);
    assert.deepEqual([line.paid, line.net], [2000, 200]);
});

test('refunds that may not be are refused, and nothing moves', async () => {
    const waits = await scanned();
    refused(await refund(waits, '1.00', 'W1'), 'ACQ.TRADE_STATUS_ERROR');
    refused(await refund({ out_trade_no: number() }, '1.00', 'W1'), 'ACQ.TRADE_NOT_EXIST');
    const content = await paid();
    refused(await refund(content, '20.01', 'X1'), 'ACQ.REASON_TRADE_REFUND_FEE_ERR');
    refused(await refund(content, '5.00'), 'ACQ.REFUND_AMT_NOT_EQUAL_TOTAL');
    refused(await refund(content, '0', 'X1'), 'ACQ.INVALID_PARAMETER');
    refused(await refund(content, '1.234', 'X1'), 'ACQ.INVALID_PARAMETER');
    refused(await refund(content, '1.00', 'x'.repeat(65)), 'ACQ.INVALID_PARAMETER');
    assert.equal((await bill(content)).net, 2000);
    const whole = await refund(content, '20.00'); // all of it needs no number: the order's counts as one
    assert.equal(whole.fundChange, 'Y');
    assert.equal((await refundQuery(content, content.out_trade_no)).refundStatus, 'REFUND_SUCCESS');
    await ask('close', { out_trade_no: waits.out_trade_no });
    refused(await refund(waits, '1.00', 'W1'), 'ACQ.TRADE_HAS_CLOSE');
});

test('a balance that is too low refuses until it was topped up', async () => {
    const content = await paid();
    await sandbox.lever('POST', 'balance', { set: 100 });
    refused(await refund(content, '5.00', 'B1'), 'ACQ.SELLER_BALANCE_NOT_ENOUGH');
    refused(await ask('cancel', { out_trade_no: content.out_trade_no }), 'ACQ.SELLER_BALANCE_NOT_ENOUGH');
    assert.equal((await refundQuery(content, 'B1')).refundStatus, undefined);
    assert.equal((await sandbox.lever('POST', 'balance', { add: 450 })).body.balance, 550);
    assert.equal((await refund(content, '5.00', 'B1')).fundChange, 'Y');
    assert.deepEqual((await sandbox.lever('GET', 'balance')).body, { app_id: appId, balance: 50 });
    await paid(); // a payment tops up as well
    assert.equal((await sandbox.lever('GET', 'balance')).body.balance, 2050);
    assert.equal((await sandbox.lever('POST', 'balance', { set: null })).body.balance, null);
    assert.equal((await sandbox.lever('POST', 'balance', {})).status, 400);
    assert.equal((await sandbox.lever('POST', 'balance', { app_id: 'x', add: 1 })).status, 404);
});

test('refund notifications can be had for all refunds, or for none', async () => {
    const notes = async ({ out_trade_no }) =>
        (await sandbox.lever('GET', `deliveries?out_trade_no=${out_trade_no}`)).body.deliveries.length;
    await sandbox.lever('POST', 'behaviour', { refund_notify: 'all' });
    const content = await paid();
    await refund(content, '20.00', 'N1');
    const note = await refundNote(content, 'N1');
    assert.equal(sdk.checkNotifySignV2(note), true);
    assert.deepEqual([note.refund_fee, note.trade_status], ['20.00', 'TRADE_CLOSED']);
    assert.ok(note.gmt_close);
    await sandbox.lever('POST', 'behaviour', { refund_notify: 'none' });
    const quiet = await paid();
    await refund(quiet, '1.00', 'N1');
    assert.equal(await notes(quiet), 1);
    assert.equal((await sandbox.lever('POST', 'behaviour', { refund_notify: 'some' })).status, 400);
    await sandbox.lever('POST', 'behaviour', { refund_notify: 'partial' });
});

test('money and bill say the same', async () => {
    const { body: money } = await sandbox.lever('GET', 'money');
    const { body: all } = await sandbox.lever('GET', `bill?app_id=${appId}`);
    assert.deepEqual([all.paid, all.refunded, all.net], [money.total, money.refunded, money.net]);
    assert.equal(all.trades.reduce((sum, trade) => sum + trade.net, 0), all.net);
    assert.deepEqual((await sandbox.lever('GET', 'bill?app_id=2021999999999999')).body.trades, []);
});
