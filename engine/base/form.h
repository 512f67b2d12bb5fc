/* form.h - application/x-www-form-urlencoded, strictly, and percent-encoding. Pure bytes, any
 * thread.
 *
 * Decoding happens once, from the bytes as received, and never changes their charset: what is
 * signed by a sender are the decoded bytes. Names are unique; an empty name, a broken escape, a NUL
 * or a field beyond the limits refuses the whole.
 */
#ifndef TAEL_BASE_FORM_H
#define TAEL_BASE_FORM_H

#include "base/bytes.h"

enum tael_form_charset {
    TAEL_FORM_UTF8,  /* names and values are checked */
    TAEL_FORM_GBK,   /* lead and trail bytes are checked */
    TAEL_FORM_BYTES, /* anything but NUL */
};

#define TAEL_FORM_FAULT_MAP(X)                                                                     \
    X(NONE, "", "nothing wrong")                                                                   \
    X(ESCAPE, "escape", "'%' without two hexadecimal digits")                                      \
    X(NUL, "nul", "a NUL byte")                                                                    \
    X(NAME, "name", "a field without a name")                                                      \
    X(DUPLICATE, "duplicate", "a name occurs twice")                                               \
    X(TOO_MANY, "too_many", "too many fields")                                                     \
    X(TOO_LONG, "too_long", "a name or value is too long")                                         \
    X(CHARSET, "charset", "not valid in the charset")

enum tael_form_fault {
#define TAEL_FORM_FAULT_ENUM(name, code, text) TAEL_FORM_##name,
    TAEL_FORM_FAULT_MAP(TAEL_FORM_FAULT_ENUM)
#undef TAEL_FORM_FAULT_ENUM
};

struct tael_form_field {
    struct tael_span name, value; /* decoded, in the caller's storage */
};

/* A length of its own for the value of one field. */
struct tael_form_limit {
    struct tael_span name;
    size_t max;
};

struct tael_form_limits {
    size_t fields, name, value; /* lengths are of decoded bytes */
    const struct tael_form_limit *special;
    size_t special_count;
    enum tael_form_charset charset;
};

struct tael_form {
    struct tael_form_field *fields; /* caller's, room for limits.fields */
    size_t count;                   /* on failure: the index of the field at fault */
    char *bytes;                    /* caller's, room for as many bytes as the input has */
};

/* An empty input is a form without fields. On failure form->fields[form->count].name is what is
 * known of the name (maybe nothing). */
enum tael_form_fault tael_form_decode(struct tael_form *form, struct tael_span input,
                                      const struct tael_form_limits *limits);
const char *tael_form_fault_code(enum tael_form_fault fault); /* "duplicate", static */
const char *tael_form_fault_text(enum tael_form_fault fault); /* static */

static inline int tael_hex_value(char c) /* of a hexadecimal digit; -1: it is none */
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Everything but the unreserved characters of RFC 3986 becomes %XX; out has room for 3 * len. */
size_t tael_percent_encode(char *out, const char *text, size_t len);
/* out has room for len bytes and may be text itself. plus: '+' is a blank. False: a broken escape.
 */
bool tael_percent_decode(char *out, size_t *out_len, const char *text, size_t len, bool plus);

#endif
