/* engine_route_files.c - which files there are, whether they have changed, and their scripts.
 *
 * A look is a stat of one file, at most every LOOK_US. Whoever saves in place truncates first and
 * writes then; a file that changed a moment ago and does not load is looked at again before anybody
 * is told. File times tell two changes of the same moment apart only on newer kernels: so long as
 * the last change is recent, the text is compared.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine_routes.h"

enum {
    LOOK_US = 250,
    STARVED_US = 1000 * 1000, /* so long after there was no memory for it */
    RECENT_MS = 50,
    NAME_MAX_LEN = 64,
    FILES_MAX = 4096,
};

/* ---- the list ---- */

static int compare_name(const struct tael_route_file *file, struct tael_span name)
{
    int order = strncmp(file->name, name.data, name.len);
    return order != 0 ? order : file->name[name.len] != '\0';
}

/* Where the name stands or would stand. */
static size_t place_of(const struct tael_route_files *files, struct tael_span name, bool *there)
{
    size_t low = 0, high = files->count;
    *there = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_name(files->files[middle], name);
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct tael_route_file *tael_route_files_known(const struct tael_route_files *files,
                                               struct tael_span name)
{
    bool there;
    size_t at = place_of(files, name, &there);
    return there ? files->files[at] : NULL;
}

static void free_file(struct tael_route_file *file)
{
    if (file == NULL)
        return;
    tael_route_release(file->script);
    free(file->name);
    free(file->path);
    free(file->chunk);
    free(file->text);
    free(file);
}

static struct tael_route_file *new_file(const struct tael_route_files *files, struct tael_span name)
{
    struct tael_route_file *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return NULL;
    file->name = strndup(name.data, name.len);
    if (file->name != NULL && asprintf(&file->path, "%s/%s.lua", files->folder, file->name) < 0)
        file->path = NULL;
    if (file->path != NULL && asprintf(&file->chunk, "%s/%s.lua", files->shown, file->name) < 0)
        file->chunk = NULL;
    if (file->chunk != NULL)
        return file;
    free_file(file);
    return NULL;
}

static tael_status insert(struct tael_route_files *files, size_t at, struct tael_route_file *file)
{
    if (files->count == files->cap) {
        size_t cap = files->cap > 0 ? files->cap * 2 : 16;
        struct tael_route_file **moved =
            realloc(files->files, cap * sizeof(struct tael_route_file *));
        if (moved == NULL)
            return TAEL_ENOMEM;
        files->files = moved;
        files->cap = cap;
    }
    memmove(files->files + at + 1, files->files + at,
            (files->count - at) * sizeof(struct tael_route_file *));
    files->files[at] = file;
    files->count++;
    return TAEL_OK;
}

static void forget(struct tael_route_files *files, struct tael_route_file *file)
{
    bool there;
    size_t at = place_of(files, tael_span_of(file->name), &there);
    free_file(file);
    files->count--;
    memmove(files->files + at, files->files + at + 1,
            (files->count - at) * sizeof(struct tael_route_file *));
}

/* ---- the disk ---- */

static struct tael_route_stamp stamp_of(const struct stat *about)
{
    return (struct tael_route_stamp){
        .changed_ns = (int64_t)about->st_ctim.tv_sec * 1000000000 + about->st_ctim.tv_nsec,
        .size = about->st_size,
        .inode = about->st_ino,
    };
}

static bool same_stamp(const struct tael_route_stamp *a, const struct tael_route_stamp *b)
{
    return a->changed_ns == b->changed_ns && a->size == b->size && a->inode == b->inode;
}

static tael_status read_all(int fd, char *text, size_t size, size_t *len)
{
    *len = 0;
    while (*len < size) {
        ssize_t got = read(fd, text + *len, size - *len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return TAEL_EINTERNAL;
        if (got == 0)
            break;
        *len += (size_t)got;
    }
    return TAEL_OK;
}

/* The text is the caller's. ENOTFOUND: there is no such file, or it is none of ours. */
static tael_status read_file(const char *path, char **text, size_t *len,
                             struct tael_route_stamp *stamp)
{
    struct stat about;
    tael_status rc = TAEL_ENOTFOUND;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? TAEL_ENOTFOUND : TAEL_EINTERNAL;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        size_t room =
            about.st_size < TAEL_ROUTE_SOURCE_MAX ? (size_t)about.st_size : TAEL_ROUTE_SOURCE_MAX;
        *stamp = stamp_of(&about); /* from before it is read: what is written meanwhile is new */
        *text = malloc(room + 1);
        rc = *text != NULL ? read_all(fd, *text, room + 1, len) : TAEL_ENOMEM;
        if (rc != TAEL_OK)
            free(*text);
    }
    close(fd);
    return rc;
}

/* ---- a look ---- */

static bool is_recent(const struct tael_route_files *files, const struct tael_route_stamp *stamp)
{
    struct tael_world *world = files->world;
    int64_t now_ms = tael_now_ms(world) - atomic_load(&world->ahead_ms); /* as the files have it */
    int64_t age_ms = now_ms - stamp->changed_ns / 1000000;
    return !world->simulated && age_ms > -RECENT_MS && age_ms < RECENT_MS;
}

static void tell_refused(struct tael_route_files *files, struct tael_route_file *file,
                         const char *why)
{
    file->silent = file->recent && files->again != NULL;
    if (file->silent) {
        tael_timer_start(files->again, (RECENT_MS + 1) * 1000);
        return;
    }
    TAEL_LOG(files->log, TAEL_LOG_ERROR, "route.refused", tael_log_text("route", file->name),
             tael_log_text("error", why),
             tael_log_text("runs", file->script != NULL ? "the version before" : "nothing"));
}

/* Takes the text over, whatever comes of it. */
static tael_status load_text(struct tael_route_files *files, struct tael_route_file *file,
                             char *text, size_t len, char why[TAEL_ROUTE_WHY_MAX])
{
    struct tael_route_script *script = NULL;
    tael_status rc = TAEL_ELIMIT;
    if (len > TAEL_ROUTE_SOURCE_MAX)
        snprintf(why, TAEL_ROUTE_WHY_MAX, "%s: is larger than 256 KiB", file->chunk);
    else
        rc = tael_route_load(&script, files->isolate, file->chunk, (struct tael_span){text, len},
                             why);
    if (rc != TAEL_OK) {
        free(text);
        return rc;
    }
    tael_route_release(file->script);
    free(file->text);
    file->script = script;
    file->text = text;
    file->len = len;
    return TAEL_OK;
}

/* What another worker has loaded last, when that is not what runs here. */
static void load_kept(struct tael_route_files *files, struct tael_route_file *file)
{
    char why[TAEL_ROUTE_WHY_MAX];
    size_t len = 0;
    char *text = tael_route_texts_copy(files->texts, file->name, &len);
    if (text == NULL)
        return;
    if (file->script != NULL && len == file->len && memcmp(text, file->text, len) == 0)
        free(text);
    else
        load_text(files, file, text, len, why);
}

/* Its text is right for all we know: when it comes to be asked for again, it is tried again. */
static void starve(struct tael_route_files *files, struct tael_route_file *file)
{
    file->stamp.changed_ns = -1;
    file->looked_us = tael_mono_us(files->world) + STARVED_US;
    file->starved = files->starved = true;
}

static void load(struct tael_route_files *files, struct tael_route_file *file, char *text,
                 size_t len)
{
    char why[TAEL_ROUTE_WHY_MAX];
    tael_status rc = load_text(files, file, text, len, why);
    if (rc != TAEL_OK) {
        load_kept(files, file);
        tell_refused(files, file, why);
        if (rc == TAEL_ENOMEM || tael_isolate_full(files->isolate)) /* where all takes long */
            starve(files, file);
        return;
    }
    TAEL_LOG(files->log, TAEL_LOG_INFO, "route.loaded", tael_log_text("route", file->name),
             tael_log_text("file", file->chunk), tael_log_int("bytes", (int64_t)len));
    tael_route_texts_keep(files->texts, file->name, file->text, len);
    file->silent = false;
}

static void drop(struct tael_route_files *files, struct tael_route_file *file)
{
    if (file->script != NULL)
        TAEL_LOG(files->log, TAEL_LOG_INFO, "route.removed", tael_log_text("route", file->name),
                 tael_log_text("file", file->chunk));
    tael_route_texts_drop(files->texts, file->name);
    forget(files, file);
}

/* TAEL_ENOTFOUND: it is gone, and so is `file`. */
static tael_status look(struct tael_route_files *files, struct tael_route_file *file)
{
    struct tael_route_stamp stamp;
    struct stat about;
    char *text = NULL;
    size_t len = 0;
    if (stat(file->path, &about) == 0 && S_ISREG(about.st_mode)) {
        stamp = stamp_of(&about);
        if (same_stamp(&stamp, &file->stamp) && !file->recent)
            return TAEL_OK;
    }
    tael_status rc = read_file(file->path, &text, &len, &stamp);
    if (rc == TAEL_ENOTFOUND) {
        drop(files, file);
        return rc;
    }
    if (rc != TAEL_OK) { /* what runs goes on */
        if (rc == TAEL_EINTERNAL && file->stamp.changed_ns != -1)
            TAEL_LOG(files->log, TAEL_LOG_ERROR, "route.refused",
                     tael_log_text("route", file->name), tael_log_text("error", "cannot be read"));
        file->stamp.changed_ns = -1;
        return file->script != NULL ? TAEL_OK : rc;
    }
    bool same_text = file->script != NULL && len == file->len && memcmp(text, file->text, len) == 0;
    bool tried = same_stamp(&stamp, &file->stamp) && !file->silent && file->script == NULL;
    file->stamp = stamp;
    file->starved = false;
    file->recent = is_recent(files, &stamp);
    if (same_text || (tried && !file->recent))
        free(text);
    else
        load(files, file, text, len);
    return TAEL_OK;
}

static bool is_name(struct tael_span name)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN || name.data[0] == '-')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

