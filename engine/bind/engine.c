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

/* engine.certificates() -> {{listener=, serial=, not_before=, not_after=}, …} */
static int engine_certificates(lua_State *L)
{
    tael_refuse_pure(L, "engine.certificates");
    struct tael_host *host = tael_host_check(L, "engine.certificates");
    struct tael_certificate certificate;
    size_t at = 0;
    lua_newtable(L);
    while (host->certificate != NULL && host->certificate(host, &at, &certificate)) {
        lua_createtable(L, 0, 4);
        lua_pushstring(L, certificate.listener);
        lua_setfield(L, -2, "listener");
        lua_pushstring(L, certificate.serial);
        lua_setfield(L, -2, "serial");
        tael_set_integer(L, "not_before", certificate.not_before_ms);
        tael_set_integer(L, "not_after", certificate.not_after_ms);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    }
    return 1;
}

int tael_open_engine(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"certificates", engine_certificates},
        {"reload", engine_reload},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
