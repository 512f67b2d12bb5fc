/* isolate_time_test.c - time that is taken from a script's thread, as by a machine that has other
 * things to do: an honest script is not charged for it, one whose steps take long again and again
 * is. A signal's handler takes it, for it counts as the thread's time.
 */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "bind/ask.h"
#include "tap.h"

enum {
    AFTER_MS = 4,          /* of the thread's time: when it is taken, */
    TAKEN_MS = 60,         /* and how much; it would be 600,000 steps, */
    TO_SPARE = 300 * 1000, /* and so many may be left */
    TRIES = 20,            /* the machine may take some itself, or it is taken between two turns */
    PLENTY = 1000 * 1000 * 1000,
};

enum take { NEVER, ONCE, AGAIN };

static const char rules[] =
    "local function work(times) local n = 0 for i = 1, times do n = n + i end end "
    "return { short = function() work(15e5) end, long = function() work(12e6) end }";

static int64_t thread_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static volatile sig_atomic_t taken; /* times */

static void take_time(int number)
{
    (void)number;
    int64_t until = thread_ms() + TAKEN_MS;
    while (thread_ms() < until)
        ;
    taken++;
}

static timer_t begin_to_take(enum take take)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec when = {0};
    timer_t timer;
    taken = 0;
    if (take != NEVER)
        when.it_value.tv_nsec = AFTER_MS * 1000000L;
    if (take == AGAIN)
        when.it_interval.tv_nsec = (TAKEN_MS + AFTER_MS) * 1000000L;
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0 ||
        timer_settime(timer, 0, &when, NULL) != 0)
        abort();
    return timer;
}

static struct tael_ask ask;

/* Gives the steps that were used. */
static int64_t run(const char *name, int64_t steps, enum take take)
{
    static struct tael_generation_file file = {{"rules.lua", 9}, {rules, sizeof(rules) - 1}};
    static const struct tael_generation generation = {
        .name = {"case", 4}, .key = {"case", 4}, .files = &file, .count = 1};
    struct tael_isolate *isolate = NULL;
    struct tael_buf out = ask.out;
    tael_buf_clear(&out);
    ask = (struct tael_ask){.generation = &generation,
                            .entry = file.path,
                            .steps = steps,
                            .call_count = 1,
                            .calls[0].name = tael_span_of(name),
                            .out = out};
    if (tael_isolate_new(&isolate, NULL, 0, false) != TAEL_OK)
        abort();
    enum tael_run_state state = tael_ask_begin(&ask, isolate);
    timer_t timer = begin_to_take(take);
    while (state == TAEL_RUN_PAUSED)
        state = tael_ask_go(&ask);
    timer_delete(timer);
    int64_t used = tael_ask_used(&ask);
    tael_ask_end(&ask);
    tael_isolate_free(isolate);
    return used;
}

int main(void)
{
    struct sigaction action = {.sa_handler = take_time, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    int64_t enough = run("short", PLENTY, NEVER) + TO_SPARE;
    CHECK(ask.calls[0].end == TAEL_ASK_DONE);

    bool pardoned = false;
    for (int i = 0; i < TRIES && !pardoned; i++) {
        int64_t used = run("short", enough, ONCE);
        printf("# %lld steps of %lld, taken %d times\n", (long long)used, (long long)enough, taken);
        pardoned = ask.calls[0].end == TAEL_ASK_DONE && used > enough && taken == 1;
    }
    CHECK_NAMED(pardoned, "time that is taken once ends nothing, and counts as used all the same");

    enough = run("long", PLENTY, NEVER) + TO_SPARE;
    CHECK(ask.calls[0].end == TAEL_ASK_DONE);
    run("long", enough, AGAIN);
    CHECK_NAMED(ask.calls[0].end == TAEL_ASK_SPENT && taken > 1,
                "what is slow again is charged for all of it");
    tael_buf_free(&ask.out);
    return tap_end();
}
