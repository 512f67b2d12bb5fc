// sandbox.mjs - what the interop tests share: Alipay's official library, a sandbox that runs alone, and a
// merchant's server that takes notifications down.
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { freePort, Process, root, temporaryFolder, until } from '../e2e/tael.mjs';

const modules = path.join(root, 'build/node_modules/');
const require = createRequire(modules);
export const { AlipaySdk } = require('alipay-sdk');
/** The library's own sign(), behind its exec, sdkExecute and pageExecute. */
export const { sign: sdkSign } = require(path.join(modules, 'alipay-sdk/dist/commonjs/util.js'));

const bare = (pem) => pem.replace(/-----[^-]+-----|\s/g, '');

export function keyPair() {
    return crypto.generateKeyPairSync('rsa', {
        modulusLength: 2048,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
}

export const appId = '2021000000000001';
export const sellerId = '2088101106499364';

/** `tael sandbox` alone: it holds Alipay's private key and the merchant's public one. */
export class Sandbox {
    constructor({ speed = 1 } = {}) {
        this.folder = temporaryFolder('interop');
        this.speed = speed;
        this.merchant = keyPair();
        this.alipay = keyPair();
        const keys = path.join(this.folder, 'keys');
        fs.mkdirSync(keys, { mode: 0o700 });
        const write = (name, text) => fs.writeFileSync(path.join(keys, name), text, { mode: 0o600 });
        write('shop.pub', this.merchant.publicKey);
        write('sandbox.alipay.key', this.alipay.privateKey);
        write('sandbox.alipay.pub', this.alipay.publicKey);
        fs.writeFileSync(path.join(this.folder, 'tael.lua'), `return {
            data = "data", keys = { folder = "keys" },
            merchants = { ["shop.test"] = { name = "Shop", mode = "test", accounts = { ["shop-alipay"] = {
                channel = "alipay", environment = "sandbox", app_id = "${appId}", seller_id = "${sellerId}",
                key = "shop", alipay_key = "sandbox.alipay",
            } } } },
        }\n`, { mode: 0o600 });
    }

    async start() {
        this.port ??= await freePort();
        this.url = `http://127.0.0.1:${this.port}`;
        this.gateway = `${this.url}/gateway.do`;
        this.process = new Process(
            ['--config', path.join(this.folder, 'tael.lua'), 'sandbox',
                '--listen', `127.0.0.1:${this.port}`, '--speed', String(this.speed)],
            { cwd: this.folder });
        await until('the sandbox is ready', async () => {
            if (this.process.end) throw new Error(`the sandbox ended: ${this.process.output}`);
            return (await fetch(`${this.url}/healthz`).catch(() => null))?.ok;
        });
        return this;
    }

    async stop(signal) {
        return this.process.stop(signal);
    }

    async remove() {
        await this.stop();
        fs.rmSync(this.folder, { recursive: true, force: true });
    }

    /** The official library as this merchant. */
    sdk(changed = {}) {
        return new AlipaySdk({
            appId, gateway: this.gateway, keyType: 'PKCS8',
            privateKey: bare(this.merchant.privateKey), alipayPublicKey: bare(this.alipay.publicKey),
            ...changed,
        });
    }

    async lever(method, target, body) {
        const response = await fetch(`${this.url}/sandbox/${target}`, {
            method, body: body === undefined ? undefined : JSON.stringify(body),
        });
        return { status: response.status, body: await response.json() };
    }
}

/** A merchant's notify_url: keeps every body, answers what `answer` says. */
export class Merchant {
    constructor(answer = () => 'success') {
        this.bodies = [];
        this.answer = answer;
        this.server = http.createServer((request, response) => {
            const parts = [];
            request.on('data', (part) => parts.push(part));
            request.on('end', () => {
                this.bodies.push(Buffer.concat(parts).toString());
                response.end(this.answer(this.bodies.length));
            });
        });
    }

    async start() {
        this.server.listen(0, '127.0.0.1');
        await once(this.server, 'listening');
        this.url = `http://127.0.0.1:${this.server.address().port}/notify`;
        return this;
    }

    async stop() {
        this.server.closeAllConnections();
        this.server.close();
        await once(this.server, 'close');
    }

    /** The n-th notification's parameters, decoded once. */
    async received(n) {
        await until(`notification ${n}`, () => this.bodies.length >= n);
        return Object.fromEntries(new URLSearchParams(this.bodies[n - 1]));
    }
}

export { freePort, root, until };
