/* state.h - one worker's trusted Lua state and its tasks.
 *
 * A task is a coroutine driven by the loop. Lua code in it reads top to bottom; a C function that
 * has to wait registers an undo (tael_task_wait) and yields; the loop's callback calls
 * tael_task_wake, which puts the task on the state's ready queue; the queue is drained by a timer
 * that is due at once (unlike mail it can be taken back when the state ends), and task.c is the
 * only caller of lua_resume. Results are built inside the coroutine, by the continuation of the
 * function that yielded, where running out of memory is an ordinary error.
 *
 * Rules: 1 Lua is entered only by task.c (resume) and state.c (protected calls); 2 a task waits for
 * at most one thing; 3 a coroutine that Lua code made itself cannot wait ("cannot wait here"); 4 a
 * cancelled task is never resumed: its undo runs, its coroutine is reset and collected; 5 a
 * detached task is not cancelled by its client, only by the end of the state.
 */
#ifndef TAEL_SCRIPT_STATE_H
#define TAEL_SCRIPT_STATE_H

#include <lua.h>

#include "base/log.h"
#include "base/world.h"

struct tael_state;
struct tael_task;

enum { /* where a C function may be called; each names them in its first line */
       TAEL_CTX_LOAD = 1u << 0, /* while a module is being loaded, or outside a task */
       TAEL_CTX_TASK = 1u << 1, /* in a task: may wait */
       TAEL_CTX_PURE =
           1u << 2, /* in a channel's pure function: no waiting, no clock, no randomness */
};

struct tael_state_options {
    struct tael_loop *loop; /* NULL: the state has no tasks, only tael_state_call */
    struct tael_log *log;
    const char
        *lua_root; /* folder that holds tael/ (trusted Lua); package.path is built from it alone */
    size_t memory_max;  /* bytes; 0: 512 MiB */
    void *host;         /* the engine's worker; tael_state_host */
    atomic_bool *awake; /* true while tasks of this state run, for other threads; NULL allowed */
};

tael_status tael_state_new(struct tael_state **out, const struct tael_state_options *options,
                           tael_error *err);
/* Ends every task, detached ones too, with TAEL_ECLOSED. Not from inside a task or a done function.
 */
void tael_state_free(struct tael_state *state);      /* NULL allowed */
lua_State *tael_state_lua(struct tael_state *state); /* the main thread: only for tael_state_call */
struct tael_state *
tael_state_of(lua_State *L); /* NULL: a Lua state that tael_state_new did not make */
void *tael_state_host(struct tael_state *state); /* these three: NULL for NULL */
struct tael_loop *tael_state_loop(struct tael_state *state);
struct tael_log *tael_state_log(struct tael_state *state);
size_t tael_state_memory(const struct tael_state *state); /* bytes in use */
size_t tael_state_tasks(const struct tael_state *state);  /* tasks alive */

/* Registers a C module for require. Before any Lua runs. */
tael_status tael_state_preload(struct tael_state *state, const char *name, lua_CFunction open);

/* Runs fn(L) protected on the main thread, outside any task. Errors become err, traceback included.
 */
tael_status tael_state_call(struct tael_state *state, lua_CFunction fn, void *arg, tael_error *err);

/* ---- tasks ---- */

/* Called once, on the loop, never from inside spawn or cancel. results: values of the task's
 * function are on top of L (count of them) while it runs, or, when status is not TAEL_OK, message
 * says why (ECLOSED: cancelled; ESCRIPT: raised, with a traceback of at most 4 KiB). It runs inside
 * a protected call: it may use the Lua API; an error in it is logged. L is NULL only when memory
 * did not suffice even for that. */
typedef void (*tael_task_done_fn)(void *user, tael_status status, lua_State *L, int count,
                                  const char *message);

/* prepare(L, arg) runs protected and pushes the function and its arguments, returning how many
 * values. done NULL: only errors matter, they are logged. *out is valid until done is called. */
tael_status tael_task_spawn(struct tael_state *state, int (*prepare)(lua_State *L, void *arg),
                            void *arg, tael_task_done_fn done, void *user, struct tael_task **out);

/* The task that L runs in, for a function that is going to wait; raises a Lua error when the
 * context is not among allowed (TAEL_CTX_*), L is no task's coroutine, or L cannot yield (inside
 * sort, gsub, require). name is the function's, for the message. */
struct tael_task *tael_task_of(lua_State *L, unsigned allowed, const char *name);
struct tael_task *tael_task_here(lua_State *L); /* NULL when L is no task's coroutine */

/* From now on the task waits; undo(op) runs if it is cancelled meanwhile (it must not wake the
 * task). Then lua_yieldk with no results. */
void tael_task_wait(struct tael_task *task, void (*undo)(void *op), void *op);
/* [loop] What it waited for has happened: undo is forgotten, the task will be resumed. Only for a
 * task that waits, which may be before it has yielded. */
void tael_task_wake(struct tael_task *task);

/* The task waits until nothing is ready, since what it does next takes long: after everything else
 * of a turn of the loop a few such tasks go on, in the order in which they came, and the sockets
 * are looked at before the next few. Then lua_yieldk with no results. alike: it goes on with a
 * signature and a unit, as others that wait so; its unit may wait for theirs. */
void tael_task_wait_last(struct tael_task *task, bool alike);
/* It waited so, alike, has not waited since, and others still do. */
bool tael_task_is_followed(const struct tael_task *task);

void tael_task_cancel(struct tael_task *task); /* no effect when detached */
void tael_task_detach(struct tael_task *task); /* the client's going away no longer cancels it */
bool tael_task_detached(const struct tael_task *task);

int64_t
tael_task_scope(const struct tael_task *task); /* tenant the task acts for; 0: none (operator) */
void tael_task_set_scope(struct tael_task *task, int64_t scope);
unsigned tael_task_context(lua_State *L); /* TAEL_CTX_* now in force */
/* Sets the context for the duration of a protected call from Lua (tael.task.pure); returns the old
 * one. */
unsigned tael_task_set_context(lua_State *L, unsigned context);

#endif
