/* script_memory_test.c - the trusted state under its ceiling, when any allocation fails, and after
 * ten thousand tasks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "alloc_fail.h"
#include "room.h"
#include "tap.h"

static void room_open(struct room *room, size_t memory_max)
{
    static const luaL_Reg modules[] = {
        {"tael.task", tael_open_task}, {"tael.time", tael_open_time}, {NULL, NULL}};
    room_open_with(room, modules, memory_max, NULL);
}

static void memory_has_a_ceiling(void)
{
    struct room room;
    room_open(&room, 4 * 1024 * 1024);
    struct outcome outcome = run(&room, "local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end");
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ENOMEM);
    CHECK(strstr(outcome.text, "not enough memory") != NULL);
    outcome = run(&room, "return ('x'):rep(1 << 40)");
    CHECK(outcome.calls == 1 && outcome.status != TAEL_OK);
    outcome = run(&room, "local ok, why = pcall(string.rep, 'x', 100 * 1024 * 1024)\n"
                         "return tostring(ok) .. why");
    CHECK(strcmp(outcome.text, "falsenot enough memory") == 0);
    outcome =
        run(&room, "hold = ('x'):rep(3400 * 1024) local t = {} while true do t[#t + 1] = {} end");
    CHECK_NAMED(outcome.calls == 1 && outcome.status == TAEL_ENOMEM, "full to the brim");
    CHECK(strcmp(run(&room, "hold = nil collectgarbage() return 'alive'").text, "alive") == 0);
    CHECK(tael_state_memory(room.state) < 1024 * 1024);
    room_close(&room);
}

/* Every allocation of the constructor fails once: with a ceiling that rises until it suffices. */
static void construction_survives_any_failure(void)
{
    struct room room;
    room_open(&room, 0);
    int failed = 0;
    bool right = true;
    for (size_t max = 64;; max += 256) {
        struct tael_state_options options = {.loop = room.loop, .log = room.log, .memory_max = max};
        struct tael_state *state = NULL;
        tael_error err;
        tael_status rc = tael_state_new(&state, &options, &err);
        if (rc == TAEL_OK) {
            tael_state_free(state);
            break;
        }
        right = right && rc == TAEL_ENOMEM && err.status == TAEL_ENOMEM && state == NULL;
        failed++;
    }
    CHECK(failed > 20 && right);
    room_close(&room);
}

static void spawning_survives_any_failure(void)
{
    struct room room;
    int spawned = 0, refused = 0, ended = 0;
    bool right = true;
    room_open(&room, 0);
    size_t used = tael_state_memory(room.state);
    room_close(&room);
    for (size_t max = used - 8192; max < used + 16384; max += 61) {
        room_open(&room, 0);
        struct tael_state_options options = {.loop = room.loop, .log = room.log, .memory_max = max};
        struct tael_state *state = NULL;
        struct outcome outcome = {.calls = 0};
        char text[] = "local t = {} for i = 1, 100 do t[i] = {i} end return #t";
        if (tael_state_new(&state, &options, NULL) == TAEL_OK) {
            tael_status rc = tael_task_spawn(state, prepare_text, text, task_done, &outcome, NULL);
            room_run(&room);
            spawned += rc == TAEL_OK;
            refused += rc != TAEL_OK;
            ended += outcome.calls;
            right = right && outcome.calls == (rc == TAEL_OK);
            right = right && (outcome.status == TAEL_ENOMEM || strcmp(outcome.text, "100") == 0 ||
                              rc != TAEL_OK);
            tael_state_free(state);
        }
        room_close(&room);
    }
    printf("# %d spawned, %d refused\n", spawned, refused);
    CHECK(right && spawned > 0 && refused > 0 && ended == spawned);
}

/* The system's memory runs out at the n-th request, in a state whose ceiling is far away. Lua
 * collects its garbage and asks again, so that success is an end too. */
static void any_allocation_may_fail(void)
{
    struct room room;
    struct outcome outcome;
    room_open(&room, 0);
    struct tael_state_options options = {.loop = room.loop, .log = room.log};
    int refused = 0, wrong = 0;
    long n = 1;
    for (bool failed = true; failed; n++) {
        struct tael_state *state = NULL;
        alloc_fail_at(n);
        tael_status rc = tael_state_new(&state, &options, NULL);
        failed = alloc_fail_end();
        wrong += (rc == TAEL_OK) != (state != NULL) || (rc != TAEL_OK && rc != TAEL_ENOMEM);
        refused += rc == TAEL_ENOMEM;
        tael_state_free(state);
    }
    CHECK(n > 50 && refused > 2 && wrong == 0);
    int spawned = 0;
    n = 1;
    for (bool failed = true; failed; n++) {
        alloc_fail_at(n);
        int alive =
            start(&room, &outcome, "local t = {} for i = 1, 9 do t[i] = {} end return #t") != NULL;
        if (alive)
            room_run(&room);
        failed = alloc_fail_end();
        spawned += alive;
        wrong += outcome.calls != alive;
        wrong += alive && outcome.status != TAEL_ENOMEM && strcmp(outcome.text, "9") != 0;
    }
    CHECK(n > 10 && spawned > 0 && spawned < n && wrong == 0);
    CHECK(tael_state_tasks(room.state) == 0 &&
          strcmp(run(&room, "return 'alive'").text, "alive") == 0);
    room_close(&room);
}

