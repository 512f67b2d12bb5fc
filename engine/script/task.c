/* task.c - tasks: coroutines driven by the loop. The only caller of lua_resume.
 *
 * Owner: a task belongs to its state and frees itself after its done function has returned.
 * Everything runs on the loop's thread.
 *
 * 1 A task is queued (in the ready list), running (lua_resume is on the C stack) or waiting (an
 * undo is registered; one that takes long waits in the last list). Between wait and yield it is
 * running and waiting; woken that early, running and queued. 2 Only the drain resumes and ends
 * tasks, so neither spawn, wake nor cancel runs Lua or a done function. The drain is a timer and
 * not mail: a timer can be taken back when the state ends. 3 A task that ends, however it ends,
 * runs the undo that is still registered, closes its to-be-closed variables, loses its coroutine
 * and calls done, in that order, each once. 4 The coroutine's extra space points to its task. A
 * coroutine that Lua code makes copies the main thread's, which is NULL.
 */
#include <assert.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "script/inner.h"
#include "script/state.h"

enum {
    DRAIN_MAX = 1024,          /* tasks resumed in a row before the loop gets its turn */
    LAST_MAX = 4,              /* of those that take long */
    LAST_US = 300,             /* no further one is begun after so long */
    END_RESERVE = 1024 * 1024, /* bytes above the ceiling for reporting a task's end */
};

struct tael_task {
    struct tael_state *state;
    lua_State *co;
    int ref;  /* anchor of co in the registry */
    int args; /* on co's stack for the first resume */
    bool queued, running, waiting;
    bool alike; /* in the last list: what it will do is what most there will */
    bool cancelled, detached;
    void (*undo)(void *op);
    void *op;
    int64_t scope;
    tael_task_done_fn done;
    void *user;
    struct tael_task *next, **link;             /* in state->all */
    struct tael_task *ready_next, **ready_link; /* in the ready list, when queued; or in the last */
};

/* ---- the two lists ---- */

static void all_insert(struct tael_state *state, struct tael_task *task)
{
    task->next = state->all;
    task->link = &state->all;
    if (task->next != NULL)
        task->next->link = &task->next;
    state->all = task;
    state->tasks++;
}

static void all_remove(struct tael_task *task)
{
    *task->link = task->next;
    if (task->next != NULL)
        task->next->link = task->link;
    task->state->tasks--;
}

static void ready_insert(struct tael_task *task)
{
    struct tael_state *state = task->state;
    assert(!task->queued);
    if (state->ready == NULL && !state->draining && !state->closing)
        tael_timer_start(state->timer, 0);
    task->queued = true;
    task->ready_next = NULL;
    task->ready_link = state->behind;
    *state->behind = task;
    state->behind = &task->ready_next;
}

static void ready_remove(struct tael_task *task)
{
    struct tael_state *state = task->state;
    *task->ready_link = task->ready_next;
    if (task->ready_next != NULL)
        task->ready_next->ready_link = task->ready_link;
    else
        state->behind = task->ready_link;
    task->queued = false;
}

static void last_insert(struct tael_task *task)
{
    struct tael_state *state = task->state;
    task->ready_next = NULL;
    task->ready_link = state->last_behind;
    *state->last_behind = task;
    state->last_behind = &task->ready_next;
    state->alike += task->alike;
}

static void last_remove(void *user) /* the undo of its wait, too */
{
    struct tael_task *task = user;
    *task->ready_link = task->ready_next;
    if (task->ready_next != NULL)
        task->ready_next->ready_link = task->ready_link;
    else
        task->state->last_behind = task->ready_link;
    task->state->alike -= task->alike;
}

/* ---- spawn ---- */

struct spawn {
    struct tael_task *task;
    int (*prepare)(lua_State *L, void *arg);
    void *arg;
};

/* Gives the task a coroutine, with an anchor: an idle one, or a new one. */
static void take_coroutine(lua_State *L, struct tael_task *task)
{
    struct tael_state *state = task->state;
    if (state->idle_count > 0) {
        state->idle_count--;
        task->co = state->idle[state->idle_count].co;
        task->ref = state->idle[state->idle_count].ref;
    } else {
        lua_State *co = lua_newthread(L);
        task->ref = luaL_ref(L, LUA_REGISTRYINDEX);
        task->co = co;
    }
    *(struct tael_task **)lua_getextraspace(task->co) = task;
}

/* Takes it back: to the idle ones when its function has returned, with nothing left open. */
static void give_coroutine(lua_State *L, struct tael_task *task, bool returned)
{
    struct tael_state *state = task->state;
    if (returned && state->idle_count < TAEL_IDLE_MAX) {
        lua_settop(task->co, 0);
        *(struct tael_task **)lua_getextraspace(task->co) = NULL;
        state->idle[state->idle_count].co = task->co;
        state->idle[state->idle_count].ref = task->ref;
        state->idle_count++;
    } else {
        lua_resetthread(task->co);
        luaL_unref(L, LUA_REGISTRYINDEX, task->ref);
    }
    task->co = NULL;
}

