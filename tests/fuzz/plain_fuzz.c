/* plain_fuzz.c - plain data from a process that a script has taken over: bytes that are read are
 * within the limits, and what was read can be written and read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/plain.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const struct tael_plain_limits limits = {.depth = 32, .items = 10000, .bytes = 1 << 20};

static int read_and_write(lua_State *L)
{
    const struct tael_span *input = lua_touserdata(L, 1);
    struct tael_cursor from = tael_cursor_of(input->data, input->len);
    struct tael_buf *out = lua_touserdata(L, 2);
    char fault[TAEL_PLAIN_FAULT_MAX];
    if (!tael_plain_push(L, &from, &limits)) {
        if (lua_gettop(L) != 2 || from.at != input->data)
            abort();
        return 0;
    }
    if (from.at <= input->data || from.at > from.end || lua_gettop(L) != 3)
        abort();
    if (tael_plain_write(L, 3, &limits, out, fault) != TAEL_OK) {
        fprintf(stderr, "read, but not written: %s\n", fault);
        abort();
    }
    struct tael_cursor again = tael_cursor_of(out->data, out->len);
    if (!tael_plain_push(L, &again, &limits) || again.at != again.end ||
        lua_type(L, 3) != lua_type(L, 4))
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    lua_State *L = luaL_newstate();
    struct tael_span input = {size > 0 ? (const char *)data : "", size};
    struct tael_buf out = {.max = SIZE_MAX};
    if (L == NULL)
        return 0;
    lua_pushcfunction(L, read_and_write);
    lua_pushlightuserdata(L, &input);
    lua_pushlightuserdata(L, &out);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    tael_buf_free(&out);
    lua_close(L);
    return 0;
}
