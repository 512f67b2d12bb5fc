/* http_client_storm_test.c - many calls at once to a server that does what it likes: closes before,
 * in and after answers, at rest, says too little or too much, hangs. Calls are cancelled, time out
 * and begin others; clients go. Whatever happens: a POST reaches the server once at most, what is
 * said not to have been sent never does, and each call ends once. Real sockets, with TLS and
 * without; the sequence is that of SEED. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "identity.h"
#include "net/http_client.h"
#include "net/tls_server.h"
#include "net/world_uv.h"
#include "tap.h"

enum { CALLS = 3000, LIVE = 48, TURNS_A_CLIENT = 300 };

struct storm;

struct call {
    struct storm *storm;
    struct tael_http_exchange *exchange; /* NULL: not under way */
    int id;
};

struct peer { /* one connection, as the server sees it */
    struct storm *storm;
    struct tael_stream *stream;
    struct tael_timer *timer;
    bool close_later; /* when the timer fires; else an answer is given */
    size_t len;
    char request[4096];
};

struct storm {
    struct tael_world *world;
    struct tael_loop *loop;
    struct tael_http_client *client;
    struct tael_tls_server *tls;
    struct tael_timer *timer;
    struct identity identity;
    char plain[64], secure[64]; /* addresses */
    uint64_t random;
    int next, under_way, peers, turns, answered;
    struct call calls[LIVE];
    struct {
        bool post, unsent; /* unsent: so it was said */
        int seen;          /* how often the server read it */
    } requests[CALLS];
};

static int chance(struct storm *storm, int of)
{
    uint64_t x = storm->random;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    storm->random = x;
    return (int)(x % (uint64_t)of);
}

/* ---- the server ---- */

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

static void peer_free(struct peer *peer)
{
    tael_stream_close(peer->stream);
    tael_timer_free(peer->timer);
    peer->storm->peers--;
    free(peer);
}

static void say(struct peer *peer, const char *text, bool close)
{
    if (tael_stream_write(peer->stream, text, strlen(text)) != TAEL_OK || close)
        peer_free(peer);
}

static void on_peer_timer(void *user)
{
    struct peer *peer = user;
    say(peer, peer->close_later ? "" : answer, peer->close_later);
}

static void behave(struct peer *peer)
{
    static const char *const wrong[] = {
        "",
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nhi",
        "garbage\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 408 Late\r\n\r\n",
    };
    struct storm *storm = peer->storm;
    int what = chance(storm, 14);
    if (what < 4) {
        say(peer, answer, false);
    } else if (what < 5) {
        say(peer, answer, true);
    } else if (what < 11) {
        say(peer, wrong[what - 5], chance(storm, 2) == 0);
    } else {
        peer->close_later = what > 11;
        tael_timer_start(peer->timer, chance(storm, 20000));
        if (what == 13) /* at rest when it is closed */
            say(peer, answer, false);
    }
}

static void on_peer_read(void *user, const char *data, size_t len)
{
    struct peer *peer = user;
    must(len < sizeof(peer->request) - peer->len);
    memcpy(peer->request + peer->len, data, len);
    peer->len += len;
    peer->request[peer->len] = '\0';
    if (strstr(peer->request, "\r\n\r\n") == NULL)
        return;
    const char *target = strchr(peer->request, ' ');
    int id = target != NULL ? (int)strtol(target + 2, NULL, 10) : -1;
    must(id >= 0 && id < CALLS);
    peer->storm->requests[id].seen++;
    peer->len = 0;
    behave(peer);
}

static void on_peer_end(void *user, tael_status why)
{
    (void)why;
    peer_free(user);
}

static void accept_peer(struct storm *storm, struct tael_stream *plain, struct tael_tls_server *tls)
{
    static const struct tael_stream_events events = {.read = on_peer_read, .end = on_peer_end};
    struct peer *peer = calloc(1, sizeof(*peer));
    must(peer != NULL);
    *peer = (struct peer){.storm = storm, .stream = plain};
    storm->peers++;
    peer->timer = tael_timer_new(storm->loop, on_peer_timer, peer);
    must(peer->timer != NULL);
    if (chance(storm, 15) == 0) {
        peer_free(peer);
        return;
    }
    must(tls == NULL || tael_tls_server_accept(tls, plain, 3000, &peer->stream) == TAEL_OK);
    tael_stream_start(peer->stream, &events, peer);
}

