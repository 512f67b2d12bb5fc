// smuggling.test.mjs - requests of doubtful framing, crafted and damaged, sent directly and through a real nginx: the
// engine takes none it must refuse and refuses none it must take, and whatever both read is split the same way.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answersOf, craftedRows, each, Echo, exchange, Nginx } from './nginx.mjs';

const DAMAGED = Number(process.env.SMUGGLING ?? 400);
const MARKER = 'GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

let echo, behind, nginx, streaming, rows, inputs;
before(async () => {
    echo = await new Echo().start();
    behind = await new Echo().start(2000); // what nginx sends is whole; it must not be late on a busy machine
    nginx = await new Nginx().start(behind.address);
    streaming = await new Nginx().start(behind.address, { buffered: false });
    rows = await craftedRows();
    inputs = [...rows.map((row) => row.bytes), ...damaged(rows, DAMAGED)];
});
after(async () => {
    await nginx.stop();
    await streaming.stop();
    await behind.stop();
    await echo.stop();
});

// ---- damaged pairs, the same for the same seed ----

/** splitmix32 */
function drawer(seed) {
    return (below) => {
        seed = (seed + 0x9e3779b9) | 0;
        let z = Math.imul(seed ^ (seed >>> 16), 0x21f0aaad);
        z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
        return ((z ^ (z >>> 15)) >>> 0) % below;
    };
}

const pieces = ['\r\n', '\n', '\r', ' ', '\t', '\0', ':', ';', ',', '0', '5', 'a', '+', '-', '0x', '%00', '\x0b', '\x7f', '\xff',
    '\r\n\r\n', '0\r\n\r\n', '1\r\nZ\r\n', 'Content-Length: 5\r\n', 'Content-Length: 0\r\n', 'content-length:4\r\n',
    'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: identity\r\n', 'Transfer-Encoding : chunked\r\n',
    'Transfer-Encoding:\r\n chunked\r\n', 'Connection: close\r\n', 'Connection: keep-alive\r\n', 'Connection: content-length\r\n',
    'Host: b\r\n', 'Expect: 100-continue\r\n', 'X: y\r\n', ' HTTP/1.0', 'GET /in HTTP/1.1\r\nHost: a\r\n\r\n'];

function damage(bytes, draw) {
    let text = bytes.toString('latin1');
    for (let edits = 1 + draw(3); edits > 0; edits--) {
        const at = draw(text.length + 1), piece = pieces[draw(pieces.length)];
        const cut = [0, 0, 1, 1, piece.length, 4][draw(6)];
        text = text.slice(0, at) + (draw(5) === 0 ? '' : piece) + text.slice(at + cut);
    }
    return Buffer.from(text, 'latin1');
}

function damaged(rows, count) {
    const good = rows.filter((row) => row.want.endsWith('\n') && row.bytes.length < 2000).map((row) => row.bytes);
    return Array.from({ length: count }, (_, i) => {
        const draw = drawer(i + 1);
        const first = damage(good[draw(good.length)], draw), second = good[draw(good.length)];
        return Buffer.concat([first, draw(3) === 0 ? damage(second, draw) : second]);
    });
}

// ---- what was read ----

const hex = (text) => Buffer.from(text).toString('hex');
const shown = (bytes) => JSON.stringify(bytes.toString('latin1'));

/** The path and query of a target in absolute form: nginx tells no more of it. */
function pathOf(target) {
    const rest = /^https?:\/\/[^/?]*(.*)$/i.exec(target)?.[1] ?? target;
    const path = rest === '' || rest.startsWith('?') ? `/${rest}` : rest;
    return path === '/?' ? '/' : path; // nginx makes one of the other where there is no path
}

const parts = ({ method, target, body }) => ({ method, target: pathOf(target), body });

