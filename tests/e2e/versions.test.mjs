// versions.test.mjs - versions of a merchant's scripts: pushed over the API and by the command, activated on every
// worker, rolled back, kept over a restart; what is wrong is refused with file and line and changes nothing.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, root, saveFile, sleep, temporaryFolder, until } from './tael.mjs';

const scripts = temporaryFolder('versions');
const ACCOUNT = `{ channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
    seller_id = "2088000000000001", key = "demo.alipay", alipay_key = "sandbox.alipay" }`;
const engine = new Engine({ scripts, env: { TAEL_WORKERS: '2',
    TAEL_SCRIPTS__ISOLATION: process.env.ISOLATION ?? 'state' } });
const home = path.join(scripts, 'merchants/demo.test');
const DEMO = '/v1/scripts/merchants/demo.test';
let orders = 0;

before(async () => {
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    fs.rmSync(path.join(scripts, 'merchants'), { recursive: true, force: true });
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

const operator = (method, target, body) => engine.operator(method, target, body);
const newKey = (merchant, scopes) => engine.newKey(merchant, scopes);
const rules = (reason) => ({ 'rules.lua': `local rules = {}\nfunction rules.risk(payment) return "deny", "${reason}" end\nreturn rules\n` });
const push = (files, more) => operator('POST', `${DEMO}/versions`, { files, message: 'a change', ...more });
const activate = (version, more) => operator('POST', `${DEMO}/activate`, { version, ...more });
const create = (options) => engine.create(`V${++orders}`, {}, options);
/** What every worker says: connections choose their worker, so many of them ask. */
const said = async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => create()));
    return [...new Set(answers.map((answer) => (answer.status === 201 ? 'allowed' : answer.body.detail)))];
};
const cli = (...words) => spawnSync(path.join(root, 'build/tael'), words, { cwd: engine.folder, encoding: 'utf8',
    env: { ...process.env, TAEL_SCRIPTS__FOLDER: scripts, USER: 'chen' } });
const logged = (event) => engine.logged(event);

test('what was pushed runs when it is activated, and then on every worker at once', async () => {
    const one = await push(rules('one'));
    assert.equal(one.status, 201, one.text);
    assert.match(one.body.id, /^scr_/);
    assert.equal(one.body.active, false);
    assert.deepEqual(await said(), ['allowed']);
    for (let round = 0; round < 10; round++) {
        const version = (await push(rules(`round ${round}`))).body.id;
        const done = await activate(version);
        assert.deepEqual([done.status, done.body.active, done.body.workers], [200, version, 2], done.text);
        assert.deepEqual(await said(), [`round ${round}`]);
    }
    await until('the log tells', () => logged('scripts.activated').length === 10);
});

test('the same texts again are the same version', async () => {
    const first = await push(rules('same'));
    const again = await push(rules('same'), { message: 'another message' });
    assert.deepEqual([first.status, again.status, again.body.id, again.body.message],
        [201, 200, first.body.id, 'a change'], again.text);
    const read = await engine.operator('GET', first.headers.get('location'));
    assert.deepEqual([read.status, read.body.id, again.headers.get('location')], [200, first.body.id, null]);
});

test('a push may be as large as a folder, and no other body', async () => {
    const big = (count, name = 'part') => Object.fromEntries(Array.from({ length: count },
        (_, i) => [`lib/${name}${i}.lua`, `return [[${'"\n'.repeat(125_000)}]]\n`]));
    const large = { ...rules('large'), ...big(4) };
    const pushed = await push(large);
    assert.equal(pushed.status, 201, pushed.text.slice(0, 300));
    assert.equal((await activate(pushed.body.id)).status, 200);
    assert.deepEqual(await said(), ['large']);
    assert.deepEqual((await operator('GET', `${DEMO}/versions/${pushed.body.id}`)).body.files, large);
    assert.equal((await operator('POST', `${DEMO}/check`, { files: large })).body.ok, true);
    const beyond = await push({ ...large, ...big(1, 'more') });
    assert.deepEqual([beyond.status, beyond.body.code], [422, 'script_refused'], beyond.text.slice(0, 300));
    assert.match(beyond.body.errors[0].detail, /1 MiB/);
    for (const [target, body] of [[`${DEMO}/activate`, { version: 'folder' }], ['/v1/payments', {}], [`${DEMO}/versionsx`, {}]]) {
        const answer = await operator('POST', target, { ...body, pad: 'x'.repeat(400_000) });
        assert.equal(answer.status, 413, target);
    }
    assert.equal((await operator('POST', `${DEMO}/versions?x=1`, { pad: 'x'.repeat(4_000_000) })).status, 413);
    assert.equal((await activate('folder')).status, 200);
});

