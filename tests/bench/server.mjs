// server.mjs - the measured engine: development mode, a folder of its own, one core, its log in a file.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, program, root, until } from '../e2e/tael.mjs';
import { pinned } from './limits.mjs';

const TICK_NS = 1e7; // of /proc/stat

/** Open payments are asked about from five seconds on; here, where none is paid at once, after an hour. */
function scriptsThatDoNotAsk(folder) {
    const copy = path.join(folder, 'scripts');
    fs.cpSync(path.join(root, 'scripts'), copy, { recursive: true });
    const file = path.join(copy, 'channels/alipay/init.lua');
    const text = fs.readFileSync(file, 'utf8');
    const changed = text.replaceAll(/query_after = \{[^}]*\}/g, 'query_after = { "1h" }');
    if (changed === text) throw new Error('scripts/channels/alipay/init.lua: query_after is not where it was');
    fs.writeFileSync(file, changed);
    return copy;
}

export class Server {
    constructor({ folder, core, workers }) {
        Object.assign(this, { folder, core, workers });
    }

    async start() {
        this.port = await freePort();
        this.url = `http://127.0.0.1:${this.port}`;
        const operations = `127.0.0.1:${await freePort()}`;
        this.operations = `http://${operations}`;
        this.log = path.join(this.folder, 'engine.log');
        const log = fs.openSync(this.log, 'a');
        const [command, args] = pinned(this.core, program, ['serve', '--dev']);
        this.process = spawn(command, args, {
            cwd: this.folder,
            stdio: ['ignore', log, log],
            env: {
                ...process.env,
                TAEL_WORKERS: String(this.workers),
                TAEL_HTTP__LISTEN: `127.0.0.1:${this.port}`,
                TAEL_HTTP__PUBLIC_URL: this.url,
                TAEL_OPERATIONS__LISTEN: operations,
                TAEL_LIMITS__KEY: 'false', // one key asks for all clients
                TAEL_SANDBOX__LISTEN: `127.0.0.1:${await freePort()}`,
                TAEL_SCRIPTS__FOLDER: scriptsThatDoNotAsk(this.folder),
            },
        });
        fs.closeSync(log);
        this.ended = once(this.process, 'exit');
        await until('the engine is ready', async () => {
            if (this.process.exitCode !== null) throw new Error(`the engine ended; its log: ${this.log}`);
            return (await fetch(`${this.url}/readyz`).catch(() => null))?.ok;
        });
        this.key = fs.readFileSync(path.join(this.folder, 'data/demo.key'), 'utf8').trim();
        return this;
    }

    /** Throws unless the engine ends as it should. */
    async stop() {
        if (!this.process) return;
        if (this.process.exitCode === null && this.process.signalCode === null)
            process.kill(this.process.pid, 'SIGTERM');
        const [code, signal] = await this.ended;
        if (code !== 0) throw new Error(`the engine ended with ${code ?? signal}; its log: ${this.log}`);
    }

    proc(file) {
        return `/proc/${this.process.pid}/${file}`;
    }

    /** CPU time of each thread so far, ns. */
    threads() {
        return new Map(fs.readdirSync(this.proc('task')).map((thread) => {
            const [ns] = fs.readFileSync(this.proc(`task/${thread}/schedstat`), 'utf8').split(' ');
            return [thread, Number(ns)];
        }));
    }

    /** CPU time of everything on the server's core so far, ns; of all cores when it has none of its own. */
    coreBusy() {
        const line = fs.readFileSync('/proc/stat', 'utf8').split('\n')
            .find((text) => text.startsWith(`cpu${this.core ?? ''} `));
        const [user, nice, system, , , irq, softirq, steal] = line.trim().split(/\s+/).slice(1).map(Number);
        return (user + nice + system + irq + softirq + steal) * TICK_NS;
    }

    /** Proportional set size now, KiB; null where the system does not let us look. */
    memory() {
        try {
            return Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(this.proc('smaps_rollup'), 'utf8'))[1]);
        } catch {
            return null;
        }
    }

    /** Units of work and the commits that carried them so far. */
    async commits() {
        const text = await (await fetch(`${this.operations}/metrics`)).text();
        const [units, groups] = ['units', 'groups'].map((name) =>
            Number(new RegExp(`^tael_store_${name} (\\d+)$`, 'm').exec(text)[1]));
        return { units, groups };
    }

    /** What `work` costs: CPU of the server, and of others on its core; how many units share a commit. */
    async during(work) {
        const commits = await this.commits();
        const before = this.threads(), busy = this.coreBusy(), from = performance.now();
        const result = await work();
        const wall = (performance.now() - from) * 1e6;
        const each = [...this.threads()].map(([thread, ns]) => ns - (before.get(thread) ?? 0)).sort((a, b) => b - a);
        const cpu_ns = each.reduce((sum, ns) => sum + ns, 0);
        const others = Math.max(0, this.coreBusy() - busy - cpu_ns) / wall;
        const now = await this.commits();
        const group = (now.units - commits.units) / (now.groups - commits.groups);
        return { result, cpu_ns, each, group, others: this.core === null ? null : others };
    }
}
