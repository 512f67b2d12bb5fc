/* client_place.h - a loop with an HTTP client, our server, and a listener that speaks canned bytes;
 * in the real or the simulated world. What a call brings is kept in its struct call.
 *
 * Our server answers "METHOD TARGET|name=value|…|BODY" (Host left out: its port differs), "/peer"
 * its peer, "/big" 1 MiB + 1, "/302" with that status, "/hold" never. */
#ifndef TAEL_TESTS_CLIENT_PLACE_H
#define TAEL_TESTS_CLIENT_PLACE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "alloc_fail.h"
#include "base/sim.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/world_uv.h"

enum { PLACE_CALLS = 32, PLACE_HELD = 16, PLACE_STREAMS = 32, PLACE_BIG = 1024 * 1024 + 1 };

struct place;

struct call { /* one exchange and what came of it */
    struct place *place;
    struct tael_http_exchange *exchange;
    int done;
    struct tael_http_result result; /* without headers and body */
    char detail[256];
    size_t body_len;
    char body[512];     /* its beginning */
    char headers[1024]; /* "name=value\n" of each */
};

struct canned { /* a listener that answers every request with the same bytes */
    struct place *place;
    struct tael_listener *listener;
    const char *first,
        *later; /* to the first request of a connection, to later ones; NULL: close */
    bool close; /* after the answer */
    int requests, connections;
};

struct canned_stream {
    struct canned *canned;
    struct tael_stream *stream;
    int requests;
    char tail[4]; /* the last bytes that came */
};

struct place {
    struct tael_world *world;
    struct tael_loop *loop;
    struct tael_http_server *server;
    struct tael_http_client *client;
    const char *address;
    struct tael_timer *timer;
    struct call calls[PLACE_CALLS];
    size_t waiting; /* calls not yet done */
    struct tael_http_request *held[PLACE_HELD];
    size_t held_count, gone;
    bool stop_when_held, stop_when_gone;
    struct canned canned;
    struct canned_stream *streams[PLACE_STREAMS];
    size_t stream_count;
    char unix_path[64];
};

/* ---- our server ---- */

static inline void place_describe(struct tael_buf *text, const struct tael_http_request *request)
{
    bool right = tael_buf_printf(text, "%.*s %.*s", (int)request->method.len, request->method.data,
                                 (int)request->target.len, request->target.data) == TAEL_OK;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct tael_http_header *at = &request->headers[i];
        if (!tael_span_is(at->name, "host"))
            right = right && tael_buf_printf(text, "|%.*s=%.*s", (int)at->name.len, at->name.data,
                                             (int)at->value.len, at->value.data) == TAEL_OK;
    }
    if (!right)
        abort();
}

static inline void place_on_request(void *user, struct tael_http_request *request)
{
    struct place *place = user;
    struct tael_buf text = {0};
    struct tael_http_header header = {tael_span_of("X-Answer"), tael_span_of(" a b ")};
    if (tael_span_is(request->target, "/hold")) {
        if (place->held_count == PLACE_HELD)
            abort();
        place->held[place->held_count++] = request;
        if (place->stop_when_held)
            tael_loop_stop(place->loop);
        return;
    }
    if (tael_span_is(request->target, "/big")) {
        char *big = calloc(1, PLACE_BIG);
        if (big == NULL)
            abort();
        tael_http_respond(request, 200, NULL, 0, (struct tael_span){big, PLACE_BIG});
        free(big);
        return;
    }
    if (tael_span_is(request->target, "/peer")) {
        if (tael_buf_append_text(&text, request->peer) != TAEL_OK)
            abort();
    } else {
        place_describe(&text, request);
    }
    if (tael_buf_append_char(&text, '|') != TAEL_OK ||
        tael_buf_append(&text, request->body.data, request->body.len) != TAEL_OK)
        abort();
    int status = tael_span_is(request->target, "/302") ? 302 : 200;
    tael_http_respond(request, status, &header, 1, (struct tael_span){text.data, text.len});
    tael_buf_free(&text);
}

static inline void place_on_gone(void *user, struct tael_http_request *request)
{
    struct place *place = user;
    (void)request;
    place->gone++;
    if (place->stop_when_gone)
        tael_loop_stop(place->loop);
}

/* ---- life ---- */

static inline void place_on_timer(void *user)
{
    tael_loop_stop(((struct place *)user)->loop);
}

static inline void place_open_with(struct place *place, bool simulated,
                                   const struct tael_http_client_options *client)
{
    *place = (struct place){0};
    struct tael_sim_options sim = {.seed = 5, .start_ms = 1700000000000};
    tael_status status =
        simulated ? tael_sim_new(&place->world, &sim) : tael_world_uv_new(&place->world);
    if (status != TAEL_OK || tael_loop_new(place->world, &place->loop) != TAEL_OK)
        abort();
    struct tael_http_server_options options = {
        .loop = place->loop,
        .handler = {.request = place_on_request, .gone = place_on_gone, .user = place}};
    char local[80];
    snprintf(place->unix_path, sizeof(place->unix_path), "/tmp/tael_client_test_%d", (int)getpid());
    snprintf(local, sizeof(local), "unix:%s", place->unix_path);
    place->timer = tael_timer_new(place->loop, place_on_timer, place);
    if (tael_http_server_new(&place->server, &options) != TAEL_OK ||
        tael_http_server_listen(place->server, "api", "127.0.0.1:0", &place->address) != TAEL_OK ||
        tael_http_server_listen(place->server, "local", local, NULL) != TAEL_OK ||
        tael_http_client_new(&place->client, place->loop, client) != TAEL_OK ||
        place->timer == NULL)
        abort();
}

static inline void place_open(struct place *place, bool simulated)
{
    static const struct tael_http_client_options client = {.allow_private = true};
    place_open_with(place, simulated, &client);
}

