/* children_process.c - one process: started, told, watched, ended.
 *
 * Both sides forget generations in the same order, so the parent knows what its process knows. The
 * watchdog counts the processor's time of what runs; while its asks wait for their hosts it is off.
 */
#include <stdlib.h>

#include "bind/children_inner.h"

enum {
    STEPS_PER_US = 20,      /* at the least: a slow machine, a sanitizer */
    LATE_US = 100 * 1000,   /* behind the budget, threats.md R40 */
    PATIENCE = 20,          /* times LATE_US more, for one that got no processor */
    AGAIN_US = 1000 * 1000, /* until another warm one is tried, when the last could not be had */
    LEAST_US = 1000,        /* of a turn, whatever those before it took */
};

void tael_process_free(struct process *process)
{
    tael_child_end(process->child);
    tael_timer_free(process->watchdog);
    tael_buf_free(&process->in);
    for (size_t i = 0; i < TAEL_WIRE_GENERATIONS; i++)
        tael_buf_free(&process->known[i]);
    free(process);
}

static void on_read(void *user, const char *data, size_t len)
{
    struct process *process = user;
    if (tael_buf_append(&process->in, data, len) == TAEL_OK)
        tael_children_read(process);
    else
        tael_children_lose(process, TAEL_ASK_CRASHED, "there is no memory for its answer");
}

static void on_end(void *user, tael_status why)
{
    (void)why;
    tael_children_lose(user, TAEL_ASK_CRASHED, "the process that ran it has died");
}

/* Since the last answer: one clock is read for each, and what little it does between two of them
 * counts for the next. */
int64_t tael_process_spent_us(const struct process *process)
{
    int64_t spent_us = tael_child_used_us(process->child) - process->used_us;
    return spent_us > 0 ? spent_us : 0;
}

int64_t tael_process_stop(struct process *process)
{
    int64_t spent_us = tael_process_spent_us(process);
    process->used_us += spent_us;
    tael_timer_stop(process->watchdog);
    tael_child_turn(process->child, false);
    return spent_us;
}

static void on_late(void *user)
{
    struct process *process = user;
    if (tael_process_spent_us(process) < process->budget_us && process->waited++ < PATIENCE) {
        tael_timer_start(process->watchdog, LATE_US);
        return;
    }
    tael_children_lose(process, TAEL_ASK_SPENT, "does not end: its process was stopped");
}

tael_status tael_process_new(struct tael_children *children, struct process **out)
{
    static const struct tael_stream_events events = {.read = on_read, .end = on_end};
    struct tael_loop *loop = children->options.loop;
    struct process *process = calloc(1, sizeof(*process));
    if (process == NULL)
        return TAEL_ENOMEM;
    tael_status rc = TAEL_ENOMEM;
    process->children = children;
    process->watchdog = tael_timer_new(loop, on_late, process);
    if (process->watchdog != NULL)
        rc = tael_spawn(loop, children->program, !children->options.anywhere, &process->child);
    if (rc != TAEL_OK) {
        tael_process_free(process);
        return rc;
    }
    tael_stream_start(process->child->stream, &events, process);
    children->counts.started++;
    *out = process;
    return TAEL_OK;
}

void tael_process_warm(void *user)
{
    struct tael_children *children = user;
    if (children->warm == NULL && tael_process_new(children, &children->warm) != TAEL_OK)
        tael_timer_start(children->warming, AGAIN_US);
}

tael_status tael_process_take(struct tael_children *children, struct process **out)
{
    tael_status rc = TAEL_OK;
    *out = children->warm;
    children->warm = NULL;
    if (*out == NULL)
        rc = tael_process_new(children, out);
    else
        (*out)->used_us = tael_child_used_us((*out)->child); /* its start */
    tael_timer_start(children->warming, 0); /* when this one has been given its work */
    return rc;
}

/* ---- what it is told ---- */

static bool knows(const struct process *process, struct tael_span key)
{
    for (size_t i = 0; i < TAEL_WIRE_GENERATIONS; i++) {
        const struct tael_buf *known = &process->known[i];
        if (known->len == key.len && key.len > 0 && memcmp(known->data, key.data, key.len) == 0)
            return true;
    }
    return false;
}

static tael_status tell(struct process *process, const struct tael_generation *generation,
                        struct tael_buf *out)
{
    struct tael_buf *known = &process->known[process->told++ % TAEL_WIRE_GENERATIONS];
    tael_buf_clear(known);
    tael_status rc = tael_buf_append(known, generation->key.data, generation->key.len);
    return rc == TAEL_OK ? tael_wire_put_generation(out, generation) : rc;
}

tael_status tael_process_send(struct process *process, const struct tael_children_ask *ask)
{
    struct tael_buf *out = &process->children->out;
    tael_status rc = TAEL_OK;
    tael_buf_clear(out);
    if (!ask->inside && !knows(process, ask->ask->generation->key))
        rc = tell(process, ask->ask->generation, out);
    if (rc == TAEL_OK)
        rc = tael_buf_append(out, ask->message.data, ask->message.len);
    tael_child_turn(process->child, true);
    if (rc == TAEL_OK)
        rc = tael_stream_write(process->child->stream, out->data, out->len);
    int64_t budget_us = (ask->ask->steps + TAEL_ASK_LOAD_STEPS) / STEPS_PER_US - ask->spent_us;
    process->budget_us = budget_us > LEAST_US ? budget_us : LEAST_US;
    process->waited = 0;
    tael_timer_start(process->watchdog, process->budget_us + LATE_US);
    return rc;
}

/* One that cannot be told is about to be found dead. */
void tael_process_send_cancel(struct process *process, uint32_t number)
{
    struct tael_buf *out = &process->children->out;
    tael_buf_clear(out);
    if (tael_wire_put_cancel(out, number) == TAEL_OK)
        tael_stream_write(process->child->stream, out->data, out->len);
}
