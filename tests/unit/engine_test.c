/* engine_test.c - life of an engine with a small application: plan, workers, calls, requests,
 * drain. */
#include "tael.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine.h"
#include "tests/unit/tap.h"

static tael_status open_echo(tael_engine **out, const char *args, int listen, tael_error *err)
{
    struct tael_engine_setup setup = {.app = "simtest.echo", .args_json = args};
    tael_options options = TAEL_OPTIONS_INIT;
    options.lua_root = "tests/sim/lua";
    options.root = "/tmp";
    options.listen = listen;
    return tael_engine_open_app(out, &options, &setup, err);
}

/* The answer's body, the caller's; NULL when there was none. */
static char *call(tael_engine *engine, const char *method, const char *path, const char *json,
                  int *status)
{
    char *body = NULL;
    return tael_call_wait(engine, method, path, json, "m1", status, &body, NULL) == TAEL_OK ? body
                                                                                            : NULL;
}

static bool holds(const char *text, const char *word)
{
    return text != NULL && strstr(text, word) != NULL;
}

static void note_failed(void *user, tael_log_level level, const char *json, size_t len)
{
    char *last = user;
    if (level == TAEL_LOG_ERROR && len < 1024)
        snprintf(last, 1024, "%.*s", (int)len, json);
}

