/* script_test.c - the trusted state and its tasks, in the simulated world. */
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "room.h"
#include "tap.h"

/* ---- probe: a function that waits until the test says so ---- */

static struct {
    int waits, undone;
    struct tael_task *task;
    bool cancel_self;
} probe;

static void probe_undo(void *op)
{
    (void)op;
    probe.undone++;
    probe.task = NULL;
}

static int probe_continue(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    lua_pushliteral(L, "woken");
    return 1;
}

static int probe_wait(lua_State *L)
{
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, "probe.wait");
    probe.waits++;
    probe.task = task;
    tael_task_wait(task, probe_undo, &probe);
    return lua_yieldk(L, 0, 0, probe_continue);
}

/* Woken before it has yielded. */
static int probe_early(lua_State *L)
{
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, "probe.early");
    tael_task_wait(task, probe_undo, &probe);
    tael_task_wake(task);
    return lua_yieldk(L, 0, 0, probe_continue);
}

/* A wait that raises in the end: the task must not stay registered for it. */
static int probe_abandon(lua_State *L)
{
    tael_task_wait(tael_task_of(L, TAEL_CTX_TASK, "probe.abandon"), probe_undo, &probe);
    return luaL_error(L, "abandoned");
}

static int probe_cancel(lua_State *L)
{
    tael_task_cancel(tael_task_here(L));
    return 0;
}

/* A coroutine of Lua's own is nobody's task. */
static int probe_here(lua_State *L)
{
    lua_pushboolean(L, tael_task_here(L) != NULL);
    return 1;
}

static int probe_raw_yield(lua_State *L)
{
    return lua_yield(L, 0);
}

/* Takes long: waits to be the last; alike: like others. Says whether such ones are behind it. */
static int probe_followed(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    lua_pushboolean(L, tael_task_is_followed(tael_task_here(L)));
    return 1;
}

static int probe_last(lua_State *L)
{
    tael_task_wait_last(tael_task_of(L, TAEL_CTX_TASK, "probe.last"), lua_toboolean(L, 1) != 0);
    return lua_yieldk(L, 0, 0, probe_followed);
}

static int probe_is_followed(lua_State *L)
{
    return probe_followed(L, LUA_OK, 0);
}

static int open_probe(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"wait", probe_wait},
        {"early", probe_early},
        {"abandon", probe_abandon},
        {"cancel", probe_cancel},
        {"here", probe_here},
        {"raw_yield", probe_raw_yield},
        {"last", probe_last},
        {"is_followed", probe_is_followed},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

static void room_open(struct room *room, size_t memory_max, const char *lua_root)
{
    static const luaL_Reg modules[] = {
        {"tael.task", tael_open_task}, {"tael.time", tael_open_time}, {"tael.json", tael_open_json},
        {"tael.log", tael_open_log},   {"probe", open_probe},         {NULL, NULL},
    };
    room_open_with(room, modules, memory_max, lua_root);
}

/* ---- life of a task ---- */

static void results_come_later_and_once(void)
{
    struct room room;
    struct outcome outcome;
    room_open(&room, 0, NULL);
    CHECK(start(&room, &outcome, "local a, b = ... return a .. b, 2, 3") != NULL);
    CHECK_NAMED(outcome.calls == 0, "spawn does not run the task");
    CHECK(tael_state_tasks(room.state) == 1);
    room_run(&room);
    CHECK(outcome.calls == 1 && outcome.status == TAEL_OK && outcome.count == 3);
    CHECK(strcmp(outcome.text, "first42") == 0);
    CHECK(tael_state_tasks(room.state) == 0);
    room_close(&room);
}

static void what_does_not_compile_is_not_spawned(void)
{
    struct room room;
    struct outcome outcome;
    room_open(&room, 0, NULL);
    CHECK(start(&room, &outcome, "this is not Lua") == NULL);
    CHECK(strstr(room.lines, "task.not_spawned") != NULL);
    room_run(&room);
    CHECK(outcome.calls == 0 && tael_state_tasks(room.state) == 0);
    room_close(&room);
}

