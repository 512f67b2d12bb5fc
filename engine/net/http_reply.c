/* http_reply.c - an answer while it comes in: its header fields and its body, within limits.
 */
#include <stdlib.h>

#include "net/http_client_parts.h"

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
