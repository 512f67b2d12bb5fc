// dev.test.mjs - tael dev: what it prints, that it follows the files of its folder, keeps what runs when they are
// wrong, and ends as it should.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { Process, freePort, program, root, sleep, temporaryFolder, until } from './tael.mjs';

const INIT = 'scripts/channels/alipay/init.lua';

/** A folder with its own copy of the channels, and `tael dev` in it. */
class Dev {
    constructor(t, { scripts = true } = {}) {
        this.folder = temporaryFolder('dev');
        if (scripts)
            fs.cpSync(path.join(root, 'scripts'), this.file('scripts'), { recursive: true });
        this.seller = '2088000000000001';
        t.after(async () => {
            if (this.process) await this.process.stop('SIGKILL');
            fs.rmSync(this.folder, { recursive: true, force: true });
        });
    }

    file(name) {
        return path.join(this.folder, name);
    }

    read(name) {
        return fs.readFileSync(this.file(name), 'utf8');
    }

    async start() {
        this.port = await freePort();
        this.url = `http://127.0.0.1:${this.port}`;
        this.process = new Process(['dev', '--port', String(this.port)], { cwd: this.folder });
        await this.says(/save a file to reload\n/);
        this.key = this.read('data/demo.key').trim();
        return this;
    }

    get output() {
        return this.process.output;
    }

    /** Waits until what was printed since the last mark looks so. */
    async says(pattern) {
        await until(`it to print ${pattern}`, () => {
            assert.equal(this.process.end, undefined, this.output);
            return pattern.test(this.output.slice(this.mark ?? 0));
        }).catch((error) => assert.fail(`${error.message}\n${this.output}`));
    }

    /** Does something and waits for what it makes tael dev print. */
    async after(action, pattern) {
        this.mark = this.output.length;
        await action();
        await this.says(pattern);
        return this.output.slice(this.mark);
    }

    save(name, text) {
        fs.writeFileSync(this.file(name), text);
    }

    async request(method, target, body) {
        const response = await fetch(this.url + target, { method, body: body && JSON.stringify(body), headers: {
            authorization: `Bearer ${this.key}`, ...(body ? { 'content-type': 'application/json' } : {}) } });
        return { status: response.status, body: await response.json() };
    }

    create(order, amount = 1234) {
        return this.request('POST', '/v1/payments', { merchant_order_id: order, amount, currency: 'CNY',
            subject: 'coffee', channel: 'alipay', product: 'page' });
    }

