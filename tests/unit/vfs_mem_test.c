/* vfs_mem_test.c - the disk in memory keeps what was synced and nothing else for certain. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "store/vfs_mem.h"
#include "tap.h"
#include "vfs_file.h"

enum { SEEDS = 200, OPEN = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB };

static struct tael_vfs_mem *vfs_new(uint64_t seed)
{
    struct tael_vfs_mem *vfs = NULL;
    if (tael_vfs_mem_new(&vfs, "disk", seed) == TAEL_OK)
        return vfs;
    printf("Bail out! no disk\n");
    exit(1);
}

static sqlite3_file *open_file(const char *path, int flags)
{
    return vfs_file_open("disk", path, flags);
}

/* Writes len times c. */
static int write_file(sqlite3_file *file, char c, int len, sqlite3_int64 at)
{
    char data[4096];
    memset(data, c, sizeof(data));
    return file->pMethods->xWrite(file, data, len, at);
}

static int sync_file(sqlite3_file *file)
{
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

/* What reads see; empty when there is no such file. Static: one at a time. */
static struct tael_span content(struct tael_vfs_mem *vfs, const char *path)
{
    static char text[64 * 1024];
    struct tael_buf out = {0};
    size_t len = 0;
    if (tael_vfs_mem_copy(vfs, path, &out) == TAEL_OK && out.len <= sizeof(text)) {
        len = out.len;
        if (len > 0)
            memcpy(text, out.data, len);
    }
    tael_buf_free(&out);
    return (struct tael_span){text, len};
}

static bool all_are(struct tael_span span, size_t from, size_t to, char c)
{
    for (size_t i = from; i < to && i < span.len; i++)
        if (span.data[i] != c)
            return false;
    return to <= span.len;
}

static void what_is_written_is_read(void)
{
    struct tael_vfs_mem *vfs = vfs_new(1);
    char data[8] = "";
    CHECK(open_file("a", SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB) == NULL);
    sqlite3_file *file = open_file("a", OPEN);
    CHECK(write_file(file, 'x', 3, 2) == SQLITE_OK);
    CHECK(file->pMethods->xRead(file, data, 5, 0) == SQLITE_OK);
    CHECK(memcmp(data, "\0\0xxx", 5) == 0);
    CHECK(file->pMethods->xRead(file, data, 8, 4) == SQLITE_IOERR_SHORT_READ);
    CHECK(memcmp(data, "x\0\0\0\0\0\0\0", 8) == 0);
    CHECK(file->pMethods->xTruncate(file, 3) == SQLITE_OK);
    sqlite3_int64 size = 0;
    CHECK(file->pMethods->xFileSize(file, &size) == SQLITE_OK && size == 3);
    vfs_file_close(file);
    CHECK(content(vfs, "a").len == 3);
    CHECK(tael_vfs_mem_copy(vfs, "b", &(struct tael_buf){0}) == TAEL_ENOTFOUND);
    struct tael_vfs_mem *twin = NULL;
    CHECK(tael_vfs_mem_new(&twin, "disk", 1) == TAEL_EINVAL);
    tael_vfs_mem_free(vfs);
    CHECK(sqlite3_vfs_find("disk") == NULL);
}

/* Over many seeds: a synced sector stays; of the unsynced write all, nothing and some are seen. */
static void power_loss_keeps_what_was_synced(void)
{
    int kept = 0, dropped = 0, torn = 0, wrong = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tael_vfs_mem *vfs = vfs_new(seed);
        sqlite3_file *file = open_file("a", OPEN);
        write_file(file, 'o', 4096, 0);
        write_file(file, 'o', 4096, 4096);
        sync_file(file);
        write_file(file, 'n', 4096, 4096);
        tael_vfs_mem_crash(vfs, TAEL_CRASH_POWER);
        vfs_file_close(file);
        struct tael_span now = content(vfs, "a");
        int news = 0, olds = 0;
        for (size_t at = 4096; at < 8192; at += 512) {
            news += all_are(now, at, at + 512, 'n');
            olds += all_are(now, at, at + 512, 'o');
        }
        kept += news == 8;
        dropped += olds == 8;
        torn += news > 0 && olds > 0;
        wrong += news + olds != 8 || !all_are(now, 0, 4096, 'o') || now.len != 8192;
        tael_vfs_mem_free(vfs);
    }
    CHECK(wrong == 0);
    CHECK(kept > 10 && dropped > 10 && torn > 10);
}

