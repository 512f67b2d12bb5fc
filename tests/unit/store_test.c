/* store_test.c - units of work and reads on real files, with the store's own threads and in the
 * simulated world. */
#include <stdlib.h>

#ifndef __SANITIZE_THREAD__ /* it needs malloc before it is ready */
#include "alloc_fail.h"
#endif
#include "store_fixture.h"

static size_t notes(struct fixture *fixture, int64_t scope, int64_t item)
{
    struct tael_rows *rows = NULL;
    if (read_rows(fixture, scope, &rows, "note.of_item", "item", INT(item), (char *)NULL) !=
        TAEL_OK)
        return SIZE_MAX;
    size_t count = tael_rows_count(rows);
    tael_rows_free(rows);
    return count;
}

static void a_unit_is_committed_and_seen(bool simulated)
{
    struct fixture fixture;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    CHECK(insert(&fixture, 7, 1, "one", 100) == TAEL_OK);
    CHECK(amount_of(&fixture, 7, 1) == 100);
    CHECK(amount_of(&fixture, 8, 1) == -1); /* another tenant */
    CHECK(info_of(&fixture, UNITS) == 1 && info_of(&fixture, GROUPS) == 1);
    CHECK(info_of(&fixture, SCHEMA) == 2 && info_of(&fixture, QUEUED) == 0);
    CHECK(info_of(&fixture, FAILED) == 0 && info_of(&fixture, HEALTHY) == 1);
    fixture_close(&fixture);
    fixture_must_open(&fixture);
    CHECK(amount_of(&fixture, 7, 1) == 100);
    fixture_end(&fixture);
}

/* ---- refusals ---- */

static void a_guard_that_fails_undoes_its_unit(bool simulated)
{
    struct fixture fixture;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    insert(&fixture, 7, 1, "one", 10);

    struct tael_unit *first = new_unit(&fixture, 7); /* the guard stands first */
    add(first, &fixture, "item.take", "item", INT(1), "taken", INT(11), (char *)NULL);
    add(first, &fixture, "note.insert", "item", INT(1), "note", TEXT("taken"), (char *)NULL);
    const struct tael_unit_outcome *outcome = commit(&fixture, first);
    CHECK(outcome->status == TAEL_ENOTFOUND);
    CHECK(is(outcome->statement, "item.take") && is(outcome->otherwise, "short"));
    CHECK(is(outcome->constraint, NULL));
    CHECK(amount_of(&fixture, 7, 1) == 10 && notes(&fixture, 7, 1) == 0);
    tael_unit_free(first);

    struct tael_unit *last = new_unit(&fixture, 7); /* and behind what has written */
    add(last, &fixture, "note.insert", "item", INT(1), "note", TEXT("taken"), (char *)NULL);
    add(last, &fixture, "item.take", "item", INT(1), "taken", INT(11), (char *)NULL);
    CHECK(commit(&fixture, last)->status == TAEL_ENOTFOUND);
    CHECK(amount_of(&fixture, 7, 1) == 10 && notes(&fixture, 7, 1) == 0);
    tael_unit_free(last);

    struct tael_unit *twin = new_unit(&fixture, 7); /* DO NOTHING is a row less */
    add(twin, &fixture, "item.offer", "item", INT(2), "name", TEXT("one"), "amount", INT(5),
        (char *)NULL);
    outcome = commit(&fixture, twin);
    CHECK(outcome->status == TAEL_ENOTFOUND && is(outcome->otherwise, "twin"));
    tael_unit_free(twin);

    struct tael_unit *gone = new_unit(&fixture, 8); /* a row of another tenant is not there */
    add(gone, &fixture, "item.take", "item", INT(1), "taken", INT(1), (char *)NULL);
    CHECK(commit(&fixture, gone)->status == TAEL_ENOTFOUND);
    CHECK(amount_of(&fixture, 7, 1) == 10);
    tael_unit_free(gone);
    CHECK(info_of(&fixture, FAILED) == 0 && info_of(&fixture, HEALTHY) == 1);
    fixture_end(&fixture);
}

static void check_constraint(struct fixture *fixture, const char *name, struct tael_value amount,
                             struct tael_value text, const char *constraint)
{
    struct tael_unit *unit = new_unit(fixture, 7);
    add(unit, fixture, "note.insert", "item", INT(9), "note", TEXT("gone with it"), (char *)NULL);
    add(unit, fixture, "item.insert", "item", INT(2), "name", text, "amount", amount, (char *)NULL);
    const struct tael_unit_outcome *outcome = commit(fixture, unit);
    bool good = outcome->status == TAEL_EINVAL && is(outcome->statement, "item.insert") &&
                is(outcome->constraint, constraint) && is(outcome->otherwise, NULL);
    if (!good)
        printf("# %d %s\n", outcome->status, outcome->constraint);
    CHECK_NAMED(good, name);
    CHECK(notes(fixture, 7, 9) == 0);
    tael_unit_free(unit);
}

