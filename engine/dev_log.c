/* dev_log.c - two rings, each with a thread that writes: to the file, to the terminal. */
#include "dev_log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log_ring.h"
#include "engine.h"

enum {
    FILE_MAX = 8 * 1024 * 1024,
    BRIEF_MAX = 2400,
    LINE_MAX_LEN = 800,
    VALUE_MAX = 400,
    TEXT_MAX = 4096, /* of a value that is read */
};

struct tael_dev_log {
    int fd;
    struct tael_log_ring *file, *terminal;
    char refused[BRIEF_MAX]; /* what was told last: several workers may meet the same */
    size_t refused_len;
};

tael_status tael_dev_log_open(struct tael_dev_log **out, const char *folder, tael_error *err)
{
    char path[PATH_MAX];
    struct stat about;
    struct tael_dev_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return TAEL_ENOMEM;
    snprintf(path, sizeof(path), "%s/dev.log", folder);
    log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (log->fd < 0) {
        tael_error_set(err, TAEL_ECONFIG, "folder", "%s: %s", path, strerror(errno));
        free(log);
        return TAEL_ECONFIG;
    }
    tael_status rc = TAEL_OK;
    if (fstat(log->fd, &about) == 0 && about.st_size > FILE_MAX && ftruncate(log->fd, 0) != 0)
        rc = TAEL_EINTERNAL;
    if (rc == TAEL_OK)
        rc = tael_log_ring_new(&log->file, log->fd, 0);
    if (rc == TAEL_OK)
        rc = tael_log_ring_new(&log->terminal, STDOUT_FILENO, 0);
    if (rc != TAEL_OK) {
        tael_error_set(err, rc, "log", "%s: %s", path, tael_status_text(rc));
        tael_dev_log_free(log);
        return rc;
    }
    *out = log;
    return TAEL_OK;
}

void tael_dev_log_free(struct tael_dev_log *log)
{
    if (log == NULL)
        return;
    tael_log_ring_free(log->file);
    tael_log_ring_free(log->terminal);
    close(log->fd);
    free(log);
}

#define REFUSED "\"event\":\"scripts.refused\""

static bool says(const char *line, size_t len, const char *text)
{
    return memmem(line, len, text, strlen(text)) != NULL;
}

/* What a person at the terminal wants to know: what went wrong, and which scripts have changed. */
static bool is_shown(tael_log_level level, const char *line, size_t len)
{
    return level == TAEL_LOG_ERROR ||
           (says(line, len, "\"event\":\"script") && !says(line, len, "\"first\":true"));
}

/* ---- a line in brief ---- */

static bool is_named(const struct tael_json_string *name, const char *text)
{
    return tael_json_equals(name, tael_span_of(text));
}

/* A string of JSON without its escapes but for those of control characters, which a terminal would
 * take for commands; a line break is one. Cut to the room there is. */
static struct tael_span read_text(struct tael_span raw, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len && len + 1 < size; i++) {
        char next = raw.data[i] == '\\' && i + 1 < raw.len ? raw.data[i + 1] : '\0';
        bool plain = next == '"' || next == '\\' || next == '/';
        if (plain || next == 'n' || next == 't')
            i++;
        out[len++] = plain ? next : next == 'n' ? '\n' : next == 't' ? ' ' : raw.data[i];
    }
    return (struct tael_span){out, len};
}

/* The value under the cursor; a string as it is read, in `room`. */
static bool take_value(struct tael_cursor *cursor, char *room, size_t size, struct tael_span *out)
{
    struct tael_json_string string;
    tael_json_skip_blanks(cursor);
    if (cursor->at < cursor->end && *cursor->at == '"') {
        if (tael_json_scan_string(cursor, &string) != TAEL_JSON_NONE)
            return false;
        *out = read_text(string.raw, room, size);
        return true;
    }
    out->data = cursor->at;
    if (tael_json_skip(cursor, TAEL_JSON_DEPTH_MAX) != TAEL_JSON_NONE)
        return false;
    out->len = (size_t)(cursor->at - out->data);
    return true;
}

/* NULL: there is none. */
static const char *find_break(struct tael_span text)
{
    return text.len > 0 ? memchr(text.data, '\n', text.len) : NULL;
}

/* The calls that led to where an author's code failed, while the next member is read. */
struct calls {
    char text[TEXT_MAX];
    size_t len;
};

/* One member; what of it stands behind its first line goes to calls. */
static bool add(struct tael_buf *out, const struct tael_json_string *name, struct tael_span value,
                struct calls *calls)
{
    if (is_named(name, "at") || is_named(name, "level"))
        return true;
    if (is_named(name, "event") && tael_span_is(value, "engine.refused"))
        return false; /* whoever started it says so */
    if (is_named(name, "event"))
        return tael_buf_printf(out, " %.*s", (int)value.len, value.data) == TAEL_OK;
    const char *line_end = find_break(value);
    if (line_end != NULL) {
        calls->len = value.len - (size_t)(line_end - value.data) - 1;
        memcpy(calls->text, line_end + 1, calls->len);
        value.len = (size_t)(line_end - value.data);
    }
    int shown = value.len < VALUE_MAX ? (int)value.len : VALUE_MAX;
    return tael_buf_printf(out, " %.*s=%.*s", (int)name->raw.len, name->raw.data, shown,
                           value.data) == TAEL_OK;
}

