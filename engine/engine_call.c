/* engine_call.c - in-process calls: the application's whole API without a socket (tael_call,
 * tael.h). */
#include "tael.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { CALLS_MAX = 10000 }; /* accepted and not yet answered, of one engine */

/* What the program itself asks (a reload) concerns the whole engine: the first worker knows what
 * was read at the start, others only what they were asked for. */
static struct tael_worker *worker_for(tael_engine *engine, const char *path)
{
    if (strncmp(path, "/-/", 3) == 0)
        return &engine->workers[0];
    unsigned turn = atomic_fetch_add(&engine->next_worker, 1);
    return &engine->workers[turn % (unsigned)engine->plan.workers];
}

static bool takes_calls(tael_engine *engine)
{
    return atomic_load(&engine->running) && atomic_load(&engine->stopping) == 0;
}

tael_status tael_call(tael_engine *engine, const char *method, const char *path, const char *json,
                      const char *merchant, tael_response_fn fn, void *user)
{
    if (engine == NULL || method == NULL || path == NULL || fn == NULL)
        return TAEL_EINVAL;
    if (!takes_calls(engine))
        return TAEL_ECLOSED;
    if (atomic_fetch_add(&engine->calls, 1) >= CALLS_MAX) {
        atomic_fetch_sub(&engine->calls, 1);
        return TAEL_EBUSY;
    }
    struct tael_worker *worker = worker_for(engine, path);
    tael_status rc = tael_worker_call(worker, method, path, json, merchant, fn, user);
    if (rc != TAEL_OK)
        atomic_fetch_sub(&engine->calls, 1);
    return rc;
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done;
    tael_status status;
    int http_status;
    char *body;
    size_t body_len;
};

static void waiting_answered(void *user, const tael_response *response)
{
    struct waiting *waiting = user;
    pthread_mutex_lock(&waiting->lock);
    waiting->status = response->status;
    waiting->http_status = response->http_status;
    waiting->body = malloc(response->body_len + 1);
    if (waiting->body != NULL) {
        memcpy(waiting->body, response->body, response->body_len);
        waiting->body[response->body_len] = '\0';
        waiting->body_len = response->body_len;
    } else {
        waiting->status = TAEL_ENOMEM;
    }
    waiting->done = true;
    pthread_cond_signal(&waiting->answered);
    pthread_mutex_unlock(&waiting->lock);
}

/* While it takes calls: a thread that has ended may have left its identity to one of the host's. */
static bool on_engine_thread(const tael_engine *engine)
{
    for (int i = 0; i < engine->plan.workers; i++)
        if (engine->workers[i].thread.runs &&
            pthread_equal(engine->workers[i].thread.id, pthread_self()))
            return true;
    return engine->world->simulated;
}

tael_status tael_call_wait(tael_engine *engine, const char *method, const char *path,
                           const char *json, const char *merchant, int *http_status, char **body,
                           size_t *body_len)
{
    if (engine == NULL || http_status == NULL || body == NULL)
        return TAEL_EINVAL;
    if (!takes_calls(engine))
        return TAEL_ECLOSED;
    if (on_engine_thread(engine))
        return TAEL_ETHREAD;
    struct waiting waiting = {.lock = PTHREAD_MUTEX_INITIALIZER,
                              .answered = PTHREAD_COND_INITIALIZER};
    tael_status rc = tael_call(engine, method, path, json, merchant, waiting_answered, &waiting);
    if (rc != TAEL_OK)
        return rc;
    pthread_mutex_lock(&waiting.lock);
    while (!waiting.done)
        pthread_cond_wait(&waiting.answered, &waiting.lock);
    pthread_mutex_unlock(&waiting.lock);
    if (waiting.status != TAEL_OK) {
        free(waiting.body);
        return waiting.status;
    }
    *http_status = waiting.http_status;
    *body = waiting.body;
    if (body_len != NULL)
        *body_len = waiting.body_len;
    return TAEL_OK;
}
