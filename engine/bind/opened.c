/* opened.c - a call that may have effects: generation:open, and what it gives. Contract:
 * lua/tael/meta/isolate.lua.
 *
 * Between two turns of such a call its isolate stays lent, and its coroutine waits; others may use
 * the isolate meanwhile. Who opened it performs its effects, and closes it whatever happens.
 */
#include <stdlib.h>

#include <lauxlib.h>

#include "bind/asking.h"
#include "bind/bind.h"
#include "bind/processes.h"

#define OPENED "tael.opened"

enum { EFFECTS_MAX = 100000 };

/* generation:open(entry, {name, number of an input, …}, inputs, steps [, effects]) -> opened */
int tael_generation_open(lua_State *L)
{
    lua_settop(L, EFFECTS_AT);
    const struct generation *generation = tael_asking_check_generation(L);
    luaL_checktype(L, ENTRY_AT, LUA_TSTRING);
    luaL_checktype(L, CALLS_AT, LUA_TTABLE);
    luaL_checktype(L, INPUTS_AT, LUA_TTABLE);
    lua_Integer steps = tael_asking_check_steps(L);
    lua_Integer effects = luaL_optinteger(L, EFFECTS_AT, TAEL_ASK_EFFECTS);
    luaL_argcheck(L, effects >= 1 && effects <= EFFECTS_MAX, EFFECTS_AT, "1 to 100,000");
    struct asking *asking = lua_newuserdatauv(L, sizeof(*asking), 1);
    *asking =
        (struct asking){.inputs.max = SIZE_MAX, .given.max = SIZE_MAX, .ask.out.max = SIZE_MAX};
    luaL_setmetatable(L, OPENED);
    lua_createtable(L, 3, 0);
    for (int at = GENERATION_AT; at <= CALLS_AT; at++) { /* the texts are theirs */
        lua_pushvalue(L, at);
        lua_rawseti(L, -2, at);
    }
    lua_setiuservalue(L, -2, 1);
    struct tael_ask *ask = &asking->ask;
    ask->generation = &generation->of;
    ask->entry.data = lua_tolstring(L, ENTRY_AT, &ask->entry.len);
    ask->steps = steps;
    ask->effects = (int)effects;
    ask->memory = generation->memory;
    asking->process = generation->process;
    tael_asking_read_inputs(L, asking);
    lua_pushvalue(L, CALLS_AT);
    tael_asking_read_call(L, ask, &ask->calls[0]);
    ask->call_count = 1;
    return 1;
}

/* ---- what a turn gives ---- */

static int push_failed(lua_State *L, enum tael_ask_end end, const char *why, size_t len)
{
    lua_pushliteral(L, "failed");
    lua_pushstring(L, tael_asking_kind(end));
    tael_asking_push_told(L, (struct tael_span){why, len});
    return 3;
}

static int push_nonsense(lua_State *L, struct asking *asking)
{
    static const char why[] = "its process has answered what is not plain data";
    asking->at = ASKING_OVER;
    tael_children_cancel(&asking->sent);
    tael_processes_distrust(L, tael_generation_group(asking->ask.generation));
    return push_failed(L, TAEL_ASK_CRASHED, why, sizeof(why) - 1);
}

/* Pushes count plain values. False: they cannot be read, and nothing is pushed. */
static bool push_values(lua_State *L, const struct tael_ask *ask, size_t from, size_t len,
                        int count)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct tael_cursor at = tael_cursor_of(len > 0 ? ask->out.data + from : "", len);
    int top = lua_gettop(L);
    for (int i = 0; i < count; i++)
        if (!tael_plain_push(L, &at, &limits)) {
            lua_settop(L, top);
            return false;
        }
    return true;
}

static int push_over(lua_State *L, struct asking *asking)
{
    const struct tael_ask *ask = &asking->ask;
    const struct tael_ask_call *call = &ask->calls[0];
    asking->at = ASKING_OVER;
    if (call->end != TAEL_ASK_DONE)
        return push_failed(L, call->end, call->len > 0 ? ask->out.data + call->from : "",
                           call->len);
    lua_pushliteral(L, "done");
    if (!push_values(L, ask, call->from, call->len, call->results))
        return push_nonsense(L, asking);
    return 1 + call->results;
}

static int push_effect(lua_State *L, struct asking *asking)
{
    const struct tael_effect *effect = &asking->ask.effect;
    asking->at = ASKING_WAITS;
    lua_pushliteral(L, "effect");
    lua_pushlstring(L, effect->name.len > 0 ? effect->name.data : "", effect->name.len);
    if (!push_values(L, &asking->ask, effect->from, effect->len, effect->args))
        return push_nonsense(L, asking);
    return 2 + effect->args;
}

/* ---- in this process ---- */

static int go_on_here(lua_State *L, int status, lua_KContext context);

static int proceed(lua_State *L, struct asking *asking, enum tael_run_state state)
{
    if (state == TAEL_RUN_PAUSED) {
        tael_task_wait_last(tael_task_of(L, TAEL_CTX_TASK, "opened:go"), false);
        return lua_yieldk(L, 0, (lua_KContext)asking, go_on_here);
    }
    if (state == TAEL_RUN_WAITS)
        return push_effect(L, asking);
    tael_asking_give_back(asking, state != TAEL_RUN_DONE);
    return push_over(L, asking);
}

