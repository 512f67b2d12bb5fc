/* sql.c - .sql files into a set of named statements, and migrations.
 *
 * Owner: struct tael_sql owns its statements; a set is filled by one thread and then only read.
 * 1 A statement that was half read is not in the set. 2 Every error names file:line. 3 Whatever
 * begins with a header's word is a header and checked: a misspelt one is not taken for prose.
 */
#include "store/sql.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "store/text.h"

struct tael_sql {
    enum tael_sql_dialect dialect;
    char *scope;
    struct tael_statement **items; /* by idx */
    struct tael_statement **names; /* sorted by name */
    size_t count, cap;
};

static void statement_free(struct tael_statement *statement)
{
    if (statement == NULL)
        return;
    for (size_t i = 0; i < statement->param_count; i++)
        free(statement->params[i].name);
    free(statement->params);
    free(statement->name);
    free(statement->text);
    free(statement->file);
    free(statement->otherwise);
    free(statement);
}

tael_status tael_sql_new(struct tael_sql **out, enum tael_sql_dialect dialect, const char *scope)
{
    struct tael_sql *sql = calloc(1, sizeof(*sql));
    if (sql == NULL)
        return TAEL_ENOMEM;
    sql->dialect = dialect;
    if (scope != NULL && (sql->scope = strdup(scope)) == NULL) {
        free(sql);
        return TAEL_ENOMEM;
    }
    *out = sql;
    return TAEL_OK;
}

void tael_sql_free(struct tael_sql *sql)
{
    if (sql == NULL)
        return;
    for (size_t i = 0; i < sql->count; i++)
        statement_free(sql->items[i]);
    free(sql->items);
    free(sql->names);
    free(sql->scope);
    free(sql);
}

size_t tael_sql_count(const struct tael_sql *sql)
{
    return sql->count;
}

const struct tael_statement *tael_sql_at(const struct tael_sql *sql, size_t idx)
{
    return sql->items[idx];
}

