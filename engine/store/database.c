/* database.c - one SQLite connection: how it is set up, its prepared statements, what its errors
 * mean.
 *
 * Owner: a struct tael_db belongs to the store's writer, or to a reader, and is used by one thread
 * at a time. 1 A statement is prepared once; a reader's when it is first
 * asked for: the writer has checked it at the start. 2 A handle that has seen an error of the disk
 * is closed and opened again before it is used (broken). 3 A file that another program made is not
 * touched. 4 The SQL in this file and in migrate.c is the store's own bookkeeping; everything else
 * comes from .sql files.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/inner.h"

enum {
    BUSY_MS = 5000,              /* only strangers to the store can hold a lock */
    READERS_MS = 250,            /* and who only reads is waited for so long */
    WAL_KEPT = 64 * 1024 * 1024, /* bytes of the log's file that stay after a checkpoint */
    SETTLE_PIECE = 64 * 1024,
};

static const char *const controls[TAEL_CONTROLS] = {
    [TAEL_CONTROL_BEGIN] = "BEGIN IMMEDIATE",
    [TAEL_CONTROL_COMMIT] = "COMMIT",
    [TAEL_CONTROL_ROLLBACK] = "ROLLBACK",
    [TAEL_CONTROL_SAVE] = "SAVEPOINT unit",
    [TAEL_CONTROL_RELEASE] = "RELEASE unit",
    [TAEL_CONTROL_BACK] = "ROLLBACK TO unit",
    [TAEL_CONTROL_MARK] = "UPDATE store_mark SET mark = :mark WHERE id = 1",
    [TAEL_CONTROL_MARKED] = "SELECT mark FROM store_mark WHERE id = 1",
};

/* ---- errors ---- */

int tael_db_saw(struct tael_db *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        db->broken = true;
        db->why = errno; /* SQLite keeps it for itself when a COMMIT fails */
        break;
    default:
        break;
    }
    return code;
}

const char *tael_db_trouble(const struct tael_db *db)
{
    int code = db->handle != NULL ? sqlite3_extended_errcode(db->handle) : SQLITE_CANTOPEN;
    int why = db->why;
    if (tael_db_status(code) == TAEL_ENOMEM)
        return "there is no memory left";
    bool said = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
    if ((code & 0xff) == SQLITE_FULL || (said && (why == ENOSPC || why == EDQUOT || why == EFBIG)))
        return "the disk is full";
    if ((code & 0xff) == SQLITE_READONLY || (said && why == EROFS))
        return "the disk is read-only";
    if ((code & 0xff) == SQLITE_BUSY)
        return "another program writes to the file";
    return "the disk answers with errors";
}

tael_status tael_db_status(int code)
{
    return (code & 0xff) == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM ? TAEL_ENOMEM : TAEL_ESTORE;
}

static tael_status db_failed(struct tael_db *db, struct tael_store *store, int code,
                             tael_error *err)
{
    const char *why = db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
    return tael_store_fail(err, tael_db_status(code), "store_database", "%s: %s", store->path, why);
}

/* The same where the store is not at hand: a database in memory has no name. */
static tael_status statement_failed(struct tael_db *db, int code, const char *why, tael_error *err)
{
    const char *file = sqlite3_db_filename(db->handle, "main");
    bool named = file != NULL && *file != '\0';
    return tael_store_fail(err, tael_db_status(code), "store_database", "%s%s%s", named ? file : "",
                           named ? ": " : "", why);
}

/* ---- small statements ---- */

