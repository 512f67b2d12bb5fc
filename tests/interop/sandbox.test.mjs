// sandbox.test.mjs - Alipay's official library against our sandbox, as it would speak to Alipay.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Merchant, Sandbox, sellerId, appId, keyPair, until } from './sandbox.mjs';

let sandbox, merchant, sdk;
let orders = 0;

before(async () => {
    sandbox = await new Sandbox({ speed: 200 }).start();
    merchant = await new Merchant().start();
    sdk = sandbox.sdk();
});
after(async () => {
    await sandbox.remove();
    await merchant.stop();
});

function order(changed = {}) {
    return {
        out_trade_no: `T${Date.now()}${++orders}`, total_amount: '20.00', subject: '测试 coffee + "milk"',
        product_code: 'FAST_INSTANT_TRADE_PAY', ...changed,
    };
}

/** Opens the page as a browser would; gives the cashier's HTML and address. */
async function open(url, options) {
    const response = await fetch(url, options);
    return { status: response.status, url: response.url, type: response.headers.get('content-type'),
        headers: response.headers, html: Buffer.from(await response.arrayBuffer()) };
}

function pageUrl(content, more = {}, library = sdk) {
    return library.pageExecute('alipay.trade.page.pay', 'GET',
        { notifyUrl: merchant.url, bizContent: content, ...more });
}

const query = (content) => sdk.exec('alipay.trade.query', { bizContent: content }, { validateSign: true });

test('pageExecute GET opens the cashier, and the trade begins to exist', async () => {
    const content = order();
    const before = await query({ out_trade_no: content.out_trade_no });
    assert.equal(before.subCode, 'ACQ.TRADE_NOT_EXIST');
    const page = await open(pageUrl(content));
    assert.equal(page.status, 200);
    const html = page.html.toString();
    assert.match(html, /¥20\.00/);
    assert.match(html, /测试 coffee \+ &quot;milk&quot;/);
    assert.equal((html.match(/<form method="post"/g) ?? []).length, 2);
    assert.doesNotMatch(html, /<script/);
    assert.match(page.headers.get('content-security-policy'), /^default-src 'none'/);
    const now = await query({ out_trade_no: content.out_trade_no });
    assert.equal(now.code, '10000');
    assert.equal(now.tradeStatus, 'WAIT_BUYER_PAY');
    assert.equal(now.totalAmount, '20.00');
});

test('pageExecute POST opens the same cashier', async () => {
    const content = order({ subject: `It's "50%" <b>off` });
    const html = sdk.pageExecute('alipay.trade.page.pay', 'POST',
        { notifyUrl: merchant.url, bizContent: content });
    const unescape = (text) => text.replaceAll('&quot;', '"');
    const fields = [...html.matchAll(/name="([^"]+)" value="([^"]*)" \/>/g)]
        .map(([, name, value]) => [name, unescape(value)]);
    assert.ok(fields.length >= 1);
    const page = await open(html.match(/action="([^"]+)"/)[1],
        { method: 'POST', body: new URLSearchParams(fields) });
    assert.equal(page.status, 200);
    assert.match(page.html.toString(), /It&#39;s &quot;50%&quot; &lt;b&gt;off/);
    assert.equal((await query({ out_trade_no: content.out_trade_no })).tradeStatus, 'WAIT_BUYER_PAY');
});

