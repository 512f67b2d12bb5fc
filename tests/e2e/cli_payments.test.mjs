// cli_payments.test.mjs - a payment's whole life from the command line: pay, refund, close, follow, explain, trigger,
// in a terminal and in pipes, against a development engine.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, freePort, program, temporaryFolder, until } from './tael.mjs';
import { Terminal, scan } from './terminal.mjs';

let engine, here;

before(async () => {
    engine = await new Engine().start();
    const { api, operations, sandbox } = engine.ports;
    here = { cwd: engine.folder, env: {
        TAEL_HTTP__LISTEN: `127.0.0.1:${api}`, TAEL_OPERATIONS__LISTEN: `127.0.0.1:${operations}`,
        TAEL_SANDBOX__LISTEN: `127.0.0.1:${sandbox}`, LANG: 'C.UTF-8', LC_ALL: '',
    } };
});
after(() => engine.remove());

function tael(args, { cwd, env } = here) {
    const { status, stdout, stderr } = spawnSync(program, args, {
        cwd, env: { ...process.env, ...env }, encoding: 'utf8', timeout: 90_000, input: '',
    });
    return { code: status, stdout, stderr, all: stdout + stderr };
}

/** The command ends with `code`; gives what it printed. */
function ends(code, args, options) {
    const run = tael(args, options);
    assert.equal(run.code, code, `tael ${args.join(' ')}: exit ${run.code}\n${run.all}`);
    return run;
}

const nobody = `pay_${'0'.repeat(26)}`;
const objects = (text) => text.trim().split('\n').map((line) => JSON.parse(line));
const object = (args) => objects(ends(0, [...args, '--json']).stdout)[0];
/** Somebody scans the code; nobody pays yet. */
async function scanned(...words) {
    const payment = object(['pay', '5', ...words]);
    const [{ order_no: number }] = objects(ends(0, ['payments', 'attempts', payment.id, '--json']).stdout);
    assert.equal((await lever(number, 'scan')).status, 200);
    return { ...payment, number };
}
const lever = (number, action) => fetch(`${engine.sandbox}/sandbox/trades/${number}/${action}`, { method: 'POST' });
const paid = (...words) => object(['pay', '12.34', '--yes', ...words]);

/** A command that runs beside the test. */
function start(args) {
    const child = spawn(program, args, { cwd: here.cwd, env: { ...process.env, ...here.env } });
    const run = { child, stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].on('data', (data) => { run[name] += data; });
    run.ended = once(child, 'close').then(([code]) => { run.code = code; return code; });
    return run;
}

// ---- pay ----

