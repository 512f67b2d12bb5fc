/* bind_memory_test.c - what Lua calls in C, and the small rooms below it, while memory runs out:
 * for every n the n-th allocation fails, the libraries' too, and the one behind it (Lua asks
 * twice). A call then raises for want of memory or does what it always does; asked again it is
 * right. */
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc_fail.h"
#include "base/log_ring.h"
#include "base/meter.h"
#include "base/watch.h"
#include "crypto/keyring.h"
#include "room.h"
#include "tap.h"

static char folder[] = "/tmp/tael-bind-memory-XXXXXX";

/* ---- bindings ---- */

static const luaL_Reg modules[] = {
    {"tael.json", tael_open_json},
    {"tael.crypto", tael_open_crypto},
    {"tael.message", tael_open_message},
    {"tael.form", tael_open_form},
    {"tael.decimal", tael_open_decimal},
    {"tael.id", tael_open_id},
    {"tael.qr", tael_open_qr},
    {"tael.script", tael_open_script},
    {"tael.time", tael_open_time},
    {"tael.task", tael_open_task},
    {"tael.log", tael_open_log},
    {"tael.isolate", tael_open_isolate},
    {NULL, NULL},
};

#define USE(name) "local " name " = require 'tael." name "' "
#define GOT       "local function got(value, err) if err then error(err.message, 0) end return value end "

static const struct work {
    const char *name, *text, *right;
} works[] = {
    {"json",
     USE("json") "local t = json.decode '{\"a\":[1,2.50,\"x\\\\u00e9\"],\"b\":{\"c\":null}}'\n"
                 "return json.encode(t) .. json.span('{\"a\":{\"b\":[1]}}', 'a.b')",
     "{\"a\":[1,2.50,\"x\xc3\xa9\"],\"b\":{\"c\":null}}11"},
    {"form",
     USE("form") "local t = form.decode 'b=2+3&a=%41&c='\n"
                 "return form.encode(t) .. ' ' .. form.canonical(t, { drop_empty = true })",
     "a=A&b=2%203&c= a=A&b=2 3"},
    {"crypto",
     USE("crypto") GOT "local s = got(crypto.secret 's')\n"
                       "local sealed = crypto.aes_gcm_seal(s, 'plain', 'aad')\n"
                       "return crypto.aes_gcm_open(s, sealed, 'aad')\n"
                       "  .. crypto.hex.encode(crypto.digest('sha256', 'a')):sub(1, 6)\n"
                       "  .. #crypto.hmac('sha256', s, 'a') .. #crypto.random(8)\n"
                       "  .. crypto.base64.decode(crypto.base64.encode('b'))\n"
                       "  .. crypto.url.decode(crypto.url.encode('c d'))",
     "plainca9781328bc d"},
    {"signing",
     USE("crypto") GOT "local key = got(crypto.key('k', { use = 'sign' }))\n"
                       "return #key:sign('sha256', 'text')",
     "344"},
    {"evidence",
     USE("crypto") USE("message") GOT
     "local key = got(crypto.key('k', { use = 'sign' }))\n"
     "local public = got(crypto.key_from_pem(got(crypto.public_pem 'k'),\n"
     "  { use = 'verify', account = 1 }))\n"
     "local m = message.new { account = 1, raw = 'b=2&a=1', at = 5,\n"
     "  content = 'form', headers = { ['X-A'] = 'b' } }\n"
     "local text = m:canonical { except = { 'sign' } }\n"
     "local proof = public:attest('sha256', text, key:sign('sha256', text:text()))\n"
     "return proof.text .. proof.form.a .. #m.digest .. m.headers['x-a']",
     "a=1&b=2132b"},
    {"decimal", USE("decimal") "return decimal.format(decimal.parse('12.34', 2), 2)", "12.34"},
    {"qr", USE("qr") "local code = qr.encode 'hello' return tostring(code ~= nil)", "true"},
    {"time", USE("time") "return time.format(0, 'UTC')", "1970-01-01 00:00:00"},
    {"log", USE("log") "log.info('a.b', { x = 1, y = 'z' }) return 'said'", "said"},
    {"isolate",
     USE("isolate") "local g = isolate.generation { name = 'm/a', key = tostring({}), files = {\n"
                    "  ['rules.lua'] = [[local lib = require 'lib' return { g = error,\n"
                    "    f = function(x) x.n = lib(x.n) return x, x.n end }]],\n"
                    "  ['lib.lua'] = 'return function(n) return n + 1 end' } }\n"
                    "local got = g:ask('rules.lua', { { 'f', 1 }, { 'g' } }, { { n = 6 } }, "
                    "300000)\n"
                    "if got[1][2] == 'memory' or got[2][2] == 'memory' then error 'memory' end\n"
                    "return got[1][2].n + got[1][3] .. got[2][2]",
     "14raised"},
    {"task",
     USE("task") "local h = task.spawn(function() task.wait('k', 5) end)\n"
                 "local got = task.wait('j', 1) return tostring(h:alive() or 'ended')",
     "true"},
};

static bool lacks_memory(const struct outcome *outcome)
{
    return outcome->status == TAEL_ENOMEM || strstr(outcome->text, "memory") != NULL;
}

