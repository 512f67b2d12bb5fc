/* isolate.c - the state of an isolate: its life, the scripts in it, its runs. */
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "script/isolate_inner.h"
#include "script/metered.h"

enum {
    GC_PAUSE = 160, /* percent of what was left that there is when a collection begins: Lua's 200
                       makes each isolate a third larger, and there are thousands */
};

/* ---- life ---- */

/* (functions, ordered) Gives the reference to the box. */
static int install(lua_State *L)
{
    tael_confine_install(L, lua_touserdata(L, 1), lua_toboolean(L, 2));
    tael_budget_push_box(L);
    lua_pushinteger(L, luaL_ref(L, LUA_REGISTRYINDEX));
    return 1;
}

static tael_status isolate_new(struct tael_isolate **out, const struct tael_functions *functions,
                               size_t memory_max, bool ordered)
{
    struct tael_isolate *isolate = calloc(1, sizeof(*isolate));
    if (isolate == NULL)
        return TAEL_ENOMEM;
    isolate->max = memory_max > 0 ? memory_max : TAEL_ISOLATE_MEMORY;
    isolate->L = lua_newstate(tael_isolate_allocate, isolate);
    if (isolate->L == NULL)
        goto out_of_memory;
    *(struct tael_isolate **)lua_getextraspace(isolate->L) = isolate; /* copied to coroutines */
    lua_pushcfunction(isolate->L, install);
    lua_pushlightuserdata(isolate->L, (void *)(uintptr_t)functions);
    lua_pushboolean(isolate->L, ordered);
    if (lua_pcall(isolate->L, 2, 1, 0) != LUA_OK)
        goto out_of_memory;
    isolate->box = (int)lua_tointeger(isolate->L, -1);
    lua_pop(isolate->L, 1);
    isolate->taken = 0;
    lua_gc(isolate->L, LUA_GCINC, GC_PAUSE, 0, 0);
    *out = isolate;
    return TAEL_OK;
out_of_memory:
    tael_isolate_free(isolate);
    return TAEL_ENOMEM;
}

tael_status tael_isolate_new(struct tael_isolate **out, const struct tael_functions *functions,
                             size_t memory_max, bool ordered)
{
    struct tael_functions *own = NULL;
    tael_status rc = functions == NULL ? tael_functions_new(&own) : TAEL_OK;
    if (rc == TAEL_OK)
        rc = isolate_new(out, functions != NULL ? functions : own, memory_max, ordered);
    tael_functions_free(own);
    return rc;
}

void tael_isolate_free(struct tael_isolate *isolate)
{
    if (isolate == NULL)
        return;
    if (isolate->L != NULL)
        lua_close(isolate->L);
    tael_isolate_free_slabs(isolate);
    free(isolate);
}

/* Pushes the chunk or what is wrong with it. */
static bool compile(struct tael_isolate *isolate, lua_State *L, struct tael_span text,
                    const char *name)
{
    isolate->loading = true;
    int status = luaL_loadbufferx(L, text.data, text.len, name, "t");
    isolate->loading = false;
    return status == LUA_OK;
}

/* In the author's own words if they are no good Lua, and not in those that are written into them.
 */
static int refuse_text(lua_State *L, struct tael_span text, const char *name, int line)
{
    if (line > 0)
        return luaL_error(L, "%s:%d: " TAEL_METERED_NAMES " are names that count what scripts do",
                          name + 1, line);
    if (compile(*(struct tael_isolate **)lua_getextraspace(L), L, text, name))
        lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        lua_pushfstring(L, "%s: cannot be read", name + 1);
    return lua_error(L);
}

void tael_isolate_load(lua_State *L, struct tael_span text, const char *name,
                       struct tael_buf *scratch)
{
    struct tael_isolate *isolate = *(struct tael_isolate **)lua_getextraspace(L);
    int line = 0, environment = lua_gettop(L);
    size_t len = scratch->len;
    tael_status rc = tael_metered_write(scratch, text, &line);
    struct tael_span metered = {scratch->data + len, scratch->len - len};
    scratch->len = len; /* nobody else writes meanwhile */
    if (rc == TAEL_ENOMEM || rc == TAEL_ELIMIT)
        luaL_error(L, "not enough memory");
    lua_pushnil(L);
    if (rc != TAEL_OK || !compile(isolate, L, metered, name))
        refuse_text(L, text, name, line);
    lua_pushvalue(L, environment);
    lua_setupvalue(L, -2, 1);
    lua_call(L, 0, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, isolate->box);
    lua_upvaluejoin(L, -2, TAEL_METERED_LEFT, -1, TAEL_METERED_LEFT);
    lua_upvaluejoin(L, -2, TAEL_METERED_SPENT, -1, TAEL_METERED_SPENT);
    lua_pop(L, 1);
    lua_replace(L, environment);
    lua_settop(L, environment);
}

lua_State *tael_isolate_lua(struct tael_isolate *isolate)
{
    return isolate->L;
}

size_t tael_isolate_memory(const struct tael_isolate *isolate)
{
    return isolate->used;
}

size_t tael_isolate_ceiling(const struct tael_isolate *isolate)
{
    return isolate->max;
}

size_t tael_isolate_held(const struct tael_isolate *isolate)
{
    return sizeof(*isolate) + isolate->held;
}

static int collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

bool tael_isolate_full(struct tael_isolate *isolate)
{
    lua_pushcfunction(isolate->L, collect);
    if (lua_pcall(isolate->L, 0, 0, 0) != LUA_OK)
        lua_pop(isolate->L, 1);
    return isolate->used > isolate->max / 2;
}

