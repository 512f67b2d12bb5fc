/* tls_server_test.c - TLS of the server as a client sees it: handshakes, refusals, times, bodies,
 * ends, back-pressure. In the simulated world, with OpenSSL as the client. */
#include <stdlib.h>
#include <time.h>

#include "alloc_fail.h"
#include "identity.h"
#include "net/tls_server.h"
#include "net/world_uv.h"
#include "site.h"
#include "tls_wire.h"

#define GET(path)        "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body

enum { SOON = 100 }; /* ms: everything that is under way has arrived */

struct house { /* a site with a TLS listener */
    struct site site;
    struct identity authority, identity;
    struct tael_tls_server *tls;
    const char *address;
};

/* Valid in the simulated world's years and in ours. */
static struct identity_form form_of(const struct identity *issuer, int rsa_bits)
{
    return (struct identity_form){.from_s = (long)(SITE_START_MS / 1000 - 3600 - time(NULL)),
                                  .life_s = 20L * 365 * 86400,
                                  .rsa_bits = rsa_bits,
                                  .issuer = issuer};
}

static void house_open(struct house *house, uint64_t seed, const struct tael_http_limits *limits,
                       int rsa_bits)
{
    struct identity_form form = form_of(NULL, 0);
    identity_make(&house->authority, &form);
    form = form_of(&house->authority, rsa_bits);
    identity_make(&house->identity, &form);
    site_open(&house->site, seed, limits);
    struct tael_tls_server_options options = {.world = house->site.world,
                                              .log = house->site.log,
                                              .name = "tls",
                                              .chain_path = house->identity.file,
                                              .key_path = house->identity.key_file};
    tael_error err = {.message = ""};
    if (tael_tls_server_new(&house->tls, &options, &err) != TAEL_OK) {
        printf("# %s\n", err.message);
        abort();
    }
    must(tael_http_server_listen_tls(house->site.server, "tls", "127.0.0.1:0", house->tls,
                                     &house->address) == TAEL_OK);
}

static void house_close(struct house *house)
{
    tael_http_server_free(house->site.server);
    house->site.server = NULL;
    tael_tls_server_free(house->tls);
    site_close(&house->site);
    identity_free(&house->identity);
    identity_free(&house->authority);
}

static SSL_CTX *client_context(int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    must(context != NULL && SSL_CTX_set_cipher_list(context, "DEFAULT:@SECLEVEL=0") == 1 &&
         SSL_CTX_set_min_proto_version(context, version) == 1 &&
         SSL_CTX_set_max_proto_version(context, version) == 1);
    return context;
}

static void connect_with(struct tls_wire *wire, struct house *house, int version)
{
    SSL_CTX *context = client_context(version);
    tls_wire_connect(wire, house->site.loop, house->address, context);
    SSL_CTX_free(context);
}

/* ---- handshakes ---- */

static void a_client_is_served(int version, int rsa_bits)
{
    static const unsigned char protocols[] = "\x02h2\x08http/1.1";
    struct house house;
    struct tls_wire wire;
    const unsigned char *chosen = NULL;
    unsigned chosen_len = 0;
    house_open(&house, 1, NULL, rsa_bits);
    SSL_CTX *context = client_context(version);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), house.authority.certificate);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1);
    tls_wire_connect(&wire, house.site.loop, house.address, context);
    tls_wire_send(&wire, GET("/a"));
    site_run(&house.site, SOON);
    CHECK(wire.shaken && SSL_version(wire.ssl) == version);
    CHECK(tls_wire_is(&wire, OK("3", "/a:")));
    CHECK(strncmp(house.site.last, "GET /a tls 127.0.0.1:", 21) == 0);
    CHECK(sk_X509_num(SSL_get_peer_cert_chain(wire.ssl)) == 2);
    SSL_get0_alpn_selected(wire.ssl, &chosen, &chosen_len);
    CHECK(chosen_len == 8 && memcmp(chosen, "http/1.1", 8) == 0);
    tls_wire_send(&wire, "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    site_run(&house.site, SOON);
    CHECK(tls_wire_is(&wire, OK("3", "/a:") OK("5", "/b:hi")) && !wire.ended);
    site_run(&house.site, 31000); /* idle: it is closed, and says so */
    CHECK(wire.notified && wire.ended && !wire.failed);
    tls_wire_free(&wire);
    SSL_CTX_free(context);
    house_close(&house);
}

