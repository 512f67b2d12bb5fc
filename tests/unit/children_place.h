/* children_place.h - where tests of scripts' processes run: one loop and its processes, and what
 * the system says of them.
 */
#ifndef TAEL_TESTS_CHILDREN_PLACE_H
#define TAEL_TESTS_CHILDREN_PLACE_H

#include <stdio.h>
#include <stdlib.h>

#include <dirent.h>

#include "bind/children.h"
#include "net/world_uv.h"

static struct tael_world *world;
static struct tael_loop *loop;
static struct tael_children *children;

static inline void open_children(const char *program, size_t max)
{
    struct tael_children_options options = {.loop = loop, .program = program, .max = max};
    if (tael_children_new(&children, &options) != TAEL_OK) {
        printf("Bail out! %s cannot be started\n", program);
        exit(1);
    }
}

static inline void stop_now(void *user)
{
    tael_loop_stop(user);
}

static inline void pause_loop(int64_t ms)
{
    struct tael_timer *timer = tael_timer_new(loop, stop_now, loop);
    if (timer == NULL)
        abort();
    tael_timer_start(timer, ms * 1000);
    tael_loop_run(loop);
    tael_timer_free(timer);
}

/* Those that have ended and were not reaped yet among them. */
static inline int our_children(pid_t out[], int max)
{
    int count = 0;
    FILE *file = fopen("/proc/thread-self/children", "r");
    while (file != NULL && count < max && fscanf(file, "%d", &out[count]) == 1)
        count++;
    if (file != NULL)
        fclose(file);
    return count;
}

/* Until all of them are reaped. */
static inline void close_children(void)
{
    pid_t left;
    tael_children_free(children);
    children = NULL;
    for (int i = 0; i < 500 && our_children(&left, 1) > 0; i++)
        pause_loop(10);
}

static inline int open_descriptors(const char *of)
{
    int count = 0;
    DIR *folder = opendir(of);
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count;
}

#endif
