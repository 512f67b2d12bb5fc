/* serve.h - the parts of the program that run an engine: tael serve, tael sandbox, tael dev. Main
 * thread.
 */
#ifndef TAEL_SERVE_H
#define TAEL_SERVE_H

#include "words.h"

/* Each returns the exit code. */
int tael_serve(const struct tael_words *words, const char *app); /* serve, sandbox */
int tael_dev(const struct tael_words *words);

/* What all of them do first: as many files as allowed, nobody else may read what is written. */
void tael_serve_prepare(void);

/* What to do when an engine could not be opened or started; static. */
const char *tael_serve_next(const tael_error *err, bool dev);

#endif
