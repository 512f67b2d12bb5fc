/* listen_uv.c - addresses and listeners of one libuv loop.
 *
 * TCP listeners set SO_REUSEPORT, so that every worker has its own and the kernel spreads
 * connections. A unix socket is made with mode 0600 before anybody can connect to it; a socket file
 * that nobody listens on is taken away first; ours is taken away when the listener closes or
 * retires, unless its socket is shared: then another listener, of this process or the next, has it.
 * Connections are accepted here and not by uv_listen: where no descriptor is left, and the one that
 * libuv keeps for that has gone to another thread, it asks for ever and the loop runs no more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/loop_uv.h"

enum {
    BACKLOG = 1024,
    RETRY_US = 100 * 1000, /* until more is accepted, where memory or descriptors were missing */
};

struct listener {
    struct tael_listener base; /* first */
    union {
        uv_handle_t handle;
        uv_poll_t poll;
    } uv;
    int fd;
    int taken; /* accepted, and there was no memory for its stream; -1: none */
    bool local;
    tael_accept_fn accept;
    void *user;
    struct tael_uv_timer retry;
    bool shared;  /* the socket lives on without us */
    dev_t device; /* of the unix socket's file */
    ino_t inode;
    char address[TAEL_UV_ADDRESS_TEXT];
};

/* ---- addresses ---- */

static bool parse_port(const char *text, int *port)
{
    int value = 0;
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 5 || text[len] != '\0')
        return false;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (text[i] - '0');
    *port = value;
    return value <= 65535;
}

static tael_status parse_local(const char *path, struct tael_uv_address *out)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(out->at.local.sun_path))
        return TAEL_EINVAL;
    out->at.local.sun_family = AF_UNIX;
    memcpy(out->at.local.sun_path, path, len + 1);
    out->len = sizeof(out->at.local);
    return TAEL_OK;
}

tael_status tael_uv_address_parse(const char *text, struct tael_uv_address *out)
{
    memset(out, 0, sizeof(*out));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_local(text + 5, out);

    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN] = "";
    int port = 0;
    if (colon == NULL || !parse_port(colon + 1, &port))
        return TAEL_EINVAL;
    bool brackets = text[0] == '[' && colon - text >= 2 && colon[-1] == ']';
    const char *first = brackets ? text + 1 : text;
    size_t len = (size_t)(colon - first) - (brackets ? 1 : 0);
    if (len >= sizeof(host))
        return TAEL_EINVAL;
    memcpy(host, first, len);
    out->len = brackets ? sizeof(out->at.ip6) : sizeof(out->at.ip4);
    int rc =
        brackets ? uv_ip6_addr(host, port, &out->at.ip6) : uv_ip4_addr(host, port, &out->at.ip4);
    return rc == 0 ? TAEL_OK : TAEL_EINVAL;
}

void tael_uv_address_format(const struct sockaddr *address, char out[TAEL_UV_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ip6 = (const void *)address;
        inet_ntop(AF_INET6, &ip6->sin6_addr, host, sizeof(host));
        snprintf(out, TAEL_UV_ADDRESS_TEXT, "[%s]:%d", host, ntohs(ip6->sin6_port));
    } else if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ip4 = (const void *)address;
        inet_ntop(AF_INET, &ip4->sin_addr, host, sizeof(host));
        snprintf(out, TAEL_UV_ADDRESS_TEXT, "%s:%d", host, ntohs(ip4->sin_port));
    } else {
        snprintf(out, TAEL_UV_ADDRESS_TEXT, "unix");
    }
}

/* ---- sockets ---- */

/* Removes a socket file that nobody listens on. TAEL_ENETWORK: somebody does; TAEL_EINVAL: no
 * socket. */
static tael_status remove_stale(const struct tael_uv_address *at)
{
    struct stat file;
    if (lstat(at->at.local.sun_path, &file) != 0)
        return errno == ENOENT ? TAEL_OK : TAEL_ENETWORK;
    if (!S_ISSOCK(file.st_mode))
        return TAEL_EINVAL;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return TAEL_ENETWORK;
    bool refused = connect(probe, &at->at.any, at->len) != 0 && errno == ECONNREFUSED;
    close(probe);
    return refused && unlink(at->at.local.sun_path) == 0 ? TAEL_OK : TAEL_ENETWORK;
}

