/* bind.h - what Lua sees: one open function per module, one file each. Contracts: lua/tael/meta.
 * All calls are made on the thread of the state.
 */
#ifndef TAEL_BIND_BIND_H
#define TAEL_BIND_BIND_H

#include <lauxlib.h>

#include "bind/waiting.h"
#include "script/state.h"

int tael_open_json(lua_State *L);     /* tael.json */
int tael_open_crypto(lua_State *L);   /* tael.crypto */
int tael_open_message(lua_State *L);  /* tael.message: inbound bytes, material, evidence */
int tael_open_form(lua_State *L);     /* tael.form */
int tael_open_http(lua_State *L);     /* tael.http */
int tael_open_store(lua_State *L);    /* tael.store */
int tael_open_task(lua_State *L);     /* tael.task */
int tael_open_time(lua_State *L);     /* tael.time */
int tael_open_log(lua_State *L);      /* tael.log */
int tael_open_decimal(lua_State *L);  /* tael.decimal */
int tael_open_engine(lua_State *L);   /* tael.engine */
int tael_open_id(lua_State *L);       /* tael.id */
int tael_open_qr(lua_State *L);       /* tael.qr */
int tael_open_script(lua_State *L);   /* tael.script */
int tael_open_isolate(lua_State *L);  /* tael.isolate */
int tael_open_folder(lua_State *L);   /* tael.folder */
int tael_open_limit(lua_State *L);    /* tael.limit */
int tael_open_terminal(lua_State *L); /* tael.terminal */
int tael_open_text(lua_State *L);     /* tael.text: what a text may hold */
int tael_open_problems(lua_State *L); /* tael.problems: those that the engine answers itself */
int tael_open_routes(lua_State *L);  /* tael.routes: the operator's own endpoints, given as texts */
int tael_open_machine(lua_State *L); /* tael.machine: what tael doctor looks at */

struct tael_route_set;      /* bind/route.h */
struct tael_shared_keyring; /* crypto/keyring.h */

/* What a listener shows. */
struct tael_certificate {
    const char *listener;
    int64_t not_before_ms, not_after_ms;
    char serial[48];
};

/* What the bindings need of the worker they run on: tael_state_host points to this. */
struct tael_host {
    struct tael_world *world;
    struct tael_loop *loop;
    struct tael_log *log;
    struct tael_store *store;         /* NULL: this engine has none */
    struct tael_store_reader *reader; /* this worker's */
    struct tael_http_client *client;  /* this worker's */
    struct tael_meter *meter;         /* the engine's, for all workers; NULL while it is planned */
    struct tael_shared_keyring *keyring; /* the engine's; NULL: this state opens its own */
    bool clock_adjustable;               /* the plan said so: tael.time.advance may be called */
    const atomic_bool *stop; /* the engine is wanted to end; NULL: nobody says so here */
    int worker;              /* 1 … workers */
    int workers;
    size_t held;                  /* by tael.task.hold: a drain waits for them */
    bool draining;                /* a stop has begun: nothing more is held */
    int lua_ref_app;              /* registry reference of the application's table */
    struct tael_waiting *waiting; /* this worker's, for the others; NULL: it is alone */
    /* Reads again what can be replaced while the engine runs. NULL while it is planned. */
    tael_status (*reload)(struct tael_host *host, int *certificates, tael_error *err);
    /* The certificate of the first listener from *at on that has one; *at goes behind it. False:
     * there are no more. NULL while it is planned. */
    bool (*certificate)(struct tael_host *host, size_t *at, struct tael_certificate *out);
    /* Has tael_task_wake_key called on the loops of those other workers that it may concern. Copies
     * key and payload before it returns. NULL: this worker is alone. */
    void (*wake_others)(struct tael_host *host, const char *key, size_t key_len,
                        const char *payload, size_t payload_len);
    void (*let_go)(struct tael_host *host); /* one fewer is held. NULL: nobody waits for that */
    /* From now on this worker's routes are these; NULL: those of the folder. Takes a reference.
     * False: the engine has none. NULL while it is planned. */
    bool (*use_routes)(struct tael_host *host, struct tael_route_set *set);
};

static inline struct tael_host *tael_host_of(lua_State *L)
{
    return (struct tael_host *)tael_state_host(tael_state_of(L));
}

/* What task_keep.c and task_hold.c add to tael.task: a function each and its metatable. */
int tael_task_keep(lua_State *L);
void tael_open_task_keep(lua_State *L);
int tael_task_hold(lua_State *L);
void tael_open_task_hold(lua_State *L);

/* [loop] Wakes the tasks of this state that wait for key in tael.task.wait. Copies the payload. */
void tael_task_wake_key(struct tael_state *state, const char *key, size_t key_len,
                        const char *payload, size_t payload_len);

/* The host, for functions that cannot do without; raises where there is none (a plain interpreter).
 */
static inline struct tael_host *tael_host_check(lua_State *L, const char *name)
{
    struct tael_host *host = tael_host_of(L);
    if (host == NULL)
        luaL_error(L, "%s: only inside the engine", name);
    return host;
}

/* Raises when L runs a channel's pure function: name has effects or looks at the world. */
static inline void tael_refuse_pure(lua_State *L, const char *name)
{
    if (tael_task_context(L) == TAEL_CTX_PURE)
        luaL_error(L, "%s: not allowed in a pure function", name);
}

/* Pushes nil, {code=, message=}; returns 2. For what the world may do; misuse raises instead. */
static inline int tael_bind_fail(lua_State *L, const char *code, const char *message)
{
    lua_pushnil(L);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    return 2;
}

/* Fields of the table on top. */
static inline void tael_set_integer(lua_State *L, const char *name, int64_t value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static inline void tael_set_text(lua_State *L, const char *name, const char *text) /* NULL: none */
{
    if (text == NULL)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static inline void tael_set_span(lua_State *L, const char *name, struct tael_span text)
{
    lua_pushlstring(L, text.len > 0 ? text.data : "", text.len);
    lua_setfield(L, -2, name);
}

#endif
