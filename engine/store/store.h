/* store.h - units of work on SQLite: named statements with guards, group commit, reads.
 *
 * A unit is a flat list of statements that commits whole or not at all. Units of all workers go to
 * one writer (its own thread; in the simulated world an event on the loop) that commits what has
 * gathered as one group. done is posted to the unit's loop after the group's COMMIT is on the disk,
 * never before. A guard that fails or a constraint that breaks undoes that unit only. Reads see
 * what is committed. tael_store_read runs on the caller's thread with the caller's own
 * tael_store_reader (single rows, short); tael_store_read_later runs on the reader thread (lists).
 *
 * Invariants: 1 nothing is answered before it is durable; 2 after any error the connection's
 * autocommit state decides what is known; 3 one process owns the file (a lock beside it).
 */
#ifndef TAEL_STORE_STORE_H
#define TAEL_STORE_STORE_H

#include "base/log.h"
#include "base/world.h"

struct tael_store;
struct tael_store_reader;
struct tael_statement; /* one named statement; owned by the store, immutable, shared by threads */

struct tael_store_options {
    struct tael_world *world;
    struct tael_log *log;         /* NULL allowed */
    const char *path;             /* database file, or ":memory:" (simulated world or tests only) */
    const char *const *sql_files; /* named statements: paths of .sql files */
    size_t sql_file_count;
    const char *const *migrations; /* migration files in order, named NNNN_*.sql */
    size_t migration_count;
    bool migrate;         /* false: a schema that is behind is TAEL_EVERSION */
    const char *scope;    /* parameter bound from tael_unit.scope ("merchant"); NULL: none */
    size_t group_max;     /* units in one commit; 0: 256 */
    size_t queue_max;     /* units waiting; above: TAEL_EBUSY; 0: 10000 */
    int checkpoint_pages; /* 0: 4000 */
    int cache_kib;        /* of the writer, readers have half; 0: 2048 */
    bool has_lock; /* lock_fd is the owner's lock already, handed over; the store's from then on */
    int lock_fd;
};

/* Takes the lock, opens, checks, migrates, prepares every statement. err names file, line and
 * statement. */
tael_status tael_store_open(struct tael_store **out, const struct tael_store_options *options,
                            tael_error *err);
/* Finishes the queue, posts the answers, joins the threads; later submits are TAEL_ECLOSED.
 * Statements and readers stay valid until close. Idempotent. */
void tael_store_stop(struct tael_store *store);
/* Stops if needed and frees. Before it, readers are closed by their owners and the loops have run
 * or dropped their mail: what is not fetched by then is answered here, on this thread. NULL
 * allowed. */
void tael_store_close(struct tael_store *store);

/* Lets another process write: finishes the queue, posts the answers, joins the threads and closes
 * the writer's connection; submits are TAEL_ECLOSED. The lock stays with us until whoever it is
 * handed to has it, too. Readers are closed by tael_store_reader_rest. Real world only. */
void tael_store_pause(struct tael_store *store);
/* Takes the file up again; what another has written meanwhile is seen. On failure it stays paused.
 */
tael_status tael_store_resume(struct tael_store *store, tael_error *err);
/* The descriptor of the owner's lock, the store's; -1: it has none. */
int tael_store_lock(const struct tael_store *store);

const struct tael_statement *tael_store_statement(const struct tael_store *store, const char *name);
const char *tael_statement_name(const struct tael_statement *statement);
bool tael_statement_reads(const struct tael_statement *statement); /* "-- read" */
bool tael_statement_lists(
    const struct tael_statement *statement); /* "-- read list": reader thread */
bool tael_statement_operator(const struct tael_statement *statement); /* may run without scope */
size_t tael_statement_param_count(const struct tael_statement *statement);
/* Name without ':'. Parameters seq_* are stamped by the writer; the scope parameter by the unit. */
const char *tael_statement_param(const struct tael_statement *statement, size_t idx);
bool tael_statement_param_bytes(const struct tael_statement *statement,
                                size_t idx); /* "-- bytes:" */
bool tael_statement_param_given(const struct tael_statement *statement,
                                size_t idx); /* not seq/scope */

enum tael_value_kind { TAEL_VALUE_NULL, TAEL_VALUE_INT, TAEL_VALUE_TEXT, TAEL_VALUE_BYTES };
struct tael_value {
    enum tael_value_kind kind;
    int64_t number;
    struct tael_span bytes; /* TEXT, BYTES */
};

