/* http_connection.c - one client's connection, its life and its answers.
 *
 * Requests are parsed ahead of the answers (http_intake.c), up to limits.pipeline of them and
 * READY_BYTES, and handed over one at a time. Everything that happens (bytes, an answer, a timer)
 * ends in settle, which alone decides what to read, what to wait for and when to close. Invariants:
 * 1 At most one request of a connection is with the handler, and answers leave in the order of
 * requests. 2 After a refusal no byte of the connection is parsed any more; it is answered when its
 * turn comes. 3 Parsing and handing over are never entered twice (working): an answer given from
 * inside the handler is written, and the loop further up goes on. 4 Whoever comes in from outside
 * (stream, timer, handler) does so between enter and leave: a connection that closes meanwhile
 * loses its stream at once, its memory only at the last leave.
 */
#include "net/http_connection.h"

#include <assert.h>
#include <stdlib.h>

#include "net/http_problem.h"
#include "net/tls_server.h"

enum { OUT_KEPT = 64 * 1024 }; /* bytes that the server keeps for the next answer */

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

void tael_http_connection_close(struct tael_http_connection *connection)
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
    tael_http_intake_drop_ready(connection);
    tael_http_peers_remove(&server->peers, connection->peer);
    *connection->place = connection->next;
    if (connection->next != NULL)
        connection->next->place = connection->place;
    tael_http_queue_leave(connection);
    server->connection_count--;
    tael_http_crowd_left(server);
    tael_http_server_settle(server);
}

void tael_http_connection_enter(struct tael_http_connection *connection)
{
    connection->busy++;
}

void tael_http_connection_leave(struct tael_http_connection *connection)
{
    assert(connection->busy > 0);
    if (--connection->busy > 0 || connection->stream != NULL)
        return;
    struct tael_http_server *server = connection->server;
    tael_http_intake_drop(connection);
    tael_buf_free(&connection->rest);
    free(connection);
    tael_http_server_release(server);
}

/* ---- output ---- */

static void put_bytes(struct tael_http_connection *connection, const char *data, size_t len)
{
    if (tael_stream_write(connection->stream, data, len) != TAEL_OK)
        tael_http_connection_close(connection);
    else if (connection->stalled_at > 0)
        connection->stalled_at += len; /* else it would hide what the client takes */
}

/* Sends what stands in server->out. */
static void send_out(struct tael_http_connection *connection)
{
    struct tael_buf *out = &connection->server->out;
    put_bytes(connection, out->data, out->len);
    tael_buf_clear(out);
    if (out->cap > OUT_KEPT)
        tael_buf_free(out);
}

static void log_problem(struct tael_http_connection *connection, tael_log_level level,
                        const struct tael_http_refusal *refusal, const char *name)
{
    const struct tael_log_field fields[] = {
        tael_log_text("listener", connection->listener->name),
        tael_log_text("peer", tael_stream_peer(connection->stream)),
        tael_log_int("status", refusal->status),
        tael_log_text("code", refusal->code),
        tael_log_text("detail", refusal->detail),
        tael_log_text("request", name),
    };
    size_t count = sizeof(fields) / sizeof(fields[0]) - (name[0] == '\0');
    if (tael_log_wants(connection->server->log, level))
        tael_log_write(connection->server->log, level, "http.refused", fields, count);
}

void tael_http_connection_log(struct tael_http_connection *connection, tael_log_level level,
                              const struct tael_http_refusal *refusal)
{
    log_problem(connection, level, refusal, "");
}

/* To server->out, as the server's own answer. */
static tael_status put_problem(struct tael_http_connection *connection, tael_log_level level,
                               const struct tael_http_refusal *refusal,
                               enum tael_http_persistence persistence, bool head_only)
{
    const struct tael_http_handler *handler = &connection->server->handler;
    char name[TAEL_HTTP_NAME_MAX] = "";
    if (handler->name != NULL && !handler->name(handler->user, name))
        name[0] = '\0';
    log_problem(connection, level, refusal, name);
    return tael_http_answer_problem(&connection->server->out, refusal, name, persistence,
                                    head_only);
}