test('in a terminal the code is drawn, Enter lets the simulated buyer pay, and the proof is named', async () => {
    const terminal = Terminal.tael(['pay', '12.34', '--subject', 'coffee'], here);
    const [, id] = await terminal.shows(/^(pay_\w{26}) {2}CNY 12\.34 {2}routed to alipay \(default\)$/m);
    await terminal.shows(/^scan, or press Enter to let the simulated buyer pay/m);
    const payment = await engine.payment(id);
    assert.equal(payment.product, 'qr');
    assert.equal(payment.subject, 'coffee');
    assert.equal(scan(terminal.text), payment.next_action.code_url, terminal.text);
    assert.match(terminal.raw, /\x1b\[30;107m/, 'black on white, on a terminal of any colour');
    terminal.press('\n');
    await terminal.shows(/^paid {6}alipay \d{20,} {2}in \d+\.\d\d s {3}notify verified ✓ {3}webhook: none configured$/m);
    assert.equal(await terminal.ended, 0);
    assert.equal((await engine.payment(id)).state, 'paid');
});

test('NO_COLOR leaves the terminal its colours, and the code can be scanned on a dark one', async () => {
    const terminal = Terminal.tael(['pay', '1'], { ...here, env: { ...here.env, NO_COLOR: '1' } });
    await terminal.shows(/press Enter/);
    assert.doesNotMatch(terminal.raw, /\x1b/);
    const light = { ' ': '█', '█': ' ', '▀': '▄', '▄': '▀' };
    const dark = terminal.text.split('\n').filter((line) => /^[ ▀▄█]{20,}$/.test(line))
        .map((line) => [...line].map((character) => light[character]).join('')).join('\n');
    assert.match(scan(dark), /^https?:/);
    terminal.press('\n');
    assert.equal(await terminal.ended, 0);
});

test('Ctrl-C leaves the payment open and says how to go on', async () => {
    const terminal = Terminal.tael(['pay', '5'], here);
    await terminal.shows(/press Enter/);
    const [id] = terminal.text.match(/pay_\w{26}/);
    terminal.press('\x03');
    await terminal.shows(new RegExp(`tael: ${id} stays open until \\d{4}-.*\\nnext: tael payments show ${id}, or `));
    assert.equal(await terminal.ended, 7);
    assert.equal((await engine.payment(id)).state, 'pending');
});

test('Enter may come from a pipe as well', () => {
    const { status, stdout } = spawnSync(program, ['pay', '3.20'], {
        cwd: here.cwd, env: { ...process.env, ...here.env }, input: '\n', encoding: 'utf8', timeout: 60_000,
    });
    assert.equal(status, 0, stdout);
    assert.doesNotMatch(stdout, /\x1b/);
    assert.match(stdout, /^paid {6}alipay/m);
});

test('--yes says it in one line; --json gives the object', () => {
    assert.match(ends(0, ['pay', '1500', '--yes']).stdout,
        /^pay_\w{26} {2}CNY 1500\.00 {2}routed to alipay \(default\) {3}paid in \d+\.\d\d s\n$/);
    const payment = object(['pay', '0.01', '--yes', '--channel', 'alipay', '--order', 'T1']);
    assert.equal(payment.state, 'paid');
    assert.equal(payment.amount, 1);
    assert.equal(payment.merchant_order_id, 'T1');
    const open = object(['pay', '2', '--product', 'page']);
    assert.equal(open.state, 'pending');
    assert.equal(open.next_action.type, 'redirect');
    assert.equal(object(['pay', '2', '--product', 'page', '--order', open.merchant_order_id, '--subject', open.subject]).id,
        open.id, 'the same order is the same payment');
    assert.equal(object(['pay', '8', '--yes', '--product', 'page']).state, 'paid', 'a page is opened first');
});

test('who waits is told of what others do', async () => {
    const run = start(['pay', '7', '--wait', '30s']);
    run.child.stdin.end();
    const [id] = (await until('the payment', () => run.stdout.match(/pay_\w{26}/)));
    await until('it waits', () => /press Enter/.test(run.stdout));
    const [{ order_no: number }] = objects(ends(0, ['payments', 'attempts', id, '--json']).stdout);
    await lever(number, 'scan');
    ends(0, ['payments', 'close', id]);
    assert.equal(await run.ended, 1);
    assert.match(run.stderr, new RegExp(`^tael: ${id} was closed \\(merchant\\)\\nnext: tael explain ${id}\\n$`));
});

test('a buyer with too little money is told of at once', () => {
    const { stderr } = ends(1, ['pay', '5.65', '--yes']);
    assert.match(stderr, /^tael: the simulated buyer could not pay: too little money; (pay_\w{26}) stays open\nnext: tael payments show \1, /m);
});

test('a time to wait ends with 7', () => {
    const { stderr } = ends(7, ['pay', '7', '--wait', '1s']);
    assert.match(stderr, /^tael: (pay_\w+) is pending: .*\nnext: tael payments show \1, or tael payments close \1\n$/);
});

const behave = (fault) => fetch(`${engine.sandbox}/sandbox/behaviour`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(fault),
});

test('a channel that does not answer is waited for, and the code is drawn once it has', async () => {
    assert.equal((await behave({ op: 'precreate', fault: 'wrong_signature', times: 1 })).status, 200);
    const terminal = Terminal.tael(['pay', '5'], here);
    await terminal.shows(/the channel has not answered yet; the engine goes on asking\n/);
    assert.doesNotMatch(terminal.text, /press Enter/);
    await terminal.shows(/█▀▀▀▀▀█[^]*\nscan, or press Enter to let the simulated buyer pay$/);
    terminal.press('\n');
    await terminal.shows(/^paid {6}alipay/m);
    assert.equal(await terminal.ended, 0);

    await behave({ op: 'precreate', fault: 'wrong_signature', times: 1 });
    const hasty = Terminal.tael(['pay', '5'], here);
    await hasty.shows(/has not answered yet/);
    hasty.press('\n');
    await hasty.shows(/█▀▀▀▀▀█[^]*\n {41}\npaid {6}alipay/);
    assert.equal(await hasty.ended, 0);
    assert.equal((await behave({ op: 'precreate', fault: 'wrong_signature', times: 1 })).status, 200);
    assert.match(ends(0, ['pay', '5', '--yes']).stdout, /paid in \d+\.\d\d s\n$/);
});

