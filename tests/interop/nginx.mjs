// nginx.mjs - a real nginx in front of a server, and the engine's HTTP server alone, for tests that compare how the
// two split the same bytes into requests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { freePort, program, temporaryFolder, until } from '../e2e/tael.mjs';

const tests = path.join(path.dirname(program), 'test');

/** The crafted requests of the head gate's test: { name, bytes, want }. */
export async function craftedRows() {
    const child = spawn(path.join(tests, 'http_head_test'), ['rows']);
    const rows = [];
    for await (const line of readline.createInterface({ input: child.stdout })) {
        const [name, bytes, want] = line.split('\t');
        rows.push({ name, bytes: Buffer.from(bytes, 'hex'), want: Buffer.from(want, 'hex').toString('latin1') });
    }
    return rows;
}

/** One request as it was told: body as latin1 text, one character a byte. */
function told(line) {
    const [peer, tag, method, target, body] = line.split(' ');
    const bytes = (hex) => hex === '-' ? '' : Buffer.from(hex, 'hex').toString('latin1');
    return { peer, tag: bytes(tag), method, target, body: bytes(body) };
}

let fences = 0;

/** The engine's HTTP server; `seen` holds every request it took, in order. */
export class Echo {
    async start(ms = 400, body = 1000) {
        this.seen = [];
        this.child = spawn(path.join(tests, 'http_echo'), [ms, body], { stdio: ['ignore', 'pipe', 'inherit'] });
        this.ended = once(this.child, 'exit');
        const lines = readline.createInterface({ input: this.child.stdout });
        [this.address] = await once(lines, 'line');
        lines.on('line', (line) => this.seen.push(told(line)));
        this.port = Number(this.address.split(':')[1]);
        return this;
    }

    /** The requests that came from a client's address. */
    by(address) {
        return this.seen.filter(({ peer }) => peer.startsWith(`${address}:`));
    }

    /** Waits until everything that was taken before is in `seen`. */
    async settle() {
        const fence = `/fence-${++fences}`;
        await exchange(this.port, Buffer.from(`GET ${fence} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
        await until('the requests are told', () => this.seen.some(({ target }) => target === fence));
        this.seen = this.seen.filter(({ target }) => target !== fence);
    }

    async stop() {
        this.child.kill('SIGTERM');
        const [code] = await this.ended;
        if (code !== 0) throw new Error(`the server ended with ${code}`);
    }
}

const configuration = ({ folder, upstream, buffered, ports }) => `
daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log crit;
events { worker_connections 2000; }
http {
    log_format parts escape=json '["$connection","$remote_addr","$connection_requests","$request_method",'
        '"$request_uri","$request_body","$status","$upstream_status"]';
    access_log ${folder}/access.log parts;
    client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
    client_body_in_single_buffer on; client_body_buffer_size 64k; client_max_body_size 1m;
    client_header_timeout 2s; client_body_timeout 2s; keepalive_timeout 2s; lingering_close off;
    merge_slashes off; proxy_ignore_client_abort on; proxy_request_buffering ${buffered ? 'on' : 'off'};
    proxy_next_upstream off; underscores_in_headers on;
    upstream engine { server ${upstream}; keepalive 2; }
    ${ports.map((port, i) => `server {
        listen 127.0.0.1:${port}; ignore_invalid_headers ${i === 0 ? 'on' : 'off'};
        location / {
            proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header X-Tag "$connection.$connection_requests";
        }
    }`).join('\n')}
}`;

/** nginx before a server; ports[0] drops header lines that it finds invalid, ports[1] passes them on. */
export class Nginx {
    async start(upstream, { buffered = true } = {}) {
        this.folder = temporaryFolder('nginx');
        this.ports = [await freePort(), await freePort()];
        const file = path.join(this.folder, 'nginx.conf');
        fs.writeFileSync(file, configuration({ folder: this.folder, upstream, buffered, ports: this.ports }));
        this.child = spawn('nginx', ['-p', this.folder, '-c', file], { stdio: ['ignore', 'inherit', 'pipe'] });
        this.output = '';
        this.child.stderr.on('data', (data) => { this.output += data; });
        this.ended = once(this.child, 'exit');
        this.ended.then(([code]) => { this.code = code; });
        await until('nginx listens', () => {
            if (this.code !== undefined) throw new Error(`nginx ended with ${this.code}: ${this.output}`);
            return new Promise((resolve) => {
                const socket = net.connect(this.ports[1], '127.0.0.1', () => { socket.destroy(); resolve(true); });
                socket.on('error', () => resolve(false));
            });
        });
        return this;
    }

    /** The requests that nginx has read, by its access log. */
    log() {
        const text = fs.readFileSync(path.join(this.folder, 'access.log'), 'latin1');
        return text.split('\n').filter(Boolean).map((line) => {
            const [connection, from, number, method, target, body, status, upstream] = JSON.parse(line);
            return { tag: `${connection}.${number}`, from, method, target, body, status: Number(status), upstream };
        });
    }

    async stop() {
        this.child.kill('SIGTERM');
        await this.ended;
        fs.rmSync(this.folder, { recursive: true, force: true });
    }
}

let clients = 0;

/** An address of this machine that no other client has. */
const ownAddress = () => { clients++; return `127.${100 + (clients >> 16)}.${clients >> 8 & 255}.${clients & 255}`; };

/** Sends bytes over a connection of its own, all at once; gives { from, answer } when the other side has closed. */
export function exchange(port, bytes, { half = false, ms = 20000 } = {}) {
    return new Promise((resolve, reject) => {
        const parts = [], from = ownAddress();
        const socket = net.connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true });
        const timer = setTimeout(() => {
            socket.destroy();
            reject(new Error(`no end within ${ms} ms: ${JSON.stringify(bytes.toString('latin1'))}: ${Buffer.concat(parts)}`));
        }, ms);
        const end = () => {
            clearTimeout(timer);
            socket.destroy();
            resolve({ from, answer: Buffer.concat(parts).toString('latin1') });
        };
        socket.on('connect', () => {
            if (half) socket.end(bytes);
            else socket.write(bytes);
        });
        socket.on('data', (data) => parts.push(data));
        socket.on('end', end);
        socket.on('error', end);
    });
}

/** Runs work over a list, `width` at the same time. */
export async function each(list, width, work) {
    let next = 0;
    const run = async () => { while (next < list.length) { const i = next++; await work(list[i], i); } };
    await Promise.all(Array.from({ length: width }, run));
}

/** Cuts what a client got into answers to requests of these methods, in their order: { status, body }. */
export function answersOf(text, methods) {
    const answers = [];
    while (text.startsWith('HTTP/1.1 ')) {
        const end = text.indexOf('\r\n\r\n');
        if (end < 0) break;
        const head = text.slice(0, end), status = Number(head.slice(9, 12));
        const bodiless = methods[answers.length] === 'HEAD' || status === 100;
        const length = bodiless ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (status !== 100) answers.push({ status, body: text.slice(end + 4, end + 4 + length) });
        text = text.slice(end + 4 + length);
    }
    return answers;
}
