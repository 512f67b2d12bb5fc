/* route_call.c - one call of a route: the request as a table, the handler, its answer.
 *
 * All of it happens in the run's coroutine, where running out of memory is an error like any other;
 * what the answer points to stands on the coroutine until the call ends. The request's headers,
 * method, path and body are made when they are looked at.
 */
#include <lauxlib.h>

#include "base/form.h"
#include "bind/bind.h"
#include "bind/json.h"
#include "bind/proof.h"
#include "bind/route.h"
#include "net/http_head.h"

static const char request_key; /* its address names the requests' metatable in the registry */

/* ---- the request ---- */

static struct tael_route_call *call_of(lua_State *L)
{
    struct tael_run *run = tael_run_here(L);
    return (struct tael_route_call *)((char *)run - offsetof(struct tael_route_call, run));
}

static void push_span(lua_State *L, struct tael_span span)
{
    lua_pushlstring(L, span.len > 0 ? span.data : "", span.len);
}

/* Repeated ones are joined, as RFC 9110 §5.3 allows. */
static void push_headers(lua_State *L, const struct tael_route_call *call)
{
    lua_createtable(L, 0, (int)call->header_count);
    for (size_t i = 0; i < call->header_count; i++) {
        push_span(L, call->headers[i].name);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TNIL) {
            lua_pop(L, 1);
            push_span(L, call->headers[i].value);
        } else {
            lua_pushliteral(L, ", ");
            push_span(L, call->headers[i].value);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
}

/* __index of requests: what was not asked for before, kept from then on. */
static int request_index(lua_State *L)
{
    const struct tael_route_call *call = call_of(L);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    lua_settop(L, 2);
    if (strcmp(name, "headers") == 0)
        push_headers(L, call);
    else if (strcmp(name, "query") == 0 || strcmp(name, "params") == 0)
        lua_newtable(L);
    else if (strcmp(name, "method") == 0)
        push_span(L, call->method);
    else if (strcmp(name, "path") == 0)
        push_span(L, call->path);
    else if (strcmp(name, "body") == 0)
        push_span(L, call->body);
    else
        return 0;
    if (lua_topointer(L, 1) != call->request)
        return luaL_error(L, "this request is over");
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, 1);
    return 1;
}

static void set_request_metatable(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &request_key) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        lua_pushcfunction(L, request_index);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &request_key);
    }
    lua_setmetatable(L, -2);
}

static void set_params(lua_State *L, const struct tael_route_place *place)
{
    lua_createtable(L, 0, (int)place->param_count);
    for (size_t i = 0; i < place->param_count; i++) {
        struct tael_span value = place->values[i];
        char *decoded = lua_newuserdatauv(L, value.len, 0);
        size_t len = 0;
        tael_percent_decode(decoded, &len, value.data, value.len, false); /* was checked */
        push_span(L, place->names[i]);
        lua_pushlstring(L, decoded, len);
        lua_rawset(L, -4);
        lua_pop(L, 1);
    }
    lua_setfield(L, -2, "params");
}

/* False: the query is not well formed. */
static bool set_query(lua_State *L, struct tael_route_call *call)
{
    int request = lua_gettop(L);
    tael_form_push(L, call->query, 0); /* its memory, then map and names, or nil and why not */
    if (lua_isnil(L, -2)) {
        call->refusal = TAEL_ROUTE_REFUSED_QUERY;
        return false;
    }
    lua_pushvalue(L, -2);
    lua_setfield(L, request, "query");
    lua_settop(L, request);
    return true;
}

static bool set_json(lua_State *L, struct tael_route_call *call)
{
    struct tael_json_limits limits = TAEL_JSON_LIMITS_INIT;
    enum tael_json_fault fault = tael_json_push(L, call->body, &limits, &call->refusal_offset);
    if (fault == TAEL_JSON_MEMORY)
        luaL_error(L, "not enough memory");
    if (fault != TAEL_JSON_NONE) {
        call->refusal = TAEL_ROUTE_REFUSED_JSON;
        call->refusal_text = tael_json_fault_text(fault);
        call->refusal_offset++;
        return false;
    }
    lua_setfield(L, -2, "json");
    return true;
}

/* Leaves the request on top; false: it was refused. */
static bool push_request(lua_State *L, struct tael_route_call *call)
{
    lua_createtable(L, 0, 2);
    call->request = lua_topointer(L, -1);
    if (call->place.param_count > 0)
        set_params(L, &call->place);
    if (call->merchant.len > 0) {
        push_span(L, call->merchant);
        lua_setfield(L, -2, "merchant");
    }
    if (call->query.len > 0 && !set_query(L, call))
        return false;
    if (call->place.route->json && !set_json(L, call))
        return false;
    set_request_metatable(L);
    return true;
}

/* ---- the answer ---- */

static int wrong_answer(lua_State *L, const char *what)
{
    return luaL_error(L, "the answer: %s", what);
}

static void add_header(lua_State *L, struct tael_route_call *call, struct tael_span name,
                       struct tael_span value)
{
    static const char *const own[] = {"content-length", "transfer-encoding", "connection",
                                      "keep-alive",     "upgrade",           "trailer"};
    if (call->answer_count == TAEL_ROUTE_HEADERS_MAX)
        wrong_answer(L, "too many headers");
    if (!tael_http_is_token(name) || !tael_http_is_value(value))
        wrong_answer(L, "a header has a name or value that cannot be sent");
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (tael_http_same(name, own[i]))
            luaL_error(L, "the answer: %s is the server's own", own[i]);
    call->answer[call->answer_count++] = (struct tael_http_header){name, value};
}

