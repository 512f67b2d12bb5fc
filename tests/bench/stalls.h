/* stalls.h - when the machine itself stood still, or went many times slower than before: a virtual
 * machine's host takes its cores for some milliseconds, and the guest is not told. A thread beside
 * the load does the same small work a thousand times a second and looks how long it takes.
 */
#ifndef TAEL_BENCH_STALLS_H
#define TAEL_BENCH_STALLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>

enum { STALLS_MAX = 4096 };

struct stall {
    uint64_t from_ns, to_ns; /* of CLOCK_MONOTONIC */
};

struct stalls {
    pthread_t thread;
    atomic_bool over;
    size_t count;
    struct stall list[STALLS_MAX];
};

/* Begins to look, on this core. Ends the program where no thread can be had. */
void stalls_begin(struct stalls *stalls);
/* No more; the list can be read. */
void stalls_end(struct stalls *stalls);
/* Did one touch this time, or the time that it takes to work off what has waited behind one? */
bool stalls_touch(const struct stalls *stalls, uint64_t from_ns, uint64_t to_ns);
/* Of all between the two, with what was worked off behind them. */
double stalls_seconds(const struct stalls *stalls, uint64_t from_ns, uint64_t to_ns);

#endif
