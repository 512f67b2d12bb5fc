/* isolate.c - tael.isolate: asking scripts that are not Tael's own, each owner's in a Lua state of
 * its own, here or in a process. Contract: lua/tael/meta/isolate.lua. Works in every Lua state, but
 * for processes, which need a loop.
 *
 * Each Lua state of Tael's has one shelf. A generation is a userdata whose texts are Lua strings
 * that it holds. An asking is a userdata on the stack of who asks: it gives back what it has when
 * it is done, or is collected because its task was ended in the middle.
 */
#include <stdlib.h>

#include <lauxlib.h>

#include "base/utf8.h"
#include "bind/asking.h"
#include "bind/bind.h"
#include "bind/packed.h"
#include "bind/processes.h"

enum {
    CEILING = 64 << 20,
    STEPS_MAX = 100 * 1000 * 1000,
    STEPS_PER_US = 150, /* of a process's time */
};

/* ---- the shelf ---- */

static const char shelf_key, spare_key; /* their addresses name them in the registry */

struct shelf_box {
    struct tael_shelf *shelf;
    size_t memory; /* of each isolate, bytes; 0: the usual one */
};

static int free_shelf(lua_State *L)
{
    struct shelf_box *box = lua_touserdata(L, 1);
    tael_shelf_free(box->shelf);
    box->shelf = NULL;
    return 0;
}

static struct shelf_box *check_box(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &shelf_key) != LUA_TUSERDATA) {
        struct shelf_box *made = lua_newuserdatauv(L, sizeof(*made), 0);
        *made = (struct shelf_box){.shelf = NULL};
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, free_shelf);
        lua_setfield(L, -2, "__gc");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &shelf_key);
        lua_remove(L, -2);
    }
    struct shelf_box *box = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return box;
}

static void make_shelf(lua_State *L, struct shelf_box *box, size_t ceiling)
{
    const struct tael_host *host = tael_host_of(L);
    struct tael_siphash_seed seed = {0};
    tael_status rc = TAEL_OK;
    if (host != NULL)
        rc = tael_random(host->world, &seed, sizeof(seed));
    if (rc == TAEL_OK)
        rc = tael_shelf_new(&box->shelf, ceiling, seed);
    if (rc != TAEL_OK)
        luaL_error(L, "isolate: %s", tael_status_text(rc));
}

static struct tael_shelf *check_shelf(lua_State *L)
{
    struct shelf_box *box = check_box(L);
    if (box->shelf == NULL)
        make_shelf(L, box, CEILING);
    return box->shelf;
}

/* isolate.ceiling(bytes [, each]): before anything is asked */
static int isolate_ceiling(lua_State *L)
{
    lua_Integer bytes = luaL_checkinteger(L, 1), each = luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, bytes > 0, 1, "bytes, at least 1");
    luaL_argcheck(L, each >= 0, 2, "bytes, at least 0");
    struct shelf_box *box = check_box(L);
    if (box->shelf != NULL)
        return luaL_error(L, "isolate.ceiling: there are isolates already");
    make_shelf(L, box, (size_t)bytes);
    box->memory = (size_t)each;
    return 0;
}

/* isolate.counts() -> {isolates, bytes, lent, made, dropped, thrown} */
static int isolate_counts(lua_State *L)
{
    struct tael_shelf_counts counts = tael_shelf_counts(check_shelf(L));
    lua_createtable(L, 0, 6);
    tael_set_integer(L, "isolates", (int64_t)counts.isolates);
    tael_set_integer(L, "bytes", (int64_t)counts.bytes);
    tael_set_integer(L, "lent", (int64_t)counts.lent);
    tael_set_integer(L, "made", (int64_t)counts.made);
    tael_set_integer(L, "dropped", (int64_t)counts.dropped);
    tael_set_integer(L, "thrown", (int64_t)counts.thrown);
    return 1;
}

/* ---- generations ---- */

static int free_generation(lua_State *L)
{
    struct tael_generation *generation = lua_touserdata(L, 1);
    free(generation->files);
    *generation = (struct tael_generation){0};
    return 0;
}

