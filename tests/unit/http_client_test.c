/* http_client_test.c - the HTTP client in both worlds: libcurl over real sockets and streams in the
 * simulated one must give the same results. The peer is our server, or one that speaks canned
 * bytes. */
#include "client_place.h"
#include "tap.h"

/* ---- what is sent and what comes back ---- */

static void a_get_brings_status_headers_and_body(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    struct call *call = place_perform(&place, "GET", "/a?b=c#not-sent", NULL);
    CHECK(call->done == 1 && call->result.failure == TAEL_HTTP_OK && call->result.sent);
    CHECK(call->result.status == 200 && call->result.elapsed_us >= 0);
    CHECK(strcmp(call->body, "GET /a?b=c|accept=*/*|") == 0);
    CHECK(strcmp(call->headers, "x-answer=a b\ncontent-length=22\n") == 0);
    call = place_perform(&place, "GET", "/a/../b//c", NULL);
    CHECK(strcmp(call->body, "GET /a/../b//c|accept=*/*|") == 0);
    place_close(&place);
}

static void a_post_carries_its_body_and_headers(bool simulated)
{
    struct place place;
    static const struct tael_http_header headers[] = {
        {{"Content-Type", 12}, {"application/json", 16}},
        {{"X-Empty", 7}, {"", 0}},
        {{"accept", 6}, {"text/plain", 10}},
    };
    struct tael_http_call more = {
        .headers = headers, .header_count = 3, .body = tael_span_of("{\"a\":1}")};
    place_open(&place, simulated);
    struct call *call = place_perform(&place, "POST", "/p", &more);
    CHECK(strstr(call->body, "|content-type=application/json|") != NULL);
    CHECK(strstr(call->body, "|x-empty=|") != NULL && strstr(call->body, "*/*") == NULL);
    CHECK(strstr(call->body, "|content-length=7|") != NULL);
    CHECK(strcmp(call->body + call->body_len - 8, "|{\"a\":1}") == 0);
    CHECK(strstr(place_perform(&place, "POST", "/p", NULL)->body, "content-length=0|") != NULL);
    CHECK(strstr(place_perform(&place, "PUT", "/p", NULL)->body, "content-length=0|") != NULL);
    call = place_perform(&place, "DELETE", "/p", NULL);
    CHECK(strcmp(call->body, "DELETE /p|accept=*/*|") == 0);
    char *large = malloc(200000);
    if (large == NULL)
        abort();
    memset(large, 'x', 200000);
    more = (struct tael_http_call){.body = {large, 200000}};
    call = place_perform(&place, "PATCH", "/p", &more); /* no 100-continue is waited for */
    CHECK(call->result.status == 200 && call->body_len > 200000);
    CHECK(strncmp(call->body, "PATCH /p|accept=*/*|content-length=200000|x", 43) == 0);
    free(large);
    place_close(&place);
}

static struct call *call_canned(struct place *place, bool simulated, const char *method,
                                const char *answer, const struct tael_http_call *more)
{
    place_open(place, simulated);
    place_can(place, answer, NULL, true);
    return place_perform(place, method, "/", more);
}

