// restore.test.mjs - an older copy of the store comes back while the channel knows more: nothing is made up, no number is
// used twice, and what moved money without these books is told to a person.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, until } from './tael.mjs';

const env = { TAEL_WORKERS: '2', TAEL_PAYMENTS__POLL: '300ms,500ms,1s,2s' };
let engine, kept, lost;

const alarms = (kind) => engine.logged('alarm').filter((line) => line.kind === kind);

const lever = async (target) => {
    const response = await fetch(`${engine.sandbox}/sandbox/${target}`, { method: 'POST' });
    assert.equal(response.status, 200, await response.text());
};

async function ordered(name) {
    const { body, status, text } = await engine.create(name, { product: 'qr', amount: 1000 });
    assert.equal(status, 201, text);
    const [{ id, order_no }] = (await engine.get(`/v1/payments/${body.id}/attempts`)).body.data;
    return { ...body, order_no, attempt: id };
}

const refund = () => engine.post(`/v1/payments/${kept.id}/refunds`, { amount: 300, merchant_refund_id: 'R1' });

before(async () => {
    engine = await new Engine({ env }).start();
    const store = path.join(engine.folder, 'data/tael.db'), copy = path.join(engine.folder, 'copy.db');
    kept = await ordered('kept');
    await lever(`trades/${kept.order_no}/pay`);
    await until('the payment is paid', async () => (await engine.payment(kept.id)).state === 'paid');
    execFileSync('sqlite3', [store, `.backup '${copy}'`]);
    assert.equal((await refund()).status, 201);
    lost = await ordered('lost');
    await engine.stop('SIGKILL');
    for (const suffix of ['', '-wal', '-shm']) fs.rmSync(store + suffix, { force: true });
    fs.copyFileSync(copy, store);
    await engine.start();
});
after(() => engine.remove());

test('money for an order that the copy does not have is not taken for another, and a person is told', async () => {
    assert.equal((await engine.get(`/v1/payments/${lost.id}`)).status, 404);
    const again = await ordered('lost');
    assert.notEqual(again.order_no, lost.order_no);
    await lever(`trades/${lost.order_no}/pay`);
    await until('the alarm is in the log', () => alarms('paid_order_missing').length > 0);
    assert.match(alarms('paid_order_missing')[0].detail, /older copy/);
    assert.equal((await engine.payment(again.id)).state, 'pending');
});

test('however often it is said of the same order, a worker tells it once', async () => {
    const counted = async () => Number(/tael_alarms_total\{kind="paid_order_missing"\} (\d+)/.exec(await engine.metrics())?.[1] ?? 0);
    const before = await counted();
    const response = await fetch(`${engine.sandbox}/sandbox/notify`, { method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ out_trade_no: lost.order_no, variant: 'duplicate', times: 5 }) });
    assert.equal(response.status, 200, await response.text());
    await until('all of them were met', async () => await counted() >= before + 5);
    const told = alarms('paid_order_missing').map((line) => line.attempt);
    assert.deepEqual(new Set(told), new Set([lost.attempt]));
    assert.ok(told.length <= 2, 'each worker tells it once');
});

test('money that went back without these books is told when the order gives back more', async () => {
    assert.equal((await engine.payment(kept.id)).refunded_amount, 0);
    const { status, body, text } = await refund();
    assert.equal(status, 201, text);
    await until('the refund is done', async () => (await engine.get(`/v1/refunds/${body.id}`)).body.state === 'succeeded');
    assert.equal(alarms('foreign_refund').filter((line) => line.refund === body.id).length, 1);
});

test('the store proves itself', () => engine.prove());

test('a copy that is made of hard links is refused, and doctor says what to do', () => {
    const store = path.join(engine.folder, 'data/tael.db');
    fs.linkSync(store, `${store}.backup`);
    assert.match(engine.doctor().text, /^fail +store .*hard links.*→ copy the file/m);
    fs.rmSync(`${store}.backup`);
    assert.match(engine.doctor().text, /^ok +store/m);
});
