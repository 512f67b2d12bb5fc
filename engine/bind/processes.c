/* processes.c - see processes.h; and where tael-script is: beside the program or library that this
 * is part of, or where `make install` puts it.
 */
#include "bind/processes.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>
#include <unistd.h>

#include <dlfcn.h>
#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/wire.h"

enum { MAX = 64 /* processes of a worker */ };

static const char box_key; /* its address names the box in the registry */

struct box {
    struct tael_children *children;
};

static int free_box(lua_State *L)
{
    struct box *box = lua_touserdata(L, 1);
    tael_children_free(box->children);
    box->children = NULL;
    return 0;
}

static struct box *find_box(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &box_key);
    struct box *box = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return box;
}

static struct box *make_box(lua_State *L)
{
    struct box *box = lua_newuserdatauv(L, sizeof(*box), 0);
    box->children = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_box);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
    return box;
}

struct tael_children *tael_processes_check(lua_State *L)
{
    struct box *box = find_box(L);
    if (box == NULL || box->children == NULL)
        luaL_error(L, "generation:ask: there are no processes for scripts (isolate.processes)");
    return box->children;
}

void tael_processes_distrust(lua_State *L, struct tael_span owner)
{
    struct box *box = find_box(L);
    if (box != NULL && box->children != NULL)
        tael_children_distrust(box->children, owner);
}

void tael_processes_end(lua_State *L, struct tael_span owner)
{
    struct box *box = find_box(L);
    if (box != NULL && box->children != NULL)
        tael_children_end(box->children, owner);
}

/* ---- the program ---- */

static bool find_program(char out[PATH_MAX])
{
    static const char *const places[] = {"tael-script", "../tael-script",
                                         "../libexec/tael/tael-script"};
    char self[PATH_MAX];
    Dl_info info;
    if (dladdr(&box_key, &info) == 0 || info.dli_fname == NULL ||
        (realpath(info.dli_fname, self) == NULL && realpath("/proc/self/exe", self) == NULL))
        return false;
    *(strrchr(self, '/') + 1) = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        int len = snprintf(out, PATH_MAX, "%s%s", self, places[i]);
        if (len > 0 && len < PATH_MAX && access(out, X_OK) == 0)
            return true;
    }
    return false;
}

/* ---- Lua ---- */

static lua_Integer field_integer(lua_State *L, const char *name, lua_Integer otherwise)
{
    lua_getfield(L, 1, name);
    lua_Integer value = luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

/* A process would end at once (child/seal.c) and could not say why. Where the limit cannot be read
 * it is left to try. */
static bool has_stack(void)
{
    struct rlimit stack;
    return getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_max == RLIM_INFINITY ||
           stack.rlim_max >= TAEL_WIRE_STACK;
}

/* isolate.processes{max=, program=, anywhere=} -> true | nil, err */
int tael_isolate_processes(lua_State *L)
{
    char found[PATH_MAX];
    const struct tael_host *host = tael_host_check(L, "isolate.processes");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_Integer max = field_integer(L, "max", MAX);
    luaL_argcheck(L, max >= 1 && max <= 10000, 1, "max is 1 to 10000");
    lua_getfield(L, 1, "anywhere");
    lua_getfield(L, 1, "program");
    if (find_box(L) != NULL)
        return luaL_error(L, "isolate.processes: there are such already");
    struct tael_children_options options = {.loop = host->loop,
                                            .log = host->log,
                                            .max = (size_t)max,
                                            .anywhere = lua_toboolean(L, 2),
                                            .program = luaL_optstring(L, 3, NULL)};
    if (host->world->simulated)
        return tael_bind_fail(L, "unavailable", "there are no processes in a simulated world");
    if (options.program == NULL && find_program(found))
        options.program = found;
    if (options.program == NULL)
        return tael_bind_fail(L, "not_found",
                              "tael-script is neither beside the engine nor in libexec/tael");
    if (!has_stack())
        return tael_bind_fail(
            L, "unavailable",
            "its processes need 8 MiB of stack each, and the limit is below that: "
            "raise it (ulimit -Hs, LimitSTACK= of systemd)");
    tael_status rc = tael_children_new(&make_box(L)->children, &options);
    if (rc != TAEL_OK) {
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
        lua_pushfstring(L, "%s cannot be started: %s", options.program, tael_status_text(rc));
        return tael_bind_fail(L, "unavailable", lua_tostring(L, -1));
    }
    lua_pushboolean(L, 1);
    return 1;
}
