/* order.c - pairs() in a fixed order, for the simulated world and for isolates.
 *
 * Lua seeds its string hash with addresses and the clock, so the order of pairs() differs from run
 * to run. Under simulation one seed must give one history: there pairs() goes through numbers
 * ascending, then strings in byte order. Keys of other types come last, in no promised order.
 * Changing the table while going through it is safe: keys that are gone are passed over, new ones
 * are not met.
 *
 * In an isolate putting the keys in order is counted, and pauses when the loop wants its turn. What
 * another run of the same isolate takes out of the table meanwhile can then end it with Lua's
 * "invalid key to 'next'".
 */
#include <lauxlib.h>

#include "script/inner.h"
#include "script/isolate.h"
#include "script/late.h"

struct key {
    int rank;  /* 0 number, 1 string, 2 other */
    int place; /* where the key is kept: index in the list of keys as found */
    union {
        struct {
            lua_Number number;
            lua_Integer integer; /* exact, where number is not */
        };
        struct {
            struct tael_span text;
            uint64_t begin; /* of its bytes, as one number: most differ in it */
        };
    };
};

static int compare_text(struct tael_span a, struct tael_span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const struct key *a, const struct key *b)
{
    if (a->rank != b->rank)
        return a->rank - b->rank;
    if (a->rank == 0 && a->number != b->number)
        return a->number < b->number ? -1 : 1;
    if (a->rank == 0 && a->integer != b->integer)
        return a->integer < b->integer ? -1 : 1;
    if (a->rank == 1 && a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->rank == 1)
        return compare_text(a->text, b->text);
    return (a->place > b->place) - (a->place < b->place);
}

/* A text that is shorter comes before one that it begins. */
static uint64_t begin_of(struct tael_span text)
{
    uint64_t begin = 0;
    for (size_t i = 0; i < sizeof(begin); i++)
        begin = begin << 8 | (i < text.len ? (unsigned char)text.data[i] : 0);
    return begin;
}

static struct key describe(lua_State *L, int index, int place)
{
    struct key key = {.rank = 2, .place = place};
    int type = lua_type(L, index);
    if (type == LUA_TNUMBER) {
        key.rank = 0;
        key.number = lua_tonumber(L, index);
        key.integer = lua_tointeger(L, index);
    } else if (type == LUA_TSTRING) {
        key.rank = 1;
        key.text.data = lua_tolstring(L, index, &key.text.len);
        key.begin = begin_of(key.text);
    }
    return key;
}

enum { FOUND_STEPS = 8, DESCRIBED_STEPS = 4, SIFTED_STEPS = 8, CHUNK = 64 };
enum { FEW = LUA_MINSTACK - 4 }; /* keys that have room on any stack */

struct heap { /* no key is behind those at 2n + 1 and 2n + 2 of it */
    int count, described, sifted;
    struct key keys[];
};

static void sift_down(struct heap *heap, int at)
{
    struct key key = heap->keys[at];
    for (int below; (below = 2 * at + 1) < heap->count; at = below) {
        if (below + 1 < heap->count && compare_keys(&heap->keys[below + 1], &heap->keys[below]) < 0)
            below++;
        if (compare_keys(&key, &heap->keys[below]) <= 0)
            break;
        heap->keys[at] = heap->keys[below];
    }
    heap->keys[at] = key;
}

/* Upvalues: the keys, and the heap of those that have not been given. Arguments: the table, the
 * last key (not used). */
static int next_in_order(lua_State *L)
{
    struct heap *heap = lua_touserdata(L, lua_upvalueindex(2));
    luaL_checktype(L, 1, LUA_TTABLE);
    tael_late_fill(L, 1);
    while (heap->count > 0) {
        lua_rawgeti(L, lua_upvalueindex(1), heap->keys[0].place);
        heap->keys[0] = heap->keys[--heap->count];
        sift_down(heap, 0);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL)
            return 2;
        lua_pop(L, 2);
    }
    lua_pushnil(L);
    return 1;
}

/* ---- putting the keys in order. Stack: 1 the table, 2 its keys as found, 3 the last one found,
 * and then the heap ---- */

