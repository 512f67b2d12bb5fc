/* task.c - tael.task: tasks, what they wait for, the tenant they act for. Contract:
 * lua/tael/meta/task.lua.
 *
 * Waiters live in a hash table of their state, keyed by the string they wait for. A waiter is a
 * userdata on the stack of its coroutine, which also holds its key. It is in the table exactly
 * while its task waits: waking, the deadline and the task's undo each take it out.
 */
#include <stdlib.h>

#include <lauxlib.h>

#include "bind/bind.h"

enum {
    BUCKETS_MIN = 64,
    WAIT_MAX_MS = 24 * 60 * 60 * 1000,
};

/* For what belongs to the task itself: a coroutine inside it would act for nobody. */
static struct tael_task *check_task(lua_State *L, const char *name)
{
    struct tael_task *task = tael_task_here(L);
    if (task == NULL)
        luaL_error(L, "%s: only in a task", name);
    return task;
}

/* ---- waiters ---- */

struct waiter {
    struct tael_task *task;
    struct tael_timer *timer;
    struct waiters *table;
    struct waiter *next, **link; /* link NULL: not in the table */
    atomic_uint *counted;        /* what the other workers see of it; NULL: there are none */
    uint64_t hash;
    struct tael_span key; /* a Lua string on the coroutine's stack */
    char *payload;
    size_t payload_len;
    bool woken, starved; /* starved: woken, but the payload did not fit into memory */
};

struct waiters {
    struct waiter **buckets;
    size_t cap, count; /* cap is a power of two */
};

static const char waiters_key; /* its address names the table in the registry */

/* At the end of its chain: who waited first is woken first. */
static void link_waiter(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter **at = &waiters->buckets[waiter->hash & (waiters->cap - 1)];
    while (*at != NULL)
        at = &(*at)->next;
    waiter->next = NULL;
    waiter->link = at;
    *at = waiter;
}

static bool grow(struct waiters *waiters)
{
    size_t old_cap = waiters->cap;
    struct waiter **old = waiters->buckets;
    size_t cap = old_cap > 0 ? old_cap * 2 : BUCKETS_MIN;
    struct waiter **buckets = calloc(cap, sizeof(*buckets));
    if (buckets == NULL)
        return old_cap > 0; /* longer chains will do */
    waiters->buckets = buckets;
    waiters->cap = cap;
    for (size_t i = 0; i < old_cap; i++) {
        for (struct waiter *waiter = old[i], *next; waiter != NULL; waiter = next) {
            next = waiter->next;
            link_waiter(waiters, waiter);
        }
    }
    free(old);
    return true;
}

static void unlink_waiter(struct waiter *waiter)
{
    if (waiter->link == NULL)
        return;
    *waiter->link = waiter->next;
    if (waiter->next != NULL)
        waiter->next->link = waiter->link;
    waiter->link = NULL;
    waiter->table->count--;
    if (waiter->counted != NULL)
        atomic_fetch_sub(waiter->counted, 1);
}

static int waiters_free(lua_State *L)
{
    struct waiters *waiters = lua_touserdata(L, 1);
    free(waiters->buckets);
    *waiters = (struct waiters){0};
    return 0;
}

/* The table of L's state, made on first use. */
static struct waiters *check_waiters(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &waiters_key) != LUA_TUSERDATA) {
        struct waiters *made = lua_newuserdatauv(L, sizeof(*made), 0);
        *made = (struct waiters){0};
        luaL_setmetatable(L, "tael.task.waiters");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &waiters_key);
    }
    struct waiters *waiters = lua_touserdata(L, -1);
    if (waiters->count >= waiters->cap && !grow(waiters))
        luaL_error(L, "task.wait: out of memory");
    return waiters;
}

/* ---- wait ---- */

static void waiter_fired(void *user) /* the deadline */
{
    struct waiter *waiter = user;
    unlink_waiter(waiter);
    tael_task_wake(waiter->task);
}

static void waiter_undo(void *op)
{
    struct waiter *waiter = op;
    unlink_waiter(waiter);
    tael_timer_stop(waiter->timer);
}

static int waiter_close(lua_State *L)
{
    struct waiter *waiter = lua_touserdata(L, 1);
    tael_timer_free(waiter->timer);
    free(waiter->payload);
    waiter->timer = NULL;
    waiter->payload = NULL;
    return 0;
}

static int wait_continue(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    struct waiter *waiter = lua_touserdata(L, 2);
    tael_timer_free(waiter->timer);
    waiter->timer = NULL;
    if (waiter->starved)
        return luaL_error(L, "task.wait: out of memory");
    if (waiter->woken)
        lua_pushlstring(L, waiter->payload_len > 0 ? waiter->payload : "", waiter->payload_len);
    else
        luaL_pushfail(L);
    free(waiter->payload); /* had the push raised: __gc does it */
    waiter->payload = NULL;
    return 1;
}

