/* watch.c - looks at files by name, time, size and inode. Up to 10000 files; beyond that, and below
 * 16 folders, nothing is seen.
 */
#include "base/watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

struct seen {
    char *path;
    int64_t changed_ns;
    int64_t size;
    uint64_t inode;
};

struct look {
    struct seen *files; /* by name */
    size_t count, cap;
};

struct tael_watch {
    char **roots;
    size_t root_count;
    struct look accepted, last;
    bool settled;
};

static void look_free(struct look *look)
{
    for (size_t i = 0; i < look->count; i++)
        free(look->files[i].path);
    free(look->files);
    *look = (struct look){0};
}

/* ---- one look ---- */

static tael_status look_add(struct look *look, const char *path, const struct stat *about)
{
    if (look->count == TAEL_WATCH_FILES_MAX)
        return TAEL_OK;
    if (look->count == look->cap) {
        size_t cap = look->cap > 0 ? look->cap * 2 : 64;
        struct seen *files = realloc(look->files, cap * sizeof(*files));
        if (files == NULL)
            return TAEL_ENOMEM;
        look->files = files;
        look->cap = cap;
    }
    struct seen *seen = &look->files[look->count];
    seen->path = strdup(path);
    if (seen->path == NULL)
        return TAEL_ENOMEM;
    /* not the time of writing: who copies over a file may set it back */
    seen->changed_ns = (int64_t)about->st_ctim.tv_sec * 1000000000 + about->st_ctim.tv_nsec;
    seen->size = about->st_size;
    seen->inode = about->st_ino;
    look->count++;
    return TAEL_OK;
}

/* Hidden files, backups and what editors write before they rename. */
static bool passed_over(const char *name)
{
    static const char *const endings[] = {"~", ".swp", ".swx", ".tmp", ".bak", ".orig"};
    size_t len = strlen(name);
    if (name[0] == '.' || name[0] == '#' ||
        strcmp(name, "4913") == 0) /* vim tries whether it may */
        return true;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t end = strlen(endings[i]);
        if (len >= end && strcmp(name + len - end, endings[i]) == 0)
            return true;
    }
    return false;
}

static tael_status look_at(struct look *look, const char *path, int depth);

static tael_status look_below(struct look *look, const char *folder, int depth)
{
    if (depth >= TAEL_WATCH_DEPTH_MAX)
        return TAEL_OK;
    DIR *entries = opendir(folder);
    tael_status rc = TAEL_OK;
    if (entries == NULL)
        return errno == ENOMEM ? TAEL_ENOMEM : TAEL_OK; /* gone, or not for us: nothing is there */
    const struct dirent *entry;
    while (rc == TAEL_OK && (entry = readdir(entries)) != NULL) {
        char *path = NULL;
        if (passed_over(entry->d_name))
            continue;
        if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
            rc = TAEL_ENOMEM;
        else
            rc = look_at(look, path, depth + 1);
        free(path);
    }
    closedir(entries);
    return rc;
}

static tael_status look_at(struct look *look, const char *path, int depth)
{
    struct stat link, about;
    if (stat(path, &about) != 0)
        return TAEL_OK;
    if (S_ISREG(about.st_mode))
        return look_add(look, path, &about);
    bool linked = depth > 0 && (lstat(path, &link) != 0 || S_ISLNK(link.st_mode));
    if (S_ISDIR(about.st_mode) && !linked)
        return look_below(look, path, depth);
    return TAEL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->path, ((const struct seen *)b)->path);
}

static tael_status look_around(const struct tael_watch *watch, struct look *look)
{
    tael_status rc = TAEL_OK;
    for (size_t i = 0; rc == TAEL_OK && i < watch->root_count; i++)
        rc = look_at(look, watch->roots[i], 0);
    if (rc != TAEL_OK)
        look_free(look);
    else if (look->count > 0)
        qsort(look->files, look->count, sizeof(*look->files), by_name);
    return rc;
}

/* ---- comparing ---- */

static struct tael_watch_change compare(const struct look *before, const struct look *now)
{
    struct tael_watch_change change = {0, NULL};
    size_t b = 0, n = 0;
    while (b < before->count || n < now->count) {
        const struct seen *old = b < before->count ? &before->files[b] : NULL;
        const struct seen *new = n < now->count ? &now->files[n] : NULL;
        int order = old == NULL ? 1 : new == NULL ? -1 : strcmp(old->path, new->path);
        bool same = order == 0 && old->changed_ns == new->changed_ns && old->size == new->size &&
                    old->inode == new->inode;
        b += order <= 0;
        n += order >= 0;
        if (same)
            continue;
        if (change.count++ == 0)
            change.path = order < 0 ? old->path : new->path;
    }
    return change;
}

/* ---- the watch ---- */

tael_status tael_watch_new(struct tael_watch **out)
{
    struct tael_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return TAEL_ENOMEM;
    *out = watch;
    return TAEL_OK;
}

void tael_watch_free(struct tael_watch *watch)
{
    if (watch == NULL)
        return;
    look_free(&watch->accepted);
    look_free(&watch->last);
    for (size_t i = 0; i < watch->root_count; i++)
        free(watch->roots[i]);
    free(watch->roots);
    free(watch);
}

tael_status tael_watch_add(struct tael_watch *watch, const char *path)
{
    for (size_t i = 0; i < watch->root_count; i++)
        if (strcmp(watch->roots[i], path) == 0)
            return TAEL_OK;
    char **roots = realloc(watch->roots, (watch->root_count + 1) * sizeof(*roots));
    if (roots == NULL)
        return TAEL_ENOMEM;
    watch->roots = roots;
    roots[watch->root_count] = strdup(path);
    if (roots[watch->root_count] == NULL)
        return TAEL_ENOMEM;
    watch->root_count++;
    return TAEL_OK;
}

size_t tael_watch_places(const struct tael_watch *watch)
{
    return watch->root_count;
}

tael_status tael_watch_look(struct tael_watch *watch, struct tael_watch_change *out)
{
    struct look now = {0};
    tael_status rc = look_around(watch, &now);
    if (rc != TAEL_OK)
        return rc;
    watch->settled = compare(&watch->last, &now).count == 0;
    look_free(&watch->last);
    watch->last = now;
    *out = compare(&watch->accepted, &watch->last);
    return TAEL_OK;
}

bool tael_watch_settled(const struct tael_watch *watch)
{
    return watch->settled;
}

void tael_watch_accept(struct tael_watch *watch)
{
    look_free(&watch->accepted);
    watch->accepted = watch->last;
    watch->last = (struct look){0};
}
