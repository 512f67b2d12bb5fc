/* metered.h - the text of a script with what counts its work written into it.
 *
 * Whatever a script does without end, it does by a loop, a goto back or a call. At the begin of
 * each loop's and function's body, before a goto back, and where much follows that is often passed
 * by, the metered text takes the weight of the code that follows, about its instructions, from a
 * number; below zero it calls isolate_budget.c. So nothing has to be looked at between two
 * instructions (a count hook has Lua look at every one), and the count does not depend on the
 * machine. The number and the function are upvalues with names of their own, which scripts must not
 * use. Lines stay where they are. The first tick is the chunk's: it is the first that either
 * upvalue stands in. Nothing is allocated but the text.
 */
#ifndef TAEL_SCRIPT_METERED_H
#define TAEL_SCRIPT_METERED_H

#include "base/bytes.h"

enum { /* upvalues of the function that the chunk of a metered text gives */
       TAEL_METERED_LEFT = 1,
       TAEL_METERED_SPENT,
};

#define TAEL_METERED_NAMES "'__left' and '__spent'"

/* A chunk that gives a function with both. */
#define TAEL_METERED_BOX "local a,b return function() return a,b end"

/* Appends the chunk's text: one that gives the script as a function. The text has passed
 * tael_source_check. TAEL_EINVAL: it is not good Lua, or uses one of the names, which `line` tells
 * (else 0); TAEL_ENOMEM, TAEL_ELIMIT of the buffer. */
tael_status tael_metered_write(struct tael_buf *out, struct tael_span text, int *line);

#endif
