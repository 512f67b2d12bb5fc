// engine_requests.test.mjs - every request of the channel package as Alipay's official library sees it: the library
// signs the same parameters to the same signature, verifies them, and puts them in the same places.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { root } from '../e2e/tael.mjs';
import { AlipaySdk, sdkSign } from './sandbox.mjs';

const { keys } = JSON.parse(fs.readFileSync(path.join(root, 'tests/vectors/alipay-sign.json'), 'utf8'));
const appId = '2021000000000001';

// the package in a plain Lua, with the vectors' keys
const script = `
dofile "tests/spec/setup.lua"
local support = dofile "tests/spec/channel_support.lua"
local call, json = require "tael.channel.call", require "tael.json"
local package = require "tael.channel.loader".load("scripts").alipay
local account = support.account(package)
local requests = {}
for _, op in ipairs { "create", "query", "close", "cancel", "refund", "refund_query" } do
    local ctx = support.context { attempt = { product = "qr" },
        payment = { subject = "咖啡 coffee + \\"two\\" 50%", description = "a/b & <c> 🍵" } }
    ctx.refund = { refund_no = "R1", amount = 300, currency = "CNY", reason = "坏了 + '50%'" }
    requests[op] = assert(call.build(package, op, account, ctx))
end
print(json.encode(requests))
`;
const requests = JSON.parse(execFileSync('lua5.4', ['-'], { cwd: root, input: script, encoding: 'utf8' }));

/** The library as our merchant, which takes the merchant's own public key for Alipay's. */
const library = (gateway = 'https://openapi.alipay.com/gateway.do') => new AlipaySdk({
    appId, gateway, keyType: 'PKCS8', privateKey: keys.merchant.private_pkcs8,
    alipayPublicKey: keys.merchant.public,
});

const query = (url) => Object.fromEntries(new URL(url, 'http://localhost').searchParams);

/** What the library itself puts on the wire for this method and content. */
async function recorded(method, content, notifyUrl) {
    let seen;
    const server = http.createServer(async (request, response) => {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        seen = { method: request.method, query: query(request.url),
            body: Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString())) };
        response.end(`{"${method.replaceAll('.', '_')}_response":{"code":"10000","msg":"Success"},"sign":"x"}`);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await library(`http://127.0.0.1:${server.address().port}/gateway.do`)
        .exec(method, { bizContent: content, ...notifyUrl && { notifyUrl } }, { validateSign: false });
    server.close();
    return seen;
}

for (const [op, request] of Object.entries(requests)) {
    const system = query(request.url);
    const parameters = { ...system, ...request.form };
    const { method } = system;

    test(`${op}: the library signs ${method} to the same signature`, () => {
        const { sign, biz_content: content, method: _, ...rest } = parameters;
        const ours = sdkSign(method, { ...rest, bizContent: JSON.parse(content) }, library().config,
            { bizContentAutoSnakeCase: false });
        assert.equal(ours.biz_content, content);
        assert.equal(ours.sign, sign);
    });

    test(`${op}: the library verifies it, and nothing that was changed`, () => {
        assert.equal(library().checkNotifySignV2(parameters), true);
        for (const name of Object.keys(parameters).filter((name) => !/^sign/.test(name)))
            assert.equal(library().checkNotifySignV2({ ...parameters, [name]: `${parameters[name]}0` }), false, name);
    });

    test(`${op}: the library puts the same names in the same places`, async () => {
        const seen = await recorded(method, JSON.parse(request.form.biz_content), system.notify_url);
        const { format, ...named } = system; // "JSON" is the only one there is: the library leaves it out
        assert.equal(format, 'JSON');
        assert.deepEqual(Object.keys(named).sort(), Object.keys(seen.query).sort());
        assert.deepEqual(request.form, seen.body);
        assert.equal(request.method, seen.method);
    });
}
