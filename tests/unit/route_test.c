/* route_test.c - scripts in an isolate: what they see, what ends them, what a call gives; patterns
 * against Lua's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>
#include <lualib.h>

#include "alloc_fail.h"
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
    outcome.state = tael_route_begin(&call, script->isolate);
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
    /* where nearly nothing is left, what is collected again and again may use up the steps first */
    CHECK(state == TAEL_RUN_MEMORY || state == TAEL_RUN_SPENT);
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

/* What is in the place of Lua's own functions, where scripts that do no harm cannot tell. */
static void test_libraries(void)
{
    static const char *const texts[] = {
        "local t = {} for i = 1, 200 do t[i] = i * 7919 % 200 end table.sort(t) "
        "return table.concat(t, ',')",
        "local t = {} for i = 1, 100 do t[i] = 'k' .. i * 7919 % 100 end "
        "table.sort(t, function(a, b) return a > b end) return table.concat(t, ',')",
        "local t = { 3 } table.sort(t) table.sort({}) return t[1] .. #t",
        "local t = { 2, 1 } table.sort(t, function(a, b) return a < b end) return t[1] .. t[2]",
        "return tostring(pcall(table.sort, { 1, 'x' }))",
        "return tostring(pcall(table.sort, { 1, 2 }, 5))",
        "local mt = { __lt = function(a, b) return a.n < b.n end } local t = {} "
        "for i = 1, 9 do t[i] = setmetatable({ n = 9 - i }, mt) end table.sort(t) "
        "return t[1].n .. t[9].n",
        "return ('ab'):rep(5, '-') .. ('x'):rep(0) .. ('x'):rep(-1) .. ('x'):rep(1, 'y')",
        "return (''):rep(3, ',') .. ('abc'):rep(7)",
        "return tostring(nil) .. tostring(true) .. tostring(1.0) .. tostring(7) .. tostring('x')",
        "return tostring(setmetatable({}, { __tostring = function() return 'mine' end }))",
        "return tostring(pcall(tostring, setmetatable({}, { __tostring = function() end })))",
        "return ('%s|%5.1f|%-4d|%q|%x|%%|%c'):format(nil, 2.25, 7, 'a\\n', 255, 65)",
        "return ('%s'):format(setmetatable({}, { __tostring = function() return 'mine' end }))",
        "local out = {} for i, v in ipairs { 'a', 'b', nil, 'c' } do out[#out + 1] = i .. v end "
        "return table.concat(out)",
        "local t = setmetatable({ 1 }, { __index = function(_, i) return i < 4 and i or nil end }) "
        "local n = 0 for _, v in ipairs(t) do n = n + v end return n",
        "local t = setmetatable({ 1 }, { __index = { 1, 2, 3 } }) "
        "local n = 0 for _, v in ipairs(t) do n = n + v end return n",
        "local t = { 1, 2, 3 } table.insert(t, 4) table.insert(t, 1, 0) table.insert(t, 6, 5) "
        "return table.concat(t, ',') .. table.remove(t) .. table.remove(t, 1) .. #t",
        "return tostring(pcall(table.insert, { 1 }, 5, 1)) .. tostring(pcall(table.insert, {}))",
        "return tostring(table.remove({})) .. tostring(table.remove({}, 0))",
        "return table.concat(table.move({ 1, 2, 3 }, 2, 3, 1), ',') .. "
        "table.concat(table.move({ 1, 2 }, 1, 2, 3, { 8, 9 }), ',')",
        "return select('#', table.unpack({ 1, nil, 3 }, 1, 3)) .. select(-1, 1, 2) .. "
        "select('#', table.unpack({}, 5, 4))",
        "return ('hello'):byte(-1) .. select('#', ('hello'):byte(1, -1)) .. "
        "select('#', ('hello'):byte(-99, 99)) .. select('#', ('hello'):byte(4, 2))",
        "return utf8.char(228, 8364) .. utf8.len('\\u{e4}\\u{20ac}') .. "
        "utf8.codepoint('\\u{e4}', 1) .. tostring(utf8.len('\\xff'))",
        "local s = '' for p, c in utf8.codes('\\u{e4}x') do s = s .. p .. c end return s",
        "return (('abc'):gsub('%w', function(c) return c == 'b' and c:upper() end))",
        "return (('abc'):gsub('%w', setmetatable({}, { __index = function(_, k) return k .. k "
        "end })))",
        "return (('x y z'):gsub('%w', '%0%0', 2))",
        "return (('abc'):gsub('^%w', function() return '<' end))",
        "return (('abc'):gsub('', '-'))",
        "return tostring(pcall(string.gsub, 'x', 'x', function() return {} end))",
        "return tostring(tonumber('0x10')) .. tonumber('z', 36) .. tostring(tonumber('')) .. "
        "tonumber('  7  ')",
        "return tostring(xpcall(error, function(e) return e .. '!' end, 'x', 0))",
        "local A = {} A.__index = A function A.f() return 'A' end "
        "local B = setmetatable({}, A) B.__index = B local o = setmetatable({}, B) return o.f()",
        "local P = {} function P:new(o) setmetatable(o, self) self.__index = self return o end "
        "function P:f() return 'P' .. self.n end local Q = P:new { n = 1 } "
        "function Q:g() return self:f() .. 'Q' end return Q:new({ n = 2 }):g() .. Q:f()",
        "local log = '' local t = setmetatable({}, { __newindex = function(t, k, v) "
        "log = log .. k rawequal(t, v) end }) t.a = 1 t.b = 2 return log .. tostring(t.a)",
        "local mt = { __add = function(a, b) return a.n + b end, __len = function() return 9 end, "
        "__call = function(_, x) return x end, __eq = function() return true end, "
        "__concat = function() return 'cat' end, __unm = function() return 'minus' end } "
        "local t = setmetatable({ n = 1 }, mt) return (t + 2) .. #t .. t(5) .. "
        "tostring(t == setmetatable({}, mt)) .. t .. 'x'",
        "local n = 0 for k, v in pairs(setmetatable({}, { __pairs = function() "
        "return function(_, k) k = (k or 0) + 1 if k < 4 then return k, k end end end })) do "
        "n = n + v end return n",
        "local t, n = { 1, 2, x = 3, [2.5] = 4 }, 0 for k, v in next, t do n = n + v t[k] = nil "
        "end "
        "return n .. tostring(next(t))",
        "local t = {} t[t], t[1], t.x = 1, 2, 3 local n = 0 for _, v in next, t do n = n + v end "
        "for _, v in pairs(t) do n = n + v end return n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char expected[4096], script[4096];
        plain(texts[i], expected, sizeof(expected));
        snprintf(script, sizeof(script), "return { body = tostring((function() %s end)()) }",
                 texts[i]);
        struct outcome outcome = run(script, "{}");
        const char *got = outcome.state == TAEL_RUN_DONE ? outcome.body : "raised";
        CHECK_NAMED(strcmp(got, expected) == 0, texts[i]);
        if (strcmp(got, expected) != 0)
            printf("# %s, not %s: %s\n", got, expected, outcome.fault);
    }
}

