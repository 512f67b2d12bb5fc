/* bytes.h - spans, bounded growing buffers and a forward-only cursor over untrusted bytes. A buffer
 * owns its bytes, spans and cursors own nothing. Any thread; one object by one thread at a time.
 */
#ifndef TAEL_BASE_BYTES_H
#define TAEL_BASE_BYTES_H

#include "tael.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that belong to somebody else. */
struct tael_span {
    const char *data;
    size_t len;
};

static inline struct tael_span tael_span_of(const char *text) /* NUL-terminated; NULL: empty */
{
    return (struct tael_span){text, text != NULL ? strlen(text) : 0};
}

static inline bool tael_span_same(struct tael_span a, struct tael_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool tael_span_is(struct tael_span span, const char *text)
{
    return tael_span_same(span, tael_span_of(text));
}

/* A growing buffer with a ceiling. {.max = n} is an empty one; max 0 means SIZE_MAX/2. */
struct tael_buf {
    char *data;
    size_t len, cap, max;
};

/* TAEL_ELIMIT: above max; TAEL_ENOMEM. On failure the buffer is as it was. */
tael_status tael_buf_append(struct tael_buf *buf, const void *data, size_t len);
tael_status tael_buf_append_text(struct tael_buf *buf, const char *text);
tael_status tael_buf_append_char(struct tael_buf *buf, char c);
tael_status tael_buf_printf(struct tael_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
tael_status tael_buf_reserve(struct tael_buf *buf, size_t more); /* room for more bytes */
void tael_buf_consume(struct tael_buf *buf, size_t len); /* drops len bytes from the front */
void tael_buf_clear(struct tael_buf *buf);               /* length 0, memory kept */
void tael_buf_free(struct tael_buf *buf);                /* memory freed, empty again */

/* A view that only moves forward; on failure it does not move, so its place is the error's. */
struct tael_cursor {
    const char *start, *at, *end;
};

static inline struct tael_cursor tael_cursor_of(const char *data, size_t len)
{
    return (struct tael_cursor){data, data, data + len};
}

bool tael_cursor_take_text(struct tael_cursor *cursor, const char *text);

#endif
