/* log.c - makes log lines: escaping, limits, rate.
 *
 * Threads: the level is atomic, the rate table and the sink stand under one mutex, everything else
 * is on the caller's stack. Invariants: 1 whatever the fields hold, a line is one valid JSON
 * object; 2 a text reaches the line only through tael_log_mask and escape; 3 a field is in the line
 * whole or not at all.
 */
#include "base/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <pthread.h>

#include "base/decimal.h"
#include "base/log_mask.h"

enum {
    LINE_MAX = 8 * 1024, /* line feed included */
    VALUE_MAX = 1024,    /* escaped bytes between the quotes */
    NAME_MAX_LEN = 64,   /* of field and event names */
    EVENT_KEY = 48,      /* bytes by which the rate table tells events apart */
    EVENT_SLOTS = 128,
    EVENT_PROBES = 8,
};

static const char tail[] = ",\"cut\":true}\n";

struct rate {
    char event[EVENT_KEY];
    int64_t second; /* of the monotonic clock */
    int count;
    int64_t suppressed;
    tael_log_level level;
};

struct tael_log {
    struct tael_log_options options;
    atomic_int level;
    pthread_mutex_t lock; /* all below, and the sink */
    bool any_suppressed;
    int64_t swept; /* second of the last look for suppressed events */
    struct rate rates[EVENT_SLOTS];
};

struct line {
    size_t len, max;
    bool cut;
    char data[LINE_MAX];
};

/* ---- pieces of a line; false: it does not fit, and what was written is not undone ---- */

static bool put(struct line *line, const char *data, size_t len)
{
    if (len > line->max - line->len)
        return false;
    memcpy(line->data + line->len, data, len);
    line->len += len;
    return true;
}

static bool put_text(struct line *line, const char *text)
{
    return put(line, text, strlen(text));
}

