/* names.h - the names that a script's text uses and declares nowhere: what it takes for globals.
 *
 * The text is read by Lua 5.4's grammar with its rules of scope, nothing of it is run. Where that
 * does not tell (the text is not good Lua, _ENV is written, it is nested beyond what is allowed)
 * nothing is said. Any thread, no state.
 */
#ifndef TAEL_SCRIPT_NAMES_H
#define TAEL_SCRIPT_NAMES_H

#include "base/bytes.h"

struct tael_names; /* a text that is being read, at one place */

enum tael_name_use {
    TAEL_NAME_READ,
    TAEL_NAME_FALLBACK, /* read, and nothing else, where what stands before "or" is not there */
    TAEL_NAME_WRITTEN,
};

/* A name that is no local's at this place, and no field of a local _ENV. False ends the reading. */
typedef bool tael_names_free_fn(void *user, const struct tael_names *names, struct tael_span name,
                                int line, enum tael_name_use use);

size_t tael_names_size(void); /* bytes that a reading takes */
/* TAEL_EINVAL: it could not be read to its end; what was called for may be wrong. on_free may leave
 * by longjmp. */
tael_status tael_names_read(struct tael_names *names, struct tael_span text,
                            tael_names_free_fn *on_free, void *user);

/* Those that are declared where on_free was called, the innermost last. */
size_t tael_names_locals(const struct tael_names *names);
struct tael_span tael_names_local(const struct tael_names *names, size_t place);

#endif
