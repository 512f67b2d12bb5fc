/* isolate_budget.c - what a run may do, and when it gives the loop its turn.
 *
 * The texts of scripts count themselves (metered.h), C functions say what they do; now and then
 * there is a look at both, and at the clock. A count hook is on only where single instructions can
 * take long.
 */
#include <string.h>
#include <time.h>

#include <lauxlib.h>

#include "script/isolate_inner.h"
#include "script/metered.h"

enum {
    TICK_STEPS = 2000,   /* that a script's own text counts between two looks */
    SUSPECT_STEPS = 100, /* the same, of a run whose turn took longer than its steps should */
    UNSEEN_MAX = 4000,   /* steps that C functions charge before there is one, */
    UNSEEN_OVERDUE = 64, /* the same, of one that could not yield when it should have */
    HOOK_STEPS = 250,    /* instructions between two, where the text does not say enough */
    TEXT_LONG = 4 << 10, /* bytes: there are more, the longer such are, */
    TEXT_STEPS = 4,      /* instructions between two at the least */
    OVERDUE_MAX =
        10 * TAEL_SLICE, /* steps beyond it: what called back cannot yield, and is ended */
    STEP_NS = 100,       /* of the thread's time: what takes longer is charged by its time */
    SUSPECT_NS = 4 * 1000 * 1000, /* in one turn */
    TURN_NS = 2 * 1000 * 1000,    /* of the thread's time: one that was suspected pauses then */
    PCALLS_MAX = 150,             /* in each other: an error goes through all of them */
};

static struct tael_isolate *isolate_of(lua_State *L)
{
    return *(struct tael_isolate **)lua_getextraspace(L);
}

