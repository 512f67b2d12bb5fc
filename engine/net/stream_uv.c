/* stream_uv.c - byte streams of one libuv loop: TCP and unix sockets.
 *
 * Writing tries the socket first; what it does not take is copied and queued. Closing is in three
 * steps: what is queued leaves, the sending side is shut, and what the peer still sends is read and
 * thrown away until it closes too. Without the last step the kernel answers late bytes with a
 * reset, and the reset takes back the answer that the peer has not read yet. All of it is bounded:
 * in time, at which the stream is cut, and in bytes, beyond which it is only no longer read.
 * Cutting there would be the reset again, and a peer that cannot send comes to read. Ownership: a
 * stream is the owner's until tael_stream_close, then its own; it is freed in uv's close callback.
 * Invariants: 1 no event after end or close; 2 a stream that lost bytes (out of memory, a failed
 * write) is broken for good; 3 events never come from inside a call of the owner.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

#include "net/loop_uv.h"

enum {
    FLUSH_US = 5 * 1000 * 1000,  /* most that a closed stream keeps its queued bytes */
    LINGER_US = 5 * 1000 * 1000, /* most that it then waits for the peer to close */
    LINGER_BYTES = 16 << 20,     /* most that it throws away meanwhile: who sends all, then reads */
    THROWN_READS = 4,            /* of a full buffer, of one such stream in one turn of the loop */
    LINGER_MAX =
        128, /* most such streams of a loop: no limit of their owner counts them any more */
};

struct tael_uv_stream {
    struct tael_stream base; /* first */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    const struct tael_stream_events *events;
    void *user;
    struct tael_uv_stream *next, **link; /* in tael_uv_loop.streams */
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    struct tael_uv_timer cut; /* the end of a closed stream's time */
    size_t writes;            /* queued, callback still to come */
    size_t thrown;            /* bytes read after close */
    bool connecting;
    bool wants_read; /* the owner's wish */
    bool reading;
    bool wrote;  /* at least one byte was given to us */
    bool ended;  /* nothing more comes from the peer */
    bool broken; /* nothing more can be written */
    bool closed; /* by the owner */
    bool shut;   /* the sending side is shut */
    bool lingers;
    char peer[TAEL_UV_ADDRESS_TEXT];
};

struct queued_write {
    uv_write_t request;
    char data[];
};

static struct tael_uv_stream *stream_of(struct tael_stream *stream)
{
    return (struct tael_uv_stream *)stream;
}

static struct tael_uv_loop *loop_of(const struct tael_uv_stream *stream)
{
    return (struct tael_uv_loop *)stream->base.loop;
}

/* ---- making and unmaking ---- */

static void on_closed(uv_handle_t *handle)
{
    struct tael_uv_stream *stream = handle->data;
    struct tael_uv_loop *loop = loop_of(stream);
    tael_uv_timer_end(&stream->cut);
    *stream->link = stream->next;
    if (stream->next != NULL)
        stream->next->link = stream->link;
    loop->lingering -= stream->lingers;
    free(stream);
    tael_uv_closed(loop);
}

static void destroy(struct tael_uv_stream *stream)
{
    stream->closed = true;
    if (!uv_is_closing(&stream->uv.handle))
        tael_uv_close(loop_of(stream), &stream->uv.handle, on_closed);
}

static void on_cut(void *user)
{
    destroy(user);
}

void tael_uv_streams_cut(struct tael_uv_loop *loop)
{
    for (struct tael_uv_stream *stream = loop->streams; stream != NULL; stream = stream->next)
        destroy(stream);
}

static struct tael_uv_stream *stream_new(struct tael_uv_loop *loop, bool local)
{
    struct tael_uv_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    if (tael_uv_timer_begin(loop, &stream->cut, on_cut, stream) != TAEL_OK) {
        free(stream);
        return NULL;
    }
    if (local) {
        uv_pipe_init(&loop->uv, &stream->uv.pipe, 0); /* neither opens anything: cannot fail */
    } else {
        uv_tcp_init(&loop->uv, &stream->uv.tcp);
        uv_tcp_nodelay(&stream->uv.tcp, 1); /* remembered, and set when there is a socket */
    }
    stream->base.loop = &loop->base;
    stream->uv.handle.data = stream;
    stream->wants_read = true;
    stream->next = loop->streams;
    stream->link = &loop->streams;
    if (stream->next != NULL)
        stream->next->link = &stream->next;
    loop->streams = stream;
    return stream;
}

