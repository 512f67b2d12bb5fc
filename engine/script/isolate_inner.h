/* isolate_inner.h - what the files of the isolate share: isolate.c (life, runs), isolate_memory.c,
 * isolate_budget.c. Nobody else includes it.
 */
#ifndef TAEL_SCRIPT_ISOLATE_INNER_H
#define TAEL_SCRIPT_ISOLATE_INNER_H

#include <stddef.h>

#include "script/isolate.h"

enum {
    TAEL_UNIT = 16,           /* bytes: sizes of small blocks are multiples of it */
    TAEL_SMALL_MAX = 512,     /* bytes: what is larger is the C library's */
    TAEL_STEP_BYTES = 16,     /* of memory taken count as one step */
    TAEL_TEXT_CALM = 1 << 10, /* bytes: longer ones are looked at between instructions */
    TAEL_SLICE = 100 * 1000,  /* steps, half a millisecond or so */
    TAEL_COROUTINES = 8,      /* kept */
};

struct tael_block {
    struct tael_block *next;
};

struct tael_slab {
    struct tael_slab *next;
    _Alignas(max_align_t) char bytes[];
};

struct tael_isolate {
    lua_State *L;
    struct tael_run *run; /* that is on the C stack */
    size_t used, max;
    size_t held;     /* bytes that it has from the C library */
    size_t taken;    /* since the last look */
    int64_t unseen;  /* steps that C functions charged since then */
    size_t longest;  /* text that was ever made, bytes */
    int interval;    /* of the count hook, instructions; 0: it is off, and the text counts alone */
    int quantum;     /* what was given to the texts to count at the last look */
    int box;         /* reference to a function that has the upvalues of all metered texts */
    int64_t tick;    /* of the coarse clock, at the last look */
    int64_t begun;   /* the same, when this turn began */
    bool loading;    /* a text is compiled: all its names and constants are keys of one table */
    size_t crowded;  /* so many keys a table may have that was to have more; 0: none was */
    size_t widest;   /* keys in no list of a table that was ever made */
    int64_t time_at; /* the thread's time when it was last read; 0: not in this turn */
    int64_t turn_at; /* the same, when this turn began */
    int64_t counted; /* steps that were charged since then */
    struct tael_block *free[TAEL_SMALL_MAX / TAEL_UNIT + 1];
    struct tael_slab *slabs;
    char *fresh, *fresh_end; /* of the newest slab: not yet given out */
    struct {
        lua_State *co;
        int ref;
    } pool[TAEL_COROUTINES];
    int pooled;
};

/* ---- isolate_memory.c ---- */

/* The state's lua_Alloc; user is the isolate. */
void *tael_isolate_allocate(void *user, void *bytes, size_t old_size, size_t size);
void tael_isolate_free_slabs(struct tael_isolate *isolate); /* the state is closed */

/* ---- isolate_budget.c ---- */

/* A function with the upvalues that all metered texts of the state share. Raises. */
void tael_budget_push_box(lua_State *L);
void tael_budget_charge(struct tael_isolate *isolate, int64_t steps); /* in a run; never raises */
/* There is a look at the next instruction, if one runs. For the allocator too. */
void tael_budget_look_soon(struct tael_isolate *isolate);
/* The same, and what comes until then is measured: it may take long. */
void tael_budget_time(struct tael_isolate *isolate);
/* Around what a run does at a stretch; fresh: it begins. */
void tael_budget_begin_turn(struct tael_isolate *isolate, struct tael_run *run, bool fresh);
void tael_budget_end_turn(struct tael_isolate *isolate);

#endif
