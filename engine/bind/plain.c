/* plain.c - see plain.h. Reading trusts nothing: the bytes may come from a process that a script
 * has taken over. No count in them makes it allocate more than the bytes that are there.
 */
#include "bind/plain.h"

#include <math.h>
#include <stdio.h>

#include <lauxlib.h>

#include "script/late.h"

enum tag { TAG_NIL, TAG_FALSE, TAG_TRUE, TAG_INTEGER, TAG_FLOAT, TAG_TEXT, TAG_TABLE };

enum {
    NUMBER_MAX = 10,              /* bytes of a variable-length number of 64 bits */
    NUMBER_SIZE = 1 + NUMBER_MAX, /* with its tag */
    ROOM = 256,                   /* bytes that are asked for at least */
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
    bool no_null; /* a pair whose value is JSON's null is left out */
    size_t begin; /* of out */
    tael_status status;
    struct step way[TAEL_PLAIN_DEPTH_MAX];
};

/* json.null */
static bool is_null(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == NULL;
}

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

/* Writes a tag and its number there: at most NUMBER_SIZE bytes. */
static char *number_to(char *at, enum tag tag, uint64_t number)
{
    *at++ = (char)tag;
    for (; number >= 0x80; number >>= 7)
        *at++ = (char)(number | 0x80);
    *at++ = (char)number;
    return at;
}

static bool put_number(struct writer *writer, int depth, enum tag tag, uint64_t number)
{
    char bytes[NUMBER_SIZE];
    if (writer->end - writer->at >= NUMBER_SIZE) {
        writer->at = number_to(writer->at, tag, number);
        return true;
    }
    return put(writer, depth, bytes, (size_t)(number_to(bytes, tag, number) - bytes));
}

/* Small ones, of either sign, are short. */
static uint64_t folded(lua_Integer number)
{
    return (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
}

static bool put_text(struct writer *writer, int depth, const char *text, size_t len)
{
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

/* One more value or key. */
static bool count_item(struct writer *writer, int depth)
{
    return ++writer->items <= writer->limits->items || refuse(writer, depth, "has too many values");
}

/* The pair on top, key below value: not one of the first `array`. */
static bool put_pair(struct writer *writer, int depth, int key)
{
    lua_State *L = writer->L;
    size_t len = 0;
    struct step *step = &writer->way[depth];
    if (lua_type(L, key) == LUA_TSTRING) {
        *step = (struct step){.name = lua_tolstring(L, key, &len)};
        return count_item(writer, depth + 1) && put_text(writer, depth + 1, step->name, len) &&
               put_value(writer, depth + 1, key + 1);
    }
    if (!lua_isinteger(L, key))
        return refuse(writer, depth, "has a key that is neither a text nor an integer");
    *step = (struct step){.index = lua_tointeger(L, key)};
    return count_item(writer, depth + 1) &&
           put_number(writer, depth + 1, TAG_INTEGER, folded(step->index)) &&
           put_value(writer, depth + 1, key + 1);
}

static bool is_of_array(lua_State *L, int key, lua_Unsigned array)
{
    return lua_isinteger(L, key) && (lua_Unsigned)lua_tointeger(L, key) - 1 < array;
}

/* A table is begun; where its size stands is known by its place, for out may move. */
static bool begin_table(struct writer *writer, int depth, lua_Unsigned array, size_t *size_at)
{
    const struct tael_plain_size none = {0};
    if (!put_number(writer, depth, TAG_TABLE, array) || !put(writer, depth, &none, sizeof(none)))
        return false;
    *size_at = (size_t)(writer->at - writer->out->data) - sizeof(none);
    return true;
}

static void end_table(struct writer *writer, size_t size_at, uint32_t others)
{
    char *at = writer->out->data + size_at;
    struct tael_plain_size size = {.others = others};
    size.bytes = (uint32_t)(writer->at - at - (ptrdiff_t)sizeof(size));
    memcpy(at, &size, sizeof(size));
}

static bool put_array(struct writer *writer, int depth, int index, lua_Unsigned array)
{
    lua_State *L = writer->L;
    for (lua_Unsigned i = 1; i <= array; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        writer->way[depth] = (struct step){.index = (lua_Integer)i};
        if (!put_value(writer, depth + 1, lua_gettop(L)))
            return false;
        lua_pop(L, 1);
    }
    return true;
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
    tael_late_fill(L, index);
    lua_Unsigned array = lua_rawlen(L, index);
    if (array > (lua_Unsigned)writer->limits->items)
        return refuse(writer, depth, "has too many values");
    uint32_t others = 0;
    size_t size_at = 0;
    if (!begin_table(writer, depth, array, &size_at) || !put_array(writer, depth, index, array))
        return false;
    int key = lua_gettop(L) + 1;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_settop(L, key)) {
        if ((array > 0 && is_of_array(L, key, array)) || (writer->no_null && is_null(L, key + 1)))
            continue;
        others++;
        if (!put_pair(writer, depth, key))
            return false;
    }
    end_table(writer, size_at, others);
    return true;
}

static bool put_other(struct writer *writer, int depth, int index)
{
    lua_State *L = writer->L;
    char what[40];
    const char *packed = luaL_testudata(L, index, TAEL_PLAIN_PACKED);
    if (packed != NULL) /* who reads it counts what is in it */
        return put(writer, depth, packed, lua_rawlen(L, index));
    if (luaL_testudata(L, index, "tael.json.decimal") != NULL)
        return refuse(writer, depth,
                      "is a number with a fraction (amounts are integers of minor units)");
    snprintf(what, sizeof(what), "is a %s", lua_typename(L, lua_type(L, index)));
    return refuse(writer, depth, what);
}

static bool put_value(struct writer *writer, int depth, int index)
{
    static const char tags[] = {TAG_NIL, TAG_FALSE, TAG_TRUE};
    lua_State *L = writer->L;
    size_t len = 0;
    if (!count_item(writer, depth))
        return false;
    switch (lua_type(L, index)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, index, &len);
        return put_text(writer, depth, text, len);
    }
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return put_number(writer, depth, TAG_INTEGER, folded(lua_tointeger(L, index)));
        return put_float(writer, depth, lua_tonumber(L, index));
    case LUA_TTABLE:
        return put_table(writer, depth, index);
    case LUA_TBOOLEAN:
        return put(writer, depth, &tags[1 + lua_toboolean(L, index)], 1);
    case LUA_TNIL:
        return put(writer, depth, &tags[0], 1);
    default:
        return put_other(writer, depth, index);
    }
}

