/* modules.c - the modules without an engine behind them, for a plain lua5.4: specs and tools.
 *
 *   package.cpath = "build/lua/?.so"; require "tael_modules"; local json = require "tael.json"
 *
 * Built as a shared module that uses the interpreter's own Lua. What needs a worker (tasks, store,
 * HTTP) is not here.
 */
#include <lauxlib.h>

#include "bind/bind.h"

TAEL_API int luaopen_tael_modules(lua_State *L);

int luaopen_tael_modules(lua_State *L)
{
    static const luaL_Reg modules[] = {
        {"tael.json", tael_open_json},
        {"tael.crypto", tael_open_crypto},
        {"tael.form", tael_open_form},
        {"tael.message", tael_open_message},
        {"tael.decimal", tael_open_decimal},
        {"tael.engine", tael_open_engine},
        {"tael.id", tael_open_id},
        {"tael.time", tael_open_time},
        {"tael.log", tael_open_log},
        {"tael.limit", tael_open_limit},
        {"tael.qr", tael_open_qr},
        {"tael.script", tael_open_script},
        {"tael.machine", tael_open_machine},
        {"tael.problems", tael_open_problems},
        {"tael.terminal", tael_open_terminal},
        {"tael.text", tael_open_text},
        {"tael.isolate", tael_open_isolate},
        {"tael.folder", tael_open_folder},
        {"tael.routes", tael_open_routes},
        {NULL, NULL},
    };
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, modules, 0);
    lua_pushboolean(L, 1);
    return 1;
}
