/* address.c - see address.h. The table follows the IANA registries of special-purpose addresses
 * (iana-ipv4-special-registry, iana-ipv6-special-registry; RFC 6890 and its successors) and of
 * multicast; every block that is not globally reachable is in it, and those that stand for another
 * address (mapped, translated, tunnelled), whose real target would go unchecked.
 */
#include "net/address.h"

#include <stdio.h>

#include <arpa/inet.h>
#include <netinet/in.h>

struct block {
    uint8_t bytes[16];
    uint8_t bits; /* length of the prefix */
    const char *why;
};

/* Narrower ones before those that hold them: the first that fits gives the reason. */
static const struct block ip4_blocks[] = {
    {{169, 254, 169, 254}, 32, "metadata of the cloud"},
    {{169, 254, 170, 2}, 32, "metadata of the cloud"},
    {{100, 100, 100, 200}, 32, "metadata of the cloud"},
    {{192, 0, 0, 192}, 32, "metadata of the cloud"},
    {{168, 63, 129, 16}, 32, "metadata of the cloud"}, /* a public number, answered by the host */
    {{0}, 32, "unspecified"},
    {{0}, 8, "this network"},                  /* RFC 791 */
    {{10}, 8, "private"},                      /* RFC 1918 */
    {{100, 64}, 10, "carrier-grade NAT"},      /* RFC 6598 */
    {{127}, 8, "loopback"},                    /* RFC 1122 */
    {{169, 254}, 16, "link-local"},            /* RFC 3927 */
    {{172, 16}, 12, "private"},                /* RFC 1918 */
    {{192, 0, 0}, 24, "protocol assignments"}, /* RFC 6890 */
    {{192, 0, 2}, 24, "documentation"},        /* RFC 5737 */
    {{192, 88, 99}, 24, "6to4 relay"},         /* RFC 7526 */
    {{192, 168}, 16, "private"},               /* RFC 1918 */
    {{198, 18}, 15, "benchmarking"},           /* RFC 2544 */
    {{198, 51, 100}, 24, "documentation"},     /* RFC 5737 */
    {{203, 0, 113}, 24, "documentation"},      /* RFC 5737 */
    {{224}, 4, "multicast"},                   /* RFC 5771 */
    {{255, 255, 255, 255}, 32, "broadcast"},   /* RFC 919 */
    {{240}, 4, "reserved"},                    /* RFC 1112 */
};

static const struct block ip6_blocks[] = {
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, "metadata of the cloud"},
    {{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}, 128, "metadata of the cloud"},
    {{0}, 128, "unspecified"},
    {{[15] = 1}, 128, "loopback"},
    {{[10] = 0xff, [11] = 0xff}, 96, "IPv4-mapped"},            /* RFC 4291 */
    {{0}, 96, "IPv4-compatible"},                               /* RFC 4291 */
    {{[8] = 0xff, [9] = 0xff}, 96, "IPv4-translated"},          /* RFC 2765 */
    {{0x00, 0x64, 0xff, 0x9b}, 96, "NAT64"},                    /* RFC 6052 */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, "NAT64"},        /* RFC 8215 */
    {{0x01, 0x00}, 64, "discard"},                              /* RFC 6666 */
    {{0x01, 0x00, [7] = 1}, 64, "dummy"},                       /* RFC 9780 */
    {{0x20, 0x01, 0x00, 0x00}, 32, "Teredo"},                   /* RFC 4380 */
    {{0x20, 0x01, 0x00, 0x02, 0x00, 0x00}, 48, "benchmarking"}, /* RFC 5180 */
    {{0x20, 0x01, 0x00, 0x10}, 28, "ORCHID"},                   /* RFC 4843 */
    {{0x20, 0x01, 0x00, 0x20}, 28, "ORCHID"},                   /* RFC 7343 */
    {{0x20, 0x01, 0x00, 0x00}, 23, "protocol assignments"},     /* RFC 2928 */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},            /* RFC 3849 */
    {{0x3f, 0xff, 0x00}, 20, "documentation"},                  /* RFC 9637 */
    {{0x20, 0x02}, 16, "6to4"},                                 /* RFC 3056 */
    {{0x5f, 0x00}, 16, "segment routing"},                      /* RFC 9602 */
    {{0xfc}, 7, "private"},                                     /* RFC 4193 */
    {{0xfe, 0x80}, 10, "link-local"},                           /* RFC 4291 */
    {{0xfe, 0xc0}, 10, "site-local"},                           /* RFC 3879 */
    {{0xff}, 8, "multicast"},                                   /* RFC 4291 */
};

/* All that is given out as global unicast; the rest of the numbers belongs to nobody yet. */
static const struct block ip6_unicast = {{0x20}, 3, "reserved"};

static bool is_in(const struct tael_address *address, const struct block *block)
{
    size_t whole = block->bits / 8;
    unsigned rest = block->bits % 8;
    if (memcmp(address->bytes, block->bytes, whole) != 0)
        return false;
    return rest == 0 || ((address->bytes[whole] ^ block->bytes[whole]) >> (8 - rest)) == 0;
}

const char *tael_address_refusal(const struct tael_address *address)
{
    const struct block *blocks = address->ip6 ? ip6_blocks : ip4_blocks;
    size_t count = address->ip6 ? sizeof(ip6_blocks) / sizeof(ip6_blocks[0])
                                : sizeof(ip4_blocks) / sizeof(ip4_blocks[0]);
    for (size_t i = 0; i < count; i++) {
        if (is_in(address, &blocks[i]))
            return blocks[i].why;
    }
    return address->ip6 && !is_in(address, &ip6_unicast) ? ip6_unicast.why : NULL;
}

