/* message.c - tael.message: bytes that came in, what of them was signed, and the proof of it.
 * Contract: lua/tael/meta/message.lua.
 *
 * A message holds bytes as received. A material is the exact text that its sender signed, built
 * here from the message alone, and knows which parts it covers. Evidence is made in one place,
 * attest(), after the signature of a material was verified with a key of the message's account.
 *
 * 1 All three are userdata made only here, linked by user values that Lua cannot reach, and never
 * change. 2 What evidence shows is read from the text that was signed, or is a field that is part
 * of it. 3 Tables handed out are copies. 4 Metatables are closed.
 */
#include <stdio.h>

#include <lauxlib.h>

#include "base/json_span.h"
#include "bind/json.h"
#include "bind/message_form.h"
#include "bind/proof.h"

enum { RAW_MAX = 64 * 1024 * 1024, HEADERS_MAX = 256 };

struct message { /* userdata "tael.message" */
    int64_t account, at;
    unsigned char digest[TAEL_DIGEST_MAX];
};
enum { MESSAGE_RAW = 1, MESSAGE_FORM, MESSAGE_HEADERS, MESSAGE_VALUES = MESSAGE_HEADERS };

enum material_kind { MATERIAL_FORM, MATERIAL_SPAN, MATERIAL_LINES };

struct material { /* userdata "tael.material" */
    enum material_kind kind;
    unsigned char covered[]; /* FORM: a byte for each field of the message */
};
enum { /* COVERED: LINES: the headers */
       MATERIAL_MESSAGE = 1,
       MATERIAL_TEXT,
       MATERIAL_COVERED,
       MATERIAL_VALUES = MATERIAL_COVERED
};

struct evidence { /* userdata "tael.evidence" */
    char key_id[32];
};
enum { EVIDENCE_MATERIAL = 1, EVIDENCE_VALUES = EVIDENCE_MATERIAL };

static const char *const kind_names[] = {"form", "span", "lines"};

/* ---- what the three share ---- */

/* Pushes a copy of the table of strings on top of L in its place; nil stays nil. */
static int copy_table(lua_State *L)
{
    if (lua_isnil(L, -1))
        return 1;
    int table = lua_gettop(L);
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, table) != 0;) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, table + 1);
    }
    lua_replace(L, table);
    return 1;
}

/* Pushes the value of the JSON text at the top of L, or nil, in its place. */
static int decode_json(lua_State *L)
{
    const struct tael_json_limits limits = TAEL_JSON_LIMITS_INIT;
    struct tael_span text = tael_check_text(L, lua_gettop(L));
    size_t offset = 0;
    enum tael_json_fault fault = tael_json_push(L, text, &limits, &offset);
    if (fault == TAEL_JSON_MEMORY)
        return luaL_error(L, "out of memory");
    if (fault != TAEL_JSON_NONE)
        luaL_pushfail(L);
    return 1;
}

static bool key_is(lua_State *L, const char *name)
{
    return strcmp(lua_tostring(L, 2), name) == 0;
}

/* __index: a method (upvalue 1), else false and the key is a string to compare. */
static bool push_method(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
        return true;
    }
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return true;
    lua_settop(L, 2);
    return false;
}

/* Makes the metatable of a kind: index gets the methods as its upvalue. */
static void make_metatable(lua_State *L, const char *name, lua_CFunction index, lua_CFunction text,
                           const luaL_Reg *methods)
{
    const luaL_Reg meta[] = {{"__tostring", text}, {NULL, NULL}};
    tael_push_metatable(L, name, meta);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushcclosure(L, index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* ---- messages ---- */

static struct message *check_message(lua_State *L, int index)
{
    return luaL_checkudata(L, index, "tael.message");
}

/* Pushes the text at index in lower case. */
static void push_lower(lua_State *L, int index)
{
    luaL_Buffer buffer;
    struct tael_span name = tael_check_text(L, index);
    size_t upper = 0;
    while (upper < name.len && (name.data[upper] < 'A' || name.data[upper] > 'Z'))
        upper++;
    if (upper == name.len) {
        lua_pushvalue(L, index);
        return;
    }
    char *out = luaL_buffinitsize(L, &buffer, name.len);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    luaL_pushresultsize(&buffer, name.len);
}

/* Pushes a copy of the headers at index with names in lower case. */
static void push_headers(lua_State *L, int index)
{
    enum { USUAL = 8 };
    int count = 0;
    lua_createtable(L, 0, USUAL);
    int copy = lua_gettop(L);
    if (lua_isnil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING ||
            ++count > HEADERS_MAX)
            luaL_error(L, "message.new: headers must be a map of at most 256 strings");
        push_lower(L, lua_gettop(L) - 1);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, copy) != LUA_TNIL)
            luaL_error(L, "message.new: a header occurs twice");
        lua_pop(L, 1);
        lua_pushvalue(L, -2);
        lua_rawset(L, copy);
    }
}

