/* store_fault_test.c - one fixed piece of work, and trouble at each single operation of the disk
 * and each single allocation of SQLite's in it.
 *
 * The work opens and migrates a new store, commits groups and folds its log. For every k the k-th
 * write, truncation or sync fails, once or from then on, or the power goes in its middle; each time
 * the store has to go on when the trouble ends and every unit has to be what was said of it, then,
 * after the next start, and after a loss of power. A disk whose syncs lie keeps no promise but one:
 * what it loses is the end, never something in between, as long as the log was not folded.
 */
#include "store_history.h"

/* Of the operations of the disk every so many is tried; TAEL_EVERY=1: all. */
static uint64_t every(void)
{
    const char *wanted = getenv("TAEL_EVERY");
    uint64_t number = wanted != NULL ? strtoull(wanted, NULL, 10) : 0;
    return number > 0 ? number : 7;
}

enum { ROUNDS = 7, ROUND_UNITS = 4, FOLD_PAGES = 12 };

static void work(struct history *history)
{
    if (!history->founded)
        found_bank(history);
    for (int round = 0; history->founded && round < ROUNDS; round++) {
        for (int i = 0; i < ROUND_UNITS; i++)
            submit(history);
        while (fixture_step(&history->fixture, false))
            ;
    }
}

static void begin(struct history *history)
{
    history_begin(history, 7);
    history->fixture.options.checkpoint_pages = FOLD_PAGES;
}

static void end(struct history *history)
{
    fixture_end(&history->fixture);
    tael_vfs_mem_free(history->vfs);
}

/* Opens, looks, goes on with the work, and looks again when the power has gone. */
static void restart(struct history *history)
{
    if (!open_store(history))
        return;
    look_at_all(history);
    if (!history->founded)
        found_bank(history);
    submit(history);
    while (fixture_step(&history->fixture, false))
        ;
    expect(history, history->fates[history->used - 1] != UNKNOWN, "it does not go on", -1);
    tael_vfs_mem_crash(history->vfs, TAEL_CRASH_POWER);
    close_store(history);
    if (open_store(history))
        look_at_all(history);
    close_store(history);
}

static uint64_t count_ops(void)
{
    static struct history history;
    begin(&history);
    fixture_must(open_store(&history), "no store");
    work(&history);
    close_store(&history);
    uint64_t ops = tael_vfs_mem_ops(history.vfs);
    CHECK(history.founded && history.acknowledged > 20 && !history.wrong);
    end(&history);
    return ops;
}

/* ---- the power goes in the middle of the k-th operation ---- */

static void power_may_go_anywhere(uint64_t ops)
{
    static struct history history;
    uint64_t wrong = 0, crashes = 0;
    for (uint64_t k = 1; k <= ops; k += every())
        for (uint64_t way = 0; way < 3; way++) {
            begin(&history);
            for (uint64_t i = 0; i < way; i++) /* another choice of what reaches the disk */
                sqlite3_vfs_find("disk")->xRandomness(sqlite3_vfs_find("disk"), 1, (char[1]){0});
            tael_vfs_mem_crash_in(history.vfs, k);
            if (open_store(&history))
                work(&history);
            crashes += tael_vfs_mem_down(history.vfs);
            close_store(&history);
            restart(&history);
            wrong += history.wrong;
            end(&history);
        }
    CHECK(wrong == 0);
    CHECK(crashes > ops * 2 / every());
}

/* ---- the k-th operation fails ---- */

static bool fail_at(struct history *history, const struct tael_vfs_fault *fault, bool power)
{
    tael_error err = {0};
    begin(history);
    tael_vfs_mem_fail(history->vfs, fault);
    bool opened = fixture_open(&history->fixture, &err) == TAEL_OK;
    expect(history, opened || err.message[0] != '\0', "refused without a word", -1);
    if (opened)
        work(history);
    tael_vfs_mem_fail(history->vfs, &(struct tael_vfs_fault){.on = 0});
    if (opened && !history->founded)
        found_bank(history);
    if (opened)
        heal(history);
    if (power)
        tael_vfs_mem_crash(history->vfs, TAEL_CRASH_POWER);
    close_store(history);
    restart(history);
    end(history);
    return opened;
}

