/* http_server_test.c - what a client of the server sees: order, framing, limits and times.
 * In the simulated world, so that 30 seconds pass at once and to the microsecond. */
#include "net/address.h"
#include "net/http_peers.h"
#include "net/http_request.h"
#include "site.h"
#include "tap.h"

#define GET(path)          "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"
#define OK(length, body)   "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body
#define LAST(length, body)                                                                         \
    "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\nConnection: close\r\n\r\n" body

enum { SOON = 50 }; /* ms: everything that is under way has arrived */

/* ---- persistence and order ---- */

static void a_connection_serves_one_request_after_another(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 1, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/a"));
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("3", "/a:")));
    CHECK(strncmp(site.last, "GET /a api 127.0.0.1:", 21) == 0);
    wire_send(&wire, POST("/b", "2") "hi");
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("3", "/a:") OK("5", "/b:hi")));
    CHECK(!wire.ended && tael_http_server_open(site.server) == 0);
    wire_free(&wire);
    site_close(&site);
}

static void pipelined_requests_are_handed_over_one_at_a_time(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 2, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/hold/1") GET("/now") GET("/hold/2") GET("/hold/3"));
    site_run(&site, SOON);
    CHECK(site.requests == 1 && site.held_count == 1);
    CHECK(tael_http_server_open(site.server) == 4);
    site_answer(&site, 0, "1");
    site_run(&site, SOON);
    CHECK(site.requests == 3 && site.held_count == 2);
    CHECK(wire_is(&wire, OK("1", "1") OK("5", "/now:")));
    site_answer(&site, 1, "2");
    site_run(&site, SOON);
    CHECK(site.held_count == 3);
    site_answer(&site, 2, "3");
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("1", "1") OK("5", "/now:") OK("1", "2") OK("1", "3")));
    wire_free(&wire);
    site_close(&site);
}

static const struct tael_loop_ops *real_ops;
static struct tael_timer *put_off; /* the timer that waits for the loop's next turn */

static void put_off_a_turn(struct tael_timer *timer, int64_t delay_us)
{
    if (delay_us == 0)
        put_off = timer;
    else
        real_ops->timer_start(timer, delay_us);
}

static void site_open_without_turns(struct site *site, uint64_t seed)
{
    site_open(site, seed, NULL);
    real_ops = site->loop->ops;
    site->ops = *real_ops;
    site->ops.timer_start = put_off_a_turn;
    put_off = NULL;
}

static void pipelined_requests_wait_for_a_turn_each(void)
{
    static const char *const turns[] = {"/a/2", "/b/2", "/a/3", "/b/3", "/a/4"};
    struct site site;
    struct wire wires[2];
    site_open_without_turns(&site, 37);
    for (size_t i = 0; i < 2; i++)
        wire_connect(&wires[i], site.loop, site.address);
    site_run(&site, SOON);
    site.loop->ops = &site.ops;
    wire_send(&wires[0], GET("/a/1") GET("/a/2") GET("/a/3") GET("/a/4"));
    site_run(&site, SOON);
    CHECK(site.requests == 1);
    wire_send(&wires[1], GET("/b/1") GET("/b/2") GET("/b/3"));
    site_run(&site, SOON);
    CHECK(site.requests == 2 && strstr(site.last, " /b/1 ") != NULL);
    for (size_t i = 0; i < 5; i++) {
        struct tael_timer *timer = put_off;
        put_off = NULL;
        if (timer != NULL)
            real_ops->timer_start(timer, 0);
        site_run(&site, SOON);
        CHECK(site.requests == 3 + i && strstr(site.last, turns[i]) != NULL);
    }
    CHECK(put_off == NULL && wire_count(&wires[0], "HTTP/1.1 200 OK") == 4);
    site.loop->ops = real_ops;
    for (size_t i = 0; i < 2; i++)
        wire_free(&wires[i]);
    site_close(&site);
}