static void a_constraint_that_breaks_is_named(void)
{
    struct fixture fixture;
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    insert(&fixture, 7, 1, "one", 10);
    const struct tael_value none = {.kind = TAEL_VALUE_NULL};
    check_constraint(&fixture, "unique", INT(1), TEXT("one"), "UNIQUE items.merchant, items.name");
    check_constraint(&fixture, "check", INT(-1), TEXT("two"), "CHECK amount >= 0");
    check_constraint(&fixture, "not null", INT(1), none, "NOT NULL items.name");
    check_constraint(&fixture, "type", TEXT("1o"), TEXT("two"),
                     "cannot store TEXT value in INTEGER column items.amount");
    CHECK(insert(&fixture, 7, 1, "two", 1) == TAEL_EINVAL); /* the id */
    CHECK(insert(&fixture, 8, 2, "one", 1) == TAEL_OK);     /* another tenant's name */
    fixture_end(&fixture);
}

/* ---- groups ---- */

enum { GROUP = 64, BAD_GUARD = 13, BAD_CHECK = 40, CLEAN = 50 };

/* Unit i: its own item and a note; three of them are refused, each in another way. */
static struct tael_unit *group_unit(struct fixture *fixture, int i)
{
    char name[16];
    struct tael_unit *unit = new_unit(fixture, 7);
    snprintf(name, sizeof(name), "item%d", i);
    if (i == CLEAN)
        add(unit, fixture, "item.take", "item", INT(1), "taken", INT(1000), (char *)NULL);
    add(unit, fixture, "item.insert", "item", INT(100 + i), "name", TEXT(name), "amount", INT(1),
        (char *)NULL);
    add(unit, fixture, "note.insert", "item", INT(100 + i), "note", TEXT(name), (char *)NULL);
    if (i == BAD_GUARD)
        add(unit, fixture, "item.take", "item", INT(1), "taken", INT(1000), (char *)NULL);
    if (i == BAD_CHECK)
        add(unit, fixture, "item.take_blindly", "item", INT(1), "taken", INT(1000), (char *)NULL);
    return unit;
}

static void one_bad_unit_does_not_spoil_its_group(bool simulated)
{
    struct fixture fixture;
    struct tael_unit *units[GROUP];
    int done = 0, right = 0;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    insert(&fixture, 7, 1, "one", 10);
    for (int i = 0; i < GROUP; i++) {
        units[i] = group_unit(&fixture, i);
        tael_unit_submit(units[i], &fixture.loop.base, count_done, &done);
    }
    while (done < GROUP)
        fixture_step(&fixture, !simulated);
    if (simulated) /* all of them in one */
        CHECK(info_of(&fixture, GROUPS) == 2);
    int64_t last = 0;
    for (int i = 0; i < GROUP; i++) {
        bool bad = i == BAD_GUARD || i == BAD_CHECK || i == CLEAN;
        tael_status want = !bad ? TAEL_OK : i == BAD_CHECK ? TAEL_EINVAL : TAEL_ENOTFOUND;
        int64_t stamp = tael_unit_stamp(units[i], "seq_note");
        right += tael_unit_outcome(units[i])->status == want &&
                 amount_of(&fixture, 7, 100 + i) == (bad ? -1 : 1) &&
                 notes(&fixture, 7, 100 + i) == (bad ? 0 : 1) && (bad || stamp > last);
        last = bad ? last : stamp;
        tael_unit_free(units[i]);
    }
    CHECK(right == GROUP);
    CHECK(info_of(&fixture, UNITS) == GROUP + 1 && info_of(&fixture, FAILED) == 0);
    fixture_end(&fixture);
}

/* A refusal may rest on what the same group wrote before it. */
static void a_group_sees_itself(void)
{
    struct fixture fixture;
    struct tael_unit *units[2];
    int done = 0;
    fixture_init(&fixture, true, NULL);
    fixture_must_open(&fixture);
    for (int i = 0; i < 2; i++) {
        units[i] = new_unit(&fixture, 7);
        add(units[i], &fixture, "item.offer", "item", INT(10 + i), "name", TEXT("same"), "amount",
            INT(1), (char *)NULL);
        tael_unit_submit(units[i], &fixture.loop.base, count_done, &done);
    }
    while (done < 2)
        fixture_step(&fixture, false);
    CHECK(tael_unit_outcome(units[0])->status == TAEL_OK);
    CHECK(tael_unit_outcome(units[1])->status == TAEL_ENOTFOUND);
    CHECK(info_of(&fixture, GROUPS) == 1);
    tael_unit_free(units[0]);
    tael_unit_free(units[1]);
    fixture_end(&fixture);
}

