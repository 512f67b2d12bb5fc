/* http_client_parts.h - what the HTTP client shares with its two ways of reaching a server: libcurl
 * in the real world (http_client_curl.c), streams in the simulated one (http_client_stream.c).
 * Nobody else includes it.
 *
 * http_client.c checks calls, keeps their time and tells their ends; http_pool.c says when one may
 * begin. A way only makes an exchange, begins it and stops it. Invariants:
 * 1. An exchange is in one list, its pool's waiting or running, from start to its end.
 * 2. Its timer runs from start to its end and tells exchange->failure; whoever cannot go on says so
 *    through tael_http_exchange_fail, which is told by that timer and so never from inside a call.
 * 3. done is called last, when nothing of the exchange is in the client any more: it may start
 *    another exchange, cancel one or free the client.
 */
#ifndef TAEL_NET_HTTP_CLIENT_PARTS_H
#define TAEL_NET_HTTP_CLIENT_PARTS_H

#include "net/address.h"
#include "net/http_client.h"

enum {
    TAEL_HTTP_REPLY_TEXT_MAX = 64 * 1024, /* all header fields of an answer */
    TAEL_HTTP_REPLY_FIELDS_MAX = 256,
    TAEL_HTTP_REUSE_MS = 20 * 1000, /* idle connections: servers rarely keep them for less */
    TAEL_HTTP_REUSE_MAX = 64,       /* idle connections kept of a group with a name */
    TAEL_HTTP_DETAIL = 256,
};

typedef void (*tael_http_done_fn)(void *user, const struct tael_http_result *result);

/* ---- an answer while it comes in: http_reply.c ---- */

struct tael_http_reply { /* {.body.max = n} is an empty one */
    struct tael_buf text, body;
    struct tael_http_header *fields; /* lengths only, until _show */
    size_t count, room;
    bool too_large; /* a limit was passed: why _field or _body refused */
};

/* TAEL_ELIMIT (too_large is set), TAEL_ENOMEM. The name is kept in lower case, blanks around the
 * value are not. */
tael_status tael_http_reply_field(struct tael_http_reply *reply, struct tael_span name,
                                  struct tael_span value);
tael_status tael_http_reply_body(struct tael_http_reply *reply, const char *data, size_t len);
void tael_http_reply_restart(struct tael_http_reply *reply); /* that was an interim answer */
/* Lets result show the answer; the memory stays the reply's. Once. */
void tael_http_reply_show(struct tael_http_reply *reply, struct tael_http_result *result);
void tael_http_reply_free(struct tael_http_reply *reply);

/* ---- client, groups, pools, exchanges ---- */

struct tael_http_group;
struct tael_http_pool;

struct tael_http_client_ops {
    tael_status (*group_new)(struct tael_http_client *client, struct tael_http_group **out);
    void (*group_free)(struct tael_http_group *group); /* and its connections */
    /* Keeps what it needs of call, which has been checked and is complete; host is that of its URL,
     * all zero when it has none that may be asked (begin is not called then). */
    tael_status (*make)(struct tael_http_group *group, const struct tael_http_call *call,
                        const struct tael_url_host *host, struct tael_http_exchange **out);
    tael_status (*begin)(struct tael_http_exchange *exchange); /* TAEL_ENOMEM only; once */
    void (*stop)(struct tael_http_exchange *exchange); /* it ends now, begun or not; keep: well */
    void (*free_exchange)(struct tael_http_exchange *exchange);
    void (*free)(struct tael_http_client *client); /* the way's own, all groups included */
};

struct tael_http_client { /* the ways put this first in their own */
    const struct tael_http_client_ops *ops;
    struct tael_loop *loop;
    struct tael_http_client_options options; /* complete */
    char *ca_file;
    struct tael_http_group *groups;
    bool freed;
};

/* Connections that may be used for one another: of a named pool, or of all calls without one. */
struct tael_http_group {
    struct tael_http_client *client;
    struct tael_http_group *next;
    struct tael_http_pool *pools; /* those with exchanges */
    char *name;                   /* "": all calls without a pool */
    bool public;
    bool busy; /* a call further up the stack works on it */
    int64_t idle_since_us;
};

struct tael_http_pool { /* exists while it has exchanges */
    struct tael_http_group *group;
    struct tael_http_pool *next, **place;
    struct tael_http_exchange *running;
    struct tael_http_exchange *waiting; /* in order */
    size_t running_count;
    char key[]; /* the host, or "" in a group with a name */
};

struct tael_http_exchange { /* the ways put this first in their own */
    struct tael_http_client *client;
    struct tael_http_pool *pool;
    struct tael_http_exchange *next, **place; /* in pool->running or ->waiting */
    struct tael_timer *timer;
    tael_http_done_fn done;
    void *user;
    struct tael_http_reply reply;
    int64_t started_us, deadline_us;
    int64_t connect_ms;
    int64_t connect_by_us;          /* set when it begins */
    enum tael_http_failure failure; /* what the timer tells */
    bool sent;                      /* a byte of the request may have left */
    bool over;                      /* only its end is still to be told */
    bool begun;
    bool told; /* done is running: cancel has nothing to do */
    char detail[TAEL_HTTP_DETAIL];
};

tael_status tael_http_client_curl_new(struct tael_http_client **out, struct tael_loop *loop,
                                      const struct tael_http_client_options *options);
tael_status tael_http_client_stream_new(struct tael_http_client **out, struct tael_loop *loop);

/* ---- http_client.c: for the ways ---- */

/* The exchange has failed; that is told later. format NULL: no detail. */
void tael_http_exchange_fail(struct tael_http_exchange *exchange, enum tael_http_failure failure,
                             const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The exchange ends now; not from inside begin or stop. */
void tael_http_exchange_end(struct tael_http_exchange *exchange, enum tael_http_failure failure,
                            int status);
/* The timer fires at the end of the exchange's time, or of that for connecting. */
void tael_http_exchange_wait(struct tael_http_exchange *exchange, bool connecting);

/* ---- http_pool.c ---- */

/* The pool of a call, made when there is none. TAEL_ENOMEM. */
tael_status tael_http_pool_find(struct tael_http_client *client, const struct tael_http_call *call,
                                const struct tael_url_host *host, struct tael_http_pool **out);
/* Begins the exchange or lets it wait. TAEL_ENOMEM: it is in no list. */
tael_status tael_http_pool_enter(struct tael_http_pool *pool, struct tael_http_exchange *exchange);
/* Takes it out and begins those that may begin now. */
void tael_http_pool_leave(struct tael_http_exchange *exchange);
void tael_http_pool_settle(struct tael_http_pool *pool);     /* goes when it is empty */
void tael_http_group_destroy(struct tael_http_group *group); /* and takes it from the client */

/* ---- what is known of calls ---- */

/* Of a URL that start has accepted: what stands between "://" and the path, and the rest without
 * the fragment (empty, or beginning with '/' or '?'). */
void tael_http_url_split(const char *url, struct tael_span *authority, struct tael_span *target);
bool tael_http_url_is_tls(const char *url);
/* Whether doing it twice is as good as once: GET, HEAD. */
bool tael_http_is_safe(const char *method);
bool tael_http_wants_body(const struct tael_http_call *call);
bool tael_http_call_has(const struct tael_http_call *call, const char *lower_name);

#endif
