/* children_fixture.h - what the tests of scripts' processes share: asks by number, and a loop that
 * runs until all of them have come to their end, or to an effect.
 */
#ifndef TAEL_TESTS_CHILDREN_FIXTURE_H
#define TAEL_TESTS_CHILDREN_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include "bind/children.h"
#include "net/world_uv.h"

enum { ASKS = 32, STEPS = 300000, STEPS_MANY = 100000000 };

static struct tael_world *world;
static struct tael_loop *loop;
static struct tael_children *children;
static char self[4096], script_program[4096];

struct asked {
    struct tael_children_ask sent; /* first */
    struct tael_ask ask;
    struct tael_generation generation;
    struct tael_generation_file file;
    char name[64];
    bool done;
};

static struct asked asked[ASKS];
static int open_asks;
static int64_t steps = STEPS;

static inline void on_done(struct tael_children_ask *sent)
{
    ((struct asked *)sent)->done = true;
    if (--open_asks == 0)
        tael_loop_stop(loop);
}

static inline struct asked *prepare_at(int at, const char *name, const char *text, int calls)
{
    struct asked *one = &asked[at];
    struct tael_buf message = one->sent.message, out = one->ask.out;
    *one = (struct asked){.sent = {.ask = &one->ask, .done = on_done, .message = message}};
    snprintf(one->name, sizeof(one->name), "%s", name);
    one->file = (struct tael_generation_file){tael_span_of("rules.lua"), tael_span_of(text)};
    one->generation = (struct tael_generation){.name = tael_span_of(one->name),
                                               .key = tael_span_of(text),
                                               .files = &one->file,
                                               .count = 1};
    one->ask.generation = &one->generation;
    one->ask.entry = one->file.path;
    one->ask.steps = steps;
    one->ask.out = out;
    one->ask.call_count = (size_t)calls;
    for (int i = 0; i < calls; i++)
        one->ask.calls[i].name = tael_span_of("f");
    return one;
}

static inline void put(struct asked *one)
{
    if (tael_children_prepare(children, &one->sent) != TAEL_OK)
        abort();
    open_asks++;
    tael_children_put(children, &one->sent);
}

static inline struct asked *put_at(int at, const char *name, const char *text, int calls)
{
    struct asked *one = prepare_at(at, name, text, calls);
    put(one);
    return one;
}

static inline void run(void)
{
    while (open_asks > 0) /* a stop that came outside the loop ends the next one */
        tael_loop_run(loop);
}

static inline enum tael_ask_end ask(const char *name, const char *text)
{
    struct asked *one = put_at(0, name, text, 1);
    run();
    return one->ask.calls[0].end;
}

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