test('what cannot be an amount, a currency or a channel is refused before anything is made', () => {
    const before = objects(ends(0, ['payments', 'list', '--json']).stdout)[0].id;
    for (const [words, code, pattern] of [
        [['12,34'], 2, /'12,34' is not an amount of CNY\nnext: an amount of CNY is decimal text such as 12\.34/],
        [['12.345'], 2, /is not an amount of CNY/], [['-1'], 2, /'-1' is not an amount of CNY/], [['1e3'], 2, /is not an amount/],
        [['0'], 2, /CNY 0 is not between 0\.01 and 1000000000000\.00\nnext: /],
        [['1.5', '--currency', 'JPY'], 2, /not an amount of JPY\nnext: an amount of JPY is decimal text such as 1234\n/],
        [['5', '--currency', 'XXQ'], 2, /there is no currency 'XXQ'\nnext: currencies are ISO codes/],
        [['5', '--currency', 'JPY'], 2, /currency_not_supported/],
        [['5', '--channel', 'alipai'], 1, /no account of a channel 'alipai'\nnext: tael config show/],
        [['5', '--channel', 'alipai', '--yes'], 1, /no account of a channel 'alipai'\nnext: tael config show/],
        [['5', '--product', 'qqr'], 2, /\/product: .*\nnext: tael pay --help/],
        [['5', '--account', 'nobody'], 2, /\nnext: /], [['5', '--wait', '90'], 2, /--wait needs a time such as 90s/],
    ]) {
        const { stderr, stdout } = ends(code, ['pay', ...words]);
        assert.match(stderr, pattern);
        assert.equal(stdout, '');
    }
    assert.equal(objects(ends(0, ['payments', 'list', '--json']).stdout)[0].id, before);
    const { merchant_order_id: order } = object(['pay', '6']);
    assert.match(ends(1, ['pay', '7', '--order', order]).stderr,
        new RegExp(`\\(merchant_order_id_taken\\)\nnext: tael explain ${order}; or name another order: --order\n$`));
});

// ---- what moves a payment ----