static int64_t check_number(lua_State *L, int options, const char *name)
{
    if (lua_getfield(L, options, name) != LUA_TNUMBER || !lua_isinteger(L, -1))
        luaL_error(L, "message.new: %s must be an integer", name);
    int64_t number = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (number < 0)
        luaL_error(L, "message.new: %s must not be negative", name);
    return number;
}

static struct tael_span check_raw(lua_State *L, int options)
{
    if (lua_getfield(L, options, "raw") != LUA_TSTRING)
        luaL_error(L, "message.new: raw must be a string");
    struct tael_span raw = tael_check_text(L, lua_gettop(L));
    if (raw.len > RAW_MAX)
        luaL_error(L, "message.new: raw is too long");
    return raw;
}

static bool wants_form(lua_State *L, int options)
{
    static const char *const contents[] = {"bytes", "form", "json", NULL};
    lua_getfield(L, options, "content");
    bool form = luaL_checkoption(L, -1, "bytes", contents) == 1;
    lua_pop(L, 1);
    return form;
}

static void check_message_options(lua_State *L, int index)
{
    static const char *const names[] = {"account", "raw",        "headers",  "at",
                                        "content", "max_fields", "max_name", "max_value",
                                        "limits",  "charset",    NULL};
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushliteral(L, "form");
    if (lua_rawget(L, index) != LUA_TNIL)
        luaL_error(L, "message.new: the form comes from raw (content = \"form\"), never from the "
                      "caller");
    lua_pop(L, 1);
    tael_check_options(L, index, names);
}

/* message.new{account=, raw=, at=, content=?, headers=?, charset=?, …} -> message | nil, err */
static int message_new(lua_State *L)
{
    check_message_options(L, 1);
    lua_settop(L, 1);
    struct message *message = lua_newuserdatauv(L, sizeof(*message), MESSAGE_VALUES);
    *message =
        (struct message){.account = check_number(L, 1, "account"), .at = check_number(L, 1, "at")};
    struct tael_span raw = check_raw(L, 1); /* stays on the stack at 3 */
    size_t len = 0;
    if (tael_digest_of(TAEL_DIGEST_SHA256, raw, message->digest, &len) != TAEL_OK)
        return luaL_error(L, "message.new: no digest");
    if (wants_form(L, 1)) {
        struct tael_form *form = tael_form_push_fields(L, raw, 1);
        if (form == NULL)
            return 2;
        tael_message_form_sort(form);
        lua_setiuservalue(L, 2, MESSAGE_FORM);
    }
    lua_getfield(L, 1, "headers");
    push_headers(L, lua_gettop(L));
    lua_setiuservalue(L, 2, MESSAGE_HEADERS);
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, 2, MESSAGE_RAW);
    lua_settop(L, 2);
    luaL_setmetatable(L, "tael.message");
    return 1;
}

/* Pushes the fields of the message at index; NULL: nil, it is no form. */
static const struct tael_form *push_form_of(lua_State *L, int index)
{
    lua_getiuservalue(L, index, MESSAGE_FORM);
    return lua_touserdata(L, -1);
}

/* message:fields(name, …) -> value | nil, … */
static int message_fields(lua_State *L)
{
    check_message(L, 1);
    const struct tael_form *form = push_form_of(L, 1);
    if (form == NULL)
        return luaL_error(L, "message:fields: the message is not a form");
    lua_replace(L, 1); /* the names follow */
    return tael_message_form_push_values(L, form, NULL, 2);
}

static int message_text(lua_State *L)
{
    const struct message *message = check_message(L, 1);
    lua_getiuservalue(L, 1, MESSAGE_RAW);
    lua_pushfstring(L, "tael.message (account %I, %I bytes)", (LUAI_UACINT)message->account,
                    (LUAI_UACINT)lua_rawlen(L, -1));
    return 1;
}

