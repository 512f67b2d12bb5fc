// reading.test.mjs - scripts of a server that is not in development: what was there at the start runs until tael reload
// or an activation reads the folder again, on every worker and whoever was asked before; what is wrong is said at once.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Server } from '../bench/server.mjs';
import { program, saveFile, temporaryFolder, until } from './tael.mjs';

const folder = temporaryFolder('reading');
const server = new Server({ folder, workers: 2, core: null });
const merchants = path.join(folder, 'scripts/merchants'), home = path.join(merchants, 'shop'), jobs = path.join(folder, 'scripts/jobs');
let orders = 0;

const rules = (reason) => `return { risk = function() return "deny", "${reason}" end }\n`;
const save = (text) => saveFile(path.join(home, 'rules.lua'), text);
const tael = (...words) => {
    const { status, stdout, stderr } = spawnSync(program, ['--config', path.join(folder, 'tael.lua'), ...words],
        { cwd: folder, encoding: 'utf8', env: { ...process.env, ...server.env } });
    return { status, stdout, text: stdout + stderr };
};
const create = async () => {
    const answer = await fetch(`${server.env.TAEL_HTTP__PUBLIC_URL}/v1/payments`, { method: 'POST',
        headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json', connection: 'close' },
        body: JSON.stringify({ merchant_order_id: `R${++orders}`, amount: 100, currency: 'CNY', subject: 'tea', channel: 'alipay' }) });
    const body = await answer.json();
    return answer.status === 201 ? body.state : body.detail;
};
/** What every worker says: connections choose their worker. */
const said = async () => [...new Set(await Promise.all(Array.from({ length: 16 }, create)))].join();
const log = () => fs.readFileSync(server.log, 'utf8');
const readAll = (from) => until('the start has read them', () => log().slice(from).includes('"event":"scripts.read"'));
const restart = async () => {
    await server.stop();
    const from = log().length;
    await server.start();
    return from;
};

before(async () => {
    await server.prepare();
    fs.rmSync(home, { recursive: true });
    fs.mkdirSync(home, { recursive: true });
    save(rules('at the start'));
    await server.start();
    await readAll(0);
});
after(async () => {
    await server.end();
    fs.rmSync(folder, { recursive: true, force: true });
});

test('what was there at the start runs, though nobody was asked before it changed', async () => {
    save('return {\n');
    assert.equal(await said(), 'at the start');
    save(rules('not reloaded'));
    assert.equal(await said(), 'at the start');
});

test('a reload says what runs from then on, and nothing that is saved after it runs before the next', async () => {
    const done = tael('reload');
    assert.match(done.text, /^reloaded: 0 certificates\nmerchants\/shop runs [0-9a-f]{16}\n$/);
    assert.equal(done.status, 0);
    save(rules('too late'));
    assert.equal(await said(), 'not reloaded');
    assert.match(tael('reload').text, /^merchants\/shop runs [0-9a-f]{16}$/m);
    assert.equal(await said(), 'too late');
    assert.equal(tael('reload').text, 'reloaded: 0 certificates\n');
});

test('a reload says what is wrong with its place, and what ran goes on, whoever was asked before', async () => {
    const from = await restart();
    await readAll(from);
    save('return {\n    risk = function()\n');
    const wrong = tael('reload');
    assert.equal(wrong.status, 1);
    assert.match(wrong.text, /^refused: merchants\/shop\/rules\.lua:3: .*expected/m);
    assert.equal(await said(), 'too late');
    const ready = await (await fetch(`${server.operations}/readyz`)).json();
    assert.match(ready.checks.find((check) => check.name === 'scripts').detail, /refused: merchants\/shop\/rules\.lua:3: /);
    save(rules('right again'));
    const right = JSON.parse(tael('reload', '--json').stdout);
    assert.deepEqual([right.refused, right.scripts.map((one) => one.owner)], [[], ['merchants/shop']]);
    assert.equal(await said(), 'right again');
});

test('a signal is a reload too, whichever worker has been asked for what runs', async () => {
    const from = await restart();
    await readAll(from);
    for (const reason of ['signal one', 'signal two', 'signal three']) {
        save(rules(reason));
        const before = log().length;
        process.kill(server.process.pid, 'SIGHUP');
        await until('it has read again', () => log().slice(before).includes('"event":"engine.reloaded"'));
        save(rules('not reloaded'));
        if (reason !== 'signal one') assert.equal(await said(), reason);
    }
    save(rules('right again'));
    assert.equal(tael('reload').status, 0);
    assert.equal(await said(), 'right again');
});

test('wrong jobs are said by a reload too', async () => {
    fs.mkdirSync(jobs, { recursive: true });
    saveFile(path.join(jobs, 'daily.lua'), 'return { schedule = "61 * * * *", run = function() end }\n');
    const wrong = tael('reload');
    assert.deepEqual([wrong.status, /^refused: jobs\/daily\.lua: /m.test(wrong.text)], [1, true], wrong.text);
    fs.rmSync(jobs, { recursive: true });
    assert.equal(tael('reload').status, 0);
});

test('scripts that are taken away go with the next reload', async () => {
    fs.renameSync(home, `${home}.aside`);
    assert.equal(await said(), 'right again');
    assert.match(tael('reload').text, /^merchants\/shop has no scripts any more$/m);
    assert.equal(await said(), 'pending');
    fs.renameSync(`${home}.aside`, home);
    assert.equal(await said(), 'pending');
    assert.equal(tael('reload').status, 0);
    assert.equal(await said(), 'right again');
});

test('the folder that is activated is what was looked at, and goes on when it breaks', async () => {
    saveFile(path.join(home, 'rules.lua'), rules('pushed'));
    assert.equal(tael('scripts', 'push', home, '--merchant', 'shop', '--message', 'one', '--activate').status, 0);
    save(rules('of the folder'));
    assert.equal(await said(), 'pushed');
    assert.match(tael('scripts', 'rollback', '--merchant', 'shop').text, /^shop runs folder/m);
    save('return {\n');
    assert.equal(await said(), 'of the folder');
    assert.equal(tael('reload').status, 1);
    assert.equal(await said(), 'of the folder');
    const from = await restart();
    await until('what passed last is kept', () => log().slice(from).includes('"event":"scripts.kept"'));
    assert.equal(await said(), 'of the folder');
});

test('a place of scripts that is not there takes nobody\'s rules away', async () => {
    save(rules('on the disk'));
    assert.equal(tael('reload').status, 0);
    fs.renameSync(merchants, `${merchants}.unmounted`);
    const gone = tael('reload');
    assert.deepEqual([gone.status, /^refused: merchants\/shop: .*scripts\/merchants is not there$/m.test(gone.text)], [1, true], gone.text);
    assert.equal(await said(), 'on the disk');
    await restart();
    assert.equal(await said(), 'on the disk');
    fs.renameSync(`${merchants}.unmounted`, merchants);
    const back = tael('reload');
    assert.equal(back.status, 0, back.text + log().split('\n').slice(-14).join('\n'));
    assert.equal(await said(), 'on the disk');
});
