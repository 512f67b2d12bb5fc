/* tls_ticket.h - the keys under which a TLS server gives its sessions to its clients.
 *
 * Clients bring a ticket back to spare both sides the costly part of a handshake. Its key lives in
 * memory only: a new one is made every hour, the one before it still opens tickets, older ones are
 * gone for good. [any thread]
 */
#ifndef TAEL_NET_TLS_TICKET_H
#define TAEL_NET_TLS_TICKET_H

#include <openssl/ssl.h>

#include "base/world.h"

struct tael_tls_tickets;

enum { TAEL_TLS_TICKET_S = 60 * 60 }; /* life of a key, and of a session */

/* TAEL_ENOMEM, TAEL_EINTERNAL: no randomness. */
tael_status tael_tls_tickets_new(struct tael_tls_tickets **out, struct tael_world *world);
void tael_tls_tickets_free(struct tael_tls_tickets *tickets); /* NULL allowed */

/* To be called now and then: a key that nobody asks for is to go in time, too. */
void tael_tls_tickets_age(struct tael_tls_tickets *tickets);

/* The work of SSL_CTX_set_tlsext_ticket_key_evp_cb's function. */
int tael_tls_tickets_use(struct tael_tls_tickets *tickets, unsigned char name[16],
                         unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seal);

#endif