enum { GATHERED = 64 }; /* units that do not wait for the end of a turn */

static void submit_item(struct fixture *fixture, struct tael_unit **unit, int i, bool waits,
                        int *done)
{
    *unit = group_unit(fixture, i);
    if (waits)
        tael_unit_let_wait(*unit);
    CHECK(tael_unit_submit(*unit, &fixture->loop.base, count_done, done) == TAEL_OK);
}

static void free_units(struct tael_unit **units, int count)
{
    for (int i = 0; i < count; i++)
        tael_unit_free(units[i]);
}

static void units_of_a_turn_are_one_group(void)
{
    struct fixture fixture;
    struct tael_unit *units[GATHERED];
    int done = 0, tries = 0;
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    for (int i = 0; i < 10; i++)
        submit_item(&fixture, &units[i], i, false, &done);
    CHECK(info_of(&fixture, QUEUED) == 10); /* the turn has not ended */
    while (done < 10)
        fixture_step(&fixture, true);
    CHECK(info_of(&fixture, GROUPS) == 1);
    free_units(units, 10);

    for (int i = 0; i < GATHERED; i++) /* many do not wait for its end */
        submit_item(&fixture, &units[i], 20 + i, i % 2 == 0, &done);
    while (info_of(&fixture, UNITS) < 10 + GATHERED && tries++ < 10000)
        usleep(1000);
    CHECK(info_of(&fixture, UNITS) == 10 + GATHERED && done == 10);
    while (done < 10 + GATHERED)
        fixture_step(&fixture, true);
    free_units(units, GATHERED);
    fixture_end(&fixture);
}

static void some_units_wait_for_others(void)
{
    struct fixture fixture;
    struct tael_unit *units[3];
    int done = 0, steps = 0;
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    submit_item(&fixture, &units[0], 0, true, &done);
    submit_item(&fixture, &units[1], 1, true, &done);
    for (int i = 0; i < 5; i++) /* ends of turns */
        fixture_step(&fixture, true);
    CHECK(info_of(&fixture, QUEUED) == 2);
    submit_item(&fixture, &units[2], 2, false, &done); /* this one does not */
    while (done < 3)
        fixture_step(&fixture, true);
    CHECK(info_of(&fixture, GROUPS) == 1);
    free_units(units, 3);

    submit_item(&fixture, &units[0], 3, true, &done); /* and none waits for ever */
    while (info_of(&fixture, QUEUED) == 1 && steps < 100)
        steps += fixture_step(&fixture, false);
    CHECK(steps < 100);
    while (done < 4 && steps < 100)
        fixture_step(&fixture, true);
    CHECK(done == 4 && info_of(&fixture, GROUPS) == 2);
    tael_unit_free(units[0]);

    done = 0;
    submit_item(&fixture, &units[0], 4, true, &done); /* not when turns are long, either */
    fixture_step(&fixture, true);
    CHECK(info_of(&fixture, QUEUED) == 1);
    atomic_fetch_add(&fixture.mono_us, 5000);
    fixture_step(&fixture, true);
    steps = 0;
    while (info_of(&fixture, QUEUED) == 1 && steps++ < 10000) /* the writer has been called */
        usleep(1000);
    CHECK(info_of(&fixture, QUEUED) == 0);
    while (done < 1)
        fixture_step(&fixture, true);
    tael_unit_free(units[0]);
    fixture_end(&fixture);
}

/* Each loop has its turns; a group is made of all that waits. */
static void loops_have_turns_of_their_own(void)
{
    struct fixture fixture;
    struct fixture_loop other;
    struct tael_unit *units[2];
    int done = 0;
    fixture_init(&fixture, false, NULL);
    fixture_loop_init(&other, &fixture.world);
    fixture_must_open(&fixture);
    submit_item(&fixture, &units[0], 0, true, &done);
    units[1] = group_unit(&fixture, 1);
    CHECK(tael_unit_submit(units[1], &other.base, count_done, &done) == TAEL_OK);
    CHECK(info_of(&fixture, QUEUED) == 2);
    while (fixture_loop_step(&other, true) && done < 1) /* its end of turn, then its answer */
        ;
    while (done < 2)
        fixture_step(&fixture, true);
    CHECK(info_of(&fixture, GROUPS) == 1);
    free_units(units, 2);
    fixture_end(&fixture);
    fixture_loop_end(&other);
}

