// soak.test.mjs - hours in small: creates, payments, refunds, expiry, notifications that come twice, long polls and
// reloads at a steady rate. What is acknowledged stays true, and memory does not grow.
//   SOAK_SECONDS  how long; a quarter of it is for warming up, with three stalls of the engine that bring it as much at
//                 once as there can be later. Memory is judged from ten minutes on: what is left when nobody waits, and
//                 the most there ever was
//   SOAK_RATE     payments a second, 20
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { Alipay } from '../e2e/alipay.mjs';
import { Shop } from '../e2e/shop.mjs';
import { sleep, until } from '../e2e/tael.mjs';

const seconds = Number(process.env.SOAK_SECONDS ?? 10);
const rate = Number(process.env.SOAK_RATE ?? 20);
const JUDGED_FROM = 600; // s
const GROWTH = 0.02;
const AT_ONCE = 200;

const sizeOf = (pid, name) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))[1]);
/** Resident memory of a process, KiB: now, and the most so far. */
const resident = (pid) => sizeOf(pid, 'VmRSS');
const mostResident = (pid) => sizeOf(pid, 'VmHWM');

/** Keeps the process's log short: what is wanted of it is counted. */
function forgetLog(running) {
    running.output = running.output.slice(-20000);
}

test(`${seconds} seconds at ${rate} payments a second`, { timeout: (seconds + 300) * 1000 }, async (t) => {
    const shop = await new Shop({ env: { TAEL_PAYMENTS__POLL: '2s,5s,10s', TAEL_WORKERS: process.env.SOAK_WORKERS ?? '1' } }).start();
    t.after(() => [shop.process, shop.sandboxProcess].forEach((program) => program.stop('SIGKILL')));
    const alipay = new Alipay(shop);
    const end = Date.now() + seconds * 1000;
    const done = { created: 0, paid: 0, refunded: 0, expiring: 0, polls: 0, reloads: 0 };
    const wrong = [];
    const running = new Set();
    const begin = (what, work) => {
        const task = work().catch((err) => wrong.push(`${what}: ${err.cause?.code ?? ''} ${err.message}`)).finally(() => running.delete(task));
        running.add(task);
    };
    const ok = (answer, status, what) => assert.equal(answer.status, status, `${what}: ${answer.text}`);
    const lever = (method, target) => fetch(`${shop.sandbox}/sandbox/${target}`, { method });
    const kinds = [
        async function notified(name) {
            const created = await shop.create(name);
            ok(created, 201, name);
            const form = alipay.form(alipay.fields(created.body));
            for (let i = 0; i < 2; i++) assert.equal(await alipay.send(created.body, form), 'success');
            done.paid++;
        },
        async function refunded(name) {
            const created = await shop.create(name, { product: 'qr', amount: 1000 });
            ok(created, 201, name);
            const [{ order_no }] = (await shop.get(`/v1/payments/${created.body.id}/attempts`)).body.data;
            await lever('POST', `trades/${order_no}/pay`);
            await until(`${name} is paid`, async () => (await shop.payment(created.body.id)).state === 'paid');
            done.paid++;
            const refund = await shop.post(`/v1/payments/${created.body.id}/refunds`, { merchant_refund_id: name, amount: 400 });
            ok(refund, 201, `refund of ${name}`);
            await until(`the refund of ${name}`, async () => (await shop.get(`/v1/refunds/${refund.body.id}`)).body.state === 'succeeded');
            done.refunded++;
        },
        async function expires(name) {
            ok(await shop.create(name, { product: 'qr', expires_in: 60 }), 201, name);
            done.expiring++;
        },
        async function readAndRefused(name) {
            ok(await shop.create(name, { amount: -1 }), 400, name);
            ok(await shop.get('/v1/payments?limit=20'), 200, 'list');
            ok(await shop.get('/v1/payments/pay_0000000000000'), 404, 'nobody');
        },
    ];
    begin('polls', async () => {
        let after = '';
        while (Date.now() < end) {
            const answer = await shop.get(`/v1/events?wait=5${after}`);
            ok(answer, 200, 'events');
            after = answer.body.data.length > 0 ? `&after=${answer.body.data.at(-1).id}` : after;
            done.polls++;
        }
    });
    const memory = [], sandbox = [];
    const pids = [shop.process.child.pid, shop.sandboxProcess.child.pid];
    let next = Date.now(), seen = 0, n = 0;
    const another = () => {
        const kind = kinds[n % kinds.length], name = `S${n++}`;
        begin(kind.name, () => kind(name));
        done.created++;
    };
    /** The engine stands while as many as may be wait for it: memory is taken for the most there can be at once. */
    const stall = async () => {
        process.kill(pids[0], 'SIGSTOP');
        while (running.size < AT_ONCE) another();
        await sleep(500);
        process.kill(pids[0], 'SIGCONT');
        for (const since = Date.now(); running.size > rate && Date.now() - since < 10_000;) await sleep(100);
    };
    const stalls = [0.05, 0.1, 0.15].map((part) => end - seconds * 1000 * (1 - part));
    const from = end - seconds * 750; // behind the warm-up
    let most; // then
    while (Date.now() < end) {
        another();
        if (Date.now() >= from) most ??= mostResident(pids[0]);
        if (Date.now() >= stalls[0]) {
            stalls.shift();
            await stall();
            next = Date.now();
        }
        if (n >= rate * (1 + 10 * done.reloads)) {
            process.kill(pids[0], 'SIGHUP');
            done.reloads++;
        }
        if (Date.now() - seen >= 1000) {
            seen = Date.now();
            memory.push([seen, resident(pids[0])]);
            sandbox.push([seen, resident(pids[1])]);
            if (memory.length % 60 === 1) t.diagnostic(`${Math.round((seen - end) / 1000)} s: ${memory.at(-1)[1]} KiB, sandbox ${sandbox.at(-1)[1]} KiB, ${JSON.stringify(done)}, ${wrong.length} wrong`);
            forgetLog(shop.process);
            forgetLog(shop.sandboxProcess);
        }
        next += 1000 / rate;
        await sleep(Math.max(0, next - Date.now()));
        while (running.size > AT_ONCE) await Promise.race(running); // a slow machine: not more than so many at once
        if (next < Date.now() - 1000) next = Date.now();
    }
    await Promise.all(running);
    assert.deepEqual(wrong.slice(0, 5), []);
    const judged = memory.filter(([at]) => at >= from).map(([, kib]) => kib);
    const part = Math.max(1, Math.floor(judged.length / 10));
    /** What nine of ten samples are above: not the least, which one moment between collection and use decides. */
    const low = (samples) => samples.sort((a, b) => a - b)[Math.floor(samples.length / 10)];
    const [first, last] = [low(judged.slice(0, part)), low(judged.slice(-part))];
    const grown = (before, after) => `${before} KiB after the warm-up, ${after} KiB at the end: ${(100 * (after / before - 1)).toFixed(2)} %`;
    const least = `resident in quiet moments ${grown(first, last)}`, peak = `most ${grown(most, mostResident(pids[0]))}`;
    t.diagnostic(`${least}; ${peak}; ${JSON.stringify(done)}`);
    if (seconds >= JUDGED_FROM) {
        assert.ok(last <= first * (1 + GROWTH), `memory grew: ${least}`);
        assert.ok(mostResident(pids[0]) <= most * (1 + GROWTH), `memory grew: ${peak}`);
    }
    await shop.prove();
    assert.equal((await shop.sandboxProcess.stop()).code, 0, shop.sandboxProcess.output);
    fs.rmSync(shop.folder, { recursive: true, force: true });
});
