/* meter.h - how often something may happen: one table of limits by key, shared by all threads.
 *
 * Each key has the GCRA's "theoretical arrival time" and nothing else (the generic cell rate
 * algorithm, ITU-T I.371: a leaky bucket as one number), so n in a window may come at once and from
 * then on one every window/n. Memory is fixed: a key lies in one of the four slots that its hash
 * names, and a new one takes the slot that has been idle longest; who is pushed out begins anew.
 * Keys are hashed under a seed of the process, so that nobody outside can choose whom to push out.
 * [any] thread for take; it neither locks nor allocates. Times are of the world's monotonic clock.
 */
#ifndef TAEL_BASE_METER_H
#define TAEL_BASE_METER_H

#include "base/bytes.h"
#include "base/world.h"

struct tael_meter;

enum {
    TAEL_METER_SLOTS = 8192, /* of 16 bytes each */
    TAEL_METER_PER_WINDOW_MAX = 1000000,
};
#define TAEL_METER_WINDOW_MAX_MS INT64_C(86400000) /* a day */

struct tael_meter_answer {
    bool allowed;
    int64_t remaining; /* further ones that would be allowed now */
    int64_t reset_ms;  /* allowed: until all n are there again; refused: until the next one is */
};

tael_status tael_meter_new(struct tael_meter **out, struct tael_world *world);
void tael_meter_free(struct tael_meter *meter); /* NULL allowed */

/* Takes one of n in window_ms for key, or none when none is left. TAEL_EINVAL: n or window_ms
 * outside 1 … the maxima above, or n above one a microsecond; *out is then untouched. */
tael_status tael_meter_take(struct tael_meter *meter, struct tael_span key, int64_t n,
                            int64_t window_ms, struct tael_meter_answer *out);

#endif
