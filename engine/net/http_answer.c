/* http_answer.c - see http_answer.h. What a handler gives is checked here, before a byte is
 * written: a line end in a value would let it write answers of its own (threats R49).
 */
#include "net/http_answer.h"

#include "base/decimal.h"
#include "net/http_problem.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

const char *tael_http_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "";
}

static bool may_be_sent(const struct tael_http_answer *answer)
{
    static const char *const framing[] = {"content-length", "transfer-encoding", "connection",
                                          "keep-alive",     "upgrade",           "trailer"};
    if (answer->status < 200 || answer->status > 599)
        return false;
    for (size_t i = 0; i < answer->count; i++) {
        const struct tael_http_header *header = &answer->headers[i];
        if (!tael_http_is_token(header->name) || !tael_http_is_value(header->value))
            return false;
        for (size_t j = 0; j < sizeof(framing) / sizeof(framing[0]); j++) {
            if (tael_http_same(header->name, framing[j]))
                return false;
        }
    }
    return true;
}

static tael_status append_span(struct tael_buf *out, struct tael_span span)
{
    return tael_buf_append(out, span.data, span.len);
}

static tael_status append_headers(struct tael_buf *out, const struct tael_http_answer *answer)
{
    tael_status status = TAEL_OK;
    for (size_t i = 0; status == TAEL_OK && i < answer->count; i++) {
        status = append_span(out, answer->headers[i].name);
        if (status == TAEL_OK)
            status = tael_buf_append(out, ": ", 2);
        if (status == TAEL_OK)
            status = append_span(out, answer->headers[i].value);
        if (status == TAEL_OK)
            status = tael_buf_append(out, "\r\n", 2);
    }
    return status;
}

/* "name: 12 word\r\n" and the like */
static tael_status append_line(struct tael_buf *out, const char *before, size_t number,
                               const char *between, const char *after)
{
    char digits[TAEL_DIGITS_MAX];
    tael_status status = tael_buf_append_text(out, before);
    if (status == TAEL_OK)
        status = tael_buf_append(out, digits, tael_digits(number, 1, digits));
    if (status == TAEL_OK)
        status = tael_buf_append_text(out, between);
    if (status == TAEL_OK)
        status = tael_buf_append_text(out, after);
    return status == TAEL_OK ? tael_buf_append(out, "\r\n", 2) : status;
}

tael_status tael_http_answer_write(struct tael_buf *out, const struct tael_http_answer *answer)
{
    static const char *const connection[] = {"", "Connection: keep-alive\r\n",
                                             "Connection: close\r\n"};
    if (!may_be_sent(answer))
        return TAEL_EINVAL;
    size_t before = out->len;
    bool bodyless = answer->status == 204 || answer->status == 304;
    tael_status status = append_line(out, "HTTP/1.1 ", (size_t)answer->status, " ",
                                     tael_http_reason(answer->status));
    if (status == TAEL_OK)
        status = append_headers(out, answer);
    if (status == TAEL_OK && !bodyless)
        status = append_line(out, "Content-Length: ", answer->body.len, "", "");
    if (status == TAEL_OK)
        status = tael_buf_append_text(out, connection[answer->persistence]);
    if (status == TAEL_OK)
        status = tael_buf_append(out, "\r\n", 2);
    if (status == TAEL_OK && !bodyless && !answer->head_only)
        status = append_span(out, answer->body);
    if (status != TAEL_OK)
        out->len = before;
    return status;
}

tael_status tael_http_answer_problem(struct tael_buf *out, const struct tael_http_refusal *refusal,
                                     const char *name, enum tael_http_persistence persistence,
                                     bool head_only)
{
    struct tael_buf body = {0};
    struct tael_http_header fields[TAEL_HTTP_PROBLEM_FIELDS];
    tael_status status = tael_http_problem_body(&body, refusal, name);
    if (status == TAEL_OK)
        status = tael_http_answer_write(
            out,
            &(struct tael_http_answer){.status = refusal->status,
                                       .headers = fields,
                                       .count = tael_http_problem_fields(fields, refusal, name),
                                       .body = {body.data, body.len},
                                       .persistence = persistence,
                                       .head_only = head_only});
    tael_buf_free(&body);
    return status;
}
