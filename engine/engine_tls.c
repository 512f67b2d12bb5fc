/* engine_tls.c - the certificates of an engine's listeners: opened before any worker, loaded anew
 * when their files change or when somebody asks.
 *
 * Listeners with the same files share one. Worker 1 looks at the files once a second; a reload that
 * is asked for may come from any thread.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { LOOK_US = 1000 * 1000 };

static struct tael_tls_server *find_same(const tael_engine *engine, size_t listener)
{
    const struct tael_plan_listener *listeners = engine->plan.listeners;
    for (size_t i = 0; i < listener; i++) {
        if (engine->tls[i] != NULL &&
            strcmp(listeners[i].tls_cert, listeners[listener].tls_cert) == 0 &&
            strcmp(listeners[i].tls_key, listeners[listener].tls_key) == 0)
            return engine->tls[i];
    }
    return NULL;
}

tael_status tael_engine_open_tls(tael_engine *engine, tael_error *err)
{
    engine->tls = calloc(engine->plan.listener_count + 1, sizeof(*engine->tls));
    if (engine->tls == NULL)
        return TAEL_ENOMEM;
    for (size_t i = 0; engine->listen && i < engine->plan.listener_count; i++) {
        const struct tael_plan_listener *listener = &engine->plan.listeners[i];
        if (listener->tls_cert == NULL)
            continue;
        engine->tls[i] = find_same(engine, i);
        if (engine->tls[i] != NULL)
            continue;
        struct tael_tls_server_options options = {.world = engine->world,
                                                  .log = engine->log,
                                                  .name = listener->name,
                                                  .chain_path = listener->tls_cert,
                                                  .key_path = listener->tls_key};
        tael_status rc = tael_tls_server_new(&engine->tls[i], &options, err);
        if (rc != TAEL_OK)
            return rc;
    }
    return TAEL_OK;
}

/* The next one of its own, from *at on; NULL: there are no more. */
static struct tael_tls_server *next_tls(const tael_engine *engine, size_t *at)
{
    while (engine->tls != NULL && *at < engine->plan.listener_count) {
        size_t i = (*at)++;
        if (engine->tls[i] != NULL && find_same(engine, i) == NULL)
            return engine->tls[i];
    }
    return NULL;
}

void tael_engine_close_tls(tael_engine *engine)
{
    /* From the end: find_same looks at those before. */
    for (size_t i = engine->plan.listener_count; engine->tls != NULL && i > 0; i--) {
        if (engine->tls[i - 1] != NULL && find_same(engine, i - 1) == NULL)
            tael_tls_server_free(engine->tls[i - 1]);
        engine->tls[i - 1] = NULL;
    }
    free(engine->tls);
    engine->tls = NULL;
}

tael_status tael_engine_reload_tls(tael_engine *engine, tael_error *err)
{
    tael_status result = TAEL_OK;
    struct tael_tls_server *tls = NULL;
    for (size_t at = 0; (tls = next_tls(engine, &at)) != NULL;) {
        tael_status rc = tael_tls_server_reload(tls, result == TAEL_OK ? err : NULL);
        result = result == TAEL_OK ? rc : result; /* the first failure is told, all are tried */
    }
    return result;
}

bool tael_worker_certificate(struct tael_host *host, size_t *at, struct tael_certificate *out)
{
    const struct tael_worker *worker =
        (const struct tael_worker *)((char *)host - offsetof(struct tael_worker, host));
    const tael_engine *engine = worker->engine;
    while (*at < engine->plan.listener_count && engine->tls[*at] == NULL)
        (*at)++;
    if (*at == engine->plan.listener_count)
        return false;
    struct tael_tls_facts facts;
    tael_tls_server_facts(engine->tls[*at], &facts);
    out->listener = engine->plan.listeners[*at].name;
    out->not_before_ms = facts.not_before_ms;
    out->not_after_ms = facts.not_after_ms;
    snprintf(out->serial, sizeof(out->serial), "%s", facts.serial);
    (*at)++;
    return true;
}

/* ---- watching, by worker 1 ---- */

static void on_look(void *user)
{
    struct tael_worker *worker = user;
    struct tael_tls_server *tls = NULL;
    for (size_t at = 0; (tls = next_tls(worker->engine, &at)) != NULL;)
        tael_tls_server_watch(tls);
    tael_timer_start(worker->tls_look, LOOK_US);
}

tael_status tael_worker_watch_tls(struct tael_worker *worker)
{
    size_t at = 0;
    if (worker->number != 1 || next_tls(worker->engine, &at) == NULL)
        return TAEL_OK;
    worker->tls_look = tael_timer_new(worker->loop, on_look, worker);
    if (worker->tls_look == NULL)
        return TAEL_ENOMEM;
    tael_timer_start(worker->tls_look, LOOK_US);
    return TAEL_OK;
}