static void ten_thousand_tasks_leave_nothing(void)
{
    enum { TASKS = 10000 };
    static struct outcome outcomes[TASKS];
    struct room room;
    room_open(&room, 0);
    run(&room, "require 'tael.time' require 'tael.task' collectgarbage() collectgarbage()");
    size_t before = 0, after = 0;
    int ended = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < TASKS; i++) {
            start(&room, &outcomes[i],
                  i % 2 == 0 ? "require('tael.time').sleep(5)"
                             : "require('tael.task').wait('k', 86400000)");
            if (i % 2 != 0 && i % 3 == 0)
                tael_task_cancel(outcomes[i].task);
        }
        tael_sim_run(room.world, ROOM_START_MS + 10000 * (round + 1));
        for (int i = 0; i < TASKS; i++) {
            if (outcomes[i].calls == 0)
                tael_task_cancel(outcomes[i].task);
        }
        room_run(&room);
        run(&room, "collectgarbage() collectgarbage()");
        (round == 0 ? &before : &after)[0] = tael_state_memory(room.state);
    }
    for (int i = 0; i < TASKS; i++)
        ended += outcomes[i].calls;
    CHECK(ended == TASKS && tael_state_tasks(room.state) == 0);
    CHECK_NAMED(after <= before + 4096, "the second ten thousand cost no memory");
    room_close(&room);
}

/* Beside so many tables that live: the largest piece of garbage is between the two, KiB, and at
 * most that percent of what lives is used. The tasks before it leave them, and how garbage goes. */
static void garbage_goes(struct room *room, int live, int piece_min, int piece_max, int peak_max)
{
    char make[128];
    snprintf(make, sizeof(make), "live = {} for i = 1, %d do live[i] = { name = i } end", live);
    CHECK(run(room, make).status == TAEL_OK);
    CHECK(run(room, "collectgarbage()").status == TAEL_OK);
    struct outcome outcome =
        run(room, "local base = collectgarbage 'count'\n"
                  "local last, drop, peak = base, 0, 0\n"
                  "for i = 1, 500000 do\n"
                  "  local garbage = { i }\n"
                  "  local now = collectgarbage 'count'\n"
                  "  drop, peak, last = math.max(drop, last - now), math.max(peak, now), now\n"
                  "end\n"
                  "return ('%d %d'):format(drop // 1, peak * 100 // base)");
    int drop_kib = 0, peak_percent = 0;
    CHECK(sscanf(outcome.text, "%d %d", &drop_kib, &peak_percent) == 2);
    CHECK_NAMED(drop_kib > piece_min && drop_kib < piece_max, outcome.text);
    CHECK_NAMED(peak_percent < peak_max, outcome.text);
}

static void collection_fits_the_heap(void)
{
    struct room room;
    room_open(&room, 0);
    garbage_goes(&room, 40000, 256, 1536, 150); /* by generations */
    garbage_goes(&room, 200000, 0, 256, 300);   /* too many to be marked at once */
    CHECK(run(&room, "live = nil collectgarbage()").status == TAEL_OK);
    garbage_goes(&room, 40000, 256, 1536, 150); /* few again */
    room_close(&room);
}

/* What has grown old is no garbage of a generation, and goes within a minute of some work. */
static void old_garbage_goes(void)
{
    struct room room;
    room_open(&room, 0);
    CHECK(run(&room, "old = {} for i = 1, 40000 do old[i] = { name = i } end collectgarbage()")
              .status == TAEL_OK);
    CHECK(run(&room, "old = nil").status == TAEL_OK);
    CHECK(tael_state_memory(room.state) > 3 * 1024 * 1024);
    CHECK(run(&room, "require('tael.time').sleep(61000)").status == TAEL_OK);
    CHECK(tael_state_memory(room.state) < 1024 * 1024);
    room_close(&room);
}

int main(void)
{
    collection_fits_the_heap();
    old_garbage_goes();
    memory_has_a_ceiling();
    construction_survives_any_failure();
    spawning_survives_any_failure();
    any_allocation_may_fail();
    ten_thousand_tasks_leave_nothing();
    return tap_end();
}
