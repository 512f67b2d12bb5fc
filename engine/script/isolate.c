/* isolate.c - the state of an isolate: its memory, its budget, its runs.
 *
 * The allocator keeps small blocks in lists of their size, for most of what a script makes is small
 * and gone with its call. Blocks come from slabs that go with the state.
 */
#include "script/isolate.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <lauxlib.h>

#include "script/metered.h"

enum {
    UNIT = 16,                /* bytes: sizes of small blocks are multiples of it */
    SMALL_MAX = 512,          /* bytes: what is larger is the C library's */
    SLAB = 4 * 1024,          /* bytes */
    STEP_BYTES = 16,          /* of memory taken count as one step */
    BLOCK_BYTES = 96,         /* of memory, that each block counts besides */
    TICK_STEPS = 2000,        /* that a script's own text counts between two looks */
    UNSEEN_MAX = 4000,        /* steps that C functions charge before there is one, */
    UNSEEN_OVERDUE = 64,      /* the same, of one that could not yield when it should have */
    HOOK_STEPS = 250,         /* instructions between two, where the text does not say enough */
    SLICE = 100 * 1000,       /* steps, half a millisecond or so */
    OVERDUE_MAX = 10 * SLICE, /* steps beyond it: what called back cannot yield, and is ended */
    STEP_NS = 50,             /* of the thread's time: what takes longer is charged by its time */
    SUSPECT_NS = 8 * 1000 * 1000, /* in one turn */
    TURN_NS = 2 * 1000 * 1000,    /* of the thread's time: one that was suspected pauses then */
    LOOK_BYTES = 1 << 18,         /* taken: there is a look at the next instruction */
    TAKEN_MAX = 64 << 20,         /* bytes between two looks */
    TEXT_MAX = 9 << 17,           /* bytes: Lua goes through texts in one instruction */
    TEXT_CALM = 1 << 10,          /* the same: longer ones are looked at between instructions, */
    TEXT_LONG = 4 << 10,          /* more often the longer they are, */
    TEXT_STEPS = 4,               /* instructions between two at the least */
    NODE_BYTES = 24,              /* of a key in no list, and its value */
    NODES_TIMED = 4096,           /* from so many on growing can take some time */
    BLOCK_MAX = 4 << 20,          /* the same for tables, which it fills anew when they grow */
    PCALLS_MAX = 150,             /* in each other: an error goes through all of them */
    POOL = 8,                     /* coroutines kept */
    GC_PAUSE = 160, /* percent of what was left that there is when a collection begins: Lua's 200
                       makes each isolate a third larger, and there are thousands */
};

#if defined(__SANITIZE_ADDRESS__)
#define POOLED 0 /* so that a use of what was freed is seen */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLED 0
#endif
#endif
#ifndef POOLED
#define POOLED 1
#endif

struct block {
    struct block *next;
};

struct slab {
    struct slab *next;
    _Alignas(max_align_t) char bytes[];
};

struct tael_isolate {
    lua_State *L;
    struct tael_run *run; /* that is on the C stack */
    size_t used, max;
    size_t held;     /* bytes that it has from the C library */
    size_t taken;    /* since the last look */
    size_t longest;  /* text that was ever made, bytes */
    int64_t unseen;  /* steps that C functions charged since then */
    int interval;    /* of the count hook, instructions; 0: it is off, and the text counts alone */
    int box;         /* reference to a function that has the upvalues of all metered texts */
    int64_t tick;    /* of the coarse clock, at the last look */
    int64_t begun;   /* the same, when this turn began */
    bool crowded;    /* a table was to have too many keys */
    int64_t time_at; /* the thread's time when it was last read; 0: not in this turn */
    int64_t turn_at; /* the same, when this turn began */
    int64_t counted; /* steps that were charged since then */
    struct block *free[SMALL_MAX / UNIT + 1];
    struct slab *slabs;
    char *fresh, *fresh_end; /* of the newest slab: not yet given out */
    struct {
        lua_State *co;
        int ref;
    } pool[POOL];
    int pooled;
};

/* ---- memory ---- */

static size_t rank_of(size_t size)
{
    return (size + UNIT - 1) / UNIT;
}

static bool add_slab(struct tael_isolate *isolate)
{
    struct slab *slab = malloc(sizeof(*slab) + SLAB);
    if (slab == NULL)
        return false;
    isolate->held += sizeof(*slab) + SLAB;
    slab->next = isolate->slabs;
    isolate->slabs = slab;
    isolate->fresh = slab->bytes;
    isolate->fresh_end = slab->bytes + SLAB;
    return true;
}

