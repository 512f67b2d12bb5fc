// requests.mjs - the files that build/bench/load sends from and the answers that it writes.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Alipay, signedText } from '../e2e/alipay.mjs';
import { rule } from './rule.mjs';

const signAsync = promisify(crypto.sign); // on the threads of Node's pool
const SELLER = '2088000000000001';
const WINDOW = 4096; // notifications come in about the order of the payments
const FORGED_EVERY = 200, REPEATED_EVERY = 9, REPEATED_AFTER = 1000;

function record(id, head, body, expected) {
    const bytes = Buffer.from(body);
    const request = Buffer.concat([
        Buffer.from(`${head}\r\nHost: 127.0.0.1\r\nContent-Length: ${bytes.length}\r\n\r\n`), bytes,
    ]);
    const expectation = Buffer.from(expected), start = Buffer.alloc(12);
    start.writeUInt32LE(request.length, 0);
    start.writeUInt32LE(expectation.length, 4);
    start.writeUInt32LE(id, 8);
    return Buffer.concat([start, request, expectation]);
}

/** On the disk when it returns: what the system writes there later, commits would wait for while they are measured. */
function writeNow(file, pieces) {
    const out = fs.openSync(file, 'w');
    for (const piece of pieces) fs.writeSync(out, piece);
    fs.fsyncSync(out);
    fs.closeSync(out);
}

/** The right answers of a run: [request id, body]. */
export function* answers(file) {
    const bytes = fs.readFileSync(file);
    for (let at = 0; at < bytes.length;) {
        const id = bytes.readUInt32LE(at), len = bytes.readUInt32LE(at + 4);
        yield [id, bytes.toString('utf8', at + 8, at + 8 + len)];
        at += 8 + len;
    }
}

// ---- create ----

export const orderOf = (id) => `P${String(id).padStart(9, '0')}`;
export const amountOf = (id) => 100 + (id * 7919) % 99999;

/** Creates number `first` and following; the key of all, or of each (id). */
export function writeCreates(file, key, first, count) {
    const keyOf = typeof key === 'function' ? key : () => key;
    const list = Array.from({ length: count }, (_, i) => {
        const id = first + i;
        const body = JSON.stringify({
            merchant_order_id: orderOf(id), amount: amountOf(id), currency: 'CNY', channel: 'alipay',
            product: 'page', subject: `Order ${id} 商品`,
        });
        const head = `POST /v1/payments HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer ${keyOf(id)}`;
        return record(id, head, body, `"${orderOf(id)}"`);
    });
    writeNow(file, [Buffer.concat(list)]);
}

/** Reads of the payments with these orders. */
export function writeReads(file, key, orders) {
    writeNow(file, [Buffer.concat(orders.map((order, id) => record(id,
        `GET /v1/payments?merchant_order_id=${order} HTTP/1.1\r\nAuthorization: Bearer ${key}`, '', `"${order}"`)))]);
}

/** The text that a request signs: everything but the signature, sign_type too. */
function pageIsSigned({ biz, sign, ...parameters }, key) {
    const text = Object.keys(parameters).sort().map((name) => `${name}=${parameters[name]}`).join('&');
    return crypto.verify('RSA-SHA256', Buffer.from(text), key, Buffer.from(sign, 'base64'));
}

/** The payments of the answers; throws unless each page URL is the order's, signed with the account's key. */
export function readCreated(file, folder) {
    const key = crypto.createPublicKey(fs.readFileSync(path.join(folder, 'keys/shop.pub'), 'utf8'));
    return Array.from(answers(file), ([id, body]) => {
        const payment = JSON.parse(body);
        const page = Alipay.page(payment);
        if (page.biz.total_amount !== (amountOf(id) / 100).toFixed(2) || !pageIsSigned(page, key))
            throw new Error(`create ${id}: the page URL is not that of the order: ${payment.next_action.url}`);
        return payment;
    });
}

// ---- route ----

const BODIES = 2000; // different ones, sent again and again

