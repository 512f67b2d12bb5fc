/* children_effects_test.c - calls in processes that wait for their hosts: nobody waits for them,
 * the real program and one that was taken over; and owners that wait for a process, in their order.
 *
 * This program is also that one, as in children_test.c: called tael-script, it does what the name
 * of its generation asks for.
 */
#include <errno.h>
#include <signal.h>

#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>

#include "bind/wire.h"
#include "child/seal.h"
#include "children_fixture.h"
#include "tap.h"

/* ---- the child that is not to be trusted ---- */

static bool is(struct tael_span name, const char *mode)
{
    return name.len == strlen(mode) && memcmp(name.data, mode, name.len) == 0;
}

static void say(struct tael_span name, struct tael_ask *ask, uint32_t number, bool first)
{
    struct tael_buf out = {.max = 0};
    bool answers = is(name, "honest") ? !first : is(name, "silent end");
    ask->effect = (struct tael_effect){.name = tael_span_of("now")};
    ask->call_count = 1;
    ask->calls[0].end = TAEL_ASK_DONE;
    if (is(name, "unknown"))
        ask->effect.name = tael_span_of("nothing");
    if (is(name, "nameless"))
        ask->effect.name = tael_span_of("");
    if (is(name, "args"))
        ask->effect.args = TAEL_ASK_ARGS_MAX + 1;
    if (is(name, "number"))
        number++;
    if (!answers && tael_wire_put_effect(&out, ask, number) != TAEL_OK)
        _exit(1);
    if ((answers || is(name, "both")) && tael_wire_put_answer(&out, ask, number) != TAEL_OK)
        _exit(1);
    if (is(name, "given"))
        out.data[4] = TAEL_WIRE_GIVEN;
    if (is(name, "short"))
        out.data[0]--;
    write_all(out.data, out.len);
    if (is(name, "dies"))
        _exit(0);
    tael_buf_free(&out);
}

static int be_child(void)
{
    static struct tael_buf in, told;
    static struct tael_ask ask;
    struct tael_generation generation = {.count = 0};
    struct tael_effect_given given;
    struct tael_span body, key;
    enum tael_wire_kind kind;
    uint32_t number = 0;
    for (;;) {
        struct tael_cursor from = tael_cursor_of(in.data, in.len);
        while (tael_wire_take(&from, &kind, &body) == TAEL_WIRE_WHOLE) {
            if (kind == TAEL_WIRE_GENERATION) {
                free(generation.files);
                tael_buf_clear(&told);
                tael_buf_append(&told, body.data, body.len);
                tael_wire_read_generation((struct tael_span){told.data, told.len}, &generation);
            } else if (kind == TAEL_WIRE_ASK &&
                       tael_wire_read_ask(body, &ask, &key, &number) == TAEL_OK) {
                say(generation.name, &ask, number, true);
            } else if (kind == TAEL_WIRE_GIVEN &&
                       tael_wire_read_given(body, &given, &number) == TAEL_OK) {
                say(generation.name, &ask, number, false);
            }
        }
        tael_buf_consume(&in, (size_t)(from.at - from.start));
        if (tael_buf_reserve(&in, 4096) != TAEL_OK)
            return 1;
        ssize_t got = read(TAEL_CHILD_SOCKET, in.data + in.len, 4096);
        if (got <= 0)
            _exit(0);
        in.len += (size_t)got;
    }
}

/* ---- calls ---- */

static const char waits[] = "local tael = require 'tael'\n"
                            "return { f = function() return tael.now('x', 2) end }";
static const char good[] = "return { f = function() return 1 end }";

static int turns_done; /* in which order they came */
static int order[ASKS];

static void on_turn(struct tael_children_ask *sent)
{
    order[(struct asked *)sent - asked] = ++turns_done;
    on_done(sent);
}

static struct asked *call_at(int at, const char *name, const char *text)
{
    struct asked *one = prepare_at(at, name, text, 1);
    one->generation.effects = tael_span_of("http.get now");
    one->ask.effects = TAEL_ASK_EFFECTS;
    one->sent.done = on_turn;
    put(one);
    return one;
}

