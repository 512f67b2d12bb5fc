/* json_write.c - Lua values as JSON text: names in byte order, no blanks, integers exact.
 *
 * Nothing in here raises until the text is complete or refused: the scratch buffer is plain memory,
 * tables are read with raw functions that call nobody. So the pointers into Lua strings that are
 * held meanwhile stay good: the table that is being written holds them. No qsort: the C library's
 * asks the system how much memory there is, which a sealed process may not (child/seal.c).
 */
#include <stdlib.h>

#include <lauxlib.h>

#include "base/decimal.h"
#include "bind/json.h"
#include "script/late.h"

enum {
    DEPTH_MAX = 128,
    KEY_MAX = 64, /* of a name in an error's text */
};

struct writer {
    lua_State *L;
    struct tael_json_scratch *scratch;
    int array_at, object_at, decimal_at; /* stack indices of the metatables */
    const char *why;                     /* what was refused */
    char key[KEY_MAX];                   /* the innermost member it was in; "": none */
};

static bool write_value(struct writer *writer, int index, int depth);

static bool refuse(struct writer *writer, const char *why)
{
    writer->why = why;
    return false;
}

static bool refuse_text(struct writer *writer, tael_status rc)
{
    return refuse(writer, rc == TAEL_EINVAL   ? "text is not UTF-8"
                          : rc == TAEL_ELIMIT ? "text too large"
                                              : "out of memory");
}

static const char too_many[] = "too many values";

static bool has_room(const struct writer *writer, lua_Unsigned items)
{
    const struct tael_json_scratch *scratch = writer->scratch;
    return scratch->items_max == 0 || items <= (lua_Unsigned)(scratch->items_max - scratch->items);
}

static bool count_item(struct writer *writer)
{
    if (!has_room(writer, 1))
        return refuse(writer, too_many);
    writer->scratch->items++;
    return true;
}

