/* ask_tael.c - what require "tael" gives to a script that is asked: its effects, which the host
 * performs while the run waits; JSON and problems; and the helpers of Tael's own among the files of
 * the generation, each loaded when it is first looked at.
 *
 * A stub knows nothing but its name. What is wrong with its arguments the host says, and it is
 * raised where the script called.
 */
#include <lauxlib.h>

#include "bind/ask_inner.h"
#include "bind/route.h"

enum { STUB_STEPS = 200, NAME_MAX_LEN = 32 };

/* ---- effects ---- */

static int raise_for(lua_State *L, const char *why)
{
    return luaL_error(L, "tael.%s: %s", lua_tostring(L, lua_upvalueindex(1)), why);
}

/* What the host gave. */
static int performed(lua_State *L, int status, lua_KContext context)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct tael_ask *ask = tael_ask_of(L);
    struct tael_cursor from = tael_cursor_of(ask->given.values.data, ask->given.values.len);
    (void)status, (void)context;
    lua_settop(L, 0);
    if (ask->given.raise) {
        luaL_where(L, 1);
        tael_ask_push_span(L, ask->given.values);
        lua_concat(L, 2);
        return lua_error(L);
    }
    tael_isolate_charge(L, (int64_t)ask->given.values.len / 4);
    for (int i = 0; i < ask->given.count; i++)
        if (!tael_plain_push(L, &from, &limits))
            return raise_for(L, "what its host gave cannot be read");
    return ask->given.count;
}

static void write_args(lua_State *L, struct tael_ask *ask, int count)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    tael_buf_clear(&ask->out);
    for (int i = 1; i <= count; i++) {
        tael_status rc = tael_plain_write(L, i, &limits, &ask->out, ask->fault);
        if (rc == TAEL_OK)
            continue;
        if (rc == TAEL_ENOMEM)
            luaL_error(L, "not enough memory");
        luaL_error(L, "tael.%s: argument %d %s", lua_tostring(L, lua_upvalueindex(1)), i,
                   ask->fault);
    }
    ask->effect.args = count;
    ask->effect.from = 0;
    ask->effect.len = ask->out.len;
}

/* Upvalue 1 is the effect's name. */
static int perform(lua_State *L)
{
    struct tael_ask *ask = tael_ask_of(L);
    int count = lua_gettop(L);
    if (tael_ask_loads(L))
        return raise_for(L, "not while a file is being loaded: call it in a function");
    if (ask->effects == 0)
        return raise_for(L, "not allowed in a rule: rules have no effects");
    if (count > TAEL_ASK_ARGS_MAX)
        return raise_for(L, "too many arguments");
    if (ask->effects_left == 0) {
        lua_pushfstring(L, "a call has at most %d effects", ask->effects);
        return raise_for(L, lua_tostring(L, -1));
    }
    tael_isolate_charge(L, STUB_STEPS);
    write_args(L, ask, count);
    ask->effect.name.data = lua_tolstring(L, lua_upvalueindex(1), &ask->effect.name.len);
    if (!tael_isolate_wait(L))
        return raise_for(L, "not inside a function that sort, gsub or the like calls");
    ask->effects_left--;
    return lua_yieldk(L, 0, 0, performed);
}

/* Sets the stub in the table at `tael`, or in one of its tables: "http.get". */
static void set_stub(lua_State *L, int tael, const char *name, size_t len)
{
    const char *dot = memchr(name, '.', len);
    lua_pushvalue(L, tael);
    if (dot != NULL) {
        lua_pushlstring(L, name, (size_t)(dot - name));
        lua_pushvalue(L, -1);
        if (lua_rawget(L, tael) != LUA_TTABLE) {
            lua_pop(L, 1);
            lua_newtable(L);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, tael);
        }
        lua_replace(L, -3); /* the table of its kind in tael's place */
        lua_pop(L, 1);
    }
    const char *last = dot != NULL ? dot + 1 : name;
    lua_pushlstring(L, last, (size_t)(name + len - last));
    lua_pushlstring(L, name, len);
    lua_pushcclosure(L, perform, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Nobody writes tael.http either. json is hidden already, in the same way. */
static void hide_tables(lua_State *L, int tael)
{
    for (lua_pushnil(L); lua_next(L, tael) != 0; lua_pop(L, 1)) {
        if (!lua_istable(L, -1) || lua_getmetatable(L, -1)) {
            lua_settop(L, tael + 2);
            continue;
        }
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        tael_confine_hide(L);
        lua_rawset(L, tael); /* a field that is there: lua_next may go on */
    }
}

static void set_stubs(lua_State *L, struct tael_span effects)
{
    int tael = lua_gettop(L);
    const char *at = effects.data, *end = effects.data + effects.len;
    while (at < end) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        size_t len = (size_t)((blank != NULL ? blank : end) - at);
        if (len > 0 && len <= NAME_MAX_LEN)
            set_stub(L, tael, at, len);
        at += len + 1;
    }
    hide_tables(L, tael);
}

/* ---- helpers ---- */

/* Stack: 1 the name, 2 what its file gave. */
static int keep_helper(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    if (lua_istable(L, 2) && !lua_getmetatable(L, 2))
        tael_confine_hide(L);
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_rawset(L, lua_upvalueindex(1));
    return 1;
}

/* __index of what scripts see; upvalue 1 is what is in it. */
static int find_member(lua_State *L)
{
    lua_settop(L, 2);
    lua_remove(L, 1);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL || lua_type(L, 1) != LUA_TSTRING)
        return 1;
    lua_settop(L, 1);
    lua_pushliteral(L, "tael.");
    lua_pushvalue(L, 1);
    lua_concat(L, 2);
    struct tael_span module;
    module.data = lua_tolstring(L, 2, &module.len);
    if (tael_generation_module(tael_ask_of(L)->generation, module) == NULL)
        return 0;
    lua_pushcfunction(L, tael_ask_require);
    lua_replace(L, 2);
    lua_pushlstring(L, module.data, module.len);
    lua_callk(L, 1, 1, 0, keep_helper);
    return keep_helper(L, LUA_OK, 0);
}

static int refuse_write(lua_State *L)
{
    return luaL_error(L, "a script must not write what 'tael' gives: it is shared");
}

void tael_ask_push_tael(lua_State *L, const struct tael_generation *generation)
{
    luaL_checkstack(L, LUA_MINSTACK, "tael");
    lua_newtable(L); /* what scripts see */
    lua_createtable(L, 0, 3);
    tael_route_push_open_tael(L);
    set_stubs(L, generation->effects);
    lua_pushcclosure(L, find_member, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}
