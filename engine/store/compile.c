/* compile.c - SQL text: comments off, lines of the other dialect off, parameters found, dialect's
 * words.
 *
 * Not a parser: it knows words, quotes and comments, and nothing of SQL's grammar; what it lets
 * through the database still judges when the statement is prepared. Pure functions over text, any
 * thread.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strings.h>

#include "store/text.h"

tael_status tael_store_fail(tael_error *err, tael_status status, const char *code,
                            const char *format, ...)
{
    if (err == NULL)
        return status;
    err->status = status;
    snprintf(err->code, sizeof(err->code), "%s", code);
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return status;
}

static tael_status sql_wrong(struct tael_sql_place place, int line, const char *what)
{
    return tael_store_fail(place.err, TAEL_ECONFIG, "store_sql", "%s:%d: %s", place.file, line,
                           what);
}

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word(char c)
{
    return is_word_start(c) || (c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int count_lines(const char *from, const char *to)
{
    int lines = 0;
    for (; from < to; from++)
        lines += *from == '\n';
    return lines;
}

/* Behind the closing quote of the quoted text at `at`; NULL: not closed. A doubled quote is two
 * texts. */
static const char *skip_quoted(const char *at, const char *end)
{
    const char *close = memchr(at + 1, *at, (size_t)(end - at - 1));
    return close != NULL ? close + 1 : NULL;
}

/* ---- comments ---- */

struct strip {
    struct tael_buf *out;
    const char *at, *end;
    enum tael_sql_dialect dialect;
    struct tael_sql_place place;
    tael_sql_comment_fn comment;
    void *user;
    size_t line_start; /* of the current line, in out */
};

/* The dialect that a comment keeps its line for: "sqlite" or "postgres" alone or before " (". */
static bool names_other_dialect(struct tael_span comment, enum tael_sql_dialect dialect)
{
    const char *other = dialect == TAEL_SQL_SQLITE ? "postgres" : "sqlite";
    size_t len = strlen(other);
    const char *at = comment.data, *end = comment.data + comment.len;
    while (at < end && is_blank(*at))
        at++;
    if ((size_t)(end - at) < len || memcmp(at, other, len) != 0)
        return false;
    for (at += len; at < end && is_blank(*at);)
        at++;
    return at == end || (*at == '(' && is_blank(at[-1]));
}

static bool line_is_blank(const struct strip *strip)
{
    for (size_t i = strip->line_start; i < strip->out->len; i++)
        if (!is_blank(strip->out->data[i]))
            return false;
    return true;
}

static tael_status strip_comment(struct strip *strip, int line)
{
    const char *start = strip->at + 2;
    const char *stop = memchr(start, '\n', (size_t)(strip->end - start));
    if (stop == NULL)
        stop = strip->end;
    strip->at = stop;
    struct tael_span text = {start, (size_t)(stop - start)};
    if (line_is_blank(strip))
        return strip->comment != NULL ? strip->comment(strip->user, line, text) : TAEL_OK;
    if (names_other_dialect(text, strip->dialect))
        strip->out->len = strip->line_start;
    return TAEL_OK;
}

static tael_status strip_block(struct strip *strip, int line)
{
    const char *at = strip->at + 2;
    while (at + 1 < strip->end && (at[0] != '*' || at[1] != '/'))
        at++;
    if (at + 1 >= strip->end)
        return sql_wrong(strip->place, line, "comment is not closed");
    tael_status rc = tael_buf_append_char(strip->out, ' ');
    for (int lines = count_lines(strip->at, at); rc == TAEL_OK && lines > 0; lines--)
        rc = tael_buf_append_char(strip->out, '\n');
    strip->at = at + 2;
    return rc;
}