/* task.wait(key, timeout_ms) -> payload | nil */
static int task_wait(lua_State *L)
{
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, "task.wait");
    struct tael_span key;
    key.data = luaL_checklstring(L, 1, &key.len);
    lua_Integer timeout_ms = luaL_checkinteger(L, 2);
    luaL_argcheck(L, timeout_ms >= 0 && timeout_ms <= WAIT_MAX_MS, 2, "0 ms to one day");
    lua_settop(L, 1);
    struct waiter *waiter = lua_newuserdatauv(L, sizeof(*waiter), 0);
    *waiter = (struct waiter){.task = task, .key = key, .hash = tael_waiting_hash(key)};
    luaL_setmetatable(L, "tael.task.waiter");
    waiter->table = check_waiters(L);
    lua_settop(L, 2);
    waiter->timer = tael_timer_new(tael_state_loop(tael_state_of(L)), waiter_fired, waiter);
    if (waiter->timer == NULL)
        return luaL_error(L, "task.wait: out of memory");
    link_waiter(waiter->table, waiter);
    waiter->table->count++;
    const struct tael_host *host = tael_host_of(L);
    if (host != NULL && host->waiting != NULL) {
        waiter->counted = tael_waiting_place(host->waiting, waiter->hash);
        atomic_fetch_add(waiter->counted, 1);
    }
    tael_timer_start(waiter->timer, timeout_ms * 1000);
    tael_task_wait(task, waiter_undo, waiter);
    return lua_yieldk(L, 0, 0, wait_continue);
}

/* ---- wake ---- */

static void wake_waiter(struct waiter *waiter, struct tael_span payload)
{
    unlink_waiter(waiter);
    tael_timer_stop(waiter->timer);
    waiter->woken = true;
    if (payload.len > 0) {
        waiter->payload = malloc(payload.len);
        if (waiter->payload != NULL) {
            memcpy(waiter->payload, payload.data, payload.len);
            waiter->payload_len = payload.len;
        } else {
            waiter->starved = true;
        }
    }
    tael_task_wake(waiter->task);
}

void tael_task_wake_key(struct tael_state *state, const char *key, size_t key_len,
                        const char *payload, size_t payload_len)
{
    lua_State *L = tael_state_lua(state);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &waiters_key); /* neither allocates nor raises */
    struct waiters *waiters = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (waiters == NULL || waiters->count == 0)
        return;
    uint64_t hash = tael_waiting_hash((struct tael_span){key, key_len});
    struct waiter *waiter = waiters->buckets[hash & (waiters->cap - 1)];
    for (struct waiter *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        if (waiter->hash == hash && waiter->key.len == key_len &&
            memcmp(waiter->key.data, key, key_len) == 0)
            wake_waiter(waiter, (struct tael_span){payload, payload_len});
    }
}

/* task.wake(key, payload?) */
static int task_wake(lua_State *L)
{
    struct tael_span key, payload;
    tael_refuse_pure(L, "task.wake");
    struct tael_host *host = tael_host_check(L, "task.wake");
    key.data = luaL_checklstring(L, 1, &key.len);
    payload.data = luaL_optlstring(L, 2, "", &payload.len);
    tael_task_wake_key(tael_state_of(L), key.data, key.len, payload.data, payload.len);
    if (host->wake_others != NULL)
        host->wake_others(host, key.data, key.len, payload.data, payload.len);
    return 0;
}

/* ---- last ---- */

static int last_continue(lua_State *L, int status, lua_KContext context)
{
    (void)L, (void)status, (void)context;
    return 0;
}

/* task.last(alike?) */
static int task_last(lua_State *L)
{
    bool alike = lua_toboolean(L, 1) != 0;
    tael_task_wait_last(tael_task_of(L, TAEL_CTX_TASK, "task.last"), alike);
    return lua_yieldk(L, 0, 0, last_continue);
}

/* ---- spawn ---- */

struct spawned { /* what a handle and the task's end share; the later of the two frees it */
    struct tael_task *task; /* NULL: has ended */
    struct tael_log *log;
    bool held; /* the handle is alive */
};

struct spawn {
    lua_State *from;
    int count;
};

static int prepare_spawn(lua_State *L, void *arg)
{
    struct spawn *spawn = arg;
    luaL_checkstack(L, spawn->count, "too many arguments");
    lua_xmove(spawn->from, L, spawn->count);
    return spawn->count;
}

static void spawned_done(void *user, tael_status status, lua_State *L, int count,
                         const char *message)
{
    (void)L, (void)count;
    struct spawned *spawned = user;
    if (status != TAEL_OK && status != TAEL_ECLOSED)
        TAEL_LOG(spawned->log, TAEL_LOG_ERROR, "task.failed", tael_log_text("message", message));
    spawned->task = NULL;
    if (!spawned->held)
        free(spawned);
}

