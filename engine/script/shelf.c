/* shelf.c - see shelf.h. 1 An isolate is in the buckets unless it is thrown. 2 It is in the list,
 * newest first, if and only if nobody has it. 3 bytes is the sum of the sizes of all that exist. 4
 * Above the ceiling the list is empty.
 */
#include "script/shelf.h"

#include <assert.h>
#include <stdlib.h>

enum { BUCKETS_FIRST = 64 };

struct tael_shelf {
    struct tael_siphash_seed seed;
    struct tael_functions *functions; /* of all isolates */
    size_t ceiling;
    struct tael_shelved **buckets;
    size_t bucket_count; /* a power of two */
    size_t shelved;      /* in the buckets */
    struct tael_shelved *newest, *oldest;
    struct tael_shelf_counts counts;
};

/* ---- buckets ---- */

static struct tael_shelved **bucket_of(const struct tael_shelf *shelf, struct tael_span key)
{
    return &shelf->buckets[tael_siphash(&shelf->seed, key) & (shelf->bucket_count - 1)];
}

static struct tael_span key_of(const struct tael_shelved *shelved)
{
    return (struct tael_span){shelved->key, shelved->key_len};
}

static void insert(struct tael_shelf *shelf, struct tael_shelved *shelved)
{
    struct tael_shelved **bucket = bucket_of(shelf, key_of(shelved));
    shelved->same = *bucket;
    shelved->same_link = bucket;
    if (shelved->same != NULL)
        shelved->same->same_link = &shelved->same;
    *bucket = shelved;
}

static void extract(struct tael_shelved *shelved)
{
    *shelved->same_link = shelved->same;
    if (shelved->same != NULL)
        shelved->same->same_link = shelved->same_link;
    shelved->shelf->shelved--;
}

/* Without memory for more buckets they get longer. */
static void grow(struct tael_shelf *shelf)
{
    struct tael_shelved **before = shelf->buckets;
    size_t count = shelf->bucket_count;
    struct tael_shelved **buckets = calloc(count * 2, sizeof(struct tael_shelved *));
    if (buckets == NULL)
        return;
    shelf->buckets = buckets;
    shelf->bucket_count = count * 2;
    for (size_t i = 0; i < count; i++)
        for (struct tael_shelved *shelved = before[i], *next; shelved != NULL; shelved = next) {
            next = shelved->same;
            insert(shelf, shelved);
        }
    free(before);
}

/* ---- the list ---- */

static void push_newest(struct tael_shelved *shelved)
{
    struct tael_shelf *shelf = shelved->shelf;
    shelved->newer = NULL;
    shelved->older = shelf->newest;
    *(shelf->newest != NULL ? &shelf->newest->newer : &shelf->oldest) = shelved;
    shelf->newest = shelved;
}

static void unlist(struct tael_shelved *shelved)
{
    struct tael_shelf *shelf = shelved->shelf;
    *(shelved->newer != NULL ? &shelved->newer->older : &shelf->newest) = shelved->older;
    *(shelved->older != NULL ? &shelved->older->newer : &shelf->oldest) = shelved->newer;
}

/* ---- size ---- */

static void look(struct tael_shelved *shelved)
{
    size_t size = tael_isolate_held(shelved->isolate);
    shelved->shelf->counts.bytes += size - shelved->size; /* unsigned: also when it is less */
    shelved->size = size;
}

static void destroy(struct tael_shelved *shelved)
{
    struct tael_shelf_counts *counts = &shelved->shelf->counts;
    counts->bytes -= shelved->size;
    counts->isolates--;
    tael_isolate_free(shelved->isolate);
    free(shelved);
}

static void make_room(struct tael_shelf *shelf)
{
    while (shelf->counts.bytes > shelf->ceiling && shelf->oldest != NULL) {
        struct tael_shelved *oldest = shelf->oldest;
        unlist(oldest);
        extract(oldest);
        destroy(oldest);
        shelf->counts.dropped++;
    }
}

/* ---- lending ---- */

static void lend(struct tael_shelved *shelved)
{
    shelved->shelf->counts.lent += shelved->lent == 0;
    shelved->lent++;
}