test('a version begins with one that there is', async () => {
    const first = (await push(rules('first of two'))).body.id;
    const second = await push(rules('second of two'), { base: first });
    assert.deepEqual([second.status, second.body.base], [201, first], second.text);
    const third = await push(rules('third'), { base: first }); // what runs is asked when it is activated
    assert.equal(third.status, 201, third.text);
    for (const base of ['scr_00000000000000000000000000', 'pay_x', 'folder']) {
        const answer = await push(rules('of nothing'), { base });
        assert.deepEqual([answer.status, answer.body.code, answer.body.errors[0].pointer], [400, 'invalid_field', '/base'], answer.text);
    }
    const theirs = await operator('POST', '/v1/scripts/merchants/other.test/versions', { files: rules('theirs'), message: 'm', base: first });
    assert.deepEqual([theirs.status, theirs.body.errors[0].pointer], [400, '/base'], theirs.text);
});

test('what is wrong is refused with file and line, and what ran goes on', async () => {
    await activate((await push(rules('runs'))).body.id);
    const wrong = [
        [{ 'rules.lua': 'local rules = {}\nretrun rules\n' }, 422, 'script_refused', 'merchants/demo.test/rules.lua', 2],
        [{ 'rules.lua': 'return { rsk = function() end }' }, 422, 'script_refused', undefined, undefined],
        [{ 'rules.lua': 'os.exit(1)\nreturn {}' }, 422, 'script_refused', 'merchants/demo.test/rules.lua', 1],
        [{ ...rules('x'), 'spec/rules_spec.lua': 'it("is right", function()\n    assert.equal(1, 2)\nend)' }, 422, 'spec_failed',
            'merchants/demo.test/spec/rules_spec.lua', 2],
        [{ ...rules('x'), 'spec/rules_spec.lua': `it("a${'中'.repeat(100)}", function()\n    error("\\xff")\nend)` }, 422, 'spec_failed',
            'merchants/demo.test/spec/rules_spec.lua', 2], // the name is longer than what is told of it
        [{ 'rules.lua': 'return { ["\\xff"] = function() end }' }, 422, 'script_refused', undefined, undefined],
    ];
    for (const [files, status, code, file, line] of wrong) {
        const answer = await push(files);
        assert.deepEqual([answer.status, answer.body.code], [status, code], answer.text);
        assert.deepEqual([answer.body.errors[0].file, answer.body.errors[0].line], [file, line], answer.text);
        const checked = await operator('POST', `${DEMO}/check`, { files });
        assert.deepEqual([checked.status, checked.body.ok, checked.body.errors], [200, false, answer.body.errors], checked.text);
    }
    for (const [files, pointer] of [[{ '../rules.lua': 'return {}' }, '/files/..~1rules.lua'], [{ 'rules.lua': 1 }, '/files/rules.lua']]) {
        const answer = await push(files);
        assert.deepEqual([answer.status, answer.body.code, answer.body.errors[0].pointer], [400, 'invalid_field', pointer], answer.text);
    }
    assert.equal((await push(rules('x'), { message: undefined })).body.code, 'missing_field');
    assert.deepEqual(await said(), ['runs']);
    const list = await operator('GET', `${DEMO}/versions`);
    assert.equal(list.body.data.filter((version) => version.active).length, 1);
    const good = await operator('POST', `${DEMO}/check`, { files: rules('x') });
    assert.deepEqual([good.body.ok, good.body.rules, good.body.specs], [true, ['risk'], { passed: 0, failed: 0, pending: 0 }]);
});