static int go_on_here(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct asking *asking = (struct asking *)context;
    return proceed(L, asking, tael_ask_go(&asking->ask));
}

static int go_here(lua_State *L, struct asking *asking, bool begins)
{
    asking->ask.whole = !tael_asking_may_wait(L);
    if (!begins)
        return proceed(L, asking, tael_ask_go(&asking->ask));
    tael_asking_lend(L, asking);
    return proceed(L, asking, tael_ask_begin(&asking->ask, asking->shelved->isolate));
}

/* ---- in a process ---- */

static void on_turn(struct tael_children_ask *sent)
{
    struct asking *asking = (struct asking *)((char *)sent - offsetof(struct asking, sent));
    tael_task_wake(asking->task);
}

static void undo_sent(void *op)
{
    tael_children_cancel(op);
}

static int after_turn(lua_State *L, int status, lua_KContext context)
{
    struct asking *asking = (struct asking *)context;
    (void)status;
    return asking->sent.waits ? push_effect(L, asking) : push_over(L, asking);
}

/* The call still waits: it may be told something else. */
static int push_too_large(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int go_in_process(lua_State *L, struct asking *asking, bool begins)
{
    asking->task = tael_task_of(L, TAEL_CTX_TASK, "opened:go");
    struct tael_children *children = tael_processes_check(L);
    asking->sent.ask = &asking->ask;
    asking->sent.done = on_turn;
    tael_status rc = begins ? tael_children_prepare(children, &asking->sent)
                            : tael_children_prepare_given(&asking->sent);
    if (rc == TAEL_ELIMIT && !begins)
        return push_too_large(L, "together they are larger than 4 MiB");
    if (rc == TAEL_ELIMIT)
        return luaL_error(L, "opened:go: what is to be handed over is larger than 4 MiB");
    if (rc != TAEL_OK)
        return luaL_error(L, "opened:go: %s", tael_status_text(rc));
    asking->at = ASKING_RUNS;
    tael_task_wait(asking->task, undo_sent, &asking->sent);
    if (begins)
        tael_children_put(children, &asking->sent);
    else
        tael_children_give(children, &asking->sent);
    return lua_yieldk(L, 0, (lua_KContext)asking, after_turn);
}

/* ---- a turn ---- */

static struct asking *check_opened(lua_State *L)
{
    struct asking *asking = luaL_checkudata(L, 1, OPENED);
    if (asking->at == ASKING_RUNS)
        luaL_error(L, "this call is under way");
    if (asking->at == ASKING_OVER)
        luaL_error(L, "this call is over");
    return asking;
}

static int go(lua_State *L, struct asking *asking, bool raise, int count)
{
    bool begins = asking->at == ASKING_NEW;
    asking->ask.given = (struct tael_effect_given){
        .values = {asking->given.len > 0 ? asking->given.data : "", asking->given.len},
        .count = count,
        .raise = raise};
    if (asking->process)
        return go_in_process(L, asking, begins);
    asking->at = ASKING_RUNS;
    return go_here(L, asking, begins);
}

/* opened:go(...) -> "done", … | "effect", name, … | "failed", kind, text | nil, why. ⏸ */
static int opened_go(lua_State *L)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct asking *asking = check_opened(L);
    char fault[TAEL_PLAIN_FAULT_MAX];
    int count = lua_gettop(L) - 1;
    luaL_argcheck(L, asking->at == ASKING_WAITS || count == 0, 2, "nothing was asked yet");
    tael_buf_clear(&asking->given);
    for (int i = 1; i <= count; i++) {
        tael_status rc = tael_plain_write(L, i + 1, &limits, &asking->given, fault);
        if (rc == TAEL_EINVAL)
            return push_too_large(L, lua_pushfstring(L, "result %d %s", i, fault));
        if (rc != TAEL_OK)
            return luaL_error(L, "opened:go: %s", tael_status_text(rc));
    }
    return go(L, asking, false, count);
}

/* opened:raise(text) -> as go: the text is raised where the script called. ⏸ */
static int opened_raise(lua_State *L)
{
    struct asking *asking = check_opened(L);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, asking->at == ASKING_WAITS, 1, "nothing was asked yet");
    tael_buf_clear(&asking->given);
    if (tael_buf_append(&asking->given, text, len) != TAEL_OK)
        return luaL_error(L, "opened:raise: out of memory");
    return go(L, asking, true, 0);
}

/* opened:used() -> steps so far */
static int opened_used(lua_State *L)
{
    lua_pushinteger(L, tael_asking_used(luaL_checkudata(L, 1, OPENED)));
    return 1;
}

void tael_open_opened(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"go", opened_go}, {"raise", opened_raise}, {"used", opened_used}, {NULL, NULL}};
    luaL_newmetatable(L, OPENED);
    lua_pushcfunction(L, tael_asking_free);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, tael_asking_free);
    lua_setfield(L, -2, "__close");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
