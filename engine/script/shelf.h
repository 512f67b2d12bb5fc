/* shelf.h - the isolates of many owners under one ceiling of memory: made when first needed, kept
 * while there is room, the one that was used longest ago goes first. One thread, a shelf a worker.
 *
 * An isolate that is lent out stays, whatever it takes; what it takes is looked at when it comes
 * back. One that is thrown away is found by nobody any more and goes when the last who has it gives
 * it back.
 */
#ifndef TAEL_SCRIPT_SHELF_H
#define TAEL_SCRIPT_SHELF_H

#include "base/siphash.h"
#include "script/isolate.h"

struct tael_shelf;

struct tael_shelved { /* all but isolate is the shelf's */
    struct tael_isolate *isolate;
    struct tael_shelf *shelf;
    struct tael_shelved *same, **same_link; /* of one bucket */
    struct tael_shelved *newer, *older;     /* of those that are not lent */
    size_t lent, size;                      /* bytes, when it was last looked at */
    bool thrown;
    size_t key_len;
    char key[];
};

struct tael_shelf_counts {
    size_t isolates, bytes, lent;
    uint64_t made, dropped, thrown; /* so far; dropped: for room */
};

/* ceiling: bytes of all isolates together. TAEL_ENOMEM. */
tael_status tael_shelf_new(struct tael_shelf **out, size_t ceiling, struct tael_siphash_seed seed);
void tael_shelf_free(struct tael_shelf *shelf); /* nothing is lent. NULL allowed */

/* Lends the isolate of that key; NULL: there is none. */
struct tael_shelved *tael_shelf_take(struct tael_shelf *shelf, struct tael_span key);
/* Puts a new isolate on the shelf and lends it. The key is nobody's yet. Takes isolate over, also
 * when it fails: TAEL_ENOMEM. */
tael_status tael_shelf_put(struct tael_shelf *shelf, struct tael_span key,
                           struct tael_isolate *isolate, struct tael_shelved **out);
/* Each take and put has its give. */
void tael_shelf_give(struct tael_shelved *shelved);
/* take, or put of a new one with ordered pairs and this ceiling of its own (tael_isolate_new).
 * TAEL_ENOMEM. */
tael_status tael_shelf_lend(struct tael_shelf *shelf, struct tael_span key, size_t memory_max,
                            struct tael_shelved **out);
/* give; it is thrown when it is broken, or full of what its script keeps. */
void tael_shelf_return(struct tael_shelved *shelved, bool broken);
/* It is lent to the caller, who still gives it back. */
void tael_shelf_throw(struct tael_shelved *shelved);
/* All of them: a configuration that is new. */
void tael_shelf_throw_all(struct tael_shelf *shelf);

struct tael_shelf_counts tael_shelf_counts(const struct tael_shelf *shelf);

#endif
