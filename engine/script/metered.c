/* metered.c - see metered.h.
 *
 * A block is what an end or until closes. Those that begin with a tick have a meter of their own,
 * which collects the weight of all that stands in them and in no meter inside; the others add to
 * the meter around them. So that nobody pays for much that is passed by, long branches have a meter
 * of their own, and behind a branch that leaves a new one begins if much follows. What stands
 * between a loop's word and its do counts with the loop, and with what is around it, for a loop of
 * no turn goes through it too.
 */
#include "script/metered.h"

#include <string.h>

#include "script/tokens.h"

#define LEFT  "__left"
#define SPENT "__spent"

enum {
    DEPTH_MAX = 128,     /* more than tael_source_check lets pass */
    LABELS_MAX = 1024,   /* the same */
    DIGITS = 6,          /* of a weight: there are fewer tokens in a text */
    TICK_STEPS = 3,      /* what a tick takes itself, with the least that stands behind it */
    LONG_TOKENS = 24,    /* of a branch, or of what is behind one that leaves */
    AHEAD_TOKENS = 64,   /* looked at to see whether it is long */
    HEAVY_TOKENS = 1500, /* of one meter: with this many it asks for looks while it runs */
    TOKENS_PER_STEP = 3, /* that count, as many as take as long as an instruction with a look did */
    CALL_TOKENS = 6,     /* what a call takes besides */
};

static const char head[] = "local " LEFT "," SPENT " return function(...)";
static const char tick_begin[] = " " LEFT "=" LEFT "-";
static const char tick_end[] = " if " LEFT "<0000000 then " SPENT "(0)end ";
enum { /* from a weight on */
       LIMIT_AT = DIGITS + sizeof(" if " LEFT "<") - 1,
       LIMIT_DIGITS = 7,
       HEAVY_AT = LIMIT_AT + LIMIT_DIGITS + sizeof(" then " SPENT "(") - 1,
};

struct block {
    size_t digits_at;           /* of its weight in the text; 0: it has no meter */
    uint32_t weight;            /* tokens */
    uint16_t labels;            /* before it, of the text */
    bool function, loop, until; /* loop: its do is still to come. until: only its condition is */
    bool condition, branch;     /* an if; what is behind its then or else */
};

struct label {
    struct tael_span name;
    uint32_t since; /* tokens of the text before it */
};

struct metering {
    struct tael_tokens tokens;
    struct tael_buf *out;
    const char *copied; /* the text up to here is written */
    tael_status status;
    uint32_t count; /* tokens so far */
    int depth, flaw_line;
    bool parameters; /* the bracket that closes next is a function's */
    bool leaves;     /* a return, break or goto came, and no end of an if behind it */
    struct block blocks[DEPTH_MAX];
    uint16_t labels_count;
    struct label labels[LABELS_MAX];
};

static void fail(struct metering *metering, tael_status status)
{
    if (metering->status == TAEL_OK)
        metering->status = status;
}

/* ---- text ---- */

static void write(struct metering *metering, const char *data, size_t len)
{
    tael_status status = tael_buf_append(metering->out, data, len);
    if (status != TAEL_OK)
        fail(metering, status);
}

static void copy_until(struct metering *metering, const char *at)
{
    write(metering, metering->copied, (size_t)(at - metering->copied));
    metering->copied = at;
}

static void set_weight(struct metering *metering, size_t digits_at, uint32_t tokens)
{
    uint32_t weight = tokens / TOKENS_PER_STEP + TICK_STEPS;
    if (metering->status != TAEL_OK)
        return;
    char *digits = metering->out->data + digits_at;
    for (int i = DIGITS - 1; i >= 0; i--, weight /= 10)
        digits[i] = (char)('0' + weight % 10);
    if (tokens > HEAVY_TOKENS) {
        memset(digits + LIMIT_AT, '9', LIMIT_DIGITS); /* always less */
        digits[HEAVY_AT] = '1';
    }
}

/* Gives the place of its weight. */
static size_t write_tick(struct metering *metering)
{
    write(metering, tick_begin, sizeof(tick_begin) - 1);
    size_t digits_at = metering->out->len;
    write(metering, "000000", DIGITS);
    write(metering, tick_end, sizeof(tick_end) - 1);
    return digits_at;
}

/* ---- blocks ---- */

static struct block *top(struct metering *metering)
{
    return &metering->blocks[metering->depth];
}

