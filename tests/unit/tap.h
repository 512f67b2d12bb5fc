/* tap.h - the smallest test harness: each CHECK is one TAP line; the program fails when one does.
 */
#ifndef TAEL_TESTS_TAP_H
#define TAEL_TESTS_TAP_H

#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failed;

static inline void tap_check(bool ok, const char *what, const char *file, int line)
{
    printf("%s %d - %s (%s:%d)\n", ok ? "ok" : "not ok", ++tap_count, what, file, line);
    tap_failed += !ok;
    fflush(stdout);
}

#define CHECK(condition)             tap_check((condition), #condition, __FILE__, __LINE__)
#define CHECK_NAMED(condition, name) tap_check((condition), (name), __FILE__, __LINE__)

static inline int tap_end(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed == 0 && tap_count > 0 ? 0 : 1;
}

#endif
