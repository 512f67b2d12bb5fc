// gates.test.mjs - the comparison with the accepted ratios.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { betterOf, compare, kindOf, ratios } from './gates.mjs';
import { Runs } from './runs.mjs';

const run = {
    connections: 64, flush: { rate: 1000 },
    create: { rate: 1600, limit: 2000, cpu_limits: 1.2 },
    notify: { rate: 10000, limit: 50000, cpu_limits: 5, p99_us: 7000 },
    rated: { p50_us: 1800, p99_us: 3600, cpu_us: 500 },
};

test('ratios are of the limits, and what was not measured is left out', () => {
    const now = ratios(run);
    assert.equal(now['create: of the signatures of a core'], 0.8);
    assert.equal(now['create: CPU, in signatures'], 1.2);
    assert.equal(now['notify: of the verifications of a core'], 0.2);
    assert.equal(now['notify: p99, in turns of all connections'], 1.09);
    assert.equal(now['notify at a fixed rate: p50, in its CPU and a flush'], 1.2);
    assert.equal(now['notify at a fixed rate: p99, in p50s'], 2);
    assert.equal(Object.keys(now).some((name) => name.startsWith('route') || name.startsWith('memory')), false);
});

test('a faster and a slower machine have the same ratios', () => {
    const slower = structuredClone(run);
    slower.create = { rate: 800, limit: 1000, cpu_limits: 1.2 };
    slower.notify = { rate: 5000, limit: 25000, cpu_limits: 5, p99_us: 14000 };
    slower.rated = { p50_us: 3600, p99_us: 7200, cpu_us: 1000 };
    slower.flush = { rate: 500 };
    assert.deepEqual(ratios(slower), ratios(run));
});

test('a CPU that signs by vector instructions is another kind', () => {
    const kinds = [true, false].map((ifma) => kindOf({ cpu: 'Some CPU', ifma }));
    assert.notEqual(kinds[0], kinds[1]);
    for (const kind of kinds) assert.ok(kind.startsWith('Some CPU, '));
});

function changed(name, value) {
    const accepted = ratios(run);
    return compare(accepted, { ...accepted, [name]: value }).filter((gate) => gate.fails).map((gate) => gate.name);
}

test('a loss of more than a tenth fails, in the direction that is worse', () => {
    assert.deepEqual(changed('create: of the signatures of a core', 0.73), []);
    assert.deepEqual(changed('create: of the signatures of a core', 0.71), ['create: of the signatures of a core']);
    assert.deepEqual(changed('create: of the signatures of a core', 1.6), []);
    assert.deepEqual(changed('create: CPU, in signatures', 1.31), []);
    assert.deepEqual(changed('create: CPU, in signatures', 1.33), ['create: CPU, in signatures']);
    assert.deepEqual(changed('create: CPU, in signatures', 0.6), []);
});

test('a tail may lose half: a stall of a shared disk is a whole percentile', () => {
    assert.deepEqual(changed('notify: p99, in turns of all connections', 1.6), []);
    assert.deepEqual(changed('notify: p99, in turns of all connections', 1.7), ['notify: p99, in turns of all connections']);
});

test('what was not measured is shown and fails nothing; what nobody accepted yet is not compared', () => {
    const accepted = ratios(run), { 'create: CPU, in signatures': gone, ...now } = accepted;
    const compared = compare(accepted, now);
    assert.ok(gone);
    assert.deepEqual(compared.find((gate) => gate.name === 'create: CPU, in signatures'),
        { name: 'create: CPU, in signatures', was: 1.2, fails: false });
    assert.deepEqual(compare({}, now), []);
});

test('of two measurements the better one counts, in the direction of each ratio', () => {
    const one = { 'create: of the signatures of a core': 0.7, 'create: CPU, in signatures': 1.4, 'memory idle, of 18 MiB': 0.5 };
    const other = { 'create: of the signatures of a core': 0.6, 'create: CPU, in signatures': 1.2, 'route: of the HTTP ceiling': 0.9 };
    assert.deepEqual(betterOf(one, other), { 'create: of the signatures of a core': 0.7, 'create: CPU, in signatures': 1.2,
        'memory idle, of 18 MiB': 0.5, 'route: of the HTTP ceiling': 0.9 });
});

test('a run is judged by the limit of its own minute', () => {
    const runs = new Runs();
    runs.rows = [
        { work: 'create', rate: 800, limit: 1000, cpu_limits: 1.1, others: 0 },
        { work: 'create', rate: 1000, limit: 1600, cpu_limits: 1.3, others: 0 },
        { work: 'create', rate: 600, limit: 900, cpu_limits: 1.2, others: 0 },
    ];
    const { rate, limit, cpu_limits } = runs.middle('create');
    assert.deepEqual([rate, limit, cpu_limits], [600, 900, 1.2]);
});