static void open_block(struct metering *metering, struct block block)
{
    if (metering->depth + 1 == DEPTH_MAX) {
        fail(metering, TAEL_EINVAL);
        return;
    }
    metering->depth++;
    block.labels = metering->labels_count;
    *top(metering) = block;
}

/* Behind the token: the block on top has a meter from here on. */
static void begin_meter(struct metering *metering)
{
    copy_until(metering, metering->tokens.at);
    top(metering)->digits_at = write_tick(metering);
}

static void close_block(struct metering *metering)
{
    struct block *block = top(metering);
    if (metering->depth == 0 || block->loop) {
        fail(metering, TAEL_EINVAL); /* it would close what is not the text's own */
        return;
    }
    metering->depth--;
    if (block->digits_at > 0)
        set_weight(metering, block->digits_at, block->weight);
    else
        top(metering)->weight += block->weight;
    metering->labels_count = block->labels; /* goto does not see into it */
}

/* A condition has no end of its own: what can only be behind it tells. */
static void close_conditions(struct metering *metering)
{
    while (metering->depth > 0 && top(metering)->until && metering->status == TAEL_OK)
        close_block(metering);
}

/* ---- branches ---- */

/* Is there much from here to the end of this block? */
static bool is_long(const struct metering *metering)
{
    struct tael_tokens ahead = metering->tokens;
    int depth = 0, count = 0;
    for (int i = 0; i < AHEAD_TOKENS && count <= LONG_TOKENS; i++) {
        tael_tokens_next(&ahead);
        if (ahead.token == TAEL_TOKEN_END)
            return false;
        if (ahead.token != TAEL_TOKEN_WORD)
            count += ahead.token != TAEL_TOKEN_SIGN;
        else if (tael_span_is(ahead.word, "function") || tael_span_is(ahead.word, "if") ||
                 tael_span_is(ahead.word, "do") || tael_span_is(ahead.word, "repeat"))
            depth++;
        else if (tael_span_is(ahead.word, "end") || tael_span_is(ahead.word, "until"))
            depth--;
        else if (depth == 0 &&
                 (tael_span_is(ahead.word, "else") || tael_span_is(ahead.word, "elseif")))
            depth--;
        if (depth < 0)
            return false;
    }
    return true;
}

static void open_branch(struct metering *metering)
{
    if (!is_long(metering))
        return;
    open_block(metering, (struct block){.branch = true});
    begin_meter(metering);
}

static void close_branch(struct metering *metering)
{
    if (top(metering)->branch)
        close_block(metering);
}

static void close_end(struct metering *metering)
{
    close_branch(metering);
    bool condition = top(metering)->condition;
    close_block(metering);
    struct block *block = top(metering);
    if (!condition || !metering->leaves || metering->status != TAEL_OK)
        return;
    metering->leaves = false;
    if (block->digits_at == 0 || !is_long(metering))
        return;
    set_weight(metering, block->digits_at, block->weight);
    block->weight = 0;
    begin_meter(metering);
}

/* ---- goto ---- */

/* Before the innermost function. */
static uint16_t labels_before(const struct metering *metering)
{
    int at = metering->depth;
    while (!metering->blocks[at].function)
        at--;
    return metering->blocks[at].labels;
}

static void take_label(struct metering *metering)
{
    tael_tokens_next(&metering->tokens);
    struct tael_span name = metering->tokens.word;
    bool named = metering->tokens.token == TAEL_TOKEN_NAME;
    tael_tokens_next(&metering->tokens);
    if (!named || metering->tokens.token != TAEL_TOKEN_LABEL ||
        metering->labels_count == LABELS_MAX) {
        fail(metering, TAEL_EINVAL);
        return;
    }
    metering->labels[metering->labels_count++] = (struct label){name, metering->count};
}

/* Back if the name is that of a label above it in the same function, be it another block's. */
static void take_goto(struct metering *metering)
{
    const char *before = metering->tokens.word.data;
    tael_tokens_next(&metering->tokens);
    struct tael_span name = metering->tokens.word;
    if (metering->tokens.token != TAEL_TOKEN_NAME) {
        fail(metering, TAEL_EINVAL);
        return;
    }
    for (uint16_t i = labels_before(metering); i < metering->labels_count; i++) {
        const struct label *label = &metering->labels[i];
        if (label->name.len != name.len || memcmp(label->name.data, name.data, name.len) != 0)
            continue;
        copy_until(metering, before);
        size_t digits_at = write_tick(metering);
        set_weight(metering, digits_at, metering->count - label->since);
        return;
    }
}

