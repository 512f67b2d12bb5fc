/* pool.c - see pool.h. A block is on the free list of its chunk, in use, or in the part of the
 * chunk that was never taken. Every block is aligned for any object.
 *
 * Lua's objects are born and die in crowds, so chunks become empty by themselves as long as a chunk
 * that has lost a block is left alone for a while: it goes to its list's end. Free lists by size
 * over all the memory, which keep for every size the most there ever was of it, grew by a sixth in
 * minutes of a steady load.
 */
#include "script/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <sys/mman.h>

enum {
    REGION_SIZE = 1024 * 1024, /* aligned to it: that is how a block's chunk is found */
    CHUNK_SIZE = 16 * 1024,
    CHUNKS = REGION_SIZE / CHUNK_SIZE, /* the first one's place is the region's head */
    EMPTIES_MAX = 256,                 /* chunks that keep their memory for the next burst */
    EMPTIES_KEPT = 16,                 /* the same, however long it is away */
};

struct tael_pool_chunk {
    struct tael_pool_chunk *next, *before;
    void *free;        /* blocks that were given back */
    char *fresh, *end; /* what was never taken */
    uint32_t used;     /* blocks */
    bool listed;       /* has room, and its class's list knows it */
};

struct tael_pool_region {
    struct tael_pool_region *next;
    struct tael_pool_chunk chunks[CHUNKS]; /* [0] is not used */
};

static_assert(sizeof(struct tael_pool_region) <= CHUNK_SIZE, "the head has one chunk's place");

/* ---- classes ---- */

static unsigned octave_of(size_t size) /* beyond SMALL: 2^octave < size <= 2^(octave + 1) */
{
    return (unsigned)(8 * sizeof(unsigned long) - 1) - (unsigned)__builtin_clzl(size - 1);
}

enum { SMALL_OCTAVE = 9, SMALL_CLASSES = TAEL_POOL_SMALL / TAEL_POOL_STEP };

static size_t class_of(size_t size)
{
    assert(size > 0 && size <= TAEL_POOL_MAX);
    if (size <= TAEL_POOL_SMALL)
        return (size - 1) / TAEL_POOL_STEP;
    unsigned octave = octave_of(size);
    return SMALL_CLASSES + (octave - SMALL_OCTAVE) * 8 + ((size - 1) >> (octave - 3)) % 8;
}

/* What a block of this class holds. */
static size_t size_of(size_t class)
{
    if (class < SMALL_CLASSES)
        return (class + 1) * TAEL_POOL_STEP;
    size_t above = class - SMALL_CLASSES, power = (size_t)TAEL_POOL_SMALL << above / 8;
    return power + (above % 8 + 1) * (power / 8);
}

_Bool tael_pool_same(size_t one, size_t other)
{
    return class_of(one) == class_of(other);
}

/* ---- chunks ---- */

static struct tael_pool_chunk *chunk_of(const void *block)
{
    uintptr_t address = (uintptr_t)block, within = address % REGION_SIZE;
    struct tael_pool_region *region = (struct tael_pool_region *)(address - within);
    return &region->chunks[within / CHUNK_SIZE];
}

static char *memory_of(struct tael_pool_chunk *chunk)
{
    uintptr_t within = (uintptr_t)chunk % REGION_SIZE;
    struct tael_pool_region *region = (struct tael_pool_region *)((uintptr_t)chunk - within);
    return (char *)region + (size_t)(chunk - region->chunks) * CHUNK_SIZE;
}

static void list(struct tael_pool *pool, size_t class, struct tael_pool_chunk *chunk)
{
    chunk->next = NULL;
    chunk->before = pool->room[class].last;
    if (chunk->before != NULL)
        chunk->before->next = chunk;
    else
        pool->room[class].first = chunk;
    pool->room[class].last = chunk;
    chunk->listed = true;
}

static void unlist(struct tael_pool *pool, size_t class, struct tael_pool_chunk *chunk)
{
    if (chunk->next != NULL)
        chunk->next->before = chunk->before;
    else
        pool->room[class].last = chunk->before;
    if (chunk->before != NULL)
        chunk->before->next = chunk->next;
    else
        pool->room[class].first = chunk->next;
    chunk->listed = false;
}

static void push(struct tael_pool_chunk **stack, struct tael_pool_chunk *chunk)
{
    chunk->next = *stack;
    *stack = chunk;
}

static struct tael_pool_chunk *pop(struct tael_pool_chunk **stack)
{
    struct tael_pool_chunk *chunk = *stack;
    *stack = chunk->next;
    return chunk;
}

