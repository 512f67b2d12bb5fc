/* seal.c - see seal.h. The filter is a classic BPF program that the kernel runs before each system
 * call: the architecture first, since numbers mean something only with it, then the call's number,
 * then arguments where they matter. Whatever falls through kills.
 */
#include "child/seal.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bind/wire.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the filter of system calls has to be told this architecture (linux/audit.h)"
#endif

#define STACK   ((rlim_t)TAEL_WIRE_STACK) /* who starts it looks at this limit before */
#define ADDRESS ((rlim_t)256 << 20)

/* ---- the filter ---- */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
/* Otherwise the next `over` instructions are left out. An argument's low half is looked at: flags
 * and descriptors are ints. */
#define EQUAL(value, over)  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, (over))
#define WITHOUT(bits, over) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(bits), (over), 0)

#define ALLOW_CALL(name) EQUAL(SYS_##name, 1), ALLOW
#define ALLOW_SOCKET(name)                                                                         \
    EQUAL(SYS_##name, 4), LOAD(args[0]), EQUAL(TAEL_CHILD_SOCKET, 1), ALLOW, KILL

static const struct sock_filter program[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
    KILL,
    LOAD(nr),
    ALLOW_SOCKET(read),
    ALLOW_SOCKET(write),
    ALLOW_CALL(futex),
    ALLOW_CALL(brk),
    ALLOW_CALL(munmap),
    ALLOW_CALL(mremap),
    ALLOW_CALL(madvise),
    ALLOW_CALL(clock_gettime),
    ALLOW_CALL(rt_sigreturn),
    ALLOW_CALL(restart_syscall),
    ALLOW_CALL(exit_group),
    ALLOW_CALL(exit),
    EQUAL(SYS_mprotect, 4),
    LOAD(args[2]),
    WITHOUT(PROT_EXEC, 1),
    ALLOW,
    KILL,
    EQUAL(SYS_mmap, 7), /* memory that is no file's and holds no code */
    LOAD(args[2]),
    WITHOUT(PROT_EXEC, 5),
    LOAD(args[3]),
    WITHOUT(MAP_SHARED, 3),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, MAP_ANONYMOUS),
    EQUAL(MAP_ANONYMOUS, 1),
    ALLOW,
    KILL,
};

static bool filter_calls(void)
{
    struct sock_fprog filter = {
        .len = sizeof(program) / sizeof(program[0]),
        .filter = (struct sock_filter *)(uintptr_t)program, /* the kernel's type knows no const */
    };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* ---- the rest ---- */

static bool limit(__rlimit_resource_t what, rlim_t most)
{
    return setrlimit(what, &(struct rlimit){.rlim_cur = most, .rlim_max = most}) == 0;
}

/* The kernel looks at the limit whenever the stack grows. */
static bool keep_stack(void)
{
    struct rlimit now;
    if (getrlimit(RLIMIT_STACK, &now) != 0)
        return false;
    if (now.rlim_cur == RLIM_INFINITY || now.rlim_cur >= STACK)
        return true;
    now.rlim_cur = STACK;
    return (now.rlim_max == RLIM_INFINITY || now.rlim_max >= STACK) &&
           setrlimit(RLIMIT_STACK, &now) == 0;
}

static bool close_others(void)
{
    if (fcntl(TAEL_CHILD_SOCKET, F_GETFD) < 0)
        return false;
    for (int fd = 0; fd < TAEL_CHILD_SOCKET; fd++)
        close(fd);
    return syscall(SYS_close_range, TAEL_CHILD_SOCKET + 1, ~0U, 0) == 0;
}

bool tael_child_seal(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && close_others() && keep_stack() &&
           limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0) &&
           limit(RLIMIT_NOFILE, TAEL_CHILD_SOCKET + 1) && limit(RLIMIT_NPROC, 0) &&
           (SANITIZED || (limit(RLIMIT_AS, ADDRESS) && filter_calls()));
}
