/* tls_wire.h - a TLS client made of OpenSSL over a stream of the simulated world: sends what the
 * test says, keeps what comes back, and does nothing by itself but the handshake. */
#ifndef TAEL_TESTS_TLS_WIRE_H
#define TAEL_TESTS_TLS_WIRE_H

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tap.h"
#include "wire.h"

struct tls_wire {
    struct tael_stream *stream; /* NULL: closed by us */
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out;        /* the SSL's */
    struct tael_buf want; /* to be sent when the handshake is done */
    struct tael_buf got;
    bool shaken, failed; /* the handshake is done, or TLS is over */
    bool notified;       /* close_notify has come */
    bool ended;          /* the stream has */
    bool deaf;           /* takes no bytes off the stream */
    size_t sent_max;     /* bytes that may leave; the rest is lost. 0: all */
    size_t sent;
    int lib_error; /* reason of the first failure */
};

static inline void tls_wire_flush(struct tls_wire *wire)
{
    char *data = NULL;
    long len = BIO_get_mem_data(wire->out, &data);
    size_t part = (size_t)len;
    if (wire->sent_max != 0 && wire->sent + part > wire->sent_max)
        part = wire->sent_max - wire->sent;
    if (part > 0 && wire->stream != NULL)
        (void)!tael_stream_write(wire->stream, data, part);
    wire->sent += part;
    (void)BIO_reset(wire->out);
}

static inline void tls_wire_fail(struct tls_wire *wire)
{
    if (!wire->failed)
        wire->lib_error = ERR_GET_REASON(ERR_peek_last_error());
    wire->failed = true;
    ERR_clear_error();
}

static inline void tls_wire_take(struct tls_wire *wire)
{
    char data[16384];
    size_t len = 0;
    int rc = 0;
    while ((rc = SSL_read_ex(wire->ssl, data, sizeof(data), &len)) == 1) {
        if (tael_buf_append(&wire->got, data, len) != TAEL_OK)
            abort();
    }
    int error = SSL_get_error(wire->ssl, rc);
    if (error == SSL_ERROR_ZERO_RETURN)
        wire->notified = true;
    else if (error != SSL_ERROR_WANT_READ)
        tls_wire_fail(wire);
}

static inline void tls_wire_drive(struct tls_wire *wire)
{
    size_t written = 0;
    ERR_clear_error();
    if (!wire->shaken && !wire->failed) {
        int rc = SSL_do_handshake(wire->ssl);
        wire->shaken = rc == 1;
        if (rc != 1 && SSL_get_error(wire->ssl, rc) != SSL_ERROR_WANT_READ)
            tls_wire_fail(wire);
    }
    if (wire->shaken && wire->want.len > 0 && !wire->failed) {
        if (SSL_write_ex(wire->ssl, wire->want.data, wire->want.len, &written) != 1)
            tls_wire_fail(wire);
        tael_buf_clear(&wire->want);
    }
    if (wire->shaken && !wire->failed && !wire->notified)
        tls_wire_take(wire);
    tls_wire_flush(wire);
}

static inline void tls_wire_on_open(void *user)
{
    tls_wire_drive(user);
}

static inline void tls_wire_on_read(void *user, const char *data, size_t len)
{
    struct tls_wire *wire = user;
    if (BIO_write(wire->in, data, (int)len) != (int)len)
        abort();
    tls_wire_drive(wire);
}

static inline void tls_wire_on_end(void *user, tael_status why)
{
    struct tls_wire *wire = user;
    (void)why;
    wire->ended = true;
}

/* The context is the wire's own when given NULL. */
static inline void tls_wire_connect(struct tls_wire *wire, struct tael_loop *loop,
                                    const char *address, SSL_CTX *context)
{
    static const struct tael_stream_events events = {
        .open = tls_wire_on_open, .read = tls_wire_on_read, .end = tls_wire_on_end};
    *wire = (struct tls_wire){.context = context};
    if (context != NULL)
        SSL_CTX_up_ref(context);
    else
        wire->context = SSL_CTX_new(TLS_client_method());
    wire->ssl = SSL_new(wire->context);
    wire->in = BIO_new(BIO_s_mem());
    wire->out = BIO_new(BIO_s_mem());
    if (wire->ssl == NULL || wire->in == NULL || wire->out == NULL)
        abort();
    BIO_set_mem_eof_return(wire->in, -1);
    SSL_set_bio(wire->ssl, wire->in, wire->out);
    SSL_set_connect_state(wire->ssl);
    if (tael_connect(loop, address, &events, wire, &wire->stream) != TAEL_OK)
        abort();
}

static inline void tls_wire_send_bytes(struct tls_wire *wire, const char *data, size_t len)
{
    if (tael_buf_append(&wire->want, data, len) != TAEL_OK)
        abort();
    if (wire->shaken)
        tls_wire_drive(wire);
}

static inline void tls_wire_send(struct tls_wire *wire, const char *text)
{
    tls_wire_send_bytes(wire, text, strlen(text));
}

static inline size_t tls_wire_count(const struct tls_wire *wire, const char *text)
{
    size_t count = 0;
    size_t len = strlen(text);
    for (size_t i = 0; i + len <= wire->got.len; i++)
        count += memcmp(wire->got.data + i, text, len) == 0;
    return count;
}

static inline bool tls_wire_is(const struct tls_wire *wire, const char *text)
{
    return tael_span_is((struct tael_span){wire->got.data, wire->got.len}, text);
}

static inline void tls_wire_deaf(struct tls_wire *wire, bool deaf)
{
    wire->deaf = deaf;
    tael_stream_read(wire->stream, !deaf);
}

static inline void tls_wire_close(struct tls_wire *wire)
{
    tael_stream_close(wire->stream);
    wire->stream = NULL;
}

static inline void tls_wire_free(struct tls_wire *wire)
{
    tls_wire_close(wire);
    SSL_free(wire->ssl);
    SSL_CTX_free(wire->context);
    tael_buf_free(&wire->want);
    tael_buf_free(&wire->got);
}

#endif
