// counters.test.mjs - what rules know of the past, and the limits of a day: counted once whatever comes twice, dies or
// comes at once, the same on every worker, and nothing for merchants whose rules do not ask.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { conform } from './conform.mjs';
import { Engine, program, root, saveFile, sleep, temporaryFolder, until } from './tael.mjs';

const scripts = temporaryFolder('counters');
const MERCHANTS = ['demo.test', 'other.test', 'days.test', 'money.test', 'kills.test', 'plain.test', 'composed.test'];
const engine = new Engine({
    scripts,
    env: { TAEL_WORKERS: '2', TAEL_LIMITS__KEY: 'false', TAEL_SCRIPTS__ISOLATION: process.env.ISOLATION ?? 'state' },
});
const keys = {};
// noon on the merchants' clocks, so that no day ends while a test runs
const hours = 12 - new Date().getUTCHours();
const zone = `${hours < 0 ? '-' : '+'}${String(Math.abs(hours)).padStart(2, '0')}:00`;
let orders = 0;

const save = (merchant, text, file = 'rules.lua') => {
    const place = path.join(scripts, 'merchants', merchant, file);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    saveFile(place, text);
};
/** The store's own rows, read beside the engine. */
const rows = (sql) => {
    const { stdout, stderr } = spawnSync('sqlite3', ['-json', `file:${path.join(engine.folder, 'data/tael.db')}?mode=ro`, sql], { encoding: 'utf8' });
    assert.equal(stderr, '');
    return stdout === '' ? [] : JSON.parse(stdout);
};
const create = (merchant, fields = {}, order = `N${++orders}`, headers = {}) =>
    engine.create(order, fields, { key: keys[merchant], headers });
/** A rule that tells what it sees to whoever asks with metadata.tell, which writes and counts nothing. */
const telling = (names, more = '') => `local rules = {}
function rules.risk(payment, history)
    if payment.metadata.tell then
        return "deny", table.concat({ ${names.map((name) => `history.${name}`).join(', ')} }, " ")
    end
    return "allow"
end
${more}
return rules
`;
const told = async (merchant, fields = {}) => {
    const answer = await create(merchant, { metadata: { tell: 'yes' }, ...fields });
    assert.equal(answer.body.code, 'denied_by_rule', answer.text);
    return answer.body.detail.split(' ').map(Number);
};
/** Both workers run what was saved: very many answers in a row say so. */
const settled = (merchant, wanted) => until('both workers run what was saved', async () => {
    const answers = await Promise.all(Array.from({ length: 64 }, () => create(merchant, { metadata: { tell: 'yes' } })));
    return answers.every((answer) => answer.body.code === 'denied_by_rule' && wanted(answer.body.detail.split(' ').map(Number)));
}, 30);

