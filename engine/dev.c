/* dev.c - tael dev: an engine with simulators in this folder, renewed whenever its files change.
 *
 * The main thread looks at the files; what has changed is first checked by the application tael.dev
 * in a Lua state of its own. What is right is taken up by the running engine in between requests,
 * as tael reload does; where the configuration wants a restart, another engine takes its place on
 * the same addresses. A clock that was put ahead stays ahead, for the world outlives its engines.
 * Requests under way are answered before; who connects in the moment between is refused. What an
 * engine says goes to data/dev.log, errors and alarms to the terminal too.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/watch.h"
#include "dev_log.h"
#include "engine.h"
#include "net/world_uv.h"
#include "serve.h"
#include "signals.h"

enum {
    LOOK_MS = 250,
    SETTLE_MS = 25, /* between two looks at a file that is still being written */
    SETTLE_LOOKS = 80,
    DRAIN_MS = 2000,
};

struct dev {
    const struct tael_words *words;
    struct tael_signals signals;
    struct tael_world *world;
    struct tael_dev_log *log;
    struct tael_watch *watch;
    tael_engine *engine;       /* NULL: the last text did not start */
    struct stat configuration; /* as it was before the engine was opened; zero: there was none */
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

/* tael.lua may come and go while it runs; a file that was named with --config is that file. */
static const char *config_path(const struct dev *dev)
{
    const char *named = dev->words->config;
    if (named != NULL && strcmp(named, TAEL_WORDS_FILE) != 0)
        return named;
    return tael_words_file_here() ? TAEL_WORDS_FILE : NULL;
}

static bool stopped(struct dev *dev)
{
    return atomic_load(&dev->signals.stop);
}

static struct stat configuration_now(const struct dev *dev)
{
    struct stat now;
    const char *path = config_path(dev);
    if (path == NULL || stat(path, &now) != 0)
        memset(&now, 0, sizeof(now));
    return now;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* ---- addresses of one's own: --port ---- */

/* Sets the variable to a free port of this machine unless somebody has set it. *fd keeps the port
 * until all are chosen; -1: none. */
static bool choose_address(const char *variable, int *fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    char text[32];
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        getsockname(*fd, (struct sockaddr *)&at, &len) != 0)
        return false;
    snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(at.sin_port));
    return setenv(variable, text, 0) == 0;
}

static bool choose_addresses(const char *port)
{
    char text[32];
    int operations = -1, sandbox = -1;
    snprintf(text, sizeof(text), "127.0.0.1:%s", port);
    bool done = setenv("TAEL_HTTP__LISTEN", text, 1) == 0 &&
                choose_address("TAEL_OPERATIONS__LISTEN", &operations) &&
                choose_address("TAEL_SANDBOX__LISTEN", &sandbox);
    if (operations >= 0)
        close(operations);
    if (sandbox >= 0)
        close(sandbox);
    return done;
}

/* The words behind "dev": nothing, or --port N. */
static int read_port(const struct tael_words *words, const char **port)
{
    const tael_error wrong = {TAEL_EINVAL, "usage",
                              "tael dev takes --port N, 1 to 65535, and --config FILE"};
    char *end = NULL;
    *port = NULL;
    if (words->count == 1)
        return TAEL_EXIT_DONE;
    if (words->count == 2 && strncmp(words->rest[1], "--port=", 7) == 0)
        *port = words->rest[1] + 7;
    else if (words->count == 3 && strcmp(words->rest[1], "--port") == 0)
        *port = words->rest[2];
    long number = *port != NULL ? strtol(*port, &end, 10) : 0;
    bool digits = number > 0 && (*port)[0] >= '1' && (*port)[0] <= '9' && *end == '\0';
    if (digits && number <= 65535)
        return TAEL_EXIT_DONE;
    return tael_complain(words, &wrong, "tael dev --help");
}

/* ---- the check ---- */

/* Asks tael.dev about the files as they are. The HTTP status of its answer and its text, the
 * caller's; 0: it could not be asked, err says why. */
