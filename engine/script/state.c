/* state.c - one worker's trusted Lua state: memory under a ceiling, the libraries it has, protected
 * calls.
 *
 * Owner: the worker; everything here runs on its loop's thread.
 *
 * 1 The allocator's context is the struct tael_state, which is how any lua_State finds it; a Lua
 * state that somebody else made (a plain interpreter running specs) has another allocator and finds
 * none. 2 Running out of memory is an ordinary Lua error. The panic function only writes the log:
 * no call into Lua is unprotected. 3 Time, randomness and processes are not to be had from Lua's
 * own libraries, only through tael modules: that keeps the simulated world whole. 4 Lua code comes
 * from lua_root alone, or was made from the same text when the program was built (precompiled.c);
 * of C modules only those in allowed_modules are found.
 */
#include "script/state.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <lauxlib.h>
#include <lualib.h>

#include "script/inner.h"
#include "script/precompiled.h"

enum {
    MEMORY_DEFAULT = 512 * 1024 * 1024,
    MESSAGE_MAX = 2048, /* bytes of an error's own text, the rest is for the traceback */
};

/* How garbage is collected depends on the heap. While it is small, by generations: requests leave
 * nothing, so what was made since the last time is looked at alone, and what stays only when it has
 * doubled, at once, in some 0.6 ms a MiB. In between so much is made that the tasks alive, which
 * made 25 KB each, have hardly anything that grows old, and no more: it is looked at in one piece,
 * and shall be in the processor's cache. A heap that is large is marked and swept in pieces. */
enum {
    YOUNG_LEAST = 512 << 10, /* bytes that are made between two collections */
    YOUNG_TASK = 32 << 10,   /* the same, for each task alive */
    YOUNG_MAX = 4 << 20,
    GENERATIONS_MAX = 16 << 20, /* bytes that are used, garbage too */
    OLD_US = 60 * 1000 * 1000,  /* what has grown old is looked at once in so long, too */
};

/* Lua's own, 100, does a cycle's whole sweep in one go, which takes milliseconds from whoever
 * waits. At 4 (which Lua makes 5) a piece is some five thousand objects every 8 KiB; at 1 the
 * garbage made during a cycle kept 3 MiB more from use under a load of notifications. */
enum { GC_STEP_MULTIPLIER = 4 };

enum {
    REST_US = 1000 * 1000,      /* between two looks at memory that nobody needs */
    TRIM_US = 60 * 1000 * 1000, /* at least between two of what the C library has of it */
};

/* ---- memory ---- */

static bool is_pooled(const struct tael_state *state, size_t size)
{
    return state->pooled && size > 0 && size <= TAEL_POOL_MAX;
}

static void release(struct tael_state *state, void *block, size_t size)
{
    if (is_pooled(state, size))
        tael_pool_give(&state->pool, block, size);
    else
        free(block);
}

/* NULL: out of memory, and the block is as it was. */
static void *resize(struct tael_state *state, void *block, size_t old_size, size_t size)
{
    bool from_pool = is_pooled(state, old_size), to_pool = is_pooled(state, size);
    if (!from_pool && !to_pool) {
        void *resized = realloc(block, size);
        if (resized == NULL && size <= old_size)
            return block; /* shrinking has to succeed */
        return resized;
    }
    if (from_pool && to_pool && tael_pool_same(old_size, size))
        return block;
    void *moved = to_pool ? tael_pool_take(&state->pool, size) : malloc(size);
    if (moved != NULL && block != NULL) {
        memcpy(moved, block, old_size < size ? old_size : size);
        release(state, block, old_size);
    }
    return moved;
}

static void *memory_allocate(void *user, void *block, size_t old_size, size_t size)
{
    struct tael_state *state = user;
    if (block == NULL)
        old_size = 0; /* Lua gives the object's type instead */
    if (size == 0) {
        if (block != NULL)
            release(state, block, old_size);
        state->memory_used -= old_size;
        return NULL;
    }
    if (size > old_size) {
        size_t max = state->memory_max + state->memory_reserve;
        if (size - old_size > max || state->memory_used > max - (size - old_size))
            return NULL;
    }
    void *moved = resize(state, block, old_size, size);
    if (moved != NULL)
        state->memory_used = state->memory_used - old_size + size;
    return moved;
}

/* Where every single allocation is made to fail, or is watched, each has to be one of malloc's. */
static bool wants_pool(const struct tael_state_options *options)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)options;
    return false;
#else
    return options->loop != NULL && !options->loop->world->simulated;
#endif
}

