/* vfs_mem.c - see vfs_mem.h.
 *
 * Owner: the VFS owns its files; a handle (in SQLite's memory) points to one. Everything is done
 * under the VFS's lock, which never waits for anything else. 1 A handle of an older epoch is dead:
 * a crash has happened since it was opened. 2 Random choices are made in the order of operations
 * and of files' first opening: one seed, one history.
 */
#include "store/vfs_mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <sqlite3.h>

#include "store/mem_file.h"

enum {
    PATH_BYTES = 512,
    REPORTED_SECTOR = 4096,
};

struct tael_vfs_mem {
    sqlite3_vfs base; /* first */
    char *name;
    pthread_mutex_t lock;
    struct tael_mem_file *files, **behind;
    uint64_t random; /* state of the generator */
    uint64_t epoch, ops, crash_in;
    bool down; /* between a crash and the boot */
    bool lies;
    uint64_t room; /* 0: no end */
    struct tael_vfs_fault fault;
};

struct handle {
    sqlite3_file base; /* first */
    struct tael_vfs_mem *vfs;
    struct tael_mem_file *file;
    uint64_t epoch;
    int lock; /* SQLITE_LOCK_* */
};

/* ---- crashes and faults ---- */

static void crash_locked(struct tael_vfs_mem *vfs, enum tael_vfs_crash crash)
{
    for (struct tael_mem_file *file = vfs->files; file != NULL; file = file->next) {
        if (crash == TAEL_CRASH_POWER)
            tael_mem_file_lose_power(file, &vfs->random);
        file->shared = 0;
        file->reserved = NULL;
        file->pending = file->exclusive = false;
    }
    vfs->epoch++;
    vfs->crash_in = 0;
    vfs->down = true;
}

void tael_vfs_mem_crash(struct tael_vfs_mem *vfs, enum tael_vfs_crash crash)
{
    pthread_mutex_lock(&vfs->lock);
    crash_locked(vfs, crash);
    pthread_mutex_unlock(&vfs->lock);
}

void tael_vfs_mem_crash_in(struct tael_vfs_mem *vfs, uint64_t ops)
{
    pthread_mutex_lock(&vfs->lock);
    vfs->crash_in = ops;
    pthread_mutex_unlock(&vfs->lock);
}

bool tael_vfs_mem_down(struct tael_vfs_mem *vfs)
{
    pthread_mutex_lock(&vfs->lock);
    bool down = vfs->down;
    pthread_mutex_unlock(&vfs->lock);
    return down;
}

void tael_vfs_mem_boot(struct tael_vfs_mem *vfs)
{
    pthread_mutex_lock(&vfs->lock);
    vfs->down = false;
    pthread_mutex_unlock(&vfs->lock);
}

void tael_vfs_mem_fail(struct tael_vfs_mem *vfs, const struct tael_vfs_fault *fault)
{
    pthread_mutex_lock(&vfs->lock);
    vfs->fault = *fault;
    pthread_mutex_unlock(&vfs->lock);
}

void tael_vfs_mem_room(struct tael_vfs_mem *vfs, uint64_t bytes)
{
    pthread_mutex_lock(&vfs->lock);
    vfs->room = bytes;
    pthread_mutex_unlock(&vfs->lock);
}

void tael_vfs_mem_lie(struct tael_vfs_mem *vfs, bool lies)
{
    pthread_mutex_lock(&vfs->lock);
    vfs->lies = lies;
    pthread_mutex_unlock(&vfs->lock);
}

/* Is there room for a file to end there? */
static bool has_room(const struct tael_vfs_mem *vfs, const struct tael_mem_file *grown, size_t end)
{
    uint64_t bytes = end > grown->now.len ? end - grown->now.len : 0;
    if (vfs->room == 0 || bytes == 0)
        return true;
    for (const struct tael_mem_file *file = vfs->files; file != NULL; file = file->next)
        bytes += file->now.there ? file->now.len : 0;
    return bytes <= vfs->room;
}

