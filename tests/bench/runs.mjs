// runs.mjs - several runs of each work, in turns, so that what changes on the machine meets all of them.
import { settings } from './settings.mjs';

export const DISTURBED = 0.15; // of a core, used by others meanwhile

export const isDisturbed = (row) => row.others > DISTURBED;

function median(list, of) {
    const sorted = [...list].sort((a, b) => of(a) - of(b));
    return sorted[Math.floor((sorted.length - 1) / 2)];
}

export class Runs {
    constructor() {
        this.rows = [];
    }

    /** One run; a disturbed one is tried again. `work` gives a row. */
    async once(work) {
        for (let i = 0; i < settings.tries; i++) {
            const row = await work();
            this.rows.push(row);
            console.error(`${row.work}: ${row.rate.toFixed(0)}/s, p99 ${(row.p99_us / 1000).toFixed(2)} ms, CPU `
                + `${row.cpu_us.toFixed(1)} µs, others ${(100 * row.others).toFixed(0)} %, the machine stood still for `
                + `${row.stalled_s.toFixed(2)} s of ${row.seconds.toFixed(1)} s`);
            if (!isDisturbed(row)) return;
        }
    }

    /** Each work in turn, from another one on each time. */
    async inTurns(works, rounds = settings.rounds) {
        for (let round = 0; round < rounds; round++) {
            const first = round % works.length;
            for (const work of [...works.slice(first), ...works.slice(0, first)]) await this.once(work);
        }
    }

    names() {
        return [...new Set(this.rows.map((row) => row.work))];
    }

    /** The row of the middle rate (of its share where it has a limit of its own), of CPU's and of latency's middle values,
     *  among the undisturbed runs if there are any. */
    middle(name) {
        const all = this.rows.filter((row) => row.work === name);
        const good = all.filter((row) => !isDisturbed(row));
        const use = good.length > 0 ? good : all;
        if (use.length === 0) return null;
        const row = { ...median(use, (one) => one.rate / (one.limit ?? 1)), runs: all.length, undisturbed: good.length };
        for (const name of ['cpu_us', 'cpu_limits', 'p50_us', 'p99_us', 'p999_us', 'p99_all_us']) row[name] = median(use, (one) => one[name])[name];
        return row;
    }

    middles() {
        return this.names().map((name) => this.middle(name));
    }
}
