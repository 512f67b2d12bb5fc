/* qr.c - tael.qr: text as a QR code. Contract: lua/tael/meta/qr.lua. Works in every Lua state and
 * context.
 */
#include <errno.h>

#include <lauxlib.h>
#include <qrencode.h>

#include "bind/bind.h"

enum { MODULES_MAX = 177 }; /* of one side, version 40 */

/* The code lies in a box of Lua's, so that it is freed when a row does not fit into memory. */
static int code_free(lua_State *L)
{
    QRcode **box = lua_touserdata(L, 1);
    QRcode_free(*box);
    *box = NULL;
    return 0;
}

static QRecLevel check_level(lua_State *L, int index)
{
    static const char *const names[] = {"L", "M", "Q", "H", NULL};
    static const QRecLevel levels[] = {QR_ECLEVEL_L, QR_ECLEVEL_M, QR_ECLEVEL_Q, QR_ECLEVEL_H};
    if (lua_isnoneornil(L, index))
        return QR_ECLEVEL_M;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "level");
    QRecLevel level = levels[luaL_checkoption(L, -1, "M", names)];
    lua_pop(L, 1);
    return level;
}

static void push_rows(lua_State *L, const QRcode *code)
{
    char row[MODULES_MAX];
    size_t width = (size_t)code->width;
    lua_createtable(L, code->width, 0);
    for (size_t y = 0; y < width; y++) {
        for (size_t x = 0; x < width; x++) /* bit 0 is the colour, the others say what for */
            row[x] = (code->data[y * width + x] & 1) != 0 ? '1' : '0';
        lua_pushlstring(L, row, width);
        lua_rawseti(L, -2, (lua_Integer)y + 1);
    }
}

/* qr.encode(text, {level="M"}?) -> rows | nil, err */
static int qr_encode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len > 0, 1, "empty");
    luaL_argcheck(L, strlen(text) == len, 1, "holds a NUL");
    QRecLevel level = check_level(L, 2);
    QRcode **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    luaL_setmetatable(L, "tael.qr.code");
    *box = QRcode_encodeString(text, 0, level, QR_MODE_8, 1);
    if (*box == NULL && errno == ERANGE)
        return tael_bind_fail(L, "too_long", "the text does not fit into a QR code");
    if (*box == NULL || (*box)->width > MODULES_MAX)
        return luaL_error(L, "qr.encode: %s", *box == NULL ? "out of memory" : "too large");
    push_rows(L, *box);
    QRcode_free(*box);
    *box = NULL;
    return 1;
}

int tael_open_qr(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", qr_encode},
        {NULL, NULL},
    };
    luaL_newmetatable(L, "tael.qr.code");
    lua_pushcfunction(L, code_free);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, functions);
    return 1;
}
