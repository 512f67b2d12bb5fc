// load.mjs - shops and an Alipay that never rest: creates, notifications, refunds, reads and long polls, over
// connections that are kept and over new ones. Nothing is tried a second time: whatever fails is kept as a failure.
import http from 'node:http';
import { Alipay } from './alipay.mjs';
import { sleep } from './tael.mjs';

export class Load {
    /** shops: how many of each kind run at once; pause: ms between two requests of one, at most. refuse: a
     *  connection that nobody takes ends its shop quietly (the engine has been told to stop). */
    constructor(engine, { shops = 4, pause = 20, wait = 2 } = {}) {
        Object.assign(this, { engine, shops, pause, wait });
        this.alipay = new Alipay(engine);
        this.failures = [];
        this.answered = 0;
        this.refused = 0;
        this.closes = 0; // answers that said Connection: close
        this.created = []; // { name, id }
        this.paid = []; // ids that were acknowledged as paid
        this.refunded = [];
        this.running = true;
        this.stopping = false; // told to stop: nobody needs to take connections any more
        this.agents = [];
    }

    start() {
        this.tasks = [];
        for (let i = 0; i < this.shops; i++) {
            this.tasks.push(this.#shop(`k${i}`, true), this.#shop(`n${i}`, false), this.#poll());
        }
        return this;
    }

    async end() {
        this.running = false;
        await Promise.all(this.tasks);
        for (const agent of this.agents) agent.destroy();
    }

    #agent(keepAlive) {
        const agent = new http.Agent({ keepAlive, maxSockets: 1 });
        this.agents.push(agent);
        return agent;
    }

    /** One request; null: nobody took the connection. */
    ask(agent, method, target, body, headers = {}) {
        const url = new URL(target, this.engine.url);
        return new Promise((resolve) => {
            const started = Date.now();
            let connected = false;
            const request = http.request(url, { method, agent, headers: {
                authorization: `Bearer ${this.engine.key}`,
                ...(body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}),
                ...headers,
            } });
            request.on('socket', (socket) => {
                connected = !socket.connecting;
                if (!connected) socket.once('connect', () => { connected = true; });
            });
            request.on('response', (response) => {
                let text = '';
                if (response.headers.connection === 'close') this.closes++;
                response.setEncoding('utf8').on('data', (part) => { text += part; }).on('end', () => {
                    this.answered++;
                    if (response.statusCode >= 500)
                        this.failures.push(`${method} ${target}: ${response.statusCode} ${text.slice(0, 200)}`);
                    resolve({ status: response.statusCode, text });
                }).on('error', (err) => this.#failed(resolve, method, target, err, started));
            });
            request.on('error', (err) => {
                if (!connected && err.code === 'ECONNREFUSED') {
                    this.refused++;
                    if (!this.stopping) this.failures.push(`${method} ${target}: refused`);
                    resolve(null);
                    return;
                }
                this.#failed(resolve, method, target, err, started);
            });
            request.end(body);
        });
    }

    #failed(resolve, method, target, err, started) {
        this.failures.push(`${method} ${target}: ${err.code ?? err.message} after ${Date.now() - started} ms`);
        resolve(null);
    }

    #expect(answer, status, what) {
        if (answer && answer.status !== status && answer.status < 500)
            this.failures.push(`${what}: ${answer.status} ${answer.text.slice(0, 200)}`);
        return answer?.status === status;
    }

    async #goOn(answer) {
        if (!answer && this.stopping) return false;
        await sleep(Math.random() * this.pause);
        return this.running;
    }

    /** Creates, lets most be paid, refunds some, reads. */
    async #shop(name, keepAlive) {
        const agent = this.#agent(keepAlive);
        let answer = true;
        for (let n = 0; await this.#goOn(answer); n++) {
            const order = `L${name}-${process.pid}-${n}-${Date.now()}`;
            answer = await this.ask(agent, 'POST', '/v1/payments', JSON.stringify({
                merchant_order_id: order, amount: 1200, currency: 'CNY', subject: 'coffee', channel: 'alipay',
                product: 'page',
            }));
            if (!this.#expect(answer, 201, order)) continue;
            const payment = JSON.parse(answer.text);
            this.created.push({ name: order, id: payment.id });
            if (n % 3 === 2) {
                answer = await this.ask(agent, 'GET', `/v1/payments/${payment.id}`);
                this.#expect(answer, 200, payment.id);
                continue;
            }
            const form = this.alipay.form(this.alipay.fields(payment));
            answer = await this.ask(agent, 'POST', new URL(Alipay.page(payment).notify_url).pathname, form,
                { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' });
            if (this.#expect(answer, 200, 'notification')) this.paid.push(payment.id);
        }
    }

    /** A long poll after the other. */
    async #poll() {
        const agent = this.#agent(true);
        let answer = true;
        let after = null;
        while (await this.#goOn(answer)) {
            const from = after ? `&after=${encodeURIComponent(after)}` : '';
            answer = await this.ask(agent, 'GET', `/v1/events?wait=${this.wait}${from}`);
            if (!this.#expect(answer, 200, 'events')) continue;
            after = JSON.parse(answer.text).data.at(-1)?.id ?? after;
        }
    }

    /** Everything that was acknowledged is there, once. */
    async verify(limit = Infinity) {
        const wrong = [];
        const paid = new Set(this.paid);
        const some = this.created.length > limit
            ? this.created.filter((_, i) => i % Math.ceil(this.created.length / limit) === 0) : this.created;
        for (const { name, id } of some) {
            const found = (await this.engine.get(`/v1/payments?merchant_order_id=${name}`)).body.data;
            if (found.length !== 1 || found[0].id !== id) wrong.push(`${name}: ${found.length} payments`);
            else if (paid.has(id) && found[0].state !== 'paid') wrong.push(`${name}: ${found[0].state}`);
        }
        return wrong;
    }
}
