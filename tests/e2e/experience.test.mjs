// experience.test.mjs - the first minutes of three people, as they are promised: each block is followed line by line.
// "$ …" is a command in the shell of that person, "# …" in the operator's; other lines are what the terminal shows,
// where "…" stands for anything in a line, and a line of it alone for any lines. `pay_01J8…` in a command is the first
// payment of the block. Enter is pressed when it is asked for. Only ports are changed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, program, temporaryFolder, until } from './tael.mjs';
import { Terminal, quoted, scan } from './terminal.mjs';

const MERCHANT = `
$ tael init shop && cd shop
created shop/  tael.lua  scripts/merchants/shop.test/rules.lua  scripts/merchants/shop.test/spec/rules_spec.lua  …  .luarc.json
next: cd shop && tael dev
$ tael dev
tael …  dev mode (fake channels, real signatures)          ready in … s
  api      http://127.0.0.1:8080        test key  tael_test_…  (saved for this folder)
  channels alipay ✓sim
…
$ tael pay 12.34 --subject coffee            # second terminal
pay_…  CNY 12.34  routed to alipay (…)
█▀▀▀▀▀█ …  scan, or press Enter to let the simulated buyer pay
paid      alipay …  in … s   notify verified ✓   webhook: none configured
$ tael pay 1500 --yes
pay_…  CNY 1500.00  routed to alipay (…)   paid in … s
$ tael trigger notify.duplicate pay_01J8…    &&  tael explain pay_01J8…
delivered the same alipay notification 3 times: 1 applied, 2 recognised as replay
…
… created   CNY 12.34  order …
… attempt   alipay/alipay-shop qr  → sent     … call create 10000 OK … ms → waiting_payer
… notify    ntf_… 12 checks ok (key …) → paid     … repeat, no effect (x2)
$ tael clock advance 2h
clock +2h: 1 order closed at channel, 0 notifications pending
`;

const OPERATOR = `
# tael doctor
…
ok   gconv       GBK, GB18030
…
ok   store       sqlite  file is new, schema will be made…
…
warn tls         no certificate: API listens on 127.0.0.1:8080 only   …→ http.tls = { cert = …, key = … } in tael.lua
fail channels    none configured                                     …→ add an account under merchants in tael.lua
`;

const DEVELOPER = `
$ curl -s 127.0.0.1:8080/v1/payments -u tael_test_7Qm…: -H 'Content-Type: application/json' -d '{"amount":1234,"currency":"CNY","merchant_order_id":"A1","subject":"coffee","channel":"alipay","product":"qr"}'
{"id":"pay_01J8…","object":"payment","state":"pending","amount":1234,"currency":"CNY","merchant_order_id":"A1","next_action":{"type":"qr_code","code_url":"…","expires_at":"…","svg_url":"…"},…}
$ tael trigger payment.paid
evt_…  payment.paid  pay_…  CNY 12.34
…
`;

