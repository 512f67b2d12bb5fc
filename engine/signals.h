/* signals.h - the signals of the program: SIGINT and SIGTERM stop, SIGHUP reloads.
 *
 * They are blocked in every thread and taken by one thread with sigwait, so no handler ever runs
 * and a stop is heard in every phase of life, a start included. Owner: the main thread.
 */
#ifndef TAEL_SIGNALS_H
#define TAEL_SIGNALS_H

#include "tael.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <pthread.h>

#include "base/thread.h"

struct tael_signals {
    atomic_bool stop;     /* somebody asked; as tael_engine_setup.stop */
    bool closing, lost;   /* closing: the thread ends; lost: SIGHUP stops, too */
    bool hung_up;         /* a SIGHUP came when no engine ran that could reload */
    tael_engine *engine;  /* that they are for; NULL: none now */
    pthread_mutex_t lock; /* of engine and closing */
    pthread_cond_t asked; /* with it */
    struct tael_thread thread;
};

/* Before any other thread exists. lost: a terminal that is gone ends the program (SIGHUP),
 * unless that was ignored when it began. */
tael_status tael_signals_open(struct tael_signals *signals, bool lost);
void tael_signals_close(struct tael_signals *signals);

/* From now on they are for engine; one that came before is made good. NULL: for none; when it
 * returns the former engine is not touched any more. */
void tael_signals_are_for(struct tael_signals *signals, tael_engine *engine);

/* Waits ms for a stop; true: there was one. */
bool tael_signals_wait(struct tael_signals *signals, int64_t ms);

#endif
