/* proof_test.c - keys, messages and evidence inside the trusted state: what pure functions may do,
 * where randomness comes from, what Lua cannot reach, and that nothing is lost when its memory runs
 * out. */
#include "crypto/key.h"
#include "crypto/secret.h"
#include "room.h"
#include "tap.h"

enum { MEMORY = 2 * 1024 * 1024, SCRIPT_SIZE = 16 * 1024 };

static void open_room(struct room *room)
{
    static const luaL_Reg modules[] = {
        {"tael.task", tael_open_task},
        {"tael.json", tael_open_json},
        {"tael.crypto", tael_open_crypto},
        {"tael.form", tael_open_form},
        {"tael.message", tael_open_message},
        {"tael.id", tael_open_id},
        {NULL, NULL},
    };
    room_open_with(room, modules, MEMORY, NULL);
}

/* The modules, a pair of keys, and a message that the private one has signed. */
static char prelude[SCRIPT_SIZE];

static void make_prelude(void)
{
    struct tael_key *key = NULL;
    struct tael_buf public_pem = {0};
    char *private_pem = NULL;
    size_t len = 0;
    if (tael_key_generate(&key, 2048, NULL) != TAEL_OK ||
        tael_key_public_pem(key, &public_pem) != TAEL_OK ||
        tael_key_private_pem(key, &private_pem, &len) != TAEL_OK)
        abort();
    snprintf(prelude, sizeof(prelude),
             "local task, json, crypto = require 'tael.task', require 'tael.json', require "
             "'tael.crypto'\n"
             "local form, message, id = require 'tael.form', require 'tael.message', require "
             "'tael.id'\n"
             "local public, private = [[%.*s]], [[%.*s]]\n"
             "local signer = assert(crypto.key_from_pem(private, { use = 'sign' }))\n"
             "local key = assert(crypto.key_from_pem(public, { use = 'verify', account = 7 }))\n"
             "local sign = signer:sign('sha256', 'a=1&b=2')\n"
             "local raw = form.encode { b = '2', a = '1', sign = sign }\n"
             "local received = assert(message.new { account = 7, raw = raw, at = 1, content = "
             "'form' })\n"
             "local except = { except = { 'sign' } }\n",
             (int)public_pem.len, public_pem.data, (int)len, private_pem);
    tael_buf_free(&public_pem);
    tael_secure_free(private_pem, len);
    tael_key_release(key);
}

static struct outcome run_script(const char *body)
{
    static char text[SCRIPT_SIZE + 4096];
    struct room room;
    open_room(&room);
    snprintf(text, sizeof(text), "%s%s", prelude, body);
    struct outcome outcome = run(&room, text);
    room_close(&room);
    if (outcome.status != TAEL_OK)
        printf("# %s\n", outcome.text);
    return outcome;
}

static void gives(const char *body, const char *expected)
{
    struct outcome outcome = run_script(body);
    CHECK_NAMED(outcome.status == TAEL_OK && strcmp(outcome.text, expected) == 0, expected);
}

static void evidence_is_made_in_pure_functions(void)
{
    gives("local ok, amount = task.pure(function()\n"
          "    local evidence = assert(key:attest('sha256', received:canonical(except), sign))\n"
          "    assert(json.decode(json.encode(evidence.form)))\n"
          "    return 'proved ' .. evidence.form.a\n"
          "end)\n"
          "return amount",
          "proved 1");
}

static void pure_functions_have_no_randomness_and_no_folder(void)
{
    static const char *const calls[] = {
        "crypto.random(1)",
        "crypto.aes_gcm_seal(('k'):rep(32), 'x')",
        "crypto.keys('/tmp')",
        "crypto.key('a', { use = 'sign' })",
        "crypto.secret('a')",
        "crypto.exists('a', 'key')",
        "crypto.generate('a', 2048)",
        "crypto.generate_public('a')",
        "crypto.generate_secret('a', 32)",
        "crypto.public_pem('a')",
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body),
                 "local ok, why = task.pure(function() %s end)\n"
                 "return not ok and tostring(why):match('not allowed in a pure function')",
                 calls[i]);
        struct outcome outcome = run_script(body);
        CHECK_NAMED(strcmp(outcome.text, "not allowed in a pure function") == 0, calls[i]);
    }
}