static void answers_are_given_as_they_are(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    struct call *call = place_perform(&place, "GET", "/302", NULL);
    CHECK(call->result.failure == TAEL_HTTP_OK && call->result.status == 302); /* not followed */
    call = place_perform(&place, "HEAD", "/big", NULL);
    CHECK(call->result.status == 200 && call->body_len == 0);
    CHECK(strcmp(call->headers, "content-length=1048577\n") == 0);
    place_close(&place);

    call = call_canned(&place, simulated, "GET", "HTTP/1.1 200 OK\r\n\r\nuntil the end", NULL);
    CHECK(call->result.status == 200 && strcmp(call->body, "until the end") == 0);
    place_close(&place);
    call = call_canned(&place, simulated, "GET",
                       "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
                       "HTTP/1.1 200 OK\r\nC: d\r\nContent-Length: 2\r\n\r\nhi",
                       NULL);
    CHECK(call->result.status == 200 && strcmp(call->body, "hi") == 0);
    CHECK(strcmp(call->headers, "c=d\ncontent-length=2\n") == 0);
    place_close(&place);
    call = call_canned(&place, simulated, "GET",
                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "2\r\nhi\r\n0\r\nX-Trailer: y\r\n\r\n",
                       NULL);
    CHECK(strcmp(call->body, "hi") == 0 && strstr(call->headers, "trailer") == NULL);
    place_close(&place);
    call = call_canned(
        &place, simulated, "GET",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", NULL);
    CHECK(call->result.failure == TAEL_HTTP_OK && memcmp(call->body, "\x1f\x8b", 3) == 0);
    place_close(&place);
    call = call_canned(&place, simulated, "DELETE", "HTTP/1.1 204 No Content\r\nA:\r\n\r\n", NULL);
    CHECK(call->result.status == 204 && call->body_len == 0 && strcmp(call->headers, "a=\n") == 0);
    place_close(&place);
}

/* ---- failures ---- */

static void answers_that_are_none_are_resets(bool simulated)
{
    static const char *const answers[] = {
        NULL,                                             /* closed without a word */
        "ICY 200 OK\r\n\r\nhello",                        /* not HTTP */
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", /* cut short */
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhi\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct place place;
        struct call *call = call_canned(&place, simulated, "POST", answers[i], NULL);
        CHECK(call->done == 1 && call->result.failure == TAEL_HTTP_RESET && call->result.sent);
        CHECK(call->result.status == 0 && call->body_len == 0);
        place_close(&place);
    }
}

static void nobody_there_means_nothing_sent(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    char url[128];
    place_can(&place, NULL, NULL, true);
    snprintf(url, sizeof(url), "http://%s/", place.address);
    tael_listener_close(place.canned.listener); /* now a port where nobody listens */
    place.canned.listener = NULL;
    place.address = "";
    struct call *call = place_perform(&place, "POST", url, NULL);
    CHECK(call->result.failure == TAEL_HTTP_CONNECT && !call->result.sent);
    struct tael_http_call more = {.unix_path = "/tmp/tael_no_such_socket"};
    call = place_perform(&place, "POST", "http://local/", &more);
    CHECK(call->result.failure == TAEL_HTTP_CONNECT && !call->result.sent);
    place_close(&place);
}

static void silence_ends_at_the_deadline(bool simulated)
{
    struct place place;
    struct tael_http_call more = {.timeout_ms = 80};
    place_open(&place, simulated);
    struct call *call = place_perform(&place, "POST", "/hold", &more);
    CHECK(call->result.failure == TAEL_HTTP_TIMEOUT && call->result.sent);
    CHECK(call->result.elapsed_us >= 79000 && place.held_count == 1);
    place_until_gone(&place); /* the connection is not kept */
    CHECK(place.gone == 1);
    CHECK(place_perform(&place, "GET", "/a", NULL)->result.status == 200);
    place_close(&place);
}

static void an_answer_that_is_too_large_is_not_read(bool simulated)
{
    struct place place;
    struct tael_http_call more = {.max_bytes = 10};
    place_open(&place, simulated);
    struct call *call = place_perform(&place, "GET", "/big", NULL); /* 1 MiB + 1 */
    CHECK(call->result.failure == TAEL_HTTP_TOO_LARGE && call->result.sent && call->body_len == 0);
    place_close(&place);
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n01234567890",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        call = call_canned(&place, simulated, "GET", answers[i], &more);
        CHECK(call->result.failure == TAEL_HTTP_TOO_LARGE && call->body_len == 0);
        place_close(&place);
    }
    call = call_canned(&place, simulated, "GET",
                       "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", &more);
    CHECK(call->result.failure == TAEL_HTTP_OK && call->body_len == 10);
    place_close(&place);
}

static void too_many_header_fields_are_too_large(bool simulated)
{
    struct place place;
    struct tael_buf answer = {0};
    bool built = tael_buf_append_text(&answer, "HTTP/1.1 200 OK\r\n") == TAEL_OK;
    for (int i = 0; i < 257; i++)
        built = built && tael_buf_append_text(&answer, "A: b\r\n") == TAEL_OK;
    built = built && tael_buf_append(&answer, "Content-Length: 0\r\n\r\n", 22) == TAEL_OK;
    CHECK(built); /* with its NUL */
    struct call *call = call_canned(&place, simulated, "GET", answer.data, NULL);
    CHECK(call->result.failure == TAEL_HTTP_TOO_LARGE);
    place_close(&place);
    tael_buf_free(&answer);
}

