/* store_open_test.c - opening: one owner, private files, migrations, what is refused and how it is
 * said. */
#include <stdlib.h>
#include <time.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/log.h"
#include "store_fixture.h"

static int mode_of(const struct fixture *fixture, const char *suffix)
{
    char path[128];
    struct stat about;
    snprintf(path, sizeof(path), "%s%s", fixture->path, suffix);
    return stat(path, &about) == 0 ? (int)(about.st_mode & 0777) : -1;
}

static void a_file_has_one_owner(void)
{
    struct fixture fixture, other;
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    other = fixture;
    other.store = NULL;
    other.reader = NULL;
    CHECK(fixture_open(&other, &err) == TAEL_EBUSY);
    CHECK(is(err.code, "store_locked") && strstr(err.message, fixture.path) != NULL);
    CHECK(strstr(err.message, "in use by another engine, process ") != NULL);
    CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_OK); /* the owner noticed nothing */
    fixture_close(&fixture);
    CHECK(fixture_open(&fixture, &err) == TAEL_OK);
    fixture_end(&fixture);
}

/* The log lies beside the file, wherever links to it are: so does the lock. */
static void whoever_comes_by_a_link_finds_the_owner(void)
{
    struct fixture fixture, other;
    char path[sizeof(fixture.path) + 16];
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    snprintf(path, sizeof(path), "%s-link", fixture.path);
    fixture_must(symlink(fixture.path, path) == 0, "symlink");
    other = fixture;
    other.options.path = path;
    other.store = NULL;
    other.reader = NULL;
    CHECK(fixture_open(&other, &err) == TAEL_EBUSY && is(err.code, "store_locked"));
    fixture_close(&fixture);
    fixture.options.path = path;
    fixture_must_open(&fixture);
    CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_OK);
    CHECK(mode_of(&fixture, ".lock") == 0600 && mode_of(&fixture, "-link.lock") == -1);
    fixture_close(&fixture);
    CHECK(unlink(path) == 0);
    fixture_end(&fixture);
}

/* So it is of the first start, too, which makes the file that the link leads to. */
static void a_link_to_what_is_not_there_yet_has_the_same_lock(void)
{
    struct fixture fixture, other;
    char path[sizeof(fixture.path) + 16];
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    snprintf(path, sizeof(path), "%s-link", fixture.path);
    fixture_must(symlink(fixture.path, path) == 0, "symlink");
    other = fixture;
    fixture.options.path = path;
    fixture_must_open(&fixture);
    CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_OK);
    CHECK(fixture_open(&other, &err) == TAEL_EBUSY && is(err.code, "store_locked"));
    other.options.path = path;
    CHECK(fixture_open(&other, &err) == TAEL_EBUSY && is(err.code, "store_locked"));
    CHECK(mode_of(&fixture, ".lock") == 0600 && mode_of(&fixture, "-link.lock") == -1);
    fixture_close(&fixture);
    CHECK(unlink(path) == 0);
    fixture_end(&fixture);
}

/* An engine of before has its lock beside the link: who comes after finds it, or is handed it. */
static void a_lock_beside_a_link_is_heeded(void)
{
    struct fixture fixture, other;
    char path[sizeof(fixture.path) + 16], lock[sizeof(path) + 8];
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    fixture_close(&fixture);
    snprintf(path, sizeof(path), "%s-link", fixture.path);
    snprintf(lock, sizeof(lock), "%s.lock", path);
    fixture_must(symlink(fixture.path, path) == 0, "symlink");
    int old = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    fixture_must(old >= 0 && flock(old, LOCK_EX) == 0, "a lock");
    fixture.options.path = path;
    CHECK(fixture_open(&fixture, &err) == TAEL_EBUSY && is(err.code, "store_locked"));
    fixture.options.has_lock = true;
    fixture.options.lock_fd = fcntl(old, F_DUPFD_CLOEXEC, 0);
    CHECK(fixture_open(&fixture, &err) == TAEL_OK);
    close(old);
    other = fixture;
    other.options.has_lock = false;
    other.store = NULL;
    other.reader = NULL;
    CHECK(fixture_open(&other, &err) == TAEL_EBUSY && is(err.code, "store_locked"));
    other.options.path = fixture.path;
    CHECK(fixture_open(&other, &err) == TAEL_EBUSY && is(err.code, "store_locked"));
    fixture_close(&fixture);
    CHECK(unlink(path) == 0 && unlink(lock) == 0);
    fixture_end(&fixture);
}

