/* late.h - tables in an isolate whose fields are made when a script first looks at them: what is
 * handed over is large, and most scripts look at a field or two. A script cannot tell such a table
 * from any other.
 *
 * A late table has what it is made from under a key that no script can have. A field that is read
 * is found there and put into the table, once: if it is not in the table any more, the script took
 * it out. After some fields, and when anything but a field is asked of the table, it is filled, and
 * is an ordinary one from then on. So each C function that scripts can call and that looks into a
 * table past its metatable, or gives it one, calls tael_late_fill first.
 */
#ifndef TAEL_SCRIPT_LATE_H
#define TAEL_SCRIPT_LATE_H

#include <stddef.h>

#include <lua.h>

struct tael_late_kind {                                /* indices are absolute; raise */
    void (*find)(lua_State *L, int source, int name);  /* pushes the field; nil: it was given */
    void (*fill)(lua_State *L, int source, int table); /* sets all that were not given */
};

struct tael_late { /* first in a userdata: what a table is made from, its source */
    const struct tael_late_kind *kind;
    size_t bytes; /* of it: what it costs to go through */
    int finds;    /* so far */
};

/* Puts a late table in the place of the source on top. Raises. */
void tael_late_make(lua_State *L);
/* If the value is a late table, it is none any more. Raises, also when the steps are used up. */
void tael_late_fill(lua_State *L, int index);

#endif
