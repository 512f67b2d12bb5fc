/* http_server.c - the server of one worker: listeners, limits, answers, drain and the end.
 *
 * What a single connection does is in http_connection.c; who owns what is in http_connection.h.
 * Everything here runs on the loop's thread.
 */
#include <assert.h>
#include <stdlib.h>

#include "net/http_connection.h"

enum {
    QUIET_MS = 1000,  /* a client in the middle of its work sends its next request within this */
    QUIET_SHARE = 16, /* and it is at most so small a part of the drain */
    RETIRE_MS = 100,  /* a handshake that has begun is over within this */
};

static size_t or_default(size_t value, size_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int64_t or_default_ms(int64_t value, int64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static struct tael_http_limits with_defaults(const struct tael_http_limits *given)
{
    return (struct tael_http_limits){
        .line = or_default(given->line, 8192),
        .head = or_default(given->head, 16384),
        .fields = or_default(given->fields, 64),
        .field = or_default(given->field, 8192),
        .body = or_default(given->body, 262144),
        .bodies = or_default(given->bodies, 67108864),
        .head_ms = or_default_ms(given->head_ms, 5000),
        .body_ms = or_default_ms(given->body_ms, 5000),
        .idle_ms = or_default_ms(given->idle_ms, 30000),
        .stall_ms = or_default_ms(given->stall_ms, 10000),
        .connections = or_default(given->connections, 20000),
        .per_address = or_default(given->per_address, 256),
        .requests = or_default(given->requests, 1000),
        .pipeline = or_default(given->pipeline, 16),
        .exempt = given->exempt,
        .exempt_count = given->exempt_count,
    };
}

/* ---- life ---- */

static void on_drain_timer(void *user);
static void on_retire_timer(void *user);

tael_status tael_http_server_new(struct tael_http_server **out,
                                 const struct tael_http_server_options *options)
{
    if (options->loop == NULL || options->handler.request == NULL)
        return TAEL_EINVAL;
    struct tael_http_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return TAEL_ENOMEM;
    server->loop = options->loop;
    server->drain_timer = tael_timer_new(options->loop, on_drain_timer, server);
    server->retire_timer = tael_timer_new(options->loop, on_retire_timer, server);
    if (server->drain_timer == NULL || server->retire_timer == NULL ||
        tael_http_crowd_begin(server) != TAEL_OK || tael_http_intake_begin(server) != TAEL_OK) {
        tael_timer_free(server->drain_timer);
        tael_timer_free(server->retire_timer);
        tael_http_crowd_end(server);
        free(server);
        return TAEL_ENOMEM;
    }
    server->log = options->log;
    server->limits = with_defaults(&options->limits);
    server->handler = options->handler;
    server->references = 1;
    *out = server;
    return TAEL_OK;
}

void tael_http_server_retain(struct tael_http_server *server)
{
    server->references++;
}

void tael_http_server_release(struct tael_http_server *server)
{
    assert(server->references > 0);
    if (--server->references > 0)
        return;
    assert(server->connections == NULL && server->open == 0);
    while (server->listeners != NULL) {
        struct tael_http_listener *listener = server->listeners;
        server->listeners = listener->next;
        free(listener->address);
        free(listener);
    }
    tael_http_peers_free(&server->peers);
    tael_buf_free(&server->out);
    free(server);
}

static void close_listeners(struct tael_http_server *server)
{
    /* Their names stay: requests point to them. */
    for (struct tael_http_listener *at = server->listeners; at != NULL; at = at->next) {
        tael_listener_close(at->listener);
        at->listener = NULL;
    }
}

static void cut_connections(struct tael_http_server *server)
{
    while (server->connections != NULL)
        tael_http_connection_cut(server->connections);
}

void tael_http_server_free(struct tael_http_server *server)
{
    if (server == NULL)
        return;
    close_listeners(server);
    cut_connections(server);
    tael_timer_free(server->drain_timer);
    tael_timer_free(server->retire_timer);
    tael_http_crowd_end(server);
    tael_http_intake_end(server);
    server->drain_timer = server->retire_timer = NULL;
    server->log = NULL; /* the owner's, like the loop: not to be used for late answers */
    tael_http_server_release(server);
}

tael_status tael_http_server_listen(struct tael_http_server *server, const char *name,
                                    const char *address, const char **address_out)
{
    return tael_http_server_listen_tls(server, name, address, NULL, address_out);
}

tael_status tael_http_server_listen_tls(struct tael_http_server *server, const char *name,
                                        const char *address, struct tael_tls_server *tls,
                                        const char **address_out)
{
    size_t name_size = strlen(name) + 1;
    struct tael_http_listener *listener = calloc(1, sizeof(*listener) + name_size);
    if (listener == NULL)
        return TAEL_ENOMEM;
    memcpy(listener->name, name, name_size);
    listener->server = server;
    listener->tls = tls;
    tael_status status = tael_listen(server->loop, address, tael_http_connection_accept, listener,
                                     &listener->listener);
    if (status != TAEL_OK)
        goto free_listener;
    status = TAEL_ENOMEM;
    listener->address = strdup(tael_listener_address(listener->listener));
    if (listener->address == NULL)
        goto close_listener;
    listener->next = server->listeners;
    server->listeners = listener;
    if (address_out != NULL)
        *address_out = listener->address;
    return TAEL_OK;

close_listener:
    tael_listener_close(listener->listener);
free_listener:
    free(listener);
    return status;
}

/* ---- answers ---- */

void tael_http_respond(struct tael_http_request *request, int status,
                       const struct tael_http_header *headers, size_t count, struct tael_span body)
{
    tael_http_respond_flawed(request, status, headers, count, body, NULL);
}

void tael_http_respond_flawed(struct tael_http_request *request, int status,
                              const struct tael_http_header *headers, size_t count,
                              struct tael_span body, const struct tael_http_flaw *flaw)
{
    struct tael_http_incoming *incoming = (struct tael_http_incoming *)request;
    struct tael_http_server *server = incoming->server;
    struct tael_http_answer answer = {
        .status = status, .headers = headers, .count = count, .body = body};
    assert(server->open > 0);
    server->open--;
    if (incoming->connection != NULL)
        tael_http_connection_answer(incoming->connection, &answer, flaw);
    tael_http_incoming_free(incoming);
    tael_http_server_settle(server);
    tael_http_server_release(server);
}

size_t tael_http_server_open(const struct tael_http_server *server)
{
    return server->open;
}

/* ---- drain ---- */

static bool listens(const struct tael_http_server *server)
{
    for (const struct tael_http_listener *at = server->listeners; at != NULL; at = at->next)
        if (at->listener != NULL)
            return true;
    return false;
}

static bool is_drained(const struct tael_http_server *server)
{
    return server->connections == NULL && server->open == 0 && !listens(server);
}

void tael_http_server_settle(struct tael_http_server *server)
{
    if (server->drained != NULL && server->drain_timer != NULL && is_drained(server))
        tael_timer_start(server->drain_timer, 0);
}

static void on_drain_timer(void *user)
{
    struct tael_http_server *server = user;
    void (*drained)(void *user, bool clean) = server->drained;
    bool clean = is_drained(server);
    server->drained = NULL;
    close_listeners(server);
    cut_connections(server);
    if (drained != NULL)
        drained(server->drained_user, clean); /* last: the server may be gone afterwards */
}

/* Nobody new is on the way any more; who came in the meantime has been accepted. */
static void on_retire_timer(void *user)
{
    struct tael_http_server *server = user;
    if (!server->retired) {
        server->retired = true;
        tael_timer_start(server->retire_timer, TAEL_HTTP_LAST_LOOK_US);
        return;
    }
    close_listeners(server);
    tael_http_server_settle(server);
}

static void retire_listeners(struct tael_http_server *server)
{
    int64_t wait_ms = server->quiet_ms < RETIRE_MS ? server->quiet_ms : RETIRE_MS;
    for (struct tael_http_listener *at = server->listeners; at != NULL; at = at->next)
        tael_listener_retire(at->listener);
    server->retired = false;
    tael_timer_start(server->retire_timer, wait_ms * 1000);
}

void tael_http_server_ebb(struct tael_http_server *server, int64_t quiet_ms)
{
    server->draining = true;
    server->quiet_ms = quiet_ms;
    struct tael_http_connection *at = server->connections;
    while (at != NULL) {
        struct tael_http_connection *next = at->next; /* at may close; no other does */
        tael_http_connection_drain(at);
        at = next;
    }
}

tael_status tael_http_server_share(struct tael_http_server *server,
                                   void (*each)(void *user, const char *name, const char *address,
                                                int fd),
                                   void *user)
{
    for (struct tael_http_listener *at = server->listeners; at != NULL; at = at->next) {
        int fd = at->listener != NULL ? tael_listener_share(at->listener) : -1;
        if (at->listener == NULL)
            continue;
        if (fd < 0)
            return TAEL_ENETWORK;
        tael_listener_close(at->listener);
        at->listener = NULL;
        each(user, at->name, at->address, fd);
    }
    return TAEL_OK;
}

void tael_http_server_resume(struct tael_http_server *server)
{
    tael_timer_stop(server->drain_timer);
    tael_timer_stop(server->retire_timer);
    server->draining = false;
    server->drained = NULL;
}

size_t tael_http_server_connections(const struct tael_http_server *server)
{
    return server->connection_count;
}

int64_t tael_http_quiet_ms(int64_t drain_ms)
{
    return drain_ms / QUIET_SHARE < QUIET_MS ? drain_ms / QUIET_SHARE : QUIET_MS;
}

void tael_http_server_drain(struct tael_http_server *server, int64_t drain_ms,
                            void (*done)(void *user, bool clean), void *user)
{
    server->drained = done;
    server->drained_user = user;
    tael_timer_start(server->drain_timer, drain_ms * 1000);
    if (!server->draining)
        tael_http_server_ebb(server, tael_http_quiet_ms(drain_ms));
    if (listens(server))
        retire_listeners(server);
    tael_http_server_settle(server);
}
