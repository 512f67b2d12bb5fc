/* stalls.c - see stalls.h. Slower is more than three times the least; a busy sibling thread of the
 * core or a slow phase of its clock make less than two. The work's time is that of the thread, so
 * that it is no stall when the load has the core; when nobody had it for long, that is one too.
 */
#include "stalls.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ROUNDS = 20000, /* some 20 us */
    FIRST = 50,     /* looks that only tell what is usual */
    SLOWER = 3,
    BEHIND = 2, /* times as long: until what has waited is done, at two thirds of a core's work */
};

#define PAUSE_NS 1000000
#define GONE_NS  8000000 /* without a look */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t work_ns(void)
{
    static volatile uint64_t kept = 1;
    uint64_t from = clock_ns(CLOCK_THREAD_CPUTIME_ID), value = kept;
    for (int i = 0; i < ROUNDS; i++)
        value = value * 6364136223846793005U + 1442695040888963407U;
    kept = value;
    return clock_ns(CLOCK_THREAD_CPUTIME_ID) - from;
}

static void *look(void *data)
{
    struct stalls *stalls = data;
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    uint64_t usual = UINT64_MAX, before = clock_ns(CLOCK_MONOTONIC);
    bool inside = false;
    for (size_t looks = 0; !atomic_load(&stalls->over) && stalls->count < STALLS_MAX; looks++) {
        nanosleep(&pause, NULL);
        uint64_t took = work_ns(), now = clock_ns(CLOCK_MONOTONIC);
        bool slow = looks > FIRST && (took > SLOWER * usual || now - before > GONE_NS);
        struct stall *stall = &stalls->list[stalls->count];
        if (slow && !inside)
            stall->from_ns = before;
        if (slow || inside)
            stall->to_ns = now;
        stalls->count += inside && !slow;
        inside = slow;
        before = now;
        usual = took < usual ? took : usual;
    }
    stalls->count += inside && stalls->count < STALLS_MAX;
    return NULL;
}

void stalls_begin(struct stalls *stalls)
{
    stalls->count = 0;
    atomic_store(&stalls->over, false);
    if (pthread_create(&stalls->thread, NULL, look, stalls) != 0) {
        fputs("stalls: no thread\n", stderr);
        exit(2);
    }
}

void stalls_end(struct stalls *stalls)
{
    atomic_store(&stalls->over, true);
    pthread_join(stalls->thread, NULL);
}

static uint64_t worked_off(const struct stall *stall)
{
    return stall->to_ns + BEHIND * (stall->to_ns - stall->from_ns);
}

bool stalls_touch(const struct stalls *stalls, uint64_t from_ns, uint64_t to_ns)
{
    for (size_t i = 0; i < stalls->count; i++)
        if (from_ns <= worked_off(&stalls->list[i]) && to_ns >= stalls->list[i].from_ns)
            return true;
    return false;
}

double stalls_seconds(const struct stalls *stalls, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t sum = 0, known = from_ns;
    for (size_t i = 0; i < stalls->count; i++) {
        uint64_t from = stalls->list[i].from_ns, to = worked_off(&stalls->list[i]);
        from = from > known ? from : known;
        to = to < to_ns ? to : to_ns;
        if (to > from) {
            sum += to - from;
            known = to;
        }
    }
    return (double)sum / 1e9;
}
