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

enum { FILE_MAX = 8 * 1024 * 1024, BRIEF_MAX = 1600, LINE_MAX_LEN = 400, VALUE_MAX = 160 };

struct tael_dev_log {
    int fd;
    struct tael_log_ring *file, *terminal;
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

void tael_dev_log_write(void *user, tael_log_level level, const char *line, size_t len)
{
    struct tael_dev_log *log = user;
    char brief[BRIEF_MAX];
    tael_log_ring_write(log->file, level, line, len);
    const char *begin = level == TAEL_LOG_ERROR ? "[dev] error" : "[dev]";
    size_t brief_len =
        is_shown(level, line, len) ? tael_dev_log_brief(begin, line, len, brief, sizeof(brief)) : 0;
    if (brief_len > 0)
        tael_log_ring_write(log->terminal, level, brief, brief_len);
}

/* ---- a line in brief ---- */

static bool is_named(const struct tael_json_string *name, const char *text)
{
    return tael_json_equals(name, tael_span_of(text));
}

/* The value under the cursor, as it is written; a string without its quotes. */
static bool take_value(struct tael_cursor *cursor, struct tael_span *out)
{
    struct tael_json_string string;
    tael_json_skip_blanks(cursor);
    if (cursor->at < cursor->end && *cursor->at == '"') {
        if (tael_json_scan_string(cursor, &string) != TAEL_JSON_NONE)
            return false;
        *out = string.raw;
        return true;
    }
    out->data = cursor->at;
    if (tael_json_skip(cursor, TAEL_JSON_DEPTH_MAX) != TAEL_JSON_NONE)
        return false;
    out->len = (size_t)(cursor->at - out->data);
    return true;
}

/* A line break as JSON has it. NULL: there is none. */
static const char *find_break(struct tael_span text)
{
    return text.len > 0 ? memmem(text.data, text.len, "\\n", 2) : NULL;
}

/* One member; what of it stands behind its first line goes to more. */
static bool add(struct tael_buf *out, const struct tael_json_string *name, struct tael_span value,
                struct tael_span *more)
{
    if (is_named(name, "at") || is_named(name, "level"))
        return true;
    if (is_named(name, "event") && tael_span_is(value, "engine.refused"))
        return false; /* whoever started it says so */
    if (is_named(name, "event"))
        return tael_buf_printf(out, " %.*s", (int)value.len, value.data) == TAEL_OK;
    const char *line_end = find_break(value);
    if (line_end != NULL) {
        *more = (struct tael_span){line_end + 2, value.len - (size_t)(line_end - value.data) - 2};
        value.len = (size_t)(line_end - value.data);
    }
    int shown = value.len < VALUE_MAX ? (int)value.len : VALUE_MAX;
    return tael_buf_printf(out, " %.*s=%.*s", (int)name->raw.len, name->raw.data, shown,
                           value.data) == TAEL_OK;
}

/* Where an author's code failed: the calls that led there, each on a line, as many as have room. */
static void add_calls(struct tael_buf *out, struct tael_span text)
{
    while (text.len > 0) {
        const char *line_end = find_break(text);
        size_t len = line_end != NULL ? (size_t)(line_end - text.data) : text.len;
        if (tael_buf_printf(out, "\n    %.*s", (int)len, text.data) != TAEL_OK)
            return;
        size_t taken = line_end != NULL ? len + 2 : len;
        text = (struct tael_span){text.data + taken, text.len - taken};
    }
}

size_t tael_dev_log_brief(const char *begin, const char *line, size_t len, char *out, size_t size)
{
    struct tael_buf text = {.max = LINE_MAX_LEN}; /* a member that does not fit ends it */
    struct tael_cursor cursor = tael_cursor_of(line, len);
    struct tael_json_string name;
    struct tael_span value, calls = {"", 0};
    bool more =
        tael_cursor_take_text(&cursor, "{") && tael_buf_append_text(&text, begin) == TAEL_OK;
    bool event = false; /* without one it is no line of the log */
    while (more && tael_json_scan_name(&cursor, &name) == TAEL_JSON_NONE &&
           take_value(&cursor, &value) && add(&text, &name, value, &calls)) {
        event = event || is_named(&name, "event");
        if (tael_json_take_next(&cursor, '}', &more) != TAEL_JSON_NONE)
            break;
    }
    text.max = size - 1;
    if (says(line, len, "\"event\":\"script.failed\"") ||
        says(line, len, "\"kind\":\"job_failed\""))
        add_calls(&text, calls);
    size_t used = event ? text.len : 0;
    if (used > 0) {
        memcpy(out, text.data, used);
        out[used++] = '\n';
    }
    tael_buf_free(&text);
    return used;
}
