/* tls_stream.c - one TLS connection: a stream over a stream.
 *
 * OpenSSL reads from and writes to the plain stream through a BIO of ours, without buffers between:
 * what it writes goes to tael_stream_write, what it reads are the bytes of the call that brought
 * them. Only bytes that the owner does not want yet are kept (held), as the kernel would keep them.
 * Invariants:
 * 1. Events come from the plain stream's events or the timer, never from inside the owner's calls.
 * 2. The stream's memory goes when it is closed and no call of it is on the stack (busy).
 * 3. After a failure of OpenSSL's nothing is asked of it any more (broken); its alert is sent.
 * 4. What a peer makes us send of TLS's own (answers to key updates, refusals of renegotiation) has
 *    a limit while it takes nothing.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "net/tls_server.h"

enum {
    RECORD = 16 * 1024,
    PENDING_MAX = 64 * 1024, /* written by the owner before the handshake is done */
    OWN_MAX = 64 * 1024,     /* TLS's own bytes that wait for the peer */
};

struct tls_stream {
    struct tael_stream base; /* first; base.loop is facade */
    struct tael_loop facade; /* a loop of which only the streams exist: these */
    struct tael_tls_context *context;
    const struct tael_tls_server *server;
    struct tael_stream *plain;
    SSL *ssl;
    struct tael_timer *timer; /* of the handshake, then of held bytes */
    int64_t handshake_ms;
    const struct tael_stream_events *events;
    void *user;
    struct tael_span coming; /* bytes of the call that is on the stack */
    struct tael_buf held, pending;
    size_t own; /* TLS's own bytes since nothing was queued */
    bool established, wants_read;
    bool owes_drain; /* the owner was told that something is queued */
    bool ended;      /* the owner was told */
    bool broken, closed;
    unsigned busy;
};

static struct tls_stream *stream_of(struct tael_stream *stream)
{
    return (struct tls_stream *)stream;
}

/* ---- what OpenSSL calls ---- */

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls_stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tael_stream_write(stream->plain, data, len) != TAEL_OK)
        return 0;
    stream->own += len;
    *written = len;
    return 1;
}

static int bio_read(BIO *bio, char *out, size_t len, size_t *read)
{
    struct tls_stream *stream = BIO_get_data(bio);
    size_t part = len < stream->coming.len ? len : stream->coming.len;
    BIO_clear_retry_flags(bio);
    if (part == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, stream->coming.data, part);
    stream->coming.data += part;
    stream->coming.len -= part;
    *read = part;
    return 1;
}

