/* sim.c - the simulated world: virtual time, one queue of events, loops, mail, timers, death.
 *
 * Everything that happens is an event: it lies inside its owner, stands in one heap ordered by
 * (virtual time, seeded tie-break, sequence), and runs to its end before the next. Room in the heap
 * is reserved when an owner is made, so that posting and starting cannot fail. Mail waits in one
 * box per sender and receiver: a box hands over one letter per event, oldest first, so that one
 * sender's letters keep their order while those of different senders are mixed by the seed.
 * Ownership: loops, timers, listeners and streams are their makers'; the world owns the queue and
 * the connections between streams. Invariants: 1 nothing is ordered by an address or a real clock;
 * 2 no event of a dead loop runs; 3 time never goes back.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/sim_inner.h"

enum { DEFAULT_LATENCY_US = 2000, MONO_START_US = 1000000 };

struct tael_sim_box { /* letters of one sender in one loop's mailbox */
    struct tael_sim_event event;
    struct tael_sim_loop *to;
    uint64_t from; /* loop id; 0: from outside all loops */
    struct tael_mail *mail, **mail_end;
    struct tael_sim_box *next;
};

struct tael_sim_timer {
    struct tael_timer base; /* first */
    struct tael_sim_event event;
    void (*fn)(void *user);
    void *user;
    struct tael_sim_timer *next, **link;
};

static struct tael_sim *sim_of_loop(const struct tael_sim_loop *loop)
{
    return tael_sim_of(loop->base.world);
}

/* ---- randomness ---- */

static uint64_t draw(struct tael_sim_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t tael_sim_below(struct tael_sim *sim, uint64_t limit)
{
    return draw(&sim->schedule) % limit; /* the bias does not matter here */
}

uint64_t tael_sim_draw(struct tael_world *world)
{
    return draw(&tael_sim_of(world)->draws);
}

static tael_status random_bytes(struct tael_world *world, void *out, size_t len)
{
    unsigned char *bytes = out;
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0)
            word = draw(&tael_sim_of(world)->bytes);
        bytes[i] = (unsigned char)(word >> (i % 8 * 8));
    }
    return TAEL_OK;
}

/* ---- time and the queue ---- */

static int64_t now_ms(struct tael_world *world)
{
    struct tael_sim *sim = tael_sim_of(world);
    return sim->start_ms + sim->now_us / 1000;
}

static int64_t mono_us(struct tael_world *world)
{
    return MONO_START_US + tael_sim_of(world)->now_us;
}

void tael_sim_schedule(struct tael_sim *sim, struct tael_sim_event *event, int64_t at_us)
{
    tael_heap_remove(&sim->queue, &event->node);
    event->node.at = at_us > sim->now_us ? at_us : sim->now_us;
    event->node.tie = draw(&sim->schedule);
    event->node.seq = ++sim->seq;
    tael_heap_push(&sim->queue, &event->node);
}

void tael_sim_cancel(struct tael_sim *sim, struct tael_sim_event *event)
{
    tael_heap_remove(&sim->queue, &event->node);
}

static tael_status run_until(struct tael_sim *sim, int64_t until_us)
{
    if (sim->running)
        return TAEL_EINVAL; /* called from inside an event */
    tael_status status = TAEL_OK;
    sim->running = true;
    while (!atomic_exchange(&sim->stop, false)) {
        struct tael_heap_node *node = tael_heap_first(&sim->queue);
        if (node == NULL) {
            status = TAEL_ENOTFOUND;
            break;
        }
        if (node->at > until_us) {
            sim->now_us = until_us > sim->now_us ? until_us : sim->now_us;
            status = TAEL_ETIMEOUT;
            break;
        }
        struct tael_sim_event *event = (struct tael_sim_event *)node;
        assert(node->at >= sim->now_us); /* 3: schedule never takes an earlier time */
        sim->now_us = node->at;
        sim->events++;
        tael_heap_remove(&sim->queue, node);
        event->run(event);
        sim->current = NULL;
    }
    sim->running = false;
    return status;
}

tael_status tael_sim_run(struct tael_world *world, int64_t until_ms)
{
    struct tael_sim *sim = tael_sim_of(world);
    int64_t until_us = 0, start_ms = sim->start_ms + tael_world_ahead(world);
    if (__builtin_sub_overflow(until_ms, start_ms, &until_us) ||
        __builtin_mul_overflow(until_us, 1000, &until_us))
        until_us = until_ms > start_ms ? INT64_MAX : 0;
    return run_until(sim, until_us);
}

uint64_t tael_sim_events(struct tael_world *world)
{
    return tael_sim_of(world)->events;
}

/* ---- mail ---- */

static void deliver(struct tael_sim_event *event)
{
    struct tael_sim_box *box = (struct tael_sim_box *)event;
    struct tael_sim *sim = sim_of_loop(box->to);
    assert(box->mail != NULL && !box->to->dead);
    struct tael_mail *mail = box->mail;
    box->mail = mail->next;
    if (box->mail == NULL)
        box->mail_end = &box->mail;
    else
        tael_sim_schedule(sim, event, sim->now_us);
    sim->current = box->to;
    mail->fn(mail);
}