static struct spawned **check_handle(lua_State *L)
{
    return luaL_checkudata(L, 1, "tael.task.handle");
}

static int handle_close(lua_State *L)
{
    struct spawned **handle = check_handle(L);
    if (*handle == NULL)
        return 0;
    (*handle)->held = false;
    if ((*handle)->task == NULL)
        free(*handle);
    *handle = NULL;
    return 0;
}

/* handle:cancel(): no effect on a task that has ended or is detached */
static int handle_cancel(lua_State *L)
{
    struct spawned **handle = check_handle(L);
    tael_refuse_pure(L, "task.cancel");
    if (*handle != NULL && (*handle)->task != NULL)
        tael_task_cancel((*handle)->task);
    return 0;
}

/* handle:alive() -> boolean */
static int handle_alive(lua_State *L)
{
    struct spawned **handle = check_handle(L);
    lua_pushboolean(L, *handle != NULL && (*handle)->task != NULL);
    return 1;
}

/* task.spawn(fn, ...) -> handle */
static int task_spawn(lua_State *L)
{
    tael_refuse_pure(L, "task.spawn");
    const struct tael_task *parent = check_task(L, "task.spawn");
    luaL_checktype(L, 1, LUA_TFUNCTION);
    struct spawn spawn = {.from = L, .count = lua_gettop(L)};
    struct spawned **handle = lua_newuserdatauv(L, sizeof(struct spawned *), 0);
    *handle = NULL;
    luaL_setmetatable(L, "tael.task.handle");
    lua_insert(L, 1);
    struct spawned *spawned = calloc(1, sizeof(*spawned));
    if (spawned == NULL)
        return luaL_error(L, "task.spawn: out of memory");
    spawned->log = tael_state_log(tael_state_of(L));
    tael_status rc = tael_task_spawn(tael_state_of(L), prepare_spawn, &spawn, spawned_done, spawned,
                                     &spawned->task);
    if (rc != TAEL_OK) {
        free(spawned);
        return luaL_error(L, "task.spawn: %s", tael_status_text(rc));
    }
    spawned->held = true;
    *handle = spawned;
    tael_task_set_scope(spawned->task, tael_task_scope(parent));
    lua_settop(L, 1);
    return 1;
}

/* ---- the task itself ---- */

/* task.detach() */
static int task_detach(lua_State *L)
{
    tael_refuse_pure(L, "task.detach");
    tael_task_detach(check_task(L, "task.detach"));
    return 0;
}

/* task.scope() -> integer */
static int task_scope(lua_State *L)
{
    lua_pushinteger(L, tael_task_scope(check_task(L, "task.scope")));
    return 1;
}

/* task.set_scope(merchant) */
static int task_set_scope(lua_State *L)
{
    tael_refuse_pure(L, "task.set_scope");
    struct tael_task *task = check_task(L, "task.set_scope");
    lua_Integer scope = luaL_checkinteger(L, 1);
    luaL_argcheck(L, scope >= 0, 1, "a merchant's number or 0");
    tael_task_set_scope(task, scope);
    return 0;
}

/* task.pure(fn, ...) -> true, results… | false, error. No memory is no fault of the function's and
 * raises. Nothing yields out of it: lua_pcall without
 * a continuation sees to that, so the context is the same when it returns. */
static int task_pure(lua_State *L)
{
    luaL_checkany(L, 1);
    unsigned context = tael_task_set_context(L, TAEL_CTX_PURE);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    tael_task_set_context(L, context);
    if (status == LUA_ERRMEM)
        return lua_error(L);
    lua_pushboolean(L, status == LUA_OK);
    lua_insert(L, 1);
    return lua_gettop(L);
}

/* task.worker() -> index, count */
static int task_worker(lua_State *L)
{
    const struct tael_host *host = tael_host_check(L, "task.worker");
    lua_pushinteger(L, host->worker);
    lua_pushinteger(L, host->workers);
    return 2;
}

static void make_metatable(lua_State *L, const char *name, lua_CFunction close)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

int tael_open_task(lua_State *L)
{
    static const luaL_Reg handle_methods[] = {
        {"cancel", handle_cancel},
        {"alive", handle_alive},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"spawn", task_spawn},         {"detach", task_detach},  {"scope", task_scope},
        {"set_scope", task_set_scope}, {"wait", task_wait},      {"wake", task_wake},
        {"last", task_last},           {"pure", task_pure},      {"worker", task_worker},
        {"keep", tael_task_keep},      {"hold", tael_task_hold}, {NULL, NULL},
    };
    make_metatable(L, "tael.task.waiters", waiters_free);
    make_metatable(L, "tael.task.waiter", waiter_close);
    make_metatable(L, "tael.task.handle", handle_close);
    luaL_newlib(L, handle_methods);
    lua_setfield(L, -2, "__index");
    tael_open_task_keep(L);
    tael_open_task_hold(L);
    luaL_newlib(L, functions);
    return 1;
}
