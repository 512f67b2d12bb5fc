// jobs.test.mjs - the operator's jobs: each slot of a schedule once, what was missed once, what was cut off again;
// a job that is wrong or fails harms nobody.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, program, root, saveFile, sleep, temporaryFolder, until } from './tael.mjs';

const scripts = temporaryFolder('jobs');
const ACCOUNT = `{ channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
const engine = new Engine({ scripts, env: { TAEL_WORKERS: '2' } });
const folder = path.join(scripts, 'jobs');

/** A server of somebody else's that answers when it is let; what it was asked, in order. */
const server = {
    asked: [], waiting: [],
    answer() { for (const response of this.waiting.splice(0)) response.end('paid'); },
};
const listening = http.createServer((request, response) => {
    server.asked.push(request.url);
    server.waiting.push(response);
});

before(async () => {
    await new Promise((resolve) => { listening.listen(0, '127.0.0.1', resolve); });
    server.host = `127.0.0.1:${listening.address().port}`;
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(folder, { recursive: true, force: true });
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), `return {
        merchants = {
            ["demo.test"] = { name = "Demo", mode = "test", hosts = { "${server.host}" }, accounts = { ["alipay-demo"] = ${ACCOUNT} } },
            ["other.test"] = { name = "Other", mode = "test", accounts = { ["alipay-other"] = ${ACCOUNT} } },
        },
    }\n`, { mode: 0o600 });
    await engine.start();
    await toMinute(55); // no minute that a schedule here names comes while a test runs
});
after(async () => {
    listening.close();
    listening.closeAllConnections();
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

const job = (fields, body) => `local tael = require "tael"\nreturn { ${fields}, run = function(job)\n${body}\nend }\n`;
const save = (name, text) => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    saveFile(path.join(folder, name), text);
};
const logged = (event) => engine.logged(event);
const said = (message) => logged('script.info').filter((line) => line.message === message);
const advance = (seconds) => engine.advance(seconds);
/** Puts the clock to the next such minute of an hour. */
const toMinute = async (minute) => advance(3600 - (Math.floor(await advance(1) / 1000) - minute * 60) % 3600);
/** Puts the clock to a moment, in ms. After a restart it goes on where the store ends, which is before what it
 * was put to when nothing has been stored since. */
const advanceTo = async (moment) => {
    const now = await advance(1);
    if (now < moment) await advance(Math.ceil((moment - now) / 1000));
};
const loaded = async (count) => {
    const before = logged('scripts.loaded').filter((line) => line.owner === 'jobs').length;
    return until('the jobs are loaded', () => logged('scripts.loaded').filter((line) => line.owner === 'jobs').length >= before + count, 20);
};
/** Saves jobs and waits until a look has seen them, and the first one of them has its place in the store. */
const publish = async (files) => {
    const waiting = loaded(1);
    for (const [name, text] of Object.entries(files)) save(name, text);
    await waiting;
    await sleep(1500);
};

// slots are told in seconds: of 13 digits one in ten is masked as a card's number
const paying = (minute) => job(`schedule = "${minute} * * * *", timeout = "20s", merchants = { "demo.test" }`,
    `local answer, err = tael.http.post("http://${server.host}/" .. job.slot, { body = "x" })
