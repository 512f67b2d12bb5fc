// server.mjs - the Node peer: fastify, better-sqlite3, and, unless STORE says fast or rows, Alipay's official library.
//   STORE=none     routes only
//   STORE=sqlite   what the library's documentation leads to: one durable commit for each request
//   STORE=group    the same, requests of one turn of the event loop share a commit
//   STORE=fast     no library, keys parsed once, shared commits: the strongest Node that we know how to write
//   STORE=rows     fast, with the rows that Tael writes
import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import querystring from 'node:querystring';
import { rule } from '../../rule.mjs';
import { openOrders } from './orders.mjs';
import { openRows } from './rows.mjs';

const require = createRequire(`${process.env.MODULES}/`);
const { PORT, STORE, KEYS, APP_ID, SELLER_ID, GATEWAY, NOTIFY_URL, RETURN_URL } = process.env;
const key = (name) => fs.readFileSync(`${KEYS}/${name}`, 'ascii');
const yuan = (amount) => `${Math.floor(amount / 100)}.${String(amount % 100).padStart(2, '0')}`;

function official() {
    const { AlipaySdk } = require('alipay-sdk');
    const sdk = new AlipaySdk({ appId: APP_ID, privateKey: key('shop.key'), keyType: 'PKCS8',
        alipayPublicKey: key('alipay.pub'), gateway: GATEWAY });
    return {
        pageUrl: (biz) => sdk.pageExecute('alipay.trade.page.pay', 'GET',
            { returnUrl: RETURN_URL, notifyUrl: NOTIFY_URL, bizContent: biz }),
        isSigned: (form) => sdk.checkNotifySignV2(form),
    };
}

function byHand() {
    const privateKey = crypto.createPrivateKey(key('shop.key')), publicKey = crypto.createPublicKey(key('alipay.pub'));
    const timestamp = () => new Date(Date.now() + 288e5).toISOString().slice(0, 19).replace('T', ' ');
    return {
        pageUrl(biz) {
            const parameters = { app_id: APP_ID, biz_content: JSON.stringify(biz), charset: 'utf-8', format: 'JSON',
                method: 'alipay.trade.page.pay', notify_url: NOTIFY_URL, return_url: RETURN_URL, sign_type: 'RSA2',
                timestamp: timestamp(), version: '1.0' };
            let text = '', url = `${GATEWAY}?`;
            for (const name in parameters) {
                text += `${text && '&'}${name}=${parameters[name]}`;
                url += `${name}=${encodeURIComponent(parameters[name])}&`;
            }
            return `${url}sign=${encodeURIComponent(crypto.sign('RSA-SHA256', Buffer.from(text), privateKey).toString('base64'))}`;
        },
        isSigned(form) {
            const names = Object.keys(form).filter((name) => name !== 'sign' && name !== 'sign_type' && form[name] !== '');
            const text = names.sort().map((name) => `${name}=${form[name]}`).join('&');
            return crypto.verify('RSA-SHA256', Buffer.from(text), publicKey, Buffer.from(form.sign ?? '', 'base64'));
        },
    };
}

const alipay = STORE === 'fast' || STORE === 'rows' ? byHand() : official();
const store = STORE === 'none' ? null : (STORE === 'rows' ? openRows : openOrders)(require('better-sqlite3'), process.env);
const app = require('fastify')({ logger: false });
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' },
    (request, body, done) => done(null, { form: querystring.parse(body), body }));

const schema = { body: { type: 'object',
    required: ['merchant_order_id', 'amount', 'currency', 'channel', 'product', 'subject'], properties: {
        merchant_order_id: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$' },
        amount: { type: 'integer', minimum: 1, maximum: 10000000000 }, currency: { const: 'CNY' },
        channel: { const: 'alipay' }, product: { const: 'page' }, subject: { type: 'string', minLength: 1, maxLength: 256 },
    } } };

app.post('/v1/payments', { schema }, async (request, reply) => {
    const order = request.body, id = await store.create(order);
    if (id === null) return reply.code(409).send({ error: 'duplicate_order' });
    const url = alipay.pageUrl({ out_trade_no: order.merchant_order_id, total_amount: yuan(order.amount),
        subject: order.subject, product_code: 'FAST_INSTANT_TRADE_PAY' });
    return reply.code(201).send({ id, merchant_order_id: order.merchant_order_id, state: 'pending', next_action: { url } });
});

app.post('/notify/alipay', async (request, reply) => {
    const { form, body } = request.body;
    reply.type('text/plain');
    if (!alipay.isSigned(form) || form.app_id !== APP_ID || form.seller_id !== SELLER_ID) return 'fail';
    if (form.trade_status !== 'TRADE_SUCCESS' && form.trade_status !== 'TRADE_FINISHED') return 'success';
    return await store.pay(form, Math.round(parseFloat(form.total_amount) * 100), body) ? 'success' : 'fail';
});

app.post('/r/bench', (request, reply) => { reply.send(rule(request.body)); });
app.get('/healthz', (request, reply) => { reply.send('ok'); });
app.listen({ port: Number(PORT), host: '127.0.0.1', backlog: 1024 });
process.on('SIGTERM', () => process.exit(0));
