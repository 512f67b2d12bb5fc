/* packed.c - see packed.h. Contract: lua/tael/meta/isolate.lua.
 *
 * A packed value is a userdata of its bytes. A shape is a userdata that stands behind a function:
 * the names of its fields as they will be written, and memory that each call writes in first.
 */
#include "bind/packed.h"

#include <stdlib.h>

#include <lauxlib.h>

#include "bind/plain.h"

#define PACKED TAEL_PLAIN_PACKED
#define SHAPE  "tael.shape"

enum { STEPS_MAX = 64, KEYS_MAX = 2048 /* bytes of all names */, KEY_MORE = 12 };

struct shape {
    struct tael_buf out;
    int fields; /* values that a call gives */
    size_t count, used;
    struct tael_plain_step steps[STEPS_MAX];
    char keys[KEYS_MAX];
};

bool tael_packed_is(lua_State *L, int index, int type, struct tael_span *bytes)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return false;
    bool is = lua_rawequal(L, -1, type);
    lua_pop(L, 1);
    if (is)
        *bytes = (struct tael_span){lua_touserdata(L, index), lua_rawlen(L, index)};
    return is;
}

/* Pushes them as a packed value, whose metatable is the first upvalue. */
static void push_packed(lua_State *L, const struct tael_buf *bytes)
{
    memcpy(lua_newuserdatauv(L, bytes->len, 0), bytes->data, bytes->len);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);
}

static int raise(lua_State *L, const char *function, tael_status rc, const char *fault)
{
    return luaL_error(L, "%s: %s", function, rc == TAEL_EINVAL ? fault : tael_status_text(rc));
}

/* isolate.pack(value) -> packed. Upvalue 2: a shape, for its memory. */
static int pack(lua_State *L)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct shape *memory = lua_touserdata(L, lua_upvalueindex(2));
    char fault[TAEL_PLAIN_FAULT_MAX];
    luaL_checkany(L, 1);
    tael_buf_clear(&memory->out);
    tael_status rc = tael_plain_write(L, 1, &limits, &memory->out, fault);
    if (rc != TAEL_OK)
        return raise(L, "isolate.pack", rc, fault);
    push_packed(L, &memory->out);
    return 1;
}

/* ---- shapes ---- */

/* What isolate.shape gives. Upvalue 2: the shape. */
static int pack_shape(lua_State *L)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct shape *shape = lua_touserdata(L, lua_upvalueindex(2));
    char fault[TAEL_PLAIN_FAULT_MAX];
    if (lua_gettop(L) != shape->fields)
        return luaL_error(L, "this shape has %d fields, %d are given", shape->fields,
                          lua_gettop(L));
    luaL_checkstack(L, LUA_MINSTACK, "shape");
    tael_buf_clear(&shape->out);
    tael_status rc =
        tael_plain_write_shape(L, 1, shape->steps, shape->count, &limits, &shape->out, fault);
    if (rc != TAEL_OK)
        return raise(L, "shape", rc, fault);
    push_packed(L, &shape->out);
    return 1;
}

static struct tael_plain_step *add_step(lua_State *L, struct shape *shape, int kind)
{
    if (shape->count == STEPS_MAX)
        luaL_error(L, "isolate.shape: too many fields");
    struct tael_plain_step *step = &shape->steps[shape->count++];
    step->kind = kind;
    return step;
}

/* Its name is on top, and is popped. */
static void add_field(lua_State *L, struct shape *shape, int kind)
{
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "isolate.shape: a name must be a text");
    const char *name = lua_tolstring(L, -1, &len);
    if (len + KEY_MORE > KEYS_MAX - shape->used)
        luaL_error(L, "isolate.shape: names too long");
    char *key = shape->keys + shape->used;
    struct tael_plain_step *step = add_step(L, shape, kind);
    step->key = key;
    step->len = tael_plain_put_name(key, name, len);
    step->name = step->len - len;
    key[step->len] = '\0';
    shape->used += step->len + 1;
    lua_pop(L, 1);
}

/* The list on top is popped; `from` is where its names begin. */
static void add_fields(lua_State *L, struct shape *shape, lua_Integer from, int depth)
{
    luaL_checkstack(L, LUA_MINSTACK, "shape");
    if (depth > TAEL_PLAIN_SHAPE_DEPTH)
        luaL_error(L, "isolate.shape: nested too deeply");
    for (lua_Integer i = from; i <= (lua_Integer)lua_rawlen(L, -1); i++) {
        if (lua_rawgeti(L, -1, i) != LUA_TTABLE) {
            add_field(L, shape, TAEL_PLAIN_FIELD);
            shape->fields++;
            continue;
        }
        lua_rawgeti(L, -1, 1);
        add_field(L, shape, TAEL_PLAIN_OPEN);
        add_fields(L, shape, 2, depth + 1);
        add_step(L, shape, TAEL_PLAIN_CLOSE);
    }
    lua_pop(L, 1);
}

static struct shape *push_shape(lua_State *L)
{
    struct shape *shape = lua_newuserdatauv(L, sizeof(*shape), 0);
    shape->out = (struct tael_buf){.max = SIZE_MAX};
    shape->fields = 0;
    shape->count = shape->used = 0;
    luaL_setmetatable(L, SHAPE);
    return shape;
}

/* isolate.shape{name, …, {name, name, …}} -> function(value, …) -> packed */
int tael_isolate_shape(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_getmetatable(L, PACKED);
    struct shape *shape = push_shape(L);
    lua_pushvalue(L, 1);
    add_fields(L, shape, 1, 0);
    lua_pushcclosure(L, pack_shape, 2);
    return 1;
}

/* ---- the types ---- */

static int free_shape(lua_State *L)
{
    struct shape *shape = lua_touserdata(L, 1);
    tael_buf_free(&shape->out);
    return 0;
}

void tael_packed_push_pack(lua_State *L)
{
    luaL_getmetatable(L, PACKED);
    push_shape(L);
    lua_pushcclosure(L, pack, 2);
}

void tael_open_packed(lua_State *L)
{
    luaL_newmetatable(L, PACKED);
    luaL_newmetatable(L, SHAPE);
    lua_pushcfunction(L, free_shape);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
}
