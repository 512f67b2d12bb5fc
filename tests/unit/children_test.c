/* children_test.c - processes for scripts: the real program, and one that a script has taken over.
 *
 * This program is also that one: as the child of itself it is called tael-script, and does what the
 * name of the generation that it is told asks for. Nothing passes or fails by how long it took.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <dirent.h>
#include <sched.h>

#include "base/sim.h"
#include "bind/children.h"
#include "bind/wire.h"
#include "child/seal.h"
#include "children_fixture.h"
#include "tap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- the child that is not to be trusted ---- */

static bool is(struct tael_span name, const char *mode)
{
    return name.len >= strlen(mode) && memcmp(name.data, mode, strlen(mode)) == 0;
}

/* After the seal: each of these has to be the end. */
static void try_call(struct tael_span name)
{
    if (!tael_child_seal())
        _exit(1);
    if (is(name, "seal open"))
        open("/etc/passwd", O_RDONLY);
    else if (is(name, "seal socket"))
        socket(AF_INET, SOCK_STREAM, 0);
    else if (is(name, "seal fork"))
        fork();
    else if (is(name, "seal exec"))
        execl("/bin/true", "true", (char *)NULL);
    else if (is(name, "seal kill"))
        kill(getppid(), 0);
    else if (is(name, "seal read"))
        (void)!read(0, &(char){0}, 1);
    else if (is(name, "seal code"))
        mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    else if (is(name, "seal protect"))
        mprotect((void *)((uintptr_t)try_call & ~(uintptr_t)4095), 4096, PROT_READ | PROT_EXEC);
    else if (is(name, "seal nothing"))
        free(malloc(1 << 20));
}

/* What comes instead of the true answer in out. */
static void misbehave(struct tael_span name, struct tael_buf *out)
{
    static unsigned seed;
    if (is(name, "exit"))
        _exit(0);
    else if (is(name, "segv")) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own, which takes its time */
        raise(SIGSEGV);
    } else if (is(name, "silent"))
        pause();
    else if (is(name, "huge"))
        memset(out->data, 0xff, 4);
    else if (is(name, "empty"))
        memset(out->data, 0, 4);
    else if (is(name, "kind"))
        out->data[4] = TAEL_WIRE_ASK;
    else if (is(name, "number"))
        out->data[5]++;
    else if (is(name, "count"))
        out->data[9]++;
    else if (is(name, "end"))
        out->data[10] = TAEL_ASK_CRASHED;
    else if (is(name, "results"))
        out->data[11] = TAEL_ASK_RESULTS_MAX + 1;
    else if (is(name, "length"))
        memset(out->data + 12, 0x7f, 4);
    else if (is(name, "twice"))
        tael_buf_append(out, (char[64]){0}, 64);
    else if (is(name, "short"))
        out->data[0]--;
    else if (is(name, "half"))
        out->len /= 2;
    else if (is(name, "fuzz")) {
        seed = seed == 0 ? (unsigned)getpid() : seed;
        for (int i = 0; i < 3; i++)
            out->data[4 + (unsigned)rand_r(&seed) % (out->len - 4)] = (char)rand_r(&seed);
    }
    write_all(out->data, out->len);
    if (is(name, "half"))
        _exit(0);
    if (is(name, "late")) /* when nothing is asked */
        write_all(out->data, out->len);
}

static void answer_badly(struct tael_span body, struct tael_span name)
{
    struct tael_ask ask = {.steps = 0};
    struct tael_buf out = {.max = 0};
    struct tael_span key;
    uint32_t number;
    if (tael_wire_read_ask(body, &ask, &key, &number) != TAEL_OK)
        _exit(1);
    if (is(name, "seal"))
        try_call(name);
    for (size_t i = 0; i < ask.call_count; i++)
        ask.calls[i].end = TAEL_ASK_DONE;
    if (tael_wire_put_answer(&out, &ask, number) != TAEL_OK)
        _exit(1);
    misbehave(name, &out);
    tael_buf_free(&out);
}

