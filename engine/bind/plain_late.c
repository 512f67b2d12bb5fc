/* plain_late.c - see plain_late.h.
 *
 * The source of the outermost table has the bytes. One of a table inside it has a part of them, and
 * that outermost source as its user value. Tables that are small, or have more pairs
 * than can be remembered, are made at once.
 */
#include "bind/plain_late.h"

#include <lauxlib.h>

#include "script/late.h"

enum { SMALL = 64 /* bytes */, PAIRS_MAX = 64 };

enum { OUTERMOST = 1 };

struct source {
    struct tael_late late; /* first */
    struct tael_plain_table table;
    uint64_t given; /* a bit for each pair */
    char bytes[];   /* of the outermost */
};

static const struct tael_late_kind kind;

static int unreadable(lua_State *L)
{
    return luaL_error(L, "what was handed over cannot be read");
}

static struct source *push_source(lua_State *L, size_t bytes, int user_values,
                                  const struct tael_plain_table *table)
{
    struct source *source = lua_newuserdatauv(L, sizeof(*source) + bytes, user_values);
    source->late = (struct tael_late){.kind = &kind, .bytes = table->fields.len};
    source->table = *table;
    source->given = 0;
    return source;
}

static void push_whole(lua_State *L, struct tael_span bytes)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct tael_cursor from = tael_cursor_of(bytes.data, bytes.len);
    if (!tael_plain_push(L, &from, &limits))
        unreadable(L);
}

static bool is_late(struct tael_span bytes, struct tael_plain_table *out)
{
    return bytes.len >= SMALL && tael_plain_table(bytes, out) && out->others <= PAIRS_MAX;
}

/* Pushes a value that is inside the table of this source. */
static void push_inner(lua_State *L, int outer, struct tael_span bytes)
{
    struct tael_plain_table table;
    if (!is_late(bytes, &table)) {
        push_whole(L, bytes);
        return;
    }
    push_source(L, 0, OUTERMOST, &table);
    if (lua_getiuservalue(L, outer, OUTERMOST) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        lua_pushvalue(L, outer);
    }
    lua_setiuservalue(L, -2, OUTERMOST);
    tael_late_make(L);
}

/* Was the pair given? It is from now on. */
static bool was_given(struct source *source, uint32_t pair)
{
    uint64_t bit = (uint64_t)1 << pair;
    bool was = (source->given & bit) != 0;
    source->given |= bit;
    return was;
}

static void find(lua_State *L, int at, int name)
{
    struct source *source = lua_touserdata(L, at);
    struct tael_span wanted, value;
    wanted.data = lua_tolstring(L, name, &wanted.len);
    uint32_t pair = tael_plain_find(&source->table, wanted, &value);
    if (pair >= source->table.others || was_given(source, pair))
        lua_pushnil(L);
    else
        push_inner(L, at, value);
}

static void fill(lua_State *L, int at, int table)
{
    struct source *source = lua_touserdata(L, at);
    struct tael_span key, value, fields = source->table.fields;
    struct tael_cursor from = tael_cursor_of(fields.data, fields.len);
    for (uint64_t i = 1; i <= source->table.array; i++) {
        if (!tael_plain_pass(&from, &value))
            unreadable(L);
        push_inner(L, at, value);
        lua_rawseti(L, table, (lua_Integer)i);
    }
    for (uint32_t i = 0; i < source->table.others; i++) {
        if (!tael_plain_pass(&from, &key) || !tael_plain_pass(&from, &value))
            unreadable(L);
        if (was_given(source, i))
            continue;
        push_whole(L, key);
        push_inner(L, at, value);
        lua_rawset(L, table);
    }
}

static const struct tael_late_kind kind = {.find = find, .fill = fill};

bool tael_plain_push_late(lua_State *L, struct tael_span bytes,
                          const struct tael_plain_limits *limits)
{
    struct tael_plain_table table;
    if (!is_late(bytes, &table)) {
        struct tael_cursor from = tael_cursor_of(bytes.data, bytes.len);
        return tael_plain_push(L, &from, limits);
    }
    struct source *source = push_source(L, table.fields.len, 0, &table);
    memcpy(source->bytes, table.fields.data, table.fields.len);
    source->table.fields.data = source->bytes;
    tael_late_make(L);
    return true;
}