before(async () => {
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true, force: true });
    const account = (name) => `["${name}"] = { channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
        seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), `return { merchants = {
        ${MERCHANTS.map((slug) => `["${slug}"] = { name = "M", mode = "test", zone = "${zone}", accounts = { ${account(`a-${slug.replace('.', '-')}`)} } }`).join(',\n')}
    } }\n`, { mode: 0o600 });
    await engine.start();
    await conform(engine);
    keys['demo.test'] = engine.key;
    for (const slug of MERCHANTS.slice(1))
        keys[slug] = await engine.newKey(slug, ['payments:read', 'payments:write', 'refunds:write']);
});
after(async () => {
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

const PAYER = { client_ip: '203.0.113.9', user_agent: 'Browser 1', buyer_id: '2088000011112222' };
const SEEN = ['ip_attempts_1h', 'payer_attempts_1d', 'device_attempts_1h', 'merchant_attempts_1h', 'attempts_today',
    'payer_paid_1d', 'payer_amount_30d', 'payer_failed_1h', 'merchant_refunds_7d'];
const seen = (payer = PAYER) => told('demo.test', { payer });

test('each thing that happens is counted once, for whom it concerns', async () => {
    save('demo.test', telling(SEEN));
    save('other.test', telling(SEEN));
    await settled('demo.test', (counts) => counts.length === SEEN.length);
    assert.deepEqual(await seen(), [0, 0, 0, 0, 0, 0, 0, 0, 0]);
    const paid = await create('demo.test', { payer: PAYER, amount: 1500 }, 'FIRST', { 'idempotency-key': 'k1' });
    for (let i = 0; i < 3; i++) { // the same request again counts nothing
        const again = await create('demo.test', { payer: PAYER, amount: 1500 }, 'FIRST', { 'idempotency-key': 'k1' });
        assert.deepEqual([again.status, again.body.id], [201, paid.body.id], again.text);
    }
    assert.deepEqual(await seen(), [1, 1, 1, 1, 1, 0, 0, 0, 0]);
    // one address, another browser; another payer behind the same; an address of IPv6 counts by its network
    assert.deepEqual(await seen({ ...PAYER, user_agent: 'Browser 2' }), [1, 1, 0, 1, 1, 0, 0, 0, 0]);
    assert.deepEqual(await seen({ ...PAYER, buyer_id: '2088000011113333' }), [1, 0, 1, 1, 1, 0, 0, 0, 0]);
    assert.deepEqual(await seen({}), [0, 0, 0, 1, 1, 0, 0, 0, 0]);
    assert.deepEqual(await told('other.test', { payer: PAYER }), [0, 0, 0, 0, 0, 0, 0, 0, 0], 'another merchant');
    const alipay = new Alipay(engine);
    const notice = alipay.form(alipay.fields(paid.body));
    for (let i = 0; i < 3; i++) assert.equal(await alipay.send(paid.body, notice), 'success');
    assert.deepEqual(await seen(), [1, 1, 1, 1, 1, 1, 1500, 0, 0]);
    // an order that the channel declines
    const lever = await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ op: 'precreate', fault: 'refused', sub_code: 'ACQ.TOTAL_FEE_EXCEED', times: 1 }) });
    assert.ok(lever.ok);
    const failed = await create('demo.test', { payer: PAYER, product: 'qr' });
    assert.equal(failed.body.state, 'failed', failed.text);
    assert.deepEqual(await seen(), [2, 2, 2, 2, 2, 1, 1500, 1, 0]);
});

test('an attempt more and a refund are counted with the payment that they belong to', async () => {
    const payment = (await create('demo.test', { payer: PAYER, product: 'qr', parallel: 'refund_surplus' })).body;
    const more = await engine.post(`/v1/payments/${payment.id}/attempts`, { channel: 'alipay', product: 'page' });
    assert.equal(more.status, 201, more.text);
    assert.deepEqual((await seen()).slice(0, 5), [4, 4, 4, 4, 4]);
    const attempt = (await engine.get(`/v1/payments/${payment.id}/attempts`)).body.data.find(({ product }) => product === 'qr');
    await fetch(`${engine.sandbox}/sandbox/trades/${attempt.order_no}/pay`, { method: 'POST' });
    await until('it is paid', async () => (await engine.payment(payment.id)).state === 'paid');
    const refund = await engine.post(`/v1/payments/${payment.id}/refunds`, { merchant_refund_id: 'R1', amount: 100 });
    await until('it is refunded', async () => (await engine.get(`/v1/refunds/${refund.body.id}`)).body.state === 'succeeded');
    assert.deepEqual(await seen(), [4, 4, 4, 4, 4, 2, 2734, 1, 1]);
});

test('nothing that identifies a person is in the rows', () => {
    assert.ok(rows('SELECT 1 FROM counters').length > 0);
    const all = JSON.stringify(rows('SELECT hex(subject) AS subject FROM counters')) + JSON.stringify(rows('SELECT hex(counted) AS c FROM payments'));
    for (const value of Object.values(PAYER)) assert.ok(!all.includes(Buffer.from(value).toString('hex').toUpperCase()), value);
});

const DAY = 'if payment.metadata.tier == "gold" then return nil end';

test('the places of a day are taken one by one, however many come at once', async () => {
    save('days.test', telling(['attempts_today'], `function rules.limits(payment) ${DAY} return { max_day_count = 7 } end`));
    await settled('days.test', ([count]) => count === 0);
    const [gold, ...rest] = [await create('days.test', { metadata: { tier: 'gold' } }), ...await Promise.all(Array.from({ length: 60 }, () => create('days.test')))];
    assert.equal(gold.status, 201, 'it has no limit, and is one of the day\'s');
    const made = rest.filter(({ status }) => status === 201), refused = rest.filter(({ status }) => status !== 201);
    assert.deepEqual([made.length, refused.length], [6, 54]);
    for (const { status, body, text } of refused) {
        assert.deepEqual([status, body.code, body.limit, body.max], [402, 'limit_exceeded', 'max_day_count', 7], text);
        assert.match(body.detail, /^the merchant's rules allow max_day_count 7 on one day; the next begins at /);
        assert.equal(new Date(Date.parse(body.free_at) + hours * 3600e3).toISOString().slice(11), '00:00:00.000Z', 'midnight there');
    }
    assert.deepEqual(await told('days.test'), [7]);
    // what is there already is found, however full the day is; what ended unpaid gives its place back
    const again = await create('days.test', {}, made[0].body.merchant_order_id);
    assert.deepEqual([again.status, again.body.id], [201, made[0].body.id]);
    const closed = await engine.post(`/v1/payments/${made[0].body.id}/close`, {}, { key: keys['days.test'] });
    assert.ok([200, 202].includes(closed.status), closed.text);
});

test('what ends unpaid gives its place back, once, and takes it again when it is paid late', async () => {
    const key = keys['days.test'], options = { key };
    const list = async (state) => (await engine.get(`/v1/payments?state=${state}&limit=100`, options)).body.data;
    const [first] = await list('pending');
    await fetch(first.next_action.url);
    const held = await engine.post(`/v1/payments/${first.id}/close`, {}, options);
    await until('it is closed', async () => (await engine.get(`/v1/payments/${first.id}`, options)).body.state === 'closed');
    await engine.post(`/v1/payments/${first.id}/close`, {}, options);
    const free = 8 - 1 - (await list('pending')).length;
    assert.ok(free >= 1, held.text);
    const before = (await Promise.all(Array.from({ length: 20 }, () => create('days.test')))).filter(({ status }) => status === 201);
    assert.equal(before.length, free);
    const alipay = new Alipay(engine);
    const [{ trade_no: number }] = (await engine.get(`/v1/payments/${first.id}/attempts`, options)).body.data;
    assert.equal(await alipay.notify(first, number ? { trade_no: number } : {}), 'success');
    assert.equal((await engine.get(`/v1/payments/${first.id}`, options)).body.late, true);
    const [{ attempts }] = rows(`SELECT SUM(attempts) AS attempts FROM counters WHERE substr(subject, 1, 1) = x'6c' AND merchant =
        (SELECT id FROM merchants WHERE slug = 'days.test')`);
    assert.equal(attempts, 8, 'seven and the one that is paid now');
});

test('a day\'s amount holds to the last unit', async () => {
    save('money.test', telling(['attempts_today'], 'function rules.limits() return { max_day_amount = 10000, max_amount = 6000 } end'));
    await settled('money.test', ([count]) => count === 0);
    const answers = await Promise.all(Array.from({ length: 40 }, () => create('money.test', { amount: 1200 })));
    assert.equal(answers.filter(({ status }) => status === 201).length, 8);
    const over = answers.find(({ status }) => status === 402);
    assert.deepEqual([over.body.code, over.body.limit, over.body.max, over.body.errors[0].pointer], ['limit_exceeded', 'max_day_amount', 10000, '/amount'], over.text);
    assert.equal((await create('money.test', { amount: 401 })).status, 402);
    assert.equal((await create('money.test', { amount: 400 })).status, 201);
    assert.equal((await create('money.test', { amount: 1 })).body.limit, 'max_day_amount');
    assert.equal((await create('money.test', { amount: 6001 })).body.limit, 'max_amount');
});

test('a limit whose name was put together holds, and is told as any other', async () => {
    save('composed.test', `local name = "max_day_" .. "count"
