/* sql_test.c - .sql files: headers, parameters, dialects, what is refused and where the error
 * points. */
#include <stdlib.h>

#ifndef __SANITIZE_THREAD__ /* it needs malloc before it is ready */
#include "alloc_fail.h"
#endif
#include "store/sql.h"
#include "tap.h"

static tael_status parse(struct tael_sql **out, enum tael_sql_dialect dialect, const char *text,
                         tael_error *err)
{
    struct tael_sql *sql = NULL;
    tael_status rc = tael_sql_new(&sql, dialect, "merchant");
    if (rc == TAEL_OK)
        rc = tael_sql_parse(sql, "x.sql", tael_span_of(text), err);
    if (rc == TAEL_OK && out != NULL)
        *out = sql;
    else
        tael_sql_free(sql);
    return rc;
}

static const struct tael_statement *only(struct tael_sql *sql)
{
    return tael_sql_count(sql) == 1 ? tael_sql_at(sql, 0) : NULL;
}

static void headers_are_read(void)
{
    static const char text[] =
        "-- What these are for; prose is free.\n"
        "-- name: thing.pay\n"
        "-- rows: 1 else reread\n"
        "-- bytes: hash\n"
        "UPDATE t SET a = :a, hash = :hash, seq = :seq_event, b = :a -- :not_one\n"
        "WHERE merchant = :merchant AND x = ':neither'; -- the end\n"
        "\n"
        "-- name: thing.any\n"
        "-- rows: any\n"
        "-- operator\n"
        "DELETE FROM t WHERE id < :before RETURNING id;\n"
        "-- name: thing.get\n"
        "-- read\n"
        "SELECT * FROM t WHERE merchant = :merchant AND \"id\" = :id;\n"
        "-- name: thing.list\n"
        "-- read list operator\n"
        "SELECT id FROM t;\n";
    struct tael_sql *sql = NULL;
    tael_error err = {0};
    CHECK(parse(&sql, TAEL_SQL_SQLITE, text, &err) == TAEL_OK);
    if (sql == NULL)
        return;
    CHECK(tael_sql_count(sql) == 4);
    const struct tael_statement *pay = tael_sql_find(sql, "thing.pay");
    CHECK(pay != NULL && pay->rows == 1 && strcmp(pay->otherwise, "reread") == 0);
    CHECK(pay->line == 2 && pay->kind == TAEL_SQL_WRITE && !pay->unscoped && !pay->returning);
    CHECK(pay->param_count == 4);
    CHECK(strcmp(pay->params[0].name, "a") == 0 && pay->params[0].kind == TAEL_PARAM_GIVEN);
    CHECK(strcmp(pay->params[1].name, "hash") == 0 && pay->params[1].bytes);
    CHECK(strcmp(pay->params[2].name, "seq_event") == 0 && pay->params[2].kind == TAEL_PARAM_SEQ);
    CHECK(strcmp(pay->params[3].name, "merchant") == 0 && pay->params[3].kind == TAEL_PARAM_SCOPE);
    const struct tael_statement *any = tael_sql_find(sql, "thing.any");
    CHECK(any != NULL && any->rows == TAEL_SQL_ROWS_ANY && any->unscoped && any->returning);
    const struct tael_statement *get = tael_sql_find(sql, "thing.get");
    CHECK(get != NULL && get->kind == TAEL_SQL_READ && !get->unscoped);
    const struct tael_statement *list = tael_sql_find(sql, "thing.list");
    CHECK(list != NULL && list->kind == TAEL_SQL_LIST && list->unscoped);
    CHECK(tael_sql_find(sql, "thing") == NULL && tael_sql_find(sql, "thing.zzz") == NULL);
    tael_sql_free(sql);
}

