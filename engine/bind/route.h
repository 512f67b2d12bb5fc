/* route.h - scripts that answer requests: loaded into an isolate, found by method and path, called
 * with plain data.
 *
 * A script gives back a table: ["METHOD /path/:name"] = handler or {handler=, auth=, body=,
 * max_body=}; a handler takes a request and gives {status=, json= | body=, headers=} or nil (204).
 * Contract: lua/tael/meta/route.lua. A script that was loaded never changes; who is in one of its
 * calls holds a reference, so that it may be replaced meanwhile. On the isolate's thread.
 */
#ifndef TAEL_BIND_ROUTE_H
#define TAEL_BIND_ROUTE_H

#include "net/http.h"
#include "script/isolate.h"

enum {
    TAEL_ROUTE_SOURCE_MAX = 256 * 1024,
    TAEL_ROUTE_SEGMENTS_MAX = 16,
    TAEL_ROUTE_PARAMS_MAX = 8,
    TAEL_ROUTE_HEADERS_MAX = 16,
    TAEL_ROUTE_JSON_ITEMS = 50000,     /* values and names of a text that is written */
    TAEL_ROUTE_BODY_MAX = 1024 * 1024, /* of a request, whatever a script asks for, and an answer */
    TAEL_ROUTE_WHY_MAX = TAEL_RUN_FAULT_MAX,
};

enum tael_route_auth { TAEL_ROUTE_API_KEY, TAEL_ROUTE_OPEN };

struct tael_route {
    char *key;                     /* "POST /orders/:id" */
    struct tael_span method, path; /* of it */
    enum tael_route_auth auth;
    bool json;       /* the body is read as JSON */
    size_t body_max; /* 0: the server's own limit */
    int handler;     /* reference in the isolate's registry */
};

struct tael_route_script {
    struct tael_isolate *isolate;
    size_t references;
    struct tael_route *routes;
    size_t count;
};

/* chunk: the file's name in messages, "scripts/routes/quote.lua". On failure why (of
 * TAEL_ROUTE_WHY_MAX bytes) says "file:line: …": TAEL_ESCRIPT, or TAEL_ENOMEM. *out holds one
 * reference. */
tael_status tael_route_load(struct tael_route_script **out, struct tael_isolate *isolate,
                            const char *chunk, struct tael_span text, char *why);
void tael_route_release(struct tael_route_script *script); /* NULL allowed */

/* Scripts by name, of texts that were given, in an isolate of their own. Whoever is in a call of
 * one of them holds a reference to the set. Nothing is added to a set that others have. */
struct tael_route_set;

/* ordered: as tael_isolate_new. *out holds one reference. */
tael_status tael_route_set_new(struct tael_route_set **out, bool ordered);
/* Loads one; why as above, TAEL_ELIMIT: its name is too long or taken, or there are too many. */
tael_status tael_route_set_add(struct tael_route_set *set, struct tael_span name,
                               struct tael_span text, char *why);
/* The same texts once more: without what their scripts have kept for themselves. */
tael_status tael_route_set_again(const struct tael_route_set *set, struct tael_route_set **out);
/* NULL: there is none of this name. */
struct tael_route_script *tael_route_set_find(const struct tael_route_set *set,
                                              struct tael_span name);
void tael_route_set_retain(struct tael_route_set *set);
void tael_route_set_release(struct tael_route_set *set); /* NULL allowed */

struct tael_route_place { /* where a request goes */
    const struct tael_route *route;
    size_t param_count;
    struct tael_span names[TAEL_ROUTE_PARAMS_MAX];
    struct tael_span values[TAEL_ROUTE_PARAMS_MAX]; /* as sent: decoded by the call */
};

enum tael_route_found {
    TAEL_ROUTE_FOUND,
    TAEL_ROUTE_NO_PATH,
    TAEL_ROUTE_NO_METHOD,
    TAEL_ROUTE_BAD_PATH, /* could mean something else to a proxy or a file system */
};

/* rest: the path behind the script's name, "" or "/…". HEAD is answered by GET. */
enum tael_route_found tael_route_find(const struct tael_route_script *script,
                                      struct tael_span method, struct tael_span rest,
                                      struct tael_route_place *out);
/* "GET, HEAD, POST" of those that the path has; out has room for size bytes. */
void tael_route_allowed(const struct tael_route_script *script, struct tael_span rest, char *out,
                        size_t size);

enum tael_route_refusal { /* what the request itself was wrong in */
                          TAEL_ROUTE_REFUSED_NOT,
                          TAEL_ROUTE_REFUSED_JSON,
                          TAEL_ROUTE_REFUSED_QUERY,
};

struct tael_route_call { /* the caller's; zero, then the first four */
    struct tael_route_place place;
    struct tael_span method, path, query, body, merchant;
    const struct tael_http_header *headers;
    size_t header_count;

    struct tael_run run;
    const void *request; /* the table that the handler got */
    enum tael_route_refusal refusal;
    const char *refusal_text; /* static */
    size_t refusal_offset;    /* 1-based, of JSON */
    int status;
    struct tael_http_header answer[TAEL_ROUTE_HEADERS_MAX + 1]; /* in the run's memory */
    size_t answer_count;
    struct tael_span answer_body; /* until the next call of the isolate */
};

/* DONE: the answer, or the refusal, stands in the call until tael_route_end. PAUSED: go on with
 * tael_route_go. Else call->run.fault tells. */
enum tael_run_state tael_route_begin(struct tael_route_call *call, struct tael_isolate *isolate);
enum tael_run_state tael_route_go(struct tael_route_call *call);
void tael_route_end(struct tael_route_call *call);

/* Pushes what require "tael" gives to a script. Raises. */
void tael_route_push_tael(lua_State *L);
/* The same, to which more may still be added. */
void tael_route_push_open_tael(lua_State *L);

#endif
