/* plain.h - plain data as bytes: what crosses the border between Tael's state and a script's,
 * whether that is in the same process or in another. nil, booleans, integers, floats that are
 * numbers, strings, and tables of them with string or integer keys; by copy, a table that occurs
 * twice is two.
 *
 * Form: a value is a tag and what belongs to it, lengths and integers as variable-length numbers of
 * 7 bits a byte, lowest first. A table: how many values its array part has; how many other pairs
 * there are, in four bytes as the machine has them, for they are counted while they are written;
 * then those values and pairs.
 */
#ifndef TAEL_BIND_PLAIN_H
#define TAEL_BIND_PLAIN_H

#include <lua.h>

#include "base/bytes.h"

struct tael_plain_limits { /* threats.md R35 */
    int depth;             /* tables within each other; at most TAEL_PLAIN_DEPTH_MAX */
    int items;             /* values and keys together */
    size_t bytes;          /* of the encoded text */
};

enum { TAEL_PLAIN_DEPTH_MAX = 100 };

#define TAEL_PLAIN_LIMITS_INIT                                                                     \
    ((struct tael_plain_limits){.depth = 32, .items = 10000, .bytes = 1024 * 1024})

enum { TAEL_PLAIN_FAULT_MAX = 160 };

/* Appends the value at index. Nothing of Lua is allocated or called, so it does not raise.
 * TAEL_EINVAL: it is not plain or too large, fault says what and where ("metadata.on_paid is a
 * function"), out is as it was; TAEL_ENOMEM. */
tael_status tael_plain_write(lua_State *L, int index, const struct tael_plain_limits *limits,
                             struct tael_buf *out, char fault[TAEL_PLAIN_FAULT_MAX]);

/* Pushes the value that begins at the cursor, and moves it behind. False: what stands there was not
 * written by tael_plain_write under these limits; nothing is pushed. Raises when memory runs out.
 */
bool tael_plain_push(lua_State *L, struct tael_cursor *from,
                     const struct tael_plain_limits *limits);

#endif
