// alipay.mjs - what Alipay would send, made by this test's own code: signed with the sandbox's private key.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** "2026-01-15 10:20:30" in GMT+8. */
export function beijingTime(ms = Date.now()) {
    return new Date(ms + 8 * 3600e3).toISOString().slice(0, 19).replace('T', ' ');
}

/** The string that is signed: sorted, without sign and sign_type, values as they are after decoding. */
export function signedText(fields) {
    return Object.keys(fields).filter((name) => name !== 'sign' && name !== 'sign_type').sort()
        .map((name) => `${name}=${fields[name]}`).join('&');
}

export function sign(fields, privateKey) {
    return crypto.sign('RSA-SHA256', Buffer.from(signedText(fields)), privateKey).toString('base64');
}

/** The simulated Alipay of one engine: its key, and what it knows of the demo account. */
export class Alipay {
    constructor(engine, privateKey = fs.readFileSync(path.join(engine.folder, 'data/keys/sandbox.alipay.key'), 'utf8')) {
        this.engine = engine;
        this.privateKey = privateKey;
    }

    /** What the payer's browser is sent to: the parameters of the page URL. */
    static page(payment) {
        const url = new URL(payment.next_action.url);
        const parameters = Object.fromEntries(url.searchParams);
        return { ...parameters, biz: JSON.parse(parameters.biz_content) };
    }

    /** The fields of a notification that fits `payment`. */
    fields(payment, changed = {}) {
        const page = Alipay.page(payment);
        const now = beijingTime();
        return {
            notify_time: now, notify_type: 'trade_status_sync', notify_id: crypto.randomBytes(17).toString('hex'),
            charset: 'utf-8', version: '1.0', sign_type: 'RSA2', app_id: page.app_id, auth_app_id: page.app_id,
            trade_no: `20261125220014${crypto.randomInt(1e13).toString().padStart(14, '0')}`,
            out_trade_no: page.biz.out_trade_no, buyer_id: '2088102116773037', buyer_logon_id: 'abc***@example.com',
            seller_id: this.engine.seller, seller_email: 'shop@example.com', trade_status: 'TRADE_SUCCESS',
            total_amount: page.biz.total_amount, receipt_amount: page.biz.total_amount,
            invoice_amount: page.biz.total_amount, buyer_pay_amount: page.biz.total_amount, point_amount: '0.00',
            subject: page.biz.subject, gmt_create: now, gmt_payment: now,
            fund_bill_list: `[{"amount":"${page.biz.total_amount}","fundChannel":"ALIPAYACCOUNT"}]`,
            ...changed,
        };
    }

    /** A signed form body; `after` changes fields once they are signed. */
    form(fields, after = {}) {
        const signed = { ...fields, sign: sign(fields, this.privateKey), ...after };
        return new URLSearchParams(signed).toString();
    }

    /** Sends a body to where the payment's notifications go; gives the answer's text. */
    async send(payment, body) {
        const response = await fetch(Alipay.page(payment).notify_url, {
            method: 'POST', body,
            headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
        });
        return response.text();
    }

    notify(payment, changed, after) {
        return this.send(payment, this.form(this.fields(payment, changed), after));
    }
}