static int message_index(lua_State *L)
{
    const struct message *message = check_message(L, 1);
    if (push_method(L))
        return 1;
    if (key_is(L, "raw"))
        return lua_getiuservalue(L, 1, MESSAGE_RAW), 1;
    if (key_is(L, "form")) {
        const struct tael_form *form = push_form_of(L, 1);
        return form != NULL ? tael_message_form_push(L, form, NULL) : 1;
    }
    if (key_is(L, "headers"))
        return lua_getiuservalue(L, 1, MESSAGE_HEADERS), copy_table(L);
    if (key_is(L, "json"))
        return lua_getiuservalue(L, 1, MESSAGE_RAW), decode_json(L);
    if (key_is(L, "digest"))
        lua_pushlstring(L, (const char *)message->digest, sizeof(message->digest));
    else if (key_is(L, "account"))
        lua_pushinteger(L, message->account);
    else if (key_is(L, "at"))
        lua_pushinteger(L, message->at);
    else
        lua_pushnil(L);
    return 1;
}

/* ---- materials ---- */

static struct material *check_material(lua_State *L, int index)
{
    return luaL_checkudata(L, index, "tael.material");
}

/* Makes the material of the message at 1 from its text and what it covers, the two values on top.
 */
static int push_material(lua_State *L, enum material_kind kind)
{
    struct material *material = lua_newuserdatauv(L, sizeof(*material), MATERIAL_VALUES);
    material->kind = kind;
    lua_insert(L, -3);
    lua_setiuservalue(L, -3, MATERIAL_COVERED);
    lua_setiuservalue(L, -2, MATERIAL_TEXT);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, MATERIAL_MESSAGE);
    luaL_setmetatable(L, "tael.material");
    return 1;
}

/* message:canonical{except=, drop_empty=} -> material */
static int message_canonical(lua_State *L)
{
    check_message(L, 1);
    lua_settop(L, 2);
    const struct tael_form *form = push_form_of(L, 1);
    if (form == NULL)
        return luaL_error(L, "message:canonical: the message is not a form");
    struct material *material =
        lua_newuserdatauv(L, sizeof(*material) + form->count, MATERIAL_VALUES);
    material->kind = MATERIAL_FORM;
    tael_message_form_cover(L, form, 2, material->covered);
    tael_message_form_push_text(L, form, material->covered);
    lua_setiuservalue(L, -2, MATERIAL_TEXT);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, MATERIAL_MESSAGE);
    luaL_setmetatable(L, "tael.material");
    return 1;
}

/* Pushes text with every "\/" replaced by "/", from left to right. */
static void push_unescaped(lua_State *L, struct tael_span text)
{
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, text.len);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\' && i + 1 < text.len && text.data[i + 1] == '/')
            continue;
        out[n++] = text.data[i];
    }
    luaL_pushresultsize(&buffer, n);
}

static int fail_span(lua_State *L, enum tael_json_fault fault)
{
    return tael_bind_fail(L,
                          fault == TAEL_JSON_DUPLICATE ? "duplicate"
                          : fault == TAEL_JSON_ABSENT  ? "not_found"
                                                       : "invalid_json",
                          tael_json_fault_text(fault));
}

/* message:span(path, {unescape_slashes=}?) -> material | nil, err */
static int message_span(lua_State *L)
{
    static const char *const names[] = {"unescape_slashes", NULL};
    check_message(L, 1);
    struct tael_span path = tael_check_text(L, 2);
    bool unescape = false;
    lua_settop(L, 3);
    if (!lua_isnil(L, 3)) {
        tael_check_options(L, 3, names);
        lua_getfield(L, 3, "unescape_slashes");
        unescape = lua_toboolean(L, -1);
    }
    lua_getiuservalue(L, 1, MESSAGE_RAW);
    struct tael_span raw = tael_check_text(L, lua_gettop(L));
    struct tael_span found = {NULL, 0};
    size_t offset = 0;
    enum tael_json_fault fault = tael_json_span(raw, path, &found, &offset);
    if (fault != TAEL_JSON_NONE)
        return fail_span(L, fault);
    if (unescape)
        push_unescaped(L, found);
    else
        lua_pushlstring(L, found.data, found.len);
    lua_pushnil(L);
    return push_material(L, MATERIAL_SPAN);
}

/* message:lines{name, …} -> material | nil, err: each header's value, then the body, each with "\n"
 */
