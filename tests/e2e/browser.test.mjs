// browser.test.mjs - a real browser opens the page that the merchant's answer names, clicks Pay, and the payment is
// paid; another clicks Refuse, and it is not. What other pages may do to the sandbox: nothing.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, root, until } from './tael.mjs';

const { chromium } = createRequire(path.join(root, 'build/node_modules/'))('playwright-core');

let engine, browser;
before(async () => {
    engine = await new Engine().start();
    browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync',
            '--host-resolver-rules=MAP *.rebound.example 127.0.0.1'],
    });
});
after(async () => {
    await browser?.close();
    await engine.remove();
});

async function openPage(name, fields) {
    const payment = (await engine.create(name, fields)).body;
    const page = await browser.newPage();
    await page.goto(payment.next_action.url);
    return { payment, page };
}

test('the buyer clicks Pay and sees the payment paid', async () => {
    const { payment, page } = await openPage('B1', { subject: '咖啡 <b>"two"<b>', amount: 1234 });
    const shown = await page.innerText('body');
    assert.match(shown, /12\.34/);
    assert.match(shown, /咖啡 <b>"two"<b>/);
    await page.getByRole('button', { name: /Pay|支付|付款/ }).first().click();
    await until('the payment is paid', async () => (await engine.payment(payment.id)).state === 'paid');
    await until('the buyer comes back to a page that says so', async () => {
        await page.reload().catch(() => {});
        return page.url().startsWith(engine.url) && /paid|已支付/i.test(await page.innerText('body'));
    });
    await page.close();
});

test('on a narrow telephone the pages are as wide as it is', async () => {
    const page = await (await browser.newContext({ viewport: { width: 320, height: 600 }, isMobile: true })).newPage();
    const payment = (await engine.create('W'.repeat(64), { subject: 'W'.repeat(100) })).body;
    const { data: [{ order_no: number }] } = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body;
    for (const address of [payment.next_action.url, `${engine.url}/return/alipay/${number}`, `${engine.sandbox}/sandbox`]) {
        await page.goto(address);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320, address);
    }
    await page.context().close();
});

/** The least contrast of a page's texts with what is behind them, as WCAG 2 reckons it. */
const contrast = (page) => page.evaluate(() => {
    const rgb = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
    const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        const colour = element ? rgb(getComputedStyle(element).backgroundColor) : [255, 255, 255];
        return colour[3] === 0 ? behind(element.parentElement) : colour;
    };
    const texts = [...document.body.querySelectorAll('*')].filter((element) =>
        [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()));
    return Math.min(...texts.map((element) => {
        const [less, more] = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => a - b);
        return (more + 0.05) / (less + 0.05);
    }));
});

test('every text can be read by who sees little', async () => {
    const { page } = await openPage('B0');
    for (const address of [page.url(), `${engine.sandbox}/sandbox`]) {
        await page.goto(address);
        const least = await contrast(page);
        assert.ok(least >= 4.5, `${address}: ${least}`);
    }
    assert.equal(await page.getAttribute('html', 'lang'), 'en', 'the help is in English');
    await page.close();
});

test('the buyer clicks Refuse and nothing is paid', async () => {
    const { payment, page } = await openPage('B2');
    await page.getByRole('button', { name: /Refuse|拒绝|取消/ }).first().click();
    await page.waitForLoadState();
    assert.equal((await engine.payment(payment.id)).state, 'pending');
    await page.close();
});

test('who refuses what he has paid in another tab is told that it is paid', async () => {
    const { payment, page } = await openPage('B3');
    const other = await browser.newPage();
    await other.goto(page.url());
    await page.getByRole('button', { name: /Pay/ }).click();
    await until('the payment is paid', async () => (await engine.payment(payment.id)).state === 'paid');
    await other.getByRole('button', { name: /Refuse/ }).click();
    await other.waitForLoadState();
    const shown = await other.innerText('body');
    assert.match(shown, /已支付 Paid/);
    assert.doesNotMatch(shown, /refused|can still be paid/);
    await page.close();
    await other.close();
});

test('an answer of the gateway repeats markup, and none of it runs', async () => {
    const page = await browser.newPage();
    const name = encodeURIComponent('<img src=x onerror=document.title=7>');
    const answer = await page.goto(`${engine.sandbox}/gateway.do?${name}=1&${name}=2`);
    assert.match(await answer.text(), /<img src=x onerror/, 'as Alipay does');
    await page.waitForLoadState('networkidle');
    assert.equal(await page.title(), '');
    assert.equal(await page.evaluate(() => self.origin), 'null', 'it is no page of the sandbox');
    await page.close();
});

test('a foreign name that leads to this machine reads and pulls no lever', async () => {
    const order = (await engine.create('B4')).body;
    const page = await browser.newPage();
    await page.goto(order.next_action.url);
    const foreign = `http://x.rebound.example:${engine.ports.sandbox}`;
    const read = await page.goto(`${foreign}/sandbox/trades`);
    assert.equal(read.status(), 403);
    assert.match(await read.text(), /x\.rebound\.example/);
    const pulled = await page.evaluate(async () => (await fetch('/sandbox/behaviour',
        { method: 'POST', body: '{"notify":true}' })).status);
    assert.equal(pulled, 403);
    for (const name of ['localhost', 'x.localhost', '127.0.0.1']) {
        const own = await page.goto(`http://${name}:${engine.ports.sandbox}/sandbox/trades`);
        assert.equal(own.status(), 200, name);
    }
    await page.close();
});