static void wrong_files_are_refused_by_line(void)
{
#define HEAD "-- name: a.b\n-- rows: 1\n"
    static const struct {
        const char *text, *message; /* message: part of it */
    } rows[] = {
        {"SELECT 1;\n", "x.sql:1: SQL without a name"},
        {"-- name: A.B\n", "x.sql:1: a name is made of"},
        {"-- name: a.b'\n", "x.sql:1: a name is made of"},
        {"-- name: a b\n", "x.sql:1: a name is made of"},
        {"-- name a.b\n", "x.sql:1: a header is spelt 'name:'"},
        {"\n-- name: a.b\nDELETE FROM t WHERE m = :merchant;\n", "x.sql:2: neither rows: nor read"},
        {"-- name: a.b\n-- rows: 1\n", "x.sql:1: no SQL under the name"},
        {"-- name: a.b\n-- rows: one\nDELETE FROM t;\n", "x.sql:2: not a number of rows: 'one'"},
        {"-- name: a.b\n-- rows: -1\nDELETE FROM t;\n", "x.sql:2: not a number of rows"},
        {"-- name: a.b\n-- rows: 1 else\nDELETE FROM t;\n", "x.sql:2: else needs a word"},
        {"-- name: a.b\n-- rows: 1 or word\nDELETE FROM t;\n", "x.sql:2: not understood: 'or'"},
        {"-- name: a.b\n-- rows: 1 else w operators\nDELETE FROM t;\n", "x.sql:2: not understood"},
        {"-- name: a.b\n-- rows: 1\n-- read\nDELETE FROM t;\n", "x.sql:3: one of rows: and read"},
        {"-- name: a.b\n-- read lists\nSELECT 1;\n", "x.sql:2: not understood: 'lists'"},
        {"-- name: a.b\n-- rows 1\nDELETE FROM t;\n", "x.sql:2: a header is spelt 'rows:'"},
        {"-- name: a.b\n-- read:\nSELECT 1;\n", "x.sql:2: a header is spelt 'read'"},
        {"-- rows: 1\n", "x.sql:1: a header stands between name: and SQL"},
        {HEAD "DELETE FROM t\n-- operator\n;\n", "x.sql:4: a header stands between"},
        {HEAD "DELETE FROM t;\n", "x.sql:1: a.b has no :merchant and is not for operators"},
        {HEAD "DELETE FROM t WHERE m = :merchant\n", "statement is not closed by ';'"},
        {HEAD "DELETE FROM t;\nDELETE FROM u;\n", "x.sql:4: two statements under one name"},
        {HEAD "\n\nDELETE FROM t WHERE a = 'x;\n", "x.sql:5: quote is not closed"},
        {HEAD "DELETE FROM t\nWHERE /* a\n;\n", "x.sql:4: comment is not closed"},
        {HEAD "DELETE FROM t\nWHERE a = ?;\n", "x.sql:4: parameters are written :name"},
        {HEAD "DELETE FROM t\nWHERE a = $1;\n", "x.sql:4: parameters are written :name"},
        {HEAD "DELETE FROM t\n\nWHERE a = :a::text;\n", "x.sql:5: ':' without a parameter's name"},
        {HEAD "SELECT :merchant;\n", "x.sql:3: SQL does not fit its header in 'a.b'"},
        {HEAD "DROP TABLE t;\n", "x.sql:3: SQL does not fit its header in 'a.b'"},
        {"-- name: a.b\n-- read\nDELETE FROM t WHERE m = :merchant;\n", "SQL does not fit"},
        {HEAD "-- bytes: c\nDELETE FROM t WHERE m = :merchant;\n",
         "x.sql:3: no given parameter 'c'"},
        {HEAD "-- bytes: seq_a\nDELETE FROM t WHERE m = :merchant AND id = :seq_a;\n",
         "no given parameter"},
        {HEAD "-- bytes:\nDELETE FROM t;\n", "x.sql:3: bytes: needs names"},
        {"-- name: a.b\n-- read\nSELECT 1 WHERE 1 = :merchant AND 2 = :seq_a;\n",
         "a read has nothing to stamp 'seq_a'"},
        {HEAD "DELETE FROM t WHERE m = :merchant;\n" HEAD "DELETE FROM t WHERE m = :merchant;\n",
         "x.sql:4: this name is taken 'a.b'"},
    };
#undef HEAD
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tael_error err = {0};
        tael_status rc = parse(NULL, TAEL_SQL_SQLITE, rows[i].text, &err);
        bool good = rc == TAEL_ECONFIG && strstr(err.message, rows[i].message) != NULL;
        if (!good)
            printf("# %d, wanted '%s', got '%s'\n", (int)rc, rows[i].message, err.message);
        CHECK_NAMED(good, rows[i].message);
    }
    tael_error err = {0};
    struct tael_sql *sql = NULL;
    CHECK(tael_sql_new(&sql, TAEL_SQL_SQLITE, NULL) == TAEL_OK);
    CHECK(tael_sql_load(sql, "/nowhere/x.sql", &err) == TAEL_ENOTFOUND);
    CHECK(strstr(err.message, "/nowhere/x.sql: ") != NULL);
    CHECK(tael_sql_parse(sql, "x.sql", (struct tael_span){"-- name: a\0", 11}, &err) ==
          TAEL_ECONFIG);
    tael_sql_free(sql);
}