static int check(struct dev *dev, char **text, tael_error *err)
{
    tael_engine *engine = NULL;
    int status = 0;
    tael_options options = TAEL_OPTIONS_INIT;
    options.config_path = config_path(dev);
    options.dev = 1;
    struct tael_engine_setup setup = {.app = "tael.dev", .stop = &dev->signals.stop};
    tael_status rc = tael_engine_open_app(&engine, &options, &setup, err);
    if (rc == TAEL_OK)
        rc = tael_engine_start(engine, err);
    if (rc == TAEL_OK)
        rc = tael_call_wait(engine, "GET", "/-/check", NULL, NULL, &status, text, NULL);
    tael_engine_close(engine);
    return rc == TAEL_OK ? status : 0;
}

/* The lines of a check that went well: the data folder, then what is to be watched. */
static tael_status take_places(struct dev *dev, char *text, char **data)
{
    char *rest = NULL, *line = strtok_r(text, "\n", &rest);
    struct tael_watch_change ignored;
    size_t places = tael_watch_places(dev->watch);
    tael_status rc = TAEL_OK;
    *data = line;
    while (rc == TAEL_OK && (line = strtok_r(NULL, "\n", &rest)) != NULL)
        rc = tael_watch_add(dev->watch, line);
    if (rc == TAEL_OK && tael_watch_places(dev->watch) > places) {
        rc = tael_watch_look(dev->watch, &ignored); /* what is there in a new place is not new */
        if (rc == TAEL_OK)
            tael_watch_accept(dev->watch);
    }
    return *data != NULL ? rc : TAEL_EINTERNAL;
}

/* ---- the engine ---- */

static tael_status start(struct dev *dev, tael_error *err)
{
    tael_options options = TAEL_OPTIONS_INIT;
    options.config_path = config_path(dev);
    options.dev = 1;
    options.listen = 1;
    options.log = tael_dev_log_write;
    options.log_user = dev->log;
    struct tael_engine_setup setup = {.world = dev->world, .stop = &dev->signals.stop};
    dev->configuration = configuration_now(dev);
    tael_status rc = tael_engine_open_app(&dev->engine, &options, &setup, err);
    if (rc != TAEL_OK)
        return rc;
    tael_signals_are_for(&dev->signals, dev->engine);
    rc = tael_engine_start(dev->engine, err);
    if (rc == TAEL_OK)
        return rc;
    tael_signals_are_for(&dev->signals, NULL);
    tael_engine_close(dev->engine);
    dev->engine = NULL;
    return rc;
}

static tael_status stop(struct dev *dev)
{
    if (dev->engine == NULL)
        return TAEL_OK;
    tael_engine_stop(dev->engine, DRAIN_MS);
    tael_status rc = tael_engine_run(dev->engine);
    tael_signals_are_for(&dev->signals, NULL);
    tael_engine_close(dev->engine);
    dev->engine = NULL;
    return rc;
}

static void print_banner(struct dev *dev, int64_t ms)
{
    char took[32], *text = NULL;
    int status = 0;
    size_t len = 0;
    snprintf(took, sizeof(took), "%lld", (long long)ms);
    if (tael_call_wait(dev->engine, "POST", "/-/dev", took, NULL, &status, &text, &len) != TAEL_OK)
        return;
    if (status == 200)
        tael_print(STDOUT_FILENO, text, len);
    tael_free(text);
}

/* ---- files that change ---- */

static const char *shown(const char *path)
{
    char here[PATH_MAX];
    size_t len = getcwd(here, sizeof(here)) != NULL ? strlen(here) : 0;
    bool below = len > 0 && strncmp(path, here, len) == 0 && path[len] == '/';
    return below ? path + len + 1 : path;
}

/* Has the engine take up scripts while it runs; false: it has to be replaced. */
static bool renew(struct dev *dev)
{
    char *text = NULL;
    int status = 0;
    struct stat now = configuration_now(dev);
    bool done = dev->engine != NULL && same_file(&now, &dev->configuration) &&
                tael_call_wait(dev->engine, "POST", "/-/reload", NULL, NULL, &status, &text,
                               NULL) == TAEL_OK &&
                status == 200 && strstr(text, "\"needs_restart\":[]") != NULL;
    tael_free(text);
    return done;
}

