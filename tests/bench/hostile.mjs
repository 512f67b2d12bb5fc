// hostile.mjs - how much longer other clients wait while one means harm: node tests/bench/hostile.mjs [attack…]
// The same creates at a fixed rate on connections of their own, with and without the attack in turns, on the same
// engine; every answer is checked. Printed (TAP) is the p99 of both and their ratio: the medians of the turns.
// How long something takes decides nothing here.
// SECONDS_EACH=3 TURNS=5 RATE=400 SERVER_CORE=0 LOAD_CORE=1
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, sleep } from '../e2e/tael.mjs';
import { Client, drip } from '../fault/hostile.mjs';
import { writeCreates } from './requests.mjs';
import { Server } from './server.mjs';
import { placed, settings } from './settings.mjs';

const number = (name, usual) => Number(process.env[name] ?? usual);
const CONNECTIONS = 16;
const GET = 'GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n';
const BODY = 'POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n';
const much = 'x'.repeat(1 << 20);

/** Keeps `count` clients busy: begins another whenever one has ended. */
function always(count, begin) {
    for (let i = 0; i < count; i++) (async () => { for (;;) { const one = begin(); await one.ended; await sleep(10); } })();
}

const attacks = {
    'slow heads': (port) => always(1000, () => {
        const one = new Client(port);
        drip(one, `GET / HTTP/1.1\r\nX: ${'a'.repeat(100)}`, 1000);
        return one;
    }),
    'slow bodies': (port) => always(1000, () => {
        const one = new Client(port).send(BODY);
        drip(one, 'x'.repeat(100), 1000);
        return one;
    }),
    'never read': (port) => always(200, () => new Client(port, { read: false }).send('GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(900))),
    'ten thousand idle': (port) => always(9500, () => new Client(port)),
    'floods of pipelined requests': (port) => always(10, () => new Client(port).send(GET.repeat(1200))),
    'huge heads and bodies': (port) => always(10, () => new Client(port).send(Math.random() < 0.5 ? `GET /${much}` : BODY.replace('00000', '00000000') + much)),
    'resets': (port) => always(20, () => {
        const one = new Client(port);
        one.connected.then(() => { one.send(GET.slice(0, Math.random() * GET.length + 1)); setTimeout(() => one.reset(), Math.random() * 10); });
        return one;
    }),
};

function attack(name, port) {
    attacks[name](port);
    setInterval(() => {}, 1000); // who does not read keeps no process alive
    process.stdout.write('begun\n');
}

// The load goes first on the core that it shares with the attack: else its own waiting would pass for the engine's.
const ahead = spawnSync('chrt', ['-f', '10', 'true']).status === 0 ? ['chrt', '-f', '10'] : ['nice', '-n', '0'];

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

async function p99(server, setup, number) {
    const file = path.join(setup.folder, 'requests');
    writeCreates(file, server.key, number, setup.rate * setup.seconds);
    const [command, args] = placed(settings.loadCore, path.join(root, 'build/bench/load'),
        ['-p', server.port, '-c', CONNECTIONS, '-r', setup.rate, '-f', file, '-d', setup.seconds, '-w', 1]);
    const child = spawn(ahead[0], [...ahead.slice(1), command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (data) => { text += data; });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`answers were wrong or missing: ${text.trim()}`);
    return JSON.parse(text);
}

async function under(name, server, setup) {
    const [command, args] = placed(settings.loadCore, process.execPath, [fileURLToPath(import.meta.url), '--attack', name, server.port]);
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    await sleep(name === 'ten thousand idle' ? 4000 : 1000);
    const result = await p99(server, setup, setup.next());
    if (child.exitCode !== null) throw new Error(`${name}: the attack has ended by itself`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await sleep(500);
    return result;
}

async function measure(names) {
    const folder = fs.mkdtempSync(path.join(root, 'build/bench/hostile-'));
    let created = 1;
    const setup = { folder, seconds: number('SECONDS_EACH', 3), rate: number('RATE', 400), turns: number('TURNS', 5),
        next() { const from = created; created += this.rate * this.seconds; return from; } };
    const server = await new Server({ folder, core: settings.serverCore }).start();
    try {
        for (const [i, name] of names.entries()) {
            const quiet = [], loud = [];
            for (let turn = 0; turn < setup.turns; turn++) {
                quiet.push((await p99(server, setup, setup.next())).p99_us / 1000);
                loud.push((await under(name, server, setup)).p99_us / 1000);
            }
            const [without, beside] = [median(quiet), median(loud)];
            console.log(`ok ${i + 1} - ${name}: p99 ${without.toFixed(2)} ms without, ${beside.toFixed(2)} ms beside it, ratio ${(beside / without).toFixed(2)}`);
        }
    } finally {
        await server.stop();
        fs.rmSync(folder, { recursive: true });
    }
}

const words = process.argv.slice(2);
if (words[0] === '--attack') attack(words[1], Number(words[2]));
else await measure(words.length > 0 ? words : Object.keys(attacks));
