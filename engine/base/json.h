/* json.h - JSON text (RFC 8259) without Lua: strings, numbers, values to be passed over.
 *
 * Strict: UTF-8 well-formed (Unicode table 3-7), no lone surrogates, no control characters in
 * strings, no leading zeros, no NaN, nothing after the document. The scanners move a cursor; when
 * they refuse, the cursor stands on the byte that is wrong (at the end: one behind) and the fault
 * says why.
 */
#ifndef TAEL_BASE_JSON_H
#define TAEL_BASE_JSON_H

#include "base/bytes.h"

#define TAEL_JSON_FAULT_MAP(X)                                                                     \
    X(NONE, "nothing wrong")                                                                       \
    X(END, "unexpected end")                                                                       \
    X(VALUE, "not a value")                                                                        \
    X(NUMBER, "not a number of JSON")                                                              \
    X(CONTROL, "control character in a string")                                                    \
    X(ESCAPE, "unknown escape")                                                                    \
    X(SURROGATE, "lone surrogate")                                                                 \
    X(UTF8, "not UTF-8")                                                                           \
    X(NAME, "a name in quotes was expected")                                                       \
    X(COLON, "':' was expected")                                                                   \
    X(COMMA, "',' or the end of the array or object was expected")                                 \
    X(TRAILING, "something follows the document")                                                  \
    X(DUPLICATE, "duplicate name")                                                                 \
    X(ABSENT, "no such member")                                                                    \
    X(DEPTH, "nested too deeply")                                                                  \
    X(MEMBERS, "too many members")                                                                 \
    X(TOKENS, "too many tokens")                                                                   \
    X(STRING, "string too long")                                                                   \
    X(DIGITS, "number too long")                                                                   \
    X(MEMORY, "out of memory")

enum tael_json_fault {
#define TAEL_JSON_FAULT_ENUM(name, text) TAEL_JSON_##name,
    TAEL_JSON_FAULT_MAP(TAEL_JSON_FAULT_ENUM)
#undef TAEL_JSON_FAULT_ENUM
};

enum {
    TAEL_JSON_DIGITS_MAX = 1024, /* bytes of a number's text */
    TAEL_JSON_DEPTH_MAX = 192,   /* no limit of depth may be above: readers recurse */
};

const char *tael_json_fault_text(enum tael_json_fault fault); /* static */

/* ---- structure ---- */

static inline void tael_json_skip_blanks(struct tael_cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n' ||
                                        *cursor->at == '\t' || *cursor->at == '\r'))
        cursor->at++;
}

/* Behind '[' or '{': takes the closing bracket of an empty one. */
static inline bool tael_json_take_close(struct tael_cursor *cursor, char close)
{
    tael_json_skip_blanks(cursor);
    if (cursor->at == cursor->end || *cursor->at != close)
        return false;
    cursor->at++;
    return true;
}

/* Behind an element: takes the comma (*more true) or the closing bracket. */
static inline enum tael_json_fault tael_json_take_next(struct tael_cursor *cursor, char close,
                                                       bool *more)
{
    tael_json_skip_blanks(cursor);
    if (cursor->at == cursor->end)
        return TAEL_JSON_END;
    if (*cursor->at != ',' && *cursor->at != close)
        return TAEL_JSON_COMMA;
    *more = *cursor->at++ == ',';
    return TAEL_JSON_NONE;
}

/* Behind the document. */
static inline enum tael_json_fault tael_json_check_end(struct tael_cursor *cursor)
{
    tael_json_skip_blanks(cursor);
    return cursor->at == cursor->end ? TAEL_JSON_NONE : TAEL_JSON_TRAILING;
}

/* ---- strings ---- */

struct tael_json_string {
    struct tael_span raw; /* between the quotes, as written */
    bool escaped;         /* raw holds a backslash: the value is tael_json_unescape's */
};

/* The cursor stands on the opening quote. */
enum tael_json_fault tael_json_scan_string(struct tael_cursor *cursor,
                                           struct tael_json_string *out);
/* A member's name with the colon behind it; blanks may stand before either. */
enum tael_json_fault tael_json_scan_name(struct tael_cursor *cursor, struct tael_json_string *out);

/* raw was scanned; out has room for raw.len bytes. Returns the length of the value. */
size_t tael_json_unescape(struct tael_span raw, char *out);
/* A hash of the string's value, however it is written. */
uint64_t tael_json_hash(const struct tael_json_string *string);
/* Whether two scanned strings have the same value, however they are written. */
bool tael_json_same(const struct tael_json_string *a, const struct tael_json_string *b);
bool tael_json_equals(const struct tael_json_string *string, struct tael_span value);

/* ---- numbers and whole values ---- */

struct tael_json_number {
    struct tael_span text;
    bool integral; /* no fraction, no exponent, fits: value is exact. "-0" is the integer 0 */
    int64_t value;
};

/* The cursor stands on '-' or a digit. */
enum tael_json_fault tael_json_scan_number(struct tael_cursor *cursor,
                                           struct tael_json_number *out);

/* Passes one value with the blanks before it, checking all but duplicate names and sizes. max_depth
 * at most TAEL_JSON_DEPTH_MAX. */
enum tael_json_fault tael_json_skip(struct tael_cursor *cursor, int max_depth);

/* Appends text in quotes, escaping '"', '\\' and control characters only ('/' and the rest stay).
 * TAEL_EINVAL: text is not UTF-8. */
tael_status tael_json_append_string(struct tael_buf *buf, struct tael_span text);

#endif
