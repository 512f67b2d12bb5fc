/* serve.c - tael serve and tael sandbox: an engine from its start to its drained end. */
#include "serve.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log_ring.h"
#include "engine.h"
#include "handover.h"
#include "signals.h"

enum {
    STARTING_MS = 10 * 1000, /* what an engine has to begin to serve, before it is taken over */
    AGAIN_MS = 50,
};

void tael_serve_prepare(void)
{
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a full disk, no reason to die */
    umask(S_IRWXG | S_IRWXO); /* store, keys and sockets are the service user's alone */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

const char *tael_serve_next(const tael_error *err, bool dev)
{
    if (strcmp(err->code, "listen") == 0)
        return dev ? "tael dev --port 8180 takes other addresses; or stop what listens there"
                   : "stop what listens there, or name another address: http.listen, "
                     "operations.listen or sandbox.listen in tael.lua";
    if (strcmp(err->code, "usage") == 0)
        return "tael sandbox --help"; /* the other words of servers are looked at before */
    if (strcmp(err->code, "folder") == 0)
        return "make it, or let this user write there; data in tael.lua names another";
    if (strcmp(err->code, "store_behind") == 0)
        return "tael migrate";
    if (strcmp(err->code, "store_locked") == 0)
        return dev ? "stop that process, or work in another folder"
                   : "stop that process, or tael serve --takeover, or work in another folder";
    if (strcmp(err->code, "takeover") == 0)
        return "its log says more; it can be asked again";
    if (err->status == TAEL_ECONFIG && strcmp(err->code, "open") != 0)
        return "correct the configuration; tael doctor checks it";
    return "tael doctor";
}

/* Whoever has no tael.lua wanted development: doctor would find nothing wrong with that. */
static const char *next_of(const tael_error *err, const struct tael_words *words)
{
    bool alone = !words->dev && words->config == NULL;
    if (alone && (strcmp(err->code, "open") == 0 || strcmp(err->code, "store_behind") == 0))
        return "tael dev runs without a tael.lua; tael init makes one";
    return tael_serve_next(err, words->dev);
}

/* What the application wants people to read when it has started; none: silence. */
static void print_banner(tael_engine *engine)
{
    int status;
    size_t len;
    char *text;
    if (tael_call_wait(engine, "GET", "/-/banner", NULL, NULL, &status, &text, &len) != TAEL_OK)
        return;
    if (status == 200)
        tael_print(STDOUT_FILENO, text, len);
    tael_free(text);
}

/* Serves until it is told to stop or a successor serves. A successor that fails changes nothing. */
static tael_status serve(tael_engine *engine, struct tael_handover *handover,
                         struct tael_signals *signals, tael_error *err)
{
    tael_status rc = tael_engine_run(engine);
    while (tael_handover_came(handover) &&
           tael_handover_give(handover, signals) == TAEL_HANDOVER_FAILED) {
        rc = tael_engine_resume(engine, err);
        if (rc == TAEL_OK)
            rc = tael_handover_again(handover);
        if (rc != TAEL_OK)
            return rc;
        tael_signals_are_for(signals, engine); /* what came in between is made good */
        rc = tael_engine_run(engine);
    }
    return rc;
}

static int run(tael_engine *engine, struct tael_signals *signals, struct tael_taking *taking,
               const struct tael_words *words)
{
    tael_error err = {0};
    struct tael_handover *handover = NULL;
    tael_signals_are_for(signals, engine);
    tael_status rc = tael_engine_start(engine, &err);
    if (rc == TAEL_OK) {
        if (tael_taking_found(taking))
            TAEL_LOG(engine->log, TAEL_LOG_INFO, "engine.took_over",
                     tael_log_int("sockets", (int64_t)engine->legacy.count));
        tael_taking_done(taking);
        tael_signals_are_for(signals, engine); /* a reload that came in between is made good */
        print_banner(engine); /* waits for a worker: one that hands over would not answer */
        if (tael_handover_open(&handover, engine) != TAEL_OK)
            TAEL_LOG(engine->log, TAEL_LOG_WARN, "engine.no_handover",
                     tael_log_text("why", "its socket cannot be made; a restart works"));
        rc = serve(engine, handover, signals, &err);
    } else if (tael_taking_found(taking)) {
        tael_engine_stop(engine, 0); /* who has come to us already is answered */
    }
    tael_signals_are_for(signals, NULL);
    tael_handover_close(handover);
    tael_engine_close(engine);
    tael_taking_drop(taking);
    if (err.status == TAEL_OK)
        return rc == TAEL_OK ? TAEL_EXIT_DONE : TAEL_EXIT_NO;
    if (atomic_load(&signals->stop))
        return TAEL_EXIT_DONE; /* stopped before it had started */
    return tael_complain(words, &err, next_of(&err, words));
}

/* Opens it. An engine that is only starting cannot be asked yet: a takeover waits for it. */
static tael_status open_engine(tael_engine **out, const tael_options *options,
                               const struct tael_engine_setup *setup, tael_error *err)
{
    static const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
    for (int waited_ms = 0;; waited_ms += AGAIN_MS) {
        tael_status rc = tael_engine_open_app(out, options, setup, err);
        bool starts = rc != TAEL_OK && setup->inherit != NULL &&
                      strcmp(err->code, "store_locked") == 0 &&
                      !tael_taking_found(setup->inherit_user);
        if (!starts || waited_ms >= STARTING_MS || atomic_load(setup->stop))
            return rc;
        *err = (tael_error){0};
        nanosleep(&pause, NULL);
    }
}

static int open_and_run(const struct tael_words *words, const char *app, const char *args,
                        struct tael_log_ring *ring, struct tael_signals *signals)
{
    tael_engine *engine = NULL;
    tael_error err = {0};
    tael_options options = TAEL_OPTIONS_INIT;
    options.config_path = words->config;
    options.dev = words->dev;
    options.listen = 1;
    options.log = tael_log_ring_write;
    options.log_user = ring;
    struct tael_taking taking = {.stop = &signals->stop, .connection = -1};
    struct tael_engine_setup setup = {.app = app,
                                      .args_json = args,
                                      .stop = &signals->stop,
                                      .inherit = words->takeover ? tael_taking_inherit : NULL,
                                      .inherit_user = &taking};
    if (open_engine(&engine, &options, &setup, &err) == TAEL_OK)
        return run(engine, signals, &taking, words);
    tael_taking_drop(&taking); /* no store of ours is open any more */
    if (atomic_load(&signals->stop))
        return TAEL_EXIT_DONE;
    return tael_complain(words, &err, next_of(&err, words));
}

int tael_serve(const struct tael_words *words, const char *app)
{
    struct tael_signals signals;
    struct tael_log_ring *ring = NULL;
    struct tael_buf args = {0};
    int code = TAEL_EXIT_INTERNAL;
    if (tael_signals_open(&signals, false) != TAEL_OK)
        return code;
    tael_serve_prepare();
    /* a person at the terminal reads the banner on stdout; a service manager reads the log there */
    if (tael_words_json(words, NULL, &args) == TAEL_OK &&
        tael_log_ring_new(&ring, words->dev ? STDERR_FILENO : STDOUT_FILENO, 0) == TAEL_OK)
        code = open_and_run(words, app, args.data, ring, &signals);
    tael_log_ring_free(ring);
    tael_buf_free(&args);
    tael_signals_close(&signals);
    return code;
}
