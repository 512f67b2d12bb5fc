/* copier.c - brings a log that has grown long into the database, beside the writer.
 *
 * Threads: one of its own, with a connection of its own that is opened when it is first needed.
 * What was committed meanwhile is left to the writer, whose own checkpoint is short then: only one
 * that leaves nothing lets the log begin anew. In the simulated world, and where one connection
 * serves all, there is none: the writer's checkpoint does everything.
 *
 * 1 It copies nothing while the writer opens its connection anew (copy_lock): what the log holds is
 * not sure then. 2 Its failures are not told: the writer's checkpoint meets them too, and tells.
 */
#include <sched.h>

#include "store/inner.h"

/* The first takes long enough for hundreds of pages to be committed meanwhile; the writer's own
 * checkpoint, which holds up commits, is left with what comes during the last. */
enum { COPIES = 3 };

static void copy(struct tael_store *store, struct tael_db *db)
{
    pthread_mutex_lock(&store->copy_lock);
    tael_error err;
    tael_status rc = db->handle != NULL ? TAEL_OK : tael_db_open(db, store, &err);
    if (rc == TAEL_OK) {
        int code = SQLITE_OK;
        for (int i = 0; i < COPIES && code == SQLITE_OK; i++)
            code =
                sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        if (code != SQLITE_OK && code != SQLITE_BUSY)
            tael_db_close(db);
    }
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
    struct tael_db db = {0};
    stand_back();
    pthread_mutex_lock(&store->lock);
    for (;;) {
        while (store->copy != TAEL_COPY_WANTED && !store->stopping)
            pthread_cond_wait(&store->log_long, &store->lock);
        if (store->stopping)
            break;
        pthread_mutex_unlock(&store->lock);
        copy(store, &db);
        pthread_mutex_lock(&store->lock);
        store->copy = TAEL_COPY_DONE;
    }
    pthread_mutex_unlock(&store->lock);
    tael_db_close(&db);
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
