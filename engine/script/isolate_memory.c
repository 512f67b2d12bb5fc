/* isolate_memory.c - the memory of an isolate.
 *
 * Small blocks are kept in lists of their size, for most of what a script makes is small and gone
 * with its call. They come from slabs that go with the state.
 */
#include <stdint.h>
#include <stdlib.h>

#include <sys/mman.h>

#include "script/confine.h"
#include "script/isolate_inner.h"

enum {
    SLAB_FIRST = 20 * 1024, /* bytes: as much as every isolate needs for its libraries */
    SLAB = 4 * 1024,        /* those behind it */
    PAGE = 4 * 1024,
    BLOCK_BYTES = 96,     /* of memory, that each block counts besides */
    LOOK_BYTES = 1 << 18, /* taken: there is a look at the next instruction */
    TAKEN_MAX = 64 << 20, /* bytes between two looks */
    TEXT_MAX = 9 << 17,   /* bytes: Lua goes through texts in one instruction */
    BLOCK_MAX = 4 << 20,  /* the same for tables, which it fills anew when they grow */
    NODE_BYTES = 24,      /* of a key in no list, and its value */
    NAMES_MAX = 8192,     /* names and constants of a text, while it is compiled */
    NODES_TIMED = 2048,   /* from so many on growing can take some time */
};

#if defined(__SANITIZE_ADDRESS__)
#define POOLED 0 /* so that a use of what was freed is seen */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLED 0
#endif
#endif
#ifndef POOLED
#define POOLED 1
#endif

static size_t rank_of(size_t size)
{
    return (size + TAEL_UNIT - 1) / TAEL_UNIT;
}

/* All pages at once instead of one fault for each. Where it cannot be, they come one by one. */
static void fault_in(char *bytes, size_t size)
{
    char *first = bytes - (uintptr_t)bytes % PAGE;
    madvise(first, (size_t)(bytes + size - first), MADV_POPULATE_WRITE);
}

static bool add_slab(struct tael_isolate *isolate)
{
    size_t size = isolate->slabs == NULL ? SLAB_FIRST : SLAB;
    struct tael_slab *slab = malloc(sizeof(*slab) + size);
    if (slab == NULL)
        return false;
    if (size == SLAB_FIRST)
        fault_in((char *)slab, sizeof(*slab) + size);
    isolate->held += sizeof(*slab) + size;
    slab->next = isolate->slabs;
    isolate->slabs = slab;
    isolate->fresh = slab->bytes;
    isolate->fresh_end = slab->bytes + size;
    return true;
}

static void *take_small(struct tael_isolate *isolate, size_t rank)
{
    struct tael_block *block = isolate->free[rank];
    if (block != NULL) {
        isolate->free[rank] = block->next;
        return block;
    }
    size_t size = rank * TAEL_UNIT; /* what is left of a slab and too short is lost with it */
    if ((size_t)(isolate->fresh_end - isolate->fresh) < size && !add_slab(isolate))
        return NULL;
    void *bytes = isolate->fresh;
    isolate->fresh += size;
    return bytes;
}

static void *take(struct tael_isolate *isolate, size_t size)
{
    if (POOLED && size <= TAEL_SMALL_MAX)
        return take_small(isolate, rank_of(size));
    void *bytes = malloc(size);
    isolate->held += bytes != NULL ? size : 0;
    return bytes;
}

static void give(struct tael_isolate *isolate, void *bytes, size_t size)
{
    if (!POOLED || size > TAEL_SMALL_MAX) {
        isolate->held -= size;
        free(bytes);
        return;
    }
    struct tael_block *block = bytes;
    block->next = isolate->free[rank_of(size)];
    isolate->free[rank_of(size)] = block;
}

/* There is no memory for a smaller block, and Lua counts on it that shrinking succeeds. A block of
 * the C library becomes a slab, for it will be given back as a small one. */
static void *keep_shrunk(struct tael_isolate *isolate, char *bytes, size_t old_size, size_t size)
{
    struct tael_slab *slab = (struct tael_slab *)(void *)bytes;
    if (old_size <= TAEL_SMALL_MAX || size > old_size - sizeof(*slab))
        return bytes;
    memmove(slab->bytes, bytes, size);
    slab->next = isolate->slabs;
    isolate->slabs = slab;
    return slab->bytes;
}

