/* http_connection.c - one client's connection: bytes in, requests to the handler, answers out.
 *
 * Requests are parsed ahead of the answers, up to limits.pipeline of them and READY_BYTES, and
 * handed over one at a time. Everything that happens (bytes, an answer, a timer) ends in settle(),
 * which alone decides what to read, what to wait for and when to close. Invariants:
 * 1. At most one request of a connection is with the handler, and answers leave in the order of
 * requests.
 * 2. After a refusal no byte of the connection is parsed any more; it is answered when its turn
 * comes.
 * 3. Parsing and handing over are never entered twice (working): an answer given from inside the
 *    handler is written, and the loop further up goes on.
 * 4. Whoever comes in from outside (stream, timer, handler) does so between enter() and leave(): a
 *    connection that closes meanwhile loses its stream at once, its memory only at the last
 * leave().
 */
#include "net/http_connection.h"

#include <assert.h>
#include <stdlib.h>

#include "net/tls_server.h"

enum {
    READY_BYTES = 64 * 1024,  /* complete requests held back: no more are parsed above it */
    OUT_BYTES = 64 * 1024,    /* answers not yet sent: no more are asked for above it */
    BODY_RATE = 1024,         /* least bytes of a body in a second */
    IN_BYTES_MAX = 512 * 1024 /* one read behind a full head, and more than that */
};

static const struct tael_http_refusal too_slow = {408, "request_timeout",
                                                  "The request did not come in time."};
static const struct tael_http_refusal draining = {503, "draining",
                                                  "The server is stopping; send it again."};
static const struct tael_http_refusal crowded = {503, "overloaded",
                                                 "There are too many connections; try again."};
static const struct tael_http_refusal bad_answer = {500, "internal",
                                                    "The answer could not be given."};

/* ---- life ---- */

static void detach_active(struct tael_http_connection *connection)
{
    if (connection->active == NULL)
        return;
    connection->active->connection = NULL;
    connection->active->request.gone = true;
    connection->active = NULL;
}

static void drop_ready(struct tael_http_connection *connection)
{
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

static void drop_input(struct tael_http_connection *connection)
{
    tael_http_incoming_free(connection->incoming);
    connection->incoming = NULL;
    connection->continue_due = false;
    connection->head = (struct tael_http_head){0};
    tael_buf_free(&connection->in);
}

/* What has been written still leaves. The memory goes with the last call on the stack. */
static void close_connection(struct tael_http_connection *connection)
{
    struct tael_http_server *server = connection->server;
    if (connection->stream == NULL)
        return;
    tael_stream_close(connection->stream);
    connection->stream = NULL;
    tael_timer_free(connection->timer);
    tael_timer_free(connection->stall);
    tael_timer_free(connection->pause);
    connection->timer = connection->stall = connection->pause = NULL;
    detach_active(connection);
    drop_ready(connection);
    tael_http_peers_remove(&server->peers, connection->peer);
    *connection->place = connection->next;
    if (connection->next != NULL)
        connection->next->place = connection->place;
    tael_http_queue_leave(connection);
    server->connection_count--;
    tael_http_crowd_left(server);
    tael_http_server_settle(server);
}

static void enter(struct tael_http_connection *connection)
{
    connection->busy++;
}

static void leave(struct tael_http_connection *connection)
{
    assert(connection->busy > 0);
    if (--connection->busy > 0 || connection->stream != NULL)
        return;
    struct tael_http_server *server = connection->server;
    drop_input(connection);
    tael_buf_free(&connection->rest);
    free(connection);
    tael_http_server_release(server);
}

/* ---- output ---- */

static void put_bytes(struct tael_http_connection *connection, const char *data, size_t len)
{
    if (tael_stream_write(connection->stream, data, len) != TAEL_OK)
        close_connection(connection);
}

/* Sends what stands in server->out. */
static void send_out(struct tael_http_connection *connection)
{
    struct tael_buf *out = &connection->server->out;
    put_bytes(connection, out->data, out->len);
    tael_buf_clear(out);
    if (out->cap > OUT_BYTES)
        tael_buf_free(out);
}

static void log_refusal(struct tael_http_connection *connection, tael_log_level level,
                        const struct tael_http_refusal *refusal)
{
    TAEL_LOG(connection->server->log, level, "http.refused",
             tael_log_text("listener", connection->listener->name),
             tael_log_text("peer", tael_stream_peer(connection->stream)),
             tael_log_int("status", refusal->status), tael_log_text("code", refusal->code),
             tael_log_text("detail", refusal->detail));
}

static void answer_failure(struct tael_http_connection *connection)
{
    struct tael_buf *out = &connection->server->out;
    connection->closing = true;
    log_refusal(connection, TAEL_LOG_INFO, &connection->failure);
    if (tael_http_answer_problem(out, &connection->failure, TAEL_HTTP_PERSIST_CLOSE, false) !=
        TAEL_OK)
        close_connection(connection);
    else
        send_out(connection);
}

static void send_continue(struct tael_http_connection *connection)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    connection->continue_due = false;
    put_bytes(connection, line, sizeof(line) - 1);
}

