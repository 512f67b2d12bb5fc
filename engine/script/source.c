/* source.c - see source.h. Tokens are told apart as Lua's own scanner does; where a text or a
 * comment does not end the rest is passed over, for the compiler will say so.
 */
#include "script/source.h"

#include <stdio.h>

enum {
    DEPTH_MAX = 100,    /* brackets and blocks in each other; Lua's own end is near 200 */
    FUNCTIONS_MAX = 16, /* in each other: each name is looked for in all of them */
    FIELDS_MAX = 32,    /* a.b.c: an error at their end goes through all of them on the C stack */
    LOGIC_MAX = 500,    /* and, or in one expression; elseif in one if: joined by going through */
    JUMPS_MAX = 1000,   /* goto, break, labels: each looks through all others */
    BODIES_MAX =
        3000, /* of functions and loops: what counts them is compiled for each (metered.h) */
};

enum token { END, NAME, KEYWORD, VALUE, SIGN };

struct scanning {
    const char *at, *end;
    int line, depth, functions, jumps, bodies;
    enum token last;
    char sign;             /* of the last token, when it was one character */
    struct tael_span word; /* NAME, KEYWORD */
    struct level {
        int fields, logic;
        bool function;
    } levels[DEPTH_MAX + 1];
    char *why;
    size_t why_size;
};

static bool refuse(const struct scanning *scan, const char *what)
{
    snprintf(scan->why, scan->why_size, "line %d: %s", scan->line, what);
    return false;
}

/* ---- tokens ---- */

static char peek(const struct scanning *scan, ptrdiff_t ahead)
{
    return scan->end - scan->at > ahead ? scan->at[ahead] : '\0';
}

static void skip(struct scanning *scan, ptrdiff_t count)
{
    for (; count > 0 && scan->at < scan->end; count--)
        scan->line += *scan->at++ == '\n';
}

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Equal signs of a long bracket that opens here; -1: none does. */
static ptrdiff_t long_bracket(const struct scanning *scan)
{
    ptrdiff_t level = 0;
    if (peek(scan, 0) != '[')
        return -1;
    while (peek(scan, level + 1) == '=')
        level++;
    return peek(scan, level + 1) == '[' ? level : -1;
}

static void skip_long(struct scanning *scan, ptrdiff_t level)
{
    for (skip(scan, level + 2); scan->at < scan->end; skip(scan, 1)) {
        ptrdiff_t signs = 0;
        if (peek(scan, 0) != ']')
            continue;
        while (signs < level && peek(scan, signs + 1) == '=')
            signs++;
        if (signs == level && peek(scan, level + 1) == ']') {
            skip(scan, level + 2);
            return;
        }
    }
}

static void skip_text(struct scanning *scan, char quote)
{
    for (skip(scan, 1); scan->at < scan->end && *scan->at != quote; skip(scan, 1))
        if (*scan->at == '\\')
            skip(scan, 1);
    skip(scan, 1);
}

static void skip_blank(struct scanning *scan)
{
    while (scan->at < scan->end) {
        char c = *scan->at;
        if (c == '-' && peek(scan, 1) == '-') {
            skip(scan, 2);
            ptrdiff_t level = long_bracket(scan);
            if (level >= 0)
                skip_long(scan, level);
            else
                while (scan->at < scan->end && *scan->at != '\n')
                    scan->at++;
        } else if (c == ' ' || (c >= '\t' && c <= '\r')) {
            skip(scan, 1);
        } else {
            return;
        }
    }
}

static bool is_keyword(struct tael_span word)
{
    static const char *const keywords[] = {
        "and",      "break",  "do",   "else", "elseif", "end",   "false", "for",
        "function", "goto",   "if",   "in",   "local",  "nil",   "not",   "or",
        "repeat",   "return", "then", "true", "until",  "while",
    };
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (tael_span_is(word, keywords[i]))
            return true;
    return false;
}

static enum token next_token(struct scanning *scan)
{
    skip_blank(scan);
    if (scan->at == scan->end)
        return END;
    char c = *scan->at;
    ptrdiff_t level = long_bracket(scan);
    if (c == '"' || c == '\'' || level >= 0) {
        if (level >= 0)
            skip_long(scan, level);
        else
            skip_text(scan, c);
        return VALUE;
    }
    const char *from = scan->at;
    if (is_word(c)) {
        bool number = c >= '0' && c <= '9';
        while (scan->at < scan->end && (is_word(*scan->at) || (number && *scan->at == '.')))
            scan->at++;
        scan->word = (struct tael_span){from, (size_t)(scan->at - from)};
        return number ? VALUE : is_keyword(scan->word) ? KEYWORD : NAME;
    }
    scan->sign = c;
    scan->at++;
    if ((c == '.' || c == ':') && peek(scan, 0) == c) {
        scan->sign = c == ':' ? 'L' : 'O'; /* a label's, an operator */
        while (peek(scan, 0) == c)
            scan->at++;
    } else if (strchr("=<>~", c) != NULL && peek(scan, 0) == '=') {
        scan->sign = 'O';
        scan->at++;
    }
    return SIGN;
}

