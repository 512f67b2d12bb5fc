/* log_mask.c - finds secrets and personal numbers in text (threats R24) by one pass from left to
 * right.
 *
 * At each place the rules below are asked in order; the first that matches writes its replacement
 * and moves on. Reading goes beyond what will be written, so that a number cut by the limit is
 * still known for what it is. False alarms only cost a readable log line; a miss costs a secret.
 */
#include "base/log_mask.h"

#include <stdio.h>

#define HIDDEN "[hidden]"

struct scan {
    const char *in;
    size_t len, at;
    char *out;
    size_t written, cap;
};

/* ---- characters ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c) /* what a field's or header's name is made of */
{
    return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '.';
}

static bool is_base64(char c)
{
    return is_letter(c) || is_digit(c) || c == '+' || c == '/' || c == '=' || c == '_' || c == '-';
}

static bool is_token(char c)
{
    return is_base64(c) || c == '.' || c == '~';
}

static bool is_mailbox(char c)
{
    return is_word(c) || c == '+' || c == '%';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- the scan ---- */

static void emit(struct scan *scan, const char *data, size_t len)
{
    size_t room = scan->cap - scan->written;
    size_t count = len < room ? len : room;
    memcpy(scan->out + scan->written, data, count);
    scan->written += count;
}

static void emit_through(struct scan *scan, size_t to) /* as it is */
{
    emit(scan, scan->in + scan->at, to - scan->at);
    scan->at = to;
}

static void hide_through(struct scan *scan, size_t to)
{
    emit(scan, HIDDEN, sizeof(HIDDEN) - 1);
    scan->at = to;
}

static char char_at(const struct scan *scan,
                    size_t at) /* NUL past the end, which no rule matches */
{
    return at < scan->len ? scan->in[at] : '\0';
}

static size_t run_of(const struct scan *scan, size_t at, bool (*is)(char c))
{
    size_t end = at;
    while (end < scan->len && is(scan->in[end]))
        end++;
    return end;
}

static bool starts_run(const struct scan *scan, bool (*is)(char c))
{
    return is(scan->in[scan->at]) && (scan->at == 0 || !is(scan->in[scan->at - 1]));
}

static bool text_at(const struct scan *scan, size_t at, const char *text)
{
    size_t len = strlen(text);
    return scan->len - at >= len && memcmp(scan->in + at, text, len) == 0;
}

/* ---- names ---- */

static const struct name_row {
    const char *name;
    size_t len;
    enum tael_log_name kind;
    bool prose; /* "password: x" hides x too; for "key: x" an error text is likelier */
} name_rows[] = {
#define ROW(name, kind, prose)                                                                     \
    {                                                                                              \
        (name), sizeof(name) - 1, (kind), (prose)                                                  \
    }
    ROW("key", TAEL_LOG_NAME_SECRET, false),
    ROW("keys", TAEL_LOG_NAME_SECRET, false),
    ROW("apikey", TAEL_LOG_NAME_SECRET, true),
    ROW("privatekey", TAEL_LOG_NAME_SECRET, true),
    ROW("secretkey", TAEL_LOG_NAME_SECRET, true),
    ROW("secret", TAEL_LOG_NAME_SECRET, true),
    ROW("secrets", TAEL_LOG_NAME_SECRET, true),
    ROW("token", TAEL_LOG_NAME_SECRET, false),
    ROW("tokens", TAEL_LOG_NAME_SECRET, false),
    ROW("accesstoken", TAEL_LOG_NAME_SECRET, true),
    ROW("password", TAEL_LOG_NAME_SECRET, true),
    ROW("passwd", TAEL_LOG_NAME_SECRET, true),
    ROW("pwd", TAEL_LOG_NAME_SECRET, true),
    ROW("passphrase", TAEL_LOG_NAME_SECRET, true),
    ROW("credential", TAEL_LOG_NAME_SECRET, true),
    ROW("credentials", TAEL_LOG_NAME_SECRET, true),
    ROW("sign", TAEL_LOG_NAME_SECRET, false),
    ROW("signature", TAEL_LOG_NAME_SECRET, false),
    ROW("authorization", TAEL_LOG_NAME_SECRET, true),
    ROW("cookie", TAEL_LOG_NAME_SECRET, true),
    ROW("cookies", TAEL_LOG_NAME_SECRET, true),
    ROW("pem", TAEL_LOG_NAME_SECRET, false),
    ROW("cvv", TAEL_LOG_NAME_SECRET, true),
    ROW("cvc", TAEL_LOG_NAME_SECRET, true),
    ROW("cvn", TAEL_LOG_NAME_SECRET, true),
    ROW("pin", TAEL_LOG_NAME_SECRET, true),
    ROW("openid", TAEL_LOG_NAME_SECRET, true),
    ROW("phone", TAEL_LOG_NAME_PERSONAL, false),
    ROW("mobile", TAEL_LOG_NAME_PERSONAL, false),
    ROW("tel", TAEL_LOG_NAME_PERSONAL, false),
    ROW("card", TAEL_LOG_NAME_PERSONAL, false),
    ROW("pan", TAEL_LOG_NAME_PERSONAL, false),
#undef ROW
};

static bool same_name(struct tael_span word, const char *name, size_t len)
{
    if (word.len != len)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (lower(word.data[i]) != name[i])
            return false;
    }
    return true;
}