/* ---- runs ---- */

static int new_coroutine(lua_State *L)
{
    struct tael_run *run = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    run->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    run->co = co;
    return 0;
}

tael_status tael_run_begin(struct tael_run *run, struct tael_isolate *isolate, int64_t steps,
                           bool whole)
{
    lua_State *L = isolate->L;
    run->isolate = isolate;
    run->whole = whole;
    run->doomed = run->starved = run->waits = run->wary = run->suspected = false;
    run->was_slow = false;
    run->steps = steps;
    run->slice = TAEL_SLICE;
    run->slowness = 1;
    run->pardoned = 0;
    run->pcalls = 0;
    if (isolate->pooled > 0) {
        run->co = isolate->pool[--isolate->pooled].co;
        run->ref = isolate->pool[isolate->pooled].ref;
    } else {
        lua_pushcfunction(L, new_coroutine);
        lua_pushlightuserdata(L, run);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
            lua_pop(L, 1);
            run->co = NULL;
            return TAEL_ENOMEM;
        }
    }
    return TAEL_OK;
}

/* The place in a script that led to what was raised; the text has one of its own, mostly. */
static void tell_place(struct tael_run *run, char *out, size_t size)
{
    lua_Debug at;
    out[0] = '\0';
    for (int level = 0; lua_getstack(run->co, level, &at) != 0; level++) {
        lua_getinfo(run->co, "Sl", &at);
        if (at.currentline > 0 && !tael_place_is_own(at.short_src, strlen(at.short_src))) {
            snprintf(out, size, "%s:%d: ", at.short_src, at.currentline);
            return;
        }
    }
}

/* "a/file.lua:12: …": it may be another file than the one that raised it, by error's level. */
static bool has_place(const char *text)
{
    size_t len = strcspn(text, ": \n");
    if (len < 4 || memcmp(text + len - 4, ".lua", 4) != 0 || text[len] != ':')
        return false;
    size_t digits = strspn(text + len + 1, "0123456789");
    return digits > 0 && strncmp(text + len + 1 + digits, ": ", 2) == 0;
}

static void tell_crowd(char *out, size_t size, size_t most)
{
    bool keys = most == TAEL_ISOLATE_KEYS;
    snprintf(out, size,
             keys ? "a table of too many keys: at most %zu beside its list; put tables into it"
                  : "a file of too many names and constants: at most %zu; split it into modules",
             most);
}

/* Only texts are read: anything else would have to call the script to get one. */
static void tell_fault(struct tael_run *run)
{
    char place[LUA_IDSIZE + 16];
    char many[128];
    const char *text = "raised a value that is not a text";
    if (lua_type(run->co, -1) == LUA_TSTRING)
        text = lua_tostring(run->co, -1);
    if (run->isolate->crowded > 0 && strcmp(text, "not enough memory") == 0) {
        tell_crowd(many, sizeof(many), run->isolate->crowded);
        text = many;
    }
    run->isolate->crowded = 0;
    if (tael_place_is_own(text, strlen(text)) && has_place(text))
        text = strstr(text, ": ") + 2; /* whoever called is told where it was */
    tell_place(run, place, sizeof(place));
    snprintf(run->fault, sizeof(run->fault), "%s%s", has_place(text) ? "" : place, text);
}

enum tael_run_state tael_run_go(struct tael_run *run, lua_CFunction body, void *arg)
{
    struct tael_isolate *isolate = run->isolate;
    int args = 0;
    if (body != NULL) { /* the stack is empty: there is room, and neither push allocates */
        lua_pushcfunction(run->co, body);
        lua_pushlightuserdata(run->co, arg);
        args = 1;
    }
    tael_budget_begin_turn(isolate, run, body != NULL);
    int status = lua_resume(run->co, NULL, args, &run->results);
    tael_budget_end_turn(isolate);
    if (status == LUA_OK && !run->doomed)
        return TAEL_RUN_DONE;
    if (status == LUA_YIELD && run->waits) {
        run->waits = false;
        return TAEL_RUN_WAITS;
    }
    if (status == LUA_YIELD)
        return TAEL_RUN_PAUSED;
    tell_fault(run);
    if (run->doomed)
        return TAEL_RUN_SPENT;
    return status == LUA_ERRMEM || run->starved ? TAEL_RUN_MEMORY : TAEL_RUN_RAISED;
}

static int forget(lua_State *L)
{
    luaL_unref(L, LUA_REGISTRYINDEX, (int)lua_tointeger(L, 1));
    return 0;
}

void tael_run_end(struct tael_run *run)
{
    struct tael_isolate *isolate = run->isolate;
    lua_State *co = run->co;
    if (co == NULL)
        return;
    run->co = NULL;
    lua_sethook(co, NULL, 0, 0);
    bool clean = lua_status(co) == LUA_OK && !run->doomed;
    if (clean && isolate->pooled < TAEL_COROUTINES) {
        lua_settop(co, 0);
        isolate->pool[isolate->pooled].co = co;
        isolate->pool[isolate->pooled++].ref = run->ref;
        return;
    }
    lua_pushcfunction(isolate->L, forget); /* collected some time, never resumed */
    lua_pushinteger(isolate->L, run->ref);
    if (lua_pcall(isolate->L, 1, 0, 0) != LUA_OK)
        lua_pop(isolate->L, 1);
}
