/* engine_worker.c - one worker's life: opening its loop, Lua state and HTTP server, running,
 * draining, closing. The way of a request through them is engine_request.c.
 *
 * Everything here runs on the worker's thread, except tael_worker_open (before the thread runs) and
 * tael_worker_settle/close (after it has ended).
 */
#include "tael.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>

#include <lauxlib.h>
#include <lua.h>

#include "engine.h"
#include "engine_routes.h"

/* ---- opening ---- */

static void set_phase(struct tael_worker *worker, enum tael_worker_phase phase,
                      const tael_error *err)
{
    struct tael_engine *engine = worker->engine;
    pthread_mutex_lock(&engine->lock);
    worker->phase = phase;
    if (err != NULL)
        engine->failure = *err;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    if (engine->world->simulated)
        tael_loop_stop(worker->loop); /* gives control back to tael_engine_start */
}

/* What cannot be listened on is named as the plan names it. */
static tael_status refuse_listener(const struct tael_plan_listener *listener, tael_status rc,
                                   tael_error *err)
{
    rc = rc == TAEL_EBUSY ? TAEL_ENETWORK : rc;
    tael_error_set(err, rc, "listen", "cannot listen on %s (%s): %s", listener->address,
                   listener->name,
                   rc == TAEL_ENETWORK ? "in use by another program, or not an address "
                                         "of this machine"
                                       : tael_status_text(rc));
    return rc;
}

/* The first one that listens tells where: the others follow to the port that it got. */
static tael_status note_address(struct tael_engine *engine, size_t i, const char *real)
{
    bool mine = false;
    pthread_mutex_lock(&engine->lock);
    if (engine->addresses[i] == NULL) {
        engine->addresses[i] = strdup(real);
        mine = true;
    }
    bool noted = engine->addresses[i] != NULL;
    pthread_mutex_unlock(&engine->lock);
    if (mine && noted)
        TAEL_LOG(engine->log, TAEL_LOG_INFO, "engine.listening",
                 tael_log_text("name", engine->plan.listeners[i].name),
                 tael_log_text("address", real));
    return noted ? TAEL_OK : TAEL_ENOMEM;
}

static tael_status listen_at(struct tael_worker *worker, size_t i, const char *address,
                             tael_error *err)
{
    struct tael_engine *engine = worker->engine;
    const struct tael_plan_listener *listener = &engine->plan.listeners[i];
    const char *real = NULL;
    tael_status rc =
        tael_http_server_listen_tls(worker->server, listener->name, address, engine->tls[i], &real);
    return rc == TAEL_OK ? note_address(engine, i, real) : refuse_listener(listener, rc, err);
}

/* *any: the address is served by sockets that were left to us, by this worker or others. */
static tael_status listen_inherited(struct tael_worker *worker, size_t i, bool *any,
                                    tael_error *err)
{
    struct tael_engine *engine = worker->engine;
    char address[32];
    int fd;
    for (size_t n = 0;
         (fd = tael_legacy_socket_for(&engine->legacy, &engine->plan.listeners[i], worker->number,
                                      engine->plan.workers, n, any)) >= 0;
         n++) {
        snprintf(address, sizeof(address), "%s%d", TAEL_LISTEN_GIVEN, fd);
        tael_status rc = listen_at(worker, i, address, err);
        if (rc != TAEL_OK)
            return rc;
    }
    return fd == TAEL_LEGACY_NONE ? TAEL_OK
                                  : refuse_listener(&engine->plan.listeners[i], TAEL_ELIMIT, err);
}

static tael_status listen_new(struct tael_worker *worker, size_t i, tael_error *err)
{
    struct tael_engine *engine = worker->engine;
    const struct tael_plan_listener *listener = &engine->plan.listeners[i];
    bool first = worker->number == 1;
    char address[160]; /* the first worker alone */
    int len = snprintf(address, sizeof(address), "%s%s", first ? TAEL_LISTEN_ALONE : "",
                       first ? listener->address : engine->addresses[i]);
    if (len <= 0 || (size_t)len >= sizeof(address))
        return refuse_listener(listener, TAEL_EINVAL, err);
    return listen_at(worker, i, address, err);
}

tael_status tael_worker_listen(struct tael_worker *worker, tael_error *err)
{
    const struct tael_engine *engine = worker->engine;
    for (size_t i = 0; engine->listen && i < engine->plan.listener_count; i++) {
        const struct tael_plan_listener *listener = &engine->plan.listeners[i];
        bool local = strncmp(listener->address, "unix:", 5) == 0, any = false;
        if (worker->number > 1 && local)
            continue;
        tael_status rc = listen_inherited(worker, i, &any, err);
        if (rc == TAEL_OK && !any)
            rc = listen_new(worker, i, err);
        if (rc != TAEL_OK)
            return rc;
    }
    return TAEL_OK;
}

static const tael_error stopped_early = {TAEL_ECLOSED, "stopped", "stopped before it had started"};

