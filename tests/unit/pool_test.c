/* pool_test.c - small blocks: never two of them in one place, whatever the order of taking and
 * giving back; and no more memory than the most that was in use at once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>

#include "script/pool.h"
#include "tap.h"

enum { BLOCKS = 700, STEPS = 200000 };

struct held {
    unsigned char *block;
    size_t size;
    unsigned char mark;
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Until it is said otherwise, the system gives this process no more memory. */
static void let_memory(bool there)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0)
        abort();
    limit.rlim_cur = there ? limit.rlim_max : 1;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        abort();
}

static bool is_whole(const struct held *held)
{
    for (size_t i = 0; i < held->size; i++)
        if (held->block[i] != held->mark)
            return false;
    return true;
}

static void blocks_keep_what_is_written(void)
{
    static struct held all[BLOCKS];
    struct tael_pool pool = {0};
    uint32_t random = 7;
    bool whole = true, aligned = true;
    for (int i = 0; i < STEPS; i++) {
        struct held *held = &all[next_random(&random) % BLOCKS];
        if (held->block != NULL) {
            whole = whole && is_whole(held);
            tael_pool_give(&pool, held->block, held->size);
            held->block = NULL;
            continue;
        }
        held->size = next_random(&random) % TAEL_POOL_MAX + 1;
        held->mark = (unsigned char)next_random(&random);
        held->block = tael_pool_take(&pool, held->size);
        aligned = aligned && (uintptr_t)held->block % _Alignof(max_align_t) == 0;
        memset(held->block, held->mark, held->size);
    }
    CHECK(whole && aligned);
    tael_pool_free(&pool);
    CHECK(pool.regions == NULL && pool.empty == NULL && pool.cold == NULL);
}

/* A million times taken and given back: the block is the same one. */
static void a_block_is_used_again(void)
{
    struct tael_pool pool = {0};
    bool same = true;
    for (size_t size = 1; size <= TAEL_POOL_MAX; size++) {
        void *first = tael_pool_take(&pool, size);
        tael_pool_give(&pool, first, size);
        for (int i = 0; i < 2000; i++) {
            void *block = tael_pool_take(&pool, size);
            same = same && block == first;
            tael_pool_give(&pool, block, size);
        }
    }
    CHECK(same);
    tael_pool_free(&pool);
}

static void sizes_share_a_block(void)
{
    CHECK(tael_pool_same(1, 16) && tael_pool_same(17, 32) && tael_pool_same(497, 512));
    CHECK(!tael_pool_same(16, 17) && !tael_pool_same(1, 512));
    CHECK(tael_pool_same(513, 576) && tael_pool_same(1025, 1152) && tael_pool_same(3841, 4096));
    CHECK(!tael_pool_same(512, 513) && !tael_pool_same(576, 577) && !tael_pool_same(1024, 1025));
}

static void without_memory_nothing_is_lost(void)
{
    struct tael_pool pool = {0};
    let_memory(false);
    void *block = tael_pool_take(&pool, 100);
    let_memory(true);
    CHECK(block == NULL && pool.regions == NULL);
    block = tael_pool_take(&pool, 100);
    CHECK(block != NULL);
    int taken = 0;
    let_memory(false);
    while (tael_pool_take(&pool, TAEL_POOL_MAX) != NULL)
        taken++;
    let_memory(true);
    CHECK(taken > 5);
    void *small = tael_pool_take(&pool, 100); /* of the first one's chunk */
    CHECK(small != NULL && small != block);
    tael_pool_free(&pool);
}

/* Memory of one size that is all given back is there for another one. */
static void memory_goes_from_one_size_to_another(void)
{
    enum { BYTES = 8 * 1024 * 1024 };
    static void *blocks[BYTES / 64];
    struct tael_pool pool = {0};
    size_t regions = 0;
    for (size_t size = 64; size <= TAEL_POOL_MAX; size += 16) {
        size_t count = 0;
        for (; count < BYTES / 2 / size; count++)
            blocks[count] = tael_pool_take(&pool, size);
        while (count > 0)
            tael_pool_give(&pool, blocks[--count], size);
    }
    let_memory(false);
    while ((blocks[regions] = tael_pool_take(&pool, TAEL_POOL_MAX)) != NULL)
        regions++;
    let_memory(true);
    CHECK(regions * TAEL_POOL_MAX <= BYTES);
    while (regions > 0)
        tael_pool_give(&pool, blocks[--regions], TAEL_POOL_MAX);
    tael_pool_free(&pool);
}

/* What stayed empty goes back, half at a time; what is needed again and again stays. */
static void memory_goes_back_when_nobody_needs_it(void)
{
    enum { COUNT = 400 };
    static void *blocks[COUNT];
    struct tael_pool pool = {0};
    int rests = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            blocks[i] = tael_pool_take(&pool, TAEL_POOL_MAX);
        for (int i = 0; i < COUNT; i++)
            tael_pool_give(&pool, blocks[i], TAEL_POOL_MAX);
        tael_pool_rest(&pool);
        CHECK(pool.empties == 100); /* all of them were in use since the last rest */
    }
    while (tael_pool_rest(&pool))
        rests++;
    CHECK(pool.empties == 16 && rests > 3 && rests < 10);
    for (int i = 0; i < COUNT; i++)
        memset(blocks[i] = tael_pool_take(&pool, TAEL_POOL_MAX), i, TAEL_POOL_MAX);
    CHECK(((unsigned char *)blocks[COUNT - 1])[0] == (unsigned char)(COUNT - 1) &&
          ((unsigned char *)blocks[0])[TAEL_POOL_MAX - 1] == 0);
    tael_pool_free(&pool);
}

int main(void)
{
    memory_goes_from_one_size_to_another();
    blocks_keep_what_is_written();
    a_block_is_used_again();
    sizes_share_a_block();
    without_memory_nothing_is_lost();
    memory_goes_back_when_nobody_needs_it();
    return tap_end();
}
