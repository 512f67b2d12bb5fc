/* http_connection.h - what the HTTP server's own files share: http_server.c, http_connection.c,
 * http_intake.c, http_waits.c and http_crowd.c. Nobody else includes it.
 *
 * References: the server's memory goes with the last of: its owner, its connections, its requests
 * that are complete and not yet answered. A connection's memory goes when it is closed and no call
 * of it is on the stack (busy). A request belongs to its connection until it is handed over; then
 * to the handler, and the connection only points to it (active).
 */
#ifndef TAEL_NET_HTTP_CONNECTION_H
#define TAEL_NET_HTTP_CONNECTION_H

#include "net/http_answer.h"
#include "net/http_peers.h"
#include "net/http_request.h"

struct tael_http_listener {
    struct tael_http_listener *next;
    struct tael_http_server *server;
    struct tael_listener *listener; /* NULL: closed */
    struct tael_tls_server *tls;    /* NULL: without */
    char *address;
    char name[];
};

/* Who has to make room first when there are too many connections; each rank a queue, oldest first.
 */
enum tael_http_rank {
    TAEL_HTTP_RANK_NEW,  /* has not asked for anything yet */
    TAEL_HTTP_RANK_IDLE, /* has, and is between two requests */
    TAEL_HTTP_RANK_SLOW, /* in the middle of a head */
    TAEL_HTTP_RANKS,     /* of the others nobody */
};

struct tael_http_link {                   /* a connection's place in a queue */
    struct tael_http_link *next, **place; /* place NULL: in none */
};

struct tael_http_queue {
    struct tael_http_link *first, **end; /* end NULL: empty as first */
};

struct tael_http_server {
    struct tael_loop *loop;
    struct tael_log *log;
    struct tael_http_limits limits; /* every field set */
    struct tael_http_handler handler;
    size_t references;
    size_t open;        /* requests complete and not yet answered */
    size_t large_bytes; /* of all bodies, beyond what each may have (tael_http_incoming_begin) */
    struct tael_http_listener *listeners;
    struct tael_http_connection *connections;
    size_t connection_count;
    size_t crowd; /* most of them since memory was last given back */
    struct tael_timer *crowd_timer;
    struct tael_http_queue queues[TAEL_HTTP_RANKS];
    struct tael_http_queue later; /* who waits to hand over what was pipelined */
    struct tael_timer *later_timer;
    int64_t later_us;           /* with them, since others had a pause of it */
    size_t asked, asked_before; /* how often by others; and before that pause */
    struct tael_http_peers peers;
    struct tael_buf out; /* an answer while it is built; empty in between */
    bool draining;       /* every answer may be a connection's last */
    int64_t quiet_ms;    /* then: how long a connection may stay without a request */
    struct tael_timer *drain_timer;
    struct tael_timer *retire_timer; /* who is on the way in is waited for */
    bool retired;                    /* it has fired once */
    void (*drained)(void *user, bool clean);
    void *drained_user;
};

/* Before something is closed for being quiet, the loop looks at the sockets once more. */
enum { TAEL_HTTP_LAST_LOOK_US = 1000 };

enum tael_http_wait { /* what the connection's timer runs for */
                      TAEL_HTTP_WAIT_NOTHING,
                      TAEL_HTTP_WAIT_REQUEST, /* idle */
                      TAEL_HTTP_WAIT_HEAD,
                      TAEL_HTTP_WAIT_BODY,
};

struct tael_http_connection {
    struct tael_http_server *server;
    struct tael_http_listener *listener;
    struct tael_http_connection *next, **place; /* in server->connections */
    struct tael_http_link ranked;               /* in the queue of its rank */
    enum tael_http_rank rank;
    struct tael_http_link later; /* in the server's */
    struct tael_stream *stream;  /* NULL: closed */
    struct tael_http_peer *peer; /* NULL: not counted */
    struct tael_timer *timer;
    struct tael_timer *stall; /* made when an answer is not taken at once */
    size_t stalled_at;        /* bytes queued when it was started, and written since */
    struct tael_timer *pause; /* made when an answer is to be interrupted (tael_http_flaw) */
    struct tael_buf rest;     /* of that answer; nothing else is answered before */

