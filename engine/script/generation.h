/* generation.h - one immutable snapshot of somebody's scripts: source texts by path. What is in it
 * never changes; a change is another generation. One thread.
 */
#ifndef TAEL_SCRIPT_GENERATION_H
#define TAEL_SCRIPT_GENERATION_H

#include "script/source.h"

enum {                                    /* threats.md R31 */
       TAEL_GENERATION_MAX = 1024 * 1024, /* bytes of all files of a merchant */
       TAEL_GENERATION_FILES_MAX = 256,
       TAEL_GENERATION_OWN_MAX = 64 * 1024, /* the same of what Tael adds: "tael/…" */
       TAEL_GENERATION_OWN_FILES_MAX = 16,
       TAEL_GENERATION_NAME_MAX = 128, /* bytes of a name, a path, a module's name */
};

struct tael_generation_file {
    struct tael_span path; /* "rules.lua", "lib/prices.lua" */
    struct tael_span text;
};

struct tael_generation {
    struct tael_span name;    /* in front of its files' paths in messages: "merchants/acme" */
    struct tael_span key;     /* one for these very texts of this owner */
    struct tael_span group;   /* whose process it runs in; empty: that of its name */
    struct tael_span effects; /* names of those that its calls may have, each with a blank behind */
    struct tael_generation_file *files; /* in the order of their paths */
    size_t count;
};

static inline struct tael_span tael_generation_group(const struct tael_generation *generation)
{
    return generation->group.len > 0 ? generation->group : generation->name;
}

/* NULL: there is none. */
const struct tael_generation_file *tael_generation_find(const struct tael_generation *generation,
                                                        struct tael_span path);
/* The file of module "lib.prices". NULL: there is none, or it is no module's name. */
const struct tael_generation_file *tael_generation_module(const struct tael_generation *generation,
                                                          struct tael_span module);
/* Puts the files in order. False: two have the same path. */
bool tael_generation_sort(struct tael_generation *generation);
bool tael_generation_sorted(const struct tael_generation *generation); /* and no two are the same */

#endif
