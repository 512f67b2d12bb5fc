/* decimal.c - tael.decimal: amounts as text and arithmetic that cannot wrap. Contract:
 * lua/tael/meta/decimal.lua. Works in every Lua state and context.
 */
#include "base/decimal.h"

#include <lauxlib.h>

#include "bind/bind.h"

enum { SCALE_MAX = 18 };

static int check_scale(lua_State *L, int index)
{
    lua_Integer scale = luaL_checkinteger(L, index);
    luaL_argcheck(L, scale >= 0 && scale <= SCALE_MAX, index, "0 to 18 decimals");
    return (int)scale;
}

/* decimal.parse(text, scale) -> integer | nil, err */
static int decimal_parse(lua_State *L)
{
    size_t len;
    int64_t minor;
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *text = lua_tolstring(L, 1, &len);
    tael_status rc = tael_decimal_parse(text, len, check_scale(L, 2), &minor);
    if (rc == TAEL_ELIMIT)
        return tael_bind_fail(L, "out_of_range", "the amount is too large");
    if (rc != TAEL_OK)
        return tael_bind_fail(L, "invalid_decimal", "not a decimal of this scale");
    lua_pushinteger(L, minor);
    return 1;
}

/* decimal.format(minor, scale) -> text */
static int decimal_format(lua_State *L)
{
    char text[TAEL_DECIMAL_TEXT_MAX];
    size_t len = tael_decimal_format(luaL_checkinteger(L, 1), check_scale(L, 2), text);
    lua_pushlstring(L, text, len);
    return 1;
}

static int calculate(lua_State *L, tael_status (*fn)(int64_t, int64_t, int64_t *))
{
    int64_t result;
    if (fn(luaL_checkinteger(L, 1), luaL_checkinteger(L, 2), &result) != TAEL_OK)
        return luaL_error(L, "integer overflow");
    lua_pushinteger(L, result);
    return 1;
}

/* decimal.add(a, b) -> integer; raises on overflow, as the three that follow */
static int decimal_add(lua_State *L)
{
    return calculate(L, tael_int64_add);
}

static int decimal_sub(lua_State *L)
{
    return calculate(L, tael_int64_sub);
}

static int decimal_mul(lua_State *L)
{
    return calculate(L, tael_int64_mul);
}

/* decimal.ratio(a, num, den) -> a * num / den, half away from zero */
static int decimal_ratio(lua_State *L)
{
    int64_t result;
    lua_Integer den = luaL_checkinteger(L, 3);
    luaL_argcheck(L, den > 0, 3, "greater than 0");
    if (tael_int64_ratio(luaL_checkinteger(L, 1), luaL_checkinteger(L, 2), den, &result) != TAEL_OK)
        return luaL_error(L, "integer overflow");
    lua_pushinteger(L, result);
    return 1;
}

int tael_open_decimal(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"parse", decimal_parse},
        {"format", decimal_format},
        {"add", decimal_add},
        {"sub", decimal_sub},
        {"mul", decimal_mul},
        {"ratio", decimal_ratio},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
