/* http.c - tael.http: requests to others, one at a time for a task. Contract:
 * lua/tael/meta/http.lua.
 *
 * The request is a userdata on the coroutine's stack. Its callback copies the answer into plain
 * memory, since Lua is not entered from the loop; the continuation makes the table and frees the
 * copy. A task that is cancelled meanwhile cancels the exchange.
 */
#include <stdlib.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/http_asked.h"

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
        tael_set_integer(L, "status", answer->status);
        tael_set_integer(L, "ms", answer->elapsed_us / 1000);
        tael_set_span(L, "raw", answer->body);
        push_headers(L, answer);
        lua_setfield(L, -2, "headers");
    }
    free(answer); /* had a push raised: __gc does it */
    exchange->answer = NULL;
    return count;
}

/* http.request{method=, url=, …} -> {status=, headers=, raw=, ms=} | nil, err */
static int http_request(lua_State *L)
{
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, "http.request");
    struct tael_http_client *client = tael_host_check(L, "http.request")->client;
    struct tael_http_asked request = {.call = {.header_count = 0}};
    lua_settop(L, 1);
    tael_http_asked_check(L, &request);
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