/* ---- what the connection waits for ---- */

static bool may_parse(const struct tael_http_connection *connection)
{
    return connection->stream != NULL && !connection->closing && !connection->last &&
           connection->failure.status == 0 &&
           connection->ready_count < connection->server->limits.pipeline &&
           connection->ready_bytes < READY_BYTES;
}

/* Bytes are read only to be thrown away, so that the end of the connection is seen. */
static bool discards(const struct tael_http_connection *connection)
{
    return connection->closing || connection->last || connection->failure.status != 0;
}

static bool is_idle(const struct tael_http_connection *connection)
{
    return connection->active == NULL && connection->ready == NULL && connection->rest.len == 0 &&
           connection->incoming == NULL && connection->in.len == 0;
}

static enum tael_http_wait wanted(const struct tael_http_connection *connection)
{
    if (!may_parse(connection))
        return TAEL_HTTP_WAIT_NOTHING; /* not read from: it cannot be late */
    if (connection->incoming != NULL)  /* one that waits for our 100 cannot be late either */
        return connection->continue_due ? TAEL_HTTP_WAIT_NOTHING : TAEL_HTTP_WAIT_BODY;
    if (connection->in.len > 0)
        return TAEL_HTTP_WAIT_HEAD;
    return is_idle(connection) ? TAEL_HTTP_WAIT_REQUEST : TAEL_HTTP_WAIT_NOTHING;
}

static int64_t wait_ms(const struct tael_http_connection *connection)
{
    switch (connection->wait) {
    case TAEL_HTTP_WAIT_REQUEST:
        return connection->server->draining ? connection->server->quiet_ms
                                            : connection->server->limits.idle_ms;
    case TAEL_HTTP_WAIT_HEAD:
        return connection->server->limits.head_ms;
    case TAEL_HTTP_WAIT_BODY:
        return connection->server->limits.body_ms;
    case TAEL_HTTP_WAIT_NOTHING:
        break;
    }
    return 0;
}

static void start_wait(struct tael_http_connection *connection)
{
    connection->body_bytes = 0;
    connection->last_look = false;
    if (connection->wait == TAEL_HTTP_WAIT_NOTHING)
        tael_timer_stop(connection->timer);
    else
        tael_timer_start(connection->timer, wait_ms(connection) * 1000);
}

static void line_up(struct tael_http_connection *connection)
{
    tael_http_queue_leave(connection);
    if (connection->wait == TAEL_HTTP_WAIT_REQUEST)
        tael_http_queue_enter(connection,
                              connection->messages == 0 ? TAEL_HTTP_RANK_NEW : TAEL_HTTP_RANK_IDLE);
    else if (connection->wait == TAEL_HTTP_WAIT_HEAD)
        tael_http_queue_enter(connection, TAEL_HTTP_RANK_SLOW);
}

static void set_wait(struct tael_http_connection *connection)
{
    enum tael_http_wait wait = wanted(connection);
    if (wait == connection->wait && connection->messages == connection->wait_message)
        return;
    connection->wait = wait;
    connection->wait_message = connection->messages;
    connection->body_windows = 0;
    line_up(connection);
    start_wait(connection);
}

static void set_reading(struct tael_http_connection *connection)
{
    bool on = discards(connection) || may_parse(connection);
    if (on == connection->reading)
        return;
    connection->reading = on;
    tael_stream_read(connection->stream, on);
}

static void on_stall(void *user);

static void start_stall(struct tael_http_connection *connection, size_t queued)
{
    connection->stalled_at = queued;
    tael_timer_start(connection->stall, connection->server->limits.stall_ms * 1000);
}

