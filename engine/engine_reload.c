/* engine_reload.c - reading again, while the engine runs, what can be: certificates. The
 * application says what else has changed and needs a restart (its path /-/reload).
 */
#include "engine.h"

tael_status tael_worker_reload(struct tael_host *host, int *certificates, tael_error *err)
{
    const struct tael_worker *worker =
        (const struct tael_worker *)((char *)host - offsetof(struct tael_worker, host));
    tael_engine *engine = worker->engine;
    *certificates = 0;
    for (size_t i = 0; i < engine->plan.listener_count; i++)
        *certificates += engine->tls[i] != NULL;
    return tael_engine_reload_tls(engine, err);
}

static void ignore(void *user, const tael_response *response)
{
    (void)user, (void)response; /* what came of it stands in the log */
}

bool tael_engine_hang_up(tael_engine *engine)
{
    tael_status rc = tael_call(engine, "POST", "/-/reload", NULL, NULL, ignore, NULL);
    if (rc == TAEL_EBUSY)
        TAEL_LOG(engine->log, TAEL_LOG_WARN, "engine.not_reloaded",
                 tael_log_text("why", "too many calls are open"));
    return rc != TAEL_ECLOSED;
}