test('payments close, sync, cancel and attempts say what became of it', async () => {
    const open = await scanned();
    assert.match(ends(0, ['payments', 'sync', open.id]).stdout, new RegExp(`^${open.id}  pending  CNY 5\\.00\n$`));
    assert.match(ends(0, ['payments', 'close', open.id]).stdout, new RegExp(`^${open.id}  closed \\(merchant\\)  CNY 5\\.00\n$`));
    assert.equal(object(['payments', 'close', open.id]).state, 'closed', 'again is harmless');
    const unseen = object(['pay', '5']);
    assert.match(ends(7, ['payments', 'close', unseen.id]).stderr, /is being closed: only the channel knows yet.*\nnext: tael payments show pay_/);
    const reversed = await scanned();
    assert.match(ends(0, ['payments', 'cancel', reversed.id]).stdout, /  closed \(/);
    const [attempt] = objects(ends(0, ['payments', 'attempts', reversed.id, '--json']).stdout);
    assert.equal(attempt.object, 'attempt');
    assert.match(ends(0, ['payments', 'attempts', reversed.id]).stdout, /^ID +STATE +ACCOUNT .*\natt_\w+ +cancelled +alipay\/alipay-demo qr/);
    const done = paid();
    const { stderr, stdout } = ends(1, ['payments', 'close', done.id]);
    assert.match(stdout + stderr, new RegExp(`was paid before|state_conflict`));
    assert.match(stderr, /\nnext: tael (refund|explain) pay_/);
    assert.match(ends(1, ['payments', 'close', nobody]).stderr, /\(not_found\)\nnext: tael payments list\n$/);
});

test('a review needs a decision and a reason', async () => {
    const { id, number } = await scanned();
    ends(0, ['trigger', 'notify.changed_amount', id]);
    assert.equal(object(['payments', 'show', id]).state, 'review');
    assert.match(ends(2, ['payments', 'review', id]).stderr, /needs a decision\nnext: --decision paid, closed or failed/);
    assert.match(ends(2, ['payments', 'review', id, '--decision', 'maybe']).stderr, /needs a decision/);
    assert.match(ends(2, ['payments', 'review', id, '--decision', 'closed']).stderr, /needs a reason\nnext: --note TEXT/);
    const closed = ['payments', 'review', id, '--decision', 'closed', '--note', 'nobody paid'];
    assert.match(ends(1, closed).stderr, /can still be paid.*\nnext: tael explain pay_/);
    await lever(number, 'close');
    assert.match(ends(0, closed).stdout, /  closed/);
    assert.match(ends(0, ['explain', id]).stdout, /decided by \S+: nobody paid/);
    const { stderr } = ends(1, ['payments', 'review', id, '--decision', 'paid', '--note', 'late']);
    assert.match(stderr, /\nnext: tael explain pay_/);
});

test('refund gives back a part, then the rest, then nothing more', () => {
    const payment = paid();
    const part = ends(0, ['refund', payment.id, '2.34', '--reason', 'cold', '--id', 'R1']).stdout;
    assert.match(part, new RegExp(`^ref_\\w{26}  succeeded  CNY 2\\.34  ${payment.id}\n$`));
    const again = object(['refund', payment.id, '2.34', '--reason', 'cold', '--id', 'R1']);
    assert.equal(again.id, part.slice(0, 30), 'the same number is the same refund');
    const rest = object(['refund', payment.id]);
    assert.equal(rest.amount, 1000);
    assert.equal(object(['payments', 'show', payment.id]).refundable_amount, 0);
    assert.match(ends(1, ['refund', payment.id, '0.01']).stderr, /^tael: at most CNY 0\.00 can be given back: /);
    assert.match(ends(1, ['refund', payment.id, '0.01']).stderr, /refund_exceeds_captured.*\nnext: tael payments show pay_/);
    assert.match(ends(2, ['refund', payment.id, '0,01']).stderr, /is not an amount of CNY\nnext: /);
    assert.match(ends(1, ['refund', nobody]).stderr, /\nnext: tael payments list --state paid\n$/);

    const list = ends(0, ['refunds', 'list', '--payment', payment.id]).stdout;
    assert.match(list, /^ID +STATE +AMOUNT +PAYMENT +NUMBER +CREATED\nref_/);
    assert.equal(ends(0, ['refunds', 'list', '--payment', payment.merchant_order_id]).stdout, list, 'its order will do');
    for (const of of ['events', 'notifications']) { // the newest first: one that comes in between stands before them
        const [byId, byOrder] = [payment.id, payment.merchant_order_id]
            .map((name) => objects(ends(0, [of, 'list', '--payment', name, '--json']).stdout).map(({ id }) => id));
        assert.deepEqual(byOrder.slice(-byId.length), byId);
    }
    assert.match(ends(1, ['events', 'tail', '--payment', 'no-such-order']).stderr, /^tael: no payment has the order 'no-such-order'\nnext: /);
    assert.deepEqual(objects(ends(0, ['refunds', 'list', '--id', 'R1', '--json']).stdout).map(({ id }) => id), [again.id]);
    const shown = ends(0, ['refunds', 'show', again.id]).stdout;
    assert.match(shown, /^ref_\w+ {2}succeeded {2}CNY 2\.34 .*\n {2}number +R1\n {2}reason +cold\n/);
    assert.match(ends(1, ['refunds', 'show', 'ref_0']).stderr, /\nnext: tael refunds list\n$/);
    assert.match(ends(1, ['refunds', 'retry', again.id]).stderr, /\nnext: /);
});

// ---- what happens, and what happened ----

test('events tail prints what happens from now on', async () => {
    const created = start(['events', 'tail', '--json', '--type', 'payment.created', '--count', '1']);
    const run = start(['events', 'tail', '--json']);
    for (const tail of [created, run]) await until('it waits', () => /waiting for events/.test(tail.stderr));
    const payment = paid();
    assert.equal(await created.ended, 0);
    assert.deepEqual(objects(created.stdout).map((event) => event.data.id), [payment.id]);
    const types = () => run.stdout.split('\n').slice(0, -1).map((line) => JSON.parse(line)) // older payments may expire meanwhile
        .filter((event) => event.type.startsWith('payment.') && event.data.id === payment.id).map((event) => event.type);
    await until('its end is told', () => types().includes('payment.paid'));
    assert.deepEqual(types(), ['payment.created', 'payment.paid']);
    process.kill(run.child.pid, 'SIGINT');
    assert.equal(await run.ended, 0);

    const one = start(['events', 'tail', '--payment', payment.id]);
    await until('it waits', () => /waiting for events/.test(one.stderr));
    paid();
    ends(0, ['refund', payment.id, '1']);
    await until('the refund is told', () => /refund\.succeeded/.test(one.stdout));
    process.kill(one.child.pid, 'SIGINT');
    assert.equal(await one.ended, 0, 'Ctrl-C ends it well');
    for (const line of one.stdout.trim().split('\n')) assert.match(line, /^\d{4}-\S+Z  evt_\w{26}  (refund|payment)\./);
});

test('events tail ends when nobody reads it any more', async () => {
    const run = start(['events', 'tail', '--json']);
    await until('it waits', () => /waiting for events/.test(run.stderr));
    run.child.stdout.destroy();
    paid();
    const late = setTimeout(() => process.kill(run.child.pid, 'SIGKILL'), 30_000);
    assert.equal(await run.ended, 0);
    clearTimeout(late);
    assert.doesNotMatch(run.stderr, /written/);
});

test('explain tells the story from the payment, its refund, event or notification', () => {
    const payment = paid('--order', 'E1');
    const refund = object(['refund', payment.id, '1', '--id', 'RE1']);
    const story = ends(0, ['explain', payment.id]).stdout;
    const time = '\\d\\d:\\d\\d:\\d\\d\\.\\d{3}';
    assert.match(story, new RegExp(`^${time} created   CNY 12\\.34  order E1  operator$`, 'm'));
    assert.match(story, new RegExp(`^${time} attempt   alipay/alipay-demo qr  → sent     ${time} call create 10000 OK \\d+ ms → waiting_payer$`, 'm'));
    assert.match(story, new RegExp(`^${time} notify    ntf_\\w{26} 12 checks ok \\(key [0-9a-f]{8}\\) → paid$`, 'm'));
    assert.match(story, new RegExp(`^${time} refund    ${refund.id}  CNY 1\\.00  RE1`, 'm'));
    assert.match(story, new RegExp(`^${time} call      refund 10000 OK \\d+ ms → succeeded$`, 'm'));
    const [event] = objects(ends(0, ['events', 'list', '--payment', payment.id, '--type', 'refund.succeeded', '--json']).stdout);
    const [, notification] = story.match(/(ntf_\w{26})/);
    for (const id of [refund.id, event.id, notification]) assert.equal(ends(0, ['explain', id]).stdout, story, id);
    assert.equal(object(['explain', payment.id]).object, 'timeline');
    assert.match(ends(1, ['explain', nobody]).stderr, /\nnext: tael payments list\n$/);
    assert.equal(ends(0, ['explain', 'E1']).stdout, story, 'by its order');
    assert.match(ends(1, ['explain', 'coffee']).stderr, /no payment has the order 'coffee'\nnext: tael payments list\n$/);
    assert.match(ends(2, ['explain', nobody.replace('pay', 'key')]).stderr, /not an id that has a story\nnext: ids begin with pay_/);
});

test('notifications replay runs the stored bytes again and changes nothing', () => {
    const payment = paid();
    const [{ id }] = objects(ends(0, ['notifications', 'list', '--payment', payment.id, '--json']).stdout);
    assert.match(ends(0, ['notifications', 'replay', id]).stdout, /^passed all \d+ checks .*\noutcome: (nothing changed|a repeat of)/);
    assert.deepEqual(object(['payments', 'show', payment.id]), payment);
    assert.match(ends(1, ['notifications', 'replay', 'ntf_0']).stderr, /\nnext: tael notifications list\n$/);
});

test('trigger lists what there is, and says what the engine made of each', async () => {
    const list = ends(0, ['trigger']).stdout;
    assert.match(list, /^EVENT +WHAT HAPPENS\n/);
    const payment = paid();
    assert.equal(ends(0, ['trigger', 'notify.duplicate', payment.id]).stdout,
        'delivered the same alipay notification 3 times: 1 applied, 2 recognised as replay\n');
    assert.match(ends(0, ['explain', payment.id]).stdout, /notify .* → paid {5}\d\d:\d\d:\d\d\.\d{3} repeat, no effect \(x2\)$/m);
    assert.equal(ends(0, ['trigger', 'notify.duplicate', '--times', '5', payment.id]).stdout,
        'delivered the same alipay notification 6 times: 1 applied, 5 recognised as replay\n');
    const open = object(['pay', '3']); // nobody is told of money that did not move: the simulated buyer pays first
    assert.equal(ends(0, ['trigger', 'notify.duplicate', open.id]).stdout,
        'delivered the same alipay notification 3 times: 1 applied, 2 recognised as replay\n');
    const [{ order_no: number }] = objects(ends(0, ['payments', 'attempts', open.id, '--json']).stdout);
    const bill = await (await fetch(`${engine.sandbox}/sandbox/bill`)).json();
    assert.equal(bill.trades.find((trade) => trade.out_trade_no === number).paid, 300);
    const outcomes = {
        'notify.tamper': '1 refused at signature', 'notify.bad_signature': '1 refused at signature',
        'notify.unsigned': '1 refused at form', 'notify.changed_amount': '1 refused at amount',
        'notify.other_order': '1 refused at order', 'notify.other_app': '1 refused at identity',
        'notify.other_seller': '1 refused at identity', 'notify.duplicate_parameter': '1 refused at decode',
        'notify.stale': '1 refused at window', 'notify.reorder': '2 changed nothing',
    };
    for (const [name, outcome] of Object.entries(outcomes)) {
        assert.match(list, new RegExp(`^${name} `, 'm'));
        const { stdout } = ends(0, ['trigger', name]);
        assert.ok(stdout.endsWith(`: ${outcome}\n`), `${name}: ${stdout}${engine.process.output.slice(-3000)}`);
    }
    assert.match(ends(0, ['trigger', 'notify.unsigned', '--times', '30']).stdout, /^delivered 30 .*: 30 refused at form\n/,
        'each is kept, however many come in a second');
    for (const name of ['payment.paid', 'payment.closed', 'refund.succeeded'])
        assert.match(ends(0, ['trigger', name]).stdout, new RegExp(`^evt_\\w{26}  ${name}  (pay|ref)_\\w{26}  CNY 12\\.34\n$`));
    for (const [name] of list.trim().split('\n').slice(1).map((line) => line.split(/ +/)))
        ends(0, ['trigger', name, '--json']);
    assert.match(ends(2, ['trigger', 'payment.payd']).stderr, /did you mean 'payment\.paid'\?\nnext: tael trigger\n$/);
    assert.match(ends(1, ['trigger', 'payment.paid', nobody]).stderr, /\nnext: tael payments list\n$/);
});

test('trigger counts what comes beyond a page of notifications', () => {
    assert.match(ends(0, ['trigger', 'notify.duplicate', '--times', '120']).stdout,
        /^delivered the same alipay notification 121 times: 1 applied, 120 recognised as replay\n$/);
    assert.equal(objects(ends(0, ['trigger', 'notify.tamper', '--times', '101', '--json']).stdout).length, 101);
    assert.match(ends(0, ['trigger', 'notify.tamper']).stdout, /^delivered an alipay notification .*: 1 refused at signature\n$/);
});

test('clock advance says what came due', async () => {
    const many = 101; // more than a page of events
    for (let i = 0; i < many; i++) assert.equal((await engine.create(`due-${i}`)).status, 201);
    const open = object(['pay', '4']);
    const { stdout } = ends(0, ['clock', 'advance', '2h']);
    assert.match(stdout, /^clock \+2h: \d+ orders? closed at channel, 0 notifications pending\n$/);
    assert.ok(Number(stdout.match(/: (\d+) /)[1]) > many, stdout);
    assert.equal(object(['payments', 'show', open.id]).state, 'closed');
    for (const wrong of ['2', 'soon', '1ms'])
        assert.match(ends(2, ['clock', 'advance', wrong]).stderr, /is not a time such as 90s, 30m or 2h\nnext: tael clock advance 2h\n$/);
    const { stderr } = ends(5, ['clock', 'advance', '2h', '--url', engine.url, '--key', engine.key]);
    assert.match(stderr, /cannot be put ahead\nnext: only the clock of tael dev can be/);
});

// ---- languages, quiet ----

test('the language is that of the option, else of the environment; codes stay', () => {
    const chinese = { ...here, env: { ...here.env, LANG: 'zh_CN.UTF-8' } };
    assert.match(ends(0, ['pay', '5', '--yes'], chinese).stdout, /路由到 alipay（默认） {3}已支付 用时 \d+\.\d\d 秒\n$/);
    assert.match(ends(0, ['payments', 'list', '--lang=zh']).stdout, /^编号 +状态 +金额/);
    assert.match(ends(0, ['--lang', 'en', 'payments', 'list'], chinese).stdout, /^ID +STATE/);
    const { stderr } = ends(1, ['payments', 'show', nobody, '--lang', 'zh']);
    assert.match(stderr, /\(not_found\)\nnext: tael payments list\n$/);
    assert.match(ends(2, ['pay', '5,0', '--lang', 'zh']).stderr, /'5,0' 不是 CNY 的金额\nnext: CNY 的金额写成小数/);
    assert.match(ends(0, ['--help'], chinese).stdout, /^用法：tael/);
});

test('--quiet leaves out heads and hints', () => {
    assert.doesNotMatch(ends(0, ['payments', 'list', '--quiet']).stdout, /^ID/);
    const { stderr } = ends(0, ['payments', 'list', '--limit', '1', '--quiet']);
    assert.equal(stderr, '');
});

// ---- a folder of one's own ----

test('init makes a folder that dev runs, and writes over nothing', () => {
    const at = { cwd: temporaryFolder('init'), env: here.env };
    const made = ends(0, ['init', 'my shop'], at);
    assert.equal(made.stdout, 'created my shop/  tael.lua  scripts/merchants/my-shop.test/rules.lua  '
        + 'scripts/merchants/my-shop.test/spec/rules_spec.lua  .gitignore  .luarc.json\nnext: cd \'my shop\' && tael dev\n');
    const file = path.join(at.cwd, 'my shop/tael.lua');
    const text = fs.readFileSync(file, 'utf8');
    assert.match(text, /\["my-shop\.test"\]/);
    assert.match(ends(0, ['config', 'check'], { ...at, cwd: path.join(at.cwd, 'my shop') }).stdout, /^ok {2}tael\.lua {2}merchants 1 {2}accounts 1\n$/);
    const shop = { ...at, cwd: path.join(at.cwd, 'my shop') };
    assert.match(ends(0, ['check'], shop).stdout, /^ok {4}my-shop\.test {2}generation \w{16} {2}rules: risk/);
    assert.equal(ends(0, ['test'], shop).stdout, 'ok    my-shop.test  2 passed, 0 failed, 0 pending\n');
    assert.match(ends(1, ['init', 'my shop'], at).stderr, /my shop\/tael\.lua is there already.*\nnext: tael dev runs it/);
    assert.equal(fs.readFileSync(file, 'utf8'), text);
    fs.mkdirSync(path.join(at.cwd, 'own'));
    fs.writeFileSync(path.join(at.cwd, 'own/.gitignore'), 'mine\n');
    assert.equal(ends(0, ['init'], { ...at, cwd: path.join(at.cwd, 'own') }).stdout, 'created tael.lua  scripts/merchants/own.test/rules.lua  '
        + 'scripts/merchants/own.test/spec/rules_spec.lua  .luarc.json\nnext: tael dev\n');
    assert.equal(fs.readFileSync(path.join(at.cwd, 'own/.gitignore'), 'utf8'), 'mine\n');
    assert.match(ends(3, ['init', 'no/such/place'], at).stderr, /cannot make the folder.*\nnext: /);
    fs.rmSync(at.cwd, { recursive: true });
});

test('init leaves no half of a file', () => {
    const at = { cwd: temporaryFolder('half'), env: here.env };
    const { status, stderr } = spawnSync('/bin/sh', ['-c', 'ulimit -f 0; exec "$0" init', program],
        { cwd: at.cwd, env: { ...process.env, ...at.env }, encoding: 'utf8' });
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^tael: tael\.lua cannot be written: File too large\nnext: /);
    assert.ok(!fs.existsSync(path.join(at.cwd, 'tael.lua')));
    assert.match(ends(0, ['init'], at).stdout, /^created tael\.lua /);
    fs.rmSync(at.cwd, { recursive: true });
});

