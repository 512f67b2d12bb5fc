/* children_fixture.h - what the tests of scripts' processes share: asks by number, and a loop that
 * runs until all of them have come to their end, or to an effect.
 */
#ifndef TAEL_TESTS_CHILDREN_FIXTURE_H
#define TAEL_TESTS_CHILDREN_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "child/seal.h"
#include "children_place.h"

enum { ASKS = 32, STEPS = 300000, STEPS_MANY = 100000000 };

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

/* ---- in a child that is not to be trusted ---- */

static inline void write_all(const void *data, size_t len)
{
    const char *at = data;
    for (ssize_t got; len > 0; at += got, len -= (size_t)got)
        if ((got = write(TAEL_CHILD_SOCKET, at, len)) <= 0)
            _exit(0);
}

#endif
