/* children.c - see children.h. 1 A group exists while it has a process or something is under way.
 * 2 What waits in a group without a process waits because all processes are busy, and the first
 * that is not makes room for it. 3 Both sides forget generations in the same order, so the parent
 * knows what its process knows.
 */
#include "bind/children.h"

#include <stdlib.h>

#include "bind/wire.h"

enum {
    STEPS_PER_US = 20,      /* at the least: a slow machine, a sanitizer */
    LATE_US = 100 * 1000,   /* behind the budget, threats.md R40 */
    PATIENCE = 20,          /* times LATE_US more, for one that got no processor */
    AGAIN_US = 1000 * 1000, /* until another warm one is tried, when the last died unused */
    SENT_MAX = 3,
};

struct script { /* a process */
    struct tael_children *children;
    struct tael_children_group *group; /* NULL: it is the warm one */
    struct tael_child *process;
    struct tael_timer *watchdog;
    struct tael_buf in;
    struct tael_buf known[TAEL_WIRE_GENERATIONS]; /* keys */
    size_t told;
    int64_t budget_us, used_us; /* of what runs; of the processor's time, before it */
    int waited;
};

struct tael_children_group {
    struct tael_children *children;
    struct tael_children_group *newer, *older;
    struct script *script;             /* NULL: none */
    struct tael_children_ask *running; /* NULL and busy: it was cancelled */
    struct tael_children_ask *first, **behind;
    bool busy;
    size_t name_len;
    char name[]; /* with NUL */
};

struct tael_children {
    struct tael_children_options options;
    char *program;
    struct tael_children_group *newest, *oldest; /* by use */
    struct script *warm;
    struct tael_timer *warming;
    size_t used; /* processes of groups */
    bool hungry; /* there may be groups that wait for one */
    struct tael_buf out;
    uint32_t number;
    struct tael_children_counts counts;
};

/* ---- processes ---- */

static void lose(struct script *script, enum tael_ask_end end, const char *why);
static void take_answers(struct script *script);

static void script_free(struct script *script)
{
    tael_child_end(script->process);
    tael_timer_free(script->watchdog);
    tael_buf_free(&script->in);
    for (size_t i = 0; i < TAEL_WIRE_GENERATIONS; i++)
        tael_buf_free(&script->known[i]);
    free(script);
}

static void on_read(void *user, const char *data, size_t len)
{
    struct script *script = user;
    if (tael_buf_append(&script->in, data, len) == TAEL_OK)
        take_answers(script);
    else
        lose(script, TAEL_ASK_CRASHED, "there is no memory for its answer");
}

static void on_end(void *user, tael_status why)
{
    (void)why;
    lose(user, TAEL_ASK_CRASHED, "the process that ran it has died");
}

static void on_late(void *user)
{
    struct script *script = user;
    int64_t used_us = tael_child_used_us(script->process) - script->used_us;
    if (used_us < script->budget_us && script->waited++ < PATIENCE) {
        tael_timer_start(script->watchdog, LATE_US);
        return;
    }
    lose(script, TAEL_ASK_SPENT, "does not end: its process was stopped");
}

static tael_status script_new(struct tael_children *children, struct script **out)
{
    static const struct tael_stream_events events = {.read = on_read, .end = on_end};
    struct tael_loop *loop = children->options.loop;
    struct script *script = calloc(1, sizeof(*script));
    if (script == NULL)
        return TAEL_ENOMEM;
    tael_status rc = TAEL_ENOMEM;
    script->children = children;
    script->watchdog = tael_timer_new(loop, on_late, script);
    if (script->watchdog != NULL)
        rc = tael_spawn(loop, children->program, !children->options.anywhere, &script->process);
    if (rc != TAEL_OK) {
        script_free(script);
        return rc;
    }
    tael_stream_start(script->process->stream, &events, script);
    children->counts.started++;
    *out = script;
    return TAEL_OK;
}

