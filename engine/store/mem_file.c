/* mem_file.c - contents of a file on the disk in memory, and what a loss of power leaves of them.
 * Owner: the VFS (vfs_mem.c), under whose lock all of this runs.
 */
#include "store/mem_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    CAP_MIN = 4096,
    SECTOR = 512, /* what a torn write is torn into */
};

uint64_t tael_mem_draw(uint64_t *random)
{
    uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- contents ---- */

static bool image_resize(struct tael_mem_image *image, size_t len)
{
    if (len > image->cap) {
        size_t cap = image->cap > 0 ? image->cap : CAP_MIN;
        while (cap < len)
            cap *= 2;
        unsigned char *data = realloc(image->data, cap);
        if (data == NULL)
            return false;
        image->data = data;
        image->cap = cap;
    }
    if (len > image->len)
        memset(image->data + image->len, 0, len - image->len);
    image->len = len;
    return true;
}

static bool image_write(struct tael_mem_image *image, size_t at, const unsigned char *data,
                        size_t len)
{
    if (at + len > image->len && !image_resize(image, at + len))
        return false;
    memcpy(image->data + at, data, len);
    return true;
}

static bool image_copy(struct tael_mem_image *to, const struct tael_mem_image *from)
{
    if (!image_resize(to, from->len))
        return false;
    if (from->len > 0)
        memcpy(to->data, from->data, from->len);
    to->there = from->there;
    return true;
}

static bool image_step(struct tael_mem_image *image, const struct tael_mem_step *step)
{
    return step->len > 0 ? image_write(image, step->at, step->data, step->len)
                         : image_resize(image, step->at);
}

/* Sectors of the write that reached the disk are written, the others not. */
static bool image_tear(struct tael_mem_image *image, const struct tael_mem_step *step,
                       uint64_t *random)
{
    for (size_t done = 0; done < step->len;) {
        size_t len = SECTOR - (step->at + done) % SECTOR;
        if (len > step->len - done)
            len = step->len - done;
        if (tael_mem_draw(random) % 2 == 0 &&
            !image_write(image, step->at + done, step->data + done, len))
            return false;
        done += len;
    }
    return true;
}

static void steps_drop(struct tael_mem_file *file)
{
    while (file->first != NULL) {
        struct tael_mem_step *step = file->first;
        file->first = step->next;
        free(step);
    }
    file->behind = &file->first;
}

bool tael_mem_file_sync(struct tael_mem_file *file)
{
    for (const struct tael_mem_step *step = file->first; step != NULL; step = step->next)
        if (!image_step(&file->safe, step))
            return false;
    file->safe.there = true;
    assert(file->safe.len == file->now.len || !file->now.there);
    steps_drop(file);
    return true;
}

bool tael_mem_file_gamble(struct tael_mem_file *file, uint64_t *random)
{
    enum { KEEP, DROP, MIX } way = MIX;
    uint64_t first = tael_mem_draw(random) % 4;
    if (first < 2)
        way = first == 0 ? KEEP : DROP;
    for (const struct tael_mem_step *step = file->first; step != NULL; step = step->next) {
        uint64_t choice = tael_mem_draw(random) % 4;
        bool good = true;
        if (way == KEEP || (way == MIX && choice < 2))
            good = image_step(&file->safe, step);
        else if (way == MIX && choice == 2)
            good = image_tear(&file->safe, step, random);
        if (!good)
            return false;
    }
    steps_drop(file);
    return true;
}

bool tael_mem_file_step(struct tael_mem_file *file, size_t at, const void *data, size_t len)
{
    struct tael_mem_step *step = malloc(sizeof(*step) + len);
    if (step == NULL)
        return false;
    *step = (struct tael_mem_step){.at = at, .len = len};
    if (len > 0)
        memcpy(step->data, data, len);
    if (!image_step(&file->now, step)) {
        free(step);
        return false;
    }
    *file->behind = step;
    file->behind = &step->next;
    return true;
}

void tael_mem_file_lose_power(struct tael_mem_file *file, uint64_t *random)
{
    bool kept =
        tael_mem_draw(random) % 2 == 0; /* of a name that was made or removed without a sync */
    if (file->now.there != file->safe.there)
        file->safe.there = kept ? file->now.there : file->safe.there;
    bool good = tael_mem_file_gamble(file, random);
    if (!file->safe.there)
        good = image_resize(&file->safe, 0) && good;
    good = image_copy(&file->now, &file->safe) && good;
    assert(good); /* a test without memory has no result */
    (void)good;
}

void tael_mem_file_free(struct tael_mem_file *file)
{
    steps_drop(file);
    free(file->now.data);
    free(file->safe.data);
    free(file->path);
    free(file);
}

struct tael_mem_file *tael_mem_file_new(const char *path)
{
    struct tael_mem_file *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return NULL;
    file->path = strdup(path);
    file->behind = &file->first;
    if (file->path == NULL) {
        free(file);
        return NULL;
    }
    return file;
}

void tael_mem_file_remove(struct tael_mem_file *file, bool durably)
{
    steps_drop(file);
    file->now.there = false;
    file->now.len = 0;
    if (durably) {
        file->safe.there = false;
        file->safe.len = 0;
    }
}