/* writer.way is written as it is gone. */
static bool begin(struct writer *writer, lua_State *L, const struct tael_plain_limits *limits,
                  struct tael_buf *out, char *fault)
{
    writer->L = L;
    writer->limits = limits;
    writer->out = out;
    writer->at = writer->end = NULL;
    writer->fault = fault;
    writer->items = 0;
    writer->no_null = false;
    writer->begin = out->len;
    writer->status = TAEL_OK;
    fault[0] = '\0';
    return grow(writer, 0, 1);
}

static tael_status finish(struct writer *writer, bool written)
{
    struct tael_buf *out = writer->out;
    out->len = written ? (size_t)(writer->at - out->data) : writer->begin;
    return writer->status;
}

tael_status tael_plain_write(lua_State *L, int index, const struct tael_plain_limits *limits,
                             struct tael_buf *out, char fault[TAEL_PLAIN_FAULT_MAX])
{
    int top = lua_gettop(L);
    struct writer writer;
    bool written =
        begin(&writer, L, limits, out, fault) && put_value(&writer, 0, lua_absindex(L, index));
    lua_settop(L, top);
    return finish(&writer, written);
}

/* ---- writing a table whose fields are known ---- */

static bool put_field(struct writer *writer, int depth, const struct tael_plain_step *step)
{
    writer->way[depth] = (struct step){.name = step->key + step->name};
    return count_item(writer, depth + 1) && put(writer, depth + 1, step->key, step->len);
}

static bool put_steps(struct writer *writer, const struct tael_plain_step *steps, size_t count,
                      int value)
{
    struct open {
        size_t size_at;
        uint32_t others;
    } open[TAEL_PLAIN_SHAPE_DEPTH + 1] = {{0}};
    int depth = 0;
    if (!count_item(writer, 0) || !begin_table(writer, 0, 0, &open[0].size_at))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct tael_plain_step *step = &steps[i];
        switch (step->kind) {
        case TAEL_PLAIN_FIELD:
            if (lua_isnil(writer->L, value) || is_null(writer->L, value)) {
                value++;
                continue;
            }
            open[depth].others++;
            if (!put_field(writer, depth, step) || !put_value(writer, depth + 1, value++))
                return false;
            continue;
        case TAEL_PLAIN_OPEN:
            open[depth].others++;
            if (!put_field(writer, depth, step) || !count_item(writer, depth + 1) ||
                !begin_table(writer, depth + 1, 0, &open[depth + 1].size_at))
                return false;
            open[++depth].others = 0;
            continue;
        case TAEL_PLAIN_CLOSE:
            end_table(writer, open[depth].size_at, open[depth].others);
            depth--;
            continue;
        }
    }
    end_table(writer, open[0].size_at, open[0].others);
    return true;
}

tael_status tael_plain_write_shape(lua_State *L, int first, const struct tael_plain_step *steps,
                                   size_t count, const struct tael_plain_limits *limits,
                                   struct tael_buf *out, char fault[TAEL_PLAIN_FAULT_MAX])
{
    int top = lua_gettop(L);
    struct writer writer;
    bool written = begin(&writer, L, limits, out, fault);
    writer.no_null = true;
    written = written && put_steps(&writer, steps, count, lua_absindex(L, first));
    lua_settop(L, top);
    return finish(&writer, written);
}

