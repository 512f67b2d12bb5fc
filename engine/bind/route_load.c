/* route_load.c - a script's text becomes a table of routes, or a sentence with file and line. */
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "base/form.h"
#include "bind/json.h"
#include "bind/route.h"
#include "script/source.h"

enum { ROUTES_MAX = 256, PATH_MAX_LEN = 256 };

/* ---- what a script may require ---- */

static const char tael_key; /* its address names the table in the registry */

static int require_tael(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    if (strcmp(name, "tael") != 0)
        return luaL_error(L, "module '%s' is not for routes: only 'tael' is", name);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &tael_key) == LUA_TTABLE)
        return 1;
    tael_route_push_tael(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tael_key);
    return 1;
}

/* ---- loading, in a run ---- */

struct loading {
    const char *chunk;
    struct tael_span text;
    struct tael_buf metered;
    struct tael_route_script *script; /* grows while the table is read */
    char key[PATH_MAX_LEN];           /* that is being read: for the line */
    bool starved;                     /* the process had no memory */
};

static int starve(lua_State *L, struct loading *loading)
{
    loading->starved = true;
    return luaL_error(L, "out of memory");
}

/* Raises with the line on which the key that is being read is written. */
static int refuse(lua_State *L, const struct loading *loading, const char *what)
{
    size_t len = strlen(loading->key);
    const char *found =
        len > 0 ? memmem(loading->text.data, loading->text.len, loading->key, len) : NULL;
    int line = 1;
    for (const char *at = loading->text.data; found != NULL && at < found; at++)
        line += *at == '\n';
    lua_pushfstring(L, "%s:%d: %s%s%s", loading->chunk, line, loading->key, len > 0 ? ": " : "",
                    what);
    return lua_error(L);
}

static bool is_method(const char *text, size_t len)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strlen(methods[i]) == len && memcmp(methods[i], text, len) == 0)
            return true;
    return false;
}

/* "/", "/orders/:id": segments of letters, digits, '-', '_', '.', '~', names behind a colon. */
static const char *path_fault(const char *path)
{
    int segments = 0, params = 0;
    if (path[0] != '/')
        return "the path begins with '/'";
    for (const char *at = path; *at != '\0' && path[1] != '\0'; segments++) {
        const char *from = ++at;
        params += *at == ':';
        at += *at == ':';
        for (; *at != '\0' && *at != '/'; at++)
            if (strchr("-_.~", *at) == NULL && !(*at >= '0' && *at <= '9') &&
                !((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z'))
                return "a path has segments of letters, digits, '-', '_', '.' and '~', or :names";
        if (at == from + (*from == ':'))
            return "a segment of the path is empty";
    }
    if (segments > TAEL_ROUTE_SEGMENTS_MAX || params > TAEL_ROUTE_PARAMS_MAX)
        return "the path has too many segments";
    return NULL;
}

static void read_key(lua_State *L, struct loading *loading, struct tael_route *route)
{
    size_t len;
    loading->key[0] = '\0';
    if (lua_type(L, -2) != LUA_TSTRING)
        refuse(L, loading, "routes are named \"METHOD /path\"");
    const char *key = lua_tolstring(L, -2, &len);
    if (len >= sizeof(loading->key) || strlen(key) != len)
        refuse(L, loading, "the name of a route is too long");
    memcpy(loading->key, key, len + 1);
    size_t method_len = strcspn(key, " ");
    if (key[method_len] == '\0' || !is_method(key, method_len))
        refuse(L, loading,
               "a route is named \"METHOD /path\", with GET, POST, PUT, PATCH or DELETE");
    const char *fault = path_fault(key + method_len + 1);
    if (fault != NULL)
        refuse(L, loading, fault);
    route->key = strdup(key);
    if (route->key == NULL)
        starve(L, loading);
    route->method = (struct tael_span){route->key, method_len};
    route->path = (struct tael_span){route->key + method_len + 1, len - method_len - 1};
    route->json = key[0] == 'P'; /* POST, PUT, PATCH */
}

/* ---- {handler=, auth=, body=, max_body=} ---- */

static void read_auth(lua_State *L, struct loading *loading, struct tael_route *route)
{
    const char *auth = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strcmp(auth, "api_key") == 0)
        route->auth = TAEL_ROUTE_API_KEY;
    else if (strcmp(auth, "none") == 0)
        route->auth = TAEL_ROUTE_OPEN;
    else if (strcmp(auth, "mtls") == 0)
        refuse(L, loading,
               "auth = \"mtls\" needs a listener that asks clients for a certificate, which "
               "this engine has not: use \"api_key\"");
    else
        refuse(L, loading, "auth is \"api_key\" or \"none\"");
}

static void read_body(lua_State *L, struct loading *loading, struct tael_route *route)
{
    const char *body = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strcmp(body, "json") != 0 && strcmp(body, "none") != 0)
        refuse(L, loading, "body is \"json\" or \"none\"");
    route->json = body[0] == 'j';
}

static void read_body_max(lua_State *L, struct loading *loading, struct tael_route *route)
{
    lua_Integer max = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    if (max < 1 || max > TAEL_ROUTE_BODY_MAX)
        refuse(L, loading, "max_body is a number of bytes, 1 to 1048576");
    route->body_max = (size_t)max;
}

/* The handler on top of the stack, taken. */
static void take_handler(lua_State *L, struct loading *loading, struct tael_route *route)
{
    if (lua_type(L, -1) != LUA_TFUNCTION)
        refuse(L, loading, "handler is not a function");
    route->handler = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void read_options(lua_State *L, struct loading *loading, struct tael_route *route)
{
    int options = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, options) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(name, "auth") == 0) {
            read_auth(L, loading, route);
        } else if (strcmp(name, "body") == 0) {
            read_body(L, loading, route);
        } else if (strcmp(name, "max_body") == 0) {
            read_body_max(L, loading, route);
        } else if (strcmp(name, "handler") != 0) {
            lua_pushfstring(L, "unknown field '%s': there are handler, auth, body and max_body",
                            name);
            refuse(L, loading, lua_tostring(L, -1));
        }
    }
    lua_pushliteral(L, "handler");
    lua_rawget(L, options);
    take_handler(L, loading, route);
}

