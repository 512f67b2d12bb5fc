/* engine.h - the engine's own rooms: what engine.c, engine_plan.c and engine_worker.c share.
 *
 * An engine runs one application: a Lua module that plans (listeners, store, workers), opens on
 * every worker and handles requests (contract: lua/tael/meta/application.lua). C knows nothing else
 * of it. Life: open (plan, world, store) -> start (workers one after the other, each
 * open before the next) -> stop (drain) -> close. Companions are engines that the plan names: they
 * start before and close after their owner. Threads: the opener's thread owns the engine; each
 * worker owns what stands in struct tael_worker once its thread runs; posting mail and stopping
 * loops are the only things done from outside.
 */
#ifndef TAEL_ENGINE_H
#define TAEL_ENGINE_H

#include "tael.h"

#include <stdatomic.h>
#include <stdbool.h>

#include <pthread.h>

#include "base/log.h"
#include "base/meter.h"
#include "base/thread.h"
#include "base/world.h"
#include "bind/bind.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/tls_server.h"
#include "script/state.h"
#include "store/store.h"

struct tael_plan_listener {
    const char *name, *address;
    const char *tls_cert, *tls_key; /* files; NULL: without TLS */
};

struct tael_plan_body_limit {
    const char *prefix, *suffix; /* of paths; suffix NULL: any */
    size_t max;
};

struct tael_plan_routes { /* endpoints of the operator's own (engine_routes.h) */
    const char *listener; /* NULL: none */
    const char *prefix;   /* "/r/" */
    const char *folder;   /* that holds NAME.lua */
    const char *shown;    /* the same in messages */
};

struct tael_plan_companion {
    const char *app, *args_json;
};

/* What one process leaves to the next: the owner's lock of the store and sockets that listen. The
 * descriptors are the legacy's. */
struct tael_legacy_socket {
    int fd;
    char name[32];     /* of the listener */
    char address[128]; /* the real one */
};

struct tael_legacy {
    int lock_fd; /* -1: none, or somebody's by now */
    struct tael_legacy_socket *sockets;
    size_t count;
};

struct tael_plan { /* what the application asked for; all memory is the plan's */
    int workers;
    int64_t drain_ms;
    tael_log_level log_level;
    bool clock_adjustable;
    struct tael_plan_listener *listeners;
    size_t listener_count;
    struct tael_http_limits limits;
    struct tael_http_client_options client;
    struct tael_plan_body_limit *body_limits;
    size_t body_limit_count;
    struct tael_plan_routes routes;
    const char **folders;
    size_t folder_count;
    bool has_store;
    struct tael_store_options store; /* world and log are set by the engine */
    const char *pass_json;           /* plain data for app.open */
    const char *handover;            /* path of the socket that a successor asks at; NULL: none */
    struct tael_plan_companion *companions;
    size_t companion_count;
    struct tael_plan_block *blocks; /* memory */
};

/* What a host of libtael does not see: another application, another world (tests), arguments. */
struct tael_engine_setup {
    const char *app;          /* Lua module; NULL: "tael.server" */
    const char *args_json;    /* JSON handed to app.plan as options.args; NULL: {} */
    struct tael_world *world; /* NULL: a real one, made and freed by the engine */
    const atomic_bool *stop;  /* true ends scripts that are being loaded; outlives the engine */
    /* Asked when the plan is made and nothing of it is open yet: what another process leaves to
     * this engine. NULL: nothing. */
    tael_status (*inherit)(void *user, const struct tael_plan *plan, struct tael_legacy *legacy,
                           tael_error *err);
    void *inherit_user;
};

enum tael_worker_phase { TAEL_WORKER_STARTING, TAEL_WORKER_READY, TAEL_WORKER_FAILED };

