/* group.c - how many rows a second SQLite inserts with `rows` of them to a durable commit: WAL,
 * FULL. Prints one number. usage: group FILE ROWS SECONDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sqlite3.h>

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static _Noreturn void give_up(sqlite3 *db)
{
    fprintf(stderr, "group: %s\n", sqlite3_errmsg(db));
    exit(2);
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        give_up(db);
}

static void insert_group(sqlite3 *db, sqlite3_stmt *insert, long rows, long first)
{
    char order[32];
    run(db, "BEGIN IMMEDIATE");
    for (long i = 0; i < rows; i++) {
        int len = snprintf(order, sizeof(order), "P%09ld", first + i);
        if (sqlite3_bind_text(insert, 1, order, len, SQLITE_STATIC) != SQLITE_OK ||
            sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK)
            give_up(db);
    }
    run(db, "COMMIT");
}

int main(int argc, char **argv)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    if (argc != 4) {
        fputs("usage: group FILE ROWS SECONDS\n", stderr);
        return 2;
    }
    if (sqlite3_open(argv[1], &db) != SQLITE_OK)
        give_up(db);
    run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, merchant_order_id TEXT NOT NULL UNIQUE,"
            " amount INTEGER NOT NULL, subject TEXT NOT NULL)");
    if (sqlite3_prepare_v2(db, "INSERT INTO orders VALUES (NULL, ?1, 100, 'subject of the order')",
                           -1, &insert, NULL) != SQLITE_OK)
        give_up(db);
    long rows = atol(argv[2]), done = 0;
    double start = now(), end = start + atof(argv[3]);
    while (now() < end) {
        insert_group(db, insert, rows, done);
        done += rows;
    }
    printf("%.0f\n", (double)done / (now() - start));
    sqlite3_finalize(insert);
    sqlite3_close(db);
    return 0;
}