static int be_child(void)
{
    static struct tael_buf in, told;
    struct tael_generation generation = {.count = 0};
    struct tael_span body;
    enum tael_wire_kind kind;
    for (;;) {
        struct tael_cursor from = tael_cursor_of(in.data, in.len);
        while (tael_wire_take(&from, &kind, &body) == TAEL_WIRE_WHOLE) {
            if (kind == TAEL_WIRE_ASK) {
                answer_badly(body, generation.name);
                continue;
            }
            free(generation.files);
            tael_buf_clear(&told);
            tael_buf_append(&told, body.data, body.len);
            tael_wire_read_generation((struct tael_span){told.data, told.len}, &generation);
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

/* ---- what is checked ---- */

static const char good[] = "return { f = function() return 1 end }";

static void a_child_that_is_not_to_be_trusted_harms_nobody(void)
{
    static const char *const modes[] = {"exit",   "segv",  "huge", "empty",   "kind",
                                        "number", "count", "end",  "results", "length",
                                        "twice",  "half",  "short"};
    open_children(self, 4);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct asked *one = put_at(0, modes[i], "x", 2), *behind = put_at(1, modes[i], "x", 1);
        struct asked *other = put_at(2, "honest", "x", 1);
        run();
        bool crashed =
            one->ask.calls[0].end == TAEL_ASK_CRASHED && one->ask.calls[1].end == TAEL_ASK_CRASHED;
        if (is(tael_span_of(modes[i]), "twice")) /* the answer was one */
            crashed = one->ask.calls[0].end == TAEL_ASK_DONE;
        CHECK_NAMED(crashed && behind->done && one->done, modes[i]);
        CHECK_NAMED(other->ask.calls[0].end == TAEL_ASK_DONE, "another owner's is answered");
    }
    close_children();
}

static void one_that_says_nothing_is_stopped(void)
{
    open_children(self, 4);
    CHECK(ask("silent", "x") == TAEL_ASK_SPENT);
    CHECK(tael_children_counts(children).stopped == 1);
    CHECK(ask("honest", "x") == TAEL_ASK_DONE);
    CHECK(ask("late", "x") == TAEL_ASK_DONE);
    enum tael_ask_end end = ask("late", "x"); /* told as it is read: before it, or instead */
    CHECK(end == TAEL_ASK_DONE || end == TAEL_ASK_CRASHED);
    close_children();
}

static void damaged_answers_harm_nobody(void)
{
    int ends[TAEL_ASK_CRASHED + 1] = {0};
    const char *rounds = getenv("ROUNDS");
    open_children(self, 4);
    for (int i = rounds != NULL ? atoi(rounds) : 40; i > 0; i--) {
        put_at(0, "fuzz", "x", 1 + i % 3), put_at(1, "fuzz", "x", 1), put_at(2, "honest", "x", 1);
        run();
        ends[asked[0].ask.calls[0].end]++;
        if (asked[2].ask.calls[0].end != TAEL_ASK_DONE)
            CHECK_NAMED(false, "another owner's is answered");
    }
    CHECK(ends[TAEL_ASK_CRASHED] > 0);
    close_children();
}

static void the_seal_holds(void)
{
    static const char *const calls[] = {"seal open", "seal socket", "seal fork", "seal exec",
                                        "seal kill", "seal read",   "seal code", "seal protect"};
    open_children(self, 4);
    CHECK(ask("seal nothing", "x") == TAEL_ASK_DONE);
#if SANITIZED
    (void)calls; /* a sanitizer needs the system itself */
#else
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        CHECK_NAMED(ask(calls[i], "x") == TAEL_ASK_CRASHED, calls[i]);
#endif
    close_children();
}

/* ---- the real program ---- */

static void scripts_are_asked(void)
{
    open_children(script_program, 4);
    CHECK(ask("acme", good) == TAEL_ASK_DONE);
    CHECK(asked[0].ask.calls[0].results == 1);
    CHECK(ask("acme", "return { f = function() error('no') end }") == TAEL_ASK_RAISED);
    CHECK(asked[0].ask.out.len > 0 &&
          strncmp(asked[0].ask.out.data, "acme/rules.lua:1: no", 20) == 0);
    CHECK(ask("acme", "return { }") == TAEL_ASK_ABSENT);
    CHECK(ask("acme", "return { f = function() return print end }") == TAEL_ASK_RAISED);
    CHECK(ask("acme", "return { f = function() return string.len end }") == TAEL_ASK_SHAPE);
    CHECK(ask("acme", "return { f = function() while true do end end }") == TAEL_ASK_SPENT);
    steps = STEPS_MANY;
    CHECK(ask("acme", "return { f = function() local t = {} while true do "
                      "t[#t + 1] = ('x'):rep(65536) .. #t end end }") == TAEL_ASK_MEMORY);
    steps = STEPS;
    for (int i = 0; i < 20; i++) { /* more than it keeps, again and again */
        char text[64];
        snprintf(text, sizeof(text), "return { f = function() return %d end }", i % 7);
        if (ask("acme", text) != TAEL_ASK_DONE)
            CHECK_NAMED(false, "each generation is told when it has to be");
    }
    CHECK(tael_children_counts(children).crashed == 0);
    close_children();
}

/* The library's own sorting would ask the system how much memory there is. */
static void many_of_anything_need_no_system(void)
{
    static struct tael_generation_file files[TAEL_GENERATION_FILES_MAX];
    static char paths[TAEL_GENERATION_FILES_MAX][16];
    struct asked *one;
    open_children(script_program, 4);
    for (size_t i = 0; i < TAEL_GENERATION_FILES_MAX; i++) {
        snprintf(paths[i], sizeof(paths[i]), "file.%03zu", i);
        files[i].path = tael_span_of(paths[i]);
    }
    one = prepare_at(0, "acme", "return { f = function() return 1 end }", 1);
    files[TAEL_GENERATION_FILES_MAX - 1] = one->file;
    one->generation.files = files;
    one->generation.count = TAEL_GENERATION_FILES_MAX;
    put(one);
    run();
    CHECK(one->ask.calls[0].end == TAEL_ASK_DONE);
    CHECK(ask("acme", "local json, t = require('tael').json, {}\n"
                      "for i = 1, 2000 do t['k' .. i] = i end\n"
                      "return { f = function() return #json.encode(t) end }") == TAEL_ASK_DONE);
    close_children();
}

static void results_that_are_too_large_together_are_told(void)
{
    struct asked *one;
    steps = STEPS_MANY;
    open_children(script_program, 4);
    one = put_at(0, "acme", "return { f = function() return ('x'):rep(1000000) end }", 8);
    run();
    CHECK(one->ask.calls[0].end == TAEL_ASK_SHAPE && one->ask.calls[7].end == TAEL_ASK_SHAPE);
    one = put_at(0, "acme", "return { f = function() return ('x'):rep(1000000) end }", 3);
    run();
    CHECK(one->ask.calls[2].end == TAEL_ASK_DONE && one->ask.calls[2].len > 1000000);
    steps = STEPS;
    close_children();
}

static void owners_share_what_processes_there_are(void)
{
    int done = 0;
    open_children(script_program, 3);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < ASKS; i++) {
            char name[16];
            snprintf(name, sizeof(name), "owner %d", i % 11);
            put_at(i, name, good, 1);
        }
        CHECK_NAMED(tael_children_counts(children).children <= 4, "three, and the warm one");
        for (int i = round % 3; i < ASKS; i += 5) {
            if (asked[i].done)
                continue;
            tael_children_cancel(&asked[i].sent);
            open_asks--;
        }
        run();
        for (int i = 0; i < ASKS; i++)
            done += asked[i].done && asked[i].ask.calls[0].end == TAEL_ASK_DONE;
    }
    CHECK(done >= 20 * (ASKS - ASKS / 5 - 1));
    CHECK(tael_children_counts(children).replaced > 0 &&
          tael_children_counts(children).waiting == 0);
    close_children();
}