static void on_warming(void *user)
{
    struct tael_children *children = user;
    if (children->warm == NULL && script_new(children, &children->warm) != TAEL_OK)
        tael_timer_start(children->warming, AGAIN_US);
}

static tael_status take_script(struct tael_children *children, struct script **out)
{
    tael_status rc = TAEL_OK;
    *out = children->warm;
    children->warm = NULL;
    if (*out == NULL)
        rc = script_new(children, out);
    tael_timer_start(children->warming, 0); /* when this one has been given its work */
    return rc;
}

/* ---- groups ---- */

static void link_newest(struct tael_children_group *group)
{
    struct tael_children *children = group->children;
    group->newer = NULL;
    group->older = children->newest;
    *(group->older != NULL ? &group->older->newer : &children->oldest) = group;
    children->newest = group;
}

static void unlink_group(struct tael_children_group *group)
{
    struct tael_children *children = group->children;
    *(group->newer != NULL ? &group->newer->older : &children->newest) = group->older;
    *(group->older != NULL ? &group->older->newer : &children->oldest) = group->newer;
}

static struct tael_children_group *find_group(struct tael_children *children, struct tael_span name)
{
    struct tael_children_group *group = children->newest;
    while (group != NULL &&
           (group->name_len != name.len || memcmp(group->name, name.data, name.len) != 0))
        group = group->older;
    return group;
}

/* The owner's, which is the one used last from now on. NULL: out of memory. */
static struct tael_children_group *use_group(struct tael_children *children, struct tael_span name)
{
    struct tael_children_group *group = find_group(children, name);
    if (group != NULL) {
        unlink_group(group);
    } else {
        group = calloc(1, sizeof(*group) + name.len + 1);
        if (group == NULL)
            return NULL;
        group->children = children;
        group->behind = &group->first;
        group->name_len = name.len;
        memcpy(group->name, name.data, name.len);
    }
    link_newest(group);
    return group;
}

static bool starves(const struct tael_children_group *group)
{
    return group->script == NULL && group->first != NULL;
}

static void drop_script(struct tael_children_group *group)
{
    script_free(group->script);
    group->script = NULL;
    group->busy = false;
    group->children->used--;
}

static void free_if_unused(struct tael_children_group *group)
{
    if (group->script != NULL || group->first != NULL)
        return;
    unlink_group(group);
    free(group);
}

/* A process that has nothing to do, that was used longest ago, is ended. */
static bool make_room(struct tael_children *children)
{
    struct tael_children_group *group = children->oldest;
    while (group != NULL && (group->script == NULL || group->busy || group->first != NULL))
        group = group->newer;
    if (group == NULL)
        return false;
    drop_script(group);
    free_if_unused(group);
    children->counts.replaced++;
    return true;
}

/* ---- one ask ---- */

