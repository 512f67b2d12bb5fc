/* http_server.h - HTTP/1.1 on one loop: head gate, llhttp in strict mode, limits, drain.
 *
 * One server per worker; it owns its listeners and connections. A request is handed over whole
 * (head and body). Pipelined requests of one connection are handed over one at a time, in order.
 * The handler answers each request exactly once with tael_http_respond, at any later time on the
 * same thread. Limits and answers: design/threats.md §9 (names below). After a 4xx of framing the
 * connection closes. HEAD answers carry no body; Expect: 100-continue is answered when the body is
 * wanted.
 */
#ifndef TAEL_NET_HTTP_SERVER_H
#define TAEL_NET_HTTP_SERVER_H

#include "base/log.h"
#include "base/world.h"
#include "net/http.h"

struct tael_http_server;
struct tael_tls_server;
struct tael_network;

struct tael_http_limits { /* 0: the default in brackets */
    size_t line;          /* request line, bytes [8192] -> 414 */
    size_t head;          /* head, bytes [16384] -> 431 */
    size_t fields;        /* header fields [64] -> 431 */
    size_t field;         /* one header field, bytes [8192] -> 431 */
    size_t body;          /* body, bytes [262144] -> 413 */
    size_t bodies;        /* all bodies, bytes beyond 16 KiB of each [67108864] -> 503; of one
                             address half of them, or one body; loopback and exempt excepted */
    int64_t head_ms;      /* whole head must have come [5000] -> 408, close */
    int64_t body_ms;      /* first byte of the body, then >= 1 KiB/s [5000] -> 408, close */
    int64_t idle_ms;      /* keep-alive without a request [30000] -> close */
    int64_t stall_ms;     /* answer not taken by the client [10000] -> close */
    size_t connections;   /* open at once [20000] -> refused */
    size_t per_address;   /* of one address, of IPv6 one /64 [256], loopback exempt -> refused */
    size_t requests;      /* per connection [1000] -> close */
    size_t pipeline;      /* complete requests buffered per connection [16] -> stop reading */
    const struct tael_network *exempt; /* as loopback from what one address may: many in one */
    size_t exempt_count;               /* the list must outlive the server */
};

struct tael_http_request {           /* valid until answered */
    struct tael_span method, target; /* target as received: "/v1/payments?limit=2" */
    const struct tael_http_header *headers;
    size_t header_count;
    struct tael_span body;
    const char *listener; /* name given to tael_http_server_listen */
    const char *peer;     /* "127.0.0.1:51234", "unix" */
    bool gone;            /* the client is no longer there: the answer will be dropped */
    void *user;           /* the handler's own, NULL at first */
};

struct tael_http_handler {
    void (*request)(void *user, struct tael_http_request *request);
    /* The client went away before the answer; one that only stops sending counts as gone too, for
     * the two look alike. Called at most once; the request must still be answered. */
    void (*gone)(void *user, struct tael_http_request *request);
    /* Largest body for this request, asked as soon as the head is there; NULL or 0: limits.body. */
    size_t (*body_max)(void *user, const struct tael_http_request *head);
    /* Writes what an answer is called that the server makes itself (Tael-Request-Id) to out, which
     * has TAEL_HTTP_NAME_MAX bytes. false, or NULL: it has no name. */
    bool (*name)(void *user, char *out);
    void *user;
};

struct tael_http_server_options {
    struct tael_loop *loop;
    struct tael_log *log; /* NULL allowed */
    struct tael_http_limits limits;
    struct tael_http_handler handler;
};

tael_status tael_http_server_new(struct tael_http_server **out,
                                 const struct tael_http_server_options *options);

/* name is copied; *address_out (may be NULL) gets the address with the real port, owned by the
 * server. */
tael_status tael_http_server_listen(struct tael_http_server *server, const char *name,
                                    const char *address, const char **address_out);

/* The same with TLS (net/tls_server.h); tls must outlive the server. A client has limits.head_ms
 * for its handshake. NULL: without. */
tael_status tael_http_server_listen_tls(struct tael_http_server *server, const char *name,
                                        const char *address, struct tael_tls_server *tls,
                                        const char **address_out);

/* Answers. All is copied. Names and values must hold no CR, LF or NUL (else 500 is sent and
 * logged). Framing headers (content-length, transfer-encoding, connection) are the server's own and
 * are refused in headers. Status 1xx is refused; 204 and 304 carry no body. request is gone after
 * the call. */
void tael_http_respond(struct tael_http_request *request, int status,
                       const struct tael_http_header *headers, size_t count, struct tael_span body);

/* Graceful stop. Who is on the way in is still accepted, then the listeners close. Every answer
 * from now on says Connection: close; a connection without a request closes when it has been quiet
 * for tael_http_quiet_ms, for its client may be sending at this very moment. done(user) comes once
 * nothing is open or drain_ms has passed (then the rest is cut).
 */
void tael_http_server_drain(struct tael_http_server *server, int64_t drain_ms,
                            void (*done)(void *user, bool clean), void *user);

int64_t tael_http_quiet_ms(int64_t drain_ms); /* ms: a second, or less of a short drain */

/* The part of a drain that stops nothing: listeners stay, connections end with their next answer or
 * when they have been quiet for so long. A drain may follow. */
void tael_http_server_ebb(struct tael_http_server *server, int64_t quiet_ms);

/* Takes the listening sockets away: each(user, name, address, fd) owns the descriptor from then on,
 * and the listeners are closed. Who connects waits in the backlog of whoever has the sockets.
 * TAEL_ENETWORK: a descriptor was not to be had; its listener goes on. */
tael_status tael_http_server_share(struct tael_http_server *server,
                                   void (*each)(void *user, const char *name, const char *address,
                                                int fd),
                                   void *user);

/* After a drain: as if there had been none. Listeners are opened anew. */
void tael_http_server_resume(struct tael_http_server *server);

size_t tael_http_server_connections(const struct tael_http_server *server);

/* How an answer goes wrong, for simulators of others' servers. */
struct tael_http_flaw {
    bool drop;        /* nothing is sent: the connection closes */
    bool cut;         /* the connection closes behind `after` bytes of the body */
    int64_t pause_ms; /* what stands behind `after` leaves this much later */
    size_t after;
};

/* As tael_http_respond, with a flaw. NULL: none. */
void tael_http_respond_flawed(struct tael_http_request *request, int status,
                              const struct tael_http_header *headers, size_t count,
                              struct tael_span body, const struct tael_http_flaw *flaw);

size_t tael_http_server_open(const struct tael_http_server *server); /* requests not yet answered */

/* Cuts all connections. Requests still with the handler stay valid until it answers them (no
 * effect); the memory goes with the last of them. NULL allowed. */
void tael_http_server_free(struct tael_http_server *server);

#endif
