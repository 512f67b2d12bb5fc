// clock.test.mjs - the system's clock jumps by an hour, ahead and back, under a running engine: timers keep their pace,
// ids rise, orders are neither ended nor asked about in a storm, and a message that is refused for its time says which.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Alipay, beijingTime } from './alipay.mjs';
import { Shop } from './shop.mjs';
import { sleep } from './tael.mjs';

const HOUR = 3600e3;
const library = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((triplet) => `/usr/lib/${triplet}/faketime/libfaketimeMT.so.1`)
    .find((file) => fs.existsSync(file));
const sanitized = /san-/.test(process.env.TAEL ?? ''); // both want to be the first library

test('an hour ahead, back, and back again', { timeout: 300_000, skip: sanitized }, async (t) => {
    assert.ok(library, 'libfaketime is not installed');
    const shop = await new Shop({ env: { TAEL_WORKERS: '1' } }).start();
    t.after(() => [shop.process, shop.sandboxProcess].forEach((program) => program.stop('SIGKILL')));
    assert.equal((await shop.stop()).code, 0);
    const clock = path.join(shop.folder, 'clock');
    const put = (offset) => {
        fs.writeFileSync(`${clock}.new`, `${offset >= 0 ? '+' : '-'}${Math.abs(offset) / 1000}s\n`);
        fs.renameSync(`${clock}.new`, clock);
    };
    put(0);
    Object.assign(shop.environment, { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: '1',
        DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' });
    await shop.start();
    const alipay = new Alipay(shop);
    const sequence = [];
    let highest = 0;
    let orders = 0;
    const order = async (fields = { product: 'page' }) => {
        const created = await shop.create(`C${++orders}`, fields);
        assert.equal(created.status, 201, created.text);
        sequence.push(created.body.id);
        return created.body;
    };
    const calls = () => shop.process.output.split('\n').filter((line) => /"event":"channel\.call"[^\n]*"op":"query"/.test(line)).length;
    /** What must hold whatever the clock shows. */
    const works = async (offset) => {
        put(offset);
        const fresh = await order();
        const life = Date.parse(fresh.expires_at) - (Date.now() + offset);
        assert.ok(life > 29 * 60e3 && life <= 30 * 60e3, `it ends in ${life / 60e3} min`);
        const timed = await order({ product: 'page', expires_at: new Date(Date.now() + offset + 600e3).toISOString() });
        highest = Math.max(highest, offset); // ids carry the time, and never go back
        const off = Math.abs(Date.parse(fresh.created_at) - (Date.now() + highest));
        assert.ok(off < 600e3, `created_at is ${off} ms off: does the clock move?`);
        const again = await shop.create(fresh.merchant_order_id, { product: 'page' });
        assert.equal(again.body.id, fresh.id, 'the same order is the same payment');
        assert.equal(again.headers.get('idempotency-replayed'), 'true');
        // the channel's clock shows what ours shows
        for (const payment of [fresh, timed]) {
            const told = alipay.form(alipay.fields(payment, { notify_time: beijingTime(Date.now() + offset) }));
            assert.equal(await alipay.send(payment, told), 'success', `notification at ${offset}`);
            assert.equal((await shop.payment(payment.id)).state, 'paid');
        }
        // a long poll takes the time that it was asked to take
        const newest = (await shop.get('/v1/events?limit=1')).body.data[0];
        const poll = await shop.get(`/v1/events?wait=1&after=${newest.id}`);
        assert.deepEqual([poll.status, poll.body.data.length], [200, 0]);
    };
    const open = await order({ product: 'qr', expires_in: 7200 });
    await works(0);
    put(HOUR);
    assert.match(await (await fetch(`${shop.operations}/readyz`)).text(), /the wall clock moved by 3[56]\d{5} ms/);
    await works(HOUR);
    await works(0);
    await works(-HOUR);
    await works(0);
    assert.deepEqual([...sequence].sort(), sequence, 'ids rise whatever the clock does');
    assert.equal((await shop.payment(open.id)).state, 'pending', 'an order with two hours is not ended by a jump of one');

    // what the clock did leaves no storm: a second's worth of questions is a handful
    const before = calls();
    await sleep(3000);
    assert.ok(calls() - before < 20, `${calls() - before} questions in three seconds`);

    // the channel's clock is wrong: refused, with both times; and good again when it is put right
    const skewed = await order();
    const future = new Date(Date.now() + HOUR);
    const early = alipay.form(alipay.fields(skewed, { notify_time: beijingTime(future.getTime()) }));
    assert.notEqual(await alipay.send(skewed, early), 'success');
    assert.equal((await shop.payment(skewed.id)).state, 'pending');
    const seen = (await shop.get('/v1/notifications?limit=5')).text + shop.process.output;
    const minute = future.toISOString().slice(0, 15);
    assert.match(seen, new RegExp(`the message's time, ${minute}[^"]*, lies in the future; here it is ${new Date().toISOString().slice(0, 13)}`));
    assert.equal(await alipay.send(skewed, alipay.form(alipay.fields(skewed))), 'success');
    assert.equal((await shop.payment(skewed.id)).state, 'paid');
    await shop.prove();
    assert.equal((await shop.sandboxProcess.stop()).code, 0);
    fs.rmSync(shop.folder, { recursive: true, force: true });
});
