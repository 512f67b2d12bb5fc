/* store_fixture.h - worlds, loops and short words for the tests of the store.
 *
 * A fixture's loop is a mailbox that the test's thread empties when it waits for something. The
 * world is either threaded (the store's own threads post to the mailbox) or simulated (all on this
 * thread); its wall clock stands still unless the test moves it.
 */
#ifndef TAEL_TESTS_STORE_FIXTURE_H
#define TAEL_TESTS_STORE_FIXTURE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pthread.h>
#include <unistd.h>

#include "store/store.h"
#include "tap.h"

#define FIXTURE_SQL "tests/unit/store_sql/"

struct fixture_loop {
    struct tael_loop base;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct tael_mail *first, **behind;
};

struct fixture {
    struct tael_world world;
    struct fixture_loop loop;
    _Atomic int64_t now_ms, mono_us;
    char folder[64]; /* empty: none */
    char path[96];
    struct tael_store_options options;
    struct tael_store *store;
    struct tael_store_reader *reader;
};

static inline void fixture_must(bool ok, const char *what)
{
    if (ok)
        return;
    printf("Bail out! %s\n", what);
    exit(1);
}

/* ---- world and loop ---- */

static inline int64_t fixture_now(struct tael_world *world)
{
    return atomic_load(&((struct fixture *)world)->now_ms);
}

static inline int64_t fixture_mono(struct tael_world *world)
{
    return atomic_load(&((struct fixture *)world)->mono_us);
}

static inline void fixture_post(struct tael_loop *base, struct tael_mail *mail)
{
    struct fixture_loop *loop = (struct fixture_loop *)base;
    mail->next = NULL;
    pthread_mutex_lock(&loop->lock);
    *loop->behind = mail;
    loop->behind = &mail->next;
    pthread_cond_signal(&loop->arrived);
    pthread_mutex_unlock(&loop->lock);
}

/* Runs one piece of mail; false: there was none and none was waited for. */
static inline bool fixture_loop_step(struct fixture_loop *loop, bool wait)
{
    pthread_mutex_lock(&loop->lock);
    while (wait && loop->first == NULL)
        pthread_cond_wait(&loop->arrived, &loop->lock);
    struct tael_mail *mail = loop->first;
    if (mail != NULL) {
        loop->first = mail->next;
        if (loop->first == NULL)
            loop->behind = &loop->first;
    }
    pthread_mutex_unlock(&loop->lock);
    if (mail != NULL)
        mail->fn(mail);
    return mail != NULL;
}

static inline bool fixture_step(struct fixture *fixture, bool wait)
{
    return fixture_loop_step(&fixture->loop, wait);
}

/* Runs mail until *flag. In the simulated world nothing comes by itself: false when it never will.
 */
static inline bool fixture_until(struct fixture *fixture, const bool *flag)
{
    while (!*flag)
        if (!fixture_step(fixture, !fixture->world.simulated))
            return false;
    return true;
}

static inline void fixture_drop_mail(struct fixture *fixture)
{
    fixture->loop.first = NULL;
    fixture->loop.behind = &fixture->loop.first;
}

static const struct tael_world_ops fixture_world_ops = {.now_ms = fixture_now,
                                                        .mono_us = fixture_mono};
static const struct tael_loop_ops fixture_loop_ops = {.post = fixture_post};

static inline void fixture_loop_init(struct fixture_loop *loop, struct tael_world *world)
{
    *loop = (struct fixture_loop){.base = {&fixture_loop_ops, world}};
    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->arrived, NULL);
    loop->behind = &loop->first;
}

static inline void fixture_loop_end(struct fixture_loop *loop)
{
    pthread_cond_destroy(&loop->arrived);
    pthread_mutex_destroy(&loop->lock);
}

/* ---- a store ---- */

static const char *const fixture_sql[] = {FIXTURE_SQL "items.sql"};
static const char *const fixture_migrations[] = {
    FIXTURE_SQL "migrations/0001_items.sql",
    FIXTURE_SQL "migrations/0002_counters.sql",
};