/* What the C library keeps: pages between others, which nobody gives back by freeing. */
static void trim_others(struct tael_state *state)
{
    int64_t now = tael_mono_us(state->loop->world);
    if (now < state->trim_at)
        return;
    state->trim_at = now + TRIM_US;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* Percent of what is used. Lua takes them of what a collection has left, which is up to a half less
 * than what is used before it. */
static int young_percent(const struct tael_state *state)
{
    size_t young = YOUNG_LEAST + state->crowd * (size_t)YOUNG_TASK;
    size_t percent = (young < YOUNG_MAX ? young : YOUNG_MAX) / (state->memory_used / 100 + 1);
    return percent > 100 ? 100 : percent > 5 ? (int)percent : 5;
}

static int collect_all(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

/* Where little is done the heap would double in some two hours, and look like one that leaks. */
static void collect_old(struct tael_state *state)
{
    int64_t now = state->loop != NULL ? tael_mono_us(state->loop->world) : 0;
    if (now < state->old_at)
        return;
    if (state->old_at > 0)
        tael_state_call(state, collect_all, NULL, NULL);
    state->old_at = now + OLD_US;
}

void tael_state_watch_heap(struct tael_state *state)
{
    size_t max = state->by_generations ? GENERATIONS_MAX : GENERATIONS_MAX / 2;
    state->crowd -= (state->crowd + 15) / 16;
    state->crowd = state->crowd > state->tasks ? state->crowd : state->tasks;
    if (state->memory_used <= max) {
        lua_gc(state->L, LUA_GCGEN, young_percent(state), 0);
        state->by_generations = true;
        collect_old(state);
    } else if (state->by_generations) {
        lua_gc(state->L, LUA_GCINC, 0, GC_STEP_MULTIPLIER, 0);
        state->by_generations = false;
    }
}

static void on_rest(void *user)
{
    struct tael_state *state = user;
    state->resting = tael_pool_rest(&state->pool);
    if (state->resting)
        tael_timer_start(state->rest, REST_US);
    else
        trim_others(state);
}

void tael_state_rest_later(struct tael_state *state)
{
    if (state->rest == NULL || state->resting || state->pool.empties == 0)
        return;
    state->resting = true;
    tael_timer_start(state->rest, REST_US);
}

/* ---- errors ---- */

/* Pushes text for the error value at index: its own words if it has any. */
static void failure_text(lua_State *L, int index)
{
    size_t len = 0;
    const char *text = NULL;
    if (lua_type(L, index) == LUA_TSTRING ||
        luaL_getmetafield(L, index, "__tostring") != LUA_TNIL) {
        text = luaL_tolstring(L, index, &len);
    } else if (lua_istable(L, index)) {
        lua_pushliteral(L, "message");
        lua_rawget(L, index);
        if (lua_type(L, -1) == LUA_TSTRING)
            text = lua_tolstring(L, -1, &len);
    }
    if (text != NULL)
        lua_pushlstring(L, text, len < MESSAGE_MAX ? len : MESSAGE_MAX);
    else
        lua_pushfstring(L, "(the error is a %s)", luaL_typename(L, index));
}

void tael_failure_push(lua_State *L, lua_State *from, int level)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, "error text");
    failure_text(L, top);
    luaL_traceback(L, from, lua_tostring(L, -1), level);
    size_t len = 0;
    const char *text = lua_tolstring(L, -1, &len);
    lua_pushlstring(L, text, len < TAEL_FAILURE_MAX ? len : TAEL_FAILURE_MAX);
    lua_replace(L, top);
    lua_settop(L, top);
}

static int with_traceback(lua_State *L)
{
    tael_failure_push(L, L, 1);
    return 1;
}

