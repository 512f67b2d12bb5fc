/* script.c - tael.script: running text of others while it is loaded, with an end, and what it takes
 * for globals. Contract: lua/tael/meta/script.lua. Works in every Lua state.
 *
 * The count hook counts instructions and not time, so that what is too long on one machine is too
 * long on all, and in the simulated world. Once they are used up every further instruction raises:
 * a pcall around an endless loop only ends a little later. Work inside one C function (a pattern, a
 * long rep) is not counted, nor is what Lua runs with hooks switched off: finalizers, and a message
 * handler that the end itself has called. Whoever offers xpcall to such text has to do without one.
 */
#include <stdatomic.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "script/names.h"

enum {
    STEP = 100000, /* instructions between two looks */
    STEPS_MAX = 500,
};

struct budget {
    lua_State *L;            /* that it began in */
    int steps;               /* left */
    const atomic_bool *stop; /* somebody wants the engine to end; NULL: nobody can */
};

static const char budget_key; /* its address names the budget in force in the registry */

static void counted(lua_State *L, lua_Debug *at)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &budget_key); /* neither allocates nor raises */
    struct budget *budget = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (budget == NULL)
        return;
    bool stopped = budget->stop != NULL && atomic_load(budget->stop);
    if (budget->steps > 0 && --budget->steps > 0 && !stopped)
        return;
    budget->steps = 0;
    lua_sethook(L, counted, LUA_MASKCOUNT, 1);
    lua_sethook(budget->L, counted, LUA_MASKCOUNT, 1); /* L may be a coroutine of its */
    lua_getinfo(L, "Sl", at);
    lua_pushfstring(L, "%s:%d: %s", at->source[0] == '@' ? at->source + 1 : at->short_src,
                    at->currentline,
                    stopped ? "stopped" : "does not end: 50 million instructions and no result");
    lua_error(L);
}

/* script.bounded(fn, ...) -> true, result | false, error */
static int script_bounded(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_Hook hook = lua_gethook(L);
    int mask = lua_gethookmask(L), count = lua_gethookcount(L);
    const struct tael_host *host = tael_host_of(L);
    struct budget budget = {.L = L, .steps = STEPS_MAX, .stop = host != NULL ? host->stop : NULL};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &budget_key);
    void *outer = lua_touserdata(L, -1);
    lua_pop(L, 1);
    lua_pushlightuserdata(L, &budget);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &budget_key);
    lua_sethook(L, counted, LUA_MASKCOUNT, STEP);
    int status = lua_pcall(L, lua_gettop(L) - 1, 1, 0);
    lua_sethook(L, hook, mask, count);
    lua_pushlightuserdata(L, outer); /* the key is there: this cannot raise */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &budget_key);
    lua_pushboolean(L, status == LUA_OK);
    lua_insert(L, -2);
    return 2;
}

/* ---- names ---- */

enum { TEXT_AT = 1, KNOWN_AT, LIST_AT, LOCALS_AT, SEEN_AT, GLOBALS_MAX = 100, LOCALS_SHOWN = 50 };

static void list_locals(lua_State *L, const struct tael_names *names)
{
    size_t count = tael_names_locals(names);
    size_t shown = count < LOCALS_SHOWN ? count : LOCALS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        struct tael_span name = tael_names_local(names, count - shown + i);
        lua_pushlstring(L, name.data, name.len);
        lua_rawseti(L, LOCALS_AT, (lua_Integer)i + 1);
    }
}

static bool on_global(void *user, const struct tael_names *names, struct tael_span name, int line,
                      enum tael_name_use use)
{
    lua_State *L = user;
    lua_pushlstring(L, name.data, name.len);
    lua_pushvalue(L, -1);
    bool is_there = lua_rawget(L, KNOWN_AT) == LUA_TBOOLEAN && use != TAEL_NAME_WRITTEN;
    bool is_known = is_there && (lua_toboolean(L, -1) || use == TAEL_NAME_FALLBACK);
    lua_pushvalue(L, -2);
    bool is_seen = lua_rawget(L, SEEN_AT) != LUA_TNIL;
    lua_pop(L, 2);
    if (is_known || is_seen) {
        lua_pop(L, 1);
        return true;
    }
    lua_Integer count = (lua_Integer)lua_rawlen(L, LIST_AT);
    if (count == 0)
        list_locals(L, names);
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, SEEN_AT);
    lua_createtable(L, 0, 3);
    lua_insert(L, -2);
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, line);
    lua_setfield(L, -2, "line");
    lua_pushboolean(L, use == TAEL_NAME_WRITTEN);
    lua_setfield(L, -2, "writes");
    lua_rawseti(L, LIST_AT, count + 1);
    return count + 1 < GLOBALS_MAX;
}

/* script.globals(text, known) -> list, locals | nil */
static int script_globals(lua_State *L)
{
    struct tael_span text;
    text.data = luaL_checklstring(L, TEXT_AT, &text.len);
    luaL_checktype(L, KNOWN_AT, LUA_TTABLE);
    lua_settop(L, KNOWN_AT);
    for (int at = LIST_AT; at <= SEEN_AT; at++)
        lua_newtable(L);
    struct tael_names *names = lua_newuserdatauv(L, tael_names_size(), 0);
    if (tael_names_read(names, text, on_global, L) != TAEL_OK)
        return 0;
    lua_settop(L, LOCALS_AT);
    return 2;
}

int tael_open_script(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"bounded", script_bounded},
        {"globals", script_globals},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