static void groups_have_a_size(void)
{
    struct fixture fixture;
    struct tael_unit *units[10];
    int done = 0;
    fixture_init(&fixture, true, NULL);
    fixture.options.group_max = 4;
    fixture_must_open(&fixture);
    for (int i = 0; i < 10; i++) {
        units[i] = group_unit(&fixture, i);
        tael_unit_submit(units[i], &fixture.loop.base, count_done, &done);
    }
    CHECK(info_of(&fixture, QUEUED) == 10);
    while (done < 10)
        fixture_step(&fixture, false);
    CHECK(info_of(&fixture, GROUPS) == 3);
    for (int i = 0; i < 10; i++)
        tael_unit_free(units[i]);
    fixture_end(&fixture);
}

static void a_full_queue_says_so(void)
{
    struct fixture fixture;
    struct tael_unit *units[4];
    int done = 0;
    fixture_init(&fixture, true, NULL);
    fixture.options.queue_max = 3;
    fixture_must_open(&fixture);
    for (int i = 0; i < 4; i++) {
        units[i] = group_unit(&fixture, i);
        tael_status rc = tael_unit_submit(units[i], &fixture.loop.base, count_done, &done);
        CHECK(rc == (i < 3 ? TAEL_OK : TAEL_EBUSY));
    }
    while (done < 3)
        fixture_step(&fixture, false);
    CHECK(commit(&fixture, units[3])->status == TAEL_OK); /* it was not touched */
    for (int i = 0; i < 4; i++)
        tael_unit_free(units[i]);
    CHECK(done == 3 && items(&fixture, false) == 4);
    fixture_end(&fixture);
}

/* ---- stamps and ids ---- */

static void stamps_rise_whatever_the_clock_does(bool simulated)
{
    struct fixture fixture;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    int64_t start = atomic_load(&fixture.now_ms), last = 0, given = 0;
    bool rising = true, same = true;
    /* what no id can say, of 2089 and later: as if the clock stood still */
    static const int64_t beyond[] = {3776860055552, 4294967296000, 253402300799999, INT64_MAX};
    for (int i = 0; i < 40; i++) {
        if (i >= 4 && i < 8)
            atomic_store(&fixture.now_ms, beyond[i - 4]);
        if (i == 8)
            atomic_store(&fixture.now_ms, start);
        if (i == 10)
            atomic_store(&fixture.now_ms, start - 86400000); /* set back by a day */
        if (i == 20) {                                       /* and restarted there */
            fixture_close(&fixture);
            fixture_must_open(&fixture);
        }
        if (i == 30)
            atomic_store(&fixture.now_ms, start + 1000);
        struct tael_unit *unit = new_unit(&fixture, 7);
        given = tael_store_next_id(fixture.store);
        rising = rising && given > last;
        add(unit, &fixture, "note.insert", "item", INT(i), "note", TEXT("a"), (char *)NULL);
        add(unit, &fixture, "note.insert_pair", "item", INT(i), "note", TEXT("b"), (char *)NULL);
        commit(&fixture, unit);
        int64_t stamps[] = {tael_unit_stamp(unit, "seq_note"), tael_unit_stamp(unit, "seq_first"),
                            tael_unit_stamp(unit, "seq_second")};
        rising = rising && stamps[0] > given && stamps[1] > stamps[0] && stamps[2] > stamps[1];
        last = stamps[2];
        struct tael_rows *rows = NULL; /* what was stamped is what is stored */
        read_rows(&fixture, 7, &rows, "note.of_item", "item", INT(i), (char *)NULL);
        for (size_t k = 0; k < 3; k++)
            same = same && rows != NULL && tael_rows_count(rows) == 3 &&
                   tael_rows_value(rows, k, 0).number == stamps[k];
        tael_rows_free(rows);
        CHECK(i > 0 || tael_unit_stamp(unit, "seq_other") == 0);
        tael_unit_free(unit);
    }
    CHECK(rising && same);
    CHECK(tael_store_id_ms(last) ==
          start + 1000); /* once the clock is ahead again, ids are the time */
    fixture_end(&fixture);
}

static void one_name_is_one_stamp_in_a_unit(void)
{
    struct fixture fixture;
    fixture_init(&fixture, true, NULL);
    fixture_must_open(&fixture);
    struct tael_unit *unit = new_unit(&fixture, 7);
    add(unit, &fixture, "note.insert", "item", INT(1), "note", TEXT("a"), (char *)NULL);
    add(unit, &fixture, "note.insert", "item", INT(1), "note", TEXT("b"), (char *)NULL);
    const struct tael_unit_outcome *outcome = commit(&fixture, unit);
    CHECK(outcome->status == TAEL_EINVAL && is(outcome->constraint, "UNIQUE notes.id"));
    tael_unit_free(unit);
    fixture_end(&fixture);
}

