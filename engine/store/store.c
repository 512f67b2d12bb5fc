/* store.c - life of a store: lock, open, check, migrate, stop, close; ids.
 *
 * Owner: the engine opens and closes it on one thread; workers use it in between. Threads: the
 * writer and the reader are the store's own; in the simulated world there are none. 1 One process
 * owns the file: a lock beside it, where it really is, is held for life. 2 What is visible after
 * open is on the disk: a log left by a crash is synced, and copied into the database unless
 * somebody reads that for long, before anything is read. 3 Every group leaves the newest id as its
 * mark, so ids rise over restarts whatever the clock does, and a commit whose end was not seen can
 * be told from one that did not happen.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/inner.h"

enum {
    GROUP_DEFAULT = 256,
    QUEUE_DEFAULT = 10000,
    CHECKPOINT_DEFAULT = 4000,
    CACHE_DEFAULT = 2048, /* more saves reads of what the system holds anyway: no CPU was gained */
    ID_SHIFT = 22,
    LEFT_LOCK_MS = 2000, /* so long what a dead engine was just starting may keep its lock */
};

#define ID_EPOCH_MS INT64_C(1577836800000) /* 2020-01-01 UTC */

int64_t tael_store_next_id(struct tael_store *store)
{
    int64_t ms = tael_now_ms(store->world) - ID_EPOCH_MS;
    int64_t now = ms > 0 && ms <= INT64_MAX >> ID_SHIFT ? ms << ID_SHIFT : 0; /* of 2020 to 2089 */
    int64_t last = atomic_load_explicit(&store->last_id, memory_order_relaxed);
    int64_t next;
    do {
        next = now > last ? now : last + 1;
    } while (!atomic_compare_exchange_weak(&store->last_id, &last, next));
    return next;
}

int64_t tael_store_id_ms(int64_t id)
{
    return (id >> ID_SHIFT) + ID_EPOCH_MS;
}

/* ---- the owner's lock ---- */

/* The number of the process that wrote it into the lock's file; "": none did. */
static const char *holder_of(int fd, char text[16])
{
    ssize_t len = pread(fd, text, 15, 0);
    text[len > 0 ? len : 0] = '\0';
    text[strspn(text, "0123456789")] = '\0';
    return text;
}

static bool holder_has_ended(int fd)
{
    char text[16];
    long pid = strtol(holder_of(fd, text), NULL, 10);
    if (pid <= 0)
        return false;
    struct pollfd process = {.fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0), .events = POLLIN};
    if (process.fd < 0)
        return errno == ESRCH;
    bool ended = poll(&process, 1, 0) > 0; /* nobody may have waited for it yet */
    close(process.fd);
    return ended;
}

static tael_status lock_held(struct tael_store *store, const char *name, int fd, tael_error *err)
{
    char text[16];
    holder_of(fd, text);
    return tael_store_fail(err, TAEL_EBUSY, "store_locked",
                           "%s is in use by another engine%s%s (lock %s)", store->path,
                           text[0] != '\0' ? ", process " : "", text, name);
}

static bool same_file(int fd, const struct stat *there)
{
    struct stat ours;
    return fstat(fd, &ours) == 0 && ours.st_dev == there->st_dev && ours.st_ino == there->st_ino;
}

/* The lock of the process before us, whose descriptor we have: it was never free in between. */
static tael_status lock_inherit(struct tael_store *store, const char *name, tael_error *err)
{
    struct stat there;
    if (stat(name, &there) != 0)
        return tael_store_fail(err, TAEL_ESTORE, "store_lock", "%s: %s", name, strerror(errno));
    if (!same_file(store->lock_fd, &there))
        return tael_store_fail(err, TAEL_EBUSY, "store_locked",
                               "%s: what was handed over is the lock of another store", name);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return lock_held(store, name, store->lock_fd, err);
    return TAEL_OK;
}

/* 0, or the number of the error. A child of a dead engine has the descriptor, too, until it runs
 * its own program. */
