/* loop_uv.h - what the files of the real world share: world_uv.c, loop_uv.c, stream_uv.c. Nobody
 * else includes it.
 */
#ifndef TAEL_NET_LOOP_UV_H
#define TAEL_NET_LOOP_UV_H

#include <stdatomic.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <sched.h>
#include <uv.h>

#include "base/heap.h"
#include "base/world.h"

enum { TAEL_UV_READ_BUFFER = 64 * 1024 };

struct tael_uv_stream;
struct tael_uv_child;

struct tael_uv_timer {
    struct tael_timer base; /* first */
    struct tael_heap_node node;
    int64_t due;      /* when it really fires: at or after node.at */
    uint64_t due_seq; /* its place among timers of the same due */
    bool active;      /* a stopped one stays in the heap until its time or its end */
    void (*fn)(void *user);
    void *user;
};

struct tael_uv_loop {
    struct tael_loop base; /* first */
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t busy; /* active: mail or due timers wait, poll must not block */
    uv_timer_t tick;
    size_t closing; /* handles whose close callback is still to come */

    struct tael_heap timers;
    uint64_t timer_seq;
    int64_t tick_at; /* what tick is set to; -1: nothing */
    bool firing;
    bool due_after_poll; /* timers are due, but the sockets come first */

    _Atomic(struct tael_mail *) inbox;  /* from other threads, newest first */
    struct tael_mail *mail, **mail_end; /* this thread's, oldest first */
    atomic_uintptr_t thread;            /* that runs the loop; 0: none */
    atomic_bool stop;

    struct tael_uv_stream *streams; /* all that are not yet freed */
    size_t lingering;               /* of them, closed by their owners and not yet gone */
    struct tael_uv_child *children; /* ended or not, until they are reaped */
    struct {
        bool ready; /* release is one of the loop's timers */
        size_t turns;
        int again;          /* how often the stay was made longer */
        int cpu;            /* on which the thread stays; -1: it may be any */
        cpu_set_t anywhere; /* where it may run otherwise */
        struct tael_uv_timer release;
    } stay;            /* child_uv.c's */
    char *read_buffer; /* shared: a read is handed on before the next one */
};

int64_t tael_uv_mono_us(struct tael_world *world);
extern const struct tael_loop_ops tael_uv_loop_ops;

/* loop_uv.c */
tael_status tael_uv_loop_new(struct tael_world *world, struct tael_loop **out);
tael_status tael_uv_loop_run(struct tael_loop *loop);
void tael_uv_loop_stop(struct tael_loop *loop);
void tael_uv_loop_free(struct tael_loop *loop);
void tael_uv_post(struct tael_loop *loop, struct tael_mail *mail);
struct tael_mail *tael_uv_take(struct tael_loop *loop);
struct tael_timer *tael_uv_timer_new(struct tael_loop *loop, void (*fn)(void *user), void *user);
void tael_uv_timer_start(struct tael_timer *timer, int64_t delay_us);
void tael_uv_timer_stop(struct tael_timer *timer);
void tael_uv_timer_free(struct tael_timer *timer);

/* A timer inside another object; TAEL_ENOMEM. After _end it is as if it had never been. */
tael_status tael_uv_timer_begin(struct tael_uv_loop *loop, struct tael_uv_timer *timer,
                                void (*fn)(void *user), void *user);
void tael_uv_timer_end(struct tael_uv_timer *timer);

/* uv_close, counted: closed must call tael_uv_closed(loop) exactly once. */
void tael_uv_close(struct tael_uv_loop *loop, uv_handle_t *handle, uv_close_cb closed);
void tael_uv_closed(struct tael_uv_loop *loop);

/* stream_uv.c */
void tael_uv_streams_cut(struct tael_uv_loop *loop);
tael_status tael_uv_connect(struct tael_loop *loop, const char *address,
                            const struct tael_stream_events *events, void *user,
                            struct tael_stream **out);
void tael_uv_stream_start(struct tael_stream *stream, const struct tael_stream_events *events,
                          void *user);
void tael_uv_stream_read(struct tael_stream *stream, bool on);
tael_status tael_uv_stream_write(struct tael_stream *stream, const char *data, size_t len);
size_t tael_uv_stream_queued(struct tael_stream *stream);
const char *tael_uv_stream_peer(struct tael_stream *stream);
void tael_uv_stream_close(struct tael_stream *stream);
/* A stream on an accepted connection, the loop's from then on; with TAEL_ENOMEM it stays the
 * caller's. */
tael_status tael_uv_stream_accept(struct tael_uv_loop *loop, int fd, bool local,
                                  struct tael_stream **out);

/* A stream on a socket that is given, the loop's from then on, on failure too. TAEL_ENOMEM. */
tael_status tael_uv_stream_given(struct tael_uv_loop *loop, int fd, struct tael_stream **out);

/* child_uv.c */
tael_status tael_uv_spawn(struct tael_loop *loop, const char *program, bool here,
                          struct tael_child **out);
int64_t tael_uv_child_used_us(struct tael_child *child);
void tael_uv_child_turn(struct tael_child *child, bool begins);
void tael_uv_child_end(struct tael_child *child);
void tael_uv_children_reap(struct tael_uv_loop *loop); /* waits for all that were ended */
void tael_uv_go_anywhere(struct tael_uv_loop *loop);   /* its thread, which runs it no more */
void tael_uv_stay_free(struct tael_uv_loop *loop);

/* listen_uv.c */
struct tael_uv_address {
    union {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
        struct sockaddr_un local;
    } at;
    socklen_t len;
};
enum { TAEL_UV_ADDRESS_TEXT = 128 };
tael_status tael_uv_address_parse(const char *text, struct tael_uv_address *out);
void tael_uv_address_format(const struct sockaddr *address, char out[TAEL_UV_ADDRESS_TEXT]);
tael_status tael_uv_listen(struct tael_loop *loop, const char *address, tael_accept_fn accept,
                           void *user, struct tael_listener **out);
const char *tael_uv_listener_address(struct tael_listener *listener);
void tael_uv_listener_retire(struct tael_listener *listener);
int tael_uv_listener_share(struct tael_listener *listener);
void tael_uv_listener_close(struct tael_listener *listener);

#endif