static tael_status bind_local(int fd, const struct tael_uv_address *at, struct listener *listener)
{
    tael_status status = remove_stale(at);
    if (status != TAEL_OK)
        return status;
    struct stat file;
    const char *path = at->at.local.sun_path;
    if (bind(fd, &at->at.any, at->len) != 0)
        return TAEL_ENETWORK;
    if (chmod(path, S_IRUSR | S_IWUSR) != 0 || lstat(path, &file) != 0) {
        unlink(path);
        return TAEL_ENETWORK;
    }
    listener->device = file.st_dev;
    listener->inode = file.st_ino;
    snprintf(listener->address, sizeof(listener->address), "unix:%s", path);
    return TAEL_OK;
}

static tael_status bind_tcp(int fd, const struct tael_uv_address *at, struct listener *listener)
{
    struct sockaddr_storage real = {0};
    socklen_t len = sizeof(real);
    int on = 1;
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
    if (at->at.any.sa_family == AF_INET6) /* "[::]:80" and "0.0.0.0:80" are two addresses */
        ok = ok && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0;
    ok = ok && bind(fd, &at->at.any, at->len) == 0 &&
         getsockname(fd, (struct sockaddr *)&real, &len) == 0;
    if (ok)
        tael_uv_address_format((struct sockaddr *)&real, listener->address);
    return ok ? TAEL_OK : TAEL_ENETWORK;
}

/* Without SO_REUSEPORT a bind tells whether anybody listens there. */
static tael_status find_free(const struct tael_uv_address *at)
{
    int on = 1;
    int fd = socket(at->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return TAEL_ENETWORK;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->at.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    bool taken = bind(fd, &at->at.any, at->len) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken ? TAEL_EBUSY : TAEL_OK;
}

/* ---- accepting ---- */

/* The next connection that waits: TAEL_ENOTFOUND: none; TAEL_ELIMIT: it cannot be had now. */
static tael_status take_next(struct listener *listener)
{
    while (listener->taken < 0) {
        listener->taken = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (listener->taken < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return TAEL_ENOTFOUND;
        if (listener->taken < 0 && errno != ECONNABORTED && errno != EINTR)
            return TAEL_ELIMIT;
    }
    return TAEL_OK;
}

static tael_status accept_next(struct listener *listener)
{
    struct tael_uv_loop *loop = (struct tael_uv_loop *)listener->base.loop;
    struct tael_stream *stream = NULL;
    tael_status status = take_next(listener);
    if (status != TAEL_OK)
        return status;
    status = tael_uv_stream_accept(loop, listener->taken, listener->local, &stream);
    if (status == TAEL_ENOMEM)
        return status;
    listener->taken = -1;
    if (status == TAEL_OK)
        listener->accept(listener->user, stream);
    return TAEL_OK; /* who was gone before we looked is nobody's */
}

/* All that wait; the callback may have closed the listener. false: some have to wait on. */
static bool accept_waiting(struct listener *listener)
{
    tael_status status = TAEL_OK;
    while (status == TAEL_OK && uv_is_closing(&listener->uv.handle) == 0)
        status = accept_next(listener);
    return status == TAEL_OK || status == TAEL_ENOTFOUND;
}

static void on_readable(uv_poll_t *poll, int rc, int events)
{
    struct listener *listener = poll->data;
    (void)rc, (void)events; /* whatever it is, accept says so */
    if (accept_waiting(listener))
        return;
    uv_poll_stop(poll);
    tael_uv_timer_start(&listener->retry.base, RETRY_US);
}

static void on_retry(void *user)
{
    struct listener *listener = user;
    if (!accept_waiting(listener))
        tael_uv_timer_start(&listener->retry.base, RETRY_US);
    else if (uv_is_closing(&listener->uv.handle) == 0)
        uv_poll_start(&listener->uv.poll, UV_READABLE, on_readable);
}

/* ---- life ---- */

static void unlink_ours(const struct listener *listener)
{
    struct stat file;
    const char *path = listener->address + 5;
    if (lstat(path, &file) == 0 && file.st_dev == listener->device &&
        file.st_ino == listener->inode)
        unlink(path);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    struct tael_uv_loop *loop = (struct tael_uv_loop *)listener->base.loop;
    tael_uv_timer_end(&listener->retry);
    free(listener);
    tael_uv_closed(loop);
}

void tael_uv_listener_close(struct tael_listener *base)
{
    struct listener *listener = (struct listener *)base;
    if (listener->local && !listener->shared)
        unlink_ours(listener);
    tael_uv_timer_stop(&listener->retry.base);
    tael_uv_close((struct tael_uv_loop *)base->loop, &listener->uv.handle, on_closed);
    close(listener->fd);
    if (listener->taken >= 0)
        close(listener->taken);
}

/* Drops the SYNs of a listening socket and nothing else: a client sends its own again a second
 * later. */
static void drop_new(int fd)
{
    enum { TCP_FLAGS = 13, SYN = 0x02, SYN_ACK = 0x12 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)); /* best effort */
}

void tael_uv_listener_retire(struct tael_listener *base)
{
    struct listener *listener = (struct listener *)base;
    if (listener->shared)
        return;
    if (listener->local)
        unlink_ours(listener);
    else
        drop_new(listener->fd);
}

int tael_uv_listener_share(struct tael_listener *base)
{
    struct listener *listener = (struct listener *)base;
    int copy = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
    listener->shared = listener->shared || copy >= 0;
    return copy;
}

const char *tael_uv_listener_address(struct tael_listener *base)
{
    return ((struct listener *)base)->address;
}

/* A socket that listens already: its address, and of a unix socket the file that is ours then. */
static tael_status take_given(int fd, struct listener *listener)
{
    struct tael_uv_address at = {.len = sizeof(at.at)};
    int on = 1, listens = 0;
    struct stat file;
    socklen_t len = sizeof(listens);
    if (getsockname(fd, &at.at.any, &at.len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 || listens == 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return TAEL_ENETWORK;
    listener->local = at.at.any.sa_family == AF_UNIX;
    if (!listener->local) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)); /* more workers may come */
        tael_uv_address_format(&at.at.any, listener->address);
        return TAEL_OK;
    }
    const char *path = at.at.local.sun_path;
    snprintf(listener->address, sizeof(listener->address), "unix:%s", path);
    if (lstat(path, &file) == 0) {
        listener->device = file.st_dev;
        listener->inode = file.st_ino;
    }
    return TAEL_OK;
}

