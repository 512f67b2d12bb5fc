/* bind_test.c - tael.task, time, log, decimal and http as Lua sees them, in the simulated world.
 * The HTTP client here is the test's own: it keeps the call and answers when told. */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "net/http_client.h"
#include "room.h"
#include "tap.h"

/* ---- an HTTP client that does what the test says ---- */

static struct {
    char text[4096]; /* the last call, one line an item */
    void (*done)(void *user, const struct tael_http_result *result);
    void *user;
    int started, cancelled;
    tael_status refuse;
} client;

static void note(const char *name, struct tael_span value)
{
    size_t len = strlen(client.text);
    snprintf(client.text + len, sizeof(client.text) - len, "%s=%.*s\n", name, (int)value.len,
             value.data != NULL ? value.data : "");
}

static void note_number(const char *name, int64_t value)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%lld", (long long)value);
    note(name, tael_span_of(digits));
}

tael_status tael_http_client_start(struct tael_http_client *ignored,
                                   const struct tael_http_call *call,
                                   void (*done)(void *user, const struct tael_http_result *result),
                                   void *user, struct tael_http_exchange **out)
{
    (void)ignored;
    if (client.refuse != TAEL_OK)
        return client.refuse;
    client.text[0] = '\0';
    note("method", tael_span_of(call->method));
    note("url", tael_span_of(call->url));
    for (size_t i = 0; i < call->header_count; i++) {
        note("header", call->headers[i].name);
        note("value", call->headers[i].value);
    }
    note("body", call->body);
    note_number("timeout", call->timeout_ms);
    note_number("connect", call->connect_ms);
    note_number("max", (int64_t)call->max_bytes);
    note("unix", tael_span_of(call->unix_path));
    note("pool", tael_span_of(call->pool));
    note_number("addresses", (int64_t)call->addresses);
    note_number("deadline", call->deadline_us);
    note("ca", tael_span_of(call->ca_file));
    note("cert", tael_span_of(call->cert_file));
    note("key", tael_span_of(call->key_file));
    client.done = done;
    client.user = user;
    client.started++;
    *out = (struct tael_http_exchange *)&client;
    return TAEL_OK;
}

void tael_http_exchange_cancel(struct tael_http_exchange *exchange)
{
    (void)exchange;
    client.cancelled++;
    client.done = NULL;
}

static void answer(const struct tael_http_result *result)
{
    void (*done)(void *user, const struct tael_http_result *result) = client.done;
    client.done = NULL;
    done(client.user, result);
}

static void open_room(struct room *room)
{
    static const luaL_Reg modules[] = {
        {"tael.task", tael_open_task},
        {"tael.time", tael_open_time},
        {"tael.json", tael_open_json},
        {"tael.log", tael_open_log},
        {"tael.decimal", tael_open_decimal},
        {"tael.http", tael_open_http},
        {NULL, NULL},
    };
    room_open_with(room, modules, 0, NULL);
    room->host.client = (struct tael_http_client *)&client;
    memset(&client, 0, sizeof(client));
}

/* Runs Lua text that begins with the modules as locals; CHECKs its first result against want. */
static void check_lua(struct room *room, const char *name, const char *body, const char *want)
{
    char text[4096];
    snprintf(text, sizeof(text),
             "local task, time, log, decimal, http, json = require 'tael.task', require "
             "'tael.time', require 'tael.log', require 'tael.decimal', require 'tael.http', "
             "require 'tael.json'\n%s",
             body);
    struct outcome outcome = run(room, text);
    if (outcome.status != TAEL_OK || strcmp(outcome.text, want) != 0)
        printf("# got: %s\n", outcome.text);
    CHECK_NAMED(outcome.status == TAEL_OK && strcmp(outcome.text, want) == 0, name);
}

/* ---- task ---- */

