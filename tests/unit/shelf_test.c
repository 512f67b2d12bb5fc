/* shelf_test.c - isolates of many owners under one ceiling: who goes, who stays, and what a long
 * history of chance leaves behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "script/shelf.h"
#include "tap.h"

static const struct tael_siphash_seed seed = {1, 2};

static struct tael_shelf *shelf_of(size_t ceiling)
{
    struct tael_shelf *shelf = NULL;
    if (tael_shelf_new(&shelf, ceiling, seed) != TAEL_OK)
        abort();
    return shelf;
}

static struct tael_shelved *put(struct tael_shelf *shelf, const char *key)
{
    struct tael_isolate *isolate = NULL;
    struct tael_shelved *shelved = NULL;
    if (tael_isolate_new(&isolate, NULL, 0, false) != TAEL_OK ||
        tael_shelf_put(shelf, tael_span_of(key), isolate, &shelved) != TAEL_OK)
        abort();
    return shelved;
}

static bool has(struct tael_shelf *shelf, const char *key)
{
    struct tael_shelved *shelved = tael_shelf_take(shelf, tael_span_of(key));
    if (shelved != NULL)
        tael_shelf_give(shelved);
    return shelved != NULL;
}

static size_t size_of_one(void)
{
    struct tael_shelf *shelf = shelf_of(SIZE_MAX / 2);
    tael_shelf_give(put(shelf, "one"));
    size_t size = tael_shelf_counts(shelf).bytes;
    tael_shelf_free(shelf);
    return size;
}

static int take_memory(lua_State *L)
{
    lua_newuserdatauv(L, 200000, 0);
    lua_setfield(L, LUA_REGISTRYINDEX, "kept");
    return 0;
}

static void who_was_used_longest_ago_goes(size_t one)
{
    struct tael_shelf *shelf = shelf_of(3 * one + one / 2);
    tael_shelf_give(put(shelf, "a"));
    tael_shelf_give(put(shelf, "b"));
    tael_shelf_give(put(shelf, "c"));
    CHECK(has(shelf, "a") && has(shelf, "b") && has(shelf, "c"));
    CHECK(has(shelf, "a")); /* now the newest */
    tael_shelf_give(put(shelf, "d"));
    CHECK(!has(shelf, "b") && has(shelf, "c") && has(shelf, "a") && has(shelf, "d"));
    CHECK(tael_shelf_counts(shelf).dropped == 1 && tael_shelf_counts(shelf).isolates == 3);
    tael_shelf_free(shelf);
}

static void what_is_lent_stays(size_t one)
{
    struct tael_shelf *shelf = shelf_of(one / 2); /* less than a single one */
    struct tael_shelved *a = put(shelf, "a"), *b = put(shelf, "b");
    CHECK(tael_shelf_take(shelf, tael_span_of("a")) == a);
    tael_shelf_give(a);
    CHECK(tael_shelf_counts(shelf).isolates == 2 && tael_shelf_counts(shelf).lent == 2);
    tael_shelf_give(a);
    CHECK(!has(shelf, "a"));
    CHECK(tael_shelf_counts(shelf).isolates == 1);
    tael_shelf_give(b);
    CHECK(tael_shelf_counts(shelf).isolates == 0 && tael_shelf_counts(shelf).bytes == 0);
    tael_shelf_free(shelf);
}

static void what_it_takes_is_looked_at_when_it_comes_back(size_t one)
{
    struct tael_shelf *shelf = shelf_of(one + one / 2 + 200000);
    tael_shelf_give(put(shelf, "a"));
    struct tael_shelved *b = put(shelf, "b");
    lua_State *L = tael_isolate_lua(b->isolate);
    lua_pushcfunction(L, take_memory);
    CHECK(lua_pcall(L, 0, 0, 0) == LUA_OK);
    tael_shelf_give(b);
    CHECK_NAMED(!has(shelf, "a") && has(shelf, "b"), "the other one makes room");
    CHECK(tael_shelf_counts(shelf).bytes > 200000);
    tael_shelf_free(shelf);
}