tael.log.info((answer and answer.body or "cut: " .. err.code) .. " " .. job.slot // 1000)`);

test('a job runs with its slot, once, and what it requires lies beside it', async () => {
    await publish({
        'lib/words.lua': 'return { hello = "good morning" }\n',
        'daily.lua': job('schedule = "0 3 * * *", zone = "+08:00"',
            'tael.log.info(require("lib.words").hello, { slot = job.slot, name = job.name, merchant = tostring(job.merchant) })'),
    });
    assert.equal(said('good morning').length, 0, 'a job that was never seen does not run for the past');
    await advance(86400);
    await until('it has run', () => said('good morning').length === 1, 20);
    const [line] = said('good morning');
    assert.equal(line['script.slot'] % 86400000, 19 * 3600000, '3 o\'clock at +08:00');
    assert.deepEqual([line['script.name'], line['script.merchant']], ['daily', 'nil']);
    await until('its end is told', () => logged('job.ended').some((end) => end.job === 'daily' && end.result === 'done'));
    await sleep(2500);
    assert.equal(said('good morning').length, 1);
});

test('what was missed while no engine ran is done once', async () => {
    await advance(5 * 86400);
    await until('it has run', () => said('good morning').length === 2, 20);
    await sleep(2500);
    assert.equal(said('good morning').length, 2);
    const slots = said('good morning').map((line) => line['script.slot']);
    assert.equal(slots[1] - slots[0], 5 * 86400000, 'for the newest slot');
});

test('a job for merchants runs once for each of them, and only then has effects that need one', async () => {
    await publish({
        'each.lua': job('schedule = "30 * * * *", merchants = "all"', 'tael.log.info("for " .. job.merchant)'),
        'one.lua': job('schedule = "30 * * * *", merchants = { "other.test", "nobody", "other.test" }', 'tael.log.info("alone for " .. job.merchant)'),
    });
    await advance(3600);
    await until('all have run', () => said('for demo.test').length === 1 && said('for other.test').length === 1
        && said('alone for other.test').length === 1, 20);
    assert.equal(said('for demo.test')[0].merchant, 'demo.test');
    await until('a merchant that is not there is told', () => logged('alarm').some((line) => line.kind === 'job_failed'
        && line.failure === 'no_such_merchant' && line.merchant === 'nobody'));
    await until('it has ended', () => logged('job.ended').some((line) => line.job === 'one'));
    assert.equal(said('alone for other.test').length, 1, 'once, however often its name stands there');
});

test('a job that fails is told with file and line, and comes again with its next slot', async () => {
    await publish({
        'fails.lua': job('schedule = "15 * * * *"', 'tael.log.info "tried"\nerror "no luck today"'),
        'spins.lua': job('schedule = "15 * * * *"', 'tael.log.info "spun"\nwhile true do end'),
    });
    for (const round of [1, 2]) {
        await advance(3600);
        await until('they have run', () => said('tried').length === round && said('spun').length === round
            && logged('job.ended').filter((line) => line.job === 'spins').length === round, 30);
    }
    const alarms = logged('alarm').filter((line) => line.kind === 'job_failed');
    assert.ok(alarms.some((line) => line.job === 'fails' && /jobs\/fails\.lua:4: no luck today/.test(line.detail)), JSON.stringify(alarms));
    assert.ok(alarms.some((line) => line.job === 'spins' && line.failure === 'spent' && /jobs\/spins\.lua:4: /.test(line.detail)), JSON.stringify(alarms));
    assert.deepEqual([...new Set(logged('job.ended').filter((line) => ['fails', 'spins'].includes(line.job)).map((line) => line.result))], ['failed']);
    assert.equal((await engine.create('J1')).status, 201, 'meanwhile payments go on');
});

test('whatever a job says in bytes that are no text, its slot comes to an end', async () => {
    await publish({ 'bytes.lua': job('schedule = "20 * * * *", merchants = { "demo.test" }',
        'tael.log.info "asked"\nlocal found, err = pcall(tael.find, "\\xff")\ntael.log.info(tostring(err))') });
    await advance(3600);
    await until('it has ended', () => logged('job.ended').some((line) => line.job === 'bytes' && line.result === 'done'), 20);
    assert.equal(said('asked').length, 1);
    assert.ok(logged('script.info').some((line) => /merchant_order_id must be UTF-8/.test(line.message)));
    fs.rmSync(path.join(folder, 'bytes.lua'));
});

const tael = (...words) => {
    const { status, stdout, stderr } = spawnSync(program, words, { cwd: engine.folder, encoding: 'utf8',
        env: { ...process.env, ...engine.environment } });
    return { status, stdout, stderr };
};

test('an operator sees the jobs, and runs one now', async () => {
    await publish({ 'manual.lua': job('schedule = "15 3 29 2 *", zone = "+08:00", merchants = { "demo.test" }',
        'tael.log.info("by hand " .. job.slot // 1000)\nif tael.state.get "broken" then error "out of luck" end') });
    const listed = tael('jobs', 'list');
    assert.equal(listed.status, 0, listed.stderr);
    assert.match(listed.stdout, /^manual +15 3 29 2 \* \+08:00 +demo\.test +- +- +\d{4}-02-28T19:15:00/m);
    assert.match(listed.stdout, /^daily +0 3 \* \* \* \+08:00 +- +\d{4}-\S+T19:00:00\S* +done +\d{4}-/m);
    const ran = tael('jobs', 'run', 'manual');
    assert.deepEqual([ran.status, ran.stderr], [0, ''], ran.stdout);
    const slot = ran.stdout.match(/^manual for (\S+) {2}done$/m)[1];
    const byHand = `by hand ${Math.floor(Date.parse(slot) / 1000)}`;
    await until('it has run', () => said(byHand).length === 1, 20).catch((err) => {
        assert.fail(`${err.message}: ${ran.stdout}${engine.process.output.split('\n').filter((line) => /manual|by hand|dropped/.test(line)).join('\n')}`);
    });
    const again = tael('jobs', 'run', 'manual', '--again');
    assert.match(again.stdout, new RegExp(`^manual for ${slot} {2}done$`, 'm'));
    await until('it has run again', () => said(byHand).length === 2);
    assert.match(tael('jobs', 'list').stdout, new RegExp(`^manual .* ${slot} +done `, 'm'));
    const unknown = tael('jobs', 'run', 'manuel');
    assert.deepEqual([unknown.status, /There is no job 'manuel'; did you mean 'manual'\?/.test(unknown.stderr)], [1, true], unknown.stderr);
    const stranger = await engine.post('/v1/system/jobs/manual/run', {});
    assert.equal(stranger.status, 404, 'only over the operator\'s socket');
    fs.rmSync(path.join(folder, 'manual.lua'));
});

test('a job that an operator runs is run by nobody else meanwhile', async () => {
    server.asked.length = 0;
    await publish({ 'wages.lua': paying(11) });
    const many = await Promise.all(Array.from({ length: 6 }, () => engine.operator('POST', '/v1/system/jobs/wages/run', {})));
    assert.deepEqual(many.map((answer) => answer.status).sort(), [202, 409, 409, 409, 409, 409]);
    await until('it has asked', () => server.asked.length === 1);
    assert.equal((await engine.operator('POST', '/v1/system/jobs/wages/run', { again: true })).body.code, 'state_conflict');
    await advance(10); // its time is not over
    await sleep(1500);
    assert.equal(server.asked.length, 1);
    server.answer();
    await until('it has ended', () => logged('job.ended').some((line) => line.job === 'wages'));
    fs.rmSync(path.join(folder, 'wages.lua'));
    await publish({ 'fails.lua': job('schedule = "15 * * * *"', 'error "no luck"') });
    const failed = tael('jobs', 'run', 'fails');
    assert.deepEqual([failed.status, /^fails for \S+ {2}failed$/m.test(failed.stdout)], [1, true], failed.stdout + failed.stderr);
});

test('many jobs that are run at once run once each, and every one is answered for', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `many_${i}`);
    await publish(Object.fromEntries(names.map((name) => [`${name}.lua`, job('schedule = "15 3 29 2 *"', 'tael.log.info("many " .. job.name)')])));
    await until('the operator sees them', async () => (await engine.operator('GET', '/v1/system/jobs')).body.data.length >= names.length);
    const answers = await Promise.all(names.map((name) => engine.operator('POST', `/v1/system/jobs/${name}/run`, {})));
    assert.deepEqual(answers.filter((answer) => answer.status !== 202).map((answer) => answer.text), []);
    const ended = () => logged('job.ended').filter((line) => line.job.startsWith('many_')).map((line) => line.job);
    await until('all have ended', () => new Set(ended()).size === names.length);
    await sleep(500);
    assert.deepEqual(ended().sort(), [...names].sort());
    for (const name of names) fs.rmSync(path.join(folder, `${name}.lua`));
});