test('commands find an engine and its sandbox at addresses that the file does not name', async () => {
    const own = { cwd: temporaryFolder('port'), env: {} };
    ends(0, ['init'], own);
    const child = spawn(program, ['dev', '--port', String(await freePort())], { cwd: own.cwd, stdio: 'ignore' });
    try {
        await until('the engine answers', () => tael(['payments', 'list'], own).code === 0);
        assert.match(ends(0, ['pay', '5', '--yes'], own).stdout, /paid in/);
        assert.match(ends(0, ['doctor'], own).stdout, /^ok +ports +.* {2}ours$/m);
        // what waits for a person is told of as that, whoever was to play the buyer
        for (const words of [[], ['--yes'], ['--yes', '--json']]) {
            const { stdout, stderr } = ends(1, ['pay', '1000000', ...words], own);
            const [id] = stdout.match(/pay_\w{26}/);
            if (words.includes('--json')) assert.equal(objects(stdout)[0].state, 'review');
            assert.match(stderr, new RegExp(`^tael: ${id} waits for a person's decision \\(risk\\)\nnext: tael explain ${id}, `));
            assert.match(ends(1, ['trigger', 'notify.duplicate', id], own).stderr,
                /^tael: the payment is at no channel yet\nnext: tael payments list --state review\n$/);
        }
        // scripts that are nobody's are told of: here, and at the next start
        const [slug] = fs.readdirSync(path.join(own.cwd, 'scripts/merchants'));
        const misspelt = slug.replace('.test', '.tset');
        fs.mkdirSync(path.join(own.cwd, 'scripts/merchants', misspelt));
        const stray = `scripts/merchants/${misspelt}: no such merchant; did you mean ${slug}?`;
        assert.ok(ends(0, ['check'], own).stdout.startsWith(`warn  ${stray}\nok    ${slug}  `));
        assert.ok(ends(0, ['doctor'], own).stdout.includes(`warn scripts     ${stray}`));
        const file = path.join(own.cwd, 'tael.lua');
        fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('dev = true,', 'dev = true, workers = 1,'));
        await until('it is in the log', () => fs.readFileSync(path.join(own.cwd, 'data/dev.log'), 'utf8').includes('"scripts.stray"'));
        fs.renameSync(path.join(own.cwd, 'scripts/merchants', slug), path.join(own.cwd, 'scripts/merchants/other'));
        assert.match(ends(1, ['check'], own).stderr, /^tael: no merchant has scripts\n {2}scripts\/merchants\/other: no such merchant\n {2}\S+: no such merchant; .*\nnext: /);
    } finally {
        child.kill();
        await once(child, 'exit');
        fs.rmSync(own.cwd, { recursive: true });
    }
});

