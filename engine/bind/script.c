/* script.c - tael.script: running text of others while it is loaded, with an end. Contract:
 * lua/tael/meta/script.lua. Works in every Lua state.
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

int tael_open_script(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"bounded", script_bounded},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
