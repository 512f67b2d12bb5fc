/* engine.c - a running engine: world, store, workers, companions; implements tael.h.
 *
 * Order of opening: world, log, plan, folders, companions, store; of starting: companions, then
 * workers one by one; of closing: workers' threads, the store's queue, the mail that is left,
 * states, store, companions. Whatever was opened is closed by tael_engine_close, in any state of
 * life.
 */
#include "engine.h"

#include "tael.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sim.h"
#include "base/utf8.h"
#include "crypto/keyring.h"
#include "engine_routes.h"
#include "net/world_uv.h"

/* ---- opening ---- */

static tael_status make_folder(const char *path, tael_error *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return TAEL_OK;
    tael_error_set(err, TAEL_ECONFIG, "folder", "cannot make the folder %s: %s", path,
                   strerror(errno));
    return TAEL_ECONFIG;
}

static bool keep(char **out, const char *text)
{
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL;
}

static void discard_line(void *user, tael_log_level level, const char *line, size_t len)
{
    (void)user, (void)level, (void)line, (void)len;
}

/* libuv ends the process when it is to close one of these, and where one is free it may get it. */
static tael_status check_descriptors(tael_error *err)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        tael_error_set(err, TAEL_EINVAL, "descriptors",
                       "descriptor %d is closed: 0, 1 and 2 have to be open; /dev/null will do",
                       fd);
        return TAEL_EINVAL;
    }
    return TAEL_OK;
}

static tael_status open_world(tael_engine *engine, const tael_options *options,
                              const struct tael_engine_setup *setup, tael_error *err)
{
    tael_status rc = TAEL_OK;
    engine->world = setup->world;
    if (engine->world == NULL) {
        rc = check_descriptors(err);
        if (rc == TAEL_OK)
            rc = tael_world_uv_new(&engine->world);
        engine->own_world = rc == TAEL_OK;
    }
    if (rc != TAEL_OK)
        return rc;
    struct tael_log_options log = {.world = engine->world,
                                   .level = TAEL_LOG_DEBUG,
                                   .per_second = 100,
                                   .write = options->log != NULL ? options->log : discard_line,
                                   .user = options->log_user};
    return tael_log_new(&engine->log, &log);
}

/* The folder that relative paths begin at, as it is now: a host may go elsewhere later. One that
 * was named has to be there; where a configuration is not, its own message says so. */
static tael_status resolve_root(const tael_options *options, char out[PATH_MAX], tael_error *err)
{
    char folder[PATH_MAX] = ".";
    if (options->root != NULL) {
        if (realpath(options->root, out) != NULL)
            return TAEL_OK;
        tael_error_set(err, TAEL_ECONFIG, "root", "root '%s': %s", options->root, strerror(errno));
        return TAEL_ECONFIG;
    }
    if (options->config_path != NULL && strchr(options->config_path, '/') != NULL) {
        snprintf(folder, sizeof(folder), "%s", options->config_path);
        *strrchr(folder, '/') = '\0';
        if (folder[0] == '\0')
            snprintf(folder, sizeof(folder), "/");
    }
    if (realpath(folder, out) == NULL)
        snprintf(out, PATH_MAX, "%s", folder);
    return TAEL_OK;
}

/* It goes to Lua and its JSON, which is text. */
static tael_status check_text(const char *name, const char *path, tael_error *err)
{
    if (path == NULL || tael_utf8_is(path, strlen(path)))
        return TAEL_OK;
    tael_error_set(err, TAEL_ECONFIG, name,
                   "%s: the path of this %s is not UTF-8; rename it, or use another", name,
                   strcmp(name, "config_path") == 0 ? "file" : "folder");
    return TAEL_ECONFIG;
}

static tael_status find_root(const tael_options *options, char out[PATH_MAX], tael_error *err)
{
    tael_status rc = check_text("config_path", options->config_path, err);
    if (rc == TAEL_OK)
        rc = resolve_root(options, out, err);
    return rc == TAEL_OK ? check_text("root", out, err) : rc;
}

static tael_status find_lua(tael_engine *engine, const tael_options *options, tael_error *err)
{
    char real[PATH_MAX];
    if (options->lua_root == NULL)
        engine->lua_root = tael_engine_find_lua();
    else if (!keep(&engine->lua_root,
                   realpath(options->lua_root, real) != NULL ? real : options->lua_root))
        return TAEL_ENOMEM;
    if (engine->lua_root != NULL)
        return check_text("lua_root", engine->lua_root, err);
    tael_error_set(err, TAEL_ECONFIG, "lua_root",
                   "Tael's Lua files were not found beside the program; set lua_root");
    return TAEL_ECONFIG;
}

