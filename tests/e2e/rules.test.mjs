// rules.test.mjs - a merchant's own rules decide about its payments, are changed while money moves, and whatever is
// wrong in them harms nobody: each has a declared default, and the generation that ran goes on.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { Engine, program, root, saveFile, sleep, temporaryFolder, until } from './tael.mjs';

const isolation = process.env.ISOLATION ?? 'state';
const scripts = temporaryFolder('rules');
const ACCOUNT = `{ channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
const engine = new Engine({
    scripts,
    env: { TAEL_LIMITS__KEY: 'false', TAEL_WORKERS: '2', TAEL_PAYMENTS__POLL: '500ms,1s,2s,5s', TAEL_SCRIPTS__ISOLATION: isolation },
});
const home = path.join(scripts, 'merchants/demo.test');
const LOOK_MS = 100; // a file that was saved longer ago than this is looked at by whoever is asked
let orders = 0;

before(async () => {
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true, force: true });
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), `return {
        merchants = {
            ["demo.test"] = { name = "Demo", mode = "test", accounts = { ["alipay-demo"] = ${ACCOUNT} } },
            ["other.test"] = { name = "Other", mode = "test", accounts = { ["alipay-other"] = ${ACCOUNT} } },
            ["two.test"] = { name = "Two", mode = "test", accounts = { ["alipay-one"] = ${ACCOUNT},
                ["alipay-two"] = ${ACCOUNT} } },
        },
    }\n`, { mode: 0o600 });
    await engine.start();
});
after(async () => {
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

const save = (text, file = 'rules.lua', folder = home) => {
    const place = path.join(folder, file);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    saveFile(place, text);
};
const risk = (body) => `local rules = {}\nfunction rules.risk(payment)\n${body}\nend\nreturn rules\n`;
const create = (fields, options) => engine.create(`R${++orders}`, fields, options);
const logged = (event) => engine.logged(event);
const alarms = (kind) => logged('alarm').filter((line) => line.kind === kind);
/** Creates until both workers have what was saved: a worker takes connections by the handful, so very many agree, twice. */
const settled = async (wanted, fields) => {
    let agreed = 0;
    await until('both workers run what was saved', async () => {
        const answers = await Promise.all(Array.from({ length: 64 }, () => create(fields)));
        agreed = answers.every(wanted) ? agreed + 1 : 0;
        return agreed === 2;
    }, 20);
};

const newKey = (merchant, scopes) => engine.newKey(merchant, scopes);

test('without scripts a payment goes its way', async () => {
    const answer = await create();
    assert.equal(answer.status, 201, answer.text);
    assert.equal(answer.body.state, 'pending');
});

test('what the rule denies is not written', async () => {
    save(risk('if payment.amount > 5000 then return "deny", "too large for us" end\nreturn "allow"'));
    await sleep(LOOK_MS);
    const denied = await engine.create('DENIED', { amount: 5001 });
    assert.deepEqual([denied.status, denied.body.code, denied.body.detail], [402, 'denied_by_rule', 'too large for us'], denied.text);
    assert.equal((await engine.get('/v1/payments?merchant_order_id=DENIED')).body.data.length, 0);
    const allowed = await engine.create('DENIED', { amount: 5000 });
    assert.equal(allowed.status, 201, allowed.text);
    // the rule denies it now: the same request still finds its payment
    save(risk('return "deny"'));
    await sleep(LOOK_MS);
    const again = await engine.create('DENIED', { amount: 5000 });
    assert.deepEqual([again.status, again.body.id], [201, allowed.body.id], again.text);
    assert.equal((await create()).status, 402);
});

test('what the rule sends to review waits for a person, and no channel hears of it', async () => {
    save(risk('return "review", "new payer"'));
    await sleep(LOOK_MS);
    const held = await engine.create('HELD');
    assert.equal(held.status, 201, held.text);
    assert.deepEqual([held.body.state, held.body.reason, held.body.attempt, held.body.next_action],
        ['review', 'risk', null, null]);
    const again = await engine.create('HELD');
    assert.deepEqual([again.status, again.body.id, again.headers.get('idempotency-replayed')],
        [201, held.body.id, 'true']);
    assert.deepEqual((await engine.get(`/v1/payments/${held.body.id}/attempts`)).body.data, []);
    assert.deepEqual((await engine.events(held.body.id)).map((event) => [event.type, event.data.state]),
        [['payment.created', 'review']]);
    // whoever is to decide sees why
    assert.deepEqual([held.body.risk.by, held.body.risk.risk, held.body.risk.reason], ['rule', 'review', 'new payer'], held.text);
    const look = (...words) => spawnSync(program, [...words, '--merchant', 'demo.test'], { cwd: engine.folder, encoding: 'utf8' }).stdout;
    assert.match(look('payments', 'show', 'HELD'), /^ {2}rule +review: new payer$/m);
    assert.match(look('explain', 'HELD'), / rule +→ review +new payer$/m);
    const key = await newKey('demo.test', ['payments:read', 'admin']);
    const decided = await engine.post(`/v1/payments/${held.body.id}/review`, { decision: 'closed', note: 'not known to us' }, { key });
    assert.equal(decided.status, 200, decided.text);
    assert.deepEqual([decided.body.state, decided.body.reason], ['closed', 'manual']);
    const paid = await engine.create('HELD2');
    const refused = await engine.post(`/v1/payments/${paid.body.id}/review`, { decision: 'paid', note: 'no' }, { key });
    assert.deepEqual([refused.status, refused.body.code], [409, 'state_conflict'], refused.text);
});

test('what a person lets go is paid the way that was chosen', async () => {
    const key = await newKey('demo.test', ['payments:read', 'admin']);
    const held = await engine.create('LET-GO', { product: 'qr', amount: 2500 });
    assert.deepEqual([held.body.state, held.body.reason], ['review', 'risk'], held.text);
    const decide = (decision) => engine.post(`/v1/payments/${held.body.id}/review`, { decision, note: 'a known payer' }, { key });
    const gone = await decide('pending');
    assert.equal(gone.status, 200, gone.text);
    assert.deepEqual([gone.body.state, gone.body.reason, gone.body.product, gone.body.next_action.type],
        ['pending', null, 'qr', 'qr_code']);
    assert.equal((await decide('pending')).body.code, 'state_conflict');
    const [{ order_no: number }] = (await engine.get(`/v1/payments/${held.body.id}/attempts`)).body.data;
    await fetch(`${engine.sandbox}/sandbox/trades/${number}/pay`, { method: 'POST' });
    await until('it is paid', async () => (await engine.payment(held.body.id)).state === 'paid');
    assert.deepEqual((await engine.events(held.body.id)).map((event) => event.type).slice(-2), ['payment.pending', 'payment.created']);
    const story = await engine.get(`/v1/payments/${held.body.id}/timeline`);
    assert.match(story.text, /a known payer/);
    // what a channel's statement has put before a person is not let go
    const again = await engine.create('LET-GO', { product: 'qr', amount: 2500 });
    assert.deepEqual([again.body.id, again.body.state], [held.body.id, 'paid']);
});

test('the price that the rule asks is kept with the payment, and changes no amount', async () => {
    save('return { price = function(payment) return { fee = 10 + payment.amount * 6 // 1000 } end }\n');
    await sleep(LOOK_MS);
    const priced = await engine.create('PRICED', { amount: 10000 });
    assert.deepEqual([priced.status, priced.body.fee, priced.body.amount, priced.body.refundable_amount], [201, 70, 10000, 0], priced.text);
    // it is what it was, whatever the rule says by now
    save('return { price = function(payment) return { fee = 0.5 } end }\n');
    await sleep(LOOK_MS);
    assert.equal((await engine.payment(priced.body.id)).fee, 70);
    const wrong = await create();
    assert.deepEqual([wrong.status, wrong.body.fee], [201, null], wrong.text);
    await until('a person is told', () => alarms('rule_failed').some((line) => line.rule === 'price' && /fee is an integer/.test(line.detail)));
});

test('a rule sees the payment as it was asked for, as a copy', async () => {
    save(`local prices = require "lib.prices"