tael_status tael_db_exec(struct tael_db *db, const char *sql, tael_error *err)
{
    int code = tael_db_saw(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
    if (code == SQLITE_OK)
        return TAEL_OK;
    return statement_failed(db, code, sqlite3_errmsg(db->handle), err);
}

tael_status tael_db_number(struct tael_db *db, const char *sql, int64_t *out, tael_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    if (code == SQLITE_ROW)
        return TAEL_OK;
    tael_db_saw(db, code);
    return statement_failed(
        db, code, code == SQLITE_DONE ? "a row is missing" : sqlite3_errmsg(db->handle), err);
}

int tael_db_control(struct tael_db *db, enum tael_control control)
{
    sqlite3_stmt *stmt = db->controls[control];
    int code = sqlite3_step(stmt);
    tael_db_saw(db, code); /* before the reset may change errno */
    sqlite3_reset(stmt);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int tael_db_mark_set(struct tael_db *db, int64_t mark)
{
    int code = sqlite3_bind_int64(db->controls[TAEL_CONTROL_MARK], 1, mark);
    if (code == SQLITE_OK)
        code = tael_db_control(db, TAEL_CONTROL_MARK);
    if (code == SQLITE_OK && sqlite3_changes(db->handle) != 1)
        code = SQLITE_CORRUPT;
    return tael_db_saw(db, code);
}

tael_status tael_db_mark_get(struct tael_db *db, int64_t *mark)
{
    sqlite3_stmt *stmt = db->controls[TAEL_CONTROL_MARKED];
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        *mark = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    tael_db_saw(db, code == SQLITE_DONE ? SQLITE_CORRUPT : code);
    return code == SQLITE_ROW ? TAEL_OK : TAEL_ESTORE;
}

int tael_db_bind(sqlite3_stmt *stmt, int place, const struct tael_value *value)
{
    const char *data = value->bytes.len > 0 ? value->bytes.data : "";
    switch (value->kind) {
    case TAEL_VALUE_NULL:
        return sqlite3_bind_null(stmt, place);
    case TAEL_VALUE_INT:
        return sqlite3_bind_int64(stmt, place, value->number);
    case TAEL_VALUE_TEXT:
        return sqlite3_bind_text64(stmt, place, data, value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    case TAEL_VALUE_BYTES:
        return sqlite3_bind_blob64(stmt, place, data, value->bytes.len, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

/* ---- opening ---- */

/* SQLite would make it readable for others. One that is there is not opened: closing it again would
 * drop all locks that this process, another connection, has on it. */
static tael_status make_file(struct tael_store *store, tael_error *err)
{
    if (store->memory || store->world->vfs != NULL)
        return TAEL_OK;
    struct stat about;
    bool good = stat(store->path, &about) == 0;
    if (!good && errno == ENOENT) {
        int fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
        good = fd >= 0 && fstat(fd, &about) == 0;
        int why = errno;
        if (fd >= 0)
            close(fd);
        errno = why;
    }
    if (!good)
        return tael_store_fail(err, TAEL_ESTORE, "store_file", "%s: %s", store->path,
                               strerror(errno));
    if (!S_ISREG(about.st_mode))
        return tael_store_fail(err, TAEL_ESTORE, "store_file", "%s: not a file of ours",
                               store->path);
    if ((about.st_mode & 077) != 0 && chmod(store->path, about.st_mode & 0700) != 0)
        return tael_store_fail(err, TAEL_ESTORE, "store_file", "%s: %s", store->path,
                               strerror(errno));
    return TAEL_OK;
}

static tael_status open_handle(struct tael_db *db, struct tael_store *store, int flags,
                               int cache_kib, tael_error *err)
{
    const char *name = store->memory ? ":memory:" : store->path;
    *db = (struct tael_db){0};
    int code =
        sqlite3_open_v2(name, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                        store->disk != NULL ? tael_vfs_log_name(store->disk) : store->world->vfs);
    if (code != SQLITE_OK)
        return db_failed(db, store, code, err);
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* Where no other connection is, the log's index needs no shared memory: said before all else.
     */
    char *sql = sqlite3_mprintf("PRAGMA locking_mode = %s; PRAGMA temp_store = MEMORY;"
                                "PRAGMA cache_size = -%d;",
                                store->shared ? "EXCLUSIVE" : "NORMAL", cache_kib);
    tael_status rc = sql != NULL ? tael_db_exec(db, sql, err) : TAEL_ENOMEM;
    sqlite3_free(sql);
    return rc;
}

/* A file that another program made is not touched. */
static tael_status check_owner(struct tael_db *db, struct tael_store *store, tael_error *err)
{
    int64_t application = 0, objects = 0;
    tael_status rc = tael_db_number(db, "PRAGMA application_id", &application, err);
    if (rc == TAEL_OK)
        rc = tael_db_number(db, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc != TAEL_OK)
        return db_failed(db, store, sqlite3_extended_errcode(db->handle), err);
    if (application == TAEL_APPLICATION_ID || (application == 0 && objects == 0))
        return TAEL_OK;
    return tael_store_fail(err, TAEL_ESTORE, "store_foreign",
                           "%s: a database that another program made", store->path);
}

static int count_frames(void *user, sqlite3 *handle, const char *name, int frames)
{
    struct tael_db *db = user;
    (void)handle, (void)name;
    db->frames = frames;
    return SQLITE_OK;
}

static tael_status check_wal(struct tael_db *db, struct tael_store *store, tael_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    const char *mode = code == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    bool good = mode != NULL && (store->memory || strcmp(mode, "wal") == 0);
    sqlite3_finalize(stmt);
    if (good)
        return TAEL_OK;
    tael_db_saw(db, code);
    if (code != SQLITE_ROW)
        return db_failed(db, store, code, err);
    return tael_store_fail(err, TAEL_ESTORE, "store_database",
                           "%s: this place does not allow a write-ahead log", store->path);
}

tael_status tael_db_open(struct tael_db *db, struct tael_store *store, tael_error *err)
{
    *db = (struct tael_db){0};
    tael_status rc = make_file(store, err);
    if (rc == TAEL_OK)
        rc = open_handle(db, store, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, store->cache_kib,
                         err);
    if (rc == TAEL_OK)
        rc = check_owner(db, store, err);
    /* FULL, and the folder is synced when a rollback journal is deleted: the switch to the log uses
     * one, and if it came back after a power loss it would undo the switch and lose the log. */
    if (rc == TAEL_OK)
        rc = tael_db_exec(db, "PRAGMA synchronous = EXTRA; PRAGMA secure_delete = FAST;", err);
    if (rc == TAEL_OK)
        rc = check_wal(db, store, err);
    if (rc == TAEL_OK) {
        char *sql = sqlite3_mprintf("PRAGMA journal_size_limit = %d", WAL_KEPT);
        rc = sql != NULL ? tael_db_exec(db, sql, err) : TAEL_ENOMEM;
        sqlite3_free(sql);
    }
    if (rc == TAEL_OK)
        sqlite3_wal_hook(db->handle, count_frames, db); /* checkpoints are the writer's */
    else
        tael_db_close(db);
    return rc;
}

static tael_status prepare(struct tael_db *db, const struct tael_statement *statement,
                           tael_error *err)
{
    sqlite3_stmt **stmt = &db->stmts[statement->idx];
    const char *tail = NULL;
    const char *wrong = NULL;
    int code =
        sqlite3_prepare_v3(db->handle, statement->text, -1, SQLITE_PREPARE_PERSISTENT, stmt, &tail);
    if (code != SQLITE_OK) {
        tael_db_saw(db, code);
        wrong = sqlite3_errmsg(db->handle);
    } else if (*stmt == NULL || *tail != '\0') {
        wrong = "not one statement";
    } else if ((sqlite3_stmt_readonly(*stmt) != 0) != (statement->kind != TAEL_SQL_WRITE)) {
        wrong = "it reads where it should write, or the other way round";
    } else if (sqlite3_bind_parameter_count(*stmt) != (int)statement->param_count) {
        wrong = "its parameters are not understood";
    } else if (statement->kind == TAEL_SQL_WRITE &&
               (sqlite3_column_count(*stmt) > 0) != statement->returning) {
        wrong = "its RETURNING is not understood";
    }
    if (wrong == NULL)
        return TAEL_OK;
    if (code != SQLITE_OK && code != SQLITE_ERROR) /* of the file, not of the text */
        return statement_failed(db, code, wrong, err);
    return tael_store_fail(err, TAEL_ECONFIG, "store_sql", "%s:%d: %s: %s", statement->file,
                           statement->line, statement->name, wrong);
}

static tael_status make_room(struct tael_db *db, const struct tael_store *store)
{
    db->count = tael_sql_count(store->sql);
    db->stmts = calloc(db->count + 1, sizeof(sqlite3_stmt *));
    db->empty = calloc(db->count + 1, sizeof(struct tael_rows *));
    return db->stmts != NULL && db->empty != NULL ? TAEL_OK : TAEL_ENOMEM;
}

/* Does the database lack a table that a migration has made? Then the file was changed from outside;
 * any other table that is missing is a statement's mistake. */
static bool lost_a_table(struct tael_db *db, const struct tael_store *store)
{
    static const char said[] = "no such table: ";
    const char *wrong = sqlite3_errmsg(db->handle);
    char made[128];
    if (strncmp(wrong, said, sizeof(said) - 1) != 0)
        return false;
    int len = snprintf(made, sizeof(made), "CREATE TABLE %s (", wrong + sizeof(said) - 1);
    for (size_t i = 0; len < (int)sizeof(made) && i < store->migration_count; i++) {
        if (strstr(store->migrations[i].text, made) != NULL)
            return true;
    }
    return false;
}

/* Where readers have connections of their own, this one keeps no reads: it only has them checked.
 */
static tael_status prepare_all(struct tael_db *db, struct tael_store *store, tael_error *err)
{
    tael_status rc = make_room(db, store);
    for (size_t i = 0; rc == TAEL_OK && i < db->count; i++) {
        const struct tael_statement *statement = tael_sql_at(store->sql, i);
        rc = prepare(db, statement, err);
        if (rc == TAEL_ECONFIG && lost_a_table(db, store))
            rc = tael_store_fail(err, TAEL_ESTORE, "store_damaged", "%s: %s", store->path,
                                 sqlite3_errmsg(db->handle));
        if (rc == TAEL_OK && !store->shared && statement->kind != TAEL_SQL_WRITE) {
            sqlite3_finalize(db->stmts[i]);
            db->stmts[i] = NULL;
        }
    }
    return rc;
}

tael_status tael_db_statement(struct tael_db *db, const struct tael_statement *statement,
                              sqlite3_stmt **out, tael_error *err)
{
    tael_status rc = TAEL_OK;
    if (db->stmts[statement->idx] == NULL)
        rc = prepare(db, statement, err);
    *out = db->stmts[statement->idx];
    return rc;
}

tael_status tael_db_rows(struct tael_db *db, const struct tael_statement *statement,
                         sqlite3_stmt *stmt, struct tael_rows **out)
{
    struct tael_rows **empty = &db->empty[statement->idx];
    size_t columns = (size_t)sqlite3_column_count(stmt);
    if (*empty != NULL && tael_rows_columns(*empty) != columns) { /* another schema by now */
        tael_rows_free(*empty);
        *empty = NULL;
    }
    tael_status rc = *empty == NULL ? tael_rows_new(empty, stmt) : TAEL_OK;
    return rc == TAEL_OK ? tael_rows_like(out, *empty) : rc;
}

tael_status tael_db_prepare(struct tael_db *db, struct tael_store *store, tael_error *err)
{
    for (size_t i = 0; i < TAEL_CONTROLS; i++) {
        int code = sqlite3_prepare_v3(db->handle, controls[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &db->controls[i], NULL);
        if (code != SQLITE_OK)
            return db_failed(db, store, tael_db_saw(db, code), err);
    }
    return prepare_all(db, store, err);
}

tael_status tael_db_open_reader(struct tael_db *db, struct tael_store *store, tael_error *err)
{
    tael_status rc = open_handle(db, store, SQLITE_OPEN_READWRITE, store->cache_kib / 2, err);
    if (rc == TAEL_OK)
        rc = tael_db_exec(db, "PRAGMA query_only = 1", err);
    if (rc == TAEL_OK)
        rc = make_room(db, store);
    if (rc != TAEL_OK)
        tael_db_close(db);
    return rc;
}

/* ---- closing ---- */

void tael_db_close(struct tael_db *db)
{
    for (size_t i = 0; i < TAEL_CONTROLS; i++)
        sqlite3_finalize(db->controls[i]);
    for (size_t i = 0; db->stmts != NULL && i < db->count; i++)
        sqlite3_finalize(db->stmts[i]);
    for (size_t i = 0; db->empty != NULL && i < db->count; i++)
        tael_rows_free(db->empty[i]);
    free(db->stmts);
    free(db->empty);
    sqlite3_close(db->handle);
    *db = (struct tael_db){0};
}

void tael_db_abandon(struct tael_db *db)
{
    if (db->handle != NULL)
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    tael_db_close(db);
}

/* ---- settling ---- */

static int rewrite_file(sqlite3_file *file, char *piece)
{
    sqlite3_int64 size = 0;
    int code = file->pMethods->xFileSize(file, &size);
    for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += SETTLE_PIECE) {
        int len = size - at < SETTLE_PIECE ? (int)(size - at) : SETTLE_PIECE;
        code = file->pMethods->xRead(file, piece, len, at);
        if (code == SQLITE_OK)
            code = file->pMethods->xWrite(file, piece, len, at);
    }
    return code == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : code;
}

int tael_db_checkpoint(struct tael_db *db, int mode)
{
    sqlite3_busy_timeout(db->handle, READERS_MS);
    int code = sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, NULL, NULL);
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    return code;
}

/* After a failed sync the system may take pages for written that are not: a second sync alone would
 * succeed and mean nothing. Bytes that are written again are synced again. */
tael_status tael_db_settle(struct tael_db *db, tael_error *err)
{
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (code == SQLITE_OK && file != NULL && file->pMethods != NULL) {
        char *piece = malloc(SETTLE_PIECE);
        if (piece == NULL)
            return TAEL_ENOMEM;
        code = rewrite_file(file, piece);
        free(piece);
    }
    tael_db_saw(db, code);
    if (code == SQLITE_OK)
        return TAEL_OK;
    return tael_store_fail(err, tael_db_status(code), "store_log", "the log cannot be written: %s",
                           sqlite3_errstr(code));
}
