/* log.h - structured log: one JSON object a line, levels, rate-limited, never a secret.
 *
 * A logger is shared by all threads of an engine. A line is made on the stack of its caller and
 * handed to the sink under a short lock; the sink decides about buffering and must not block on I/O
 * for long, nor write to the log itself. No memory is allocated by writing.
 *
 * Form: {"at":RFC 3339 with ms,"level":…,"event":…,…fields}, always one valid JSON object a line.
 * Strings are escaped (control characters, invalid UTF-8 -> U+FFFD, U+2028/9, bidi) and cut at
 * 1 KiB ("…"), the line at 8 KiB: fields that do not fit are left out and "cut":true says so. A
 * field named at, level, event or cut gets a "_" behind its name.
 *
 * Secrets (threats R23, R24; log_mask.c): a value whose field name ends in a secret word, or that
 * looks like a PEM block, a key or a token, is written as "[hidden]"; card, phone and identity
 * numbers and e-mail addresses are masked.
 *
 * Rate: at most per_second lines of one event name a second; the rest is counted in a
 * "log.suppressed" line (of, count) that comes with the next line of a later second, or with
 * tael_log_free.
 */
#ifndef TAEL_BASE_LOG_H
#define TAEL_BASE_LOG_H

#include "base/bytes.h"
#include "base/world.h"

struct tael_log;

enum tael_log_kind {
    TAEL_LOG_TEXT, /* string, escaped and masked */
    TAEL_LOG_INT,  /* int64 */
    TAEL_LOG_BOOL,
    TAEL_LOG_RAW, /* JSON text made by us: written as it is, control characters as blanks */
};

struct tael_log_field {
    const char *name;
    enum tael_log_kind kind;
    struct tael_span text; /* TEXT, RAW */
    int64_t number;        /* INT, BOOL */
};

static inline struct tael_log_field tael_log_text(const char *name, const char *value)
{
    return (struct tael_log_field){
        .name = name, .kind = TAEL_LOG_TEXT, .text = tael_span_of(value)};
}

static inline struct tael_log_field tael_log_int(const char *name, int64_t value)
{
    return (struct tael_log_field){.name = name, .kind = TAEL_LOG_INT, .number = value};
}

struct tael_log_options {
    struct tael_world *world; /* time */
    tael_log_level level;
    int per_second; /* lines of one event name; 0: no limit */
    /* Takes one finished line, '\n' included. [any thread], one call at a time. */
    void (*write)(void *user, tael_log_level level, const char *line, size_t len);
    void *user;
};

tael_status tael_log_new(struct tael_log **out, const struct tael_log_options *options);
void tael_log_free(struct tael_log *log);                              /* NULL allowed */
void tael_log_set_level(struct tael_log *log, tael_log_level level);   /* [any] */
bool tael_log_wants(const struct tael_log *log, tael_log_level level); /* log may be NULL: false */

/* [any] event: a stable word such as "store.opened". log may be NULL: nothing happens. */
void tael_log_write(struct tael_log *log, tael_log_level level, const char *event,
                    const struct tael_log_field *fields, size_t count);

#define TAEL_LOG(log, level, event, ...)                                                           \
    do {                                                                                           \
        if (tael_log_wants((log), (level))) {                                                      \
            const struct tael_log_field fields_[] = {__VA_ARGS__};                                 \
            tael_log_write((log), (level), (event), fields_,                                       \
                           sizeof(fields_) / sizeof(fields_[0]));                                  \
        }                                                                                          \
    } while (0)

#endif
