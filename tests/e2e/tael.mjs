// tael.mjs - starts real engines for the end-to-end tests: free ports, a folder of their own, stopped by pid.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const program = path.resolve(root, process.env.TAEL ?? 'build/tael');

/** Of the connections that fetch keeps one may have ended while a command was waited for (spawnSync): that is seen in one turn
 * of the loop, and the connection forgotten in the next. */
const send = globalThis.fetch;
globalThis.fetch = async (...request) => {
    for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
    return send(...request);
};

const reserved = path.join(os.tmpdir(), 'tael-test-ports');
const ours = [];
process.on('exit', () => { for (const file of ours) fs.rmSync(file, { force: true }); });

/** Keeps a port for this process: suites that run beside it choose others. */
function reserve(port) {
    const file = path.join(reserved, String(port));
    const alive = (pid) => { try { return process.kill(pid, 0); } catch (err) { return err.code === 'EPERM'; } };
    try {
        fs.writeFileSync(file, String(process.pid), { flag: 'wx' });
    } catch {
        const owner = Number(fs.readFileSync(file, 'utf8')) || 0;
        if (owner === 0 || alive(owner)) return false;
        fs.rmSync(file, { force: true });
        return reserve(port);
    }
    ours.push(file);
    return true;
}

/** A port below those that the system gives to outgoing connections, that nobody listens on. */
export async function freePort() {
    fs.mkdirSync(reserved, { recursive: true });
    for (;;) {
        const port = 10000 + Math.floor(Math.random() * 20000);
        const server = net.createServer();
        const free = await new Promise((resolve) => {
            server.once('error', () => resolve(false));
            server.listen(port, '127.0.0.1', () => resolve(true));
        });
        if (!free) continue;
        server.close();
        await once(server, 'close');
        if (reserve(port)) return port;
    }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls probe until it gives something true; fails after `seconds` with what was awaited: a text, or what gives one then. */
export async function until(what, probe, seconds = 90) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const value = await probe();
        if (value) return value;
        if (Date.now() > end) throw new Error(`waited ${seconds} s for: ${typeof what === 'function' ? what() : what}`);
        await sleep(20);
    }
}

/** What /metrics tells: it tells nothing (503) while a worker is too busy to say what it has counted. */
export function metrics(operations) {
    return until('every worker tells what it counted', async () => {
        const answer = await fetch(`${operations}/metrics`);
        const text = await answer.text();
        return answer.ok && text;
    });
}

/** As most editors do: whole, and under its name at once. An engine that looks meanwhile sees no half of it. */
export function saveFile(file, text) {
    const beside = path.join(path.dirname(file), `.saving-${process.pid}`);
    fs.writeFileSync(beside, text);
    fs.renameSync(beside, file);
}

export function temporaryFolder(name) {
    return fs.mkdtempSync(path.join(os.tmpdir(), `tael-${name}-`));
}

const LAST_WORDS_MS = 2000; // its output is read to the end, unless whoever it started has it too
const brief = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref());

/** One started program; its output is kept for the message of a failing test. */
export class Process {
    /** under: a program and its arguments that run it, and become it. */
    constructor(args, { cwd, env = {}, under = [] }) {
        this.output = '';
        const [first, ...rest] = [...under, program, ...args];
        this.child = spawn(first, rest, { cwd, env: { ...process.env, ...env } });
        for (const stream of [this.child.stdout, this.child.stderr])
            stream.on('data', (data) => { this.output += data; });
        const closed = once(this.child, 'close');
        this.ended = once(this.child, 'exit').then(async ([code, signal]) => {
            await Promise.race([closed, brief(LAST_WORDS_MS)]);
            this.end = { code, signal };
            return this.end;
        });
    }

    async stop(signal = 'SIGTERM') {
        if (this.child.exitCode === null && this.child.signalCode === null) process.kill(this.child.pid, signal);
        return this.ended;
    }
}

/** What only the operator may ask, over the socket of the engine that runs in this folder. */
export function askOperator(folder, method, target, body, headers = {}) {
    return new Promise((resolve, reject) => {
        const request = http.request({
            socketPath: path.join(folder, 'data/tael.sock'), method, path: target,
            headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        }, (response) => {
            let text = '';
            response.on('data', (data) => { text += data; });
            response.on('end', () => {
                const isJson = /json/.test(response.headers['content-type'] ?? '');
                resolve({ status: response.statusCode, headers: new Headers(response.headers), text,
                    body: isJson ? JSON.parse(text) : null });
            });
        });
        request.on('error', reject);
        request.end(body === undefined ? undefined : JSON.stringify(body));
    });
}

/** An engine in development mode: API, operations and sandbox on free ports, data in a new folder. */
export class Engine {
    constructor(options = {}) {
        this.folder = options.folder ?? temporaryFolder('e2e');
        this.options = options;
    }

