/* log_test.c - lines are always JSON, never hold a secret, and are limited in length and rate. */
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "alloc_fail.h"
#include "base/log.h"
#include "base/log_mask.h"
#include "base/sim.h"
#include "tap.h"

/* 2026-11-23T12:01:07.102Z */
enum { SINK_MAX = 1 << 20 };
static const int64_t start_ms = 1795435267102;

struct sink {
    char text[SINK_MAX];
    size_t len, lines;
};

static void take_line(void *user, tael_log_level level, const char *line, size_t len)
{
    struct sink *sink = user;
    (void)level;
    if (len >= sizeof(sink->text) - sink->len)
        return;
    memcpy(sink->text + sink->len, line, len);
    sink->len += len;
    sink->text[sink->len] = '\0';
    sink->lines++;
}

struct fixture {
    struct tael_world *world;
    struct tael_log *log;
    struct sink *sink;
};

static struct fixture open_log(tael_log_level level, int per_second)
{
    struct fixture fixture = {.sink = calloc(1, sizeof(struct sink))};
    struct tael_sim_options sim = {.seed = 1, .start_ms = start_ms};
    CHECK(fixture.sink != NULL && tael_sim_new(&fixture.world, &sim) == TAEL_OK);
    struct tael_log_options options = {.world = fixture.world,
                                       .level = level,
                                       .per_second = per_second,
                                       .write = take_line,
                                       .user = fixture.sink};
    CHECK(tael_log_new(&fixture.log, &options) == TAEL_OK);
    return fixture;
}

static void close_log(struct fixture *fixture)
{
    tael_log_free(fixture->log);
    tael_world_free(fixture->world);
    free(fixture->sink);
}

/* ---- a strict reader of one JSON document, so that the test depends on no other part ---- */

static const char *skip_json(const char *at, const char *end, int depth);

static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at == '\\') {
            at++;
            if (at < end && *at == 'u')
                at += strspn(at + 1, "0123456789abcdef") >= 4 ? 4 : (end - at);
            else if (at >= end || strchr("\"\\/bfnrt", *at) == NULL)
                return NULL;
        }
    }
    return at < end ? at + 1 : NULL;
}

static const char *skip_members(const char *at, const char *end, int depth, bool object)
{
    char close = object ? '}' : ']';
    at++;
    if (at < end && *at == close)
        return at + 1;
    for (;;) {
        if (object) {
            if (at >= end || *at != '"' || (at = skip_string(at, end)) == NULL || at >= end ||
                *at++ != ':')
                return NULL;
        }
        at = skip_json(at, end, depth + 1);
        if (at == NULL || at >= end)
            return NULL;
        if (*at == close)
            return at + 1;
        if (*at++ != ',')
            return NULL;
        at += strspn(at, " ");
    }
}

static const char *skip_json(const char *at, const char *end, int depth)
{
    at += strspn(at, " ");
    if (at >= end || depth > 8)
        return NULL;
    if (*at == '"')
        return skip_string(at, end);
    if (*at == '{' || *at == '[')
        return skip_members(at, end, depth, *at == '{');
    size_t word = strspn(at, "-0123456789truefalsn");
    return word > 0 ? at + word : NULL;
}

static bool valid_utf8(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t need = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
        if (need == 0 || i + need > len)
            return false;
        for (size_t k = 1; k < need; k++) {
            if (((unsigned char)text[i + k] & 0xc0) != 0x80)
                return false;
        }
        i += need;
    }
    return true;
}

static bool every_line_is_json(const struct sink *sink)
{
    const char *at = sink->text;
    size_t lines = 0;
    while (*at != '\0') {
        const char *end = strchr(at, '\n');
        if (end == NULL || end - at >= 8 * 1024 || skip_json(at, end, 0) != end ||
            !valid_utf8(at, (size_t)(end - at)))
            return false;
        at = end + 1;
        lines++;
    }
    return lines == sink->lines;
}

