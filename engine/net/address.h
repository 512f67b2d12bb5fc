/* address.h - addresses as numbers, which of them a public server may have, and the host of a URL.
 *
 * What stands in a URL is read once, strictly, into a name or an address: there is no second
 * reading of it by a resolver that is more generous (0x7f.1, 017700000001, 127.1). What is refused
 * for public connections: address.c, the table. Pure, any thread.
 */
#ifndef TAEL_NET_ADDRESS_H
#define TAEL_NET_ADDRESS_H

#include "base/bytes.h"

struct sockaddr;

struct tael_address {
    bool ip6;
    uint8_t bytes[16]; /* network order; of IPv4 the first four, the others 0 */
};

enum { TAEL_ADDRESS_TEXT = 46, TAEL_URL_NAME_MAX = 253 };

/* A literal in its plain form: four decimal numbers without leading zeros, or IPv6 without
 * brackets and zone. */
bool tael_address_parse(struct tael_address *out, struct tael_span text);
bool tael_address_of_socket(struct tael_address *out, const struct sockaddr *from); /* not unix */
void tael_address_format(const struct tael_address *address, char out[TAEL_ADDRESS_TEXT]);

struct tael_network {
    struct tael_address address;
    unsigned bits;
};

/* "10.0.0.0/8", "2001:db8::/32", or an address alone. */
bool tael_network_parse(struct tael_network *out, struct tael_span text);
bool tael_network_holds(const struct tael_network *network, const struct tael_address *address);

/* Why no public server is there, in words: "loopback"; NULL: one may be. The text is static. */
const char *tael_address_refusal(const struct tael_address *address);

struct tael_url_host {
    char name[TAEL_URL_NAME_MAX + 1]; /* in lower case; of an address the literal, no brackets */
    bool is_address;
    struct tael_address address;
    int port; /* 0: none is given */
};

/* authority: what stands between "://" and the path. NULL: *out is filled; else what is wrong with
 * it, a static text: user information, percent escapes, letters beyond ASCII (IDN must come as
 * xn--…), numeric forms that are no plain address, zones, dots at the end, a wrong port. */
const char *tael_url_host_read(struct tael_url_host *out, struct tael_span authority);

#endif
