/* ask.c - see ask.h. Each call is a run of its own: one that raises resets its coroutine alone.
 *
 * What is loaded stands in the isolate's registry by module, so that each file is loaded once.
 */
#include <stdio.h>

#include <lauxlib.h>

#include "bind/ask_inner.h"
#include "bind/plain_late.h"
#include "script/late.h"
#include "script/source.h"

enum { INPUT_BYTES = 16 /* for one step: most are only copied */ };

static const char loaded_key; /* its address names the table of loaded modules in the registry */

struct tael_ask *tael_ask_of(lua_State *L)
{
    struct tael_run *run = tael_run_here(L);
    return (struct tael_ask *)((char *)run - offsetof(struct tael_ask, run));
}

void tael_ask_push_span(lua_State *L, struct tael_span span)
{
    lua_pushlstring(L, span.len > 0 ? span.data : "", span.len);
}

/* ---- files, in a run ---- */

static void push_loaded(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
}

/* Pushes the file as a function, in an environment of its own. */
static void push_chunk(lua_State *L, const struct tael_generation *generation,
                       const struct tael_generation_file *file)
{
    char flaw[160];
    bool own = tael_place_is_own(file->path.data, file->path.len);
    lua_pushliteral(L, "@");
    tael_ask_push_span(L, own ? (struct tael_span){"", 0} : generation->name);
    lua_pushstring(L, own ? "" : "/");
    tael_ask_push_span(L, file->path);
    lua_concat(L, 4);
    tael_isolate_charge(L, (int64_t)file->text.len);
    if (!tael_source_check(file->text, flaw, sizeof(flaw)))
        luaL_error(L, "%s:%s", lua_tostring(L, -1) + 1, flaw + strlen("line "));
    lua_pushcfunction(L, tael_ask_require);
    tael_confine_push_environment(L);
    tael_isolate_load(L, file->text, lua_tostring(L, -2), &tael_ask_of(L)->out);
    lua_remove(L, -2);
}

/* Stack: 1 the module's path, 2 loaded, top what the file gave. */
static int keep_module(lua_State *L, int status, lua_KContext context)
{
    (void)status, (void)context;
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, 2);
    return 1;
}

static int run_call(lua_State *L);

/* Is the module whose path is at index 1 being loaded in this very run? Its path is the first value
 * of whoever loads it. */
static bool is_loading(lua_State *L)
{
    lua_Debug at;
    bool found = false;
    for (int level = 1; !found && lua_getstack(L, level, &at) != 0; level++) {
        tael_isolate_charge(L, 1);
        lua_getinfo(L, "f", &at);
        lua_CFunction function = lua_tocfunction(L, -1);
        lua_pop(L, 1);
        if ((function != tael_ask_require && function != run_call) ||
            lua_getlocal(L, &at, 1) == NULL)
            continue;
        found = lua_rawequal(L, -1, 1);
        lua_pop(L, 1);
    }
    return found;
}

int tael_ask_require(lua_State *L)
{
    const struct tael_ask *ask = tael_ask_of(L);
    size_t len;
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *name = lua_tolstring(L, 1, &len);
    const struct tael_generation_file *file =
        tael_generation_module(ask->generation, (struct tael_span){name, len});
    if (file == NULL && strcmp(name, "tael") != 0)
        return luaL_error(
            L, "module '%s' is not here: there are 'tael' and the files of %s", name,
            lua_pushlstring(L, ask->generation->name.data, ask->generation->name.len));
    lua_settop(L, 0);
    if (file == NULL)
        lua_pushliteral(L, "tael");
    else
        tael_ask_push_span(L, file->path);
    push_loaded(L);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL)
        return 1;
    if (file == NULL) {
        tael_ask_push_tael(L, ask->generation);
        return keep_module(L, LUA_OK, 0);
    }
    if (is_loading(L))
        return luaL_error(L, "'%s' requires itself", lua_tostring(L, 1));
    lua_settop(L, 2);
    push_chunk(L, ask->generation, file);
    lua_callk(L, 0, 1, 0, keep_module);
    return keep_module(L, LUA_OK, 0);
}

bool tael_ask_loads(lua_State *L)
{
    lua_Debug at;
    bool found = tael_ask_of(L)->loading;
    for (int level = 1; !found && lua_getstack(L, level, &at) != 0; level++) {
        tael_isolate_charge(L, 1);
        lua_getinfo(L, "f", &at);
        found = lua_tocfunction(L, -1) == tael_ask_require;
        lua_pop(L, 1);
    }
    return found;
}

/* ---- a call, in a run ---- */