local rules = {}
function rules.limits(payment) payment.amount = 1 payment.metadata.tier = "gold" return { max_amount = prices.max } end
function rules.risk(p)
  return "deny", table.concat({ p.amount, p.currency, p.subject, p.channel, p.product, p.metadata.tier, p.payer.ip,
    p.capture, p.id:sub(1, 4), p.local_time.wday, math.type(p.now) }, " ")
end
return rules\n`);
    save('return { max = 9000 }\n', 'lib/prices.lua');
    await sleep(LOOK_MS);
    const answer = await create({ amount: 8000, metadata: { tier: 'silver' }, payer: { client_ip: '203.0.113.9' } });
    const wday = new Date(Date.now() + 8 * 3600000).getUTCDay() + 1;
    assert.equal(answer.body.detail, `8000 CNY coffee alipay page silver 203.0.113.9 automatic pay_ ${wday} integer`);
    const large = await create({ amount: 9001 });
    assert.deepEqual([large.status, large.body.code], [402, 'limit_exceeded'], large.text);
    assert.deepEqual(large.body.errors?.[0]?.pointer, '/amount', large.text);
});

test('what is saved decides soon, on every worker, and each payment wholly by one generation', async () => {
    save('return { risk = function() return "deny", "0 0" end }\n'); // the rule before gave no reason
    await settled((answer) => answer.body.detail === '0 0');
    for (let version = 1; version <= 20; version++) {
        save(`local text = require "lib.text"\nreturn { risk = function() return "deny", "${version} " .. text end }\n`);
        save(`return "${version}"\n`, 'lib/text.lua');
        await settled((answer) => {
            const [one, other] = answer.body.detail.split(' ');
            assert.equal(answer.status, 402, answer.text);
            return one === String(version) && other === String(version);
        });
    }
});

test('the first payments wait for the rules, wherever they are being loaded', async () => {
    save(`local n = 0 for i = 1, 200000 do n = n + i end\n${risk('return "deny", "loaded"')}`);
    for (let i = 0; i < 3; i++) {
        await engine.restart();
        const answers = await Promise.all(Array.from({ length: 32 }, () => create()));
        assert.deepEqual([...new Set(answers.map((answer) => `${answer.status} ${answer.body.detail}`))], ['402 loaded']);
    }
});

test('what is wrong leaves what runs, and says where', async () => {
    save(risk('return "deny", "the good one"'));
    await settled((answer) => answer.body.detail === 'the good one');
    const wrong = [
        ['local rules = {}\nfunction rules.risk(\nreturn rules', /merchants\/demo\.test\/rules\.lua:3: .*expected/],
        ['return { limits = function(payment)\n    retrun { max_amount = 5000 }\nend }',
            /rules\.lua:2: unknown global 'retrun': did you mean 'return'\?/],
        ['local x = nothing.at.all', /rules\.lua:1: unknown global 'nothing'/],
        ['total = 1\nreturn {}', /rules\.lua:1: 'total' is no local, and globals cannot be written: say local total/],
        ['return { rsik = function() end }', /rules\.lua: there is no rule 'rsik': did you mean 'risk'\?/],
        ['return { risk = "allow" }', /rules\.lua: rule 'risk' is a string/],
        ['return 42', /rules\.lua must return a table of functions/],
        ['return require "lib.nothing"', /rules\.lua:1: module 'lib\.nothing' is not here/],
        ['return require "rules"', /rules\.lua:1: 'rules\.lua' requires itself/],
        ['while true do end', /rules\.lua:1: does not end/],
        ['\x1bLua', /demo\.test\/rules\.lua:1: compiled code/],
        [`local t = {} for i = 1, 1e9 do t[i] = { i } end`, /rules\.lua:1: /],
    ];
    for (const [text, told] of wrong) {
        const before = logged('scripts.refused').length;
        save(text);
        await until(`refused: ${text}`, async () => {
            const answer = await create();
            assert.deepEqual([answer.status, answer.body.detail], [402, 'the good one'], answer.text);
            return logged('scripts.refused').length > before;
        }, 10);
        const line = logged('scripts.refused').at(-1);
        assert.match(line.error, told);
        assert.deepEqual([line.owner, /^[0-9a-f]{16}$/.test(line.runs)], ['merchants/demo.test', true]);
    }
    const ready = await (await fetch(`${engine.operations}/readyz`)).json();
    assert.match(JSON.stringify(ready), /demo\.test/);
});

test('what rules say in bytes that are no text harms nobody, and readyz least of all', async () => {
    save('return { risk = function() return "deny", "\\xff" end }\n');
    await sleep(LOOK_MS);
    const answer = await create();
    assert.deepEqual([answer.status, answer.body.state], [201, 'review'], answer.text); // the rule has failed
    save('error("\\xff broken")\n');
    await until('it is refused', async () => {
        await create();
        return logged('scripts.refused').some((line) => line.error.includes('? broken'));
    }, 10);
    for (const url of [engine.url, engine.operations]) {
        const ready = await fetch(`${url}/readyz`);
        const detail = (await ready.json()).checks.find((check) => check.name === 'scripts').detail;
        assert.deepEqual([ready.status, /broken/.test(detail)], [200, url === engine.operations], detail);
    }
    saveFile(path.join(home, 'rules.lua'), Buffer.from([0x2d, 0x2d, 0xff, 0x0a]));
    await until('a file that is no text is refused', async () => {
        await create();
        return logged('scripts.refused').some((line) => /rules\.lua: a file is text in UTF-8/.test(line.error));
    }, 10);
});

test('whatever a worker has missed, what is wrong leaves the same scripts running on all', async () => {
    const fee = (n) => `return { price = function() return { fee = ${n} } end }\n`;
    for (let round = 0; round < 6; round++) {
        for (let n = 1; n <= 4; n++) {
            save(fee(10 * round + n));
            await sleep(LOOK_MS);
            await create(); // one worker has it, the other one perhaps not
        }
        save('return {');
        await sleep(LOOK_MS);
        await until('both workers have the last that was right', async () => {
            const fees = await Promise.all(Array.from({ length: 64 }, async () => (await create()).body.fee));
            return fees.every((one) => one === 10 * round + 4);
        }, 10);
    }
});

test('one merchant\'s broken scripts are its own', async () => {
    save('nonsense');
    const key = await newKey('other.test');
    const answer = await engine.create('OTHER', { channel: 'alipay' }, { key });
    assert.equal(answer.status, 201, answer.text);
    assert.equal(answer.body.state, 'pending');
});

test('a rule that fails has its default, and a person is told', async () => {
    const failing = [
        ['error("out of luck")', 'raised', /rules\.lua:3: out of luck/],
        ['return payment.nothing.at.all', 'raised', /rules\.lua:3: attempt to index a nil value \(field 'nothing'\)/],
        ['return "maybe"', 'shape', /rules\.lua:2: risk: the first result is "allow", "review" or "deny", not "maybe"$/],
        ['return "reveiw"', 'shape', /rules\.lua:2: risk: .*, not "reveiw": did you mean "review"\?$/],
        ['local _ = payment', 'shape', /rules\.lua:2: risk: .*, not nil \(is a return missing\?\)$/],
        ['return "deny", ("x"):rep(201)', 'shape', /a text of at most 200 bytes/],
        ['return function() end', 'shape', /risk: result 1 is a function/],
    ];
    for (const [body, kind, told] of failing) {
        save(risk(body));
        await settled((answer) => answer.body.state === 'review' && answer.body.reason === 'risk');
        await until(`a person is told that ${body} failed`, () => alarms('rule_failed').some((line) => line.rule === 'risk'
            && line.merchant === 'demo.test' && line.failure === kind && told.test(line.detail)), 10);
    }
});

test('a rule that never ends harms nobody, and is not asked for a while', async () => {
    save(risk('while true do end'));
    const key = await newKey('other.test');
    let neighbours = 0;
    for (let i = 0; i < 20; i++) {
        const [held, other] = await Promise.all([create(), engine.create(`N${i}`, {}, { key })]);
        assert.ok([201, 402].includes(held.status), held.text);
        assert.deepEqual([other.status, other.body.state], [201, 'pending'], other.text);
        neighbours++;
    }
    assert.equal(neighbours, 20);
    await until('the scripts are suspended', async () => (await create()).status === 201 && alarms('scripts_suspended').length > 0);
    assert.match(alarms('scripts_suspended')[0].detail, /5 calls in a minute/);
    save(risk('return "allow"'));
    await settled((answer) => answer.status === 201 && answer.body.state === 'pending');
});

test('the rule chooses the way when the request does not', async () => {
    const two = path.join(scripts, 'merchants/two.test');
    const key = await newKey('two.test');
    const order = (name, fields) => engine.create(name, { channel: undefined, ...fields }, { key });
    assert.equal((await order('WAY1')).body.code, 'missing_field');
    save(`return { route = function(payment, channels)
  if payment.amount > 5000 then return { { account = "alipay-two" } }, "large" end
  return { "unionpay", { account = channels[1].account, product = "qr" } }
end }\n`, 'rules.lua', two);
    await sleep(LOOK_MS);
    const small = await order('WAY2', { product: undefined }), large = await order('WAY3', { amount: 6000 });
    assert.deepEqual([small.body.account, small.body.product], ['alipay-one', 'qr'], small.text);
    assert.deepEqual([large.body.account, large.body.product], ['alipay-two', 'page'], large.text);
    save('return { route = function() return { "alipai", { account = "alipay-tow" } } end }', 'rules.lua', two);
    await sleep(LOOK_MS);
    assert.equal((await order('WAY4')).body.code, 'missing_field');
    await until('a person is told', () => alarms('rule_failed').some((line) => line.rule === 'route'
        && line.failure === 'no_such_way' && /^merchants\/two\.test\/rules\.lua: route: no way of the merchant's is \{channel = 'alipai' \(did you mean 'alipay'\?\)\}, \{account = 'alipay-tow' \(did you mean 'alipay-two'\?\)\}; there are alipay\/alipay-one \([a-z ]+\), alipay\/alipay-two \([a-z ]+\)$/
            .test(line.detail)), 10);
    const named = await order('WAY5', { amount: 6000, account: 'alipay-one' });
    assert.equal(named.body.account, 'alipay-one');
    const [attempt] = (await engine.get(`/v1/payments/${large.body.id}/attempts`, { key })).body.data;
    assert.deepEqual([attempt.decision.by, attempt.decision.reason, attempt.decision.script], ['rule', 'large', 'rules.lua']);
    assert.match(attempt.decision.generation, /^[0-9a-f]{16}$/);
});

test('a merchant whose rules take all they may gets its share of the workers, and the others theirs', async () => {
    const key = await newKey('other.test');
    const others = path.join(scripts, 'merchants/other.test');
    save('return { risk = function() return "deny", "of other" end }', 'rules.lua', others);
    save(risk(`if payment.amount == 1 then return "deny", "cheap" end
