/* scripts.c - runs tests/bench/scripts.lua as a task of a trusted state on a real loop, so that
 * what merchants' scripts cost is measured without HTTP and store around it: make bench-scripts.
 *
 * Gives it bench: now() is wall time, cpu() this thread's, in ns; kill() ends the processes that
 * run scripts as a fault would, the newest of them, which is warm, not.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "bind/bind.h"
#include "net/world_uv.h"
#include "script/state.h"

enum { CHILDREN_MAX = 256 };

static lua_Integer clock_of(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (lua_Integer)at.tv_sec * 1000000000 + at.tv_nsec;
}

static int bench_now(lua_State *L)
{
    lua_pushinteger(L, clock_of(CLOCK_MONOTONIC));
    return 1;
}

static int bench_cpu(lua_State *L)
{
    lua_pushinteger(L, clock_of(CLOCK_THREAD_CPUTIME_ID));
    return 1;
}

static int bench_kill(lua_State *L)
{
    pid_t pids[CHILDREN_MAX];
    int count = 0;
    FILE *file = fopen("/proc/thread-self/children", "r");
    while (file != NULL && count < CHILDREN_MAX && fscanf(file, "%d", &pids[count]) == 1)
        count++;
    if (file != NULL)
        fclose(file);
    for (int i = 0; i < count - 1; i++)
        kill(pids[i], SIGSEGV);
    lua_pushinteger(L, count - 1);
    return 1;
}

static int open_bench(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", bench_now}, {"cpu", bench_cpu}, {"kill", bench_kill}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

static int prepare(lua_State *L, void *arg)
{
    const char *const *args = arg;
    if (luaL_loadfilex(L, "tests/bench/scripts.lua", "t") != LUA_OK)
        return lua_error(L);
    lua_pushstring(L, args[0]);
    lua_pushstring(L, args[1]);
    if (args[2] == NULL)
        return 3;
    lua_pushinteger(L, atoi(args[2])); /* asks of a round, for who counts instructions */
    return 4;
}

static bool failed;

static void done(void *user, tael_status status, lua_State *L, int count, const char *message)
{
    (void)L, (void)count;
    failed = status != TAEL_OK;
    if (failed)
        fprintf(stderr, "%s\n", message != NULL ? message : tael_status_text(status));
    tael_loop_stop(user);
}

static void write_line(void *user, tael_log_level level, const char *line, size_t len)
{
    (void)user, (void)level;
    fwrite(line, 1, len, stderr);
}

static void find_program(char *out, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", out, size - 32);
    out[len > 0 ? len : 0] = '\0';
    char *name = strrchr(out, '/');
    if (name != NULL)
        strcpy(name, "/../tael-script");
}

int main(int argc, char **argv)
{
    static const luaL_Reg modules[] = {
        {"tael.isolate", tael_open_isolate}, {"tael.json", tael_open_json},
        {"tael.log", tael_open_log},         {"tael.task", tael_open_task},
        {"tael.time", tael_open_time},       {"bench", open_bench},
    };
    char program[4096];
    const char *args[] = {program, argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : NULL};
    struct tael_host host = {.worker = 1, .workers = 1};
    struct tael_state *state = NULL;
    struct tael_task *task = NULL;
    tael_error err = {.message = ""};
    struct tael_log_options log = {.level = TAEL_LOG_ERROR, .write = write_line};
    signal(SIGPIPE, SIG_IGN);
    find_program(program, sizeof(program));
    if (tael_world_uv_new(&host.world) != TAEL_OK ||
        tael_loop_new(host.world, &host.loop) != TAEL_OK)
        return 1;
    log.world = host.world;
    if (tael_log_new(&host.log, &log) != TAEL_OK)
        return 1;
    struct tael_state_options options = {
        .loop = host.loop, .log = host.log, .lua_root = "lua", .host = &host};
    if (tael_state_new(&state, &options, &err) != TAEL_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        if (tael_state_preload(state, modules[i].name, modules[i].func) != TAEL_OK)
            return 1;
    if (tael_task_spawn(state, prepare, args, done, host.loop, &task) != TAEL_OK)
        return 1;
    tael_loop_run(host.loop);
    tael_state_free(state);
    tael_loop_free(host.loop);
    tael_log_free(host.log);
    tael_world_free(host.world);
    return failed;
}