static void keys_wake_those_who_wait(void)
{
    struct room room;
    open_room(&room);
    check_lua(&room, "all who wait for the key, in their order, with the payload",
              "local out = {}\n"
              "for i, key in ipairs({'a', 'b', 'a', 'a'}) do\n"
              "  task.spawn(function() local v = task.wait(key, 50) out[#out + 1] = i .. "
              "tostring(v) end)\n"
              "end\n"
              "time.sleep(1) task.wake('a', 'x\\0y') task.wake('nobody', 'z')\n"
              "time.sleep(1) local early = table.concat(out, ',')\n"
              "time.sleep(100) return (early .. ';' .. table.concat(out, ',')):gsub('%z', '0')",
              "1x0y,3x0y,4x0y;1x0y,3x0y,4x0y,2nil");
    check_lua(&room, "no payload is an empty one",
              "task.spawn(function() task.wake('k') end) return '<' .. task.wait('k', 10) .. '>'",
              "<>");
    check_lua(&room, "a wake before the wait is not kept",
              "task.wake('k') return task.wait('k', 0)", "nil");
    check_lua(&room, "nothing is left of those who were cancelled",
              "local h = task.spawn(function() task.wait('k', 1000) woken = true end)\n"
              "time.sleep(1) h:cancel() time.sleep(1) task.wake('k') time.sleep(1)\n"
              "return tostring(woken) .. tostring(h:alive())",
              "nilfalse");
    check_lua(&room, "thousands of keys",
              "local n = 0\n"
              "for i = 1, 3000 do\n"
              "  task.spawn(function() local v = task.wait('key ' .. i, 1000) n = n + v end)\n"
              "end\n"
              "time.sleep(1) for i = 3000, 1, -1 do task.wake('key ' .. i, '1') end\n"
              "time.sleep(1) return n",
              "3000");
    check_lua(&room, "bad arguments raise",
              "return tostring(pcall(task.wait, {}, 1)) .. tostring(pcall(task.wait, 'k', -1))"
              ".. tostring(pcall(task.wait, 'k')) .. tostring(pcall(task.wait, 'k', 1.5))",
              "falsefalsefalsefalse");
    CHECK(tael_state_tasks(room.state) == 0);
    room_close(&room);
}

static char others[256];

static void wake_others(struct tael_host *host, const char *key, size_t key_len,
                        const char *payload, size_t payload_len)
{
    snprintf(others, sizeof(others), "%d %.*s %.*s", host->worker, (int)key_len, key,
             (int)payload_len, payload);
}

static void wakes_go_to_the_other_workers(void)
{
    struct room room;
    struct outcome outcome;
    open_room(&room);
    tael_task_wake_key(room.state, "k", 1, "", 0); /* before anybody has waited */
    room.host.wake_others = wake_others;
    room.host.workers = 3;
    check_lua(&room, "wake", "task.wake('key', 'payload') return select(2, task.worker())", "3");
    CHECK(strcmp(others, "1 key payload") == 0);
    start(&room, &outcome, "return require('tael.task').wait('from another', 60000)");
    tael_sim_run(room.world, ROOM_START_MS + 100);
    CHECK(outcome.calls == 0);
    tael_task_wake_key(room.state, "from another", 12, "hello", 5);
    CHECK_NAMED(outcome.calls == 0, "waking by key runs no Lua");
    room_run(&room);
    CHECK(outcome.calls == 1 && strcmp(outcome.text, "hello") == 0);
    room_close(&room);
}

static void kept_work_goes_on(void)
{
    struct room room;
    open_room(&room);
    check_lua(&room, "a round after the other, an error ends one",
              "local rounds, scopes = 0, '' task.set_scope(7)\n"
              "task.keep('sweep', 3600000, function() rounds = rounds + 1\n"
              "  scopes = scopes .. task.scope() task.set_scope(8)\n"
              "  if rounds == 2 then error('boom') end end)\n"
              "time.sleep(12600000) return rounds .. ' ' .. scopes",
              "4 7777");
    CHECK(strstr(room.lines, "job.failed") != NULL && strstr(room.lines, "boom") != NULL &&
          strstr(room.lines, "\"job\":\"sweep\"") != NULL);
    room_close(&room); /* what is kept has used up its time */
    open_room(&room);
    check_lua(&room, "one round at a time",
              "local now, most = 0, 0 task.keep('slow', 3600000, function() now = now + 1\n"
              "  most = math.max(most, now) time.sleep(5 * 3600000) now = now - 1 end)\n"
              "time.sleep(20 * 3600000) return most",
              "1");
    room_close(&room);
    open_room(&room);
    check_lua(
        &room, "misuse raises",
        "return tostring(pcall(task.keep, 'a', 0, print)) .. tostring(pcall(task.keep, 'a', 1))",
        "falsefalse");
    room_close(&room);
}

