/* tls_context.c - see tls_context.h. Nothing here ever asks a terminal for a passphrase: a key that
 * has one is refused. */
#include "net/tls_context.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "net/tls_files.h"
#include "net/tls_ticket.h"

enum { CHAIN_MAX = 8 };

struct tael_tls_context {
    atomic_size_t holders;
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    struct tael_tls_tickets *tickets;
    struct tael_tls_facts facts;
};

/* Older suites without forward secrecy or authenticated encryption are left out. */
static const char ciphers_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* ---- the chain and the key from text ---- */

static int no_passphrase(char *out, int size, int for_writing, void *user)
{
    (void)out, (void)size, (void)for_writing, (void)user;
    return -1;
}

static BIO *bio_of(const char *data, size_t len)
{
    return len <= INT32_MAX ? BIO_new_mem_buf(data != NULL ? data : "", (int)len) : NULL;
}

/* Fills chain with the certificates of the text, in its order. */
static tael_status parse_chain(const struct tael_buf *text, const char *path,
                               STACK_OF(X509) * chain, tael_error *err)
{
    BIO *bio = bio_of(text->data, text->len);
    X509 *certificate = NULL;
    tael_status rc = bio != NULL ? TAEL_OK : TAEL_ENOMEM;
    while (rc == TAEL_OK &&
           (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        if (sk_X509_push(chain, certificate) <= 0) {
            X509_free(certificate);
            rc = TAEL_ENOMEM;
        } else if (sk_X509_num(chain) > CHAIN_MAX) {
            rc = tael_key_refuse(err, TAEL_ECONFIG, "tls_chain",
                                 "%s: more than %d certificates; is it a bundle of authorities?",
                                 path, CHAIN_MAX);
        }
    }
    unsigned long last = ERR_peek_last_error();
    bool whole = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(bio);
    if (rc != TAEL_OK)
        return rc;
    if (!whole)
        return tael_key_refuse(err, TAEL_ECONFIG, "tls_chain",
                               "%s: certificate %d cannot be read; write the file anew", path,
                               sk_X509_num(chain) + 1);
    if (sk_X509_num(chain) == 0)
        return tael_key_refuse(err, TAEL_ECONFIG, "tls_chain",
                               "%s: no certificate in it (PEM: -----BEGIN CERTIFICATE-----)", path);
    return TAEL_OK;
}

static tael_status check_order(const STACK_OF(X509) * chain, const char *path, tael_error *err)
{
    for (int i = 1; i < sk_X509_num(chain); i++) {
        if (X509_check_issued(sk_X509_value(chain, i), sk_X509_value(chain, i - 1)) != X509_V_OK)
            return tael_key_refuse(err, TAEL_ECONFIG, "tls_chain",
                                   "%s: certificate %d did not issue the one before it; the order "
                                   "is: the server's, then its issuers",
                                   path, i + 1);
    }
    return TAEL_OK;
}

static tael_status parse_key(const struct tael_secure_text *text, const char *path, EVP_PKEY **out,
                             tael_error *err)
{
    BIO *bio = bio_of(text->data, text->len);
    if (bio == NULL)
        return TAEL_ENOMEM;
    *out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (*out == NULL)
        return tael_key_refuse(err, TAEL_ECONFIG, "tls_key",
                               "%s: no private key in it that can be read (PEM, without a "
                               "passphrase)",
                               path);
    return TAEL_OK;
}

/* ---- what is spoken ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *user)
{
    static const unsigned char spoken[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    (void)ssl, (void)user;
    if (SSL_select_next_proto(&chosen, out_len, spoken, sizeof(spoken) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int seal)
{
    const struct tael_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    return tael_tls_tickets_use(context->tickets, name, iv, cipher, mac, seal != 0);
}

static bool set_policy(struct tael_tls_context *context)
{
    static const unsigned char session_context[] = "tael";
    SSL_CTX *ssl = context->ssl;
    SSL_CTX_set_app_data(ssl, context);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS); /* an idle connection keeps none */
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ssl, TAEL_TLS_TICKET_S);
    SSL_CTX_set_security_level(ssl, 2);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, ciphers_12) == 1 &&
           SSL_CTX_set1_groups_list(ssl, "X25519:P-256:P-384") == 1 &&
           SSL_CTX_set_num_tickets(ssl, 1) == 1 &&
           SSL_CTX_set_session_id_context(ssl, session_context, sizeof(session_context) - 1) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket) == 1;
}

/* ---- loading ---- */

static int64_t ms_of(const ASN1_TIME *time)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return 0;
    return (int64_t)timegm(&parts) * 1000;
}

static void set_facts(struct tael_tls_context *context, const X509 *certificate)
{
    struct tael_tls_facts *facts = &context->facts;
    facts->not_before_ms = ms_of(X509_get0_notBefore(certificate));
    facts->not_after_ms = ms_of(X509_get0_notAfter(certificate));
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *text = serial != NULL ? BN_bn2hex(serial) : NULL;
    if (text != NULL && strlen(text) < sizeof(facts->serial))
        memcpy(facts->serial, text, strlen(text) + 1);
    OPENSSL_free(text);
    BN_free(serial);
}

