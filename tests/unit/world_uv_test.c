/* world_uv_test.c - the real world: streams over TCP and unix sockets, mail between threads,
 * timers, stopping, closing. Nothing here passes or fails by how long something took; a watchdog
 * ends a program that hangs. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "alloc_fail.h"
#include "base/bytes.h"
#include "net/world_uv.h"
#include "tap.h"

static struct tael_world *world;
static char folder[] = "/tmp/tael-world-XXXXXX";

static struct tael_loop *new_loop(void)
{
    struct tael_loop *loop = NULL;
    CHECK(tael_loop_new(world, &loop) == TAEL_OK);
    return loop;
}

static void stop_now(void *user)
{
    tael_loop_stop(user);
}

/* ---- clocks and randomness ---- */

static void clocks_and_randomness_are_the_systems(void)
{
    int64_t wall = tael_now_ms(world), mono = tael_mono_us(world);
    CHECK(wall > 1700000000000 && wall < 4102444800000);
    CHECK(mono > 0 && tael_mono_us(world) >= mono);
    unsigned char a[300] = {0}, b[300] = {0};
    CHECK(tael_random(world, a, sizeof(a)) == TAEL_OK &&
          tael_random(world, b, sizeof(b)) == TAEL_OK);
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    CHECK(tael_random(world, NULL, 0) == TAEL_OK);
    CHECK(!world->simulated && world->vfs == NULL);
}

/* ---- timers ---- */

enum { TIMERS = 500 };

struct alarm {
    struct tael_timer *timer;
    struct tael_loop *loop;
    int64_t delay, due; /* of the last start; due: at the earliest */
    int started;        /* its place in the order of starting */
    int fired;          /* its place in the order of firing; 0: not yet */
};

static struct {
    struct alarm all[TIMERS];
    int started, fired, left;
} alarms;

static void on_alarm(void *user)
{
    struct alarm *alarm = user;
    CHECK_NAMED(alarm->fired == 0 && tael_mono_us(world) >= alarm->due, "not early, and once");
    alarm->fired = ++alarms.fired;
    if (--alarms.left == 0)
        tael_loop_stop(alarm->loop);
}

static void start_alarm(struct alarm *alarm, int64_t delay)
{
    alarm->delay = delay;
    alarm->due = tael_mono_us(world) + delay;
    alarm->started = ++alarms.started;
    tael_timer_start(alarm->timer, delay);
}

/* Whoever was started before another, for no longer, fires before it, however long starting takes.
 */
static bool fired_in_order(void)
{
    for (int i = 0; i < TIMERS; i++) {
        const struct alarm *a = &alarms.all[i];
        for (int k = 0; k < TIMERS; k++) {
            const struct alarm *b = &alarms.all[k];
            if (a->fired > 0 && b->fired > 0 && a->started < b->started && a->delay <= b->delay &&
                a->fired > b->fired)
                return false;
        }
    }
    return true;
}

/* Every timer is started and moved several times, some are stopped, and of those some start again.
 */
static void timers_fire_in_the_order_of_their_times(void)
{
    struct tael_loop *loop = new_loop();
    uint64_t seed = 12345;
    for (int i = 0; i < TIMERS; i++) {
        alarms.all[i].loop = loop;
        alarms.all[i].timer = tael_timer_new(loop, on_alarm, &alarms.all[i]);
        CHECK_NAMED(alarms.all[i].timer != NULL, "a timer");
    }
    for (int i = 0; i < TIMERS * 4; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        start_alarm(&alarms.all[i % TIMERS], (int64_t)(seed >> 33 & 31) * 1000);
    }
    for (int i = 0; i < TIMERS; i += 5)
        tael_timer_stop(alarms.all[i].timer);
    for (int i = 0; i < TIMERS; i += 10)
        start_alarm(&alarms.all[i], 3000);
    alarms.left = TIMERS - TIMERS / 10;
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(alarms.fired == TIMERS - TIMERS / 10);
    CHECK(alarms.all[5].fired == 0 && alarms.all[10].fired > 0);
    CHECK(fired_in_order());
    for (int i = 0; i < TIMERS; i++)
        tael_timer_free(alarms.all[i].timer);
    tael_loop_free(loop);
}

struct chain {
    struct tael_loop *loop;
    struct tael_timer *timers[3];
    char fired[16];
    size_t count;
};

static void on_first(void *user)
{
    struct chain *chain = user;
    chain->fired[chain->count++] = 'a';
    tael_timer_stop(chain->timers[1]); /* due in the same round */
    tael_timer_free(chain->timers[0]); /* itself */
    chain->timers[0] = NULL;
    tael_timer_start(chain->timers[2], 0);
}

static void on_second(void *user)
{
    struct chain *chain = user;
    chain->fired[chain->count++] = 'b';
}

static void on_third(void *user)
{
    struct chain *chain = user;
    chain->fired[chain->count++] = 'c';
    if (chain->count < 4)
        tael_timer_start(chain->timers[2], 0); /* must not keep the loop from anything */
    else
        tael_loop_stop(chain->loop);
}

static void timers_may_change_each_other(void)
{
    struct chain chain = {.loop = new_loop()};
    chain.timers[0] = tael_timer_new(chain.loop, on_first, &chain);
    chain.timers[1] = tael_timer_new(chain.loop, on_second, &chain);
    chain.timers[2] = tael_timer_new(chain.loop, on_third, &chain);
    tael_timer_start(chain.timers[0], 0);
    tael_timer_start(chain.timers[1], 0);
    CHECK(tael_loop_run(chain.loop) == TAEL_OK);
    CHECK(strcmp(chain.fired, "accc") == 0);
    tael_timer_start(chain.timers[1], INT64_MAX);
    tael_timer_free(chain.timers[1]);
    tael_timer_free(chain.timers[2]);
    tael_timer_free(NULL);
    tael_loop_free(chain.loop);
}