static int try_lock(int fd)
{
    static const struct timespec pause = {.tv_nsec = 5000000};
    for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; ms += 5) {
        if (errno != EWOULDBLOCK)
            return errno;
        if (ms >= LEFT_LOCK_MS || !holder_has_ended(fd))
            return EWOULDBLOCK;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static tael_status lock_failed(struct tael_store *store, const char *name, int fd, int number,
                               tael_error *err)
{
    if (number == EWOULDBLOCK)
        return lock_held(store, name, fd, err);
    return tael_store_fail(err, TAEL_ESTORE, "store_lock", "%s: %s", name, strerror(number));
}

/* As SQLite does with its log: who looks at the file as root does not keep its owner out. Where the
 * disk does not let it, this start is none the worse. */
static void give_to_owner(const struct tael_store *store, int fd)
{
    struct stat about;
    if (geteuid() == 0 && stat(store->path, &about) == 0 &&
        fchown(fd, about.st_uid, about.st_gid) != 0)
        return;
}

static tael_status lock_open(struct tael_store *store, const char *name, tael_error *err)
{
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return tael_store_fail(err, TAEL_ESTORE, "store_lock", "%s: %s", name, strerror(errno));
    give_to_owner(store, fd);
    int number = try_lock(fd);
    if (number == 0) {
        store->lock_fd = fd;
        return TAEL_OK;
    }
    tael_status rc = lock_failed(store, name, fd, number, err);
    close(fd);
    return rc;
}

/* Who is told that the store is in use hears by whom. */
static tael_status lock_sign(const struct tael_store *store, tael_error *err)
{
    char pid[16];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(store->lock_fd, 0) == 0 && pwrite(store->lock_fd, pid, (size_t)len, 0) == len)
        return TAEL_OK;
    return tael_store_fail(err, TAEL_ESTORE, "store_lock", "%s.lock: %s", store->path,
                           strerror(errno));
}

static tael_status lock_name(struct tael_buf *name, const char *path)
{
    tael_status rc = tael_buf_printf(name, "%s.lock", path);
    return rc == TAEL_OK ? tael_buf_append_char(name, '\0') : rc;
}

/* Engines had their lock beside the link that led them to the file. One that still runs is not
 * written past, and one that hands over has paused: its lock is given up for ours. */