static int spawn_protected(lua_State *L)
{
    struct spawn *spawn = lua_touserdata(L, 1);
    struct tael_task *task = spawn->task;
    int base = lua_gettop(L);
    int count = spawn->prepare(L, spawn->arg);
    if (count < 1 || lua_gettop(L) < base + count)
        return luaL_error(L, "a task needs a function");
    take_coroutine(L, task);
    if (!lua_checkstack(task->co, count + LUA_MINSTACK))
        return luaL_error(L, "out of memory");
    lua_xmove(L, task->co, count);
    task->args = count - 1;
    return 0;
}

static int give_protected(lua_State *L)
{
    give_coroutine(L, lua_touserdata(L, 1), false);
    return 0;
}

tael_status tael_task_spawn(struct tael_state *state, int (*prepare)(lua_State *L, void *arg),
                            void *arg, tael_task_done_fn done, void *user, struct tael_task **out)
{
    if (state->closing)
        return TAEL_ECLOSED;
    if (state->loop == NULL)
        return TAEL_EINVAL;
    struct tael_task *task = calloc(1, sizeof(*task));
    if (task == NULL)
        return TAEL_ENOMEM;
    task->state = state;
    task->done = done;
    task->user = user;
    struct spawn spawn = {task, prepare, arg};
    tael_error err;
    tael_status rc = tael_state_call(state, spawn_protected, &spawn, &err);
    if (rc != TAEL_OK) {
        TAEL_LOG(state->log, TAEL_LOG_ERROR, "task.not_spawned",
                 tael_log_text("message", err.message));
        if (task->co != NULL)
            tael_state_call(state, give_protected, task, NULL);
        free(task);
        return rc;
    }
    all_insert(state, task);
    ready_insert(task);
    if (out != NULL)
        *out = task;
    return TAEL_OK;
}

/* ---- end ---- */

struct ending {
    struct tael_task *task;
    tael_status status;
    int count;         /* results on top of the coroutine */
    bool raised;       /* the error value is on top of the coroutine */
    const char *why;   /* when no error value tells */
    bool closed, told; /* how far it got */
};

static void run_undo(struct tael_task *task)
{
    void (*undo)(void *op) = task->undo;
    task->waiting = false;
    task->undo = NULL;
    if (undo != NULL)
        undo(task->op);
}

/* Lua's part of the end: results or message to L's stack, to-be-closed variables, anchor last. */
static void close_coroutine(lua_State *L, struct ending *ending)
{
    struct tael_task *task = ending->task;
    if (ending->raised) {
        luaL_checkstack(L, 1, "error");
        lua_xmove(task->co, L, 1);
        tael_failure_push(L, task->co, 0);
        ending->why = lua_tostring(L, -1);
    } else if (ending->status == TAEL_OK) {
        luaL_checkstack(L, ending->count + LUA_MINSTACK, "results");
        lua_xmove(task->co, L, ending->count);
    }
    give_coroutine(L, task, ending->status == TAEL_OK);
    ending->closed = true;
}

static int end_protected(lua_State *L)
{
    struct ending *ending = lua_touserdata(L, 1);
    struct tael_task *task = ending->task;
    lua_settop(L, 0);
    if (!ending->closed)
        close_coroutine(L, ending);
    ending->told = true;
    if (task->done != NULL)
        task->done(task->user, ending->status, L, ending->status == TAEL_OK ? ending->count : 0,
                   ending->status == TAEL_OK ? NULL : ending->why);
    else if (ending->status != TAEL_OK && ending->status != TAEL_ECLOSED)
        TAEL_LOG(task->state->log, TAEL_LOG_ERROR, "task.failed",
                 tael_log_text("message", ending->why));
    return 0;
}

/* Calls done, whatever happens. */
static void tell(struct ending *ending)
{
    struct tael_task *task = ending->task;
    struct tael_state *state = task->state;
    tael_error err;
    tael_status rc = tael_state_call(state, end_protected, ending, &err);
    if (rc != TAEL_OK && !ending->told) { /* results or message did not fit: say at least that */
        ending->status = TAEL_ENOMEM;
        ending->raised = false;
        ending->why = "out of memory";
        rc = tael_state_call(state, end_protected, ending, &err);
    }
    if (rc != TAEL_OK)
        TAEL_LOG(state->log, TAEL_LOG_ERROR, "task.end_failed",
                 tael_log_text("message", err.message));
    if (!ending->told && task->done != NULL)
        task->done(task->user, TAEL_ENOMEM, NULL, 0, "out of memory");
}

static void end_task(struct ending ending)
{
    struct tael_task *task = ending.task;
    struct tael_state *state = task->state;
    if (task->waiting)
        run_undo(task);
    if (task->queued)
        ready_remove(task);
    all_remove(task);
    state->memory_reserve += END_RESERVE;
    tell(&ending);
    state->memory_reserve -= END_RESERVE;
    free(task);
}

void tael_task_end_all(struct tael_state *state)
{
    while (state->all != NULL)
        end_task((struct ending){
            .task = state->all, .status = TAEL_ECLOSED, .why = "the state was closed"});
}

/* ---- resume ---- */

