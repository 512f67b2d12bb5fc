/* alloc_fail.h - lets the n-th allocation of the code under test fail. Included by a test program's
 * one file, it stands before the system's malloc for all that is linked statically (libtael.a and
 * the test); the shared libraries keep theirs, and so do the sanitizers, which these calls go on
 * to. A program that exports its malloc (the Makefile says which) stands before the libraries too.
 *
 *     for (long n = 1; ; n++) {
 *         alloc_fail_at(n);
 *         status = thing_new(&thing);
 *         bool failed = alloc_fail_end();      was the n-th reached?
 *         if (!failed) break;
 *         CHECK(status == TAEL_ENOMEM);
 *     }
 *
 * Lua collects its garbage and asks again when it is refused: alloc_fail_run(n, 2) refuses twice.
 */
#ifndef TAEL_TESTS_ALLOC_FAIL_H
#define TAEL_TESTS_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dlfcn.h>

static _Thread_local long
    alloc_fail_left; /* allocations until the first that fails; 0: none does */
static _Thread_local long alloc_fail_more; /* that fail right behind it */
static _Thread_local bool alloc_fail_done;

/* The n-th fails, and those behind it until there were count. */
static inline void alloc_fail_run(long n, long count)
{
    alloc_fail_left = n;
    alloc_fail_more = count - 1;
    alloc_fail_done = false;
}

static inline void alloc_fail_at(long n)
{
    alloc_fail_run(n, 1);
}

static inline bool alloc_fail_end(void)
{
    alloc_fail_left = 0;
    return alloc_fail_done;
}

static inline bool alloc_fails_now(void)
{
    if (alloc_fail_left == 0 || --alloc_fail_left > 0)
        return false;
    alloc_fail_done = true;
    alloc_fail_left = alloc_fail_more-- > 0 ? 1 : 0;
    return true;
}

void *malloc(size_t size)
{
    static void *(*real)(size_t size);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "malloc");
    return alloc_fails_now() ? NULL : real(size);
}

void *calloc(size_t count, size_t size)
{
    static void *(*real)(size_t count, size_t size);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "calloc");
    return alloc_fails_now() ? NULL : real(count, size);
}

void *realloc(void *memory, size_t size)
{
    static void *(*real)(void *memory, size_t size);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "realloc");
    return alloc_fails_now() ? NULL : real(memory, size);
}

#endif
