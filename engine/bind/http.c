/* http.c - tael.http: requests to others, one at a time for a task. Contract:
 * lua/tael/meta/http.lua.
 *
 * The request is a userdata on the coroutine's stack. Its callback copies the answer into plain
 * memory, since Lua is not entered from the loop; the continuation makes the table and frees the
 * copy. A task that is cancelled meanwhile cancels the exchange.
 */
#include <stdlib.h>

#include <lauxlib.h>

#include "base/form.h"
#include "bind/bind.h"
#include "bind/json.h"
#include "net/http_client.h"

enum {
    HEADERS_MAX = 64,
    TIMEOUT_MAX_MS = 10 * 60 * 1000,
    BYTES_MAX = 64 * 1024 * 1024,
    ENCODED_MAX = 16 * 1024 * 1024, /* bytes of form= as text */
    POOL_NAME_MAX = 255,
};

/* ---- the answer ---- */

struct answer { /* one block of memory: this, the headers, then the bytes of all texts */
    enum tael_http_failure failure;
    bool sent;
    int status;
    int64_t elapsed_us;
    struct tael_span detail, body;
    size_t header_count;
    struct tael_http_header headers[];
};

static struct tael_span copy_span(char **to, struct tael_span span)
{
    struct tael_span copy = {*to, span.len};
    if (span.len > 0)
        memcpy(*to, span.data, span.len);
    *to += span.len;
    return copy;
}

static struct answer *copy_answer(const struct tael_http_result *result)
{
    size_t size = sizeof(struct answer) + result->header_count * sizeof(struct tael_http_header);
    struct tael_span detail = tael_span_of(result->detail);
    size_t bytes = detail.len + result->body.len;
    for (size_t i = 0; i < result->header_count; i++)
        bytes += result->headers[i].name.len + result->headers[i].value.len;
    struct answer *answer = malloc(size + bytes);
    if (answer == NULL)
        return NULL;
    char *to = (char *)answer + size;
    *answer = (struct answer){
        .failure = result->failure,
        .sent = result->sent,
        .status = result->status,
        .elapsed_us = result->elapsed_us,
        .detail = copy_span(&to, detail),
        .body = copy_span(&to, result->body),
        .header_count = result->header_count,
    };
    for (size_t i = 0; i < result->header_count; i++) {
        answer->headers[i].name = copy_span(&to, result->headers[i].name);
        answer->headers[i].value = copy_span(&to, result->headers[i].value);
    }
    return answer;
}

struct exchange {
    struct tael_task *task;
    struct tael_http_exchange *handle; /* NULL: nothing under way */
    struct answer *answer;             /* NULL: not there yet, or did not fit into memory */
};

static void exchange_done(void *user, const struct tael_http_result *result)
{
    struct exchange *exchange = user;
    exchange->handle = NULL;
    exchange->answer = copy_answer(result);
    tael_task_wake(exchange->task);
}

static void exchange_undo(void *op)
{
    struct exchange *exchange = op;
    struct tael_http_exchange *handle = exchange->handle;
    exchange->handle = NULL;
    if (handle != NULL)
        tael_http_exchange_cancel(handle);
}

static int exchange_close(lua_State *L)
{
    struct exchange *exchange = lua_touserdata(L, 1);
    exchange_undo(exchange);
    free(exchange->answer);
    exchange->answer = NULL;
    return 0;
}

static void set_text(lua_State *L, const char *name, struct tael_span text)
{
    lua_pushlstring(L, text.len > 0 ? text.data : "", text.len);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* Repeated headers are joined, as a list's elements may be. */
static void push_headers(lua_State *L, const struct answer *answer)
{
    lua_createtable(L, 0, (int)answer->header_count);
    for (size_t i = 0; i < answer->header_count; i++) {
        struct tael_span name = answer->headers[i].name;
        struct tael_span value = answer->headers[i].value;
        lua_pushlstring(L, name.data, name.len);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TSTRING) {
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, value.data, value.len);
            lua_concat(L, 3);
        } else {
            lua_pop(L, 1);
            lua_pushlstring(L, value.data, value.len);
        }
        lua_rawset(L, -3);
    }
}

