/* store.c - tael.store: units of work and reads for Lua. Contract: lua/tael/meta/store.lua.
 *
 * What is under way is an op in plain memory, since its end may come after the task or even the
 * state has gone; a box on the coroutine's stack points to it. Results are made by the
 * continuation, in the coroutine.
 * 1 A unit that was submitted runs to its end whatever happens to the task: the task is detached
 * before, and an op that nobody waits for any more frees itself. 2 The tenant is bound from the
 * task's scope, never from what Lua passes; a task of no tenant may run operators' statements
 * alone, and only those may be told a tenant.
 */
#include "store/store.h"

#include <stdlib.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/rows.h"

enum {
    PARAMS_MAX = 64, /* of one statement */
    LIST_MAX = 1000, /* statements of one unit */
};

/* Tables that all functions here share: empty boxes, and names of parameters by statement. */
enum { UPVALUE_BOXES = 1, UPVALUE_NAMES, UPVALUES = UPVALUE_NAMES };

/* ---- what is under way ---- */

struct op {
    struct tael_task *task; /* NULL: nobody waits */
    bool under_way;         /* the store will call back */
    bool orphan;            /* the box is gone */
    struct tael_unit *unit;
    tael_status status; /* of a read */
    struct tael_rows *rows;
};

static void op_free(struct op *op)
{
    tael_unit_free(op->unit);
    tael_rows_free(op->rows);
    free(op);
}

static void op_ended(struct op *op)
{
    struct tael_task *task = op->task;
    op->under_way = false;
    op->task = NULL;
    if (op->orphan)
        op_free(op);
    else if (task != NULL)
        tael_task_wake(task);
}

static void unit_done(struct tael_unit *unit, void *user)
{
    (void)unit;
    op_ended(user);
}

static void read_done(void *user, tael_status status, struct tael_rows *rows)
{
    struct op *op = user;
    op->status = status;
    op->rows = rows;
    op_ended(op);
}

static void op_undo(void *user) /* the task dies first */
{
    ((struct op *)user)->task = NULL;
}

static int box_close(lua_State *L)
{
    struct op **box = lua_touserdata(L, 1);
    struct op *op = *box;
    *box = NULL;
    if (op == NULL)
        return 0;
    op->orphan = true;
    if (!op->under_way)
        op_free(op);
    return 0;
}

/* Of the boxes that are kept when they are empty again: an object with a finalizer costs the
 * collector more than all else of a read. */
enum { IDLE_MAX = 64 };

static struct op **push_box(lua_State *L)
{
    lua_Integer idle = (lua_Integer)lua_rawlen(L, lua_upvalueindex(UPVALUE_BOXES));
    if (idle > 0) {
        lua_rawgeti(L, lua_upvalueindex(UPVALUE_BOXES), idle);
        lua_pushnil(L);
        lua_rawseti(L, lua_upvalueindex(UPVALUE_BOXES), idle);
        return lua_touserdata(L, -1);
    }
    struct op **box = lua_newuserdatauv(L, sizeof(struct op *), 0);
    *box = NULL;
    luaL_setmetatable(L, "tael.store.op");
    return box;
}

/* What the box at index holds is done with, its results are pushed. */
static void op_end(lua_State *L, int index)
{
    struct op **box = lua_touserdata(L, index);
    op_free(*box);
    *box = NULL;
    lua_Integer idle = (lua_Integer)lua_rawlen(L, lua_upvalueindex(UPVALUE_BOXES));
    if (idle < IDLE_MAX) {
        lua_pushvalue(L, index);
        lua_rawseti(L, lua_upvalueindex(UPVALUE_BOXES), idle + 1);
    }
}

/* Pushes the box. */
static struct op *op_new(lua_State *L, const char *name)
{
    struct op **box = push_box(L);
    *box = calloc(1, sizeof(struct op));
    if (*box == NULL)
        luaL_error(L, "%s: out of memory", name);
    return *box;
}

static int op_wait(lua_State *L, struct tael_task *task, struct op *op, lua_KFunction go_on)
{
    tael_task_wait(task, op_undo, op);
    return lua_yieldk(L, 0, lua_gettop(L), go_on); /* the box is on top */
}

/* ---- statements and their values ---- */