static bool put(struct writer *writer, const char *data, size_t len)
{
    struct tael_buf *text = &writer->scratch->text;
    if (len > text->cap - text->len) {
        tael_status rc = tael_buf_reserve(text, len);
        if (rc != TAEL_OK)
            return refuse_text(writer, rc);
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
    return true;
}

static bool put_char(struct writer *writer, char c)
{
    return put(writer, &c, 1);
}

static bool write_integer(struct writer *writer, lua_Integer value)
{
    char digits[1 + TAEL_DIGITS_MAX] = "-";
    size_t sign = value < 0;
    uint64_t amount = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    return put(writer, digits, sign + tael_digits(amount, 0, digits + sign));
}

static bool write_text(struct writer *writer, struct tael_span text)
{
    tael_status rc = tael_json_append_string(&writer->scratch->text, text);
    return rc == TAEL_OK || refuse_text(writer, rc);
}

/* ---- arrays ---- */

static bool write_array(struct writer *writer, int index, int depth)
{
    lua_State *L = writer->L;
    lua_Unsigned len = lua_rawlen(L, index);
    if (!put_char(writer, '['))
        return false;
    for (lua_Unsigned i = 1; i <= len; i++) {
        if (i > 1 && !put_char(writer, ','))
            return false;
        lua_rawgeti(L, index, (lua_Integer)i);
        if (!write_value(writer, lua_gettop(L), depth))
            return false;
        lua_pop(L, 1);
    }
    return put_char(writer, ']');
}

/* ---- objects ---- */

static int compare_names(const struct tael_json_member *a, const struct tael_json_member *b)
{
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = memcmp(a->name.data, b->name.data, len);
    return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

static bool reserve_members(struct writer *writer, size_t more)
{
    struct tael_json_scratch *scratch = writer->scratch;
    if (more <= scratch->cap - scratch->count)
        return true;
    size_t cap = scratch->cap > 0 ? scratch->cap : 32;
    do
        cap *= 2;
    while (more > cap - scratch->count);
    struct tael_json_member *moved = realloc(scratch->members, cap * sizeof(*moved));
    if (moved == NULL)
        return refuse(writer, "out of memory");
    scratch->members = moved;
    scratch->cap = cap;
    return true;
}

static void insert_in_order(struct tael_json_member *members, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct tael_json_member member = members[i];
        size_t at = i;
        for (; at > 0 && compare_names(&member, &members[at - 1]) < 0; at--)
            members[at] = members[at - 1];
        members[at] = member;
    }
}

/* Merges from[begin, middle) and from[middle, end) into to. */
static void merge(const struct tael_json_member *from, struct tael_json_member *to, size_t begin,
                  size_t middle, size_t end)
{
    for (size_t left = begin, right = middle, at = begin; at < end; at++) {
        bool takes_right =
            right < end && (left == middle || compare_names(&from[right], &from[left]) < 0);
        to[at] = takes_right ? from[right++] : from[left++];
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of those from first on; the room behind them is used too. */
static bool sort_members(struct writer *writer, size_t first)
{
    enum { RUN = 16 };
    struct tael_json_scratch *scratch = writer->scratch;
    size_t count = scratch->count - first;
    if (count > RUN && !reserve_members(writer, count))
        return false;
    struct tael_json_member *members = scratch->members + first, *from = members;
    struct tael_json_member *to = scratch->members + scratch->count, *other;
    for (size_t at = 0; at < count; at += RUN)
        insert_in_order(members + at, least(RUN, count - at));
    for (size_t width = RUN; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += 2 * width)
            merge(from, to, at, least(at + width, count), least(at + 2 * width, count));
        other = from, from = to, to = other;
    }
    if (from != members)
        memcpy(members, from, count * sizeof(*members));
    return true;
}

static bool add_member(struct writer *writer, struct tael_json_member member)
{
    struct tael_json_scratch *scratch = writer->scratch;
    if (!reserve_members(writer, 1))
        return false;
    scratch->members[scratch->count++] = member;
    return true;
}

/* Leaves name and value of every member on the stack and a record of each in the scratch. */
static bool gather_members(struct writer *writer, int index)
{
    lua_State *L = writer->L;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        if (!count_item(writer))
            return false;
        struct tael_json_member member = {.place = lua_gettop(L)};
        if (lua_type(L, -2) != LUA_TSTRING)
            return refuse(writer, "a name of an object is not a string");
        member.name.data = lua_tolstring(L, -2, &member.name.len);
        if (!add_member(writer, member))
            return false;
        if (!lua_checkstack(L, LUA_MINSTACK))
            return refuse(writer, "object too large");
        lua_pushvalue(L, -2);
    }
    return true;
}

static void note_key(struct writer *writer, struct tael_span name)
{
    if (writer->key[0] != '\0')
        return;
    size_t len = 0;
    for (; len < name.len && len < sizeof(writer->key) - 1; len++) {
        char c = name.data[len];
        writer->key[len] = c >= ' ' && c < 0x7f ? c : '?';
    }
    writer->key[len] = '\0';
}

static bool write_members(struct writer *writer, size_t first, int depth)
{
    struct tael_json_scratch *scratch = writer->scratch;
    size_t count = scratch->count - first;
    if (!sort_members(writer, first))
        return false;
    for (size_t i = first; i < first + count; i++) {
        struct tael_json_member member = scratch->members[i]; /* the array may move */
        if (i > first && !put_char(writer, ','))
            return false;
        if (!write_text(writer, member.name) || !put_char(writer, ':') ||
            !write_value(writer, member.place, depth)) {
            note_key(writer, member.name);
            return false;
        }
    }
    return true;
}

static bool write_object(struct writer *writer, int index, int depth)
{
    lua_State *L = writer->L;
    int top = lua_gettop(L);
    size_t first = writer->scratch->count;
    bool ok = put_char(writer, '{') && gather_members(writer, index) &&
              write_members(writer, first, depth) && put_char(writer, '}');
    writer->scratch->count = first;
    lua_settop(L, top);
    return ok;
}

/* ---- tables ---- */

enum shape { SHAPE_ARRAY, SHAPE_OBJECT, SHAPE_REFUSED, SHAPE_LARGE };

/* What the metatable says; SHAPE_REFUSED: nothing. */
static enum shape told_shape(struct writer *writer, int index)
{
    lua_State *L = writer->L;
    enum shape shape = SHAPE_REFUSED;
    if (!lua_getmetatable(L, index))
        return shape;
    if (lua_rawequal(L, -1, writer->array_at))
        shape = SHAPE_ARRAY;
    else if (lua_rawequal(L, -1, writer->object_at))
        shape = SHAPE_OBJECT;
    lua_pop(L, 1);
    return shape;
}

/* Whether all keys are 1 to n. */
static bool is_sequence(lua_State *L, int index)
{
    lua_Integer len = (lua_Integer)lua_rawlen(L, index);
    lua_Integer count = 0;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
        if (key < 1 || key > len) {
            lua_pop(L, 2);
            return false;
        }
        count++;
    }
    return count == len;
}

