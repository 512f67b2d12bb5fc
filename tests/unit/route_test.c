/* route_test.c - scripts in an isolate: what they see, what ends them, what a call gives; patterns
 * against Lua's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>
#include <lualib.h>

#include "bind/route.h"
#include "tap.h"

static struct tael_isolate *isolate;
static char why[TAEL_ROUTE_WHY_MAX];

static struct tael_route_script *load(const char *text)
{
    struct tael_route_script *script = NULL;
    if (tael_route_load(&script, isolate, "t.lua", tael_span_of(text), why) != TAEL_OK)
        return NULL;
    return script;
}

struct outcome {
    enum tael_run_state state;
    enum tael_route_refusal refusal;
    int status, pauses;
    char body[4096], fault[TAEL_RUN_FAULT_MAX];
};

static struct outcome call_with(struct tael_route_script *script, const char *method,
                                const char *rest, const char *body)
{
    static struct tael_route_call call;
    struct outcome outcome = {.state = TAEL_RUN_RAISED};
    call = (struct tael_route_call){.method = tael_span_of(method),
                                    .path = tael_span_of(rest),
                                    .body = tael_span_of(body),
                                    .answer_body = {"", 0}};
    if (tael_route_find(script, call.method, call.path, &call.place) != TAEL_ROUTE_FOUND)
        return outcome;
    outcome.state = tael_route_begin(&call, isolate);
    for (; outcome.state == TAEL_RUN_PAUSED; outcome.pauses++)
        outcome.state = tael_route_go(&call);
    outcome.refusal = call.refusal;
    outcome.status = call.status;
    snprintf(outcome.body, sizeof(outcome.body), "%.*s", (int)call.answer_body.len,
             call.answer_body.data);
    snprintf(outcome.fault, sizeof(outcome.fault), "%s", call.run.fault);
    tael_route_end(&call);
    return outcome;
}

/* The body of a handler of POST /. */
static struct outcome run(const char *text, const char *body)
{
    char whole[8192];
    struct outcome outcome = {.state = TAEL_RUN_RAISED};
    snprintf(whole, sizeof(whole), "return { [\"POST /\"] = function(request) %s end }", text);
    struct tael_route_script *script = load(whole);
    if (script == NULL) {
        printf("# %s\n", why);
        return outcome;
    }
    outcome = call_with(script, "POST", "", body);
    tael_route_release(script);
    return outcome;
}

static void test_calls(void)
{
    struct outcome outcome = run("return { json = request.json }", "{\"a\":[1,2.50,null,\"x\"]}");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.status == 200);
    CHECK(strcmp(outcome.body, "{\"a\":[1,2.50,null,\"x\"]}") == 0);
    outcome = run("return", "{}");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.status == 204);
    outcome = run("return { json = 1 }", "{");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.refusal == TAEL_ROUTE_REFUSED_JSON);
    outcome = run("return { json = ('%d'):format(request.json.n) .. request.method }", "{\"n\":5}");
    CHECK(strcmp(outcome.body, "\"5POST\"") == 0);
    outcome = run("\nlocal t = nil\nreturn t.x", "{}");
    CHECK(outcome.state == TAEL_RUN_RAISED);
    CHECK(strstr(outcome.fault, "t.lua:3: ") == outcome.fault);
    outcome = run("local n = 0 for i = 1, 300000 do n = n + i end return { json = n }", "{}");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.pauses >= 2);
    CHECK(strcmp(outcome.body, "45000150000") == 0);
    outcome = run("return { json = select(2, pcall(function() for i = 1, 200000 do end "
                  "error('mine', 0) end)) }",
                  "{}");
    CHECK(outcome.pauses >= 1 && strcmp(outcome.body, "\"mine\"") == 0);
    outcome =
        run("return { json = { xpcall(error, function(e) return e .. '!' end, 'x', 0) } }", "{}");
    CHECK(strcmp(outcome.body, "[false,\"x!\"]") == 0);
    outcome = run("return { json = { xpcall(function(a) return a end, error, 7) } }", "{}");
    CHECK(strcmp(outcome.body, "[true,7]") == 0);
}

static void test_kept_request(void)
{
    struct tael_route_script *script =
        load("local kept return { [\"POST /\"] = function(r) local old = kept kept = r "
             "return { json = old and old.method or 'none' } end }");
    CHECK(script != NULL);
    CHECK(call_with(script, "POST", "", "1").state == TAEL_RUN_DONE);
    struct outcome outcome = call_with(script, "POST", "", "1");
    CHECK(outcome.state == TAEL_RUN_RAISED);
    CHECK(strstr(outcome.fault, "this request is over") != NULL);
    tael_route_release(script);
}

