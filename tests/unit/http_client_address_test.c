/* http_client_address_test.c - where the HTTP client connects to: every address of a name is
 * checked, what was checked is what is connected to, and nothing of a request goes elsewhere. Real
 * sockets; the resolver is the test's own. */
#include <stdatomic.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "client_place.h"
#include "tap.h"

/* ---- a resolver that says what the test wants ---- */

struct book {
    const char *answers[4]; /* addresses with blanks between, for the first lookup, the second, … */
    atomic_int lookups, ended;
    int sleep_ms;
};

static const char *look_up(void *user, const char *name, struct tael_addresses *out)
{
    struct book *book = user;
    int which = atomic_fetch_add(&book->lookups, 1);
    const char *at = book->answers[which < 3 ? which : 3];
    if (book->sleep_ms > 0)
        usleep((useconds_t)book->sleep_ms * 1000);
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, " ");
        if (!tael_address_parse(&out->list[out->count++], (struct tael_span){at, len}))
            abort();
        at += len + (at[len] == ' ');
    }
    atomic_fetch_add(&book->ended, 1);
    return at == NULL || strcmp(name, "gone.test") == 0 ? "no such name" : NULL;
}

/* Threads still in the resolver touch the book: they are waited for. */
static void book_close(struct book *book)
{
    while (atomic_load(&book->ended) < atomic_load(&book->lookups))
        usleep(1000);
    usleep(2000);
}