/* Counts one operation; true: the power goes now. */
static bool op_counts(struct tael_vfs_mem *vfs)
{
    vfs->ops++;
    return vfs->crash_in > 0 && --vfs->crash_in == 0;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), tail = strlen(suffix);
    return len >= tail && strcmp(text + len - tail, suffix) == 0;
}

/* SQLITE_OK, or the code that this operation has to fail with. */
static int fault_hits(struct tael_vfs_mem *vfs, unsigned op, const char *path)
{
    struct tael_vfs_fault *fault = &vfs->fault;
    if ((fault->on & op) == 0 || (fault->suffix != NULL && !ends_with(path, fault->suffix)))
        return SQLITE_OK;
    if (fault->after > 0) {
        fault->after--;
        return SQLITE_OK;
    }
    int code = fault->code;
    if (fault->times > 0 && --fault->times == 0)
        fault->on = 0;
    return code;
}

/* ---- a file ---- */

static struct handle *handle_lock(sqlite3_file *base)
{
    struct handle *handle = (struct handle *)base;
    pthread_mutex_lock(&handle->vfs->lock);
    return handle;
}

static int handle_unlock(struct handle *handle, int code)
{
    pthread_mutex_unlock(&handle->vfs->lock);
    return code;
}

static bool is_dead(const struct handle *handle)
{
    return handle->epoch != handle->vfs->epoch;
}

static void locks_drop(struct handle *handle, int to)
{
    struct tael_mem_file *file = handle->file;
    if (is_dead(handle))
        return;
    if (file->reserved == handle) {
        file->reserved = NULL;
        file->pending = file->exclusive = false;
    }
    if (handle->lock >= SQLITE_LOCK_SHARED && to == SQLITE_LOCK_NONE)
        file->shared--;
}

static int mem_close(sqlite3_file *base)
{
    struct handle *handle = handle_lock(base);
    if (handle->lock > SQLITE_LOCK_NONE)
        locks_drop(handle, SQLITE_LOCK_NONE);
    if (handle->file->temporary)
        tael_mem_file_free(handle->file);
    return handle_unlock(handle, SQLITE_OK);
}

static int mem_read(sqlite3_file *base, void *out, int amount, sqlite3_int64 offset)
{
    struct handle *handle = handle_lock(base);
    const struct tael_mem_image *now = &handle->file->now;
    size_t len = (size_t)amount, at = (size_t)offset;
    int code = is_dead(handle) ? SQLITE_IOERR_READ
                               : fault_hits(handle->vfs, TAEL_VFS_READ, handle->file->path);
    if (code != SQLITE_OK)
        return handle_unlock(handle, code);
    size_t have = at < now->len ? now->len - at : 0;
    if (have > len)
        have = len;
    if (have > 0)
        memcpy(out, now->data + at, have);
    memset((char *)out + have, 0, len - have);
    return handle_unlock(handle, have < len ? SQLITE_IOERR_SHORT_READ : SQLITE_OK);
}

static int write_locked(struct handle *handle, const void *data, size_t len, size_t at)
{
    struct tael_vfs_mem *vfs = handle->vfs;
    if (is_dead(handle))
        return SQLITE_IOERR_WRITE;
    bool power_goes = op_counts(vfs);
    int code = has_room(vfs, handle->file, at + len)
                   ? fault_hits(vfs, TAEL_VFS_WRITE, handle->file->path)
                   : SQLITE_FULL;
    if (code == SQLITE_FULL && vfs->room > 0 && !has_room(vfs, handle->file, at + len / 2))
        len = 0;
    if (code != SQLITE_OK)
        len = len / 2; /* it stopped in the middle */
    if (len > 0 && !tael_mem_file_step(handle->file, at, data, len))
        code = SQLITE_IOERR_NOMEM;
    if (power_goes) {
        crash_locked(vfs, TAEL_CRASH_POWER);
        code = SQLITE_IOERR_WRITE;
    }
    return code;
}

static int mem_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 at)
{
    struct handle *handle = handle_lock(base);
    return handle_unlock(handle, write_locked(handle, data, (size_t)len, (size_t)at));
}