static void later_writes_may_arrive_without_earlier_ones(void)
{
    int only_later = 0, only_earlier = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tael_vfs_mem *vfs = vfs_new(seed);
        sqlite3_file *file = open_file("a", OPEN);
        write_file(file, 'o', 1024, 0);
        sync_file(file);
        write_file(file, 'n', 512, 0);
        write_file(file, 'n', 512, 512);
        tael_vfs_mem_crash(vfs, TAEL_CRASH_POWER);
        vfs_file_close(file);
        struct tael_span now = content(vfs, "a");
        only_later += all_are(now, 0, 512, 'o') && all_are(now, 512, 1024, 'n');
        only_earlier += all_are(now, 0, 512, 'n') && all_are(now, 512, 1024, 'o');
        tael_vfs_mem_free(vfs);
    }
    CHECK(only_later > 5 && only_earlier > 5);
}

static void the_death_of_the_process_loses_nothing(void)
{
    struct tael_vfs_mem *vfs = vfs_new(3);
    sqlite3_file *file = open_file("a", OPEN);
    write_file(file, 'n', 4096, 0);
    tael_vfs_mem_crash(vfs, TAEL_CRASH_PROCESS);
    CHECK(write_file(file, 'm', 1, 0) == SQLITE_IOERR_WRITE);
    CHECK(sync_file(file) == SQLITE_IOERR_FSYNC);
    vfs_file_close(file);
    CHECK(all_are(content(vfs, "a"), 0, 4096, 'n'));
    tael_vfs_mem_free(vfs);
}

static void names_need_a_sync_too(void)
{
    int made = 0, back = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tael_vfs_mem *vfs = vfs_new(seed);
        sqlite3_vfs *base = sqlite3_vfs_find("disk");
        sqlite3_file *file = open_file("new", OPEN);
        sqlite3_file *old = open_file("old", OPEN);
        sqlite3_file *gone = open_file("gone", OPEN);
        write_file(old, 'o', 10, 0);
        sync_file(old);
        write_file(gone, 'g', 10, 0);
        sync_file(gone);
        base->xDelete(base, "old", 0);
        base->xDelete(base, "gone", 1);
        int there = 1;
        base->xAccess(base, "old", SQLITE_ACCESS_EXISTS, &there);
        tael_vfs_mem_crash(vfs, TAEL_CRASH_POWER);
        vfs_file_close(file);
        vfs_file_close(old);
        vfs_file_close(gone);
        struct tael_buf out = {0};
        made += tael_vfs_mem_copy(vfs, "new", &out) == TAEL_OK;
        back += tael_vfs_mem_copy(vfs, "old", &out) == TAEL_OK &&
                all_are(content(vfs, "old"), 0, 10, 'o');
        if (there != 0 || tael_vfs_mem_copy(vfs, "gone", &out) != TAEL_ENOTFOUND)
            made = back = -SEEDS;
        tael_buf_free(&out);
        tael_vfs_mem_free(vfs);
    }
    CHECK(made > 10 && made < SEEDS - 10);
    CHECK(back > 10 && back < SEEDS - 10);
}

