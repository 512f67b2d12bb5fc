/* json.c - strings, numbers and skipping for JSON readers and writers. Pure, any thread. */
#include "base/json.h"

#include "base/utf8.h"

const char *tael_json_fault_text(enum tael_json_fault fault)
{
    switch (fault) {
#define TAEL_JSON_FAULT_CASE(name, text)                                                           \
    case TAEL_JSON_##name:                                                                         \
        return text;
        TAEL_JSON_FAULT_MAP(TAEL_JSON_FAULT_CASE)
#undef TAEL_JSON_FAULT_CASE
    }
    return "unknown fault";
}

/* ---- UTF-8 ---- */

static size_t utf8_encode(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* ---- strings ---- */

/* Passes bytes that mean themselves: ASCII from the blank on, except '"' and '\\'. Eight at a time:
 * a byte of `odd` has its high bit set when the text's byte there is below 0x20, '"', '\\' or above
 * 0x7f; a carry may set more of them, never fewer, and the loop behind looks byte by byte. */
static const char *skip_plain(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    while (end - at >= 8) {
        uint64_t text;
        memcpy(&text, at, sizeof(text));
        uint64_t quote = text ^ ones * '"';
        uint64_t slash = text ^ ones * '\\';
        uint64_t odd = (text - ones * 0x20) | (quote - ones) | (slash - ones) | text;
        if ((odd & ones * 0x80) != 0)
            break;
        at += 8;
    }
    while (at < end && (unsigned char)*at >= ' ' && (unsigned char)*at < 0x80 && *at != '"' &&
           *at != '\\')
        at++;
    return at;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of four hexadecimal digits at `at`; -1: they are not there. */
static int32_t hex_four(const char *at, const char *end)
{
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool is_high_surrogate(int32_t code)
{
    return code >= 0xd800 && code <= 0xdbff;
}

static bool is_low_surrogate(int32_t code)
{
    return code >= 0xdc00 && code <= 0xdfff;
}

/* The cursor stands on a backslash. */
static enum tael_json_fault scan_escape(struct tael_cursor *cursor)
{
    const char *at = cursor->at;
    const char *end = cursor->end;
    if (end - at < 2) {
        cursor->at = end;
        return TAEL_JSON_END;
    }
    if (at[1] != 'u') {
        if (at[1] == '\0' || strchr("\"\\/bfnrt", at[1]) == NULL)
            return TAEL_JSON_ESCAPE;
        cursor->at = at + 2;
        return TAEL_JSON_NONE;
    }
    int32_t code = hex_four(at + 2, end);
    if (code < 0)
        return TAEL_JSON_ESCAPE;
    if (is_low_surrogate(code))
        return TAEL_JSON_SURROGATE;
    cursor->at = at + 6;
    if (!is_high_surrogate(code))
        return TAEL_JSON_NONE;
    if (end - at < 12 || at[6] != '\\' || at[7] != 'u' ||
        !is_low_surrogate(hex_four(at + 8, end))) {
        cursor->at = at;
        return TAEL_JSON_SURROGATE;
    }
    cursor->at = at + 12;
    return TAEL_JSON_NONE;
}

enum tael_json_fault tael_json_scan_string(struct tael_cursor *cursor, struct tael_json_string *out)
{
    const char *first = ++cursor->at;
    out->escaped = false;
    for (;;) {
        cursor->at = skip_plain(cursor->at, cursor->end);
        if (cursor->at == cursor->end)
            return TAEL_JSON_END;
        unsigned char byte = (unsigned char)*cursor->at;
        if (byte == '"') {
            out->raw = (struct tael_span){first, (size_t)(cursor->at - first)};
            cursor->at++;
            return TAEL_JSON_NONE;
        }
        if (byte == '\\') {
            enum tael_json_fault fault = scan_escape(cursor);
            if (fault != TAEL_JSON_NONE)
                return fault;
            out->escaped = true;
        } else if (byte < ' ') {
            return TAEL_JSON_CONTROL;
        } else {
            size_t len;
            while (cursor->at < cursor->end && (unsigned char)*cursor->at >= 0x80) {
                len = tael_utf8_length(cursor->at, cursor->end);
                if (len == 0)
                    return TAEL_JSON_UTF8;
                cursor->at += len;
            }
        }
    }
}

enum tael_json_fault tael_json_scan_name(struct tael_cursor *cursor, struct tael_json_string *out)
{
    tael_json_skip_blanks(cursor);
    if (cursor->at == cursor->end)
        return TAEL_JSON_END;
    if (*cursor->at != '"')
        return TAEL_JSON_NAME;
    enum tael_json_fault fault = tael_json_scan_string(cursor, out);
    if (fault != TAEL_JSON_NONE)
        return fault;
    tael_json_skip_blanks(cursor);
    if (cursor->at == cursor->end)
        return TAEL_JSON_END;
    if (*cursor->at != ':')
        return TAEL_JSON_COLON;
    cursor->at++;
    return TAEL_JSON_NONE;
}

/* Decodes the escape at *at (a backslash), moves behind it. Returns the length of what it stands
 * for. */
static size_t unescape_one(const char **at, char out[4])
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    const char *slash = *at;
    if (slash[1] != 'u') {
        const char *letter = strchr(letters, slash[1]);
        out[0] = letter != NULL ? meanings[letter - letters] : slash[1];
        *at = slash + 2;
        return 1;
    }
    int32_t code = hex_four(slash + 2, slash + 6);
    *at = slash + 6;
    if (is_high_surrogate(code)) {
        code = 0x10000 + (code - 0xd800) * 0x400 + (hex_four(slash + 8, slash + 12) - 0xdc00);
        *at = slash + 12;
    }
    return utf8_encode((uint32_t)code, out);
}

size_t tael_json_unescape(struct tael_span raw, char *out)
{
    const char *at = raw.data;
    const char *end = raw.data + raw.len;
    char *to = out;
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((slash != NULL ? slash : end) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (slash != NULL) {
            char bytes[4];
            size_t len = unescape_one(&at, bytes);
            memcpy(to, bytes, len); /* never longer than the escape */
            to += len;
        }
    }
    return (size_t)(to - out);
}

/* One decoded unit at a time: a plain byte or all the bytes of an escape. */
struct reading {
    const char *at, *end;
    char bytes[4];
    size_t len, used;
};

static int read_byte(struct reading *reading) /* -1: at the end */
{
    if (reading->used < reading->len)
        return (unsigned char)reading->bytes[reading->used++];
    if (reading->at == reading->end)
        return -1;
    if (*reading->at != '\\')
        return (unsigned char)*reading->at++;
    reading->len = unescape_one(&reading->at, reading->bytes);
    reading->used = 1;
    return (unsigned char)reading->bytes[0];
}

uint64_t tael_json_hash(const struct tael_json_string *string)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    struct reading reading = {.at = string->raw.data, .end = string->raw.data + string->raw.len};
    for (int byte = read_byte(&reading); byte >= 0; byte = read_byte(&reading))
        hash = (hash ^ (uint64_t)byte) * UINT64_C(0x100000001b3);
    return hash;
}

bool tael_json_same(const struct tael_json_string *a, const struct tael_json_string *b)
{
    if (!a->escaped && !b->escaped)
        return tael_span_same(a->raw, b->raw);
    struct reading left = {.at = a->raw.data, .end = a->raw.data + a->raw.len};
    struct reading right = {.at = b->raw.data, .end = b->raw.data + b->raw.len};
    for (;;) {
        int byte = read_byte(&left);
        if (byte != read_byte(&right))
            return false;
        if (byte < 0)
            return true;
    }
}

bool tael_json_equals(const struct tael_json_string *string, struct tael_span value)
{
    if (!string->escaped)
        return tael_span_same(string->raw, value);
    struct reading reading = {.at = string->raw.data, .end = string->raw.data + string->raw.len};
    for (size_t i = 0; i < value.len; i++)
        if (read_byte(&reading) != (unsigned char)value.data[i])
            return false;
    return read_byte(&reading) < 0;
}

/* The next thing to write: a stretch of bytes as they are. Returns where it ends; NULL: not UTF-8.
 */
static const char *skip_text(const char *at, const char *end)
{
    for (;;) {
        at = skip_plain(at, end);
        if (at == end || (unsigned char)*at < 0x80)
            return at;
        size_t len = tael_utf8_length(at, end);
        if (len == 0)
            return NULL;
        at += len;
    }
}

static size_t escape_one(unsigned char byte, char out[6])
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    static const char digits[] = "0123456789abcdef";
    const char *found = byte != 0 ? strchr(plain, byte) : NULL;
    if (found != NULL) {
        out[0] = '\\';
        out[1] = letters[found - plain];
        return 2;
    }
    memcpy(out, "\\u00", 4);
    out[4] = digits[byte >> 4];
    out[5] = digits[byte & 15];
    return 6;
}

