/* children.c - see children.h: what is asked, and what processes say to it.
 *
 * A process is sent the next message when it has answered the last one, so whatever it says belongs
 * to one ask, which is known. Calls that wait inside it stand in a list of their own; cancelling
 * one is told at once, and not answered.
 */
#include <stdlib.h>

#include "bind/children_inner.h"

enum { SENT_MAX = 3 };

/* ---- lists of asks: link points to what points to it ---- */

static void put_last(struct tael_children_group *group, struct tael_children_ask *ask)
{
    ask->group = group;
    ask->at = TAEL_CHILDREN_QUEUED;
    ask->next = NULL;
    ask->link = group->behind;
    *group->behind = ask;
    group->behind = &ask->next;
    group->children->counts.waiting++;
}

static void hold(struct tael_children_group *group, struct tael_children_ask *ask)
{
    ask->at = TAEL_CHILDREN_HELD;
    ask->next = group->held;
    ask->link = &group->held;
    if (ask->next != NULL)
        ask->next->link = &ask->next;
    group->held = ask;
}

/* Out of the queue, or of those that are held. */
static void take_out(struct tael_children_ask *ask)
{
    struct tael_children_group *group = ask->group;
    *ask->link = ask->next;
    if (ask->next != NULL)
        ask->next->link = ask->link;
    else if (ask->at == TAEL_CHILDREN_QUEUED)
        group->behind = ask->link;
    if (ask->at == TAEL_CHILDREN_QUEUED)
        group->children->counts.waiting--;
    ask->at = TAEL_CHILDREN_NOWHERE;
}

/* ---- how one ends ---- */

static void end_ask(struct tael_children_ask *ask)
{
    ask->group = NULL;
    ask->at = TAEL_CHILDREN_NOWHERE;
    ask->waits = false;
    ask->done(ask);
}

static void fail_ask(struct tael_children_ask *ask, enum tael_ask_end end, const char *why)
{
    struct tael_ask *of = ask->ask;
    tael_buf_clear(&of->out);
    bool told = tael_buf_append_text(&of->out, why) == TAEL_OK;
    for (size_t i = 0; i < of->call_count; i++) {
        of->calls[i].end = end;
        of->calls[i].results = 0;
        of->calls[i].from = 0;
        of->calls[i].len = told ? of->out.len : 0;
    }
    end_ask(ask);
}

/* The process is gone, with all that was inside it. Those whose hosts are at work hear of it when
 * they come back. */
static void lose_inside(struct tael_children_group *group, enum tael_ask_end end, const char *why)
{
    while (group->held != NULL) {
        struct tael_children_ask *ask = group->held;
        take_out(ask);
        ask->group = NULL;
        ask->at = TAEL_CHILDREN_LOST;
        ask->lost_as = end;
        ask->lost_why = why;
    }
    for (struct tael_children_ask *ask = group->first, *next; ask != NULL; ask = next) {
        next = ask->next;
        if (!ask->inside)
            continue;
        take_out(ask);
        fail_ask(ask, end, why);
    }
}

/* ---- what a group does next ---- */

static void fail_all(struct tael_children_group *group, tael_status rc)
{
    TAEL_LOG(group->children->options.log, TAEL_LOG_ERROR, "scripts.no_process",
             tael_log_text("program", group->children->program),
             tael_log_text("error", tael_status_text(rc)));
    while (group->first != NULL) {
        struct tael_children_ask *ask = group->first;
        take_out(ask);
        fail_ask(ask, TAEL_ASK_CRASHED, "no process can be started for scripts");
    }
}

/* Gives it its first. One that was gone already had none of it: another one gets it. */
static void give_first(struct tael_children_group *group)
{
    static const char why[] = "its process could not be asked";
    struct tael_children_ask *ask = group->first;
    tael_status rc = tael_process_send(group->process, ask);
    if (rc == TAEL_OK) {
        take_out(ask);
        ask->at = TAEL_CHILDREN_RUNS;
        group->running = ask;
        group->running_number = ask->number;
        group->busy = true;
        group->turn++;
        return;
    }
    bool again = !ask->inside && rc == TAEL_ENETWORK && ++ask->sent < SENT_MAX;
    tael_group_drop_process(group);
    group->children->counts.crashed++;
    if (!again) {
        take_out(ask);
        fail_ask(ask, TAEL_ASK_CRASHED, why);
    }
    lose_inside(group, TAEL_ASK_CRASHED, why);
}

