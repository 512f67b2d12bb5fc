/* source.h - the text of a script that is not Tael's own, looked at before Lua compiles it.
 *
 * Lua 5.4.4 can be crashed, or kept busy for seconds, by texts that are nested deeply, go through
 * thousands of fields at once, or have thousands of labels. What is refused here is far beyond what
 * people write. Whether the text is good Lua is the compiler's to say.
 */
#ifndef TAEL_SCRIPT_SOURCE_H
#define TAEL_SCRIPT_SOURCE_H

#include "base/bytes.h"

enum {
    TAEL_SOURCE_MAX = 256 * 1024, /* bytes */
};

/* False: why says "line N: …" and what to do. */
bool tael_source_check(struct tael_span text, char *why, size_t why_size);

#endif
