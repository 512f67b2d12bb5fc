/* http_client.h - HTTP client of one loop: libcurl's multi interface on libuv in the real world,
 * the same calls over in-memory streams in the simulated one. Reuses connections; never follows
 * redirects; ignores proxies of the environment; verifies TLS (>= 1.2), names and dates always. No
 * Lua type here.
 *
 * Addresses (threats R50, R51): a host is looked up once; every address that it has is checked, the
 * connection goes to one of those and is checked again when its socket is made. An address that
 * fails, or is not connected to in half of what is left of connect_ms, is followed by the next. A
 * public call never uses a connection that another kind of call has opened. Local sockets are
 * exempt; the simulated world looks nothing up and has no address but its own.
 *
 * Pools: a call that names a pool shares connections with that pool's calls alone; others share
 * theirs by host. Of a pool (or host) per_pool exchanges are under way at once, the others wait in
 * order; waiting counts against their deadline.
 */
#ifndef TAEL_NET_HTTP_CLIENT_H
#define TAEL_NET_HTTP_CLIENT_H

#include "base/world.h"
#include "net/http.h"
#include "net/resolve.h"

struct tael_http_client;
struct tael_http_exchange;

enum tael_http_addresses {
    TAEL_HTTP_ADDRESSES, /* any where the client may, else public */
    TAEL_HTTP_ADDRESSES_PUBLIC,
    TAEL_HTTP_ADDRESSES_ANY, /* where the client may not: public all the same */
};

struct tael_http_client_options { /* all zero: the defaults */
    int64_t connect_ms;           /* of calls that do not say; 0: 3000 */
    int64_t total_ms;             /* 0: 10000 */
    size_t per_pool;              /* exchanges under way at once; 0: 64 */
    const char *ca_file;          /* NULL: the system's */
    bool allow_private;           /* false: every call is public */
    tael_resolve_fn resolve;      /* NULL: the system's resolver */
    void *resolve_user;
};

struct tael_http_call { /* copied by start */
    const char *method;
    const char *url; /* http:// or https:// */
    const struct tael_http_header *headers;
    size_t header_count;
    struct tael_span body;
    int64_t timeout_ms;  /* all of it, waiting included; 0: the client's */
    int64_t connect_ms;  /* looking up, connecting, TLS; 0: the client's */
    int64_t deadline_us; /* on the monotonic clock: nothing lasts beyond it; 0: none */
    size_t max_bytes;    /* of the answer's body; 0: 1 MiB */
    enum tael_http_addresses addresses;
    const char *pool;      /* NULL: that of the host */
    const char *unix_path; /* connect here instead of the URL's host; NULL: no */
    const char *ca_file;   /* NULL: the client's */
    const char *cert_file; /* our own certificate, PEM; NULL: none */
    const char *key_file;  /* its key: mode 0600 or 0400 */
};

enum tael_http_failure {
    TAEL_HTTP_OK,
    TAEL_HTTP_TIMEOUT,
    TAEL_HTTP_CONNECT,
    TAEL_HTTP_TLS,
    TAEL_HTTP_TOO_LARGE,
    TAEL_HTTP_RESET,   /* connection lost or answer not HTTP */
    TAEL_HTTP_ADDRESS, /* a host or address that may not be asked: never sent */
};

struct tael_http_result { /* valid until the callback returns */
    enum tael_http_failure failure;
    bool sent;          /* false: certainly no byte of the request left this machine */
    const char *detail; /* what is known about a failure beyond its kind; may be empty */
    int status;
    const struct tael_http_header *headers; /* names in lower case */
    size_t header_count;
    struct tael_span body;
    int64_t elapsed_us;
};

/* What calls to others go out by, which is loaded with the first of them: its version, or why there
 * is none (TAEL_EINTERNAL). Loads it, which takes some ms. */
tael_status tael_http_client_about(char *out, size_t size);

/* options may be NULL; its texts are copied. */
tael_status tael_http_client_new(struct tael_http_client **out, struct tael_loop *loop,
                                 const struct tael_http_client_options *options);
void tael_http_client_free(struct tael_http_client *client); /* cancels all; NULL allowed */

/* done comes later, never from inside start, exactly once unless cancelled. TAEL_EINVAL: no method,
 * URL, header or path that could be asked; a host that may not be is told by done. */
tael_status tael_http_client_start(struct tael_http_client *client,
                                   const struct tael_http_call *call,
                                   void (*done)(void *user, const struct tael_http_result *result),
                                   void *user, struct tael_http_exchange **out);
void tael_http_exchange_cancel(struct tael_http_exchange *exchange); /* done will not come */

#endif