/* ---- mail ---- */

enum { SENDERS = 4, LETTERS = 5000 };

struct letter {
    struct tael_mail mail; /* first */
    int sender, number;
    struct post_office *office;
};

struct post_office {
    struct tael_loop *loop;
    int next[SENDERS + 1];
    int left;
    bool ordered;
    atomic_int sender;
};

static void read_letter(struct tael_mail *mail)
{
    struct letter *letter = (struct letter *)mail;
    struct post_office *office = letter->office;
    office->ordered = office->ordered && office->next[letter->sender] == letter->number;
    office->next[letter->sender]++;
    free(letter);
    if (--office->left == 0)
        tael_loop_stop(office->loop);
}

static void post(struct post_office *office, int sender, int number)
{
    struct letter *letter = malloc(sizeof(*letter));
    if (letter == NULL)
        abort();
    *letter = (struct letter){{NULL, read_letter}, sender, number, office};
    tael_loop_post(office->loop, &letter->mail);
}

static void *send_letters(void *user)
{
    struct post_office *office = user;
    int sender = atomic_fetch_add(&office->sender, 1);
    for (int i = 0; i < LETTERS; i++)
        post(office, sender, i);
    return NULL;
}

struct self_sender {
    struct tael_timer *timer;
    struct post_office *office;
    int number;
};

static void send_to_self(void *user)
{
    struct self_sender *self = user;
    for (int i = 0; i < 100 && self->number < LETTERS; i++)
        post(self->office, SENDERS, self->number++);
    if (self->number < LETTERS)
        tael_timer_start(self->timer, 0);
}

static void mail_of_every_thread_arrives_in_order(void)
{
    struct post_office office = {.loop = new_loop(), .ordered = true};
    office.left = (SENDERS + 1) * LETTERS;
    struct self_sender self = {.office = &office};
    self.timer = tael_timer_new(office.loop, send_to_self, &self);
    for (int i = 0; i < 10; i++)
        post(&office, SENDERS, self.number++); /* before the loop runs */
    tael_timer_start(self.timer, 0);
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++)
        CHECK(pthread_create(&threads[i], NULL, send_letters, &office) == 0);
    CHECK(tael_loop_run(office.loop) == TAEL_OK);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(office.ordered && office.left == 0);
    for (int i = 0; i <= SENDERS; i++)
        CHECK(office.next[i] == LETTERS);
    tael_timer_free(self.timer);
    tael_loop_free(office.loop);
}

/* Mail that posts itself again must let timers and sockets have their turn. */
struct eternal {
    struct tael_mail mail; /* first */
    struct tael_loop *loop;
    bool inside, nested; /* nested: it ran inside itself */
    long runs;
};

static void run_again(struct tael_mail *mail)
{
    struct eternal *eternal = (struct eternal *)mail;
    eternal->nested = eternal->nested || eternal->inside;
    eternal->inside = true;
    eternal->runs++;
    tael_loop_post(eternal->loop, mail);
    eternal->inside = false;
    if (eternal->runs > 1000000)
        abort(); /* the timer never came */
}

/* Mail is the only thing that can wake this loop again. */
static void run_five_times(struct tael_mail *mail)
{
    struct eternal *eternal = (struct eternal *)mail;
    if (++eternal->runs == 5)
        tael_loop_stop(eternal->loop);
    else
        tael_loop_post(eternal->loop, mail);
}

static void waiting_mail_keeps_the_loop_awake(void)
{
    struct eternal eternal = {.mail = {NULL, run_five_times}, .loop = new_loop()};
    tael_loop_post(eternal.loop, &eternal.mail);
    CHECK(tael_loop_run(eternal.loop) == TAEL_OK);
    CHECK(eternal.runs == 5);
    tael_loop_free(eternal.loop);
}

static void endless_mail_does_not_starve_the_loop(void)
{
    struct eternal eternal = {.mail = {NULL, run_again}, .loop = new_loop()};
    struct tael_timer *timer = tael_timer_new(eternal.loop, stop_now, eternal.loop);
    tael_timer_start(timer, 2000);
    tael_loop_post(eternal.loop, &eternal.mail);
    CHECK(tael_loop_run(eternal.loop) == TAEL_OK);
    CHECK(eternal.runs > 0 && !eternal.nested);
    CHECK(tael_loop_take(eternal.loop) == &eternal.mail && tael_loop_take(eternal.loop) == NULL);
    tael_timer_free(timer);
    tael_loop_free(eternal.loop);
}

/* A timer that starts itself again without a delay must let the sockets have their turn: another
 * thread's mail comes through one. */
struct restless {
    struct tael_mail mail; /* first */
    struct tael_loop *loop;
    struct tael_timer *timer;
    pthread_t sender;
    long runs;
};

static void *send_mail(void *user)
{
    struct restless *restless = user;
    tael_loop_post(restless->loop, &restless->mail);
    return NULL;
}

static void fire_again(void *user)
{
    struct restless *restless = user;
    if (restless->runs == 0)
        pthread_create(&restless->sender, NULL, send_mail, restless);
    if (++restless->runs > 100000000)
        abort(); /* the mail never came */
    tael_timer_start(restless->timer, 0);
}