static void one_that_waits_for_its_turn_may_go(void)
{
    struct site site;
    struct wire wires[2];
    site_open_without_turns(&site, 31);
    site.loop->ops = &site.ops;
    for (size_t i = 0; i < 2; i++) {
        wire_connect(&wires[i], site.loop, site.address);
        wire_send(&wires[i], i == 0 ? GET("/a/1") GET("/a/2") : GET("/b/1") GET("/b/2"));
        site_run(&site, SOON);
    }
    wire_free(&wires[0]);
    site_run(&site, SOON);
    CHECK(site.requests == 2 && tael_http_server_open(site.server) == 1);
    real_ops->timer_start(put_off, 0);
    site_run(&site, SOON);
    CHECK(site.requests == 3 && wire_count(&wires[1], "HTTP/1.1 200 OK") == 2);
    wire_send(&wires[1], GET("/b/3") GET("/b/4"));
    site_run(&site, SOON);
    site.loop->ops = real_ops;
    CHECK(site.requests == 4 && tael_http_server_open(site.server) == 1);
    tael_http_server_free(site.server); /* while one waits */
    site.server = NULL;
    wire_free(&wires[1]);
    site_close(&site);
}

static void a_thousand_pipelined_requests_are_answered_in_order(void)
{
    struct site site;
    struct wire wire;
    struct tael_buf bytes = {0}, want = {0};
    bool built = true;
    site_open(&site, 3, NULL);
    for (int i = 100; i < 1099; i++) {
        built =
            built && tael_buf_printf(&bytes, "GET /n%d HTTP/1.1\r\nHost: a\r\n\r\n", i) == TAEL_OK;
        built =
            built && tael_buf_printf(&want, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n/n%d:",
                                     i < 1000 ? 6 : 7, i) == TAEL_OK;
    }
    CHECK(built);
    wire_connect(&wire, site.loop, site.address);
    tael_stream_write(wire.stream, bytes.data, bytes.len);
    site_run(&site, 1000);
    CHECK(site.requests == 999);
    CHECK(wire.got.len == want.len && memcmp(wire.got.data, want.data, want.len) == 0);
    tael_buf_free(&bytes);
    tael_buf_free(&want);
    wire_free(&wire);
    site_close(&site);
}

static void no_more_is_read_than_may_be_pipelined(void)
{
    struct site site;
    struct wire wire;
    struct tael_http_limits limits = {.pipeline = 3};
    site_open(&site, 4, &limits);
    wire_connect(&wire, site.loop, site.address);
    for (int i = 0; i < 20; i++)
        wire_send(&wire, GET("/hold"));
    site_run(&site, 20000);                         /* and no timer runs for what we do not read */
    CHECK(tael_http_server_open(site.server) == 4); /* one with the handler, three behind it */
    for (size_t i = 0; i < 20; i++) {
        CHECK(site.held_count == i + 1);
        site_answer(&site, i, "x");
        site_run(&site, SOON);
    }
    CHECK(wire_count(&wire, "HTTP/1.1 200 OK") == 20 && !wire.ended);
    wire_free(&wire);
    site_close(&site);
}

static void the_last_request_of_a_connection_is_said_to_be(void)
{
    struct site site;
    struct wire wire;
    struct tael_http_limits limits = {.requests = 2};
    site_open(&site, 5, &limits);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/a") GET("/b") GET("/c"));
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("3", "/a:") LAST("3", "/b:")));
    CHECK(wire.ended && wire.why == TAEL_OK);
    wire_free(&wire);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    site_run(&site, SOON);
    CHECK(wire_count(&wire, "Connection: keep-alive\r\n") == 1 && !wire.ended);
    wire_free(&wire);
    site_close(&site);
}

/* ---- framing of answers ---- */

static void answers_without_a_body_have_none(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 6, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, "HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n" GET("/204") GET("/304") GET("/a"));
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("5", "") "HTTP/1.1 204 No Content\r\n\r\n"
                                     "HTTP/1.1 304 Not Modified\r\n\r\n" OK("3", "/a:")));
    wire_free(&wire);
    site_close(&site);
}

static void an_answer_that_may_not_be_sent_is_a_500(void)
{
    static const char *const paths[] = {"/bad/value",  "/bad/nul",       "/bad/name",
                                        "/bad/empty",  "/bad/length",    "/bad/coding",
                                        "/bad/status", "/bad/connection"};
    struct site site;
    struct wire wire;
    site_open(&site, 7, NULL);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char text[80];
        wire_connect(&wire, site.loop, site.address);
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        wire_send(&wire, text);
        wire_send(&wire, GET("/a"));
        site_run(&site, SOON);
        CHECK_NAMED(wire_count(&wire, "HTTP/1.1 500 ") == 1 &&
                        wire_count(&wire, "\"code\":\"internal\"") == 1 &&
                        wire_count(&wire, "Cookie") == 0 && wire_count(&wire, OK("3", "/a:")) == 1,
                    paths[i]);
        wire_free(&wire);
    }
    CHECK(site_logged(&site, "\"level\":\"error\""));
    site_close(&site);
}