/* A host may go elsewhere, and the file is read again. Links on the way are followed each time. */
static bool keep_place(char **out, const char *path)
{
    char here[PATH_MAX];
    if (path == NULL || path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
        return keep(out, path);
    size_t size = strlen(here) + strlen(path) + 2;
    *out = malloc(size);
    if (*out != NULL)
        snprintf(*out, size, "%s/%s", here, path);
    return *out != NULL;
}

static tael_status keep_options(tael_engine *engine, const tael_options *options,
                                const struct tael_engine_setup *setup, tael_error *err)
{
    char root[PATH_MAX];
    engine->dev = options->dev != 0;
    engine->listen = options->listen != 0;
    engine->stop = setup->stop;
    tael_status rc = find_root(options, root, err);
    if (rc != TAEL_OK)
        return rc;
    bool kept = keep(&engine->root, root) && keep(&engine->config_path, options->config_path) &&
                keep_place(&engine->config_at, options->config_path) &&
                keep(&engine->config_lua, options->config_lua) &&
                keep(&engine->app, setup->app != NULL ? setup->app : "tael.server") &&
                keep(&engine->args_json, setup->args_json);
    return kept ? find_lua(engine, options, err) : TAEL_ENOMEM;
}

static tael_status open_companions(tael_engine *engine, const tael_options *options,
                                   tael_error *err)
{
    const struct tael_plan *plan = &engine->plan;
    engine->companions = calloc(plan->companion_count + 1, sizeof(tael_engine *));
    if (engine->companions == NULL)
        return TAEL_ENOMEM;
    for (size_t i = 0; i < plan->companion_count; i++) {
        struct tael_engine_setup setup = {.app = plan->companions[i].app,
                                          .args_json = plan->companions[i].args_json,
                                          .world = engine->world,
                                          .stop = engine->stop};
        tael_options inherited = *options;
        inherited.lua_root = engine->lua_root;
        inherited.root = engine->root;
        tael_status rc = tael_engine_open_app(&engine->companions[i], &inherited, &setup, err);
        if (rc != TAEL_OK)
            return rc;
        engine->companion_count++;
    }
    return TAEL_OK;
}

/* A clock that was put ahead before the last stop would have gone back, and what is new would seem
 * older than what is there: it begins where the store ends. */
static void follow_store(tael_engine *engine)
{
    enum { SLACK_MS = 2000 };
    int64_t newest = tael_store_id_ms(tael_store_next_id(engine->store));
    int64_t ahead = newest - tael_now_ms(engine->world);
    if (ahead <= SLACK_MS || tael_world_advance(engine->world, ahead) != TAEL_OK)
        return;
    TAEL_LOG(engine->log, TAEL_LOG_WARN, "engine.clock_ahead",
             tael_log_int("by_ms", tael_world_ahead(engine->world)));
}

static tael_status open_store(tael_engine *engine, tael_error *err)
{
    if (!engine->plan.has_store)
        return TAEL_OK;
    struct tael_store_options options = engine->plan.store;
    options.world = engine->world;
    options.log = engine->log;
    options.has_lock = engine->legacy.lock_fd >= 0;
    options.lock_fd = engine->legacy.lock_fd;
    engine->legacy.lock_fd = -1;
    tael_status rc = tael_store_open(&engine->store, &options, err);
    if (rc == TAEL_OK && engine->plan.clock_adjustable)
        follow_store(engine);
    return rc;
}

static tael_status open_planned(tael_engine *engine, const tael_options *options,
                                const struct tael_engine_setup *setup, tael_error *err)
{
    engine->succeeds = setup->inherit != NULL;
    tael_status rc = tael_shared_keyring_new(&engine->keyring);
    if (rc == TAEL_OK)
        rc = tael_plan_make(&engine->plan, engine, err);
    for (size_t i = 0; rc == TAEL_OK && i < engine->plan.folder_count; i++)
        rc = make_folder(engine->plan.folders[i], err);
    if (rc != TAEL_OK)
        return rc;
    tael_log_set_level(engine->log, engine->plan.log_level);
    engine->workers = calloc((size_t)engine->plan.workers, sizeof(*engine->workers));
    engine->addresses = calloc(engine->plan.listener_count + 1, sizeof(char *));
    if (engine->workers == NULL || engine->addresses == NULL)
        return TAEL_ENOMEM;
    for (int i = 0; i < engine->plan.workers; i++) {
        engine->workers[i].engine = engine;
        engine->workers[i].number = i + 1;
    }
    rc = tael_meter_new(&engine->meter, engine->world);
    if (rc == TAEL_OK && engine->plan.routes.listener != NULL)
        rc = tael_route_texts_new(&engine->route_texts);
    if (rc == TAEL_OK)
        rc = tael_engine_open_tls(engine, err);
    if (rc == TAEL_OK && setup->inherit != NULL)
        rc = setup->inherit(setup->inherit_user, &engine->plan, &engine->legacy, err);
    engine->inherits = engine->legacy.count > 0;
    if (rc == TAEL_OK)
        rc = open_companions(engine, options, err);
    return rc == TAEL_OK ? open_store(engine, err) : rc;
}

static tael_status open_app(tael_engine **out, const tael_options *options,
                            const struct tael_engine_setup *setup, tael_error *err)
{
    tael_error failure = {0};
    tael_engine *engine = calloc(1, sizeof(*engine));
    tael_status rc = TAEL_ENOMEM;
    if (engine == NULL)
        goto report;
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->changed, NULL);
    engine->legacy.lock_fd = -1;
    rc = keep_options(engine, options, setup, &failure);
    if (rc == TAEL_OK)
        rc = open_world(engine, options, setup, &failure);
    if (rc == TAEL_OK)
        rc = open_planned(engine, options, setup, &failure);
    if (rc == TAEL_OK) {
        *out = engine;
        return TAEL_OK;
    }
    tael_engine_close(engine);
report:
    if (failure.status == TAEL_OK)
        tael_error_set(&failure, rc, "open", "%s", tael_status_text(rc));
    if (err != NULL)
        *err = failure;
    return rc;
}

