/* rows.c - see rows.h.
 *
 * How the rows of a statement look is made once a state and kept in the registry: names as strings
 * of Lua, and which table each column goes to. 1 A shape serves only rows whose columns have its
 * names, byte for byte: an address may be another statement's later.
 */
#include "bind/rows.h"

#include <string.h>

#include <lauxlib.h>

struct shape {
    struct tael_span names; /* behind the groups, as tael_rows_names gives them */
    size_t columns;
    int groups; /* tables of a row, itself included */
    struct column {
        int group; /* 0: the row itself */
        int size;  /* of the group with this number */
    } of[];
};

/* Uservalue of a shape: names of the columns from 1 on, then those of the groups from 1 on. */
enum { SHAPE_NAMES = 1, SHAPE_VALUES = SHAPE_NAMES };

static struct tael_span group_of(const char *name)
{
    const char *dot = strchr(name, '.');
    return (struct tael_span){name, dot != NULL ? (size_t)(dot - name) : 0};
}

/* The number of the row's table of that name; a new one gets the next. */
static int number_of(lua_State *L, struct shape *shape, int names, struct tael_span group)
{
    int number = 1;
    for (; number < shape->groups; number++) {
        struct tael_span known;
        lua_rawgeti(L, names, (lua_Integer)shape->columns + number);
        known.data = lua_tolstring(L, -1, &known.len);
        bool found = tael_span_same(known, group);
        lua_pop(L, 1);
        if (found)
            return number;
    }
    lua_pushlstring(L, group.data, group.len);
    lua_rawseti(L, names, (lua_Integer)shape->columns + number);
    shape->groups++;
    return number;
}

static void fill_shape(lua_State *L, struct shape *shape, const struct tael_rows *rows)
{
    int names = lua_gettop(L);
    shape->groups = 1;
    for (size_t i = 0; i < shape->columns; i++) {
        const char *name = tael_rows_name(rows, i);
        struct tael_span group = group_of(name);
        int number = group.len > 0 ? number_of(L, shape, names, group) : 0;
        shape->of[i].group = number;
        shape->of[number].size++;
        lua_pushstring(L, group.len > 0 ? name + group.len + 1 : name);
        lua_rawseti(L, names, (lua_Integer)i + 1);
    }
}

/* A new shape in the registry under the statement's address; left on the stack. */
static struct shape *make_shape(lua_State *L, const struct tael_statement *statement,
                                const struct tael_rows *rows)
{
    struct tael_span names = tael_rows_names(rows);
    size_t columns = tael_rows_columns(rows), size = sizeof(struct shape);
    size += (columns + 1) * sizeof(struct column);
    struct shape *shape = lua_newuserdatauv(L, size + names.len, SHAPE_VALUES);
    memset(shape, 0, size);
    shape->columns = columns;
    shape->names = (struct tael_span){(char *)shape + size, names.len};
    memcpy((char *)shape + size, names.data, names.len);
    lua_createtable(L, (int)columns + 1, 0);
    fill_shape(L, shape, rows);
    lua_setiuservalue(L, -2, SHAPE_NAMES);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, statement);
    return shape;
}

static struct shape *push_shape(lua_State *L, const struct tael_statement *statement,
                                const struct tael_rows *rows)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, statement);
    struct shape *shape = lua_touserdata(L, -1);
    if (shape != NULL && tael_span_same(shape->names, tael_rows_names(rows)))
        return shape;
    lua_pop(L, 1);
    return make_shape(L, statement, rows);
}

static void push_value(lua_State *L, const struct tael_value *value)
{
    if (value->kind == TAEL_VALUE_INT)
        lua_pushinteger(L, value->number);
    else
        lua_pushlstring(L, value->bytes.data, value->bytes.len);
}

/* Pushes the row's table with this number, made on first use. */
static void push_group(lua_State *L, const struct shape *shape, int names, int row, int group)
{
    lua_settop(L, row);
    if (group == 0)
        return;
    lua_rawgeti(L, names, (lua_Integer)shape->columns + group);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, row) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, shape->of[group].size);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, row);
}

static void push_row(lua_State *L, const struct shape *shape, int names,
                     const struct tael_rows *rows, size_t idx)
{
    lua_createtable(L, 0, shape->of[0].size);
    int row = lua_gettop(L), group = 0;
    for (size_t i = 0; i < shape->columns; i++) {
        if (shape->of[i].group != group)
            push_group(L, shape, names, row, group = shape->of[i].group);
        struct tael_value value = tael_rows_value(rows, idx, i);
        if (value.kind == TAEL_VALUE_NULL)
            continue;
        lua_rawgeti(L, names, (lua_Integer)i + 1);
        push_value(L, &value);
        lua_rawset(L, -3);
    }
    lua_settop(L, row);
}

void tael_bind_push_rows(lua_State *L, const struct tael_statement *statement,
                         const struct tael_rows *rows)
{
    size_t count = tael_rows_count(rows);
    luaL_checkstack(L, LUA_MINSTACK, "rows");
    lua_createtable(L, (int)count, 0);
    if (count == 0)
        return;
    int list = lua_gettop(L);
    const struct shape *shape = push_shape(L, statement, rows);
    lua_getiuservalue(L, -1, SHAPE_NAMES);
    int names = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        push_row(L, shape, names, rows, i);
        lua_rawseti(L, list, (lua_Integer)i + 1);
    }
    lua_settop(L, list);
}
