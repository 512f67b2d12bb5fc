/* json_read.c - one pass over the text, straight into Lua values.
 *
 * Members and elements are gathered on the Lua stack, FLUSH_MAX at a time, and then put into a
 * table that was made large enough: small objects, the common case, never rehash. Recursion is
 * bounded by the limit of depth. No C memory is held across a call that may raise but the scratch,
 * which belongs to Lua.
 */
#include <lauxlib.h>

#include "bind/json.h"

enum { FLUSH_MAX = 64 };

struct reader {
    lua_State *L;
    struct tael_cursor cursor;
    const struct tael_json_limits *limits;
    struct tael_json_scratch *scratch;
    int tokens;     /* left */
    int array_at;   /* stack index of the arrays' metatable */
    int decimal_at; /* of the decimals' */
};

static enum tael_json_fault read_value(struct reader *reader, int depth);

static bool take_token(struct reader *reader)
{
    return --reader->tokens >= 0;
}

static enum tael_json_fault push_string(struct reader *reader,
                                        const struct tael_json_string *string)
{
    size_t max = reader->limits->max_string;
    if (!string->escaped) {
        if (string->raw.len > max)
            return TAEL_JSON_STRING;
        lua_pushlstring(reader->L, string->raw.data, string->raw.len);
        return TAEL_JSON_NONE;
    }
    if (string->raw.len / 6 > max)
        return TAEL_JSON_STRING; /* an escape of six bytes stands for one at least */
    struct tael_buf *buf = &reader->scratch->text;
    tael_buf_clear(buf);
    if (tael_buf_reserve(buf, string->raw.len) != TAEL_OK)
        return TAEL_JSON_MEMORY;
    size_t len = tael_json_unescape(string->raw, buf->data);
    if (len > max)
        return TAEL_JSON_STRING;
    lua_pushlstring(reader->L, buf->data, len);
    return TAEL_JSON_NONE;
}

static enum tael_json_fault read_string(struct reader *reader)
{
    struct tael_json_string string;
    const char *start = reader->cursor.at;
    enum tael_json_fault fault = tael_json_scan_string(&reader->cursor, &string);
    if (fault == TAEL_JSON_NONE) {
        fault = push_string(reader, &string);
        if (fault != TAEL_JSON_NONE)
            reader->cursor.at = start;
    }
    return fault;
}

static enum tael_json_fault read_name(struct reader *reader)
{
    struct tael_json_string name;
    tael_json_skip_blanks(&reader->cursor);
    const char *start = reader->cursor.at;
    if (!take_token(reader))
        return TAEL_JSON_TOKENS;
    enum tael_json_fault fault = tael_json_scan_name(&reader->cursor, &name);
    if (fault == TAEL_JSON_NONE) {
        fault = push_string(reader, &name);
        if (fault != TAEL_JSON_NONE)
            reader->cursor.at = start;
    }
    return fault;
}

static enum tael_json_fault read_number(struct reader *reader)
{
    struct tael_json_number number;
    enum tael_json_fault fault = tael_json_scan_number(&reader->cursor, &number);
    if (fault != TAEL_JSON_NONE)
        return fault;
    if (number.integral)
        lua_pushinteger(reader->L, number.value);
    else
        tael_json_push_decimal(reader->L, number.text, reader->decimal_at);
    return TAEL_JSON_NONE;
}

static enum tael_json_fault read_literal(struct reader *reader)
{
    if (tael_cursor_take_text(&reader->cursor, "true"))
        lua_pushboolean(reader->L, 1);
    else if (tael_cursor_take_text(&reader->cursor, "false"))
        lua_pushboolean(reader->L, 0);
    else if (tael_cursor_take_text(&reader->cursor, "null"))
        lua_pushlightuserdata(reader->L, NULL);
    else
        return TAEL_JSON_VALUE;
    return TAEL_JSON_NONE;
}

/* ---- arrays ---- */

/* Moves count elements from the top of the stack into the array at base; done are in it already. */
static void flush_elements(lua_State *L, int base, int done, int count)
{
    if (lua_isnil(L, base)) {
        lua_createtable(L, count, 0);
        lua_replace(L, base);
    }
    for (int i = count; i >= 1; i--)
        lua_rawseti(L, base, done + i);
}

static enum tael_json_fault read_array(struct reader *reader, int depth)
{
    lua_State *L = reader->L;
    int done = 0, pending = 0;
    lua_pushnil(L); /* the table's place */
    int base = lua_gettop(L);
    reader->cursor.at++;
    bool more = !tael_json_take_close(&reader->cursor, ']');
    while (more) {
        enum tael_json_fault fault = read_value(reader, depth);
        if (fault == TAEL_JSON_NONE)
            fault = tael_json_take_next(&reader->cursor, ']', &more);
        if (fault != TAEL_JSON_NONE)
            return fault;
        if (++pending == FLUSH_MAX) {
            flush_elements(L, base, done, pending);
            done += pending;
            pending = 0;
        }
    }
    flush_elements(L, base, done, pending);
    lua_pushvalue(L, reader->array_at);
    lua_setmetatable(L, base);
    return TAEL_JSON_NONE;
}

