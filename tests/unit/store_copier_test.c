/* store_copier_test.c - the copier beside the writer: a commit that lets the log begin anew while
 * the copier looks at it.
 *
 * Below the store is SQLite's own VFS, in which the copier is held where a checkpoint has read what
 * the log holds and has not yet looked at how much of it is copied.
 */
#include <sqlite3.h>

#include "store_fixture.h"

enum { PAGES = 10, LARGE = 1 << 20, ROUNDS = 20 };

/* How long for what may not come in this round, and for what has to come. */
enum { ROUND_S = 1, LONG_S = 60 };

/* In the log's index: how many pages the log has, how many of them are copied. */
enum { INDEX_SIZE = 32 * 1024, INDEX_PAGES = 16, INDEX_COPIED = 96 };
enum { CHECKPOINT_LOCK = 1 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held, let_go, over;
    bool was_held; /* until it was let go */
} copier = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static sqlite3_vfs *below;
static sqlite3_io_methods methods;
static const sqlite3_io_methods *methods_below;

static bool is_copier(void)
{
    char name[16] = "";
    return pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 && is(name, "tael-copier");
}

static void set(bool *flag)
{
    pthread_mutex_lock(&copier.lock);
    *flag = true;
    pthread_cond_broadcast(&copier.changed);
    pthread_mutex_unlock(&copier.lock);
}

/* false: not within that time. */
static bool await(const bool *flag, time_t seconds)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&copier.lock);
    while (!*flag && rc == 0)
        rc = pthread_cond_timedwait(&copier.changed, &copier.lock, &until);
    bool was = *flag;
    pthread_mutex_unlock(&copier.lock);
    return was;
}

static bool is_copied(sqlite3_file *file)
{
    void volatile *index = NULL;
    uint32_t pages, copied;
    if (methods_below->xShmMap(file, 0, INDEX_SIZE, 0, &index) != SQLITE_OK || index == NULL)
        return false;
    pages = *(volatile uint32_t *)((volatile char *)index + INDEX_PAGES);
    copied = *(volatile uint32_t *)((volatile char *)index + INDEX_COPIED);
    return pages > 0 && pages == copied;
}

/* A checkpoint that has read a header which is new to it. */
static int unfetch(sqlite3_file *file, sqlite3_int64 at, void *page)
{
    if (is_copier() && !copier.held && is_copied(file)) {
        set(&copier.held);
        copier.was_held = await(&copier.let_go, LONG_S);
    }
    return methods_below->xUnfetch(file, at, page);
}

static int shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    int code = methods_below->xShmLock(file, offset, n, flags);
    if ((flags & SQLITE_SHM_UNLOCK) != 0 && offset == CHECKPOINT_LOCK && is_copier() && copier.held)
        set(&copier.over);
    return code;
}

static int watch(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out)
{
    int code = below->xOpen(below, path, file, flags, out);
    (void)vfs;
    if (code != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0)
        return code;
    pthread_mutex_lock(&copier.lock);
    if (methods_below == NULL) {
        methods_below = file->pMethods;
        methods = *methods_below;
        methods.xUnfetch = unfetch;
        methods.xShmLock = shm_lock;
    }
    pthread_mutex_unlock(&copier.lock);
    file->pMethods = &methods;
    return code;
}

/* As much as makes the writer copy the log itself; the copier, whom it has called, comes next. */
static bool hold_copier(struct fixture *fixture)
{
    static char large[LARGE];
    struct tael_unit *unit;
    char name[16];
    bool held = false;
    for (int i = 1; i <= ROUNDS && !held; i++) {
        snprintf(name, sizeof(name), "large %d", i);
        unit = new_unit(fixture, 7);
        add(unit, fixture, "item.insert", "item", INT(1000 + i), "name", TEXT(name), "amount",
            INT(i), "data", BYTES(large, sizeof(large)), (char *)NULL);
        fixture_must(commit(fixture, unit)->status == TAEL_OK, "not stored");
        tael_unit_free(unit);
        held = await(&copier.held, ROUND_S);
    }
    return held;
}

/* The copier takes what it knew of the log for what there is: all that is committed later, until
 * the log is as long again, nobody would see. */
static void a_log_begins_anew_under_the_copier(void)
{
    struct fixture fixture;
    sqlite3_vfs watching;
    below = sqlite3_vfs_find(NULL);
    watching = *below;
    watching.zName = "watching";
    watching.xOpen = watch;
    fixture_must(sqlite3_vfs_register(&watching, 1) == SQLITE_OK, "no VFS");
    fixture_init(&fixture, false, NULL);
    fixture.options.checkpoint_pages = PAGES;
    fixture_must_open(&fixture);
    CHECK(hold_copier(&fixture));
    CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_OK);
    set(&copier.let_go);
    CHECK(await(&copier.over, LONG_S) && copier.was_held);
    CHECK(insert(&fixture, 7, 2, "two", 2) == TAEL_OK);
    CHECK(amount_of(&fixture, 7, 1) == 1 && amount_of(&fixture, 7, 2) == 2);
    CHECK(insert(&fixture, 7, 2, "again", 2) == TAEL_EINVAL);
    fixture_close(&fixture);
    fixture_must_open(&fixture);
    CHECK(amount_of(&fixture, 7, 1) == 1 && amount_of(&fixture, 7, 2) == 2);
    fixture_end(&fixture);
    sqlite3_vfs_unregister(&watching);
}

int main(void)
{
    a_log_begins_anew_under_the_copier();
    return tap_end();
}