static void test_hostile(void)
{
    static const char *const texts[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return pcall(f) or f() end f()",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local function f() return xpcall(f, f) or f() end f()",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
        "local t = {} for i = 1, 100000 do t[i] = i end while true do table.sort(t) end",
        "local t = {} for i = 1, 100000 do t[i] = i end while true do table.insert(t, 1, 1) "
        "table.remove(t, 1) end",
        "local t = {} for i = 1, 100000 do t[i] = 'x' end while true do table.concat(t) end",
        "(\"x\"):gsub(\"x\", function() while true do end end)",
        "(\"a\"):rep(30000):find((\"a-\"):rep(30) .. \"b\")",
        "(\"a\"):rep(100000):match(\".-.-.-.-b\")",
        "(\"a\"):rep(100000):gsub((\"a?\"):rep(100) .. \"b\", \"\")",
        "for _ in (\"(\"):rep(100000):gmatch(\"%b()\") do end",
        "while true do (\"x\"):rep(1e8, \"\") end",
        "table.move({}, 1, 1 << 40, 2)",
        "table.concat({}, \"\", 1, 1 << 40)",
        "table.unpack({}, 1, 1 << 40)",
        "table.insert(setmetatable({}, { __len = function() return 1 << 40 end }), 1, 1)",
        "table.concat(setmetatable({}, { __index = function() return '' end }), '', 1, 1 << 40)",
        "local s = \"x\" while true do s = s .. s:sub(1, 100000) end",
        "local t = {} while true do t[#t + 1] = (\"x\"):rep(1000) .. #t end",
        "while true do local t = {} for i = 1, 100 do t[i] = {} end end",
        "local f f = function() return f() + 1 end return f()",
        "local s = (' '):rep(4000000) while true do local n = tonumber(s) end",
        "local s = (' '):rep(4000000) while true do pcall(function() return s + 1 end) end",
        "local t = setmetatable({}, {}) getmetatable(t)",
        "setmetatable({}, { __gc = function() end })",
        "local t <close> = setmetatable({}, { __close = function() end })",
        "rawset(string, 'x', 1)",
        "rawget(string, 'rep')()",
        "request.headers.x.y = 1",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        "error()",
        "return setmetatable({}, { __index = function() while true do end end })()",
        "local t = {} t.json = t return t",
        "return { json = function() end }",
        "return { body = 5 }",
        "return { json = 1, body = '' }",
        "return { [1] = 2 }",
        "coroutine.wrap(function() end)()",
        "goto x do local y ::x:: end",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        clock_t from = clock();
        struct outcome outcome = run(texts[i], "{}");
        CHECK_NAMED(outcome.state != TAEL_RUN_DONE && outcome.state != TAEL_RUN_PAUSED, texts[i]);
        printf("# %.0f ms, %d pauses: %s\n", (double)(clock() - from) * 1000 / CLOCKS_PER_SEC,
               outcome.pauses, outcome.fault);
    }
    CHECK(run("return { json = 'well' }", "{}").state == TAEL_RUN_DONE);
}

static void test_full(void)
{
    struct tael_route_script *script =
        load("local kept = {} return { [\"POST /\"] = function() for i = 1, 2000 do "
             "kept[#kept + 1] = ('x'):rep(1000) .. #kept end end }");
    enum tael_run_state state = TAEL_RUN_DONE;
    for (int i = 0; i < 20 && state == TAEL_RUN_DONE; i++)
        state = call_with(script, "POST", "", "1").state;
    CHECK(state == TAEL_RUN_MEMORY);
    CHECK(tael_isolate_full(isolate));
    tael_route_release(script);
    CHECK(!tael_isolate_full(isolate));
}

/* ---- patterns ---- */

/* What a piece of Lua gives, as text: in a state of Lua's own. */
static void plain(const char *text, char *out, size_t size)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dostring(L, text) != LUA_OK)
        snprintf(out, size, "raised");
    else
        snprintf(out, size, "%s", lua_tostring(L, -1));
    lua_close(L);
}