static void own_answer_without_host(bool nameless, const char *field, const char *member)
{
    struct site site;
    struct wire wire;
    site_open(&site, 8, NULL);
    site.nameless = nameless;
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, "GET / HTTP/1.1\r\n\r\n");
    site_run(&site, SOON);
    char body[256], want[512];
    snprintf(
        body, sizeof(body),
        "{\"type\":\"https://tael.dev/problems/invalid_header\",\"title\":\"A header is wrong\","
        "\"status\":400,\"code\":\"invalid_header\",\"detail\":\"Host is missing.\",%s"
        "\"retriable\":false}",
        member);
    snprintf(want, sizeof(want),
             "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n%s"
             "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
             field, strlen(body), body);
    CHECK(wire_is(&wire, want));
    CHECK(wire.ended && wire.why == TAEL_OK);
    CHECK(site_logged(&site, "\"event\":\"http.refused\""));
    CHECK(site_logged(&site, "\"request\":\"req_1\"") == !nameless);
    wire_free(&wire);
    site_close(&site);
}

static void the_servers_own_answers_are_problems(void)
{
    own_answer_without_host(false, "Tael-Request-Id: req_1\r\n", "\"request_id\":\"req_1\",");
    own_answer_without_host(true, "", "");
}

/* ---- bodies ---- */

static void continue_is_said_when_the_body_is_wanted(void)
{
    static const char head[] =
        "POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    struct site site;
    struct wire wire;
    site_open(&site, 9, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, head);
    site_run(&site, SOON);
    CHECK(wire_is(&wire, "HTTP/1.1 100 Continue\r\n\r\n") && site.requests == 0);
    wire_send(&wire, "hi");
    site_run(&site, SOON);
    CHECK(wire_is(&wire, "HTTP/1.1 100 Continue\r\n\r\n" OK("5", "/p:hi")));

    wire_clear(&wire); /* behind another request: only after its answer, however long that takes */
    wire_send(&wire, GET("/hold"));
    wire_send(&wire, head);
    site_run(&site, 20000);
    CHECK(wire_is(&wire, ""));
    site_answer(&site, 0, "1");
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("1", "1") "HTTP/1.1 100 Continue\r\n\r\n"));
    wire_send(&wire, "hi");
    site_run(&site, SOON);
    CHECK(wire_count(&wire, OK("5", "/p:hi")) == 1);

    wire_clear(&wire); /* not wanted: refused without it */
    wire_send(&wire, "POST /small HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                     "Content-Length: 11\r\n\r\n");
    site_run(&site, SOON);
    CHECK(wire_count(&wire, "HTTP/1.1 413 ") == 1 && wire_count(&wire, "100 Continue") == 0);
    wire_free(&wire);
    site_close(&site);
}

