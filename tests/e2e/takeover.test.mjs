// takeover.test.mjs - tael serve --takeover: a new process takes sockets and store over from the one that runs. No
// connection is refused, no request fails, the store's lock is never free and never two write; and whoever dies at
// whatever step, the other one serves.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Load } from './load.mjs';
import { Shop } from './shop.mjs';
import { askOperator, freePort, root, sleep, until } from './tael.mjs';

const rounds = Number(process.env.ROUNDS ?? 3);
const env = { TAEL_WORKERS: '2', TAEL_DRAIN: '8s' }; // quiet connections end after half a second
let shop;
const started = [];

before(async () => { shop = await new Shop({ env }).start(); });
after(async () => {
    await shop.prove();
    await shop.sandboxProcess.stop();
    for (const running of started) await running.stop('SIGKILL');
    fs.rmSync(shop.folder, { recursive: true, force: true });
});

function takeover(more = {}, under = []) {
    const next = shop.serve(['--takeover'], more, under);
    started.push(next);
    return next;
}

const says = (running, event) => until(`${event} in the log`, () => {
    if (running.end && !running.output.includes(`"event":"${event}"`))
        throw new Error(`it ended with ${JSON.stringify(running.end)}: ${running.output.slice(-3000)}`);
    return running.output.includes(`"event":"${event}"`);
});

/** The old engine has gone with 0, the new one serves. */
async function taken(next) {
    const old = shop.process;
    await says(next, 'engine.took_over');
    shop.process = next;
    assert.deepEqual(await old.ended, { code: 0, signal: null }, old.output.slice(-3000));
    assert.match(old.output, /"event":"engine\.handed_over"/);
}

/** A channel package that takes `loops` turns to load; Infinity: for ever. */
function slowScripts(loops) {
    const folder = path.join(shop.folder, `scripts-${loops}`);
    fs.cpSync(path.join(root, 'scripts'), folder, { recursive: true });
    const file = path.join(folder, 'channels/alipay/init.lua');
    const slow = loops === Infinity ? 'while true do end\n' : `for _ = 1, ${loops} do end\n`;
    fs.writeFileSync(file, slow + fs.readFileSync(file, 'utf8'));
    return { TAEL_SCRIPTS__FOLDER: folder };
}

/** Tries to take the store's lock all the time; the answer to end() is how often it was free. */
function watchLock() {
    const lock = path.join(shop.folder, 'data/tael.db.lock');
    const watcher = spawn('sh', ['-c',
        'while [ -e "$0.watch" ]; do flock -n "$0" true && echo free; sleep 0.005; done', lock]);
    fs.writeFileSync(`${lock}.watch`, '');
    let free = '';
    watcher.stdout.on('data', (data) => { free += data; });
    const ended = once(watcher, 'exit');
    return { async end() {
        fs.rmSync(`${lock}.watch`);
        await ended;
        return free.split('\n').length - 1;
    } };
}

/** The store's files that a process has open. */
function storeFiles(running) {
    const folder = `/proc/${running.child.pid}/fd`;
    return fs.readdirSync(folder).map((fd) => {
        try { return path.basename(fs.readlinkSync(path.join(folder, fd))); } catch { return ''; }
    }).filter((name) => /^tael\.db(-wal|-shm)?$/.test(name));
}

test('several takeovers under load refuse and fail nothing, and the number of workers may change', { timeout: 180_000 }, async (t) => {
    const lock = watchLock();
    const load = new Load(shop, { shops: 4 }).start();
    t.after(() => load.end());
    for (let round = 0; round < rounds; round++) {
        const seen = load.paid.length;
        await until('there is some load', () => load.paid.length > seen + 10);
        await taken(takeover({ TAEL_WORKERS: String([1, 3, 2][round % 3]) }));
        assert.deepEqual(load.failures.slice(0, 5), []);
    }
    const seen = load.paid.length;
    await until('the last engine serves', () => load.paid.length > seen + 10);
    await load.end();
    assert.deepEqual([load.failures.slice(0, 5), load.refused], [[], 0]);
    assert.equal(await lock.end(), 0, 'the lock was free');
    assert.deepEqual(await load.verify(40), []);
});

