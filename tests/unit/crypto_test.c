/* crypto_test.c - digests and ciphers against published values, keys in every form, hostile keys
 * and signatures, the key folder, and every constructor while memory runs out. */
#include <stdio.h>
#include <stdlib.h>

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "alloc_fail.h"
#include "crypto/cipher.h"
#include "crypto/codec.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "crypto/key_file.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"
#include "tap.h"

static bool hex_is(const unsigned char *bytes, size_t len, const char *hex)
{
    char text[256];
    return len * 2 == strlen(hex) && tael_hex_encode(text, bytes, len) == len * 2 &&
           memcmp(text, hex, len * 2) == 0;
}

static struct tael_span unhex(const char *hex, unsigned char *out)
{
    if (!tael_hex_decode(out, hex, strlen(hex)))
        abort();
    return (struct tael_span){(const char *)out, strlen(hex) / 2};
}

/* ---- digests ---- */

static void digests_have_their_published_values(void)
{
    static const struct {
        const char *name, *data, *hex;
    } rows[] = {
        {"sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"sha256", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"md5", "abc", "900150983cd24fb0d6963f7d28e17f72"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned char out[TAEL_DIGEST_MAX];
        enum tael_digest kind;
        size_t len = 0;
        CHECK(tael_digest_named(tael_span_of(rows[i].name), &kind));
        CHECK(tael_digest_of(kind, tael_span_of(rows[i].data), out, &len) == TAEL_OK);
        CHECK_NAMED(hex_is(out, len, rows[i].hex), rows[i].hex);
    }
    enum tael_digest kind;
    CHECK(!tael_digest_named(tael_span_of("SHA256"), &kind));
    CHECK(!tael_digest_named(tael_span_of("none"), &kind));
    CHECK(!tael_digest_named(tael_span_of(""), &kind));
}

static void hmac_with_a_key_taken_once_is_the_same_each_time(void)
{
    static const char *const texts[] = {"what do ya want for nothing?", "", "x", "what"};
    unsigned char once[TAEL_DIGEST_MAX], again[TAEL_DIGEST_MAX];
    struct tael_hmac *hmac = NULL;
    size_t len = 0, len_again = 0;
    CHECK(tael_hmac_new(&hmac, TAEL_DIGEST_SHA256, tael_span_of("Jefe")) == TAEL_OK);
    for (size_t i = 0; i < 2 * sizeof(texts) / sizeof(texts[0]); i++) {
        struct tael_span text = tael_span_of(texts[i % 4]);
        CHECK(tael_hmac_of(TAEL_DIGEST_SHA256, tael_span_of("Jefe"), text, once, &len) == TAEL_OK);
        CHECK(tael_hmac_run(hmac, text, again, &len_again) == TAEL_OK);
        CHECK(len == 32 && len_again == 32 && memcmp(once, again, 32) == 0);
    }
    tael_hmac_free(hmac);
    tael_hmac_free(NULL);
}

static void hmac_agrees_with_rfc_4231(void)
{
    unsigned char key[131], out[TAEL_DIGEST_MAX];
    size_t len = 0;
    CHECK(tael_hmac_of(TAEL_DIGEST_SHA256, tael_span_of("Jefe"),
                       tael_span_of("what do ya want for nothing?"), out, &len) == TAEL_OK);
    CHECK(hex_is(out, len, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    memset(key, 0xaa, sizeof(key));
    CHECK(tael_hmac_of(TAEL_DIGEST_SHA256, (struct tael_span){(const char *)key, sizeof(key)},
                       tael_span_of("Test Using Larger Than Block-Size Key - Hash Key First"), out,
                       &len) == TAEL_OK);
    CHECK(hex_is(out, len, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
    CHECK(tael_hmac_of(TAEL_DIGEST_SHA256, tael_span_of(""), tael_span_of(""), out, &len) ==
          TAEL_OK);
    CHECK(hex_is(out, len, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
}

static void comparison_is_of_all_bytes(void)
{
    CHECK(tael_equal(tael_span_of("same"), tael_span_of("same")));
    CHECK(tael_equal(tael_span_of(""), tael_span_of("")));
    CHECK(!tael_equal(tael_span_of("same"), tael_span_of("samf")));
    CHECK(!tael_equal(tael_span_of("same"), tael_span_of("tame")));
    CHECK(!tael_equal(tael_span_of("same"), tael_span_of("sam")));
    CHECK(!tael_equal(tael_span_of(""), tael_span_of("a")));
    CHECK(!tael_equal((struct tael_span){"a\0b", 3}, (struct tael_span){"a\0c", 3}));
}

/* ---- AES ---- */

/* Test case 16 of the GCM specification. */
static const char gcm_key[] = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
static const char gcm_nonce[] = "cafebabefacedbaddecaf888";
static const char gcm_plain[] = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                                "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
static const char gcm_aad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
static const char gcm_sealed[] = "cafebabefacedbaddecaf888"
                                 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                                 "76fc6ece0f4e1768cddf8853bb2d551b";

static void gcm_agrees_with_its_specification(void)
{
    unsigned char key[32], nonce[12], plain[64], aad[32], sealed[128], out[128];
    size_t len = 0;
    struct tael_span text = unhex(gcm_plain, plain);
    struct tael_span extra = unhex(gcm_aad, aad);
    unhex(gcm_key, key);
    unhex(gcm_nonce, nonce);
    CHECK(tael_gcm_seal(key, nonce, text, extra, sealed) == TAEL_OK);
    CHECK(hex_is(sealed, text.len + TAEL_GCM_EXTRA, gcm_sealed));
    struct tael_span all = {(const char *)sealed, text.len + TAEL_GCM_EXTRA};
    CHECK(tael_gcm_open(key, all, extra, out, &len) == TAEL_OK && len == text.len);
    CHECK(memcmp(out, plain, len) == 0);
}

static void gcm_opens_nothing_that_was_touched(void)
{
    unsigned char key[32], nonce[12], plain[64], aad[32], sealed[128], out[128];
    size_t len = 0;
    struct tael_span text = unhex(gcm_plain, plain);
    struct tael_span extra = unhex(gcm_aad, aad);
    unhex(gcm_key, key);
    unhex(gcm_nonce, nonce);
    CHECK(tael_gcm_seal(key, nonce, text, extra, sealed) == TAEL_OK);
    struct tael_span all = {(const char *)sealed, text.len + TAEL_GCM_EXTRA};
    bool refused = true, cleansed = true;
    for (size_t bit = 0; bit < all.len * 8; bit++) {
        sealed[bit / 8] ^= (unsigned char)(1u << bit % 8);
        memset(out, 0x55, sizeof(out));
        refused = refused && tael_gcm_open(key, all, extra, out, &len) == TAEL_EINVAL;
        for (size_t i = 0; i < text.len; i++)
            cleansed = cleansed && out[i] == 0;
        sealed[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    CHECK_NAMED(refused, "each changed bit is noticed");
    CHECK_NAMED(cleansed, "nothing of an unproved text is left behind");
    for (size_t n = 0; n < all.len; n++)
        refused = refused && tael_gcm_open(key, (struct tael_span){all.data, n}, extra, out,
                                           &len) == TAEL_EINVAL;
    CHECK_NAMED(refused, "each missing byte is noticed");
    CHECK(tael_gcm_open(key, all, tael_span_of(""), out, &len) == TAEL_EINVAL);
    key[0] ^= 1;
    CHECK(tael_gcm_open(key, all, extra, out, &len) == TAEL_EINVAL);
    CHECK(ERR_peek_error() == 0);
}

static void cbc_agrees_with_sp_800_38a(void)
{
    unsigned char key[32], iv[16], plain[32], out[64], back[64];
    size_t len = 0, back_len = 0;
    struct tael_span k = unhex("2b7e151628aed2a6abf7158809cf4f3c", key);
    struct tael_span text = unhex("6bc1bee22e409f96e93d7e117393172a", plain);
    unhex("000102030405060708090a0b0c0d0e0f", iv);
    CHECK(tael_cbc_encrypt(k, iv, text, out, &len) == TAEL_OK && len == 32);
    CHECK(hex_is(out, 16, "7649abac8119b246cee98e9b12e9197d"));
    CHECK(tael_cbc_decrypt(k, iv, (struct tael_span){(const char *)out, len}, back, &back_len) ==
          TAEL_OK);
    CHECK(back_len == text.len && memcmp(back, plain, back_len) == 0);
    k = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", key);
    CHECK(tael_cbc_encrypt(k, iv, text, out, &len) == TAEL_OK);
    CHECK(hex_is(out, 16, "f58c4c04d6e5f1ba779eabfb5f7bfbd6"));
}

static void cbc_refuses_broken_blocks(void)
{
    unsigned char iv[16] = {0}, out[64], bad[32];
    size_t len = 0;
    struct tael_span key = tael_span_of("0123456789abcdef");
    CHECK(tael_cbc_encrypt(key, iv, tael_span_of("a"), bad, &len) == TAEL_OK && len == 16);
    for (size_t n = 0; n < 16; n++)
        CHECK(tael_cbc_decrypt(key, iv, (struct tael_span){(const char *)bad, n}, out, &len) ==
              TAEL_EINVAL);
    struct tael_span block = {(const char *)bad, 16};
    iv[15] ^= 1; /* the padding of 15 bytes becomes one of 14 that does not fit */
    CHECK(tael_cbc_decrypt(key, iv, block, out, &len) == TAEL_EINVAL);
    iv[15] ^= 1;
    CHECK(tael_cbc_decrypt(tael_span_of("0123456789abcde"), iv, block, out, &len) == TAEL_EINVAL);
    CHECK(tael_cbc_encrypt(tael_span_of(""), iv, block, out, &len) == TAEL_EINVAL);
}

/* ---- secrets ---- */

static void secrets_have_a_least_length_and_a_fingerprint(void)
{
    static const char bytes[] = "0123456789abcdef0123456789abcdeg";
    struct tael_secret *a = NULL, *b = NULL;
    CHECK(tael_secret_new(&a, bytes, 15) == TAEL_EINVAL && a == NULL);
    CHECK(tael_secret_new(&a, bytes, 16) == TAEL_OK);
    CHECK(tael_secret_new(&b, bytes + 16, 16) == TAEL_OK);
    CHECK(strlen(tael_secret_id(a)) == 8 && strcmp(tael_secret_id(a), tael_secret_id(b)) != 0);
    CHECK(tael_span_is(tael_secret_bytes(a), "0123456789abcdef"));
    CHECK(CRYPTO_secure_malloc_initialized() == 1);
    CHECK(CRYPTO_secure_allocated(tael_secret_bytes(a).data) == 1);
    struct tael_secret *again = tael_secret_hold(a);
    tael_secret_release(a);
    CHECK(tael_span_is(tael_secret_bytes(again), "0123456789abcdef"));
    tael_secret_release(again);
    tael_secret_release(b);
    tael_secret_release(NULL);
}

static void secrets_survive_lack_of_memory(void)
{
    static const char bytes[] = "0123456789abcdef";
    long n = 1;
    for (;; n++) {
        struct tael_secret *secret = NULL;
        alloc_fail_at(n);
        tael_status rc = tael_secret_new(&secret, bytes, 16);
        bool failed = alloc_fail_end();
        tael_secret_release(secret);
        if (!failed)
            break;
        CHECK(rc == TAEL_ENOMEM && secret == NULL);
    }
    CHECK(n > 1);
}

/* ---- keys ---- */

struct texts {                                        /* of one pair of OpenSSL's */
    struct tael_buf pkcs8, pkcs1, spki, pkcs1_public; /* DER */
};

static void append_der(struct tael_buf *out, unsigned char *der, int len)
{
    if (len <= 0 || tael_buf_append(out, der, (size_t)len) != TAEL_OK)
        abort();
    OPENSSL_free(der);
}

static struct texts texts_of(EVP_PKEY *pair)
{
    struct texts texts = {0};
    unsigned char *der = NULL;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pair);
    int len = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    append_der(&texts.pkcs8, der, len);
    PKCS8_PRIV_KEY_INFO_free(info);
    der = NULL;
    len = i2d_PrivateKey(pair, &der);
    append_der(&texts.pkcs1, der, len);
    der = NULL;
    len = i2d_PUBKEY(pair, &der);
    append_der(&texts.spki, der, len);
    der = NULL;
    len = i2d_PublicKey(pair, &der);
    append_der(&texts.pkcs1_public, der, len);
    return texts;
}

static void texts_free(struct texts *texts)
{
    tael_buf_free(&texts->pkcs8);
    tael_buf_free(&texts->pkcs1);
    tael_buf_free(&texts->spki);
    tael_buf_free(&texts->pkcs1_public);
}

/* How a key's base64 is dressed: between, in front and behind, after every `width` characters. */
struct dress {
    const char *begin, *end, *gap;
    size_t width;
};

static char *dressed(const struct tael_buf *der, const struct dress *dress)
{
    char base64[8192];
    struct tael_buf out = {0};
    size_t len = tael_base64_encode(base64, der->data, der->len);
    tael_buf_append_text(&out, dress->begin);
    for (size_t i = 0; i < len; i++) {
        tael_buf_append_char(&out, base64[i]);
        if (dress->width > 0 && (i + 1) % dress->width == 0)
            tael_buf_append_text(&out, dress->gap);
    }
    tael_buf_append_text(&out, dress->end);
    if (tael_buf_append_char(&out, '\0') != TAEL_OK)
        abort();
    return out.data;
}

static struct tael_key *parse(const char *text, enum tael_key_use use, bool weak, tael_error *err)
{
    struct tael_key *key = NULL;
    tael_error ignored;
    tael_status rc =
        tael_key_parse(&key, tael_span_of(text), use, weak, err != NULL ? err : &ignored);
    if ((rc == TAEL_OK) != (key != NULL))
        abort();
    return key;
}

static bool reads(const struct tael_buf *der, const struct dress *dress, enum tael_key_use use)
{
    char *text = dressed(der, dress);
    struct tael_key *key = parse(text, use, false, NULL);
    bool read = key != NULL;
    tael_key_release(key);
    free(text);
    return read;
}

static void every_form_of_a_key_is_read(const struct texts *texts)
{
    static const struct dress bare[] = {
        {"", "", "", 0}, {"", "\n", "\n", 64}, {" \r\n", "\r\n ", "\r\n\t ", 7}, {"", "", " ", 1}};
    for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
        CHECK(reads(&texts->pkcs8, &bare[i], TAEL_KEY_SIGN));
        CHECK(reads(&texts->pkcs1, &bare[i], TAEL_KEY_SIGN));
        CHECK(reads(&texts->spki, &bare[i], TAEL_KEY_VERIFY));
        CHECK(reads(&texts->pkcs1_public, &bare[i], TAEL_KEY_VERIFY));
        CHECK(!reads(&texts->spki, &bare[i], TAEL_KEY_SIGN));
        CHECK(!reads(&texts->pkcs1_public, &bare[i], TAEL_KEY_SIGN));
        CHECK(!reads(&texts->pkcs8, &bare[i], TAEL_KEY_VERIFY));
        CHECK(!reads(&texts->pkcs1, &bare[i], TAEL_KEY_VERIFY));
    }
    static const struct dress pkcs8 = {"-----BEGIN PRIVATE KEY-----\n",
                                       "\n-----END PRIVATE KEY-----\n", "\n", 64};
    static const struct dress pkcs1 = {" -----BEGIN RSA PRIVATE KEY-----",
                                       "-----END RSA PRIVATE KEY-----  ", " ", 33};
    static const struct dress spki = {"-----BEGIN PUBLIC KEY-----\r\n",
                                      "\r\n-----END PUBLIC KEY-----\r\n", "\r\n", 76};
    static const struct dress pkcs1_public = {"-----BEGIN RSA PUBLIC KEY-----\n",
                                              "\n-----END RSA PUBLIC KEY-----", "", 0};
    CHECK(reads(&texts->pkcs8, &pkcs8, TAEL_KEY_SIGN));
    CHECK(reads(&texts->pkcs1, &pkcs1, TAEL_KEY_SIGN));
    CHECK(reads(&texts->spki, &spki, TAEL_KEY_VERIFY));
    CHECK(reads(&texts->pkcs1_public, &pkcs1_public, TAEL_KEY_VERIFY));
    CHECK_NAMED(!reads(&texts->pkcs1, &pkcs8, TAEL_KEY_SIGN), "armour says what is in it");
    CHECK(!reads(&texts->spki, &pkcs1_public, TAEL_KEY_VERIFY));
    CHECK(!reads(&texts->spki, &pkcs8, TAEL_KEY_SIGN));
    CHECK(!reads(&texts->pkcs8, &spki, TAEL_KEY_VERIFY));
}

static void what_is_no_key_is_refused(const struct texts *texts)
{
    static const char *const rows[] = {
        "",
        " ",
        "-",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----",
        "MIIB",
        "AAAA",
        "MA==",
        "not base64!",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tael_error err = {0};
        CHECK(parse(rows[i], TAEL_KEY_SIGN, false, &err) == NULL);
        CHECK(err.status == TAEL_EINVAL && strcmp(err.code, "invalid") == 0);
        CHECK(parse(rows[i], TAEL_KEY_VERIFY, false, NULL) == NULL);
    }
    static const struct dress bare = {"", "", "", 0}, trailing = {"", "AAAA", "", 0};
    CHECK_NAMED(!reads(&texts->pkcs8, &trailing, TAEL_KEY_SIGN), "bytes behind the key");
    struct tael_buf cut = texts->spki;
    bool refused = true;
    for (cut.len = 0; cut.len < texts->spki.len; cut.len++)
        refused = refused && !reads(&cut, &bare, TAEL_KEY_VERIFY);
    CHECK_NAMED(refused, "every shorter public key");
    cut = texts->pkcs8;
    for (cut.len = 0; cut.len < texts->pkcs8.len; cut.len += 11)
        refused = refused && !reads(&cut, &bare, TAEL_KEY_SIGN);
    CHECK_NAMED(refused, "shorter private keys");
    char *huge = malloc(TAEL_KEY_TEXT_MAX + 2);
    if (huge == NULL)
        abort();
    memset(huge, 'A', TAEL_KEY_TEXT_MAX + 1);
    huge[TAEL_KEY_TEXT_MAX + 1] = '\0';
    CHECK(parse(huge, TAEL_KEY_VERIFY, false, NULL) == NULL);
    free(huge);
    CHECK(ERR_peek_error() == 0);
}

/* A changed byte gives no key, or a key that signs nothing its owner's public key accepts; never a
 * private key whose parts do not belong together. */
static void damaged_private_keys_never_sign_wrongly(const struct texts *texts)
{
    static const struct dress bare = {"", "", "", 0};
    bool sound = true;
    for (size_t i = 0; i < texts->pkcs1.len; i += 29) {
        struct tael_buf copy = {0};
        unsigned char signature[TAEL_SIGNATURE_MAX];
        size_t len = 0;
        tael_buf_append(&copy, texts->pkcs1.data, texts->pkcs1.len);
        copy.data[i] = (char)(copy.data[i] ^ 0x10);
        char *text = dressed(&copy, &bare);
        struct tael_key *key = parse(text, TAEL_KEY_SIGN, true, NULL);
        if (key != NULL)
            sound = sound &&
                    tael_key_sign(key, TAEL_DIGEST_SHA256, tael_span_of("x"), signature, &len) ==
                        TAEL_OK &&
                    tael_key_verify(key, TAEL_DIGEST_SHA256, tael_span_of("x"),
                                    (struct tael_span){(const char *)signature, len}) == TAEL_OK;
        tael_key_release(key);
        free(text);
        tael_buf_free(&copy);
    }
    CHECK(sound);
}

static EVP_PKEY *generate_pss(void)
{
    EVP_PKEY *pair = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    if (EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) != 1 ||
        EVP_PKEY_generate(ctx, &pair) != 1)
        abort();
    EVP_PKEY_CTX_free(ctx);
    return pair;
}

static void other_keys_are_refused(void)
{
    static const struct dress bare = {"", "", "", 0};
    EVP_PKEY *curve = EVP_EC_gen("P-256");
    EVP_PKEY *pss = generate_pss();
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    EVP_PKEY *tiny = EVP_RSA_gen(512);
    EVP_PKEY *const pairs[] = {curve, pss, weak, tiny};
    for (size_t i = 0; i < 4; i++) {
        struct tael_buf spki = {0};
        unsigned char *bytes = NULL;
        int len = i2d_PUBKEY(pairs[i], &bytes);
        append_der(&spki, bytes, len);
        CHECK(!reads(&spki, &bare, TAEL_KEY_VERIFY));
        tael_buf_free(&spki);
        struct tael_buf pkcs8 = {0};
        PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pairs[i]);
        bytes = NULL;
        len = i2d_PKCS8_PRIV_KEY_INFO(info, &bytes);
        append_der(&pkcs8, bytes, len);
        PKCS8_PRIV_KEY_INFO_free(info);
        CHECK(!reads(&pkcs8, &bare, TAEL_KEY_SIGN));
        char *text = dressed(&pkcs8, &bare);
        struct tael_key *key = parse(text, TAEL_KEY_SIGN, true, NULL);
        CHECK((key != NULL) == (pairs[i] == weak));
        tael_key_release(key);
        free(text);
        tael_buf_free(&pkcs8);
        EVP_PKEY_free(pairs[i]);
    }
    CHECK(ERR_peek_error() == 0);
}

/* ---- signatures ---- */

static size_t sign_pss(EVP_PKEY *pair, const char *text, unsigned char *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding = NULL;
    size_t len = TAEL_SIGNATURE_MAX;
    if (EVP_DigestSignInit(ctx, &padding, EVP_sha256(), NULL, pair) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) != 1 ||
        EVP_DigestSign(ctx, out, &len, (const unsigned char *)text, strlen(text)) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    return len;
}

/* Signs a block of the caller's making with the bare private operation. */
static size_t sign_raw(EVP_PKEY *pair, const unsigned char *block, size_t block_len,
                       unsigned char *out)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
    size_t len = TAEL_SIGNATURE_MAX;
    if (EVP_PKEY_sign_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1 ||
        EVP_PKEY_sign(ctx, out, &len, block, block_len) != 1)
        abort();
    EVP_PKEY_CTX_free(ctx);
    return len;
}

static tael_status verify(const struct tael_key *key, const char *text, const unsigned char *bytes,
                          size_t len)
{
    return tael_key_verify(key, TAEL_DIGEST_SHA256, tael_span_of(text),
                           (struct tael_span){(const char *)bytes, len});
}

struct sharer {
    pthread_t thread;
    const struct tael_key *sign, *check;
    int number;
    bool sound;
};

static void *sign_and_verify(void *arg)
{
    struct sharer *sharer = arg;
    unsigned char bytes[TAEL_SIGNATURE_MAX];
    char text[32];
    for (int i = 0; i < 20 && sharer->sound; i++) {
        size_t len = 0;
        snprintf(text, sizeof(text), "pay %d of %d", i, sharer->number);
        sharer->sound = tael_key_sign(sharer->sign, TAEL_DIGEST_SHA256, tael_span_of(text), bytes,
                                      &len) == TAEL_OK &&
                        verify(sharer->check, text, bytes, len) == TAEL_OK &&
                        verify(sharer->check, "pay", bytes, len) == TAEL_EINVAL;
    }
    return NULL;
}

/* Workers share a key, and what is prepared in it. */
static void keys_serve_several_threads(const struct tael_key *sign, const struct tael_key *check)
{
    struct sharer sharers[4];
    for (int i = 0; i < 4; i++) {
        sharers[i] = (struct sharer){.sign = sign, .check = check, .number = i, .sound = true};
        if (pthread_create(&sharers[i].thread, NULL, sign_and_verify, &sharers[i]) != 0)
            abort();
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(sharers[i].thread, NULL);
        CHECK_NAMED(sharers[i].sound, "signatures of a shared key");
    }
}

static void signatures_prove_one_text(EVP_PKEY *pair, const struct tael_key *sign,
                                      const struct tael_key *check)
{
    unsigned char bytes[TAEL_SIGNATURE_MAX + 1] = {0};
    size_t len = 0;
    CHECK(tael_key_sign(sign, TAEL_DIGEST_SHA256, tael_span_of("pay 1"), bytes, &len) == TAEL_OK);
    CHECK(len == 256 && len == tael_key_signature_len(check));
    CHECK(verify(check, "pay 1", bytes, len) == TAEL_OK);
    CHECK(verify(check, "pay 2", bytes, len) == TAEL_EINVAL);
    CHECK(verify(check, "", bytes, len) == TAEL_EINVAL);
    CHECK(tael_key_verify(check, TAEL_DIGEST_SHA1, tael_span_of("pay 1"),
                          (struct tael_span){(const char *)bytes, len}) == TAEL_EINVAL);
    CHECK(tael_key_verify(check, TAEL_DIGEST_MD5, tael_span_of("pay 1"),
                          (struct tael_span){(const char *)bytes, len}) == TAEL_EINVAL);
    CHECK(verify(check, "pay 1", bytes, len - 1) == TAEL_ELIMIT);
    CHECK(verify(check, "pay 1", bytes, len + 1) == TAEL_ELIMIT);
    CHECK(verify(check, "pay 1", bytes, 0) == TAEL_ELIMIT);
    bool refused = true;
    for (size_t bit = 0; bit < len * 8; bit += 13) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        refused = refused && verify(check, "pay 1", bytes, len) == TAEL_EINVAL;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    CHECK_NAMED(refused, "a changed bit of a signature");
    memset(bytes, 0, sizeof(bytes));
    CHECK(verify(check, "pay 1", bytes, 256) == TAEL_EINVAL);
    memset(bytes, 0xFF, sizeof(bytes));
    CHECK(verify(check, "pay 1", bytes, 256) == TAEL_EINVAL);
    len = sign_pss(pair, "pay 1", bytes);
    CHECK(len == 256);
    CHECK_NAMED(verify(check, "pay 1", bytes, len) == TAEL_EINVAL, "a PSS signature");
    CHECK(tael_key_sign(check, TAEL_DIGEST_SHA256, tael_span_of("x"), bytes, &len) == TAEL_EINVAL);
    CHECK(tael_key_sign(sign, TAEL_DIGEST_MD5, tael_span_of("x"), bytes, &len) == TAEL_EINVAL);
    CHECK(ERR_peek_error() == 0);
}

/* Blocks that loose checks of the padding have taken for signatures. */
static void loose_padding_is_refused(EVP_PKEY *pair, const struct tael_key *check)
{
    static const char info[] = "3031300d060960864801650304020105000420";
    unsigned char prefix[32], digest[TAEL_DIGEST_MAX], block[256], bytes[TAEL_SIGNATURE_MAX];
    size_t digest_len = 0;
    struct tael_span asn = unhex(info, prefix);
    tael_digest_of(TAEL_DIGEST_SHA256, tael_span_of("pay 1"), digest, &digest_len);
    size_t tail = asn.len + digest_len;
    struct {
        const char *name;
        size_t ones, garbage; /* 0x00 0x01 ones*0xFF 0x00 info digest garbage */
        unsigned char type;
        tael_status want;
    } const rows[] = {
        {"the right block", 256 - 3 - tail, 0, 1, TAEL_OK},
        {"garbage behind the digest", 8, 256 - 3 - tail - 8, 1, TAEL_EINVAL},
        {"one byte of garbage", 256 - 3 - tail - 1, 1, 1, TAEL_EINVAL},
        {"another block type", 256 - 3 - tail, 0, 2, TAEL_EINVAL},
        {"no block type", 256 - 3 - tail, 0, 0, TAEL_EINVAL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memset(block, 0, sizeof(block));
        block[1] = rows[i].type;
        memset(block + 2, 0xFF, rows[i].ones);
        memcpy(block + 3 + rows[i].ones, asn.data, asn.len);
        memcpy(block + 3 + rows[i].ones + asn.len, digest, digest_len);
        memset(block + 3 + rows[i].ones + tail, 0x77, rows[i].garbage);
        size_t len = sign_raw(pair, block, sizeof(block), bytes);
        CHECK_NAMED(verify(check, "pay 1", bytes, len) == rows[i].want, rows[i].name);
    }
}

/* ---- public keys whose numbers cannot be a key's ---- */

static BIGNUM *prime_of(int bits)
{
    BIGNUM *prime = BN_new();
    if (prime == NULL || BN_generate_prime_ex(prime, bits, 0, NULL, NULL, NULL) != 1)
        abort();
    return prime;
}

/* True when a key of modulus a * b + more and this exponent is taken; read: its file would be. */
static bool is_taken_and_read(const BIGNUM *a, const BIGNUM *b, BN_ULONG more, const char *exponent,
                              bool *read)
{
    static const struct dress bare = {"", "", "", 0};
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *n = BN_new(), *e = BN_new();
    EVP_PKEY *pair = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (BN_mul(n, a, b, ctx) != 1 || BN_add_word(n, more) != 1 || BN_dec2bn(&e, exponent) == 0 ||
        OSSL_PARAM_BLD_push_BN(build, "n", n) != 1 || OSSL_PARAM_BLD_push_BN(build, "e", e) != 1)
        abort();
    OSSL_PARAM *numbers = OSSL_PARAM_BLD_to_param(build);
    if (EVP_PKEY_fromdata_init(make) != 1 ||
        EVP_PKEY_fromdata(make, &pair, EVP_PKEY_PUBLIC_KEY, numbers) != 1)
        abort();
    struct tael_buf der = {0};
    unsigned char *bytes = NULL;
    int len = i2d_PUBKEY(pair, &bytes);
    if (len <= 0 || tael_buf_append(&der, (const char *)bytes, (size_t)len) != TAEL_OK)
        abort();
    char *text = dressed(&der, &bare);
    struct tael_key *key = parse(text, TAEL_KEY_VERIFY, true, NULL);
    *read = key != NULL;
    tael_error err = {0};
    bool taken = key != NULL && tael_key_check(key, &err) == TAEL_OK;
    CHECK(key == NULL || taken || strcmp(err.message, "the RSA key is damaged") == 0);
    tael_key_release(key);
    free(text);
    tael_buf_free(&der);
    OPENSSL_free(bytes);
    OSSL_PARAM_free(numbers);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(make);
    EVP_PKEY_free(pair);
    BN_free(n);
    BN_free(e);
    BN_CTX_free(ctx);
    return taken;
}

static bool is_taken(const BIGNUM *a, const BIGNUM *b, BN_ULONG more, const char *exponent)
{
    bool read;
    return is_taken_and_read(a, b, more, exponent, &read);
}

static void public_keys_are_sound(void)
{
    BIGNUM *p = prime_of(520), *q = prime_of(520), *whole = prime_of(1040),
           *short_one = prime_of(347);
    BIGNUM *long_one = prime_of(1031), *square = BN_new();
    BN_CTX *ctx = BN_CTX_new();
    if (BN_sqr(square, short_one, ctx) != 1)
        abort();
    BIGNUM *one = BN_dup(BN_value_one()), *factor = BN_new();
    BN_set_word(factor, 751);
    CHECK_NAMED(is_taken(p, q, 0, "65537"), "two primes");
    CHECK_NAMED(is_taken(p, q, 0, "3"), "with the exponent 3");
    CHECK_NAMED(!is_taken(p, q, 1, "65537"), "an even modulus");
    CHECK_NAMED(!is_taken(p, q, 0, "65536"), "an even exponent");
    CHECK_NAMED(!is_taken(p, q, 0, "1"), "the exponent 1");
    CHECK_NAMED(!is_taken(whole, one, 0, "65537"), "a prime");
    CHECK_NAMED(!is_taken(p, p, 0, "65537"), "the square of a prime");
    CHECK_NAMED(!is_taken(square, short_one, 0, "65537"), "the cube of a prime");
    CHECK_NAMED(!is_taken(long_one, factor, 0, "65537"), "a small factor");
    bool read = false;
    CHECK_NAMED(!is_taken_and_read(whole, one, 0, "65537", &read) && read,
                "a prime is no damage, but no key");
    BN_set_word(factor, 127);
    CHECK_NAMED(!is_taken_and_read(long_one, factor, 0, "65537", &read) && !read,
                "a smaller factor is damage");
    CHECK_NAMED(!is_taken_and_read(p, q, 1, "65537", &read) && !read, "so is an even modulus");
    CHECK_NAMED(!is_taken_and_read(p, q, 0, "1", &read) && !read, "and the exponent 1");
    BIGNUM *all[] = {p, q, whole, short_one, long_one, square, one, factor};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        BN_free(all[i]);
    BN_CTX_free(ctx);
}

static void keys_are_read_and_used(void)
{
    static const struct dress bare = {"", "", "", 0};
    EVP_PKEY *pair = EVP_RSA_gen(2048);
    struct texts texts = texts_of(pair);
    every_form_of_a_key_is_read(&texts);
    what_is_no_key_is_refused(&texts);
    damaged_private_keys_never_sign_wrongly(&texts);
    char *private_text = dressed(&texts.pkcs8, &bare);
    char *public_text = dressed(&texts.spki, &bare);
    struct tael_key *sign = parse(private_text, TAEL_KEY_SIGN, false, NULL);
    struct tael_key *check = parse(public_text, TAEL_KEY_VERIFY, false, NULL);
    CHECK(tael_key_bits(sign) == 2048 && tael_key_use_of(sign) == TAEL_KEY_SIGN);
    CHECK(strlen(tael_key_id(sign)) == 16 && strcmp(tael_key_id(sign), tael_key_id(check)) == 0);
    signatures_prove_one_text(pair, sign, check);
    keys_serve_several_threads(sign, check);
    loose_padding_is_refused(pair, check);
    struct tael_buf der = {0};
    CHECK(tael_key_public_der(sign, &der) == TAEL_OK && der.len == texts.spki.len &&
          memcmp(der.data, texts.spki.data, der.len) == 0);
    char *pem = NULL;
    size_t pem_len = 0;
    CHECK(tael_key_private_pem(check, &pem, &pem_len) == TAEL_EINVAL && pem == NULL);
    CHECK(tael_key_private_pem(sign, &pem, &pem_len) == TAEL_OK);
    CHECK(CRYPTO_secure_allocated(pem) == 1);
    tael_secure_free(pem, pem_len);
    tael_buf_free(&der);
    tael_key_release(tael_key_hold(sign));
    tael_key_release(sign);
    tael_key_release(check);
    tael_key_release(NULL);
    free(private_text);
    free(public_text);
    texts_free(&texts);
    EVP_PKEY_free(pair);
}

/* ---- the folder ---- */

static tael_status secret_of(struct tael_secret **out, const char *text)
{
    return tael_secret_new(out, text, strlen(text));
}

static char folder[] = "/tmp/tael-crypto-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(path_of(name), "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0 ||
        chmod(path_of(name), mode) != 0)
        abort();
}

static void open_folders_and_files_are_refused(void)
{
    static const mode_t folder_modes[] = {0755, 0750, 0777, 0710, 0701, 01777};
    struct tael_keyring *ring = NULL;
    tael_error err = {0};
    for (size_t i = 0; i < sizeof(folder_modes) / sizeof(folder_modes[0]); i++) {
        CHECK(chmod(folder, folder_modes[i]) == 0);
        CHECK(tael_keyring_open(&ring, folder, NULL, &err) == TAEL_EINVAL && ring == NULL);
        CHECK(strcmp(err.code, "forbidden") == 0 && strstr(err.message, folder) != NULL);
    }
    CHECK(chmod(folder, 0700) == 0);
    static const mode_t file_modes[] = {0644, 0640, 0660, 0604, 0700, 0500, 04600};
    for (size_t i = 0; i < sizeof(file_modes) / sizeof(file_modes[0]); i++) {
        put_file("a.secret", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\n", file_modes[i]);
        CHECK(tael_keyring_open(&ring, folder, NULL, &err) == TAEL_EINVAL && ring == NULL);
        CHECK(strcmp(err.code, "forbidden") == 0 &&
              strstr(err.message, path_of("a.secret")) != NULL);
        CHECK(unlink(path_of("a.secret")) == 0);
    }
    put_file("b.pub", "MIIB", 0664);
    CHECK(tael_keyring_open(&ring, folder, NULL, &err) == TAEL_EINVAL);
    CHECK(chmod(path_of("b.pub"), 0644) == 0);
    put_file("notes.txt", "other files are nobody's business", 0666);
    CHECK(tael_keyring_open(&ring, folder, NULL, &err) == TAEL_OK);
    tael_keyring_release(ring);
    CHECK(unlink(path_of("b.pub")) == 0 && unlink(path_of("notes.txt")) == 0);
    CHECK(mkdir(path_of("c.key"), 0700) == 0);
    CHECK(tael_keyring_open(&ring, folder, NULL, &err) == TAEL_EINVAL);
    CHECK(strcmp(err.code, "forbidden") == 0);
    CHECK(rmdir(path_of("c.key")) == 0);
    CHECK(mkfifo(path_of("d.key"), 0600) == 0);
    CHECK(tael_keyring_open(&ring, folder, NULL, &err) == TAEL_EINVAL);
    CHECK(unlink(path_of("d.key")) == 0);
    CHECK(tael_keyring_open(&ring, "/nonexistent/keys", NULL, &err) == TAEL_ENOTFOUND);
    CHECK(strcmp(err.code, "not_found") == 0 && strstr(err.message, "/nonexistent/keys") != NULL);
}

static void modes_are_checked_when_a_file_is_read(struct tael_keyring *ring)
{
    struct tael_secret *secret = NULL;
    tael_error err = {0};
    put_file("late.secret", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB", 0644);
    CHECK(tael_keyring_secret(ring, "late", &secret, &err) == TAEL_EINVAL);
    CHECK(strcmp(err.code, "forbidden") == 0);
    CHECK(chmod(path_of("late.secret"), 0400) == 0);
    CHECK(tael_keyring_secret(ring, "late", &secret, &err) == TAEL_OK);
    CHECK(tael_span_is(tael_secret_bytes(secret), "AAAAAAAAAAAAAAAAAAAAAAAA"));
    tael_secret_release(secret);
    CHECK(unlink(path_of("late.secret")) == 0);
}

static void names_cannot_leave_the_folder(struct tael_keyring *ring)
{
    static const char *const names[] = {"",        ".",  "..",  "../x", "a/b", "/etc/passwd",
                                        ".hidden", "-a", "a b", "a\nb", "ä",   "a%2e"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tael_key *key = NULL;
        struct tael_secret *secret = NULL;
        tael_error err = {0};
        CHECK(tael_keyring_key(ring, names[i], TAEL_KEY_SIGN, false, &key, &err) == TAEL_EINVAL);
        CHECK(strcmp(err.code, "invalid") == 0);
        CHECK(tael_keyring_secret(ring, names[i], &secret, NULL) == TAEL_EINVAL);
        CHECK(tael_keyring_add_key(ring, names[i], 2048, NULL) == TAEL_EINVAL);
        CHECK(!tael_keyring_exists(ring, names[i], TAEL_KIND_KEY));
    }
}

static bool file_holds(const char *name, const char *text)
{
    char content[8192] = {0};
    FILE *file = fopen(path_of(name), "r");
    if (file == NULL)
        abort();
    size_t len = fread(content, 1, sizeof(content) - 1, file);
    fclose(file);
    return len > 0 && strstr(content, text) != NULL;
}

static void generated_keys_come_back(struct tael_keyring *ring, bool sealed)
{
    struct tael_key *sign = NULL, *check = NULL, *same = NULL;
    struct stat st;
    tael_error err = {0};
    CHECK(tael_keyring_add_key(ring, "demo", 2048, &err) == TAEL_OK);
    CHECK(stat(path_of("demo.key"), &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK(stat(path_of("demo.pub"), &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK(file_holds("demo.key", "PRIVATE KEY") == !sealed);
    CHECK(file_holds("demo.key", "TAEL SEALED FILE") == sealed);
    CHECK(file_holds("demo.pub", "BEGIN PUBLIC KEY"));
    CHECK(tael_keyring_key(ring, "demo", TAEL_KEY_SIGN, false, &sign, &err) == TAEL_OK);
    CHECK(tael_keyring_key(ring, "demo", TAEL_KEY_VERIFY, false, &check, &err) == TAEL_OK);
    CHECK(strcmp(tael_key_id(sign), tael_key_id(check)) == 0);
    CHECK(tael_keyring_key(ring, "demo", TAEL_KEY_SIGN, false, &same, &err) == TAEL_OK);
    CHECK(same == sign);
    tael_key_release(same);
    CHECK(tael_keyring_add_key(ring, "demo", 2048, &err) == TAEL_EINVAL);
    CHECK(strcmp(err.code, "exists") == 0);
    CHECK(tael_keyring_add_key(ring, "small", 1024, &err) == TAEL_EINVAL);
    CHECK(tael_keyring_add_key(ring, "odd", 2049, &err) == TAEL_EINVAL);
    CHECK(!tael_keyring_exists(ring, "small", TAEL_KIND_KEY));
    CHECK(tael_keyring_exists(ring, "demo", TAEL_KIND_PUB));
    CHECK(!tael_keyring_exists(ring, "demo", TAEL_KIND_SECRET));
    tael_key_release(sign);
    tael_key_release(check);
}

static void generated_secrets_come_back(struct tael_keyring *ring, bool sealed)
{
    static const char bytes[] = "\x00\xff secret bytes, some of them \n\r";
    struct tael_secret *secret = NULL;
    tael_error err = {0};
    struct tael_span span = {bytes, sizeof(bytes) - 1};
    CHECK(tael_keyring_add_secret(ring, "ids", span, &err) == TAEL_OK);
    CHECK(file_holds("ids.secret", "TAEL SEALED FILE") == sealed);
    CHECK(tael_keyring_secret(ring, "ids", &secret, &err) == TAEL_OK);
    CHECK(tael_equal(tael_secret_bytes(secret), span));
    CHECK(tael_keyring_add_secret(ring, "ids", span, &err) == TAEL_EINVAL);
    CHECK(strcmp(err.code, "exists") == 0);
    CHECK(tael_keyring_add_secret(ring, "short", (struct tael_span){bytes, 15}, &err) ==
          TAEL_EINVAL);
    tael_secret_release(secret);
}

static void replaced_files_are_read_again(struct tael_keyring *ring)
{
    struct tael_key *before = NULL, *after = NULL;
    tael_error err = {0};
    CHECK(tael_keyring_add_key(ring, "turn", 2048, &err) == TAEL_OK);
    CHECK(tael_keyring_key(ring, "turn", TAEL_KEY_SIGN, false, &before, &err) == TAEL_OK);
    CHECK(unlink(path_of("turn.key")) == 0 && unlink(path_of("turn.pub")) == 0);
    CHECK(tael_keyring_key(ring, "turn", TAEL_KEY_SIGN, false, &after, &err) == TAEL_ENOTFOUND);
    CHECK(strcmp(err.code, "not_found") == 0);
    CHECK(tael_keyring_add_key(ring, "turn", 2048, &err) == TAEL_OK);
    CHECK(tael_keyring_key(ring, "turn", TAEL_KEY_SIGN, false, &after, &err) == TAEL_OK);
    CHECK(strcmp(tael_key_id(before), tael_key_id(after)) != 0);
    tael_key_release(before);
    tael_key_release(after);
}

static void broken_files_are_named(struct tael_keyring *ring)
{
    static const struct {
        const char *file, *text;
    } rows[] = {
        {"bad.key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"},
        {"bad.key", ""},
        {"bad.key", "-----BEGIN TAEL SEALED FILE-----\nAAAA\n-----END TAEL SEALED FILE-----\n"},
        {"bad.key", "-----BEGIN TAEL SEALED FILE-----\n****\n-----END TAEL SEALED FILE-----\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_key *key = NULL;
        tael_error err = {0};
        put_file(rows[i].file, rows[i].text, 0600);
        CHECK(tael_keyring_key(ring, "bad", TAEL_KEY_SIGN, false, &key, &err) == TAEL_EINVAL);
        CHECK(strcmp(err.code, "invalid") == 0);
        CHECK(strstr(err.message, path_of(rows[i].file)) != NULL);
        CHECK(strstr(err.message, "MIIB") == NULL);
        CHECK(unlink(path_of(rows[i].file)) == 0);
    }
    static const char *const secrets[] = {"", "AAAA\n", "not base64, for sure", "QUFB QUFB"};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        struct tael_secret *secret = NULL;
        tael_error err = {0};
        put_file("bad.secret", secrets[i], 0600);
        CHECK(tael_keyring_secret(ring, "bad", &secret, &err) == TAEL_EINVAL);
        CHECK(strstr(err.message, path_of("bad.secret")) != NULL);
        CHECK(unlink(path_of("bad.secret")) == 0);
    }
}

static void empty_folder(void)
{
    static const char *const names[] = {"demo.key", "demo.pub", "ids.secret",
                                        "turn.key", "turn.pub", "other.secret"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(path_of(names[i]));
}

static void sealed_files_open_with_their_master_and_name_only(struct tael_secret *master)
{
    struct tael_secret *other = NULL, *secret = NULL;
    struct tael_keyring *ring = NULL;
    tael_error err = {0};
    CHECK(secret_of(&other, "another master, not the one") == TAEL_OK);
    CHECK(tael_keyring_open(&ring, folder, other, &err) == TAEL_OK);
    CHECK(tael_keyring_secret(ring, "ids", &secret, &err) == TAEL_EINVAL);
    tael_keyring_release(ring);
    CHECK(tael_keyring_open(&ring, folder, NULL, &err) == TAEL_OK);
    CHECK(tael_keyring_secret(ring, "ids", &secret, &err) == TAEL_EINVAL);
    CHECK(strstr(err.message, "no master key") != NULL);
    tael_keyring_release(ring);
    char from[256];
    snprintf(from, sizeof(from), "%s", path_of("ids.secret"));
    CHECK(rename(from, path_of("other.secret")) == 0);
    CHECK(tael_keyring_open(&ring, folder, master, &err) == TAEL_OK);
    CHECK_NAMED(tael_keyring_secret(ring, "other", &secret, &err) == TAEL_EINVAL,
                "a sealed file under another's name");
    tael_keyring_release(ring);
    tael_secret_release(other);
}

static void the_folder_keeps_keys(void)
{
    struct tael_keyring *ring = NULL;
    struct tael_secret *master = NULL;
    tael_error err = {0};
    if (mkdtemp(folder) == NULL)
        abort();
    open_folders_and_files_are_refused();
    CHECK(tael_keyring_open(&ring, folder, NULL, &err) == TAEL_OK);
    modes_are_checked_when_a_file_is_read(ring);
    names_cannot_leave_the_folder(ring);
    generated_keys_come_back(ring, false);
    generated_secrets_come_back(ring, false);
    replaced_files_are_read_again(ring);
    broken_files_are_named(ring);
    tael_keyring_release(ring);
    empty_folder();
    CHECK(secret_of(&master, "the master of this folder's files") == TAEL_OK);
    CHECK(tael_keyring_open(&ring, folder, master, &err) == TAEL_OK);
    generated_keys_come_back(ring, true);
    generated_secrets_come_back(ring, true);
    broken_files_are_named(ring);
    tael_keyring_release(ring);
    sealed_files_open_with_their_master_and_name_only(master);
    tael_secret_release(master);
    empty_folder();
    CHECK_NAMED(rmdir(folder) == 0, "no file is left beside the keys");
}

static void the_folder_survives_lack_of_memory(void)
{
    char place[] = "/tmp/tael-crypto-XXXXXX";
    struct tael_secret *master = NULL;
    if (mkdtemp(place) == NULL)
        abort();
    CHECK(secret_of(&master, "the master of this folder's files") == TAEL_OK);
    for (long n = 1;; n++) {
        struct tael_keyring *ring = NULL;
        struct tael_secret *secret = NULL;
        tael_error err = {0};
        alloc_fail_at(n);
        tael_status rc = tael_keyring_open(&ring, place, master, &err);
        if (rc == TAEL_OK)
            rc = tael_keyring_add_secret(ring, "ids", tael_span_of("0123456789abcdef"), &err);
        if (rc == TAEL_OK)
            rc = tael_keyring_secret(ring, "ids", &secret, &err);
        bool failed = alloc_fail_end();
        CHECK((rc == TAEL_OK) == (secret != NULL));
        CHECK(failed ? rc != TAEL_OK : rc == TAEL_OK);
        tael_secret_release(secret);
        tael_keyring_release(ring);
        char path[256];
        snprintf(path, sizeof(path), "%s/ids.secret", place);
        unlink(path);
        if (!failed)
            break;
    }
    tael_secret_release(master);
    CHECK(rmdir(place) == 0);
}

int main(void)
{
    digests_have_their_published_values();
    hmac_agrees_with_rfc_4231();
    hmac_with_a_key_taken_once_is_the_same_each_time();
    comparison_is_of_all_bytes();
    gcm_agrees_with_its_specification();
    gcm_opens_nothing_that_was_touched();
    cbc_agrees_with_sp_800_38a();
    cbc_refuses_broken_blocks();
    secrets_have_a_least_length_and_a_fingerprint();
    secrets_survive_lack_of_memory();
    public_keys_are_sound();
    keys_are_read_and_used();
    other_keys_are_refused();
    the_folder_keeps_keys();
    the_folder_survives_lack_of_memory();
    return tap_end();
}
