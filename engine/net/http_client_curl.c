/* http_client_curl.c - the HTTP client of the real world: libcurl's multi interface on a libuv
 * loop.
 *
 * An exchange owns its easy handle while it runs; afterwards the handle is kept for the next one.
 * The host is looked up by us (resolve.h) and libcurl gets the addresses, so that what was checked
 * is what is connected to. All on the loop's thread. libcurl is loaded with the first exchange;
 * where it cannot be, that one fails before it begins, and the next tries again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/http_curl.h"
#include "net/tls_files.h"
#include "net/world_uv.h"

/* ---- the end of an exchange ---- */

static void keep_easy(struct tael_curl_client *client, CURL *easy)
{
    if (client->base.freed || client->spares == TAEL_CURL_SPARE_MAX) {
        client->curl.easy_cleanup(easy);
        return;
    }
    /* a reset leaves it a list that it has not come to read, and that is freed now */
    client->curl.easy_setopt(easy, CURLOPT_RESOLVE, NULL);
    client->curl.easy_reset(easy);
    client->spare[client->spares++] = easy;
}

/* When the handle that was told of them has been reset. */
static void drop_lists(struct tael_curl_exchange *exchange)
{
    if (exchange->curl == NULL)
        return;
    exchange->curl->slist_free_all(exchange->fields);
    exchange->curl->slist_free_all(exchange->resolved);
    exchange->fields = exchange->resolved = NULL;
}

static void curl_stop(struct tael_http_exchange *base)
{
    struct tael_curl_exchange *exchange = (struct tael_curl_exchange *)base;
    struct tael_curl_client *client = (struct tael_curl_client *)base->client;
    if (exchange->lookup != NULL)
        tael_lookup_cancel(exchange->lookup);
    exchange->lookup = NULL;
    if (exchange->added)
        exchange->curl->multi_remove_handle(((struct tael_curl_group *)base->pool->group)->multi,
                                            exchange->easy);
    exchange->added = false;
    if (exchange->easy != NULL)
        keep_easy(client, exchange->easy);
    exchange->easy = NULL;
    drop_lists(exchange); /* afterwards the client may go, and libcurl's functions with it */
}

static void curl_free_exchange(struct tael_http_exchange *base)
{
    struct tael_curl_exchange *exchange = (struct tael_curl_exchange *)base;
    free(exchange->key_file);
    free(exchange);
}

static enum tael_http_failure failure_of(CURLcode code)
{
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

void tael_curl_ended(struct tael_curl_exchange *exchange, CURLcode code)
{
    long status = 0;
    enum tael_http_failure failure = failure_of(code);
    curl_socket_t socket = CURL_SOCKET_BAD;
    exchange->curl->easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK) { /* otherwise it may name the connection of an earlier exchange */
        exchange->curl->easy_getinfo(exchange->easy, CURLINFO_ACTIVESOCKET, &socket);
        tael_curl_socket_rests((struct tael_curl_group *)exchange->base.pool->group, socket);
    }
    if (exchange->base.over) /* it was refused before libcurl gave up */
        failure = exchange->base.failure;
    else if (failure != TAEL_HTTP_OK && exchange->error[0] != '\0')
        tael_http_exchange_fail(&exchange->base, failure, "%s", exchange->error);
    tael_http_exchange_end(&exchange->base, failure, (int)status);
}

/* ---- beginning ---- */

/* Gives the exchange to libcurl, which has what is left of the time for connecting. */
static tael_status add(struct tael_curl_exchange *exchange)
{
    struct tael_http_exchange *base = &exchange->base;
    struct tael_curl_group *group = (struct tael_curl_group *)base->pool->group;
    tael_curl_end_dead(group);
    int64_t left = base->connect_by_us - tael_mono_us(base->client->loop->world);
    tael_status status = tael_curl_set_connect_ms(exchange, (left + 999) / 1000);
    if (status == TAEL_OK &&
        exchange->curl->multi_add_handle(group->multi, exchange->easy) != CURLM_OK)
        status = TAEL_ENOMEM;
    if (status != TAEL_OK)
        return TAEL_ENOMEM;
    exchange->added = true;
    tael_http_exchange_wait(base, false);
    return TAEL_OK;
}

/* False: it was refused. */
static bool check(struct tael_curl_exchange *exchange, const struct tael_address *address)
{
    char text[TAEL_ADDRESS_TEXT];
    const char *why = exchange->public ? tael_address_refusal(address) : NULL;
    if (why == NULL)
        return true;
    tael_address_format(address, text);
    if (exchange->host.is_address)
        tael_http_exchange_fail(&exchange->base, TAEL_HTTP_ADDRESS, "%s is a %s address", text,
                                why);
    else
        tael_http_exchange_fail(&exchange->base, TAEL_HTTP_ADDRESS, "%s is at %s, a %s address",
                                exchange->host.name, text, why);
    return false;
}

static tael_status add_with(struct tael_curl_exchange *exchange,
                            const struct tael_addresses *addresses)
{
    for (size_t i = 0; i < addresses->count; i++) {
        if (!check(exchange, &addresses->list[i]))
            return TAEL_OK;
    }
    tael_status status = tael_curl_set_addresses(exchange, addresses);
    return status == TAEL_OK ? add(exchange) : TAEL_ENOMEM;
}

