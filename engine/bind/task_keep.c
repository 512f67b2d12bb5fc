/* task_keep.c - tael.task.keep: work that goes on until the state ends, whatever becomes of one
 * round of it: an error, no memory even for beginning a round.
 *
 * A keeper is a userdata that the registry holds until the state is closed; all that it needs
 * between two rounds is there when keep returns. At most one round of it is under way.
 */
#include <lauxlib.h>

#include "bind/bind.h"

enum { PAUSE_MIN_MS = 1, PAUSE_MAX_MS = 24 * 3600 * 1000 };

struct keeper {
    struct tael_state *state;
    struct tael_log *log;
    struct tael_timer *timer; /* to the next round */
    int64_t pause_us;
    int64_t scope;
    int fn;           /* anchors in the registry */
    const char *name; /* of a string that name_ref holds */
    int name_ref;
};

static int prepare_round(lua_State *L, void *arg)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, ((struct keeper *)arg)->fn);
    return 1;
}

static void begin_round(void *user);

static void round_done(void *user, tael_status status, lua_State *L, int count, const char *message)
{
    (void)L, (void)count;
    struct keeper *keeper = user;
    if (status == TAEL_ECLOSED)
        return; /* the state ends */
    if (status != TAEL_OK)
        TAEL_LOG(keeper->log, TAEL_LOG_ERROR, "job.failed", tael_log_text("job", keeper->name),
                 tael_log_text("message", message));
    tael_timer_start(keeper->timer, keeper->pause_us);
}

static void begin_round(void *user)
{
    struct keeper *keeper = user;
    struct tael_task *task = NULL;
    tael_status rc =
        tael_task_spawn(keeper->state, prepare_round, keeper, round_done, keeper, &task);
    if (rc == TAEL_OK)
        tael_task_set_scope(task, keeper->scope);
    else if (rc != TAEL_ECLOSED)
        tael_timer_start(keeper->timer, keeper->pause_us);
}

static int keeper_close(lua_State *L)
{
    struct keeper *keeper = luaL_checkudata(L, 1, "tael.task.keeper");
    tael_timer_free(keeper->timer);
    keeper->timer = NULL;
    return 0;
}

/* task.keep(name, pause_ms, fn) */
int tael_task_keep(lua_State *L)
{
    tael_refuse_pure(L, "task.keep");
    const struct tael_task *parent = tael_task_here(L);
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_Integer pause_ms = luaL_checkinteger(L, 2);
    luaL_argcheck(L, pause_ms >= PAUSE_MIN_MS && pause_ms <= PAUSE_MAX_MS, 2, "1 ms to one day");
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    struct keeper *keeper = lua_newuserdatauv(L, sizeof(*keeper), 0);
    *keeper = (struct keeper){.state = tael_state_of(L),
                              .log = tael_state_log(tael_state_of(L)),
                              .pause_us = pause_ms * 1000,
                              .scope = parent != NULL ? tael_task_scope(parent) : 0,
                              .name = lua_tostring(L, 1)};
    luaL_setmetatable(L, "tael.task.keeper");
    keeper->timer = tael_timer_new(tael_state_loop(keeper->state), begin_round, keeper);
    if (keeper->timer == NULL)
        return luaL_error(L, "task.keep: out of memory");
    luaL_ref(L, LUA_REGISTRYINDEX);
    keeper->fn = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 1);
    keeper->name_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    tael_timer_start(keeper->timer, 0);
    return 0;
}

void tael_open_task_keep(lua_State *L)
{
    luaL_newmetatable(L, "tael.task.keeper");
    lua_pushcfunction(L, keeper_close);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
