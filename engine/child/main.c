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
    size_t holders; /* the ring, and calls that are open */
};

struct open_call { /* one that may have effects, from its ask to its end */
    struct open_call *next;
    struct tael_ask ask; /* lies in text */
    struct tael_buf text;
    struct known *known;
    struct tael_shelved *shelved;
    uint32_t number;
};

struct serving {
    struct tael_shelf *shelf;
    struct known *known[TAEL_WIRE_GENERATIONS]; /* a ring */
    size_t told;
    struct tael_ask ask;
    struct open_call *open;
    struct tael_buf in, out;
};

/* ---- generations ---- */

static void let_go(struct known *known)
{
    if (known == NULL || --known->holders > 0)
        return;
    free(known->generation.files);
    tael_buf_free(&known->text);
    free(known);
}

static bool learn(struct serving *serving, struct tael_span body)
{
    struct known **place = &serving->known[serving->told++ % TAEL_WIRE_GENERATIONS];
    let_go(*place);
    *place = calloc(1, sizeof(**place));
    if (*place == NULL)
        return false;
    (*place)->holders = 1;
    if (tael_buf_append(&(*place)->text, body.data, body.len) != TAEL_OK)
        return false;
    struct tael_span text = {(*place)->text.data, (*place)->text.len};
    return tael_wire_read_generation(text, &(*place)->generation) == TAEL_OK;
}

static struct known *find(const struct serving *serving, struct tael_span key)
{
    for (size_t i = 0; i < TAEL_WIRE_GENERATIONS; i++) {
        struct known *known = serving->known[i];
        if (known != NULL && known->generation.key.len == key.len && key.len > 0 &&
            memcmp(known->generation.key.data, key.data, key.len) == 0)
            return known;
    }
    return NULL;
}

/* ---- asking ---- */

/* What they gave does not fit into one message. */
static tael_status put_nothing(struct serving *serving, struct tael_ask *ask, uint32_t number)
{
    static const char why[] = "the results of all calls together are larger than 4 MiB";
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

static bool put_answer(struct serving *serving, struct tael_ask *ask, uint32_t number)
{
    tael_status rc = tael_wire_put_answer(&serving->out, ask, number);
    return (rc == TAEL_ELIMIT ? put_nothing(serving, ask, number) : rc) == TAEL_OK;
}

static bool answer(struct serving *serving, const struct known *known, struct tael_span key,
                   uint32_t number)
{
    struct tael_ask *ask = &serving->ask;
    struct tael_shelved *shelved = NULL;
    ask->generation = &known->generation;
    ask->whole = true;
    if (tael_shelf_lend(serving->shelf, key, ask->memory, &shelved) != TAEL_OK)
        return false;
    enum tael_run_state state = tael_ask_begin(ask, shelved->isolate);
    tael_ask_end(ask);
    tael_shelf_return(shelved, state != TAEL_RUN_DONE);
    return put_answer(serving, ask, number);
}

/* ---- calls that may have effects ---- */

static void close_call(struct open_call *call, bool broken)
{
    if (call->shelved != NULL) {
        tael_ask_end(&call->ask);
        tael_shelf_return(call->shelved, broken);
    }
    let_go(call->known);
    tael_buf_free(&call->text);
    tael_buf_free(&call->ask.out);
    free(call);
}

/* After a turn: it has an effect, and waits, or has come to its end. */
static bool tell_turn(struct serving *serving, struct open_call *call, enum tael_run_state state)
{
    if (state == TAEL_RUN_WAITS) {
        call->next = serving->open;
        serving->open = call;
        return tael_wire_put_effect(&serving->out, &call->ask, call->number) == TAEL_OK;
    }
    bool told = put_answer(serving, &call->ask, call->number);
    close_call(call, state != TAEL_RUN_DONE);
    return told;
}

static bool open_call(struct serving *serving, struct known *known, struct tael_span body)
{
    struct open_call *call = calloc(1, sizeof(*call));
    struct tael_span key;
    if (call == NULL)
        return false;
    known->holders++;
    call->known = known;
    call->ask.generation = &known->generation;
    call->ask.whole = true;
    if (tael_buf_append(&call->text, body.data, body.len) != TAEL_OK ||
        tael_wire_read_ask((struct tael_span){call->text.data, call->text.len}, &call->ask, &key,
                           &call->number) != TAEL_OK ||
        tael_shelf_lend(serving->shelf, key, call->ask.memory, &call->shelved) != TAEL_OK) {
        close_call(call, false);
        return false;
    }
    return tell_turn(serving, call, tael_ask_begin(&call->ask, call->shelved->isolate));
}

/* NULL: there is none of that number. */
static struct open_call *take_call(struct serving *serving, uint32_t number)
{
    struct open_call **link = &serving->open, *call;
    while (*link != NULL && (*link)->number != number)
        link = &(*link)->next;
    call = *link;
    if (call != NULL)
        *link = call->next;
    return call;
}

static bool go_on(struct serving *serving, struct tael_span body)
{
    struct tael_effect_given given;
    uint32_t number;
    if (tael_wire_read_given(body, &given, &number) != TAEL_OK)
        return false;
    struct open_call *call = take_call(serving, number);
    if (call == NULL)
        return false;
    call->ask.given = given;
    return tell_turn(serving, call, tael_ask_go(&call->ask));
}

static bool cancel(struct serving *serving, struct tael_span body)
{
    uint32_t number;
    if (tael_wire_read_cancel(body, &number) != TAEL_OK)
        return false;
    struct open_call *call = take_call(serving, number);
    if (call != NULL)
        close_call(call, false);
    return true;
}

static bool ask(struct serving *serving, struct tael_span body)
{
    struct tael_span key;
    uint32_t number;
    if (tael_wire_read_ask(body, &serving->ask, &key, &number) != TAEL_OK)
        return false;
    struct known *known = find(serving, key);
    if (known == NULL)
        return false;
    return serving->ask.effects > 0 ? open_call(serving, known, body)
                                    : answer(serving, known, key, number);
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

static bool take_message(struct serving *serving, enum tael_wire_kind kind, struct tael_span body)
{
    switch (kind) {
    case TAEL_WIRE_GENERATION:
        return learn(serving, body);
    case TAEL_WIRE_ASK:
        return ask(serving, body);
    case TAEL_WIRE_GIVEN:
        return go_on(serving, body);
    case TAEL_WIRE_CANCEL:
        return cancel(serving, body);
    default:
        return false;
    }
}

/* Every message that is whole. */
static bool take_messages(struct serving *serving)
{
    struct tael_cursor from = tael_cursor_of(serving->in.data, serving->in.len);
    enum tael_wire_kind kind;
    struct tael_span body;
    enum tael_wire_state state;
    while ((state = tael_wire_take(&from, &kind, &body)) == TAEL_WIRE_WHOLE) {
        if (!take_message(serving, kind, body) || !send_all(&serving->out))
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
        tael_isolate_new(&first, NULL, 0, true) != TAEL_OK)
        return 1;
    tael_isolate_free(first);
    if (!tael_child_seal())
        return 1;
    serve(&serving);
    _exit(0);
}