/* ---- connections ---- */

static void connections_are_used_again(bool simulated)
{
    struct place place;
    char first[512];
    place_open(&place, simulated);
    snprintf(first, sizeof(first), "%s", place_perform(&place, "GET", "/peer", NULL)->body);
    CHECK(strcmp(place_perform(&place, "GET", "/peer", NULL)->body, first) == 0);
    for (size_t i = 0; i < 20; i++)
        CHECK(place_start(&place, i, "GET", "/peer", NULL) == TAEL_OK);
    place_finish(&place, 0);
    int same = 0;
    int right = 0;
    for (size_t i = 0; i < 20; i++) {
        right += place.calls[i].done == 1 && place.calls[i].result.status == 200;
        same += strcmp(place.calls[i].body, first) == 0;
    }
    CHECK(right == 20 && same == 1); /* at once: each its own, one of them the old one */
    place_close(&place);
}

static void a_server_that_says_close_is_not_waited_for(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    place_can(&place, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", NULL,
              false);
    for (int i = 0; i < 5; i++)
        CHECK(place_perform(&place, "POST", "/", NULL)->result.failure == TAEL_HTTP_OK);
    CHECK(place.canned.connections == 5 && place.canned.requests == 5);
    place_close(&place);
}

static void a_post_is_never_sent_twice(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    place_can(&place, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", NULL, false);
    CHECK(place_perform(&place, "POST", "/", NULL)->result.failure == TAEL_HTTP_OK);
    /* The second request of the connection is read, and the connection closed without a word. */
    struct call *call = place_perform(&place, "POST", "/", NULL);
    CHECK(call->result.failure == TAEL_HTTP_RESET && call->result.sent);
    CHECK(place.canned.requests == 2);
    CHECK(place_perform(&place, "POST", "/", NULL)->result.failure == TAEL_HTTP_OK);
    CHECK(place.canned.requests == 3); /* the one that was asked for, and no more */
    place_close(&place);
}

static void unix_sockets_are_reached_by_path(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    struct tael_http_call more = {.unix_path = place.unix_path};
    struct call *call = place_perform(&place, "GET", "http://local/peer", &more);
    CHECK(strcmp(call->body, "unix|") == 0);
    place_close(&place);
}

/* ---- life ---- */

static void cancelled_exchanges_are_not_heard_of(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    CHECK(place_start(&place, 0, "GET", "/hold", NULL) == TAEL_OK);
    CHECK(place_start(&place, 1, "GET", "/b", NULL) == TAEL_OK);
    tael_http_exchange_cancel(place.calls[1].exchange); /* before it has begun */
    place.waiting = 0;
    place_until_held(&place);
    tael_http_exchange_cancel(place.calls[0].exchange);
    place_until_gone(&place);
    CHECK(place_perform(&place, "GET", "/a", NULL)->done == 1); /* in the place of calls[0] */
    CHECK(place.calls[1].done == 0 && place.gone == 1 && place.held_count == 1);
    place_close(&place);
}

static void free_in_done(void *user, const struct tael_http_result *result)
{
    struct call *call = user;
    struct place *place = call->place;
    call->done++;
    tael_http_client_free(place->client);
    place->client = NULL;
    call->body[0] = result->body.data[0]; /* still there: until the callback returns */
    tael_loop_stop(place->loop);
}

static void free_in_done_of_failure(void *user, const struct tael_http_result *result)
{
    struct call *call = user;
    struct place *place = call->place;
    call->done += result->failure == TAEL_HTTP_TIMEOUT;
    tael_http_client_free(place->client);
    place->client = NULL;
    tael_loop_stop(place->loop);
}

static void the_client_may_be_freed_at_any_time(bool simulated)
{
    struct place place;
    char url[128];
    place_open(&place, simulated);
    CHECK(place_start(&place, 0, "GET", "/hold", NULL) == TAEL_OK);
    CHECK(place_start(&place, 1, "GET", "/hold", NULL) == TAEL_OK);
    snprintf(url, sizeof(url), "http://%s/a", place.address);
    struct tael_http_call call = {.method = "GET", .url = url};
    place.calls[2] = (struct call){.place = &place};
    CHECK(tael_http_client_start(place.client, &call, free_in_done, &place.calls[2],
                                 &place.calls[2].exchange) == TAEL_OK);
    tael_loop_run(place.loop);
    CHECK(place.calls[2].done == 1 && place.calls[2].body[0] == 'G' && place.client == NULL);
    place_run_ms(&place, 20);
    CHECK(place.calls[0].done == 0 && place.calls[1].done == 0);
    place_close(&place);

    place_open(&place, simulated); /* an end that the client's own timer tells */
    snprintf(url, sizeof(url), "http://%s/hold", place.address);
    call.timeout_ms = 50;
    place.calls[0] = (struct call){.place = &place};
    CHECK(tael_http_client_start(place.client, &call, free_in_done_of_failure, &place.calls[0],
                                 &place.calls[0].exchange) == TAEL_OK);
    tael_loop_run(place.loop);
    CHECK(place.calls[0].done == 1 && place.client == NULL);
    place_close(&place);

    place_open(&place, simulated); /* right after start, nothing has happened yet */
    CHECK(place_start(&place, 0, "GET", "/a", NULL) == TAEL_OK);
    tael_http_client_free(place.client);
    place.client = NULL;
    place_run_ms(&place, 20);
    CHECK(place.calls[0].done == 0);
    place_close(&place);
}

static void start_again(void *user, const struct tael_http_result *result)
{
    struct call *call = user;
    struct place *place = call->place;
    CHECK(result->failure == TAEL_HTTP_OK);
    if (++call->done == 50) {
        tael_loop_stop(place->loop);
        return;
    }
    char url[128];
    snprintf(url, sizeof(url), "http://%s/peer", place->address);
    struct tael_http_call next = {.method = "POST", .url = url};
    CHECK(tael_http_client_start(place->client, &next, start_again, call, &call->exchange) ==
          TAEL_OK);
}

static void done_may_start_the_next(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    place.calls[0] = (struct call){.place = &place};
    struct tael_http_result begin = {.failure = TAEL_HTTP_OK};
    start_again(&place.calls[0], &begin);
    tael_loop_run(place.loop);
    CHECK(place.calls[0].done == 50);
    place_close(&place);
}

static void what_may_not_be_asked_is_refused(bool simulated)
{
    struct place place;
    place_open(&place, simulated);
    static const char *const urls[] = {"x",    "http://", "ftp://a/",          "file:///etc/passwd",
                                       "/a b", "http:",   "http://a/\r\nX: y", "http://a/\xe4"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        CHECK_NAMED(place_start(&place, 0, "GET", urls[i], NULL) == TAEL_EINVAL, "URL refused");
    static const char *const methods[] = {"", "G T", "GET\r\n", "CONNECT"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        CHECK(place_start(&place, 0, methods[i], "/", NULL) == TAEL_EINVAL);
    static const struct tael_http_header headers[] = {
        {{"X", 1}, {"a\r\nb", 4}},
        {{"X\n", 2}, {"a", 1}},
        {{"", 0}, {"a", 1}},
        {{"X", 1}, {"a\0b", 3}},
        {{"X:", 2}, {"a", 1}},
        {{"Content-Length", 14}, {"1", 1}},
        {{"connection", 10}, {"x", 1}},
        {{"Transfer-Encoding", 17}, {"chunked", 7}},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct tael_http_call more = {.headers = &headers[i], .header_count = 1};
        CHECK(place_start(&place, 0, "GET", "/", &more) == TAEL_EINVAL);
    }
    place_close(&place);
}

/* The n-th allocation of ours fails (libcurl keeps its own): an error or a result, never both. */
static void without_memory_there_is_one_outcome(bool simulated)
{
    bool right = true;
    long n = 1;
    for (bool failed = true; failed; n++) {
        struct place place;
        char url[128];
        place_open(&place, simulated);
        snprintf(url, sizeof(url), "http://%s/peer", place.address);
        place.calls[0] = (struct call){.place = &place};
        struct tael_http_header header = {tael_span_of("X"), tael_span_of("y")};
        struct tael_http_call call = {
            .method = "GET", .url = url, .headers = &header, .header_count = 1};
        alloc_fail_at(n);
        tael_status status = tael_http_client_start(place.client, &call, place_on_done,
                                                    &place.calls[0], &place.calls[0].exchange);
        failed = alloc_fail_end();
        place.waiting = status == TAEL_OK;
        place_finish(&place, 0);
        right = right && (failed ? status == TAEL_ENOMEM : status == TAEL_OK);
        right = right && place.calls[0].done == (status == TAEL_OK);
        place_close(&place);
    }
    CHECK(right && n > 3);
}

static void a_client_is_made_whole_or_not_at_all(bool simulated)
{
    bool failed = true;
    struct place place;
    place_open(&place, simulated);
    for (long n = 1; failed; n++) {
        struct tael_http_client *client = NULL;
        alloc_fail_at(n);
        tael_status status = tael_http_client_new(&client, place.loop, NULL);
        failed = alloc_fail_end();
        CHECK(failed ? status == TAEL_ENOMEM && client == NULL : status == TAEL_OK);
        tael_http_client_free(client);
    }
    place_close(&place);
}

/* ---- one world only ---- */

static void connecting_has_a_deadline_of_its_own(void)
{
    struct place place;
    struct tael_http_call more = {.connect_ms = 1};
    size_t late = 0;
    bool right = true;
    place_open(&place, true);
    for (size_t i = 0; i < 10; i++) /* each its own connection: up to 2 ms there and 2 ms back */
        CHECK(place_start(&place, i, "POST", "/a", &more) == TAEL_OK);
    for (size_t i = 0; i < 10; i++) {
        struct call *call = place_finish(&place, i);
        bool timed_out = call->result.failure == TAEL_HTTP_TIMEOUT;
        late += timed_out;
        right = right && (timed_out ? !call->result.sent : call->result.status == 200);
    }
    CHECK(right && late > 0);
    place_close(&place);
}

static void resting_connections_grow_old(void)
{
    struct place place;
    char first[512];
    place_open(&place, true);
    snprintf(first, sizeof(first), "%s", place_perform(&place, "GET", "/peer", NULL)->body);
    place_run_ms(&place, 19900);
    CHECK(strcmp(place_perform(&place, "GET", "/peer", NULL)->body, first) == 0);
    place_run_ms(&place, 20100);
    CHECK(strcmp(place_perform(&place, "GET", "/peer", NULL)->body, first) != 0);
    place_close(&place);
}

static void proxies_of_the_environment_are_ignored(void)
{
    struct place place;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    place_open(&place, false);
    CHECK(place_perform(&place, "GET", "/a", NULL)->result.status == 200);
    place_close(&place);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

static void in_one_world(bool simulated)
{
    printf("# %s world\n", simulated ? "simulated" : "real");
    a_get_brings_status_headers_and_body(simulated);
    a_post_carries_its_body_and_headers(simulated);
    answers_are_given_as_they_are(simulated);
    answers_that_are_none_are_resets(simulated);
    nobody_there_means_nothing_sent(simulated);
    silence_ends_at_the_deadline(simulated);
    an_answer_that_is_too_large_is_not_read(simulated);
    too_many_header_fields_are_too_large(simulated);
    connections_are_used_again(simulated);
    a_server_that_says_close_is_not_waited_for(simulated);
    a_post_is_never_sent_twice(simulated);
    unix_sockets_are_reached_by_path(simulated);
    cancelled_exchanges_are_not_heard_of(simulated);
    the_client_may_be_freed_at_any_time(simulated);
    done_may_start_the_next(simulated);
    what_may_not_be_asked_is_refused(simulated);
    without_memory_there_is_one_outcome(simulated);
    a_client_is_made_whole_or_not_at_all(simulated);
}

int main(void)
{
    in_one_world(true);
    connecting_has_a_deadline_of_its_own();
    resting_connections_grow_old();
    in_one_world(false);
    proxies_of_the_environment_are_ignored();
    return tap_end();
}
