// removed.test.mjs - an account that leaves the configuration while its payments and refunds are open: everything can still be read,
// nothing is decided without the channel, people are told, and what was open goes on when the account comes back.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, until } from './tael.mjs';

let engine, paid, open, refund;

const account = (slug) => `
    ["${slug}"] = { channel = "alipay", environment = "sandbox", zone = "+08:00", app_id = "2021000000000001",
        seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" },`;
const write = (accounts) => fs.writeFileSync(path.join(engine.folder, 'tael.lua'),
    `return { merchants = { ["demo.test"] = { mode = "test", accounts = {${accounts}\n} } } }\n`);
const fault = (op, name, times = 1000) => fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST',
    body: JSON.stringify({ op, fault: name, times }) });
const attemptOf = async (payment) => (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data[0];
const lever = async (payment, action) => {
    const answer = await fetch(`${engine.sandbox}/sandbox/trades/${(await attemptOf(payment)).order_no}/${action}`, { method: 'POST' });
    assert.equal(answer.status, 200, await answer.text());
};

before(async () => {
    engine = new Engine({ env: { TAEL_PAYMENTS__POLL: '300ms,500ms', TAEL_PAYMENTS__ALARM_UNKNOWN: '1s' } });
    write(account('first'));
    await engine.start();
    paid = (await engine.create('R1', { product: 'qr' })).body;
    await lever(paid, 'pay');
    await until('it is paid', async () => (await engine.payment(paid.id)).state === 'paid');
    await fault('refund', 'busy_before');
    refund = (await engine.post(`/v1/payments/${paid.id}/refunds`, { merchant_refund_id: 'B1', amount: 500 })).body;
    assert.equal(refund.state, 'unknown');
    open = (await engine.create('R2', { product: 'qr' })).body;
    await lever(open, 'scan');
    write(account('second'));
    await engine.restart();
});
after(() => engine.remove());

test('what was made through it can be read', async () => {
    for (const payment of [paid, open]) {
        for (const what of ['', '/attempts', '/timeline', '/refunds', '?expand=attempts,refunds,events,notifications']) {
            const answer = await engine.get(`/v1/payments/${payment.id}${what}`);
            assert.equal(answer.status, 200, `${what}: ${answer.text}`);
        }
    }
    assert.equal((await engine.payment(open.id)).account, 'first');
    assert.equal((await engine.get(`/v1/refunds/${refund.id}`)).body.state, 'unknown');
    assert.equal((await engine.get('/v1/events?limit=100')).status, 200);
});

test('nothing is given back, closed or started through it, and nothing raises', async () => {
    const again = await engine.post(`/v1/payments/${paid.id}/refunds`, { merchant_refund_id: 'B2', amount: 100 });
    assert.deepEqual([again.status, again.body.code], [503, 'no_channel_available'], again.text);
    const retried = await engine.post(`/v1/refunds/${refund.id}/retry`);
    assert.deepEqual([retried.status, retried.body.state], [200, 'unknown'], retried.text);
    for (const what of ['sync', 'close', 'cancel']) {
        const answer = await engine.post(`/v1/payments/${open.id}/${what}`);
        assert.equal(answer.status, what === 'sync' ? 200 : 202, answer.text);
        assert.equal(answer.body.state, 'pending');
    }
    const same = await engine.create('R2', { product: 'qr' });
    assert.deepEqual([same.status, same.body.id], [201, open.id], same.text);
    const late = await fetch(`${engine.url}/notify/alipay/first`, { method: 'POST', body: 'a=b' });
    assert.equal(late.status, 404);
    assert.doesNotMatch(engine.process.output, /request\.failed|timer\.failed|task\.failed/);
});

test('people are told that nobody can be asked about it', async () => {
    const told = (name, id) => engine.process.output.split('\n').some((line) =>
        line.includes('"kind":"unknown_too_long"') && line.includes(`"${name}":"${id}"`));
    await until('the refund raises an alarm', () => told('refund', refund.id));
    await until('the order that is to be reversed raises an alarm', () => told('payment', open.id));
});

test('it goes on when the account comes back', async () => {
    await fault('refund', null);
    write(account('first') + account('second'));
    await engine.restart();
    await until('the refund is done', async () => (await engine.get(`/v1/refunds/${refund.id}`)).body.state === 'succeeded');
    await until('the order is reversed', async () => (await engine.payment(open.id)).state === 'closed');
    assert.equal((await engine.payment(paid.id)).refunded_amount, 500);
    await engine.prove();
});
