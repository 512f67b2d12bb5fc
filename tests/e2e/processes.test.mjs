// processes.test.mjs - merchants' rules in processes: sealed, killed under load again and again, gone with the engine.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, program, root, saveFile, sleep, temporaryFolder, until } from './tael.mjs';

const scripts = temporaryFolder('processes');
const engine = new Engine({ scripts, env: {
    TAEL_WORKERS: '2', TAEL_SCRIPTS__ISOLATION: 'process', TAEL_SCRIPTS__SHARE: '100',
    TAEL_LIMITS__KEY: 'false', // one key asks as fast as it is answered
} });
const home = path.join(scripts, 'merchants/demo.test');
const sanitized = /san-/.test(program); // which needs the system itself, and handles signals its own way
const KILLS = Number(process.env.KILLS ?? 40); // 1000 in make long
let orders = 0;

/** A server of somebody else's that answers when it is let. */
const waiting = [];
const slow = http.createServer((request, response) => { waiting.push(response); });

before(async () => {
    await new Promise((resolve) => { slow.listen(0, '127.0.0.1', resolve); });
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), `return { merchants = { ["demo.test"] = {
        name = "Demo", mode = "test", hosts = { "127.0.0.1:${slow.address().port}" }, accounts = { ["alipay-demo"] = {
            channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
            seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" } } } } }\n`, { mode: 0o600 });
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true, force: true });
    fs.mkdirSync(home, { recursive: true });
    save('first');
    await engine.start();
});
after(async () => {
    slow.close();
    slow.closeAllConnections();
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

function save(reason, work = '') {
    saveFile(path.join(home, 'rules.lua'), `return { risk = function() ${work} return "deny", "${reason}" end }\n`);
}
const create = () => engine.create(`P${++orders}`);
const many = (count) => Promise.all(Array.from({ length: count }, create));
/** The end of what the engine has said, for a failure's message. */
const output = () => engine.process.output.slice(-3000);
function settled(reason) {
    let last = [];
    return until(() => `both workers run '${reason}': ${JSON.stringify(last.map(({ status, body }) => [status, body.detail]))}\n${output()}`,
        async () => (last = await many(16)).every((answer) => answer.body.detail === reason));
}

/** What /proc says of each process that runs scripts for this engine. */
function processes(parent = engine.process.child.pid) {
    const found = [];
    for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        try {
            const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
            const field = (name) => status.match(new RegExp(`^${name}:\\s*(.*)`, 'm'))?.[1];
            if (field('Name') === 'tael-script' && Number(field('PPid')) === parent) found.push({ pid: Number(pid), field });
        } catch (err) {
            if (!['ENOENT', 'ESRCH'].includes(err.code)) throw err; // it has ended meanwhile
        }
    }
    return found;
}
/** Decided by the rule: the one before, where a worker is just loading what was saved. */
const ruled = (answer, round) => answer.status === 402
    && [`round ${round}`, `round ${round - 1}`].includes(answer.body.detail);
const living = () => processes().filter(({ field }) => !/^[ZX]/.test(field('State')));

/** How many were killed: it may have ended by itself meanwhile. */
function crash(pid) {
    try {
        process.kill(pid, sanitized ? 'SIGKILL' : 'SIGSEGV');
        return 1;
    } catch (err) {
        if (err.code !== 'ESRCH') throw err;
        return 0;
    }
}

/** A warm one for each worker, and one for each that was asked: connections choose their worker. */
const enough = () => [3, 4].includes(living().length);

test('each process is sealed, and holds its socket and nothing else', async () => {
    await settled('first');
    await until('all are sealed', () => {
        const all = living();
        return enough() && all.every(({ field }) => field('NoNewPrivs') === '1' && (sanitized || field('Seccomp') === '2'));
    }, 20);
    for (const { pid } of living()) {
        if (process.getuid() === 0) assert.deepEqual(fs.readdirSync(`/proc/${pid}/fd`), ['3'], `descriptors of ${pid}`);
        const limits = fs.readFileSync(`/proc/${pid}/limits`, 'utf8');
        assert.match(limits, /^Max core file size +0 /m);
        assert.match(limits, /^Max open files +4 /m);
        assert.match(limits, /^Max processes +0 /m);
    }
});

test('a process that is killed takes with it what ran in it, and nothing else', async () => {
    let defaults = 0, killed = 0;
    for (let round = 1; round <= 15; round++) {
        save(`round ${round}`);
        await settled(`round ${round}`);
        const burst = many(24);
        // the warm ones too: what replaces a process may be gone itself
        for (const { pid } of living()) {
            killed += crash(pid);
        }
        for (const answer of await burst) {
            const held = answer.status === 201 && answer.body.state === 'review' && answer.body.reason === 'risk';
            defaults += held;
            assert.ok(held || ruled(answer, round), answer.text);
        }
        for (const answer of await many(8)) assert.ok(ruled(answer, round), answer.text);
    }
    assert.ok(killed >= 30, `${killed} killed`);
    assert.ok(defaults <= killed, `${defaults} payments had their rule's default, of ${killed} processes`);
    await until('all are there again, and none is left that has ended', () => enough() && processes().length === living().length, 20);
});

test(`${KILLS} processes are killed one by one while payments are created: only what ran in them has its default`, async () => {
    let round = 0, killed = 0, running = true, inRow = 0;
    const answers = { ruled: 0, held: 0 }, failures = [];
    const said = new Set(['round 15']), newest = () => `load ${round}`;
    /** Who is killed again and again rests for a while: after a few, others are asked, by both workers. */
    async function change() {
        said.add(`load ${++round}`);
        inRow = 0;
        save(newest(), 'for i = 1, 60000 do end');
        await until(() => `both workers run '${newest()}'\n${output()}`, () => inRow >= 32);
    }
    async function keepCreating() {
        while (running) {
            const answer = await create();
            if (answer.status === 402) inRow = answer.body.detail === newest() ? inRow + 1 : 0;
            if (answer.status === 402 && said.has(answer.body.detail)) answers.ruled++;
            else if (answer.status === 201 && answer.body.state === 'review' && answer.body.reason === 'risk') answers.held++;
            else failures.push(answer.text);
        }
    }
    const creators = Array.from({ length: 8 }, keepCreating);
    while (killed < KILLS) {
        if (killed % 3 === 0) await change();
        const all = living();
        if (all.length > 0) {
            killed += crash(all[Math.floor(Math.random() * all.length)].pid);
        }
        await sleep(Math.random() * 20);
    }
    await change();
    await until(() => `more are decided by the rule than were killed: ${answers.ruled} of ${killed}`, () => answers.ruled > killed);
    running = false;
    await Promise.all(creators);
    console.log(`# ${answers.ruled} decided by the rule, ${answers.held} had its default, ${killed} killed`);
    assert.deepEqual(failures.slice(0, 5), []);
    assert.ok(answers.held <= killed, `${answers.held} had their default, of ${killed} processes`);
    save('round 15');
    await settled('round 15');
    await until('all are there again, and none is left that has ended', () => enough() && processes().length === living().length, 20);
});

/** Ticks of the processor that it has taken. */
function ticks(pid) {
    try {
        return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ').slice(13, 15).map(Number).reduce((a, b) => a + b);
    } catch {
        return 0;
    }
}

test('a check that crashes its process takes nothing with it that runs', async () => {
    saveFile(path.join(home, 'routes.lua'), `local tael = require "tael"
return {
    ["GET /here"] = { auth = "none", handler = function() return { text = "here" } end },
    ["GET /slow"] = { auth = "none", handler = function()
        return { text = tostring(tael.http.get("http://127.0.0.1:${slow.address().port}/").body) }
    end },
}\n`);
    const answered = [];
    /** Each by a connection of its own, which one that is kept would bind to one worker. */
    const ask = (name) => new Promise((resolve, reject) => {
        http.get(`${engine.url}/m/demo.test/${name}`, { agent: false }, async (response) => {
            resolve({ status: response.statusCode, text: (await response.toArray()).join('') });
        }).on('error', reject);
    });
    const eight = (name) => Promise.all(Array.from({ length: 8 }, async () => {
        const answer = await ask(name);
        if (name === 'slow') answered.push(answer);
        return answer;
    }));
    await until('both workers serve its routes', async () => (await Promise.all([eight('here'), eight('here')])).flat()
        .every(({ status }) => status === 200));
    const before = living().map(({ pid }) => [pid, ticks(pid)]);
    const live = eight('slow');
    await until(() => `all wait for the other server: ${waiting.length} do, answered ${JSON.stringify(answered)}\n${output()}`,
        () => waiting.length === 8);
    const spec = 'for i = 1, 100 do it("t" .. i, function() local x = 0 for j = 1, 300000 do x = x + 1 end end) end';
    const check = engine.operator('POST', '/v1/scripts/merchants/demo.test/check', { files: {
        'rules.lua': 'return { risk = function() return "allow" end }\n', 'spec/slow_spec.lua': spec } });
    const burning = await until('its specs run', () => living().map(({ pid }) => pid)
        .find((pid) => ticks(pid) - (new Map(before).get(pid) ?? 0) > 5), 20);
    crash(burning);
    const { status, body } = await check;
    assert.deepEqual([status, body.ok], [200, false], JSON.stringify(body));
    assert.match(body.errors[0].detail, /the process that ran it has died/);
    for (const response of waiting.splice(0)) response.end('fine');
    for (const answer of await live) assert.deepEqual([answer.status, answer.text], [200, 'fine']);
    await until('what was only checked has no process any more', () => enough() && processes().length === living().length, 20);
    fs.rmSync(path.join(home, 'routes.lua'));
});

test('they end with the engine, however it ends', async () => {
    for (const signal of ['SIGTERM', 'SIGKILL']) {
        const pids = living().map(({ pid }) => pid);
        assert.ok(pids.length >= 3);
        await engine.stop(signal);
        await until(`gone after ${signal}`, () => pids.every((pid) => !fs.existsSync(`/proc/${pid}`)
            || /^Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1])), 20);
        await engine.start();
        await settled('round 15');
        await until('there are new ones', enough, 20);
    }
});