/** Sends every input with the marker behind it; gives per input { from, answer, requests by nginx }. */
async function through(proxy, port) {
    const results = [];
    await each(inputs, 24, async (bytes, i) => {
        results[i] = await exchange(port, Buffer.concat([bytes, Buffer.from(MARKER)]), { half: true });
    });
    const log = proxy.log();
    const byAddress = new Map(results.map((result) => [result.from, result]));
    for (const result of results) result.requests = [];
    for (const entry of log) byAddress.get(entry.from)?.requests.push(entry);
    return results;
}

test('directly: none of the crafted requests is wrongly taken, none wrongly refused', async () => {
    const results = [], wrong = [];
    await each(rows, 24, async (row, i) => { results[i] = await exchange(echo.port, row.bytes); });
    await echo.settle();
    for (const [i, { from, answer }] of results.entries()) {
        const took = echo.by(from);
        const refusals = answersOf(answer, took.map(({ method }) => method)).filter(({ status }) => status !== 200);
        const said = took.map(({ method, target, body }) => `${method} ${target} [${body}]\n`).join('')
            + refusals.map(({ status }) => `!${status}`).join('');
        if (said !== rows[i].want) wrong.push([rows[i].name, rows[i].want, said]);
    }
    assert.deepEqual(wrong, []);
    assert.equal(rows.length, 195);
});

for (const [what, pick, which] of [
    ['nginx', () => nginx, 0], ['nginx that passes on invalid header lines', () => nginx, 1],
    ['nginx that passes bodies on as they come', () => streaming, 0],
]) {
    test(`through ${what}: as many requests as it forwards, with the same target and body`, async () => {
        const proxy = pick(), whole = proxy === nginx;
        const from = behind.seen.length;
        const results = await through(proxy, proxy.ports[which]);
        await behind.settle();
        const seen = new Map();
        for (const request of behind.seen.slice(from)) {
            assert.ok(!seen.has(request.tag), `one of nginx became two: ${JSON.stringify(request)}`);
            seen.set(request.tag, request);
        }
        let forwarded = 0;
        for (const [i, { requests, answer }] of results.entries()) {
            const got = answersOf(answer, requests.map(({ method }) => method));
            for (const [n, request] of requests.entries()) {
                if (request.upstream !== '200') continue; // refused, by nginx or by the engine
                const here = seen.get(request.tag);
                assert.ok(here, `not seen: ${shown(inputs[i])}`);
                seen.delete(request.tag);
                const ours = parts(here), theirs = parts(request);
                if (!whole) ours.body = theirs.body; // nginx does not keep what it passes on
                assert.deepEqual(ours, theirs, shown(inputs[i]));
                forwarded++;
                if (request.method === 'HEAD' || n >= got.length) continue; // HTTP/0.9 has answers without a head
                assert.equal(got[n].body.split(' ')[1], hex(request.tag), `an answer of somebody else: ${shown(inputs[i])}`);
            }
        }
        assert.deepEqual([...seen.values()], [], 'requests that nginx did not send');
        assert.ok(forwarded > rows.length / 4, `${forwarded} forwarded`);
    });
}

test('directly and through nginx: what both take is split the same way', async () => {
    const theirs = await through(nginx, nginx.ports[0]);
    let compared = 0;
    const clients = [], unlike = [];
    await each(inputs, 24, async (bytes, i) => {
        clients[i] = (await exchange(echo.port, Buffer.concat([bytes, Buffer.from(MARKER)]))).from;
    });
    await echo.settle();
    for (const [i, bytes] of inputs.entries()) {
        const ours = echo.by(clients[i]).map(parts);
        const taken = theirs[i].requests.filter(({ upstream }) => upstream !== '').map(parts);
        const both = Math.min(ours.length, taken.length);
        compared += both;
        if (JSON.stringify(ours.slice(0, both)) !== JSON.stringify(taken.slice(0, both)))
            unlike.push({ bytes: shown(bytes), ours, nginx: taken });
    }
    assert.deepEqual(unlike, []);
    assert.ok(compared > rows.length / 2, `${compared} compared`);
});
