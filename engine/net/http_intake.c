/* http_intake.c - bytes of a connection become requests, and these go to the handler one at a time.
 *
 * Invariants 1 to 3 of http_connection.c are kept here. 4 Who asks for more before it is answered
 * does not keep others waiting: of all that was pipelined one request is handed over in a turn of
 * the loop, the connections taking turns, and all together have a twentieth of its time while
 * others ask too.
 */
#include <stddef.h>

#include "net/http_connection.h"

enum {
    READY_BYTES = 64 * 1024,   /* complete requests held back: no more are parsed above it */
    OUT_BYTES = 64 * 1024,     /* answers not yet sent: no more are asked for above it */
    IN_BYTES_MAX = 512 * 1024, /* one read behind a full head, and more than that */
    LATER_US = 250,            /* with requests that were pipelined, at a stretch; and then, */
    LATER_PAUSE_US = 5000,     /* where others ask too, these have the loop for so long */
};

bool tael_http_intake_is_open(const struct tael_http_connection *connection)
{
    return connection->stream != NULL && !connection->closing && !connection->last &&
           connection->failure.status == 0 &&
           connection->ready_count < connection->server->limits.pipeline &&
           connection->ready_bytes < READY_BYTES;
}

bool tael_http_intake_discards(const struct tael_http_connection *connection)
{
    return connection->closing || connection->last || connection->failure.status != 0;
}

static void enter_later(struct tael_http_connection *connection)
{
    struct tael_http_server *server = connection->server;
    if (connection->later.place != NULL)
        return;
    if (server->later.first == NULL)
        tael_timer_start(server->later_timer, 0);
    tael_http_link_enter(&server->later, &connection->later);
}

void tael_http_intake_drop_ready(struct tael_http_connection *connection)
{
    tael_http_link_leave(&connection->server->later, &connection->later);
    while (connection->ready != NULL) {
        struct tael_http_incoming *incoming = connection->ready;
        connection->ready = incoming->next;
        connection->server->open--;
        tael_http_incoming_free(incoming);
        tael_http_server_release(connection->server);
    }
    connection->ready_end = &connection->ready;
    connection->ready_count = connection->ready_bytes = 0;
}

void tael_http_intake_drop(struct tael_http_connection *connection)
{
    tael_http_incoming_free(connection->incoming);
    connection->incoming = NULL;
    connection->continue_due = false;
    connection->head = (struct tael_http_head){0};
    tael_buf_free(&connection->in);
}

void tael_http_intake_fail(struct tael_http_connection *connection,
                           struct tael_http_refusal refusal)
{
    connection->failure = refusal;
    tael_http_incoming_free(connection->incoming);
    connection->incoming = NULL;
    connection->continue_due = false;
}

static struct tael_http_incoming *take_ready(struct tael_http_connection *connection)
{
    struct tael_http_incoming *incoming = connection->ready;
    connection->ready = incoming->next;
    if (connection->ready == NULL)
        connection->ready_end = &connection->ready;
    connection->ready_count--;
    connection->ready_bytes -= tael_http_incoming_size(incoming);
    return incoming;
}

/* One request is with the handler at a time, and none for a client that does not take answers. */
static bool may_deliver(const struct tael_http_connection *connection)
{
    return connection->stream != NULL && !connection->closing && connection->active == NULL &&
           connection->ready != NULL && connection->rest.len == 0 &&
           tael_stream_queued(connection->stream) <= OUT_BYTES;
}

static void deliver(struct tael_http_connection *connection)
{
    const struct tael_http_handler *handler = &connection->server->handler;
    if (!connection->has_turn || !may_deliver(connection))
        return;
    struct tael_http_incoming *incoming = take_ready(connection);
    connection->has_turn = false;
    connection->active = incoming;
    handler->request(handler->user, &incoming->request);
}

static void complete(struct tael_http_connection *connection)
{
    struct tael_http_incoming *incoming = connection->incoming;
    connection->incoming = NULL;
    connection->continue_due = false;
    connection->last = !incoming->persistent;
    incoming->connection = connection;
    incoming->server = connection->server;
    tael_http_server_retain(connection->server);
    connection->server->open++;
    *connection->ready_end = incoming;
    connection->ready_end = &incoming->next;
    connection->ready_count++;
    connection->ready_bytes += tael_http_incoming_size(incoming);
    deliver(connection);
}

static size_t body_max(const struct tael_http_connection *connection,
                       const struct tael_http_incoming *incoming)
{
    const struct tael_http_server *server = connection->server;
    size_t max = 0;
    if (server->handler.body_max != NULL)
        max = server->handler.body_max(server->handler.user, &incoming->request);
    return max != 0 ? max : server->limits.body;
}

/* Whoever may use a socket in the file system is no stranger, and not kept out by any. */
static struct tael_http_large large_of(const struct tael_http_connection *connection)
{
    struct tael_http_server *server = connection->server;
    bool local = strncmp(connection->listener->address, "unix:", 5) == 0;
    return (struct tael_http_large){
        .bytes = &server->large_bytes,
        .max = local ? SIZE_MAX : server->limits.bodies,
        .peers = &server->peers,
        .peer = connection->peer,
    };
}

