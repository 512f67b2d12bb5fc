/* writer.c - the queue, groups, and what happens when one is lost.
 *
 * Threads: submit is called on loops; the writer's thread takes what has gathered, commits it as
 * one group and posts the answers. It is called at the end of a loop's turn, by a piece of the
 * loop's own mail, or when many units wait: a commit costs the same for one unit as for many, and
 * where loop and writer share a core, one that is called at each unit ends the turn for it. What a
 * loop that has stopped left in the queue goes with another's turn, or with the store's stop. In
 * the simulated world that mail is the writer's turn.
 *
 * 1 Nothing is answered before its COMMIT has returned; a refusal neither, for it may rest on what
 * the same group wrote.
 *
 * 2 A group runs without savepoints first. A unit that has to be undone sends the whole group round
 * again with a savepoint for each; a group that was lost is run again unit by unit, each in its own
 * transaction. Each of the two at most once.
 *
 * 3 A COMMIT that failed is not tried again: the handle is closed and opened, its log is written
 * and synced anew, and the group's mark tells whether it happened after all. Only if it certainly
 * did not are its units run again.
 *
 * 4 A unit is in the list of open units from submit until just before done is called; what is never
 * fetched is answered at close.
 */
#include <assert.h>
#include <stdlib.h>

#include "store/inner.h"

enum {
    LOG_FULL = 8,       /* so many times checkpoint_pages: readers are waited for */
    GATHER_MAX = 64,    /* units that wait for the end of a loop's turn, or of several */
    PATIENT_TURNS = 16, /* whose ends a unit lets pass for others like it; two a look at sockets */
    PATIENT_US = 5000,  /* and so long at most */
};

static const char NOT_STORED[] = "the last units were not stored";
static const char NOT_REOPENED[] = "the store cannot be opened again";

/* ---- answers ---- */

static void open_insert(struct tael_unit *unit)
{
    struct tael_store *store = unit->store;
    unit->open_next = store->open;
    unit->open_link = &store->open;
    if (unit->open_next != NULL)
        unit->open_next->open_link = &unit->open_next;
    store->open = unit;
}

static void open_remove(struct tael_unit *unit)
{
    *unit->open_link = unit->open_next;
    if (unit->open_next != NULL)
        unit->open_next->open_link = unit->open_link;
}

/* The units of one loop in one group, linked by next. */
static void deliver(struct tael_mail *mail)
{
    struct tael_unit *first = (struct tael_unit *)mail;
    struct tael_store *store = first->store;
    pthread_mutex_lock(&store->lock);
    for (struct tael_unit *unit = first; unit != NULL; unit = unit->next)
        open_remove(unit);
    pthread_mutex_unlock(&store->lock);
    while (first != NULL) {
        struct tael_unit *unit = first;
        first = unit->next;
        unit->submitted = false;
        unit->done(unit, unit->user); /* unit may be gone afterwards */
    }
}

/* Takes the units of the first one's loop off the list, in their order. */
static struct tael_unit *take_of_one_loop(struct tael_unit **list)
{
    struct tael_unit *chain = NULL, **end = &chain, **at = list;
    const struct tael_loop *loop = (*list)->loop;
    while (*at != NULL) {
        struct tael_unit *unit = *at;
        if (unit->loop != loop) {
            at = &unit->next;
            continue;
        }
        *at = unit->next;
        *end = unit;
        end = &unit->next;
    }
    *end = NULL;
    return chain;
}

static bool is_lost(const struct tael_unit *unit)
{
    return unit->outcome.status == TAEL_ESTORE && unit->outcome.statement == NULL;
}

/* committed: something was written for it. What wrote nothing says nothing about the disk. */
static void answer_group(struct tael_store *store, struct tael_unit *group, bool committed)
{
    int64_t count = 0, lost = 0;
    for (const struct tael_unit *unit = group; unit != NULL; unit = unit->next) {
        count++;
        lost += is_lost(unit);
    }
    pthread_mutex_lock(&store->lock);
    store->units += count;
    store->failed += lost;
    if (lost > 0)
        store->trouble = store->told != NULL ? store->told : NOT_STORED;
    else if (committed)
        store->trouble = NULL;
    int64_t failed = store->failed;
    pthread_mutex_unlock(&store->lock);
    if (committed && lost == 0 && store->told != NULL) {
        store->told = NULL;
        store->told_closed = false;
        TAEL_LOG(store->log, TAEL_LOG_INFO, "store.recovered", tael_log_text("path", store->path),
                 tael_log_int("lost", failed));
    }
    while (group != NULL) { /* posted, units are their loop's */
        struct tael_unit *chain = take_of_one_loop(&group);
        chain->mail.fn = deliver;
        tael_loop_post(chain->loop, &chain->mail);
    }
}

/* ---- the connection, when something went wrong ---- */

