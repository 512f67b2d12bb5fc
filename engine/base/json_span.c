/* json_span.c - finds a member's raw text. Pure, any thread; no memory but the stack. */
#include "base/json_span.h"

enum { DEPTH_MAX = 64 };

/* Names met in one object. Hashes are compared first: bytes of unlike names are looked at once. */
struct names {
    struct tael_json_string list[TAEL_JSON_SPAN_MEMBERS_MAX];
    uint64_t hashes[TAEL_JSON_SPAN_MEMBERS_MAX];
    int count;
};

/* Whether name is new; it is remembered. */
static enum tael_json_fault add_name(struct names *names, const struct tael_json_string *name)
{
    uint64_t hash = tael_json_hash(name);
    for (int i = 0; i < names->count; i++)
        if (names->hashes[i] == hash && tael_json_same(&names->list[i], name))
            return TAEL_JSON_DUPLICATE;
    if (names->count == TAEL_JSON_SPAN_MEMBERS_MAX)
        return TAEL_JSON_MEMBERS;
    names->hashes[names->count] = hash;
    names->list[names->count++] = *name;
    return TAEL_JSON_NONE;
}

/* Looks through the object under the cursor to its end. *found stays empty when wanted is not
 * there. */
static enum tael_json_fault find_member(struct tael_cursor *cursor, struct tael_span wanted,
                                        struct tael_span *found)
{
    struct names names;
    names.count = 0;
    tael_json_skip_blanks(cursor);
    if (cursor->at == cursor->end)
        return TAEL_JSON_END;
    if (*cursor->at != '{')
        return TAEL_JSON_ABSENT;
    cursor->at++;
    if (tael_json_take_close(cursor, '}'))
        return TAEL_JSON_NONE;
    for (bool more = true; more;) {
        struct tael_json_string name;
        tael_json_skip_blanks(cursor);
        const char *name_at = cursor->at;
        enum tael_json_fault fault = tael_json_scan_name(cursor, &name);
        if (fault != TAEL_JSON_NONE)
            return fault;
        fault = add_name(&names, &name);
        if (fault != TAEL_JSON_NONE) {
            cursor->at = name_at;
            return fault;
        }
        tael_json_skip_blanks(cursor);
        const char *first = cursor->at;
        fault = tael_json_skip(cursor, DEPTH_MAX);
        if (fault != TAEL_JSON_NONE)
            return fault;
        if (tael_json_equals(&name, wanted))
            *found = (struct tael_span){first, (size_t)(cursor->at - first)};
        fault = tael_json_take_next(cursor, '}', &more);
        if (fault != TAEL_JSON_NONE)
            return fault;
    }
    return TAEL_JSON_NONE;
}

static enum tael_json_fault find_path(struct tael_cursor *cursor, struct tael_span path,
                                      struct tael_span *out)
{
    bool whole = true; /* the first object is the document: nothing may follow it */
    for (;;) {
        const char *dot = path.len > 0 ? memchr(path.data, '.', path.len) : NULL;
        size_t len = dot != NULL ? (size_t)(dot - path.data) : path.len;
        struct tael_span found = {NULL, 0};
        const char *start = cursor->at;
        enum tael_json_fault fault =
            find_member(cursor, (struct tael_span){path.data, len}, &found);
        if (fault == TAEL_JSON_NONE && whole)
            fault = tael_json_check_end(cursor);
        if (fault != TAEL_JSON_NONE)
            return fault;
        if (found.data == NULL) {
            cursor->at = start;
            return TAEL_JSON_ABSENT;
        }
        if (dot == NULL) {
            *out = found;
            return TAEL_JSON_NONE;
        }
        path = (struct tael_span){dot + 1, path.len - len - 1};
        cursor->at = found.data;
        cursor->end = found.data + found.len;
        whole = false;
    }
}

enum tael_json_fault tael_json_span(struct tael_span text, struct tael_span path,
                                    struct tael_span *out, size_t *offset)
{
    struct tael_cursor cursor = tael_cursor_of(text.data, text.len);
    enum tael_json_fault fault = find_path(&cursor, path, out);
    *offset = (size_t)(cursor.at - cursor.start);
    return fault;
}
