/* http_client_curl.c - the HTTP client of the real world: libcurl's multi interface on a libuv
 * loop.
 *
 * libcurl says which sockets to watch (on_socket) and when to come back (on_timeout); what it has
 * finished is collected after each step and told from there, never from inside one of its
 * callbacks. Ownership: an exchange owns its easy handle while it runs; afterwards the handle is
 * kept for the next one. uv handles free themselves in their close callbacks. All on the loop's
 * thread; curl_global_init and _cleanup are counted and locked inside libcurl (>= 7.84) and called
 * once per client, so there is no state of ours outside of clients. Invariants:
 * 1. A request that may have changed something is never sent twice: libcurl repeats one on a new
 *    connection when a reused one died under it; on_request stops that unless the method is safe.
 * 2. sent is false only if on_request was never reached: no connection, so no byte.
 */
#include <assert.h>
#include <stdlib.h>

#include <curl/curl.h>
#include <uv.h>

#include "net/http_client_parts.h"
#include "net/http_head.h"
#include "net/world_uv.h"

enum { SPARE_MAX = 16, DNS_CACHE_S = 60 };

struct curl_exchange;

struct curl_client {
    struct tael_http_client base; /* first */
    uv_loop_t *uv;
    uv_timer_t timer;
    CURLM *multi;
    struct curl_exchange *exchanges;
    CURL *spare[SPARE_MAX]; /* easy handles at rest, with their TLS sessions */
    size_t spares;
    bool stepping; /* a call further up the stack is inside step() */
    bool freed;
};

struct curl_exchange {
    struct tael_http_exchange base; /* first */
    struct curl_exchange *next, **place;
    CURL *easy;
    struct curl_slist *fields;
    tael_http_done_fn done;
    void *user;
    struct tael_http_reply reply;
    bool body_begun; /* later fields are trailers: dropped */
    bool safe;       /* may be sent twice */
    bool told;       /* done is running: cancel has nothing to do */
    unsigned requests;
    int64_t started_us;
};

struct watch { /* one socket of libcurl's */
    uv_poll_t poll;
    struct curl_client *client;
    curl_socket_t socket;
};

static void step(struct curl_client *client, curl_socket_t socket, int what);

/* ---- what libcurl calls for sockets and time ---- */

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int what = 0;
    if (status < 0)
        what = CURL_CSELECT_ERR;
    if ((events & UV_READABLE) != 0)
        what |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        what |= CURL_CSELECT_OUT;
    step(watch->client, watch->socket, what);
}