struct access {       /* one call from Lua */
    const char *name; /* of the function */
    struct tael_store *store;
    struct tael_host *host;
    int64_t scope;
};

static struct access access_of(lua_State *L, struct tael_task *task, const char *name)
{
    struct tael_host *host = tael_host_check(L, name);
    if (host->store == NULL)
        luaL_error(L, "%s: this engine has no store", name);
    return (struct access){name, host->store, host, tael_task_scope(task)};
}

static bool is_stamp(const char *param)
{
    return strncmp(param, "seq_", 4) == 0;
}

/* May Lua say the value of this parameter? */
static bool is_asked(const struct access *access, const struct tael_statement *statement,
                     size_t idx)
{
    if (tael_statement_param_given(statement, idx))
        return true;
    return access->scope == 0 && !is_stamp(tael_statement_param(statement, idx));
}

static bool takes_param(const struct access *access, const struct tael_statement *statement,
                        const char *param)
{
    size_t count = tael_statement_param_count(statement);
    for (size_t i = 0; i < count; i++)
        if (strcmp(tael_statement_param(statement, i), param) == 0)
            return is_asked(access, statement, i);
    return false;
}

static const struct tael_statement *check_statement(lua_State *L, const struct access *access,
                                                    const char *name)
{
    const struct tael_statement *statement = tael_store_statement(access->store, name);
    if (statement == NULL)
        luaL_error(L, "%s: no statement '%s'", access->name, name);
    if (access->scope == 0 && !tael_statement_operator(statement))
        luaL_error(L, "%s: %s: the task acts for no merchant", access->name, name);
    return statement;
}

static struct tael_value check_value(lua_State *L, const struct access *access,
                                     const struct tael_statement *statement, size_t idx)
{
    struct tael_value value = {.kind = TAEL_VALUE_NULL};
    int type = lua_type(L, -1);
    if (type == LUA_TNIL)
        return value;
    if (type == LUA_TNUMBER && lua_isinteger(L, -1)) {
        value.kind = TAEL_VALUE_INT;
        value.number = lua_tointeger(L, -1);
    } else if (type == LUA_TSTRING) {
        value.kind =
            tael_statement_param_bytes(statement, idx) ? TAEL_VALUE_BYTES : TAEL_VALUE_TEXT;
        value.bytes.data = lua_tolstring(L, -1, &value.bytes.len);
    } else {
        luaL_error(L, "%s: %s: parameter '%s' is a %s", access->name,
                   tael_statement_name(statement), tael_statement_param(statement, idx),
                   type == LUA_TNUMBER ? "float" : lua_typename(L, type));
    }
    return value;
}

/* Pushes the names of the statement's parameters, as strings from 1 on: made once a state, which
 * has one store for all its life. */
