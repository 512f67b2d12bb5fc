/* sim_test.c - the simulated world: one seed is one history, order is kept where it is promised,
 * machines die, and everything can be freed. */
#include <stdlib.h>
#include <string.h>

#include "alloc_fail.h"
#include "base/bytes.h"
#include "base/sim.h"
#include "tap.h"

enum { START_MS = 1000000 };

static struct tael_world *new_world(uint64_t seed)
{
    struct tael_world *world = NULL;
    struct tael_sim_options options = {.seed = seed, .start_ms = START_MS};
    CHECK(tael_sim_new(&world, &options) == TAEL_OK);
    return world;
}

static struct tael_loop *new_loop(struct tael_world *world)
{
    struct tael_loop *loop = NULL;
    CHECK(tael_loop_new(world, &loop) == TAEL_OK);
    return loop;
}

/* ---- a log of what happened, with virtual times ---- */

struct trace {
    struct tael_world *world;
    struct tael_buf text;
};

static void note(struct trace *trace, const char *what, int64_t number)
{
    tael_status status =
        tael_buf_printf(&trace->text, "%lld %s %lld\n", (long long)tael_mono_us(trace->world), what,
                        (long long)number);
    if (status != TAEL_OK)
        abort();
}

static bool traced(struct trace *trace, const char *text)
{
    bool same = trace->text.len == strlen(text) &&
                (trace->text.len == 0 || memcmp(trace->text.data, text, trace->text.len) == 0);
    if (!same)
        printf("# got:\n%.*s# want:\n%s", (int)trace->text.len, trace->text.data, text);
    return same;
}

/* ---- time and timers ---- */

struct ticker {
    struct trace *trace;
    struct tael_timer *timer;
    const char *name;
    int64_t again_us; /* 0: once */
    int count;
};

static void tick(void *user)
{
    struct ticker *ticker = user;
    note(ticker->trace, ticker->name, ++ticker->count);
    if (ticker->again_us > 0 && ticker->count < 3)
        tael_timer_start(ticker->timer, ticker->again_us);
}

static void time_jumps_from_event_to_event(void)
{
    struct tael_world *world = new_world(1);
    struct tael_loop *loop = new_loop(world);
    struct trace trace = {.world = world};
    struct ticker fast = {.trace = &trace, .name = "fast", .again_us = 1500};
    struct ticker slow = {.trace = &trace, .name = "slow"};
    struct ticker stopped = {.trace = &trace, .name = "stopped"};
    struct ticker moved = {.trace = &trace, .name = "moved"};
    fast.timer = tael_timer_new(loop, tick, &fast);
    slow.timer = tael_timer_new(loop, tick, &slow);
    stopped.timer = tael_timer_new(loop, tick, &stopped);
    moved.timer = tael_timer_new(loop, tick, &moved);
    int64_t start = tael_mono_us(world);
    CHECK(tael_now_ms(world) == START_MS);
    tael_timer_start(fast.timer, 1000);
    tael_timer_start(slow.timer, 86400LL * 1000000);
    tael_timer_start(stopped.timer, 500);
    tael_timer_start(moved.timer, 10);
    tael_timer_start(moved.timer, 2000);
    tael_timer_stop(stopped.timer);
    CHECK(tael_sim_run(world, START_MS + 1) == TAEL_ETIMEOUT);
    CHECK(tael_now_ms(world) == START_MS + 1);
    CHECK(tael_sim_run(world, INT64_MAX) == TAEL_ENOTFOUND);
    CHECK(traced(&trace, "1001000 fast 1\n"
                         "1002000 moved 1\n"
                         "1002500 fast 2\n"
                         "1004000 fast 3\n"
                         "86401000000 slow 1\n"));
    CHECK(tael_now_ms(world) == START_MS + 86400 * 1000);
    CHECK(tael_mono_us(world) - start == 86400LL * 1000000);
    tael_timer_start(slow.timer, -5);
    tael_timer_start(stopped.timer, INT64_MAX);
    CHECK(tael_sim_run(world, START_MS + 86400 * 1000) == TAEL_ETIMEOUT);
    CHECK(slow.count == 2);
    tael_timer_free(fast.timer);
    tael_timer_free(slow.timer);
    tael_timer_free(moved.timer);
    tael_timer_free(stopped.timer); /* while it is set */
    tael_timer_free(NULL);
    CHECK(tael_sim_run(world, INT64_MAX) == TAEL_ENOTFOUND);
    tael_loop_free(loop);
    tael_world_free(world);
    tael_buf_free(&trace.text);
}

