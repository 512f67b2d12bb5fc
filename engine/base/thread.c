/* thread.c - see thread.h. */
#include "base/thread.h"

tael_status tael_thread_start(struct tael_thread *thread, const char *name, void *(*run)(void *),
                              void *arg)
{
    if (pthread_create(&thread->id, NULL, run, arg) != 0)
        return TAEL_ENOMEM;
    thread->runs = true;
    (void)pthread_setname_np(thread->id, name);
    return TAEL_OK;
}

void tael_thread_join(struct tael_thread *thread)
{
    if (thread->runs)
        pthread_join(thread->id, NULL);
    thread->runs = false;
}