/* What runs in a process of its own does not need it any more. */
static int close_generation(lua_State *L)
{
    const struct generation *generation = luaL_checkudata(L, 1, TAEL_GENERATION);
    if (generation->process && generation->of.group.len > 0)
        tael_processes_end(L, generation->of.group);
    return 0;
}

static struct tael_span field_text(lua_State *L, const char *name, bool needed)
{
    struct tael_span text = {"", 0};
    lua_pushstring(L, name);
    if (lua_rawget(L, 1) == LUA_TSTRING)
        text.data = lua_tolstring(L, -1, &text.len); /* the table holds it, the generation both */
    else if (needed || !lua_isnil(L, -1))
        luaL_error(L, "isolate.generation: %s must be a text", name);
    lua_pop(L, 1);
    return text;
}

/* The table of files is on top. */
static void read_files(lua_State *L, struct tael_generation *generation)
{
    int files = lua_gettop(L);
    size_t count = 0, bytes = 0;
    for (lua_pushnil(L); lua_next(L, files) != 0; lua_pop(L, 1))
        count++;
    luaL_argcheck(L, count <= TAEL_GENERATION_FILES_MAX + TAEL_GENERATION_OWN_FILES_MAX, 1,
                  "at most 256 files");
    generation->files = calloc(count + 1, sizeof(*generation->files));
    if (generation->files == NULL)
        luaL_error(L, "isolate.generation: out of memory");
    for (lua_pushnil(L); lua_next(L, files) != 0; lua_pop(L, 1)) {
        struct tael_generation_file *file = &generation->files[generation->count++];
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "isolate.generation: files must be texts by path");
        file->path.data = lua_tolstring(L, -2, &file->path.len);
        file->text.data = lua_tolstring(L, -1, &file->text.len);
        bytes += file->text.len;
        luaL_argcheck(L, file->text.len <= TAEL_SOURCE_MAX, 1, "a file has at most 256 KiB");
    }
    luaL_argcheck(L, bytes <= TAEL_GENERATION_MAX + TAEL_GENERATION_OWN_MAX, 1,
                  "all files have at most 1 MiB");
    tael_generation_sort(generation);
}

static bool in_process(lua_State *L)
{
    bool given = lua_getfield(L, 1, "isolation") != LUA_TNIL;
    const char *isolation = given ? luaL_checkstring(L, -1) : "state";
    bool process = strcmp(isolation, "process") == 0;
    luaL_argcheck(L, process || strcmp(isolation, "state") == 0, 1,
                  "isolation is \"state\" or \"process\"");
    lua_pop(L, 1);
    return process;
}

/* isolate.generation{name=, key=, group=, files={[path]=text}, isolation=, effects=} -> generation
 */
static int isolate_generation(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bool process = in_process(L);
    struct generation *box = lua_newuserdatauv(L, sizeof(*box), 2);
    struct tael_generation *generation = &box->of;
    *box = (struct generation){.process = process, .memory = check_box(L)->memory};
    luaL_setmetatable(L, TAEL_GENERATION);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 2, 1); /* name and key, as they are now: nobody changes the table */
    generation->name = field_text(L, "name", true);
    generation->key = field_text(L, "key", true);
    generation->group = field_text(L, "group", false);
    generation->effects = field_text(L, "effects", false);
    lua_pushliteral(L, "files");
    if (lua_rawget(L, 1) != LUA_TTABLE)
        return luaL_error(L, "isolate.generation: files must be a table");
    read_files(L, generation);
    lua_setiuservalue(L, 2, 2);
    return 1;
}

/* ---- asking ---- */

void tael_asking_give_back(struct asking *asking, bool broken)
{
    struct tael_shelved *shelved = asking->shelved;
    asking->shelved = NULL;
    if (shelved == NULL)
        return;
    tael_ask_end(&asking->ask);
    tael_shelf_return(shelved, broken);
}

int tael_asking_free(lua_State *L)
{
    struct asking *asking = lua_touserdata(L, 1);
    tael_asking_give_back(asking, asking->at != ASKING_WAITS); /* who waits is in order */
    asking->at = ASKING_OVER;
    tael_children_cancel(&asking->sent);
    tael_buf_free(&asking->sent.message);
    tael_buf_free(&asking->ask.out);
    tael_buf_free(&asking->inputs);
    tael_buf_free(&asking->given);
    return 0;
}