static void errors_tell_where(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome = run(&room, "local function inner() error('broken') end\n"
                                        "local function outer() inner() end\nouter()");
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ESCRIPT && outcome.count == 0);
    CHECK(strstr(outcome.text, "task.lua:1: broken") == outcome.text);
    CHECK(strstr(outcome.text, "stack traceback") != NULL);
    CHECK(strstr(outcome.text, "outer") != NULL);
    outcome = run(&room, "error({code = 'x', message = 'in a table'})");
    CHECK(strncmp(outcome.text, "in a table", 10) == 0);
    outcome = run(&room, "error(setmetatable({}, {__tostring = function() return 'own' end}))");
    CHECK(strncmp(outcome.text, "own", 3) == 0);
    outcome = run(&room, "error(setmetatable({}, {__tostring = function() error('twice') end}))");
    CHECK(outcome.calls == 1 && outcome.status != TAEL_OK);
    outcome = run(&room, "error(nil)");
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ESCRIPT);
    outcome = run(&room, "error(('long '):rep(100000), 0)");
    CHECK(outcome.text_len > 2000 && outcome.text_len <= 4096);
    CHECK_NAMED(strstr(outcome.text, "stack traceback") != NULL, "long errors keep a traceback");
    outcome = run(&room, "local function f() return 1 + f() end return f()");
    CHECK(outcome.status == TAEL_ESCRIPT && strstr(outcome.text, "overflow") != NULL);
    CHECK(tael_state_tasks(room.state) == 0);
    room_close(&room);
}

static void an_error_in_done_is_logged(void)
{
    struct room room;
    struct outcome outcome;
    room_open(&room, 0, NULL);
    start(&room, &outcome, "return 1");
    outcome.raise = true;
    room_run(&room);
    CHECK(outcome.calls == 1);
    CHECK(strstr(room.lines, "task.end_failed") != NULL && strstr(room.lines, "done raises"));
    CHECK(strcmp(run(&room, "return 'next'").text, "next") == 0);
    room_close(&room);
}

static void a_task_without_done_logs_its_error(void)
{
    struct room room;
    char text[] = "error('nobody listens')";
    room_open(&room, 0, NULL);
    CHECK(tael_task_spawn(room.state, prepare_text, text, NULL, NULL, NULL) == TAEL_OK);
    room_run(&room);
    CHECK(strstr(room.lines, "task.failed") != NULL && strstr(room.lines, "nobody listens"));
    room_close(&room);
}

/* ---- waiting ---- */

static void sleepers_wake_in_order_of_time(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome =
        run(&room, "local time, task = require 'tael.time', require 'tael.task'\n"
                   "local seen = {}\n"
                   "for _, ms in ipairs({30, 10, 20}) do\n"
                   "  task.spawn(function() time.sleep(ms) seen[#seen + 1] = ms end)\n"
                   "end\n"
                   "local before = time.now()\n"
                   "time.sleep(100)\n"
                   "return table.concat(seen, ' ') .. ' ' .. time.now() - before");
    CHECK(strcmp(outcome.text, "10 20 30 100") == 0);
    room_close(&room);
}

/* What becomes ready meanwhile goes before the next of them; one that is cancelled never comes. */
static void what_takes_long_goes_last(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome =
        run(&room, "local time, task = require 'tael.time', require 'tael.task'\n"
                   "local seen, long = {}, {}\n"
                   "local function see(word) seen[#seen + 1] = word end\n"
                   "for i = 1, 6 do\n"
                   "  long[i] = task.spawn(function()\n"
                   "    task.last() see('L' .. i) task.spawn(see, 'r' .. i)\n"
                   "  end)\n"
                   "end\n"
                   "task.spawn(function() see 't1' long[5]:cancel() end)\n"
                   "task.spawn(see, 't2')\n"
                   "time.sleep(10)\n"
                   "return table.concat(seen, ' ') .. ' ' .. tostring(long[5]:alive())");
    CHECK(strcmp(outcome.text, "t1 t2 L1 r1 L2 r2 L3 r3 L4 r4 L6 r6 false") == 0);
    room_close(&room);
}