static enum tael_http_gate begin_message(struct tael_http_connection *connection, const char *data,
                                         size_t len)
{
    const struct tael_http_head *head = &connection->head;
    struct tael_http_incoming *incoming = NULL;
    if (tael_http_incoming_new(&incoming, head, data, connection->listener->name,
                               tael_stream_peer(connection->stream)) != TAEL_OK) {
        tael_http_connection_close(connection);
        return TAEL_HTTP_GATE_MORE;
    }
    bool body_follows = len > head->at;
    connection->incoming = incoming;
    connection->messages++;
    connection->head = (struct tael_http_head){0};
    struct tael_http_large large = large_of(connection);
    enum tael_http_gate gate =
        tael_http_incoming_begin(incoming, body_max(connection, incoming), &large);
    connection->continue_due = gate == TAEL_HTTP_GATE_MORE && incoming->expects && !body_follows;
    return gate;
}

/* Takes a head, as far as it has come. *used stays 0 until it is whole. */
static enum tael_http_gate take_head(struct tael_http_connection *connection, const char *data,
                                     size_t len, size_t *used)
{
    struct tael_http_head *head = &connection->head;
    enum tael_http_gate gate = tael_http_head_scan(head, &connection->server->limits, data, len);
    if (gate == TAEL_HTTP_GATE_REFUSED) {
        tael_http_intake_fail(connection, head->refusal);
    } else if (gate == TAEL_HTTP_GATE_DONE) {
        *used = head->at;
        gate = begin_message(connection, data, len);
        if (gate == TAEL_HTTP_GATE_REFUSED)
            tael_http_intake_fail(connection, connection->incoming->refusal);
    } else if (head->blank && head->at == head->start) { /* an empty line: as good as nothing */
        *used = head->at;
        *head = (struct tael_http_head){.blank = true};
    }
    return gate;
}

static enum tael_http_gate take_body(struct tael_http_connection *connection, const char *data,
                                     size_t len, size_t *used)
{
    struct tael_http_incoming *incoming = connection->incoming;
    connection->continue_due = false;
    enum tael_http_gate gate = tael_http_incoming_feed(incoming, data, len, used);
    connection->body_bytes += *used;
    if (gate == TAEL_HTTP_GATE_REFUSED)
        tael_http_intake_fail(connection, incoming->refusal);
    return gate;
}

/* Parses as much as may be; returns how many bytes are done with. */
static size_t parse(struct tael_http_connection *connection, const char *data, size_t len)
{
    size_t used = 0;
    while (used < len && tael_http_intake_is_open(connection)) {
        size_t part = 0;
        bool in_body = connection->incoming != NULL;
        enum tael_http_gate gate = in_body ? take_body(connection, data + used, len - used, &part)
                                           : take_head(connection, data + used, len - used, &part);
        used += part;
        if (gate == TAEL_HTTP_GATE_DONE)
            complete(connection);
        else if (part == 0)
            break; /* the rest of the head is still to come */
    }
    return used;
}

static void keep(struct tael_http_connection *connection, const char *data, size_t len)
{
    connection->in.max = IN_BYTES_MAX;
    if (len > 0 && !tael_http_intake_discards(connection) &&
        tael_buf_append(&connection->in, data, len) != TAEL_OK)
        tael_http_connection_close(connection);
}

void tael_http_intake_work(struct tael_http_connection *connection, const char *data, size_t len)
{
    if (connection->working || connection->stream == NULL)
        return;
    connection->working = true;
    if (data != NULL && connection->active == NULL && connection->ready == NULL) {
        connection->has_turn = true;
        connection->server->asked++;
    }
    deliver(connection);
    if (connection->in.len == 0) { /* mostly: parsed where they are, without a copy */
        size_t used = parse(connection, data, len);
        if (connection->stream != NULL)
            keep(connection, data + used, len - used);
    } else {
        keep(connection, data, len);
        size_t used = parse(connection, connection->in.data, connection->in.len);
        tael_buf_consume(&connection->in, used);
    }
    connection->has_turn = false;
    if (may_deliver(connection))
        enter_later(connection);
    connection->working = false;
    tael_http_connection_settle(connection);
}

/* ---- what was pipelined ---- */

static void give_turn(struct tael_http_connection *connection)
{
    tael_http_connection_enter(connection);
    tael_http_link_leave(&connection->server->later, &connection->later);
    connection->has_turn = true;
    tael_http_intake_work(connection, NULL, 0);
    tael_http_connection_leave(connection);
}

/* How long until the next one: none where nobody else has asked for anything meanwhile. */
static int64_t pause_us(struct tael_http_server *server, int64_t took_us)
{
    server->later_us += took_us;
    if (server->later_us < LATER_US)
        return 0;
    bool alone = server->asked == server->asked_before;
    server->asked_before = server->asked;
    server->later_us = 0;
    return alone ? 0 : LATER_PAUSE_US;
}

static void on_later(void *user)
{
    struct tael_http_server *server = user;
    struct tael_world *world = server->loop->world;
    struct tael_http_link *first = server->later.first;
    if (first == NULL)
        return; /* it has closed */
    tael_http_server_retain(server);
    int64_t from = tael_mono_us(world);
    give_turn(
        (struct tael_http_connection *)(void *)((char *)first -
                                                offsetof(struct tael_http_connection, later)));
    if (server->later.first != NULL && server->later_timer != NULL)
        tael_timer_start(server->later_timer, pause_us(server, tael_mono_us(world) - from));
    tael_http_server_release(server);
}

tael_status tael_http_intake_begin(struct tael_http_server *server)
{
    server->later_timer = tael_timer_new(server->loop, on_later, server);
    return server->later_timer != NULL ? TAEL_OK : TAEL_ENOMEM;
}

void tael_http_intake_end(struct tael_http_server *server)
{
    tael_timer_free(server->later_timer);
    server->later_timer = NULL;
}
