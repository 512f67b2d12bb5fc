// gates.mjs - the ratios that a change must not lose, and the comparison with the last accepted ones. Each is a figure
// of ours over a limit of the machine in the same run, so that it means the same on another machine.
const TOLERANCE = 0.1;
const TOLERANCE_TAIL = 0.5; // one stall of a shared disk is a whole percentile

const gates = [
    { name: 'create: of the signatures of a core', better: 'more', of: (run) => run.create.rate / run.create.limit },
    { name: 'create: CPU, in signatures', better: 'less', of: (run) => run.create.cpu_limits },
    { name: 'notify: of the verifications of a core', better: 'more', of: (run) => run.notify.rate / run.notify.limit },
    { name: 'notify: CPU, in verifications', better: 'less', of: (run) => run.notify.cpu_limits },
    { name: 'notify: p99, in turns of all connections', better: 'less', tolerance: TOLERANCE_TAIL,
        of: (run) => run.notify.p99_us * run.notify.rate / 1e6 / run.connections },
    { name: 'notify at a fixed rate: p50, in its CPU and a flush', better: 'less', tolerance: TOLERANCE_TAIL,
        of: (run) => run.rated.p50_us / (run.rated.cpu_us + 1e6 / run.flush.rate) },
    { name: 'notify at a fixed rate: p99, in p50s', better: 'less', tolerance: TOLERANCE_TAIL,
        of: (run) => run.rated.p99_us / run.rated.p50_us },
    { name: 'notify beside creates: p99, in p50s', better: 'less', tolerance: TOLERANCE_TAIL,
        of: (run) => run.beside.p99_us / run.beside.p50_us },
    { name: 'route: of the HTTP ceiling', better: 'more', of: (run) => run.route.rate / run.route.limit },
    { name: 'route: CPU, in answers of the ceiling', better: 'less', of: (run) => run.route.cpu_limits },
    { name: 'two workers: creates, in those of one', better: 'more', of: (run) => run.two.rate / run.one.rate },
    { name: 'memory idle, of 18 MiB', better: 'less', of: (run) => run.memory.idle.pss / 1024 / 18 },
    { name: 'memory after the load, of 28 MiB', better: 'less', of: (run) => run.memory.load.pss / 1024 / 28 },
    { name: 'an idle connection, of 2 KiB', better: 'less', of: (run) => run.idle.each_kib / 2 },
    { name: 'start to first answer, in starts of nginx', better: 'less', tolerance: TOLERANCE_TAIL,
        of: (run) => run.start_ms / run.ceiling_start_ms },
];

/** What ratios are accepted for: a kind of CPU. One with vector instructions for RSA signs four times as fast, and all that
 *  stands beside a signature weighs four times as much. */
export function kindOf({ cpu, ifma }) {
    return `${cpu}, RSA ${ifma ? 'with' : 'without'} AVX-512 IFMA`;
}

/** The ratios of a run; one that lacks a figure is left out. */
export function ratios(run) {
    const out = {};
    for (const { name, of } of gates) {
        let value;
        try { value = of(run); } catch { continue; }
        if (Number.isFinite(value)) out[name] = Number(value.toPrecision(3));
    }
    return out;
}

/** What became of each accepted ratio: { name, was, is, lost (0.12: 12 % worse), fails }. is undefined: not measured. */
export function compare(accepted, now) {
    return gates.filter(({ name }) => name in accepted).map(({ name, better, tolerance = TOLERANCE }) => {
        const was = accepted[name], is = now[name];
        if (is === undefined) return { name, was, fails: false };
        const lost = better === 'more' ? 1 - is / was : is / was - 1;
        return { name, was, is, lost, fails: lost > tolerance };
    });
}

/** The better one of each ratio of two measurements: others on the machine, and its slow minutes, make them only worse. */
export function betterOf(one, other) {
    const out = { ...one, ...other };
    for (const { name, better } of gates)
        if (name in one && name in other) out[name] = Math[better === 'more' ? 'max' : 'min'](one[name], other[name]);
    return out;
}
