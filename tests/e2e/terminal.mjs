// terminal.mjs - commands run in a pseudo terminal: keys are pressed, and what a person sees is read.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { program, temporaryFolder, until } from './tael.mjs';

export const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;

/** Without what only colours and moves the cursor. */
export const plain = (text) => text.replace(/\x1b\[[\d;?]*[A-Za-z]/g, '').replaceAll('\r', '');

/** A command line in a terminal of its own (script of util-linux), run by /bin/sh whatever SHELL is. */
export class Terminal {
    constructor(line, { cwd, env = {} }) {
        this.raw = '';
        this.child = spawn('script', ['-qec', line, '/dev/null'], {
            cwd, env: { ...process.env, TERM: 'xterm', SHELL: '/bin/sh', ...env }, stdio: ['pipe', 'pipe', 'pipe'],
        });
        for (const stream of [this.child.stdout, this.child.stderr])
            stream.on('data', (data) => { this.raw += data; });
        this.ended = once(this.child, 'close').then(([code]) => { this.code = code; return code; });
    }

    /** The program under test with these words. It takes the shell's place: a shell that waited for it would
     *  end by Ctrl-C itself, whatever the program makes of it. */
    static tael(words, options) {
        return new Terminal(`exec ${[program, ...words].map(quoted).join(' ')}`, options);
    }

    get text() {
        return plain(this.raw);
    }

    /** What stands on the screen once it fits the pattern. */
    async shows(pattern, seconds = 30) {
        await until(`${pattern} in\n${this.text}`, () => {
            if (pattern.test(this.text)) return true;
            if (this.code !== undefined) throw new Error(`${pattern} did not come; exit ${this.code}:\n${this.text}`);
            return false;
        }, seconds);
        return this.text.match(pattern);
    }

    press(keys) {
        this.child.stdin.write(keys);
    }
}

const HALVES = { ' ': [0, 0], '▀': [1, 0], '▄': [0, 1], '█': [1, 1] };

/** What a scanner reads off the screen: lines of half blocks, black where something is written. */
export function scan(text) {
    const rows = text.split('\n').filter((line) => line.length > 20 && /^[ ▀▄█]+$/.test(line))
        .flatMap((line) => [0, 1].map((half) => [...line].map((character) => HALVES[character][half])));
    const scale = 4;
    const wide = rows.map((row) => row.flatMap((module) => Array(scale).fill(module)).join(' '));
    const folder = temporaryFolder('scan');
    const file = path.join(folder, 'code.pbm');
    fs.writeFileSync(file, [`P1`, `${rows[0].length * scale} ${rows.length * scale}`,
        ...wide.flatMap((row) => Array(scale).fill(row.replace(/(.{60})/g, '$1\n')))].join('\n') + '\n');
    const { stdout } = spawnSync('zbarimg', ['--nodbus', '--quiet', '--raw', '-Sdisable', '-Sqrcode.enable', file],
        { encoding: 'utf8' });
    fs.rmSync(folder, { recursive: true });
    return stdout.trim();
}
