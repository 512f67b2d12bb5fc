/* tokens.c - see tokens.h. */
#include "script/tokens.h"

#include <string.h>

static char peek(const struct tael_tokens *tokens, ptrdiff_t ahead)
{
    return tokens->end - tokens->at > ahead ? tokens->at[ahead] : '\0';
}

void tael_tokens_fail(struct tael_tokens *tokens)
{
    tokens->wrong = !tokens->ended;
    tokens->token = TAEL_TOKEN_END;
    tokens->at = tokens->end;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return c == '_' || is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static void skip(struct tael_tokens *tokens, ptrdiff_t count)
{
    for (; count > 0 && tokens->at < tokens->end; count--)
        tokens->line += *tokens->at++ == '\n';
}

/* Equal signs of a long bracket that opens here; -1: none does. */
static ptrdiff_t long_bracket(const struct tael_tokens *tokens)
{
    ptrdiff_t level = 0;
    if (peek(tokens, 0) != '[')
        return -1;
    while (peek(tokens, level + 1) == '=')
        level++;
    return peek(tokens, level + 1) == '[' ? level : -1;
}

static void skip_long(struct tael_tokens *tokens, ptrdiff_t level)
{
    for (skip(tokens, level + 2); tokens->at < tokens->end; skip(tokens, 1)) {
        ptrdiff_t signs = 0;
        if (peek(tokens, 0) != ']')
            continue;
        while (signs < level && peek(tokens, signs + 1) == '=')
            signs++;
        if (signs == level && peek(tokens, level + 1) == ']') {
            skip(tokens, level + 2);
            return;
        }
    }
    tael_tokens_fail(tokens);
}

static void skip_text(struct tael_tokens *tokens, char quote)
{
    for (skip(tokens, 1); tokens->at < tokens->end && *tokens->at != quote; skip(tokens, 1))
        if (*tokens->at == '\\')
            skip(tokens, 1);
    if (tokens->at == tokens->end)
        tael_tokens_fail(tokens);
    skip(tokens, 1);
}

static void skip_comment(struct tael_tokens *tokens)
{
    skip(tokens, 2);
    ptrdiff_t level = long_bracket(tokens);
    if (level >= 0)
        skip_long(tokens, level);
    else
        while (tokens->at < tokens->end && *tokens->at != '\n' && *tokens->at != '\r')
            tokens->at++;
}

static void skip_blank(struct tael_tokens *tokens)
{
    while (tokens->at < tokens->end) {
        char c = *tokens->at;
        if (c == '-' && peek(tokens, 1) == '-')
            skip_comment(tokens);
        else if (c == ' ' || (c >= '\t' && c <= '\r'))
            skip(tokens, 1);
        else
            return;
    }
}

/* As Lua's own scanner: whatever may belong to a number does. */
static void skip_number(struct tael_tokens *tokens)
{
    enum { FEW = 5 };
    const char *from = tokens->at;
    bool whole = true, hex = from[0] == '0' && (peek(tokens, 1) | 0x20) == 'x';
    char exponent = hex ? 'p' : 'e';
    while (tokens->at < tokens->end && (is_word(*tokens->at) || *tokens->at == '.')) {
        bool sign =
            (*tokens->at | 0x20) == exponent && (peek(tokens, 1) == '-' || peek(tokens, 1) == '+');
        whole = whole && is_digit(*tokens->at);
        tokens->at += sign ? 2 : 1;
    }
    tokens->token = TAEL_TOKEN_VALUE;
    tokens->sign = whole && tokens->at - from <= FEW ? '0' : '9';
}

static enum tael_token word_token(struct tael_span word)
{
    static const struct {
        char word[9];
        unsigned char len, token;
    } keywords[] = {
        {"and", 3, TAEL_TOKEN_BINARY},    {"break", 5, TAEL_TOKEN_WORD},
        {"do", 2, TAEL_TOKEN_WORD},       {"else", 4, TAEL_TOKEN_WORD},
        {"elseif", 6, TAEL_TOKEN_WORD},   {"end", 3, TAEL_TOKEN_WORD},
        {"false", 5, TAEL_TOKEN_VALUE},   {"for", 3, TAEL_TOKEN_WORD},
        {"function", 8, TAEL_TOKEN_WORD}, {"goto", 4, TAEL_TOKEN_WORD},
        {"if", 2, TAEL_TOKEN_WORD},       {"in", 2, TAEL_TOKEN_WORD},
        {"local", 5, TAEL_TOKEN_WORD},    {"nil", 3, TAEL_TOKEN_VALUE},
        {"not", 3, TAEL_TOKEN_UNARY},     {"or", 2, TAEL_TOKEN_BINARY},
        {"repeat", 6, TAEL_TOKEN_WORD},   {"return", 6, TAEL_TOKEN_WORD},
        {"then", 4, TAEL_TOKEN_WORD},     {"true", 4, TAEL_TOKEN_VALUE},
        {"until", 5, TAEL_TOKEN_WORD},    {"while", 5, TAEL_TOKEN_WORD},
    };
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (keywords[i].word[0] == word.data[0] && keywords[i].len == word.len &&
            memcmp(keywords[i].word, word.data, word.len) == 0)
            return keywords[i].token;
    return TAEL_TOKEN_NAME;
}

static enum tael_token take(struct tael_tokens *tokens, ptrdiff_t len, enum tael_token token)
{
    tokens->at += len;
    return token;
}

/* A token that begins with none of a word's, number's or text's characters. */
static enum tael_token sign_token(struct tael_tokens *tokens)
{
    char c = tokens->at[0], next = peek(tokens, 1);
    tokens->sign = c;
    if (strchr("+*%^&|", c) != NULL)
        return take(tokens, 1, TAEL_TOKEN_BINARY);
    switch (c) {
    case '#':
        return take(tokens, 1, TAEL_TOKEN_UNARY);
    case '-':
        return take(tokens, 1, TAEL_TOKEN_MINUS);
    case '~':
        return next == '=' ? take(tokens, 2, TAEL_TOKEN_BINARY) : take(tokens, 1, TAEL_TOKEN_MINUS);
    case '<':
        return next == '=' || next == c ? take(tokens, 2, TAEL_TOKEN_BINARY)
                                        : take(tokens, 1, TAEL_TOKEN_LESS);
    case '>':
        return take(tokens, next == '=' || next == c ? 2 : 1, TAEL_TOKEN_BINARY);
    case '/':
        return take(tokens, next == c ? 2 : 1, TAEL_TOKEN_BINARY);
    case '=':
        return next == c ? take(tokens, 2, TAEL_TOKEN_BINARY) : take(tokens, 1, TAEL_TOKEN_SIGN);
    case ':':
        return next == c ? take(tokens, 2, TAEL_TOKEN_LABEL) : take(tokens, 1, TAEL_TOKEN_SIGN);
    case '.':
        if (next == c)
            return peek(tokens, 2) == c ? take(tokens, 3, TAEL_TOKEN_VALUE)
                                        : take(tokens, 2, TAEL_TOKEN_BINARY);
        return take(tokens, 1, TAEL_TOKEN_SIGN);
    default:
        return take(tokens, 1, TAEL_TOKEN_SIGN);
    }
}

void tael_tokens_next(struct tael_tokens *tokens)
{
    skip_blank(tokens);
    tokens->token_line = tokens->line;
    tokens->token = TAEL_TOKEN_END;
    if (tokens->at == tokens->end || tokens->wrong || tokens->ended)
        return;
    char c = *tokens->at;
    ptrdiff_t level = long_bracket(tokens);
    if (level >= 0 || c == '"' || c == '\'') {
        tokens->token = TAEL_TOKEN_STRING;
        if (level >= 0)
            skip_long(tokens, level);
        else
            skip_text(tokens, c);
    } else if (is_digit(c) || (c == '.' && is_digit(peek(tokens, 1)))) {
        skip_number(tokens);
    } else if (is_word(c)) {
        const char *from = tokens->at;
        while (tokens->at < tokens->end && is_word(*tokens->at))
            tokens->at++;
        tokens->word = (struct tael_span){from, (size_t)(tokens->at - from)};
        tokens->token = word_token(tokens->word);
        tokens->sign = tokens->word.data[0];
    } else {
        tokens->token = sign_token(tokens);
    }
}

bool tael_tokens_assigns(struct tael_tokens *tokens)
{
    const char *at = tokens->at;
    int line = tokens->line;
    skip_blank(tokens);
    bool assigns = peek(tokens, 0) == '=' && peek(tokens, 1) != '=';
    if (!tokens->wrong) {
        tokens->at = at;
        tokens->line = line;
    }
    return assigns;
}
