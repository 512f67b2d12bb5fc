// measured.mjs - a server under measurement: one process or a tree of them, on one core, its output in a file.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { placed, settings } from './settings.mjs';

const TICK_NS = 1e7; // of /proc/stat
const PATIENCE_MS = 30000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** CPU time so far, ns: of one core, or of all of them (null). */
function busy(core) {
    const line = fs.readFileSync('/proc/stat', 'utf8').split('\n').find((text) => text.startsWith(`cpu${core ?? ''} `));
    const [user, nice, system, , , irq, softirq, steal] = line.trim().split(/\s+/).slice(1).map(Number);
    return (user + nice + system + irq + softirq + steal) * TICK_NS;
}

/** Is this request answered with a 200? One connection, no waiting. */
function answers(port, path) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1');
        socket.on('connect', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`));
        socket.once('data', (data) => { resolve(/^HTTP\/1.1 200/.test(data.toString('latin1'))); socket.destroy(); });
        socket.on('error', () => resolve(false));
        socket.on('close', () => resolve(false));
    });
}

/** What a thread's file holds; nothing of one that has ended since it was listed. */
function ofTask(pid, task, file) {
    try {
        return fs.readFileSync(`/proc/${pid}/task/${task}/${file}`, 'utf8');
    } catch (error) {
        if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
        return '';
    }
}

export class Measured {
    /** core null: wherever there is room. */
    constructor({ name, core = settings.serverCore, log }) {
        Object.assign(this, { name, core, log });
    }

    /** Starts it and waits until `path` is answered; start_ms says how long that took. */
    async launch(program, args, { cwd, env, port, path }) {
        const log = fs.openSync(this.log, 'a');
        const [command, all] = placed(this.core, program, args);
        const from = performance.now();
        this.process = spawn(command, all, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', log, log] });
        fs.closeSync(log);
        this.ended = once(this.process, 'exit');
        while (!await answers(port, path)) {
            if (this.process.exitCode !== null || performance.now() - from > PATIENCE_MS)
                throw new Error(`${this.name} did not start; its log: ${this.log}`);
            await sleep(1);
        }
        this.start_ms = performance.now() - from;
    }

    /** Ends it; gives its exit code or signal. */
    async end() {
        if (!this.process) return 0;
        if (this.process.exitCode === null && this.process.signalCode === null)
            process.kill(this.process.pid, 'SIGTERM');
        const [code, signal] = await this.ended;
        return code ?? signal;
    }

    pids() {
        const tree = (pid) => {
            const tasks = fs.readdirSync(`/proc/${pid}/task`);
            const children = tasks.flatMap((task) => ofTask(pid, task, 'children').trim().split(/\s+/).filter(Boolean));
            return [pid, ...children.flatMap(tree)];
        };
        return tree(String(this.process.pid));
    }

    /** Each thread so far: its id → { name, ns of CPU time }. */
    threads() {
        const each = new Map();
        for (const pid of this.pids()) {
            for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
                const name = ofTask(pid, task, 'comm').trim(), used = ofTask(pid, task, 'schedstat');
                if (name && used) each.set(task, { name, ns: Number(used.split(' ')[0]) });
            }
        }
        return each;
    }

    /** Memory now, KiB: its share of what it maps, and what is its alone and written. */
    memory() {
        const sum = { pss: 0, dirty: 0 };
        for (const pid of this.pids()) {
            const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
            sum.pss += Number(/^Pss:\s+(\d+)/m.exec(text)[1]);
            sum.dirty += Number(/^Private_Dirty:\s+(\d+)/m.exec(text)[1]);
        }
        return sum;
    }

    /**
     * Runs `work` (which gives the load's CPU time and how long it waited for its core) and says what it cost: CPU of
     * the server by thread, and how much others took: of the server's core, or of the load's time, whichever is more.
     */
    async during(work) {
        const threads = this.threads(), before = busy(this.core), from = performance.now();
        const result = await work();
        const wall = (performance.now() - from) * 1e6;
        const each = [...this.threads()].map(([id, { name, ns }]) => ({ name, ns: ns - (threads.get(id)?.ns ?? 0) }))
            .sort((a, b) => b.ns - a.ns);
        const cpu_ns = each.reduce((sum, { ns }) => sum + ns, 0);
        const beside = this.core === null ? result.load_cpu_s * 1e9 : 0;
        const taken = busy(this.core) - before - cpu_ns - beside;
        const others = Math.max(taken, result.load_wait_s * 1e9, 0) / wall;
        return { result, cpu_ns, each, others };
    }
}
