/* engine_plan.c - asks the application what it needs and keeps the answer as plain C.
 *
 * The plan is made in a Lua state of its own that is thrown away afterwards, so that nothing of the
 * boot stays in memory. Every string of the plan is copied into blocks that tael_plan_free
 * releases. A plan of a wrong shape is the application's mistake and is refused with the name of
 * the member.
 */
#include "tael.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include <lauxlib.h>
#include <lua.h>

#include "bind/json.h"
#include "engine.h"
#include "net/address.h"

struct tael_plan_block {
    struct tael_plan_block *next;
};

void tael_error_set(tael_error *err, tael_status status, const char *code, const char *format, ...)
{
    if (err == NULL)
        return;
    va_list args;
    va_start(args, format);
    err->status = status;
    snprintf(err->code, sizeof(err->code), "%s", code);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
}

/* ---- the plan's memory ---- */

static void *plan_alloc(lua_State *L, struct tael_plan *plan, size_t size)
{
    struct tael_plan_block *block = calloc(1, sizeof(*block) + size);
    if (block == NULL)
        luaL_error(L, "out of memory");
    block->next = plan->blocks;
    plan->blocks = block;
    return block + 1;
}

void tael_plan_free(struct tael_plan *plan)
{
    while (plan->blocks != NULL) {
        struct tael_plan_block *next = plan->blocks->next;
        free(plan->blocks);
        plan->blocks = next;
    }
    memset(plan, 0, sizeof(*plan));
}

/* ---- reading: `where` is the member's name for the message ---- */

static const char *keep_text(lua_State *L, struct tael_plan *plan, int idx, const char *where)
{
    if (lua_type(L, idx) != LUA_TSTRING)
        luaL_error(L, "plan.%s: string expected, got %s", where, luaL_typename(L, idx));
    size_t len;
    const char *text = lua_tolstring(L, idx, &len);
    char *copy = plan_alloc(L, plan, len + 1);
    memcpy(copy, text, len);
    return copy;
}

static const char *field_text(lua_State *L, struct tael_plan *plan, const char *name)
{
    lua_getfield(L, -1, name);
    const char *text = lua_isnil(L, -1) ? NULL : keep_text(L, plan, -1, name);
    lua_pop(L, 1);
    return text;
}

static const char *field_text_needed(lua_State *L, struct tael_plan *plan, const char *name)
{
    const char *text = field_text(L, plan, name);
    if (text == NULL)
        luaL_error(L, "plan: '%s' is missing", name);
    return text;
}

static int64_t field_int(lua_State *L, const char *name, int64_t otherwise)
{
    lua_getfield(L, -1, name);
    int64_t value = otherwise;
    if (!lua_isnil(L, -1)) {
        int is_int;
        value = lua_tointegerx(L, -1, &is_int);
        if (!is_int || !lua_isinteger(L, -1) || value < 0)
            luaL_error(L, "plan.%s: a non-negative integer expected", name);
    }
    lua_pop(L, 1);
    return value;
}

/* Pushes the list named so and returns its length; 0 and nothing pushed when it is absent. */
static size_t field_list(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    if (!lua_istable(L, -1))
        luaL_error(L, "plan.%s: table expected", name);
    size_t count = (size_t)lua_rawlen(L, -1);
    if (count == 0)
        lua_pop(L, 1);
    return count;
}

static const char **field_texts(lua_State *L, struct tael_plan *plan, const char *name,
                                size_t *count)
{
    *count = field_list(L, name);
    if (*count == 0)
        return NULL;
    const char **texts = plan_alloc(L, plan, *count * sizeof(*texts));
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        texts[i] = keep_text(L, plan, -1, name);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return texts;
}

/* Limits are for strangers' texts: this one may hold any number of merchants. */
void tael_engine_push_json(lua_State *L, const char *text)
{
    static const struct tael_json_limits limits = {.max_depth = TAEL_JSON_DEPTH_MAX,
                                                   .max_members = INT_MAX,
                                                   .max_tokens = INT_MAX,
                                                   .max_string = INT_MAX};
    size_t offset = 0;
    enum tael_json_fault fault = tael_json_push(L, tael_span_of(text), &limits, &offset);
    if (fault != TAEL_JSON_NONE)
        luaL_error(L, "the engine's own JSON: %s", tael_json_fault_text(fault));
}