static char *post_of(size_t len)
{
    char *text = malloc(len + 200);
    if (text == NULL)
        abort();
    int head =
        snprintf(text, 200, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
    memset(text + head, 'x', len);
    text[(size_t)head + len] = '\0';
    return text;
}

static void large_bodies_share_a_room_that_small_ones_need_not(void)
{
    struct site site;
    struct wire wires[4];
    struct tael_http_limits limits = {.bodies = 100000};
    char *large = post_of(16384 + 60000), *small = post_of(16384), *half = post_of(16384 + 60000);
    half[strlen(half) - 30000] = '\0';
    site_open(&site, 21, &limits);
    for (size_t i = 0; i < 4; i++)
        wire_connect(&wires[i], site.loop, site.address);
    wire_send(&wires[0], large);
    site_run(&site, SOON);
    CHECK(site.held_count == 1);
    wire_send(&wires[1], large); /* 60,000 of 100,000 are taken */
    site_run(&site, SOON);
    CHECK(site.held_count == 1 && wire_count(&wires[1], "\"code\":\"overloaded\"") == 1 &&
          wires[1].ended);
    wire_send(&wires[2], small);
    site_run(&site, SOON);
    CHECK(site.held_count == 2);
    site_answer(&site, 0, "x"); /* what was held is free again, of the refused one too */
    site_run(&site, SOON);
    wire_send(&wires[0], large);
    site_run(&site, SOON);
    CHECK(site.held_count == 3);
    wire_send(&wires[3], half); /* one that goes away in the middle */
    site_run(&site, SOON);
    wire_free(&wires[3]);
    site_run(&site, SOON);
    site_answer(&site, 2, "x");
    site_run(&site, SOON);
    for (size_t i = 3; i < 6; i++) {
        wire_send(&wires[0], large);
        site_run(&site, SOON);
        CHECK(site.held_count == i + 1);
        site_answer(&site, i, "x");
        site_run(&site, SOON);
    }
    site_answer(&site, 1, "x");
    site_run(&site, SOON);
    for (size_t i = 0; i < 3; i++)
        wire_free(&wires[i]);
    free(large);
    free(small);
    free(half);
    site_close(&site);
}

/* As while the local socket, which is outside the room, has more in hand than all others may. */
static void a_small_body_needs_no_room_where_there_is_none(void)
{
    static const char text[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
    const struct tael_http_limits limits = {.line = 100, .head = 200, .fields = 8, .field = 100};
    struct tael_http_head head = {0};
    struct tael_http_incoming *incoming = NULL;
    size_t taken = 200, used = 0;
    struct tael_http_large large = {.bytes = &taken, .max = 100};
    CHECK(tael_http_head_scan(&head, &limits, text, sizeof(text) - 1) == TAEL_HTTP_GATE_DONE);
    size_t body_at = head.at;
    CHECK(tael_http_incoming_new(&incoming, &head, text, "", "") == TAEL_OK);
    CHECK(tael_http_incoming_begin(incoming, 10, &large) == TAEL_HTTP_GATE_MORE);
    CHECK(tael_http_incoming_feed(incoming, text + body_at, 2, &used) == TAEL_HTTP_GATE_DONE);
    tael_http_incoming_free(incoming);
    CHECK(taken == 200);
}

static void the_handler_says_how_much_body_an_address_takes(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 10, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, POST("/small", "10") "0123456789");
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("17", "/small:0123456789")));
    wire_send(&wire, POST("/small", "11"));
    site_run(&site, SOON);
    CHECK(wire_count(&wire, "\"code\":\"too_large\"") == 1 && wire.ended);
    wire_free(&wire);

    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n");
    site_run(&site, SOON);
    CHECK(wire_count(&wire, "HTTP/1.1 413 ") == 1 && site.requests == 1);
    wire_free(&wire);

    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, POST("/any", "262145"));
    site_run(&site, SOON);
    CHECK(wire_count(&wire, "HTTP/1.1 413 ") == 1);
    wire_free(&wire);
    site_close(&site);
}

/* ---- times ---- */

static void an_idle_connection_is_closed_after_30_s(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 11, NULL);
    wire_connect(&wire, site.loop, site.address);
    site_run(&site, 29000);
    wire_send(&wire, GET("/a"));
    site_run(&site, 29900);
    CHECK(!wire.ended);
    site_run(&site, 200);
    CHECK(wire.ended && wire_is(&wire, OK("3", "/a:")));
    wire_free(&wire);
    site_close(&site);
}

static void a_head_must_come_within_5_s(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 12, NULL);
    wire_connect(&wire, site.loop, site.address);
    site_run(&site, 10000);       /* silence before the first byte is not the head's */
    for (int i = 0; i < 9; i++) { /* a byte now and then does not help */
        tael_stream_write(wire.stream, &"GET / HTT"[i], 1);
        site_run(&site, 540);
        CHECK(!wire.ended);
    }
    site_run(&site, 300);
    CHECK(wire.ended && wire_count(&wire, "HTTP/1.1 408 ") == 1);
    CHECK(wire_count(&wire, "\"code\":\"request_timeout\"") == 1 && site.requests == 0);
    wire_free(&wire);
    site_close(&site);
}

/* Sends count pieces of a body of 200000 bytes, one every every_ms. true: the server has given up.
 */
static bool body_is_given_up(uint64_t seed, size_t piece, int count, int64_t every_ms)
{
    struct site site;
    struct wire wire;
    char *bytes = calloc(1, piece + 1);
    if (bytes == NULL)
        abort();
    memset(bytes, 'x', piece);
    site_open(&site, seed, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, POST("/p", "200000"));
    site_run(&site, SOON);
    for (int i = 0; i < count; i++) {
        wire_send(&wire, bytes);
        site_run(&site, every_ms);
    }
    bool given_up = wire.ended && wire_count(&wire, "HTTP/1.1 408 ") == 1;
    CHECK(given_up || (!wire.ended && wire.got.len == 0));
    wire_free(&wire);
    site_close(&site);
    free(bytes);
    return given_up;
}

