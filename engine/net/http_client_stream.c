/* http_client_stream.c - the HTTP client of the simulated world: HTTP/1.1 over the world's streams.
 *
 * A link is one connection; it carries one exchange at a time and rests in between, to be used
 * again. TLS is not simulated: https speaks the same plain bytes, to port 443 by default. Time is
 * the world's. Ownership: the client owns links and exchanges; a link in use and its exchange point
 * at each other. Invariants:
 * 1. done is called last, when nothing of the exchange is in the client any more: it may start
 *    another exchange, cancel one or free the client.
 * 2. Every exchange has a timer until it ends; what fails inside start is told by that timer.
 */
#include <assert.h>
#include <stdlib.h>

#include <llhttp.h>

#include "net/http_client_parts.h"

struct stream_link;
struct stream_exchange;

struct stream_client {
    struct tael_http_client base; /* first */
    struct stream_exchange *exchanges;
    struct stream_link *resting;
    size_t resting_count;
};

struct stream_link {
    struct stream_client *client;
    struct stream_link *next;         /* while resting */
    struct stream_exchange *exchange; /* NULL: resting */
    struct tael_stream *stream;
    int64_t rests_since_us;
    bool open;
    char address[];
};

struct stream_exchange {
    struct tael_http_exchange base; /* first */
    struct stream_exchange *next, **place;
    struct stream_link *link; /* NULL: could not be had */
    struct tael_timer *timer;
    tael_http_done_fn done;
    void *user;
    struct tael_buf request; /* until it is written */
    struct tael_buf name;    /* of the field that is coming in */
    struct tael_buf value;
    struct tael_http_reply reply;
    llhttp_t parser;
    enum tael_http_failure failure; /* what the timer tells */
    int64_t started_us, deadline_us;
    bool head_only, sent, complete, persistent;
    bool told; /* done is running: cancel has nothing to do */
};

/* ---- links ---- */

static void link_free(struct stream_link *link)
{
    tael_stream_close(link->stream);
    free(link);
}

static void forget_resting(struct stream_link *link)
{
    struct stream_client *client = link->client;
    struct stream_link **at = &client->resting;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    client->resting_count--;
}

static void rest(struct stream_link *link)
{
    struct stream_client *client = link->client;
    if (client->resting_count == TAEL_HTTP_REUSE_MAX) {
        link_free(link);
        return;
    }
    link->rests_since_us = tael_mono_us(client->base.loop->world);
    link->next = client->resting;
    client->resting = link;
    client->resting_count++;
}