static void go_on(struct tael_children_group *group)
{
    while (group->first != NULL && !group->busy) {
        tael_status rc = TAEL_OK;
        if (group->process == NULL && !tael_group_provide(group, &rc))
            return;
        if (rc == TAEL_OK)
            give_first(group);
        else
            fail_all(group, rc);
    }
    tael_group_free_unused(group);
}

/* Those that wait for a process, as long as there is one for the first of them. */
static void feed(struct tael_children *children)
{
    struct tael_children_group *group;
    while ((group = children->hungry.oldest) != NULL) {
        go_on(group);
        if (children->hungry.oldest == group)
            return;
    }
}

static void end_process(struct tael_children_group *group, enum tael_ask_end end, const char *why)
{
    struct tael_children *children = group->children;
    struct tael_children_ask *running = group->running;
    group->running = NULL;
    if (running != NULL)
        running->spent_us += tael_process_spent_us(group->process);
    tael_group_drop_process(group);
    if (running != NULL)
        fail_ask(running, end, why);
    lose_inside(group, end, why);
    go_on(group);
    feed(children);
}

/* ---- what processes say, and do not say ---- */

void tael_children_lose(struct process *process, enum tael_ask_end end, const char *why)
{
    struct tael_children *children = process->children;
    struct tael_children_group *group = process->group;
    (*(end == TAEL_ASK_SPENT ? &children->counts.stopped : &children->counts.crashed))++;
    if (group == NULL) {
        children->warm = NULL;
        tael_process_free(process);
        tael_timer_start(children->warming, 1000 * 1000);
        return;
    }
    TAEL_LOG(children->options.log, TAEL_LOG_WARN, "scripts.process_ended",
             tael_log_text("owner", group->name), tael_log_text("error", why));
    end_process(group, end, why);
}

static void stop_running(struct tael_children_group *group)
{
    int64_t spent_us = tael_process_stop(group->process);
    if (group->running != NULL)
        group->running->spent_us += spent_us;
    group->busy = false;
    group->running = NULL;
}

static bool take_effect(struct tael_children_group *group, struct tael_span body)
{
    struct tael_children_ask *ask = group->running;
    if (ask == NULL) { /* it was cancelled meanwhile */
        stop_running(group);
        tael_process_send_cancel(group->process, group->running_number);
        return true;
    }
    if (ask->effects >= ask->ask->effects ||
        tael_wire_read_effect(body, ask->ask, ask->number) != TAEL_OK)
        return false;
    ask->effects++;
    ask->inside = true;
    stop_running(group);
    hold(group, ask);
    ask->waits = true;
    ask->done(ask);
    return true;
}

static bool take_answer(struct tael_children_group *group, struct tael_span body)
{
    struct tael_children_ask *ask = group->running;
    if (ask != NULL && tael_wire_read_answer(body, ask->ask, ask->number) != TAEL_OK)
        return false;
    stop_running(group);
    if (ask != NULL)
        end_ask(ask);
    return true;
}

/* False: it is none to what was asked. */
static bool take_message(struct tael_children_group *group, enum tael_wire_kind kind,
                         struct tael_span body)
{
    if (!group->busy)
        return false;
    return kind == TAEL_WIRE_ANSWER   ? take_answer(group, body)
           : kind == TAEL_WIRE_EFFECT ? take_effect(group, body)
                                      : false;
}

void tael_children_read(struct process *process)
{
    struct tael_children_group *group = process->group;
    struct tael_children *children = process->children;
    struct tael_cursor from = tael_cursor_of(process->in.data, process->in.len);
    enum tael_wire_kind kind;
    struct tael_span body;
    enum tael_wire_state state = tael_wire_take(&from, &kind, &body);
    if (state == TAEL_WIRE_PART && group != NULL && group->busy)
        return;
    bool good = state == TAEL_WIRE_WHOLE && group != NULL && take_message(group, kind, body);
    if (!good || from.at != from.end) { /* nothing was asked that the rest could answer */
        tael_children_lose(process, TAEL_ASK_CRASHED, "its process has answered nonsense");
        return;
    }
    tael_buf_clear(&process->in);
    tael_group_make_way(group);
    go_on(group);
    feed(children);
}

