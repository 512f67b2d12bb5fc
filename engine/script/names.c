/* names.c - see names.h. A parser by recursive descent that keeps nothing but the locals in scope.
 *
 * Locals that are declared together enter the scope together, behind the expressions that they are
 * given. They are chained by a hash of their names; the steps along these chains are bounded, so
 * that no text takes longer than its length allows.
 */
#include "script/names.h"

#include <stddef.h>
#include <string.h>

#include "script/tokens.h"

enum {
    LOCALS_MAX = 4096,
    BUCKETS = 1024,
    DEPTH_MAX = 160,     /* of blocks, brackets and functions in each other */
    LOOKS_PER_BYTE = 16, /* along the chains */
    NONE = UINT16_MAX,
};

struct local {
    struct tael_span name;
    uint16_t bucket, before; /* the one of its bucket that it hides */
};

struct tael_names {
    struct tael_tokens tokens;
    int depth;
    size_t count; /* locals in scope */
    int64_t looks;
    tael_names_free_fn *on_free;
    void *user;
    uint16_t heads[BUCKETS];
    struct local locals[LOCALS_MAX];
};

/* ---- tokens ---- */

static void fail(struct tael_names *names)
{
    tael_tokens_fail(&names->tokens);
}

static void next_token(struct tael_names *names)
{
    tael_tokens_next(&names->tokens);
}

static bool is_sign(const struct tael_names *names, char sign)
{
    return names->tokens.token == TAEL_TOKEN_SIGN && names->tokens.sign == sign;
}

static bool is_keyword(const struct tael_names *names, const char *word)
{
    return names->tokens.token == TAEL_TOKEN_WORD && tael_span_is(names->tokens.word, word);
}

static bool take_sign(struct tael_names *names, char sign)
{
    if (!is_sign(names, sign))
        return false;
    next_token(names);
    return true;
}

static bool take_keyword(struct tael_names *names, const char *word)
{
    if (!is_keyword(names, word))
        return false;
    next_token(names);
    return true;
}

static void want_sign(struct tael_names *names, char sign)
{
    if (!take_sign(names, sign))
        fail(names);
}

static void want_keyword(struct tael_names *names, const char *word)
{
    if (!take_keyword(names, word))
        fail(names);
}

static void want_name(struct tael_names *names)
{
    if (names->tokens.token == TAEL_TOKEN_NAME)
        next_token(names);
    else
        fail(names);
}

static bool enter(struct tael_names *names)
{
    if (++names->depth > DEPTH_MAX)
        fail(names);
    return !names->tokens.wrong && !names->tokens.ended;
}

/* ---- scope ---- */

static uint16_t bucket_of(struct tael_span name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * 16777619u;
    return (uint16_t)((hash ^ hash >> 16) % BUCKETS);
}

static void declare(struct tael_names *names, struct tael_span name)
{
    if (names->count == LOCALS_MAX)
        fail(names);
    if (names->tokens.wrong || names->tokens.ended)
        return;
    uint16_t bucket = bucket_of(name);
    names->locals[names->count] = (struct local){name, bucket, names->heads[bucket]};
    names->heads[bucket] = (uint16_t)names->count++;
}

static void leave_scope(struct tael_names *names, size_t count)
{
    while (names->count > count) {
        const struct local *local = &names->locals[--names->count];
        names->heads[local->bucket] = local->before;
    }
}

static bool is_local(struct tael_names *names, struct tael_span name)
{
    for (uint16_t i = names->heads[bucket_of(name)]; i != NONE; i = names->locals[i].before) {
        if (tael_span_same(names->locals[i].name, name))
            return true;
        if (--names->looks < 0) {
            fail(names);
            return true;
        }
    }
    return false;
}

static void use(struct tael_names *names, struct tael_span name, int line, enum tael_name_use use)
{
    static const struct tael_span environment = {"_ENV", 4};
    if (is_local(names, name))
        return;
    if (tael_span_same(name, environment)) {
        if (use == TAEL_NAME_WRITTEN)
            fail(names); /* from here on names are fields of whatever it is */
        return;
    }
    if (!is_local(names, environment) && !names->on_free(names->user, names, name, line, use)) {
        names->tokens.ended = true;
        names->tokens.token = TAEL_TOKEN_END;
    }
}

size_t tael_names_locals(const struct tael_names *names)
{
    return names->count;
}

struct tael_span tael_names_local(const struct tael_names *names, size_t place)
{
    return names->locals[place].name;
}

/* ---- expressions ---- */

static void expression(struct tael_names *names);
static void block(struct tael_names *names);

static void expressions(struct tael_names *names)
{
    do
        expression(names);
    while (take_sign(names, ','));
}

/* From the parameters to the end; `method`: there is self. */
static void function_body(struct tael_names *names, bool method)
{
    size_t count = names->count;
    if (!enter(names))
        return;
    if (method)
        declare(names, (struct tael_span){"self", 4});
    want_sign(names, '(');
    while (!is_sign(names, ')') && names->tokens.token != TAEL_TOKEN_END) {
        if (names->tokens.token == TAEL_TOKEN_NAME)
            declare(names, names->tokens.word);
        else if (names->tokens.token != TAEL_TOKEN_VALUE) /* ... */
            fail(names);
        next_token(names);
        if (!take_sign(names, ','))
            break;
    }
    want_sign(names, ')');
    block(names);
    want_keyword(names, "end");
    leave_scope(names, count);
    names->depth--;
}