/* Each name would have a log and a lock of its own, and none knows what stands in another's log. */
static void a_file_with_two_names_is_refused(void)
{
    struct fixture fixture;
    char path[sizeof(fixture.path) + 16];
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    snprintf(path, sizeof(path), "%s-copy", fixture.path);
    fixture_must(link(fixture.path, path) == 0, "link");
    CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_OK); /* who has it goes on */
    fixture_close(&fixture);
    CHECK(fixture_open(&fixture, &err) == TAEL_ESTORE && is(err.code, "store_linked"));
    CHECK(strstr(err.message, "hard link") != NULL);
    CHECK(unlink(path) == 0);
    CHECK(fixture_open(&fixture, &err) == TAEL_OK);
    CHECK(amount_of(&fixture, 7, 1) == 1);
    fixture_end(&fixture);
}

/* A process that has the lock ends; its child, which has the descriptor, a moment later. */
static pid_t leave_lock(const struct fixture *fixture)
{
    static const struct timespec moment = {.tv_nsec = 200000000};
    char path[128], text[16];
    snprintf(path, sizeof(path), "%s.lock", fixture->path);
    pid_t pid = fork();
    fixture_must(pid >= 0, "fork");
    if (pid > 0)
        return pid;
    int fd = open(path, O_RDWR | O_CREAT, 0600),
        len = snprintf(text, sizeof(text), "%d\n", getpid());
    bool locked = flock(fd, LOCK_EX) == 0 && write(fd, text, (size_t)len) == len;
    if (locked && fork() == 0)
        nanosleep(&moment, NULL);
    _exit(locked ? 0 : 1);
}

static void what_a_dead_owner_had_just_started_holds_nobody_up(void)
{
    for (int waited = 0; waited < 2; waited++) {
        struct fixture fixture;
        siginfo_t how = {.si_status = -1};
        tael_error err = {0};
        fixture_init(&fixture, false, NULL);
        pid_t pid = leave_lock(&fixture);
        fixture_must(waitid(P_PID, (id_t)pid, &how, WEXITED | (waited ? 0 : WNOWAIT)) == 0, "wait");
        CHECK(how.si_status == 0);
        CHECK(fixture_open(&fixture, &err) == TAEL_OK);
        CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_OK);
        fixture_end(&fixture);
        (void)waitpid(pid, NULL, 0);
    }
}

/* A successor that did not come to serve has written its own number there. */
static void who_goes_on_is_the_lock_s_holder_again(void)
{
    struct fixture fixture;
    char path[128], text[16] = "";
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    snprintf(path, sizeof(path), "%s.lock", fixture.path);
    tael_store_pause(fixture.store);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    fixture_must(pwrite(fd, "4194304999\n", 11, 0) == 11, "no lock");
    CHECK(tael_store_resume(fixture.store, &err) == TAEL_OK);
    CHECK(pread(fd, text, sizeof(text) - 1, 0) > 0 && atol(text) == (long)getpid());
    close(fd);
    fixture_end(&fixture);
}

static void files_are_for_their_owner_alone(void)
{
    struct fixture fixture;
    fixture_init(&fixture, false, NULL);
    mode_t mask = umask(0);
    fixture_must_open(&fixture);
    insert(&fixture, 7, 1, "one", 1);
    CHECK(mode_of(&fixture, "") == 0600 && mode_of(&fixture, "-wal") == 0600);
    CHECK(mode_of(&fixture, "-shm") == 0600 && mode_of(&fixture, ".lock") == 0600);
    fixture_close(&fixture);
    CHECK(mode_of(&fixture, "-wal") == -1); /* all is in the database */
    chmod(fixture.path, 0644);
    fixture_must_open(&fixture);
    CHECK(mode_of(&fixture, "") == 0600);
    umask(mask);
    fixture_end(&fixture);
}

/* An operator's look at it as root keeps the service out of nothing. */
static void what_root_leaves_behind_is_the_owners(void)
{
    struct fixture fixture;
    struct stat about;
    char path[128];
    if (geteuid() != 0)
        return;
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    fixture_close(&fixture);
    snprintf(path, sizeof(path), "%s.lock", fixture.path);
    fixture_must(unlink(path) == 0 && chown(fixture.path, 4321, 8765) == 0, "a copy of a folder");
    fixture_must_open(&fixture);
    CHECK(stat(path, &about) == 0 && about.st_uid == 4321 && about.st_gid == 8765);
    CHECK(stat(fixture.path, &about) == 0 && about.st_uid == 4321 && about.st_gid == 8765);
    fixture_end(&fixture);
}

