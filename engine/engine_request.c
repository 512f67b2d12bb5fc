/* engine_request.c - the way of a request and of a call through one worker.
 *
 * A request becomes a task of app.handle(request); what the task returns becomes the answer. When
 * the client goes away the task is cancelled unless it is detached (it has submitted a unit): then
 * it runs to its end and only its answer is dropped. In-process calls go the same way with listener
 * "call". Everything here runs on the worker's thread, except tael_worker_call (any thread).
 */
#include "tael.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "engine.h"
#include "engine_routes.h"
#include "net/http_problem.h"

/* ---- a request on its way ---- */

struct handling {
    struct tael_worker *worker;
    struct tael_http_request *request; /* NULL: an in-process call */
    struct tael_task *task;
    struct call *call;
    const char *function;                       /* of the application */
    const struct tael_worker_refusal *refusal;  /* its second argument, while it is prepared */
    void (*admitted)(void *user, lua_State *L); /* NULL: what it gives is the answer */
    void *user;
    bool answered, logged;
    char name[TAEL_HTTP_NAME_MAX]; /* of the answer that is made in its place; "": it has none */
};

struct call {
    struct tael_mail mail; /* first */
    struct tael_worker *worker;
    char *method, *path, *json, *merchant;
    tael_response_fn fn;
    void *user;
};

static void call_free(struct call *call)
{
    free(call->method);
    free(call->path);
    free(call->json);
    free(call->merchant);
    free(call);
}

static void call_answer(struct call *call, tael_status status, int http_status, const char *body,
                        size_t len)
{
    tael_response response = {.size = sizeof(response),
                              .status = status,
                              .http_status = http_status,
                              .body = body != NULL ? body : "",
                              .body_len = len};
    atomic_fetch_sub(&call->worker->engine->calls, 1);
    call->fn(call->user, &response);
    call_free(call);
}

static void answer_call(struct handling *handling, tael_status status, int http_status,
                        struct tael_span body)
{
    struct tael_worker *worker = handling->worker;
    worker->calls--;
    call_answer(handling->call, status, http_status, body.data, body.len);
    tael_worker_end_drain(worker);
}

/* "/a/b?c=d" -> request.path, request.query */
static void set_target(lua_State *L, struct tael_span target)
{
    tael_set_span(L, "target", target);
    const char *mark = target.len > 0 ? memchr(target.data, '?', target.len) : NULL;
    size_t path_len = mark != NULL ? (size_t)(mark - target.data) : target.len;
    tael_set_span(L, "path", (struct tael_span){target.data, path_len});
    if (mark != NULL)
        tael_set_span(L, "query", (struct tael_span){mark + 1, target.len - path_len - 1});
}

static void push_headers(lua_State *L, const struct tael_http_request *request)
{
    lua_createtable(L, 0, (int)request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        const struct tael_http_header *header = &request->headers[i];
        lua_pushlstring(L, header->name.data, header->name.len);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushlstring(L, header->value.data, header->value.len);
        } else { /* repeated: joined as RFC 9110 §5.3 allows */
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, header->value.data, header->value.len);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
}

void tael_worker_push_app(lua_State *L, const struct tael_worker *worker, const char *name)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, worker->host.lua_ref_app);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

static void push_request(lua_State *L, const struct handling *handling)
{
    const struct tael_http_request *request = handling->request;
    lua_createtable(L, 0, 9);
    if (request != NULL) {
        tael_set_span(L, "method", request->method);
        set_target(L, request->target);
        push_headers(L, request);
        lua_setfield(L, -2, "headers");
        tael_set_span(L, "body", request->body);
        tael_set_span(L, "listener", tael_span_of(request->listener));
        tael_set_span(L, "peer", tael_span_of(request->peer));
        return;
    }
    const struct call *call = handling->call;
    tael_set_span(L, "method", tael_span_of(call->method));
    set_target(L, tael_span_of(call->path));
    lua_newtable(L);
    if (call->json != NULL)
        tael_set_span(L, "content-type", tael_span_of("application/json"));
    lua_setfield(L, -2, "headers");
    tael_set_span(L, "body", tael_span_of(call->json));
    tael_set_span(L, "listener", tael_span_of("call"));
    tael_set_span(L, "peer", tael_span_of("call"));
    if (call->merchant != NULL)
        tael_set_span(L, "merchant", tael_span_of(call->merchant));
}

static int prepare_request(lua_State *L, void *arg)
{
    struct handling *handling = arg;
    const struct tael_worker_refusal *refusal = handling->refusal;
    tael_worker_push_app(L, handling->worker, handling->function);
    push_request(L, handling);
    if (refusal == NULL)
        return 2;
    lua_createtable(L, 0, 4);
    tael_set_text(L, "code", refusal->code);
    tael_set_text(L, "detail", refusal->detail);
    tael_set_text(L, "allow", refusal->allow);
    tael_set_text(L, "fault", refusal->fault);
    return 3;
}

