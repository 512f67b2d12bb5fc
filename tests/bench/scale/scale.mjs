// scale.mjs - what a payment costs when many are there already: the same works on stores that differ only in size,
// in turns. The smallest store is proved by `tael doctor --deep` before and after.
//   SIZES=1000,1000000 node tests/bench/scale/scale.mjs
import fs from 'node:fs';
import path from 'node:path';
import { Runs } from '../runs.mjs';
import { settings } from '../settings.mjs';
import { markdown } from '../table.mjs';
import { Sized } from './sized.mjs';

const sizes = (process.env.SIZES ?? '1000,1000000').split(',').map(Number);

function print(runs, all) {
    const rows = [];
    for (const name of ['create', 'notify', 'notify of old ones']) {
        const base = runs.middle(`${name}, ${all[0].name}`) ?? runs.middle(`notify, ${all[0].name}`);
        for (const { name: size } of all) {
            const row = runs.middle(`${name}, ${size}`);
            if (!row) continue;
            rows.push([row.work, Math.round(row.rate), row.cpu_us.toFixed(1), (row.cpu_us / base.cpu_us).toFixed(2),
                (row.p99_us / 1000).toFixed(2), (row.wal / 1048576).toFixed(1), (row.memory.pss / 1024).toFixed(1),
                `${row.runs} (${row.undisturbed})`]);
        }
    }
    console.log(markdown(['work, payments in the store', 'req/s', 'CPU µs/req', 'CPU ratio', 'p99 ms', 'largest log MiB', 'memory MiB',
        'runs (undisturbed)'], rows));
}

async function main() {
    fs.mkdirSync(settings.output, { recursive: true });
    const folder = fs.mkdtempSync(path.join(settings.output, 'scale-'));
    const all = sizes.map((size) => new Sized(folder, size)), runs = new Runs();
    for (const sized of all) {
        const from = performance.now();
        await sized.prepare();
        const bytes = fs.statSync(sized.server.database).size;
        console.error(`${sized.name} payments: ${(bytes / 2 ** 30).toFixed(2)} GiB in ${((performance.now() - from) / 1000).toFixed(0)} s`);
    }
    await all[0].prove();
    try {
        await runs.inTurns(all.flatMap((sized) =>
            [sized.creates(), sized.notifies(), ...sized.size > 10000 ? [sized.notifiesOld()] : []]));
        await all[0].prove();
    } finally {
        for (const { server } of all) await server.end();
    }
    print(runs, all);
    fs.rmSync(folder, { recursive: true });
}

main().catch((error) => {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
});
