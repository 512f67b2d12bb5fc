// routes.test.mjs - the operator's own endpoints: files of scripts/routes answer below /r/, the next request runs
// what has been saved, and nothing a script does harms anybody else.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, root, saveFile, sleep, temporaryFolder, until } from './tael.mjs';

const scripts = temporaryFolder('routes');
const engine = new Engine({ scripts, env: { TAEL_WORKERS: '2', TAEL_LIMITS__KEY: '50/m' } });

const place = (name) => path.join(scripts, 'routes', `${name}.lua`);
const save = (name, text) => saveFile(place(name), text);
const open = (text) => `return { ["POST /"] = { auth = "none", handler = function(request) ${text} end } }`;
const ask = (target, body = {}) => engine.post(target, body, { key: null });
const logged = (event) => engine.logged(event);

before(async () => {
    fs.cpSync(path.join(root, 'scripts'), scripts, { recursive: true });
    await engine.start();
});
after(async () => {
    await engine.remove();
    fs.rmSync(scripts, { recursive: true, force: true });
});

function problem(answer, status, code) {
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.headers.get('content-type'), 'application/problem+json');
    assert.equal(answer.body.code, code);
    if (status !== 413) // which is the server's word, before it reads the body
        assert.match(answer.headers.get('tael-request-id'), /^req_/);
    return answer.body;
}

test('a script answers JSON with JSON', async () => {
    const answer = await ask('/r/quote', { amount: 10050, currency: 'CNY' });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers.get('content-type'), 'application/json');
    assert.equal(answer.text, '{"channel":"alipay","fee":61}');
    for (const amount of ['1.5', '0', '100000000000001', '50000000000000000', '9223372036854775807']) { // the last two fees would be below nothing, and nothing
        const wrong = await ask('/r/quote', `{"amount":${amount}}`);
        assert.deepEqual([wrong.status, wrong.body?.code, wrong.body?.pointer], [400, 'invalid_field', '/amount'], `${amount}: ${wrong.text}`);
    }
});

test('what has been saved answers the next request', async () => {
    for (let version = 1; version <= 40; version++) { // of one length: times and sizes alone do not tell them apart
        save('fresh', open(`return { json = { version = ${100 + version} } }`));
        assert.equal((await ask('/r/fresh')).text, `{"version":${100 + version}}`);
    }
    fs.renameSync(place('fresh'), place('renamed'));
    problem(await ask('/r/fresh'), 404, 'not_found');
    assert.equal((await ask('/r/renamed')).text, '{"version":140}');
    fs.rmSync(place('renamed'));
    problem(await ask('/r/renamed'), 404, 'not_found');
});

/** The same of sixteen connections, one each: both workers have some. */
const askAll = (target) => Promise.all(Array.from({ length: 16 }, () => new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port: engine.ports.api, path: target, method: 'POST',
        headers: { 'content-type': 'application/json' }, agent: false }, async (response) => {
        let text = '';
        for await (const piece of response.setEncoding('utf8')) text += piece;
        resolve(text);
    });
    request.on('error', reject);
    request.end('{}');
})));

