/* engine_handover.c - leaving the listening sockets and the store's lock to another process, and
 * taking everything up again when that one does not come to serve.
 *
 * An engine that hands over first ebbs: it goes on accepting, while every answer says Connection:
 * close and quiet connections end. Then it drains with its sockets kept open, so that who connects
 * waits in their backlogs; then it pauses: the store's file is closed, the lock is not. From there
 * either the successor says that it serves, and the engine is closed, or it resumes, with the Lua
 * states and the configuration that it has. 1 The lock is never free, and whoever may write has it.
 * 2 Whoever has the lock beside us writes only while we are paused. 3 No listening socket is ever
 * closed by its last owner. Threads: the opener's, but for what is said to be a worker's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "engine.h"
#include "net/address.h"

enum { EBB_SLACK_US = 20000 }; /* quiet connections close before it is over */

/* ---- what is left ---- */

void tael_legacy_free(struct tael_legacy *legacy)
{
    for (size_t i = 0; i < legacy->count; i++)
        close(legacy->sockets[i].fd);
    free(legacy->sockets);
    if (legacy->lock_fd >= 0)
        close(legacy->lock_fd);
    *legacy = (struct tael_legacy){.lock_fd = -1};
}

tael_status tael_legacy_add(struct tael_legacy *legacy, const char *name, const char *address,
                            int fd)
{
    struct tael_legacy_socket *sockets =
        realloc(legacy->sockets, (legacy->count + 1) * sizeof(*sockets));
    if (sockets == NULL) {
        close(fd);
        return TAEL_ENOMEM;
    }
    legacy->sockets = sockets;
    struct tael_legacy_socket *added = &sockets[legacy->count++];
    added->fd = fd;
    snprintf(added->name, sizeof(added->name), "%s", name);
    snprintf(added->address, sizeof(added->address), "%s", address);
    return TAEL_OK;
}

static bool read_address(const char *text, struct tael_address *out, long *port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return false;
    bool brackets = text[0] == '[' && colon - text > 2;
    struct tael_span host = {text + (brackets ? 1 : 0),
                             (size_t)(colon - text) - (brackets ? 2 : 0)};
    *port = strtol(colon + 1, NULL, 10);
    return tael_address_parse(out, host);
}

/* The same text, or another one of the same: of "[::0]:80" the socket says "[::]:80". */
static bool same_address(const char *a, const char *b)
{
    struct tael_address x, y;
    long x_port, y_port;
    if (strcmp(a, b) == 0)
        return true;
    return read_address(a, &x, &x_port) && read_address(b, &y, &y_port) && x_port == y_port &&
           x.ip6 == y.ip6 && memcmp(x.bytes, y.bytes, sizeof(x.bytes)) == 0;
}

/* By its address, wherever that is a certain one; a listener that took any free port, by its name.
 */
static bool is_of(const struct tael_legacy_socket *socket,
                  const struct tael_plan_listener *listener)
{
    const char *port = strrchr(listener->address, ':');
    if (port != NULL && strcmp(port, ":0") == 0)
        return strcmp(socket->name, listener->name) == 0;
    return same_address(socket->address, listener->address);
}

/* Every socket has one worker at least: a connection in its backlog would wait for ever. Where
 * there are more workers than sockets, some share one. */
int tael_legacy_socket_for(const struct tael_legacy *legacy,
                           const struct tael_plan_listener *listener, int worker, int workers,
                           size_t n, bool *any)
{
    size_t sockets = 0, place = 0, mine = 0;
    for (size_t i = 0; i < legacy->count; i++)
        sockets += is_of(&legacy->sockets[i], listener);
    *any = sockets > 0;
    size_t turns = strncmp(listener->address, "unix:", 5) == 0 ? 1 : (size_t)workers;
    size_t turn = (size_t)worker - 1;
    for (size_t i = 0; i < legacy->count; i++) {
        if (!is_of(&legacy->sockets[i], listener))
            continue;
        bool is_mine = sockets >= turns ? place % turns == turn : place == turn % sockets;
        place++;
        if (is_mine && mine++ == n) {
            int fd = fcntl(legacy->sockets[i].fd, F_DUPFD_CLOEXEC, 0);
            return fd >= 0 ? fd : TAEL_LEGACY_FAILED;
        }
    }
    return TAEL_LEGACY_NONE;
}

