/* http_server_end_test.c - how it ends: clients that go away, drains, a server that is freed while
 * requests are out, no memory. Run under the sanitizers this is also the proof of who owns what. */
#include <stdlib.h>

#include "alloc_fail.h"
#include "site.h"
#include "tap.h"

#define GET(path)          "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"
#define OK(length, body)   "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body
#define LAST(length, body)                                                                         \
    "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\nConnection: close\r\n\r\n" body

enum {
    SOON = 50,     /* ms: everything that is under way has arrived */
    RETIRED = 150, /* ms: nobody listens any more */
};

/* ---- the client goes away ---- */

static void the_handler_hears_once_that_its_client_is_gone(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 1, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, POST("/hold/1", "4") "body" GET("/hold/2") "GET /partly");
    site_run(&site, SOON);
    CHECK(site.held_count == 1 && tael_http_server_open(site.server) == 2);
    wire_free(&wire);
    site_run(&site, SOON);
    CHECK(site.gone == 1 && site.last_gone == site.held[0] && site.held[0]->gone);
    CHECK(tael_http_server_open(site.server) == 1); /* what was not handed over is forgotten */
    CHECK(tael_span_is(site.held[0]->target, "/hold/1") &&
          tael_span_is(site.held[0]->body, "body"));
    CHECK(strncmp(site.held[0]->peer, "127.0.0.1:", 10) == 0);
    site_answer(&site, 0, "nobody hears it");
    site_run(&site, SOON);
    CHECK(site.gone == 1 && site.requests == 1 && tael_http_server_open(site.server) == 0);
    site_close(&site);
}

static void a_request_may_be_answered_when_its_client_is_gone(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 2, NULL);
    site.answer_gone = true;
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/hold"));
    site_run(&site, SOON);
    wire_free(&wire);
    site_run(&site, SOON);
    CHECK(site.gone == 1 && tael_http_server_open(site.server) == 0);
    site_close(&site);
}

/* Cuts the connection after each number of bytes sent and at many moments. */
static void clients_may_go_at_any_point(void)
{
    static const char bytes[] =
        POST("/a", "3") "abc" GET("/hold") "POST /b HTTP/1.1\r\nHost: a\r\n"
                                           "Transfer-Encoding: chunked\r\n\r\n"
                                           "1\r\nx\r\n0\r\n\r\n";
    struct site site;
    bool right = true;
    for (size_t len = 0; len < sizeof(bytes); len++) {
        struct wire wire;
        site_open(&site, 100 + len, NULL);
        wire_connect(&wire, site.loop, site.address);
        site_run(&site, 2);
        tael_stream_write(wire.stream, bytes, len);
        site_run(&site, (int64_t)(len % 4));
        wire_free(&wire);
        site_run(&site, SOON);
        right = right && site.gone == site.held_count;
        for (size_t i = 0; i < site.held_count; i++)
            site_answer(&site, i, "x");
        right = right && tael_http_server_open(site.server) == 0;
        tael_http_server_drain(site.server, 1000, site_on_drained, &site);
        site_run(&site, RETIRED); /* no connection is left: at once */
        right = right && site.drained == 1 && site.clean;
        site_close(&site);
    }
    CHECK(right);
}

/* ---- drain ---- */

static void a_drain_lets_open_requests_end(void)
{
    struct site site;
    struct wire idle, late, busy, partial;
    site_open(&site, 3, NULL);
    wire_connect(&idle, site.loop, site.address);
    wire_connect(&late, site.loop, site.address);
    wire_connect(&busy, site.loop, site.address);
    wire_connect(&partial, site.loop, site.address);
    wire_send(&idle, GET("/a"));
    wire_send(&busy, GET("/hold/1") GET("/hold/2"));
    wire_send(&partial, POST("/p", "4") "bo");
    site_run(&site, SOON);
    tael_http_server_drain(site.server, 10000, site_on_drained, &site);
    site_run(&site, SOON);
    CHECK(!idle.ended && !late.ended && !busy.ended && !partial.ended && site.drained == 0);
    wire_clear(&idle);
    wire_send(&idle, GET("/b")); /* it did not know: is served, and told */
    site_run(&site, SOON);
    CHECK(wire_is(&idle, LAST("3", "/b:")) && idle.ended && idle.why == TAEL_OK);

    struct wire stranger;
    wire_connect(&stranger, site.loop, site.address);
    site_run(&site, SOON);
    CHECK(stranger.ended && !stranger.open); /* nobody listens */
    wire_free(&stranger);

    wire_send(&partial, "dy"); /* was begun before: is served, and is the last */
    site_run(&site, SOON);
    CHECK(wire_is(&partial, LAST("7", "/p:body")) && partial.ended);
    site_answer(&site, 0, "1");
    site_run(&site, SOON);
    CHECK(wire_is(&busy, OK("1", "1")) && site.held_count == 2 && site.drained == 0);
    site_answer(&site, 1, "2");
    site_run(&site, SOON);
    CHECK(wire_is(&busy, OK("1", "1") LAST("1", "2")) && busy.ended);
    CHECK(site.drained == 0 && !late.ended); /* its request may be on the way */
    site_run(&site, tael_http_quiet_ms(10000));
    CHECK(late.ended && late.why == TAEL_OK && site.drained == 1 && site.clean);
    wire_free(&idle);
    wire_free(&late);
    wire_free(&busy);
    wire_free(&partial);
    site_run(&site, 20000);
    CHECK(site.drained == 1);
    site_close(&site);
}