/* ---- units: built on a loop, submitted once, then the store's until done, then the caller's again
 * ---- */

struct tael_unit;
struct tael_unit_outcome { /* valid until tael_unit_free */
    tael_status
        status; /* OK; ENOTFOUND: a guard failed; EINVAL: a constraint broke; ESTORE, ELIMIT … */
    const char *statement;  /* that failed; NULL */
    const char *otherwise;  /* the guard's word; NULL */
    const char *constraint; /* "UNIQUE attempts.account, attempts.trade_no"; NULL */
};

tael_status tael_unit_new(struct tael_unit **out, struct tael_store *store, int64_t scope);
/* Values are copied; one per parameter, in the statement's order; those not given are ignored. A
 * unit of scope 0 takes operators' statements alone, and the scope parameter of one from values (an
 * INT). TAEL_EINVAL: a read, a scope that is missing, text that is not UTF-8; ELIMIT: too large. */
tael_status tael_unit_add(struct tael_unit *unit, const struct tael_statement *statement,
                          const struct tael_value *values);
/* Others like it are about to be submitted on its loop: it may wait some turns for them, and some
 * milliseconds. */
void tael_unit_let_wait(struct tael_unit *unit);
/* loop runs no mail any more when the store is closed. TAEL_EBUSY: queue full; ECLOSED, ENOMEM.
 * Otherwise done(unit, user) comes on loop exactly once. */
tael_status tael_unit_submit(struct tael_unit *unit, struct tael_loop *loop,
                             void (*done)(struct tael_unit *unit, void *user), void *user);
const struct tael_unit_outcome *tael_unit_outcome(const struct tael_unit *unit);
/* Value stamped for "seq_event" …; 0 when the unit has none of that name. */
int64_t tael_unit_stamp(const struct tael_unit *unit, const char *name);
const struct tael_rows *tael_unit_rows(const struct tael_unit *unit,
                                       size_t idx); /* RETURNING; NULL: none */
void tael_unit_free(struct tael_unit *unit);        /* not while submitted; NULL allowed */

/* ---- rows ---- */

struct tael_rows; /* a table of copied values */
size_t tael_rows_count(const struct tael_rows *rows);
size_t tael_rows_columns(const struct tael_rows *rows);
const char *tael_rows_name(const struct tael_rows *rows, size_t column);
struct tael_span tael_rows_names(const struct tael_rows *rows); /* all, each with its NUL */
struct tael_value tael_rows_value(const struct tael_rows *rows, size_t row, size_t column);
void tael_rows_free(struct tael_rows *rows); /* NULL allowed */

/* ---- reads ---- */

/* One per thread that reads on its own; opened and used on that thread. */
tael_status tael_store_reader_open(struct tael_store_reader **out, struct tael_store *store);
void tael_store_reader_close(struct tael_store_reader *reader); /* NULL allowed */
/* Closes its connection until the next read. While its thread does not run. NULL allowed. */
void tael_store_reader_rest(struct tael_store_reader *reader);
/* At most 1000 rows: more is TAEL_ELIMIT. */
tael_status tael_store_read(struct tael_store_reader *reader,
                            const struct tael_statement *statement, int64_t scope,
                            const struct tael_value *values, struct tael_rows **out);
/* On the reader thread; done comes on loop exactly once, rows NULL on failure; rows are the
 * callee's. */
tael_status
tael_store_read_later(struct tael_store *store, const struct tael_statement *statement,
                      int64_t scope, const struct tael_value *values, struct tael_loop *loop,
                      void (*done)(void *user, tael_status status, struct tael_rows *rows),
                      void *user);

/* ---- checks ---- */

struct tael_store_info {
    int64_t schema;                /* number of the newest migration applied */
    int64_t queued;                /* units waiting */
    int64_t units, groups, failed; /* since open: answered; committed; units lost to the disk */
    bool healthy;                  /* what was written last was stored */
    const char *trouble;           /* why it was not: "the disk is full"; NULL while healthy */
};
void tael_store_info(struct tael_store *store, struct tael_store_info *out); /* [any] */

/* Ids: (ms since 2020-01-01 UTC) << 22 | 22 bits; strictly rising in a store, above all that it
 * holds. [any] */
int64_t tael_store_next_id(struct tael_store *store);
int64_t tael_store_id_ms(int64_t id); /* ms since 1970 UTC that id was made at [any] */

#endif
