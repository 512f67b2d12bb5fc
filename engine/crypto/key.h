/* key.h - RSA keys: reading every form they come in, signing, verifying.
 *
 * A key is for signing (it holds the private part) or for verifying (it holds the public part
 * alone); which of them is fixed when it is read. Signatures are RSASSA-PKCS1-v1_5. Keys never
 * change, are counted and may be used from any thread. Nothing gives a private key's bytes but
 * tael_key_private_pem, for the file that keeps it.
 */
#ifndef TAEL_CRYPTO_KEY_H
#define TAEL_CRYPTO_KEY_H

#include "base/bytes.h"
#include "crypto/digest.h"

struct tael_key;

enum tael_key_use { TAEL_KEY_SIGN, TAEL_KEY_VERIFY };

enum {
    TAEL_KEY_TEXT_MAX = 32 * 1024,
    TAEL_KEY_BITS_MIN = 2048,
    TAEL_KEY_BITS_WEAK = 1024, /* least with weak */
    TAEL_KEY_BITS_MAX = 8192,
    TAEL_SIGNATURE_MAX = TAEL_KEY_BITS_MAX / 8,
};

/* text: PEM or bare base64, blanks and line breaks anywhere; PKCS#8 or PKCS#1 for SIGN,
 * SubjectPublicKeyInfo or PKCS#1 for VERIFY. TAEL_EINVAL: no such key, of the other use, not RSA,
 * too short (below BITS_MIN unless weak) or too long; err->message says which, err may be NULL. */
tael_status tael_key_parse(struct tael_key **out, struct tael_span text, enum tael_key_use use,
                           bool weak, tael_error *err);
tael_status tael_key_generate(struct tael_key **out, int bits, tael_error *err); /* for SIGN */
struct tael_key *tael_key_hold(struct tael_key *key);
void tael_key_release(struct tael_key *key); /* NULL allowed */

enum tael_key_use tael_key_use_of(const struct tael_key *key);
/* All that NIST SP 800-89 5.3.3 asks of the public part, in some 3 ms: a key from elsewhere may
 * have been made so that it proves nothing. Reading one looks for damage alone. TAEL_EINVAL: it is
 * no sound key. */
tael_status tael_key_check(const struct tael_key *key, tael_error *err);
int tael_key_bits(const struct tael_key *key);
size_t tael_key_signature_len(const struct tael_key *key);
const char *
tael_key_id(const struct tael_key *key); /* "rsa2048 9f2c01ab": the public part's digest */

/* TAEL_EINVAL: a key for verifying, or MD5. */
tael_status tael_key_sign(const struct tael_key *key, enum tael_digest digest,
                          struct tael_span data, unsigned char out[TAEL_SIGNATURE_MAX],
                          size_t *out_len);
/* Either use. TAEL_OK: genuine. TAEL_ELIMIT: not of the key's length. TAEL_EINVAL: not genuine, or
 * MD5. TAEL_EINTERNAL: could not be checked. */
tael_status tael_key_verify(const struct tael_key *key, enum tael_digest digest,
                            struct tael_span data, struct tael_span signature);

/* Appends the SubjectPublicKeyInfo, as DER or as PEM. */
tael_status tael_key_public_der(const struct tael_key *key, struct tael_buf *out);
tael_status tael_key_public_pem(const struct tael_key *key, struct tael_buf *out);
/* PKCS#8 PEM in secure memory: tael_secure_free(*out, *len). */
tael_status tael_key_private_pem(const struct tael_key *key, char **out, size_t *len);

#endif