static tael_status add_box(struct tael_sim_loop *to, uint64_t from)
{
    struct tael_sim *sim = sim_of_loop(to);
    struct tael_sim_box *box = calloc(1, sizeof(*box));
    if (box == NULL)
        return TAEL_ENOMEM;
    if (tael_heap_reserve(&sim->queue, 1) != TAEL_OK) {
        free(box);
        return TAEL_ENOMEM;
    }
    box->event.run = deliver;
    box->to = to;
    box->from = from;
    box->mail_end = &box->mail;
    box->next = to->boxes;
    to->boxes = box;
    return TAEL_OK;
}

static void remove_box(struct tael_sim_box **link)
{
    struct tael_sim_box *box = *link;
    assert(box->event.node.place == 0 || box->mail != NULL);
    struct tael_sim *sim = sim_of_loop(box->to);
    *link = box->next;
    tael_sim_cancel(sim, &box->event);
    tael_heap_unreserve(&sim->queue, 1);
    free(box);
}

/* Removes the boxes of one sender; those with letters stay until their loop goes. */
static void remove_boxes_from(struct tael_sim_loop *to, uint64_t from)
{
    struct tael_sim_box **link = &to->boxes;
    while (*link != NULL) {
        if ((*link)->from == from && (*link)->mail == NULL)
            remove_box(link);
        else
            link = &(*link)->next;
    }
}

static void post(struct tael_loop *base, struct tael_mail *mail)
{
    struct tael_sim_loop *loop = tael_sim_loop_of(base);
    struct tael_sim *sim = sim_of_loop(loop);
    uint64_t from = sim->current != NULL ? sim->current->id : 0;
    struct tael_sim_box *box = loop->boxes;
    while (box != NULL && box->from != from)
        box = box->next;
    assert(box != NULL); /* every pair has its box since both loops were made */
    mail->next = NULL;
    *box->mail_end = mail;
    box->mail_end = &mail->next;
    if (box->event.node.place == 0 && !loop->dead)
        tael_sim_schedule(sim, &box->event, sim->now_us);
}

static struct tael_mail *take(struct tael_loop *base)
{
    struct tael_sim_loop *loop = tael_sim_loop_of(base);
    struct tael_sim_box *box = loop->boxes;
    while (box != NULL && box->mail == NULL)
        box = box->next;
    if (box == NULL)
        return NULL;
    struct tael_mail *mail = box->mail;
    box->mail = mail->next;
    if (box->mail == NULL) {
        box->mail_end = &box->mail;
        tael_sim_cancel(sim_of_loop(loop), &box->event);
    }
    mail->next = NULL;
    return mail;
}

/* ---- timers ---- */

static void fire(struct tael_sim_event *event)
{
    struct tael_sim_timer *timer =
        (struct tael_sim_timer *)(void *)((char *)event - offsetof(struct tael_sim_timer, event));
    struct tael_sim_loop *loop = tael_sim_loop_of(timer->base.loop);
    assert(!loop->dead); /* 2 */
    sim_of_loop(loop)->current = loop;
    timer->fn(timer->user);
}

static struct tael_timer *timer_new(struct tael_loop *base, void (*fn)(void *user), void *user)
{
    struct tael_sim_loop *loop = tael_sim_loop_of(base);
    struct tael_sim_timer *timer = calloc(1, sizeof(*timer));
    if (timer == NULL)
        return NULL;
    if (tael_heap_reserve(&sim_of_loop(loop)->queue, 1) != TAEL_OK) {
        free(timer);
        return NULL;
    }
    *timer = (struct tael_sim_timer){.base.loop = base, .event.run = fire, .fn = fn, .user = user};
    timer->next = loop->timers;
    timer->link = &loop->timers;
    if (timer->next != NULL)
        timer->next->link = &timer->next;
    loop->timers = timer;
    return &timer->base;
}

static void timer_start(struct tael_timer *base, int64_t delay_us)
{
    struct tael_sim_timer *timer = (struct tael_sim_timer *)base;
    struct tael_sim_loop *loop = tael_sim_loop_of(base->loop);
    struct tael_sim *sim = sim_of_loop(loop);
    if (loop->dead)
        return;
    int64_t at = delay_us > INT64_MAX - sim->now_us ? INT64_MAX : sim->now_us + delay_us;
    tael_sim_schedule(sim, &timer->event, at);
}

static void timer_stop(struct tael_timer *base)
{
    struct tael_sim_timer *timer = (struct tael_sim_timer *)base;
    tael_sim_cancel(tael_sim_of(base->loop->world), &timer->event);
}

static void timer_free(struct tael_timer *base)
{
    struct tael_sim_timer *timer = (struct tael_sim_timer *)base;
    timer_stop(base);
    tael_heap_unreserve(&tael_sim_of(base->loop->world)->queue, 1);
    *timer->link = timer->next;
    if (timer->next != NULL)
        timer->next->link = timer->link;
    free(timer);
}