static int truncate_locked(struct handle *handle, size_t size)
{
    struct tael_vfs_mem *vfs = handle->vfs;
    if (is_dead(handle))
        return SQLITE_IOERR_TRUNCATE;
    bool power_goes = op_counts(vfs);
    int code = fault_hits(vfs, TAEL_VFS_TRUNCATE, handle->file->path);
    if (code == SQLITE_OK && !tael_mem_file_step(handle->file, size, NULL, 0))
        code = SQLITE_IOERR_NOMEM;
    if (power_goes) {
        crash_locked(vfs, TAEL_CRASH_POWER);
        code = SQLITE_IOERR_TRUNCATE;
    }
    return code;
}

static int mem_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct handle *handle = handle_lock(base);
    return handle_unlock(handle, truncate_locked(handle, (size_t)size));
}

static int sync_locked(struct handle *handle)
{
    struct tael_vfs_mem *vfs = handle->vfs;
    if (is_dead(handle))
        return SQLITE_IOERR_FSYNC;
    if (op_counts(vfs)) {
        crash_locked(vfs, TAEL_CRASH_POWER);
        return SQLITE_IOERR_FSYNC;
    }
    if (vfs->lies)
        return SQLITE_OK;
    int code = fault_hits(vfs, TAEL_VFS_SYNC, handle->file->path);
    bool good = code == SQLITE_OK ? tael_mem_file_sync(handle->file)
                                  : tael_mem_file_gamble(handle->file, &vfs->random);
    return good ? code : SQLITE_IOERR_NOMEM;
}

static int mem_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    struct handle *handle = handle_lock(base);
    return handle_unlock(handle, sync_locked(handle));
}

static int mem_size(sqlite3_file *base, sqlite3_int64 *size)
{
    struct handle *handle = handle_lock(base);
    *size = (sqlite3_int64)handle->file->now.len;
    return handle_unlock(handle, is_dead(handle) ? SQLITE_IOERR_FSTAT : SQLITE_OK);
}

static int lock_locked(struct handle *handle, int level)
{
    struct tael_mem_file *file = handle->file;
    bool others = file->reserved != NULL && file->reserved != handle;
    if (is_dead(handle))
        return SQLITE_IOERR_LOCK;
    if (handle->lock >= level)
        return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED) {
        if (others && (file->pending || file->exclusive))
            return SQLITE_BUSY;
        file->shared++;
    } else {
        if (others)
            return SQLITE_BUSY;
        file->reserved = handle;
        if (level == SQLITE_LOCK_EXCLUSIVE) {
            file->pending = true;
            if (file->shared > 1)
                return SQLITE_BUSY;
            file->exclusive = true;
        }
    }
    handle->lock = level;
    return SQLITE_OK;
}

static int mem_lock(sqlite3_file *base, int level)
{
    struct handle *handle = handle_lock(base);
    return handle_unlock(handle, lock_locked(handle, level));
}

static int mem_unlock(sqlite3_file *base, int level)
{
    struct handle *handle = handle_lock(base);
    if (handle->lock > level) {
        locks_drop(handle, level);
        handle->lock = level;
    }
    return handle_unlock(handle, SQLITE_OK);
}

static int mem_check_reserved(sqlite3_file *base, int *out)
{
    struct handle *handle = handle_lock(base);
    *out = handle->file->reserved != NULL;
    return handle_unlock(handle, SQLITE_OK);
}

static int mem_control(sqlite3_file *base, int op, void *arg)
{
    (void)base, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int mem_sector_size(sqlite3_file *base)
{
    (void)base;
    return REPORTED_SECTOR;
}

static int mem_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as SQLite's own VFS says */
}

static const sqlite3_io_methods methods = {
    .iVersion = 1, /* no shared memory, no mapping */
    .xClose = mem_close,
    .xRead = mem_read,
    .xWrite = mem_write,
    .xTruncate = mem_truncate,
    .xSync = mem_sync,
    .xFileSize = mem_size,
    .xLock = mem_lock,
    .xUnlock = mem_unlock,
    .xCheckReservedLock = mem_check_reserved,
    .xFileControl = mem_control,
    .xSectorSize = mem_sector_size,
    .xDeviceCharacteristics = mem_characteristics,
};