/* ---- processes, as the system has them ---- */

static void only_what_ran_in_it_fails(void)
{
    int crashed = 0, done = 0;
    open_children(script_program, 2);
    CHECK(ask("acme", good) == TAEL_ASK_DONE);
    for (int round = 0; round < 100; round++) {
        pid_t pids[16];
        for (int i = 0; i < 4; i++)
            put_at(i, i < 3 ? "acme" : "other", good, 1);
        for (int n = our_children(pids, 16), i = 0; i < n; i++)
            kill(pids[i], SANITIZED ? SIGKILL : SIGSEGV); /* which a sanitizer would handle */
        run();
        for (int i = 0; i < 4; i++) {
            crashed += asked[i].ask.calls[0].end == TAEL_ASK_CRASHED;
            done += asked[i].ask.calls[0].end == TAEL_ASK_DONE;
        }
    }
    printf("# of 400 asks, %d were in a process that was killed\n", crashed);
    CHECK(crashed + done == 400);
    CHECK_NAMED(crashed <= 200, "those behind them are answered by the replacement");
    CHECK(ask("acme", good) == TAEL_ASK_DONE);
    close_children();
}

static bool status_has(pid_t pid, const char *line)
{
    char path[64], text[8192];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    size_t len = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    text[len] = '\0';
    return strstr(text, line) != NULL;
}

