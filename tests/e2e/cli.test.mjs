// cli.test.mjs - the commands of tael against a running engine, against its folder alone, and against misuse:
// what they print, where, and with what code they end.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPublicKey, generatePrimeSync } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Alipay } from './alipay.mjs';
import { Engine, freePort, program, temporaryFolder, until } from './tael.mjs';

/** Runs a command to its end. */
function tael(args, { cwd, env = {} }) {
    const { status, stdout, stderr } = spawnSync(program, args, {
        cwd, env: { ...process.env, ...env }, encoding: 'utf8', timeout: 60_000,
    });
    return { code: status, stdout, stderr, all: stdout + stderr };
}

/** The command ends with `code`; gives what it printed. */
function ends(code, args, options) {
    const run = tael(args, options);
    assert.equal(run.code, code, `tael ${args.join(' ')}: exit ${run.code}\n${run.all}`);
    return run;
}

const lines = (text) => text.trim().split('\n');
const objects = (text) => lines(text).map((line) => JSON.parse(line));

// ---- beside a running engine ----

let engine, alipay, payment, other, refused, free;

/** Where an engine listens, or would listen, as its environment says it. */
const listening = ({ api, operations, sandbox }) => ({
    TAEL_HTTP__LISTEN: `127.0.0.1:${api}`, TAEL_OPERATIONS__LISTEN: `127.0.0.1:${operations}`,
    TAEL_SANDBOX__LISTEN: `127.0.0.1:${sandbox}`,
});
const here = () => ({ cwd: engine.folder, env: listening(engine.ports) });

before(async () => {
    free = listening({ api: await freePort(), operations: await freePort(), sandbox: await freePort() });
    engine = await new Engine().start();
    alipay = new Alipay(engine);
    payment = (await engine.create('C1')).body;
    other = (await engine.create('C2')).body;
    assert.equal(await alipay.notify(payment), 'success');
    assert.equal(await alipay.notify(other, {}, { total_amount: '0.01' }), 'fail');
    refused = (await engine.get('/v1/notifications?verdict=refused')).body.data[0];
});
after(() => engine.remove());

test('payments list shows them newest first, for people and for programs', () => {
    const { stdout } = ends(0, ['payments', 'list'], here());
    const [header, first, second] = lines(stdout);
    assert.match(header, /^ID +STATE +AMOUNT +ORDER/);
    assert.match(first, new RegExp(`^${other.id} +pending +CNY 12\\.34 +C2 +alipay`));
    assert.match(second, new RegExp(`^${payment.id} +paid +CNY 12\\.34 +C1 +alipay`));
    assert.deepEqual(objects(ends(0, ['payments', 'list', '--json'], here()).stdout).map(({ id }) => id),
        [other.id, payment.id]);
});

test('payments list takes filters and goes on page by page', () => {
    const paid = objects(ends(0, ['payments', 'list', '--state', 'paid', '--json'], here()).stdout);
    assert.deepEqual(paid.map(({ id }) => id), [payment.id]);
    const named = objects(ends(0, ['--json', 'payments', 'list', '--order=C2'], here()).stdout);
    assert.deepEqual(named.map(({ id }) => id), [other.id]);
    assert.equal(ends(0, ['payments', 'list', '--order', 'nothing'], here()).stdout, 'none\n');
    const { stdout, stderr } = ends(0, ['payments', 'list', '--limit', '1', '--json'], here());
    assert.equal(objects(stdout)[0].id, other.id);
    const next = stderr.match(/^next page: tael (payments list .*)$/m)[1];
    assert.match(ends(0, next.split(' '), here()).stdout, new RegExp(payment.id));
});

test('the next page is asked of the same engine, for the same merchant', () => {
    const follow = (command) => spawnSync('/bin/sh', ['-c', command.replace(/^tael /, '"$0" '), program],
        { cwd: here().cwd, env: { ...process.env, ...here().env, TAEL_KEY: engine.key }, encoding: 'utf8' });
    fs.writeFileSync(path.join(engine.folder, 'an other.lua'), 'return { dev = true }');
    const list = ['payments', 'list', '--limit', '1'];
    for (const [words, next] of [
        [['--merchant', 'demo.test', ...list], / --merchant demo\.test /],
        [['--url', engine.url, '--key', engine.key, ...list], new RegExp(` --url '${engine.url}'`)],
        [['--config', 'an other.lua', ...list], /^tael --config 'an other\.lua' payments list /],
        [['events', 'list', '--limit', '1', '--type', 'payment.created'], / --type payment\.created /],
    ]) {
        const [, command] = ends(0, words, here()).stderr.match(/^next page: (.*)$/m);
        assert.match(command, next);
        assert.doesNotMatch(command, /--key/);
        const { status, stdout, stderr } = follow(command);
        assert.equal(status, 0, command + stderr);
        assert.match(stdout, new RegExp(payment.id));
    }
    const given = ['--url', engine.url, '--key', engine.key, '--merchant', 'demo.test'];
    for (const words of [[...given, 'payments', 'show', payment.id], ['payments', 'show', payment.id, ...given]]) {
        const [, command] = ends(0, words, here()).stderr.match(/^its story: (.*)$/m);
        assert.equal(command, `tael --url '${engine.url}' --merchant demo.test explain ${payment.id}`);
        assert.equal(follow(command).status, 0);
    }
    assert.match(ends(1, ['payments', 'show', 'C99', ...given], here()).stderr,
        new RegExp(`^next: tael --url '${engine.url}' --merchant demo\\.test payments list$`, 'm'));
    assert.match(ends(2, ['keys', 'revoke', 'x', ...given], here()).stderr, /^next: without --url/m);
    assert.match(ends(0, ['--config', 'an other.lua', 'payments', 'show', payment.id], here()).stderr,
        /^its story: tael --config 'an other\.lua' explain pay_/);
    assert.match(ends(2, ['--config', 'an other.lua', 'pay'], here()).stderr, /^usage: tael pay AMOUNT/m);
    fs.rmSync(path.join(engine.folder, 'an other.lua'));
});

