// readme.test.mjs - the README, followed word by word in a fresh clone. In a ```console block a line "$ …" is a
// command ("> " and a trailing backslash continue it), "^C" interrupts the server that runs, other lines are
// output: "…" stands for anything in a line, a line of it alone for any lines. Only ports are changed.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, root, sleep, temporaryFolder, until } from './tael.mjs';

const SERVER = /^make run$|\bserve\b/;

/** [{ line, kind: 'command', text, output: [] } | { line, kind: 'interrupt' }] */
export function steps(markdown) {
    const found = [];
    let inside = false, continued = false;
    markdown.split('\n').forEach((text, index) => {
        const last = found.at(-1);
        if (/^```/.test(text)) {
            inside = text === '```console';
            continued = false;
        } else if (inside && (continued || text.startsWith('> '))) {
            last.text += `\n${continued ? text : text.slice(2)}`;
            continued = continued && text.endsWith('\\');
        } else if (inside && text.startsWith('$ ')) {
            found.push({ line: index + 1, kind: 'command', text: text.slice(2), output: [] });
            continued = text.endsWith('\\');
        } else if (inside && text === '^C') {
            found.push({ line: index + 1, kind: 'interrupt' });
        } else if (inside) {
            last.output.push(text);
        }
    });
    return found;
}

/** What the output must look like. */
export function pattern(lines) {
    const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const parts = lines.map((line) => line === '…' ? '(?:[^\\n]*\\n)*?'
        : `${line.split('…').map(literal).join('[^\\n]*')}[ \\t]*\\n`);
    return new RegExp(`^${parts.join('')}$`);
}

let clone, ports, environment, server, state;

before(async () => {
    clone = path.join(temporaryFolder('readme'), 'tael');
    execFileSync('git', ['clone', '--quiet', '--no-hardlinks', root, clone]);
    ports = { 8080: await freePort(), 8081: await freePort(), 8090: await freePort() };
    environment = {
        ...process.env, TAEL_HTTP__LISTEN: `127.0.0.1:${ports[8080]}`,
        TAEL_OPERATIONS__LISTEN: `127.0.0.1:${ports[8081]}`, TAEL_SANDBOX__LISTEN: `127.0.0.1:${ports[8090]}`,
        TAEL_URL: `http://127.0.0.1:${ports[8080]}`, MAKEFLAGS: '', MAKELEVEL: '',
    };
    for (const name of ['TAEL', 'ASAN_OPTIONS', 'NODE_PATH']) delete environment[name];
    state = path.join(clone, '..', 'shell');
    fs.writeFileSync(state, `cd '${clone}'\n`);
});
after(async () => {
    await interrupt();
    fs.rmSync(path.dirname(clone), { recursive: true, force: true });
});

const withPorts = (text) => text.replace(/\b(8080|8081|8090)\b/g, (port) => ports[port]);

/** Starts a command line in a shell that goes on where the one before ended: its folder, its variables. */
function start(text) {
    const script = `. '${state}'\nexec 2>&1\n${withPorts(text)}\ncode=$?\n`
        + `{ export -p; printf "cd '%s'\\n" "$PWD"; } > '${state}'\nexit $code\n`;
    const child = spawn('bash', ['-c', script], { env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const run = { child, output: '', ended: once(child, 'close').then(([code]) => { run.code = code; }) };
    for (const stream of [child.stdout, child.stderr])
        stream.on('data', (data) => { run.output += data; });
    return run;
}

/** What Ctrl-C does: the signal goes to all that the server's shell has started. */
async function interrupt() {
    if (!server) return;
    if (server.code === undefined) process.kill(-server.child.pid, 'SIGINT');
    await server.ended;
    server = undefined;
}

/** Who opens each payment's page and presses Pay there; what has no page is paid by the command that made it. */
async function payAll() {
    const key = fs.readFileSync(path.join(clone, 'data/demo.key'), 'utf8').trim();
    const api = (target) => fetch(`${environment.TAEL_URL}${target}`, { headers: { authorization: `Bearer ${key}` } })
        .then((response) => response.json());
    const { data } = await api('/v1/payments?state=pending');
    for (const { id, next_action: action } of data) {
        if (action?.type !== 'redirect') continue;
        await fetch(action.url);
        const [{ order_no: number }] = (await api(`/v1/payments/${id}/attempts`)).data;
        await fetch(`http://127.0.0.1:${ports[8090]}/sandbox/trades/${number}/pay`, { method: 'POST' });
        await until('the payment is paid', async () => (await api(`/v1/payments/${id}`)).state === 'paid');
    }
}

const payer = () => server?.demo ? payAll() : null;

async function perform({ text, output, line }) {
    const wanted = pattern(output.map(withPorts));
    const where = `README.md:${line}: ${text}`;
    const run = start(text);
    if (SERVER.test(text)) {
        assert.equal(server, undefined, `${where}: another server is running`);
        server = run;
        await until(`${where} to print what the README says`, () => {
            assert.equal(run.code, undefined, `${where} ended:\n${run.output}`);
            return wanted.test(run.output.slice(0, run.output.lastIndexOf('\n') + 1));
        }, 300).catch((error) => assert.fail(`${error.message}\n${run.output}`));
        run.demo = text === 'make run';
        return;
    }
    while (run.code === undefined) {
        await Promise.race([run.ended, sleep(200)]);
        if (run.code === undefined) await payer();
    }
    assert.equal(run.code, 0, `${where} ended with ${run.code}:\n${run.output}`);
    if (output.length > 0)
        assert.match(run.output.endsWith('\n') ? run.output : `${run.output}\n`, wanted, where);
    await payer();
}

test('every command of the README does what it says', { timeout: 600_000 }, async () => {
    const all = steps(fs.readFileSync(path.join(clone, 'README.md'), 'utf8'));
    assert.ok(all.length >= 10, `only ${all.length} commands found`);
    for (const step of all) {
        if (step.kind === 'interrupt') await interrupt();
        else await perform(step);
    }
});

test('make test is there; it is what runs this test', () => {
    const plan = execFileSync('make', ['-n', 'test'], { cwd: clone, env: environment, encoding: 'utf8' });
    assert.match(plan, /tests\/run < build\/suites/);
    assert.match(fs.readFileSync(path.join(clone, 'README.md'), 'utf8'), /`make test`/);
});

test('the client in curl pays like the one in Node.js', { timeout: 60_000 }, async () => {
    await interrupt();
    await perform({ text: 'make run', output: ['…', '  merchant    demo.test   API key tael_test_…', '…'], line: 0 });
    await perform({ text: 'sh examples/clients/order.sh A1003 500 cake', line: 0,
        output: ['pay at http://127.0.0.1:8090/gateway.do?…', 'pay_… paid'] });
    await perform({ text: 'sh examples/clients/order.sh A1003 500 cake', line: 0, output: ['pay_… paid'] });
    await perform({ text: '! sh examples/clients/order.sh "A 1"', line: 0, output: ['merchant_order_id …'] });
    await perform({ text: '! node examples/clients/order.mjs "A 1"', line: 0, output: ['/merchant_order_id: …'] });
    await perform({ text: '! node examples/clients/order.mjs A1004 12.00', line: 0, output: ['AMOUNT is an integer of minor units…'] });
    await perform({ text: '! node examples/clients/order.mjs', line: 0, output: ['usage: …'] });
});