test('only what its author has seen running is replaced', async () => {
    const one = (await push(rules('seen'))).body.id;
    const two = (await push(rules('newer'))).body.id;
    await activate(one);
    for (const expected of ['folder', two]) {
        const late = await activate(two, { expected_active: expected });
        assert.deepEqual([late.status, late.body.code], [409, 'generation_conflict'], late.text);
    }
    assert.deepEqual(await said(), ['seen']);
    // many at once, all having seen the same: one of them wins
    const ids = [];
    for (let i = 0; i < 8; i++) ids.push((await push(rules(`racer ${i}`))).body.id); // one check at a time
    const ends = await Promise.all(ids.map((id) => activate(id, { expected_active: one })));
    const won = ends.filter((end) => end.status === 200);
    assert.equal(won.length, 1, ends.map((end) => end.text).join('\n'));
    // the others have seen what runs no more, or come while another one's check is under way
    assert.equal(ends.filter((end) => ['generation_conflict', 'rate_limited'].includes(end.body.code)).length, 7, ends.map((end) => end.text).join('\n'));
    assert.deepEqual(await said(), [`racer ${ids.indexOf(won[0].body.active)}`]);
});

test('what is activated while a worker still loads what was activated before reaches that worker', async () => {
    const route = (text, before = '') => ({ 'routes.lua':
        `${before}return { ["GET /v"] = { auth = "none", handler = function() return { text = "${text}" } end } }\n` });
    let slow = 'local t, x = {}, 0\nfor i = 1, 150000 do x = x + i end\n';
    for (let n = 0; n < 5200; n++) slow += `t[${n}] = { ${n}, "text ${n}" }\n`;
    const quick = (await push(route('quick'))).body.id;
    const ask = () => engine.get('/m/demo.test/v', { key: null });
    for (let round = 0; round < 5; round++) {
        const pushed = await push({ ...route('slow', 'local t = require "big"\n'), 'big.lua': `-- ${round}\n${slow}return t\n` });
        assert.equal(pushed.status, 201, pushed.text);
        await activate(quick);
        await ask();
        let running = true;
        const load = Promise.all(Array.from({ length: 8 }, async () => { while (running) await ask(); }));
        await activate(pushed.body.id);
        const back = await operator('POST', `${DEMO}/rollback`);
        assert.equal(back.status, 200, back.text);
        await sleep(400);
        running = false;
        await load;
        const heard = await Promise.all(Array.from({ length: 24 }, ask));
        assert.deepEqual([...new Set(heard.map((answer) => answer.text))], ['quick']);
    }
    await activate('folder');
});

test('rolling back goes back, and further back, to the folder at last', async () => {
    fs.mkdirSync(home, { recursive: true });
    saveFile(path.join(home, 'rules.lua'), rules('of the folder')['rules.lua']);
    assert.equal((await activate('folder')).body.active, 'folder');
    assert.deepEqual(await said(), ['of the folder']);
    for (const name of ['a', 'b', 'c'])
        await activate((await push(rules(name))).body.id);
    for (const expected of ['b', 'a', 'of the folder']) {
        const back = await operator('POST', `${DEMO}/rollback`);
        assert.equal(back.status, 200, back.text);
        assert.deepEqual(await said(), [expected]);
    }
    // what was activated since counts as the newest
    await activate((await push(rules('c'))).body.id);
    assert.deepEqual(await said(), ['c']);
    await operator('POST', `${DEMO}/rollback`);
    assert.deepEqual(await said(), ['of the folder']);
});

test('a merchant that never had a version has nothing to go back to', async () => {
    const none = await operator('POST', '/v1/scripts/merchants/other.test/rollback');
    assert.deepEqual([none.status, none.body.code], [409, 'generation_conflict'], none.text);
});

test('a broken folder cannot be activated while a version runs', async () => {
    await activate((await push(rules('stays'))).body.id);
    saveFile(path.join(home, 'rules.lua'), 'nonsense(\n');
    const refused = await activate('folder');
    assert.deepEqual([refused.status, refused.body.code, refused.body.errors[0].file], [422, 'script_refused', 'merchants/demo.test/rules.lua'], refused.text);
    assert.deepEqual(await said(), ['stays']);
    fs.rmSync(home, { recursive: true });
    assert.equal((await activate('folder')).status, 200);
    assert.deepEqual(await said(), ['allowed']);
});

