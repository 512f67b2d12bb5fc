// table.mjs - prints what was measured.
const whole = (value) => Math.round(value).toLocaleString('en-US');
const percent = (part, digits = 0) => `${(100 * part).toFixed(digits)} %`;

// "of RSA limit" is of the operation that the work cannot do without: a signature, a verification.
const columns = [
    ['work', (row) => row.work],
    ['req/s', (row) => whole(row.rate)],
    ['p50 ms', (row) => (row.p50_us / 1000).toFixed(2)],
    ['p99 ms', (row) => (row.p99_us / 1000).toFixed(2)],
    ['CPU µs/req', (row) => row.cpu_us.toFixed(1)],
    ['RSA µs', (row) => (1e6 / row.limit).toFixed(1)],
    ['of RSA limit', (row) => (row.fixed ? '' : percent(row.rate / row.limit, 1))],
    ['rows/req', (row) => row.rows.toFixed(2)],
    ['b-trees/req', (row) => row.trees.toFixed(2)],
    ['units/commit', (row) => row.group.toFixed(1)],
    ['others', (row) => (row.others === null ? '?' : percent(row.others))],
];

export function printMachine({ machine, setup, rsa, flush }) {
    const { serverCore, loadCore, workers, connections } = setup;
    console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${machine.openssl}`);
    console.log(serverCore === null ? 'one core for server and load: the figures mean little'
        : `server with its store on core ${serverCore}, load on core ${loadCore}`);
    console.log(`${workers} worker(s), ${connections} connections, log on; SQLite WAL with FULL, answers after the commit`);
    console.log(`limits of the core: rsa2048 ${whole(rsa.sign)} signatures/s, ${whole(rsa.verify)} verifications/s; `
        + `4 KiB + fdatasync ${whole(flush.rate)}/s, p99 ${flush.p99_ms.toFixed(2)} ms\n`);
}

export function printRows(rows) {
    const lines = [columns.map(([head]) => head), ...rows.map((row) => columns.map(([, show]) => show(row)))];
    const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
    for (const line of lines)
        console.log(line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '));
    console.log('\nCPU µs/req by thread:');
    for (const row of rows) console.log(`  ${row.work}: ${row.thread_us.map((us) => us.toFixed(1)).join(' + ')}`);
    if (rows.some((row) => row.others > 0.15))
        console.log('others: something else used more than 15 % of the server\'s core; trust CPU µs/req, not req/s');
}

export function printChecks({ created, settled, memory }) {
    const mib = (kib) => (kib === null ? '?' : (kib / 1024).toFixed(1));
    console.log(`memory (PSS): ${mib(memory.idle)} MiB idle, ${mib(memory.after)} MiB after the load`);
    console.log(`checked: ${whole(created.length)} creates and their signatures, ${whole(settled.good)} notifications of `
        + `${whole(settled.payments.size)} payments, ${whole(settled.forged)} forged ones; the store agrees`);
}
