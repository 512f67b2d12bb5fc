/* life_test.c - deterministic mode: refunds race with notifications, queries, closes, expiry and
 * each other, while the channel loses, repeats and forges and the machine dies.
 *
 * In the end every payment and refund says what really happened to the money at the channel,
 * nothing is open, chains and seals verify and the tables follow from the events. SEEDS says how
 * many histories; a failing seed is printed, SEED=n runs it alone and prints its log.
 */
#include "tests/sim/history.h"

static const struct history_script script = {
    .app = "simtest.life",
    .path = "/live",
    .arguments = "\"orders\":4,\"faults\":60",
    .more = "",
    .end_ms = 6 * 3600 * 1000,
};

static const char *broken_truth(struct history *history)
{
    if (history->http_status != 200)
        return "a shopper gave up";
    if (strstr(history->answer.data, "\"wrong\":[]") == NULL) {
        printf("# %s\n", history->answer.data);
        return "the books and the money differ";
    }
    if (strstr(ask(history, "/-/verify"), "\"ok\":true") == NULL) {
        printf("# %s\n", history->answer.data);
        return "chains, seals or the rebuild differ";
    }
    return NULL;
}

int main(void)
{
    char folder[] = "/tmp/tael-life-XXXXXX";
    if (begin_folder(&script, folder))
        every_seed(&script, folder, 200, broken_truth);
    return end_folder(folder);
}