static long bio_control(BIO *bio, int what, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return what == BIO_CTRL_FLUSH; /* nothing is kept back */
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tael_tls_bio_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tael stream");
    if (method == NULL)
        return NULL;
    if (BIO_meth_set_write_ex(method, bio_write) == 1 &&
        BIO_meth_set_read_ex(method, bio_read) == 1 &&
        BIO_meth_set_ctrl(method, bio_control) == 1 && BIO_meth_set_create(method, bio_create) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* ---- life ---- */

static void enter(struct tls_stream *stream)
{
    stream->busy++;
}

static void leave(struct tls_stream *stream)
{
    assert(stream->busy > 0);
    if (--stream->busy > 0 || !stream->closed)
        return;
    SSL_free(stream->ssl);
    tael_tls_context_release(stream->context);
    tael_buf_free(&stream->held);
    tael_buf_free(&stream->pending);
    free(stream);
}

static void end(struct tls_stream *stream, tael_status why)
{
    if (stream->ended || stream->closed)
        return;
    stream->ended = true;
    tael_timer_stop(stream->timer);
    if (stream->events->end != NULL)
        stream->events->end(stream->user, why);
}

/* reason NULL: what OpenSSL says. */
static void fail(struct tls_stream *stream, tael_status why, const char *reason)
{
    if (reason == NULL)
        reason = ERR_reason_error_string(ERR_peek_last_error());
    if (!stream->ended && !stream->closed)
        TAEL_LOG(tael_tls_server_log(stream->server), TAEL_LOG_INFO, "tls.refused",
                 tael_log_text("listener", tael_tls_server_name(stream->server)),
                 tael_log_text("peer", tael_stream_peer(stream->plain)),
                 tael_log_text("reason", reason != NULL ? reason : "connection lost"));
    ERR_clear_error();
    stream->broken = true;
    end(stream, why);
}

/* ---- reading ---- */

/* What the owner has written meanwhile. It was told that this is queued: it hears that it has left.
 */
static void send_pending(struct tls_stream *stream)
{
    struct tael_buf pending = stream->pending;
    stream->pending = (struct tael_buf){0};
    if (pending.len == 0)
        return;
    if (tael_stream_write(&stream->base, pending.data, pending.len) != TAEL_OK)
        fail(stream, TAEL_ENETWORK, NULL);
    else if (!stream->owes_drain && stream->events->drain != NULL)
        stream->events->drain(stream->user);
    tael_buf_free(&pending);
}

/* False: not done, or failed. */
static bool shake_hands(struct tls_stream *stream)
{
    ERR_clear_error();
    assert(!stream->established && !stream->broken);
    int rc = SSL_do_handshake(stream->ssl);
    if (rc != 1) {
        if (SSL_get_error(stream->ssl, rc) != SSL_ERROR_WANT_READ)
            fail(stream, TAEL_ENETWORK, NULL);
        return false;
    }
    stream->established = true;
    tael_timer_stop(stream->timer);
    tael_stream_read(stream->plain, stream->wants_read);
    send_pending(stream);
    return !stream->broken;
}

/* One record, or a part of one. False: no more for now. */
static bool take_record(struct tls_stream *stream)
{
    char data[RECORD] __attribute__((uninitialized)); /* zeroing it would cost more than reading */
    assert(stream->established && stream->busy > 0);  /* 2 */
    size_t len = 0;
    ERR_clear_error();
    int rc = SSL_read_ex(stream->ssl, data, sizeof(data), &len);
    if (rc == 1) {
        if (stream->events->read != NULL)
            stream->events->read(stream->user, data, len);
        return true;
    }
    switch (SSL_get_error(stream->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN: /* close_notify */
        end(stream, TAEL_OK);
        break;
    default:
        fail(stream, TAEL_ENETWORK, NULL);
        break;
    }
    return false;
}

/* OpenSSL is only asked when it has something to say, or to read. */
static bool may_take(const struct tls_stream *stream)
{
    return stream->wants_read && !stream->ended && !stream->broken && !stream->closed &&
           (stream->coming.len > 0 || SSL_has_pending(stream->ssl) == 1);
}

/* Gives OpenSSL what is coming and the owner what comes out of it. */
static void pump(struct tls_stream *stream)
{
    if (stream->broken || stream->ended || stream->closed)
        return;
    if (!stream->established && !shake_hands(stream))
        return;
    while (may_take(stream) && take_record(stream)) {
    }
    if (stream->closed || stream->broken)
        return;
    if (tael_stream_queued(stream->plain) == 0)
        stream->own = 0;
    else if (stream->own > OWN_MAX)
        fail(stream, TAEL_ENETWORK, "the peer asks for more than it takes");
}

/* Pumps what is held, and lets go of what was taken. */
static void pump_held(struct tls_stream *stream)
{
    assert(stream->coming.len == 0 && stream->busy > 0);
    stream->coming = (struct tael_span){stream->held.data, stream->held.len};
    pump(stream);
    tael_buf_consume(&stream->held, stream->held.len - stream->coming.len);
    stream->coming = (struct tael_span){NULL, 0};
    if (stream->held.len == 0 || stream->ended)
        tael_buf_free(&stream->held);
}

static void on_read(void *user, const char *data, size_t len)
{
    struct tls_stream *stream = user;
    enter(stream);
    bool behind = stream->held.len > 0;
    if (!behind) {
        stream->coming = (struct tael_span){data, len};
        pump(stream);
        data = stream->coming.data;
        len = stream->coming.len;
        stream->coming = (struct tael_span){NULL, 0};
    }
    bool keep = len > 0 && !stream->ended && !stream->broken && !stream->closed;
    if (keep && tael_buf_append(&stream->held, data, len) != TAEL_OK)
        fail(stream, TAEL_ENOMEM, "out of memory");
    else if (keep && behind)
        pump_held(stream);
    leave(stream);
}

/* Without a close_notify before it the connection was cut off, whatever the plain stream says. */
static void on_end(void *user, tael_status why)
{
    struct tls_stream *stream = user;
    enter(stream);
    if (!stream->ended || why != TAEL_OK)
        stream->broken = true;
    end(stream, TAEL_ENETWORK);
    leave(stream);
}

static void on_drain(void *user)
{
    struct tls_stream *stream = user;
    bool left = stream->pending.len == 0; /* else send_pending tells, or what it has written */
    bool tell = left && stream->owes_drain && !stream->ended && !stream->closed;
    enter(stream);
    stream->own = 0;
    if (left)
        stream->owes_drain = false;
    if (tell && stream->events->drain != NULL)
        stream->events->drain(stream->user);
    leave(stream);
}

static void on_timer(void *user)
{
    struct tls_stream *stream = user;
    enter(stream);
    if (stream->established)
        pump_held(stream);
    else
        fail(stream, TAEL_ETIMEOUT, "the handshake took too long");
    leave(stream);
}

/* ---- the stream ---- */

static void tls_start(struct tael_stream *base, const struct tael_stream_events *events, void *user)
{
    static const struct tael_stream_events plain_events = {
        .read = on_read, .end = on_end, .drain = on_drain};
    struct tls_stream *stream = stream_of(base);
    stream->events = events;
    stream->user = user;
    tael_timer_start(stream->timer, stream->handshake_ms * 1000);
    tael_stream_start(stream->plain, &plain_events, stream);
}

static void tls_read(struct tael_stream *base, bool on)
{
    struct tls_stream *stream = stream_of(base);
    stream->wants_read = on;
    if (!stream->established)
        return; /* the handshake goes on meanwhile */
    tael_stream_read(stream->plain, on);
    if (on && !stream->ended && (stream->held.len > 0 || SSL_has_pending(stream->ssl) == 1))
        tael_timer_start(stream->timer, 0); /* later, not from inside this call */
}

static tael_status tls_write(struct tael_stream *base, const char *data, size_t len)
{
    struct tls_stream *stream = stream_of(base);
    size_t written = 0;
    if (stream->broken)
        return TAEL_ENETWORK;
    if (len == 0)
        return TAEL_OK;
    if (!stream->established) {
        stream->pending.max = PENDING_MAX;
        return tael_buf_append(&stream->pending, data, len);
    }
    size_t own = stream->own;
    ERR_clear_error();
    if (SSL_write_ex(stream->ssl, data, len, &written) != 1) {
        ERR_clear_error();
        stream->broken = true;
        return TAEL_ENETWORK;
    }
    stream->own = own; /* these were the owner's */
    stream->owes_drain = tael_stream_queued(stream->plain) > 0;
    return TAEL_OK;
}

static size_t tls_queued(struct tael_stream *base)
{
    struct tls_stream *stream = stream_of(base);
    size_t queued = tael_stream_queued(stream->plain) + stream->pending.len;
    if (queued > 0)
        stream->owes_drain = true; /* TLS's own bytes too: who was told of them waits */
    return queued;
}

static const char *tls_peer(struct tael_stream *base)
{
    return tael_stream_peer(stream_of(base)->plain);
}

static void tls_close(struct tael_stream *base)
{
    struct tls_stream *stream = stream_of(base);
    assert(!stream->closed);
    enter(stream);
    stream->closed = true;
    if (stream->established && !stream->broken) {
        ERR_clear_error();
        SSL_shutdown(stream->ssl); /* writes close_notify; the peer's is not waited for */
        ERR_clear_error();
    }
    tael_timer_free(stream->timer);
    stream->timer = NULL;
    tael_stream_close(stream->plain);
    stream->plain = NULL;
    leave(stream);
}

static const struct tael_loop_ops tls_ops = {
    .stream_start = tls_start,
    .stream_read = tls_read,
    .stream_write = tls_write,
    .stream_queued = tls_queued,
    .stream_peer = tls_peer,
    .stream_close = tls_close,
};

tael_status tael_tls_server_accept(struct tael_tls_server *server, struct tael_stream *plain,
                                   int64_t handshake_ms, struct tael_stream **out)
{
    struct tls_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return TAEL_ENOMEM;
    stream->timer = tael_timer_new(plain->loop, on_timer, stream);
    if (stream->timer == NULL)
        goto free_stream;
    stream->context = tael_tls_server_context(server);
    stream->ssl = tael_tls_context_accept(stream->context, stream);
    if (stream->ssl == NULL)
        goto free_timer;
    stream->facade = (struct tael_loop){&tls_ops, plain->loop->world};
    stream->base.loop = &stream->facade;
    stream->server = server;
    stream->plain = plain;
    stream->handshake_ms = handshake_ms;
    stream->wants_read = true;
    *out = &stream->base;
    return TAEL_OK;

free_timer:
    tael_timer_free(stream->timer);
    tael_tls_context_release(stream->context);
free_stream:
    free(stream);
    return TAEL_ENOMEM;
}