/* vfs NULL: a folder of its own on the real disk. */
static inline void fixture_init(struct fixture *fixture, bool simulated, const char *vfs)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->world =
        (struct tael_world){.ops = &fixture_world_ops, .vfs = vfs, .simulated = simulated};
    fixture_loop_init(&fixture->loop, &fixture->world);
    atomic_store(&fixture->now_ms, INT64_C(1767225600000)); /* 2026-01-01 */
    if (vfs == NULL) {
        snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/tael_store_XXXXXX");
        fixture_must(mkdtemp(fixture->folder) != NULL, "no temporary folder");
    }
    snprintf(fixture->path, sizeof(fixture->path), "%s/test.db", fixture->folder);
    fixture->options = (struct tael_store_options){
        .world = &fixture->world,
        .path = fixture->path,
        .sql_files = fixture_sql,
        .sql_file_count = 1,
        .migrations = fixture_migrations,
        .migration_count = 2,
        .migrate = true,
        .scope = "merchant",
    };
}

static inline tael_status fixture_open(struct fixture *fixture, tael_error *err)
{
    tael_status rc = tael_store_open(&fixture->store, &fixture->options, err);
    return rc == TAEL_OK ? tael_store_reader_open(&fixture->reader, fixture->store) : rc;
}

static inline void fixture_must_open(struct fixture *fixture)
{
    tael_error err = {0};
    if (fixture_open(fixture, &err) != TAEL_OK)
        fixture_must(false, err.message);
}

static inline void fixture_close(struct fixture *fixture)
{
    if (fixture->store != NULL)
        tael_store_stop(fixture->store);
    while (fixture_step(fixture, false))
        ;
    tael_store_reader_close(fixture->reader);
    tael_store_close(fixture->store);
    fixture->reader = NULL;
    fixture->store = NULL;
}

static inline void fixture_end(struct fixture *fixture)
{
    static const char *const names[] = {"test.db", "test.db-wal", "test.db-shm", "test.db.lock"};
    char path[128];
    fixture_close(fixture);
    for (size_t i = 0; fixture->folder[0] != '\0' && i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", fixture->folder, names[i]);
        unlink(path);
    }
    if (fixture->folder[0] != '\0')
        rmdir(fixture->folder);
    fixture_loop_end(&fixture->loop);
}

/* ---- values by name ---- */

static inline struct tael_value fixture_int(int64_t number)
{
    return (struct tael_value){.kind = TAEL_VALUE_INT, .number = number};
}

static inline struct tael_value fixture_text(const char *text)
{
    return (struct tael_value){.kind = TAEL_VALUE_TEXT, .bytes = tael_span_of(text)};
}

static inline struct tael_value fixture_bytes(const void *data, size_t len)
{
    return (struct tael_value){.kind = TAEL_VALUE_BYTES, .bytes = {data, len}};
}

#define INT(number)      fixture_int(number)
#define TEXT(text)       fixture_text(text)
#define BYTES(data, len) fixture_bytes((data), (len))

static inline void fixture_values(const struct tael_statement *statement,
                                  struct tael_value values[64], va_list args)
{
    size_t count = tael_statement_param_count(statement);
    memset(values, 0, 64 * sizeof(values[0]));
    for (const char *name; (name = va_arg(args, const char *)) != NULL;) {
        struct tael_value value = va_arg(args, struct tael_value);
        size_t i = 0;
        while (i < count && strcmp(tael_statement_param(statement, i), name) != 0)
            i++;
        fixture_must(i < count, name);
        values[i] = value;
    }
}

/* add(unit, "item.take", "item", INT(1), NULL) */
static inline tael_status add(struct tael_unit *unit, struct fixture *fixture, const char *name,
                              ...)
{
    const struct tael_statement *statement = tael_store_statement(fixture->store, name);
    struct tael_value values[64];
    fixture_must(statement != NULL, name);
    va_list args;
    va_start(args, name);
    fixture_values(statement, values, args);
    va_end(args);
    return tael_unit_add(unit, statement, values);
}

static inline struct tael_unit *new_unit(struct fixture *fixture, int64_t scope)
{
    struct tael_unit *unit = NULL;
    fixture_must(tael_unit_new(&unit, fixture->store, scope) == TAEL_OK, "no memory");
    return unit;
}