static void constructor(struct tael_names *names)
{
    if (!enter(names))
        return;
    want_sign(names, '{');
    while (!is_sign(names, '}') && names->tokens.token != TAEL_TOKEN_END) {
        if (take_sign(names, '[')) {
            expression(names);
            want_sign(names, ']');
            want_sign(names, '=');
        } else if (names->tokens.token == TAEL_TOKEN_NAME && tael_tokens_assigns(&names->tokens)) {
            next_token(names);
            next_token(names);
        }
        expression(names);
        if (!take_sign(names, ',') && !take_sign(names, ';'))
            break;
    }
    want_sign(names, '}');
    names->depth--;
}

static void arguments(struct tael_names *names)
{
    if (names->tokens.token == TAEL_TOKEN_STRING) {
        next_token(names);
    } else if (is_sign(names, '{')) {
        constructor(names);
    } else if (enter(names)) {
        want_sign(names, '(');
        if (!is_sign(names, ')'))
            expressions(names);
        want_sign(names, ')');
        names->depth--;
    }
}

/* One field, index, method or call; false: none follows. */
static bool suffix(struct tael_names *names)
{
    if (take_sign(names, '.')) {
        want_name(names);
    } else if (is_sign(names, '[')) {
        if (!enter(names))
            return false;
        next_token(names);
        expression(names);
        want_sign(names, ']');
        names->depth--;
    } else if (take_sign(names, ':')) {
        want_name(names);
        arguments(names);
    } else if (names->tokens.token == TAEL_TOKEN_STRING || is_sign(names, '(') ||
               is_sign(names, '{')) {
        arguments(names);
    } else {
        return false;
    }
    return names->tokens.token != TAEL_TOKEN_END;
}

static bool has_suffix(const struct tael_names *names)
{
    return names->tokens.token == TAEL_TOKEN_STRING || is_sign(names, '.') || is_sign(names, '[') ||
           is_sign(names, ':') || is_sign(names, '(') || is_sign(names, '{');
}

/* A name or brackets, with all that follows. `first`: at the begin of a statement, or of what is
 * assigned to in it, where a name alone may be written. `fallback`: behind or. */
static void suffixed(struct tael_names *names, bool first, bool fallback)
{
    enum tael_name_use how = TAEL_NAME_READ;
    if (names->tokens.token == TAEL_TOKEN_NAME) {
        struct tael_span name = names->tokens.word;
        int line = names->tokens.token_line;
        next_token(names);
        if (first && (is_sign(names, '=') || is_sign(names, ',')))
            how = TAEL_NAME_WRITTEN;
        else if (fallback && !has_suffix(names))
            how = TAEL_NAME_FALLBACK;
        use(names, name, line, how);
    } else if (is_sign(names, '(') && enter(names)) {
        next_token(names);
        expression(names);
        want_sign(names, ')');
        names->depth--;
    } else {
        fail(names);
    }
    while (suffix(names))
        ;
}

static void operand(struct tael_names *names, bool fallback)
{
    while (names->tokens.token == TAEL_TOKEN_UNARY || names->tokens.token == TAEL_TOKEN_MINUS) {
        fallback = false;
        next_token(names);
    }
    if (names->tokens.token == TAEL_TOKEN_VALUE || names->tokens.token == TAEL_TOKEN_STRING)
        next_token(names);
    else if (is_sign(names, '{'))
        constructor(names);
    else if (take_keyword(names, "function"))
        function_body(names, false);
    else
        suffixed(names, false, fallback);
}

/* Whatever binds more tightly: only names count. */
static void expression(struct tael_names *names)
{
    operand(names, false);
    while (names->tokens.token == TAEL_TOKEN_BINARY || names->tokens.token == TAEL_TOKEN_MINUS ||
           names->tokens.token == TAEL_TOKEN_LESS) {
        bool fallback = names->tokens.token == TAEL_TOKEN_BINARY && names->tokens.sign == 'o';
        next_token(names);
        operand(names, fallback);
    }
}

/* ---- statements ---- */

/* A list of names, with attributes or without. */
static void name_list(struct tael_names *names, bool declares)
{
    do {
        if (declares && names->tokens.token == TAEL_TOKEN_NAME)
            declare(names, names->tokens.word);
        want_name(names);
        if (names->tokens.token == TAEL_TOKEN_LESS) {
            next_token(names);
            want_name(names);
            if (names->tokens.token != TAEL_TOKEN_BINARY) /* > */
                fail(names);
            next_token(names);
        }
    } while (take_sign(names, ','));
}

/* Names that are in scope only behind what comes after them: they are read once more. */
static struct tael_tokens read_later(struct tael_names *names)
{
    struct tael_tokens later = names->tokens;
    name_list(names, false);
    return later;
}

