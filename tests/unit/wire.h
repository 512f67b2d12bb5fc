/* wire.h - a client made of bytes: connects to a server of the same world, sends what the test says
 * and keeps what comes back. For tests in the simulated world. */
#ifndef TAEL_TESTS_WIRE_H
#define TAEL_TESTS_WIRE_H

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/world.h"

struct wire {
    struct tael_stream *stream; /* NULL: closed by us */
    struct tael_buf got;
    bool open, ended, lost;
    tael_status why; /* of the end */
};

static void wire_on_open(void *user)
{
    ((struct wire *)user)->open = true;
}

static void wire_on_read(void *user, const char *data, size_t len)
{
    struct wire *wire = user;
    if (tael_buf_append(&wire->got, data, len) != TAEL_OK)
        wire->lost = true; /* in tests that take memory away */
}

static void wire_on_end(void *user, tael_status why)
{
    struct wire *wire = user;
    wire->ended = true;
    wire->why = why;
}

static const struct tael_stream_events wire_events = {
    .open = wire_on_open, .read = wire_on_read, .end = wire_on_end};

static inline void wire_connect(struct wire *wire, struct tael_loop *loop, const char *address)
{
    *wire = (struct wire){0};
    if (tael_connect(loop, address, &wire_events, wire, &wire->stream) != TAEL_OK)
        abort();
}

static inline tael_status wire_send(struct wire *wire, const char *text)
{
    return tael_stream_write(wire->stream, text, strlen(text));
}

/* How often text stands in what came back. */
static inline size_t wire_count(const struct wire *wire, const char *text)
{
    size_t count = 0;
    size_t len = strlen(text);
    for (size_t i = 0; i + len <= wire->got.len; i++)
        count += memcmp(wire->got.data + i, text, len) == 0;
    return count;
}

static inline bool wire_is(const struct wire *wire, const char *text)
{
    return tael_span_is((struct tael_span){wire->got.data, wire->got.len}, text);
}

static inline void wire_clear(struct wire *wire)
{
    tael_buf_clear(&wire->got);
}

static inline void wire_close(struct wire *wire)
{
    tael_stream_close(wire->stream);
    wire->stream = NULL;
}

static inline void wire_free(struct wire *wire)
{
    wire_close(wire);
    tael_buf_free(&wire->got);
}

#endif
