// seed.test.mjs - the rows that the bench seeds are what the engine would have written: it opens them, seals them,
// and finds nothing wrong.
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Sized } from './scale/sized.mjs';
import { settings } from './settings.mjs';

test('a seeded store is proved by tael doctor --deep', async () => {
    fs.mkdirSync(settings.output, { recursive: true });
    const folder = fs.mkdtempSync(path.join(settings.output, 'seed-'));
    const sized = new Sized(folder, 120);
    try {
        await sized.prepare();
        await sized.prove();
    } finally {
        await sized.server.end();
    }
    fs.rmSync(folder, { recursive: true });
});
