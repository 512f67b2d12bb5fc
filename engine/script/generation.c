/* generation.c - see generation.h. */
#include "script/generation.h"

#include <stdlib.h>
#include <string.h>

static int compare_spans(struct tael_span a, struct tael_span b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_files(const void *a, const void *b)
{
    const struct tael_generation_file *one = a, *other = b;
    return compare_spans(one->path, other->path);
}

bool tael_generation_sorted(const struct tael_generation *generation)
{
    for (size_t i = 1; i < generation->count; i++)
        if (compare_files(&generation->files[i - 1], &generation->files[i]) >= 0)
            return false;
    return true;
}

bool tael_generation_sort(struct tael_generation *generation)
{
    if (generation->count > 0)
        qsort(generation->files, generation->count, sizeof(*generation->files), compare_files);
    return tael_generation_sorted(generation);
}

const struct tael_generation_file *tael_generation_find(const struct tael_generation *generation,
                                                        struct tael_span path)
{
    struct tael_generation_file wanted = {.path = path};
    if (generation->count == 0)
        return NULL;
    return bsearch(&wanted, generation->files, generation->count, sizeof(wanted), compare_files);
}

/* Parts of small letters, digits and '_' that begin with a letter (threats.md R30). */
static bool is_module(struct tael_span module)
{
    bool first = true;
    for (size_t i = 0; i < module.len; i++) {
        char c = module.data[i];
        bool letter = c >= 'a' && c <= 'z';
        if (!letter && (first || (c != '.' && c != '_' && !(c >= '0' && c <= '9'))))
            return false;
        first = c == '.';
    }
    return !first;
}

const struct tael_generation_file *tael_generation_module(const struct tael_generation *generation,
                                                          struct tael_span module)
{
    char path[TAEL_GENERATION_NAME_MAX + 4];
    if (module.len > TAEL_GENERATION_NAME_MAX || !is_module(module))
        return NULL;
    for (size_t i = 0; i < module.len; i++)
        path[i] = module.data[i] == '.' ? '/' : module.data[i];
    memcpy(path + module.len, ".lua", 4);
    return tael_generation_find(generation, (struct tael_span){path, module.len + 4});
}
