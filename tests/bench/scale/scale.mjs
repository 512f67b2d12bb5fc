// scale.mjs - what a payment costs when many are there already: the same works on stores that differ only in size,
// in turns. Seeded by seed.lua; the smallest is proved by `tael doctor --deep` before and after.
//   SIZES=1000,1000000 node tests/bench/scale/scale.mjs
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { root, sleep, until } from '../../e2e/tael.mjs';
import { load } from '../load.mjs';
import { answers, writeReads } from '../requests.mjs';
import { Runs } from '../runs.mjs';
import { Server } from '../server.mjs';
import { settings } from '../settings.mjs';
import { Store } from '../store.mjs';
import { markdown } from '../table.mjs';
import { Works } from '../works.mjs';

const OPEN_EVERY = 50; // as in seed.lua
const sizes = (process.env.SIZES ?? '1000,1000000').split(',').map(Number);

async function seed(server, count) {
    const lua = spawn('lua5.4', ['tests/bench/scale/seed.lua', path.join(server.folder, 'keys'), String(count)],
        { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    const sqlite = spawn('sqlite3', [server.database], { stdio: [lua.stdout, 'ignore', 'inherit'] });
    const codes = (await Promise.all([once(lua, 'exit'), once(sqlite, 'exit')])).map(([code]) => code);
    if (codes.some((code) => code !== 0)) throw new Error(`seed of ${count}: exit codes ${codes}`);
}

/** A store of so many payments with an engine for it, sealed; the engine is stopped. */
class Sized {
    constructor(folder, size) {
        this.size = size;
        this.name = size.toLocaleString('en-US');
        this.server = new Server({ folder: path.join(folder, String(size)) });
    }

    async prepare() {
        const { server } = this;
        fs.mkdirSync(server.folder);
        await server.start(); // makes merchant and account
        await server.stop();
        await seed(server, this.size);
        await server.start();
        await this.sealed();
        const newest = new Store(server.database).query('SELECT CAST(max(id) AS TEXT) AS id FROM events')[0].id;
        this.works = new Works(server, BigInt(newest) + 1n);
        await server.stop();
    }

    /** The engine seals what is new once a second. */
    async sealed() {
        const store = new Store(this.server.database);
        const position = "(SELECT hex(value) FROM settings WHERE name = 'sealed')";
        const newest = "(SELECT printf('%016X', max(id)) FROM events)";
        await until('everything is sealed', () => store.number(`SELECT ${position} = ${newest}`) === 1, 3600);
    }

    /** Open payments from all over the store, with what their payers are given. */
    async old(count) {
        const { server } = this, all = Math.floor(this.size / OPEN_EVERY), wanted = Math.min(count, all - (this.used ?? 0));
        const orders = Array.from({ length: wanted }, (_, i) => {
            const nth = (this.used ?? 0) + i;
            return `S${String((1 + (nth * 7919) % all) * OPEN_EVERY).padStart(9, '0')}`;
        });
        this.used = (this.used ?? 0) + wanted;
        const files = { f: this.works.file('read.requests'), o: this.works.file('read.answers') };
        writeReads(files.f, server.key, orders);
        await load(server.port, files);
        return Array.from(answers(files.o), ([, body]) => JSON.parse(body).data[0]);
    }

    /** Runs one work with the engine started for it, and the largest write-ahead log seen. */
    run(name, work) {
        return async () => {
            const { server } = this;
            await server.start();
            let wal = 0;
            const watch = setInterval(() => { wal = Math.max(wal, server.logSize()); }, 20);
            try {
                const row = await work();
                return { ...row, work: `${name}, ${this.name}`, wal };
            } finally {
                clearInterval(watch);
                await server.stop();
            }
        };
    }

    creates() {
        return this.run('create', () => this.works.creates());
    }

    notifies() {
        return this.run('notify', () => this.works.notifies());
    }

    notifiesOld() {
        return this.run('notify of old ones', async () => this.works.notifies(await this.old(settings.payments / 4)));
    }

    async prove() {
        await this.server.start();
        await sleep(1500);
        await this.sealed();
        await this.server.stop();
        const text = this.server.tael('doctor', '--deep');
        for (const name of ['chain', 'seals', 'rebuild', 'integrity'])
            if (!new RegExp(`^ok +${name}`, 'm').test(text)) throw new Error(`doctor: ${name}\n${text}`);
    }
}

function print(runs, all) {
    const rows = [];
    for (const name of ['create', 'notify', 'notify of old ones']) {
        const base = runs.middle(`${name}, ${all[0].name}`);
        for (const { name: size } of all) {
            const row = runs.middle(`${name}, ${size}`);
            if (!row) continue;
            rows.push([row.work, Math.round(row.rate), row.cpu_us.toFixed(1), base ? (row.cpu_us / base.cpu_us).toFixed(2) : '',
                (row.p99_us / 1000).toFixed(2), (row.wal / 1048576).toFixed(1), (row.memory.pss / 1024).toFixed(1),
                `${row.runs} (${row.undisturbed})`]);
        }
    }
    console.log(markdown(['work, payments in the store', 'req/s', 'CPU µs/req', 'CPU ratio', 'p99 ms', 'largest log MiB', 'memory MiB',
        'runs (undisturbed)'], rows));
}

async function main() {
    fs.mkdirSync(settings.output, { recursive: true });
    const folder = fs.mkdtempSync(path.join(settings.output, 'scale-'));
    const all = sizes.map((size) => new Sized(folder, size)), runs = new Runs();
    for (const sized of all) {
        const from = performance.now();
        await sized.prepare();
        const bytes = fs.statSync(sized.server.database).size;
        console.error(`${sized.name} payments: ${(bytes / 2 ** 30).toFixed(2)} GiB in ${((performance.now() - from) / 1000).toFixed(0)} s`);
    }
    await all[0].prove();
    try {
        await runs.inTurns(all.flatMap((sized) =>
            [sized.creates(), sized.notifies(), ...sized.size > 10000 ? [sized.notifiesOld()] : []]));
        await all[0].prove();
    } finally {
        for (const { server } of all) await server.end();
    }
    print(runs, all);
    fs.rmSync(folder, { recursive: true });
}

main().catch((error) => {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
});
