/* confine.c - what scripts in an isolate see: an environment made from lists of names.
 *
 * 1 The tables that scripts reach are empty ones in front of the real ones: what is in a library or
 * among the globals cannot be replaced, so that no script changes what another one calls. 2 Nothing
 * is here that loads code, looks at the machine, makes coroutines (each would have a count of its
 * own) or has code run where no instruction is counted: finalizers, message handlers. 3 A pcall
 * cannot outlive the budget. 4 C functions that go through as much as they are given are charged
 * for it first; patterns are matched by pattern.c.
 */
#include <lauxlib.h>
#include <lualib.h>

#include "script/inner.h"
#include "script/isolate.h"
#include "script/pattern.h"

static const char globals_key; /* its address names the shared globals in the registry */

/* ---- replaced ---- */

/* An error costs far more on its way, deep down most of all, than the instructions that raise it.
 */
enum { PCALL_STEPS = 2000, CAUGHT_STEPS = 5000 };

static int finish_pcall(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    bool good = status == LUA_OK || status == LUA_YIELD;
    if (!good) {
        tael_isolate_check(L, status);
        tael_isolate_charge(L, CAUGHT_STEPS);
    }
    lua_pushboolean(L, good);
    lua_replace(L, 1); /* the place that was kept for it */
    return lua_gettop(L);
}

static int confined_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    tael_isolate_charge(L, PCALL_STEPS);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall), 0);
}

/* The handler runs when the call is over: one that runs inside would not be counted. */
static int finish_xpcall(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pushboolean(L, 1);
        lua_replace(L, 1); /* the handler's place */
        return lua_gettop(L);
    }
    tael_isolate_check(L, status);
    tael_isolate_charge(L, CAUGHT_STEPS);
    lua_pushvalue(L, 1);
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int confined_xpcall(lua_State *L)
{
    int args = lua_gettop(L) - 2;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    tael_isolate_charge(L, PCALL_STEPS);
    lua_pushvalue(L, 2);
    lua_copy(L, 1, 2);
    lua_replace(L, 1);
    return finish_xpcall(L, lua_pcallk(L, args, LUA_MULTRET, 0, 0, finish_xpcall), 0);
}

/* setmetatable without what runs uncounted or hides: see the list. */
static int confined_setmetatable(lua_State *L)
{
    static const char *const refused[] = {"__gc", "__mode", "__close", "__metatable", "__name"};
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    lua_settop(L, 2);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    for (size_t i = 0; lua_istable(L, 2) && i < sizeof(refused) / sizeof(refused[0]); i++) {
        lua_pushstring(L, refused[i]);
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "setmetatable: %s is not for scripts", refused[i]);
        lua_pop(L, 1);
    }
    lua_setmetatable(L, 1);
    return 1;
}

/* ---- charged: upvalue 1 is the function, which has no upvalues of its own ---- */

static int call_charged(lua_State *L, int64_t work)
{
    tael_isolate_charge(L, work);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int64_t text_work(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING ? (int64_t)lua_rawlen(L, index) / 16 + 1 : 1;
}

static int charged_text(lua_State *L)
{
    return call_charged(L, text_work(L, 1) + text_work(L, 2));
}

/* One that is repeated without a length costs a turn each all the same. */
static int charged_rep(lua_State *L)
{
    lua_Integer count = lua_tointeger(L, 2);
    return call_charged(L, count > 0 ? count / 16 + 1 : 1);
}

/* Numbers that say which elements: 1: first to last; a length that a script tells instead of the
 * table's own could be anything. */
static int64_t table_work(lua_State *L, int first)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL)
        luaL_error(L, "this table has __len: go through it in Lua");
    int64_t work = (int64_t)lua_rawlen(L, 1) + 1;
    if (lua_isinteger(L, first) && lua_isinteger(L, first + 1)) {
        lua_Integer from = lua_tointeger(L, first), to = lua_tointeger(L, first + 1), range;
        if (__builtin_sub_overflow(to, from, &range))
            range = LUA_MAXINTEGER / 2;
        work += range > 0 ? range : 0;
    }
    return work;
}

static int charged_table(lua_State *L)
{
    return call_charged(L, table_work(L, 5));
}

static int charged_concat(lua_State *L)
{
    return call_charged(L, table_work(L, 3));
}

static int charged_range(lua_State *L)
{
    return call_charged(L, table_work(L, 2));
}

/* It compares some twenty times as often as there are elements. */
static int charged_sort(lua_State *L)
{
    return call_charged(L, table_work(L, 5) * 32);
}

/* ---- environments ---- */