static const struct name_row *find_name(struct tael_span word)
{
    for (size_t i = 0; i < sizeof(name_rows) / sizeof(name_rows[0]); i++) {
        if (same_name(word, name_rows[i].name, name_rows[i].len))
            return &name_rows[i];
    }
    return NULL;
}

/* The row of a whole name or of its last word: "app_secret", "X-Api-Key", "privateKey", "sign2". */
static const struct name_row *row_of(struct tael_span name)
{
    while (name.len > 0 && is_digit(name.data[name.len - 1]))
        name.len--;
    const struct name_row *row = find_name(name);
    if (row != NULL)
        return row;
    size_t start = name.len;
    while (start > 0 && is_letter(name.data[start - 1])) {
        start--;
        bool upper = name.data[start] != lower(name.data[start]);
        if (upper && start > 0 && name.data[start - 1] == lower(name.data[start - 1]))
            break; /* the hump of "privateKey" */
    }
    return start > 0 ? find_name((struct tael_span){name.data + start, name.len - start}) : NULL;
}

enum tael_log_name tael_log_name_kind(struct tael_span name)
{
    const struct name_row *row = row_of(name);
    return row != NULL ? row->kind : TAEL_LOG_NAME_PLAIN;
}

/* ---- rule: an API key of ours ---- */

static bool hide_api_key(struct scan *scan)
{
    if (!text_at(scan, scan->at, "tael_test_") && !text_at(scan, scan->at, "tael_live_"))
        return false;
    hide_through(scan, run_of(scan, scan->at, is_base64));
    return true;
}

/* ---- rule: name = value, "name": "value", Name: value ---- */

/* Where the value that starts at `at` ends. quote: the character that closes it, or NUL. */
static size_t value_end(const struct scan *scan, size_t at, char quote, bool whole_line)
{
    for (; at < scan->len; at++) {
        char c = scan->in[at];
        if (quote != '\0'
                ? c == quote
                : c != '\0' && strchr(whole_line ? "\r\n\"" : "&,; \t\r\n\"'})]", c) != NULL)
            return at;
        if (quote != '\0' && c == '\\')
            at++;
    }
    return scan->len;
}

static bool hide_assignment(struct scan *scan)
{
    if (!starts_run(scan, is_word))
        return false;
    size_t at = run_of(scan, scan->at, is_word);
    struct tael_span name = {scan->in + scan->at, at - scan->at};
    const struct name_row *row = row_of(name);
    if (row == NULL || row->kind != TAEL_LOG_NAME_SECRET)
        return false;
    bool escaped = char_at(scan, at) == '\\'; /* JSON within a JSON string: \"sign\":\"…\" */
    at += escaped ? 1 : 0;
    bool quoted = char_at(scan, at) == '"' || char_at(scan, at) == '\'';
    at += quoted ? 1 : 0;
    while (is_blank(char_at(scan, at)))
        at++;
    char op = char_at(scan, at++);
    bool header = memchr(name.data, '-', name.len) != NULL || row->prose;
    if (op != '=' && (op != ':' || (!quoted && !header)))
        return false;
    while (is_blank(char_at(scan, at)))
        at++;
    escaped = char_at(scan, at) == '\\' && char_at(scan, at + 1) == '"';
    char quote = char_at(scan, at + (escaped ? 1 : 0));
    quote = quote == '"' || quote == '\'' ? quote : '\0';
    at += escaped ? 1 : 0;
    at += quote != '\0' ? 1 : 0;
    /* \"…\" ends at the backslash of its closing quote */
    size_t end = value_end(scan, at, escaped ? '\\' : quote, op == ':' && !quoted);
    if (end == at || at >= scan->len)
        return false;
    emit_through(scan, at);
    hide_through(scan, end);
    return true;
}

/* ---- rules: bearer tokens, bare keys, signatures, JWT ---- */

