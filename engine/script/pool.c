/* pool.c - see pool.h. A block is on the free list of its size, in use, or in the part of the
 * newest chunk that was never taken. Every block is aligned for any object.
 */
#include "script/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 32 * 1024 };

struct tael_pool_chunk {
    _Alignas(TAEL_POOL_STEP) struct tael_pool_chunk *next;
};

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

/* What is left of a chunk becomes free blocks: sizes of all classes are multiples of the step. */
static void use_rest(struct tael_pool *pool)
{
    while (pool->at < pool->end) {
        size_t left = (size_t)(pool->end - pool->at);
        size_t class = class_of(left < TAEL_POOL_MAX ? left : TAEL_POOL_MAX);
        size_t size = size_of(class) <= left ? size_of(class) : size_of(class - 1);
        tael_pool_give(pool, pool->at, size);
        pool->at += size;
    }
    pool->at = pool->end = NULL;
}

static void *take_new(struct tael_pool *pool, size_t size)
{
    if ((size_t)(pool->end - pool->at) < size) {
        struct tael_pool_chunk *chunk = malloc(CHUNK_SIZE);
        if (chunk == NULL)
            return NULL;
        use_rest(pool);
        chunk->next = pool->chunks;
        pool->chunks = chunk;
        pool->at = (char *)chunk + sizeof(*chunk);
        pool->end = (char *)chunk + CHUNK_SIZE;
    }
    char *block = pool->at;
    pool->at += size;
    return block;
}

void *tael_pool_take(struct tael_pool *pool, size_t size)
{
    size_t class = class_of(size);
    void *block = pool->free[class];
    if (block == NULL)
        return take_new(pool, size_of(class));
    memcpy(&pool->free[class], block, sizeof(void *));
    return block;
}

void tael_pool_give(struct tael_pool *pool, void *block, size_t size)
{
    size_t class = class_of(size);
    memcpy(block, &pool->free[class], sizeof(void *));
    pool->free[class] = block;
}

void tael_pool_free(struct tael_pool *pool)
{
    while (pool->chunks != NULL) {
        struct tael_pool_chunk *chunk = pool->chunks;
        pool->chunks = chunk->next;
        free(chunk);
    }
    *pool = (struct tael_pool){0};
}
