// hostile.test.mjs - clients that mean harm: each ends as the limits say, what they held comes back, and an honest
// client is answered right all the while. The limits are short here; which times are right, tests/unit tells.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { Engine, sleep, until } from '../e2e/tael.mjs';
import { Client, connections, crowd, drip, Honest, memory } from './hostile.mjs';

const sanitized = /san-/.test(process.env.TAEL ?? ''); // its memory says nothing, and all is slower
const CROWD = sanitized ? 50 : 100;
const GET = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';

let engine, pid, honest, usual;
const deaf = []; // clients that never read: cut while the other tests run
before(async () => {
    engine = await new Engine({ env: {
        TAEL_WORKERS: '2', TAEL_LIMITS__KEY: 'false',
        TAEL_HTTP__LIMITS__HEAD_TIME: '700ms', TAEL_HTTP__LIMITS__BODY_TIME: '700ms', TAEL_HTTP__LIMITS__KEEPALIVE: '60s',
        TAEL_HTTP__LIMITS__BODIES: String(4 << 20), // of each worker
    } }).start();
    pid = engine.process.child.pid;
    await engine.create('warm');
    usual = memory(pid);
    honest = new Honest(engine);
});
after(async () => {
    await honest.stop();
    assert.doesNotMatch(engine.process.output, /"level":"error"/);
    await engine.prove();
    await engine.remove();
});

const api = () => engine.ports.api;
const client = (options) => new Client(api(), options);
const givenBack = () => until('the connections are given back', () => connections(api()) <= 8 + deaf.length);

test('heads that come byte by byte end with 408', async () => {
    const all = await crowd(CROWD, async () => {
        const one = client();
        await drip(one, `GET /healthz HTTP/1.1\r\nHost: ${'a'.repeat(400)}`, 40);
        return one;
    });
    for (const one of all) assert.deepEqual(one.statuses, [408], one.got);
    await givenBack();
});

test('bodies that come byte by byte, or not at all, end with 408', async () => {
    const head = 'POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n`;
    const all = await crowd(CROWD, async (i) => {
        const one = client();
        one.send(i % 3 === 0 ? chunked : `${head}Content-Length: 1000\r\n\r\n`);
        if (i % 3 < 2) await drip(one, i % 3 === 0 ? '1\r\nx\r\n'.repeat(100) : 'x'.repeat(400), 40);
        return one;
    });
    for (const one of all) assert.deepEqual(one.statuses, [408], one.got);
    await givenBack();
});

test('large bodies that do not end have a room of their own, which keeps nobody else out', async () => {
    const head = (path, length) => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
    const scripts = '/v1/scripts/merchants/demo.test/versions';
    const coming = crowd(60, async () => {
        const one = client().send(head(scripts, 3000000)).send('x'.repeat(500000));
        await one.ended;
        return one;
    });
    await sleep(300);
    const files = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [`lib/${name}.lua`, `-- ${'x'.repeat(200000)}\nreturn {}\n`]));
    const pushed = await engine.operator('POST', scripts, { files, message: 'large' });
    assert.equal(pushed.status, 201, pushed.text); // who runs the engine is kept out by nobody
    const all = await coming;
    const statuses = all.map((one) => one.statuses.join());
    assert.ok(statuses.every((status) => status === '408' || status === '503'), statuses.join(' '));
    // some 8 of either worker have room, until their time is over
    assert.ok(statuses.filter((status) => status === '503').length >= 20, statuses.join(' '));
    for (const path of ['/v1/payments', scripts.replace('demo', 'demo/x'), '/v1/scripts/merchants/demo.test/versions/x']) {
        const one = client().send(head(path, 3000000));
        await one.ended;
        assert.deepEqual(one.statuses, [413], path);
    }
    await givenBack();
});

test('heads and bodies without end are refused, and the client hears why though it goes on sending', async () => {
    const much = 'x'.repeat(2 << 20);
    const cases = [
        [`GET /${much}`, 414], [`GET / HTTP/1.1\r\nHost: a\r\nX: ${much}`, 431],
        [`GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(100000)}`, 431],
        [`POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n${much}`, 413],
        [`POST /v1/payments HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${'1000\r\n'}${'x'.repeat(4096)}\r\n`
            + `fff\r\n${'x'.repeat(4095)}\r\n`.repeat(200), 413],
        [`POST /notify/alipay/alipay-demo HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n${'x'.repeat(70000)}`, 413],
        [`POST /v1/payments HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;${much}`, 400],
        [much, 414], ['\r\n'.repeat(100000), 400], ['\0'.repeat(100000), 400],
    ];
    const all = await crowd(cases.length * 4, async (i) => client().send(cases[i % cases.length][0]));
    for (const [i, one] of all.entries())
        assert.deepEqual(one.statuses, [cases[i % cases.length][1]], `${cases[i % cases.length][0].slice(0, 60)}: ${one.got}`);
    await givenBack();
});