static void mail_of_restless(struct tael_mail *mail)
{
    tael_loop_stop(((struct restless *)mail)->loop);
}

static void endless_timer_does_not_starve_the_loop(void)
{
    struct restless restless = {.mail = {NULL, mail_of_restless}, .loop = new_loop()};
    restless.timer = tael_timer_new(restless.loop, fire_again, &restless);
    tael_timer_start(restless.timer, 0);
    CHECK(tael_loop_run(restless.loop) == TAEL_OK);
    CHECK(restless.runs > 0);
    pthread_join(restless.sender, NULL);
    tael_timer_free(restless.timer);
    tael_loop_free(restless.loop);
}

static void mail_left_over_can_be_taken(void)
{
    struct post_office office = {.loop = new_loop(), .ordered = true, .left = 3};
    for (int i = 0; i < 3; i++)
        post(&office, 0, i);
    for (int i = 0; i < 3; i++) {
        struct letter *letter = (struct letter *)tael_loop_take(office.loop);
        CHECK(letter != NULL && letter->number == i);
        free(letter);
    }
    CHECK(tael_loop_take(office.loop) == NULL);
    post(&office, 0, 0);
    office.left = 1;
    CHECK(tael_loop_run(office.loop) == TAEL_OK && office.left == 0);
    tael_loop_free(office.loop);
}

/* ---- stopping ---- */

static void *stop_from_outside(void *user)
{
    tael_loop_stop(user);
    return NULL;
}

static struct tael_loop *signalled;

static void on_signal(int number)
{
    (void)number;
    tael_loop_stop(signalled);
}

static void raise_signal(void *user)
{
    (void)user;
    raise(SIGUSR1);
}

static void a_loop_stops_from_anywhere(void)
{
    struct tael_loop *loop = new_loop();
    tael_loop_stop(loop);
    CHECK(tael_loop_run(loop) == TAEL_OK); /* the stop came before */
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, stop_from_outside, loop) == 0);
        CHECK(tael_loop_run(loop) == TAEL_OK);
        pthread_join(thread, NULL);
    }
    struct tael_timer *timer = tael_timer_new(loop, stop_now, loop);
    tael_timer_start(timer, 0);
    CHECK(tael_loop_run(loop) == TAEL_OK); /* from its own thread */
    tael_timer_free(timer);
    signalled = loop;
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigaction(SIGUSR1, &action, &before);
    timer = tael_timer_new(loop, raise_signal, NULL);
    tael_timer_start(timer, 0);
    CHECK(tael_loop_run(loop) == TAEL_OK); /* from a signal handler */
    sigaction(SIGUSR1, &before, NULL);
    tael_timer_free(timer);
    tael_loop_free(loop);
    tael_loop_free(NULL);
}

/* ---- streams ---- */

enum {
    BIG = 3 * 1024 * 1024,
    HUGE_LEN = 32 * 1024 * 1024, /* more than the kernel's buffers of a connection hold */
};

struct peer {
    struct tael_loop *loop;
    struct tael_stream *stream;
    struct tael_buf got;
    size_t to_send, sent, want; /* want: stop the loop when so much has come; 0: never */
    bool echo, opened, ended, stop_at_end, queued, drained;
    tael_status why;
};

static char pattern(size_t at)
{
    return (char)('a' + at % 23);
}

static bool holds_pattern(const struct peer *peer, size_t len)
{
    bool same = peer->got.len == len;
    for (size_t i = 0; i < len && same; i++)
        same = peer->got.data[i] == pattern(i);
    return same;
}

static void send_some(struct peer *peer)
{
    static char data[60000];
    while (peer->sent < peer->to_send && tael_stream_queued(peer->stream) == 0) {
        size_t left = peer->to_send - peer->sent, len = left < sizeof(data) ? left : sizeof(data);
        for (size_t i = 0; i < len; i++)
            data[i] = pattern(peer->sent + i);
        if (tael_stream_write(peer->stream, data, len) != TAEL_OK)
            return;
        peer->sent += len;
        peer->queued = peer->queued || tael_stream_queued(peer->stream) > 0;
    }
}

static void on_open(void *user)
{
    struct peer *peer = user;
    CHECK(!peer->opened && !peer->ended && peer->got.len == 0);
    peer->opened = true;
    send_some(peer);
}

static void on_read(void *user, const char *data, size_t len)
{
    struct peer *peer = user;
    if (peer->ended || len == 0 || tael_buf_append(&peer->got, data, len) != TAEL_OK)
        abort();
    if (peer->echo && tael_stream_write(peer->stream, data, len) != TAEL_OK)
        abort();
    if (peer->want > 0 && peer->got.len >= peer->want)
        tael_loop_stop(peer->loop);
}

static void on_end(void *user, tael_status why)
{
    struct peer *peer = user;
    CHECK(!peer->ended);
    peer->ended = true;
    peer->why = why;
    if (peer->stop_at_end)
        tael_loop_stop(peer->loop);
}

static void on_drain(void *user)
{
    struct peer *peer = user;
    if (peer->ended || tael_stream_queued(peer->stream) != 0)
        abort();
    peer->drained = true;
    send_some(peer);
}

static const struct tael_stream_events events = {on_open, on_read, on_end, on_drain};

static void on_accept(void *user, struct tael_stream *stream)
{
    struct peer *peer = user;
    if (peer->stream != NULL) {
        tael_stream_close(stream);
        return;
    }
    peer->stream = stream;
    tael_stream_start(stream, &events, peer);
    send_some(peer);
}

