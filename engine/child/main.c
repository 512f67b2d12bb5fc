/* main.c - tael-script: the process in which strangers' scripts run. It has no keys, no store, no
 * network and no files: it is asked over descriptor 3 (bind/wire.h) and answers there, one message
 * at a time, until the socket is closed. It serves one owner. Whatever goes wrong in it ends it,
 * and whoever asked knows what to do then; nobody is told why, for there is nowhere to tell.
 */
#include <stdlib.h>

#include <sys/random.h>
#include <unistd.h>

#include "bind/wire.h"
#include "child/seal.h"
#include "script/shelf.h"

enum {
    CEILING = 64 << 20, /* bytes of all isolates */
    READ = 64 * 1024,
};

struct known { /* a generation that was told: it lies in text */
    struct tael_generation generation;
    struct tael_buf text;
};

struct serving {
    struct tael_shelf *shelf;
    struct known known[TAEL_WIRE_GENERATIONS]; /* a ring */
    size_t told;
    struct tael_ask ask;
    struct tael_buf in, out;
};

/* ---- asking ---- */

static bool learn(struct serving *serving, struct tael_span body)
{
    struct known *known = &serving->known[serving->told++ % TAEL_WIRE_GENERATIONS];
    free(known->generation.files);
    tael_buf_free(&known->text);
    if (tael_buf_append(&known->text, body.data, body.len) != TAEL_OK)
        return false;
    struct tael_span text = {known->text.data, known->text.len};
    return tael_wire_read_generation(text, &known->generation) == TAEL_OK;
}

static const struct tael_generation *find(const struct serving *serving, struct tael_span key)
{
    for (size_t i = 0; i < TAEL_WIRE_GENERATIONS; i++) {
        const struct tael_generation *of = &serving->known[i].generation;
        if (of->key.len == key.len && of->key.len > 0 &&
            memcmp(of->key.data, key.data, key.len) == 0)
            return of;
    }
    return NULL;
}

/* What they gave does not fit into one message. */
static tael_status put_nothing(struct serving *serving, uint32_t number)
{
    static const char why[] = "the results of all calls together are larger than 4 MiB";
    struct tael_ask *ask = &serving->ask;
    tael_buf_clear(&ask->out);
    tael_status rc = tael_buf_append(&ask->out, why, sizeof(why) - 1);
    for (size_t i = 0; i < ask->call_count; i++) {
        ask->calls[i].end = TAEL_ASK_SHAPE;
        ask->calls[i].results = 0;
        ask->calls[i].from = 0;
        ask->calls[i].len = sizeof(why) - 1;
    }
    return rc == TAEL_OK ? tael_wire_put_answer(&serving->out, ask, number) : rc;
}

static bool answer(struct serving *serving, struct tael_span body)
{
    struct tael_ask *ask = &serving->ask;
    struct tael_shelved *shelved = NULL;
    struct tael_span key;
    uint32_t number;
    if (tael_wire_read_ask(body, ask, &key, &number) != TAEL_OK)
        return false;
    ask->generation = find(serving, key);
    ask->whole = true;
    if (ask->generation == NULL || tael_shelf_lend(serving->shelf, key, &shelved) != TAEL_OK)
        return false;
    enum tael_run_state state = tael_ask_begin(ask, shelved->isolate);
    tael_ask_end(ask);
    tael_shelf_return(shelved, state != TAEL_RUN_DONE);
    tael_status rc = tael_wire_put_answer(&serving->out, ask, number);
    return (rc == TAEL_ELIMIT ? put_nothing(serving, number) : rc) == TAEL_OK;
}

/* ---- talking ---- */

static bool send_all(struct tael_buf *out)
{
    size_t sent = 0;
    while (sent < out->len) {
        ssize_t got = write(TAEL_CHILD_SOCKET, out->data + sent, out->len - sent);
        if (got <= 0)
            return false;
        sent += (size_t)got;
    }
    tael_buf_clear(out);
    return true;
}

/* Every message that is whole. */
static bool take_messages(struct serving *serving)
{
    struct tael_cursor from = tael_cursor_of(serving->in.data, serving->in.len);
    enum tael_wire_kind kind;
    struct tael_span body;
    enum tael_wire_state state;
    while ((state = tael_wire_take(&from, &kind, &body)) == TAEL_WIRE_WHOLE) {
        bool good = kind == TAEL_WIRE_GENERATION ? learn(serving, body)
                    : kind == TAEL_WIRE_ASK      ? answer(serving, body) && send_all(&serving->out)
                                                 : false;
        if (!good)
            return false;
    }
    tael_buf_consume(&serving->in, (size_t)(from.at - from.start));
    return state == TAEL_WIRE_PART;
}

static void serve(struct serving *serving)
{
    struct tael_buf *in = &serving->in;
    for (;;) {
        if (tael_buf_reserve(in, READ) != TAEL_OK)
            return;
        ssize_t got = read(TAEL_CHILD_SOCKET, in->data + in->len, in->cap - in->len);
        if (got <= 0)
            return;
        in->len += (size_t)got;
        if (!take_messages(serving))
            return;
    }
}

int main(void)
{
    struct serving serving = {.told = 0};
    struct tael_siphash_seed seed;
    struct tael_isolate *first = NULL; /* memory that is at hand for the first that asks */
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed) ||
        tael_shelf_new(&serving.shelf, CEILING, seed) != TAEL_OK ||
        tael_isolate_new(&first, 0, true) != TAEL_OK)
        return 1;
    tael_isolate_free(first);
    if (!tael_child_seal())
        return 1;
    serve(&serving);
    _exit(0);
}
