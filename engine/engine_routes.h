/* engine_routes.h - the operator's own endpoints on one worker: files of a folder, or a set of
 * texts that the application has given, answer requests below a prefix of a listener (plan.routes).
 *
 * A file is looked at when a request for it comes, so that what has been saved answers the next
 * one; who is in a call ends on what it began with. A file that does not load leaves the one that
 * runs, on every worker. Scripts run in an isolate of their own (script/isolate.h), one a worker;
 * the application is asked only who calls (app.admit) and how to say no (app.refuse). On the
 * worker's thread.
 */
#ifndef TAEL_ENGINE_ROUTES_H
#define TAEL_ENGINE_ROUTES_H

#include "bind/route.h"
#include "engine.h"

struct tael_routes;

tael_status tael_routes_new(struct tael_routes **out, struct tael_worker *worker);
/* What is still under way is answered 503. After the worker's state, before its server. NULL
 * allowed. */
void tael_routes_free(struct tael_routes *routes);

/* Whether the request is for a route; NULL: there are none. */
bool tael_routes_takes(const struct tael_routes *routes, const struct tael_http_request *request);
void tael_routes_serve(struct tael_routes *routes, struct tael_http_request *request);
/* As host.use_routes. */
bool tael_worker_use_routes(struct tael_host *host, struct tael_route_set *set);
/* As tael_http_handler.body_max. */
size_t tael_routes_body_max(const struct tael_routes *routes, const struct tael_http_request *head);

/* ---- engine_route_texts.c ---- */

/* The last text that has loaded, by the file's name. The engine's; any thread, made before the
 * workers and freed after them. */
struct tael_route_texts;

tael_status tael_route_texts_new(struct tael_route_texts **out);
void tael_route_texts_free(struct tael_route_texts *texts); /* NULL allowed */
/* Copies the text; without memory the one before stays. */
void tael_route_texts_keep(struct tael_route_texts *texts, const char *name, const char *data,
                           size_t len);
/* The caller's; NULL: there is none, or no memory. */
char *tael_route_texts_copy(struct tael_route_texts *texts, const char *name, size_t *len);
void tael_route_texts_drop(struct tael_route_texts *texts, const char *name);

/* ---- engine_route_files.c ---- */

struct tael_route_file {
    char *name, *path, *chunk;
    struct tael_route_script *script; /* NULL: there is none that has loaded */
    char *text;                       /* of the script */
    size_t len;
    struct tael_route_stamp {
        int64_t changed_ns, size;
        uint64_t inode;
    } stamp;           /* of what was tried last; zero: nothing */
    int64_t looked_us; /* monotonic */
    bool recent;       /* changed so short a time ago that its stamp may not tell the next change */
    bool silent;       /* it did not load, which has not been said: it may still be written */
    bool starved;      /* there was no memory to load it: it is tried again */
};

struct tael_route_files {
    struct tael_world *world;
    struct tael_log *log;
    struct tael_route_texts *texts; /* of all workers */
    const char *folder, *shown;     /* as in the file system, and as in messages */
    struct tael_isolate *isolate;
    struct tael_route_file **files; /* by name */
    size_t count, cap;
    bool starved;             /* a file has become it since this was last set to false */
    struct tael_timer *again; /* while a file is silent; NULL: nobody looks again */
};

/* The file of that name as it is now; NULL: there is none. ENOMEM: it could not be looked at, or
 * loaded, and none runs that was loaded before. */
tael_status tael_route_files_find(struct tael_route_files *files, struct tael_span name,
                                  struct tael_route_file **out);
/* The same without looking at the disk. */
struct tael_route_file *tael_route_files_known(const struct tael_route_files *files,
                                               struct tael_span name);
/* Looks again at files that did not load and may have been incomplete. */
void tael_route_files_again(struct tael_route_files *files);
/* Another isolate, in which the texts that run are loaded anew. Nobody is in a call. */
tael_status tael_route_files_renew(struct tael_route_files *files);
void tael_route_files_free(struct tael_route_files *files); /* what it points to, not itself */

#endif
