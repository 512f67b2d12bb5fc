/* reader.c - reads: inline on the caller's connection, or later on the reader thread.
 *
 * Owner: a tael_store_reader belongs to the thread that opened it; a read on its way belongs to the
 * store until done. Where one connection serves all (simulated world, no file), it is used under
 * db_lock, so that a read never sees a transaction that is not committed. 1 A statement is reset
 * before the call returns: no read holds a snapshot while nobody looks. 2 done is called exactly
 * once for every read that was accepted, at close if not before.
 */
#include <stdlib.h>
#include <string.h>

#include "store/inner.h"

struct tael_read {
    struct tael_mail mail; /* brings the answer, or the read itself, to loop */
    struct tael_store *store;
    const struct tael_statement *statement;
    int64_t scope;
    struct tael_value *values;
    struct tael_loop *loop;
    void (*done)(void *user, tael_status status, struct tael_rows *rows);
    void *user;
    tael_status status;
    struct tael_rows *rows;
    struct tael_read *next;
    struct tael_read *open_next, **open_link;
};

/* ---- one read ---- */

static int read_bind(sqlite3_stmt *stmt, const struct tael_statement *statement, int64_t scope,
                     const struct tael_value *values)
{
    const struct tael_value tenant = {.kind = TAEL_VALUE_INT, .number = scope};
    int code = SQLITE_OK;
    for (size_t i = 0; code == SQLITE_OK && i < statement->param_count; i++) {
        bool bound = statement->params[i].kind == TAEL_PARAM_SCOPE && scope != 0;
        code = tael_db_bind(stmt, (int)i + 1, bound ? &tenant : &values[i]);
    }
    return code;
}

static tael_status read_failed(struct tael_db *db, const struct tael_store *store,
                               const struct tael_statement *statement, int code)
{
    tael_db_saw(db, code);
    TAEL_LOG(store->log, TAEL_LOG_ERROR, "store.read_failed",
             tael_log_text("statement", statement->name),
             tael_log_text("message", sqlite3_errmsg(db->handle)));
    return tael_db_status(code);
}

static tael_status read_run(struct tael_db *db, const struct tael_store *store,
                            const struct tael_statement *statement, int64_t scope,
                            const struct tael_value *values, struct tael_rows **out)
{
    sqlite3_stmt *stmt = NULL;
    struct tael_rows *rows = NULL;
    tael_status rc = tael_db_statement(db, statement, &stmt, NULL);
    if (rc != TAEL_OK)
        return read_failed(db, store, statement, sqlite3_extended_errcode(db->handle));
    int code = read_bind(stmt, statement, scope, values);
    if (code == SQLITE_OK)
        rc = tael_db_rows(db, statement, stmt, &rows);
    while (code == SQLITE_OK && rc == TAEL_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = tael_rows_add(rows, stmt);
        code = SQLITE_OK;
    }
    if (rc == TAEL_OK && code != SQLITE_DONE)
        rc = read_failed(db, store, statement, code);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (rc == TAEL_OK)
        *out = rows;
    else
        tael_rows_free(rows);
    return rc;
}

static tael_status read_own(struct tael_store_reader *reader,
                            const struct tael_statement *statement, int64_t scope,
                            const struct tael_value *values, struct tael_rows **out)
{
    struct tael_store *store = reader->store;
    tael_error err = {0};
    if (reader->db.broken)
        tael_db_close(&reader->db);
    if (reader->db.handle == NULL) {
        tael_status rc = tael_db_open_reader(&reader->db, store, &err);
        if (rc != TAEL_OK) {
            TAEL_LOG(store->log, TAEL_LOG_ERROR, "store.not_reopened",
                     tael_log_text("path", store->path), tael_log_text("message", err.message));
            return TAEL_ESTORE;
        }
    }
    return read_run(&reader->db, store, statement, scope, values, out);
}

static tael_status read_shared(struct tael_store *store, const struct tael_statement *statement,
                               int64_t scope, const struct tael_value *values,
                               struct tael_rows **out)
{
    pthread_mutex_lock(&store->db_lock);
    tael_status rc = tael_writer_mend(store); /* no group may come: units begin with reads */
    if (rc == TAEL_OK)
        rc = read_run(&store->db, store, statement, scope, values, out);
    pthread_mutex_unlock(&store->db_lock);
    return rc;
}

static tael_status read_checked(struct tael_store_reader *reader,
                                const struct tael_statement *statement, int64_t scope,
                                const struct tael_value *values, struct tael_rows **out)
{
    return reader->store->shared ? read_shared(reader->store, statement, scope, values, out)
                                 : read_own(reader, statement, scope, values, out);
}

tael_status tael_store_read(struct tael_store_reader *reader,
                            const struct tael_statement *statement, int64_t scope,
                            const struct tael_value *values, struct tael_rows **out)
{
    if (statement->kind == TAEL_SQL_WRITE)
        return TAEL_EINVAL;
    tael_status rc = tael_values_check(statement, scope, values);
    return rc == TAEL_OK ? read_checked(reader, statement, scope, values, out) : rc;
}

tael_status tael_store_reader_open(struct tael_store_reader **out, struct tael_store *store)
{
    struct tael_store_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return TAEL_ENOMEM;
    reader->store = store;
    if (!store->shared) {
        tael_status rc = tael_db_open_reader(&reader->db, store, NULL);
        if (rc != TAEL_OK) {
            free(reader);
            return rc;
        }
    }
    *out = reader;
    return TAEL_OK;
}

