// rehearsal.test.mjs - tael test with the channels' sandboxes: specs that ask for them run in an engine of their own, in a world
// where time is jumped over; elsewhere they are pending.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { Engine, program, root, temporaryFolder, until } from './tael.mjs';

const folder = temporaryFolder('rehearsal');
const temporary = path.join(folder, 'tmp');
const merchants = path.join(folder, 'scripts/merchants');
fs.mkdirSync(temporary, { recursive: true });
after(() => fs.rmSync(folder, { recursive: true, force: true }));

/** The guide's snippets that hold a text. */
function guide(text) {
    const blocks = fs.readFileSync(path.join(root, 'scripts/README.md'), 'utf8').matchAll(/^```lua\n(.*?)^```/gms);
    return [...blocks].map((block) => block[1]).filter((block) => block.includes(text));
}

function write(slug, files) {
    for (const [name, text] of Object.entries(files)) {
        const file = path.join(merchants, slug, name);
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
    }
}

function run(...args) {
    const done = spawnSync(program, args, { cwd: folder, encoding: 'utf8', timeout: 120000,
        env: { PATH: process.env.PATH, HOME: folder, TMPDIR: temporary, TAEL_SCRIPTS__FOLDER: undefined } });
    assert.deepEqual(fs.readdirSync(temporary), [], 'nothing is left behind');
    return done;
}

const RULES = `return {
    risk = function(payment)
        if payment.amount == 99999 then return "deny", "not this one" end
        return "allow"
    end,
    on_late_paid = function() return "refund" end,
}\n`;
const ROUTES = `local tael = require "tael"
local function answer(payment, err)
    return payment and { status = 201, json = { id = payment.id } } or { status = 402, json = { code = err.code } }
end
return {
    ["POST /orders"] = { auth = "none", handler = function(request)
        tael.log.info("an order", { id = request.json.id })
        tael.state.put("last", request.json.id)
        return answer(tael.charge { merchant_order_id = request.json.id, amount = request.json.amount, currency = "CNY",
            subject = "an order", product = request.json.product or "qr", account = request.json.account, expires_in = 1800 })
    end },
    ["POST /returns"] = { auth = "none", handler = function(request)
        local refund, err = tael.refund(tael.find(request.json.id), { merchant_refund_id = "r" .. request.json.id, amount = request.json.amount })
        return answer(refund, err)
    end },
    ["GET /last"] = { auth = "none", handler = function()
        local sent = tael.http.post("https://erp.test/", { json = {} })
        return { json = { last = tael.state.get "last", erp = sent.status } }
    end },
}\n`;
const SPEC = `local t = require "tael.test"
local function order(given)
    return t.request("POST", "/orders", { json = given })
end
describe("orders", function()
    it("are paid, and given back in part", function()
        t.sandbox()
        for _, product in ipairs { "qr", "page" } do
            local id = order({ id = "A-" .. product, amount = 1200, product = product }).json.id
            assert.are.equal("pending", t.get(id).state)
            t.pay(id)
            assert.are.equal("paid", t.get(id).state)
            t.request("POST", "/returns", { json = { id = "A-" .. product, amount = 500 } })
            t.advance "1m"
            assert.are.equal(500, t.get(id).refunded_amount)
        end
        assert.are.equal(2, #t.log)
    end)
    it("are closed when nobody pays in time, and nobody can then", function()
        t.sandbox()
        local id = order({ id = "B", amount = 1200 }).json.id
        local begun = require("tael").now()
        t.advance "35m"
        assert.is_true(require("tael").now() - begun >= 35 * 60000)
        assert.are.equal("closed", t.get(id).state)
        local _, why = pcall(t.pay, id)
        assert.matches("the simulator says", why)
    end)
    it("ask the merchant's rules", function()
        t.sandbox()
        assert.are.equal("denied_by_rule", order({ id = "C", amount = 99999 }).json.code)
    end)
    it("keep state, and other servers are the spec's word", function()
        t.sandbox()
        t.on("http.post", function() return { status = 200, headers = {}, body = "" } end)
        order { id = "D", amount = 100 }
        assert.are.same({ last = "D", erp = 200 }, t.request("GET", "/last").json)
    end)
    it("can do nothing of it without a word", function()
        assert.has_error(function() t.pay "pay_1" end, "pay: call sandbox() first in this test")
    end)
end)\n`;

test('specs that ask for sandboxes are run with them, in an instant', () => {
    write('acme', { 'rules.lua': RULES, 'routes.lua': ROUTES, 'spec/orders_spec.lua': SPEC });
    const done = run('test', 'scripts/merchants/acme', '--json');
    assert.equal(done.status, 0, done.stdout + done.stderr);
    assert.deepEqual(JSON.parse(done.stdout), { merchant: 'acme', passed: 5, failed: 0, pending: 0, failures: [] });
    assert.equal(done.stderr, '');
});