/* The one timer that most connections never need: it runs while an answer waits for the client. */
static void set_stall(struct tael_http_connection *connection)
{
    size_t queued = tael_stream_queued(connection->stream);
    if (queued == 0 || connection->stalled_at > 0)
        return;
    if (connection->stall == NULL)
        connection->stall = tael_timer_new(connection->server->loop, on_stall, connection);
    if (connection->stall == NULL)
        close_connection(connection); /* without a deadline it could hold us for ever */
    else
        start_stall(connection, queued);
}

static void settle(struct tael_http_connection *connection)
{
    if (connection->stream == NULL || connection->working)
        return;
    bool quiet = connection->active == NULL && connection->ready == NULL &&
                 connection->rest.len == 0 && !connection->closing;
    if (quiet && connection->failure.status != 0)
        answer_failure(connection);
    else if (quiet && connection->continue_due)
        send_continue(connection);
    if (connection->stream == NULL)
        return;
    bool sent = connection->rest.len == 0 && tael_stream_queued(connection->stream) == 0;
    if (connection->closing && sent) { /* not yet sent: set_stall watches */
        close_connection(connection);
        return;
    }
    if (connection->in.len == 0)
        tael_buf_free(&connection->in); /* an idle connection keeps no buffer */
    set_reading(connection);
    set_wait(connection);
    set_stall(connection);
}

/* ---- input ---- */

static void fail(struct tael_http_connection *connection, struct tael_http_refusal refusal)
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
    while (may_deliver(connection)) {
        struct tael_http_incoming *incoming = take_ready(connection);
        connection->active = incoming;
        handler->request(handler->user, &incoming->request);
    }
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

static enum tael_http_gate begin_message(struct tael_http_connection *connection, const char *data,
                                         size_t len)
{
    const struct tael_http_head *head = &connection->head;
    struct tael_http_incoming *incoming = NULL;
    if (tael_http_incoming_new(&incoming, head, data, connection->listener->name,
                               tael_stream_peer(connection->stream)) != TAEL_OK) {
        close_connection(connection);
        return TAEL_HTTP_GATE_MORE;
    }
    bool body_follows = len > head->at;
    connection->incoming = incoming;
    connection->messages++;
    connection->head = (struct tael_http_head){0};
    enum tael_http_gate gate = tael_http_incoming_begin(incoming, body_max(connection, incoming));
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
        fail(connection, head->refusal);
    } else if (gate == TAEL_HTTP_GATE_DONE) {
        *used = head->at;
        gate = begin_message(connection, data, len);
        if (gate == TAEL_HTTP_GATE_REFUSED)
            fail(connection, connection->incoming->refusal);
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
        fail(connection, incoming->refusal);
    return gate;
}

