/* processes.h - the processes of a Lua state for its scripts: made by isolate.processes, gone with
 * the state. On the state's thread.
 */
#ifndef TAEL_BIND_PROCESSES_H
#define TAEL_BIND_PROCESSES_H

#include <lua.h>

#include "bind/children.h"

struct tael_children *tael_processes_check(lua_State *L); /* raises where there are none */
/* Ends the process of that owner, when there is one. */
void tael_processes_distrust(lua_State *L, struct tael_span owner);

/* The same, of one that is not needed any more. */
void tael_processes_end(lua_State *L, struct tael_span owner);

int tael_isolate_processes(lua_State *L); /* isolate.processes */

#endif