/* Length of the valid UTF-8 sequence at text and its code point; 0: not valid. */
static size_t decode(const unsigned char *text, size_t len, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t need = text[0] < 0x80   ? 1
                  : text[0] < 0xc2 ? 0
                  : text[0] < 0xe0 ? 2
                  : text[0] < 0xf0 ? 3
                                   : 4;
    if (need == 0 || need > len || text[0] > 0xf4)
        return 0;
    uint32_t value = need == 1 ? text[0] : text[0] & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3fu);
    }
    if (value < least[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return need;
}

/* Characters that change how a terminal or a viewer shows the line. */
static bool must_escape(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* One character as it stands in a JSON string. Returns its length in `out`, *used that in the text.
 */
static size_t escape(const char *text, size_t len, char out[8], size_t *used)
{
    uint32_t code = 0;
    *used = decode((const unsigned char *)text, len, &code);
    if (*used == 0) {
        *used = 1;
        memcpy(out, "\\ufffd", 6);
        return 6;
    }
    static const char short_from[] = "\"\\\n\r\t\b\f", short_to[] = "\"\\nrtbf";
    const char *found = code != 0 && code < 0x80 ? strchr(short_from, (int)code) : NULL;
    if (found != NULL) {
        out[0] = '\\';
        out[1] = short_to[found - short_from];
        return 2;
    }
    if (must_escape(code)) {
        snprintf(out, 8, "\\u%04" PRIx32, code & 0xffff);
        return 6;
    }
    memcpy(out, text, *used);
    return *used;
}

/* How much of the text stands in a JSON string as it is; at most max. */
static size_t plain_length(struct tael_span text, size_t max)
{
    size_t at = 0;
    while (at < text.len && at < max && text.data[at] >= ' ' && text.data[at] < 0x7f &&
           text.data[at] != '"' && text.data[at] != '\\')
        at++;
    return at;
}

/* A JSON string of at most max escaped bytes; "…" marks a cut. */
static bool put_string(struct line *line, struct tael_span text, size_t max)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    if (!put(line, "\"", 1))
        return false;
    size_t start = line->len, mark = start; /* mark: where a cut leaves room for the ellipsis */
    size_t plain = plain_length(text, max);
    if (plain == text.len) /* nothing to escape, nothing to cut */
        return put(line, text.data, plain) && put(line, "\"", 1);
    for (size_t at = 0, used; at < text.len; at += used) {
        char out[8];
        size_t len = escape(text.data + at, text.len - at, out, &used);
        if (line->len - start + len > max) {
            line->len = mark;
            if (!put_text(line, ellipsis))
                return false;
            break;
        }
        if (!put(line, out, len))
            return false;
        if (line->len - start + sizeof(ellipsis) - 1 <= max)
            mark = line->len;
    }
    return put(line, "\"", 1);
}

static bool put_masked(struct line *line, struct tael_span text, size_t max)
{
    char masked[VALUE_MAX + 32]; /* more than max, so that put_string sees that it was cut */
    size_t len = tael_log_mask(text, masked, max + 32 < sizeof(masked) ? max + 32 : sizeof(masked));
    return put_string(line, (struct tael_span){masked, len}, max);
}

/* printf's way costs as much as the rest of a line. */
static bool put_padded(struct line *line, int64_t number, size_t width)
{
    char digits[TAEL_DIGITS_MAX];
    uint64_t size = number < 0 ? -(uint64_t)number : (uint64_t)number;
    size_t len = tael_digits(size, width, digits);
    return (number >= 0 || put(line, "-", 1)) && put(line, digits, len);
}

static bool put_number(struct line *line, int64_t number)
{
    return put_padded(line, number, 1);
}

/* Control characters in JSON text can only be blanks between its parts. */
static bool put_raw(struct line *line, struct tael_span text)
{
    size_t start = line->len;
    if (text.len == 0)
        return put_text(line, "null");
    if (!put(line, text.data, text.len))
        return false;
    for (size_t i = start; i < line->len; i++) {
        if ((unsigned char)line->data[i] < 0x20)
            line->data[i] = ' ';
    }
    return true;
}

/* ---- lines ---- */

static bool is_reserved(const char *name)
{
    return strcmp(name, "at") == 0 || strcmp(name, "level") == 0 || strcmp(name, "event") == 0 ||
           strcmp(name, "cut") == 0;
}

static bool put_value(struct line *line, const struct tael_log_field *field)
{
    enum tael_log_name kind = tael_log_name_kind(tael_span_of(field->name));
    if (kind == TAEL_LOG_NAME_SECRET && field->kind != TAEL_LOG_BOOL)
        return put_text(line, "\"[hidden]\"");
    switch (field->kind) {
    case TAEL_LOG_TEXT:
        return put_masked(line, field->text, VALUE_MAX);
    case TAEL_LOG_INT:
        if (kind == TAEL_LOG_NAME_PERSONAL || tael_log_number_is_card(field->number)) {
            char text[32];
            int len = snprintf(text, sizeof(text), "%" PRId64, field->number);
            return put_masked(line, (struct tael_span){text, (size_t)len}, VALUE_MAX);
        }
        return put_number(line, field->number);
    case TAEL_LOG_BOOL:
        return put_text(line, field->number != 0 ? "true" : "false");
    case TAEL_LOG_RAW:
        return put_raw(line, field->text);
    }
    return false;
}

static void put_field(struct line *line, const struct tael_log_field *field)
{
    size_t before = line->len;
    bool fits = put(line, ",", 1) && put_masked(line, tael_span_of(field->name), NAME_MAX_LEN);
    if (fits && is_reserved(field->name)) {
        line->len--; /* over the closing quote */
        fits = put_text(line, "_\"");
    }
    fits = fits && put_text(line, ":") && put_value(line, field);
    if (!fits) {
        line->len = before;
        line->cut = true;
    }
}

static void put_time(struct line *line, int64_t ms)
{
    int64_t days = ms / 86400000, rest = ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    /* civil date of a day count, by eras of 400 years that begin on 1 March */
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day = days - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= year * 365 + year / 4 - year / 100;
    int64_t month = (day * 5 + 2) / 153;
    day -= (month * 153 + 2) / 5;
    month += month < 10 ? 3 : -9;
    year += era * 400 + (month <= 2 ? 1 : 0);
    const struct {
        int64_t value;
        size_t width;
        const char *before;
    } parts[] = {
        {year, 4, ""},
        {month, 2, "-"},
        {day + 1, 2, "-"},
        {rest / 3600000, 2, "T"},
        {rest / 60000 % 60, 2, ":"},
        {rest / 1000 % 60, 2, ":"},
        {rest % 1000, 3, "."},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        put_text(line, parts[i].before);
        put_padded(line, parts[i].value, parts[i].width);
    }
    put_text(line, "Z");
}

static void begin_line(struct line *line, int64_t now_ms, tael_log_level level, const char *event)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    line->len = 0;
    line->cut = false;
    line->max = sizeof(line->data) - (sizeof(tail) - 1); /* so that the end always fits */
    put_text(line, "{\"at\":\"");
    put_time(line, now_ms);
    put_text(line, "\",\"level\":\"");
    put_text(line, levels[level]);
    put_text(line, "\",\"event\":");
    put_masked(line, tael_span_of(event), NAME_MAX_LEN);
}