static int push_failure(lua_State *L, const struct answer *answer)
{
    static const struct {
        const char *code, *message;
    } texts[] = {
        [TAEL_HTTP_OK] = {"ok", "no failure"},
        [TAEL_HTTP_TIMEOUT] = {"timeout", "no answer in time"},
        [TAEL_HTTP_CONNECT] = {"connect", "no connection"},
        [TAEL_HTTP_TLS] = {"tls", "the peer's certificate or TLS was refused"},
        [TAEL_HTTP_TOO_LARGE] = {"too_large", "the answer is too large"},
        [TAEL_HTTP_RESET] = {"reset", "connection lost, or an answer that is not HTTP"},
        [TAEL_HTTP_ADDRESS] = {"address", "not an address that may be asked"},
    };
    tael_bind_fail(L, texts[answer->failure].code, texts[answer->failure].message);
    if (answer->detail.len > 0) {
        lua_pushfstring(L, "%s: ", texts[answer->failure].message);
        lua_pushlstring(L, answer->detail.data, answer->detail.len);
        lua_concat(L, 2);
        lua_setfield(L, -2, "message");
    }
    lua_pushboolean(L, answer->sent);
    lua_setfield(L, -2, "sent");
    return 2;
}

static int request_continue(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct exchange *exchange = lua_touserdata(L, (int)context);
    struct answer *answer = exchange->answer;
    if (answer == NULL)
        return luaL_error(L, "http.request: out of memory");
    int count = 1;
    if (answer->failure != TAEL_HTTP_OK) {
        count = push_failure(L, answer);
    } else {
        lua_createtable(L, 0, 4);
        set_integer(L, "status", answer->status);
        set_integer(L, "ms", answer->elapsed_us / 1000);
        set_text(L, "raw", answer->body);
        push_headers(L, answer);
        lua_setfield(L, -2, "headers");
    }
    free(answer); /* had a push raised: __gc does it */
    exchange->answer = NULL;
    return count;
}

/* ---- the request ---- */

static bool is_token(struct tael_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alphanumeric && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return name.len > 0;
}

static bool is_value(struct tael_span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] == '\r' || value.data[i] == '\n' || value.data[i] == '\0')
            return false;
    return true;
}

static bool same_name(struct tael_span name, const char *word) /* word in lower case */
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != word[i])
            return false; /* word's NUL ends it: no name holds one */
    }
    return word[name.len] == '\0';
}

/* Where the message ends and whom it goes to is not the caller's to say (threats R49). */
static bool is_framing(struct tael_span name)
{
    static const char *const names[] = {
        "connection", "content-length",    "expect",  "host", "keep-alive", "te",
        "trailer",    "transfer-encoding", "upgrade",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (same_name(name, names[i]))
            return true;
    return false;
}

/* By name, in byte order; for pairs of forms too. */
static int compare_headers(const void *left, const void *right)
{
    const struct tael_http_header *a = left;
    const struct tael_http_header *b = right;
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = memcmp(a->name.data, b->name.data, len);
    return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

struct request {
    struct tael_http_call call;
    struct tael_http_header headers[HEADERS_MAX];
};

static void check_header(lua_State *L, struct tael_http_header *header)
{
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "http.request: headers are strings by name");
    header->name.data = lua_tolstring(L, -2, &header->name.len);
    header->value.data = lua_tolstring(L, -1, &header->value.len);
    if (!is_token(header->name) || !is_value(header->value) || is_framing(header->name))
        luaL_error(L, "http.request: header not allowed");
}

/* The table at options.headers holds the strings. In byte order: one history, one request. */
static void check_headers(lua_State *L, int options, struct request *request)
{
    if (lua_getfield(L, options, "headers") == LUA_TNIL)
        return;
    luaL_checktype(L, -1, LUA_TTABLE);
    int headers = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, headers) != 0; lua_pop(L, 1)) {
        if (request->call.header_count == HEADERS_MAX - 1) /* one may be added */
            luaL_error(L, "http.request: too many headers");
        check_header(L, &request->headers[request->call.header_count++]);
    }
    qsort(request->headers, request->call.header_count, sizeof(request->headers[0]),
          compare_headers);
}

static void add_content_type(struct request *request, const char *value)
{
    struct tael_http_call *call = &request->call;
    for (size_t i = 0; i < call->header_count; i++)
        if (same_name(request->headers[i].name, "content-type"))
            return;
    request->headers[call->header_count++] =
        (struct tael_http_header){tael_span_of("content-type"), tael_span_of(value)};
}

