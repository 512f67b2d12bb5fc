// limits.mjs - what the machine itself can do, on the core that the server will have.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Runs a program on one core; null: wherever there is room. */
export function pinned(core, program, args) {
    return core === null ? [program, args] : ['taskset', ['-c', String(core), program, ...args]];
}

/** The cores that this process may use. */
export function allowedCores() {
    const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1];
    return list.split(',').flatMap((range) => {
        const [first, last = first] = range.split('-').map(Number);
        return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** RSA-2048 by OpenSSL: signatures and verifications a second of CPU time. */
export function rsa(core, seconds) {
    const [program, args] = pinned(core, 'openssl', ['speed', '-seconds', String(seconds), 'rsa2048']);
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

export function machine() {
    const openssl = execFileSync('openssl', ['version'], { encoding: 'utf8' }).split(' ').slice(0, 2).join(' ');
    return { cpu: os.cpus()[0].model.trim(), cores: os.cpus().length, kernel: os.release(), openssl };
}
