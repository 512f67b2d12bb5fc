/* store_history.h - units whose fate is remembered, and looked for after every trouble of the disk.
 *
 * Each unit takes one from a bank for an item of its own with two notes; every tenth asks for more
 * than there is. What was acknowledged has to be there once and whole, what was refused not at all,
 * anything else whole or not at all; and what was once seen stays as it was seen.
 */
#ifndef TAEL_TESTS_STORE_HISTORY_H
#define TAEL_TESTS_STORE_HISTORY_H

#include <sqlite3.h>

#include "store/vfs_mem.h"
#include "store_fixture.h"

enum {
    UNITS_MAX = 1000, /* of one history */
    BANK = 1000000,
    BANK_ITEM = 999999,
};

enum fate {       /* of unit i, as far as it is known */
            FREE, /* not submitted yet */
            WAITING,
            UNKNOWN, /* the store could not say */
            THERE,
            ABSENT,
};

struct history {
    struct fixture fixture;
    struct tael_vfs_mem *vfs;
    uint64_t seed, random;
    enum fate fates[UNITS_MAX];
    int64_t stamps[UNITS_MAX]; /* of those known to be there */
    int used;
    bool founded; /* the bank was acknowledged */
    bool wrong;
    int acknowledged, unknown_there, unknown_absent, crashes, healed;
};

