/* pool.h - small blocks for one Lua state: a list of free ones for every size.
 *
 * Who takes a block says its size again when it gives it back, as Lua's allocators are told anyway,
 * so blocks need no head. Memory that was got for blocks is kept until the pool is freed. On the
 * thread of the state.
 */
#ifndef TAEL_SCRIPT_POOL_H
#define TAEL_SCRIPT_POOL_H

#include <stddef.h>

enum { /* bytes: sizes are rounded up by steps, beyond SMALL by eighths of a power of two; the
          largest */
       TAEL_POOL_STEP = 16,
       TAEL_POOL_SMALL = 512,
       TAEL_POOL_MAX = 4096,
       TAEL_POOL_CLASSES = TAEL_POOL_SMALL / TAEL_POOL_STEP + 3 * 8,
};

struct tael_pool_chunk;

struct tael_pool { /* all zero: empty */
    void *free[TAEL_POOL_CLASSES];
    struct tael_pool_chunk *chunks;
    char *at, *end; /* what of the newest chunk was never taken */
};

/* size: 1 to TAEL_POOL_MAX. NULL: out of memory. */
void *tael_pool_take(struct tael_pool *pool, size_t size);
void tael_pool_give(struct tael_pool *pool, void *block, size_t size);
void tael_pool_free(struct tael_pool *pool); /* with all blocks, given back or not */

/* Does a block of this size do for the other one too? */
_Bool tael_pool_same(size_t one, size_t other);

#endif