static struct asked *ask_at(int at, const char *name, const char *text)
{
    struct asked *one = prepare_at(at, name, text, 1);
    one->sent.done = on_turn;
    put(one);
    return one;
}

static void give(struct asked *one, struct tael_span values, int count, bool raise)
{
    one->done = false;
    one->ask.given = (struct tael_effect_given){.values = values, .count = count, .raise = raise};
    if (tael_children_prepare_given(&one->sent) != TAEL_OK)
        abort();
    open_asks++;
    tael_children_give(children, &one->sent);
}

static void give_nothing(struct asked *one)
{
    give(one, (struct tael_span){0}, 0, false);
}

static enum tael_ask_end end_of(const struct asked *one)
{
    return one->done && !one->sent.waits ? one->ask.calls[0].end : TAEL_ASK_CRASHED + 1;
}

static void cancel(struct asked *one)
{
    tael_children_cancel(&one->sent);
}

/* ---- what is checked ---- */

static void a_call_waits_for_its_host(void)
{
    const struct tael_plain_limits limits = TAEL_PLAIN_LIMITS_INIT;
    struct tael_buf values = {.max = 0};
    char fault[TAEL_PLAIN_FAULT_MAX];
    lua_State *L = luaL_newstate();
    open_children(script_program, 2);
    struct asked *one = call_at(0, "acme", waits);
    run();
    CHECK(one->sent.waits && one->ask.effect.args == 2 && one->ask.effect.len > 0);
    CHECK(one->ask.effect.name.len == 3 && memcmp(one->ask.effect.name.data, "now", 3) == 0);
    lua_pushinteger(L, 42);
    lua_pushliteral(L, "and a text");
    if (tael_plain_write(L, 1, &limits, &values, fault) != TAEL_OK ||
        tael_plain_write(L, 2, &limits, &values, fault) != TAEL_OK)
        abort();
    give(one, (struct tael_span){values.data, values.len}, 2, false);
    run();
    CHECK(end_of(one) == TAEL_ASK_DONE && one->ask.calls[0].results == 2);
    CHECK(one->ask.calls[0].len == values.len &&
          memcmp(one->ask.out.data, values.data, values.len) == 0);
    one = call_at(0, "acme", waits);
    run();
    give(one, tael_span_of("tael.now: no"), 0, true);
    run();
    CHECK(end_of(one) == TAEL_ASK_RAISED &&
          strncmp(one->ask.out.data, "acme/rules.lua:2: tael.now: no", 30) == 0);
    one = call_at(0, "acme", good);
    run();
    CHECK(end_of(one) == TAEL_ASK_DONE);
    CHECK(tael_children_counts(children).crashed == 0);
    lua_close(L);
    tael_buf_free(&values);
    close_children();
}

static void nobody_waits_for_it(void)
{
    enum { WAITING = 10 };
    int done = 0;
    open_children(script_program, 2);
    for (int i = 0; i < WAITING; i++)
        call_at(i, "acme", waits);
    run();
    for (int i = WAITING; i < WAITING + 5; i++)
        ask_at(i, "acme", good);
    run();
    for (int i = WAITING; i < WAITING + 5; i++)
        done += end_of(&asked[i]) == TAEL_ASK_DONE;
    CHECK_NAMED(done == 5, "what is asked meanwhile is answered");
    CHECK(tael_children_counts(children).children <= 2);
    for (int i = WAITING - 1; i >= 0; i--)
        give_nothing(&asked[i]);
    run();
    done = 0;
    for (int i = 0; i < WAITING; i++)
        done += end_of(&asked[i]) == TAEL_ASK_DONE;
    CHECK_NAMED(done == WAITING, "each goes on where it waited");
    /* more generations than a process keeps: one that waits keeps its own */
    struct asked *one = call_at(0, "acme", waits);
    run();
    for (int i = 0; i < 9; i++) {
        char text[64];
        snprintf(text, sizeof(text), "return { f = function() return %d end }", i);
        ask_at(1, "acme", text);
        run();
    }
    give_nothing(one);
    run();
    CHECK(end_of(one) == TAEL_ASK_DONE && tael_children_counts(children).crashed == 0);
    close_children();
}