static void task_resume(struct tael_task *task)
{
    struct tael_state *state = task->state;
    unsigned context = state->context;
    int args = task->args;
    int count = 0;
    task->args = 0;
    task->running = true;
    state->context = TAEL_CTX_TASK;
    int status = lua_resume(task->co, state->L, args, &count);
    state->context = context;
    task->running = false;
    if (status == LUA_OK) {
        end_task((struct ending){.task = task, .status = TAEL_OK, .count = count});
    } else if (status != LUA_YIELD) {
        tael_status why = status == LUA_ERRMEM ? TAEL_ENOMEM : TAEL_ESCRIPT;
        end_task((struct ending){.task = task, .status = why, .raised = true});
    } else if (task->cancelled) {
        if (task->waiting)
            run_undo(task);
        if (!task->queued)
            ready_insert(task);
    } else if (!task->waiting && !task->queued) {
        end_task((struct ending){
            .task = task, .status = TAEL_ESCRIPT, .why = "the task yielded without waiting"});
    }
}

static void drain_ready(struct tael_state *state)
{
    for (int i = 0; i < DRAIN_MAX && state->ready != NULL; i++) {
        struct tael_task *task = state->ready;
        ready_remove(task);
        if (task->cancelled)
            end_task((struct ending){.task = task, .status = TAEL_ECLOSED, .why = "cancelled"});
        else
            task_resume(task);
    }
}

static void drain_last(struct tael_state *state)
{
    struct tael_world *world = state->loop->world;
    int64_t begin = tael_mono_us(world);
    for (int i = 0; i < LAST_MAX && state->last != NULL; i++) { /* one at least in every turn */
        struct tael_task *task = state->last;
        if (i > 0 && (state->ready != NULL || tael_mono_us(world) - begin >= LAST_US))
            break;
        last_remove(task);
        task->waiting = false;
        task->undo = NULL;
        state->followed = task->alike && state->alike > 0 ? task : NULL;
        task_resume(task);
        state->followed = NULL;
    }
}

void tael_task_drain(void *user)
{
    struct tael_state *state = user;
    state->draining = true;
    if (state->awake != NULL)
        atomic_store(state->awake, true); /* before any task looks at anything */
    drain_ready(state);
    if (state->last != NULL)
        drain_last(state);
    state->draining = false;
    if (state->awake != NULL)
        atomic_store(state->awake, false);
    if (state->ready != NULL || state->last != NULL)
        tael_timer_start(state->timer, 1); /* not 0: the loop's other events come first */
    tael_state_watch_heap(state);
    tael_state_rest_later(state);
}

/* ---- waiting ---- */

struct tael_task *tael_task_here(lua_State *L)
{
    return tael_state_of(L) != NULL ? *(struct tael_task **)lua_getextraspace(L) : NULL;
}

struct tael_task *tael_task_of(lua_State *L, unsigned allowed, const char *name)
{
    struct tael_task *task = tael_task_here(L);
    unsigned context = tael_task_context(L);
    if ((context & allowed) == 0)
        luaL_error(L, "%s: not allowed %s", name,
                   context == TAEL_CTX_PURE   ? "in a pure function"
                   : context == TAEL_CTX_TASK ? "in a task"
                                              : "outside a task");
    if (task == NULL || !task->running || !lua_isyieldable(L))
        luaL_error(L, "%s: cannot wait here", name);
    return task;
}

void tael_task_wait(struct tael_task *task, void (*undo)(void *op), void *op)
{
    assert(task->running && !task->waiting && !task->queued);
    task->waiting = true;
    task->undo = undo;
    task->op = op;
}

void tael_task_wait_last(struct tael_task *task, bool alike)
{
    tael_task_wait(task, last_remove, task);
    task->alike = alike;
    last_insert(task);
}

bool tael_task_is_followed(const struct tael_task *task)
{
    return task->state->followed == task;
}

void tael_task_wake(struct tael_task *task)
{
    assert(task->waiting);
    task->waiting = false;
    task->undo = NULL;
    ready_insert(task);
}

void tael_task_cancel(struct tael_task *task)
{
    if (task->detached || task->cancelled)
        return;
    task->cancelled = true;
    if (task->running)
        return; /* dealt with when it yields */
    if (task->waiting)
        run_undo(task);
    if (!task->queued)
        ready_insert(task);
}

void tael_task_detach(struct tael_task *task)
{
    if (task->cancelled && !task->running)
        return; /* too late */
    task->cancelled = false;
    task->detached = true;
}

bool tael_task_detached(const struct tael_task *task)
{
    return task->detached;
}

/* ---- scope and context ---- */

int64_t tael_task_scope(const struct tael_task *task)
{
    return task->scope;
}

void tael_task_set_scope(struct tael_task *task, int64_t scope)
{
    task->scope = scope;
}

unsigned tael_task_context(lua_State *L)
{
    const struct tael_state *state = tael_state_of(L);
    return state != NULL ? state->context : TAEL_CTX_LOAD;
}

unsigned tael_task_set_context(lua_State *L, unsigned context)
{
    struct tael_state *state = tael_state_of(L);
    if (state == NULL)
        return TAEL_CTX_LOAD;
    unsigned old = state->context;
    state->context = context;
    return old;
}