static void open_done(void *user, tael_status status, lua_State *L, int count, const char *message)
{
    struct tael_worker *worker = user;
    tael_error err = {0};
    if (worker->draining) { /* whoever came to a listener of ours now would be cut off */
        set_phase(worker, TAEL_WORKER_FAILED, &stopped_early);
        return;
    }
    if (status == TAEL_OK && count >= 2 && lua_isnil(L, -count)) { /* nil, err */
        status = TAEL_ECONFIG;
        if (lua_istable(L, -count + 1))
            lua_getfield(L, -count + 1, "message");
        message = lua_tostring(L, -1);
    }
    if (status == TAEL_OK)
        status = tael_worker_listen(worker, &err);
    else
        tael_error_set(&err, status, "open", "%s",
                       message != NULL ? message : tael_status_text(status));
    if (status == TAEL_OK) {
        set_phase(worker, TAEL_WORKER_READY, NULL);
        return;
    }
    if (err.status == TAEL_OK)
        tael_error_set(&err, status, "open", "%s", tael_status_text(status));
    set_phase(worker, TAEL_WORKER_FAILED, &err);
}

static int load_app(lua_State *L)
{
    struct tael_worker *worker = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushstring(L, worker->engine->app);
    lua_call(L, 1, 1);
    if (!lua_istable(L, -1) || lua_getfield(L, -1, "handle") != LUA_TFUNCTION)
        return luaL_error(L, "%s: not an application (no function handle)", worker->engine->app);
    lua_pop(L, 1);
    worker->host.lua_ref_app = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int nothing_to_open(lua_State *L)
{
    (void)L;
    return 0;
}

static int prepare_open(lua_State *L, void *arg)
{
    struct tael_worker *worker = arg;
    tael_worker_push_app(L, worker, "open");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushcfunction(L, nothing_to_open);
    }
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, worker->number);
    lua_setfield(L, -2, "worker");
    lua_pushinteger(L, worker->engine->plan.workers);
    lua_setfield(L, -2, "workers");
    tael_engine_push_json(L, worker->engine->plan.pass_json);
    lua_setfield(L, -2, "pass");
    return 2;
}

/* Half of the worker's share of the process's descriptors: the rest is for channels, the store and
 * connections that are just ending. */
static size_t connections_max(const struct tael_engine *engine)
{
    struct rlimit files;
    size_t most = engine->plan.limits.connections != 0 ? engine->plan.limits.connections : 20000;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return most;
    size_t share = (size_t)files.rlim_cur / (size_t)engine->plan.workers / 2;
    return share > 0 && share < most ? share : most;
}

static tael_status open_server(struct tael_worker *worker)
{
    struct tael_engine *engine = worker->engine;
    struct tael_http_server_options options = {
        .loop = worker->loop,
        .log = engine->log,
        .limits = engine->plan.limits,
        .handler = {.request = tael_worker_on_request,
                    .gone = tael_worker_on_gone,
                    .body_max = tael_worker_on_body_max,
                    .name = tael_worker_name,
                    .user = worker},
    };
    options.limits.connections = connections_max(engine);
    tael_status rc = tael_http_client_new(&worker->host.client, worker->loop, &engine->plan.client);
    if (rc == TAEL_OK)
        rc = tael_http_server_new(&worker->server, &options);
    if (rc == TAEL_OK && engine->store != NULL)
        rc = tael_store_reader_open(&worker->host.reader, engine->store);
    return rc;
}

static void on_deadline(void *user);

static void let_go(struct tael_host *host)
{
    struct tael_worker *worker =
        (struct tael_worker *)((char *)host - offsetof(struct tael_worker, host));
    if (worker->draining)
        tael_worker_end_drain(worker);
}

tael_status tael_worker_open(struct tael_worker *worker, tael_error *err)
{
    struct tael_engine *engine = worker->engine;
    struct tael_task *task;
    tael_status rc = tael_loop_new(engine->world, &worker->loop);
    if (rc != TAEL_OK)
        goto failed;
    atomic_store(&worker->wakeable, worker->loop);
    rc = TAEL_ENOMEM;
    worker->deadline = tael_timer_new(worker->loop, on_deadline, worker);
    if (worker->deadline == NULL)
        goto failed;
    worker->host = (struct tael_host){
        .world = engine->world,
        .loop = worker->loop,
        .log = engine->log,
        .store = engine->store,
        .meter = engine->meter,
        .keyring = engine->keyring,
        .stop = engine->stop,
        .clock_adjustable = engine->plan.clock_adjustable,
        .worker = worker->number,
        .workers = engine->plan.workers,
        .lua_ref_app = LUA_NOREF,
        .waiting = &worker->waiting,
        .reload = tael_worker_reload,
        .certificate = tael_worker_certificate,
        .wake_others = tael_worker_wake_others,
        .let_go = let_go,
        .use_routes = tael_worker_use_routes,
    };
    struct tael_state_options options = {.loop = worker->loop,
                                         .log = engine->log,
                                         .lua_root = engine->lua_root,
                                         .host = &worker->host,
                                         .awake = &worker->waiting.awake};
    rc = tael_state_new(&worker->state, &options, err);
    if (rc == TAEL_OK)
        rc = tael_engine_preload(worker->state);
    if (rc == TAEL_OK)
        rc = open_server(worker);
    if (rc == TAEL_OK && engine->plan.routes.listener != NULL)
        rc = tael_routes_new(&worker->routes, worker);
    if (rc != TAEL_OK)
        goto failed;
    rc = tael_worker_watch_tls(worker);
    if (rc != TAEL_OK)
        goto failed;
    rc = tael_state_call(worker->state, load_app, worker, err);
    if (rc != TAEL_OK)
        return rc;
    rc = tael_task_spawn(worker->state, prepare_open, worker, open_done, worker, &task);
    if (rc == TAEL_OK)
        return rc;
failed:
    if (err != NULL && err->status == TAEL_OK)
        tael_error_set(err, rc, "worker", "cannot open worker %d: %s", worker->number,
                       rc == TAEL_ELIMIT ? "no descriptors are left" : tael_status_text(rc));
    return rc;
}