/* ---- what is called ---- */

tael_status tael_children_prepare(struct tael_children *children, struct tael_children_ask *ask)
{
    tael_buf_clear(&ask->message);
    ask->number = ++children->number;
    ask->inside = ask->waits = false;
    ask->sent = ask->effects = 0;
    ask->spent_us = 0;
    return tael_wire_put_ask(&ask->message, ask->ask, ask->number);
}

void tael_children_put(struct tael_children *children, struct tael_children_ask *ask)
{
    struct tael_children_group *group =
        tael_group_use(children, tael_generation_group(ask->ask->generation));
    if (group == NULL) {
        fail_ask(ask, TAEL_ASK_CRASHED, "there is no memory to ask it");
        return;
    }
    put_last(group, ask);
    go_on(group);
    feed(children);
}

tael_status tael_children_prepare_given(struct tael_children_ask *ask)
{
    tael_buf_clear(&ask->message);
    return tael_wire_put_given(&ask->message, &ask->ask->given, ask->number);
}

void tael_children_give(struct tael_children *children, struct tael_children_ask *ask)
{
    if (ask->at != TAEL_CHILDREN_HELD) {
        fail_ask(ask, ask->lost_as, ask->lost_why);
        return;
    }
    struct tael_children_group *group = ask->group;
    take_out(ask);
    put_last(group, ask);
    tael_group_move(group, &children->homes);
    go_on(group);
    feed(children);
}

void tael_children_cancel(struct tael_children_ask *ask)
{
    struct tael_children_group *group = ask->group;
    enum tael_children_at at = ask->at;
    if (at == TAEL_CHILDREN_RUNS) {
        group->running = NULL;
    } else if (at == TAEL_CHILDREN_QUEUED || at == TAEL_CHILDREN_HELD) {
        struct tael_children *children = group->children;
        take_out(ask);
        if (ask->inside)
            tael_process_send_cancel(group->process, ask->number);
        tael_group_free_unused(group);
        feed(children); /* its process may have nothing to do now */
    }
    ask->group = NULL;
    ask->at = TAEL_CHILDREN_NOWHERE;
}

void tael_children_distrust(struct tael_children *children, struct tael_span owner)
{
    struct tael_children_group *group = tael_group_find(children, owner);
    if (group != NULL && group->process != NULL)
        tael_children_lose(group->process, TAEL_ASK_CRASHED, "its process has answered nonsense");
}

void tael_children_end(struct tael_children *children, struct tael_span owner)
{
    struct tael_children_group *group = tael_group_find(children, owner);
    if (group != NULL && group->process != NULL)
        end_process(group, TAEL_ASK_CRASHED, "its process is not needed any more");
}

tael_status tael_children_new(struct tael_children **out,
                              const struct tael_children_options *options)
{
    struct tael_children *children = calloc(1, sizeof(*children));
    if (children == NULL)
        return TAEL_ENOMEM;
    children->options = *options;
    children->program = strdup(options->program);
    children->warming = tael_timer_new(options->loop, tael_process_warm, children);
    if (children->program == NULL || children->warming == NULL) {
        tael_children_free(children);
        return TAEL_ENOMEM;
    }
    children->options.program = children->program;
    tael_status rc = tael_process_new(children, &children->warm);
    if (rc != TAEL_OK) {
        tael_children_free(children);
        return rc;
    }
    *out = children;
    return TAEL_OK;
}

void tael_children_free(struct tael_children *children)
{
    if (children == NULL)
        return;
    if (children->warm != NULL)
        tael_process_free(children->warm);
    for (struct tael_children_group *group; (group = children->homes.oldest) != NULL;) {
        tael_group_drop_process(group);
        tael_group_free_unused(group);
    }
    tael_timer_free(children->warming);
    tael_buf_free(&children->out);
    free(children->program);
    free(children);
}

struct tael_children_counts tael_children_counts(const struct tael_children *children)
{
    struct tael_children_counts counts = children->counts;
    counts.children = children->used + (children->warm != NULL);
    return counts;
}