static void a_body_must_come_at_1_kib_a_second(void)
{
    CHECK(body_is_given_up(13, 0, 1, 5000));      /* no first byte */
    CHECK(!body_is_given_up(14, 1100, 60, 1000)); /* steady: a minute is no limit */
    CHECK(body_is_given_up(15, 900, 12, 1000));   /* steady but too slow */
    CHECK(!body_is_given_up(16, 900, 4, 1000));   /* the first five seconds are free */
    CHECK(!body_is_given_up(17, 6000, 10, 4900)); /* in gusts */
}

static void a_slow_handler_is_not_the_clients_fault(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 18, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/hold"));
    site_run(&site, 600000);
    CHECK(!wire.ended && site.gone == 0);
    site_answer(&site, 0, "late");
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("4", "late")) && !wire.ended);
    site_run(&site, 29000);
    CHECK(!wire.ended); /* idle since the answer, not since the request */
    wire_free(&wire);
    site_close(&site);
}

static void a_client_that_does_not_read_is_cut(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 19, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/big/1") GET("/big/2"));
    site_run(&site, 0);
    tael_stream_read(wire.stream, false);
    site_run(&site, 9900);
    CHECK(site.requests == 1); /* no second answer is made for one who does not take the first */
    CHECK(!site_logged(&site, "stalled"));
    site_run(&site, 500);
    CHECK(site_logged(&site, "stalled"));
    CHECK(tael_http_server_open(site.server) == 0 && site.gone == 0);
    tael_stream_read(wire.stream, true);
    site_run(&site, 1000);
    CHECK(wire.ended && site.requests == 1);
    wire_free(&wire);
    site_close(&site);
}

static void a_client_that_reads_slowly_is_served(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 20, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/big/1") GET("/big/2"));
    for (int i = 0; i < 400 && wire.got.len < 2 * SITE_BIG; i++) {
        tael_stream_read(wire.stream, i % 2 == 0);
        site_run(&site, i % 2 == 0 ? 1 : 4000);
    }
    tael_stream_read(wire.stream, true);
    site_run(&site, 1000);
    CHECK(wire_count(&wire, "HTTP/1.1 200 OK") == 2 && wire.got.len > 2 * SITE_BIG);
    CHECK(!site_logged(&site, "stalled"));
    wire_free(&wire);
    site_close(&site);
}

static void take_one_piece(void *user, const char *data, size_t len)
{
    struct wire *wire = user;
    wire_on_read(wire, data, len);
    tael_stream_read(wire->stream, false);
}

/* It takes 8 KB a second and is never without something to take: as much is added. */
static void a_client_that_asks_ahead_and_reads_steadily_is_served(void)
{
    static const struct tael_stream_events steady = {
        .open = wire_on_open, .read = take_one_piece, .end = wire_on_end};
    enum { ASKED = 16, PIECE = 8 * 1024 };
    struct site site;
    struct wire wire = {0};
    char text[PIECE + 1];
    memset(text, 'x', PIECE);
    text[PIECE] = '\0';
    site_open(&site, 42, NULL);
    CHECK(tael_connect(site.loop, site.address, &steady, &wire, &wire.stream) == TAEL_OK);
    for (size_t i = 0; i < ASKED; i++)
        wire_send(&wire, GET("/hold"));
    site_run(&site, SOON);
    site_answer(&site, 0, "a short one first");
    for (size_t i = 1; i < ASKED; i++) {
        site_run(&site, i < 3 ? SOON : 1000);
        CHECK(site.held_count == i + 1);
        if (site.held_count == i + 1)
            site_answer(&site, i, text);
        if (i >= 3)
            tael_stream_read(wire.stream, true);
    }
    CHECK(!site_logged(&site, "stalled") && !wire.ended);
    wire_free(&wire);
    site_close(&site);
}

/* ---- connections ---- */

static void there_are_only_so_many_connections(void)
{
    struct site site;
    struct wire wires[3];
    struct tael_http_limits limits = {.connections = 2};
    site_open(&site, 21, &limits);
    for (size_t i = 0; i < 3; i++) {
        wire_connect(&wires[i], site.loop, site.address);
        wire_send(&wires[i], i == 0 ? GET("/hold") : POST("/b", "2") "h");
        site_run(&site, SOON);
    }
    CHECK(!wires[0].ended && !wires[1].ended && wires[2].ended);
    CHECK(site_logged(&site, "http.connection_refused"));
    wire_free(&wires[1]);
    site_run(&site, SOON);
    wire_free(&wires[2]);
    wire_connect(&wires[2], site.loop, site.address);
    wire_send(&wires[2], GET("/a"));
    site_run(&site, SOON);
    CHECK(wire_is(&wires[2], OK("3", "/a:")));
    site_answer(&site, 0, "x");
    site_run(&site, SOON);
    CHECK(wire_is(&wires[0], OK("1", "x")));
    wire_free(&wires[0]);
    wire_free(&wires[2]);
    site_close(&site);
}

