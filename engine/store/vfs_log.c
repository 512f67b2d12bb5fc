/* vfs_log.c - see vfs_log.h.
 *
 * Owner: the VFS is the store's; a file of the log has the bytes that it keeps, and belongs, like
 * everything here, to the thread that uses its connection.
 *
 * 1 Bytes are kept between begin and end alone: inside one commit, by whoever has the log's write
 * lock. What a transaction that is too large for the cache writes before its commit is not kept: it
 * may be rolled back, and another connection then writes to the same place.
 *
 * 2 No other connection looks at a page of the log before its commit has synced it (synchronous =
 * EXTRA, database.c; where the disk does not say that it is safe to write beside other bytes,
 * SQLite writes some after the sync: the end of the commit writes those). Its own connection reads
 * what it has written: whatever is done with the file but writing writes the kept bytes first.
 *
 * 3 Bytes go out in the order in which they came. Those that could not be written are dropped, and
 * whoever made them go hears of it: at the latest the sync.
 */
#include "store/vfs_log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

enum { KEPT_MAX = 64 * 1024 }; /* bytes; a larger commit goes out in several pieces */

struct tael_vfs_log {
    sqlite3_vfs base; /* first */
    sqlite3_vfs *under;
    char name[32];
    bool committing;
    struct log_file *keeper; /* who keeps bytes; NULL: nobody */
};

struct log_file {
    sqlite3_file base; /* first */
    struct tael_vfs_log *vfs;
    char *kept; /* NULL: none so far */
    int len;
    sqlite3_int64 at;   /* where the first of them belongs */
    sqlite3_file under; /* what is its own comes behind it */
};

/* ---- what is kept ---- */

static struct log_file *file_of(sqlite3_file *base)
{
    return (struct log_file *)base;
}

static void drop_kept(struct log_file *file)
{
    if (file->len == 0)
        return;
    file->len = 0;
    file->vfs->keeper = NULL;
}

static int write_kept(struct log_file *file)
{
    int len = file->len;
    drop_kept(file);
    return len > 0 ? file->under.pMethods->xWrite(&file->under, file->kept, len, file->at)
                   : SQLITE_OK;
}

/* false: they have to be written at once. */
static bool can_keep(struct log_file *file, int len)
{
    if (!file->vfs->committing || len > KEPT_MAX)
        return false;
    if (file->kept == NULL)
        file->kept = malloc(KEPT_MAX);
    return file->kept != NULL;
}

static int log_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 at)
{
    struct log_file *file = file_of(base);
    bool keeps = can_keep(file, len);
    bool follows = keeps && at == file->at + file->len && len <= KEPT_MAX - file->len;
    int code = follows ? SQLITE_OK : write_kept(file);
    if (code != SQLITE_OK)
        return code;
    if (!keeps)
        return file->under.pMethods->xWrite(&file->under, data, len, at);
    if (file->len == 0)
        file->at = at;
    memcpy(file->kept + file->len, data, (size_t)len);
    file->len += len;
    file->vfs->keeper = file;
    return SQLITE_OK;
}

/* ---- all else that is done with a file of the log ---- */

static int log_close(sqlite3_file *base)
{
    struct log_file *file = file_of(base);
    drop_kept(file);
    free(file->kept);
    file->kept = NULL;
    return file->under.pMethods->xClose(&file->under);
}

static int log_read(sqlite3_file *base, void *out, int len, sqlite3_int64 at)
{
    struct log_file *file = file_of(base);
    int code = write_kept(file);
    return code == SQLITE_OK ? file->under.pMethods->xRead(&file->under, out, len, at) : code;
}

static int log_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct log_file *file = file_of(base);
    int code = write_kept(file);
    return code == SQLITE_OK ? file->under.pMethods->xTruncate(&file->under, size) : code;
}

static int log_sync(sqlite3_file *base, int flags)
{
    struct log_file *file = file_of(base);
    int code = write_kept(file);
    return code == SQLITE_OK ? file->under.pMethods->xSync(&file->under, flags) : code;
}

static int log_size(sqlite3_file *base, sqlite3_int64 *size)
{
    struct log_file *file = file_of(base);
    int code = write_kept(file);
    return code == SQLITE_OK ? file->under.pMethods->xFileSize(&file->under, size) : code;
}

static int log_lock(sqlite3_file *base, int level)
{
    struct log_file *file = file_of(base);
    return file->under.pMethods->xLock(&file->under, level);
}

static int log_unlock(sqlite3_file *base, int level)
{
    struct log_file *file = file_of(base);
    return file->under.pMethods->xUnlock(&file->under, level);
}