static const char *field_json(lua_State *L, struct tael_plan *plan, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "tael.json");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "encode");
    lua_remove(L, -2);
    lua_getfield(L, -2, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    lua_call(L, 1, 1);
    const char *text = keep_text(L, plan, -1, name);
    lua_pop(L, 1);
    return text;
}

static void read_listeners(lua_State *L, struct tael_plan *plan)
{
    plan->listener_count = field_list(L, "listeners");
    if (plan->listener_count == 0)
        return;
    plan->listeners = plan_alloc(L, plan, plan->listener_count * sizeof(*plan->listeners));
    for (size_t i = 0; i < plan->listener_count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        plan->listeners[i].name = field_text_needed(L, plan, "name");
        plan->listeners[i].address = field_text_needed(L, plan, "address");
        if (lua_getfield(L, -1, "tls") == LUA_TTABLE) {
            plan->listeners[i].tls_cert = field_text_needed(L, plan, "cert");
            plan->listeners[i].tls_key = field_text_needed(L, plan, "key");
        } else if (!lua_isnil(L, -1)) {
            luaL_error(L, "plan.listeners.tls: table expected");
        }
        lua_pop(L, 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_exempt(lua_State *L, struct tael_plan *plan, struct tael_http_limits *limits)
{
    const char **texts = field_texts(L, plan, "exempt", &limits->exempt_count);
    if (texts == NULL)
        return;
    struct tael_network *networks = plan_alloc(L, plan, limits->exempt_count * sizeof(*networks));
    for (size_t i = 0; i < limits->exempt_count; i++)
        if (!tael_network_parse(&networks[i], tael_span_of(texts[i])))
            luaL_error(L, "plan.exempt: '%s' is no address range", texts[i]);
    limits->exempt = networks;
}

static void read_limits(lua_State *L, struct tael_plan *plan)
{
    struct tael_http_limits *limits = &plan->limits;
    lua_getfield(L, -1, "limits");
    if (lua_istable(L, -1)) {
        limits->line = (size_t)field_int(L, "line", 0);
        limits->head = (size_t)field_int(L, "head", 0);
        limits->fields = (size_t)field_int(L, "fields", 0);
        limits->field = (size_t)field_int(L, "field", 0);
        limits->body = (size_t)field_int(L, "body", 0);
        limits->bodies = (size_t)field_int(L, "bodies", 0);
        limits->head_ms = field_int(L, "head_ms", 0);
        limits->body_ms = field_int(L, "body_ms", 0);
        limits->idle_ms = field_int(L, "idle_ms", 0);
        limits->stall_ms = field_int(L, "stall_ms", 0);
        limits->connections = (size_t)field_int(L, "connections", 0);
        limits->per_address = (size_t)field_int(L, "per_address", 0);
        limits->requests = (size_t)field_int(L, "requests", 0);
        limits->pipeline = (size_t)field_int(L, "pipeline", 0);
        read_exempt(L, plan, limits);
    }
    lua_pop(L, 1);
    plan->body_limit_count = field_list(L, "body_limits");
    if (plan->body_limit_count == 0)
        return;
    plan->body_limits = plan_alloc(L, plan, plan->body_limit_count * sizeof(*plan->body_limits));
    for (size_t i = 0; i < plan->body_limit_count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        plan->body_limits[i].prefix = field_text_needed(L, plan, "prefix");
        plan->body_limits[i].suffix = field_text(L, plan, "suffix");
        plan->body_limits[i].max = (size_t)field_int(L, "max", 0);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_own_routes(lua_State *L, struct tael_plan *plan)
{
    lua_getfield(L, -1, "routes");
    if (lua_istable(L, -1)) {
        plan->routes.listener = field_text_needed(L, plan, "listener");
        plan->routes.prefix = field_text_needed(L, plan, "prefix");
        plan->routes.folder = field_text_needed(L, plan, "folder");
        plan->routes.shown = field_text_needed(L, plan, "shown");
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "plan.routes: table expected");
    }
    lua_pop(L, 1);
}

/* Absent: the client's own defaults, and no private addresses. */
static void read_client(lua_State *L, struct tael_plan *plan)
{
    struct tael_http_client_options *client = &plan->client;
    lua_getfield(L, -1, "client");
    if (lua_istable(L, -1)) {
        client->connect_ms = field_int(L, "connect_ms", 0);
        client->total_ms = field_int(L, "total_ms", 0);
        client->per_pool = (size_t)field_int(L, "per_host", 0);
        client->ca_file = field_text(L, plan, "ca");
        lua_getfield(L, -1, "allow_private");
        client->allow_private = lua_toboolean(L, -1) != 0;
        lua_pop(L, 1);
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "plan.client: table expected");
    }
    lua_pop(L, 1);
}

static void read_store(lua_State *L, struct tael_plan *plan)
{
    lua_getfield(L, -1, "store");
    if (lua_istable(L, -1)) {
        struct tael_store_options *store = &plan->store;
        plan->has_store = true;
        store->path = field_text_needed(L, plan, "path");
        store->scope = field_text(L, plan, "scope");
        store->sql_files = field_texts(L, plan, "sql", &store->sql_file_count);
        store->migrations = field_texts(L, plan, "migrations", &store->migration_count);
        store->group_max = (size_t)field_int(L, "group_max", 0);
        store->queue_max = (size_t)field_int(L, "queue_max", 0);
        store->checkpoint_pages = (int)field_int(L, "checkpoint_pages", 0);
        store->cache_kib = (int)field_int(L, "cache_kib", 0);
        lua_getfield(L, -1, "migrate");
        store->migrate = lua_toboolean(L, -1) != 0;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_companions(lua_State *L, struct tael_plan *plan)
{
    plan->companion_count = field_list(L, "companions");
    if (plan->companion_count == 0)
        return;
    plan->companions = plan_alloc(L, plan, plan->companion_count * sizeof(*plan->companions));
    for (size_t i = 0; i < plan->companion_count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        plan->companions[i].app = field_text_needed(L, plan, "app");
        plan->companions[i].args_json = field_json(L, plan, "options");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_log(lua_State *L, struct tael_plan *plan)
{
    static const char *const names[] = {"error", "warn", "info", "debug", NULL};
    plan->log_level = TAEL_LOG_INFO;
    lua_getfield(L, -1, "log");
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "level");
        const char *level = lua_tostring(L, -1);
        int found = level == NULL ? TAEL_LOG_INFO : -1;
        for (int i = 0; level != NULL && names[i] != NULL; i++)
            if (strcmp(names[i], level) == 0)
                found = i;
        if (found < 0)
            luaL_error(L, "plan.log.level: one of error, warn, info, debug expected");
        plan->log_level = (tael_log_level)found;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_clock(lua_State *L, struct tael_plan *plan)
{
    lua_getfield(L, -1, "clock");
    const char *clock = lua_tostring(L, -1);
    plan->clock_adjustable = clock != NULL && strcmp(clock, "adjustable") == 0;
    if (!lua_isnil(L, -1) && !plan->clock_adjustable)
        luaL_error(L, "plan.clock: \"adjustable\" or nothing expected");
    lua_pop(L, 1);
}

/* ---- asking ---- */

struct planning {
    struct tael_plan *plan;
    tael_engine *engine;
    tael_error *err;
};

/* options.make_folder(path) -> true | nil, message: for what a plan itself writes, such as keys. */
static int make_folder(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        lua_pushboolean(L, 1);
        return 1;
    }
    const char *reason = strerror(errno);
    luaL_pushfail(L);
    lua_pushfstring(L, "cannot make the folder %s: %s", path, reason);
    return 2;
}

static void push_options(lua_State *L, const tael_engine *engine)
{
    lua_newtable(L);
    lua_pushcfunction(L, make_folder);
    lua_setfield(L, -2, "make_folder");
    tael_set_text(L, "config_path", engine->config_path);
    tael_set_text(L, "config_at", engine->config_at);
    tael_set_text(L, "config_lua", engine->config_lua);
    tael_set_text(L, "root", engine->root);
    tael_set_text(L, "lua_root", engine->lua_root);
    tael_set_text(L, "version", tael_version());
    lua_pushboolean(L, engine->dev);
    lua_setfield(L, -2, "dev");
    lua_pushboolean(L, engine->listen);
    lua_setfield(L, -2, "listen");
    lua_pushboolean(L, engine->succeeds);
    lua_setfield(L, -2, "succeeds");
    tael_engine_push_json(L, engine->args_json != NULL ? engine->args_json : "{}");
    lua_setfield(L, -2, "args");
}

/* The application said no: nil, {code=, message=} (or nil, message). */
static int refuse(lua_State *L, struct planning *planning)
{
    const char *code = "configuration_invalid", *message = NULL;
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "code");
        if (lua_isstring(L, -1))
            code = lua_tostring(L, -1);
        lua_getfield(L, -2, "message");
        message = lua_tostring(L, -1);
    } else {
        message = lua_tostring(L, -1);
    }
    tael_error_set(planning->err, TAEL_ECONFIG, code, "%s",
                   message != NULL ? message : "the application refused to start");
    return 0;
}

static int plan_in_lua(lua_State *L)
{
    struct planning *planning = lua_touserdata(L, 1);
    struct tael_plan *plan = planning->plan;
    luaL_checkstack(L, 20, NULL);
    lua_getglobal(L, "require");
    lua_pushstring(L, planning->engine->app);
    lua_call(L, 1, 1);
    if (!lua_istable(L, -1) || lua_getfield(L, -1, "plan") != LUA_TFUNCTION)
        return luaL_error(L, "%s: not an application (no function plan)", planning->engine->app);
    push_options(L, planning->engine);
    lua_call(L, 1, 2);
    if (!lua_istable(L, -2))
        return refuse(L, planning);
    lua_pop(L, 1);
    plan->workers = (int)field_int(L, "workers", 1);
    if (plan->workers < 1 || plan->workers > 64)
        return luaL_error(L, "plan.workers: 1 to 64 expected");
    plan->drain_ms = field_int(L, "drain_ms", 15000);
    read_log(L, plan);
    read_clock(L, plan);
    read_listeners(L, plan);
    read_limits(L, plan);
    read_own_routes(L, plan);
    read_client(L, plan);
    plan->folders = field_texts(L, plan, "folders", &plan->folder_count);
    read_store(L, plan);
    read_companions(L, plan);
    plan->pass_json = field_json(L, plan, "pass");
    plan->handover = field_text(L, plan, "handover");
    return 0;
}

tael_status tael_plan_make(struct tael_plan *plan, tael_engine *engine, tael_error *err)
{
    struct tael_state *state = NULL;
    struct tael_loop *loop = NULL;
    tael_error failure = {0};
    tael_status rc = tael_loop_new(engine->world, &loop);
    if (rc != TAEL_OK) {
        tael_error_set(err, rc, "loop", "cannot make an event loop: %s",
                       rc == TAEL_ELIMIT ? "no descriptors are left" : tael_status_text(rc));
        return rc;
    }
    struct tael_host host = {.world = engine->world,
                             .loop = loop,
                             .log = engine->log,
                             .keyring = engine->keyring,
                             .stop = engine->stop,
                             .worker = 1,
                             .workers = 1,
                             .lua_ref_app = LUA_NOREF};
    struct tael_state_options options = {
        .loop = loop, .log = engine->log, .lua_root = engine->lua_root, .host = &host};
    struct planning planning = {plan, engine, &failure};
    rc = tael_state_new(&state, &options, &failure);
    if (rc == TAEL_OK)
        rc = tael_engine_preload(state);
    if (rc == TAEL_OK)
        rc = tael_state_call(state, plan_in_lua, &planning, &failure);
    if (rc == TAEL_OK && failure.status != TAEL_OK)
        rc = failure.status;
    if (rc != TAEL_OK && err != NULL) {
        if (failure.status == TAEL_OK)
            tael_error_set(&failure, rc, "plan", "%s", tael_status_text(rc));
        *err = failure;
    }
    tael_state_free(state);
    tael_loop_free(loop);
    return rc;
}