static tael_status strip_next(struct strip *strip, int line)
{
    const char *at = strip->at;
    char next = at + 1 < strip->end ? at[1] : '\0';
    if (at[0] == '-' && next == '-')
        return strip_comment(strip, line);
    if (at[0] == '/' && next == '*')
        return strip_block(strip, line);
    const char *stop = at + 1;
    if (*at == '\'' || *at == '"') {
        stop = skip_quoted(at, strip->end);
        if (stop == NULL)
            return sql_wrong(strip->place, line, "quote is not closed");
    }
    strip->at = stop;
    tael_status rc = tael_buf_append(strip->out, at, (size_t)(stop - at));
    if (*at == '\n')
        strip->line_start = strip->out->len;
    return rc;
}

tael_status tael_sql_strip(struct tael_buf *out, enum tael_sql_dialect dialect,
                           struct tael_sql_place place, struct tael_span text,
                           tael_sql_comment_fn comment, void *user)
{
    struct strip strip = {.out = out,
                          .at = text.data,
                          .end = text.data + text.len,
                          .dialect = dialect,
                          .place = place,
                          .comment = comment,
                          .user = user,
                          .line_start = out->len};
    tael_status rc = TAEL_OK;
    int line = place.line;
    if (memchr(text.data, '\0', text.len) != NULL)
        return sql_wrong(place, line, "NUL byte");
    while (rc == TAEL_OK && strip.at < strip.end) {
        const char *before = strip.at;
        rc = strip_next(&strip, line);
        line += count_lines(before, strip.at);
    }
    return rc;
}

/* ---- compile ---- */

struct compile {
    struct tael_buf *out;
    const char *start, *at, *end;
    enum tael_sql_dialect dialect;
    struct tael_sql_place place;
    struct tael_statement *statement; /* NULL: a schema, without parameters */
    const char *scope;
    int depth;                    /* of parentheses */
    bool in_table, at_first_word; /* schema: inside CREATE TABLE; before a statement's first word */
    bool id_made, key_dropped;    /* rewrites made in this table */
    bool closed;                  /* statement: its ';' has been seen */
};

static tael_status compile_wrong(const struct compile *compile, const char *what)
{
    int line = compile->place.line + count_lines(compile->start, compile->at);
    return sql_wrong(compile->place, line, what);
}

/* Behind the tokens at `at`, blanks between them; NULL: something else stands there. */
static const char *match_tokens(const char *at, const char *end, const char *const *tokens)
{
    for (; *tokens != NULL; tokens++) {
        size_t len = strlen(*tokens);
        while (at < end && is_blank(*at))
            at++;
        if ((size_t)(end - at) < len || strncasecmp(at, *tokens, len) != 0)
            return NULL;
        at += len;
        if (is_word((*tokens)[0]) && at < end && is_word(*at))
            return NULL;
    }
    return at;
}

static tael_status param_add(struct tael_statement *statement, struct tael_span name, size_t *idx)
{
    for (size_t i = 0; i < statement->param_count; i++)
        if (tael_span_is(name, statement->params[i].name)) {
            *idx = i;
            return TAEL_OK;
        }
    if (statement->param_count == TAEL_SQL_PARAMS_MAX)
        return TAEL_ELIMIT;
    struct tael_param *params =
        realloc(statement->params, (statement->param_count + 1) * sizeof(*params));
    if (params == NULL)
        return TAEL_ENOMEM;
    statement->params = params;
    params[statement->param_count] = (struct tael_param){.name = strndup(name.data, name.len)};
    if (params[statement->param_count].name == NULL)
        return TAEL_ENOMEM;
    *idx = statement->param_count++;
    return TAEL_OK;
}

static tael_status compile_param(struct compile *compile)
{
    if (compile->statement == NULL)
        return compile_wrong(compile, "a migration has no parameters");
    const char *stop = compile->at + 1;
    while (stop < compile->end && is_word(*stop))
        stop++;
    struct tael_span name = {compile->at + 1, (size_t)(stop - compile->at - 1)};
    size_t idx = 0;
    tael_status rc = param_add(compile->statement, name, &idx);
    if (rc == TAEL_ELIMIT)
        return compile_wrong(compile, "too many parameters");
    if (rc != TAEL_OK)
        return rc;
    compile->at = stop;
    if (compile->dialect == TAEL_SQL_POSTGRES)
        return tael_buf_printf(compile->out, "$%zu", idx + 1);
    return tael_buf_printf(compile->out, ":%.*s", (int)name.len, name.data);
}

