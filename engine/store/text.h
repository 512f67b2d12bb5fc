/* text.h - what sql.c and compile.c share: SQL text with the comments taken off. Nobody else
 * includes it. */
#ifndef TAEL_STORE_TEXT_H
#define TAEL_STORE_TEXT_H

#include "store/sql.h"

/* Fills err (NULL allowed) and returns status. */
tael_status tael_store_fail(tael_error *err, tael_status status, const char *code,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Where text came from, for errors. */
struct tael_sql_place {
    const char *file;
    int line; /* of the text's first line */
    tael_error *err;
};

/* A comment that has a line of its own; text is what stands behind "--". */
typedef tael_status (*tael_sql_comment_fn)(void *user, int line, struct tael_span text);

/* Copies text to out without comments and without lines of another dialect, line breaks kept.
 * Before a comment is told, out holds all that stands before it. comment may be NULL. */
tael_status tael_sql_strip(struct tael_buf *out, enum tael_sql_dialect dialect,
                           struct tael_sql_place place, struct tael_span text,
                           tael_sql_comment_fn comment, void *user);

/* Compiles one statement: fills text, params (kinds not yet), returning of statement. */
tael_status tael_sql_compile(struct tael_statement *statement, enum tael_sql_dialect dialect,
                             struct tael_sql_place place, struct tael_span code);
/* Compiles a migration's statements. */
tael_status tael_sql_compile_schema(struct tael_buf *out, enum tael_sql_dialect dialect,
                                    const char *scope, struct tael_sql_place place,
                                    struct tael_span code);

#endif
