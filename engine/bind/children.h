/* children.h - the processes in which one worker's strangers' scripts run: one for each owner (the
 * group of a generation) that is being asked, at most so many, and one more that is warm and takes
 * the place of the next that dies or is needed.
 *
 * A process does one thing after the other, in the order in which it came; a call that waits for
 * what its host does (ask.h) stays inside it and is in nobody's way. What it says is checked, for a
 * script may have taken it over: an answer that is none, too large, too early or too late, an
 * effect that is not the generation's or one too many ends it. When it is gone, the calls that were
 * in it are TAEL_ASK_CRASHED, or TAEL_ASK_SPENT when it had to be stopped, and nothing else: what
 * waited behind them goes to the replacement. One thread, the loop's.
 */
#ifndef TAEL_BIND_CHILDREN_H
#define TAEL_BIND_CHILDREN_H

#include "base/log.h"
#include "base/world.h"
#include "bind/ask.h"

struct tael_children;
struct tael_children_group; /* an owner's */

struct tael_children_options {
    struct tael_loop *loop;
    struct tael_log *log;
    const char *program; /* tael-script; copied */
    size_t max;          /* processes, the warm one not counted; at least 1. As many more may be
                            there in which nothing runs, but calls wait for their hosts */
    bool anywhere;       /* they need not stay on the processor of this thread */
};

enum tael_children_at {
    TAEL_CHILDREN_NOWHERE,
    TAEL_CHILDREN_QUEUED,
    TAEL_CHILDREN_RUNS,
    TAEL_CHILDREN_HELD, /* it waits for its host, inside the process */
    TAEL_CHILDREN_LOST, /* the same, and the process is gone */
};

struct tael_children_ask { /* the caller's; zero, then the first two */
    struct tael_ask *ask;  /* as it was prepared: its calls get their ends, out their results */
    /* After each put and give once, even from inside it: the ask has come to its end, or (waits)
     * to an effect. It calls nothing here. */
    void (*done)(struct tael_children_ask *ask);
    bool waits;

    struct tael_buf message;
    uint32_t number;
    enum tael_children_at at;
    struct tael_children_group *group; /* not NOWHERE, not LOST */
    struct tael_children_ask *next, **link;
    bool inside;      /* its process has begun it */
    int sent;         /* so often: to one that was gone already it comes to nothing */
    int effects;      /* so far */
    int64_t spent_us; /* of the processor, in the turns so far */
    enum tael_ask_end lost_as;
    const char *lost_why;
};

struct tael_children_counts {
    size_t children;            /* the warm one too */
    size_t waiting;             /* asks that no process has yet */
    uint64_t started, crashed;  /* so far; crashed: ended by themselves or by nonsense */
    uint64_t stopped, replaced; /* did not end in time; had to make room for another owner's */
};

tael_status tael_children_new(struct tael_children **out,
                              const struct tael_children_options *options);
/* Nothing is under way. NULL allowed. */
void tael_children_free(struct tael_children *children);

/* Makes the message, from the fields of ask that say what is asked. TAEL_ELIMIT: larger than 4 MiB;
 * TAEL_ENOMEM. */
tael_status tael_children_prepare(struct tael_children *children, struct tael_children_ask *ask);
/* A prepared one. */
void tael_children_put(struct tael_children *children, struct tael_children_ask *ask);
/* Of one that waits: the message, from ask.given, as prepare; then on its way, as put. */
tael_status tael_children_prepare_given(struct tael_children_ask *ask);
void tael_children_give(struct tael_children *children, struct tael_children_ask *ask);
void tael_children_cancel(struct tael_children_ask *ask); /* whether under way or not */
/* Its results cannot be read: whoever gave them is not asked again. */
void tael_children_distrust(struct tael_children *children, struct tael_span owner);
/* Its process is not needed any more: ended, when there is one. */
void tael_children_end(struct tael_children *children, struct tael_span owner);

struct tael_children_counts tael_children_counts(const struct tael_children *children);

#endif
