/* plain.c - see plain.h. Reading trusts nothing: the bytes may come from a process that a script
 * has taken over. No count in them makes it allocate more than the bytes that are there.
 */
#include "bind/plain.h"

#include <math.h>
#include <stdio.h>

#include <lauxlib.h>

enum tag { TAG_NIL, TAG_FALSE, TAG_TRUE, TAG_INTEGER, TAG_FLOAT, TAG_TEXT, TAG_TABLE };

enum {
    NUMBER_MAX = 10, /* bytes of a variable-length number of 64 bits */
    ROOM = 256,      /* bytes that are asked for at least */
};

/* ---- writing ---- */

struct step { /* of the way to a value, for errors */
    const char *name;
    lua_Integer index; /* name NULL */
};

struct writer {
    lua_State *L;
    const struct tael_plain_limits *limits;
    struct tael_buf *out;
    char *at, *end; /* of its memory: what is written next, and how far it may go */
    char *fault;
    int items;
    size_t begin; /* of out */
    tael_status status;
    struct step way[TAEL_PLAIN_DEPTH_MAX];
};

static void put_way(const struct writer *writer, int depth, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (int i = 0; i < depth && len < size; i++) {
        const struct step *step = &writer->way[i];
        int more = step->name != NULL
                       ? snprintf(out + len, size - len, "%s%.40s", i > 0 ? "." : "", step->name)
                       : snprintf(out + len, size - len, "[%lld]", (long long)step->index);
        len += more > 0 ? (size_t)more : 0;
    }
}

static bool refuse(struct writer *writer, int depth, const char *what)
{
    char way[TAEL_PLAIN_FAULT_MAX - 60];
    put_way(writer, depth, way, sizeof(way));
    snprintf(writer->fault, TAEL_PLAIN_FAULT_MAX, "%s%s%s", way, depth > 0 ? " " : "", what);
    writer->status = TAEL_EINVAL;
    return false;
}

/* What is written stands in out, with room for len bytes more. */
static bool grow(struct writer *writer, int depth, size_t len)
{
    struct tael_buf *out = writer->out;
    if (writer->at != NULL)
        out->len = (size_t)(writer->at - out->data);
    size_t left = writer->limits->bytes - (out->len - writer->begin);
    if (len > left)
        return refuse(writer, depth, "is too large");
    writer->status = tael_buf_reserve(out, len > ROOM ? len : ROOM);
    if (writer->status != TAEL_OK)
        return false;
    size_t cap = out->cap - out->len;
    writer->at = out->data + out->len;
    writer->end = writer->at + (cap < left ? cap : left);
    return true;
}

static bool put(struct writer *writer, int depth, const void *data, size_t len)
{
    if ((size_t)(writer->end - writer->at) < len && !grow(writer, depth, len))
        return false;
    memcpy(writer->at, data, len);
    writer->at += len;
    return true;
}

static bool put_number(struct writer *writer, int depth, enum tag tag, uint64_t number)
{
    unsigned char bytes[1 + NUMBER_MAX] = {(unsigned char)tag};
    size_t len = 1;
    for (; number >= 0x80; number >>= 7)
        bytes[len++] = (unsigned char)(number | 0x80);
    bytes[len++] = (unsigned char)number;
    return put(writer, depth, bytes, len);
}