test('versions differ as diff -u says', async () => {
    const one = (await push(rules('first'))).body.id;
    const two = (await push({ ...rules('second'), 'lib/more.lua': 'return 1\n' })).body.id;
    const answer = await operator('GET', `${DEMO}/diff?from=${one}&to=${two}`);
    assert.deepEqual(answer.body.files.map((file) => [file.path, file.change]), [['lib/more.lua', 'added'], ['rules.lua', 'changed']]);
    assert.match(answer.body.files[1].diff, /^--- a\/rules\.lua\n\+\+\+ b\/rules\.lua\n@@ -1,3 \+1,3 @@\n.*\n-.*first.*\n\+.*second/);
    await activate(one);
    assert.equal((await operator('GET', `${DEMO}/diff?to=${two}`)).body.from, one);
    const unknown = await operator('GET', `${DEMO}/diff?from=scr_00000000000000000000000000&to=${two}`);
    assert.deepEqual([unknown.status, unknown.body.errors[0].parameter], [400, 'from'], unknown.text);
    await activate('folder');
});

test('a merchant\'s key sees and changes its own scripts alone, and needs the scope', async () => {
    const version = (await push(rules('own'))).body.id;
    const usual = await newKey('demo.test');
    const reader = await newKey('demo.test', ['scripts:read']);
    const writer = await newKey('demo.test', ['scripts:write']);
    const other = await newKey('other.test', ['scripts:read', 'scripts:write']);
    const ask = (method, target, key, body) => engine.request(method, target, { key, body });
    assert.equal((await ask('GET', `${DEMO}/versions`, usual)).status, 403);
    assert.equal((await ask('GET', `${DEMO}/versions/${version}`, reader)).body.files['rules.lua'], rules('own')['rules.lua']);
    assert.equal((await ask('POST', `${DEMO}/activate`, reader, { version })).status, 403);
    for (const [method, target, body] of [['GET', 'versions'], ['GET', `versions/${version}`], ['POST', 'activate', { version }],
        ['POST', 'rollback', {}], ['POST', 'versions', { files: rules('x'), message: 'x' }], ['POST', 'check', { files: rules('x') }]])
        assert.equal((await ask(method, `${DEMO}/${target}`, other, body)).status, 404, target);
    const theirs = await ask('POST', '/v1/scripts/merchants/other.test/activate', other, { version });
    assert.deepEqual([theirs.status, theirs.body.code], [404, 'not_found'], theirs.text);
    const done = await ask('POST', `${DEMO}/activate`, writer, { version });
    assert.equal(done.status, 200, done.text);
    assert.equal((await create({ key: await newKey('other.test') })).status, 201); // it has no rules
    await activate('folder');
});

test('what runs is what the store says, after a kill too', async () => {
    const version = (await push(rules('kept'))).body.id;
    await activate(version);
    await engine.restart('SIGKILL');
    assert.deepEqual(await said(), ['kept']);
    await until('the log tells', () => logged('scripts.loaded').some((line) => line.version === version));
    await activate('folder');
    await engine.restart('SIGKILL');
    assert.deepEqual(await said(), ['allowed']);
});

const slowSpecs = (name, tests = 60) => ({ ...rules(name), 'spec/slow_spec.lua':
    `for i = 1, ${tests} do it("${name} " .. i, function() local x = 0 for j = 1, 120000 do x = x + 1 end end) end\n` });

