/* key.c - RSA keys through EVP.
 *
 * 1 The pair inside is plain RSA: never RSA-PSS, never another type. 2 A private key has signed a
 * probe that its public part verified before anyone gets it. 3 The text of a private key and what
 * is decoded from it stand in secure memory. 4 The error queue of OpenSSL is empty when a function
 * returns.
 */
#include "crypto/key.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/codec.h"
#include "crypto/secret.h"

enum { SMALL_FACTORS = 128 };

static const char damaged[] = "the RSA key is damaged";

struct tael_key {
    atomic_size_t holders;
    EVP_PKEY *pair;
    EVP_MD_CTX *ready; /* SHA-256 begun for the key's use; copied, never run: workers share it */
    enum tael_key_use use;
    int bits;
    char id[32];
};

static tael_status refuse(tael_error *err, tael_status status, const char *code, const char *text)
{
    if (err != NULL) {
        *err = (tael_error){.status = status};
        snprintf(err->code, sizeof(err->code), "%s", code);
        snprintf(err->message, sizeof(err->message), "%s", text);
    }
    return status;
}

static tael_status invalid(tael_error *err, const char *text)
{
    return refuse(err, TAEL_EINVAL, "invalid", text);
}

/* ---- from text to DER ---- */

enum form { FORM_BARE, FORM_PKCS8, FORM_PKCS1, FORM_SPKI, FORM_PKCS1_PUBLIC };

static const struct {
    const char *begin, *end;
    enum form form;
} armours[] = {
    {"-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", FORM_PKCS8},
    {"-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", FORM_PKCS1},
    {"-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----", FORM_SPKI},
    {"-----BEGIN RSA PUBLIC KEY-----", "-----END RSA PUBLIC KEY-----", FORM_PKCS1_PUBLIC},
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct tael_span trimmed(struct tael_span text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Takes the armour off; bare text stays as it is. False: armour of something else. */
static bool unwrap(struct tael_span *text, enum form *form)
{
    *form = FORM_BARE;
    *text = trimmed(*text);
    if (text->len == 0 || text->data[0] != '-')
        return true;
    for (size_t i = 0; i < sizeof(armours) / sizeof(armours[0]); i++) {
        size_t begin = strlen(armours[i].begin);
        size_t end = strlen(armours[i].end);
        if (text->len < begin + end || memcmp(text->data, armours[i].begin, begin) != 0 ||
            memcmp(text->data + text->len - end, armours[i].end, end) != 0)
            continue;
        *form = armours[i].form;
        *text = (struct tael_span){text->data + begin, text->len - begin - end};
        return true;
    }
    return false;
}

/* Decodes base64 with blanks anywhere; der has room for text.len bytes and serves as scratch. */
static bool decode_body(struct tael_span text, unsigned char *der, size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        if (!is_blank(text.data[i]))
            der[n++] = (unsigned char)text.data[i];
    /* in place: a byte is written behind the characters it comes from */
    return n > 0 && tael_base64_decode(der, len, (const char *)der, n);
}

/* ---- from DER to a key ---- */

static EVP_PKEY *whole(EVP_PKEY *pair, const unsigned char *at, const unsigned char *end)
{
    if (pair != NULL && (at != end || !EVP_PKEY_is_a(pair, "RSA"))) {
        EVP_PKEY_free(pair);
        pair = NULL;
    }
    return pair;
}

static EVP_PKEY *read_pkcs8(const unsigned char *der, size_t len)
{
    const unsigned char *at = der;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)len);
    if (info == NULL)
        return NULL;
    EVP_PKEY *pair = EVP_PKCS82PKEY(info);
    PKCS8_PRIV_KEY_INFO_free(info);
    return whole(pair, at, der + len);
}

static EVP_PKEY *read_pkcs1(const unsigned char *der, size_t len)
{
    const unsigned char *at = der;
    EVP_PKEY *pair = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &at, (long)len);
    return whole(pair, at, der + len);
}

static EVP_PKEY *read_spki(const unsigned char *der, size_t len)
{
    const unsigned char *at = der;
    EVP_PKEY *pair = d2i_PUBKEY(NULL, &at, (long)len);
    return whole(pair, at, der + len);
}