static inline void fixture_done(struct tael_unit *unit, void *user)
{
    (void)unit;
    *(bool *)user = true;
}

static inline void count_done(struct tael_unit *unit, void *user)
{
    (void)unit;
    ++*(int *)user;
}

/* Submits and waits for the answer. */
static inline const struct tael_unit_outcome *commit(struct fixture *fixture,
                                                     struct tael_unit *unit)
{
    static const struct tael_unit_outcome never = {.status = TAEL_EINTERNAL};
    bool done = false;
    tael_status rc = tael_unit_submit(unit, &fixture->loop.base, fixture_done, &done);
    if (rc != TAEL_OK || !fixture_until(fixture, &done))
        return &never;
    return tael_unit_outcome(unit);
}

static inline tael_status read_rows(struct fixture *fixture, int64_t scope, struct tael_rows **out,
                                    const char *name, ...)
{
    const struct tael_statement *statement = tael_store_statement(fixture->store, name);
    struct tael_value values[64];
    fixture_must(statement != NULL, name);
    va_list args;
    va_start(args, name);
    fixture_values(statement, values, args);
    va_end(args);
    return tael_store_read(fixture->reader, statement, scope, values, out);
}

/* Number of items, or their sum of amounts; -1: the read failed. */
static inline int64_t items(struct fixture *fixture, bool sum)
{
    struct tael_rows *rows = NULL;
    if (read_rows(fixture, 0, &rows, "item.count", (char *)NULL) != TAEL_OK)
        return -1;
    int64_t number = tael_rows_value(rows, 0, sum ? 1 : 0).number;
    tael_rows_free(rows);
    return number;
}

/* Amount of one item; -1: there is none, -2: the read failed. */
static inline int64_t amount_of(struct fixture *fixture, int64_t scope, int64_t item)
{
    struct tael_rows *rows = NULL;
    if (read_rows(fixture, scope, &rows, "item.get", "item", INT(item), (char *)NULL) != TAEL_OK)
        return -2;
    int64_t amount = tael_rows_count(rows) == 1 ? tael_rows_value(rows, 0, 2).number : -1;
    tael_rows_free(rows);
    return amount;
}

static inline bool is(const char *text, const char *want)
{
    return want == NULL ? text == NULL : text != NULL && strcmp(text, want) == 0;
}

static inline int64_t info_of(struct fixture *fixture, int which)
{
    struct tael_store_info info;
    tael_store_info(fixture->store, &info);
    const int64_t numbers[] = {info.schema, info.queued, info.units,
                               info.groups, info.failed, info.healthy};
    return numbers[which];
}
enum { SCHEMA, QUEUED, UNITS, GROUPS, FAILED, HEALTHY };

/* Inserts one item; what came of it. */
static inline tael_status insert(struct fixture *fixture, int64_t scope, int64_t item,
                                 const char *name, int64_t amount)
{
    struct tael_unit *unit = new_unit(fixture, scope);
    add(unit, fixture, "item.insert", "item", INT(item), "name", TEXT(name), "amount", INT(amount),
        "data", BYTES("\0\1", 2), (char *)NULL);
    tael_status status = commit(fixture, unit)->status;
    tael_unit_free(unit);
    return status;
}

/* ---- reads on the reader thread ---- */

struct answer {
    bool done;
    tael_status status;
    struct tael_rows *rows;
};

static inline void take_answer(void *user, tael_status status, struct tael_rows *rows)
{
    *(struct answer *)user = (struct answer){true, status, rows};
}

static inline tael_status read_later(struct fixture *fixture, struct answer *answer, int64_t scope,
                                     const char *name, ...)
{
    const struct tael_statement *statement = tael_store_statement(fixture->store, name);
    struct tael_value values[64];
    va_list args;
    va_start(args, name);
    fixture_values(statement, values, args);
    va_end(args);
    *answer = (struct answer){false, TAEL_OK, NULL};
    return tael_store_read_later(fixture->store, statement, scope, values, &fixture->loop.base,
                                 take_answer, answer);
}

#endif