size_t tael_plain_put_name(char *out, const char *name, size_t len)
{
    char *at = number_to(out, TAG_TEXT, len);
    memcpy(at, name, len);
    return (size_t)(at - out) + len;
}

/* ---- reading ---- */

struct reader {
    lua_State *L;
    const struct tael_plain_limits *limits;
    const char *at, *end;
    int items, promised;
};

static bool take_long(struct reader *reader, uint64_t *out)
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

/* Most are of one byte. */
static bool take_number(struct reader *reader, uint64_t *out)
{
    if (reader->at == reader->end || (unsigned char)*reader->at >= 0x80)
        return take_long(reader, out);
    *out = (unsigned char)*reader->at++;
    return true;
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

static bool take_size(struct reader *reader, uint64_t *array, struct tael_plain_size *size)
{
    if (!take_number(reader, array) || left(reader) < sizeof(*size))
        return false;
    memcpy(size, reader->at, sizeof(*size));
    reader->at += sizeof(*size);
    return size->bytes <= left(reader);
}

static bool push_table(struct reader *reader, int depth)
{
    lua_State *L = reader->L;
    uint64_t array = 0;
    struct tael_plain_size size;
    if (depth >= reader->limits->depth || !take_size(reader, &array, &size))
        return false;
    const char *begin = reader->at;
    if (!may_follow(reader, array) || !may_follow(reader, size.others))
        return false;
    luaL_checkstack(L, LUA_MINSTACK, "plain data");
    lua_createtable(L, (int)array, (int)size.others);
    int table = lua_gettop(L);
    for (uint64_t i = 1; i <= array; i++) {
        if (!push_value(reader, depth + 1))
            return false;
        lua_rawseti(L, table, (lua_Integer)i);
    }
    for (uint32_t i = 0; i < size.others; i++) {
        char tag = reader->at < reader->end ? *reader->at : TAG_NIL;
        if ((tag != TAG_TEXT && tag != TAG_INTEGER) || !push_value(reader, depth + 1) ||
            !push_value(reader, depth + 1))
            return false;
        lua_rawset(L, table);
    }
    return (size_t)(reader->at - begin) == size.bytes;
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

/* ---- looking into it ---- */

static bool pass(struct reader *reader, uint64_t len)
{
    if (len > left(reader))
        return false;
    reader->at += len;
    return true;
}

static bool pass_value(struct reader *reader)
{
    uint64_t number;
    struct tael_plain_size size;
    if (reader->at == reader->end)
        return false;
    switch (*reader->at++) {
    case TAG_NIL:
    case TAG_FALSE:
    case TAG_TRUE:
        return true;
    case TAG_INTEGER:
        return take_number(reader, &number);
    case TAG_FLOAT:
        return pass(reader, sizeof(lua_Number));
    case TAG_TEXT:
        return take_number(reader, &number) && pass(reader, number);
    case TAG_TABLE:
        return take_size(reader, &number, &size) && pass(reader, size.bytes);
    default:
        return false;
    }
}

bool tael_plain_pass(struct tael_cursor *from, struct tael_span *out)
{
    struct reader reader = {.at = from->at, .end = from->end};
    if (!pass_value(&reader))
        return false;
    *out = (struct tael_span){from->at, (size_t)(reader.at - from->at)};
    from->at = reader.at;
    return true;
}

bool tael_plain_table(struct tael_span bytes, struct tael_plain_table *out)
{
    struct tael_plain_size size;
    struct reader reader = {.at = bytes.data, .end = bytes.data + bytes.len};
    if (bytes.len == 0 || *reader.at++ != TAG_TABLE || !take_size(&reader, &out->array, &size))
        return false;
    out->others = size.others;
    out->fields = (struct tael_span){reader.at, size.bytes};
    return true;
}

/* Passes the key, and says whether it is that name. */
static bool pass_key(struct reader *reader, struct tael_span name, bool *same)
{
    uint64_t len;
    *same = false;
    if (reader->at == reader->end || *reader->at != TAG_TEXT)
        return pass_value(reader);
    reader->at++;
    if (!take_number(reader, &len) || len > left(reader))
        return false;
    *same = len == name.len && memcmp(reader->at, name.data, len) == 0;
    reader->at += len;
    return true;
}

uint32_t tael_plain_find(const struct tael_plain_table *table, struct tael_span name,
                         struct tael_span *value)
{
    struct reader reader = {.at = table->fields.data,
                            .end = table->fields.data + table->fields.len};
    bool same = false, good = true;
    for (uint64_t i = 0; good && i < table->array; i++)
        good = pass_value(&reader);
    for (uint32_t i = 0; good && i < table->others; i++) {
        good = pass_key(&reader, name, &same);
        const char *begin = reader.at;
        good = good && pass_value(&reader);
        if (good && same) {
            *value = (struct tael_span){begin, (size_t)(reader.at - begin)};
            return i;
        }
    }
    return table->others;
}