static void spawned_tasks_have_their_own_end(void)
{
    struct room room;
    open_room(&room);
    check_lua(
        &room, "arguments arrive",
        "local got task.spawn(function(...) got = select('#', ...) .. (...) end, 'a', nil, nil)\n"
        "time.sleep(1) return got",
        "3a");
    check_lua(&room, "the scope is inherited, then each one's own",
              "task.set_scope(7) local inner\n"
              "task.spawn(function() inner = task.scope() task.set_scope(8) end)\n"
              "time.sleep(1) return inner .. task.scope()",
              "77");
    check_lua(&room, "a request begins without a tenant", "return task.scope()", "0");
    check_lua(
        &room, "errors are logged and stay with the task",
        "local h = task.spawn(function() error('alone') end)\n"
        "local before = h:alive() time.sleep(1) return tostring(before) .. tostring(h:alive())",
        "truefalse");
    CHECK(strstr(room.lines, "task.failed") != NULL && strstr(room.lines, "alone") != NULL);
    check_lua(&room, "handles may be dropped before or after the end",
              "for i = 1, 100 do task.spawn(function() time.sleep(i % 3) end) end\n"
              "collectgarbage() time.sleep(1) collectgarbage() time.sleep(5) collectgarbage()\n"
              "return 'ok'",
              "ok");
    check_lua(
        &room, "a detached task is not cancelled",
        "local went\n"
        "local h = task.spawn(function() task.detach() task.detach() time.sleep(2) went = 1 end)\n"
        "time.sleep(1) h:cancel() time.sleep(5) return went",
        "1");
    check_lua(&room, "a coroutine inside a task acts for nobody",
              "local co = coroutine.wrap(function(f, ...) return select(2, pcall(f, ...)) end)\n"
              "return co(task.scope)",
              "task.scope: only in a task");
    check_lua(&room, "misuse raises",
              "return tostring(pcall(task.spawn, 1)) .. tostring(pcall(task.set_scope, -1))",
              "falsefalse");
    room_close(&room);
}

/* ---- time ---- */