/* Small ones, of either sign, are short. */
static uint64_t folded(lua_Integer number)
{
    return (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
}

static bool put_text(struct writer *writer, int depth, int index)
{
    size_t len = 0;
    const char *text = lua_tolstring(writer->L, index, &len);
    return put_number(writer, depth, TAG_TEXT, len) && put(writer, depth, text, len);
}

static bool put_float(struct writer *writer, int depth, lua_Number number)
{
    char bytes[1 + sizeof(number)] = {TAG_FLOAT};
    if (!isfinite(number))
        return refuse(writer, depth, "is no number");
    memcpy(bytes + 1, &number, sizeof(number));
    return put(writer, depth, bytes, sizeof(bytes));
}

static bool put_value(struct writer *writer, int depth, int index);

/* The pair on top, key below value: not one of the first `array`. */
static bool put_pair(struct writer *writer, int depth)
{
    lua_State *L = writer->L;
    int value = lua_gettop(L), key = value - 1;
    bool named = lua_type(L, key) == LUA_TSTRING;
    if (!named && !lua_isinteger(L, key))
        return refuse(writer, depth, "has a key that is neither a text nor an integer");
    if (named)
        writer->way[depth] = (struct step){.name = lua_tostring(L, key)};
    else
        writer->way[depth] = (struct step){.index = lua_tointeger(L, key)};
    return put_value(writer, depth + 1, key) && put_value(writer, depth + 1, value);
}

static bool is_of_array(lua_State *L, int key, lua_Unsigned array)
{
    return lua_isinteger(L, key) && (lua_Unsigned)lua_tointeger(L, key) - 1 < array;
}

static bool put_table(struct writer *writer, int depth, int index)
{
    lua_State *L = writer->L;
    if (depth >= writer->limits->depth)
        return refuse(writer, depth, "is nested too deeply");
    if (!lua_checkstack(L, LUA_MINSTACK)) {
        writer->status = TAEL_ENOMEM;
        return false;
    }
    lua_Unsigned array = lua_rawlen(L, index);
    if (array > (lua_Unsigned)writer->limits->items)
        return refuse(writer, depth, "has too many values");
    uint32_t others = 0;
    if (!put_number(writer, depth, TAG_TABLE, array) ||
        !put(writer, depth, &others, sizeof(others)))
        return false;
    size_t count_at = (size_t)(writer->at - writer->out->data) - sizeof(others);
    for (lua_Unsigned i = 1; i <= array; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        writer->way[depth] = (struct step){.index = (lua_Integer)i};
        if (!put_value(writer, depth + 1, lua_gettop(L)))
            return false;
        lua_pop(L, 1);
    }
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (array > 0 && is_of_array(L, -2, array))
            continue;
        others++;
        if (!put_pair(writer, depth))
            return false;
    }
    memcpy(writer->out->data + count_at, &others, sizeof(others));
    return true;
}

static bool put_value(struct writer *writer, int depth, int index)
{
    static const char tags[] = {TAG_NIL, TAG_FALSE, TAG_TRUE};
    lua_State *L = writer->L;
    if (++writer->items > writer->limits->items)
        return refuse(writer, depth, "has too many values");
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return put(writer, depth, &tags[0], 1);
    case LUA_TBOOLEAN:
        return put(writer, depth, &tags[1 + lua_toboolean(L, index)], 1);
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return put_number(writer, depth, TAG_INTEGER, folded(lua_tointeger(L, index)));
        return put_float(writer, depth, lua_tonumber(L, index));
    case LUA_TSTRING:
        return put_text(writer, depth, index);
    case LUA_TTABLE:
        return put_table(writer, depth, index);
    default: {
        char what[40];
        if (luaL_testudata(L, index, "tael.json.decimal") != NULL)
            return refuse(writer, depth,
                          "is a number with a fraction (amounts are integers of minor units)");
        snprintf(what, sizeof(what), "is a %s", lua_typename(L, lua_type(L, index)));
        return refuse(writer, depth, what);
    }
    }
}

tael_status tael_plain_write(lua_State *L, int index, const struct tael_plain_limits *limits,
                             struct tael_buf *out, char fault[TAEL_PLAIN_FAULT_MAX])
{
    int top = lua_gettop(L);
    struct writer writer;
    writer.L = L; /* the way is written as it is gone */
    writer.limits = limits;
    writer.out = out;
    writer.at = writer.end = NULL;
    writer.fault = fault;
    writer.items = 0;
    writer.begin = out->len;
    writer.status = TAEL_OK;
    fault[0] = '\0';
    bool written = grow(&writer, 0, 1) && put_value(&writer, 0, lua_absindex(L, index));
    lua_settop(L, top);
    out->len = written ? (size_t)(writer.at - out->data) : writer.begin;
    return writer.status;
}

/* ---- reading ---- */