/* ---- tokens ---- */

static void take_branch_word(struct metering *metering, struct tael_span word)
{
    if (tael_span_is(word, "if")) {
        open_block(metering, (struct block){.condition = true});
    } else if (tael_span_is(word, "then")) {
        open_branch(metering);
    } else if (tael_span_is(word, "else")) {
        close_branch(metering);
        open_branch(metering);
    } else if (tael_span_is(word, "elseif")) {
        close_branch(metering);
    } else if (tael_span_is(word, "end")) {
        close_end(metering);
    } else if (tael_span_is(word, "return") || tael_span_is(word, "break")) {
        metering->leaves = true;
    } else if (tael_span_is(word, "goto")) {
        metering->leaves = true;
        take_goto(metering);
    }
}

static void take_word(struct metering *metering)
{
    struct tael_span word = metering->tokens.word;
    if (tael_span_is(word, "function")) {
        open_block(metering, (struct block){.function = true, .weight = CALL_TOKENS});
        metering->parameters = true;
        return;
    }
    close_conditions(metering);
    if (tael_span_is(word, "while") || tael_span_is(word, "for")) {
        open_block(metering, (struct block){.loop = true});
    } else if (tael_span_is(word, "do") && top(metering)->loop) {
        top(metering)->loop = false;
        metering->blocks[metering->depth - 1].weight += top(metering)->weight;
        begin_meter(metering);
    } else if (tael_span_is(word, "do")) {
        open_block(metering, (struct block){0});
    } else if (tael_span_is(word, "repeat")) {
        open_block(metering, (struct block){0});
        begin_meter(metering);
    } else if (tael_span_is(word, "until")) {
        top(metering)->until = true;
    } else {
        take_branch_word(metering, word);
    }
}

static void take_sign(struct metering *metering)
{
    char sign = metering->tokens.sign;
    if (sign == ')' && metering->parameters) {
        metering->parameters = false;
        begin_meter(metering);
    } else if (sign == ';') {
        close_conditions(metering);
    } else if (sign == '(' || sign == '{' || sign == '.' || sign == ':' || sign == '[') {
        metering->count++;
        top(metering)->weight++;
    }
}

static void take_token(struct metering *metering)
{
    const struct tael_tokens *tokens = &metering->tokens;
    if (tokens->token == TAEL_TOKEN_WORD) {
        take_word(metering);
    } else if (tokens->token == TAEL_TOKEN_LABEL) {
        close_conditions(metering);
        take_label(metering);
    } else if (tokens->token == TAEL_TOKEN_SIGN) {
        take_sign(metering);
    } else if (tokens->token == TAEL_TOKEN_NAME &&
               (tael_span_is(tokens->word, LEFT) || tael_span_is(tokens->word, SPENT))) {
        metering->flaw_line = tokens->token_line;
        fail(metering, TAEL_EINVAL);
    } else {
        metering->count++;
        top(metering)->weight++;
    }
}

tael_status tael_metered_write(struct tael_buf *out, struct tael_span text, int *line)
{
    struct metering metering; /* large: only what is used is set */
    metering.tokens = tael_tokens_of(text);
    metering.out = out;
    metering.copied = text.data;
    metering.status = TAEL_OK;
    metering.count = 0;
    metering.depth = metering.flaw_line = 0;
    metering.parameters = metering.leaves = false;
    metering.labels_count = 0;
    metering.blocks[0] = (struct block){.function = true};
    write(&metering, head, sizeof(head) - 1);
    metering.blocks[0].digits_at = write_tick(&metering);
    tael_tokens_next(&metering.tokens);
    while (metering.status == TAEL_OK && metering.tokens.token != TAEL_TOKEN_END) {
        take_token(&metering);
        tael_tokens_next(&metering.tokens);
    }
    close_conditions(&metering);
    if (metering.tokens.wrong || metering.depth > 0)
        fail(&metering, TAEL_EINVAL);
    copy_until(&metering, text.data + text.len);
    write(&metering, "\nend", 4);
    set_weight(&metering, metering.blocks[0].digits_at, metering.blocks[0].weight);
    *line = metering.flaw_line;
    return metering.status;
}
