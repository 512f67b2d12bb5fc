/* http_asked.c - what a script asks of tael.http, checked: see http_asked.h.
 */
#include "bind/http_asked.h"

#include <stdlib.h>

#include "base/form.h"
#include "bind/json.h"

enum {
    TIMEOUT_MAX_MS = 10 * 60 * 1000,
    BYTES_MAX = 64 * 1024 * 1024,
    ENCODED_MAX = 16 * 1024 * 1024, /* bytes of form= as text */
    POOL_NAME_MAX = 255,
};

/* ---- header fields ---- */

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
static void check_headers(lua_State *L, int options, struct tael_http_asked *request)
{
    if (lua_getfield(L, options, "headers") == LUA_TNIL)
        return;
    luaL_checktype(L, -1, LUA_TTABLE);
    int headers = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, headers) != 0; lua_pop(L, 1)) {
        if (request->call.header_count == TAEL_HTTP_ASKED_HEADERS - 1) /* one may be added */
            luaL_error(L, "http.request: too many headers");
        check_header(L, &request->headers[request->call.header_count++]);
    }
    qsort(request->headers, request->call.header_count, sizeof(request->headers[0]),
          compare_headers);
}

static void add_content_type(struct tael_http_asked *request, const char *value)
{
    struct tael_http_call *call = &request->call;
    for (size_t i = 0; i < call->header_count; i++)
        if (same_name(request->headers[i].name, "content-type"))
            return;
    request->headers[call->header_count++] =
        (struct tael_http_header){tael_span_of("content-type"), tael_span_of(value)};
}

/* ---- the body ---- */

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
static void set_body(lua_State *L, struct tael_http_asked *request, const char *content_type)
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
static void check_body(lua_State *L, int options, struct tael_http_asked *request)
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

/* ---- options ---- */

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

/* No name but these: a misspelt limit must not be ignored. */
static void check_names(lua_State *L, int options, const char *const *names)
{
    for (lua_pushnil(L); lua_next(L, options) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        const char *const *at = names;
        while (*at != NULL && strcmp(*at, name) != 0)
            at++;
        if (*at == NULL)
            luaL_error(L, "http.request: bad option '%s'", name);
    }
}

/* The table tls = {ca=, cert=, key=}; its texts stay in it. */
static void check_tls(lua_State *L, int options, struct tael_http_call *call)
{
    static const char *const names[] = {"ca", "cert", "key", NULL};
    if (lua_getfield(L, options, "tls") == LUA_TNIL)
        return;
    luaL_checktype(L, -1, LUA_TTABLE);
    int tls = lua_gettop(L);
    check_names(L, tls, names);
    call->ca_file = check_string(L, tls, "ca", NULL);
    call->cert_file = check_string(L, tls, "cert", NULL);
    call->key_file = check_string(L, tls, "key", NULL);
    if ((call->cert_file == NULL) != (call->key_file == NULL))
        luaL_error(L, "http.request: tls.cert and tls.key belong together");
}

static const char *check_pool(lua_State *L, int options)
{
    const char *pool = check_string(L, options, "pool", NULL);
    if (pool != NULL && (pool[0] == '\0' || strlen(pool) > POOL_NAME_MAX))
        luaL_error(L, "http.request: pool is a name of 1 to %d bytes", POOL_NAME_MAX);
    return pool;
}

static const char *const option_names[] = {
    "addresses", "body", "connect_ms", "deadline_ms", "form", "headers", "json", "max_bytes",
    "method",    "pool", "timeout_ms", "tls",         "unix", "url",     NULL};

void tael_http_asked_check(lua_State *L, struct tael_http_asked *request)
{
    struct tael_http_call *call = &request->call;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstack(L, LUA_MINSTACK, "http.request");
    check_names(L, 1, option_names);
    call->timeout_ms = check_integer(L, 1, "timeout_ms", TIMEOUT_MAX_MS);
    call->connect_ms = check_integer(L, 1, "connect_ms", TIMEOUT_MAX_MS);
    call->max_bytes = (size_t)check_integer(L, 1, "max_bytes", BYTES_MAX);
    call->deadline_us = check_deadline(L, 1);
    call->url = check_string(L, 1, "url", NULL);
    call->unix_path = check_string(L, 1, "unix", NULL);
    call->addresses = check_addresses(L, 1);
    call->pool = check_pool(L, 1);
    check_tls(L, 1, call);
    check_headers(L, 1, request);
    check_body(L, 1, request);
    call->headers = request->headers;
    call->method = check_string(L, 1, "method", call->body.data != NULL ? "POST" : "GET");
    if (call->url == NULL || !is_token(tael_span_of(call->method)))
        luaL_error(L, "http.request: a url and a method are needed");
}