static int fail(lua_State *L, struct tael_ask *ask, enum tael_ask_end end, const char *text)
{
    ask->calls[ask->at].end = end;
    lua_pushstring(L, text);
    return lua_error(L);
}

/* The results are what is on the stack above `below`. */
static int write_results(lua_State *L, struct tael_ask *ask, int below)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct tael_ask_call *call = &ask->calls[ask->at];
    int count = lua_gettop(L) - below;
    call->from = ask->out.len;
    call->results = count < TAEL_ASK_RESULTS_MAX ? count : TAEL_ASK_RESULTS_MAX;
    for (int i = 1; i <= call->results; i++) {
        tael_status rc = tael_plain_write(L, below + i, &limits, &ask->out, ask->fault);
        if (rc == TAEL_OK)
            continue;
        ask->out.len = call->from;
        if (rc == TAEL_ENOMEM)
            return luaL_error(L, "not enough memory");
        tael_ask_push_span(L, call->name);
        lua_pushfstring(L, "%s: result %d %s", lua_tostring(L, -1), i, ask->fault);
        return fail(L, ask, TAEL_ASK_SHAPE, lua_tostring(L, -1));
    }
    call->len = ask->out.len - call->from;
    call->end = TAEL_ASK_DONE;
    return 0;
}

static int called(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    return write_results(L, (struct tael_ask *)context, 2);
}

static int describe(lua_State *L, struct tael_ask *ask)
{
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "the table of functions has a key that is no name");
        lua_pushvalue(L, -2);
        lua_pushstring(L, luaL_typename(L, -2));
        lua_rawset(L, 3);
    }
    return write_results(L, ask, 2);
}

/* Stack: 1 the entry's path, 2 what it gave. */
static int call_function(lua_State *L, struct tael_ask *ask)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    const struct tael_ask_call *call = &ask->calls[ask->at];
    if (!lua_istable(L, 2)) {
        tael_ask_push_span(L, ask->generation->name);
        return luaL_error(L, "%s/%s must return a table of functions", lua_tostring(L, -1),
                          lua_tostring(L, 1));
    }
    tael_late_fill(L, 2);
    if (call->name.len == 0)
        return describe(L, ask);
    tael_ask_push_span(L, call->name);
    if (lua_rawget(L, 2) != LUA_TFUNCTION)
        return fail(L, ask, TAEL_ASK_ABSENT, "there is no such function");
    for (size_t i = 0; i < call->arg_count; i++) {
        struct tael_span input = ask->inputs[call->args[i]];
        tael_isolate_charge(L, (int64_t)input.len / INPUT_BYTES + 1);
        if (!tael_plain_push_late(L, input, &limits))
            return luaL_error(L, "what was to be handed over cannot be read");
    }
    lua_callk(L, (int)call->arg_count, LUA_MULTRET, (lua_KContext)ask, called);
    return called(L, LUA_OK, (lua_KContext)ask);
}

/* Stack: 1 the entry's path, 2 what it gave. What was loaded has its own budget. */
static int entry_loaded(lua_State *L, int status, lua_KContext context)
{
    struct tael_ask *ask = (struct tael_ask *)context;
    push_loaded(L);
    lua_insert(L, 2);
    keep_module(L, status, context);
    lua_remove(L, 2);
    ask->used += TAEL_ASK_LOAD_STEPS - ask->run.steps;
    ask->run.steps = ask->kept;
    ask->loading = false;
    return call_function(L, ask);
}

static int run_call(lua_State *L)
{
    struct tael_ask *ask = lua_touserdata(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, "call");
    lua_settop(L, 0);
    tael_ask_push_span(L, ask->entry);
    push_loaded(L);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL) {
        lua_remove(L, 2);
        return call_function(L, ask);
    }
    const struct tael_generation_file *file = tael_generation_find(ask->generation, ask->entry);
    if (file == NULL)
        return fail(L, ask, TAEL_ASK_ABSENT, "there is no such file");
    lua_settop(L, 1);
    ask->kept = ask->run.steps;
    ask->loading = true;
    ask->run.steps = TAEL_ASK_LOAD_STEPS;
    push_chunk(L, ask->generation, file);
    lua_callk(L, 0, 1, (lua_KContext)ask, entry_loaded);
    return entry_loaded(L, LUA_OK, (lua_KContext)ask);
}

/* ---- all calls ---- */

