/* secret.c - secrets in OpenSSL's secure arena.
 *
 * The arena is the process's, made when the first secret is, once, unless the host program has made
 * one already. Where memory cannot be locked (RLIMIT_MEMLOCK) it is still guarded and not dumped.
 */
#include "crypto/secret.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "crypto/codec.h"
#include "crypto/digest.h"

enum {
    ARENA_BYTES = 4 * 1024 * 1024, /* some 2 KiB for each private key */
    ARENA_PIECE = 32,
};

struct tael_secret {
    atomic_size_t holders;
    size_t len;
    unsigned char *bytes; /* secure */
    char id[TAEL_FINGERPRINT_LEN + 1];
};

/* ---- memory ---- */

static CRYPTO_ONCE arena_once = CRYPTO_ONCE_STATIC_INIT;

static void arena_make(void)
{
    if (!CRYPTO_secure_malloc_initialized())
        CRYPTO_secure_malloc_init(ARENA_BYTES, ARENA_PIECE);
}

void *tael_secure_alloc(size_t len)
{
    if (!CRYPTO_THREAD_run_once(&arena_once, arena_make))
        return NULL;
    return OPENSSL_secure_zalloc(len > 0 ? len : 1);
}

void tael_secure_free(void *memory, size_t len)
{
    if (memory != NULL)
        OPENSSL_secure_clear_free(memory, len);
}

/* ---- secrets ---- */

/* A digest of its own kind, so that the fingerprint is no digest that something else uses. */
static tael_status fingerprint(const unsigned char *bytes, size_t len, char *out)
{
    static const char label[] = "tael secret fingerprint";
    unsigned char digest[TAEL_DIGEST_MAX];
    size_t digest_len = 0;
    tael_status rc =
        tael_hmac_of(TAEL_DIGEST_SHA256, tael_span_of(label),
                     (struct tael_span){(const char *)bytes, len}, digest, &digest_len);
    if (rc == TAEL_OK)
        out[tael_hex_encode(out, digest, TAEL_FINGERPRINT_LEN / 2)] = '\0';
    return rc;
}

tael_status tael_secret_new(struct tael_secret **out, const void *bytes, size_t len)
{
    if (len < TAEL_SECRET_MIN || len > TAEL_SECRET_MAX)
        return TAEL_EINVAL;
    struct tael_secret *secret = calloc(1, sizeof(*secret));
    if (secret == NULL)
        return TAEL_ENOMEM;
    tael_status rc = TAEL_ENOMEM;
    secret->bytes = tael_secure_alloc(len);
    if (secret->bytes == NULL)
        goto free_secret;
    memcpy(secret->bytes, bytes, len);
    secret->len = len;
    atomic_init(&secret->holders, 1);
    rc = fingerprint(secret->bytes, len, secret->id);
    if (rc != TAEL_OK)
        goto free_secret;
    *out = secret;
    return TAEL_OK;
free_secret:
    tael_secure_free(secret->bytes, len);
    free(secret);
    return rc;
}

struct tael_secret *tael_secret_hold(struct tael_secret *secret)
{
    atomic_fetch_add(&secret->holders, 1);
    return secret;
}

void tael_secret_release(struct tael_secret *secret)
{
    if (secret == NULL || atomic_fetch_sub(&secret->holders, 1) > 1)
        return;
    tael_secure_free(secret->bytes, secret->len);
    free(secret);
}

struct tael_span tael_secret_bytes(const struct tael_secret *secret)
{
    return (struct tael_span){(const char *)secret->bytes, secret->len};
}

const char *tael_secret_id(const struct tael_secret *secret)
{
    return secret->id;
}
