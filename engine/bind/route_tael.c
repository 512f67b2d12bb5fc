/* route_tael.c - what require "tael" gives to a route: JSON's own values, and problems. */
#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/json.h"
#include "bind/route.h"
#include "net/http_answer.h"

enum { MEMBER_STEPS = 32 };

/* tael.problem(status, code, detail?, members?) -> answer: an RFC 9457 document */
static int tael_problem(lua_State *L)
{
    lua_Integer status = luaL_checkinteger(L, 1);
    luaL_argcheck(L, status >= 400 && status <= 599, 1, "400 to 599");
    luaL_checktype(L, 2, LUA_TSTRING);
    if (!lua_isnoneornil(L, 3))
        luaL_checktype(L, 3, LUA_TSTRING);
    if (!lua_isnoneornil(L, 4))
        luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    lua_createtable(L, 0, 3);
    lua_createtable(L, 0, 5);
    if (lua_istable(L, 4)) {
        for (lua_pushnil(L); lua_next(L, 4) != 0;) {
            tael_isolate_charge(L, MEMBER_STEPS);
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, 6);
        }
    }
    lua_pushliteral(L, "about:blank");
    lua_setfield(L, 6, "type");
    lua_pushstring(L, tael_http_reason((int)status));
    lua_setfield(L, 6, "title");
    lua_pushvalue(L, 1);
    lua_setfield(L, 6, "status");
    lua_pushvalue(L, 2);
    lua_setfield(L, 6, "code");
    lua_pushvalue(L, 3);
    lua_setfield(L, 6, "detail");
    lua_setfield(L, 5, "json");
    lua_pushvalue(L, 1);
    lua_setfield(L, 5, "status");
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "application/problem+json");
    lua_setfield(L, -2, "content-type");
    lua_setfield(L, 5, "headers");
    return 1;
}

/* Upvalue 1 is json.decode. */
static int charged_decode(lua_State *L)
{
    int64_t len = lua_type(L, 1) == LUA_TSTRING ? (int64_t)lua_rawlen(L, 1) : 0;
    tael_isolate_charge(L, len / 2);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Upvalue 1 is json.encode. */
static int charged_encode(lua_State *L)
{
    int given = lua_tocfunction(L, lua_upvalueindex(1))(L);
    tael_isolate_charge(L, (int64_t)lua_rawlen(L, -1) / 2);
    return given;
}

void tael_route_push_open_tael(lua_State *L)
{
    static const char *const json_names[] = {"array",      "object", "null",  "is_array",
                                             "is_decimal", "decode", "encode"};
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, "tael");
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, tael_problem);
    lua_setfield(L, -2, "problem");
    tael_open_json(L);
    tael_json_limit_text(L, TAEL_ROUTE_BODY_MAX + 1);
    lua_createtable(L, 0, (int)(sizeof(json_names) / sizeof(json_names[0])));
    for (size_t i = 0; i < sizeof(json_names) / sizeof(json_names[0]); i++) {
        lua_getfield(L, top + 2, json_names[i]);
        lua_setfield(L, -2, json_names[i]);
    }
    lua_getfield(L, -1, "decode");
    lua_pushcclosure(L, charged_decode, 1);
    lua_setfield(L, -2, "decode");
    lua_getfield(L, -1, "encode");
    lua_pushcclosure(L, charged_encode, 1);
    lua_setfield(L, -2, "encode");
    tael_confine_hide(L);
    lua_setfield(L, top + 1, "json");
    lua_settop(L, top + 1);
}

void tael_route_push_tael(lua_State *L)
{
    tael_route_push_open_tael(L);
    tael_confine_hide(L);
}