static void read_route(lua_State *L, struct loading *loading, struct tael_route *route)
{
    read_key(L, loading, route);
    if (lua_istable(L, -1))
        read_options(L, loading, route);
    else
        take_handler(L, loading, route);
}

/* ---- the file ---- */

/* The table that the script gave is on top. */
static void read_routes(lua_State *L, struct loading *loading)
{
    struct tael_route_script *script = loading->script;
    int given = lua_gettop(L);
    size_t count = 0;
    if (!lua_istable(L, given))
        refuse(L, loading, "the file must return a table of routes: [\"POST /\"] = function …");
    for (lua_pushnil(L); lua_next(L, given) != 0; lua_pop(L, 1))
        count++;
    if (count == 0 || count > ROUTES_MAX)
        refuse(L, loading, "the file must return 1 to 256 routes: [\"POST /\"] = function …");
    script->routes = calloc(count, sizeof(*script->routes));
    if (script->routes == NULL)
        starve(L, loading);
    for (lua_pushnil(L); lua_next(L, given) != 0; lua_settop(L, given + 1)) {
        struct tael_route *route = &script->routes[script->count++];
        route->handler = LUA_NOREF;
        read_route(L, loading, route);
    }
}

static int load_body(lua_State *L)
{
    struct loading *loading = lua_touserdata(L, 1);
    char flaw[128];
    luaL_checkstack(L, LUA_MINSTACK, "routes");
    if (!tael_source_check(loading->text, flaw, sizeof(flaw)))
        return luaL_error(L, "%s:%s", loading->chunk, flaw + strlen("line "));
    tael_isolate_charge(L, (int64_t)loading->text.len);
    tael_json_limit(L, TAEL_ROUTE_BODY_MAX + 1,
                    TAEL_ROUTE_JSON_ITEMS); /* tael may never be required */
    lua_pushfstring(L, "@%s", loading->chunk);
    lua_pushcfunction(L, require_tael);
    tael_confine_push_environment(L);
    tael_isolate_load(L, loading->text, lua_tostring(L, -2), &loading->metered);
    lua_call(L, 0, 1);
    read_routes(L, loading);
    return 0;
}

static int forget_handlers(lua_State *L)
{
    const struct tael_route_script *script = lua_touserdata(L, 1);
    for (size_t i = 0; i < script->count; i++)
        luaL_unref(L, LUA_REGISTRYINDEX, script->routes[i].handler);
    return 0;
}

static void free_script(struct tael_route_script *script)
{
    lua_State *L = tael_isolate_lua(script->isolate);
    lua_pushcfunction(L, forget_handlers);
    lua_pushlightuserdata(L, script);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    for (size_t i = 0; i < script->count; i++)
        free(script->routes[i].key);
    free(script->routes);
    free(script);
}

void tael_route_release(struct tael_route_script *script)
{
    if (script != NULL && --script->references == 0)
        free_script(script);
}

tael_status tael_route_load(struct tael_route_script **out, struct tael_isolate *isolate,
                            const char *chunk, struct tael_span text, char *why)
{
    struct tael_run run = {0};
    struct tael_route_script *script = calloc(1, sizeof(*script));
    struct loading loading = {
        .chunk = chunk, .text = text, .metered.max = SIZE_MAX, .script = script};
    snprintf(why, TAEL_ROUTE_WHY_MAX, "%s: out of memory", chunk);
    if (script == NULL)
        return TAEL_ENOMEM;
    script->isolate = isolate;
    script->references = 1;
    tael_status rc = tael_run_begin(&run, isolate, TAEL_RUN_STEPS, true);
    if (rc == TAEL_OK) {
        enum tael_run_state state = tael_run_go(&run, load_body, &loading);
        if (state != TAEL_RUN_DONE) {
            rc = state == TAEL_RUN_MEMORY || loading.starved ? TAEL_ENOMEM : TAEL_ESCRIPT;
            snprintf(why, TAEL_ROUTE_WHY_MAX, "%s", run.fault);
        }
        tael_run_end(&run);
        tael_buf_free(&loading.metered);
    }
    if (rc != TAEL_OK) {
        free_script(script);
        return rc;
    }
    *out = script;
    return TAEL_OK;
}