static inline void place_answer(struct place *place, size_t which)
{
    tael_http_respond(place->held[which], 200, NULL, 0, tael_span_of("answer"));
    place->held[which] = NULL;
}

static inline void place_close(struct place *place)
{
    for (size_t i = 0; i < place->held_count; i++) {
        if (place->held[i] != NULL)
            place_answer(place, i);
    }
    tael_http_client_free(place->client);
    tael_http_server_free(place->server);
    tael_listener_close(place->canned.listener);
    for (size_t i = 0; i < place->stream_count; i++) {
        tael_stream_close(place->streams[i]->stream);
        free(place->streams[i]);
    }
    tael_timer_free(place->timer);
    tael_loop_free(place->loop);
    tael_world_free(place->world);
    unlink(place->unix_path);
}

static inline void place_run_ms(struct place *place, int64_t ms)
{
    tael_timer_start(place->timer, ms * 1000);
    tael_loop_run(place->loop);
}

static inline void place_until_held(struct place *place)
{
    place->stop_when_held = true;
    if (place->held_count == 0)
        tael_loop_run(place->loop);
    place->stop_when_held = false;
}

static inline void place_until_gone(struct place *place)
{
    place->stop_when_gone = true;
    if (place->gone == 0)
        tael_loop_run(place->loop);
    place->stop_when_gone = false;
}

/* ---- calls ---- */

static inline void place_keep(struct call *call, const struct tael_http_result *result)
{
    size_t room = sizeof(call->body) - 1;
    size_t len = result->body.len < room ? result->body.len : room;
    call->result = *result;
    snprintf(call->detail, sizeof(call->detail), "%s", result->detail);
    call->body_len = result->body.len;
    if (len > 0)
        memcpy(call->body, result->body.data, len);
    call->body[len] = '\0';
    call->headers[0] = '\0';
    size_t at = 0;
    for (size_t i = 0; i < result->header_count; i++) {
        const struct tael_http_header *header = &result->headers[i];
        size_t left = sizeof(call->headers) - at;
        if (header->name.len + header->value.len + 3 > left)
            break;
        at += (size_t)snprintf(call->headers + at, left, "%.*s=%.*s\n", (int)header->name.len,
                               header->name.data, (int)header->value.len, header->value.data);
    }
}

static inline void place_on_done(void *user, const struct tael_http_result *result)
{
    struct call *call = user;
    call->done++;
    call->exchange = NULL;
    place_keep(call, result);
    if (--call->place->waiting == 0)
        tael_loop_stop(call->place->loop);
}

/* url: "/path" of place->address, or a whole one. Aborts when done comes from inside start. */
static inline tael_status place_start(struct place *place, size_t which, const char *method,
                                      const char *url, const struct tael_http_call *more)
{
    struct tael_http_call call = more != NULL ? *more : (struct tael_http_call){0};
    char text[512];
    struct call *out = &place->calls[which];
    snprintf(text, sizeof(text), "http://%s%s", place->address, url);
    call.method = method;
    call.url = url[0] == '/' ? text : url;
    *out = (struct call){.place = place};
    place->waiting++;
    tael_status status =
        tael_http_client_start(place->client, &call, place_on_done, out, &out->exchange);
    if (out->done != 0)
        abort();
    if (status != TAEL_OK)
        place->waiting--;
    return status;
}

static inline struct call *place_finish(struct place *place, size_t which)
{
    if (place->waiting > 0)
        tael_loop_run(place->loop);
    return &place->calls[which];
}

static inline struct call *place_perform(struct place *place, const char *method, const char *url,
                                         const struct tael_http_call *more)
{
    if (place_start(place, 0, method, url, more) != TAEL_OK)
        abort();
    return place_finish(place, 0);
}

/* ---- the canned listener ---- */

static inline void place_canned_read(void *user, const char *data, size_t len)
{
    struct canned_stream *at = user;
    struct canned *canned = at->canned;
    for (size_t i = 0; i < len; i++) {
        memmove(at->tail, at->tail + 1, 3);
        at->tail[3] = data[i];
    }
    if (memcmp(at->tail, "\r\n\r\n", 4) != 0)
        return; /* the requests of these tests have no body */
    at->requests++;
    canned->requests++;
    const char *answer = at->requests == 1 ? canned->first : canned->later;
    if (answer != NULL && tael_stream_write(at->stream, answer, strlen(answer)) != TAEL_OK)
        abort();
    if (answer == NULL || canned->close) {
        tael_stream_close(at->stream);
        at->stream = NULL;
    }
}

static inline void place_canned_end(void *user, tael_status why)
{
    struct canned_stream *at = user;
    (void)why;
    tael_stream_close(at->stream);
    at->stream = NULL;
}

static inline void place_canned_accept(void *user, struct tael_stream *stream)
{
    static const struct tael_stream_events events = {.read = place_canned_read,
                                                     .end = place_canned_end};
    struct canned *canned = user;
    struct canned_stream *at = calloc(1, sizeof(*at));
    if (at == NULL || canned->place->stream_count == PLACE_STREAMS)
        abort();
    *at = (struct canned_stream){.canned = canned, .stream = stream};
    canned->place->streams[canned->place->stream_count++] = at;
    canned->connections++;
    tael_stream_start(stream, &events, at);
}

/* From now on place->address is that of a listener with these answers. */
static inline void place_can(struct place *place, const char *first, const char *later, bool close)
{
    place->canned = (struct canned){.place = place, .first = first, .later = later, .close = close};
    if (tael_listen(place->loop, "127.0.0.1:0", place_canned_accept, &place->canned,
                    &place->canned.listener) != TAEL_OK)
        abort();
    place->address = tael_listener_address(place->canned.listener);
}

#endif
