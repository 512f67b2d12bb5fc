// disconnect.test.mjs - a client that goes away, after every number of bytes and at several moments after the
// last one, leaves a right state: no payment, or one whole payment that a repeated create finds.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { Engine, sleep } from './tael.mjs';

let engine;
before(async () => { engine = await new Engine().start(); });
after(() => engine.remove());

function raw(method, target, headers, body) {
    const lines = Object.entries({ host: 'localhost', 'content-length': Buffer.byteLength(body), ...headers })
        .map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines}\r\n${body}`);
}

/** Sends the first `count` bytes, waits, then resets the connection. */
function cut(bytes, count, waitMs) {
    return new Promise((resolve) => {
        const socket = net.connect(engine.ports.api, '127.0.0.1', () => {
            socket.write(bytes.subarray(0, count), () => setTimeout(() => {
                socket.resetAndDestroy();
                resolve();
            }, waitMs));
        });
        socket.on('error', () => resolve());
    });
}

const body = (name) => JSON.stringify({
    merchant_order_id: name, amount: 1234, currency: 'CNY', subject: 'coffee', channel: 'alipay', product: 'page',
});
const request = (name) => raw('POST', '/v1/payments',
    { authorization: `Bearer ${engine.key}`, 'content-type': 'application/json' }, body(name));

test('a create that is cut off anywhere leaves nothing or one whole payment', async () => {
    const length = request('D000').length;
    const points = [];
    for (let count = 1; count < length; count += 9) points.push([count, 0]);
    for (const wait of [0, 0, 0, 1, 1, 2, 3, 5, 8]) points.push([length, wait]);
    let whole = 0;
    for (const [i, [count, wait]] of points.entries())
        await cut(request(`D${String(i).padStart(3, '0')}`), count, wait);
    await sleep(300);
    for (const [i, [count]] of points.entries()) {
        const name = `D${String(i).padStart(3, '0')}`;
        const found = (await engine.get(`/v1/payments?merchant_order_id=${name}`)).body.data;
        assert.ok(found.length <= (count === length ? 1 : 0), `${name} after ${count} of ${length} bytes`);
        whole += found.length;
        const again = await engine.create(name);
        assert.equal(again.status, 201);
        if (found.length === 1) {
            assert.equal(again.body.id, found[0].id);
            assert.equal(again.headers.get('idempotency-replayed'), 'true');
            assert.equal((await engine.events(found[0].id)).length, 1);
        }
    }
    assert.ok(whole > 0, 'no cut came late enough to leave a payment');
});

test('a notification whose sender hangs up is applied once, when it comes again', async () => {
    const alipay = new Alipay(engine);
    const payment = (await engine.create('N1')).body;
    const form = alipay.form(alipay.fields(payment));
    const target = new URL(Alipay.page(payment).notify_url).pathname;
    const bytes = raw('POST', target, { 'content-type': 'application/x-www-form-urlencoded' }, form);
    for (let count = 1; count < bytes.length; count += 97) await cut(bytes, count, 0);
    assert.equal((await engine.payment(payment.id)).state, 'pending');
    for (const wait of [0, 0, 1, 2, 4]) await cut(bytes, bytes.length, wait);
    assert.equal(await alipay.send(payment, form), 'success');
    const paid = await engine.payment(payment.id);
    assert.equal(paid.state, 'paid');
    assert.equal(paid.version, 2);
    assert.equal((await engine.events(payment.id)).length, 2);
});
