/* http_server_flaw_test.c - answers that a simulator wants to go wrong on their way: not given, cut
 * off, interrupted; what else is on the connection, and what is freed when it ends meanwhile. */
#include "site.h"
#include "tap.h"

#define GET(path)        "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body
#define LAST(length, body)                                                                         \
    "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\nConnection: close\r\n\r\n" body

enum { SOON = 50 }; /* ms: everything that is under way has arrived */

static void answer(struct site *site, size_t idx, const char *text, struct tael_http_flaw flaw)
{
    tael_http_respond_flawed(site->held[idx], 200, NULL, 0, tael_span_of(text), &flaw);
}

static void open_with(struct site *site, struct wire *wire, const char *bytes)
{
    site_open(site, 1, NULL);
    wire_connect(wire, site->loop, site->address);
    wire_send(wire, bytes);
    site_run(site, SOON);
}

static void close_both(struct site *site, struct wire *wire)
{
    wire_free(wire);
    site_close(site);
}

static void a_dropped_answer_closes_the_connection(void)
{
    struct site site;
    struct wire wire;
    open_with(&site, &wire, GET("/hold") GET("/never"));
    answer(&site, 0, "abc", (struct tael_http_flaw){.drop = true});
    site_run(&site, SOON);
    CHECK(wire.ended && wire.got.len == 0 && site.gone == 0 && site.requests == 1);
    CHECK(tael_http_server_open(site.server) == 0);
    close_both(&site, &wire);
}

static void a_cut_answer_says_more_than_comes(void)
{
    struct site site;
    struct wire wire;
    open_with(&site, &wire, GET("/hold") GET("/never"));
    answer(&site, 0, "abcdef", (struct tael_http_flaw){.cut = true, .after = 2});
    site_run(&site, SOON);
    CHECK(wire.ended && wire_is(&wire, LAST("6", "ab")) && site.requests == 1);
    close_both(&site, &wire);
}

static void an_interrupted_answer_goes_on(void)
{
    struct site site;
    struct wire wire;
    open_with(&site, &wire, GET("/hold") GET("/b"));
    answer(&site, 0, "abcdef", (struct tael_http_flaw){.pause_ms = 1000, .after = 2});
    site_run(&site, 900);
    CHECK(wire_is(&wire, OK("6", "ab")) && site.requests == 1); /* nothing overtakes it */
    site_run(&site, 200);
    CHECK(wire_is(&wire, OK("6", "abcdef") OK("3", "/b:")) && !wire.ended);
    wire_send(&wire, GET("/hold"));
    site_run(&site, SOON);
    answer(&site, 1, "xy", (struct tael_http_flaw){.pause_ms = 1000, .after = 1}); /* once more */
    site_run(&site, 1100);
    CHECK(wire_is(&wire, OK("6", "abcdef") OK("3", "/b:") OK("2", "xy")));
    close_both(&site, &wire);
}

static void an_interrupted_last_answer_is_given_whole(void)
{
    struct site site;
    struct wire wire;
    open_with(&site, &wire, "GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    answer(&site, 0, "abcdef", (struct tael_http_flaw){.pause_ms = 40000, .after = 0});
    site_run(&site, 39000);
    CHECK(!wire.ended && wire_is(&wire, LAST("6", "")));
    site_run(&site, 2000);
    CHECK(wire.ended && wire_is(&wire, LAST("6", "abcdef")));
    close_both(&site, &wire);
}

static void there_is_nothing_to_hold_back_of_a_short_answer(void)
{
    struct site site;
    struct wire wire;
    open_with(&site, &wire, GET("/hold") "HEAD /hold HTTP/1.1\r\nHost: a\r\n\r\n" GET("/c"));
    answer(&site, 0, "ab", (struct tael_http_flaw){.pause_ms = 1000, .after = 2});
    site_run(&site, SOON);
    answer(&site, 1, "ab", (struct tael_http_flaw){.pause_ms = 1000, .after = 0});
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("2", "ab") OK("2", "") OK("3", "/c:")));
    close_both(&site, &wire);
}

static void a_drain_waits_for_what_is_held_back(void)
{
    struct site site;
    struct wire wire;
    open_with(&site, &wire, GET("/hold"));
    answer(&site, 0, "abcdef", (struct tael_http_flaw){.pause_ms = 1000, .after = 2});
    tael_http_server_drain(site.server, 5000, site_on_drained, &site);
    site_run(&site, 500);
    CHECK(site.drained == 0);
    site_run(&site, 1000);
    CHECK(site.drained == 1 && site.clean && wire.ended && wire_is(&wire, OK("6", "abcdef")));
    close_both(&site, &wire);
}

static void the_end_comes_before_the_rest(void)
{
    struct site site;
    struct wire wire;
    open_with(&site, &wire, GET("/hold") "GET /partly");
    answer(&site, 0, "abcdef", (struct tael_http_flaw){.pause_ms = 1000, .after = 2});
    tael_http_server_drain(site.server, 300, site_on_drained, &site);
    site_run(&site, 500);
    CHECK(site.drained == 1 && wire.ended && wire_is(&wire, OK("6", "ab")));
    close_both(&site, &wire);
    open_with(&site, &wire, GET("/hold"));
    answer(&site, 0, "abcdef", (struct tael_http_flaw){.pause_ms = 1000, .after = 2});
    wire_free(&wire); /* the client goes away */
    site_run(&site, 2000);
    wire_connect(&wire, site.loop, site.address);
    wire_send(&wire, GET("/a"));
    site_run(&site, SOON);
    CHECK(wire_is(&wire, OK("3", "/a:")));
    close_both(&site, &wire);
}

int main(void)
{
    a_dropped_answer_closes_the_connection();
    a_cut_answer_says_more_than_comes();
    an_interrupted_answer_goes_on();
    an_interrupted_last_answer_is_given_whole();
    there_is_nothing_to_hold_back_of_a_short_answer();
    a_drain_waits_for_what_is_held_back();
    the_end_comes_before_the_rest();
    return tap_end();
}
