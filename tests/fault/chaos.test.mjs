// chaos.test.mjs - everything at once: shoppers that create, pay, change their mind and want their money back; a channel that
// goes wrong in every way the amounts choose; a wire that is cut; an engine that is killed, stopped, taken over, reloaded and
// held still. In the end every order's net money at the channel is what the books say, and nothing is left open.
//   CHAOS_SECONDS  how long, 20; SEED chooses what happens
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Alipay } from '../e2e/alipay.mjs';
import { Shop } from '../e2e/shop.mjs';
import { freePort, root, sleep, until } from '../e2e/tael.mjs';
import { allOf } from './pages.mjs';
import { seeded } from './random.mjs';
import { Wire } from './wire.mjs';

const seconds = Number(process.env.CHAOS_SECONDS ?? 20);
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
const SHOPPERS = 6;

const random = seeded(seed);
const chance = (percent) => random(100) < percent;
const pick = (list) => list[random(list.length)];

/** An amount whose last two digits choose a fault as often as not. */
const oddAmount = (most) => Math.min(most, (1 + random(20)) * 100 + (chance(50) ? 61 + random(19) : random(61)));

const env = {
    TAEL_WORKERS: '2', TAEL_DRAIN: '3s', TAEL_CLIENT__TOTAL: '1500ms', TAEL_PAYMENTS__POLL: '200ms,500ms,1s,2s',
    TAEL_PAYMENTS__GRACE: '1s', TAEL_PAYMENTS__ALARM_UNKNOWN: '5s', TAEL_STORE__CHECKPOINT_PAGES: '200',
};

/** Some wait for a person, and some are not wanted. */
const RULES = `return { risk = function(payment)
    local last = payment.amount % 10
    if last == 7 then return "review", "a seven" elseif last == 9 then return "deny", "a nine" end
    return "allow"
end }
`;

class Chaos {
    constructor(shop, wire) {
        Object.assign(this, { shop, wire, orders: 0, running: true, known: new Map(), wrong: [], done: {} });
    }

    count(what) {
        this.done[what] = (this.done[what] ?? 0) + 1;
    }

    /** An engine that dies may or may not have done it: asked again until there is an answer that says. */
    async ask(method, target, body) {
        for (let i = 0; ; i++) {
            const answer = await this.shop.request(method, target, { body }).catch(() => null);
            if (answer && answer.status < 500 && answer.status !== 429) return answer;
            if (answer && answer.status === 500) this.wrong.push(`${method} ${target}: ${answer.text}`);
            if (i > 400) throw new Error(`${method} ${target}: ${answer?.status} ${answer?.text}`);
            await sleep(50);
        }
    }

    async lever(target, body = {}) {
        const answer = await fetch(`${this.shop.sandbox}/sandbox/${target}`, { method: 'POST', body: JSON.stringify(body) });
        await answer.text();
        return answer.ok;
    }

    // ---- shoppers ----

    async attempts(id) {
        return (await this.ask('GET', `/v1/payments/${id}/attempts`)).body.data;
    }

    async openAndPay(order) {
        for (const attempt of await this.attempts(order.id)) {
            const way = order.ways.get(attempt.order_no);
            if (way && chance(80)) await fetch(way).catch(() => null);
            if (chance(75) && await this.lever(`trades/${attempt.order_no}/pay`)) this.count('payer paid');
        }
    }

    remember(order, payment, number) {
        const action = payment.next_action;
        if (!action) return;
        const way = action.url ?? action.code_url;
        order.ways.set(action.url ? Alipay.page(payment).biz.out_trade_no : number, way);
    }

    async refund(order) {
        const count = random(4);
        for (let i = 0; i < count; i++) {
            const body = { merchant_refund_id: `R${i}-${order.name}`, amount: oddAmount(order.amount) };
            const twins = await Promise.all(Array.from({ length: 1 + random(2) },
                () => this.ask('POST', `/v1/payments/${order.id}/refunds`, body)));
            for (const { status, text, body: refund } of twins) {
                if (status === 201 || status === 200) { order.refunds.set(refund.id, body.amount); this.count('refund taken on'); }
                else if (![409, 422, 400].includes(status)) this.wrong.push(`refund: ${status} ${text}`);
            }
        }
    }

