/* history.h - one simulated history: engine, sandbox and shoppers in one world, for the tests here.
 *
 * A script says what the shoppers' application is asked to do. The machine dies at moments that the
 * seed chooses and comes back; whatever was acknowledged must be there afterwards. All functions
 * are static: each test is one program. Keys are made once, in a folder of the test: RSA keys
 * cannot come from a seed, RSA signatures need no randomness.
 */
#ifndef TAEL_TESTS_SIM_HISTORY_H
#define TAEL_TESTS_SIM_HISTORY_H

#include "tael.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/bytes.h"
#include "base/sim.h"
#include "engine.h"
#include "store/vfs_mem.h"
#include "tests/unit/tap.h"

enum { START_S = 1790000000 };

static const char history_config[] = /* more members; the working directory */
    "return { %s dev = true, scripts = { folder = '%s/scripts' }, workers = 1, log = { level = "
    "'debug' },"
    " http = { listen = { '127.0.0.1:8080' } }, operations = { listen = false },"
    " sandbox = { listen = '127.0.0.1:8090', speed = 1000 } }";

struct history_script {                 /* what the shoppers' application is asked to do */
    const char *app, *path, *arguments; /* arguments: members of a JSON object */
    const char *more;                   /* of the engine's configuration: members of a Lua table */
    int64_t end_ms; /* virtual time after which a history has not come to its end */
};

struct history {
    const struct history_script *script;
    uint64_t seed;
    struct tael_world *world;
    struct tael_vfs_mem *disk;
    tael_engine *engine, *shoppers;
    char folder[64], key[128];
    struct tael_buf log;
    tael_error err;
    bool answered;
    int crashes; /* that came before the shoppers were done */
    int http_status;
    struct tael_buf answer;
};

static void keep_log(void *user, tael_log_level level, const char *line, size_t len)
{
    (void)level;
    tael_buf_append(&((struct history *)user)->log, line, len);
}

static tael_status open_engine(struct history *history)
{
    struct tael_engine_setup setup = {.world = history->world};
    tael_options options = TAEL_OPTIONS_INIT;
    char text[4096], here[2048];
    if (getcwd(here, sizeof(here)) == NULL)
        return TAEL_EINVAL;
    snprintf(text, sizeof(text), history_config, history->script->more, here);
    options.config_lua = text;
    options.root = history->folder;
    options.lua_root = "tests/sim/lua";
    options.dev = 1;
    options.listen = 1;
    options.log = keep_log;
    options.log_user = history;
    tael_status rc = tael_engine_open_app(&history->engine, &options, &setup, &history->err);
    return rc == TAEL_OK ? tael_engine_start(history->engine, &history->err) : rc;
}

static tael_status open_shoppers(struct history *history)
{
    struct tael_engine_setup setup = {.world = history->world, .app = history->script->app};
    tael_options options = TAEL_OPTIONS_INIT;
    options.root = history->folder;
    options.lua_root = "tests/sim/lua";
    options.log = keep_log;
    options.log_user = history;
    tael_status rc = tael_engine_open_app(&history->shoppers, &options, &setup, &history->err);
    return rc == TAEL_OK ? tael_engine_start(history->shoppers, &history->err) : rc;
}

static bool read_demo_key(struct history *history)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/data/demo.key", history->folder);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    bool ok = fgets(history->key, sizeof(history->key), file) != NULL;
    fclose(file);
    history->key[strcspn(history->key, "\n")] = '\0';
    return ok;
}

static void answered(void *user, const tael_response *response)
{
    struct history *history = user;
    history->answered = true;
    history->http_status = response->http_status;
    tael_buf_clear(&history->answer);
    tael_buf_append(&history->answer, response->body, response->body_len + 1);
    tael_loop_stop(history->shoppers->workers[0].loop); /* gives control back to the test */
}

/* script: {simtest.client's arguments} besides the addresses and the key. */
static tael_status send_shoppers(struct history *history)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"api\":\"http://127.0.0.1:8080\",\"sandbox\":\"http://127.0.0.1:8090\","
             "\"key\":\"%s\",\"seed\":%llu,%s}",
             history->key, (unsigned long long)history->seed, history->script->arguments);
    history->answered = false;
    return tael_call(history->shoppers, "POST", history->script->path, body, NULL, answered,
                     history);
}

/* The machine dies at a moment that the seed chooses: at some millisecond, or in the middle of some
 * write or sync of the disk. Then it comes back. */
static tael_status crash(struct history *history)
{
    if (tael_sim_draw(history->world) % 2 == 0) {
        tael_vfs_mem_crash_in(history->disk, 1 + tael_sim_draw(history->world) % 120);
        while (!history->answered && !tael_vfs_mem_down(history->disk))
            tael_sim_run(history->world, tael_now_ms(history->world) + 1);
        tael_vfs_mem_crash_in(history->disk, 0);
    } else {
        int64_t wait = 1 + (int64_t)(tael_sim_draw(history->world) % 60);
        tael_sim_run(history->world, tael_now_ms(history->world) + wait);
        if (!history->answered)
            tael_vfs_mem_crash(history->disk, tael_sim_draw(history->world) % 2 == 0
                                                  ? TAEL_CRASH_POWER
                                                  : TAEL_CRASH_PROCESS);
    }
    if (!tael_vfs_mem_down(history->disk))
        return TAEL_OK; /* the shoppers were done before */
    history->crashes++;
    tael_engine_abandon(history->engine);
    tael_engine_close(history->engine);
    history->engine = NULL;
    tael_vfs_mem_boot(history->disk);
    return open_engine(history);
}

