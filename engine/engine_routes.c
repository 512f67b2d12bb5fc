/* engine_routes.c - see engine_routes.h: the way of a request through a route.
 *
 * Mostly it is answered within the call that brings it: find, run, answer. It takes longer when the
 * application is to say who calls, or when the script pauses (it is then on the list of those that
 * go on when the timer fires, a slice each, while the loop does other things in between). Nothing
 * in a route waits or has effects, so a client that goes away cancels nothing: its answer is
 * dropped.
 */
#include "engine_routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXTRA_MAX = 8, /* headers of the application for an answer */
    EXTRA_TEXT = 512,
    MERCHANT_MAX = 64,
};

struct serving {
    struct tael_routes *routes;
    struct tael_http_request *request;
    struct tael_route_script *script; /* one reference */
    struct tael_route_set *set;       /* one reference; NULL: the script is of a file */
    struct serving *next;             /* among the paused */
    struct tael_http_header extra[EXTRA_MAX];
    size_t extra_count, text_len;
    char text[EXTRA_TEXT]; /* of the extra headers */
    char merchant[MERCHANT_MAX];
    struct tael_route_call call;
};

struct tael_routes {
    struct tael_worker *worker;
    struct tael_route_files files;
    struct tael_route_set *set; /* what answers in the place of the files; NULL: they do */
    const struct tael_plan_routes *plan;
    size_t prefix_len;
    struct tael_timer *turn; /* due at once while scripts are paused */
    struct serving *paused, **paused_end;
    struct serving *spare; /* kept for the next request */
    size_t open;           /* servings that have a script */
    bool spoiled;          /* what scripts keep leaves too little memory */
};

/* ---- a serving ---- */

static struct serving *take_serving(struct tael_routes *routes, struct tael_http_request *request)
{
    struct serving *serving = routes->spare;
    routes->spare = NULL;
    if (serving == NULL)
        serving = malloc(sizeof(*serving));
    if (serving == NULL)
        return NULL;
    serving->routes = routes;
    serving->request = request;
    serving->script = NULL;
    serving->set = NULL;
    serving->extra_count = serving->text_len = 0;
    serving->merchant[0] = '\0';
    return serving;
}

static void give_serving(struct serving *serving)
{
    struct tael_routes *routes = serving->routes;
    routes->open -= serving->script != NULL;
    tael_route_release(serving->script);
    tael_route_set_release(serving->set);
    if (routes->spare == NULL)
        routes->spare = serving;
    else
        free(serving);
}

/* ---- refusals, in the application's words ---- */

static void refuse(struct serving *serving, const char *code, const char *detail)
{
    tael_worker_refuse(serving->routes->worker, serving->request,
                       &(struct tael_worker_refusal){.code = code, .detail = detail});
    give_serving(serving);
}

static void refuse_call(struct serving *serving)
{
    struct tael_route_call *call = &serving->call;
    char detail[160];
    const char *code = "invalid_parameter";
    snprintf(detail, sizeof(detail), "The query is not well formed.");
    if (call->refusal == TAEL_ROUTE_REFUSED_JSON) {
        code = "invalid_json";
        snprintf(detail, sizeof(detail), "The body is not valid JSON: %s at byte %zu.",
                 call->refusal_text, call->refusal_offset);
    }
    tael_route_end(call);
    refuse(serving, code, detail);
}

static void refuse_fault(struct serving *serving, enum tael_run_state state)
{
    struct tael_routes *routes = serving->routes;
    struct tael_isolate *isolate = serving->script->isolate;
    struct tael_worker_refusal refusal = {
        .code = state == TAEL_RUN_MEMORY ? "overloaded" : "internal",
        .detail = state == TAEL_RUN_SPENT ? "The route's script took too long and was ended."
                                          : "The route's script failed.",
        .fault = serving->call.run.fault,
    };
    tael_worker_refuse(routes->worker, serving->request, &refusal);
    tael_route_end(&serving->call);
    if (state == TAEL_RUN_MEMORY && serving->set == routes->set && tael_isolate_full(isolate))
        routes->spoiled = true;
    give_serving(serving);
}

/* ---- the answer ---- */