/* Parses as much as may be; returns how many bytes are done with. */
static size_t parse(struct tael_http_connection *connection, const char *data, size_t len)
{
    size_t used = 0;
    while (used < len && may_parse(connection)) {
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
    if (len > 0 && !discards(connection) && tael_buf_append(&connection->in, data, len) != TAEL_OK)
        close_connection(connection);
}

/* Takes new bytes, if there are any, and goes on with what is buffered and what is ready. */
static void work(struct tael_http_connection *connection, const char *data, size_t len)
{
    if (connection->working || connection->stream == NULL)
        return;
    connection->working = true;
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
    connection->working = false;
    settle(connection);
}

/* ---- what happens to a connection ---- */

static void on_read(void *user, const char *data, size_t len)
{
    struct tael_http_connection *connection = user;
    enter(connection);
    work(connection, data, len);
    leave(connection);
}

/* The peer stopped sending or is gone. Which of the two cannot be told; both end the connection. */
static void on_end(void *user, tael_status why)
{
    struct tael_http_connection *connection = user;
    struct tael_http_server *server = connection->server;
    struct tael_http_incoming *active = connection->active;
    (void)why;
    tael_http_server_retain(server);
    enter(connection);
    close_connection(connection);
    leave(connection);
    if (active != NULL && server->handler.gone != NULL)
        server->handler.gone(server->handler.user, &active->request);
    tael_http_server_release(server);
}

static void on_drain(void *user)
{
    struct tael_http_connection *connection = user;
    enter(connection);
    connection->stalled_at = 0;
    if (connection->stall != NULL)
        tael_timer_stop(connection->stall);
    work(connection, NULL, 0);
    leave(connection);
}

static const struct tael_stream_events events = {.read = on_read, .end = on_end, .drain = on_drain};

static void on_stall(void *user)
{
    struct tael_http_connection *connection = user;
    size_t queued = tael_stream_queued(connection->stream);
    size_t least = (size_t)(connection->server->limits.stall_ms / 1000) * BODY_RATE;
    enter(connection);
    if (queued < connection->stalled_at && connection->stalled_at - queued >= least) {
        start_stall(connection, queued);
    } else {
        static const struct tael_http_refusal stalled = {0, "stalled",
                                                         "The client does not take the answer."};
        log_refusal(connection, TAEL_LOG_INFO, &stalled);
        close_connection(connection);
    }
    leave(connection);
}

static bool body_is_late(const struct tael_http_connection *connection)
{
    size_t least = 1;
    if (connection->body_windows > 0)
        least = (size_t)(connection->server->limits.body_ms * BODY_RATE / 1000);
    return connection->body_bytes < least;
}

/* A request may have come while the loop was busy: what the kernel holds is read first. */
static void end_idle(struct tael_http_connection *connection)
{
    if (connection->last_look) {
        close_connection(connection);
        return;
    }
    connection->last_look = true;
    tael_timer_start(connection->timer, TAEL_HTTP_LAST_LOOK_US);
}

static void on_timer(void *user)
{
    struct tael_http_connection *connection = user;
    enter(connection);
    switch (connection->wait) {
    case TAEL_HTTP_WAIT_REQUEST:
        end_idle(connection);
        break;
    case TAEL_HTTP_WAIT_HEAD:
        fail(connection, too_slow);
        break;
    case TAEL_HTTP_WAIT_BODY:
        if (body_is_late(connection)) {
            fail(connection, too_slow);
        } else {
            connection->body_windows++;
            start_wait(connection);
        }
        break;
    case TAEL_HTTP_WAIT_NOTHING:
        break;
    }
    settle(connection);
    leave(connection);
}

static void refuse_connection(struct tael_http_listener *listener, struct tael_stream *stream,
                              const char *why)
{
    TAEL_LOG(listener->server->log, TAEL_LOG_WARN, "http.connection_refused",
             tael_log_text("listener", listener->name),
             tael_log_text("peer", tael_stream_peer(stream)), tael_log_text("why", why));
    tael_stream_close(stream);
}

/* One that only holds its place goes. */
static bool make_room(struct tael_http_server *server)
{
    struct tael_http_connection *first = tael_http_queue_first(server);
    if (first == NULL)
        return false;
    tael_http_connection_make_room(first);
    return true;
}

void tael_http_connection_accept(void *user, struct tael_stream *stream)
{
    struct tael_http_listener *listener = user;
    struct tael_http_server *server = listener->server;
    struct tael_http_peer *peer = NULL;
    const char *address = tael_stream_peer(stream);
    if (!tael_http_peer_is_local(address) &&
        !tael_http_peer_is_among(address, server->limits.exempt, server->limits.exempt_count) &&
        tael_http_peers_add(&server->peers, address, server->limits.per_address, &peer) !=
            TAEL_OK) {
        refuse_connection(listener, stream, "too many connections of this address");
        return;
    }
    if (server->connection_count >= server->limits.connections && !make_room(server)) {
        refuse_connection(listener, stream, "too many connections");
        tael_http_peers_remove(&server->peers, peer);
        return;
    }
    struct tael_http_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL)
        goto drop_stream;
    connection->timer = tael_timer_new(server->loop, on_timer, connection);
    if (connection->timer == NULL)
        goto drop_stream;
    if (listener->tls != NULL &&
        tael_tls_server_accept(listener->tls, stream, server->limits.head_ms, &stream) != TAEL_OK)
        goto free_timer;
    connection->server = server;
    connection->listener = listener;
    connection->stream = stream;
    connection->peer = peer;
    connection->reading = true;
    connection->ready_end = &connection->ready;
    connection->next = server->connections;
    connection->place = &server->connections;
    if (connection->next != NULL)
        connection->next->place = &connection->next;
    server->connections = connection;
    server->connection_count++;
    tael_http_crowd_came(server);
    tael_http_server_retain(server);
    enter(connection);
    tael_stream_start(stream, &events, connection);
    settle(connection);
    leave(connection);
    return;

free_timer:
    tael_timer_free(connection->timer);
drop_stream:
    free(connection);
    tael_http_peers_remove(&server->peers, peer);
    tael_stream_close(stream);
}

/* ---- called by the server ---- */

