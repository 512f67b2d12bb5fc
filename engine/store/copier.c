/* copier.c - brings a log that has grown long into the database, beside the writer.
 *
 * Threads: one of its own, with connections of its own that are opened when they are first needed.
 * What was committed meanwhile is left to the writer, whose own checkpoint is short then: only one
 * that leaves nothing lets the log begin anew. In the simulated world, and where one connection
 * serves all, there is none: the writer's checkpoint does everything.
 *
 * 1 It copies nothing while the writer opens its connection anew (copy_lock): what the log holds is
 * not sure then. 2 Its failures are not told: the writer's checkpoint meets them too, and tells.
 * 3 While it copies, the log does not begin anew: a read transaction keeps it. SQLite's checkpoint
 * reads how long the log is, and then how much of it is copied; where a commit had the log begin
 * anew in between, it copied by the old length, and what was committed until the log was as long
 * again nobody saw any more (until SQLite 3.51.3: its "WAL-reset bug"). The writer's own
 * checkpoints are on the thread that commits.
 */
#include <sched.h>

#include "store/inner.h"

/* The first takes long enough for hundreds of pages to be committed meanwhile; the writer's own
 * checkpoint, which holds up commits, is left with what comes during the last. */
enum { COPIES = 3 };

/* What the copier has open. */
struct copying {
    struct tael_db db;  /* copies */
    struct tael_db pin; /* reads meanwhile: the log does not begin anew */
};

static void close_all(struct copying *copying)
{
    tael_db_close(&copying->db);
    tael_db_close(&copying->pin);
}

static tael_status open_all(struct copying *copying, struct tael_store *store)
{
    tael_error err;
    tael_status rc = TAEL_OK;
    if (copying->db.handle == NULL)
        rc = tael_db_open(&copying->db, store, &err);
    if (rc == TAEL_OK && copying->pin.handle == NULL)
        rc = tael_db_open_reader(&copying->pin, store, &err);
    return rc;
}

/* Also where all is copied already and nothing is pinned: SQLite finds the log in use then, and
 * leaves it. */
static int copy_once(struct copying *copying)
{
    sqlite3 *pin = copying->pin.handle;
    int code = sqlite3_exec(pin, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_wal_checkpoint_v2(copying->db.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                         NULL);
    if (sqlite3_get_autocommit(pin) == 0 &&
        sqlite3_exec(pin, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        code = SQLITE_ERROR;
    return code;
}

static void copy(struct tael_store *store, struct copying *copying)
{
    pthread_mutex_lock(&store->copy_lock);
    int code = open_all(copying, store) == TAEL_OK ? SQLITE_OK : SQLITE_CANTOPEN;
    for (int i = 0; i < COPIES && code == SQLITE_OK; i++)
        code = copy_once(copying);
    if (code != SQLITE_OK && code != SQLITE_BUSY)
        close_all(copying);
    pthread_mutex_unlock(&store->copy_lock);
}

/* Nobody waits for it: where it shares a core with a loop, it does not cut into its turn. */
static void stand_back(void)
{
    const struct sched_param param = {.sched_priority = 0};
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &param); /* only slower without it */
}

static void *copier_main(void *arg)
{
    struct tael_store *store = arg;
    struct copying copying = {0};
    stand_back();
    pthread_mutex_lock(&store->lock);
    for (;;) {
        while (store->copy != TAEL_COPY_WANTED && !store->stopping)
            pthread_cond_wait(&store->log_long, &store->lock);
        if (store->stopping)
            break;
        pthread_mutex_unlock(&store->lock);
        copy(store, &copying);
        pthread_mutex_lock(&store->lock);
        store->copy = TAEL_COPY_DONE;
    }
    pthread_mutex_unlock(&store->lock);
    close_all(&copying);
    return NULL;
}

bool tael_copier_has_copied(struct tael_store *store)
{
    if (!store->copier.runs)
        return true;
    pthread_mutex_lock(&store->lock);
    bool done = store->copy == TAEL_COPY_DONE;
    if (done) {
        store->copy = TAEL_COPY_IDLE;
    } else if (store->copy == TAEL_COPY_IDLE) {
        store->copy = TAEL_COPY_WANTED;
        pthread_cond_signal(&store->log_long);
    }
    pthread_mutex_unlock(&store->lock);
    return done;
}

tael_status tael_copier_start(struct tael_store *store)
{
    store->copy = TAEL_COPY_IDLE;
    if (store->shared)
        return TAEL_OK;
    return tael_thread_start(&store->copier, "tael-copier", copier_main, store);
}

void tael_copier_finish(struct tael_store *store)
{
    tael_thread_join(&store->copier);
}
