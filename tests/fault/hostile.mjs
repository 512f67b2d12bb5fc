// hostile.mjs - clients that mean harm, and one that does not: for tests, and for the figures of tests/bench/hostile.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { sleep } from '../e2e/tael.mjs';

let clients = 0;

/** An address of this machine that no other client has: neither ports nor limits by address are used up. */
export const ownAddress = () => {
    clients++;
    return `127.${20 + (clients >> 16)}.${clients >> 8 & 255}.${clients & 255}`;
};

/** A connection that keeps what it gets; `ended` tells when and how it ended. */
export class Client {
    constructor(port, { read = true } = {}) {
        this.got = '';
        this.socket = net.connect({ port, host: '127.0.0.1', localAddress: ownAddress() });
        if (read) this.socket.on('data', (data) => { this.got += data.toString('latin1'); });
        else this.socket.pause();
        this.socket.on('error', (error) => { this.error = error.code; });
        this.connected = new Promise((resolve) => { this.socket.once('connect', () => resolve(true)); this.socket.once('close', () => resolve(false)); });
        this.ended = new Promise((resolve) => { this.socket.once('close', () => { this.closed = true; resolve(this); }); });
    }

    send(text) {
        if (!this.closed && this.socket.writable) this.socket.write(text, 'latin1');
        return this;
    }

    /** Ends with RST, as one whose machine goes away. */
    reset() {
        this.socket.resetAndDestroy();
        return this.ended;
    }

    /** The statuses of the answers it got. */
    get statuses() {
        return [...this.got.matchAll(/HTTP\/1\.1 (\d{3}) [^\r]*\r\n(?:[^\r]+\r\n)*\r\n/g)].map(([, status]) => Number(status));
    }
}

/** Sends one byte of text after another until it is done or the other side has closed. */
export async function drip(client, text, ms) {
    for (const byte of text) {
        if (client.closed) return;
        client.send(byte);
        await sleep(ms);
    }
}

/** `count` clients at the same time; gives them when all have ended. */
export async function crowd(count, work) {
    const all = await Promise.all(Array.from({ length: count }, (_, i) => work(i)));
    for (const client of all) await client.ended;
    return all;
}

/** KiB of memory that a process holds. */
export const memory = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

/** Connections of a port that its process still holds: those that only the kernel remembers belong to nobody. */
export function connections(port) {
    const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`, listening = '0A';
    return fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1).map((line) => line.trim().split(/\s+/))
        .filter(([, from, , state, , , , , , inode]) => from?.endsWith(local) && state !== listening && inode !== '0').length;
}

/** An honest client: creates a payment and reads it, again and again, and is answered right every time. */
export class Honest {
    constructor(engine) {
        this.engine = engine;
        this.count = 0;
        this.stopped = false;
        this.done = this.run();
        this.done.catch(() => {});
    }

    async run() {
        while (!this.stopped) {
            const order = `H${process.pid}-${++this.count}`, amount = 1000 + this.count;
            const created = await this.engine.create(order, { amount });
            assert.equal(created.status, 201, created.text);
            assert.equal(created.body.amount, amount);
            const read = await this.engine.get(`/v1/payments/${created.body.id}`);
            assert.equal(read.status, 200, read.text);
            assert.deepEqual([read.body.merchant_order_id, read.body.amount], [order, amount]);
            await sleep(5);
        }
    }

    async stop() {
        this.stopped = true;
        await this.done;
        assert.ok(this.count > 3, `${this.count} payments of the honest client`);
    }
}
