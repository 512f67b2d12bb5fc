/* pattern.h - find, match, gmatch and gsub for scripts in an isolate: as Lua 5.4 describes them
 * (manual §6.4.1), but what they do is counted, so that no pattern holds the loop.
 */
#ifndef TAEL_SCRIPT_PATTERN_H
#define TAEL_SCRIPT_PATTERN_H

#include <lua.h>

/* Puts the four functions into the table on top of the stack. Raises. */
void tael_pattern_open(lua_State *L);
int tael_pattern_gsub(lua_State *L);

#endif
