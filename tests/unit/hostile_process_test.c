/* hostile_process_test.c - scripts of strangers (hostile.h) in processes. Each ends as its heading
 * says, or its process is stopped; meanwhile another owner's is answered rightly, and so is the
 * next good one of the same owner; no descriptor, no process and no memory is left.
 *
 * How long anything took is told, not judged: what is counted is how many neighbours were answered
 * before a script that used up all of its budget.
 */
#include <errno.h>
#include <signal.h>

#include <sys/wait.h>
#include <unistd.h>

#include <malloc.h>

#include "children_place.h"
#include "hostile.h"
#include "tap.h"

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void); /* its header is clang's alone */
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum {
    STEPS = 4 * 1000 * 1000,
    FEW_STEPS = 20 * 1000,
    VIOLATIONS = (SANITIZED ? 2 : 20) * 1000,
    PROCESSES = 4,
    HERE_SLACK = 64 * 1024, /* bytes */
    THERE_SLACK = 8 << 20,  /* the same, of a process: its isolates are below a ceiling */
};

static char program[4096];

/* ---- asking ---- */

struct sent {
    struct tael_children_ask ask; /* first */
    struct hostile_asked of;
    int place; /* 1: was answered first */
};

static struct sent hostile, neighbour, next;
static int waiting, answered;

static void on_done(struct tael_children_ask *ask)
{
    ((struct sent *)ask)->place = ++answered;
    if (--waiting == 0)
        tael_loop_stop(loop);
}

static void put(struct sent *sent, const char *owner, const char *key, struct tael_span text,
                int64_t steps)
{
    struct tael_buf message = sent->ask.message;
    hostile_ask(&sent->of, owner, key, text, steps);
    sent->ask =
        (struct tael_children_ask){.ask = &sent->of.ask, .done = on_done, .message = message};
    if (tael_children_prepare(children, &sent->ask) != TAEL_OK)
        abort();
    waiting++;
    tael_children_put(children, &sent->ask);
}

static void put_honest(struct sent *sent, const char *owner)
{
    static const struct tael_span honest = {hostile_honest, sizeof(hostile_honest) - 1};
    put(sent, owner, "honest", honest, STEPS);
}

static void run(void)
{
    answered = 0;
    if (waiting > 0)
        tael_loop_run(loop);
}

static bool is_well(const struct sent *sent)
{
    const struct tael_ask_call *call = &sent->of.ask.calls[0];
    struct tael_span why = hostile_why(&sent->of);
    bool well = call->end == TAEL_ASK_DONE && call->results == 0;
    if (!well)
        printf("# %s: %.*s\n", hostile_end(&sent->of), (int)why.len, why.data);
    return well;
}

/* ---- processes, as the system has them ---- */

