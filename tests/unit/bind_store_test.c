/* bind_store_test.c - tael.store as Lua sees it, on a store in memory in the simulated world. */
#include "room.h"
#include "store/store.h"
#include "tap.h"

static struct tael_loop *loop_to_stop; /* the test's one loop, for the Lua function stop */

static int stop_here(lua_State *L)
{
    (void)L;
    tael_loop_stop(loop_to_stop);
    return 0;
}

static int open_stop(lua_State *L)
{
    lua_pushcfunction(L, stop_here);
    return 1;
}

static void room_open(struct room *room, size_t queue_max)
{
    static const luaL_Reg modules[] = {{"tael.store", tael_open_store},
                                       {"tael.task", tael_open_task},
                                       {"stop", open_stop},
                                       {NULL, NULL}};
    static const char *const sql[] = {"tests/unit/store_sql/items.sql"};
    static const char *const migrations[] = {"tests/unit/store_sql/migrations/0001_items.sql"};
    room_open_with(room, modules, 0, "lua");
    tael_error err = {.message = ""};
    struct tael_store_options options = {.world = room->world,
                                         .log = room->log,
                                         .path = ":memory:",
                                         .sql_files = sql,
                                         .sql_file_count = 1,
                                         .migrations = migrations,
                                         .migration_count = 1,
                                         .migrate = true,
                                         .scope = "merchant",
                                         .queue_max = queue_max};
    loop_to_stop = room->loop;
    if (tael_store_open(&room->host.store, &options, &err) == TAEL_OK &&
        tael_store_reader_open(&room->host.reader, room->host.store) == TAEL_OK)
        return;
    printf("Bail out! %s\n", err.message);
    exit(1);
}

static void room_end(struct room *room)
{
    tael_store_stop(room->host.store);
    tael_state_free(room->state);
    room->state = NULL;
    tael_store_reader_close(room->host.reader);
    tael_store_close(room->host.store);
    room_close(room);
}

#define HEAD                                                                                       \
    "local store, task = require 'tael.store', require 'tael.task'\n"                              \
    "local function insert(id, name, amount)\n"                                                    \
    "  return store.commit { { 'item.insert', { item = id, name = name, amount = amount } } }\n"   \
    "end\n"                                                                                        \
    "local function show(t)\n"                                                                     \
    "  local names, out = {}, {}\n"                                                                \
    "  for name in pairs(t) do names[#names + 1] = name end\n"                                     \
    "  table.sort(names)\n"                                                                        \
    "  for _, name in ipairs(names) do out[#out + 1] = name .. '=' .. tostring(t[name]) end\n"     \
    "  return table.concat(out, ' ')\n"                                                            \
    "end\n"                                                                                        \
    "task.set_scope(7)\n"

static void check_text(const char *name, const char *text, const char *want)
{
    struct room room;
    room_open(&room, 0);
    struct outcome outcome = run(&room, text);
    bool good = outcome.calls == 1 && outcome.status == TAEL_OK && strcmp(outcome.text, want) == 0;
    if (!good)
        printf("# %d: '%s'\n# wanted '%s'\n", outcome.status, outcome.text, want);
    CHECK_NAMED(good, name);
    room_end(&room);
}

static void units_are_committed(void)
{
    check_text("what is committed is read",
               HEAD "assert(store.commit { { 'item.insert', { item = 1, name = 'one', amount = 5,\n"
                    "  data = 'a\\0b' } } })\n"
                    "local row = assert(store.query('item.get', { item = 1 }))[1]\n"
                    "return row.name .. row.amount .. #row.data .. math.type(row.amount)",
               "one53integer");
    check_text("NULL is absent",
               HEAD "insert(1, 'one', 5)\n"
                    "local row = store.query('item.get', { item = 1 })[1]\n"
                    "return show(row)",
               "amount=5 id=1 name=one");
    check_text("columns with a dot are in tables of their own",
               HEAD "insert(1, 'one', 5)\n"
                    "for _, note in ipairs { 'a', 'b' } do\n"
                    "  assert(store.commit { { 'note.insert', { item = 1, note = note } } })\n"
                    "end\n"
                    "local rows = store.query('note.with_item', { item = 1 })\n"
                    "local a, b = rows[1], rows[2]\n"
                    "return a.note .. b.note .. show(a.item) .. '|' .. show(b.item) .. '|'\n"
                    "  .. show(a.more) .. '|' .. tostring(a.item ~= b.item and a.last < b.last)",
               "abamount=5 name=one|amount=5 name=one|id=1|true");
    check_text("stamps come back, and rows of RETURNING by their place",
               HEAD "insert(1, 'one', 5)\n"
                    "local done = assert(store.commit {\n"
                    "  { 'note.insert', { item = 1, note = 'a' } },\n"
                    "  { 'item.give', { item = 1, given = 2 } } })\n"
                    "local note = store.query('note.of_item', { item = 1 })[1]\n"
                    "return show(done.rows[2][1]) .. '|' .. tostring(done.rows[1]) .. '|'\n"
                    "  .. tostring(note.id == done.stamps.seq_note) .. '|'\n"
                    "  .. tostring(next(done.stamps, 'seq_note'))",
               "amount=7 id=1 name=one|nil|true|nil");
}