/* Place of name in the sorted list, or where it belongs. */
static size_t find_place(const struct tael_sql *sql, const char *name)
{
    size_t low = 0, high = sql->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(sql->names[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct tael_statement *tael_sql_find(const struct tael_sql *sql, const char *name)
{
    size_t at = find_place(sql, name);
    return at < sql->count && strcmp(sql->names[at]->name, name) == 0 ? sql->names[at] : NULL;
}

static tael_status sql_reserve(struct tael_sql *sql)
{
    if (sql->count < sql->cap)
        return TAEL_OK;
    size_t cap = sql->cap > 0 ? sql->cap * 2 : 32;
    struct tael_statement **items = realloc(sql->items, cap * sizeof(struct tael_statement *));
    if (items == NULL)
        return TAEL_ENOMEM;
    sql->items = items;
    struct tael_statement **names = realloc(sql->names, cap * sizeof(struct tael_statement *));
    if (names == NULL)
        return TAEL_ENOMEM;
    sql->names = names;
    sql->cap = cap;
    return TAEL_OK;
}

static tael_status sql_insert(struct tael_sql *sql, struct tael_statement *statement)
{
    tael_status rc = sql_reserve(sql);
    if (rc != TAEL_OK)
        return rc;
    size_t at = find_place(sql, statement->name);
    memmove(&sql->names[at + 1], &sql->names[at],
            (sql->count - at) * sizeof(struct tael_statement *));
    sql->names[at] = statement;
    statement->idx = sql->count;
    sql->items[sql->count++] = statement;
    return TAEL_OK;
}

/* ---- reading a file of statements ---- */

enum {
    WORDS_MAX = TAEL_SQL_PARAMS_MAX + 2, /* in a header line */
    NAME_MAX_LEN = 64,
};

struct reading {
    struct tael_sql *sql;
    const char *file;
    tael_error *err;
    struct tael_buf code;             /* of the whole file */
    struct tael_statement *statement; /* being read; NULL: none yet */
    size_t code_start;                /* of its code */
    int line_start;                   /* the line that code_start is in */
    bool kind_said;
    struct {
        char *name;
        int line;
    } bytes[TAEL_SQL_PARAMS_MAX]; /* names behind "-- bytes:" */
    size_t bytes_count;
};

static tael_status reading_wrong(const struct reading *reading, int line, const char *what,
                                 struct tael_span which)
{
    return tael_store_fail(reading->err, TAEL_ECONFIG, "store_sql", "%s:%d: %s%s%.*s%s",
                           reading->file, line, what, which.len > 0 ? " '" : "",
                           (int)(which.len < 80 ? which.len : 80), which.len > 0 ? which.data : "",
                           which.len > 0 ? "'" : "");
}

static const struct tael_span nothing = {NULL, 0};

static bool code_is_blank(const struct reading *reading)
{
    for (size_t i = reading->code_start; i < reading->code.len; i++)
        if (strchr(" \t\r\n", reading->code.data[i]) == NULL)
            return false;
    return true;
}

static size_t split_words(struct tael_span text, struct tael_span words[WORDS_MAX])
{
    size_t count = 0;
    const char *at = text.data, *end = text.data + text.len;
    while (count < WORDS_MAX) {
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
            at++;
        if (at == end)
            break;
        const char *start = at;
        while (at < end && *at != ' ' && *at != '\t' && *at != '\r')
            at++;
        words[count++] = (struct tael_span){start, (size_t)(at - start)};
    }
    return count;
}

/* Letters, digits, '_' and dots: the name goes into PostgreSQL's text of the statement as it is. */
static bool name_is_good(struct tael_span name, bool dots)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool good =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (dots && c == '.');
        if (!good)
            return false;
    }
    return true;
}

static tael_status copy_text(char **out, struct tael_span text)
{
    *out = strndup(text.data, text.len);
    return *out != NULL ? TAEL_OK : TAEL_ENOMEM;
}

static void drop_bytes(struct reading *reading)
{
    for (size_t i = 0; i < reading->bytes_count; i++)
        free(reading->bytes[i].name);
    reading->bytes_count = 0;
}

static tael_status mark_bytes(struct reading *reading)
{
    struct tael_statement *statement = reading->statement;
    for (size_t i = 0; i < reading->bytes_count; i++) {
        bool found = false;
        for (size_t k = 0; k < statement->param_count && !found; k++)
            if (strcmp(statement->params[k].name, reading->bytes[i].name) == 0) {
                found = statement->params[k].kind == TAEL_PARAM_GIVEN;
                statement->params[k].bytes = true;
            }
        if (!found)
            return reading_wrong(reading, reading->bytes[i].line, "no given parameter",
                                 tael_span_of(reading->bytes[i].name));
    }
    return TAEL_OK;
}

static bool first_word_fits(const struct tael_statement *statement)
{
    static const char *const writes[] = {"INSERT", "UPDATE", "DELETE", "WITH", NULL};
    static const char *const reads[] = {"SELECT", "WITH", "VALUES", NULL};
    const char *const *words = statement->kind == TAEL_SQL_WRITE ? writes : reads;
    size_t len = strcspn(statement->text, " \t\r\n(");
    struct tael_span first = {statement->text, len};
    for (; *words != NULL; words++)
        if (tael_span_is(first, *words))
            return true;
    return false;
}

static tael_status check_statement(struct reading *reading)
{
    struct tael_statement *statement = reading->statement;
    const char *scope = reading->sql->scope;
    bool scoped = false;
    for (size_t i = 0; i < statement->param_count; i++) {
        struct tael_param *param = &statement->params[i];
        if (strncmp(param->name, "seq_", 4) == 0)
            param->kind = TAEL_PARAM_SEQ;
        else if (scope != NULL && strcmp(param->name, scope) == 0)
            param->kind = TAEL_PARAM_SCOPE;
        scoped = scoped || param->kind == TAEL_PARAM_SCOPE;
        if (param->kind == TAEL_PARAM_SEQ && statement->kind != TAEL_SQL_WRITE)
            return reading_wrong(reading, statement->line, "a read has nothing to stamp",
                                 tael_span_of(param->name));
    }
    if (scope != NULL && !scoped && !statement->unscoped)
        return tael_store_fail(reading->err, TAEL_ECONFIG, "store_sql",
                               "%s:%d: %s has no :%s and is not for operators", reading->file,
                               statement->line, statement->name, scope);
    return mark_bytes(reading);
}

/* The code since the last name is the statement's. */
static tael_status finish_statement(struct reading *reading)
{
    struct tael_statement *statement = reading->statement;
    if (statement == NULL)
        return TAEL_OK;
    if (!reading->kind_said)
        return reading_wrong(reading, statement->line, "neither rows: nor read is said of",
                             tael_span_of(statement->name));
    if (code_is_blank(reading))
        return reading_wrong(reading, statement->line, "no SQL under the name",
                             tael_span_of(statement->name));
    struct tael_span code = {reading->code.data + reading->code_start,
                             reading->code.len - reading->code_start};
    int line = reading->line_start;
    for (; strchr(" \t\r\n", *code.data) != NULL; code.data++, code.len--)
        line += *code.data == '\n';
    struct tael_sql_place place = {reading->file, line, reading->err};
    tael_status rc = tael_sql_compile(statement, reading->sql->dialect, place, code);
    if (rc == TAEL_OK && reading->sql->dialect == TAEL_SQL_SQLITE && !first_word_fits(statement))
        rc = reading_wrong(reading, line, "SQL does not fit its header in",
                           tael_span_of(statement->name));
    if (rc == TAEL_OK)
        rc = check_statement(reading);
    if (rc == TAEL_OK)
        rc = sql_insert(reading->sql, statement);
    if (rc == TAEL_OK)
        reading->statement = NULL;
    drop_bytes(reading);
    return rc;
}

static tael_status header_name(struct reading *reading, int line, const struct tael_span *words,
                               size_t count)
{
    if (count != 2 || !name_is_good(words[1], true))
        return reading_wrong(reading, line, "a name is made of a-z, 0-9, '_' and '.'", nothing);
    tael_status rc = finish_statement(reading);
    if (rc != TAEL_OK)
        return rc;
    struct tael_statement *statement = calloc(1, sizeof(*statement));
    if (statement == NULL)
        return TAEL_ENOMEM;
    reading->statement = statement;
    reading->code_start = reading->code.len;
    reading->line_start = line;
    reading->kind_said = false;
    statement->line = line;
    statement->rows = TAEL_SQL_ROWS_ANY;
    rc = copy_text(&statement->name, words[1]);
    if (rc == TAEL_OK)
        rc = copy_text(&statement->file, tael_span_of(reading->file));
    if (rc == TAEL_OK && tael_sql_find(reading->sql, statement->name) != NULL)
        rc = reading_wrong(reading, line, "this name is taken", words[1]);
    return rc;
}

/* "operator" alone may end a line. */
static tael_status header_tail(struct reading *reading, int line, const struct tael_span *words,
                               size_t count)
{
    if (count == 0)
        return TAEL_OK;
    if (count > 1 || !tael_span_is(words[0], "operator"))
        return reading_wrong(reading, line, "not understood:", words[0]);
    reading->statement->unscoped = true;
    return TAEL_OK;
}

static tael_status header_rows(struct reading *reading, int line, const struct tael_span *words,
                               size_t count)
{
    struct tael_statement *statement = reading->statement;
    if (reading->kind_said || count < 2)
        return reading_wrong(reading, line, "rows: N else word | N | any, once", nothing);
    reading->kind_said = true;
    statement->kind = TAEL_SQL_WRITE;
    if (tael_span_is(words[1], "any"))
        return header_tail(reading, line, words + 2, count - 2);
    if (tael_int64_parse(words[1].data, words[1].len, &statement->rows) != TAEL_OK ||
        statement->rows < 0)
        return reading_wrong(reading, line, "not a number of rows:", words[1]);
    if (count >= 3 && tael_span_is(words[2], "else")) {
        if (count < 4 || !name_is_good(words[3], false))
            return reading_wrong(reading, line, "else needs a word of a-z, 0-9 and '_'", nothing);
        tael_status rc = copy_text(&statement->otherwise, words[3]);
        return rc == TAEL_OK ? header_tail(reading, line, words + 4, count - 4) : rc;
    }
    return header_tail(reading, line, words + 2, count - 2);
}

static tael_status header_read(struct reading *reading, int line, const struct tael_span *words,
                               size_t count)
{
    if (reading->kind_said)
        return reading_wrong(reading, line, "one of rows: and read, once", nothing);
    reading->kind_said = true;
    bool list = count >= 2 && tael_span_is(words[1], "list");
    reading->statement->kind = list ? TAEL_SQL_LIST : TAEL_SQL_READ;
    size_t used = list ? 2 : 1;
    return header_tail(reading, line, words + used, count - used);
}

static tael_status header_bytes(struct reading *reading, int line, const struct tael_span *words,
                                size_t count)
{
    if (count < 2)
        return reading_wrong(reading, line, "bytes: needs names", nothing);
    for (size_t i = 1; i < count; i++) {
        if (reading->bytes_count == TAEL_SQL_PARAMS_MAX)
            return reading_wrong(reading, line, "too many names", nothing);
        tael_status rc = copy_text(&reading->bytes[reading->bytes_count].name, words[i]);
        if (rc != TAEL_OK)
            return rc;
        reading->bytes[reading->bytes_count++].line = line;
    }
    return TAEL_OK;
}

static tael_status header_operator(struct reading *reading, int line, const struct tael_span *words,
                                   size_t count)
{
    return header_tail(reading, line, words, count);
}

static const struct {
    const char *word, *spelt; /* spelt: as it must be written */
    tael_status (*take)(struct reading *reading, int line, const struct tael_span *words,
                        size_t count);
} headers[] = {
    {"name", "name:", header_name},
    {"rows", "rows:", header_rows},
    {"read", "read", header_read},
    {"bytes", "bytes:", header_bytes},
    {"operator", "operator", header_operator},
};

static tael_status take_comment(void *user, int line, struct tael_span text)
{
    struct reading *reading = user;
    struct tael_span words[WORDS_MAX];
    size_t count = split_words(text, words);
    if (count == 0)
        return TAEL_OK;
    struct tael_span first = words[0];
    if (first.data[first.len - 1] == ':')
        first.len--;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (!tael_span_is(first, headers[i].word))
            continue;
        if (!tael_span_is(words[0], headers[i].spelt))
            return reading_wrong(reading, line, "a header is spelt",
                                 tael_span_of(headers[i].spelt));
        if (i > 0 && (reading->statement == NULL || !code_is_blank(reading)))
            return reading_wrong(reading, line, "a header stands between name: and SQL", nothing);
        return headers[i].take(reading, line, words, count);
    }
    return TAEL_OK;
}

