/* thread_test.c - a prompt thread is one still, of the same kind and priority. */
#include <stdint.h>
#include <stdio.h>

#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/thread.h"
#include "tap.h"

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static struct attributes attributes(void)
{
    struct attributes out = {0};
    CHECK(syscall(SYS_sched_getattr, 0, &out, sizeof(out), 0) == 0);
    return out;
}

/* Since 6.12 the slice of an ordinary thread is its own. */
static bool has_slices(void)
{
    struct utsname name;
    int major = 0, minor = 0;
    CHECK(uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2);
    return major > 6 || (major == 6 && minor >= 12);
}

static void *prompt(void *unused)
{
    struct attributes before = attributes();
    tael_thread_be_prompt();
    struct attributes after = attributes();
    CHECK(after.policy == before.policy && after.nice == before.nice);
    CHECK(!has_slices() || after.runtime == 100000);
    return unused;
}

int main(void)
{
    struct tael_thread thread = {0};
    uint64_t usual = attributes().runtime;
    CHECK(tael_thread_start(&thread, "prompt", prompt, NULL) == TAEL_OK);
    tael_thread_join(&thread);
    CHECK(!thread.runs);
    tael_thread_join(&thread);
    CHECK(attributes().runtime == usual);
    return tap_end();
}