static bool is_last_answer(const struct tael_http_connection *connection)
{
    const struct tael_http_server *server = connection->server;
    if (!connection->active->persistent || connection->answered >= server->limits.requests)
        return true;
    return server->draining && connection->ready == NULL && connection->failure.status == 0;
}

static void on_pause(void *user)
{
    struct tael_http_connection *connection = user;
    enter(connection);
    put_bytes(connection, connection->rest.data, connection->rest.len);
    tael_buf_free(&connection->rest);
    work(connection, NULL, 0);
    leave(connection);
}

/* Takes the bytes behind flaw->after from what is to be sent now. */
static tael_status hold_back(struct tael_http_connection *connection,
                             const struct tael_http_answer *answer,
                             const struct tael_http_flaw *flaw)
{
    struct tael_buf *out = &connection->server->out;
    size_t len =
        answer->head_only || answer->status == 204 || answer->status == 304 ? 0 : answer->body.len;
    if (flaw->after >= len)
        return TAEL_OK;
    size_t held = len - flaw->after;
    out->len -= held;
    if (flaw->cut)
        return TAEL_OK;
    if (connection->pause == NULL)
        connection->pause = tael_timer_new(connection->server->loop, on_pause, connection);
    if (connection->pause == NULL ||
        tael_buf_append(&connection->rest, out->data + out->len, held) != TAEL_OK)
        return TAEL_ENOMEM;
    tael_timer_start(connection->pause, flaw->pause_ms * 1000);
    return TAEL_OK;
}

static void write_answer(struct tael_http_connection *connection, struct tael_http_answer *answer,
                         const struct tael_http_flaw *flaw)
{
    struct tael_buf *out = &connection->server->out;
    tael_status status = tael_http_answer_write(out, answer);
    if (status == TAEL_EINVAL) {
        /* our own caller's mistake: the client gets an answer all the same */
        log_refusal(connection, TAEL_LOG_ERROR, &bad_answer);
        status = tael_http_answer_problem(out, &bad_answer, answer->persistence, answer->head_only);
    } else if (status == TAEL_OK && flaw != NULL) {
        status = hold_back(connection, answer, flaw);
    }
    if (status == TAEL_OK) {
        send_out(connection);
    } else {
        tael_buf_clear(out);
        close_connection(connection);
    }
}

void tael_http_connection_answer(struct tael_http_connection *connection,
                                 struct tael_http_answer *answer, const struct tael_http_flaw *flaw)
{
    struct tael_http_incoming *active = connection->active;
    enter(connection);
    if (flaw != NULL && flaw->drop) {
        close_connection(connection);
        leave(connection);
        return;
    }
    connection->answered++;
    bool last = is_last_answer(connection) || (flaw != NULL && flaw->cut);
    answer->head_only = active->head_only;
    answer->persistence = last            ? TAEL_HTTP_PERSIST_CLOSE
                          : active->minor ? TAEL_HTTP_PERSIST
                                          : TAEL_HTTP_PERSIST_SAID;
    connection->active = NULL;
    if (last) {
        connection->closing = true;
        drop_ready(connection);
        fail(connection, (struct tael_http_refusal){0});
    }
    write_answer(connection, answer, flaw);
    work(connection, NULL, 0);
    leave(connection);
}

void tael_http_connection_drain(struct tael_http_connection *connection)
{
    enter(connection);
    settle(connection);
    if (connection->stream != NULL && connection->wait == TAEL_HTTP_WAIT_REQUEST)
        start_wait(connection);
    leave(connection);
}

static void cut_with(struct tael_http_connection *connection, const struct tael_http_refusal *why)
{
    bool begun = connection->incoming != NULL || connection->in.len > 0;
    enter(connection);
    if (begun && !connection->closing && connection->active == NULL && connection->ready == NULL &&
        connection->rest.len == 0) {
        connection->failure = *why;
        answer_failure(connection);
    }
    close_connection(connection);
    leave(connection);
}

void tael_http_connection_cut(struct tael_http_connection *connection)
{
    cut_with(connection, &draining);
}

void tael_http_connection_make_room(struct tael_http_connection *connection)
{
    TAEL_LOG(connection->server->log, TAEL_LOG_INFO, "http.connection_evicted",
             tael_log_text("listener", connection->listener->name),
             tael_log_text("peer", tael_stream_peer(connection->stream)));
    cut_with(connection, &crowded);
}