tael_status tael_sql_parse(struct tael_sql *sql, const char *file, struct tael_span text,
                           tael_error *err)
{
    struct reading reading = {.sql = sql, .file = file, .err = err};
    struct tael_sql_place place = {file, 1, err};
    tael_status rc =
        tael_sql_strip(&reading.code, sql->dialect, place, text, take_comment, &reading);
    if (rc == TAEL_OK && reading.statement == NULL && !code_is_blank(&reading))
        rc = reading_wrong(&reading, 1, "SQL without a name", nothing);
    if (rc == TAEL_OK)
        rc = finish_statement(&reading);
    if (rc == TAEL_ENOMEM)
        tael_store_fail(err, rc, "memory", "%s: out of memory", file);
    drop_bytes(&reading);
    statement_free(reading.statement);
    tael_buf_free(&reading.code);
    return rc;
}

/* ---- files ---- */

static tael_status read_file(struct tael_buf *out, const char *path, tael_error *err)
{
    char piece[4096];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return tael_store_fail(err, errno == ENOENT ? TAEL_ENOTFOUND : TAEL_ECONFIG, "store_sql",
                               "%s: %s", path, strerror(errno));
    tael_status rc = TAEL_OK;
    for (size_t len = 1; rc == TAEL_OK && len > 0;) {
        len = fread(piece, 1, sizeof(piece), file);
        rc = tael_buf_append(out, piece, len);
    }
    if (rc != TAEL_OK)
        tael_store_fail(err, rc, "store_sql", "%s: %s", path,
                        rc == TAEL_ELIMIT ? "file is too large" : "out of memory");
    else if (ferror(file))
        rc = tael_store_fail(err, TAEL_ECONFIG, "store_sql", "%s: cannot be read", path);
    fclose(file);
    return rc;
}