struct pair {
    struct tael_loop *loop;
    struct tael_listener *listener;
    struct peer client, server;
};

static struct pair *open_pair(const char *address)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        abort();
    pair->loop = new_loop();
    pair->client.loop = pair->server.loop = pair->loop;
    CHECK(tael_listen(pair->loop, address, on_accept, &pair->server, &pair->listener) == TAEL_OK);
    CHECK(tael_connect(pair->loop, tael_listener_address(pair->listener), &events, &pair->client,
                       &pair->client.stream) == TAEL_OK);
    CHECK(!pair->client.opened && !pair->client.ended);
    return pair;
}

static void close_pair(struct pair *pair)
{
    tael_stream_close(pair->client.stream);
    tael_stream_close(pair->server.stream);
    tael_listener_close(pair->listener);
    tael_loop_free(pair->loop);
    tael_buf_free(&pair->client.got);
    tael_buf_free(&pair->server.got);
    free(pair);
}

static void echo_returns_every_byte(const char *address)
{
    struct pair *pair = open_pair(address);
    bool local = strncmp(address, "unix:", 5) == 0;
    pair->client.to_send = pair->client.want = BIG;
    pair->server.echo = true;
    CHECK(tael_loop_run(pair->loop) == TAEL_OK);
    CHECK(holds_pattern(&pair->client, BIG) && holds_pattern(&pair->server, BIG));
    CHECK(pair->client.opened && !pair->client.ended && !pair->server.ended);
    CHECK(pair->client.drained == pair->client.queued);
    const char *address_heard = tael_stream_peer(pair->client.stream);
    CHECK(strcmp(address_heard, local ? "unix" : tael_listener_address(pair->listener)) == 0);
    CHECK(strncmp(tael_stream_peer(pair->server.stream), local ? "unix" : address, 5) == 0);
    CHECK(strcmp(tael_stream_peer(pair->server.stream), tael_listener_address(pair->listener)) !=
          0);
    close_pair(pair);
}

static void writing_before_the_connection_stands(void)
{
    struct pair *pair = open_pair("127.0.0.1:0");
    CHECK(tael_stream_write(pair->client.stream, "abcdef", 6) == TAEL_OK);
    CHECK(tael_stream_queued(pair->client.stream) == 6);
    pair->server.want = 6;
    CHECK(tael_loop_run(pair->loop) == TAEL_OK);
    CHECK(holds_pattern(&pair->server, 6));
    close_pair(pair);
}

static void closing_sends_what_is_queued_first(void)
{
    for (int before_open = 0; before_open < 2; before_open++) {
        struct pair *pair = open_pair("127.0.0.1:0");
        if (before_open == 0) {
            pair->server.to_send = pair->client.want = 1;
            CHECK(tael_loop_run(pair->loop) == TAEL_OK);
            CHECK(tael_stream_write(pair->server.stream, "late", 4) == TAEL_OK);
        }
        char *data = malloc(HUGE_LEN);
        if (data == NULL)
            abort();
        for (size_t i = 0; i < HUGE_LEN; i++)
            data[i] = pattern(i);
        CHECK(tael_stream_write(pair->client.stream, data, HUGE_LEN) == TAEL_OK);
        CHECK(tael_stream_queued(pair->client.stream) > 0);
        free(data); /* it was copied */
        tael_stream_close(pair->client.stream);
        size_t got = pair->client.got.len;
        pair->client.stream = NULL;
        pair->server.stop_at_end = true;
        CHECK(tael_loop_run(pair->loop) == TAEL_OK);
        CHECK(holds_pattern(&pair->server, HUGE_LEN));
        CHECK(pair->server.ended && pair->server.why == TAEL_OK);
        CHECK(!pair->client.ended && pair->client.got.len == got); /* silent since close */
        close_pair(pair);
    }
}

static void reading_can_pause(void)
{
    struct pair *pair = open_pair("127.0.0.1:0");
    pair->client.to_send = 1;
    pair->server.want = 1;
    CHECK(tael_loop_run(pair->loop) == TAEL_OK);
    tael_stream_read(pair->server.stream, false);
    pair->client.to_send = HUGE_LEN;
    send_some(&pair->client);
    CHECK(tael_stream_queued(pair->client.stream) > 0 && pair->client.sent < pair->client.to_send);
    struct tael_timer *timer = tael_timer_new(pair->loop, stop_now, pair->loop);
    tael_timer_start(timer, 20000);
    CHECK(tael_loop_run(pair->loop) == TAEL_OK);
    CHECK(pair->server.got.len == 1);
    tael_stream_read(pair->server.stream, true);
    pair->server.want = pair->client.to_send;
    CHECK(tael_loop_run(pair->loop) == TAEL_OK);
    CHECK(holds_pattern(&pair->server, pair->client.to_send));
    CHECK(pair->client.queued && pair->client.drained);
    tael_timer_free(timer);
    close_pair(pair);
}