/* What is answered in the application's place is found in the log by its name. */
static void a_failure_is_logged_under_its_name(void)
{
    static const char *const paths[] = {"/raise", "/nonsense", "/spite"};
    struct tael_engine_setup setup = {.app = "simtest.echo", .args_json = "{}"};
    tael_options options = TAEL_OPTIONS_INIT;
    tael_engine *engine = NULL;
    tael_error err = {0};
    char last[1024] = "";
    options.lua_root = "tests/sim/lua";
    options.root = "/tmp";
    options.listen = 0;
    options.log = note_failed;
    options.log_user = last;
    CHECK(tael_engine_open_app(&engine, &options, &setup, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int status = 0;
        last[0] = '\0';
        char *body = call(engine, "GET", paths[i], NULL, &status);
        CHECK(status == 500);
        CHECK_NAMED(holds(body, "\"request_id\":\"req_1\""), paths[i]);
        CHECK_NAMED(holds(last, "\"event\":\"request.failed\"") &&
                        holds(last, "\"request\":\"req_1\""),
                    last);
        free(body);
    }
    tael_engine_close(engine);
}

static void an_engine_answers_calls(void)
{
    tael_engine *engine = NULL;
    tael_error err = {0};
    int status = 0;
    CHECK(open_echo(&engine, "{\"workers\":2}", 0, &err) == TAEL_OK);
    CHECK(tael_call(engine, "GET", "/echo", NULL, NULL, NULL, NULL) == TAEL_EINVAL);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    char *body = call(engine, "POST", "/echo?a=1", "{\"x\":1}", &status);
    CHECK(status == 200);
    CHECK(holds(body, "\"listener\":\"call\"") && holds(body, "\"merchant\":\"m1\""));
    CHECK(holds(body, "\"query\":\"a=1\"") && holds(body, "\"path\":\"/echo\""));
    free(body);
    char *first = call(engine, "GET", "/echo", NULL, &status);
    char *second = call(engine, "GET", "/echo", NULL, &status);
    CHECK_NAMED(holds(first, "\"worker\":1") != holds(second, "\"worker\":1"), "calls take turns");
    free(first);
    free(second);
    body = call(engine, "GET", "/raise", NULL, &status);
    CHECK(status == 500);
    CHECK_NAMED(body != NULL && !holds(body, "secret"), "a raise says nothing to the outside");
    CHECK_NAMED(holds(body, "\"detail\":\"Repeat"), "but what to do, as every problem does");
    free(body);
    body = call(engine, "GET", "/nonsense", NULL, &status);
    CHECK(status == 500);
    free(body);
    tael_engine_stop(engine, 100);
    CHECK(tael_call(engine, "GET", "/echo", NULL, NULL, (tael_response_fn)abort, NULL) ==
          TAEL_ECLOSED);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    tael_engine_close(engine);
}

struct counted {
    pthread_mutex_t lock;
    int answers, closed;
    char body[64];
};

static void count_answer(void *user, const tael_response *response)
{
    struct counted *counted = user;
    pthread_mutex_lock(&counted->lock);
    counted->answers++;
    counted->closed += response->status == TAEL_ECLOSED;
    snprintf(counted->body, sizeof(counted->body), "%s", response->body);
    pthread_mutex_unlock(&counted->lock);
}

static void workers_wake_each_other(void)
{
    tael_engine *engine = NULL;
    tael_error err;
    int status = 0;
    struct counted counted = {.lock = PTHREAD_MUTEX_INITIALIZER};
    CHECK(open_echo(&engine, "{\"workers\":2}", 0, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    tael_call(engine, "GET", "/await", NULL, NULL, count_answer, &counted); /* worker 1 */
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&counted.lock);
        int answers = counted.answers;
        pthread_mutex_unlock(&counted.lock);
        if (answers > 0)
            break;
        free(call(engine, "POST", "/wake", "hello", &status)); /* worker 2, then 1, then 2 … */
        usleep(10000);
    }
    CHECK(counted.answers == 1 && strcmp(counted.body, "hello") == 0);
    tael_engine_close(engine);
}

static void workers_share_one_limit(void)
{
    static const char *const wanted[] = {"2 ", "1 ", "0 ", "0 "};
    tael_engine *engine = NULL;
    tael_error err;
    CHECK(open_echo(&engine, "{\"workers\":2}", 0, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    for (int i = 0; i < 4; i++) { /* the workers take turns */
        int status = 0;
        char *body = call(engine, "GET", "/limit", NULL, &status);
        CHECK(status == (i < 3 ? 200 : 429));
        CHECK_NAMED(body != NULL && strncmp(body, wanted[i], 2) == 0, body);
        free(body);
    }
    tael_engine_close(engine);
}

static void closing_answers_what_is_open(void)
{
    tael_engine *engine = NULL;
    tael_error err;
    struct counted counted = {.lock = PTHREAD_MUTEX_INITIALIZER};
    CHECK(open_echo(&engine, "{}", 0, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    for (int i = 0; i < 10; i++)
        tael_call(engine, "GET", "/sleep?60000", NULL, NULL, count_answer, &counted);
    tael_engine_close(engine);
    CHECK(counted.answers == 10);
    CHECK(counted.closed == 10);
}

static void a_refused_start_says_why(void)
{
    static const struct {
        const char *args, *message;
    } rows[] = {
        {"{\"refuse\":\"plan\"}", "tael.lua:3: no"},
        {"{\"refuse\":\"open\"}", "not today"},
        {"{\"refuse\":\"open\",\"workers\":2}", "not today"},
        {"{\"refuse\":\"raise\"}", "opening went wrong"},
        {"{\"companion\":\"plan\"}", "tael.lua:3: no"},
        {"{\"companion\":\"open\"}", "not today"},
        {"{\"workers\":0}", "workers"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tael_engine *engine = NULL;
        tael_error err = {0};
        tael_status rc = open_echo(&engine, rows[i].args, 0, &err);
        if (rc == TAEL_OK)
            rc = tael_engine_start(engine, &err);
        CHECK_NAMED(rc != TAEL_OK && strstr(err.message, rows[i].message) != NULL, rows[i].args);
        tael_engine_close(engine);
    }
    tael_engine *engine = NULL;
    tael_error err = {0};
    struct tael_engine_setup setup = {.app = "no.such.app"};
    tael_options options = TAEL_OPTIONS_INIT;
    options.lua_root = "tests/sim/lua";
    CHECK(tael_engine_open_app(&engine, &options, &setup, &err) != TAEL_OK && engine == NULL);
    CHECK(strstr(err.message, "no.such.app") != NULL);
}

/* ---- over a socket ---- */

static int dial(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool ask(int fd, const char *request, char *answer, size_t size)
{
    size_t got = 0;
    if (write(fd, request, strlen(request)) < 0)
        return false;
    while (got < size - 1) {
        ssize_t n = read(fd, answer + got, size - 1 - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    answer[got] = '\0';
    return got > 0;
}

static void requests_come_over_sockets_and_drain(void)
{
    tael_engine *engine = NULL;
    tael_error err;
    char answer[4096];
    CHECK(open_echo(&engine, "{\"workers\":2,\"address\":\"127.0.0.1:0\"}", 1, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    const char *address = tael_engine_address(engine, "api");
    CHECK(address != NULL && strcmp(address, "127.0.0.1:0") != 0);
    int fd = dial(address);
    CHECK(ask(fd,
              "GET /echo?q HTTP/1.1\r\nHost: here\r\nX-Seen: 1\r\nX-Seen: 2\r\n"
              "Connection: close\r\n\r\n",
              answer, sizeof(answer)));
    CHECK(holds(answer, "HTTP/1.1 200") && holds(answer, "\"host\":\"here\""));
    CHECK(holds(answer, "\"seen\":\"1, 2\"") && holds(answer, "\"listener\":\"api\""));
    close(fd);
    fd = dial(address);
    CHECK(ask(fd, "POST /small/x HTTP/1.1\r\nHost: here\r\nContent-Length: 11\r\n\r\n", answer,
              sizeof(answer)));
    CHECK(holds(answer, "HTTP/1.1 413"));
    close(fd);
    fd = dial(address); /* open while the engine stops: it is answered */
    static const char slow[] = "GET /sleep?300 HTTP/1.1\r\nHost: here\r\n\r\n";
    CHECK(write(fd, slow, sizeof(slow) - 1) == (ssize_t)sizeof(slow) - 1);
    usleep(100000);
    tael_engine_stop(engine, 5000);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    CHECK(ask(fd, "", answer, sizeof(answer)) && holds(answer, "slept"));
    close(fd);
    tael_engine_close(engine);
}

static void who_waits_for_news_is_told_of_the_stop(void)
{
    tael_engine *engine = NULL;
    tael_error err;
    char answer[4096];
    CHECK(open_echo(&engine, "{\"workers\":2,\"address\":\"127.0.0.1:0\"}", 1, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    int fd = dial(tael_engine_address(engine, "api"));
    static const char news[] = "GET /news HTTP/1.1\r\nHost: here\r\n\r\n";
    CHECK(write(fd, news, sizeof(news) - 1) == (ssize_t)sizeof(news) - 1);
    usleep(100000);
    tael_engine_stop(engine, 5000);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    CHECK(ask(fd, "", answer, sizeof(answer)) && holds(answer, "stopping"));
    close(fd);
    tael_engine_close(engine);
}

static void an_address_has_one_engine(void)
{
    tael_engine *first = NULL, *second = NULL;
    tael_error err = {0};
    char args[128];
    CHECK(open_echo(&first, "{\"workers\":2,\"address\":\"127.0.0.1:0\"}", 1, &err) == TAEL_OK);
    CHECK(tael_engine_start(first, &err) == TAEL_OK);
    const char *address = tael_engine_address(first, "api");
    snprintf(args, sizeof(args), "{\"address\":\"%s\"}", address);
    CHECK(open_echo(&second, args, 1, &err) == TAEL_OK);
    CHECK(tael_engine_start(second, &err) == TAEL_ENETWORK);
    CHECK_NAMED(holds(err.message, address) && holds(err.message, "in use"), err.message);
    tael_engine_close(second);
    tael_engine_close(first);
    CHECK_NAMED(open_echo(&second, args, 1, &err) == TAEL_OK &&
                    tael_engine_start(second, &err) == TAEL_OK,
                "the address is free again");
    tael_engine_close(second);
}

static void a_drain_has_an_end(void)
{
    tael_engine *engine = NULL;
    tael_error err;
    CHECK(open_echo(&engine, "{\"address\":\"127.0.0.1:0\"}", 1, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    int fd = dial(tael_engine_address(engine, "api"));
    static const char slow[] = "GET /sleep?60000 HTTP/1.1\r\nHost: here\r\n\r\n";
    CHECK(write(fd, slow, sizeof(slow) - 1) == (ssize_t)sizeof(slow) - 1);
    usleep(100000);
    tael_engine_stop(engine, 200);
    CHECK(tael_engine_run(engine) == TAEL_ETIMEOUT);
    close(fd);
    tael_engine_close(engine);
}

/* Whoever was let in just before is not left to a close that he himself would have to do. */
static void a_worker_that_has_ended_takes_no_calls(void)
{
    tael_engine *engine = NULL;
    tael_error err = {0};
    CHECK(open_echo(&engine, "{\"workers\":1}", 0, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    tael_engine_stop(engine, 0);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    CHECK(tael_worker_call(&engine->workers[0], "GET", "/echo", NULL, "m1", (tael_response_fn)abort,
                           NULL) == TAEL_ECLOSED);
    tael_engine_close(engine);
}

static void set_stacks(size_t size)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size);
    pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

/* It hands over, to a successor that does not come to serve, and there are no threads any more. */
static void an_engine_that_cannot_go_on_is_closed(void)
{
    enum { UNKEPT = 64 << 20 }; /* such a stack is gone with its thread */
    static const size_t too_large = (size_t)1 << 47;
    tael_engine *engine = NULL;
    tael_error err = {0};
    pthread_attr_t attributes;
    size_t size = 0;
    pthread_getattr_default_np(&attributes);
    pthread_attr_getstacksize(&attributes, &size);
    pthread_attr_destroy(&attributes);
    set_stacks(UNKEPT);
    CHECK(open_echo(&engine, "{\"workers\":2,\"address\":\"127.0.0.1:0\"}", 1, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    CHECK(tael_engine_hand_over(engine) == TAEL_OK);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    tael_engine_pause(engine);
    set_stacks(too_large);
    CHECK(tael_engine_resume(engine, &err) == TAEL_ENOMEM);
    set_stacks(size);
    tael_engine_close(engine);
}

/* One address has many texts; the old engine tells that of the socket. */
static void sockets_are_left_to_whoever_names_their_address(void)
{
    static const struct {
        const char *real, *wanted;
        bool same;
    } rows[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", true},
        {"127.0.0.1:8080", "127.0.0.1:08080", true},
        {"127.0.0.1:8080", "127.0.0.1:8081", false},
        {"127.0.0.1:8080", "127.0.0.2:8080", false},
        {"[fd00::1]:8080", "[FD00:0:0::1]:8080", true},
        {"[::]:8080", "[0::0]:8080", true},
        {"[::]:8080", "0.0.0.0:8080", false},
        {"[::7f00:1]:8080", "127.0.0.1:8080", false},
        {"unix:/a/b", "unix:/a/b", true},
        {"unix:/a/b", "unix:/a/c", false},
        {"127.0.0.1:8080", "127.0.0.1:0", true}, /* by name */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_legacy legacy = {.lock_fd = -1};
        struct tael_plan_listener listener = {.name = "api", .address = rows[i].wanted};
        bool any = !rows[i].same;
        CHECK(tael_legacy_add(&legacy, "api", rows[i].real, dup(STDERR_FILENO)) == TAEL_OK);
        int fd = tael_legacy_socket_for(&legacy, &listener, 1, 1, 0, &any);
        CHECK_NAMED(any == rows[i].same && (fd >= 0) == any, rows[i].wanted);
        if (fd >= 0)
            close(fd);
        tael_legacy_free(&legacy);
    }
}

/* A worker without its socket would leave whoever is in the backlog there for ever. */
static void a_socket_that_cannot_be_had_is_a_failure(void)
{
    struct tael_legacy legacy = {.lock_fd = -1};
    struct tael_plan_listener listener = {.name = "api", .address = "127.0.0.1:8080"};
    struct rlimit files, none;
    bool any;
    CHECK(tael_legacy_add(&legacy, "api", "127.0.0.1:8080", dup(STDERR_FILENO)) == TAEL_OK);
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    none = (struct rlimit){0, files.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    int fd = tael_legacy_socket_for(&legacy, &listener, 1, 1, 0, &any);
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    CHECK(fd == TAEL_LEGACY_FAILED && any);
    CHECK(tael_legacy_socket_for(&legacy, &listener, 1, 1, 1, &any) == TAEL_LEGACY_NONE);
    tael_legacy_free(&legacy);
}

int main(void)
{
    an_engine_answers_calls();
    a_failure_is_logged_under_its_name();
    workers_wake_each_other();
    workers_share_one_limit();
    closing_answers_what_is_open();
    a_refused_start_says_why();
    requests_come_over_sockets_and_drain();
    who_waits_for_news_is_told_of_the_stop();
    an_address_has_one_engine();
    a_drain_has_an_end();
    a_worker_that_has_ended_takes_no_calls();
    an_engine_that_cannot_go_on_is_closed();
    sockets_are_left_to_whoever_names_their_address();
    a_socket_that_cannot_be_had_is_a_failure();
    tael_engine_close(NULL);
    return tap_end();
}