static void migrations_are_applied_once(void)
{
    struct fixture fixture;
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    fixture.options.sql_file_count = 0;
    fixture.options.migrate = false; /* nothing there, and no leave to make it */
    CHECK(fixture_open(&fixture, &err) == TAEL_EVERSION && is(err.code, "store_behind"));
    CHECK(mode_of(&fixture, "") == -1 && mode_of(&fixture, ".lock") == -1);
    CHECK(symlink(fixture.path, fixture.path) == 0); /* there, but not to be looked at */
    CHECK(fixture_open(&fixture, &err) == TAEL_ESTORE && is(err.code, "store_file"));
    CHECK(unlink(fixture.path) == 0);
    fixture.options.migrate = true;
    fixture.options.migration_count = 1;
    fixture_must_open(&fixture);
    CHECK(info_of(&fixture, SCHEMA) == 1);
    fixture_close(&fixture);
    fixture.options.migration_count = 2;
    fixture.options.migrate = false;
    CHECK(fixture_open(&fixture, &err) == TAEL_EVERSION && is(err.code, "store_behind"));
    CHECK(strstr(err.message, "1 of 2 migrations") != NULL);
    fixture.options.migrate = true;
    fixture_must_open(&fixture);
    CHECK(info_of(&fixture, SCHEMA) == 2);
    fixture_close(&fixture);
    fixture.options.migrate = false; /* again, without leave: nothing to do */
    fixture_must_open(&fixture);
    CHECK(info_of(&fixture, SCHEMA) == 2);
    fixture_close(&fixture);
    fixture.options.migration_count = 1; /* a program that is older than the file */
    CHECK(fixture_open(&fixture, &err) == TAEL_EVERSION && is(err.code, "store_newer"));
    CHECK(strstr(err.message, "0002_counters") != NULL);
    fixture_end(&fixture);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    fixture_must(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, path);
}

struct own { /* migrations and statements of a test's own, in its folder */
    char paths[3][128];
    const char *list[3];
};

static void own_files(struct fixture *fixture, struct own *own, const char *first,
                      const char *second, const char *sql)
{
    static const char *const names[] = {"0001_one.sql", "0003_three.sql", "own.sql"};
    const char *const texts[] = {first, second, sql};
    for (size_t i = 0; i < 3; i++) {
        snprintf(own->paths[i], sizeof(own->paths[i]), "%s/%s", fixture->folder, names[i]);
        own->list[i] = own->paths[i];
        if (texts[i] != NULL)
            write_text(own->paths[i], texts[i]);
    }
    fixture->options.migrations = own->list;
    fixture->options.migration_count = second != NULL ? 2 : 1;
    fixture->options.sql_files = &own->list[2];
    fixture->options.sql_file_count = sql != NULL ? 1 : 0;
}

static void own_end(struct fixture *fixture, struct own *own)
{
    for (size_t i = 0; i < 3; i++)
        unlink(own->paths[i]);
    fixture_end(fixture);
}

#define TABLE                                                                                      \
    "CREATE TABLE t (merchant BIGINT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (merchant, id));\n"

static void migrations_do_not_change(void)
{
    struct fixture fixture;
    struct own own;
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    own_files(&fixture, &own, TABLE, NULL, NULL);
    fixture_must_open(&fixture);
    fixture_close(&fixture);
    own_files(&fixture, &own, "-- said better\n" TABLE "\n", NULL, NULL);
    CHECK(fixture_open(&fixture, &err) == TAEL_OK); /* prose may */
    fixture_close(&fixture);
    own_files(&fixture, &own, TABLE "CREATE INDEX i ON t (merchant);\n", NULL, NULL);
    CHECK(fixture_open(&fixture, &err) == TAEL_EVERSION && is(err.code, "store_migration"));
    CHECK(strstr(err.message, "0001_one.sql: changed since it was applied") != NULL);
    own_files(&fixture, &own, TABLE, TABLE, NULL); /* fails half-way: t is there */
    write_text(own.paths[1], "CREATE TABLE u (a TEXT);\n\n" TABLE);
    CHECK(fixture_open(&fixture, &err) == TAEL_ESTORE);
    CHECK(strstr(err.message, "0003_three.sql:3: table t already exists") != NULL);
    write_text(own.paths[1], "CREATE TABLE u (a TEXT);\n"); /* u was undone */
    CHECK(fixture_open(&fixture, &err) == TAEL_OK && info_of(&fixture, SCHEMA) == 3);
    fixture_close(&fixture);
    char late[128];
    snprintf(late, sizeof(late), "%s/0002_two.sql", fixture.folder);
    write_text(late, "CREATE TABLE v (a TEXT);\n");
    const char *const three[] = {own.paths[0], late, own.paths[1]};
    fixture.options.migrations = three;
    fixture.options.migration_count = 3;
    CHECK(fixture_open(&fixture, &err) == TAEL_EVERSION);
    CHECK(strstr(err.message, "0002_two.sql: comes before") != NULL);
    const char *const mixed[] = {own.paths[1], own.paths[0]};
    fixture.options.migrations = mixed;
    fixture.options.migration_count = 2;
    CHECK(fixture_open(&fixture, &err) == TAEL_ECONFIG);
    CHECK(strstr(err.message, "rising order") != NULL);
    unlink(late);
    own_end(&fixture, &own);
}

