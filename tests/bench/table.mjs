// table.mjs - shows what was measured.
import { DISTURBED } from './runs.mjs';
import { settings } from './settings.mjs';

const whole = (value) => Math.round(value).toLocaleString('en-US');
const percent = (part, digits = 0) => `${(100 * part).toFixed(digits)} %`;
const mib = (kib) => (kib / 1024).toFixed(1);
const optional = (value, digits) => (value === null || value === undefined ? '' : value.toFixed(digits));

/** Lines of a Markdown table; the first column is text. */
export function markdown(heads, rows) {
    const lines = [heads, ...rows.map((row) => row.map(String))];
    const widths = heads.map((_, i) => Math.max(3, ...lines.map((line) => line[i].length)));
    const cell = (text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]));
    const line = (cells) => `| ${cells.map(cell).join(' | ')} |`;
    const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
    return [line(heads), rule, ...lines.slice(1).map(line)].join('\n');
}

const columns = [
    ['work', (row) => row.work],
    ['req/s', (row) => whole(row.rate)],
    ['of limit', (row) => (row.limit ? percent(row.rate / row.limit, 1) : '')],
    ['p50 ms', (row) => (row.p50_us / 1000).toFixed(2)],
    ['p99 ms', (row) => (row.p99_us / 1000).toFixed(2)],
    ['p999 ms', (row) => (row.p999_us / 1000).toFixed(2)],
    ['p99 with stalls', (row) => (row.p99_all_us / 1000).toFixed(2)],
    ['CPU µs/req', (row) => row.cpu_us.toFixed(1)],
    ['rows/req', (row) => optional(row.rows, 2)],
    ['b-trees/req', (row) => optional(row.trees, 2)],
    ['units/commit', (row) => optional(row.group, 1)],
    ['others', (row) => percent(row.others)],
    ['runs (undisturbed)', (row) => `${row.runs} (${row.undisturbed})`],
];

export function printMachine({ machine, flush, groups }) {
    const { serverCore, loadCore, connections } = settings;
    console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${machine.openssl}`);
    console.log(serverCore === null ? 'one core for server and load: the figures mean little'
        : `server with its store on core ${serverCore}, load on core ${loadCore}`);
    console.log(`one worker, ${connections} connections, log on; SQLite WAL with FULL, answers after the commit`);
    console.log(`4 KiB + fdatasync: ${whole(flush.rate)}/s, p99 ${flush.p99_ms.toFixed(2)} ms; `
        + `SQLite inserts: ${whole(groups.one)}/s, 64 to a commit ${whole(groups.many)}/s\n`);
}

export function printWorks(rows, rsa) {
    console.log(markdown(columns.map(([head]) => head), rows.map((row) => columns.map(([, show]) => show(row)))));
    console.log(`\nlimit: of create ${whole(rsa.sign)} RSA-2048 signatures/s (${(1e6 / rsa.sign).toFixed(0)} µs), of notify `
        + `${whole(rsa.verify)} verifications/s (${(1e6 / rsa.verify).toFixed(1)} µs), of route the HTTP ceiling`);
    for (const row of rows.filter((one) => one.threads))
        console.log(`CPU µs/req by thread, ${row.work}: ${row.threads.map(({ name, us }) => `${us.toFixed(1)} ${name.replace('tael-', '')}`).join(' + ')}`);
    if (rows.some((row) => row.others > DISTURBED))
        console.log(`others used more than ${percent(DISTURBED)} of a core: trust CPU µs/req, not req/s`);
}

export function printRoom({ memory, idle, start_ms, ceiling_start_ms }) {
    const both = ({ pss, dirty }) => `${mib(pss)} MiB, ${mib(dirty)} of them private and dirty`;
    console.log(`\nmemory idle: ${both(memory.idle)}`);
    if (memory.load) console.log(`memory after the load: ${both(memory.load)}`);
    if (idle) console.log(`an idle connection: ${idle.each_kib.toFixed(2)} KiB (${whole(idle.connections)} of them)`);
    console.log(`start to first answer: ${start_ms.toFixed(0)} ms (nginx: ${ceiling_start_ms.toFixed(0)} ms)`);
}

export function printChecks({ count, settled }) {
    console.log(`checked: ${whole(count)} creates and their signatures, ${whole(settled.good)} notifications of `
        + `${whole(settled.payments.size)} payments, ${whole(settled.forged)} forged ones; the store agrees`);
}

/** How the ratios stand beside the accepted ones. */
export function printGates(now, compared) {
    const of = new Map(compared.map((gate) => [gate.name, gate]));
    console.log('');
    console.log(markdown(['ratio', 'now', 'accepted', 'lost'], Object.entries(now).map(([name, value]) => {
        const gate = of.get(name);
        return [name, value, gate?.was ?? '', gate ? percent(gate.lost) + (gate.fails ? ' LOST' : '') : ''];
    })));
}
