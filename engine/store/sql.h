/* sql.h - .sql files: named statements and migrations, written once, compiled for each database.
 *
 * A file of statements: each begins with "-- name: payment.pay", then one of "-- rows: N else
 * word",
 * "-- rows: N", "-- rows: any", "-- read", "-- read list"; then, where needed, "-- bytes: a b"
 * (parameters bound as bytes) and "-- operator" (may stand behind rows or read too); then one SQL
 * statement, closed by
 * ';'. Parameters are ":name". A line that ends in "-- sqlite" or "-- postgres" is kept only there.
 * Other comments are free. The text is valid PostgreSQL; for SQLite these rewrites are made and no
 * others: BIGINT -> INTEGER, BYTEA -> BLOB, and in CREATE TABLE: `id BIGINT NOT NULL,` -> `id
 * INTEGER PRIMARY KEY,`, `, PRIMARY KEY (<scope>, id)` -> nothing (both or neither), `);` -> `)
 * STRICT;` For PostgreSQL ":name" becomes "$n" and a guard becomes part of the statement: WITH w AS
 * (<statement> RETURNING 1) SELECT tael_guard('<name>', N, count(*)) FROM w where tael_guard
 * (guard.sql) raises SQLSTATE TL001 with the name when the counts differ.
 *
 * Owner: a set belongs to whoever made it; once loaded it does not change and is shared by threads.
 */
#ifndef TAEL_STORE_SQL_H
#define TAEL_STORE_SQL_H

#include "base/bytes.h"

enum tael_sql_dialect { TAEL_SQL_SQLITE, TAEL_SQL_POSTGRES };
enum tael_sql_kind { TAEL_SQL_WRITE, TAEL_SQL_READ, TAEL_SQL_LIST };
enum tael_param_kind { TAEL_PARAM_GIVEN, TAEL_PARAM_SEQ, TAEL_PARAM_SCOPE };

enum {
    TAEL_SQL_PARAMS_MAX = 64,        /* of one statement */
    TAEL_SQL_FILE_MAX = 1024 * 1024, /* bytes */
    TAEL_SQL_ROWS_ANY = -1,
};

struct tael_param {
    char *name; /* without ':' */
    enum tael_param_kind kind;
    bool bytes;
};

struct tael_statement {
    char *name, *text; /* text: compiled, without ';' */
    char *file;
    int line; /* of "-- name:" */
    enum tael_sql_kind kind;
    int64_t rows;              /* guard; TAEL_SQL_ROWS_ANY: none, always so for reads */
    char *otherwise;           /* word of the guard; NULL: none was given */
    bool unscoped;             /* "-- operator" */
    bool returning;            /* a write that gives rows */
    struct tael_param *params; /* in order of first appearance: bound as 1 … param_count */
    size_t param_count;
    size_t idx; /* place in the set */
};

struct tael_sql; /* a set of statements in one dialect */

/* scope: parameter that every statement must have unless it is for operators; NULL: none. */
tael_status tael_sql_new(struct tael_sql **out, enum tael_sql_dialect dialect, const char *scope);
void tael_sql_free(struct tael_sql *sql); /* NULL allowed */
/* Errors name file:line. TAEL_ECONFIG: the text is wrong; ENOTFOUND: no such file. */
tael_status tael_sql_load(struct tael_sql *sql, const char *path, tael_error *err);
tael_status tael_sql_parse(struct tael_sql *sql, const char *file, struct tael_span text,
                           tael_error *err);
size_t tael_sql_count(const struct tael_sql *sql);
const struct tael_statement *tael_sql_at(const struct tael_sql *sql, size_t idx);
const struct tael_statement *tael_sql_find(const struct tael_sql *sql, const char *name);

struct tael_migration {
    int64_t number; /* NNNN of NNNN_*.sql */
    char *name;     /* the file's, without folder and ".sql" */
    char *file;
    char *text;      /* compiled; line numbers are the file's */
    char digest[17]; /* of what the database sees: comments and blanks do not count */
};

tael_status tael_migration_load(struct tael_migration *out, enum tael_sql_dialect dialect,
                                const char *scope, const char *path, tael_error *err);
tael_status tael_migration_parse(struct tael_migration *out, enum tael_sql_dialect dialect,
                                 const char *scope, const char *path, struct tael_span text,
                                 tael_error *err);
void tael_migration_free(struct tael_migration *migration); /* {0} allowed */

#endif
