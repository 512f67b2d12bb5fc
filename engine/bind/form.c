/* form.c - tael.form: strict decoding, encoding, and the sorted raw string that protocols sign.
 * Contract: lua/tael/meta/form.lua.
 *
 * Works in every Lua state and context. Tables are read raw: metamethods of a caller's table never
 * run. Memory comes from Lua, so nothing is left behind when it runs out.
 */
#include "base/form.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "bind/proof.h"

enum { FIELDS_MAX = 1000, LENGTH_MAX = 16 * 1024 * 1024 };

static const char *const option_names[] = {"max_fields", "max_name", "max_value",
                                           "limits",     "charset",  NULL};

/* ---- decode ---- */

static size_t opt_limit(lua_State *L, int options, const char *name, lua_Integer fallback,
                        lua_Integer max)
{
    lua_Integer value = fallback;
    if (lua_getfield(L, options, name) != LUA_TNIL) {
        if (!lua_isinteger(L, -1))
            luaL_error(L, "form: %s must be an integer", name);
        value = lua_tointeger(L, -1);
    }
    lua_pop(L, 1);
    if (value < 0 || value > max)
        luaL_error(L, "form: %s is out of range", name);
    return (size_t)value;
}

/* Reads {sign=1024} into memory that stays on the stack, above the table itself. */
static void read_special(lua_State *L, int options, struct tael_form_limits *limits)
{
    if (lua_getfield(L, options, "limits") == LUA_TNIL)
        return;
    int table = lua_gettop(L);
    size_t count = 0;
    luaL_checktype(L, table, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
        count++;
    struct tael_form_limit *special =
        lua_newuserdatauv(L, (count + 1) * sizeof(struct tael_form_limit), 0);
    size_t n = 0;
    for (lua_pushnil(L); n < count && lua_next(L, table) != 0; lua_pop(L, 1), n++) {
        lua_Integer max = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
        if (lua_type(L, -2) != LUA_TSTRING || max < 0 || max > LENGTH_MAX)
            luaL_error(L, "form: limits must give a length for names");
        special[n].name.data = lua_tolstring(L, -2, &special[n].name.len);
        special[n].max = (size_t)max;
    }
    limits->special = special;
    limits->special_count = n;
}

static void read_limits(lua_State *L, int options, struct tael_form_limits *limits)
{
    static const char *const charsets[] = {"utf-8", "gbk", "bytes", NULL};
    static const enum tael_form_charset of[] = {TAEL_FORM_UTF8, TAEL_FORM_GBK, TAEL_FORM_BYTES};
    *limits = (struct tael_form_limits){.fields = 200, .name = 64, .value = 8192};
    if (options == 0)
        return;
    limits->fields = opt_limit(L, options, "max_fields", 200, FIELDS_MAX);
    limits->name = opt_limit(L, options, "max_name", 64, LENGTH_MAX);
    limits->value = opt_limit(L, options, "max_value", 8192, LENGTH_MAX);
    lua_getfield(L, options, "charset");
    limits->charset = of[luaL_checkoption(L, -1, "utf-8", charsets)];
    lua_pop(L, 1);
    read_special(L, options, limits);
}

static int push_fault(lua_State *L, const struct tael_form *form, enum tael_form_fault fault,
                      size_t max_fields)
{
    tael_bind_fail(L, tael_form_fault_code(fault), tael_form_fault_text(fault));
    if (form->count < max_fields && form->fields[form->count].name.len > 0) {
        struct tael_span name = form->fields[form->count].name;
        lua_pushlstring(L, name.data, name.len < 64 ? name.len : 64);
        lua_setfield(L, -2, "field");
    }
    return 2;
}

/* How many fields there may be, so that memory is taken for no more. */
static size_t fields_in(struct tael_span bytes, size_t max)
{
    size_t count = 1, left = bytes.len;
    for (const char *at = bytes.data; count < max && left > 0; count++) {
        const char *stop = memchr(at, '&', left);
        if (stop == NULL)
            break;
        left -= (size_t)(stop - at) + 1;
        at = stop + 1;
    }
    return count < max ? count : max;
}

struct tael_form *tael_form_push_fields(lua_State *L, struct tael_span bytes, int options)
{
    struct tael_form_limits limits;
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, "form");
    read_limits(L, options, &limits);
    size_t room = fields_in(bytes, limits.fields) + 1;
    size_t size = sizeof(struct tael_form) + room * sizeof(struct tael_form_field);
    struct tael_form *form = lua_newuserdatauv(L, size + bytes.len + 1, 0);
    form->fields = (struct tael_form_field *)(form + 1);
    form->bytes = (char *)form + size;
    enum tael_form_fault fault = tael_form_decode(form, bytes, &limits);
    if (fault != TAEL_FORM_NONE)
        push_fault(L, form, fault, limits.fields);
    lua_rotate(L, top + 1, fault == TAEL_FORM_NONE ? 1 : 2);
    lua_settop(L, top + (fault == TAEL_FORM_NONE ? 1 : 2));
    return fault == TAEL_FORM_NONE ? form : NULL;
}

int tael_form_push(lua_State *L, struct tael_span bytes, int options)
{
    const struct tael_form *form = tael_form_push_fields(L, bytes, options);
    if (form == NULL)
        return 2;
    lua_createtable(L, 0, (int)form->count);
    lua_createtable(L, (int)form->count, 0);
    for (size_t i = 0; i < form->count; i++) {
        const struct tael_form_field *field = &form->fields[i];
        lua_pushlstring(L, field->name.data, field->name.len);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (lua_Integer)i + 1);
        lua_pushlstring(L, field->value.data, field->value.len);
        lua_rawset(L, -4);
    }
    return 2;
}