static void stop_now(void *user)
{
    tael_loop_stop(user);
}

static void run_inside(void *user)
{
    struct tael_loop *loop = user;
    CHECK(tael_loop_run(loop) == TAEL_EINVAL);
    tael_loop_stop(loop);
}

static void running_ends_with_stop(void)
{
    struct tael_world *world = new_world(1);
    struct tael_loop *a = new_loop(world), *b = new_loop(world);
    struct tael_timer *first = tael_timer_new(a, stop_now, b);
    struct tael_timer *second = tael_timer_new(b, run_inside, a);
    tael_timer_start(first, 1000);
    tael_timer_start(second, 2000);
    CHECK(tael_loop_run(b) == TAEL_OK); /* any loop runs all of them */
    CHECK(tael_sim_events(world) == 1);
    CHECK(tael_loop_run(a) == TAEL_OK);
    CHECK(tael_sim_events(world) == 2);
    tael_timer_start(first, 1000);
    tael_loop_stop(a);
    CHECK(tael_loop_run(a) == TAEL_OK); /* the stop came before */
    CHECK(tael_sim_events(world) == 2);
    tael_timer_free(second);
    tael_timer_free(first);
    CHECK(tael_loop_run(a) == TAEL_ENOTFOUND);
    tael_loop_free(a);
    tael_loop_free(b);
    tael_world_free(world);
}

/* ---- mail ---- */

struct letter {
    struct tael_mail mail; /* first */
    struct trace *trace;
    struct tael_loop *answer_to;
    const char *name;
    int number;
};

static void read_letter(struct tael_mail *mail)
{
    struct letter *letter = (struct letter *)mail;
    note(letter->trace, letter->name, letter->number);
    if (letter->answer_to != NULL) {
        struct tael_loop *to = letter->answer_to;
        letter->answer_to = NULL;
        letter->name = "answer";
        tael_loop_post(to, mail);
        return;
    }
    free(letter);
}

static void post(struct trace *trace, struct tael_loop *to, struct tael_loop *answer_to,
                 const char *name, int number)
{
    struct letter *letter = malloc(sizeof(*letter));
    if (letter == NULL)
        abort();
    *letter = (struct letter){{NULL, read_letter}, trace, answer_to, name, number};
    tael_loop_post(to, &letter->mail);
}

struct poster {
    struct trace *trace;
    struct tael_loop *to;
    const char *name;
};

static void post_five(void *user)
{
    struct poster *poster = user;
    for (int i = 1; i <= 5; i++)
        post(poster->trace, poster->to, NULL, poster->name, i);
}

/* Two loops send five letters each to a third at the same moment. */
static void two_senders(uint64_t seed, struct tael_buf *out)
{
    struct tael_world *world = new_world(seed);
    struct tael_loop *a = new_loop(world), *b = new_loop(world), *c = new_loop(world);
    struct trace trace = {.world = world};
    struct poster from_a = {&trace, c, "a"}, from_b = {&trace, c, "b"};
    struct tael_timer *timer_a = tael_timer_new(a, post_five, &from_a);
    struct tael_timer *timer_b = tael_timer_new(b, post_five, &from_b);
    tael_timer_start(timer_a, 0);
    tael_timer_start(timer_b, 0);
    CHECK(tael_sim_run(world, INT64_MAX) == TAEL_ENOTFOUND);
    tael_timer_free(timer_a);
    tael_timer_free(timer_b);
    tael_loop_free(b);
    tael_loop_free(a);
    tael_loop_free(c);
    tael_world_free(world);
    *out = trace.text;
}