static void *take_small(struct tael_isolate *isolate, size_t rank)
{
    struct block *block = isolate->free[rank];
    if (block != NULL) {
        isolate->free[rank] = block->next;
        return block;
    }
    size_t size = rank * UNIT; /* what is left of a slab and too short is lost with it */
    if ((size_t)(isolate->fresh_end - isolate->fresh) < size && !add_slab(isolate))
        return NULL;
    void *bytes = isolate->fresh;
    isolate->fresh += size;
    return bytes;
}

static void *take(struct tael_isolate *isolate, size_t size)
{
    if (POOLED && size <= SMALL_MAX)
        return take_small(isolate, rank_of(size));
    void *bytes = malloc(size);
    isolate->held += bytes != NULL ? size : 0;
    return bytes;
}

static void give(struct tael_isolate *isolate, void *bytes, size_t size)
{
    if (!POOLED || size > SMALL_MAX) {
        isolate->held -= size;
        free(bytes);
        return;
    }
    struct block *block = bytes;
    block->next = isolate->free[rank_of(size)];
    isolate->free[rank_of(size)] = block;
}

/* There is no memory for a smaller block, and Lua counts on it that shrinking succeeds. A block of
 * the C library becomes a slab, for it will be given back as a small one. */
static void *keep_shrunk(struct tael_isolate *isolate, char *bytes, size_t old_size, size_t size)
{
    struct slab *slab = (struct slab *)(void *)bytes;
    if (old_size <= SMALL_MAX || size > old_size - sizeof(*slab))
        return bytes;
    memmove(slab->bytes, bytes, size);
    slab->next = isolate->slabs;
    isolate->slabs = slab;
    return slab->bytes;
}

static void *resize(struct tael_isolate *isolate, void *bytes, size_t old_size, size_t size)
{
    if (!POOLED || (old_size > SMALL_MAX && size > SMALL_MAX)) {
        void *resized = realloc(bytes, size);
        if (resized == NULL) /* what was to shrink stays, and is counted as Lua does from now on */
            resized = size <= old_size ? bytes : NULL;
        isolate->held += resized != NULL ? size - old_size : 0; /* unsigned: also when it is less */
        return resized;
    }
    if (old_size <= SMALL_MAX && size <= SMALL_MAX && rank_of(old_size) == rank_of(size))
        return bytes;
    void *moved = take(isolate, size);
    if (moved == NULL)
        return size > old_size ? NULL : keep_shrunk(isolate, bytes, old_size, size);
    memcpy(moved, bytes, size < old_size ? size : old_size);
    give(isolate, bytes, old_size);
    return moved;
}

static void charge(struct tael_isolate *isolate, int64_t steps);
static void look_soon(struct tael_isolate *isolate);
static int64_t clock_ns(clockid_t clock);

/* Lua collects all garbage now, and asks again: once for nothing is once, but near the ceiling each
 * allocation could have it done. */
static void *refuse_memory(struct tael_isolate *isolate)
{
    if (isolate->run != NULL)
        charge(isolate, (int64_t)(isolate->used / STEP_BYTES));
    return NULL;
}

static void take_longest(struct tael_isolate *isolate, size_t size)
{
    bool calm = isolate->longest <= TEXT_CALM && size > TEXT_CALM;
    isolate->longest = size;
    if (calm)
        look_soon(isolate);
}

/* Keys in no list: that part of a table grows by twice at a time. 0: it is no such part. */
static size_t nodes_of(size_t size)
{
    size_t nodes = size / NODE_BYTES;
    return size % NODE_BYTES == 0 && (nodes & (nodes - 1)) == 0 ? nodes : 0;
}

/* Whoever chooses the numbers can have all keys in one chain when it has grown, each looked for
 * behind all others, in one instruction: there is a bound, and what it takes is charged by time. */
static bool take_nodes(struct tael_isolate *isolate, size_t nodes)
{
    if (nodes > TAEL_ISOLATE_KEYS) {
        isolate->crowded = true;
        return false;
    }
    if (nodes < NODES_TIMED)
        return true;
    if (isolate->time_at == 0) {
        isolate->time_at = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        isolate->counted = 0;
    }
    look_soon(isolate);
    return true;
}

