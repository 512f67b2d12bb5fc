/* http_client.c - the HTTP client: checks what is asked, picks the way that fits the world, keeps
 * the time of exchanges and tells their ends. The same calls give the same results in both worlds.
 */
#include <stdarg.h>
#include <stdio.h>
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
    if (url == NULL || scheme_len(url) == 0)
        return false;
    for (const char *at = url; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~')
            return false;
    }
    return true;
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
    if (call->pool != NULL && call->pool[0] == '\0')
        return false;
    if (call->timeout_ms < 0 || call->connect_ms < 0 ||
        (call->cert_file == NULL) != (call->key_file == NULL))
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

bool tael_http_wants_body(const struct tael_http_call *call)
{
    return call->body.len > 0 || strcmp(call->method, "POST") == 0 ||
           strcmp(call->method, "PUT") == 0 || strcmp(call->method, "PATCH") == 0;
}

bool tael_http_call_has(const struct tael_http_call *call, const char *lower_name)
{
    for (size_t i = 0; i < call->header_count; i++) {
        if (tael_http_same(call->headers[i].name, lower_name))
            return true;
    }
    return false;
}

/* ---- life of the client ---- */

tael_status tael_http_client_new(struct tael_http_client **out, struct tael_loop *loop,
                                 const struct tael_http_client_options *options)
{
    struct tael_http_client_options full =
        options != NULL ? *options : (struct tael_http_client_options){.resolve = NULL};
    struct tael_http_client *client = NULL;
    char *ca_file = full.ca_file != NULL ? strdup(full.ca_file) : NULL;
    if (full.ca_file != NULL && ca_file == NULL)
        return TAEL_ENOMEM;
    tael_status status = loop->world->simulated ? tael_http_client_stream_new(&client, loop)
                                                : tael_http_client_curl_new(&client, loop, &full);
    if (status != TAEL_OK) {
        free(ca_file);
        return status;
    }
    full.connect_ms = full.connect_ms > 0 ? full.connect_ms : 3000;
    full.total_ms = full.total_ms > 0 ? full.total_ms : 10000;
    full.per_pool = full.per_pool > 0 ? full.per_pool : 64;
    full.ca_file = client->ca_file = ca_file;
    client->options = full;
    *out = client;
    return TAEL_OK;
}

/* Ends what it does; its memory stays. */
static void exchange_stop(struct tael_http_exchange *exchange)
{
    exchange->client->ops->stop(exchange);
    tael_timer_free(exchange->timer);
    exchange->timer = NULL;
}

static void exchange_free(const struct tael_http_client_ops *ops,
                          struct tael_http_exchange *exchange)
{
    tael_http_reply_free(&exchange->reply);
    ops->free_exchange(exchange);
}

static void exchange_drop(struct tael_http_exchange *exchange)
{
    exchange_stop(exchange);
    tael_http_pool_leave(exchange);
    exchange_free(exchange->client->ops, exchange);
}

void tael_http_client_free(struct tael_http_client *client)
{
    if (client == NULL)
        return;
    client->freed = true; /* nothing begins any more */
    for (struct tael_http_group *group = client->groups; group != NULL; group = group->next) {
        while (group->pools != NULL) {
            struct tael_http_pool *pool = group->pools;
            exchange_drop(pool->running != NULL ? pool->running : pool->waiting);
        }
    }
    client->ops->free(client);
}

/* ---- time and end of an exchange ---- */

static void set_detail(struct tael_http_exchange *exchange, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void set_detail(struct tael_http_exchange *exchange, const char *format, va_list args)
{
    if (vsnprintf(exchange->detail, sizeof(exchange->detail), format, args) < 0)
        exchange->detail[0] = '\0';
}

void tael_http_exchange_fail(struct tael_http_exchange *exchange, enum tael_http_failure failure,
                             const char *format, ...)
{
    if (exchange->over)
        return; /* the first reason counts */
    exchange->over = true;
    exchange->failure = failure;
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        set_detail(exchange, format, args);
        va_end(args);
    }
    tael_timer_start(exchange->timer, 0);
}

void tael_http_exchange_wait(struct tael_http_exchange *exchange, bool connecting)
{
    if (exchange->over)
        return;
    int64_t until = exchange->deadline_us;
    if (connecting && exchange->connect_by_us < until)
        until = exchange->connect_by_us;
    int64_t left = until - tael_mono_us(exchange->client->loop->world);
    tael_timer_start(exchange->timer, left > 0 ? left : 0);
}