/* So many keys were worked at. True: the loop wants its turn. */
static bool pause_after(lua_State *L, int64_t steps, bool counted)
{
    if (!counted)
        return false;
    tael_isolate_charge(L, steps);
    return tael_isolate_overdue(L);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int build_on(lua_State *L, int status, lua_KContext counted)
{
    (void)status;
    struct heap *heap = lua_touserdata(L, 3);
    lua_settop(L, 3);
    while (heap->described < heap->count) {
        int from = heap->described, to = least(heap->count, from + CHUNK);
        for (; heap->described < to; heap->described++) {
            lua_rawgeti(L, 2, heap->described + 1);
            heap->keys[heap->described] = describe(L, -1, heap->described + 1);
            lua_pop(L, 1);
        }
        if (pause_after(L, (to - from) * DESCRIBED_STEPS, counted != 0))
            return lua_yieldk(L, 0, counted, build_on);
    }
    while (heap->sifted < heap->count / 2) {
        int from = heap->sifted, to = least(heap->count / 2, from + CHUNK);
        for (; heap->sifted < to; heap->sifted++)
            sift_down(heap, heap->count / 2 - 1 - heap->sifted);
        if (pause_after(L, (to - from) * SIFTED_STEPS, counted != 0))
            return lua_yieldk(L, 0, counted, build_on);
    }
    lua_pushcclosure(L, next_in_order, 2);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int build(lua_State *L, int count, bool counted)
{
    lua_settop(L, 2);
    struct heap *heap =
        lua_newuserdatauv(L, sizeof(*heap) + (size_t)count * sizeof(heap->keys[0]), 0);
    heap->count = count;
    heap->described = heap->sifted = 0;
    return build_on(L, LUA_OK, counted);
}

static int gather_on(lua_State *L, int status, lua_KContext count);

static int gather(lua_State *L, int count, bool counted)
{
    bool more = true;
    while (more) {
        int before = count, to = count + CHUNK;
        while (count < to && (more = lua_next(L, 1) != 0)) {
            lua_pop(L, 1);
            lua_pushvalue(L, -1);
            lua_rawseti(L, 2, ++count);
        }
        if (pause_after(L, (count - before) * FOUND_STEPS, counted) && more)
            return lua_yieldk(L, 0, count, gather_on);
    }
    return build(L, count, counted);
}

static int gather_on(lua_State *L, int status, lua_KContext count)
{
    (void)status;
    lua_settop(L, 3);
    return gather(L, (int)count, true);
}

/* ---- few keys: in order at once, in the iterator ---- */

enum { COUNT_SHIFT = 8 };

/* Upvalues: how many keys there are, and in the low bits how many were given; the keys in order.
 * Arguments: as next_in_order. */
static int next_of_few(lua_State *L)
{
    lua_Integer state = lua_tointeger(L, lua_upvalueindex(1));
    int count = (int)(state >> COUNT_SHIFT), at = (int)(state & ((1 << COUNT_SHIFT) - 1));
    luaL_checktype(L, 1, LUA_TTABLE);
    tael_late_fill(L, 1);
    while (at < count) {
        at++;
        lua_pushvalue(L, lua_upvalueindex(1 + at));
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL) {
            lua_pushinteger(L, count << COUNT_SHIFT | at);
            lua_replace(L, lua_upvalueindex(1));
            return 2;
        }
        lua_pop(L, 2);
    }
    lua_pushnil(L);
    return 1;
}

/* Puts the keys of the table at 1 on the stack behind it. -1: they are more, and none is there. */
static int push_few(lua_State *L)
{
    int count = 0;
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pushvalue(L, -1)) {
        lua_pop(L, 1);
        if (++count > FEW) {
            lua_settop(L, 1);
            return -1;
        }
    }
    return count;
}

static int pairs_of_few(lua_State *L, int count)
{
    struct key keys[FEW];
    luaL_checkstack(L, count + LUA_MINSTACK, "pairs");
    for (int i = 0; i < count; i++) {
        struct key key = describe(L, 2 + i, 2 + i);
        int at = i;
        for (; at > 0 && compare_keys(&key, &keys[at - 1]) < 0; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
    lua_pushinteger(L, count << COUNT_SHIFT);
    for (int i = 0; i < count; i++)
        lua_pushvalue(L, keys[i].place);
    lua_pushcclosure(L, next_of_few, 1 + count);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int finish_pairs(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 3;
}

static int pairs_in_order(lua_State *L, bool counted)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    tael_late_fill(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 3, 0, finish_pairs);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    int few = push_few(L);
    if (counted) {
        tael_isolate_charge_first(L);
        tael_isolate_charge(L, (few >= 0 ? few : FEW) * (FOUND_STEPS + SIFTED_STEPS));
    }
    if (few >= 0)
        return pairs_of_few(L, few);
    lua_newtable(L);
    lua_pushnil(L);
    return gather(L, 0, counted);
}

static int simulated_pairs(lua_State *L)
{
    return pairs_in_order(L, false);
}

int tael_order_pairs(lua_State *L)
{
    return pairs_in_order(L, true);
}

/* Behind a key of another type: the next one of these, as Lua keeps them. */
static int next_other(lua_State *L)
{
    tael_isolate_charge_first(L);
    while (lua_next(L, 1) != 0) {
        if (lua_type(L, -2) != LUA_TNUMBER && lua_type(L, -2) != LUA_TSTRING)
            return 2;
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    return 1;
}

/* next() in the order of pairs(): the least of the keys behind the one that is given. */
int tael_order_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    tael_late_fill(L, 1);
    struct key after = describe(L, -1, 0), least = {.rank = 3};
    bool first = lua_isnil(L, 2);
    if (!first && after.rank == 2)
        return next_other(L);
    lua_pushnil(L); /* the least one so far */
    int64_t seen = 0;
    for (lua_pushnil(L); lua_next(L, 1) != 0; seen++) {
        lua_pop(L, 1);
        struct key key = describe(L, -1, 0);
        if ((first || compare_keys(&after, &key) < 0) && compare_keys(&key, &least) < 0) {
            least = key;
            lua_copy(L, -1, 3);
        }
    }
    tael_isolate_charge_first(L);
    tael_isolate_charge(L, seen * 2);
    if (least.rank == 3)
        return 1; /* nil */
    lua_pushvalue(L, 3);
    lua_rawget(L, 1);
    return 2;
}

int tael_order_install(lua_State *L)
{
    lua_pushcfunction(L, simulated_pairs);
    lua_setglobal(L, "pairs");
    return 0;
}
