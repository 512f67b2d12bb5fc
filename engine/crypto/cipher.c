/* cipher.c - AES through EVP. No state; the error queue is empty when a function returns. */
#include "crypto/cipher.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

static const unsigned char *bytes_of(struct tael_span span)
{
    return (const unsigned char *)(span.data != NULL ? span.data : "");
}

/* ---- GCM ---- */

static bool gcm_seal(EVP_CIPHER_CTX *ctx, const unsigned char *key, const unsigned char *nonce,
                     struct tael_span plain, struct tael_span aad, unsigned char *text,
                     unsigned char *tag)
{
    int len = 0;
    return EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &len, bytes_of(aad), (int)aad.len) == 1 &&
           EVP_EncryptUpdate(ctx, text, &len, bytes_of(plain), (int)plain.len) == 1 &&
           EVP_EncryptFinal_ex(ctx, tag, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAEL_GCM_TAG, tag) == 1;
}

tael_status tael_gcm_seal(const unsigned char key[TAEL_GCM_KEY],
                          const unsigned char nonce[TAEL_GCM_NONCE], struct tael_span plain,
                          struct tael_span aad, unsigned char *out)
{
    if (plain.len > TAEL_CIPHER_MAX || aad.len > TAEL_CIPHER_MAX)
        return TAEL_ELIMIT;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        return TAEL_ENOMEM;
    unsigned char *text = out + TAEL_GCM_NONCE;
    memcpy(out, nonce, TAEL_GCM_NONCE);
    bool ok = gcm_seal(ctx, key, nonce, plain, aad, text, text + plain.len);
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    return ok ? TAEL_OK : TAEL_EINTERNAL;
}

static bool gcm_open(EVP_CIPHER_CTX *ctx, const unsigned char *key, const unsigned char *nonce,
                     struct tael_span text, struct tael_span aad, unsigned char *tag,
                     unsigned char *out)
{
    int len = 0;
    unsigned char nothing[TAEL_CBC_BLOCK];
    return EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &len, bytes_of(aad), (int)aad.len) == 1 &&
           EVP_DecryptUpdate(ctx, out, &len, bytes_of(text), (int)text.len) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAEL_GCM_TAG, tag) == 1 &&
           EVP_DecryptFinal_ex(ctx, nothing, &len) == 1;
}

tael_status tael_gcm_open(const unsigned char key[TAEL_GCM_KEY], struct tael_span sealed,
                          struct tael_span aad, unsigned char *out, size_t *out_len)
{
    if (sealed.len < TAEL_GCM_EXTRA)
        return TAEL_EINVAL;
    if (sealed.len > TAEL_CIPHER_MAX || aad.len > TAEL_CIPHER_MAX)
        return TAEL_ELIMIT;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        return TAEL_ENOMEM;
    struct tael_span text = {sealed.data + TAEL_GCM_NONCE, sealed.len - TAEL_GCM_EXTRA};
    unsigned char tag[TAEL_GCM_TAG];
    memcpy(tag, text.data + text.len, sizeof(tag));
    bool ok = gcm_open(ctx, key, bytes_of(sealed), text, aad, tag, out);
    if (ok)
        *out_len = text.len;
    else
        OPENSSL_cleanse(out, text.len); /* decrypted, but nobody knows by whom it was made */
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    return ok ? TAEL_OK : TAEL_EINVAL;
}

/* ---- CBC ---- */

static const EVP_CIPHER *cbc_for(size_t key_len)
{
    return key_len == 16   ? EVP_aes_128_cbc()
           : key_len == 24 ? EVP_aes_192_cbc()
           : key_len == 32 ? EVP_aes_256_cbc()
                           : NULL;
}

static tael_status cbc(int encrypt, struct tael_span key, const unsigned char *iv,
                       struct tael_span data, unsigned char *out, size_t *out_len)
{
    const EVP_CIPHER *cipher = cbc_for(key.len);
    if (cipher == NULL)
        return TAEL_EINVAL;
    if (data.len > TAEL_CIPHER_MAX)
        return TAEL_ELIMIT;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        return TAEL_ENOMEM;
    int len = 0, rest = 0;
    bool ok = EVP_CipherInit_ex(ctx, cipher, NULL, bytes_of(key), iv, encrypt) == 1 &&
              EVP_CipherUpdate(ctx, out, &len, bytes_of(data), (int)data.len) == 1 &&
              EVP_CipherFinal_ex(ctx, out + len, &rest) == 1;
    if (ok)
        *out_len = (size_t)len + (size_t)rest;
    else
        OPENSSL_cleanse(out, data.len + TAEL_CBC_BLOCK);
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    return ok ? TAEL_OK : encrypt ? TAEL_EINTERNAL : TAEL_EINVAL;
}

tael_status tael_cbc_encrypt(struct tael_span key, const unsigned char iv[TAEL_CBC_BLOCK],
                             struct tael_span data, unsigned char *out, size_t *out_len)
{
    return cbc(1, key, iv, data, out, out_len);
}

tael_status tael_cbc_decrypt(struct tael_span key, const unsigned char iv[TAEL_CBC_BLOCK],
                             struct tael_span data, unsigned char *out, size_t *out_len)
{
    if (data.len == 0 || data.len % TAEL_CBC_BLOCK != 0)
        return TAEL_EINVAL;
    return cbc(0, key, iv, data, out, out_len);
}
