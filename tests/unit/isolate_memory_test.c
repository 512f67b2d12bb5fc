/* isolate_memory_test.c - isolates while memory runs out: for every n the n-th block that an
 * isolate asks for is refused, and asked for again, while it is made, loads, is asked. The ask ends
 * as one that met its ceiling or rightly, its isolate is thrown, another one of the same shelf
 * answers, and nothing is left. The same for every n-th allocation of the host: of the shelf, the
 * ask, the messages and the processes.
 */
#include <signal.h>

#include <unistd.h>

#include <malloc.h>

#include "alloc_fail.h"
#include "children_fixture.h"
#include "script/shelf.h"
#include "tap.h"

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void); /* its header is clang's alone */
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum {
    WORK_STEPS = 2 * 1000 * 1000,
    SLACK =
        SANITIZED ? 4096 : 64 * 1024, /* bytes that the libraries keep for the next, slabs too */
};

static size_t in_use(void)
{
#if SANITIZED
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

/* ---- what is asked: as much of what scripts may do as has a way to fail ---- */

static const char lib[] =
    "local Account = {} Account.__index = Account\n"
    "function Account:add(n) self.sum = self.sum + n return self end\n"
    "return { new = function() return setmetatable({ sum = 0 }, Account) end }\n";

static const char rules[] =
    "local tael, lib = require 'tael', require 'lib'\n"
    "local function numbers(n) local t = {} for i = 1, n do t[i] = i * 7 % 31 end return t end\n"
    "return {\n"
    "  tables = function(x)\n"
    "    local t, names = numbers(40), {}\n"
    "    for i, v in ipairs(t) do names['k' .. i] = { v, x.list[i % 3 + 1] } end\n"
    "    for k, v in pairs(names) do t[#t + 1] = k .. v[1] end\n"
    "    return #t, names.k9\n"
    "  end,\n"
    "  sorts = function()\n"
    "    local t = numbers(50)\n"
    "    table.sort(t, function(a, b) return a > b end)\n"
    "    table.sort(t) table.insert(t, 1, t[50]) table.remove(t)\n"
    "    return table.concat(t, ','), (' '):rep(100):upper()\n"
    "  end,\n"
    "  texts = function(x)\n"
    "    local seen = {}\n"
    "    local s = x.text:gsub('%w+', function(w) seen[#seen + 1] = w return { w } and w:upper() "
    "end)\n"
    "    for word in s:gmatch('%a+') do seen[#seen + 1] = ('%q %5.1f'):format(word, 1.5) end\n"
    "    return s .. tostring(1.5) .. table.concat(seen), ('a,b'):find(',', 1, true)\n"
    "  end,\n"
    "  fails = function()\n"
    "    local ok, why = pcall(function() error({ code = 'inner' }) end)\n"
    "    local _, outer = xpcall(function() error(why.code .. '!') end, function(e)\n"
    "      local _, again = pcall(error, e .. '?') return again .. '.' end)\n"
    "    local _, odd = pcall(function() return nil .. outer end)\n"
    "    return ok, outer, odd\n"
    "  end,\n"
    "  objects = function(x)\n"
    "    local made = {}\n"
    "    for i = 1, 20 do local n = i made[i] = function(m) return lib.new():add(n):add(m).sum end "
    "end\n"
    "    return made[3](4), tael.json.encode(tael.json.decode('{\"a\":[1,2.50,{\"b\":null}]}'))\n"
    "  end,\n"
    "}\n";

static const char *const names[] = {"tables", "sorts", "texts", "fails", "objects"};
enum { CALLS = sizeof(names) / sizeof(names[0]) };

static struct tael_generation_file files[] = {{{"lib.lua", 7}, {lib, sizeof(lib) - 1}},
                                              {{"rules.lua", 9}, {rules, sizeof(rules) - 1}}};
static const struct tael_generation generation = {
    .name = {"acme", 4}, .key = {"acme@1", 6}, .files = files, .count = 2};

/* {list = {1, 2, 3}, text = "one two three", more = "      …"}: large enough to be made late */
static struct tael_buf input;

static void make_input(void)
{
    static const struct tael_plain_limits limits = {.depth = 4, .items = 20, .bytes = 1000};
    char fault[TAEL_PLAIN_FAULT_MAX];
    struct tael_isolate *isolate = NULL;
    if (tael_isolate_new(&isolate, NULL, 0, true) != TAEL_OK)
        abort();
    lua_State *L = tael_isolate_lua(isolate);
    lua_newtable(L);
    lua_newtable(L);
    for (int i = 1; i <= 3; i++) {
        lua_pushinteger(L, i);
        lua_rawseti(L, -2, i);
    }
    lua_setfield(L, -2, "list");
    lua_pushliteral(L, "one two three");
    lua_setfield(L, -2, "text");
    lua_pushfstring(L, "%s", "----------------------------------------------------------------");
    lua_setfield(L, -2, "more");
    if (tael_plain_write(L, -1, &limits, &input, fault) != TAEL_OK)
        abort();
    tael_isolate_free(isolate);
}

static void make_ask(struct tael_ask *ask)
{
    struct tael_buf out = ask->out;
    *ask = (struct tael_ask){.generation = &generation,
                             .entry = tael_span_of("rules.lua"),
                             .steps = WORK_STEPS,
                             .inputs = {{input.data, input.len}},
                             .input_count = 1,
                             .call_count = CALLS,
                             .out = out};
    for (size_t i = 0; i < CALLS; i++) {
        ask->calls[i].name = tael_span_of(names[i]);
        ask->calls[i].arg_count = 1;
    }
}

static enum tael_run_state run_ask(struct tael_ask *ask, struct tael_isolate *isolate)
{
    enum tael_run_state state = tael_ask_begin(ask, isolate);
    while (state == TAEL_RUN_PAUSED)
        state = tael_ask_go(ask);
    tael_ask_end(ask);
    return state;
}

static struct tael_buf right; /* what comes out when nothing fails */

/* A function of the host's that wants memory of its own raises that there is none. */
static bool lacks_memory(const struct tael_ask *ask, const struct tael_ask_call *call)
{
    static const char why[] = "out of memory";
    bool raised = call->end == TAEL_ASK_RAISED && call->len > sizeof(why);
    const char *tail = ask->out.data + call->from + call->len - (sizeof(why) - 1);
    return call->end == TAEL_ASK_MEMORY || (raised && memcmp(tail, why, sizeof(why) - 1) == 0);
}

/* Each call is done as it should, or says that memory ran out. */
static bool is_right(const struct tael_ask *ask, bool failed)
{
    size_t memory = 0;
    for (size_t i = 0; i < ask->call_count; i++) {
        bool lacks = lacks_memory(ask, &ask->calls[i]);
        memory += lacks;
        if (ask->calls[i].end != TAEL_ASK_DONE && !lacks)
            return false;
    }
    if (memory > 0)
        return failed;
    return ask->out.len == right.len && memcmp(ask->out.data, right.data, right.len) == 0;
}

/* For the eye: how each call ended, and why not. */
static void tell(const struct tael_ask *ask, long n, tael_status rc)
{
    printf("# block %ld, %s:", n, tael_status_text(rc));
    for (size_t i = 0; i < ask->call_count; i++) {
        const struct tael_ask_call *call = &ask->calls[i];
        bool done = call->end == TAEL_ASK_DONE;
        printf(" %d %.*s", (int)call->end, done ? 0 : (int)call->len, ask->out.data + call->from);
    }
    printf("\n");
}

static struct tael_shelf *shelf;
static struct tael_ask other;

/* Of another owner, on the same shelf. */
static bool neighbour_is_well(void)
{
    struct tael_shelved *shelved;
    if (tael_shelf_lend(shelf, tael_span_of("neighbour"), 0, &shelved) != TAEL_OK)
        return false;
    make_ask(&other);
    enum tael_run_state state = run_ask(&other, shelved->isolate);
    tael_shelf_return(shelved, state != TAEL_RUN_DONE);
    return state == TAEL_RUN_DONE && is_right(&other, false);
}

/* Without what the neighbour could give back. */
static size_t in_use_but_garbage(void)
{
    struct tael_shelved *shelved;
    size_t size, before;
    if (tael_shelf_lend(shelf, tael_span_of("neighbour"), 0, &shelved) != TAEL_OK)
        abort();
    do {
        before = tael_isolate_memory(shelved->isolate);
        tael_isolate_full(shelved->isolate);
        size = tael_isolate_memory(shelved->isolate);
    } while (size < before);
    tael_shelf_return(shelved, false);
    return in_use();
}

static void open_shelf(void)
{
    if (tael_shelf_new(&shelf, 64 << 20, (struct tael_siphash_seed){1, 2}) != TAEL_OK)
        abort();
    CHECK(right.len > 0 || neighbour_is_well() || other.out.len > 0);
    if (right.len == 0 && tael_buf_append(&right, other.out.data, other.out.len) != TAEL_OK)
        abort();
    CHECK(neighbour_is_well());
}

/* ---- the isolate's own blocks ---- */

static struct {
    lua_Alloc own;
    void *user;
    long left; /* until the first that is refused; 0: none is */
    int more;  /* refused behind it: Lua collects and asks again */
    bool refused;
} refusing;

static void *refuse_nth(void *user, void *block, size_t old_size, size_t size)
{
    size_t before = block != NULL ? old_size : 0;
    (void)user;
    if (size > before && refusing.left > 0 && --refusing.left == 0) {
        refusing.refused = true;
        refusing.left = refusing.more-- > 0;
        return NULL;
    }
    return refusing.own(refusing.user, block, old_size, size);
}

/* True: the n-th was reached. */
static bool ask_refused(struct tael_ask *ask, long n, bool loaded, long *wrong)
{
    struct tael_shelved *shelved;
    uint64_t thrown = tael_shelf_counts(shelf).thrown;
    if (tael_shelf_lend(shelf, generation.key, 0, &shelved) != TAEL_OK)
        abort();
    make_ask(ask);
    if (loaded && run_ask(ask, shelved->isolate) != TAEL_RUN_DONE)
        abort();
    lua_State *L = tael_isolate_lua(shelved->isolate);
    refusing.own = lua_getallocf(L, &refusing.user);
    refusing.left = n;
    refusing.more = 1;
    refusing.refused = false;
    lua_setallocf(L, refuse_nth, NULL);
    make_ask(ask);
    enum tael_run_state state = run_ask(ask, shelved->isolate);
    lua_setallocf(L, refusing.own, refusing.user);
    bool good = is_right(ask, refusing.refused);
    bool violated = state != TAEL_RUN_DONE;
    tael_shelf_return(shelved, violated);
    good = good && tael_shelf_counts(shelf).thrown == thrown + violated && neighbour_is_well();
    if (!good && (*wrong)++ < 3)
        tell(ask, n, TAEL_OK);
    if (!violated) { /* as new for the next one, whatever it has grown to */
        tael_shelf_lend(shelf, generation.key, 0, &shelved);
        tael_shelf_return(shelved, true);
    }
    return refusing.refused;
}

static void each_block_of_an_ask(bool loaded)
{
    static struct tael_ask ask;
    char name[96];
    long n = 1, wrong = 0;
    size_t before = 0;
    open_shelf();
    for (bool refused = true; refused; n++) {
        refused = ask_refused(&ask, n, loaded, &wrong);
        if (n == 20)
            before = in_use_but_garbage();
    }
    size_t after = in_use_but_garbage();
    snprintf(name, sizeof(name), "%s: each of %ld blocks may be refused",
             loaded ? "asked" : "loaded and asked", n - 2);
    CHECK_NAMED(wrong == 0 && n > 100, name);
    printf("# %zu bytes, and %zu at the end\n", before, after);
    CHECK(after <= before + SLACK);
    tael_shelf_free(shelf);
    tael_buf_free(&ask.out);
}

/* Its ceiling rises until it suffices. */
static void each_size_of_an_isolate_that_is_made(void)
{
    long failed = 0, wrong = 0;
    for (size_t max = 512;; max += 8, failed++) {
        struct tael_isolate *isolate = NULL;
        tael_status rc = tael_isolate_new(&isolate, NULL, max, true);
        if (rc == TAEL_OK) {
            tael_isolate_free(isolate);
            break;
        }
        wrong += rc != TAEL_ENOMEM || isolate != NULL;
    }
    CHECK(failed > 1000 && wrong == 0);
    printf("# %ld sizes were too small\n", failed);
}

/* ---- the host's allocations, those of an isolate that is made among them ---- */

static bool ask_host(struct tael_ask *ask, long n, long *wrong)
{
    struct tael_shelved *shelved = NULL;
    enum tael_run_state state = TAEL_RUN_DONE;
    make_ask(ask);
    tael_buf_free(&ask->out); /* it grows again */
    alloc_fail_run(n, 2);
    tael_status rc = tael_shelf_lend(shelf, generation.key, 0, &shelved);
    if (rc == TAEL_OK)
        state = run_ask(ask, shelved->isolate);
    bool failed = alloc_fail_end();
    bool good = rc == TAEL_OK ? is_right(ask, failed) : rc == TAEL_ENOMEM && failed;
    if (rc == TAEL_OK) {
        tael_shelf_return(shelved, true);
        good = good && (state == TAEL_RUN_DONE || failed);
    }
    if (!(good && neighbour_is_well()) && (*wrong)++ < 3)
        tell(ask, n, rc);
    return failed;
}

static void each_allocation_of_the_host(void)
{
    static struct tael_ask ask;
    char name[96];
    long n = 1, wrong = 0;
    open_shelf();
    size_t before = 0;
    for (bool failed = true; failed; n++) {
        failed = ask_host(&ask, n, &wrong);
        if (n == 4)
            before = in_use_but_garbage();
    }
    snprintf(name, sizeof(name), "each of %ld allocations of the host may fail", n - 2);
    CHECK_NAMED(wrong == 0 && n > 8, name);
    CHECK(in_use_but_garbage() <= before + SLACK);
    tael_buf_free(&ask.out);
    tael_shelf_free(shelf);
}

/* ---- processes: whatever fails, each ask comes to an end, and the next one is answered ---- */

static const char one[] = "return { f = function() return 1 end }";

/* Opened, asked by two owners, closed. True: the n-th was reached. */
static bool ask_children(long n, long *wrong)
{
    struct tael_children_options options = {.loop = loop, .program = script_program, .max = 1};
    alloc_fail_at(n);
    tael_status rc = tael_children_new(&children, &options);
    for (int i = 0; rc == TAEL_OK && i < 2; i++) {
        struct asked *at = prepare_at(i, i == 0 ? "acme" : "other", one, 1);
        tael_buf_free(&at->sent.message);
        tael_buf_free(&at->ask.out);
        if (tael_children_prepare(children, &at->sent) != TAEL_OK)
            continue;
        open_asks++;
        tael_children_put(children, &at->sent);
    }
    run();
    bool failed = alloc_fail_end(), good = rc == TAEL_OK ? true : rc == TAEL_ENOMEM && failed;
    for (int i = 0; rc == TAEL_OK && i < 2; i++) {
        enum tael_ask_end end = asked[i].ask.calls[0].end;
        good = good && (end == TAEL_ASK_DONE || (failed && end == TAEL_ASK_CRASHED));
    }
    good = good && (rc != TAEL_OK || ask("acme", one) == TAEL_ASK_DONE);
    if (!good && (*wrong)++ < 3)
        printf("# allocation %ld: %s, %d, %d\n", n, tael_status_text(rc),
               (int)asked[0].ask.calls[0].end, (int)asked[1].ask.calls[0].end);
    tael_children_free(children);
    children = NULL;
    return failed;
}

static void free_asked(void)
{
    for (int i = 0; i < ASKS; i++) {
        tael_buf_free(&asked[i].sent.message);
        tael_buf_free(&asked[i].ask.out);
    }
}

static void each_allocation_of_processes(void)
{
    char name[96];
    long n = 1, wrong = 0;
    ask_children(1000000, &wrong);
    close_children();
    free_asked();
    pause_loop(20);
    size_t before = in_use();
    for (bool failed = true; failed; n++)
        failed = ask_children(n, &wrong);
    close_children();
    free_asked();
    pause_loop(20);
    snprintf(name, sizeof(name), "each of %ld allocations around processes may fail", n - 2);
    CHECK_NAMED(wrong == 0 && n > 10, name);
    CHECK(in_use() <= before + SLACK);
}

int main(void)
{
    alarm(300); /* a hang is the end */
    signal(SIGPIPE, SIG_IGN);
    if (realpath("/proc/self/exe", self) == NULL)
        return 1;
    snprintf(script_program, sizeof(script_program), "%.*s/../tael-script",
             (int)(strrchr(self, '/') - self), self);
    if (tael_world_uv_new(&world) != TAEL_OK || tael_loop_new(world, &loop) != TAEL_OK)
        return 1;
    make_input();
    each_size_of_an_isolate_that_is_made();
    size_t before = in_use();
    each_size_of_an_isolate_that_is_made(); /* what the library keeps for the next it has by now */
    CHECK(in_use() <= before + SLACK);
    each_block_of_an_ask(false);
    each_block_of_an_ask(true);
    each_allocation_of_the_host();
    each_allocation_of_processes();
    tael_buf_free(&input);
    tael_buf_free(&right);
    tael_buf_free(&other.out);
    tael_loop_free(loop);
    tael_world_free(world);
    return tap_end();
}