static bool is_sealed(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    return status_has(pid, "NoNewPrivs:\t1") && (SANITIZED || status_has(pid, "Seccomp:\t2")) &&
           (geteuid() != 0 || open_descriptors(path) <= 2 + 1);
}

static void what_is_only_looked_at_has_a_process_of_its_own(void)
{
    static const char held[] = "return { f = function() while true do end end }";
    pid_t pids[4];
    open_children(script_program, 4);
    CHECK(ask("acme", good) == TAEL_ASK_DONE);
    struct asked *one = prepare_at(1, "acme", held, 1);
    one->generation.group = tael_span_of("acme, looked at");
    one->ask.steps = STEPS_MANY;
    put(one);
    struct asked *behind = prepare_at(2, "acme", good, 1);
    behind->generation.group = tael_span_of("acme, looked at");
    put(behind);
    CHECK(our_children(pids, 4) >= 2 && tael_children_counts(children).children >= 2);
    tael_children_end(children, tael_span_of("acme, looked at"));
    CHECK(one->done && one->ask.calls[0].end == TAEL_ASK_CRASHED);
    run(); /* what waited behind goes to another */
    CHECK(behind->ask.calls[0].end == TAEL_ASK_DONE);
    tael_children_end(children, tael_span_of("acme, looked at"));
    tael_children_end(children, tael_span_of("nobody"));
    CHECK(ask("acme", good) == TAEL_ASK_DONE);
    struct tael_children_counts counts = tael_children_counts(children);
    CHECK(counts.crashed == 0 && counts.stopped == 0 && counts.waiting == 0);
    pause_loop(50); /* the warm one */
    CHECK(tael_children_counts(children).children == 2);
    close_children();
}

static void it_has_its_socket_and_nothing_else(void)
{
    pid_t pids[4];
    int stray = dup(1); /* without close-on-exec: it goes along, and is closed there */
    open_children(script_program, 1);
    CHECK(ask("acme", good) == TAEL_ASK_DONE);
    int count = our_children(pids, 4);
    CHECK(count >= 1 && count <= 2);
    for (int i = 0; i < count; i++) {
        for (int n = 0; n < 500 && !is_sealed(pids[i]); n++) /* the warm one may not be yet */
            pause_loop(10);
        CHECK(is_sealed(pids[i]));
    }
    close_children();
    close(stray);
}

static cpu_set_t seen_here, seen_there, seen_warm;

static void look_where_they_run(void *user)
{
    pid_t pids[4];
    (void)user;
    CPU_ZERO(&seen_there);
    sched_getaffinity(0, sizeof(seen_here), &seen_here);
    for (int i = our_children(pids, 4) - 1; i >= 0;
         i--) { /* the one that was asked, not the warm one */
        cpu_set_t set;
        if (sched_getaffinity(pids[i], sizeof(set), &set) != 0)
            continue;
        seen_warm = CPU_COUNT(&set) > 1 ? set : seen_warm;
        seen_there = CPU_COUNT(&set) == 1 ? set : seen_there;
    }
}

