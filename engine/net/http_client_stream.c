/* http_client_stream.c - the HTTP client of the simulated world: HTTP/1.1 over the world's streams.
 *
 * A link is one connection; it carries one exchange at a time and rests in between, to be used
 * again by its group. TLS is not simulated: https speaks the same plain bytes, to port 443 by
 * default. Ownership: a group owns its resting links; a link in use and its exchange point at each
 * other.
 */
#include <assert.h>
#include <stdlib.h>

#include <llhttp.h>

#include "net/http_client_parts.h"

struct stream_link;

struct stream_group {
    struct tael_http_group base; /* first */
    struct stream_link *resting;
    size_t resting_count;
};

struct stream_exchange {
    struct tael_http_exchange base; /* first */
    struct stream_link *link;       /* NULL: none yet, or could not be had */
    struct tael_buf address;        /* with its NUL */
    struct tael_buf request;        /* until it is written */
    struct tael_buf name;           /* of the field that is coming in */
    struct tael_buf value;
    llhttp_t parser;
    bool head_only, complete, persistent;
};

struct stream_link {
    struct stream_group *group;
    struct stream_link *next;         /* while resting */
    struct stream_exchange *exchange; /* NULL: resting */
    struct tael_stream *stream;
    int64_t rests_since_us;
    bool open;
    char address[];
};

/* ---- links ---- */

static void link_free(struct stream_link *link)
{
    tael_stream_close(link->stream);
    free(link);
}

static void forget_resting(struct stream_link *link)
{
    struct stream_group *group = link->group;
    struct stream_link **at = &group->resting;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    group->resting_count--;
}

static void rest(struct stream_link *link)
{
    struct stream_group *group = link->group;
    if (group->resting_count == TAEL_HTTP_REUSE_MAX) {
        link_free(link);
        return;
    }
    link->rests_since_us = tael_mono_us(group->base.client->loop->world);
    link->next = group->resting;
    group->resting = link;
    group->resting_count++;
}

/* A link to address that has not rested for too long, out of the list. NULL: none. */
static struct stream_link *wake(struct stream_group *group, const char *address)
{
    int64_t now = tael_mono_us(group->base.client->loop->world);
    struct stream_link *link = group->resting;
    while (link != NULL) {
        struct stream_link *next = link->next;
        if (strcmp(link->address, address) == 0) {
            forget_resting(link);
            if (now - link->rests_since_us < (int64_t)TAEL_HTTP_REUSE_MS * 1000)
                return link;
            link_free(link);
        }
        link = next;
    }
    return NULL;
}

/* ---- the end of an exchange ---- */

static void stream_stop(struct tael_http_exchange *base)
{
    struct stream_exchange *exchange = (struct stream_exchange *)base;
    struct stream_link *link = exchange->link;
    exchange->link = NULL;
    if (link == NULL)
        return;
    link->exchange = NULL;
    if (base->failure == TAEL_HTTP_OK && exchange->persistent)
        rest(link);
    else
        link_free(link);
}

static void stream_free_exchange(struct tael_http_exchange *base)
{
    struct stream_exchange *exchange = (struct stream_exchange *)base;
    tael_buf_free(&exchange->address);
    tael_buf_free(&exchange->request);
    tael_buf_free(&exchange->name);
    tael_buf_free(&exchange->value);
    free(exchange);
}

static void finish(struct stream_exchange *exchange, enum tael_http_failure failure)
{
    tael_http_exchange_end(&exchange->base, failure, llhttp_get_status_code(&exchange->parser));
}

/* ---- parsing the answer ---- */

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct stream_exchange *exchange = parser->data;
    return tael_buf_append(&exchange->name, at, len) == TAEL_OK ? 0 : -1;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct stream_exchange *exchange = parser->data;
    return tael_buf_append(&exchange->value, at, len) == TAEL_OK ? 0 : -1;
}

static int on_value_complete(llhttp_t *parser)
{
    struct stream_exchange *exchange = parser->data;
    struct tael_span name = {exchange->name.data, exchange->name.len};
    struct tael_span value = {exchange->value.data, exchange->value.len};
    tael_status status = TAEL_OK;
    if ((parser->flags & F_TRAILING) == 0) /* trailers are dropped */
        status = tael_http_reply_field(&exchange->base.reply, name, value);
    tael_buf_clear(&exchange->name);
    tael_buf_clear(&exchange->value);
    return status == TAEL_OK ? 0 : -1;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct stream_exchange *exchange = parser->data;
    return exchange->head_only ? 1 : 0; /* 1: no body, whatever the length says */
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct stream_exchange *exchange = parser->data;
    return tael_http_reply_body(&exchange->base.reply, at, len) == TAEL_OK ? 0 : -1;
}

