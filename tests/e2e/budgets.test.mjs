// budgets.test.mjs - what a call of a merchant's script may take is what the configuration says: each budget is one
// that the call would not meet if it were the usual one, or would not have met.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, root, temporaryFolder, until } from './tael.mjs';

const scripts = temporaryFolder('budgets');
const ACCOUNT = `{ channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
const little = { RULE_CPU_MS: '1', CPU_MS: '5', WALL: '700ms', EFFECTS: '3', MEMORY_MIB: '2' };
const much = { RULE_CPU_MS: '20', CPU_MS: '200', WALL: '20s', EFFECTS: '60', MEMORY_MIB: '40' };
const engine = new Engine({ scripts, env: { TAEL_SCRIPTS__ISOLATION: process.env.ISOLATION ?? 'state', TAEL_SCRIPTS__SHARE: '100' } });
const slow = http.createServer((request, response) => { setTimeout(() => response.end('{}'), 1500).unref(); });

const FILES = {
    'rules.lua': `return { risk = function(payment)
        local n = 0
        for i = 1, payment.amount * 1000 do n = n + i end
        return "allow"
    end }\n`,
    'routes.lua': `local tael = require "tael"
        local function get(handler) return { auth = "none", handler = handler } end
        return {
            ["GET /work"] = get(function(request)
                for i = 1, tonumber(request.query.n) do local _ = { i } end
                return { text = "worked" }
            end),
            ["GET /effects"] = get(function(request)
                for i = 1, tonumber(request.query.n) do tael.now() end
                return { text = "done" }
            end),
            ["GET /memory"] = get(function(request)
                local kept = {}
                for i = 1, tonumber(request.query.n) do kept[i] = ("x"):rep(100000) .. i end
                return { text = #kept .. " kept" }
            end),
            ["GET /wait"] = get(function()
                local answer, err = tael.http.get("http://SLOW/")
                return { text = answer and "waited" or err.code }
            end),
        }\n`,
};

const begin = async (budget) => {
    for (const name of Object.keys(little)) engine.options.env[`TAEL_SCRIPTS__BUDGET__${name}`] = budget[name];
    await (engine.process ? engine.restart() : engine.start());
};
const ask = async (target) => {
    const answer = await engine.get(`/m/demo.test/${target}`, { key: null });
    return answer.status === 200 ? answer.text : answer.body.code;
};
const told = (event, what) => until(`${event}: ${what}`, () => engine.process.output.split('\n')
    .some((line) => line.includes(`"event":"${event}"`) && what.test(line)), 20);

before(async () => {
    await new Promise((resolve) => { slow.listen(0, '127.0.0.1', resolve); });
    const host = `127.0.0.1:${slow.address().port}`;
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    const home = path.join(scripts, 'merchants/demo.test');
    fs.rmSync(home, { recursive: true });
    fs.mkdirSync(home, { recursive: true });
    for (const [name, text] of Object.entries(FILES)) fs.writeFileSync(path.join(home, name), text.replace('SLOW', host));
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), `return { merchants = { ["demo.test"] = { name = "Demo", mode = "test",
        hosts = { "${host}" }, accounts = { ["alipay-demo"] = ${ACCOUNT} } } } }\n`, { mode: 0o600 });
});
after(async () => {
    slow.close();
    slow.closeAllConnections();
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

test('little is little', async () => {
    await begin(little);
    assert.equal(await ask('work?n=1000'), 'worked');
    assert.equal(await ask('work?n=300000'), 'script_timeout');
    assert.equal(await ask('effects?n=3'), 'done');
    assert.equal(await ask('effects?n=4'), 'script_failed');
    await told('script.failed', /routes\.lua:9: tael\.now: a call has at most 3 effects/);
    assert.equal(await ask('memory?n=10'), '10 kept');
    assert.equal(await ask('memory?n=30'), 'script_failed');
    assert.equal(await ask('wait'), 'script_timeout');
    await told('script.failed', /took longer than its 0\.7 seconds/);
    assert.equal((await engine.create('FEW', { amount: 20 })).body.state, 'pending');
    const held = await engine.create('MANY', { amount: 200 });
    assert.deepEqual([held.status, held.body.state], [201, 'review'], 'as a rule that fails says');
    await told('alarm', /"failure":"spent".*"kind":"rule_failed"/);
});

test('much is much', async () => {
    await begin(much);
    assert.equal(await ask('work?n=300000'), 'worked');
    assert.equal(await ask('effects?n=60'), 'done');
    assert.equal(await ask('effects?n=61'), 'script_failed');
    assert.equal(await ask('memory?n=250'), '250 kept');
    assert.equal(await ask('wait'), 'waited');
    assert.equal((await engine.create('MORE', { amount: 200 })).body.state, 'pending');
});
