/* json.c - tael.json: what Lua sees of the strict, exact JSON. Contract: lua/tael/meta/json.lua.
 *
 * Works in every Lua state and context: it has no clock, no randomness, no waiting.
 */
#include "bind/json.h"

#include <stdlib.h>

#include <lauxlib.h>

#include "base/json_span.h"
#include "bind/bind.h"
#include "script/late.h"

enum {
    TEXT_MAX = 64 * 1024 * 1024, /* bytes of an encoded text */
    SCRATCH_KEPT = 64 * 1024,    /* bytes of scratch that stay allocated between calls */
};

static const char scratch_key; /* its address names the scratch in the registry */

/* ---- scratch ---- */

static int scratch_free(lua_State *L)
{
    struct tael_json_scratch *scratch = lua_touserdata(L, 1);
    tael_buf_free(&scratch->text);
    free(scratch->members);
    scratch->members = NULL;
    scratch->count = scratch->cap = 0;
    return 0;
}

void tael_json_scratch_trim(struct tael_json_scratch *scratch)
{
    scratch->count = 0;
    if (scratch->text.cap > SCRATCH_KEPT)
        tael_buf_free(&scratch->text);
    if (scratch->cap > SCRATCH_KEPT / sizeof(*scratch->members)) {
        free(scratch->members);
        scratch->members = NULL;
        scratch->cap = 0;
    }
}

static int decimal_text(lua_State *L)
{
    const struct tael_json_decimal *decimal = luaL_checkudata(L, 1, "tael.json.decimal");
    lua_pushlstring(L, decimal->text, decimal->len);
    return 1;
}

static int decimal_equal(lua_State *L)
{
    const struct tael_json_decimal *a = luaL_testudata(L, 1, "tael.json.decimal");
    const struct tael_json_decimal *b = luaL_testudata(L, 2, "tael.json.decimal");
    lua_pushboolean(L, a != NULL && b != NULL && a->len == b->len &&
                           memcmp(a->text, b->text, a->len) == 0);
    return 1;
}

static void push_metatable(lua_State *L, const char *name)
{
    luaL_newmetatable(L, name);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

static struct tael_json_scratch *make_scratch(lua_State *L)
{
    static const luaL_Reg decimal_methods[] = {
        {"__tostring", decimal_text},
        {"__eq", decimal_equal},
        {NULL, NULL},
    };
    struct tael_json_scratch *scratch = lua_newuserdatauv(L, sizeof(*scratch), 3);
    *scratch = (struct tael_json_scratch){.text = {.max = TEXT_MAX}};
    push_metatable(L, "tael.json.scratch");
    lua_pushcfunction(L, scratch_free);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_newmetatable(L, "tael.json.array");
    lua_setiuservalue(L, -2, TAEL_JSON_ARRAY);
    luaL_newmetatable(L, "tael.json.object");
    lua_setiuservalue(L, -2, TAEL_JSON_OBJECT);
    push_metatable(L, "tael.json.decimal");
    luaL_setfuncs(L, decimal_methods, 0);
    lua_setiuservalue(L, -2, TAEL_JSON_DECIMAL);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &scratch_key);
    return scratch;
}

struct tael_json_scratch *tael_json_push_scratch(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &scratch_key) == LUA_TUSERDATA)
        return lua_touserdata(L, -1);
    lua_pop(L, 1);
    return make_scratch(L);
}

void tael_json_limit(lua_State *L, size_t bytes, int items)
{
    struct tael_json_scratch *scratch = tael_json_push_scratch(L);
    scratch->text.max = bytes;
    scratch->items_max = items;
    lua_pop(L, 1);
}

int tael_json_items(lua_State *L)
{
    int items = tael_json_push_scratch(L)->items;
    lua_pop(L, 1);
    return items;
}

/* ---- decimals ---- */

void tael_json_push_decimal(lua_State *L, struct tael_span text, int metatable)
{
    struct tael_json_decimal *decimal = lua_newuserdatauv(L, sizeof(*decimal) + text.len, 0);
    decimal->len = text.len;
    memcpy(decimal->text, text.data, text.len);
    lua_pushvalue(L, metatable);
    lua_setmetatable(L, -2);
}

const struct tael_json_decimal *tael_json_to_decimal(lua_State *L, int index, int metatable)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return NULL;
    bool is_decimal = lua_rawequal(L, -1, metatable);
    lua_pop(L, 1);
    return is_decimal ? lua_touserdata(L, index) : NULL;
}

/* json.decimal(text) -> decimal, raises on what is not a number of JSON */
static int json_decimal(lua_State *L)
{
    struct tael_span text;
    text.data = luaL_checklstring(L, 1, &text.len);
    struct tael_cursor cursor = tael_cursor_of(text.data, text.len);
    struct tael_json_number number;
    bool ok = text.len > 0 && (text.data[0] == '-' || (text.data[0] >= '0' && text.data[0] <= '9'));
    ok = ok && tael_json_scan_number(&cursor, &number) == TAEL_JSON_NONE && cursor.at == cursor.end;
    luaL_argcheck(L, ok, 1, "not a number of JSON");
    tael_json_push_scratch(L);
    lua_getiuservalue(L, -1, TAEL_JSON_DECIMAL);
    tael_json_push_decimal(L, text, lua_gettop(L));
    return 1;
}