/* form.decode(bytes, options?) -> map, names | nil, err */
static int form_decode(lua_State *L)
{
    struct tael_span bytes = tael_check_text(L, 1);
    luaL_argcheck(L, bytes.len <= LENGTH_MAX, 1, "too long");
    lua_settop(L, 2);
    if (lua_isnil(L, 2))
        return tael_form_push(L, bytes, 0);
    tael_check_options(L, 2, option_names);
    return tael_form_push(L, bytes, 2);
}

/* ---- sorted fields of a map ---- */

struct pair {
    struct tael_span name, value;
    char number[24]; /* the value's text when it is an integer */
    bool is_number;
};

static int compare_pairs(const void *a, const void *b)
{
    const struct tael_span *x = &((const struct pair *)a)->name;
    const struct tael_span *y = &((const struct pair *)b)->name;
    size_t shared = x->len < y->len ? x->len : y->len;
    int order = shared > 0 ? memcmp(x->data, y->data, shared) : 0;
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* Whether the name on top of L is an element of the table at except (0: none). */
static bool is_excepted(lua_State *L, int except)
{
    lua_Unsigned count = except != 0 ? lua_rawlen(L, except) : 0;
    bool found = false;
    for (lua_Unsigned i = 1; i <= count && !found; i++) {
        lua_rawgeti(L, except, (lua_Integer)i);
        found = lua_rawequal(L, -1, -2);
        lua_pop(L, 1);
    }
    return found;
}

/* Reads name (at -2) and value (at -1) into pair; the strings stay where the map holds them. */
static void read_pair(lua_State *L, struct pair *pair)
{
    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "form: names must be strings");
    pair->name.data = lua_tolstring(L, -2, &pair->name.len);
    pair->is_number = lua_isinteger(L, -1);
    if (pair->is_number) {
        int len =
            snprintf(pair->number, sizeof(pair->number), "%" PRId64, (int64_t)lua_tointeger(L, -1));
        pair->value = (struct tael_span){NULL, (size_t)len};
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        pair->value.data = lua_tolstring(L, -1, &pair->value.len);
    } else {
        luaL_error(L, "form: the value of '%s' must be a string or an integer", pair->name.data);
    }
}

/* Pushes memory with the fields of the map at index, sorted by name in byte order. */
static struct pair *push_pairs(lua_State *L, int map, int except, bool drop_empty, size_t *count)
{
    size_t room = 0, n = 0;
    luaL_checktype(L, map, LUA_TTABLE);
    luaL_checkstack(L, LUA_MINSTACK, "form");
    for (lua_pushnil(L); lua_next(L, map) != 0; lua_pop(L, 1))
        room++;
    struct pair *pairs = lua_newuserdatauv(L, (room + 1) * sizeof(*pairs), 0);
    for (lua_pushnil(L); lua_next(L, map) != 0; lua_pop(L, 1)) {
        struct pair *pair = &pairs[n];
        read_pair(L, pair);
        lua_pushvalue(L, -2);
        bool skip = is_excepted(L, except) || (drop_empty && pair->value.len == 0);
        lua_pop(L, 1);
        n += skip ? 0 : 1;
    }
    qsort(pairs, n, sizeof(*pairs), compare_pairs);
    *count = n;
    return pairs;
}

static struct tael_span value_of(const struct pair *pair)
{
    return pair->is_number ? (struct tael_span){pair->number, pair->value.len} : pair->value;
}

static size_t put(char *out, struct tael_span text, bool percent)
{
    if (percent)
        return tael_percent_encode(out, text.data, text.len);
    if (text.len > 0)
        memcpy(out, text.data, text.len);
    return text.len;
}

/* Pushes "a=1&b=2". */
static void push_joined(lua_State *L, const struct pair *pairs, size_t count, bool percent)
{
    size_t room = 0, n = 0;
    for (size_t i = 0; i < count; i++)
        room += pairs[i].name.len + pairs[i].value.len + 2;
    if (room > LENGTH_MAX)
        luaL_error(L, "form: too long");
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, percent ? 3 * room : room);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            out[n++] = '&';
        n += put(out + n, pairs[i].name, percent);
        out[n++] = '=';
        n += put(out + n, value_of(&pairs[i]), percent);
    }
    luaL_pushresultsize(&buffer, n);
}

/* form.encode(map) -> "a=1&b=%20", sorted */
static int form_encode(lua_State *L)
{
    size_t count;
    lua_settop(L, 1);
    const struct pair *pairs = push_pairs(L, 1, 0, false, &count);
    push_joined(L, pairs, count, true);
    return 1;
}

static void check_except(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    lua_Integer count = 0;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "form: except must be a list of names");
        count++;
    }
    if (lua_rawlen(L, index) != (lua_Unsigned)count)
        luaL_error(L, "form: except must be a list of names");
}

/* form.canonical(map, {except=, drop_empty=}?) -> "a=1&b=2", sorted, raw */
static int form_canonical(lua_State *L)
{
    static const char *const names[] = {"except", "drop_empty", NULL};
    int except = 0;
    bool drop_empty = false;
    size_t count;
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        tael_check_options(L, 2, names);
        if (lua_getfield(L, 2, "except") != LUA_TNIL) {
            except = lua_gettop(L);
            check_except(L, except);
        }
        lua_getfield(L, 2, "drop_empty");
        drop_empty = lua_toboolean(L, -1);
    }
    const struct pair *pairs = push_pairs(L, 1, except, drop_empty, &count);
    push_joined(L, pairs, count, false);
    return 1;
}

int tael_open_form(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", form_decode},
        {"encode", form_encode},
        {"canonical", form_canonical},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