static tael_status lock_of_link(struct tael_store *store, const char *path, tael_error *err)
{
    struct tael_buf name = {0};
    struct stat about;
    int fd = -1, number = 0;
    if (lstat(path, &about) != 0 || !S_ISLNK(about.st_mode))
        return TAEL_OK;
    tael_status rc = lock_name(&name, path);
    if (rc == TAEL_OK)
        fd = open(name.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        goto free_name; /* there is none, or none that an engine of this user has */
    if (store->lock_fd >= 0 && fstat(fd, &about) == 0 && same_file(store->lock_fd, &about)) {
        close(store->lock_fd);
        store->lock_fd = -1;
    } else if ((number = try_lock(fd)) != 0) {
        rc = lock_failed(store, name.data, fd, number, err);
    }
    close(fd);
free_name:
    tael_buf_free(&name);
    return rc;
}

static tael_status lock_take(struct tael_store *store, const char *path, tael_error *err)
{
    struct tael_buf name = {0};
    if (store->memory || store->world->vfs != NULL)
        return TAEL_OK; /* nobody else can reach it */
    tael_status rc = lock_of_link(store, path, err);
    if (rc == TAEL_OK)
        rc = lock_name(&name, store->path);
    if (rc != TAEL_OK)
        goto free_name;
    rc = store->lock_fd >= 0 ? lock_inherit(store, name.data, err)
                             : lock_open(store, name.data, err);
    if (rc != TAEL_OK)
        goto free_name;
    rc = lock_sign(store, err);
free_name:
    tael_buf_free(&name);
    return rc;
}

/* ---- opening ---- */

static tael_status load_sql(struct tael_store *store, const struct tael_store_options *options,
                            tael_error *err)
{
    tael_status rc = tael_sql_new(&store->sql, TAEL_SQL_SQLITE, options->scope);
    for (size_t i = 0; rc == TAEL_OK && i < options->sql_file_count; i++)
        rc = tael_sql_load(store->sql, options->sql_files[i], err);
    return rc;
}

static tael_status load_migrations(struct tael_store *store,
                                   const struct tael_store_options *options, tael_error *err)
{
    store->migrations = calloc(options->migration_count + 1, sizeof(*store->migrations));
    if (store->migrations == NULL)
        return TAEL_ENOMEM;
    for (size_t i = 0; i < options->migration_count; i++) {
        struct tael_migration *migration = &store->migrations[i];
        tael_status rc = tael_migration_load(migration, TAEL_SQL_SQLITE, options->scope,
                                             options->migrations[i], err);
        if (rc != TAEL_OK)
            return rc;
        store->migration_count++;
        if (migration->number <= (i > 0 ? migration[-1].number : 0))
            return tael_store_fail(err, TAEL_ECONFIG, "store_migration",
                                   "%s: migrations are given in rising order, from 0001",
                                   migration->file);
    }
    return TAEL_OK;
}

/* Without leave to migrate, a file that is not there is not made. One that this user may not see is
 * not the same: a migration would not help. */
static tael_status check_there(struct tael_store *store, tael_error *err)
{
    if (store->memory || store->migrate || store->migration_count == 0)
        return TAEL_OK;
    sqlite3_vfs *vfs = sqlite3_vfs_find(store->world->vfs);
    int there = 0;
    if (vfs != NULL && vfs->xAccess(vfs, store->path, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK &&
        there != 0)
        return TAEL_OK;
    struct stat about;
    if (store->world->vfs == NULL && stat(store->path, &about) != 0 && errno != ENOENT)
        return tael_store_fail(err, TAEL_ESTORE, "store_file", "%s: %s", store->path,
                               strerror(errno));
    return tael_store_fail(err, TAEL_EVERSION, "store_behind",
                           "%s does not exist yet; run the migration first", store->path);
}

/* A log and a lock lie beside one name each: by two names two engines would write, each past the
 * log of the other. Asked at the start alone: who serves goes on. */
static tael_status check_names(struct tael_store *store, tael_error *err)
{
    struct stat about;
    if (store->memory || store->world->vfs != NULL || stat(store->path, &about) != 0 ||
        !S_ISREG(about.st_mode) || about.st_nlink == 1)
        return TAEL_OK;
    return tael_store_fail(err, TAEL_ESTORE, "store_linked",
                           "%s: the file has %ju names (hard links), and what one of them leads to "
                           "would damage the other; copy it, and remove the link",
                           store->path, (uintmax_t)about.st_nlink);
}

/* The name of a new file is durable when its folder is. */
static tael_status sync_folder(struct tael_store *store, tael_error *err)
{
    if (store->memory || store->world->vfs != NULL)
        return TAEL_OK;
    const char *slash = strrchr(store->path, '/');
    size_t len = slash == NULL ? 1 : slash == store->path ? 1 : (size_t)(slash - store->path);
    char *folder = strndup(slash == NULL ? "." : store->path, len);
    if (folder == NULL)
        return TAEL_ENOMEM;
    tael_status rc = TAEL_OK;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = tael_store_fail(err, TAEL_ESTORE, "store_folder", "%s: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(folder);
    return rc;
}

/* What a crash left in the log is made sure of and brought into the database. Who reads that for
 * long, such as a backup, leaves it in the log: it is no less sure there. */
static tael_status recover(struct tael_store *store, tael_error *err)
{
    tael_status rc = tael_db_settle(&store->db, err);
    if (rc != TAEL_OK)
        return rc;
    int code = tael_db_checkpoint(&store->db, SQLITE_CHECKPOINT_TRUNCATE);
    if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY)
        return TAEL_OK;
    return tael_store_fail(err, TAEL_ESTORE, "store_recovery", "%s: %s", store->path,
                           sqlite3_errmsg(store->db.handle));
}

static tael_status open_database(struct tael_store *store, const char *path, tael_error *err)
{
    int64_t mark = 0;
    tael_status rc = check_there(store, err);
    if (rc == TAEL_OK)
        rc = check_names(store, err);
    if (rc == TAEL_OK)
        rc = lock_take(store, path, err);
    if (rc == TAEL_OK)
        rc = tael_db_open(&store->db, store, err);
    if (rc == TAEL_OK)
        rc = recover(store, err);
    if (rc == TAEL_OK)
        rc = tael_store_migrate(store, err);
    if (rc == TAEL_OK)
        rc = sync_folder(store, err);
    if (rc == TAEL_OK)
        rc = tael_db_prepare(&store->db, store, err);
    if (rc == TAEL_OK)
        rc = tael_db_number(&store->db, "SELECT mark FROM store_mark WHERE id = 1", &mark, err);
    atomic_store(&store->last_id, mark);
    return rc;
}

/* Where the file really is or will be, as SQLite says: it has its log there, and there is one lock
 * for all links to it. */
static char *place_of(const struct tael_store_options *options)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (options->world->vfs != NULL || vfs == NULL || strcmp(options->path, ":memory:") == 0)
        return strdup(options->path);
    int room = vfs->mxPathname + 1;
    char *real = malloc((size_t)room);
    if (real != NULL && (vfs->xFullPathname(vfs, options->path, room, real) & 0xff) != SQLITE_OK) {
        free(real); /* what is wrong with it is said when it is opened */
        real = strdup(options->path);
    }
    return real;
}

static tael_status new_store(struct tael_store **out, const struct tael_store_options *options)
{
    tael_status rc = TAEL_ENOMEM;
    struct tael_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return rc;
    store->path = place_of(options);
    if (store->path == NULL || pthread_mutex_init(&store->db_lock, NULL) != 0)
        goto free_memory;
    if (pthread_mutex_init(&store->lock, NULL) != 0)
        goto free_db_lock;
    if (pthread_cond_init(&store->work, NULL) != 0)
        goto free_lock;
    if (pthread_cond_init(&store->reads, NULL) != 0)
        goto free_work;
    if (pthread_cond_init(&store->log_long, NULL) != 0)
        goto free_reads;
    if (pthread_mutex_init(&store->copy_lock, NULL) != 0)
        goto free_log_long;
    store->world = options->world;
    store->log = options->log;
    store->lock_fd = options->has_lock ? options->lock_fd : -1;
    store->migrate = options->migrate;
    store->group_max = options->group_max > 0 ? options->group_max : GROUP_DEFAULT;
    store->queue_max = options->queue_max > 0 ? options->queue_max : QUEUE_DEFAULT;
    store->checkpoint_pages =
        options->checkpoint_pages > 0 ? options->checkpoint_pages : CHECKPOINT_DEFAULT;
    store->cache_kib = options->cache_kib > 0 ? options->cache_kib : CACHE_DEFAULT;
    store->memory = strcmp(options->path, ":memory:") == 0;
    store->threaded = !options->world->simulated;
    store->shared = !store->threaded || store->memory || options->world->vfs != NULL;
    if (!store->memory && (rc = tael_vfs_log_new(&store->disk, options->world->vfs)) != TAEL_OK)
        goto destroy_copy_lock;
    store->behind = &store->first;
    store->read_behind = &store->read_first;
    *out = store;
    return TAEL_OK;
destroy_copy_lock:
    pthread_mutex_destroy(&store->copy_lock);
free_log_long:
    pthread_cond_destroy(&store->log_long);
free_reads:
    pthread_cond_destroy(&store->reads);
free_work:
    pthread_cond_destroy(&store->work);
free_lock:
    pthread_mutex_destroy(&store->lock);
free_db_lock:
    pthread_mutex_destroy(&store->db_lock);
free_memory:
    free(store->path);
    free(store);
    return rc;
}

static tael_status start_threads(struct tael_store *store)
{
    tael_status rc = tael_copier_start(store);
    if (rc == TAEL_OK)
        rc = tael_writer_start(store);
    return rc == TAEL_OK ? tael_reader_start(store) : rc;
}

tael_status tael_store_open(struct tael_store **out, const struct tael_store_options *options,
                            tael_error *err)
{
    struct tael_store *store = NULL;
    if (err != NULL)
        *err = (tael_error){0};
    tael_status rc = new_store(&store, options);
    if (rc != TAEL_OK && options->has_lock)
        close(options->lock_fd);
    if (rc == TAEL_OK)
        rc = load_sql(store, options, err);
    if (rc == TAEL_OK)
        rc = load_migrations(store, options, err);
    if (rc == TAEL_OK)
        rc = open_database(store, options->path, err);
    if (rc == TAEL_OK && store->threaded)
        rc = start_threads(store);
    if (rc != TAEL_OK) {
        if (err != NULL && err->status != rc)
            tael_store_fail(err, rc, "store_open", "%s: %s", options->path, tael_status_text(rc));
        tael_store_close(store);
        return rc;
    }
    TAEL_LOG(store->log, TAEL_LOG_INFO, "store.opened", tael_log_text("path", store->path),
             tael_log_int("schema", store->schema));
    *out = store;
    return TAEL_OK;
}

/* ---- closing ---- */

void tael_store_stop(struct tael_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->stopping = true;
    pthread_cond_broadcast(&store->work);
    pthread_cond_broadcast(&store->reads);
    pthread_cond_broadcast(&store->log_long);
    pthread_mutex_unlock(&store->lock);
    tael_writer_finish(store);
    tael_copier_finish(store); /* the writer asks for it until its end */
    tael_reader_finish(store);
}

void tael_store_pause(struct tael_store *store)
{
    tael_store_stop(store);
    tael_db_close(&store->db);
}

tael_status tael_store_resume(struct tael_store *store, tael_error *err)
{
    int64_t mark = 0;
    assert(store->stopping && store->threaded);
    tael_status rc = tael_db_open(&store->db, store, err);
    if (rc == TAEL_OK)
        rc = recover(store, err);
    if (rc == TAEL_OK)
        rc = tael_db_prepare(&store->db, store, err);
    if (rc == TAEL_OK)
        rc = tael_db_number(&store->db, "SELECT mark FROM store_mark WHERE id = 1", &mark, err);
    if (rc == TAEL_OK && mark > atomic_load(&store->last_id))
        atomic_store(&store->last_id, mark);
    if (rc == TAEL_OK && store->lock_fd >= 0)
        (void)lock_sign(store, NULL); /* a successor that is gone wrote its own; it is only told */
    store->stopping = rc != TAEL_OK;  /* no thread of ours runs */
    if (rc == TAEL_OK)
        rc = start_threads(store);
    if (rc != TAEL_OK)
        tael_store_pause(store);
    return rc;
}

int tael_store_lock(const struct tael_store *store)
{
    return store != NULL ? store->lock_fd : -1;
}

void tael_store_close(struct tael_store *store)
{
    if (store == NULL)
        return;
    tael_store_stop(store);
    tael_writer_drop(store);
    tael_reader_drop(store);
    tael_db_close(&store->db);
    tael_vfs_log_free(store->disk);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    for (size_t i = 0; i < store->migration_count; i++)
        tael_migration_free(&store->migrations[i]);
    free(store->migrations);
    tael_sql_free(store->sql);
    pthread_mutex_destroy(&store->copy_lock);
    pthread_cond_destroy(&store->log_long);
    pthread_cond_destroy(&store->reads);
    pthread_cond_destroy(&store->work);
    pthread_mutex_destroy(&store->lock);
    pthread_mutex_destroy(&store->db_lock);
    free(store->path);
    free(store);
}

/* ---- what there is ---- */

void tael_store_info(struct tael_store *store, struct tael_store_info *out)
{
    pthread_mutex_lock(&store->lock);
    *out = (struct tael_store_info){.schema = store->schema,
                                    .queued = (int64_t)store->queued,
                                    .units = store->units,
                                    .groups = store->groups,
                                    .failed = store->failed,
                                    .healthy = store->trouble == NULL,
                                    .trouble = store->trouble};
    pthread_mutex_unlock(&store->lock);
}

const struct tael_statement *tael_store_statement(const struct tael_store *store, const char *name)
{
    return tael_sql_find(store->sql, name);
}

const char *tael_statement_name(const struct tael_statement *statement)
{
    return statement->name;
}

bool tael_statement_reads(const struct tael_statement *statement)
{
    return statement->kind == TAEL_SQL_READ;
}

bool tael_statement_lists(const struct tael_statement *statement)
{
    return statement->kind == TAEL_SQL_LIST;
}

bool tael_statement_operator(const struct tael_statement *statement)
{
    return statement->unscoped;
}

size_t tael_statement_param_count(const struct tael_statement *statement)
{
    return statement->param_count;
}

const char *tael_statement_param(const struct tael_statement *statement, size_t idx)
{
    return statement->params[idx].name;
}

bool tael_statement_param_bytes(const struct tael_statement *statement, size_t idx)
{
    return statement->params[idx].bytes;
}

bool tael_statement_param_given(const struct tael_statement *statement, size_t idx)
{
    return statement->params[idx].kind == TAEL_PARAM_GIVEN;
}