    tael(...args) {
        return spawnSync(program, args, { cwd: this.folder, encoding: 'utf8' });
    }
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

test('tael dev says where it is and what it watches', { timeout: 120_000 }, async (t) => {
    const dev = await new Dev(t).start();
    assert.match(dev.output, new RegExp(`^tael 0\\.\\d+\\.\\d+  dev mode \\(fake channels, real signatures\\) {10}`
        + `ready in \\d+\\.\\d s\n  api      ${escaped(dev.url)}        test key  ${dev.key}  `
        + '\\(saved for this folder\\)\n  channels alipay ✓sim\n'
        + '  sandbox  http://127\\.0\\.0\\.1:\\d+ {8}operations  http://127\\.0\\.0\\.1:\\d+\n'
        + `  folder   no tael\\.lua in ${escaped(dev.folder)}: the demo merchant runs; tael init makes [^\n]*\n`
        + '  watching scripts/ — save a file to reload\n$'));
    assert.equal(fs.statSync(dev.file('data/demo.key')).mode & 0o777, 0o600);
    assert.equal(fs.statSync(dev.file('data/dev.log')).mode & 0o777, 0o600);
    await until('the log is written', () => /"event":"engine\.started"/.test(dev.read('data/dev.log')));
    assert.equal((await dev.create('A1')).status, 201);
    assert.match(dev.tael('payments', 'list').stdout, /A1 +alipay/);
    assert.doesNotMatch(dev.output, /"event"/, 'the log is not for the terminal');

    // what a person should know is: a signed notification with another amount
    const { body } = await dev.create('A2');
    await dev.after(() => new Alipay({ ...dev, folder: dev.folder, seller: dev.seller })
        .notify(body, { total_amount: '99.00' }), /\n?\[dev\] error alarm [^\n]*amount[^\n]*\n/);
});

test('a saved channel is taken up by the running engine, a saved configuration by another at the same address', { timeout: 180_000 }, async (t) => {
    const dev = await new Dev(t).start();
    const { body: payment } = await dev.create('A1');
    const text = dev.read(INIT);
    const local = (target, body) => spawnSync('curl', ['-s', '--unix-socket', dev.file('data/tael.sock'),
        '-H', 'content-type: application/json', '-d', JSON.stringify(body), `http://tael${target}`], { encoding: 'utf8' });
    assert.match(local('/v1/system/clock', { advance_in: 7200 }).stdout, /"advanced_in":7200/);

    await dev.after(() => dev.save(INIT, text.replace('min = 1, max', 'min = 500, max')),
        new RegExp(`\\[dev\\] reloaded ${escaped(INIT)}  \\d+ ms\n`));
    const { body } = await dev.request('GET', `/v1/payments/${payment.id}`);
    assert.equal(body.merchant_order_id, 'A1', 'the store is the same');
    const later = await dev.create('A2', 600);
    assert.ok(Date.parse(later.body.created_at) > Date.now() + 7100e3, 'the clock is where it was put');
    assert.equal((await dev.create('A3', 499)).status, 400, 'the new text counts');

    // as editors save: a new file moved over the old one; a backup beside it is nothing
    await dev.after(() => {
        dev.save(`${INIT}~`, text);
        dev.save('scripts/channels/alipay/.init.lua.swp', 'x');
        dev.save(`${INIT}.tmp`, text);
        fs.renameSync(dev.file(`${INIT}.tmp`), dev.file(INIT));
    }, new RegExp(`^\\[dev\\] reloaded ${escaped(INIT)}  \\d+ ms\n`, 'm'));
    assert.equal((await dev.create('A4', 499)).status, 201);
    await dev.after(() => {
        dev.save(INIT, `${text}\n`);
        dev.save('scripts/channels/alipay/codes.lua', `${dev.read('scripts/channels/alipay/codes.lua')}\n`);
    }, /^\[dev\] reloaded 2 files {2}\d+ ms\n/m);
    assert.doesNotMatch(dev.read('data/dev.log'), /engine\.stopped/, 'one engine took all of that up, between requests');
    await dev.after(() => dev.save('tael.lua', 'return { payments = { expires = "5m" } }\n'),
        /^\[dev\] reloaded tael\.lua {2}\d+ ms\n/m);
    const short = (await dev.create('A5')).body;
    assert.ok(Date.parse(short.expires_at) - Date.parse(short.created_at) <= 301e3, JSON.stringify(short));

    await dev.process.stop('SIGINT');
    dev.save('tael.lua', 'return { dev = true }\n');
    assert.match(dev.tael('doctor').stdout, /^ok   clock +the store is 7[12]\d\d s ahead: tael dev goes on from there$/m);
});

test('however often a file is saved while it is read, the last text is what runs', { timeout: 180_000 }, async (t) => {
    const dev = await new Dev(t).start();
    const text = dev.read(INIT);
    const status = (amount) => dev.create(`L${++orders}`, amount).then((answer) => answer.status, () => 'between two engines');
    let orders = 0;
    for (let round = 1; round <= 8; round++) {
        const least = (save) => 100 * round + 10 * save; // texts of the same length
        for (let save = 0; save < 4; save++) {
            const moved = (round + save) % 2 === 0, name = moved ? `${INIT}.tmp` : INIT;
            dev.save(name, text.replace('min = 1, max', `min = ${least(save)}, max`));
            if (moved) fs.renameSync(dev.file(name), dev.file(INIT));
            await sleep((round * 67 + save * 41) % 330 * (save < 3)); // at all moments of a look and of a reload
        }
        await until(`the last text of round ${round} runs`, async () =>
            await status(least(3) - 1) === 400 && await status(least(3)) === 201).catch((error) =>
            assert.fail(`${error.message}\n${dev.output}`));
    }
});

test('a wrong file leaves what runs as it is and is shown', { timeout: 180_000 }, async (t) => {
    const dev = await new Dev(t).start();
    const text = dev.read(INIT);
    const lines = text.trimEnd().split('\n').length;
    const kept = '^\\[dev\\] kept the running version — the new text does not load\n';
    await dev.after(() => dev.save(INIT, `${text.trimEnd().replace(/\nreturn M$/, '\nretrun M')}\n`), new RegExp(
        `${kept}  ${escaped(INIT)}:${lines}:8: syntax error near 'M'\n  ${lines} \\| retrun M\n`
        + ` +\\|        \\^   did you mean "return"\\?\n$`, 'm'));
    assert.equal((await dev.create('A1')).status, 201);
    await dev.after(() => dev.save(INIT, text.replace('api = 1', 'api = 7')), new RegExp(`${kept}  ${escaped(INIT)}:\\d+:`, 'm'));
    await dev.after(() => dev.save(INIT, `while true do end\n${text}`),
        new RegExp(`${kept}  ${escaped(INIT)}:1:1: does not end: 50 million instructions`, 'm'));
    await dev.after(() => dev.save(INIT, text), /^\[dev\] reloaded /m);
    await dev.after(() => dev.save('tael.lua', 'return {\n    drian = "3s",\n}\n'), new RegExp(
        `${kept}  tael\\.lua:2:5: unknown key 'drian'; did you mean 'drain'\\?\n  2 \\|     drian = "3s",\n    \\|     \\^\n$`, 'm'));
    await dev.after(() => fs.rmSync(dev.file('tael.lua')), /^\[dev\] reloaded tael\.lua/m);
    assert.equal((await dev.create('A2')).status, 201);

    // what only a start can find: a slug that the store knows otherwise
    const shop = (mode) => `return { merchants = { acme = { mode = "${mode}", accounts = {} } } }\n`;
    await dev.after(() => dev.save('tael.lua', shop('test')), /^\[dev\] reloaded tael\.lua/m);
    await dev.after(() => dev.save('tael.lua', shop('live')),
        /^\[dev\] not running — the new text does not start: save a file to try again\n {2}[^\n]*merchants\.acme\.mode/m);
    await dev.after(() => dev.save('tael.lua', shop('test')), /^\[dev\] reloaded tael\.lua/m);
    assert.equal((await dev.request('GET', '/v1/payments?limit=1')).status, 200);
});

test('a merchant\'s script that is saved is told at the terminal, right or wrong', { timeout: 120_000 }, async (t) => {
    const dev = await new Dev(t).start();
    const rules = 'scripts/merchants/demo.test/rules.lua';
    fs.mkdirSync(dev.file('scripts/merchants/demo.test/spec'), { recursive: true });
    await dev.after(() => dev.save(rules, 'return { risk = function() return "deny", "not today" end }\n'),
        /^\[dev\] scripts\.loaded generation=\w{16} ms=\d+ owner=merchants\/demo\.test specs=0\n/m);
    assert.equal((await dev.create('S1')).body.detail, 'not today');
    await dev.after(() => dev.save('scripts/merchants/demo.test/spec/a_spec.lua', 'it("x", function() assert.equal(1, 2) end)\n'),
/^\[dev\] kept what runs of merchants\/demo\.test — the new text is refused\n {2}scripts\/merchants\/demo\.test\/spec\/a_spec\.lua:1:1: expected 1, got 2 [^\n]*\n {2}1 \| it\([^\n]*\n {4}\| \^\n/m);
    await dev.after(() => dev.save('scripts/merchants/demo.test/spec/a_spec.lua', 'it("x", function() end)\n'),
        /^\[dev\] scripts\.loaded [^\n]* specs=1\n/m);
    assert.equal((await dev.create('S2')).body.detail, 'not today');
    // told once, whichever worker meets it, and quotes are quotes
    await dev.after(async () => {
        dev.save(rules, 'return { risk = function()\n  retrun("deny", "no")\nend }\n');
        await until('it is refused', () => /retrun/.test(dev.output.slice(dev.mark)));
        for (let i = 0; i < 20; i++) assert.equal((await dev.create(`R${i}`)).body.detail, 'not today');
    }, /^\[dev\] kept what runs of merchants\/demo\.test — the new text is refused\n {2}scripts\/merchants\/demo\.test\/rules\.lua:2:3: unknown global 'retrun': did you mean 'return'\?\n {2}2 \| {3}retrun\("deny", "no"\)\n {4}\| {3}\^\n/m);
    assert.equal(dev.output.slice(dev.mark).match(/unknown global/g).length, 1, dev.output);
    await dev.after(() => dev.save(rules, 'return { rsik = function() end }\n'),
        /^\[dev\] kept what runs of [^\n]*\n {2}scripts\/merchants\/demo\.test\/rules\.lua: there is no rule 'rsik': did you mean 'risk'\?\n/m);
});

test('a route that fails, and a push that is refused, is told at the terminal with file and line', { timeout: 120_000 }, async (t) => {
    const dev = await new Dev(t).start();
    await dev.after(() => dev.save('scripts/merchants/demo.test/routes.lua', `local function total(cart)
    return cart.total + 1
end
return { ["POST /orders"] = { auth = "none", handler = function(request)
    return { text = tostring(total(request.json)) }
end } }\n`), /^\[dev\] scripts\.loaded [^\n]*owner=merchants\/demo\.test/m);
    await dev.after(() => dev.request('POST', '/m/demo.test/orders', { id: 'A1' }),
        new RegExp('^\\[dev\\] error script\\.failed detail=merchants/demo\\.test/routes\\.lua:2: attempt to perform arithmetic on a nil value '
            + '[^\\n]*route=POST /orders\\n'
            + " {4,6}merchants/demo\\.test/routes\\.lua:2: in [^\\n]*'total'\\n"
            + ' {4,6}merchants/demo\\.test/routes\\.lua:5: in ', 'm'));
    fs.mkdirSync(dev.file('bad'));
    dev.save('bad/rules.lua', 'local rules = {}\nretrun rules\n');
    await dev.after(() => { assert.equal(dev.tael('scripts', 'push', 'bad', '--message', 'x').status, 1); },
        /^\[dev\] scripts\.push_refused code=script_refused error=merchants\/demo\.test\/rules\.lua:2: syntax error near 'rules' owner=merchants\/demo\.test$/m);
});

test('the folder that tael init makes is one for tael dev', { timeout: 120_000 }, async (t) => {
    const dev = new Dev(t, { scripts: false });
    const done = dev.tael('init');
    assert.equal(done.status, 0, done.stderr);
    await dev.start();
    assert.match(dev.output, / {2}channels alipay ✓sim\n {2}sandbox [^\n]*\n {2}watching \S*scripts\/ and tael\.lua — save a file to reload\n$/);
    assert.equal((await dev.create('A1')).status, 201);
});

test('a public key that a killed start has left out is made again', { timeout: 120_000 }, async (t) => {
    const dev = await new Dev(t).start();
    await dev.process.stop('SIGKILL');
    const names = ['demo.alipay', 'sandbox.alipay'].map((name) => `data/keys/${name}.pub`), made = names.map((name) => dev.read(name));
    for (const name of names) {
        fs.rmSync(dev.file(name));
        await dev.start();
        assert.equal((await dev.create(name.replace(/\W/g, '-'))).status, 201);
        await dev.process.stop('SIGKILL');
    }
    assert.deepEqual(names.map((name) => dev.read(name)), made);
});

test('Ctrl-C ends it cleanly and gives the address back', { timeout: 120_000 }, async (t) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
        const dev = await new Dev(t).start();
        const end = await dev.process.stop(signal);
        assert.deepEqual(end, { code: 0, signal: null }, `${signal}: ${dev.output}`);
        const server = net.createServer().listen(dev.port, '127.0.0.1');
        await once(server, 'listening');
        server.close();
        assert.match(dev.read('data/dev.log'), /"event":"engine\.stopped","drain":"clean"/);
    }
});

