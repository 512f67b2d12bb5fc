/* http_client_pool_test.c - pools of the HTTP client: who shares connections, how many exchanges
 * are under way, in which order the others get their turn, and what their deadlines count. In both
 * worlds. */
#include "client_place.h"
#include "tap.h"

enum { SOON_MS = 60, LONG_MS = 10000 };

/* Until so many have reached the server, and a little longer, for those that should not. */
static void until_held(struct place *place, size_t count)
{
    for (int ms = 0; place->held_count < count && ms < LONG_MS; ms += 5)
        place_run_ms(place, 5);
    place_run_ms(place, SOON_MS);
}

static void until_done(struct place *place, size_t which)
{
    for (int ms = 0; place->calls[which].done == 0 && ms < LONG_MS; ms += 5)
        place_run_ms(place, 5);
}

static void until_gone(struct place *place, size_t count)
{
    for (int ms = 0; place->gone < count && ms < LONG_MS; ms += 5)
        place_run_ms(place, 5);
}

/* How late something may be: the machine of the real world may be busy. */
static int64_t slack_us(bool simulated)
{
    return simulated ? 50000 : 3000000;
}

static void open_place(struct place *place, bool simulated, size_t per_pool)
{
    struct tael_http_client_options client = {.allow_private = true, .per_pool = per_pool};
    place_open_with(place, simulated, &client);
}

