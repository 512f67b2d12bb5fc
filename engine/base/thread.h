/* thread.h - threads that have a name and an owner who waits for their end. */
#ifndef TAEL_BASE_THREAD_H
#define TAEL_BASE_THREAD_H

#include "tael.h"

#include <stdbool.h>

#include <pthread.h>

#include <locale.h>

struct tael_thread { /* all zero: there is none */
    pthread_t id;    /* while runs is set */
    bool runs;
    void *(*run)(void *arg);
    void *arg;
};

/* name: what ps, top and debuggers show, at most 15 bytes. *thread stays where it is till the end.
 * The thread is a plain one (below). TAEL_ENOMEM: the system gives none. */
tael_status tael_thread_start(struct tael_thread *thread, const char *name, void *(*run)(void *),
                              void *arg);
/* The calling thread does little at a time, and others wait for it: where it shares a core with a
 * busy one it runs when it wakes, and not when the other's slice is over. Linux 6.12 and later can
 * be told so (sched(7), sched_setattr(2): sched_runtime of SCHED_OTHER); before, nothing happens.
 */
void tael_thread_be_prompt(void);
/* From here on the calling thread knows letters and writes numbers as the C locale does, whatever
 * its process has chosen: Lua's strings, patterns and numbers go by the locale. Gives the one that
 * it had. */
locale_t tael_thread_go_plain(void);
void tael_thread_go_back(locale_t locale);
/* Waits for its end. Where there is none nothing happens. */
void tael_thread_join(struct tael_thread *thread);

#endif