static void what_is_thrown_is_found_by_nobody(void)
{
    struct tael_shelf *shelf = shelf_of(SIZE_MAX / 2);
    struct tael_shelved *a = put(shelf, "a");
    CHECK(tael_shelf_take(shelf, tael_span_of("a")) == a);
    tael_shelf_throw(a);
    tael_shelf_throw(a);
    CHECK(!has(shelf, "a") && tael_shelf_counts(shelf).isolates == 1);
    struct tael_shelved *successor = put(shelf, "a");
    CHECK(tael_shelf_take(shelf, tael_span_of("a")) == successor && successor != a);
    tael_shelf_give(successor);
    tael_shelf_give(a);
    tael_shelf_give(a);
    CHECK(tael_shelf_counts(shelf).isolates == 1 && tael_shelf_counts(shelf).thrown == 1);
    tael_shelf_give(put(shelf, "b"));
    tael_shelf_throw_all(shelf);
    CHECK(!has(shelf, "b") && !has(shelf, "a") && tael_shelf_counts(shelf).isolates == 1);
    tael_shelf_give(successor);
    CHECK(tael_shelf_counts(shelf).isolates == 0 && tael_shelf_counts(shelf).bytes == 0);
    tael_shelf_free(shelf);
}

enum { KEYS = 300, MOVES = 6000 };

static int drop_memory(lua_State *L)
{
    for (int i = 0; i < 40; i++) {
        lua_gc(L, LUA_GCSTOP);
        lua_newuserdatauv(L, TAEL_ISOLATE_MEMORY / 64, 0);
        lua_pop(L, 1);
    }
    return 0;
}

/* More than half of the ceiling is in use: many calls wait, and one after another ends. */
static void what_is_thrown_is_not_collected_with_each_that_comes_back(void)
{
    struct tael_shelf *shelf = shelf_of(SIZE_MAX / 2);
    struct tael_shelved *a = put(shelf, "a");
    CHECK(tael_shelf_take(shelf, tael_span_of("a")) == a);
    tael_shelf_throw(a);
    lua_State *L = tael_isolate_lua(a->isolate);
    lua_pushcfunction(L, drop_memory);
    CHECK(lua_pcall(L, 0, 0, 0) == LUA_OK);
    size_t before = tael_isolate_memory(a->isolate);
    CHECK(before > tael_isolate_ceiling(a->isolate) / 2);
    tael_shelf_return(a, false);
    CHECK(tael_isolate_memory(a->isolate) == before);
    tael_shelf_return(a, false);
    CHECK(tael_shelf_counts(shelf).isolates == 0);
    tael_shelf_free(shelf);
}

/* Counted beside by a plain array. */
static void a_history_of_chance(size_t one)
{
    struct tael_shelf *shelf = shelf_of(100 * one);
    struct tael_shelved *lent[KEYS] = {NULL};
    unsigned state = 12345;
    bool right = true;
    for (int i = 0; i < MOVES; i++) {
        state = state * 1103515245 + 12345;
        unsigned key = (state >> 16) % KEYS, move = (state >> 8) % 8;
        char name[16];
        snprintf(name, sizeof(name), "merchant-%u", key);
        if (lent[key] != NULL) {
            if (move == 0)
                tael_shelf_throw(lent[key]);
            tael_shelf_give(lent[key]);
            lent[key] = NULL;
            continue;
        }
        struct tael_shelved *shelved = tael_shelf_take(shelf, tael_span_of(name));
        if (shelved == NULL)
            shelved = put(shelf, name);
        right = right && shelved->key_len == strlen(name) &&
                memcmp(shelved->key, name, shelved->key_len) == 0;
        if (move < 3)
            lent[key] = shelved;
        else
            tael_shelf_give(shelved);
        struct tael_shelf_counts counts = tael_shelf_counts(shelf);
        size_t out = 0;
        for (unsigned k = 0; k < KEYS; k++)
            out += lent[k] != NULL;
        right =
            right && counts.lent == out && (counts.isolates == out || counts.bytes <= 100 * one);
    }
    CHECK(right);
    for (unsigned k = 0; k < KEYS; k++)
        if (lent[k] != NULL)
            tael_shelf_give(lent[k]);
    CHECK(tael_shelf_counts(shelf).bytes <= 100 * one && tael_shelf_counts(shelf).lent == 0);
    CHECK(tael_shelf_counts(shelf).dropped > 100);
    tael_shelf_free(shelf);
}

int main(void)
{
    size_t one = size_of_one();
    who_was_used_longest_ago_goes(one);
    what_is_lent_stays(one);
    what_it_takes_is_looked_at_when_it_comes_back(one);
    what_is_thrown_is_found_by_nobody();
    what_is_thrown_is_not_collected_with_each_that_comes_back();
    a_history_of_chance(one);
    return tap_end();
}