static void push_param_names(lua_State *L, const struct tael_statement *statement)
{
    if (lua_rawgetp(L, lua_upvalueindex(UPVALUE_NAMES), statement) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    size_t count = tael_statement_param_count(statement);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, tael_statement_param(statement, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushvalue(L, -1);
    lua_rawsetp(L, lua_upvalueindex(UPVALUE_NAMES), statement);
}

/* Values for the statement from the table at params (0: none); their bytes stay the table's. Gives
 * how many of the table's it took. */
static size_t check_values(lua_State *L, const struct access *access,
                           const struct tael_statement *statement, int params,
                           struct tael_value values[PARAMS_MAX])
{
    size_t count = tael_statement_param_count(statement), taken = 0;
    push_param_names(L, statement);
    int names = lua_gettop(L);
    for (size_t i = 0; i < count && i < PARAMS_MAX; i++) {
        values[i] = (struct tael_value){.kind = TAEL_VALUE_NULL};
        if (params == 0 || !is_asked(access, statement, i))
            continue;
        lua_rawgeti(L, names, (lua_Integer)i + 1);
        taken += lua_rawget(L, params) != LUA_TNIL;
        values[i] = check_value(L, access, statement, i);
        lua_pop(L, 1);
    }
    lua_settop(L, names - 1);
    return taken;
}

/* The table at index, or 0 for nil. */
static int check_params(lua_State *L, const struct access *access, int index)
{
    if (lua_isnoneornil(L, index))
        return 0;
    if (lua_type(L, index) != LUA_TTABLE)
        luaL_error(L, "%s: parameters are a table", access->name);
    return index;
}

/* The store has refused values that have the right Lua types. */
static int raise_refused(lua_State *L, const struct access *access,
                         const struct tael_statement *statement, tael_status status)
{
    const char *why = status == TAEL_EINVAL   ? "a text is not UTF-8, or the merchant is missing"
                      : status == TAEL_ELIMIT ? "the unit is too large"
                                              : tael_status_text(status);
    return luaL_error(L, "%s: %s: %s", access->name, tael_statement_name(statement), why);
}

/* ---- commit ---- */

static bool has_more(lua_State *L, int params, size_t count)
{
    size_t keys = 0;
    for (lua_pushnil(L); lua_next(L, params) != 0; lua_pop(L, 1))
        keys++;
    return keys > count;
}

/* Every key is one that a statement of the list takes: a misspelt one is not silently NULL. */
static void check_keys(lua_State *L, const struct access *access,
                       const struct tael_statement *const *list, size_t count, int params)
{
    const char *unknown = NULL; /* the first in byte order: one history, one message */
    for (lua_pushnil(L); lua_next(L, params) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "%s: parameters are named by strings", access->name);
        const char *key = lua_tostring(L, -2); /* the table's own string */
        bool taken = false;
        for (size_t i = 0; i < count && !taken; i++)
            taken = takes_param(access, list[i], key);
        if (!taken && (unknown == NULL || strcmp(key, unknown) < 0))
            unknown = key;
    }
    if (unknown != NULL)
        luaL_error(L, "%s: no statement takes a parameter '%s'", access->name, unknown);
}

/* Pushes name and parameters of the idx-th item of the list at index 1. */
static const struct tael_statement *push_item(lua_State *L, const struct access *access, size_t idx)
{
    if (lua_rawgeti(L, 1, (lua_Integer)idx + 1) != LUA_TTABLE)
        luaL_error(L, "%s: item %d is not {name, parameters}", access->name, (int)idx + 1);
    if (lua_rawgeti(L, -1, 1) != LUA_TSTRING)
        luaL_error(L, "%s: item %d has no name", access->name, (int)idx + 1);
    lua_rawgeti(L, -2, 2);
    lua_remove(L, -3);
    const struct tael_statement *statement = check_statement(L, access, lua_tostring(L, -2));
    if (tael_statement_reads(statement) || tael_statement_lists(statement))
        luaL_error(L, "%s: %s: a read", access->name, tael_statement_name(statement));
    return statement;
}

/* Where an item's own statement did not take all of its parameters, others of the list may. */
static void check_all_keys(lua_State *L, const struct access *access,
                           const struct tael_statement *const *list, size_t count)
{
    lua_pushnil(L); /* the table checked last: one often serves all */
    int last = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        push_item(L, access, i);
        int params = check_params(L, access, lua_gettop(L));
        if (params != 0 && !lua_rawequal(L, params, last)) {
            check_keys(L, access, list, count, params);
            lua_copy(L, params, last);
        }
        lua_settop(L, last);
    }
    lua_settop(L, last - 1);
}

static void fill_unit(lua_State *L, const struct access *access, struct op *op,
                      const struct tael_statement **list, size_t count)
{
    struct tael_value values[PARAMS_MAX];
    if (tael_unit_new(&op->unit, access->store, access->scope) != TAEL_OK)
        luaL_error(L, "%s: out of memory", access->name);
    int top = lua_gettop(L);
    bool shared = false;
    for (size_t i = 0; i < count; i++) {
        list[i] = push_item(L, access, i);
        int params = check_params(L, access, lua_gettop(L));
        size_t taken = check_values(L, access, list[i], params, values);
        shared = shared || (params != 0 && has_more(L, params, taken));
        tael_status rc = tael_unit_add(op->unit, list[i], values);
        if (rc != TAEL_OK)
            raise_refused(L, access, list[i], rc);
        lua_settop(L, top);
    }
    if (shared)
        check_all_keys(L, access, list, count);
}