/* Adds text percent-encoded. */
static void add_encoded(lua_State *L, luaL_Buffer *buffer, struct tael_span text)
{
    if (text.len > ENCODED_MAX / 3)
        luaL_error(L, "http.request: form too large");
    char *to = luaL_prepbuffsize(buffer, text.len * 3 + 1);
    luaL_addsize(buffer, tael_percent_encode(to, text.data, text.len));
}

/* The pairs of the form at index: strings by name. They stay in the table. */
static size_t check_pairs(lua_State *L, int index, struct tael_http_header *pairs, size_t max)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (count == max || lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "http.request: form is at most %d strings by name", (int)max);
        pairs[count].name.data = lua_tolstring(L, -2, &pairs[count].name.len);
        pairs[count].value.data = lua_tolstring(L, -1, &pairs[count].value.len);
        count++;
    }
    if (count > 1)
        qsort(pairs, count, sizeof(*pairs), compare_headers);
    return count;
}

/* Pushes a=1&b=%20 for the table at index, names in byte order. */
static void push_form(lua_State *L, int index)
{
    enum { PAIRS_MAX = 200 };
    struct tael_http_header pairs[PAIRS_MAX];
    luaL_Buffer buffer;
    luaL_checktype(L, index, LUA_TTABLE);
    size_t count = check_pairs(L, index, pairs, PAIRS_MAX);
    luaL_buffinit(L, &buffer);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            luaL_addchar(&buffer, '&');
        add_encoded(L, &buffer, pairs[i].name);
        luaL_addchar(&buffer, '=');
        add_encoded(L, &buffer, pairs[i].value);
    }
    luaL_pushresult(&buffer);
}

/* The text on top of the stack is the body. */
static void set_body(lua_State *L, struct request *request, const char *content_type)
{
    struct tael_span *body = &request->call.body;
    if (body->data != NULL)
        luaL_error(L, "http.request: more than one of body, form and json");
    luaL_checktype(L, -1, LUA_TSTRING);
    body->data = lua_tolstring(L, -1, &body->len);
    if (content_type != NULL)
        add_content_type(request, content_type);
}

/* At most one of body, form and json; its text is left on the stack. */
static void check_body(lua_State *L, int options, struct request *request)
{
    if (lua_getfield(L, options, "body") != LUA_TNIL)
        set_body(L, request, NULL);
    if (lua_getfield(L, options, "form") != LUA_TNIL) {
        push_form(L, lua_gettop(L));
        set_body(L, request, "application/x-www-form-urlencoded");
    }
    if (lua_getfield(L, options, "json") != LUA_TNIL) {
        tael_json_push_text(L, lua_gettop(L));
        set_body(L, request, "application/json");
    }
}

static int64_t check_integer(lua_State *L, int options, const char *name, int64_t max)
{
    int64_t value = 0;
    if (lua_getfield(L, options, name) != LUA_TNIL) {
        value = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
        if (value < 1 || value > max)
            luaL_error(L, "http.request: %s out of range", name);
    }
    lua_pop(L, 1);
    return value;
}

/* A text without NUL, left on the stack; NULL: not given. */
static const char *check_string(lua_State *L, int options, const char *name, const char *otherwise)
{
    size_t len;
    if (lua_getfield(L, options, name) == LUA_TNIL)
        return otherwise;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    if (text == NULL || strlen(text) != len)
        luaL_error(L, "http.request: %s is not a text", name);
    return text;
}

/* A point on the clock of time.monotonic, or 0; one in the past stays one. */
static int64_t check_deadline(lua_State *L, int options)
{
    int64_t deadline_us = 0;
    if (lua_getfield(L, options, "deadline_ms") != LUA_TNIL) {
        int64_t ms = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
        if (ms < 0 || ms > INT64_MAX / 1000)
            luaL_error(L, "http.request: deadline_ms out of range");
        deadline_us = ms > 0 ? ms * 1000 : 1;
    }
    lua_pop(L, 1);
    return deadline_us;
}

static enum tael_http_addresses check_addresses(lua_State *L, int options)
{
    const char *word = check_string(L, options, "addresses", NULL);
    if (word == NULL)
        return TAEL_HTTP_ADDRESSES;
    if (strcmp(word, "public") == 0)
        return TAEL_HTTP_ADDRESSES_PUBLIC;
    if (strcmp(word, "any") != 0)
        luaL_error(L, "http.request: addresses are \"public\" or \"any\"");
    return TAEL_HTTP_ADDRESSES_ANY;
}

