// tls.test.mjs - TLS of the API over real sockets: who is served and who is not, certificates that are replaced while
// clients come and go, and files that cannot be used. Keys and certificates are made by openssl.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import tls from 'node:tls';
import { Process, freePort, metrics, root, sleep, temporaryFolder, until } from './tael.mjs';

const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });

/** An authority and the certificates that it issues, one serial number after the other. */
class Authority {
    constructor(folder) {
        this.folder = folder;
        this.serial = 0x1000;
        this.key = path.join(folder, 'ca.key');
        this.file = path.join(folder, 'ca.pem');
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
            '-keyout', this.key, '-out', this.file, '-subj', '/CN=tael test authority');
        this.pem = fs.readFileSync(this.file, 'utf8');
    }

    /** { serial, chain, key }: texts of PEM; algorithm "ec" or "rsa". */
    issue(algorithm = 'ec', days = 2) {
        const serial = (this.serial += 1).toString(16).toUpperCase();
        const at = (name) => path.join(this.folder, name);
        const kind = algorithm === 'rsa' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
        openssl('req', '-newkey', ...kind, '-nodes', '-keyout', at('leaf.key'), '-out', at('leaf.csr'),
            '-subj', '/CN=localhost');
        fs.writeFileSync(at('leaf.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
        openssl('x509', '-req', '-in', at('leaf.csr'), '-CA', this.file, '-CAkey', this.key, '-days', `${days}`,
            '-set_serial', `0x${serial}`, '-extfile', at('leaf.ext'), '-out', at('leaf.pem'));
        return {
            serial, chain: fs.readFileSync(at('leaf.pem'), 'utf8') + this.pem, key: fs.readFileSync(at('leaf.key'), 'utf8'),
        };
    }
}

/** The same of its own authority, valid from so many days on; `openssl x509` makes none of another time. */
function coming(folder, days) {
    const at = (name) => path.join(folder, name);
    const date = (ms) => `${new Date(ms).toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
    fs.writeFileSync(at('coming.db'), '');
    fs.writeFileSync(at('coming.cnf'), `[ca]\ndefault_ca=a\n[a]\ndatabase=${at('coming.db')}\nnew_certs_dir=${folder}\n`
        + 'rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n');
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('coming.key'),
        '-out', at('coming.csr'), '-subj', '/CN=localhost');
    openssl('ca', '-batch', '-selfsign', '-notext', '-keyfile', at('coming.key'), '-in', at('coming.csr'), '-out', at('coming.pem'),
        '-config', at('coming.cnf'), '-startdate', date(Date.now() + days * 86400_000), '-enddate', '20750101000000Z');
    return { chain: fs.readFileSync(at('coming.pem'), 'utf8'), key: fs.readFileSync(at('coming.key'), 'utf8') };
}

/** As a careful tool writes: beside, then renamed. */
function replace(file, text, mode) {
    fs.writeFileSync(`${file}.new`, text, { mode });
    fs.chmodSync(`${file}.new`, mode);
    fs.renameSync(`${file}.new`, file);
}

class Site {
    constructor(name) {
        this.folder = temporaryFolder(name);
        this.authority = new Authority(this.folder);
        this.chain = path.join(this.folder, 'site.pem');
        this.key = path.join(this.folder, 'site.key');
    }

    put({ chain, key }) {
        replace(this.chain, chain, 0o644);
        replace(this.key, key, 0o600);
    }

    async spawn() {
        const [api, operations, sandbox] = [await freePort(), await freePort(), await freePort()];
        this.port = api;
        fs.writeFileSync(path.join(this.folder, 'tael.lua'), `return {
            workers = 2,
            http = {
                listen = "127.0.0.1:${api}",
                tls = { cert = "site.pem", key = secret.file("site.key") },
            },
            operations = { listen = "127.0.0.1:${operations}" },
            sandbox = { listen = "127.0.0.1:${sandbox}" },
            scripts = { folder = "${path.join(root, 'scripts')}" },
        }\n`);
        this.operations = `http://127.0.0.1:${operations}`;
        this.process = new Process(['serve', '--dev'], { cwd: this.folder });
        return this;
    }

    async start() {
        await this.spawn();
        await until('the engine is ready', async () => {
            if (this.process.end) throw new Error(`the engine ended: ${this.process.output}`);
            return (await fetch(`${this.operations}/readyz`).catch(() => null))?.ok;
        });
        return this;
    }

    async remove() {
        const end = await this.process.stop();
        fs.rmSync(this.folder, { recursive: true, force: true });
        assert.equal(end.code, 0, this.process.output.slice(-4000));
    }

    /** A request on a connection of its own, or on the agent's. */
    async request(target, { agent = false, method = 'GET', headers = {}, body, ...more } = {}) {
        const request = https.request({
            host: '127.0.0.1', port: this.port, path: target, ca: this.authority.pem, agent, method, headers, ...more,
        });
        request.end(body);
        const [response] = await once(request, 'response');
        const serial = response.socket.getPeerCertificate().serialNumber;
        let text = '';
        for await (const piece of response) text += piece;
        return { status: response.statusCode, text, serial };
    }

    /** Connects with these options; the error, or null when the handshake was done. */
    handshake(options = {}) {
        return new Promise((resolve) => {
            const socket = tls.connect({ host: '127.0.0.1', port: this.port, ca: this.authority.pem, ...options });
            socket.on('secureConnect', () => { socket.destroy(); resolve(null); });
            socket.on('error', resolve);
            socket.on('close', () => resolve(new Error('closed')));
        });
    }

    logged(event) {
        return this.process.output.split('\n').filter((line) => line.includes(`"event":"${event}"`));
    }
}