static int message_lines(lua_State *L)
{
    luaL_Buffer buffer;
    check_message(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_Unsigned count = lua_rawlen(L, 2);
    luaL_argcheck(L, count <= HEADERS_MAX, 2, "too many headers");
    lua_getiuservalue(L, 1, MESSAGE_HEADERS); /* 3 */
    lua_newtable(L);                          /* 4: covered */
    for (lua_Unsigned i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i);
        push_lower(L, lua_gettop(L));
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 3) == LUA_TNIL)
            return tael_bind_fail(L, "missing", "a header that is signed is not there");
        struct tael_span value = tael_check_text(L, lua_gettop(L));
        if (value.len > 0 && memchr(value.data, '\n', value.len) != NULL)
            return tael_bind_fail(L, "invalid", "a header that is signed has more than one line");
        lua_rawset(L, 4);
        lua_settop(L, 4);
    }
    luaL_buffinit(L, &buffer);
    for (lua_Unsigned i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i);
        push_lower(L, lua_gettop(L));
        lua_rawget(L, 4);
        lua_remove(L, -2);
        luaL_addvalue(&buffer);
        luaL_addchar(&buffer, '\n');
    }
    lua_getiuservalue(L, 1, MESSAGE_RAW);
    luaL_addvalue(&buffer);
    luaL_addchar(&buffer, '\n');
    luaL_pushresult(&buffer);
    lua_pushvalue(L, 4);
    return push_material(L, MATERIAL_LINES);
}

static int material_get_text(lua_State *L)
{
    check_material(L, 1);
    lua_getiuservalue(L, 1, MATERIAL_TEXT);
    return 1;
}

static int material_text(lua_State *L)
{
    const struct material *material = check_material(L, 1);
    lua_getiuservalue(L, 1, MATERIAL_TEXT);
    lua_pushfstring(L, "tael.material (%s, %I bytes)", kind_names[material->kind],
                    (LUAI_UACINT)lua_rawlen(L, -1));
    return 1;
}

static int material_index(lua_State *L)
{
    check_material(L, 1);
    if (!push_method(L))
        lua_pushnil(L);
    return 1;
}

/* ---- evidence ---- */

static int refuse(lua_State *L, const char *reason)
{
    luaL_pushfail(L);
    lua_pushstring(L, reason);
    return 2;
}

/* Pushes the message of the material at index. */
static struct message *push_message_of(lua_State *L, int index)
{
    lua_getiuservalue(L, index, MATERIAL_MESSAGE);
    return lua_touserdata(L, -1);
}

/* Why the signature does not prove the material; NULL: it does. */
static const char *doubt(const struct tael_key_handle *handle, const struct message *message,
                         struct tael_span digest_name, struct tael_span text,
                         struct tael_span base64)
{
    enum tael_digest digest = TAEL_DIGEST_MD5;
    unsigned char signature[TAEL_SIGNATURE_MAX];
    size_t len = 0;
    if (tael_key_use_of(handle->key) != TAEL_KEY_VERIFY)
        return "use";
    if (handle->account <= 0 || handle->account != message->account)
        return "account";
    if (!tael_digest_named(digest_name, &digest) || digest == TAEL_DIGEST_MD5)
        return "algorithm";
    if (!tael_signature_decode(base64, signature, &len))
        return "signature";
    tael_status rc = tael_key_verify(handle->key, digest, text,
                                     (struct tael_span){(const char *)signature, len});
    return rc == TAEL_OK ? NULL : rc == TAEL_ELIMIT ? "length" : "signature";
}

/* key:attest(digest, material, signature) -> evidence | nil, reason */
int tael_key_attest(lua_State *L)
{
    const struct tael_key_handle *handle = tael_check_key(L, 1);
    struct tael_span digest = tael_check_text(L, 2);
    check_material(L, 3);
    if (lua_type(L, 4) != LUA_TSTRING) /* a message without a signature */
        return refuse(L, "signature");
    struct tael_span base64 = tael_check_text(L, 4);
    const struct message *message = push_message_of(L, 3);
    lua_getiuservalue(L, 3, MATERIAL_TEXT);
    const char *why = doubt(handle, message, digest, tael_check_text(L, lua_gettop(L)), base64);
    if (why != NULL)
        return refuse(L, why);
    struct evidence *evidence = lua_newuserdatauv(L, sizeof(*evidence), EVIDENCE_VALUES);
    snprintf(evidence->key_id, sizeof(evidence->key_id), "%s", tael_key_id(handle->key));
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, -2, EVIDENCE_MATERIAL);
    luaL_setmetatable(L, "tael.evidence");
    return 1;
}

/* The material of the evidence at 1 is at 3, its message at 4. */
static int evidence_of_material(lua_State *L, const struct material *material)
{
    if (key_is(L, "text"))
        return lua_getiuservalue(L, 3, MATERIAL_TEXT), 1;
    if (key_is(L, "form") && material->kind == MATERIAL_FORM)
        return tael_message_form_push(L, push_form_of(L, 4), material->covered);
    if (key_is(L, "headers") && material->kind == MATERIAL_LINES)
        return lua_getiuservalue(L, 3, MATERIAL_COVERED), copy_table(L);
    if (key_is(L, "json") && material->kind == MATERIAL_SPAN)
        return lua_getiuservalue(L, 3, MATERIAL_TEXT), decode_json(L);
    if (key_is(L, "json") && material->kind == MATERIAL_LINES)
        return lua_getiuservalue(L, 4, MESSAGE_RAW), decode_json(L);
    return lua_pushnil(L), 1;
}

