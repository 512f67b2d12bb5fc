// sized.mjs - a store of so many payments, seeded by seed.lua, with an engine for it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { root, sleep, until } from '../../e2e/tael.mjs';
import { load } from '../load.mjs';
import { answers, writeReads } from '../requests.mjs';
import { Server } from '../server.mjs';
import { settings } from '../settings.mjs';
import { Store } from '../store.mjs';
import { Works } from '../works.mjs';

const OPEN_EVERY = 50; // as in seed.lua

async function seed(server, count) {
    const lua = spawn('lua5.4', ['tests/bench/scale/seed.lua', path.join(server.folder, 'keys'), String(count)],
        { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    const sqlite = spawn('sqlite3', ['-bail', server.database], { stdio: [lua.stdout, 'ignore', 'inherit'] });
    const codes = (await Promise.all([once(lua, 'exit'), once(sqlite, 'exit')])).map(([code]) => code);
    if (codes.some((code) => code !== 0)) throw new Error(`seed of ${count}: exit codes ${codes}`);
}

/** A store of so many payments with an engine for it, sealed; the engine is stopped. */
export class Sized {
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