static void who_speaks_otherwise_is_refused(void)
{
    static const unsigned char protocols[] = "\x02h2\x03"
                                             "foo";
    struct house house;
    struct tls_wire wire;
    house_open(&house, 2, NULL, 0);
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
    for (size_t i = 0; i < 2; i++) {
        connect_with(&wire, &house, versions[i]);
        tls_wire_send(&wire, GET("/a"));
        site_run(&house.site, SOON);
        CHECK(wire.failed && !wire.shaken && wire.ended);
        CHECK(wire.lib_error == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
        tls_wire_free(&wire);
    }
    static const char *const ciphers[] = {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA",
                                          "ECDHE-ECDSA-AES256-SHA384"};
    for (size_t i = 0; i < 3; i++) {
        SSL_CTX *context = client_context(TLS1_2_VERSION);
        SSL_CTX_set_cipher_list(context, ciphers[i]);
        tls_wire_connect(&wire, house.site.loop, house.address, context);
        site_run(&house.site, SOON);
        CHECK_NAMED(wire.failed && !wire.shaken && wire.ended, ciphers[i]);
        tls_wire_free(&wire);
        SSL_CTX_free(context);
    }
    SSL_CTX *context = client_context(TLS1_3_VERSION);
    SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1);
    tls_wire_connect(&wire, house.site.loop, house.address, context);
    tls_wire_send(&wire, GET("/a"));
    site_run(&house.site, SOON);
    CHECK(wire.failed && !wire.shaken &&
          wire.lib_error == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
    tls_wire_free(&wire);
    SSL_CTX_free(context);
    CHECK(house.site.requests == 0 && site_logged(&house.site, "\"event\":\"tls.refused\""));
    CHECK(site_logged(&house.site, "unsupported protocol"));
    house_close(&house);
}

static void bytes_that_are_no_tls_end_the_connection(void)
{
    static const char *const texts[] = {GET("/a"),
                                        "\x16\x03\x01\xff\xff",
                                        "\x16\x03\x01\x00\x05hello",
                                        "\x15\x03\x01\x00\x02\x02\x28",
                                        "\x17\x03\x03\x00\x05hello",
                                        "hello, hello, hello"};
    struct house house;
    house_open(&house, 3, NULL, 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct wire wire;
        size_t len = i == 2 ? 10 : i == 3 ? 7 : i == 4 ? 10 : strlen(texts[i]);
        wire_connect(&wire, house.site.loop, house.address);
        must(tael_stream_write(wire.stream, texts[i], len) == TAEL_OK);
        site_run(&house.site, SOON);
        CHECK(wire.ended && wire_count(&wire, "HTTP") == 0);
        wire_free(&wire);
    }
    uint64_t state = 88172645463325252u;
    for (int n = 0; n < 300; n++) { /* a hello with one byte changed */
        struct tls_wire wire;
        connect_with(&wire, &house, TLS1_3_VERSION);
        SSL_do_handshake(wire.ssl);
        char *data = NULL;
        long len = BIO_get_mem_data(wire.out, &data);
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        data[state % (uint64_t)len] ^= (char)(1 + (state >> 32) % 255);
        site_run(&house.site, SOON);
        tls_wire_send(&wire, GET("/a"));
        site_run(&house.site, SOON);
        tls_wire_free(&wire);
    }
    site_run(&house.site, 10000);
    CHECK(tael_http_server_open(house.site.server) == 0);
    house_close(&house);
}

/* ---- times ---- */

static void a_handshake_has_a_deadline(void)
{
    struct house house;
    struct wire wire;
    struct tls_wire slow;
    house_open(&house, 4, NULL, 0);
    wire_connect(&wire, house.site.loop, house.address); /* says nothing */
    site_run(&house.site, 4900);
    CHECK(!wire.ended);
    site_run(&house.site, 200);
    CHECK(wire.ended);
    wire_free(&wire);

    connect_with(&slow, &house, TLS1_3_VERSION); /* a part of the hello, then byte for byte */
    SSL_do_handshake(slow.ssl);
    char *data = NULL;
    long len = BIO_get_mem_data(slow.out, &data);
    must(len > 150);
    slow.sent_max = 1; /* the wire itself sends no more than that */
    char hello[100];
    memcpy(hello, data, sizeof(hello));
    bool early = false;
    for (size_t i = 1; i < 49; i++) {
        site_run(&house.site, 100);
        early = early || slow.ended;
        must(tael_stream_write(slow.stream, hello + i, 1) == TAEL_OK);
    }
    CHECK(!early);
    site_run(&house.site, 300);
    CHECK(slow.ended && site_logged(&house.site, "the handshake took too long"));
    tls_wire_free(&slow);

    connect_with(&slow, &house, TLS1_2_VERSION); /* afterwards it is HTTP's turn */
    site_run(&house.site, 4000);
    CHECK(slow.shaken && !slow.ended);
    tls_wire_send(&slow, "GET /a HT");
    site_run(&house.site, 4900);
    CHECK(!slow.ended && slow.got.len == 0);
    site_run(&house.site, 200);
    CHECK(tls_wire_count(&slow, "HTTP/1.1 408 ") == 1 && slow.notified && slow.ended);
    tls_wire_free(&slow);
    house_close(&house);
}

/* ---- bytes ---- */

static void bodies_are_whole_both_ways(int version)
{
    struct house house;
    struct tls_wire wire;
    struct tael_http_limits limits = {.body = 8 * 1024 * 1024};
    house_open(&house, 5, &limits, 0);
    connect_with(&wire, &house, version);
    tls_wire_send(&wire, GET("/big"));
    site_run(&house.site, 5000);
    CHECK(tls_wire_count(&wire, "HTTP/1.1 200 OK") == 1 && wire.got.len > SITE_BIG);
    size_t right = 0;
    for (size_t i = wire.got.len - SITE_BIG; i < wire.got.len; i++)
        right += wire.got.data[i] == 'b';
    CHECK(right == SITE_BIG);
    tael_buf_clear(&wire.got);

    char *body = malloc(SITE_BIG);
    must(body != NULL);
    memset(body, 'x', SITE_BIG);
    body[SITE_BIG - 1] = 'y';
    char head[128];
    snprintf(head, sizeof(head), "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
             SITE_BIG);
    tls_wire_send(&wire, head);
    for (size_t at = 0; at < SITE_BIG; at += 4096) { /* many records, all at once */
        tls_wire_send_bytes(&wire, body + at, 4096);
        if (at % (64 * 4096) == 0)
            site_run(&house.site, 20);
    }
    site_run(&house.site, 5000);
    must(house.site.held_count == 1);
    struct tael_span got = house.site.held[0]->body;
    CHECK(got.len == SITE_BIG && memcmp(got.data, body, SITE_BIG) == 0);
    site_answer(&house.site, 0, "thanks");
    site_run(&house.site, SOON);
    CHECK(tls_wire_is(&wire, OK("6", "thanks")));
    free(body);
    tls_wire_free(&wire);
    house_close(&house);
}

static void small_records_are_as_good_as_large_ones(void)
{
    static const char request[] = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    struct house house;
    struct tls_wire wire;
    struct tael_buf want = {0};
    house_open(&house, 6, NULL, 0);
    connect_with(&wire, &house, TLS1_3_VERSION);
    site_run(&house.site, SOON);
    for (int n = 0; n < 40; n++) {
        for (size_t i = 0; request[i] != '\0'; i++)
            tls_wire_send_bytes(&wire, request + i, 1);
        must(tael_buf_append_text(&want, OK("8", "/b:hello")) == TAEL_OK);
    }
    site_run(&house.site, 3000);
    CHECK(wire.got.len == want.len && memcmp(wire.got.data, want.data, want.len) == 0);
    tael_buf_free(&want);

    tael_buf_clear(&wire.got); /* and many requests in few records */
    for (int n = 0; n < 900; n++)
        must(tael_buf_append_text(&wire.want, GET("/c")) == TAEL_OK);
    tls_wire_drive(&wire);
    site_run(&house.site, 5000);
    CHECK(tls_wire_count(&wire, OK("3", "/c:")) == 900);
    tls_wire_free(&wire);
    house_close(&house);
}

static void what_the_server_does_not_want_yet_is_kept(void)
{
    struct house house;
    struct tls_wire wire;
    struct tael_http_limits limits = {.pipeline = 3};
    house_open(&house, 7, &limits, 0);
    connect_with(&wire, &house, TLS1_3_VERSION);
    site_run(&house.site, SOON);
    for (int i = 0; i < 20; i++)
        tls_wire_send(&wire, GET("/hold"));
    site_run(&house.site, 20000);
    CHECK(tael_http_server_open(house.site.server) == 4);
    for (size_t i = 0; i < 20; i++) {
        must(house.site.held_count == i + 1);
        site_answer(&house.site, i, "x");
        site_run(&house.site, SOON);
    }
    CHECK(tls_wire_count(&wire, "HTTP/1.1 200 OK") == 20 && !wire.ended);
    tls_wire_free(&wire);
    house_close(&house);
}

static void who_takes_nothing_is_cut_off(void)
{
    struct house house;
    struct tls_wire wire;
    house_open(&house, 8, NULL, 0);
    connect_with(&wire, &house, TLS1_3_VERSION);
    site_run(&house.site, SOON);
    tls_wire_send(&wire, GET("/big") GET("/big") GET("/big"));
    tls_wire_deaf(&wire, true);
    site_run(&house.site, 9000);
    size_t asked = house.site.requests;
    CHECK(asked >= 1 && asked < 3); /* no more are asked for while the first waits */
    site_run(&house.site, 2500);
    CHECK(site_logged(&house.site, "\"code\":\"stalled\""));
    tls_wire_deaf(&wire, false);
    site_run(&house.site, 1000);
    CHECK(wire.ended);
    tls_wire_free(&wire);

    connect_with(&wire, &house, TLS1_3_VERSION); /* late is not never */
    tls_wire_send(&wire, GET("/big") GET("/a"));
    site_run(&house.site, 20);
    tls_wire_deaf(&wire, true);
    site_run(&house.site, 6000);
    tls_wire_deaf(&wire, false);
    site_run(&house.site, 3000);
    CHECK(wire.got.len > SITE_BIG && tls_wire_count(&wire, OK("3", "/a:")) == 1);
    tls_wire_free(&wire);
    house_close(&house);
}

/* ---- ends ---- */

static void ends_are_said(int version)
{
    struct house house;
    struct tls_wire wire;
    house_open(&house, 9, NULL, 0);
    connect_with(&wire, &house, version);
    tls_wire_send(&wire, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    site_run(&house.site, SOON);
    CHECK(tls_wire_count(&wire, "Connection: close\r\n") == 1);
    CHECK(wire.notified && wire.ended && !wire.failed); /* the answer is not cut off */
    tls_wire_free(&wire);

    connect_with(&wire, &house, version); /* the client says it, with a request open */
    tls_wire_send(&wire, GET("/hold"));
    site_run(&house.site, SOON);
    SSL_shutdown(wire.ssl);
    tls_wire_flush(&wire);
    site_run(&house.site, SOON);
    CHECK(house.site.gone == 1 && house.site.last_gone == house.site.held[0]);
    CHECK(wire.ended && !wire.failed);
    site_answer(&house.site, 0, "nobody hears it");
    tls_wire_free(&wire);

    connect_with(&wire, &house, version); /* the connection breaks without a word */
    tls_wire_send(&wire, GET("/hold"));
    site_run(&house.site, SOON);
    tls_wire_close(&wire);
    site_run(&house.site, SOON);
    CHECK(house.site.gone == 2);
    site_answer(&house.site, 1, "nobody hears it");
    tls_wire_free(&wire);
    CHECK(tael_http_server_open(house.site.server) == 0);
    house_close(&house);
}

/* A client that goes after so many bytes, for every number of them. */
static void clients_may_go_at_any_point(int version)
{
    struct house house;
    bool right = true;
    size_t all = 4000;
    house_open(&house, 10, NULL, 0);
    for (size_t n = 1; n < all; n += n < 40 ? 1 : 13) {
        struct tls_wire wire;
        connect_with(&wire, &house, version);
        wire.sent_max = n;
        tls_wire_send(&wire, GET("/a") GET("/hold"));
        site_run(&house.site, 30);
        if (wire.sent < n)
            all = n; /* everything has been sent */
        tls_wire_close(&wire);
        site_run(&house.site, 30);
        for (size_t i = 0; i < house.site.held_count; i++)
            site_answer(&house.site, i, "x");
        house.site.held_count = 0;
        tls_wire_free(&wire);
        right = right && tael_http_server_open(house.site.server) == 0;
    }
    CHECK(right && house.site.requests > 0 && all < 4000);
    house_close(&house);
}

/* ---- what a peer may ask of TLS ---- */

static void renegotiation_is_refused(void)
{
    struct house house;
    struct tls_wire wire;
    house_open(&house, 11, NULL, 0);
    connect_with(&wire, &house, TLS1_2_VERSION);
    tls_wire_send(&wire, GET("/a"));
    site_run(&house.site, SOON);
    CHECK(SSL_renegotiate(wire.ssl) == 1);
    wire.shaken = false;
    tls_wire_drive(&wire);
    site_run(&house.site, SOON);
    CHECK(wire.failed && !wire.shaken && wire.lib_error == SSL_R_NO_RENEGOTIATION);
    CHECK(house.site.requests == 1);
    tls_wire_free(&wire);
    house_close(&house);
}

static void keys_may_be_renewed_but_not_without_end(void)
{
    struct house house;
    struct tls_wire wire;
    house_open(&house, 12, NULL, 0);
    connect_with(&wire, &house, TLS1_3_VERSION);
    tls_wire_send(&wire, GET("/a"));
    site_run(&house.site, SOON);
    CHECK(SSL_key_update(wire.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
    tls_wire_send(&wire, GET("/b"));
    site_run(&house.site, SOON);
    CHECK(tls_wire_is(&wire, OK("3", "/a:") OK("3", "/b:")));
    tls_wire_deaf(&wire, true);
    for (int i = 0; i < 60000 && !site_logged(&house.site, "asks for more"); i++) {
        must(SSL_key_update(wire.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
        SSL_do_handshake(wire.ssl);
        tls_wire_flush(&wire);
        if (i % 100 == 0)
            site_run(&house.site, 20);
    }
    CHECK(site_logged(&house.site, "asks for more than it takes"));
    tls_wire_free(&wire);
    house_close(&house);
}

/* Where TLS's own bytes, here the ticket behind the handshake, have to wait a moment for the client
 * and then leave, nothing stands still, however long the request that came with them takes. */
static void a_ticket_is_no_answer_that_nobody_takes(void)
{
    enum { SEEDS = 12 }; /* the room that the client's side has is drawn: for some there is none */
    int right = 0;
    for (uint64_t seed = 20; seed < 20 + SEEDS; seed++) {
        struct house house;
        struct tls_wire wire;
        house_open(&house, seed, NULL, 0);
        connect_with(&wire, &house, TLS1_3_VERSION);
        tls_wire_send(&wire, GET("/hold"));
        site_run(&house.site, 15000);
        if (house.site.held_count == 1 && !wire.ended)
            site_answer(&house.site, 0, "x");
        site_run(&house.site, SOON);
        right += tls_wire_is(&wire, OK("1", "x")) && !wire.ended;
        tls_wire_free(&wire);
        house_close(&house);
    }
    CHECK(right == SEEDS);
    if (right != SEEDS)
        printf("# %d of %d\n", right, SEEDS);
}

/* ---- sessions ---- */

static void nothing(void *user)
{
    (void)user;
}

/* The simulated clock goes only where something happens. */
static void pass_minutes(struct house *house, int64_t minutes)
{
    struct tael_timer *timer = tael_timer_new(house->site.loop, nothing, NULL);
    must(timer != NULL);
    tael_timer_start(timer, minutes * 60 * 1000000);
    site_run(&house->site, minutes * 60 * 1000);
    tael_timer_free(timer);
}

static bool comes_back(struct house *house, SSL_CTX *context, SSL_SESSION **session)
{
    struct tls_wire wire;
    tls_wire_connect(&wire, house->site.loop, house->address, context);
    if (*session != NULL)
        SSL_set_session(wire.ssl, *session);
    tls_wire_send(&wire, GET("/a"));
    site_run(&house->site, SOON);
    CHECK(tls_wire_is(&wire, OK("3", "/a:")));
    bool reused = SSL_session_reused(wire.ssl) == 1;
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(wire.ssl);
    SSL_shutdown(wire.ssl);
    tls_wire_flush(&wire);
    site_run(&house->site, SOON);
    tls_wire_free(&wire);
    return reused;
}

static void sessions_are_taken_up_again_for_a_while(int version)
{
    struct house house;
    SSL_SESSION *session = NULL;
    SSL_CTX *context = client_context(version);
    house_open(&house, 13, NULL, 0);
    CHECK(!comes_back(&house, context, &session));
    CHECK(comes_back(&house, context, &session));
    pass_minutes(&house, 61); /* the key is the one before now, and is renewed */
    CHECK(comes_back(&house, context, &session));
    CHECK(comes_back(&house, context, &session));
    pass_minutes(&house, 125);
    CHECK(!comes_back(&house, context, &session));
    CHECK(comes_back(&house, context, &session));
    tael_error err = {.message = ""};
    CHECK(tael_tls_server_reload(house.tls, &err) == TAEL_OK); /* another certificate: anew */
    CHECK(!comes_back(&house, context, &session));
    SSL_SESSION_free(session);
    SSL_CTX_free(context);
    house_close(&house);
}

/* ---- no memory ---- */

static void a_connection_without_memory_ends_and_the_server_goes_on(void)
{
    bool right = true;
    struct house house;
    house_open(&house, 14, NULL, 0);
    for (long n = 1; n < 300; n++) {
        struct tls_wire wire;
        connect_with(&wire, &house, n % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
        tls_wire_send(&wire, GET("/a") GET("/b"));
        alloc_fail_at(n);
        site_run(&house.site, SOON);
        bool failed = alloc_fail_end();
        tls_wire_free(&wire);
        site_run(&house.site, SOON);
        connect_with(&wire, &house, TLS1_3_VERSION);
        tls_wire_send(&wire, GET("/c"));
        site_run(&house.site, SOON);
        right = right && tls_wire_is(&wire, OK("3", "/c:")) &&
                tael_http_server_open(house.site.server) == 0;
        tls_wire_free(&wire);
        site_run(&house.site, SOON);
        if (!failed)
            break;
    }
    CHECK(right);
    house_close(&house);
}

/* ---- a stream without HTTP, in the real world: what is written leaves at once ---- */

struct early {
    struct tael_tls_server *tls;
    struct tael_loop *loop;
    struct tael_stream *stream;
    size_t queued; /* what it said of the first words */
    int drains;
};

static void on_early_drain(void *user)
{
    struct early *early = user;
    early->drains++;
    tael_loop_stop(early->loop);
}

static void on_early(void *user, struct tael_stream *plain)
{
    static const struct tael_stream_events events = {.drain = on_early_drain};
    struct early *early = user;
    must(tael_tls_server_accept(early->tls, plain, 5000, &early->stream) == TAEL_OK);
    tael_stream_start(early->stream, &events, early);
    must(tael_stream_write(early->stream, "hello", 5) == TAEL_OK);
    early->queued = tael_stream_queued(early->stream);
}

static void stop_loop(void *user)
{
    tael_loop_stop(user);
}

static void words_before_the_handshake_are_sent_and_told_of(void)
{
    struct early early = {.drains = 0};
    struct identity identity;
    struct identity_form form = {.names = NULL};
    struct tael_world *world = NULL;
    struct tael_listener *listener = NULL;
    struct tls_wire wire;
    identity_make(&identity, &form);
    must(tael_world_uv_new(&world) == TAEL_OK && tael_loop_new(world, &early.loop) == TAEL_OK);
    struct tael_tls_server_options options = {.world = world,
                                              .name = "early",
                                              .chain_path = identity.file,
                                              .key_path = identity.key_file};
    must(tael_tls_server_new(&early.tls, &options, NULL) == TAEL_OK);
    must(tael_listen(early.loop, "127.0.0.1:0", on_early, &early, &listener) == TAEL_OK);
    struct tael_timer *timer = tael_timer_new(early.loop, stop_loop, early.loop);
    must(timer != NULL);
    tls_wire_connect(&wire, early.loop, tael_listener_address(listener), NULL);
    tael_timer_start(timer, 5000000);
    tael_loop_run(early.loop);
    CHECK(early.queued == 5 && early.drains == 1 && tael_stream_queued(early.stream) == 0);
    tael_timer_start(timer, 50000);
    tael_loop_run(early.loop);
    CHECK(tls_wire_is(&wire, "hello") && early.drains == 1);
    tls_wire_free(&wire);
    tael_stream_close(early.stream);
    tael_timer_free(timer);
    tael_listener_close(listener);
    tael_loop_free(early.loop);
    tael_tls_server_free(early.tls);
    tael_world_free(world);
    identity_free(&identity);
}

int main(void)
{
    a_client_is_served(TLS1_3_VERSION, 0);
    a_client_is_served(TLS1_2_VERSION, 0);
    a_client_is_served(TLS1_3_VERSION, 2048);
    a_client_is_served(TLS1_2_VERSION, 2048);
    who_speaks_otherwise_is_refused();
    bytes_that_are_no_tls_end_the_connection();
    a_handshake_has_a_deadline();
    bodies_are_whole_both_ways(TLS1_3_VERSION);
    bodies_are_whole_both_ways(TLS1_2_VERSION);
    small_records_are_as_good_as_large_ones();
    what_the_server_does_not_want_yet_is_kept();
    who_takes_nothing_is_cut_off();
    ends_are_said(TLS1_3_VERSION);
    ends_are_said(TLS1_2_VERSION);
    clients_may_go_at_any_point(TLS1_3_VERSION);
    clients_may_go_at_any_point(TLS1_2_VERSION);
    renegotiation_is_refused();
    keys_may_be_renewed_but_not_without_end();
    a_ticket_is_no_answer_that_nobody_takes();
    sessions_are_taken_up_again_for_a_while(TLS1_3_VERSION);
    sessions_are_taken_up_again_for_a_while(TLS1_2_VERSION);
    a_connection_without_memory_ends_and_the_server_goes_on();
    words_before_the_handshake_are_sent_and_told_of();
    return tap_end();
}
