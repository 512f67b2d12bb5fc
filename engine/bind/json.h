/* json.h - JSON straight to and from Lua values, for the C files of bind. What Lua sees:
 * bind/json.c. On the thread of the state.
 */
#ifndef TAEL_BIND_JSON_H
#define TAEL_BIND_JSON_H

#include <lua.h>

#include "base/json.h"

struct tael_json_limits { /* threats.md R48 and its table of limits */
    int max_depth;        /* arrays and objects within each other; at most TAEL_JSON_DEPTH_MAX */
    int max_members;      /* of one object */
    int max_tokens;       /* values and names together */
    size_t max_string;    /* bytes of a decoded string or name */
};

#define TAEL_JSON_LIMITS_INIT                                                                      \
    ((struct tael_json_limits){                                                                    \
        .max_depth = 32, .max_members = 256, .max_tokens = 20000, .max_string = 65536})

/* Pushes the value of the document. On a fault nothing is pushed and *offset (0-based) is the
 * place. Raises only when memory runs out. text need not outlive the call. */
enum tael_json_fault tael_json_push(lua_State *L, struct tael_span text,
                                    const struct tael_json_limits *limits, size_t *offset);

/* Pushes the JSON text of the value at index. Raises what JSON cannot say (floats, functions,
 * cycles, mixed keys, text that is not UTF-8). */
void tael_json_push_text(lua_State *L, int index);

/* The same text without a copy: *out stands in the state's scratch until the next JSON is read or
 * written there. False: it cannot be said in JSON, and what the error would say is on top of the
 * stack. */
bool tael_json_write(lua_State *L, int index, struct tael_span *out);
/* Behind it: pushes a copy of the text and gives scratch back, or raises what is on top. */
void tael_json_finish(lua_State *L, bool written, struct tael_span text);
/* What json.encode(value, options?) is given, at 1 and 2; raises when it is wrong. */
void tael_json_check_encode(lua_State *L);

/* Texts that are written in this state are no longer than bytes, and made of at most so many values
 * and names (0: any): tables that are in each other many times are written many times. */
void tael_json_limit(lua_State *L, size_t bytes, int items);
/* Values and names that the last text written in this state was made of, refused ones too. */
int tael_json_items(lua_State *L);

/* ---- between the files json.c, json_read.c and json_write.c ---- */

struct tael_json_member {
    struct tael_span name;
    int place; /* of its value on the stack */
};

/* Scratch memory of one Lua state, in a userdata of the registry. No finalizer runs while it holds
 * anything: reading empties it before the next allocation in Lua, writing allocates only at its
 * end. */
struct tael_json_scratch {
    struct tael_buf text;
    struct tael_json_member *members;
    size_t count, cap;
    int items, items_max; /* of the text; 0: any */
};

struct tael_json_decimal { /* a number that is not an int64, as it was written */
    size_t len;
    char text[];
};

enum {                      /* user values of the scratch userdata */
       TAEL_JSON_ARRAY = 1, /* metatable of arrays */
       TAEL_JSON_OBJECT,    /* metatable of tables that are objects whatever is in them */
       TAEL_JSON_DECIMAL,   /* metatable of decimals */
};

/* Pushes the scratch userdata, made on first use. */
struct tael_json_scratch *tael_json_push_scratch(lua_State *L);
void tael_json_scratch_trim(struct tael_json_scratch *scratch); /* gives back what grew large */
/* Pushes a decimal; metatable: stack index. */
void tael_json_push_decimal(lua_State *L, struct tael_span text, int metatable);
/* The decimal at index, NULL when it is something else; metatable: stack index. */
const struct tael_json_decimal *tael_json_to_decimal(lua_State *L, int index, int metatable);

#endif