static void a_drain_waits_for_detached_requests(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 4, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/hold"));
    site_run(&site, SOON);
    wire_free(&wire);
    tael_http_server_drain(site.server, 10000, site_on_drained, &site);
    site_run(&site, 5000);
    CHECK(site.drained == 0 && site.gone == 1);
    site_answer(&site, 0, "x");
    site_run(&site, 0);
    CHECK(site.drained == 1 && site.clean);
    site_close(&site);
}

static void a_drain_without_anything_open_ends_later_but_soon(void)
{
    struct site site;
    site_open(&site, 5, NULL);
    tael_http_server_drain(site.server, 10000, site_on_drained, &site);
    CHECK(site.drained == 0);
    site_run(&site, 0);
    CHECK(site.drained == 0); /* a client may be on the way in */
    site_run(&site, RETIRED);
    CHECK(site.drained == 1 && site.clean);
    site_close(&site);
}

static void a_drain_has_an_end(void)
{
    struct site site;
    struct wire busy, partial;
    site_open(&site, 6, NULL);
    wire_connect(&busy, site.loop, site.address);
    wire_connect(&partial, site.loop, site.address);
    wire_send(&busy, GET("/hold"));
    wire_send(&partial, "GET / HTTP/1.1\r\n");
    site_run(&site, SOON);
    tael_http_server_drain(site.server, 3000, site_on_drained, &site);
    site_run(&site, 2900);
    CHECK(site.drained == 0 && !partial.ended);
    site_run(&site, 200);
    CHECK(site.drained == 1 && !site.clean);
    CHECK(partial.ended && wire_count(&partial, "HTTP/1.1 503 ") == 1 &&
          wire_count(&partial, "Retry-After: 1\r\n") == 1 &&
          wire_count(&partial, "\"code\":\"draining\"") == 1);
    CHECK(busy.ended && wire_is(&busy, "") && site.held[0]->gone);
    CHECK(tael_http_server_open(site.server) == 1);
    site_answer(&site, 0, "too late");
    site_run(&site, SOON);
    CHECK(site.drained == 1 && tael_http_server_open(site.server) == 0);
    wire_free(&busy);
    wire_free(&partial);
    site_close(&site);
}

static void a_request_that_starts_a_drain_gets_its_answer(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 7, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/hold"));
    site_run(&site, SOON);
    tael_http_server_drain(site.server, 1000, site_on_drained, &site);
    site_answer(&site, 0, "stopping");
    site_run(&site, SOON);
    CHECK(wire_is(&wire, LAST("8", "stopping")) && wire.ended);
    site_run(&site, RETIRED);
    CHECK(site.drained == 1 && site.clean);
    wire_free(&wire);
    site_close(&site);
}

static void free_when_drained(void *user, bool clean)
{
    struct site *site = user;
    site_on_drained(site, clean);
    tael_http_server_free(site->server);
    site->server = NULL;
}

static void the_server_may_be_freed_when_it_has_drained(void)
{
    struct site site;
    struct wire wire;
    site_open(&site, 8, NULL);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/hold"));
    site_run(&site, SOON);
    tael_http_server_drain(site.server, 100, free_when_drained, &site);
    site_run(&site, 1000);
    CHECK(site.drained == 1 && site.server == NULL && wire.ended);
    site_answer(&site, 0, "x");
    wire_free(&wire);
    site_close(&site);
}

/* ---- the server is freed ---- */