static bool compiles_to(enum tael_sql_dialect dialect, const char *text, const char *want)
{
    struct tael_sql *sql = NULL;
    tael_error err = {0};
    if (parse(&sql, dialect, text, &err) != TAEL_OK) {
        printf("# %s\n", err.message);
        return false;
    }
    const struct tael_statement *statement = only(sql);
    bool good = statement != NULL && strcmp(statement->text, want) == 0;
    if (!good)
        printf("# wanted '%s', got '%s'\n", want, statement != NULL ? statement->text : "");
    tael_sql_free(sql);
    return good;
}

static void statements_are_compiled(void)
{
    static const char guarded[] =
        "-- name: a.pay\n-- rows: 1 else w\n"
        "UPDATE t SET a = CAST(:a AS BIGINT), b = :b, c = ':a BIGINT' -- gone\n"
        "WHERE merchant = :merchant AND d = :a /* and\nthis */;\n";
    CHECK(compiles_to(TAEL_SQL_SQLITE, guarded,
                      "UPDATE t SET a = CAST(:a AS INTEGER), b = :b, c = ':a BIGINT' \n"
                      "WHERE merchant = :merchant AND d = :a"));
    CHECK(compiles_to(TAEL_SQL_POSTGRES, guarded,
                      "WITH w AS (UPDATE t SET a = CAST($1 AS BIGINT), b = $2, c = ':a BIGINT' \n"
                      "WHERE merchant = $3 AND d = $1 RETURNING 1) "
                      "SELECT tael_guard('a.pay', 1, count(*)) FROM w"));
    CHECK(compiles_to(TAEL_SQL_POSTGRES,
                      "-- name: a.b\n-- rows: 2\nDELETE FROM t WHERE m = :merchant RETURNING id;\n",
                      "WITH w AS (DELETE FROM t WHERE m = $1 RETURNING id), g AS (SELECT "
                      "tael_guard('a.b', 2, count(*)) AS ok FROM w) "
                      "SELECT w.* FROM g LEFT JOIN w ON g.ok"));
    CHECK(compiles_to(TAEL_SQL_POSTGRES,
                      "-- name: a.b\n-- rows: any\nDELETE FROM t WHERE m = :merchant;\n",
                      "DELETE FROM t WHERE m = $1"));
    CHECK(compiles_to(TAEL_SQL_POSTGRES,
                      "-- name: a.b\n-- read\nSELECT a FROM t WHERE m = :merchant;\n",
                      "SELECT a FROM t WHERE m = $1"));
    static const char both[] = "-- name: a.b\n-- read\n"
                               "SELECT a FROM t WHERE m = :merchant\n"
                               "  AND b = :only_here -- sqlite\n"
                               "  AND c = '-- sqlite'\n"
                               "  AND d = 2 -- sqlite is fast, says prose\n"
                               "  FOR UPDATE -- postgres (rows are leased)\n"
                               ";\n";
    CHECK(compiles_to(TAEL_SQL_SQLITE, both,
                      "SELECT a FROM t WHERE m = :merchant\n  AND b = :only_here \n"
                      "  AND c = '-- sqlite'\n  AND d = 2"));
    CHECK(compiles_to(TAEL_SQL_POSTGRES, both,
                      "SELECT a FROM t WHERE m = $1\n\n  AND c = '-- sqlite'\n  AND d = 2 \n"
                      "  FOR UPDATE"));
}

