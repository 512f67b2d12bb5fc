// server.mjs - the measured engine: as an operator runs it, with one merchant and one account, in a folder of its own.
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, metrics, program, root } from '../e2e/tael.mjs';
import { Measured } from './measured.mjs';

const CONFIGURATION = `return { merchants = { shop = { mode = "test", accounts = { ["shop-alipay"] = {
    channel = "alipay", environment = "sandbox", app_id = "2021000000000001", seller_id = "2088000000000001",
    key = "shop", alipay_key = "alipay" } } } } }
`;

/** rule.lua as an operator's route. */
function routeScript() {
    const rule = fs.readFileSync(path.join(root, 'tests/bench/rule.lua'), 'utf8');
    return `local rule = (function()\n${rule}end)()\n
return { ["POST /"] = { auth = "none", handler = function(request) return { json = rule(request.json) } end } }\n`;
}

/** Open payments are asked about from five seconds on; here, where none is paid at once, after an hour. */
function scripts(folder) {
    const copy = path.join(folder, 'scripts');
    fs.cpSync(path.join(root, 'scripts'), copy, { recursive: true });
    const file = path.join(copy, 'channels/alipay/init.lua');
    const text = fs.readFileSync(file, 'utf8');
    const changed = text.replaceAll(/query_after = \{[^}]*\}/g, 'query_after = { "1h" }');
    if (changed === text) throw new Error('scripts/channels/alipay/init.lua: query_after is not where it was');
    fs.writeFileSync(file, changed);
    fs.renameSync(path.join(copy, 'merchants/demo.test'), path.join(copy, 'merchants/shop')); // the demo merchant's rules
    fs.mkdirSync(path.join(copy, 'routes'), { recursive: true });
    fs.writeFileSync(path.join(copy, 'routes/bench.lua'), routeScript());
    return copy;
}

export class Server extends Measured {
    /** dev: in development mode, which looks at the scripts' files whenever they are asked for. */
    constructor({ folder, workers = 1, core, dev = false }) {
        super({ name: 'tael', core, log: path.join(folder, 'engine.log') });
        Object.assign(this, { folder, workers, dev, database: path.join(folder, 'data/tael.db') });
    }

    tael(...args) {
        const all = ['--config', path.join(this.folder, 'tael.lua'), ...args];
        return execFileSync(program, all, { cwd: this.folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.env } });
    }

    /** Keys, configuration and an empty store; once a folder. */
    async prepare() {
        const api = `127.0.0.1:${this.port = await freePort()}`, operations = `127.0.0.1:${await freePort()}`;
        this.operations = `http://${operations}`;
        this.env = {
            TAEL_WORKERS: String(this.workers), TAEL_HTTP__LISTEN: api, TAEL_HTTP__PUBLIC_URL: `http://${api}`,
            TAEL_OPERATIONS__LISTEN: operations,
            TAEL_LIMITS__KEY: 'false', TAEL_LIMITS__NOTIFY_ADDRESS: 'false', // one key and one address ask for all
            TAEL_SCRIPTS__FOLDER: fs.existsSync(path.join(this.folder, 'scripts'))
                ? path.join(this.folder, 'scripts') : scripts(this.folder),
        };
        if (this.dev) Object.assign(this.env, { TAEL_SANDBOX__LISTEN: `127.0.0.1:${await freePort()}`, TAEL_KEYS__FOLDER: 'keys' });
        if (fs.existsSync(path.join(this.folder, 'tael.lua'))) return;
        fs.writeFileSync(path.join(this.folder, 'tael.lua'), CONFIGURATION);
        this.tael('keys', 'generate');
        this.tael('keys', 'generate', 'shop');
        const { publicKey, privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
        const write = (name, key, type) =>
            fs.writeFileSync(path.join(this.folder, 'keys', name), key.export({ type, format: 'pem' }), { mode: 0o600 });
        write('alipay.pub', publicKey, 'spki');
        write('alipay.key', privateKey, 'pkcs8');
        this.tael('migrate');
    }

    async start() {
        await this.prepare();
        await this.launch(program, ['--config', path.join(this.folder, 'tael.lua'), 'serve', ...(this.dev ? ['--dev'] : [])],
            { cwd: this.folder, env: this.env, port: this.port, path: '/readyz' });
        const kept = path.join(this.folder, 'api.key');
        if (!fs.existsSync(kept)) fs.writeFileSync(kept, /tael_test_\w+/.exec(this.tael('keys', 'api', 'shop'))[0]);
        this.key = fs.readFileSync(kept, 'utf8');
        return this;
    }

    /** Throws unless the engine ends as it should. */
    async stop() {
        const code = await this.end();
        if (code !== 0) throw new Error(`the engine ended with ${code}; its log: ${this.log}`);
    }

    /** Units of work and the commits that carried them so far. */
    async commits() {
        const text = await metrics(this.operations);
        const [units, groups] = ['units', 'groups'].map((name) =>
            Number(new RegExp(`^tael_store_${name} (\\d+)$`, 'm').exec(text)[1]));
        return { units, groups };
    }

    /** The write-ahead log now, bytes. */
    logSize() {
        return fs.statSync(`${this.database}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    }
}