/* The table of headers on top stays there: it holds the texts. */
static void read_headers(lua_State *L, struct tael_route_call *call)
{
    int headers = lua_gettop(L);
    if (!lua_istable(L, headers))
        wrong_answer(L, "headers is not a table");
    for (lua_pushnil(L); lua_next(L, headers) != 0; lua_pop(L, 1)) {
        struct tael_span name, value;
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            wrong_answer(L, "headers has names and values that are no texts");
        name.data = lua_tolstring(L, -2, &name.len);
        value.data = lua_tolstring(L, -1, &value.len);
        add_header(L, call, name, value);
    }
}

static bool has_type(const struct tael_route_call *call)
{
    for (size_t i = 0; i < call->answer_count; i++)
        if (tael_http_same(call->answer[i].name, "content-type"))
            return true;
    return false;
}

static void add_type(struct tael_route_call *call, const char *type)
{
    if (has_type(call))
        return;
    call->answer[call->answer_count++] =
        (struct tael_http_header){tael_span_of("content-type"), tael_span_of(type)};
}

static void write_json(lua_State *L, struct tael_route_call *call, int index)
{
    if (!tael_json_write(L, index, &call->answer_body))
        wrong_answer(L, lua_tostring(L, -1));
    if (call->answer_body.len > TAEL_ROUTE_BODY_MAX)
        wrong_answer(L, "the JSON is larger than 1 MiB");
    add_type(call, "application/json");
}

static void read_text(lua_State *L, struct tael_route_call *call, int index)
{
    if (lua_type(L, index) != LUA_TSTRING)
        wrong_answer(L, "body is not a text");
    call->answer_body.data = lua_tolstring(L, index, &call->answer_body.len);
    if (call->answer_body.len > TAEL_ROUTE_BODY_MAX)
        wrong_answer(L, "the body is larger than 1 MiB");
    add_type(call, "text/plain; charset=utf-8");
}

struct answer_fields { /* stack indices, 0: not there */
    int json, body;
    bool status;
};

/* The value on top belongs to the field that is called so; it stays when it is needed later. */
static void read_field(lua_State *L, struct tael_route_call *call, const char *name,
                       struct answer_fields *fields)
{
    if (strcmp(name, "json") == 0) {
        fields->json = lua_gettop(L);
    } else if (strcmp(name, "status") == 0) {
        lua_Integer status = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
        if (status < 200 || status > 599)
            wrong_answer(L, "status is not a number from 200 to 599");
        call->status = (int)status;
        fields->status = true;
    } else if (strcmp(name, "headers") == 0) {
        read_headers(L, call);
    } else if (strcmp(name, "body") == 0) {
        fields->body = lua_gettop(L);
    } else {
        luaL_error(L, "the answer: unknown field '%s': there are status, json, body and headers",
                   name);
    }
}

/* What the handler gave is on top. */
static void read_answer(lua_State *L, struct tael_route_call *call)
{
    struct answer_fields fields = {0};
    int answer = lua_gettop(L);
    if (lua_isnil(L, answer)) {
        call->status = 204;
        return;
    }
    if (!lua_istable(L, answer))
        wrong_answer(L, "a handler gives {status=, json=, body=, headers=} or nil");
    for (lua_pushnil(L); lua_next(L, answer) != 0;) {
        if (lua_type(L, -2) != LUA_TSTRING)
            wrong_answer(L, "a handler gives {status=, json=, body=, headers=}");
        const char *name = lua_tostring(L, -2);
        read_field(L, call, name, &fields);
        luaL_checkstack(L, LUA_MINSTACK, "answer");
        lua_pushstring(L, name); /* the key again on top, for lua_next */
    }
    if (fields.json != 0 && fields.body != 0)
        wrong_answer(L, "json and body cannot both be sent");
    if (fields.json != 0)
        write_json(L, call, fields.json);
    else if (fields.body != 0)
        read_text(L, call, fields.body);
    if (!fields.status)
        call->status = fields.json != 0 || fields.body != 0 ? 200 : 204;
}

/* ---- the call ---- */

static int answered(lua_State *L, int status, lua_KContext context)
{
    struct tael_route_call *call = (struct tael_route_call *)context;
    (void)status;
    read_answer(L, call);
    return lua_gettop(L); /* what the answer points to */
}

static int serve(lua_State *L)
{
    struct tael_route_call *call = lua_touserdata(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, "request");
    lua_rawgeti(L, LUA_REGISTRYINDEX, call->place.route->handler);
    if (!push_request(L, call))
        return 0;
    lua_callk(L, 1, 1, (lua_KContext)call, answered);
    return answered(L, LUA_OK, (lua_KContext)call);
}

enum tael_run_state tael_route_begin(struct tael_route_call *call, struct tael_isolate *isolate)
{
    if (tael_run_begin(&call->run, isolate, TAEL_RUN_STEPS, false) != TAEL_OK)
        return TAEL_RUN_MEMORY;
    return tael_run_go(&call->run, serve, call);
}

enum tael_run_state tael_route_go(struct tael_route_call *call)
{
    return tael_run_go(&call->run, NULL, NULL);
}

void tael_route_end(struct tael_route_call *call)
{
    tael_run_end(&call->run);
}