static void answer(struct serving *serving)
{
    struct tael_route_call *call = &serving->call;
    struct tael_http_header headers[TAEL_ROUTE_HEADERS_MAX + 1 + EXTRA_MAX];
    size_t count = call->answer_count;
    memcpy(headers, call->answer, count * sizeof(headers[0]));
    memcpy(headers + count, serving->extra, serving->extra_count * sizeof(headers[0]));
    tael_http_respond(serving->request, call->status, headers, count + serving->extra_count,
                      call->answer_body);
    tael_route_end(call);
    give_serving(serving);
}

static void ended(struct serving *serving, enum tael_run_state state)
{
    struct tael_routes *routes = serving->routes;
    if (state == TAEL_RUN_PAUSED) {
        if (routes->paused == NULL)
            tael_timer_start(routes->turn, 0);
        serving->next = NULL;
        *routes->paused_end = serving;
        routes->paused_end = &serving->next;
        return;
    }
    if (state != TAEL_RUN_DONE)
        refuse_fault(serving, state);
    else if (serving->call.refusal != TAEL_ROUTE_REFUSED_NOT)
        refuse_call(serving);
    else
        answer(serving);
}

/* Each paused script has its turn; those that pause again wait for the next. */
static void on_turn(void *user)
{
    struct tael_routes *routes = user;
    struct serving *serving = routes->paused;
    routes->paused = NULL;
    routes->paused_end = &routes->paused;
    for (struct serving *next; serving != NULL; serving = next) {
        next = serving->next;
        ended(serving, tael_route_go(&serving->call));
    }
}

static void run(struct serving *serving)
{
    struct tael_route_call *call = &serving->call;
    call->merchant = tael_span_of(serving->merchant);
    call->body = serving->request->body;
    call->headers = serving->request->headers;
    call->header_count = serving->request->header_count;
    call->refusal = TAEL_ROUTE_REFUSED_NOT;
    call->answer_count = 0;
    call->answer_body = (struct tael_span){"", 0};
    call->run = (struct tael_run){0};
    ended(serving, tael_route_begin(call, serving->script->isolate));
}

/* ---- who calls ---- */

static void keep_header(struct serving *serving, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value);
    if (serving->extra_count == EXTRA_MAX ||
        name_len + value_len > sizeof(serving->text) - serving->text_len)
        return;
    char *at = serving->text + serving->text_len;
    memcpy(at, name, name_len);
    memcpy(at + name_len, value, value_len);
    serving->text_len += name_len + value_len;
    serving->extra[serving->extra_count++] =
        (struct tael_http_header){{at, name_len}, {at + name_len, value_len}};
}

/* {merchant=, headers={}} of app.admit is on top of L; L NULL: the request has been answered. */
static void admitted(void *user, lua_State *L)
{
    struct serving *serving = user;
    if (L == NULL) {
        give_serving(serving);
        return;
    }
    int top = lua_gettop(L);
    lua_getfield(L, top, "merchant");
    if (lua_type(L, -1) == LUA_TSTRING)
        snprintf(serving->merchant, sizeof(serving->merchant), "%s", lua_tostring(L, -1));
    lua_getfield(L, top, "headers");
    for (lua_pushnil(L); lua_istable(L, top + 2) && lua_next(L, top + 2) != 0; lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING)
            keep_header(serving, lua_tostring(L, -2), lua_tostring(L, -1));
    lua_settop(L, top);
    run(serving);
}

/* ---- finding ---- */

static struct tael_span path_of(struct tael_span target)
{
    const char *mark = target.len > 0 ? memchr(target.data, '?', target.len) : NULL;
    return (struct tael_span){target.data,
                              mark != NULL ? (size_t)(mark - target.data) : target.len};
}

/* "/r/quote/a" behind the prefix: the name, and what follows it. */
static struct tael_span split_name(struct tael_span behind, struct tael_span *rest)
{
    const char *slash = behind.len > 0 ? memchr(behind.data, '/', behind.len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - behind.data) : behind.len;
    *rest = (struct tael_span){behind.data + len, behind.len - len};
    return (struct tael_span){behind.data, len};
}

