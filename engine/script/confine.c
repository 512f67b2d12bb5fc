/* confine.c - what scripts in an isolate see: an environment made from lists of names.
 *
 * 1 The tables that scripts reach are empty ones in front of the real ones: what is in a library or
 * among the globals cannot be replaced, so that no script changes what another one calls. 2 Nothing
 * is here that loads code, looks at the machine, makes coroutines (each would have a count of its
 * own) or has code run where no instruction is counted: finalizers, message handlers. 3 A pcall
 * cannot outlive the budget. 4 C functions that go through as much as they are given are charged
 * for it first (library.c), and those that call back can yield meanwhile.
 */
#include "script/confine.h"

#include <lauxlib.h>

#include "script/inner.h"
#include "script/isolate.h"
#include "script/late.h"
#include "script/pattern.h"

/* Their addresses name in the registry: the globals, and the table that scripts see in front. */
static const char globals_key, environment_key;

/* ---- replaced ---- */

/* An error costs far more on its way, deep down most of all, than the instructions that raise it.
 */
enum {
    PCALL_STEPS = 2000,
    CAUGHT_STEPS = 5000,
};

static int finish_pcall(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    bool good = status == LUA_OK || status == LUA_YIELD;
    tael_isolate_nest(L, -1);
    if (!good) {
        tael_isolate_check(L, status);
        tael_isolate_charge(L, CAUGHT_STEPS);
    }
    lua_pushboolean(L, good);
    lua_replace(L, 1); /* the place that was kept for it */
    return lua_gettop(L);
}

static int confined_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    tael_isolate_charge(L, PCALL_STEPS);
    tael_isolate_nest(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall), 0);
}

static int handled(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/* The handler runs when the call is over: one that runs inside would not be counted. */
static int finish_xpcall(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    tael_isolate_nest(L, -1);
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pushboolean(L, 1);
        lua_replace(L, 1); /* the handler's place */
        return lua_gettop(L);
    }
    tael_isolate_check(L, status);
    tael_isolate_charge(L, CAUGHT_STEPS);
    lua_pushvalue(L, 1);
    lua_insert(L, -2);
    lua_callk(L, 1, 1, 0, handled);
    return handled(L, LUA_OK, 0);
}

static int confined_xpcall(lua_State *L)
{
    int args = lua_gettop(L) - 2;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    tael_isolate_charge(L, PCALL_STEPS);
    tael_isolate_nest(L, 1);
    lua_pushvalue(L, 2);
    lua_copy(L, 1, 2);
    lua_replace(L, 1);
    return finish_xpcall(L, lua_pcallk(L, args, LUA_MULTRET, 0, 0, finish_xpcall), 0);
}

/* ---- tostring ---- */

static int finish_tostring(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    if (!lua_isstring(L, -1))
        return luaL_error(L, "'__tostring' must return a string");
    return 1;
}

/* What has no text is called by its type: an address would tell where things are. */
int tael_confined_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
        lua_insert(L, 1);
        lua_callk(L, 1, 1, 0, finish_tostring);
        return finish_tostring(L, LUA_OK, 0);
    }
    if (lua_type(L, 1) <= LUA_TSTRING && lua_type(L, 1) != LUA_TLIGHTUSERDATA)
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushstring(L, luaL_typename(L, 1));
    return 1;
}

/* ---- going through tables ---- */

static int finish_next_place(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    lua_pushinteger(L, (lua_Integer)context);
    lua_insert(L, -2);
    return lua_isnil(L, -1) ? 1 : 2;
}

/* The iterator of ipairs. The loop that calls it counts. */
static int next_place(lua_State *L)
{
    lua_Integer at = (lua_Integer)((lua_Unsigned)luaL_checkinteger(L, 2) + 1);
    lua_pushinteger(L, at);
    if (lua_type(L, 1) == LUA_TTABLE && lua_rawgeti(L, 1, at) != LUA_TNIL)
        return 2;
    lua_settop(L, 1);
    if (luaL_getmetafield(L, 1, "__index") == LUA_TFUNCTION) {
        lua_insert(L, 1);
        lua_pushinteger(L, at);
        lua_callk(L, 2, 1, (lua_KContext)at, finish_next_place);
    } else {
        lua_settop(L, 1);
        lua_geti(L, 1, at);
    }
    return finish_next_place(L, LUA_OK, (lua_KContext)at);
}

