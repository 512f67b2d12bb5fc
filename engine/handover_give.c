/* handover_give.c - the running process's side of a handover (handover.h).
 *
 * A thread waits for a successor; when one has come it stops the engine and ends, and the main
 * thread, which waits for that in tael_engine_run, does the rest. The listening socket is handed
 * over like the others: whoever asks meanwhile waits for the next owner.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/thread.h"
#include "handover.h"
#include "handover_line.h"

enum { HELLO_MS = 2000, SEND_S = 5, BACKLOG = 4 };

struct tael_handover {
    tael_engine *engine;
    int listen_fd, wake_fd;
    int successor; /* -1: none; the thread's until it has ended */
    bool given;    /* socket and file are somebody else's by now */
    struct tael_thread thread;
};

/* ---- the socket ---- */

/* Under the store's lock: whatever lies at that place is nobody's. */
static int listen_new(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(at.sun_path))
        return -1;
    memcpy(at.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    unlink(path);
    if (fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

/* listen again: a successor is told the process that did so last, and waits for its end. */
static int listen_inherited(const struct tael_legacy *legacy)
{
    int fd = -1;
    for (size_t i = 0; i < legacy->count && fd < 0; i++)
        if (strcmp(legacy->sockets[i].name, TAEL_HANDOVER_NAME) == 0)
            fd = fcntl(legacy->sockets[i].fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && listen(fd, BACKLOG) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* ---- waiting, on the thread ---- */

static bool is_ours(int connection, pid_t *pid)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    bool known = getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0;
    *pid = peer.pid;
    return known && peer.uid == geteuid();
}

/* true: the engine stops for it. */
static bool welcome(struct tael_handover *handover, int connection)
{
    char line[TAEL_HANDOVER_LINE];
    pid_t pid;
    struct timeval patience = {.tv_sec = SEND_S};
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (!is_ours(connection, &pid) ||
        tael_handover_hear(connection, HELLO_MS, NULL, line, NULL) != TAEL_OK)
        return false;
    if (strcmp(line, TAEL_HANDOVER_HELLO) != 0) {
        tael_handover_say(connection, "refused it speaks another protocol", -1);
        return false;
    }
    if (tael_engine_hand_over(handover->engine) != TAEL_OK) {
        tael_handover_say(connection, "refused it is stopping", -1);
        return false;
    }
    TAEL_LOG(handover->engine->log, TAEL_LOG_INFO, "engine.handing_over", tael_log_int("to", pid));
    snprintf(line, sizeof(line), "draining %lld", (long long)handover->engine->plan.drain_ms);
    tael_handover_say(connection, line, -1); /* one that is gone already shows later */
    handover->successor = connection;
    return true;
}

static void *wait_for_successor(void *arg)
{
    struct tael_handover *handover = arg;
    for (;;) {
        struct pollfd wait[2] = {{.fd = handover->listen_fd, .events = POLLIN},
                                 {.fd = handover->wake_fd, .events = POLLIN}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (wait[1].revents != 0)
            return NULL;
        int connection = accept4(handover->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0) {
            if (errno != EAGAIN)
                poll(&wait[1], 1, 100); /* no descriptors: not in a storm */
            continue;
        }
        if (welcome(handover, connection))
            return NULL;
        close(connection);
    }
}

static tael_status start_thread(struct tael_handover *handover)
{
    return tael_thread_start(&handover->thread, "tael-successor", wait_for_successor, handover);
}

/* ---- life ---- */

tael_status tael_handover_open(struct tael_handover **out, tael_engine *engine)
{
    const char *path = engine->plan.handover;
    if (path == NULL)
        return TAEL_OK;
    struct tael_handover *handover = calloc(1, sizeof(*handover));
    if (handover == NULL)
        return TAEL_ENOMEM;
    handover->engine = engine;
    handover->successor = -1;
    handover->listen_fd = listen_inherited(&engine->legacy);
    if (handover->listen_fd < 0)
        handover->listen_fd = listen_new(path);
    tael_legacy_free(&engine->legacy); /* before a successor comes: then it is what we leave */
    handover->wake_fd = eventfd(0, EFD_CLOEXEC);
    tael_status rc = TAEL_ENETWORK;
    if (handover->listen_fd >= 0 && handover->wake_fd >= 0)
        rc = start_thread(handover);
    if (rc == TAEL_OK)
        *out = handover;
    else
        tael_handover_close(handover);
    return rc;
}

static void end_thread(struct tael_handover *handover)
{
    uint64_t one = 1;
    if (!handover->thread.runs)
        return;
    ssize_t written = write(handover->wake_fd, &one, sizeof(one));
    (void)written; /* a counter that cannot be full */
    tael_thread_join(&handover->thread);
    ssize_t got = read(handover->wake_fd, &one, sizeof(one));
    (void)got;
}

bool tael_handover_came(struct tael_handover *handover)
{
    if (handover == NULL)
        return false;
    end_thread(handover);
    return handover->successor >= 0;
}

tael_status tael_handover_again(struct tael_handover *handover)
{
    close(handover->successor);
    handover->successor = -1;
    return start_thread(handover);
}

void tael_handover_close(struct tael_handover *handover)
{
    if (handover == NULL)
        return;
    end_thread(handover);
    if (handover->successor >= 0)
        close(handover->successor);
    if (handover->listen_fd >= 0) {
        close(handover->listen_fd);
        if (!handover->given)
            unlink(handover->engine->plan.handover);
    }
    if (handover->wake_fd >= 0)
        close(handover->wake_fd);
    free(handover);
}

/* ---- giving ---- */

static tael_status give_socket(int to, const char *name, const char *address, int fd)
{
    char line[TAEL_HANDOVER_LINE];
    snprintf(line, sizeof(line), "socket %s %s", name, address);
    return tael_handover_say(to, line, fd);
}

static tael_status give_all(const struct tael_handover *handover)
{
    const tael_engine *engine = handover->engine;
    const struct tael_legacy *legacy = &engine->legacy;
    tael_status rc = give_socket(handover->successor, TAEL_HANDOVER_NAME, engine->plan.handover,
                                 handover->listen_fd);
    for (size_t i = 0; rc == TAEL_OK && i < legacy->count; i++)
        rc = give_socket(handover->successor, legacy->sockets[i].name, legacy->sockets[i].address,
                         legacy->sockets[i].fd);
    if (rc == TAEL_OK)
        rc = legacy->lock_fd >= 0 ? tael_handover_say(handover->successor, "lock", legacy->lock_fd)
                                  : TAEL_EINTERNAL;
    return rc;
}

/* It has the lock: only its word or its end decides, however long it takes to open the store. Asked
 * to stop meanwhile we leave it all to it. */
static enum tael_handover_end await_serving(const struct tael_handover *handover,
                                            const struct tael_signals *signals)
{
    char line[TAEL_HANDOVER_LINE];
    for (;;) {
        tael_status rc =
            tael_handover_hear(handover->successor, INT32_MAX, &signals->stop, line, NULL);
        if (rc == TAEL_ETIMEOUT && atomic_load(&signals->stop))
            return TAEL_HANDOVER_DONE;
        if (rc == TAEL_OK && strcmp(line, "serving") == 0)
            return TAEL_HANDOVER_DONE;
        if (rc == TAEL_ECLOSED)
            return TAEL_HANDOVER_FAILED;
    }
}

enum tael_handover_end tael_handover_give(struct tael_handover *handover,
                                          const struct tael_signals *signals)
{
    tael_engine *engine = handover->engine;
    enum tael_handover_end end = TAEL_HANDOVER_FAILED;
    tael_engine_pause(engine);
    if (give_all(handover) == TAEL_OK)
        end = await_serving(handover, signals);
    handover->given = end == TAEL_HANDOVER_DONE;
    TAEL_LOG(engine->log, handover->given ? TAEL_LOG_INFO : TAEL_LOG_WARN,
             handover->given ? "engine.handed_over" : "engine.not_handed_over",
             tael_log_text("next", handover->given ? "this process ends"
                                                   : "the successor is gone; this engine goes on"));
    return end;
}