static void test_patterns(void)
{
    static const char *const texts[] = {
        "",         "hello world", "key=value&x=1", "a.b.c", "((x)(y))", "THE (quick) fox",
        "  trim  ", "2026-11-28",  "aaa",           "%d%%"};
    static const char *const patterns[] = {
        "",        ".",     "l+",     "(%w+)=(%w+)", "^%s*(.-)%s*$", "%b()",         "%f[%a]%a+",
        "[^=&]+",  "()a()", "a-",     "a?b",         "%.",           "^(%d+)-(%d+)", "x*",
        "[%w_]*$", "[]]",   "[^]]",   "[a-c]+",      "(a)(%1)?",     "%S+",          "%u%l*",
        "$",       "^$",    "o$",     "%",           "[a",           "(a",           "%1",
        "a)",      "%f",    "%b(",    "[%a-z]",      "[%]]",         "(((a)))",      "[a-]",
        "%g+",     "\\0",   "([%d])", "%x%X",        "%p",
    };
    static const char *const calls[] = {
        "local out = {} for _, v in ipairs { T:find(P) } do out[#out + 1] = tostring(v) end "
        "return table.concat(out, ',')",
        "local out = {} for _, v in ipairs { T:match(P, 2) } do out[#out + 1] = tostring(v) end "
        "return table.concat(out, ',')",
        "local out = {} for a, b in T:gmatch(P) do out[#out + 1] = tostring(a) .. tostring(b) end "
        "return table.concat(out, ',')",
        "local s, n = T:gsub(P, '<%0>') return s .. n",
        "local s, n = T:gsub(P, function(a) return a == 'a' and 'A' end, 2) return s .. n",
        "local s, n = T:gsub(P, { a = 1, value = 'v' }) return s .. n",
        "return tostring(T:find(P, -3)) .. tostring(T:find(P, 1, true)) .. tostring(T:find(P, 99))",
    };
    int count = 0, wrong = 0;
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
        for (size_t p = 0; p < sizeof(patterns) / sizeof(patterns[0]); p++)
            for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
                char text[1024], expected[1024], script[2048];
                snprintf(text, sizeof(text), "local T, P = [==[%s]==], [==[%s]==] %s", texts[t],
                         patterns[p], calls[c]);
                plain(text, expected, sizeof(expected));
                snprintf(script, sizeof(script), "return { body = (function() %s end)() }", text);
                struct outcome outcome = run(script, "{}");
                const char *got = outcome.state == TAEL_RUN_DONE ? outcome.body : "raised";
                count++;
                if (strcmp(got, expected) != 0) {
                    wrong++;
                    printf("# %s: %s, not %s (%s)\n", text, got, expected, outcome.fault);
                }
            }
    printf("# %d compared\n", count);
    CHECK(wrong == 0);
}

static void test_finding(void)
{
    struct tael_route_script *script = load(
        "local function f() end return { [\"GET /a/:x\"] = f, [\"GET /a/b\"] = f, "
        "[\"GET /:y/b\"] = f, [\"POST /a/:x/c\"] = { handler = f, auth = 'none', max_body = 9 } }");
    struct tael_route_place place;
    CHECK(script != NULL);
    CHECK(tael_route_find(script, tael_span_of("GET"), tael_span_of("/a/b"), &place) ==
          TAEL_ROUTE_FOUND);
    CHECK(tael_span_is(place.route->path, "/a/b") && place.route->auth == TAEL_ROUTE_API_KEY);
    CHECK(tael_route_find(script, tael_span_of("HEAD"), tael_span_of("/a/z"), &place) ==
          TAEL_ROUTE_FOUND);
    CHECK(place.param_count == 1 && tael_span_is(place.values[0], "z"));
    CHECK(tael_route_find(script, tael_span_of("GET"), tael_span_of("/z/b"), &place) ==
          TAEL_ROUTE_FOUND);
    CHECK(tael_route_find(script, tael_span_of("POST"), tael_span_of("/a/b"), &place) ==
          TAEL_ROUTE_NO_METHOD);
    CHECK(tael_route_find(script, tael_span_of("POST"), tael_span_of("/a/b/c"), &place) ==
          TAEL_ROUTE_FOUND);
    CHECK(place.route->auth == TAEL_ROUTE_OPEN && place.route->body_max == 9);
    static const char *const none[] = {"", "/", "/a", "/a/b/", "/a//", "/a/b/c/d"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        CHECK_NAMED(tael_route_find(script, tael_span_of("GET"), tael_span_of(none[i]), &place) !=
                        TAEL_ROUTE_FOUND,
                    none[i]);
    static const char *const bad[] = {"/a/..", "/a/.",   "/a/%2e", "/a/%2F",  "/a/%00",
                                      "/a/%",  "/a/%zz", "/a//b",  "/a;b",    "/a\\b",
                                      "/./a",  "/%7f",   "/a/%5C", "/a/%3bx", "/\x01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_NAMED(tael_route_find(script, tael_span_of("GET"), tael_span_of(bad[i]), &place) ==
                        TAEL_ROUTE_BAD_PATH,
                    bad[i]);
    char allowed[64];
    tael_route_allowed(script, tael_span_of("/a/b"), allowed, sizeof(allowed));
    CHECK(strcmp(allowed, "GET, HEAD") == 0);
    tael_route_release(script);
}

int main(void)
{
    if (tael_isolate_new(&isolate, 0, false) != TAEL_OK)
        return 1;
    test_calls();
    test_kept_request();
    test_finding();
    test_hostile();
    test_full();
    test_patterns();
    tael_isolate_free(isolate);
    return tap_end();
}
