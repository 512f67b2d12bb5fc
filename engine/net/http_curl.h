/* http_curl.h - what the files of the HTTP client of the real world share: http_client_curl.c (life
 * of clients and exchanges), http_curl_multi.c (a group's connections on the loop),
 * http_curl_easy.c (what libcurl is told about a request), http_curl_trust.c (whom it trusts),
 * http_curl_library.c (where libcurl comes from). Nobody else includes it.
 */
#ifndef TAEL_NET_HTTP_CURL_H
#define TAEL_NET_HTTP_CURL_H

#include <uv.h>

#include "crypto/key_file.h"
#include "net/http_client_parts.h"
#include "net/http_curl_library.h"

enum { TAEL_CURL_SPARE_MAX = 16 };

struct tael_curl_trust { /* all zero: nothing read yet */
    struct x509_store_st *store;
    struct tael_file_identity file; /* that was read */
};

struct tael_curl_client {
    struct tael_http_client base; /* first */
    uv_loop_t *uv;
    struct tael_resolver *resolver;
    struct tael_curl_library curl;    /* all zero until the first exchange */
    char missing[TAEL_HTTP_DETAIL];   /* why there is no libcurl */
    CURL *spare[TAEL_CURL_SPARE_MAX]; /* easy handles at rest, with their TLS sessions */
    size_t spares;
    struct tael_curl_trust trust; /* in the system's authorities */
    bool stepping;                /* a call further up the stack is inside a group's step */
};

struct tael_curl_group {
    struct tael_http_group base;                /* first */
    const struct tael_curl_library *curl;       /* its client's */
    CURLM *multi;                               /* NULL until it is ready */
    uv_timer_t *timer;                          /* frees itself when it is closed */
    struct tael_curl_watch *watches;            /* of sockets that exchanges use */
    curl_socket_t resting[TAEL_HTTP_REUSE_MAX]; /* of connections that wait to be used again */
    size_t resting_count;
    bool moved; /* an exchange of it has */
};

struct tael_curl_exchange {
    struct tael_http_exchange base;       /* first */
    const struct tael_curl_library *curl; /* its client's; NULL: there is none */
    CURL *easy;
    bool added; /* the easy handle is in its group's multi handle */
    struct curl_slist *fields, *resolved;
    struct tael_lookup *lookup; /* NULL: none under way */
    struct tael_url_host host;
    char *key_file; /* of our own certificate; NULL: none */
    int port;
    bool local;      /* a unix socket: no address to look at */
    bool public;     /* its group's */
    bool body_begun; /* later fields are trailers: dropped */
    bool safe;       /* may be sent twice */
    bool moved;      /* a socket came or went since libcurl ran it: it may have another to open */
    unsigned requests;
    char error[CURL_ERROR_SIZE];
};

/* ---- http_curl_multi.c ---- */

tael_status tael_curl_group_new(struct tael_http_client *client, struct tael_http_group **out);
void tael_curl_group_free(struct tael_http_group *group);
/* Before an exchange is made of it: loads libcurl if nobody has, makes the group's multi handle.
 * TAEL_ENOMEM; TAEL_EINTERNAL: there is no libcurl (client->missing says why); asked again, it is
 * looked for again. */
tael_status tael_curl_group_ready(struct tael_curl_group *group);
/* Ends the connections at rest on which their server has closed or said something unasked, so that
 * no request is given to them. libcurl sees a plain close by itself; of TLS it takes the bytes of
 * the farewell for a sign of life. */
void tael_curl_end_dead(struct tael_curl_group *group);
/* To be called when a socket is opened for the exchange, or fails, before its request is sent: once
 * the step is over libcurl is made to look at it again. */
void tael_curl_moved(struct tael_curl_exchange *exchange);
/* The connection of an exchange that has ended well waits to be used again, unless another has
 * begun to; CURL_SOCKET_BAD: none. Only such sockets are looked at: one that never became a
 * connection is closed by libcurl without a word, and its number is soon somebody else's. */
void tael_curl_socket_rests(struct tael_curl_group *group, curl_socket_t socket);
void tael_curl_socket_gone(struct tael_curl_group *group, curl_socket_t socket);

/* ---- http_client_curl.c ---- */

void tael_curl_ended(struct tael_curl_exchange *exchange, CURLcode code);
void tael_curl_destroy(struct tael_curl_client *client); /* when it was freed inside a step */

/* ---- http_curl_easy.c ---- */

/* Everything of the call but where to connect and until when. */
tael_status tael_curl_set_call(struct tael_curl_exchange *exchange,
                               const struct tael_http_call *call, struct tael_curl_group *group);
/* Names the addresses that the host stands for, so that libcurl looks nothing up. */
tael_status tael_curl_set_addresses(struct tael_curl_exchange *exchange,
                                    const struct tael_addresses *addresses);
tael_status tael_curl_set_connect_ms(struct tael_curl_exchange *exchange, int64_t ms);

/* ---- http_curl_trust.c ---- */

/* As CURLOPT_SSL_CTX_FUNCTION; user is the struct tael_curl_exchange. */
CURLcode tael_curl_trust_system(CURL *easy, void *context, void *user);
void tael_curl_trust_free(struct tael_curl_trust *trust);

#endif
