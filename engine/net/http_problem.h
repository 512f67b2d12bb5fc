/* http_problem.h - the problems that the engine answers by itself, before an application is asked
 * or in its place (RFC 9457). Their titles stand here alone: the application takes them from here
 * (tael.problems), so that a code means the same whoever answers. No state: any thread. */
#ifndef TAEL_NET_HTTP_PROBLEM_H
#define TAEL_NET_HTTP_PROBLEM_H

#include "net/http_head.h"

struct tael_http_title {
    const char *code, *title; /* interfaces §1 */
};

const struct tael_http_title *tael_http_titles(size_t *count); /* static */

/* What names an answer in the log and to the client: characters of a token, and the end. */
enum { TAEL_HTTP_NAME_MAX = 48 };

/* Appends the document. name: the answer's, "": none is known. */
tael_status tael_http_problem_body(struct tael_buf *out, const struct tael_http_refusal *refusal,
                                   const char *name);

enum { TAEL_HTTP_PROBLEM_FIELDS = 3 };
/* The fields of its answer; returns how many. They point to name. */
size_t tael_http_problem_fields(struct tael_http_header fields[TAEL_HTTP_PROBLEM_FIELDS],
                                const struct tael_http_refusal *refusal, const char *name);

#endif