test('Pay notifies the merchant: checkNotifySignV2 accepts it, and each of its fields is true', async () => {
    const seen = merchant.bodies.length;
    const content = order({ body: 'one cup', passback_params: 'a%3D1' });
    const page = await open(pageUrl(content));
    const form = page.html.toString().match(/action="(\/cashier\/[0-9a-f]+\/pay)"/)[1];
    const paid = await fetch(sandbox.url + form, { method: 'POST', redirect: 'manual' });
    assert.equal(paid.status, 302);
    const note = await merchant.received(seen + 1);
    assert.equal(sdk.checkNotifySignV2(note), true);
    assert.equal(sdk.checkNotifySignV2({ ...note, total_amount: '0.01' }), false);
    assert.equal(note.out_trade_no, content.out_trade_no);
    assert.equal(note.total_amount, '20.00');
    assert.equal(note.trade_status, 'TRADE_SUCCESS');
    assert.equal(note.app_id, appId);
    assert.equal(note.seller_id, sellerId);
    assert.equal(note.subject, content.subject);
    assert.equal(note.body, 'one cup');
    assert.equal(note.passback_params, 'a%3D1');
    assert.deepEqual(JSON.parse(note.fund_bill_list), [{ amount: '20.00', fundChannel: 'ALIPAYACCOUNT' }]);
    const names = ['app_id', 'auth_app_id', 'body', 'buyer_id', 'buyer_logon_id', 'buyer_pay_amount', 'charset',
        'fund_bill_list', 'gmt_create', 'gmt_payment', 'invoice_amount', 'notify_id', 'notify_time',
        'notify_type', 'out_trade_no', 'passback_params', 'point_amount', 'receipt_amount', 'seller_email',
        'seller_id', 'sign', 'sign_type', 'subject', 'total_amount', 'trade_no', 'trade_status', 'version'];
    assert.deepEqual(Object.keys(note).sort(), names);
    const answer = await query({ out_trade_no: content.out_trade_no });
    assert.equal(answer.tradeStatus, 'TRADE_SUCCESS');
    assert.equal(answer.tradeNo, note.trade_no);
    assert.equal(answer.sendPayDate, note.gmt_payment);
    assert.equal((await query({ trade_no: note.trade_no })).outTradeNo, content.out_trade_no);
});

test('the browser comes back with a signed return', async () => {
    const content = order();
    const page = await open(pageUrl(content, { returnUrl: 'https://shop.example/return' }));
    const policy = page.headers.get('content-security-policy');
    assert.match(policy, /form-action 'self' https: http:/); // or the way back would be blocked
    const form = page.html.toString().match(/action="(\/cashier\/[0-9a-f]+\/pay)"/)[1];
    for (let i = 0; i < 2; i++) { // a second click leads the same way and pays nothing
        const back = await fetch(sandbox.url + form, { method: 'POST', redirect: 'manual' });
        assert.equal(back.status, 302);
        const target = new URL(back.headers.get('location'));
        assert.equal(target.origin + target.pathname, 'https://shop.example/return');
        const fields = Object.fromEntries(target.searchParams);
        assert.equal(sdk.checkNotifySignV2(fields), true);
        assert.equal(fields.method, 'alipay.trade.page.pay.return');
        assert.equal(fields.out_trade_no, content.out_trade_no);
        assert.equal(fields.trade_status, undefined);
    }
    const { body } = await sandbox.lever('GET', `deliveries?out_trade_no=${content.out_trade_no}`);
    assert.equal(body.deliveries.length, 1);
});

test('what the return says stands in front of a fragment', async () => {
    const page = await open(pageUrl(order(), { returnUrl: 'https://shop.example/return?a=1#/thanks?b' }));
    const form = page.html.toString().match(/action="(\/cashier\/[0-9a-f]+\/pay)"/)[1];
    const back = await fetch(sandbox.url + form, { method: 'POST', redirect: 'manual' });
    const target = new URL(back.headers.get('location'));
    assert.deepEqual([target.hash, target.searchParams.get('a')], ['#/thanks?b', '1']);
    assert.equal(target.searchParams.get('method'), 'alipay.trade.page.pay.return');
});

test('a page of another origin pulls no lever', async () => {
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) {
        const refused = await fetch(`${sandbox.url}/sandbox/behaviour`, { method: 'POST', headers, body: '{}' });
        assert.equal(refused.status, 403);
        assert.match((await refused.json()).error, /other origins/);
        assert.equal((await fetch(`${sandbox.url}/sandbox/behaviour`, { headers })).status, 200);
    }
    const own = { origin: sandbox.url, 'sec-fetch-site': 'same-origin' };
    assert.notEqual((await fetch(`${sandbox.url}/sandbox/behaviour`, { method: 'POST', headers: own, body: '{}' })).status, 403);
});

test('Refuse pays nothing, and the order stays open', async () => {
    const content = order();
    const page = await open(pageUrl(content));
    const form = page.html.toString().match(/action="(\/cashier\/[0-9a-f]+\/refuse)"/)[1];
    const refused = await fetch(sandbox.url + form, { method: 'POST' });
    assert.equal(refused.status, 200);
    assert.match(await refused.text(), /Refuse|refused/);
    assert.equal((await query({ out_trade_no: content.out_trade_no })).tradeStatus, 'WAIT_BUYER_PAY');
});