/* ---- the answer ---- */

enum { ANSWER_HEADERS_MAX = 32, FLAW_PAUSE_MAX_MS = 3600 * 1000 };

struct answer {
    int status;
    struct tael_http_header headers[ANSWER_HEADERS_MAX];
    size_t header_count;
    struct tael_span body;
    bool flawed;
    struct tael_http_flaw flaw;
};

static void send_answer(struct handling *handling, const struct answer *answer)
{
    handling->answered = true;
    if (handling->request != NULL)
        tael_http_respond_flawed(handling->request, answer->status, answer->headers,
                                 answer->header_count, answer->body,
                                 answer->flawed ? &answer->flaw : NULL);
    else
        answer_call(handling, TAEL_OK, answer->status, answer->body);
}

/* ---- what is answered when the application does not ---- */

struct naming {
    const struct tael_worker *worker;
    char *out;
    bool named;
};

static int name_protected(lua_State *L)
{
    struct naming *naming = lua_touserdata(L, 1);
    tael_worker_push_app(L, naming->worker, "name");
    if (!lua_isfunction(L, -1))
        return 0;
    lua_call(L, 0, 1);
    size_t len = 0;
    const char *text = lua_tolstring(L, -1, &len);
    naming->named = text != NULL && len < TAEL_HTTP_NAME_MAX &&
                    tael_http_is_token((struct tael_span){text, len});
    if (naming->named)
        memcpy(naming->out, text, len + 1);
    return 0;
}

bool tael_worker_name(void *user, char *out)
{
    struct tael_worker *worker = user;
    struct naming naming = {worker, out, false};
    return !worker->closing &&
           tael_state_call(worker->state, name_protected, &naming, NULL) == TAEL_OK && naming.named;
}

/* The application failed, and so did app.failed; or there was no time for them. */
static const struct tael_http_refusal failed = {500, "internal",
                                                "Repeat the request a little later."};
/* There is no memory for a task, or for what it has to do. */
static const struct tael_http_refusal busy = {503, "overloaded",
                                              "Repeat the request a little later."};

/* Why there is no answer of the application's, under the name of what is answered in its place. */
static void log_failed(struct handling *handling, tael_log_level level, const char *why)
{
    if (handling->name[0] == '\0' && !tael_worker_name(handling->worker, handling->name))
        handling->name[0] = '\0';
    handling->logged = true;
    const struct tael_log_field fields[] = {
        tael_log_text("error", why),
        tael_log_text("request", handling->name),
    };
    struct tael_log *log = handling->worker->engine->log;
    if (tael_log_wants(log, level))
        tael_log_write(log, level, "request.failed", fields, handling->name[0] != '\0' ? 2 : 1);
}

/* Without memory it has no body. */
static void send_problem(struct handling *handling, const struct tael_http_refusal *refusal)
{
    struct tael_buf body = {0};
    struct answer answer = {.status = refusal->status};
    if (!handling->logged)
        log_failed(handling, TAEL_LOG_INFO, refusal->code);
    answer.header_count = tael_http_problem_fields(answer.headers, refusal, handling->name);
    if (tael_http_problem_body(&body, refusal, handling->name) == TAEL_OK)
        answer.body = (struct tael_span){body.data, body.len};
    send_answer(handling, &answer);
    tael_buf_free(&body);
}

static struct tael_span span_at(lua_State *L, int idx)
{
    struct tael_span span = {NULL, 0};
    if (lua_type(L, idx) == LUA_TSTRING)
        span.data = lua_tolstring(L, idx, &span.len);
    return span;
}

static lua_Integer integer_at(lua_State *L, int idx, const char *name)
{
    lua_getfield(L, idx, name);
    lua_Integer value = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    return value > 0 ? value : 0;
}

/* flaw = {drop = true}, {cut = true, after = bytes} or {pause_ms =, after = bytes}: how the answer
 * of a simulator goes wrong on its way. */
static void read_flaw(lua_State *L, int idx, struct answer *answer)
{
    lua_getfield(L, idx, "flaw");
    int flaw = lua_gettop(L);
    answer->flawed = lua_istable(L, flaw);
    if (answer->flawed) {
        lua_getfield(L, flaw, "drop");
        answer->flaw.drop = lua_toboolean(L, -1);
        lua_getfield(L, flaw, "cut");
        answer->flaw.cut = lua_toboolean(L, -1);
        answer->flaw.after = (size_t)integer_at(L, flaw, "after");
        answer->flaw.pause_ms = integer_at(L, flaw, "pause_ms") % FLAW_PAUSE_MAX_MS;
    }
    lua_settop(L, flaw - 1);
}