static void check_one(struct fixture *fixture, const struct tael_log_field *field, const char *want,
                      const char *what)
{
    fixture->sink->len = fixture->sink->lines = 0;
    fixture->sink->text[0] = '\0';
    tael_log_write(fixture->log, TAEL_LOG_INFO, "t", field, 1);
    char line[4096];
    snprintf(line, sizeof(line),
             "{\"at\":\"2026-11-23T12:01:07.102Z\",\"level\":\"info\",\"event\":\"t\",%s}\n", want);
    CHECK_NAMED(strcmp(fixture->sink->text, line) == 0, what);
    if (strcmp(fixture->sink->text, line) != 0)
        printf("# got %s", fixture->sink->text);
}

/* ---- form ---- */

static void a_line_has_time_level_event_and_fields(void)
{
    struct fixture fixture = open_log(TAEL_LOG_DEBUG, 0);
    struct tael_log_field yes = {.name = "yes", .kind = TAEL_LOG_BOOL, .number = 1};
    struct tael_log_field raw = {
        .name = "raw", .kind = TAEL_LOG_RAW, .text = tael_span_of("{\"a\":\n[1,2]}")};
    TAEL_LOG(fixture.log, TAEL_LOG_WARN, "store.opened", tael_log_text("path", "data/tael.db"),
             tael_log_int("least", INT64_MIN), yes, raw);
    CHECK(
        strcmp(fixture.sink->text,
               "{\"at\":\"2026-11-23T12:01:07.102Z\",\"level\":\"warn\",\"event\":\"store.opened\","
               "\"path\":\"data/tael.db\",\"least\":-9223372036854775808,\"yes\":true,"
               "\"raw\":{\"a\": [1,2]}}\n") == 0);
    tael_log_write(fixture.log, TAEL_LOG_ERROR, "none", NULL, 0);
    CHECK(fixture.sink->lines == 2 && every_line_is_json(fixture.sink));
    close_log(&fixture);
}

static void times_are_right_through_the_ages(void)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868799999, "2000-02-29T23:59:59.999Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z"},
        {1735689599999, "2024-12-31T23:59:59.999Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_world *world = NULL;
        struct tael_log *log = NULL;
        struct sink *sink = calloc(1, sizeof(*sink));
        struct tael_sim_options sim = {.start_ms = rows[i].ms};
        CHECK(sink != NULL && tael_sim_new(&world, &sim) == TAEL_OK);
        struct tael_log_options options = {
            .world = world, .level = TAEL_LOG_INFO, .write = take_line, .user = sink};
        CHECK(tael_log_new(&log, &options) == TAEL_OK);
        tael_log_write(log, TAEL_LOG_INFO, "t", NULL, 0);
        CHECK_NAMED(strncmp(sink->text + 7, rows[i].text, 24) == 0, rows[i].text);
        tael_log_free(log);
        tael_world_free(world);
        free(sink);
    }
}

static void levels_filter(void)
{
    struct fixture fixture = open_log(TAEL_LOG_WARN, 0);
    CHECK(tael_log_wants(fixture.log, TAEL_LOG_ERROR) &&
          tael_log_wants(fixture.log, TAEL_LOG_WARN));
    CHECK(!tael_log_wants(fixture.log, TAEL_LOG_INFO) && !tael_log_wants(NULL, TAEL_LOG_ERROR));
    tael_log_write(fixture.log, TAEL_LOG_INFO, "t", NULL, 0);
    tael_log_write(NULL, TAEL_LOG_ERROR, "t", NULL, 0);
    CHECK(fixture.sink->lines == 0);
    tael_log_set_level(fixture.log, TAEL_LOG_DEBUG);
    tael_log_write(fixture.log, TAEL_LOG_DEBUG, "t", NULL, 0);
    CHECK(fixture.sink->lines == 1);
    close_log(&fixture);
}