function routeBody(i) {
    const some = (n) => (i * 2654435761 % 4294967296) % n;
    return {
        merchant: `m_${String(i).padStart(5, '0')}`,
        order: { id: `R${String(i).padStart(9, '0')}`, currency: i % 17 === 0 ? 'USD' : 'CNY', hour: i % 24 },
        payer: { country: 'CN', member: i % 5 === 0, device: i % 3 === 0 ? 'desktop' : 'mobile', risk: some(100) },
        items: [
            { sku: 'SKU-0001', quantity: 1 + i % 4, price: 1999 + some(5000) },
            { sku: 'SKU-0002', quantity: 1 + i % 3, price: 4900 + some(90000) },
            { sku: 'SKU-0003', quantity: 2, price: 350 },
        ],
        limits: { daily: 5000000, used: some(5200000) },
    };
}

/** `count` requests to the rule; `expected` may say another answer than the rule's. */
export function writeRoutes(file, target, count, expected) {
    const head = `POST ${target} HTTP/1.1\r\nContent-Type: application/json`;
    const records = Array.from({ length: BODIES }, (_, i) => {
        const body = routeBody(i);
        return record(i, head, JSON.stringify(body), expected ?? `"${rule(body).summary}"`);
    });
    writeNow(file, Array(Math.ceil(count / BODIES)).fill(Buffer.concat(records)));
}

// ---- notify ----

/** Shuffles within windows, the same way at every run. */
function shuffled(list) {
    const out = [...list];
    let state = 1;
    for (let i = 0; i < out.length; i++) {
        state = (state * 48271) % 2147483647;
        const left = Math.min(WINDOW - (i % WINDOW), out.length - i), j = i + (state % left);
        [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
}

function notifyHead(url) {
    return `POST ${new URL(url).pathname} HTTP/1.1\r\n`
        + 'Content-Type: application/x-www-form-urlencoded; charset=utf-8';
}

/** A notification of 26 fields and its signature; the forged one has another amount than was signed. */
async function signedForms(alipay, payment, forge) {
    const fields = alipay.fields(payment, {
        body: 'three items & a gift + card', passback_params: 'merchant%3Dm_00042',
    });
    const sign = (await signAsync('RSA-SHA256', Buffer.from(signedText(fields)), alipay.privateKey)).toString('base64');
    const form = (changed) => new URLSearchParams({ ...fields, sign, ...changed }).toString();
    return { good: form({}), forged: forge ? form({ total_amount: '0.01' }) : null };
}

/** All forms, a few hundred at a time so that the pool is never idle and memory stays bounded. */
async function allForms(alipay, payments) {
    const forms = [];
    for (let at = 0; at < payments.length; at += 256) {
        const some = payments.slice(at, at + 256);
        forms.push(...await Promise.all(some.map((payment, i) =>
            signedForms(alipay, payment, (at + i) % FORGED_EVERY === 0))));
    }
    return forms;
}

/**
 * A notification for each payment; about one in ten comes again later, one in 200 is forged.
 * Gives what each request id stands for: { kind: 'first' | 'repeat' | 'forged', payment }.
 */
export async function writeNotifications(file, payments, folder) {
    const pem = fs.readFileSync(path.join(folder, 'keys/alipay.key'), 'utf8');
    const alipay = new Alipay({ seller: SELLER }, crypto.createPrivateKey(pem)); // parsed once
    const order = shuffled(payments), forms = await allForms(alipay, order);
    const records = [], meaning = [], later = [];
    const add = (kind, i, body) => {
        records.push(record(meaning.length, notifyHead(Alipay.page(order[i]).notify_url), body,
            kind === 'forged' ? '=fail' : '=success'));
        meaning.push({ kind, payment: order[i].id });
    };
    forms.forEach(({ good, forged }, i) => {
        if (forged) add('forged', i, forged);
        add('first', i, good);
        if (i % REPEATED_EVERY === 0) later.push(i);
        while (later.length > 0 && later[0] <= i - REPEATED_AFTER) {
            const at = later.shift();
            add('repeat', at, forms[at].good);
        }
    });
    for (const at of later) add('repeat', at, forms[at].good);
    writeNow(file, [Buffer.concat(records)]);
    return meaning;
}