struct tael_shelved *tael_shelf_take(struct tael_shelf *shelf, struct tael_span key)
{
    struct tael_shelved *shelved = *bucket_of(shelf, key);
    while (shelved != NULL &&
           (shelved->key_len != key.len || memcmp(shelved->key, key.data, key.len) != 0))
        shelved = shelved->same;
    if (shelved == NULL)
        return NULL;
    if (shelved->lent == 0)
        unlist(shelved);
    lend(shelved);
    return shelved;
}

tael_status tael_shelf_put(struct tael_shelf *shelf, struct tael_span key,
                           struct tael_isolate *isolate, struct tael_shelved **out)
{
    struct tael_shelved *shelved = calloc(1, sizeof(*shelved) + key.len);
    if (shelved == NULL) {
        tael_isolate_free(isolate);
        return TAEL_ENOMEM;
    }
    shelved->isolate = isolate;
    shelved->shelf = shelf;
    shelved->key_len = key.len;
    memcpy(shelved->key, key.data, key.len);
    if (shelf->shelved >= shelf->bucket_count)
        grow(shelf);
    insert(shelf, shelved);
    shelf->shelved++;
    shelf->counts.isolates++;
    shelf->counts.made++;
    lend(shelved);
    look(shelved);
    make_room(shelf);
    *out = shelved;
    return TAEL_OK;
}

void tael_shelf_give(struct tael_shelved *shelved)
{
    struct tael_shelf *shelf = shelved->shelf;
    assert(shelved->lent > 0);
    if (--shelved->lent > 0)
        return;
    shelf->counts.lent--;
    if (shelved->thrown) {
        destroy(shelved);
        return;
    }
    look(shelved);
    push_newest(shelved);
    make_room(shelf);
}

void tael_shelf_throw(struct tael_shelved *shelved)
{
    assert(shelved->lent > 0);
    if (shelved->thrown)
        return;
    shelved->thrown = true;
    shelved->shelf->counts.thrown++;
    extract(shelved);
}

void tael_shelf_throw_all(struct tael_shelf *shelf)
{
    for (size_t i = 0; i < shelf->bucket_count; i++)
        for (struct tael_shelved *shelved = shelf->buckets[i], *next; shelved != NULL;
             shelved = next) {
            next = shelved->same;
            if (shelved->lent > 0) {
                tael_shelf_throw(shelved);
                continue;
            }
            unlist(shelved);
            extract(shelved);
            destroy(shelved);
            shelf->counts.thrown++;
        }
}

/* ---- life ---- */

tael_status tael_shelf_new(struct tael_shelf **out, size_t ceiling, struct tael_siphash_seed seed)
{
    struct tael_shelf *shelf = calloc(1, sizeof(*shelf));
    if (shelf == NULL)
        return TAEL_ENOMEM;
    shelf->ceiling = ceiling;
    shelf->seed = seed;
    shelf->bucket_count = BUCKETS_FIRST;
    shelf->buckets = calloc(BUCKETS_FIRST, sizeof(struct tael_shelved *));
    if (shelf->buckets == NULL || tael_functions_new(&shelf->functions) != TAEL_OK) {
        free(shelf->buckets);
        free(shelf);
        return TAEL_ENOMEM;
    }
    *out = shelf;
    return TAEL_OK;
}

void tael_shelf_free(struct tael_shelf *shelf)
{
    if (shelf == NULL)
        return;
    tael_shelf_throw_all(shelf);
    assert(shelf->counts.isolates == 0);
    tael_functions_free(shelf->functions);
    free(shelf->buckets);
    free(shelf);
}

struct tael_shelf_counts tael_shelf_counts(const struct tael_shelf *shelf)
{
    return shelf->counts;
}

tael_status tael_shelf_lend(struct tael_shelf *shelf, struct tael_span key, size_t memory_max,
                            struct tael_shelved **out)
{
    struct tael_isolate *isolate = NULL;
    *out = tael_shelf_take(shelf, key);
    if (*out != NULL)
        return TAEL_OK;
    tael_status rc = tael_isolate_new(&isolate, shelf->functions, memory_max, true);
    return rc == TAEL_OK ? tael_shelf_put(shelf, key, isolate, out) : rc;
}

void tael_shelf_return(struct tael_shelved *shelved, bool broken)
{
    struct tael_isolate *isolate = shelved->isolate;
    if (!shelved->thrown &&
        (broken || (tael_isolate_memory(isolate) > tael_isolate_ceiling(isolate) / 2 &&
                    tael_isolate_full(isolate))))
        tael_shelf_throw(shelved);
    tael_shelf_give(shelved);
}