static void dates_are_those_of_the_calendar(void)
{
    struct room room;
    open_room(&room);
    check_lua(
        &room, "the world's clock",
        "local a = time.now() time.sleep(1500) return (time.now() - a) .. ' ' .. time.rfc3339(a)",
        "1500 2023-11-14T22:13:20.000Z");
    check_lua(&room, "monotonic",
              "local a = time.monotonic() time.sleep(25) return time.monotonic() - a", "25");
    check_lua(&room, "a clock that is not adjustable",
              "return tostring(pcall(time.advance, 1)) .. time.advanced()", "false0");
    room.host.clock_adjustable = true;
    check_lua(&room, "putting it ahead moves no timer",
              "local wall, mono = time.now(), time.monotonic() time.advance(5000) time.advance(0) "
              "time.sleep(10)\n"
              "return (time.now() - wall) .. ' ' .. (time.monotonic() - mono) .. ' ' .. "
              "time.advanced() .. tostring(pcall(time.advance, -1)) .. "
              "tostring(task.pure(time.advance, 1))",
              "5010 10 5000falsefalse");
    check_lua(&room, "RFC 3339",
              "local out = {} for _, ms in ipairs({0, -1, 951782400000, 1077926399999,\n"
              "  253402300799999, -62135596800000}) do out[#out + 1] = time.rfc3339(ms) end\n"
              "return table.concat(out, ' ')",
              "1970-01-01T00:00:00.000Z 1969-12-31T23:59:59.999Z 2000-02-29T00:00:00.000Z "
              "2004-02-27T23:59:59.999Z 9999-12-31T23:59:59.999Z 0001-01-01T00:00:00.000Z");
    check_lua(
        &room, "every day of four centuries and back",
        "local ms, y, m, d = time.parse_rfc3339('1899-12-31T00:00:00Z'), 1899, 12, 31\n"
        "local days = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}\n"
        "for _ = 1, 146097 do\n"
        "  local text = ('%04d-%02d-%02dT00:00:00.000Z'):format(y, m, d)\n"
        "  if time.rfc3339(ms) ~= text or time.parse_rfc3339(text) ~= ms then return text end\n"
        "  local leap = m == 2 and (y % 4 == 0 and y % 100 ~= 0 or y % 400 == 0)\n"
        "  ms, d = ms + 86400000, d + 1\n"
        "  if d > days[m] + (leap and 1 or 0) then d, m = 1, m + 1 end\n"
        "  if m > 12 then m, y = 1, y + 1 end\n"
        "end return 'all'",
        "all");
    check_lua(&room, "offsets and fractions",
              "local p = time.parse_rfc3339\n"
              "return table.concat({p '1970-01-01T08:00:00+08:00', p '1969-12-31T18:30:00-05:30',\n"
              "  p '1970-01-01T00:00:00.1Z', p '1970-01-01T00:00:00.0129999Z'}, ' ')",
              "0 0 100 12");
    check_lua(
        &room, "what is no time is refused",
        "local bad = 0 for text in "
        "([[2026-02-29T00:00:00Z|2026-13-01T00:00:00Z|2026-00-01T00:00:00Z\n"
        "|2026-01-32T00:00:00Z|2026-01-01T24:00:00Z|2026-01-01T00:60:00Z|2026-01-01T00:00:60Z\n"
        "|2026-01-01 00:00:00Z|2026-01-01T00:00:00|2026-01-01T00:00:00.Z|2026-1-01T00:00:00Z\n"
        "|2026-01-01T00:00:00+8:00|2026-01-01T00:00:00+24:00|0000-01-01T00:00:00Z\n"
        "|2026-01-01T00:00:00.0123456789Z|2026-01-01T00:00:00Zx|0001-01-01T00:00:00+01:00|]])"
        ":gsub('\\n', ''):gmatch('([^|]*)|') do\n"
        "  local ms, err = time.parse_rfc3339(text)\n"
        "  if ms ~= nil or err.code ~= 'invalid_time' then return text end bad = bad + 1\n"
        "end return bad",
        "17");
    check_lua(&room, "local times of a gateway",
              "local ms = time.parse('2026-11-23 20:01:07', '+08:00')\n"
              "return time.rfc3339(ms) .. time.format(ms, '+08:00') .. time.format(ms, 'UTC')\n"
              "  .. time.parse('2026-11-23 20:01:07.5', '+08:00') - ms\n"
              "  .. tostring(time.parse('2026-11-23T20:01:07', '+08:00'))",
              "2026-11-23T12:01:07.000Z2026-11-23 20:01:072026-11-23 12:01:07500nil");
    check_lua(
        &room, "misuse raises",
        "return tostring(pcall(time.format, 0, 'Asia/Shanghai')) .. tostring(pcall(time.rfc3339,\n"
        "  1 << 60)) .. tostring(pcall(time.sleep, -1)) .. tostring(pcall(time.format, 0, 'UTCx'))",
        "falsefalsefalsefalse");
    room_close(&room);
}

/* ---- log and decimal ---- */

static void lines_have_their_fields_in_order(void)
{
    struct room room;
    open_room(&room);
    check_lua(&room, "four levels",
              "log.debug('a.debug') log.info('b.info', {b = 'x', a = -1, c = true})\n"
              "log.warn('c.warn', nil) log.error('d.error', {}) return 1",
              "1");
    CHECK(strstr(room.lines, "\"event\":\"b.info\",\"a\":-1,\"b\":\"x\",\"c\":true}\n") != NULL);
    CHECK(strstr(room.lines, "a.debug") != NULL &&
          strstr(room.lines, "\"level\":\"warn\"") != NULL);
    CHECK(strstr(room.lines, "d.error") != NULL);
    check_lua(
        &room, "misuse raises",
        "local many = {} for i = 1, 33 do many['f' .. i] = i end\n"
        "return tostring(pcall(log.info, 'x', {a = 1.5})) .. tostring(pcall(log.info, 'x', {1}))\n"
        "  .. tostring(pcall(log.info, 'x', {a = {}})) .. tostring(pcall(log.info, 'x', many))\n"
        "  .. tostring(pcall(log.info, {})) .. tostring(pcall(log.info, 'x', 'y'))",
        "falsefalsefalsefalsefalsefalse");
    room_close(&room);
}