static EVP_PKEY *read_pkcs1_public(const unsigned char *der, size_t len)
{
    const unsigned char *at = der;
    EVP_PKEY *pair = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)len);
    return whole(pair, at, der + len);
}

static EVP_PKEY *read_pair(enum tael_key_use use, enum form form, const unsigned char *der,
                           size_t len)
{
    EVP_PKEY *pair = NULL;
    bool any = form == FORM_BARE;
    if (use == TAEL_KEY_SIGN) {
        if (any || form == FORM_PKCS8)
            pair = read_pkcs8(der, len);
        if (pair == NULL && (any || form == FORM_PKCS1))
            pair = read_pkcs1(der, len);
    } else {
        if (any || form == FORM_SPKI)
            pair = read_spki(der, len);
        if (pair == NULL && (any || form == FORM_PKCS1_PUBLIC))
            pair = read_pkcs1_public(der, len);
    }
    ERR_clear_error();
    return pair;
}

static tael_status set_id(struct tael_key *key)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key->pair, &der);
    if (len <= 0)
        return TAEL_EINTERNAL;
    unsigned char digest[TAEL_DIGEST_MAX];
    size_t digest_len = 0;
    char print[TAEL_FINGERPRINT_LEN];
    tael_status rc =
        tael_digest_of(TAEL_DIGEST_SHA256, (struct tael_span){(const char *)der, (size_t)len},
                       digest, &digest_len);
    OPENSSL_free(der);
    tael_hex_encode(print, digest, sizeof(print) / 2);
    snprintf(key->id, sizeof(key->id), "rsa%d %.*s", key->bits, (int)sizeof(print), print);
    return rc;
}

static bool has_small_factor(const BIGNUM *modulus)
{
    for (BN_ULONG factor = 3; factor < SMALL_FACTORS; factor += 2) {
        BN_ULONG rest = BN_mod_word(modulus, factor);
        if (rest == 0 || rest == (BN_ULONG)-1)
            return true;
    }
    return false;
}

/* What a damaged modulus nearly always shows, in a hundredth of the time of tael_key_check. */
static bool public_part_is_plausible(EVP_PKEY *pair)
{
    BIGNUM *modulus = NULL;
    BIGNUM *exponent = NULL;
    bool plausible = EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1 &&
                     EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
                     BN_is_odd(modulus) && BN_is_odd(exponent) && !BN_is_one(exponent) &&
                     !has_small_factor(modulus);
    BN_free(modulus);
    BN_free(exponent);
    return plausible;
}

static bool parts_belong_together(const struct tael_key *key)
{
    static const char probe[] = "the parts of this key belong together";
    unsigned char signature[TAEL_SIGNATURE_MAX];
    size_t len = 0;
    return tael_key_sign(key, TAEL_DIGEST_SHA256, tael_span_of(probe), signature, &len) ==
               TAEL_OK &&
           tael_key_verify(key, TAEL_DIGEST_SHA256, tael_span_of(probe),
                           (struct tael_span){(const char *)signature, len}) == TAEL_OK;
}

static tael_status check_key(const struct tael_key *key, bool weak, tael_error *err)
{
    if (key->bits < (weak ? TAEL_KEY_BITS_WEAK : TAEL_KEY_BITS_MIN))
        return invalid(err, "the RSA key is too short");
    if (key->bits > TAEL_KEY_BITS_MAX)
        return invalid(err, "the RSA key is too long");
    if (!public_part_is_plausible(key->pair) ||
        (key->use == TAEL_KEY_SIGN && !parts_belong_together(key))) {
        ERR_clear_error();
        return invalid(err, damaged);
    }
    return TAEL_OK;
}

static bool begin(EVP_MD_CTX *ctx, const struct tael_key *key, enum tael_key_use use,
                  enum tael_digest digest)
{
    EVP_PKEY_CTX *padding = NULL; /* ctx's */
    const char *name = tael_digest_name(digest);
    int begun = use == TAEL_KEY_SIGN
                    ? EVP_DigestSignInit_ex(ctx, &padding, name, NULL, NULL, key->pair, NULL)
                    : EVP_DigestVerifyInit_ex(ctx, &padding, name, NULL, NULL, key->pair, NULL);
    return begun == 1 && EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PADDING) == 1;
}

