/* unit.c - units of work: built by their owner, then run statement by statement on the writer's
 * connection.
 *
 * Owner: the loop that made it, until it is submitted; then the store; from done on the loop again.
 * 1 A unit's values are its own copies: what was given may go at once. 2 Its outcome is set by
 * every run anew, and so are its stamps: only what the last run said counts. 3 A unit that acts for
 * a tenant binds that tenant; one that acts for none may only run statements for operators.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inner.h"

enum { CHUNK_MIN = 4096 };

tael_status tael_unit_new(struct tael_unit **out, struct tael_store *store, int64_t scope)
{
    struct tael_unit *unit = malloc(sizeof(*unit));
    if (unit == NULL)
        return TAEL_ENOMEM;
    memset(unit, 0, offsetof(struct tael_unit, space));
    unit->store = store;
    unit->scope = scope;
    unit->behind = &unit->first;
    *out = unit;
    return TAEL_OK;
}

void tael_unit_free(struct tael_unit *unit)
{
    if (unit == NULL)
        return;
    assert(!unit->submitted);
    for (struct tael_step *step = unit->first; step != NULL; step = step->next)
        tael_rows_free(step->rows);
    while (unit->chunks != NULL) {
        struct tael_chunk *chunk = unit->chunks;
        unit->chunks = chunk->next;
        free(chunk);
    }
    free(unit);
}

/* Memory that lives as long as the unit; NULL: none left. */
static void *unit_take(struct tael_unit *unit, size_t len)
{
    size_t whole = (len + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (whole <= sizeof(unit->space) - unit->space_len) {
        void *taken = unit->space + unit->space_len;
        unit->space_len += whole;
        return taken;
    }
    struct tael_chunk *chunk = unit->chunks;
    if (chunk == NULL || whole > chunk->cap - chunk->len) {
        size_t cap = whole > CHUNK_MIN ? whole : CHUNK_MIN;
        chunk = malloc(sizeof(*chunk) + cap);
        if (chunk == NULL)
            return NULL;
        *chunk = (struct tael_chunk){.next = unit->chunks, .cap = cap};
        unit->chunks = chunk;
    }
    void *taken = chunk->data + chunk->len;
    chunk->len += whole;
    return taken;
}

/* ---- values ---- */

/* Well-formed UTF-8 without NUL: what every database takes as text. */
static bool text_is_good(struct tael_span text)
{
    const unsigned char *at = (const unsigned char *)text.data, *end = at + text.len;
    while (at < end) {
        unsigned char c = *at++;
        if (c == 0)
            return false;
        if (c < 0x80)
            continue;
        size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || (size_t)(end - at) < more)
            return false;
        unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (*at < low || *at > high)
            return false;
        for (at++; --more > 0; at++)
            if ((*at & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static tael_status value_check(const struct tael_param *param, const struct tael_value *value)
{
    switch (value->kind) {
    case TAEL_VALUE_NULL:
    case TAEL_VALUE_INT:
        return TAEL_OK;
    case TAEL_VALUE_TEXT:
        return !param->bytes && text_is_good(value->bytes) ? TAEL_OK : TAEL_EINVAL;
    case TAEL_VALUE_BYTES:
        return param->bytes ? TAEL_OK : TAEL_EINVAL;
    }
    return TAEL_EINVAL;
}

tael_status tael_values_check(const struct tael_statement *statement, int64_t scope,
                              const struct tael_value *values)
{
    if (scope == 0 && !statement->unscoped)
        for (size_t i = 0; i < statement->param_count; i++)
            if (statement->params[i].kind == TAEL_PARAM_SCOPE)
                return TAEL_EINVAL;
    for (size_t i = 0; i < statement->param_count; i++) {
        const struct tael_param *param = &statement->params[i];
        tael_status rc = TAEL_OK;
        if (param->kind == TAEL_PARAM_GIVEN)
            rc = value_check(param, &values[i]);
        else if (param->kind == TAEL_PARAM_SCOPE && scope == 0)
            rc = values[i].kind == TAEL_VALUE_INT ? TAEL_OK : TAEL_EINVAL;
        if (rc != TAEL_OK)
            return rc;
    }
    return TAEL_OK;
}

static tael_status stamp_place(struct tael_unit *unit, const char *name, int64_t *place)
{
    size_t i = 0;
    while (i < unit->stamp_count && strcmp(unit->stamps[i].name, name) != 0)
        i++;
    if (i == TAEL_UNIT_STAMPS_MAX)
        return TAEL_ELIMIT;
    if (i == unit->stamp_count)
        unit->stamps[unit->stamp_count++] = (struct tael_stamp){.name = name};
    *place = (int64_t)i;
    return TAEL_OK;
}

static tael_status value_copy(struct tael_unit *unit, struct tael_value *out,
                              const struct tael_param *param, const struct tael_value *value)
{
    *out = (struct tael_value){.kind = TAEL_VALUE_INT, .number = unit->scope};
    if (param->kind == TAEL_PARAM_SEQ)
        return stamp_place(unit, param->name, &out->number);
    if (param->kind == TAEL_PARAM_SCOPE && unit->scope != 0)
        return TAEL_OK;
    *out = *value;
    if (value->kind != TAEL_VALUE_TEXT && value->kind != TAEL_VALUE_BYTES)
        return TAEL_OK;
    if (value->bytes.len > TAEL_UNIT_BYTES_MAX - unit->bytes)
        return TAEL_ELIMIT;
    unit->bytes += value->bytes.len;
    out->bytes.data = "";
    if (value->bytes.len == 0)
        return TAEL_OK;
    char *copy = unit_take(unit, value->bytes.len);
    if (copy == NULL)
        return TAEL_ENOMEM;
    memcpy(copy, value->bytes.data, value->bytes.len);
    out->bytes.data = copy;
    return TAEL_OK;
}

tael_status tael_unit_add(struct tael_unit *unit, const struct tael_statement *statement,
                          const struct tael_value *values)
{
    assert(!unit->submitted);
    if (statement->kind != TAEL_SQL_WRITE)
        return TAEL_EINVAL;
    if (unit->steps == TAEL_UNIT_STEPS_MAX)
        return TAEL_ELIMIT;
    tael_status rc = tael_values_check(statement, unit->scope, values);
    if (rc != TAEL_OK)
        return rc;
    struct tael_step *step = unit_take(unit, sizeof(*step));
    struct tael_value *copies =
        unit_take(unit, (statement->param_count + 1) * sizeof(struct tael_value));
    if (step == NULL || copies == NULL)
        return TAEL_ENOMEM;
    *step = (struct tael_step){.statement = statement, .values = copies};
    for (size_t i = 0; rc == TAEL_OK && i < statement->param_count; i++)
        rc = value_copy(unit, &copies[i], &statement->params[i], &values[i]);
    if (rc != TAEL_OK)
        return rc;
    *unit->behind = step;
    unit->behind = &step->next;
    unit->steps++;
    return TAEL_OK;
}

/* ---- running ---- */

void tael_unit_fail(struct tael_unit *unit, tael_status status)
{
    unit->outcome = (struct tael_unit_outcome){.status = status};
}

static enum tael_verdict refuse(struct tael_unit *unit, const struct tael_step *step,
                                tael_status status, bool wrote)
{
    unit->outcome =
        (struct tael_unit_outcome){.status = status, .statement = step->statement->name};
    if (status == TAEL_ENOTFOUND)
        unit->outcome.otherwise = step->statement->otherwise;
    else if (status == TAEL_EINVAL)
        unit->outcome.constraint = unit->constraint;
    return wrote ? TAEL_UNIT_UNDO : TAEL_UNIT_REFUSED;
}

/* "UNIQUE constraint failed: t.a, t.b" is kept as "UNIQUE t.a, t.b". */
static void keep_constraint(struct tael_unit *unit, const char *message)
{
    static const char cut[] = " constraint failed: ";
    const char *at = strstr(message, cut);
    if (at != NULL)
        snprintf(unit->constraint, sizeof(unit->constraint), "%.*s %s", (int)(at - message),
                 message, at + strlen(cut));
    else
        snprintf(unit->constraint, sizeof(unit->constraint), "%s", message);
}

/* The statement has failed with code. */
static enum tael_verdict judge(struct tael_unit *unit, const struct tael_step *step,
                               struct tael_db *db, int code, bool wrote)
{
    if (sqlite3_get_autocommit(db->handle) != 0) { /* the transaction is gone already */
        tael_db_saw(db, code);
        return TAEL_UNIT_LOST;
    }
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        keep_constraint(unit, sqlite3_errmsg(db->handle));
        return refuse(unit, step, TAEL_EINVAL, wrote);
    case SQLITE_TOOBIG:
        return refuse(unit, step, TAEL_ELIMIT, wrote);
    case SQLITE_ERROR:
        TAEL_LOG(unit->store->log, TAEL_LOG_ERROR, "store.statement_failed",
                 tael_log_text("statement", step->statement->name),
                 tael_log_text("message", sqlite3_errmsg(db->handle)));
        return refuse(unit, step, TAEL_ESTORE, wrote);
    default:
        tael_db_saw(db, code);
        return TAEL_UNIT_LOST;
    }
}

static int step_bind(struct tael_unit *unit, const struct tael_step *step, sqlite3_stmt *stmt)
{
    const struct tael_statement *statement = step->statement;
    int code = SQLITE_OK;
    for (size_t i = 0; code == SQLITE_OK && i < statement->param_count; i++) {
        if (statement->params[i].kind == TAEL_PARAM_SEQ)
            code = sqlite3_bind_int64(stmt, (int)i + 1, unit->stamps[step->values[i].number].value);
        else
            code = tael_db_bind(stmt, (int)i + 1, &step->values[i]);
    }
    return code;
}

static tael_status step_rows(struct tael_step *step, struct tael_db *db, sqlite3_stmt *stmt,
                             int *code)
{
    tael_status rc = TAEL_OK;
    if (step->statement->returning)
        rc = tael_db_rows(db, step->statement, stmt, &step->rows);
    while (rc == TAEL_OK && (*code = sqlite3_step(stmt)) == SQLITE_ROW)
        if (step->rows != NULL)
            rc = tael_rows_add(step->rows, stmt);
    return rc;
}

static enum tael_verdict step_run(struct tael_unit *unit, struct tael_step *step,
                                  struct tael_db *db, bool *wrote)
{
    const struct tael_statement *statement = step->statement;
    sqlite3_stmt *stmt = db->stmts[statement->idx];
    tael_rows_free(step->rows);
    step->rows = NULL;
    int code = step_bind(unit, step, stmt);
    tael_status rc = TAEL_OK;
    if (code == SQLITE_OK)
        rc = step_rows(step, db, stmt, &code);
    enum tael_verdict verdict = TAEL_UNIT_DONE;
    if (rc == TAEL_ENOMEM)
        verdict = TAEL_UNIT_LOST;
    else if (rc != TAEL_OK)
        verdict = refuse(unit, step, rc == TAEL_ELIMIT ? TAEL_ELIMIT : TAEL_ESTORE, true);
    else if (code != SQLITE_DONE)
        verdict = judge(unit, step, db, code, *wrote);
    sqlite3_reset(stmt);
    if (verdict != TAEL_UNIT_DONE)
        return verdict;
    sqlite3_int64 changes = sqlite3_changes64(db->handle);
    *wrote = *wrote || changes > 0;
    if (statement->rows != TAEL_SQL_ROWS_ANY && changes != statement->rows)
        return refuse(unit, step, TAEL_ENOTFOUND, *wrote);
    return TAEL_UNIT_DONE;
}

enum tael_verdict tael_unit_run(struct tael_unit *unit, struct tael_db *db)
{
    enum tael_verdict verdict = TAEL_UNIT_DONE;
    bool wrote = false;
    tael_unit_fail(unit, TAEL_OK);
    for (size_t i = 0; i < unit->stamp_count; i++)
        unit->stamps[i].value = tael_store_next_id(unit->store);
    for (struct tael_step *step = unit->first; step != NULL && verdict == TAEL_UNIT_DONE;
         step = step->next)
        verdict = step_run(unit, step, db, &wrote);
    return verdict;
}

/* ---- what came of it ---- */

const struct tael_unit_outcome *tael_unit_outcome(const struct tael_unit *unit)
{
    return &unit->outcome;
}

int64_t tael_unit_stamp(const struct tael_unit *unit, const char *name)
{
    for (size_t i = 0; i < unit->stamp_count; i++)
        if (strcmp(unit->stamps[i].name, name) == 0)
            return unit->stamps[i].value;
    return 0;
}

const struct tael_rows *tael_unit_rows(const struct tael_unit *unit, size_t idx)
{
    const struct tael_step *step = unit->first;
    while (step != NULL && idx-- > 0)
        step = step->next;
    return step != NULL ? step->rows : NULL;
}
