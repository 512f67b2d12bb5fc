/* http_waits.c - what a connection waits for, how long, and what happens when it does not come.
 *
 * One timer runs for the client's next bytes (wait), another while it does not take an answer
 * (stall).
 */
#include "net/http_connection.h"

enum { BODY_RATE = 1024 }; /* least bytes of a body, or of an answer taken, in a second */

static const struct tael_http_refusal too_slow = {408, "request_timeout",
                                                  "The request did not come in time."};

static bool is_idle(const struct tael_http_connection *connection)
{
    return connection->active == NULL && connection->ready == NULL && connection->rest.len == 0 &&
           connection->incoming == NULL && connection->in.len == 0;
}

static enum tael_http_wait wanted(const struct tael_http_connection *connection)
{
    if (!tael_http_intake_is_open(connection))
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

void tael_http_waits_restart(struct tael_http_connection *connection)
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
    tael_http_waits_restart(connection);
}

static void set_reading(struct tael_http_connection *connection)
{
    bool on = tael_http_intake_discards(connection) || tael_http_intake_is_open(connection);
    if (on == connection->reading)
        return;
    connection->reading = on;
    tael_stream_read(connection->stream, on);
}

static void start_stall(struct tael_http_connection *connection, size_t queued)
{
    connection->stalled_at = queued;
    tael_timer_start(connection->stall, connection->server->limits.stall_ms * 1000);
}

static void on_stall(void *user)
{
    struct tael_http_connection *connection = user;
    size_t queued = tael_stream_queued(connection->stream);
    size_t least = (size_t)(connection->server->limits.stall_ms / 1000) * BODY_RATE;
    tael_http_connection_enter(connection);
    if (queued < connection->stalled_at && connection->stalled_at - queued >= least) {
        start_stall(connection, queued);
    } else {
        static const struct tael_http_refusal stalled = {0, "stalled",
                                                         "The client does not take the answer."};
        tael_http_connection_log(connection, TAEL_LOG_INFO, &stalled);
        tael_http_connection_close(connection);
    }
    tael_http_connection_leave(connection);
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
        tael_http_connection_close(connection); /* without a deadline it could hold us for ever */
    else
        start_stall(connection, queued);
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
        tael_http_connection_close(connection);
        return;
    }
    connection->last_look = true;
    tael_timer_start(connection->timer, TAEL_HTTP_LAST_LOOK_US);
}

void tael_http_waits_over(void *user)
{
    struct tael_http_connection *connection = user;
    tael_http_connection_enter(connection);
    switch (connection->wait) {
    case TAEL_HTTP_WAIT_REQUEST:
        end_idle(connection);
        break;
    case TAEL_HTTP_WAIT_HEAD:
        tael_http_intake_fail(connection, too_slow);
        break;
    case TAEL_HTTP_WAIT_BODY:
        if (body_is_late(connection)) {
            tael_http_intake_fail(connection, too_slow);
        } else {
            connection->body_windows++;
            tael_http_waits_restart(connection);
        }
        break;
    case TAEL_HTTP_WAIT_NOTHING:
        break;
    }
    tael_http_connection_settle(connection);
    tael_http_connection_leave(connection);
}

void tael_http_waits_set(struct tael_http_connection *connection)
{
    set_reading(connection);
    set_wait(connection);
    set_stall(connection);
}

void tael_http_waits_taken(struct tael_http_connection *connection)
{
    connection->stalled_at = 0;
    if (connection->stall != NULL)
        tael_timer_stop(connection->stall);
}