static const char schema[] = "-- Tables; with 'quotes' in prose.\n"
                             "CREATE TABLE payments (                  -- hot\n"
                             "  merchant BIGINT NOT NULL, id BIGINT NOT NULL,\n"
                             "  paid BIGINT NOT NULL, hash BYTEA NOT NULL,   -- digest; of all\n"
                             "  note TEXT DEFAULT 'id BIGINT NOT NULL, ); -- x',\n"
                             "  PRIMARY KEY (merchant, id)\n"
                             ");\n"
                             "CREATE INDEX a ON payments (merchant);   -- sqlite\n"
                             "CREATE INDEX b ON payments (id);         -- postgres\n"
                             "CREATE TABLE plain (id BIGINT PRIMARY KEY);\n";

static void migrations_are_compiled(void)
{
    struct tael_migration migration;
    tael_error err = {0};
    CHECK(tael_migration_parse(&migration, TAEL_SQL_SQLITE, "merchant", "m/0012_first.sql",
                               tael_span_of(schema), &err) == TAEL_OK);
    CHECK(migration.number == 12 && strcmp(migration.name, "0012_first") == 0);
    CHECK(strcmp(migration.text, "\nCREATE TABLE payments (                  \n"
                                 "  merchant INTEGER NOT NULL, id INTEGER PRIMARY KEY,\n"
                                 "  paid INTEGER NOT NULL, hash BLOB NOT NULL,   \n"
                                 "  note TEXT DEFAULT 'id BIGINT NOT NULL, ); -- x'\n"
                                 "\n) STRICT;\n"
                                 "CREATE INDEX a ON payments (merchant);   \n"
                                 "\n"
                                 "CREATE TABLE plain (id INTEGER PRIMARY KEY) STRICT;\n") == 0);
    tael_migration_free(&migration);
    CHECK(tael_migration_parse(&migration, TAEL_SQL_POSTGRES, "merchant", "0012_first.sql",
                               tael_span_of(schema), &err) == TAEL_OK);
    CHECK(strstr(migration.text, "id BIGINT NOT NULL,\n") != NULL);
    CHECK(strstr(migration.text, "PRIMARY KEY (merchant, id)\n);") != NULL);
    CHECK(strstr(migration.text, "CREATE INDEX b") != NULL);
    CHECK(strstr(migration.text, "CREATE INDEX a") == NULL);
    tael_migration_free(&migration);
}