static void *allocate(void *user, void *bytes, size_t old_size, size_t size)
{
    struct tael_isolate *isolate = user;
    if (size == 0) {
        if (bytes != NULL) {
            give(isolate, bytes, old_size);
            isolate->used -= old_size;
        }
        return NULL;
    }
    if (bytes == NULL) { /* Lua gives the object's type instead of its size */
        if (old_size == LUA_TSTRING && size > TEXT_MAX)
            return NULL;
        if (old_size == LUA_TSTRING && size > isolate->longest)
            take_longest(isolate, size);
        if (old_size == 0 && !take_nodes(isolate, nodes_of(size)))
            return NULL;
        old_size = 0;
    }
    size_t more = size > old_size ? size - old_size : 0;
    if (size > BLOCK_MAX && more > 0)
        return refuse_memory(isolate);
    if (isolate->used + more > isolate->max || isolate->taken + more > TAKEN_MAX)
        return refuse_memory(isolate);
    void *moved = bytes == NULL ? take(isolate, size) : resize(isolate, bytes, old_size, size);
    if (moved == NULL)
        return NULL;
    isolate->taken += more + BLOCK_BYTES;
    isolate->used = isolate->used - old_size + size;
    if (isolate->taken > LOOK_BYTES)
        look_soon(isolate);
    return moved;
}

/* ---- budget ---- */

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

static void charge(struct tael_isolate *isolate, int64_t steps)
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
    if (before == 0 && tick - isolate->begun >= SUSPECT_NS && run->slowness == 1)
        run->slowness = 2; /* or the machine is busy: measured from its next turn on */
    isolate->time_at = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    int64_t spent = (isolate->time_at - before) / STEP_NS;
    int64_t more = before != 0 && spent > counted ? spent - counted : 0;
    if (more > 0)
        run->slowness = spent / (counted > 0 ? counted : 1) + 1;
    isolate->counted = 0;
    if (run->slowness > 1 && isolate->turn_at != 0 && run->slice > 0 &&
        isolate->time_at - isolate->turn_at > TURN_NS)
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
    if (run->slowness == 1 && !run->wary && isolate->longest <= TEXT_CALM)
        return 0;
    size_t steps = HOOK_STEPS / (1 + isolate->longest / TEXT_LONG);
    int64_t interval = (int64_t)(steps < TEXT_STEPS ? TEXT_STEPS : steps) / run->slowness;
    return interval > 0 ? (int)interval : 1;
}

static void look_soon(struct tael_isolate *isolate)
{
    if (isolate->run != NULL && !isolate->run->doomed)
        set_interval(isolate, isolate->run->co, 1);
}

static bool can_pause(lua_State *L, struct tael_run *run)
{
    if (run->whole)
        run->slice = SLICE;
    if (run->slice > 0 || run->doomed || !lua_isyieldable(L))
        return false;
    run->slice = SLICE;
    return true;
}

/* What the texts have counted since the last time. Neither allocates nor raises; L has room for two
 * values. */
static int64_t take_ticks(const struct tael_isolate *isolate, lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, isolate->box);
    lua_getupvalue(L, -1, TAEL_METERED_LEFT);
    int64_t ticks = TICK_STEPS - lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_pushinteger(L, TICK_STEPS);
    lua_setupvalue(L, -2, TAEL_METERED_LEFT);
    lua_pop(L, 1);
    return ticks;
}

