/* vfs_mem.h - a SQLite VFS in memory that models a disk: what was not synced may be lost or torn.
 *
 * For the simulated world (tael_sim_options.vfs) and for tests. Files live as long as the VFS: a
 * store that is opened again on the same path finds what the last one left. A file has two
 * contents: what reads see, and what is on the disk; writes between two syncs are kept in order,
 * and at a power loss each of them is kept, dropped, or torn sector by sector, as a generator with
 * a seed decides. A sync that is made to fail decides at once, and what it lost a later sync does
 * not bring back, as on real systems. It has no shared memory: a store on it uses one connection
 * (store.c).
 *
 * Threads: one at a time uses a file; crash and fail may be called from any. Making one seeds
 * SQLite's own generator, which is the process's, so that the salts of its logs follow from the
 * seed as well.
 */
#ifndef TAEL_STORE_VFS_MEM_H
#define TAEL_STORE_VFS_MEM_H

#include "base/bytes.h"

struct tael_vfs_mem;

/* name: to be found by, unique in the process; copied. */
tael_status tael_vfs_mem_new(struct tael_vfs_mem **out, const char *name, uint64_t seed);
void tael_vfs_mem_free(struct tael_vfs_mem *vfs); /* every file is closed; NULL allowed */

enum tael_vfs_crash {
    TAEL_CRASH_PROCESS, /* the program died: the system still has all writes */
    TAEL_CRASH_POWER,   /* the machine died: what was not synced is left to the generator */
};

/* The machine is down: everything fails until it is booted, files that were open then until they
 * are closed. The store of the dead machine is closed before the boot, or it would go on as a
 * ghost. */
void tael_vfs_mem_crash(struct tael_vfs_mem *vfs, enum tael_vfs_crash crash);
/* Power loss in the middle of the ops-th write, truncation, sync or deletion from now; 0: not. */
void tael_vfs_mem_crash_in(struct tael_vfs_mem *vfs, uint64_t ops);
bool tael_vfs_mem_down(struct tael_vfs_mem *vfs);
void tael_vfs_mem_boot(struct tael_vfs_mem *vfs);

enum { /* operations that can be made to fail */
       TAEL_VFS_READ = 1u << 0,
       TAEL_VFS_WRITE = 1u << 1,
       TAEL_VFS_TRUNCATE = 1u << 2,
       TAEL_VFS_SYNC = 1u << 3,
       TAEL_VFS_OPEN = 1u << 4,
};

struct tael_vfs_fault {
    unsigned on;        /* TAEL_VFS_*; 0: none */
    const char *suffix; /* of the file's name ("-wal"); NULL: any. Static text */
    int code;           /* SQLITE_FULL, SQLITE_IOERR_FSYNC … */
    uint64_t after;     /* so many of them pass first */
    uint64_t times;     /* then so many fail; 0: all */
};

/* Room for so many bytes in all files: a write beyond is SQLITE_FULL; 0: no end. */
void tael_vfs_mem_room(struct tael_vfs_mem *vfs, uint64_t bytes);
/* Syncs say that they have synced, and do nothing. */
void tael_vfs_mem_lie(struct tael_vfs_mem *vfs, bool lies);
void tael_vfs_mem_fail(struct tael_vfs_mem *vfs, const struct tael_vfs_fault *fault);

uint64_t tael_vfs_mem_ops(struct tael_vfs_mem *vfs);         /* that crash_in counts */
uint64_t tael_vfs_mem_fingerprint(struct tael_vfs_mem *vfs); /* of names and contents */
/* What reads see; TAEL_ENOTFOUND. */
tael_status tael_vfs_mem_copy(struct tael_vfs_mem *vfs, const char *path, struct tael_buf *out);

#endif
