// stop.test.mjs - SIGTERM under load: whoever was answered or was on the way in has an answer, nothing is lost, and
// the program ends with 0 and, under a sanitizer, without a leak.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { Load } from './load.mjs';
import { Engine, Process, sleep, until } from './tael.mjs';

const rounds = Number(process.env.ROUNDS ?? 3);

test(`${rounds} stops under load fail no request`, { timeout: 180_000 }, async (t) => {
    const engine = await new Engine({ env: { TAEL_WORKERS: '2' } }).start();
    t.after(() => engine.stop('SIGKILL'));
    let closes = 0;
    for (let round = 0; round < rounds; round++) {
        const load = new Load(engine, { shops: 6 }).start();
        await until('there is some load', () => load.paid.length > 20);
        await sleep(round * 37);
        load.stopping = true;
        const end = await engine.stop();
        await load.end();
        assert.deepEqual(end, { code: 0, signal: null }, engine.process.output.slice(-4000));
        assert.deepEqual(load.failures.slice(0, 5), []);
        assert.match(engine.process.output, /"event":"engine\.stopped"[^\n]*"drain":"clean"/);
        closes += load.closes;
        await engine.start();
        assert.deepEqual(await load.verify(40), []);
    }
    assert.ok(closes > 0, 'no client was told that its connection closes');
    await engine.prove();
    fs.rmSync(engine.folder, { recursive: true, force: true });
});

/** Sends `text` and gives everything that comes until the end. */
async function talk(socket, text) {
    let got = '';
    socket.setEncoding('utf8').on('data', (data) => { got += data; });
    socket.write(text);
    await once(socket, 'close');
    return got;
}

test('a connection without a request may still send one when the stop has begun', async () => {
    const engine = await new Engine({ env: { TAEL_DRAIN: '60s' } }).start();
    const connect = async () => {
        const socket = net.connect(engine.ports.api, '127.0.0.1');
        await once(socket, 'connect');
        return socket;
    };
    const [busy, idle] = [await connect(), await connect()];
    const idled = once(idle, 'close'); // closed without a reset: that would be an error
    idle.resume();
    const ended = engine.stop();
    await until('the drain has begun', () => engine.process.output.includes('"event":"engine.draining"'));
    const answer = await talk(busy, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*\r\nConnection: close\r\n/i);
    await idled;
    assert.equal((await ended).code, 0, engine.process.output.slice(-3000));
    await engine.remove();
});

test('who waits in the backlog when SIGTERM comes is served', async () => {
    const engine = await new Engine().start();
    const { pid } = engine.process.child;
    process.kill(pid, 'SIGSTOP'); // connections come in, and nobody takes them
    const waiting = [];
    for (let i = 0; i < 40; i++) {
        const socket = net.connect(engine.ports.api, '127.0.0.1');
        await once(socket, 'connect');
        waiting.push(talk(socket, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'));
    }
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGCONT');
    for (const answer of await Promise.all(waiting)) assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    await engine.remove();
});

test('a stop at any moment of a start ends well, and the next start finds all in order', { timeout: 180_000 }, async () => {
    const engine = await new Engine().start(); // its keys and its store are made
    await engine.stop();
    const begin = () => new Process(['serve', '--dev'], { cwd: engine.folder, env: engine.environment });
    const started = (process) => process.output.split('"event":"engine.started"').length - 1; // the simulators first
    const steps = 16, from = Date.now(), whole = begin();
    await until('it has started', () => started(whole) === 2);
    const made = Date.now() - from;
    await whole.stop();
    for (let i = 0; i < steps; i++) {
        const process = begin();
        await sleep(1.2 * made * i / steps);
        const end = await process.stop();
        // before the program has begun to wait for signals, they are the system's
        const early = end.signal === 'SIGTERM' && process.output === '';
        assert.ok(early || end.code === 0, `${JSON.stringify(end)} ${process.output}`);
        assert.doesNotMatch(process.output, /"level":"error"|^tael:/m);
    }
    await engine.start();
    await engine.prove();
    fs.rmSync(engine.folder, { recursive: true, force: true });
});