static void charge_turn(struct tael_isolate *isolate, lua_State *L)
{
    charge(isolate, take_ticks(isolate, L) + (int64_t)(isolate->taken / STEP_BYTES));
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
    charge(isolate, steps);
    isolate->unseen += steps;
    if (run->doomed || run->steps <= 0)
        doom(L, run);
    if (isolate->unseen > (run->slice <= 0 && !run->whole ? UNSEEN_OVERDUE : UNSEEN_MAX))
        look_soon(isolate);
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

/* ---- life ---- */

/* Gives the reference to the box. */
static int install(lua_State *L)
{
    tael_confine_install(L, lua_toboolean(L, 1));
    if (luaL_loadbufferx(L, TAEL_METERED_BOX, strlen(TAEL_METERED_BOX), "=", "t") != LUA_OK)
        lua_error(L);
    lua_call(L, 0, 1);
    lua_pushinteger(L, TICK_STEPS);
    lua_setupvalue(L, -2, TAEL_METERED_LEFT);
    lua_pushcfunction(L, on_spent);
    lua_setupvalue(L, -2, TAEL_METERED_SPENT);
    lua_pushinteger(L, luaL_ref(L, LUA_REGISTRYINDEX));
    return 1;
}

tael_status tael_isolate_new(struct tael_isolate **out, size_t memory_max, bool ordered)
{
    struct tael_isolate *isolate = calloc(1, sizeof(*isolate));
    if (isolate == NULL)
        return TAEL_ENOMEM;
    isolate->max = memory_max > 0 ? memory_max : TAEL_ISOLATE_MEMORY;
    isolate->L = lua_newstate(allocate, isolate);
    if (isolate->L == NULL)
        goto out_of_memory;
    *(struct tael_isolate **)lua_getextraspace(isolate->L) = isolate; /* copied to coroutines */
    lua_pushcfunction(isolate->L, install);
    lua_pushboolean(isolate->L, ordered);
    if (lua_pcall(isolate->L, 1, 1, 0) != LUA_OK)
        goto out_of_memory;
    isolate->box = (int)lua_tointeger(isolate->L, -1);
    lua_pop(isolate->L, 1);
    isolate->taken = 0;
    lua_gc(isolate->L, LUA_GCINC, GC_PAUSE, 0, 0);
    *out = isolate;
    return TAEL_OK;
out_of_memory:
    tael_isolate_free(isolate);
    return TAEL_ENOMEM;
}

void tael_isolate_free(struct tael_isolate *isolate)
{
    if (isolate == NULL)
        return;
    if (isolate->L != NULL)
        lua_close(isolate->L);
    for (struct slab *slab = isolate->slabs, *next; slab != NULL; slab = next) {
        next = slab->next;
        free(slab);
    }
    free(isolate);
}

/* In the author's own words if they are no good Lua, and not in those that are written into them.
 */
static int refuse_text(lua_State *L, struct tael_span text, const char *name, int line)
{
    if (line > 0)
        return luaL_error(L, "%s:%d: " TAEL_METERED_NAMES " are names that count what scripts do",
                          name + 1, line);
    if (luaL_loadbufferx(L, text.data, text.len, name, "t") == LUA_OK)
        lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        lua_pushfstring(L, "%s: cannot be read", name + 1);
    return lua_error(L);
}

void tael_isolate_load(lua_State *L, struct tael_span text, const char *name,
                       struct tael_buf *scratch)
{
    int line = 0, environment = lua_gettop(L);
    size_t len = scratch->len;
    tael_status rc = tael_metered_write(scratch, text, &line);
    struct tael_span metered = {scratch->data + len, scratch->len - len};
    scratch->len = len; /* nobody else writes meanwhile */
    if (rc == TAEL_ENOMEM || rc == TAEL_ELIMIT)
        luaL_error(L, "not enough memory");
    lua_pushnil(L);
    if (rc != TAEL_OK || luaL_loadbufferx(L, metered.data, metered.len, name, "t") != LUA_OK)
        refuse_text(L, text, name, line);
    lua_pushvalue(L, environment);
    lua_setupvalue(L, -2, 1);
    lua_call(L, 0, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, isolate_of(L)->box);
    lua_upvaluejoin(L, -2, TAEL_METERED_LEFT, -1, TAEL_METERED_LEFT);
    lua_upvaluejoin(L, -2, TAEL_METERED_SPENT, -1, TAEL_METERED_SPENT);
    lua_pop(L, 1);
    lua_replace(L, environment);
    lua_settop(L, environment);
}

lua_State *tael_isolate_lua(struct tael_isolate *isolate)
{
    return isolate->L;
}

size_t tael_isolate_memory(const struct tael_isolate *isolate)
{
    return isolate->used;
}

size_t tael_isolate_held(const struct tael_isolate *isolate)
{
    return sizeof(*isolate) + isolate->held;
}

static int collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

bool tael_isolate_full(struct tael_isolate *isolate)
{
    lua_pushcfunction(isolate->L, collect);
    if (lua_pcall(isolate->L, 0, 0, 0) != LUA_OK)
        lua_pop(isolate->L, 1);
    return isolate->used > isolate->max / 2;
}

/* ---- runs ---- */

static int new_coroutine(lua_State *L)
{
    struct tael_run *run = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    run->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    run->co = co;
    return 0;
}

tael_status tael_run_begin(struct tael_run *run, struct tael_isolate *isolate, int64_t steps,
                           bool whole)
{
    lua_State *L = isolate->L;
    run->isolate = isolate;
    run->whole = whole;
    run->doomed = run->starved = run->waits = run->wary = false;
    run->steps = steps;
    run->slice = SLICE;
    run->slowness = 1;
    run->pcalls = 0;
    if (isolate->pooled > 0) {
        run->co = isolate->pool[--isolate->pooled].co;
        run->ref = isolate->pool[isolate->pooled].ref;
    } else {
        lua_pushcfunction(L, new_coroutine);
        lua_pushlightuserdata(L, run);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
            lua_pop(L, 1);
            run->co = NULL;
            return TAEL_ENOMEM;
        }
    }
    return TAEL_OK;
}

