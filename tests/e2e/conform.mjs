// conform.mjs - holds every answer of an engine against the engine's own OpenAPI document. Stricter than a client may
// be: a field that the document does not name is a mistake too.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { root } from './tael.mjs';

const require = createRequire(path.join(root, 'build/node_modules/'));
const Ajv = require('ajv/dist/2020.js').default;
const addFormats = require('ajv-formats').default;

/** Objects may hold what they name and nothing else. */
function strict(schema) {
    if (Array.isArray(schema)) return schema.map(strict);
    if (schema === null || typeof schema !== 'object') return schema;
    const copy = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, strict(value)]));
    const isObject = copy.type === 'object' || Array.isArray(copy.type) && copy.type.includes('object');
    if (isObject && copy.properties && typeof copy.properties === 'object' && !('additionalProperties' in copy))
        copy.additionalProperties = false;
    return copy;
}

export class Document {
    constructor(document) {
        this.document = document;
        this.ajv = new Ajv({ strict: false, allErrors: true });
        addFormats(this.ajv);
        this.ajv.addFormat('int64', { type: 'number', validate: Number.isSafeInteger });
        this.ajv.addSchema({ $id: 'api', components: strict(document.components) });
        this.paths = Object.entries(document.paths).map(([template, operations]) => ({
            template, operations, literal: !template.includes('{'),
            pattern: new RegExp(`^${template.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
        })).sort((a, b) => b.literal - a.literal);
        this.seen = new Map();
    }

    validator(schema) {
        const text = JSON.stringify(strict(schema)).replaceAll('"#/', '"api#/');
        if (!this.seen.has(text)) this.seen.set(text, this.ajv.compile(JSON.parse(text)));
        return this.seen.get(text);
    }

    fits(schema, value, what) {
        const validate = this.validator(schema);
        assert.ok(validate(value), `${what}: ${JSON.stringify(validate.errors?.slice(0, 5))}\n${JSON.stringify(value)}`);
    }

    /** What the document says of a request; undefined for paths and methods that are not there. */
    operation(method, target) {
        const { pathname } = new URL(target, 'http://x');
        const found = this.paths.find(({ pattern }) => pattern.test(pathname));
        return found?.operations[method.toLowerCase() === 'head' ? 'get' : method.toLowerCase()];
    }

    check(method, target, { status, headers, body, text }) {
        const operation = this.operation(method, target);
        const what = `${method} ${target} ${status}`;
        if (!operation) {
            this.fits({ $ref: '#/components/schemas/problem' }, body, what);
            return;
        }
        const described = operation.responses[status];
        assert.ok(described, `${what} is not in the document: ${text}`);
        const media = (headers.get('content-type') ?? '').split(';')[0];
        const content = described.content[media];
        assert.ok(content, `${what} answers with ${media}`);
        if (body !== null) this.fits(content.schema, body, what);
        for (const name of Object.keys(described.headers ?? {}))
            if (!/^(RateLimit|Idempotency-Replayed)/.test(name))
                assert.ok(headers.get(name), `${what} lacks ${name}`);
    }
}

/** From now on every answer to engine.request is checked. */
export async function conform(engine) {
    const document = new Document(await (await fetch(`${engine.url}/v1/openapi.json`)).json());
    const plain = engine.request.bind(engine);
    engine.request = async (method, target, options) => {
        const answer = await plain(method, target, options);
        document.check(method, target, answer);
        return answer;
    };
    return document;
}