test('checks take no more than the merchant\'s share, one at a time, and others are answered meanwhile', async () => {
    let rounds = 0;
    const check = () => operator('POST', '/v1/scripts/merchants/other.test/check', { files: slowSpecs(`n${rounds++}`, 150) });
    const refused = (answer, why) => {
        if (answer.status === 200) return false;
        assert.equal(answer.status, 429, answer.text);
        assert.match(answer.headers.get('retry-after'), /^[1-9]\d*$/);
        return why.test(answer.body.detail);
    };
    const busy = Promise.all(Array.from({ length: 12 }, check));
    for (let i = 0; i < 40; i++) assert.equal((await create()).status, 201);
    const [at_once, late] = [await busy, []];
    assert.ok(at_once.some((answer) => refused(answer, /one at a time/)), 'one at a time');
    // one after the other: both workers' share is used up soon, though it comes back meanwhile
    while (late.length < 5 && rounds < 60) {
        const answer = await check();
        if (refused(answer, /more than the merchant's share of a worker/)) late.push(answer);
    }
    assert.equal(late.length, 5, `${rounds} checks, none is too many`);
    // and no body is read for it
    const key = await newKey('other.test', ['scripts:write']);
    const unread = await until('what is not JSON is told to come later', async () => {
        const [answer] = await Promise.all([engine.post('/v1/scripts/merchants/other.test/check', '{', { key }), check()]);
        assert.ok([400, 429].includes(answer.status), answer.text);
        return answer.status === 429 && answer;
    }, 20);
    assert.match(unread.body.detail, /one at a time|more than the merchant's share/);
    await until('a person is told', () => logged('alarm').some((line) => line.kind === 'scripts_over_share' && line.merchant === 'other.test'
        && /checks take more than 5 %/.test(line.detail)));
    const mine = await operator('POST', `${DEMO}/check`, { files: rules('mine') });
    assert.equal(mine.status, 200, mine.text);
});

test('what runs is not said to run again when another one was activated while it was checked', async () => {
    await activate((await push(rules('before'))).body.id);
    const { id } = (await push(slowSpecs('slow', 40))).body;
    for (let round = 0; ; round++) {
        assert.ok(round < 10, 'the check never lasted long enough');
        await activate(id);
        const [again, back] = await Promise.all([activate(id, { expected_active: id }), operator('POST', `${DEMO}/rollback`)]);
        assert.equal(back.status, 200, back.text);
        const { data } = (await operator('GET', `${DEMO}/versions?limit=100`)).body;
        if (again.status === 200) continue; // it was first
        assert.deepEqual([again.status, again.body.code, data.find((one) => one.active).id === id], [409, 'generation_conflict', false], again.text);
        break;
    }
    assert.deepEqual(await said(), ['before']);
    assert.equal((await activate('folder')).status, 200);
});

test('versions are kept for good, and so there is an end to their number', async () => {
    const first = await push(rules('the last one')), { id } = first.body;
    assert.equal(first.status, 201, first.text);
    await engine.restart(); // what other tests took of the merchant's share counts no more
    const other = (text) => operator('POST', '/v1/scripts/merchants/other.test/versions', { files: rules(text), message: text });
    assert.equal((await other('the first one')).status, 201);
    assert.equal((await other('the first one')).status, 200);
    const ofOther = `(SELECT id FROM merchants WHERE slug = 'other.test')`;
    const sql = async (text) => {
        await engine.stop();
        const told = execFileSync('sqlite3', [path.join(engine.folder, 'data/tael.db'), text], { encoding: 'utf8' });
        await engine.start();
        return told.trim();
    };
    const [kept, counted] = (await sql(`SELECT COUNT(*), SUM(length(files)) FROM script_versions WHERE merchant = ${ofOther};
        SELECT versions, bytes FROM script_room WHERE merchant = ${ofOther};
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9998)
        INSERT INTO script_versions (merchant, id, hash, author, actor, message, files)
        SELECT ${ofOther}, i, 'h' || i, 'a', 'a', 'm', x'7b7d' FROM n;
        UPDATE script_room SET versions = 9999 WHERE merchant = ${ofOther};`)).split('\n');
    assert.equal(counted, kept, 'the same texts again take no room');
    assert.equal((await other('the ten thousandth')).status, 201);
    const refused = await other('one more');
    assert.deepEqual([refused.status, refused.body.code, /10000 versions/.test(refused.body.detail)], [422, 'script_refused', true], refused.text);
    assert.equal((await other('the ten thousandth')).status, 200);
    const page = await operator('GET', '/v1/scripts/merchants/other.test/versions?limit=100');
    assert.equal(page.body.data.length, 100);
    await sql(`DELETE FROM script_versions WHERE hash LIKE 'h%';
        UPDATE script_room SET versions = 2, bytes = 268435455 WHERE merchant = ${ofOther};`);
    assert.equal((await other('a byte of room')).status, 201);
    const full = await other('one more');
    assert.deepEqual([full.status, /256 MiB together/.test(full.body.detail)], [422, true], full.text);
    const again = await push(rules('the last one'));
    assert.deepEqual([again.status, again.body.id], [200, id], 'another merchant has room of its own');
});

test('the command pushes, shows, compares, activates and rolls back', async () => {
    fs.mkdirSync(path.join(home, 'spec'), { recursive: true });
    saveFile(path.join(home, 'rules.lua'), rules('by command')['rules.lua']);
    saveFile(path.join(home, 'spec/rules_spec.lua'), 'local t = require "tael.test"\nit("denies", function()\n'
        + '    assert.equal("deny", (t.rules.risk(t.payment())))\nend)\n');
    const run = (...words) => cli(...words, '--merchant', 'demo.test');
    const tested = cli('test', home);
    assert.deepEqual([tested.status, tested.stdout], [0, 'ok    demo.test  1 passed, 0 failed, 0 pending\n'], tested.stderr);
    const pushed = run('scripts', 'push', home, '--message', 'by hand');
    assert.equal(pushed.status, 0, pushed.stderr);
    const id = /pushed {2}(scr_\w+) {2}generation \w{16}, 2 files/.exec(pushed.stdout)[1];
    const activated = run('scripts', 'activate', id, '--expected', 'folder');
    assert.match(activated.stdout, new RegExp(`^demo\\.test runs ${id} {2}generation \\w{16} {2}on 2 workers after \\d+ ms\n$`), activated.stderr);
    assert.deepEqual(await said(), ['by command']);
    const list = JSON.parse(run('scripts', 'list', '--json', '--limit', '1').stdout);
    assert.deepEqual([list.id, list.active, list.author, list.actor, list.message], [id, true, 'chen', 'operator', 'by hand']);
    assert.equal(run('scripts', 'show', 'active', 'rules.lua').stdout, rules('by command')['rules.lua']);
    assert.match(run('scripts', 'show').stdout, /^scr_\w+ {2}\w{16} {2}runs\n {2}author {6}chen\n/);
    assert.equal(run('scripts', 'diff').stdout, '');
    saveFile(path.join(home, 'rules.lua'), 'return { risk = function() return "allow" end }\n');
    assert.match(run('scripts', 'diff').stdout, /^--- a\/rules\.lua\n\+\+\+ b\/rules\.lua\n@@ -1,3 \+1 @@\n-local rules/);
    const failing = cli('test', home);
    assert.equal(failing.status, 1);
    assert.match(failing.stdout, /^fail {2}denies\n {6}merchants\/demo\.test\/spec\/rules_spec\.lua:3: expected "deny", got "allow"\n/);
    const refused = run('scripts', 'push', home, '--message', 'breaks its spec', '--activate');
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /merchants\/demo\.test\/spec\/rules_spec\.lua:3: denies: expected "deny", got "allow" \(spec_failed\)/);
    assert.deepEqual(await said(), ['by command']);
    const back = run('scripts', 'rollback');
    assert.deepEqual([back.status, /spec_failed/.test(back.stderr)], [1, true], back.stderr); // nobody knows what the folder holds
    assert.deepEqual(await said(), ['by command']);
    fs.rmSync(path.join(home, 'spec'), { recursive: true });
    assert.match(run('scripts', 'rollback').stdout, /^demo\.test runs folder /);
    assert.deepEqual(await said(), ['allowed']);
    const none = run('scripts', 'show');
    assert.deepEqual([none.status, none.stdout], [1, ''], none.stderr);
    assert.match(cli('scripts', 'push', '--merchant', 'demo.test').stderr, /needs --message/);
    fs.rmSync(home, { recursive: true });
});

test('the command says what is meant, and what runs is not what ran before itself', async () => {
    const run = (...words) => { const { status, stdout, stderr } = cli('scripts', ...words, '--merchant', 'demo.test'); return { status, text: stdout + stderr }; };
    const [one, two] = [(await push(rules('said one'))).body.id, (await push(rules('said two'))).body.id];
    await activate(one);
    for (let i = 0; i < 3; i++) assert.equal((await activate(two)).status, 200);
    assert.match(run('activate', one, '--expected', one).text, new RegExp(`^tael: ${two} runs by now: look at it and decide anew\\. \\(generation_conflict\\)$`, 'm'));
    assert.match(run('activate', 'nonsense').text, /^tael: \/version: 'nonsense' is not the id of a version\. \(invalid_field\)\nnext:/);
    assert.match(run('rollback').text, new RegExp(`^demo\\.test runs ${one} `));
    assert.deepEqual(await said(), ['said one']);
    await activate('folder');
    assert.match(run('activate', one, '--expected', one).text, /^tael: The folder's files run: look at them/);
    const other = (...words) => cli('scripts', ...words, '--merchant', 'other.test');
    assert.match(other('rollback').stderr, /^tael: There is nothing to go back to: no version of these scripts was ever activated\./);
});

test('doctor looks at folders, jobs and the versions that run', async () => {
    const line = () => cli('doctor', '--dev').stdout.match(/^(ok|fail) +scripts +(.*)$/m).slice(1);
    fs.mkdirSync(path.join(home, 'spec'), { recursive: true });
    saveFile(path.join(home, 'rules.lua'), rules('looked at')['rules.lua']);
    saveFile(path.join(home, 'spec/rules_spec.lua'), 'local t = require "tael.test"\nit("denies", function()\n'
        + '    assert.equal("deny", (t.rules.risk(t.payment())))\nend)\n');
    assert.equal((await activate('folder')).status, 200);
    const pushed = await push(Object.fromEntries(['rules.lua', 'spec/rules_spec.lua'].map((name) => [name, fs.readFileSync(path.join(home, name), 'utf8')])));
    assert.deepEqual(line(), ['ok', '1 merchants, 0 jobs']);
    saveFile(path.join(home, 'rules.lua'), 'return {\n');
    assert.match(line().join(' '), /^fail merchants\/demo\.test\/rules\.lua:\d: .* → .*tael check/);
    assert.equal((await activate(pushed.body.id)).status, 200);
    assert.deepEqual(line(), ['ok', '1 merchants, 0 jobs'], 'a version runs: the folder does not count');
    fs.mkdirSync(path.join(scripts, 'jobs'), { recursive: true });
    saveFile(path.join(scripts, 'jobs/wrong.lua'), 'return {}\n');
    assert.match(line().join(' '), /^fail jobs\/wrong\.lua: /);
    fs.rmSync(path.join(scripts, 'jobs'), { recursive: true });
    // what ran under one version of Tael may not under another
    execFileSync('sqlite3', [path.join(engine.folder, 'data/tael.db'), 'PRAGMA busy_timeout = 5000; '
        + `UPDATE script_versions SET files = CAST(replace(CAST(files AS TEXT), 'return \\"deny\\"', 'return \\"allow\\"') AS BLOB) WHERE hash = '${pushed.body.hash}'`]);
    const failing = /^fail version (scr_\w+|\w{16}) runs, and would not be activated again: merchants\/demo\.test\/spec\/rules_spec\.lua:3: /;
    assert.match(line().join(' '), failing);
    await engine.stop();
    assert.match(line().join(' '), failing);
    await engine.start();
});

test('a restart with a folder that is broken goes on with what passed last', async () => {
    const reason = () => said();
    const jobs = path.join(scripts, 'jobs');
    fs.rmSync(home, { recursive: true, force: true });
    assert.equal((await activate('folder')).status, 200);
    fs.mkdirSync(home, { recursive: true });
    fs.mkdirSync(jobs, { recursive: true });
    saveFile(path.join(home, 'rules.lua'), rules('kept')['rules.lua']);
    saveFile(path.join(jobs, 'daily.lua'), 'return { schedule = "0 3 * * *", run = function() end }\n');
    await until('the folder runs', async () => (await reason()).join() === 'kept', 20);
    await until('the job is there', async () => (await operator('GET', '/v1/system/jobs')).body.data.length === 1, 20);
    for (const broken of ['return {\n', 'return { risk = function() end, rsk = 1 }\n']) {
        await engine.stop();
        saveFile(path.join(home, 'rules.lua'), broken);
        saveFile(path.join(jobs, 'daily.lua'), broken);
        await engine.start();
        assert.deepEqual(await reason(), ['kept'], 'and no payment goes without its rules');
        await until('the job is there', async () => (await operator('GET', '/v1/system/jobs')).body.data.length === 1, 20);
        await until('both are refused', async () => {
            const ready = await (await fetch(`${engine.operations}/readyz`)).json();
            return /refused: .*(rules|daily)\.lua.* \(and of 1 more\)/.test(ready.checks.find((check) => check.name === 'scripts').detail);
        }, 20);
        await until('the log says what runs', () => logged('scripts.refused').some((line) => line.owner === 'merchants/demo.test' && /^\w{16}$/.test(line.runs)));
    }
    saveFile(path.join(home, 'rules.lua'), rules('right again')['rules.lua']);
    await until('the folder runs again', async () => (await reason()).join() === 'right again', 20);
    // what was taken away on purpose does not come back
    fs.rmSync(home, { recursive: true });
    fs.rmSync(jobs, { recursive: true });
    await until('there are no rules', async () => (await reason()).join() === 'allowed', 20);
    await engine.stop();
    fs.mkdirSync(home, { recursive: true });
    saveFile(path.join(home, 'rules.lua'), 'return {\n');
    await engine.start();
    assert.deepEqual(await reason(), ['allowed']);
    fs.rmSync(home, { recursive: true });
});
