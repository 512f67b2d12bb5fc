/* http_client_parts.h - what http_client.c shares with its two ways of reaching a server: libcurl
 * in the real world (http_client_curl.c), streams in the simulated one (http_client_stream.c).
 * Nobody else includes it.
 */
#ifndef TAEL_NET_HTTP_CLIENT_PARTS_H
#define TAEL_NET_HTTP_CLIENT_PARTS_H

#include "net/http_client.h"

enum {
    TAEL_HTTP_REPLY_TEXT_MAX = 64 * 1024, /* all header fields of an answer */
    TAEL_HTTP_REPLY_FIELDS_MAX = 256,
    TAEL_HTTP_REUSE_MS = 20 * 1000, /* idle connections: servers rarely keep them for less */
    TAEL_HTTP_REUSE_MAX = 64,       /* idle connections kept */
};

typedef void (*tael_http_done_fn)(void *user, const struct tael_http_result *result);

struct tael_http_client_ops {
    /* call has been checked and its defaults are set. */
    tael_status (*start)(struct tael_http_client *client, const struct tael_http_call *call,
                         tael_http_done_fn done, void *user, struct tael_http_exchange **out);
    void (*cancel)(struct tael_http_exchange *exchange);
    void (*free)(struct tael_http_client *client);
};

/* The two put these first in their own structs. */
struct tael_http_client {
    const struct tael_http_client_ops *ops;
    struct tael_loop *loop;
};
struct tael_http_exchange {
    struct tael_http_client *client;
};

tael_status tael_http_client_curl_new(struct tael_http_client **out, struct tael_loop *loop);
tael_status tael_http_client_stream_new(struct tael_http_client **out, struct tael_loop *loop);

/* An answer while it comes in. {.body.max = n} is an empty one. */
struct tael_http_reply {
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

/* Of a URL that start has accepted: what stands between "://" and the path, and the rest without
 * the fragment (empty, or beginning with '/' or '?'). */
void tael_http_url_split(const char *url, struct tael_span *authority, struct tael_span *target);
bool tael_http_url_is_tls(const char *url);
/* Whether doing it twice is as good as once: GET, HEAD. */
bool tael_http_is_safe(const char *method);
bool tael_http_call_has(const struct tael_http_call *call, const char *lower_name);

#endif
