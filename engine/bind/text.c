/* text.c - tael.text: what a text may hold, looked at once. Contract: lua/tael/meta/text.lua.
 *
 * Pure, in every Lua state and context. Patterns would do, at some thirty times the cost.
 */
#include <lauxlib.h>

#include "base/utf8.h"
#include "bind/bind.h"

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Are eight bytes all printable ASCII (0x20 to 0x7E)? Bit 7 of a byte is set in any of the three
 * terms when it is not: above 0x7F, 0x7F, below 0x20. */
static bool is_plain_ascii(uint64_t bytes)
{
    uint64_t above = bytes | (bytes + EACH_BYTE(0x01));
    uint64_t below = bytes - EACH_BYTE(0x20);
    return ((above | below) & EACH_BYTE(0x80)) == 0;
}

/* Well-formed UTF-8 without control characters (0x00 to 0x1F, 0x7F). */
static bool is_plain(const char *text, size_t len)
{
    const char *at = text, *end = text + len;
    while (at < end) {
        uint64_t eight;
        if (end - at >= (ptrdiff_t)sizeof(eight)) {
            memcpy(&eight, at, sizeof(eight));
            if (is_plain_ascii(eight)) {
                at += sizeof(eight);
                continue;
            }
        }
        unsigned char byte = (unsigned char)*at;
        size_t step = 1;
        if (byte < 0x20 || byte == 0x7f)
            return false;
        if (byte >= 0x80 && (step = tael_utf8_length(at, end)) == 0)
            return false;
        at += step;
    }
    return true;
}

/* text.is_plain(value, max?) -> boolean */
static int text_is_plain(lua_State *L)
{
    size_t len = 0;
    lua_Integer max = luaL_optinteger(L, 2, LUA_MAXINTEGER);
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &len) : NULL;
    bool fits = text != NULL && max >= 0 && len <= (lua_Unsigned)max;
    lua_pushboolean(L, fits && is_plain(text, len));
    return 1;
}

int tael_open_text(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"is_plain", text_is_plain},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