static void refusals_are_told(void)
{
    check_text("guard",
               HEAD "insert(1, 'one', 5)\n"
                    "local done, err = store.commit { { 'item.take', { item = 1, taken = 9 } } }\n"
                    "return tostring(done) .. ' ' .. show(err)",
               "nil code=guard message=item.take: short otherwise=short statement=item.take");
    check_text("constraint",
               HEAD "insert(1, 'one', 5)\n"
                    "local done, err = insert(2, 'one', 5)\n"
                    "return tostring(done) .. ' ' .. show(err)",
               "nil code=constraint constraint=UNIQUE items.merchant, items.name "
               "message=item.insert: UNIQUE items.merchant, items.name statement=item.insert");
    check_text("a tenant sees its own",
               HEAD "insert(1, 'one', 5)\n"
                    "task.set_scope(8)\n"
                    "return #store.query('item.get', { item = 1 })",
               "0");
}

static void operators_act_for_nobody(void)
{
    check_text("an operator's statement names its merchant",
               HEAD "insert(1, 'one', 5)\n"
                    "store.commit { { 'note.insert', { item = 1, note = 'a' } } }\n"
                    "task.set_scope(0)\n"
                    "assert(store.commit { { 'note.drop', { merchant = 8, item = 1 } } })\n"
                    "local before = #store.query('note.list', { after = 0 })\n"
                    "assert(store.commit { { 'note.drop', { merchant = 7, item = 1 } } })\n"
                    "return before .. #store.query('note.list', { after = 0 })\n"
                    "  .. store.query('item.count')[1].n",
               "101");
    check_text("lists are waited for",
               HEAD "for i = 1, 20 do insert(i, 'n' .. i, i) end\n"
                    "local rows = store.query('item.list',\n"
                    "  { after = 5, n = 10 })\n"
                    "return #rows .. rows[10].name",
               "10n15");
}

static void misuse_raises(void)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"store.commit()", "table expected"},
        {"store.commit {}", "from 1 to 1000 statements"},
        {"store.commit { 'item.get' }", "item 1 is not {name, parameters}"},
        {"store.commit { {} }", "item 1 has no name"},
        {"store.commit { { 'item.none' } }", "no statement 'item.none'"},
        {"store.commit { { 'item.get', {} } }", "item.get: a read"},
        {"store.commit { { 'item.take', 5 } }", "parameters are a table"},
        {"store.commit { { 'item.take', { item = 1.5 } } }", "parameter 'item' is a float"},
        {"store.commit { { 'item.take', { item = true } } }", "parameter 'item' is a boolean"},
        {"store.commit { { 'item.take', { item = {} } } }", "parameter 'item' is a table"},
        {"store.commit { { 'item.take', { itm = 1 } } }", "no statement takes a parameter 'itm'"},
        {"store.commit { { 'item.take', { z = 1, y = 2, item = 1 } } }", "a parameter 'y'"},
        {"store.commit { { 'item.take', { 5 } } }", "parameters are named by strings"},
        {"store.commit { { 'item.take', { merchant = 8 } } }", "a parameter 'merchant'"},
        {"store.commit { { 'note.insert', { seq_note = 8 } } }", "a parameter 'seq_note'"},
        {"store.commit { { 'item.insert', { name = '\\xff' } } }", "a text is not UTF-8"},
        {"store.commit { { 'item.insert', { name = 'a\\0' } } }", "a text is not UTF-8"},
        {"task.set_scope(0) store.commit { { 'item.take' } }", "acts for no merchant"},
        {"task.set_scope(0) store.commit { { 'note.drop', { item = 1 } } }", "merchant is missing"},
        {"task.set_scope(0) store.query('item.get', { item = 1 })", "acts for no merchant"},
        {"store.query('item.take', { item = 1 })", "item.take: not a read"},
        {"store.query('item.get', { id = 1 })", "a parameter 'id'"},
        {"store.query('item.get', { item = 0.5 })", "parameter 'item' is a float"},
        {"store.query('item.list', { after = '\\xff' })", "a text is not UTF-8"},
        {"store.query(5)", "string expected"},
        {"store.id_ms('x')", "number expected"},
        {"return coroutine.wrap(function() insert(1, 'a', 1) end)()", "cannot wait here"},
    };
    struct room room;
    room_open(&room, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[2048];
        snprintf(text, sizeof(text), HEAD "%s", rows[i].text);
        struct outcome outcome = run(&room, text);
        bool good = outcome.status == TAEL_ESCRIPT && strstr(outcome.text, rows[i].message) != NULL;
        if (!good)
            printf("# %d: %s\n", outcome.status, outcome.text);
        CHECK_NAMED(good, rows[i].message);
    }
    struct tael_store_info info;
    tael_store_info(room.host.store, &info);
    CHECK(info.units == 0); /* nothing of all that was submitted */
    room_end(&room);
}

