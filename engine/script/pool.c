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

static size_t class_of(size_t size)
{
    assert(size > 0 && size <= TAEL_POOL_MAX);
    return (size - 1) / TAEL_POOL_STEP;
}

/* What is left of a chunk becomes one free block: its size is a multiple of the step. */
static void use_rest(struct tael_pool *pool)
{
    if (pool->at < pool->end)
        tael_pool_give(pool, pool->at, (size_t)(pool->end - pool->at));
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
        return take_new(pool, (class + 1) * TAEL_POOL_STEP);
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