/* ---- text and sockets ---- */

bool tael_address_parse(struct tael_address *out, struct tael_span text)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *out = (struct tael_address){.ip6 = strchr(copy, ':') != NULL};
    return inet_pton(out->ip6 ? AF_INET6 : AF_INET, copy, out->bytes) == 1;
}

bool tael_network_parse(struct tael_network *out, struct tael_span text)
{
    const char *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - text.data) : text.len;
    if (!tael_address_parse(&out->address, (struct tael_span){text.data, len}))
        return false;
    unsigned most = out->address.ip6 ? 128 : 32;
    out->bits = most;
    if (slash == NULL)
        return true;
    size_t digits = text.len - len - 1;
    out->bits = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = slash[1 + i];
        if (c < '0' || c > '9')
            return false;
        out->bits = out->bits * 10 + (unsigned)(c - '0');
    }
    return digits > 0 && digits <= 3 && out->bits <= most;
}

bool tael_network_holds(const struct tael_network *network, const struct tael_address *address)
{
    const uint8_t *a = network->address.bytes, *b = address->bytes;
    size_t whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (network->address.ip6 != address->ip6 || memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool tael_address_of_socket(struct tael_address *out, const struct sockaddr *from)
{
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *ip4 = (const void *)from;
        *out = (struct tael_address){.ip6 = false};
        memcpy(out->bytes, &ip4->sin_addr, 4);
        return true;
    }
    if (from->sa_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *ip6 = (const void *)from;
    *out = (struct tael_address){.ip6 = true};
    memcpy(out->bytes, &ip6->sin6_addr, 16);
    return true;
}

void tael_address_format(const struct tael_address *address, char out[TAEL_ADDRESS_TEXT])
{
    if (inet_ntop(address->ip6 ? AF_INET6 : AF_INET, address->bytes, out, TAEL_ADDRESS_TEXT) ==
        NULL)
        out[0] = '\0'; /* cannot be: the room suffices */
}

/* ---- the host of a URL ---- */

static const char *read_port(struct tael_url_host *out, struct tael_span text)
{
    int port = 0;
    if (text.len == 0 || text.len > 5 || text.data[0] == '0')
        return "the port is no number from 1 to 65535";
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return "the port is no number from 1 to 65535";
        port = port * 10 + (text.data[i] - '0');
    }
    out->port = port;
    return port <= 65535 ? NULL : "the port is no number from 1 to 65535";
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* The last label decides how others read a host: 0x… and digits make it a number to them. */
static bool looks_numeric(const char *name)
{
    const char *dot = strrchr(name, '.');
    const char *last = dot != NULL ? dot + 1 : name;
    if (last[0] == '0' && last[1] == 'x')
        return true;
    return strspn(last, "0123456789") == strlen(last);
}

static const char *check_name(const char *name)
{
    size_t label = 0;
    for (const char *at = name; *at != '\0'; at++) {
        bool edge = label == 0 || at[1] == '.' || at[1] == '\0';
        if (*at == '.' && label == 0)
            return "the host has an empty part";
        if (*at != '.' && !is_label_char(*at))
            return "the host is no name: letters, digits, '-' and '.' only, IDN as xn--…";
        if (*at == '-' && edge)
            return "a part of the host begins or ends with '-'";
        label = *at == '.' ? 0 : label + 1;
        if (label > 63)
            return "a part of the host is longer than 63 characters";
    }
    return label == 0 ? "the host ends with a dot" : NULL;
}

static const char *read_name(struct tael_url_host *out, struct tael_span text)
{
    if (text.len == 0)
        return "there is no host";
    if (text.len > TAEL_URL_NAME_MAX)
        return "the host is longer than 253 characters";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        out->name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    const char *wrong =
        memchr(out->name, '\0', text.len) == NULL ? check_name(out->name) : "the host holds a NUL";
    if (wrong != NULL || !looks_numeric(out->name))
        return wrong;
    out->is_address = tael_address_parse(&out->address, text);
    return out->is_address ? NULL : "the host is a number, but no address of the form 192.0.2.1";
}

static const char *read_brackets(struct tael_url_host *out, struct tael_span text)
{
    struct tael_span literal = {text.data + 1, text.len - 2};
    out->is_address = tael_address_parse(&out->address, literal) && out->address.ip6;
    if (!out->is_address)
        return "what stands in brackets is no IPv6 address (zones are not taken)";
    tael_address_format(&out->address, out->name);
    return NULL;
}

/* Where the host ends: at the colon in front of a port, which brackets hide others from. */
static size_t host_len(struct tael_span authority)
{
    const char *from = authority.data;
    if (authority.data[0] == '[') {
        const char *close = memchr(authority.data, ']', authority.len);
        from = close != NULL ? close : from;
    }
    size_t skipped = (size_t)(from - authority.data);
    const char *colon = memchr(from, ':', authority.len - skipped);
    return colon != NULL ? (size_t)(colon - authority.data) : authority.len;
}

const char *tael_url_host_read(struct tael_url_host *out, struct tael_span authority)
{
    *out = (struct tael_url_host){.port = 0};
    if (authority.len == 0)
        return "there is no host";
    if (memchr(authority.data, '@', authority.len) != NULL)
        return "user information is not taken";
    struct tael_span host = {authority.data, host_len(authority)};
    if (host.len < authority.len) {
        size_t skip = host.len + 1;
        const char *wrong =
            read_port(out, (struct tael_span){authority.data + skip, authority.len - skip});
        if (wrong != NULL)
            return wrong;
    }
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        return read_brackets(out, host);
    return read_name(out, host);
}