/* In a turn of the loop there are a few of them, and its other events have their turn between. */
static void what_takes_long_does_not_keep_the_loop(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome =
        run(&room, "local time, task = require 'tael.time', require 'tael.task'\n"
                   "local ran, before = 0\n"
                   "for i = 1, 100 do\n"
                   "  task.spawn(function() task.last() ran = ran + 1 end)\n"
                   "end\n"
                   "task.spawn(function() task.last() time.sleep(0) before = ran end)\n"
                   "for i = 1, 100 do\n"
                   "  task.spawn(function() task.last() ran = ran + 1 end)\n"
                   "end\n"
                   "time.sleep(100)\n"
                   "return ran .. ' ' .. tostring(before >= 100 and before < 110)");
    CHECK(strcmp(outcome.text, "200 true") == 0);
    room_close(&room);
}

/* Who comes from there knows whether more of its kind do, until it waits for something else. */
static void those_alike_follow_each_other(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome =
        run(&room,
            "local time, task, probe = require 'tael.time', require 'tael.task', require 'probe'\n"
            "local seen = {}\n"
            "local function see(name, value) seen[#seen + 1] = name .. tostring(value) end\n"
            "for i = 1, 3 do task.spawn(function() see('a', probe.last(true)) end) end\n"
            "task.spawn(function() see('b', probe.last(false)) end)\n"
            "local gone = task.spawn(function() probe.last(true) end)\n"
            "task.spawn(function() gone:cancel() end)\n"
            "time.sleep(10)\n"
            "task.spawn(function() see('c', probe.last(true)) time.sleep(0) see('d', "
            "probe.is_followed()) end)\n"
            "task.spawn(function() see('e', probe.last(true)) end)\n"
            "see('f', probe.is_followed())\n"
            "time.sleep(10)\n"
            "return table.concat(seen, ' ')");
    CHECK(strcmp(outcome.text, "atrue atrue afalse bfalse ffalse ctrue efalse dfalse") == 0);
    room_close(&room);
}

/* A reader of a list commits nothing: a commit that waited for it would wait in vain. */
static void who_only_reads_follows_nobody(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome =
        run(&room,
            "local time, task, probe = require 'tael.time', require 'tael.task', require 'probe'\n"
            "local seen = {}\n"
            "local function begin(alike)\n"
            "  task.spawn(function()\n"
            "    task.last(alike)\n"
            "    seen[#seen + 1] = tostring(probe.is_followed())\n"
            "  end)\n"
            "end\n"
            "begin(true) begin(true) begin() begin()\n"
            "time.sleep(10)\n"
            "return table.concat(seen, ' ')");
    CHECK(strcmp(outcome.text, "true false false false") == 0);
    room_close(&room);
}

static void the_state_ends_while_some_wait_to_be_last(void)
{
    struct room room;
    struct outcome outcomes[8];
    room_open(&room, 0, NULL);
    for (size_t i = 0; i < 8; i++)
        start(&room, &outcomes[i], "require('tael.task').last() return 'ran'");
    room_close(&room);
    bool all = true;
    for (size_t i = 0; i < 8; i++)
        all = all && outcomes[i].calls == 1 && outcomes[i].status == TAEL_ECLOSED;
    CHECK(all);
}

static void waiting_works_inside_pcall_and_iterators(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome = run(
        &room,
        "local time = require 'tael.time'\n"
        "local ok = pcall(time.sleep, 5)\n"
        "local n = 0\n"
        "for i in function(_, i) time.sleep(1) i = (i or 0) + 1 return i < 4 and i or nil end do\n"
        "  n = n + i\n"
        "end\n"
        "local m = setmetatable({}, {__index = function() time.sleep(1) return 'late' end})\n"
        "return tostring(ok) .. n .. m.x");
    CHECK(strcmp(outcome.text, "true6late") == 0);
    room_close(&room);
}

