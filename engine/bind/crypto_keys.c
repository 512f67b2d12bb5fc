/* crypto_keys.c - the part of tael.crypto that deals with keys, secrets and their folder. Contract:
 * lua/tael/meta/crypto.lua.
 *
 * 1 A handle is a closed userdata; its finalizer cannot be reached from Lua. 2 No function returns
 * a byte of a private key or secret; tostring shows the fingerprint. 3 What a handle may do (sign,
 * verify, for which account) is fixed when it is made. 4 The userdata exists before what it owns
 * does.
 */
#include <stdio.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/proof.h"
#include "crypto/codec.h"
#include "crypto/keyring.h"

struct secret_handle { /* userdata "tael.secret" */
    struct tael_secret *secret;
};

struct ring_handle {           /* userdata, upvalue 1 of every function of the module */
    struct tael_keyring *ring; /* NULL: no folder is open */
};

/* ---- key handles ---- */

struct tael_key_handle *tael_check_key(lua_State *L, int index)
{
    struct tael_key_handle *handle = luaL_checkudata(L, index, "tael.key");
    luaL_argcheck(L, handle->key != NULL, index, "the key is gone");
    return handle;
}

static int key_free(lua_State *L)
{
    struct tael_key_handle *handle = lua_touserdata(L, 1);
    tael_key_release(handle->key);
    handle->key = NULL;
    return 0;
}

static int key_text(lua_State *L)
{
    const struct tael_key_handle *handle = tael_check_key(L, 1);
    lua_pushfstring(L, "tael.key (%s)", tael_key_id(handle->key));
    return 1;
}

static int key_id(lua_State *L)
{
    lua_pushstring(L, tael_key_id(tael_check_key(L, 1)->key));
    return 1;
}

static int key_bits(lua_State *L)
{
    lua_pushinteger(L, tael_key_bits(tael_check_key(L, 1)->key));
    return 1;
}

/* key:check() -> true | nil, err */
static int key_check(lua_State *L)
{
    tael_error err = {0};
    if (tael_key_check(tael_check_key(L, 1)->key, &err) != TAEL_OK)
        return tael_fail_with(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* key:sign(digest, text) -> base64 */
static int key_sign(lua_State *L)
{
    const struct tael_key_handle *handle = tael_check_key(L, 1);
    enum tael_digest digest = tael_check_digest(L, 2, false);
    struct tael_span text = tael_check_text(L, 3);
    unsigned char signature[TAEL_SIGNATURE_MAX];
    char base64[TAEL_SIGNATURE_MAX / 3 * 4 + 4];
    size_t len = 0;
    if (tael_key_use_of(handle->key) != TAEL_KEY_SIGN)
        return luaL_error(L, "a key for verifying cannot sign");
    if (tael_key_sign(handle->key, digest, text, signature, &len) != TAEL_OK)
        return luaL_error(L, "cannot sign");
    lua_pushlstring(L, base64, tael_base64_encode(base64, signature, len));
    return 1;
}

bool tael_signature_decode(struct tael_span text, unsigned char out[TAEL_SIGNATURE_MAX],
                           size_t *len)
{
    return text.len <= TAEL_SIGNATURE_MAX / 3 * 4 &&
           tael_base64_decode(out, len, text.data, text.len);
}

/* key:verify(digest, text, signature) -> boolean; proves nothing to the kernel */
static int key_verify(lua_State *L)
{
    const struct tael_key_handle *handle = tael_check_key(L, 1);
    enum tael_digest digest = tael_check_digest(L, 2, false);
    struct tael_span text = tael_check_text(L, 3);
    struct tael_span base64 = tael_check_text(L, 4);
    unsigned char signature[TAEL_SIGNATURE_MAX];
    size_t len = 0;
    tael_status rc = TAEL_EINVAL;
    if (tael_signature_decode(base64, signature, &len))
        rc = tael_key_verify(handle->key, digest, text,
                             (struct tael_span){(const char *)signature, len});
    if (rc == TAEL_EINTERNAL || rc == TAEL_ENOMEM)
        return luaL_error(L, "cannot verify");
    lua_pushboolean(L, rc == TAEL_OK);
    return 1;
}

static struct tael_key_handle *push_key(lua_State *L, int64_t account)
{
    static const luaL_Reg meta[] = {{"__gc", key_free}, {"__tostring", key_text}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"sign", key_sign},   {"verify", key_verify},      {"id", key_id}, {"bits", key_bits},
        {"check", key_check}, {"attest", tael_key_attest}, {NULL, NULL},
    };
    struct tael_key_handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
    *handle = (struct tael_key_handle){.account = account};
    tael_push_metatable(L, "tael.key", meta);
    if (lua_getfield(L, -1, "__index") == LUA_TNIL) {
        luaL_newlib(L, methods);
        lua_setfield(L, -3, "__index");
    }
    lua_pop(L, 1);
    lua_setmetatable(L, -2);
    return handle;
}

/* ---- secret handles ---- */

bool tael_is_secret(lua_State *L, int index)
{
    return luaL_testudata(L, index, "tael.secret") != NULL;
}

static struct tael_secret *check_secret_handle(lua_State *L, int index)
{
    struct secret_handle *handle = luaL_checkudata(L, index, "tael.secret");
    luaL_argcheck(L, handle->secret != NULL, index, "the secret is gone");
    return handle->secret;
}

struct tael_span tael_check_secret(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TSTRING)
        return tael_check_text(L, index);
    return tael_secret_bytes(check_secret_handle(L, index));
}

