/* rehearse.h - a command run in a simulated world: an engine with its store in memory, the
 * simulators of the channels beside it, a clock that jumps. Main thread.
 */
#ifndef TAEL_REHEARSE_H
#define TAEL_REHEARSE_H

#include "words.h"

/* Hands the words to tael.rehearsal.app; returns the exit code that it says. Keys are made in a
 * folder of the system's for temporary files, which is removed again. */
int tael_rehearse(const struct tael_words *words);

#endif