/* Told once until it ends: a full disk is often the log's disk, too. */
static void log_trouble(struct tael_store *store, const char *what)
{
    struct tael_db *db = &store->db;
    const char *trouble = tael_db_trouble(db);
    if (store->told == trouble)
        return;
    store->told = trouble;
    TAEL_LOG(
        store->log, TAEL_LOG_ERROR, "store.trouble", tael_log_text("path", store->path),
        tael_log_text("what", what), tael_log_text("trouble", trouble),
        tael_log_text("message", db->handle != NULL ? sqlite3_errmsg(db->handle) : "not open"));
}

static void roll_back(struct tael_db *db)
{
    if (sqlite3_get_autocommit(db->handle) != 0)
        return; /* SQLite has done it */
    tael_db_control(db, TAEL_CONTROL_ROLLBACK);
    if (sqlite3_get_autocommit(db->handle) == 0)
        db->broken = true;
}

tael_status tael_writer_mend(struct tael_store *store)
{
    struct tael_db *db = &store->db;
    if (db->handle != NULL && !db->broken)
        return TAEL_OK;
    tael_error err = {0};
    pthread_mutex_lock(&store->copy_lock);
    tael_db_abandon(db);
    tael_status rc = tael_db_open(db, store, &err);
    if (rc == TAEL_OK)
        rc = tael_db_settle(db, &err);
    pthread_mutex_unlock(&store->copy_lock);
    if (rc == TAEL_OK)
        rc = tael_db_prepare(db, store, &err);
    if (rc == TAEL_OK)
        return TAEL_OK;
    tael_db_abandon(db);
    if (!store->told_closed)
        TAEL_LOG(store->log, TAEL_LOG_ERROR, "store.not_reopened",
                 tael_log_text("path", store->path), tael_log_text("message", err.message));
    store->told_closed = true;
    store->told = store->told != NULL ? store->told : NOT_REOPENED; /* what began it says more */
    return rc;
}

/* ---- one pass over a group ---- */

enum pass {
    PASS_COMMITTED, /* outcomes stand */
    PASS_UNDO,      /* a unit has to be undone and cannot be alone; nothing is committed */
    PASS_LOST,      /* the transaction is gone; nothing is committed */
    PASS_DOWN,      /* no connection, no transaction to be had, or not known what came of it */
};

static enum tael_verdict run_saved(struct tael_unit *unit, struct tael_db *db)
{
    if (tael_db_control(db, TAEL_CONTROL_SAVE) != SQLITE_OK)
        return TAEL_UNIT_LOST;
    enum tael_verdict verdict = tael_unit_run(unit, db);
    if (verdict == TAEL_UNIT_LOST)
        return verdict;
    if (verdict == TAEL_UNIT_UNDO && tael_db_control(db, TAEL_CONTROL_BACK) != SQLITE_OK)
        return TAEL_UNIT_LOST;
    if (tael_db_control(db, TAEL_CONTROL_RELEASE) != SQLITE_OK)
        return TAEL_UNIT_LOST;
    return verdict == TAEL_UNIT_UNDO ? TAEL_UNIT_REFUSED : verdict;
}

/* COMMIT has failed: did it happen? */
static enum pass commit_resolve(struct tael_store *store, int64_t mark)
{
    struct tael_db *db = &store->db;
    int64_t seen = 0;
    log_trouble(store, "commit");
    if (store->memory) { /* no disk that could know better, and nothing to be opened again */
        roll_back(db);
        return PASS_LOST;
    }
    db->broken = true;
    if (tael_writer_mend(store) != TAEL_OK || tael_db_mark_get(db, &seen) != TAEL_OK)
        return PASS_DOWN;
    return seen == mark ? PASS_COMMITTED : PASS_LOST;
}

/* true: it is done, and on the disk if there is one. */
static bool control_commit(struct tael_store *store)
{
    if (store->disk != NULL)
        tael_vfs_log_begin(store->disk);
    bool good = tael_db_control(&store->db, TAEL_CONTROL_COMMIT) == SQLITE_OK;
    bool written = store->disk == NULL || tael_vfs_log_end(store->disk, good);
    return good && written;
}

static enum pass commit(struct tael_store *store)
{
    struct tael_db *db = &store->db;
    int64_t mark = tael_store_next_id(store); /* above all that the group holds */
    if (tael_db_mark_set(db, mark) != SQLITE_OK) {
        log_trouble(store, "mark");
        roll_back(db);
        return PASS_LOST;
    }
    enum pass pass = PASS_COMMITTED;
    if (!control_commit(store))
        pass = commit_resolve(store, mark);
    pthread_mutex_lock(&store->lock);
    store->groups += pass == PASS_COMMITTED;
    pthread_mutex_unlock(&store->lock);
    return pass;
}

