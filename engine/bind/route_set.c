/* route_set.c - see route.h: scripts of texts that were given, all in one isolate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/route.h"

enum { NAME_MAX_LEN = 64, FILES_MAX = 256 };

struct given {
    char *name, *chunk, *text;
    size_t len;
    struct tael_route_script *script;
};

struct tael_route_set {
    size_t references;
    bool ordered;
    struct tael_isolate *isolate;
    struct given *list[FILES_MAX]; /* by name */
    size_t count;
};

static void free_given(struct given *given)
{
    if (given == NULL)
        return;
    tael_route_release(given->script);
    free(given->name);
    free(given->chunk);
    free(given->text);
    free(given);
}

static struct given *new_given(struct tael_span name, struct tael_span text)
{
    struct given *given = calloc(1, sizeof(*given));
    if (given == NULL)
        return NULL;
    given->name = strndup(name.data, name.len);
    if (given->name != NULL && asprintf(&given->chunk, "routes/%s.lua", given->name) < 0)
        given->chunk = NULL;
    given->text = malloc(text.len + 1);
    given->len = text.len;
    if (given->chunk != NULL && given->text != NULL) {
        memcpy(given->text, text.data, text.len);
        return given;
    }
    free_given(given);
    return NULL;
}

static int compare(const struct given *given, struct tael_span name)
{
    int order = strncmp(given->name, name.data, name.len);
    return order != 0 ? order : given->name[name.len] != '\0';
}

/* Where the name stands or would stand. */
static size_t place_of(const struct tael_route_set *set, struct tael_span name, bool *there)
{
    size_t low = 0, high = set->count;
    *there = false;
    while (low < high && !*there) {
        size_t middle = (low + high) / 2;
        int order = compare(set->list[middle], name);
        *there = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

tael_status tael_route_set_new(struct tael_route_set **out, bool ordered)
{
    struct tael_route_set *set = calloc(1, sizeof(*set));
    if (set == NULL)
        return TAEL_ENOMEM;
    set->references = 1;
    set->ordered = ordered;
    tael_status rc = tael_isolate_new(&set->isolate, NULL, 0, ordered);
    if (rc != TAEL_OK) {
        free(set);
        return rc;
    }
    *out = set;
    return TAEL_OK;
}

tael_status tael_route_set_add(struct tael_route_set *set, struct tael_span name,
                               struct tael_span text, char *why)
{
    bool there;
    size_t at = place_of(set, name, &there);
    snprintf(why, TAEL_ROUTE_WHY_MAX, "routes: at most %d files, each with a name of its own of %d",
             FILES_MAX, NAME_MAX_LEN);
    if (there || set->count == FILES_MAX || name.len == 0 || name.len > NAME_MAX_LEN)
        return TAEL_ELIMIT;
    struct given *given = new_given(name, text);
    snprintf(why, TAEL_ROUTE_WHY_MAX, "routes: out of memory");
    if (given == NULL)
        return TAEL_ENOMEM;
    tael_status rc = TAEL_ELIMIT;
    if (text.len > TAEL_ROUTE_SOURCE_MAX)
        snprintf(why, TAEL_ROUTE_WHY_MAX, "%s: is larger than 256 KiB", given->chunk);
    else
        rc = tael_route_load(&given->script, set->isolate, given->chunk, text, why);
    if (rc != TAEL_OK) {
        free_given(given);
        return rc;
    }
    memmove(set->list + at + 1, set->list + at, (set->count - at) * sizeof(set->list[0]));
    set->list[at] = given;
    set->count++;
    return TAEL_OK;
}

tael_status tael_route_set_again(const struct tael_route_set *set, struct tael_route_set **out)
{
    struct tael_route_set *next = NULL;
    char why[TAEL_ROUTE_WHY_MAX];
    tael_status rc = tael_route_set_new(&next, set->ordered);
    for (size_t i = 0; rc == TAEL_OK && i < set->count; i++) {
        const struct given *given = set->list[i];
        rc = tael_route_set_add(next, tael_span_of(given->name),
                                (struct tael_span){given->text, given->len}, why);
    }
    if (rc == TAEL_OK)
        *out = next;
    else
        tael_route_set_release(next);
    return rc;
}

struct tael_route_script *tael_route_set_find(const struct tael_route_set *set,
                                              struct tael_span name)
{
    bool there;
    size_t at = place_of(set, name, &there);
    return there ? set->list[at]->script : NULL;
}

void tael_route_set_retain(struct tael_route_set *set)
{
    set->references++;
}

void tael_route_set_release(struct tael_route_set *set)
{
    if (set == NULL || --set->references > 0)
        return;
    for (size_t i = 0; i < set->count; i++)
        free_given(set->list[i]);
    tael_isolate_free(set->isolate);
    free(set);
}
