/* route_tael.c - what require "tael" gives to a route: JSON's own values, and problems. */
#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/json.h"
#include "bind/route.h"
#include "net/http_answer.h"
#include "script/late.h"

enum {
    MEMBERS_MAX = 64, /* of a problem */
    ITEM_STEPS = 2,
};

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
        tael_late_fill(L, 4);
        int members = 0;
        for (lua_pushnil(L); lua_next(L, 4) != 0;) {
            if (++members > MEMBERS_MAX)
                return luaL_error(L, "tael.problem: at most %d members", MEMBERS_MAX);
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

static int charged_encode(lua_State *L)
{
    struct tael_span text = {"", 0};
    tael_json_check_encode(L);
    bool written = tael_json_write(L, 1, &text);
    tael_isolate_charge(L, tael_json_items(L) * ITEM_STEPS + (int64_t)text.len / 2);
    tael_json_finish(L, written, text);
    return 1;
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
    tael_json_limit(L, TAEL_ROUTE_BODY_MAX + 1, TAEL_ROUTE_JSON_ITEMS);
    lua_createtable(L, 0, (int)(sizeof(json_names) / sizeof(json_names[0])));
    for (size_t i = 0; i < sizeof(json_names) / sizeof(json_names[0]); i++) {
        lua_getfield(L, top + 2, json_names[i]);
        lua_setfield(L, -2, json_names[i]);
    }
    lua_getfield(L, -1, "decode");
    lua_pushcclosure(L, charged_decode, 1);
    lua_setfield(L, -2, "decode");
    lua_pushcfunction(L, charged_encode);
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
