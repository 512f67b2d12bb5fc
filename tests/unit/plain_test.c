/* plain_test.c - plain data across a border: what may cross comes out the same, what may not is
 * refused with its place, and bytes that nobody wrote are refused without harm. */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "bind/plain.h"
#include "tap.h"

static const struct tael_plain_limits usual = {.depth = 32, .items = 10000, .bytes = 1024 * 1024};

/* Leaves the value of a Lua expression on top. */
static void evaluate(lua_State *L, const char *expression)
{
    char chunk[512];
    snprintf(chunk, sizeof(chunk), "return %s", expression);
    if (luaL_dostring(L, chunk) != LUA_OK)
        abort();
}

static bool same(lua_State *L, int a, int b)
{
    static const char text[] =
        "local function same(a, b)\n"
        "  if math.type(a) ~= math.type(b) then return false end\n"
        "  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end\n"
        "  for k, v in next, a do if not same(v, b[k]) then return false end end\n"
        "  for k in next, b do if a[k] == nil then return false end end\n"
        "  return true\n"
        "end\n"
        "return same(...)\n";
    int top = lua_gettop(L);
    a = lua_absindex(L, a);
    b = lua_absindex(L, b);
    if (luaL_loadstring(L, text) != LUA_OK)
        abort();
    lua_pushvalue(L, a);
    lua_pushvalue(L, b);
    lua_call(L, 2, 1);
    bool is = lua_toboolean(L, -1);
    lua_settop(L, top);
    return is;
}

static void what_is_plain_comes_out_the_same(lua_State *L)
{
    static const char *const values[] = {
        "nil",
        "true",
        "false",
        "0",
        "-1",
        "math.maxinteger",
        "math.mininteger",
        "0.1",
        "-0.0",
        "1e300",
        "2.0",
        "''",
        "'a\\0b\\255'",
        "('x'):rep(100000)",
        "{}",
        "{1, 2, 3}",
        "{1, nil, 3}",
        "{[-5] = 'a', [0] = 'b', [7] = 'c'}",
        "{id = 'pay_1', amount = 100, metadata = {a = 'b', list = {{}, {x = 1.5}}}}",
        "{1, 2, n = 2, [10] = {true, false}}",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct tael_buf bytes = {0};
        char fault[TAEL_PLAIN_FAULT_MAX];
        evaluate(L, values[i]);
        bool good = tael_plain_write(L, -1, &usual, &bytes, fault) == TAEL_OK && fault[0] == '\0';
        struct tael_cursor cursor = tael_cursor_of(bytes.data, bytes.len);
        good = good && tael_plain_push(L, &cursor, &usual) && cursor.at == cursor.end;
        CHECK_NAMED(good && lua_gettop(L) == 2 && same(L, 1, 2), values[i]);
        tael_buf_free(&bytes);
        lua_settop(L, 0);
    }
}

