// clock.test.mjs - our sandbox's clock set ahead: ends of orders, codes and refund windows, and notifications that
// come again on Alipay's own schedule.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Merchant, Sandbox, until } from './sandbox.mjs';

const MINUTE = 60e3, HOUR = 3600e3, DAY = 24 * HOUR;
let sandbox, sdk;
let orders = 0;

before(async () => {
    sandbox = await new Sandbox().start();
    sdk = sandbox.sdk();
});
after(() => sandbox.remove());

const ask = (method, content, more = {}) =>
    sdk.exec(`alipay.trade.${method}`, { bizContent: content, ...more }, { validateSign: true });
const order = (changed = {}) =>
    ({ out_trade_no: `C${Date.now()}${++orders}`, total_amount: '20.00', subject: 'coffee', ...changed });
const state = async ({ out_trade_no }) => {
    const answer = await ask('query', { out_trade_no });
    return answer.tradeStatus ?? answer.subCode;
};
const lever = ({ out_trade_no }, action) => sandbox.lever('POST', `trades/${out_trade_no}/${action}`);
const now = async () => (await sandbox.lever('GET', 'clock')).body.now;

async function advance(ms) {
    const answer = await sandbox.lever('POST', 'clock', { advance_ms: ms });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body.now;
}

async function scanned(changed) {
    const content = order(changed);
    await ask('precreate', content);
    assert.equal((await lever(content, 'scan')).body.trade_status, 'WAIT_BUYER_PAY');
    return content;
}

test('the clock goes ahead and nowhere else', async () => {
    const before = await now();
    assert.ok(await advance(5 * MINUTE) >= before + 5 * MINUTE);
    assert.ok(await now() < before + 6 * MINUTE);
    for (const wrong of [0, -1, 1.5, '1', 367 * DAY, undefined])
        assert.equal((await sandbox.lever('POST', 'clock', { advance_ms: wrong })).status, 400, String(wrong));
});

test('a code is good for two hours, its order for three from the scan', async () => {
    const content = order();
    const { qrCode } = await ask('precreate', content);
    await advance(2 * HOUR + 1000);
    assert.match(await (await fetch(qrCode)).text(), /二维码已失效/);
    assert.equal(await state(content), 'ACQ.TRADE_NOT_EXIST');
    const renewed = await ask('precreate', content);
    assert.notEqual(renewed.qrCode, qrCode);
    assert.equal((await fetch(qrCode)).status, 404);
    assert.match(await (await fetch(renewed.qrCode)).text(), /支付 Pay/);
    await advance(3 * HOUR - MINUTE);
    assert.equal(await state(content), 'WAIT_BUYER_PAY');
    await advance(MINUTE);
    assert.equal(await state(content), 'TRADE_CLOSED');
    assert.equal((await lever(content, 'pay')).body.trade_status, 'TRADE_CLOSED');
});

test('an order that named its end cannot be scanned after it', async () => {
    const end = new Date(await now() + HOUR + 8 * HOUR).toISOString().slice(0, 19).replace('T', ' ');
    const content = order({ time_expire: end });
    const { qrCode } = await ask('precreate', content);
    await advance(HOUR + 1000);
    assert.match(await (await fetch(qrCode)).text(), /订单已过期/);
    assert.equal((await lever(content, 'scan')).status, 404);
    assert.equal((await ask('precreate', content)).subCode, 'ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR');
    const short = order({ qr_code_timeout_express: '5m' });
    const { qrCode: fleeting } = await ask('precreate', short);
    await advance(5 * MINUTE);
    assert.match(await (await fetch(fleeting)).text(), /二维码已失效/);
});

test('a cancel comes within a day, a refund within a year', async () => {
    const content = await scanned();
    await lever(content, 'pay');
    await advance(DAY);
    assert.equal((await ask('cancel', { out_trade_no: content.out_trade_no })).subCode, 'ACQ.TRADE_CANCEL_TIME_OUT');
    const refund = (number) => ask('refund',
        { out_trade_no: content.out_trade_no, refund_amount: '1.00', out_request_no: number });
    await advance(363 * DAY);
    assert.equal((await refund('R1')).fundChange, 'Y');
    assert.equal(await state(content), 'TRADE_SUCCESS');
    await advance(DAY);
    assert.equal(await state(content), 'TRADE_FINISHED');
    assert.equal((await refund('R2')).subCode, 'ACQ.TRADE_HAS_FINISHED');
    assert.equal((await refund('R1')).fundChange, 'N'); // the one that was made is still known
});

test('notifications come again on schedule, and end', async () => {
    const deaf = await new Merchant(() => 'fail').start();
    const content = order();
    await ask('precreate', content, { notifyUrl: deaf.url });
    await lever(content, 'pay');
    await deaf.received(1);
    const intervals = [4 * MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 15 * HOUR];
    const delivery = async () =>
        (await sandbox.lever('GET', `deliveries?out_trade_no=${content.out_trade_no}`)).body.deliveries[0];
    for (const [i, interval] of intervals.entries()) {
        const before = await until('it is written down', async () => (await delivery()).attempts === i + 1 && delivery());
        assert.equal(before.state, 'waiting');
        assert.ok(Math.abs(before.due_at - await now() - interval) < 20e3, `${i}: ${before.due_at - await now()}`);
        await advance(interval);
        await deaf.received(i + 2);
    }
    const end = await until('it is given up', async () => (await delivery()).state === 'given_up' && delivery());
    assert.equal(end.attempts, 8);
    await advance(7 * DAY);
    assert.equal(deaf.bodies.length, 8);
    await deaf.stop();
});

test('a refund in process ends when its time has come', async () => {
    const content = await scanned();
    await lever(content, 'pay');
    await sandbox.lever('POST', 'behaviour', { op: 'refund', fault: 'in_process' });
    const refund = { out_trade_no: content.out_trade_no, refund_amount: '20.00', out_request_no: 'R1' };
    assert.equal((await ask('refund', refund)).fundChange, 'N');
    await advance(9000);
    assert.equal((await ask('fastpay.refund.query', refund)).refundStatus, undefined);
    await advance(1000);
    assert.equal((await ask('fastpay.refund.query', refund)).refundStatus, 'REFUND_SUCCESS');
    assert.equal(await state(content), 'TRADE_CLOSED');
});

test('the clock that was set ahead survives a restart', async () => {
    const before = await now();
    assert.ok(before > Date.now() + 100 * DAY);
    await sandbox.stop();
    await sandbox.start();
    assert.ok(await now() >= before - DAY, 'it begins no earlier than the newest thing in the store');
});
