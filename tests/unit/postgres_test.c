/* postgres_test.c - every migration and statement on a real PostgreSQL, and its guards for real.
 *
 * Two sets are run: the tests' own, whose outcomes are known to the letter, and the engine's in
 * lua/tael/sql (TAEL_SQL names another folder), of which every statement is prepared, its
 * parameters compared with its header, and run once with made-up values.
 */
#include <stdarg.h>

#include <glob.h>

#include "postgres_fixture.h"
#include "store/sql.h"
#include "tap.h"

enum { INT8 = 20, TEXT_TYPE = 25, BYTEA = 17 }; /* PostgreSQL's numbers of types */

struct set {
    PGconn *connection;
    struct tael_sql *sql;
};

static bool run_text(PGconn *connection, const char *what, const char *text)
{
    PGresult *result = PQexec(connection, text);
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!good)
        printf("# %s: %s", what, PQresultErrorMessage(result));
    PQclear(result);
    return good;
}

static bool run_file(PGconn *connection, const char *path)
{
    char text[8192];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    return run_text(connection, path, text);
}

/* A database of its own, with guard.sql in it. */
static bool set_open(struct set *set, const struct server *server, const char *name)
{
    char text[64];
    *set = (struct set){0};
    PGconn *first = connect_to(server, "postgres");
    snprintf(text, sizeof(text), "CREATE DATABASE %s", name);
    bool good = first != NULL && run_text(first, name, text);
    PQfinish(first);
    set->connection = good ? connect_to(server, name) : NULL;
    return set->connection != NULL &&
           tael_sql_new(&set->sql, TAEL_SQL_POSTGRES, "merchant") == TAEL_OK &&
           run_text(set->connection, name, "SET client_min_messages = warning") &&
           run_file(set->connection, "engine/store/guard.sql");
}

static void set_close(struct set *set)
{
    PQfinish(set->connection);
    tael_sql_free(set->sql);
}

/* ---- migrations and statements of a folder ---- */

static bool migrate(struct set *set, const char *path)
{
    struct tael_migration migration;
    tael_error err = {0};
    if (tael_migration_load(&migration, TAEL_SQL_POSTGRES, "merchant", path, &err) != TAEL_OK) {
        printf("# %s\n", err.message);
        return false;
    }
    bool good = run_text(set->connection, path, migration.text);
    tael_migration_free(&migration);
    return good;
}

static bool load(struct set *set, const char *path)
{
    tael_error err = {0};
    bool good = tael_sql_load(set->sql, path, &err) == TAEL_OK;
    if (!good)
        printf("# %s\n", err.message);
    return good;
}

static size_t each(struct set *set, const char *folder, const char *pattern,
                   bool (*take)(struct set *set, const char *path))
{
    char path[512];
    glob_t found = {0};
    snprintf(path, sizeof(path), "%s/%s", folder, pattern);
    if (glob(path, 0, NULL, &found) != 0)
        return 0;
    size_t count = found.gl_pathc;
    for (size_t i = 0; i < count; i++)
        CHECK_NAMED(take(set, found.gl_pathv[i]), found.gl_pathv[i]);
    globfree(&found);
    return count;
}

/* What PostgreSQL made of each parameter must be what the header says of it. */
static bool types_fit(const struct set *set, const struct tael_statement *statement)
{
    bool fit = true;
    PGresult *result = PQdescribePrepared(set->connection, statement->name);
    for (size_t i = 0; i < statement->param_count; i++) {
        const struct tael_param *param = &statement->params[i];
        Oid type = PQparamtype(result, (int)i);
        bool good = param->kind != TAEL_PARAM_GIVEN ? type == INT8
                    : param->bytes                  ? type == BYTEA
                                                    : type == INT8 || type == TEXT_TYPE;
        if (!good)
            printf("# %s:%d: %s: parameter %s is of type %u\n", statement->file, statement->line,
                   statement->name, param->name, type);
        fit = fit && good;
    }
    PQclear(result);
    return fit;
}

static bool prepare(const struct set *set, const struct tael_statement *statement)
{
    PGresult *result = PQprepare(set->connection, statement->name, statement->text, 0, NULL);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!good)
        printf("# %s:%d: %s: %s", statement->file, statement->line, statement->name,
               PQresultErrorMessage(result));
    PQclear(result);
    return good && types_fit(set, statement);
}

