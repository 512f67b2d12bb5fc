/* http_head.h - the gate in front of the HTTP parser: what a request's framing must look like.
 *
 * Two scanners over bytes nobody has vouched for. The head gate reads a request's head as it comes
 * in and says what it is; the chunk gate does the same for the framing of a chunked body. Both keep
 * no memory and no pointer, so the bytes may be moved between calls; one gate by one thread at a
 * time. Invariants:
 * 1. The verdict depends on the bytes alone, never on how they were cut into pieces: of several
 * faults the one at the lowest place wins.
 * 2. What passes has one reading only (RFC 9112): the parser behind must come to the same one.
 */
#ifndef TAEL_NET_HTTP_HEAD_H
#define TAEL_NET_HTTP_HEAD_H

#include "net/http.h"
#include "net/http_server.h"

enum tael_http_gate { TAEL_HTTP_GATE_MORE, TAEL_HTTP_GATE_DONE, TAEL_HTTP_GATE_REFUSED };

struct tael_http_refusal { /* texts are static; detail is one sentence for the client and the log */
    int status;
    const char *code; /* interfaces §1 */
    const char *detail;
};

struct tael_http_head { /* all zero: nothing seen yet */
    size_t at;          /* bytes scanned; the length of the head when DONE */
    size_t start;    /* of the request line: 0, or 2 after the one empty line that is let through */
    size_t line;     /* start of the line being scanned */
    size_t fields;   /* of the copy */
    size_t left_out; /* others */
    uint64_t length; /* value of Content-Length, at most INT64_MAX */
    uint32_t method_len, target_at, target_len;
    uint32_t authority_at, authority_len; /* in a target in absolute form; else of length 0 */
    bool blank;            /* the one empty line that is let through in front has been */
    bool cr, request_line; /* last byte was CR; the request line is complete */
    bool minor;            /* HTTP/1.1, not 1.0 */
    bool host, has_length, chunked, expects, close, keep_alive;
    struct tael_http_refusal refusal; /* when REFUSED */
};

/* data holds all bytes of this head seen so far (head->at of them are already scanned); what
 * follows the head is not looked at. limits: every field set. */
enum tael_http_gate tael_http_head_scan(struct tael_http_head *head,
                                        const struct tael_http_limits *limits, const char *data,
                                        size_t len);

static inline size_t
tael_http_head_room(const struct tael_http_head *head) /* bytes that copy writes */
{
    return head->at - head->start + head->fields;
}

/* Writes the head that was DONE in its plainest form (names in lower case, ": ", no blanks around
 * values; of a target in absolute form path and query alone, its authority in the place of what
 * Host says: RFC 9112 §3.2.2) to out and its parts to method, target and headers (head->fields of
 * them). Returns the bytes written. */
size_t tael_http_head_copy(const struct tael_http_head *head, const char *data, char *out,
                           struct tael_span *method, struct tael_span *target,
                           struct tael_http_header *headers);

enum tael_http_chunk_state {
    TAEL_HTTP_CHUNK_SIZE,
    TAEL_HTTP_CHUNK_EXTENSION,
    TAEL_HTTP_CHUNK_SIZE_LF,
    TAEL_HTTP_CHUNK_DATA,
    TAEL_HTTP_CHUNK_DATA_CR,
    TAEL_HTTP_CHUNK_DATA_LF,
    TAEL_HTTP_CHUNK_LAST_CR,
    TAEL_HTTP_CHUNK_LAST_LF,
    TAEL_HTTP_CHUNK_DONE,
};

struct tael_http_chunks { /* all zero: in front of the first chunk */
    enum tael_http_chunk_state state;
    uint64_t size;          /* of this chunk; bytes of it still to come while in DATA */
    uint64_t total;         /* announced by all chunks so far */
    unsigned digits, extra; /* on this size line: digits, bytes of extension */
    struct tael_http_refusal refusal;
};

/* Takes a run of bytes that are all to be given to the parser (*pass) or all to be dropped
 * (extensions). *used: its length, at least 1 when len is. DONE: the body ends with this run. max:
 * of the body. */
enum tael_http_gate tael_http_chunks_scan(struct tael_http_chunks *chunks, uint64_t max,
                                          const char *data, size_t len, size_t *used, bool *pass);

/* Characters of a header name or a method (RFC 9110 §5.6.2), and of a header value (§5.5). */
bool tael_http_is_token(struct tael_span text);
bool tael_http_is_value(struct tael_span text);
bool tael_http_same(struct tael_span text, const char *lower); /* without regard to case */

#endif