static bool hide_bearer(struct scan *scan)
{
    if (!starts_run(scan, is_letter))
        return false;
    size_t end = run_of(scan, scan->at, is_letter);
    struct tael_span word = {scan->in + scan->at, end - scan->at};
    if (char_at(scan, end) != ' ' || !(same_name(word, "bearer", 6) || same_name(word, "basic", 5)))
        return false;
    size_t stop = run_of(scan, end + 1, is_token);
    bool machine = stop - end > 20; /* prose has shorter words, without digits */
    for (size_t i = end + 1; i < stop; i++)
        machine = machine || is_digit(scan->in[i]) || scan->in[i] == '=';
    if (!machine || stop - end <= 8)
        return false;
    emit_through(scan, end + 1);
    hide_through(scan, stop);
    return true;
}

static bool hide_bare_key(struct scan *scan)
{
    if (!starts_run(scan, is_base64))
        return false;
    size_t end = run_of(scan, scan->at, is_base64), len = end - scan->at;
    bool der = text_at(scan, scan->at, "MII") && len >= 64;
    bool jwt = text_at(scan, scan->at, "eyJ") && len >= 16;
    if (!der && !jwt && len < 160)
        return false;
    hide_through(scan, jwt ? run_of(scan, scan->at, is_token) : end);
    return true;
}

/* ---- rule: e-mail ---- */

static bool mask_email(struct scan *scan)
{
    if (!starts_run(scan, is_mailbox))
        return false;
    size_t at = run_of(scan, scan->at, is_mailbox);
    size_t end = run_of(scan, at + 1, is_word);
    if (char_at(scan, at) != '@' || at + 1 >= scan->len || end - at < 4 ||
        memchr(scan->in + at + 1, '.', end - at - 1) == NULL)
        return false;
    emit(scan, scan->in + scan->at, 1);
    emit(scan, "***", 3);
    scan->at = at;
    emit_through(scan, end);
    return true;
}

/* ---- rules: numbers ---- */

enum { CARD_MIN = 13, CARD_MAX = 19, GROUPS_MAX = 8 };

static bool passes_luhn(const char *digits, size_t count)
{
    int sum = 0;
    for (size_t i = 0; i < count; i++) {
        int value = digits[count - 1 - i] - '0';
        if (i % 2 == 1)
            value = value * 2 > 9 ? value * 2 - 9 : value * 2;
        sum += value;
    }
    return sum % 10 == 0;
}

/* Milliseconds, microseconds or nanoseconds since 1970, from 2017 to 2033. No cards of as many
 * digits begin so: those of airlines (UATP) have 15, and a bank's of 19 begin with 103. */
static bool is_time(const char *digits, size_t count)
{
    return (count == 13 || count == 16 || count == 19) && digits[0] == '1' && digits[1] >= '5';
}

static bool is_card(const char *digits, size_t count)
{
    return count >= CARD_MIN && count <= CARD_MAX && !is_time(digits, count) &&
           passes_luhn(digits, count);
}

/* Writes the text to `to` with all digits but the first `head` and the last `tail` as '*'. */
static void mask_digits(struct scan *scan, size_t to, size_t head, size_t tail)
{
    size_t total = 0, seen = 0;
    for (size_t i = scan->at; i < to; i++)
        total += is_digit(scan->in[i]) || is_letter(scan->in[i]);
    for (; scan->at < to; scan->at++) {
        char c = scan->in[scan->at];
        bool counts = is_digit(c) || is_letter(c);
        bool hide = counts && seen >= head && seen + tail < total;
        seen += counts;
        emit(scan, hide ? "*" : &c, 1);
    }
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + (text[1] - '0');
}

/* 18 characters: region, birth date, order, check (a digit or X). */
static bool is_identity(const char *digits)
{
    int century = two_digits(digits + 6), month = two_digits(digits + 10);
    int day = two_digits(digits + 12);
    return digits[0] != '0' && century >= 18 && century <= 20 && month >= 1 && month <= 12 &&
           day >= 1 && day <= 31;
}

static bool is_phone(const char *digits)
{
    return digits[0] == '1' && digits[1] >= '3';
}

static bool mask_plain_number(struct scan *scan, size_t end)
{
    const char *digits = scan->in + scan->at;
    size_t len = end - scan->at;
    bool alone = (scan->at == 0 || !is_letter(scan->in[scan->at - 1])) &&
                 !is_letter(char_at(scan, end)); /* not a piece of an id or digest */
    bool check_x =
        len == 17 && lower(char_at(scan, end)) == 'x' && !is_word(char_at(scan, end + 1));
    size_t country = len == 13 && text_at(scan, scan->at, "86")     ? 2
                     : len == 15 && text_at(scan, scan->at, "0086") ? 4
                                                                    : 0;
    if ((len == 18 || check_x) && is_identity(digits))
        mask_digits(scan, end + (check_x ? 1 : 0), 3, 2);
    else if (alone && len - country == 11 && is_phone(digits + country))
        mask_digits(scan, end, country + 3, 4);
    else if (is_card(digits, len))
        mask_digits(scan, end, 6, 4);
    else
        return false;
    return true;
}