/* ---- limits ---- */

static bool enter(struct scanning *scan, bool function)
{
    if (scan->depth == DEPTH_MAX)
        return refuse(scan, "nested too deeply: take the inner part out into a function or local");
    scan->functions += function;
    if (scan->functions > FUNCTIONS_MAX)
        return refuse(scan, "too many functions in each other: define some of them outside");
    scan->levels[++scan->depth] = (struct level){.function = function};
    return true;
}

static void leave(struct scanning *scan)
{
    scan->functions -= scan->levels[scan->depth].function;
    if (scan->depth > 0)
        scan->depth--;
}

static bool take_jump(struct scanning *scan)
{
    if (++scan->jumps > JUMPS_MAX)
        return refuse(scan, "too many goto, break and labels: use functions and return");
    return true;
}

static bool take_body(struct scanning *scan)
{
    if (++scan->bodies > BODIES_MAX)
        return refuse(scan, "too many functions and loops in one file: split it into modules");
    return true;
}

static bool take_logic(struct scanning *scan)
{
    if (++scan->levels[scan->depth].logic > LOGIC_MAX)
        return refuse(scan, "too many and, or, elseif in one place: use a table");
    return true;
}

static bool take_field(struct scanning *scan)
{
    if (++scan->levels[scan->depth].fields > FIELDS_MAX)
        return refuse(scan, "too many fields of fields: keep the inner table in a local");
    return true;
}

static bool take_keyword(struct scanning *scan)
{
    struct tael_span word = scan->word;
    struct level *level = &scan->levels[scan->depth];
    level->fields = 0;
    if (tael_span_is(word, "and") || tael_span_is(word, "or") || tael_span_is(word, "elseif"))
        return take_logic(scan);
    if (tael_span_is(word, "then") || tael_span_is(word, "not") || tael_span_is(word, "nil") ||
        tael_span_is(word, "true") || tael_span_is(word, "false"))
        return true;
    if (tael_span_is(word, "goto") || tael_span_is(word, "break"))
        return take_jump(scan);
    if (tael_span_is(word, "function"))
        return take_body(scan) && enter(scan, true);
    if (tael_span_is(word, "while") || tael_span_is(word, "for"))
        return take_body(scan);
    if (tael_span_is(word, "repeat"))
        return take_body(scan) && enter(scan, false);
    if (tael_span_is(word, "if") || tael_span_is(word, "do"))
        return enter(scan, false);
    if (tael_span_is(word, "end") || tael_span_is(word, "until"))
        leave(scan);
    return true;
}

static bool take_sign(struct scanning *scan)
{
    struct level *level = &scan->levels[scan->depth];
    bool behind = scan->last == NAME || scan->last == VALUE; /* of what can have fields */
    switch (scan->sign) {
    case '.':
    case ':':
        return take_field(scan);
    case '[':
        if (behind && !take_field(scan))
            return false;
        return enter(scan, false);
    case '(':
    case '{':
        level->fields = 0;
        return enter(scan, false);
    case ')':
    case ']':
    case '}':
        leave(scan);
        return true;
    case 'L':
        return take_jump(scan);
    case ',':
    case ';':
    case '=':
        level->logic = 0;
        break;
    default:
        break;
    }
    level->fields = 0;
    return true;
}

bool tael_source_check(struct tael_span text, char *why, size_t why_size)
{
    struct scanning scan = {.at = text.data, .end = text.data + text.len, .line = 1};
    bool good = true;
    scan.why = why;
    scan.why_size = why_size;
    if (text.len > TAEL_SOURCE_MAX)
        return refuse(&scan, "larger than 256 KiB: split it into modules");
    if (text.len > 0 && text.data[0] == '\x1b')
        return refuse(&scan, "compiled code: give the Lua text itself");
    while (good) {
        enum token token = next_token(&scan);
        if (token == END)
            return true;
        if (token == KEYWORD)
            good = take_keyword(&scan);
        else if (token == SIGN)
            good = take_sign(&scan);
        else if (scan.last != SIGN || (scan.sign != '.' && scan.sign != ':'))
            scan.levels[scan.depth].fields = 0;
        bool closed = token == SIGN && (scan.sign == ')' || scan.sign == ']' || scan.sign == '}');
        scan.last = closed ? VALUE : token;
    }
    return false;
}
