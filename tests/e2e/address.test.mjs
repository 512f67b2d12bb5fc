// address.test.mjs - where an engine lets its channels be: without leave to, no script reaches an address of this
// machine or its networks.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Engine, until } from './tael.mjs';

test('channels at private addresses need leave', async (t) => {
    const engine = await new Engine({ env: { TAEL_CLIENT__ALLOW_PRIVATE: 'false' } }).start();
    t.after(() => engine.remove());
    const made = await engine.create('private-1', { product: 'qr' }); // the simulated channel is at 127.0.0.1
    assert.equal(made.status, 201, made.text);
    assert.deepEqual([made.body.state, made.body.next_action.type], ['pending', 'wait']);
    const line = await until('the alarm', () =>
        engine.process.output.split('\n').find((text) => text.includes('"kind":"channel_not_sent"')));
    assert.match(line, /127\.0\.0\.1 is a loopback address/);
    await until('the call is in the log', () =>
        /"event":"channel\.call".*"class":"not_sent".*"reason":"address"/.test(engine.process.output));
});

test('development gives it', async (t) => {
    const engine = await new Engine().start();
    t.after(() => engine.remove());
    const made = await engine.create('private-2', { product: 'qr' });
    assert.equal(made.status, 201, made.text);
    assert.equal(made.body.next_action.type, 'qr_code', made.text);
});
