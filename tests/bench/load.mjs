// load.mjs - runs the load; throws when an answer was wrong or missing.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { root } from '../e2e/tael.mjs';
import { placed, settings } from './settings.mjs';

const program = path.join(root, 'build/bench/load');

/** Its figures. Options are the flags of the program (load.c). */
export async function load(port, options, core = settings.loadCore) {
    const flags = { p: port, c: settings.connections, ...options };
    const [command, args] = placed(core, program, Object.entries(flags).flatMap(([flag, value]) => [`-${flag}`, value]));
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '', errors = '';
    child.stdout.on('data', (data) => { text += data; });
    child.stderr.on('data', (data) => { errors += data; });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`answers were wrong or missing: ${text}${errors}`.trim());
    return JSON.parse(text);
}