test('a certificate that has not begun makes the engine not ready', async (t) => {
    const site = new Site('tls-early');
    site.put(coming(site.folder, 2.5));
    await site.spawn();
    t.after(() => site.remove());
    const answer = await until('the engine answers', () => fetch(`${site.operations}/readyz`).catch(() => null));
    const { ready, checks } = await answer.json();
    assert.deepEqual([answer.status, ready], [503, false]);
    assert.deepEqual(checks.find((check) => check.name === 'tls'), { name: 'tls', ok: false,
        detail: 'the certificate is not valid yet: it begins in 3 days, by this machine\'s clock' });
});

test('the API speaks TLS, and nothing older', async (t) => {
    const site = new Site('tls');
    site.put(site.authority.issue());
    await site.start();
    t.after(() => site.remove());

    await t.test('a payment is made over it', async () => {
        const key = fs.readFileSync(path.join(site.folder, 'data/demo.key'), 'utf8').trim();
        const body = JSON.stringify({
            merchant_order_id: 'tls-1', amount: 1234, currency: 'CNY', subject: 'coffee', channel: 'alipay', product: 'page',
        });
        const made = await site.request('/v1/payments', {
            method: 'POST', body,
            headers: {
                authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body),
            },
        });
        assert.equal(made.status, 201, made.text);
        assert.equal(JSON.parse(made.text).amount, 1234);
    });

    await t.test('how long the certificate lasts is seen', async () => {
        const { checks } = await (await fetch(`${site.operations}/readyz`)).json();
        assert.deepEqual(checks.find((check) => check.name === 'tls'), { name: 'tls', ok: true, detail: '1 days left' });
        const text = await metrics(site.operations);
        const [, end] = text.match(/^tael_tls_not_after_seconds (\d+)$/m);
        assert.ok(Math.abs(end - Date.now() / 1000 - 2 * 86400) < 600, end);
    });

    await t.test('curl is served, by 1.2 and 1.3', () => {
        for (const version of [['--tls-max', '1.2'], ['--tlsv1.3']]) {
            const curl = spawnSync('curl', ['-sS', '--cacert', site.authority.file, ...version, '-w', '%{http_version}',
                '-o', '/dev/null', `https://localhost:${site.port}/readyz`, '--resolve', `localhost:${site.port}:127.0.0.1`]);
            assert.equal(curl.status, 0, `${curl.stderr}`);
            assert.equal(`${curl.stdout}`, '1.1');
        }
        const stranger = spawnSync('curl', ['-sS', `https://127.0.0.1:${site.port}/readyz`]);
        assert.equal(stranger.status, 60, 'the test authority is nobody to the system');
    });

    await t.test('TLS 1.1 and 1.0 are refused', async () => {
        for (const version of ['TLSv1', 'TLSv1.1']) {
            const error = await site.handshake({
                minVersion: version, maxVersion: version, ciphers: 'DEFAULT:@SECLEVEL=0',
            });
            assert.match(`${error?.code} ${error?.message}`, /PROTOCOL_VERSION|protocol version/i);
        }
        assert.equal(await site.handshake({ maxVersion: 'TLSv1.2' }), null);
        assert.equal(await site.handshake({ minVersion: 'TLSv1.3' }), null);
    });

    await t.test('only HTTP/1.1 is spoken', async () => {
        assert.equal(await site.handshake({ ALPNProtocols: ['h2', 'http/1.1'] }), null);
        assert.ok(await site.handshake({ ALPNProtocols: ['h2'] }));
    });

    await t.test('plain HTTP gets no answer', async () => {
        const socket = net.connect(site.port, '127.0.0.1');
        let text = '';
        socket.on('data', (data) => { text += data.toString('latin1'); });
        socket.write('GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n');
        await once(socket, 'close');
        assert.doesNotMatch(text, /HTTP/);
    });

    await t.test('a large body comes and goes', async () => {
        const body = JSON.stringify({ subject: 'x'.repeat(200_000) });
        const answer = await site.request('/v1/payments', {
            method: 'POST', body, headers: { 'content-type': 'application/json', 'content-length': body.length },
        });
        assert.equal(answer.status, 401);
        const big = await site.request('/v1/openapi.json');
        assert.equal(big.status, 200);
        assert.ok(JSON.parse(big.text).paths);
    });

    await t.test('a session is taken up again', async () => {
        const first = tls.connect({ host: '127.0.0.1', port: site.port, ca: site.authority.pem, maxVersion: 'TLSv1.2' });
        const [session] = await once(first, 'session');
        first.destroy();
        const second = tls.connect({
            host: '127.0.0.1', port: site.port, ca: site.authority.pem, maxVersion: 'TLSv1.2', session,
        });
        await once(second, 'secureConnect'); // on whichever worker
        assert.equal(second.isSessionReused(), true);
        second.destroy();
    });
});