/* A new socket, bound; *fd is the caller's on success. */
static tael_status bind_new(const char *address, struct listener *listener, int *fd)
{
    struct tael_uv_address at;
    bool alone = strncmp(address, TAEL_LISTEN_ALONE, sizeof(TAEL_LISTEN_ALONE) - 1) == 0;
    address += alone ? sizeof(TAEL_LISTEN_ALONE) - 1 : 0;
    tael_status status = tael_uv_address_parse(address, &at);
    bool local = listener->local = status == TAEL_OK && at.at.any.sa_family == AF_UNIX;
    if (status == TAEL_OK && alone && !local)
        status = find_free(&at);
    if (status != TAEL_OK)
        return status;
    *fd = socket(at.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return TAEL_ENETWORK;
    status = local ? bind_local(*fd, &at, listener) : bind_tcp(*fd, &at, listener);
    if (status != TAEL_OK)
        close(*fd);
    return status;
}

/* The descriptor that the address gives; -1: none. */
static int given_fd(const char *address)
{
    size_t len = sizeof(TAEL_LISTEN_GIVEN) - 1;
    return strncmp(address, TAEL_LISTEN_GIVEN, len) == 0 ? atoi(address + len) : -1;
}

tael_status tael_uv_listen(struct tael_loop *base, const char *address, tael_accept_fn accept,
                           void *user, struct tael_listener **out)
{
    struct tael_uv_loop *loop = (struct tael_uv_loop *)base;
    int fd = given_fd(address);
    bool given = fd >= 0;
    tael_status status = TAEL_ENOMEM;
    struct listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        goto close_given;
    status = tael_uv_timer_begin(loop, &listener->retry, on_retry, listener);
    if (status != TAEL_OK)
        goto free_listener;
    listener->base.loop = base;
    listener->accept = accept;
    listener->user = user;
    listener->taken = -1;
    status = given ? take_given(fd, listener) : bind_new(address, listener, &fd);
    if (status != TAEL_OK)
        goto end_timer;
    status = TAEL_ENETWORK;
    if (uv_poll_init(&loop->uv, &listener->uv.poll, fd) != 0)
        goto close_new;
    listener->fd = fd;
    listener->uv.handle.data = listener;
    if (listen(fd, BACKLOG) != 0 ||
        uv_poll_start(&listener->uv.poll, UV_READABLE, on_readable) != 0) {
        tael_uv_listener_close(&listener->base);
        return status;
    }
    *out = &listener->base;
    return TAEL_OK;

close_new:
    if (!given && listener->local)
        unlink_ours(listener);
    if (!given)
        close(fd);
end_timer:
    tael_uv_timer_end(&listener->retry);
free_listener:
    free(listener);
close_given:
    if (given)
        close(fd);
    return status;
}
