// limits.mjs - what the machine itself can do, on the core that the server has.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Measured } from './measured.mjs';
import { freePort, root } from '../e2e/tael.mjs';
import { placed, settings } from './settings.mjs';

/** RSA-2048 by OpenSSL: signatures and verifications a second of CPU time. */
export function rsa(seconds = 1) {
    const [program, args] = placed(settings.serverCore, 'openssl', ['speed', '-seconds', seconds, 'rsa2048']);
    const text = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const [, sign, verify] = /^rsa\s+2048 bits\s+\S+s\s+\S+s\s+([\d.]+)\s+([\d.]+)/m.exec(text);
    return { sign: Number(sign), verify: Number(verify) };
}

/** Appends 4 KiB and waits for the disk, again and again, beside the server's data. */
export function flush(folder, seconds) {
    const file = path.join(folder, 'flush');
    const fd = fs.openSync(file, 'w');
    const block = Buffer.alloc(4096, 'x'), times = [];
    const end = performance.now() + seconds * 1000;
    for (let before = performance.now(); before < end;) {
        fs.writeSync(fd, block);
        fs.fdatasyncSync(fd);
        const after = performance.now();
        times.push(after - before);
        before = after;
    }
    fs.closeSync(fd);
    fs.unlinkSync(file);
    times.sort((a, b) => a - b);
    return { rate: times.length / seconds, p99_ms: times[Math.ceil(times.length * 0.99) - 1] };
}

/** Rows a second that SQLite inserts, 1 and 64 to a durable commit. */
export function groups(folder, seconds) {
    const file = path.join(folder, 'group.db');
    const rate = (size) => {
        const [program, args] = placed(settings.serverCore, path.join(root, 'build/bench/group'), [file, size, seconds]);
        const text = execFileSync(program, args, { encoding: 'utf8' });
        for (const end of ['', '-wal', '-shm']) fs.rmSync(file + end, { force: true });
        return Number(text);
    };
    return { one: rate(1), many: rate(64) };
}

/** nginx, that answers two bytes to everything: as much HTTP as a core gives. */
export class Ceiling extends Measured {
    constructor(folder) {
        super({ name: 'nginx', log: path.join(folder, 'nginx.log') });
        this.folder = folder;
    }

    async start() {
        const { folder } = this, file = path.join(folder, 'nginx.conf');
        this.port = await freePort();
        fs.writeFileSync(file, `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log warn;
            ${process.getuid() === 0 ? 'user root;' : ''}
            events { worker_connections 4096; }
            http { access_log off; keepalive_requests 1000000000; client_body_buffer_size 64k;
                ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/nginx-${name};`).join(' ')}
                server { listen 127.0.0.1:${this.port} backlog=1024; location / { return 200 ok; } } }\n`);
        await this.launch('nginx', ['-p', folder, '-c', file], { port: this.port, path: '/' });
    }
}

export function machine() {
    const openssl = execFileSync('openssl', ['version'], { encoding: 'utf8' }).split(' ').slice(0, 2).join(' ');
    const ifma = /^flags\s*:.*\bavx512ifma\b/m.test(fs.readFileSync('/proc/cpuinfo', 'utf8')); // OpenSSL signs by it
    return { cpu: os.cpus()[0].model.trim(), ifma, cores: os.cpus().length, kernel: os.release(), openssl };
}