static void any_operation_may_fail(uint64_t ops)
{
    static const int codes[] = {SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC,
                                SQLITE_READONLY};
    static struct history history;
    uint64_t wrong = 0, opened = 0, cases = 0;
    for (uint64_t k = 1; k <= ops; k += every())
        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
            for (unsigned way = 0; way < 4; way++) {
                const struct tael_vfs_fault fault = {
                    .on = TAEL_VFS_WRITE | TAEL_VFS_TRUNCATE | TAEL_VFS_SYNC,
                    .code = codes[i],
                    .after = k - 1,
                    .times = way % 2, /* once, or from then on */
                };
                opened += fail_at(&history, &fault, way >= 2);
                if (history.wrong)
                    printf("# operation %d, code %d, way %u\n", (int)k, codes[i], way);
                wrong += history.wrong;
                cases++;
            }
    printf("# %d cases, %d with an open store\n", (int)cases, (int)opened);
    CHECK(wrong == 0);
    CHECK(opened > cases / 2 && opened < cases);
}

/* ---- a disk whose syncs lie ---- */

/* Of the units known to be acknowledged: how many are gone; -1: something in between is. */
static int count_lost(struct history *history)
{
    int lost = 0;
    for (int i = 0; i < history->used; i++) {
        int64_t stamp = 0;
        int seen = look(history, i, &stamp);
        if (history->fates[i] != THERE)
            continue;
        if (seen < 0 || (seen == 1 && lost > 0))
            return -1;
        lost += seen == 0;
    }
    return lost;
}

static void a_lying_disk_loses_only_the_end(void)
{
    static struct history history;
    int lost = 0, in_between = 0, none = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        history_begin(&history, seed);
        history.fixture.options.checkpoint_pages = 1000000;
        fixture_must(open_store(&history), "no store");
        found_bank(&history);
        tael_vfs_mem_lie(history.vfs, true);
        work(&history);
        bool power = seed % 10 > 0; /* else the program dies: that takes nothing with it */
        tael_vfs_mem_crash(history.vfs, power ? TAEL_CRASH_POWER : TAEL_CRASH_PROCESS);
        tael_vfs_mem_lie(history.vfs, false);
        close_store(&history);
        if (open_store(&history)) {
            check_integrity(&history);
            int gone = count_lost(&history);
            lost += gone > 0;
            none += gone == 0;
            in_between += gone < 0 || (gone > 0 && !power);
        }
        close_store(&history);
        in_between += history.wrong;
        end(&history);
    }
    printf("# lying syncs: %d histories lost their end, %d nothing\n", lost, none);
    CHECK(in_between == 0);
    CHECK(lost > 10 && none > 10);
}

/* ---- a unit that finds no room ---- */

static void who_finds_no_room_is_alone(void)
{
    struct fixture fixture;
    struct tael_vfs_mem *vfs = NULL;
    struct tael_unit *units[8];
    static char big[300000];
    int done = 0;
    fixture_must(tael_vfs_mem_new(&vfs, "disk", 5) == TAEL_OK, "no disk");
    fixture_init(&fixture, true, "disk");
    fixture_must_open(&fixture);
    memset(big, 'x', sizeof(big));
    tael_vfs_mem_room(vfs, 250000);
    for (int i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        units[i] = new_unit(&fixture, 7);
        add(units[i], &fixture, "item.insert", "item", INT(i + 1), "name", TEXT(name), "amount",
            INT(1), "data", BYTES(big, i == 3 ? sizeof(big) : 10), (char *)NULL);
        tael_unit_submit(units[i], &fixture.loop.base, count_done, &done);
    }
    while (fixture_step(&fixture, false))
        ;
    CHECK(done == 8);
    for (int i = 0; i < 8; i++) {
        CHECK(tael_unit_outcome(units[i])->status == (i == 3 ? TAEL_ESTORE : TAEL_OK));
        CHECK(amount_of(&fixture, 7, i + 1) == (i == 3 ? -1 : 1));
        tael_unit_free(units[i]);
    }
    CHECK(info_of(&fixture, FAILED) == 1);
    tael_vfs_mem_room(vfs, 0);
    CHECK(insert(&fixture, 7, 100, "after", 1) == TAEL_OK && info_of(&fixture, HEALTHY) == 1);
    fixture_end(&fixture);
    tael_vfs_mem_free(vfs);
}

