/* history_test.c - deterministic mode: engine, sandbox and shoppers in one simulated world.
 *
 * 1 One seed, one history: pay, notify, crash, restart run twice give the same log and the same
 *   bytes on the simulated disk. 2 Another seed gives another history with the same truths:
 *   whatever a shopper was told is in the store once, chains and seals verify, the tables follow
 *   from the events. SEEDS says how many; a failing seed is printed and SEED=n runs it alone.
 * Keys are made once, in a folder of this test: RSA keys cannot come from a seed, RSA signatures
 * need no randomness.
 */
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

enum { START_MS = 1790000000, SHOPPERS = 3, ORDERS = 4 };

static const char config[] = /* %s: the working directory */
    "return { dev = true, scripts = { folder = '%s/scripts' }, workers = 1, log = { level = "
    "'debug' },"
    " http = { listen = { '127.0.0.1:8080' } }, operations = { listen = false },"
    " sandbox = { listen = '127.0.0.1:8090', speed = 1000 } }";

struct history {
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
    snprintf(text, sizeof(text), config, here);
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
    struct tael_engine_setup setup = {.world = history->world, .app = "simtest.client"};
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

static tael_status send_shoppers(struct history *history)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"api\":\"http://127.0.0.1:8080\",\"sandbox\":\"http://127.0.0.1:8090\","
             "\"key\":\"%s\",\"shoppers\":%d,\"orders\":%d}",
             history->key, SHOPPERS, ORDERS);
    history->answered = false;
    return tael_call(history->shoppers, "POST", "/shop", body, NULL, answered, history);
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
    int64_t end = tael_now_ms(history->world) + 3600 * 1000;
    while (rc == TAEL_OK && !history->answered)
        rc = tael_sim_run(history->world, end);
    if (rc == TAEL_OK) /* one more seal */
        tael_sim_run(history->world, tael_now_ms(history->world) + 3000);
    return history->answered ? TAEL_OK : rc;
}

/* In-process call to the engine, run to its answer. */
static const char *ask(struct history *history, const char *path)
{
    history->answered = false;
    if (tael_call(history->engine, "GET", path, NULL, "demo.test", answered, history) != TAEL_OK)
        return "";
    while (!history->answered &&
           tael_sim_run(history->world, tael_now_ms(history->world) + 60000) == TAEL_OK)
        continue;
    return history->answered ? history->answer.data : "";
}