/* Reads {status=, headers=, body=} at idx; what the spans point to stays on the stack. */
static bool read_answer(lua_State *L, int idx, struct answer *answer)
{
    luaL_checkstack(L, 2 * ANSWER_HEADERS_MAX + 8, NULL);
    if (!lua_istable(L, idx))
        return false;
    lua_getfield(L, idx, "status");
    if (!lua_isinteger(L, -1))
        return false;
    answer->status = (int)lua_tointeger(L, -1);
    read_flaw(L, idx, answer);
    lua_getfield(L, idx, "body");
    answer->body = span_at(L, -1);
    lua_getfield(L, idx, "headers");
    if (lua_isnil(L, -1))
        return true;
    if (!lua_istable(L, -1))
        return false;
    int headers = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, headers) != 0) {
        if (answer->header_count == ANSWER_HEADERS_MAX || lua_type(L, -2) != LUA_TSTRING ||
            lua_type(L, -1) != LUA_TSTRING)
            return false;
        struct tael_http_header *header = &answer->headers[answer->header_count++];
        header->name = span_at(L, -2);
        header->value = span_at(L, -1);
        lua_pushvalue(L, -2); /* the pair stays below, the key again on top for lua_next */
    }
    return true;
}

/* app.failed(request, message, name) may make a better answer than the plain one; it cannot wait.
 */
static bool ask_failed(lua_State *L, struct handling *handling, const char *message,
                       struct answer *answer)
{
    tael_worker_push_app(L, handling->worker, "failed");
    if (!lua_isfunction(L, -1))
        return false;
    push_request(L, handling);
    lua_pushstring(L, message);
    if (handling->name[0] != '\0')
        lua_pushstring(L, handling->name);
    else
        lua_pushnil(L);
    return lua_pcall(L, 3, 1, 0) == LUA_OK && read_answer(L, lua_gettop(L), answer);
}

/* The task has ended so; its results follow as arguments. */
struct ended {
    struct handling *handling;
    tael_status status;
    const char *message;
};

/* Reading what Lua made may raise; whoever calls this answers then. */
static int answer_protected(lua_State *L)
{
    const struct ended *ended = lua_touserdata(L, 1);
    struct handling *handling = ended->handling;
    struct answer answer = {0};
    if (ended->status == TAEL_ENOMEM)
        return 0; /* whatever is made of it in Lua wants memory, too */
    if (ended->status == TAEL_OK && handling->admitted != NULL && lua_istable(L, 2) &&
        lua_getfield(L, 2, "admitted") == LUA_TTABLE) {
        handling->answered = true; /* by whom it is handed to */
        handling->admitted(handling->user, L);
        handling->admitted = NULL;
        return 0;
    }
    if (ended->status == TAEL_OK && lua_gettop(L) >= 2 && read_answer(L, 2, &answer)) {
        send_answer(handling, &answer);
        return 0;
    }
    const char *message = ended->message != NULL
                              ? ended->message
                              : "the application's answer is not {status=, headers=, body=}";
    log_failed(handling, TAEL_LOG_ERROR, message);
    memset(&answer, 0, sizeof(answer));
    if (ask_failed(L, handling, message, &answer))
        send_answer(handling, &answer);
    return 0;
}

static void handling_free(struct handling *handling)
{
    if (handling->admitted != NULL)
        handling->admitted(handling->user, NULL);
    free(handling);
}

static void request_done(void *user, tael_status status, lua_State *L, int count,
                         const char *message)
{
    struct handling *handling = user;
    struct ended ended = {handling, status, message};
    bool no_memory = status == TAEL_ENOMEM;
    if (handling->request != NULL)
        handling->request->user = NULL;
    if (status == TAEL_ECLOSED) { /* the client is gone, or the engine closes */
        if (handling->request != NULL)
            send_problem(handling, &failed);
        else
            answer_call(handling, TAEL_ECLOSED, 0, (struct tael_span){NULL, 0});
        handling_free(handling);
        return;
    }
    if (L != NULL) {
        lua_pushcfunction(L, answer_protected);
        lua_insert(L, -count - 1);
        lua_pushlightuserdata(L, &ended);
        lua_insert(L, -count - 1);
        int code = lua_pcall(L, count + 1, 0, 0);
        no_memory = no_memory || code == LUA_ERRMEM;
        if (code != LUA_OK)
            log_failed(handling, TAEL_LOG_ERROR, "the answer cannot be read");
    }
    if (!handling->answered)
        send_problem(handling, no_memory ? &busy : &failed);
    handling_free(handling);
}