test('what fails is told with file and line, and the command says so', () => {
    write('wrong', { 'rules.lua': RULES, 'routes.lua': ROUTES, 'spec/orders_spec.lua': `local t = require "tael.test"
it("is paid too soon", function()
    t.sandbox()
    local id = t.request("POST", "/orders", { json = { id = "A", amount = 1200 } }).json.id
    assert.are.equal("paid", t.get(id).state)
end)
it("pays what there is not", function()
    t.sandbox()
    t.pay("pay_0")
end)
it("advances too far", function()
    t.sandbox()
    t.advance "401d"
end)
it("refunds without a number of its own", function()
    t.on("refund", function() return { id = "ref_1" } end)
    require("tael").refund("pay_1", { amount = 1 })
end)\n` });
    const done = run('test', 'scripts/merchants/wrong');
    assert.equal(done.status, 1, done.stderr);
    for (const line of ['wrong/spec/orders_spec.lua:5: expected "paid", got "pending"',
        'wrong/spec/orders_spec.lua:9: pay: a payment or its id is needed, not "pay_0"', 'wrong/spec/orders_spec.lua:13: advance: at most 400 days',
        'wrong/spec/orders_spec.lua:17: tael.refund: merchant_refund_id is missing: with it nothing happens twice'])
        assert.ok(done.stdout.includes(line), `${line}\n${done.stdout}`);
});

test('a test that fails is counted once and in no other\'s way; a rule that fails is named, and the log says nothing else', () => {
    const spec = `local t = require "tael.test"
it("fails", function() assert.are.equal(1, 2) end)
local function order(id, amount)
    t.sandbox()
    return t.request("POST", "/orders", { json = { id = id, amount = amount } }).json.id
end
it("is paid", function()
    local id = order("A", 1200)
    t.pay(id)
    assert.are.equal("paid", t.get(id).state)
end)
it("waits", function() assert.are.equal("pending", t.get(order("B", 1200)).state) end)\n`;
    write('beside', { 'rules.lua': RULES, 'routes.lua': ROUTES, 'spec/orders_spec.lua': spec });
    const done = run('test', 'scripts/merchants/beside', '--json');
    const { passed, failed, failures } = JSON.parse(done.stdout);
    assert.deepEqual([passed, failed, failures.map((one) => one.name), done.stderr, done.status], [2, 1, ['fails'], '', 1]);
    write('beside', { 'rules.lua': 'return { risk = function(payment) return payment.payer.name.first end }\n' });
    const broken = run('test', 'scripts/merchants/beside', '--json');
    assert.equal(JSON.parse(broken.stdout).failed, 3, broken.stdout);
    assert.match(broken.stderr, /^rehearsal: alarm detail=merchants\/beside\/rules\.lua:1: .*rule=risk\n$/);
    assert.doesNotMatch(broken.stderr, /\n.|[{}]/);
});

test('one that is interrupted leaves nothing behind', async () => {
    write('long', { 'rules.lua': RULES, 'routes.lua': ROUTES, 'spec/long_spec.lua': `local t = require "tael.test"
for n = 1, 150 do
    it("takes its time " .. n, function()
        t.sandbox()
        for _ = 1, 25 do t.advance "10m" end
    end)
end\n` });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT']) {
        const child = spawn(program, ['test', 'scripts/merchants/long'], { cwd: folder, stdio: 'ignore',
            env: { PATH: process.env.PATH, HOME: folder, TMPDIR: temporary } });
        const ended = once(child, 'exit');
        await until('its folder is there', () => fs.readdirSync(temporary).length > 0);
        child.kill(signal);
        assert.deepEqual(await ended, [null, signal]);
        assert.deepEqual(fs.readdirSync(temporary), []);
    }
});

test('a folder for temporary files may be called anything', () => {
    const odd = path.join(temporary, 'a\nb "c"');
    fs.mkdirSync(odd);
    write('odd', { 'rules.lua': RULES, 'spec/odd_spec.lua': 'local t = require "tael.test"\nit("asks for sandboxes", function() t.sandbox() end)\n' });
    const done = spawnSync(program, ['test', 'scripts/merchants/odd'], { cwd: folder, encoding: 'utf8',
        env: { PATH: process.env.PATH, HOME: folder, TMPDIR: odd } });
    assert.equal(done.status, 0, done.stdout + done.stderr);
    fs.rmSync(odd, { recursive: true });
});