static void connecting_to_nobody_fails_later(void)
{
    struct tael_loop *loop = new_loop();
    struct peer peer = {.loop = loop, .stop_at_end = true};
    struct tael_listener *listener = NULL;
    char address[64];
    CHECK(tael_listen(loop, "127.0.0.1:0", on_accept, &peer, &listener) == TAEL_OK);
    snprintf(address, sizeof(address), "%s", tael_listener_address(listener));
    tael_listener_close(listener);
    CHECK(tael_connect(loop, address, &events, &peer, &peer.stream) == TAEL_OK);
    CHECK(!peer.ended);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(peer.ended && peer.why == TAEL_ENETWORK && !peer.opened);
    CHECK(tael_stream_write(peer.stream, "x", 1) == TAEL_ENETWORK);
    tael_stream_close(peer.stream);
    peer = (struct peer){.loop = loop, .stop_at_end = true};
    CHECK(tael_connect(loop, "unix:/nowhere/at/all", &events, &peer, &peer.stream) == TAEL_OK);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(peer.ended && peer.why == TAEL_ENETWORK);
    tael_stream_close(peer.stream);
    CHECK(tael_connect(loop, address, &events, &peer, &peer.stream) == TAEL_OK);
    tael_stream_close(peer.stream); /* at once */
    tael_stream_close(NULL);
    tael_loop_free(loop);
}

static void addresses_are_strict(void)
{
    static const char *const bad[] = {
        "",
        "8080",
        ":8080",
        "localhost:8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:80x",
        "127.0.0.1: 80",
        "127.1:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[127.0.0.1]:80",
        "[::1:80",
        "1.2.3.4.5:80",
        "256.0.0.1:80",
        "unix:",
        "[]:80",
        "127.0.0.1:100000",
    };
    struct tael_loop *loop = new_loop();
    struct peer peer = {.loop = loop};
    struct tael_listener *listener = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_NAMED(tael_listen(loop, bad[i], on_accept, &peer, &listener) == TAEL_EINVAL, bad[i]);
        CHECK_NAMED(tael_connect(loop, bad[i], &events, &peer, &peer.stream) == TAEL_EINVAL,
                    bad[i]);
    }
    char longer[300] = "unix:/";
    memset(longer + 6, 'x', 200);
    CHECK(tael_listen(loop, longer, on_accept, &peer, &listener) == TAEL_EINVAL);
    CHECK(tael_connect(loop, longer, &events, &peer, &peer.stream) == TAEL_EINVAL);
    CHECK(listener == NULL && peer.stream == NULL);
    tael_loop_free(loop);
}

static void workers_share_a_port(void)
{
    struct tael_loop *a = new_loop(), *b = new_loop();
    struct tael_listener *first = NULL, *second = NULL, *six = NULL;
    CHECK(tael_listen(a, "127.0.0.1:0", on_accept, NULL, &first) == TAEL_OK);
    CHECK(strncmp(tael_listener_address(first), "127.0.0.1:", 10) == 0);
    CHECK(strcmp(tael_listener_address(first), "127.0.0.1:0") != 0);
    CHECK(tael_listen(b, tael_listener_address(first), on_accept, NULL, &second) == TAEL_OK);
    CHECK(strcmp(tael_listener_address(first), tael_listener_address(second)) == 0);
    if (tael_listen(a, "[::1]:0", on_accept, NULL, &six) ==
        TAEL_OK) { /* not every machine has it */
        CHECK(strncmp(tael_listener_address(six), "[::1]:", 6) == 0);
        tael_listener_close(six);
    }
    tael_listener_close(second);
    tael_listener_close(first);
    tael_listener_close(NULL);
    tael_loop_free(a);
    tael_loop_free(b);
}

static void unix_sockets_are_private_and_cleaned_up(void)
{
    char path[100], address[128];
    struct stat file;
    struct tael_loop *loop = new_loop();
    struct tael_listener *listener = NULL, *second = NULL;
    snprintf(path, sizeof(path), "%s/private.sock", folder);
    snprintf(address, sizeof(address), "unix:%s", path);
    mode_t mask = umask(0);
    CHECK(tael_listen(loop, address, on_accept, NULL, &listener) == TAEL_OK);
    umask(mask);
    CHECK(strcmp(tael_listener_address(listener), address) == 0);
    CHECK(lstat(path, &file) == 0 && S_ISSOCK(file.st_mode) && (file.st_mode & 0777) == 0600);
    CHECK(tael_listen(loop, address, on_accept, NULL, &second) == TAEL_ENETWORK); /* in use */
    CHECK(lstat(path, &file) == 0);
    tael_listener_close(listener);
    CHECK(lstat(path, &file) != 0 && errno == ENOENT);

    /* a socket that a crash left behind */
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(stale, (struct sockaddr *)&at, sizeof(at)) == 0);
    close(stale);
    CHECK(tael_listen(loop, address, on_accept, NULL, &listener) == TAEL_OK);

    /* somebody else's file in its place is not ours to remove */
    CHECK(unlink(path) == 0);
    FILE *other = fopen(path, "w");
    CHECK(other != NULL && fclose(other) == 0);
    tael_listener_close(listener);
    CHECK(lstat(path, &file) == 0 && S_ISREG(file.st_mode));
    CHECK(tael_listen(loop, address, on_accept, NULL, &listener) == TAEL_EINVAL); /* no socket */
    CHECK(unlink(path) == 0);
    tael_loop_free(loop);
}

/* ---- closing towards a plain socket, which shows what a peer sees ---- */