/* ---- loops ---- */

static tael_status loop_run(struct tael_loop *loop)
{
    return run_until(tael_sim_of(loop->world), INT64_MAX);
}

static void loop_stop(struct tael_loop *loop)
{
    atomic_store(&tael_sim_of(loop->world)->stop, true);
}

static void loop_free(struct tael_loop *base)
{
    struct tael_sim_loop *loop = tael_sim_loop_of(base), **link;
    struct tael_sim *sim = sim_of_loop(loop);
    assert(loop->timers == NULL && sim->current != loop);
    while (loop->boxes != NULL)
        remove_box(&loop->boxes);
    for (link = &sim->loops; *link != loop; link = &(*link)->next)
        remove_boxes_from(*link, loop->id);
    *link = loop->next;
    for (; *link != NULL; link = &(*link)->next)
        remove_boxes_from(*link, loop->id);
    free(loop);
}

static tael_status spawn(struct tael_loop *loop, const char *program, bool here,
                         struct tael_child **out)
{
    (void)loop, (void)program, (void)here, (void)out;
    return TAEL_ENOTFOUND;
}

static const struct tael_loop_ops loop_ops = {
    .run = loop_run,
    .stop = loop_stop,
    .free = loop_free,
    .post = post,
    .take = take,
    .timer_new = timer_new,
    .timer_start = timer_start,
    .timer_stop = timer_stop,
    .timer_free = timer_free,
    .listen = tael_sim_listen,
    .listener_address = tael_sim_listener_address,
    .listener_retire = tael_sim_listener_retire,
    .listener_share = tael_sim_listener_share,
    .listener_close = tael_sim_listener_close,
    .connect = tael_sim_connect,
    .stream_start = tael_sim_stream_start,
    .stream_read = tael_sim_stream_read,
    .stream_write = tael_sim_stream_write,
    .stream_queued = tael_sim_stream_queued,
    .stream_peer = tael_sim_stream_peer,
    .stream_close = tael_sim_stream_close,
    .spawn = spawn,
};

static tael_status loop_new(struct tael_world *world, struct tael_loop **out)
{
    struct tael_sim *sim = tael_sim_of(world);
    struct tael_sim_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return TAEL_ENOMEM;
    loop->base = (struct tael_loop){&loop_ops, world};
    loop->id = ++sim->last_loop;
    loop->next = sim->loops;
    sim->loops = loop;
    tael_status status = add_box(loop, 0);
    for (struct tael_sim_loop *other = sim->loops; other != NULL && status == TAEL_OK;
         other = other->next) {
        status = add_box(loop, other->id);
        if (status == TAEL_OK && other != loop)
            status = add_box(other, loop->id);
    }
    if (status != TAEL_OK) {
        loop_free(&loop->base);
        return status;
    }
    *out = &loop->base;
    return TAEL_OK;
}

void tael_sim_kill(struct tael_loop *base)
{
    struct tael_sim_loop *loop = tael_sim_loop_of(base);
    struct tael_sim *sim = sim_of_loop(loop);
    if (loop->dead)
        return;
    loop->dead = true;
    for (struct tael_sim_box *box = loop->boxes; box != NULL; box = box->next)
        tael_sim_cancel(sim, &box->event);
    for (struct tael_sim_timer *timer = loop->timers; timer != NULL; timer = timer->next)
        tael_sim_cancel(sim, &timer->event);
    tael_sim_streams_kill(loop);
}

/* ---- the world ---- */

static void world_free(struct tael_world *world)
{
    struct tael_sim *sim = tael_sim_of(world);
    assert(sim->loops == NULL);
    tael_sim_streams_free(sim);
    tael_heap_free(&sim->queue);
    free(sim->vfs);
    free(sim);
}

static const struct tael_world_ops world_ops = {
    .now_ms = now_ms,
    .mono_us = mono_us,
    .random = random_bytes,
    .loop_new = loop_new,
    .free = world_free,
};

tael_status tael_sim_new(struct tael_world **out, const struct tael_sim_options *options)
{
    struct tael_sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL)
        return TAEL_ENOMEM;
    if (options->vfs != NULL && (sim->vfs = strdup(options->vfs)) == NULL) {
        free(sim);
        return TAEL_ENOMEM;
    }
    sim->base = (struct tael_world){.ops = &world_ops, .vfs = sim->vfs, .simulated = true};
    sim->start_ms = options->start_ms;
    sim->latency_us = options->latency_us > 0 ? options->latency_us : DEFAULT_LATENCY_US;
    struct tael_sim_random seed = {options->seed};
    sim->schedule.state = draw(&seed);
    sim->bytes.state = draw(&seed);
    sim->draws.state = draw(&seed);
    sim->next_port = 20000;
    sim->next_peer = 49152;
    *out = &sim->base;
    return TAEL_OK;
}