/* The numbers of one sender's lines rise by one. */
static bool in_order(const struct tael_buf *text, const char *name, int count)
{
    int next = 1;
    char want[32];
    for (const char *at = text->data, *end = at + text->len; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        snprintf(want, sizeof(want), " %s %d", name, next);
        size_t len = strlen(want);
        if ((size_t)(stop - at) > len && memcmp(stop - len, want, len) == 0)
            next++;
        at = stop + 1;
    }
    return next == count + 1;
}

static bool same_text(const struct tael_buf *a, const struct tael_buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void mail_of_one_sender_keeps_its_order(void)
{
    struct tael_buf first = {0};
    two_senders(0, &first);
    int different = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct tael_buf text = {0};
        two_senders(seed, &text);
        CHECK(in_order(&text, "a", 5) && in_order(&text, "b", 5));
        different += !same_text(&first, &text);
        tael_buf_free(&text);
    }
    CHECK(different > 10); /* the seed mixes the two */
    tael_buf_free(&first);
}

static void mail_not_read_can_be_taken(void)
{
    struct tael_world *world = new_world(1);
    struct tael_loop *a = new_loop(world), *b = new_loop(world);
    struct trace trace = {.world = world};
    post(&trace, a, b, "ask", 1);
    CHECK(tael_sim_run(world, START_MS) == TAEL_ENOTFOUND);
    CHECK(traced(&trace, "1000000 ask 1\n1000000 answer 1\n"));
    post(&trace, a, NULL, "left", 1);
    post(&trace, a, NULL, "left", 2);
    for (int i = 1; i <= 2; i++) {
        struct tael_mail *mail = tael_loop_take(a);
        CHECK(mail != NULL && ((struct letter *)mail)->number == i);
        free(mail);
    }
    CHECK(tael_loop_take(a) == NULL);
    CHECK(tael_sim_run(world, START_MS) == TAEL_ENOTFOUND);
    post(&trace, b, NULL, "dead", 1);
    tael_sim_kill(b);
    post(&trace, b, NULL, "dead", 2);
    CHECK(tael_sim_run(world, START_MS) == TAEL_ENOTFOUND);
    for (int i = 1; i <= 2; i++)
        free(tael_loop_take(b));
    CHECK(tael_loop_take(b) == NULL);
    CHECK(traced(&trace, "1000000 ask 1\n1000000 answer 1\n"));
    tael_loop_free(a);
    tael_loop_free(b);
    tael_world_free(world);
    tael_buf_free(&trace.text);
}

/* ---- streams ---- */

struct peer {
    struct trace *trace;
    const char *name;
    struct tael_stream *stream;
    struct tael_buf got;
    size_t to_send; /* bytes of the pattern; a server sends back what it gets instead */
    size_t sent, reads, drains;
    bool echo, opened, ended, close_at_end;
    tael_status why;
};

static char pattern(size_t at)
{
    return (char)('a' + at % 23);
}

static void send_some(struct peer *peer)
{
    while (peer->sent < peer->to_send && tael_stream_queued(peer->stream) == 0) {
        char data[700];
        size_t len =
            peer->to_send - peer->sent < sizeof(data) ? peer->to_send - peer->sent : sizeof(data);
        for (size_t i = 0; i < len; i++)
            data[i] = pattern(peer->sent + i);
        if (tael_stream_write(peer->stream, data, len) != TAEL_OK)
            return;
        peer->sent += len;
    }
}

static void on_open(void *user)
{
    struct peer *peer = user;
    CHECK(!peer->opened && !peer->ended && peer->got.len == 0);
    peer->opened = true;
    note(peer->trace, "open", 0);
    send_some(peer);
}

static void on_read(void *user, const char *data, size_t len)
{
    struct peer *peer = user;
    if (peer->ended || len == 0 || tael_buf_append(&peer->got, data, len) != TAEL_OK)
        abort();
    peer->reads++;
    note(peer->trace, peer->name, (int64_t)len);
    if (peer->echo)
        tael_stream_write(peer->stream, data, len);
}

static void on_end(void *user, tael_status why)
{
    struct peer *peer = user;
    CHECK(!peer->ended);
    peer->ended = true;
    peer->why = why;
    note(peer->trace, "end", why);
    if (peer->close_at_end) {
        tael_stream_close(peer->stream);
        peer->stream = NULL;
    }
}