tael_status tael_sql_load(struct tael_sql *sql, const char *path, tael_error *err)
{
    struct tael_buf text = {.max = TAEL_SQL_FILE_MAX};
    tael_status rc = read_file(&text, path, err);
    if (rc == TAEL_OK && text.len > 0)
        rc = tael_sql_parse(sql, path, (struct tael_span){text.data, text.len}, err);
    tael_buf_free(&text);
    return rc;
}

/* ---- migrations ---- */

/* FNV-1a over words and signs, blanks as one: it shows a migration that was changed by mistake. */
static void digest_code(char out[17], struct tael_span code)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    bool blank = true;
    for (size_t i = 0; i < code.len; i++) {
        char c = code.data[i];
        bool was_blank = blank;
        blank = strchr(" \t\r\n", c) != NULL;
        if (blank && was_blank)
            continue;
        hash = (hash ^ (unsigned char)(blank ? ' ' : c)) * UINT64_C(0x100000001b3);
    }
    if (!blank)
        hash = (hash ^ ' ') * UINT64_C(0x100000001b3);
    snprintf(out, 17, "%016" PRIx64, hash);
}

static tael_status migration_name(struct tael_migration *out, const char *path, tael_error *err)
{
    const char *base = strrchr(path, '/');
    base = base != NULL ? base + 1 : path;
    size_t len = strlen(base);
    size_t digits = strspn(base, "0123456789");
    if (digits != 4 || base[4] != '_' || len < 10 || strcmp(base + len - 4, ".sql") != 0)
        return tael_store_fail(err, TAEL_ECONFIG, "store_migration",
                               "%s: a migration is named NNNN_word.sql", path);
    for (size_t i = 0; i < digits; i++)
        out->number = out->number * 10 + (base[i] - '0');
    out->file = strdup(path);
    out->name = strndup(base, len - 4);
    return out->file != NULL && out->name != NULL ? TAEL_OK : TAEL_ENOMEM;
}