test('a file that does not load leaves the one that runs, and is named with its line', async () => {
    save('kept', open('return { json = 1 }'));
    assert.equal((await ask('/r/kept')).text, '1');
    save('kept', 'return {'); // before more than one worker can have seen the one that loads
    assert.deepEqual(new Set(await askAll('/r/kept')), new Set(['1']));
    await until('it is refused', () => logged('route.refused').length > 0);
    const faults = [
        ['local x =\n\nretrun 1', /routes\/kept\.lua:3: /],
        ['\nreturn 5', /routes\/kept\.lua:1: the file must return a table/],
        ['return {\n  ["GET /"] = function() end,\n  ["POST /a b"] = function() end }', /kept\.lua:3: POST \/a b: a path has/],
        ['return { ["POST /"] = { handler = function() end, secret = "x" } }', /kept\.lua:1: POST \/: unknown field 'secret'/],
        ['return { ["POST /"] = { handler = function() end, auth = "mtls" } }', /auth = "mtls" needs/],
        ['local a\na.b = 1', /kept\.lua:2: attempt to index a nil value/],
        ['print("x")', /kept\.lua:1: unknown global 'print'/],
        ['x = 1', /kept\.lua:1: a script must not write 'x'/],
        ['string.rep = nil', /kept\.lua:1: a script must not write 'rep'/],
        ['require "os"', /kept\.lua:1: module 'os' is not for routes/],
        ['while true do pcall(function() while true do end end) end', /kept\.lua:1: does not end/],
        ['\x1bLua', /kept\.lua:1: compiled code: give the Lua text/],
    ];
    for (const [text, expected] of faults) {
        const before = logged('route.refused').length;
        save('kept', text);
        assert.equal((await ask('/r/kept')).text, '1');
        const line = await until(`it is refused by ${expected}: ${text}`, () => // each worker that looks says so
            logged('route.refused').slice(before).find(({ error }) => expected.test(error)));
        assert.deepEqual([line.level, line.route, line.runs], ['error', 'kept', 'the version before']);
    }
    save('kept', open('return { json = 2 }'));
    assert.equal((await ask('/r/kept')).text, '2');
});

test('requests that cannot be meant are refused as problems', async () => {
    save('strict', `return {
        ["POST /"] = { auth = "none", max_body = 64, handler = function(r) return { json = r.json } end },
        ["GET /orders/:id"] = { auth = "none", handler = function(r)
            return { json = { id = r.params.id, query = r.query, agent = r.headers["user-agent"], method = r.method } }
        end },
        ["GET /orders/last"] = { auth = "none", handler = function() return { json = "last" } end },
        ["DELETE /orders/:id"] = { auth = "none", handler = function() end } }`);
    const bad = problem(await ask('/r/strict', '{"a":1,}'), 400, 'invalid_json');
    assert.match(bad.detail, /at byte 8\.$/);
    problem(await ask('/r/strict', ''), 400, 'invalid_json');
    problem(await ask('/r/strict', '{"a":1,"a":2}'), 400, 'invalid_json');
    problem(await ask('/r/strict', JSON.stringify('x'.repeat(63))), 413, 'too_large');
    problem(await engine.post('/r/strict', '{}', { key: null, headers: { 'content-type': 'text/plain' } }), 415,
        'unsupported_media_type');
    const wrong = await engine.get('/r/strict', { key: null });
    problem(wrong, 405, 'method_not_allowed');
    assert.equal(wrong.headers.get('allow'), 'POST');
    assert.equal((await engine.request('PUT', '/r/strict/orders/1', { key: null })).headers.get('allow'), 'DELETE, GET, HEAD');
    for (const target of ['/r/none', '/r/strict/', '/r/strict/orders', '/r/strict/orders/1/2', '/r/strict.lua', '/r/STRICT'])
        problem(await ask(target), 404, 'not_found');
    problem(await engine.get('/r/strict/orders/a%2fb', { key: null }), 400, 'invalid_parameter');
    problem(await engine.get('/r/strict/orders/1?a=1&a=2', { key: null }), 400, 'invalid_parameter');
    const got = await engine.get('/r/strict/orders/a%20b?x=%E4%BD%A0', { key: null, headers: { 'user-agent': 'shop' } });
    assert.deepEqual(got.body, { agent: 'shop', id: 'a b', method: 'GET', query: { x: '你' } });
    assert.equal((await engine.get('/r/strict/orders/last', { key: null })).text, '"last"');
    const head = await fetch(`${engine.url}/r/strict/orders/last`, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '6', '']);
    assert.equal((await engine.request('DELETE', '/r/strict/orders/1', { key: null })).status, 204);
});

