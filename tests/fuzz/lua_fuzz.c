/* lua_fuzz.c - bytes to a Lua function that checks what must hold of them.
 *
 * FUZZ names the target: tests/fuzz/NAME_fuzz.lua returns function(bytes), which raises when
 * something does not hold. Real modules, one Lua state with a bound of memory for all inputs. For
 * libFuzzer the lines of Lua that run count as covered, beside what it sees of C itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int luaopen_tael_modules(lua_State *L);

enum { LINES = 1 << 16, MEMORY_MAX = 256 * 1024 * 1024 };

#ifdef REPLAY
#define LEAKS_ARE_FINE() (void)0
#define LEAKS_COUNT()    (void)0
#else
#include <sanitizer/lsan_interface.h>
#define LEAKS_ARE_FINE() __lsan_disable()
#define LEAKS_COUNT()    __lsan_enable()

/* libFuzzer looks for features in this section, too */
__attribute__((section("__libfuzzer_extra_counters"))) static unsigned char lines[LINES];

static void on_line(lua_State *L, lua_Debug *at)
{
    lua_getinfo(L, "S", at);
    size_t hash = (size_t)at->currentline * 2654435761u;
    for (const char *c = at->short_src; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    unsigned char *line = &lines[(hash ^ hash >> 16) % LINES];
    if (*line < 255)
        ++*line;
}
#endif

static size_t memory; /* of the state */

static void *bounded(void *user, void *block, size_t before, size_t after)
{
    (void)user;
    before = block != NULL ? before : 0;
    if (after > before && memory - before + after > MEMORY_MAX)
        return NULL;
    void *moved = after > 0 ? realloc(block, after) : NULL;
    if (after == 0)
        free(block);
    if (moved != NULL || after == 0)
        memory += after - before;
    return moved;
}

static void fail(lua_State *L)
{
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
}

static int trace(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* At 1 the handler of errors, at 2 the function of the target. */
static lua_State *open_state(void)
{
    char file[256];
    const char *name = getenv("FUZZ");
    lua_State *L = lua_newstate(bounded, NULL);
    if (L == NULL || name == NULL) {
        fputs("FUZZ must name a target\n", stderr);
        abort();
    }
    snprintf(file, sizeof(file), "tests/fuzz/%s_fuzz.lua", name);
    luaL_openlibs(L);
    luaL_requiref(L, "tael_modules", luaopen_tael_modules, 0);
    lua_settop(L, 0);
    lua_pushcfunction(L, trace);
    if (luaL_dostring(L, "package.path = 'lua/?.lua;lua/?/init.lua;./?.lua'") != LUA_OK ||
        luaL_loadfile(L, file) != LUA_OK || lua_pcall(L, 0, 1, 1) != LUA_OK)
        fail(L);
#ifndef REPLAY
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
#endif
    return L;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static lua_State *L;
    if (L == NULL) {
        LEAKS_ARE_FINE(); /* OpenSSL's generators lie in memory that LSan does not see */
        L = open_state();
        LEAKS_COUNT();
    }
    lua_pushvalue(L, 2);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 0, 1) != LUA_OK)
        fail(L);
    lua_settop(L, 2);
    return 0;
}
