/* signals.c - one thread that waits for signals and passes them on to the engine. */
#include "signals.h"

#include <time.h>

#include "engine.h"

/* Whoever started it may have said that it is to outlive its terminal (nohup). */
static bool takes_hang_up(const struct tael_signals *signals)
{
    struct sigaction action;
    return !signals->lost || sigaction(SIGHUP, NULL, &action) != 0 || action.sa_handler != SIG_IGN;
}

static void signal_set(const struct tael_signals *signals, sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    if (takes_hang_up(signals))
        sigaddset(set, SIGHUP);
}

/* Under lock. */
static void pass_on(struct tael_signals *signals, int number)
{
    if (number == SIGHUP && !signals->lost) {
        signals->hung_up = signals->engine == NULL || !tael_engine_hang_up(signals->engine);
        return;
    }
    atomic_store(&signals->stop, true);
    if (signals->engine != NULL)
        tael_engine_stop(signals->engine, 0);
    pthread_cond_broadcast(&signals->asked);
}

static void *wait_for_signals(void *arg)
{
    struct tael_signals *signals = arg;
    sigset_t set;
    signal_set(signals, &set);
    for (;;) {
        int number = 0;
        if (sigwait(&set, &number) != 0)
            continue;
        pthread_mutex_lock(&signals->lock);
        bool closing = signals->closing;
        if (!closing)
            pass_on(signals, number);
        pthread_mutex_unlock(&signals->lock);
        if (closing)
            return NULL;
    }
}

tael_status tael_signals_open(struct tael_signals *signals, bool lost)
{
    pthread_condattr_t monotonic;
    sigset_t set;
    *signals = (struct tael_signals){.lost = lost};
    signal_set(signals, &set);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* all threads to come inherit it */
    pthread_mutex_init(&signals->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&signals->asked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (tael_thread_start(&signals->thread, "tael-signals", wait_for_signals, signals) == TAEL_OK)
        return TAEL_OK;
    pthread_cond_destroy(&signals->asked);
    pthread_mutex_destroy(&signals->lock);
    return TAEL_ENOMEM;
}

void tael_signals_close(struct tael_signals *signals)
{
    pthread_mutex_lock(&signals->lock);
    signals->closing = true;
    signals->engine = NULL;
    pthread_mutex_unlock(&signals->lock);
    pthread_kill(signals->thread.id, SIGTERM);
    tael_thread_join(&signals->thread);
    pthread_cond_destroy(&signals->asked);
    pthread_mutex_destroy(&signals->lock);
}

void tael_signals_are_for(struct tael_signals *signals, tael_engine *engine)
{
    pthread_mutex_lock(&signals->lock);
    signals->engine = engine;
    if (engine != NULL && atomic_load(&signals->stop))
        tael_engine_stop(engine, 0);
    if (engine != NULL && signals->hung_up)
        signals->hung_up = !tael_engine_hang_up(engine);
    pthread_mutex_unlock(&signals->lock);
}

bool tael_signals_wait(struct tael_signals *signals, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&signals->lock);
    while (!atomic_load(&signals->stop) &&
           pthread_cond_timedwait(&signals->asked, &signals->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&signals->lock);
    return atomic_load(&signals->stop);
}