test('numbers, texts and nothing come back as they were', async () => {
    save('echo', open('return { json = request.json }'));
    for (const text of ['9007199254740993', '-9223372036854775808', '0.10', '1e400', '123456789012345678901234567890',
        'null', '[]', '{}', '[[],{}]', '"\\u0000"', '{"":null}', 'true'])
        assert.equal((await ask('/r/echo', text)).text, text);
});

test('who calls is as the script says, an API key where it says nothing', async () => {
    save('keyed', `return { ["GET /"] = function(request)
        return { json = request.merchant, status = 202, headers = { ["x-own"] = "yes" } } end }`);
    const none = await engine.get('/r/keyed', { key: null });
    problem(none, 401, 'unauthenticated');
    assert.equal(none.headers.get('www-authenticate'), 'Bearer realm="tael"');
    problem(await engine.get('/r/keyed', { key: 'tael_test_x' }), 401, 'unauthenticated');
    const good = await engine.get('/r/keyed');
    assert.deepEqual([good.status, good.text, good.headers.get('x-own')], [202, '"demo.test"', 'yes']);
    assert.match(good.headers.get('ratelimit'), /^"key";r=\d+;t=/);
    let last = good;
    for (let i = 0; i < 60 && last.status === 202; i++) last = await engine.get('/r/keyed');
    problem(last, 429, 'rate_limited');
    assert.equal(last.headers.get('ratelimit-policy'), '"key";q=50;w=60');
});

