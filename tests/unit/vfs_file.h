/* vfs_file.h - a file opened as SQLite opens one, on a VFS by its name. */
#ifndef TAEL_TESTS_VFS_FILE_H
#define TAEL_TESTS_VFS_FILE_H

#include <stdlib.h>

#include <sqlite3.h>

/* NULL: it did not open. */
static inline sqlite3_file *vfs_file_open(const char *name, const char *path, int flags)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(name);
    sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
    if (file != NULL && vfs->xOpen(vfs, path, file, flags, NULL) == SQLITE_OK)
        return file;
    free(file);
    return NULL;
}

static inline void vfs_file_close(sqlite3_file *file)
{
    file->pMethods->xClose(file);
    free(file);
}

#endif
