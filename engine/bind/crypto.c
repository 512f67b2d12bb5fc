/* crypto.c - tael.crypto: digests, ciphers, randomness and texts for bytes. Keys: crypto_keys.c.
 * Contract: lua/tael/meta/crypto.lua.
 *
 * Works in every Lua state: where there is no world (a plain interpreter that runs specs)
 * randomness is the system's. In a channel's pure function there is none.
 */
#include <lauxlib.h>

#include "base/form.h"
#include "bind/proof.h"
#include "crypto/cipher.h"
#include "crypto/codec.h"

enum { RANDOM_MAX = 65536, TEXT_MAX = TAEL_CIPHER_MAX };

static void push_bytes(lua_State *L, const unsigned char *bytes, size_t len)
{
    lua_pushlstring(L, (const char *)bytes, len);
}

static struct tael_span check_bounded(lua_State *L, int index)
{
    struct tael_span text = tael_check_text(L, index);
    luaL_argcheck(L, text.len <= TEXT_MAX, index, "too long");
    return text;
}

/* ---- randomness ---- */

/* The only way from here to the world. */
static void fill_random(lua_State *L, const char *name, void *out, size_t len)
{
    tael_refuse_pure(L, name);
    struct tael_loop *loop = tael_state_loop(tael_state_of(L));
    tael_status rc =
        loop != NULL ? tael_random(loop->world, out, len) : tael_system_random(out, len);
    if (rc != TAEL_OK)
        luaL_error(L, "%s: no randomness", name);
}

/* crypto.random(n) -> n bytes */
static int crypto_random(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_Buffer buffer;
    luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, 1, "0 to 65536 bytes expected");
    char *bytes = luaL_buffinitsize(L, &buffer, (size_t)n);
    fill_random(L, "crypto.random", bytes, (size_t)n);
    luaL_pushresultsize(&buffer, (size_t)n);
    return 1;
}

/* ---- digests ---- */

/* crypto.digest(name, data) -> bytes */
static int crypto_digest(lua_State *L)
{
    enum tael_digest kind = tael_check_digest(L, 1, true);
    unsigned char out[TAEL_DIGEST_MAX];
    size_t len = 0;
    if (tael_digest_of(kind, tael_check_text(L, 2), out, &len) != TAEL_OK)
        return luaL_error(L, "crypto.digest: not available");
    push_bytes(L, out, len);
    return 1;
}

/* crypto.hmac(name, secret, data) -> bytes */
static int crypto_hmac(lua_State *L)
{
    enum tael_digest kind = tael_check_digest(L, 1, false);
    struct tael_span secret = tael_check_secret(L, 2);
    unsigned char out[TAEL_DIGEST_MAX];
    size_t len = 0;
    if (tael_hmac_of(kind, secret, tael_check_text(L, 3), out, &len) != TAEL_OK)
        return luaL_error(L, "crypto.hmac: not available");
    push_bytes(L, out, len);
    return 1;
}

/* crypto.equal(a, b) -> boolean, in constant time */
static int crypto_equal(lua_State *L)
{
    lua_pushboolean(L, tael_equal(tael_check_text(L, 1), tael_check_text(L, 2)));
    return 1;
}

/* crypto.crc32(data) -> integer */
static int crypto_crc32(lua_State *L)
{
    struct tael_span data = tael_check_text(L, 1);
    lua_pushinteger(L, (lua_Integer)tael_crc32(data.data, data.len));
    return 1;
}

/* ---- AES ---- */

static const unsigned char *check_gcm_key(lua_State *L, int index)
{
    struct tael_span key = tael_check_secret(L, index);
    luaL_argcheck(L, key.len == TAEL_GCM_KEY, index, "a key of 32 bytes expected");
    return (const unsigned char *)key.data;
}

static struct tael_span opt_text(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? (struct tael_span){"", 0} : check_bounded(L, index);
}

/* crypto.aes_gcm_seal(key, plain, aad?) -> nonce || ciphertext || tag */
static int gcm_seal(lua_State *L)
{
    const unsigned char *key = check_gcm_key(L, 1);
    struct tael_span plain = check_bounded(L, 2);
    struct tael_span aad = opt_text(L, 3);
    unsigned char nonce[TAEL_GCM_NONCE];
    luaL_Buffer buffer;
    fill_random(L, "crypto.aes_gcm_seal", nonce, sizeof(nonce));
    char *out = luaL_buffinitsize(L, &buffer, plain.len + TAEL_GCM_EXTRA);
    if (tael_gcm_seal(key, nonce, plain, aad, (unsigned char *)out) != TAEL_OK)
        return luaL_error(L, "crypto.aes_gcm_seal: failed");
    luaL_pushresultsize(&buffer, plain.len + TAEL_GCM_EXTRA);
    return 1;
}

/* crypto.aes_gcm_open(key, sealed, aad?) -> plain | nil, err */
static int gcm_open(lua_State *L)
{
    const unsigned char *key = check_gcm_key(L, 1);
    struct tael_span sealed = check_bounded(L, 2);
    struct tael_span aad = opt_text(L, 3);
    size_t len = 0;
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, sealed.len);
    if (tael_gcm_open(key, sealed, aad, (unsigned char *)out, &len) != TAEL_OK)
        return tael_bind_fail(L, "forged", "not sealed with this key");
    luaL_pushresultsize(&buffer, len);
    return 1;
}