/* ---- values and rows ---- */

static void values_come_back_as_they_were(bool simulated)
{
    static const char odd[] = "\xc3\xa9\xf0\x9f\x92\xb0 'quoted' ;-- ?";
    const struct tael_value none = {.kind = TAEL_VALUE_NULL};
    struct fixture fixture;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    struct tael_unit *unit = new_unit(&fixture, 7);
    add(unit, &fixture, "item.insert", "item", INT(INT64_MIN), "name", TEXT(odd), "amount",
        INT(INT64_MAX), "data", BYTES("a\0b", 3), (char *)NULL);
    add(unit, &fixture, "item.insert", "item", INT(2), "name", TEXT(""), "amount", INT(0), "data",
        BYTES("", 0), (char *)NULL);
    add(unit, &fixture, "item.insert", "item", INT(3), "name", TEXT("x"), "amount", INT(0), "data",
        none, (char *)NULL);
    CHECK(commit(&fixture, unit)->status == TAEL_OK);
    CHECK(tael_unit_rows(unit, 0) == NULL && tael_unit_rows(unit, 9) == NULL);
    tael_unit_free(unit);
    struct tael_rows *rows = NULL;
    CHECK(read_rows(&fixture, 7, &rows, "item.get", "item", INT(INT64_MIN), (char *)NULL) ==
          TAEL_OK);
    CHECK(tael_rows_count(rows) == 1 && tael_rows_columns(rows) == 4);
    CHECK(is(tael_rows_name(rows, 3), "data"));
    CHECK(tael_rows_value(rows, 0, 0).number == INT64_MIN);
    CHECK(tael_span_is(tael_rows_value(rows, 0, 1).bytes, odd));
    CHECK(tael_rows_value(rows, 0, 2).number == INT64_MAX);
    struct tael_value data = tael_rows_value(rows, 0, 3);
    CHECK(data.kind == TAEL_VALUE_BYTES && data.bytes.len == 3 &&
          memcmp(data.bytes.data, "a\0b", 3) == 0);
    tael_rows_free(rows);
    CHECK(read_rows(&fixture, 7, &rows, "item.get", "item", INT(2), (char *)NULL) == TAEL_OK);
    CHECK(tael_rows_value(rows, 0, 1).kind == TAEL_VALUE_TEXT);
    CHECK(tael_rows_value(rows, 0, 3).kind == TAEL_VALUE_BYTES); /* empty is not NULL */
    CHECK(tael_rows_value(rows, 0, 3).bytes.len == 0);
    tael_rows_free(rows);
    CHECK(read_rows(&fixture, 7, &rows, "item.get", "item", INT(3), (char *)NULL) == TAEL_OK);
    CHECK(tael_rows_value(rows, 0, 3).kind == TAEL_VALUE_NULL);
    tael_rows_free(rows);
    fixture_end(&fixture);
}

static void values_that_no_database_takes_are_refused(void)
{
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "a\xc3",
                                      "\xe2\x82",
                                      "\xf0\x9f\x92",
                                      "\xe2\x28\xa1",
                                      "\xff"};
    struct fixture fixture;
    fixture_init(&fixture, true, NULL);
    fixture_must_open(&fixture);
    struct tael_unit *unit = new_unit(&fixture, 7);
    int refused = 0, count = (int)(sizeof(bad) / sizeof(bad[0]));
    for (int i = 0; i < count; i++)
        refused += add(unit, &fixture, "note.insert", "item", INT(1), "note", TEXT(bad[i]),
                       (char *)NULL) == TAEL_EINVAL;
    CHECK(refused == count);
    struct tael_value nul = {.kind = TAEL_VALUE_TEXT, .bytes = {"a\0b", 3}};
    CHECK(add(unit, &fixture, "note.insert", "note", nul, (char *)NULL) == TAEL_EINVAL);
    CHECK(add(unit, &fixture, "note.insert", "note", BYTES("a", 1), (char *)NULL) == TAEL_EINVAL);
    CHECK(add(unit, &fixture, "item.insert", "data", TEXT("a"), (char *)NULL) == TAEL_EINVAL);
    CHECK(add(unit, &fixture, "item.get", "item", INT(1), (char *)NULL) == TAEL_EINVAL);
    char *large = calloc(1, 17 * 1024 * 1024);
    CHECK(add(unit, &fixture, "item.insert", "data", BYTES(large, 17 * 1024 * 1024),
              (char *)NULL) == TAEL_ELIMIT);
    free(large);
    tael_unit_free(unit);
    fixture_end(&fixture);
}