void tael_store_reader_close(struct tael_store_reader *reader)
{
    if (reader == NULL)
        return;
    tael_db_close(&reader->db);
    free(reader);
}

void tael_store_reader_rest(struct tael_store_reader *reader)
{
    if (reader != NULL)
        tael_db_close(&reader->db);
}

/* ---- reads on their way ---- */

static void read_free(struct tael_read *read)
{
    tael_rows_free(read->rows);
    free(read);
}

static size_t bytes_of(const struct tael_statement *statement, const struct tael_value *values,
                       size_t idx)
{
    bool has = values[idx].kind == TAEL_VALUE_TEXT || values[idx].kind == TAEL_VALUE_BYTES;
    return has && statement->params[idx].kind == TAEL_PARAM_GIVEN ? values[idx].bytes.len : 0;
}

/* One block: the read, its values, their bytes. */
static struct tael_read *read_new(const struct tael_statement *statement,
                                  const struct tael_value *values)
{
    size_t count = statement->param_count, bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += bytes_of(statement, values, i);
    struct tael_read *read =
        malloc(sizeof(*read) + (count + 1) * sizeof(struct tael_value) + bytes);
    if (read == NULL)
        return NULL;
    *read = (struct tael_read){.statement = statement, .values = (struct tael_value *)(read + 1)};
    char *at = (char *)(read->values + count + 1);
    for (size_t i = 0; i < count; i++) {
        struct tael_value *copy = &read->values[i];
        size_t len = bytes_of(statement, values, i);
        *copy = values[i];
        if (len == 0)
            continue;
        memcpy(at, copy->bytes.data, len);
        copy->bytes.data = at;
        at += len;
    }
    return read;
}

static void open_insert(struct tael_read *read)
{
    struct tael_store *store = read->store;
    read->open_next = store->reads_open;
    read->open_link = &store->reads_open;
    if (read->open_next != NULL)
        read->open_next->open_link = &read->open_next;
    store->reads_open = read;
}

static void deliver(struct tael_mail *mail)
{
    struct tael_read *read = (struct tael_read *)mail;
    struct tael_store *store = read->store;
    pthread_mutex_lock(&store->lock);
    *read->open_link = read->open_next;
    if (read->open_next != NULL)
        read->open_next->open_link = read->open_link;
    pthread_mutex_unlock(&store->lock);
    struct tael_rows *rows = read->rows;
    read->rows = NULL;
    read->done(read->user, read->status, rows);
    read_free(read);
}

/* Simulated world: the mail is the read. */
static void read_and_deliver(struct tael_mail *mail)
{
    struct tael_read *read = (struct tael_read *)mail;
    read->status =
        read_shared(read->store, read->statement, read->scope, read->values, &read->rows);
    deliver(mail);
}

tael_status
tael_store_read_later(struct tael_store *store, const struct tael_statement *statement,
                      int64_t scope, const struct tael_value *values, struct tael_loop *loop,
                      void (*done)(void *user, tael_status status, struct tael_rows *rows),
                      void *user)
{
    if (statement->kind == TAEL_SQL_WRITE)
        return TAEL_EINVAL;
    tael_status rc = tael_values_check(statement, scope, values);
    if (rc != TAEL_OK)
        return rc;
    struct tael_read *read = read_new(statement, values);
    if (read == NULL)
        return TAEL_ENOMEM;
    read->store = store;
    read->scope = scope;
    read->loop = loop;
    read->done = done;
    read->user = user;
    read->status = TAEL_ECLOSED; /* unless it is read */
    pthread_mutex_lock(&store->lock);
    rc = store->stopping                           ? TAEL_ECLOSED
         : store->reads_queued >= store->queue_max ? TAEL_EBUSY
                                                   : TAEL_OK;
    if (rc == TAEL_OK) {
        open_insert(read);
        if (store->threaded) {
            *store->read_behind = read;
            store->read_behind = &read->next;
            store->reads_queued++;
            pthread_cond_signal(&store->reads);
        }
    }
    pthread_mutex_unlock(&store->lock);
    if (rc != TAEL_OK) {
        read_free(read);
    } else if (!store->threaded) {
        read->mail.fn = read_and_deliver;
        tael_loop_post(loop, &read->mail);
    }
    return rc;
}

/* ---- the thread ---- */

static struct tael_read *take_read(struct tael_store *store)
{
    pthread_mutex_lock(&store->lock);
    while (store->read_first == NULL && !store->stopping)
        pthread_cond_wait(&store->reads, &store->lock);
    struct tael_read *read = store->read_first;
    if (read != NULL) {
        store->read_first = read->next;
        if (store->read_first == NULL)
            store->read_behind = &store->read_first;
        store->reads_queued--;
    }
    pthread_mutex_unlock(&store->lock);
    return read;
}

static void *reader_main(void *arg)
{
    struct tael_store_reader reader = {.store = arg};
    struct tael_read *read;
    while ((read = take_read(reader.store)) != NULL) {
        read->status =
            read_checked(&reader, read->statement, read->scope, read->values, &read->rows);
        read->mail.fn = deliver;
        tael_loop_post(read->loop, &read->mail);
    }
    tael_db_close(&reader.db);
    return NULL;
}

tael_status tael_reader_start(struct tael_store *store)
{
    return tael_thread_start(&store->reader, "tael-reader", reader_main, store);
}

void tael_reader_finish(struct tael_store *store)
{
    tael_thread_join(&store->reader);
}

void tael_reader_drop(struct tael_store *store)
{
    while (store->reads_open != NULL)
        deliver(&store->reads_open->mail);
}
