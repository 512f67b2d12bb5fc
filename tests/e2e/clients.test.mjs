// clients.test.mjs - the example programs of a merchant against an engine that is not always there, and a proxy before it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { root } from './tael.mjs';

const payment = (state) => [200, { id: 'pay_0CPEY11820000ZH9RVW05DQ5T9', state,
    next_action: state === 'pending' ? { method: 'GET', type: 'redirect', url: 'http://there' } : null }];
const problem = (status, code, retriable = false) => [status, { code, detail: `what ${code} means`, retriable, status }];
const proxy = [502, '<html>\n<h1>Bad Gateway</h1></html>'];

/** What a program says, and what was asked of the server that answers like this, one answer after the other. */
async function run(words, answers) {
    const asked = [];
    const server = http.createServer(async (request, response) => {
        const parts = [];
        for await (const part of request) parts.push(part);
        const [status, body] = answers[Math.min(asked.length, answers.length - 1)];
        asked.push(Buffer.concat(parts).toString());
        response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/html' : 'application/json' });
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const child = spawn(words[0], words.slice(1), { cwd: root, timeout: 20_000,
        env: { ...process.env, TAEL_URL: `http://127.0.0.1:${server.address().port}`, TAEL_KEY: 'tael_test_x' } });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { text += data; });
    const [code] = await once(child, 'close');
    server.closeAllConnections();
    server.close();
    return { code, text, asked };
}

const curl = (...words) => ['sh', 'examples/clients/order.sh', ...words];
const node = (...words) => ['node', 'examples/clients/order.mjs', ...words];

test('order.mjs asks again while a proxy says that the engine is not there', async () => {
    const { code, text, asked } = await run(node('A1'), [proxy, payment('pending'), proxy, problem(503, 'overloaded', true),
        payment('paid')]);
    assert.match(text, /^no answer \(HTTP 502\), again in 250 ms\npay at http:\/\/there\n/);
    assert.match(text, /\npay_0CPEY11820000ZH9RVW05DQ5T9 paid\n$/);
    assert.deepEqual([code, asked.length], [0, 5]);
});

test('order.mjs ends where another request would change nothing', async () => {
    const { code, text, asked } = await run(node('A1'), [payment('pending'), problem(401, 'unauthorized')]);
    assert.match(text, /\nunauthorized: what unauthorized means\n$/);
    assert.deepEqual([code, asked.length], [1, 2]);
    assert.match((await run(node('A1'), [[200, '<html>hello</html>']])).text, /is no Tael: its answer is no JSON\n$/);
});

test('order.mjs takes no amount that is not of minor units: 20.00 is no 20 fen', async () => {
    for (const amount of ['20.00', '12.34', '1e3', '0x10', '', ' 5', '0', '-5', '99999999999999999999']) {
        const { code, text, asked } = await run(node('A1', amount), [payment('paid')]);
        assert.deepEqual([code, asked.length], [2, 0], amount);
        assert.match(text, /AMOUNT .*minor units.* 1234 for 12\.34/);
    }
    const { asked: [body] } = await run(node('A1', '500'), [payment('paid')]);
    assert.equal(JSON.parse(body).amount, 500);
});

test('order.sh says what was answered, whoever did', async () => {
    const lost = await run(curl('A1'), [proxy]);
    assert.match(lost.text, /^no answer of Tael: <html>\n<h1>Bad Gateway/);
    assert.equal(lost.code, 1);
    const { code, text } = await run(curl('A1'), [payment('pending'), problem(401, 'unauthorized'), proxy, payment('paid')]);
    assert.match(text, /^pay at http:\/\/there\nwhat unauthorized means\nno answer of Tael: <html>[^]*\npay_\w+ paid\n$/);
    assert.equal(code, 0);
});

test('order.sh sends any subject as it is', async () => {
    const subject = 'a 19" screen \\ lamp, "amount":1';
    const { asked: [body] } = await run(curl('A1', '500', subject), [payment('paid')]);
    assert.deepEqual([JSON.parse(body).subject, JSON.parse(body).amount], [subject, 500]);
});
