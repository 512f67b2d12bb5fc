// rules_load.test.mjs - a merchant's scripts are changed again and again while payments are created as fast as they go,
// half of the changes broken: no request fails, each payment is decided wholly by one generation, and what is broken never
// runs. Both ways of changing: files that are watched (development), and files that tael reload has read.
// ROUNDS: how many changes of each (40; 500 in make long).
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Server } from '../bench/server.mjs';
import { Engine, program, root, sleep, temporaryFolder, until } from './tael.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 40);
const CREATORS = 12;
const folder = temporaryFolder('rules-load');
after(() => fs.rmSync(folder, { recursive: true, force: true }));

const account = (key, alipay) => `{ channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "${key}", alipay_key = "${alipay}" }`;
const merchants = (name, key, alipay) => `return { merchants = { ["${name}"] = { name = "${name}", mode = "test",
    accounts = { ["way-0"] = ${account(key, alipay)}, ["way-1"] = ${account(key, alipay)} } } } }\n`;

/** What becomes of a payment by generation n: it denies amounts that are odd or even as n is, and sends the others its own
 *  way. So what one generation's risk lets go and another one's route sends is neither's. */
const expected = (n, amount) => amount % 2 === n % 2 ? `402 denied_by_rule by ${n}` : `201 pending way-${n % 2} ${amount % 2}`;
const seen = ({ status, body, amount }) => status === 402 ? `${status} ${body.code} ${body.detail}`
    : `${status} ${body.state} ${body.account} ${amount % 2}`;

/** Two files of one generation, of which neither loads beside one of another. */
const rules = (n) => `local mark = require "lib.mark"
if mark.n ~= ${n} then error("torn: " .. mark.n) end
return {
    limits = function() return { max_amount = 1000000 + mark.n } end,
    route = function() return { { account = "way-" .. mark.n % 2, product = "page" } }, "by " .. mark.n end,
    risk = function(payment)
        return payment.amount % 2 == mark.n % 2 and "deny" or "allow", "by ${n}"
    end,
}\n`;
const mark = (n) => `return { n = ${n} }\n`;
const ran = 'return { risk = function() return "deny", "what is broken has run" end';
const broken = [
    () => `${ran}\n`, // the bracket that closes it is not there
    () => `${ran}, rusk = function() end }\n`,
    () => `error("at load")\n${ran} }\n`,
    () => `local t = nil\nlocal x = t.y\n${ran} }\n`,
    () => `while true do end\n${ran} }\n`,
    () => `local other = require "lib.absent"\n${ran} }\n`,
    () => `goto nowhere\n${ran} }\n`,
    () => 'return 5\n',
];

class Shop {
    constructor({ url, key, home }) {
        Object.assign(this, { url: new URL('/v1/payments', url), key, home, answers: [], failures: [], running: true, orders: 0 });
        this.agent = new http.Agent({ keepAlive: true, maxSockets: CREATORS });
        this.saved = [];
    }

    save(n, text) {
        fs.mkdirSync(path.join(this.home, 'lib'), { recursive: true });
        fs.writeFileSync(path.join(this.home, 'lib/mark.lua'), mark(n));
        fs.writeFileSync(path.join(this.home, 'rules.lua'), text ?? rules(n));
        this.saved.push(n);
    }

    create() {
        const amount = 1000 + this.orders % 7;
        const text = JSON.stringify({ merchant_order_id: `L${++this.orders}`, amount, currency: 'CNY', subject: 'tea' });
        return new Promise((resolve) => {
            const request = http.request(this.url, { method: 'POST', agent: this.agent, headers: {
                authorization: `Bearer ${this.key}`, 'content-type': 'application/json', 'content-length': text.length,
            } }, (response) => {
                let body = '';
                response.on('data', (data) => { body += data; });
                response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(body), amount }));
            });
            request.on('error', (err) => resolve({ status: 0, body: { detail: String(err) }, amount }));
            request.end(text);
        });
    }

    /** Creates until stopped; each answer has to be one of a good generation that was saved so far. */
    async keepCreating(known) {
        while (this.running) {
            const answer = await this.create();
            const one = seen(answer);
            this.answers.push(one);
            if (!known.has(one)) this.failures.push(`${one} ${JSON.stringify(answer.body)}`);
        }
    }
}

/** Changes the shop's scripts again and again under load; change makes what was saved known. */
async function replaced(shop, change) {
    const known = new Set();
    const save = (n) => {
        for (const amount of [0, 1]) known.add(expected(n, amount));
        shop.save(n);
    };
    const settled = (n) => until(`all workers run ${n}`, async () => {
        const answers = await Promise.all(Array.from({ length: 16 }, () => shop.create()));
        return answers.every((answer) => seen(answer) === expected(n, answer.amount));
    }, 30);
    save(0);
    await change(0);
    await settled(0);
    const creators = Array.from({ length: CREATORS }, () => shop.keepCreating(known));
    const last = ROUNDS + 1;
    try {
        for (let n = 1; n <= last; n++) {
            const good = n % 2 === 1 || n === last;
            if (good) save(n);
            else shop.save(n, broken[n / 2 % broken.length](n));
            await change(n, good);
        }
        await settled(last);
    } finally {
        shop.running = false;
    }
    await Promise.all(creators);
    shop.agent.destroy();
    const generations = new Set(shop.answers);
    console.log(`# ${shop.answers.length} payments while ${ROUNDS} changes were made; ${generations.size} kinds of answers`);
    assert.deepEqual(shop.failures.slice(0, 5), []);
    assert.ok(shop.answers.length >= ROUNDS, `${shop.answers.length} payments`);
    assert.ok(generations.size >= (ROUNDS >= 40 ? 4 : 2), [...generations].join('\n'));
}

test('files that are watched', { timeout: 900_000 }, async (t) => {
    const scripts = path.join(folder, 'watched');
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true });
    const engine = new Engine({ scripts, env: { TAEL_WORKERS: '2', TAEL_SCRIPTS__SHARE: '100', TAEL_LIMITS__KEY: 'false' } });
    t.after(() => engine.remove());
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), merchants('demo.test', 'demo.alipay', 'sandbox.alipay'), { mode: 0o600 });
    await engine.start();
    const shop = new Shop({ url: engine.url, key: engine.key, home: path.join(scripts, 'merchants/demo.test') });
    await replaced(shop, (n) => sleep(20 + n * 7 % 40));
});

test('files that tael reload has read', { timeout: 900_000 }, async (t) => {
    const server = new Server({ folder: path.join(folder, 'reloaded'), workers: 2, core: null });
    fs.mkdirSync(server.folder);
    await server.prepare();
    fs.writeFileSync(path.join(server.folder, 'tael.lua'), merchants('shop', 'shop', 'alipay').replace('return {', 'return { scripts = { share = 100 },'), { mode: 0o600 });
    t.after(() => server.end());
    await server.start();
    const shop = new Shop({ url: server.env.TAEL_HTTP__PUBLIC_URL, key: server.key, home: path.join(server.folder, 'scripts/merchants/shop') });
    const reload = () => promisify(execFile)(program, ['--config', path.join(server.folder, 'tael.lua'), 'reload'],
        { cwd: server.folder, env: { ...process.env, ...server.env } }).catch((failed) => failed);
    await replaced(shop, async (n, good = true) => {
        const { code = 0, stdout } = await reload();
        assert.deepEqual([code, /^refused: .*merchants\/shop\//m.test(stdout)], good ? [0, false] : [1, true], stdout);
    });
    assert.equal(await server.end(), 0);
});