static void amounts_are_exact(void)
{
    struct room room;
    open_room(&room);
    check_lua(&room, "parse and format",
              "return decimal.parse('12.34', 2) .. ' ' .. decimal.parse('12', 2) .. ' '\n"
              "  .. decimal.format(5, 2) .. ' ' .. decimal.format(-1234, 2) .. ' ' .. "
              "decimal.format(7, 0)",
              "1234 1200 0.05 -12.34 7");
    check_lua(&room, "what is no amount",
              "local out = {}\n"
              "for _, t in ipairs({'1.234', '-1', '1e2', '', '.5', '01', '99999999999999999999', ' "
              "1'}) do\n"
              "  local v, err = decimal.parse(t, 2) out[#out + 1] = v or err.code:sub(1, 3)\n"
              "end return table.concat(out, ' ')",
              "inv inv inv inv inv inv inv inv");
    check_lua(
        &room, "arithmetic",
        "local max = math.maxinteger\n"
        "return decimal.add(1, 2) .. decimal.sub(1, 2) .. decimal.mul(3, 4) .. decimal.ratio(5, 1, "
        "2)\n"
        "  .. tostring(pcall(decimal.add, max, 1)) .. tostring(pcall(decimal.mul, max, 2))\n"
        "  .. tostring(pcall(decimal.sub, -max, 2)) .. tostring(pcall(decimal.ratio, 1, 1, 0))\n"
        "  .. tostring(pcall(decimal.add, 1.5, 1)) .. tostring(pcall(decimal.parse, 1, 2))\n"
        "  .. tostring(pcall(decimal.format, 1, 19))",
        "3-1123falsefalsefalsefalsefalsefalsefalse");
    room_close(&room);
}

/* ---- http ---- */

static const char ask[] =
    "local http = require 'tael.http'\nlocal a, err = http.request(%s)\n"
    "if not a then return err.code .. tostring(err.sent) end\n"
    "local names = {} for k, v in pairs(a.headers) do names[#names + 1] = k .. ':' .. v end\n"
    "return a.status .. '|' .. a.raw .. '|' .. a.ms .. '|' .. table.concat(names, '|')";

static void start_asking(struct room *room, struct outcome *outcome, const char *options)
{
    char text[2048];
    snprintf(text, sizeof(text), ask, options);
    start(room, outcome, text);
    room_run(room);
}

static void a_request_is_what_was_asked(void)
{
    struct room room;
    struct outcome outcome;
    open_room(&room);
    start_asking(&room, &outcome,
                 "{method = 'PUT', url = 'https://x/', headers = {b = '2', a = '1'}, body = 'raw',"
                 " timeout_ms = 5, connect_ms = 6, max_bytes = 7, unix = '/s'}");
    CHECK(outcome.calls == 0 && client.started == 1);
    CHECK(strcmp(client.text, "method=PUT\nurl=https://x/\nheader=a\nvalue=1\nheader=b\nvalue=2\n"
                              "body=raw\ntimeout=5\nconnect=6\nmax=7\nunix=/s\npool=\naddresses=0\n"
                              "deadline=0\nca=\ncert=\nkey=\n") == 0);
    static const struct tael_http_header headers[] = {
        {{"content-type", 12}, {"text/plain", 10}}, {{"via", 3}, {"a", 1}}, {{"via", 3}, {"b", 1}}};
    struct tael_http_result result = {.status = 201,
                                      .sent = true,
                                      .detail = "",
                                      .headers = headers,
                                      .header_count = 3,
                                      .body = {"an\0swer", 7},
                                      .elapsed_us = 12999};
    answer(&result);
    CHECK_NAMED(outcome.calls == 0, "the answer does not run Lua from the loop's callback");
    room_run(&room);
    CHECK(outcome.calls == 1);
    static const char want[] = "201|an\0swer|12|content-type:text/plain|via:a, b";
    CHECK(outcome.text_len == sizeof(want) - 1 && memcmp(outcome.text, want, sizeof(want)) == 0);
    start_asking(&room, &outcome, "{url = 'http://x', form = {b = 'c d/', a = '支'}}");
    CHECK(strstr(client.text, "method=POST\n") != NULL);
    CHECK(strstr(client.text, "body=a=%E6%94%AF&b=c%20d%2F\n") != NULL);
    CHECK(strstr(client.text, "header=content-type\nvalue=application/x-www-form-urlencoded\n"));
    answer(&result);
    room_run(&room);
    start_asking(
        &room, &outcome,
        "{url = 'http://x', json = {b = 1, a = {}}, headers = {['Content-Type'] = 'mine'}}");
    CHECK(strstr(client.text, "body={\"a\":{},\"b\":1}\n") != NULL);
    CHECK(strstr(client.text, "header=Content-Type\nvalue=mine\nbody") != NULL);
    answer(&result);
    room_run(&room);
    start_asking(&room, &outcome, "{url = 'http://x'}");
    CHECK(strstr(client.text, "method=GET\nurl=http://x\nbody=\ntimeout=0\n") == client.text);
    answer(&result);
    room_run(&room);
    CHECK(outcome.calls == 1 && tael_state_tasks(room.state) == 0);
    room_close(&room);
}

