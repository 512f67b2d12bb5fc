/* json_test.c - the JSON room in C: scanners, spans, and reading and writing when memory runs out.
 * The lists of texts are those of the Lua spec; here they run under the sanitizers. Run from the
 * root. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/json.h"
#include "base/json_span.h"
#include "bind/bind.h"
#include "bind/json.h"
#include "script/state.h"
#include "tap.h"

/* ---- a state without a loop ---- */

static struct tael_state *state_new(size_t memory_max)
{
    struct tael_state_options options = {.memory_max = memory_max};
    struct tael_state *state = NULL;
    return tael_state_new(&state, &options, NULL) == TAEL_OK ? state : NULL;
}

/* A copy without anything behind it, so that reading one byte too far is seen. */
static char *exact_copy(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, text, len);
    return copy;
}

/* ---- the lists ---- */

struct listed {
    const char *file;
    bool accept;
};

/* For the case on top of the stack: reads it from an exact copy; accepted texts are written and
 * compared.
 */
static bool check_case(lua_State *L, bool accept)
{
    struct tael_json_limits limits = TAEL_JSON_LIMITS_INIT;
    struct tael_span text;
    size_t offset = 0;
    int top = lua_gettop(L);
    lua_getfield(L, top, "text");
    text.data = lua_tolstring(L, -1, &text.len);
    if (lua_getfield(L, top, "same") == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, top + 1);
    }
    char *copy = exact_copy(text.data, text.len);
    struct tael_cursor cursor = tael_cursor_of(copy, text.len);
    enum tael_json_fault fault =
        tael_json_push(L, (struct tael_span){copy, text.len}, &limits, &offset);
    enum tael_json_fault skipped = tael_json_skip(&cursor, limits.max_depth);
    if (skipped == TAEL_JSON_NONE)
        skipped = tael_json_check_end(&cursor);
    free(copy);
    bool ok = (fault == TAEL_JSON_NONE) == accept && offset <= text.len;
    /* passing over refuses the same, but for names and sizes */
    bool ours = fault == TAEL_JSON_DUPLICATE || fault == TAEL_JSON_TOKENS ||
                fault == TAEL_JSON_STRING || fault == TAEL_JSON_MEMBERS;
    ok = ok && skipped == (ours ? TAEL_JSON_NONE : fault);
    if (fault == TAEL_JSON_NONE) {
        tael_json_push_text(L, -1);
        ok = ok && lua_rawequal(L, -1, top + 2);
    }
    lua_settop(L, top);
    return ok;
}

static int run_list(lua_State *L)
{
    const struct listed *list = lua_touserdata(L, 1);
    if (luaL_dofile(L, list->file))
        return lua_error(L);
    lua_Integer count = luaL_len(L, -1);
    CHECK(count >= 90);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_geti(L, -1, i);
        bool ok = check_case(L, list->accept);
        lua_getfield(L, -1, "name");
        CHECK_NAMED(ok, lua_tostring(L, -1));
        lua_pop(L, 2);
    }
    return 0;
}

static void the_lists_are_judged_right(void)
{
    struct listed accept = {"tests/spec/json/accept.lua", true};
    struct listed reject = {"tests/spec/json/reject.lua", false};
    struct tael_state *state = state_new(0);
    tael_error err;
    CHECK(tael_state_call(state, run_list, &accept, &err) == TAEL_OK);
    CHECK(tael_state_call(state, run_list, &reject, &err) == TAEL_OK);
    tael_state_free(state);
}

/* ---- damaged texts ---- */

static uint64_t draw(uint64_t *seed) /* xorshift64 */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static const char sample[] =
    "{\"id\":\"pay_01\",\"amount\":12345,\"rate\":-0.10e+2,\"list\":[1,[],{},null,true,false],"
    "\"n\\u00e9\":\"\\ud83d\\ude00 \\\"\\\\\\/\\b\\f\\n\\r\\t \xe6\x94\xaf\xe4\xbb\x98\","
    "\"deep\":{\"a\":{\"b\":[[[\"x\"]]]}}}";