/** [{ text, output: [] }] of a block. */
function steps(block) {
    const found = [];
    for (const line of block.trim().split('\n')) {
        if (/^[$#] /.test(line)) found.push({ text: line.slice(2), output: [] });
        else found.at(-1).output.push(line);
    }
    return found;
}

const CODE = '█▀▀▀▀▀█ …  ';
const literal = (text) => text.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^\\n]*');

/** What the terminal has to show; a drawn code stands for its lines. */
function pattern(lines) {
    const parts = lines.map((line) => {
        if (line === '…') return '(?:[^\\n]*\\n)*?';
        if (line.startsWith(CODE)) return `(?:[ ▀▄█]+\\n)+${literal(line.slice(CODE.length))}\\n`;
        return `${literal(line)}[ \\t]*\\n`;
    });
    return new RegExp(`^${parts.join('')}$`);
}

let folder, ports, environment, dev;

before(async () => {
    folder = temporaryFolder('experience');
    fs.mkdirSync(path.join(folder, 'bin'));
    fs.writeFileSync(path.join(folder, 'bin/tael'), `#!/bin/sh\nexec '${program}' "$@"\n`, { mode: 0o755 });
    ports = { 8080: await freePort(), 8081: await freePort(), 8090: await freePort() };
    environment = {
        PATH: `${folder}/bin:${process.env.PATH}`, LANG: 'C.UTF-8', LC_ALL: '', LC_MESSAGES: '',
        TAEL_HTTP__LISTEN: `127.0.0.1:${ports[8080]}`, TAEL_OPERATIONS__LISTEN: `127.0.0.1:${ports[8081]}`,
        TAEL_SANDBOX__LISTEN: `127.0.0.1:${ports[8090]}`,
    };
});
after(async () => {
    if (dev && dev.code === undefined) {
        dev.press('\x03');
        await dev.ended;
    }
    fs.rmSync(folder, { recursive: true, force: true });
});

const withPorts = (text) => text.replace(/\b(8080|8081|8090)\b/g, (port) => ports[port]);

/** A shell whose commands run one after the other, each in a terminal, where the one before ended. */
class Shell {
    constructor(cwd) {
        this.cwd = cwd;
    }

    start(text) {
        const file = path.join(folder, 'cwd');
        const terminal = new Terminal(`bash -c ${quoted('eval "$LINE"; code=$?; pwd > "$CWD"; exit $code')}`,
            { cwd: this.cwd, env: { ...environment, LINE: text, CWD: file } });
        terminal.ended.then(() => { if (fs.existsSync(file)) this.cwd = fs.readFileSync(file, 'utf8').trim(); });
        return terminal;
    }

    /** Runs a command to its end; presses Enter where it is asked for. */
    async run(text, code = 0) {
        const terminal = this.start(text);
        let pressed = false;
        while (terminal.code === undefined) {
            if (!pressed && /press Enter/.test(terminal.text)) {
                pressed = true;
                this.drawn = terminal.text;
                terminal.press('\n');
            }
            await Promise.race([terminal.ended, new Promise((resolve) => setTimeout(resolve, 20))]);
        }
        assert.equal(terminal.code, code, `${text}: ended with ${terminal.code}\n${terminal.text}`);
        return terminal.text;
    }
}

const shows = (output, lines, text) => assert.match(output, pattern(lines.map(withPorts)), `${text}\n${output}`);

let shell, key;

test('a merchant: from nothing to a payment, its repeats and its clock', { timeout: 120_000 }, async () => {
    shell = new Shell(folder);
    let first;
    for (const { text, output } of steps(MERCHANT)) {
        if (text === 'tael dev') {
            dev = new Shell(shell.cwd).start(text);
            await until('the engine is ready', () => {
                if (dev.code !== undefined) throw new Error(`tael dev ended with ${dev.code}:\n${dev.text}`);
                return pattern([...output, '…'].map(withPorts)).test(dev.text);
            }, 30).catch((error) => assert.fail(`${error.message}\n${dev.text}`));
            key = dev.text.match(/tael_test_\w{48}/)?.[0] ?? fs.readFileSync(path.join(shell.cwd, 'data/demo.key'), 'utf8').trim();
            continue;
        }
        if (text.startsWith('tael clock')) await shell.run('tael pay 9.90 --json > left-open.json');
        const seen = await shell.run(text.replace(/pay_01J8…/g, first));
        first ??= seen.match(/pay_\w{26}/)?.[0];
        shows(seen, output, text);
        if (shell.drawn && text.startsWith('tael pay 12.34')) {
            assert.match(shell.drawn, /█▀▀▀▀▀█/, 'the code is drawn');
            assert.match(scan(shell.drawn), new RegExp(`^http://127\\.0\\.0\\.1:${ports[8090]}/`));
        }
    }
});

test('an operator: every line of doctor that is not well says what to do', async () => {
    const place = path.join(folder, 'server');
    fs.mkdirSync(place);
    fs.writeFileSync(path.join(place, 'tael.lua'), 'return { store = { migrate = "auto" } }\n');
    const other = new Shell(place);
    await other.run('tael keys generate');
    const free = { api: await freePort(), operations: await freePort() };
    const listening = `TAEL_HTTP__LISTEN=127.0.0.1:${free.api} TAEL_OPERATIONS__LISTEN=127.0.0.1:${free.operations}`;
    for (const { text, output } of steps(OPERATOR)) {
        const seen = await other.run(`${listening} ${text}`, 1);
        assert.match(seen, pattern(output.map((line) => line.replaceAll('8080', free.api))), seen);
        for (const line of seen.trim().split('\n'))
            assert.match(line, /^(ok   \w+ +|(warn|fail) \w+ .* → )\S/, 'what is not well says what to do');
        assert.match(seen, /^(ok   clock       offset \d+ ms|warn clock       \S+Z, not synchronised +→ .*)$/m);
    }
});

/** Every member that the line shows is there, in any order; "…" in a text stands for anything. */
function holds(line, object, where = '') {
    const wanted = JSON.parse(line.replace(/,…}$/, '}'));
    const compare = (expected, actual, at) => {
        if (expected !== null && typeof expected === 'object') {
            for (const [name, value] of Object.entries(expected)) compare(value, actual?.[name], `${at}/${name}`);
        } else if (typeof expected === 'string') {
            assert.match(String(actual), new RegExp(`^${literal(expected)}$`), at);
            assert.equal(typeof actual, 'string', at);
        } else {
            assert.equal(actual, expected, at);
        }
    };
    compare(wanted, object, where);
}

test('a developer: one request is a code that can be scanned', { timeout: 60_000 }, async () => {
    const [create, trigger] = steps(DEVELOPER);
    const seen = await shell.run(withPorts(create.text).replace('tael_test_7Qm…', key));
    const payment = JSON.parse(seen);
    holds(create.output[0].replace('pay_01J8…', 'pay_…'), payment);
    const svg = await fetch(payment.next_action.svg_url);
    assert.equal(svg.status, 200);
    assert.match(svg.headers.get('content-type'), /^image\/svg\+xml/);
    shows(await shell.run(trigger.text), trigger.output, trigger.text);
});
