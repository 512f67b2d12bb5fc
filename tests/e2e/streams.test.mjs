// streams.test.mjs - what a shell or a service manager has made of stdin, stdout, stderr and SIGHUP: closed, full, without a
// reader, not to be heard.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { test } from 'node:test';
import { freePort, program, temporaryFolder, until } from './tael.mjs';

async function place(t) {
    const folder = temporaryFolder('streams');
    t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
    const ports = [await freePort(), await freePort(), await freePort()];
    return { folder, url: `http://127.0.0.1:${ports[0]}`, env: {
        ...process.env, TAEL_HTTP__LISTEN: `127.0.0.1:${ports[0]}`, TAEL_OPERATIONS__LISTEN: `127.0.0.1:${ports[1]}`,
        TAEL_SANDBOX__LISTEN: `127.0.0.1:${ports[2]}` } };
}

/** In a shell: the program becomes what is after `before`. */
const shell = (at, line) => ['sh', ['-c', line.replaceAll('tael', `"${program}"`)], { cwd: at.folder, env: at.env, encoding: 'utf8' }];

const answers = (at) => fetch(`${at.url}/healthz`).then((response) => response.status === 200, () => false);

for (const closed of ['<&-', '>&-', '2>&-', '<&- >&- 2>&-'])
    test(`an engine runs with ${closed}`, { timeout: 120_000 }, async (t) => {
        const at = await place(t);
        const child = spawn(...shell(at, `exec tael serve --dev ${closed}`));
        const ended = once(child, 'exit');
        t.after(() => child.kill('SIGKILL'));
        await until('it answers, or has ended', async () => await answers(at) || child.exitCode !== null || child.signalCode !== null);
        assert.ok(await answers(at), `ended with ${child.exitCode ?? child.signalCode}`);
        child.kill('SIGTERM');
        assert.deepEqual(await ended, [0, null]);
    });

test('a command whose answer cannot be written does not end well', async (t) => {
    const at = await place(t);
    for (const command of ['version', '--help', 'config show', '--json config show', 'keys generate']) {
        const run = spawnSync(...shell(at, `exec tael ${command} > /dev/full`));
        assert.equal(run.status, 7, `${command}: ${run.stderr}`);
        assert.match(run.stderr, /^tael: the (answer could not|version cannot) be written: No space left on device\n/m, command);
    }
    const refused = spawnSync(...shell(at, 'exec tael nonsense > /dev/full'));
    assert.equal(refused.status, 2, 'what went wrong before is what is told');
});

test('a reader that has seen enough is no failure', async (t) => {
    const at = await place(t);
    const run = spawnSync(...shell(at, '{ sleep 0.5; tael config show; echo "$?" >&2; } | true'));
    assert.equal(run.stderr, '0\n');
});

test('tael dev under nohup outlives its terminal', { timeout: 120_000 }, async (t) => {
    const at = await place(t);
    const child = spawn(...shell(at, 'trap "" HUP; exec tael dev'));
    const ended = once(child, 'exit');
    t.after(() => child.kill('SIGKILL'));
    await until('it answers', () => answers(at));
    child.kill('SIGHUP');
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1500))]);
    assert.equal(child.exitCode, null);
    assert.ok(await answers(at));
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
});
