/* tokens.h - the text of a script in tokens, one after the other, as Lua 5.4's scanner tells them
 * apart. Only as much of each is kept as whoever looks for names has to know. Nothing is allocated.
 */
#ifndef TAEL_SCRIPT_TOKENS_H
#define TAEL_SCRIPT_TOKENS_H

#include "base/bytes.h"

enum tael_token {
    TAEL_TOKEN_END, /* of the text */
    TAEL_TOKEN_NAME,
    TAEL_TOKEN_VALUE,  /* a number, nil, true, false, ... */
    TAEL_TOKEN_STRING, /* may be a call's argument */
    TAEL_TOKEN_UNARY,  /* not, # */
    TAEL_TOKEN_BINARY,
    TAEL_TOKEN_MINUS, /* both: - ~ */
    TAEL_TOKEN_LESS,  /* binary, or before an attribute */
    TAEL_TOKEN_WORD,  /* any other keyword: in `word` */
    TAEL_TOKEN_LABEL, /* :: */
    TAEL_TOKEN_SIGN,  /* any other: in `sign` */
};

struct tael_tokens {
    const char *at, *end; /* at: behind the token */
    int line;             /* of `at` */
    int token_line;
    enum tael_token token;
    char sign;             /* TAEL_TOKEN_SIGN; 'o' of TAEL_TOKEN_BINARY: or; of TAEL_TOKEN_VALUE:
                              '0' a whole number of at most five digits, '9' another number */
    struct tael_span word; /* TAEL_TOKEN_NAME, TAEL_TOKEN_WORD */
    bool wrong, ended;     /* either: there are no more tokens */
};

/* From begin on; the first token is the first next's. */
static inline struct tael_tokens tael_tokens_of(struct tael_span text)
{
    return (struct tael_tokens){.at = text.data, .end = text.data + text.len, .line = 1};
}

void tael_tokens_next(struct tael_tokens *tokens);
/* There are no more, for the text is no good Lua, unless it has ended before. */
void tael_tokens_fail(struct tael_tokens *tokens);
/* Does a lone '=' follow the token? */
bool tael_tokens_assigns(struct tael_tokens *tokens);

#endif
