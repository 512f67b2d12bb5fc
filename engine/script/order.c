/* order.c - pairs() in a fixed order, for the simulated world.
 *
 * Lua seeds its string hash with addresses and the clock, so the order of pairs() differs from run
 * to run. Under simulation one seed must give one history: there pairs() goes through numbers
 * ascending, then strings in byte order. Keys of other types come last, in no promised order.
 * Changing the table while going through it is safe: keys that are gone are passed over, new ones
 * are not met.
 */
#include <stdlib.h>

#include <lauxlib.h>

#include "script/inner.h"

struct key {
    int rank; /* 0 number, 1 string, 2 other */
    lua_Number number;
    lua_Integer integer; /* exact, where number is not */
    struct tael_span text;
    int place; /* where the key is kept: index in the list of keys as found */
};

static int compare_text(struct tael_span a, struct tael_span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const void *left, const void *right)
{
    const struct key *a = left;
    const struct key *b = right;
    if (a->rank != b->rank)
        return a->rank - b->rank;
    if (a->rank == 0 && a->number != b->number)
        return a->number < b->number ? -1 : 1;
    if (a->rank == 0 && a->integer != b->integer)
        return a->integer < b->integer ? -1 : 1;
    if (a->rank == 1)
        return compare_text(a->text, b->text);
    return (a->place > b->place) - (a->place < b->place);
}

/* The key on top of L. */
static struct key describe(lua_State *L, int place)
{
    struct key key = {.rank = 2, .place = place, .text = {"", 0}};
    if (lua_type(L, -1) == LUA_TNUMBER) {
        key.rank = 0;
        key.number = lua_tonumber(L, -1);
        key.integer = lua_tointeger(L, -1);
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        key.rank = 1;
        key.text.data = lua_tolstring(L, -1, &key.text.len);
    }
    return key;
}

/* Pushes a list of the keys of the table at index 1, in order. The table holds the strings alive.
 */
static void push_sorted_keys(lua_State *L)
{
    lua_newtable(L);
    int found = lua_gettop(L);
    int count = 0;
    for (lua_pushnil(L); lua_next(L, 1) != 0;) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, found, ++count);
    }
    struct key *keys = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof(*keys), 0);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, found, i);
        keys[i - 1] = describe(L, i);
        lua_pop(L, 1);
    }
    qsort(keys, (size_t)count, sizeof(*keys), compare_keys);
    lua_createtable(L, count, 0);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, found, keys[i - 1].place);
        lua_rawseti(L, -2, i);
    }
}

/* Upvalues: the keys, how many have been given. Arguments: the table, the last key (not used). */
static int next_in_order(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));
    while (lua_rawgeti(L, lua_upvalueindex(1), ++at) != LUA_TNIL) {
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL) {
            lua_pushinteger(L, at);
            lua_replace(L, lua_upvalueindex(2));
            return 2;
        }
        lua_pop(L, 2);
    }
    return 1; /* nil */
}

static int pairs_in_order(lua_State *L)
{
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 3);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    push_sorted_keys(L);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_in_order, 2);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

int tael_order_install(lua_State *L)
{
    lua_pushcfunction(L, pairs_in_order);
    lua_setglobal(L, "pairs");
    return 0;
}