static void wrong_statements_are_named_at_open(void)
{
    static const struct {
        const char *sql, *message;
    } rows[] = {
        {"-- name: a.b\n-- read\nSELECT x FROM t\nWHERE merchant = :merchant;\n",
         "own.sql:1: a.b: no such column: x"},
        {"\n-- name: a.b\n-- read\nSELECT id FROM u WHERE 1 = :merchant;\n",
         "own.sql:2: a.b: no such table: u"},
        {"-- name: a.b\n-- read\nSELECT \"one\" FROM t WHERE 1 = :merchant;\n",
         "own.sql:1: a.b: no such column: one"},
        {"-- name: a.b\n-- rows: 1\nWITH x AS (SELECT 1) SELECT * FROM x WHERE 1 = :merchant;\n",
         "own.sql:1: a.b: it reads where it should write"},
        {"-- name: a.b\n-- read\nWITH x AS (SELECT 1 AS a) DELETE FROM t WHERE merchant = "
         ":merchant;\n",
         "own.sql:1: a.b: it reads where it should write"},
        {"-- name: a.b\n-- rows: 1\nDELETE FROM t WHERE id = :id;\n",
         "own.sql:1: a.b has no :merchant"},
    };
    struct fixture fixture;
    struct own own;
    fixture_init(&fixture, false, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tael_error err = {0};
        own_files(&fixture, &own, TABLE, NULL, rows[i].sql);
        CHECK(fixture_open(&fixture, &err) == TAEL_ECONFIG && err.status == TAEL_ECONFIG);
        CHECK_NAMED(strstr(err.message, rows[i].message) != NULL, err.message);
    }
    own_end(&fixture, &own);
}