/* "/hold" with the call's number as its body. */
static void start_held(struct place *place, size_t which, const char *pool, int64_t timeout_ms)
{
    static const char *const numbers[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    struct tael_http_call more = {
        .pool = pool, .timeout_ms = timeout_ms, .body = tael_span_of(numbers[which])};
    if (place_start(place, which, "POST", "/hold", &more) != TAEL_OK)
        abort();
}

/* Are these calls, in this order, what has reached the server? */
static bool held_are(const struct place *place, const char *numbers)
{
    if (place->held_count != strlen(numbers))
        return false;
    for (size_t i = 0; numbers[i] != '\0'; i++) {
        const struct tael_http_request *request = place->held[i];
        if (request != NULL && request->body.data[0] != numbers[i])
            return false;
    }
    return true;
}

static void a_pool_has_so_many_under_way_and_the_rest_in_order(bool simulated)
{
    struct place place;
    open_place(&place, simulated, 2);
    for (size_t i = 0; i < 6; i++)
        start_held(&place, i, "account", 0);
    until_held(&place, 2);
    CHECK(place.held_count == 2); /* each its own connection: 0 and 1 in any order */
    place_answer(&place, 0);
    until_held(&place, 3);
    CHECK(place.held_count == 3 && place.held[2]->body.data[0] == '2');
    place_answer(&place, 1);
    place_answer(&place, 2);
    until_held(&place, 5);
    CHECK(place.held_count == 5 &&
          place.held[3]->body.data[0] + place.held[4]->body.data[0] == '3' + '4');
    place_answer(&place, 3);
    place_answer(&place, 4);
    until_held(&place, 6);
    CHECK(place.held_count == 6 && place.held[5]->body.data[0] == '5');
    place_answer(&place, 5);
    place_finish(&place, 0);
    int right = 0;
    for (size_t i = 0; i < 6; i++)
        right += place.calls[i].done == 1 && place.calls[i].result.status == 200;
    CHECK(right == 6);
    place_close(&place);
}

static void pools_do_not_wait_for_each_other(bool simulated)
{
    struct place place;
    open_place(&place, simulated, 1);
    start_held(&place, 0, "a", 0);
    start_held(&place, 1, "b", 0);
    start_held(&place, 2, NULL, 0);
    start_held(&place, 3, "a", 0);
    start_held(&place, 4, NULL, 0);
    until_held(&place, 3);
    CHECK(place.held_count == 3);
    struct tael_http_call local = {.unix_path = place.unix_path}; /* a host of its own */
    CHECK(place_start(&place, 5, "GET", "http://local/peer", &local) == TAEL_OK);
    until_done(&place, 5);
    CHECK(place.calls[5].result.status == 200 && strcmp(place.calls[5].body, "unix|") == 0);
    for (size_t i = 0; i < 3; i++)
        place_answer(&place, i);
    until_held(&place, 5);
    CHECK(place.held_count == 5 && place.calls[0].done == 1 && place.calls[3].done == 0);
    place_close(&place);
}

static void ask_peer(struct place *place, const char *pool, enum tael_http_addresses addresses,
                     char out[512])
{
    struct tael_http_call more = {.pool = pool, .addresses = addresses};
    snprintf(out, 512, "%s", place_perform(place, "GET", "/peer", &more)->body);
}

static void connections_belong_to_their_pool(bool simulated)
{
    struct place place;
    char a[512], b[512], none[512], again[512];
    open_place(&place, simulated, 0);
    ask_peer(&place, "a", TAEL_HTTP_ADDRESSES, a);
    ask_peer(&place, "b", TAEL_HTTP_ADDRESSES, b);
    ask_peer(&place, NULL, TAEL_HTTP_ADDRESSES, none);
    CHECK(strcmp(a, b) != 0 && strcmp(a, none) != 0 && strcmp(b, none) != 0);
    ask_peer(&place, "a", TAEL_HTTP_ADDRESSES, again);
    CHECK(strcmp(a, again) == 0);
    ask_peer(&place, "b", TAEL_HTTP_ADDRESSES_ANY, again);
    CHECK(strcmp(b, again) == 0);
    ask_peer(&place, NULL, TAEL_HTTP_ADDRESSES, again);
    CHECK(strcmp(none, again) == 0);
    place_close(&place);
}

static void waiting_counts_against_the_deadline(bool simulated)
{
    struct place place;
    open_place(&place, simulated, 1);
    start_held(&place, 0, "a", 0);
    place_until_held(&place);
    start_held(&place, 1, "a", 80);
    start_held(&place, 2, "a", 30000);
    until_done(&place, 1);
    const struct call *late = &place.calls[1];
    CHECK(late->done == 1 && late->result.failure == TAEL_HTTP_TIMEOUT && !late->result.sent);
    CHECK(late->result.elapsed_us >= 79000 &&
          late->result.elapsed_us < 80000 + slack_us(simulated));
    CHECK(strstr(late->detail, "waited") != NULL);
    CHECK(held_are(&place, "0"));
    place_answer(&place, 0);
    until_held(&place, 2);
    CHECK(held_are(&place, "02") && place.calls[0].result.status == 200);
    place_close(&place);
}

/* What is left after the turn has come is less than the whole. */
static void a_turn_that_comes_late_has_less_time(bool simulated)
{
    struct place place;
    open_place(&place, simulated, 1);
    start_held(&place, 0, "a", 0);
    place_until_held(&place);
    int64_t timeout_ms = simulated ? 300 : 2000;
    start_held(&place, 1, "a", timeout_ms);
    place_run_ms(&place, 100);
    place_answer(&place, 0);
    until_done(&place, 1);
    const struct call *late = &place.calls[1];
    CHECK(held_are(&place, "01"));
    CHECK(late->done == 1 && late->result.failure == TAEL_HTTP_TIMEOUT && late->result.sent);
    CHECK(late->result.elapsed_us >= timeout_ms * 1000 - 1000);
    CHECK(late->result.elapsed_us < timeout_ms * 1000 + slack_us(simulated));
    place_close(&place);
}

static void nothing_lasts_beyond_the_callers_deadline(bool simulated)
{
    struct place place;
    open_place(&place, simulated, 1);
    int64_t now = tael_mono_us(place.world);
    int64_t left_us = simulated ? 90000 : 1500000;
    struct tael_http_call more = {.deadline_us = now + left_us, .timeout_ms = 30000};
    struct call *call = place_perform(&place, "POST", "/hold", &more);
    CHECK(call->result.failure == TAEL_HTTP_TIMEOUT && call->result.sent);
    CHECK(tael_mono_us(place.world) >= now + left_us - 1000);
    CHECK(call->result.elapsed_us < left_us + slack_us(simulated));
    place_until_gone(&place);

    more.deadline_us = tael_mono_us(place.world); /* it is over already */
    call = place_perform(&place, "POST", "/a", &more);
    CHECK(call->result.failure == TAEL_HTTP_TIMEOUT && !call->result.sent);
    more.deadline_us = 1;
    call = place_perform(&place, "POST", "/a", &more);
    CHECK(call->result.failure == TAEL_HTTP_TIMEOUT && !call->result.sent);

    more = (struct tael_http_call){.deadline_us = tael_mono_us(place.world) + 60000000,
                                   .timeout_ms = 80}; /* never later than the call says */
    call = place_perform(&place, "POST", "/hold", &more);
    CHECK(call->result.failure == TAEL_HTTP_TIMEOUT);
    CHECK(call->result.elapsed_us < 80000 + slack_us(simulated));
    CHECK(place_perform(&place, "GET", "/a", NULL)->result.status == 200);
    place_close(&place);
}

static void who_is_cancelled_gives_up_its_place(bool simulated)
{
    struct place place;
    open_place(&place, simulated, 1);
    for (size_t i = 0; i < 4; i++)
        start_held(&place, i, "a", 0);
    place_until_held(&place);
    tael_http_exchange_cancel(place.calls[1].exchange); /* waiting */
    place_run_ms(&place, SOON_MS);
    CHECK(held_are(&place, "0"));
    tael_http_exchange_cancel(place.calls[0].exchange); /* under way */
    until_held(&place, 2);
    until_gone(&place, 1);
    CHECK(held_are(&place, "02") && place.gone == 1);
    tael_http_exchange_cancel(place.calls[3].exchange);
    tael_http_exchange_cancel(place.calls[2].exchange);
    until_gone(&place, 2);
    place_run_ms(&place, SOON_MS);
    CHECK(held_are(&place, "02") && place.gone == 2);
    int done = 0;
    for (size_t i = 0; i < 4; i++)
        done += place.calls[i].done;
    CHECK(done == 0);
    place.waiting = 0;
    CHECK(place_perform(&place, "GET", "/a", NULL)->result.status == 200);
    place_close(&place);
}

static void the_client_may_go_while_they_wait(bool simulated)
{
    struct place place;
    open_place(&place, simulated, 1);
    for (size_t i = 0; i < 6; i++)
        start_held(&place, i, i < 3 ? "a" : NULL, 0);
    place_until_held(&place);
    tael_http_client_free(place.client);
    place.client = NULL;
    place_run_ms(&place, SOON_MS);
    int done = 0;
    for (size_t i = 0; i < 6; i++)
        done += place.calls[i].done;
    CHECK(done == 0 && place.held_count <= 2);
    place_close(&place);
}

static void free_in_done(void *user, const struct tael_http_result *result)
{
    struct call *call = user;
    call->done += result->status == 200;
    tael_http_client_free(call->place->client);
    call->place->client = NULL;
    tael_loop_stop(call->place->loop);
}

/* The one that was waiting has begun by then. */
static void the_client_may_go_in_done(bool simulated)
{
    struct place place;
    char url[128];
    open_place(&place, simulated, 1);
    snprintf(url, sizeof(url), "http://%s/a", place.address);
    struct tael_http_call call = {.method = "GET", .url = url, .pool = "a"};
    place.calls[0] = (struct call){.place = &place};
    CHECK(tael_http_client_start(place.client, &call, free_in_done, &place.calls[0],
                                 &place.calls[0].exchange) == TAEL_OK);
    start_held(&place, 1, "a", 0);
    start_held(&place, 2, "a", 0);
    tael_loop_run(place.loop);
    place_run_ms(&place, SOON_MS);
    CHECK(place.calls[0].done == 1 && place.calls[1].done == 0 && place.calls[2].done == 0);
    place_close(&place);
}

static void many_pools_come_and_go(bool simulated)
{
    struct place place;
    int right = 0;
    open_place(&place, simulated, 0);
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof(name), "pool %d", i);
        struct tael_http_call more = {.pool = name};
        right += place_perform(&place, "GET", "/peer", &more)->result.status == 200;
    }
    CHECK(right == 200);
    if (simulated) { /* 25 s later nothing is left of them but the new one's connection */
        place_run_ms(&place, 25000);
        char first[512], second[512];
        ask_peer(&place, "pool 7", TAEL_HTTP_ADDRESSES, first);
        ask_peer(&place, "pool 7", TAEL_HTTP_ADDRESSES, second);
        CHECK(strcmp(first, second) == 0);
    }
    struct tael_http_call nameless = {.pool = ""};
    CHECK(place_start(&place, 0, "GET", "/peer", &nameless) == TAEL_EINVAL);
    place_close(&place);
}