static void on_drain(void *user)
{
    struct peer *peer = user;
    peer->drains++;
    if (peer->ended || tael_stream_queued(peer->stream) != 0)
        abort();
    send_some(peer);
}

static const struct tael_stream_events peer_events = {on_open, on_read, on_end, on_drain};

static void on_accept(void *user, struct tael_stream *stream)
{
    struct peer *peer = user;
    if (peer->stream != NULL) {
        tael_stream_close(stream); /* one at a time */
        return;
    }
    peer->stream = stream;
    peer->opened = true;
    tael_stream_start(stream, &peer_events, peer);
    send_some(peer);
}

static bool holds_pattern(const struct peer *peer, size_t len)
{
    if (peer->got.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (peer->got.data[i] != pattern(i))
            return false;
    }
    return true;
}

struct pair {
    struct tael_world *world;
    struct tael_loop *client_loop, *server_loop;
    struct tael_listener *listener;
    struct trace trace;
    struct peer client, server;
};

/* In memory of its own: the streams' owners must not move. */
static struct pair *open_pair(uint64_t seed, const char *address)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        abort();
    pair->world = new_world(seed);
    pair->client_loop = new_loop(pair->world);
    pair->server_loop = new_loop(pair->world);
    pair->trace.world = pair->world;
    pair->client = (struct peer){.trace = &pair->trace, .name = "client"};
    pair->server = (struct peer){.trace = &pair->trace, .name = "server"};
    CHECK(tael_listen(pair->server_loop, address, on_accept, &pair->server, &pair->listener) ==
          TAEL_OK);
    CHECK(tael_connect(pair->client_loop, tael_listener_address(pair->listener), &peer_events,
                       &pair->client, &pair->client.stream) == TAEL_OK);
    CHECK(!pair->client.opened && !pair->client.ended); /* never from inside */
    return pair;
}

static void close_pair(struct pair *pair)
{
    tael_stream_close(pair->client.stream);
    tael_stream_close(pair->server.stream);
    tael_listener_close(pair->listener);
    tael_loop_free(pair->client_loop);
    tael_loop_free(pair->server_loop);
    tael_world_free(pair->world);
    tael_buf_free(&pair->trace.text);
    tael_buf_free(&pair->client.got);
    tael_buf_free(&pair->server.got);
    free(pair);
}

static void bytes_arrive_in_order_in_pieces(void)
{
    size_t most_reads = 0, drains = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct pair *pair = open_pair(seed, "127.0.0.1:0");
        pair->client.to_send = 50000;
        pair->server.echo = true;
        CHECK(tael_sim_run(pair->world, START_MS + 60000) == TAEL_ENOTFOUND);
        CHECK(holds_pattern(&pair->server, 50000) && holds_pattern(&pair->client, 50000));
        CHECK(pair->client.opened && !pair->client.ended && !pair->server.ended);
        CHECK(tael_stream_queued(pair->client.stream) == 0);
        most_reads = pair->server.reads > most_reads ? pair->server.reads : most_reads;
        drains += pair->client.drains;
        close_pair(pair);
    }
    CHECK(most_reads > 80); /* 72 writes were cut up */
    CHECK(drains > 0);
}

static void one_seed_is_one_history(void)
{
    struct tael_buf traces[3] = {{0}, {0}, {0}};
    uint64_t events[3];
    for (int i = 0; i < 3; i++) {
        struct pair *pair = open_pair(i < 2 ? 77 : 78, "unix:/tmp/tael.sock");
        void *noise = malloc((size_t)i * 4096 + 1); /* other addresses must not matter */
        pair->client.to_send = pair->server.to_send = 20000;
        CHECK(tael_sim_run(pair->world, START_MS + 60000) == TAEL_ENOTFOUND);
        unsigned char bytes[11];
        CHECK(tael_random(pair->world, bytes, sizeof(bytes)) == TAEL_OK);
        for (size_t k = 0; k < sizeof(bytes); k++)
            note(&pair->trace, "random", bytes[k]);
        note(&pair->trace, "draw", (int64_t)(tael_sim_draw(pair->world) >> 1));
        events[i] = tael_sim_events(pair->world);
        traces[i] = pair->trace.text;
        pair->trace.text = (struct tael_buf){0};
        close_pair(pair);
        free(noise);
    }
    CHECK(same_text(&traces[0], &traces[1]) && events[0] == events[1]);
    CHECK(!same_text(&traces[0], &traces[2]));
    for (int i = 0; i < 3; i++)
        tael_buf_free(&traces[i]);
}