/* Empty: it ran; else what PostgreSQL said. Made-up values: each by its type. */
static void run_blindly(const struct set *set, const struct tael_statement *statement,
                        char state[6])
{
    const char *values[TAEL_SQL_PARAMS_MAX];
    PGresult *about = PQdescribePrepared(set->connection, statement->name);
    for (size_t i = 0; i < statement->param_count; i++) {
        Oid type = PQparamtype(about, (int)i);
        values[i] = type == INT8 ? "1" : type == BYTEA ? "\\x00" : "x";
    }
    PQclear(about);
    run_text(set->connection, statement->name, "BEGIN");
    PGresult *result = PQexecPrepared(set->connection, statement->name, (int)statement->param_count,
                                      values, NULL, NULL, 0);
    const char *said = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(state, 6, "%s", said != NULL ? said : "");
    if (strcmp(state, "TL001") == 0 &&
        strcmp(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), statement->name) != 0)
        snprintf(state, 6, "name?");
    PQclear(result);
    run_text(set->connection, statement->name, "ROLLBACK");
}

/* It runs, its own guard fails, or a constraint of the schema does. */
static bool runs(const struct set *set, const struct tael_statement *statement)
{
    char state[6];
    run_blindly(set, statement, state);
    bool guarded = statement->kind == TAEL_SQL_WRITE && statement->rows != TAEL_SQL_ROWS_ANY;
    bool good = state[0] == '\0' || (guarded && strcmp(state, "TL001") == 0) ||
                (statement->kind == TAEL_SQL_WRITE && strncmp(state, "23", 2) == 0);
    if (!good)
        printf("# %s:%d: %s: SQLSTATE %s\n", statement->file, statement->line, statement->name,
               state);
    return good;
}

/* A folder of statements and its migrations, whole; number of statements. */
static size_t take_folder(struct set *set, const char *folder)
{
    each(set, folder, "migrations/*.sql", migrate);
    each(set, folder, "*.sql", load);
    size_t count = tael_sql_count(set->sql);
    for (size_t i = 0; i < count; i++) {
        const struct tael_statement *statement = tael_sql_at(set->sql, i);
        bool prepared = prepare(set, statement);
        CHECK_NAMED(prepared, statement->name);
        if (prepared)
            CHECK_NAMED(runs(set, statement), statement->name);
    }
    return count;
}

/* ---- guards for real ---- */

struct outcome {
    char state[6];     /* SQLSTATE of the first that failed; empty: all ran */
    char message[128]; /* its words */
    char constraint[64];
    int rows;       /* of the last statement that gave any */
    char value[64]; /* first of its first row */
};

struct call {
    const char *name;
    const char *values[20]; /* by name and value: "item", "1", …, NULL */
};

static void take_result(struct outcome *outcome, PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state != NULL && outcome->state[0] == '\0') {
        const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        snprintf(outcome->state, sizeof(outcome->state), "%s", state);
        snprintf(outcome->message, sizeof(outcome->message), "%s", message);
        snprintf(outcome->constraint, sizeof(outcome->constraint), "%s",
                 constraint != NULL ? constraint : "");
    }
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        outcome->rows = PQntuples(result);
        if (outcome->rows > 0)
            snprintf(outcome->value, sizeof(outcome->value), "%s", PQgetvalue(result, 0, 0));
    }
}

static const char *value_of(const struct call *call, const char *param)
{
    static int stamp = 1000;
    static char stamps[64][16];
    for (size_t i = 0; call->values[i] != NULL; i += 2)
        if (strcmp(call->values[i], param) == 0)
            return call->values[i + 1];
    if (strncmp(param, "seq_", 4) != 0)
        return strcmp(param, "merchant") == 0 ? "7" : NULL;
    char *text = stamps[stamp % 64];
    snprintf(text, 16, "%d", stamp++);
    return text;
}

/* A unit as it will be sent: one segment of a pipeline, ended by a sync, committed or undone whole.
 */