struct tael_worker {
    struct tael_engine *engine;
    int number; /* 1 … */
    struct tael_loop *loop;
    _Atomic(struct tael_loop *)
        wakeable; /* loop, for tael_engine_stop; NULL when not to be touched */
    struct tael_state *state;
    struct tael_http_server *server;
    struct tael_routes *routes; /* NULL: the plan has none */
    struct tael_host host;
    struct tael_waiting waiting;
    struct tael_thread thread;    /* written before `running`, then only read */
    bool joined;                  /* the owner's */
    enum tael_worker_phase phase; /* under engine->lock */
    bool ended;                   /* it takes no calls any more; under engine->lock */
    struct tael_timer *deadline;  /* of the ebb, then of the drain */
    struct tael_timer *tls_look;  /* at the files of certificates; worker 1 */
    bool leaving, resumed, draining, http_drained, late, drained, clean;
    bool closing; /* nothing may ask the state any more */
    size_t calls; /* in-process calls not yet answered; the worker's thread */
};

struct tael_engine {
    struct tael_world *world;
    bool own_world;
    struct tael_log *log;
    struct tael_meter *meter;
    struct tael_shared_keyring *keyring;
    const atomic_bool *stop;
    char *lua_root, *root, *config_path, *config_lua, *app, *args_json;
    char *config_at; /* config_path from the root of the file system; that is what is shown */
    bool dev, listen, started, closing;
    bool settling; /* the workers' threads have ended */
    bool succeeds; /* another engine may serve until this one is planned */
    bool inherits; /* it began with another's sockets, which are its own once it runs */
    struct tael_plan plan;
    struct tael_store *store;
    struct tael_worker *workers;
    struct tael_route_texts *route_texts; /* NULL: the plan has no routes */
    struct tael_tls_server **tls; /* of the plan's listeners; NULL: without; some share one */
    char **addresses;             /* of the plan's listeners, with real ports; set by worker 1 */
    tael_engine **companions;
    size_t companion_count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    tael_error failure;  /* of a start; under lock */
    atomic_bool running; /* all workers are ready: calls may come */
    atomic_size_t calls; /* in-process calls not yet answered */
    atomic_int stopping;
    atomic_bool handing_over;  /* the stop is for a successor: sockets and lock are to be left */
    struct tael_legacy legacy; /* of or for another process; under lock while workers run */
    atomic_int_fast64_t drain_ms;
    atomic_uint next_worker;
};

tael_status tael_engine_open_app(tael_engine **out, const tael_options *options,
                                 const struct tael_engine_setup *setup, tael_error *err);

/* The engine dies where it stands (simulated world): nothing more is written, answered or drained.
 */
void tael_engine_abandon(tael_engine *engine);

/* Address of a listener of the plan, with its real port; NULL before start. */
const char *tael_engine_address(const tael_engine *engine, const char *listener);

/* Starts the worker's thread. */
tael_status tael_engine_run_worker(struct tael_worker *worker);

/* ---- engine_plan.c ---- */

tael_status tael_plan_make(struct tael_plan *plan, tael_engine *engine, tael_error *err);
void tael_plan_free(struct tael_plan *plan);

