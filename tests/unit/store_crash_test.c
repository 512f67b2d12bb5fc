/* store_crash_test.c - what was acknowledged is there, whatever the disk did.
 *
 * A history is a number of lives of one store on the disk in memory. In each life random units are
 * submitted; at a random operation of the disk the power goes, or writes and syncs fail for a
 * while. After every life the store is opened again: acknowledged units are there once and whole,
 * refused ones are not, others are whole or not there at all; and what was once seen stays as it
 * was seen. TAEL_SEEDS sets how many histories are run.
 */
#include "store_history.h"

enum { SEEDS = 60, LIVES = 8 };

static void set_fault(struct history *history)
{
    static const struct tael_vfs_fault faults[] = {
        {.on = TAEL_VFS_WRITE, .suffix = "-wal", .code = SQLITE_FULL},
        {.on = TAEL_VFS_WRITE, .suffix = "-wal", .code = SQLITE_IOERR_WRITE},
        {.on = TAEL_VFS_SYNC, .suffix = "-wal", .code = SQLITE_IOERR_FSYNC},
        {.on = TAEL_VFS_SYNC, .suffix = ".db", .code = SQLITE_IOERR_FSYNC},
        {.on = TAEL_VFS_WRITE, .suffix = ".db", .code = SQLITE_FULL},
        {.on = TAEL_VFS_WRITE | TAEL_VFS_SYNC, .code = SQLITE_IOERR},
        {.on = TAEL_VFS_READ, .code = SQLITE_IOERR_READ},
        {.on = TAEL_VFS_OPEN, .code = SQLITE_CANTOPEN},
    };
    struct tael_vfs_fault fault = faults[draw(history) % (sizeof(faults) / sizeof(faults[0]))];
    fault.after = draw(history) % 12;
    fault.times = draw(history) % 3; /* 0: until it is taken back */
    tael_vfs_mem_fail(history->vfs, &fault);
}

static void live(struct history *history, bool faults)
{
    bool dies = draw(history) % 4 != 0;
    history->fixture.options.checkpoint_pages = (int)(1 + draw(history) % 60);
    history->fixture.options.group_max = 1 + draw(history) % 20;
    tael_vfs_mem_crash_in(history->vfs, dies ? 1 + draw(history) % 200 : 0);
    if (open_store(history) && !tael_vfs_mem_down(history->vfs)) {
        if (!history->founded)
            found_bank(history);
        for (uint64_t rounds = draw(history) % 12;
             history->founded && rounds > 0 && !tael_vfs_mem_down(history->vfs); rounds--) {
            if (faults && draw(history) % 3 == 0)
                set_fault(history);
            submit_some(history);
            if (faults && !tael_vfs_mem_down(history->vfs))
                heal(history);
        }
    }
    if (draw(history) % 2 == 0 && !tael_vfs_mem_down(history->vfs))
        tael_vfs_mem_crash(history->vfs,
                           draw(history) % 2 == 0 ? TAEL_CRASH_POWER : TAEL_CRASH_PROCESS);
    history->crashes += tael_vfs_mem_down(history->vfs);
    close_store(history);
}

