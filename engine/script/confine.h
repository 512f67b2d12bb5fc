/* confine.h - what the files of the confined environment share: confine.c puts it together;
 * nobody else includes it. All raise.
 */
#ifndef TAEL_SCRIPT_CONFINE_H
#define TAEL_SCRIPT_CONFINE_H

#include <lua.h>

#include "script/isolate.h"

#define TAEL_LIBRARY_GLOBALS "_G"

/* Puts what scripts have of string, table, utf8, math or the globals into the table on top
 * (library.c). */
void tael_library_fill(lua_State *L, const struct tael_functions *functions, const char *library);
/* Is this a function of string or table.concat, which makes texts and makes no table grow? Never
 * raises. */
bool tael_library_makes_text(lua_CFunction function);
/* Lua's own iterator of ipairs. */
lua_CFunction tael_functions_next_place(const struct tael_functions *functions);

/* Pushes setmetatable as scripts have it (metatable.c). */
void tael_metatable_push(lua_State *L);
/* The table at index 1 has no metamethod that a library's function would have to call. */
void tael_metatable_check_plain(lua_State *L, int index);

int tael_confined_sort(lua_State *L);   /* table.sort (sort.c) */
int tael_confined_concat(lua_State *L); /* table.concat (concat.c); upvalue 1: Lua's own */

int tael_confined_tostring(lua_State *L); /* tostring, without addresses (confine.c) */

#endif
