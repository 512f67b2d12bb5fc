/* engine_route_texts.c - see engine_routes.h: the last text of each route's file that has loaded,
 * for every worker: one that has not looked at a file before it was broken runs what the others
 * run.
 */
#include <stdlib.h>
#include <string.h>

#include "engine_routes.h"

struct text {
    char *name, *data;
    size_t len;
    struct text *next;
};

struct tael_route_texts {
    pthread_mutex_t lock;
    struct text *first; /* as many as there are files */
};

static void free_text(struct text *text)
{
    if (text == NULL)
        return;
    free(text->name);
    free(text->data);
    free(text);
}

/* The link to the text of that name, or the end of the list. */
static struct text **link_of(struct tael_route_texts *texts, const char *name)
{
    struct text **link = &texts->first;
    while (*link != NULL && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

static char *copy_of(const char *data, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy != NULL)
        memcpy(copy, data, len);
    return copy;
}

void tael_route_texts_keep(struct tael_route_texts *texts, const char *name, const char *data,
                           size_t len)
{
    struct text *text = calloc(1, sizeof(*text));
    if (text != NULL) {
        text->name = strdup(name);
        text->data = copy_of(data, len);
        text->len = len;
    }
    if (text == NULL || text->name == NULL || text->data == NULL) {
        free_text(text); /* only a worker that has never seen the file misses it */
        return;
    }
    pthread_mutex_lock(&texts->lock);
    struct text **link = link_of(texts, name), *before = *link;
    text->next = before != NULL ? before->next : NULL;
    *link = text;
    pthread_mutex_unlock(&texts->lock);
    free_text(before);
}

char *tael_route_texts_copy(struct tael_route_texts *texts, const char *name, size_t *len)
{
    pthread_mutex_lock(&texts->lock);
    const struct text *text = *link_of(texts, name);
    char *copy = text != NULL ? copy_of(text->data, text->len) : NULL;
    *len = text != NULL ? text->len : 0;
    pthread_mutex_unlock(&texts->lock);
    return copy;
}

void tael_route_texts_drop(struct tael_route_texts *texts, const char *name)
{
    pthread_mutex_lock(&texts->lock);
    struct text **link = link_of(texts, name), *text = *link;
    if (text != NULL)
        *link = text->next;
    pthread_mutex_unlock(&texts->lock);
    free_text(text);
}

tael_status tael_route_texts_new(struct tael_route_texts **out)
{
    struct tael_route_texts *texts = calloc(1, sizeof(*texts));
    if (texts == NULL)
        return TAEL_ENOMEM;
    if (pthread_mutex_init(&texts->lock, NULL) != 0) {
        free(texts);
        return TAEL_ENOMEM;
    }
    *out = texts;
    return TAEL_OK;
}

void tael_route_texts_free(struct tael_route_texts *texts)
{
    if (texts == NULL)
        return;
    while (texts->first != NULL) {
        struct text *text = texts->first;
        texts->first = text->next;
        free_text(text);
    }
    pthread_mutex_destroy(&texts->lock);
    free(texts);
}
