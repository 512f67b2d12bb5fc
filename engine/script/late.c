/* late.c - see late.h. */
#include "script/late.h"

#include <lauxlib.h>

#include "script/isolate.h"

enum {
    FINDS_MAX = 8,  /* then it is cheaper to have them all */
    ROOM = 4,       /* for the source and some fields, without growing */
    FIND_STEPS = 8, /* and one for so many bytes: */
    FIND_BYTES = 8, /* values are passed over, of two bytes at the least */
    FILL_BYTES = 4, /* for one step */
};

static const char source_key, type_key; /* their addresses: of a late table, of the registry */

/* Pushes its source, if the table at index has one. */
static struct tael_late *push_source(lua_State *L, int index)
{
    if (lua_rawgetp(L, index, &source_key) == LUA_TUSERDATA)
        return lua_touserdata(L, -1);
    lua_pop(L, 1);
    return NULL;
}

void tael_late_fill(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return;
    lua_pop(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, "table");
    index = lua_absindex(L, index);
    const struct tael_late *late = push_source(L, index);
    if (late == NULL)
        return;
    tael_isolate_charge(L, (int64_t)late->bytes / FILL_BYTES);
    struct tael_run *run = tael_run_here(L);
    bool was = run->starved;
    run->starved = true; /* what is half made nobody sees: no pcall catches what is raised now */
    late->kind->fill(L, lua_gettop(L), index);
    run->starved = was;
    lua_pushnil(L);
    lua_rawsetp(L, index, &source_key);
    lua_pushnil(L);
    lua_setmetatable(L, index);
    lua_pop(L, 1);
}

static int index_of_late(lua_State *L)
{
    struct tael_late *late = push_source(L, 1);
    if (late != NULL && late->finds < FINDS_MAX && lua_type(L, 2) == LUA_TSTRING) {
        tael_isolate_charge(L, FIND_STEPS + (int64_t)late->bytes / FIND_BYTES);
        late->finds++;
        struct tael_run *run = tael_run_here(L);
        bool was = run->starved;
        run->starved = true;
        late->kind->find(L, 3, 2);
        run->starved = was;
        if (!lua_isnil(L, 4)) {
            lua_pushvalue(L, 2);
            lua_pushvalue(L, 4);
            lua_rawset(L, 1);
        }
        return 1;
    }
    tael_late_fill(L, 1);
    lua_settop(L, 2);
    lua_rawget(L, 1);
    return 1;
}

static int set_of_late(lua_State *L)
{
    if (lua_isnil(L, 2)) /* as Lua says it, with the script's line */
        return luaL_error(L, "table index is nil");
    if (lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) != lua_tonumber(L, 2))
        return luaL_error(L, "table index is NaN");
    tael_late_fill(L, 1);
    lua_settable(L, 1);
    return 0;
}

static int len_of_late(lua_State *L)
{
    tael_late_fill(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static void push_type(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__index", index_of_late},
                                       {"__newindex", set_of_late},
                                       {"__len", len_of_late},
                                       {NULL, NULL}};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &type_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &type_key);
}

void tael_late_make(lua_State *L)
{
    lua_createtable(L, 0, ROOM);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, &source_key);
    push_type(L);
    lua_setmetatable(L, -2);
}