static bool has_starved(const struct tael_route_file *file)
{
    return file->starved && file->script == NULL;
}

tael_status tael_route_files_find(struct tael_route_files *files, struct tael_span name,
                                  struct tael_route_file **out)
{
    bool there;
    struct tael_route_file *file;
    size_t at = place_of(files, name, &there);
    int64_t now_us = tael_mono_us(files->world);
    *out = NULL;
    if (there) {
        file = files->files[at];
        if (now_us - file->looked_us < LOOK_US) {
            *out = file;
            return has_starved(file) ? TAEL_ENOMEM : TAEL_OK;
        }
    } else {
        if (!is_name(name))
            return TAEL_OK;
        file = new_file(files, name);
        if (file == NULL)
            return TAEL_ENOMEM;
        if (files->count == FILES_MAX || access(file->path, F_OK) != 0) {
            free_file(file);
            return TAEL_OK;
        }
        if (insert(files, at, file) != TAEL_OK) {
            free_file(file);
            return TAEL_ENOMEM;
        }
    }
    file->looked_us = now_us;
    tael_status rc = look(files, file);
    if (rc == TAEL_OK)
        *out = file;
    if (rc == TAEL_OK && has_starved(file))
        return TAEL_ENOMEM;
    return rc == TAEL_ENOTFOUND || rc == TAEL_EINTERNAL ? TAEL_OK : rc;
}

