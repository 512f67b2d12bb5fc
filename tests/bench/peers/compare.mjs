// compare.mjs - Tael and its peers in turns: server and store on one core, load on the other, the same requests, the same
// checks of every answer and row. Prints Markdown tables with ratios.   node tests/bench/peers/compare.mjs [create] [notify] [rated] [route]
import fs from 'node:fs';
import path from 'node:path';
import { machine } from '../limits.mjs';
import { load } from '../load.mjs';
import { amountOf, answers, orderOf, readCreated, writeCreates, writeNotifications, writeRoutes } from '../requests.mjs';
import { Runs } from '../runs.mjs';
import { Server } from '../server.mjs';
import { settings } from '../settings.mjs';
import { Store } from '../store.mjs';
import { markdown } from '../table.mjs';
import { Works } from '../works.mjs';
import { account, buildGo, buildNode, Peer, prepare } from './peers.mjs';

const BASE = 'node:sqlite'; // ratio 1: the official library and SQLite, as its users have them
const ROUTE_BASE = 'node:none';
const kinds = {
    create: ['node:sqlite', 'node:group', 'node:fast', 'node:rows', 'go:sqlite', 'nginx:sqlite'],
    notify: ['node:sqlite', 'node:group', 'node:fast', 'node:rows', 'go:sqlite', 'nginx:sqlite'],
    rated: ['node:sqlite', 'node:fast', 'node:rows', 'go:sqlite', 'nginx:sqlite'], // notifications at a fixed rate
    route: ['node:none', 'go:none', 'nginx:none', 'haproxy:none'],
};
const CREATES_MAX = 6000, ROUTES_MAX = 200000;
const timed = { d: settings.seconds + settings.warm, w: settings.warm };

class Comparison {
    constructor(folder) {
        this.folder = folder;
        this.runs = Object.fromEntries(Object.keys(kinds).map((work) => [work, new Runs()]));
    }

    file(name) {
        return path.join(this.folder, name);
    }

    /** What the seeded orders' payers are sent to, as far as notifications are made of it. */
    async writeRequests() {
        const page = (id) => `${account.GATEWAY}?${new URLSearchParams({ app_id: account.APP_ID, notify_url: account.NOTIFY_URL,
            biz_content: JSON.stringify({ out_trade_no: orderOf(id), total_amount: (amountOf(id) / 100).toFixed(2), subject: `Order ${id} 商品` }) })}`;
        const payments = Array.from({ length: settings.payments }, (_, i) => ({ id: orderOf(i + 1), next_action: { url: page(i + 1) } }));
        this.meaning = await writeNotifications(this.file('notify.requests'), payments, this.folder);
        writeCreates(this.file('create.requests'), 'none', 1, Math.ceil(CREATES_MAX * timed.d));
        writeRoutes(this.file('route.requests'), '/r/bench', ROUTES_MAX * timed.d);
    }

    async run(works) {
        await prepare(this.folder, settings.payments);
        await this.writeRequests();
        const engine = this.file('engine');
        fs.mkdirSync(engine);
        this.server = await new Server({ folder: engine }).start();
        const tael = new Works(this.server);
        const ours = { create: () => tael.creates(), notify: () => tael.notifies(), rated: () => tael.notifiesAtRate(),
            route: () => tael.routes() };
        for (const work of works) {
            console.error(`${work}:`);
            const all = kinds[work].map((kind) => () => this.peer(kind, work));
            if (work !== 'route' || await tael.hasRoutes())
                all.unshift(async () => ({ ...await ours[work](), work: 'tael', start_ms: this.server.start_ms }));
            await this.runs[work].inTurns(all);
        }
        await this.server.stop();
    }

    async peer(kind, work) {
        const rated = work === 'rated', requests = rated ? 'notify' : work;
        const peer = new Peer({ kind, folder: this.folder, seeded: requests === 'notify' });
        await peer.start();
        try {
            const o = this.file('answers');
            const options = { f: this.file(`${requests}.requests`), ...timed, ...work === 'route' ? {} : { o },
                ...rated ? { r: settings.rate } : {} };
            const { result, cpu_ns, others } = await peer.during(() => load(peer.port, options));
            const memory = peer.memory();
            this.check(peer, requests, o);
            return { work: kind, ...result, cpu_us: cpu_ns / 1000 / result.right, others, memory, start_ms: peer.start_ms };
        } finally {
            await peer.stop();
        }
    }

    check(peer, work, file) {
        if (work === 'create') {
            Store.agree(`${peer.name}: orders`, peer.count(false), readCreated(file, this.folder).length);
        } else if (work === 'notify') {
            const paid = new Set();
            for (const [id] of answers(file)) if (this.meaning[id].kind !== 'forged') paid.add(this.meaning[id].payment);
            Store.agree(`${peer.name}: paid orders`, peer.count(true), paid.size);
        }
    }

    print(work) {
        const rows = this.runs[work].middles().sort((a, b) => b.rate - a.rate);
        const base = rows.find((row) => row.work === (work === 'route' ? ROUTE_BASE : BASE));
        const ms = (us) => (us / 1000).toFixed(2);
        console.log(`\n${work}\n`);
        console.log(markdown(['peer', 'req/s', 'ratio', 'p50 ms', 'p99 ms', 'p999 ms', 'CPU µs/req', 'CPU ratio', 'memory MiB', 'start ms', 'runs (undisturbed)'],
            rows.map((row) => [row.work, Math.round(row.rate), (row.rate / base.rate).toFixed(2), ms(row.p50_us), ms(row.p99_us),
                ms(row.p999_us), row.cpu_us.toFixed(0), (base.cpu_us / row.cpu_us).toFixed(2), (row.memory.pss / 1024).toFixed(1),
                row.start_ms.toFixed(0), `${row.runs} (${row.undisturbed})`])));
    }
}

async function main() {
    const asked = process.argv.slice(2), works = Object.keys(kinds).filter((work) => asked.length === 0 || asked.includes(work));
    buildNode();
    buildGo();
    fs.mkdirSync(settings.output, { recursive: true });
    const folder = fs.mkdtempSync(path.join(settings.output, 'peers-'));
    const comparison = new Comparison(folder);
    try {
        await comparison.run(works);
    } finally {
        await comparison.server?.end();
    }
    const { cpu, kernel, openssl } = machine();
    console.log(`${cpu}, Linux ${kernel}, ${openssl}, Node ${process.version}; one core for server and store, ${settings.connections} connections`);
    for (const work of works) comparison.print(work);
    fs.rmSync(folder, { recursive: true });
}

main().catch((error) => {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
});