static void scope_says_whose_rows_are_seen(void)
{
    struct fixture fixture;
    fixture_init(&fixture, true, NULL);
    fixture_must_open(&fixture);
    insert(&fixture, 7, 1, "one", 10);
    insert(&fixture, 8, 2, "one", 20);
    struct tael_rows *rows = NULL;
    CHECK(read_rows(&fixture, 0, &rows, "item.get", "item", INT(1), (char *)NULL) == TAEL_EINVAL);
    CHECK(read_rows(&fixture, 7, &rows, "item.get", "merchant", INT(8), "item", INT(2),
                    (char *)NULL) == TAEL_OK);
    CHECK(tael_rows_count(rows) == 0); /* the given merchant is not listened to */
    tael_rows_free(rows);
    struct tael_unit *nobody = new_unit(&fixture, 0);
    CHECK(add(nobody, &fixture, "item.take", "merchant", INT(7), "item", INT(1), "taken", INT(1),
              (char *)NULL) == TAEL_EINVAL);
    CHECK(add(nobody, &fixture, "note.drop", "item", INT(1), (char *)NULL) == TAEL_EINVAL);
    CHECK(add(nobody, &fixture, "note.drop", "merchant", INT(7), "item", INT(1), (char *)NULL) ==
          TAEL_OK);
    CHECK(add(nobody, &fixture, "item.drop_all", "least", INT(15), (char *)NULL) == TAEL_OK);
    CHECK(commit(&fixture, nobody)->status == TAEL_OK);
    CHECK(items(&fixture, false) == 1);
    tael_unit_free(nobody);
    fixture_end(&fixture);
}

static void returning_gives_rows(bool simulated)
{
    struct fixture fixture;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    insert(&fixture, 7, 1, "one", 10);
    struct tael_unit *unit = new_unit(&fixture, 7);
    add(unit, &fixture, "note.insert", "item", INT(1), "note", TEXT("a"), (char *)NULL);
    add(unit, &fixture, "item.give", "item", INT(1), "given", INT(5), (char *)NULL);
    CHECK(commit(&fixture, unit)->status == TAEL_OK);
    const struct tael_rows *rows = tael_unit_rows(unit, 1);
    CHECK(tael_unit_rows(unit, 0) == NULL);
    CHECK(rows != NULL && tael_rows_count(rows) == 1 && is(tael_rows_name(rows, 1), "amount"));
    CHECK(rows != NULL && tael_rows_value(rows, 0, 1).number == 15);
    tael_unit_free(unit);
    unit = new_unit(&fixture, 7); /* no row, and the guard sees that */
    add(unit, &fixture, "item.give", "item", INT(2), "given", INT(5), (char *)NULL);
    CHECK(commit(&fixture, unit)->status == TAEL_ENOTFOUND);
    tael_unit_free(unit);
    unit = new_unit(&fixture, 9);
    add(unit, &fixture, "item.rename_all", "name", TEXT("x"), (char *)NULL);
    CHECK(commit(&fixture, unit)->status == TAEL_OK);
    CHECK(tael_rows_count(tael_unit_rows(unit, 0)) == 0);
    tael_unit_free(unit);
    fixture_end(&fixture);
}

/* Items 1 … count of one tenant, all in one unit of at most 1000. */
static void insert_many(struct fixture *fixture, int64_t first, int64_t last)
{
    char name[24];
    struct tael_unit *unit = new_unit(fixture, 7);
    for (int64_t i = first; i <= last; i++) {
        snprintf(name, sizeof(name), "n%lld", (long long)i);
        add(unit, fixture, "item.insert", "item", INT(i), "name", TEXT(name), "amount", INT(1),
            (char *)NULL);
    }
    CHECK(commit(fixture, unit)->status == TAEL_OK);
    tael_unit_free(unit);
}

static void lists_are_read_elsewhere(bool simulated)
{
    struct fixture fixture;
    struct answer answer;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    insert_many(&fixture, 1, 1000);
    CHECK(read_later(&fixture, &answer, 7, "item.list", "after", INT(0), "n", INT(1000),
                     (char *)NULL) == TAEL_OK);
    CHECK(!answer.done); /* never from inside the call */
    CHECK(fixture_until(&fixture, &answer.done) && answer.status == TAEL_OK);
    CHECK(tael_rows_count(answer.rows) == 1000);
    CHECK(tael_rows_value(answer.rows, 999, 0).number == 1000);
    tael_rows_free(answer.rows);
    insert_many(&fixture, 1001, 1001);
    read_later(&fixture, &answer, 7, "item.list", "after", INT(0), "n", INT(2000), (char *)NULL);
    CHECK(fixture_until(&fixture, &answer.done) && answer.status == TAEL_ELIMIT);
    CHECK(answer.rows == NULL);
    CHECK(read_later(&fixture, &answer, 0, "item.list", "after", INT(0), "n", INT(1),
                     (char *)NULL) == TAEL_EINVAL);
    struct tael_unit *unit = new_unit(&fixture, 7); /* as many rows from RETURNING: undone */
    add(unit, &fixture, "note.insert", "item", INT(1), "note", TEXT("a"), (char *)NULL);
    add(unit, &fixture, "item.give_all", "given", INT(1), (char *)NULL);
    const struct tael_unit_outcome *outcome = commit(&fixture, unit);
    CHECK(outcome->status == TAEL_ELIMIT && is(outcome->statement, "item.give_all"));
    tael_unit_free(unit);
    CHECK(notes(&fixture, 7, 1) == 0 && items(&fixture, true) == 1001);
    fixture_end(&fixture);
}

