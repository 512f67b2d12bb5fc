/* world.h - the seam: everything that is not computation stands behind these tables.
 *
 * A world gives clocks, randomness, a disk (the name of a SQLite VFS) and loops. A loop is one
 * thread's event loop: mailbox, timers, listeners, byte streams
 * and children. Two worlds exist:
 *   real       net/world_uv.h, on libuv: threads, sockets, the system's clock
 *   simulated  base/sim.h: one thread, virtual clock, in-memory streams, seeded order of events; no
 *              children
 * Code outside those two never asks the system for time, randomness or sockets.
 *
 * Threads: a loop and all that was made on it belong to one thread; [any] marks what may be called
 * from others. Ownership: what *_new/listen/connect/accept hands out is closed by its _free/_close
 * once; no callback comes after that call.
 * Units: _ms milliseconds, _us microseconds; wall time is ms since 1970 UTC, with what
 * tael_world_advance has added.
 */
#ifndef TAEL_BASE_WORLD_H
#define TAEL_BASE_WORLD_H

#include "tael.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tael_world;
struct tael_loop;
struct tael_timer;
struct tael_listener;
struct tael_stream;
struct tael_child;

/* A message for a loop's mailbox. The memory is the sender's until fn has it, which may free it. */
struct tael_mail {
    struct tael_mail *next;
    void (*fn)(struct tael_mail *mail);
};

/* What a stream tells its owner. read: bytes valid until it returns. end: at most once, TAEL_OK
 * when the peer stopped sending, else the stream is broken; nothing comes after it but the owner
 * must still close (and may write before, if it was TAEL_OK). drain: what tael_stream_queued told
 * after a write has left; a write that left nothing queued brings none. open: only for streams made
 * by connect. */
struct tael_stream_events {
    void (*open)(void *user);
    void (*read)(void *user, const char *data, size_t len);
    void (*end)(void *user, tael_status why);
    void (*drain)(void *user);
};

/* A new connection: the callee owns stream and starts it (tael_stream_start) or closes it. */
typedef void (*tael_accept_fn)(void *user, struct tael_stream *stream);

struct tael_world_ops {
    int64_t (*now_ms)(struct tael_world *world);  /* [any] wall clock */
    int64_t (*mono_us)(struct tael_world *world); /* [any] monotonic clock */
    tael_status (*random)(struct tael_world *world, void *out, size_t len); /* [any] */
    tael_status (*loop_new)(struct tael_world *world, struct tael_loop **out);
    void (*free)(struct tael_world *world);
};

struct tael_world {
    const struct tael_world_ops *ops;
    const char *vfs;          /* SQLite VFS that stands for the disk; NULL: the system's */
    bool simulated;           /* true: one thread; workers share it and the store runs inline */
    _Atomic int64_t ahead_ms; /* the wall clock was put ahead by so much; never falls */
};

struct tael_loop_ops {
    tael_status (*run)(struct tael_loop *loop);
    void (*stop)(struct tael_loop *loop);
    void (*free)(struct tael_loop *loop);
    void (*post)(struct tael_loop *loop, struct tael_mail *mail);
    struct tael_mail *(*take)(struct tael_loop *loop);
    struct tael_timer *(*timer_new)(struct tael_loop *loop, void (*fn)(void *user), void *user);
    void (*timer_start)(struct tael_timer *timer, int64_t delay_us);
    void (*timer_stop)(struct tael_timer *timer);
    void (*timer_free)(struct tael_timer *timer);
    tael_status (*listen)(struct tael_loop *loop, const char *address, tael_accept_fn accept,
                          void *user, struct tael_listener **out);
    const char *(*listener_address)(struct tael_listener *listener);
    void (*listener_retire)(struct tael_listener *listener);
    int (*listener_share)(struct tael_listener *listener);
    void (*listener_close)(struct tael_listener *listener);
    tael_status (*connect)(struct tael_loop *loop, const char *address,
                           const struct tael_stream_events *events, void *user,
                           struct tael_stream **out);
    void (*stream_start)(struct tael_stream *stream, const struct tael_stream_events *events,
                         void *user);
    void (*stream_read)(struct tael_stream *stream, bool on);
    tael_status (*stream_write)(struct tael_stream *stream, const char *data, size_t len);
    size_t (*stream_queued)(struct tael_stream *stream);
    const char *(*stream_peer)(struct tael_stream *stream);
    void (*stream_close)(struct tael_stream *stream);
    tael_status (*spawn)(struct tael_loop *loop, const char *program, bool here,
                         struct tael_child **out);
    int64_t (*child_used_us)(struct tael_child *child);
    void (*child_turn)(struct tael_child *child, bool begins);
    void (*child_end)(struct tael_child *child);
};