static void declare_now(struct tael_names *names, struct tael_tokens later)
{
    struct tael_tokens here = names->tokens;
    if (here.wrong || here.ended)
        return;
    names->tokens = later;
    name_list(names, true);
    bool wrong = names->tokens.wrong; /* too many locals */
    names->tokens = here;
    if (wrong)
        fail(names);
}

static void local_statement(struct tael_names *names)
{
    if (take_keyword(names, "function")) {
        if (names->tokens.token == TAEL_TOKEN_NAME)
            declare(names, names->tokens.word);
        want_name(names);
        function_body(names, false);
        return;
    }
    struct tael_tokens later = read_later(names);
    if (take_sign(names, '='))
        expressions(names);
    declare_now(names, later);
}

static void function_statement(struct tael_names *names)
{
    struct tael_span name = names->tokens.word;
    int line = names->tokens.token_line;
    bool method = false;
    want_name(names);
    if (names->tokens.token != TAEL_TOKEN_END)
        use(names, name, line,
            is_sign(names, '.') || is_sign(names, ':') ? TAEL_NAME_READ : TAEL_NAME_WRITTEN);
    while (take_sign(names, '.'))
        want_name(names);
    if (take_sign(names, ':')) {
        method = true;
        want_name(names);
    }
    function_body(names, method);
}

static void for_statement(struct tael_names *names)
{
    size_t count = names->count;
    struct tael_tokens later = read_later(names);
    if (!take_sign(names, '='))
        want_keyword(names, "in");
    expressions(names);
    declare_now(names, later);
    want_keyword(names, "do");
    block(names);
    want_keyword(names, "end");
    leave_scope(names, count);
}

static void if_statement(struct tael_names *names)
{
    do {
        expression(names);
        want_keyword(names, "then");
        block(names);
    } while (take_keyword(names, "elseif"));
    if (take_keyword(names, "else"))
        block(names);
    want_keyword(names, "end");
}

/* The condition behind until sees the block's locals. */
static void statements(struct tael_names *names);

static void repeat_statement(struct tael_names *names)
{
    size_t count = names->count;
    statements(names);
    want_keyword(names, "until");
    expression(names);
    leave_scope(names, count);
}

static void expression_statement(struct tael_names *names)
{
    suffixed(names, true, false);
    while (take_sign(names, ','))
        suffixed(names, true, false);
    if (take_sign(names, '='))
        expressions(names);
}

static bool ends_block(const struct tael_names *names)
{
    return names->tokens.token == TAEL_TOKEN_END || is_keyword(names, "end") ||
           is_keyword(names, "else") || is_keyword(names, "elseif") || is_keyword(names, "until");
}

static void return_statement(struct tael_names *names)
{
    if (!ends_block(names) && !is_sign(names, ';'))
        expressions(names);
}

/* The blocks that a keyword opens; false: none. */
static bool opened_statement(struct tael_names *names)
{
    if (take_keyword(names, "if")) {
        if_statement(names);
    } else if (take_keyword(names, "for")) {
        for_statement(names);
    } else if (take_keyword(names, "repeat")) {
        repeat_statement(names);
    } else if (take_keyword(names, "while")) {
        expression(names);
        want_keyword(names, "do");
        block(names);
        want_keyword(names, "end");
    } else if (take_keyword(names, "do")) {
        block(names);
        want_keyword(names, "end");
    } else if (take_keyword(names, "function")) {
        function_statement(names);
    } else {
        return false;
    }
    return true;
}

static void statement(struct tael_names *names)
{
    if (take_sign(names, ';') || take_keyword(names, "break") || opened_statement(names))
        return;
    if (take_keyword(names, "local")) {
        local_statement(names);
    } else if (take_keyword(names, "return")) {
        return_statement(names);
    } else if (take_keyword(names, "goto")) {
        want_name(names);
    } else if (names->tokens.token == TAEL_TOKEN_LABEL) {
        next_token(names);
        want_name(names);
        if (names->tokens.token != TAEL_TOKEN_LABEL)
            fail(names);
        next_token(names);
    } else {
        expression_statement(names);
    }
}

static void statements(struct tael_names *names)
{
    if (!enter(names))
        return;
    while (!ends_block(names))
        statement(names);
    names->depth--;
}

static void block(struct tael_names *names)
{
    size_t count = names->count;
    statements(names);
    leave_scope(names, count);
}

size_t tael_names_size(void)
{
    return sizeof(struct tael_names);
}

tael_status tael_names_read(struct tael_names *names, struct tael_span text,
                            tael_names_free_fn *on_free, void *user)
{
    memset(names, 0, offsetof(struct tael_names, heads));
    memset(names->heads, 0xff, sizeof(names->heads)); /* NONE */
    names->tokens = tael_tokens_of(text);
    names->looks = (int64_t)text.len * LOOKS_PER_BYTE;
    names->on_free = on_free;
    names->user = user;
    next_token(names);
    block(names);
    bool read =
        names->tokens.ended || (!names->tokens.wrong && names->tokens.token == TAEL_TOKEN_END);
    return read ? TAEL_OK : TAEL_EINVAL;
}