test('payments show gives the payment, its attempt and the evidence', async () => {
    const { stdout } = ends(0, ['payments', 'show', payment.id], here());
    assert.match(stdout, new RegExp(`^${payment.id}  paid  CNY 12\\.34\n`));
    assert.match(stdout, /order +C1\n/);
    assert.match(stdout, /captured +12\.34\n/);
    assert.match(stdout, /att_[0-9A-Z]{26} +succeeded .* ntf_[0-9A-Z]{26}\n/);
    const [object] = objects(ends(0, ['payments', 'show', payment.id, '--json'], here()).stdout);
    assert.deepEqual(object, await engine.payment(payment.id));
    const missing = ends(1, ['payments', 'show', `pay_${'0'.repeat(26)}`], here());
    assert.match(missing.stderr, /^tael: .*\(not_found\)\nnext: tael payments list\n$/);
    assert.equal(missing.stdout, '');
    assert.match(ends(0, ['payments', 'show', 'C1'], here()).stdout, new RegExp(`^${payment.id} `), 'by its order');
    assert.match(ends(1, ['payments', 'show', 'C99'], here()).stderr, /^tael: no payment has the order 'C99'\nnext: tael payments list\n$/);
});

test('events list shows what happened, and from an event on in the order of commits', async () => {
    const { stdout } = ends(0, ['events', 'list', '--payment', payment.id], here());
    assert.match(stdout, /payment\.paid +pay_\w+ +channel:alipay/);
    assert.match(stdout, /payment\.created +pay_\w+ +key_/);
    const [created] = objects(ends(0, ['events', 'list', '--json', '--type', 'payment.created', '--payment',
        payment.id], here()).stdout);
    const later = objects(ends(0, ['events', 'list', '--json', '--after', created.id], here()).stdout);
    assert.deepEqual(later.map(({ type }) => type), ['payment.created', 'payment.paid']);
});

test('notifications list and show give the verdict and every check', () => {
    const list = ends(0, ['notifications', 'list'], here()).stdout;
    assert.match(list, new RegExp(`${refused.id} .* alipay/alipay-demo +refused +signature +none +-`));
    assert.match(list, new RegExp(`ntf_\\w+ .* alipay/alipay-demo +pass +- +applied +${payment.id}`));
    const shown = ends(0, ['notifications', 'show', refused.id], here()).stdout;
    assert.match(shown, /pass +identity/);
    assert.match(shown, /fail +signature/);
    assert.match(shown, /skipped +commit/);
});

test('explain says of an applied notification what it did and what was signed', () => {
    const [{ id }] = objects(ends(0, ['notifications', 'list', '--verdict', 'pass', '--json'], here()).stdout);
    const { stdout, stderr } = ends(0, ['notifications', 'explain', id], here());
    assert.match(stdout, /^passed all 12 checks   alipay\/alipay-demo   key [0-9a-f]{8}\n/);
    assert.match(stdout, new RegExp(`^outcome: it paid ${payment.id}$`, 'm'));
    assert.match(stdout, /answered 200 success$/m);
    assert.match(stdout, /^signed text, redacted: app_id=\d+&.*&total_amount=12\.34&/m);
    assert.match(stdout, /buyer_id=208…037&/, 'the buyer is not named');
    assert.equal(stderr, '');
});

test('explain says of a tampered one which check failed on which bytes', () => {
    const { stdout, stderr } = ends(1, ['notifications', 'explain', refused.id], here());
    assert.match(stdout, /^refused at check 8 of 13: signature   alipay\/alipay-demo/);
    assert.match(stdout, /^outcome: nothing changed$/m);
    assert.match(stdout, /^signed text, redacted: .*&total_amount=0\.01&/m);
    assert.match(stdout, /^it fits if field total_amount is 12\.34 \(received 0\.01\)$/m);
    assert.match(stdout, new RegExp(`^raw bytes, sha-256: ${refused.raw_sha256}$`, 'm'));
    assert.match(stderr, /^next: the sender does not hold .* alipay\/alipay-demo .*\n$/);
    const json = ends(1, ['notifications', 'explain', refused.id, '--json'], here());
    assert.deepEqual(objects(json.stdout)[0].differs,
        { field: 'total_amount', received: '0.01', signed: '12.34' });
    assert.equal(json.stderr, '');
    assert.match(ends(1, ['notifications', 'explain', 'ntf_0'], here()).stderr, /\nnext: .*notifications list\n$/);
});

test('what anybody may send does nothing to the terminal in which it is read', async () => {
    const sent = await fetch(`${engine.url}/notify/alipay/alipay-demo`, { method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'a=%1b%5D0%3Bx%07%0Apassed%c2%9b2J' });
    assert.equal(await sent.text(), 'fail');
    const [{ id }] = objects(ends(0, ['notifications', 'list', '--verdict', 'refused', '--limit', '1', '--json'], here()).stdout);
    const { stdout } = ends(1, ['notifications', 'explain', id], here());
    assert.match(stdout, /^signed text, redacted: a=\\u001b\]0;x\\u0007\\u000apassed\\u009b2J$/m);
    for (const words of [['explain', id], ['show', id], ['list'], ['explain', id, '--json']])
        assert.doesNotMatch(tael(['notifications', ...words], here()).all, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
});

test('keys api makes a key that works, for a merchant that exists', async () => {
    const { stdout, stderr } = ends(0, ['keys', 'api', 'demo.test', '--note', 'till 3'], here());
    assert.match(stdout, /^tael_test_[0-9A-Za-z]{48}\n$/);
    assert.match(stderr, /shown once/);
    assert.equal((await engine.get(`/v1/payments/${payment.id}`, { key: stdout.trim() })).status, 200);
    assert.match(ends(1, ['keys', 'api', 'nobody'], here()).stderr, /\nnext: tael config show/);
});