${telling(['attempts_today'], 'function rules.limits() return { [name] = 2 } end')}`);
    await settled('composed.test', ([count]) => count === 0);
    for (const wanted of [201, 201, 402, 402]) {
        const { status, body, text } = await create('composed.test');
        assert.equal(status, wanted, text);
        if (wanted === 402) assert.deepEqual([body.code, body.limit], ['limit_exceeded', 'max_day_count'], text);
    }
});

test('kills lose no count and double none', async () => {
    save('kills.test', telling(['attempts_today', 'merchant_attempts_1d', 'merchant_paid_1d'], 'function rules.limits() return { max_day_count = 100000 } end'));
    await settled('kills.test', ([count]) => count === 0);
    const key = keys['kills.test'];
    for (let round = 0; round < 4; round++) {
        let running = true, notified = 0;
        const clients = Array.from({ length: 8 }, async () => {
            while (running) {
                const made = await create('kills.test').catch(() => null);
                if (made?.status !== 201) continue;
                if (await new Alipay(engine).notify(made.body).catch(() => null) === 'success') notified++;
            }
        });
        try {
            await until('some are paid', () => notified > 4);
            await sleep(100 * round);
            await engine.stop('SIGKILL');
        } finally {
            running = false;
        }
        await Promise.all(clients);
        await engine.start();
        keys['kills.test'] = key;
        const of = `merchant = (SELECT id FROM merchants WHERE slug = 'kills.test')`;
        const counts = await told('kills.test');
        const [{ made, paid }] = rows(`SELECT COUNT(*) AS made, SUM(state = 'paid') AS paid FROM payments WHERE ${of}`);
        assert.deepEqual(counts, [made, made, paid], `round ${round}`);
        const [{ places }] = rows(`SELECT SUM(attempts) AS places FROM counters WHERE substr(subject, 1, 1) = x'6c' AND ${of}`);
        assert.equal(places, made);
        assert.ok(made > 0 && paid > 0, `${made} made, ${paid} paid`);
    }
});

test('who asks for nothing has no row', async () => {
    save('plain.test', 'return { risk = function(payment) return payment.amount > 5000 and "deny" or "allow" end }\n');
    await until('the rule decides', async () => (await create('plain.test', { amount: 5001 })).status === 402);
    const { body } = await create('plain.test', { payer: PAYER });
    assert.equal(await new Alipay(engine).notify(body), 'success');
    const of = `merchant = (SELECT id FROM merchants WHERE slug = 'plain.test')`;
    assert.deepEqual(rows(`SELECT COUNT(*) AS n FROM counters WHERE ${of}`), [{ n: 0 }]);
    assert.deepEqual(rows(`SELECT COUNT(*) AS n, COUNT(counted) AS counted FROM payments WHERE ${of}`), [{ n: 1, counted: 0 }]);
});

test('a payer has a key that says nothing about the payer', async () => {
    save('plain.test', 'return { risk = function(payment) return "deny", tostring(payment.payer.key) end }\n');
    const key = async (payer) => (await create('plain.test', { payer })).body.detail;
    await until('the rule decides', async () => await key({ client_ip: '203.0.113.9' }) === 'nil');
    const one = await key(PAYER);
    assert.match(one, /^[0-9a-f]{32}$/);
    assert.equal(await key({ buyer_id: PAYER.buyer_id, client_ip: '198.51.100.1' }), one);
    assert.notEqual(await key({ openid: PAYER.buyer_id }), one);
    await engine.restart();
    assert.equal(await key(PAYER), one);
});

test('a counter that nobody knows is refused with file and line', () => {
    const folder = temporaryFolder('check');
    fs.cpSync(scripts, path.join(folder, 'scripts'), { recursive: true });
    fs.rmSync(path.join(folder, 'scripts/merchants'), { recursive: true });
    fs.mkdirSync(path.join(folder, 'scripts/merchants/demo.test'), { recursive: true });
    const file = path.join(folder, 'scripts/merchants/demo.test/rules.lua');
    const check = (text) => {
        saveFile(file, text);
        const { status, stdout, stderr } = spawnSync(program, ['check', path.dirname(file)], { cwd: engine.folder, encoding: 'utf8' });
        return { status, said: stdout + stderr };
    };
    const wrong = check('local rules = {}\nfunction rules.risk(payment, past)\n    if past.ip_atempts_1h > 3 then return "deny" end\nend\nreturn rules\n');
    assert.equal(wrong.status, 1, wrong.said);
    assert.match(wrong.said, /rules\.lua:3: history has no counter 'ip_atempts_1h': did you mean 'ip_attempts_1h'\?/);
    const right = check('local rules = {}\nfunction rules.risk(payment, past)\n    if past.ip_attempts_1h > 3 then return "deny" end\n    return "allow"\nend\nreturn rules\n');
    assert.equal(right.status, 0, right.said);
    fs.rmSync(folder, { recursive: true });
});

// ---- the clock goes ahead ----

test('windows end when their time is over', async () => {
    assert.deepEqual((await seen()).slice(0, 4), [4, 4, 4, 4]);
    await engine.advance(50 * 60);
    assert.deepEqual((await seen()).slice(0, 4), [4, 4, 4, 4], 'for 55 minutes an hour\'s window has all');
    await engine.advance(10 * 60);
    assert.deepEqual((await seen()).slice(0, 4), [0, 4, 0, 0], 'after an hour it has nothing');
    await engine.advance(24 * 3600);
    assert.deepEqual(await seen(), [0, 0, 0, 0, 0, 0, 2734, 0, 1]);
    await engine.advance(30 * 24 * 3600);
    assert.deepEqual(await seen(), [0, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test('the next day on the merchant\'s clock has places again', async () => {
    const fill = async () => (await Promise.all(Array.from({ length: 20 }, () => create('days.test', { expires_in: 100000 }))))
        .filter(({ status }) => status === 201).length;
    assert.equal(await fill(), 7);
    const full = await create('days.test');
    assert.equal(full.status, 402);
    const { body: { data: [newest] } } = await engine.get('/v1/payments?limit=1', { key: keys['days.test'] });
    await engine.advance(Math.floor((Date.parse(full.body.free_at) - Date.parse(newest.created_at)) / 1000) - 600);
    const late = await create('days.test');
    assert.deepEqual([late.status, late.body.free_at], [402, full.body.free_at], 'ten minutes before midnight');
    await engine.advance(601);
    assert.equal(await fill(), 7);
    assert.deepEqual(await told('days.test'), [7]);
});

test('the record holds: chains, seals and tables from the events', async () => {
    await engine.prove();
});