static void a_crash_comes_at_the_operation_asked_for(void)
{
    struct tael_vfs_mem *vfs = vfs_new(4);
    sqlite3_file *file = open_file("a", OPEN);
    uint64_t before = tael_vfs_mem_ops(vfs);
    tael_vfs_mem_crash_in(vfs, 3);
    CHECK(write_file(file, 'a', 512, 0) == SQLITE_OK);
    CHECK(sync_file(file) == SQLITE_OK);
    CHECK(!tael_vfs_mem_down(vfs));
    CHECK(write_file(file, 'b', 512, 512) == SQLITE_IOERR_WRITE);
    CHECK(tael_vfs_mem_down(vfs));
    CHECK(tael_vfs_mem_ops(vfs) == before + 3);
    CHECK(sync_file(file) == SQLITE_IOERR_FSYNC);
    vfs_file_close(file);
    CHECK(all_are(content(vfs, "a"), 0, 512, 'a'));
    CHECK(open_file("a", OPEN) == NULL);
    tael_vfs_mem_boot(vfs);
    file = open_file("a", OPEN); /* after the boot all works again */
    CHECK(write_file(file, 'c', 512, 0) == SQLITE_OK && sync_file(file) == SQLITE_OK);
    vfs_file_close(file);
    tael_vfs_mem_free(vfs);
}

static void faults_hit_what_they_name(void)
{
    struct tael_vfs_mem *vfs = vfs_new(5);
    sqlite3_file *file = open_file("a-wal", OPEN), *other = open_file("a", OPEN);
    tael_vfs_mem_fail(
        vfs,
        &(struct tael_vfs_fault){
            .on = TAEL_VFS_WRITE, .suffix = "-wal", .code = SQLITE_FULL, .after = 1, .times = 2});
    CHECK(write_file(file, 'a', 512, 0) == SQLITE_OK);
    CHECK(write_file(other, 'a', 512, 0) == SQLITE_OK);
    CHECK(write_file(file, 'b', 512, 512) == SQLITE_FULL);
    CHECK(content(vfs, "a-wal").len == 512 + 256); /* it stopped in the middle */
    CHECK(write_file(file, 'b', 512, 512) == SQLITE_FULL);
    CHECK(write_file(file, 'b', 512, 512) == SQLITE_OK);
    tael_vfs_mem_fail(vfs, &(struct tael_vfs_fault){.on = TAEL_VFS_OPEN, .code = SQLITE_CANTOPEN});
    CHECK(open_file("b", OPEN) == NULL && open_file("c", OPEN) == NULL);
    tael_vfs_mem_fail(vfs, &(struct tael_vfs_fault){.on = 0});
    CHECK(sync_file(file) == SQLITE_OK);
    vfs_file_close(file);
    vfs_file_close(other);
    tael_vfs_mem_free(vfs);
}

/* As on Linux: a sync that failed is over, and the next one says nothing of what it lost. */
static void a_failed_sync_is_not_made_good_by_the_next(void)
{
    int lost = 0, saved = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct tael_vfs_mem *vfs = vfs_new(seed);
        sqlite3_file *file = open_file("a", OPEN);
        write_file(file, 'o', 512, 0);
        sync_file(file);
        write_file(file, 'n', 512, 0);
        tael_vfs_mem_fail(vfs, &(struct tael_vfs_fault){
                                   .on = TAEL_VFS_SYNC, .code = SQLITE_IOERR_FSYNC, .times = 1});
        bool failed = sync_file(file) == SQLITE_IOERR_FSYNC;
        bool seen = all_are(content(vfs, "a"), 0, 512, 'n');
        bool synced = sync_file(file) == SQLITE_OK;
        tael_vfs_mem_crash(vfs, TAEL_CRASH_POWER);
        vfs_file_close(file);
        lost += failed && seen && synced && all_are(content(vfs, "a"), 0, 512, 'o');
        saved += failed && seen && synced && all_are(content(vfs, "a"), 0, 512, 'n');
        tael_vfs_mem_free(vfs);
    }
    CHECK(lost > 10 && saved > 10 && lost + saved == SEEDS);
}