/* They pause in the middle, and go on where they were. */
static void test_pauses(void)
{
    struct outcome outcome =
        run("local t = {} for i = 1, 15000 do t[i] = i * 7919 % 15000 end "
            "table.sort(t, function(a, b) for _ = 1, 5 do end return a < b end) "
            "for i = 1, 15000 do if t[i] ~= i - 1 then error(i) end end return { body = 'well' }",
            "{}");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.pauses > 10);
    outcome = run("local n = 0 local s = ('ab'):rep(5000):gsub('a', function(c) n = n + 1 "
                  "for _ = 1, 100 do end return n % 2 == 0 and 'x' end) "
                  "return { body = #s .. s:sub(1, 4) .. n }",
                  "{}");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.pauses > 2);
    CHECK(strcmp(outcome.body, "10000abxb5000") == 0);
    outcome = run("local s = ('a'):rep(100000) .. 'b' return { body = table.concat({ "
                  "s:find('[^a]'), #s:match('[b-z].*'), select(2, s:gsub('b', 'c')) }, ',') }",
                  "{}");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.pauses > 2);
    CHECK(strcmp(outcome.body, "100001,1,1") == 0);
    outcome = run("local n = 0 for w in (('a'):rep(50000) .. 'b'):rep(3):gmatch('b') do "
                  "n = n + #w end return { body = '' .. n }",
                  "{}");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.pauses > 2 && strcmp(outcome.body, "3") == 0);
    outcome = run("return { body = select(2, xpcall(error, function(e) for _ = 1, 300000 do end "
                  "return e end, 'x', 0)) .. tostring(setmetatable({}, { __tostring = function() "
                  "for _ = 1, 300000 do end return 'y' end })) }",
                  "{}");
    CHECK(outcome.state == TAEL_RUN_DONE && outcome.pauses > 2 && strcmp(outcome.body, "xy") == 0);
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