test('clients that never read hold a bounded amount', async () => {
    const from = memory(pid);
    const burst = 'GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(900);
    deaf.push(...Array.from({ length: CROWD }, () => client({ read: false }).send(burst)));
    await sleep(2000);
    const full = memory(pid);
    // each: what is queued for it, an answer and what it has sent beyond the requests read ahead
    if (!sanitized) assert.ok(full - from < CROWD * 1024, `${full - from} KiB for ${CROWD} clients`);
});

test('a flood of pipelined requests is answered in order, up to the requests of a connection', async () => {
    const burst = Array.from({ length: 1200 }, (_, i) => `GET /n${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join('');
    const all = await crowd(sanitized ? 4 : 10, async () => client().send(burst));
    for (const one of all) {
        assert.equal(one.statuses.length, 1000);
        const instances = [...one.got.matchAll(/"instance":"\/n(\d+)"/g)].map(([, n]) => Number(n));
        assert.deepEqual(instances, Array.from({ length: 1000 }, (_, i) => i));
    }
    await givenBack();
});

test('resets at every byte of a request, and before and within its answer, harm nobody', async () => {
    const body = (order) => JSON.stringify({ merchant_order_id: order, amount: 1234, currency: 'CNY', subject: 'coffee', channel: 'alipay' });
    const request = (order) => `POST /v1/payments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${engine.key}\r\n`
        + `Content-Type: application/json\r\nContent-Length: ${body(order).length}\r\n\r\n${body(order)}`;
    const length = request('R000').length;
    for (let cut = 0; cut <= length; cut += 25) {
        await Promise.all(Array.from({ length: Math.min(25, length - cut + 1) }, async (_, i) => {
            const one = client();
            await one.connected;
            one.send(request(`R${String(cut + i).padStart(3, '0')}`).slice(0, cut + i));
            await sleep(i % 3 * 4);
            await one.reset();
        }));
    }
    // whole requests whose answer nobody takes: whatever became of each, its repetition finds it
    await crowd(CROWD, async (i) => {
        const one = client();
        await one.connected;
        one.send(request(`W${i}`) + GET.repeat(i % 4));
        await sleep(i % 10);
        one.reset();
        return one;
    });
    for (let i = 0; i < CROWD; i += 10) {
        const first = await engine.create(`W${i}`, { product: undefined }), again = await engine.create(`W${i}`, { product: undefined });
        assert.deepEqual([first.status, again.status, again.body.id], [201, 201, first.body.id], first.text);
    }
    await givenBack();
});

test('ten thousand connections that ask nothing take little, and others are served beside them', async () => {
    const files = Number(/Max open files +(\d+)/.exec(fs.readFileSync('/proc/self/limits', 'utf8'))[1]);
    const count = sanitized ? 1000 : Math.min(10000, files >> 1);
    const from = memory(pid), all = [];
    for (let i = 0; i < count; i += 200) {
        const some = Array.from({ length: 200 }, () => client());
        await Promise.all(some.map((one) => one.connected));
        all.push(...some);
    }
    await until('all are taken', () => connections(api()) >= count * 0.9); // workers may have unequal shares
    const each = (memory(pid) - from) / count;
    if (!sanitized) assert.ok(each < 3, `${each} KiB each`);
    const last = all.slice(-200);
    for (const one of last) one.send(GET); // nor have they been forgotten
    await until('they are answered', () => last.every((one) => one.statuses[0] === 200));
    const served = honest.count;
    await until('the honest client is served', () => honest.count > served + 3);
    all.forEach((one, i) => (i % 2 ? one.reset() : one.socket.destroy()));
    await givenBack();
});

test('clients that never read are cut; what all of them held has come back', async () => {
    for (const one of deaf.splice(0)) await until('it is cut', () => { one.send('x'); return one.closed; });
    await givenBack();
    // states of Lua keep the small blocks that a crowd has needed, for the next one
    if (!sanitized) await until('memory falls back', () => memory(pid) < usual + 64 * 1024).catch(() =>
        assert.fail(`${usual} KiB before, ${memory(pid)} after`));
});
