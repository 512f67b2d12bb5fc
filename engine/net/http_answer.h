/* http_answer.h - the bytes of an answer: status line, fields, framing, body. No connection, no
 * state: any thread. */
#ifndef TAEL_NET_HTTP_ANSWER_H
#define TAEL_NET_HTTP_ANSWER_H

#include "net/http_head.h"

enum tael_http_persistence {
    TAEL_HTTP_PERSIST,       /* HTTP/1.1 without a word */
    TAEL_HTTP_PERSIST_SAID,  /* HTTP/1.0: Connection: keep-alive */
    TAEL_HTTP_PERSIST_CLOSE, /* Connection: close */
};

struct tael_http_answer {
    int status; /* 200 to 599; 204 and 304 carry no body */
    const struct tael_http_header *headers;
    size_t count;
    struct tael_span body;
    enum tael_http_persistence persistence;
    bool head_only; /* to HEAD: the length without the body */
};

/* Appends the answer. TAEL_EINVAL: a status, name or value that may not be sent; out is as before.
 */
tael_status tael_http_answer_write(struct tael_buf *out, const struct tael_http_answer *answer);

/* Appends an answer made by the server itself: application/problem+json. name: its own, "": none.
 */
tael_status tael_http_answer_problem(struct tael_buf *out, const struct tael_http_refusal *refusal,
                                     const char *name, enum tael_http_persistence persistence,
                                     bool head_only);

const char *tael_http_reason(int status); /* "Not Found", "" when not known; static */

#endif
