/* http_problem.c - see http_problem.h. Codes, titles and details are our own literals and names are
 * tokens: nothing in a document needs escaping. */
#include "net/http_problem.h"

static const struct tael_http_title titles[] = {
    {"invalid_header", "A header is wrong"},
    {"method_not_allowed", "This method is not allowed here"},
    {"request_timeout", "The request took too long"},
    {"too_large", "The body is too large"},
    {"uri_too_long", "The address is too long"},
    {"unsupported_media_type", "The body has a wrong media type"},
    {"headers_too_large", "The headers are too large"},
    {"internal", "Internal error"},
    {"overloaded", "Too much to do"},
    {"draining", "The engine is stopping"},
};

const struct tael_http_title *tael_http_titles(size_t *count)
{
    *count = sizeof(titles) / sizeof(titles[0]);
    return titles;
}

static const char *title_of(const char *code)
{
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        if (strcmp(titles[i].code, code) == 0)
            return titles[i].title;
    }
    return code;
}

tael_status tael_http_problem_body(struct tael_buf *out, const struct tael_http_refusal *refusal,
                                   const char *name)
{
    bool retriable = refusal->status == 408 || refusal->status == 500 || refusal->status == 503;
    bool named = name[0] != '\0';
    return tael_buf_printf(out,
                           "{\"type\":\"https://tael.dev/problems/%s\",\"title\":\"%s\","
                           "\"status\":%d,\"code\":\"%s\",\"detail\":\"%s\",%s%s%s"
                           "\"retriable\":%s}",
                           refusal->code, title_of(refusal->code), refusal->status, refusal->code,
                           refusal->detail, named ? "\"request_id\":\"" : "", name,
                           named ? "\"," : "", retriable ? "true" : "false");
}

size_t tael_http_problem_fields(struct tael_http_header fields[TAEL_HTTP_PROBLEM_FIELDS],
                                const struct tael_http_refusal *refusal, const char *name)
{
    size_t count = 0;
    fields[count++] = (struct tael_http_header){tael_span_of("Content-Type"),
                                                tael_span_of("application/problem+json")};
    if (refusal->status == 503) /* when it is worth while to repeat */
        fields[count++] = (struct tael_http_header){tael_span_of("Retry-After"), tael_span_of("1")};
    if (name[0] != '\0')
        fields[count++] =
            (struct tael_http_header){tael_span_of("Tael-Request-Id"), tael_span_of(name)};
    return count;
}