test('a job that is wrong is refused with file and line, and what ran goes on', async () => {
    fs.rmSync(path.join(folder, 'fails.lua'));
    fs.rmSync(path.join(folder, 'spins.lua'));
    const wrong = [
        ['return {', /jobs\/wrong\.lua:1: /],
        [job('schedule = "61 * * * *"', ''), /jobs\/wrong\.lua: schedule '61 \* \* \* \*': '61' is no minute \(0 to 59\)/],
        [job('schedule = "* * * * *", zone = "Asia/Shanghai"', ''), /jobs\/wrong\.lua: zone is a text/],
        [job('schedule = "* * * * *", timeout = "2h"', ''), /jobs\/wrong\.lua: timeout is a text/],
        [job('shedule = "* * * * *"', ''), /jobs\/wrong\.lua: there is no field 'shedule': did you mean 'schedule'\?/],
        ['return { schedule = "* * * * *" }', /jobs\/wrong\.lua: run must be a function/],
        ['local tael = require "tael"\ntael.log.info "while it is loaded"\nreturn {}', /jobs\/wrong\.lua:2: /],
    ];
    for (const [text, told] of wrong) {
        save('wrong.lua', text);
        await until(`told: ${told}`, () => logged('scripts.refused').some((line) => line.owner === 'jobs' && told.test(line.error)), 20);
        const checked = spawnSync(program, ['check'], { cwd: engine.folder, encoding: 'utf8', env: { ...process.env, ...engine.environment } });
        assert.equal(checked.status, 1, checked.stdout);
        assert.match(checked.stdout, told);
    }
    const ready = await (await fetch(`${engine.operations}/readyz`)).json();
    assert.match(ready.checks.find((check) => check.name === 'scripts').detail, /refused: jobs\/wrong\.lua/);
    const before = said('good morning').length;
    await advance(86400);
    await until('what was right goes on', () => said('good morning').length === before + 1, 20);
    fs.rmSync(path.join(folder, 'wrong.lua'));
    await until('all is well again', async () => {
        const now = await (await fetch(`${engine.operations}/readyz`)).json();
        return !/refused/.test(now.checks.find((check) => check.name === 'scripts').detail);
    }, 20);
    const checked = spawnSync(program, ['check'], { cwd: engine.folder, encoding: 'utf8', env: { ...process.env, ...engine.environment } });
    assert.deepEqual([checked.status, /^ok {4}jobs {2}generation \w{16} {2}daily each one$/m.test(checked.stdout)], [0, true], checked.stdout);
});