static void the_tests_own_draws_move_nothing(void)
{
    struct tael_buf traces[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        struct pair *pair = open_pair(5, "127.0.0.1:80");
        for (int k = 0; k < i * 10; k++)
            tael_sim_draw(pair->world);
        pair->client.to_send = 5000;
        CHECK(tael_sim_run(pair->world, START_MS + 60000) == TAEL_ENOTFOUND);
        traces[i] = pair->trace.text;
        pair->trace.text = (struct tael_buf){0};
        close_pair(pair);
    }
    CHECK(same_text(&traces[0], &traces[1]));
    tael_buf_free(&traces[0]);
    tael_buf_free(&traces[1]);
}

static void closing_sends_what_is_queued(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct pair *pair = open_pair(seed, "127.0.0.1:80");
        char data[3000];
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = pattern(i);
        CHECK(tael_stream_write(pair->client.stream, data, sizeof(data)) ==
              TAEL_OK); /* not yet open */
        tael_stream_close(pair->client.stream);
        pair->client.stream = NULL;
        CHECK(tael_sim_run(pair->world, START_MS + 60000) == TAEL_ENOTFOUND);
        CHECK(holds_pattern(&pair->server, sizeof(data)));
        CHECK(pair->server.ended && pair->server.why == TAEL_OK);
        CHECK(!pair->client.opened && !pair->client.ended);
        close_pair(pair);
    }
}

static void writing_to_a_closed_peer_breaks_later(void)
{
    struct pair *pair = open_pair(3, "127.0.0.1:80");
    CHECK(tael_sim_run(pair->world, START_MS + 60000) == TAEL_ENOTFOUND);
    tael_stream_close(pair->client.stream);
    pair->client.stream = NULL;
    CHECK(tael_sim_run(pair->world, START_MS + 60000) == TAEL_ENOTFOUND);
    CHECK(pair->server.ended && pair->server.why == TAEL_OK);
    CHECK(tael_stream_write(pair->server.stream, "late", 4) ==
          TAEL_OK); /* the network does not know yet */
    CHECK(tael_sim_run(pair->world, tael_now_ms(pair->world) + 100) == TAEL_ENOTFOUND);
    struct tael_timer *timer = tael_timer_new(pair->client_loop, stop_now, pair->client_loop);
    tael_timer_start(timer, 100000);
    CHECK(tael_loop_run(pair->client_loop) == TAEL_OK);
    CHECK(tael_stream_write(pair->server.stream, "late", 4) == TAEL_ENETWORK);
    tael_timer_free(timer);
    close_pair(pair);
}

static void a_stream_that_does_not_read_holds_the_sender(void)
{
    struct pair *pair = open_pair(4, "127.0.0.1:80");
    CHECK(tael_sim_run(pair->world, START_MS + 60000) == TAEL_ENOTFOUND);
    tael_stream_read(pair->server.stream, false);
    pair->client.to_send = 2000000;
    send_some(&pair->client);
    CHECK(tael_sim_run(pair->world, START_MS + 60000) == TAEL_ENOTFOUND);
    CHECK(pair->server.got.len == 0);
    CHECK(tael_stream_queued(pair->client.stream) > 0 && pair->client.sent < 2000000);
    tael_stream_read(pair->server.stream, true);
    CHECK(tael_sim_run(pair->world, START_MS + 600000) == TAEL_ENOTFOUND);
    CHECK(holds_pattern(&pair->server, 2000000));
    close_pair(pair);
}