static struct outcome unit(const struct set *set, const struct call *calls, size_t count)
{
    struct outcome outcome = {0};
    PQenterPipelineMode(set->connection);
    for (size_t i = 0; i < count; i++) {
        const char *values[TAEL_SQL_PARAMS_MAX];
        const struct tael_statement *statement = tael_sql_find(set->sql, calls[i].name);
        for (size_t k = 0; k < statement->param_count; k++)
            values[k] = value_of(&calls[i], statement->params[k].name);
        PQsendQueryPrepared(set->connection, statement->name, (int)statement->param_count, values,
                            NULL, NULL, 0);
    }
    PQpipelineSync(set->connection);
    for (bool synced = false; !synced;) {
        PGresult *result = PQgetResult(set->connection);
        if (result == NULL)
            continue; /* between two statements */
        synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (!synced)
            take_result(&outcome, result);
        synced = synced || PQstatus(set->connection) != CONNECTION_OK;
        PQclear(result);
    }
    PQexitPipelineMode(set->connection);
    return outcome;
}

#define UNIT(set, ...)                                                                             \
    unit((set), (const struct call[]){__VA_ARGS__},                                                \
         sizeof((const struct call[]){__VA_ARGS__}) / sizeof(struct call))

static bool is(const char *text, const char *want)
{
    return strcmp(text, want) == 0;
}

static void guards_undo_their_unit(const struct set *set)
{
    struct outcome outcome;
    outcome = UNIT(set, {"item.insert", {"item", "1", "name", "one", "amount", "10"}},
                   {"note.insert", {"item", "1", "note", "first"}});
    CHECK(is(outcome.state, ""));
    outcome = UNIT(set, {"note.insert", {"item", "1", "note", "undone"}},
                   {"item.take", {"item", "1", "taken", "11"}},
                   {"note.insert", {"item", "1", "note", "never"}});
    CHECK(is(outcome.state, "TL001") && is(outcome.message, "item.take"));
    outcome = UNIT(set, {"note.of_item", {"item", "1"}});
    CHECK(outcome.rows == 1);
    outcome = UNIT(set, {"item.take", {"item", "1", "taken", "4"}});
    CHECK(is(outcome.state, ""));
    outcome = UNIT(set, {"item.take", {"merchant", "8", "item", "1", "taken", "4"}});
    CHECK(is(outcome.state, "TL001"));
    outcome = UNIT(set, {"item.offer", {"item", "2", "name", "one", "amount", "5"}});
    CHECK(is(outcome.state, "TL001") && is(outcome.message, "item.offer"));
    outcome = UNIT(set, {"item.offer", {"item", "2", "name", "two", "amount", "5"}});
    CHECK(is(outcome.state, ""));
    outcome = UNIT(set, {"note.insert_pair", {"item", "1", "note", "pair"}});
    CHECK(is(outcome.state, ""));
    outcome = UNIT(set, {"note.of_item", {"item", "1"}});
    CHECK(outcome.rows == 3);
}

static void constraints_stand_behind_guards(const struct set *set)
{
    struct outcome outcome;
    outcome = UNIT(set, {"item.insert", {"item", "3", "name", "one", "amount", "1"}});
    CHECK(is(outcome.state, "23505") && is(outcome.constraint, "items_name"));
    outcome = UNIT(set, {"item.insert", {"item", "1", "name", "three", "amount", "1"}});
    CHECK(is(outcome.state, "23505") && is(outcome.constraint, "items_pkey"));
    outcome = UNIT(set, {"item.take_blindly", {"item", "1", "taken", "11"}});
    CHECK(is(outcome.state, "23514") && is(outcome.constraint, "items_amount_check"));
    outcome = UNIT(set, {"item.insert", {"item", "3", "amount", "1"}});
    CHECK(is(outcome.state, "23502"));
}

static void guarded_returning_gives_its_rows(const struct set *set)
{
    struct outcome outcome;
    outcome = UNIT(set, {"item.give", {"item", "1", "given", "5"}});
    CHECK(is(outcome.state, "") && outcome.rows == 1 && is(outcome.value, "1"));
    outcome = UNIT(set, {"note.insert", {"item", "1", "note", "undone"}},
                   {"item.give", {"item", "9", "given", "5"}});
    CHECK(is(outcome.state, "TL001") && is(outcome.message, "item.give"));
    outcome = UNIT(set, {"item.give_all", {"given", "0"}});
    CHECK(is(outcome.state, "") && outcome.rows == 2);
    outcome = UNIT(set, {"item.count", {NULL}});
    CHECK(outcome.rows == 1 && is(outcome.value, "2"));
}