static void each_allocation_of(struct room *room, const struct work *work)
{
    char script[2048], name[128];
    long n = 1, wrong = 0, refused = 0;
    snprintf(script, sizeof(script), "%s", work->text);
    struct outcome outcome = run(room, script);
    snprintf(name, sizeof(name), "%s works: %.80s", work->name, outcome.text);
    CHECK_NAMED(strcmp(outcome.text, work->right) == 0, name);
    for (bool failed = true; failed; n++) {
        room->lines_len = 0;
        room->lines[0] = '\0';
        /* Lua gives up a finalizer that it has no memory to call (it warns, which is logged): what
         * rounds before have left is none of this one's. */
        run(room, "collectgarbage()");
        alloc_fail_run(n, 2);
        struct tael_task *task = start(room, &outcome, script);
        if (task != NULL)
            tael_sim_run(room->world, tael_now_ms(room->world) + 1000);
        failed = alloc_fail_end();
        if (task == NULL || lacks_memory(&outcome))
            refused++;
        else if (strcmp(outcome.text, work->right) != 0 && strstr(room->lines, "memory") == NULL &&
                 wrong++ < 3)
            printf("# %s, allocation %ld: %s\n", work->name, n, outcome.text);
        outcome = run(room, script);
        if (strcmp(outcome.text, work->right) != 0 && wrong++ < 3)
            printf("# %s, again after allocation %ld: %s\n", work->name, n, outcome.text);
    }
    snprintf(name, sizeof(name), "%s: any of %ld allocations may fail", work->name, n - 1);
    CHECK_NAMED(wrong == 0 && refused > 0, name);
}

static void bindings_survive_any_failure(void)
{
    static struct room room;
    char script[256];
    room_open_with(&room, modules, 0, NULL);
    snprintf(script, sizeof(script), "return tostring((require('tael.crypto').keys('%s')))",
             folder);
    CHECK(strcmp(run(&room, script).text, "true") == 0);
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
        each_allocation_of(&room, &works[i]);
    room_close(&room);
}

/* ---- small rooms: opened, used, closed ---- */

static tael_status use_watch(struct tael_world *world)
{
    (void)world;
    struct tael_watch *watch = NULL;
    struct tael_watch_change change;
    tael_status rc = tael_watch_new(&watch);
    if (rc == TAEL_OK)
        rc = tael_watch_add(watch, folder);
    if (rc == TAEL_OK)
        rc = tael_watch_look(watch, &change);
    tael_watch_free(watch);
    return rc;
}

static tael_status use_meter(struct tael_world *world)
{
    struct tael_meter *meter = NULL;
    struct tael_meter_answer answer;
    tael_status rc = tael_meter_new(&meter, world);
    if (rc == TAEL_OK)
        rc = tael_meter_take(meter, tael_span_of("key"), 5, 1000, &answer);
    tael_meter_free(meter);
    return rc;
}

static tael_status use_ring(struct tael_world *world)
{
    (void)world;
    struct tael_log_ring *ring = NULL;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    tael_status rc = fd >= 0 ? tael_log_ring_new(&ring, fd, 4096) : TAEL_ESTORE;
    if (rc == TAEL_OK) {
        tael_log_ring_write(ring, TAEL_LOG_INFO, "line\n", 5);
        tael_log_ring_free(ring);
    }
    close(fd);
    return rc;
}

static tael_status use_keyring(struct tael_world *world)
{
    (void)world;
    struct tael_keyring *ring = NULL;
    struct tael_key *key = NULL;
    struct tael_secret *secret = NULL;
    tael_status rc = tael_keyring_open(&ring, folder, NULL, NULL);
    if (rc == TAEL_OK)
        rc = tael_keyring_key(ring, "k", TAEL_KEY_SIGN, false, &key, NULL);
    if (rc == TAEL_OK)
        rc = tael_keyring_secret(ring, "s", &secret, NULL);
    tael_key_release(key);
    tael_secret_release(secret);
    tael_keyring_release(ring);
    return rc;
}

static void rooms_survive_any_failure(void)
{
    static const struct {
        const char *name;
        tael_status (*use)(struct tael_world *world);
    } rooms[] = {{"watch", use_watch},
                 {"meter", use_meter},
                 {"log ring", use_ring},
                 {"keyring", use_keyring}};
    struct tael_sim_options options = {.seed = 7, .start_ms = ROOM_START_MS};
    struct tael_world *world = NULL;
    if (tael_sim_new(&world, &options) != TAEL_OK)
        abort();
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        char name[96];
        long n = 1, refused = 0, wrong = 0;
        for (bool failed = true; failed; n++) {
            alloc_fail_at(n);
            tael_status rc = rooms[i].use(world);
            failed = alloc_fail_end();
            refused += rc != TAEL_OK;
            wrong += !failed && rc != TAEL_OK;
        }
        snprintf(name, sizeof(name), "%s: any of %ld allocations may fail, %ld refuse",
                 rooms[i].name, n - 1, refused);
        CHECK_NAMED(refused > 0 && wrong == 0, name);
    }
    tael_world_free(world);
}

int main(void)
{
    struct tael_keyring *ring = NULL;
    if (mkdtemp(folder) == NULL || chmod(folder, 0700) != 0 ||
        tael_keyring_open(&ring, folder, NULL, NULL) != TAEL_OK ||
        tael_keyring_add_key(ring, "k", 2048, NULL) != TAEL_OK ||
        tael_keyring_add_secret(ring, "s", tael_span_of("0123456789abcdef0123456789abcdef"),
                                NULL) != TAEL_OK)
        return 1;
    tael_keyring_release(ring);
    bindings_survive_any_failure();
    rooms_survive_any_failure();
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) != 0 ? 1 : tap_end();
}