struct reader {
    lua_State *L;
    const struct tael_plain_limits *limits;
    const char *at, *end;
    int items, promised;
};

static bool take_number(struct reader *reader, uint64_t *out)
{
    uint64_t number = 0;
    for (int i = 0; i < NUMBER_MAX && reader->at < reader->end; i++) {
        uint64_t byte = (unsigned char)*reader->at++;
        if (i == NUMBER_MAX - 1 && byte > 1)
            return false;
        number |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *out = number;
            return i == 0 || byte != 0; /* one way to write each */
        }
    }
    return false;
}

static size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static bool push_value(struct reader *reader, int depth);

static bool push_text(struct reader *reader)
{
    uint64_t len = 0;
    if (!take_number(reader, &len) || len > left(reader))
        return false;
    lua_pushlstring(reader->L, reader->at, (size_t)len);
    reader->at += len;
    return true;
}

static bool push_float(struct reader *reader)
{
    lua_Number number = 0;
    if (left(reader) < sizeof(number))
        return false;
    memcpy(&number, reader->at, sizeof(number));
    reader->at += sizeof(number);
    if (!isfinite(number))
        return false;
    lua_pushnumber(reader->L, number);
    return true;
}

/* So many values or pairs, which take at least one byte each, and for which a table is made large
 * enough: all counts together promise no more than the limit. */
static bool may_follow(struct reader *reader, uint64_t count)
{
    if (count > left(reader) || count > (uint64_t)(reader->limits->items - reader->promised))
        return false;
    reader->promised += (int)count;
    return true;
}

static bool push_table(struct reader *reader, int depth)
{
    lua_State *L = reader->L;
    uint64_t array = 0;
    uint32_t others = 0;
    if (depth >= reader->limits->depth || !take_number(reader, &array) ||
        left(reader) < sizeof(others))
        return false;
    memcpy(&others, reader->at, sizeof(others));
    reader->at += sizeof(others);
    if (!may_follow(reader, array) || !may_follow(reader, others))
        return false;
    luaL_checkstack(L, LUA_MINSTACK, "plain data");
    lua_createtable(L, (int)array, (int)others);
    int table = lua_gettop(L);
    for (uint64_t i = 1; i <= array; i++) {
        if (!push_value(reader, depth + 1))
            return false;
        lua_rawseti(L, table, (lua_Integer)i);
    }
    for (uint32_t i = 0; i < others; i++) {
        if (!push_value(reader, depth + 1) ||
            (lua_type(L, -1) != LUA_TSTRING && !lua_isinteger(L, -1)) ||
            !push_value(reader, depth + 1))
            return false;
        lua_rawset(L, table);
    }
    return true;
}

static bool push_value(struct reader *reader, int depth)
{
    uint64_t number = 0;
    if (++reader->items > reader->limits->items || reader->at == reader->end)
        return false;
    switch (*reader->at++) {
    case TAG_NIL:
        lua_pushnil(reader->L);
        return true;
    case TAG_FALSE:
    case TAG_TRUE:
        lua_pushboolean(reader->L, reader->at[-1] == TAG_TRUE);
        return true;
    case TAG_INTEGER:
        if (!take_number(reader, &number))
            return false;
        lua_pushinteger(reader->L, (lua_Integer)(number >> 1 ^ (0 - (number & 1))));
        return true;
    case TAG_FLOAT:
        return push_float(reader);
    case TAG_TEXT:
        return push_text(reader);
    case TAG_TABLE:
        return push_table(reader, depth);
    default:
        return false;
    }
}

bool tael_plain_push(lua_State *L, struct tael_cursor *from, const struct tael_plain_limits *limits)
{
    int top = lua_gettop(L);
    struct reader reader = {.L = L, .limits = limits, .at = from->at, .end = from->end};
    luaL_checkstack(L, LUA_MINSTACK, "plain data");
    if (left(&reader) > limits->bytes)
        reader.end = reader.at + limits->bytes;
    if (!push_value(&reader, 0)) {
        lua_settop(L, top);
        return false;
    }
    from->at = reader.at;
    return true;
}