/* A link to address that has not rested for too long, out of the list. NULL: none. */
static struct stream_link *wake(struct stream_client *client, const char *address)
{
    int64_t now = tael_mono_us(client->base.loop->world);
    struct stream_link *link = client->resting;
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

/* Takes the exchange off its link and out of the client. keep: the link may be used again. */
static void detach(struct stream_exchange *exchange, bool keep)
{
    struct stream_link *link = exchange->link;
    *exchange->place = exchange->next;
    if (exchange->next != NULL)
        exchange->next->place = exchange->place;
    tael_timer_free(exchange->timer);
    exchange->timer = NULL;
    exchange->link = NULL;
    if (link == NULL)
        return;
    link->exchange = NULL;
    if (keep)
        rest(link);
    else
        link_free(link);
}

static void exchange_free(struct stream_exchange *exchange)
{
    tael_buf_free(&exchange->request);
    tael_buf_free(&exchange->name);
    tael_buf_free(&exchange->value);
    tael_http_reply_free(&exchange->reply);
    free(exchange);
}

static void finish(struct stream_exchange *exchange, enum tael_http_failure failure)
{
    struct tael_world *world = exchange->base.client->loop->world;
    if (failure == TAEL_HTTP_RESET && exchange->reply.too_large)
        failure = TAEL_HTTP_TOO_LARGE;
    struct tael_http_result result = {
        .failure = failure,
        .sent = exchange->sent,
        .elapsed_us = tael_mono_us(world) - exchange->started_us,
    };
    if (failure == TAEL_HTTP_OK) {
        result.status = llhttp_get_status_code(&exchange->parser);
        tael_http_reply_show(&exchange->reply, &result);
    }
    detach(exchange, failure == TAEL_HTTP_OK && exchange->persistent);
    exchange->told = true;
    exchange->done(exchange->user, &result);
    exchange_free(exchange);
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
        status = tael_http_reply_field(&exchange->reply, name, value);
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
    return tael_http_reply_body(&exchange->reply, at, len) == TAEL_OK ? 0 : -1;
}

static int on_message_complete(llhttp_t *parser)
{
    struct stream_exchange *exchange = parser->data;
    if (parser->status_code < 200) { /* interim: the answer is still to come */
        tael_http_reply_restart(&exchange->reply);
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
    exchange->sent = true;
    if (tael_stream_write(exchange->link->stream, request->data, request->len) != TAEL_OK) {
        exchange->failure = TAEL_HTTP_RESET;
        tael_timer_start(exchange->timer, 0);
    }
    tael_buf_free(request);
}

static void on_open(void *user)
{
    struct stream_link *link = user;
    struct stream_exchange *exchange = link->exchange;
    assert(exchange != NULL); /* a link without one has been closed */
    link->open = true;
    int64_t left = exchange->deadline_us - tael_mono_us(link->client->base.loop->world);
    tael_timer_start(exchange->timer, left > 0 ? left : 0);
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

static void on_timer(void *user)
{
    struct stream_exchange *exchange = user;
    finish(exchange, exchange->failure);
}

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
    bool wants_body = call->body.len > 0 || strcmp(call->method, "POST") == 0 ||
                      strcmp(call->method, "PUT") == 0 || strcmp(call->method, "PATCH") == 0;
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
    if (status == TAEL_OK && wants_body)
        status = tael_buf_printf(out, "Content-Length: %zu\r\n", call->body.len);
    if (status == TAEL_OK)
        status = tael_buf_append(out, "\r\n", 2);
    if (status == TAEL_OK)
        status = append_span(out, call->body);
    return status;
}

/* "host:port" or "unix:PATH", NUL-terminated in out. */
static tael_status make_address(struct tael_buf *out, const struct tael_http_call *call)
{
    struct tael_span authority = {NULL, 0};
    struct tael_span target = {NULL, 0};
    tael_http_url_split(call->url, &authority, &target);
    tael_status status = TAEL_OK;
    if (call->unix_path != NULL) {
        status = tael_buf_printf(out, "unix:%s", call->unix_path);
    } else {
        bool has_port = false;
        for (size_t i = 0; i < authority.len; i++) /* "[::1]": the last colon is not the port's */
            has_port = authority.data[i] == ':' || (has_port && authority.data[i] != ']');
        const char *port = tael_http_url_is_tls(call->url) ? ":443" : ":80";
        status = tael_buf_printf(out, "%.*s%s", (int)authority.len, authority.data,
                                 has_port ? "" : port);
    }
    if (status == TAEL_OK)
        status = tael_buf_append_char(out, '\0');
    return status;
}

/* A new link that is connecting. TAEL_ENETWORK and the like: it will not be had. */
static tael_status link_new(struct stream_client *client, const struct tael_buf *address,
                            struct stream_link **out)
{
    struct stream_link *link = calloc(1, sizeof(*link) + address->len);
    if (link == NULL)
        return TAEL_ENOMEM;
    link->client = client;
    memcpy(link->address, address->data, address->len);
    tael_status status =
        tael_connect(client->base.loop, link->address, &events, link, &link->stream);
    if (status != TAEL_OK) {
        free(link);
        return status;
    }
    *out = link;
    return TAEL_OK;
}

static tael_status attach(struct stream_exchange *exchange, const struct tael_http_call *call)
{
    struct stream_client *client = (struct stream_client *)exchange->base.client;
    struct tael_buf address = {0};
    tael_status status = make_address(&address, call);
    if (status != TAEL_OK)
        goto free_address;
    exchange->link = wake(client, address.data);
    bool fresh = exchange->link == NULL;
    if (fresh)
        status = link_new(client, &address, &exchange->link);
    if (status == TAEL_ENOMEM)
        goto free_address;
    if (status != TAEL_OK) { /* told later, like every failure of the network */
        status = TAEL_OK;
        exchange->failure = TAEL_HTTP_CONNECT;
        tael_timer_start(exchange->timer, 0);
        goto free_address;
    }
    exchange->link->exchange = exchange;
    tael_timer_start(exchange->timer, (fresh ? call->connect_ms : call->timeout_ms) * 1000);
    if (!fresh)
        write_request(exchange);
free_address:
    tael_buf_free(&address);
    return status;
}

static tael_status stream_client_start(struct tael_http_client *base,
                                       const struct tael_http_call *call, tael_http_done_fn done,
                                       void *user, struct tael_http_exchange **out)
{
    struct stream_client *client = (struct stream_client *)base;
    tael_status status = TAEL_ENOMEM;
    struct stream_exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL)
        return TAEL_ENOMEM;
    exchange->timer = tael_timer_new(base->loop, on_timer, exchange);
    if (exchange->timer == NULL)
        goto free_exchange;
    exchange->base.client = base;
    exchange->done = done;
    exchange->user = user;
    exchange->failure = TAEL_HTTP_TIMEOUT;
    exchange->started_us = tael_mono_us(base->loop->world);
    exchange->deadline_us = exchange->started_us + call->timeout_ms * 1000;
    exchange->head_only = strcmp(call->method, "HEAD") == 0;
    exchange->reply.body.max = call->max_bytes;
    exchange->name.max = exchange->value.max = TAEL_HTTP_REPLY_TEXT_MAX;
    llhttp_init(&exchange->parser, HTTP_RESPONSE, &settings);
    exchange->parser.data = exchange;
    status = make_request(&exchange->request, call);
    if (status != TAEL_OK)
        goto free_timer;
    status = attach(exchange, call);
    if (status != TAEL_OK)
        goto free_timer;
    exchange->next = client->exchanges;
    exchange->place = &client->exchanges;
    if (exchange->next != NULL)
        exchange->next->place = &exchange->next;
    client->exchanges = exchange;
    *out = &exchange->base;
    return TAEL_OK;

free_timer:
    tael_timer_free(exchange->timer);
free_exchange:
    exchange_free(exchange);
    return status;
}

static void stream_exchange_cancel(struct tael_http_exchange *base)
{
    struct stream_exchange *exchange = (struct stream_exchange *)base;
    if (exchange->told)
        return;
    detach(exchange, false);
    exchange_free(exchange);
}

static void stream_client_free(struct tael_http_client *base)
{
    struct stream_client *client = (struct stream_client *)base;
    while (client->exchanges != NULL)
        stream_exchange_cancel(&client->exchanges->base);
    while (client->resting != NULL) {
        struct stream_link *link = client->resting;
        forget_resting(link);
        link_free(link);
    }
    free(client);
}

static const struct tael_http_client_ops stream_ops = {
    .start = stream_client_start, .cancel = stream_exchange_cancel, .free = stream_client_free};

tael_status tael_http_client_stream_new(struct tael_http_client **out, struct tael_loop *loop)
{
    struct stream_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return TAEL_ENOMEM;
    client->base = (struct tael_http_client){&stream_ops, loop};
    *out = &client->base;
    return TAEL_OK;
}