static void answer_failure(struct tael_http_connection *connection)
{
    connection->closing = true;
    if (put_problem(connection, TAEL_LOG_INFO, &connection->failure, TAEL_HTTP_PERSIST_CLOSE,
                    false) != TAEL_OK)
        tael_http_connection_close(connection);
    else
        send_out(connection);
}

static void send_continue(struct tael_http_connection *connection)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    connection->continue_due = false;
    put_bytes(connection, line, sizeof(line) - 1);
}

void tael_http_connection_settle(struct tael_http_connection *connection)
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
        tael_http_connection_close(connection);
        return;
    }
    if (connection->in.len == 0)
        tael_buf_free(&connection->in); /* an idle connection keeps no buffer */
    tael_http_waits_set(connection);
}

/* ---- what happens to a connection ---- */

static void on_read(void *user, const char *data, size_t len)
{
    struct tael_http_connection *connection = user;
    tael_http_connection_enter(connection);
    tael_http_intake_work(connection, data, len);
    tael_http_connection_leave(connection);
}

/* The peer stopped sending or is gone. Which of the two cannot be told; both end the connection. */
static void on_end(void *user, tael_status why)
{
    struct tael_http_connection *connection = user;
    struct tael_http_server *server = connection->server;
    struct tael_http_incoming *active = connection->active;
    (void)why;
    tael_http_server_retain(server);
    tael_http_connection_enter(connection);
    tael_http_connection_close(connection);
    tael_http_connection_leave(connection);
    if (active != NULL && server->handler.gone != NULL)
        server->handler.gone(server->handler.user, &active->request);
    tael_http_server_release(server);
}

static void on_drain(void *user)
{
    struct tael_http_connection *connection = user;
    tael_http_connection_enter(connection);
    tael_http_waits_taken(connection);
    tael_http_intake_work(connection, NULL, 0);
    tael_http_connection_leave(connection);
}

static const struct tael_stream_events events = {.read = on_read, .end = on_end, .drain = on_drain};

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
    connection->timer = tael_timer_new(server->loop, tael_http_waits_over, connection);
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
    tael_http_connection_enter(connection);
    tael_stream_start(stream, &events, connection);
    tael_http_connection_settle(connection);
    tael_http_connection_leave(connection);
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
    tael_http_connection_enter(connection);
    put_bytes(connection, connection->rest.data, connection->rest.len);
    tael_buf_free(&connection->rest);
    tael_http_intake_work(connection, NULL, 0);
    tael_http_connection_leave(connection);
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
        status = put_problem(connection, TAEL_LOG_ERROR, &bad_answer, answer->persistence,
                             answer->head_only);
    } else if (status == TAEL_OK && flaw != NULL) {
        status = hold_back(connection, answer, flaw);
    }
    if (status == TAEL_OK) {
        send_out(connection);
    } else {
        tael_buf_clear(out);
        tael_http_connection_close(connection);
    }
}

void tael_http_connection_answer(struct tael_http_connection *connection,
                                 struct tael_http_answer *answer, const struct tael_http_flaw *flaw)
{
    struct tael_http_incoming *active = connection->active;
    tael_http_connection_enter(connection);
    if (flaw != NULL && flaw->drop) {
        tael_http_connection_close(connection);
        tael_http_connection_leave(connection);
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
        tael_http_intake_drop_ready(connection);
        tael_http_intake_fail(connection, (struct tael_http_refusal){0});
    }
    write_answer(connection, answer, flaw);
    tael_http_intake_work(connection, NULL, 0);
    tael_http_connection_leave(connection);
}

void tael_http_connection_drain(struct tael_http_connection *connection)
{
    tael_http_connection_enter(connection);
    tael_http_connection_settle(connection);
    if (connection->stream != NULL && connection->wait == TAEL_HTTP_WAIT_REQUEST)
        tael_http_waits_restart(connection);
    tael_http_connection_leave(connection);
}

static void cut_with(struct tael_http_connection *connection, const struct tael_http_refusal *why)
{
    bool begun = connection->incoming != NULL || connection->in.len > 0;
    tael_http_connection_enter(connection);
    if (begun && !connection->closing && connection->active == NULL && connection->ready == NULL &&
        connection->rest.len == 0) {
        connection->failure = *why;
        answer_failure(connection);
    }
    tael_http_connection_close(connection);
    tael_http_connection_leave(connection);
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
