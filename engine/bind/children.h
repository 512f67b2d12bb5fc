/* children.h - the processes in which one worker's strangers' scripts run: one for each owner that
 * is being asked, at most so many, and one more that is warm and takes the place of the next that
 * dies or is needed.
 *
 * A process does one ask after the other, in the order in which they came. What it says is checked,
 * for a script may have taken it over: an answer that is none, too large, too early or too late
 * ends it. When it is gone, the calls that were in it are TAEL_ASK_CRASHED, or TAEL_ASK_SPENT when
 * it had to be stopped, and nothing else: what waited behind them goes to the replacement. One
 * thread, the loop's.
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
    size_t max;          /* processes, the warm one not counted; at least 1 */
    bool anywhere;       /* they need not stay on the processor of this thread */
};

struct tael_children_ask { /* the caller's; zero, then the first two */
    struct tael_ask *ask;  /* as it was prepared: its calls get their ends, out their results */
    void (*done)(struct tael_children_ask *ask); /* once, even from inside put; it calls nothing
                                                    here */

    struct tael_buf message;
    uint32_t number;
    struct tael_children_group *group; /* NULL: not under way */
    struct tael_children_ask *next;
    int sent; /* so often: to one that was gone already it comes to nothing */
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

/* Makes the message, from the five fields of ask that say what is asked. TAEL_ELIMIT: larger than
 * 4 MiB; TAEL_ENOMEM. */
tael_status tael_children_prepare(struct tael_children *children, struct tael_children_ask *ask);
/* A prepared one. done comes in any case, unless it is cancelled. */
void tael_children_put(struct tael_children *children, struct tael_children_ask *ask);
void tael_children_cancel(struct tael_children_ask *ask); /* whether under way or not */
/* Its results cannot be read: whoever gave them is not asked again. */
void tael_children_distrust(struct tael_children *children, struct tael_span owner);

struct tael_children_counts tael_children_counts(const struct tael_children *children);

#endif
