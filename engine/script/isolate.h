/* isolate.h - a Lua state for scripts that are not Tael's own: pure libraries, a ceiling of memory,
 * a budget of work. Nothing in it waits or has effects.
 *
 * What a script does is counted in steps: an instruction is about one (metered.h), so are 16 bytes
 * of memory taken, and C functions charge for what they go through. Steps and not time, so that
 * what is too long on one machine is too long on all, and in the simulated world. Whoever has used
 * up its steps is doomed: every further instruction raises, and the pcall that scripts see passes
 * it on.
 *
 * A run is a coroutine. One that takes long yields now and then (TAEL_RUN_PAUSED), so that it does
 * not hold the loop; inside a C function that calls back (sort, gsub) it cannot, and then only its
 * budget ends it. Rules: 1 Lua is entered here alone, always protected; 2 a run that raised or was
 * ended leaves nothing behind: its coroutine is reset; 3 memory that ran out or a doomed run spoil
 * nothing but themselves, but tael_isolate_full tells when what scripts keep leaves too little.
 * One thread.
 */
#ifndef TAEL_SCRIPT_ISOLATE_H
#define TAEL_SCRIPT_ISOLATE_H

#include <lua.h>

#include "base/bytes.h"

struct tael_isolate;
struct tael_functions;

enum { /* defaults */
       TAEL_ISOLATE_MEMORY = 16 * 1024 * 1024,
       TAEL_RUN_STEPS = 10 * 1000 * 1000, /* some 50 to 100 ms */
       TAEL_RUN_FAULT_MAX = 512,
       TAEL_ISOLATE_KEYS = 4096, /* of a table, beside those of its list; growing to so many takes
                                    some 6 ms where all collide, and nothing interrupts that */
};

enum tael_run_state {
    TAEL_RUN_DONE,
    TAEL_RUN_PAUSED, /* go on with tael_run_go */
    TAEL_RUN_WAITS,  /* tael_isolate_wait: for its host; go on with tael_run_go */
    TAEL_RUN_RAISED,
    TAEL_RUN_SPENT,  /* its steps are used up */
    TAEL_RUN_MEMORY, /* the ceiling was met, or the process has no memory */
};

struct tael_run { /* the caller's */
    struct tael_isolate *isolate;
    lua_State *co;
    int ref; /* anchor of co */
    bool whole, doomed, starved;
    bool wary;                      /* there are looks between instructions, to its end */
    bool suspected;                 /* one of its turns took long */
    bool waits;                     /* it is about to yield for its host */
    int64_t steps;                  /* left */
    int64_t slice;                  /* left until it gives the loop its turn */
    int64_t slowness;               /* how much longer its steps take than they may */
    int64_t pardoned;               /* steps that it was not charged, being slow but once */
    bool was_slow;                  /* pardoned, or charged for it */
    int pcalls;                     /* that are open */
    int results;                    /* DONE: values on top of co */
    char fault[TAEL_RUN_FAULT_MAX]; /* RAISED, SPENT, MEMORY: "file:line: …" */
};

/* Lua's own functions as they are put into isolates: looked up once for many. Read by any thread.
 */
tael_status tael_functions_new(struct tael_functions **out);
void tael_functions_free(struct tael_functions *functions); /* NULL allowed; isolates go on */

/* functions NULL: looked up for this one. memory_max 0: TAEL_ISOLATE_MEMORY. ordered: pairs() goes
 * in a fixed order (order.c). */
tael_status tael_isolate_new(struct tael_isolate **out, const struct tael_functions *functions,
                             size_t memory_max, bool ordered);
void tael_isolate_free(struct tael_isolate *isolate); /* no run is open. NULL allowed */
lua_State *tael_isolate_lua(struct tael_isolate *isolate);
size_t tael_isolate_memory(const struct tael_isolate *isolate);  /* bytes in use */
size_t tael_isolate_ceiling(const struct tael_isolate *isolate); /* bytes it may have */
/* The same with what is kept for the next blocks: what the process has less because of it. */
size_t tael_isolate_held(const struct tael_isolate *isolate);
/* Collects, and says whether more than half of the ceiling is in use all the same. */
bool tael_isolate_full(struct tael_isolate *isolate);

/* Is this in a file of those that Tael itself puts into isolates? Authors are not told of these. */
static inline bool tael_place_is_own(const char *place, size_t len)
{
    return len > 5 && memcmp(place, "tael/", 5) == 0;
}

/* Takes a coroutine. whole: it is not to pause. */
tael_status tael_run_begin(struct tael_run *run, struct tael_isolate *isolate, int64_t steps,
                           bool whole);
/* Begins body(arg as light userdata) in the run's coroutine, or goes on with it (body NULL). */
enum tael_run_state tael_run_go(struct tael_run *run, lua_CFunction body, void *arg);
/* Gives the coroutine back, with all that stands on it. Any run that was begun, paused too. */
void tael_run_end(struct tael_run *run);

/* For C functions that scripts call: the run they are in. */
struct tael_run *tael_run_here(lua_State *L);
/* For C functions that scripts call: so much work is going to be done. Raises when it is too much.
 */
void tael_isolate_charge(lua_State *L, int64_t steps);
/* The same before a first key is looked for: all keys that the table had once are gone through. */
void tael_isolate_charge_first(lua_State *L);
/* For C functions that scripts call and that can go on later: the loop wants its turn, lua_yieldk
 * with no results now. */
bool tael_isolate_overdue(lua_State *L);
/* For C functions that scripts call: the run is to wait for what its host does, lua_yieldk with no
 * results now. False: it cannot, for it is inside a function that calls back. */
bool tael_isolate_wait(lua_State *L);
/* One protected call more is open, or one less (-1). Raises when they are too many. */
void tael_isolate_nest(lua_State *L, int more);
/* Raises, for good, when this run is doomed or lua_status says that memory ran out. */
void tael_isolate_check(lua_State *L, int lua_status);

/* Puts the script of the text, a function, in the place of the environment on top, in which it is
 * to run. name: "@" and its path. What it does is counted (metered.h). Raises, with the path and
 * line. Room behind scratch's end is used meanwhile. */
void tael_isolate_load(lua_State *L, struct tael_span text, const char *name,
                       struct tael_buf *scratch);

/* Puts the environment of scripts in the place of the function on top, their require: globals that
 * cannot be written, from the list of confine.c. All scripts of a state have the same. Raises. */
void tael_confine_push_environment(lua_State *L);
/* Puts an empty table in the place of the one on top, which it shows and which nobody can write. */
void tael_confine_hide(lua_State *L);
/* Once in a state, before the first environment. Raises. */
void tael_confine_install(lua_State *L, const struct tael_functions *functions, bool ordered);

#endif
