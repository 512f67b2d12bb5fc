/* proof.c - arguments and metatables of the bindings that deal with proof. */
#include "bind/proof.h"

#include <lauxlib.h>

struct tael_span tael_check_text(lua_State *L, int index)
{
    struct tael_span span = {NULL, 0};
    luaL_checktype(L, index, LUA_TSTRING);
    span.data = lua_tolstring(L, index, &span.len);
    return span;
}

enum tael_digest tael_check_digest(lua_State *L, int index, bool md5)
{
    enum tael_digest kind = TAEL_DIGEST_SHA256;
    struct tael_span name = tael_check_text(L, index);
    if (!tael_digest_named(name, &kind) || (kind == TAEL_DIGEST_MD5 && !md5))
        luaL_argerror(L, index, md5 ? "sha256, sha1 or md5 expected" : "sha256 or sha1 expected");
    return kind;
}

void tael_check_options(lua_State *L, int index, const char *const *names)
{
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        const char *const *known = names;
        while (*known != NULL && strcmp(*known, name) != 0)
            known++;
        if (*known == NULL)
            luaL_error(L, "unknown option '%s'", name);
    }
}

void tael_push_metatable(lua_State *L, const char *name, const luaL_Reg *meta)
{
    if (!luaL_newmetatable(L, name))
        return;
    luaL_setfuncs(L, meta, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}