test('an order whose time is over is closed, silently', async () => {
    let content, page;
    for (let seconds = 2; seconds < 60 && !page?.url.includes('/cashier/'); seconds *= 2) {
        const end = new Date(Date.now() + 8 * 3600e3 + seconds * 1000);
        content = order({ time_expire: end.toISOString().slice(0, 19).replace('T', ' ') });
        page = await open(pageUrl(content)); // on a slow machine the end may be over already
    }
    await until('the order is closed', async () =>
        (await query({ out_trade_no: content.out_trade_no })).tradeStatus === 'TRADE_CLOSED');
    const { body } = await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    assert.equal(body.trade_status, 'TRADE_CLOSED');
    const { body: sent } = await sandbox.lever('GET', `deliveries?out_trade_no=${content.out_trade_no}`);
    assert.deepEqual(sent.deliveries, []);
});

test('an answer that is not success is asked again: same notify_id, new time, new signature', async () => {
    const stubborn = await new Merchant((n) => (n === 1 ? 'fail' : n === 2 ? 'success\n' : 'success')).start();
    const content = order();
    await open(pageUrl(content, { notifyUrl: stubborn.url }));
    await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    const [first, second, third] = [await stubborn.received(1), await stubborn.received(2), await stubborn.received(3)];
    for (const note of [first, second, third]) assert.equal(sdk.checkNotifySignV2(note), true);
    assert.equal(second.notify_id, first.notify_id);
    assert.equal(third.notify_id, first.notify_id);
    assert.ok(second.notify_time > first.notify_time, `${first.notify_time}, ${second.notify_time}`);
    assert.notEqual(second.sign, first.sign);
    await until('the delivery is done', async () => {
        const { body } = await sandbox.lever('GET', `deliveries?out_trade_no=${content.out_trade_no}`);
        return body.deliveries[0].state === 'delivered' && body.deliveries[0].attempts === 3;
    });
    await stubborn.stop();
});

test('trades and what was not yet delivered survive kill -9', async () => {
    const late = await new Merchant(() => 'fail').start();
    const content = order();
    await open(pageUrl(content, { notifyUrl: late.url }));
    await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    const first = await late.received(1);
    await sandbox.stop('SIGKILL');
    late.answer = () => 'success';
    const seen = late.bodies.length;
    await sandbox.start();
    assert.equal((await query({ out_trade_no: content.out_trade_no })).tradeStatus, 'TRADE_SUCCESS');
    const again = await late.received(seen + 1);
    assert.equal(again.notify_id, first.notify_id);
    const { body } = await sandbox.lever('GET', 'money');
    assert.equal(body.paid.filter((trade) => trade.out_trade_no === content.out_trade_no).length, 1);
    await late.stop();
});

test('a wrong signature is told to the payer in GBK, and quoted to the merchant', async () => {
    const foreign = sandbox.sdk({ privateKey: keyPair().privateKey.replace(/-----[^-]+-----|\s/g, '') });
    const page = await open(pageUrl(order(), {}, foreign));
    assert.equal(page.status, 200);
    assert.equal(page.type, 'text/html;charset=GBK');
    const text = new TextDecoder('gbk').decode(page.html);
    assert.match(text, /调试错误，请回到请求来源地，重新发起请求。/);
    assert.match(text, /invalid-signature/);
    const answer = await foreign.exec('alipay.trade.query', { bizContent: { out_trade_no: 'A&B' } },
        { validateSign: true });
    assert.equal(answer.code, '40002');
    assert.equal(answer.subCode, 'isv.invalid-signature');
    assert.match(answer.subMsg, /&amp;biz_content=/);
});

test('an application that nobody knows is told so without a signature', async () => {
    const stranger = sandbox.sdk({ appId: '2021999999999999' });
    await assert.rejects(stranger.exec('alipay.trade.query', { bizContent: { out_trade_no: 'x' } },
        { validateSign: true }));
    const answer = await stranger.exec('alipay.trade.query', { bizContent: { out_trade_no: 'x' } });
    assert.equal(answer.subCode, 'isv.invalid-app-id');
});

