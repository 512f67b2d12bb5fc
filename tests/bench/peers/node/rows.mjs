// rows.mjs - the rows that Tael writes, in Tael's own schema: payment, attempt, event and timer of a create; payment,
// attempt, event and the raw notification of a payment. Event and message have their SHA-256; messages are not sealed.
import crypto from 'node:crypto';
import { grouped, open } from './group.mjs';

const LIFE_MS = 30 * 60e3, TIMER_MS = 3600e3;
const sha256 = (text) => crypto.createHash('sha256').update(text).digest();

const SQL = {
    payment: `INSERT INTO payments (merchant, id, merchant_order_id, request, state, amount, currency, attempt, detail_event,
        version, last_event, last_hash, updated_at, expires_at) VALUES (1, ?, ?, ?, 'pending', ?, ?, ?, ?, 1, ?, ?, ?, ?)`,
    attempt: `INSERT INTO attempts (merchant, id, payment, account, product, state, amount, currency, expires_at, updated_at, due)
        VALUES (1, ?, ?, 1, ?, 'issued', ?, ?, ?, ?, ?)`,
    event: `INSERT INTO events (merchant, id, payment, object, version, prev, type, actor, at, data, hash)
        VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    timer: "INSERT INTO timers (merchant, id, kind, object) VALUES (1, ?, 'attempt', ?)",
    find: 'SELECT * FROM payments WHERE merchant = 1 AND merchant_order_id = ?',
    paid: `UPDATE payments SET state = 'paid', captured_amount = amount, version = version + 1, last_event = ?, last_hash = ?,
        updated_at = ?, paid_at = ? WHERE merchant = 1 AND id = ? AND version = ? AND state = 'pending' AND amount = ?`,
    succeed: `UPDATE attempts SET state = 'succeeded', trade_no = ?, evidence = ?, code = ?, updated_at = ?, due = NULL
        WHERE merchant = 1 AND id = ? AND state = 'issued'`,
    first: 'SELECT id FROM notifications WHERE merchant = 1 AND payment = ? AND digest = ? AND first IS NULL',
    notification: `INSERT INTO notifications (merchant, id, account, payment, attempt, verdict, effect, first, key_id, source, at,
        digest, raw) VALUES (1, ?, 1, ?, ?, 'pass', ?, ?, 1, '127.0.0.1', ?, ?, ?)`,
};

export function openRows(Database, { DATABASE }) {
    const db = open(Database, DATABASE), run = grouped(db);
    const sql = Object.fromEntries(Object.entries(SQL).map(([name, text]) => [name, db.prepare(text)]));
    let last = Date.now() * 4096;
    const id = () => { last = Math.max(last + 1, Date.now() * 4096); return last; };

    function link(payment, event) {
        const data = JSON.stringify(event.data);
        const hash = sha256(Buffer.concat([payment.last_hash ?? Buffer.alloc(0),
            Buffer.from(`${payment.id} ${event.version} ${event.type} ${event.actor} ${event.at} ${data}`)]));
        return { ...event, data, hash, number: id() };
    }

    function insert(payment, { number, version, type, actor, at, data, hash }) {
        sql.event.run(number, payment.id, payment.id, version, payment.last_event ?? null, type, actor, at, data, hash);
    }

    function create(order) {
        const now = Date.now(), payment = { id: id() }, attempt = id(), due = attempt + TIMER_MS * 4096;
        const expires = now + LIFE_MS;
        const request = sha256(JSON.stringify(order)).subarray(0, 16);
        const { subject, ...columns } = order;
        const event = link(payment, { version: 1, type: 'payment.created', actor: 'key_1', at: now, data: {
            payment: { ...columns, request: request.toString('hex'), state: 'pending', attempt, expires_at: expires },
            attempt: { id: attempt, account: 1, product: order.product, state: 'issued', amount: order.amount,
                currency: order.currency, expires_at: expires },
            details: { subject, decision: { by: 'request' } } } });
        try {
            sql.payment.run(payment.id, order.merchant_order_id, request, order.amount, order.currency, attempt,
                event.number, event.number, event.hash, now, expires);
        } catch (error) {
            if (/^SQLITE_CONSTRAINT/.test(error.code)) return null;
            throw error;
        }
        insert(payment, event);
        sql.attempt.run(attempt, payment.id, order.product, order.amount, order.currency, expires, now, due);
        sql.timer.run(due, attempt);
        return payment.id;
    }

    function pay(form, amount, raw) {
        const payment = sql.find.get(form.out_trade_no), now = Date.now(), digest = sha256(raw), notification = id();
        if (!payment || payment.amount !== amount) return false;
        if (payment.state === 'paid') {
            const first = sql.first.get(payment.id, digest);
            sql.notification.run(notification, payment.id, payment.attempt, 'none', first?.id ?? null, now, digest, null);
            return true;
        }
        const event = link(payment, { version: payment.version + 1, type: 'payment.paid', actor: 'channel:alipay', at: now,
            data: { payment: { state: 'paid', captured_amount: amount, paid_at: now },
                attempt: { id: payment.attempt, state: 'succeeded', trade_no: form.trade_no, code: form.trade_status,
                    evidence: notification },
                evidence: { kind: 'ntf', id: notification, key: 1, digest: digest.toString('hex') } } });
        sql.paid.run(event.number, event.hash, now, now, payment.id, payment.version, amount);
        insert(payment, event);
        sql.succeed.run(form.trade_no, notification, form.trade_status, now, payment.attempt);
        sql.notification.run(notification, payment.id, payment.attempt, 'paid', null, now, digest, Buffer.from(raw));
        return true;
    }

    return { create: (order) => run(() => create(order)), pay: (form, amount, raw) => run(() => pay(form, amount, raw)) };
}
