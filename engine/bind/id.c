/* id.c - tael.id: public ids that nobody can guess or count. Contract: lua/tael/meta/id.lua.
 *
 * An id is the number and the first half of an HMAC over prefix and number, as 26 characters: who
 * has no key cannot make one that is accepted, and ids of one kind are none of another. Works in
 * every Lua state and context once the key is set.
 */
#include <lauxlib.h>

#include "bind/proof.h"
#include "crypto/codec.h"

enum { PREFIX_MAX = 16, NUMBER_BYTES = 8, PROOF_BYTES = 8 };

struct keyed {              /* userdata, every function's upvalue 1 */
    struct tael_hmac *hmac; /* NULL: no key is set */
};

static int keyed_close(lua_State *L)
{
    struct keyed *keyed = lua_touserdata(L, 1);
    tael_hmac_free(keyed->hmac);
    keyed->hmac = NULL;
    return 0;
}

/* id.set_key(bytes | secret), once per state */
static int id_set_key(lua_State *L)
{
    struct keyed *keyed = lua_touserdata(L, lua_upvalueindex(1));
    if (!tael_is_secret(L, 1)) { /* the rules of secrets hold for bytes, too */
        tael_push_secret(L, tael_check_text(L, 1));
        lua_replace(L, 1);
    }
    if (keyed->hmac != NULL)
        return luaL_error(L, "id.set_key: the key is set");
    if (tael_hmac_new(&keyed->hmac, TAEL_DIGEST_SHA256, tael_check_secret(L, 1)) != TAEL_OK)
        return luaL_error(L, "tael.id: no digest");
    return 0;
}

static struct tael_span check_prefix(lua_State *L, int index)
{
    struct tael_span prefix = tael_check_text(L, index);
    bool ok = prefix.len > 0 && prefix.len <= PREFIX_MAX;
    for (size_t i = 0; ok && i < prefix.len; i++)
        ok = prefix.data[i] >= 'a' && prefix.data[i] <= 'z';
    luaL_argcheck(L, ok, index, "1 to 16 letters a to z expected");
    return prefix;
}

/* bytes: number, big-endian, and its proof. */
static void fill(lua_State *L, struct tael_span prefix, int64_t number,
                 unsigned char bytes[NUMBER_BYTES + PROOF_BYTES])
{
    char message[PREFIX_MAX + NUMBER_BYTES];
    unsigned char proof[TAEL_DIGEST_MAX];
    size_t len = 0;
    for (int i = 0; i < NUMBER_BYTES; i++)
        bytes[i] = (unsigned char)((uint64_t)number >> (56 - 8 * i) & 255);
    memcpy(message, prefix.data, prefix.len);
    memcpy(message + prefix.len, bytes, NUMBER_BYTES);
    const struct keyed *keyed = lua_touserdata(L, lua_upvalueindex(1));
    if (keyed->hmac == NULL)
        luaL_error(L, "tael.id: no key is set");
    if (tael_hmac_run(keyed->hmac, (struct tael_span){message, prefix.len + NUMBER_BYTES}, proof,
                      &len) != TAEL_OK)
        luaL_error(L, "tael.id: no digest");
    memcpy(bytes + NUMBER_BYTES, proof, PROOF_BYTES);
}

static int push_id(lua_State *L, struct tael_span prefix, int64_t number, bool bare)
{
    unsigned char bytes[NUMBER_BYTES + PROOF_BYTES];
    char text[PREFIX_MAX + 1 + TAEL_BASE32_LEN];
    size_t len = 0;
    fill(L, prefix, number, bytes);
    if (!bare) {
        memcpy(text, prefix.data, prefix.len);
        len = prefix.len;
        text[len++] = '_';
    }
    tael_base32_encode(text + len, bytes);
    lua_pushlstring(L, text, len + TAEL_BASE32_LEN);
    return 1;
}

static int fail(lua_State *L)
{
    luaL_pushfail(L);
    return 1;
}

/* Pushes the number of the 26 characters, or nil. */
static int push_number(lua_State *L, struct tael_span prefix, struct tael_span text)
{
    unsigned char given[NUMBER_BYTES + PROOF_BYTES];
    unsigned char right[NUMBER_BYTES + PROOF_BYTES];
    uint64_t number = 0;
    if (!tael_base32_decode(given, text.data, text.len))
        return fail(L);
    for (int i = 0; i < NUMBER_BYTES; i++)
        number = number << 8 | given[i];
    fill(L, prefix, (int64_t)number, right);
    if (!tael_equal((struct tael_span){(const char *)given, sizeof(given)},
                    (struct tael_span){(const char *)right, sizeof(right)}))
        return fail(L);
    lua_pushinteger(L, (lua_Integer)number);
    return 1;
}

/* id.encode(prefix, number) -> "pay_" and 26 characters */
static int id_encode(lua_State *L)
{
    struct tael_span prefix = check_prefix(L, 1);
    return push_id(L, prefix, luaL_checkinteger(L, 2), false);
}

/* The string at index; anything else is no id, and as empty. */
static struct tael_span opt_id(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING ? tael_check_text(L, index)
                                             : (struct tael_span){"", 0};
}

/* id.decode(prefix, text) -> number | nil */
static int id_decode(lua_State *L)
{
    struct tael_span prefix = check_prefix(L, 1);
    struct tael_span text = opt_id(L, 2);
    if (text.len != prefix.len + 1 + TAEL_BASE32_LEN ||
        memcmp(text.data, prefix.data, prefix.len) != 0 || text.data[prefix.len] != '_')
        return fail(L);
    return push_number(L, prefix, (struct tael_span){text.data + prefix.len + 1, TAEL_BASE32_LEN});
}

/* id.number(number, prefix) -> the 26 characters alone */
static int id_number(lua_State *L)
{
    struct tael_span prefix = check_prefix(L, 2);
    return push_id(L, prefix, luaL_checkinteger(L, 1), true);
}

/* id.from_number(prefix, text) -> number | nil */
static int id_from_number(lua_State *L)
{
    struct tael_span prefix = check_prefix(L, 1);
    return push_number(L, prefix, opt_id(L, 2));
}

int tael_open_id(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"set_key", id_set_key}, {"encode", id_encode},           {"decode", id_decode},
        {"number", id_number},   {"from_number", id_from_number}, {NULL, NULL},
    };
    static const luaL_Reg meta[] = {{"__gc", keyed_close}, {NULL, NULL}};
    luaL_newlibtable(L, functions);
    struct keyed *keyed = lua_newuserdatauv(L, sizeof(*keyed), 0);
    keyed->hmac = NULL;
    tael_push_metatable(L, "tael.id.keyed", meta);
    lua_setmetatable(L, -2);
    luaL_setfuncs(L, functions, 1);
    return 1;
}