static tael_status set_error(tael_error *err, tael_status status, const char *code,
                             const char *text)
{
    if (err == NULL)
        return status;
    *err = (tael_error){.status = status};
    for (size_t i = 0; i < sizeof(err->code) - 1 && code[i] != '\0'; i++)
        err->code[i] = code[i];
    for (size_t i = 0; i < sizeof(err->message) - 1 && text[i] != '\0'; i++)
        err->message[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    return status;
}

/* Pops the error that a protected call left on L. */
static tael_status take_error(lua_State *L, int lua_status, tael_error *err)
{
    if (lua_status == LUA_OK)
        return TAEL_OK;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no text";
    tael_status status = lua_status == LUA_ERRMEM
                             ? set_error(err, TAEL_ENOMEM, "out_of_memory", "out of memory")
                             : set_error(err, TAEL_ESCRIPT, "script_failed", text);
    lua_pop(L, 1);
    return status;
}

static int panic(lua_State *L)
{
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no text";
    TAEL_LOG(tael_state_log(tael_state_of(L)), TAEL_LOG_ERROR, "script.panic",
             tael_log_text("message", text));
    return 0;
}

/* Lua warns about errors in finalizers; whole warnings go to the log. */
static void warned(void *user, const char *text, int to_be_continued)
{
    struct tael_state *state = user;
    if (state->warning_len == 0 && !to_be_continued && text[0] == '@')
        return; /* control words of the standalone interpreter */
    for (; *text != '\0' && state->warning_len < sizeof(state->warning) - 1; text++)
        state->warning[state->warning_len++] = *text;
    if (to_be_continued)
        return;
    state->warning[state->warning_len] = '\0';
    state->warning_len = 0;
    TAEL_LOG(state->log, TAEL_LOG_WARN, "script.warning", tael_log_text("message", state->warning));
}

/* ---- libraries ---- */

/* require's searcher for C modules. Upvalues: package.searchpath, package.loadlib, the templates.
 */
static int search_allowed(lua_State *L)
{
    static const char *const allowed_modules[] = {"cjson"};
    const char *name = luaL_checkstring(L, 1);
    bool allowed = false;
    for (size_t i = 0; i < sizeof(allowed_modules) / sizeof(allowed_modules[0]); i++)
        allowed = allowed || strcmp(name, allowed_modules[i]) == 0;
    if (!allowed)
        return 0;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        return 1; /* where it was looked for */
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 2);
    lua_pushfstring(L, "luaopen_%s", name);
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        return luaL_error(L, "module '%s': %s", name, lua_tostring(L, -1));
    lua_pop(L, 1);
    lua_pushvalue(L, 2);
    return 2;
}

/* Pushes the templates of package.cpath (top of L) that do not depend on the working folder. */
static void push_absolute(lua_State *L)
{
    luaL_Buffer buffer;
    const char *rest = luaL_optstring(L, -1, "");
    luaL_buffinit(L, &buffer);
    while (*rest != '\0') {
        size_t len = strcspn(rest, ";");
        if (rest[0] == '/') {
            luaL_addlstring(&buffer, rest, len);
            luaL_addchar(&buffer, ';');
        }
        rest += len + (rest[len] == ';');
    }
    luaL_pushresult(&buffer);
}

static void install_package(lua_State *L, const char *lua_root)
{
    lua_getglobal(L, LUA_LOADLIBNAME);
    int package = lua_gettop(L);
    lua_getfield(L, package, "searchers");
    tael_precompiled_install(L, package + 1, lua_root);
    lua_getfield(L, package, "searchpath");
    lua_getfield(L, package, "loadlib");
    lua_getfield(L, package, "cpath");
    push_absolute(L);
    lua_remove(L, -2);
    lua_pushcclosure(L, search_allowed, 3);
    lua_rawseti(L, package + 1, 3);
    lua_pushnil(L);
    lua_rawseti(L, package + 1, 4);
    lua_pushnil(L);
    lua_setfield(L, package, "loadlib");
    lua_pushliteral(L, "");
    lua_setfield(L, package, "cpath");
    if (lua_root != NULL)
        lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", lua_root, lua_root);
    else
        lua_pushliteral(L, "");
    lua_setfield(L, package, "path");
    lua_settop(L, package - 1);
}

/* coroutine.yield for coroutines that Lua code made; a task waits through tael functions only. */
static int yield_checked(lua_State *L)
{
    if (tael_task_here(L) != NULL)
        return luaL_error(L, "cannot yield here: a task waits by calling a function that waits");
    return lua_yield(L, lua_gettop(L));
}

