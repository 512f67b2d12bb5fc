/* thread.c - see thread.h. */
#include "base/thread.h"

#include <stdint.h>

#include <sys/syscall.h>
#include <unistd.h>

enum { PROMPT_SLICE_NS = 100 * 1000 }; /* the least that there is */

static void *run_plain(void *arg)
{
    const struct tael_thread *thread = arg;
    tael_thread_go_plain();
    return thread->run(thread->arg);
}

tael_status tael_thread_start(struct tael_thread *thread, const char *name, void *(*run)(void *),
                              void *arg)
{
    thread->run = run;
    thread->arg = arg;
    if (pthread_create(&thread->id, NULL, run_plain, thread) != 0)
        return TAEL_ENOMEM;
    thread->runs = true;
    (void)pthread_setname_np(thread->id, name);
    return TAEL_OK;
}

void tael_thread_be_prompt(void)
{
    struct { /* the kernel's sched_attr, as it was first: glibc has none */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = sizeof(attributes)};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0)
        return;
    attributes.runtime = PROMPT_SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

locale_t tael_thread_go_plain(void)
{
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0)); /* it is static, and never freed */
}

void tael_thread_go_back(locale_t locale)
{
    uselocale(locale);
}

void tael_thread_join(struct tael_thread *thread)
{
    if (thread->runs)
        pthread_join(thread->id, NULL);
    thread->runs = false;
}