static inline uint64_t draw(struct history *history)
{
    uint64_t z = (history->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline void expect(struct history *history, bool ok, const char *what, int unit)
{
    if (ok)
        return;
    history->wrong = true;
    printf("# seed %llu: %s (unit %d)\n", (unsigned long long)history->seed, what, unit);
}

/* ---- units ---- */

struct ticket {
    struct history *history;
    int number;
    bool greedy; /* asks for more than there is: refused after it has written */
};

static inline void learn(struct history *history, int number, const struct tael_unit *unit,
                         bool greedy)
{
    const struct tael_unit_outcome *outcome = tael_unit_outcome(unit);
    switch (outcome->status) {
    case TAEL_OK:
        expect(history, !greedy, "the bank gave what it does not have", number);
        history->fates[number] = THERE;
        history->stamps[number] = tael_unit_stamp(unit, "seq_second");
        history->acknowledged++;
        break;
    case TAEL_ENOTFOUND:
        expect(history, greedy, "refused without reason", number);
        history->fates[number] = ABSENT;
        break;
    case TAEL_ESTORE:
        history->fates[number] = UNKNOWN;
        break;
    default:
        expect(history, false, outcome->constraint != NULL ? outcome->constraint : "odd status",
               number);
    }
}

static inline void unit_done(struct tael_unit *unit, void *user)
{
    struct ticket *ticket = user;
    learn(ticket->history, ticket->number, unit, ticket->greedy);
    tael_unit_free(unit);
    free(ticket);
}

/* Takes one from the bank for an item of its own with two notes. */
static inline void submit(struct history *history)
{
    struct fixture *fixture = &history->fixture;
    struct ticket *ticket = malloc(sizeof(*ticket));
    fixture_must(ticket != NULL, "no memory");
    *ticket = (struct ticket){history, history->used, draw(history) % 10 == 0};
    char name[16];
    char fill[2000] = "";
    memset(fill, 'x', draw(history) % (sizeof(fill) - 1));
    snprintf(name, sizeof(name), "u%d", ticket->number);
    struct tael_unit *unit = new_unit(fixture, 7);
    add(unit, fixture, "item.insert", "item", INT(ticket->number + 1), "name", TEXT(name), "amount",
        INT(1), "data", BYTES(fill, strlen(fill)), (char *)NULL);
    add(unit, fixture, "note.insert_pair", "item", INT(ticket->number + 1), "note", TEXT(name),
        (char *)NULL);
    add(unit, fixture, "item.take", "item", INT(BANK_ITEM), "taken",
        INT(ticket->greedy ? BANK + 1 : 1), (char *)NULL);
    history->fates[history->used++] = WAITING;
    fixture_must(tael_unit_submit(unit, &fixture->loop.base, unit_done, ticket) == TAEL_OK,
                 "queue");
}

static inline void found_bank(struct history *history)
{
    struct fixture *fixture = &history->fixture;
    struct tael_unit *unit = new_unit(fixture, 7);
    add(unit, fixture, "item.offer", "item", INT(BANK_ITEM), "name", TEXT("bank"), "amount",
        INT(BANK), (char *)NULL);
    tael_status status = commit(fixture, unit)->status;
    history->founded = status == TAEL_OK || (status == TAEL_ENOTFOUND && !history->founded);
    tael_unit_free(unit);
}

/* ---- looking ---- */

static inline void check_integrity(struct history *history)
{
    struct tael_rows *rows = NULL;
    tael_status rc = read_rows(&history->fixture, 0, &rows, "check.integrity", (char *)NULL);
    expect(history, rc == TAEL_OK && tael_rows_count(rows) == 1, "integrity is not to be had", -1);
    if (rc == TAEL_OK)
        expect(history, tael_span_is(tael_rows_value(rows, 0, 0).bytes, "ok"), "integrity", -1);
    tael_rows_free(rows);
}

/* Rows of unit i: 1 all of them, 0 none, -1 some. */
static inline int look(struct history *history, int i, int64_t *stamp)
{
    struct tael_rows *rows = NULL;
    int64_t amount = amount_of(&history->fixture, 7, i + 1);
    if (read_rows(&history->fixture, 7, &rows, "note.of_item", "item", INT(i + 1), (char *)NULL) !=
        TAEL_OK)
        return -1;
    size_t count = tael_rows_count(rows);
    *stamp = count == 2 ? tael_rows_value(rows, 1, 0).number : 0;
    tael_rows_free(rows);
    return amount == 1 && count == 2 ? 1 : amount == -1 && count == 0 ? 0 : -1;
}

static inline void look_at_all(struct history *history)
{
    int64_t there = 0;
    check_integrity(history);
    for (int i = 0; i < history->used; i++) {
        int64_t stamp = 0;
        int seen = look(history, i, &stamp);
        expect(history, seen >= 0, "half a unit", i);
        if (history->fates[i] == THERE)
            expect(history, seen == 1 && stamp == history->stamps[i],
                   "an acknowledged unit is gone", i);
        else if (history->fates[i] == ABSENT)
            expect(history, seen == 0, "a refused unit is there", i);
        else if (seen == 1)
            history->unknown_there++;
        else
            history->unknown_absent++;
        if (history->fates[i] != THERE)
            history->stamps[i] = stamp;
        history->fates[i] = seen == 1 ? THERE : ABSENT; /* and so it stays */
        there += seen == 1;
    }
    if (!history->founded && amount_of(&history->fixture, 7, BANK_ITEM) != -1)
        history->founded = true;
    if (history->founded) {
        expect(history, amount_of(&history->fixture, 7, BANK_ITEM) == BANK - there, "the bank", -1);
        expect(history, items(&history->fixture, false) == there + 1, "rows of nobody", -1);
    }
    for (int64_t newest = tael_store_next_id(history->fixture.store), i = 0; i < history->used; i++)
        expect(history, history->stamps[i] < newest, "an id does not rise", (int)i);
}

/* ---- lives ---- */

static inline bool open_store(struct history *history)
{
    tael_error err = {0};
    tael_status rc = fixture_open(&history->fixture, &err);
    if (rc == TAEL_OK)
        return true;
    expect(history, tael_vfs_mem_down(history->vfs), err.message, -1);
    return false;
}

static inline void close_store(struct history *history)
{
    fixture_close(&history->fixture); /* before the boot */
    tael_vfs_mem_crash_in(history->vfs, 0);
    tael_vfs_mem_boot(history->vfs);
}

static inline void submit_some(struct history *history)
{
    for (uint64_t units = 1 + draw(history) % 12; units > 0 && history->used < UNITS_MAX; units--)
        submit(history);
    while (fixture_step(&history->fixture, false))
        ;
}

/* With the fault gone the same store works again. */
static inline void heal(struct history *history)
{
    tael_vfs_mem_fail(history->vfs, &(struct tael_vfs_fault){.on = 0});
    int number = history->used;
    submit(history);
    while (fixture_step(&history->fixture, false))
        ;
    if (tael_vfs_mem_down(history->vfs))
        return;
    expect(history, history->fates[number] != UNKNOWN, "it does not heal", number);
    look_at_all(history);
    history->healed++;
}

static const char *const history_sql[] = {FIXTURE_SQL "items.sql", FIXTURE_SQL "sqlite/check.sql"};

/* An empty disk and a store on it that is not open yet. */
static inline void history_begin(struct history *history, uint64_t seed)
{
    memset(history, 0, sizeof(*history));
    history->seed = history->random = seed;
    fixture_must(tael_vfs_mem_new(&history->vfs, "disk", seed) == TAEL_OK, "no disk");
    fixture_init(&history->fixture, true, "disk");
    history->fixture.options.sql_files = history_sql;
    history->fixture.options.sql_file_count = 2;
    if (seed % 2 == 0) /* a few pages: groups write to the log before they commit */
        history->fixture.options.cache_kib = 16;
}

#endif