static void connecting_to_nobody_fails_later(void)
{
    struct tael_world *world = new_world(1);
    struct tael_loop *loop = new_loop(world);
    struct trace trace = {.world = world};
    struct peer peer = {.trace = &trace, .name = "client"};
    static const char *const bad[] = {"",
                                      "x",
                                      ":80",
                                      "1.2.3.4",
                                      "1.2.3.4:",
                                      "1.2.3.4:x",
                                      "1.2.3.4:99999",
                                      "unix:",
                                      "1.2.3.4:123456"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct tael_listener *listener = NULL;
        CHECK_NAMED(tael_connect(loop, bad[i], &peer_events, &peer, &peer.stream) == TAEL_EINVAL,
                    bad[i]);
        CHECK_NAMED(tael_listen(loop, bad[i], on_accept, &peer, &listener) == TAEL_EINVAL, bad[i]);
    }
    CHECK(tael_connect(loop, "127.0.0.1:81", &peer_events, &peer, &peer.stream) == TAEL_OK);
    CHECK(tael_stream_write(peer.stream, "hello", 5) == TAEL_OK);
    CHECK(!peer.ended);
    CHECK(tael_sim_run(world, START_MS + 1000) == TAEL_ENOTFOUND);
    CHECK(peer.ended && peer.why == TAEL_ENETWORK && !peer.opened);
    CHECK(tael_stream_write(peer.stream, "x", 1) == TAEL_ENETWORK);
    tael_stream_close(peer.stream);
    CHECK(tael_connect(loop, "127.0.0.1:81", &peer_events, &peer, &peer.stream) == TAEL_OK);
    tael_stream_close(peer.stream); /* before anything happened */
    CHECK(tael_sim_run(world, START_MS + 1000) == TAEL_ENOTFOUND);
    tael_loop_free(loop);
    tael_world_free(world);
    tael_buf_free(&trace.text);
}

static void listeners_have_names(void)
{
    struct tael_world *world = new_world(1);
    struct tael_loop *a = new_loop(world), *b = new_loop(world);
    struct tael_listener *listeners[4];
    CHECK(tael_listen(a, "127.0.0.1:0", on_accept, NULL, &listeners[0]) == TAEL_OK);
    CHECK(tael_listen(b, "[::1]:0", on_accept, NULL, &listeners[1]) == TAEL_OK);
    CHECK(strcmp(tael_listener_address(listeners[0]), "127.0.0.1:0") != 0);
    CHECK(strncmp(tael_listener_address(listeners[1]), "[::1]:", 6) == 0);
    CHECK(tael_listen(b, tael_listener_address(listeners[0]), on_accept, NULL, &listeners[2]) ==
          TAEL_OK); /* workers share an address */
    CHECK(tael_listen(a, "unix:/x", on_accept, NULL, &listeners[3]) == TAEL_OK);
    struct tael_listener *second = NULL;
    CHECK(tael_listen(b, "unix:/x", on_accept, NULL, &second) == TAEL_ENETWORK);
    for (int i = 0; i < 4; i++)
        tael_listener_close(listeners[i]);
    tael_listener_close(NULL);
    tael_loop_free(a);
    tael_loop_free(b);
    tael_world_free(world);

    struct pair *pair = open_pair(1, "127.0.0.1:80");
    CHECK(tael_sim_run(pair->world, START_MS + 1000) == TAEL_ENOTFOUND);
    CHECK(strcmp(tael_stream_peer(pair->client.stream), "127.0.0.1:80") == 0);
    CHECK(strncmp(tael_stream_peer(pair->server.stream), "127.0.0.1:", 10) == 0);
    close_pair(pair);
    pair = open_pair(1, "unix:/x");
    CHECK(tael_sim_run(pair->world, START_MS + 1000) == TAEL_ENOTFOUND);
    CHECK(strcmp(tael_stream_peer(pair->client.stream), "unix") == 0);
    CHECK(strcmp(tael_stream_peer(pair->server.stream), "unix") == 0);
    close_pair(pair);
}

/* ---- death ---- */