/* ---- stopping ---- */

static void stopping_answers_what_is_queued(bool simulated, bool dropped)
{
    struct fixture fixture;
    struct tael_unit *units[8];
    struct answer answer;
    int done = 0;
    fixture_init(&fixture, simulated, NULL);
    fixture_must_open(&fixture);
    for (int i = 0; i < 8; i++) {
        units[i] = group_unit(&fixture, i);
        tael_unit_submit(units[i], &fixture.loop.base, count_done, &done);
    }
    read_later(&fixture, &answer, 7, "item.list", "after", INT(0), "n", INT(1000), (char *)NULL);
    tael_store_stop(fixture.store);
    tael_store_stop(fixture.store); /* once more changes nothing */
    struct tael_unit *late = group_unit(&fixture, 9);
    CHECK(tael_unit_submit(late, &fixture.loop.base, count_done, &done) == TAEL_ECLOSED);
    tael_unit_free(late);
    CHECK(done == 0); /* the answers are in the mailbox */
    CHECK(items(&fixture, false) == 8);
    if (dropped) { /* a machine that died never looks into it */
        fixture_drop_mail(&fixture);
        tael_store_reader_close(fixture.reader);
        tael_store_close(fixture.store);
        fixture.reader = NULL;
        fixture.store = NULL;
    } else {
        fixture_close(&fixture);
    }
    CHECK(done == 8 && answer.done);
    CHECK(answer.status == TAEL_OK || (dropped && simulated && answer.status == TAEL_ECLOSED));
    tael_rows_free(answer.rows);
    for (int i = 0; i < 8; i++) {
        CHECK(tael_unit_outcome(units[i])->status == TAEL_OK);
        tael_unit_free(units[i]);
    }
    fixture_end(&fixture);
}

/* ---- many at once ---- */

enum { ACCOUNTS = 8, MOVES = 300, WORKERS = 3, WEALTH = 1000 };

struct worker {
    struct fixture fixture; /* its loop; the store is another's */
    struct tael_store *store;
    pthread_t thread;
    unsigned seed;
    int moved, refused;
    bool wrong;
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

/* Moves amounts between items, and reads that the sum never changes. */
static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct fixture *fixture = &worker->fixture;
    fixture->store = worker->store;
    if (tael_store_reader_open(&fixture->reader, worker->store) != TAEL_OK) {
        worker->wrong = true;
        return NULL;
    }
    for (int i = 0; i < MOVES; i++) {
        struct tael_unit *unit = new_unit(fixture, 7);
        int64_t amount = next_random(&worker->seed) % 900;
        add(unit, fixture, "item.give", "item", INT(1 + next_random(&worker->seed) % ACCOUNTS),
            "given", INT(amount), (char *)NULL);
        add(unit, fixture, "item.take", "item", INT(1 + next_random(&worker->seed) % ACCOUNTS),
            "taken", INT(amount), (char *)NULL);
        tael_status status = commit(fixture, unit)->status;
        worker->moved += status == TAEL_OK;
        worker->refused += status == TAEL_ENOTFOUND;
        worker->wrong = worker->wrong || items(fixture, true) != ACCOUNTS * WEALTH;
        tael_unit_free(unit);
    }
    tael_store_reader_close(fixture->reader);
    fixture->reader = NULL;
    fixture->store = NULL;
    return NULL;
}