/* "4111 1111 1111 1111", "138-0013-8000": groups of digits with one blank or hyphen between. */
static bool mask_grouped_number(struct scan *scan)
{
    char digits[CARD_MAX];
    size_t count = 0, end = scan->at, card_end = 0, phone_end = 0;
    for (int group = 0; group < GROUPS_MAX; group++) {
        size_t stop = run_of(scan, end, is_digit);
        if (stop == end || stop - end > CARD_MAX - count)
            break;
        memcpy(digits + count, scan->in + end, stop - end);
        count += stop - end;
        if (group > 0 && is_card(digits, count))
            card_end = stop;
        if (group == 2 && count == 11 && stop - end == 4 && is_phone(digits))
            phone_end = stop;
        char next = char_at(scan, stop);
        end = stop + 1;
        if (next != ' ' && next != '-')
            break;
    }
    if (card_end != 0)
        mask_digits(scan, card_end, 6, 4);
    else if (phone_end != 0 && !is_digit(char_at(scan, phone_end)))
        mask_digits(scan, phone_end, 3, 4);
    return card_end != 0 || phone_end != 0;
}

static bool mask_number(struct scan *scan)
{
    if (!starts_run(scan, is_digit))
        return false;
    size_t end = run_of(scan, scan->at, is_digit);
    if (!mask_plain_number(scan, end) && !mask_grouped_number(scan))
        emit_through(scan, end);
    return true;
}

bool tael_log_number_is_card(int64_t number)
{
    char digits[32];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)number);
    /* ids and times of ours begin with 1, 7 or 8 or are shorter */
    return len > CARD_MIN && len <= CARD_MAX && digits[0] >= '3' && digits[0] <= '6' &&
           passes_luhn(digits, (size_t)len);
}

/* ---- all of it ---- */

/* Where the letters end that no rule begins at: all but the keys of ours begin where a run of
 * letters, of digits or of both does. Most of every text is this. */
static size_t in_a_word(const struct scan *scan)
{
    size_t at = scan->at;
    if (at == 0 || !is_letter(scan->in[at - 1]))
        return at;
    while (at < scan->len && is_letter(scan->in[at]) && scan->in[at] != 't')
        at++;
    return at;
}

/* Ids, names and words, which are most of what is logged: no rule can match a short text of these
 * characters alone, without a number as long as a phone's, a key of ours or a JWT's first letters.
 */
static bool is_harmless(struct tael_span text)
{
    enum { SHORTER_THAN_ANY_KEY = 64, PHONE = 11 };
    size_t digits = 0;
    if (text.len >= SHORTER_THAN_ANY_KEY)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        digits = is_digit(c) ? digits + 1 : 0;
        if (digits >= PHONE || !(is_letter(c) || is_digit(c) || c == '_' || c == '.'))
            return false;
        if ((c == 'J' || c == '_') && i > 0) { /* the ends of "eyJ" and "tael_" */
            const char *end = c == 'J' ? "ey" : "tael";
            size_t len = strlen(end);
            if (i >= len && memcmp(text.data + i - len, end, len) == 0)
                return false;
        }
    }
    return true;
}

size_t tael_log_mask(struct tael_span text, char *out, size_t cap)
{
    if (is_harmless(text)) {
        size_t len = text.len < cap ? text.len : cap;
        if (len > 0)
            memcpy(out, text.data, len);
        return len;
    }
    static bool (*const rules[])(struct scan * scan) = {
        hide_api_key, hide_assignment, hide_bearer, hide_bare_key, mask_email, mask_number,
    };
    struct scan scan = {.in = text.data, .len = text.len, .out = out, .cap = cap};
    if (text.len > 0 && memmem(text.data, text.len, "-----BEGIN", 10) != NULL) {
        hide_through(&scan, text.len); /* a PEM block: nothing around it is worth the risk */
        return scan.written;
    }
    while (scan.at < scan.len && scan.written < scan.cap) {
        size_t plain = in_a_word(&scan);
        if (plain > scan.at) {
            emit_through(&scan, plain);
            continue;
        }
        bool matched = false;
        for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && !matched; i++)
            matched = rules[i](&scan);
        if (!matched)
            emit_through(&scan, scan.at + 1);
    }
    return scan.written;
}