/* json.is_decimal(value) -> boolean */
static int json_is_decimal(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, luaL_testudata(L, 1, "tael.json.decimal") != NULL);
    return 1;
}

/* ---- decode ---- */

static int push_fault(lua_State *L, const char *code, enum tael_json_fault fault, size_t offset)
{
    luaL_pushfail(L);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, tael_json_fault_text(fault));
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, (lua_Integer)offset + 1);
    lua_setfield(L, -2, "offset");
    return 2;
}

/* Reads the limits of the table at index; a name that is none raises. */
static struct tael_json_limits check_limits(lua_State *L, int index)
{
    struct tael_json_limits limits = TAEL_JSON_LIMITS_INIT;
    if (lua_isnoneornil(L, index))
        return limits;
    luaL_checktype(L, index, LUA_TTABLE);
    tael_late_fill(L, index);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        lua_Integer value = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
        lua_Integer max = INT32_MAX;
        if (strcmp(name, "max_depth") == 0 && value <= TAEL_JSON_DEPTH_MAX)
            limits.max_depth = (int)value;
        else if (strcmp(name, "max_members") == 0 && value <= max)
            limits.max_members = (int)value;
        else if (strcmp(name, "max_tokens") == 0 && value <= max)
            limits.max_tokens = (int)value;
        else if (strcmp(name, "max_string") == 0 && value <= max)
            limits.max_string = (size_t)value;
        else
            value = -1;
        if (value < 0)
            luaL_error(L, "json.decode: bad option '%s'", name);
    }
    return limits;
}

/* json.decode(text, limits?) -> value | nil, err */
static int json_decode(lua_State *L)
{
    struct tael_span text;
    text.data = luaL_checklstring(L, 1, &text.len);
    struct tael_json_limits limits = check_limits(L, 2);
    size_t offset;
    enum tael_json_fault fault = tael_json_push(L, text, &limits, &offset);
    if (fault == TAEL_JSON_MEMORY)
        return luaL_error(L, "json.decode: out of memory");
    return fault == TAEL_JSON_NONE ? 1 : push_fault(L, "invalid_json", fault, offset);
}

/* json.span(text, path) -> first, last | nil, err */
static int json_span(lua_State *L)
{
    struct tael_span text, path, found;
    size_t offset;
    text.data = luaL_checklstring(L, 1, &text.len);
    path.data = luaL_checklstring(L, 2, &path.len);
    enum tael_json_fault fault = tael_json_span(text, path, &found, &offset);
    if (fault != TAEL_JSON_NONE)
        return push_fault(L,
                          fault == TAEL_JSON_DUPLICATE ? "duplicate"
                          : fault == TAEL_JSON_ABSENT  ? "not_found"
                                                       : "invalid_json",
                          fault, offset);
    lua_pushinteger(L, found.data - text.data + 1);
    lua_pushinteger(L, found.data - text.data + (ptrdiff_t)found.len);
    return 2;
}

/* ---- encode ---- */

void tael_json_check_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        tael_late_fill(L, 2);
        for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
            const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
            if (strcmp(name, "sort") != 0 || !lua_toboolean(L, -1))
                luaL_error(L, "json.encode: bad option '%s'", name);
        }
    }
}

/* json.encode(value, {sort=true}?) -> text; raises what JSON cannot say */
static int json_encode(lua_State *L)
{
    tael_json_check_encode(L);
    tael_json_push_text(L, 1);
    return 1;
}

/* ---- arrays and objects ---- */

static int mark(lua_State *L, int which)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    tael_late_fill(L, 1);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        luaL_error(L, "json: this table is protected: it cannot be marked");
    lua_settop(L, 1);
    tael_json_push_scratch(L);
    lua_getiuservalue(L, 2, which);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* json.array(t?) -> t, written as an array even when it is empty */
static int json_array(lua_State *L)
{
    return mark(L, TAEL_JSON_ARRAY);
}

/* json.object(t?) -> t, written as an object */
static int json_object(lua_State *L)
{
    return mark(L, TAEL_JSON_OBJECT);
}

/* json.is_array(value) -> boolean: a table marked as an array, as decode marks them */
static int json_is_array(lua_State *L)
{
    luaL_checkany(L, 1);
    bool is_array = false;
    if (lua_istable(L, 1) && lua_getmetatable(L, 1)) {
        tael_json_push_scratch(L);
        lua_getiuservalue(L, -1, TAEL_JSON_ARRAY);
        is_array = lua_rawequal(L, -1, -3);
    }
    lua_pushboolean(L, is_array);
    return 1;
}

int tael_open_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", json_decode},   {"encode", json_encode},         {"span", json_span},
        {"array", json_array},     {"object", json_object},         {"is_array", json_is_array},
        {"decimal", json_decimal}, {"is_decimal", json_is_decimal}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    tael_json_push_scratch(L);
    lua_getiuservalue(L, -1, TAEL_JSON_ARRAY);
    lua_setfield(L, -3, "array_mt");
    lua_pop(L, 1);
    return 1;
}