static uint64_t fingerprint(const struct history *history)
{
    uint64_t hash = tael_vfs_mem_fingerprint(history->vfs);
    for (int i = 0; i < history->used; i++)
        hash = (hash ^ (uint64_t)history->stamps[i] ^ history->fates[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* One history from beginning to end. */
static uint64_t run_history(struct history *history, uint64_t seed, bool faults)
{
    history_begin(history, seed);
    for (int i = 0; i < LIVES; i++) {
        live(history, faults);
        tael_vfs_mem_fail(history->vfs, &(struct tael_vfs_fault){.on = 0});
        if (!open_store(history))
            break;
        look_at_all(history);
        if (draw(history) % 2 == 0) /* what was seen stays, the power may go at once */
            tael_vfs_mem_crash(history->vfs, TAEL_CRASH_POWER);
        close_store(history);
        if (!open_store(history))
            break;
        look_at_all(history);
        close_store(history);
    }
    uint64_t left = fingerprint(history);
    fixture_end(&history->fixture);
    tael_vfs_mem_free(history->vfs);
    return left;
}

static void histories_keep_what_was_acknowledged(bool faults)
{
    static struct history history;
    const char *wanted = getenv("TAEL_SEEDS");
    uint64_t seeds = wanted != NULL ? strtoull(wanted, NULL, 10) : SEEDS;
    int acknowledged = 0, there = 0, absent = 0, crashes = 0, healed = 0;
    uint64_t wrong = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        run_history(&history, faults ? seed + 1000000 : seed, faults);
        wrong += history.wrong;
        acknowledged += history.acknowledged;
        there += history.unknown_there;
        absent += history.unknown_absent;
        crashes += history.crashes;
        healed += history.healed;
    }
    printf("# %d acknowledged, unknown: %d there, %d not; %d crashes, %d healed\n", acknowledged,
           there, absent, crashes, healed);
    CHECK(wrong == 0);
    CHECK(acknowledged > 1000 && there > 0 && absent > 0 && crashes > 100); /* it did try */
    CHECK(!faults || healed > 100);
}

static void one_seed_is_one_history(void)
{
    static struct history history;
    uint64_t first = run_history(&history, 77, true), second = run_history(&history, 77, true);
    CHECK(first == second);
    CHECK(first != run_history(&history, 78, true));
}

/* ---- faults, one by one ---- */

static void fault_for_group(unsigned on, const char *suffix, int code, uint64_t times,
                            bool simulated, tael_status want)
{
    struct fixture fixture;
    struct tael_vfs_mem *vfs = NULL;
    struct tael_unit *units[8];
    int done = 0, right = 0;
    fixture_must(tael_vfs_mem_new(&vfs, "disk", 5) == TAEL_OK, "no disk");
    fixture_init(&fixture, simulated, "disk");
    fixture_must_open(&fixture);
    tael_vfs_mem_fail(
        vfs, &(struct tael_vfs_fault){.on = on, .suffix = suffix, .code = code, .times = times});
    for (int i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        units[i] = new_unit(&fixture, 7);
        add(units[i], &fixture, "item.insert", "item", INT(i + 1), "name", TEXT(name), "amount",
            INT(1), (char *)NULL);
        tael_unit_submit(units[i], &fixture.loop.base, count_done, &done);
    }
    while (done < 8)
        fixture_step(&fixture, !simulated);
    struct tael_store_info info;
    tael_store_info(fixture.store, &info);
    CHECK(info.healthy == (want == TAEL_OK) && info.failed == (want == TAEL_OK ? 0 : 8));
    CHECK((info.trouble == NULL) == info.healthy);
    CHECK(info.healthy || code != SQLITE_FULL || strcmp(info.trouble, "the disk is full") == 0);
    tael_vfs_mem_fail(vfs, &(struct tael_vfs_fault){.on = 0});
    if (want != TAEL_OK) { /* what writes nothing does not say that the disk works again */
        struct tael_unit *idle = new_unit(&fixture, 7);
        add(idle, &fixture, "item.take", "item", INT(1), "taken", INT(1), (char *)NULL);
        CHECK(commit(&fixture, idle)->status == TAEL_ENOTFOUND);
        tael_unit_free(idle);
        tael_store_info(fixture.store, &info);
        CHECK(!info.healthy);
    }
    for (int i = 0; i < 8; i++) {
        right += tael_unit_outcome(units[i])->status == want;
        tael_unit_free(units[i]);
    }
    CHECK(right == 8);
    struct tael_unit *after = new_unit(&fixture, 7);
    add(after, &fixture, "item.insert", "item", INT(100), "name", TEXT("after"), "amount", INT(1),
        (char *)NULL);
    CHECK(commit(&fixture, after)->status == TAEL_OK);
    tael_unit_free(after);
    CHECK(items(&fixture, false) == (want == TAEL_OK ? 9 : 1));
    tael_store_info(fixture.store, &info);
    CHECK(info.healthy);
    tael_vfs_mem_crash(vfs, TAEL_CRASH_POWER);
    fixture_close(&fixture);
    tael_vfs_mem_boot(vfs);
    fixture_must_open(&fixture);
    CHECK(items(&fixture, false) == (want == TAEL_OK ? 9 : 1));
    fixture_end(&fixture);
    tael_vfs_mem_free(vfs);
}

static void a_disk_that_fails_once_costs_nothing(void)
{
    for (int simulated = 0; simulated < 2; simulated++) {
        fault_for_group(TAEL_VFS_WRITE, "-wal", SQLITE_FULL, 1, simulated, TAEL_OK);
        fault_for_group(TAEL_VFS_WRITE, "-wal", SQLITE_IOERR_WRITE, 1, simulated, TAEL_OK);
        fault_for_group(TAEL_VFS_SYNC, "-wal", SQLITE_IOERR_FSYNC, 1, simulated, TAEL_OK);
        fault_for_group(TAEL_VFS_WRITE, "-wal", SQLITE_IOERR_NOMEM, 1, simulated, TAEL_OK);
    }
}

static void a_disk_that_stays_full_loses_only_what_it_says(void)
{
    for (int simulated = 0; simulated < 2; simulated++) {
        fault_for_group(TAEL_VFS_WRITE, "-wal", SQLITE_FULL, 0, simulated, TAEL_ESTORE);
        fault_for_group(TAEL_VFS_WRITE, "-wal", SQLITE_IOERR_WRITE, 0, simulated, TAEL_ESTORE);
    }
}

/* ---- the same with readers beside the writer, on the real disk ---- */

static sqlite3_io_methods failing; /* the system's, but for sync */
static const sqlite3_io_methods *real;
static sqlite3_vfs *real_vfs;
static _Atomic int syncs_that_fail;

static int failing_sync(sqlite3_file *file, int flags)
{
    int left = atomic_load(&syncs_that_fail);
    if (left == 0)
        return real->xSync(file, flags);
    if (left > 0)
        atomic_store(&syncs_that_fail, left - 1);
    return SQLITE_IOERR_FSYNC;
}

static int failing_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags,
                        int *out)
{
    (void)vfs;
    int code = real_vfs->xOpen(real_vfs, path, file, flags, out);
    if (code != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0)
        return code;
    real = file->pMethods;
    failing = *real;
    failing.xSync = failing_sync;
    file->pMethods = &failing;
    return code;
}

static tael_status insert_one(struct fixture *fixture, int64_t item, const char *name)
{
    struct tael_unit *unit = new_unit(fixture, 7);
    add(unit, fixture, "item.insert", "item", INT(item), "name", TEXT(name), "amount", INT(1),
        (char *)NULL);
    tael_status status = commit(fixture, unit)->status;
    tael_unit_free(unit);
    return status;
}

static void the_writer_is_opened_again_beside_readers(void)
{
    struct fixture fixture;
    sqlite3_initialize();
    real_vfs = sqlite3_vfs_find(NULL);
    sqlite3_vfs shim = *real_vfs;
    shim.zName = "failing";
    shim.xOpen = failing_open;
    sqlite3_vfs_register(&shim, 1);
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    CHECK(insert_one(&fixture, 1, "one") == TAEL_OK && items(&fixture, false) == 1);
    atomic_store(&syncs_that_fail, 1);
    CHECK(insert_one(&fixture, 2, "two") == TAEL_OK && items(&fixture, false) == 2);
    atomic_store(&syncs_that_fail, -1);
    CHECK(insert_one(&fixture, 3, "three") == TAEL_ESTORE);
    CHECK(items(&fixture, false) == 2); /* readers go on */
    atomic_store(&syncs_that_fail, 0);
    CHECK(insert_one(&fixture, 4, "four") == TAEL_OK && items(&fixture, false) == 3);
    CHECK(amount_of(&fixture, 7, 3) == -1);
    fixture_close(&fixture);
    fixture_must_open(&fixture);
    CHECK(items(&fixture, false) == 3);
    fixture_end(&fixture);
    sqlite3_vfs_register(real_vfs, 1);
    sqlite3_vfs_unregister(&shim);
}

int main(void)
{
    histories_keep_what_was_acknowledged(false);
    histories_keep_what_was_acknowledged(true);
    one_seed_is_one_history();
    a_disk_that_fails_once_costs_nothing();
    a_disk_that_stays_full_loses_only_what_it_says();
    the_writer_is_opened_again_beside_readers();
    return tap_end();
}
