// bench.mjs - what one core does with Tael, beside the limits of the machine. Every answer is checked, the signature of
// every page URL is verified, and the store is counted: figures are printed only when all of it agrees.
//   node tests/bench/bench.mjs             measures; exit code 2 when an accepted ratio was lost
//   node tests/bench/bench.mjs --accept    makes the ratios of the last run the accepted ones
import fs from 'node:fs';
import path from 'node:path';
import { program } from '../e2e/tael.mjs';
import { betterOf, compare, kindOf, ratios } from './gates.mjs';
import { idleConnections } from './idle.mjs';
import * as limits from './limits.mjs';
import { load } from './load.mjs';
import { writeRoutes } from './requests.mjs';
import { Runs, isDisturbed } from './runs.mjs';
import { Server } from './server.mjs';
import { settings } from './settings.mjs';
import { printChecks, printGates, printMachine, printRoom, printWorks } from './table.mjs';
import { Works } from './works.mjs';

const STARTS = 5, CEILING_MAX = 250000;
const { output, accepted } = settings, last = path.join(output, 'last.json');

class Bench {
    constructor() {
        fs.mkdirSync(output, { recursive: true });
        this.folder = fs.mkdtempSync(path.join(output, 'run-'));
        this.servers = [];
        this.runs = new Runs();
    }

    newFolder(name) {
        const folder = path.join(this.folder, name);
        fs.mkdirSync(folder);
        return folder;
    }

    async start(server) {
        this.servers.push(server);
        await server.start();
        return server;
    }

    async stopAll() {
        for (const server of this.servers.splice(0)) await (server.stop ?? server.end).call(server);
    }

    /** The middle one of several starts, ms. */
    async startTime(make) {
        const times = [];
        for (let i = 0; i < STARTS; i++) {
            const server = make();
            await server.start();
            times.push(server.start_ms);
            await server.end();
        }
        return times.sort((a, b) => a - b)[STARTS >> 1];
    }

    /** A run between two looks at what RSA of the core allows just then: its speed changes from minute to minute. */
    async besideRsa(name, run) {
        const before = limits.rsa()[name];
        const row = await run();
        row.limit = (before + limits.rsa()[name]) / 2;
        row.cpu_limits = row.cpu_us * row.limit / 1e6;
        return row;
    }

    /** The same with the HTTP ceiling, whose runs are kept as well. */
    async besideCeiling(ceiling, run) {
        const before = await ceiling(), row = await run(), after = await ceiling();
        this.runs.rows.push(before, after);
        row.limit = (before.rate + after.rate) / 2;
        row.cpu_limits = 2 * row.cpu_us / (before.cpu_us + after.cpu_us);
        return row;
    }

    ceilingRun(ceiling) {
        const file = path.join(this.folder, 'ceiling.requests'), d = settings.seconds + settings.warm;
        writeRoutes(file, '/', CEILING_MAX * d, '=ok');
        return async () => {
            const { result, cpu_ns, others } = await ceiling.during(() => load(ceiling.port, { f: file, d, w: settings.warm }));
            return { work: 'HTTP ceiling (nginx, 2 bytes)', ...result, cpu_us: cpu_ns / 1000 / result.right, others };
        };
    }

    /** Creates with as many workers as cores, server and load wherever there is room, against one worker alike. */
    async twoWorkers() {
        for (const workers of [1, 2]) {
            const folder = this.newFolder(`workers-${workers}`);
            const server = await this.start(new Server({ folder, workers, core: null }));
            const works = new Works(server);
            await this.runs.once(async () => ({ ...await works.creates(), work: `create, ${workers} worker(s), both cores` }));
        }
    }

