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
    AFTER_MS = 8,          /* of the thread's time: when it is taken, */
    TAKEN_MS = 60,         /* and how much; it would be 600,000 steps, */
    TO_SPARE = 300 * 1000, /* and so many may be left */
    TRIES = 5,             /* the machine may take some itself */
    PLENTY = 1000 * 1000 * 1000,
};

static const char rules[] =
    "return { f = function() local n = 0 for i = 1, 6e6 do n = n + i end end }";

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

/* every_ms 0: once. */
static timer_t begin_to_take(int every_ms)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec when = {.it_value = {.tv_nsec = AFTER_MS * 1000000L},
                              .it_interval = {.tv_nsec = every_ms * 1000000L}};
    timer_t timer;
    taken = 0;
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0 ||
        timer_settime(timer, 0, &when, NULL) != 0)
        abort();
    return timer;
}

static struct tael_ask ask;

/* Gives the steps that were used. */
static int64_t run(int64_t steps)
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
                            .calls[0].name = {"f", 1},
                            .out = out};
    if (tael_isolate_new(&isolate, NULL, 0, false) != TAEL_OK)
        abort();
    enum tael_run_state state = tael_ask_begin(&ask, isolate);
    while (state == TAEL_RUN_PAUSED)
        state = tael_ask_go(&ask);
    int64_t used = tael_ask_used(&ask);
    tael_ask_end(&ask);
    tael_isolate_free(isolate);
    return used;
}

int main(void)
{
    struct sigaction action = {.sa_handler = take_time, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    int64_t honest = run(PLENTY), used = 0;
    CHECK(ask.calls[0].end == TAEL_ASK_DONE);
    printf("# it takes %lld steps\n", (long long)honest);

    ask.calls[0].end = TAEL_ASK_SPENT;
    for (int i = 0; i < TRIES && ask.calls[0].end != TAEL_ASK_DONE; i++) {
        timer_t timer = begin_to_take(0);
        used = run(honest + TO_SPARE);
        timer_delete(timer);
        printf("# time was taken %d times, %lld steps were used\n", (int)taken, (long long)used);
        CHECK(taken == 1);
    }
    CHECK_NAMED(ask.calls[0].end == TAEL_ASK_DONE, "time that is taken once ends nothing");
    CHECK_NAMED(used > honest + TO_SPARE, "it counts as used all the same");

    timer_t timer = begin_to_take(TAKEN_MS + AFTER_MS);
    used = run(honest + TO_SPARE);
    timer_delete(timer);
    printf("# time was taken %d times\n", (int)taken);
    CHECK_NAMED(ask.calls[0].end == TAEL_ASK_SPENT && taken > 1,
                "what is slow again is charged for all of it");
    tael_buf_free(&ask.out);
    return tap_end();
}