/** Runs a command with its streams as a shell sets them. */
const shell = (streams, words) => spawnSync('/bin/sh', ['-c', `exec "$0" "$@" ${streams}`, program, ...words],
    { cwd: engine.folder, env: { ...process.env, ...here().env }, encoding: 'utf8', timeout: 60_000 });

test('an answer that cannot be written is no success', () => {
    for (const words of [['version'], ['version', '--json'], ['payments', 'list'], ['--help'], ['keys', 'api', 'demo.test', '--quiet']])
        for (const [streams, reason] of [['>/dev/full', 'No space left on device'], ['>&-', 'Bad file descriptor']]) {
            const { status, stderr } = shell(streams, words);
            assert.equal(status, 7, `${words} ${streams}: ${stderr}`);
            assert.match(stderr, new RegExp(`^tael: .* written: ${reason}\\n`, 'm'));
        }
    const { status, stderr } = shell('>/dev/full', ['payments', 'show', 'nobody']);
    assert.equal(status, 1, 'what was refused is told as that');
    assert.match(stderr, /^tael: no payment has the order 'nobody'\nnext: [^\n]*\n$/);
});

test('no stream at all is needed', () => {
    for (const streams of ['<&-', '2>&-', '<&- 2>&-'])
        assert.match(shell(streams, ['payments', 'list', '--json', '--limit', '1']).stdout, /^\{.*\}\n$/, streams);
    assert.equal(shell('<&- >&- 2>&-', ['payments', 'list']).status, 7);
});

test('another engine is asked by address and key', () => {
    const args = ['payments', 'show', payment.id, '--url', engine.url];
    const elsewhere = { cwd: temporaryFolder('elsewhere'), env: {} };
    assert.match(ends(0, [...args, '--key', engine.key], elsewhere).stdout, /paid/);
    assert.match(ends(0, args, { ...elsewhere, env: { TAEL_KEY: engine.key } }).stdout, /paid/);
    assert.match(ends(5, [...args, '--key', 'tael_test_wrong'], elsewhere).stderr, /unauthenticated.*\nnext: /);
    assert.match(ends(2, args, { ...elsewhere, env: { TAEL_KEY: '' } }).stderr, /needs an API key\nnext: --key/);
    const nobody = ['payments', 'list', '--url', 'http://127.0.0.1:1', '--key', engine.key];
    assert.match(ends(4, nobody, elsewhere).stderr, /no engine answers at http:\/\/127\.0\.0\.1:1.*\nnext: /);
    for (const wrong of ['nonsense', 'ftp://127.0.0.1', 'http://', 'http://a b'])
        assert.match(ends(2, ['payments', 'list', '--url', wrong, '--key', engine.key], elsewhere).stderr,
            /^tael: '.*' is not an address of an engine\nnext: --url takes an address such as http:\/\/127\.0\.0\.1:8080\n$/);
    fs.rmdirSync(elsewhere.cwd);
});

test('a key or merchant that cannot stand in a request is told of, the key without showing it', () => {
    for (const key of [`${engine.key}\r`, `${engine.key}\r\nx: y`, 'a b']) {
        const { stderr } = ends(2, ['payments', 'list', '--url', engine.url], { ...here(), env: { ...here().env, TAEL_KEY: key } });
        assert.match(stderr, /^tael: the API key has blanks or other characters .*\nnext: --key KEY, or the variable TAEL_KEY\n$/);
        assert.equal(ends(2, ['payments', 'list', '--key', key], here()).stderr, stderr);
    }
    for (const words of [['--merchant', 'a\nb', 'payments', 'list'], ['payments', 'list', '--merchant', 'a b']])
        assert.match(ends(2, words, here()).stderr, /^tael: there is no merchant 'a.*b'\nnext: name the merchant/);
});

test('a wrong value is refused with what is right', () => {
    const { stderr } = ends(2, ['payments', 'list', '--state', 'payd'], here());
    assert.match(stderr, /^tael: state must be one of: .*paid.*\nnext: tael payments list --help\n$/);
    assert.match(ends(2, ['payments', 'list', '--merchant', 'nobody'], here()).stderr,
        /no merchant 'nobody'.*\nnext: name the merchant/);
});

test('what needs the store leaves a running engine alone', () => {
    assert.match(ends(6, ['migrate'], here()).stderr, /an engine is running.*\nnext: stop it first/);
    const { stdout } = ends(1, ['doctor', '--deep'], here());
    assert.match(stdout, /^ok +engine +running, version \d/m);
    assert.match(stdout, /^ok +store .*asked through the engine$/m);
    assert.match(stdout, /^ok +ports +.* {2}ours$/m);
    assert.match(stdout, /^fail +chain +not looked at: a running engine owns the store +→ stop/m);
    assert.equal(tael(['doctor'], here()).code, 0);
});

// ---- a folder without an engine ----

/** A folder with its own secrets, and `text` as tael.lua. */
function place(text) {
    const cwd = temporaryFolder('cli');
    if (text) fs.writeFileSync(path.join(cwd, 'tael.lua'), text);
    ends(0, ['keys', 'generate'], { cwd });
    return { cwd, env: free, file: (name) => path.join(cwd, name), remove: () => fs.rmSync(cwd, { recursive: true }) };
}

const mode = (file) => (fs.statSync(file).mode & 0o777).toString(8);

