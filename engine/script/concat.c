/* concat.c - table.concat for scripts: a long one is put together in pieces, so that it can pause
 * between them. Each piece is made by Lua's own function, which is upvalue 1.
 */
#include <stdbool.h>

#include <lauxlib.h>

#include "script/confine.h"
#include "script/isolate.h"

enum { LIST = 1, SEPARATOR, FROM, TO, PIECES, TOP = PIECES }; /* stack indices */

enum { PIECE = 512, ELEMENT_STEPS = 8, SEPARATOR_BYTES = 64 }; /* these cost one step */

static void charge_piece(lua_State *L, lua_Integer count)
{
    int64_t separators = (int64_t)lua_rawlen(L, SEPARATOR) * count / SEPARATOR_BYTES;
    tael_isolate_charge(L, count * ELEMENT_STEPS + separators);
}

static int concat_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    lua_settop(L, TOP);
    for (bool more = true; more;) {
        lua_Integer from = lua_tointeger(L, FROM), to = lua_tointeger(L, TO), last = to;
        more = to - from >= PIECE;
        if (more)
            last = from + PIECE - 1;
        charge_piece(L, last - from + 1);
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushvalue(L, LIST);
        lua_pushvalue(L, SEPARATOR);
        lua_pushvalue(L, FROM);
        lua_pushinteger(L, last);
        lua_call(L, 4, 1);
        lua_rawseti(L, PIECES, (lua_Integer)lua_rawlen(L, PIECES) + 1);
        lua_pushinteger(L, more ? last + 1 : last);
        lua_replace(L, FROM);
        if (more && tael_isolate_overdue(L))
            return lua_yieldk(L, 0, 0, concat_on);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, PIECES);
    lua_pushvalue(L, SEPARATOR);
    lua_call(L, 2, 1);
    return 1;
}

int tael_confined_concat(lua_State *L)
{
    lua_Integer range;
    tael_metatable_check_plain(L, LIST);
    lua_settop(L, TO);
    luaL_optstring(L, SEPARATOR, "");
    lua_Integer from = luaL_optinteger(L, FROM, 1);
    lua_Integer to = luaL_optinteger(L, TO, (lua_Integer)lua_rawlen(L, LIST));
    if (lua_isnil(L, SEPARATOR)) {
        lua_pushliteral(L, "");
        lua_replace(L, SEPARATOR);
    }
    if (__builtin_sub_overflow(to, from, &range))
        range = LUA_MAXINTEGER / 2; /* from is below zero, and there are not so many elements */
    if (range < PIECE) {
        charge_piece(L, range > 0 ? range + 1 : 1);
        return lua_tocfunction(L, lua_upvalueindex(1))(L);
    }
    lua_pushinteger(L, from);
    lua_replace(L, FROM);
    lua_pushinteger(L, from + range);
    lua_replace(L, TO);
    lua_newtable(L);
    return concat_on(L, LUA_OK, 0);
}