/* Looking the algorithms up by name is done once a key. */
static tael_status set_ready(struct tael_key *key)
{
    key->ready = EVP_MD_CTX_new();
    if (key->ready != NULL && begin(key->ready, key, key->use, TAEL_DIGEST_SHA256))
        return TAEL_OK;
    ERR_clear_error();
    return TAEL_EINTERNAL;
}

/* Takes pair over, also when it fails. */
static tael_status key_new(struct tael_key **out, EVP_PKEY *pair, enum tael_key_use use, bool weak,
                           tael_error *err)
{
    struct tael_key *key = calloc(1, sizeof(*key));
    if (key == NULL) {
        EVP_PKEY_free(pair);
        return refuse(err, TAEL_ENOMEM, "out_of_memory", "out of memory");
    }
    atomic_init(&key->holders, 1);
    key->pair = pair;
    key->use = use;
    key->bits = EVP_PKEY_get_bits(pair);
    tael_status rc = check_key(key, weak, err);
    if (rc == TAEL_OK && (rc = set_id(key)) != TAEL_OK)
        refuse(err, rc, "internal", "the key's fingerprint cannot be made");
    if (rc == TAEL_OK && (rc = set_ready(key)) != TAEL_OK)
        refuse(err, rc, "internal", "the key cannot be used for signatures");
    if (rc == TAEL_OK)
        *out = key;
    else
        tael_key_release(key);
    return rc;
}

tael_status tael_key_parse(struct tael_key **out, struct tael_span text, enum tael_key_use use,
                           bool weak, tael_error *err)
{
    static const char *const expected[] = {
        [TAEL_KEY_SIGN] = "not a private RSA key (PKCS#8 or PKCS#1; PEM or base64)",
        [TAEL_KEY_VERIFY] = "not a public RSA key (SubjectPublicKeyInfo or PKCS#1; PEM or base64)",
    };
    enum form form;
    if (text.len == 0 || text.len > TAEL_KEY_TEXT_MAX || !unwrap(&text, &form))
        return invalid(err, expected[use]);
    size_t room = text.len + 1;
    unsigned char *der = tael_secure_alloc(room);
    if (der == NULL)
        return refuse(err, TAEL_ENOMEM, "out_of_memory", "out of memory for secrets");
    size_t len = 0;
    EVP_PKEY *pair = decode_body(text, der, &len) ? read_pair(use, form, der, len) : NULL;
    tael_secure_free(der, room);
    return pair != NULL ? key_new(out, pair, use, weak, err) : invalid(err, expected[use]);
}

tael_status tael_key_generate(struct tael_key **out, int bits, tael_error *err)
{
    if (bits < TAEL_KEY_BITS_MIN || bits > TAEL_KEY_BITS_MAX || bits % 256 != 0)
        return invalid(err, "RSA keys have 2048 to 8192 bits, a multiple of 256");
    EVP_PKEY *pair = EVP_RSA_gen((unsigned)bits);
    if (pair == NULL) {
        ERR_clear_error();
        return refuse(err, TAEL_EINTERNAL, "internal", "no key could be generated");
    }
    return key_new(out, pair, TAEL_KEY_SIGN, false, err);
}

struct tael_key *tael_key_hold(struct tael_key *key)
{
    atomic_fetch_add(&key->holders, 1);
    return key;
}

void tael_key_release(struct tael_key *key)
{
    if (key == NULL || atomic_fetch_sub(&key->holders, 1) > 1)
        return;
    EVP_MD_CTX_free(key->ready);
    EVP_PKEY_free(key->pair);
    free(key);
}

enum tael_key_use tael_key_use_of(const struct tael_key *key)
{
    return key->use;
}

int tael_key_bits(const struct tael_key *key)
{
    return key->bits;
}

tael_status tael_key_check(const struct tael_key *key, tael_error *err)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pair, NULL);
    bool sound = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return sound ? TAEL_OK : invalid(err, damaged);
}

size_t tael_key_signature_len(const struct tael_key *key)
{
    return ((size_t)key->bits + 7) / 8;
}

