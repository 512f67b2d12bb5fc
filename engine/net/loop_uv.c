/* loop_uv.c - one libuv loop: mailbox, timers, running and stopping.
 *
 * Mail: other threads push on a lock-free stack (newest first) and wake the loop through uv_async
 * when it was empty; the loop takes the whole stack at once and turns it round. The loop's own
 * thread appends to a plain list and makes no system call. The list is drained right before and
 * right after poll, one batch each time, so that mail which begets mail cannot keep the sockets
 * waiting. Timers: our own heap over one uv_timer, in microseconds; between two rounds of them the
 * sockets are looked at. Stopping, and starting again at
 * a later time, only write the new time down (the common case of a connection's deadlines); the
 * heap learns of it when the old time comes. Invariants: 1 one sender's mail runs in its order; 2
 * timers fire in the order of (due, start); 3 no callback comes after stop/free/close; 4 SIGPIPE is
 * blocked while the loop runs: a library may not set its handler, and libuv writes without
 * MSG_NOSIGNAL.
 */
#include "net/loop_uv.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    LOOP_DESCRIPTORS = 8
}; /* epoll, two pipes (one of the process), an event; newer ones: rings */

static struct tael_uv_loop *loop_of(struct tael_loop *loop)
{
    return (struct tael_uv_loop *)loop;
}

/* ---- mail ---- */

static bool on_own_thread(struct tael_uv_loop *loop)
{
    return atomic_load_explicit(&loop->thread, memory_order_relaxed) == (uintptr_t)pthread_self();
}

static void append_mail(struct tael_uv_loop *loop, struct tael_mail *mail)
{
    mail->next = NULL;
    *loop->mail_end = mail;
    loop->mail_end = &mail->next;
}

/* Moves what other threads have sent to the end of our own list, oldest first. */
static void collect_inbox(struct tael_uv_loop *loop)
{
    struct tael_mail *mail = atomic_exchange(&loop->inbox, NULL), *oldest = NULL;
    while (mail != NULL) {
        struct tael_mail *next = mail->next;
        mail->next = oldest;
        oldest = mail;
        mail = next;
    }
    while (oldest != NULL) {
        struct tael_mail *next = oldest->next;
        append_mail(loop, oldest);
        oldest = next;
    }
}

static void on_busy(uv_idle_t *handle)
{
    (void)handle; /* that it is active is all: poll returns at once */
}

static void set_busy(struct tael_uv_loop *loop)
{
    if (loop->mail != NULL || loop->due_after_poll)
        uv_idle_start(&loop->busy, on_busy);
    else
        uv_idle_stop(&loop->busy);
}

static void deliver_batch(struct tael_uv_loop *loop)
{
    struct tael_mail *mail = loop->mail;
    loop->mail = NULL;
    loop->mail_end = &loop->mail;
    while (mail != NULL) {
        struct tael_mail *next = mail->next;
        mail->fn(mail);
        mail = next;
    }
    set_busy(loop);
}

void tael_uv_post(struct tael_loop *base, struct tael_mail *mail)
{
    struct tael_uv_loop *loop = loop_of(base);
    if (on_own_thread(loop)) {
        append_mail(loop, mail);
        return;
    }
    struct tael_mail *newest = atomic_load_explicit(&loop->inbox, memory_order_relaxed);
    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak(&loop->inbox, &newest, mail));
    if (newest == NULL)
        uv_async_send(&loop->wake);
}

struct tael_mail *tael_uv_take(struct tael_loop *base)
{
    struct tael_uv_loop *loop = loop_of(base);
    collect_inbox(loop);
    struct tael_mail *mail = loop->mail;
    if (mail == NULL)
        return NULL;
    loop->mail = mail->next;
    if (loop->mail == NULL)
        loop->mail_end = &loop->mail;
    mail->next = NULL;
    return mail;
}

static void on_before_poll(uv_prepare_t *handle)
{
    deliver_batch(handle->data);
}

static void fire_due(struct tael_uv_loop *loop);

static void on_after_poll(uv_check_t *handle)
{
    struct tael_uv_loop *loop = handle->data;
    deliver_batch(loop);
    if (loop->due_after_poll)
        fire_due(loop);
}

static void on_wake(uv_async_t *handle)
{
    struct tael_uv_loop *loop = handle->data;
    collect_inbox(loop);
    if (atomic_load(&loop->stop))
        uv_stop(&loop->uv);
}

/* ---- timers ---- */

static struct tael_uv_timer *timer_of_node(struct tael_heap_node *node)
{
    return (struct tael_uv_timer *)(void *)((char *)node - offsetof(struct tael_uv_timer, node));
}