static void randomness_is_the_worlds(void)
{
    struct outcome first = run_script("return crypto.hex.encode(crypto.random(16))");
    struct outcome again = run_script("return crypto.hex.encode(crypto.random(16))");
    CHECK(strlen(first.text) == 32 && strcmp(first.text, again.text) == 0);
    gives("return tostring(crypto.random(16) ~= crypto.random(16))", "true");
}

static void what_holds_evidence_together_is_out_of_reach(void)
{
    gives(
        "local evidence = assert(key:attest('sha256', received:canonical(except), sign))\n"
        "local reached = {}\n"
        "for _, name in ipairs { 'getuservalue', 'setuservalue', 'getmetatable', 'setmetatable',\n"
        "    'getregistry', 'getupvalue', 'setupvalue', 'upvaluejoin', 'upvalueid' } do\n"
        "    reached[#reached + 1] = debug[name] and name\n"
        "end\n"
        "for _, value in ipairs { key, signer, received, evidence, received:canonical() } do\n"
        "    if getmetatable(value) ~= false then reached[#reached + 1] = tostring(value) end\n"
        "end\n"
        "return 'reached:' .. table.concat(reached, ' ')",
        "reached:");
}

/* Work that makes one of everything, again and again with a little more memory left. */
static void lack_of_memory_loses_nothing(void)
{
    gives(
        "local function work()\n"
        "    local checker = assert(crypto.key_from_pem(public, { use = 'verify', account = 7 }))\n"
        "    local one = assert(message.new { account = 7, raw = raw, at = 1, content = 'form',\n"
        "        headers = { h = '1' } })\n"
        "    local evidence = assert(checker:attest('sha256', one:canonical(except), sign))\n"
        "    assert(evidence.form.a == '1' and one.headers.h == '1' and one:lines { 'h' })\n"
        "    assert(form.decode(form.encode(evidence.form)).b == '2')\n"
        "    assert(crypto.aes_gcm_open(('k'):rep(32), crypto.aes_gcm_seal(('k'):rep(32), raw)))\n"
        "    assert(crypto.base64.decode(crypto.base64.encode(raw)) == raw)\n"
        "    return true\n"
        "end\n"
        "local limit, failed, passed, other = 2 * 1024 * 1024, 0, 0, 0\n"
        "local function fill(left)\n"
        "    local ballast = {}\n"
        "    for i = 1, 24 do\n"
        "        collectgarbage()\n"
        "        local free = limit - math.floor(collectgarbage('count') * 1024) - left\n"
        "        if free < 128 then break end\n"
        "        ballast[i] = ('x'):rep(free // 2 - 24)\n"
        "    end\n"
        "    return ballast\n"
        "end\n"
        "for left = 1024, 24 * 1024, 256 do\n"
        "    local ballast <const> = fill(left)\n"
        "    local ok, why = pcall(work)\n"
        "    assert(#ballast > 5)\n"
        "    ballast[1] = nil\n"
        "    if ok then passed = passed + 1\n"
        "    elseif tostring(why):find('memory') then failed = failed + 1\n"
        "    else other = other + 1 print('# ' .. tostring(why)) end\n"
        "end\n"
        "collectgarbage()\n"
        "assert(failed > 0 and passed > 0, failed .. ' failed, ' .. passed .. ' passed')\n"
        "return other .. ' other errors, then ' .. tostring(work())",
        "0 other errors, then true");
}

int main(void)
{
    make_prelude();
    evidence_is_made_in_pure_functions();
    pure_functions_have_no_randomness_and_no_folder();
    randomness_is_the_worlds();
    what_holds_evidence_together_is_out_of_reach();
    lack_of_memory_loses_nothing();
    return tap_end();
}