test('where a process may not have the stack it needs the engine says so and does not start; doctor knows', async () => {
    const { spawnSync } = await import('node:child_process');
    const cwd = temporaryFolder('stack');
    const run = (kib, words) => spawnSync('bash', ['-c', `ulimit -s ${kib}; exec ${program} ${words}`], {
        cwd, encoding: 'utf8', timeout: 60000,
        env: {
            ...process.env, ...engine.environment, TAEL_HTTP__LISTEN: '127.0.0.1:0', TAEL_OPERATIONS__LISTEN: '127.0.0.1:0',
            TAEL_SANDBOX__LISTEN: '127.0.0.1:0',
        },
    });
    const end = run(4096, 'serve --dev');
    assert.notEqual(end.status, 0);
    assert.match(end.stderr, /scripts\.isolation = \\?"process\\?": its processes need 8 MiB of stack[^\n]*LimitSTACK/);
    assert.match(run(4096, 'doctor --dev').stdout, /^fail scripts +scripts\.isolation = "process": its processes need 8 MiB of stack[^\n]*LimitSTACK/m);
    assert.match(run(8192, 'doctor --dev').stdout, /^ok +scripts /m);
});

test('where the program is not to be had the engine says so and does not start', async () => {
    const alone = path.join(scripts, 'bin');
    fs.mkdirSync(alone);
    fs.mkdirSync(path.join(scripts, 'share/tael'), { recursive: true });
    fs.symlinkSync(path.join(root, 'lua'), path.join(scripts, 'share/tael/lua'));
    fs.copyFileSync(program, path.join(alone, 'tael'));
    const { spawnSync } = await import('node:child_process');
    const end = spawnSync(path.join(alone, 'tael'), ['serve', '--dev'], {
        cwd: temporaryFolder('alone'), encoding: 'utf8', timeout: 60000,
        env: {
            ...process.env, ...engine.environment, TAEL_HTTP__LISTEN: '127.0.0.1:0', TAEL_OPERATIONS__LISTEN: '127.0.0.1:0',
            TAEL_SANDBOX__LISTEN: '127.0.0.1:0',
        },
    });
    assert.notEqual(end.status, 0);
    assert.match(end.stdout + end.stderr, /scripts\.isolation = \\?"process\\?": tael-script is neither/);
});
