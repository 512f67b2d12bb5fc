/* tls_context.h - what a TLS server shows and speaks: one certificate chain with its key, TLS 1.2
 * and 1.3 with authenticated ciphers, tickets. Made whole from two files or not at all; never
 * changed afterwards; counted, and held by each connection that was begun with it. [any thread]
 */
#ifndef TAEL_NET_TLS_CONTEXT_H
#define TAEL_NET_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/world.h"

struct tael_tls_context;

enum { TAEL_TLS_SERIAL_TEXT = 48 };

struct tael_tls_facts {
    int64_t not_before_ms, not_after_ms; /* wall clock */
    char serial[TAEL_TLS_SERIAL_TEXT];   /* of the first certificate, hexadecimal */
};

/* Refused: files that break the rules of tls_files.h, no certificate or key in them, a key that
 * does not belong to the first certificate, keys that are too short, a chain out of order. err
 * (may be NULL) names the file; its status is TAEL_ECONFIG, or TAEL_ENOMEM. */
tael_status tael_tls_context_load(struct tael_tls_context **out, struct tael_world *world,
                                  const char *chain_path, const char *key_path, tael_error *err);
/* Would these files be loaded? What they are, if so. err as above. */
tael_status tael_tls_context_check(struct tael_tls_facts *out, const char *chain_path,
                                   const char *key_path, tael_error *err);
struct tael_tls_context *tael_tls_context_hold(struct tael_tls_context *context);
void tael_tls_context_release(struct tael_tls_context *context); /* NULL allowed */

void tael_tls_context_age(struct tael_tls_context *context); /* now and then: see tls_ticket.h */

const struct tael_tls_facts *tael_tls_context_facts(const struct tael_tls_context *context);

/* A connection's end that waits for the client's first words and speaks through the functions of
 * tls_stream.c, which get user. NULL: out of memory. The context must be held as long as it lives.
 */
SSL *tael_tls_context_accept(struct tael_tls_context *context, void *user);

/* The way from OpenSSL to a stream (tls_stream.c); BIO_get_data is user. NULL: out of memory. */
BIO_METHOD *tael_tls_bio_new(void);

#endif