/* The table tls = {ca=, cert=, key=}; its texts stay in it. */
static void check_tls(lua_State *L, int options, struct tael_http_call *call)
{
    if (lua_getfield(L, options, "tls") == LUA_TNIL)
        return;
    luaL_checktype(L, -1, LUA_TTABLE);
    int tls = lua_gettop(L);
    call->ca_file = check_string(L, tls, "ca", NULL);
    call->cert_file = check_string(L, tls, "cert", NULL);
    call->key_file = check_string(L, tls, "key", NULL);
    if ((call->cert_file == NULL) != (call->key_file == NULL))
        luaL_error(L, "http.request: tls.cert and tls.key belong together");
}

static void check_names(lua_State *L, int options)
{
    static const char *const names[] = {"addresses",  "body", "connect_ms", "deadline_ms", "form",
                                        "headers",    "json", "max_bytes",  "method",      "pool",
                                        "timeout_ms", "tls",  "unix",       "url"};
    for (lua_pushnil(L); lua_next(L, options) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        bool known = false;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            known = known || strcmp(name, names[i]) == 0;
        if (!known)
            luaL_error(L, "http.request: bad option '%s'", name);
    }
}

/* Fills *request from the table at index 1. What it points to stays on the stack. */
static void check_request(lua_State *L, struct request *request)
{
    struct tael_http_call *call = &request->call;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstack(L, LUA_MINSTACK, "http.request");
    check_names(L, 1);
    call->timeout_ms = check_integer(L, 1, "timeout_ms", TIMEOUT_MAX_MS);
    call->connect_ms = check_integer(L, 1, "connect_ms", TIMEOUT_MAX_MS);
    call->max_bytes = (size_t)check_integer(L, 1, "max_bytes", BYTES_MAX);
    call->deadline_us = check_deadline(L, 1);
    call->url = check_string(L, 1, "url", NULL);
    call->unix_path = check_string(L, 1, "unix", NULL);
    call->addresses = check_addresses(L, 1);
    call->pool = check_string(L, 1, "pool", NULL);
    if (call->pool != NULL && (call->pool[0] == '\0' || strlen(call->pool) > POOL_NAME_MAX))
        luaL_error(L, "http.request: pool is a name of 1 to %d bytes", POOL_NAME_MAX);
    check_tls(L, 1, call);
    check_headers(L, 1, request);
    check_body(L, 1, request);
    call->headers = request->headers;
    call->method = check_string(L, 1, "method", call->body.data != NULL ? "POST" : "GET");
    if (call->url == NULL || !is_token(tael_span_of(call->method)))
        luaL_error(L, "http.request: a url and a method are needed");
}

/* http.request{method=, url=, …} -> {status=, headers=, raw=, ms=} | nil, err */
static int http_request(lua_State *L)
{
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, "http.request");
    struct tael_http_client *client = tael_host_check(L, "http.request")->client;
    struct request request = {.call = {.header_count = 0}};
    lua_settop(L, 1);
    check_request(L, &request);
    if (client == NULL)
        return luaL_error(L, "http.request: this engine has no client");
    struct exchange *exchange = lua_newuserdatauv(L, sizeof(*exchange), 0);
    *exchange = (struct exchange){.task = task};
    luaL_setmetatable(L, "tael.http.exchange");
    tael_status rc =
        tael_http_client_start(client, &request.call, exchange_done, exchange, &exchange->handle);
    if (rc == TAEL_EINVAL)
        return luaL_error(L, "http.request: not a url that can be asked");
    if (rc == TAEL_ENOMEM)
        return luaL_error(L, "http.request: out of memory");
    if (rc != TAEL_OK)
        return push_failure(L, &(struct answer){.failure = TAEL_HTTP_CONNECT});
    tael_task_wait(task, exchange_undo, exchange);
    return lua_yieldk(L, 0, lua_gettop(L), request_continue);
}

int tael_open_http(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"request", http_request},
        {NULL, NULL},
    };
    luaL_newmetatable(L, "tael.http.exchange");
    lua_pushcfunction(L, exchange_close);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newlib(L, functions);
    return 1;
}