static int on_message_complete(llhttp_t *parser)
{
    struct stream_exchange *exchange = parser->data;
    if (parser->status_code < 200) { /* interim: the answer is still to come */
        tael_http_reply_restart(&exchange->base.reply);
        return 0;
    }
    exchange->complete = true;
    exchange->persistent = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- what happens to a link ---- */

static void write_request(struct stream_exchange *exchange)
{
    struct tael_buf *request = &exchange->request;
    exchange->base.sent = true;
    if (tael_stream_write(exchange->link->stream, request->data, request->len) != TAEL_OK)
        tael_http_exchange_fail(&exchange->base, TAEL_HTTP_RESET, NULL);
    tael_buf_free(request);
}

static void on_open(void *user)
{
    struct stream_link *link = user;
    struct stream_exchange *exchange = link->exchange;
    assert(exchange != NULL); /* a link without one has been closed */
    link->open = true;
    tael_http_exchange_wait(&exchange->base, false);
    write_request(exchange);
}

static void on_read(void *user, const char *data, size_t len)
{
    struct stream_link *link = user;
    struct stream_exchange *exchange = link->exchange;
    if (exchange == NULL) { /* a server that speaks unasked is not to be used again */
        forget_resting(link);
        link_free(link);
        return;
    }
    llhttp_errno_t err = llhttp_execute(&exchange->parser, data, len);
    if (err == HPE_OK)
        return;
    if (err != HPE_PAUSED || !exchange->complete) {
        finish(exchange, TAEL_HTTP_RESET);
        return;
    }
    if (llhttp_get_error_pos(&exchange->parser) != data + len)
        exchange->persistent = false; /* more than the answer: out of step */
    finish(exchange, TAEL_HTTP_OK);
}

static void on_end(void *user, tael_status why)
{
    struct stream_link *link = user;
    struct stream_exchange *exchange = link->exchange;
    if (exchange == NULL) {
        forget_resting(link);
        link_free(link);
        return;
    }
    if (!link->open) {
        finish(exchange, TAEL_HTTP_CONNECT);
        return;
    }
    /* An answer without a length ends here; any other is cut off. */
    bool whole = why == TAEL_OK && llhttp_finish(&exchange->parser) == HPE_PAUSED;
    exchange->persistent = false;
    finish(exchange, whole && exchange->complete ? TAEL_HTTP_OK : TAEL_HTTP_RESET);
}

static const struct tael_stream_events events = {.open = on_open, .read = on_read, .end = on_end};

/* ---- starting ---- */

static tael_status append_span(struct tael_buf *out, struct tael_span span)
{
    return tael_buf_append(out, span.data, span.len);
}

static tael_status write_fields(struct tael_buf *out, const struct tael_http_call *call)
{
    tael_status status = TAEL_OK;
    for (size_t i = 0; status == TAEL_OK && i < call->header_count; i++) {
        status = append_span(out, call->headers[i].name);
        if (status == TAEL_OK)
            status = tael_buf_append(out, ": ", 2);
        if (status == TAEL_OK)
            status = append_span(out, call->headers[i].value);
        if (status == TAEL_OK)
            status = tael_buf_append(out, "\r\n", 2);
    }
    return status;
}

/* The same bytes as libcurl would send, in all that a server can take notice of. */
static tael_status make_request(struct tael_buf *out, const struct tael_http_call *call)
{
    struct tael_span authority = {NULL, 0};
    struct tael_span target = {NULL, 0};
    tael_http_url_split(call->url, &authority, &target);
    const char *slash = target.len > 0 && target.data[0] == '/' ? "" : "/";
    tael_status status = tael_buf_printf(out, "%s %s%.*s HTTP/1.1\r\n", call->method, slash,
                                         (int)target.len, target.data);
    if (status == TAEL_OK && !tael_http_call_has(call, "host"))
        status = tael_buf_printf(out, "Host: %.*s\r\n", (int)authority.len, authority.data);
    if (status == TAEL_OK && !tael_http_call_has(call, "accept"))
        status = tael_buf_append_text(out, "Accept: */*\r\n");
    if (status == TAEL_OK)
        status = write_fields(out, call);
    if (status == TAEL_OK && tael_http_wants_body(call))
        status = tael_buf_printf(out, "Content-Length: %zu\r\n", call->body.len);
    if (status == TAEL_OK)
        status = tael_buf_append(out, "\r\n", 2);
    if (status == TAEL_OK)
        status = append_span(out, call->body);
    return status;
}

/* "host:port" or "unix:PATH", NUL-terminated in out. */
static tael_status make_address(struct tael_buf *out, const struct tael_http_call *call,
                                const struct tael_url_host *host)
{
    int port = tael_http_url_is_tls(call->url) ? 443 : 80;
    if (host->port != 0)
        port = host->port;
    bool brackets = host->is_address && host->address.ip6;
    tael_status status =
        call->unix_path != NULL
            ? tael_buf_printf(out, "unix:%s", call->unix_path)
            : tael_buf_printf(out, brackets ? "[%s]:%d" : "%s:%d", host->name, port);
    return status == TAEL_OK ? tael_buf_append_char(out, '\0') : status;
}

/* A new link that is connecting. TAEL_ENETWORK and the like: it will not be had. */
static tael_status link_new(struct stream_group *group, const struct tael_buf *address,
                            struct stream_link **out)
{
    struct stream_link *link = calloc(1, sizeof(*link) + address->len);
    if (link == NULL)
        return TAEL_ENOMEM;
    link->group = group;
    memcpy(link->address, address->data, address->len);
    tael_status status =
        tael_connect(group->base.client->loop, link->address, &events, link, &link->stream);
    if (status != TAEL_OK) {
        free(link);
        return status;
    }
    *out = link;
    return TAEL_OK;
}

static tael_status stream_begin(struct tael_http_exchange *base)
{
    struct stream_exchange *exchange = (struct stream_exchange *)base;
    struct stream_group *group = (struct stream_group *)base->pool->group;
    tael_status status = TAEL_OK;
    exchange->link = wake(group, exchange->address.data);
    bool fresh = exchange->link == NULL;
    if (fresh)
        status = link_new(group, &exchange->address, &exchange->link);
    if (status == TAEL_ENOMEM)
        return status;
    if (status != TAEL_OK) {
        tael_http_exchange_fail(base, TAEL_HTTP_CONNECT, NULL);
        return TAEL_OK;
    }
    exchange->link->exchange = exchange;
    tael_http_exchange_wait(base, fresh);
    if (!fresh)
        write_request(exchange);
    return TAEL_OK;
}

static tael_status stream_make(struct tael_http_group *group, const struct tael_http_call *call,
                               const struct tael_url_host *host, struct tael_http_exchange **out)
{
    struct stream_exchange *exchange = calloc(1, sizeof(*exchange));
    (void)group;
    if (exchange == NULL)
        return TAEL_ENOMEM;
    exchange->head_only = strcmp(call->method, "HEAD") == 0;
    exchange->name.max = exchange->value.max = TAEL_HTTP_REPLY_TEXT_MAX;
    llhttp_init(&exchange->parser, HTTP_RESPONSE, &settings);
    exchange->parser.data = exchange;
    tael_status status = make_request(&exchange->request, call);
    if (status == TAEL_OK)
        status = make_address(&exchange->address, call, host);
    if (status != TAEL_OK) {
        stream_free_exchange(&exchange->base);
        return status;
    }
    *out = &exchange->base;
    return TAEL_OK;
}

/* ---- life ---- */

static tael_status stream_group_new(struct tael_http_client *client, struct tael_http_group **out)
{
    struct stream_group *group = calloc(1, sizeof(*group));
    (void)client;
    if (group == NULL)
        return TAEL_ENOMEM;
    *out = &group->base;
    return TAEL_OK;
}

static void stream_group_free(struct tael_http_group *base)
{
    struct stream_group *group = (struct stream_group *)base;
    while (group->resting != NULL) {
        struct stream_link *link = group->resting;
        forget_resting(link);
        link_free(link);
    }
    free(group);
}

static void stream_client_free(struct tael_http_client *client)
{
    while (client->groups != NULL)
        tael_http_group_destroy(client->groups);
    free(client->ca_file);
    free(client);
}

static const struct tael_http_client_ops stream_ops = {
    .group_new = stream_group_new,
    .group_free = stream_group_free,
    .make = stream_make,
    .begin = stream_begin,
    .stop = stream_stop,
    .free_exchange = stream_free_exchange,
    .free = stream_client_free,
};

tael_status tael_http_client_stream_new(struct tael_http_client **out, struct tael_loop *loop)
{
    struct tael_http_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return TAEL_ENOMEM;
    client->ops = &stream_ops;
    client->loop = loop;
    *out = client;
    return TAEL_OK;
}
