/* command.c - hands the words to lua/tael/cli, in an engine of one worker without listeners. */
#include "command.h"

#include <signal.h>
#include <stdlib.h>

#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "rehearse.h"
#include "serve.h"

static void log_line(void *user, tael_log_level level, const char *line, size_t len)
{
    (void)user, (void)level;
    tael_print(STDERR_FILENO, line, len);
}

static bool is_of_store(tael_status status)
{
    return status == TAEL_ESTORE || status == TAEL_EVERSION || status == TAEL_EBUSY;
}

static tael_status open_command(const struct tael_words *words, const tael_error *store,
                                struct tael_buf *args, tael_engine **engine, tael_error *err)
{
    tael_options options = TAEL_OPTIONS_INIT;
    options.config_path = words->config;
    options.dev = words->dev;
    options.log = log_line;
    args->len = 0;
    tael_status rc = tael_words_json(words, store, args);
    if (rc != TAEL_OK)
        return rc;
    struct tael_engine_setup setup = {.app = "tael.cli.app", .args_json = args->data};
    rc = tael_engine_open_app(engine, &options, &setup, err);
    return rc == TAEL_OK ? tael_engine_start(*engine, err) : rc;
}

/* A command whose store cannot be opened is asked a second time, told why: it says so in its own
 * words (doctor, migrate). */
int tael_command(const struct tael_words *words)
{
    struct tael_buf args = {0};
    int code = TAEL_EXIT_INTERNAL, status = 0;
    char *body = NULL;
    tael_engine *engine = NULL;
    tael_error err = {0};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is told as one that cannot be written */
    umask(S_IRWXG | S_IRWXO);
    tael_status rc = open_command(words, NULL, &args, &engine, &err);
    if (is_of_store(rc)) {
        const tael_error store = err;
        tael_engine_close(engine);
        engine = NULL;
        rc = open_command(words, &store, &args, &engine, &err);
    }
    if (rc != TAEL_OK)
        code = tael_complain(words, &err, tael_serve_next(&err, words->dev));
    else if (tael_call_wait(engine, "POST", "/command", args.data, NULL, &status, &body, NULL) ==
                 TAEL_OK &&
             status == 200)
        code = (int)strtol(body, NULL, 10);
    tael_engine_close(engine);
    tael_free(body);
    tael_buf_free(&args);
    return code == TAEL_EXIT_REHEARSE ? tael_rehearse(words) : code;
}
