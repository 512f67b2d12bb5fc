/* digest.c - digests and HMAC through EVP. No state. */
#include "crypto/digest.h"

#include <limits.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

bool tael_digest_named(struct tael_span name, enum tael_digest *out)
{
    static const char *const names[] = {"sha256", "sha1", "md5"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!tael_span_is(name, names[i]))
            continue;
        *out = (enum tael_digest)i;
        return true;
    }
    return false;
}

const char *tael_digest_name(enum tael_digest kind)
{
    return kind == TAEL_DIGEST_SHA256 ? "SHA256" : kind == TAEL_DIGEST_SHA1 ? "SHA1" : "MD5";
}

static const EVP_MD *algorithm(enum tael_digest kind)
{
    return kind == TAEL_DIGEST_SHA256 ? EVP_sha256()
           : kind == TAEL_DIGEST_SHA1 ? EVP_sha1()
                                      : EVP_md5();
}

tael_status tael_digest_of(enum tael_digest kind, struct tael_span data,
                           unsigned char out[TAEL_DIGEST_MAX], size_t *out_len)
{
    unsigned len = 0;
    if (EVP_Digest(data.data, data.len, out, &len, algorithm(kind), NULL) != 1) {
        ERR_clear_error();
        return TAEL_EINTERNAL;
    }
    *out_len = len;
    return TAEL_OK;
}

tael_status tael_hmac_of(enum tael_digest kind, struct tael_span key, struct tael_span data,
                         unsigned char out[TAEL_DIGEST_MAX], size_t *out_len)
{
    const char *bytes = key.len > 0 ? key.data : ""; /* an empty key is a key */
    if (EVP_Q_mac(NULL, "HMAC", NULL, tael_digest_name(kind), NULL, bytes, key.len,
                  (const unsigned char *)data.data, data.len, out, TAEL_DIGEST_MAX,
                  out_len) == NULL) {
        ERR_clear_error();
        return TAEL_EINTERNAL;
    }
    return TAEL_OK;
}

struct tael_hmac {
    EVP_MAC_CTX *ctx;
};

tael_status tael_hmac_new(struct tael_hmac **out, enum tael_digest kind, struct tael_span key)
{
    const char *bytes = key.len > 0 ? key.data : "";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", (char *)(uintptr_t)tael_digest_name(kind), 0),
        OSSL_PARAM_construct_end()};
    struct tael_hmac *hmac = calloc(1, sizeof(*hmac));
    if (hmac == NULL)
        return TAEL_ENOMEM;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* ctx holds it */
    if (ctx == NULL || EVP_MAC_init(ctx, (const unsigned char *)bytes, key.len, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        free(hmac);
        ERR_clear_error();
        return TAEL_EINTERNAL;
    }
    *out = hmac;
    hmac->ctx = ctx;
    return TAEL_OK;
}

void tael_hmac_free(struct tael_hmac *hmac)
{
    if (hmac == NULL)
        return;
    EVP_MAC_CTX_free(hmac->ctx);
    free(hmac);
}

tael_status tael_hmac_run(struct tael_hmac *hmac, struct tael_span data,
                          unsigned char out[TAEL_DIGEST_MAX], size_t *out_len)
{
    EVP_MAC_CTX *ctx = hmac->ctx;
    if (EVP_MAC_init(ctx, NULL, 0, NULL) != 1 || /* the same key, from the beginning */
        EVP_MAC_update(ctx, (const unsigned char *)data.data, data.len) != 1 ||
        EVP_MAC_final(ctx, out, out_len, TAEL_DIGEST_MAX) != 1) {
        ERR_clear_error();
        return TAEL_EINTERNAL;
    }
    return TAEL_OK;
}

bool tael_equal(struct tael_span a, struct tael_span b)
{
    if (a.len == b.len)
        return a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0;
    /* Different lengths: digests are compared instead, so that the answer comes no sooner. */
    unsigned char of_a[TAEL_DIGEST_MAX] = {0}, of_b[TAEL_DIGEST_MAX] = {1};
    size_t len = 0;
    if (tael_digest_of(TAEL_DIGEST_SHA256, a, of_a, &len) != TAEL_OK ||
        tael_digest_of(TAEL_DIGEST_SHA256, b, of_b, &len) != TAEL_OK)
        return false;
    return CRYPTO_memcmp(of_a, of_b, sizeof(of_a)) == 0 && a.len == b.len;
}

tael_status tael_system_random(void *out, size_t len)
{
    if (len > INT_MAX || RAND_bytes(out, (int)len) != 1) {
        ERR_clear_error();
        return TAEL_EINTERNAL;
    }
    return TAEL_OK;
}
