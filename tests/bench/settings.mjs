// settings.mjs - what the environment may change, for every program of the bench.
import fs from 'node:fs';
import path from 'node:path';
import { root } from '../e2e/tael.mjs';

/** The cores that this process may use. */
function allowedCores() {
    const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1];
    return list.split(',').flatMap((range) => {
        const [first, last = first] = range.split('-').map(Number);
        return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

const [first, second] = allowedCores();
const alone = second === undefined;
const number = (name, usual) => Number(process.env[name] ?? usual);

export const settings = {
    seconds: number('SECONDS_EACH', 3), // of a measured run, its warm-up not counted
    warm: number('WARM', 0.5),
    rounds: number('ROUNDS', 3),
    tries: number('TRIES', 2), // of a run that others disturbed
    connections: number('CONNECTIONS', 64),
    rate: number('RATE', 800), // of the runs at a fixed rate
    payments: number('PAYMENTS', 16000), // that a run of notifications pays
    idle: number('IDLE', 10000), // keep-alive connections without a request
    profile: process.env.PROFILE, // folder: perf records the server during each work there
    output: path.resolve(root, process.env.OUTPUT ?? 'build/bench'), // not /tmp: that may be memory
    accepted: path.resolve(root, process.env.ACCEPTED ?? 'tests/bench/accepted.json'),
    serverCore: alone ? null : number('SERVER_CORE', first),
    loadCore: alone ? null : number('LOAD_CORE', second),
};

/** [program, arguments] on one core, or where there is room (null). */
export function placed(core, program, args) {
    const all = args.map(String);
    return core === null ? [program, all] : ['taskset', ['-c', String(core), program, ...all]];
}