static void open_place(struct place *place, struct book *book, bool allow_private)
{
    struct tael_http_client_options client = {
        .allow_private = allow_private, .resolve = look_up, .resolve_user = book};
    place_open_with(place, false, &client);
    place_can(place, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain", false);
}

static const char *url_of(const struct place *place, const char *host, const char *scheme)
{
    static char url[256];
    snprintf(url, sizeof(url), "%s://%s%s/", scheme, host, strrchr(place->address, ':'));
    return url;
}

static bool is_refused(const struct call *call, const char *detail)
{
    if (strstr(call->detail, detail) == NULL)
        printf("# detail: %s\n", call->detail);
    return call->done == 1 && call->result.failure == TAEL_HTTP_ADDRESS && !call->result.sent &&
           call->result.status == 0 && strstr(call->detail, detail) != NULL;
}

/* ---- the tests ---- */

static void literals_are_looked_at(void)
{
    struct book book = {.sleep_ms = 0};
    struct place place;
    open_place(&place, &book, false);
    struct tael_http_call any = {.addresses = TAEL_HTTP_ADDRESSES_ANY};
    const char *url = url_of(&place, "127.0.0.1", "http");
    CHECK(is_refused(place_perform(&place, "POST", url, NULL), "127.0.0.1 is a loopback address"));
    CHECK(is_refused(place_perform(&place, "POST", url, &any), "loopback")); /* whatever it says */
    any.pool = "a";
    CHECK(is_refused(place_perform(&place, "POST", url, &any), "loopback"));
    url = url_of(&place, "127.0.0.1", "https");
    CHECK(is_refused(place_perform(&place, "POST", url, NULL), "loopback"));
    static const char *const others[] = {
        "[::1]",           "[::ffff:127.0.0.1]", "10.0.0.1",    "0.0.0.0",  "169.254.169.254",
        "[fd00:ec2::254]", "[64:ff9b::7f00:1]",  "192.168.0.1", "[fe80::1]"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        url = url_of(&place, others[i], "http");
        CHECK_NAMED(is_refused(place_perform(&place, "POST", url, NULL), " address"), others[i]);
    }
    CHECK(place.canned.connections == 0 && atomic_load(&book.lookups) == 0);
    struct tael_http_call local = {.unix_path = place.unix_path};
    CHECK(place_perform(&place, "GET", "http://local/peer", &local)->result.status == 200);
    place_close(&place);
}

static void private_addresses_are_for_those_who_may(void)
{
    struct book book = {.sleep_ms = 0};
    struct place place;
    open_place(&place, &book, true);
    struct tael_http_call public = {.addresses = TAEL_HTTP_ADDRESSES_PUBLIC};
    struct tael_http_call any = {.addresses = TAEL_HTTP_ADDRESSES_ANY};
    const char *url = url_of(&place, "127.0.0.1", "http");
    CHECK(place_perform(&place, "POST", url, NULL)->result.status == 200);
    CHECK(place_perform(&place, "POST", url, &any)->result.status == 200);
    CHECK(place.canned.connections == 1);
    /* the connection that is open already is none for a public call */
    CHECK(is_refused(place_perform(&place, "POST", url, &public), "loopback"));
    public.pool = any.pool = "a";
    CHECK(place_perform(&place, "POST", url, &any)->result.status == 200);
    CHECK(is_refused(place_perform(&place, "POST", url, &public), "loopback"));
    CHECK(place.canned.connections == 2 && place.canned.requests == 3);
    place_close(&place);
}

static void names_go_where_the_resolver_says(void)
{
    struct book book = {.answers = {"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"}};
    struct place place;
    open_place(&place, &book, true);
    struct call *call = place_perform(&place, "GET", url_of(&place, "Shop.Test", "http"), NULL);
    CHECK(call->result.status == 200 && strcmp(call->body, "hi") == 0);
    call = place_perform(&place, "GET", url_of(&place, "shop.test", "http"), NULL);
    CHECK(call->result.status == 200 && strcmp(call->body, "again") == 0); /* same connection */
    CHECK(place.canned.connections == 1 && atomic_load(&book.lookups) == 1);
    place.canned.close = true;
    for (size_t i = 0; i < 12; i++) {
        char host[32];
        snprintf(host, sizeof(host), "many%d.test", (int)i / 6);
        CHECK(place_start(&place, i, "GET", url_of(&place, host, "http"), NULL) == TAEL_OK);
    }
    place_finish(&place, 0);
    int right = 0;
    for (size_t i = 0; i < 12; i++)
        right += place.calls[i].result.status == 200;
    CHECK(right == 12 && atomic_load(&book.lookups) == 3); /* one for each name */
    book_close(&book);
    place_close(&place);
}

static void one_bad_address_is_enough(void)
{
    static const struct {
        const char *addresses, *detail;
    } rows[] = {
        {"127.0.0.1", "shop.test is at 127.0.0.1, a loopback address"},
        {"1.2.3.4 127.0.0.1", "loopback"},
        {"1.2.3.4 2606:4700::1111 1.2.3.5 10.0.0.1", "10.0.0.1, a private address"},
        {"2606:4700::1111 ::1", "loopback"},
        {"::ffff:1.2.3.4", "IPv4-mapped"},
        {"169.254.169.254", "metadata of the cloud"},
        {"fd00:ec2::254", "metadata of the cloud"},
        {"100.64.0.1", "carrier-grade NAT"},
        {"224.0.0.1", "multicast"},
        {"0.0.0.0", "unspecified"},
        {"64:ff9b::7f00:1", "NAT64"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct book book = {.answers = {rows[i].addresses}};
        struct place place;
        open_place(&place, &book, false);
        struct call *call =
            place_perform(&place, "POST", url_of(&place, "shop.test", "http"), NULL);
        CHECK_NAMED(is_refused(call, rows[i].detail) && place.canned.connections == 0,
                    rows[i].addresses);
        book_close(&book);
        place_close(&place);
    }
}

/* The name is public when it is looked at and ours when it is looked at again: it is not looked at
 * again. What the first answer named is not there, so the exchange fails; nothing reaches us. */
static void a_name_that_changes_its_mind_gets_nowhere(void)
{
    struct book book = {.answers = {"1.2.3.4", "127.0.0.1", "127.0.0.1", "127.0.0.1"}};
    struct place place;
    open_place(&place, &book, false);
    struct tael_http_call more = {.connect_ms = 150};
    for (int i = 0; i < 3; i++) {
        struct call *call =
            place_perform(&place, "POST", url_of(&place, "rebind.test", "http"), &more);
        CHECK(call->result.failure != TAEL_HTTP_OK && !call->result.sent);
    }
    CHECK(atomic_load(&book.lookups) == 1 && place.canned.connections == 0);
    /* another name, with the second answer at once */
    struct call *call = place_perform(&place, "POST", url_of(&place, "b.test", "http"), &more);
    CHECK(is_refused(call, "loopback") && place.canned.connections == 0);
    book_close(&book);
    place_close(&place);
}

static void the_systems_names_are_looked_at_too(void)
{
    struct tael_http_client_options client = {.allow_private = false};
    struct place place;
    place_open_with(&place, false, &client);
    place_can(&place, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", NULL, false);
    struct call *call = place_perform(&place, "POST", url_of(&place, "localhost", "http"), NULL);
    CHECK(is_refused(call, "a loopback address") && place.canned.connections == 0);
    place_close(&place);
    client.allow_private = true;
    place_open_with(&place, false, &client);
    place_can(&place, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", NULL, false);
    call = place_perform(&place, "POST", url_of(&place, "localhost", "http"), NULL);
    CHECK(call->result.status == 200);
    place_close(&place);
}

static void names_that_are_not_known_are_no_connection(void)
{
    struct book book = {.answers = {NULL, "", "1.2.3.4", NULL}};
    struct place place;
    open_place(&place, &book, false);
    struct call *call = place_perform(&place, "POST", "http://a.test/", NULL);
    CHECK(call->result.failure == TAEL_HTTP_CONNECT && !call->result.sent);
    CHECK(strcmp(call->detail, "a.test: no such name") == 0);
    call = place_perform(&place, "POST", "http://b.test/", NULL);
    CHECK(call->result.failure == TAEL_HTTP_CONNECT && !call->result.sent);
    CHECK(strcmp(call->detail, "b.test: the name has no address") == 0);
    call = place_perform(&place, "POST", "http://gone.test/", NULL); /* an answer and a failure */
    CHECK(call->result.failure == TAEL_HTTP_CONNECT && !call->result.sent);
    call = place_perform(&place, "POST", "http://a.test/", NULL); /* failures are not kept */
    CHECK(call->result.failure == TAEL_HTTP_CONNECT && atomic_load(&book.lookups) == 4);
    book_close(&book);
    place_close(&place);
}

static void a_slow_resolver_holds_up_nobody(void)
{
    struct book book = {.answers = {"127.0.0.1", "127.0.0.1"}, .sleep_ms = 3500};
    struct place place;
    open_place(&place, &book, true);
    struct tael_http_call more = {.connect_ms = 60};
    CHECK(place_start(&place, 0, "POST", url_of(&place, "slow.test", "http"), &more) == TAEL_OK);
    more.connect_ms = 0;
    more.timeout_ms = 90;
    CHECK(place_start(&place, 1, "POST", url_of(&place, "slow.test", "http"), &more) == TAEL_OK);
    CHECK(place_start(&place, 2, "POST", "/", NULL) == TAEL_OK);
    place_finish(&place, 0);
    for (size_t i = 0; i < 2; i++) {
        const struct tael_http_result *result = &place.calls[i].result;
        CHECK(result->failure == TAEL_HTTP_TIMEOUT && !result->sent);
        CHECK(result->elapsed_us >= 59000 && result->elapsed_us < 3000000);
    }
    CHECK(place.calls[2].result.status == 200 && place.calls[2].result.elapsed_us < 3000000);
    /* cancelled, and the client freed, while threads are still looking */
    CHECK(place_start(&place, 3, "POST", url_of(&place, "slow.test", "http"), NULL) == TAEL_OK);
    CHECK(place_start(&place, 4, "POST", url_of(&place, "slow2.test", "http"), NULL) == TAEL_OK);
    tael_http_exchange_cancel(place.calls[3].exchange);
    place_close(&place);
    CHECK(place.calls[3].done == 0 && place.calls[4].done == 0);
    book_close(&book);
}

/* libcurl keeps a list that it has not come to read: of a call that ended before it began. */
static void a_call_that_ends_at_once_leaves_no_addresses_behind(void)
{
    struct book book = {.answers = {"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"}};
    struct place place;
    open_place(&place, &book, true);
    const char *url = url_of(&place, "known.test", "http");
    CHECK(place_perform(&place, "POST", url, NULL)->result.status == 200);
    CHECK(place_start(&place, 1, "POST", url, NULL) == TAEL_OK); /* the name is known by now */
    tael_http_exchange_cancel(place.calls[1].exchange);
    place.waiting--;
    CHECK(place_perform(&place, "POST", "/", NULL)->result.status == 200);
    place_close(&place);
    book_close(&book);
}

/* Sixteen at a time; names that nobody asks for any more take no turn from those behind them. */
static void more_names_than_threads_are_looked_up_in_turn(void)
{
    struct book book = {.answers = {"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"},
                        .sleep_ms = 30};
    struct place place;
    open_place(&place, &book, true);
    place.canned.close = true;
    for (size_t i = 0; i < 32; i++) { /* from 16 on they wait for a thread */
        char host[32];
        snprintf(host, sizeof(host), "n%d.test", (int)i);
        CHECK(place_start(&place, i, "POST", url_of(&place, host, "http"), NULL) == TAEL_OK);
    }
    for (size_t i = 16; i < 31; i++) {
        tael_http_exchange_cancel(place.calls[i].exchange);
        place.waiting--;
    }
    place_finish(&place, 0);
    int right = place.calls[31].result.status == 200;
    for (size_t i = 0; i < 16; i++)
        right += place.calls[i].result.status == 200;
    CHECK(right == 17);
    place_run_ms(&place, 100);
    CHECK(atomic_load(&book.lookups) == 17);
    place_close(&place);
    book_close(&book);
}

enum { HELD = 5 };

/* A listener whose backlog is full: handshakes get no answer. Gives its port; port 0: any. */
static int fill_backlog(int fds[HELD], const char *ip, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(at);
    for (int i = 0; i < HELD; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (inet_pton(AF_INET, ip, &at.sin_addr) != 1 ||
        bind(fds[0], (struct sockaddr *)&at, len) != 0 || listen(fds[0], 0) != 0 ||
        getsockname(fds[0], (struct sockaddr *)&at, &len) != 0)
        abort();
    for (int i = 1; i < HELD; i++)
        (void)connect(fds[i], (struct sockaddr *)&at, len);
    return ntohs(at.sin_port);
}

static void close_all(const int fds[HELD])
{
    for (int i = 0; i < HELD; i++)
        close(fds[i]);
}

/* libcurl closes some sockets that it has given up on without a word: afterwards their numbers are
 * those of others, here of pairs on which a byte waits. */
static void others_sockets_are_left_alone(void)
{
    enum { TRIES = 12, PAIRS = 8 };
    struct place place;
    struct tael_http_call more = {.connect_ms = 30};
    int fds[HELD], pairs[PAIRS][2];
    char url[64];
    place_open(&place, false);
    int port = fill_backlog(fds, "127.0.0.1", 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
    for (int i = 0; i < TRIES; i++)
        CHECK(place_perform(&place, "GET", url, &more)->result.failure != TAEL_HTTP_OK);
    for (int i = 0; i < PAIRS; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pairs[i]) != 0 ||
            write(pairs[i][0], "a", 1) != 1 || write(pairs[i][1], "b", 1) != 1)
            abort();
    }
    snprintf(url, sizeof(url), "http://%s/peer", place.address);
    CHECK(place_perform(&place, "GET", url, NULL)->result.status == 200);
    for (int i = 0; i < PAIRS; i++) {
        char got[2] = "";
        CHECK(read(pairs[i][0], got, 1) == 1 && read(pairs[i][1], got + 1, 1) == 1 &&
              memcmp(got, "ba", 2) == 0 && write(pairs[i][0], "c", 1) == 1);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    close_all(fds);
    place_close(&place);
}

/* ---- hosts with several addresses, of which some are dead ---- */

/* 127.0.0.1 is the place's own listener; at the same port of .2 and .3 nobody answers, at that of
 * .4 and .5 nobody listens. */
struct street {
    struct book book;
    struct place place;
    int silent[2][HELD];
    const char *url;
};

static void street_open(struct street *street, const char *addresses)
{
    *street = (struct street){.book = {.answers = {addresses, addresses, addresses, addresses}}};
    open_place(&street->place, &street->book, true);
    street->url = url_of(&street->place, "shop.test", "http");
    int port = atoi(strrchr(street->place.address, ':') + 1);
    fill_backlog(street->silent[0], "127.0.0.2", port);
    fill_backlog(street->silent[1], "127.0.0.3", port);
}

static void street_close(struct street *street)
{
    book_close(&street->book);
    place_close(&street->place);
    close_all(street->silent[0]);
    close_all(street->silent[1]);
}

/* A silent one has half of what is left of the time to connect, who says no at once none of it. */
static void the_address_that_is_alive_is_found(void)
{
    enum { CONNECT_MS = 2400, HALF_MS = CONNECT_MS / 2 };
    static const struct {
        const char *addresses;
        int64_t within_ms;
    } rows[] = {
        {"127.0.0.2 127.0.0.1", CONNECT_MS},
        {"127.0.0.2 127.0.0.1 127.0.0.3", CONNECT_MS},
        {"127.0.0.2 127.0.0.3 127.0.0.1", CONNECT_MS},
        {"127.0.0.2 127.0.0.4 127.0.0.1", CONNECT_MS},
        {"127.0.0.4 127.0.0.2 127.0.0.1", CONNECT_MS},
        {"127.0.0.4 127.0.0.1", HALF_MS},
        {"127.0.0.4 127.0.0.5 127.0.0.1", HALF_MS},
        {"255.255.255.255 127.0.0.4 127.0.0.1", HALF_MS}, /* not even tried: EACCES */
        {"127.0.0.4 ::1 127.0.0.1", HALF_MS},
        {"127.0.0.2 ::1 127.0.0.1", CONNECT_MS},
    };
    struct tael_http_call more = {.connect_ms = CONNECT_MS};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct street street;
        street_open(&street, rows[i].addresses);
        const struct call *call = place_perform(&street.place, "POST", street.url, &more);
        bool right = call->result.status == 200 && strcmp(call->body, "hi") == 0 &&
                     call->result.elapsed_us < rows[i].within_ms * 1000 &&
                     street.place.canned.connections == 1 && street.place.canned.requests == 1;
        if (!right)
            printf("# status %d after %d us: %s\n", call->result.status,
                   (int)call->result.elapsed_us, call->detail);
        CHECK_NAMED(right, rows[i].addresses);
        street_close(&street);
    }
}

static void many_find_it_at_once(void)
{
    enum { MANY = 12 };
    struct street street;
    struct tael_http_call more = {.connect_ms = 2400};
    int right = 0;
    street_open(&street, "127.0.0.2 127.0.0.4 127.0.0.1");
    for (size_t i = 0; i < MANY; i++)
        CHECK(place_start(&street.place, i, "POST", street.url, &more) == TAEL_OK);
    place_finish(&street.place, 0);
    for (size_t i = 0; i < MANY; i++)
        right += street.place.calls[i].result.status == 200;
    CHECK(right == MANY && street.place.canned.requests == MANY);
    street_close(&street);
}

static void addresses_that_are_all_dead_take_no_longer_than_one(void)
{
    static const char *const rows[] = {"127.0.0.2", "127.0.0.2 127.0.0.3",
                                       "127.0.0.2 127.0.0.3 127.0.0.2 127.0.0.3",
                                       "127.0.0.4 127.0.0.2", "127.0.0.2 127.0.0.4 127.0.0.3"};
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        struct street street;
        /* the end of the time to connect, or of all the time */
        struct tael_http_call more = {.connect_ms = 700};
        if (i % 2 == 1)
            more = (struct tael_http_call){.connect_ms = 5000, .timeout_ms = 700};
        street_open(&street, rows[i / 2]);
        const struct call *call = place_perform(&street.place, "POST", street.url, &more);
        bool right = call->result.failure == TAEL_HTTP_TIMEOUT && !call->result.sent &&
                     call->result.elapsed_us >= 699000 && call->result.elapsed_us < 1400000;
        if (!right)
            printf("# failure %d after %d us: %s\n", (int)call->result.failure,
                   (int)call->result.elapsed_us, call->detail);
        CHECK_NAMED(right, rows[i / 2]);
        street_close(&street);
    }
    struct street street;
    street_open(&street, "127.0.0.4 127.0.0.5 127.0.0.4");
    const struct call *call = place_perform(&street.place, "POST", street.url, NULL);
    CHECK(call->result.failure == TAEL_HTTP_CONNECT && !call->result.sent);
    street_close(&street);
}

static int open_files(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Cancelled before anything is tried, at the first address, the second, the last, and when all is
 * over; then the client goes with one under way. */
static void a_cancelled_attempt_leaves_nothing(void)
{
    static const int64_t after_ms[] = {0, 10, 130, 170, 230};
    struct street street;
    struct tael_http_call more = {.connect_ms = 200};
    street_open(&street, "127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.3");
    CHECK(!place_perform(&street.place, "POST", street.url, &more)->result.sent);
    int before = open_files();
    for (size_t i = 0; i < sizeof(after_ms) / sizeof(after_ms[0]); i++) {
        CHECK(place_start(&street.place, 0, "POST", street.url, &more) == TAEL_OK);
        if (after_ms[i] > 0)
            place_run_ms(&street.place, after_ms[i]);
        if (street.place.calls[0].done == 0) {
            tael_http_exchange_cancel(street.place.calls[0].exchange);
            street.place.waiting--;
        }
        place_run_ms(&street.place, 20);
        CHECK(open_files() == before);
    }
    more.connect_ms = 20000;
    CHECK(place_start(&street.place, 0, "POST", street.url, &more) == TAEL_OK);
    place_run_ms(&street.place, 130);
    CHECK(street.place.calls[0].done == 0 && street.place.canned.connections == 0);
    street_close(&street);
}

int main(void)
{
    literals_are_looked_at();
    private_addresses_are_for_those_who_may();
    names_go_where_the_resolver_says();
    one_bad_address_is_enough();
    a_name_that_changes_its_mind_gets_nowhere();
    the_systems_names_are_looked_at_too();
    names_that_are_not_known_are_no_connection();
    a_slow_resolver_holds_up_nobody();
    a_call_that_ends_at_once_leaves_no_addresses_behind();
    more_names_than_threads_are_looked_up_in_turn();
    others_sockets_are_left_alone();
    the_address_that_is_alive_is_found();
    many_find_it_at_once();
    addresses_that_are_all_dead_take_no_longer_than_one();
    a_cancelled_attempt_leaves_nothing();
    return tap_end();
}
