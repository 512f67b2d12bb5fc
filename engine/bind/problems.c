/* problems.c - tael.problems: what the engine calls the problems that it answers itself. Contract:
 * lua/tael/meta/problems.lua. */
#include <lauxlib.h>

#include "bind/bind.h"
#include "net/http_problem.h"

/* problems.titles() -> { code = title, … } */
static int problems_titles(lua_State *L)
{
    size_t count = 0;
    const struct tael_http_title *titles = tael_http_titles(&count);
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, titles[i].title);
        lua_setfield(L, -2, titles[i].code);
    }
    return 1;
}

int tael_open_problems(lua_State *L)
{
    static const luaL_Reg functions[] = {{"titles", problems_titles}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