/* Pushes what the engine itself wrote as JSON, however large. Raises. */
void tael_engine_push_json(lua_State *L, const char *text);
void tael_error_set(tael_error *err, tael_status status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- engine_modules.c, engine_root.c ---- */

/* Registers every C module of bind/ in the state. */
tael_status tael_engine_preload(struct tael_state *state);
/* The folder of Tael's own Lua when nobody names one; the caller's, NULL: not found. */
char *tael_engine_find_lua(void);

/* ---- engine_tls.c ---- */

tael_status tael_engine_open_tls(tael_engine *engine, tael_error *err);
void tael_engine_close_tls(tael_engine *engine); /* after the workers */
/* [any thread] Loads the certificates' files again. What cannot be loaded stays as it is; err tells
 * the first failure, the log all of them. */
tael_status tael_engine_reload_tls(tael_engine *engine, tael_error *err);
bool tael_worker_certificate(struct tael_host *host, size_t *at, struct tael_certificate *out);
/* Begins to look at the files once a second. */
tael_status tael_worker_watch_tls(struct tael_worker *worker);

/* ---- engine_handover.c ---- */

/* [any thread] Begins a stop that leaves the listening sockets open: tael_engine_run returns when
 * all is drained, the legacy then holds them. TAEL_ECLOSED: it does not run, or stops already. */
tael_status tael_engine_hand_over(tael_engine *engine);
/* After that: nothing of the engine writes any more; the legacy has the lock, too (still ours, as
 * well). Opener's thread, like the next two. */
void tael_engine_pause(tael_engine *engine);
/* The successor did not take over: serves again. On failure the engine can only be closed. */
tael_status tael_engine_resume(tael_engine *engine, tael_error *err);
/* Closes what the legacy holds: whoever has it by other descriptors keeps it. */
void tael_legacy_free(struct tael_legacy *legacy);
/* fd is the legacy's, on failure closed. */
tael_status tael_legacy_add(struct tael_legacy *legacy, const char *name, const char *address,
                            int fd);
enum { TAEL_LEGACY_NONE = -1, TAEL_LEGACY_FAILED = -2 };
/* A copy of a socket of that listener, the n-th for this worker. NONE: no more, *any tells whether
 * there is one for other workers. FAILED: there is one, but no descriptor for it. */
int tael_legacy_socket_for(const struct tael_legacy *legacy,
                           const struct tael_plan_listener *listener, int worker, int workers,
                           size_t n, bool *any);
/* The worker's part: what a stop does before it drains, and how it begins anew. */
bool tael_worker_ebb(struct tael_worker *worker);
void tael_worker_share(struct tael_worker *worker);

/* ---- engine_reload.c ---- */

/* [any thread, until close] As SIGHUP asks: has the application read again what it can. false: it
 * has not started yet, or is stopping; ask once more when it runs. */
bool tael_engine_hang_up(tael_engine *engine);
tael_status tael_worker_reload(struct tael_host *host, int *certificates, tael_error *err);

/* ---- engine_worker.c ---- */

tael_status tael_worker_open(struct tael_worker *worker, tael_error *err);
/* Runs the loop until the worker has drained. */
void tael_worker_run(struct tael_worker *worker);
void tael_worker_settle(struct tael_worker *worker); /* delivers the mail that is left */
void tael_worker_close(struct tael_worker *worker);
/* Opens the plan's listeners, on inherited sockets where there are any. */
tael_status tael_worker_listen(struct tael_worker *worker, tael_error *err);
/* The drain is over when sockets and calls are done with, or its time has passed. */
void tael_worker_end_drain(struct tael_worker *worker);

/* ---- engine_wake.c ---- */

/* tael_host.wake_others */
void tael_worker_wake_others(struct tael_host *host, const char *key, size_t key_len,
                             const char *payload, size_t payload_len);

/* ---- engine_request.c ---- */

/* Pushes the application's function of that name, or nil. */
void tael_worker_push_app(lua_State *L, const struct tael_worker *worker, const char *name);
void tael_worker_on_request(void *user, struct tael_http_request *request);
void tael_worker_on_gone(void *user, struct tael_http_request *request);
size_t tael_worker_on_body_max(void *user, const struct tael_http_request *head);
/* What app.name() gives, to out of TAEL_HTTP_NAME_MAX bytes; false: nothing that may be sent. */
bool tael_worker_name(void *user, char *out);
struct tael_worker_refusal { /* texts; NULL: none */
    const char *code;        /* the application's word */
    const char *detail;
    const char *allow; /* methods */
    const char *fault; /* for the log alone: may hold what no client is told */
};
/* Answers as app.refuse(request, refusal) says. */
void tael_worker_refuse(struct tael_worker *worker, struct tael_http_request *request,
                        const struct tael_worker_refusal *refusal);
/* Asks app.admit(request) who calls. It gives {admitted = table}, then admitted(user, L) is called
 * with that table on top and has to answer; or it gives an answer, or fails, which answers: then
 * admitted(user, NULL) is called. Once, perhaps before this returns. */
void tael_worker_admit(struct tael_worker *worker, struct tael_http_request *request,
                       void (*admitted)(void *user, lua_State *L), void *user);
tael_status tael_worker_call(struct tael_worker *worker, const char *method, const char *path,
                             const char *json, const char *merchant, tael_response_fn fn,
                             void *user);

#endif