/* Pushes one that nobody uses. */
static struct asking *push_asking(lua_State *L)
{
    struct asking *asking;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &spare_key) == LUA_TUSERDATA) {
        asking = lua_touserdata(L, -1);
        lua_pushboolean(L, 0); /* the key stays: this does not allocate */
        lua_rawsetp(L, LUA_REGISTRYINDEX, &spare_key);
    } else {
        lua_pop(L, 1);
        asking = lua_newuserdatauv(L, sizeof(*asking), 0);
        *asking = (struct asking){.inputs.max = SIZE_MAX, .ask.out.max = SIZE_MAX};
        luaL_setmetatable(L, TAEL_ASKING);
    }
    tael_buf_clear(&asking->inputs);
    asking->ask.input_count = asking->ask.call_count = 0;
    return asking;
}

const struct generation *tael_asking_check_generation(lua_State *L)
{
    bool is = lua_isuserdata(L, GENERATION_AT) && lua_getmetatable(L, GENERATION_AT) &&
              lua_rawequal(L, -1, GENERATION_TYPE);
    if (!is)
        luaL_checkudata(L, GENERATION_AT, TAEL_GENERATION); /* says what is wrong */
    lua_settop(L, EFFECTS_AT);
    return lua_touserdata(L, GENERATION_AT);
}

void tael_asking_read_inputs(lua_State *L, struct asking *asking)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    size_t ends[TAEL_ASK_INPUTS_MAX], begin = 0;
    lua_Unsigned count = lua_rawlen(L, INPUTS_AT);
    char fault[TAEL_PLAIN_FAULT_MAX];
    luaL_argcheck(L, count <= TAEL_ASK_INPUTS_MAX, INPUTS_AT, "at most 8");
    for (lua_Unsigned i = 0; i < count; i++) {
        lua_rawgeti(L, INPUTS_AT, (lua_Integer)i + 1);
        struct tael_span packed;
        tael_status rc = tael_packed_is(L, -1, PACKED_TYPE, &packed)
                             ? tael_buf_append(&asking->inputs, packed.data, packed.len)
                             : tael_plain_write(L, -1, &limits, &asking->inputs, fault);
        if (rc == TAEL_EINVAL)
            luaL_error(L, "generation:ask: input %d: %s", (int)i + 1, fault);
        if (rc != TAEL_OK)
            luaL_error(L, "generation:ask: %s", tael_status_text(rc));
        lua_pop(L, 1);
        ends[i] = asking->inputs.len;
    }
    for (size_t i = 0; i < count; begin = ends[i++])
        asking->ask.inputs[i] = (struct tael_span){asking->inputs.data + begin, ends[i] - begin};
    asking->ask.input_count = (size_t)count;
}

void tael_asking_read_call(lua_State *L, struct tael_ask *ask, struct tael_ask_call *call)
{
    luaL_argcheck(L, lua_istable(L, -1), CALLS_AT, "calls are {name, input, …}");
    lua_Unsigned count = lua_rawlen(L, -1);
    luaL_argcheck(L, count >= 1 && count <= 1 + TAEL_ASK_ARGS_MAX, CALLS_AT, "too many inputs");
    lua_rawgeti(L, -1, 1);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, CALLS_AT, "a name must be a text");
    call->name.data = lua_tolstring(L, -1, &call->name.len); /* the table of calls holds it */
    lua_pop(L, 1);
    call->arg_count = (size_t)count - 1;
    for (size_t i = 0; i < call->arg_count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 2);
        lua_Integer input = lua_tointeger(L, -1);
        luaL_argcheck(L, input >= 1 && (size_t)input <= ask->input_count, CALLS_AT,
                      "no such input");
        call->args[i] = (unsigned char)(input - 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_calls(lua_State *L, struct tael_ask *ask)
{
    lua_Unsigned count = lua_rawlen(L, CALLS_AT);
    luaL_argcheck(L, count >= 1 && count <= TAEL_ASK_CALLS_MAX, CALLS_AT, "1 to 16");
    for (lua_Unsigned i = 0; i < count; i++) {
        lua_rawgeti(L, CALLS_AT, (lua_Integer)i + 1);
        tael_asking_read_call(L, ask, &ask->calls[i]);
    }
    ask->call_count = (size_t)count;
}

void tael_asking_lend(lua_State *L, struct asking *asking)
{
    struct tael_shelf *shelf = check_shelf(L);
    tael_status rc =
        tael_shelf_lend(shelf, asking->ask.generation->key, asking->ask.memory, &asking->shelved);
    if (rc != TAEL_OK)
        luaL_error(L, "generation:ask: %s", tael_status_text(rc));
}

/* False: they cannot be read, and nothing is pushed. */
static bool push_results(lua_State *L, const struct tael_ask *ask, const struct tael_ask_call *call)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct tael_cursor from = tael_cursor_of(ask->out.data + call->from, call->len);
    lua_createtable(L, 1 + call->results, 0);
    lua_pushboolean(L, 1);
    lua_rawseti(L, -2, 1);
    for (int i = 0; i < call->results; i++) {
        if (!tael_plain_push(L, &from, &limits)) {
            lua_pop(L, 1);
            return false;
        }
        lua_rawseti(L, -2, i + 2);
    }
    return true;
}