static void a_killed_machine_is_silent_and_its_peers_notice(void)
{
    size_t least = SIZE_MAX, most = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct pair *pair = open_pair(seed, "127.0.0.1:80");
        struct ticker ticker = {.trace = &pair->trace, .name = "timer"};
        ticker.timer = tael_timer_new(pair->server_loop, tick, &ticker);
        CHECK(tael_sim_run(pair->world, START_MS + 1000) == TAEL_ENOTFOUND);
        pair->server.to_send = 30000;
        send_some(&pair->server);
        tael_timer_start(ticker.timer, 1);
        post(&pair->trace, pair->server_loop, NULL, "mail", 1);
        CHECK(tael_stream_write(pair->client.stream, "question", 8) == TAEL_OK);
        size_t reads = pair->server.reads, lines = pair->server.sent;
        tael_sim_kill(pair->server_loop);
        tael_sim_kill(pair->server_loop); /* dead is dead */
        CHECK(tael_stream_write(pair->server.stream, "x", 1) == TAEL_ENETWORK);
        tael_timer_start(ticker.timer, 1);
        struct tael_stream *stream = NULL;
        CHECK(tael_connect(pair->server_loop, "127.0.0.1:80", &peer_events, &pair->server,
                           &stream) == TAEL_ENETWORK);
        tael_sim_run(pair->world, INT64_MAX);
        CHECK(pair->server.reads == reads && pair->server.sent == lines && !pair->server.ended);
        CHECK(ticker.count == 0);
        CHECK(pair->client.ended && pair->client.why == TAEL_ENETWORK);
        CHECK(pair->client.got.len <= pair->server.sent &&
              holds_pattern(&pair->client, pair->client.got.len));
        least = pair->client.got.len < least ? pair->client.got.len : least;
        most = pair->client.got.len > most ? pair->client.got.len : most;
        struct peer late = {.trace = &pair->trace, .name = "late"};
        CHECK(tael_connect(pair->client_loop, "127.0.0.1:80", &peer_events, &late, &late.stream) ==
              TAEL_OK);
        tael_sim_run(pair->world, INT64_MAX);
        CHECK(late.ended && late.why == TAEL_ENETWORK);
        tael_stream_close(late.stream);
        free(tael_loop_take(pair->server_loop));
        tael_timer_free(ticker.timer);
        close_pair(pair);
    }
    CHECK(least < most); /* how much still arrives is the seed's */
}

static void a_machine_may_die_at_any_moment(void)
{
    /* The client writes and reads; the server dies after n events, n = 0 to the end. */
    for (uint64_t n = 0; n < 60; n++) {
        struct pair *pair = open_pair(9, "127.0.0.1:80");
        pair->client.to_send = 4000;
        pair->server.echo = true;
        pair->client.close_at_end = true;
        struct tael_timer *timer = tael_timer_new(pair->client_loop, stop_now, pair->client_loop);
        tael_timer_start(timer, (int64_t)n * 300);
        CHECK(tael_loop_run(pair->client_loop) == TAEL_OK);
        tael_sim_kill(n % 2 == 0 ? pair->server_loop : pair->client_loop);
        if (n % 3 == 0) {
            tael_stream_close(pair->server.stream); /* the dead one's objects first or last */
            pair->server.stream = NULL;
        }
        tael_sim_run(pair->world, INT64_MAX);
        CHECK(n % 2 != 0 || pair->client.stream == NULL);
        tael_timer_free(timer);
        close_pair(pair);
    }
}

static void all_machines_may_die(void)
{
    struct pair *pair = open_pair(12, "127.0.0.1:80");
    CHECK(tael_sim_run(pair->world, START_MS + 1000) == TAEL_ENOTFOUND);
    pair->client.to_send = pair->server.to_send = 5000;
    send_some(&pair->client);
    send_some(&pair->server);
    tael_sim_kill(pair->server_loop);
    tael_sim_kill(pair->client_loop);
    CHECK(tael_sim_run(pair->world, INT64_MAX) == TAEL_ENOTFOUND);
    CHECK(!pair->client.ended && !pair->server.ended);
    CHECK(pair->client.got.len == 0 && pair->server.got.len == 0);
    close_pair(pair);
}