static void on_tick(uv_timer_t *handle);

static void set_tick(struct tael_uv_loop *loop, int64_t now)
{
    struct tael_heap_node *first = tael_heap_first(&loop->timers);
    if (first == NULL || first->at == loop->tick_at)
        return; /* a tick with nothing due does no harm */
    int64_t wait_us = first->at > now ? first->at - now : 0;
    loop->tick_at = first->at;
    uv_timer_start(&loop->tick, on_tick, ((uint64_t)wait_us + 999) / 1000, 0);
}

/* The next timer to fire, if it is due; out of the heap already. */
static struct tael_uv_timer *take_due(struct tael_uv_loop *loop, int64_t now)
{
    struct tael_heap_node *node;
    while ((node = tael_heap_first(&loop->timers)) != NULL && node->at <= now) {
        struct tael_uv_timer *timer = timer_of_node(node);
        if (timer->active && node->seq != timer->due_seq) { /* moved: now the heap hears of it */
            node->at = timer->due;
            node->seq = timer->due_seq;
            tael_heap_moved(&loop->timers, node);
            continue;
        }
        tael_heap_remove(&loop->timers, node);
        if (timer->active) {
            timer->active = false;
            return timer;
        }
    }
    return NULL;
}

/* What becomes due meanwhile fires after the next poll: libuv would fire a timer without a delay at
 * once, and a timer that starts itself anew would keep the sockets waiting. */
static void fire_due(struct tael_uv_loop *loop)
{
    int64_t now =
        tael_uv_mono_us(NULL); /* stands still: timers started meanwhile wait their turn */
    struct tael_uv_timer *timer;
    loop->firing = true;
    while ((timer = take_due(loop, now)) != NULL)
        timer->fn(timer->user);
    loop->firing = false;
    loop->tick_at = -1;
    now = tael_uv_mono_us(NULL) + 1; /* a microsecond is not worth sleeping for */
    const struct tael_heap_node *first = tael_heap_first(&loop->timers);
    loop->due_after_poll = first != NULL && first->at <= now;
    set_busy(loop);
    if (!loop->due_after_poll)
        set_tick(loop, now);
}

static void on_tick(uv_timer_t *handle)
{
    fire_due(handle->data);
}

tael_status tael_uv_timer_begin(struct tael_uv_loop *loop, struct tael_uv_timer *timer,
                                void (*fn)(void *user), void *user)
{
    *timer = (struct tael_uv_timer){.base.loop = &loop->base, .fn = fn, .user = user};
    return tael_heap_reserve(&loop->timers, 1);
}

void tael_uv_timer_end(struct tael_uv_timer *timer)
{
    struct tael_uv_loop *loop = loop_of(timer->base.loop);
    tael_heap_remove(&loop->timers, &timer->node);
    tael_heap_unreserve(&loop->timers, 1);
}

struct tael_timer *tael_uv_timer_new(struct tael_loop *base, void (*fn)(void *user), void *user)
{
    struct tael_uv_timer *timer = malloc(sizeof(*timer));
    if (timer == NULL)
        return NULL;
    if (tael_uv_timer_begin(loop_of(base), timer, fn, user) != TAEL_OK) {
        free(timer);
        return NULL;
    }
    return &timer->base;
}

void tael_uv_timer_start(struct tael_timer *base, int64_t delay_us)
{
    struct tael_uv_timer *timer = (struct tael_uv_timer *)base;
    struct tael_uv_loop *loop = loop_of(base->loop);
    int64_t now = tael_uv_mono_us(NULL);
    if (delay_us < 0)
        delay_us = 0;
    timer->due = delay_us < INT64_MAX - now ? now + delay_us : INT64_MAX;
    timer->due_seq = ++loop->timer_seq;
    timer->active = true;
    if (timer->node.place != 0 && timer->node.at <= timer->due)
        return; /* the heap hears of it when the old time comes */
    timer->node.at = timer->due;
    timer->node.seq = timer->due_seq;
    if (timer->node.place != 0)
        tael_heap_moved(&loop->timers, &timer->node);
    else
        tael_heap_push(&loop->timers, &timer->node);
    if (!loop->firing)
        set_tick(loop, now);
}

void tael_uv_timer_stop(struct tael_timer *base)
{
    ((struct tael_uv_timer *)base)->active = false;
}

void tael_uv_timer_free(struct tael_timer *base)
{
    struct tael_uv_timer *timer = (struct tael_uv_timer *)base;
    tael_uv_timer_end(timer);
    free(timer);
}

/* ---- life ---- */

void tael_uv_close(struct tael_uv_loop *loop, uv_handle_t *handle, uv_close_cb closed)
{
    loop->closing++;
    uv_close(handle, closed);
}