/* ---- running and draining ---- */

void tael_worker_end_drain(struct tael_worker *worker)
{
    size_t under_way = worker->calls + worker->host.held;
    if (worker->drained || !worker->http_drained || (under_way > 0 && !worker->late))
        return;
    worker->drained = true;
    worker->clean = worker->clean && under_way == 0;
    tael_loop_stop(worker->loop);
}

static void http_drained(void *user, bool clean)
{
    struct tael_worker *worker = user;
    worker->http_drained = true;
    worker->clean = clean;
    tael_worker_end_drain(worker);
}

/* Requests that only wait for news end now: their tasks wait for this key. */
static const char drain_key[] = "engine.drain", resume_key[] = "engine.resume";

static void begin_drain(struct tael_worker *worker)
{
    int64_t drain_ms = atomic_load(&worker->engine->drain_ms);
    worker->draining = worker->host.draining = true;
    if (worker->number == 1)
        TAEL_LOG(worker->engine->log, TAEL_LOG_INFO, "engine.draining",
                 tael_log_int("at_most_ms", drain_ms));
    tael_worker_share(worker);
    tael_task_wake_key(worker->state, drain_key, sizeof(drain_key) - 1, "", 0);
    tael_timer_start(worker->deadline, drain_ms * 1000);
    tael_http_server_drain(worker->server, drain_ms, http_drained, worker);
}

static void on_deadline(void *user)
{
    struct tael_worker *worker = user;
    if (!worker->draining) { /* it was the ebb's */
        begin_drain(worker);
        return;
    }
    worker->late = true;
    tael_worker_end_drain(worker);
}

static void leave(struct tael_worker *worker)
{
    worker->leaving = true;
    if (!tael_worker_ebb(worker))
        begin_drain(worker);
}

struct settle {
    struct tael_mail mail; /* first */
    struct tael_loop *loop;
    bool done;
};

static void settled(struct tael_mail *mail)
{
    struct settle *settle = (struct settle *)mail;
    settle->done = true;
    tael_loop_stop(settle->loop);
}

void tael_worker_settle(struct tael_worker *worker)
{
    if (worker->loop == NULL || worker->engine->world->simulated)
        return;
    struct settle settle = {{NULL, settled}, worker->loop, false};
    tael_loop_post(worker->loop, &settle.mail);
    while (!settle.done) /* an earlier stop may end the first run at once */
        tael_loop_run(worker->loop);
}

/* Whoever was let in before the end and comes after it is answered here: he may be the one who
 * would close the engine. */
static void end(struct tael_worker *worker)
{
    pthread_mutex_lock(&worker->engine->lock);
    worker->ended = !worker->engine->world->simulated;
    pthread_mutex_unlock(&worker->engine->lock);
    tael_worker_settle(worker);
}

void tael_worker_run(struct tael_worker *worker)
{
    struct tael_engine *engine = worker->engine;
    if (worker->resumed)
        tael_task_wake_key(worker->state, resume_key, sizeof(resume_key) - 1, "", 0);
    while (!worker->drained) {
        if (atomic_load(&engine->stopping) != 0 && !worker->leaving)
            leave(worker);
        if (tael_loop_run(worker->loop) == TAEL_ENOTFOUND)
            break; /* a simulated world in which nothing is left to happen */
    }
    end(worker);
    if (worker->phase == TAEL_WORKER_STARTING) /* tael_engine_start waits */
        set_phase(worker, TAEL_WORKER_FAILED, &stopped_early);
}

void tael_worker_close(struct tael_worker *worker)
{
    atomic_store(&worker->wakeable, NULL);
    worker->closing = true;
    tael_state_free(
        worker->state); /* cancels the tasks: their undos still find client and server */
    tael_routes_free(worker->routes);
    tael_http_server_free(worker->server);
    tael_http_client_free(worker->host.client);
    tael_timer_free(worker->deadline);
    tael_timer_free(worker->tls_look);
    tael_loop_free(worker->loop);
    worker->deadline = NULL;
    worker->tls_look = NULL;
    worker->state = NULL;
    worker->routes = NULL;
    worker->server = NULL;
    worker->host.client = NULL;
    worker->loop = NULL;
}
