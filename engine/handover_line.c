/* handover_line.c - see handover_line.h. */
#include "handover_line.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

union control { /* aligned for a cmsghdr */
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

tael_status tael_handover_say(int connection, const char *line, int fd)
{
    struct iovec text = {(void *)(uintptr_t)line, strlen(line)};
    union control control = {{0}};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    }
    ssize_t sent;
    do {
        sent = sendmsg(connection, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)text.iov_len ? TAEL_OK : TAEL_ECLOSED;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static tael_status wait_readable(int connection, int64_t timeout_ms, const atomic_bool *stop)
{
    enum { LOOK_MS = 100 };
    int64_t end = now_ms() + timeout_ms;
    for (;;) {
        struct pollfd wait = {.fd = connection, .events = POLLIN};
        int ready = poll(&wait, 1, LOOK_MS);
        if (ready > 0)
            return TAEL_OK;
        if (ready < 0 && errno != EINTR)
            return TAEL_EINTERNAL;
        if ((stop != NULL && atomic_load(stop)) || now_ms() >= end)
            return TAEL_ETIMEOUT;
    }
}

static int descriptor_of(struct msghdr *message)
{
    int fd = -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return fd;
}

tael_status tael_handover_hear(int connection, int64_t timeout_ms, const atomic_bool *stop,
                               char line[TAEL_HANDOVER_LINE], int *fd)
{
    struct iovec text = {line, TAEL_HANDOVER_LINE - 1};
    union control control = {{0}};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    if (fd != NULL)
        *fd = -1;
    tael_status rc = wait_readable(connection, timeout_ms, stop);
    if (rc != TAEL_OK)
        return rc;
    ssize_t len = recvmsg(connection, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (len <= 0)
        return TAEL_ECLOSED;
    line[len] = '\0';
    int came = descriptor_of(&message);
    if (fd != NULL)
        *fd = came;
    else if (came >= 0)
        close(came);
    return (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 ? TAEL_OK : TAEL_EINTERNAL;
}
