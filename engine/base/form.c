/* form.c - strict form decoding into storage of the caller. No memory of its own, no state. */
#include "base/form.h"

#include "base/utf8.h"

static const char *const fault_codes[] = {
#define FAULT_CODE(name, code, text) [TAEL_FORM_##name] = (code),
    TAEL_FORM_FAULT_MAP(FAULT_CODE)
#undef FAULT_CODE
};

static const char *const fault_texts[] = {
#define FAULT_TEXT(name, code, text) [TAEL_FORM_##name] = (text),
    TAEL_FORM_FAULT_MAP(FAULT_TEXT)
#undef FAULT_TEXT
};

const char *tael_form_fault_code(enum tael_form_fault fault)
{
    return fault_codes[fault];
}

const char *tael_form_fault_text(enum tael_form_fault fault)
{
    return fault_texts[fault];
}

/* ---- percent-encoding ---- */

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

size_t tael_percent_encode(char *out, const char *text, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_unreserved(c)) {
            out[n++] = text[i];
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[c >> 4];
        out[n++] = digits[c & 15];
    }
    return n;
}

/* Does a byte of the word have this value? */
static bool holds(uint64_t word, unsigned char c)
{
    uint64_t zero = word ^ UINT64_C(0x0101010101010101) * c;
    return ((zero - UINT64_C(0x0101010101010101)) & ~zero & UINT64_C(0x8080808080808080)) != 0;
}

/* Copies what stands for itself, eight bytes at once; less than eight of it may be left. */
static size_t copy_plain(char *out, const char *text, size_t len)
{
    size_t at = 0;
    for (uint64_t word; len - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, text + at, sizeof(word));
        if (holds(word, '%') || holds(word, '+'))
            break;
        memcpy(out + at, &word, sizeof(word));
    }
    return at;
}

bool tael_percent_decode(char *out, size_t *out_len, const char *text, size_t len, bool plus)
{
    const char *end = text + len;
    char *at = out;
    for (int left = 0; text < end; left--) {
        if (left == 0) {
            size_t plain = copy_plain(at, text, (size_t)(end - text));
            at += plain;
            text += plain;
            left = sizeof(uint64_t); /* what has stopped it is among the next eight */
            if (text == end)
                break;
        }
        char c = *text++;
        if (c == '%') {
            if (end - text < 2)
                return false;
            int high = tael_hex_value(text[0]), low = tael_hex_value(text[1]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            text += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        *at++ = c;
    }
    *out_len = (size_t)(at - out);
    return true;
}

/* ---- charsets ---- */

/* Length of the UTF-8 sequence at the front of at (len > 0); 0: not well-formed. */
static size_t utf8_length(const unsigned char *at, size_t len)
{
    const char *text = (const char *)at;
    return at[0] < 0x80 ? 1 : tael_utf8_length(text, text + len);
}

static size_t gbk_length(const unsigned char *at, size_t len)
{
    if (at[0] < 0x80)
        return 1;
    if (at[0] == 0x80 || at[0] == 0xFF || len < 2)
        return 0;
    return at[1] >= 0x40 && at[1] <= 0xFE && at[1] != 0x7F ? 2 : 0;
}

static bool is_text(struct tael_span span, enum tael_form_charset charset)
{
    if (charset == TAEL_FORM_BYTES)
        return true;
    const unsigned char *at = (const unsigned char *)span.data;
    size_t left = span.len;
    while (left > 0) {
        uint64_t eight = UINT64_MAX;
        if (left >= sizeof(eight))
            memcpy(&eight, at, sizeof(eight));
        if ((eight & UINT64_C(0x8080808080808080)) == 0) { /* nothing but ASCII, as nearly always */
            at += sizeof(eight);
            left -= sizeof(eight);
            continue;
        }
        size_t size = charset == TAEL_FORM_UTF8 ? utf8_length(at, left) : gbk_length(at, left);
        if (size == 0)
            return false;
        at += size;
        left -= size;
    }
    return true;
}

/* ---- fields ---- */

static size_t value_limit(const struct tael_form_limits *limits, struct tael_span name)
{
    for (size_t i = 0; i < limits->special_count; i++)
        if (tael_span_same(limits->special[i].name, name))
            return limits->special[i].max;
    return limits->value;
}

/* Decodes raw behind what form->bytes holds already (*used bytes). */
static enum tael_form_fault decode_part(struct tael_form *form, size_t *used, struct tael_span raw,
                                        struct tael_span *out)
{
    char *bytes = form->bytes + *used;
    size_t len = 0;
    if (!tael_percent_decode(bytes, &len, raw.data, raw.len, true))
        return TAEL_FORM_ESCAPE;
    if (len > 0 && memchr(bytes, '\0', len) != NULL)
        return TAEL_FORM_NUL;
    *out = (struct tael_span){bytes, len};
    *used += len;
    return TAEL_FORM_NONE;
}

static enum tael_form_fault check_name(const struct tael_form *form, struct tael_span name,
                                       const struct tael_form_limits *limits)
{
    if (name.len == 0)
        return TAEL_FORM_NAME;
    if (name.len > limits->name)
        return TAEL_FORM_TOO_LONG;
    for (size_t i = 0; i < form->count; i++)
        if (tael_span_same(form->fields[i].name, name))
            return TAEL_FORM_DUPLICATE;
    return TAEL_FORM_NONE;
}

/* segment: "name=value" or "name", without '&'. */
static enum tael_form_fault decode_field(struct tael_form *form, size_t *used,
                                         struct tael_span segment,
                                         const struct tael_form_limits *limits)
{
    if (form->count >= limits->fields)
        return TAEL_FORM_TOO_MANY;
    struct tael_form_field *field = &form->fields[form->count];
    *field = (struct tael_form_field){{"", 0}, {"", 0}};
    const char *sign = segment.len > 0 ? memchr(segment.data, '=', segment.len) : NULL;
    struct tael_span name = {segment.data,
                             sign != NULL ? (size_t)(sign - segment.data) : segment.len};
    struct tael_span value = {"", 0};
    if (sign != NULL)
        value = (struct tael_span){sign + 1, segment.len - name.len - 1};
    enum tael_form_fault fault = decode_part(form, used, name, &field->name);
    if (fault == TAEL_FORM_NONE)
        fault = check_name(form, field->name, limits);
    if (fault == TAEL_FORM_NONE)
        fault = decode_part(form, used, value, &field->value);
    if (fault != TAEL_FORM_NONE)
        return fault;
    if (field->value.len > value_limit(limits, field->name))
        return TAEL_FORM_TOO_LONG;
    if (!is_text(field->name, limits->charset) || !is_text(field->value, limits->charset))
        return TAEL_FORM_CHARSET;
    form->count++;
    return TAEL_FORM_NONE;
}

enum tael_form_fault tael_form_decode(struct tael_form *form, struct tael_span input,
                                      const struct tael_form_limits *limits)
{
    size_t used = 0;
    const char *at = input.data;
    size_t left = input.len;
    form->count = 0;
    while (left > 0) {
        const char *stop = memchr(at, '&', left);
        size_t len = stop != NULL ? (size_t)(stop - at) : left;
        enum tael_form_fault fault = decode_field(form, &used, (struct tael_span){at, len}, limits);
        if (fault != TAEL_FORM_NONE)
            return fault;
        if (stop == NULL)
            break;
        at = stop + 1;
        left -= len + 1;
        if (left == 0) /* "a=1&" ends with a field that has no name */
            return decode_field(form, &used, (struct tael_span){at, 0}, limits);
    }
    return TAEL_FORM_NONE;
}
