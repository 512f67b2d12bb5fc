/* thread_test.c - a prompt thread is one still, of the same kind and priority; each is of
 * the C locale. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <locale.h>

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
    if (syscall(SYS_sched_getattr, 0, &out, sizeof(out), 0) != 0)
        abort();
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

static void *prompt(void *data)
{
    struct attributes *seen = data;
    seen[0] = attributes();
    tael_thread_be_prompt();
    seen[1] = attributes();
    return NULL;
}

static void *note_plain(void *plain)
{
    *(bool *)plain = MB_CUR_MAX == 1;
    return NULL;
}

/* What threads log and Lua makes of letters is not for the host's locale. */
static void a_thread_is_plain(void)
{
    struct tael_thread thread = {0};
    bool plain = false;
    CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL && MB_CUR_MAX > 1);
    CHECK(tael_thread_start(&thread, "plain", note_plain, &plain) == TAEL_OK);
    tael_thread_join(&thread);
    CHECK(plain && MB_CUR_MAX > 1);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    a_thread_is_plain();
    struct tael_thread thread = {0};
    struct attributes seen[2] = {0};
    uint64_t usual = attributes().runtime;
    CHECK(tael_thread_start(&thread, "prompt", prompt, seen) == TAEL_OK);
    tael_thread_join(&thread);
    CHECK(!thread.runs && seen[0].size > 0);
    CHECK(seen[1].policy == seen[0].policy && seen[1].nice == seen[0].nice);
    CHECK(!has_slices() || seen[1].runtime == 100000);
    tael_thread_join(&thread); /* nothing */
    CHECK(attributes().runtime == usual);
    return tap_end();
}
