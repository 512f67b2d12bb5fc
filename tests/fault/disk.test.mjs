// disk.test.mjs - the disk is full, read-only, or answers with errors, while the engine serves: who asks is refused with a
// reason, nothing that was acknowledged is lost, and once the disk works the engine does, without a restart.
// A limit on the size of files works everywhere; a file system of our own needs leave to mount, and errors in the middle
// of system calls need leave to trace: where there is none, those are left out and said to be.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Alipay } from '../e2e/alipay.mjs';
import { Engine, Process, temporaryFolder, until } from '../e2e/tael.mjs';

const run = (program, ...args) => spawnSync(program, args, { encoding: 'utf8' });
const must = (program, ...args) => {
    const { status, stderr, error } = run(program, ...args);
    assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr} ${error ?? ''}`);
};

// ---- ways for a disk to fail ----

/** No file may grow: what the kernel does at a limit is what it does on a full disk. */
const limited = {
    fail: (engine) => must('prlimit', '--pid', String(engine.process.child.pid), '--fsize=1:unlimited'),
    mend: (engine) => must('prlimit', '--pid', String(engine.process.child.pid), '--fsize=unlimited:unlimited'),
};

/** A file system of 12 MiB, filled by a file beside the store. */
const filled = {
    prepare(folder) {
        must('mount', '-t', 'tmpfs', '-o', 'size=12m,mode=0700', 'tmpfs', folder);
        return () => must('umount', '-l', folder);
    },
    fail(engine) {
        const file = fs.openSync(path.join(engine.folder, 'ballast'), 'w');
        try {
            for (;;) fs.writeSync(file, Buffer.alloc(4096));
        } catch (err) {
            assert.equal(err.code, 'ENOSPC');
        } finally {
            fs.closeSync(file);
        }
    },
    mend: (engine) => fs.rmSync(path.join(engine.folder, 'ballast')),
};

/** System calls of the running engine end with an error. */
const traced = (calls, error) => ({
    async fail(engine) {
        this.strace = spawn('strace', ['-f', '-qq', '-o', '/dev/null', '-p', String(engine.process.child.pid),
            '-e', `trace=${calls}`, '-e', `inject=${calls}:error=${error}`]);
        await until('strace is attached', () => {
            const status = fs.readFileSync(`/proc/${engine.process.child.pid}/status`, 'utf8');
            return Number(/^TracerPid:\s+(\d+)/m.exec(status)[1]) === this.strace.pid;
        });
    },
    async mend() {
        const ended = new Promise((resolve) => this.strace.once('exit', resolve));
        this.strace.kill('SIGINT'); // it lets go of the engine
        await ended;
    },
});

const mayMount = (() => {
    const folder = temporaryFolder('mount');
    const done = run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder).status === 0;
    if (done) must('umount', folder);
    fs.rmdirSync(folder);
    return done;
})();
const mayTrace = (() => {
    const sleeper = spawn('sleep', ['60']);
    const { status } = run('timeout', '-s', 'INT', '1', 'strace', '-qq', '-o', '/dev/null', '-p', String(sleeper.pid));
    sleeper.kill();
    return status === 124 || status === 130; // it was attached until it was told to stop
})();

const ways = [
    ['no file may grow', limited, /full/, true],
    ['the disk is full', filled, /full/, mayMount],
    ['writes say that the disk is full', traced('pwrite64', 'ENOSPC'), /full/, mayTrace],
    ['writes fail', traced('pwrite64', 'EIO'), /errors/, mayTrace],
    ['syncs fail', traced('fdatasync', 'EIO'), /errors/, mayTrace],
    ['the disk has become read-only', traced('pwrite64,fdatasync,ftruncate', 'EROFS'), /read-only/, mayTrace],
];

// ---- what is asked meanwhile ----

const readiness = async (engine) => {
    const answer = await fetch(`${engine.operations}/readyz`);
    return { status: answer.status, ...await answer.json() };
};

/** Creates until one is refused; all of them: those acknowledged and the refused one. */
async function createUntilRefused(engine, prefix) {
    const made = [];
    for (let i = 0; i < 5000; i++) {
        const answer = await engine.create(`${prefix}${i}`);
        if (answer.status !== 201) return { made, refused: `${prefix}${i}`, answer };
        made.push(answer.body);
    }
    throw new Error('5000 creates were taken');
}

function assertRefused({ status, body, headers, text }) {
    assert.equal(status, 503, text);
    assert.equal(body.code, 'store_unavailable');
    assert.equal(body.retriable, true);
    assert.match(body.detail, /send it again/);
    assert.ok(Number(headers.get('retry-after')) >= 1);
}

async function live(engine, way, words) {
    const alipay = new Alipay(engine);
    const [before, open] = [await engine.create('before'), await engine.create('open')].map(({ body }) => body);
    assert.equal(await alipay.notify(before), 'success');
    await way.fail(engine);
    const { made, refused, answer } = await createUntilRefused(engine, 'F');
    assertRefused(answer);
    const { status, checks } = await readiness(engine);
    assert.equal(status, 503);
    assert.match(checks.find(({ name }) => name === 'disk').detail, words);
    assert.match(checks.find(({ name }) => name === 'writer').detail, words);
    assert.equal((await engine.payment(before.id)).state, 'paid', 'what is stored can still be read');
    assert.notEqual(await alipay.notify(open), 'success', 'what cannot be stored is not acknowledged');
    assert.equal((await fetch(`${engine.url}/healthz`)).status, 200);

    await way.mend(engine);
    await until('the engine says that it is ready, with nobody writing', async () => (await readiness(engine)).status === 200);
    assert.equal((await engine.create(refused)).status, 201);
    assert.equal(await alipay.notify(open), 'success');
    for (const { id } of made) assert.equal((await engine.payment(id)).state, 'pending');
    assert.equal((await engine.payment(open.id)).state, 'paid');
    const lines = engine.process.output.split('\n');
    assert.ok(lines.some((line) => line.includes('"store.trouble"') && line.includes('tael.db')), 'the log says it');
    assert.ok(lines.some((line) => line.includes('"store.recovered"')), 'and that it is over');
    await engine.prove();
}

for (const [name, way, words, may] of ways) {
    test(`${name}: refused, then served again`, { skip: !may && 'not permitted here' }, async (t) => {
        const folder = temporaryFolder('disk');
        const clean = way.prepare?.(folder);
        const engine = new Engine({ folder, env: { TAEL_LIMITS__KEY: 'false' } });
        t.after(async () => {
            await engine.process?.stop('SIGKILL');
            clean?.();
            fs.rmSync(folder, { recursive: true });
        });
        await engine.start();
        await live(engine, way, words);
    });
}

test('a start on a read-only or full disk is refused in words', { skip: !mayMount && 'not permitted here' }, async (t) => {
    const folder = temporaryFolder('disk');
    must('mount', '-t', 'tmpfs', '-o', 'size=12m,mode=0700', 'tmpfs', folder);
    t.after(() => {
        must('umount', '-l', folder);
        fs.rmdirSync(folder);
    });
    const engine = await new Engine({ folder }).start();
    const { body } = await engine.create('kept');
    await engine.stop('SIGKILL'); // with its log
    const refused = async (words) => {
        const starting = new Process(['serve', '--dev'], { cwd: folder, env: engine.environment });
        const { code } = await starting.ended;
        assert.notEqual(code, 0);
        assert.match(starting.output, words);
        assert.match(starting.output, /next: /);
    };
    must('mount', '-o', 'remount,ro', folder);
    await refused(/[Rr]ead-only/);
    must('mount', '-o', 'remount,rw', folder);
    filled.fail(engine);
    await engine.process.ended;
    filled.mend(engine);
    await engine.start();
    assert.equal((await engine.payment(body.id)).state, 'pending');
    await engine.prove();
});
