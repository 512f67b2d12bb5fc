/* isolate_time_test.c - time that is taken from a script's thread, as by a machine that has other
 * things to do: an honest script is not charged for it, one whose steps take long again and again
 * is. A signal's handler takes it, for it counts as the thread's time.
 */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "script/isolate.h"
#include "tap.h"

enum {
    AFTER_MS = 8,          /* of the thread's time: when it is taken, */
    TAKEN_MS = 60,         /* and how much; it would be 600,000 steps, */
    TO_SPARE = 300 * 1000, /* and so many may be left */
    TRIES = 5,             /* the machine may take some itself */
};

static const char text[] = "local n = 0 for i = 1, 6e6 do n = n + i end";

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

static struct tael_buf scratch;

static int no_module(lua_State *L)
{
    (void)L;
    return 0;
}

static int end(lua_State *L, int status, lua_KContext context)
{
    (void)L, (void)status, (void)context;
    return 0;
}

static int body(lua_State *L)
{
    lua_pushcfunction(L, no_module);
    tael_confine_push_environment(L);
    tael_isolate_load(L, tael_span_of(text), "@s.lua", &scratch);
    lua_callk(L, 0, 0, 0, end);
    return end(L, LUA_OK, 0);
}

/* Gives the steps that are left, too. */
static enum tael_run_state run(int64_t *steps)
{
    struct tael_isolate *isolate = NULL;
    struct tael_run at = {0};
    if (tael_isolate_new(&isolate, NULL, 0, false) != TAEL_OK ||
        tael_run_begin(&at, isolate, *steps, false) != TAEL_OK)
        abort();
    enum tael_run_state state = tael_run_go(&at, body, NULL);
    while (state == TAEL_RUN_PAUSED)
        state = tael_run_go(&at, NULL, NULL);
    *steps = at.steps;
    tael_run_end(&at);
    tael_isolate_free(isolate);
    return state;
}

int main(void)
{
    struct sigaction action = {.sa_handler = take_time, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    const int64_t plenty = 1000 * 1000 * 1000;
    int64_t left = plenty;
    CHECK(run(&left) == TAEL_RUN_DONE);
    int64_t enough = plenty - left + TO_SPARE;
    printf("# it takes %lld steps\n", (long long)(plenty - left));

    enum tael_run_state state = TAEL_RUN_SPENT;
    for (int i = 0; i < TRIES && state != TAEL_RUN_DONE; i++) {
        timer_t timer = begin_to_take(0);
        left = enough;
        state = run(&left);
        timer_delete(timer);
        printf("# time was taken %d times, %lld steps were left\n", (int)taken, (long long)left);
        CHECK(taken == 1);
    }
    CHECK_NAMED(state == TAEL_RUN_DONE, "time that is taken once is not charged");

    timer_t timer = begin_to_take(TAKEN_MS + AFTER_MS);
    left = enough;
    state = run(&left);
    timer_delete(timer);
    CHECK_NAMED(state == TAEL_RUN_SPENT && taken > 1,
                "what is slow again is charged for all of it");
    tael_buf_free(&scratch);
    return tap_end();
}