/* The calls that led to what was raised, the innermost first. */
static void tell_stack(struct tael_ask *ask)
{
    lua_State *co = ask->run.co;
    size_t len = 0;
    lua_Debug at;
    ask->stack[0] = '\0';
    for (int level = 0; lua_getstack(co, level, &at) != 0; level++) {
        lua_getinfo(co, "nSl", &at);
        if (at.currentline <= 0 || tael_place_is_own(at.short_src, strlen(at.short_src)))
            continue;
        bool named = at.name != NULL;
        int more = snprintf(ask->stack + len, sizeof(ask->stack) - len, "\n  %s:%d: in %s%s%.40s%s",
                            at.short_src, at.currentline, named ? at.namewhat : "a function",
                            named ? " '" : "", named ? at.name : "", named ? "'" : "");
        if (more < 0 || len + (size_t)more >= sizeof(ask->stack))
            break;
        len += (size_t)more;
    }
    ask->stack[len] = '\0'; /* whole lines */
}

static void put_fault(struct tael_ask *ask, enum tael_ask_end end, const char *text)
{
    struct tael_ask_call *call = &ask->calls[ask->at];
    if (call->end == TAEL_ASK_DONE)
        call->end = end;
    call->results = 0;
    call->from = ask->out.len;
    if (tael_buf_append_text(&ask->out, text) != TAEL_OK)
        call->end = TAEL_ASK_MEMORY;
    call->len = ask->out.len - call->from;
}

static void put_raised(struct tael_ask *ask)
{
    struct tael_ask_call *call = &ask->calls[ask->at];
    put_fault(ask, TAEL_ASK_RAISED, ask->run.fault);
    if (ask->effects && tael_buf_append_text(&ask->out, ask->stack) == TAEL_OK)
        call->len = ask->out.len - call->from;
}

/* This call and all behind it. */
static enum tael_run_state give_up(struct tael_ask *ask, enum tael_run_state state,
                                   enum tael_ask_end end, const char *text)
{
    for (; ask->at < ask->call_count; ask->at++)
        put_fault(ask, end, text);
    return state;
}

/* What a run that has ended means for its call, and for those behind it. */
static enum tael_run_state take_end(struct tael_ask *ask, enum tael_run_state state)
{
    if (state == TAEL_RUN_SPENT)
        return give_up(ask, state, TAEL_ASK_SPENT, ask->run.fault);
    if (state == TAEL_RUN_MEMORY)
        return give_up(ask, state, TAEL_ASK_MEMORY, ask->run.fault);
    if (state == TAEL_RUN_RAISED && ask->loading) /* there is nothing to be asked */
        return give_up(ask, TAEL_RUN_DONE, TAEL_ASK_RAISED, ask->run.fault);
    if (state == TAEL_RUN_RAISED)
        put_raised(ask);
    ask->at++;
    return TAEL_RUN_DONE;
}

/* Steps of the run under way. Time for which it is not ended is taken from others all the same. */
static int64_t in_run(const struct tael_ask *ask)
{
    return (ask->loading ? TAEL_ASK_LOAD_STEPS : ask->steps) - ask->run.steps + ask->run.pardoned;
}

int64_t tael_ask_used(const struct tael_ask *ask)
{
    return ask->used + (ask->open ? in_run(ask) : 0);
}

static enum tael_run_state go_on(struct tael_ask *ask)
{
    enum tael_run_state state = TAEL_RUN_DONE;
    while (state == TAEL_RUN_DONE && ask->at < ask->call_count) {
        bool begins = !ask->open;
        if (begins && tael_run_begin(&ask->run, ask->isolate, ask->steps, ask->whole) != TAEL_OK)
            return give_up(ask, TAEL_RUN_MEMORY, TAEL_ASK_MEMORY, "not enough memory");
        ask->open = true;
        state = tael_run_go(&ask->run, begins ? run_call : NULL, ask);
        if (state == TAEL_RUN_PAUSED || state == TAEL_RUN_WAITS)
            return state;
        if (state == TAEL_RUN_RAISED && ask->effects > 0)
            tell_stack(ask);
        ask->used += in_run(ask);
        ask->steps = ask->run.steps;
        tael_ask_end(ask);
        state = take_end(ask, state);
    }
    return state;
}

enum tael_run_state tael_ask_begin(struct tael_ask *ask, struct tael_isolate *isolate)
{
    ask->isolate = isolate;
    ask->at = 0;
    ask->used = 0;
    ask->open = ask->loading = false;
    ask->effects_left = ask->effects;
    tael_buf_clear(&ask->out);
    for (size_t i = 0; i < ask->call_count; i++)
        ask->calls[i].end = TAEL_ASK_DONE;
    return go_on(ask);
}

enum tael_run_state tael_ask_go(struct tael_ask *ask)
{
    return go_on(ask);
}

void tael_ask_end(struct tael_ask *ask)
{
    if (ask->open)
        tael_run_end(&ask->run);
    ask->open = false;
}