    struct tael_buf in;                  /* bytes not yet parsed */
    struct tael_http_head head;          /* of the request whose head is coming in */
    struct tael_http_incoming *incoming; /* its body is coming in */
    struct tael_http_incoming *active;   /* with the handler */
    struct tael_http_incoming *ready, **ready_end;
    size_t ready_count, ready_bytes;
    size_t answered;
    size_t messages;     /* begun on this connection */
    size_t wait_message; /* the message that wait stands for */
    size_t body_bytes;   /* of incoming, since the timer was last started */
    size_t body_windows; /* periods of incoming that have passed */
    enum tael_http_wait wait;

    struct tael_http_refusal failure; /* to be answered after what is open; status 0: none */
    bool last;                        /* the client wants no answer after those that are open */
    bool continue_due;                /* incoming waits for 100 */
    bool closing;                     /* the last answer has been given */
    bool reading;
    bool last_look; /* idle long enough: closes at the next tick */
    bool working;   /* a call further up the stack parses or hands over */
    bool has_turn;  /* and may hand over one request */
    unsigned busy;
};

void tael_http_connection_accept(void *listener, struct tael_stream *stream);
/* Gives the answer to the active request, which the connection then no longer knows. flaw may be
 * NULL. */
void tael_http_connection_answer(struct tael_http_connection *connection,
                                 struct tael_http_answer *answer,
                                 const struct tael_http_flaw *flaw);
/* The server drains: an idle connection has quiet_ms left. */
void tael_http_connection_drain(struct tael_http_connection *connection);
/* Closes at once, saying 503 to a client that has begun a request. */
void tael_http_connection_cut(struct tael_http_connection *connection);

/* http_connection.c. Whoever comes in from outside does so between enter and leave. */
void tael_http_connection_enter(struct tael_http_connection *connection);
void tael_http_connection_leave(struct tael_http_connection *connection);
/* What has been written still leaves. The memory goes with the last call on the stack. */
void tael_http_connection_close(struct tael_http_connection *connection);
/* Decides what to read, what to wait for and when to close: everything that happens ends in it. */
void tael_http_connection_settle(struct tael_http_connection *connection);
void tael_http_connection_log(struct tael_http_connection *connection, tael_log_level level,
                              const struct tael_http_refusal *refusal);

/* http_intake.c: bytes in, requests to the handler. */
/* Whether the next bytes would be parsed. */
bool tael_http_intake_is_open(const struct tael_http_connection *connection);
/* Bytes are read only to be thrown away, so that the end of the connection is seen. */
bool tael_http_intake_discards(const struct tael_http_connection *connection);
/* Takes new bytes, if there are any, and goes on with what is buffered and what is ready. */
void tael_http_intake_work(struct tael_http_connection *connection, const char *data, size_t len);
/* No byte is parsed any more; the refusal is answered when its turn comes. */
void tael_http_intake_fail(struct tael_http_connection *connection,
                           struct tael_http_refusal refusal);
void tael_http_intake_drop_ready(struct tael_http_connection *connection);
tael_status tael_http_intake_begin(struct tael_http_server *server); /* what it needs there */
void tael_http_intake_end(struct tael_http_server *server);
void tael_http_intake_drop(struct tael_http_connection *connection);

/* http_waits.c: what the connection waits for. */
void tael_http_waits_set(struct tael_http_connection *connection);
/* The client has taken all that was written. */
void tael_http_waits_taken(struct tael_http_connection *connection);
void tael_http_waits_restart(struct tael_http_connection *connection);
void tael_http_waits_over(void *connection); /* the timer's */

/* http_crowd.c: when there are many. */
void tael_http_link_leave(struct tael_http_queue *queue, struct tael_http_link *link);
void tael_http_link_enter(struct tael_http_queue *queue, struct tael_http_link *link);
void tael_http_queue_leave(struct tael_http_connection *connection);
void tael_http_queue_enter(struct tael_http_connection *connection, enum tael_http_rank rank);
/* The one that has to go for another, NULL: none may. */
struct tael_http_connection *tael_http_queue_first(struct tael_http_server *server);
void tael_http_crowd_came(struct tael_http_server *server);
void tael_http_crowd_left(struct tael_http_server *server);
tael_status tael_http_crowd_begin(struct tael_http_server *server);
void tael_http_crowd_end(struct tael_http_server *server);
/* Closes at once, saying 503 to a client that has begun a request. */
void tael_http_connection_make_room(struct tael_http_connection *connection);

void tael_http_server_retain(struct tael_http_server *server);
void tael_http_server_release(struct tael_http_server *server);
void tael_http_server_settle(struct tael_http_server *server); /* tells the end of a drain */

#endif
