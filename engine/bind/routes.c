/* routes.c - tael.routes: scripts that answer requests, given as texts. Contract:
 * lua/tael/meta/routes.lua. Works in every Lua state; what is used, only inside an engine.
 */
#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/route.h"

#define SET "tael.routes.Set"

static struct tael_route_set *check_set(lua_State *L, int index)
{
    struct tael_route_set **box = luaL_checkudata(L, index, SET);
    return *box;
}

/* routes.set() -> set | nil, err */
static int routes_set(lua_State *L)
{
    tael_refuse_pure(L, "routes.set");
    const struct tael_host *host = tael_host_of(L);
    struct tael_route_set **box = lua_newuserdatauv(L, sizeof(struct tael_route_set *), 0);
    *box = NULL;
    luaL_setmetatable(L, SET);
    tael_status rc = tael_route_set_new(box, host != NULL && host->world->simulated);
    return rc == TAEL_OK ? 1 : tael_bind_fail(L, "memory", tael_status_text(rc));
}

/* set:add(name, text) -> true | nil, why */
static int set_add(lua_State *L)
{
    char why[TAEL_ROUTE_WHY_MAX];
    struct tael_span name, text;
    struct tael_route_set *set = check_set(L, 1);
    name.data = luaL_checklstring(L, 2, &name.len);
    text.data = luaL_checklstring(L, 3, &text.len);
    luaL_argcheck(L, strlen(name.data) == name.len, 2, "a name");
    if (tael_route_set_add(set, name, text, why) == TAEL_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int set_free(lua_State *L)
{
    struct tael_route_set **box = luaL_checkudata(L, 1, SET);
    tael_route_set_release(*box);
    *box = NULL;
    return 0;
}

/* routes.use(set | nil) */
static int routes_use(lua_State *L)
{
    tael_refuse_pure(L, "routes.use");
    struct tael_host *host = tael_host_check(L, "routes.use");
    struct tael_route_set *set = lua_isnoneornil(L, 1) ? NULL : check_set(L, 1);
    if (host->use_routes == NULL)
        return luaL_error(L, "routes.use: not while the engine is planned");
    if (!host->use_routes(host, set))
        return luaL_error(L, "routes.use: this engine has no routes");
    return 0;
}

int tael_open_routes(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"set", routes_set},
        {"use", routes_use},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"add", set_add},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, SET)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, set_free);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