test('pay leaves the way to the rule, unless a word names it, and says who chose', async () => {
    const own = { cwd: temporaryFolder('route'), env: {} };
    const account = (name, number) => `["${name}"] = { channel = "alipay", environment = "sandbox", app_id = "202100000000000${number}",
        seller_id = "208800000000000${number}", key = "${name}", alipay_key = "sandbox.alipay" },\n`;
    const rules = path.join(own.cwd, 'scripts/merchants/shop.test/rules.lua');
    fs.mkdirSync(path.dirname(rules), { recursive: true });
    fs.writeFileSync(path.join(own.cwd, 'tael.lua'), `return { dev = true, merchants = { ["shop.test"] = { mode = "test", accounts = {
        ${account('one', 1)}${account('two', 2)} } } } }\n`);
    fs.writeFileSync(rules, `return { route = function(payment)
        if payment.amount > 100000 then return { { account = "two" } }, "large amounts" end
        return { { account = "two", product = "page" } }
    end }\n`);
    const child = spawn(program, ['dev', '--port', String(await freePort())], { cwd: own.cwd, stdio: 'ignore' });
    try {
        await until('the engine answers', () => tael(['payments', 'list'], own).code === 0);
        const pay = (...words) => {
            const [line, id] = ends(0, ['pay', ...words, '--yes'], own).stdout.match(/^(pay_\w+) .*/);
            const [attempt] = objects(ends(0, ['payments', 'attempts', id, '--json'], own).stdout);
            return { line, id, account: attempt.account, product: attempt.product };
        };
        const large = pay('2000');
        assert.match(large.line, /routed to alipay \(rule: large amounts\) {3}paid in/);
        assert.equal(large.account, 'two');
        assert.match(ends(0, ['explain', large.id], own).stdout, /attempt +alipay\/two qr {2}\(rule: large amounts\) {2}→ sent/);
        const small = pay('20');
        assert.deepEqual([small.account, small.product, /\(rule\) /.test(small.line)], ['two', 'page', true], small.line);
        const named = pay('2000', '--account', 'one');
        assert.deepEqual([named.account, /\(request\) /.test(named.line)], ['one', true], named.line);
        fs.writeFileSync(rules, 'return {}\n'); // and with two accounts nobody says which
        const first = pay('2000');
        assert.deepEqual([first.account, first.product, /\(default\) /.test(first.line)], ['one', 'qr', true], first.line);
    } finally {
        child.kill();
        await once(child, 'exit');
        fs.rmSync(own.cwd, { recursive: true });
    }
});