static void on_plain(void *user, struct tael_stream *stream)
{
    accept_peer(user, stream, NULL);
}

static void on_secure(void *user, struct tael_stream *stream)
{
    accept_peer(user, stream, ((struct storm *)user)->tls);
}

/* ---- calls ---- */

static void start(struct storm *storm);

static void cancel_one(struct storm *storm)
{
    struct call *call = &storm->calls[chance(storm, LIVE)];
    if (call->exchange == NULL)
        return;
    tael_http_exchange_cancel(call->exchange);
    call->exchange = NULL;
    storm->under_way--;
}

static void on_done(void *user, const struct tael_http_result *result)
{
    struct call *call = user;
    struct storm *storm = call->storm;
    must(call->exchange != NULL); /* once, and never after a cancel */
    call->exchange = NULL;
    storm->under_way--;
    storm->answered += result->failure == TAEL_HTTP_OK;
    storm->requests[call->id].unsent = !result->sent;
    if (chance(storm, 10) == 0)
        cancel_one(storm);
    if (chance(storm, 3) != 0)
        start(storm);
}

static struct call *free_call(struct storm *storm)
{
    for (int i = 0; i < LIVE; i++) {
        if (storm->calls[i].exchange == NULL)
            return &storm->calls[i];
    }
    return NULL;
}

static void start(struct storm *storm)
{
    static const char *const hosts[] = {"127.0.0.1", "a.test",      "a.test",   "b.test",
                                        "slow.test", "nobody.test", "far.test", "localhost"};
    struct call *call = free_call(storm);
    char url[128], pool[] = "p0";
    if (call == NULL || storm->next == CALLS)
        return;
    bool secure = chance(storm, 3) == 0;
    *call = (struct call){.storm = storm, .id = storm->next++};
    storm->requests[call->id].post = chance(storm, 3) != 0;
    snprintf(url, sizeof(url), "%s://%s%s/%d", secure ? "https" : "http", hosts[chance(storm, 8)],
             strrchr(secure ? storm->secure : storm->plain, ':'), call->id);
    pool[1] = (char)('0' + chance(storm, 4));
    struct tael_http_call more = {
        .method = storm->requests[call->id].post ? "POST" : "GET",
        .url = url,
        .timeout_ms = 1 + chance(storm, 60),
        .connect_ms = chance(storm, 2) * (1 + chance(storm, 20)),
        .pool = chance(storm, 2) == 0 ? NULL : pool,
        .addresses = chance(storm, 20) == 0 ? TAEL_HTTP_ADDRESSES_PUBLIC : TAEL_HTTP_ADDRESSES,
        .max_bytes = chance(storm, 10) == 0,
        .ca_file = storm->identity.file,
    };
    must(tael_http_client_start(storm->client, &more, on_done, call, &call->exchange) == TAEL_OK);
    storm->under_way++;
    if (chance(storm, 6) == 0) {
        tael_http_exchange_cancel(call->exchange);
        call->exchange = NULL;
        storm->under_way--;
    }
}

static const char *look_up(void *user, const char *name, struct tael_addresses *out)
{
    (void)user;
    if (name[0] == 's')
        usleep(20000);
    if (name[0] == 'n')
        return "no such name";
    must(tael_address_parse(&out->list[out->count++],
                            tael_span_of(name[0] == 'f' ? "127.0.0.2" : "127.0.0.1")));
    return NULL;
}

static void open_client(struct storm *storm)
{
    struct tael_http_client_options options = {
        .allow_private = true, .resolve = look_up, .per_pool = (size_t)(1 + chance(storm, 6))};
    must(tael_http_client_new(&storm->client, storm->loop, &options) == TAEL_OK);
}

