/* tls_server.c - see tls_server.h: which certificate counts, and when another one does.
 *
 * The lock guards the pointer to the context of now; reloading has a lock of its own, so that no
 * connection waits for a disk.
 */
#include "net/tls_server.h"

#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "net/tls_files.h"

enum { DAY_MS = 24 * 60 * 60 * 1000, WARN_DAYS = 14 };

#define AGAIN_US (INT64_C(3600) * 1000000) /* between attempts to load the same files */

struct tael_tls_server {
    struct tael_world *world;
    struct tael_log *log;
    char *name, *chain_path, *key_path;
    pthread_mutex_t lock;
    struct tael_tls_context *now; /* under lock */

    pthread_mutex_t loading;             /* one at a time; guards what follows */
    struct tael_file_identity loaded[2]; /* what the last attempt was made with */
    struct tael_file_identity seen[2];   /* by the last look */
    bool failed;                         /* the last attempt */
    int64_t tried_us;                    /* when, monotonic */
    int64_t warned_ms;                   /* 0: not yet */
};

struct tael_log *tael_tls_server_log(const struct tael_tls_server *server)
{
    return server->log;
}

const char *tael_tls_server_name(const struct tael_tls_server *server)
{
    return server->name;
}

struct tael_tls_context *tael_tls_server_context(struct tael_tls_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct tael_tls_context *context = tael_tls_context_hold(server->now);
    pthread_mutex_unlock(&server->lock);
    return context;
}

void tael_tls_server_facts(struct tael_tls_server *server, struct tael_tls_facts *out)
{
    pthread_mutex_lock(&server->lock);
    *out = *tael_tls_context_facts(server->now);
    pthread_mutex_unlock(&server->lock);
}

/* ---- loading ---- */

static void replace(struct tael_tls_server *server, struct tael_tls_context *context)
{
    pthread_mutex_lock(&server->lock);
    struct tael_tls_context *old = server->now;
    server->now = context;
    pthread_mutex_unlock(&server->lock);
    tael_tls_context_release(old);
}

/* One that has run out, or not begun, is no better than the one that is there. */
static tael_status check_dates(const struct tael_tls_server *server,
                               const struct tael_tls_context *context, tael_error *err)
{
    const struct tael_tls_facts *facts = tael_tls_context_facts(context);
    int64_t now = tael_now_ms(server->world);
    if (facts->not_after_ms <= now)
        return tael_key_refuse(err, TAEL_ECONFIG, "tls_expired",
                               "%s: the certificate has expired; have a new one issued",
                               server->chain_path);
    if (facts->not_before_ms > now)
        return tael_key_refuse(err, TAEL_ECONFIG, "tls_not_yet",
                               "%s: the certificate is not valid yet; look at the clock",
                               server->chain_path);
    return TAEL_OK;
}

static int64_t days_left(const struct tael_tls_server *server, const struct tael_tls_facts *facts)
{
    return (facts->not_after_ms - tael_now_ms(server->world)) / DAY_MS;
}

static tael_status load(struct tael_tls_server *server, bool first, tael_error *err)
{
    struct tael_tls_context *context = NULL;
    tael_tls_files_identify(server->chain_path, server->key_path, server->loaded);
    memcpy(server->seen, server->loaded, sizeof(server->seen));
    tael_status rc =
        tael_tls_context_load(&context, server->world, server->chain_path, server->key_path, err);
    if (rc == TAEL_OK && !first)
        rc = check_dates(server, context, err);
    if (rc != TAEL_OK) {
        tael_tls_context_release(context);
        return rc;
    }
    struct tael_tls_facts facts = *tael_tls_context_facts(context);
    replace(server, context);
    server->warned_ms = 0;
    TAEL_LOG(server->log, TAEL_LOG_INFO, "tls.loaded", tael_log_text("listener", server->name),
             tael_log_text("file", server->chain_path), tael_log_text("serial", facts.serial),
             tael_log_int("days_left", days_left(server, &facts)));
    return TAEL_OK;
}