static int local_connect(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

static int plain_connect(const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    if (strncmp(address, "unix:", 5) == 0)
        return local_connect(address + 5);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

/* Lets the loop run for so long. */
static void run_for(struct tael_loop *loop, int64_t us)
{
    struct tael_timer *timer = tael_timer_new(loop, stop_now, loop);
    CHECK(timer != NULL);
    tael_timer_start(timer, us);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    tael_timer_free(timer);
}

static void who_is_on_the_way_in_is_taken_when_a_listener_retires(void)
{
    struct tael_loop *loop = new_loop();
    struct tael_listener *listener = NULL;
    struct peer server = {.loop = loop};
    struct pollfd late = {.events = POLLOUT};
    CHECK(tael_listen(loop, "127.0.0.1:0", on_accept, &server, &listener) == TAEL_OK);
    int early = plain_connect(tael_listener_address(listener));
    CHECK(send(early, "x", 1, 0) == 1); /* in the backlog: the loop has not run */
    tael_listener_retire(listener);
    late.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)atoi(strrchr(tael_listener_address(listener), ':') + 1));
    CHECK(connect(late.fd, (struct sockaddr *)&at, sizeof(at)) != 0 && errno == EINPROGRESS);
    run_for(loop, 20000);
    CHECK(server.stream != NULL && server.got.len == 1);
    CHECK(poll(&late, 1, 0) == 0); /* neither connected nor refused: it tries again later */
    tael_listener_close(listener);
    close(early);
    close(late.fd);
    tael_stream_close(server.stream);
    tael_buf_free(&server.got);
    tael_loop_free(loop);
}

/* A socket that is given on: who connects while nobody listens waits, and is not refused. */
static void a_shared_socket_outlives_its_listener(const char *address)
{
    struct tael_loop *first = new_loop(), *second = new_loop();
    struct tael_listener *listener = NULL;
    struct peer server = {.loop = second, .want = 1};
    char given[32], real[128];
    CHECK(tael_listen(first, address, on_accept, NULL, &listener) == TAEL_OK);
    snprintf(real, sizeof(real), "%s", tael_listener_address(listener));
    int fd = tael_listener_share(listener);
    CHECK(fd >= 0);
    tael_listener_retire(listener); /* no effect on a socket that others have */
    tael_listener_close(listener);
    tael_loop_free(first);
    int client = plain_connect(real);
    CHECK(send(client, "x", 1, 0) == 1);
    snprintf(given, sizeof(given), "%s%d", TAEL_LISTEN_GIVEN, fd);
    CHECK(tael_listen(second, given, on_accept, &server, &listener) == TAEL_OK);
    CHECK(strcmp(tael_listener_address(listener), real) == 0);
    CHECK(tael_loop_run(second) == TAEL_OK);
    CHECK(server.stream != NULL && server.got.len == 1);
    close(client);
    tael_stream_close(server.stream);
    tael_buf_free(&server.got);
    tael_listener_close(listener);
    CHECK(strncmp(real, "unix:", 5) != 0 || access(real + 5, F_OK) != 0); /* ours in the end */
    int no_socket = open("/dev/null", O_RDONLY | O_CLOEXEC);
    snprintf(given, sizeof(given), "%s%d", TAEL_LISTEN_GIVEN, no_socket);
    CHECK(tael_listen(second, given, on_accept, &server, &listener) == TAEL_ENETWORK);
    CHECK(fcntl(no_socket, F_GETFD) == -1); /* taken all the same */
    tael_loop_free(second);
}

static void answer_and_close(void *user, struct tael_stream *stream)
{
    CHECK(tael_stream_write(stream, "refused", 7) == TAEL_OK);
    tael_stream_close(stream);
    tael_loop_stop(user);
}

struct talker {
    int fd;
    struct tael_loop *loop;
    size_t much, sent;
    ssize_t got;
    char data[16];
};

enum {
    MUCH = 8 * 1024 * 1024,     /* all of it is taken */
    ENDLESS = 64 * 1024 * 1024, /* more than is taken and the kernel's buffers hold */
    AT_ONCE = 4 * 1024,
};

/* Sends much that nobody reads, or as much as is taken, and only then reads the answer. */
static void *talk_late(void *user)
{
    struct talker *talker = user;
    static const char part[AT_ONCE];
    while (talker->sent < talker->much) {
        ssize_t count = send(talker->fd, part, sizeof(part), MSG_NOSIGNAL);
        if (count <= 0)
            break;
        talker->sent += (size_t)count;
    }
    talker->got = recv(talker->fd, talker->data, sizeof(talker->data), MSG_WAITALL);
    tael_loop_stop(talker->loop);
    return NULL;
}

static void an_answer_survives_what_the_peer_still_sends(size_t much)
{
    struct tael_loop *loop = new_loop();
    struct tael_listener *listener = NULL;
    struct timeval stuck = {.tv_usec = 300 * 1000}; /* from here on it rather reads */
    pthread_t thread;
    CHECK(tael_listen(loop, "127.0.0.1:0", answer_and_close, loop, &listener) == TAEL_OK);
    struct talker talker = {
        .fd = plain_connect(tael_listener_address(listener)), .loop = loop, .much = much};
    if (much == ENDLESS)
        CHECK(setsockopt(talker.fd, SOL_SOCKET, SO_SNDTIMEO, &stuck, sizeof(stuck)) == 0);
    CHECK(tael_loop_run(loop) == TAEL_OK); /* accepted, answered, closed */
    CHECK(pthread_create(&thread, NULL, talk_late, &talker) == 0);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    pthread_join(thread, NULL);
    CHECK(much == ENDLESS ? talker.sent < much : talker.sent >= much); /* no reset meanwhile */
    CHECK(talker.got == 7 && memcmp(talker.data, "refused", 7) == 0);
    close(talker.fd);
    tael_listener_close(listener);
    tael_loop_free(loop);
}

