/* siphash.h - SipHash-2-4 (Aumasson, Bernstein): a hash of short keys whose collisions nobody can
 * choose who does not know the seed. Pure, any thread.
 */
#ifndef TAEL_BASE_SIPHASH_H
#define TAEL_BASE_SIPHASH_H

#include "base/bytes.h"

struct tael_siphash_seed {
    uint64_t k0, k1;
};

uint64_t tael_siphash(const struct tael_siphash_seed *seed, struct tael_span data);

#endif