static void waiting_is_refused_where_it_cannot_be(void)
{
    static const char *const texts[] = {
        "local t = require 'tael.time' return select(2, "
        "coroutine.resume(coroutine.create(t.sleep), 1))",
        "local t = require 'tael.time' return select(2, pcall(table.sort, {1, 2, 3}, function(a, b)"
        " t.sleep(1) return a < b end))",
        "local t = require 'tael.time' return select(2, pcall(string.gsub, 'a', 'a', function() "
        "t.sleep(1) end))",
        "local t = require 'tael.time'\n"
        "package.preload.late = function() t.sleep(1) end\n"
        "return select(2, pcall(require, 'late'))",
    };
    struct room room;
    room_open(&room, 0, NULL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct outcome outcome = run(&room, texts[i]);
        CHECK(outcome.status == TAEL_OK && strstr(outcome.text, "time.sleep: cannot wait here"));
    }
    struct outcome outcome = run(&room, "local p = require 'probe'\n"
                                        "local inner = coroutine.wrap(p.here)()\n"
                                        "return tostring(p.here()) .. tostring(inner)");
    CHECK(strcmp(outcome.text, "truefalse") == 0);
    room_close(&room);
}

static void a_task_does_not_yield_by_itself(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome = run(&room, "coroutine.yield(1)");
    CHECK(outcome.status == TAEL_ESCRIPT && strstr(outcome.text, "cannot yield here") != NULL);
    outcome = run(&room, "require('probe').raw_yield() return 'resumed'");
    CHECK(outcome.status == TAEL_ESCRIPT && strstr(outcome.text, "without waiting") != NULL);
    outcome = run(&room, "local g = coroutine.wrap(function(a) local b = coroutine.yield(a + 1)"
                         " return b * 2 end) return g(1) + g(10)");
    CHECK_NAMED(strcmp(outcome.text, "22") == 0, "coroutines of Lua's own yield as ever");
    room_close(&room);
}

static void a_wake_before_the_yield_counts(void)
{
    struct room room;
    probe.undone = 0;
    room_open(&room, 0, NULL);
    CHECK(strcmp(run(&room, "return require('probe').early()").text, "woken") == 0);
    CHECK(probe.undone == 0);
    struct outcome outcome = run(&room, "require('probe').abandon()");
    CHECK(outcome.status == TAEL_ESCRIPT && probe.undone == 1);
    room_close(&room);
}

/* ---- cancelling ---- */

static const char waiting[] = "local p = require 'probe'\n"
                              "local x <close> = setmetatable({}, {__close = function()\n"
                              "  closed = (closed or 0) + 1\n"
                              "  refused = select(2, pcall(require('tael.time').sleep, 1))\n"
                              "end})\n"
                              "return p.wait()";

static void cancel_undoes_once(void)
{
    struct room room;
    struct outcome outcome;
    probe.undone = 0;
    room_open(&room, 0, NULL);
    start(&room, &outcome, waiting);
    room_run(&room);
    CHECK(outcome.calls == 0 && probe.task == outcome.task);
    tael_task_cancel(outcome.task);
    CHECK_NAMED(probe.undone == 1, "the undo runs at once");
    CHECK_NAMED(outcome.calls == 0, "done does not come from inside cancel");
    tael_task_cancel(outcome.task);
    tael_task_detach(outcome.task); /* too late */
    room_run(&room);
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ECLOSED && probe.undone == 1);
    CHECK(strcmp(run(&room, "return closed").text, "1") == 0);
    CHECK_NAMED(strstr(run(&room, "return refused").text, "time.sleep: not allowed") != NULL,
                "a to-be-closed variable cannot wait");
    room_close(&room);
}

static void a_woken_task_keeps_no_undo(void)
{
    struct room room;
    struct outcome outcome;
    probe.undone = 0;
    room_open(&room, 0, NULL);
    start(&room, &outcome, waiting);
    room_run(&room);
    tael_task_wake(outcome.task);
    CHECK_NAMED(outcome.calls == 0, "wake does not run the task");
    room_run(&room);
    CHECK(outcome.calls == 1 && strcmp(outcome.text, "woken") == 0 && probe.undone == 0);
    start(&room, &outcome, waiting);
    room_run(&room);
    tael_task_wake(outcome.task);
    tael_task_cancel(outcome.task); /* woken, not yet resumed */
    room_run(&room);
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ECLOSED && probe.undone == 0);
    room_close(&room);
}

