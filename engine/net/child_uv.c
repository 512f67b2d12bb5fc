/* child_uv.c - programs started with one end of a pair of sockets, and their end.
 *
 * posix_spawn, so that nothing of this process is ever copied. A child is known by a descriptor of
 * its own (pidfd), which is readable when it has ended and never means another process. It is
 * reaped by whoever started it: at once, or when that descriptor says so. Ownership: a child is the
 * owner's until tael_child_end, then the loop's; it is freed in uv's close callback.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sched.h>
#include <spawn.h>

#include "net/loop_uv.h"

enum {
    SOCKET_AT = 3,       /* descriptor, in the child */
    STAY_US = 20 * 1000, /* a thread, on its processor */
    STAYS_MAX = 5,       /* the same again, while turns do not end */
};

struct tael_uv_child {
    struct tael_child base; /* first */
    struct tael_uv_child *next, **link;
    uv_poll_t ended;
    int pidfd; /* -1: an older kernel */
    clockid_t clock;
    bool here, in_turn;
    int cpu;   /* where it is kept; -1: anywhere */
    bool over; /* for its owner */
};

static struct tael_uv_loop *loop_of(const struct tael_uv_child *child)
{
    return (struct tael_uv_loop *)child->base.loop;
}

/* ---- starting ---- */

/* The signals' own meaning, no terminal's signals: who ends a child is its owner. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    return rc != 0 ? rc : posix_spawnattr_setsigdefault(attributes, &all);
}

static int start(const char *program, int fd, pid_t *pid)
{
    char name[] = "tael-script";
    char *arguments[] = {name, NULL}, *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0)
        goto destroy_actions;
    rc = posix_spawn_file_actions_adddup2(&actions, fd, SOCKET_AT); /* also clears close-on-exec */
    if (rc == 0)
        rc = set_attributes(&attributes);
    if (rc == 0)
        rc = posix_spawn(pid, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
destroy_actions:
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static tael_status status_of(int rc)
{
    if (rc == ENOMEM)
        return TAEL_ENOMEM;
    return rc == EAGAIN || rc == EMFILE || rc == ENFILE ? TAEL_ELIMIT : TAEL_ENOTFOUND;
}

tael_status tael_uv_spawn(struct tael_loop *base, const char *program, bool here,
                          struct tael_child **out)
{
    struct tael_uv_loop *loop = (struct tael_uv_loop *)base;
    int pair[2];
    struct tael_uv_child *child = calloc(1, sizeof(*child));
    if (child == NULL)
        return TAEL_ENOMEM;
    tael_status status = TAEL_OK;
    tael_uv_go_anywhere(loop); /* the child begins with what the thread may use */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        status = status_of(errno);
        goto free_child;
    }
    status = tael_uv_stream_given(loop, pair[0], &child->base.stream);
    if (status != TAEL_OK)
        goto close_other;
    int rc = start(program, pair[1], &child->base.pid);
    if (rc != 0) {
        status = status_of(rc);
        tael_stream_close(child->base.stream);
        goto close_other;
    }
    close(pair[1]);
    child->here = here;
    child->cpu = -1;
    if (clock_getcpuclockid(child->base.pid, &child->clock) != 0)
        child->clock = CLOCK_REALTIME; /* it is gone already */
    child->pidfd = (int)syscall(SYS_pidfd_open, child->base.pid, 0);
    child->base.loop = base;
    child->next = loop->children;
    child->link = &loop->children;
    if (child->next != NULL)
        child->next->link = &child->next;
    loop->children = child;
    *out = &child->base;
    return TAEL_OK;
close_other:
    close(pair[1]);
free_child:
    free(child);
    return status;
}

