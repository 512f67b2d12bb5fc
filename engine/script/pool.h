/* pool.h - small blocks for one Lua state, of memory that goes from one size to another.
 *
 * Who takes a block says its size again when it gives it back, as Lua's allocators are told anyway,
 * so blocks need no head. Memory is had in regions, which are cut into chunks; a chunk holds blocks
 * of one class of sizes and is free for any class when all of them were given back. On the thread
 * of the state.
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
struct tael_pool_region;

struct tael_pool { /* all zero: empty */
    struct {
        struct tael_pool_chunk *first, *last;
    } room[TAEL_POOL_CLASSES];     /* chunks with a free block, for each class */
    struct tael_pool_chunk *empty; /* chunks of no class */
    struct tael_pool_chunk *cold;  /* the same, and their memory was given back */
    size_t empties, spare; /* of the first of these lists: now; the least since the last rest */
    struct tael_pool_region *regions;
};

/* size: 1 to TAEL_POOL_MAX. NULL: out of memory. */
void *tael_pool_take(struct tael_pool *pool, size_t size);
void tael_pool_give(struct tael_pool *pool, void *block, size_t size);
/* Of the empty chunks that nobody needed since the last rest, half of the memory goes back: a burst
 * that comes soon finds most of what the last one left. false: there is nothing more to give. */
_Bool tael_pool_rest(struct tael_pool *pool);
void tael_pool_free(struct tael_pool *pool); /* with all blocks, given back or not */

/* Does a block of this size do for the other one too? */
_Bool tael_pool_same(size_t one, size_t other);

#endif
