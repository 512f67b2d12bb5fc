// shop.mjs - an engine as it runs in production (tael serve, without --dev), in front of a simulated Alipay that is
// a program of its own. Development mode makes the keys and the API key first.
import fs from 'node:fs';
import path from 'node:path';
import { Engine, Process, root, until } from './tael.mjs';

export class Shop extends Engine {
    async start() {
        if (this.sandboxProcess) return this.#serve();
        await super.start();
        await this.stop();
        const { api, operations, sandbox } = this.ports;
        fs.writeFileSync(path.join(this.folder, 'tael.lua'), `return {
            http = { listen = { "127.0.0.1:${api}" }, public_url = "${this.url}" },
            operations = { listen = "127.0.0.1:${operations}" }, keys = { folder = "data/keys" },
            scripts = { folder = "${path.join(root, 'scripts')}" }, client = { allow_private = true },
            limits = { key = false, notify_address = false },
            merchants = { ["demo.test"] = { name = "Demo shop", mode = "test", accounts = { ["alipay-demo"] = {
                channel = "alipay", environment = "sandbox", app_id = "2021000000000001",
                seller_id = "${this.seller}", key = "demo.alipay", alipay_key = "sandbox.alipay",
                gateway = "${this.sandbox}/gateway.do" } } } },
        }\n`, { mode: 0o600 });
        // no program of the shop knows the settings of development any more
        this.environment = { ...this.options.env };
        this.sandboxProcess = new Process(['sandbox', '--listen', `127.0.0.1:${sandbox}`],
            { cwd: this.folder, env: this.environment });
        await until('the sandbox is ready', async () => {
            if (this.sandboxProcess.end) throw new Error(`the sandbox ended: ${this.sandboxProcess.output}`);
            return (await fetch(`${this.sandbox}/sandbox/bill`).catch(() => null))?.ok;
        });
        return this.#serve();
    }

    async #serve() {
        this.process = this.serve();
        await this.ready(this.process);
        return this;
    }

    /** Another `tael serve` on this folder. */
    serve(args = [], env = {}, under = []) {
        return new Process(['serve', ...args], { cwd: this.folder, env: { ...this.environment, ...env }, under });
    }

    ready(running) {
        return until('the engine is ready', async () => {
            if (running.end) throw new Error(`the engine ended: ${running.output}`);
            return (await fetch(`${this.url}/readyz`).catch(() => null))?.ok;
        });
    }

    async remove() {
        await super.remove();
        const end = await this.sandboxProcess.stop();
        if (end.code !== 0) throw new Error(`the sandbox ended with ${JSON.stringify(end)}: ${this.sandboxProcess.output}`);
    }
}
