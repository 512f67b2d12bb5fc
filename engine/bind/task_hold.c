/* task_hold.c - tael.task.hold: work that belongs to no request, and for which a stop waits all the
 * same, until its deadline.
 *
 * What is held is counted by the worker's host; the last one that is let go while the engine drains
 * may be what the drain waits for.
 */
#include <lauxlib.h>

#include "bind/bind.h"

#define HELD "tael.task.held"

struct held {
    struct tael_host *host; /* NULL: it was let go */
};

static int let_go(lua_State *L)
{
    struct held *held = luaL_checkudata(L, 1, HELD);
    struct tael_host *host = held->host;
    held->host = NULL;
    if (host == NULL)
        return 0;
    host->held--;
    if (host->let_go != NULL)
        host->let_go(host);
    return 0;
}

/* task.hold() -> to be closed | nil: a stop has begun */
int tael_task_hold(lua_State *L)
{
    tael_refuse_pure(L, "task.hold");
    struct tael_host *host = tael_host_check(L, "task.hold");
    if (host->draining)
        return 0;
    struct held *held = lua_newuserdatauv(L, sizeof(*held), 0);
    held->host = NULL;
    luaL_setmetatable(L, HELD);
    held->host = host;
    host->held++;
    return 1;
}

void tael_open_task_hold(lua_State *L)
{
    luaL_newmetatable(L, HELD);
    lua_pushcfunction(L, let_go);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, let_go);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
