// smoke.test.mjs - the whole bench with tiny runs: every work runs, every answer and row is checked; how long it
// takes says nothing.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root } from '../e2e/tael.mjs';

const tiny = {
    SECONDS_EACH: '0.5', WARM: '0.1', ROUNDS: '1', TRIES: '1', CONNECTIONS: '8', RATE: '50', PAYMENTS: '150', IDLE: '60',
    ACCEPTED: 'none',
};

test('every work runs and is checked', () => {
    const OUTPUT = path.join(root, 'build/bench/smoke');
    const { status, stdout, stderr } = spawnSync('node', ['tests/bench/bench.mjs'],
        { cwd: root, env: { ...process.env, ...tiny, OUTPUT }, encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    const last = JSON.parse(fs.readFileSync(path.join(OUTPUT, 'last.json'), 'utf8'));
    for (const work of ['create', 'notify', 'rated', 'beside', 'route']) {
        assert.ok(last[work].right > 0, `${work}: ${stdout}`);
        if (work !== 'route') assert.ok(last[work].rows > 1, `${work} writes rows`);
    }
    assert.match(stdout, /checked: [\d,]+ creates and their signatures, [\d,]+ notifications of [\d,]+ payments, [\d,]+ forged ones; the store agrees/);
    fs.rmSync(OUTPUT, { recursive: true });
});