/* Of the system's own, so that what is given back by chunks is nobody else's meanwhile: aligned
 * blocks of malloc's are cut out of twice their size, and the rest filled up with what stays. */
static struct tael_pool_region *map_region(void)
{
    char *mapped = mmap(NULL, 2 * REGION_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        return NULL;
    size_t before = (REGION_SIZE - (uintptr_t)mapped % REGION_SIZE) % REGION_SIZE;
    char *region = mapped + before;
    if (before > 0)
        (void)munmap(mapped, before);
    (void)munmap(region + REGION_SIZE, REGION_SIZE - before);
    return (struct tael_pool_region *)(void *)region;
}

static bool add_region(struct tael_pool *pool)
{
    struct tael_pool_region *region = map_region();
    if (region == NULL)
        return false;
    region->next = pool->regions;
    pool->regions = region;
    for (size_t i = CHUNKS - 1; i > 0; i--) {
        region->chunks[i] = (struct tael_pool_chunk){0};
        push(&pool->cold, &region->chunks[i]);
    }
    return true;
}

/* All its pages at once: a fault for each takes twice as long, on virtual machines a dozen
 * microseconds. Where it cannot be, they come one by one. */
static void warm(struct tael_pool_chunk *chunk)
{
    (void)madvise(memory_of(chunk), CHUNK_SIZE, MADV_POPULATE_WRITE);
}

/* NULL: out of memory. */
static struct tael_pool_chunk *open_chunk(struct tael_pool *pool, size_t class)
{
    struct tael_pool_chunk *chunk;
    if (pool->empty != NULL) {
        chunk = pop(&pool->empty);
        pool->empties--;
        pool->spare = pool->spare < pool->empties ? pool->spare : pool->empties;
    } else if (pool->cold != NULL || add_region(pool)) {
        chunk = pop(&pool->cold);
        warm(chunk);
    } else {
        return NULL;
    }
    chunk->free = NULL;
    chunk->fresh = memory_of(chunk);
    chunk->end = chunk->fresh + CHUNK_SIZE / size_of(class) * size_of(class);
    list(pool, class, chunk);
    return chunk;
}

static void cool(struct tael_pool *pool, struct tael_pool_chunk *chunk)
{
    (void)madvise(memory_of(chunk), CHUNK_SIZE, MADV_DONTNEED); /* refused: it stays */
    push(&pool->cold, chunk);
}

static void close_chunk(struct tael_pool *pool, size_t class, struct tael_pool_chunk *chunk)
{
    unlist(pool, class, chunk);
    if (pool->empties < EMPTIES_MAX) {
        push(&pool->empty, chunk);
        pool->empties++;
    } else {
        cool(pool, chunk);
    }
}

_Bool tael_pool_rest(struct tael_pool *pool)
{
    size_t spare = pool->spare > EMPTIES_KEPT ? pool->spare - EMPTIES_KEPT : 0;
    for (size_t i = 0; i < (spare + 1) / 2; i++) {
        cool(pool, pop(&pool->empty));
        pool->empties--;
    }
    pool->spare = pool->empties;
    return pool->empties > EMPTIES_KEPT;
}

/* ---- blocks ---- */

void *tael_pool_take(struct tael_pool *pool, size_t size)
{
    size_t class = class_of(size);
    struct tael_pool_chunk *chunk = pool->room[class].first;
    if (chunk == NULL && (chunk = open_chunk(pool, class)) == NULL)
        return NULL;
    void *block = chunk->free;
    if (block != NULL) {
        memcpy(&chunk->free, block, sizeof(void *));
        __builtin_prefetch(chunk->free, 1); /* freed long ago: its taker would wait for it */
    } else {
        block = chunk->fresh;
        chunk->fresh += size_of(class);
    }
    chunk->used++;
    if (chunk->free == NULL && chunk->fresh == chunk->end)
        unlist(pool, class, chunk);
    return block;
}

void tael_pool_give(struct tael_pool *pool, void *block, size_t size)
{
    size_t class = class_of(size);
    struct tael_pool_chunk *chunk = chunk_of(block);
    memcpy(block, &chunk->free, sizeof(void *));
    chunk->free = block;
    assert(chunk->used > 0);
    chunk->used--;
    if (!chunk->listed)
        list(pool, class, chunk);
    if (chunk->used == 0)
        close_chunk(pool, class, chunk);
}

void tael_pool_free(struct tael_pool *pool)
{
    while (pool->regions != NULL) {
        struct tael_pool_region *region = pool->regions;
        pool->regions = region->next;
        (void)munmap(region, REGION_SIZE);
    }
    *pool = (struct tael_pool){0};
}
