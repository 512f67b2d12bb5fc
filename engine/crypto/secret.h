/* secret.h - memory for secrets, and secrets as counted objects.
 *
 * Such memory is locked, left out of core dumps, between guard pages, and cleansed before it is
 * freed. A secret never changes; any thread may hold it. Its bytes go to the crypto rooms only.
 */
#ifndef TAEL_CRYPTO_SECRET_H
#define TAEL_CRYPTO_SECRET_H

#include "base/bytes.h"

struct tael_secret;

enum {
    TAEL_SECRET_MIN = 16, /* bytes: less is guessed */
    TAEL_SECRET_MAX = 1024,
    TAEL_FINGERPRINT_LEN = 8,
};

/* TAEL_EINVAL: fewer than MIN or more than MAX bytes. bytes stay the caller's. */
tael_status tael_secret_new(struct tael_secret **out, const void *bytes, size_t len);
struct tael_secret *tael_secret_hold(struct tael_secret *secret);
void tael_secret_release(struct tael_secret *secret); /* NULL allowed */
struct tael_span tael_secret_bytes(const struct tael_secret *secret);
const char *tael_secret_id(const struct tael_secret *secret); /* 8 hexadecimal digits of a digest */

/* For buffers that hold secrets for a while. */
void *tael_secure_alloc(size_t len);             /* zeroed; NULL: no memory left there */
void tael_secure_free(void *memory, size_t len); /* cleansed; NULL allowed */

#endif