/* What is accepted must survive writing and reading again; what is refused must say where. */
static int read_damaged(lua_State *L)
{
    static const char bytes[] = "{}[]\",:\\u0019-+.eE \n\x80\xff\xed\xa0tn";
    struct tael_json_limits limits = TAEL_JSON_LIMITS_INIT;
    uint64_t seed = 42;
    int accepted = 0, wrong = 0;
    for (int round = 0; round < 20000; round++) {
        size_t len = sizeof(sample) - 1 - (round % 3 == 0 ? draw(&seed) % (sizeof(sample) - 1) : 0);
        char *text = exact_copy(sample, len);
        for (uint64_t changes = draw(&seed) % 4; changes > 0; changes--)
            text[draw(&seed) % len] = bytes[draw(&seed) % (sizeof(bytes) - 1)];
        size_t offset = len + 1;
        struct tael_span first = {text, len}, found, again;
        enum tael_json_fault fault = tael_json_push(L, first, &limits, &offset);
        wrong += offset > len;
        size_t where;
        wrong += tael_json_span(first, tael_span_of("deep.a"), &found, &where) == TAEL_JSON_NONE &&
                 (found.data < text || found.data + found.len > text + len);
        if (fault == TAEL_JSON_NONE) {
            accepted++;
            tael_json_push_text(L, -1);
            again.data = lua_tolstring(L, -1, &again.len);
            wrong += tael_json_push(L, again, &limits, &offset) != TAEL_JSON_NONE;
            tael_json_push_text(L, -1);
            wrong += !lua_rawequal(L, -1, -3);
        }
        lua_settop(L, 1);
        free(text);
    }
    printf("# %d of 20000 damaged texts were still JSON\n", accepted);
    CHECK(accepted > 100 && wrong == 0);
    return 0;
}

static void damaged_texts_are_read_safely(void)
{
    struct tael_state *state = state_new(0);
    tael_error err;
    CHECK(tael_state_call(state, read_damaged, NULL, &err) == TAEL_OK);
    tael_state_free(state);
}

/* ---- memory ---- */

static void read_or_raise(lua_State *L, struct tael_span text)
{
    struct tael_json_limits limits = TAEL_JSON_LIMITS_INIT;
    size_t offset;
    enum tael_json_fault fault = tael_json_push(L, text, &limits, &offset);
    if (fault != TAEL_JSON_NONE)
        luaL_error(L, "%s", tael_json_fault_text(fault));
}

static int read_and_write(lua_State *L)
{
    read_or_raise(L, (struct tael_span){sample, sizeof(sample) - 1});
    tael_json_push_text(L, -1);
    read_or_raise(L, (struct tael_span){lua_tostring(L, -1), lua_rawlen(L, -1)});
    return 0;
}

static void running_out_of_memory_is_an_error(void)
{
    struct tael_state *state = state_new(0);
    size_t used = tael_state_memory(state);
    tael_state_free(state);
    int failed = 0, done = 0, other = 0;
    for (size_t max = used - 4096; max < used + 32 * 1024; max += 41) {
        state = state_new(max);
        if (state == NULL)
            continue;
        tael_error err;
        tael_status rc = tael_state_call(state, read_and_write, NULL, &err);
        done += rc == TAEL_OK;
        if (rc != TAEL_OK && strstr(err.message, "out of memory") != NULL)
            failed++;
        else
            other += rc != TAEL_OK;
        tael_state_free(state);
    }
    printf("# %d times out of memory, %d times enough\n", failed, done);
    CHECK(failed > 10 && done > 10 && other == 0);
}

/* ---- without Lua ---- */

static struct tael_json_string scanned(const char *text)
{
    struct tael_json_string string = {.raw = {"", 0}};
    struct tael_cursor cursor = tael_cursor_of(text, strlen(text));
    if (tael_json_scan_string(&cursor, &string) != TAEL_JSON_NONE || cursor.at != cursor.end)
        printf("# not a string: %s\n", text);
    return string;
}

static void strings_are_compared_by_value(void)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"\"abc\"", "\"abc\"", true},
        {"\"abc\"", "\"\\u0061b\\u0063\"", true},
        {"\"\\u4e2d\"", "\"\xe4\xb8\xad\"", true},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"", true},
        {"\"\\n\"", "\"\\u000a\"", true},
        {"\"\\/\"", "\"/\"", true},
        {"\"\"", "\"\"", true},
        {"\"a\"", "\"b\"", false},
        {"\"a\"", "\"ab\"", false},
        {"\"\\u0061\"", "\"\\u0061b\"", false},
        {"\"\\u0000\"", "\"\"", false},
        {"\"\\\\n\"", "\"\\n\"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_json_string a = scanned(rows[i].a), b = scanned(rows[i].b);
        char value[64];
        size_t len = tael_json_unescape(b.raw, value);
        CHECK_NAMED(tael_json_same(&a, &b) == rows[i].same, rows[i].b);
        CHECK(tael_json_equals(&a, (struct tael_span){value, len}) == rows[i].same);
        CHECK((tael_json_hash(&a) == tael_json_hash(&b)) == rows[i].same);
    }
}

