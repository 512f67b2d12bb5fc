// shoppers.mjs - a mixed load for an engine that dies: creates, notifications, refunds and closes. Each answer is written
// to a file before it counts. What was answered is checked against the engine's books, and those against the channel's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Alipay } from '../e2e/alipay.mjs';
import { sleep, until } from '../e2e/tael.mjs';
import { allOf } from './pages.mjs';

/** What can be acknowledged about an order. */
export const KINDS = ['created', 'notified', 'refunded', 'closed'];

export class Shoppers {
    /** `channel`: the engine whose sandbox is the channel; the signatures are made with its key. */
    constructor(engine, channel) {
        Object.assign(this, { engine, channel, alipay: new Alipay(channel), running: true, orders: 0, answered: [] });
        this.file = fs.openSync(path.join(channel.folder, 'acknowledged.log'), 'a');
        this.counts = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
    }

    acknowledge(entry) {
        fs.writeSync(this.file, `${JSON.stringify(entry)}\n`);
        this.answered.push(entry);
        this.counts[entry.kind]++;
    }

    start(count) {
        this.shops = Array.from({ length: count }, async () => {
            // What fails may or may not have had its effect: only answers count.
            while (this.running) await this.shop(`K${++this.orders}`, this.orders % 8).catch(() => sleep(5));
        });
    }

    async stop() {
        this.running = false;
        await Promise.all(this.shops);
        fs.closeSync(this.file);
    }

    async shop(order, sort) {
        const { engine } = this;
        const created = await engine.create(order, { amount: 1000 + sort });
        if (created.status !== 201) return;
        const { id } = created.body;
        const number = Alipay.page(created.body).biz.out_trade_no;
        this.acknowledge({ kind: 'created', order, id, number });
        if (sort === 0) return; // left alone
        if (sort <= 3) { // the channel does not know it: only this notification says that it is paid
            const body = this.alipay.form(this.alipay.fields(created.body));
            if (await this.alipay.send(created.body, body) === 'success') this.acknowledge({ kind: 'notified', order, id });
            return;
        }
        if (sort === 4) return this.close(order, id);
        await fetch(created.body.next_action.url);
        if (sort === 5) return this.close(order, id);
        await this.pay(number);
        for (let i = 0; i < 20 && (await engine.payment(id)).state !== 'paid'; i++) await sleep(20);
        await this.refund(order, id);
    }

    async pay(number) {
        const paid = await fetch(`${this.channel.sandbox}/sandbox/trades/${number}/pay`, { method: 'POST' });
        assert.equal(paid.status, 200, await paid.text());
    }

    /** Repeated as a merchant would: the same number of the merchant's is the same refund. */
    async refund(order, id) {
        for (let i = 0; i < 10 && this.running; i++) {
            const answer = await this.engine.post(`/v1/payments/${id}/refunds`, { amount: 400, merchant_refund_id: `R-${order}` })
                .catch(() => null);
            if (answer?.status === 200 || answer?.status === 201)
                return this.acknowledge({ kind: 'refunded', order, id, refund: answer.body.id });
            if (answer && answer.status < 500 && answer.status !== 409) return;
            await sleep(50);
        }
    }

    async close(order, id) {
        const answer = await this.engine.post(`/v1/payments/${id}/close`, {});
        if (answer.status === 200 && answer.body.state === 'closed') this.acknowledge({ kind: 'closed', order, id });
    }

    /** What was answered since the last look is there: at once, before a timer or the channel could have mended it. */
    async check() {
        const entries = this.answered.splice(0);
        for (let i = 0; i < entries.length; i += 8) await Promise.all(entries.slice(i, i + 8).map((entry) => this.look(entry)));
        return entries.length;
    }

    /** A connection of the engine that died may still be in the pool: a read is asked again. */
    async read(target) {
        for (let i = 0; i < 3; i++) {
            const answer = await this.engine.get(target).catch(() => null);
            if (answer) return answer;
        }
        return this.engine.get(target);
    }

    async look({ kind, order, id, refund }) {
        const what = `${order} (${id}) was ${kind}`;
        if (kind === 'refunded') {
            const { status, body } = await this.read(`/v1/refunds/${refund}`);
            assert.equal(status, 200, what);
            return assert.equal(body.payment, id, what);
        }
        const { status, body } = await this.read(`/v1/payments/${id}`);
        assert.equal(status, 200, what);
        assert.equal(body.merchant_order_id, order, what);
        if (kind !== 'created') assert.equal(body.state, kind === 'notified' ? 'paid' : 'closed', what);
    }

    // ---- in the end ----

    all(target) {
        return allOf((page) => this.read(page), target);
    }

    /** The books by order. More than one payment of an order is a doubled create. */
    async books() {
        const books = new Map();
        for (const payment of await this.all('/v1/payments?limit=100')) {
            assert.ok(!books.has(payment.merchant_order_id), `${payment.merchant_order_id} is there twice`);
            books.set(payment.merchant_order_id, payment);
        }
        return books;
    }

    /** What the channel's bill, the books and the refunds that were taken on do not agree on. */
    async differences(orders, refunds) {
        const bill = await (await fetch(`${this.channel.sandbox}/sandbox/bill`)).json();
        const books = await this.books();
        const wrong = [];
        for (const trade of bill.trades) {
            const payment = books.get(orders.get(trade.out_trade_no));
            const back = trade.refunded.reduce((sum, { amount }) => sum + amount, 0);
            const due = refunds.has(payment.merchant_order_id) ? 400 : back; // taken on, and perhaps not sent yet
            if ((payment.state === 'paid') === (trade.paid > 0) && payment.refunded_amount === back && back === due) continue;
            // A notification that met a dead engine comes again after minutes: asked for here, as a merchant would.
            await this.engine.post(`/v1/payments/${payment.id}/sync`, {});
            wrong.push(`${payment.merchant_order_id}: ${payment.state}, ${payment.refunded_amount} back; paid ${trade.paid}, ${back} back`);
        }
        return { wrong, books, bill };
    }

    /** The whole journal against the books, these against the channel's bill; each thing that happened happened once. */
    async settle() {
        const journal = fs.readFileSync(path.join(this.channel.folder, 'acknowledged.log'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
        const orders = new Map(journal.filter(({ number }) => number).map(({ number, order }) => [number, order]));
        const refunds = new Set(journal.filter(({ kind }) => kind === 'refunded').map(({ order }) => order));
        let last;
        await until('the books agree with the channel', async () => (last = await this.differences(orders, refunds)).wrong.length === 0, 180)
            .catch((err) => { throw new Error(`${err.message}: ${last?.wrong.slice(0, 5)}`); });
        for (const { kind, order, id } of journal) {
            const payment = last.books.get(order);
            assert.equal(payment?.id, id, `${order} was ${kind}`);
            if (kind === 'notified') assert.equal(payment.state, 'paid', order);
            if (kind === 'closed') assert.equal(payment.state, 'closed', order);
            if (kind === 'refunded') assert.equal(payment.refunded_amount, 400, order);
        }
        const paid = (await this.all('/v1/events?type=payment.paid&limit=100')).map(({ data }) => data.id);
        assert.equal(new Set(paid).size, paid.length, 'a payment was paid twice');
        assert.equal(paid.length, [...last.books.values()].filter(({ state }) => state === 'paid').length);
        for (const { out_trade_no, refunded } of last.bill.trades)
            assert.ok(refunded.length <= 1, `${out_trade_no} was refunded ${refunded.length} times`);
        return { payments: last.books.size, paid: paid.length, refunded: last.bill.refunded / 400 };
    }
}
