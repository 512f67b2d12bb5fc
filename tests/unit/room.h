/* room.h - a simulated world with one trusted state and its log, and tasks whose ends are
 * remembered. */
#ifndef TAEL_TESTS_ROOM_H
#define TAEL_TESTS_ROOM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/log.h"
#include "base/sim.h"
#include "bind/bind.h"
#include "script/state.h"

enum { LOG_SIZE = 64 * 1024, TEXT_SIZE = 4352 };

#define ROOM_START_MS INT64_C(1700000000000)

/* ---- a world with one state ---- */

struct room {
    struct tael_world *world;
    struct tael_loop *loop;
    struct tael_log *log;
    struct tael_state *state;
    struct tael_host host;
    char lines[LOG_SIZE];
    size_t lines_len;
};

static inline void keep_line(void *user, tael_log_level level, const char *line, size_t len)
{
    (void)level;
    struct room *room = user;
    if (len < LOG_SIZE - room->lines_len) {
        memcpy(room->lines + room->lines_len, line, len);
        room->lines_len += len;
        room->lines[room->lines_len] = '\0';
    }
}

/* modules: ends with {NULL, NULL}. */
static inline void room_open_with(struct room *room, const luaL_Reg *modules, size_t memory_max,
                                  const char *lua_root)
{
    *room = (struct room){.world = NULL};
    struct tael_sim_options sim = {.seed = 7, .start_ms = ROOM_START_MS};
    tael_error err = {.message = ""};
    if (tael_sim_new(&room->world, &sim) != TAEL_OK ||
        tael_loop_new(room->world, &room->loop) != TAEL_OK)
        abort();
    struct tael_log_options log = {
        .world = room->world, .level = TAEL_LOG_DEBUG, .write = keep_line, .user = room};
    if (tael_log_new(&room->log, &log) != TAEL_OK)
        abort();
    room->host = (struct tael_host){
        .world = room->world, .loop = room->loop, .log = room->log, .worker = 1, .workers = 1};
    struct tael_state_options options = {.loop = room->loop,
                                         .log = room->log,
                                         .lua_root = lua_root,
                                         .memory_max = memory_max,
                                         .host = &room->host};
    if (tael_state_new(&room->state, &options, &err) != TAEL_OK) {
        printf("# %s\n", err.message);
        abort();
    }
    for (; modules->name != NULL; modules++)
        if (tael_state_preload(room->state, modules->name, modules->func) != TAEL_OK)
            abort();
}

static inline void room_close(struct room *room)
{
    tael_state_free(room->state);
    tael_loop_free(room->loop);
    tael_log_free(room->log);
    tael_world_free(room->world);
}

static inline void room_run(struct room *room)
{
    tael_sim_run(room->world, ROOM_START_MS + INT64_C(1000) * 60 * 60 * 24 * 2);
}

/* ---- what became of a task ---- */

struct outcome {
    int calls;
    tael_status status;
    int count;
    char text[TEXT_SIZE]; /* first result or message */
    size_t text_len;
    struct tael_task *task;
    bool raise; /* done itself raises */
};

static inline void task_done(void *user, tael_status status, lua_State *L, int count,
                             const char *message)
{
    struct outcome *outcome = user;
    outcome->calls++;
    outcome->status = status;
    outcome->count = count;
    size_t len = 0;
    const char *text = message;
    if (status == TAEL_OK && count > 0)
        text = luaL_tolstring(L, -count, &len);
    else if (message != NULL)
        len = strlen(message);
    outcome->text_len = len;
    if (len > sizeof(outcome->text) - 1)
        len = sizeof(outcome->text) - 1;
    if (len > 0)
        memcpy(outcome->text, text, len);
    outcome->text[len] = '\0';
    if (outcome->raise)
        luaL_error(L, "done raises");
}

static inline int prepare_text(lua_State *L, void *arg)
{
    if (luaL_loadbufferx(L, arg, strlen(arg), "@task.lua", "t") != LUA_OK)
        return lua_error(L);
    lua_pushliteral(L, "first");
    lua_pushinteger(L, 42);
    return 3;
}

static inline struct tael_task *start(struct room *room, struct outcome *outcome, const char *text)
{
    *outcome = (struct outcome){.calls = 0};
    union {
        const char *in;
        void *out;
    } arg = {.in = text};
    if (tael_task_spawn(room->state, prepare_text, arg.out, task_done, outcome, &outcome->task) !=
        TAEL_OK)
        return NULL;
    return outcome->task;
}

static inline struct outcome run(struct room *room, const char *text)
{
    struct outcome outcome;
    start(room, &outcome, text);
    room_run(room);
    return outcome;
}

#endif
