/* engine_host_test.c - a host that holds an engine wrongly, early, late or halfway: nothing hangs,
 * crashes or leaks, and every callback comes exactly once. */
#include "tael.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <locale.h>

#include "engine.h"
#include "tests/unit/tap.h"

static tael_engine *open_echo(const char *args)
{
    struct tael_engine_setup setup = {.app = "simtest.echo", .args_json = args};
    tael_options options = TAEL_OPTIONS_INIT;
    tael_engine *engine = NULL;
    options.lua_root = "tests/sim/lua";
    options.root = "/tmp";
    return tael_engine_open_app(&engine, &options, &setup, NULL) == TAEL_OK ? engine : NULL;
}

/* ---- where a host stands ---- */

static void a_host_may_go_elsewhere(void)
{
    char here[4096];
    struct tael_engine_setup setup = {.app = "simtest.echo"};
    tael_options options = TAEL_OPTIONS_INIT;
    tael_engine *engine = NULL;
    options.lua_root = "tests/sim/lua";
    options.root = "tests";
    CHECK(getcwd(here, sizeof(here)) != NULL);
    CHECK(tael_engine_open_app(&engine, &options, &setup, NULL) == TAEL_OK);
    CHECK(chdir("/") == 0);
    tael_error err = {0};
    CHECK_NAMED(tael_engine_start(engine, &err) == TAEL_OK, "relative paths are of the opening");
    tael_engine_close(engine);
    CHECK(chdir(here) == 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void a_configuration_is_read_again_where_it_was(void)
{
    char here[4096], lua[4200], folder[] = "/tmp/tael-host-XXXXXX", file[64];
    tael_options options = TAEL_OPTIONS_INIT;
    tael_engine *engine = NULL;
    tael_error err = {0};
    int status = 0;
    char *body = NULL;
    CHECK(getcwd(here, sizeof(here)) != NULL && mkdtemp(folder) != NULL && chdir(folder) == 0);
    snprintf(lua, sizeof(lua), "%s/lua", here);
    snprintf(file, sizeof(file), "%s/tael.lua", folder);
    write_file("tael.lua", "return { dev = true }\n");
    options.lua_root = lua;
    options.config_path = "tael.lua";
    CHECK(tael_engine_open(&engine, &options, &err) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_OK);
    CHECK(chdir("/") == 0);
    write_file(file, "return { dev = true, drain = \"9s\" }\n");
    CHECK(tael_call_wait(engine, "POST", "/-/reload", NULL, NULL, &status, &body, NULL) == TAEL_OK);
    CHECK_NAMED(status == 200 && body != NULL && strstr(body, "\"drain\"") != NULL,
                body != NULL ? body : "no answer");
    tael_free(body);
    tael_engine_close(engine);
    CHECK(chdir(here) == 0);
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    CHECK(system(command) == 0);
}

static void a_root_has_to_be_there(void)
{
    static const char *const roots[] = {"", "tests/unit/nowhere", "tests/unit/tap.h/data"};
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        tael_options options = TAEL_OPTIONS_INIT;
        tael_engine *engine = NULL;
        tael_error err = {0};
        options.lua_root = "lua";
        options.config_lua = "return {}";
        options.root = roots[i];
        CHECK(tael_engine_open(&engine, &options, &err) == TAEL_ECONFIG && engine == NULL);
        CHECK_NAMED(strcmp(err.code, "root") == 0 && strstr(err.message, roots[i]) != NULL,
                    "an empty one is not that of all files");
        tael_engine_close(engine);
    }
}

static void paths_have_to_be_text(void)
{
    for (int i = 0; i < 2; i++) {
        tael_options options = TAEL_OPTIONS_INIT;
        tael_engine *engine = NULL;
        tael_error err = {0};
        options.root = "tests";
        options.config_path = i == 0 ? "tests/\xff.lua" : NULL;
        options.lua_root = i == 0 ? "lua" : "tests/\xff";
        CHECK(tael_engine_open(&engine, &options, &err) == TAEL_ECONFIG && engine == NULL);
        CHECK(strcmp(err.code, i == 0 ? "config_path" : "lua_root") == 0);
        CHECK_NAMED(strstr(err.message, "is not UTF-8") != NULL, err.message);
        tael_engine_close(engine);
    }
}

static void a_newer_header_is_told_from_a_mistake(void)
{
    struct { /* as a later header may have it */
        tael_options now;
        int later;
    } newer = {.now = TAEL_OPTIONS_INIT};
    tael_engine *engine = NULL;
    tael_error err = {0};
    newer.now.size = sizeof(newer);
    CHECK(tael_engine_open(&engine, &newer.now, &err) == TAEL_EVERSION && engine == NULL);
    CHECK(err.status == TAEL_EVERSION && strstr(err.message, tael_version()) != NULL);
    newer.now.size = 0;
    CHECK(tael_engine_open(&engine, &newer.now, &err) == TAEL_EINVAL && engine == NULL);
}

/* libuv would end the process: a descriptor of its own may not be one of the first three. */
static void the_first_descriptors_have_to_be_open(void)
{
    for (int fd = 0; fd < 3; fd++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            tael_options options = TAEL_OPTIONS_INIT;
            tael_engine *engine = NULL;
            tael_error err = {0};
            options.lua_root = "lua";
            close(fd);
            bool refused = tael_engine_open(&engine, &options, &err) == TAEL_EINVAL &&
                           strcmp(err.code, "descriptors") == 0;
            _exit(refused ? 0 : 1);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* What a host's locale makes of numbers and letters is not for Lua. */
static void note_locale(void *user, tael_log_level level, const char *json, size_t len)
{
    bool *plain = user;
    (void)level, (void)json, (void)len;
    *plain = *plain && MB_CUR_MAX == 1;
}

static void note_locale_of_call(void *user, const tael_response *response)
{
    note_locale(user, TAEL_LOG_INFO, response->body, response->body_len);
}

static void engines_do_not_hear_of_locales(void)
{
    struct tael_engine_setup setup = {.app = "simtest.echo"};
    tael_options options = TAEL_OPTIONS_INIT;
    tael_engine *engine = NULL;
    bool on_open = true, on_call = true, at_end = true;
    options.lua_root = "tests/sim/lua";
    options.root = "/tmp";
    options.log = note_locale;
    options.log_user = &on_open;
    CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL && MB_CUR_MAX > 1);
    CHECK(tael_engine_open_app(&engine, &options, &setup, NULL) == TAEL_OK);
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    CHECK(tael_call(engine, "GET", "/echo", NULL, NULL, note_locale_of_call, &on_call) == TAEL_OK);
    CHECK(tael_call(engine, "GET", "/sleep?60000", NULL, NULL, note_locale_of_call, &at_end) ==
          TAEL_OK);
    CHECK_NAMED(MB_CUR_MAX > 1, "the host's own thread keeps its locale");
    tael_engine_close(engine);
    CHECK(on_open && on_call && at_end && MB_CUR_MAX > 1);

    bool on_run = true;
    options.log_user = &on_run;
    CHECK(tael_engine_open_app(&engine, &options, &setup, NULL) == TAEL_OK);
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    tael_engine_stop(engine, 0);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    CHECK_NAMED(on_run && MB_CUR_MAX > 1, "what is logged at the end, too");
    tael_engine_close(engine);
    setlocale(LC_ALL, "C");
}

struct counted {
    pthread_mutex_t lock;
    int answers, closed, http_status;
};

static void count_answer(void *user, const tael_response *response)
{
    struct counted *counted = user;
    pthread_mutex_lock(&counted->lock);
    counted->answers++;
    counted->closed += response->status == TAEL_ECLOSED;
    counted->http_status = response->http_status;
    pthread_mutex_unlock(&counted->lock);
}

static void never(void *user, const tael_response *response)
{
    (void)user, (void)response;
    abort();
}

static void calls_out_of_season_are_refused(void)
{
    tael_engine *engine = open_echo("{\"workers\":2}");
    CHECK(tael_call(engine, "GET", "/echo", NULL, NULL, never, NULL) == TAEL_ECLOSED);
    tael_engine_close(engine); /* never started */

    tael_error err = {0};
    engine =
        open_echo("{\"workers\":3,\"refuse\":\"raise\"}"); /* worker 1 fails, 2 and 3 never are */
    CHECK(tael_engine_start(engine, &err) == TAEL_ESCRIPT);
    for (int i = 0; i < 3; i++)
        CHECK(tael_call(engine, "GET", "/echo", NULL, NULL, never, NULL) == TAEL_ECLOSED);
    tael_error again = {0};
    CHECK_NAMED(tael_engine_start(engine, &again) == TAEL_ESCRIPT, "a failed start stays failed");
    CHECK(again.status == TAEL_ESCRIPT && strcmp(again.message, err.message) == 0);
    CHECK_NAMED(tael_engine_run(engine) == TAEL_ESCRIPT, "and is not run");
    tael_engine_close(engine);
}

static void a_stop_before_the_start_holds(void)
{
    tael_engine *engine = open_echo("{\"workers\":2}");
    tael_error err = {0};
    tael_engine_stop(engine, 0);
    CHECK(tael_engine_start(engine, &err) == TAEL_ECLOSED);
    CHECK(tael_engine_run(engine) == TAEL_ECLOSED);
    tael_engine_close(engine);
}

static void *stop_soon(void *user)
{
    tael_engine_stop(user, 0);
    return NULL;
}

static void a_stop_during_the_start_ends_it(void)
{
    bool ended = true;
    for (int i = 0; i < 50; i++) {
        tael_engine *engine = open_echo("{\"workers\":2}");
        pthread_t thread;
        pthread_create(&thread, NULL, stop_soon, engine);
        tael_status rc = tael_engine_start(engine, NULL);
        pthread_join(thread, NULL);
        ended = ended && (rc == TAEL_OK || rc == TAEL_ECLOSED);
        tael_engine_close(engine);
    }
    CHECK(ended);
}

static void a_drain_waits_for_calls(void)
{
    struct counted counted = {.lock = PTHREAD_MUTEX_INITIALIZER};
    tael_engine *engine = open_echo("{}");
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    CHECK(tael_call(engine, "GET", "/sleep?300", NULL, NULL, count_answer, &counted) == TAEL_OK);
    usleep(50000); /* it has arrived: what has not when the drain begins is refused */
    tael_engine_stop(engine, 20000);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    CHECK(counted.answers == 1 && counted.http_status == 200);
    tael_engine_stop(engine, 0); /* once more, after the end */
    tael_engine_close(engine);
    CHECK(counted.answers == 1 && counted.closed == 0);

    engine = open_echo("{}");
    counted.answers = 0;
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    CHECK(tael_call(engine, "GET", "/sleep?60000", NULL, NULL, count_answer, &counted) == TAEL_OK);
    usleep(50000);
    tael_engine_stop(engine, 100);
    CHECK(tael_engine_run(engine) == TAEL_ETIMEOUT);
    tael_engine_close(engine);
    CHECK(counted.answers == 1 && counted.closed == 1);
}

static void a_drain_may_take_any_time(void)
{
    struct counted counted = {.lock = PTHREAD_MUTEX_INITIALIZER};
    tael_engine *engine = open_echo("{}");
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    CHECK(tael_call(engine, "GET", "/sleep?300", NULL, NULL, count_answer, &counted) == TAEL_OK);
    usleep(50000);
    tael_engine_stop(engine, INT64_MAX);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    CHECK(counted.answers == 1 && counted.http_status == 200);
    tael_engine_close(engine);
}

static void *wait_once(void *user)
{
    int status = 0;
    char *body = NULL;
    tael_status rc = tael_call_wait(user, "GET", "/echo", NULL, NULL, &status, &body, NULL);
    tael_free(body);
    return (void *)(intptr_t)rc;
}

/* Its threads have the identities of those that have ended. */
static void a_call_after_the_end_hears_of_the_end(void)
{
    tael_engine *engine = open_echo("{\"workers\":2}");
    bool closed = true;
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    tael_engine_stop(engine, 0);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        void *rc = NULL;
        pthread_create(&thread, NULL, wait_once, engine);
        pthread_join(thread, &rc);
        closed = closed && (intptr_t)rc == TAEL_ECLOSED;
    }
    CHECK(closed);
    tael_engine_close(engine);
}

static void what_has_ended_does_not_start(void)
{
    tael_engine *engine = open_echo("{}");
    tael_error err = {0};
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    tael_engine_stop(engine, 0);
    CHECK(tael_engine_run(engine) == TAEL_OK);
    CHECK(tael_engine_start(engine, &err) == TAEL_ECLOSED && err.status == TAEL_ECLOSED);
    CHECK_NAMED(tael_engine_run(engine) == TAEL_OK, "how it ended is told again");
    tael_engine_close(engine);
}

static void no_engine_is_an_argument_that_is_refused(void)
{
    tael_error err = {0};
    int status = 0;
    char *body = NULL;
    tael_engine_stop(NULL, 0); /* as a signal handler may before there is one */
    tael_engine_close(NULL);
    CHECK(tael_engine_start(NULL, &err) == TAEL_EINVAL && err.status == TAEL_EINVAL);
    CHECK(tael_engine_run(NULL) == TAEL_EINVAL);
    CHECK(tael_call(NULL, "GET", "/echo", NULL, NULL, never, NULL) == TAEL_EINVAL);
    CHECK(tael_call_wait(NULL, "GET", "/echo", NULL, NULL, &status, &body, NULL) == TAEL_EINVAL);
    CHECK(tael_engine_open(NULL, NULL, &err) == TAEL_EINVAL);
}

struct caller {
    tael_engine *engine;
    struct counted *counted;
    int accepted;
};

static void *call_on(void *user)
{
    struct caller *caller = user;
    tael_status rc = TAEL_OK;
    while (rc == TAEL_OK || rc == TAEL_EBUSY) {
        rc = tael_call(caller->engine, "GET", "/echo", NULL, NULL, count_answer, caller->counted);
        caller->accepted += rc == TAEL_OK;
    }
    return NULL;
}

static void every_accepted_call_is_answered_once(void)
{
    bool even = true;
    for (int i = 0; i < 10; i++) {
        struct counted counted = {.lock = PTHREAD_MUTEX_INITIALIZER};
        struct caller callers[2] = {{open_echo("{\"workers\":2}"), &counted, 0}};
        callers[1] = callers[0];
        pthread_t threads[2];
        tael_engine *engine = callers[0].engine;
        tael_engine_start(engine, NULL);
        for (int k = 0; k < 2; k++)
            pthread_create(&threads[k], NULL, call_on, &callers[k]);
        usleep(5000);
        tael_engine_stop(engine, 5000);
        tael_engine_stop(engine, 5000);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
        tael_engine_run(engine);
        tael_engine_stop(engine, 5000);
        tael_engine_close(engine);
        even = even && counted.answers == callers[0].accepted + callers[1].accepted;
    }
    CHECK(even);
}

static void calls_have_a_limit(void)
{
    struct counted counted = {.lock = PTHREAD_MUTEX_INITIALIZER};
    tael_engine *engine = open_echo("{}");
    int accepted = 0;
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    tael_status rc = TAEL_OK;
    while (rc == TAEL_OK && accepted < 100000) {
        rc = tael_call(engine, "GET", "/sleep?60000", NULL, NULL, count_answer, &counted);
        accepted += rc == TAEL_OK;
    }
    CHECK(rc == TAEL_EBUSY && accepted == 10000);
    tael_engine_close(engine);
    CHECK(counted.answers == accepted && counted.closed == accepted);
}

static void an_answer_that_cannot_be_read_is_an_answer(void)
{
    tael_engine *engine = open_echo("{}");
    int status = 0;
    char *body = NULL;
    CHECK(tael_engine_start(engine, NULL) == TAEL_OK);
    CHECK(tael_call_wait(engine, "GET", "/spite", NULL, NULL, &status, &body, NULL) == TAEL_OK);
    CHECK(status == 500);
    tael_free(body);
    tael_engine_close(engine);
}

static tael_engine *to_stop;

static void on_signal(int number)
{
    (void)number;
    tael_engine_stop(to_stop, 0);
}

static void a_signal_may_stop(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    to_stop = open_echo("{\"workers\":2}");
    CHECK(tael_engine_start(to_stop, NULL) == TAEL_OK);
    sigaction(SIGUSR1, &action, &before);
    errno = EDOM;
    raise(SIGUSR1);
    CHECK_NAMED(errno == EDOM, "a handler that stops leaves errno alone");
    CHECK(tael_engine_run(to_stop) == TAEL_OK);
    sigaction(SIGUSR1, &before, NULL);
    tael_engine_close(to_stop);
}

static void engines_live_side_by_side(void)
{
    tael_engine *engines[3];
    int status = 0;
    bool right = true;
    for (int i = 0; i < 3; i++) {
        engines[i] = open_echo("{\"workers\":2}");
        right = right && tael_engine_start(engines[i], NULL) == TAEL_OK;
    }
    tael_engine_close(engines[1]);
    for (int i = 0; i < 3; i += 2) {
        char *body = NULL;
        right = right && tael_call_wait(engines[i], "GET", "/echo", NULL, NULL, &status, &body,
                                        NULL) == TAEL_OK;
        right = right && status == 200;
        tael_free(body);
        tael_engine_close(engines[i]);
    }
    CHECK(right);
}

/* ---- descriptors ---- */

static size_t open_files(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* As a child in which nothing has run so far: libuv has something to make once for a process. */
static void open_with_few(size_t kept_by_libuv)
{
    size_t before = open_files();
    for (rlim_t most = 3; most < 60; most++) {
        struct rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = most;
        setrlimit(RLIMIT_NOFILE, &limit);
        tael_engine *engine = open_echo("{\"workers\":2}");
        if (engine != NULL)
            tael_engine_start(engine, NULL);
        tael_engine_close(engine);
    }
    _exit(open_files() - before <= kept_by_libuv ? 0 : 1);
}

static void few_descriptors_are_a_refusal(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        open_with_few(2);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    CHECK_NAMED(WEXITSTATUS(status) == 0, "what could not be opened leaves nothing open");
}

enum { STORM = 400 };

/* As a child: no thread runs in it, and its descriptors are its own. */
static void storm(const char *address, const char *request, int ready, int go)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    char byte = 0, answer[64];
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    for (int i = 0; i < STORM; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
            break;
        if (request[0] != '\0' && send(fd, request, strlen(request), MSG_NOSIGNAL) > 0 &&
            recv(fd, answer, sizeof(answer), 0) <= 0)
            break; /* else read, and kept open */
    }
    if (write(ready, &byte, 1) == 1 && read(go, &byte, 1) < 0)
        _exit(1);
    _exit(0);
}

/* How many descriptors the engine holds when that many clients have sent the request and stay. */
static size_t held_in_a_storm(const char *request, rlim_t limit)
{
    struct rlimit before, few;
    int ready[2], go[2], status = 0;
    char byte;
    getrlimit(RLIMIT_NOFILE, &before);
    few = (struct rlimit){limit, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    struct tael_engine_setup setup = {.app = "simtest.echo",
                                      .args_json = "{\"address\":\"127.0.0.1:0\"}"};
    tael_options options = TAEL_OPTIONS_INIT;
    tael_engine *engine = NULL;
    options.lua_root = "tests/sim/lua";
    options.root = "/tmp";
    options.listen = 1;
    CHECK(tael_engine_open_app(&engine, &options, &setup, NULL) == TAEL_OK &&
          tael_engine_start(engine, NULL) == TAEL_OK);
    CHECK(pipe(ready) == 0 && pipe(go) == 0);
    size_t idle = open_files();
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_NOFILE, &before);
        storm(tael_engine_address(engine, "api"), request, ready[1], go[0]);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    char *body = NULL;
    CHECK_NAMED(tael_call_wait(engine, "GET", "/echo", NULL, NULL, &status, &body, NULL) == TAEL_OK,
                "the engine lives");
    tael_free(body);
    size_t held = open_files() - idle;
    CHECK(write(go[1], "", 1) == 1);
    waitpid(child, NULL, 0);
    tael_engine_close(engine);
    for (int i = 0; i < 2; i++)
        close(ready[i]), close(go[i]);
    setrlimit(RLIMIT_NOFILE, &before);
    return held;
}

static void storms_leave_descriptors(void)
{
    /* and one that libuv keeps from its first connection on */
    CHECK_NAMED(held_in_a_storm("", 256) <= 128 + 1, "half of them for connections");
    CHECK_NAMED(held_in_a_storm("nonsense\r\n\r\n", 1024) <= 130, "few for those that end");
}

int main(void)
{
    alarm(300); /* a hang is a failure */
    few_descriptors_are_a_refusal();
    a_host_may_go_elsewhere();
    a_configuration_is_read_again_where_it_was();
    a_root_has_to_be_there();
    paths_have_to_be_text();
    a_newer_header_is_told_from_a_mistake();
    the_first_descriptors_have_to_be_open();
    engines_do_not_hear_of_locales();
    calls_out_of_season_are_refused();
    a_stop_before_the_start_holds();
    a_stop_during_the_start_ends_it();
    a_drain_waits_for_calls();
    a_drain_may_take_any_time();
    a_call_after_the_end_hears_of_the_end();
    what_has_ended_does_not_start();
    no_engine_is_an_argument_that_is_refused();
    every_accepted_call_is_answered_once();
    calls_have_a_limit();
    an_answer_that_cannot_be_read_is_an_answer();
    a_signal_may_stop();
    engines_live_side_by_side();
    storms_leave_descriptors();
    return tap_end();
}