/* server->loading is held. */
static tael_status load_again(struct tael_tls_server *server, tael_error *err)
{
    tael_error failure = {TAEL_OK, "", ""};
    tael_status rc = load(server, false, &failure);
    server->failed = rc != TAEL_OK;
    server->tried_us = tael_mono_us(server->world);
    if (rc != TAEL_OK)
        TAEL_LOG(server->log, TAEL_LOG_ERROR, "tls.not_loaded",
                 tael_log_text("listener", server->name), tael_log_text("code", failure.code),
                 tael_log_text("error", failure.message),
                 tael_log_text("consequence", "the certificate loaded before stays in use"));
    if (rc != TAEL_OK && err != NULL)
        *err = failure;
    return rc;
}

tael_status tael_tls_server_reload(struct tael_tls_server *server, tael_error *err)
{
    pthread_mutex_lock(&server->loading);
    tael_status rc = load_again(server, err);
    pthread_mutex_unlock(&server->loading);
    return rc;
}

/* ---- watching ---- */

static void warn_of_end(struct tael_tls_server *server)
{
    struct tael_tls_facts facts;
    int64_t now = tael_now_ms(server->world);
    tael_tls_server_facts(server, &facts);
    int64_t days = days_left(server, &facts);
    if (days >= WARN_DAYS || (server->warned_ms != 0 && now - server->warned_ms < DAY_MS))
        return;
    server->warned_ms = now;
    bool over = facts.not_after_ms <= now;
    TAEL_LOG(server->log, over ? TAEL_LOG_ERROR : TAEL_LOG_WARN,
             over ? "tls.expired" : "tls.expires", tael_log_text("listener", server->name),
             tael_log_text("file", server->chain_path), tael_log_int("days_left", days));
}

static void age(struct tael_tls_server *server)
{
    struct tael_tls_context *context = tael_tls_server_context(server);
    tael_tls_context_age(context);
    tael_tls_context_release(context);
}

/* What was in the way may be over: a date to come, no memory, no descriptor. */
static bool is_due_again(const struct tael_tls_server *server)
{
    return server->failed && tael_mono_us(server->world) - server->tried_us >= AGAIN_US;
}

void tael_tls_server_watch(struct tael_tls_server *server)
{
    struct tael_file_identity found[2];
    age(server);
    bool both = tael_tls_files_identify(server->chain_path, server->key_path, found);
    pthread_mutex_lock(&server->loading);
    bool still = memcmp(found, server->seen, sizeof(found)) == 0;
    bool fresh = memcmp(found, server->loaded, sizeof(found)) != 0;
    memcpy(server->seen, found, sizeof(found));
    if (both && still && (fresh || is_due_again(server)))
        load_again(server, NULL);
    warn_of_end(server);
    pthread_mutex_unlock(&server->loading);
}

/* ---- life ---- */

tael_status tael_tls_server_new(struct tael_tls_server **out,
                                const struct tael_tls_server_options *options, tael_error *err)
{
    struct tael_tls_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return tael_key_refuse(err, TAEL_ENOMEM, "out_of_memory", "out of memory for TLS");
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->loading, NULL);
    server->world = options->world;
    server->log = options->log;
    server->name = strdup(options->name);
    server->chain_path = strdup(options->chain_path);
    server->key_path = strdup(options->key_path);
    tael_status rc = TAEL_ENOMEM;
    if (server->name == NULL || server->chain_path == NULL || server->key_path == NULL)
        tael_key_refuse(err, rc, "out_of_memory", "out of memory for TLS");
    else
        rc = load(server, true, err);
    if (rc != TAEL_OK) {
        tael_tls_server_free(server);
        return rc;
    }
    *out = server;
    return TAEL_OK;
}

void tael_tls_server_free(struct tael_tls_server *server)
{
    if (server == NULL)
        return;
    tael_tls_context_release(server->now);
    pthread_mutex_destroy(&server->lock);
    pthread_mutex_destroy(&server->loading);
    free(server->name);
    free(server->chain_path);
    free(server->key_path);
    free(server);
}