test('what stands in the way is named, with what to do', { timeout: 120_000 }, async (t) => {
    const dev = await new Dev(t).start();
    const second = new Dev(t);
    const ends = (code, args, at, pattern, env = {}) => {
        const done = spawnSync(program, args, { cwd: at.folder, encoding: 'utf8', env: { ...process.env, ...env } });
        assert.match(done.stderr, pattern);
        assert.equal(done.status, code, done.stderr);
        assert.equal(done.stdout, '');
    };
    ends(3, ['dev', '--port', String(dev.port)], second,
        new RegExp(`^tael: cannot listen on 127\\.0\\.0\\.1:${dev.port} \\(api\\): in use[^\n]*\nnext: tael dev --port `));
    ends(6, ['dev', `--port=${await freePort()}`], dev,
        new RegExp(`in use by another engine, process ${dev.process.child.pid} [^\n]*\nnext: stop that process, or work in another folder\n$`));
    for (const words of [['--port', '0'], ['--port', 'x'], ['--port', ' 8180'], ['--port', '08180'], ['--port', '65536'], ['--port'], ['now'], ['--prot', '1']])
        ends(2, ['dev', ...words], second, /^tael: tael dev takes --port N[^\n]*\nnext: tael dev --help\n$/);
    second.save('tael.lua', 'return { data = "/proc/nothing/data" }\n');
    ends(3, ['dev', '--port', String(await freePort())], second,
        /^tael: cannot make the folder \/proc\/nothing\/data: [^\n]*\nnext: make it, or let this user write there;/);
    ends(3, ['serve', '--dev'], second,
        /^tael: cannot make the folder \/proc\/nothing\/data: [^\n]*\nnext: make it, or let this user write there;/);
    second.save('tael.lua', 'return {\n');
    ends(3, ['dev'], second, /^tael: what is in this folder does not load\n {2}tael\.lua:\d:\d: [^\n]*\n {2}\d \| /);
});