static void text_is_escaped(void)
{
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"plain", "plain"},
        {"", ""},
        {"\"\\/", "\\\"\\\\/"},
        {"a\nb\r\tc\b\f", "a\\nb\\r\\tc\\b\\f"},
        {"\x01\x1f\x7f", "\\u0001\\u001f\\u007f"},
        {"\xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80", "\xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80"},
        {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
        {"\xe2\x80\xae\xe2\x81\xa6", "\\u202e\\u2066"}, /* text direction */
        {"\xc2\x85\xc2\xa0", "\\u0085\xc2\xa0"},
        {"a\xff"
         "b",
         "a\\ufffdb"},
        {"\xc0\xaf", "\\ufffd\\ufffd"},                       /* overlong */
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},            /* surrogate */
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* above U+10FFFF */
        {"\xe4\xb8", "\\ufffd\\ufffd"},                       /* torn */
    };
    struct fixture fixture = open_log(TAEL_LOG_INFO, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tael_log_field field = tael_log_text("v", rows[i].text);
        char want[256];
        snprintf(want, sizeof(want), "\"v\":\"%s\"", rows[i].json);
        check_one(&fixture, &field, want, rows[i].json);
    }
    struct tael_log_field nul = {.name = "v", .text = {"a\0b", 3}};
    check_one(&fixture, &nul, "\"v\":\"a\\u0000b\"", "NUL inside");
    struct tael_log_field none = tael_log_text("v", NULL);
    check_one(&fixture, &none, "\"v\":\"\"", "NULL is empty");
    struct tael_log_field name = tael_log_int("a\"b\n", 1);
    check_one(&fixture, &name, "\"a\\\"b\\n\":1", "names are escaped");
    struct tael_log_field reserved = tael_log_int("level", 1);
    check_one(&fixture, &reserved, "\"level_\":1", "reserved names step aside");
    struct tael_log_field empty = {.name = "v", .kind = TAEL_LOG_RAW};
    check_one(&fixture, &empty, "\"v\":null", "empty raw JSON");
    close_log(&fixture);
}

/* ---- limits ---- */

static void values_and_lines_are_cut(void)
{
    static char much[20000];
    struct fixture fixture = open_log(TAEL_LOG_INFO, 0);
    static const char *const units[] = {"x ",   "\"",  "\xe4\xb8\xad", "\xf0\x9f\x98\x80",
                                        "\x01", "\xff"};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i]);
        for (size_t at = 0; at + len < sizeof(much); at += len)
            memcpy(much + at, units[i], len + 1);
        struct tael_log_field field = tael_log_text("v", much);
        fixture.sink->len = fixture.sink->lines = 0;
        tael_log_write(fixture.log, TAEL_LOG_INFO, "t", &field, 1);
        const char *value = strstr(fixture.sink->text, "\"v\":\"") + 5;
        size_t value_len = (size_t)(fixture.sink->text + fixture.sink->len - 3 - value);
        CHECK(value_len <= 1024 && value_len > 1010);
        CHECK(every_line_is_json(fixture.sink));
        CHECK(memcmp(value + value_len - 3, "\xe2\x80\xa6", 3) == 0);
    }
    struct tael_log_field fields[12];
    for (size_t i = 0; i < sizeof(much) - 1; i++)
        much[i] = i % 8 == 7 ? ' ' : 'y'; /* words: one long word would be hidden */
    for (size_t i = 0; i < 12; i++)
        fields[i] = tael_log_text("v", much);
    fields[11] = tael_log_int("last", 1);
    fixture.sink->len = fixture.sink->lines = 0;
    tael_log_write(fixture.log, TAEL_LOG_INFO, "t", fields, 12);
    CHECK(fixture.sink->len <= 8192 && fixture.sink->len > 7000);
    CHECK(strstr(fixture.sink->text, ",\"last\":1,\"cut\":true}\n") != NULL);
    CHECK(every_line_is_json(fixture.sink));
    struct tael_log_field raw = {.name = "raw", .kind = TAEL_LOG_RAW, .text = {much, 9000}};
    fixture.sink->len = fixture.sink->lines = 0;
    tael_log_write(fixture.log, TAEL_LOG_INFO, "t", &raw, 1);
    CHECK(strstr(fixture.sink->text, "raw") == NULL && every_line_is_json(fixture.sink));
    fixture.sink->len = fixture.sink->lines = 0;
    tael_log_write(fixture.log, TAEL_LOG_INFO, much, NULL, 0);
    CHECK(fixture.sink->len < 160 && every_line_is_json(fixture.sink));
    close_log(&fixture);
}

