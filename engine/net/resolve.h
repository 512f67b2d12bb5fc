/* resolve.h - the addresses of names, looked up off the loop and kept for a while.
 *
 * For one loop of the real world and used on its thread alone. A lookup runs on a thread of its own
 * that nobody waits for: when the resolver is freed, threads still under way end by themselves and
 * their answers are dropped. Lookups of one name at the same time are one.
 */
#ifndef TAEL_NET_RESOLVE_H
#define TAEL_NET_RESOLVE_H

#include "base/world.h"
#include "net/address.h"

struct tael_resolver;
struct tael_lookup;

enum {
    TAEL_ADDRESSES_MAX = 64,
    TAEL_RESOLVE_KEEP_MS = 60 * 1000, /* how long an answer is used again */
    TAEL_RESOLVE_THREADS = 16,        /* lookups under way at once; others wait in order */
};

struct tael_addresses { /* never empty, never a part of what there is */
    size_t count;
    struct tael_address list[TAEL_ADDRESSES_MAX];
};

/* [any thread] May block. NULL: *out is filled; else why there is nothing, a static text. */
typedef const char *(*tael_resolve_fn)(void *user, const char *name, struct tael_addresses *out);

/* look_up NULL: the system's way. Nothing of user may go before the process's last lookup. */
tael_status tael_resolver_new(struct tael_resolver **out, struct tael_loop *loop,
                              tael_resolve_fn look_up, void *user);
void tael_resolver_free(struct tael_resolver *resolver); /* NULL allowed; no done comes any more */

/* What was found a short while ago; NULL: not known. Valid until the next call. */
const struct tael_addresses *tael_resolver_known(struct tael_resolver *resolver, const char *name);

/* done comes later, never from inside this call; addresses NULL: why says so. It must not free the
 * resolver, but may ask and cancel. */
tael_status tael_resolver_ask(struct tael_resolver *resolver, const char *name,
                              void (*done)(void *user, const struct tael_addresses *addresses,
                                           const char *why),
                              void *user, struct tael_lookup **out);
void tael_lookup_cancel(struct tael_lookup *lookup); /* done will not come */

#endif
