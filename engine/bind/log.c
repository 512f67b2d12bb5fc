/* log.c - tael.log: structured lines from Lua. Contract: lua/tael/meta/log.lua.
 *
 * Fields are written in byte order of their names, so that one history gives one log. Without a log
 * (a plain interpreter) nothing happens.
 */
#include <stdlib.h>

#include <lauxlib.h>

#include "bind/bind.h"

enum { FIELDS_MAX = 32 };

static int compare_fields(const void *left, const void *right)
{
    const struct tael_log_field *a = left;
    const struct tael_log_field *b = right;
    return strcmp(a->name, b->name);
}

/* The pair on top of L; its strings stay in the table while the line is written. */
static struct tael_log_field check_field(lua_State *L)
{
    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "log: names of fields are strings");
    struct tael_log_field field = {.name = lua_tostring(L, -2)};
    if (lua_type(L, -1) == LUA_TSTRING) {
        field.kind = TAEL_LOG_TEXT;
        field.text.data = lua_tolstring(L, -1, &field.text.len);
    } else if (lua_isinteger(L, -1)) {
        field.kind = TAEL_LOG_INT;
        field.number = lua_tointeger(L, -1);
    } else if (lua_isboolean(L, -1)) {
        field.kind = TAEL_LOG_BOOL;
        field.number = lua_toboolean(L, -1);
    } else {
        luaL_error(L, "log: field '%s' is a %s", field.name, luaL_typename(L, -1));
    }
    return field;
}

static int write_line(lua_State *L, tael_log_level level)
{
    struct tael_log *log = tael_state_log(tael_state_of(L));
    const char *event = luaL_checkstring(L, 1);
    struct tael_log_field fields[FIELDS_MAX];
    size_t count = 0;
    if (!tael_log_wants(log, level))
        return 0;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
            if (count == FIELDS_MAX)
                return luaL_error(L, "log: more than %d fields", FIELDS_MAX);
            fields[count++] = check_field(L);
        }
    }
    if (count > 1)
        qsort(fields, count, sizeof(fields[0]), compare_fields);
    tael_log_write(log, level, event, fields, count);
    return 0;
}

/* log.debug(event, fields?) and its three sisters */
static int log_debug(lua_State *L)
{
    return write_line(L, TAEL_LOG_DEBUG);
}

static int log_info(lua_State *L)
{
    return write_line(L, TAEL_LOG_INFO);
}

static int log_warn(lua_State *L)
{
    return write_line(L, TAEL_LOG_WARN);
}

static int log_error(lua_State *L)
{
    return write_line(L, TAEL_LOG_ERROR);
}

/* log.wants(level) -> boolean: is it worth making the fields? */
static int log_wants(lua_State *L)
{
    static const char *const names[] = {"debug", "info", "warn", "error", NULL};
    static const tael_log_level levels[] = {TAEL_LOG_DEBUG, TAEL_LOG_INFO, TAEL_LOG_WARN,
                                            TAEL_LOG_ERROR};
    tael_log_level level = levels[luaL_checkoption(L, 1, NULL, names)];
    lua_pushboolean(L, tael_log_wants(tael_state_log(tael_state_of(L)), level));
    return 1;
}

int tael_open_log(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"debug", log_debug}, {"info", log_info},   {"warn", log_warn},
        {"error", log_error}, {"wants", log_wants}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
