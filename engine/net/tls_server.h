/* tls_server.h - TLS of one listener, for all workers: its certificate now, and its connections.
 *
 * A connection is a tael_stream over another one: what HTTP writes is encrypted on its way to the
 * plain stream and the other way round, with the same events and the same back-pressure; so it
 * works in both worlds. The certificate may be loaded anew at any time: connections that have begun
 * go on with the old one, new ones show the new one, and a pair of files that cannot be used
 * changes nothing. Renegotiation is refused, HTTP/1.1 is the only protocol spoken (ALPN).
 *
 * Threads: everything may be called from any thread, but a connection belongs to its loop's.
 */
#ifndef TAEL_NET_TLS_SERVER_H
#define TAEL_NET_TLS_SERVER_H

#include "base/log.h"
#include "base/world.h"
#include "net/tls_context.h"

struct tael_tls_server;

struct tael_tls_server_options { /* texts are copied */
    struct tael_world *world;
    struct tael_log *log;   /* NULL allowed */
    const char *name;       /* of the listener, for the log */
    const char *chain_path; /* PEM: the server's certificate, then its issuers */
    const char *key_path;   /* PEM: PKCS#8, PKCS#1 or EC, mode 0600 */
};

/* err as of tael_tls_context_load. */
tael_status tael_tls_server_new(struct tael_tls_server **out,
                                const struct tael_tls_server_options *options, tael_error *err);
void tael_tls_server_free(struct tael_tls_server *server); /* its connections are gone; NULL ok */

/* Loads the files; logs what came of it. When it fails the old certificate stays. */
tael_status tael_tls_server_reload(struct tael_tls_server *server, tael_error *err);

/* To be called about once a second: loads the files when they are others than those loaded last and
 * have been the same for two calls (who writes two files needs a moment between them); those that
 * could not be loaded are tried again once an hour. Says once a day that a certificate is about to
 * expire. Lets the keys of tickets go when their time is over. One thread at a time. */
void tael_tls_server_watch(struct tael_tls_server *server);

void tael_tls_server_facts(struct tael_tls_server *server, struct tael_tls_facts *out);

/* The stream that HTTP is spoken on, over one that has been accepted and not yet started; that one
 * is the new one's from now on. The handshake begins when it is started and has handshake_ms; no
 * event but end comes before it is done. TAEL_ENOMEM: plain is still the caller's. */
tael_status tael_tls_server_accept(struct tael_tls_server *server, struct tael_stream *plain,
                                   int64_t handshake_ms, struct tael_stream **out);

/* ---- for tls_stream.c ---- */

struct tael_tls_context *tael_tls_server_context(struct tael_tls_server *server); /* held */
struct tael_log *tael_tls_server_log(const struct tael_tls_server *server);
const char *tael_tls_server_name(const struct tael_tls_server *server);

#endif