static void cancelling_frees_it(void)
{
    open_children(script_program, 1);
    for (int round = 0; round < 200; round++) {
        struct asked *held = call_at(0, "acme", waits), *given = call_at(1, "acme", waits);
        run();
        give_nothing(given);                               /* it runs now */
        struct asked *running = call_at(2, "acme", waits); /* and this one is in line */
        cancel(held);
        cancel(given);
        cancel(running);
        open_asks = 0;
        struct asked *sent = call_at(3, "acme", waits);
        cancel(sent); /* it may be under way: its effect is nobody's */
        open_asks = 0;
        ask_at(4, "acme", good);
        run();
        if (end_of(&asked[4]) != TAEL_ASK_DONE)
            CHECK_NAMED(false, "the next is answered");
    }
    struct tael_children_counts counts = tael_children_counts(children);
    CHECK(counts.crashed == 0 && counts.stopped == 0 && counts.waiting == 0);
    CHECK_NAMED(counts.started <= 2, "in the same process");
    close_children();
}

static void what_was_inside_goes_with_its_process(void)
{
    pid_t pids[8];
    open_children(script_program, 2);
    struct asked *one = call_at(0, "acme", waits), *two = call_at(1, "acme", waits);
    run();
    int count = our_children(pids, 8);
    for (int i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    give_nothing(one); /* nobody knows yet */
    ask_at(2, "acme", good);
    run();
    CHECK(end_of(one) == TAEL_ASK_CRASHED);
    CHECK_NAMED(end_of(&asked[2]) == TAEL_ASK_DONE || end_of(&asked[2]) == TAEL_ASK_CRASHED,
                "what was not inside had another process");
    give_nothing(two); /* its host comes back late */
    run();
    CHECK(end_of(two) == TAEL_ASK_CRASHED);
    struct asked *three = call_at(3, "acme", waits);
    run();
    CHECK(three->sent.waits || end_of(three) == TAEL_ASK_CRASHED);
    for (int i = 0; i < 200 && !three->sent.waits; i++) { /* the warm one was killed, too */
        pause_loop(10);
        three = call_at(3, "acme", waits);
        run();
    }
    CHECK(three->sent.waits);
    cancel(three);
    ask_at(4, "acme", good);
    run();
    CHECK(end_of(&asked[4]) == TAEL_ASK_DONE);
    close_children();
}

static void what_a_taken_over_process_says_is_checked(void)
{
    static const char *const modes[] = {"unknown", "nameless", "args", "number",
                                        "given",   "short",    "dies", "both"};
    open_children(self, 4);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct asked *one = call_at(0, modes[i], "x"), *other = call_at(1, "honest", "x");
        run();
        if (one->sent.waits) { /* what it said was in order, what it did then was not */
            pause_loop(20);
            give_nothing(one);
            run();
        }
        CHECK_NAMED(end_of(one) == TAEL_ASK_CRASHED, modes[i]);
        CHECK(other->sent.waits);
        give_nothing(other);
        run();
        CHECK_NAMED(end_of(other) == TAEL_ASK_DONE, "another owner's is not concerned");
    }
    ask_at(0, "effect of none", "x"); /* this ask has no effects */
    run();
    CHECK(end_of(&asked[0]) == TAEL_ASK_CRASHED);
    struct asked *many = call_at(0, "many", "x");
    int turns = 0;
    for (run(); many->sent.waits; run(), turns++)
        give_nothing(many);
    CHECK(end_of(many) == TAEL_ASK_CRASHED && turns == TAEL_ASK_EFFECTS);
    close_children();
}

static void processes_in_which_nothing_runs_are_in_nobodys_way(void)
{
    open_children(script_program, 1);
    struct asked *a = call_at(0, "a", waits);
    run();
    struct asked *b = call_at(1, "b", waits);
    run();
    CHECK(a->sent.waits && b->sent.waits);
    struct asked *c = ask_at(2, "c", good);
    pause_loop(20);
    CHECK_NAMED(!c->done && tael_children_counts(children).children <= 3,
                "as many more as there may be, and no further ones");
    cancel(a);
    run();
    CHECK(end_of(c) == TAEL_ASK_DONE);
    give_nothing(b);
    run();
    CHECK(end_of(b) == TAEL_ASK_DONE);
    close_children();
}