/* ---- the folder ---- */

static struct tael_vfs_mem *vfs_of(sqlite3_vfs *base)
{
    return (struct tael_vfs_mem *)base;
}

static struct tael_mem_file *file_find(struct tael_vfs_mem *vfs, const char *path)
{
    for (struct tael_mem_file *file = vfs->files; file != NULL; file = file->next)
        if (strcmp(file->path, path) == 0)
            return file;
    return NULL;
}

static int open_locked(struct tael_vfs_mem *vfs, const char *path, struct handle *handle, int flags)
{
    struct tael_mem_file *file = path != NULL ? file_find(vfs, path) : NULL;
    int code = vfs->down ? SQLITE_IOERR : fault_hits(vfs, TAEL_VFS_OPEN, path != NULL ? path : "");
    if (code != SQLITE_OK)
        return code;
    bool there = file != NULL && file->now.there;
    if (!there && (flags & SQLITE_OPEN_CREATE) == 0)
        return SQLITE_CANTOPEN;
    if (file == NULL) {
        file = tael_mem_file_new(path != NULL ? path : "");
        if (file == NULL)
            return SQLITE_NOMEM;
        file->temporary = path == NULL;
        if (path != NULL) {
            *vfs->behind = file;
            vfs->behind = &file->next;
        }
    } else if (!there &&
               !tael_mem_file_step(file, 0, NULL, 0)) { /* made anew: what it once held is gone */
        return SQLITE_NOMEM;
    }
    file->now.there = true;
    *handle =
        (struct handle){.base.pMethods = &methods, .vfs = vfs, .file = file, .epoch = vfs->epoch};
    return SQLITE_OK;
}

static int mem_open(sqlite3_vfs *base, sqlite3_filename path, sqlite3_file *file, int flags,
                    int *out_flags)
{
    struct tael_vfs_mem *vfs = vfs_of(base);
    pthread_mutex_lock(&vfs->lock);
    file->pMethods = NULL;
    int code = open_locked(vfs, path, (struct handle *)file, flags);
    pthread_mutex_unlock(&vfs->lock);
    if (out_flags != NULL)
        *out_flags = flags;
    return code;
}

static int delete_locked(struct tael_vfs_mem *vfs, const char *path, bool durably)
{
    struct tael_mem_file *file = file_find(vfs, path);
    if (vfs->down)
        return SQLITE_IOERR_DELETE;
    if (file == NULL || !file->now.there)
        return SQLITE_IOERR_DELETE_NOENT;
    bool power_goes = op_counts(vfs);
    tael_mem_file_remove(file, durably && !power_goes);
    if (!power_goes)
        return SQLITE_OK;
    crash_locked(vfs, TAEL_CRASH_POWER);
    return SQLITE_IOERR_DELETE;
}

static int mem_delete(sqlite3_vfs *base, const char *path, int sync_folder)
{
    struct tael_vfs_mem *vfs = vfs_of(base);
    pthread_mutex_lock(&vfs->lock);
    int code = delete_locked(vfs, path, sync_folder != 0);
    pthread_mutex_unlock(&vfs->lock);
    return code;
}

static int mem_access(sqlite3_vfs *base, const char *path, int flags, int *out)
{
    struct tael_vfs_mem *vfs = vfs_of(base);
    (void)flags;
    pthread_mutex_lock(&vfs->lock);
    const struct tael_mem_file *file = file_find(vfs, path);
    int code = vfs->down ? SQLITE_IOERR_ACCESS : SQLITE_OK;
    *out = code == SQLITE_OK && file != NULL && file->now.there;
    pthread_mutex_unlock(&vfs->lock);
    return code;
}