static void push_place(lua_State *L)
{
    lua_Debug at;
    for (int level = 0; lua_getstack(L, level, &at) != 0; level++) {
        lua_getinfo(L, "Sl", &at);
        if (at.currentline > 0 && !tael_place_is_own(at.short_src, strlen(at.short_src))) {
            lua_pushfstring(L, "%s:%d: ", at.short_src, at.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

static void on_count(lua_State *L, lua_Debug *at);

/* Raises, now and at every instruction from now on. */
static void doom(lua_State *L, struct tael_run *run)
{
    run->doomed = true;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    push_place(L);
    lua_pushliteral(L, "does not end: too much work for one call");
    lua_concat(L, 2);
    lua_error(L);
}

void tael_budget_charge(struct tael_isolate *isolate, int64_t steps)
{
    isolate->counted += steps;
    isolate->run->steps -= steps;
    isolate->run->slice -= steps;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* Where machines share a processor, a thread's time holds what the others took: a run that was slow
 * once is taken for one that this befell, one that is slow again is charged for both times. */
static int64_t slow_again(struct tael_run *run, int64_t more)
{
    if (more == 0)
        return 0;
    if (!run->was_slow) {
        run->was_slow = true;
        run->pardoned = more;
        return 0;
    }
    more += run->pardoned;
    run->pardoned = 0;
    return more;
}

/* One instruction can go through a text of a megabyte, or up a long list of arguments: the steps
 * that such a turn should have been charged besides. Only one that holds the thread for some
 * milliseconds, or has paused, is measured at all, so that what honest scripts do is never a matter
 * of time. */
static int64_t time_work(struct tael_isolate *isolate, struct tael_run *run)
{
    int64_t tick = clock_ns(CLOCK_MONOTONIC_COARSE);
    if (tick == isolate->tick)
        return 0;
    isolate->tick = tick;
    int64_t before = isolate->time_at, counted = isolate->counted;
    if (before == 0 && tick - isolate->begun >= SUSPECT_NS)
        run->suspected = true; /* or the machine is busy: it is measured from here on */
    isolate->time_at = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    int64_t spent = (isolate->time_at - before) / STEP_NS;
    int64_t more = slow_again(run, before != 0 && spent > counted ? spent - counted : 0);
    if (more > 0)
        run->slowness = spent / (counted > 0 ? counted : 1) + 1;
    isolate->counted = 0;
    bool held = isolate->turn_at == 0 || isolate->time_at - isolate->turn_at > TURN_NS;
    if (run->slowness > 1 && run->slice > 0 && held)
        run->slice = 0;
    return more;
}

static void set_interval(struct tael_isolate *isolate, lua_State *L, int steps)
{
    if (isolate->interval == steps)
        return;
    isolate->interval = steps;
    lua_sethook(L, steps > 0 ? on_count : NULL, steps > 0 ? LUA_MASKCOUNT : 0, steps);
}

/* Between two instructions there is something to see only where one of them can take long. */
static int interval_of(const struct tael_isolate *isolate, const struct tael_run *run)
{
    if (run->slowness == 1 && !run->wary && isolate->longest <= TAEL_TEXT_CALM)
        return 0;
    size_t steps = HOOK_STEPS / (1 + isolate->longest / TEXT_LONG);
    int64_t interval = (int64_t)(steps < TEXT_STEPS ? TEXT_STEPS : steps) / run->slowness;
    return interval > 0 ? (int)interval : 1;
}

void tael_budget_look_soon(struct tael_isolate *isolate)
{
    if (isolate->run != NULL && !isolate->run->doomed)
        set_interval(isolate, isolate->run->co, 1);
}

static bool can_pause(lua_State *L, struct tael_run *run)
{
    if (run->whole)
        run->slice = TAEL_SLICE;
    if (run->slice > 0 || run->doomed || !lua_isyieldable(L))
        return false;
    run->slice = TAEL_SLICE;
    return true;
}

/* What the texts have counted since the last time. Neither allocates nor raises; L has room for two
 * values. */
static int64_t take_ticks(struct tael_isolate *isolate, lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, isolate->box);
    lua_getupvalue(L, -1, TAEL_METERED_LEFT);
    int64_t ticks = isolate->quantum - lua_tointeger(L, -1);
    lua_pop(L, 1);
    isolate->quantum = isolate->run != NULL && isolate->run->suspected ? SUSPECT_STEPS : TICK_STEPS;
    lua_pushinteger(L, isolate->quantum);
    lua_setupvalue(L, -2, TAEL_METERED_LEFT);
    lua_pop(L, 1);
    return ticks;
}

static void charge_turn(struct tael_isolate *isolate, lua_State *L)
{
    tael_budget_charge(isolate,
                       take_ticks(isolate, L) + (int64_t)(isolate->taken / TAEL_STEP_BYTES));
    isolate->taken = 0;
    isolate->unseen = 0;
}

/* True: yield now. */
static bool look(struct tael_isolate *isolate, lua_State *L)
{
    struct tael_run *run = isolate->run;
    if (run == NULL)
        return false;
    charge_turn(isolate, L);
    int64_t more = time_work(isolate, run);
    run->steps -= more;
    run->slice -= more;
    bool pause = can_pause(L, run);
    if (run->doomed || run->steps <= 0 || run->slice < -OVERDUE_MAX)
        doom(L, run);
    set_interval(isolate, L, interval_of(isolate, run));
    return pause;
}

static void on_count(lua_State *L, lua_Debug *at)
{
    (void)at;
    if (look(isolate_of(L), L))
        lua_yield(L, 0);
}

static int go_on_counting(lua_State *L, int status, lua_KContext context)
{
    (void)L, (void)status, (void)context;
    return 0;
}

/* What a metered text calls when nothing is left; with 1 before so much without a tick that there
 * should be looks between its instructions. */
static int on_spent(lua_State *L)
{
    struct tael_isolate *isolate = isolate_of(L);
    if (isolate->run != NULL && lua_tointeger(L, 1) != 0)
        isolate->run->wary = true;
    return look(isolate, L) ? lua_yieldk(L, 0, 0, go_on_counting) : 0;
}

void tael_budget_push_box(lua_State *L)
{
    if (luaL_loadbufferx(L, TAEL_METERED_BOX, strlen(TAEL_METERED_BOX), "=", "t") != LUA_OK)
        lua_error(L);
    lua_call(L, 0, 1);
    lua_pushinteger(L, isolate_of(L)->quantum);
    lua_setupvalue(L, -2, TAEL_METERED_LEFT);
    lua_pushcfunction(L, on_spent);
    lua_setupvalue(L, -2, TAEL_METERED_SPENT);
}

void tael_budget_time(struct tael_isolate *isolate)
{
    if (isolate->time_at == 0) {
        isolate->time_at = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        isolate->counted = 0;
    }
    tael_budget_look_soon(isolate);
}

void tael_budget_begin_turn(struct tael_isolate *isolate, struct tael_run *run, bool fresh)
{
    isolate->taken = 0;
    isolate->time_at = fresh ? 0 : clock_ns(CLOCK_THREAD_CPUTIME_ID);
    isolate->turn_at = isolate->time_at;
    isolate->counted = 0;
    isolate->tick = isolate->begun = clock_ns(CLOCK_MONOTONIC_COARSE);
    isolate->interval = lua_gethookmask(run->co) != 0 ? lua_gethookcount(run->co) : 0;
    set_interval(isolate, run->co, interval_of(isolate, run));
    isolate->run = run;
}

void tael_budget_end_turn(struct tael_isolate *isolate)
{
    charge_turn(isolate, isolate->L);
    isolate->run = NULL;
}

/* ---- for what scripts call ---- */

struct tael_run *tael_run_here(lua_State *L)
{
    return isolate_of(L)->run;
}

void tael_isolate_charge(lua_State *L, int64_t steps)
{
    struct tael_isolate *isolate = isolate_of(L);
    struct tael_run *run = isolate->run;
    if (run == NULL)
        return;
    tael_budget_charge(isolate, steps);
    isolate->unseen += steps;
    if (run->doomed || run->steps <= 0)
        doom(L, run);
    if (isolate->unseen > (run->slice <= 0 && !run->whole ? UNSEEN_OVERDUE : UNSEEN_MAX))
        tael_budget_look_soon(isolate);
}

/* How many there were is not to be learned: the table is taken for the widest one of all. */
void tael_isolate_charge_first(lua_State *L)
{
    enum { FIRST_STEPS = 64, KEYS_A_STEP = 4 };
    tael_isolate_charge(L, FIRST_STEPS + (int64_t)isolate_of(L)->widest / KEYS_A_STEP);
}

bool tael_isolate_overdue(lua_State *L)
{
    struct tael_run *run = isolate_of(L)->run;
    return run != NULL && can_pause(L, run);
}

bool tael_isolate_wait(lua_State *L)
{
    struct tael_run *run = isolate_of(L)->run;
    if (run == NULL || !lua_isyieldable(L))
        return false;
    run->waits = true;
    return true;
}

void tael_isolate_nest(lua_State *L, int more)
{
    struct tael_run *run = isolate_of(L)->run;
    if (run != NULL && run->pcalls + more > PCALLS_MAX)
        luaL_error(L, "too many pcall in each other");
    if (run != NULL)
        run->pcalls += more;
}

void tael_isolate_check(lua_State *L, int lua_status)
{
    struct tael_run *run = isolate_of(L)->run;
    if (run == NULL)
        return;
    if (lua_status == LUA_ERRMEM || lua_status == LUA_ERRERR)
        run->starved = true;
    if (run->starved || run->doomed)
        lua_error(L); /* what was raised is on top */
}
