/* vfs_log_test.c - what a commit writes to the log goes out in one piece, and not before its sync.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#ifndef __SANITIZE_THREAD__ /* it needs malloc before it is ready */
#include "alloc_fail.h"
#endif
#include "store/vfs_log.h"
#include "store/vfs_mem.h"
#include "tap.h"
#include "vfs_file.h"

enum { LOG = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_WAL };

/* A log on a disk in memory. */
struct place {
    struct tael_vfs_mem *disk;
    struct tael_vfs_log *vfs;
    sqlite3_file *file;
};

static sqlite3_file *open_file(const struct place *place, const char *path, int flags)
{
    return vfs_file_open(tael_vfs_log_name(place->vfs), path, flags);
}

static struct place place_new(void)
{
    struct place place = {0};
    bool good = tael_vfs_mem_new(&place.disk, "disk", 1) == TAEL_OK &&
                tael_vfs_log_new(&place.vfs, "disk") == TAEL_OK &&
                (place.file = open_file(&place, "/log-wal", LOG)) != NULL;
    if (good)
        return place;
    printf("Bail out! no log\n");
    exit(1);
}

static void place_end(struct place *place)
{
    if (place->file != NULL)
        vfs_file_close(place->file);
    tael_vfs_log_free(place->vfs);
    tael_vfs_mem_free(place->disk);
}

static int put(const struct place *place, const char *text, sqlite3_int64 at)
{
    return place->file->pMethods->xWrite(place->file, text, (int)strlen(text), at);
}

static int sync_log(const struct place *place)
{
    return place->file->pMethods->xSync(place->file, SQLITE_SYNC_NORMAL);
}

/* Does the disk hold just this? */
static bool holds(const struct place *place, const char *text)
{
    struct tael_buf out = {0};
    bool good = tael_vfs_mem_copy(place->disk, "/log-wal", &out) == TAEL_OK &&
                out.len == strlen(text) &&
                memcmp(out.data != NULL ? out.data : "", text, out.len) == 0;
    tael_buf_free(&out);
    return good;
}

static void fail(const struct place *place, unsigned on, int code)
{
    tael_vfs_mem_fail(place->disk, &(struct tael_vfs_fault){.on = on, .code = code, .times = 1});
}

static void outside_a_commit_nothing_is_kept(void)
{
    struct place place = place_new();
    CHECK(put(&place, "one", 0) == SQLITE_OK && holds(&place, "one"));
    tael_vfs_log_begin(place.vfs);
    CHECK(tael_vfs_log_end(place.vfs, true)); /* a commit that wrote nothing */
    CHECK(put(&place, "two", 3) == SQLITE_OK && holds(&place, "onetwo"));
    place_end(&place);
}

static void a_commit_goes_out_in_one_piece(void)
{
    struct place place = place_new();
    uint64_t before = tael_vfs_mem_ops(place.disk);
    tael_vfs_log_begin(place.vfs);
    CHECK(put(&place, "header", 0) == SQLITE_OK && put(&place, "page", 6) == SQLITE_OK);
    CHECK(put(&place, "header", 10) == SQLITE_OK && put(&place, "page", 16) == SQLITE_OK);
    CHECK(holds(&place, "") && tael_vfs_mem_ops(place.disk) == before);
    CHECK(sync_log(&place) == SQLITE_OK && tael_vfs_log_end(place.vfs, true));
    CHECK(holds(&place, "headerpageheaderpage"));
    CHECK(tael_vfs_mem_ops(place.disk) == before + 2); /* a write and a sync */
    place_end(&place);
}

static void elsewhere_in_the_file_is_in_order_too(void)
{
    struct place place = place_new();
    tael_vfs_log_begin(place.vfs);
    CHECK(put(&place, "abcdef", 0) == SQLITE_OK);
    CHECK(put(&place, "XY", 1) == SQLITE_OK); /* over what was kept */
    CHECK(put(&place, "Z", 2) == SQLITE_OK);
    CHECK(sync_log(&place) == SQLITE_OK && tael_vfs_log_end(place.vfs, true));
    CHECK(holds(&place, "aXZdef"));
    place_end(&place);
}

static void large_commits_go_out_in_pieces(void)
{
    enum { PAGE = 4096, PAGES = 40, HUGE = 100000 };
    struct place place = place_new();
    static char page[PAGE], huge[HUGE];
    memset(page, 'p', sizeof(page));
    memset(huge, 'h', sizeof(huge));
    uint64_t before = tael_vfs_mem_ops(place.disk);
    tael_vfs_log_begin(place.vfs);
    int code = SQLITE_OK;
    for (int i = 0; i < PAGES; i++)
        code |= place.file->pMethods->xWrite(place.file, page, PAGE, (sqlite3_int64)i * PAGE);
    CHECK(code == SQLITE_OK && tael_vfs_mem_ops(place.disk) - before == 2); /* of 64 KiB each */
    CHECK(place.file->pMethods->xWrite(place.file, huge, HUGE, PAGES * PAGE) == SQLITE_OK);
    CHECK(tael_vfs_mem_ops(place.disk) - before == 4); /* what was kept, and at once itself */
    CHECK(sync_log(&place) == SQLITE_OK && tael_vfs_log_end(place.vfs, true));
    sqlite3_int64 size = 0;
    CHECK(place.file->pMethods->xFileSize(place.file, &size) == SQLITE_OK &&
          size == PAGES * PAGE + HUGE);
    place_end(&place);
}