test('what a script does wrong at run time is a 500, and a line of the log with file and line', async () => {
    const faults = [
        ['local a\nreturn a.b', /wrong\.lua:2: attempt to index a nil value/],
        ['error("secret")', /wrong\.lua:1: secret/],
        ['error({ "secret" })', /wrong\.lua:1: raised a value that is not a text/],
        ['error(setmetatable({}, { __tostring = function() while true do end end }))', /not a text/],
        ['return 5', /the answer: a handler gives/],
        ['return { json = 0.5 }', /the answer: json\.encode: the value: a float/],
        ['return { json = { f = print } }', /unknown global 'print'/],
        ['return { json = { f = type } }', /a function or thread/],
        ['local t = {} t.t = t return { json = t }', /nested too deeply/],
        ['return { stauts = 200 }', /unknown field 'stauts'/],
        ['return { status = 99 }', /status is not a number/],
        ['return { headers = { ["x-a"] = "1\\r\\nx-b: 2" } }', /a header has a name or value/],
        ['return { headers = { ["Content-Length"] = "5" } }', /content-length is the server's own/],
        ['return { json = string.rep("x", 1100000) }', /text too large/], ['return { body = string.rep("x", 1100000) }', /larger than 1 MiB/],
        ['setmetatable({}, { __gc = function() end })', /__gc is not for scripts/],
        ['setmetatable({}, { __close = function() end })', /__close is not for scripts/],
        ['return getmetatable("").__index', /unknown global 'getmetatable'/],
        ['return load("return 1")', /unknown global 'load'/],
        ['return string.dump(type)', /attempt to call a nil value \(field 'dump'\)/],
    ];
    for (const [text, expected] of faults) {
        const before = logged('route.failed').length;
        save('wrong', open(text));
        const told = problem(await ask('/r/wrong'), 500, 'internal');
        assert.ok(!/secret|wrong\.lua/.test(JSON.stringify(told)), text);
        const line = await until(`it is logged: ${text}`, () => logged('route.failed')[before]);
        assert.match(line.error, expected);
        assert.equal(line.request, told.request_id);
    }
});

test('a script that does not end is ended, and others are answered meanwhile', async () => {
    const hostile = [ // more of them: tests/unit/route_test.c
        'while true do end',
        'while true do pcall(function() while true do end end) end',
        '("a"):rep(100000):match(".-.-.-.-b")',
        'local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end',
    ];
    for (const text of hostile) {
        save('hostile', open(text));
        const [answer, other] = await Promise.all([ask('/r/hostile'), ask('/r/quote', { amount: 1 })]);
        assert.ok(answer.status === 500 || answer.status === 503, `${text}: ${answer.status} ${answer.text}`);
        assert.equal(other.status, 200);
    }
    save('hostile', open('return { json = "well" }'));
    assert.equal((await ask('/r/hostile')).text, '"well"');
});

test('what scripts keep for themselves does not stay for ever', async () => {
    save('keeper', `local kept = {}\n${open('for i = 1, 2000 do kept[#kept + 1] = ("x"):rep(1000) .. #kept end return { json = 1 }')}`);
    let failed = 0;
    for (let i = 0; i < 40; i++) failed += (await ask('/r/keeper')).status === 503;
    assert.ok(failed > 0, 'the ceiling was never met');
    assert.ok(failed < 20, `${failed} of 40 had no memory`);
    assert.equal((await ask('/r/quote', { amount: 1 })).status, 200);
});

test('a file that there was no memory for is loaded when there is', { timeout: 60_000 }, async (t) => {
    const alone = await new Engine({ scripts, env: { TAEL_WORKERS: '1' } }).start();
    t.after(() => alone.remove());
    const answer = (target) => alone.post(target, {}, { key: null });
    save('keeper', `local kept = {}\n${open('for i = 1, 1000 do kept[#kept + 1] = ("x"):rep(1000) .. #kept end return { json = #kept }')}`);
    const late = (version) => save('late', `local rows = {}\nfor i = 1, 4000 do rows[i] = ("y"):rep(1000) .. i end\n${open(`return { json = ${version} }`)}`);
    for (const version of [1, 2]) {
        await until('little is left', async () => (await answer('/r/keeper')).body >= 13000);
        late(version);
        await sleep(100); // longer than a file may be half written
        const first = await answer('/r/late');
        if (version === 1) problem(first, 503, 'overloaded');
        else assert.equal(first.text, '1');
        await until('it has loaded', async () => {
            const next = await answer('/r/late');
            assert.ok(next.status === 503 ? version === 1 : next.text === '1' || next.text === '2', next.text);
            return next.text === String(version);
        }, 10);
    }
    for (const name of ['keeper', 'late']) fs.rmSync(place(name));
});

test('saving under load loses no request, and each is answered by one version', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    const post = () => new Promise((resolve) => {
        const request = http.request(`${engine.url}/r/busy`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } },
            (answer) => {
                let text = '';
                answer.on('data', (data) => { text += data; });
                answer.on('end', () => resolve({ status: answer.statusCode, text }));
            });
        request.on('error', (err) => resolve({ status: 0, text: String(err) }));
        request.end('{"n":1}');
    });
    const version = (n) => open(`local a = ${n} for i = 1, 2000 do a = a + 0 end return { json = { a = a, b = ${n} } }`);
    save('busy', version(0));
    let done = false, count = 0;
    const wrong = [];
    const seen = new Set();
    const loads = Array.from({ length: 8 }, async () => {
        while (!done) {
            const { status, text } = await post();
            const body = status === 200 ? JSON.parse(text) : {};
            if (status !== 200 || body.a !== body.b) wrong.push(`${status} ${text}`);
            seen.add(body.b);
            count++;
        }
    });
    await until('requests have been answered', () => seen.has(0));
    for (let n = 1; n <= 30; n++) {
        if (n % 3 === 0) save('busy', version(n)); // in place: it is empty for a moment
        else if (n % 3 === 1) { fs.writeFileSync(`${place('busy')}.new`, version(n)); fs.renameSync(`${place('busy')}.new`, place('busy')); }
        else save('busy', 'return {'); // and one that does not load
        const before = count;
        await until('requests have been answered by it', () => (n % 3 === 2 ? count > before + 16 : seen.has(n)));
    }
    done = true;
    await Promise.all(loads);
    agent.destroy();
    assert.deepEqual(wrong, []);
});