static void remove_names(lua_State *L, const char *library, const char *const *names)
{
    lua_getglobal(L, library);
    for (; *names != NULL; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
    lua_pop(L, 1);
}

static void install_libraries(lua_State *L)
{
    static const char *const os_names[] = {"clock",     "date", "execute", "exit",
                                           "setlocale", "time", "tmpname", NULL};
    static const char *const io_names[] = {"popen", "tmpfile", NULL};
    static const char *const math_names[] = {"random", "randomseed", NULL};
    static const char *const debug_names[] = {"debug",        "getlocal",
                                              "getmetatable", "getregistry",
                                              "getupvalue",   "getuservalue",
                                              "setlocal",     "setcstacklimit",
                                              "setmetatable", "setupvalue",
                                              "setuservalue", "upvalueid",
                                              "upvaluejoin",  NULL};
    lua_pushboolean(L, 1); /* LUA_PATH and LUA_CPATH of the environment are not ours */
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    luaL_openlibs(L);
    remove_names(L, LUA_OSLIBNAME, os_names);
    remove_names(L, LUA_IOLIBNAME, io_names);
    remove_names(L, LUA_MATHLIBNAME, math_names);
    remove_names(L, LUA_DBLIBNAME, debug_names);
    lua_getglobal(L, LUA_COLIBNAME);
    lua_pushcfunction(L, yield_checked);
    lua_setfield(L, -2, "yield");
    lua_pop(L, 1);
}

static int install(lua_State *L)
{
    const struct tael_state_options *options = lua_touserdata(L, 1);
    install_libraries(L);
    install_package(L, options->lua_root);
    if (options->loop != NULL && options->loop->world->simulated)
        tael_order_install(L);
    return 0;
}

/* ---- life ---- */

static tael_status check_options(const struct tael_state_options *options, tael_error *err)
{
    if (options->lua_root != NULL && strpbrk(options->lua_root, ";?") != NULL)
        return set_error(err, TAEL_EINVAL, "lua_root", "lua_root must not hold ';' or '?'");
    return TAEL_OK;
}

tael_status tael_state_new(struct tael_state **out, const struct tael_state_options *options,
                           tael_error *err)
{
    tael_status rc = check_options(options, err);
    if (rc != TAEL_OK)
        return rc;
    struct tael_state *state = calloc(1, sizeof(*state));
    if (state == NULL)
        return set_error(err, TAEL_ENOMEM, "out_of_memory", "out of memory");
    state->loop = options->loop;
    state->log = options->log;
    state->host = options->host;
    state->awake = options->awake;
    state->context = TAEL_CTX_LOAD;
    state->memory_max = options->memory_max > 0 ? options->memory_max : MEMORY_DEFAULT;
    state->behind = &state->ready;
    state->last_behind = &state->last;
    state->pooled = wants_pool(options);
    if (state->loop != NULL) {
        state->timer = tael_timer_new(state->loop, tael_task_drain, state);
        if (state->timer == NULL)
            goto out_of_memory;
    }
    if (state->pooled) {
        state->rest = tael_timer_new(state->loop, on_rest, state);
        if (state->rest == NULL)
            goto out_of_memory;
    }
    state->L = lua_newstate(memory_allocate, state);
    if (state->L == NULL)
        goto out_of_memory;
    lua_atpanic(state->L, panic);
    lua_setwarnf(state->L, warned, state);
    tael_state_watch_heap(state);
    *(struct tael_task **)lua_getextraspace(state->L) = NULL; /* copied to every coroutine */
    struct tael_state_options copy = *options;
    rc = tael_state_call(state, install, &copy, err);
    if (rc != TAEL_OK)
        goto free_state;
    *out = state;
    return TAEL_OK;
out_of_memory:
    rc = set_error(err, TAEL_ENOMEM, "out_of_memory", "out of memory");
free_state:
    tael_state_free(state);
    return rc;
}

void tael_state_free(struct tael_state *state)
{
    if (state == NULL)
        return;
    state->closing = true;
    if (state->L != NULL) {
        tael_task_end_all(state);
        lua_close(state->L);
    }
    tael_pool_free(&state->pool);
    tael_timer_free(state->rest);
    tael_timer_free(state->timer);
    free(state);
}

/* ---- access ---- */

struct tael_state *tael_state_of(lua_State *L)
{
    void *user = NULL;
    return lua_getallocf(L, &user) == memory_allocate ? user : NULL;
}

lua_State *tael_state_lua(struct tael_state *state)
{
    return state->L;
}

void *tael_state_host(struct tael_state *state)
{
    return state != NULL ? state->host : NULL;
}

struct tael_loop *tael_state_loop(struct tael_state *state)
{
    return state != NULL ? state->loop : NULL;
}

struct tael_log *tael_state_log(struct tael_state *state)
{
    return state != NULL ? state->log : NULL;
}

size_t tael_state_memory(const struct tael_state *state)
{
    return state->memory_used;
}

size_t tael_state_tasks(const struct tael_state *state)
{
    return state->tasks;
}

/* ---- protected calls ---- */

tael_status tael_state_call(struct tael_state *state, lua_CFunction fn, void *arg, tael_error *err)
{
    lua_State *L = state->L;
    if (!lua_checkstack(L, LUA_MINSTACK))
        return set_error(err, TAEL_ENOMEM, "out_of_memory", "out of memory");
    unsigned context = state->context;
    state->context = TAEL_CTX_LOAD;
    int top = lua_gettop(L);
    lua_pushcfunction(L, with_traceback);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    tael_status rc = take_error(L, lua_pcall(L, 1, 0, top + 1), err);
    lua_settop(L, top);
    state->context = context;
    return rc;
}

struct preload {
    const char *name;
    lua_CFunction open;
};

static int preload(lua_State *L)
{
    const struct preload *module = lua_touserdata(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, module->open);
    lua_setfield(L, -2, module->name);
    return 0;
}

tael_status tael_state_preload(struct tael_state *state, const char *name, lua_CFunction open)
{
    struct preload module = {name, open};
    return tael_state_call(state, preload, &module, NULL);
}