static struct watch *watch_new(struct curl_client *client, curl_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    watch->client = client;
    watch->socket = socket;
    if (uv_poll_init_socket(client->uv, &watch->poll, socket) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    curl_multi_assign(client->multi, socket, watch);
    return watch;
}

/* Always 0: anything else would end every exchange of the client. What cannot be watched times out.
 */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *socket_user)
{
    struct curl_client *client = user;
    struct watch *watch = socket_user;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            curl_multi_assign(client->multi, socket, NULL);
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (watch == NULL)
        watch = watch_new(client, socket);
    if (watch != NULL) {
        int events =
            (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
        uv_poll_start(&watch->poll, events, on_poll);
    }
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    step(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *user)
{
    struct curl_client *client = user;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

/* ---- what libcurl calls for an exchange ---- */

static int on_request(void *user, char *remote, char *local, int remote_port, int local_port)
{
    struct curl_exchange *exchange = user;
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    exchange->requests++;
    return exchange->requests == 1 || exchange->safe ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static size_t on_field(char *data, size_t size, size_t count, void *user)
{
    struct curl_exchange *exchange = user;
    struct tael_span line = {data, size * count};
    if (exchange->body_begun)
        return line.len;
    if (line.len >= 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        tael_http_reply_restart(&exchange->reply);
        return line.len;
    }
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL)
        return line.len; /* the empty line */
    struct tael_span name = {line.data, (size_t)(colon - line.data)};
    struct tael_span value = {colon + 1, line.len - name.len - 1};
    if (!tael_http_is_token(name))
        return line.len; /* a folded line or worse: nothing anybody may rely on */
    return tael_http_reply_field(&exchange->reply, name, value) == TAEL_OK ? line.len : 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct curl_exchange *exchange = user;
    exchange->body_begun = true;
    return tael_http_reply_body(&exchange->reply, data, size * count) == TAEL_OK ? size * count : 0;
}

/* ---- the end of an exchange ---- */

static void keep_easy(struct curl_client *client, CURL *easy)
{
    if (easy == NULL)
        return;
    if (client->freed || client->spares == SPARE_MAX) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    client->spare[client->spares++] = easy;
}

/* Takes the exchange out of libcurl's hands and the client's list. */
static void detach(struct curl_exchange *exchange)
{
    struct curl_client *client = (struct curl_client *)exchange->base.client;
    if (exchange->easy != NULL) {
        curl_multi_remove_handle(client->multi, exchange->easy);
        keep_easy(client, exchange->easy);
        exchange->easy = NULL;
    }
    *exchange->place = exchange->next;
    if (exchange->next != NULL)
        exchange->next->place = exchange->place;
}

static void exchange_free(struct curl_exchange *exchange)
{
    curl_slist_free_all(exchange->fields);
    tael_http_reply_free(&exchange->reply);
    free(exchange);
}

static enum tael_http_failure failure_of(CURLcode code, const struct tael_http_reply *reply)
{
    if (reply->too_large)
        return TAEL_HTTP_TOO_LARGE;
    switch ((int)code) {
    case CURLE_OK:
        return TAEL_HTTP_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return TAEL_HTTP_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_URL_MALFORMAT:
        return TAEL_HTTP_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return TAEL_HTTP_TLS;
    case CURLE_FILESIZE_EXCEEDED:
        return TAEL_HTTP_TOO_LARGE;
    default:
        return TAEL_HTTP_RESET;
    }
}

static void finish(struct curl_exchange *exchange, CURLcode code)
{
    struct tael_loop *loop = exchange->base.client->loop;
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    struct tael_http_result result = {
        .failure = failure_of(code, &exchange->reply),
        .sent = exchange->requests > 0,
        .elapsed_us = tael_mono_us(loop->world) - exchange->started_us,
    };
    if (result.failure == TAEL_HTTP_OK) {
        result.status = (int)status;
        tael_http_reply_show(&exchange->reply, &result);
    }
    detach(exchange);
    exchange->told = true;
    exchange->done(exchange->user, &result);
    exchange_free(exchange);
}

static struct curl_exchange *take_finished(struct curl_client *client, CURLcode *code)
{
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct curl_exchange *exchange = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
        *code = message->data.result;
        return exchange;
    }
    return NULL;
}

/* ---- life of the client ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data); /* the client, whose part the timer is */
}

static void destroy(struct curl_client *client)
{
    while (client->spares > 0)
        curl_easy_cleanup(client->spare[--client->spares]);
    curl_multi_cleanup(client->multi); /* closes connections: on_socket comes once more for each */
    curl_global_cleanup();
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}

static void step(struct curl_client *client, curl_socket_t socket, int what)
{
    int running = 0;
    CURLcode code = CURLE_OK;
    struct curl_exchange *exchange = NULL;
    assert(!client->stepping);
    client->stepping = true;
    curl_multi_socket_action(client->multi, socket, what, &running);
    while (!client->freed && (exchange = take_finished(client, &code)) != NULL)
        finish(exchange, code);
    client->stepping = false;
    if (client->freed)
        destroy(client);
}

static void curl_client_free(struct tael_http_client *base)
{
    struct curl_client *client = (struct curl_client *)base;
    client->freed = true;
    while (client->exchanges != NULL) {
        struct curl_exchange *exchange = client->exchanges;
        detach(exchange);
        exchange_free(exchange);
    }
    if (!client->stepping)
        destroy(client);
}

/* ---- starting ---- */

static struct curl_slist *append_line(struct curl_slist *fields,
                                      const struct tael_http_header *header)
{
    struct tael_buf line = {0};
    struct curl_slist *more = NULL;
    tael_status status = tael_buf_append(&line, header->name.data, header->name.len);
    if (status == TAEL_OK)
        status = tael_buf_append_text(&line, header->value.len > 0 ? ": " : ";"); /* ";": empty */
    if (status == TAEL_OK)
        status = tael_buf_append(&line, header->value.data, header->value.len);
    if (status == TAEL_OK)
        status = tael_buf_append_char(&line, '\0');
    if (status == TAEL_OK)
        more = curl_slist_append(fields, line.data);
    tael_buf_free(&line);
    return more;
}

/* What libcurl would add by itself and nobody asked for is taken out by a name without a value. */
static tael_status set_fields(struct curl_exchange *exchange, const struct tael_http_call *call)
{
    struct curl_slist *fields = curl_slist_append(NULL, "Expect:");
    if (fields != NULL && !tael_http_call_has(call, "content-type")) {
        struct curl_slist *more = curl_slist_append(fields, "Content-Type:");
        if (more == NULL)
            curl_slist_free_all(fields);
        fields = more;
    }
    for (size_t i = 0; fields != NULL && i < call->header_count; i++) {
        struct curl_slist *more = append_line(fields, &call->headers[i]);
        if (more == NULL)
            curl_slist_free_all(fields);
        fields = more;
    }
    exchange->fields = fields;
    return fields != NULL ? TAEL_OK : TAEL_ENOMEM;
}

/* Remembers the first failure of a row of settings. */
#define SET(code, easy, option, value)                                                             \
    do {                                                                                           \
        if ((code) == CURLE_OK)                                                                    \
            (code) = curl_easy_setopt((easy), (option), (value));                                  \
    } while (0)

static CURLcode set_policy(CURL *easy, const struct tael_http_call *call)
{
    CURLcode code = CURLE_OK;
    SET(code, easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(code, easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(code, easy, CURLOPT_PROXY, "");
    SET(code, easy, CURLOPT_NOPROXY, "*");
    SET(code, easy, CURLOPT_NOSIGNAL, 1L);
    SET(code, easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(code, easy, CURLOPT_PATH_AS_IS, 1L); /* signatures are made over what we were given */
    SET(code, easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(code, easy, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(code, easy, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(code, easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
    SET(code, easy, CURLOPT_MAXAGE_CONN, (long)TAEL_HTTP_REUSE_MS / 1000);
    SET(code, easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver's thread on the loop */
    SET(code, easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    SET(code, easy, CURLOPT_CONNECTTIMEOUT_MS, (long)call->connect_ms);
    if (call->unix_path != NULL)
        SET(code, easy, CURLOPT_UNIX_SOCKET_PATH, call->unix_path);
    if (call->ca_file != NULL) {
        SET(code, easy, CURLOPT_CAINFO, call->ca_file);
        SET(code, easy, CURLOPT_CAPATH, NULL); /* this file and nothing else */
    }
    return code;
}

static CURLcode set_message(struct curl_exchange *exchange, const struct tael_http_call *call)
{
    CURL *easy = exchange->easy;
    CURLcode code = CURLE_OK;
    bool head = strcmp(call->method, "HEAD") == 0;
    bool wants_body = call->body.len > 0 || strcmp(call->method, "POST") == 0 ||
                      strcmp(call->method, "PUT") == 0 || strcmp(call->method, "PATCH") == 0;
    SET(code, easy, CURLOPT_URL, call->url);
    if (wants_body) {
        SET(code, easy, CURLOPT_POST, 1L);
        SET(code, easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        SET(code, easy, CURLOPT_COPYPOSTFIELDS, call->body.len > 0 ? call->body.data : "");
    } else {
        SET(code, easy, head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
    }
    SET(code, easy, CURLOPT_CUSTOMREQUEST, call->method);
    SET(code, easy, CURLOPT_HTTPHEADER, exchange->fields);
    if (!head) /* there it would speak of a body that does not come */
        SET(code, easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->max_bytes);
    SET(code, easy, CURLOPT_HEADERFUNCTION, on_field);
    SET(code, easy, CURLOPT_HEADERDATA, exchange);
    SET(code, easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(code, easy, CURLOPT_WRITEDATA, exchange);
    SET(code, easy, CURLOPT_PREREQFUNCTION, on_request);
    SET(code, easy, CURLOPT_PREREQDATA, exchange);
    SET(code, easy, CURLOPT_PRIVATE, exchange);
    return code;
}

static tael_status status_of(CURLcode code)
{
    if (code == CURLE_OK)
        return TAEL_OK;
    return code == CURLE_OUT_OF_MEMORY ? TAEL_ENOMEM : TAEL_EINVAL;
}

static tael_status curl_client_start(struct tael_http_client *base,
                                     const struct tael_http_call *call, tael_http_done_fn done,
                                     void *user, struct tael_http_exchange **out)
{
    struct curl_client *client = (struct curl_client *)base;
    tael_status status = TAEL_ENOMEM;
    struct curl_exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL)
        return TAEL_ENOMEM;
    exchange->base.client = base;
    exchange->done = done;
    exchange->user = user;
    exchange->reply.body.max = call->max_bytes;
    exchange->safe = tael_http_is_safe(call->method);
    exchange->started_us = tael_mono_us(base->loop->world);
    exchange->easy = client->spares > 0 ? client->spare[--client->spares] : curl_easy_init();
    if (exchange->easy == NULL)
        goto free_exchange;
    status = set_fields(exchange, call);
    if (status == TAEL_OK)
        status = status_of(set_policy(exchange->easy, call));
    if (status == TAEL_OK)
        status = status_of(set_message(exchange, call));
    if (status == TAEL_OK && curl_multi_add_handle(client->multi, exchange->easy) != CURLM_OK)
        status = TAEL_ENOMEM;
    if (status != TAEL_OK)
        goto keep_handle;
    exchange->next = client->exchanges;
    exchange->place = &client->exchanges;
    if (exchange->next != NULL)
        exchange->next->place = &exchange->next;
    client->exchanges = exchange;
    *out = &exchange->base;
    return TAEL_OK;

keep_handle:
    keep_easy(client, exchange->easy);
free_exchange:
    exchange_free(exchange);
    return status;
}

static void curl_exchange_cancel(struct tael_http_exchange *base)
{
    struct curl_exchange *exchange = (struct curl_exchange *)base;
    if (exchange->told)
        return;
    detach(exchange);
    exchange_free(exchange);
}

static const struct tael_http_client_ops curl_ops = {
    .start = curl_client_start, .cancel = curl_exchange_cancel, .free = curl_client_free};

tael_status tael_http_client_curl_new(struct tael_http_client **out, struct tael_loop *loop)
{
    tael_status status = TAEL_ENOMEM;
    struct curl_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return TAEL_ENOMEM;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        status = TAEL_EINTERNAL;
        goto free_client;
    }
    client->multi = curl_multi_init();
    if (client->multi == NULL)
        goto cleanup_global;
    client->base = (struct tael_http_client){&curl_ops, loop};
    client->uv = tael_loop_uv(loop);
    uv_timer_init(client->uv, &client->timer); /* cannot fail */
    client->timer.data = client;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)TAEL_HTTP_REUSE_MAX);
    *out = &client->base;
    return TAEL_OK;

cleanup_global:
    curl_global_cleanup();
free_client:
    free(client);
    return status;
}
