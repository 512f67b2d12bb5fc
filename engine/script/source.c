/* source.c - see source.h. Where a text or a comment does not end, the compiler will say so. */
#include "script/source.h"

#include <stdio.h>
#include <string.h>

#include "script/tokens.h"

enum {
    DEPTH_MAX = 100,    /* brackets and blocks in each other; Lua's own end is near 200 */
    FUNCTIONS_MAX = 16, /* in each other: each name is looked for in all of them */
    FIELDS_MAX = 32,    /* a.b.c: an error at their end goes through all of them on the C stack */
    LOGIC_MAX = 500,    /* and, or in one expression; elseif in one if: joined by going through */
    JUMPS_MAX = 1000,   /* goto, break, labels: each looks through all others */
    BODIES_MAX =
        1000, /* of functions and loops: what counts them is compiled for each (metered.h) */
    NUMBERS_MAX = 2048, /* that the compiler keeps: chosen so that all collide, each is looked for
                           behind all others */
};

struct scanning {
    struct tael_tokens tokens;
    int depth, functions, jumps, bodies, numbers;
    bool behind; /* of what can have fields */
    bool point;  /* of a field's point or a method's colon */
    bool joins;  /* behind an operator: what the compiler joins at once may be any number */
    bool less;
    bool constants; /* there are names that stand for such numbers: local a <const> */
    struct level {
        int fields, logic;
        bool function;
    } levels[DEPTH_MAX + 1];
    char *why;
    size_t why_size;
};

static bool refuse(const struct scanning *scan, const char *what)
{
    snprintf(scan->why, scan->why_size, "line %d: %s", scan->tokens.line, what);
    return false;
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

static bool take_number(struct scanning *scan)
{
    if (++scan->numbers > NUMBERS_MAX)
        return refuse(scan, "too many numbers in one file: write them as texts, or split it");
    return true;
}

static bool take_value(struct scanning *scan)
{
    bool large = scan->tokens.sign == '9', small = scan->tokens.sign == '0';
    return (!large && !(small && scan->joins)) || take_number(scan);
}

static bool take_name(struct scanning *scan)
{
    scan->constants = scan->constants || (scan->less && tael_span_is(scan->tokens.word, "const"));
    return !(scan->constants && scan->joins) || take_number(scan);
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
    struct tael_span word = scan->tokens.word;
    if (tael_span_is(word, "elseif"))
        return take_logic(scan);
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
    switch (scan->tokens.sign) {
    case '.':
    case ':':
        return take_field(scan);
    case '[':
        if (scan->behind && !take_field(scan))
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
    default: /* , ; = */
        level->logic = level->fields = 0;
        return true;
    }
}

static bool take_token(struct scanning *scan)
{
    const struct tael_tokens *tokens = &scan->tokens;
    int *fields = &scan->levels[scan->depth].fields;
    switch (tokens->token) {
    case TAEL_TOKEN_NAME:
        *fields = scan->point ? *fields : 0;
        return take_name(scan);
    case TAEL_TOKEN_STRING:
        *fields = scan->point ? *fields : 0;
        return true;
    case TAEL_TOKEN_VALUE:
        *fields = 0;
        return take_value(scan);
    case TAEL_TOKEN_WORD:
        *fields = 0;
        return take_keyword(scan);
    case TAEL_TOKEN_BINARY:
        *fields = 0;
        return (tokens->sign != 'a' && tokens->sign != 'o') || take_logic(scan); /* and, or */
    case TAEL_TOKEN_LABEL:
        return take_jump(scan);
    case TAEL_TOKEN_SIGN:
        return take_sign(scan);
    default:
        *fields = 0;
        return true;
    }
}

/* Of the token that was taken. */
static void keep_last(struct scanning *scan)
{
    enum tael_token token = scan->tokens.token;
    char sign = token == TAEL_TOKEN_SIGN ? scan->tokens.sign : '\0';
    scan->point = sign == '.' || sign == ':';
    scan->joins = token == TAEL_TOKEN_UNARY || token == TAEL_TOKEN_MINUS ||
                  (token == TAEL_TOKEN_BINARY && strchr("ao.=", scan->tokens.sign) == NULL) ||
                  (sign == '(' && scan->joins);
    scan->less = token == TAEL_TOKEN_LESS;
    scan->behind = token == TAEL_TOKEN_NAME || token == TAEL_TOKEN_VALUE ||
                   token == TAEL_TOKEN_STRING || sign == ')' || sign == ']' || sign == '}';
}

bool tael_source_check(struct tael_span text, char *why, size_t why_size)
{
    struct scanning scan = {.tokens = tael_tokens_of(text), .why = why, .why_size = why_size};
    bool good = true;
    if (text.len > TAEL_SOURCE_MAX)
        return refuse(&scan, "larger than 256 KiB: split it into modules");
    if (text.len > 0 && text.data[0] == '\x1b')
        return refuse(&scan, "compiled code: give the Lua text itself");
    for (tael_tokens_next(&scan.tokens); good && scan.tokens.token != TAEL_TOKEN_END;
         tael_tokens_next(&scan.tokens)) {
        good = take_token(&scan);
        keep_last(&scan);
    }
    return good;
}