test('keys are made once, never shown, and never written over', () => {
    const at = place();
    assert.equal(mode(at.file('keys')), '700');
    for (const name of ['ids', 'pepper', 'audit', 'raw'])
        assert.equal(mode(at.file(`keys/${name}.secret`)), '600');
    const before = fs.readFileSync(at.file('keys/ids.secret'), 'utf8');
    assert.match(ends(0, ['keys', 'generate'], at).stdout, /^nothing to do/);
    assert.equal(fs.readFileSync(at.file('keys/ids.secret'), 'utf8'), before);

    const made = ends(0, ['keys', 'generate', 'shop.alipay'], at).stdout;
    assert.match(made, /^made  \S*\/keys\/shop\.alipay\.key  rsa2048 [0-9a-f]{8}\n/);
    assert.equal(mode(at.file('keys/shop.alipay.key')), '600');
    const shown = ends(0, ['keys', 'show', 'shop.alipay'], at).stdout;
    const publicPem = fs.readFileSync(at.file('keys/shop.alipay.pub'), 'utf8');
    assert.ok(shown.includes(publicPem.trim()));
    assert.ok(!/PRIVATE/.test(shown + made));
    assert.equal(lines(shown).at(-1), publicPem.replace(/-----[^-]+-----|\n/g, ''));
    const [object] = objects(ends(0, ['keys', 'show', 'shop.alipay', '--json'], at).stdout);
    assert.deepEqual({ ...object, public_pem: undefined, public_base64: undefined, fingerprint: undefined }, {
        kind: 'key', name: 'shop.alipay', bits: 2048, private: true, public_pem: undefined,
        public_base64: undefined, fingerprint: undefined,
    });
    const key = fs.readFileSync(at.file('keys/shop.alipay.key'), 'utf8');
    assert.match(ends(1, ['keys', 'generate', 'shop.alipay'], at).stderr, /already.*\nnext: /);
    assert.equal(fs.readFileSync(at.file('keys/shop.alipay.key'), 'utf8'), key);

    assert.match(ends(0, ['keys', 'generate', '--secret', 'erp'], at).stdout, /erp\.secret  [0-9a-f]{8}\n$/);
    assert.ok(!ends(0, ['keys', 'show', 'erp'], at).stdout.includes(fs.readFileSync(at.file('keys/erp.secret'),
        'utf8').trim()));
    assert.match(ends(1, ['keys', 'show', 'peper'], at).stderr, /did you mean 'pepper'\?\nnext: tael keys list\n$/);
    for (const wrong of [['a/b'], ['../x'], ['small', '--bits', '1024'], ['--secret']])
        assert.match(ends(2, ['keys', 'generate', ...wrong], at).stderr, /\nnext: /);
    assert.deepEqual(fs.readdirSync(at.cwd).sort(), ['keys']);
    at.remove();
});

const shop = (fields) => `return {
    merchants = { acme = { mode = "live", accounts = { ["acme-main"] = {
        channel = "alipay", environment = "production", app_id = "2021000000000009",
        seller_id = "2088000000000009", key = "acme.alipay", alipay_key = "alipay.platform", ${fields ?? ''}
    } } } },
}
`;

test('keys list says what the configuration names and what is missing', () => {
    const at = place(shop());
    ends(0, ['keys', 'generate', 'acme.alipay'], at);
    const { stdout, stderr } = ends(1, ['keys', 'list'], at);
    assert.match(stdout, /^pepper +secret +[0-9a-f]{8} +the engine: hashes of API keys$/m);
    assert.match(stdout, /^acme\.alipay +key +rsa2048 [0-9a-f]{8} +alipay\/acme-main key$/m);
    assert.match(stdout, /^alipay\.platform +key +missing +alipay\/acme-main alipay_key$/m);
    assert.match(stderr, /^tael: 1 missing.*\nnext: /);
    const own = objects(ends(1, ['keys', 'list', '--account', 'alipay/acme-main', '--json'], at).stdout);
    assert.deepEqual(own.map(({ name }) => name).sort(), ['acme.alipay', 'alipay.platform']);
    at.remove();
});

test('migrate makes the store, and a dry run only says so', () => {
    const at = place();
    assert.match(ends(1, ['migrate', '--dry-run'], at).stderr, /would be made\nnext: tael migrate\n$/);
    assert.ok(!fs.existsSync(at.file('data')));
    assert.ok(ends(1, ['migrate', '--dry-run'], at).stderr.startsWith(`there is no tael.lua in ${at.cwd}: this is about ${at.file('data')}\n`));
    assert.match(ends(2, ['scripts', 'list'], at).stderr, /^tael: there is no tael\.lua in .*: whose scripts\?\nnext: go to the folder/);
    assert.match(ends(0, ['migrate'], at).stdout, /^schema \d+, up to date {2}\S*\/data\/tael\.db\n$/);
    assert.equal(mode(at.file('data')), '700');
    assert.equal(mode(at.file('data/tael.db')), '600');
    assert.match(ends(0, ['migrate', '--dry-run'], at).stdout, /^schema \d+, up to date/);
    const whole = ends(1, ['doctor', '--deep'], at).stdout;
    assert.match(whole, /^ok +integrity /m);
    assert.match(whole, /^fail channels +none configured +→ add an account/m);
    assert.equal(whole.match(/^fail /mg).length, 1, whole);
    fs.writeFileSync(at.file('data/tael.db'), 'not a store');
    assert.match(ends(6, ['migrate'], at).stderr, /^there is no tael\.lua .*\ntael: \S*\/data\/tael\.db: .*\nnext: tael doctor\n$/);
    assert.match(ends(1, ['doctor', '--deep'], at).stdout, /^fail store .*tael\.db: .* → keep a copy/m);
    assert.equal(fs.readFileSync(at.file('data/tael.db'), 'utf8'), 'not a store');
    at.remove();
});

test('serve refuses to start without its store or its keys, and says what to do', () => {
    const at = place('return { http = { listen = "127.0.0.1:0" }, operations = { listen = false } }');
    assert.match(ends(6, ['serve'], at).stderr, /data\/tael\.db does not exist yet.*\nnext: tael migrate\n$/);
    ends(0, ['migrate'], at);
    fs.rmSync(at.file('keys/audit.secret'));
    assert.match(ends(3, ['serve'], at).stderr, /^tael: .*audit.*\nnext: tael doctor\n$/m);
    fs.rmSync(at.file('tael.lua'));
    assert.match(ends(3, ['serve'], at).stderr, /\nnext: tael dev runs without a tael\.lua; tael init makes one\n$/);
    at.remove();
});