static int push_outcome(lua_State *L, const struct tael_unit_outcome *outcome)
{
    static const struct {
        tael_status status;
        const char *code;
    } codes[] = {
        {TAEL_ENOTFOUND, "guard"},
        {TAEL_EINVAL, "constraint"},
        {TAEL_EBUSY, "busy"},
    };
    const char *code = "unavailable";
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].status == outcome->status)
            code = codes[i].code;
    if (outcome->statement != NULL)
        lua_pushfstring(L, "%s: %s", outcome->statement,
                        outcome->status == TAEL_ENOTFOUND
                            ? (outcome->otherwise != NULL ? outcome->otherwise : "guard")
                        : outcome->status == TAEL_EINVAL ? outcome->constraint
                                                         : tael_status_text(outcome->status));
    else
        lua_pushstring(L, tael_status_text(outcome->status));
    tael_bind_fail(L, code, lua_tostring(L, -1));
    tael_set_text(L, "statement", outcome->statement);
    tael_set_text(L, "otherwise", outcome->otherwise);
    tael_set_text(L, "constraint", outcome->constraint);
    return 2;
}

static void push_stamps(lua_State *L, const struct tael_unit *unit,
                        const struct tael_statement *statement)
{
    size_t count = tael_statement_param_count(statement);
    for (size_t i = 0; i < count; i++) {
        const char *param = tael_statement_param(statement, i);
        if (tael_statement_param_given(statement, i) || !is_stamp(param))
            continue;
        lua_pushinteger(L, tael_unit_stamp(unit, param));
        lua_setfield(L, -2, param);
    }
}

static int commit_continue(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    const struct op *op = *(struct op **)lua_touserdata(L, (int)context);
    const struct tael_unit_outcome *outcome = tael_unit_outcome(op->unit);
    if (outcome->status != TAEL_OK) {
        push_outcome(L, outcome);
        op_end(L, (int)context);
        return 2;
    }
    size_t count = lua_rawlen(L, 2) / sizeof(struct tael_statement *);
    const struct tael_statement *const *list = lua_touserdata(L, 2);
    lua_createtable(L, 0, 2);
    lua_createtable(L, 0, 2);
    for (size_t i = 0; i < count; i++)
        push_stamps(L, op->unit, list[i]);
    lua_setfield(L, -2, "stamps");
    lua_createtable(L, 0, 0);
    for (size_t i = 0; i < count; i++) {
        const struct tael_rows *rows = tael_unit_rows(op->unit, i);
        if (rows == NULL)
            continue;
        tael_bind_push_rows(L, list[i], rows);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "rows");
    op_end(L, (int)context);
    return 1;
}

/* commit{{name, params}, …} -> {stamps=, rows=} | nil, err */
static int store_commit(lua_State *L)
{
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, "store.commit");
    struct access access = access_of(L, task, "store.commit");
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, LUA_MINSTACK, access.name);
    size_t count = lua_rawlen(L, 1);
    if (count == 0 || count > LIST_MAX)
        return luaL_error(L, "store.commit: from 1 to %d statements", LIST_MAX);
    const struct tael_statement **list =
        lua_newuserdatauv(L, count * sizeof(struct tael_statement *), 0);
    struct op *op = op_new(L, access.name);
    fill_unit(L, &access, op, list, count);
    tael_task_detach(task);
    op->under_way = true;
    op->task = task;
    if (tael_task_is_followed(task))
        tael_unit_let_wait(op->unit);
    tael_status rc = tael_unit_submit(op->unit, access.host->loop, unit_done, op);
    if (rc == TAEL_OK)
        return op_wait(L, task, op, commit_continue);
    op->under_way = false;
    op->task = NULL;
    op_end(L, lua_gettop(L));
    return push_outcome(L, &(struct tael_unit_outcome){.status = rc});
}

/* ---- query ---- */

/* What the read in the box at index came to; the box is empty afterwards. */
static int push_read(lua_State *L, const struct tael_statement *statement, int box)
{
    const struct op *op = *(struct op **)lua_touserdata(L, box);
    tael_status status = op->status;
    int count = 1;
    if (op->rows != NULL)
        tael_bind_push_rows(L, statement, op->rows);
    else if (status != TAEL_ELIMIT)
        count = tael_bind_fail(L, status == TAEL_EBUSY ? "busy" : "unavailable",
                               tael_status_text(status));
    op_end(L, box);
    if (status == TAEL_ELIMIT)
        return luaL_error(L, "store.query: more rows than a read may give");
    return count;
}