/* ---- sets ---- */

static const char counter[] =
    "local n = 0 return { ['GET /'] = function() n = n + 1 return { json = n } end }";

static tael_status add(struct tael_route_set *set, const char *name, const char *text)
{
    return tael_route_set_add(set, tael_span_of(name), tael_span_of(text), why);
}

static bool counts_to(struct tael_route_set *set, const char *name, const char *number)
{
    struct tael_route_script *script = tael_route_set_find(set, tael_span_of(name));
    return script != NULL && strcmp(call_with(script, "GET", "", "").body, number) == 0;
}

static void test_sets(void)
{
    struct tael_route_set *set = NULL, *again = NULL;
    char longest[66];
    memset(longest, 'a', 65);
    longest[65] = '\0';
    if (tael_route_set_new(&set, false) != TAEL_OK)
        abort();
    static const char *const names[] = {"pay", "a", "paying", "pa", "z-1"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK_NAMED(add(set, names[i], counter) == TAEL_OK, names[i]);
    CHECK(add(set, "pay", counter) == TAEL_ELIMIT && add(set, "", counter) == TAEL_ELIMIT);
    CHECK(add(set, longest, counter) == TAEL_ELIMIT && add(set, longest + 1, counter) == TAEL_OK);
    CHECK(add(set, "wrong", "return {\n['GET'] = 1 }") == TAEL_ESCRIPT);
    CHECK(strncmp(why, "routes/wrong.lua:2: ", 20) == 0);
    CHECK(tael_route_set_find(set, tael_span_of("wrong")) == NULL);
    CHECK(tael_route_set_find(set, tael_span_of("p")) == NULL);
    CHECK(tael_route_set_find(set, tael_span_of("")) == NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK_NAMED(counts_to(set, names[i], "1") && counts_to(set, names[i], "2"), names[i]);
    CHECK(tael_route_set_again(set, &again) == TAEL_OK);
    CHECK(counts_to(again, "pay", "1") && counts_to(set, "pay", "3"));
    tael_route_set_retain(set);
    tael_route_set_release(set);
    CHECK(counts_to(set, "pay", "4"));
    tael_route_set_release(set);
    CHECK(counts_to(again, "pay", "2"));
    tael_route_set_release(again);
    tael_route_set_release(NULL);
}

static tael_status make_set(struct tael_route_set **set, struct tael_route_set **again)
{
    tael_status rc = tael_route_set_new(set, false);
    if (rc == TAEL_OK)
        rc = add(*set, "b", counter);
    if (rc == TAEL_OK)
        rc = add(*set, "a", counter);
    return rc == TAEL_OK ? tael_route_set_again(*set, again) : rc;
}

/* Twice, for Lua collects its garbage and asks again. */
static void test_sets_without_memory(void)
{
    bool failed = true;
    long count = 0, wrong = 0;
    while (failed) {
        struct tael_route_set *set = NULL, *again = NULL;
        alloc_fail_run(++count, 2);
        tael_status rc = make_set(&set, &again);
        failed = alloc_fail_end();
        bool whole = again != NULL && counts_to(again, "a", "1") && counts_to(again, "b", "1");
        wrong += rc == TAEL_OK ? !whole : rc != TAEL_ENOMEM;
        tael_route_set_release(again);
        tael_route_set_release(set);
    }
    CHECK(count > 10 && wrong == 0);
}

int main(void)
{
    if (tael_isolate_new(&isolate, NULL, 0, false) != TAEL_OK)
        return 1;
    test_calls();
    test_kept_request();
    test_finding();
    test_sets();
    test_sets_without_memory();
    test_hostile();
    test_full();
    test_patterns();
    test_libraries();
    test_pauses();
    tael_isolate_free(isolate);
    return tap_end();
}