static void any_bytes_make_a_valid_line(void)
{
    struct fixture fixture = open_log(TAEL_LOG_INFO, 0);
    bool valid = true;
    for (int round = 0; round < 3000 && valid; round++) {
        char name[24], text[3][2000];
        struct tael_log_field fields[3];
        for (size_t i = 0; i < sizeof(name) - 1; i++)
            name[i] = (char)(1 + tael_sim_draw(fixture.world) % 255);
        name[tael_sim_draw(fixture.world) % sizeof(name)] = '\0';
        name[sizeof(name) - 1] = '\0';
        for (int f = 0; f < 3; f++) {
            static const char tokens[] = "0123456789 \"\\=:@.-kysign\xe4\xb8\xad\xff\n";
            size_t len = tael_sim_draw(fixture.world) % sizeof(text[f]);
            bool narrow = tael_sim_draw(fixture.world) % 2 == 0;
            for (size_t i = 0; i < len; i++) {
                uint64_t draw = tael_sim_draw(fixture.world);
                text[f][i] = narrow ? tokens[draw % (sizeof(tokens) - 1)] : (char)(draw & 0xff);
            }
            fields[f] = (struct tael_log_field){.name = name, .text = {text[f], len}};
        }
        fixture.sink->len = fixture.sink->lines = 0;
        tael_log_write(fixture.log, TAEL_LOG_INFO, name, fields, 3);
        valid = fixture.sink->lines == 1 && every_line_is_json(fixture.sink);
    }
    CHECK(valid);
    close_log(&fixture);
}

/* ---- secrets ---- */