static struct asked *new_asks(int count)
{
    struct asked *all = calloc((size_t)count, sizeof(*all));
    if (all == NULL)
        abort();
    return all;
}

static void free_asks(struct asked *all, int count)
{
    for (int i = 0; i < count; i++) {
        tael_buf_free(&all[i].sent.message);
        tael_buf_free(&all[i].ask.out);
    }
    free(all);
}

static void put_one(struct asked *one, const char *name, const char *text)
{
    *one = *prepare_at(0, name, text, 1);
    one->sent = (struct tael_children_ask){.ask = &one->ask, .done = on_done};
    one->generation.name = tael_span_of(one->name);
    one->generation.files = &one->file;
    one->ask.generation = &one->generation;
    one->ask.out = (struct tael_buf){.max = 0};
    put(one);
}

static void owners_wait_in_their_order(void)
{
    open_children(script_program, 1);
    ask_at(0, "first", good);
    ask_at(1, "a", good);
    ask_at(2, "b", good);
    ask_at(3, "a", good); /* who asks again does not fall behind for it */
    ask_at(4, "first", good);
    run();
    CHECK(order[1] < order[2] && order[3] < order[2]);
    run();
    enum { BUSY = 200 };
    struct asked *all = new_asks(BUSY + 1);
    int before = 0;
    for (int i = 0; i <= BUSY; i++)
        put_one(&all[i], i < BUSY ? "busy" : "one", good);
    while (!all[BUSY].done) {
        pause_loop(1);
        before = 0;
        for (int i = 0; i < BUSY; i++)
            before += all[i].done;
    }
    CHECK_NAMED(before < BUSY, "who always has something to do makes way now and then");
    run();
    CHECK(tael_children_counts(children).waiting == 0);
    free_asks(all, BUSY + 1);
    close_children();
}

static void many_owners_wait(void)
{
    enum { OWNERS = 150 };
    struct asked *all = new_asks(OWNERS);
    int done = 0;
    open_children(script_program, 4);
    for (int i = 0; i < OWNERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "owner %d", i);
        put_one(&all[i], name, good);
    }
    CHECK(tael_children_counts(children).waiting >= OWNERS - 5);
    for (int i = 1; i < OWNERS; i += 2) { /* half of them do not want to know any more */
        if (all[i].done)
            continue;
        cancel(&all[i]);
        open_asks--;
    }
    run();
    for (int i = 0; i < OWNERS; i += 2)
        done += end_of(&all[i]) == TAEL_ASK_DONE;
    CHECK(done == OWNERS / 2);
    CHECK(tael_children_counts(children).waiting == 0);
    free_asks(all, OWNERS);
    close_children();
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "tael-script") == 0)
        return be_child();
    alarm(120); /* a hang is the end */
    signal(SIGPIPE, SIG_IGN);
    if (realpath("/proc/self/exe", self) == NULL)
        return 1;
    snprintf(script_program, sizeof(script_program), "%.*s/../tael-script",
             (int)(strrchr(self, '/') - self), self);
    if (tael_world_uv_new(&world) != TAEL_OK || tael_loop_new(world, &loop) != TAEL_OK)
        return 1;
    a_call_waits_for_its_host();
    nobody_waits_for_it();
    cancelling_frees_it();
    what_was_inside_goes_with_its_process();
    what_a_taken_over_process_says_is_checked();
    processes_in_which_nothing_runs_are_in_nobodys_way();
    owners_wait_in_their_order();
    many_owners_wait();
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    for (int i = 0; i < ASKS; i++) {
        tael_buf_free(&asked[i].sent.message);
        tael_buf_free(&asked[i].ask.out);
    }
    tael_loop_free(loop);
    tael_world_free(world);
    return tap_end();
}