const char *tael_key_id(const struct tael_key *key)
{
    return key->id;
}

/* ---- signatures ---- */

/* A context for one signature, or NULL. */
static EVP_MD_CTX *begin_one(const struct tael_key *key, enum tael_key_use use,
                             enum tael_digest digest)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL)
        return NULL;
    bool begun = key->ready != NULL && use == key->use && digest == TAEL_DIGEST_SHA256
                     ? EVP_MD_CTX_copy_ex(ctx, key->ready) == 1
                     : begin(ctx, key, use, digest);
    if (!begun) {
        EVP_MD_CTX_free(ctx);
        return NULL;
    }
    EVP_MD_CTX_set_flags(ctx, EVP_MD_CTX_FLAG_FINALISE); /* no copy to go on from */
    return ctx;
}

tael_status tael_key_sign(const struct tael_key *key, enum tael_digest digest,
                          struct tael_span data, unsigned char out[TAEL_SIGNATURE_MAX],
                          size_t *out_len)
{
    if (key->use != TAEL_KEY_SIGN || digest == TAEL_DIGEST_MD5)
        return TAEL_EINVAL;
    tael_status rc = TAEL_EINTERNAL;
    size_t len = TAEL_SIGNATURE_MAX;
    EVP_MD_CTX *ctx = begin_one(key, TAEL_KEY_SIGN, digest);
    if (ctx != NULL &&
        EVP_DigestSign(ctx, out, &len, (const unsigned char *)data.data, data.len) == 1) {
        *out_len = len;
        rc = TAEL_OK;
    }
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

tael_status tael_key_verify(const struct tael_key *key, enum tael_digest digest,
                            struct tael_span data, struct tael_span signature)
{
    if (digest == TAEL_DIGEST_MD5)
        return TAEL_EINVAL;
    if (signature.len != tael_key_signature_len(key))
        return TAEL_ELIMIT;
    tael_status rc = TAEL_EINTERNAL;
    EVP_MD_CTX *ctx = begin_one(key, TAEL_KEY_VERIFY, digest);
    if (ctx != NULL) {
        int genuine = EVP_DigestVerify(ctx, (const unsigned char *)signature.data, signature.len,
                                       (const unsigned char *)data.data, data.len);
        rc = genuine == 1 ? TAEL_OK : TAEL_EINVAL;
    }
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

/* ---- out again ---- */

tael_status tael_key_public_der(const struct tael_key *key, struct tael_buf *out)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key->pair, &der);
    if (len <= 0) {
        ERR_clear_error();
        return TAEL_EINTERNAL;
    }
    tael_status rc = tael_buf_append(out, der, (size_t)len);
    OPENSSL_free(der);
    return rc;
}

tael_status tael_key_public_pem(const struct tael_key *key, struct tael_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL)
        return TAEL_ENOMEM;
    tael_status rc = TAEL_EINTERNAL;
    char *text = NULL; /* bio's */
    if (PEM_write_bio_PUBKEY(bio, key->pair) == 1) {
        long len = BIO_get_mem_data(bio, &text);
        rc = len > 0 ? tael_buf_append(out, text, (size_t)len) : TAEL_EINTERNAL;
    }
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

tael_status tael_key_private_pem(const struct tael_key *key, char **out, size_t *len)
{
    if (key->use != TAEL_KEY_SIGN)
        return TAEL_EINVAL;
    BIO *bio = BIO_new(BIO_s_secmem());
    if (bio == NULL)
        return TAEL_ENOMEM;
    tael_status rc = TAEL_EINTERNAL;
    char *text = NULL; /* bio's */
    long size = 0;
    if (PEM_write_bio_PKCS8PrivateKey(bio, key->pair, NULL, NULL, 0, NULL, NULL) != 1 ||
        (size = BIO_get_mem_data(bio, &text)) <= 0)
        goto free_bio;
    rc = TAEL_ENOMEM;
    char *copy = tael_secure_alloc((size_t)size);
    if (copy == NULL)
        goto free_bio;
    memcpy(copy, text, (size_t)size);
    *out = copy;
    *len = (size_t)size;
    rc = TAEL_OK;
free_bio:
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}