static void ask(const struct handling *wanted)
{
    struct tael_http_request *request = wanted->request;
    struct handling *handling = malloc(sizeof(*handling));
    if (handling == NULL) {
        send_problem(&(struct handling){.worker = wanted->worker, .request = request}, &busy);
        if (wanted->admitted != NULL)
            wanted->admitted(wanted->user, NULL);
        return;
    }
    *handling = *wanted;
    if (tael_task_spawn(handling->worker->state, prepare_request, handling, request_done, handling,
                        &handling->task) != TAEL_OK) {
        send_problem(handling, &busy);
        handling_free(handling);
        return;
    }
    handling->refusal = NULL; /* was read */
    request->user = handling;
}

void tael_worker_on_request(void *user, struct tael_http_request *request)
{
    struct tael_worker *worker = user;
    if (tael_routes_takes(worker->routes, request))
        tael_routes_serve(worker->routes, request);
    else
        ask(&(struct handling){.worker = worker, .request = request, .function = "handle"});
}

void tael_worker_refuse(struct tael_worker *worker, struct tael_http_request *request,
                        const struct tael_worker_refusal *refusal)
{
    ask(&(struct handling){
        .worker = worker, .request = request, .function = "refuse", .refusal = refusal});
}

void tael_worker_admit(struct tael_worker *worker, struct tael_http_request *request,
                       void (*admitted)(void *user, lua_State *L), void *user)
{
    ask(&(struct handling){.worker = worker,
                           .request = request,
                           .function = "admit",
                           .admitted = admitted,
                           .user = user});
}

void tael_worker_on_gone(void *user, struct tael_http_request *request)
{
    (void)user;
    struct handling *handling = request->user;
    if (handling != NULL)
        tael_task_cancel(handling->task); /* no effect once it is detached */
}

/* With a suffix, one segment of the path stands before it. */
static bool is_limited(const struct tael_plan_body_limit *limit, struct tael_span target)
{
    size_t before = strlen(limit->prefix), behind = limit->suffix ? strlen(limit->suffix) : 0;
    const char *mark = target.len > 0 ? memchr(target.data, '?', target.len) : NULL;
    size_t len = mark != NULL ? (size_t)(mark - target.data) : target.len;
    if (len < before + behind || memcmp(target.data, limit->prefix, before) != 0)
        return false;
    return behind == 0 || (memcmp(target.data + len - behind, limit->suffix, behind) == 0 &&
                           memchr(target.data + before, '/', len - before - behind) == NULL);
}

size_t tael_worker_on_body_max(void *user, const struct tael_http_request *head)
{
    const struct tael_worker *worker = user;
    const struct tael_plan *plan = &worker->engine->plan;
    if (tael_routes_takes(worker->routes, head))
        return tael_routes_body_max(worker->routes, head);
    for (size_t i = 0; i < plan->body_limit_count; i++)
        if (is_limited(&plan->body_limits[i], head->target))
            return plan->body_limits[i].max;
    return 0;
}

/* ---- in-process calls ---- */

static void call_arrived(struct tael_mail *mail)
{
    struct call *call = (struct call *)mail;
    struct tael_worker *worker = call->worker;
    struct handling *handling = worker->draining ? NULL : calloc(1, sizeof(*handling));
    if (handling == NULL) {
        call_answer(call, worker->draining ? TAEL_ECLOSED : TAEL_ENOMEM, 0, NULL, 0);
        return;
    }
    handling->worker = worker;
    handling->call = call;
    handling->function = "handle";
    worker->calls++;
    if (tael_task_spawn(worker->state, prepare_request, handling, request_done, handling,
                        &handling->task) != TAEL_OK) {
        worker->calls--;
        free(handling);
        call_answer(call, TAEL_ENOMEM, 0, NULL, 0);
        return;
    }
    tael_task_detach(handling->task);
}

static bool copy_text(char **out, const char *text)
{
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL;
}

tael_status tael_worker_call(struct tael_worker *worker, const char *method, const char *path,
                             const char *json, const char *merchant, tael_response_fn fn,
                             void *user)
{
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        return TAEL_ENOMEM;
    call->mail.fn = call_arrived;
    call->worker = worker;
    call->fn = fn;
    call->user = user;
    if (!copy_text(&call->method, method) || !copy_text(&call->path, path) ||
        !copy_text(&call->json, json) || !copy_text(&call->merchant, merchant)) {
        call_free(call);
        return TAEL_ENOMEM;
    }
    pthread_mutex_lock(&worker->engine->lock);
    bool ended = worker->ended;
    if (!ended)
        tael_loop_post(worker->loop, &call->mail);
    pthread_mutex_unlock(&worker->engine->lock);
    if (ended)
        call_free(call);
    return ended ? TAEL_ECLOSED : TAEL_OK;
}
