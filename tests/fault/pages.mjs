// pages.mjs - all of a list of the API, page by page.
import assert from 'node:assert/strict';

/** `read` asks for a target and gives its answer. */
export async function allOf(read, target) {
    const rows = [];
    for (let cursor = null; ;) {
        const { status, body, text } = await read(`${target}${cursor ? `&cursor=${cursor}` : ''}`);
        assert.equal(status, 200, text);
        rows.push(...body.data);
        cursor = body.next_cursor;
        if (body.data.length === 0 || !cursor) return rows;
    }
}