/* ---- objects ---- */

/* Moves count pairs from the top of the stack into the object at base. On a duplicate its name is
 * left on top. */
static enum tael_json_fault flush_members(lua_State *L, int base, int count)
{
    if (lua_isnil(L, base)) {
        lua_createtable(L, 0, count);
        lua_replace(L, base);
    }
    for (int i = count; i >= 1; i--) {
        lua_pushvalue(L, -2);
        if (lua_rawget(L, base) != LUA_TNIL) {
            lua_pop(L, 2);
            return TAEL_JSON_DUPLICATE;
        }
        lua_pop(L, 1);
        lua_rawset(L, base);
    }
    return TAEL_JSON_NONE;
}

/* Moves the cursor to the second member that is called as the string on top of the stack says.
 * start: the object's first byte; its text has been read before, so nothing here fails. */
static void find_second(struct reader *reader, const char *start)
{
    struct tael_cursor cursor = reader->cursor;
    struct tael_json_string name;
    size_t len;
    const char *wanted = lua_tolstring(reader->L, -1, &len);
    bool seen = false;
    cursor.at = start + 1;
    for (bool more = true; more;) {
        tael_json_skip_blanks(&cursor);
        const char *at = cursor.at;
        if (tael_json_scan_name(&cursor, &name) != TAEL_JSON_NONE)
            return;
        if (tael_json_equals(&name, (struct tael_span){wanted, len})) {
            reader->cursor.at = at;
            if (seen)
                return;
            seen = true;
        }
        if (tael_json_skip(&cursor, TAEL_JSON_DEPTH_MAX) != TAEL_JSON_NONE ||
            tael_json_take_next(&cursor, '}', &more) != TAEL_JSON_NONE)
            return;
    }
}

static enum tael_json_fault read_object(struct reader *reader, int depth)
{
    lua_State *L = reader->L;
    const char *start = reader->cursor.at++;
    int members = 0, pending = 0;
    lua_pushnil(L); /* the table's place */
    int base = lua_gettop(L);
    bool more = !tael_json_take_close(&reader->cursor, '}');
    while (more) {
        if (++members > reader->limits->max_members)
            return TAEL_JSON_MEMBERS;
        enum tael_json_fault fault = read_name(reader);
        if (fault == TAEL_JSON_NONE)
            fault = read_value(reader, depth);
        if (fault == TAEL_JSON_NONE)
            fault = tael_json_take_next(&reader->cursor, '}', &more);
        if (fault != TAEL_JSON_NONE)
            return fault;
        if (++pending == FLUSH_MAX || !more) {
            fault = flush_members(L, base, pending);
            if (fault != TAEL_JSON_NONE) {
                find_second(reader, start);
                return fault;
            }
            pending = 0;
        }
    }
    if (members == 0)
        return flush_members(L, base, 0);
    return TAEL_JSON_NONE;
}

/* ---- values ---- */

static enum tael_json_fault read_value(struct reader *reader, int depth)
{
    struct tael_cursor *cursor = &reader->cursor;
    tael_json_skip_blanks(cursor);
    if (cursor->at == cursor->end)
        return TAEL_JSON_END;
    if (!take_token(reader))
        return TAEL_JSON_TOKENS;
    if (!lua_checkstack(reader->L, LUA_MINSTACK))
        return TAEL_JSON_MEMORY;
    switch (*cursor->at) {
    case '"':
        return read_string(reader);
    case '{':
        return depth > 0 ? read_object(reader, depth - 1) : TAEL_JSON_DEPTH;
    case '[':
        return depth > 0 ? read_array(reader, depth - 1) : TAEL_JSON_DEPTH;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(reader);
    default:
        return read_literal(reader);
    }
}

enum tael_json_fault tael_json_push(lua_State *L, struct tael_span text,
                                    const struct tael_json_limits *limits, size_t *offset)
{
    luaL_checkstack(L, LUA_MINSTACK, "json");
    int top = lua_gettop(L);
    struct reader reader = {
        .L = L,
        .cursor = tael_cursor_of(text.data, text.len),
        .limits = limits,
        .scratch = tael_json_push_scratch(L),
        .tokens = limits->max_tokens,
        .array_at = top + 2,
        .decimal_at = top + 3,
    };
    lua_getiuservalue(L, top + 1, TAEL_JSON_ARRAY);
    lua_getiuservalue(L, top + 1, TAEL_JSON_DECIMAL);
    enum tael_json_fault fault = read_value(&reader, limits->max_depth);
    if (fault == TAEL_JSON_NONE)
        fault = tael_json_check_end(&reader.cursor);
    tael_json_scratch_trim(reader.scratch);
    *offset = (size_t)(reader.cursor.at - reader.cursor.start);
    if (fault != TAEL_JSON_NONE) {
        lua_settop(L, top);
        return fault;
    }
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return TAEL_JSON_NONE;
}