static void numbers_are_exact(void)
{
    static const struct {
        const char *text;
        bool integral;
        int64_t value;
        size_t len;
    } rows[] = {
        {"0", true, 0, 1},
        {"-0", true, 0, 2},
        {"9223372036854775807", true, INT64_MAX, 19},
        {"-9223372036854775808", true, INT64_MIN, 20},
        {"9223372036854775808", false, 0, 19},
        {"-9223372036854775809", false, 0, 20},
        {"99999999999999999999999999", false, 0, 26},
        {"1.0", false, 0, 3},
        {"1e2", false, 0, 3},
        {"12,", true, 12, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_cursor cursor = tael_cursor_of(rows[i].text, strlen(rows[i].text));
        struct tael_json_number number;
        CHECK_NAMED(tael_json_scan_number(&cursor, &number) == TAEL_JSON_NONE, rows[i].text);
        CHECK(number.integral == rows[i].integral && number.text.len == rows[i].len);
        CHECK(!number.integral || number.value == rows[i].value);
    }
}

static void writing_a_string_is_all_or_nothing(void)
{
    struct tael_buf buf = {.max = 16};
    CHECK(tael_json_append_string(&buf, tael_span_of("a\"\xc3\xa9\x01")) == TAEL_OK);
    CHECK(buf.len == 13 && memcmp(buf.data, "\"a\\\"\xc3\xa9\\u0001\"", 13) == 0);
    CHECK(tael_json_append_string(&buf, tael_span_of("xyz")) == TAEL_ELIMIT && buf.len == 13);
    CHECK(tael_json_append_string(&buf, tael_span_of("\xc3")) == TAEL_EINVAL && buf.len == 13);
    CHECK(tael_json_append_string(&buf, tael_span_of("x")) == TAEL_OK && buf.len == 16);
    tael_buf_free(&buf);
    CHECK(tael_json_append_string(&buf, (struct tael_span){"", 0}) == TAEL_OK && buf.len == 2);
    tael_buf_free(&buf);
}

static void every_fault_has_a_text(void)
{
    bool distinct = true;
    for (int a = TAEL_JSON_NONE; a <= TAEL_JSON_MEMORY; a++)
        for (int b = TAEL_JSON_NONE; b < a; b++)
            distinct = distinct && strcmp(tael_json_fault_text((enum tael_json_fault)a),
                                          tael_json_fault_text((enum tael_json_fault)b)) != 0;
    CHECK(distinct);
}

static void spans_name_the_place_of_the_fault(void)
{
    static const struct {
        const char *text, *path;
        enum tael_json_fault fault;
        size_t offset;
    } rows[] = {
        {"{\"a\":1,\"a\":2}", "a", TAEL_JSON_DUPLICATE, 7},
        {"{\"b\":{\"a\":1,\"\\u0061\":2}}", "b.a", TAEL_JSON_DUPLICATE, 12},
        {"{\"a\":1}", "b", TAEL_JSON_ABSENT, 0},
        {" [1]", "a", TAEL_JSON_ABSENT, 1},
        {"{\"a\":1} x", "a", TAEL_JSON_TRAILING, 8},
        {"{\"a\":tru}", "a", TAEL_JSON_VALUE, 5},
        {"", "a", TAEL_JSON_END, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_span found = {NULL, 7};
        size_t offset = 99;
        CHECK_NAMED(tael_json_span(tael_span_of(rows[i].text), tael_span_of(rows[i].path), &found,
                                   &offset) == rows[i].fault,
                    rows[i].text);
        CHECK(offset == rows[i].offset && found.data == NULL && found.len == 7);
    }
}

int main(void)
{
    the_lists_are_judged_right();
    damaged_texts_are_read_safely();
    running_out_of_memory_is_an_error();
    strings_are_compared_by_value();
    numbers_are_exact();
    writing_a_string_is_all_or_nothing();
    every_fault_has_a_text();
    spans_name_the_place_of_the_fault();
    return tap_end();
}