/* Nothing, or that it is UTF-8, which JSON is anyway. */
static bool says_utf8(struct tael_span parameters)
{
    static const char *const forms[] = {"", "charset=utf-8", "charset=\"utf-8\""};
    while (parameters.len > 0 && strchr("; \t", parameters.data[0]) != NULL) {
        parameters.data++;
        parameters.len--;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (parameters.len == strlen(forms[i]) &&
            (parameters.len == 0 || strncasecmp(parameters.data, forms[i], parameters.len) == 0))
            return true;
    return false;
}

static bool is_json(const struct tael_http_request *request)
{
    static const char wanted[] = "application/json";
    const size_t len = sizeof(wanted) - 1;
    bool json = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct tael_http_header *header = &request->headers[i];
        struct tael_span value = header->value;
        if (tael_span_is(header->name, "content-type"))
            json = value.len >= len && strncasecmp(value.data, wanted, len) == 0 &&
                   says_utf8((struct tael_span){value.data + len, value.len - len});
        else if (tael_span_is(header->name, "content-encoding") && !tael_span_is(value, "identity"))
            return false;
    }
    return json;
}

static void refuse_method(struct serving *serving, struct tael_span rest)
{
    char allow[64];
    tael_route_allowed(serving->script, rest, allow, sizeof(allow));
    tael_worker_refuse(serving->routes->worker, serving->request,
                       &(struct tael_worker_refusal){.code = "method_not_allowed", .allow = allow});
    give_serving(serving);
}

static void go_to(struct serving *serving, struct tael_span path, struct tael_span rest)
{
    struct tael_http_request *request = serving->request;
    struct tael_route_call *call = &serving->call;
    switch (tael_route_find(serving->script, request->method, rest, &call->place)) {
    case TAEL_ROUTE_FOUND:
        break;
    case TAEL_ROUTE_NO_METHOD:
        refuse_method(serving, rest);
        return;
    case TAEL_ROUTE_NO_PATH:
        refuse(serving, "not_found", NULL);
        return;
    case TAEL_ROUTE_BAD_PATH:
        refuse(serving, "invalid_parameter", "The path holds what no path of this API holds.");
        return;
    }
    call->method = request->method;
    call->path = path;
    call->query = (struct tael_span){"", 0};
    if (request->target.len > path.len)
        call->query =
            (struct tael_span){path.data + path.len + 1, request->target.len - path.len - 1};
    const struct tael_route *route = call->place.route;
    if (route->body_max != 0 && request->body.len > route->body_max)
        refuse(serving, "too_large", NULL); /* its length was not declared, or the file is new */
    else if (route->json && !is_json(request))
        refuse(serving, "unsupported_media_type", NULL);
    else if (route->auth == TAEL_ROUTE_OPEN)
        run(serving);
    else
        tael_worker_admit(serving->routes->worker, request, admitted, serving);
}

static tael_status renew_set(struct tael_routes *routes)
{
    struct tael_route_set *again = NULL;
    tael_status rc = tael_route_set_again(routes->set, &again);
    if (rc == TAEL_OK) {
        tael_route_set_release(routes->set);
        routes->set = again;
    }
    return rc;
}

static bool renew(struct tael_routes *routes)
{
    bool spoiled = routes->spoiled && routes->open == 0;
    tael_status rc = TAEL_OK;
    if (routes->set != NULL && spoiled)
        rc = renew_set(routes);
    else if (routes->set == NULL && (spoiled || routes->files.isolate == NULL))
        rc = tael_route_files_renew(&routes->files);
    if (rc != TAEL_OK)
        return false;
    routes->spoiled = routes->spoiled && !spoiled;
    return true;
}

/* The script of that name as it is now; NULL: there is none. */
static tael_status find(struct tael_routes *routes, struct tael_span name,
                        struct tael_route_script **out)
{
    struct tael_route_file *file = NULL;
    if (routes->set != NULL) {
        *out = tael_route_set_find(routes->set, name);
        return TAEL_OK;
    }
    routes->files.starved = false;
    tael_status rc = tael_route_files_find(&routes->files, name, &file);
    if (routes->files.starved && tael_isolate_full(routes->files.isolate))
        routes->spoiled = true;
    *out = file != NULL ? file->script : NULL;
    return rc;
}