static void pure_functions_see_nothing(void)
{
    check_text("pure",
               HEAD "local out = {}\n"
                    "for i, fn in ipairs { store.next_id, store.info,\n"
                    "    function() return store.query('item.count') end,\n"
                    "    function() return insert(1, 'a', 1) end } do\n"
                    "  local ok, why = task.pure(fn)\n"
                    "  out[i] = ok and 'ok' or why:match('in a pure function') or why\n"
                    "end\n"
                    "out[5] = select(2, task.pure(store.id_ms, 1 << 22))\n"
                    "return table.concat(out, ' ')",
               "in a pure function in a pure function in a pure function in a pure function "
               "1577836800001");
}

static void ids_and_state(void)
{
    check_text("ids rise with time",
               HEAD "local a, b = store.next_id(), store.next_id()\n"
                    "return tostring(b > a) .. store.id_ms(a)",
               "true1700000000000");
    check_text("info",
               HEAD "insert(1, 'a', 1) insert(2, 'a', 1)\n"
                    "return show(store.info())",
               "failed=0 groups=1 healthy=true queued=0 schema=1 units=2");
}

static void a_full_queue_is_an_answer(void)
{
    struct room room;
    struct outcome first, second;
    room_open(&room, 1);
    start(&room, &first, HEAD "return tostring(insert(1, 'a', 1))");
    start(&room, &second, HEAD "return select(2, insert(2, 'b', 1)).code");
    room_run(&room);
    CHECK(first.status == TAEL_OK && strncmp(first.text, "table:", 6) == 0);
    CHECK(second.status == TAEL_OK && strcmp(second.text, "busy") == 0);
    room_end(&room);
}

static void a_submitted_unit_is_not_cancelled(void)
{
    struct room room;
    struct outcome outcome;
    room_open(&room, 0);
    struct tael_task *task = start(&room, &outcome,
                                   HEAD "require 'stop' ()\n"
                                        "insert(1, 'a', 1)\n"
                                        "return 'committed'");
    room_run(&room);
    CHECK(outcome.calls == 0 && tael_task_detached(task)); /* it waits */
    tael_task_cancel(task);
    room_run(&room);
    CHECK(outcome.status == TAEL_OK && strcmp(outcome.text, "committed") == 0);
    room_end(&room);
}

/* The state ends first: the unit is still committed, and its memory finds its way back. */
static void a_unit_outlives_its_state(bool list)
{
    struct room room;
    struct outcome outcome;
    room_open(&room, 0);
    start(&room, &outcome,
          list ? HEAD "require 'stop' ()\nstore.query('item.list', { after = 0, n = 1 })"
               : HEAD "require 'stop' ()\ninsert(1, 'a', 1)");
    room_run(&room);
    CHECK(outcome.calls == 0);
    tael_state_free(room.state);
    room.state = NULL;
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ECLOSED);
    if (!list)
        room_run(&room); /* the mail arrives after the state has gone; a list's: at close */
    struct tael_store_info info;
    tael_store_info(room.host.store, &info);
    CHECK(info.units == (list ? 0 : 1));
    room_end(&room);
}

static void a_stopped_store_is_unavailable(void)
{
    struct room room;
    room_open(&room, 0);
    tael_store_stop(room.host.store);
    struct outcome outcome = run(&room, HEAD "local _, err = insert(1, 'a', 1)\n"
                                             "return err.code .. ': ' .. err.message");
    CHECK(strcmp(outcome.text, "unavailable: engine is closing") == 0);
    room_end(&room);
}

int main(void)
{
    units_are_committed();
    refusals_are_told();
    operators_act_for_nobody();
    misuse_raises();
    pure_functions_see_nothing();
    ids_and_state();
    a_full_queue_is_an_answer();
    a_submitted_unit_is_not_cancelled();
    a_unit_outlives_its_state(false);
    a_unit_outlives_its_state(true);
    a_stopped_store_is_unavailable();
    return tap_end();
}