static tael_status compile_word(struct compile *compile)
{
    static const char *const create_table[] = {"CREATE", "TABLE", NULL};
    static const char *const id_column[] = {"id", "BIGINT", "NOT", "NULL", ",", NULL};
    const char *start = compile->at, *stop = start;
    while (stop < compile->end && is_word(*stop))
        stop++;
    compile->at = stop;
    struct tael_span word = {start, (size_t)(stop - start)};
    if (compile->at_first_word)
        compile->in_table = match_tokens(start, compile->end, create_table) != NULL;
    compile->at_first_word = false;
    if (compile->statement != NULL && compile->depth == 0 && word.len == strlen("RETURNING") &&
        strncasecmp(word.data, "RETURNING", word.len) == 0)
        compile->statement->returning = true;
    if (compile->dialect == TAEL_SQL_SQLITE) {
        const char *behind =
            compile->in_table ? match_tokens(start, compile->end, id_column) : NULL;
        if (behind != NULL && compile->depth == 1) {
            compile->at = behind - 1; /* the key may follow at once, with this comma before it */
            compile->id_made = true;
            return tael_buf_append_text(compile->out, "id INTEGER PRIMARY KEY");
        }
        if (word.len == 6 && strncasecmp(word.data, "BIGINT", 6) == 0)
            return tael_buf_append_text(compile->out, "INTEGER");
        if (word.len == 5 && strncasecmp(word.data, "BYTEA", 5) == 0)
            return tael_buf_append_text(compile->out, "BLOB");
    }
    return tael_buf_append(compile->out, word.data, word.len);
}

static void trim_out(struct tael_buf *out)
{
    while (out->len > 0 && is_blank(out->data[out->len - 1]))
        out->len--;
}

static tael_status compile_end(struct compile *compile)
{
    if (compile->statement != NULL) {
        if (compile->closed)
            return compile_wrong(compile, "two statements under one name");
        compile->closed = true;
        compile->at++;
        return TAEL_OK;
    }
    bool strict = compile->in_table && compile->dialect == TAEL_SQL_SQLITE;
    if (strict && compile->id_made != compile->key_dropped)
        return compile_wrong(compile, "'id BIGINT NOT NULL,' and ', PRIMARY KEY (<scope>, id)' go "
                                      "together");
    compile->at_first_word = true;
    compile->in_table = compile->id_made = compile->key_dropped = false;
    compile->at++;
    tael_status rc = TAEL_OK;
    if (strict) {
        trim_out(compile->out);
        if (compile->out->len > 0 && compile->out->data[compile->out->len - 1] == ')')
            rc = tael_buf_append_text(compile->out, " STRICT");
    }
    return rc == TAEL_OK ? tael_buf_append_char(compile->out, ';') : rc;
}

static tael_status compile_comma(struct compile *compile)
{
    if (compile->in_table && compile->depth == 1 && compile->scope != NULL &&
        compile->dialect == TAEL_SQL_SQLITE) {
        const char *const key[] = {",", "PRIMARY", "KEY", "(", compile->scope,
                                   ",", "id",      ")",   NULL};
        const char *behind = match_tokens(compile->at, compile->end, key);
        if (behind != NULL) {
            tael_status rc = TAEL_OK; /* its lines stay, so that errors name the right ones */
            for (int lines = count_lines(compile->at, behind); rc == TAEL_OK && lines > 0; lines--)
                rc = tael_buf_append_char(compile->out, '\n');
            compile->at = behind;
            compile->key_dropped = true;
            return rc;
        }
    }
    compile->at++;
    return tael_buf_append_char(compile->out, ',');
}

static tael_status compile_copy(struct compile *compile, const char *stop)
{
    const char *start = compile->at;
    compile->at = stop;
    return tael_buf_append(compile->out, start, (size_t)(stop - start));
}