static bool begin(struct history *history, uint64_t seed, const char *folder)
{
    char name[64];
    memset(history, 0, sizeof(*history));
    history->seed = seed;
    snprintf(history->folder, sizeof(history->folder), "%s", folder);
    snprintf(name, sizeof(name), "history-%llu", (unsigned long long)seed);
    if (tael_vfs_mem_new(&history->disk, name, seed) != TAEL_OK)
        return false;
    struct tael_sim_options options = {
        .seed = seed, .start_ms = (int64_t)START_MS * 1000, .vfs = name};
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

/* ---- the checks ---- */

static int count(const char *text, const char *word)
{
    int found = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        found++;
    return found;
}

/* What is true of every history, whatever its seed. NULL: all of it; else what is not. */
static const char *broken_truth(struct history *history)
{
    if (history->http_status != 200)
        return "a shopper gave up";
    if (count(history->answer.data, "\"state\":\"paid\"") != SHOPPERS * ORDERS)
        return "not every order was seen paid";
    const char *list = ask(history, "/v1/payments?limit=100");
    if (count(list, "\"object\":\"payment\"") != SHOPPERS * ORDERS)
        return "payments lost or doubled";
    if (count(list, "\"state\":\"paid\"") != SHOPPERS * ORDERS)
        return "an acknowledged payment is no longer paid";
    const char *events = ask(history, "/v1/events?type=payment.paid&limit=100");
    if (count(events, "\"type\":\"payment.paid\"") != SHOPPERS * ORDERS)
        return "a transition lost or doubled";
    if (strstr(ask(history, "/-/verify"), "\"ok\":true") == NULL)
        return "chains, seals or the rebuild differ";
    return NULL;
}

static const char *const files[] = {"data/tael.db", "data/tael.db-wal", "data/sandbox.db",
                                    "data/sandbox.db-wal"};
enum { FILES = sizeof(files) / sizeof(files[0]) };

/* What a history leaves behind: its log, then the bytes of every file. */
static void keep_traces(struct history *history, struct tael_buf *log, struct tael_buf *disk)
{
    *log = history->log;
    history->log = (struct tael_buf){0};
    for (size_t i = 0; i < FILES; i++) {
        char path[128];
        struct tael_buf bytes = {0};
        snprintf(path, sizeof(path), "%s/%s", history->folder, files[i]);
        if (tael_vfs_mem_copy(history->disk, path, &bytes) == TAEL_OK)
            tael_buf_append(disk, bytes.data, bytes.len);
        tael_buf_free(&bytes);
    }
}

static bool same(const struct tael_buf *a, const struct tael_buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void save(const char *path, const struct tael_buf *bytes)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return;
    fwrite(bytes->data, 1, bytes->len, file);
    fclose(file);
}

static void one_seed_one_history(const char *folder)
{
    static const uint64_t seeds[] = {7, 7, 8};
    struct tael_buf log[3] = {{0}}, disk[3] = {{0}};
    for (int i = 0; i < 3; i++) {
        struct history history;
        bool ok = begin(&history, seeds[i], folder) && live(&history, 2) == TAEL_OK;
        CHECK_NAMED(ok, ok ? "a history came to its end" : history.err.message);
        const char *broken = ok ? broken_truth(&history) : "not run";
        CHECK_NAMED(broken == NULL, broken != NULL ? broken : "it is a right history");
        keep_traces(&history, &log[i], &disk[i]);
        end(&history);
    }
    CHECK_NAMED(log[0].len > 10000 && disk[0].len > 100000, "there is something to compare");
    CHECK_NAMED(same(&log[0], &log[1]), "the logs of one seed are the same to the byte");
    CHECK_NAMED(same(&disk[0], &disk[1]), "the databases of one seed are the same to the byte");
    CHECK_NAMED(!same(&log[0], &log[2]) && !same(&disk[0], &disk[2]), "another seed differs");
    if (!same(&log[0], &log[1])) {
        save("build/history.1.log", &log[0]);
        save("build/history.2.log", &log[1]);
    }
    for (int i = 0; i < 3; i++) {
        tael_buf_free(&log[i]);
        tael_buf_free(&disk[i]);
    }
}

static bool seed_holds(uint64_t seed, const char *folder, uint64_t *crashed)
{
    struct history history;
    const char *broken = "did not come to its end";
    int crashes = (int)(seed % 5);
    tael_status rc = TAEL_ENOMEM;
    if (begin(&history, seed, folder))
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

static void every_seed_is_right(const char *folder)
{
    const char *alone = getenv("SEED"), *many = getenv("SEEDS");
    uint64_t first = alone != NULL ? strtoull(alone, NULL, 10) : 1;
    uint64_t seeds = alone != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : 80;
    uint64_t right = 0, crashed = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        right += seed_holds(seed, folder, &crashed);
    char name[96];
    snprintf(name, sizeof(name), "%llu of %llu seeds give a right history, %llu crashes in all",
             (unsigned long long)right, (unsigned long long)seeds, (unsigned long long)crashed);
    CHECK_NAMED(right == seeds, name);
}

int main(void)
{
    char folder[] = "/tmp/tael-history-XXXXXX";
    if (mkdtemp(folder) == NULL)
        return 1;
    struct history keys; /* makes the keys and is forgotten */
    bool ok = begin(&keys, 1, folder) && open_engine(&keys) == TAEL_OK;
    CHECK_NAMED(ok, ok ? "an engine opens in the simulated world" : keys.err.message);
    end(&keys);
    if (ok && getenv("SEED") == NULL)
        one_seed_one_history(folder);
    if (ok)
        every_seed_is_right(folder);
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) != 0 ? 1 : tap_end();
}