const char *tael_asking_kind(enum tael_ask_end end)
{
    static const char *const kinds[] = {
        [TAEL_ASK_ABSENT] = "absent", [TAEL_ASK_RAISED] = "raised", [TAEL_ASK_SHAPE] = "shape",
        [TAEL_ASK_SPENT] = "spent",   [TAEL_ASK_MEMORY] = "memory", [TAEL_ASK_CRASHED] = "crashed",
    };
    return kinds[end];
}

void tael_asking_push_told(lua_State *L, struct tael_span text)
{
    luaL_Buffer told;
    const char *at = text.data, *end = text.data + text.len;
    luaL_buffinitsize(L, &told, text.len);
    while (at < end) {
        size_t len = (unsigned char)*at < 0x80 ? 1 : tael_utf8_length(at, end);
        if (len == 0)
            luaL_addchar(&told, '?');
        else
            luaL_addlstring(&told, at, len);
        at += len > 0 ? len : 1;
    }
    luaL_pushresult(&told);
}

static void push_failure(lua_State *L, enum tael_ask_end end, struct tael_span why)
{
    lua_createtable(L, 3, 0);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, tael_asking_kind(end));
    lua_rawseti(L, -2, 2);
    tael_asking_push_told(L, why);
    lua_rawseti(L, -2, 3);
}

static void push_answer(lua_State *L, struct asking *asking, const struct tael_ask_call *call)
{
    static const char nonsense[] = "its process has answered what is not plain data";
    const struct tael_ask *ask = &asking->ask;
    struct tael_span why = {call->len > 0 ? ask->out.data + call->from : "", call->len};
    if (call->end != TAEL_ASK_DONE) {
        push_failure(L, call->end, why);
    } else if (!push_results(L, ask, call)) {
        tael_processes_distrust(L, tael_generation_group(ask->generation));
        push_failure(L, TAEL_ASK_CRASHED, (struct tael_span){nonsense, sizeof(nonsense) - 1});
    }
}

lua_Integer tael_asking_used(const struct asking *asking)
{
    return asking->process ? asking->sent.spent_us * STEPS_PER_US : tael_ask_used(&asking->ask);
}