/* The statement's name is at 1. */
static int query_continue(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    const struct tael_statement *statement =
        tael_store_statement(tael_host_of(L)->store, lua_tostring(L, 1));
    return push_read(L, statement, (int)context);
}

static int query_list(lua_State *L, const struct access *access, struct tael_task *task,
                      const struct tael_statement *statement, const struct tael_value *values)
{
    struct op *op = op_new(L, access->name);
    op->under_way = true;
    op->task = task;
    op->status = tael_store_read_later(access->store, statement, access->scope, values,
                                       access->host->loop, read_done, op);
    if (op->status == TAEL_OK)
        return op_wait(L, task, op, query_continue);
    op->under_way = false;
    op->task = NULL;
    if (op->status == TAEL_EINVAL)
        return raise_refused(L, access, statement, op->status);
    return push_read(L, statement, lua_gettop(L));
}

static int query_inline(lua_State *L, const struct access *access,
                        const struct tael_statement *statement, const struct tael_value *values)
{
    struct op *op = op_new(L, access->name);
    op->status = access->host->reader != NULL ? tael_store_read(access->host->reader, statement,
                                                                access->scope, values, &op->rows)
                                              : TAEL_ECLOSED;
    if (op->status == TAEL_EINVAL)
        return raise_refused(L, access, statement, op->status);
    return push_read(L, statement, lua_gettop(L));
}

/* query(name, params?) -> array of rows | nil, err */
static int store_query(lua_State *L)
{
    struct tael_value values[PARAMS_MAX];
    struct tael_task *task = tael_task_of(L, TAEL_CTX_TASK, "store.query");
    struct access access = access_of(L, task, "store.query");
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_settop(L, 2);
    const struct tael_statement *statement = check_statement(L, &access, lua_tostring(L, 1));
    bool lists = tael_statement_lists(statement);
    if (!lists && !tael_statement_reads(statement))
        return luaL_error(L, "store.query: %s: not a read", tael_statement_name(statement));
    int params = check_params(L, &access, 2);
    size_t taken = check_values(L, &access, statement, params, values);
    if (params != 0 && has_more(L, params, taken))
        check_keys(L, &access, &statement, 1, params);
    return lists ? query_list(L, &access, task, statement, values)
                 : query_inline(L, &access, statement, values);
}

/* ---- ids and state ---- */

static struct tael_store *check_store(lua_State *L, const char *name)
{
    struct tael_store *store = tael_host_check(L, name)->store;
    if (store == NULL)
        luaL_error(L, "%s: this engine has no store", name);
    tael_refuse_pure(L, name);
    return store;
}

static int store_next_id(lua_State *L)
{
    lua_pushinteger(L, tael_store_next_id(check_store(L, "store.next_id")));
    return 1;
}

static int store_id_ms(lua_State *L)
{
    lua_pushinteger(L, tael_store_id_ms(luaL_checkinteger(L, 1)));
    return 1;
}

static int store_info(lua_State *L)
{
    struct tael_store_info info;
    tael_store_info(check_store(L, "store.info"), &info);
    lua_createtable(L, 0, 7);
    tael_set_integer(L, "schema", info.schema);
    tael_set_integer(L, "queued", info.queued);
    tael_set_integer(L, "units", info.units);
    tael_set_integer(L, "groups", info.groups);
    tael_set_integer(L, "failed", info.failed);
    lua_pushboolean(L, info.healthy);
    lua_setfield(L, -2, "healthy");
    lua_pushstring(L, info.trouble); /* NULL: nil */
    lua_setfield(L, -2, "trouble");
    return 1;
}

int tael_open_store(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"commit", store_commit},   {"id_ms", store_id_ms}, {"info", store_info},
        {"next_id", store_next_id}, {"query", store_query}, {NULL, NULL},
    };
    luaL_newmetatable(L, "tael.store.op");
    lua_pushcfunction(L, box_close);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newlibtable(L, functions);
    for (int i = 0; i < UPVALUES; i++)
        lua_newtable(L);
    luaL_setfuncs(L, functions, UPVALUES);
    return 1;
}