/* Turns that come while memory is short end, and the pool goes on. */
static void a_turn_without_memory_is_a_failure(bool simulated)
{
    bool right = true;
    bool failed = true;
    for (long n = 1; failed && n < 50; n++) {
        struct place place;
        open_place(&place, simulated, 1);
        start_held(&place, 0, "a", 20000);
        place_until_held(&place);
        start_held(&place, 1, "a", 20000);
        alloc_fail_at(n);
        tael_http_exchange_cancel(place.calls[0].exchange); /* 1 begins */
        failed = alloc_fail_end();
        place.waiting--;
        if (failed)
            until_done(&place, 1);
        else
            until_held(&place, 2);
        const struct call *call = &place.calls[1];
        if (failed)
            right = right && call->done == 1 && call->result.failure == TAEL_HTTP_CONNECT &&
                    !call->result.sent;
        else
            right = right && call->done == 0 && place.held_count == 2;
        place.waiting = 0;
        place_close(&place);
    }
    CHECK(right && !failed);
}

static void hosts_that_may_not_be_asked_are_told_later(bool simulated)
{
    static const char *const urls[] = {
        "http://u:p@127.0.0.1/", "http://:80/",      "http://127.1/",  "http://2130706433/",
        "http://0x7f.0.0.1/",    "http://[::1%lo]/", "http://a./",     "http://a..b/",
        "http://a%2eb/",         "http://a:99999/",  "https://a_b-:1/"};
    struct place place;
    open_place(&place, simulated, 1);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct call *call = place_perform(&place, "POST", urls[i], NULL);
        CHECK_NAMED(call->done == 1 && call->result.failure == TAEL_HTTP_ADDRESS &&
                        !call->result.sent && call->detail[0] != '\0',
                    urls[i]);
    }
    CHECK(place_perform(&place, "GET", "/a", NULL)->result.status == 200);
    place_close(&place);
}

static void in_one_world(bool simulated)
{
    printf("# %s world\n", simulated ? "simulated" : "real");
    a_pool_has_so_many_under_way_and_the_rest_in_order(simulated);
    pools_do_not_wait_for_each_other(simulated);
    connections_belong_to_their_pool(simulated);
    waiting_counts_against_the_deadline(simulated);
    a_turn_that_comes_late_has_less_time(simulated);
    nothing_lasts_beyond_the_callers_deadline(simulated);
    who_is_cancelled_gives_up_its_place(simulated);
    the_client_may_go_while_they_wait(simulated);
    the_client_may_go_in_done(simulated);
    many_pools_come_and_go(simulated);
    a_turn_without_memory_is_a_failure(simulated);
    hosts_that_may_not_be_asked_are_told_later(simulated);
}

int main(void)
{
    in_one_world(true);
    in_one_world(false);
    return tap_end();
}
