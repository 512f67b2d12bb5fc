/* message_form.c - fields of a form that stay in C until somebody reads one. */
#include "bind/message_form.h"

#include <lauxlib.h>

#include "bind/proof.h"

static int compare(struct tael_span a, struct tael_span b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* The fields are few: what decoding allows at most takes a quarter of a million steps. */
void tael_message_form_sort(struct tael_form *form)
{
    struct tael_form_field *fields = form->fields;
    for (size_t i = 1; i < form->count; i++) {
        struct tael_form_field field = fields[i];
        size_t at = i;
        for (; at > 0 && compare(fields[at - 1].name, field.name) > 0; at--)
            fields[at] = fields[at - 1];
        fields[at] = field;
    }
}

static bool is_covered(const unsigned char *covered, size_t i)
{
    return covered == NULL || covered[i] != 0;
}

/* The index of a field; form->count: there is none. */
static size_t find(const struct tael_form *form, struct tael_span name)
{
    size_t i = 0;
    while (i < form->count && !tael_span_same(form->fields[i].name, name))
        i++;
    return i;
}

/* The value of a field; NULL: there is none, or it is not covered. */
static const struct tael_span *value_of(const struct tael_form *form, const unsigned char *covered,
                                        struct tael_span name)
{
    size_t i = find(form, name);
    return i < form->count && is_covered(covered, i) ? &form->fields[i].value : NULL;
}

bool tael_message_form_states(const struct tael_form *form, const unsigned char *covered,
                              struct tael_span value)
{
    for (size_t i = 0; i < form->count; i++)
        if (is_covered(covered, i) && tael_span_same(form->fields[i].value, value))
            return true;
    return false;
}

int tael_message_form_push(lua_State *L, const struct tael_form *form, const unsigned char *covered)
{
    lua_createtable(L, 0, (int)form->count);
    for (size_t i = 0; i < form->count; i++) {
        if (!is_covered(covered, i))
            continue;
        lua_pushlstring(L, form->fields[i].name.data, form->fields[i].name.len);
        lua_pushlstring(L, form->fields[i].value.data, form->fields[i].value.len);
        lua_rawset(L, -3);
    }
    return 1;
}

int tael_message_form_push_values(lua_State *L, const struct tael_form *form,
                                  const unsigned char *covered, int from)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, top - from + 1, "too many names");
    for (int index = from; index <= top; index++) {
        const struct tael_span *value = value_of(form, covered, tael_check_text(L, index));
        if (value != NULL)
            lua_pushlstring(L, value->data, value->len);
        else
            lua_pushnil(L);
    }
    return top - from + 1;
}

static void uncover(lua_State *L, const struct tael_form *form, int except, unsigned char *covered)
{
    luaL_checktype(L, except, LUA_TTABLE);
    lua_Unsigned count = 0;
    for (lua_pushnil(L); lua_next(L, except) != 0; lua_pop(L, 1), count++) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "form: except must be a list of names");
        size_t i = find(form, tael_check_text(L, lua_gettop(L)));
        if (i < form->count)
            covered[i] = 0;
    }
    if (lua_rawlen(L, except) != count)
        luaL_error(L, "form: except must be a list of names");
}

void tael_message_form_cover(lua_State *L, const struct tael_form *form, int options,
                             unsigned char *covered)
{
    static const char *const names[] = {"except", "drop_empty", NULL};
    memset(covered, 1, form->count);
    if (lua_isnoneornil(L, options))
        return;
    int top = lua_gettop(L);
    tael_check_options(L, options, names);
    if (lua_getfield(L, options, "except") != LUA_TNIL)
        uncover(L, form, lua_gettop(L), covered);
    lua_getfield(L, options, "drop_empty");
    bool drop_empty = lua_toboolean(L, -1);
    lua_settop(L, top);
    for (size_t i = 0; drop_empty && i < form->count; i++)
        if (form->fields[i].value.len == 0)
            covered[i] = 0;
}

static char *put(char *out, struct tael_span text)
{
    if (text.len > 0)
        memcpy(out, text.data, text.len);
    return out + text.len;
}

void tael_message_form_push_text(lua_State *L, const struct tael_form *form,
                                 const unsigned char *covered)
{
    size_t room = 0;
    for (size_t i = 0; i < form->count; i++)
        room +=
            is_covered(covered, i) ? form->fields[i].name.len + form->fields[i].value.len + 2 : 0;
    luaL_Buffer buffer;
    char *start = luaL_buffinitsize(L, &buffer, room), *out = start;
    for (size_t i = 0; i < form->count; i++) {
        if (!is_covered(covered, i))
            continue;
        if (out != start)
            *out++ = '&';
        out = put(out, form->fields[i].name);
        *out++ = '=';
        out = put(out, form->fields[i].value);
    }
    luaL_pushresultsize(&buffer, (size_t)(out - start));
}