tael_status tael_engine_open_app(tael_engine **out, const tael_options *options,
                                 const struct tael_engine_setup *setup, tael_error *err)
{
    locale_t before = tael_thread_go_plain();
    tael_status rc = open_app(out, options, setup, err);
    tael_thread_go_back(before);
    return rc;
}

tael_status tael_engine_open(tael_engine **out, const tael_options *options, tael_error *err)
{
    static const struct tael_engine_setup payments = {0};
    tael_options full = TAEL_OPTIONS_INIT;
    if (options != NULL && options->size > sizeof(full)) {
        tael_error_set(err, TAEL_EVERSION, "options_newer",
                       "the host was built with a newer tael.h than this library's, which is %s; "
                       "or options are not from TAEL_OPTIONS_INIT",
                       tael_version());
        return TAEL_EVERSION;
    }
    if (out == NULL || (options != NULL && options->size == 0)) {
        tael_error_set(err, TAEL_EINVAL, "invalid_argument", "options: use TAEL_OPTIONS_INIT");
        return TAEL_EINVAL;
    }
    if (options != NULL)
        memcpy(&full, options, options->size); /* a host built against an older header sets less */
    return tael_engine_open_app(out, &full, &payments, err);
}

/* ---- starting ---- */

static void *worker_main(void *arg)
{
    tael_worker_run(arg);
    return NULL;
}

tael_status tael_engine_run_worker(struct tael_worker *worker)
{
    tael_status rc = tael_thread_start(&worker->thread, "tael-worker", worker_main, worker);
    worker->joined = rc != TAEL_OK; /* what `thread` says then is of one that has ended */
    return rc;
}

static enum tael_worker_phase await_worker(tael_engine *engine, struct tael_worker *worker)
{
    pthread_mutex_lock(&engine->lock);
    while (worker->phase == TAEL_WORKER_STARTING) {
        if (engine->world->simulated) {
            pthread_mutex_unlock(&engine->lock);
            tael_status rc = tael_sim_run(engine->world, INT64_MAX);
            pthread_mutex_lock(&engine->lock);
            if (rc == TAEL_ENOTFOUND && worker->phase == TAEL_WORKER_STARTING) {
                tael_error_set(&engine->failure, TAEL_EINTERNAL, "open",
                               "nothing left to wait for");
                worker->phase = TAEL_WORKER_FAILED;
            }
        } else {
            pthread_cond_wait(&engine->changed, &engine->lock);
        }
    }
    enum tael_worker_phase phase = worker->phase;
    pthread_mutex_unlock(&engine->lock);
    return phase;
}