static void end_line(struct line *line)
{
    line->max = sizeof(line->data);
    put_text(line, line->cut ? tail : "}\n");
}

/* ---- rate; under the lock ---- */

static void tell_suppressed(struct tael_log *log, struct rate *rate)
{
    struct tael_log_field fields[] = {tael_log_text("of", rate->event),
                                      tael_log_int("count", rate->suppressed)};
    struct line line;
    begin_line(&line, tael_now_ms(log->options.world), rate->level, "log.suppressed");
    put_field(&line, &fields[0]);
    put_field(&line, &fields[1]);
    end_line(&line);
    rate->suppressed = 0;
    log->options.write(log->options.user, rate->level, line.data, line.len);
}

static void sweep(struct tael_log *log, int64_t second)
{
    if (!log->any_suppressed || log->swept == second)
        return;
    log->swept = second;
    log->any_suppressed = false;
    for (size_t i = 0; i < EVENT_SLOTS; i++) {
        struct rate *rate = &log->rates[i];
        if (rate->suppressed > 0 && rate->second != second)
            tell_suppressed(log, rate);
        log->any_suppressed = log->any_suppressed || rate->suppressed > 0;
    }
}

/* The event's own slot, or one that may be taken; when all are in use this second, they share the
 * last. */
static struct rate *rate_of(struct tael_log *log, const char *event, int64_t second)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < EVENT_KEY - 1 && event[i] != '\0'; i++)
        hash = (hash ^ (unsigned char)event[i]) * 0x100000001b3u;
    struct rate *taken = NULL, *rate = NULL;
    for (size_t i = 0; i < EVENT_PROBES; i++) {
        rate = &log->rates[(hash + i) % EVENT_SLOTS];
        if (strncmp(rate->event, event, EVENT_KEY - 1) == 0)
            return rate;
        if (taken == NULL && (rate->event[0] == '\0' || rate->second != second))
            taken = rate;
    }
    if (taken == NULL)
        return rate;
    if (taken->suppressed > 0)
        tell_suppressed(log, taken);
    *taken = (struct rate){.second = second};
    strncpy(taken->event, event, EVENT_KEY - 1);
    return taken;
}

static bool may_write(struct tael_log *log, tael_log_level level, const char *event)
{
    if (log->options.per_second <= 0)
        return true;
    int64_t second = tael_mono_us(log->options.world) / 1000000;
    sweep(log, second);
    struct rate *rate = rate_of(log, event, second);
    if (rate->second != second) {
        rate->second = second;
        rate->count = 0;
    }
    if (rate->count < log->options.per_second) {
        rate->count++;
        return true;
    }
    rate->suppressed++;
    rate->level = level;
    log->any_suppressed = true;
    return false;
}

/* ---- life ---- */

tael_status tael_log_new(struct tael_log **out, const struct tael_log_options *options)
{
    struct tael_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return TAEL_ENOMEM;
    log->options = *options;
    atomic_init(&log->level, (int)options->level);
    if (pthread_mutex_init(&log->lock, NULL) != 0) {
        free(log);
        return TAEL_ENOMEM;
    }
    *out = log;
    return TAEL_OK;
}

void tael_log_free(struct tael_log *log)
{
    if (log == NULL)
        return;
    for (size_t i = 0; i < EVENT_SLOTS; i++) {
        if (log->rates[i].suppressed > 0)
            tell_suppressed(log, &log->rates[i]);
    }
    pthread_mutex_destroy(&log->lock);
    free(log);
}

void tael_log_set_level(struct tael_log *log, tael_log_level level)
{
    atomic_store(&log->level, (int)level);
}

bool tael_log_wants(const struct tael_log *log, tael_log_level level)
{
    return log != NULL && (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

void tael_log_write(struct tael_log *log, tael_log_level level, const char *event,
                    const struct tael_log_field *fields, size_t count)
{
    if (!tael_log_wants(log, level))
        return;
    pthread_mutex_lock(&log->lock);
    bool wanted = may_write(log, level, event);
    pthread_mutex_unlock(&log->lock);
    if (!wanted)
        return;
    struct line line; /* made outside the lock: threads do not wait for each other's escaping */
    begin_line(&line, tael_now_ms(log->options.world), level, event);
    for (size_t i = 0; i < count; i++)
        put_field(&line, &fields[i]);
    end_line(&line);
    pthread_mutex_lock(&log->lock);
    log->options.write(log->options.user, level, line.data, line.len);
    pthread_mutex_unlock(&log->lock);
}