static struct tael_span check_cbc_key(lua_State *L, int index)
{
    struct tael_span key = tael_check_secret(L, index);
    luaL_argcheck(L, key.len == 16 || key.len == 24 || key.len == 32, index,
                  "a key of 16, 24 or 32 bytes expected");
    return key;
}

static const unsigned char *check_iv(lua_State *L, int index)
{
    struct tael_span iv = tael_check_text(L, index);
    luaL_argcheck(L, iv.len == TAEL_CBC_BLOCK, index, "16 bytes expected");
    return (const unsigned char *)iv.data;
}

/* crypto.aes_cbc_encrypt(key, iv, data) -> bytes */
static int cbc_encrypt(lua_State *L)
{
    struct tael_span key = check_cbc_key(L, 1);
    const unsigned char *iv = check_iv(L, 2);
    struct tael_span data = check_bounded(L, 3);
    size_t len = 0;
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, data.len + TAEL_CBC_BLOCK);
    if (tael_cbc_encrypt(key, iv, data, (unsigned char *)out, &len) != TAEL_OK)
        return luaL_error(L, "crypto.aes_cbc_encrypt: failed");
    luaL_pushresultsize(&buffer, len);
    return 1;
}

/* crypto.aes_cbc_decrypt(key, iv, data) -> bytes | nil, err */
static int cbc_decrypt(lua_State *L)
{
    struct tael_span key = check_cbc_key(L, 1);
    const unsigned char *iv = check_iv(L, 2);
    struct tael_span data = check_bounded(L, 3);
    size_t len = 0;
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, data.len + TAEL_CBC_BLOCK);
    if (tael_cbc_decrypt(key, iv, data, (unsigned char *)out, &len) != TAEL_OK)
        return tael_bind_fail(L, "damaged", "not encrypted with this key");
    luaL_pushresultsize(&buffer, len);
    return 1;
}

/* ---- texts for bytes ---- */

static int base64_encode(lua_State *L)
{
    struct tael_span data = check_bounded(L, 1);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, tael_base64_room(data.len));
    luaL_pushresultsize(&buffer, tael_base64_encode(out, data.data, data.len));
    return 1;
}

static int base64url_encode(lua_State *L)
{
    struct tael_span data = check_bounded(L, 1);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, tael_base64_room(data.len));
    luaL_pushresultsize(&buffer, tael_base64url_encode(out, data.data, data.len));
    return 1;
}

static int base64_decode(lua_State *L)
{
    struct tael_span text = check_bounded(L, 1);
    size_t len = 0;
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, tael_base64_bytes_room(text.len));
    if (!tael_base64_decode(out, &len, text.data, text.len))
        return tael_bind_fail(L, "invalid", "not base64");
    luaL_pushresultsize(&buffer, len);
    return 1;
}

static int base64url_decode(lua_State *L)
{
    struct tael_span text = check_bounded(L, 1);
    size_t len = 0;
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, tael_base64_bytes_room(text.len));
    if (!tael_base64url_decode(out, &len, text.data, text.len))
        return tael_bind_fail(L, "invalid", "not base64url");
    luaL_pushresultsize(&buffer, len);
    return 1;
}

static int hex_encode(lua_State *L)
{
    struct tael_span data = check_bounded(L, 1);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, 2 * data.len);
    luaL_pushresultsize(&buffer, tael_hex_encode(out, data.data, data.len));
    return 1;
}

static int hex_decode(lua_State *L)
{
    struct tael_span text = check_bounded(L, 1);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, text.len);
    if (!tael_hex_decode(out, text.data, text.len))
        return tael_bind_fail(L, "invalid", "not hexadecimal");
    luaL_pushresultsize(&buffer, text.len / 2);
    return 1;
}

static int url_encode(lua_State *L)
{
    struct tael_span text = check_bounded(L, 1);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, 3 * text.len);
    luaL_pushresultsize(&buffer, tael_percent_encode(out, text.data, text.len));
    return 1;
}

static int url_decode(lua_State *L)
{
    struct tael_span text = check_bounded(L, 1);
    size_t len = 0;
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, text.len);
    if (!tael_percent_decode(out, &len, text.data, text.len, false))
        return tael_bind_fail(L, "invalid", "'%' without two hexadecimal digits");
    luaL_pushresultsize(&buffer, len);
    return 1;
}

static void add_codec(lua_State *L, const char *name, lua_CFunction encode, lua_CFunction decode)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, encode);
    lua_setfield(L, -2, "encode");
    lua_pushcfunction(L, decode);
    lua_setfield(L, -2, "decode");
    lua_setfield(L, -2, name);
}

int tael_open_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"random", crypto_random},
        {"digest", crypto_digest},
        {"hmac", crypto_hmac},
        {"equal", crypto_equal},
        {"crc32", crypto_crc32},
        {"aes_gcm_seal", gcm_seal},
        {"aes_gcm_open", gcm_open},
        {"aes_cbc_encrypt", cbc_encrypt},
        {"aes_cbc_decrypt", cbc_decrypt},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    tael_crypto_add_keys(L);
    add_codec(L, "base64", base64_encode, base64_decode);
    add_codec(L, "base64url", base64url_encode, base64url_decode);
    add_codec(L, "hex", hex_encode, hex_decode);
    add_codec(L, "url", url_encode, url_decode);
    return 1;
}
