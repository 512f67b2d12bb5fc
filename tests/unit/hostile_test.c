/* hostile_test.c - scripts of strangers against an isolate. Each of tests/unit/hostile/ ends as its
 * heading says, within its budget; the process lives, a neighbour answers rightly at once, nothing
 * that the script did is seen by another one, and what it took is given back.
 *
 * A case is what follows "--# OUTCOME…: name". DONE is only good when the script gives back
 * nothing: one that has found a hole says which. How long a script held the thread is told, not
 * judged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>
#include <malloc.h>

#include "bind/route.h"
#include "script/source.h"
#include "tap.h"

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void); /* its header is clang's alone */
#endif

enum {
    REFUSED = TAEL_RUN_MEMORY + 1, /* beside enum tael_run_state */
    BASE_SLACK = 16 * 1024,        /* bytes */
    STEPS = 4 * 1000 * 1000,
    FEW_STEPS = 20 * 1000,
    LITTLE_MEMORY = 1024 * 1024,
    VIOLATIONS = 10 * 1000,
};

struct script {
    const char *name;
    struct tael_span text;
    unsigned expected; /* bits of 1 << state */
};

struct outcome {
    int state, pauses;
    double longest, all; /* ms */
    char fault[TAEL_RUN_FAULT_MAX];
};

static const char *const state_names[] = {"DONE", "PAUSED", "RAISED", "SPENT", "MEMORY", "REFUSED"};

/* ---- one script ---- */

static int require_tael(lua_State *L)
{
    if (strcmp(luaL_checkstring(L, 1), "tael") != 0)
        return luaL_error(L, "only 'tael' is here");
    tael_route_push_tael(L);
    return 1;
}

static int finish(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    if (lua_toboolean(L, -1) == 0)
        return 0;
    if (lua_type(L, -1) == LUA_TSTRING)
        return luaL_error(L, "HOLE: %s", lua_tostring(L, -1));
    return luaL_error(L, "HOLE: gave a %s", luaL_typename(L, -1));
}

