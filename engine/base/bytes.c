/* bytes.c - bounded growing buffers and the cursor.
 *
 * A buffer owns its memory. Invariants: 1 len <= cap; 2 len <= ceiling; 3 a call that fails changes
 * nothing. Lengths are compared by subtraction, which cannot wrap, never by addition.
 */
#include "base/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

static size_t ceiling_of(const struct tael_buf *buf)
{
    return buf->max != 0 && buf->max < SIZE_MAX / 2 ? buf->max : SIZE_MAX / 2;
}

tael_status tael_buf_reserve(struct tael_buf *buf, size_t more)
{
    size_t max = ceiling_of(buf);
    if (buf->len > max || more > max - buf->len)
        return TAEL_ELIMIT;
    assert(buf->len <= buf->cap && (buf->data != NULL || buf->cap == 0));
    size_t need = buf->len + more;
    if (need <= buf->cap)
        return TAEL_OK;
    size_t cap = buf->cap < FIRST_CAPACITY ? FIRST_CAPACITY : buf->cap;
    while (cap < need)
        cap = cap > max / 2 ? max : cap * 2; /* ends: need <= max */
    if (cap > max && need <= max)
        cap = max;
    char *data = realloc(buf->data, cap);
    if (data == NULL)
        return TAEL_ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return TAEL_OK;
}

tael_status tael_buf_append(struct tael_buf *buf, const void *data, size_t len)
{
    tael_status status = tael_buf_reserve(buf, len);
    if (status != TAEL_OK || len == 0)
        return status;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    assert(buf->len <= buf->cap && buf->len <= ceiling_of(buf));
    return TAEL_OK;
}

tael_status tael_buf_append_text(struct tael_buf *buf, const char *text)
{
    return tael_buf_append(buf, text, strlen(text));
}

tael_status tael_buf_append_char(struct tael_buf *buf, char c)
{
    return tael_buf_append(buf, &c, 1);
}

tael_status tael_buf_printf(struct tael_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);

    tael_status status = TAEL_EINVAL; /* the format cannot be printed */
    if (len < 0)
        goto end_args;
    if ((size_t)len > ceiling_of(buf) || buf->len > ceiling_of(buf) - (size_t)len) {
        status = TAEL_ELIMIT;
        goto end_args;
    }
    /* vsnprintf writes a NUL that is not counted: it needs room even where the ceiling is reached.
     */
    if (buf->cap - buf->len <= (size_t)len) {
        size_t need = buf->len + (size_t)len + 1;
        size_t cap = need < FIRST_CAPACITY ? FIRST_CAPACITY : need + need / 2;
        char *data = realloc(buf->data, cap);
        status = TAEL_ENOMEM;
        if (data == NULL)
            goto end_args;
        buf->data = data;
        buf->cap = cap;
    }
    vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
    buf->len += (size_t)len;
    status = TAEL_OK;
end_args:
    va_end(again);
    return status;
}

void tael_buf_consume(struct tael_buf *buf, size_t len)
{
    size_t gone = len < buf->len ? len : buf->len;
    if (gone == 0)
        return;
    buf->len -= gone;
    memmove(buf->data, buf->data + gone, buf->len);
}

void tael_buf_clear(struct tael_buf *buf)
{
    buf->len = 0;
}

void tael_buf_free(struct tael_buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->len = buf->cap = 0;
}

bool tael_cursor_take_text(struct tael_cursor *cursor, const char *text)
{
    size_t len = strlen(text);
    if (len > (size_t)(cursor->end - cursor->at))
        return false;
    if (len > 0 && memcmp(cursor->at, text, len) != 0)
        return false;
    cursor->at += len;
    return true;
}