static void requests_outlive_their_server(void)
{
    struct site site;
    struct wire wires[2];
    site_open(&site, 9, NULL);
    wire_connect(&wires[0], site.loop, site.address);
    wire_connect(&wires[1], site.loop, site.address);
    wire_send(&wires[0], GET("/hold/1") GET("/hold/2"));
    wire_send(&wires[1], POST("/hold/3", "2") "hi"
                                              "GET /par");
    site_run(&site, SOON);
    tael_http_server_free(site.server);
    site.server = NULL;
    CHECK(site.held_count == 2 && site.held[0]->gone && site.held[1]->gone);
    CHECK(strcmp(site.held[0]->listener, "api") == 0);
    site_run(&site, SOON);
    CHECK(wires[0].ended && wires[1].ended && site.gone == 0);
    site_answer(&site, 0, "x");
    wire_free(&wires[0]);
    wire_free(&wires[1]);
    struct tael_http_request *last = site.held[1];
    site_close(&site); /* loop and world are gone before the last answer */
    CHECK(tael_span_is(last->body, "hi") || tael_span_is(last->target, "/hold/1"));
    site_respond(last, 200, NULL, NULL, "x");
}

static void the_handler_may_free_the_server(void)
{
    struct site site;
    struct wire wire;
    static const char *const paths[] = {GET("/now") GET("/now"), GET("/hold") GET("/hold")};
    for (size_t i = 0; i < 2; i++) {
        site_open(&site, 10 + i, NULL);
        site.free_in_request = true;
        wire_connect(&wire, site.loop, site.address);
        wire_send(&wire, paths[i]);
        site_run(&site, SOON);
        CHECK(site.requests == 1 && site.server == NULL && wire.ended);
        if (site.held_count == 1)
            site_answer(&site, 0, "x");
        wire_free(&wire);
        site_close(&site);
    }
}

/* ---- no memory ---- */

static void the_server_is_made_whole_or_not_at_all(void)
{
    struct site site;
    bool right = true;
    site_open(&site, 12, NULL);
    for (long n = 1;; n++) {
        struct tael_http_server *server = NULL;
        struct tael_http_server_options options = {.loop = site.loop,
                                                   .handler = {.request = site_on_request}};
        const char *address = NULL;
        alloc_fail_at(n);
        tael_status status = tael_http_server_new(&server, &options);
        if (status == TAEL_OK)
            status = tael_http_server_listen(server, "x", "127.0.0.1:0", &address);
        bool failed = alloc_fail_end();
        right = right && failed == (status == TAEL_ENOMEM);
        tael_http_server_free(server);
        if (!failed)
            break;
    }
    CHECK(right);
    site_close(&site);
}

/* Whatever allocation fails while requests come in, the server answers the next client. */
static void a_connection_without_memory_ends_and_the_server_goes_on(void)
{
    struct site site;
    bool right = true;
    for (long n = 1; n < 200; n++) {
        struct wire wire;
        site_open(&site, 1000 + (uint64_t)n, NULL);
        wire_connect(&wire, site.loop, site.address);
        alloc_fail_at(n);
        wire_send(&wire, POST("/a", "3") "abc" GET("/hold") GET("/hold") "POST /p HTTP/1.1\r\n"
                                                                         "Host: a\r\n"
                                                                         "Transfer-Encoding: "
                                                                         "chunked\r\n\r\n1\r\nx\r\n"
                                                                         "0\r\n\r\nGET / HTTP");
        site_run(&site, SOON);
        if (site.held_count > 0)
            site_answer(&site, 0, "x");
        site_run(&site, SOON);
        bool failed = alloc_fail_end();
        for (size_t i = 0; i < site.held_count; i++) {
            if (site.held[i] != NULL)
                site_answer(&site, i, "x");
        }
        wire_free(&wire);
        site_run(&site, SOON);
        right = right && tael_http_server_open(site.server) == 0;
        wire_connect(&wire, site.loop, site.address);
        wire_send(&wire, GET("/b"));
        site_run(&site, SOON);
        right = right && wire_is(&wire, OK("3", "/b:"));
        wire_free(&wire);
        site_close(&site);
        if (!failed)
            break;
    }
    CHECK(right);
}

int main(void)
{
    the_handler_hears_once_that_its_client_is_gone();
    a_request_may_be_answered_when_its_client_is_gone();
    clients_may_go_at_any_point();
    a_drain_lets_open_requests_end();
    a_drain_waits_for_detached_requests();
    a_drain_without_anything_open_ends_later_but_soon();
    a_drain_has_an_end();
    a_request_that_starts_a_drain_gets_its_answer();
    the_server_may_be_freed_when_it_has_drained();
    requests_outlive_their_server();
    the_handler_may_free_the_server();
    the_server_is_made_whole_or_not_at_all();
    a_connection_without_memory_ends_and_the_server_goes_on();
    return tap_end();
}