void tael_route_files_again(struct tael_route_files *files)
{
    for (size_t i = files->count; i-- > 0;) {
        struct tael_route_file *file = files->files[i];
        if (file->silent)
            look(files, file);
    }
}

/* ---- the isolate ---- */

tael_status tael_route_files_renew(struct tael_route_files *files)
{
    struct tael_isolate *isolate = NULL;
    char why[TAEL_ROUTE_WHY_MAX];
    tael_status rc = tael_isolate_new(&isolate, NULL, 0, files->world->simulated);
    if (rc != TAEL_OK)
        return rc;
    for (size_t i = 0; i < files->count; i++) {
        struct tael_route_file *file = files->files[i];
        struct tael_route_script *script = NULL;
        if (file->script != NULL)
            rc = tael_route_load(&script, isolate, file->chunk,
                                 (struct tael_span){file->text, file->len}, why);
        if (file->script != NULL && rc != TAEL_OK)
            tell_refused(files, file, why);
        if (file->script != NULL && rc == TAEL_ENOMEM)
            starve(files, file);
        tael_route_release(file->script);
        file->script = script;
    }
    tael_isolate_free(files->isolate);
    files->isolate = isolate;
    return TAEL_OK;
}

void tael_route_files_free(struct tael_route_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free_file(files->files[i]);
    free(files->files);
    files->files = NULL;
    files->count = files->cap = 0;
    tael_isolate_free(files->isolate);
    files->isolate = NULL;
}