void tael_http_exchange_end(struct tael_http_exchange *exchange, enum tael_http_failure failure,
                            int status)
{
    struct tael_http_client *client = exchange->client;
    const struct tael_http_client_ops *ops = client->ops;
    if (failure != TAEL_HTTP_OK && exchange->reply.too_large)
        failure = TAEL_HTTP_TOO_LARGE;
    if (failure == TAEL_HTTP_TIMEOUT && !exchange->begun && !exchange->over)
        snprintf(exchange->detail, sizeof(exchange->detail), "it waited for others of its pool");
    struct tael_http_result result = {
        .failure = failure,
        .sent = exchange->sent,
        .detail = exchange->detail,
        .elapsed_us = tael_mono_us(client->loop->world) - exchange->started_us,
    };
    if (failure == TAEL_HTTP_OK) {
        result.status = status;
        tael_http_reply_show(&exchange->reply, &result);
    }
    exchange->failure = failure;
    exchange_stop(exchange);
    tael_http_pool_leave(exchange);
    exchange->told = true;
    exchange->done(exchange->user, &result);
    exchange_free(ops, exchange); /* the client may be gone */
}

void tael_http_exchange_cancel(struct tael_http_exchange *exchange)
{
    if (exchange->told)
        return;
    exchange_drop(exchange);
}

static void on_timer(void *user)
{
    struct tael_http_exchange *exchange = user;
    tael_http_exchange_end(exchange, exchange->failure, 0);
}

/* ---- starting ---- */

static struct tael_http_call with_defaults(const struct tael_http_client *client,
                                           const struct tael_http_call *call)
{
    struct tael_http_call full = *call;
    if (full.timeout_ms == 0)
        full.timeout_ms = client->options.total_ms;
    if (full.connect_ms == 0)
        full.connect_ms = client->options.connect_ms;
    if (full.max_bytes == 0)
        full.max_bytes = 1024 * 1024;
    if (full.ca_file == NULL)
        full.ca_file = client->options.ca_file;
    return full;
}

static tael_status exchange_new(struct tael_http_pool *pool, const struct tael_http_call *call,
                                const struct tael_url_host *host, struct tael_http_exchange **out)
{
    struct tael_http_client *client = pool->group->client;
    struct tael_http_exchange *exchange = NULL;
    tael_status status = client->ops->make(pool->group, call, host, &exchange);
    if (status != TAEL_OK)
        return status;
    exchange->client = client;
    exchange->pool = pool;
    exchange->reply.body.max = call->max_bytes;
    exchange->failure = TAEL_HTTP_TIMEOUT;
    exchange->connect_ms = call->connect_ms;
    exchange->started_us = tael_mono_us(client->loop->world);
    exchange->deadline_us = exchange->started_us + call->timeout_ms * 1000;
    if (call->deadline_us != 0 && call->deadline_us < exchange->deadline_us)
        exchange->deadline_us = call->deadline_us;
    exchange->timer = tael_timer_new(client->loop, on_timer, exchange);
    if (exchange->timer == NULL) {
        exchange_stop(exchange);
        exchange_free(client->ops, exchange);
        return TAEL_ENOMEM;
    }
    *out = exchange;
    return TAEL_OK;
}

tael_status tael_http_client_start(struct tael_http_client *client,
                                   const struct tael_http_call *call, tael_http_done_fn done,
                                   void *user, struct tael_http_exchange **out)
{
    if (!is_call(call))
        return TAEL_EINVAL;
    struct tael_http_call full = with_defaults(client, call);
    struct tael_span authority = {NULL, 0};
    struct tael_span target = {NULL, 0};
    struct tael_url_host host;
    tael_http_url_split(full.url, &authority, &target);
    const char *wrong = tael_url_host_read(&host, authority);
    if (wrong != NULL)
        host = (struct tael_url_host){.port = 0};
    struct tael_http_pool *pool = NULL;
    struct tael_http_exchange *exchange = NULL;
    tael_status status = tael_http_pool_find(client, &full, &host, &pool);
    if (status != TAEL_OK)
        return status;
    status = exchange_new(pool, &full, &host, &exchange);
    if (status != TAEL_OK)
        goto settle;
    exchange->done = done;
    exchange->user = user;
    if (wrong != NULL)
        tael_http_exchange_fail(exchange, TAEL_HTTP_ADDRESS, "%s", wrong);
    else if (exchange->deadline_us <= exchange->started_us)
        tael_http_exchange_fail(exchange, TAEL_HTTP_TIMEOUT, "the deadline had passed");
    status = tael_http_pool_enter(pool, exchange);
    if (status != TAEL_OK) {
        exchange_stop(exchange);
        exchange_free(client->ops, exchange);
        goto settle;
    }
    *out = exchange;
    return TAEL_OK;

settle:
    tael_http_pool_settle(pool);
    return status;
}
