/* metered.c - see metered.h.
 *
 * A block is what an end or until closes. Those that begin with a tick have a meter of their own,
 * which collects the weight of all that stands in them and in no meter inside; the others add to
 * the meter around them. A condition counts with its loop.
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
    TOKENS_PER_STEP = 3, /* that count, as many as take as long as an instruction with a look did */
    CALL_TOKENS = 6,     /* what a call takes besides */
};

static const char head[] = "local " LEFT "," SPENT " return function(...)";
static const char tick_begin[] = " " LEFT "=" LEFT "-";
static const char tick_end[] = " if " LEFT "<0 then " SPENT "()end ";

struct block {
    size_t digits_at;           /* of its weight in the text; 0: it has no meter */
    uint32_t weight;            /* tokens */
    uint16_t labels;            /* before it, of the text */
    bool function, loop, until; /* loop: its do is still to come. until: only its condition is */
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
    uint32_t weight = tokens / TOKENS_PER_STEP + 1;
    for (int i = DIGITS - 1; i >= 0 && metering->status == TAEL_OK; i--, weight /= 10)
        metering->out->data[digits_at + (size_t)i] = (char)('0' + weight % 10);
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

static void open_block(struct metering *metering, bool function, bool loop)
{
    if (metering->depth + 1 == DEPTH_MAX) {
        fail(metering, TAEL_EINVAL);
        return;
    }
    metering->depth++;
    *top(metering) =
        (struct block){.function = function, .loop = loop, .labels = metering->labels_count};
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
        set_weight(metering, block->digits_at, block->weight + (block->function ? CALL_TOKENS : 0));
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

static void take_word(struct metering *metering)
{
    struct tael_span word = metering->tokens.word;
    if (tael_span_is(word, "function")) {
        open_block(metering, true, false);
        metering->parameters = true;
        return;
    }
    close_conditions(metering);
    if (tael_span_is(word, "while") || tael_span_is(word, "for")) {
        open_block(metering, false, true);
    } else if (tael_span_is(word, "do") && top(metering)->loop) {
        top(metering)->loop = false;
        begin_meter(metering);
    } else if (tael_span_is(word, "do") || tael_span_is(word, "if")) {
        open_block(metering, false, false);
    } else if (tael_span_is(word, "repeat")) {
        open_block(metering, false, false);
        begin_meter(metering);
    } else if (tael_span_is(word, "until")) {
        top(metering)->until = true;
    } else if (tael_span_is(word, "end")) {
        close_block(metering);
    } else if (tael_span_is(word, "goto")) {
        take_goto(metering);
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
    metering.parameters = false;
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