tael_status tael_json_append_string(struct tael_buf *buf, struct tael_span text)
{
    size_t before = buf->len;
    const char *at = text.data;
    const char *end = text.data + text.len;
    tael_status rc = tael_buf_reserve(buf, text.len + 2); /* enough when nothing is escaped */
    if (rc != TAEL_OK)
        return rc;
    buf->data[buf->len++] = '"';
    while (at < end) {
        const char *stop = skip_text(at, end);
        if (stop == NULL) {
            rc = TAEL_EINVAL;
            goto undo;
        }
        memcpy(buf->data + buf->len, at, (size_t)(stop - at));
        buf->len += (size_t)(stop - at);
        at = stop;
        if (at < end) {
            char escape[6];
            size_t len = escape_one((unsigned char)*at++, escape);
            rc = tael_buf_reserve(buf, len + (size_t)(end - at) + 1);
            if (rc != TAEL_OK)
                goto undo;
            memcpy(buf->data + buf->len, escape, len);
            buf->len += len;
        }
    }
    buf->data[buf->len++] = '"';
    return TAEL_OK;
undo:
    buf->len = before;
    return rc;
}

/* ---- numbers ---- */

static bool at_digit(const struct tael_cursor *cursor)
{
    return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

static enum tael_json_fault scan_digits(struct tael_cursor *cursor)
{
    if (!at_digit(cursor))
        return cursor->at < cursor->end ? TAEL_JSON_NUMBER : TAEL_JSON_END;
    while (at_digit(cursor))
        cursor->at++;
    return TAEL_JSON_NONE;
}

/* The part before fraction and exponent. *fits: value holds it. */
static enum tael_json_fault scan_integer(struct tael_cursor *cursor, bool *fits, int64_t *value)
{
    bool negative = *cursor->at == '-';
    int64_t sum = 0;
    *fits = true;
    cursor->at += negative;
    if (!at_digit(cursor))
        return cursor->at < cursor->end ? TAEL_JSON_NUMBER : TAEL_JSON_END;
    if (*cursor->at == '0') {
        cursor->at++;
        if (at_digit(cursor))
            return TAEL_JSON_NUMBER;
    }
    for (; at_digit(cursor); cursor->at++) {
        int digit = *cursor->at - '0';
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, negative ? -digit : digit, &sum))
            *fits = false;
    }
    *value = sum;
    return TAEL_JSON_NONE;
}

