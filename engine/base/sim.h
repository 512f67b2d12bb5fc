/* sim.h - the simulated world: one thread, virtual clock, streams in memory; one seed, one history.
 *
 * All loops made from one sim share one queue of events ordered by (virtual time, seeded
 * tie-break). Time moves only when nothing is due: it jumps to the next event. Stream bytes arrive
 * after a seeded delay (0 to latency_us), in seeded pieces. Randomness comes from the seed.
 * Addresses are names: a connect finds the listener with the same text ("127.0.0.1:8080"). Nothing
 * in here depends on memory addresses, hash order or the real clock.
 */
#ifndef TAEL_BASE_SIM_H
#define TAEL_BASE_SIM_H

#include "base/world.h"

struct tael_sim_options {
    uint64_t seed;
    int64_t start_ms;   /* wall clock at the beginning, ms since 1970 UTC */
    int64_t latency_us; /* most that a piece of stream data is delayed; 0: 2000 */
    const char *vfs;    /* see tael_world.vfs; copied */
};

tael_status tael_sim_new(struct tael_world **out, const struct tael_sim_options *options);

/* Runs events until stop (tael_loop_stop on any loop), until the virtual clock passes until_ms (as
 * it stands now: putting it ahead meanwhile makes no run shorter), or until nothing is left to
 * happen. Returns TAEL_OK, TAEL_ETIMEOUT (clock) or TAEL_ENOTFOUND
 * (nothing). */
tael_status tael_sim_run(struct tael_world *world, int64_t until_ms);

/* The machine under loop dies: no callback of it runs any more, what had not left it is lost, its
 * streams break for their peers after a seeded delay, its listeners refuse. Objects made on it can
 * still be freed; its mail can be taken (tael_loop_take). */
void tael_sim_kill(struct tael_loop *loop);

/* How many events have run: a cheap fingerprint of a history. */
uint64_t tael_sim_events(struct tael_world *world);

/* 64 seeded bits for the tests' own choices; drawing moves nothing else. */
uint64_t tael_sim_draw(struct tael_world *world);

#endif
