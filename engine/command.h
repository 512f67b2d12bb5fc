/* command.h - every command but those that run an engine: one call into Lua. Main thread. */
#ifndef TAEL_COMMAND_H
#define TAEL_COMMAND_H

#include "words.h"

/* Hands the words to tael.cli.app; returns the exit code that it says. */
int tael_command(const struct tael_words *words);

#endif
