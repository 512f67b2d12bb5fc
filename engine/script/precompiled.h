/* precompiled.h - Tael's own Lua, compiled when the program was built: require finds it there.
 *
 * It cannot be older than the file: the text is read at every require, and code that was made from
 * another text, or by another Lua, is not used; the file is then compiled as ever.
 */
#ifndef TAEL_SCRIPT_PRECOMPILED_H
#define TAEL_SCRIPT_PRECOMPILED_H

#include <lua.h>

#include "base/bytes.h"
#include "base/siphash.h"

/* What stands before the name of the source in the code of a chunk: Lua's header and the number of
 * upvalues. */
enum { TAEL_PRECOMPILED_HEAD = 32 };

/* The fingerprint of a text: that of a file that was changed is another. */
static inline uint64_t tael_precompiled_print(struct tael_span text)
{
    static const struct tael_siphash_seed seed = {0};
    return tael_siphash(&seed, text);
}

/* Pushes a module's chunk and the path of its file, if there is code made from the text that the
 * file under lua_root holds; false: nothing pushed. May raise errors. */
bool tael_precompiled_push(lua_State *L, const char *module, const char *lua_root);

/* Puts a searcher before package.searchers[2], which finds files under lua_root; package.searchers
 * is at index. */
void tael_precompiled_install(lua_State *L, int searchers, const char *lua_root);

#endif
