// The comparison with the accepted ratios.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare, ratios } from './gates.mjs';

const run = {
    connections: 64, rsa: { sign: 2000, verify: 50000 }, flush: { rate: 1000 },
    create: { rate: 1600, cpu_us: 600 }, notify: { rate: 10000, cpu_us: 100, p99_us: 7000 },
};

test('ratios are of the limits, and what was not measured is left out', () => {
    const now = ratios(run);
    assert.equal(now['create: of the signatures of a core'], 0.8);
    assert.equal(now['create: CPU, in signatures'], 1.2);
    assert.equal(now['notify: of the verifications of a core'], 0.2);
    assert.equal(now['notify: p99, in turns of all connections'], 1.09);
    assert.equal(Object.keys(now).some((name) => name.startsWith('route') || name.startsWith('memory')), false);
});

test('a faster and a slower machine have the same ratios', () => {
    const slower = structuredClone(run);
    slower.rsa = { sign: 1000, verify: 25000 };
    slower.create = { rate: 800, cpu_us: 1200 };
    slower.notify = { rate: 5000, cpu_us: 200, p99_us: 14000 };
    assert.deepEqual(ratios(slower), ratios(run));
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
