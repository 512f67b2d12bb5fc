/* sim_inner.h - what the files of the simulated world share: sim.c (time, loops, mail, timers) and
 * sim_stream.c (listeners, streams). Nobody else includes it.
 */
#ifndef TAEL_BASE_SIM_INNER_H
#define TAEL_BASE_SIM_INNER_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/sim.h"

struct tael_sim_conn;
struct tael_sim_listener;

struct tael_sim_event {
    struct tael_heap_node node; /* first */
    void (*run)(struct tael_sim_event *event);
};

struct tael_sim_random { /* splitmix64: small, and the same on every machine */
    uint64_t state;
};

struct tael_sim_loop;

struct tael_sim {
    struct tael_world base; /* first */
    char *vfs;
    int64_t start_ms, now_us; /* now_us: since the start */
    int64_t latency_us;
    struct tael_sim_random schedule, bytes, draws; /* apart: a test's own draws move nothing else */
    struct tael_heap queue;
    uint64_t seq, events;
    atomic_bool stop;
    bool running;
    uint64_t last_loop;            /* id */
    struct tael_sim_loop *loops;   /* newest first, like the lists below */
    struct tael_sim_loop *current; /* whose callback runs; NULL: nobody's */
    struct tael_sim_conn *conns;   /* all that can still have an effect */
    struct tael_sim_listener *listeners;
    int next_port, next_peer;
};

struct tael_sim_loop {
    struct tael_loop base; /* first */
    uint64_t id;           /* never used twice: a pointer may be */
    bool dead;
    struct tael_sim_loop *next;
    struct tael_sim_box *boxes;
    struct tael_sim_timer *timers;
};

static inline struct tael_sim *tael_sim_of(struct tael_world *world)
{
    return (struct tael_sim *)world;
}

static inline struct tael_sim_loop *tael_sim_loop_of(struct tael_loop *loop)
{
    return (struct tael_sim_loop *)loop;
}

/* sim.c */
uint64_t tael_sim_below(struct tael_sim *sim, uint64_t limit); /* 0 … limit-1, of the schedule */
void tael_sim_schedule(struct tael_sim *sim, struct tael_sim_event *event, int64_t at_us);
void tael_sim_cancel(struct tael_sim *sim, struct tael_sim_event *event);

/* sim_stream.c */
void tael_sim_streams_kill(struct tael_sim_loop *loop);
void tael_sim_streams_free(struct tael_sim *sim); /* connections that nobody holds any more */
tael_status tael_sim_listen(struct tael_loop *loop, const char *address, tael_accept_fn accept,
                            void *user, struct tael_listener **out);
const char *tael_sim_listener_address(struct tael_listener *listener);
void tael_sim_listener_retire(struct tael_listener *listener);
int tael_sim_listener_share(struct tael_listener *listener);
void tael_sim_listener_close(struct tael_listener *listener);
tael_status tael_sim_connect(struct tael_loop *loop, const char *address,
                             const struct tael_stream_events *events, void *user,
                             struct tael_stream **out);
void tael_sim_stream_start(struct tael_stream *stream, const struct tael_stream_events *events,
                           void *user);
void tael_sim_stream_read(struct tael_stream *stream, bool on);
tael_status tael_sim_stream_write(struct tael_stream *stream, const char *data, size_t len);
size_t tael_sim_stream_queued(struct tael_stream *stream);
const char *tael_sim_stream_peer(struct tael_stream *stream);
void tael_sim_stream_close(struct tael_stream *stream);

#endif