tael_status tael_uv_stream_accept(struct tael_uv_loop *loop, int fd, bool local,
                                  struct tael_stream **out)
{
    struct tael_uv_stream *stream = stream_new(loop, local);
    if (stream == NULL)
        return TAEL_ENOMEM;
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    int len = (int)sizeof(peer);
    int rc = local ? uv_pipe_open(&stream->uv.pipe, fd) : uv_tcp_open(&stream->uv.tcp, fd);
    if (rc != 0)
        close(fd);
    else if (!local)
        rc = uv_tcp_getpeername(&stream->uv.tcp, (struct sockaddr *)&peer, &len);
    if (rc != 0) { /* gone before we looked */
        destroy(stream);
        return TAEL_ENETWORK;
    }
    tael_uv_address_format((struct sockaddr *)&peer, stream->peer);
    *out = &stream->base;
    return TAEL_OK;
}

tael_status tael_uv_stream_given(struct tael_uv_loop *loop, int fd, struct tael_stream **out)
{
    struct tael_uv_stream *stream = stream_new(loop, true);
    if (stream == NULL || uv_pipe_open(&stream->uv.pipe, fd) != 0) {
        close(fd);
        if (stream != NULL)
            destroy(stream);
        return TAEL_ENOMEM;
    }
    snprintf(stream->peer, sizeof(stream->peer), "unix");
    *out = &stream->base;
    return TAEL_OK;
}

/* ---- reading ---- */

/* What has come to a closed connection, without a copy of it (tcp(7)). true: there is more, for
 * other turns of the loop; its sender may be as fast as we are. false: what is left, the end too,
 * is read in the ordinary way. */
static bool throw_away(struct tael_uv_stream *stream)
{
    uv_os_fd_t fd;
    if (stream->uv.handle.type != UV_TCP || uv_fileno(&stream->uv.handle, &fd) != 0)
        return false;
    for (int i = 0; i < THROWN_READS; i++) {
        ssize_t count =
            recv(fd, loop_of(stream)->read_buffer, TAEL_UV_READ_BUFFER, MSG_TRUNC | MSG_DONTWAIT);
        if (count <= 0)
            return false;
        stream->thrown += (size_t)count;
    }
    return true;
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tael_uv_stream *stream = handle->data;
    (void)suggested;
    bool more = stream->closed && throw_away(stream);
    /* no buffer: uv tells on_read UV_ENOBUFS and asks again in the next turn */
    *buf = uv_buf_init(loop_of(stream)->read_buffer, more ? 0 : TAEL_UV_READ_BUFFER);
}

static void end(struct tael_uv_stream *stream, tael_status why)
{
    if (stream->ended)
        return;
    stream->ended = true;
    stream->broken = stream->broken || why != TAEL_OK;
    stream->reading = false;
    uv_read_stop(&stream->uv.stream);
    if (stream->closed) {
        if (stream->broken || stream->shut)
            destroy(stream);
    } else if (stream->events != NULL && stream->events->end != NULL) {
        stream->events->end(stream->user, why);
    }
}

static void set_reading(struct tael_uv_stream *stream);

static void on_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *buf)
{
    struct tael_uv_stream *stream = handle->data;
    if (count == UV_ENOBUFS) {
        set_reading(stream);
    } else if (count < 0) {
        end(stream, count == UV_EOF ? TAEL_OK : TAEL_ENETWORK);
    } else if (stream->closed) {
        stream->thrown += (size_t)count;
        set_reading(stream);
    } else if (count > 0 && stream->events->read != NULL) {
        stream->events->read(stream->user, buf->base, (size_t)count);
    }
}

/* Makes what uv does follow what we want. */
static void set_reading(struct tael_uv_stream *stream)
{
    bool wanted = stream->closed ? stream->thrown <= LINGER_BYTES
                                 : stream->wants_read && stream->events != NULL;
    bool on = wanted && !stream->connecting && !stream->ended;
    if (on == stream->reading)
        return;
    stream->reading = on;
    if (!on)
        uv_read_stop(&stream->uv.stream);
    else if (uv_read_start(&stream->uv.stream, on_buffer, on_read) != 0)
        stream->reading = false; /* only for a handle that is closing */
}

void tael_uv_stream_start(struct tael_stream *base, const struct tael_stream_events *events,
                          void *user)
{
    struct tael_uv_stream *stream = stream_of(base);
    stream->events = events;
    stream->user = user;
    set_reading(stream);
}

void tael_uv_stream_read(struct tael_stream *base, bool on)
{
    struct tael_uv_stream *stream = stream_of(base);
    stream->wants_read = on;
    set_reading(stream);
}

/* ---- writing ---- */

static void on_written(uv_write_t *request, int rc)
{
    struct tael_uv_stream *stream = request->handle->data;
    free(request->data);
    stream->writes--;
    if (rc == UV_ECANCELED)
        return; /* the handle is closing, or connecting failed, which is told elsewhere */
    if (rc != 0) {
        stream->broken = true;
        end(stream, TAEL_ENETWORK);
        return;
    }
    bool tell = stream->writes == 0 && !stream->closed && !stream->ended;
    if (tell && stream->events != NULL && stream->events->drain != NULL)
        stream->events->drain(stream->user);
}