static const char *const base_names[] = {
    "assert", "error",  "ipairs",   "next",     "pairs", "rawequal", "rawget",
    "rawlen", "select", "tonumber", "tostring", "type",  NULL,
};
static const char *const math_names[] = {
    "abs",  "acos", "asin", "atan", "ceil",       "cos",  "deg",        "exp",  "floor",
    "fmod", "huge", "log",  "max",  "maxinteger", "min",  "mininteger", "modf", "pi",
    "rad",  "sin",  "sqrt", "tan",  "tointeger",  "type", "ult",        NULL,
};
static const char *const string_names[] = {"char", "format", "len", "packsize", "sub", NULL};
static const char *const utf8_names[] = {"char", "charpattern", NULL};

static const struct charge {
    const char *library, *name;
    lua_CFunction wrapper;
} charges[] = {
    {"string", "byte", charged_text},
    {"string", "lower", charged_text},
    {"string", "pack", charged_text},
    {"string", "rep", charged_rep},
    {"string", "reverse", charged_text},
    {"string", "unpack", charged_text},
    {"string", "upper", charged_text},
    {"table", "concat", charged_concat},
    {"table", "insert", charged_table},
    {"table", "move", charged_range},
    {"table", "pack", NULL},
    {"table", "remove", charged_table},
    {"table", "sort", charged_sort},
    {"table", "unpack", charged_range},
    {"utf8", "codepoint", charged_text},
    {"utf8", "codes", charged_text},
    {"utf8", "len", charged_text},
    {"utf8", "offset", charged_text},
};

/* Copies the names from the table at `from` to the one on top. */
static void copy_names(lua_State *L, int from, const char *const *names)
{
    for (; *names != NULL; names++) {
        lua_getfield(L, from, *names);
        lua_setfield(L, -2, *names);
    }
}

/* The library at `from` to the one on top, wrapped. */
static void copy_charged(lua_State *L, int from, const char *library)
{
    for (size_t i = 0; i < sizeof(charges) / sizeof(charges[0]); i++) {
        if (strcmp(charges[i].library, library) != 0)
            continue;
        lua_getfield(L, from, charges[i].name);
        if (charges[i].wrapper != NULL)
            lua_pushcclosure(L, charges[i].wrapper, 1);
        lua_setfield(L, -2, charges[i].name);
    }
}

static int refuse_write(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    return luaL_error(L, "a script must not write '%s' here: it is shared", name);
}

static int refuse_read(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    return luaL_error(L, "unknown global '%s'", name);
}

void tael_confine_hide(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_rotate(L, -3, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

/* text:upper() and its like find the functions on top of the stack. */
static void set_text_metatable(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void add_library(lua_State *L, const char *name, lua_CFunction open,
                        const char *const *names)
{
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    int library = lua_gettop(L);
    lua_newtable(L);
    if (names != NULL)
        copy_names(L, library, names);
    copy_charged(L, library, name);
    if (strcmp(name, "string") == 0) {
        tael_pattern_open(L);
        set_text_metatable(L);
    }
    tael_confine_hide(L);
    lua_setfield(L, 1, name); /* the globals */
    lua_settop(L, library - 1);
}

void tael_confine_install(lua_State *L, bool ordered)
{
    static const luaL_Reg own[] = {
        {"pcall", confined_pcall},
        {"xpcall", confined_xpcall},
        {"setmetatable", confined_setmetatable},
        {NULL, NULL},
    };
    lua_settop(L, 0);
    lua_newtable(L);
    lua_pushcfunction(L, luaopen_base); /* fills the state's own table of globals: nobody's here */
    lua_call(L, 0, 1);
    lua_pushvalue(L, 1);
    copy_names(L, 2, base_names);
    luaL_setfuncs(L, own, 0);
    lua_pushliteral(L, "Lua 5.4");
    lua_setfield(L, -2, "_VERSION");
    lua_settop(L, 1);
    add_library(L, "math", luaopen_math, math_names);
    add_library(L, "string", luaopen_string, string_names);
    add_library(L, "table", luaopen_table, NULL);
    add_library(L, "utf8", luaopen_utf8, utf8_names);
    if (ordered) {
        tael_order_install(L);
        lua_getglobal(L, "pairs");
        lua_setfield(L, 1, "pairs");
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, refuse_read);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
}

void tael_confine_push_environment(lua_State *L)
{
    lua_newtable(L); /* the globals of this script: its require in front of the shared ones */
    lua_rotate(L, -2, 1);
    lua_setfield(L, -2, "require");
    lua_createtable(L, 0, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    tael_confine_hide(L);
}
