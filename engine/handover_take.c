/* handover_take.c - the new process's side of a handover (handover.h). Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "handover.h"
#include "handover_line.h"

enum {
    HELLO_MS = 10 * 1000,
    BEYOND_MS = 30 * 1000, /* what the old one has after its drain, to close its store */
    END_MS = 5 * 1000,     /* from the end of its connection to its own */
};

static tael_status refuse(tael_error *err, const char *what, const char *why)
{
    tael_error_set(err, TAEL_EBUSY, "takeover", "%s%s; it goes on serving", what, why);
    return TAEL_EBUSY;
}

/* A connection to whoever listens there; -1: nobody. */
static int dial(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(at.sun_path))
        return -1;
    memcpy(at.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* The process at the other end; -1: not to be known. */
static int peer_of(int connection)
{
    struct ucred peer = {.pid = 0};
    socklen_t len = sizeof(peer);
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.pid <= 0)
        return -1;
    return pidfd_open(peer.pid, 0);
}

/* A dying process closes its files one after the other: the connection's end may come before the
 * lock is free. */
static void await_end(int peer)
{
    struct pollfd wait = {.fd = peer, .events = POLLIN};
    if (peer >= 0)
        (void)poll(&wait, 1, END_MS);
}

/* Takes "socket NAME ADDRESS"; fd is the legacy's then, or closed. */
static tael_status take_socket(struct tael_legacy *legacy, char *line, int fd)
{
    char *name = line + strlen("socket "), *address = strchr(name, ' ');
    if (fd < 0 || address == NULL) {
        if (fd >= 0)
            close(fd);
        return TAEL_EINTERNAL;
    }
    *address++ = '\0';
    return tael_legacy_add(legacy, name, address, fd);
}

/* Everything up to the lock. */
static tael_status take_all(const struct tael_taking *taking, int64_t drain_ms,
                            struct tael_legacy *legacy)
{
    char line[TAEL_HANDOVER_LINE];
    tael_status rc = TAEL_OK;
    int64_t patience_ms = drain_ms + BEYOND_MS;
    while (rc == TAEL_OK && legacy->lock_fd < 0) {
        int fd = -1;
        rc = tael_handover_hear(taking->connection, patience_ms, taking->stop, line, &fd);
        if (rc != TAEL_OK)
            continue;
        if (strncmp(line, "socket ", 7) == 0) {
            rc = take_socket(legacy, line, fd);
        } else if (strcmp(line, "lock") == 0 && fd >= 0) {
            legacy->lock_fd = fd;
        } else if (fd >= 0) {
            close(fd); /* of a newer protocol: not for us */
        }
    }
    return rc;
}

void tael_taking_drop(struct tael_taking *taking)
{
    if (taking->connection >= 0)
        close(taking->connection);
    taking->connection = -1;
}

tael_status tael_taking_inherit(void *user, const struct tael_plan *plan,
                                struct tael_legacy *legacy, tael_error *err)
{
    struct tael_taking *taking = user;
    char line[TAEL_HANDOVER_LINE];
    if (plan->handover == NULL)
        return TAEL_OK;
    taking->connection = dial(plan->handover);
    if (taking->connection < 0)
        return TAEL_OK; /* who has the store all the same keeps it: the lock tells */
    int peer = peer_of(taking->connection);
    tael_status rc = tael_handover_say(taking->connection, TAEL_HANDOVER_HELLO, -1);
    if (rc == TAEL_OK)
        rc = tael_handover_hear(taking->connection, HELLO_MS, taking->stop, line, NULL);
    if (rc == TAEL_OK && strncmp(line, "refused ", 8) == 0)
        rc = refuse(err, "the running engine does not hand over: ", line + 8);
    else if (rc == TAEL_OK && strncmp(line, "draining ", 9) != 0)
        rc = refuse(err, "the running engine is not understood: ", line);
    else if (rc == TAEL_OK)
        rc = take_all(taking, strtoll(line + 9, NULL, 10), legacy);
    if (rc == TAEL_ECLOSED) { /* it has ended, the lock is free: the sockets that came are ours */
        await_end(peer);
        tael_taking_drop(taking);
        rc = TAEL_OK;
    } else if (rc == TAEL_ETIMEOUT) {
        rc = refuse(err, "the running engine has not drained in time", "");
    } else if (rc != TAEL_OK && rc != TAEL_EBUSY) {
        tael_error_set(err, rc, "takeover", "the running engine broke the handover off: %s",
                       tael_status_text(rc));
    }
    if (peer >= 0)
        close(peer);
    return rc;
}

bool tael_taking_found(const struct tael_taking *taking)
{
    return taking->connection >= 0;
}

void tael_taking_done(struct tael_taking *taking)
{
    if (taking->connection >= 0)
        tael_handover_say(taking->connection, "serving", -1); /* its end tells no less */
    tael_taking_drop(taking);
}
