/* rows.h - rows of the store as Lua tables. Owner: the state; on its thread. */
#ifndef TAEL_BIND_ROWS_H
#define TAEL_BIND_ROWS_H

#include <lua.h>

#include "store/store.h"

/* Pushes an array of tables, one a row. A column that is NULL is absent; "a.b" is b in the row's
 * table a. Raises when there is no memory. */
void tael_bind_push_rows(lua_State *L, const struct tael_statement *statement,
                         const struct tael_rows *rows);

#endif