/* First those that have asked nothing yet, then those between two requests, then unfinished heads;
 * of each the oldest. Nobody who waits for an answer. */
static void who_only_holds_a_place_makes_room(void)
{
    struct site site;
    enum { SLOW, IDLE, NEW, NEWER, WAITING, PLACES };
    static const char *const begins[PLACES] = {"GET /slow HTTP", GET("/a"), "", "", GET("/hold")};
    static const int order[] = {NEW, NEWER, IDLE, SLOW};
    struct wire wires[PLACES], more[PLACES];
    struct tael_http_limits limits = {.connections = PLACES};
    site_open(&site, 24, &limits);
    for (size_t i = 0; i < PLACES; i++) {
        wire_connect(&wires[i], site.loop, site.address);
        wire_send(&wires[i], begins[i]);
        site_run(&site, SOON);
    }
    for (size_t n = 0; n < 4; n++) {
        CHECK(!wires[order[n]].ended);
        wire_connect(&more[n], site.loop, site.address);
        wire_send(&more[n], GET("/hold")); /* has to stay */
        site_run(&site, SOON);
        CHECK(wires[order[n]].ended && !more[n].ended && site.held_count == n + 2);
    }
    CHECK(wire_count(&wires[SLOW], "HTTP/1.1 503 ") == 1 && !wires[WAITING].ended);
    CHECK(wires[NEW].got.len == 0 && site_logged(&site, "http.connection_evicted"));
    wire_connect(&more[4], site.loop, site.address);
    site_run(&site, SOON);
    CHECK(more[4].ended);
    for (size_t i = 0; i < 5; i++)
        site_answer(&site, i, "x");
    site_run(&site, SOON);
    for (size_t i = 0; i < PLACES; i++) {
        wire_free(&wires[i]);
        wire_free(&more[i]);
    }
    site_close(&site);
}

static const char *foreign_peer(struct tael_stream *stream)
{
    (void)stream;
    return "192.0.2.7:40000";
}

static void one_address_has_only_so_many_of_them(void)
{
    struct site site;
    struct wire wires[3];
    struct tael_http_limits limits = {.per_address = 2};
    site_open(&site, 22, &limits);
    for (size_t i = 0; i < 3; i++) /* loopback is exempt */
        wire_connect(&wires[i], site.loop, site.address);
    site_run(&site, SOON);
    CHECK(!wires[0].ended && !wires[1].ended && !wires[2].ended);
    for (size_t i = 0; i < 3; i++)
        wire_free(&wires[i]);
    site_run(&site, SOON);

    site.ops = *site.loop->ops;
    site.ops.stream_peer = foreign_peer;
    site.loop->ops = &site.ops;
    for (size_t i = 0; i < 3; i++) {
        wire_connect(&wires[i], site.loop, site.address);
        site_run(&site, SOON);
    }
    CHECK(!wires[0].ended && !wires[1].ended && wires[2].ended);
    wire_free(&wires[0]);
    site_run(&site, SOON);
    wire_free(&wires[2]);
    wire_connect(&wires[2], site.loop, site.address);
    site_run(&site, SOON);
    CHECK(!wires[2].ended);
    wire_free(&wires[1]);
    wire_free(&wires[2]);
    site_close(&site);
}

static const char *other_peer(struct tael_stream *stream)
{
    (void)stream;
    return "192.0.2.8:40000";
}

/* Half of the room: who is somewhere else has the rest, and it is free again when the request is
 * gone, which its connection may be before. */
