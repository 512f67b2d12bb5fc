/* address_test.c - which addresses a public connection may go to, against a table of its own, and
 * which hosts a URL may name. */
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/address.h"
#include "tap.h"

/* ---- the reference: blocks as the registries write them, read by inet_pton ---- */

static const char *const refused_blocks[] = {
    /* IANA IPv4 special-purpose registry: not globally reachable */
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32",
    /* IPv4 multicast, and the one metadata address with a public number */
    "224.0.0.0/4", "168.63.129.16/32",
    /* IPv6: all but global unicast, and within that what is special */
    "::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"};

struct reference {
    uint8_t bytes[16];
    int bits;
    bool ip6;
};

static struct reference reference_of(const char *text)
{
    struct reference out = {.ip6 = strchr(text, ':') != NULL};
    char host[64];
    snprintf(host, sizeof(host), "%s", text);
    char *slash = strchr(host, '/');
    if (slash == NULL)
        abort();
    *slash = '\0';
    out.bits = (int)strtol(slash + 1, NULL, 10);
    if (inet_pton(out.ip6 ? AF_INET6 : AF_INET, host, out.bytes) != 1)
        abort();
    return out;
}

static bool reference_holds(const struct reference *block, const uint8_t *bytes)
{
    for (int i = 0; i < block->bits; i++) {
        if (((bytes[i / 8] ^ block->bytes[i / 8]) >> (7 - i % 8) & 1) != 0)
            return false;
    }
    return true;
}

static bool reference_refuses(bool ip6, const uint8_t *bytes)
{
    for (size_t i = 0; i < sizeof(refused_blocks) / sizeof(refused_blocks[0]); i++) {
        struct reference block = reference_of(refused_blocks[i]);
        if (block.ip6 == ip6 && reference_holds(&block, bytes))
            return true;
    }
    return false;
}

static bool agrees(bool ip6, const uint8_t *bytes)
{
    struct tael_address address = {.ip6 = ip6};
    memcpy(address.bytes, bytes, ip6 ? 16 : 4);
    bool right = (tael_address_refusal(&address) != NULL) == reference_refuses(ip6, bytes);
    if (!right) {
        char text[TAEL_ADDRESS_TEXT];
        tael_address_format(&address, text);
        printf("# differs: %s\n", text);
    }
    return right;
}

/* ---- addresses ---- */

static void step(uint8_t *bytes, int size, int by)
{
    for (int i = size - 1; i >= 0; i--) {
        int sum = bytes[i] + by;
        bytes[i] = (uint8_t)sum;
        if (sum >= 0 && sum <= 255)
            return;
    }
}

/* The first and last of every block, and their neighbours outside. */
static void edges_of_blocks_are_where_they_are(void)
{
    for (size_t i = 0; i < sizeof(refused_blocks) / sizeof(refused_blocks[0]); i++) {
        struct reference block = reference_of(refused_blocks[i]);
        int size = block.ip6 ? 16 : 4;
        uint8_t at[16];
        memcpy(at, block.bytes, 16);
        bool right = agrees(block.ip6, at);
        step(at, size, -1);
        right = right && agrees(block.ip6, at);
        memcpy(at, block.bytes, 16);
        for (int bit = block.bits; bit < size * 8; bit++)
            at[bit / 8] |= (uint8_t)(1 << (7 - bit % 8));
        right = right && agrees(block.ip6, at);
        step(at, size, 1);
        CHECK_NAMED(right && agrees(block.ip6, at), refused_blocks[i]);
    }
}

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint8_t next_byte(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint8_t)(state >> 32);
}

static void drawn_addresses_agree(void)
{
    bool right = true;
    int refused = 0;
    for (int i = 0; i < 200000; i++) {
        uint8_t at[16] = {0};
        bool ip6 = i % 2 == 0;
        for (int n = 0; n < (ip6 ? 16 : 4); n++)
            at[n] = next_byte();
        if (ip6 && i % 4 == 0) { /* half of them where the special ones are */
            static const uint8_t heads[][3] = {
                {0x20, 0x01, 0x00}, {0x20, 0x01, 0x01}, {0x20, 0x01, 0x0d}, {0x3f, 0xff, 0x00},
                {0x20, 0x02, 0x00}, {0x00, 0x64, 0xff}, {0x20, 0x01, 0x02}, {0x3f, 0xff, 0x10}};
            memcpy(at, heads[next_byte() % 8], 3);
        }
        right = right && agrees(ip6, at);
        refused += reference_refuses(ip6, at);
    }
    CHECK(right && refused > 40000 && refused < 180000);
}

static const char *refusal_of(const char *text)
{
    struct tael_address address;
    if (!tael_address_parse(&address, tael_span_of(text)))
        return "not an address";
    const char *why = tael_address_refusal(&address);
    return why != NULL ? why : "public";
}