/* The place in a script that led to what was raised; the text has one of its own, mostly. */
static void tell_place(struct tael_run *run, char *out, size_t size)
{
    lua_Debug at;
    out[0] = '\0';
    for (int level = 0; lua_getstack(run->co, level, &at) != 0; level++) {
        lua_getinfo(run->co, "Sl", &at);
        if (at.currentline > 0 && !tael_place_is_own(at.short_src, strlen(at.short_src))) {
            snprintf(out, size, "%s:%d: ", at.short_src, at.currentline);
            return;
        }
    }
}

/* "a/file.lua:12: …": it may be another file than the one that raised it, by error's level. */
static bool has_place(const char *text)
{
    size_t len = strcspn(text, ": \n");
    if (len < 4 || memcmp(text + len - 4, ".lua", 4) != 0 || text[len] != ':')
        return false;
    size_t digits = strspn(text + len + 1, "0123456789");
    return digits > 0 && strncmp(text + len + 1 + digits, ": ", 2) == 0;
}

/* Only texts are read: anything else would have to call the script to get one. */
static void tell_fault(struct tael_run *run)
{
    char place[LUA_IDSIZE + 16];
    const char *text = "raised a value that is not a text";
    if (lua_type(run->co, -1) == LUA_TSTRING)
        text = lua_tostring(run->co, -1);
    if (run->isolate->crowded && strcmp(text, "not enough memory") == 0)
        text = "a table of too many keys: at most 8192 beside its list; put tables into it";
    run->isolate->crowded = false;
    if (tael_place_is_own(text, strlen(text)) && has_place(text))
        text = strstr(text, ": ") + 2; /* whoever called is told where it was */
    tell_place(run, place, sizeof(place));
    snprintf(run->fault, sizeof(run->fault), "%s%s", has_place(text) ? "" : place, text);
}

enum tael_run_state tael_run_go(struct tael_run *run, lua_CFunction body, void *arg)
{
    struct tael_isolate *isolate = run->isolate;
    int args = 0;
    if (body != NULL) { /* the stack is empty: there is room, and neither push allocates */
        lua_pushcfunction(run->co, body);
        lua_pushlightuserdata(run->co, arg);
        args = 1;
    }
    isolate->taken = 0;
    isolate->time_at = body == NULL ? clock_ns(CLOCK_THREAD_CPUTIME_ID) : 0;
    isolate->turn_at = isolate->time_at;
    isolate->counted = 0;
    isolate->tick = isolate->begun = clock_ns(CLOCK_MONOTONIC_COARSE);
    isolate->interval = lua_gethookmask(run->co) != 0 ? lua_gethookcount(run->co) : 0;
    set_interval(isolate, run->co, interval_of(isolate, run));
    isolate->run = run;
    int status = lua_resume(run->co, NULL, args, &run->results);
    charge_turn(isolate, isolate->L);
    isolate->run = NULL;
    if (status == LUA_OK && !run->doomed)
        return TAEL_RUN_DONE;
    if (status == LUA_YIELD && run->waits) {
        run->waits = false;
        return TAEL_RUN_WAITS;
    }
    if (status == LUA_YIELD)
        return TAEL_RUN_PAUSED;
    tell_fault(run);
    if (run->doomed)
        return TAEL_RUN_SPENT;
    return status == LUA_ERRMEM || run->starved ? TAEL_RUN_MEMORY : TAEL_RUN_RAISED;
}

static int forget(lua_State *L)
{
    luaL_unref(L, LUA_REGISTRYINDEX, (int)lua_tointeger(L, 1));
    return 0;
}

void tael_run_end(struct tael_run *run)
{
    struct tael_isolate *isolate = run->isolate;
    lua_State *co = run->co;
    if (co == NULL)
        return;
    run->co = NULL;
    lua_sethook(co, NULL, 0, 0);
    bool clean = lua_status(co) == LUA_OK && !run->doomed;
    if (clean && isolate->pooled < POOL) {
        lua_settop(co, 0);
        isolate->pool[isolate->pooled].co = co;
        isolate->pool[isolate->pooled++].ref = run->ref;
        return;
    }
    lua_pushcfunction(isolate->L, forget); /* collected some time, never resumed */
    lua_pushinteger(isolate->L, run->ref);
    if (lua_pcall(isolate->L, 1, 0, 0) != LUA_OK)
        lua_pop(isolate->L, 1);
}