static void one_address_has_only_so_much_room_for_large_bodies(void)
{
    struct site site;
    struct wire wires[3];
    struct tael_http_limits limits = {.bodies = 100000, .body = 50000};
    char *large = post_of(16384 + 30000);
    site_open(&site, 26, &limits);
    site.ops = *site.loop->ops;
    site.ops.stream_peer = foreign_peer;
    site.loop->ops = &site.ops;
    wire_connect(&wires[0], site.loop, site.address);
    wire_connect(&wires[1], site.loop, site.address);
    wire_send(&wires[0], large);
    site_run(&site, SOON);
    wire_send(&wires[1], large); /* 30,000 of its 50,000 are taken */
    site_run(&site, SOON);
    CHECK(site.held_count == 1 && wire_count(&wires[1], "\"code\":\"overloaded\"") == 1);
    site.ops.stream_peer = other_peer;
    wire_connect(&wires[2], site.loop, site.address);
    wire_send(&wires[2], large);
    site_run(&site, SOON);
    CHECK(site.held_count == 2);
    site.ops.stream_peer = foreign_peer;
    for (size_t i = 0; i < 2; i++) {
        wire_free(&wires[i]);
        site_run(&site, SOON);
        wire_connect(&wires[i], site.loop, site.address);
        site_run(&site, SOON);
    }
    wire_send(&wires[0], large); /* the first request is still in hand */
    site_run(&site, SOON);
    CHECK(site.held_count == 2 && wire_count(&wires[0], "\"code\":\"overloaded\"") == 1);
    site_answer(&site, 0, "x");
    wire_send(&wires[1], large);
    site_run(&site, SOON);
    CHECK(site.held_count == 3);
    for (size_t i = 0; i < 3; i++)
        wire_free(&wires[i]);
    site_run(&site, SOON);
    site_answer(&site, 1, "x");
    site_answer(&site, 2, "x");
    site_run(&site, SOON);
    free(large);
    site_close(&site);
}

/* A proxy is as many clients as there are behind it. */
static void networks_may_be_exempt(void)
{
    struct site site;
    struct wire wires[3];
    struct tael_network proxies;
    struct tael_http_limits limits = {.per_address = 2, .exempt = &proxies, .exempt_count = 1};
    CHECK(tael_network_parse(&proxies, tael_span_of("192.0.2.0/29")));
    site_open(&site, 25, &limits);
    site.ops = *site.loop->ops;
    site.ops.stream_peer = foreign_peer;
    site.loop->ops = &site.ops;
    for (size_t i = 0; i < 3; i++)
        wire_connect(&wires[i], site.loop, site.address);
    site_run(&site, SOON);
    CHECK(!wires[0].ended && !wires[1].ended && !wires[2].ended);
    for (size_t i = 0; i < 3; i++)
        wire_free(&wires[i]);
    site_close(&site);
}

static void peers_are_found_in_networks(void)
{
    static const struct {
        const char *network, *peer;
        bool among;
    } rows[] = {
        {"192.0.2.0/29", "192.0.2.7:1", true},
        {"192.0.2.0/29", "192.0.2.8:1", false},
        {"192.0.2.7", "192.0.2.7:1", true},
        {"192.0.2.7", "192.0.2.6:1", false},
        {"0.0.0.0/0", "192.0.2.7:1", true},
        {"0.0.0.0/0", "[2001:db8::1]:1", false},
        {"2001:db8::/33", "[2001:db8::1]:1", true},
        {"2001:db8::/33", "[2001:db8:8000::1]:1", false},
        {"::/0", "192.0.2.7:1", false},
        {"192.0.2.0/29", "[::ffff:192.0.2.7]:1", true},
        {"192.0.2.0/29", "unix", false},
    };
    static const char *const wrong[] = {"",    "192.0.2.0/",   "192.0.2.0/33",         "::/129",
                                        "a/8", "192.0.2.0/-1", "192.0.2.0/4294967304", "/8"};
    struct tael_network network;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_NAMED(tael_network_parse(&network, tael_span_of(rows[i].network)) &&
                        tael_http_peer_is_among(rows[i].peer, &network, 1) == rows[i].among,
                    rows[i].peer);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_NAMED(!tael_network_parse(&network, tael_span_of(wrong[i])), wrong[i]);
}