tael_status tael_migration_parse(struct tael_migration *out, enum tael_sql_dialect dialect,
                                 const char *scope, const char *path, struct tael_span text,
                                 tael_error *err)
{
    struct tael_buf code = {0}, compiled = {0};
    struct tael_sql_place place = {path, 1, err};
    *out = (struct tael_migration){0};
    tael_status rc = migration_name(out, path, err);
    if (rc == TAEL_OK)
        rc = tael_sql_strip(&code, dialect, place, text, NULL, NULL);
    struct tael_span bare = {code.data, code.len};
    if (rc == TAEL_OK)
        rc = tael_sql_compile_schema(&compiled, dialect, scope, place, bare);
    if (rc == TAEL_OK)
        rc = tael_buf_append_char(&compiled, '\0');
    if (rc == TAEL_OK) {
        digest_code(out->digest, bare);
        out->text = compiled.data;
    } else {
        if (rc == TAEL_ENOMEM)
            tael_store_fail(err, rc, "memory", "%s: out of memory", path);
        tael_buf_free(&compiled);
        tael_migration_free(out);
    }
    tael_buf_free(&code);
    return rc;
}

tael_status tael_migration_load(struct tael_migration *out, enum tael_sql_dialect dialect,
                                const char *scope, const char *path, tael_error *err)
{
    struct tael_buf text = {.max = TAEL_SQL_FILE_MAX};
    *out = (struct tael_migration){0};
    tael_status rc = read_file(&text, path, err);
    if (rc == TAEL_OK && text.len == 0)
        rc = tael_store_fail(err, TAEL_ECONFIG, "store_migration", "%s: empty", path);
    if (rc == TAEL_OK)
        rc = tael_migration_parse(out, dialect, scope, path,
                                  (struct tael_span){text.data, text.len}, err);
    tael_buf_free(&text);
    return rc;
}

void tael_migration_free(struct tael_migration *migration)
{
    free(migration->name);
    free(migration->file);
    free(migration->text);
    *migration = (struct tael_migration){0};
}