test('what to do next is said of the file that was named', () => {
    const at = place('return { http = { listen = "127.0.0.1:0" }, operations = { listen = false } }');
    fs.mkdirSync(at.file("a shop's"));
    fs.renameSync(at.file('tael.lua'), at.file("a shop's/tael.lua"));
    const named = ['--config', "a shop's/tael.lua"], told = "tael --config 'a shop'\\''s/tael.lua'";
    const next = (code, ...args) => ends(code, [...named, ...args], at).stderr.match(/\nnext: (.*)\n$/)[1];
    assert.equal(next(6, 'serve'), `${told} migrate`);
    assert.equal(next(1, 'migrate', '--dry-run'), `${told} migrate`);
    assert.ok(next(4, 'payments', 'list').startsWith(`start one here (${told} dev, or ${told} serve), or name another: --config `));
    assert.equal(ends(2, ['payments', 'lsit', '--help'], at).stderr.match(/next: (.*)/)[1], 'tael payments --help');
    assert.ok(ends(1, [...named, 'doctor'], at).stdout.includes(`→ ${told} keys generate`));
    assert.ok(!fs.existsSync(at.file('data')));
    at.remove();
});

test('doctor names each thing that is wrong and what to do', () => {
    const at = place(shop());
    ends(0, ['keys', 'generate', 'acme.alipay'], at);
    ends(0, ['keys', 'generate', 'alipay.platform'], at);
    const good = ends(0, ['doctor'], at).stdout;
    assert.deepEqual(lines(good).map((line) => line.split(/ +/)[1]),
        ['config', 'engine', 'clock', 'gconv', 'libcurl', 'disk', 'store', 'scripts', 'keys', 'ports', 'tls', 'channels']);
    const fails = (pattern) => assert.match(ends(1, ['doctor'], at).stdout, pattern);

    fs.chmodSync(at.file('keys/pepper.secret'), 0o644);
    fails(/^fail keys +\S*pepper\.secret: mode 0644 is too open.* → chmod -R u=rwX,go= \S*\/keys$/m);
    fs.chmodSync(at.file('keys/pepper.secret'), 0o600);
    fs.chmodSync(at.file('keys'), 0o755);
    fails(/^fail keys +\S*\/keys: mode 0755 is open to others.* → chmod/m);
    fs.chmodSync(at.file('keys'), 0o700);

    fs.renameSync(at.file('keys/audit.secret'), at.file('audit'));
    fails(/^fail keys +\S*\/keys: no secret audit +→ tael keys generate$/m);
    ends(0, ['migrate'], at);
    fails(/^fail keys .*no secret audit +→ put the files back from a backup/m);
    fs.renameSync(at.file('audit'), at.file('keys/audit.secret'));

    fs.renameSync(at.file('keys/alipay.platform.pub'), at.file('keys/elsewhere.pub'));
    fails(/^fail channels +alipay\/acme-main: alipay_key 'alipay\.platform': .* → /m);
    fs.renameSync(at.file('keys/elsewhere.pub'), at.file('keys/alipay.platform.pub'));
    fs.writeFileSync(at.file('tael.lua'), shop('selller_id = "1"'));
    fails(/^fail channels +merchants\.acme\.accounts\.acme-main: selller_id: .*did you mean 'seller_id'\? +→ /m);

    fs.writeFileSync(at.file('tael.lua'), 'return {\n    http = { listne = "127.0.0.1:8080" },\n}\n');
    fails(/^fail config +\S*tael\.lua:2: unknown key 'listne' in http; did you mean 'listen'\? +→ /m);
    const [first] = objects(ends(1, ['doctor', '--json'], at).stdout);
    assert.equal(first.name, 'config');
    assert.equal(first.verdict, 'fail');
    at.remove();
});

test('of many accounts the first ones are named, and all are looked at', () => {
    const at = place(`local merchants = {}
for i = 1, 12 do
    local name = ("m%02d"):format(i)
    merchants[name] = { mode = "test", accounts = { [name .. "-main"] = { channel = "alipay", environment = "sandbox",
        app_id = "20210000000000" .. i, seller_id = "20880000000000" .. i, key = name == "m12" and "twelve" or "ours", alipay_key = "theirs" } } }
end
return { merchants = merchants }\n`);
    ends(0, ['keys', 'generate', 'ours'], at);
    ends(0, ['keys', 'generate', 'theirs'], at);
    assert.match(ends(1, ['doctor'], at).stdout, /^fail channels +alipay\/m12-main: key 'twelve': .*not there/m);
    ends(0, ['keys', 'generate', 'twelve'], at);
    assert.match(tael(['doctor'], at).stdout, /^ok +channels +alipay\/m01-main .*alipay\/m10-main {2}and 2 more$/m);
    assert.equal(lines(ends(0, ['keys', 'list', '--quiet'], at).stdout).length, 4 + 2 * 12);
    at.remove();
});

test('a wrong configuration stops every command that needs one, with file and line', () => {
    const at = place();
    fs.writeFileSync(at.file('tael.lua'), 'return {\n    workers = "many",\n}\n');
    for (const args of [['config', 'check'], ['payments', 'list'], ['keys', 'list'], ['migrate'], ['config', 'show']])
        assert.match(ends(3, args, at).stderr, /^tael: \S*tael\.lua:2: workers: must be an integer\nnext: /);
    fs.writeFileSync(at.file('other.lua'), shop());
    assert.match(ends(0, ['config', 'check', '--config', 'other.lua'], at).stdout,
        /^ok {2}other\.lua {2}merchants 1 {2}accounts 1\n$/);
    fs.writeFileSync(at.file('other.lua'), shop('charset = "gbk"'));
    assert.match(ends(3, ['--config=other.lua', 'config', 'check'], at).stderr,
        /^tael: merchants\.acme\.accounts\.acme-main: charset: must be one of: utf-8\nnext: /);
    assert.match(ends(3, ['config', 'check', '--config', 'none.lua'], at).stderr, /none\.lua/);
    at.remove();
});

