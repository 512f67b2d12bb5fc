// orders.mjs - one row an order, as a small shop keeps it.
import { grouped, open } from './group.mjs';

export function openOrders(Database, { DATABASE, STORE }) {
    const db = open(Database, DATABASE);
    const insert = db.prepare(`INSERT INTO orders (merchant_order_id, amount, currency, channel, product, subject, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)`);
    const find = db.prepare('SELECT status, amount, trade_no FROM orders WHERE merchant_order_id = ?');
    const update = db.prepare(`UPDATE orders SET status = 'paid', trade_no = ?, paid_at = ?
        WHERE merchant_order_id = ? AND amount = ? AND status = 'pending'`);
    const create = (order) => {
        try {
            return Number(insert.run(order.merchant_order_id, order.amount, order.currency, order.channel, order.product,
                order.subject, Date.now()).lastInsertRowid);
        } catch (error) {
            if (/^SQLITE_CONSTRAINT/.test(error.code)) return null;
            throw error;
        }
    };
    const pay = (form, amount) => {
        const order = find.get(form.out_trade_no);
        if (!order || order.amount !== amount) return false;
        if (order.status === 'paid') return order.trade_no === form.trade_no;
        return update.run(form.trade_no, Date.now(), form.out_trade_no, amount).changes === 1;
    };
    if (STORE === 'sqlite') return { create: async (order) => create(order), pay: async (form, amount) => pay(form, amount) };
    const run = grouped(db);
    return { create: (order) => run(() => create(order)), pay: (form, amount) => run(() => pay(form, amount)) };
}
