/* http_request.h - one request while it is received and until it is answered.
 *
 * Owns the copy of the head (plain form, http_head.h), the body and the parser. The gate has read
 * the head before; llhttp reads it again and must find the same framing, else the request is
 * refused. Shared by http_connection.c and http_server.c; nobody else includes it.
 */
#ifndef TAEL_NET_HTTP_REQUEST_H
#define TAEL_NET_HTTP_REQUEST_H

#include <llhttp.h>

#include "net/http_head.h"
#include "net/http_peers.h"
#include "net/http_server.h"

struct tael_http_connection;

/* What bodies have beyond 16 KiB each: many large ones keep nobody from a small one, and those of
 * one peer nobody from a large one. */
struct tael_http_large {
    size_t *bytes, max;            /* of all; how many there may be */
    struct tael_http_peers *peers; /* of whom peer has half of them at most, or one body */
    struct tael_http_peer *peer;   /* NULL: no such limit. Its connection's, and the request's while
                                      that has large bytes */
};

struct tael_http_incoming {
    struct tael_http_request request;        /* first: the handler's view */
    struct tael_http_server *server;         /* whose reference it holds once it is complete */
    struct tael_http_connection *connection; /* NULL: nobody takes the answer */
    struct tael_http_incoming *next;         /* waiting behind another one */
    llhttp_t parser;
    struct tael_http_chunks chunks;
    struct tael_http_refusal refusal;
    struct tael_buf body;
    struct tael_http_large large;
    size_t large_own; /* of it this one's */
    uint64_t left;    /* bytes of a body with Content-Length still to come */
    size_t head_len;
    bool head_only;  /* HEAD: the answer carries no body */
    bool minor;      /* HTTP/1.1 */
    bool persistent; /* the client wants to go on afterwards */
    bool expects;    /* waits for 100 before it sends the body */
    bool chunked, begun, complete;
    struct tael_http_header headers[];
};

/* data: the head for which the gate said DONE. listener must outlive it, peer is copied. */
tael_status tael_http_incoming_new(struct tael_http_incoming **out,
                                   const struct tael_http_head *head, const char *data,
                                   const char *listener, const char *peer);
void tael_http_incoming_free(struct tael_http_incoming *incoming); /* NULL allowed */

/* The parser reads the head. MORE: a body of at most body_max bytes follows; DONE: none does. What
 * a body has beyond 16 KiB counts as large until the request is freed; beyond what there may be of
 * that it is refused with 503. large's bytes and peers outlive the request. */
enum tael_http_gate tael_http_incoming_begin(struct tael_http_incoming *incoming, size_t body_max,
                                             const struct tael_http_large *large);

/* Bytes of the body. *used: how many of them were its own. */
enum tael_http_gate tael_http_incoming_feed(struct tael_http_incoming *incoming, const char *data,
                                            size_t len, size_t *used);

static inline size_t tael_http_incoming_size(const struct tael_http_incoming *incoming)
{
    return sizeof(*incoming) + incoming->head_len + incoming->body.len;
}

#endif