test('an engine of the world\'s own clock refuses to put it ahead', async () => {
    const cwd = temporaryFolder('live');
    fs.writeFileSync(path.join(cwd, 'tael.lua'), 'return { http = { listen = "127.0.0.1:0" }, operations = { listen = false },\n'
        + '    merchants = { acme = { mode = "live" } } }\n');
    const own = { cwd, env: { TAEL_HTTP__LISTEN: '127.0.0.1:0' } };
    ends(0, ['keys', 'generate'], own);
    ends(0, ['migrate'], own);
    const child = spawn(program, ['serve'], { cwd, env: { ...process.env, ...own.env }, stdio: 'ignore' });
    try {
        await until('the engine answers', () => tael(['payments', 'list'], own).code === 0);
        assert.match(ends(5, ['clock', 'advance', '1h'], own).stderr, /cannot be put ahead\nnext: /);
        assert.match(ends(3, ['pay', '5'], own).stderr, /the merchant has no account\nnext: add one under merchants/);
        for (const words of [['pay', '5', '--yes'], ['trigger', 'payment.paid'], ['trigger', 'notify.duplicate']])
            assert.match(ends(1, words, own).stderr, /no account of this merchant is served by the sandbox.*\nnext: /);
        assert.equal(ends(0, ['payments', 'list'], own).stdout, 'none\n', 'nothing was made');
        assert.match(ends(0, ['reload'], own).stdout, /^reloaded/);
    } finally {
        child.kill();
        await once(child, 'exit');
        fs.rmSync(cwd, { recursive: true });
    }
});