test('a successor that dies or fails, however far it has come, changes nothing', { timeout: 180_000 }, async (t) => {
    const lock = watchLock();
    const load = new Load(shop, { shops: 3 }).start();
    t.after(() => load.end());
    const old = shop.process;
    const goesOn = async (next) => {
        await next.ended;
        const seen = load.paid.length;
        await until('the old engine goes on', () => load.paid.length > seen + 5);
        assert.equal(old.end, undefined, old.output.slice(-3000));
        assert.deepEqual(load.failures.slice(0, 5), []);
        old.output = '';
    };

    // its configuration is wrong: nobody is asked
    let next = takeover({ TAEL_DRAIN: 'soon' });
    assert.equal((await next.ended).code, 3);
    assert.ok(!old.output.includes('engine.handing_over'));

    // while the old one still serves, and while it drains
    for (const event of ['engine.handing_over', 'engine.draining']) {
        next = takeover();
        await says(old, event);
        next.child.kill('SIGKILL');
        await goesOn(next);
    }

    // when the store is its own already, long before it serves
    next = takeover(slowScripts(Infinity));
    await says(next, 'store.opened');
    assert.deepEqual(storeFiles(old), [], 'the old one has closed the store');
    assert.ok(storeFiles(next).length > 0);
    next.child.kill('SIGKILL');
    await goesOn(next);

    // it fails by itself, with the store open
    const broken = slowScripts(1);
    fs.writeFileSync(path.join(broken.TAEL_SCRIPTS__FOLDER, 'channels/alipay/init.lua'), 'error "broken"\n');
    next = takeover(broken);
    assert.notEqual((await next.ended).code, 0);
    await goesOn(next);

    // at some moment
    for (let round = 0; round < rounds; round++) {
        next = takeover(slowScripts(Infinity));
        await sleep(Math.random() * 1500);
        next.child.kill('SIGKILL'); // unless it has given up already: its script does not end
        await goesOn(next);
    }
    await load.end();
    assert.equal(await lock.end(), 0, 'the lock was free');
    assert.deepEqual(await load.verify(40), []);
});

test('two successors that come at once follow each other, and both get every socket', { timeout: 120_000 }, async (t) => {
    const load = new Load(shop, { shops: 2 }).start();
    t.after(() => load.end());
    const sockets = (running) => /"event":"engine\.took_over","sockets":(\d+)/.exec(running.output)?.[1];
    for (let round = 0; round < 3 * rounds; round++) {
        const both = [takeover(), takeover()];
        await shop.process.ended;
        const first = await until('the first has gone', () => both.find((running) => running.end));
        shop.process = both.find((running) => running !== first);
        await says(shop.process, 'engine.took_over');
        assert.deepEqual(first.end, { code: 0, signal: null }, first.output.slice(-3000));
        assert.equal(sockets(shop.process), sockets(first));
        await shop.ready(shop.process);
    }
    await load.end();
    assert.deepEqual([load.failures.slice(0, 5), load.refused], [[], 0]);
});

/** The status of a request on a connection of its own, or what became of it. */
const ask = () => new Promise((resolve) => {
    http.get(`${shop.url}/healthz`, { agent: false, timeout: 8000 }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode));
    }).on('timeout', function () { this.destroy(new Error('nobody answers')); }).on('error', (err) => resolve(err.message));
});

test('a successor that listens already when it fails leaves the sockets as they were', { timeout: 120_000 }, async (t) => {
    const old = shop.process;
    const other = net.createServer().listen(await freePort(), '127.0.0.1');
    await once(other, 'listening');
    t.after(() => other.close());
    const taken = { TAEL_OPERATIONS__LISTEN: `127.0.0.1:${other.address().port}` };
    const goesOn = async () => {
        assert.deepEqual(await Promise.all(Array.from({ length: 24 }, ask)), Array(24).fill(200));
        assert.equal((await askOperator(shop.folder, 'GET', '/readyz')).status, 200);
        assert.equal(old.end, undefined, old.output.slice(-3000));
    };

    // one of its addresses is in use, and it has others already; who waits at those is answered
    let next = takeover({ ...slowScripts(3e7), ...taken });
    await says(next, 'store.opened');
    const waiting = Array.from({ length: 24 }, ask);
    assert.notEqual((await next.ended).code, 0);
    assert.deepEqual(await Promise.all(waiting), Array(24).fill(200));
    await goesOn();

    // it is told to stop when its first worker serves
    next = takeover({ ...slowScripts(3e7), TAEL_WORKERS: '3' });
    await until('the first worker listens', () => next.output.includes('"name":"local"'));
    await next.stop();
    assert.ok(!next.output.includes('engine.took_over'));
    await goesOn();
});