static void a_detached_task_is_not_cancelled(void)
{
    struct room room;
    struct outcome outcome;
    probe.undone = 0;
    room_open(&room, 0, NULL);
    start(&room, &outcome, waiting);
    room_run(&room);
    tael_task_detach(outcome.task);
    tael_task_cancel(outcome.task);
    CHECK(tael_task_detached(outcome.task) && probe.undone == 0);
    tael_task_wake(outcome.task);
    room_run(&room);
    CHECK(outcome.calls == 1 && outcome.status == TAEL_OK);
    room_close(&room);
}

static void cancel_before_the_first_run(void)
{
    struct room room;
    struct outcome outcome;
    room_open(&room, 0, NULL);
    start(&room, &outcome, "ran = true return 1");
    tael_task_cancel(outcome.task);
    room_run(&room);
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ECLOSED);
    CHECK(strcmp(run(&room, "return tostring(ran)").text, "nil") == 0);
    room_close(&room);
}

static void cancel_of_a_running_task_waits_for_its_yield(void)
{
    struct room room;
    probe.undone = 0;
    room_open(&room, 0, NULL);
    struct outcome outcome = run(&room, "local p = require 'probe' p.cancel() return 'finished'");
    CHECK(outcome.status == TAEL_OK && strcmp(outcome.text, "finished") == 0);
    outcome = run(&room, "local p = require 'probe' p.cancel() went = 1 p.wait() went = 2");
    CHECK(outcome.status == TAEL_ECLOSED && probe.undone == 1);
    CHECK(strcmp(run(&room, "return went").text, "1") == 0);
    outcome = run(&room, "local p, t = require 'probe', require 'tael.task'\n"
                         "p.cancel() t.detach() require('tael.time').sleep(1) return 'to its end'");
    CHECK_NAMED(strcmp(outcome.text, "to its end") == 0, "detaching in time overrules a cancel");
    room_close(&room);
}

static void the_end_of_the_state_ends_its_tasks(void)
{
    struct room room;
    struct outcome waits, sleeps, ready, detached;
    probe.undone = 0;
    room_open(&room, 0, NULL);
    start(&room, &waits, waiting);
    start(&room, &detached, "require('tael.task').detach() require('tael.task').wait('k', 10000)");
    tael_sim_run(room.world, ROOM_START_MS + 1000);
    start(&room, &sleeps, "require('tael.time').sleep(100)");
    tael_sim_run(room.world, ROOM_START_MS + 1010);
    start(&room, &ready, "return 1");
    CHECK(tael_state_tasks(room.state) == 4);
    room_close(&room);
    CHECK(waits.calls == 1 && waits.status == TAEL_ECLOSED && probe.undone == 1);
    CHECK(detached.calls == 1 && detached.status == TAEL_ECLOSED);
    CHECK(sleeps.calls == 1 && sleeps.status == TAEL_ECLOSED);
    CHECK(ready.calls == 1 && ready.status == TAEL_ECLOSED);
}

/* ---- contexts ---- */