void tael_uv_closed(struct tael_uv_loop *loop)
{
    assert(loop->closing > 0);
    loop->closing--;
}

/* Where they do not suffice libuv ends the process (the first loop of it) or loses some. */
static bool descriptors_suffice(void)
{
    int held[LOOP_DESCRIPTORS];
    size_t count = 0;
    while (count < LOOP_DESCRIPTORS && (held[count] = eventfd(0, EFD_CLOEXEC)) >= 0)
        count++;
    bool all = count == LOOP_DESCRIPTORS;
    while (count > 0)
        close(held[--count]);
    return all;
}

tael_status tael_uv_loop_new(struct tael_world *world, struct tael_loop **out)
{
    tael_status status = TAEL_ENOMEM;
    struct tael_uv_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return TAEL_ENOMEM;
    loop->read_buffer = malloc(TAEL_UV_READ_BUFFER);
    if (loop->read_buffer == NULL)
        goto free_memory;
    status = TAEL_ELIMIT;
    if (!descriptors_suffice() || uv_loop_init(&loop->uv) != 0)
        goto free_memory;
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0)
        goto close_loop;
    uv_prepare_init(&loop->uv, &loop->before_poll); /* these cannot fail */
    uv_check_init(&loop->uv, &loop->after_poll);
    uv_idle_init(&loop->uv, &loop->busy);
    uv_timer_init(&loop->uv, &loop->tick);
    loop->wake.data = loop->before_poll.data = loop->after_poll.data = loop->tick.data = loop;
    loop->busy.data = loop;
    loop->base = (struct tael_loop){&tael_uv_loop_ops, world};
    loop->mail_end = &loop->mail;
    loop->tick_at = -1;
    loop->stay.cpu = -1;
    uv_prepare_start(&loop->before_poll, on_before_poll);
    uv_check_start(&loop->after_poll, on_after_poll);
    *out = &loop->base;
    return TAEL_OK;

close_loop:
    uv_loop_close(&loop->uv);
free_memory:
    free(loop->read_buffer);
    free(loop);
    return status;
}

/* Blocks SIGPIPE for this thread. true: it was not blocked before, so it is ours to unblock. */
static bool block_sigpipe(void)
{
    sigset_t pipe, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    return pthread_sigmask(SIG_BLOCK, &pipe, &before) == 0 && sigismember(&before, SIGPIPE) == 0;
}

static void unblock_sigpipe(void)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) == SIGPIPE) {
        /* raised by our own writes: it must not strike the host afterwards */
    }
    pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
}

tael_status tael_uv_loop_run(struct tael_loop *base)
{
    struct tael_uv_loop *loop = loop_of(base);
    uintptr_t nobody = 0;
    if (!atomic_compare_exchange_strong(&loop->thread, &nobody, (uintptr_t)pthread_self()))
        return TAEL_ETHREAD; /* it runs already */
    bool unblock = block_sigpipe();
    collect_inbox(loop); /* what this thread sent before comes before what it sends from now on */
    while (!atomic_exchange(&loop->stop, false))
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    tael_uv_go_anywhere(loop);
    if (unblock)
        unblock_sigpipe();
    atomic_store(&loop->thread, 0);
    return TAEL_OK;
}

void tael_uv_loop_stop(struct tael_loop *base)
{
    struct tael_uv_loop *loop = loop_of(base);
    atomic_store(&loop->stop, true);
    uv_async_send(&loop->wake); /* safe in a signal handler */
}

static void on_part_closed(uv_handle_t *handle)
{
    tael_uv_closed(handle->data);
}

void tael_uv_loop_free(struct tael_loop *base)
{
    struct tael_uv_loop *loop = loop_of(base);
    tael_uv_children_reap(loop);
    tael_uv_streams_cut(loop);
    tael_uv_close(loop, (uv_handle_t *)&loop->wake, on_part_closed);
    tael_uv_close(loop, (uv_handle_t *)&loop->before_poll, on_part_closed);
    tael_uv_close(loop, (uv_handle_t *)&loop->after_poll, on_part_closed);
    tael_uv_close(loop, (uv_handle_t *)&loop->busy, on_part_closed);
    tael_uv_close(loop, (uv_handle_t *)&loop->tick, on_part_closed);
    do {
        uv_run(&loop->uv,
               UV_RUN_NOWAIT); /* others' handles on tael_loop_uv finish closing here too */
    } while (loop->closing > 0);
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0); /* else something made on the loop was not closed */
    (void)rc;
    tael_uv_stay_free(loop);
    tael_heap_free(&loop->timers);
    free(loop->read_buffer);
    free(loop);
}
