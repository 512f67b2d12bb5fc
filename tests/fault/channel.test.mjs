// channel.test.mjs - every call to a channel goes wrong in every way: before it is sent, after, after the channel has acted, and
// with answers that prove nothing. In the end the channel's own bill says what the books say, and what cannot end raises an alarm.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Engine, freePort, sleep, temporaryFolder, until } from '../e2e/tael.mjs';
import { Wire } from './wire.mjs';

const configuration = (port) => `return { dev = true, merchants = { ["demo.test"] = { mode = "test", accounts = {
    ["alipay-demo"] = { channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay",
    gateway = "http://127.0.0.1:${port}/gateway.do" } } } } }`;

let engine, wire;
before(async () => {
    const folder = temporaryFolder('channel');
    const port = await freePort();
    fs.writeFileSync(path.join(folder, 'tael.lua'), configuration(port));
    engine = new Engine({
        folder,
        env: { TAEL_CLIENT__TOTAL: '1s', TAEL_PAYMENTS__POLL: '200ms,500ms,1s', TAEL_PAYMENTS__ALARM_UNKNOWN: '2s' },
    });
    engine.ports = { api: await freePort(), operations: await freePort(), sandbox: await freePort() };
    wire = new Wire(port, engine.ports.sandbox);
    await wire.open();
    await engine.start();
});
after(async () => {
    await wire.cut();
    await engine.remove();
});

// ---- the channel's side ----