static enum shape find_shape(struct writer *writer, int index)
{
    lua_State *L = writer->L;
    tael_late_fill(L, index);
    enum shape shape = told_shape(writer, index);
    if (shape == SHAPE_OBJECT)
        return shape;
    if (shape == SHAPE_REFUSED) {
        lua_pushnil(L);
        if (lua_next(L, index) == 0)
            return SHAPE_OBJECT;
        bool named = lua_type(L, -2) == LUA_TSTRING;
        lua_pop(L, 2);
        if (named)
            return SHAPE_OBJECT;
    }
    if (!has_room(writer, lua_rawlen(L, index))) /* is_sequence would go through all of them */
        return SHAPE_LARGE;
    return is_sequence(L, index) ? SHAPE_ARRAY : SHAPE_REFUSED;
}

static bool write_table(struct writer *writer, int index, int depth)
{
    if (depth == 0)
        return refuse(writer, "nested too deeply, or a cycle");
    if (!lua_checkstack(writer->L, LUA_MINSTACK))
        return refuse(writer, "out of memory");
    switch (find_shape(writer, index)) {
    case SHAPE_ARRAY:
        return write_array(writer, index, depth - 1);
    case SHAPE_OBJECT:
        return write_object(writer, index, depth - 1);
    case SHAPE_LARGE:
        return refuse(writer, too_many);
    case SHAPE_REFUSED:
        break;
    }
    return refuse(writer, "keys are neither all names nor 1 to n");
}

/* ---- values ---- */

static bool write_userdata(struct writer *writer, int index)
{
    const struct tael_json_decimal *decimal =
        tael_json_to_decimal(writer->L, index, writer->decimal_at);
    if (decimal == NULL)
        return refuse(writer, "a userdata");
    return put(writer, decimal->text, decimal->len);
}

static bool write_value(struct writer *writer, int index, int depth)
{
    lua_State *L = writer->L;
    struct tael_span text;
    if (!count_item(writer))
        return false;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        text.data = lua_tolstring(L, index, &text.len);
        return write_text(writer, text);
    case LUA_TNUMBER:
        if (!lua_isinteger(L, index))
            return refuse(writer, "a float");
        return write_integer(writer, lua_tointeger(L, index));
    case LUA_TBOOLEAN:
        return lua_toboolean(L, index) ? put(writer, "true", 4) : put(writer, "false", 5);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) != NULL)
            return refuse(writer, "a light userdata");
        return put(writer, "null", 4);
    case LUA_TTABLE:
        return write_table(writer, index, depth);
    case LUA_TUSERDATA:
        return write_userdata(writer, index);
    case LUA_TNIL:
        return refuse(writer, "nil");
    default:
        return refuse(writer, "a function or thread");
    }
}

bool tael_json_write(lua_State *L, int index, struct tael_span *out)
{
    luaL_checkstack(L, LUA_MINSTACK, "json");
    index = lua_absindex(L, index);
    int top = lua_gettop(L);
    struct tael_json_scratch *scratch = tael_json_push_scratch(L);
    struct writer writer = {
        .L = L,
        .scratch = scratch,
        .array_at = top + 2,
        .object_at = top + 3,
        .decimal_at = top + 4,
    };
    lua_getiuservalue(L, top + 1, TAEL_JSON_ARRAY);
    lua_getiuservalue(L, top + 1, TAEL_JSON_OBJECT);
    lua_getiuservalue(L, top + 1, TAEL_JSON_DECIMAL);
    tael_buf_clear(&scratch->text);
    scratch->count = 0;
    scratch->items = 0;
    bool written = write_value(&writer, index, DEPTH_MAX);
    lua_settop(L, top);
    if (written) {
        *out = (struct tael_span){scratch->text.data, scratch->text.len};
        return true;
    }
    tael_json_scratch_trim(scratch);
    const char *where = writer.key[0] != '\0' ? writer.key : "the value";
    lua_pushfstring(L, "json.encode: %s: %s", where, writer.why);
    return false;
}

void tael_json_finish(lua_State *L, bool written, struct tael_span text)
{
    if (!written) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
        lua_error(L);
    }
    lua_pushlstring(L, text.data, text.len);
    tael_json_scratch_trim(tael_json_push_scratch(L));
    lua_pop(L, 1);
}

void tael_json_push_text(lua_State *L, int index)
{
    struct tael_span text = {"", 0};
    bool written = tael_json_write(L, index, &text);
    tael_json_finish(L, written, text);
}