/* Upvalue 1: Lua's own iterator, which is faster where there is nothing to call. */
static int confined_ipairs(lua_State *L)
{
    luaL_checkany(L, 1);
    tael_late_fill(L, 1);
    if (lua_istable(L, 1) && !lua_getmetatable(L, 1))
        lua_pushvalue(L, lua_upvalueindex(1));
    else
        lua_pushcfunction(L, next_place);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

/* ---- past metatables ---- */

static int confined_rawget(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    tael_late_fill(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int confined_rawlen(lua_State *L)
{
    bool counts = lua_istable(L, 1) || lua_type(L, 1) == LUA_TSTRING;
    luaL_argexpected(L, counts, 1, "table or string");
    tael_late_fill(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static int unordered_next(lua_State *L)
{
    enum { NEXT_STEPS = 64 };
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    tael_late_fill(L, 1);
    if (lua_isnil(L, 2))
        tael_isolate_charge_first(L);
    else
        tael_isolate_charge(L, NEXT_STEPS);
    if (lua_next(L, 1) != 0)
        return 2;
    lua_pushnil(L);
    return 1;
}

/* ---- environments ---- */

enum { GLOBAL_NAMES = 20, LIBRARY_NAMES = 20 }; /* about */

static int refuse_write(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    return luaL_error(L, "a script must not write '%s' here: it is shared", name);
}

static int refuse_read(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    return luaL_error(L, "unknown global '%s'", name);
}

void tael_confine_hide(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_rotate(L, -3, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

/* text:upper() and its like find the functions on top of the stack. */
static void set_text_metatable(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void add_library(lua_State *L, const struct tael_functions *functions, const char *name)
{
    lua_createtable(L, 0, LIBRARY_NAMES); /* at once: it grew by halves else */
    tael_library_fill(L, functions, name);
    if (strcmp(name, "string") == 0) {
        tael_pattern_open(L);
        set_text_metatable(L);
    }
    tael_confine_hide(L);
    lua_setfield(L, 1, name); /* the globals */
    lua_settop(L, 1);
}

void tael_confine_install(lua_State *L, const struct tael_functions *functions, bool ordered)
{
    static const char *const libraries[] = {"math", "string", "table", "utf8"};
    static const luaL_Reg own[] = {
        {"pcall", confined_pcall},
        {"xpcall", confined_xpcall},
        {"tostring", tael_confined_tostring},
        {"rawget", confined_rawget},
        {"rawlen", confined_rawlen},
        {NULL, NULL},
    };
    lua_settop(L, 0);
    lua_createtable(L, 0, GLOBAL_NAMES);
    tael_library_fill(L, functions, TAEL_LIBRARY_GLOBALS);
    luaL_setfuncs(L, own, 0);
    lua_pushcfunction(L, tael_functions_next_place(functions));
    lua_pushcclosure(L, confined_ipairs, 1);
    lua_setfield(L, -2, "ipairs");
    tael_metatable_push(L);
    lua_setfield(L, -2, "setmetatable");
    lua_pushliteral(L, "Lua 5.4");
    lua_setfield(L, -2, "_VERSION");
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
        add_library(L, functions, libraries[i]);
    lua_pushcfunction(L, ordered ? tael_order_next : unordered_next);
    lua_setfield(L, 1, "next");
    if (ordered) {
        lua_pushcfunction(L, tael_order_pairs);
        lua_setfield(L, 1, "pairs");
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, refuse_read);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, 1);
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
    tael_confine_hide(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &environment_key);
}

void tael_confine_push_environment(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_insert(L, -2);
    lua_setfield(L, -2, "require");
    lua_pop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &environment_key);
}
