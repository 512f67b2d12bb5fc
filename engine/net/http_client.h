/* http_client.h - HTTP client of one loop: libcurl's multi interface on libuv in the real world,
 * the same calls over in-memory streams in the simulated one. Reuses connections; never follows
 * redirects; ignores proxies of the environment; verifies TLS (>= 1.2) and host names always. No
 * Lua type here. */
#ifndef TAEL_NET_HTTP_CLIENT_H
#define TAEL_NET_HTTP_CLIENT_H

#include "base/world.h"
#include "net/http.h"

struct tael_http_client;
struct tael_http_exchange;

struct tael_http_call { /* copied by start */
    const char *method;
    const char *url; /* http:// or https:// */
    const struct tael_http_header *headers;
    size_t header_count;
    struct tael_span body;
    int64_t timeout_ms;    /* all of it; 0: 10000 */
    int64_t connect_ms;    /* 0: 3000 */
    size_t max_bytes;      /* of the answer's body; 0: 1 MiB */
    const char *unix_path; /* connect here instead of the URL's host; NULL: no */
    const char *ca_file;   /* NULL: the system's */
};

enum tael_http_failure {
    TAEL_HTTP_OK,
    TAEL_HTTP_TIMEOUT,
    TAEL_HTTP_CONNECT,
    TAEL_HTTP_TLS,
    TAEL_HTTP_TOO_LARGE,
    TAEL_HTTP_RESET, /* connection lost or answer not HTTP */
};

struct tael_http_result { /* valid until the callback returns */
    enum tael_http_failure failure;
    bool sent; /* false: certainly no byte of the request left this machine */
    int status;
    const struct tael_http_header *headers; /* names in lower case */
    size_t header_count;
    struct tael_span body;
    int64_t elapsed_us;
};

tael_status tael_http_client_new(struct tael_http_client **out, struct tael_loop *loop);
void tael_http_client_free(struct tael_http_client *client); /* cancels all; NULL allowed */

/* done comes later, never from inside start, exactly once unless cancelled. */
tael_status tael_http_client_start(struct tael_http_client *client,
                                   const struct tael_http_call *call,
                                   void (*done)(void *user, const struct tael_http_result *result),
                                   void *user, struct tael_http_exchange **out);
void tael_http_exchange_cancel(struct tael_http_exchange *exchange); /* done will not come */

#endif
