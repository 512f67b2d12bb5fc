/* engine_wake.c - a wake of tael.task goes by mail to the workers that it may concern.
 *
 * tael_worker_wake_others runs on the waker's thread, wake_arrived on the woken worker's. Who it
 * may concern: bind/waiting.h.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

struct wake {
    struct tael_mail mail; /* first */
    struct tael_worker *worker;
    size_t key_len, payload_len;
    char bytes[]; /* key, then payload */
};

static void wake_arrived(struct tael_mail *mail)
{
    struct wake *wake = (struct wake *)mail;
    if (wake->worker->state != NULL)
        tael_task_wake_key(wake->worker->state, wake->bytes, wake->key_len,
                           wake->bytes + wake->key_len, wake->payload_len);
    free(wake);
}

void tael_worker_wake_others(struct tael_host *host, const char *key, size_t key_len,
                             const char *payload, size_t payload_len)
{
    struct tael_worker *from =
        (struct tael_worker *)((char *)host - offsetof(struct tael_worker, host));
    struct tael_engine *engine = from->engine;
    if (engine->settling)
        return; /* nobody would fetch it any more */
    uint64_t hash = tael_waiting_hash((struct tael_span){key, key_len});
    for (int i = 0; i < engine->plan.workers; i++) {
        struct tael_worker *worker = &engine->workers[i];
        if (worker == from || !tael_waiting_concerns(&worker->waiting, hash))
            continue;
        pthread_mutex_lock(&engine->lock);
        bool ready = worker->phase == TAEL_WORKER_READY;
        pthread_mutex_unlock(&engine->lock);
        struct wake *wake = NULL;
        if (ready)
            wake = malloc(sizeof(*wake) + key_len + payload_len);
        if (wake == NULL)
            continue; /* a lost wake is a timeout for the waiter, which looks again */
        *wake = (struct wake){.mail.fn = wake_arrived,
                              .worker = worker,
                              .key_len = key_len,
                              .payload_len = payload_len};
        memcpy(wake->bytes, key, key_len);
        if (payload_len > 0)
            memcpy(wake->bytes + key_len, payload, payload_len);
        tael_loop_post(worker->loop, &wake->mail);
    }
}