static void workers_share_one_store(const char *path)
{
    struct fixture fixture;
    struct worker workers[WORKERS];
    char name[16];
    int moved = 0, refused = 0;
    bool wrong = false;
    fixture_init(&fixture, false, NULL);
    fixture.options.checkpoint_pages = 20; /* checkpoints among them */
    if (path != NULL)
        fixture.options.path = path;
    fixture_must_open(&fixture);
    for (int i = 1; i <= ACCOUNTS; i++) {
        snprintf(name, sizeof(name), "account%d", i);
        insert(&fixture, 7, i, name, WEALTH);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.store = fixture.store, .seed = i};
        fixture_init(&workers[i].fixture, false, "none");
        pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        moved += workers[i].moved;
        refused += workers[i].refused;
        wrong = wrong || workers[i].wrong;
        fixture_end(&workers[i].fixture);
    }
    CHECK(!wrong);
    CHECK(moved + refused == WORKERS * MOVES && moved > 0 && refused > 0);
    CHECK(info_of(&fixture, UNITS) == WORKERS * MOVES + ACCOUNTS);
    CHECK(items(&fixture, true) == ACCOUNTS * WEALTH);
    fixture_end(&fixture);
}

/* ---- without memory ---- */

#ifndef __SANITIZE_THREAD__
/* One unit and two reads while the n-th allocation fails; what the caller was told. */
static tael_status work_without_memory(struct fixture *fixture, int64_t item, struct answer *answer)
{
    const struct tael_statement *give = tael_store_statement(fixture->store, "item.give");
    const struct tael_statement *get = tael_store_statement(fixture->store, "item.get");
    struct tael_value values[64] = {INT(1), {0}, INT(item)}; /* given, merchant, item */
    struct tael_unit *unit = NULL;
    struct tael_rows *rows = NULL;
    *answer = (struct answer){.done = true};
    tael_status rc = tael_unit_new(&unit, fixture->store, 7);
    if (rc == TAEL_OK)
        rc = tael_unit_add(unit, give, values);
    if (rc == TAEL_OK)
        rc = commit(fixture, unit)->status;
    tael_unit_free(unit);
    if (rc != TAEL_OK)
        return rc;
    struct tael_value ask[64] = {{0}, INT(item)}; /* merchant, item */
    rc = tael_store_read(fixture->reader, get, 7, ask, &rows);
    tael_rows_free(rows);
    if (rc == TAEL_OK) {
        answer->done = false;
        rc = tael_store_read_later(fixture->store, get, 7, ask, &fixture->loop.base, take_answer,
                                   answer);
        answer->done = rc != TAEL_OK;
    }
    fixture_until(fixture, &answer->done);
    tael_rows_free(answer->rows);
    return rc == TAEL_OK ? answer->status : rc;
}

static void memory_may_run_out_anywhere(void)
{
    struct fixture fixture;
    struct answer answer;
    long opened = 0, worked = 0;
    bool right = true, failed = true;
    fixture_init(&fixture, true, NULL);
    for (; failed; opened++) {
        tael_error err = {0};
        alloc_fail_at(opened + 1);
        tael_status rc = fixture_open(&fixture, &err);
        failed = alloc_fail_end();
        right = right && rc == (failed ? TAEL_ENOMEM : TAEL_OK);
        if (failed)
            fixture_close(&fixture);
    }
    CHECK(right && opened > 100);
    insert(&fixture, 7, 1, "one", 0);
    for (failed = true; failed; worked++) {
        int64_t before = amount_of(&fixture, 7, 1);
        alloc_fail_at(worked + 1);
        tael_status rc = work_without_memory(&fixture, 1, &answer);
        failed = alloc_fail_end();
        int64_t after = amount_of(&fixture, 7, 1);
        right = right && (failed || (rc == TAEL_OK && after == before + 1)) &&
                (after == before || after == before + 1) && (rc != TAEL_OK || after == before + 1);
    }
    CHECK(right && worked > 5);
    fixture_end(&fixture);
}
#endif

int main(void)
{
    for (int simulated = 0; simulated < 2; simulated++) {
        a_unit_is_committed_and_seen(simulated);
        a_guard_that_fails_undoes_its_unit(simulated);
        one_bad_unit_does_not_spoil_its_group(simulated);
        stamps_rise_whatever_the_clock_does(simulated);
        values_come_back_as_they_were(simulated);
        returning_gives_rows(simulated);
        lists_are_read_elsewhere(simulated);
        stopping_answers_what_is_queued(simulated, false);
        stopping_answers_what_is_queued(simulated, true);
    }
    a_constraint_that_breaks_is_named();
    a_group_sees_itself();
    units_of_a_turn_are_one_group();
    some_units_wait_for_others();
    loops_have_turns_of_their_own();
    groups_have_a_size();
    a_full_queue_says_so();
    one_name_is_one_stamp_in_a_unit();
    values_that_no_database_takes_are_refused();
    scope_says_whose_rows_are_seen();
    workers_share_one_store(NULL);
    workers_share_one_store(":memory:");
#ifndef __SANITIZE_THREAD__
    memory_may_run_out_anywhere();
#endif
    return tap_end();
}