/* Its loop and state are made here; the application opens on its own thread. */
static tael_status begin_worker(tael_engine *engine, struct tael_worker *worker, tael_error *err)
{
    tael_status rc = tael_worker_open(worker, err);
    if (rc == TAEL_OK && !engine->world->simulated)
        rc = tael_engine_run_worker(worker);
    return rc;
}

static tael_status await_open(tael_engine *engine, struct tael_worker *worker, tael_error *err)
{
    if (await_worker(engine, worker) == TAEL_WORKER_READY)
        return TAEL_OK;
    pthread_mutex_lock(&engine->lock);
    if (err != NULL)
        *err = engine->failure;
    tael_status rc = engine->failure.status;
    pthread_mutex_unlock(&engine->lock);
    return rc;
}

/* The first makes what all need, in the store and of addresses; then the others open at once. */
static tael_status start_workers(tael_engine *engine, tael_error *err)
{
    int begun = 1;
    tael_status rc = begin_worker(engine, &engine->workers[0], err);
    if (rc == TAEL_OK)
        rc = await_open(engine, &engine->workers[0], err);
    while (rc == TAEL_OK && begun < engine->plan.workers) {
        rc = begin_worker(engine, &engine->workers[begun], err);
        begun += rc == TAEL_OK;
    }
    for (int i = 1; i < begun; i++) {
        tael_error own = {0};
        tael_status ended = await_open(engine, &engine->workers[i], &own);
        if (rc == TAEL_OK && ended != TAEL_OK && err != NULL)
            *err = own;
        rc = rc == TAEL_OK ? ended : rc;
    }
    return rc;
}

/* What has failed stays failed, and what was stopped stays stopped. */
static tael_status start_again(tael_engine *engine, tael_error *err)
{
    if (!atomic_load(&engine->running)) {
        if (err != NULL)
            *err = engine->failure;
        return engine->failure.status;
    }
    if (atomic_load(&engine->stopping) == 0)
        return TAEL_OK;
    tael_error_set(err, TAEL_ECLOSED, "stopped", "it was stopped; open another one");
    return TAEL_ECLOSED;
}

static tael_status start(tael_engine *engine, tael_error *err)
{
    tael_status rc = TAEL_OK;
    tael_error failure = {0};
    if (engine->started)
        return start_again(engine, err);
    engine->started = true;
    if (atomic_load(&engine->stopping) != 0)
        rc = TAEL_ECLOSED;
    for (size_t i = 0; rc == TAEL_OK && i < engine->companion_count; i++)
        rc = tael_engine_start(engine->companions[i], &failure);
    if (rc == TAEL_OK)
        rc = start_workers(engine, &failure);
    if (rc != TAEL_OK) {
        if (failure.status == TAEL_OK)
            tael_error_set(&failure, rc, "start", "%s", tael_status_text(rc));
        if (rc == TAEL_ECLOSED && atomic_load(&engine->stopping) != 0)
            TAEL_LOG(engine->log, TAEL_LOG_INFO, "engine.stopped",
                     tael_log_text("served", "never: it was stopped while it started"));
        else
            TAEL_LOG(engine->log, TAEL_LOG_ERROR, "engine.refused",
                     tael_log_text("error", failure.message));
        pthread_mutex_lock(&engine->lock);
        engine->failure = failure;
        pthread_mutex_unlock(&engine->lock);
        if (err != NULL)
            *err = failure;
        return rc;
    }
    atomic_store(&engine->running, true);
    TAEL_LOG(engine->log, TAEL_LOG_INFO, "engine.started", tael_log_text("app", engine->app),
             tael_log_text("version", tael_version()),
             tael_log_int("workers", engine->plan.workers));
    return TAEL_OK;
}

tael_status tael_engine_start(tael_engine *engine, tael_error *err)
{
    if (engine == NULL) {
        tael_error_set(err, TAEL_EINVAL, "invalid_argument", "there is no engine");
        return TAEL_EINVAL;
    }
    locale_t before = tael_thread_go_plain();
    tael_status rc = start(engine, err);
    tael_thread_go_back(before);
    return rc;
}

/* ---- stopping ---- */

#define DRAIN_MOST_MS (INT64_MAX / 1000) /* timers count microseconds */