static void *resize(struct tael_isolate *isolate, void *bytes, size_t old_size, size_t size)
{
    if (!POOLED || (old_size > TAEL_SMALL_MAX && size > TAEL_SMALL_MAX)) {
        void *resized = realloc(bytes, size);
        if (resized == NULL) /* what was to shrink stays, and is counted as Lua does from now on */
            resized = size <= old_size ? bytes : NULL;
        isolate->held += resized != NULL ? size - old_size : 0; /* unsigned: also when it is less */
        return resized;
    }
    if (old_size <= TAEL_SMALL_MAX && size <= TAEL_SMALL_MAX && rank_of(old_size) == rank_of(size))
        return bytes;
    void *moved = take(isolate, size);
    if (moved == NULL)
        return size > old_size ? NULL : keep_shrunk(isolate, bytes, old_size, size);
    memcpy(moved, bytes, size < old_size ? size : old_size);
    give(isolate, bytes, old_size);
    return moved;
}

/* Lua collects all garbage now, and asks again: once for nothing is once, but near the ceiling each
 * allocation could have it done. */
static void *refuse_memory(struct tael_isolate *isolate)
{
    if (isolate->run != NULL)
        tael_budget_charge(isolate, (int64_t)(isolate->used / TAEL_STEP_BYTES));
    return NULL;
}

static void take_longest(struct tael_isolate *isolate, size_t size)
{
    bool calm = isolate->longest <= TAEL_TEXT_CALM && size > TAEL_TEXT_CALM;
    isolate->longest = size;
    if (calm)
        tael_budget_look_soon(isolate);
}

/* Keys in no list: that part of a table grows by twice at a time. 0: it is no such part. */
static size_t nodes_of(size_t size)
{
    size_t nodes = size / NODE_BYTES;
    return size % NODE_BYTES == 0 && (nodes & (nodes - 1)) == 0 ? nodes : 0;
}

/* Room for a text can be as large as such a part. Does a function run that makes texts, and no
 * table? It has room for a value on its stack. */
static bool makes_text(const struct tael_isolate *isolate)
{
    lua_State *L = isolate->run != NULL ? isolate->run->co : NULL;
    lua_Debug at;
    if (L == NULL || lua_getstack(L, 0, &at) == 0 || lua_getinfo(L, "S", &at) == 0 ||
        *at.what != 'C')
        return false;
    lua_getinfo(L, "f", &at);
    bool makes = tael_library_makes_text(lua_tocfunction(L, -1));
    lua_pop(L, 1);
    return makes;
}

/* Whoever chooses the numbers can have all keys in one chain when it has grown, each looked for
 * behind all others, in one instruction: there is a bound, and what it takes is charged by time. */
static bool take_nodes(struct tael_isolate *isolate, size_t nodes)
{
    size_t most = isolate->loading ? NAMES_MAX : TAEL_ISOLATE_KEYS;
    if (nodes > most && makes_text(isolate))
        return true;
    if (nodes > most)
        isolate->crowded = most;
    if (nodes > isolate->widest && nodes <= most)
        isolate->widest = nodes;
    if (nodes >= NODES_TIMED)
        tael_budget_time(isolate);
    return nodes <= most;
}

void *tael_isolate_allocate(void *user, void *bytes, size_t old_size, size_t size)
{
    struct tael_isolate *isolate = user;
    if (size == 0) {
        if (bytes != NULL) {
            give(isolate, bytes, old_size);
            isolate->used -= old_size;
        }
        return NULL;
    }
    if (bytes == NULL) { /* Lua gives the object's type instead of its size */
        if (old_size == LUA_TSTRING && size > TEXT_MAX)
            return NULL;
        if (old_size == LUA_TSTRING && size > isolate->longest)
            take_longest(isolate, size);
        if (old_size == 0 && !take_nodes(isolate, nodes_of(size)))
            return NULL;
        old_size = 0;
    }
    size_t more = size > old_size ? size - old_size : 0;
    if (size > BLOCK_MAX && more > 0)
        return refuse_memory(isolate);
    if (isolate->used + more > isolate->max || isolate->taken + more > TAKEN_MAX)
        return refuse_memory(isolate);
    void *moved = bytes == NULL ? take(isolate, size) : resize(isolate, bytes, old_size, size);
    if (moved == NULL)
        return NULL;
    isolate->taken += more + BLOCK_BYTES;
    isolate->used = isolate->used - old_size + size;
    if (isolate->taken > LOOK_BYTES)
        tael_budget_look_soon(isolate);
    return moved;
}

void tael_isolate_free_slabs(struct tael_isolate *isolate)
{
    for (struct tael_slab *slab = isolate->slabs, *next; slab != NULL; slab = next) {
        next = slab->next;
        free(slab);
    }
}