static tael_status live(struct history *history, int crashes)
{
    tael_status rc = open_engine(history);
    if (rc == TAEL_OK)
        rc = open_shoppers(history);
    if (rc == TAEL_OK && !read_demo_key(history))
        rc = TAEL_ENOTFOUND;
    if (rc == TAEL_OK)
        rc = send_shoppers(history);
    for (int i = 0; rc == TAEL_OK && i < crashes; i++)
        rc = crash(history);
    int64_t end = tael_now_ms(history->world) + history->script->end_ms;
    while (rc == TAEL_OK && !history->answered)
        rc = tael_sim_run(history->world, end);
    if (rc == TAEL_OK) /* one more seal */
        tael_sim_run(history->world, tael_now_ms(history->world) + 3000);
    return history->answered ? TAEL_OK : rc;
}

/* In-process call to the engine, run to its answer. */
static inline const char *ask(struct history *history, const char *path)
{
    history->answered = false;
    if (tael_call(history->engine, "GET", path, NULL, "demo.test", answered, history) != TAEL_OK)
        return "";
    while (!history->answered &&
           tael_sim_run(history->world, tael_now_ms(history->world) + 60000) == TAEL_OK)
        continue;
    return history->answered ? history->answer.data : "";
}

static bool begin(struct history *history, const struct history_script *script, uint64_t seed,
                  const char *folder)
{
    char name[64];
    memset(history, 0, sizeof(*history));
    history->script = script;
    history->seed = seed;
    snprintf(history->folder, sizeof(history->folder), "%s", folder);
    snprintf(name, sizeof(name), "history-%llu", (unsigned long long)seed);
    if (tael_vfs_mem_new(&history->disk, name, seed) != TAEL_OK)
        return false;
    struct tael_sim_options options = {
        .seed = seed, .start_ms = (int64_t)START_S * 1000, .vfs = name};
    return tael_sim_new(&history->world, &options) == TAEL_OK;
}

static void end(struct history *history)
{
    if (history->engine != NULL)
        tael_engine_abandon(history->engine);
    if (history->shoppers != NULL)
        tael_engine_abandon(history->shoppers);
    tael_engine_close(history->shoppers);
    tael_engine_close(history->engine);
    tael_world_free(history->world);
    tael_vfs_mem_free(history->disk);
    tael_buf_free(&history->log);
    tael_buf_free(&history->answer);
}

static bool seed_holds(const struct history_script *script, uint64_t seed, const char *folder,
                       const char *(*broken_truth)(struct history *history), uint64_t *crashed)
{
    struct history history;
    const char *broken = "did not come to its end";
    int crashes = (int)(seed % 5);
    tael_status rc = TAEL_ENOMEM;
    if (begin(&history, script, seed, folder))
        rc = live(&history, crashes);
    if (rc == TAEL_OK)
        broken = broken_truth(&history);
    if (broken != NULL)
        printf("# seed %llu, %d crashes: %s %s %s (run it alone: SEED=%llu)\n",
               (unsigned long long)seed, crashes, broken, tael_status_text(rc), history.err.message,
               (unsigned long long)seed);
    if (broken != NULL && getenv("SEED") != NULL)
        printf("%.*s\n%s\n", (int)history.log.len, history.log.data, history.answer.data);
    *crashed += (uint64_t)history.crashes;
    end(&history);
    return broken == NULL;
}

/* Runs seeds 1 … count (SEEDS), or SEED alone; prints each that fails with how to run it alone. */
static inline void every_seed(const struct history_script *script, const char *folder,
                              uint64_t count, const char *(*broken_truth)(struct history *history))
{
    const char *alone = getenv("SEED"), *many = getenv("SEEDS");
    uint64_t first = alone != NULL ? strtoull(alone, NULL, 10) : 1;
    uint64_t seeds = alone != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : count;
    uint64_t right = 0, crashed = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        right += seed_holds(script, seed, folder, broken_truth, &crashed);
    char name[96];
    snprintf(name, sizeof(name), "%llu of %llu seeds give a right history, %llu crashes in all",
             (unsigned long long)right, (unsigned long long)seeds, (unsigned long long)crashed);
    CHECK_NAMED(right == seeds, name);
}

/* A folder with keys, in which histories begin; NULL: none could be made. Freed by end_folder. */
static bool begin_folder(const struct history_script *script, char *folder)
{
    if (mkdtemp(folder) == NULL)
        return false;
    struct history keys; /* makes the keys and is forgotten */
    bool ok = begin(&keys, script, 1, folder) && open_engine(&keys) == TAEL_OK;
    CHECK_NAMED(ok, ok ? "an engine opens in the simulated world" : keys.err.message);
    end(&keys);
    return ok;
}

static int end_folder(const char *folder)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) != 0 ? 1 : tap_end();
}

#endif