/* ---- finding ---- */

/* Takes the next segment of a path that stands on a slash. */
static struct tael_span next_segment(struct tael_span *path)
{
    const char *end = path->len > 1 ? memchr(path->data + 1, '/', path->len - 1) : NULL;
    size_t len = end != NULL ? (size_t)(end - path->data) : path->len;
    struct tael_span segment = {path->data + 1, len - 1};
    path->data += len;
    path->len -= len;
    return segment;
}

static bool path_fits(const struct tael_route *route, struct tael_span rest,
                      struct tael_route_place *out)
{
    struct tael_span pattern = route->path;
    out->param_count = 0;
    if (rest.len == 0 || pattern.len == 1)
        return rest.len == 0 && pattern.len == 1;
    while (rest.len > 0 && pattern.len > 0) {
        struct tael_span wanted = next_segment(&pattern), given = next_segment(&rest);
        if (wanted.data[0] == ':' && given.len > 0) {
            out->names[out->param_count] = (struct tael_span){wanted.data + 1, wanted.len - 1};
            out->values[out->param_count++] = given;
        } else if (!tael_span_same(wanted, given)) {
            return false;
        }
    }
    return rest.len == 0 && pattern.len == 0;
}

/* What a proxy or a file system may read otherwise (threats R45). */
static bool is_doubtful(struct tael_span path)
{
    const char *end = path.data + path.len;
    for (const char *at = path.data; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        if (c < ' ' || c == 0x7f || c == ';' || c == '\\')
            return true;
        if (c == '/' && at + 1 < end && at[1] == '/')
            return true;
        if (c == '.' && at > path.data && at[-1] == '/' &&
            (at + 1 == end || at[1] == '/' || (at[1] == '.' && (at + 2 == end || at[2] == '/'))))
            return true;
        if (c != '%')
            continue;
        int high = end - at > 2 ? tael_hex_value(at[1]) : -1;
        int low = high >= 0 ? tael_hex_value(at[2]) : -1;
        int byte = low >= 0 ? high * 16 + low : 0;
        if (byte < ' ' || byte == 0x7f || (byte < 0x80 && strchr("./\\;", byte) != NULL))
            return true;
    }
    return false;
}

/* One that names its segments goes before one that takes any. */
static bool goes_before(const struct tael_route_place *a, const struct tael_route_place *b)
{
    if (a->param_count != b->param_count)
        return a->param_count < b->param_count;
    for (size_t i = 0; i < a->param_count; i++)
        if (a->values[i].data != b->values[i].data)
            return a->values[i].data > b->values[i].data;
    return false;
}

enum tael_route_found tael_route_find(const struct tael_route_script *script,
                                      struct tael_span method, struct tael_span rest,
                                      struct tael_route_place *out)
{
    enum tael_route_found found = TAEL_ROUTE_NO_PATH;
    struct tael_span wanted = tael_span_is(method, "HEAD") ? tael_span_of("GET") : method;
    out->param_count = 0;
    if (rest.len > 0 && is_doubtful(rest))
        return TAEL_ROUTE_BAD_PATH;
    for (size_t i = 0; i < script->count; i++) {
        struct tael_route_place place = {.route = &script->routes[i]};
        if (!path_fits(place.route, rest, &place))
            continue;
        if (found == TAEL_ROUTE_NO_PATH)
            found = TAEL_ROUTE_NO_METHOD;
        if (!tael_span_same(place.route->method, wanted))
            continue;
        if (found == TAEL_ROUTE_NO_METHOD || goes_before(&place, out))
            *out = place;
        found = TAEL_ROUTE_FOUND;
    }
    return found;
}

void tael_route_allowed(const struct tael_route_script *script, struct tael_span rest, char *out,
                        size_t size)
{
    static const char *const methods[] = {"DELETE", "GET", "PATCH", "POST", "PUT"};
    struct tael_route_place place;
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (tael_route_find(script, tael_span_of(methods[i]), rest, &place) != TAEL_ROUTE_FOUND)
            continue;
        int more = snprintf(out + len, size - len, "%s%s%s", len > 0 ? ", " : "", methods[i],
                            i == 1 ? ", HEAD" : "");
        if (more < 0 || (size_t)more >= size - len)
            return;
        len += (size_t)more;
    }
}