static void a_request_says_where_it_may_go_and_until_when(void)
{
    struct tael_http_result result = {.status = 200, .detail = ""};
    struct room room;
    struct outcome outcome;
    open_room(&room);
    start_asking(&room, &outcome,
                 "{url = 'http://x', pool = 'acme-main', addresses = 'public', deadline_ms = 7,"
                 " tls = {ca = '/ca', cert = '/c', key = '/k'}}");
    CHECK(strstr(client.text, "pool=acme-main\naddresses=1\ndeadline=7000\nca=/ca\ncert=/c\n"
                              "key=/k\n") != NULL);
    answer(&result);
    room_run(&room);
    start_asking(&room, &outcome, "{url = 'http://x', addresses = 'any', deadline_ms = 0}");
    CHECK(strstr(client.text, "pool=\naddresses=2\ndeadline=1\n") != NULL); /* long ago */
    answer(&result);
    room_run(&room);
    room_close(&room);
}

static void check_lua_failure(struct room *room, const char *name, const char *detail,
                              const char *want)
{
    struct tael_http_result result = {.failure = TAEL_HTTP_ADDRESS, .detail = detail};
    struct outcome outcome;
    start(room, &outcome,
          "local a, err = require('tael.http').request{url = 'http://x'} return err.message");
    room_run(room);
    answer(&result);
    room_run(room);
    CHECK_NAMED(strcmp(outcome.text, want) == 0, name);
}

static void failures_are_values(void)
{
    static const struct {
        enum tael_http_failure failure;
        bool sent;
        const char *want;
    } rows[] = {
        {TAEL_HTTP_TIMEOUT, true, "timeouttrue"}, {TAEL_HTTP_CONNECT, false, "connectfalse"},
        {TAEL_HTTP_TLS, false, "tlsfalse"},       {TAEL_HTTP_TOO_LARGE, true, "too_largetrue"},
        {TAEL_HTTP_RESET, true, "resettrue"},     {TAEL_HTTP_ADDRESS, false, "addressfalse"},
    };
    struct room room;
    struct outcome outcome;
    open_room(&room);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_http_result result = {
            .failure = rows[i].failure, .sent = rows[i].sent, .detail = ""};
        start_asking(&room, &outcome, "{url = 'http://x'}");
        answer(&result);
        room_run(&room);
        CHECK_NAMED(strcmp(outcome.text, rows[i].want) == 0, rows[i].want);
    }
    check_lua_failure(&room, "the detail of a failure is told", "a.test is at 10.0.0.1",
                      "not an address that may be asked: a.test is at 10.0.0.1");
    check_lua_failure(&room, "a failure without a detail", "", "not an address that may be asked");
    client.refuse = TAEL_ECLOSED;
    start_asking(&room, &outcome, "{url = 'http://x'}");
    CHECK(strcmp(outcome.text, "connectfalse") == 0);
    client.refuse = TAEL_EINVAL;
    start_asking(&room, &outcome, "{url = 'gopher://x'}");
    CHECK(outcome.status == TAEL_ESCRIPT);
    room_close(&room);
}

