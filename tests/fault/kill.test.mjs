// kill.test.mjs - kill -9 under load: whatever was acknowledged is there after the restart, once.
// The client writes each acknowledgement to its own file before it counts. ROUNDS: how many kills.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Alipay } from '../e2e/alipay.mjs';
import { Engine, sleep } from '../e2e/tael.mjs';

const rounds = Number(process.env.ROUNDS ?? 12);
const clients = 8;

test(`nothing acknowledged is lost or doubled over ${rounds} kills`, async () => {
    const engine = await new Engine().start();
    const alipay = new Alipay(engine);
    const journal = path.join(engine.folder, 'acknowledged.log');
    const file = fs.openSync(journal, 'a');
    const acknowledge = (what) => {
        fs.writeSync(file, `${JSON.stringify(what)}\n`);
    };
    let running = true, order = 0;
    // A request that fails may or may not have had its effect; only answers count.
    const shop = async () => {
        while (running) {
            const name = `K${++order}`;
            try {
                const created = await engine.create(name);
                if (created.status !== 201) continue;
                acknowledge({ created: name, id: created.body.id });
                if (order % 3 === 0) continue;
                const body = alipay.form(alipay.fields(created.body));
                if (await alipay.send(created.body, body) === 'success')
                    acknowledge({ paid: name, id: created.body.id });
            } catch {
                await sleep(5); // the engine is down
            }
        }
    };
    const shoppers = Array.from({ length: clients }, shop);
    for (let round = 0; round < rounds; round++) {
        await sleep(100 + (round * 137) % 400);
        await engine.restart('SIGKILL');
    }
    running = false;
    await Promise.all(shoppers);
    fs.closeSync(file);

    const lines = fs.readFileSync(journal, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
    assert.ok(lines.length > rounds * 4, `only ${lines.length} acknowledgements`);
    for (const line of lines) {
        const name = line.created ?? line.paid;
        const found = (await engine.get(`/v1/payments?merchant_order_id=${name}`)).body.data;
        assert.equal(found.length, 1, `${name}: ${found.length} payments`);
        assert.equal(found[0].id, line.id);
        if (!line.paid) continue;
        assert.equal(found[0].state, 'paid', `${name} was acknowledged as paid`);
        const paid = (await engine.events(line.id)).filter((event) => event.type === 'payment.paid');
        assert.equal(paid.length, 1, `${name} has ${paid.length} payment.paid events`);
    }
    await engine.prove();
    await engine.remove();
});
