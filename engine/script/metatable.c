/* metatable.c - setmetatable for scripts.
 *
 * A script's metatable is not used itself: what Lua gets is a copy of the metamethods that are
 * allowed. So nothing can be added later that was not looked at: weak tables, which the collector
 * may go through again and again in one step, or a __call that is a table which has itself as its
 * __call. Only __index may come late, for many write setmetatable(o, self) before self.__index =
 * self.
 *
 * Lua follows __index from table to table within one instruction, so these chains are short: a
 * table that others find fields in is pinned, it can no longer be given one to look in itself. What
 * is at [1] of a copy is how many tables are behind it; below zero: the same, less one, and pinned.
 */
#include <stdbool.h>

#include <lauxlib.h>

#include "script/confine.h"
#include "script/isolate.h"
#include "script/late.h"

enum { CHAIN_MAX = 16, LATE_STEPS = 16, COPY_STEPS = 32 };

static const char *const allowed[] = {
    "__call", "__tostring", "__len", "__eq",  "__lt",   "__le",    "__concat", "__unm",
    "__add",  "__sub",      "__mul", "__div", "__mod",  "__pow",   "__idiv",   "__band",
    "__bor",  "__bxor",     "__shl", "__shr", "__bnot", "__pairs",
};
static const char *const refused[] = {"__gc", "__mode", "__close", "__metatable", "__name"};
enum {
    ALLOWED = sizeof(allowed) / sizeof(allowed[0]),
    REFUSED = sizeof(refused) / sizeof(refused[0]),
};

/* ---- an __index that comes late ---- */

static int finish_late(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 1;
}

/* Upvalue 1 is the script's own metatable. */
static int late_index(lua_State *L)
{
    tael_isolate_charge(L, LATE_STEPS);
    lua_settop(L, 2);
    lua_pushliteral(L, "__index");
    switch (lua_rawget(L, lua_upvalueindex(1))) {
    case LUA_TFUNCTION:
        lua_insert(L, 1);
        lua_callk(L, 2, 1, 0, finish_late);
        return 1;
    case LUA_TTABLE:
        lua_pushvalue(L, 2);
        lua_gettable(L, 3);
        return 1;
    default:
        lua_pushnil(L);
        return 1;
    }
}

/* ---- chains ---- */

/* How many tables are behind the one on top, which stays; pins it. */
static int pin(lua_State *L)
{
    lua_Integer mark = -1;
    tael_late_fill(L, -1);
    if (!lua_getmetatable(L, -1)) {
        lua_createtable(L, 1, 0);
        lua_pushinteger(L, mark);
        lua_rawseti(L, -2, 1);
        lua_setmetatable(L, -2);
        return 0;
    }
    if (lua_rawgeti(L, -1, 1) == LUA_TNUMBER) {
        mark = lua_tointeger(L, -1);
        mark = mark >= 0 ? -mark - 1 : mark;
        lua_pushinteger(L, mark);
        lua_rawseti(L, -3, 1);
    } else {
        mark = -2; /* Tael's own: one behind it, and it stays so */
    }
    lua_pop(L, 2);
    return (int)(-mark - 1);
}

/* Copies "__index" or "__newindex" from the metatable at 2 to the copy at 3, behind *depth. */
static void copy_place(lua_State *L, const char *name, int *depth)
{
    lua_pushstring(L, name);
    int kind = lua_rawget(L, 2);
    if (kind == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    if (kind == LUA_TTABLE) {
        if (lua_rawequal(L, -1, 1))
            luaL_error(L, "setmetatable: a table cannot be its own %s", name);
        int behind = pin(L) + 1;
        if (behind > CHAIN_MAX)
            luaL_error(L, "setmetatable: more than %d tables in a chain of %s", CHAIN_MAX, name);
        *depth = behind > *depth ? behind : *depth;
    } else if (kind != LUA_TFUNCTION) {
        luaL_error(L, "setmetatable: %s is neither a table nor a function", name);
    }
    lua_setfield(L, 3, name);
}

/* The names are upvalues, for it is asked for all of them each time: allowed ones, then refused. */
static int get_named(lua_State *L, int name)
{
    lua_pushvalue(L, lua_upvalueindex(1 + name));
    return lua_rawget(L, 2);
}

static void copy_methods(lua_State *L)
{
    for (int i = 0; i < REFUSED; i++) {
        if (get_named(L, ALLOWED + i) != LUA_TNIL)
            luaL_error(L, "setmetatable: %s is not for scripts", refused[i]);
        lua_pop(L, 1);
    }
    for (int i = 0; i < ALLOWED; i++) {
        int kind = get_named(L, i);
        if (kind == LUA_TFUNCTION)
            lua_setfield(L, 3, allowed[i]);
        else if (kind != LUA_TNIL)
            luaL_error(L, "setmetatable: %s is not a function", allowed[i]);
        else
            lua_pop(L, 1);
    }
}

/* The mark of the metatable that the table at 1 has now; 0: none. */
static lua_Integer mark_before(lua_State *L)
{
    if (!lua_getmetatable(L, 1))
        return 0;
    if (lua_rawgeti(L, -1, 1) != LUA_TNUMBER)
        luaL_error(L, "setmetatable: this table is Tael's own");
    lua_Integer mark = lua_tointeger(L, -1);
    lua_pop(L, 2);
    return mark;
}

static int confined_setmetatable(lua_State *L)
{
    int depth = 0;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    lua_settop(L, 2);
    tael_isolate_charge(L, COPY_STEPS);
    tael_late_fill(L, 1);
    tael_late_fill(L, 2);
    lua_Integer mark = mark_before(L);
    lua_createtable(L, 1, 2);
    if (lua_istable(L, 2)) {
        copy_methods(L);
        copy_place(L, "__index", &depth);
        copy_place(L, "__newindex", &depth);
        if (lua_getfield(L, 3, "__index") == LUA_TNIL) {
            lua_pushvalue(L, 2);
            lua_pushcclosure(L, late_index, 1);
            lua_setfield(L, 3, "__index");
        }
        lua_settop(L, 3);
    }
    if (mark < 0 && depth > -mark - 1)
        return luaL_error(L, "setmetatable: others find fields in this table already: give it its "
                             "own __index before");
    lua_pushinteger(L, mark < 0 ? mark : depth);
    lua_rawseti(L, 3, 1);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

void tael_metatable_push(lua_State *L)
{
    luaL_checkstack(L, ALLOWED + REFUSED + LUA_MINSTACK, "setmetatable");
    for (int i = 0; i < ALLOWED; i++)
        lua_pushstring(L, allowed[i]);
    for (int i = 0; i < REFUSED; i++)
        lua_pushstring(L, refused[i]);
    lua_pushcclosure(L, confined_setmetatable, ALLOWED + REFUSED);
}

void tael_metatable_check_plain(lua_State *L, int index)
{
    static const char *const names[] = {"__len", "__index", "__newindex"};
    luaL_checktype(L, index, LUA_TTABLE);
    tael_late_fill(L, index);
    if (!lua_getmetatable(L, index))
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        lua_pushstring(L, names[i]);
        if (lua_rawget(L, -2) == LUA_TFUNCTION && lua_tocfunction(L, -1) != late_index)
            luaL_error(L, "this table has %s: go through it in Lua", names[i]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}
