/* digest.h - digests, HMAC, comparison in constant time, the system's randomness. Any thread. */
#ifndef TAEL_CRYPTO_DIGEST_H
#define TAEL_CRYPTO_DIGEST_H

#include "base/bytes.h"

enum tael_digest { /* MD5 and SHA-1 for protocols and files that are older than we are */
                   TAEL_DIGEST_SHA256,
                   TAEL_DIGEST_SHA1,
                   TAEL_DIGEST_MD5,
};

enum { TAEL_DIGEST_MAX = 32 };

/* "sha256", "sha1", "md5"; false: another name. */
bool tael_digest_named(struct tael_span name, enum tael_digest *out);
const char *tael_digest_name(enum tael_digest kind); /* as OpenSSL calls it, static */

/* TAEL_EINTERNAL: the library refused (out of memory, or the algorithm is switched off). */
tael_status tael_digest_of(enum tael_digest kind, struct tael_span data,
                           unsigned char out[TAEL_DIGEST_MAX], size_t *out_len);
tael_status tael_hmac_of(enum tael_digest kind, struct tael_span key, struct tael_span data,
                         unsigned char out[TAEL_DIGEST_MAX], size_t *out_len);

/* HMAC with one key, again and again: the key is taken in once. One thread at a time. */
struct tael_hmac;
tael_status tael_hmac_new(struct tael_hmac **out, enum tael_digest kind, struct tael_span key);
void tael_hmac_free(struct tael_hmac *hmac); /* NULL allowed */
tael_status tael_hmac_run(struct tael_hmac *hmac, struct tael_span data,
                          unsigned char out[TAEL_DIGEST_MAX], size_t *out_len);

/* The time depends on the lengths only. */
bool tael_equal(struct tael_span a, struct tael_span b);

/* From the system's generator; only where no world is at hand, or for keys made by the library. */
tael_status tael_system_random(void *out, size_t len);

#endif