struct turns {
    struct tael_mail mail; /* first; comes once a turn */
    struct tael_loop *loop;
    int until_closed;
    size_t count;
};

static void count_turn(struct tael_mail *mail)
{
    struct turns *turns = (struct turns *)mail;
    turns->count++;
    if (fcntl(turns->until_closed, F_GETFD) == -1)
        tael_loop_stop(turns->loop);
    else
        tael_loop_post(turns->loop, mail);
}

static void what_is_thrown_away_leaves_others_their_turns(void)
{
    enum { A_TURN = 256 * 1024 };
    static const char part[AT_ONCE];
    struct turns turns = {.mail = {NULL, count_turn}, .loop = new_loop()};
    struct tael_listener *listener = NULL;
    CHECK(tael_listen(turns.loop, "127.0.0.1:0", answer_and_close, turns.loop, &listener) ==
          TAEL_OK);
    int client = plain_connect(tael_listener_address(listener));
    turns.until_closed = dup(client); /* what is free now is the other end's soon */
    close(turns.until_closed);
    CHECK(tael_loop_run(turns.loop) == TAEL_OK); /* accepted, answered, closed */
    size_t sent = 0;
    for (ssize_t count; (count = send(client, part, sizeof(part), MSG_DONTWAIT)) > 0;)
        sent += (size_t)count;
    CHECK(sent > A_TURN && shutdown(client, SHUT_WR) == 0);
    tael_loop_post(turns.loop, &turns.mail);
    CHECK(tael_loop_run(turns.loop) == TAEL_OK);
    CHECK_NAMED(turns.count > sent / A_TURN, "each turn throws a part away");
    close(client);
    tael_listener_close(listener);
    tael_loop_free(turns.loop);
}

static void a_reset_peer_ends_the_stream(void)
{
    struct tael_loop *loop = new_loop();
    struct tael_listener *listener = NULL;
    struct peer server = {.loop = loop, .stop_at_end = true, .want = 1};
    CHECK(tael_listen(loop, "127.0.0.1:0", on_accept, &server, &listener) == TAEL_OK);
    int fd = plain_connect(tael_listener_address(listener));
    CHECK(send(fd, "x", 1, 0) == 1);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    struct linger cut = {.l_onoff = 1, .l_linger = 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &cut, sizeof(cut)) == 0);
    close(fd);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(server.ended && server.why == TAEL_ENETWORK);
    CHECK(tael_stream_write(server.stream, "y", 1) == TAEL_ENETWORK);
    tael_stream_close(server.stream);
    tael_listener_close(listener);
    tael_buf_free(&server.got);
    tael_loop_free(loop);
}

/* A peer that is gone makes a write fail; it must not kill the program with SIGPIPE. */
static void on_pipe_signal(int number)
{
    (void)number;
    static const char text[] = "Bail out! SIGPIPE reached the program\n";
    if (write(1, text, sizeof(text) - 1) > 0)
        _exit(1);
}

struct writer {
    struct peer peer;
    struct tael_timer *timer;
    int failures;
};

static void write_until_it_fails(void *user)
{
    struct writer *writer = user;
    if (tael_stream_write(writer->peer.stream, "zzzz", 4) != TAEL_OK) {
        writer->failures++;
        tael_loop_stop(writer->peer.loop);
        return;
    }
    tael_timer_start(writer->timer, 1000);
}

static void a_broken_pipe_raises_no_signal(void)
{
    struct sigaction action = {.sa_handler = on_pipe_signal}, before;
    sigaction(SIGPIPE, &action, &before);
    struct tael_loop *loop = new_loop();
    struct tael_listener *listener = NULL;
    struct writer writer = {.peer = {.loop = loop, .stop_at_end = true}};
    CHECK(tael_listen(loop, "127.0.0.1:0", on_accept, &writer.peer, &listener) == TAEL_OK);
    int fd = plain_connect(tael_listener_address(listener));
    close(fd);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(writer.peer.ended && writer.peer.why == TAEL_OK); /* it only stopped sending, so far */
    writer.timer = tael_timer_new(loop, write_until_it_fails, &writer);
    tael_timer_start(writer.timer, 0);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(writer.failures == 1);
    sigset_t now;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGPIPE) == 0);
    tael_stream_close(writer.peer.stream);
    tael_timer_free(writer.timer);
    tael_listener_close(listener);
    tael_loop_free(loop);
    sigaction(SIGPIPE, &before, NULL);
}

static void freeing_a_loop_cuts_what_still_closes(void)
{
    struct pair *pair = open_pair("127.0.0.1:0");
    pair->server.to_send = pair->client.want = 1;
    CHECK(tael_loop_run(pair->loop) == TAEL_OK);
    tael_stream_read(pair->client.stream, false);
    pair->server.to_send = HUGE_LEN;
    send_some(&pair->server);
    CHECK(tael_stream_queued(pair->server.stream) > 0);
    close_pair(pair); /* with bytes queued towards a peer that does not read */
    CHECK(true);
}

static void a_closed_listener_refuses_quietly(void)
{
    struct tael_loop *loop = new_loop();
    struct tael_listener *listener = NULL;
    struct peer peer = {.loop = loop};
    CHECK(tael_listen(loop, "127.0.0.1:0", on_accept, &peer, &listener) == TAEL_OK);
    int fd = plain_connect(tael_listener_address(listener)); /* waits in the kernel's queue */
    tael_listener_close(listener);
    struct tael_timer *timer = tael_timer_new(loop, stop_now, loop);
    tael_timer_start(timer, 5000);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(peer.stream == NULL);
    tael_timer_free(timer);
    tael_loop_free(loop);
    close(fd);
}