static int log_check_reserved(sqlite3_file *base, int *out)
{
    struct log_file *file = file_of(base);
    return file->under.pMethods->xCheckReservedLock(&file->under, out);
}

static int log_control(sqlite3_file *base, int op, void *arg)
{
    struct log_file *file = file_of(base);
    return file->under.pMethods->xFileControl(&file->under, op, arg);
}

static int log_sector_size(sqlite3_file *base)
{
    struct log_file *file = file_of(base);
    return file->under.pMethods->xSectorSize(&file->under);
}

static int log_characteristics(sqlite3_file *base)
{
    struct log_file *file = file_of(base);
    return file->under.pMethods->xDeviceCharacteristics(&file->under);
}

static const sqlite3_io_methods methods = {
    .iVersion = 1, /* a log has neither shared memory nor a mapping */
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

/* ---- the folder: the one below ---- */

static sqlite3_vfs *under_of(sqlite3_vfs *base)
{
    return ((struct tael_vfs_log *)base)->under;
}

static int vfs_open(sqlite3_vfs *base, sqlite3_filename path, sqlite3_file *out, int flags,
                    int *out_flags)
{
    sqlite3_vfs *under = under_of(base);
    if ((flags & SQLITE_OPEN_WAL) == 0)
        return under->xOpen(under, path, out, flags, out_flags);
    struct log_file *file = file_of(out);
    *file = (struct log_file){.vfs = (struct tael_vfs_log *)base};
    int code = under->xOpen(under, path, &file->under, flags, out_flags);
    if (file->under.pMethods != NULL) /* then it is closed, also when it did not open */
        file->base.pMethods = &methods;
    return code;
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_folder)
{
    return under_of(base)->xDelete(under_of(base), path, sync_folder);
}

static int vfs_access(sqlite3_vfs *base, const char *path, int flags, int *out)
{
    return under_of(base)->xAccess(under_of(base), path, flags, out);
}

static int vfs_full_path(sqlite3_vfs *base, const char *path, int max, char *out)
{
    return under_of(base)->xFullPathname(under_of(base), path, max, out);
}

static int vfs_randomness(sqlite3_vfs *base, int len, char *out)
{
    return under_of(base)->xRandomness(under_of(base), len, out);
}

static int vfs_sleep(sqlite3_vfs *base, int us)
{
    return under_of(base)->xSleep(under_of(base), us);
}

static int vfs_time(sqlite3_vfs *base, double *days)
{
    return under_of(base)->xCurrentTime(under_of(base), days);
}

static int vfs_last_error(sqlite3_vfs *base, int len, char *out)
{
    return under_of(base)->xGetLastError(under_of(base), len, out);
}

/* ---- life ---- */

tael_status tael_vfs_log_new(struct tael_vfs_log **out, const char *under_name)
{
    if (sqlite3_initialize() != SQLITE_OK)
        return TAEL_ENOMEM;
    sqlite3_vfs *under = sqlite3_vfs_find(under_name);
    if (under == NULL)
        return TAEL_ENOTFOUND;
    struct tael_vfs_log *vfs = calloc(1, sizeof(*vfs));
    if (vfs == NULL)
        return TAEL_ENOMEM;
    vfs->under = under;
    snprintf(vfs->name, sizeof(vfs->name), "tael-log-%p", (void *)vfs); /* the only one here */
    vfs->base = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)offsetof(struct log_file, under) + under->szOsFile,
        .mxPathname = under->mxPathname,
        .zName = vfs->name,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };
    if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
        free(vfs);
        return TAEL_ENOMEM;
    }
    *out = vfs;
    return TAEL_OK;
}

void tael_vfs_log_free(struct tael_vfs_log *vfs)
{
    if (vfs == NULL)
        return;
    sqlite3_vfs_unregister(&vfs->base);
    free(vfs);
}

const char *tael_vfs_log_name(const struct tael_vfs_log *vfs)
{
    return vfs->name;
}

/* ---- a commit ---- */

void tael_vfs_log_begin(struct tael_vfs_log *vfs)
{
    assert(vfs->keeper == NULL);
    vfs->committing = true;
}

bool tael_vfs_log_end(struct tael_vfs_log *vfs, bool good)
{
    int code = SQLITE_OK;
    if (vfs->keeper != NULL && good)
        code = write_kept(vfs->keeper);
    else if (vfs->keeper != NULL)
        drop_kept(vfs->keeper);
    vfs->committing = false;
    return code == SQLITE_OK;
}
