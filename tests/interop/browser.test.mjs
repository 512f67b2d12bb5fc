// browser.test.mjs - a real browser in the payer's place at our sandbox: the code as a picture, the cashier behind
// it, Pay and Refuse, and the page that says what can be done.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Sandbox, root } from './sandbox.mjs';

const { chromium } = createRequire(path.join(root, 'build/node_modules/'))('playwright-core');

let sandbox, sdk, browser, page;
let orders = 0;
const troubles = [];

before(async () => {
    sandbox = await new Sandbox().start();
    sdk = sandbox.sdk();
    browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    page = await browser.newPage();
    page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
    page.on('pageerror', (problem) => troubles.push(problem.message));
});
after(async () => {
    await browser?.close();
    await sandbox.remove();
});

async function precreated(changed = {}) {
    const content = { out_trade_no: `B${Date.now()}${++orders}`, total_amount: '12.34', subject: '咖啡 <b>two<b>', ...changed };
    const answer = await sdk.exec('alipay.trade.precreate', { bizContent: content }, { validateSign: true });
    assert.equal(answer.code, '10000', JSON.stringify(answer));
    return { content, code: answer.qrCode };
}

const status = async ({ out_trade_no }) => {
    const answer = await sdk.exec('alipay.trade.query', { bizContent: { out_trade_no } }, { validateSign: true });
    return answer.tradeStatus ?? answer.subCode;
};

test('the code is a picture that a page can show, and showing it scans nothing', async () => {
    const { content, code } = await precreated();
    await page.goto(`${code}.svg`);
    const box = await page.locator('svg').boundingBox();
    assert.ok(box.width > 200 && box.width === box.height, JSON.stringify(box));
    await page.goto(`${sandbox.url}/healthz`); // a page without rules of its own
    const width = await page.evaluate((address) => new Promise((resolve) => {
        const image = new Image();
        image.onload = image.onerror = () => resolve(image.naturalWidth);
        image.src = address;
    }), code);
    assert.ok(width > 200, `${width}`);
    assert.equal(await status(content), 'ACQ.TRADE_NOT_EXIST');
});

test('the payer scans and clicks Pay', async () => {
    const { content, code } = await precreated();
    await page.goto(code);
    const shown = await page.innerText('body');
    assert.match(shown, /¥12\.34/);
    assert.match(shown, /咖啡 <b>two<b>/);
    assert.equal(await status(content), 'WAIT_BUYER_PAY');
    await page.getByRole('button', { name: /支付 Pay/ }).click();
    await page.getByText(/已支付 Paid/).waitFor();
    assert.equal(await status(content), 'TRADE_SUCCESS');
});

test('the payer scans, clicks Refuse, comes back and pays', async () => {
    const { content, code } = await precreated();
    await page.goto(code);
    await page.getByRole('button', { name: /拒绝 Refuse/ }).click();
    await page.getByText(/您拒绝了支付/).waitFor();
    assert.equal(await status(content), 'WAIT_BUYER_PAY');
    await page.getByRole('link', { name: /返回收银台/ }).click();
    await page.getByRole('button', { name: /支付 Pay/ }).click();
    await page.getByText(/已支付 Paid/).waitFor();
});

test('a payer with too little pays nothing', async () => {
    const { content, code } = await precreated({ total_amount: '12.65' });
    await page.goto(code);
    await page.getByRole('button', { name: /支付 Pay/ }).click();
    await page.getByText(/余额不足/).waitFor();
    assert.equal(await status(content), 'WAIT_BUYER_PAY');
});

test('the page of what can be done', async () => {
    await page.goto(`${sandbox.url}/sandbox`);
    const shown = await page.innerText('body');
    for (const part of ['Magic amounts', 'refund_amount ….62', 'lost_after', 'POST /sandbox/clock', 'bad_signature'])
        assert.ok(shown.includes(part), part);
});

test('nothing was blocked or wrong on any of these pages', () => {
    assert.deepEqual(troubles, []);
});
