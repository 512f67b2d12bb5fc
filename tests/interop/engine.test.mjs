// engine.test.mjs - what the engine makes for Alipay, in the eyes of Alipay's official library.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, until } from '../e2e/tael.mjs';
import { AlipaySdk, sdkSign } from './sandbox.mjs';

let engine, sdk;

const key = (name) => fs.readFileSync(path.join(engine.folder, 'data/keys', name), 'utf8')
    .replace(/-----[^-]+-----|\s/g, '');

before(async () => {
    engine = await new Engine().start();
});
after(() => engine.remove());

/** The library as the demo merchant, and as somebody who only knows its public key. */
function library(payment, publicKey = 'sandbox.alipay.pub') {
    const { searchParams } = new URL(payment.next_action.url);
    return new AlipaySdk({
        appId: searchParams.get('app_id'), gateway: `${engine.sandbox}/gateway.do`, keyType: 'PKCS8',
        privateKey: key('demo.alipay.key'), alipayPublicKey: key(publicKey),
    });
}

async function created(order, fields) {
    const answer = await engine.create(order, fields);
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
}

/** The page URL's parameters, as the library's sign() wants them. */
function signedAgain(parameters, library) {
    const { sign, biz_content: content, method, ...rest } = parameters;
    return { sign, ours: sdkSign(method, { ...rest, bizContent: JSON.parse(content) }, library.config,
        { bizContentAutoSnakeCase: false }) };
}

test('the library signs our page parameters to the same signature', async () => {
    const payment = await created('I1', { subject: '咖啡 coffee + "two"', description: '两杯' });
    sdk = library(payment);
    const parameters = Object.fromEntries(new URL(payment.next_action.url).searchParams);
    const { sign, ours } = signedAgain(parameters, sdk);
    assert.equal(ours.sign, sign);
    assert.equal(ours.biz_content, parameters.biz_content);
});

test('the library, knowing only our public key, verifies the page URL', async () => {
    const payment = await created('I2');
    const stranger = library(payment, 'demo.alipay.pub');
    const parameters = Object.fromEntries(new URL(payment.next_action.url).searchParams);
    assert.equal(stranger.checkNotifySignV2(parameters), true);
    assert.equal(stranger.checkNotifySignV2({ ...parameters, notify_url: 'https://evil.example' }), false);
});

test('the form that a merchant may ask for is signed as well, and opens the cashier', async () => {
    const payment = await created('I3', { channel_options: { alipay: { form: true } } });
    const action = payment.next_action;
    assert.equal(action.type, 'form');
    const url = new URL(action.url);
    const parameters = { ...Object.fromEntries(url.searchParams), ...action.fields };
    assert.equal(library({ next_action: { url: action.url } }, 'demo.alipay.pub')
        .checkNotifySignV2(parameters), true);
    const page = await fetch(action.url, { method: 'POST', body: new URLSearchParams(action.fields) });
    assert.match(await page.text(), /¥12\.34/);
});

test('what the engine was notified of, the library verifies and finds paid', async () => {
    const payment = await created('I4');
    await fetch(payment.next_action.url);
    const content = JSON.parse(new URL(payment.next_action.url).searchParams.get('biz_content'));
    await fetch(`${engine.sandbox}/sandbox/trades/${content.out_trade_no}/pay`, { method: 'POST' });
    await until('the payment is paid', async () => (await engine.payment(payment.id)).state === 'paid');
    const answer = await library(payment).exec('alipay.trade.query',
        { bizContent: { out_trade_no: content.out_trade_no } }, { validateSign: true });
    assert.equal(answer.tradeStatus, 'TRADE_SUCCESS');
    assert.equal(answer.totalAmount, '12.34');
    const [attempt] = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data;
    assert.equal(attempt.trade_no, answer.tradeNo);
    const money = await (await fetch(`${engine.sandbox}/sandbox/money`)).json();
    assert.deepEqual(money.paid.map((trade) => [trade.out_trade_no, trade.total]),
        [[content.out_trade_no, payment.amount]]);
});

test('a payment whose notification is lost is found paid by asking', async () => {
    const behave = (body) => fetch(`${engine.sandbox}/sandbox/behaviour`,
        { method: 'POST', body: JSON.stringify(body) });
    await behave({ notify: false });
    const payment = await created('I5');
    const page = await (await fetch(payment.next_action.url)).text();
    const pay = page.match(/action="(\/cashier\/[0-9a-f]+\/pay)"/)[1];
    const back = await fetch(engine.sandbox + pay, { method: 'POST', redirect: 'manual' });
    await behave({ fault: 'unsigned' }); // what is not signed is not believed …
    await fetch(back.headers.get('location'), { redirect: 'manual' });
    await until('the spoilt answer was given', async () =>
        (await (await behave({})).json()).fault === null);
    assert.equal((await engine.payment(payment.id)).state, 'pending');
    await fetch(back.headers.get('location'), { redirect: 'manual' }); // … and what is signed is
    await until('the payment is paid', async () => (await engine.payment(payment.id)).state === 'paid');
    const [attempt] = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data;
    assert.match(attempt.evidence, /^cal_/);
    await behave({ notify: true });
});

test('a code that the engine was given is scanned and paid; what it gives back, the library finds', async () => {
    const payment = await created('I6', { product: 'qr' });
    assert.equal(payment.next_action.type, 'qr_code');
    const page = await (await fetch(payment.next_action.code_url)).text();
    assert.match(page, /¥12\.34/);
    await fetch(engine.sandbox + page.match(/action="(\/cashier\/[0-9a-f]+\/pay)"/)[1], { method: 'POST' });
    await until('the payment is paid', async () => (await engine.payment(payment.id)).state === 'paid');
    const refunds = [];
    for (const amount of [500, 562]) { // the answer to the second is lost
        const answer = await engine.post(`/v1/payments/${payment.id}/refunds`,
            { merchant_refund_id: `I6-${amount}`, amount });
        assert.equal(answer.status, 201, answer.text);
        refunds.push(await until(`the refund of ${amount}`, async () => {
            const refund = (await engine.get(`/v1/refunds/${answer.body.id}`)).body;
            return refund.state === 'succeeded' && refund;
        }, 60));
    }
    const [attempt] = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data;
    const account = new AlipaySdk({
        appId: '2021000000000001', gateway: `${engine.sandbox}/gateway.do`, keyType: 'PKCS8',
        privateKey: key('demo.alipay.key'), alipayPublicKey: key('sandbox.alipay.pub'),
    });
    for (const refund of refunds) {
        const found = await account.exec('alipay.trade.fastpay.refund.query',
            { bizContent: { out_trade_no: attempt.order_no, out_request_no: refund.refund_no } }, { validateSign: true });
        assert.equal(found.refundStatus, 'REFUND_SUCCESS');
        assert.equal(found.refundAmount, (refund.amount / 100).toFixed(2));
    }
    const bill = await (await fetch(`${engine.sandbox}/sandbox/bill`)).json();
    const line = bill.trades.find((trade) => trade.out_trade_no === attempt.order_no);
    assert.deepEqual([line.paid, line.net], [1234, 1234 - 1062]);
    assert.equal((await engine.payment(payment.id)).refunded_amount, 1062);
});
