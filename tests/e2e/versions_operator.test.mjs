// versions_operator.test.mjs - versions of the operator's own scripts, channels, jobs and routes: pushed, activated on
// every worker, rolled back, kept over a restart like a merchant's, and reached by no key.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, program, root, sleep, temporaryFolder, until } from './tael.mjs';

const scripts = temporaryFolder('versions-operator');
const ACCOUNT = `{ channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
const engine = new Engine({ scripts, env: { TAEL_WORKERS: '2' } });
let orders = 0;

before(async () => {
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true, force: true });
    fs.rmSync(path.join(scripts, 'jobs'), { recursive: true, force: true });
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), `return {
        merchants = {
            ["demo.test"] = { name = "Demo", mode = "test", accounts = { ["alipay-demo"] = ${ACCOUNT} } },
            ["other.test"] = { name = "Other", mode = "test", accounts = { ["alipay-other"] = ${ACCOUNT} } },
        },
    }\n`, { mode: 0o600 });
    await engine.start();
});
after(async () => {
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

/** Texts by path of a folder, as the command reads them. */
const read = (folder, below = '') => Object.assign({}, ...fs.readdirSync(path.join(folder, below), { withFileTypes: true }).map((entry) => {
    const at = path.join(below, entry.name);
    return entry.isDirectory() ? read(folder, at) : { [at]: fs.readFileSync(path.join(folder, at), 'utf8') };
}));
const alipay = read(path.join(root, 'scripts/channels'));
const changed = (name, change) => ({ ...alipay, [`alipay/${name}`]: change(alipay[`alipay/${name}`]) });
const titled = (title) => changed('init.lua', (text) => text.replace('en = "Alipay"', `en = "${title}"`));
const job = (word, fields = 'schedule = "0 3 * * *"') => ({ 'daily.lua':
    `local tael = require "tael"\nreturn { ${fields}, run = function() tael.log.info "${word}" end }\n` });

const operator = (method, target, body, headers) => engine.operator(method, target, body, headers);
const push = (part, files, more) => operator('POST', `/v1/scripts/${part}/versions`, { files, message: 'a change', ...more });
const activate = (part, version, more) => operator('POST', `/v1/scripts/${part}/activate`, { version, ...more });
const rollback = (part) => operator('POST', `/v1/scripts/${part}/rollback`, {});
/** Pushes and activates; the id. */
const run = async (part, files) => {
    const pushed = await push(part, files);
    assert.ok([200, 201].includes(pushed.status), pushed.text);
    const done = await activate(part, pushed.body.id);
    assert.deepEqual([done.status, done.body.active, done.body.workers], [200, pushed.body.id, 2], done.text);
    return pushed.body.id;
};
const create = (fields) => engine.create(`O${++orders}`, fields);
/** What both workers call the channel: connections choose their worker, so many of them ask. */
const titles = async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => engine.get('/v1/channels')));
    return [...new Set(answers.map((answer) => answer.body.data[0].title.en))];
};
const jobs = async () => (await operator('GET', '/v1/system/jobs')).body.data.map((one) => `${one.name} ${one.schedule}`);
const cli = (...words) => spawnSync(program, words, { cwd: engine.folder, encoding: 'utf8',
    env: { ...process.env, ...engine.environment, USER: 'chen' } });
const logged = (event) => engine.logged(event);
const said = (word) => logged('script.info').filter((line) => line.message === word).length;
const detail = async () => (await (await fetch(`${engine.operations}/readyz`)).json()).checks.find((check) => check.name === 'scripts').detail;

// ---- channels ----

test('channels that were pushed are used when they are activated, and then by every worker at once', async () => {
    const one = await push('channels', titled('One'));
    assert.deepEqual([one.status, one.body.owner, one.body.merchant, one.body.livemode, one.body.active], [201, 'channels', null, null, false], one.text);
    assert.deepEqual(await titles(), ['Alipay']);
    for (let round = 0; round < 8; round++) {
        await run('channels', titled(`Round ${round}`));
        assert.deepEqual(await titles(), [`Round ${round}`]);
        assert.equal((await create()).status, 201);
    }
    const same = await push('channels', titled('One'), { message: 'another message' });
    assert.deepEqual([same.status, same.body.id, same.body.message], [200, one.body.id, 'a change'], same.text);
    await until('the log tells', () => logged('scripts.activated').filter((line) => line.owner === 'channels').length === 8);
});

test('channels that are wrong, or lack what an account needs, are refused with file and line', async () => {
    await run('channels', titled('Runs'));
    const none = Object.fromEntries(Object.entries(alipay).map(([name, text]) => [name.replace('alipay/', 'other/'), text]));
    const wrong = [
        [changed('init.lua', (text) => `${text}retrun M\n`), 'channels/alipay/init.lua', alipay['alipay/init.lua'].split('\n').length, /near 'retrun'/],
        [changed('init.lua', (text) => text.replace('api = 1', 'api = 7')), 'channels/alipay/init.lua', undefined, /^api: /],
        [changed('orders.lua', () => 'os.exit(1)\n'), 'channels/alipay/orders.lua', 1, /unknown global 'os'/],
        [changed('init.lua', (text) => text.replace('max = 32, required = true', 'max = 3, required = true')), undefined, undefined, /app_id.*is longer than 3 bytes/],
        [{ 'other/init.lua': none['other/init.lua'].replaceAll('alipay', 'other').replace(/channels\.other\./g, 'channels.other.'), ...Object.fromEntries(
            Object.entries(none).filter(([name]) => name !== 'other/init.lua').map(([name, text]) => [name, text.replaceAll('channels.alipay', 'channels.other')])) },
        undefined, undefined, /merchants\.(demo|other)\.test\.accounts\.alipay-\w+\.channel: there is no channel 'alipay' in the version of channels/],
        [{ ...alipay, 'alipay/never.lua': 'return function()\n    return nmae\nend\n' }, 'channels/alipay/never.lua', 2, /unknown global 'nmae'/],
        [{ ...alipay, 'stray.lua': 'return {}' }, undefined, undefined, /channels\/stray\.lua: is in no channel's folder/],
        [{ ...alipay, 'other/values.lua': 'return {}' }, undefined, undefined, /channels\/other: has no init\.lua/],
        [{}, undefined, undefined, /there is no channel 'alipay'/],
    ];
    for (const [files, file, line, told] of wrong) {
        const answer = await push('channels', files);
        assert.deepEqual([answer.status, answer.body.code], [422, 'script_refused'], answer.text);
        const [first] = answer.body.errors;
        assert.match(first.detail, told, answer.text);
        assert.equal(first.file, file, answer.text);
        if (line) assert.equal(first.line, line, answer.text);
        const checked = await operator('POST', '/v1/scripts/channels/check', { files });
        assert.deepEqual([checked.status, checked.body.ok, checked.body.errors], [200, false, answer.body.errors], checked.text);
        assert.deepEqual(await titles(), ['Runs']);
        assert.equal((await create()).status, 201);
    }
    await until('the log says why', () => logged('scripts.push_refused').some((line) => line.owner === 'channels' && /init\.lua:\d+: .*near 'retrun'/.test(line.error)));
    const good = await operator('POST', '/v1/scripts/channels/check', { files: titled('Good') });
    assert.deepEqual([good.body.ok, good.body.names, good.body.errors], [true, ['alipay'], []], good.text);
    assert.deepEqual(await titles(), ['Runs']);
});

test('what loads on one worker and not on another is used by none', async () => {
    // where a table lies in memory differs from worker to worker
    const somewhere = (salt) => `local at = tonumber(tostring({}):match "0x(%x+)", 16) >> 26\n`
        + `if (at * ${2 * salt + 1} >> ${salt % 5}) % 2 == 0 then error "not here" end\n`;
    let [runs] = await titles(), refused = 0;
    for (let salt = 0; salt < 16; salt++) {
        const files = changed('init.lua', (text) => somewhere(salt) + text.replace('en = "Alipay"', `en = "Salt ${salt}"`));
        const pushed = await push('channels', files);
        const done = pushed.status === 201 ? await activate('channels', pushed.body.id) : pushed;
        if (done.status === 200) runs = `Salt ${salt}`;
        else refused++;
        if (done.status !== 200) assert.match(done.text, /"script_refused".*not here/);
        assert.deepEqual(await titles(), [runs], `salt ${salt}: ${done.text}`);
        const { data } = (await operator('GET', '/v1/scripts/channels/versions?limit=100')).body;
        assert.equal(data.filter((version) => version.active).length, 1);
        if (done.status === 200) assert.equal(data.find((version) => version.active).id, pushed.body.id);
    }
    assert.ok(refused > 0, 'it loaded everywhere: nothing was shown');
});

test('an operation that waits for the channel ends on what it began with', async () => {
    await run('channels', titled('Before'));
    const answer = await fetch(`${engine.sandbox}/sandbox/behaviour`, { method: 'POST', body: JSON.stringify({ op: 'precreate', fault: 'slow', ms: 4000, times: 1 }) });
    assert.equal(answer.status, 200, await answer.text());
    let ended = false;
    const waiting = create({ product: 'qr' }).then((done) => { ended = true; return done; });
    await sleep(400);
    for (const round of [1, 2, 3]) // three generations later its answer could not even be read
        await run('channels', changed('orders.lua', (text) => text.replace(/\nreturn (\w+)\s*$/, '\nfor name, op in pairs($1) do '
            + `if name ~= "query" and type(op) == "table" and op.parse then op.parse = function() error("generation ${round}") end end end\nreturn $1\n`)));
    assert.equal(ended, false, 'the channel answered before: nothing was shown');
    const first = await waiting;
    assert.deepEqual([first.status, first.body.next_action?.type], [201, 'qr_code'], first.text);
    const late = await create({ product: 'qr' });
    assert.notEqual(late.body.next_action?.type, 'qr_code', late.text);
    await until('the log tells', () => engine.process.output.includes('generation 3'));
    assert.doesNotMatch(engine.process.output, /generation [12]"/);
    await run('channels', titled('Right again'));
    assert.equal((await create({ product: 'qr' })).body.next_action.type, 'qr_code');
});

test('only what its author has seen running is replaced, and what ran before comes back', async () => {
    const one = await run('channels', titled('Seen'));
    const two = (await push('channels', titled('Newer'))).body.id;
    for (const expected of ['folder', two]) {
        const late = await activate('channels', two, { expected_active: expected });
        assert.deepEqual([late.status, late.body.code], [409, 'generation_conflict'], late.text);
    }
    const ids = [];
    for (let i = 0; i < 4; i++) ids.push((await push('channels', titled(`Racer ${i}`))).body.id);
    const ends = await Promise.all(ids.map((id) => activate('channels', id, { expected_active: one })));
    const won = ends.findIndex((end) => end.status === 200);
    assert.equal(ends.filter((end) => end.status === 200).length, 1, ends.map((end) => end.text).join('\n'));
    for (const end of ends) if (end.status !== 200) assert.match(end.text, /generation_conflict|one at a time/);
    assert.deepEqual(await titles(), [`Racer ${won}`]);
    const back = await rollback('channels');
    assert.deepEqual([back.status, back.body.active], [200, one], back.text);
    assert.deepEqual(await titles(), ['Seen']);
    const differs = await operator('GET', `/v1/scripts/channels/diff?to=${two}`);
    assert.deepEqual([differs.body.from, differs.body.files.map((file) => file.path)], [one, ['alipay/init.lua']], differs.text);
});

test('while a version of channels runs the folder does not count, until it is activated again', async () => {
    const id = await run('channels', titled('Pushed'));
    const file = path.join(scripts, 'channels/alipay/init.lua');
    fs.writeFileSync(file, titled('Saved')['alipay/init.lua']);
    const reloaded = cli('reload');
    assert.deepEqual([reloaded.status, reloaded.stdout], [0, 'reloaded: 0 certificates\n'], reloaded.stderr);
    assert.deepEqual(await titles(), ['Pushed']);
    fs.writeFileSync(file, 'return {\n');
    assert.equal(cli('reload').status, 0);
    const refused = await activate('channels', 'folder');
    assert.deepEqual([refused.status, refused.body.code, refused.body.errors[0].line], [422, 'script_refused', 2], refused.text);
    assert.deepEqual(await titles(), ['Pushed']);
    await engine.restart('SIGKILL'); // and the folder is broken
    assert.deepEqual(await titles(), ['Pushed']);
    assert.equal((await create()).status, 201);
    fs.writeFileSync(file, titled('Saved')['alipay/init.lua']);
    const folder = await activate('channels', 'folder');
    assert.deepEqual([folder.status, folder.body.active, folder.body.workers], [200, 'folder', 2], folder.text);
    assert.deepEqual(await titles(), ['Saved']);
    fs.writeFileSync(file, titled('Saved later')['alipay/init.lua']);
    assert.equal(cli('reload').stdout, 'reloaded: 0 certificates\nchanged channels: alipay\n');
    assert.deepEqual(await titles(), ['Saved later']);
    assert.equal((await activate('channels', id)).status, 200);
    await engine.restart();
    assert.deepEqual(await titles(), ['Pushed']);
    fs.writeFileSync(file, alipay['alipay/init.lua']);
    assert.equal((await activate('channels', 'folder')).status, 200);
});

test('a start whose configuration needs what the version of channels has not is refused, and says so', async () => {
    await run('channels', titled('Alone'));
    await engine.stop();
    const file = path.join(engine.folder, 'tael.lua'), text = fs.readFileSync(file, 'utf8');
    const second = Object.fromEntries(Object.entries(alipay).map(([name, source]) => [name.replace('alipay/', 'second/'),
        source.replaceAll('channels.alipay', 'channels.second').replace('name = "alipay"', 'name = "second"')]));
    const named = text.replace('["alipay-other"]', `["second-other"] = ${ACCOUNT.replace('"alipay"', '"second"')}, ["alipay-other"]`);
    for (const [name, source] of Object.entries(second)) {
        fs.mkdirSync(path.join(scripts, 'channels/second'), { recursive: true });
        fs.writeFileSync(path.join(scripts, 'channels', name), source);
    }
    fs.writeFileSync(file, named, { mode: 0o600 });
    const refused = cli('serve', '--dev');
    assert.notEqual(refused.status, 0, refused.stdout);
    assert.match(refused.stderr, /merchants\.other\.test\.accounts\.second-other\.channel: there is no channel 'second' in the version of channels/);
    assert.match(cli('doctor', '--dev').stdout, /^fail +scripts +version \w{16} runs, and would not be activated again: merchants\.other\.test\.accounts\.second-other: there is no channel 'second' in \w{16}/m);
    fs.writeFileSync(file, text, { mode: 0o600 });
    await engine.start();
    assert.deepEqual(await titles(), ['Alone']);
    await run('channels', { ...titled('Both'), ...second }); // first pushed, then named
    await engine.stop();
    fs.writeFileSync(file, named, { mode: 0o600 });
    await engine.start();
    assert.deepEqual(await titles(), ['Both']);
    fs.rmSync(path.join(scripts, 'channels/second'), { recursive: true });
    const lacking = await activate('channels', 'folder');
    assert.deepEqual([lacking.status, lacking.body.code], [422, 'script_refused'], lacking.text);
    assert.match(lacking.text, /there is no channel 'second'/);
    assert.deepEqual(await titles(), ['Both']);
    await engine.stop();
    fs.writeFileSync(file, text, { mode: 0o600 });
    await engine.start();
    assert.equal((await activate('channels', 'folder')).status, 200);
});

test('no request fails while versions of channels come and go', async () => {
    const ids = [];
    for (const name of ['Coming', 'Going']) ids.push((await push('channels', titled(name))).body.id);
    let running = true, created = 0;
    const failed = [];
    const load = Array.from({ length: 8 }, async () => {
        while (running) {
            const answer = await create({ amount: 1000 + (orders % 50) * 100 });
            if (answer.status === 201) created++; else failed.push(answer.text);
        }
    });
    for (let round = 0; round < 20; round++) {
        if (round % 5 === 4) {
            const reload = spawn(program, ['reload'], { cwd: engine.folder, stdio: 'ignore', env: { ...process.env, ...engine.environment } });
            const [done] = await Promise.all([activate('channels', ids[round % 2]), once(reload, 'exit')]);
            assert.equal(done.status, 200, done.text);
        } else {
            const done = await activate('channels', ids[round % 2]);
            assert.equal(done.status, 200, done.text);
        }
        assert.deepEqual(await titles(), [['Coming', 'Going'][round % 2]]);
    }
    running = false;
    await Promise.all(load);
    assert.deepEqual(failed, []);
    assert.ok(created > 40, `${created} payments`);
    assert.equal((await activate('channels', 'folder')).status, 200);
});

// ---- jobs ----

test('jobs that were pushed run when they are activated, and none of those before begins any more', async () => {
    fs.mkdirSync(path.join(scripts, 'jobs'), { recursive: true });
    fs.writeFileSync(path.join(scripts, 'jobs/saved.lua'), job('saved')['daily.lua']);
    await until('the folder\'s job is there', async () => (await jobs()).join() === 'saved 0 3 * * *', 20);
    for (let round = 0; round < 5; round++) {
        await run('jobs', job(`round ${round}`, `schedule = "${round} 3 * * *"`));
        assert.deepEqual(await jobs(), [`daily ${round} 3 * * *`], 'at once, and the folder does not count');
        const done = await operator('POST', '/v1/system/jobs/daily/run', {});
        assert.equal(done.status, 202, done.text);
        await until('it has run', () => said(`round ${round}`) === 1, 20);
        assert.equal((await operator('POST', '/v1/system/jobs/saved/run', {})).status, 404);
    }
    await engine.advance(86400);
    await until('its slot has come', () => said('round 4') === 2, 20);
    assert.equal(said('saved'), 0);
    const back = await rollback('jobs');
    assert.equal(back.status, 200, back.text);
    assert.deepEqual(await jobs(), ['daily 3 3 * * *']);
    await engine.restart('SIGKILL');
    await until('what runs is what the store says', async () => (await jobs()).join() === 'daily 3 3 * * *', 20);
    assert.equal((await activate('jobs', 'folder')).status, 200);
    assert.deepEqual(await jobs(), ['saved 0 3 * * *']);
});

test('a push of jobs may be as large as a folder', async () => {
    const large = { ...job('large'), ...Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`lib/part${i}.lua`, `return [[${'"\n'.repeat(125_000)}]]\n`])) };
    const pushed = await push('jobs', large);
    assert.equal(pushed.status, 201, pushed.text.slice(0, 300));
    assert.deepEqual((await operator('GET', `/v1/scripts/jobs/versions/${pushed.body.id}`)).body.files, large);
    const beyond = await push('jobs', { ...large, 'lib/more.lua': large['lib/part0.lua'] });
    assert.deepEqual([beyond.status, beyond.body.code, /1 MiB/.test(beyond.body.errors[0].detail)], [422, 'script_refused', true], beyond.text.slice(0, 300));
});

test('jobs that are wrong are refused with file and line, their own specs too', async () => {
    const id = await run('jobs', job('runs'));
    const spec = (expected) => ({ 'lib/words.lua': 'return { two = 2 }\n',
        'spec/words_spec.lua': `it("counts", function()\n    assert.equal(${expected}, require("lib.words").two)\nend)\n` });
    const wrong = [
        [{ 'daily.lua': 'local x = 1\nretrun x\n' }, 'script_refused', 'jobs/daily.lua', 2, /syntax error/],
        [{ 'daily.lua': 'return { shedule = "* * * * *", run = print }' }, 'script_refused', 'jobs/daily.lua', undefined, /print|shedule/],
        [job('x', 'schedule = "61 3 * * *"'), 'script_refused', undefined, undefined, /jobs\/daily\.lua: .*61/],
        [{ 'daily.lua': 'os.exit(1)\nreturn {}' }, 'script_refused', 'jobs/daily.lua', 1, /os/],
        [{ ...job('x'), ...spec(3) }, 'spec_failed', 'jobs/spec/words_spec.lua', 2, /counts: expected 3, got 2/],
    ];
    for (const [files, code, file, line, told] of wrong) {
        const answer = await push('jobs', files);
        assert.deepEqual([answer.status, answer.body.code], [422, code], answer.text);
        const [first] = answer.body.errors;
        assert.match(first.detail, told, answer.text);
        if (line) assert.deepEqual([first.file, first.line], [file, line], answer.text);
    }
    assert.deepEqual(await jobs(), ['daily 0 3 * * *']);
    const good = await operator('POST', '/v1/scripts/jobs/check', { files: { ...job('x'), ...spec(2) } });
    assert.deepEqual([good.body.ok, good.body.names, good.body.specs], [true, ['daily'], { passed: 1, failed: 0, pending: 0 }], good.text);
    assert.equal((await operator('GET', `/v1/scripts/jobs/versions/${id}`)).body.active, true);
    assert.equal((await activate('jobs', 'folder')).status, 200);
});

// ---- routes ----

const open = (text) => `return { ["POST /"] = { auth = "none", handler = function(request) ${text} end } }\n`;
const says = (word) => ({ 'word.lua': open(`return { json = "${word}" }`) });
const post = (name, body = {}) => engine.post(`/r/${name}`, body, { key: null });
/** What every worker answers: connections choose their worker, so many of them ask. */
const heard = async (name = 'word') => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => post(name)));
    return [...new Set(answers.map((answer) => (answer.status === 200 ? answer.body : answer.status)))];
};

test('routes that were pushed answer when they are activated, and then on every worker at once', async () => {
    fs.writeFileSync(path.join(scripts, 'routes/word.lua'), open('return { json = "saved" }'));
    assert.deepEqual(await heard(), ['saved']);
    const one = await push('routes', says('one'));
    assert.equal(one.status, 201, one.text);
    assert.deepEqual(await heard(), ['saved']);
    for (let round = 0; round < 8; round++) {
        await run('routes', { ...says(`round ${round}`), 'with-dash.lua': open('return { json = "dash" }'), '2nd_.lua': open('return { json = "second" }') });
        assert.deepEqual(await heard(), [`round ${round}`]);
        assert.deepEqual([await heard('with-dash'), await heard('2nd_'), await heard('quote')], [['dash'], ['second'], [404]], 'the folder does not count');
    }
    fs.writeFileSync(path.join(scripts, 'routes/word.lua'), open('return { json = "saved later" }'));
    assert.deepEqual(await heard(), ['round 7']);
    assert.equal(cli('reload').status, 0);
    assert.deepEqual(await heard(), ['round 7']);
    assert.equal((await rollback('routes')).status, 200);
    assert.deepEqual(await heard(), ['round 6']);
    await engine.restart('SIGKILL');
    assert.deepEqual([await heard(), await heard('quote')], [['round 6'], [404]]);
    const folder = await activate('routes', 'folder');
    assert.deepEqual([folder.status, folder.body.workers], [200, 2], folder.text);
    assert.deepEqual([await heard(), await heard('with-dash')], [['saved later'], [404]]);
    fs.writeFileSync(path.join(scripts, 'routes/word.lua'), open('return { json = "saved last" }'));
    await until('the folder is read again as it is saved', async () => (await heard()).join() === 'saved last', 20);
});

test('routes that are wrong are refused with file and line, and what answered goes on', async () => {
    await run('routes', says('runs'));
    const wrong = [
        [{ 'word.lua': 'local x = 1\nretrun x\n' }, 'routes/word.lua', 2, /near 'x'|syntax error/],
        [{ ...says('x'), 'other.lua': 'return {\n    ["POST orders"] = function() end,\n}\n' }, 'routes/other.lua', 2, /the path begins with/],
        [{ 'word.lua': 'os.exit(1)\nreturn {}\n' }, 'routes/word.lua', 1, /os/],
        [{ 'word.lua': open('\nreturn { json = wrod }') }, 'routes/word.lua', 2, /unknown global 'wrod'/],
        [{ ...says('x'), 'lib/word.lua': 'return {}\n' }, undefined, undefined, /routes\/lib\/word\.lua: a route's file lies in the folder itself/],
        [{ ...says('x'), '-x.lua': open('') }, undefined, undefined, /routes\/-x\.lua: a path is made of/],
    ];
    for (const [files, file, line, told] of wrong) {
        const answer = await push('routes', files);
        assert.deepEqual([answer.status, answer.body.code], [422, 'script_refused'], answer.text);
        const [first] = answer.body.errors;
        assert.match(first.detail, told, answer.text);
        if (line) assert.deepEqual([first.file, first.line], [file, line], answer.text);
        assert.deepEqual(await heard(), ['runs']);
    }
    const good = await operator('POST', '/v1/scripts/routes/check', { files: { ...says('x'), 'a.lua': open('') } });
    assert.deepEqual([good.body.ok, good.body.names, good.body.errors], [true, ['a', 'word'], []], good.text);
    fs.writeFileSync(path.join(scripts, 'routes/word.lua'), 'return {\n');
    const folder = await activate('routes', 'folder');
    assert.deepEqual([folder.status, folder.body.errors[0].file, folder.body.errors[0].line], [422, 'routes/word.lua', 2], folder.text);
    assert.deepEqual(await heard(), ['runs']);
    fs.rmSync(path.join(scripts, 'routes/word.lua'));
});

test('no request of a route fails while versions come and go, and each is answered by one', async () => {
    // long enough to be cut into slices, so that it is under way while others come
    const version = (n) => ({ 'busy.lua': open(`local a = ${n} for i = 1, 300000 do a = a + 0 end return { json = { a = a, b = ${n} } }`) });
    const ids = [];
    for (let n = 0; n < 6; n++) ids.push((await push('routes', version(n))).body.id);
    await activate('routes', ids[0]);
    let running = true;
    const wrong = [], seen = new Set();
    const load = Array.from({ length: 6 }, async () => {
        while (running) {
            const { status, body, text } = await post('busy');
            if (status !== 200 || body.a !== body.b) wrong.push(`${status} ${text}`);
            else seen.add(body.b);
        }
    });
    for (let round = 1; round <= 18; round++) {
        const done = await activate('routes', ids[round % 6]);
        assert.equal(done.status, 200, done.text);
        const answer = await post('busy');
        assert.deepEqual([answer.status, answer.body.b], [200, round % 6], answer.text);
    }
    running = false;
    await Promise.all(load);
    assert.deepEqual(wrong, []);
    assert.ok(seen.size > 1, 'one version answered all: nothing was shown');
});

test('a version of routes gets its memory back from what its scripts have kept', async () => {
    const keeper = `local kept = {}\n${open('for i = 1, 2000 do kept[#kept + 1] = ("x"):rep(1000) .. #kept end return { json = 1 }')}`;
    await run('routes', { ...says('beside'), 'keeper.lua': keeper, 'small.lua': 'return { ["POST /"] = { auth = "none", max_body = 100, handler = function() return { json = 1 } end } }\n' });
    let failed = 0;
    for (let i = 0; i < 40; i++) failed += (await post('keeper')).status === 503;
    assert.ok(failed > 0, 'the ceiling was never met');
    assert.ok(failed < 20, `${failed} of 40 had no memory`);
    assert.deepEqual(await heard(), ['beside']);
    assert.deepEqual([(await post('small', { a: 'x'.repeat(50) })).status, (await post('small', { a: 'x'.repeat(200) })).status], [200, 413]);
    assert.equal((await activate('routes', 'folder')).status, 200);
});

test('a version of routes that loads no more answers nothing, and neither does what nobody has activated', async () => {
    fs.writeFileSync(path.join(scripts, 'routes/word.lua'), open('return { json = "saved" }'));
    const id = await run('routes', says('spoiled'));
    const { hash } = (await operator('GET', `/v1/scripts/routes/versions/${id}`)).body;
    await engine.stop();
    const spoiled = spawnSync('sqlite3', [path.join(engine.folder, 'data/tael.db'),
        `UPDATE script_versions SET files = CAST(replace(CAST(files AS TEXT), 'handler', 'handelr') AS BLOB) WHERE hash = '${hash}'`], { encoding: 'utf8' });
    assert.equal(spoiled.status, 0, spoiled.stderr);
    await engine.start();
    assert.deepEqual(await heard(), [404]);
    await until('it is told', async () => /refused: routes\/word\.lua:1: POST \/: unknown field 'handelr'/.test(await detail()), 20);
    assert.match(cli('doctor', '--dev').stdout, /^fail +scripts +version scr_\w+ runs, and would not be activated again: routes\/word\.lua:1: /m);
    assert.equal((await activate('routes', id)).status, 422);
    assert.equal((await activate('routes', 'folder')).status, 200);
    assert.deepEqual(await heard(), ['saved']);
    assert.doesNotMatch(await detail(), /refused/);
    fs.rmSync(path.join(scripts, 'routes/word.lua'));
});

// ---- whose ----

test('nobody but the operator on this machine reaches them, whatever his key may do', async () => {
    const version = (await push('jobs', job('reached'))).body.id;
    const keys = [engine.key, await engine.newKey('demo.test', ['scripts:read', 'scripts:write', 'admin', 'payments:read', 'payments:write'])];
    for (const part of ['channels', 'jobs', 'routes'])
        for (const key of [...keys, undefined])
            for (const [method, target, body] of [['GET', 'versions'], ['GET', `versions/${version}`], ['GET', 'diff'], ['POST', 'activate', { version }],
                ['POST', 'rollback', {}], ['POST', 'versions', { files: job('x'), message: 'x' }], ['POST', 'check', { files: job('x') }]]) {
                const answer = await engine.request(method, `/v1/scripts/${part}/${target}`, { key, body });
                assert.deepEqual([answer.status, answer.body.code], [404, 'not_found'], `${method} ${part}/${target}`);
                const operations = await fetch(`${engine.operations}/v1/scripts/${part}/${target}`, { method, body: body && JSON.stringify(body),
                    headers: { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) } });
                assert.equal(operations.status, 404);
            }
    // a merchant that is called like a part has scripts of its own, and a version is of one owner
    const theirs = await operator('POST', '/v1/scripts/merchants/demo.test/activate', { version });
    assert.deepEqual([theirs.status, theirs.body.code], [404, 'not_found'], theirs.text);
    assert.equal((await activate('channels', version)).status, 404);
    assert.equal((await operator('GET', '/v1/scripts/rules/versions')).status, 404);
    const named = await operator('GET', '/v1/scripts/jobs/versions', undefined, { 'tael-merchant': 'demo.test' });
    assert.equal(named.body.data.some((one) => one.id === version), true, named.text);
});

// ---- the command ----

test('the command pushes, shows, compares, activates and rolls back', async () => {
    const jobs_folder = path.join(scripts, 'jobs');
    fs.rmSync(jobs_folder, { recursive: true, force: true });
    fs.mkdirSync(jobs_folder, { recursive: true });
    fs.writeFileSync(path.join(jobs_folder, 'daily.lua'), job('by command')['daily.lua']);
    const of = (...words) => cli('scripts', ...words, '--owner', 'jobs');
    const pushed = of('push', '--message', 'by hand');
    assert.equal(pushed.status, 0, pushed.stderr);
    const id = /pushed {2}(scr_\w+) {2}generation \w{16}, 1 files/.exec(pushed.stdout)[1];
    assert.match(pushed.stderr, new RegExp(`tael scripts activate ${id} --owner jobs`));
    const activated = of('activate', id, '--expected', 'folder');
    assert.match(activated.stdout, new RegExp(`^jobs runs ${id} {2}generation \\w{16} {2}on 2 workers after \\d+ ms\n$`), activated.stderr);
    assert.match(activated.stderr, /activate folder --owner jobs\n$/);
    const list = JSON.parse(of('list', '--json', '--limit', '1').stdout);
    assert.deepEqual([list.id, list.owner, list.active, list.author, list.actor, list.message], [id, 'jobs', true, 'chen', 'operator', 'by hand']);
    assert.equal(of('show', 'active', 'daily.lua').stdout, job('by command')['daily.lua']);
    assert.equal(of('diff').stdout, '');
    fs.writeFileSync(path.join(jobs_folder, 'daily.lua'), job('changed')['daily.lua']);
    assert.match(of('diff').stdout, /^--- a\/daily\.lua\n\+\+\+ b\/daily\.lua\n@@ -1,2 \+1,2 @@\n/);
    fs.writeFileSync(path.join(jobs_folder, 'daily.lua'), 'return {\n');
    const refused = of('push', '--message', 'broken', '--activate');
    assert.deepEqual([refused.status, /jobs\/daily\.lua:2: .*\(script_refused\)/.test(refused.stderr)], [1, true], refused.stderr);
    fs.rmSync(jobs_folder, { recursive: true });
    assert.match(of('rollback').stdout, /^jobs runs folder {2}generation - {2}on 2 workers/);
    assert.deepEqual(await jobs(), []);
    const channels = cli('scripts', 'push', '--owner', 'channels', '--message', 'as they are', '--activate');
    assert.match(channels.stdout, /^channels runs scr_\w+ /, channels.stderr);
    assert.match(cli('scripts', 'rollback', '--owner', 'channels').stdout, /^channels runs folder /);
    const dash = path.join(scripts, 'routes/with-dash.lua');
    fs.writeFileSync(dash, open('return { json = "by command" }'));
    const routes = cli('scripts', 'push', '--owner', 'routes', '--message', 'as they are', '--activate');
    assert.match(routes.stdout, /^routes runs scr_\w+ /, routes.stderr);
    assert.match(cli('scripts', 'show', '--owner', 'routes').stdout, /\n {2}quote\.lua +\d+\n {2}with-dash\.lua +\d+\n$/);
    fs.rmSync(dash);
    assert.deepEqual(await heard('with-dash'), ['by command']);
    assert.match(cli('scripts', 'rollback', '--owner', 'routes').stdout, /^routes runs folder /);
    assert.deepEqual(await heard('with-dash'), [404]);
    const init = path.join(scripts, 'channels/alipay/init.lua');
    fs.writeFileSync(init, alipay['alipay/init.lua'].replace('api = 1', 'api = 7'));
    fs.mkdirSync(path.join(scripts, 'merchants/demo.test'), { recursive: true });
    fs.writeFileSync(path.join(scripts, 'merchants/demo.test/rules.lua'), 'return { risk = function() return "allow" end }\n');
    const checked = cli('check');
    assert.deepEqual([checked.status, /^fail {2}channels\/alipay\/init\.lua:\d+: api: /m.test(checked.stdout)], [1, true], checked.stdout);
    fs.writeFileSync(init, alipay['alipay/init.lua']);
    assert.match(cli('check').stdout, /^ok {4}demo\.test {2}generation \w{16} {2}rules: risk {2}routes: \n$/);
    const shown = cli('check', '--json').stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
    assert.deepEqual(shown.find((one) => one.owner === 'channels').channels, ['alipay']);
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true });
    const unknown = cli('scripts', 'list', '--owner', 'rules');
    assert.deepEqual([unknown.status, /'rules' is no part.*\nnext: there are: channels, jobs, routes/.test(unknown.stderr)], [2, true], unknown.stderr);
    const remote = cli('scripts', 'list', '--owner', 'jobs', '--url', engine.url, '--key', engine.key);
    assert.deepEqual([remote.status, /on the engine's own machine alone/.test(remote.stderr)], [2, true], remote.stderr);
});

test('doctor looks at the versions that run, and not at folders that do not count', async () => {
    const line = (name) => cli('doctor', '--dev').stdout.match(new RegExp(`^(ok|fail) +${name} +(.*)$`, 'm')).slice(1).join(' ');
    const broken = path.join(scripts, 'jobs/wrong.lua');
    fs.mkdirSync(path.dirname(broken), { recursive: true });
    fs.writeFileSync(broken, 'return {}\n');
    assert.match(line('scripts'), /^fail jobs\/wrong\.lua: /);
    const runs = await run('jobs', job('looked at'));
    assert.equal(line('scripts'), 'ok 0 merchants, 1 jobs');
    await run('channels', titled('Looked at'));
    const file = path.join(scripts, 'channels/alipay/init.lua');
    fs.writeFileSync(file, 'return {\n');
    assert.match(line('channels'), /^ok alipay\/alipay-demo {2}alipay\/alipay-other/);
    await engine.stop();
    assert.equal(line('scripts'), 'ok 0 merchants, 1 jobs');
    assert.match(line('channels'), /^ok alipay\/alipay-demo {2}alipay\/alipay-other/);
    await engine.start();
    fs.writeFileSync(file, alipay['alipay/init.lua']);
    fs.rmSync(broken);
    // what ran under one version of Tael may not under another
    const { hash } = (await operator('GET', `/v1/scripts/jobs/versions/${runs}`)).body;
    const spoiled = spawnSync('sqlite3', [path.join(engine.folder, 'data/tael.db'), 'PRAGMA busy_timeout = 5000; '
        + `UPDATE script_versions SET files = CAST(replace(CAST(files AS TEXT), 'schedule', 'shedule') AS BLOB) WHERE hash = '${hash}'`], { encoding: 'utf8' });
    assert.equal(spoiled.status, 0, spoiled.stderr);
    const failing = /^fail version (scr_\w+|\w{16}) runs, and would not be activated again: jobs\/daily\.lua: there is no field 'shedule'/;
    assert.match(line('scripts'), failing);
    await engine.stop();
    assert.match(line('scripts'), failing);
    await engine.start();
    await until('it is told', async () => /refused: jobs\/daily\.lua/.test(await detail()), 20);
    assert.equal((await activate('jobs', 'folder')).status, 200);
    await until('and put right', async () => !/refused/.test(await detail()), 20);
});

test('channels that do not load any more keep an engine from starting, and it says how it does', async () => {
    const id = await run('channels', titled('Spoiled'));
    const { hash } = (await operator('GET', `/v1/scripts/channels/versions/${id}`)).body;
    await engine.stop();
    const spoiled = spawnSync('sqlite3', [path.join(engine.folder, 'data/tael.db'),
        `UPDATE script_versions SET files = CAST(replace(CAST(files AS TEXT), 'api = 1', 'api = 7') AS BLOB) WHERE hash = '${hash}'`], { encoding: 'utf8' });
    assert.equal(spoiled.status, 0, spoiled.stderr);
    await assert.rejects(engine.start());
    const way = /channels: version scr_\w+, which runs: .*api: must be 1 \(TAEL_SCRIPTS__STORED_CHANNELS=false tael serve starts with those of the folder\)/;
    assert.match(engine.process.output, way);
    engine.options.env.TAEL_SCRIPTS__STORED_CHANNELS = 'false';
    await engine.start();
    assert.equal((await activate('channels', 'folder')).status, 200);
    delete engine.options.env.TAEL_SCRIPTS__STORED_CHANNELS;
    await engine.restart();
});