static void what_was_not_synced_is_dropped(void)
{
    struct place place = place_new();
    tael_vfs_log_begin(place.vfs);
    put(&place, "lost", 0);
    CHECK(tael_vfs_log_end(place.vfs, false) && holds(&place, ""));
    CHECK(put(&place, "next", 0) == SQLITE_OK && holds(&place, "next"));
    tael_vfs_log_begin(place.vfs); /* and when the connection is closed amid it */
    put(&place, "lost", 4);
    vfs_file_close(place.file);
    place.file = NULL;
    CHECK(tael_vfs_log_end(place.vfs, true) && holds(&place, "next"));
    place_end(&place);
}

/* Where the disk may harm bytes beside those it writes, SQLite fills a sector up behind the sync.
 */
static void what_a_good_commit_did_not_sync_is_written(void)
{
    struct place place = place_new();
    tael_vfs_log_begin(place.vfs);
    put(&place, "synced", 0);
    sync_log(&place);
    put(&place, "beside", 6);
    CHECK(tael_vfs_log_end(place.vfs, true) && holds(&place, "syncedbeside"));
    tael_vfs_log_begin(place.vfs);
    put(&place, "more", 12);
    fail(&place, TAEL_VFS_WRITE, SQLITE_FULL);
    CHECK(!tael_vfs_log_end(place.vfs, true));
    place_end(&place);
}

static void whoever_looks_sees_it(void)
{
    struct place place = place_new();
    char text[5] = "";
    sqlite3_int64 size = 0;
    tael_vfs_log_begin(place.vfs);
    put(&place, "seen", 0);
    CHECK(place.file->pMethods->xRead(place.file, text, 4, 0) == SQLITE_OK &&
          strcmp(text, "seen") == 0);
    put(&place, "longer", 4);
    CHECK(place.file->pMethods->xFileSize(place.file, &size) == SQLITE_OK && size == 10);
    put(&place, "cut", 10);
    CHECK(place.file->pMethods->xTruncate(place.file, 11) == SQLITE_OK);
    CHECK(tael_vfs_log_end(place.vfs, true) && holds(&place, "seenlongerc"));
    place_end(&place);
}

static void a_write_that_fails_is_told(void)
{
    struct place place = place_new();
    tael_vfs_log_begin(place.vfs);
    put(&place, "1234", 0);
    fail(&place, TAEL_VFS_WRITE, SQLITE_FULL);
    CHECK(sync_log(&place) == SQLITE_FULL); /* and not synced */
    CHECK(tael_vfs_log_end(place.vfs, true) && holds(&place, "12"));

    tael_vfs_log_begin(place.vfs);
    put(&place, "5678", 0);
    fail(&place, TAEL_VFS_WRITE, SQLITE_IOERR_WRITE);
    CHECK(put(&place, "9", 100) == SQLITE_IOERR_WRITE); /* it makes the others go */
    CHECK(tael_vfs_log_end(place.vfs, true));

    tael_vfs_log_begin(place.vfs);
    put(&place, "good", 0);
    fail(&place, TAEL_VFS_SYNC, SQLITE_IOERR_FSYNC);
    CHECK(sync_log(&place) == SQLITE_IOERR_FSYNC);
    CHECK(tael_vfs_log_end(place.vfs, true) && holds(&place, "good"));
    place_end(&place);
}

#ifndef __SANITIZE_THREAD__
static void without_memory_nothing_is_kept(void)
{
    struct place place = place_new();
    tael_vfs_log_begin(place.vfs);
    alloc_fail_at(1);
    int code = put(&place, "one", 0);
    bool failed = alloc_fail_end();
    CHECK(failed && code == SQLITE_OK && holds(&place, "one"));
    CHECK(sync_log(&place) == SQLITE_OK && tael_vfs_log_end(place.vfs, true));
    place_end(&place);
    struct tael_vfs_log *vfs = NULL;
    alloc_fail_at(1);
    tael_status rc = tael_vfs_log_new(&vfs, NULL);
    CHECK(alloc_fail_end() && rc == TAEL_ENOMEM && vfs == NULL);
    CHECK(tael_vfs_log_new(&vfs, "no such disk") == TAEL_ENOTFOUND);
}

#endif

static void other_files_are_as_they_were(void)
{
    struct place place = place_new();
    sqlite3_file *data = open_file(
        &place, "/data", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB);
    struct tael_buf out = {0};
    tael_vfs_log_begin(place.vfs);
    CHECK(data != NULL && data->pMethods->xWrite(data, "page", 4, 0) == SQLITE_OK);
    CHECK(tael_vfs_mem_copy(place.disk, "/data", &out) == TAEL_OK && out.len == 4);
    CHECK(tael_vfs_log_end(place.vfs, true));
    tael_buf_free(&out);
    if (data != NULL)
        vfs_file_close(data);
    CHECK(open_file(&place, "/not there-wal", SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL) == NULL);
    place_end(&place);
}

int main(void)
{
    outside_a_commit_nothing_is_kept();
    a_commit_goes_out_in_one_piece();
    elsewhere_in_the_file_is_in_order_too();
    large_commits_go_out_in_pieces();
    what_was_not_synced_is_dropped();
    what_a_good_commit_did_not_sync_is_written();
    whoever_looks_sees_it();
    a_write_that_fails_is_told();
#ifndef __SANITIZE_THREAD__
    without_memory_nothing_is_kept();
#endif
    other_files_are_as_they_were();
    return tap_end();
}