static int secret_free(lua_State *L)
{
    struct secret_handle *handle = lua_touserdata(L, 1);
    tael_secret_release(handle->secret);
    handle->secret = NULL;
    return 0;
}

static int secret_text(lua_State *L)
{
    lua_pushfstring(L, "tael.secret (%s)", tael_secret_id(check_secret_handle(L, 1)));
    return 1;
}

static struct secret_handle *push_secret_handle(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__gc", secret_free}, {"__tostring", secret_text}, {NULL, NULL}};
    struct secret_handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
    handle->secret = NULL;
    tael_push_metatable(L, "tael.secret", meta);
    lua_setmetatable(L, -2);
    return handle;
}

void tael_push_secret(lua_State *L, struct tael_span bytes)
{
    struct secret_handle *handle = push_secret_handle(L);
    tael_status rc = tael_secret_new(&handle->secret, bytes.data, bytes.len);
    if (rc == TAEL_EINVAL)
        luaL_error(L, "a secret has %d to %d bytes", TAEL_SECRET_MIN, TAEL_SECRET_MAX);
    else if (rc != TAEL_OK)
        luaL_error(L, "no memory for a secret");
}

/* ---- the folder ---- */

static int ring_free(lua_State *L)
{
    struct ring_handle *handle = lua_touserdata(L, 1);
    tael_keyring_release(handle->ring);
    handle->ring = NULL;
    return 0;
}

/* The engine's, or in a state of its own one of its own. */
static tael_status open_ring(lua_State *L, struct tael_keyring **out, const char *folder,
                             struct tael_secret *master, tael_error *err)
{
    const struct tael_host *host = tael_host_of(L);
    if (host != NULL && host->keyring != NULL)
        return tael_shared_keyring_open(host->keyring, out, folder, master, err);
    return tael_keyring_open(out, folder, master, err);
}

static struct tael_keyring *check_ring(lua_State *L, const char *name)
{
    tael_refuse_pure(L, name);
    const struct ring_handle *handle = lua_touserdata(L, lua_upvalueindex(1));
    if (handle->ring == NULL)
        luaL_error(L, "%s: no key folder is open (crypto.keys)", name);
    return handle->ring;
}