static void a_table_that_is_gone_is_damage(void)
{
    struct fixture fixture;
    struct own own;
    tael_error err = {0};
    sqlite3 *db = NULL;
    fixture_init(&fixture, false, NULL);
    own_files(&fixture, &own, TABLE, NULL,
              "-- name: a.b\n-- read\nSELECT id FROM t WHERE merchant = :merchant;\n");
    CHECK(fixture_open(&fixture, &err) == TAEL_OK);
    fixture_close(&fixture);
    sqlite3_open(fixture.path, &db);
    CHECK(sqlite3_exec(db, "DROP TABLE t", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    CHECK(fixture_open(&fixture, &err) == TAEL_ESTORE && is(err.code, "store_damaged"));
    CHECK(strstr(err.message, fixture.path) != NULL &&
          strstr(err.message, "no such table: t") != NULL);
    own_end(&fixture, &own);
}

static void other_files_are_left_alone(void)
{
    struct fixture fixture;
    tael_error err = {0};
    sqlite3 *db = NULL;
    fixture_init(&fixture, false, NULL);
    sqlite3_open(fixture.path, &db);
    sqlite3_exec(db, "CREATE TABLE foreign_table (a)", NULL, NULL, NULL);
    sqlite3_close(db);
    CHECK(fixture_open(&fixture, &err) == TAEL_ESTORE && is(err.code, "store_foreign"));
    char header[20] = ""; /* 18, 19: 2 when the file uses a log */
    FILE *file = fopen(fixture.path, "r");
    CHECK(file != NULL && fread(header, 1, sizeof(header), file) == sizeof(header));
    CHECK(header[18] == 1 && header[19] == 1);
    if (file != NULL)
        fclose(file);
    write_text(fixture.path, "This is no database, and long enough to be seen as none of them. "
                             "This is no database, and long enough to be seen as none of them.");
    CHECK(fixture_open(&fixture, &err) == TAEL_ESTORE);
    CHECK(strstr(err.message, "not a database") != NULL);
    unlink(fixture.path);
    mkdir(fixture.path, 0700);
    CHECK(fixture_open(&fixture, &err) == TAEL_ESTORE);
    CHECK(strstr(err.message, fixture.path) != NULL);
    rmdir(fixture.path);
    fixture_end(&fixture);
}

static void memory_serves_without_a_file(bool simulated)
{
    struct fixture fixture;
    struct answer answer;
    fixture_init(&fixture, simulated, NULL);
    fixture.options.path = ":memory:";
    fixture_must_open(&fixture);
    CHECK(insert(&fixture, 7, 1, "one", 5) == TAEL_OK);
    CHECK(amount_of(&fixture, 7, 1) == 5);
    read_later(&fixture, &answer, 7, "item.list", "after", INT(0), "n", INT(10), (char *)NULL);
    CHECK(fixture_until(&fixture, &answer.done) && tael_rows_count(answer.rows) == 1);
    tael_rows_free(answer.rows);
    CHECK(mode_of(&fixture, "") == -1);
    fixture_end(&fixture);
}

static int64_t size_of(const struct fixture *fixture, const char *suffix)
{
    char path[128];
    struct stat about;
    snprintf(path, sizeof(path), "%s%s", fixture->path, suffix);
    return stat(path, &about) == 0 ? (int64_t)about.st_size : -1;
}

/* Another process would take the file for one that nobody has open. */
static bool is_locked(const struct fixture *fixture)
{
    char line[256], wanted[64];
    struct stat about;
    FILE *locks = fopen("/proc/locks", "re");
    bool found = false;
    fixture_must(locks != NULL && stat(fixture->path, &about) == 0, "/proc/locks");
    snprintf(wanted, sizeof(wanted), ":%lu ", (unsigned long)about.st_ino);
    while (fgets(line, sizeof(line), locks) != NULL)
        found = found || (strstr(line, wanted) != NULL && strstr(line, "POSIX") != NULL);
    fclose(locks);
    return found;
}

static void a_file_that_was_cut_is_named(void)
{
    struct fixture fixture;
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    fixture_close(&fixture);
    for (int64_t size = size_of(&fixture, "") - 512; size > 0; size -= 512) {
        CHECK(truncate(fixture.path, size) == 0);
        tael_status rc = fixture_open(&fixture, &err);
        CHECK(rc == TAEL_OK || (rc == TAEL_ESTORE && strstr(err.message, fixture.path) != NULL));
        if (rc == TAEL_OK)
            fixture_close(&fixture);
    }
    fixture_end(&fixture);
}

/* The log is copied beside the writer and begins anew: it does not grow with what is written. */
static void a_log_does_not_grow_for_ever(void)
{
    enum { ITEMS = 2000, PAGES = 10, FRAME = 4096 + 24, LONGEST = 100 };
    struct fixture fixture;
    bool stored = true, bounded = true, kept = true;
    fixture_init(&fixture, false, NULL);
    fixture.options.checkpoint_pages = PAGES;
    fixture_must_open(&fixture);
    for (int i = 1; i <= ITEMS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        stored = stored && insert(&fixture, 7, i, name, i) == TAEL_OK;
        bounded = bounded && size_of(&fixture, "-wal") <= LONGEST * FRAME;
    }
    CHECK(stored && bounded);
    CHECK(size_of(&fixture, "") > 10 * 4096); /* before the last connection closes */
    CHECK(is_locked(&fixture));               /* whatever was opened and closed meanwhile */
    fixture_close(&fixture);
    fixture_must_open(&fixture);
    for (int i = 1; i <= ITEMS; i++)
        kept = kept && amount_of(&fixture, 7, i) == i;
    CHECK(kept);
    fixture_end(&fixture);
}

static void count_waits(void *user, tael_log_level level, const char *line, size_t len)
{
    (void)level, (void)len;
    *(int *)user += strstr(line, "\"store.log_held\"") != NULL;
}

/* As a backup does, or an operator with a question: the log grows meanwhile, and commits go on.
 * Each wait for such a reader is told. */
static void who_reads_for_long_does_not_hold_up_commits(void)
{
    enum { ITEMS = 60, PAGES = 10, FULL = 8 };
    struct fixture fixture;
    sqlite3 *reader = NULL;
    int waits = 0, frames = 0;
    bool stored = true;
    fixture_init(&fixture, false, NULL);
    fixture.options.checkpoint_pages = PAGES;
    struct tael_log_options log = {
        .world = &fixture.world, .level = TAEL_LOG_WARN, .write = count_waits, .user = &waits};
    fixture_must(tael_log_new(&fixture.options.log, &log) == TAEL_OK, "log");
    fixture_must_open(&fixture);
    fixture_must(sqlite3_open(fixture.path, &reader) == SQLITE_OK &&
                     sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL,
                                  NULL) == SQLITE_OK,
                 "a reader");
    for (int i = 1; i <= ITEMS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        stored = stored && insert(&fixture, 7, i, name, i) == TAEL_OK;
    }
    CHECK(stored);
    tael_store_pause(fixture.store); /* what a commit is followed by has ended */
    frames = (int)(size_of(&fixture, "-wal") / (4096 + 24));
    CHECK(frames > FULL * PAGES && waits > 0 && waits <= frames / PAGES);
    sqlite3_close(reader);
    tael_error err = {0};
    CHECK(tael_store_resume(fixture.store, &err) == TAEL_OK);
    CHECK(insert(&fixture, 7, ITEMS + 1, "last", 1) == TAEL_OK);
    struct tael_log *told = fixture.options.log;
    fixture_end(&fixture);
    tael_log_free(told);
}

/* Neither a start nor going on after a takeover that failed: the log is sure without being copied.
 */
static void who_reads_for_long_does_not_hold_up_a_start(void)
{
    struct fixture fixture;
    sqlite3 *reader = NULL;
    tael_error err = {0};
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    fixture_must(sqlite3_open(fixture.path, &reader) == SQLITE_OK &&
                     sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL,
                                  NULL) == SQLITE_OK,
                 "a reader");
    CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_OK);
    fixture_close(&fixture);
    CHECK(size_of(&fixture, "-wal") > 0);
    CHECK(fixture_open(&fixture, &err) == TAEL_OK);
    CHECK(fixture.store != NULL && amount_of(&fixture, 7, 1) == 1);
    CHECK(fixture.store != NULL && insert(&fixture, 7, 2, "two", 2) == TAEL_OK);
    if (fixture.store != NULL) {
        tael_store_pause(fixture.store);
        CHECK(tael_store_resume(fixture.store, &err) == TAEL_OK);
        CHECK(insert(&fixture, 7, 3, "three", 3) == TAEL_OK && amount_of(&fixture, 7, 2) == 2);
    }
    sqlite3_close(reader);
    fixture_close(&fixture);
    fixture_must_open(&fixture);
    CHECK(amount_of(&fixture, 7, 3) == 3);
    fixture_end(&fixture);
}

