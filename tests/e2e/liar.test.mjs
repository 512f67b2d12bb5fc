// liar.test.mjs - a channel script that says "paid" without evidence, with evidence of another message or another
// account, or with another amount than was signed: the kernel refuses, whatever the script says.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Engine, program, root } from './tael.mjs';

const config = `return {
    dev = true,
    merchants = { ["demo.test"] = { mode = "test", accounts = {
        ["liar-one"] = { channel = "liar", environment = "sandbox", app = "1001", platform = "liar.one" },
        ["liar-two"] = { channel = "liar", environment = "sandbox", app = "1002", platform = "liar.two" },
    } } },
}
`;

let engine, orders = 0;
const keys = {};
before(async () => {
    // one worker: the package's kept evidence must be met again
    engine = await new Engine({ env: { TAEL_WORKERS: '1' } }).start();
    await engine.stop();
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), config);
    for (const name of ['liar.one', 'liar.two']) {
        execFileSync(program, ['keys', 'generate', name], { cwd: engine.folder });
        keys[name] = fs.readFileSync(path.join(engine.folder, `data/keys/${name}.key`), 'utf8');
    }
    engine.options.scripts = path.join(root, 'tests/e2e/liar');
    await engine.start();
});
after(() => engine.remove());

const create = async (account = 'liar-one') => {
    const answer = await engine.create(`L${++orders}`, { channel: 'liar', account });
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
};

async function notify(payment, fields, { key = keys['liar.one'], account = 'liar-one' } = {}) {
    const form = {
        app: account === 'liar-one' ? '1001' : '1002', no: new URL(payment.next_action.url).searchParams.get('no'),
        id: crypto.randomInt(1e12).toString(), state: 'PAID', fee: '12.34', ...fields,
    };
    const text = Object.keys(form).sort().map((name) => `${name}=${form[name]}`).join('&');
    form.sign = crypto.sign('RSA-SHA256', Buffer.from(text), key).toString('base64');
    const response = await fetch(`${engine.url}/notify/liar/${account}`, {
        method: 'POST', body: new URLSearchParams(form).toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    return response.text();
}

const unchanged = async (payment) => {
    assert.deepEqual(await engine.payment(payment.id), payment);
    assert.equal((await engine.events(payment.id)).length, 1);
};

test('the truth is believed', async () => {
    const payment = await create();
    assert.equal(await notify(payment, { lie: 'truth, but keep it' }), 'success');
    assert.equal((await engine.payment(payment.id)).state, 'paid');
});

for (const lie of ['no evidence', 'evidence of another message']) {
    test(`"paid" with ${lie} is refused`, async () => {
        const payment = await create();
        assert.equal(await notify(payment, { lie }), 'fail');
        await unchanged(payment);
    });
}

test('"paid" with evidence made with the key of another account is refused', async () => {
    const payment = await create();
    assert.equal(await notify(payment, {}, { key: keys['liar.two'] }), 'fail');
    await unchanged(payment);
});

test('an order of one account is not paid through another', async () => {
    const payment = await create('liar-one');
    assert.equal(await notify(payment, {}, { key: keys['liar.two'], account: 'liar-two' }), 'fail');
    await unchanged(payment);
});

test('another amount than was signed is refused', async () => {
    const payment = await create();
    assert.equal(await notify(payment, { lie: 'another amount', fee: '0.01', claim: '1234.0' }), 'fail');
    await unchanged(payment);
});

test('a trade number that was not signed is refused', async () => {
    const payment = await create();
    assert.equal(await notify(payment, { lie: 'an unsigned trade number' }), 'fail');
    await unchanged(payment);
});

test('an order that was not signed is refused', async () => {
    const payment = await create(), other = await create();
    const reversed = [...new URL(other.next_action.url).searchParams.get('no')].reverse().join('');
    assert.equal(await notify(payment, { lie: 'another order', claim_no: reversed }), 'fail');
    await unchanged(payment);
    await unchanged(other);
});

test('what is stored of a channel that is gone can still be read', async () => {
    const paid = (await engine.get('/v1/payments?channel=liar&state=paid')).body.data[0];
    const open = await create();
    const { data } = (await engine.get('/v1/notifications?limit=100')).body;
    assert.ok(data.some(({ verdict }) => verdict === 'pass') && data.some(({ verdict }) => verdict === 'refused'));
    await engine.stop();
    fs.writeFileSync(path.join(engine.folder, 'tael.lua'), 'return { dev = true }\n');
    engine.options.scripts = path.join(root, 'scripts');
    await engine.start();
    const stored = (await engine.get('/v1/notifications?limit=100')).body.data;
    assert.ok(stored.length > 0 && stored.every(({ channel }) => channel === 'liar'));
    for (const { id, verdict } of stored) {
        const { status, body, text } = await engine.get(`/v1/notifications/${id}`);
        assert.deepEqual([status, body?.id, body?.verdict], [200, id, verdict], text);
        assert.deepEqual(body.answered, { status: 200, body: '' });
        const again = await engine.post(`/v1/notifications/${id}/replay`);
        assert.deepEqual([again.status, again.body.code], [503, 'no_channel_available']);
    }
    for (const { id } of [paid, open]) {
        for (const what of ['', '/attempts', '/timeline', '?expand=attempts,refunds,events,notifications']) {
            const { status, text } = await engine.get(`/v1/payments/${id}${what}`);
            assert.equal(status, 200, text);
        }
    }
    assert.equal((await engine.get('/v1/payments?channel=liar')).body.data.length > 1, true);
    assert.equal((await engine.payment(open.id)).next_action, null);
    const refund = await engine.post(`/v1/payments/${paid.id}/refunds`, { merchant_refund_id: 'R1' });
    assert.deepEqual([refund.status, refund.body.code], [503, 'no_channel_available']);
    assert.doesNotMatch(engine.process.output, /task\.failed|attempt to/);
});