/* Runs units from first up to end in one transaction. */
static enum pass group_pass(struct tael_store *store, struct tael_unit *first,
                            const struct tael_unit *end, bool savepoints)
{
    struct tael_db *db = &store->db;
    bool alone = first->next == end, wrote = false;
    if (tael_writer_mend(store) != TAEL_OK)
        return PASS_DOWN;
    int code = tael_db_control(db, TAEL_CONTROL_BEGIN);
    if (code != SQLITE_OK) {
        log_trouble(store, "begin");
        return (code & 0xff) == SQLITE_BUSY ? PASS_DOWN : PASS_LOST; /* a stranger's lock stays */
    }
    for (struct tael_unit *unit = first; unit != end; unit = unit->next) {
        enum tael_verdict verdict = savepoints ? run_saved(unit, db) : tael_unit_run(unit, db);
        if (verdict == TAEL_UNIT_LOST) {
            log_trouble(store, "unit");
            roll_back(db);
            return PASS_LOST;
        }
        if (verdict == TAEL_UNIT_UNDO) {
            roll_back(db);
            return alone ? PASS_COMMITTED : PASS_UNDO;
        }
        wrote = wrote || verdict == TAEL_UNIT_DONE;
    }
    if (wrote)
        return commit(store);
    roll_back(db);
    return PASS_COMMITTED;
}

static void fail_units(struct tael_unit *first)
{
    for (; first != NULL; first = first->next)
        tael_unit_fail(first, TAEL_ESTORE);
}

/* The group was lost: every unit for itself, once. */
static void run_alone(struct tael_store *store, struct tael_unit *group)
{
    for (struct tael_unit *unit = group; unit != NULL; unit = unit->next) {
        enum pass pass = group_pass(store, unit, unit->next, false);
        if (pass == PASS_DOWN) {
            fail_units(unit);
            return;
        }
        if (pass == PASS_LOST)
            tael_unit_fail(unit, TAEL_ESTORE);
    }
}

/* Is the log so long that readers are waited for? Who reads for long, such as a backup, is waited
 * for again only when it has grown by as much as is copied at a time. */
static bool is_full(struct tael_store *store)
{
    int frames = store->db.frames;
    if (frames / LOG_FULL < store->checkpoint_pages)
        store->full_at = 0;
    return frames / LOG_FULL >= store->checkpoint_pages && frames >= store->full_at;
}

static int checkpoint_full(struct tael_store *store)
{
    struct tael_db *db = &store->db;
    pthread_mutex_lock(&store->copy_lock); /* two at once: this one would be refused */
    int code = tael_db_checkpoint(db, SQLITE_CHECKPOINT_RESTART);
    pthread_mutex_unlock(&store->copy_lock);
    if (code == SQLITE_BUSY) {
        store->full_at = db->frames + store->checkpoint_pages;
        TAEL_LOG(store->log, TAEL_LOG_WARN, "store.log_held", tael_log_text("path", store->path),
                 tael_log_int("pages", db->frames),
                 tael_log_text("why", "somebody has been reading the store for long, a backup "
                                      "perhaps: its log grows until that ends"));
    }
    return code;
}

static void checkpoint(struct tael_store *store)
{
    struct tael_db *db = &store->db;
    if (db->handle == NULL || db->broken || db->frames < store->checkpoint_pages)
        return;
    bool full = is_full(store);
    if (!tael_copier_has_copied(store) && !full)
        return;
    int code =
        full ? checkpoint_full(store)
             : sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (code != SQLITE_OK && code != SQLITE_BUSY) {
        tael_db_saw(db, code);
        log_trouble(store, "checkpoint");
    }
}

static void run_group(struct tael_store *store, struct tael_unit *group)
{
    int64_t before = store->groups; /* changed by this thread alone */
    pthread_mutex_lock(&store->db_lock);
    enum pass pass = group_pass(store, group, NULL, false);
    if (pass == PASS_UNDO)
        pass = group_pass(store, group, NULL, true);
    if (pass == PASS_LOST)
        run_alone(store, group);
    else if (pass == PASS_DOWN)
        fail_units(group);
    pthread_mutex_unlock(&store->db_lock);
    answer_group(store, group, store->groups > before);
    pthread_mutex_lock(&store->db_lock);
    checkpoint(store); /* after the answers: it takes its time */
    pthread_mutex_unlock(&store->db_lock);
}

/* ---- the queue ---- */

/* The next group; NULL: the queue is empty. Under lock. */
static struct tael_unit *take_group(struct tael_store *store)
{
    struct tael_unit *group = store->first, *last = group;
    if (group == NULL)
        return NULL;
    size_t count = 1;
    for (; count < store->group_max && last->next != NULL; count++)
        last = last->next;
    store->first = last->next;
    last->next = NULL;
    if (store->first == NULL)
        store->behind = &store->first;
    store->queued -= count;
    return group;
}