static void what_is_not_plain_is_refused_with_its_place(lua_State *L)
{
    static const struct {
        const char *value, *fault;
    } rows[] = {
        {"print", "is a function"},
        {"{a = {b = {1, print}}}", "a.b[2] is a function"},
        {"{[1.5] = 1}", "has a key that is neither a text nor an integer"},
        {"{a = {[true] = 1}}", "a has a key that is neither a text nor an integer"},
        {"{x = 0/0}", "x is no number"},
        {"{x = 1/0}", "x is no number"},
        {"coroutine.create(print)", "is a thread"},
        {"io.stdout", "is a userdata"},
        {"(function() local t = {} t.t = t return t end)()", NULL}, /* its depth ends it */
        {"('x'):rep(1024 * 1024 + 1)", "is too large"},
        {"{name = ('x'):rep(1024 * 1024 + 1)}", "name is too large"},
        {"(function() local t = {} for i = 1, 10001 do t[i] = i end return t end)()",
         "has too many values"},
        {"(function() local t = {} for i = 1, 6000 do t['k' .. i] = i end return {t = t} end)()",
         NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_buf bytes = {0};
        char fault[TAEL_PLAIN_FAULT_MAX];
        tael_buf_append_text(&bytes, "before");
        evaluate(L, rows[i].value);
        tael_status rc = tael_plain_write(L, -1, &usual, &bytes, fault);
        CHECK_NAMED(rc == TAEL_EINVAL && bytes.len == 6 && lua_gettop(L) == 1, rows[i].value);
        if (rows[i].fault != NULL)
            CHECK_NAMED(strcmp(fault, rows[i].fault) == 0, fault);
        else
            CHECK_NAMED(fault[0] != '\0', fault);
        tael_buf_free(&bytes);
        lua_settop(L, 0);
    }
}

/* Goes through bytes without Lua, as tables that are made late do. True: they are a value. */
static bool looks_like_one(const char *data, size_t len)
{
    struct tael_cursor cursor = tael_cursor_of(data, len);
    struct tael_plain_table table;
    struct tael_span whole, value = {"", 0};
    if (!tael_plain_pass(&cursor, &whole) || whole.data != data || whole.len > len)
        return false;
    if (tael_plain_table(whole, &table) &&
        tael_plain_find(&table, tael_span_of("b"), &value) < table.others)
        return value.len > 0 && value.data > data && value.data + value.len <= data + len;
    return true;
}

static void a_field_is_found_in_the_bytes(lua_State *L)
{
    struct tael_buf bytes = {0};
    char fault[TAEL_PLAIN_FAULT_MAX];
    struct tael_plain_table table = {0};
    struct tael_span value = {"", 0};
    evaluate(L, "{1, 2, [9] = 'b', a = {b = 1}, ab = 2, b = 'found', bb = {}}");
    CHECK(tael_plain_write(L, -1, &usual, &bytes, fault) == TAEL_OK);
    CHECK(tael_plain_table((struct tael_span){bytes.data, bytes.len}, &table));
    CHECK(table.array == 2 && table.others == 5);
    CHECK(tael_plain_find(&table, tael_span_of("b"), &value) < table.others);
    CHECK(value.len == 7 && memcmp(value.data + 2, "found", 5) == 0);
    CHECK(tael_plain_find(&table, tael_span_of("c"), &value) == table.others);
    CHECK(tael_plain_find(&table, tael_span_of(""), &value) == table.others);
    tael_buf_free(&bytes);
    lua_settop(L, 0);
}

static void bytes_that_nobody_wrote_are_refused(lua_State *L)
{
    struct tael_buf bytes = {0};
    char fault[TAEL_PLAIN_FAULT_MAX];
    evaluate(L, "{1, 2.5, 'text', {a = -300, b = {true, false}}, [99] = 'z'}");
    CHECK(tael_plain_write(L, -1, &usual, &bytes, fault) == TAEL_OK);
    lua_settop(L, 0);
    bool refused = true, whole = true;
    for (size_t len = 0; len < bytes.len; len++) { /* every beginning of it */
        char *copy = malloc(len + 1);
        memcpy(copy, bytes.data, len);
        struct tael_cursor cursor = tael_cursor_of(copy, len);
        refused = refused && !tael_plain_push(L, &cursor, &usual) && cursor.at == copy &&
                  !looks_like_one(copy, len);
        whole = whole && lua_gettop(L) == 0;
        free(copy);
    }
    CHECK_NAMED(refused && whole, "a part of a value is none");
    for (size_t at = 0; at < bytes.len; at++) /* every byte another one */
        for (int value = 0; value < 256; value++) {
            char *copy = malloc(bytes.len);
            memcpy(copy, bytes.data, bytes.len);
            copy[at] = (char)value;
            struct tael_cursor cursor = tael_cursor_of(copy, bytes.len);
            bool pushed = tael_plain_push(L, &cursor, &usual);
            whole = whole && lua_gettop(L) == pushed && cursor.at <= cursor.end &&
                    (looks_like_one(copy, bytes.len) || !pushed);
            lua_settop(L, 0);
            free(copy);
        }
    CHECK_NAMED(whole, "damaged bytes do no harm");
    static const char *const texts[] = {
        "\x06\xff\xff\xff\xff\x7f",                     /* more values than bytes */
        "\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", /* a text of 2^64 bytes */
        "\x03\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", /* an integer of 65 bits */
        "\x03\x81",                                     /* without its end */
        "\x07",                                         /* no tag */
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct tael_cursor cursor = tael_cursor_of(texts[i], strlen(texts[i]));
        CHECK(!tael_plain_push(L, &cursor, &usual) && lua_gettop(L) == 0);
    }
    tael_buf_free(&bytes);
}

/* Tables in each other that all say they are large: memory is taken for none of it. */
static void counts_are_no_promises(lua_State *L)
{
    char bytes[20000];
    size_t len = 0;
    for (int depth = 0; depth < 30; depth++) {
        memcpy(bytes + len, "\x06\x90\x4e\x00\x00\x00\x00", 7); /* 10,000 values and no pair */
        len += 7;
    }
    memset(bytes + len, 0, sizeof(bytes) - len);
    struct tael_cursor cursor = tael_cursor_of(bytes, sizeof(bytes));
    lua_gc(L, LUA_GCCOLLECT);
    int before = lua_gc(L, LUA_GCCOUNT);
    lua_gc(L, LUA_GCSTOP);
    CHECK(!tael_plain_push(L, &cursor, &usual) && lua_gettop(L) == 0);
    CHECK(lua_gc(L, LUA_GCCOUNT) - before < 400); /* KiB: one table of 10,000 */
    lua_gc(L, LUA_GCRESTART);
}

static void limits_hold_on_both_sides(lua_State *L)
{
    struct tael_plain_limits few = {.depth = 2, .items = 5, .bytes = 20};
    struct tael_buf bytes = {0};
    char fault[TAEL_PLAIN_FAULT_MAX];
    static const char *const values[] = {"{{{}}}", "{1, 2, 3, 4, 5}", "('x'):rep(30)"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        evaluate(L, values[i]);
        CHECK_NAMED(tael_plain_write(L, 1, &few, &bytes, fault) == TAEL_EINVAL, values[i]);
        CHECK(tael_plain_write(L, 1, &usual, &bytes, fault) == TAEL_OK);
        struct tael_cursor cursor = tael_cursor_of(bytes.data, bytes.len);
        CHECK_NAMED(!tael_plain_push(L, &cursor, &few) && lua_gettop(L) == 1, values[i]);
        tael_buf_clear(&bytes);
        lua_settop(L, 0);
    }
    tael_buf_free(&bytes);
}

int main(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    what_is_plain_comes_out_the_same(L);
    a_field_is_found_in_the_bytes(L);
    what_is_not_plain_is_refused_with_its_place(L);
    bytes_that_nobody_wrote_are_refused(L);
    counts_are_no_promises(L);
    limits_hold_on_both_sides(L);
    lua_close(L);
    return tap_end();
}
