// kill.test.mjs - kill -9 under load: whatever was acknowledged is there after the restart, once.
// The channel is an engine of its own that lives on; the one that dies folds its log every few pages, so that kills meet
// checkpoints as well as commits. ROUNDS: how many kills; SEED chooses their moments.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Engine, freePort, Process, sleep, temporaryFolder, until } from '../e2e/tael.mjs';
import { seeded } from './random.mjs';
import { KINDS, Shoppers } from './shoppers.mjs';

const rounds = Number(process.env.ROUNDS ?? 24);
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
const clients = 8;

const random = seeded(seed);

const configuration = (sandbox) => `return { dev = true, merchants = { ["demo.test"] = { mode = "test", accounts = {
    ["alipay-demo"] = { channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay",
    gateway = "${sandbox}/gateway.do" } } } } }`;

const env = {
    TAEL_STORE__CHECKPOINT_PAGES: '100', TAEL_LIMITS__KEY: 'false', TAEL_CLIENT__TOTAL: '2s',
    TAEL_PAYMENTS__POLL: '200ms,500ms,1s,2s',
};

/** An engine whose account is at another engine's sandbox. */
async function beside(channel) {
    const folder = temporaryFolder('kill');
    fs.writeFileSync(path.join(folder, 'tael.lua'), configuration(channel.sandbox));
    fs.mkdirSync(path.join(folder, 'data'), { mode: 0o700 });
    fs.cpSync(path.join(channel.folder, 'data/keys'), path.join(folder, 'data/keys'), { recursive: true });
    const engine = new Engine({ folder, env });
    engine.ports = { api: await freePort(), operations: await freePort(), sandbox: await freePort() };
    return engine;
}

/** Kills a process that is starting; it may be anywhere between its first instruction and its first answer. */
async function killStarting(engine, ms) {
    const starting = new Process(['serve', '--dev'], { cwd: engine.folder, env: engine.environment });
    await sleep(ms);
    const end = await starting.stop('SIGKILL');
    assert.equal(end.signal, 'SIGKILL', `it ended by itself: ${JSON.stringify(end)} ${starting.output}`);
}

test(`nothing acknowledged is lost or doubled over ${rounds} kills (SEED=${seed})`, async (t) => {
    const channel = await new Engine({ env: { TAEL_LIMITS__KEY: 'false' } }).start();
    const engine = await beside(channel);
    t.after(() => Promise.all([engine, channel].map((one) => one.process?.stop('SIGKILL')))); // also after a failure
    await engine.start();
    const shoppers = new Shoppers(engine, channel);
    shoppers.start(clients);
    let checked = 0;
    for (let round = 0; round < rounds; round++) {
        await sleep(20 + random(250));
        await engine.stop('SIGKILL');
        if (round % 4 === 3) await killStarting(engine, random(120)), round++;
        await engine.start();
        checked += await shoppers.check();
    }
    await until('each thing was acknowledged', () => KINDS.every((kind) => shoppers.counts[kind] > 0), 90);
    await shoppers.stop();
    checked += await shoppers.check();
    const sums = await shoppers.settle();
    t.diagnostic(`${checked} acknowledgements ${JSON.stringify(shoppers.counts)}; in the end ${JSON.stringify(sums)}`);
    await engine.prove();
    await engine.remove();
    await channel.remove();
});

test('kills of the first start, with its migrations, leave a folder that starts', async () => {
    const first = new Engine({ env });
    await first.start(); // for its environment
    await first.stop();
    const kills = Math.max(3, Math.round(rounds / 12));
    for (let i = 0; i < kills; i++) {
        const engine = Object.assign(new Engine({ env }), { ports: first.ports, environment: first.environment });
        if (i % 3 > 0) // else its keys are made as well, which takes longer than all the rest
            fs.cpSync(path.join(first.folder, 'data/keys'), path.join(engine.folder, 'data/keys'), { recursive: true });
        await killStarting(engine, random(150));
        await killStarting(engine, random(150)); // what the first left is met by the second
        await engine.start();
        assert.equal((await engine.create('first')).status, 201);
        await engine.stop('SIGKILL');
        const { text, status } = engine.doctor();
        assert.match(text, /^ok +chain/m, `${status} ${text}`);
        fs.rmSync(engine.folder, { recursive: true });
    }
    await first.remove();
});
