/* engine_modules.c - the C modules that every Lua state of an engine has. */
#include <lua.h>

#include "bind/bind.h"
#include "engine.h"

static const struct {
    const char *name;
    lua_CFunction open;
} modules[] = {
    {"tael.json", tael_open_json},       {"tael.crypto", tael_open_crypto},
    {"tael.message", tael_open_message}, {"tael.form", tael_open_form},
    {"tael.http", tael_open_http},       {"tael.store", tael_open_store},
    {"tael.task", tael_open_task},       {"tael.time", tael_open_time},
    {"tael.log", tael_open_log},         {"tael.decimal", tael_open_decimal},
    {"tael.engine", tael_open_engine},   {"tael.id", tael_open_id},
    {"tael.limit", tael_open_limit},     {"tael.qr", tael_open_qr},
    {"tael.script", tael_open_script},   {"tael.terminal", tael_open_terminal},
    {"tael.machine", tael_open_machine}, {"tael.text", tael_open_text},
    {"tael.isolate", tael_open_isolate}, {"tael.folder", tael_open_folder},
    {"tael.routes", tael_open_routes},   {"tael.problems", tael_open_problems},
};

tael_status tael_engine_preload(struct tael_state *state)
{
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        tael_status rc = tael_state_preload(state, modules[i].name, modules[i].open);
        if (rc != TAEL_OK)
            return rc;
    }
    return TAEL_OK;
}
