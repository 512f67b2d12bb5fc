/* http_peers.h - what each peer has: connections that are open, bytes of large bodies. A peer is an
 * address of IPv4, a /64 of IPv6. One per server, its loop's thread.
 *
 * A sorted vector of entries: lookups cost a few comparisons and no choice of addresses makes them
 * dear (threats R47). An entry lives as long as it has anything; whoever gave it that keeps it as a
 * handle.
 */
#ifndef TAEL_NET_HTTP_PEERS_H
#define TAEL_NET_HTTP_PEERS_H

#include "tael.h"

#include <stdbool.h>
#include <stddef.h>

struct tael_network;
struct tael_http_peer;

struct tael_http_peers { /* all zero: empty */
    struct tael_http_peer **entries;
    size_t count, room;
};

/* Loopback addresses and local sockets, which no limit of one address applies to. */
bool tael_http_peer_is_local(const char *peer);

/* Whether one of the networks holds the peer. */
bool tael_http_peer_is_among(const char *peer, const struct tael_network *networks, size_t count);

/* peer: "192.0.2.1:51234", "[2001:db8::1]:51234". TAEL_ELIMIT: max connections are open already. */
tael_status tael_http_peers_add(struct tael_http_peers *peers, const char *peer, size_t max,
                                struct tael_http_peer **out);
void tael_http_peers_remove(struct tael_http_peers *peers,
                            struct tael_http_peer *entry); /* NULL ok */
/* Large bodies may outlive their connections. False: it would have more than max bytes of them. */
bool tael_http_peers_take(struct tael_http_peer *entry, size_t bytes, size_t max);
void tael_http_peers_give(struct tael_http_peers *peers, struct tael_http_peer *entry,
                          size_t bytes);
void tael_http_peers_free(struct tael_http_peers *peers); /* nobody has anything */

#endif
