/* inner.h - what state.c, task.c and order.c share; nobody else includes it. */
#ifndef TAEL_SCRIPT_INNER_H
#define TAEL_SCRIPT_INNER_H

#include "script/pool.h"
#include "script/state.h"

enum {
    TAEL_FAILURE_MAX = 4096, /* bytes of an error's text with its traceback */
    TAEL_WARNING_MAX = 512,
    TAEL_IDLE_MAX = 64, /* coroutines kept for the next tasks */
};

struct tael_state {
    lua_State *L;
    struct tael_loop *loop; /* NULL: no tasks in this state */
    struct tael_log *log;
    void *host;
    atomic_bool *awake; /* NULL: nobody asks */
    unsigned context;   /* TAEL_CTX_* in force now */
    bool closing;       /* no new tasks */

    bool pooled; /* small blocks come from the pool, else all from malloc */
    struct tael_pool pool;
    struct tael_timer *rest; /* NULL: not pooled, or no loop */
    bool resting;            /* it is set */
    int64_t trim_at;         /* not before */
    size_t memory_used, memory_max;
    int64_t old_at;        /* when everything is collected next, us; 0: not known yet */
    bool by_generations;   /* goes the garbage */
    size_t memory_reserve; /* what may be used above memory_max while a task's end is reported */

    struct tael_timer *timer;  /* due at once while the ready queue holds tasks */
    bool draining;             /* the queue is being worked off: no timer needed */
    struct tael_task *all;     /* every task alive */
    struct tael_task *ready;   /* first to be resumed */
    struct tael_task **behind; /* where the next ready task is linked in */
    struct tael_task *last;    /* first of those that take long: resumed when none is ready */
    struct tael_task **last_behind;
    size_t alike;                     /* of them */
    const struct tael_task *followed; /* the one that runs while others that are alike wait */
    size_t tasks;
    size_t crowd; /* as many as there were of late */
    struct {
        lua_State *co;
        int ref;           /* anchor in the registry */
    } idle[TAEL_IDLE_MAX]; /* coroutines whose function has returned: they can run another */
    size_t idle_count;

    char warning[TAEL_WARNING_MAX]; /* pieces of a Lua warning until it is whole */
    size_t warning_len;
};

/* Pops the error value on top of L and pushes its text with the traceback of `from`, cut to
 * TAEL_FAILURE_MAX bytes. Allocates: only in protected calls. */
void tael_failure_push(lua_State *L, lua_State *from, int level);

/* After work: garbage is collected in the way that fits what is used now. */
void tael_state_watch_heap(struct tael_state *state);
/* After work: memory that is not needed any more will go back. */
void tael_state_rest_later(struct tael_state *state);

/* Timer callback: resumes what is ready. user is the state. */
void tael_task_drain(void *user);
/* Ends every task with TAEL_ECLOSED, detached ones too. */
void tael_task_end_all(struct tael_state *state);

/* Makes pairs() go through numbers ascending, then strings in byte order (order.c). */
int tael_order_install(lua_State *L);
/* pairs() for an isolate, counted. */
int tael_order_pairs(lua_State *L);
/* next() in the same order, for an isolate: it goes through all keys each time. */
int tael_order_next(lua_State *L);

#endif
