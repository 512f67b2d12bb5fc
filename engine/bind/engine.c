/* engine.c - tael.engine: the engine that this state belongs to. Contract:
 * lua/tael/meta/engine.lua.
 */
#include <lauxlib.h>

#include "bind/bind.h"

/* engine.reload() -> {certificates=} | nil, err */
static int engine_reload(lua_State *L)
{
    tael_refuse_pure(L, "engine.reload");
    struct tael_host *host = tael_host_check(L, "engine.reload");
    tael_error err = {0};
    int certificates = 0;
    if (host->reload == NULL)
        return luaL_error(L, "engine.reload: not while the engine is planned");
    if (host->reload(host, &certificates, &err) != TAEL_OK)
        return tael_bind_fail(L, err.code, err.message);
    lua_createtable(L, 0, 1);
    lua_pushinteger(L, certificates);
    lua_setfield(L, -2, "certificates");
    return 1;
}

int tael_open_engine(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"reload", engine_reload},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