local n = 0 for i = 1, 35000 do n = n + i end return "deny", "of demo"`));
    await settled((answer) => answer.body.detail === 'cheap', { amount: 1 });
    const denied = [], held = [];
    await until('its rules are left out', async () => {
        const answers = await Promise.all(Array.from({ length: 64 }, (_, i) => i % 4 === 0
            ? engine.create(`S${++orders}`, {}, { key }).then((answer) => ({ answer, other: true }))
            : create().then((answer) => ({ answer }))));
        for (const { answer, other } of answers) {
            if (other) assert.deepEqual([answer.status, answer.body.detail], [402, 'of other'], answer.text);
            else if (answer.status === 402) denied.push(answer.body.detail);
            else held.push([answer.status, answer.body.state, answer.body.reason]);
        }
        return held.length > 20;
    }, 60);
    assert.ok(denied.includes('of demo'), `denied: ${denied.length}`);
    for (const one of held) assert.deepEqual(one, [201, 'review', 'risk']);
    await until('a person is told', () => alarms('scripts_over_share').length > 0, 10);
    const told = alarms('scripts_over_share');
    assert.ok(told.length <= 2 && told.every((line) => line.merchant === 'demo.test'), JSON.stringify(told));
    const metrics = await engine.metrics();
    const omitted = Number(metrics.match(/^tael_scripts_over_share_total\{kind="rules"\} (\d+)$/m)?.[1]);
    assert.ok(omitted >= held.length, `omitted: ${omitted}, held: ${held.length}\n${metrics}`);
    save(risk('return "allow"'));
    await settled((answer) => answer.status === 201 && answer.body.state === 'pending');
    fs.rmSync(others, { recursive: true });
});

test('the rule says what becomes of money that comes late', async () => {
    save(`return { on_late_paid = function(payment)
  if payment.state ~= "closed" or payment.amount ~= 1234 or payment.subject ~= "coffee" then error(payment.state) end
  return payment.metadata.keep == "yes" and "accept" or "refund"
end }\n`);
    await settled((answer) => answer.status === 201 && answer.body.state === 'pending');
    const alipay = new Alipay(engine);
    const payments = [await create({ expires_in: 60, metadata: { keep: 'yes' } }), await create({ expires_in: 60 })];
    for (const { body } of payments) await fetch(body.next_action.url); // the payer opens the order
    await engine.advance(61);
    for (const { body } of payments) {
        await until('it is closed', async () => (await engine.payment(body.id)).state === 'closed');
        const [{ trade_no: number }] = (await engine.get(`/v1/payments/${body.id}/attempts`)).body.data;
        assert.equal(await alipay.notify(body, number ? { trade_no: number } : {}), 'success');
    }
    const refunds = await Promise.all(payments.map(async ({ body }) => {
        const now = await engine.payment(body.id);
        assert.deepEqual([now.state, now.late], ['paid', true]);
        return (await engine.get(`/v1/payments/${body.id}/refunds`)).body.data.map((refund) => refund.reason);
    }));
    assert.deepEqual(refunds, [[], ['late']]);
    await until('the log names the rule', () => logged('rule.decided').length === 2, 10);
    assert.deepEqual(logged('rule.decided').map((line) => line.wish).sort(), ['accept', 'refund']);
    assert.equal(alarms('rule_failed').filter((line) => line.rule === 'on_late_paid').length, 0);
});

test('the record holds: chains, seals and tables from the events', async () => {
    await engine.prove();
});