/* It is no fault of the disk's, and ends with the other's transaction. */
static void who_writes_to_the_file_is_told_from_a_bad_disk(void)
{
    struct fixture fixture;
    struct tael_store_info info;
    sqlite3 *writer = NULL;
    fixture_init(&fixture, false, NULL);
    fixture_must_open(&fixture);
    fixture_must(sqlite3_open(fixture.path, &writer) == SQLITE_OK &&
                     sqlite3_exec(writer, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK,
                 "a writer");
    CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_ESTORE);
    tael_store_info(fixture.store, &info);
    CHECK(info.trouble != NULL && is(info.trouble, "another program writes to the file"));
    sqlite3_close(writer);
    CHECK(insert(&fixture, 7, 1, "one", 1) == TAEL_OK);
    tael_store_info(fixture.store, &info);
    CHECK(info.healthy);
    fixture_end(&fixture);
}

int main(void)
{
    alarm(120); /* a hang is a failure */
    who_reads_for_long_does_not_hold_up_commits();
    who_reads_for_long_does_not_hold_up_a_start();
    who_writes_to_the_file_is_told_from_a_bad_disk();
    a_log_does_not_grow_for_ever();
    a_file_has_one_owner();
    whoever_comes_by_a_link_finds_the_owner();
    a_link_to_what_is_not_there_yet_has_the_same_lock();
    a_lock_beside_a_link_is_heeded();
    a_file_with_two_names_is_refused();
    what_a_dead_owner_had_just_started_holds_nobody_up();
    who_goes_on_is_the_lock_s_holder_again();
    files_are_for_their_owner_alone();
    what_root_leaves_behind_is_the_owners();
    migrations_are_applied_once();
    migrations_do_not_change();
    wrong_statements_are_named_at_open();
    a_table_that_is_gone_is_damage();
    other_files_are_left_alone();
    a_file_that_was_cut_is_named();
    memory_serves_without_a_file(false);
    memory_serves_without_a_file(true);
    return tap_end();
}