static int mem_full_path(sqlite3_vfs *base, const char *path, int max, char *out)
{
    (void)base;
    int len = snprintf(out, (size_t)max, "%s", path);
    return len >= 0 && len < max ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int mem_randomness(sqlite3_vfs *base, int len, char *out)
{
    struct tael_vfs_mem *vfs = vfs_of(base);
    pthread_mutex_lock(&vfs->lock);
    for (int i = 0; i < len; i++)
        out[i] = (char)(tael_mem_draw(&vfs->random) & 0x7f);
    pthread_mutex_unlock(&vfs->lock);
    return len;
}

static int mem_sleep(sqlite3_vfs *base, int us)
{
    (void)base;
    return us;
}

static int mem_time(sqlite3_vfs *base, double *days)
{
    (void)base;
    *days = 2458849.5; /* 2020-01-01: no statement may ask for the time */
    return SQLITE_OK;
}

static int mem_last_error(sqlite3_vfs *base, int len, char *out)
{
    (void)base, (void)len, (void)out;
    return 0;
}

/* ---- life ---- */

tael_status tael_vfs_mem_new(struct tael_vfs_mem **out, const char *name, uint64_t seed)
{
    if (sqlite3_initialize() != SQLITE_OK)
        return TAEL_ENOMEM;
    if (sqlite3_vfs_find(name) != NULL)
        return TAEL_EINVAL;
    struct tael_vfs_mem *vfs = calloc(1, sizeof(*vfs));
    if (vfs == NULL)
        return TAEL_ENOMEM;
    vfs->name = strdup(name);
    if (vfs->name == NULL || pthread_mutex_init(&vfs->lock, NULL) != 0)
        goto free_memory;
    vfs->random = seed;
    vfs->behind = &vfs->files;
    vfs->base = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(struct handle),
        .mxPathname = PATH_BYTES,
        .zName = vfs->name,
        .xOpen = mem_open,
        .xDelete = mem_delete,
        .xAccess = mem_access,
        .xFullPathname = mem_full_path,
        .xRandomness = mem_randomness,
        .xSleep = mem_sleep,
        .xCurrentTime = mem_time,
        .xGetLastError = mem_last_error,
    };
    if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK)
        goto destroy_lock;
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED,
                         (int)(tael_mem_draw(&vfs->random) & 0x7fffffff) | 1, NULL);
    *out = vfs;
    return TAEL_OK;
destroy_lock:
    pthread_mutex_destroy(&vfs->lock);
free_memory:
    free(vfs->name);
    free(vfs);
    return TAEL_ENOMEM;
}

void tael_vfs_mem_free(struct tael_vfs_mem *vfs)
{
    if (vfs == NULL)
        return;
    sqlite3_vfs_unregister(&vfs->base);
    while (vfs->files != NULL) {
        struct tael_mem_file *file = vfs->files;
        vfs->files = file->next;
        tael_mem_file_free(file);
    }
    pthread_mutex_destroy(&vfs->lock);
    free(vfs->name);
    free(vfs);
}

/* ---- looking ---- */

uint64_t tael_vfs_mem_ops(struct tael_vfs_mem *vfs)
{
    pthread_mutex_lock(&vfs->lock);
    uint64_t ops = vfs->ops;
    pthread_mutex_unlock(&vfs->lock);
    return ops;
}

static uint64_t fold(uint64_t hash, const void *data, size_t len) /* FNV-1a */
{
    const unsigned char *at = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t tael_vfs_mem_fingerprint(struct tael_vfs_mem *vfs)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    pthread_mutex_lock(&vfs->lock);
    for (const struct tael_mem_file *file = vfs->files; file != NULL; file = file->next) {
        if (!file->now.there)
            continue;
        hash = fold(hash, file->path, strlen(file->path) + 1);
        hash = fold(hash, file->now.data, file->now.len);
    }
    pthread_mutex_unlock(&vfs->lock);
    return hash;
}

tael_status tael_vfs_mem_copy(struct tael_vfs_mem *vfs, const char *path, struct tael_buf *out)
{
    pthread_mutex_lock(&vfs->lock);
    const struct tael_mem_file *file = file_find(vfs, path);
    tael_status rc = TAEL_ENOTFOUND;
    if (file != NULL && file->now.there)
        rc = tael_buf_append(out, file->now.data, file->now.len);
    pthread_mutex_unlock(&vfs->lock);
    return rc;
}