    async start() {
        this.ports ??= { api: await freePort(), operations: await freePort(), sandbox: await freePort() };
        const { api, operations, sandbox } = this.ports;
        this.url = `http://127.0.0.1:${api}`;
        this.operations = `http://127.0.0.1:${operations}`;
        this.sandbox = `http://127.0.0.1:${sandbox}`;
        this.environment = {
            TAEL_HTTP__LISTEN: `127.0.0.1:${api}`,
            TAEL_HTTP__PUBLIC_URL: this.url,
            TAEL_OPERATIONS__LISTEN: `127.0.0.1:${operations}`,
            TAEL_SANDBOX__LISTEN: `127.0.0.1:${sandbox}`,
            TAEL_SCRIPTS__FOLDER: this.options.scripts ?? path.join(root, 'scripts'),
            ...this.options.env,
        };
        this.process = new Process(['serve', '--dev', ...(this.options.args ?? [])],
            { cwd: this.folder, env: this.environment });
        await until('the engine is ready', async () => {
            if (this.process.end) throw new Error(`the engine ended: ${this.process.output}`);
            const answer = await fetch(`${this.url}/readyz`).catch((err) => ({ text: () => String(err.cause ?? err) }));
            return answer.ok || void (this.lastWord = await answer.text());
        }).catch((err) => { throw new Error(`${err.message}: ${this.lastWord}\n${this.process.output}`); });
        this.key = fs.readFileSync(path.join(this.folder, 'data/demo.key'), 'utf8').trim();
        this.seller = '2088000000000001'; // of the demo account
        return this;
    }

    stop(signal) {
        return this.process.stop(signal);
    }

    async restart(signal) {
        await this.stop(signal);
        return this.start();
    }

    metrics() {
        return metrics(this.operations);
    }

    /** The lines of its log with this event. */
    logged(event) {
        return this.process.output.split('\n').filter((line) => line.includes(`"event":"${event}"`))
            .map((line) => JSON.parse(line));
    }

    /** What `tael doctor --deep` says of this engine's folder: { text, status }. */
    doctor() {
        const { status, stdout, stderr } = spawnSync(program, ['doctor', '--deep', '--dev'],
            { cwd: this.folder, env: { ...process.env, ...this.environment }, encoding: 'utf8', timeout: 60_000 });
        return { text: stdout, status, problem: stderr };
    }

    /** Stops the engine after one more seal; chains, seals and the rebuild from the events must hold. */
    async prove() {
        await sleep(1500);
        const end = await this.stop();
        if (end.code !== 0) throw new Error(`the engine ended with ${JSON.stringify(end)}: ${this.process.output.slice(-4000)}`);
        const { text, problem } = this.doctor();
        for (const name of ['chain', 'seals', 'rebuild'])
            if (!new RegExp(`^ok +${name}`, 'm').test(text)) throw new Error(`doctor: ${name}\n${text}${problem}`);
    }

    /** Stops the engine and removes its folder. A stop that is not clean, a leak found at exit included, fails the test. */
    async remove() {
        const end = await this.stop();
        fs.rmSync(this.folder, { recursive: true, force: true });
        if (end.code !== 0)
            throw new Error(`the engine ended with ${JSON.stringify(end)}: ${this.process.output.slice(-4000)}`);
    }

    async request(method, target, { body, headers = {}, key = this.key } = {}) {
        const response = await fetch(this.url + target, {
            method,
            headers: {
                ...(key ? { authorization: `Bearer ${key}` } : {}),
                ...(body !== undefined ? { 'content-type': 'application/json' } : {}),
                ...headers,
            },
            body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
        });
        const text = await response.text();
        const isJson = /json/.test(response.headers.get('content-type') ?? '');
        return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : null };
    }

    get(target, options) {
        return this.request('GET', target, options);
    }

    post(target, body, options) {
        return this.request('POST', target, { body, ...options });
    }

    operator(method, target, body, headers) {
        return askOperator(this.folder, method, target, body, headers);
    }

    /** A key of a merchant's. */
    async newKey(merchant, scopes, note = 'test') {
        return (await this.operator('POST', `/v1/merchants/${merchant}/api_keys`, { note, scopes })).body.key;
    }

    /** In development the clock can be set forward. Resolves to its time, in ms since 1970. */
    async advance(seconds) {
        const { status, text, body } = await this.operator('POST', '/v1/system/clock', { advance_in: seconds });
        if (status !== 200) throw new Error(`the clock does not go forward: ${text}`);
        return Date.parse(body.now);
    }

    /** A page payment of `amount` fen; further fields may replace the usual ones. */
    create(order, fields = {}, options) {
        return this.post('/v1/payments', {
            merchant_order_id: order, amount: 1234, currency: 'CNY', subject: 'coffee',
            channel: 'alipay', product: 'page', ...fields,
        }, options);
    }

    async payment(id) {
        return (await this.get(`/v1/payments/${id}`)).body;
    }

    async events(id) {
        return (await this.get(`/v1/events?payment=${id}&limit=100`)).body.data;
    }
}