enum tael_json_fault tael_json_scan_number(struct tael_cursor *cursor, struct tael_json_number *out)
{
    const char *first = cursor->at;
    enum tael_json_fault fault = scan_integer(cursor, &out->integral, &out->value);
    if (fault == TAEL_JSON_NONE && cursor->at < cursor->end && *cursor->at == '.') {
        out->integral = false;
        cursor->at++;
        fault = scan_digits(cursor);
    }
    if (fault == TAEL_JSON_NONE && cursor->at < cursor->end && (*cursor->at | 0x20) == 'e') {
        out->integral = false;
        cursor->at++;
        if (cursor->at < cursor->end && (*cursor->at == '+' || *cursor->at == '-'))
            cursor->at++;
        fault = scan_digits(cursor);
    }
    if (fault != TAEL_JSON_NONE)
        return fault;
    out->text = (struct tael_span){first, (size_t)(cursor->at - first)};
    if (out->text.len > TAEL_JSON_DIGITS_MAX) {
        cursor->at = first;
        return TAEL_JSON_DIGITS;
    }
    return TAEL_JSON_NONE;
}

/* ---- passing over ---- */

static enum tael_json_fault skip_literal(struct tael_cursor *cursor)
{
    bool taken = tael_cursor_take_text(cursor, "true") || tael_cursor_take_text(cursor, "false") ||
                 tael_cursor_take_text(cursor, "null");
    return taken ? TAEL_JSON_NONE : TAEL_JSON_VALUE;
}

static enum tael_json_fault skip_items(struct tael_cursor *cursor, int max_depth)
{
    if (max_depth <= 0)
        return TAEL_JSON_DEPTH;
    bool object = *cursor->at++ == '{';
    char close = object ? '}' : ']';
    if (tael_json_take_close(cursor, close))
        return TAEL_JSON_NONE;
    for (bool more = true; more;) {
        struct tael_json_string name;
        enum tael_json_fault fault = object ? tael_json_scan_name(cursor, &name) : TAEL_JSON_NONE;
        if (fault == TAEL_JSON_NONE)
            fault = tael_json_skip(cursor, max_depth - 1);
        if (fault == TAEL_JSON_NONE)
            fault = tael_json_take_next(cursor, close, &more);
        if (fault != TAEL_JSON_NONE)
            return fault;
    }
    return TAEL_JSON_NONE;
}

enum tael_json_fault tael_json_skip(struct tael_cursor *cursor, int max_depth)
{
    struct tael_json_string string;
    struct tael_json_number number;
    tael_json_skip_blanks(cursor);
    if (cursor->at == cursor->end)
        return TAEL_JSON_END;
    char first = *cursor->at;
    if (first == '{' || first == '[')
        return skip_items(cursor, max_depth);
    if (first == '"')
        return tael_json_scan_string(cursor, &string);
    if (first == '-' || at_digit(cursor))
        return tael_json_scan_number(cursor, &number);
    return skip_literal(cursor);
}
