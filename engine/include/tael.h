/* tael.h - libtael, the payment engine inside a C program (C11, C++17). The only header a host
 * needs.
 *
 * Ownership: what tael_*_open returns is freed by its _close (NULL allowed). Strings passed in are
 * copied before the call returns. Memory handed to a callback is valid until it returns. Threads:
 * [any] may be called from any thread. Callbacks run on one of the engine's threads (in close, and
 * the log's in open, start and run, on the caller's), in the C locale whatever the process has
 * chosen. Failure:
 * tael_status; text in tael_error if given. The library never prints, exits, aborts for lack of
 *   memory or sets signal handlers. Several engines may live in one process.
 *   Descriptors 0, 1 and 2 have to be open as long as there is one (/dev/null will do).
 * Units:     amounts int64_t minor units; times int64_t ms since 1970 UTC; durations ms; lengths
 * bytes.
 */
#ifndef TAEL_H
#define TAEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TAEL_API __attribute__((visibility("default")))

#define TAEL_STATUS_MAP(X)                                                                         \
    X(OK, 0, "success")                                                                            \
    X(EINVAL, -1, "invalid argument")                                                              \
    X(ENOMEM, -2, "out of memory")                                                                 \
    X(ECONFIG, -3, "configuration")                                                                \
    X(ESCRIPT, -4, "script refused")                                                               \
    X(ESTORE, -5, "store failed")                                                                  \
    X(ENETWORK, -6, "network failed")                                                              \
    X(ETIMEOUT, -7, "deadline passed")                                                             \
    X(EBUSY, -8, "queue is full")                                                                  \
    X(ETHREAD, -9, "wrong thread")                                                                 \
    X(ECLOSED, -10, "engine is closing")                                                           \
    X(ELIMIT, -11, "limit exceeded")                                                               \
    X(ENOTFOUND, -12, "not found")                                                                 \
    X(EVERSION, -13, "schema or ABI version")                                                      \
    X(EINTERNAL, -14, "internal error")

typedef enum tael_status {
#define TAEL_STATUS_ENUM(name, value, text) TAEL_##name = value,
    TAEL_STATUS_MAP(TAEL_STATUS_ENUM)
#undef TAEL_STATUS_ENUM
} tael_status;

typedef struct tael_engine tael_engine; /* one running engine */

typedef struct tael_error { /* filled on failure when the pointer is not NULL */
    tael_status status;
    char code[48];     /* stable word: "config_unknown_key" */
    char message[464]; /* one line; names file:line or key where there is one; never a secret */
} tael_error;

typedef enum tael_log_level {
    TAEL_LOG_ERROR,
    TAEL_LOG_WARN,
    TAEL_LOG_INFO,
    TAEL_LOG_DEBUG
} tael_log_level;

typedef struct tael_options { /* TAEL_OPTIONS_INIT, then set what differs; 0/NULL is always the
                                 default */
    size_t size;              /* sizeof(tael_options): later fields are defaulted for older hosts;
                                 a newer host than the library gets TAEL_EVERSION */
    const char *config_path;  /* tael.lua; NULL: no file */
    const char *config_lua;   /* text in place of the file */
    const char *root;         /* base of relative paths; NULL: folder of config_path or "." */
    const char *lua_root;     /* folder of Tael's own Lua; NULL: where it was installed */
    int dev;                  /* 1: sandbox, demo merchant, generated keys */
    int listen; /* 1: open the configured listeners; 0 (default): in-process calls only */
    /* [any thread, one at a time] Others wait for it: it must not block, nor call the library. */
    void (*log)(void *user, tael_log_level level, const char *json, size_t len);
    void *log_user;
} tael_options;

#ifdef __cplusplus
static inline tael_options tael_options_init(void)
{
    tael_options options = {};
    options.size = sizeof(options);
    return options;
}
#define TAEL_OPTIONS_INIT tael_options_init()
#else
#define TAEL_OPTIONS_INIT ((tael_options){.size = sizeof(tael_options)})
#endif

/* ---- version [any] ---- */

TAEL_API int tael_version_number(void);                    /* 10203 = 1.2.3 */
TAEL_API const char *tael_version(void);                   /* "1.2.3", static */
TAEL_API const char *tael_status_name(tael_status status); /* "TAEL_EBUSY", static, never NULL */
TAEL_API const char *tael_status_text(tael_status status); /* "queue is full", static, never NULL */

/* ---- life: open -> run | start -> stop -> close ---- */

/* Opens store, keys and scripts and checks them; migrates only when configured. *out untouched on
 * failure. */
TAEL_API tael_status tael_engine_open(tael_engine **out, const tael_options *options,
                                      tael_error *err);
/* Starts the workers' threads and listeners, then returns. A start that failed is only closed.
 * TAEL_ECLOSED: it was stopped, before its start or after. */
TAEL_API tael_status tael_engine_start(tael_engine *engine, tael_error *err);
/* Starts if need be and blocks until stopped. TAEL_OK: drained; TAEL_ETIMEOUT: the drain deadline
 * passed; TAEL_ECLOSED: stopped before it had started. */
TAEL_API tael_status tael_engine_run(tael_engine *engine);
/* [any, signal-safe, until close is called] Asks for a graceful stop: no new requests, at most
 * drain_ms for the open ones; 0: as configured. Before the start: it will not start. NULL allowed.
 */
TAEL_API void tael_engine_stop(tael_engine *engine, int64_t drain_ms);
/* Stops if needed, joins, frees. Callbacks not yet made get TAEL_ECLOSED. NULL allowed. Not from a
 * callback, and not while another call on the engine is under way. */
TAEL_API void tael_engine_close(tael_engine *engine);

/* ---- calls: the whole HTTP API without a socket; same routes, bodies, problems and idempotency
 * ---- */

typedef struct tael_response {
    size_t size;
    tael_status status; /* TAEL_OK: an answer arrived, whatever http_status says */
    int http_status;
    const char *body; /* JSON or problem+json, NUL-terminated after body_len */
    size_t body_len;
} tael_response;

typedef void (*tael_response_fn)(void *user, const tael_response *response);

/* [any] method and path as in HTTP ("POST", "/v1/payments", query included), json NULL or text;
 * merchant: whom the call acts for, NULL: the only one. fn comes exactly once, unless an error is
 * returned (TAEL_EBUSY: 10000 are open; TAEL_ECLOSED: not started, or stopping). The operation runs
 * to its end whatever happens to the caller. */
TAEL_API tael_status tael_call(tael_engine *engine, const char *method, const char *path,
                               const char *json, const char *merchant, tael_response_fn fn,
                               void *user);
/* [any but the engine's threads] The same, waiting. *body is the caller's: tael_free. */
TAEL_API tael_status tael_call_wait(tael_engine *engine, const char *method, const char *path,
                                    const char *json, const char *merchant, int *http_status,
                                    char **body, size_t *body_len);
TAEL_API void tael_free(void *memory); /* [any] frees what the library returned; NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
