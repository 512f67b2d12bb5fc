/* http_client.c - the HTTP client: checks what is asked, picks the way that fits the world, and
 * keeps an answer while it comes in. The same calls give the same results in both worlds.
 */
#include <stdlib.h>

#include "net/http_client_parts.h"
#include "net/http_head.h"

/* ---- what may be asked ---- */

/* Length of "http://" or "https://", 0: neither. */
static size_t scheme_len(const char *url)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i]);
        if (strlen(url) > len && tael_http_same((struct tael_span){url, len}, schemes[i]))
            return len;
    }
    return 0;
}

bool tael_http_url_is_tls(const char *url)
{
    return scheme_len(url) == strlen("https://");
}

void tael_http_url_split(const char *url, struct tael_span *authority, struct tael_span *target)
{
    const char *at = url + scheme_len(url);
    *authority = (struct tael_span){at, strcspn(at, "/?#")};
    at += authority->len;
    *target = (struct tael_span){at, strcspn(at, "#")};
}

static bool is_url(const char *url)
{
    struct tael_span authority = {NULL, 0};
    struct tael_span target = {NULL, 0};
    if (url == NULL || scheme_len(url) == 0)
        return false;
    for (const char *at = url; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~')
            return false;
    }
    tael_http_url_split(url, &authority, &target);
    return authority.len > 0 && authority.data[0] != ':' &&
           memchr(authority.data, '@', authority.len) ==
               NULL; /* threats R50: no user information */
}

/* Fields that decide where a message ends or where it goes are the client's own. */
static bool is_field(const struct tael_http_header *header)
{
    static const char *const own[] = {"content-length", "transfer-encoding", "connection", "expect",
                                      "keep-alive",     "proxy-connection",  "trailer",    "te",
                                      "upgrade"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (tael_http_same(header->name, own[i]))
            return false;
    }
    return tael_http_is_token(header->name) && tael_http_is_value(header->value);
}

static bool is_call(const struct tael_http_call *call)
{
    struct tael_span method = tael_span_of(call->method);
    if (!tael_http_is_token(method) || tael_span_is(method, "CONNECT") || !is_url(call->url))
        return false;
    if (call->timeout_ms < 0 || call->connect_ms < 0)
        return false;
    for (size_t i = 0; i < call->header_count; i++) {
        if (!is_field(&call->headers[i]))
            return false;
    }
    return true;
}

bool tael_http_is_safe(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

bool tael_http_call_has(const struct tael_http_call *call, const char *lower_name)
{
    for (size_t i = 0; i < call->header_count; i++) {
        if (tael_http_same(call->headers[i].name, lower_name))
            return true;
    }
    return false;
}

/* ---- the contract ---- */

tael_status tael_http_client_new(struct tael_http_client **out, struct tael_loop *loop)
{
    return loop->world->simulated ? tael_http_client_stream_new(out, loop)
                                  : tael_http_client_curl_new(out, loop);
}

void tael_http_client_free(struct tael_http_client *client)
{
    if (client != NULL)
        client->ops->free(client);
}

tael_status tael_http_client_start(struct tael_http_client *client,
                                   const struct tael_http_call *call, tael_http_done_fn done,
                                   void *user, struct tael_http_exchange **out)
{
    if (!is_call(call))
        return TAEL_EINVAL;
    struct tael_http_call full = *call;
    if (full.timeout_ms == 0)
        full.timeout_ms = 10000;
    if (full.connect_ms == 0)
        full.connect_ms = 3000;
    if (full.connect_ms > full.timeout_ms)
        full.connect_ms = full.timeout_ms;
    if (full.max_bytes == 0)
        full.max_bytes = 1024 * 1024;
    return client->ops->start(client, &full, done, user, out);
}

void tael_http_exchange_cancel(struct tael_http_exchange *exchange)
{
    exchange->client->ops->cancel(exchange);
}

/* ---- the answer ---- */

static tael_status reserve_field(struct tael_http_reply *reply)
{
    if (reply->count < reply->room)
        return TAEL_OK;
    if (reply->count >= TAEL_HTTP_REPLY_FIELDS_MAX)
        return TAEL_ELIMIT;
    size_t room = reply->room == 0 ? 16 : reply->room * 2;
    struct tael_http_header *fields = realloc(reply->fields, room * sizeof(*fields));
    if (fields == NULL)
        return TAEL_ENOMEM;
    reply->fields = fields;
    reply->room = room;
    return TAEL_OK;
}

static struct tael_span trim(struct tael_span text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL)
        text.len--;
    while (text.len > 0 && strchr(" \t", text.data[0]) != NULL) {
        text.data++;
        text.len--;
    }
    return text;
}

static tael_status append_field(struct tael_http_reply *reply, struct tael_span name,
                                struct tael_span value)
{
    tael_status status = reserve_field(reply);
    reply->text.max = TAEL_HTTP_REPLY_TEXT_MAX;
    if (status == TAEL_OK)
        status = tael_buf_reserve(&reply->text, name.len + value.len);
    if (status != TAEL_OK)
        return status;
    struct tael_http_header *field = &reply->fields[reply->count++];
    *field = (struct tael_http_header){{NULL, name.len}, {NULL, value.len}};
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        reply->text.data[reply->text.len++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return tael_buf_append(&reply->text, value.data, value.len);
}

tael_status tael_http_reply_field(struct tael_http_reply *reply, struct tael_span name,
                                  struct tael_span value)
{
    tael_status status = append_field(reply, name, trim(value));
    reply->too_large = reply->too_large || status == TAEL_ELIMIT;
    return status;
}

tael_status tael_http_reply_body(struct tael_http_reply *reply, const char *data, size_t len)
{
    tael_status status = tael_buf_append(&reply->body, data, len);
    reply->too_large = reply->too_large || status == TAEL_ELIMIT;
    return status;
}

void tael_http_reply_restart(struct tael_http_reply *reply)
{
    tael_buf_clear(&reply->text);
    reply->count = 0;
}

void tael_http_reply_show(struct tael_http_reply *reply, struct tael_http_result *result)
{
    const char *at =
        reply->text.data; /* the text no longer moves: now the spans can point into it */
    for (size_t i = 0; i < reply->count; i++) {
        reply->fields[i].name.data = at;
        reply->fields[i].value.data = at + reply->fields[i].name.len;
        at = reply->fields[i].value.data + reply->fields[i].value.len;
    }
    result->headers = reply->fields;
    result->header_count = reply->count;
    result->body = (struct tael_span){reply->body.data, reply->body.len};
}

void tael_http_reply_free(struct tael_http_reply *reply)
{
    tael_buf_free(&reply->text);
    tael_buf_free(&reply->body);
    free(reply->fields);
}