static tael_status compile_next(struct compile *compile)
{
    char c = compile->at[0];
    char next = compile->at + 1 < compile->end ? compile->at[1] : '\0';
    if (compile->closed && !is_blank(c))
        return compile_wrong(compile, "two statements under one name");
    if (is_word_start(c))
        return compile_word(compile);
    switch (c) {
    case '\'':
    case '"': {
        const char *stop = skip_quoted(compile->at, compile->end);
        return stop != NULL ? compile_copy(compile, stop)
                            : compile_wrong(compile, "quote is not closed");
    }
    case ':':
        return is_word_start(next) ? compile_param(compile)
                                   : compile_wrong(compile, "':' without a parameter's name");
    case ';':
        return compile_end(compile);
    case ',':
        return compile_comma(compile);
    case '?':
    case '$':
    case '@':
        return compile_wrong(compile, "parameters are written :name");
    case '(':
        compile->depth++;
        break;
    case ')':
        compile->depth--;
        break;
    default:
        break;
    }
    return compile_copy(compile, compile->at + 1);
}

static tael_status compile_all(struct compile *compile)
{
    tael_status rc = TAEL_OK;
    compile->at_first_word = true;
    while (rc == TAEL_OK && compile->at < compile->end)
        rc = compile_next(compile);
    return rc;
}

/* The guard that PostgreSQL checks itself. */
static tael_status wrap_guard(struct tael_buf *out, const struct tael_statement *statement,
                              const char *body)
{
    if (statement->kind != TAEL_SQL_WRITE || statement->rows == TAEL_SQL_ROWS_ANY)
        return tael_buf_append_text(out, body);
    if (!statement->returning)
        return tael_buf_printf(out,
                               "WITH w AS (%s RETURNING 1) "
                               "SELECT tael_guard('%s', %lld, count(*)) FROM w",
                               body, statement->name, (long long)statement->rows);
    return tael_buf_printf(out,
                           "WITH w AS (%s), g AS (SELECT tael_guard('%s', %lld, count(*)) AS ok "
                           "FROM w) SELECT w.* FROM g LEFT JOIN w ON g.ok",
                           body, statement->name, (long long)statement->rows);
}

tael_status tael_sql_compile(struct tael_statement *statement, enum tael_sql_dialect dialect,
                             struct tael_sql_place place, struct tael_span code)
{
    struct tael_buf body = {0}, out = {0};
    struct compile compile = {.out = &body,
                              .start = code.data,
                              .at = code.data,
                              .end = code.data + code.len,
                              .dialect = dialect,
                              .place = place,
                              .statement = statement};
    tael_status rc = compile_all(&compile);
    if (rc == TAEL_OK && !compile.closed)
        rc = compile_wrong(&compile, "statement is not closed by ';'");
    trim_out(&body);
    if (rc == TAEL_OK)
        rc = tael_buf_append_char(&body, '\0');
    if (rc == TAEL_OK)
        rc = dialect == TAEL_SQL_POSTGRES ? wrap_guard(&out, statement, body.data)
                                          : tael_buf_append_text(&out, body.data);
    if (rc == TAEL_OK)
        rc = tael_buf_append_char(&out, '\0');
    tael_buf_free(&body);
    if (rc == TAEL_OK)
        statement->text = out.data;
    else
        tael_buf_free(&out);
    return rc;
}

tael_status tael_sql_compile_schema(struct tael_buf *out, enum tael_sql_dialect dialect,
                                    const char *scope, struct tael_sql_place place,
                                    struct tael_span code)
{
    struct compile compile = {.out = out,
                              .start = code.data,
                              .at = code.data,
                              .end = code.data + code.len,
                              .dialect = dialect,
                              .place = place,
                              .scope = scope};
    tael_status rc = compile_all(&compile);
    if (rc == TAEL_OK && !compile.at_first_word)
        rc = compile_wrong(&compile, "statement is not closed by ';'");
    return rc;
}
