/* plain.h - plain data as bytes: what crosses the border between Tael's state and a script's,
 * whether that is in the same process or in another. nil, booleans, integers, floats that are
 * numbers, strings, and tables of them with string or integer keys; by copy, a table that occurs
 * twice is two.
 *
 * Form: a value is a tag and what belongs to it, lengths and integers as variable-length numbers of
 * 7 bits a byte, lowest first. A table: how many values its array part has; its size as the machine
 * has it (tael_plain_size), for it is known when all is written; then those values and pairs.
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

/* A userdata of this type is the bytes of a value, and is written as that value (packed.h). */
#define TAEL_PLAIN_PACKED "tael.packed"

struct tael_plain_size {
    uint32_t others; /* pairs, beside the values of the array part */
    uint32_t bytes;  /* of those values and pairs */
};

/* Appends the value at index. Nothing of Lua is allocated or called, so it does not raise; but in
 * an isolate, where tables may be filled first (script/late.h). TAEL_EINVAL: it is not plain or too
 * large, fault says what and where ("metadata.on_paid is a function"), out is as it was;
 * TAEL_ENOMEM. */
tael_status tael_plain_write(lua_State *L, int index, const struct tael_plain_limits *limits,
                             struct tael_buf *out, char fault[TAEL_PLAIN_FAULT_MAX]);

/* A table whose fields are known before: each has its place among values on the stack. */
enum { TAEL_PLAIN_SHAPE_DEPTH = 4 };

struct tael_plain_step {
    enum { TAEL_PLAIN_FIELD, TAEL_PLAIN_OPEN, TAEL_PLAIN_CLOSE } kind;
    const char *key;  /* not CLOSE: as tael_plain_put_name has written it, with NUL behind */
    size_t len, name; /* of it, and where the name begins in it */
};

/* The same as write, of the table that the values at first and behind it make: one for each FIELD.
 * OPEN begins a table as a field, CLOSE ends it; they match. A value that is nil or json.null is
 * left out, and so are pairs of tables that are json.null. */
tael_status tael_plain_write_shape(lua_State *L, int first, const struct tael_plain_step *steps,
                                   size_t count, const struct tael_plain_limits *limits,
                                   struct tael_buf *out, char fault[TAEL_PLAIN_FAULT_MAX]);
/* Writes the name as a key, in at most len + 11 bytes, and says how many; its bytes are the last.
 */
size_t tael_plain_put_name(char *out, const char *name, size_t len);

/* Pushes the value that begins at the cursor, and moves it behind. False: what stands there was not
 * written by tael_plain_write under these limits; nothing is pushed. Raises when memory runs out.
 */
bool tael_plain_push(lua_State *L, struct tael_cursor *from,
                     const struct tael_plain_limits *limits);

/* ---- looking into bytes without Lua. False: they are not so written ---- */

struct tael_plain_table {
    uint64_t array;          /* values that fields begins with, */
    uint32_t others;         /* and the pairs behind them: each a value, and a value */
    struct tael_span fields; /* within the table's bytes */
};

bool tael_plain_table(struct tael_span bytes, struct tael_plain_table *out); /* is it one? */
/* Takes the bytes of a value. False: the cursor stays. */
bool tael_plain_pass(struct tael_cursor *from, struct tael_span *out);
/* The number of the pair with this name, from 0, and its value; others: there is none. */
uint32_t tael_plain_find(const struct tael_plain_table *table, struct tael_span name,
                         struct tael_span *value);

#endif
