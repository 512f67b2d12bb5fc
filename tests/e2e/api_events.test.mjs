// api_events.test.mjs - waiting for events: nothing missed, nothing twice, over two workers and many writers; clients that
// go away; an engine that stops.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { conform } from './conform.mjs';
import { Engine, sleep, until } from './tael.mjs';

let engine, alipay, orders = 0;
const order = () => `E${++orders}`;

before(async () => {
    engine = await new Engine({ env: { TAEL_WORKERS: '2', TAEL_LIMITS__KEY: 'false' } }).start();
    await conform(engine);
    alipay = new Alipay(engine);
});
after(() => engine.remove());

const created = async () => {
    const answer = await engine.create(order());
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
};
const target = (wait, cursor, more = '') =>
    `/v1/events?wait=${wait}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}${more}`;
const WAIT_MS = 30000; // the longest: what ends before was woken
const now = async () => (await engine.get(target(0))).body.next_cursor;
const timed = async (work) => {
    const start = performance.now();
    return { answer: await work(), ms: performance.now() - start };
};

/** Answers one after the other until `enough` says so. */
async function follow(cursor, enough, more) {
    const seen = [];
    while (!enough(seen)) {
        const { status, body, text } = await engine.get(target(5, cursor, more));
        assert.equal(status, 200, text);
        seen.push(...body.data);
        cursor = body.next_cursor;
    }
    return seen;
}

test('without news the answer is an empty page with a cursor, when the time is over', async () => {
    await created();
    const { answer, ms } = await timed(() => engine.get(target(1)));
    assert.deepEqual(answer.body.data, []);
    assert.ok(ms >= 950, `${ms} ms`);
    assert.equal(typeof answer.body.next_cursor, 'string');
});

test('news that are there are answered at once', async () => {
    const cursor = await now();
    const payment = await created();
    const { answer, ms } = await timed(() => engine.get(target(30, cursor)));
    assert.deepEqual(answer.body.data.map((event) => event.data.id), [payment.id]);
    assert.ok(ms < WAIT_MS / 2, `${ms} ms`);
});

test('news end the wait, whichever worker they come from', async () => {
    for (let i = 0; i < 6; i++) {
        const cursor = await now(); // the request may be slower on its way than the news
        const waiting = timed(() => engine.get(target(30, cursor)));
        await sleep(150);
        const payment = await created();
        const { answer, ms } = await waiting;
        assert.deepEqual(answer.body.data.map((event) => [event.type, event.data.id]), [['payment.created', payment.id]]);
        assert.ok(ms < WAIT_MS / 2, `${ms} ms`);
    }
});

test('after= goes on behind an event, and every answer leads on', async () => {
    const first = await created();
    const [event] = await engine.events(first.id);
    const second = await created();
    const page = (await engine.get(`/v1/events?after=${event.id}&wait=10`)).body;
    assert.deepEqual(page.data.map((found) => found.data.id), [second.id]);
    const waiting = engine.get(`/v1/events?after=${event.id}&wait=10&cursor=${encodeURIComponent(page.next_cursor)}`);
    const third = await created();
    assert.deepEqual((await waiting).body.data.map((found) => found.data.id), [third.id]);
});

test('a type or a payment that nothing happens to does not end the wait', async () => {
    const payment = await created();
    const other = await created();
    const cursor = await now();
    const place = async (more) => (await engine.get(target(0, null, more))).body.next_cursor;
    const paid = follow(await place('&type=payment.paid'), (seen) => seen.length > 0, '&type=payment.paid');
    const mine = engine.get(target(30, await place(`&payment=${payment.id}`), `&payment=${payment.id}`));
    await sleep(200);
    await alipay.notify(other);
    await sleep(400);
    await alipay.notify(payment);
    assert.deepEqual((await mine).body.data.map((event) => [event.type, event.data.id]), [['payment.paid', payment.id]]);
    assert.equal((await paid)[0].data.id, other.id);
    const both = (await engine.get(target(0, cursor))).body.data;
    assert.deepEqual(both.map((event) => event.data.id), [other.id, payment.id]);
});

test('nothing is missed and nothing comes twice: two workers, eight writers, six readers', async () => {
    const cursor = await now();
    const WRITERS = 8, EACH = 40;
    const written = Promise.all(Array.from({ length: WRITERS }, async () => {
        const ids = [];
        for (let i = 0; i < EACH; i++) ids.push((await created()).id);
        return ids;
    }));
    const readers = Promise.all(Array.from({ length: 6 }, (_, i) =>
        follow(cursor, (seen) => seen.length >= WRITERS * EACH, `&limit=${[1, 3, 7, 20, 50, 100][i]}`)));
    const ids = (await written).flat().sort();
    const [first, ...others] = await readers;
    assert.equal(new Set(first.map((event) => event.id)).size, WRITERS * EACH);
    assert.deepEqual(first.map((event) => event.data.id).sort(), ids);
    for (const seen of others)
        assert.deepEqual(seen.map((event) => event.id), first.map((event) => event.id), 'every reader sees the same order');
    const rest = (await engine.get(target(0, cursor, '&limit=100'))).body;
    assert.deepEqual(rest.data.map((event) => event.id), first.slice(0, 100).map((event) => event.id));
});

test('clients that go away free their places; where there is none the answer comes at once', async () => {
    const open = [];
    let answered = 0;
    for (let i = 0; i < 700; i++) {
        const abort = new AbortController();
        open.push(abort);
        fetch(engine.url + target(30), { headers: { authorization: `Bearer ${engine.key}` }, signal: abort.signal })
            .then((response) => response.text()).then(() => { answered++; }, () => {});
    }
    await until('more than 512 do not wait', async () => answered >= 700 - 512);
    await sleep(300);
    assert.ok(answered >= 700 - 512 && answered < 700, `${answered} of 700 were answered at once`);
    open.forEach((abort) => abort.abort());
    await until('places are free again', async () => (await timed(() => engine.get(target(1)))).ms > 900);
    const cursor = await now();
    const waiting = engine.get(target(30, cursor));
    await sleep(200);
    await created();
    assert.equal((await waiting).body.data.length, 1);
});

test('a foreign cursor, another query and a wait out of range are refused', async () => {
    const cursor = await now();
    for (const wrong of ['/v1/events?wait=31', '/v1/events?wait=-1', '/v1/events?wait=x', `/v1/events?cursor=${encodeURIComponent(cursor)}`,
        target(0, cursor, '&type=payment.paid')])
        assert.equal((await engine.get(wrong)).status, 400, wrong);
});

test('an engine that stops answers those who wait, and ends well', async () => {
    const other = await new Engine({ env: { TAEL_WORKERS: '2' } }).start();
    const waiting = Array.from({ length: 8 }, () => timed(() => other.get(target(30))));
    await sleep(500);
    await other.remove();
    for (const { answer, ms } of await Promise.all(waiting)) {
        assert.deepEqual([answer.status, answer.body.data], [200, []]);
        assert.ok(ms < WAIT_MS, `${ms} ms`);
    }
});