/* One that has ended used none any more. */
int64_t tael_uv_child_used_us(struct tael_child *base)
{
    const struct tael_uv_child *child = (struct tael_uv_child *)base;
    struct timespec used;
    if (child->clock == CLOCK_REALTIME || clock_gettime(child->clock, &used) != 0)
        return 0;
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* ---- turns ----
 *
 * A thread that was kept on its processor stays there for a while, for each change costs some
 * microseconds; then it may be moved, until the next turn.
 */

/* Where it is not allowed it runs anywhere. */
static bool keep_on(pid_t pid, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(pid, sizeof(set), &set) == 0;
}

void tael_uv_go_anywhere(struct tael_uv_loop *loop)
{
    if (loop->stay.cpu >= 0 && CPU_COUNT(&loop->stay.anywhere) > 1)
        sched_setaffinity(0, sizeof(loop->stay.anywhere), &loop->stay.anywhere);
    loop->stay.cpu = -1;
}

static void on_release(void *user)
{
    struct tael_uv_loop *loop = user;
    if (loop->stay.turns > 0 && ++loop->stay.again < STAYS_MAX)
        tael_uv_timer_start(&loop->stay.release.base, STAY_US);
    else
        tael_uv_go_anywhere(loop);
}

static bool make_ready(struct tael_uv_loop *loop)
{
    if (!loop->stay.ready)
        loop->stay.ready =
            tael_uv_timer_begin(loop, &loop->stay.release, on_release, loop) == TAEL_OK;
    return loop->stay.ready;
}

void tael_uv_stay_free(struct tael_uv_loop *loop)
{
    if (loop->stay.ready)
        tael_uv_timer_end(&loop->stay.release);
}

static void stay(struct tael_uv_loop *loop)
{
    int cpu = sched_getcpu();
    if (loop->stay.turns++ > 0 || loop->stay.cpu >= 0 || cpu < 0 || cpu >= CPU_SETSIZE ||
        !make_ready(loop) ||
        sched_getaffinity(0, sizeof(loop->stay.anywhere), &loop->stay.anywhere) != 0)
        return;
    if (CPU_COUNT(&loop->stay.anywhere) > 1 && !keep_on(0, cpu))
        return;
    loop->stay.cpu = cpu;
    loop->stay.again = 0;
    tael_uv_timer_start(&loop->stay.release.base, STAY_US);
}

void tael_uv_child_turn(struct tael_child *base, bool begins)
{
    struct tael_uv_child *child = (struct tael_uv_child *)base;
    struct tael_uv_loop *loop = loop_of(child);
    if (!child->here || child->in_turn == begins)
        return;
    child->in_turn = begins;
    if (!begins) {
        loop->stay.turns--;
        return;
    }
    stay(loop);
    if (loop->stay.cpu >= 0 && loop->stay.cpu != child->cpu &&
        keep_on(child->base.pid, loop->stay.cpu))
        child->cpu = loop->stay.cpu;
}

/* ---- ending ---- */

static void forget(struct tael_uv_child *child)
{
    *child->link = child->next;
    if (child->next != NULL)
        child->next->link = child->link;
    if (child->pidfd >= 0)
        close(child->pidfd);
    free(child);
}

static void on_closed(uv_handle_t *handle)
{
    struct tael_uv_child *child = handle->data;
    struct tael_uv_loop *loop = loop_of(child);
    forget(child);
    tael_uv_closed(loop);
}

/* ECHILD: a host that ignores SIGCHLD has no zombies. */
static bool reap(const struct tael_uv_child *child, int flags)
{
    pid_t got;
    do {
        got = waitpid(child->base.pid, NULL, flags);
    } while (got < 0 && errno == EINTR);
    return got != 0;
}

static void on_ended(uv_poll_t *handle, int status, int events)
{
    struct tael_uv_child *child = handle->data;
    (void)status, (void)events;
    if (reap(child, WNOHANG))
        tael_uv_close(loop_of(child), (uv_handle_t *)handle, on_closed);
}

static void kill_child(const struct tael_uv_child *child)
{
    if (child->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
    else
        kill(child->base.pid, SIGKILL);
}

void tael_uv_child_end(struct tael_child *base)
{
    struct tael_uv_child *child = (struct tael_uv_child *)base;
    struct tael_uv_loop *loop = loop_of(child);
    tael_uv_child_turn(base, false);
    kill_child(child);
    tael_stream_close(child->base.stream);
    child->base.stream = NULL;
    bool gone = reap(child, child->pidfd < 0 ? 0 : WNOHANG);
    if (gone || uv_poll_init(&loop->uv, &child->ended, child->pidfd) != 0) {
        if (!gone)
            reap(child, 0);
        forget(child);
        return;
    }
    child->over = true;
    child->ended.data = child;
    uv_poll_start(&child->ended, UV_READABLE, on_ended); /* fails only for a handle that closes */
}

void tael_uv_children_reap(struct tael_uv_loop *loop)
{
    for (struct tael_uv_child *child = loop->children; child != NULL; child = child->next) {
        if (!child->over || uv_is_closing((uv_handle_t *)&child->ended))
            continue;
        reap(child, 0);
        tael_uv_close(loop, (uv_handle_t *)&child->ended, on_closed);
    }
}