test('a configuration in another encoding than UTF-8 is refused with its line', () => {
    const at = { cwd: temporaryFolder('gbk'), env: free };
    fs.writeFileSync(path.join(at.cwd, 'tael.lua'), Buffer.from('return { dev = true, merchants = {\n'
        + '    ["shop.test"] = { mode = "test", name = "\xd6\xd0" } } }\n', 'latin1'));
    for (const words of [['config', 'check'], ['serve'], ['payments', 'list']])
        assert.match(ends(3, words, at).stderr, /^tael: tael\.lua:2: merchants\.shop\.test\.name: must be text in UTF-8\nnext: /);
    assert.match(ends(3, ['dev'], at).stderr, /^ {2}tael\.lua:2:\d+: merchants\.shop\.test\.name: must be text in UTF-8\n.*name = "\?\?"/m);
    fs.rmSync(at.cwd, { recursive: true });
});

test('a configuration that cannot be read is not the same as none', () => {
    const at = { cwd: temporaryFolder('unread'), env: free };
    fs.symlinkSync('nowhere/tael.lua', path.join(at.cwd, 'tael.lua'));
    for (const words of [['config', 'check'], ['config', 'show'], ['payments', 'list'], ['migrate'], ['serve'], ['dev']])
        assert.match(ends(3, words, at).stderr, /tael\.lua: No such file or directory\nnext: /);
    assert.match(ends(1, ['doctor'], at).stdout, /^fail config +tael\.lua: No such file or directory/);
    assert.deepEqual(fs.readdirSync(at.cwd), ['tael.lua'], 'nothing was made by defaults');
    fs.rmSync(at.cwd, { recursive: true });
});

test('a data folder whose sockets would have too long a path is told of before serve refuses it', () => {
    const at = place(`return { data = "/tmp/${'d'.repeat(120)}" }`);
    const wrong = /data: the path is too long: \/tmp\/d+\/tael\.takeover has more than 107 bytes/;
    assert.match(ends(3, ['config', 'check'], at).stderr, wrong);
    assert.match(ends(1, ['doctor'], at).stdout, new RegExp(`^fail config +${wrong.source}`, 'm'));
    at.remove();
});

test('doctor says of a data folder that cannot be made what serve would', () => {
    const at = place('return { data = "no/such" }');
    assert.match(ends(1, ['doctor'], at).stdout, /^fail disk +cannot write into \S*no\/such: .*No such file or directory +→ /m);
    assert.match(ends(3, ['migrate'], at).stderr, /cannot make the folder \S*no\/such: No such file or directory/);
    fs.writeFileSync(at.file('tael.lua'), shop());
    fs.mkdirSync(at.file('data'), { mode: 0o700 });
    fs.symlinkSync('tael.db', at.file('data/tael.db')); // it leads nowhere but to itself: nobody can read it
    assert.match(ends(1, ['doctor'], at).stdout, /^fail store +\S*data\/tael\.db: /m);
    assert.match(ends(1, ['init'], { cwd: at.file('data'), env: free }, fs.symlinkSync('tael.lua', at.file('data/tael.lua'))).stderr,
        /^tael: tael\.lua is there already/);
    at.remove();
});

test('a table that is gone is told as damage of the store, by every command', () => {
    const at = place(shop());
    ends(0, ['migrate'], at);
    const changed = spawnSync('sqlite3', [at.file('data/tael.db'), 'DROP TABLE payments'], { encoding: 'utf8' });
    assert.equal(changed.status, 0, changed.stderr);
    const said = /^tael: \S*\/data\/tael\.db: no such table: payments\nnext: /m;
    for (const words of [['serve'], ['migrate'], ['migrate', '--dry-run']]) assert.match(ends(6, words, at).stderr, said);
    assert.match(ends(1, ['doctor', '--deep'], at).stdout, /^fail store +\S*\/data\/tael\.db: no such table: payments +→ keep a copy/m);
    at.remove();
});

test('init writes nothing through a link that leads nowhere', () => {
    const at = place();
    const inside = (name) => at.file(path.join('shop', name));
    fs.mkdirSync(at.file('shop'));
    fs.symlinkSync(at.file('elsewhere'), inside('.gitignore'));
    ends(0, ['init', 'shop'], at);
    assert.ok(fs.existsSync(inside('tael.lua')));
    fs.rmSync(inside('tael.lua'));
    fs.symlinkSync(at.file('elsewhere'), inside('tael.lua'));
    assert.match(ends(1, ['init', 'shop'], at).stderr, /^tael: shop\/tael\.lua is there already; .*\nnext: /);
    assert.ok(!fs.existsSync(at.file('elsewhere')));
    at.remove();
});

test('doctor finds an engine whose store is in memory', async () => {
    const own = await new Engine({ env: { TAEL_STORE__URL: 'memory:' } }).start();
    const { stdout } = ends(0, ['doctor'], { cwd: own.folder, env: { ...listening(own.ports), TAEL_STORE__URL: 'memory:' } });
    assert.match(stdout, /^ok +engine +\S+ .*ready/m);
    assert.match(stdout, /^ok +ports .* {2}ours$/m);
    await own.remove();
});