static void on_resolved(void *user, const struct tael_addresses *addresses, const char *why)
{
    struct tael_curl_exchange *exchange = user;
    exchange->lookup = NULL;
    if (addresses == NULL)
        tael_http_exchange_fail(&exchange->base, TAEL_HTTP_CONNECT, "%s: %s", exchange->host.name,
                                why);
    else if (add_with(exchange, addresses) != TAEL_OK)
        tael_http_exchange_fail(&exchange->base, TAEL_HTTP_CONNECT, "out of memory");
}

static tael_status curl_begin(struct tael_http_exchange *base)
{
    struct tael_curl_exchange *exchange = (struct tael_curl_exchange *)base;
    struct tael_curl_client *client = (struct tael_curl_client *)base->client;
    tael_error err = {.message = ""};
    if (exchange->curl == NULL) {
        tael_http_exchange_fail(base, TAEL_HTTP_CONNECT, "%s", client->missing);
        return TAEL_OK;
    }
    if (exchange->key_file != NULL && tael_tls_key_check(exchange->key_file, &err) != TAEL_OK) {
        tael_http_exchange_fail(base, TAEL_HTTP_TLS, "%s", err.message);
        return TAEL_OK;
    }
    if (exchange->local)
        return add(exchange);
    if (exchange->host.is_address)
        return check(exchange, &exchange->host.address) ? add(exchange) : TAEL_OK;
    const struct tael_addresses *known = tael_resolver_known(client->resolver, exchange->host.name);
    if (known != NULL)
        return add_with(exchange, known);
    tael_http_exchange_wait(base, true);
    return tael_resolver_ask(client->resolver, exchange->host.name, on_resolved, exchange,
                             &exchange->lookup);
}

/* Takes a handle and tells it everything about the call. */
static tael_status prepare(struct tael_curl_exchange *exchange, const struct tael_http_call *call,
                           struct tael_curl_group *group)
{
    struct tael_curl_client *client = (struct tael_curl_client *)group->base.client;
    exchange->curl = group->curl;
    exchange->easy =
        client->spares > 0 ? client->spare[--client->spares] : exchange->curl->easy_init();
    if (exchange->easy == NULL)
        return TAEL_ENOMEM;
    tael_status status = tael_curl_set_call(exchange, call, group);
    if (status != TAEL_OK) {
        keep_easy(client, exchange->easy);
        drop_lists(exchange);
    }
    return status;
}

static tael_status curl_make(struct tael_http_group *base, const struct tael_http_call *call,
                             const struct tael_url_host *host, struct tael_http_exchange **out)
{
    struct tael_curl_group *group = (struct tael_curl_group *)base;
    struct tael_curl_exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL)
        return TAEL_ENOMEM;
    exchange->host = *host;
    exchange->port = host->port != 0 ? host->port : tael_http_url_is_tls(call->url) ? 443 : 80;
    exchange->local = call->unix_path != NULL;
    exchange->public = base->public;
    exchange->safe = tael_http_is_safe(call->method);
    if (call->key_file != NULL)
        exchange->key_file = strdup(call->key_file);
    tael_status status = TAEL_ENOMEM;
    if ((call->key_file == NULL) == (exchange->key_file == NULL))
        status = tael_curl_group_ready(group);
    if (status == TAEL_OK)
        status = prepare(exchange, call, group);
    else if (status == TAEL_EINTERNAL)
        status = TAEL_OK; /* it is made, to be told why */
    if (status != TAEL_OK) {
        curl_free_exchange(&exchange->base);
        return status;
    }
    *out = &exchange->base;
    return TAEL_OK;
}

/* ---- life of the client ---- */

tael_status tael_http_client_about(char *out, size_t size)
{
    struct tael_curl_library curl = {.global_init = NULL};
    tael_status status = tael_curl_library_open(&curl, out, size);
    if (status == TAEL_OK)
        snprintf(out, size, "%s", curl.version_info(CURLVERSION_NOW)->version);
    tael_curl_library_close(&curl);
    return status;
}

void tael_curl_destroy(struct tael_curl_client *client)
{
    while (client->base.groups != NULL)
        tael_http_group_destroy(client->base.groups);
    while (client->spares > 0)
        client->curl.easy_cleanup(client->spare[--client->spares]);
    tael_curl_library_close(&client->curl);
    tael_resolver_free(client->resolver);
    tael_curl_trust_free(&client->trust);
    free(client->base.ca_file);
    free(client);
}

static void curl_client_free(struct tael_http_client *base)
{
    struct tael_curl_client *client = (struct tael_curl_client *)base;
    if (!client->stepping)
        tael_curl_destroy(client);
}

static const struct tael_http_client_ops curl_ops = {
    .group_new = tael_curl_group_new,
    .group_free = tael_curl_group_free,
    .make = curl_make,
    .begin = curl_begin,
    .stop = curl_stop,
    .free_exchange = curl_free_exchange,
    .free = curl_client_free,
};

tael_status tael_http_client_curl_new(struct tael_http_client **out, struct tael_loop *loop,
                                      const struct tael_http_client_options *options)
{
    struct tael_curl_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return TAEL_ENOMEM;
    tael_status status =
        tael_resolver_new(&client->resolver, loop, options->resolve, options->resolve_user);
    if (status != TAEL_OK) {
        free(client);
        return status;
    }
    client->base.ops = &curl_ops;
    client->base.loop = loop;
    client->uv = tael_loop_uv(loop);
    *out = &client->base;
    return TAEL_OK;
}