static void run_queue(struct tael_store *store)
{
    for (;;) {
        pthread_mutex_lock(&store->lock);
        struct tael_unit *group = take_group(store);
        pthread_mutex_unlock(&store->lock);
        if (group == NULL)
            return;
        run_group(store, group);
    }
}

static void *writer_main(void *arg)
{
    struct tael_store *store = arg;
    tael_thread_be_prompt(); /* a commit that is done is waited for, by all of its group */
    pthread_mutex_lock(&store->lock);
    for (;;) {
        while (!store->due && !store->stopping)
            pthread_cond_wait(&store->work, &store->lock);
        struct tael_unit *group = take_group(store);
        store->due = store->due && store->first != NULL;
        if (group != NULL) {
            pthread_mutex_unlock(&store->lock);
            run_group(store, group);
            pthread_mutex_lock(&store->lock);
        } else if (store->stopping) {
            break;
        }
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

/* Under lock. true: the writer has to be woken, once the lock is free: it would only wait for it.
 */
static bool make_due(struct tael_store *store)
{
    bool wakes = store->threaded && store->first != NULL && !store->due;
    store->due = store->due || wakes;
    return wakes;
}

static void end_turn(struct tael_mail *mail)
{
    struct tael_turn *turn = (struct tael_turn *)mail;
    struct tael_store *store = turn->store;
    pthread_mutex_lock(&store->lock);
    turn->waits -= turn->waits > 0;
    turn->posted = turn->waits > 0 && store->first != NULL &&
                   tael_mono_us(store->world) - turn->since_us < PATIENT_US;
    bool posts = turn->posted, wakes = !posts && make_due(store);
    pthread_mutex_unlock(&store->lock);
    if (posts)
        tael_loop_post(turn->loop, mail);
    else if (wakes)
        pthread_cond_signal(&store->work);
    else if (!store->threaded)
        run_queue(store);
}

/* The loop's; NULL: there is no memory for it. Under lock. */
static struct tael_turn *turn_of(struct tael_store *store, struct tael_loop *loop)
{
    struct tael_turn *turn = store->turns;
    while (turn != NULL && turn->loop != loop)
        turn = turn->next;
    if (turn != NULL || (turn = malloc(sizeof(*turn))) == NULL)
        return turn;
    *turn =
        (struct tael_turn){.mail.fn = end_turn, .store = store, .loop = loop, .next = store->turns};
    store->turns = turn;
    return turn;
}

static void begin_waiting(struct tael_turn *turn)
{
    turn->waits = PATIENT_TURNS;
    turn->since_us = tael_mono_us(turn->store->world);
}

static void enqueue(struct tael_store *store, struct tael_unit *unit)
{
    unit->submitted = true;
    open_insert(unit);
    *store->behind = unit;
    store->behind = &unit->next;
    store->queued++;
}

void tael_unit_let_wait(struct tael_unit *unit)
{
    unit->patient = true;
}

tael_status tael_unit_submit(struct tael_unit *unit, struct tael_loop *loop,
                             void (*done)(struct tael_unit *unit, void *user), void *user)
{
    struct tael_store *store = unit->store;
    assert(!unit->submitted);
    unit->loop = loop;
    unit->done = done;
    unit->user = user;
    unit->next = NULL;
    struct tael_turn *turn = NULL;
    bool posts = false, wakes = false;
    pthread_mutex_lock(&store->lock);
    tael_status rc = store->stopping                         ? TAEL_ECLOSED
                     : store->queued >= store->queue_max     ? TAEL_EBUSY
                     : (turn = turn_of(store, loop)) == NULL ? TAEL_ENOMEM
                                                             : TAEL_OK;
    if (rc == TAEL_OK) {
        enqueue(store, unit);
        posts = !turn->posted;
        turn->posted = true;
        if (!unit->patient)
            turn->waits = 0;
        else if (posts)
            begin_waiting(turn);
        wakes = store->queued >= GATHER_MAX && make_due(store);
    }
    pthread_mutex_unlock(&store->lock);
    if (posts)
        tael_loop_post(loop, &turn->mail);
    if (wakes)
        pthread_cond_signal(&store->work);
    return rc;
}

/* ---- life ---- */

tael_status tael_writer_start(struct tael_store *store)
{
    return tael_thread_start(&store->writer, "tael-writer", writer_main, store);
}

void tael_writer_finish(struct tael_store *store)
{
    tael_thread_join(&store->writer);
    run_queue(store); /* the simulated world: what has not had its turn */
}

void tael_writer_drop(struct tael_store *store)
{
    while (store->open != NULL) {
        store->open->next = NULL; /* of a queue or a chain that nobody follows any more */
        deliver(&store->open->mail);
    }
    while (store->turns != NULL) {
        struct tael_turn *turn = store->turns;
        store->turns = turn->next;
        free(turn);
    }
}