void tael_routes_serve(struct tael_routes *routes, struct tael_http_request *request)
{
    struct tael_span path = path_of(request->target), rest;
    struct tael_span name = split_name(
        (struct tael_span){path.data + routes->prefix_len, path.len - routes->prefix_len}, &rest);
    struct tael_route_script *script = NULL;
    struct serving *serving = take_serving(routes, request);
    if (serving == NULL || !renew(routes) || find(routes, name, &script) != TAEL_OK) {
        tael_worker_refuse(routes->worker, request,
                           &(struct tael_worker_refusal){.code = "overloaded"});
        if (serving != NULL)
            give_serving(serving);
        return;
    }
    if (script == NULL) {
        refuse(serving, "not_found", NULL);
        return;
    }
    serving->script = script;
    script->references++;
    serving->set = routes->set;
    if (serving->set != NULL)
        tael_route_set_retain(serving->set);
    routes->open++;
    go_to(serving, path, rest);
}

bool tael_routes_takes(const struct tael_routes *routes, const struct tael_http_request *request)
{
    return routes != NULL && request->target.len > routes->prefix_len &&
           memcmp(request->target.data, routes->plan->prefix, routes->prefix_len) == 0 &&
           strcmp(request->listener, routes->plan->listener) == 0;
}

size_t tael_routes_body_max(const struct tael_routes *routes, const struct tael_http_request *head)
{
    struct tael_span path = path_of(head->target), rest;
    struct tael_span name = split_name(
        (struct tael_span){path.data + routes->prefix_len, path.len - routes->prefix_len}, &rest);
    struct tael_route_file *file =
        routes->set == NULL ? tael_route_files_known(&routes->files, name) : NULL;
    struct tael_route_script *script = file != NULL ? file->script : NULL;
    struct tael_route_place place;
    if (routes->set != NULL)
        script = tael_route_set_find(routes->set, name);
    if (script == NULL || tael_route_find(script, head->method, rest, &place) != TAEL_ROUTE_FOUND)
        return 0;
    return place.route->body_max;
}

/* From now on these answer; NULL: the folder's files. Takes a reference. */
static void use_set(struct tael_routes *routes, struct tael_route_set *set)
{
    if (set != NULL)
        tael_route_set_retain(set);
    tael_route_set_release(routes->set);
    routes->set = set;
    routes->spoiled = false;
}

bool tael_worker_use_routes(struct tael_host *host, struct tael_route_set *set)
{
    struct tael_worker *worker =
        (struct tael_worker *)((char *)host - offsetof(struct tael_worker, host));
    if (worker->routes != NULL)
        use_set(worker->routes, set);
    return worker->routes != NULL;
}

/* ---- life ---- */

static void on_again(void *user)
{
    struct tael_routes *routes = user;
    if (routes->files.isolate != NULL)
        tael_route_files_again(&routes->files);
}

tael_status tael_routes_new(struct tael_routes **out, struct tael_worker *worker)
{
    struct tael_routes *routes = calloc(1, sizeof(*routes));
    if (routes == NULL)
        return TAEL_ENOMEM;
    routes->worker = worker;
    routes->plan = &worker->engine->plan.routes;
    routes->prefix_len = strlen(routes->plan->prefix);
    routes->paused_end = &routes->paused;
    routes->files = (struct tael_route_files){.world = worker->engine->world,
                                              .log = worker->engine->log,
                                              .texts = worker->engine->route_texts,
                                              .folder = routes->plan->folder,
                                              .shown = routes->plan->shown};
    routes->turn = tael_timer_new(worker->loop, on_turn, routes);
    routes->files.again = tael_timer_new(worker->loop, on_again, routes);
    if (routes->turn == NULL || routes->files.again == NULL) {
        tael_routes_free(routes);
        return TAEL_ENOMEM;
    }
    *out = routes;
    return TAEL_OK;
}

void tael_routes_free(struct tael_routes *routes)
{
    if (routes == NULL)
        return;
    while (routes->paused != NULL) {
        struct serving *serving = routes->paused;
        routes->paused = serving->next;
        tael_route_end(&serving->call);
        tael_http_respond(serving->request, 503, NULL, 0, (struct tael_span){"", 0});
        give_serving(serving);
    }
    tael_timer_free(routes->turn);
    tael_timer_free(routes->files.again);
    tael_route_files_free(&routes->files);
    tael_route_set_release(routes->set);
    free(routes->spare);
    free(routes);
}