static int body(lua_State *L)
{
    const struct script *script = lua_touserdata(L, 1);
    if (luaL_loadbufferx(L, script->text.data, script->text.len, "@s.lua", "t") != LUA_OK)
        return lua_error(L);
    lua_pushcfunction(L, require_tael);
    tael_confine_push_environment(L);
    lua_setupvalue(L, -2, 1);
    lua_callk(L, 0, 1, 0, finish);
    return finish(L, LUA_OK, 0);
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static struct outcome run(struct tael_isolate *isolate, struct script *script, int64_t steps)
{
    struct outcome outcome = {.state = REFUSED};
    struct tael_run at = {0};
    double began = now();
    if (!tael_source_check(script->text, outcome.fault, sizeof(outcome.fault)))
        return outcome;
    if (tael_run_begin(&at, isolate, steps, false) != TAEL_OK) {
        outcome.state = TAEL_RUN_MEMORY;
        return outcome;
    }
    outcome.state = (int)tael_run_go(&at, body, script);
    for (double from = began, to;; outcome.pauses++, from = to) {
        to = now();
        outcome.longest = to - from > outcome.longest ? to - from : outcome.longest;
        outcome.all = to - began;
        if (outcome.state != TAEL_RUN_PAUSED)
            break;
        outcome.state = (int)tael_run_go(&at, NULL, NULL);
    }
    snprintf(outcome.fault, sizeof(outcome.fault), "%s", at.fault);
    tael_run_end(&at);
    return outcome;
}

static struct tael_isolate *new_isolate(size_t memory)
{
    struct tael_isolate *isolate = NULL;
    if (tael_isolate_new(&isolate, memory, true) != TAEL_OK)
        abort();
    return isolate;
}

/* Each collection halves what Lua's table of texts has grown to. */
static size_t collected(struct tael_isolate *isolate)
{
    size_t size = tael_isolate_memory(isolate), before;
    do {
        before = size;
        tael_isolate_full(isolate);
        size = tael_isolate_memory(isolate);
    } while (size < before);
    return size;
}

/* ---- a neighbour ---- */

/* What an honest script does, with a look at all that others may have changed. */
static const char honest[] =
    "local tael = require 'tael'\n"
    "for _, t in ipairs { string, table, math, utf8, tael, tael.json } do\n"
    "  if t.planted or rawget(t, 'planted') or t[1] or next(t) then return 'planted' end\n"
    "end\n"
    "if pcall(function() return planted end) then return 'a planted global' end\n"
    "local s = ('ab'):rep(3):upper():gsub('B', { B = '-' })\n"
    "if s ~= 'A-A-A-' or #s ~= 6 or ('x'):byte() ~= 120 then return 'texts: ' .. s end\n"
    "local t = { 3, 1, 2 } table.sort(t) table.insert(t, 1, 0)\n"
    "if table.concat(t, ',') ~= '0,1,2,3' then return 'tables' end\n"
    "if tael.json.encode(tael.json.decode('{\"a\":[1,2.50,null]}')) ~= '{\"a\":[1,2.50,null]}' "
    "then\n"
    "  return 'JSON'\n"
    "end\n"
    "local ok, why = pcall(error, 'mine', 0)\n"
    "if ok or why ~= 'mine' then return 'pcall' end\n"
    "local Account = {}\n"
    "function Account:new(o) setmetatable(o, self) self.__index = self return o end\n"
    "function Account:add(n) self.sum = self.sum + n return self end\n"
    "local Special = Account:new { sum = 1 }\n"
    "if Special:new({}):add(2).sum ~= 3 or math.max(1, 2) ~= 2 then return 'objects' end\n";

static struct tael_isolate *neighbour;

static bool is_well(struct tael_isolate *isolate)
{
    struct script script = {"honest", {honest, sizeof(honest) - 1}, 0};
    struct outcome outcome = run(isolate, &script, TAEL_RUN_STEPS);
    if (outcome.state != TAEL_RUN_DONE)
        printf("# %s: %s\n", state_names[outcome.state], outcome.fault);
    return outcome.state == TAEL_RUN_DONE;
}

/* ---- every case ---- */

static double longest_of_all;

static void judge(struct script *script)
{
    struct tael_isolate *isolate = new_isolate(0);
    char name[160];
    bool well = is_well(isolate);
    size_t base = collected(isolate);
    printf("# %s\n", script->name);
    fflush(stdout);
    struct outcome outcome = run(isolate, script, STEPS);
    snprintf(name, sizeof(name), "%s: %s", state_names[outcome.state], script->name);
    bool good =
        (script->expected >> outcome.state & 1) != 0 && strstr(outcome.fault, "HOLE") == NULL;
    CHECK_NAMED(good, name);
    printf("# held %.1f ms, %d pauses, %.0f ms in all: %s\n", outcome.longest, outcome.pauses,
           outcome.all, outcome.fault);
    if (outcome.longest > longest_of_all)
        longest_of_all = outcome.longest;
    CHECK_NAMED(is_well(neighbour), "the neighbour is well");
    size_t after = collected(isolate);
    if (after > base + BASE_SLACK)
        printf("# %zu bytes, %zu before\n", after, base);
    CHECK_NAMED(well && is_well(isolate) && after <= base + BASE_SLACK,
                "another script of the same isolate is well, and memory is back");
    tael_isolate_free(isolate);
}

/* ---- the files ---- */

enum { SCRIPTS_MAX = 512 };

static struct script scripts[SCRIPTS_MAX];
static size_t script_count;

static unsigned read_expected(const char *text)
{
    unsigned expected = 0;
    for (size_t i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++)
        if (strstr(text, state_names[i]) != NULL)
            expected |= 1u << i;
    return expected;
}

/* Cuts the text, which stays, into cases. */
static void cut(char *text)
{
    for (char *at = strstr(text, "--# "); at != NULL;) {
        char *line_end = strchr(at, '\n'), *colon = strchr(at, ':');
        char *next = strstr(line_end, "\n--# ");
        size_t len = next != NULL ? (size_t)(next - line_end) : strlen(line_end);
        if (colon == NULL || colon > line_end || script_count == SCRIPTS_MAX)
            abort();
        *colon = *line_end = '\0';
        scripts[script_count++] =
            (struct script){colon + 2, {line_end + 1, len - 1}, read_expected(at + 4)};
        at = next != NULL ? next + 1 : NULL;
    }
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0;
    if (file == NULL || getdelim(&text, &size, '\0', file) < 0) {
        fprintf(stderr, "%s cannot be read: start the test in the root of the tree\n", path);
        exit(1);
    }
    fclose(file);
    return text;
}

/* ---- what no file could show: texts of many pieces ---- */

static const struct grown {
    const char *name, *head, *piece, *middle, *back, *tail; /* back: once more for each piece */
    int times;
    unsigned expected;
} grown[] = {
#define ANY (1u << REFUSED | 1u << TAEL_RUN_RAISED)
    {"parentheses", "return ", "(", "1", ")", "", 100000, 1u << REFUSED},
    {"parentheses, 190 deep", "return ", "(", "nil", ")", "", 190, ANY},
    {"tables in tables", "return ", "{", "", "}", "", 60000, 1u << REFUSED},
    {"functions in functions", "", "local function f() ", "", " end", "", 10000, 1u << REFUSED},
    {"blocks in blocks", "", "do ", "", " end", "", 30000, 1u << REFUSED},
    {"loops in loops", "", "while nil do ", "", " end", "", 15000, 1u << REFUSED},
    {"conditions in conditions", "", "if nil then ", "", " end", "", 15000, 1u << REFUSED},
    {"repeats in repeats", "", "repeat ", "", " until 1", "", 10000, 1u << REFUSED},
    {"for in for", "", "for i = 1, 1 do ", "", " end", "", 9000, 1u << REFUSED},
    {"places in places", "local a return a", "[a", "", "]", "", 60000, 1u << REFUSED},
    {"calls in calls", "local a return a", "(a", "", ")", "", 60000, 1u << REFUSED},
    {"minus minus", "return ", "- ", "1", "", "", 100000, ANY},
    {"not not", "return ", "not ", "1", "", "", 60000, ANY},
    {"powers of powers", "return 1", "^1", "", "", "", 100000, ANY},
    {"texts in a row", "return ''", "..''", "", "", "", 60000, ANY},
    {"fields of fields", "local a = {} a.b = a return a", ".b", ".x.y", "", "", 100000,
     1u << REFUSED},
    {"fields of fields of a global", "local function f() return _ENV.string", ".b", ".x.y end", "",
     " f()", 100000, 1u << REFUSED},
    {"fields of fields that are assigned", "local a = {} a.b = a a", ".b", ".x.y = 1", "", "",
     100000, 1u << REFUSED},
    {"fields by text of fields", "local a = {} a.b = a return a", "['b']", ".x.y", "", "", 40000,
     1u << REFUSED},
    {"fields by numbers of fields", "local a = {} a[1] = a return a", "[1]", ".x.y", "", "", 60000,
     1u << REFUSED},
    {"fields over lines", "local a = {} a.b = a return a", "--x\n.b", ".x.y", "", "", 40000,
     1u << REFUSED},
    {"calls of calls", "local function f() error() end return f", "()", "", "", "", 100000, ANY},
    {"calls of calls with texts", "local function f() error() end return f", "''", "", "", "",
     100000, ANY},
    {"methods of methods", "local a = {} return a", ":b()", "", "", "", 50000, ANY},
    {"fields of calls", "local a = {} return a", ".b()", "", "", "", 50000, ANY},
    {"assigned at once", "a", ",a", " = 1", "", "", 100000, ANY},
    {"assigned from many", "local a = 1", ",1", " error()", "", "", 100000, ANY},
    {"locals", "", "local a ", "", "", "", 30000, ANY},
    {"labels", "", "::a%d:: ", "", "", "", 20000, 1u << REFUSED},
    {"gotos forward", "", "goto a ", "::a:: error()", "", "", 30000, 1u << REFUSED},
    {"breaks", "while true do ", "do break end ", "", "", "end error()", 18000, 1u << REFUSED},
    {"or or or", "local a = 1 return a", " or a", " error()", "", "", 50000, 1u << REFUSED},
    {"and and and", "local a = 1 return a", " and a", "", "", "", 40000, 1u << REFUSED},
    {"and and and at last nothing", "local a = 1 if a", " and a", " then error() end", "", "",
     40000, 1u << REFUSED},
    {"elseif elseif", "local a if a then ", "elseif a then ", "", "", "end error()", 18000,
     1u << REFUSED},
    {"comparisons", "local a = 1 if a == 1", " or a == 1", " then error() end", "", "", 20000,
     1u << REFUSED},
    {"fields by names of fields", "local a, k = {}, 'b' a.b = a return a", "[k]", ".x.y", "", "",
     80000, 1u << REFUSED},
    {"fields of fields in parentheses", "local a = {} a.b = a return ", "(", "a", ".b.b.b.b.b.b)",
     ".x.y", 90, ANY},
    {"names in functions in functions", "local a ", "local function f() ", "error() ", " end f()",
     "", 15, ANY},
    {"upvalues", "", "local a%d = 1 ", "return function() return a1 end", "", "", 300, ANY},
    {"constants", "local a = {", "x%d,", "} error()", "", "", 20000, ANY},
    {"constants that are texts", "local a = {", "'x%d',", "} error()", "", "", 20000,
     1u << TAEL_RUN_RAISED},
    {"operations on constants", "local a, n = 1, 0 ", "n = n + %d.5 & 1 ", "", "", "", 12000, ANY},
    {"bits with constants", "local n = 0 ", "n = n | %d + 5000000000 ", "error(n)", "", "", 9000,
     1u << TAEL_RUN_RAISED},
    {"comparisons with constants", "local n = 0 ", "if n == %d.5 then n = 'a%d' end ", "error(n)",
     "", "", 6000, ANY},
    {"fields of many names", "local t = {} ", "t.a%d = t.b%d ", "error(t.x.y)", "", "", 8000, ANY},
    {"methods of many names", "local t = {} ", "if t.a%d then t:b%d() end ", "t:x()", "", "", 7000,
     ANY},
    {"functions", "", "local function f() end ", "error()", "", "", 11000, ANY},
    {"functions in a table", "local t = {", "function() end,", "} error()", "", "", 17000, ANY},
    {"digits", "local n = 1", "11111111", " error(n)", "", "", 30000, ANY},
    {"digits behind the point", "local n = 0.1", "11111111", " error(n)", "", "", 30000, ANY},
    {"hexadecimal digits", "local n = 0x1", "ffffffff", " error(n)", "", "", 30000, ANY},
    {"letters of a name", "local n", "aaaaaaaa", " error()", "", "", 30000, ANY},
    {"letters of a text", "error('", "aaaaaaaa", "')", "", "", 30000, ANY},
    {"letters of a text that does not end", "error('", "aaaaaaaa", "", "", "", 30000, ANY},
    {"escapes", "error('", "\\z  \\65\\x41\\u{7FFFFFFF}", "')", "", "", 10000, ANY},
    {"a bracket of equal signs", "error[", "========", "", "", "", 30000, ANY},
    {"a comment that does not end", "--[[", "xxxxxxxx", "", "", "", 30000, ANY},
    {"comments", "", "--[[]]", "error()", "", "", 40000, ANY},
    {"lines", "", "\n", "error()", "", "", 260000, ANY},
    {"semicolons", "", ";", "error()", "", "", 260000, ANY},
    {"more than 256 KiB", "", "--23456789\n", "", "", "", 24000, 1u << REFUSED},
    {"a word after the other", "", "end ", "", "", "", 60000, ANY},
    {"attributes", "", "local a <const> = 1 ", "error()", "", "", 12000, ANY},
    {"one that is closed after the other", "", "local a <close> = nil ", "error()", "", "", 190,
     ANY},
};

static char *write_grown(const struct grown *from)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        abort();
    fputs(from->head, out);
    for (int i = 1; i <= from->times; i++)
        for (const char *at = from->piece; *at != '\0'; at++)
            if (*at == '%' && at[1] == 'd') {
                fprintf(out, "%d", i);
                at++;
            } else {
                fputc(*at, out);
            }
    fputs(from->middle, out);
    for (int i = 1; i <= from->times; i++)
        fputs(from->back, out);
    fputs(from->tail, out);
    fclose(out);
    return text;
}

