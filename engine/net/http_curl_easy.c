/* http_curl_easy.c - what libcurl is told about one request, and what it calls for it.
 *
 * Invariants:
 * 1. A request that may have changed something is never sent twice: libcurl repeats one on a new
 *    connection when a reused one died under it; on_request stops that unless the method is safe.
 * 2. sent is false only if on_request was never reached: no connection, so no byte.
 * 3. No socket of a public exchange goes to an address that is refused, whatever libcurl believes
 *    the host to be: on_open looks at the very address that will be connected to.
 */
#include <stdlib.h>

#include <sys/socket.h>
#include <unistd.h>

#include "net/http_curl.h"
#include "net/http_head.h"

/* ---- what libcurl calls for an exchange ---- */

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct tael_curl_exchange *exchange = user;
    struct tael_address address;
    if (purpose != CURLSOCKTYPE_IPCXN || exchange->base.over)
        return CURL_SOCKET_BAD;
    tael_curl_moved(exchange);
    if (exchange->public) {
        const char *why = "not an internet address";
        if (tael_address_of_socket(&address, &to->addr))
            why = tael_address_refusal(&address);
        if (why != NULL) {
            tael_http_exchange_fail(&exchange->base, TAEL_HTTP_ADDRESS, "%s is at a %s address",
                                    exchange->host.name, why);
            return CURL_SOCKET_BAD;
        }
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static int on_close(void *user, curl_socket_t socket)
{
    tael_curl_socket_gone(user, socket);
    return close(socket);
}

static int on_request(void *user, char *remote, char *local, int remote_port, int local_port)
{
    struct tael_curl_exchange *exchange = user;
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    exchange->requests++;
    exchange->base.sent = true;
    return exchange->requests == 1 || exchange->safe ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static size_t on_field(char *data, size_t size, size_t count, void *user)
{
    struct tael_curl_exchange *exchange = user;
    struct tael_span line = {data, size * count};
    if (exchange->body_begun)
        return line.len;
    if (line.len >= 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        tael_http_reply_restart(&exchange->base.reply);
        return line.len;
    }
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL)
        return line.len; /* the empty line */
    struct tael_span name = {line.data, (size_t)(colon - line.data)};
    struct tael_span value = {colon + 1, line.len - name.len - 1};
    if (!tael_http_is_token(name))
        return line.len; /* a folded line or worse: nothing anybody may rely on */
    return tael_http_reply_field(&exchange->base.reply, name, value) == TAEL_OK ? line.len : 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct tael_curl_exchange *exchange = user;
    size_t len = size * count;
    exchange->body_begun = true;
    return tael_http_reply_body(&exchange->base.reply, data, len) == TAEL_OK ? len : 0;
}

/* ---- header fields ---- */

static struct curl_slist *append_line(const struct tael_curl_library *curl,
                                      struct curl_slist *fields,
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
        more = curl->slist_append(fields, line.data);
    tael_buf_free(&line);
    return more;
}

/* What libcurl would add by itself and nobody asked for is taken out by a name without a value. */
static tael_status set_fields(struct tael_curl_exchange *exchange,
                              const struct tael_http_call *call)
{
    const struct tael_curl_library *curl = exchange->curl;
    struct curl_slist *fields = curl->slist_append(NULL, "Expect:");
    if (fields != NULL && !tael_http_call_has(call, "content-type")) {
        struct curl_slist *more = curl->slist_append(fields, "Content-Type:");
        if (more == NULL)
            curl->slist_free_all(fields);
        fields = more;
    }
    for (size_t i = 0; fields != NULL && i < call->header_count; i++) {
        struct curl_slist *more = append_line(curl, fields, &call->headers[i]);
        if (more == NULL)
            curl->slist_free_all(fields);
        fields = more;
    }
    exchange->fields = fields;
    return fields != NULL ? TAEL_OK : TAEL_ENOMEM;
}

/* ---- settings ---- */

/* Remembers the first failure of a row of settings. */
#define SET(code, exchange, option, value)                                                         \
    do {                                                                                           \
        if ((code) == CURLE_OK)                                                                    \
            (code) = (exchange)->curl->easy_setopt((exchange)->easy, (option), (value));           \
    } while (0)

static tael_status status_of(CURLcode code)
{
    if (code == CURLE_OK)
        return TAEL_OK;
    return code == CURLE_OUT_OF_MEMORY ? TAEL_ENOMEM : TAEL_EINVAL;
}

static CURLcode set_policy(struct tael_curl_exchange *exchange, const struct tael_http_call *call,
                           struct tael_curl_group *group)
{
    CURLcode code = CURLE_OK;
    SET(code, exchange, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(code, exchange, CURLOPT_FOLLOWLOCATION, 0L);
    SET(code, exchange, CURLOPT_PROXY, "");
    SET(code, exchange, CURLOPT_NOPROXY, "*");
    SET(code, exchange, CURLOPT_NOSIGNAL, 1L);
    SET(code, exchange, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(code, exchange, CURLOPT_PATH_AS_IS, 1L); /* signatures are made over what we were given */
    SET(code, exchange, CURLOPT_MAXAGE_CONN, (long)TAEL_HTTP_REUSE_MS / 1000);
    SET(code, exchange, CURLOPT_QUICK_EXIT, 1L);
    SET(code, exchange, CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(code, exchange, CURLOPT_OPENSOCKETDATA, exchange);
    SET(code, exchange, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(code, exchange, CURLOPT_CLOSESOCKETDATA, group);
    SET(code, exchange, CURLOPT_ERRORBUFFER, exchange->error);
    if (call->unix_path != NULL)
        SET(code, exchange, CURLOPT_UNIX_SOCKET_PATH, call->unix_path);
    return code;
}

static CURLcode set_tls(struct tael_curl_exchange *exchange, const struct tael_http_call *call)
{
    CURLcode code = CURLE_OK;
    SET(code, exchange, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(code, exchange, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(code, exchange, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(code, exchange, CURLOPT_CAINFO, call->ca_file);
    SET(code, exchange, CURLOPT_CAPATH, NULL); /* this file and nothing else */
    if (call->ca_file == NULL) {
        SET(code, exchange, CURLOPT_SSL_CTX_FUNCTION, tael_curl_trust_system);
        SET(code, exchange, CURLOPT_SSL_CTX_DATA, exchange);
    }
    if (call->cert_file != NULL) {
        SET(code, exchange, CURLOPT_SSLCERT, call->cert_file);
        SET(code, exchange, CURLOPT_SSLKEY, call->key_file);
    }
    return code;
}

static CURLcode set_message(struct tael_curl_exchange *exchange, const struct tael_http_call *call)
{
    CURLcode code = CURLE_OK;
    bool head = strcmp(call->method, "HEAD") == 0;
    SET(code, exchange, CURLOPT_URL, call->url);
    if (tael_http_wants_body(call)) {
        SET(code, exchange, CURLOPT_POST, 1L);
        SET(code, exchange, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        SET(code, exchange, CURLOPT_COPYPOSTFIELDS, call->body.len > 0 ? call->body.data : "");
    } else {
        SET(code, exchange, head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
    }
    SET(code, exchange, CURLOPT_CUSTOMREQUEST, call->method);
    SET(code, exchange, CURLOPT_HTTPHEADER, exchange->fields);
    if (!head) /* there it would speak of a body that does not come */
        SET(code, exchange, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->max_bytes);
    SET(code, exchange, CURLOPT_HEADERFUNCTION, on_field);
    SET(code, exchange, CURLOPT_HEADERDATA, exchange);
    SET(code, exchange, CURLOPT_WRITEFUNCTION, on_body);
    SET(code, exchange, CURLOPT_WRITEDATA, exchange);
    SET(code, exchange, CURLOPT_PREREQFUNCTION, on_request);
    SET(code, exchange, CURLOPT_PREREQDATA, exchange);
    SET(code, exchange, CURLOPT_PRIVATE, exchange);
    return code;
}

tael_status tael_curl_set_call(struct tael_curl_exchange *exchange,
                               const struct tael_http_call *call, struct tael_curl_group *group)
{
    tael_status status = set_fields(exchange, call);
    if (status == TAEL_OK)
        status = status_of(set_policy(exchange, call, group));
    if (status == TAEL_OK)
        status = status_of(set_tls(exchange, call));
    if (status == TAEL_OK)
        status = status_of(set_message(exchange, call));
    return status;
}

tael_status tael_curl_set_connect_ms(struct tael_curl_exchange *exchange, int64_t ms)
{
    return status_of(exchange->curl->easy_setopt(exchange->easy, CURLOPT_CONNECTTIMEOUT_MS,
                                                 ms > 0 ? (long)ms : 1L));
}

/* "+": an entry like any other of libcurl's cache; it is set again before it could go stale. */
static tael_status write_addresses(struct tael_buf *out, const struct tael_curl_exchange *exchange,
                                   const struct tael_addresses *addresses)
{
    tael_status status = tael_buf_printf(out, "+%s:%d:", exchange->host.name, exchange->port);
    for (size_t i = 0; status == TAEL_OK && i < addresses->count; i++) {
        char text[TAEL_ADDRESS_TEXT];
        const struct tael_address *address = &addresses->list[i];
        tael_address_format(address, text);
        status = tael_buf_printf(out, address->ip6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "", text);
    }
    return status == TAEL_OK ? tael_buf_append_char(out, '\0') : status;
}

tael_status tael_curl_set_addresses(struct tael_curl_exchange *exchange,
                                    const struct tael_addresses *addresses)
{
    struct tael_buf line = {0};
    tael_status status = write_addresses(&line, exchange, addresses);
    if (status == TAEL_OK) {
        exchange->resolved = exchange->curl->slist_append(NULL, line.data);
        status = exchange->resolved != NULL
                     ? status_of(exchange->curl->easy_setopt(exchange->easy, CURLOPT_RESOLVE,
                                                             exchange->resolved))
                     : TAEL_ENOMEM;
    }
    tael_buf_free(&line);
    return status;
}