/* ---- SQLite finds no memory ---- */

static sqlite3_mem_methods memory;
static long memory_left; /* allocations until the one that fails; 0: none does */
static bool memory_stays_out, memory_failed;

static bool memory_is_out(void)
{
    if (memory_left == 0 || (memory_left > 1 && --memory_left > 0))
        return false;
    memory_failed = true;
    memory_left = memory_stays_out ? 1 : 0;
    return true;
}

static void *scarce_malloc(int len)
{
    return memory_is_out() ? NULL : memory.xMalloc(len);
}

static void *scarce_realloc(void *block, int len)
{
    return memory_is_out() ? NULL : memory.xRealloc(block, len);
}

static int64_t
    clock_calls; /* one for each stamp of a unit that runs, one for the mark of a group */

static int64_t counted_now(struct tael_world *world)
{
    clock_calls++;
    return fixture_now(world);
}

enum { GROUP = 5 };

/* One group with the n-th allocation failing; false: it was not reached. */
static bool group_without_memory(struct history *history, long n, bool stays_out)
{
    int first = history->used;
    memory_failed = false;
    memory_stays_out = stays_out;
    for (int i = 0; i < GROUP; i++)
        submit(history);
    clock_calls = 0;
    memory_left = n;
    while (fixture_step(&history->fixture, false))
        ;
    memory_left = 0;
    for (int i = first; i < history->used && !stays_out; i++)
        expect(history, history->fates[i] == THERE || history->fates[i] == ABSENT,
               "others are not answered", i);
    /* two stamps a unit: all of them together, then each alone, or together with savepoints */
    expect(history, clock_calls <= (2 * GROUP + 1) + (2 * GROUP + GROUP), "a unit ran again", -1);
    return memory_failed;
}

static void sqlite_may_find_no_memory(bool stays_out)
{
    static const struct tael_world_ops ops = {.now_ms = counted_now};
    static struct history history;
    long n = 0;
    begin(&history);
    history.fixture.world.ops = &ops;
    fixture_must(open_store(&history), "no store");
    found_bank(&history);
    bool failed = true;
    while (failed && history.used < UNITS_MAX - 2 * GROUP && !history.wrong) {
        failed = group_without_memory(&history, ++n, stays_out);
        heal(&history);
    }
    printf("# %ld allocations, %d acknowledged\n", n, history.acknowledged);
    CHECK(n > 20 && !history.wrong);
    CHECK(info_of(&history.fixture, HEALTHY) == 1);
    close_store(&history);
    restart(&history);
    CHECK(!history.wrong);
    end(&history);
}

int main(void)
{
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
    sqlite3_mem_methods scarce = memory;
    scarce.xMalloc = scarce_malloc;
    scarce.xRealloc = scarce_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &scarce);
    uint64_t ops = count_ops();
    printf("# %d operations of the disk\n", (int)ops);
    power_may_go_anywhere(ops);
    any_operation_may_fail(ops);
    a_lying_disk_loses_only_the_end();
    who_finds_no_room_is_alone();
    sqlite_may_find_no_memory(false);
    sqlite_may_find_no_memory(true);
    return tap_end();
}
