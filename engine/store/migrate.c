/* migrate.c - whose file it is, which schema it has, and bringing it up to the one that is known.
 *
 * Runs once, at open, on the writer's connection, before any statement is prepared.
 * 1 A schema newer than known is refused. 2 A migration runs in a transaction of its own together
 * with its entry: it is applied wholly or not at all. 3 A migration that was applied does not
 * change: its digest is compared. 4 Migrations are applied in order, without gaps.
 */
#include <inttypes.h>
#include <string.h>

#include "store/inner.h"

static const char bookkeeping[] =
    "BEGIN IMMEDIATE;"
    "PRAGMA application_id = " TAEL_APPLICATION_ID_TEXT ";"
    "CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    " digest TEXT NOT NULL) STRICT;"
    "CREATE TABLE store_mark (id INTEGER PRIMARY KEY, mark INTEGER NOT NULL) STRICT;"
    "INSERT INTO store_mark (id, mark) VALUES (1, 0);"
    "COMMIT";

static void roll_back(struct tael_db *db)
{
    if (sqlite3_get_autocommit(db->handle) == 0)
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

static const struct tael_migration *known(const struct tael_store *store, int64_t number)
{
    for (size_t i = 0; i < store->migration_count; i++)
        if (store->migrations[i].number == number)
            return &store->migrations[i];
    return NULL;
}

/* The row that stmt stands on is the entry of the idx-th migration applied. */
static tael_status check_entry(struct tael_store *store, sqlite3_stmt *stmt, size_t idx,
                               tael_error *err)
{
    int64_t number = sqlite3_column_int64(stmt, 0);
    const char *name = (const char *)sqlite3_column_text(stmt, 1);
    const char *digest = (const char *)sqlite3_column_text(stmt, 2);
    if (name == NULL || digest == NULL)
        return TAEL_ENOMEM;
    const struct tael_migration *migration = known(store, number);
    int64_t newest =
        store->migration_count > 0 ? store->migrations[store->migration_count - 1].number : 0;
    store->schema = number;
    if (migration == NULL && number > newest)
        return tael_store_fail(err, TAEL_EVERSION, "store_newer",
                               "%s: its schema is newer (%s) than this program knows (%04" PRId64
                               ")",
                               store->path, name, newest);
    if (migration == NULL)
        return tael_store_fail(err, TAEL_EVERSION, "store_migration",
                               "%s: migration %s was applied and is not known", store->path, name);
    if (migration != &store->migrations[idx])
        return tael_store_fail(err, TAEL_EVERSION, "store_migration",
                               "%s: comes before migrations that were applied to %s",
                               store->migrations[idx].file, store->path);
    if (strcmp(migration->digest, digest) != 0)
        return tael_store_fail(err, TAEL_EVERSION, "store_migration",
                               "%s: changed since it was applied to %s", migration->file,
                               store->path);
    return TAEL_OK;
}

static tael_status check_entries(struct tael_store *store, size_t *applied, tael_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db.handle,
                                  "SELECT number, name, digest FROM schema_migrations "
                                  "ORDER BY number",
                                  -1, &stmt, NULL);
    tael_status rc = TAEL_OK;
    while (code == SQLITE_OK && rc == TAEL_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = check_entry(store, stmt, *applied, err);
        ++*applied;
        code = SQLITE_OK;
    }
    if (rc == TAEL_OK && code != SQLITE_DONE)
        rc = tael_store_fail(err, TAEL_ESTORE, "store_database", "%s: %s", store->path,
                             sqlite3_errmsg(store->db.handle));
    sqlite3_finalize(stmt);
    return rc;
}

static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

static tael_status run_text(struct tael_db *db, const struct tael_migration *migration,
                            tael_error *err)
{
    const char *at = migration->text;
    for (;;) {
        at += strspn(at, " \t\r\n");
        if (*at == '\0')
            return TAEL_OK;
        sqlite3_stmt *stmt = NULL;
        const char *tail = at;
        int code = sqlite3_prepare_v2(db->handle, at, -1, &stmt, &tail);
        if (code == SQLITE_OK && stmt != NULL)
            while ((code = sqlite3_step(stmt)) == SQLITE_ROW)
                ;
        sqlite3_finalize(stmt);
        if (code != SQLITE_OK && code != SQLITE_DONE)
            return tael_store_fail(err, TAEL_ESTORE, "store_migration", "%s:%d: %s",
                                   migration->file, line_of(migration->text, at),
                                   sqlite3_errmsg(db->handle));
        at = tail;
    }
}

static tael_status enter(struct tael_db *db, const struct tael_migration *migration,
                         tael_error *err)
{
    char *sql = sqlite3_mprintf("INSERT INTO schema_migrations (number, name, digest) "
                                "VALUES (%lld, '%q', '%q')",
                                (long long)migration->number, migration->name, migration->digest);
    tael_status rc = sql != NULL ? tael_db_exec(db, sql, err) : TAEL_ENOMEM;
    sqlite3_free(sql);
    return rc;
}

static tael_status apply(struct tael_store *store, const struct tael_migration *migration,
                         tael_error *err)
{
    struct tael_db *db = &store->db;
    tael_status rc = tael_db_exec(db, "BEGIN IMMEDIATE", err);
    if (rc == TAEL_OK)
        rc = run_text(db, migration, err);
    if (rc == TAEL_OK && sqlite3_get_autocommit(db->handle) != 0)
        rc = tael_store_fail(err, TAEL_ECONFIG, "store_migration",
                             "%s: a migration does not end its transaction", migration->file);
    if (rc == TAEL_OK)
        rc = enter(db, migration, err);
    if (rc == TAEL_OK)
        rc = tael_db_exec(db, "COMMIT", err);
    if (rc != TAEL_OK) {
        roll_back(db);
        return rc;
    }
    store->schema = migration->number;
    TAEL_LOG(store->log, TAEL_LOG_INFO, "store.migrated", tael_log_text("path", store->path),
             tael_log_text("migration", migration->name));
    return TAEL_OK;
}

tael_status tael_store_migrate(struct tael_store *store, tael_error *err)
{
    size_t applied = 0;
    int64_t application = 0;
    tael_status rc = tael_db_number(&store->db, "PRAGMA application_id", &application, err);
    if (rc == TAEL_OK && application == 0) {
        rc = tael_db_exec(&store->db, bookkeeping, err);
        if (rc != TAEL_OK)
            roll_back(&store->db);
    }
    if (rc == TAEL_OK)
        rc = check_entries(store, &applied, err);
    if (rc == TAEL_OK && applied < store->migration_count && !store->migrate)
        rc = tael_store_fail(err, TAEL_EVERSION, "store_behind",
                             "%s: its schema is behind: %zu of %zu migrations are applied; run "
                             "the migration first",
                             store->path, applied, store->migration_count);
    for (size_t i = applied; rc == TAEL_OK && i < store->migration_count; i++)
        rc = apply(store, &store->migrations[i], err);
    return rc;
}