/* Implementations put these first in their own structs. */
struct tael_loop {
    const struct tael_loop_ops *ops;
    struct tael_world *world;
};
struct tael_timer {
    struct tael_loop *loop;
};
struct tael_listener {
    struct tael_loop *loop;
};
struct tael_stream {
    struct tael_loop *loop;
};
struct tael_child { /* another program */
    struct tael_loop *loop;
    struct tael_stream *stream; /* to its descriptor 3; the child's: to be started, not closed */
    int pid;
};

/* ---- clocks and randomness [any] ---- */

/* Where a clock that is put ahead ends: 2080-01-01 UTC. Ids, which carry the time, last until 2089.
 */
#define TAEL_WORLD_LAST_MS INT64_C(3471292800000)

static inline int64_t tael_now_ms(struct tael_world *world)
{
    return world->ops->now_ms(world) + atomic_load(&world->ahead_ms);
}

/* Puts the wall clock of everybody in this world ahead; the monotonic clock, and with it timers, do
 * not notice. TAEL_EINVAL: ms < 0; TAEL_ELIMIT: beyond TAEL_WORLD_LAST_MS. */
static inline tael_status tael_world_advance(struct tael_world *world, int64_t ms)
{
    int64_t ahead = atomic_load(&world->ahead_ms);
    if (ms < 0)
        return TAEL_EINVAL;
    do {
        if (ms > TAEL_WORLD_LAST_MS - ahead - world->ops->now_ms(world))
            return TAEL_ELIMIT;
    } while (!atomic_compare_exchange_weak(&world->ahead_ms, &ahead, ahead + ms));
    return TAEL_OK;
}

static inline int64_t tael_world_ahead(struct tael_world *world) /* ms, all advances together */
{
    return atomic_load(&world->ahead_ms);
}

static inline int64_t tael_mono_us(struct tael_world *world)
{
    return world->ops->mono_us(world);
}

static inline tael_status tael_random(struct tael_world *world, void *out, size_t len)
{
    return world->ops->random(world, out, len);
}

static inline void tael_world_free(struct tael_world *world) /* NULL allowed; its loops are gone */
{
    if (world != NULL)
        world->ops->free(world);
}

/* ---- loops ---- */

static inline tael_status tael_loop_new(struct tael_world *world, struct tael_loop **out)
{
    return world->ops->loop_new(world, out);
}

/* Runs until tael_loop_stop; a stop that came before makes it return at once. In the simulated
 * world: runs the whole world until then, TAEL_ENOTFOUND when nothing is left to happen. */
static inline tael_status tael_loop_run(struct tael_loop *loop)
{
    return loop->ops->run(loop);
}

static inline void tael_loop_stop(struct tael_loop *loop) /* [any], safe in a signal handler */
{
    loop->ops->stop(loop);
}

/* NULL allowed; all made on it is closed; mail not yet read is forgotten (tael_loop_take). */
static inline void tael_loop_free(struct tael_loop *loop)
{
    if (loop != NULL)
        loop->ops->free(loop);
}

/* [any] Runs mail->fn on the loop's thread, after the current callback, in the order of posting
 * (the simulated world may reorder mail of different senders). Cannot fail. */
static inline void tael_loop_post(struct tael_loop *loop, struct tael_mail *mail)
{
    loop->ops->post(loop, mail);
}

/* While the loop does not run: the oldest mail not yet read, NULL when there is none. Before a loop
 * is freed its owner takes what is left and frees it or calls its fn. Also for a killed loop. */
static inline struct tael_mail *tael_loop_take(struct tael_loop *loop)
{
    return loop->ops->take(loop);
}

/* ---- timers: one shot, on the monotonic clock; start again moves it ---- */

/* NULL: out of memory. */
static inline struct tael_timer *tael_timer_new(struct tael_loop *loop, void (*fn)(void *user),
                                                void *user)
{
    return loop->ops->timer_new(loop, fn, user);
}

static inline void tael_timer_start(struct tael_timer *timer, int64_t delay_us)
{
    timer->loop->ops->timer_start(timer, delay_us);
}

static inline void tael_timer_stop(struct tael_timer *timer)
{
    timer->loop->ops->timer_stop(timer);
}

static inline void tael_timer_free(struct tael_timer *timer) /* NULL allowed */
{
    if (timer != NULL)
        timer->loop->ops->timer_free(timer);
}

/* ---- streams ---- */

/* Before an address: TAEL_EBUSY when anybody, another engine included, listens there already. */
#define TAEL_LISTEN_ALONE "alone:"