static tael_status use_pair(struct tael_tls_context *context, STACK_OF(X509) * chain, EVP_PKEY *key,
                            const char *chain_path, const char *key_path, tael_error *err)
{
    X509 *leaf = sk_X509_shift(chain); /* what is left are its issuers */
    tael_status rc = TAEL_OK;
    if (X509_check_private_key(leaf, key) != 1) {
        rc =
            tael_key_refuse(err, TAEL_ECONFIG, "tls_mismatch",
                            "%s: not the key of the first certificate of %s", key_path, chain_path);
    } else if (SSL_CTX_use_cert_and_key(context->ssl, leaf, key, chain, 1) != 1) {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());
        rc = tael_key_refuse(err, TAEL_ECONFIG, "tls_refused",
                             "%s: cannot be used: %s; keys of RSA have 2048 bits or more, "
                             "signatures are made with SHA-256 or better",
                             chain_path, why != NULL ? why : "unknown reason");
    } else {
        set_facts(context, leaf);
    }
    ERR_clear_error();
    X509_free(leaf);
    return rc;
}

static tael_status load_pair(struct tael_tls_context *context, const char *chain_path,
                             const char *key_path, tael_error *err)
{
    struct tael_buf text = {0};
    struct tael_secure_text secret = {NULL, 0};
    EVP_PKEY *key = NULL;
    STACK_OF(X509) *chain = sk_X509_new_null();
    tael_status rc = chain != NULL ? tael_tls_chain_read(chain_path, &text, err) : TAEL_ENOMEM;
    if (rc == TAEL_OK)
        rc = parse_chain(&text, chain_path, chain, err);
    if (rc == TAEL_OK)
        rc = check_order(chain, chain_path, err);
    if (rc == TAEL_OK)
        rc = tael_tls_key_read(key_path, &secret, err);
    if (rc == TAEL_OK)
        rc = parse_key(&secret, key_path, &key, err);
    if (rc == TAEL_OK)
        rc = use_pair(context, chain, key, chain_path, key_path, err);
    EVP_PKEY_free(key);
    tael_secure_text_free(&secret);
    tael_buf_free(&text);
    sk_X509_pop_free(chain, X509_free);
    return rc;
}

/* world NULL: without tickets, to be looked at only. */
static tael_status load(struct tael_tls_context **out, struct tael_world *world,
                        const char *chain_path, const char *key_path, tael_error *err)
{
    tael_error failure = {TAEL_OK, "", ""};
    struct tael_tls_context *context = calloc(1, sizeof(*context));
    tael_status rc = context != NULL ? TAEL_OK : TAEL_ENOMEM;
    if (rc == TAEL_OK) {
        atomic_init(&context->holders, 1);
        rc = world != NULL ? tael_tls_tickets_new(&context->tickets, world) : TAEL_OK;
    }
    if (rc == TAEL_OK) {
        context->ssl = SSL_CTX_new(TLS_server_method());
        context->bio = tael_tls_bio_new();
        rc = context->ssl != NULL && context->bio != NULL ? TAEL_OK : TAEL_ENOMEM;
    }
    if (rc == TAEL_OK && !set_policy(context)) {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());
        rc = tael_key_refuse(&failure, TAEL_ECONFIG, "tls_refused",
                             "OpenSSL refuses our settings: %s",
                             why != NULL ? why : "unknown reason");
        ERR_clear_error();
    }
    if (rc == TAEL_OK)
        rc = load_pair(context, chain_path, key_path, &failure);
    if (rc == TAEL_OK) {
        *out = context;
        return TAEL_OK;
    }
    tael_tls_context_release(context);
    if (failure.status == TAEL_OK)
        tael_key_refuse(&failure, rc, "out_of_memory", "out of memory for TLS");
    else if (rc != TAEL_ENOMEM)
        failure.status = TAEL_ECONFIG;
    if (err != NULL)
        *err = failure;
    return failure.status;
}

tael_status tael_tls_context_load(struct tael_tls_context **out, struct tael_world *world,
                                  const char *chain_path, const char *key_path, tael_error *err)
{
    assert(world != NULL);
    return load(out, world, chain_path, key_path, err);
}

tael_status tael_tls_context_check(struct tael_tls_facts *out, const char *chain_path,
                                   const char *key_path, tael_error *err)
{
    struct tael_tls_context *context = NULL;
    tael_status rc = load(&context, NULL, chain_path, key_path, err);
    if (rc == TAEL_OK)
        *out = context->facts;
    tael_tls_context_release(context);
    return rc;
}

struct tael_tls_context *tael_tls_context_hold(struct tael_tls_context *context)
{
    atomic_fetch_add(&context->holders, 1);
    return context;
}

void tael_tls_context_release(struct tael_tls_context *context)
{
    if (context == NULL || atomic_fetch_sub(&context->holders, 1) > 1)
        return;
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->bio);
    tael_tls_tickets_free(context->tickets);
    free(context);
}

void tael_tls_context_age(struct tael_tls_context *context)
{
    tael_tls_tickets_age(context->tickets);
}

const struct tael_tls_facts *tael_tls_context_facts(const struct tael_tls_context *context)
{
    return &context->facts;
}

SSL *tael_tls_context_accept(struct tael_tls_context *context, void *user)
{
    SSL *ssl = SSL_new(context->ssl);
    BIO *bio = BIO_new(context->bio);
    if (ssl == NULL || bio == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, user);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return ssl;
}