static void life_goes_on_after_a_restart(void)
{
    struct pair *pair = open_pair(11, "127.0.0.1:80");
    CHECK(tael_sim_run(pair->world, START_MS + 1000) == TAEL_ENOTFOUND);
    tael_sim_kill(pair->server_loop);
    tael_sim_run(pair->world, INT64_MAX);
    tael_stream_close(pair->client.stream);
    tael_stream_close(pair->server.stream);
    tael_listener_close(pair->listener);
    tael_loop_free(pair->server_loop);
    tael_buf_free(&pair->server.got);
    pair->client = (struct peer){.trace = &pair->trace, .name = "client", .to_send = 3000};
    pair->server = (struct peer){.trace = &pair->trace, .name = "server"};
    pair->server_loop = new_loop(pair->world);
    CHECK(tael_listen(pair->server_loop, "127.0.0.1:80", on_accept, &pair->server,
                      &pair->listener) == TAEL_OK);
    CHECK(tael_connect(pair->client_loop, "127.0.0.1:80", &peer_events, &pair->client,
                       &pair->client.stream) == TAEL_OK);
    post(&pair->trace, pair->server_loop, pair->client_loop, "ask", 1);
    tael_sim_run(pair->world, INT64_MAX);
    CHECK(holds_pattern(&pair->server, 3000));
    close_pair(pair);
}

/* ---- memory ---- */

static void making_fails_cleanly_without_memory(void)
{
    struct tael_world *world = NULL;
    struct tael_sim_options options = {.seed = 1, .vfs = "tael-fault"};
    for (long n = 1;; n++) {
        alloc_fail_at(n);
        tael_status status = tael_sim_new(&world, &options);
        if (!alloc_fail_end())
            break;
        CHECK(status == TAEL_ENOMEM && world == NULL);
    }
    CHECK(strcmp(world->vfs, "tael-fault") == 0 && world->simulated);
    struct tael_loop *first = new_loop(world), *loop = NULL;
    for (long n = 1;; n++) {
        alloc_fail_at(n);
        tael_status status = tael_loop_new(world, &loop);
        if (!alloc_fail_end())
            break;
        CHECK(status == TAEL_ENOMEM && loop == NULL);
    }
    struct trace trace = {.world = world};
    struct peer peer = {.trace = &trace, .name = "peer"};
    for (long n = 1;; n++) {
        struct tael_timer *timer = NULL;
        struct tael_listener *listener = NULL;
        alloc_fail_at(n);
        tael_status status = TAEL_ENOMEM;
        timer = tael_timer_new(loop, stop_now, loop);
        if (timer != NULL)
            status = tael_listen(loop, "a:1", on_accept, &peer, &listener);
        if (status == TAEL_OK)
            status = tael_connect(first, "a:1", &peer_events, &peer, &peer.stream);
        bool failed = alloc_fail_end();
        CHECK(status == (failed ? TAEL_ENOMEM : TAEL_OK));
        tael_timer_free(timer);
        tael_listener_close(listener);
        if (!failed)
            break;
    }
    alloc_fail_at(1);
    CHECK(tael_stream_write(peer.stream, "abc", 3) == TAEL_ENOMEM);
    CHECK(alloc_fail_end());
    CHECK(tael_stream_write(peer.stream, "abc", 3) == TAEL_ENETWORK); /* of no more use */
    tael_stream_close(peer.stream);
    tael_loop_free(loop);
    tael_loop_free(first);
    tael_world_free(world);
    tael_buf_free(&trace.text);
}

int main(void)
{
    time_jumps_from_event_to_event();
    running_ends_with_stop();
    mail_of_one_sender_keeps_its_order();
    mail_not_read_can_be_taken();
    bytes_arrive_in_order_in_pieces();
    one_seed_is_one_history();
    the_tests_own_draws_move_nothing();
    closing_sends_what_is_queued();
    writing_to_a_closed_peer_breaks_later();
    a_stream_that_does_not_read_holds_the_sender();
    connecting_to_nobody_fails_later();
    listeners_have_names();
    a_killed_machine_is_silent_and_its_peers_notice();
    a_machine_may_die_at_any_moment();
    all_machines_may_die();
    life_goes_on_after_a_restart();
    making_fails_cleanly_without_memory();
    return tap_end();
}