static void pure_functions_have_no_world(void)
{
    static const char *const names[] = {"tael.time:now",   "tael.time:monotonic", "tael.time:sleep",
                                        "tael.task:spawn", "tael.task:detach",    "tael.task:wait",
                                        "tael.task:wake",  "tael.task:set_scope", "probe:wait"};
    struct room room;
    room_open(&room, 0, NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text),
                 "local m, f = ('%s'):match('(.*):(.*)')\n"
                 "local fn, task = require(m)[f], require 'tael.task'\n"
                 "local ok, why = task.pure(fn, 1, 1)\n"
                 "return tostring(ok) .. tostring(why)",
                 names[i]);
        struct outcome outcome = run(&room, text);
        CHECK_NAMED(strncmp(outcome.text, "false", 5) == 0 &&
                        strstr(outcome.text, "not allowed in a pure function") != NULL,
                    names[i]);
    }
    struct outcome outcome =
        run(&room,
            "local task, time = require 'tael.task', require 'tael.time'\n"
            "local a, b, c = task.pure(function(...) return ... end, 1, 2)\n"
            "local ok = task.pure(error, 'x')\n"
            "local nested = {task.pure(function() task.pure(error) return pcall(time.now) end)}\n"
            "return tostring(a) .. b .. c .. tostring(ok) .. tostring(nested[2])"
            " .. math.type(time.now())");
    CHECK(strcmp(outcome.text, "true12falsefalseinteger") == 0);
    room_close(&room);
}

static int call_sleep(lua_State *L)
{
    luaL_requiref(L, "tael.time", tael_open_time, 0);
    lua_getfield(L, -1, "sleep");
    lua_pushinteger(L, 1);
    lua_call(L, 1, 0);
    return 0;
}

static int call_nothing(lua_State *L)
{
    *(unsigned *)lua_touserdata(L, 1) = tael_task_context(L);
    return 0;
}

static int exhaust(lua_State *L)
{
    lua_newtable(L);
    for (int i = 1;; i++) {
        lua_pushfstring(L, "%d is a number", i);
        lua_rawseti(L, -2, i);
    }
    return 0;
}

static void protected_calls_report_errors(void)
{
    struct room room;
    tael_error err;
    unsigned context = 0;
    room_open(&room, 4 * 1024 * 1024, NULL);
    CHECK(tael_state_call(room.state, call_nothing, &context, &err) == TAEL_OK);
    CHECK(context == TAEL_CTX_LOAD);
    CHECK(tael_state_call(room.state, call_sleep, NULL, &err) == TAEL_ESCRIPT);
    CHECK(err.status == TAEL_ESCRIPT && strcmp(err.code, "script_failed") == 0);
    CHECK(strstr(err.message, "time.sleep: not allowed outside a task") != NULL);
    CHECK(strchr(err.message, '\n') == NULL);
    CHECK(tael_state_call(room.state, exhaust, NULL, &err) == TAEL_ENOMEM);
    CHECK(tael_state_call(room.state, call_nothing, &context, NULL) == TAEL_OK);
    lua_State *plain = luaL_newstate();
    CHECK(plain != NULL && tael_state_of(plain) == NULL && tael_task_here(plain) == NULL);
    CHECK(tael_state_host(NULL) == NULL && tael_task_context(plain) == TAEL_CTX_LOAD);
    lua_close(plain);
    room_close(&room);
}

/* ---- libraries ---- */

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    bool ok = fputs(text, file) >= 0;
    return fclose(file) == 0 && ok;
}

static void modules_come_from_the_root_alone(void)
{
    char root[] = "/tmp/tael-script-XXXXXX", path[128];
    struct room room;
    CHECK(mkdtemp(root) != NULL);
    snprintf(path, sizeof(path), "%s/tael", root);
    CHECK(mkdir(path, 0700) == 0);
    snprintf(path, sizeof(path), "%s/tael/one.lua", root);
    CHECK(write_file(path, "return {name = ..., where = select(2, ...)}"));
    room_open(&room, 0, root);
    struct outcome outcome =
        run(&room, "local one = require 'tael.one' return one.name .. one.where");
    CHECK(strncmp(outcome.text, "tael.one", 8) == 0 && strstr(outcome.text, root) != NULL);
    outcome = run(&room, "return package.cpath .. tostring(package.loadlib) .. #package.searchers");
    CHECK(strcmp(outcome.text, "nil3") == 0);
    outcome = run(&room, "local c = require 'cjson' return c.encode({1}) .. tostring(c.null == "
                         "require('tael.json').null)");
    CHECK(strcmp(outcome.text, "[1]true") == 0);
    outcome = run(&room, "return select(2, pcall(require, 'lfs'))");
    CHECK(strstr(outcome.text, "module 'lfs' not found") != NULL);
    outcome = run(&room, "return select(2, pcall(require, 'tael.none'))");
    CHECK(strstr(outcome.text, "tael/none.lua") != NULL && strstr(outcome.text, "./none") == NULL);
    room_close(&room);
    unlink(path);
    path[strlen(path) - strlen("/one.lua")] = '\0';
    rmdir(path);
    rmdir(root);
    struct tael_state_options options = {.lua_root = "/a;/b/?"};
    struct tael_state *state = NULL;
    tael_error err;
    CHECK(tael_state_new(&state, &options, &err) == TAEL_EINVAL && state == NULL);
}

