/* inner.h - what the store's files share; nobody else includes it.
 *
 *   store.c     life of a store: lock, open, stop, close; ids; info
 *   database.c  one SQLite connection: settings, prepared statements, durability of what it shows
 *   migrate.c   whose file it is and which schema it has
 *   unit.c      units: built by their owners, run step by step on a connection
 *   writer.c    the queue, groups, what happens when one is lost
 *   reader.c    reads, inline and on the reader thread
 *   rows.c      copied result tables
 */
#ifndef TAEL_STORE_INNER_H
#define TAEL_STORE_INNER_H

#include <stdatomic.h>
#include <stddef.h>

#include <pthread.h>

#include <sqlite3.h>

#include "base/thread.h"
#include "store/sql.h"
#include "store/store.h"
#include "store/text.h"
#include "store/vfs_log.h"

/* ---- database.c ---- */

/* Marks a file as one of ours, in SQLite's header: "Tael". */
#define TAEL_APPLICATION_ID      1415669100
#define TAEL_APPLICATION_ID_TEXT "1415669100"

enum tael_control { /* the statements that are the store's own */
                    TAEL_CONTROL_BEGIN,
                    TAEL_CONTROL_COMMIT,
                    TAEL_CONTROL_ROLLBACK,
                    TAEL_CONTROL_SAVE, /* a savepoint around one unit */
                    TAEL_CONTROL_RELEASE,
                    TAEL_CONTROL_BACK,   /* to the savepoint, which stays */
                    TAEL_CONTROL_MARK,   /* leaves the group's mark */
                    TAEL_CONTROL_MARKED, /* reads the last one */
                    TAEL_CONTROLS,
};

/* A connection; used by one thread at a time. */
struct tael_db {
    sqlite3 *handle;          /* NULL: not open */
    sqlite3_stmt **stmts;     /* by statement's idx; NULL: not prepared on this connection */
    struct tael_rows **empty; /* their tables without rows; NULL: not needed yet */
    size_t count;
    sqlite3_stmt *controls[TAEL_CONTROLS]; /* the writer's alone */
    int frames;                            /* in the write-ahead log after the last commit */
    bool broken; /* an error of the disk was seen: the handle is not trusted any more */
    int why;     /* errno of that error */
};

/* The writer's connection; the file is made when missing. Settings, but no statements yet. */
tael_status tael_db_open(struct tael_db *db, struct tael_store *store, tael_error *err);
/* A connection that only reads. */
tael_status tael_db_open_reader(struct tael_db *db, struct tael_store *store, tael_error *err);
/* A statement of the connection, prepared if it is not yet. */
tael_status tael_db_statement(struct tael_db *db, const struct tael_statement *statement,
                              sqlite3_stmt **out, tael_error *err);
/* An empty table for what the statement, prepared as stmt, gives. */
tael_status tael_db_rows(struct tael_db *db, const struct tael_statement *statement,
                         sqlite3_stmt *stmt, struct tael_rows **out);
/* Prepares controls and every statement of the set; keeps those that it may have to run. */
tael_status tael_db_prepare(struct tael_db *db, struct tael_store *store, tael_error *err);
void tael_db_close(struct tael_db *db); /* {0} allowed */
/* Closes without touching the files further. */
void tael_db_abandon(struct tael_db *db);
/* SQLite's code; the statement is reset. */
int tael_db_control(struct tael_db *db, enum tael_control control);
tael_status tael_db_mark_get(struct tael_db *db, int64_t *mark);
int tael_db_mark_set(struct tael_db *db, int64_t mark);
/* Writes and syncs the write-ahead log again as it reads now: what is seen in it is on the disk
 * then. */
tael_status tael_db_settle(struct tael_db *db, tael_error *err);
/* SQLite's code; SQLITE_BUSY: somebody reads for long, and nobody has waited for him for long. */
int tael_db_checkpoint(struct tael_db *db, int mode);
tael_status tael_db_status(int code); /* of a failure: TAEL_ENOMEM or TAEL_ESTORE */
/* What the connection's last error says of the disk, in words for its operator; static text. */
const char *tael_db_trouble(const struct tael_db *db);
/* Remembers what an error says of the handle; returns code. */
int tael_db_saw(struct tael_db *db, int code);
int tael_db_bind(sqlite3_stmt *stmt, int place, const struct tael_value *value);
tael_status tael_db_exec(struct tael_db *db, const char *sql, tael_error *err);
tael_status tael_db_number(struct tael_db *db, const char *sql, int64_t *out, tael_error *err);

/* ---- migrate.c ---- */

tael_status tael_store_migrate(struct tael_store *store, tael_error *err);

/* ---- unit.c ---- */

struct tael_step {
    struct tael_step *next;
    const struct tael_statement *statement;
    struct tael_value
        *values; /* one per parameter; of a stamped one, number is the stamp's place */
    struct tael_rows *rows;
};

struct tael_stamp {
    const char *name; /* the statement's */
    int64_t value;
};

enum {
    TAEL_UNIT_STAMPS_MAX = 16,
    TAEL_UNIT_STEPS_MAX = 1000,
    TAEL_UNIT_BYTES_MAX = 16 * 1024 * 1024,
};

struct tael_chunk {
    struct tael_chunk *next;
    size_t len, cap;
    _Alignas(max_align_t) char data[];
};