/* Bytes of all processes that run scripts. */
static size_t there(void)
{
    pid_t pids[2 * PROCESSES];
    size_t bytes = 0;
    for (int i = 0, n = our_children(pids, 2 * PROCESSES); i < n; i++) {
        char path[64];
        long pages, resident = 0;
        snprintf(path, sizeof(path), "/proc/%d/statm", (int)pids[i]);
        FILE *file = fopen(path, "r");
        if (file != NULL && fscanf(file, "%ld %ld", &pages, &resident) != 2)
            resident = 0;
        if (file != NULL)
            fclose(file);
        bytes += (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
    }
    return bytes;
}

static size_t here(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

/* ---- every case ---- */

static int spent, behind_neighbour;

static void judge(const struct hostile *script, size_t number)
{
    char name[160], key[32];
    struct tael_span why;
    printf("# %s\n", script->name);
    fflush(stdout);
    snprintf(key, sizeof(key), "case %zu", number); /* nobody has run it before */
    put(&hostile, "stranger", key, script->text, STEPS);
    put_honest(&neighbour, "neighbour");
    put_honest(&next, "stranger");
    run();
    why = hostile_why(&hostile.of);
    printf("# %.*s\n", (int)why.len, why.data);
    snprintf(name, sizeof(name), "%s: %s", hostile_end(&hostile.of), script->name);
    bool stopped = hostile.of.ask.calls[0].end == TAEL_ASK_SPENT;
    CHECK_NAMED(hostile_is_good(&hostile.of, script) || stopped, name);
    CHECK_NAMED(is_well(&neighbour), "a neighbour is well meanwhile");
    CHECK_NAMED(is_well(&next), "the same owner's next is well");
    spent += stopped;
    behind_neighbour += stopped && neighbour.place < hostile.place;
}

static void every_case(const char *only)
{
    struct tael_children_counts counts;
    open_children(program, PROCESSES);
    put_honest(&neighbour, "neighbour");
    put_honest(&next, "stranger");
    run();
    CHECK(is_well(&neighbour) && is_well(&next));
    for (size_t i = 0; i < hostile_count; i++)
        if (hostiles[i].text.len <= TAEL_SOURCE_MAX && /* what is larger is no generation's */
            (only == NULL || strstr(hostiles[i].name, only) != NULL))
            judge(&hostiles[i], i);
    counts = tael_children_counts(children);
    printf("# %d of %d used up all they had behind a neighbour; %llu processes stopped, "
           "%llu crashed\n",
           behind_neighbour, spent, (unsigned long long)counts.stopped,
           (unsigned long long)counts.crashed);
    CHECK_NAMED(behind_neighbour >= spent - spent / 10, "neighbours were answered meanwhile");
    CHECK_NAMED(counts.crashed == 0, "none of them ended its process");
    CHECK_NAMED(counts.children <= 3 && counts.waiting == 0, "two owners' and the warm one");
    close_children();
}

/* ---- what is left ---- */

static void violate(void)
{
    size_t here_before = 0, there_before = 0;
    char key[32];
    int violations = 0;
    open_children(program, PROCESSES);
    put_honest(&neighbour, "neighbour");
    run();
    for (size_t i = 0; violations < VIOLATIONS; i++) {
        snprintf(key, sizeof(key), "violation %zu", i);
        put(&hostile, "stranger", key, hostiles[i % hostile_file_count].text, FEW_STEPS);
        run();
        violations += hostile.of.ask.calls[0].end != TAEL_ASK_DONE;
        if (violations > VIOLATIONS / 2 && here_before == 0)
            here_before = here(), there_before = there();
    }
    printf("# here %zu bytes after half of the violations and %zu at their end, there %zu and "
           "%zu\n",
           here_before, here(), there_before, there());
    CHECK(here() <= here_before + HERE_SLACK);
    CHECK(SANITIZED || there() <= there_before + THERE_SLACK);
    put_honest(&neighbour, "neighbour");
    put_honest(&next, "stranger");
    run();
    CHECK(is_well(&neighbour) && is_well(&next));
    close_children();
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
    const char *only = argc > 1 ? argv[1] : NULL;
    signal(SIGPIPE, SIG_IGN); /* a loop that runs has it blocked, and much is asked outside one */
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 32);
    if (len < 0)
        return 1;
    program[len] = '\0';
    strcpy(strrchr(program, '/'), "/../tael-script");
    if (tael_world_uv_new(&world) != TAEL_OK || tael_loop_new(world, &loop) != TAEL_OK)
        return 1;
    hostile_open();
    open_children(program, PROCESSES); /* a loop's first stream opens something for all of them */
    close_children();
    pause_loop(100);
    int descriptors = open_descriptors("/proc/self/fd");
    every_case(only);
    if (only == NULL)
        violate();
    nothing_is_left_behind(descriptors);
    struct sent *all[] = {&hostile, &neighbour, &next};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        tael_buf_free(&all[i]->ask.message);
        tael_buf_free(&all[i]->of.ask.out);
    }
    hostile_close();
    tael_loop_free(loop);
    tael_world_free(world);
    return tap_end();
}