/* The whole address "given:7": descriptor 7 is a listening socket already; it is the loop's from
 * then on, on failure too. */
#define TAEL_LISTEN_GIVEN "given:"

/* address: "127.0.0.1:8080", "[::1]:8080" (port 0: any free one) or "unix:PATH" (mode 0600). On the
 * real world TCP listeners use SO_REUSEPORT so that each worker has its own; the first of them asks
 * to be alone. */
static inline tael_status tael_listen(struct tael_loop *loop, const char *address,
                                      tael_accept_fn accept, void *user, struct tael_listener **out)
{
    return loop->ops->listen(loop, address, accept, user, out);
}

/* With the real port. */
static inline const char *tael_listener_address(struct tael_listener *listener)
{
    return listener->loop->ops->listener_address(listener);
}

/* Nobody new comes in: a handshake that begins now is not answered, so that the client tries again
 * and then finds nobody, or another; the file of a unix socket is gone. Who is on the way is still
 * accepted until the close, which resets whoever is left. NULL allowed. */
static inline void tael_listener_retire(struct tael_listener *listener)
{
    if (listener != NULL)
        listener->loop->ops->listener_retire(listener);
}

/* A descriptor of the listening socket, the caller's, for TAEL_LISTEN_GIVEN here or in another
 * process; from now on the close of this listener leaves socket and file be: who connects waits.
 * -1: not to be had. */
static inline int tael_listener_share(struct tael_listener *listener)
{
    return listener->loop->ops->listener_share(listener);
}

static inline void tael_listener_close(struct tael_listener *listener) /* NULL allowed */
{
    if (listener != NULL)
        listener->loop->ops->listener_close(listener);
}

/* events->open or events->end comes later, never from inside this call. */
static inline tael_status tael_connect(struct tael_loop *loop, const char *address,
                                       const struct tael_stream_events *events, void *user,
                                       struct tael_stream **out)
{
    return loop->ops->connect(loop, address, events, user, out);
}

/* For accepted streams: from now on events come. *events must outlive the stream. */
static inline void tael_stream_start(struct tael_stream *stream,
                                     const struct tael_stream_events *events, void *user)
{
    stream->loop->ops->stream_start(stream, events, user);
}

static inline void tael_stream_read(struct tael_stream *stream, bool on) /* false: back-pressure */
{
    stream->loop->ops->stream_read(stream, on);
}

/* Copies what cannot be sent at once. TAEL_ENOMEM, TAEL_ENETWORK: the stream is of no more use. */
static inline tael_status tael_stream_write(struct tael_stream *stream, const char *data,
                                            size_t len)
{
    return stream->loop->ops->stream_write(stream, data, len);
}

static inline size_t tael_stream_queued(struct tael_stream *stream) /* bytes not yet sent */
{
    return stream->loop->ops->stream_queued(stream);
}

/* "127.0.0.1:51234" or "unix" */
static inline const char *tael_stream_peer(struct tael_stream *stream)
{
    return stream->loop->ops->stream_peer(stream);
}

/* Sends what is queued, then closes; in the real world within 5 s, and where something was sent the
 * peer's late bytes are taken for 2 s more, so that no reset takes the answer back. No callback
 * comes any more; stream is gone for the caller. */
static inline void tael_stream_close(struct tael_stream *stream) /* NULL allowed */
{
    if (stream != NULL)
        stream->loop->ops->stream_close(stream);
}

/* ---- children: programs that get a stream and nothing else ---- */

/* No arguments, no environment, a process group of its own; it ends with the thread that runs the
 * loop. here: it shares this thread's processor in its turns. When it ends, its stream
 * does. TAEL_ENOTFOUND: there is no such program, or this world has none; TAEL_ENOMEM; TAEL_ELIMIT:
 * no more processes or descriptors. */
static inline tael_status tael_spawn(struct tael_loop *loop, const char *program, bool here,
                                     struct tael_child **out)
{
    return loop->ops->spawn(loop, program, here, out);
}

static inline int64_t tael_child_used_us(struct tael_child *child) /* of the processor's time */
{
    return child->loop->ops->child_used_us(child);
}

/* Begins when it is about to be told what it has to do, ends with its answer: meanwhile both stay
 * on the processor on which this thread is, for waking another one takes longer than most work. */
static inline void tael_child_turn(struct tael_child *child, bool begins)
{
    child->loop->ops->child_turn(child, begins);
}

/* Kills it, if need be, and closes its stream. NULL allowed. */
static inline void tael_child_end(struct tael_child *child)
{
    if (child != NULL)
        child->loop->ops->child_end(child);
}

#endif