static tael_status queue_write(struct tael_uv_stream *stream, const char *data, size_t len)
{
    struct queued_write *queued = malloc(sizeof(*queued) + len);
    if (queued == NULL)
        return TAEL_ENOMEM;
    memcpy(queued->data, data, len);
    queued->request.data = queued;
    uv_buf_t buf = {.base = queued->data, .len = len};
    if (uv_write(&queued->request, &stream->uv.stream, &buf, 1, on_written) != 0) {
        free(queued);
        return TAEL_ENETWORK;
    }
    stream->writes++;
    return TAEL_OK;
}

tael_status tael_uv_stream_write(struct tael_stream *base, const char *data, size_t len)
{
    struct tael_uv_stream *stream = stream_of(base);
    if (stream->broken)
        return TAEL_ENETWORK;
    stream->wrote = stream->wrote || len > 0;
    tael_status status = TAEL_OK;
    size_t sent = 0;
    if (len > 0 && !stream->connecting && stream->writes == 0) {
        uv_buf_t buf = {.base = (char *)(uintptr_t)data, .len = len}; /* uv's type knows no const */
        int rc = uv_try_write(&stream->uv.stream, &buf, 1);
        if (rc >= 0)
            sent = (size_t)rc;
        else if (rc != UV_EAGAIN)
            status = TAEL_ENETWORK;
    }
    if (status == TAEL_OK && sent < len)
        status = queue_write(stream, data + sent, len - sent);
    stream->broken = status != TAEL_OK;
    return status;
}

size_t tael_uv_stream_queued(struct tael_stream *base)
{
    return uv_stream_get_write_queue_size(&stream_of(base)->uv.stream);
}

const char *tael_uv_stream_peer(struct tael_stream *base)
{
    return stream_of(base)->peer;
}

/* ---- closing ---- */

static void on_shut(uv_shutdown_t *request, int rc)
{
    struct tael_uv_stream *stream = request->handle->data;
    if (rc == UV_ECANCELED)
        return;
    stream->shut = true;
    if (rc != 0 || stream->ended)
        destroy(stream);
    else
        tael_uv_timer_start(&stream->cut.base, LINGER_US);
}

static void flush_and_linger(struct tael_uv_stream *stream)
{
    struct tael_uv_loop *loop = loop_of(stream);
    if (loop->lingering >= LINGER_MAX ||
        uv_shutdown(&stream->shutdown, &stream->uv.stream, on_shut) != 0) {
        destroy(stream);
        return;
    }
    stream->lingers = true;
    loop->lingering++;
    tael_uv_timer_start(&stream->cut.base, FLUSH_US);
    set_reading(stream);
}

void tael_uv_stream_close(struct tael_stream *base)
{
    struct tael_uv_stream *stream = stream_of(base);
    stream->closed = true;
    bool quiet = !stream->wrote || (stream->ended && stream->writes == 0);
    if (stream->broken || quiet)
        destroy(stream);
    else if (stream->connecting)
        tael_uv_timer_start(&stream->cut.base, FLUSH_US); /* on_connected goes on */
    else
        flush_and_linger(stream);
}

/* ---- connecting ---- */

static void on_connected(uv_connect_t *request, int rc)
{
    struct tael_uv_stream *stream = request->handle->data;
    if (rc == UV_ECANCELED)
        return;
    stream->connecting = false;
    if (rc != 0) {
        end(stream, TAEL_ENETWORK);
        return;
    }
    if (stream->closed) {
        flush_and_linger(stream);
        return;
    }
    set_reading(stream);
    if (stream->events->open != NULL)
        stream->events->open(stream->user);
}

tael_status tael_uv_connect(struct tael_loop *base, const char *address,
                            const struct tael_stream_events *events, void *user,
                            struct tael_stream **out)
{
    struct tael_uv_address to;
    tael_status status = tael_uv_address_parse(address, &to);
    if (status != TAEL_OK)
        return status;
    bool local = to.at.any.sa_family == AF_UNIX;
    struct tael_uv_stream *stream = stream_new((struct tael_uv_loop *)base, local);
    if (stream == NULL)
        return TAEL_ENOMEM;
    stream->events = events;
    stream->user = user;
    stream->connecting = true;
    tael_uv_address_format(&to.at.any, stream->peer);
    int rc = 0;
    if (local)
        uv_pipe_connect(&stream->connect, &stream->uv.pipe, to.at.local.sun_path, on_connected);
    else
        rc = uv_tcp_connect(&stream->connect, &stream->uv.tcp, &to.at.any, on_connected);
    if (rc != 0) {
        destroy(stream);
        return TAEL_ENETWORK;
    }
    *out = &stream->base;
    return TAEL_OK;
}
