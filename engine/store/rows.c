/* rows.c - a table of copied values.
 *
 * Owner: whoever got it from a read, or the unit whose statement returned it. No threads, no SQLite
 * after it was filled. 1 Values point into the table's own bytes. 2 A float is refused: nothing
 * here is one.
 */
#include <stdlib.h>
#include <string.h>

#include "store/inner.h"

struct cell {
    enum tael_value_kind kind;
    int64_t number; /* or where its bytes begin */
    size_t len;
};

struct tael_rows {
    size_t columns, count, cap;
    struct cell *cells;
    struct tael_buf bytes; /* column names, each with its NUL, then values */
    size_t names_len;
    size_t names[];
};

tael_status tael_rows_new(struct tael_rows **out, sqlite3_stmt *stmt)
{
    size_t columns = (size_t)sqlite3_column_count(stmt);
    struct tael_rows *rows = calloc(1, sizeof(*rows) + columns * sizeof(size_t));
    if (rows == NULL)
        return TAEL_ENOMEM;
    rows->columns = columns;
    rows->bytes.max = TAEL_ROWS_BYTES_MAX;
    tael_status rc = TAEL_OK;
    for (size_t i = 0; rc == TAEL_OK && i < columns; i++) {
        const char *name = sqlite3_column_name(stmt, (int)i);
        rows->names[i] = rows->bytes.len;
        rc = name != NULL ? tael_buf_append(&rows->bytes, name, strlen(name) + 1) : TAEL_ENOMEM;
    }
    rows->names_len = rows->bytes.len;
    if (rc == TAEL_OK)
        *out = rows;
    else
        tael_rows_free(rows);
    return rc;
}

tael_status tael_rows_like(struct tael_rows **out, const struct tael_rows *empty)
{
    enum { VALUES = 512 }; /* bytes that most rows have */
    size_t size = sizeof(*empty) + empty->columns * sizeof(size_t);
    struct tael_rows *rows = malloc(size);
    if (rows == NULL)
        return TAEL_ENOMEM;
    memcpy(rows, empty, size);
    rows->bytes = (struct tael_buf){.max = empty->bytes.max};
    tael_status rc = tael_buf_reserve(&rows->bytes, empty->names_len + VALUES);
    if (rc == TAEL_OK)
        rc = tael_buf_append(&rows->bytes, empty->bytes.data, empty->names_len);
    if (rc == TAEL_OK)
        *out = rows;
    else
        tael_rows_free(rows);
    return rc;
}

static tael_status rows_reserve(struct tael_rows *rows)
{
    if (rows->count < rows->cap)
        return TAEL_OK;
    size_t cap = rows->cap > 0 ? rows->cap * 4 : 1; /* mostly it is one */
    struct cell *cells = realloc(rows->cells, cap * rows->columns * sizeof(*cells));
    if (cells == NULL)
        return TAEL_ENOMEM;
    rows->cells = cells;
    rows->cap = cap;
    return TAEL_OK;
}

static tael_status cell_read(struct tael_rows *rows, struct cell *cell, sqlite3_stmt *stmt,
                             int column)
{
    const void *data = NULL;
    *cell = (struct cell){.kind = TAEL_VALUE_NULL};
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_NULL:
        return TAEL_OK;
    case SQLITE_INTEGER:
        cell->kind = TAEL_VALUE_INT;
        cell->number = sqlite3_column_int64(stmt, column);
        return TAEL_OK;
    case SQLITE_TEXT:
        cell->kind = TAEL_VALUE_TEXT;
        data = sqlite3_column_text(stmt, column);
        break;
    case SQLITE_BLOB:
        cell->kind = TAEL_VALUE_BYTES;
        data = sqlite3_column_blob(stmt, column);
        break;
    default:
        return TAEL_EINVAL;
    }
    cell->len = (size_t)sqlite3_column_bytes(stmt, column);
    if (data == NULL && cell->len > 0)
        return TAEL_ENOMEM;
    cell->number = (int64_t)rows->bytes.len;
    return cell->len > 0 ? tael_buf_append(&rows->bytes, data, cell->len) : TAEL_OK;
}

tael_status tael_rows_add(struct tael_rows *rows, sqlite3_stmt *stmt)
{
    if (rows->count == TAEL_ROWS_MAX)
        return TAEL_ELIMIT;
    tael_status rc = rows_reserve(rows);
    struct cell *cells = rows->cells + rows->count * rows->columns;
    for (size_t i = 0; rc == TAEL_OK && i < rows->columns; i++)
        rc = cell_read(rows, &cells[i], stmt, (int)i);
    if (rc == TAEL_OK)
        rows->count++;
    return rc;
}

size_t tael_rows_count(const struct tael_rows *rows)
{
    return rows->count;
}

size_t tael_rows_columns(const struct tael_rows *rows)
{
    return rows->columns;
}

const char *tael_rows_name(const struct tael_rows *rows, size_t column)
{
    return rows->bytes.data + rows->names[column];
}

struct tael_span tael_rows_names(const struct tael_rows *rows)
{
    return (struct tael_span){rows->bytes.data, rows->names_len};
}

struct tael_value tael_rows_value(const struct tael_rows *rows, size_t row, size_t column)
{
    const struct cell *cell = &rows->cells[row * rows->columns + column];
    struct tael_value value = {.kind = cell->kind};
    if (cell->kind == TAEL_VALUE_INT)
        value.number = cell->number;
    else if (cell->kind != TAEL_VALUE_NULL)
        value.bytes = (struct tael_span){rows->bytes.data + cell->number, cell->len};
    return value;
}

void tael_rows_free(struct tael_rows *rows)
{
    if (rows == NULL)
        return;
    free(rows->cells);
    tael_buf_free(&rows->bytes);
    free(rows);
}