    async run() {
        const { runs } = this;
        const machine = limits.machine(), flush = limits.flush(this.folder, 1), groups = limits.groups(this.folder, 1);
        printMachine({ machine, flush, groups });
        const folder = this.newFolder('engine'), nginx = this.newFolder('nginx');
        const start_ms = await this.startTime(() => new Server({ folder }));
        const ceiling_start_ms = await this.startTime(() => new limits.Ceiling(nginx));
        const server = await this.start(new Server({ folder }));
        const memory = { idle: server.memory() };
        const idle = await idleConnections(server, settings.idle);
        const works = new Works(server);
        const ceiling = this.ceilingRun(await this.start(new limits.Ceiling(nginx)));
        const hasRoutes = await works.hasRoutes();
        await runs.inTurns([
            () => this.besideRsa('sign', () => works.creates()),
            async () => {
                const payments = await works.open(settings.payments);
                const row = await this.besideRsa('verify', () => works.notifies(payments));
                memory.load = row.memory;
                return row;
            },
            () => works.notifiesAtRate(),
            () => works.notifiesBesideCreates(),
            hasRoutes ? () => this.besideCeiling(ceiling, () => works.routes()) : ceiling,
        ]);
        await this.stopAll();
        await this.twoWorkers();
        const measured = {
            machine, flush, groups, memory, idle, start_ms, ceiling_start_ms,
            connections: settings.connections,
            create: runs.middle('create'), notify: runs.middle('notify'),
            rated: runs.middle(`notify, ${settings.rate}/s`), beside: runs.middle(`notify, ${settings.rate}/s beside creates`),
            route: runs.middle('route'), ceiling: runs.middle('HTTP ceiling (nginx, 2 bytes)'),
            one: runs.middle('create, 1 worker(s), both cores'), two: runs.middle('create, 2 worker(s), both cores'),
        };
        return this.report(measured, works);
    }

    /** Prints it, keeps it for --accept; gives { kind, now: its ratios }. */
    report(measured, works) {
        const { create, notify, rated, beside, route, ceiling, one, two } = measured;
        const rows = [create, notify, rated, beside, route, ceiling, one, two].filter(Boolean);
        printWorks(rows, { sign: create.limit, verify: notify.limit });
        console.log(`creates beside the notifications: ${Math.round(beside.creates).toLocaleString('en-US')}/s; `
            + `two workers on both cores: ${(two.rate / one.rate).toFixed(2)} × one`);
        printRoom(measured);
        printChecks(works);
        const now = ratios(undisturbed(measured));
        fs.writeFileSync(last, `${JSON.stringify({ ...measured, ratios: now, runs: this.runs.rows }, null, 2)}\n`);
        return { kind: kindOf(measured.machine), now };
    }
}

/** Without the works whose every run was disturbed: they are shown, but neither judged nor accepted. */
function undisturbed(measured) {
    return Object.fromEntries(Object.entries(measured).filter(([, value]) => !value || !isDisturbed(value)));
}

function acceptedOnes() {
    return fs.existsSync(accepted) ? JSON.parse(fs.readFileSync(accepted, 'utf8')) : {};
}

function accept() {
    const { ratios: now, machine } = JSON.parse(fs.readFileSync(last, 'utf8'));
    fs.writeFileSync(accepted, `${JSON.stringify({ ...acceptedOnes(), [kindOf(machine)]: now }, null, 4)}\n`);
    console.log(`tests/bench/accepted.json: ${Object.keys(now).length} ratios of the last run, ${kindOf(machine)}`);
}

/** All of it once. What it made stays only where it failed. */
async function measureOnce() {
    const bench = new Bench();
    let failure, found;
    for (const step of [async () => { found = await bench.run(); }, () => bench.stopAll()])
        await Promise.resolve().then(step).catch((error) => { failure ??= error; });
    if (failure) throw new Error(`${failure.message}\nbench: what it left is in ${bench.folder}`);
    fs.rmSync(bench.folder, { recursive: true });
    return found;
}

/** What the accepted ratios say of these. */
function judge({ kind, now }) {
    const before = acceptedOnes()[kind], compared = compare(before ?? {}, now);
    printGates(now, compared);
    if (!before) console.log(`nothing is accepted yet on this kind of CPU (${kind}): make bench-accept`);
    return compared.filter((gate) => gate.fails).map((gate) => gate.name);
}

async function main() {
    if (process.argv[2] === '--accept') return accept();
    if (!fs.existsSync(program)) throw new Error(`${program} is missing: make`);
    const first = await measureOnce();
    if (judge(first).length === 0) return;
    console.log('\nA ratio is lost when a second measurement loses it too: once more.\n');
    const second = await measureOnce();
    const lost = judge({ ...second, now: betterOf(first.now, second.now) });
    if (lost.length === 0) return;
    console.error(`bench: lost against tests/bench/accepted.json: ${lost.join('; ')}`);
    process.exitCode = 2;
}

main().catch((error) => {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
});
