// works.mjs - what is asked of the engine: payments created, notifications settled, routes answered. Each run checks
// every answer, then the rows of the store against all answers so far.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { load } from './load.mjs';
import { answers, readCreated, writeCreates, writeNotifications, writeRoutes } from './requests.mjs';
import { settings } from './settings.mjs';
import { Store } from './store.mjs';

const CREATES_MAX = 6000, ROUTES_MAX = 200000; // more a second than one core can answer

export class Works {
    /** since: rows with smaller ids were in the store before, and are left out of every count. */
    constructor(server, since) {
        Object.assign(this, { server, folder: server.folder, store: new Store(server.database, since) });
        this.created = []; // and not yet paid
        this.count = 0; // of all created
        this.settled = { good: 0, forged: 0, payments: new Set() };
    }

    file(name) {
        return path.join(this.folder, name);
    }

    // ---- one run ----

    /** perf beside a work, where a folder for it is named; gives what ends it. */
    profile(name) {
        if (!settings.profile) return async () => {};
        fs.mkdirSync(settings.profile, { recursive: true });
        const perf = spawn('perf', ['record', '-q', '-F', '499', '--call-graph', 'dwarf,16384', '-p',
            String(this.server.process.pid), '-o', path.join(settings.profile, `${name}.perf`)], { stdio: 'inherit' });
        const ended = once(perf, 'exit');
        return async () => {
            perf.kill('SIGINT');
            await ended;
        };
    }

    /** The load's figures, what they cost the server and what was written to the store. */
    async measure(work, run) {
        const before = this.store.written(), commits = await this.server.commits();
        const endProfile = this.profile(work);
        const { result, cpu_ns, each, others } = await this.server.during(run);
        await endProfile();
        const now = await this.server.commits(), right = result.served ?? result.right;
        const us = (ns) => ns / 1000 / right;
        const group = now.groups > commits.groups ? (now.units - commits.units) / (now.groups - commits.groups) : null;
        return {
            work, ...result, ...Store.perRequest(before, this.store.written(), right), group, others,
            cpu_us: us(cpu_ns), threads: each.map(({ name, ns }) => ({ name, us: us(ns) })).filter((one) => one.us >= 0.5), memory: this.server.memory(),
        };
    }

    load(options) {
        return load(this.server.port, options, this.server.core === null ? null : settings.loadCore);
    }

    timed(seconds = settings.seconds) {
        return { d: seconds + settings.warm, w: settings.warm };
    }

    // ---- create ----

    /** Creates `count` payments at most, by `run`, which gets the files. */
    async create(count, run) {
        const files = { f: this.file('create.requests'), o: this.file('create.answers') };
        writeCreates(files.f, this.server.key, this.count + 1, count);
        const result = await run(files);
        const payments = readCreated(files.o, this.folder);
        this.created.push(...payments);
        this.count += payments.length;
        Store.agree('payments', this.store.payments(), this.count);
        return result;
    }

    creates() {
        const timed = this.timed();
        return this.create(CREATES_MAX * timed.d, (files) =>
            this.measure('create', () => this.load({ ...files, ...timed })));
    }

    /** So many open payments, all made here, oldest first. */
    async open(count) {
        const missing = count - this.created.length;
        if (missing > 0) await this.create(missing, (files) => this.load(files));
        return this.created.splice(0, count);
    }

    // ---- notify ----

    async notify(name, payments, run) {
        const files = { f: this.file(`${name}.requests`), o: this.file(`${name}.answers`) };
        const meaning = await writeNotifications(files.f, payments, this.folder);
        const result = await run(files);
        for (const [id] of answers(files.o)) {
            const { kind, payment } = meaning[id];
            this.settled[kind === 'forged' ? 'forged' : 'good']++;
            if (kind !== 'forged') this.settled.payments.add(payment);
        }
        this.store.compareSettled(this.settled);
        return result;
    }

    async notifies(payments) {
        payments ??= await this.open(settings.payments);
        return this.notify('notify', payments, (files) =>
            this.measure('notify', () => this.load({ ...files, w: settings.warm })));
    }

    rated() {
        const { d, w } = this.timed();
        return { r: settings.rate, d, w };
    }

    async notifiesAtRate() {
        const rated = this.rated();
        return this.notify('rated', await this.open(settings.rate * rated.d), (files) =>
            this.measure(`notify, ${settings.rate}/s`, () => this.load({ ...files, ...rated })));
    }

    /** Notifications at the fixed rate while creates take all that the core has; the figures are the notifications'. */
    async notifiesBesideCreates() {
        const rated = this.rated();
        const payments = await this.open(settings.rate * rated.d);
        return this.notify('beside', payments, (notify) =>
            this.create(CREATES_MAX * rated.d, (create) =>
                this.measure(`notify, ${settings.rate}/s beside creates`, async () => {
                    const [notified, created] = await Promise.all([
                        this.load({ ...notify, ...rated }), this.load({ ...create, ...this.timed() })]);
                    return {
                        ...notified, creates: created.rate, served: notified.right + created.right,
                        load_cpu_s: notified.load_cpu_s + created.load_cpu_s, load_wait_s: notified.load_wait_s,
                    };
                })));
    }

    // ---- route ----

    async hasRoutes() {
        const { status } = await fetch(`http://127.0.0.1:${this.server.port}/r/bench`, { method: 'POST', body: '{}' });
        return status !== 404;
    }

    routes(target = '/r/bench', name = 'route', expected = undefined) {
        const timed = this.timed(), file = this.file('route.requests');
        writeRoutes(file, target, ROUTES_MAX * timed.d, expected);
        return this.measure(name, () => this.load({ f: file, ...timed }));
    }
}