void tael_engine_stop(tael_engine *engine, int64_t drain_ms)
{
    if (engine == NULL)
        return;
    int error = errno; /* of what a signal handler has interrupted */
    int64_t at_most_ms = drain_ms > 0 ? drain_ms : engine->plan.drain_ms;
    atomic_store(&engine->drain_ms, at_most_ms < DRAIN_MOST_MS ? at_most_ms : DRAIN_MOST_MS);
    atomic_store(&engine->stopping, 1);
    for (int i = 0; i < engine->plan.workers; i++) {
        struct tael_loop *loop = atomic_load(&engine->workers[i].wakeable);
        if (loop != NULL)
            tael_loop_stop(loop); /* the worker's run sees `stopping` and drains */
    }
    errno = error;
}

static tael_status join_workers(tael_engine *engine)
{
    bool clean = true;
    for (int i = 0; engine->workers != NULL && i < engine->plan.workers; i++) {
        struct tael_worker *worker = &engine->workers[i];
        struct tael_thread thread = worker->thread;
        if (thread.runs && !worker->joined)
            tael_thread_join(&thread);
        else if (engine->world->simulated && !worker->joined &&
                 worker->phase == TAEL_WORKER_READY && !engine->closing)
            tael_worker_run(worker);
        worker->joined = true;
        clean = clean && (worker->clean || worker->phase != TAEL_WORKER_READY);
    }
    return clean ? TAEL_OK : TAEL_ETIMEOUT;
}

static tael_status run(tael_engine *engine)
{
    bool runs = engine != NULL && atomic_load(&engine->running);
    tael_status rc = runs ? TAEL_OK : tael_engine_start(engine, NULL);
    if (rc != TAEL_OK)
        return rc;
    rc = join_workers(engine);
    TAEL_LOG(engine->log, TAEL_LOG_INFO, "engine.stopped",
             tael_log_text("drain", rc == TAEL_OK ? "clean" : "deadline passed"));
    return rc;
}

tael_status tael_engine_run(tael_engine *engine)
{
    locale_t before = tael_thread_go_plain();
    tael_status rc = run(engine);
    tael_thread_go_back(before);
    return rc;
}

void tael_engine_abandon(tael_engine *engine)
{
    engine->closing = true;
    for (size_t i = 0; i < engine->companion_count; i++)
        tael_engine_abandon(engine->companions[i]);
    for (int i = 0; i < engine->plan.workers; i++)
        if (engine->workers[i].loop != NULL)
            tael_sim_kill(engine->workers[i].loop);
}

static void close_workers(tael_engine *engine)
{
    int count = engine->workers != NULL ? engine->plan.workers : 0;
    if (engine->store != NULL)
        tael_store_stop(
            engine->store); /* the queue is finished; its answers lie in the mailboxes */
    engine->settling = true;
    for (int i = 0; i < count; i++)
        tael_worker_settle(&engine->workers[i]);
    for (int i = 0; i < count; i++) {
        struct tael_store_reader *reader = engine->workers[i].host.reader;
        tael_worker_close(&engine->workers[i]);
        tael_store_reader_close(reader);
    }
    tael_store_close(engine->store);
    free(engine->workers);
}

void tael_engine_close(tael_engine *engine)
{
    if (engine == NULL)
        return;
    locale_t before = tael_thread_go_plain();
    if (engine->started && !engine->closing) {
        if (atomic_load(&engine->stopping) == 0)
            tael_engine_stop(engine, 1);
        join_workers(engine);
    }
    close_workers(engine);
    for (size_t i = 0; i < engine->companion_count; i++)
        tael_engine_close(engine->companions[i]);
    for (size_t i = 0; engine->addresses != NULL && i < engine->plan.listener_count; i++)
        free(engine->addresses[i]);
    free(engine->addresses);
    tael_engine_close_tls(engine);
    tael_legacy_free(&engine->legacy);
    tael_route_texts_free(engine->route_texts);
    free(engine->companions);
    tael_plan_free(&engine->plan);
    tael_meter_free(engine->meter);
    tael_shared_keyring_free(engine->keyring);
    tael_log_free(engine->log);
    if (engine->own_world)
        tael_world_free(engine->world);
    pthread_cond_destroy(&engine->changed);
    pthread_mutex_destroy(&engine->lock);
    free(engine->lua_root);
    free(engine->root);
    free(engine->config_path);
    free(engine->config_at);
    free(engine->config_lua);
    free(engine->app);
    free(engine->args_json);
    free(engine);
    tael_thread_go_back(before);
}

const char *tael_engine_address(const tael_engine *engine, const char *listener)
{
    for (size_t i = 0; i < engine->plan.listener_count; i++)
        if (strcmp(engine->plan.listeners[i].name, listener) == 0)
            return engine->addresses[i];
    return NULL;
}