const lever = async (target, body) => {
    const response = await fetch(`${engine.sandbox}/sandbox/${target}`, body === undefined ? {}
        : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    const text = await response.text();
    assert.ok(response.ok, `${target}: ${text}`);
    return JSON.parse(text);
};
const spoil = (op, fault, number, times = 1) => lever('behaviour', { op, fault, out_trade_no: number, times });
const lineOf = async (number) => (await lever('bill')).trades.find((trade) => trade.out_trade_no === number)
    ?? { paid: 0, refunded: [], net: 0 };

/** An open trade; with fault "lose" nobody is told of its payment. */
const openAndPay = async (payment, number) => {
    await fetch(payment.next_action.url ?? payment.next_action.code_url);
    await lever(`trades/${number}/pay`, {});
};

// ---- our side ----

let orders = 0;
const create = async (fields) => {
    const answer = await engine.create(`F${++orders}`, { amount: 1000, ...fields });
    assert.equal(answer.status, 201, answer.text);
    const [attempt] = (await engine.get(`/v1/payments/${answer.body.id}/attempts`)).body.data;
    return { payment: answer.body, number: attempt.order_no };
};
const awaitState = (id, ...states) => until(`${id} is ${states}`, async () => {
    const payment = await engine.payment(id);
    return states.includes(payment.state) && payment;
});
const awaitRefund = (id, ...states) => until(`${id} is ${states}`, async () => {
    const refund = (await engine.get(`/v1/refunds/${id}`)).body;
    return states.includes(refund.state) && refund;
});
const paid = async () => {
    const made = await create();
    await openAndPay(made.payment, made.number);
    await awaitState(made.payment.id, 'paid');
    return made;
};
const post = async (target, body, ...statuses) => {
    const answer = await engine.post(target, body);
    assert.ok(statuses.includes(answer.status), `${target}: ${answer.status} ${answer.text}`);
    return answer.body;
};

// ---- what each call is for: made ready, called, and what must be true in the end ----

const works = {
    create: {
        op: 'precreate',
        prepare: async () => ({}),
        call: async (made) => Object.assign(made, await create({ product: 'qr' })),
        end: async ({ payment, number }) => {
            const ready = await until('there is a code to scan', async () => {
                const now = await engine.payment(payment.id);
                return now.next_action?.type === 'qr_code' && now;
            });
            await openAndPay(ready, number);
            await awaitState(payment.id, 'paid');
            assert.equal((await lineOf(number)).net, 1000);
        },
    },
    query: {
        op: 'query',
        prepare: async () => {
            const made = await create();
            await lever('behaviour', { notices: 'lose', op: 'pay', out_trade_no: made.number, times: 100 });
            await openAndPay(made.payment, made.number);
            return made;
        },
        call: ({ payment }) => post(`/v1/payments/${payment.id}/sync`, {}, 200),
        end: async ({ payment, number }) => {
            await until('it is paid', async () => {
                await engine.post(`/v1/payments/${payment.id}/sync`, {});
                return (await engine.payment(payment.id)).state === 'paid';
            });
            assert.equal((await lineOf(number)).net, 1000);
        },
    },
    close: {
        op: 'close',
        prepare: async () => {
            const made = await create();
            await fetch(made.payment.next_action.url);
            return made;
        },
        call: ({ payment }) => post(`/v1/payments/${payment.id}/close`, {}, 200, 202),
        end: async ({ payment, number }) => {
            const closed = await awaitState(payment.id, 'closed');
            assert.equal(closed.reason, 'merchant');
            await lever(`trades/${number}/pay`, {}).catch(() => null); // a payer that comes too late
            assert.equal((await lineOf(number)).paid, 0);
        },
    },
    cancel: {
        op: 'cancel',
        prepare: async () => {
            const made = await create({ product: 'qr' });
            await fetch(made.payment.next_action.code_url);
            return made;
        },
        call: ({ payment }) => post(`/v1/payments/${payment.id}/cancel`, {}, 200, 202),
        end: async ({ payment, number }) => {
            await awaitState(payment.id, 'closed');
            assert.equal((await lineOf(number)).net, 0);
        },
    },
    refund: {
        op: 'refund',
        prepare: paid,
        call: async (made) => {
            made.refund = await post(`/v1/payments/${made.payment.id}/refunds`, { amount: 400, merchant_refund_id: `R-${made.number}` }, 201);
        },
        end: async ({ payment, number, refund }) => {
            await awaitRefund(refund.id, 'succeeded');
            assert.deepEqual((await lineOf(number)).refunded.map(({ amount }) => amount), [400]);
            assert.equal((await engine.payment(payment.id)).refunded_amount, 400);
        },
    },
    'refund query': {
        op: 'refund_query',
        prepare: async () => {
            const made = await paid();
            await spoil('refund', 'lost_after', made.number); // only a query tells how it went
            return made;
        },
        call: (made) => works.refund.call(made),
        end: (made) => works.refund.end(made),
    },
};

// An answer that proves nothing may come before or after the channel has acted: unsigned_success claims what was never done.
const faults = ['lost_before', 'lost_after', 'reset_before', 'reset_after', 'http_502_before', 'http_502_after', 'busy_before', 'busy_after',
    'wrong_signature', 'unsigned', 'unsigned_success', 'double_node', 'garbage', 'html', 'empty', 'cut_body']
    .filter((_, i) => i % Number(process.env.EVERY ?? 1) === 0); // EVERY=4: every fourth of them

for (const [name, work] of Object.entries(works)) {
    describe(name, () => {
        test('with every fault the books end as the channel\'s money', async () => {
            const ended = [];
            for (const fault of faults) {
                const made = await work.prepare();
                await spoil(work.op, fault, made.number);
                await work.call(made);
                ended.push(work.end(made).catch((err) => { throw new Error(`${fault}: ${err.message}`, { cause: err }); }));
                if (!made.number || name === 'create') await ended.at(-1); // its fault meets whatever is created next
            }
            await Promise.all(ended);
        });

        test('when no connection can be made nothing is lost', async () => {
            const made = await work.prepare();
            await wire.cut();
            try {
                await work.call(made);
                await sleep(300); // a timer may find the wire cut as well
            } finally {
                await wire.open();
            }
            await work.end(made);
        });
    });
}

// ---- what never ends ----

const alarms = async () => {
    const text = await (await fetch(`${engine.operations}/metrics`)).text();
    return Object.fromEntries([...text.matchAll(/^tael_alarms_total\{kind="([^"]+)"\} (\d+)/gm)].map(([, kind, n]) => [kind, Number(n)]));
};

test('what stays unknown raises an alarm, and ends when the channel answers again', async () => {
    const made = await paid();
    const silent = await create({ product: 'qr' });
    await fetch(silent.payment.next_action.code_url);
    for (const number of [made.number, silent.number])
        for (const op of ['query', 'refund', 'refund_query', 'close', 'cancel']) await spoil(op, 'wrong_signature', number, 1000);
    await works.refund.call(made);
    await post(`/v1/payments/${silent.payment.id}/close`, {}, 202);
    const before = (await alarms()).unknown_too_long ?? 0;
    await until('both have raised an alarm', async () => ((await alarms()).unknown_too_long ?? 0) >= before + 2, 60);
    assert.equal((await engine.get(`/v1/refunds/${made.refund.id}`)).body.state, 'unknown');
    assert.notEqual((await engine.payment(silent.payment.id)).state, 'closed');
    await lever('behaviour', { fault: null });
    await works.refund.end(made);
    await works.close.end(silent);
});

test('afterwards chains, seals and the rebuild hold', () => engine.prove());