static void on_turn(void *user)
{
    struct storm *storm = user;
    for (int count = chance(storm, 6); count > 0; count--)
        start(storm);
    if (chance(storm, 40) == 0)
        cancel_one(storm);
    if (++storm->turns % TURNS_A_CLIENT == 0) { /* it goes with all that is under way */
        tael_http_client_free(storm->client);
        for (int i = 0; i < LIVE; i++)
            storm->calls[i].exchange = NULL;
        storm->under_way = 0;
        open_client(storm);
    }
    if (storm->next == CALLS && storm->under_way == 0)
        tael_loop_stop(storm->loop);
    else
        tael_timer_start(storm->timer, chance(storm, 2000));
}

/* When no client is there any more: what is still on its way to the server arrives. */
static void on_calm(void *user)
{
    struct storm *storm = user;
    if (storm->peers == 0)
        tael_loop_stop(storm->loop);
    else
        tael_timer_start(storm->timer, 10000);
}

/* ---- the storm ---- */

static void rage(struct storm *storm)
{
    storm->timer = tael_timer_new(storm->loop, on_turn, storm);
    must(storm->timer != NULL);
    open_client(storm);
    tael_timer_start(storm->timer, 0);
    tael_loop_run(storm->loop);
    tael_http_client_free(storm->client);
    tael_timer_free(storm->timer);
    storm->timer = tael_timer_new(storm->loop, on_calm, storm);
    must(storm->timer != NULL);
    tael_timer_start(storm->timer, 0);
    tael_loop_run(storm->loop);
    tael_timer_free(storm->timer);
}

static void storm_run(struct storm *storm)
{
    struct identity_form form = {
        .names = "IP:127.0.0.1,DNS:a.test,DNS:b.test,DNS:slow.test,DNS:localhost"};
    struct tael_listener *plain = NULL, *secure = NULL;
    identity_make(&storm->identity, &form);
    must(tael_world_uv_new(&storm->world) == TAEL_OK);
    must(tael_loop_new(storm->world, &storm->loop) == TAEL_OK);
    struct tael_tls_server_options options = {.world = storm->world,
                                              .name = "storm",
                                              .chain_path = storm->identity.file,
                                              .key_path = storm->identity.key_file};
    must(tael_tls_server_new(&storm->tls, &options, NULL) == TAEL_OK);
    must(tael_listen(storm->loop, "127.0.0.1:0", on_plain, storm, &plain) == TAEL_OK);
    must(tael_listen(storm->loop, "127.0.0.1:0", on_secure, storm, &secure) == TAEL_OK);
    snprintf(storm->plain, sizeof(storm->plain), "%s", tael_listener_address(plain));
    snprintf(storm->secure, sizeof(storm->secure), "%s", tael_listener_address(secure));
    rage(storm);
    tael_listener_close(plain);
    tael_listener_close(secure);
    tael_loop_free(storm->loop);
    tael_tls_server_free(storm->tls);
    tael_world_free(storm->world);
    identity_free(&storm->identity);
}

int main(void)
{
    static struct storm storm;
    const char *seed = getenv("SEED");
    int reached = 0, unsent = 0, twice = 0, lies = 0;
    signal(SIGPIPE, SIG_IGN);
    storm.random = (seed != NULL ? strtoull(seed, NULL, 10) : 88172645463325252u) | 1;
    storm_run(&storm);
    for (int i = 0; i < CALLS; i++) {
        reached += storm.requests[i].seen > 0;
        unsent += storm.requests[i].unsent;
        twice += storm.requests[i].post && storm.requests[i].seen > 1;
        lies += storm.requests[i].unsent && storm.requests[i].seen > 0;
    }
    printf("# %d calls: %d reached the server, %d were answered, %d not sent\n", CALLS, reached,
           storm.answered, unsent);
    CHECK_NAMED(twice == 0, "no POST reaches the server twice");
    CHECK_NAMED(lies == 0, "what was not sent was not received");
    CHECK(reached > 50 && storm.answered > 20 && unsent > 50);
    return tap_end();
}
