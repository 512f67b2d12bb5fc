// group.mjs - what is asked for in one turn of the event loop is one transaction, answered after its commit.
export function grouped(db) {
    const begin = db.prepare('BEGIN IMMEDIATE'), commit = db.prepare('COMMIT');
    let waiting = [];
    const flush = () => {
        const group = waiting;
        waiting = [];
        begin.run();
        for (const one of group) {
            try { one.value = one.work(); } catch (error) { one.error = error; }
        }
        commit.run();
        for (const one of group) one.error ? one.reject(one.error) : one.resolve(one.value);
    };
    return (work) => new Promise((resolve, reject) => {
        if (waiting.push({ work, resolve, reject }) === 1) setImmediate(flush);
    });
}

export function open(Database, file) {
    const db = new Database(file, { timeout: 10000 });
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    return db;
}
