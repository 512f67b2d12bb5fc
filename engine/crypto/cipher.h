/* cipher.h - AES: GCM for our own use and for channels, CBC for a protocol that has it. Any thread.
 */
#ifndef TAEL_CRYPTO_CIPHER_H
#define TAEL_CRYPTO_CIPHER_H

#include "base/bytes.h"

enum {
    TAEL_GCM_KEY = 32,
    TAEL_GCM_NONCE = 12,
    TAEL_GCM_TAG = 16,
    TAEL_GCM_EXTRA = TAEL_GCM_NONCE + TAEL_GCM_TAG,
    TAEL_CBC_BLOCK = 16,
    TAEL_CIPHER_MAX = 64 * 1024 * 1024, /* bytes of one text */
};

/* out: room for plain.len + GCM_EXTRA; nonce || ciphertext || tag. The nonce must be new for the
 * key. */
tael_status tael_gcm_seal(const unsigned char key[TAEL_GCM_KEY],
                          const unsigned char nonce[TAEL_GCM_NONCE], struct tael_span plain,
                          struct tael_span aad, unsigned char *out);
/* sealed: as seal made it. out: room for sealed.len - GCM_EXTRA bytes, cleansed on failure.
 * TAEL_EINVAL: too short or not genuine. */
tael_status tael_gcm_open(const unsigned char key[TAEL_GCM_KEY], struct tael_span sealed,
                          struct tael_span aad, unsigned char *out, size_t *out_len);

/* PKCS#7 padding; key of 16, 24 or 32 bytes. out: room for data.len + CBC_BLOCK. TAEL_EINVAL: the
 * key's length, or (decrypt) not whole blocks or padding. CBC proves nothing: verify first. */
tael_status tael_cbc_encrypt(struct tael_span key, const unsigned char iv[TAEL_CBC_BLOCK],
                             struct tael_span data, unsigned char *out, size_t *out_len);
tael_status tael_cbc_decrypt(struct tael_span key, const unsigned char iv[TAEL_CBC_BLOCK],
                             struct tael_span data, unsigned char *out, size_t *out_len);

#endif
