// bench.mjs - what one core does: payments created, notifications settled, beside the limits of the machine.
// Every answer is checked, the signature of every page URL is verified, and the store is counted afterwards:
// figures are printed only when all of it agrees. How long something takes never decides the exit code.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { root } from '../e2e/tael.mjs';
import * as limits from './limits.mjs';
import { answers, readCreated, writeCreates, writeNotifications } from './requests.mjs';
import { Server } from './server.mjs';
import { Store } from './store.mjs';
import { printChecks, printMachine, printRows } from './table.mjs';

const CREATES_MAX = 6000; // more a second than one core can sign
const RATED_SECONDS = 3;
const output = path.join(root, 'build/bench');

function readSettings(works) {
    const number = (name, usual) => Number(process.env[name] ?? usual);
    const [first, second] = limits.allowedCores();
    const alone = second === undefined;
    return {
        wants: (work) => works.length === 0 || works.includes(work),
        seconds: number('SECONDS_EACH', 5), warm: number('WARM', 1), connections: number('CONNECTIONS', 64),
        rate: number('RATE', 800), payments: number('PAYMENTS', 40000), workers: number('WORKERS', 1),
        serverCore: alone ? null : number('SERVER_CORE', first), loadCore: alone ? null : number('LOAD_CORE', second),
        profile: process.env.PROFILE,
    };
}

class Bench {
    constructor(setup) {
        this.setup = setup;
        fs.mkdirSync(output, { recursive: true });
        this.folder = fs.mkdtempSync(path.join(output, 'run-')); // not /tmp: that may be memory
        this.rows = [];
        this.created = [];
        this.settled = { good: 0, forged: 0, payments: new Set() };
    }

    file(name) {
        return path.join(this.folder, name);
    }

    async start() {
        const { serverCore, workers } = this.setup;
        this.machine = limits.machine();
        this.rsa = limits.rsa(serverCore, 1);
        this.flush = limits.flush(this.folder, 1);
        this.server = new Server({ folder: this.folder, core: serverCore, workers });
        await this.server.start();
        this.store = new Store(this.file('data/tael.db'));
        this.memory = { idle: this.server.memory() };
    }

    // ---- one run of the load ----

    /** The figures of the load; throws when an answer was wrong or missing. */
    async load(options) {
        const args = ['-p', this.server.port, '-c', this.setup.connections];
        for (const [flag, value] of Object.entries(options)) args.push(`-${flag}`, value);
        const [command, all] = limits.pinned(this.setup.loadCore, path.join(output, 'load'), args.map(String));
        const child = spawn(command, all, { stdio: ['ignore', 'pipe', 'inherit'] });
        let text = '';
        child.stdout.on('data', (data) => { text += data; });
        const [code] = await once(child, 'close');
        if (code !== 0) throw new Error(`answers were wrong or missing: ${text.trim()}`);
        return JSON.parse(text);
    }

    /** perf beside a work, where a folder for it is named; gives what ends it. The libraries keep no frame pointers. */
    profile(name) {
        if (!this.setup.profile) return async () => {};
        fs.mkdirSync(this.setup.profile, { recursive: true });
        const perf = spawn('perf', ['record', '-q', '-F', '499', '--call-graph', 'dwarf,16384',
            '-p', String(this.server.process.pid),
            '-o', path.join(this.setup.profile, `${name.replace(/\W+/g, '-')}.perf`)], { stdio: 'inherit' });
        const ended = once(perf, 'exit');
        return async () => {
            perf.kill('SIGINT');
            await ended;
        };
    }

    /** The load's figures, what they cost the server and what was written to the store. */
    async measure(name, limit, options) {
        const before = this.store.written();
        const endProfile = this.profile(name);
        const { result, cpu_ns, each, ...rest } = await this.server.during(() => this.load(options));
        await endProfile();
        const written = Store.perRequest(before, this.store.written(), result.right);
        const us = (ns) => ns / 1000 / result.right;
        this.rows.push({
            work: name, limit, fixed: 'r' in options, ...result, ...written, ...rest, cpu_us: us(cpu_ns),
            thread_us: each.map(us).filter((part) => part >= 0.5),
        });
    }

    agree(what, found, expected) {
        if (found !== expected) throw new Error(`${what}: the store has ${found}, the answers say ${expected}`);
    }

    // ---- the works ----

    /** Creates `count` payments at most, by `run`. */
    async create(count, run) {
        const files = { f: this.file('create.requests'), o: this.file('create.answers') };
        writeCreates(files.f, this.server.key, this.created.length + 1, count);
        await run(files);
        this.created.push(...readCreated(files.o, this.folder));
        this.agree('payments', this.store.payments(), this.created.length);
    }

    async measureCreate() {
        const { seconds, warm } = this.setup;
        await this.create(CREATES_MAX * (seconds + warm), (files) =>
            this.measure('create', this.rsa.sign, { ...files, d: seconds + warm, w: warm }));
    }

    async createUpTo(count) {
        if (count > this.created.length)
            await this.create(count - this.created.length, (files) => this.load(files));
    }

    async notify(name, payments, options) {
        const files = { f: this.file('notify.requests'), o: this.file('notify.answers') };
        const meaning = await writeNotifications(files.f, payments, this.folder);
        await this.measure(name, this.rsa.verify, { ...files, ...options });
        for (const [id] of answers(files.o)) {
            const { kind, payment } = meaning[id];
            this.settled[kind === 'forged' ? 'forged' : 'good']++;
            if (kind !== 'forged') this.settled.payments.add(payment);
        }
        this.compareSettled();
    }

    compareSettled() {
        const found = this.store.settled(), payments = this.settled.payments.size;
        this.agree('paid payments', found.paid, payments);
        this.agree('transitions to paid', found.transitions, payments);
        this.agree('notifications with an effect', found.effective, payments);
        this.agree('repeated notifications', found.repeats, this.settled.good - payments);
        this.agree('forged notifications', found.refused, 0);
    }

    async measureNotify() {
        const { seconds, warm, rate, payments } = this.setup;
        await this.createUpTo(payments + rate * RATED_SECONDS);
        await this.notify('notify', this.created.slice(0, payments), { d: seconds + warm, w: warm });
        await this.notify(`notify, ${rate}/s`, this.created.slice(payments, payments + rate * RATED_SECONDS),
            { r: rate, d: RATED_SECONDS, w: 0.5 });
    }

    async run() {
        await this.start();
        printMachine(this);
        if (this.setup.wants('create')) await this.measureCreate();
        if (this.setup.wants('notify')) await this.measureNotify();
        this.memory.after = this.server.memory();
        printRows(this.rows);
        printChecks(this);
        const { machine, rsa, flush, memory, rows } = this;
        fs.writeFileSync(path.join(output, 'last.json'),
            `${JSON.stringify({ machine, rsa, flush, memory, rows }, null, 2)}\n`);
    }
}

const bench = new Bench(readSettings(process.argv.slice(2)));
let failure;
for (const step of [() => bench.run(), () => bench.server?.stop()])
    await Promise.resolve().then(step).catch((error) => { failure ??= error; });
if (failure) {
    console.error(`bench: ${failure.message}\nbench: what it left is in ${bench.folder}`);
    process.exitCode = 1;
} else {
    fs.rmSync(bench.folder, { recursive: true });
}
