/* tls_ticket.c - see tls_ticket.h. A ticket is AES-256-CBC under a random IV, then HMAC-SHA-256:
 * the form that OpenSSL and RFC 5077 use. */
#include "net/tls_ticket.h"

#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

struct key {
    unsigned char name[16];
    unsigned char cipher[32];
    unsigned char mac[32];
};

struct tael_tls_tickets {
    struct tael_world *world;
    pthread_mutex_t lock;
    struct key now, before;
    bool has_before;
    int64_t made_us; /* now */
};

static bool make_key(struct key *key)
{
    return RAND_bytes(key->name, sizeof(key->name)) == 1 &&
           RAND_priv_bytes(key->cipher, sizeof(key->cipher)) == 1 &&
           RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1;
}

tael_status tael_tls_tickets_new(struct tael_tls_tickets **out, struct tael_world *world)
{
    struct tael_tls_tickets *tickets = calloc(1, sizeof(*tickets));
    if (tickets == NULL || pthread_mutex_init(&tickets->lock, NULL) != 0) {
        free(tickets);
        return TAEL_ENOMEM;
    }
    tickets->world = world;
    tickets->made_us = tael_mono_us(world);
    if (!make_key(&tickets->now)) {
        tael_tls_tickets_free(tickets);
        return TAEL_EINTERNAL;
    }
    *out = tickets;
    return TAEL_OK;
}

void tael_tls_tickets_free(struct tael_tls_tickets *tickets)
{
    if (tickets == NULL)
        return;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets, sizeof(*tickets));
    free(tickets);
}

/* A key that is too old makes room for a new one; the lock is held. */
static void rotate(struct tael_tls_tickets *tickets)
{
    struct key fresh;
    int64_t now = tael_mono_us(tickets->world);
    int64_t life = (int64_t)TAEL_TLS_TICKET_S * 1000000;
    int64_t age = now - tickets->made_us;
    if (age < life || !make_key(&fresh))
        return;
    tickets->before = tickets->now;
    tickets->has_before = age < 2 * life;
    if (!tickets->has_before)
        OPENSSL_cleanse(&tickets->before, sizeof(tickets->before));
    tickets->now = fresh;
    tickets->made_us = now;
    OPENSSL_cleanse(&fresh, sizeof(fresh));
}

void tael_tls_tickets_age(struct tael_tls_tickets *tickets)
{
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets);
    pthread_mutex_unlock(&tickets->lock);
}

static bool init(const struct key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                 EVP_MAC_CTX *mac, bool seal)
{
    unsigned char secret[sizeof(key->mac)]; /* parameters are not const */
    char digest[] = "SHA256";
    memcpy(secret, key->mac, sizeof(secret));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool ok = EVP_MAC_CTX_set_params(mac, params) == 1 &&
              EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, seal) == 1;
    OPENSSL_cleanse(secret, sizeof(secret));
    return ok;
}

int tael_tls_tickets_use(struct tael_tls_tickets *tickets, unsigned char name[16],
                         unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seal)
{
    struct key key = {.name = {0}};
    int found = 0; /* of opening: 1 with the key of now, 2 with the one before: to be renewed */
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets);
    if (seal || memcmp(name, tickets->now.name, sizeof(key.name)) == 0)
        found = 1;
    else if (tickets->has_before && memcmp(name, tickets->before.name, sizeof(key.name)) == 0)
        found = 2;
    if (found > 0)
        key = found == 1 ? tickets->now : tickets->before;
    pthread_mutex_unlock(&tickets->lock);
    if (found == 0)
        return 0; /* a full handshake */
    if (seal)
        memcpy(name, key.name, sizeof(key.name));
    bool ok = (!seal || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1) &&
              init(&key, iv, cipher, mac, seal);
    OPENSSL_cleanse(&key, sizeof(key));
    return ok ? found : -1;
}