static void secrets_and_numbers_are_masked(void)
{
    static const char key[] =
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKjMzEfYyjiWA4R4";
    static const struct {
        const char *text, *masked;
    } rows[] = {
        /* cards */
        {"4111111111111111", "411111******1111"},
        {"card 4111 1111 1111 1111!", "card 4111 11** **** 1111!"},
        {"5 4111-1111-1111-1111", "5 4111-11**-****-1111"},
        {"6222021234567890128", "622202*********0128"},
        {"378282246310005", "378282*****0005"},
        {"x4111111111111111y", "x411111******1111y"},
        {"4111111111111112", "4111111111111112"},
        {"135412345678911", "135412*****8911"},
        {"4222222222222", "422222***2222"},
        {"1032284804025648902", "103228*********8902"},
        {"slot 1795446060000", "slot 1795446060000"},
        {"1795435267000102 us", "1795435267000102 us"},
        {"1 4111 1111 1111 1111", "1 4111 11** **** 1111"},
        {"2026112322001412341234567890", "2026112322001412341234567890"},
        /* phones */
        {"13800138000", "138****8000"},
        {"+8613800138000", "+86138****8000"},
        {"008613800138000", "0086138****8000"},
        {"tel:138-0013-8000.", "tel:138-****-8000."},
        {"call 138 0013 8000 now", "call 138 **** 8000 now"},
        {"12800138000", "12800138000"},
        {"a13800138000b", "a13800138000b"},
        /* identity numbers */
        {"11010519491231002X", "110*************2X"},
        {"id=110105194912310021;", "id=110*************21;"},
        {"110105194913310021", "110105194913310021"},
        /* e-mail */
        {"zhang.san+x@example.com", "z***@example.com"},
        {"<a@b.cn>", "<a***@b.cn>"},
        {"a @ b", "a @ b"},
        {"root@localhost", "root@localhost"},
        /* keys and tokens */
        {"tael_test_7Qm0aB12cdEF.", "[hidden]."},
        {"u=tael_live_abc_DEF-9 x", "u=[hidden] x"},
        {key, "[hidden]"},
        {"a -----BEGIN PRIVATE KEY-----\nMII", "[hidden]"},
        {"Authorization: Basic dGFlbA==\nHost: x", "Authorization: [hidden]\nHost: x"},
        {"authorization=Bearer", "authorization=[hidden]"},
        {"Cookie: a=b; c=d", "Cookie: [hidden]"},
        {"got Bearer abcdef0123456 there", "got Bearer [hidden] there"},
        {"basic authentication failed", "basic authentication failed"},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[hidden]"},
        {"a.eyJhbGciOiJIUzI1NiJ9.b", "a.[hidden]"},
        {"eyJhbGciOiJIU", "eyJhbGciOiJIU"},
        {"tael_live_a", "[hidden]"},
        {"to_tael_test_a", "to_[hidden]"},
        {"a.tael_test_a", "a.[hidden]"},
        /* assignments */
        {"a=1&sign=abc%2B&b=2", "a=1&sign=[hidden]&b=2"},
        {"{\"sign\":\"abc\\\"d\",\"app_id\":\"1\"}", "{\"sign\":\"[hidden]\",\"app_id\":\"1\"}"},
        {"{\\\"sign\\\":\\\"abc\\\",\\\"n\\\":1}", "{\\\"sign\\\":\\\"[hidden]\\\",\\\"n\\\":1}"},
        {"app_secret = 'xyz' -- note", "app_secret = '[hidden]' -- note"},
        {"X-Api-Key: abc", "X-Api-Key: [hidden]"},
        {"password: hunter2", "password: [hidden]"},
        {"privateKey=abc", "privateKey=[hidden]"},
        {"sign_type=RSA2&key_id=9f2c", "sign_type=RSA2&key_id=9f2c"},
        {"unknown key: listen", "unknown key: listen"},
        {"design=x", "design=x"},
        {"sign=", "sign="},
        {"sign=&a=1", "sign=&a=1"},
        {"https://x/y?token=t1#z", "https://x/y?token=[hidden]"},
        /* what must stay */
        {"9f2c3a4b5d6e7f809f2c3a4b5d6e7f809f2c3a4b5d6e7f809f2c3a4b5d6e7f80",
         "9f2c3a4b5d6e7f809f2c3a4b5d6e7f809f2c3a4b5d6e7f809f2c3a4b5d6e7f80"},
        {"pay_0D6YJ3W4Z8T4C0K2N7QK5R9XFM", "pay_0D6YJ3W4Z8T4C0K2N7QK5R9XFM"},
        {"2026-11-23 12:01:07", "2026-11-23 12:01:07"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[512];
        size_t len = tael_log_mask(tael_span_of(rows[i].text), out, sizeof(out) - 1);
        out[len] = '\0';
        const char *name = strchr(rows[i].masked, '\n') != NULL ? "a header line" : rows[i].masked;
        CHECK_NAMED(strcmp(out, rows[i].masked) == 0, name);
        if (strcmp(out, rows[i].masked) != 0)
            printf("# %s -> %s\n", rows[i].text, out);
    }
}

static void a_cut_never_uncovers(void)
{
    /* The number begins before every possible end of the output, which therefore cuts it
     * everywhere. */
    static const char text[] = "abcdefg 4111111111111111 tael_live_0123456789 sign=zyxwvu";
    bool covered = true;
    for (size_t cap = 0; cap < sizeof(text); cap++) {
        char out[sizeof(text) + 1];
        size_t len = tael_log_mask(tael_span_of(text), out, cap);
        out[len] = '\0';
        covered = covered && len <= cap && strstr(out, "4111111") == NULL &&
                  strstr(out, "tael_live") == NULL && strstr(out, "zy") == NULL;
    }
    CHECK(covered);
}

/* A text of Lua's may have any bytes. */
static void a_nul_does_not_end_a_secret(void)
{
    static const char *const texts[] = {"password=\0hunter2", "password=12\0hunter2",
                                        "x-api-key: 12\0hunter2"};
    static const size_t lens[] = {17, 19, 22};
    bool covered = true;
    for (size_t i = 0; i < 3; i++) {
        char out[64];
        size_t len = tael_log_mask((struct tael_span){texts[i], lens[i]}, out, sizeof(out));
        covered = covered && memmem(out, len, "hunter2", 7) == NULL;
    }
    CHECK(covered);
}

static void secret_names_hide_their_values(void)
{
    static const struct {
        const char *name;
        enum tael_log_name kind;
    } rows[] = {
        {"key", TAEL_LOG_NAME_SECRET},
        {"KEY", TAEL_LOG_NAME_SECRET},
        {"api_key", TAEL_LOG_NAME_SECRET},
        {"apiKey", TAEL_LOG_NAME_SECRET},
        {"private-key", TAEL_LOG_NAME_SECRET},
        {"a.secret", TAEL_LOG_NAME_SECRET},
        {"app_secret", TAEL_LOG_NAME_SECRET},
        {"access_token", TAEL_LOG_NAME_SECRET},
        {"password", TAEL_LOG_NAME_SECRET},
        {"sign", TAEL_LOG_NAME_SECRET},
        {"sign2", TAEL_LOG_NAME_SECRET},
        {"signature", TAEL_LOG_NAME_SECRET},
        {"Authorization", TAEL_LOG_NAME_SECRET},
        {"Set-Cookie", TAEL_LOG_NAME_SECRET},
        {"pem", TAEL_LOG_NAME_SECRET},
        {"phone", TAEL_LOG_NAME_PERSONAL},
        {"buyer_mobile", TAEL_LOG_NAME_PERSONAL},
        {"key_id", TAEL_LOG_NAME_PLAIN},
        {"sign_type", TAEL_LOG_NAME_PLAIN},
        {"keyboard", TAEL_LOG_NAME_PLAIN},
        {"monkey", TAEL_LOG_NAME_PLAIN},
        {"design", TAEL_LOG_NAME_PLAIN},
        {"", TAEL_LOG_NAME_PLAIN},
        {"7", TAEL_LOG_NAME_PLAIN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_NAMED(tael_log_name_kind(tael_span_of(rows[i].name)) == rows[i].kind, rows[i].name);

    struct fixture fixture = open_log(TAEL_LOG_INFO, 0);
    struct tael_log_field text = tael_log_text("app_secret", "hush");
    check_one(&fixture, &text, "\"app_secret\":\"[hidden]\"", "a text of a secret name");
    struct tael_log_field number = tael_log_int("pin", 1234);
    check_one(&fixture, &number, "\"pin\":\"[hidden]\"", "a number of a secret name");
    struct tael_log_field raw = {.name = "keys", .kind = TAEL_LOG_RAW, .text = tael_span_of("[1]")};
    check_one(&fixture, &raw, "\"keys\":\"[hidden]\"", "JSON of a secret name");
    struct tael_log_field flag = {.name = "signature", .kind = TAEL_LOG_BOOL, .number = 0};
    check_one(&fixture, &flag, "\"signature\":false", "yes or no is not a secret");
    struct tael_log_field phone = tael_log_int("phone", 13800138000);
    check_one(&fixture, &phone, "\"phone\":\"138****8000\"", "a phone as a number");
    struct tael_log_field amount = tael_log_int("amount", 13800138000);
    check_one(&fixture, &amount, "\"amount\":13800138000", "an amount stays a number");
    struct tael_log_field card = tael_log_int("n", 4111111111111111);
    check_one(&fixture, &card, "\"n\":\"411111******1111\"", "a card as a number");
    struct tael_log_field at = tael_log_int("ms", start_ms);
    check_one(&fixture, &at, "\"ms\":1795435267102", "a time stays a number");
    struct tael_log_field name = tael_log_int("tael_test_abc", 1);
    check_one(&fixture, &name, "\"[hidden]\":1", "a secret as a name");
    close_log(&fixture);
}

/* ---- rate ---- */

static void stop_loop(void *user)
{
    tael_loop_stop(user);
}

static void advance(struct fixture *fixture, int64_t ms)
{
    struct tael_loop *loop = NULL;
    CHECK(tael_loop_new(fixture->world, &loop) == TAEL_OK);
    struct tael_timer *timer = tael_timer_new(loop, stop_loop, loop);
    tael_timer_start(timer, ms * 1000);
    CHECK(tael_loop_run(loop) == TAEL_OK);
    tael_timer_free(timer);
    tael_loop_free(loop);
}

static size_t lines_with(const struct sink *sink, const char *text)
{
    size_t count = 0;
    for (const char *at = sink->text; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

static void one_event_cannot_flood_the_log(void)
{
    struct fixture fixture = open_log(TAEL_LOG_INFO, 3);
    for (int i = 0; i < 10; i++) {
        tael_log_write(fixture.log, TAEL_LOG_WARN, "loud", NULL, 0);
        tael_log_write(fixture.log, TAEL_LOG_INFO, i < 3 ? "other" : "quiet", NULL, 0);
    }
    CHECK(lines_with(fixture.sink, "\"loud\"") == 3);
    CHECK(lines_with(fixture.sink, "\"other\"") == 3 && lines_with(fixture.sink, "\"quiet\"") == 3);
    CHECK(lines_with(fixture.sink, "log.suppressed") == 0);
    advance(&fixture, 1000);
    tael_log_write(fixture.log, TAEL_LOG_INFO, "other", NULL, 0);
    CHECK(lines_with(fixture.sink,
                     "\"level\":\"warn\",\"event\":\"log.suppressed\",\"of\":\"loud\","
                     "\"count\":7}") == 1);
    CHECK(lines_with(fixture.sink, "\"of\":\"quiet\",\"count\":4}") == 1);
    tael_log_write(fixture.log, TAEL_LOG_WARN, "loud", NULL, 0);
    CHECK(lines_with(fixture.sink, "\"event\":\"loud\"") == 4);
    advance(&fixture, 1000);
    tael_log_write(fixture.log, TAEL_LOG_INFO, "other", NULL, 0);
    CHECK(lines_with(fixture.sink, "log.suppressed") == 2); /* told once */
    for (int i = 0; i < 5; i++)
        tael_log_write(fixture.log, TAEL_LOG_INFO, "end", NULL, 0);
    CHECK(every_line_is_json(fixture.sink));
    tael_log_free(fixture.log);
    CHECK(lines_with(fixture.sink, "\"of\":\"end\",\"count\":2}") == 1);
    fixture.log = NULL;
    close_log(&fixture);
}

static void many_event_names_cannot_flood_it_either(void)
{
    struct fixture fixture = open_log(TAEL_LOG_INFO, 1);
    for (int i = 0; i < 5000; i++) {
        char event[32];
        snprintf(event, sizeof(event), "event.%d", i);
        tael_log_write(fixture.log, TAEL_LOG_INFO, event, NULL, 0);
    }
    CHECK(fixture.sink->lines <= 128);
    CHECK(fixture.sink->lines > 64);
    close_log(&fixture);
}

/* ---- threads and memory ---- */

static void *write_many(void *arg)
{
    struct tael_log *log = arg;
    for (int i = 0; i < 500; i++)
        TAEL_LOG(log, TAEL_LOG_INFO, "thread", tael_log_int("i", i), tael_log_text("t", "text"));
    return NULL;
}

static void threads_do_not_mix_lines(void)
{
    struct fixture fixture = open_log(TAEL_LOG_INFO, 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, write_many, fixture.log) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(fixture.sink->lines == 2000 && every_line_is_json(fixture.sink));
    close_log(&fixture);
}

static void making_fails_without_memory_and_writing_needs_none(void)
{
    struct tael_log *log = NULL;
    struct tael_log_options options = {0};
    alloc_fail_at(1);
    CHECK(tael_log_new(&log, &options) == TAEL_ENOMEM && log == NULL);
    CHECK(alloc_fail_end());
    struct fixture fixture = open_log(TAEL_LOG_INFO, 1);
    alloc_fail_at(1);
    for (int i = 0; i < 3; i++)
        TAEL_LOG(fixture.log, TAEL_LOG_INFO, "t", tael_log_text("v", "4111111111111111"));
    CHECK(!alloc_fail_end());
    tael_log_free(NULL);
    close_log(&fixture);
}

int main(void)
{
    a_line_has_time_level_event_and_fields();
    times_are_right_through_the_ages();
    levels_filter();
    text_is_escaped();
    values_and_lines_are_cut();
    any_bytes_make_a_valid_line();
    secrets_and_numbers_are_masked();
    a_cut_never_uncovers();
    a_nul_does_not_end_a_secret();
    secret_names_hide_their_values();
    one_event_cannot_flood_the_log();
    many_event_names_cannot_flood_it_either();
    threads_do_not_mix_lines();
    making_fails_without_memory_and_writing_needs_none();
    return tap_end();
}
