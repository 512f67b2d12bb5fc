/* sort.c - table.sort for scripts: counted, and able to yield in a comparison.
 *
 * Runs of one are merged into runs of two, four, …, from one table into the other and back; where
 * it is stands in a userdata, so that it can be left and gone on with at any comparison. Equal
 * elements keep their order, and an order that is none gives some order, never an error.
 */
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "script/confine.h"
#include "script/isolate.h"

enum { TABLE = 1, LESS, STATE, SPARE, TOP = SPARE }; /* stack indices */

enum { COUNT_MAX = 1 << 24, ELEMENT_STEPS = 8, TEXT_BYTES = 16, PIECE_STEPS = 2 };

struct sorting {
    lua_Integer count, width;                          /* of the runs that are in order */
    lua_Integer left, left_end, right, right_end, out; /* of the two that are being merged */
    bool swapped;                                      /* the elements are in the spare table */
};

static int sort_on(lua_State *L, int status, lua_KContext context);

static int from_of(const struct sorting *sort)
{
    return sort->swapped ? SPARE : TABLE;
}

/* The element at `from` of the one table becomes the next one of the other. */
static void move_out(lua_State *L, struct sorting *sort, lua_Integer *from)
{
    lua_rawgeti(L, from_of(sort), (*from)++);
    lua_rawseti(L, sort->swapped ? TABLE : SPARE, sort->out++);
}

static lua_Integer least(lua_Integer a, lua_Integer b)
{
    return a < b ? a : b;
}

static void begin_pair(struct sorting *sort)
{
    sort->left = sort->out;
    sort->right = sort->left_end = least(sort->left + sort->width, sort->count + 1);
    sort->right_end = least(sort->right + sort->width, sort->count + 1);
}

/* Lua compares piece by piece what has NULs in it. */
static void charge_texts(lua_State *L)
{
    size_t len = lua_rawlen(L, -1), other = lua_rawlen(L, -2);
    len = other < len ? other : len;
    bool pieces = len > TEXT_BYTES && memchr(lua_tostring(L, -1), '\0', len) != NULL;
    tael_isolate_charge(L, (int64_t)(pieces ? len * PIECE_STEPS : len / TEXT_BYTES));
}

/* The right one on top, the left one below it: both go; whether the right one is less. */
static bool is_less(lua_State *L)
{
    bool less;
    if (lua_type(L, -1) == LUA_TSTRING && lua_type(L, -2) == LUA_TSTRING)
        charge_texts(L);
    less = lua_compare(L, -1, -2, LUA_OPLT);
    lua_settop(L, TOP);
    return less;
}

static void take(lua_State *L, struct sorting *sort, bool right)
{
    move_out(L, sort, right ? &sort->right : &sort->left);
}

/* Whether the right one goes first, which a script says. */
static bool ask(lua_State *L)
{
    lua_pushvalue(L, LESS);
    lua_insert(L, -3);
    lua_insert(L, -2);
    lua_callk(L, 2, 1, 0, sort_on);
    bool less = lua_toboolean(L, -1);
    lua_settop(L, TOP);
    return less;
}

static void merge(lua_State *L, struct sorting *sort)
{
    bool asked = lua_isfunction(L, LESS);
    while (sort->left < sort->left_end && sort->right < sort->right_end) {
        tael_isolate_charge(L, ELEMENT_STEPS);
        lua_rawgeti(L, from_of(sort), sort->left);
        lua_rawgeti(L, from_of(sort), sort->right);
        take(L, sort, asked ? ask(L) : is_less(L));
    }
    tael_isolate_charge(L, sort->left_end - sort->left + sort->right_end - sort->right);
    while (sort->left < sort->left_end)
        move_out(L, sort, &sort->left);
    while (sort->right < sort->right_end)
        move_out(L, sort, &sort->right);
}

static int go_on(lua_State *L, struct sorting *sort)
{
    for (;;) {
        merge(L, sort);
        if (sort->out > sort->count) {
            sort->swapped = !sort->swapped;
            sort->width *= 2;
            sort->out = 1;
            if (sort->width >= sort->count)
                break;
        }
        begin_pair(sort);
        if (tael_isolate_overdue(L))
            return lua_yieldk(L, 0, 1, sort_on);
    }
    for (lua_Integer i = 1; sort->swapped && i <= sort->count; i++) {
        lua_rawgeti(L, SPARE, i);
        lua_rawseti(L, TABLE, i);
    }
    return 0;
}

/* context 1: between two pairs; 0: what a comparison gave is on top. */
static int sort_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct sorting *sort = lua_touserdata(L, STATE);
    if (context == 0) {
        bool less = lua_toboolean(L, -1);
        lua_settop(L, TOP);
        take(L, sort, less);
    } else {
        lua_settop(L, TOP);
    }
    return go_on(L, sort);
}

int tael_confined_sort(lua_State *L)
{
    tael_metatable_check_plain(L, TABLE);
    if (!lua_isnoneornil(L, LESS))
        luaL_checktype(L, LESS, LUA_TFUNCTION);
    lua_settop(L, LESS);
    lua_Integer count = (lua_Integer)lua_rawlen(L, TABLE);
    if (count < 2)
        return 0;
    luaL_argcheck(L, count <= COUNT_MAX, 1, "array too big");
    tael_isolate_charge(L, count * 2);
    struct sorting *sort = lua_newuserdatauv(L, sizeof(*sort), 0);
    *sort = (struct sorting){.count = count, .width = 1, .out = 1};
    /* a size that could be that of too many keys is passed over (isolate_memory.c) */
    lua_createtable(L, (int)count + (count % 6 == 0), 0);
    luaL_checkstack(L, LUA_MINSTACK, "sort");
    begin_pair(sort);
    return go_on(L, sort);
}
