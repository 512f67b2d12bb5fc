/* rehearse.c - see rehearse.h. */
#include "rehearse.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <unistd.h>

#include <ftw.h>

#include "base/sim.h"
#include "dev_log.h"
#include "engine.h"
#include "store/vfs_mem.h"

enum {
    FOLDERS_AT_ONCE = 16, /* descriptors */
    LOOK_MS = 1000,       /* of the world's time, between two looks at signals */
    BRIEF_MAX = 2400,
};

#define DISK      "rehearsal"
#define BEGINS_MS INT64_C(1764374400000) /* as in scripts/inside/spec_world.lua */

struct rehearsal {
    struct tael_world *world;
    struct tael_vfs_mem *disk;
    tael_engine *engine;
    struct tael_buf args;
    char folder[256];
    bool answered;
    int code;
};

/* The command says how the specs end. Only where a rule failed, and its default decided a payment,
 * nobody else tells why. */
static void log_line(void *user, tael_log_level level, const char *line, size_t len)
{
    static const char failed[] = "\"kind\":\"rule_failed\"";
    char brief[BRIEF_MAX];
    (void)user;
    if (level != TAEL_LOG_ERROR || memmem(line, len, failed, sizeof(failed) - 1) == NULL)
        return;
    size_t brief_len = tael_dev_log_brief("rehearsal:", line, len, brief, sizeof(brief));
    if (brief_len > 0)
        tael_print(STDERR_FILENO, brief, brief_len);
}

static void on_answer(void *user, const tael_response *response)
{
    struct rehearsal *rehearsal = user;
    rehearsal->answered = true;
    if (response->status == TAEL_OK && response->http_status == 200)
        rehearsal->code = (int)strtol(response->body, NULL, 10);
    tael_loop_stop(rehearsal->engine->workers[0].loop); /* gives control back to run */
}

/* The words, and where the world's folder is: {…} becomes {…,"world":"/tmp/…"}. */
static tael_status put_args(struct rehearsal *rehearsal, const struct tael_words *words)
{
    struct tael_buf *args = &rehearsal->args;
    tael_status rc = tael_words_json(words, NULL, args);
    if (rc != TAEL_OK)
        return rc;
    args->len = (size_t)(strrchr(args->data, '}') - args->data);
    rc = tael_buf_append_text(args, ",\"world\":\"");
    if (rc == TAEL_OK)
        rc = tael_buf_append_text(args, rehearsal->folder);
    return rc == TAEL_OK ? tael_buf_append(args, "\"}", sizeof("\"}")) : rc;
}

static tael_status open_world(struct rehearsal *rehearsal, const struct tael_words *words,
                              tael_error *err)
{
    tael_options options = TAEL_OPTIONS_INIT;
    struct tael_sim_options world = {.seed = 1, .start_ms = BEGINS_MS, .vfs = DISK};
    struct tael_engine_setup setup = {.app = "tael.rehearsal.app"};
    tael_status rc = put_args(rehearsal, words);
    if (rc == TAEL_OK)
        rc = tael_vfs_mem_new(&rehearsal->disk, DISK, world.seed);
    if (rc == TAEL_OK)
        rc = tael_sim_new(&rehearsal->world, &world);
    if (rc != TAEL_OK)
        return rc;
    options.config_path = words->config;
    options.dev = words->dev;
    options.listen = 1;
    options.log = log_line;
    setup.world = rehearsal->world;
    setup.args_json = rehearsal->args.data;
    rc = tael_engine_open_app(&rehearsal->engine, &options, &setup, err);
    return rc == TAEL_OK ? tael_engine_start(rehearsal->engine, err) : rc;
}

/* Those that end a program wait until the folder is removed. */
static void hold_signals(bool held)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGQUIT);
    pthread_sigmask(held ? SIG_BLOCK : SIG_UNBLOCK, &ending, NULL);
}

static bool is_to_end(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t pending;
    if (sigpending(&pending) != 0)
        return false;
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
        if (sigismember(&pending, ending[i]) == 1)
            return true;
    return false;
}

static tael_status run(struct rehearsal *rehearsal)
{
    tael_status rc = tael_call(rehearsal->engine, "POST", "/command", rehearsal->args.data, NULL,
                               on_answer, rehearsal);
    while (rc == TAEL_OK && !rehearsal->answered && !is_to_end()) {
        rc = tael_sim_run(rehearsal->world, tael_now_ms(rehearsal->world) + LOOK_MS);
        rc = rc == TAEL_ETIMEOUT ? TAEL_OK : rc;
    }
    return rc;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    (void)about, (void)kind, (void)at;
    return remove(path);
}

static void end(struct rehearsal *rehearsal)
{
    if (rehearsal->engine != NULL)
        tael_engine_abandon(rehearsal->engine);
    tael_engine_close(rehearsal->engine);
    tael_world_free(rehearsal->world);
    tael_vfs_mem_free(rehearsal->disk);
    tael_buf_free(&rehearsal->args);
    nftw(rehearsal->folder, remove_one, FOLDERS_AT_ONCE, FTW_DEPTH | FTW_PHYS);
}

/* It stands in JSON as it is. */
static bool is_plain_path(const char *path)
{
    if (path == NULL || path[0] != '/' || strlen(path) > 200)
        return false;
    while (*path >= ' ' && *path <= '~' && *path != '"' && *path != '\\')
        path++;
    return *path == '\0';
}

static bool make_folder(struct rehearsal *rehearsal)
{
    const char *place = getenv("TMPDIR");
    if (!is_plain_path(place))
        place = "/tmp";
    snprintf(rehearsal->folder, sizeof(rehearsal->folder), "%s/tael-rehearsal-XXXXXX", place);
    return mkdtemp(rehearsal->folder) != NULL;
}

int tael_rehearse(const struct tael_words *words)
{
    struct rehearsal rehearsal = {.code = TAEL_EXIT_INTERNAL};
    tael_error err = {0};
    hold_signals(true); /* before there are threads */
    if (!make_folder(&rehearsal)) {
        hold_signals(false);
        err.status = TAEL_ECONFIG;
        snprintf(err.message, sizeof(err.message), "%s: no folder can be made for the rehearsal",
                 rehearsal.folder);
        return tael_complain(words, &err, "set TMPDIR");
    }
    tael_status rc = open_world(&rehearsal, words, &err);
    if (rc == TAEL_OK)
        rc = run(&rehearsal);
    if (rc != TAEL_OK && err.status == TAEL_OK) {
        err.status = rc;
        snprintf(err.message, sizeof(err.message), "the rehearsal: %s", tael_status_text(rc));
    }
    end(&rehearsal);
    hold_signals(false);
    return err.status == TAEL_OK ? rehearsal.code : tael_complain(words, &err, NULL);
}