test('certificates are replaced while clients come and go', { timeout: 600_000 }, async (t) => {
    const site = new Site('tls-reload');
    let now = site.authority.issue();
    site.put(now);
    await site.start();

    const seen = new Map();
    let going = true;
    t.after(() => { going = false; return site.remove(); });
    const failures = [];
    const client = async () => {
        while (going) {
            try {
                const { status, serial } = await site.request('/readyz', { maxCachedSessions: 0 });
                assert.equal(status, 200);
                seen.set(serial, (seen.get(serial) ?? 0) + 1);
            } catch (error) {
                failures.push(error);
            }
        }
    };
    const clients = [client(), client(), client()];
    const kept = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const first = await site.request('/readyz', { agent: kept });

    for (let i = 1; i <= 20; i += 1) {
        now = site.authority.issue(i % 5 === 0 ? 'rsa' : 'ec');
        site.put(now);
        if (i % 7 !== 0) process.kill(site.process.child.pid, 'SIGHUP'); // else the files are seen
        await until(`certificate ${now.serial}`, () => seen.has(now.serial), 60);
        const again = await site.request('/readyz', { agent: kept });
        assert.deepEqual([again.status, again.serial], [200, first.serial], 'a connection goes on as it began');
    }
    going = false;
    await Promise.all(clients);
    kept.destroy();
    assert.deepEqual(failures, []);
    assert.equal(seen.size, 21);
    const after = await site.request('/readyz');
    assert.equal(after.serial, now.serial);
    t.diagnostic(`${[...seen.values()].reduce((a, b) => a + b)} handshakes, 0 failed`);

    await t.test('a broken file keeps the old one and says why', async () => {
        const broken = now.chain.slice(0, 300);
        replace(site.chain, broken, 0o644);
        const line = await until('the log says it', () => site.logged('tls.not_loaded')[0], 60);
        assert.match(line, /site\.pem: certificate 1 cannot be read/);
        assert.match(line, /stays in use/);
        assert.equal((await site.request('/readyz')).serial, now.serial);
        await sleep(2500);
        assert.equal(site.logged('tls.not_loaded').length, 1, 'said once for one file');

        const next = site.authority.issue();
        replace(site.chain, next.chain, 0o644); // the key is still the old one's
        process.kill(site.process.child.pid, 'SIGHUP');
        await until('the log says it', () => site.logged('tls.not_loaded')[1], 60);
        assert.match(site.logged('tls.not_loaded')[1], /site\.key: not the key of the first certificate/);
        assert.equal((await site.request('/readyz')).serial, now.serial);
        replace(site.key, next.key, 0o600);
        await until('the pair is whole', async () => (await site.request('/readyz')).serial === next.serial, 60);
    });
});

test('a start with files that cannot be used is refused', async (t) => {
    const site = new Site('tls-start');
    const good = site.authority.issue();
    t.after(() => fs.rmSync(site.folder, { recursive: true, force: true }));
    const cases = [
        ['site.key', /site\.key: mode 0644 is too open; chmod 600/, () => fs.chmodSync(site.key, 0o644)],
        ['site.pem', /site\.pem: not there/, () => fs.unlinkSync(site.chain)],
        ['another key', /site\.key: not the key of the first certificate of .*site\.pem/,
            () => replace(site.key, site.authority.issue().key, 0o600)],
        ['an empty key', /site\.key: no private key in it/, () => replace(site.key, '', 0o600)],
    ];
    for (const [name, message, spoil] of cases) {
        await t.test(name, async () => {
            site.put(good);
            spoil();
            await site.spawn();
            const end = await site.process.ended;
            assert.equal(end.code, 3, site.process.output);
            assert.match(site.process.output, message);
            assert.match(site.process.output, /next: /);
        });
    }
});