static void locks_keep_others_out(void)
{
    struct tael_vfs_mem *vfs = vfs_new(6);
    sqlite3_file *a = open_file("a", OPEN), *b = open_file("a", OPEN);
    CHECK(a->pMethods->xLock(a, SQLITE_LOCK_SHARED) == SQLITE_OK);
    CHECK(b->pMethods->xLock(b, SQLITE_LOCK_SHARED) == SQLITE_OK);
    CHECK(a->pMethods->xLock(a, SQLITE_LOCK_RESERVED) == SQLITE_OK);
    CHECK(b->pMethods->xLock(b, SQLITE_LOCK_RESERVED) == SQLITE_BUSY);
    CHECK(a->pMethods->xLock(a, SQLITE_LOCK_EXCLUSIVE) == SQLITE_BUSY); /* b still reads */
    CHECK(b->pMethods->xUnlock(b, SQLITE_LOCK_NONE) == SQLITE_OK);
    CHECK(a->pMethods->xLock(a, SQLITE_LOCK_EXCLUSIVE) == SQLITE_OK);
    CHECK(b->pMethods->xLock(b, SQLITE_LOCK_SHARED) == SQLITE_BUSY);
    int reserved = 0;
    CHECK(b->pMethods->xCheckReservedLock(b, &reserved) == SQLITE_OK && reserved != 0);
    vfs_file_close(a);
    CHECK(b->pMethods->xLock(b, SQLITE_LOCK_SHARED) == SQLITE_OK);
    vfs_file_close(b);
    tael_vfs_mem_free(vfs);
}

/* A database that is written, crashes and is read again; what is left of the disk. */
static uint64_t database_history(uint64_t seed, int *rows)
{
    struct tael_vfs_mem *vfs = vfs_new(seed);
    sqlite3 *db = NULL;
    *rows = -1;
    sqlite3_open_v2("db", &db, OPEN & ~SQLITE_OPEN_MAIN_DB, "disk");
    sqlite3_exec(db,
                 "PRAGMA locking_mode = EXCLUSIVE;"
                 "PRAGMA synchronous = EXTRA; PRAGMA journal_mode = WAL;"
                 "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);",
                 NULL, NULL, NULL);
    for (int i = 0; i < 20; i++)
        sqlite3_exec(db, "INSERT INTO t (b) VALUES (printf('%.200c', 'x'))", NULL, NULL, NULL);
    tael_vfs_mem_crash(vfs, TAEL_CRASH_POWER);
    sqlite3_close(db);
    tael_vfs_mem_boot(vfs);
    sqlite3_open_v2("db", &db, OPEN & ~SQLITE_OPEN_MAIN_DB, "disk");
    sqlite3_stmt *stmt = NULL;
    sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL);
    sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &stmt, NULL);
    if (stmt != NULL && sqlite3_step(stmt) == SQLITE_ROW)
        *rows = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    uint64_t left = tael_vfs_mem_fingerprint(vfs);
    sqlite3_close(db);
    tael_vfs_mem_free(vfs);
    return left;
}

static void one_seed_is_one_history(void)
{
    int first = 0, second = 0, other = 0;
    uint64_t a = database_history(7, &first), b = database_history(7, &second);
    uint64_t c = database_history(8, &other);
    CHECK(first == 20 && second == 20 && other == 20);
    CHECK(a == b); /* the salts of the log too */
    CHECK(a != c);
}

int main(void)
{
    what_is_written_is_read();
    power_loss_keeps_what_was_synced();
    later_writes_may_arrive_without_earlier_ones();
    the_death_of_the_process_loses_nothing();
    names_need_a_sync_too();
    a_crash_comes_at_the_operation_asked_for();
    faults_hit_what_they_name();
    a_failed_sync_is_not_made_good_by_the_next();
    locks_keep_others_out();
    one_seed_is_one_history();
    return tap_end();
}