static void the_tests_own_statements(const struct server *server)
{
    struct set set;
    bool open = set_open(&set, server, "own");
    CHECK(open);
    if (open) {
        CHECK(take_folder(&set, "tests/unit/store_sql") == 17);
        guards_undo_their_unit(&set);
        constraints_stand_behind_guards(&set);
        guarded_returning_gives_its_rows(&set);
    }
    set_close(&set);
}

/* ---- the last place of a day, wanted by several at once ---- */

enum { WANTING = 4, PLACES = 3 };

/* Sends the statement that takes a place; several wait for each other at the server. */
static bool want_place(const struct set *set, PGconn *connection, const char *id)
{
    const struct call call = {"counter.take",
                              {"id", id, "subject", "\\x6c", "span", "86400000", "bucket", "0",
                               "currency", "", "attempts", "1", "amount", "0", "most", "3",
                               "most_amount", "0"}};
    const char *values[TAEL_SQL_PARAMS_MAX];
    const struct tael_statement *take = tael_sql_find(set->sql, call.name);
    for (size_t i = 0; i < take->param_count; i++)
        values[i] = value_of(&call, take->params[i].name);
    return PQsendQueryParams(connection, take->text, (int)take->param_count, NULL, values, NULL,
                             NULL, 0) == 1;
}

static struct outcome outcome_of(PGconn *connection)
{
    struct outcome outcome = {0};
    for (PGresult *result; (result = PQgetResult(connection)) != NULL; PQclear(result))
        take_result(&outcome, result);
    return outcome;
}

/* One holds a place that is not committed yet; the others want what is left when it ends so. */
static void race_for_places(const struct set *set, PGconn **connections, const char *ends)
{
    static const char *const ids[WANTING] = {"101", "102", "103", "104"};
    int taken = 0, refused = 0;
    run_text(set->connection, "clean", "DELETE FROM counters");
    run_text(connections[0], "begin", "BEGIN");
    CHECK(want_place(set, connections[0], ids[0]));
    CHECK(is(outcome_of(connections[0]).state, ""));
    for (size_t i = 1; i < WANTING; i++)
        CHECK(want_place(set, connections[i], ids[i]));
    run_text(connections[0], "end", ends);
    for (size_t i = 1; i < WANTING; i++) {
        struct outcome outcome = outcome_of(connections[i]);
        taken += is(outcome.state, "");
        refused += is(outcome.state, "TL001") && is(outcome.message, "counter.take");
    }
    bool kept = is(ends, "COMMIT");
    CHECK(taken == PLACES - kept && refused == kept);
    PQsendQuery(set->connection, "SELECT attempts FROM counters");
    struct outcome outcome = outcome_of(set->connection);
    CHECK(outcome.rows == 1 && is(outcome.value, "3"));
}

static void the_last_place_is_one_s(const struct set *set, const struct server *server)
{
    PGconn *connections[WANTING] = {0};
    bool open = true;
    for (size_t i = 0; i < WANTING; i++) {
        connections[i] = connect_to(server, "engine");
        open = open && connections[i] != NULL;
    }
    CHECK(open);
    if (open) {
        race_for_places(set, connections, "COMMIT");
        race_for_places(set, connections, "ROLLBACK");
    }
    for (size_t i = 0; i < WANTING; i++)
        PQfinish(connections[i]);
}

static void the_engine_s_statements(const struct server *server)
{
    struct set set;
    const char *folder = getenv("TAEL_SQL");
    bool open = set_open(&set, server, "engine");
    CHECK(open);
    if (open) {
        printf("# %zu statements of the engine\n",
               take_folder(&set, folder != NULL ? folder : "lua/tael/sql"));
        if (tael_sql_find(set.sql, "counter.take") != NULL)
            the_last_place_is_one_s(&set, server);
    }
    set_close(&set);
}

int main(void)
{
    struct server server;
    bool started = server_start(&server);
    CHECK(started);
    if (started) {
        the_tests_own_statements(&server);
        the_engine_s_statements(&server);
    } else {
        print_log(&server);
    }
    server_end(&server);
    return tap_end();
}