static void reasons_are_given(void)
{
    static const struct {
        const char *address, *why;
    } rows[] = {
        {"127.0.0.1", "loopback"},
        {"127.255.255.254", "loopback"},
        {"10.1.2.3", "private"},
        {"172.16.0.1", "private"},
        {"172.31.255.255", "private"},
        {"192.168.1.1", "private"},
        {"169.254.169.254", "metadata of the cloud"},
        {"169.254.170.2", "metadata of the cloud"},
        {"168.63.129.16", "metadata of the cloud"},
        {"100.100.100.200", "metadata of the cloud"},
        {"192.0.0.192", "metadata of the cloud"},
        {"169.254.1.1", "link-local"},
        {"100.64.0.1", "carrier-grade NAT"},
        {"100.127.255.255", "carrier-grade NAT"},
        {"0.0.0.0", "unspecified"},
        {"0.1.2.3", "this network"},
        {"224.0.0.1", "multicast"},
        {"239.255.255.255", "multicast"},
        {"255.255.255.255", "broadcast"},
        {"240.0.0.1", "reserved"},
        {"192.0.2.1", "documentation"},
        {"198.51.100.1", "documentation"},
        {"203.0.113.1", "documentation"},
        {"198.19.255.255", "benchmarking"},
        {"192.88.99.1", "6to4 relay"},
        {"::", "unspecified"},
        {"::1", "loopback"},
        {"::ffff:127.0.0.1", "IPv4-mapped"},
        {"::ffff:8.8.8.8", "IPv4-mapped"},
        {"::ffff:a9fe:a9fe", "IPv4-mapped"},
        {"::127.0.0.1", "IPv4-compatible"},
        {"::8.8.8.8", "IPv4-compatible"},
        {"::ffff:0:127.0.0.1", "IPv4-translated"},
        {"64:ff9b::127.0.0.1", "NAT64"},
        {"64:ff9b::808:808", "NAT64"},
        {"64:ff9b:1::1", "NAT64"},
        {"64:ff9b:1:ffff::10.0.0.1", "NAT64"},
        {"64:ff9b:2::1", "reserved"},
        {"100::1", "discard"},
        {"2001::1", "Teredo"},
        {"2001:0:7f00:1::", "Teredo"},
        {"2001:2::1", "benchmarking"},
        {"2001:10::1", "ORCHID"},
        {"2001:2f::1", "ORCHID"},
        {"2001:1ff::1", "protocol assignments"},
        {"2001:db8::1", "documentation"},
        {"3fff::1", "documentation"},
        {"2002:7f00:1::", "6to4"},
        {"2002:808:808::1", "6to4"},
        {"5f00::1", "segment routing"},
        {"fc00::1", "private"},
        {"fd12:3456::1", "private"},
        {"fd00:ec2::254", "metadata of the cloud"},
        {"fd20:ce::254", "metadata of the cloud"},
        {"fe80::1", "link-local"},
        {"febf::1", "link-local"},
        {"fec0::1", "site-local"},
        {"ff02::1", "multicast"},
        {"4000::1", "reserved"},
        {"8.8.8.8", "public"},
        {"1.1.1.1", "public"},
        {"110.75.130.1", "public"},
        {"126.255.255.255", "public"},
        {"128.0.0.1", "public"},
        {"172.15.255.255", "public"},
        {"172.32.0.1", "public"},
        {"192.167.255.255", "public"},
        {"223.255.255.255", "public"},
        {"2400:3200::1", "public"},
        {"2606:4700::1111", "public"},
        {"2001:200::1", "public"},
        {"2001:4860:4860::8888", "public"},
        {"2a00:1450:4001::1", "public"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_NAMED(strcmp(refusal_of(rows[i].address), rows[i].why) == 0, rows[i].address);
}

static void texts_that_are_no_plain_address_are_none(void)
{
    static const char *const texts[] = {"",
                                        "127.1",
                                        "127.0.1",
                                        "2130706433",
                                        "0x7f.0.0.1",
                                        "0x7f000001",
                                        "017700000001",
                                        "0177.0.0.1",
                                        "127.0.0.01",
                                        "127.0.0.1.",
                                        ".127.0.0.1",
                                        "127..0.1",
                                        "127.0.0.256",
                                        " 127.0.0.1",
                                        "127.0.0.1 ",
                                        "127.0.0.1%",
                                        "1.2.3.4.5",
                                        "+1.2.3.4",
                                        "fe80::1%eth0",
                                        "fe80::1%25lo",
                                        "[::1]",
                                        "::1/128",
                                        ":::1",
                                        "1::2::3",
                                        "12345::",
                                        "1:2:3:4:5:6:7:8:9",
                                        "::g",
                                        "::ffff:127.1",
                                        "::ffff:0x7f.0.0.1",
                                        "a",
                                        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct tael_address address;
        CHECK_NAMED(!tael_address_parse(&address, tael_span_of(texts[i])), texts[i]);
    }
    struct tael_address address;
    CHECK(!tael_address_parse(&address, (struct tael_span){"127.0.0.1\0", 10}));
    CHECK(tael_address_parse(&address, (struct tael_span){"127.0.0.1x", 9}));
}

static void sockets_hold_the_same_addresses(void)
{
    struct sockaddr_in ip4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a010203)};
    struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct tael_address address;
    char text[TAEL_ADDRESS_TEXT];
    inet_pton(AF_INET6, "fe80::1:2", &ip6.sin6_addr);
    CHECK(tael_address_of_socket(&address, (struct sockaddr *)&ip4) && !address.ip6);
    tael_address_format(&address, text);
    CHECK(strcmp(text, "10.1.2.3") == 0);
    CHECK(tael_address_of_socket(&address, (struct sockaddr *)&ip6) && address.ip6);
    tael_address_format(&address, text);
    CHECK(strcmp(text, "fe80::1:2") == 0);
    CHECK(!tael_address_of_socket(&address, (struct sockaddr *)&local));
}