/* ---- the worker's part, on its thread ---- */

bool tael_worker_ebb(struct tael_worker *worker)
{
    struct tael_engine *engine = worker->engine;
    if (!atomic_load(&engine->handing_over) || tael_http_server_connections(worker->server) == 0)
        return false;
    int64_t quiet_ms = tael_http_quiet_ms(atomic_load(&engine->drain_ms));
    tael_http_server_ebb(worker->server, quiet_ms);
    tael_timer_start(worker->deadline, quiet_ms * 1000 + EBB_SLACK_US);
    return true;
}

static void keep_socket(void *user, const char *name, const char *address, int fd)
{
    struct tael_engine *engine = user;
    pthread_mutex_lock(&engine->lock);
    tael_status rc = tael_legacy_add(&engine->legacy, name, address, fd);
    pthread_mutex_unlock(&engine->lock);
    if (rc != TAEL_OK)
        TAEL_LOG(engine->log, TAEL_LOG_ERROR, "engine.socket_lost",
                 tael_log_text("address", address));
}

static void leave_socket(void *user, const char *name, const char *address, int fd)
{
    (void)user, (void)name, (void)address;
    close(fd);
}

/* An heir that ends before it has come to serve leaves the sockets as they were: to retire one
 * would make it deaf for the old engine, too, which goes on with it. */
void tael_worker_share(struct tael_worker *worker)
{
    struct tael_engine *engine = worker->engine;
    bool gives = atomic_load(&engine->handing_over);
    bool leaves = engine->inherits && !atomic_load(&engine->running);
    if ((gives || leaves) &&
        tael_http_server_share(worker->server, gives ? keep_socket : leave_socket, engine) !=
            TAEL_OK)
        TAEL_LOG(engine->log, TAEL_LOG_ERROR, "engine.socket_lost",
                 tael_log_text("why", "no descriptors are left"));
}

/* ---- the engine's ---- */

tael_status tael_engine_hand_over(tael_engine *engine)
{
    int goes_on = 0;
    if (!atomic_load(&engine->running))
        return TAEL_ECLOSED;
    atomic_store(&engine->handing_over, true);
    if (!atomic_compare_exchange_strong(&engine->stopping, &goes_on, 1)) {
        atomic_store(&engine->handing_over, false);
        return TAEL_ECLOSED; /* a stop came first: it closes the sockets */
    }
    tael_engine_stop(engine, 0);
    return TAEL_OK;
}

void tael_engine_pause(tael_engine *engine)
{
    if (engine->store == NULL)
        return;
    tael_store_pause(engine->store);
    for (int i = 0; i < engine->plan.workers; i++)
        tael_store_reader_rest(engine->workers[i].host.reader);
    engine->legacy.lock_fd = fcntl(tael_store_lock(engine->store), F_DUPFD_CLOEXEC, 0);
}

static tael_status resume_worker(struct tael_worker *worker, tael_error *err)
{
    tael_timer_stop(worker->deadline);
    worker->leaving = worker->draining = worker->host.draining = worker->http_drained = false;
    worker->late = worker->drained = worker->clean = false;
    pthread_mutex_lock(&worker->engine->lock);
    worker->ended = false;
    pthread_mutex_unlock(&worker->engine->lock);
    worker->resumed = true;
    tael_http_server_resume(worker->server);
    return tael_worker_listen(worker, err);
}

tael_status tael_engine_resume(tael_engine *engine, tael_error *err)
{
    tael_status rc = TAEL_OK;
    if (engine->legacy.lock_fd >= 0)
        close(engine->legacy.lock_fd);
    engine->legacy.lock_fd = -1;
    atomic_store(&engine->handing_over, false);
    atomic_store(&engine->stopping, 0);
    if (engine->store != NULL)
        rc = tael_store_resume(engine->store, err);
    for (int i = 0; rc == TAEL_OK && i < engine->plan.workers; i++)
        rc = resume_worker(&engine->workers[i], err);
    tael_legacy_free(&engine->legacy);
    for (int i = 0; rc == TAEL_OK && i < engine->plan.workers; i++)
        rc = tael_engine_run_worker(&engine->workers[i]);
    if (rc != TAEL_OK && err != NULL && err->status == TAEL_OK)
        tael_error_set(err, rc, "resume", "cannot go on: %s", tael_status_text(rc));
    return rc;
}
