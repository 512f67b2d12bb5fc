// store.mjs - looks into the engine's SQLite file with the sqlite3 program, never through the engine.
import { execFileSync } from 'node:child_process';

export class Store {
    /** since: rows with smaller ids were there before and are not looked at. */
    constructor(file, since = 0n) {
        this.file = file;
        this.since = since;
    }

    query(sql) {
        const text = execFileSync('sqlite3', ['-readonly', '-json', this.file, sql],
            { encoding: 'utf8', maxBuffer: 1 << 26 });
        return text.trim() === '' ? [] : JSON.parse(text);
    }

    number(sql) {
        return Object.values(this.query(sql)[0])[0];
    }

    /** Rows and entries of every b-tree, and the updates that the rows themselves tell of. */
    written() {
        this.trees ??= this.query(`SELECT type, name, tbl_name AS "table", sql FROM sqlite_master
            WHERE type IN ('table', 'index') AND name NOT LIKE 'sqlite_%'`);
        const counts = this.trees.map(({ type, name, table, sql }) => {
            const partial = type === 'index' ? /\bWHERE\b(.*)$/s.exec(sql ?? '')?.[1] : undefined;
            const predicate = `rowid >= ${this.since} ${partial ? `AND (${partial})` : ''}`;
            return `SELECT '${type}' AS type, '${name}' AS name, count(*) AS n FROM "${table}" WHERE ${predicate}`;
        });
        const rows = this.query(counts.join(' UNION ALL '));
        const sum = (type) => rows.filter((row) => row.type === type).reduce((all, row) => all + row.n, 0);
        const updated = this.number(`SELECT coalesce(sum(version - 1), 0) FROM payments WHERE id >= ${this.since}`)
            + this.number(`SELECT count(*) FROM attempts WHERE evidence IS NOT NULL AND id >= ${this.since}`);
        return { inserted: sum('table'), entries: sum('index'), updated };
    }

    /** What was written between two looks, for one request. */
    static perRequest(before, after, requests) {
        const [inserted, entries, updated] = ['inserted', 'entries', 'updated'].map((what) => after[what] - before[what]);
        return { rows: (inserted + updated) / requests, trees: (inserted + updated + entries) / requests };
    }

    static agree(what, found, expected) {
        if (found !== expected) throw new Error(`${what}: the store has ${found}, the answers say ${expected}`);
    }

    payments() {
        return this.number(`SELECT count(*) FROM payments WHERE id >= ${this.since}`);
    }

    /** Payments, transitions and messages of the notifications so far. */
    settled() {
        const since = `id >= ${this.since}`;
        return this.query(`SELECT
            (SELECT count(DISTINCT p.id) FROM events e JOIN payments p ON p.id = e.payment
                WHERE e.${since} AND e.type = 'payment.paid' AND p.state = 'paid') AS paid,
            (SELECT count(*) FROM events WHERE ${since} AND type = 'payment.paid') AS transitions,
            (SELECT count(*) FROM notifications WHERE ${since} AND verdict = 'pass' AND effect <> 'none') AS effective,
            (SELECT count(*) FROM notifications WHERE ${since} AND verdict = 'pass' AND effect = 'none') AS repeats,
            (SELECT count(*) FROM notifications WHERE ${since} AND verdict <> 'pass') AS refused`)[0];
    }

    /** Throws unless the store holds exactly what the answers said: { good, payments } of them. */
    compareSettled({ good, payments: { size } }) {
        const found = this.settled();
        Store.agree('paid payments', found.paid, size);
        Store.agree('transitions to paid', found.transitions, size);
        Store.agree('notifications with an effect', found.effective, size);
        Store.agree('repeated notifications', found.repeats, good - size);
        Store.agree('forged notifications', found.refused, 0);
    }
}
