/* bytes_test.c - buffers, cursor, and the texts of tael_status. */
#include <stdlib.h>
#include <string.h>

#include "alloc_fail.h"
#include "base/bytes.h"
#include "tap.h"

static bool holds(const struct tael_buf *buf, const char *text)
{
    return buf->len == strlen(text) && (buf->len == 0 || memcmp(buf->data, text, buf->len) == 0);
}

static void appending_stops_at_the_ceiling(void)
{
    struct tael_buf buf = {.max = 5};
    CHECK(tael_buf_append_text(&buf, "abc") == TAEL_OK);
    CHECK(tael_buf_append_text(&buf, "def") == TAEL_ELIMIT);
    CHECK(holds(&buf, "abc"));
    CHECK(tael_buf_append_text(&buf, "de") == TAEL_OK);
    CHECK(tael_buf_append_char(&buf, 'f') == TAEL_ELIMIT);
    CHECK(tael_buf_append(&buf, NULL, 0) == TAEL_OK);
    CHECK(holds(&buf, "abcde"));
    CHECK(buf.cap <= 5);
    tael_buf_free(&buf);
    CHECK(buf.data == NULL && buf.len == 0 && buf.cap == 0 && buf.max == 5);
}

static void huge_lengths_do_not_wrap(void)
{
    static const size_t lengths[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct tael_buf buf = {0};
        CHECK(tael_buf_append_text(&buf, "ab") == TAEL_OK);
        CHECK(tael_buf_reserve(&buf, lengths[i]) == TAEL_ELIMIT);
        CHECK(holds(&buf, "ab"));
        tael_buf_free(&buf);
    }
    struct tael_buf vast = {.max = SIZE_MAX};
    CHECK(tael_buf_reserve(&vast, SIZE_MAX) == TAEL_ELIMIT);
    tael_buf_free(&vast);
}

static void growing_keeps_the_bytes(void)
{
    struct tael_buf buf = {0};
    bool same = true;
    for (int i = 0; i < 100000; i++)
        same = same && tael_buf_append_char(&buf, (char)(i % 251)) == TAEL_OK;
    for (int i = 0; i < 100000; i++)
        same = same && buf.data[i] == (char)(i % 251);
    CHECK(same && buf.len == 100000);
    CHECK(buf.cap < 300000);
    tael_buf_clear(&buf);
    CHECK(buf.len == 0 && buf.cap >= 100000);
    tael_buf_free(&buf);
}

static void consuming_drops_from_the_front(void)
{
    struct tael_buf buf = {0};
    tael_buf_consume(&buf, 10);
    CHECK(holds(&buf, ""));
    CHECK(tael_buf_append_text(&buf, "abcdef") == TAEL_OK);
    tael_buf_consume(&buf, 0);
    CHECK(holds(&buf, "abcdef"));
    tael_buf_consume(&buf, 2);
    CHECK(holds(&buf, "cdef"));
    tael_buf_consume(&buf, 100);
    CHECK(holds(&buf, ""));
    tael_buf_free(&buf);
}

static void printing_obeys_the_ceiling_exactly(void)
{
    struct tael_buf buf = {.max = 8};
    CHECK(tael_buf_printf(&buf, "%s=%d", "ab", 12345) == TAEL_OK); /* fills it to the last byte */
    CHECK(holds(&buf, "ab=12345"));
    CHECK(tael_buf_printf(&buf, "%c", 'x') == TAEL_ELIMIT);
    CHECK(tael_buf_printf(&buf, "%s", "") == TAEL_OK);
    CHECK(holds(&buf, "ab=12345"));
    CHECK(tael_buf_append_char(&buf, 'x') == TAEL_ELIMIT);
    tael_buf_free(&buf);

    struct tael_buf grown = {0};
    bool appended = true;
    for (int i = 0; i < 1000; i++)
        appended = appended && tael_buf_printf(&grown, "%03d,", i) == TAEL_OK;
    CHECK(appended && grown.len == 4000 && memcmp(grown.data + 3992, "998,999,", 8) == 0);
    tael_buf_free(&grown);
}

static void failed_allocations_change_nothing(void)
{
    struct tael_buf buf = {0};
    alloc_fail_at(1);
    CHECK(tael_buf_append_text(&buf, "abc") == TAEL_ENOMEM);
    CHECK(alloc_fail_end());
    CHECK(holds(&buf, "") && buf.data == NULL);
    CHECK(tael_buf_append_text(&buf, "abc") == TAEL_OK);
    char much[4096];
    memset(much, 'x', sizeof(much));
    alloc_fail_at(1);
    CHECK(tael_buf_append(&buf, much, sizeof(much)) == TAEL_ENOMEM);
    CHECK(alloc_fail_end());
    CHECK(holds(&buf, "abc"));
    alloc_fail_at(1);
    CHECK(tael_buf_printf(&buf, "%.*s", (int)sizeof(much), much) == TAEL_ENOMEM);
    CHECK(alloc_fail_end());
    CHECK(holds(&buf, "abc"));
    CHECK(tael_buf_append(&buf, much, sizeof(much)) == TAEL_OK);
    tael_buf_free(&buf);
}

static void the_cursor_takes_text(void)
{
    struct tael_cursor cursor = tael_cursor_of("HTTP/1.1", 8);
    CHECK(tael_cursor_take_text(&cursor, ""));
    CHECK(!tael_cursor_take_text(&cursor, "http"));
    CHECK(!tael_cursor_take_text(&cursor, "HTTP/1.1 "));
    CHECK(cursor.at == cursor.start);
    CHECK(tael_cursor_take_text(&cursor, "HTTP/"));
    CHECK(tael_cursor_take_text(&cursor, "1.1"));
    CHECK(cursor.at == cursor.end);
    struct tael_cursor empty = tael_cursor_of(NULL, 0);
    CHECK(tael_cursor_take_text(&empty, "") && !tael_cursor_take_text(&empty, "x"));
}

static void statuses_have_names_and_texts(void)
{
    CHECK(strcmp(tael_status_name(TAEL_OK), "TAEL_OK") == 0);
    CHECK(strcmp(tael_status_name(TAEL_EBUSY), "TAEL_EBUSY") == 0);
    CHECK(strcmp(tael_status_text(TAEL_EBUSY), "queue is full") == 0);
    CHECK(tael_status_name((tael_status)-999) != NULL);
    CHECK(tael_status_text((tael_status)7) != NULL);
    int major = 0, minor = 0, patch = 0;
    CHECK(sscanf(tael_version(), "%d.%d.%d", &major, &minor, &patch) == 3);
    CHECK(tael_version_number() == major * 10000 + minor * 100 + patch);
    tael_free(NULL);
    tael_free(malloc(3));
}

int main(void)
{
    appending_stops_at_the_ceiling();
    huge_lengths_do_not_wrap();
    growing_keeps_the_bytes();
    consuming_drops_from_the_front();
    printing_obeys_the_ceiling_exactly();
    failed_allocations_change_nothing();
    the_cursor_takes_text();
    statuses_have_names_and_texts();
    return tap_end();
}
