/* paced.c - see paced.h. All but writing is the system's VFS. */
#include "store/paced.h"

#include <stdio.h>
#include <stdlib.h>

#include <fcntl.h>
#include <unistd.h>

#include <sqlite3.h>

struct tael_paced {
    sqlite3_vfs base; /* first */
    sqlite3_vfs *under;
    int fd;
    char name[40];
};

struct paced_file {
    sqlite3_file base; /* first; the system's file stands behind it */
    int fd;            /* -1: not the database itself */
};

_Static_assert(sizeof(struct paced_file) % 8 == 0, "the system's file behind it is aligned");

static sqlite3_file *under(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)((struct paced_file *)file + 1);
}

static int paced_close(sqlite3_file *file)
{
    return under(file)->pMethods->xClose(under(file));
}

static int paced_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
    return under(file)->pMethods->xRead(under(file), to, len, at);
}

/* It is only a matter of order on the disk: where it cannot be done, the sync does it all. */
static int paced_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
    int fd = ((struct paced_file *)file)->fd;
    int code = under(file)->pMethods->xWrite(under(file), from, len, at);
    if (code == SQLITE_OK && fd >= 0)
        (void)sync_file_range(fd, at, len,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                  SYNC_FILE_RANGE_WAIT_AFTER);
    return code;
}

static int paced_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return under(file)->pMethods->xTruncate(under(file), size);
}

static int paced_sync(sqlite3_file *file, int flags)
{
    return under(file)->pMethods->xSync(under(file), flags);
}

static int paced_size(sqlite3_file *file, sqlite3_int64 *out)
{
    return under(file)->pMethods->xFileSize(under(file), out);
}

static int paced_lock(sqlite3_file *file, int level)
{
    return under(file)->pMethods->xLock(under(file), level);
}

static int paced_unlock(sqlite3_file *file, int level)
{
    return under(file)->pMethods->xUnlock(under(file), level);
}

static int paced_reserved(sqlite3_file *file, int *out)
{
    return under(file)->pMethods->xCheckReservedLock(under(file), out);
}

static int paced_control(sqlite3_file *file, int what, void *arg)
{
    return under(file)->pMethods->xFileControl(under(file), what, arg);
}

static int paced_sector(sqlite3_file *file)
{
    return under(file)->pMethods->xSectorSize(under(file));
}

static int paced_device(sqlite3_file *file)
{
    return under(file)->pMethods->xDeviceCharacteristics(under(file));
}

static int paced_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return under(file)->pMethods->xShmMap(under(file), page, size, extend, out);
}

static int paced_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return under(file)->pMethods->xShmLock(under(file), offset, count, flags);
}

static void paced_shm_barrier(sqlite3_file *file)
{
    under(file)->pMethods->xShmBarrier(under(file));
}

static int paced_shm_unmap(sqlite3_file *file, int delete_too)
{
    return under(file)->pMethods->xShmUnmap(under(file), delete_too);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* nothing is mapped but the log's index */
    .xClose = paced_close,
    .xRead = paced_read,
    .xWrite = paced_write,
    .xTruncate = paced_truncate,
    .xSync = paced_sync,
    .xFileSize = paced_size,
    .xLock = paced_lock,
    .xUnlock = paced_unlock,
    .xCheckReservedLock = paced_reserved,
    .xFileControl = paced_control,
    .xSectorSize = paced_sector,
    .xDeviceCharacteristics = paced_device,
    .xShmMap = paced_shm_map,
    .xShmLock = paced_shm_lock,
    .xShmBarrier = paced_shm_barrier,
    .xShmUnmap = paced_shm_unmap,
};

static int paced_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct tael_paced *paced = (struct tael_paced *)vfs;
    struct paced_file *opened = (struct paced_file *)file;
    int code = paced->under->xOpen(paced->under, name, under(file), flags, out);
    file->pMethods = under(file)->pMethods != NULL ? &methods : NULL;
    opened->fd = (flags & SQLITE_OPEN_MAIN_DB) != 0 ? paced->fd : -1;
    return code;
}

tael_status tael_paced_new(struct tael_paced **out, const char *path)
{
    struct tael_paced *paced = calloc(1, sizeof(*paced));
    if (paced == NULL)
        return TAEL_ENOMEM;
    tael_status rc = TAEL_ESTORE;
    paced->under = sqlite3_vfs_find(NULL);
    paced->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (paced->under == NULL || paced->fd < 0)
        goto failed;
    snprintf(paced->name, sizeof(paced->name), "tael-paced-%p", (void *)paced);
    paced->base = *paced->under; /* whose other methods do not ask which VFS it is */
    paced->base.pNext = NULL;
    paced->base.zName = paced->name;
    paced->base.szOsFile = (int)sizeof(struct paced_file) + paced->under->szOsFile;
    paced->base.xOpen = paced_open;
    rc = TAEL_ENOMEM;
    if (sqlite3_vfs_register(&paced->base, 0) != SQLITE_OK)
        goto failed;
    *out = paced;
    return TAEL_OK;
failed:
    if (paced->fd >= 0)
        close(paced->fd);
    free(paced);
    return rc;
}

const char *tael_paced_name(const struct tael_paced *paced)
{
    return paced->name;
}

void tael_paced_free(struct tael_paced *paced)
{
    if (paced == NULL)
        return;
    sqlite3_vfs_unregister(&paced->base);
    close(paced->fd);
    free(paced);
}
