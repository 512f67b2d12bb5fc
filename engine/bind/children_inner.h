/* children_inner.h - what the files of the processes share: children_process.c is one process,
 * children_groups.c owners and who of them has one, children.c what is asked and answered.
 */
#ifndef TAEL_BIND_CHILDREN_INNER_H
#define TAEL_BIND_CHILDREN_INNER_H

#include "bind/children.h"
#include "bind/wire.h"

/* ---- a process ---- */

struct process {
    struct tael_children *children;
    struct tael_children_group *group; /* NULL: it is the warm one */
    struct tael_child *child;
    struct tael_timer *watchdog;
    struct tael_buf in;
    struct tael_buf known[TAEL_WIRE_GENERATIONS]; /* keys */
    size_t told;
    int64_t budget_us, used_us; /* of what runs; of the processor's time, until it was sent */
    int waited;
};

tael_status tael_process_new(struct tael_children *children, struct process **out);
void tael_process_free(struct process *process); /* ends it */
/* The warm one, or a new one; another becomes warm. */
tael_status tael_process_take(struct tael_children *children, struct process **out);
/* Starts the watchdog. TAEL_ENETWORK: it is gone already, and has had none of it. */
tael_status tael_process_send(struct process *process, const struct tael_children_ask *ask);
void tael_process_send_cancel(struct process *process, uint32_t number);
int64_t tael_process_spent_us(const struct process *process); /* by what runs */
/* What ran has said something: gives what it spent. */
int64_t tael_process_stop(struct process *process);
void tael_process_warm(void *children); /* the timer's */

/* What a process does, for children.c. */
void tael_children_read(struct process *process);
void tael_children_lose(struct process *process, enum tael_ask_end end, const char *why);

/* ---- owners ---- */

struct group_list { /* the oldest first */
    struct tael_children_group *oldest, *newest;
};

struct tael_children_group {
    struct tael_children *children;
    struct tael_children_group *same, **same_link; /* of one bucket */
    struct tael_children_group *newer, *older;     /* of one list */
    struct group_list *list; /* homes: it has a process; hungry: it waits for one; NULL */
    struct process *process;
    struct tael_children_ask *running; /* NULL and busy: it was cancelled */
    uint32_t running_number;
    bool busy;
    int turn;                                  /* asks since it has its process */
    struct tael_children_ask *first, **behind; /* to be sent */
    struct tael_children_ask *held;            /* that wait for their host, inside the process */
    size_t name_len;
    char name[]; /* with NUL */
};

enum { GROUP_BUCKETS = 1024 };

struct tael_children {
    struct tael_children_options options;
    char *program;
    struct tael_children_group *buckets[GROUP_BUCKETS];
    struct group_list homes;  /* by use */
    struct group_list hungry; /* by when they began to wait */
    struct process *warm;
    struct tael_timer *warming;
    size_t used; /* processes of groups */
    struct tael_buf out;
    uint32_t number;
    struct tael_children_counts counts;
};

struct tael_children_group *tael_group_find(struct tael_children *children, struct tael_span name);
/* The owner's, made when there is none. NULL: out of memory. */
struct tael_children_group *tael_group_use(struct tael_children *children, struct tael_span name);
void tael_group_move(struct tael_children_group *group, struct group_list *to); /* to its end */
/* Gives it a process, or puts it in line (false). */
bool tael_group_provide(struct tael_children_group *group, tael_status *rc);
void tael_group_drop_process(struct tael_children_group *group);
/* When others wait for a process and this one has had its turn: gives its own up. */
void tael_group_make_way(struct tael_children_group *group);
/* It has neither process nor asks: it goes. */
void tael_group_free_unused(struct tael_children_group *group);

#endif
