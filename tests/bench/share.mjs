// share.mjs - how much longer one merchant's payments wait while the rules of another one take all that a call may, at every
// call: node tests/bench/share.mjs. The greedy one asks at a fixed rate, in turns with rules that work first and with rules
// that answer at once, and as often with what takes a payment: of the greedy one two in three are held, for its share is used
// up, and written. On one worker; p99 of the other's creates at a fixed rate is printed (TAP), the medians of the turns.
// Every answer is checked: the other one's are all right, the greedy one's are its rule's or that rule's default. How long
// something takes decides nothing here.
// SECONDS_EACH=3 TURNS=5 RATE=150 GREEDY=100 SHARE=5 SERVER_CORE=0 LOAD_CORE=1
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { root, sleep } from '../e2e/tael.mjs';
import { writeCreates } from './requests.mjs';
import { Server } from './server.mjs';
import { placed, settings } from './settings.mjs';

const number = (name, usual) => Number(process.env[name] ?? usual);
const SECONDS = number('SECONDS_EACH', 3), TURNS = number('TURNS', 5), RATE = number('RATE', 150), GREEDY = number('GREEDY', 100);
const CONNECTIONS = 16;
const merchant = (name) => `${name} = { mode = "test", accounts = { ["${name}-alipay"] = { channel = "alipay", environment = "sandbox",
    app_id = "2021000000000001", seller_id = "2088000000000001", key = "shop", alipay_key = "alipay" } } }`;
const RULES = {
    quiet: 'return { risk = function(payment)\n' +
        '    if tonumber(payment.merchant_order_id:match("%d+$")) % 3 == 0 then return "deny", "at once" end\n    return "review", "at once"\nend }\n',
    // most of the 300,000 steps of a call: one that used all of them up would not be asked for long
    greedy: 'return { risk = function() for i = 1, 70000 do end return "deny", "at last" end }\n',
};

async function open(folder) {
    const server = new Server({ folder, core: settings.serverCore });
    await server.prepare();
    fs.writeFileSync(path.join(folder, 'tael.lua'), `return { scripts = { share = ${number('SHARE', 5)} },
        merchants = { ${merchant('shop')}, ${merchant('greedy')} } }\n`);
    fs.mkdirSync(path.join(folder, 'scripts/merchants/greedy'), { recursive: true });
    await server.start();
    server.greedy = /tael_test_\w+/.exec(server.tael('keys', 'api', 'greedy'))[0];
    return server;
}

/** Creates at its rate until it is stopped; gives how many were denied by the rule, held by its default, and neither. */
function ask(server, counts) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
    let open = 0;
    const one = () => {
        const body = `{"merchant_order_id":"G${++server.orders}","amount":1000,"currency":"CNY","subject":"tea","channel":"alipay"}`;
        const request = http.request({ port: server.port, method: 'POST', path: '/v1/payments', agent, headers: {
            authorization: `Bearer ${server.greedy}`, 'content-type': 'application/json', 'content-length': body.length } }, (response) => {
            response.resume().on('end', () => { open--; });
            counts[response.statusCode === 402 ? 'ruled' : response.statusCode === 201 ? 'held' : 'wrong']++;
        });
        open++;
        request.on('error', () => { counts.wrong++; open--; });
        request.end(body);
    };
    const timer = setInterval(one, 1000 / GREEDY);
    return async () => {
        clearInterval(timer);
        while (open > 0) await sleep(10);
        agent.destroy();
    };
}

async function p99(server, folder) {
    const file = path.join(folder, 'requests');
    writeCreates(file, server.key, server.created, RATE * SECONDS);
    server.created += RATE * SECONDS;
    const [command, args] = placed(settings.loadCore, path.join(root, 'build/bench/load'),
        ['-p', server.port, '-c', CONNECTIONS, '-r', RATE, '-f', file, '-d', SECONDS, '-w', 1]);
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (data) => { text += data; });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`answers were wrong or missing: ${text.trim()}`);
    return JSON.parse(text).p99_us / 1000;
}

async function turn(server, folder, rules, counts) {
    fs.writeFileSync(path.join(folder, 'scripts/merchants/greedy/rules.lua'), RULES[rules]);
    server.tael('reload');
    const stop = ask(server, counts);
    await sleep(1500); // until its share is used up
    const result = await p99(server, folder);
    await stop();
    return result;
}

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
if (settings.loadCore !== null) // who asks for the greedy one takes nothing from the server either
    execFileSync('taskset', ['-acp', String(settings.loadCore), String(process.pid)], { stdio: 'ignore' });
const folder = fs.mkdtempSync(path.join(root, 'build/bench/share-'));
const server = await open(folder);
server.orders = 0;
server.created = 1;
const counts = { quiet: { ruled: 0, held: 0, wrong: 0 }, greedy: { ruled: 0, held: 0, wrong: 0 } }, lists = { quiet: [], greedy: [] };
try {
    for (let i = 0; i < TURNS; i++)
        for (const rules of ['quiet', 'greedy']) lists[rules].push(await turn(server, folder, rules, counts[rules]));
} finally {
    await server.stop();
    fs.rmSync(folder, { recursive: true });
}
const [without, beside] = [median(lists.quiet), median(lists.greedy)];
const good = counts.quiet.wrong + counts.greedy.wrong === 0 && counts.greedy.ruled > 0 && counts.quiet.ruled > 0;
console.log(`# the greedy one: ${JSON.stringify(counts)}`);
console.log(`${good ? 'ok' : 'not ok'} 1 - another one's p99: ${without.toFixed(2)} ms without, ${beside.toFixed(2)} ms beside it, ratio ${(beside / without).toFixed(2)} (1.2 is to be reached)`);
process.exitCode = good ? 0 : 1;