static int push_answers(lua_State *L, struct asking *asking)
{
    const struct tael_ask *ask = &asking->ask;
    lua_createtable(L, (int)ask->call_count, 0);
    for (size_t i = 0; i < ask->call_count; i++) {
        push_answer(L, asking, &ask->calls[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushvalue(L, ASKING_AT);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spare_key);
    lua_pushinteger(L, tael_asking_used(asking));
    return 2;
}

static int go_on(lua_State *L, int status, lua_KContext context);

static int proceed(lua_State *L, struct asking *asking, enum tael_run_state state)
{
    if (state == TAEL_RUN_PAUSED) {
        tael_task_wait_last(tael_task_of(L, TAEL_CTX_TASK, "generation:ask"), false);
        return lua_yieldk(L, 0, (lua_KContext)asking, go_on);
    }
    tael_asking_give_back(asking, state != TAEL_RUN_DONE);
    return push_answers(L, asking);
}

static int go_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct asking *asking = (struct asking *)context;
    return proceed(L, asking, tael_ask_go(&asking->ask));
}

bool tael_asking_may_wait(lua_State *L)
{
    return tael_task_here(L) != NULL && lua_isyieldable(L) && tael_task_context(L) == TAEL_CTX_TASK;
}

/* ---- in a process ---- */

static void on_answered(struct tael_children_ask *sent)
{
    struct asking *asking = (struct asking *)((char *)sent - offsetof(struct asking, sent));
    tael_task_wake(asking->task);
}

static void undo_sent(void *op)
{
    tael_children_cancel(op);
}

static int answered(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    return push_answers(L, (struct asking *)context);
}

static int ask_process(lua_State *L, struct asking *asking)
{
    asking->task = tael_task_of(L, TAEL_CTX_TASK, "generation:ask");
    struct tael_children *children = tael_processes_check(L);
    asking->sent.ask = &asking->ask;
    asking->sent.done = on_answered;
    tael_status rc = tael_children_prepare(children, &asking->sent);
    if (rc == TAEL_ELIMIT)
        return luaL_error(L, "generation:ask: the inputs together are larger than 4 MiB");
    if (rc != TAEL_OK)
        return luaL_error(L, "generation:ask: %s", tael_status_text(rc));
    tael_task_wait(asking->task, undo_sent, &asking->sent);
    tael_children_put(children, &asking->sent);
    return lua_yieldk(L, 0, (lua_KContext)asking, answered);
}

lua_Integer tael_asking_check_steps(lua_State *L)
{
    lua_Integer steps = luaL_checkinteger(L, STEPS_AT);
    luaL_argcheck(L, steps >= 1 && steps <= STEPS_MAX, STEPS_AT, "1 to 100 million");
    return steps;
}

/* generation:ask(entry, calls, inputs, steps) -> answers, steps that were used */
static int generation_ask(lua_State *L)
{
    lua_settop(L, EFFECTS_AT); /* of which it has none */
    const struct generation *generation = tael_asking_check_generation(L);
    luaL_checktype(L, ENTRY_AT, LUA_TSTRING);
    luaL_checktype(L, CALLS_AT, LUA_TTABLE);
    luaL_checktype(L, INPUTS_AT, LUA_TTABLE);
    lua_Integer steps = tael_asking_check_steps(L);
    struct asking *asking = push_asking(L);
    struct tael_ask *ask = &asking->ask;
    ask->generation = &generation->of;
    ask->entry.data = lua_tolstring(L, ENTRY_AT, &ask->entry.len);
    ask->steps = steps;
    ask->memory = generation->memory;
    ask->whole = !tael_asking_may_wait(L);
    tael_asking_read_inputs(L, asking);
    read_calls(L, ask);
    asking->process = generation->process;
    if (asking->process)
        return ask_process(L, asking);
    tael_asking_lend(L, asking);
    return proceed(L, asking, tael_ask_begin(ask, asking->shelved->isolate));
}

/* ---- the module ---- */

static void make_type(lua_State *L, const char *name, lua_CFunction collect)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
}

int tael_open_isolate(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"ceiling", isolate_ceiling},       {"counts", isolate_counts},
        {"generation", isolate_generation}, {"processes", tael_isolate_processes},
        {"shape", tael_isolate_shape},      {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"ask", generation_ask}, {"open", tael_generation_open}, {NULL, NULL}};
    make_type(L, TAEL_ASKING, tael_asking_free);
    tael_open_opened(L);
    tael_open_packed(L);
    make_type(L, TAEL_GENERATION, free_generation);
    lua_pushcfunction(L, close_generation);
    lua_setfield(L, -2, "__close");
    luaL_newlibtable(L, methods);
    lua_pushvalue(L, -2);
    luaL_getmetatable(L, TAEL_PLAIN_PACKED);
    luaL_setfuncs(L, methods, TYPES);
    lua_setfield(L, -2, "__index");
    lua_settop(L, 0);
    luaL_newlib(L, functions);
    tael_packed_push_pack(L);
    lua_setfield(L, -2, "pack");
    return 1;
}