static void wrong_migrations_are_refused(void)
{
    static const struct {
        const char *path, *text, *message;
    } rows[] = {
        {"12_first.sql", "CREATE TABLE t (a TEXT);", "a migration is named NNNN_word.sql"},
        {"0012first.sql", "CREATE TABLE t (a TEXT);", "a migration is named NNNN_word.sql"},
        {"00012_x.sql", "CREATE TABLE t (a TEXT);", "a migration is named NNNN_word.sql"},
        {"0012_.sql", "CREATE TABLE t (a TEXT);", "a migration is named NNNN_word.sql"},
        {"0012_x.txt", "CREATE TABLE t (a TEXT);", "a migration is named NNNN_word.sql"},
        {"0012_x.sql", "CREATE TABLE t (a TEXT)\n", "not closed by ';'"},
        {"0012_x.sql", "\nDELETE FROM t\nWHERE a = :a;", "0012_x.sql:3: a migration has no param"},
        {"0012_x.sql", "CREATE TABLE t (\nid BIGINT NOT NULL, a TEXT\n);", "0012_x.sql:3: 'id BIG"},
        {"0012_x.sql", "CREATE TABLE t (a TEXT, PRIMARY KEY (merchant, id)\n);", "go together"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_migration migration;
        tael_error err = {0};
        tael_status rc = tael_migration_parse(&migration, TAEL_SQL_SQLITE, "merchant", rows[i].path,
                                              tael_span_of(rows[i].text), &err);
        bool good = rc == TAEL_ECONFIG && strstr(err.message, rows[i].message) != NULL;
        if (!good)
            printf("# %d, wanted '%s', got '%s'\n", (int)rc, rows[i].message, err.message);
        CHECK_NAMED(good, rows[i].message);
        if (rc == TAEL_OK)
            tael_migration_free(&migration);
    }
}

static void digest_of(char out[17], const char *text)
{
    struct tael_migration migration;
    memcpy(out, "none", sizeof("none"));
    if (tael_migration_parse(&migration, TAEL_SQL_SQLITE, NULL, "0001_x.sql", tael_span_of(text),
                             NULL) != TAEL_OK)
        return;
    memcpy(out, migration.digest, sizeof(migration.digest));
    tael_migration_free(&migration);
}

static void digests_see_what_matters(void)
{
    char plain[17], prose[17], blanks[17], other[17];
    digest_of(plain, "CREATE TABLE t (a TEXT, b TEXT);");
    digest_of(prose, "-- for this\nCREATE TABLE t (a TEXT, b TEXT); -- and that\n");
    digest_of(blanks, "\n\nCREATE TABLE t\n  (a TEXT,\n   b TEXT);\n\n");
    digest_of(other, "CREATE TABLE t (a TEXT, c TEXT);");
    CHECK(strlen(plain) == 16);
    CHECK(strcmp(plain, prose) == 0);
    CHECK(strcmp(plain, blanks) == 0);
    CHECK(strcmp(plain, other) != 0);
}

#ifndef __SANITIZE_THREAD__
static void memory_may_run_out_anywhere(void)
{
    static const char text[] = "-- name: a.b\n-- rows: 1 else w\n-- bytes: c\n"
                               "UPDATE t SET c = :c WHERE m = :merchant AND id = :id;\n"
                               "-- name: a.c\n-- read\nSELECT 1 WHERE 1 = :merchant;\n";
    long n = 1;
    bool right = true;
    for (;; n++) {
        struct tael_sql *sql = NULL;
        struct tael_migration migration = {0};
        alloc_fail_at(n);
        tael_status rc = parse(&sql, TAEL_SQL_POSTGRES, text, NULL);
        if (rc == TAEL_OK)
            rc = tael_migration_parse(&migration, TAEL_SQL_SQLITE, "merchant", "0001_a.sql",
                                      tael_span_of(schema), NULL);
        bool failed = alloc_fail_end();
        tael_sql_free(sql);
        if (rc == TAEL_OK)
            tael_migration_free(&migration);
        right = right && rc == (failed ? TAEL_ENOMEM : TAEL_OK);
        if (!failed)
            break;
    }
    CHECK(right);
    CHECK(n > 20);
}
#endif

int main(void)
{
    headers_are_read();
    wrong_files_are_refused_by_line();
    statements_are_compiled();
    migrations_are_compiled();
    wrong_migrations_are_refused();
    digests_see_what_matters();
#ifndef __SANITIZE_THREAD__
    memory_may_run_out_anywhere();
#endif
    return tap_end();
}