static void addresses_are_counted_apart(void)
{
    struct tael_http_peers peers = {0};
    struct tael_http_peer *entries[300] = {0};
    struct tael_http_peer *more = NULL;
    char address[64];
    bool added = true;
    for (int i = 0; i < 300; i++) { /* three connections of each of a hundred, in no order */
        snprintf(address, sizeof(address), "192.0.2.%d:%d", i * 37 % 100, 1000 + i);
        added = added && tael_http_peers_add(&peers, address, 3, &entries[i]) == TAEL_OK;
    }
    CHECK(added && peers.count == 100);
    CHECK(tael_http_peers_add(&peers, "192.0.2.5:9", 3, &more) == TAEL_ELIMIT);
    CHECK(tael_http_peers_add(&peers, "192.0.2.255:9", 3, &more) == TAEL_OK);
    CHECK(tael_http_peers_add(&peers, "[2001:db8::1]:9", 3, &entries[0]) == TAEL_OK);
    CHECK(peers.count == 102);
    tael_http_peers_remove(&peers, entries[0]);
    CHECK(peers.count == 101);
    tael_http_peers_remove(&peers, more);
    snprintf(address, sizeof(address), "192.0.2.%d:1", 0);
    CHECK(tael_http_peers_add(&peers, address, 3, &more) == TAEL_ELIMIT);
    tael_http_peers_remove(&peers, entries[100]); /* of the same address */
    CHECK(tael_http_peers_add(&peers, address, 3, &entries[100]) == TAEL_OK);
    tael_http_peers_remove(&peers, entries[100]);
    for (size_t i = 1; i < 300; i++) {
        if (i != 100)
            tael_http_peers_remove(&peers, entries[i]);
    }
    CHECK(peers.count == 1); /* the one whose handle the IPv6 address took over */
    CHECK(tael_http_peers_add(&peers, address, 9, &more) == TAEL_OK);
    tael_http_peers_remove(&peers, more);
    tael_http_peers_remove(&peers, more);
    tael_http_peers_free(&peers);
    CHECK(tael_http_peer_is_local("127.8.9.1:1") && tael_http_peer_is_local("[::1]:1") &&
          tael_http_peer_is_local("unix"));
    CHECK(!tael_http_peer_is_local("128.0.0.1:1") && !tael_http_peer_is_local("[::12]:1"));
}

static void a_network_of_ip6_counts_as_one_peer(void)
{
    static const char *const same[] = {
        "[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:2", "[2001:db8:1:2:3::]:3"};
    static const char *const others[] = {"[2001:db8:1:3::1]:1", "[2001:db8:1:1::1]:1",
                                         "[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.2:1"};
    struct tael_http_peers peers = {0};
    struct tael_http_peer *entries[16];
    struct tael_http_peer *more;
    size_t count = 0;
    bool right = true;
    for (size_t i = 0; i < 3; i++)
        right = right && tael_http_peers_add(&peers, same[i], 3, &entries[count++]) == TAEL_OK;
    CHECK(right && peers.count == 1);
    CHECK(tael_http_peers_add(&peers, "[2001:db8:1:2:8::]:4", 3, &more) == TAEL_ELIMIT);
    for (size_t i = 0; i < 5; i++)
        right = right && tael_http_peers_add(&peers, others[i], 1, &entries[count++]) == TAEL_OK;
    CHECK(right && peers.count == 6);
    CHECK(tael_http_peers_add(&peers, "[::ffff:192.0.2.1]:9", 1, &more) == TAEL_ELIMIT);
    while (count > 0)
        tael_http_peers_remove(&peers, entries[--count]);
    CHECK(peers.count == 0);
    tael_http_peers_free(&peers);
}

int main(void)
{
    a_connection_serves_one_request_after_another();
    pipelined_requests_are_handed_over_one_at_a_time();
    pipelined_requests_wait_for_a_turn_each();
    one_that_waits_for_its_turn_may_go();
    a_thousand_pipelined_requests_are_answered_in_order();
    no_more_is_read_than_may_be_pipelined();
    the_last_request_of_a_connection_is_said_to_be();
    answers_without_a_body_have_none();
    an_answer_that_may_not_be_sent_is_a_500();
    the_servers_own_answers_are_problems();
    continue_is_said_when_the_body_is_wanted();
    large_bodies_share_a_room_that_small_ones_need_not();
    a_small_body_needs_no_room_where_there_is_none();
    the_handler_says_how_much_body_an_address_takes();
    an_idle_connection_is_closed_after_30_s();
    a_head_must_come_within_5_s();
    a_body_must_come_at_1_kib_a_second();
    a_slow_handler_is_not_the_clients_fault();
    a_client_that_does_not_read_is_cut();
    a_client_that_reads_slowly_is_served();
    a_client_that_asks_ahead_and_reads_steadily_is_served();
    there_are_only_so_many_connections();
    who_only_holds_a_place_makes_room();
    one_address_has_only_so_many_of_them();
    one_address_has_only_so_much_room_for_large_bodies();
    networks_may_be_exempt();
    peers_are_found_in_networks();
    addresses_are_counted_apart();
    a_network_of_ip6_counts_as_one_peer();
    return tap_end();
}