test('config show gives values, their origin, and no secret', () => {
    const at = place();
    fs.writeFileSync(at.file('master'), 'a master secret of 32 bytes ....', { mode: 0o600 });
    fs.writeFileSync(at.file('tael.lua'),
        'return { drain = "3s", keys = { folder = "sealed", master = secret.file "master" } }\n');
    const env = { TAEL_WORKERS: '3' };
    const { stdout } = ends(0, ['config', 'show'], { ...at, env });
    assert.match(stdout, /^drain = "3s"$/m);
    assert.match(stdout, /^workers = 3 {3}-- TAEL_WORKERS$/m);
    assert.match(stdout, /^http\.listen = \{ "127\.0\.0\.1:8080" \} {3}-- default$/m);
    assert.match(stdout, /^keys\.master = secret\.file\("\S*\/master"\)$/m);
    assert.ok(!stdout.includes('a master secret'));
    const [object] = objects(ends(0, ['config', 'show', '--json'], { ...at, env }).stdout);
    assert.equal(object.workers, 3);
    assert.deepEqual(object.http.trusted_proxies, []);
    assert.match(object.keys.master, /^secret\.file/);
    ends(0, ['keys', 'generate', 'sealed.key'], at);
    assert.match(fs.readFileSync(at.file('sealed/sealed.key.key'), 'utf8'), /TAEL SEALED FILE/);
    assert.match(ends(0, ['keys', 'show', 'sealed.key'], at).stdout, /rsa2048/);
    at.remove();
});

test('without an engine, what asks one says how to start it', () => {
    const at = place();
    const { stderr } = ends(4, ['payments', 'list'], at);
    assert.match(stderr, /^tael: no engine answers at \S*\/data\/tael\.sock\nnext: start one here \(tael dev, or tael serve\)/);
    at.remove();
});

test('a killed engine leaves nothing that stops the next command', async () => {
    const killed = await new Engine().start();
    await killed.create('K1');
    await until('a seal', async () => (await killed.get('/v1/events')).body.data[0].chain.seal !== null);
    await killed.stop('SIGKILL');
    const at = { cwd: killed.folder, env: listening(killed.ports) };
    assert.ok(fs.existsSync(path.join(killed.folder, 'data/tael.sock')));
    const { stdout } = ends(0, ['doctor', '--deep'], at);
    assert.match(stdout, /^ok +chain +1 event of 1 payment$/m);
    assert.match(stdout, /^ok +seals +1 event$/m);
    assert.match(stdout, /^ok +rebuild +1 payment, 1 attempt, compared/m);
    assert.match(ends(0, ['keys', 'show', 'demo.alipay'], at).stdout, /rsa2048/);
    fs.rmSync(killed.folder, { recursive: true });
});

// ---- words ----

test('misuse ends with 2, says what was meant, and changes nothing', () => {
    const at = { cwd: temporaryFolder('words') };
    const wrong = (args, pattern) => {
        const { stdout, stderr } = ends(2, args, at);
        assert.match(stderr, pattern);
        assert.equal(stdout, '');
    };
    wrong([], /^tael: a command is missing\nnext: tael --help\nusage: tael /);
    wrong(['--bogus'], /^tael: unknown option '--bogus'\nnext: tael --help\n$/);
    wrong(['--config'], /^tael: --config needs a value: --config FILE\nnext: tael --help\n$/);
    wrong(['--config='], /^tael: --config needs a value: --config FILE\nnext: tael --help\n$/);
    wrong(['--config', '', 'serve'], /^tael: --config needs a value: --config FILE\nnext: tael --help\n$/);
    wrong(['serve', '--config'], /^tael: --config needs a value: --config FILE\nnext: tael serve --help\n/);
    wrong(['payments', 'list', '--lang='], /^tael: --lang needs a value: --lang zh\|en\nnext: /);
    for (const none of [['--config', ''], ['--config=']]) {
        wrong([...none, 'doctor'], /^tael: --config needs a value: --config FILE\nnext: tael --help\n$/);
        wrong(['doctor', ...none], /^tael: --config needs a value: --config FILE\nnext: tael doctor --help\n/);
        wrong(['serve', ...none], /^tael: --config needs a value: --config FILE\nnext: tael serve --help\n/);
    }
    wrong(['--key', '', 'payments', 'list'], /^tael: --key needs a value: --key KEY\nnext: /);
    wrong(['--merchant=', 'payments', 'list'], /^tael: --merchant needs a value: --merchant SLUG\nnext: /);
    for (const words of [['--nope'], ['--speed'], ['--speed', '0'], ['--listen=x']])
        wrong(['sandbox', ...words], /^tael: sandbox: .*\nnext: tael sandbox --help\n$/);
    for (const words of [['--data='], ['--data', ''], ['--listen='], ['--config='], ['--config', ''], ['--lang']])
        wrong(['sandbox', ...words], new RegExp(`^tael: sandbox: ${words[0].replace('=', '')} needs a value\nnext: tael sandbox --help\n$`));
    wrong(['dev', '--config='], /^tael: tael dev takes --port N, 1 to 65535, and --config FILE\nnext: /);
    wrong(['--lang', 'fr', 'version', 'x'], /^tael: there is no language 'fr'; there are en, zh\nnext: /);
    wrong(['paymnts'], /^tael: unknown command 'paymnts'; did you mean 'payments'\?\nnext: tael --help\n$/);
    wrong(['zzzzzzzz'], /^tael: unknown command 'zzzzzzzz'\nnext: /);
    wrong(['payments'], /needs a command\nnext: tael payments --help\nusage: tael payments COMMAND\n/);
    wrong(['payments', 'lst'], /unknown command 'payments lst'; did you mean 'payments list'\?\nnext: tael payments --help\n$/);
    wrong(['payments', 'show'], /it needs ID\nnext: tael payments show --help\nusage: tael payments show ID/);
    wrong(['payments', 'show', 'a', 'b'], /too many words/);
    wrong(['payments', 'list', '--stat', 'paid'], /unknown option '--stat'; did you mean '--state'\?/);
    wrong(['payments', 'list', '--limit', 'x'], /--limit needs a positive integer, not 'x'/);
    wrong(['payments', 'list', '--limit'], /--limit needs a value/);
    wrong(['doctor', '--deep=yes'], /--deep takes no value/);
    wrong(['serve', 'now'], /tael serve: too many words/);
    wrong(['serve', '--devv'], /unknown option '--devv'; did you mean '--dev'\?/);
    wrong(['version', 'x'], /too many words/);
    assert.deepEqual(fs.readdirSync(at.cwd), []);
    fs.rmdirSync(at.cwd);
});

