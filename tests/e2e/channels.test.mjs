// channels.test.mjs - a channel's package is replaced while money moves: what has begun ends on what it began with,
// whoever comes afterwards gets the new one on every worker, and what is wrong changes nothing.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, program, root, sleep, temporaryFolder, until } from './tael.mjs';

const scripts = temporaryFolder('channels');
const engine = new Engine({ scripts, env: { TAEL_WORKERS: '2' } });
const file = (name) => path.join(scripts, 'channels/alipay', name);
const original = (name) => fs.readFileSync(path.join(root, 'scripts/channels/alipay', name), 'utf8');
let orders = 0;

before(async () => {
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    await engine.start();
});
after(async () => {
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

const titled = (title) => fs.writeFileSync(file('init.lua'),
    original('init.lua').replace('en = "Alipay"', `en = "${title}"`));
const reload = () => spawnSync(program, ['reload'], { cwd: engine.folder, encoding: 'utf8',
    env: { ...process.env, ...engine.environment } });
/** What both workers call the channel: connections choose their worker, so many of them ask. */
const titles = async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => engine.get('/v1/channels')));
    return [...new Set(answers.map((answer) => answer.body.data[0].title.en))];
};
const create = (fields) => engine.create(`C${++orders}`, fields);
const behave = async (settings) => {
    const answer = await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST', body: JSON.stringify(settings) });
    assert.equal(answer.status, 200, await answer.text());
};

test('a reload that changes nothing keeps the channels', () => {
    const done = reload();
    assert.deepEqual([done.status, done.stdout], [0, 'reloaded: 0 certificates\n'], done.stderr);
});

test('what was saved is used by every worker once the reload has answered', async () => {
    assert.deepEqual(await titles(), ['Alipay']);
    for (let round = 0; round < 5; round++) {
        titled(`Round ${round}`);
        const done = reload();
        assert.deepEqual([done.status, done.stdout], [0, 'reloaded: 0 certificates\nchanged channels: alipay\n'], done.stderr);
        assert.deepEqual(await titles(), [`Round ${round}`]);
    }
    assert.equal((await create()).status, 201);
});

test('a package that is wrong is refused with file and line, and nothing has changed', async () => {
    titled('Runs');
    assert.equal(reload().status, 0);
    const wrong = [
        ['init.lua', (text) => `${text}retrun M\n`, /channels\/alipay\/init\.lua:\d+: /],
        ['init.lua', (text) => text.replace('api = 1', 'api = 7'), /channels\/alipay\/init\.lua:\d+: api: /],
        ['orders.lua', () => 'os.exit(1)\n', /channels\/alipay\/orders\.lua:1: unknown global 'os'/],
        ['init.lua', (text) => text.replace('max = 32, required = true', 'max = 3, required = true'), /app_id.*is longer than 3 bytes/],
    ];
    for (const [name, change, told] of wrong) {
        fs.writeFileSync(file(name), change(original(name)));
        const done = reload();
        assert.equal(done.status, 1, `${told}: ${done.stdout}`);
        assert.match(done.stderr, told);
        const ready = await (await fetch(`${engine.operations}/readyz`)).json();
        assert.match(ready.checks.find((check) => check.name === 'scripts').detail, told);
        assert.equal(ready.ready, true);
        assert.deepEqual(await titles(), ['Runs']);
        assert.equal((await create()).status, 201);
        fs.writeFileSync(file(name), original(name));
    }
    titled('Right again');
    assert.equal(reload().status, 0);
    assert.deepEqual(await titles(), ['Right again']);
    const ready = await (await fetch(`${engine.operations}/readyz`)).json();
    assert.doesNotMatch(ready.checks.find((check) => check.name === 'scripts').detail, /refused/);
});

test('what loads on one worker and not on another is used by none', async () => {
    // where a table lies in memory differs from worker to worker
    const somewhere = (salt) => `local at = tonumber(tostring({}):match "0x(%x+)", 16) >> 26\n`
        + `if (at * ${2 * salt + 1} >> ${salt % 5}) % 2 == 0 then error "not here" end\n`;
    let [runs] = await titles(), refused = 0;
    for (let salt = 0; salt < 16; salt++) {
        fs.writeFileSync(file('init.lua'), somewhere(salt) + original('init.lua').replace('en = "Alipay"', `en = "Salt ${salt}"`));
        const done = reload();
        if (done.status === 0) runs = `Salt ${salt}`;
        else refused++;
        assert.deepEqual(await titles(), [runs], `salt ${salt}: ${done.stdout}${done.stderr}`);
        const ready = await (await fetch(`${engine.operations}/readyz`)).json();
        assert.equal(/not here/.test(ready.checks.find((check) => check.name === 'scripts').detail), done.status !== 0);
    }
    assert.ok(refused > 0, 'it loaded everywhere: nothing was shown');
    titled('Agreed');
    assert.equal(reload().status, 0);
    assert.deepEqual(await titles(), ['Agreed']);
});

test('an operation that waits for the channel ends on what it began with', async () => {
    await behave({ op: 'precreate', fault: 'slow', ms: 4000, times: 1 });
    let ended = false;
    const waiting = create({ product: 'qr' }).then((answer) => { ended = true; return answer; });
    await sleep(400);
    // three generations later its answer could not even be read; payments of before are asked after by themselves
    for (const round of [1, 2, 3]) {
        fs.writeFileSync(file('orders.lua'), `${original('orders.lua').replace(/\nreturn (\w+)\s*$/, '\nfor name, op in pairs($1) do '
            + `if name ~= "query" and type(op) == "table" and op.parse then op.parse = function() error("generation ${round}") end end end\nreturn $1\n`)}`);
        const done = reload();
        assert.deepEqual([done.status, /changed channels: alipay/.test(done.stdout)], [0, true], done.stderr);
    }
    assert.equal(ended, false, 'the channel answered before the reloads: nothing was shown');
    const answer = await waiting;
    assert.deepEqual([answer.status, answer.body.next_action?.type], [201, 'qr_code'], answer.text);
    // who comes now gets the new one
    const late = await create({ product: 'qr' });
    assert.notEqual(late.body.next_action?.type, 'qr_code', late.text);
    await until('the log tells', () => engine.process.output.includes('generation 3'));
    assert.doesNotMatch(engine.process.output, /generation [12]"/);
    fs.writeFileSync(file('orders.lua'), original('orders.lua'));
    assert.equal(reload().status, 0);
    assert.equal((await create({ product: 'qr' })).body.next_action.type, 'qr_code');
});

test('no request fails while packages come and go, half of them broken', async () => {
    let running = true, created = 0;
    const failed = [];
    const load = Array.from({ length: 8 }, async () => {
        while (running) {
            const answer = await create({ amount: 1000 + (orders % 50) * 100 });
            if (answer.status === 201) created++; else failed.push(answer.text);
        }
    });
    for (let round = 0; round < 20; round++) {
        if (round % 2) fs.writeFileSync(file('init.lua'), 'return {');
        else titled(`Under load ${round}`);
        const run = spawn(program, ['reload'], { cwd: engine.folder, stdio: 'ignore', env: { ...process.env, ...engine.environment } });
        assert.deepEqual((await once(run, 'exit'))[0], round % 2);
    }
    running = false;
    await Promise.all(load);
    assert.deepEqual(failed, []);
    assert.ok(created > 40, `${created} payments`);
    titled('After all');
    assert.equal(reload().status, 0);
    assert.deepEqual(await titles(), ['After all']);
});