    async shopOnce() {
        const name = `C${++this.orders}`;
        const amount = oddAmount(2100);
        const body = {
            merchant_order_id: name, amount, currency: 'CNY', subject: name, channel: 'alipay', product: pick(['page', 'qr']),
            expires_in: 60, parallel: pick(['none', 'refund_surplus']),
        };
        const order = { name, amount, ways: new Map(), refunds: new Map() };
        const created = await this.ask('POST', '/v1/payments', body);
        if (created.status !== 201 && created.status !== 200) {
            if (created.status !== 402 || amount % 10 !== 9) this.wrong.push(`create: ${created.status} ${created.text}`);
            return;
        }
        order.id = created.body.id;
        this.known.set(name, order);
        this.count('created');
        this.remember(order, created.body, (await this.attempts(order.id))[0]?.order_no);
        if (created.body.state === 'review' && chance(70)) await this.decide(order, pick(['pending', 'pending', 'closed']));
        const steps = [() => this.openAndPay(order)];
        const post = (what) => async () => {
            const answer = await this.ask('POST', `/v1/payments/${order.id}/${what}`, {});
            if (![200, 202, 409].includes(answer.status)) this.wrong.push(`${what}: ${answer.status} ${answer.text}`);
            this.count(what);
        };
        if (chance(25)) steps.splice(random(2), 0, post(pick(['close', 'cancel'])));
        if (chance(30)) steps.splice(random(steps.length + 1), 0, post('sync'));
        if (chance(30)) steps.splice(random(steps.length + 1), 0, async () => {
            const next = await this.ask('POST', `/v1/payments/${order.id}/attempts`, { channel: 'alipay', product: pick(['page', 'qr']) });
            if (next.status === 201) {
                this.count('another attempt');
                this.remember(order, next.body, (await this.attempts(order.id))[0]?.order_no);
                await this.openAndPay(order);
            }
        });
        if (chance(40)) await Promise.all(steps.map((step) => step())); // all at once
        else for (const step of steps) await step();
        const end = Date.now() + 1500;
        while (Date.now() < end && (await this.ask('GET', `/v1/payments/${order.id}`)).body.state === 'pending') await sleep(100);
        await this.refund(order);
    }

    /** A person's decision about what a rule has held back. */
    async decide(order, decision) {
        const { status, body, text } = await this.ask('POST', `/v1/payments/${order.id}/review`, { decision, note: 'looked at it' });
        if (status !== 200 && status !== 409) this.wrong.push(`review: ${status} ${text}`);
        if (status === 200) {
            this.count(`decided ${decision}`);
            this.remember(order, body, (await this.attempts(order.id))[0]?.order_no);
        }
    }

    start() {
        this.shoppers = Array.from({ length: SHOPPERS }, async () => {
            while (this.running) await this.shopOnce().catch((err) => this.wrong.push(err.stack));
        });
    }

    // ---- what happens to the engine ----

    async again(signal) {
        await this.shop.stop(signal);
        if (chance(30)) { // dies while it starts
            const starting = this.shop.serve();
            await sleep(random(120));
            await starting.stop('SIGKILL');
        }
        await this.shop.start();
    }

    async takeover() {
        const old = this.shop.process, next = this.shop.serve(['--takeover']);
        if (chance(25)) { // it dies on its way
            await sleep(random(200));
            await next.stop('SIGKILL');
            if (next.output.includes('engine.took_over')) {
                await old.ended;
                return this.shop.start();
            }
            await sleep(100);
            if (old.end) return this.shop.start();
            return;
        }
        await until('it took over', () => next.end || next.output.includes('engine.took_over'));
        if (next.end) throw new Error(`the successor ended: ${next.output.slice(-3000)}`);
        await until('the old one ends', () => old.end, 30);
        const late = old.end.code === 1 && old.output.includes('"drain":"deadline passed"');
        if (old.end.code !== 0 && !late) throw new Error(`the old engine ended with ${JSON.stringify(old.end)}: ${old.output.slice(-3000)}`);
        this.shop.process = next;
        await this.shop.ready(next);
    }

    async happen() {
        const pid = this.shop.process.child.pid;
        const happenings = {
            kill: () => this.again('SIGKILL'),
            stop: () => this.again('SIGTERM'),
            takeover: () => this.takeover(),
            reload: () => process.kill(pid, 'SIGHUP'),
            still: async () => {
                process.kill(pid, 'SIGSTOP');
                await sleep(random(2500));
                process.kill(pid, 'SIGCONT');
            },
            cut: async () => {
                await this.wire.cut();
                await sleep(random(1500));
                await this.wire.open();
            },
            fault: () => this.lever('behaviour', {
                op: pick(['query', 'refund', 'refund_query', 'close', 'cancel', 'precreate']),
                fault: pick(['lost_before', 'lost_after', 'reset_after', 'hangup_after', 'busy_before', 'busy_after', 'acq_error_before',
                    'http_502_after', 'wrong_signature', 'unsigned']), times: 1 + random(3),
            }).then((ok) => assert.ok(ok)),
        };
        const what = pick(Object.keys(happenings));
        await happenings[what]();
        this.count(what);
    }

    // ---- in the end ----

    all(target) {
        return allOf((page) => this.ask('GET', page), target);
    }