test('what is not UTF-8, a word or the folder, is named as that', () => {
    const at = { cwd: temporaryFolder('words'), encoding: 'utf8' };
    const shell = (line) => spawnSync('sh', ['-c', line.replaceAll('tael', `"${program}"`)], at);
    for (const words of ['explain A1 "$(printf "\\377")"', 'serve --config "$(printf "\\377").lua"', '--config "$(printf "\\355\\240\\200").lua" config show']) {
        const { status, stderr } = shell(`exec tael ${words}`);
        assert.equal(status, 2);
        assert.match(stderr, /^tael: word [23] of the command line is not UTF-8\nnext: use a terminal and names of files in UTF-8\n$/);
    }
    for (const command of ['config show', 'serve --dev', 'dev', 'doctor']) {
        const { status, stderr } = shell(`mkdir -p "$(printf "x\\377")" && cd "$(printf "x\\377")" && exec tael ${command}`);
        assert.equal(status, 3, stderr);
        assert.match(stderr, /^tael: root: the path of this folder is not UTF-8; rename it, or use another\nnext: /);
    }
    fs.rmSync(at.cwd, { recursive: true });
});

test('every command tells how it is used', () => {
    const at = { cwd: temporaryFolder('help') };
    const overview = ends(0, ['--help'], at).stdout;
    assert.equal(ends(0, ['help'], at).stdout, overview);
    const groups = { keys: ['generate', 'show', 'list', 'api'], payments: ['list', 'show'], events: ['list'],
        notifications: ['explain', 'replay', 'show', 'list'], config: ['check', 'show'], clock: ['advance'],
        refunds: ['list', 'show', 'retry'] };
    groups.payments.push('attempts', 'close', 'cancel', 'sync', 'review');
    groups.events.push('tail');
    for (const command of ['init', 'dev', 'serve', 'pay', 'refund', 'explain', 'trigger', 'reload', 'sandbox', 'migrate',
        'doctor', 'version', ...Object.keys(groups)]) {
        assert.match(overview, new RegExp(`^  ${command}\\b`, 'm'));
        const { stdout, stderr } = ends(0, [command, '--help'], at);
        assert.match(stdout, new RegExp(`^usage: tael ${command}`));
        assert.equal(stderr, '');
        for (const name of groups[command] ?? []) {
            assert.match(stdout, new RegExp(`^  ${name}\\b`, 'm'));
            assert.match(ends(0, [command, name, '-h'], at).stdout, new RegExp(`^usage: tael ${command} ${name}`));
            assert.match(ends(0, ['help', command, name], at).stdout, new RegExp(`^usage: tael ${command} ${name}`));
        }
    }
    const { stdout: version } = ends(0, ['version'], at);
    assert.match(version, /^tael \d+\.\d+\.\d+\n$/);
    assert.equal(`tael ${objects(ends(0, ['version', '--json'], at).stdout)[0].version}\n`, version);
    assert.deepEqual(fs.readdirSync(at.cwd), []);
    fs.rmdirSync(at.cwd);
});

/** RSA's public half with a prime for a modulus: whoever knows it signs as its owner. */
function keyWithoutSecret() {
    const n = Buffer.from(generatePrimeSync(2048)).toString('base64url');
    return createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
}

test('a key of the folder that proves nothing is found by doctor --deep', async () => {
    const shop = await new Engine().start();
    await shop.stop();
    assert.match(shop.doctor().text, /^ok +channels /m);
    fs.writeFileSync(path.join(shop.folder, 'data/keys/sandbox.alipay.pub'), keyWithoutSecret(), { mode: 0o600 });
    assert.match(shop.doctor().text, /^fail channels +alipay\/alipay-demo: alipay_key 'sandbox\.alipay': the RSA key is damaged +→ /m);
    await shop.remove();
});

test('a store that began with other secrets is left alone, and doctor says what to do', async () => {
    const shop = await new Engine().start();
    const payment = await shop.create('K1');
    await shop.stop();
    const keys = path.join(shop.folder, 'data/keys'), kept = `${keys}.kept`;
    const serve = () => spawnSync(program, ['serve', '--dev'], { cwd: shop.folder, encoding: 'utf8', timeout: 30_000,
        env: { ...process.env, ...shop.environment } });
    fs.renameSync(keys, kept);
    assert.match(shop.doctor().text, /^fail keys .*\/data\/keys: not there +→ put the files back from a backup/m);
    const lost = serve();
    assert.equal(lost.status, 3);
    assert.match(lost.stderr, /^tael: the engine's secret 'ids' is not the one that this store began with: .*\nnext: tael doctor\n/m);
    assert.match(shop.doctor().text, /^fail keys +ids\.secret is not the one .* +→ put the files back from a backup/m);
    for (const name of ['pepper', 'audit', 'raw']) { // all others are the store's
        const own = path.join(kept, `${name}.secret`), bytes = fs.readFileSync(own);
        fs.copyFileSync(path.join(keys, `${name}.secret`), own);
        fs.renameSync(keys, `${keys}.other`);
        fs.renameSync(kept, keys);
        const other = serve();
        assert.equal(other.status, 3, name);
        assert.match(other.stderr, new RegExp(`^tael: the engine's secret '${name}' is not the one that this store began with`, 'm'));
        assert.match(shop.doctor().text, new RegExp(`^fail keys +${name}\\.secret is not the one .* +→ put the files back`, 'm'));
        fs.renameSync(keys, kept);
        fs.renameSync(`${keys}.other`, keys);
        fs.writeFileSync(own, bytes);
    }
    fs.rmSync(keys, { recursive: true });
    fs.renameSync(kept, keys);
    await shop.start();
    assert.equal((await shop.payment(payment.id)).id, payment.id);
    await shop.stop();
    assert.match(shop.doctor().text, /^ok +keys /m);
    await shop.remove();
});
