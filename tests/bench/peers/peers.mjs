// peers.mjs - what Tael is compared with: how each is built, seeded and started. All do the same works with the same keys.
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, root } from '../../e2e/tael.mjs';
import { Measured } from '../measured.mjs';
import { Server } from '../server.mjs';

const bench = path.join(root, 'tests/bench'), here = path.join(bench, 'peers'), built = path.join(root, 'build/bench/peers');
const run = (program, args, options) => execFileSync(program, args, { stdio: ['pipe', 'inherit', 'inherit'], ...options });

export const account = {
    APP_ID: '2021000000000001', SELLER_ID: '2088000000000001', GATEWAY: 'https://openapi-sandbox.dl.alipaydev.com/gateway.do',
    NOTIFY_URL: 'http://127.0.0.1/notify/alipay', RETURN_URL: 'https://shop.example.com/return',
};

// ---- building ----

export function buildNode() {
    const folder = path.join(built, 'node');
    fs.mkdirSync(folder, { recursive: true });
    if (fs.existsSync(path.join(folder, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node'))) return;
    for (const name of ['package.json', 'package-lock.json']) fs.copyFileSync(path.join(here, 'node', name), path.join(folder, name));
    run('npm', ['ci', '--no-audit', '--no-fund', '--silent', '--ignore-scripts'], { cwd: folder });
    run('npm', ['rebuild', '--silent', 'better-sqlite3'], { cwd: folder }); // compiled here, with Node's own headers
}

export function buildGo() {
    const folder = path.join(built, 'go');
    fs.mkdirSync(folder, { recursive: true });
    run('go', ['build', '-tags', 'libsqlite3', '-o', path.join(folder, 'peer'), path.join(here, 'go/main.go')],
        { env: { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '', GOCACHE: path.join(folder, 'cache') } });
}

// ---- one folder for all: keys, empty and seeded databases ----

const ORDERS = `CREATE TABLE orders (id INTEGER PRIMARY KEY, merchant_order_id TEXT NOT NULL UNIQUE, amount INTEGER NOT NULL,
    currency TEXT NOT NULL, channel TEXT NOT NULL, product TEXT NOT NULL, subject TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending', trade_no TEXT, created_at INTEGER NOT NULL, paid_at INTEGER);`;

const numbers = (count) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
const AMOUNT = '100 + (i * 7919) % 99999';

const ordersSeed = (count) => `INSERT INTO orders (merchant_order_id, amount, currency, channel, product, subject, created_at)
    ${numbers(count)} SELECT printf('P%09d', i), ${AMOUNT}, 'CNY', 'alipay', 'page', 'Order ' || i || ' 商品', 1768443611000 + i FROM n;`;

/** Open payments with their attempts, events and timers, in Tael's schema. */
function rowsSeed(count) {
    const now = Date.now(), id = (k) => `${now - 86400e3} * 4096 + i * 4 + ${k}`;
    const from = numbers(count);
    return `INSERT INTO payments (merchant, id, merchant_order_id, request, state, amount, currency, attempt, detail_event, version,
            last_event, last_hash, updated_at, expires_at) ${from} SELECT 1, ${id(0)}, printf('P%09d', i), zeroblob(16), 'pending',
            ${AMOUNT}, 'CNY', ${id(1)}, ${id(2)}, 1, ${id(2)}, randomblob(32), ${now}, ${now + 1800e3} FROM n;
        INSERT INTO attempts (merchant, id, payment, account, product, state, amount, currency, expires_at, updated_at, due)
            ${from} SELECT 1, ${id(1)}, ${id(0)}, 1, 'page', 'issued', ${AMOUNT}, 'CNY', ${now + 1800e3}, ${now}, ${id(3)} FROM n;
        INSERT INTO events (merchant, id, payment, object, version, type, actor, at, data, hash)
            ${from} SELECT 1, ${id(2)}, ${id(0)}, ${id(0)}, 1, 'payment.created', 'key_1', ${now}, hex(zeroblob(300)), randomblob(32) FROM n;
        INSERT INTO timers (merchant, id, kind, object) ${from} SELECT 1, ${id(3)}, 'attempt', ${id(1)} FROM n;`;
}

/** Keys and databases of a comparison; `count` orders wait to be paid in the seeded ones. */
export async function prepare(folder, count) {
    fs.mkdirSync(path.join(folder, 'keys'), { recursive: true });
    for (const [secret, open] of [['shop.key', 'shop.pub'], ['alipay.key', 'alipay.pub']]) {
        const pair = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
        fs.writeFileSync(path.join(folder, 'keys', secret), pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
        fs.writeFileSync(path.join(folder, 'keys', open), pair.publicKey.export({ type: 'spki', format: 'pem' }));
    }
    fs.chmodSync(folder, 0o755);
    const schema = path.join(folder, 'schema');
    fs.mkdirSync(schema);
    const tael = new Server({ folder: schema });
    await tael.prepare();
    for (const [kind, tables] of [['orders', ORDERS], ['rows', null]]) {
        for (const seeded of [false, true]) {
            const file = path.join(folder, `${kind}${seeded ? '-seeded' : ''}.db`);
            if (!tables) fs.copyFileSync(tael.database, file);
            const seed = seeded ? (kind === 'rows' ? rowsSeed : ordersSeed)(count) : '';
            run('sqlite3', [file], { input: `PRAGMA journal_mode = WAL; ${tables ?? ''} ${seed} PRAGMA wal_checkpoint(TRUNCATE);`,
                stdio: ['pipe', 'ignore', 'inherit'] });
        }
    }
}

// ---- starting ----

/** A configuration with its places filled in, in the run's folder. */
function configuration(source, values, folder) {
    const text = fs.readFileSync(path.join(here, source), 'utf8').replaceAll(/@(\w+)@/g, (_, name) => values[name]);
    const file = path.join(folder, path.basename(source));
    fs.writeFileSync(file, text);
    return file;
}

const arch = () => `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;

const programs = {
    node: () => ['node', [path.join(here, 'node/server.mjs')]],
    go: () => [path.join(built, 'go/peer'), []],
    nginx(values, folder) {
        const file = configuration('nginx/nginx.conf', values, folder);
        return ['nginx', ['-p', folder, '-c', file]];
    },
    haproxy: (values, folder) => ['haproxy', ['-db', '-f', configuration('haproxy/haproxy.cfg', values, folder)]],
};

export class Peer extends Measured {
    /** kind: "node:fast", program and store; folder: of the comparison; seeded: orders wait to be paid. */
    constructor({ kind, folder, seeded = false }) {
        super({ name: kind, log: path.join(folder, `${kind.replace(':', '-')}.log`) });
        [this.program, this.store] = kind.split(':');
        Object.assign(this, { folder, seeded });
    }

    async start() {
        this.port = await freePort();
        this.run = fs.mkdtempSync(path.join(this.folder, 'peer-'));
        fs.chmodSync(this.run, 0o755);
        this.database = path.join(this.run, 'store.db');
        const template = `${this.store === 'rows' ? 'rows' : 'orders'}${this.seeded ? '-seeded' : ''}.db`;
        fs.copyFileSync(path.join(this.folder, template), this.database);
        const values = { PORT: this.port, RUN: this.run, BENCH: bench, ARCH: arch(), USER: process.getuid() === 0 ? 'user root;' : '' };
        const [program, args] = programs[this.program](values, this.run);
        await this.launch(program, args, { port: this.port, path: '/healthz', env: {
            ...account, PORT: String(this.port), STORE: this.store, DATABASE: this.database, KEYS: path.join(this.folder, 'keys'),
            MODULES: path.join(built, 'node/node_modules'), NODE_ENV: 'production',
        } });
    }

    /** Orders, or those that are paid. */
    count(paid) {
        const [table, column] = this.store === 'rows' ? ['payments', 'state'] : ['orders', 'status'];
        const where = paid ? ` WHERE ${column} = 'paid'` : '';
        return Number(execFileSync('sqlite3', [this.database, `SELECT count(*) FROM ${table}${where}`], { encoding: 'utf8' }));
    }

    async stop() {
        await this.end();
        fs.rmSync(this.run, { recursive: true });
    }
}
