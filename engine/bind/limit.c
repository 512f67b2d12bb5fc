/* limit.c - tael.limit: how often something may happen, counted for all workers together. Contract:
 * lua/tael/meta/limit.lua.
 */
#include <lauxlib.h>

#include "base/meter.h"
#include "bind/bind.h"

/* limit.take(key, n, window_ms) -> allowed, remaining, reset_ms */
static int limit_take(lua_State *L)
{
    struct tael_span key;
    struct tael_meter_answer answer;
    tael_refuse_pure(L, "limit.take");
    const struct tael_host *host = tael_host_check(L, "limit.take");
    key.data = luaL_checklstring(L, 1, &key.len);
    lua_Integer n = luaL_checkinteger(L, 2), window_ms = luaL_checkinteger(L, 3);
    if (host->meter == NULL)
        return luaL_error(L, "limit.take: not while the engine is planned");
    if (tael_meter_take(host->meter, key, n, window_ms, &answer) != TAEL_OK)
        return luaL_error(L, "limit.take: 1 to %d in 1 ms to one day, at most one a microsecond",
                          TAEL_METER_PER_WINDOW_MAX);
    lua_pushboolean(L, answer.allowed);
    lua_pushinteger(L, answer.remaining);
    lua_pushinteger(L, answer.reset_ms);
    return 3;
}

int tael_open_limit(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"take", limit_take},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