static void the_libraries_have_no_clock_and_no_dice(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome =
        run(&room, "local found = {}\n"
                   "for name in ('os.time os.clock os.date os.exit os.execute "
                   "os.tmpname io.popen io.tmpfile math.random math.randomseed "
                   "debug.getregistry debug.setmetatable debug.upvaluejoin'):gmatch('%S+') do\n"
                   "  local lib, key = name:match('(%w+)%.(%w+)')\n"
                   "  if _G[lib][key] ~= nil then found[#found + 1] = name end\n"
                   "end\nreturn #found .. type(debug.traceback)");
    CHECK(strcmp(outcome.text, "0function") == 0);
    room_close(&room);
}

static void pairs_has_one_order_under_simulation(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    struct outcome outcome = run(
        &room, "local out = {}\n"
               "local t = {b = 1, a = 1, [3] = 1, [1] = 1, [2.5] = 1, ['10'] = 1, aa = 1}\n"
               "for k in pairs(t) do out[#out + 1] = tostring(k) end\n"
               "for k in pairs(t) do t[k] = nil end\n"
               "local proxy = setmetatable({}, {__pairs = function() return next, {z = 1} end})\n"
               "for k in pairs(proxy) do out[#out + 1] = k end\n"
               "return table.concat(out, ' ') .. tostring(next(t)) .. tostring(pcall(pairs))");
    CHECK(strcmp(outcome.text, "1 2.5 3 10 a aa b znilfalse") == 0);
    outcome = run(&room, "local out, t = {}, {a = 1, b = 2, c = 3}\n"
                         "for k, v in pairs(t) do t.b = nil t.d = 4 out[#out + 1] = k .. v end\n"
                         "return table.concat(out)");
    CHECK(strcmp(outcome.text, "a1c3") == 0);
    room_close(&room);
}

static void errors_of_finalizers_are_logged(void)
{
    struct room room;
    room_open(&room, 0, NULL);
    run(&room, "setmetatable({}, {__gc = function() error('in a finalizer') end})");
    run(&room, "collectgarbage() collectgarbage()");
    CHECK(strstr(room.lines, "script.warning") != NULL && strstr(room.lines, "in a finalizer"));
    room_close(&room);
}

int main(void)
{
    results_come_later_and_once();
    what_does_not_compile_is_not_spawned();
    errors_tell_where();
    an_error_in_done_is_logged();
    a_task_without_done_logs_its_error();
    sleepers_wake_in_order_of_time();
    what_takes_long_goes_last();
    what_takes_long_does_not_keep_the_loop();
    those_alike_follow_each_other();
    who_only_reads_follows_nobody();
    the_state_ends_while_some_wait_to_be_last();
    waiting_works_inside_pcall_and_iterators();
    waiting_is_refused_where_it_cannot_be();
    a_task_does_not_yield_by_itself();
    a_wake_before_the_yield_counts();
    cancel_undoes_once();
    a_woken_task_keeps_no_undo();
    a_detached_task_is_not_cancelled();
    cancel_before_the_first_run();
    cancel_of_a_running_task_waits_for_its_yield();
    the_end_of_the_state_ends_its_tasks();
    pure_functions_have_no_world();
    protected_calls_report_errors();
    modules_come_from_the_root_alone();
    the_libraries_have_no_clock_and_no_dice();
    pairs_has_one_order_under_simulation();
    errors_of_finalizers_are_logged();
    return tap_end();
}