test('a stop waits for the job that runs, and begins no other', async () => {
    server.asked.length = 0;
    await publish({ 'pays.lua': paying(10) });
    await advance(3600);
    await until('it has asked', () => server.asked.length === 1, 20);
    const process = engine.process;
    const stopped = engine.stop();
    await until('it drains', () => process.output.includes('"event":"engine.draining"'));
    await sleep(1500); // a look at what is due, and every connection's second
    assert.equal(process.end, undefined, `the stop does not wait: ${process.output.slice(-2000)}`);
    server.answer();
    assert.deepEqual(await stopped, { code: 0, signal: null }, process.output.slice(-2000));
    assert.match(process.output, /"event":"engine\.stopped"[^\n]*"drain":"clean"/);
    assert.match(process.output, /"message":"paid \d+"/);
    assert.match(process.output, /"event":"job\.ended"[^\n]*"job":"pays"[^\n]*"result":"done"/);
    await engine.start();
    await sleep(2500);
    assert.equal(server.asked.length, 1, 'its slot is done');
    fs.rmSync(path.join(folder, 'pays.lua'));
});

test('a job that the deadline of a stop cuts off runs again, for the same slot', async () => {
    server.asked.length = 0;
    engine.options.env.TAEL_DRAIN = '1s';
    await engine.restart();
    await publish({ 'cut.lua': paying(12) });
    const begun = await advance(3600);
    await until('it has asked', () => server.asked.length === 1, 20);
    const process = engine.process;
    assert.deepEqual(await engine.stop(), { code: 1, signal: null }, process.output.slice(-2000));
    assert.match(process.output, /"event":"engine\.stopped"[^\n]*"drain":"deadline passed"/);
    delete engine.options.env.TAEL_DRAIN;
    await engine.start();
    await advanceTo(begun + 60_000); // the time of its first run is over
    await until('it has asked again', () => server.asked.length === 2, 20);
    assert.equal(server.asked[1], server.asked[0]);
    server.answer();
    await until('its slot is done', () => logged('job.ended').some((line) => line.job === 'cut' && line.result === 'done'));
    fs.rmSync(path.join(folder, 'cut.lua'));
});

test('a job for all merchants has its slot for one of them at a time', async () => {
    const ended = logged('job.ended').length;
    await publish({ 'each.lua': job('schedule = "50 * * * *", timeout = "1h", merchants = "all"', 'tael.log.info("each")') });
    await advance(3600);
    const end = await until('it has ended', () => logged('job.ended').slice(ended).find((line) => line.job === 'each'), 20);
    const [row] = JSON.parse(execFileSync('sqlite3', ['-json', path.join(engine.folder, 'data/tael.db'),
        "SELECT lease FROM job_slots WHERE name = 'each'"]));
    assert.ok(said('each').length > 1);
    // whoever is cut off keeps it from the next for as long as one of them may take
    assert.ok(row.lease - Date.parse(end.at) <= 3600_000 + 5000, `${row.lease - Date.parse(end.at)} ms`);
});

test('a job that a crash cut off runs again when its time is over', async () => {
    server.asked.length = 0;
    await publish({ 'long.lua': paying(45) });
    const begun = await advance(3600);
    await until('it has asked', () => server.asked.length === 1, 20);
    await engine.restart('SIGKILL');
    await sleep(1500); // its time is not over
    assert.equal(server.asked.length, 1);
    await advanceTo(begun + 60_000);
    await until('it has asked again', () => server.asked.length === 2, 20);
    assert.equal(server.asked[1], server.asked[0]);
    server.answer();
    await until('its slot is done', () => logged('job.ended').some((line) => line.job === 'long' && line.result === 'done'));
});
