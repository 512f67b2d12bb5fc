/* thread.h - threads that have a name and an owner who waits for their end. */
#ifndef TAEL_BASE_THREAD_H
#define TAEL_BASE_THREAD_H

#include "tael.h"

#include <stdbool.h>

#include <pthread.h>

struct tael_thread { /* all zero: there is none */
    pthread_t id;    /* while runs is set */
    bool runs;
};

/* name: what ps, top and debuggers show, at most 15 bytes. TAEL_ENOMEM: the system gives none. */
tael_status tael_thread_start(struct tael_thread *thread, const char *name, void *(*run)(void *),
                              void *arg);
/* Waits for its end. Where there is none nothing happens. */
void tael_thread_join(struct tael_thread *thread);

#endif
