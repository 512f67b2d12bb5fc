// limits.test.mjs - how often a key may ask and an address may notify: counted for all workers, told in headers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { conform } from './conform.mjs';
import { Engine, sleep, until } from './tael.mjs';

let engine;
before(async () => {
    engine = await new Engine({ env: {
        TAEL_WORKERS: '2', TAEL_LIMITS__KEY: '20/h', TAEL_LIMITS__NOTIFY_ADDRESS: '3/s',
        TAEL_HTTP__TRUSTED_PROXIES: '127.0.0.0/8',
    } }).start();
    await conform(engine);
});
after(() => engine.remove());

const left = (answer) => Number(/^"key";r=(\d+);t=(\d+)$/.exec(answer.headers.get('ratelimit'))[1]);

test('a key may ask so often, whichever worker answers, and is told what is left', async () => {
    const answers = [];
    for (let i = 0; i < 24; i++) answers.push(await engine.get('/v1/payments?limit=1'));
    for (const answer of answers) assert.equal(answer.headers.get('ratelimit-policy'), '"key";q=20;w=3600');
    const good = answers.filter((answer) => answer.status === 200);
    const refused = answers.filter((answer) => answer.status !== 200);
    assert.equal(good.length, 20);
    assert.deepEqual(good.map(left), Array.from({ length: 20 }, (_, i) => 19 - i));
    for (const answer of refused) {
        assert.deepEqual([answer.status, answer.body.code, answer.body.retriable], [429, 'rate_limited', true]);
        assert.equal(left(answer), 0);
        const wait = Number(answer.headers.get('retry-after'));
        assert.ok(wait >= 120 && wait <= 180, `${wait} s`); // one comes back every three minutes
    }
});

test('a refused request did nothing, and the next one may come when it was said', async () => {
    const other = await new Engine({ env: { TAEL_LIMITS__KEY: '1/s' } }).start();
    await conform(other);
    let order = 0;
    const refused = await until('the limit is reached', async () => {
        const answer = await other.create(`L${++order}`);
        return answer.status === 429 ? answer : null;
    });
    await sleep(Number(refused.headers.get('retry-after')) * 1000 + 100);
    const answer = await other.get(`/v1/payments?merchant_order_id=L${order}`);
    assert.deepEqual([answer.status, answer.body.data], [200, []]);
    assert.equal(answer.headers.get('ratelimit-policy'), '"key";q=1;w=1');
    await other.remove();
});

test('without a key there is no limit to speak of', async () => {
    const answer = await engine.get('/v1/payments', { key: null });
    assert.equal(answer.status, 401);
    assert.equal(answer.headers.get('ratelimit'), null);
    assert.equal((await engine.get('/healthz', { key: null })).headers.get('ratelimit-policy'), null);
});

const notify = (address) => engine.request('POST', '/notify/alipay/alipay-demo', {
    key: null, body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded', ...(address ? { 'x-forwarded-for': address } : {}) },
});

test('an address may notify so often; others are not held up; this machine always may', async () => {
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push((await notify('203.0.113.7')).status);
    assert.deepEqual(statuses.slice(0, 3), [200, 200, 200]);
    assert.ok(statuses.slice(3).includes(429), `${statuses}`);
    assert.equal((await notify('203.0.113.8')).status, 200);
    const host = [];
    for (let i = 0; i < 6; i++) host.push(await notify(`2001:db8::${i + 1}`));
    const refused = host.find((answer) => answer.status === 429);
    assert.ok(refused, 'addresses of one IPv6 network are one sender');
    assert.equal(refused.headers.get('retry-after'), '1');
    for (let i = 0; i < 8; i++) assert.equal((await notify()).status, 200);
});
