// openapi.test.mjs - the document of the API: valid by the official schema of OpenAPI 3.1, and true of what it says
// about requests.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Document } from './conform.mjs';
import { Engine, root } from './tael.mjs';

let engine, document;
before(async () => {
    engine = await new Engine().start();
    document = await (await fetch(`${engine.url}/v1/openapi.json`)).json();
});
after(() => engine.remove());

test('the official schema of OpenAPI 3.1 takes it', async () => {
    const at = path.join(root, 'build/node_modules/@seriousme/openapi-schema-validator/index.js');
    const { Validator } = await import(at);
    const validator = new Validator();
    const result = await validator.validate(structuredClone(document));
    assert.deepEqual([result.valid, result.errors], [true, undefined]);
    assert.equal(validator.version, '3.1');
    validator.resolveRefs();
    const broken = structuredClone(document);
    delete broken.paths['/v1/payments'].post.responses;
    broken.paths['/v1/payments'].post.parameters = [{ name: 'x' }];
    assert.equal((await new Validator().validate(broken)).valid, false, 'the validator sees a mistake');
});

test('what it does not say of an answer is found', () => {
    const checked = new Document(document);
    const headers = new Headers({ 'content-type': 'application/json' });
    const page = { data: [], next_cursor: null };
    const schema = { $ref: '#/components/schemas/payment_list' };
    checked.fits(schema, page, 'an empty page');
    for (const wrong of [{ data: [] }, { ...page, total: 1 }, { data: [{}], next_cursor: null }, { ...page, next_cursor: 1 }])
        assert.throws(() => checked.fits(schema, wrong, 'a page'), JSON.stringify(wrong));
    assert.throws(() => checked.check('GET', '/v1/payments', { status: 418, headers, body: page, text: '' }), /not in the document/);
});

test('it is served without a key, on every listener', async () => {
    assert.equal((await fetch(`${engine.operations}/v1/openapi.json`)).status, 200);
    new Document(document).check('GET', '/v1/openapi.json', await engine.get('/v1/openapi.json', { key: null }));
    assert.equal(document.servers[0].url, engine.url);
    assert.match(document.info.version, /^\d+\.\d+\.\d+/);
});

test('its schemas of requests and the checks of the engine agree', async () => {
    const checked = new Document(document);
    const schema = document.paths['/v1/payments'].post.requestBody.content['application/json'].schema;
    const good = { merchant_order_id: 'D1', amount: 1234, currency: 'CNY', subject: 'coffee', channel: 'alipay', product: 'page' };
    const bodies = [
        [good, true], [{ ...good, merchant_order_id: 'D2', metadata: { a: 'b' }, description: 'x', expires_in: 600 }, true],
        [{ ...good, merchant_order_id: 'a b' }, false], [{ ...good, amount: 0 }, false], [{ ...good, amount: 1.5 }, false],
        [{ ...good, amount: 100000000000001 }, false], [{ ...good, amount: '1' }, false], [{ ...good, currency: 'cny' }, false],
        [{ ...good, subject: '' }, false], [{ ...good, subject: 'x'.repeat(129) }, false], [{ ...good, subject: 'a\nb' }, false],
        [{ ...good, curency: 'CNY' }, false], [{ ...good, product: 'paper' }, false], [{ ...good, expires_in: 59 }, false],
        [{ ...good, expires_at: 'soon' }, false], [{ ...good, metadata: { 'a b': 'x' } }, false], [{ ...good, metadata: { a: 1 } }, false],
        [{ ...good, payer: { ip: 'x' } }, false], [{ ...good, payer: [] }, false], [[], false], ['x', false],
        [{ ...good, metadata: { ['a'.repeat(41)]: 'x' } }, false], [{ ...good, account: 'UPPER' }, false], [{ amount: 1 }, false],
    ];
    const validate = checked.validator(schema);
    for (const [body, fits] of bodies) {
        assert.equal(validate(body), fits, `the document: ${JSON.stringify(body)}`);
        const { status, text } = await engine.post('/v1/payments', body);
        assert.equal(status, fits ? 201 : 400, `the engine: ${JSON.stringify(body)}: ${text}`);
    }
});

test('its parameters are those that the engine takes', async () => {
    for (const [template, operations] of Object.entries(document.paths)) {
        const operation = operations.get;
        if (!operation || template.includes('{') || !operation.responses[401] || /^Only at/m.test(operation.description ?? '')) continue;
        for (const parameter of operation.parameters ?? []) {
            if (parameter.in !== 'query') continue;
            const values = { integer: '1', array: parameter.schema.items?.enum[0], string: parameter.schema.enum?.[0] ?? '%00' };
            const { body, status } = await engine.get(`${template}?${parameter.name}=${values[parameter.schema.type]}`);
            if (status !== 200) assert.doesNotMatch(body.detail, /unknown parameter/, `${template} ${parameter.name}`);
        }
        const { body } = await engine.get(`${template}?no_such_parameter=1`);
        assert.match(body.detail, /unknown parameter 'no_such_parameter'/);
    }
});

test('a body that is too large is refused as it is described', async () => {
    const answer = await engine.post('/v1/payments', 'x'.repeat(300000));
    assert.deepEqual([answer.status, answer.body.code, answer.body.instance], [413, 'too_large', undefined], answer.text);
    const described = document.paths['/v1/payments'].post.responses[413].content['application/problem+json'];
    new Document(document).fits(described.schema, answer.body, 'too large');
});

test('every route answers as it is described when nobody says who asks', async () => {
    const checked = new Document(document);
    let count = 0;
    for (const [template, operations] of Object.entries(document.paths)) {
        for (const [method, operation] of Object.entries(operations)) {
            const target = template.replace(/\{\w+\}/g, 'x');
            if (!operation.responses[401] || /^Only at/m.test(operation.description ?? '')) continue;
            const answer = await engine.request(method.toUpperCase(), target, { key: null });
            assert.equal(answer.status, 401, target);
            checked.check(method, target, answer);
            count++;
        }
    }
    assert.ok(count > 15, `only ${count} routes`);
});
