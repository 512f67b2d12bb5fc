/* site.h - an HTTP server in a simulated world, with a handler that does what the path says.
 *
 * "/hold…" waits for site_answer, "/big" gives BIG bytes, "/204" and the like give that status,
 * "/small" takes 10 bytes of body; everything else is answered at once with "PATH:BODY". */
#ifndef TAEL_TESTS_SITE_H
#define TAEL_TESTS_SITE_H

#include <stdio.h>

#include "base/log.h"
#include "base/sim.h"
#include "net/http_server.h"
#include "wire.h"

#define SITE_START_MS INT64_C(1700000000000)

enum { SITE_HELD_MAX = 32, SITE_BIG = 1024 * 1024, SITE_LOG = 32 * 1024 };

struct site {
    struct tael_world *world;
    struct tael_loop *loop;
    struct tael_loop_ops ops; /* the loop's own, for tests that replace one of them */
    struct tael_log *log;
    struct tael_http_server *server;
    const char *address;
    struct tael_http_request *held[SITE_HELD_MAX]; /* in the order of arrival; answered ones too */
    size_t held_count, requests, gone;
    struct tael_http_request *last_gone;
    bool answer_gone;     /* answer from inside the gone callback */
    bool nameless;        /* the server's own answers have no name */
    bool free_in_request; /* free the server from inside the request callback */
    size_t drained;       /* how often done came */
    bool clean;           /* what it said */
    char last[256];       /* "METHOD target listener peer" */
    char lines[SITE_LOG]; /* what was logged */
    size_t lines_len;
};

static inline void site_keep_line(void *user, tael_log_level level, const char *line, size_t len)
{
    struct site *site = user;
    (void)level;
    if (len < SITE_LOG - site->lines_len) {
        memcpy(site->lines + site->lines_len, line, len);
        site->lines_len += len;
        site->lines[site->lines_len] = '\0';
    }
}

static inline void site_respond(struct tael_http_request *request, int status, const char *name,
                                const char *value, const char *text)
{
    struct tael_http_header header = {tael_span_of(name), tael_span_of(value)};
    tael_http_respond(request, status, &header, name != NULL ? 1 : 0, tael_span_of(text));
}

static inline void site_answer_big(struct tael_http_request *request)
{
    char *text = malloc(SITE_BIG);
    if (text == NULL)
        abort();
    memset(text, 'b', SITE_BIG);
    tael_http_respond(request, 200, NULL, 0, (struct tael_span){text, SITE_BIG});
    free(text);
}

/* Everything by length: a value that holds a NUL is one of the tests. */
static inline void site_answer_bad(struct tael_http_request *request)
{
    static const struct {
        const char *path;
        struct tael_http_header header;
    } rows[] = {
        {"/bad/value", {{"X", 1}, {"a\r\nSet-Cookie: b", 16}}},
        {"/bad/nul", {{"X", 1}, {"a\0b", 3}}},
        {"/bad/name", {{"X Y", 3}, {"a", 1}}},
        {"/bad/empty", {{"", 0}, {"a", 1}}},
        {"/bad/length", {{"Content-Length", 14}, {"0", 1}}},
        {"/bad/coding", {{"transfer-encoding", 17}, {"chunked", 7}}},
        {"/bad/connection", {{"Connection", 10}, {"close", 5}}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (tael_span_is(request->target, rows[i].path)) {
            tael_http_respond(request, 200, &rows[i].header, 1, tael_span_of("x"));
            return;
        }
    }
    tael_http_respond(request, 100, NULL, 0, tael_span_of("x")); /* "/bad/status" */
}

static inline bool site_path_begins(const struct tael_http_request *request, const char *text)
{
    size_t len = strlen(text);
    return request->target.len >= len && memcmp(request->target.data, text, len) == 0;
}

static inline void site_on_request(void *user, struct tael_http_request *request)
{
    struct site *site = user;
    char text[256];
    site->requests++;
    snprintf(site->last, sizeof(site->last), "%.*s %.*s %s %s", (int)request->method.len,
             request->method.data, (int)request->target.len, request->target.data,
             request->listener, request->peer);
    if (site->free_in_request) {
        tael_http_server_free(site->server);
        site->server = NULL;
    }
    if (site_path_begins(request, "/hold")) {
        if (site->held_count == SITE_HELD_MAX)
            abort();
        site->held[site->held_count++] = request;
    } else if (site_path_begins(request, "/big")) {
        site_answer_big(request);
    } else if (site_path_begins(request, "/204")) {
        tael_http_respond(request, 204, NULL, 0, tael_span_of("not sent"));
    } else if (site_path_begins(request, "/304")) {
        tael_http_respond(request, 304, NULL, 0, tael_span_of("not sent"));
    } else if (site_path_begins(request, "/bad")) {
        site_answer_bad(request);
    } else {
        snprintf(text, sizeof(text), "%.*s:%.*s", (int)request->target.len, request->target.data,
                 (int)request->body.len, request->body.data);
        site_respond(request, 200, NULL, NULL, text);
    }
}

static inline void site_on_gone(void *user, struct tael_http_request *request)
{
    struct site *site = user;
    site->gone++;
    site->last_gone = request;
    if (site->answer_gone)
        site_respond(request, 200, NULL, NULL, "nobody hears it");
}

static inline size_t site_body_max(void *user, const struct tael_http_request *head)
{
    (void)user;
    return site_path_begins(head, "/small") ? 10 : 0;
}

static inline bool site_name(void *user, char *out)
{
    const struct site *site = user;
    strcpy(out, "req_1");
    return !site->nameless;
}

static inline void site_on_drained(void *user, bool clean)
{
    struct site *site = user;
    site->drained++;
    site->clean = clean;
}

static inline void site_open(struct site *site, uint64_t seed,
                             const struct tael_http_limits *limits)
{
    *site = (struct site){0};
    struct tael_sim_options sim = {.seed = seed, .start_ms = SITE_START_MS, .latency_us = 1000};
    if (tael_sim_new(&site->world, &sim) != TAEL_OK ||
        tael_loop_new(site->world, &site->loop) != TAEL_OK)
        abort();
    struct tael_log_options log = {
        .world = site->world, .level = TAEL_LOG_DEBUG, .write = site_keep_line, .user = site};
    if (tael_log_new(&site->log, &log) != TAEL_OK)
        abort();
    struct tael_http_server_options options = {
        .loop = site->loop,
        .log = site->log,
        .limits = limits != NULL ? *limits : (struct tael_http_limits){0},
        .handler = {.request = site_on_request,
                    .gone = site_on_gone,
                    .body_max = site_body_max,
                    .name = site_name,
                    .user = site},
    };
    if (tael_http_server_new(&site->server, &options) != TAEL_OK ||
        tael_http_server_listen(site->server, "api", "127.0.0.1:0", &site->address) != TAEL_OK)
        abort();
}

static inline void site_run(struct site *site, int64_t ms)
{
    tael_sim_run(site->world, tael_now_ms(site->world) + ms);
}

static inline void site_answer(struct site *site, size_t which, const char *text)
{
    site_respond(site->held[which], 200, NULL, NULL, text);
    site->held[which] = NULL;
}

static inline void site_close(struct site *site)
{
    tael_http_server_free(site->server);
    tael_log_free(site->log);
    tael_loop_free(site->loop);
    tael_world_free(site->world);
}

static inline bool site_logged(const struct site *site, const char *text)
{
    return strstr(site->lines, text) != NULL;
}

#endif
