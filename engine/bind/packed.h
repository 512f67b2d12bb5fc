/* packed.h - inputs of an ask that are bytes already (plain.h): isolate.pack, isolate.shape. They
 * are made once, whoever is asked with them, and cost no table on their way. */
#ifndef TAEL_BIND_PACKED_H
#define TAEL_BIND_PACKED_H

#include <lua.h>

#include "base/bytes.h"

void tael_open_packed(lua_State *L);      /* the types. Raises */
void tael_packed_push_pack(lua_State *L); /* isolate.pack. Raises */
int tael_isolate_shape(lua_State *L);
/* Is it one? Its bytes stay as long as the value. type: where its metatable is. */
bool tael_packed_is(lua_State *L, int index, int type, struct tael_span *bytes);

#endif