const ASKS = { 'rules.lua': RULES, 'spec/asks_spec.lua': 'local t = require "tael.test"\nit("asks for sandboxes", function() t.sandbox() end)\n' };

test('merchants without an account are given one that nobody else has', () => {
    const own = path.join(folder, 'several.lua'), long = 'a-merchant-whose-name-is-long';
    fs.writeFileSync(own, `return { dev = true, scripts = { folder = "several" }, merchants = { shop = { mode = "test" },
        ["ours.test"] = { mode = "test" }, ["ours-test"] = { mode = "test" }, ["${long}.test"] = { mode = "test" },
        ours = { mode = "test", accounts = { ["shop-alipay"] = { channel = "alipay", environment = "sandbox", key = "demo.alipay",
            app_id = "2021000000000001", seller_id = "2088000000000001", alipay_key = "sandbox.alipay" } } } } }\n`);
    for (const slug of ['shop', 'ours', 'ours.test', 'ours-test', `${long}.test`]) write(`../../several/merchants/${slug}`, ASKS);
    const done = run('--config', own, 'test');
    assert.equal(done.status, 0, done.stdout + done.stderr);
    assert.equal(done.stdout.match(/ 1 passed, 0 failed, 0 pending/g).length, 5, done.stdout);
    fs.rmSync(own);
});

test('a folder that has no name of a merchant is named, and a place that is not there', () => {
    write('asks', ASKS);
    const env = { PATH: process.env.PATH, HOME: folder, TMPDIR: temporary };
    const here = spawnSync(program, ['test', '.'], { cwd: path.join(merchants, 'asks'), encoding: 'utf8', env });
    assert.equal(here.status, 1);
    assert.match(here.stderr, /^tael: \.: in the channels' sandboxes a merchant is called as its folder, .*\nnext: name the folder/);
    const nowhere = spawnSync(program, ['test', 'scripts/merchants/asks'], { cwd: folder, encoding: 'utf8',
        env: { ...env, TMPDIR: '/nowhere' } });
    assert.equal(nowhere.status, 3);
    assert.match(nowhere.stderr, /^tael: \/nowhere\/tael-rehearsal-\w+: no folder can be made for the rehearsal\nnext: set TMPDIR\n$/);
});

test("the guide's spec runs with the guide's route", () => {
    write('guide', { 'routes.lua': guide('routes["POST /orders"]')[0], 'spec/orders_spec.lua': guide('t.sandbox()')[0] });
    const done = run('test', 'scripts/merchants/guide', '--json');
    assert.equal(done.status, 0, done.stdout + done.stderr);
    assert.equal(JSON.parse(done.stdout).passed, 2);
});

test('all configured merchants are tried, at accounts of the names that they have', () => {
    fs.writeFileSync(path.join(folder, 'tael.lua'), `return { merchants = {
        acme = { mode = "live", policies = { on_late_paid = "review" }, accounts = { ["acme-main"] = { channel = "alipay",
            environment = "production", app_id = "2021000000000001", seller_id = "2088000000000001", key = "live", alipay_key = "live" } } },
        other = { mode = "test" } } }\n`);
    write('acme', { 'spec/orders_spec.lua': `local t = require "tael.test"
it("goes through the account", function()
    t.sandbox()
    local answer = t.request("POST", "/orders", { json = { id = "A", amount = 1200, account = "acme-main" } })
    assert.are.equal(201, answer.status)
    t.pay(answer.json.id)
    assert.are.equal("paid", t.get(answer.json.id).state)
end)\n` });
    write('other', { 'rules.lua': 'return {}\n' });
    const done = run('test', '--json');
    fs.rmSync(path.join(folder, 'tael.lua'));
    assert.equal(done.status, 0, done.stdout + done.stderr);
    assert.deepEqual(done.stdout.trim().split('\n').map((line) => JSON.parse(line)).map(({ merchant, passed }) => [merchant, passed]),
        [['acme', 1], ['other', 0]]);
});

test('where there are no simulators such a test is pending, and in nobody\'s way', { timeout: 60_000 }, async (t) => {
    const scripts = temporaryFolder('scripts');
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    const engine = new Engine({ scripts });
    t.after(async () => { await engine.remove(); fs.rmSync(scripts, { recursive: true, force: true }); });
    await engine.start();
    const made = await engine.operator('POST', '/v1/scripts/merchants/demo.test/versions',
        { files: { 'rules.lua': RULES, 'routes.lua': ROUTES, 'spec/orders_spec.lua': SPEC }, message: 'with a rehearsal' });
    assert.equal(made.status, 201, made.text);
    const activated = await engine.operator('POST', '/v1/scripts/merchants/demo.test/activate', { version: made.body.id });
    assert.equal(activated.status, 200, activated.text);
});
