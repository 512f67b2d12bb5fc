/* proof.h - what the bindings of keys, forms, messages and ids share; nobody else includes it.
 * On the thread of the state.
 */
#ifndef TAEL_BIND_PROOF_H
#define TAEL_BIND_PROOF_H

#include "base/form.h"
#include "bind/bind.h"
#include "crypto/key.h"
#include "crypto/secret.h"

/* ---- arguments (proof.c) ---- */

struct tael_span tael_check_text(lua_State *L, int index);             /* a string, not a number */
enum tael_digest tael_check_digest(lua_State *L, int index, bool md5); /* md5: allowed */
static inline int tael_fail_with(lua_State *L, const tael_error *err)  /* nil, err; returns 2 */
{
    return tael_bind_fail(L, err->code, err->message);
}
/* Raises when the table at index has a key that is not among names (ended by NULL). */
void tael_check_options(lua_State *L, int index, const char *const *names);
/* Pushes the metatable `name`, made on first use: methods, closed to Lua. */
void tael_push_metatable(lua_State *L, const char *name, const luaL_Reg *meta);

/* ---- keys and secrets (crypto_keys.c) ---- */

struct tael_key_handle { /* userdata "tael.key" */
    struct tael_key *key;
    int64_t account; /* 0: none, cannot attest */
};

struct tael_key_handle *tael_check_key(lua_State *L, int index);
/* The bytes of a secret handle or of a string. */
struct tael_span tael_check_secret(lua_State *L, int index);
/* Pushes a handle of a secret with these bytes; raises when they are too few or too many. */
void tael_push_secret(lua_State *L, struct tael_span bytes);
bool tael_is_secret(lua_State *L, int index);
/* Decodes a signature's base64. False: malformed, or longer than any signature. */
bool tael_signature_decode(struct tael_span text, unsigned char out[TAEL_SIGNATURE_MAX],
                           size_t *len);
void tael_crypto_add_keys(lua_State *L); /* to the module on top of L */

/* ---- forms (form.c) ---- */

/* Decodes into memory that is pushed as a userdata, fields in the order they came; NULL: pushes nil
 * and the error instead. The names of limits that options gives must outlive the call only. */
struct tael_form *tael_form_push_fields(lua_State *L, struct tael_span bytes, int options);
/* Pushes the map and the list of names, or nil and the error; returns 2. options: index of a table,
 * or 0; names that are not decoding's are ignored. */
int tael_form_push(lua_State *L, struct tael_span bytes, int options);

/* ---- evidence (message.c) ---- */

int tael_key_attest(lua_State *L); /* key:attest(digest, material, signature) */

#endif