static int evidence_index(lua_State *L)
{
    const struct evidence *evidence = luaL_checkudata(L, 1, "tael.evidence");
    if (push_method(L))
        return 1;
    lua_getiuservalue(L, 1, EVIDENCE_MATERIAL);
    const struct material *material = lua_touserdata(L, 3);
    const struct message *message = push_message_of(L, 3);
    if (key_is(L, "digest"))
        lua_pushlstring(L, (const char *)message->digest, sizeof(message->digest));
    else if (key_is(L, "kind"))
        lua_pushstring(L, kind_names[material->kind]);
    else if (key_is(L, "key_id"))
        lua_pushstring(L, evidence->key_id);
    else if (key_is(L, "account"))
        lua_pushinteger(L, message->account);
    else if (key_is(L, "at"))
        lua_pushinteger(L, message->at);
    else
        return evidence_of_material(L, material);
    return 1;
}

/* Pushes the fields of the message that the evidence at 1 is of, and gives which are signed. */
static const struct tael_form *push_signed_form(lua_State *L, const unsigned char **covered)
{
    luaL_checkudata(L, 1, "tael.evidence");
    lua_getiuservalue(L, 1, EVIDENCE_MATERIAL);
    const struct material *material = lua_touserdata(L, -1);
    *covered = material->covered;
    if (material->kind != MATERIAL_FORM)
        return NULL;
    push_message_of(L, lua_gettop(L));
    return push_form_of(L, lua_gettop(L));
}

/* evidence:fields(name, …) -> value | nil, …: of those that were signed */
static int evidence_fields(lua_State *L)
{
    const unsigned char *covered;
    int names = lua_gettop(L);
    const struct tael_form *form = push_signed_form(L, &covered);
    if (form == NULL)
        return luaL_error(L, "evidence:fields: the message is not a form");
    lua_replace(L, 1);
    lua_settop(L, names);
    return tael_message_form_push_values(L, form, covered, 2);
}

/* evidence:states(value) -> boolean: a field that was signed has this value */
static int evidence_states(lua_State *L)
{
    const unsigned char *covered;
    struct tael_span value = tael_check_text(L, 2);
    const struct tael_form *form = push_signed_form(L, &covered);
    if (form == NULL)
        return luaL_error(L, "evidence:states: the message is not a form");
    lua_pushboolean(L, tael_message_form_states(form, covered, value));
    return 1;
}

static int evidence_text(lua_State *L)
{
    const struct evidence *evidence = luaL_checkudata(L, 1, "tael.evidence");
    lua_pushfstring(L, "tael.evidence (%s)", evidence->key_id);
    return 1;
}

/* message.is_evidence(value) -> boolean */
static int is_evidence(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, luaL_testudata(L, 1, "tael.evidence") != NULL);
    return 1;
}

/* message.check(evidence, message) -> boolean: made from that very message */
static int check_evidence(lua_State *L)
{
    check_message(L, 2);
    bool same = false;
    if (luaL_testudata(L, 1, "tael.evidence") != NULL) {
        lua_getiuservalue(L, 1, EVIDENCE_MATERIAL);
        push_message_of(L, lua_gettop(L));
        same = lua_rawequal(L, -1, 2);
    }
    lua_pushboolean(L, same);
    return 1;
}

int tael_open_message(lua_State *L)
{
    static const luaL_Reg functions[] = {{"new", message_new},
                                         {"is_evidence", is_evidence},
                                         {"check", check_evidence},
                                         {NULL, NULL}};
    static const luaL_Reg message_methods[] = {{"canonical", message_canonical},
                                               {"fields", message_fields},
                                               {"span", message_span},
                                               {"lines", message_lines},
                                               {NULL, NULL}};
    static const luaL_Reg material_methods[] = {{"text", material_get_text}, {NULL, NULL}};
    static const luaL_Reg evidence_methods[] = {
        {"fields", evidence_fields}, {"states", evidence_states}, {NULL, NULL}};
    make_metatable(L, "tael.message", message_index, message_text, message_methods);
    make_metatable(L, "tael.material", material_index, material_text, material_methods);
    make_metatable(L, "tael.evidence", evidence_index, evidence_text, evidence_methods);
    luaL_newlib(L, functions);
    return 1;
}