static void uv_is_reachable(void)
{
    struct tael_loop *loop = new_loop();
    uv_loop_t *uv = tael_loop_uv(loop);
    CHECK(uv != NULL && uv_loop_alive(uv));
    tael_loop_free(loop);
}

/* ---- memory ---- */

static void making_fails_cleanly_without_memory(void)
{
    struct tael_world *other = NULL;
    alloc_fail_at(1);
    CHECK(tael_world_uv_new(&other) == TAEL_ENOMEM && other == NULL);
    CHECK(alloc_fail_end());
    struct tael_loop *loop = NULL;
    for (long n = 1;; n++) {
        alloc_fail_at(n);
        tael_status status = tael_loop_new(world, &loop);
        if (!alloc_fail_end())
            break;
        CHECK(status == TAEL_ENOMEM && loop == NULL);
    }
    struct peer peer = {.loop = loop};
    for (long n = 1;; n++) {
        struct tael_listener *listener = NULL;
        alloc_fail_at(n);
        tael_status status = TAEL_ENOMEM;
        struct tael_timer *timer = tael_timer_new(loop, stop_now, loop);
        if (timer != NULL)
            status = tael_listen(loop, "127.0.0.1:0", on_accept, &peer, &listener);
        if (status == TAEL_OK)
            status =
                tael_connect(loop, tael_listener_address(listener), &events, &peer, &peer.stream);
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
    CHECK(tael_stream_write(peer.stream, "abc", 3) == TAEL_ENETWORK);
    tael_stream_close(peer.stream);
    tael_loop_free(loop);
}

/* A connection for which there is no memory waits and is taken later. */
static void accepting_waits_for_memory(void)
{
    struct tael_loop *loop = new_loop();
    struct tael_listener *listener = NULL;
    struct peer server = {.loop = loop, .want = 1};
    CHECK(tael_listen(loop, "127.0.0.1:0", on_accept, &server, &listener) == TAEL_OK);
    int fd = plain_connect(tael_listener_address(listener));
    CHECK(send(fd, "x", 1, 0) == 1);
    alloc_fail_at(1); /* the next allocation of this thread is the stream's */
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(alloc_fail_end());
    CHECK(server.stream != NULL && server.got.len == 1);
    close(fd);
    tael_stream_close(server.stream);
    tael_listener_close(listener);
    tael_buf_free(&server.got);
    tael_loop_free(loop);
}

/* One for which there is no descriptor waits too, and the loop goes on: whoever closes another is
 * on it. */
static void accepting_waits_for_descriptors(void)
{
    struct tael_loop *loop = new_loop();
    struct tael_listener *listener = NULL;
    struct peer server = {.loop = loop, .want = 1};
    struct rlimit before, none;
    CHECK(tael_listen(loop, "127.0.0.1:0", on_accept, &server, &listener) == TAEL_OK);
    int fd = plain_connect(tael_listener_address(listener));
    CHECK(send(fd, "x", 1, 0) == 1);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    run_for(loop, 20000);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(server.stream == NULL);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    CHECK(server.stream != NULL && server.got.len == 1);
    close(fd);
    tael_stream_close(server.stream);
    tael_listener_close(listener);
    tael_buf_free(&server.got);
    tael_loop_free(loop);
}

int main(void)
{
    alarm(60); /* a hang becomes a failure */
    char unix_address[64];
    CHECK(mkdtemp(folder) != NULL);
    CHECK(tael_world_uv_new(&world) == TAEL_OK);
    clocks_and_randomness_are_the_systems();
    timers_fire_in_the_order_of_their_times();
    timers_may_change_each_other();
    mail_of_every_thread_arrives_in_order();
    waiting_mail_keeps_the_loop_awake();
    endless_mail_does_not_starve_the_loop();
    endless_timer_does_not_starve_the_loop();
    mail_left_over_can_be_taken();
    a_loop_stops_from_anywhere();
    snprintf(unix_address, sizeof(unix_address), "unix:%s/echo.sock", folder);
    echo_returns_every_byte("127.0.0.1:0");
    echo_returns_every_byte(unix_address);
    writing_before_the_connection_stands();
    closing_sends_what_is_queued_first();
    reading_can_pause();
    connecting_to_nobody_fails_later();
    addresses_are_strict();
    who_is_on_the_way_in_is_taken_when_a_listener_retires();
    a_shared_socket_outlives_its_listener("127.0.0.1:0");
    snprintf(unix_address, sizeof(unix_address), "unix:%s/shared.sock", folder);
    a_shared_socket_outlives_its_listener(unix_address);
    workers_share_a_port();
    unix_sockets_are_private_and_cleaned_up();
    an_answer_survives_what_the_peer_still_sends(MUCH);
    an_answer_survives_what_the_peer_still_sends(ENDLESS);
    what_is_thrown_away_leaves_others_their_turns();
    a_reset_peer_ends_the_stream();
    a_broken_pipe_raises_no_signal();
    freeing_a_loop_cuts_what_still_closes();
    a_closed_listener_refuses_quietly();
    uv_is_reachable();
    making_fails_cleanly_without_memory();
    accepting_waits_for_memory();
    accepting_waits_for_descriptors();
    tael_world_free(world);
    CHECK(rmdir(folder) == 0); /* nothing was left in it */
    return tap_end();
}