test('when the old engine dies on the way, the new one serves', { timeout: 180_000 }, async () => {
    const slow = slowScripts(3e7);
    for (const [who, event] of [['old', 'engine.handing_over'], ['old', 'engine.draining'], ['new', 'store.opened']]) {
        const old = shop.process;
        old.output = '';
        const next = takeover(slow);
        await says(who === 'old' ? old : next, event);
        process.kill(old.child.pid, 'SIGKILL');
        await old.ended;
        shop.process = next;
        await says(next, 'engine.started');
        await shop.ready(next);
        assert.equal((await shop.create(`D${event}`)).status, 201);
    }
});

test('a stop in the middle of a takeover ends the old engine, and the new one serves', { timeout: 60_000 }, async () => {
    const old = shop.process;
    const next = takeover(slowScripts(3e7));
    await says(next, 'store.opened');
    assert.deepEqual(await old.stop(), { code: 0, signal: null });
    shop.process = next;
    await says(next, 'engine.took_over');
    assert.equal((await shop.create('DSTOP')).status, 201);
});

test('an engine that is only starting is taken over once it serves', { timeout: 60_000 }, async () => {
    await shop.stop();
    shop.process = shop.serve([], slowScripts(4e7));
    started.push(shop.process);
    await says(shop.process, 'store.opened');
    await taken(takeover());
    assert.equal((await shop.create('DEARLY')).status, 201);
});

const mayTrace = spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;

test('a successor asks who serves now, and has read each key for all its workers before', { timeout: 60_000, skip: !mayTrace }, async () => {
    await taken(takeover()); // whoever serves now has inherited the socket where it is asked
    const trace = path.join(shop.folder, 'trace'), old = shop.process;
    const next = takeover({}, ['strace', '-D', '-I2', '-f', '-qq', '-e', 'trace=read,connect,pidfd_open', '-y', '-o', trace]); // -D: it is the child
    await taken(next);
    const [, tracer] = /^TracerPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${next.child.pid}/status`, 'utf8'));
    process.kill(Number(tracer), 'SIGINT'); // it lets go of the engine
    await until('nobody traces it', () => /^TracerPid:\s+0$/m.test(fs.readFileSync(`/proc/${next.child.pid}/status`, 'utf8')));
    const calls = fs.readFileSync(trace, 'utf8').split('\n');
    const all = (what) => calls.flatMap((call, i) => (what.test(call) ? [i] : []));
    assert.equal(all(new RegExp(`pidfd_open\\(${old.child.pid},`)).length, 1, 'it waits for the end of the one that it asked');
    const [asks] = all(/connect\(.*tael\.takeover"/);
    for (const key of ['demo.alipay.key', 'sandbox.alipay.pub']) {
        const reads = all(new RegExp(`read\\(\\d+<[^>]*/${key.replaceAll('.', '\\.')}>`));
        assert.ok(reads.length > 0, `${key} was read`);
        assert.ok(reads.every((at) => at < asks), `${key} was read before the old engine was asked, and not again`);
    }
    assert.equal((await shop.create('DKEYS')).status, 201);
});

test('without an engine that runs, --takeover starts one', { timeout: 60_000 }, async () => {
    await shop.stop();
    shop.process = takeover();
    await shop.ready(shop.process);
    assert.ok(!shop.process.output.includes('engine.took_over'));
    const socket = path.join(shop.folder, 'data/tael.takeover');
    await until('it can be asked', () => fs.existsSync(socket));
    assert.equal(fs.statSync(socket).mode & 0o777, 0o600);
});
