/* history_test.c - deterministic mode: engine, sandbox and shoppers in one simulated world.
 *
 * 1 One seed, one history: pay, notify, crash, restart run twice give the same log and the same
 *   bytes on the simulated disk. 2 Another seed gives another history with the same truths:
 *   whatever a shopper was told is in the store once, chains and seals verify, the tables follow
 *   from the events. SEEDS says how many; a failing seed is printed and SEED=n runs it alone.
 */
#include "tests/sim/history.h"

enum { SHOPPERS = 3, ORDERS = 4 };

static const struct history_script script = {
    .app = "simtest.client",
    .path = "/shop",
    .arguments = "\"shoppers\":3,\"orders\":4",
    .more = "",
    .end_ms = 3600 * 1000,
};

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
        bool ok = begin(&history, &script, seeds[i], folder) && live(&history, 2) == TAEL_OK;
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

int main(void)
{
    char folder[] = "/tmp/tael-history-XXXXXX";
    bool ok = begin_folder(&script, folder);
    if (ok && getenv("SEED") == NULL)
        one_seed_one_history(folder);
    if (ok)
        every_seed(&script, folder, 80, broken_truth);
    return end_folder(folder);
}