/* ---- hosts of URLs ---- */

static void hosts_are_read_one_way(void)
{
    static const struct {
        const char *authority, *name;
        int port;
        bool is_address;
    } rows[] = {
        {"openapi.alipay.com", "openapi.alipay.com", 0, false},
        {"OpenAPI.Alipay.COM:443", "openapi.alipay.com", 443, false},
        {"localhost:8080", "localhost", 8080, false},
        {"a", "a", 0, false},
        {"xn--fiqs8s.xn--fiqs8s", "xn--fiqs8s.xn--fiqs8s", 0, false},
        {"my_service:1", "my_service", 1, false},
        {"1.2.3.example", "1.2.3.example", 0, false},
        {"127.0.0.1:65535", "127.0.0.1", 65535, true},
        {"8.8.8.8", "8.8.8.8", 0, true},
        {"[::1]", "::1", 0, true},
        {"[::1]:443", "::1", 443, true},
        {"[0:0:0:0:0:FFFF:7F00:1]:1", "::ffff:127.0.0.1", 1, true},
        {"[2001:DB8::A]", "2001:db8::a", 0, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_url_host host;
        const char *wrong = tael_url_host_read(&host, tael_span_of(rows[i].authority));
        CHECK_NAMED(wrong == NULL && strcmp(host.name, rows[i].name) == 0 &&
                        host.port == rows[i].port && host.is_address == rows[i].is_address,
                    rows[i].authority);
    }
}

static void hosts_with_a_second_reading_are_refused(void)
{
    static const char *const authorities[] = {
        "",
        ":80",
        "a:",
        "a:0",
        "a:00080",
        "a:65536",
        "a:8a",
        "a:99999999999999999999",
        "a:80:80",
        "user@a",
        "user:pw@a",
        "@a",
        "127.0.0.1@a",
        "a.",
        "a..b",
        ".a",
        "-a.b",
        "a-.b",
        "a.-b",
        "a.b-",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "017700000001",
        "0177.0.0.01",
        "127.0.0.0x1",
        "1.2.3.4.5",
        "example.1",
        "example.0x1",
        "256.256.256.256",
        "0",
        "127%2e0.0.1",
        "%31%32%37.0.0.1",
        "a%00b",
        "lo\xc3\xa7"
        "alhost",
        "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1", /* circled digits */
        "127\xe3\x80\x82"
        "0\xe3\x80\x82"
        "0\xe3\x80\x82"
        "1", /* ideographic full stops */
        "::1",
        "::1:80",
        "[::1",
        "[::1]a",
        "[::1]80",
        "[]",
        "[]:80",
        "[127.0.0.1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[v1.fe80::a]",
        "a]",
        "[a]",
        "[[::1]]",
        "a b",
        "a\\b",
        "a\tb",
        "a,b",
        "a!b",
    };
    for (size_t i = 0; i < sizeof(authorities) / sizeof(authorities[0]); i++) {
        struct tael_url_host host;
        const char *wrong = tael_url_host_read(&host, tael_span_of(authorities[i]));
        if (wrong == NULL)
            printf("# taken: %s\n", authorities[i]);
        CHECK(wrong != NULL);
    }
    struct tael_url_host host;
    CHECK(tael_url_host_read(&host, (struct tael_span){"a\0b", 3}) != NULL);
}

static void lengths_have_limits(void)
{
    char text[400];
    struct tael_url_host host;
    memset(text, 'a', sizeof(text));
    CHECK(tael_url_host_read(&host, (struct tael_span){text, 63}) == NULL);
    CHECK(tael_url_host_read(&host, (struct tael_span){text, 64}) != NULL);
    for (size_t i = 9; i < sizeof(text); i += 10)
        text[i] = '.';
    CHECK(tael_url_host_read(&host, (struct tael_span){text, 253}) == NULL);
    CHECK(strlen(host.name) == 253);
    CHECK(tael_url_host_read(&host, (struct tael_span){text, 254}) != NULL);
}

int main(void)
{
    edges_of_blocks_are_where_they_are();
    drawn_addresses_agree();
    reasons_are_given();
    texts_that_are_no_plain_address_are_none();
    sockets_hold_the_same_addresses();
    hosts_are_read_one_way();
    hosts_with_a_second_reading_are_refused();
    lengths_have_limits();
    return tap_end();
}
