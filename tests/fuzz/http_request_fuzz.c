/* http_request_fuzz.c - bytes through head gate, chunk gate and parser, whole and in pieces.
 *
 * The first byte of an input says how the rest is cut. What must hold: no fault of memory, and the
 * same requests and the same refusal however it was cut.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_request.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

enum { BODY_MAX = 512, INPUT_MAX = 4096 };
static size_t large_bytes; /* none are: BODY_MAX is small */
static const struct tael_http_large large = {.bytes = &large_bytes};

static const struct tael_http_limits limits = {
    .line = 200, .head = 1000, .fields = 8, .field = 300, .body = BODY_MAX};

struct reading { /* what a connection does with bytes, without a connection */
    struct tael_buf in;
    struct tael_buf seen; /* requests, then the refusal */
    struct tael_http_head head;
    struct tael_http_incoming *incoming;
    bool over;
};

static void note(struct reading *reading, const void *data, size_t len)
{
    if (tael_buf_append(&reading->seen, data, len) != TAEL_OK)
        abort();
}

static void end_message(struct reading *reading, enum tael_http_gate gate)
{
    struct tael_http_incoming *incoming = reading->incoming;
    if (gate == TAEL_HTTP_GATE_MORE)
        return;
    if (gate == TAEL_HTTP_GATE_REFUSED) {
        note(reading, incoming->refusal.detail, strlen(incoming->refusal.detail));
        reading->over = true;
    } else {
        note(reading, incoming->request.method.data, incoming->head_len);
        note(reading, incoming->body.data, incoming->body.len);
        reading->over = !incoming->persistent;
    }
    tael_http_incoming_free(incoming);
    reading->incoming = NULL;
}

/* One step; returns the bytes it is done with, 0: more must come. */
static size_t step(struct reading *reading)
{
    size_t used = 0;
    struct tael_http_head *head = &reading->head;
    if (reading->incoming != NULL) {
        end_message(reading, tael_http_incoming_feed(reading->incoming, reading->in.data,
                                                     reading->in.len, &used));
        return used;
    }
    enum tael_http_gate gate =
        tael_http_head_scan(head, &limits, reading->in.data, reading->in.len);
    if (gate == TAEL_HTTP_GATE_REFUSED) {
        note(reading, head->refusal.detail, strlen(head->refusal.detail));
        reading->over = true;
    }
    if (gate != TAEL_HTTP_GATE_DONE)
        return 0;
    if (tael_http_incoming_new(&reading->incoming, head, reading->in.data, "", "") != TAEL_OK)
        abort();
    used = head->at;
    *head = (struct tael_http_head){0};
    end_message(reading, tael_http_incoming_begin(reading->incoming, BODY_MAX, &large));
    return used;
}

static struct tael_buf read_all(const char *data, size_t len, size_t piece)
{
    struct reading reading = {.over = false};
    while (len > 0 && !reading.over) {
        size_t part = piece < len ? piece : len;
        if (tael_buf_append(&reading.in, data, part) != TAEL_OK)
            abort();
        data += part;
        len -= part;
        for (size_t used = 1; used > 0 && reading.in.len > 0 && !reading.over;) {
            used = step(&reading);
            tael_buf_consume(&reading.in, used);
        }
    }
    tael_http_incoming_free(reading.incoming);
    tael_buf_free(&reading.in);
    return reading.seen;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX)
        return 0;
    const char *bytes = (const char *)data + 1;
    struct tael_buf whole = read_all(bytes, size - 1, size - 1);
    struct tael_buf pieces = read_all(bytes, size - 1, 1u + data[0] % 64u);
    if (whole.len != pieces.len ||
        (whole.len > 0 && memcmp(whole.data, pieces.data, whole.len) != 0))
        abort();
    tael_buf_free(&whole);
    tael_buf_free(&pieces);
    return 0;
}