static void end_ask(struct tael_children_ask *ask)
{
    ask->group = NULL;
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

static struct tael_children_ask *take_first(struct tael_children_group *group)
{
    struct tael_children_ask *ask = group->first;
    group->first = ask->next;
    if (group->first == NULL)
        group->behind = &group->first;
    return ask;
}

static bool knows(const struct script *script, struct tael_span key)
{
    for (size_t i = 0; i < TAEL_WIRE_GENERATIONS; i++) {
        const struct tael_buf *known = &script->known[i];
        if (known->len == key.len && key.len > 0 && memcmp(known->data, key.data, key.len) == 0)
            return true;
    }
    return false;
}

static tael_status tell(struct script *script, const struct tael_generation *generation,
                        struct tael_buf *out)
{
    struct tael_buf *known = &script->known[script->told++ % TAEL_WIRE_GENERATIONS];
    tael_buf_clear(known);
    tael_status rc = tael_buf_append(known, generation->key.data, generation->key.len);
    return rc == TAEL_OK ? tael_wire_put_generation(out, generation) : rc;
}

static tael_status send_ask(struct script *script, const struct tael_children_ask *ask)
{
    struct tael_buf *out = &script->children->out;
    tael_status rc = TAEL_OK;
    tael_buf_clear(out);
    if (!knows(script, ask->ask->generation->key))
        rc = tell(script, ask->ask->generation, out);
    if (rc == TAEL_OK)
        rc = tael_buf_append(out, ask->message.data, ask->message.len);
    if (rc == TAEL_OK)
        rc = tael_stream_write(script->process->stream, out->data, out->len);
    script->budget_us = (ask->ask->steps + TAEL_ASK_LOAD_STEPS) / STEPS_PER_US;
    script->used_us = tael_child_used_us(script->process);
    script->waited = 0;
    tael_timer_start(script->watchdog, script->budget_us + LATE_US);
    return rc;
}

/* ---- what a group does next ---- */

/* False: it has to wait until another has nothing to do. */
static bool provide(struct tael_children_group *group, tael_status *rc)
{
    struct tael_children *children = group->children;
    if (children->used >= children->options.max && !make_room(children)) {
        children->hungry = true;
        return false;
    }
    *rc = take_script(children, &group->script);
    if (*rc == TAEL_OK) {
        group->script->group = group;
        children->used++;
    }
    return true;
}

static void fail_all(struct tael_children_group *group, tael_status rc)
{
    TAEL_LOG(group->children->options.log, TAEL_LOG_ERROR, "scripts.no_process",
             tael_log_text("program", group->children->program),
             tael_log_text("error", tael_status_text(rc)));
    while (group->first != NULL)
        fail_ask(take_first(group), TAEL_ASK_CRASHED, "no process can be started for scripts");
}

/* Gives it its first. One that was gone already had none of it: another one gets it. */
static void give_first(struct tael_children_group *group)
{
    struct tael_children_ask *ask = group->first;
    tael_status rc = send_ask(group->script, ask);
    if (rc == TAEL_OK) {
        group->running = take_first(group);
        group->busy = true;
        return;
    }
    drop_script(group);
    group->children->counts.crashed++;
    if (rc != TAEL_ENETWORK || ++ask->sent >= SENT_MAX)
        fail_ask(take_first(group), TAEL_ASK_CRASHED, "its process could not be asked");
}

static void go_on(struct tael_children_group *group)
{
    while (group->first != NULL && !group->busy) {
        tael_status rc = TAEL_OK;
        if (group->script == NULL && !provide(group, &rc))
            return;
        if (rc == TAEL_OK)
            give_first(group);
        else
            fail_all(group, rc);
    }
    free_if_unused(group);
}

/* Whoever waits for a process, in the order of their last use, as long as there is room. */
static void feed(struct tael_children *children)
{
    while (children->hungry) {
        struct tael_children_group *group = children->oldest;
        children->hungry = false;
        while (group != NULL && !starves(group))
            group = group->newer;
        if (group == NULL)
            return;
        go_on(group);
        if (children->hungry) /* not yet */
            return;
        children->hungry = true; /* there may be another one */
    }
}

/* ---- what processes say, and do not say ---- */

static void lose(struct script *script, enum tael_ask_end end, const char *why)
{
    struct tael_children *children = script->children;
    struct tael_children_group *group = script->group;
    (*(end == TAEL_ASK_SPENT ? &children->counts.stopped : &children->counts.crashed))++;
    if (group == NULL) {
        children->warm = NULL;
        script_free(script);
        tael_timer_start(children->warming, AGAIN_US);
        return;
    }
    struct tael_children_ask *running = group->running;
    TAEL_LOG(children->options.log, TAEL_LOG_WARN, "scripts.process_ended",
             tael_log_text("owner", group->name), tael_log_text("error", why));
    group->running = NULL;
    drop_script(group);
    if (running != NULL)
        fail_ask(running, end, why);
    go_on(group);
    feed(children);
}

/* False: it is none to what was asked. */
static bool take_answer(struct tael_children_group *group, enum tael_wire_kind kind,
                        struct tael_span body)
{
    struct tael_children_ask *ask = group->running;
    if (!group->busy || kind != TAEL_WIRE_ANSWER)
        return false;
    if (ask != NULL && tael_wire_read_answer(body, ask->ask, ask->number) != TAEL_OK)
        return false;
    group->busy = false;
    group->running = NULL;
    tael_timer_stop(group->script->watchdog);
    if (ask != NULL)
        end_ask(ask);
    return true;
}

static void take_answers(struct script *script)
{
    struct tael_children_group *group = script->group;
    struct tael_children *children = script->children;
    struct tael_cursor from = tael_cursor_of(script->in.data, script->in.len);
    enum tael_wire_kind kind;
    struct tael_span body;
    enum tael_wire_state state = tael_wire_take(&from, &kind, &body);
    if (state == TAEL_WIRE_PART && group != NULL && group->busy)
        return;
    bool good = state == TAEL_WIRE_WHOLE && group != NULL && take_answer(group, kind, body);
    if (!good || from.at != from.end) { /* nothing was asked that the rest could answer */
        lose(script, TAEL_ASK_CRASHED, "its process has answered nonsense");
        return;
    }
    tael_buf_clear(&script->in);
    go_on(group);
    feed(children);
}

/* ---- what is called ---- */

tael_status tael_children_prepare(struct tael_children *children, struct tael_children_ask *ask)
{
    tael_buf_clear(&ask->message);
    ask->number = ++children->number;
    return tael_wire_put_ask(&ask->message, ask->ask, ask->number);
}

void tael_children_put(struct tael_children *children, struct tael_children_ask *ask)
{
    struct tael_children_group *group = use_group(children, ask->ask->generation->name);
    if (group == NULL) {
        fail_ask(ask, TAEL_ASK_CRASHED, "there is no memory to ask it");
        return;
    }
    ask->group = group;
    ask->next = NULL;
    ask->sent = 0;
    *group->behind = ask;
    group->behind = &ask->next;
    go_on(group);
}

void tael_children_cancel(struct tael_children_ask *ask)
{
    struct tael_children_group *group = ask->group;
    ask->group = NULL;
    if (group == NULL)
        return;
    if (group->running == ask) {
        group->running = NULL;
        return;
    }
    struct tael_children_ask **link = &group->first;
    while (*link != ask)
        link = &(*link)->next;
    *link = ask->next;
    if (*link == NULL)
        group->behind = link;
    free_if_unused(group);
}

void tael_children_distrust(struct tael_children *children, struct tael_span owner)
{
    struct tael_children_group *group = find_group(children, owner);
    if (group != NULL && group->script != NULL)
        lose(group->script, TAEL_ASK_CRASHED, "its process has answered nonsense");
}

tael_status tael_children_new(struct tael_children **out,
                              const struct tael_children_options *options)
{
    struct tael_children *children = calloc(1, sizeof(*children));
    if (children == NULL)
        return TAEL_ENOMEM;
    children->options = *options;
    children->program = strdup(options->program);
    children->warming = tael_timer_new(options->loop, on_warming, children);
    if (children->program == NULL || children->warming == NULL) {
        tael_children_free(children);
        return TAEL_ENOMEM;
    }
    children->options.program = children->program;
    tael_status rc = script_new(children, &children->warm);
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
        script_free(children->warm);
    for (struct tael_children_group *group = children->oldest, *newer; group != NULL;
         group = newer) {
        newer = group->newer;
        if (group->script != NULL)
            script_free(group->script);
        free(group);
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
    counts.waiting = 0;
    for (const struct tael_children_group *group = children->newest; group != NULL;
         group = group->older)
        for (const struct tael_children_ask *ask = group->first; ask != NULL; ask = ask->next)
            counts.waiting++;
    return counts;
}