static void judge_grown(const char *only)
{
    for (size_t i = 0; i < sizeof(grown) / sizeof(grown[0]); i++) {
        if (only != NULL && strcmp(only, "grown") != 0)
            continue;
        char *text = write_grown(&grown[i]);
        struct script script = {grown[i].name, tael_span_of(text), grown[i].expected};
        judge(&script);
        free(text);
    }
    static const char binary[] = "\x1bLuaT\0\x19\x93\r\n\x1a\n";
    struct script compiled = {"bytecode", {binary, sizeof(binary) - 1}, 1u << REFUSED};
    judge(&compiled);
}

/* ---- what is left in the process ---- */

static size_t in_use(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

static void violate(void)
{
    size_t before = 0;
    struct tael_isolate *kept = new_isolate(LITTLE_MEMORY);
    int violations = 0;
    for (size_t i = 0; violations < VIOLATIONS; i++) {
        struct script *script = &scripts[i % script_count];
        struct tael_isolate *isolate = i % 2 == 0 ? kept : new_isolate(LITTLE_MEMORY);
        violations += run(isolate, script, FEW_STEPS).state != TAEL_RUN_DONE;
        if (isolate != kept)
            tael_isolate_free(isolate);
        if (i % 512 != 511)
            continue;
        collected(kept);
        if (violations > VIOLATIONS / 5 && before == 0)
            before = in_use();
    }
    collected(kept);
    size_t after = in_use();
    printf("# %zu bytes after a fifth of the violations, %zu at their end\n", before, after);
    CHECK(after <= before + BASE_SLACK);
    CHECK(is_well(kept) && is_well(neighbour));
    tael_isolate_free(kept);
}

int main(int argc, char **argv)
{
    static const char *const files[] = {"loops",  "caught", "memory", "native",
                                        "escape", "leaks",  "crash"};
    enum { FILES = sizeof(files) / sizeof(files[0]) };
    char *texts[FILES];
    const char *only = argc > 1 ? argv[1] : NULL;
    neighbour = new_isolate(0);
    for (size_t i = 0; i < FILES; i++) {
        char path[64];
        snprintf(path, sizeof(path), "tests/unit/hostile/%s.lua", files[i]);
        texts[i] = read_file(path);
        cut(texts[i]);
    }
    for (size_t i = 0; i < script_count; i++)
        if (only == NULL || strstr(scripts[i].name, only) != NULL)
            judge(&scripts[i]);
    judge_grown(only);
    if (only == NULL)
        violate();
    printf("# the thread was held for %.1f ms at most\n", longest_of_all);
    for (size_t i = 0; i < FILES; i++)
        free(texts[i]);
    tael_isolate_free(neighbour);
    return tap_end();
}
