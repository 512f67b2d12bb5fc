/* words.h - the command line of tael: its own options taken out, the rest handed on as JSON.
 * Main thread; the texts belong to the command line.
 */
#ifndef TAEL_WORDS_H
#define TAEL_WORDS_H

#include "tael.h"

#include <stdbool.h>

#include "base/bytes.h"

/* Exit codes; what else there is stands in lua/tael/cli/exits.lua. */
enum {
    TAEL_EXIT_DONE = 0,
    TAEL_EXIT_NO = 1,
    TAEL_EXIT_USAGE = 2,
    TAEL_EXIT_CONFIG = 3,
    TAEL_EXIT_STORE = 6,
    TAEL_EXIT_UNKNOWN = 7,
    TAEL_EXIT_INTERNAL = 70,
    TAEL_EXIT_REHEARSE = 100 /* never left to the shell: see rehearse.h */
};

struct tael_words {
    const char *config, *url, *key, *merchant, *lang;
    bool config_named;                     /* it was given, and is not the file that lies here */
    bool json, quiet, dev, takeover, help; /* help: of tael itself */
    bool asks_help;                        /* of one command; the word stays among rest */
    int count;
    char **rest; /* the command and what follows it */
};

/* Takes the options of tael itself out of list, before and behind the command; the rest is the
 * command and what is for it, or a word that the command line refuses. Keeps pointers into list. */
void tael_words_read(struct tael_words *words, char **list, int count);

/* The configuration when none is named. */
#define TAEL_WORDS_FILE "tael.lua"

/* Does it lie in this folder? One that cannot be read, or a link that leads nowhere, does: an
 * engine that went by its defaults instead would have another store. */
bool tael_words_file_here(void);

/* {"json":false,"quiet":false,"help":false,"argv":["keys","show","x"],"url":"…","lang":"zh"},
 * NUL-terminated; store: why the store could
 * not be opened, or NULL. */
tael_status tael_words_json(const struct tael_words *words, const tael_error *store,
                            struct tael_buf *out);

/* Says on stderr what to do next. Commands of tael in it name the file that this one was given. */
void tael_say_next(const struct tael_words *words, const char *next);
/* Says on stderr what went wrong and, unless NULL, what to do next; returns the exit code. */
int tael_complain(const struct tael_words *words, const tael_error *err, const char *next);

/* Writes all of it; gives up when nobody reads. */
void tael_print(int fd, const char *data, size_t len);

#endif
