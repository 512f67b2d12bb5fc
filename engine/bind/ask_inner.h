/* ask_inner.h - what the files of asking share: ask.c runs calls, ask_tael.c is what they require.
 */
#ifndef TAEL_BIND_ASK_INNER_H
#define TAEL_BIND_ASK_INNER_H

#include "bind/ask.h"

struct tael_ask *tael_ask_of(lua_State *L); /* whose run L is */
void tael_ask_push_span(lua_State *L, struct tael_span span);
/* require(name), in a run: "tael", or a file of the same generation, each loaded once. */
int tael_ask_require(lua_State *L);
/* Is a file of the generation being loaded in this run? */
bool tael_ask_loads(lua_State *L);
/* Pushes what require "tael" gives: effects, helpers. Raises. */
void tael_ask_push_tael(lua_State *L, const struct tael_generation *generation);

#endif