/* Each on a line, as many as have room. */
static void add_calls(struct tael_buf *out, struct tael_span text)
{
    while (text.len > 0) {
        const char *line_end = find_break(text);
        size_t len = line_end != NULL ? (size_t)(line_end - text.data) : text.len;
        if (tael_buf_printf(out, "\n    %.*s", (int)len, text.data) != TAEL_OK)
            return;
        size_t taken = line_end != NULL ? len + 1 : len;
        text = (struct tael_span){text.data + taken, text.len - taken};
    }
}

size_t tael_dev_log_brief(const char *begin, const char *line, size_t len, char *out, size_t size)
{
    struct tael_buf text = {.max = LINE_MAX_LEN}; /* a member that does not fit ends it */
    struct tael_cursor cursor = tael_cursor_of(line, len);
    struct tael_json_string name;
    struct tael_span value;
    struct calls calls = {.len = 0};
    char room[TEXT_MAX];
    bool more =
        tael_cursor_take_text(&cursor, "{") && tael_buf_append_text(&text, begin) == TAEL_OK;
    bool event = false; /* without one it is no line of the log */
    while (more && tael_json_scan_name(&cursor, &name) == TAEL_JSON_NONE &&
           take_value(&cursor, room, sizeof(room), &value) && add(&text, &name, value, &calls)) {
        event = event || is_named(&name, "event");
        if (tael_json_take_next(&cursor, '}', &more) != TAEL_JSON_NONE)
            break;
    }
    text.max = size - 1;
    if (says(line, len, "\"event\":\"script.failed\"") ||
        says(line, len, "\"kind\":\"job_failed\""))
        add_calls(&text, (struct tael_span){calls.text, calls.len});
    size_t used = event ? text.len : 0;
    if (used > 0) {
        memcpy(out, text.data, used);
        out[used++] = '\n';
    }
    tael_buf_free(&text);
    return used;
}

/* ---- scripts that are refused ---- */

/* "[dev] kept what runs of merchants/shop.test …", and the place as for a wrong tael.lua. */
static size_t tell_refusal(const char *line, size_t len, char *out, size_t size)
{
    char owner[VALUE_MAX], runs[VALUE_MAX], report[BRIEF_MAX], room[TEXT_MAX];
    struct tael_cursor cursor = tael_cursor_of(line, len);
    struct tael_json_string name;
    struct tael_span value;
    bool more = tael_cursor_take_text(&cursor, "{");
    owner[0] = runs[0] = report[0] = '\0';
    while (more && tael_json_scan_name(&cursor, &name) == TAEL_JSON_NONE &&
           take_value(&cursor, room, sizeof(room), &value)) {
        if (is_named(&name, "owner"))
            snprintf(owner, sizeof(owner), "%.*s", (int)value.len, value.data);
        else if (is_named(&name, "runs"))
            snprintf(runs, sizeof(runs), "%.*s", (int)value.len, value.data);
        else if (is_named(&name, "report"))
            snprintf(report, sizeof(report), "%.*s", (int)value.len, value.data);
        if (tael_json_take_next(&cursor, '}', &more) != TAEL_JSON_NONE)
            break;
    }
    if (report[0] == '\0')
        return 0;
    bool nothing = strcmp(runs, "nothing") == 0;
    int written = snprintf(out, size, "[dev] %s %s%s — the new text is refused\n%s",
                           nothing ? "nothing of" : "kept what runs of", owner,
                           nothing ? " runs" : "", report);
    return written > 0 && (size_t)written < size ? (size_t)written : 0;
}

/* ---- each line ---- */

/* Is this what was told last, and nothing has run since? */
static bool is_told(struct tael_dev_log *log, const char *line, size_t len, const char *brief,
                    size_t brief_len)
{
    if (says(line, len, "\"event\":\"scripts.loaded\""))
        log->refused_len = 0;
    if (!says(line, len, REFUSED))
        return false;
    if (brief_len == log->refused_len && memcmp(brief, log->refused, brief_len) == 0)
        return true;
    memcpy(log->refused, brief, brief_len);
    log->refused_len = brief_len;
    return false;
}

void tael_dev_log_write(void *user, tael_log_level level, const char *line, size_t len)
{
    struct tael_dev_log *log = user;
    char brief[BRIEF_MAX];
    size_t brief_len = 0;
    const char *begin = level == TAEL_LOG_ERROR ? "[dev] error" : "[dev]";
    tael_log_ring_write(log->file, level, line, len);
    if (says(line, len, REFUSED))
        brief_len = tell_refusal(line, len, brief, sizeof(brief));
    if (brief_len == 0 && is_shown(level, line, len))
        brief_len = tael_dev_log_brief(begin, line, len, brief, sizeof(brief));
    if (brief_len > 0 && !is_told(log, line, len, brief, brief_len))
        tael_log_ring_write(log->terminal, level, brief, brief_len);
}