test('wrong orders are refused before the payer sees a cashier', async () => {
    const first = order();
    await open(pageUrl(first));
    const wrong = {
        'a slash in the subject': order({ subject: 'a/b' }),
        'three decimals': order({ total_amount: '1.234' }),
        'no money': order({ total_amount: '0.00' }),
        'another product': order({ product_code: 'QUICK_WAP_WAY' }),
        'another amount for the same order': { ...first, total_amount: '21.00' },
        'an end in the past': order({ time_expire: '2020-01-01 00:00:00' }),
        'a wrong life': order({ timeout_express: '1.5h' }),
    };
    for (const [what, content] of Object.entries(wrong)) {
        const page = await open(pageUrl(content));
        assert.equal(page.type, 'text/html;charset=GBK', what);
    }
});

test('each parameter once: a name in query and body is refused', async () => {
    const url = pageUrl(order());
    const twice = await open(url, { method: 'POST', body: new URLSearchParams({ app_id: appId }) });
    assert.match(twice.html.toString('latin1'), /invalid-parameter/);
    const charset = await open(url, { method: 'POST', body: new URLSearchParams({ charset: 'utf-8' }) });
    assert.match(charset.html.toString(), /¥20\.00/); // the PHP library says the charset twice
});

test('notifications that a test asks for are what they are called', async () => {
    const content = order();
    await open(pageUrl(content));
    const send = async (variant, more = {}) =>
        (await sandbox.lever('POST', 'notify', { out_trade_no: content.out_trade_no, variant, ...more })).body;
    const check = (form) => sdk.checkNotifySignV2(Object.fromEntries(new URLSearchParams(form)));
    const duplicate = await send('duplicate', { times: 3 });
    assert.deepEqual(duplicate.answers.map((answer) => answer.body), ['success', 'success', 'success']);
    assert.equal(check(duplicate.form), true);
    assert.equal(check((await send('other_app')).form), true);
    assert.equal(check((await send('other_order')).form), true);
    assert.equal(check((await send('stale')).form), true);
    assert.equal(check((await send('tampered_amount')).form), false);
    assert.equal(check((await send('bad_signature')).form), false);
    assert.match((await send('duplicate_parameter')).form, /total_amount=20\.00.*total_amount=0\.01/);
    assert.doesNotMatch((await send('unsigned')).form, /&sign=/);
    const changed = await send('duplicate', { fields: { trade_status: 'TRADE_FINISHED' } });
    assert.match(changed.form, /trade_status=TRADE_FINISHED/);
    assert.equal((await sandbox.lever('POST', 'notify', { out_trade_no: 'nobody' })).status, 404);
    assert.equal((await query({ out_trade_no: content.out_trade_no })).tradeStatus, 'WAIT_BUYER_PAY');
});

test('a gateway that a test has spoilt answers what the library refuses', async () => {
    const content = order();
    await open(pageUrl(content));
    const ask = () => query({ out_trade_no: content.out_trade_no });
    for (const fault of ['wrong_signature', 'unsigned', 'not_json', 'http_502', 'signed_before_escaping']) {
        assert.equal((await sandbox.lever('POST', 'behaviour', { fault })).status, 200);
        if (fault === 'signed_before_escaping') await ask(); // no slash in it: nothing to notice
        else await assert.rejects(ask(), undefined, fault);
        await ask();
    }
    assert.equal((await sandbox.lever('POST', 'behaviour', { fault: 'nonsense' })).status, 400);
});

test('a stop does not wait for notifications that are to be sent again later', async () => {
    const content = order();
    await open(pageUrl(content, { notifyUrl: 'http://127.0.0.1:9/nobody' }));
    await sandbox.lever('POST', `trades/${content.out_trade_no}/pay`);
    await until('a delivery has failed', async () => {
        const { body } = await sandbox.lever('GET', `deliveries?out_trade_no=${content.out_trade_no}`);
        return body.deliveries[0].attempts >= 1;
    });
    assert.deepEqual(await sandbox.stop(), { code: 0, signal: null });
    await sandbox.start();
});
