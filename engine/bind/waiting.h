/* waiting.h - which keys the tasks of one worker may wait for, as the other workers see it: a wake
 * costs a worker that nobody waits on nothing, and no wake is lost.
 *
 * The owner counts each waiter before its task gives up control, and says so while tasks run. A
 * task looks at the facts and then waits, without giving up control in between; whoever changed a
 * fact wakes afterwards. So a waker that finds the owner not running and nobody counted came either
 * before the task looked (which then sees the new fact) or after it was gone. 1 Who changes a fact
 * makes it visible before it looks here. 2 `awake` is loaded before the count, and the count is
 * raised before `awake` falls. Keys that share a place only cost a mail too many.
 */
#ifndef TAEL_BIND_WAITING_H
#define TAEL_BIND_WAITING_H

#include <stdatomic.h>

#include "base/bytes.h"

enum { TAEL_WAITING_PLACES = 1024 }; /* a power of two */

struct tael_waiting {  /* all zero: nobody waits */
    atomic_bool awake; /* tasks run; tael_state_options.awake points here */
    atomic_uint counts[TAEL_WAITING_PLACES];
};

static inline uint64_t tael_waiting_hash(struct tael_span key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a: keys are made by our own Lua */
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static inline atomic_uint *tael_waiting_place(struct tael_waiting *waiting, uint64_t hash)
{
    return &waiting->counts[hash & (TAEL_WAITING_PLACES - 1)];
}

/* [any] Must a wake of this hash be sent to the owner? */
static inline bool tael_waiting_concerns(struct tael_waiting *waiting, uint64_t hash)
{
    return atomic_load(&waiting->awake) || atomic_load(tael_waiting_place(waiting, hash)) > 0;
}

#endif