/* crypto.keys(folder, master?) -> true | nil, err */
static int open_keys(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    struct ring_handle *handle = lua_touserdata(L, lua_upvalueindex(1));
    tael_error err = {0};
    tael_refuse_pure(L, "crypto.keys");
    if (!lua_isnoneornil(L, 2) && !tael_is_secret(L, 2)) {
        tael_push_secret(L, tael_check_text(L, 2));
        lua_replace(L, 2);
    }
    struct tael_secret *master = lua_isnoneornil(L, 2) ? NULL : check_secret_handle(L, 2);
    if (handle->ring != NULL && strcmp(tael_keyring_folder(handle->ring), folder) != 0)
        return luaL_error(L, "crypto.keys: another key folder is open");
    if (handle->ring == NULL && open_ring(L, &handle->ring, folder, master, &err) != TAEL_OK)
        return tael_fail_with(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

struct key_options {
    enum tael_key_use use;
    int64_t account;
    bool weak;
};

static struct key_options check_key_options(lua_State *L, int index)
{
    static const char *const names[] = {"use", "account", "weak", NULL};
    static const char *const uses[] = {"sign", "verify", NULL};
    struct key_options options;
    tael_check_options(L, index, names);
    lua_settop(L, index);
    lua_getfield(L, index, "use");
    options.use = luaL_checkoption(L, -1, NULL, uses) == 0 ? TAEL_KEY_SIGN : TAEL_KEY_VERIFY;
    lua_getfield(L, index, "account");
    options.account = luaL_optinteger(L, -1, 0);
    luaL_argcheck(L, options.account >= 0, index, "account must not be negative");
    lua_getfield(L, index, "weak");
    options.weak = lua_toboolean(L, -1);
    lua_settop(L, index);
    return options;
}

/* crypto.key(name, {use=, account=?, weak=?}) -> key | nil, err */
static int open_key(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct key_options options = check_key_options(L, 2);
    struct tael_keyring *ring = check_ring(L, "crypto.key");
    struct tael_key_handle *handle = push_key(L, options.account);
    tael_error err = {0};
    if (tael_keyring_key(ring, name, options.use, options.weak, &handle->key, &err) != TAEL_OK)
        return tael_fail_with(L, &err);
    return 1;
}

/* crypto.key_from_pem(text, {use=, account=?, weak=?}) -> key | nil, err */
static int read_key(lua_State *L)
{
    struct tael_span text = tael_check_text(L, 1);
    struct key_options options = check_key_options(L, 2);
    struct tael_key_handle *handle = push_key(L, options.account);
    tael_error err = {0};
    tael_status rc = tael_key_parse(&handle->key, text, options.use, options.weak, &err);
    if (rc == TAEL_OK) /* where it comes from nobody knows */
        rc = tael_key_check(handle->key, &err);
    return rc == TAEL_OK ? 1 : tael_fail_with(L, &err);
}

/* crypto.secret(name) -> secret | nil, err */
static int open_secret(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct tael_keyring *ring = check_ring(L, "crypto.secret");
    struct secret_handle *handle = push_secret_handle(L);
    tael_error err = {0};
    if (tael_keyring_secret(ring, name, &handle->secret, &err) != TAEL_OK)
        return tael_fail_with(L, &err);
    return 1;
}

/* crypto.exists(name, "key"|"pub"|"secret") -> boolean */
static int key_exists(lua_State *L)
{
    static const char *const kinds[] = {"key", "pub", "secret", NULL};
    static const enum tael_key_kind of[] = {TAEL_KIND_KEY, TAEL_KIND_PUB, TAEL_KIND_SECRET};
    const char *name = luaL_checkstring(L, 1);
    int kind = luaL_checkoption(L, 2, NULL, kinds);
    lua_pushboolean(L, tael_keyring_exists(check_ring(L, "crypto.exists"), name, of[kind]));
    return 1;
}

/* crypto.generate(name, bits) -> true | nil, err */
static int generate_key(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_Integer bits = luaL_checkinteger(L, 2);
    struct tael_keyring *ring = check_ring(L, "crypto.generate");
    tael_error err = {0};
    if (bits < 0 || bits > TAEL_KEY_BITS_MAX)
        bits = 0; /* refused below, with the limits in the message */
    if (tael_keyring_add_key(ring, name, (int)bits, &err) != TAEL_OK)
        return tael_fail_with(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* crypto.generate_public(name) -> true | nil, err */
static int generate_public(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct tael_keyring *ring = check_ring(L, "crypto.generate_public");
    tael_error err = {0};
    if (tael_keyring_add_public(ring, name, &err) != TAEL_OK)
        return tael_fail_with(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* crypto.generate_secret(name, n) -> true | nil, err */
static int generate_secret(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_Integer n = luaL_checkinteger(L, 2);
    struct tael_keyring *ring = check_ring(L, "crypto.generate_secret");
    tael_error err = {0};
    luaL_argcheck(L, n >= TAEL_SECRET_MIN && n <= TAEL_SECRET_MAX, 2, "16 to 1024 bytes expected");
    size_t len = (size_t)n;
    char *bytes = tael_secure_alloc(len);
    if (bytes == NULL)
        return luaL_error(L, "no memory for a secret");
    tael_status rc = tael_system_random(bytes, len);
    if (rc == TAEL_OK)
        rc = tael_keyring_add_secret(ring, name, (struct tael_span){bytes, len}, &err);
    tael_secure_free(bytes, len);
    if (rc != TAEL_OK && err.status == TAEL_OK)
        return luaL_error(L, "no randomness");
    if (rc != TAEL_OK)
        return tael_fail_with(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- public parts ---- */

/* Reads <name>.pub, or the public part of <name>.key where there is no such file. */
static tael_status public_text(struct tael_keyring *ring, const char *name, bool pem,
                               struct tael_buf *out, tael_error *err)
{
    struct tael_key *key = NULL;
    enum tael_key_use use = tael_keyring_exists(ring, name, TAEL_KIND_PUB) ||
                                    !tael_keyring_exists(ring, name, TAEL_KIND_KEY)
                                ? TAEL_KEY_VERIFY
                                : TAEL_KEY_SIGN;
    tael_status rc = tael_keyring_key(ring, name, use, true, &key, err);
    if (rc != TAEL_OK)
        return rc;
    rc = pem ? tael_key_public_pem(key, out) : tael_key_public_der(key, out);
    if (rc != TAEL_OK && err != NULL)
        *err = (tael_error){
            .status = rc, .code = "internal", .message = "no text for the key: out of memory"};
    tael_key_release(key);
    return rc;
}

static int push_public(lua_State *L, const char *function, bool pem)
{
    enum { ROOM = 8 * 1024 };
    const char *name = luaL_checkstring(L, 1);
    struct tael_keyring *ring = check_ring(L, function);
    struct tael_buf buf = {.max = ROOM / 2};
    char text[ROOM];
    size_t len = 0;
    tael_error err = {0};
    tael_status rc = public_text(ring, name, pem, &buf, &err);
    if (rc == TAEL_OK && pem)
        memcpy(text, buf.data, len = buf.len);
    else if (rc == TAEL_OK)
        len = tael_base64_encode(text, buf.data, buf.len);
    tael_buf_free(&buf);
    if (rc != TAEL_OK)
        return tael_fail_with(L, &err);
    lua_pushlstring(L, text, len);
    return 1;
}

/* crypto.public_pem(name) -> SubjectPublicKeyInfo PEM | nil, err */
static int public_pem(lua_State *L)
{
    return push_public(L, "crypto.public_pem", true);
}

/* crypto.public_base64(name) -> the same as one line of base64 | nil, err */
static int public_base64(lua_State *L)
{
    return push_public(L, "crypto.public_base64", false);
}

void tael_crypto_add_keys(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"keys", open_keys},
        {"key", open_key},
        {"key_from_pem", read_key},
        {"secret", open_secret},
        {"exists", key_exists},
        {"generate", generate_key},
        {"generate_public", generate_public},
        {"generate_secret", generate_secret},
        {"public_pem", public_pem},
        {"public_base64", public_base64},
        {NULL, NULL},
    };
    static const luaL_Reg meta[] = {{"__gc", ring_free}, {NULL, NULL}};
    struct ring_handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
    handle->ring = NULL;
    tael_push_metatable(L, "tael.keyring", meta);
    lua_setmetatable(L, -2);
    luaL_setfuncs(L, functions, 1);
}