static void cancelling_a_request_cancels_the_exchange(void)
{
    struct room room;
    struct outcome outcome;
    open_room(&room);
    start_asking(&room, &outcome, "{url = 'http://x'}");
    tael_task_cancel(outcome.task);
    CHECK(client.cancelled == 1 && outcome.calls == 0);
    room_run(&room);
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ECLOSED);
    start_asking(&room, &outcome, "{url = 'http://x'}");
    struct tael_http_result result = {.status = 200, .detail = ""};
    answer(&result);
    tael_task_cancel(outcome.task); /* answered, not yet resumed */
    room_run(&room);
    CHECK(outcome.calls == 1 && outcome.status == TAEL_ECLOSED && client.cancelled == 1);
    start_asking(&room, &outcome, "{url = 'http://x'}");
    room_close(&room);
    CHECK(client.cancelled == 2 && outcome.status == TAEL_ECLOSED);
}

static void requests_that_nobody_may_make(void)
{
    static const char *const options[] = {
        "nil",
        "{}",
        "{url = 1}",
        "{url = 'http://a\\0b'}",
        "{url = 'http://x', methud = 'GET'}",
        "{url = 'http://x', method = 'G T'}",
        "{url = 'http://x', body = 'a', form = {}}",
        "{url = 'http://x', body = 'a', json = {}}",
        "{url = 'http://x', body = {}}",
        "{url = 'http://x', form = {a = 1}}",
        "{url = 'http://x', form = {'a'}}",
        "{url = 'http://x', json = 1.5}",
        "{url = 'http://x', headers = {a = 'b\\r\\nc: d'}}",
        "{url = 'http://x', headers = {a = 'b\\0'}}",
        "{url = 'http://x', headers = {['a b'] = 'c'}}",
        "{url = 'http://x', headers = {['a:'] = 'c'}}",
        "{url = 'http://x', headers = {[''] = 'c'}}",
        "{url = 'http://x', headers = {['Content-Length'] = '1'}}",
        "{url = 'http://x', headers = {['TRANSFER-ENCODING'] = 'chunked'}}",
        "{url = 'http://x', headers = {host = 'y'}}",
        "{url = 'http://x', headers = {a = 1}}",
        "{url = 'http://x', timeout_ms = 0}",
        "{url = 'http://x', timeout_ms = '5'}",
        "{url = 'http://x', max_bytes = 1 << 40}",
        "{url = 'http://x', pool = ''}",
        "{url = 'http://x', pool = 1}",
        "{url = 'http://x', pool = ('x'):rep(256)}",
        "{url = 'http://x', addresses = 'private'}",
        "{url = 'http://x', addresses = true}",
        "{url = 'http://x', deadline_ms = -1}",
        "{url = 'http://x', deadline_ms = 1.5}",
        "{url = 'http://x', deadline_ms = math.maxinteger}",
        "{url = 'http://x', tls = true}",
        "{url = 'http://x', tls = {cert = '/c'}}",
        "{url = 'http://x', tls = {key = '/k'}}",
        "{url = 'http://x', tls = {verify = false}}",
        "{url = 'http://x', tls = {ca = 1}}",
    };
    struct room room;
    struct outcome outcome;
    open_room(&room);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        start_asking(&room, &outcome, options[i]);
        CHECK_NAMED(outcome.calls == 1 && outcome.status == TAEL_ESCRIPT, options[i]);
    }
    CHECK(client.started == 0);
    start_asking(
        &room, &outcome,
        "select(2, require('tael.task').pure(require('tael.http').request, {url = 'http://x'}))");
    CHECK(outcome.status == TAEL_ESCRIPT && client.started == 0);
    check_lua(&room, "not in a pure function",
              "return select(2, task.pure(http.request, {url = 'x'}))",
              "http.request: not allowed in a pure function");
    room_close(&room);
}

int main(void)
{
    keys_wake_those_who_wait();
    wakes_go_to_the_other_workers();
    kept_work_goes_on();
    spawned_tasks_have_their_own_end();
    dates_are_those_of_the_calendar();
    lines_have_their_fields_in_order();
    amounts_are_exact();
    a_request_is_what_was_asked();
    a_request_says_where_it_may_go_and_until_when();
    failures_are_values();
    cancelling_a_request_cancels_the_exchange();
    requests_that_nobody_may_make();
    return tap_end();
}
