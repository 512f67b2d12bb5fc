/* plain_late.h - plain data (plain.h) for a script, as tables that are made of the bytes when it
 * looks at them (script/late.h). In isolates. */
#ifndef TAEL_BIND_PLAIN_LATE_H
#define TAEL_BIND_PLAIN_LATE_H

#include "bind/plain.h"

/* Pushes the value that these bytes are, which need not stay. False: they are not plain data, and
 * nothing is pushed; what is inside a table is read later, and raises then. Raises when memory
 * runs out. */
bool tael_plain_push_late(lua_State *L, struct tael_span bytes,
                          const struct tael_plain_limits *limits);

#endif