static void take_up(struct dev *dev, const struct tael_watch_change *change)
{
    int64_t from = tael_mono_us(dev->world);
    char *text = NULL, *data = NULL;
    tael_error err = {0};
    int status = check(dev, &text, &err);
    if (status == 200 && take_places(dev, text, &data) == TAEL_OK) {
        bool running = renew(dev);
        if (!running)
            stop(dev);
        if (!running && start(dev, &err) != TAEL_OK && !stopped(dev))
            say("[dev] not running — the new text does not start: save a file to try again\n  %s\n",
                err.message);
    } else if (!stopped(dev)) {
        say("[dev] %s — the new text does not load\n%s%s",
            dev->engine != NULL ? "kept the running version" : "not running",
            status > 200 ? text : err.message, status == 422 ? "" : "\n");
    }
    int ms = (int)((tael_mono_us(dev->world) - from) / 1000);
    if (err.status == TAEL_OK && status == 200 && change->count == 1)
        say("[dev] reloaded %s  %d ms\n", shown(change->path), ms);
    else if (err.status == TAEL_OK && status == 200)
        say("[dev] reloaded %zu files  %d ms\n", change->count, ms);
    tael_free(text);
}

/* Looks until nobody is writing any more; false: nothing is different. */
static bool has_changed(struct dev *dev, struct tael_watch_change *change)
{
    if (tael_watch_look(dev->watch, change) != TAEL_OK || change->count == 0)
        return false;
    for (int i = 0; i < SETTLE_LOOKS && !stopped(dev); i++) {
        tael_signals_wait(&dev->signals, SETTLE_MS);
        if (tael_watch_look(dev->watch, change) != TAEL_OK)
            return false;
        if (tael_watch_settled(dev->watch))
            break;
    }
    return change->count > 0 && !stopped(dev);
}

static void watch_files(struct dev *dev)
{
    struct tael_watch_change change;
    while (!tael_signals_wait(&dev->signals, LOOK_MS)) {
        if (!has_changed(dev, &change))
            continue;
        char *path = strdup(change.path);
        if (path == NULL)
            continue;
        change.path = path;
        tael_watch_accept(dev->watch); /* before it is read: what is saved meanwhile is new */
        take_up(dev, &change);
        free(path);
    }
}

/* ---- from the start to the end ---- */

static int refuse(struct dev *dev, tael_error *err)
{
    if (err->status == TAEL_OK)
        tael_error_set(err, TAEL_EINTERNAL, "dev", "out of memory");
    return stopped(dev) ? TAEL_EXIT_DONE
                        : tael_complain(dev->words, err, tael_serve_next(err, true));
}

static int live(struct dev *dev, int64_t from_us)
{
    tael_error err = {0};
    if (start(dev, &err) != TAEL_OK)
        return refuse(dev, &err);
    print_banner(dev, (tael_mono_us(dev->world) - from_us) / 1000);
    watch_files(dev);
    return stop(dev) == TAEL_OK ? TAEL_EXIT_DONE : TAEL_EXIT_NO;
}

static int begin(struct dev *dev)
{
    static const tael_error wrong = {TAEL_ECONFIG, "load", "what is in this folder does not load"};
    int64_t from_us = tael_mono_us(dev->world);
    tael_error err = {0};
    char *text = NULL, *data = NULL;
    int code, status = check(dev, &text, &err);
    if (status == 403) /* nothing to correct in what is written: a folder cannot be made */
        tael_error_set(&err, TAEL_ECONFIG, "folder", "%s", text);
    if (status == 422 && !stopped(dev)) {
        fprintf(stderr, "tael: %s\n%s", wrong.message, text);
        tael_say_next(dev->words, "correct it, then tael dev");
        code = TAEL_EXIT_CONFIG;
    } else if (status != 200 || take_places(dev, text, &data) != TAEL_OK ||
               tael_dev_log_open(&dev->log, data, &err) != TAEL_OK) {
        code = refuse(dev, &err);
    } else {
        code = live(dev, from_us);
    }
    tael_free(text);
    return code;
}

int tael_dev(const struct tael_words *words)
{
    const char *port;
    struct dev dev = {.words = words};
    int code = read_port(words, &port);
    if (code != TAEL_EXIT_DONE)
        return code;
    code = TAEL_EXIT_INTERNAL;
    if ((port != NULL && !choose_addresses(port)) ||
        tael_signals_open(&dev.signals, true) != TAEL_OK)
        return code;
    tael_serve_prepare();
    if (tael_world_uv_new(&dev.world) == TAEL_OK && tael_watch_new(&dev.watch) == TAEL_OK)
        code = begin(&dev);
    tael_watch_free(dev.watch);
    tael_dev_log_free(dev.log);
    tael_world_free(dev.world);
    tael_signals_close(&dev.signals);
    return code;
}
