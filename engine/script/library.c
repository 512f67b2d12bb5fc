/* library.c - what scripts have of Lua's own: its functions, charged for what they go through
 * before they do it, or bounded ones in their place. Patterns are in pattern.c, sort in sort.c.
 *
 * The functions are looked up in a state of their own, which has all libraries, once for many
 * isolates: opened in each of them these would be a sixth of what a new one takes, for tables that
 * nobody sees.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "script/confine.h"
#include "script/isolate.h"
#include "script/pattern.h"

enum {
    VALUES_MAX = 4096, /* given back at once: each call with all of them goes through them */
    COPY_BYTES = 16,   /* for one step */
    LOOK_BYTES = 4,    /* the same, where each byte is looked at */
    FMOD_STEPS = 256,
    QUOTED_MAX = 64 * 1024, /* bytes: each may become four, by printf */
    FORMAT_MAX = 16 * 1024, /* bytes, of pack and its like */
};

/* ---- charged: upvalue 1 is the function, which has no upvalues of its own ---- */

static int call_charged(lua_State *L, int64_t work)
{
    tael_isolate_charge(L, work);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Of texts alone: a number's is short. */
static int64_t text_len(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING ? (int64_t)lua_rawlen(L, index) : 0;
}

static int64_t texts_len(lua_State *L)
{
    int64_t len = 0;
    for (int i = lua_gettop(L); i > 0; i--)
        len += text_len(L, i) + 1;
    return len;
}

static int charged_text(lua_State *L)
{
    return call_charged(L, text_len(L, 1) / LOOK_BYTES + 1);
}

static int charged_values(lua_State *L)
{
    return call_charged(L, lua_gettop(L));
}

/* pack, packsize, unpack: each option of the format costs some steps. */
static int charged_packing(lua_State *L)
{
    luaL_argcheck(L, text_len(L, 1) <= FORMAT_MAX, 1, "format too long: at most 16384 bytes");
    return call_charged(L, text_len(L, 1) * 2 + texts_len(L) / COPY_BYTES);
}

static int charged_fmod(lua_State *L)
{
    return call_charged(L, FMOD_STEPS);
}

/* ---- string ---- */

/* Where a place in something of that length is: negative ones count from its end. */
static lua_Integer place_of(lua_Integer at, lua_Integer len)
{
    if (at >= 0)
        return at;
    return at < -len ? 0 : len + at + 1;
}

/* Values for the places given at index and behind it. */
static int charged_places(lua_State *L)
{
    lua_Integer len = (lua_Integer)text_len(L, 1);
    lua_Integer first = luaL_optinteger(L, 2, 1);
    lua_Integer last = place_of(luaL_optinteger(L, 3, first), len);
    first = place_of(first, len);
    first = first < 1 ? 1 : first;
    last = last > len ? len : last;
    if (last - first >= VALUES_MAX)
        return luaL_error(L, "too many values: at most %d at once", VALUES_MAX);
    return call_charged(L, last > first ? last - first + 1 : 1);
}

static int string_rep(lua_State *L)
{
    size_t len, between;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_Integer count = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &between);
    size_t unit = len + between, whole;
    if (count < 1 || unit == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (__builtin_mul_overflow(unit, (size_t)count, &whole) || whole > LUA_MAXINTEGER / 2)
        return luaL_error(L, "resulting string too large");
    luaL_Buffer out;
    char *to = luaL_buffinitsize(L, &out, whole);
    memcpy(to, text, len);
    memcpy(to + len, separator, between);
    for (size_t done = unit, more; done < whole; done += more) { /* what is there, once more */
        more = done < whole - done ? done : whole - done;
        memcpy(to + done, to, more);
    }
    luaL_pushresultsize(&out, whole - between);
    return 1;
}

/* Flags, width and precision of a conversion. */
static bool is_modifier(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == ' ' || c == '#';
}

/* %p gives addresses. A format may have any bytes, NUL too. Is nothing but %s, %d and %% in it? */
static bool check_format(lua_State *L, const char *format, size_t len, int64_t texts)
{
    bool simple = true;
    for (const char *at = format, *end = format + len; at < end;) {
        if (*at++ != '%')
            continue;
        simple = simple && at < end && (*at == 's' || *at == 'd' || *at == '%');
        while (at < end && is_modifier(*at))
            at++;
        if (at < end && *at == 'p')
            luaL_error(L, "invalid conversion '%%p' to 'format'");
        if (at < end && *at == 'q' && texts > QUOTED_MAX)
            luaL_error(L, "too long for '%%q'");
        at += at < end;
    }
    return simple;
}

static void add_integer(luaL_Buffer *out, lua_Integer integer)
{
    char digits[24], *at = digits + sizeof(digits);
    lua_Unsigned rest = integer < 0 ? 0u - (lua_Unsigned)integer : (lua_Unsigned)integer;
    do {
        *--at = (char)('0' + rest % 10);
    } while ((rest /= 10) > 0);
    if (integer < 0)
        *--at = '-';
    luaL_addlstring(out, at, (size_t)(digits + sizeof(digits) - at));
}

/* Of texts and integers alone, which most are, at once: printf takes longer for one number than the
 * rule around it. False: nothing is pushed, and Lua's own has to say what is wrong or written in
 * another way. */
static bool format_simply(lua_State *L, const char *format, size_t len)
{
    int arg = 1, top = lua_gettop(L);
    luaL_Buffer out;
    for (const char *at = format, *end = format + len; at < end; at++) {
        bool integer = *at == '%' && at[1] == 'd';
        if (*at != '%' || *++at == '%')
            continue;
        if (++arg > top ||
            !(lua_isinteger(L, arg) || (!integer && lua_type(L, arg) == LUA_TSTRING)))
            return false;
    }
    luaL_buffinit(L, &out);
    arg = 1;
    for (const char *at = format, *end = format + len, *from = at;; at += 2, from = at) {
        at = memchr(from, '%', (size_t)(end - from));
        luaL_addlstring(&out, from, (size_t)((at != NULL ? at : end) - from));
        if (at == NULL)
            break;
        if (at[1] == '%') {
            luaL_addchar(&out, '%');
        } else if (lua_isinteger(L, ++arg)) {
            add_integer(&out, lua_tointeger(L, arg));
        } else {
            size_t text_bytes;
            const char *text = lua_tolstring(L, arg, &text_bytes);
            luaL_addlstring(&out, text, text_bytes);
        }
    }
    luaL_pushresult(&out);
    return true;
}

/* Tables and their like become what tostring gives. */
static void make_texts(lua_State *L)
{
    for (int i = lua_gettop(L); i > 1; i--) {
        if (lua_type(L, i) <= LUA_TSTRING && lua_type(L, i) != LUA_TLIGHTUSERDATA)
            continue;
        lua_pushcfunction(L, tael_confined_tostring);
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        lua_replace(L, i);
    }
}

static int string_format(lua_State *L)
{
    size_t len;
    const char *format = luaL_checklstring(L, 1, &len);
    int64_t texts = 0;
    bool others = false;
    for (int i = lua_gettop(L); i > 0; i--) {
        int type = lua_type(L, i);
        texts += 1 + (type == LUA_TSTRING ? (int64_t)lua_rawlen(L, i) : 0);
        others = others || type > LUA_TSTRING || type == LUA_TLIGHTUSERDATA;
    }
    bool simple = check_format(L, format, len, texts);
    tael_isolate_charge(L, texts / COPY_BYTES + (int64_t)len);
    if (simple && format_simply(L, format, len))
        return 1;
    if (others)
        make_texts(L);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* ---- table ---- */

/* How many elements from the number at index to the one behind it, which may be left out. */
static int64_t range_of(lua_State *L, int index)
{
    lua_Integer from = luaL_optinteger(L, index, 1), range;
    lua_Integer to = luaL_optinteger(L, index + 1, (lua_Integer)lua_rawlen(L, 1));
    if (__builtin_sub_overflow(to, from, &range))
        range = LUA_MAXINTEGER / 16;
    return range >= LUA_MAXINTEGER / 16 ? LUA_MAXINTEGER / 16 : range >= 0 ? range + 1 : 0;
}

static int charged_unpack(lua_State *L)
{
    tael_metatable_check_plain(L, 1);
    int64_t range = range_of(L, 2);
    if (range > VALUES_MAX)
        return luaL_error(L, "too many values: at most %d at once", VALUES_MAX);
    return call_charged(L, range);
}

static int charged_move(lua_State *L)
{
    tael_metatable_check_plain(L, 1);
    if (!lua_isnoneornil(L, 5))
        tael_metatable_check_plain(L, 5);
    luaL_checkinteger(L, 2);
    luaL_checkinteger(L, 3);
    return call_charged(L, range_of(L, 2) * 4);
}

/* Behind all others: nothing has to be moved. */
static int table_insert(lua_State *L)
{
    tael_metatable_check_plain(L, 1);
    lua_Integer len = (lua_Integer)lua_rawlen(L, 1);
    if (lua_gettop(L) == 2) {
        lua_rawseti(L, 1, len + 1);
        return 0;
    }
    lua_Integer at = luaL_checkinteger(L, 2);
    return call_charged(L, at >= 1 && at <= len ? (len - at) * 4 + 1 : 1);
}

static int charged_remove(lua_State *L)
{
    tael_metatable_check_plain(L, 1);
    lua_Integer len = (lua_Integer)lua_rawlen(L, 1), at = luaL_optinteger(L, 2, len);
    return call_charged(L, at >= 1 && at <= len ? (len - at) * 4 + 1 : 1);
}

/* ---- utf8 ---- */

/* Upvalue 1 is Lua's iterator, which passes over all bytes of continuation behind a place. */
static int next_code(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_Integer place = lua_tointeger(L, 2);
    size_t begin = place > 0 ? (size_t)place : 0, at = begin;
    while (begin > 0 && at < len && ((unsigned char)text[at] & 0xC0) == 0x80)
        at++;
    return call_charged(L, (int64_t)(at - begin) / LOOK_BYTES + 1);
}

static int charged_codes(lua_State *L)
{
    int given = charged_text(L);
    lua_pushvalue(L, -given);
    lua_pushcclosure(L, next_code, 1);
    lua_replace(L, -given - 1);
    return given;
}

/* ---- globals ---- */

/* Past metatables, or of a text: what may be long are the first two. */
static int charged_global(lua_State *L)
{
    enum { TEXT_BYTES = 4 }; /* gone through for one step */
    int64_t work = lua_gettop(L);
    for (int i = 1; i <= 2; i++)
        work += text_len(L, i) / TEXT_BYTES;
    return call_charged(L, work);
}

/* ---- the lists ---- */

static const struct entry {
    const char *library, *name;
    lua_CFunction own; /* NULL: Lua's */
} entries[] = {
    {TAEL_LIBRARY_GLOBALS, "assert", NULL},
    {TAEL_LIBRARY_GLOBALS, "error", NULL},
    {TAEL_LIBRARY_GLOBALS, "pairs", NULL},
    {TAEL_LIBRARY_GLOBALS, "rawequal", charged_global},
    {TAEL_LIBRARY_GLOBALS, "select", charged_global},
    {TAEL_LIBRARY_GLOBALS, "tonumber", charged_global},
    {TAEL_LIBRARY_GLOBALS, "type", NULL},
    {"math", "abs", NULL},
    {"math", "acos", NULL},
    {"math", "asin", NULL},
    {"math", "atan", NULL},
    {"math", "ceil", NULL},
    {"math", "cos", NULL},
    {"math", "deg", NULL},
    {"math", "exp", NULL},
    {"math", "floor", NULL},
    {"math", "fmod", charged_fmod},
    {"math", "huge", NULL},
    {"math", "log", NULL},
    {"math", "max", charged_values},
    {"math", "maxinteger", NULL},
    {"math", "min", charged_values},
    {"math", "mininteger", NULL},
    {"math", "modf", NULL},
    {"math", "pi", NULL},
    {"math", "rad", NULL},
    {"math", "sin", NULL},
    {"math", "sqrt", NULL},
    {"math", "tan", NULL},
    {"math", "tointeger", charged_text},
    {"math", "type", NULL},
    {"math", "ult", NULL},
    {"string", "byte", charged_places},
    {"string", "char", charged_values},
    {"string", "format", string_format},
    {"string", "len", NULL},
    {"string", "lower", charged_text},
    {"string", "pack", charged_packing},
    {"string", "packsize", charged_packing},
    {"string", "rep", string_rep},
    {"string", "reverse", charged_text},
    {"string", "sub", NULL},
    {"string", "unpack", charged_packing},
    {"string", "upper", charged_text},
    {"table", "concat", tael_confined_concat},
    {"table", "insert", table_insert},
    {"table", "move", charged_move},
    {"table", "pack", charged_values},
    {"table", "remove", charged_remove},
    {"table", "sort", tael_confined_sort},
    {"table", "unpack", charged_unpack},
    {"utf8", "char", charged_values},
    {"utf8", "charpattern", NULL},
    {"utf8", "codepoint", charged_places},
    {"utf8", "codes", charged_codes},
    {"utf8", "len", charged_text},
    {"utf8", "offset", charged_text},
};

enum { ENTRIES = sizeof(entries) / sizeof(entries[0]), TEXT_MAX = 31 };

/* ---- looking them up ---- */

struct value {              /* a function without upvalues, a number or a short text */
    lua_CFunction function; /* NULL: it is none */
    lua_Number number;
    lua_Integer integer;
    size_t len;
    char text[TEXT_MAX + 1];
    int type;
    bool is_integer;
};

struct tael_functions {
    struct value values[ENTRIES];
    lua_CFunction next_place; /* the iterator of ipairs */
};

static void keep(lua_State *L, struct value *value)
{
    size_t len = 0;
    value->type = lua_type(L, -1);
    value->function = lua_tocfunction(L, -1);
    value->is_integer = lua_isinteger(L, -1);
    value->integer = lua_tointeger(L, -1);
    value->number = lua_tonumber(L, -1);
    if (value->type == LUA_TSTRING) {
        const char *text = lua_tolstring(L, -1, &len);
        value->len = len <= TEXT_MAX ? len : TEXT_MAX;
        memcpy(value->text, text, value->len);
    }
}

/* (functions) Protected. */
static int look_up(lua_State *L)
{
    static const struct {
        const char *name;
        lua_CFunction open;
    } libraries[] = {
        {TAEL_LIBRARY_GLOBALS, luaopen_base},
        {"math", luaopen_math},
        {"string", luaopen_string},
        {"table", luaopen_table},
        {"utf8", luaopen_utf8},
    };
    struct tael_functions *functions = lua_touserdata(L, 1);
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        lua_pushcfunction(L, libraries[i].open);
        lua_call(L, 0, 1);
        for (size_t k = 0; k < ENTRIES; k++) {
            if (strcmp(entries[k].library, libraries[i].name) != 0)
                continue;
            lua_getfield(L, -1, entries[k].name);
            keep(L, &functions->values[k]);
            lua_pop(L, 1);
        }
    }
    lua_getglobal(L, "ipairs");
    lua_newtable(L);
    lua_call(L, 1, 1);
    functions->next_place = lua_tocfunction(L, -1);
    return 0;
}

tael_status tael_functions_new(struct tael_functions **out)
{
    struct tael_functions *functions = calloc(1, sizeof(*functions));
    lua_State *L = luaL_newstate();
    tael_status rc = TAEL_ENOMEM;
    if (functions == NULL || L == NULL)
        goto close;
    lua_pushcfunction(L, look_up);
    lua_pushlightuserdata(L, functions);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        goto close;
    *out = functions;
    functions = NULL;
    rc = TAEL_OK;
close:
    if (L != NULL)
        lua_close(L);
    free(functions);
    return rc;
}

void tael_functions_free(struct tael_functions *functions)
{
    free(functions);
}

/* ---- in an isolate ---- */

static void push_value(lua_State *L, const struct value *value)
{
    if (value->function != NULL)
        lua_pushcfunction(L, value->function);
    else if (value->type == LUA_TSTRING)
        lua_pushlstring(L, value->text, value->len);
    else if (value->is_integer)
        lua_pushinteger(L, value->integer);
    else
        lua_pushnumber(L, value->number);
}

void tael_library_fill(lua_State *L, const struct tael_functions *functions, const char *library)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        if (strcmp(entries[i].library, library) != 0)
            continue;
        push_value(L, &functions->values[i]);
        if (entries[i].own != NULL)
            lua_pushcclosure(L, entries[i].own, 1);
        lua_setfield(L, -2, entries[i].name);
    }
}

bool tael_library_makes_text(lua_CFunction function)
{
    static const lua_CFunction makers[] = {string_rep,           string_format,
                                           charged_text,         charged_packing,
                                           tael_confined_concat, tael_pattern_gsub};
    bool makes = false;
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
        makes = makes || makers[i] == function;
    return makes;
}

lua_CFunction tael_functions_next_place(const struct tael_functions *functions)
{
    return functions->next_place;
}