    /** Whatever a person would do about what waits. */
    async tidy() {
        assert.ok(await this.lever('balance', { app_id: '2021000000000001', add: 100 }));
        const open = { payments: [], refunds: [] };
        for (const payment of await this.all('/v1/payments?limit=100')) {
            if (payment.state === 'pending' || payment.state === 'created') {
                open.payments.push(payment);
                if (!payment.closing) await this.ask('POST', `/v1/payments/${payment.id}/close`, {});
                else await this.ask('POST', `/v1/payments/${payment.id}/sync`, {});
            } else if (payment.state === 'review') {
                open.payments.push(payment);
                for (const decision of ['paid', 'closed']) {
                    const { status } = await this.ask('POST', `/v1/payments/${payment.id}/review`, { decision, note: 'in the end' });
                    if (status === 200) break;
                }
            }
        }
        for (const refund of await this.all('/v1/refunds?limit=100')) {
            if (['succeeded', 'failed', 'cancelled'].includes(refund.state)) continue;
            open.refunds.push(refund);
            if (refund.state === 'abnormal') await this.ask('POST', `/v1/refunds/${refund.id}/retry`, {});
        }
        return open;
    }

    /** What books and channel do not agree on, order by order. */
    async differences() {
        const bill = await (await fetch(`${this.shop.sandbox}/sandbox/bill`)).json();
        const trades = new Map(bill.trades.map((trade) => [trade.out_trade_no, trade]));
        const wrong = [];
        const refunds = new Map((await this.all('/v1/refunds?limit=100')).map((refund) => [refund.id, refund]));
        for (const payment of await this.all('/v1/payments?limit=100')) {
            let held = 0;
            for (const { order_no } of await this.attempts(payment.id)) {
                held += trades.get(order_no)?.net ?? 0;
                trades.delete(order_no);
            }
            if (held !== payment.captured_amount - payment.refunded_amount) {
                const { merchant_order_id: name, id, state, captured_amount: taken, refunded_amount: back } = payment;
                wrong.push(`${name} (${id}) is ${state}: ${taken} - ${back} here, ${held} there`);
            }
            const order = this.known.get(payment.merchant_order_id);
            if (order && order.id !== payment.id) wrong.push(`${payment.merchant_order_id} is there twice`);
            for (const [id, amount] of order?.refunds ?? [])
                if (refunds.get(id)?.amount !== amount) wrong.push(`${id} of ${payment.merchant_order_id} is ${refunds.get(id)?.amount}, not ${amount}`);
        }
        for (const number of trades.keys()) wrong.push(`${number} is an order of nobody`);
        return { wrong, bill };
    }
}

test(`books and channel agree after ${seconds} seconds of everything at once (SEED=${seed})`, { timeout: (seconds + 600) * 1000 }, async (t) => {
    const shop = new Shop({ env });
    await shop.start();
    const wire = new Wire(await freePort(), shop.ports.sandbox);
    await wire.open();
    const file = path.join(shop.folder, 'tael.lua'), scripts = path.join(shop.folder, 'scripts');
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.writeFileSync(path.join(scripts, 'merchants/demo.test/rules.lua'), RULES);
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(path.join(root, 'scripts'), scripts)
        .replace(`${shop.sandbox}/gateway.do`, `http://127.0.0.1:${wire.port}/gateway.do`));
    t.after(() => [shop.process, shop.sandboxProcess].forEach((program) => program.stop('SIGKILL')));
    await shop.restart();
    shop.key = await shop.newKey('demo.test', ['payments:read', 'payments:write', 'refunds:write', 'admin']);
    const chaos = new Chaos(shop, wire);
    chaos.start();
    for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
        await sleep(200 + random(1500));
        await chaos.happen();
        if (chaos.wrong.length > 20) break;
    }
    chaos.running = false;
    await Promise.all(chaos.shoppers);
    assert.deepEqual(chaos.wrong.slice(0, 5), []);
    let left;
    await until(() => `nothing is open: ${JSON.stringify(left).slice(0, 3000)}`, async () => {
        left = await chaos.tidy();
        return left.payments.length + left.refunds.length === 0 || void await sleep(500);
    }, 400);
    let last;
    await until(() => `books and channel agree: ${last.wrong.slice(0, 10).join('\n')}`, async () => (last = await chaos.differences()).wrong.length === 0, 60);
    t.diagnostic(`${JSON.stringify(chaos.done)}, ${last.bill.trades.length} trades`);
    assert.deepEqual(chaos.wrong.slice(0, 5), []);
    await shop.prove();
    assert.equal((await shop.sandboxProcess.stop()).code, 0, shop.sandboxProcess.output);
    await wire.cut();
    fs.rmSync(shop.folder, { recursive: true, force: true });
});