static void what_is_asked_runs_where_it_is_waited_for(void)
{
    cpu_set_t before, after;
    struct tael_timer *timer = tael_timer_new(loop, look_where_they_run, NULL);
    sched_getaffinity(0, sizeof(before), &before);
    open_children(script_program, 1);
    CHECK(ask("acme", good) == TAEL_ASK_DONE);
    sched_getaffinity(0, sizeof(after), &after);
    CHECK(CPU_EQUAL(&before, &after));
    put_at(0, "acme", "return { f = function() while true do end end }", 1);
    tael_timer_start(timer, 0);
    run();
    CHECK(CPU_COUNT(&seen_here) == 1 && CPU_EQUAL(&seen_here, &seen_there));
    CHECK(CPU_COUNT(&before) == 1 || CPU_EQUAL(&seen_warm, &before));
    sched_getaffinity(0, sizeof(after), &after);
    CHECK(CPU_EQUAL(&before, &after));
    close_children();
    tael_timer_free(timer);
}

static void a_program_that_is_none_is_told(void)
{
    struct tael_children_options options = {.loop = loop, .program = "/nowhere", .max = 1};
    CHECK(tael_children_new(&children, &options) == TAEL_ENOTFOUND && children == NULL);
    open_children("/bin/true", 1);
    CHECK(ask("acme", good) == TAEL_ASK_CRASHED);
    close_children();
    struct tael_world *simulated = NULL;
    struct tael_loop *there = NULL;
    struct tael_sim_options plain = {.seed = 1};
    if (tael_sim_new(&simulated, &plain) != TAEL_OK || tael_loop_new(simulated, &there) != TAEL_OK)
        abort();
    options = (struct tael_children_options){.loop = there, .program = script_program, .max = 1};
    CHECK(tael_children_new(&children, &options) == TAEL_ENOTFOUND);
    tael_loop_free(there);
    tael_world_free(simulated);
}

static void nothing_is_left_behind(int descriptors)
{
    for (int i = 0; i < 100 && open_descriptors("/proc/self/fd") > descriptors; i++)
        pause_loop(20);
    CHECK(open_descriptors("/proc/self/fd") == descriptors);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "tael-script") == 0)
        return be_child();
    alarm(120); /* a hang is the end */
    signal(SIGPIPE,
           SIG_IGN); /* a loop that runs has it blocked, and much is asked here outside one */
    if (realpath("/proc/self/exe", self) == NULL)
        return 1;
    snprintf(script_program, sizeof(script_program), "%.*s/../tael-script",
             (int)(strrchr(self, '/') - self), self);
    if (tael_world_uv_new(&world) != TAEL_OK || tael_loop_new(world, &loop) != TAEL_OK)
        return 1;
    open_children(script_program, 1); /* a loop's first stream opens something for all of them */
    close_children();
    pause_loop(100);
    int descriptors = open_descriptors("/proc/self/fd");
    a_child_that_is_not_to_be_trusted_harms_nobody();
    one_that_says_nothing_is_stopped();
    damaged_answers_harm_nobody();
    the_seal_holds();
    scripts_are_asked();
    many_of_anything_need_no_system();
    results_that_are_too_large_together_are_told();
    owners_share_what_processes_there_are();
    only_what_ran_in_it_fails();
    what_is_only_looked_at_has_a_process_of_its_own();
    it_has_its_socket_and_nothing_else();
    what_is_asked_runs_where_it_is_waited_for();
    a_program_that_is_none_is_told();
    nothing_is_left_behind(descriptors);
    for (int i = 0; i < ASKS; i++) {
        tael_buf_free(&asked[i].sent.message);
        tael_buf_free(&asked[i].ask.out);
    }
    tael_loop_free(loop);
    tael_world_free(world);
    return tap_end();
}