struct tael_unit {
    struct tael_mail mail; /* brings the answer to loop */
    struct tael_store *store;
    int64_t scope;
    struct tael_step *first, **behind;
    size_t steps, bytes;
    struct tael_stamp stamps[TAEL_UNIT_STAMPS_MAX];
    size_t stamp_count;
    struct tael_unit_outcome outcome;
    char constraint[256];
    bool submitted, patient;
    struct tael_loop *loop;
    void (*done)(struct tael_unit *unit, void *user);
    void *user;
    struct tael_unit *next;                   /* in the queue, then in the group */
    struct tael_unit *open_next, **open_link; /* submitted and not yet done */
    struct tael_chunk *chunks;                /* values that found no room in space */
    size_t space_len;
    _Alignas(max_align_t) char space[1536];
};

enum tael_verdict {
    TAEL_UNIT_DONE,
    TAEL_UNIT_REFUSED, /* by guard or constraint, before it wrote anything */
    TAEL_UNIT_UNDO,    /* the same, but it has written: to be undone */
    TAEL_UNIT_LOST,    /* the transaction cannot go on */
};

/* Runs the unit's statements inside the open transaction and sets its outcome. */
enum tael_verdict tael_unit_run(struct tael_unit *unit, struct tael_db *db);
/* Checks one statement's values; values with bytes are not copied. */
tael_status tael_values_check(const struct tael_statement *statement, int64_t scope,
                              const struct tael_value *values);
void tael_unit_fail(struct tael_unit *unit, tael_status status);

/* ---- rows.c ---- */

enum { TAEL_ROWS_MAX = 1000, TAEL_ROWS_BYTES_MAX = 16 * 1024 * 1024 };

/* An empty table with the columns of stmt; rows are added while stmt stands on one. */
tael_status tael_rows_new(struct tael_rows **out, sqlite3_stmt *stmt);
/* An empty table with the same columns. */
tael_status tael_rows_like(struct tael_rows **out, const struct tael_rows *empty);
tael_status tael_rows_add(struct tael_rows *rows, sqlite3_stmt *stmt);

/* ---- reader.c ---- */

struct tael_read; /* a read on its way */

struct tael_store_reader {
    struct tael_store *store;
    struct tael_db db; /* not open when the store's own connection serves */
};

tael_status tael_reader_start(struct tael_store *store);
void tael_reader_finish(struct tael_store *store); /* the queue is read, the thread has ended */
void tael_reader_drop(struct tael_store *store);   /* answers that nobody fetched */

/* ---- writer.c ---- */

/* The end of a loop's turn in which units were submitted: now the writer is called. */
struct tael_turn {
    struct tael_mail mail; /* first */
    struct tael_store *store;
    struct tael_loop *loop;
    bool posted;
    int waits;        /* turns that its units may still let pass; 0: due at the end of this one */
    int64_t since_us; /* when they began to */
    struct tael_turn *next;
};

/* A connection that can be used, opened anew if need be; under db_lock. What it shows is on the
 * disk then. TAEL_ESTORE, TAEL_ENOMEM: none is to be had now. */
tael_status tael_writer_mend(struct tael_store *store);
tael_status tael_writer_start(struct tael_store *store);
void tael_writer_finish(struct tael_store *store);
void tael_writer_drop(struct tael_store *store);

/* ---- copier.c ---- */

enum tael_copy { TAEL_COPY_IDLE, TAEL_COPY_WANTED, TAEL_COPY_DONE };

tael_status tael_copier_start(struct tael_store *store); /* before the writer */
void tael_copier_finish(struct tael_store *store);       /* the store is stopping */
/* Has what the log held been copied? Asks for it otherwise; an answer of true counts once. */
bool tael_copier_has_copied(struct tael_store *store);

/* ---- store.c ---- */

struct tael_store {
    struct tael_world *world;
    struct tael_log *log;
    char *path;
    int lock_fd; /* -1: none */
    struct tael_sql *sql;
    struct tael_migration *migrations;
    size_t migration_count;
    bool migrate;
    size_t group_max, queue_max;
    int checkpoint_pages, cache_kib;
    struct tael_vfs_log *disk; /* over the world's; NULL: memory */
    bool memory;               /* no file at all */
    bool shared;               /* db serves reads too: under db_lock */
    bool threaded;             /* false: the simulated world, everything on the caller's loop */
    int64_t schema;            /* set at open */
    _Atomic int64_t last_id;

    pthread_mutex_t db_lock; /* held while db is used; taken before lock, never inside it */
    struct tael_db db;       /* the writer's */
    int full_at;             /* frames of the log at which readers are waited for again */
    const char *told;        /* trouble that the log was told of, until it ends; the writer's */
    bool told_closed;        /* and that the file could not be opened again */

    pthread_mutex_t copy_lock; /* held while the log is copied, or opened anew; never inside lock */

    pthread_mutex_t lock;    /* guards all below */
    pthread_cond_t work;     /* for the writer */
    pthread_cond_t reads;    /* for the reader */
    pthread_cond_t log_long; /* for the copier */
    enum tael_copy copy;
    bool stopping;
    struct tael_unit *first, **behind; /* queue */
    size_t queued;
    struct tael_unit *open;  /* all units submitted and not yet done */
    struct tael_turn *turns; /* one a loop that has submitted */
    bool due;                /* the writer takes what is in the queue */
    int64_t units, groups, failed;
    const char *trouble; /* why units were lost; NULL: what was written last was stored */
    struct tael_read *read_first, **read_behind;
    size_t reads_queued;
    struct tael_read *reads_open;

    struct tael_thread writer, reader, copier;
};

#endif
