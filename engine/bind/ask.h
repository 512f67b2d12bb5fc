/* ask.h - asking functions of a script: plain data in, plain data out. What a payment's rules say,
 * all of them in one crossing, each on a copy of its own.
 *
 * A generation's entry file gives back a table of functions. It is loaded into the isolate when it
 * is first asked, and stays. A function that fails takes nothing from those after it; one that used
 * up the steps of all, or met the ceiling of memory, ends the whole, and the isolate is not to be
 * used again. The same for an isolate here and for one in another process: everything that crosses
 * is bytes (plain.h). On the isolate's thread.
 *
 * A call that may have effects is alone in its ask. Where the script calls one, the run waits, the
 * host reads the effect, performs it and gives its results; nothing is counted meanwhile, and other
 * asks of the same isolate go on.
 */
#ifndef TAEL_BIND_ASK_H
#define TAEL_BIND_ASK_H

#include "bind/plain.h"
#include "script/generation.h"
#include "script/isolate.h"

enum {
    TAEL_ASK_CALLS_MAX = 16,
    TAEL_ASK_INPUTS_MAX = 8,
    TAEL_ASK_ARGS_MAX = 4,
    TAEL_ASK_RESULTS_MAX = 4,              /* further ones are dropped */
    TAEL_ASK_LOAD_STEPS = 2 * 1000 * 1000, /* of the entry's file with all it requires */
    TAEL_ASK_EFFECTS = 32,                 /* of a call, if nothing else is said: threats.md R35 */
    TAEL_ASK_STACK_MAX = 400,              /* bytes of the calls that led to what was raised */
};

enum tael_ask_end {
    TAEL_ASK_DONE,
    TAEL_ASK_ABSENT, /* there is no such function */
    TAEL_ASK_RAISED,
    TAEL_ASK_SHAPE, /* what it gave is not plain data */
    TAEL_ASK_SPENT,
    TAEL_ASK_MEMORY,
    TAEL_ASK_CRASHED, /* the process that ran it is gone (children.h) */
};

struct tael_ask_call {
    struct tael_span name; /* "": which functions there are; its result is {name = "function"} */
    unsigned char args[TAEL_ASK_ARGS_MAX]; /* numbers of inputs */
    size_t arg_count;
    enum tael_ask_end end;
    int results;      /* DONE: plain values in out */
    size_t from, len; /* of them in out, or of the sentence that says why not */
};

struct tael_effect { /* what the host is to do */
    struct tael_span name;
    int args; /* plain values in out */
    size_t from, len;
};

struct tael_effect_given {   /* what it gave */
    struct tael_span values; /* plain, or the text to be raised; it stays until the run goes on */
    int count;
    bool raise;
};

struct tael_ask { /* the caller's; zero, then what is asked */
    const struct tael_generation *generation;
    struct tael_span entry;                       /* the path of its file: "rules.lua" */
    int64_t steps;                                /* for all calls together */
    struct tael_span inputs[TAEL_ASK_INPUTS_MAX]; /* a plain value each */
    size_t input_count;
    struct tael_ask_call calls[TAEL_ASK_CALLS_MAX];
    size_t call_count;
    bool whole;    /* does not pause */
    int effects;   /* at most, of the one call that there is then; 0: it may have none */
    size_t memory; /* of its isolate, if it is new (tael_isolate_new) */

    struct tael_isolate *isolate;
    struct tael_run run;
    struct tael_buf out;
    size_t at;    /* the call under way */
    bool open;    /* its run has begun */
    bool loading; /* the entry, which has steps of its own */
    int64_t kept; /* the calls', meanwhile */
    int64_t used; /* steps so far, of what was loaded too */
    int effects_left;
    struct tael_effect effect; /* WAITS: this one */
    struct tael_effect_given given;
    char fault[TAEL_PLAIN_FAULT_MAX];
    char stack[TAEL_ASK_STACK_MAX]; /* of calls with effects: "\n  file:line: in …" */
};

/* DONE: the calls' ends tell. PAUSED: go on with tael_ask_go. WAITS: the same, when the effect's
 * results were given. SPENT, MEMORY: as DONE, and the isolate is not to be used again. Never
 * RAISED. */
enum tael_run_state tael_ask_begin(struct tael_ask *ask, struct tael_isolate *isolate);
enum tael_run_state tael_ask_go(struct tael_ask *ask);
/* Steps so far, those of what had to be loaded too. */
int64_t tael_ask_used(const struct tael_ask *ask);
/* Whatever has happened, paused too. The memory of out stays, for the next. */
void tael_ask_end(struct tael_ask *ask);

#endif
