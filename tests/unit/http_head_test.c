/* http_head_test.c - crafted requests through the whole server: none may be accepted or refused
 * wrongly.
 *
 * The verdict of each row was set from RFC 9112 and 9110 and the limits of threats §9, not from
 * what the code did. A row's text is what the handler saw ("METHOD target [body]" a line) and how
 * the connection ended ("!400"). Each is sent whole, byte by byte, and in random pieces; the
 * verdict must not change.
 * With the argument "rows" they are only written, for other tests: name, tab, bytes, tab, verdict,
 * both in hexadecimal.
 */
#include "base/sim.h"
#include "net/http_head.h"
#include "net/http_server.h"
#include "tap.h"
#include "wire.h"

enum { BODY_MAX = 1000, RANDOM_RUNS = 12, DAMAGED_RUNS = 40, STEP_US = 5 };

/* ---- one run ---- */

struct run {
    struct wire wire;
    struct tael_timer *timer;
    const char *bytes;
    size_t len, at, step; /* step 0: random */
    struct tael_world *world;
    struct tael_buf seen;
};

static void on_request(void *user, struct tael_http_request *request)
{
    struct run *run = user;
    if (tael_buf_printf(&run->seen, "%.*s %.*s [", (int)request->method.len, request->method.data,
                        (int)request->target.len, request->target.data) != TAEL_OK ||
        tael_buf_append(&run->seen, request->body.data, request->body.len) != TAEL_OK ||
        tael_buf_append_text(&run->seen, "]\n") != TAEL_OK)
        abort();
    tael_http_respond(request, 200, NULL, 0, tael_span_of("ok"));
}

static void on_step(void *user)
{
    struct run *run = user;
    size_t left = run->len - run->at;
    size_t part = run->step != 0 ? run->step : 1 + (size_t)(tael_sim_draw(run->world) % 40);
    part = part < left ? part : left;
    if (run->wire.ended || part == 0)
        return;
    if (tael_stream_write(run->wire.stream, run->bytes + run->at, part) != TAEL_OK)
        return; /* the server has refused and closed: its answer is what counts */
    run->at += part;
    tael_timer_start(run->timer, STEP_US);
}

/* The statuses that the server gave by itself. */
static void note_refusals(struct run *run)
{
    static const char start[] = "HTTP/1.1 ";
    const char *data = run->wire.got.data;
    for (size_t i = 0; i + sizeof(start) + 2 < run->wire.got.len; i++) {
        if (memcmp(data + i, start, sizeof(start) - 1) != 0)
            continue;
        const char *status = data + i + sizeof(start) - 1;
        if (*status >= '0' && *status <= '9' && memcmp(status, "200", 3) != 0 &&
            memcmp(status, "100", 3) != 0 &&
            tael_buf_printf(&run->seen, "!%.3s", status) != TAEL_OK)
            abort();
    }
}

static struct tael_buf verdict(const char *bytes, size_t len, size_t step, uint64_t seed)
{
    struct tael_loop *loop = NULL;
    struct tael_http_server *server = NULL;
    struct run run = {.bytes = bytes, .len = len, .step = step};
    struct tael_sim_options sim = {.seed = seed, .latency_us = 1};
    const char *address = NULL;
    if (tael_sim_new(&run.world, &sim) != TAEL_OK || tael_loop_new(run.world, &loop) != TAEL_OK)
        abort();
    struct tael_http_server_options options = {.loop = loop,
                                               .limits = {.body = BODY_MAX},
                                               .handler = {.request = on_request, .user = &run}};
    if (tael_http_server_new(&server, &options) != TAEL_OK ||
        tael_http_server_listen(server, "api", "127.0.0.1:0", &address) != TAEL_OK)
        abort();
    wire_connect(&run.wire, loop, address);
    run.timer = tael_timer_new(loop, on_step, &run);
    tael_timer_start(run.timer, STEP_US);
    tael_sim_run(run.world, INT64_MAX); /* until the server has closed, at the latest when idle */
    note_refusals(&run);
    if (!run.wire.ended && tael_buf_append_text(&run.seen, "!open") != TAEL_OK)
        abort();
    wire_free(&run.wire);
    tael_timer_free(run.timer);
    tael_http_server_free(server);
    tael_loop_free(loop);
    tael_world_free(run.world);
    return run.seen;
}

static bool is_verdict(const char *bytes, size_t len, struct tael_span want, size_t step,
                       uint64_t seed)
{
    struct tael_buf seen = verdict(bytes, len, step, seed);
    bool same = seen.len == want.len && memcmp(seen.data, want.data, want.len) == 0;
    if (!same)
        printf("# want %.*s\n# got  %.*s\n", (int)want.len, want.data, (int)seen.len, seen.data);
    tael_buf_free(&seen);
    return same;
}

static bool listing; /* rows are written, not judged */

static void list_row(const char *name, const char *bytes, size_t len, const char *text)
{
    printf("%s\t", name);
    for (size_t i = 0; i < len; i++)
        printf("%02x", (unsigned char)bytes[i]);
    printf("\t");
    for (size_t i = 0; text[i] != '\0'; i++)
        printf("%02x", (unsigned char)text[i]);
    printf("\n");
}

static void judge(const char *name, const char *bytes, size_t len, const char *text)
{
    if (listing) {
        list_row(name, bytes, len, text);
        return;
    }
    char title[160];
    struct tael_span want = tael_span_of(text);
    snprintf(title, sizeof(title), "%s: whole", name);
    CHECK_NAMED(is_verdict(bytes, len, want, len, 1), title);
    snprintf(title, sizeof(title), "%s: byte by byte", name);
    CHECK_NAMED(is_verdict(bytes, len, want, 1, 2), title);
    bool same = true;
    for (uint64_t seed = 3; seed < 3 + RANDOM_RUNS; seed++)
        same = is_verdict(bytes, len, want, 0, seed) && same;
    snprintf(title, sizeof(title), "%s: random pieces", name);
    CHECK_NAMED(same, title);
}

/* ---- the battery ---- */

struct row {
    const char *name, *bytes;
    size_t len;
    const char *want;
};
#define ROW(name, bytes, want)                                                                     \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, want                                                       \
    }
#define H       "Host: a\r\n"
#define TE      "Transfer-Encoding: chunked\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" H TE "\r\n"

static const struct row accepted[] = {
    ROW("plain GET", "GET / HTTP/1.1\r\n" H "\r\n", "GET / []\n"),
    ROW("HTTP/1.0 with Host", "GET / HTTP/1.0\r\n" H "\r\n", "GET / []\n"),
    ROW("names in any case", "GET / HTTP/1.1\r\nhOST: a\r\nX-Y: z\r\n\r\n", "GET / []\n"),
    ROW("no blank after the colon", "POST / HTTP/1.1\r\nHost:a\r\nContent-Length:2\r\n\r\nhi",
        "POST / [hi]\n"),
    ROW("tabs and blanks around a value",
        "POST / HTTP/1.1\r\nHost: \t a \t\r\nContent-Length:\t2 \r\n\r\nhi", "POST / [hi]\n"),
    ROW("empty value", "GET / HTTP/1.1\r\n" H "X:\r\nY: \t\r\n\r\n", "GET / []\n"),
    ROW("bytes above 0x7f in a value", "GET / HTTP/1.1\r\n" H "X: \xe4\xbd\xa0\xff\r\n\r\n",
        "GET / []\n"),
    ROW("tab within a value", "GET / HTTP/1.1\r\n" H "X: a\tb\r\n\r\n", "GET / []\n"),
    ROW("every token character in a name", "GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~09Az: x\r\n\r\n",
        "GET / []\n"),
    ROW("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / []\n"),
    ROW("Host with a port", "GET / HTTP/1.1\r\nHost: pay.example:8080\r\n\r\n", "GET / []\n"),
    ROW("Host is an IPv6 address", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / []\n"),
    ROW("Upgrade is not taken up, and what follows is read",
        "POST / HTTP/1.1\r\nUPGRADE: h2c\r\n" H
        "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: "
        "AAMA\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\n" H "Upgrade: websocket\r\nUpgrade: "
        "x\r\n\r\n",
        "POST / [hi]\nGET /b []\n"),
    ROW("Upgrade and nothing to read after it",
        "GET / HTTP/1.1\r\n" H "Connection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
        "GET / []\n"),
    ROW("OPTIONS *", "OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * []\n"),
    ROW("absolute form", "GET http://a:80/b?c HTTP/1.1\r\n" H "\r\n", "GET /b?c []\n"),
    ROW("absolute form, scheme in capitals", "GET HTTP://a/ HTTP/1.1\r\n" H "\r\n", "GET / []\n"),
    ROW("absolute form without a path", "GET http://a?x HTTP/1.1\r\n" H "\r\n", "GET /?x []\n"),
    ROW("absolute form, the address alone", "GET https://a HTTP/1.1\r\n" H "\r\n", "GET / []\n"),
    ROW("absolute form of another host", "GET http://bb:1/c HTTP/1.1\r\n" H "\r\n", "GET /c []\n"),
    ROW("odd but printable target", "GET /a//b;c=%20\"<>\\^`{|}~?d?e HTTP/1.1\r\n" H "\r\n",
        "GET /a//b;c=%20\"<>\\^`{|}~?d?e []\n"),
    ROW("HEAD", "HEAD / HTTP/1.1\r\n" H "\r\n", "HEAD / []\n"),
    ROW("PATCH with a body", "PATCH /x HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
        "PATCH /x [abc]\n"),
    ROW("DELETE without a body", "DELETE /x HTTP/1.1\r\n" H "\r\n", "DELETE /x []\n"),
    ROW("GET with a body", "GET / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi", "GET / [hi]\n"),
    ROW("length zero", "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "POST / []\n"),
    ROW("length with leading zeros", "POST / HTTP/1.1\r\n" H "Content-Length: 0002\r\n\r\nhi",
        "POST / [hi]\n"),
    ROW("POST without a length has no body", "POST / HTTP/1.1\r\n" H "\r\n", "POST / []\n"),
    ROW("chunked", CHUNKED "3\r\nabc\r\n0\r\n\r\n", "POST / [abc]\n"),
    ROW("chunked in capitals",
        "POST / HTTP/1.1\r\n" H "TRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n", "POST / []\n"),
    ROW("chunked with blanks around",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\tchunked \r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "POST / [x]\n"),
    ROW("several chunks", CHUNKED "3\r\nabc\r\nA\r\n0123456789\r\na\r\n9876543210\r\n0\r\n\r\n",
        "POST / [abc01234567899876543210]\n"),
    ROW("chunk data that looks like framing", CHUNKED "7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
        "POST / [0\r\n\r\n\r\n]\n"),
    ROW("sixteen digits of chunk size", CHUNKED "0000000000000001\r\nx\r\n0000000000000000\r\n\r\n",
        "POST / [x]\n"),
    ROW("chunk extension", CHUNKED "1;a=b\r\nx\r\n0\r\n\r\n", "POST / [x]\n"),
    ROW("chunk extensions, quoted", CHUNKED "1;a=\"; b\";c\r\nx\r\n0;d=e\r\n\r\n", "POST / [x]\n"),
    ROW("empty line in front", "\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET / []\n"),
    ROW("Expect 100-continue",
        "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi",
        "POST / [hi]\n"),
    ROW("Expect in HTTP/1.0 is ignored",
        "POST / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        "POST / [hi]\n"),
    ROW("Content-Encoding identity",
        "POST / HTTP/1.1\r\n" H "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi",
        "POST / [hi]\n"),
    ROW("TE is not Transfer-Encoding",
        "GET / HTTP/1.1\r\n" H "TE: trailers\r\nConnection: TE\r\n\r\n", "GET / []\n"),
    ROW("framing words in another field",
        "GET / HTTP/1.1\r\n" H "X: Transfer-Encoding: chunked\r\nX-Content-Length: 9\r\n\r\n",
        "GET / []\n"),
    ROW("two pipelined", "GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
        "GET /1 []\nGET /2 []\n"),
    ROW("pipelined with an empty line between",
        "GET /1 HTTP/1.1\r\n" H "\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n", "GET /1 []\nGET /2 []\n"),
    ROW("pipelined behind a length",
        "POST /1 HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nGET GET /2 HTTP/1.1\r\n" H "\r\n",
        "POST /1 [GET ]\nGET /2 []\n"),
    ROW("pipelined behind chunks", CHUNKED "1\r\nx\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
        "POST / [x]\nGET /2 []\n"),
    ROW("a request inside a body is a body",
        "POST /1 HTTP/1.1\r\n" H
        "Content-Length: 35\r\n\r\nGET /admin HTTP/1.1\r\nHost: evil\r\n\r\n"
        "GET /2 HTTP/1.1\r\n" H "\r\n",
        "POST /1 [GET /admin HTTP/1.1\r\nHost: evil\r\n\r\n]\nGET /2 []\n"),
    ROW("a request inside a chunk is a body",
        CHUNKED "23\r\nGET /admin HTTP/1.1\r\nHost: evil\r\n\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n" H
                "\r\n",
        "POST / [GET /admin HTTP/1.1\r\nHost: evil\r\n\r\n]\nGET /2 []\n"),
    ROW("nothing is read behind Connection: close",
        "GET /1 HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
        "GET /1 []\n"),
    ROW("nothing is read behind plain HTTP/1.0",
        "GET /1 HTTP/1.0\r\n" H "\r\nGET /2 HTTP/1.0\r\n" H "\r\n", "GET /1 []\n"),
    ROW("HTTP/1.0 with keep-alive goes on",
        "GET /1 HTTP/1.0\r\n" H "Connection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\n" H "\r\n",
        "GET /1 []\nGET /2 []\n"),
};

static const struct row bad_line[] = {
    ROW("request line ends with LF", "GET / HTTP/1.1\n" H "\r\n", "!400"),
    ROW("CR within the request line", "GET /\rx HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("HTTP/0.9", "GET /\r\n\r\n", "!400"),
    ROW("HTTP/0.9 with fields", "GET /\r\n" H "\r\n", "!400"),
    ROW("HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n", "!400"),
    ROW("HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", "!400"),
    ROW("HTTP/1.10", "GET / HTTP/1.10\r\n" H "\r\n", "!400"),
    ROW("HTTP/01.1", "GET / HTTP/01.1\r\n" H "\r\n", "!400"),
    ROW("HTTP/1", "GET / HTTP/1\r\n" H "\r\n", "!400"),
    ROW("version in small letters", "GET / http/1.1\r\n" H "\r\n", "!400"),
    ROW("RTSP/1.0", "GET / RTSP/1.0\r\n" H "\r\n", "!400"),
    ROW("ICE/1.0", "SOURCE / ICE/1.0\r\n" H "\r\n", "!400"),
    ROW("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!400"),
    ROW("blank behind the version", "GET / HTTP/1.1 \r\n" H "\r\n", "!400"),
    ROW("two blanks before the target", "GET  / HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("two blanks before the version", "GET /  HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("blank before the method", " GET / HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("tab instead of a blank", "GET\t/ HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("no target", "GET HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("method is not a token", "G(T / HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("fragment in the target", "GET /a#b HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("byte above 0x7f in the target", "GET /\xe4 HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("DEL in the target", "GET /\x7f HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("NUL in the target", "GET /\0 HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("blank in the target", "GET /a b HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("target without a slash", "GET a HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("GET *", "GET * HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("other scheme", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("user information in the target", "GET http://u@a/ HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("absolute form without a host", "GET http:///x HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("CONNECT", "CONNECT a:80 HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("two empty lines in front", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("TLS instead of HTTP", "\x16\x03\x01\x02\x00\x01", "!400"),
    ROW("unknown method", "FOO / HTTP/1.1\r\n" H "\r\n", "!501"),
    ROW("method in small letters", "get / HTTP/1.1\r\n" H "\r\n", "!501"),
    ROW("RTSP method", "DESCRIBE / HTTP/1.1\r\n" H "\r\n", "!400"),
};

static const struct row bad_field[] = {
    ROW("field line ends with LF", "GET / HTTP/1.1\r\nHost: a\n\r\n", "!400"),
    ROW("head ends with LF", "GET / HTTP/1.1\r\n" H "\n", "!400"),
    ROW("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "!400"),
    ROW("CR within a value", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", "!400"),
    ROW("CR hides a field (CVE-2023-30589)",
        "POST / HTTP/1.1\r\n" H "X-Abc:\rxTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
    ROW("NUL in a value", "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n", "!400"),
    ROW("NUL in a name", "GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n", "!400"),
    ROW("DEL in a value", "GET / HTTP/1.1\r\n" H "X: \x7f\r\n\r\n", "!400"),
    ROW("control character in a value", "GET / HTTP/1.1\r\n" H "X: \x01\r\n\r\n", "!400"),
    ROW("folded by a blank", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", "!400"),
    ROW("folded by a tab", "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n", "!400"),
    ROW("folded Transfer-Encoding",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "!400"),
    ROW("blank before Content-Length (CVE-2024-27982)",
        "POST / HTTP/1.1\r\n" H "X: a\r\n Content-Length: 5\r\n\r\nhello", "!400"),
    ROW("first field begins with a blank", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "!400"),
    ROW("blank before the colon",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "!400"),
    ROW("tab before the colon", "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", "!400"),
    ROW("empty name", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n", "!400"),
    ROW("no colon", "GET / HTTP/1.1\r\n" H "X\r\n\r\n", "!400"),
    ROW("name is not a token", "GET / HTTP/1.1\r\n" H "X@Y: a\r\n\r\n", "!400"),
    ROW("blank within a name", "GET / HTTP/1.1\r\n" H "X Y: a\r\n\r\n", "!400"),
    ROW("byte above 0x7f in a name", "GET / HTTP/1.1\r\n" H "X\xe4: a\r\n\r\n", "!400"),
    ROW("no Host", "GET / HTTP/1.1\r\n\r\n", "!400"),
    ROW("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "!400"),
    ROW("two Hosts", "GET / HTTP/1.1\r\n" H "Host: b\r\n\r\n", "!400"),
    ROW("the same Host twice", "GET / HTTP/1.1\r\n" H H "\r\n", "!400"),
    ROW("blank within Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "!400"),
    ROW("path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "!400"),
    ROW("user in Host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "!400"),
    ROW("byte above 0x7f in Host", "GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n", "!400"),
    ROW("unknown Expect", "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\nContent-Length: 2\r\n\r\nhi",
        "!417"),
    ROW("compressed body",
        "POST / HTTP/1.1\r\n" H "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", "!415"),
};

#define CL(value)     "POST / HTTP/1.1\r\n" H "Content-Length: " value "\r\n\r\nhello"
#define CODING(value) "POST / HTTP/1.1\r\n" H "Transfer-Encoding: " value "\r\n\r\n0\r\n\r\n"

static const struct row bad_length[] = {
    ROW("length twice, equal", CL("5\r\nContent-Length: 5"), "!400"),
    ROW("length twice, different", CL("5\r\nContent-Length: 6"), "!400"),
    ROW("length is a list", CL("5, 5"), "!400"),
    ROW("length with plus", CL("+5"), "!400"),
    ROW("length with minus", CL("-5"), "!400"),
    ROW("length in hexadecimal", CL("0x5"), "!400"),
    ROW("length with a point", CL("5.0"), "!400"),
    ROW("length with a blank", CL("5 5"), "!400"),
    ROW("length empty", CL(""), "!400"),
    ROW("length not a number", CL("five"), "!400"),
    ROW("length 2^63", CL("9223372036854775808"), "!400"),
    ROW("length 2^64 + 5", CL("18446744073709551621"), "!400"),
    ROW("length of 40 digits", CL("1000000000000000000000000000000000000005"), "!400"),
    ROW("length, then coding", CL("5\r\nTransfer-Encoding: chunked"), "!400"),
    ROW("coding, then length", CODING("chunked\r\nContent-Length: 5"), "!400"),
    ROW("coding twice", CODING("chunked\r\nTransfer-Encoding: chunked"), "!400"),
    ROW("coding twice, second odd", CODING("chunked\r\nTransfer-Encoding: cow"), "!400"),
    ROW("gzip, chunked", CODING("gzip, chunked"), "!400"),
    ROW("chunked, gzip", CODING("chunked, gzip"), "!400"),
    ROW("chunked, chunked", CODING("chunked, chunked"), "!400"),
    ROW("chunked, nothing", CODING("chunked,"), "!400"),
    ROW("nothing, chunked", CODING(", chunked"), "!400"),
    ROW("identity", CODING("identity"), "!400"),
    ROW("xchunked", CODING("xchunked"), "!400"),
    ROW("chunked with a parameter", CODING("chunked;q=1"), "!400"),
    ROW("chunked in quotes", CODING("\"chunked\""), "!400"),
    ROW("coding with a vertical tab",
        CODING("\x0b"
               "chunked"),
        "!400"),
    ROW("coding empty", CODING(""), "!400"),
    ROW("coding in HTTP/1.0", "POST / HTTP/1.0\r\n" H TE "\r\n0\r\n\r\n", "!400"),
    ROW("length above the limit", CL("1001"), "!413"),
    ROW("length far above the limit", CL("9223372036854775807"), "!413"),
    ROW("refused with 100-continue",
        "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n", "!413"),
    ROW("the head does not end", "GET / HTTP/1.1\r\n" H, "!408"),
    ROW("the body does not end", CL("6"), "!408"),
    ROW("the chunks do not end", CHUNKED "3\r\nabc\r\n0\r\n", "!408"),
};

static const struct row bad_chunk[] = {
    ROW("no size", CHUNKED "\r\n\r\n", "!400"),
    ROW("size with 0x", CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("size with plus", CHUNKED "+3\r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("size with minus", CHUNKED "-3\r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("blank before the size", CHUNKED " 3\r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("blank behind the size", CHUNKED "3 \r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("size not a number", CHUNKED "g\r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("size line ends with LF", CHUNKED "3\nabc\r\n0\r\n\r\n", "!400"),
    ROW("CR within the size line", CHUNKED "3\r3\r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("seventeen digits", CHUNKED "00000000000000003\r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("size 2^64 - 1", CHUNKED "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", "!413"),
    ROW("size above the limit", CHUNKED "3e9\r\n", "!413"),
    ROW("sum above the limit", CHUNKED "1\r\nx\r\n3e8\r\n", "!413"),
    ROW("data without CR LF", CHUNKED "3\r\nabc0\r\n\r\n", "!400"),
    ROW("data ends with LF", CHUNKED "3\r\nabc\n0\r\n\r\n", "!400"),
    ROW("data longer than the size", CHUNKED "3\r\nabcd\r\n0\r\n\r\n", "!400"),
    ROW("data shorter than the size", CHUNKED "4\r\nabc\r\n0\r\n\r\n", "!400"),
    ROW("LF in an extension", CHUNKED "1;a\nb\r\nx\r\n0\r\n\r\n", "!400"),
    ROW("CR in an extension", CHUNKED "1;a\rb\r\nx\r\n0\r\n\r\n", "!400"),
    ROW("NUL in an extension", CHUNKED "1;\0\r\nx\r\n0\r\n\r\n", "!400"),
    ROW("framing in a trailer", CHUNKED "0\r\nContent-Length: 5\r\n\r\nhello", "!400"),
    ROW("harmless trailer", CHUNKED "0\r\nX: y\r\n\r\n", "!400"),
    ROW("LF behind the last chunk", CHUNKED "0\r\n\n", "!400"),
    ROW("no second request behind a bad chunk",
        CHUNKED "1\r\nxx\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("no second request behind a bad head",
        "GET /1 HTTP/1.1\r\n" H "X : y\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n", "!400"),
    ROW("what came before a bad head is answered",
        "GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n" H "\r\n",
        "GET /1 []\n!400"),
    ROW("length against chunks (CL.TE)",
        "POST /1 HTTP/1.1\r\n" H "Content-Length: 30\r\n" TE
        "\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n" H "\r\n",
        "!400"),
    ROW("chunks against length (TE.CL)",
        "POST /1 HTTP/1.1\r\n" H TE "Content-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n", "!400"),
};

static void judge_all(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        judge(rows[i].name, rows[i].bytes, rows[i].len, rows[i].want);
}
#define JUDGE_ALL(rows) judge_all(rows, sizeof(rows) / sizeof(rows[0]))

/* ---- limits: one byte below is taken, one above is not ---- */

static void put(struct tael_buf *out, const char *text)
{
    if (tael_buf_append_text(out, text) != TAEL_OK)
        abort();
}

static void put_many(struct tael_buf *out, char c, size_t count)
{
    while (count-- > 0) {
        if (tael_buf_append_char(out, c) != TAEL_OK)
            abort();
    }
}

static void judge_buf(const char *name, struct tael_buf *bytes, const char *want)
{
    judge(name, bytes->data, bytes->len, want);
    tael_buf_free(bytes);
}

/* A request whose request line has len bytes. */
static void line_of(size_t len, const char *want)
{
    struct tael_buf bytes = {0};
    struct tael_buf seen = {0};
    put(&bytes, "GET /");
    put_many(&bytes, 'x', len - strlen("GET / HTTP/1.1"));
    put(&bytes, " HTTP/1.1\r\n" H "\r\n");
    put(&seen, "GET /");
    put_many(&seen, 'x', len - strlen("GET / HTTP/1.1"));
    put(&seen, " []\n");
    put_many(&seen, '\0', 1);
    judge_buf(want == NULL ? "longest request line" : "request line too long", &bytes,
              want == NULL ? seen.data : want);
    tael_buf_free(&seen);
}

static void field_of(size_t len, const char *want)
{
    struct tael_buf bytes = {0};
    put(&bytes, "GET / HTTP/1.1\r\n" H "X:");
    put_many(&bytes, 'x', len - 2);
    put(&bytes, "\r\n\r\n");
    judge_buf("field of the greatest length, or one more", &bytes, want);
}

static void fields_of(size_t count, const char *want)
{
    struct tael_buf bytes = {0};
    put(&bytes, "GET / HTTP/1.1\r\n" H);
    for (size_t i = 1; i < count; i++)
        put(&bytes, "X: y\r\n");
    put(&bytes, "\r\n");
    judge_buf("as many fields as may be, or one more", &bytes, want);
}

static void head_of(size_t len, const char *want)
{
    struct tael_buf bytes = {0};
    put(&bytes, "GET / HTTP/1.1\r\n" H "X: ");
    put_many(&bytes, 'x', 8000);
    put(&bytes, "\r\nY: ");
    put_many(&bytes, 'y', 8000);
    put(&bytes, "\r\nZ: ");
    put_many(&bytes, 'z', len - bytes.len - 4);
    put(&bytes, "\r\n\r\n");
    judge_buf("head of the greatest length, or one more", &bytes, want);
}

static void extension_of(size_t len, const char *want)
{
    struct tael_buf bytes = {0};
    put(&bytes, CHUNKED "1;");
    put_many(&bytes, 'x', len);
    put(&bytes, "\r\nx\r\n0\r\n\r\n");
    judge_buf("chunk extension of the greatest length, or one more", &bytes, want);
}

static void body_of(size_t len, bool chunked, const char *want)
{
    struct tael_buf bytes = {0};
    struct tael_buf seen = {0};
    if (tael_buf_printf(&bytes, "POST / HTTP/1.1\r\n" H "%s", chunked ? TE "\r\n" : "") !=
            TAEL_OK ||
        tael_buf_printf(&bytes, chunked ? "%zx\r\n" : "Content-Length: %zu\r\n\r\n", len) !=
            TAEL_OK)
        abort();
    put_many(&bytes, 'x', len);
    put(&bytes, chunked ? "\r\n0\r\n\r\n" : "");
    put(&seen, "POST / [");
    put_many(&seen, 'x', len);
    put(&seen, "]\n");
    put_many(&seen, '\0', 1);
    judge_buf("body of the greatest length, or one more", &bytes, want == NULL ? seen.data : want);
    tael_buf_free(&seen);
}

/* ---- the copy ---- */

static void copied(const char *bytes, const char *want)
{
    static const struct tael_http_limits limits = {
        .line = 200, .head = 200, .fields = 4, .field = 200};
    struct tael_http_head head = {0};
    struct tael_http_header headers[4];
    struct tael_span method, target;
    char out[256];
    size_t len = strlen(bytes);
    CHECK(tael_http_head_scan(&head, &limits, bytes, len) == TAEL_HTTP_GATE_DONE);
    CHECK(head.fields <= 4 && tael_http_head_room(&head) <= sizeof(out));
    size_t written = tael_http_head_copy(&head, bytes, out, &method, &target, headers);
    CHECK_NAMED(written == strlen(want) && memcmp(out, want, written) == 0, want);
}

static void an_absolute_target_says_the_host(void)
{
    copied("GET http://pay.example:1/b?c HTTP/1.1\r\nX: y\r\nHost:a\r\n\r\n",
           "GET /b?c HTTP/1.1\r\nx: y\r\nhost: pay.example:1\r\n\r\n");
    copied("\r\nGET http://b HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nhost: b\r\n\r\n");
    copied("GET /b HTTP/1.1\r\nHOST:a:2 \r\n\r\n", "GET /b HTTP/1.1\r\nhost: a:2\r\n\r\n");
}

/* ---- damaged requests: whatever the verdict is, it must not depend on the cut ---- */

static uint64_t draw(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Changes, drops, doubles or adds one byte, mostly one that means something. */
static void damage(struct tael_buf *bytes, uint64_t *state)
{
    static const char telling[] = "\r\n \t:;,\"/*#@0123456789aAfFgxXHTPhost\x7f\x80\xff\0";
    size_t at = (size_t)(draw(state) % bytes->len);
    char c = telling[draw(state) % sizeof(telling)];
    switch (draw(state) % 4) {
    case 0:
        bytes->data[at] = c;
        break;
    case 1:
        memmove(bytes->data + at, bytes->data + at + 1, bytes->len - at - 1);
        bytes->len--;
        break;
    default:
        if (tael_buf_append_char(bytes, c) != TAEL_OK)
            abort();
        memmove(bytes->data + at + 1, bytes->data + at, bytes->len - at - 1);
        bytes->data[at] = c;
    }
}

static bool verdict_is_stable(const struct row *row, uint64_t seed)
{
    struct tael_buf bytes = {0};
    uint64_t state = seed;
    if (tael_buf_append(&bytes, row->bytes, row->len) != TAEL_OK)
        abort();
    for (uint64_t edits = 1 + draw(&state) % 3; edits > 0 && bytes.len > 1; edits--)
        damage(&bytes, &state);
    struct tael_buf whole = verdict(bytes.data, bytes.len, bytes.len, 1);
    struct tael_span want = {whole.data, whole.len};
    bool same = is_verdict(bytes.data, bytes.len, want, 1, seed) &&
                is_verdict(bytes.data, bytes.len, want, 0, seed);
    tael_buf_free(&whole);
    tael_buf_free(&bytes);
    return same;
}

static void damaged(const struct row *rows, size_t count)
{
    bool same = true;
    for (size_t i = 0; i < count; i++) {
        for (uint64_t seed = 1; seed <= DAMAGED_RUNS; seed++)
            same = verdict_is_stable(&rows[i], seed * 1000 + i) && same;
    }
    CHECK_NAMED(same, "damaged requests are judged the same however they are cut");
}
#define DAMAGED(rows) damaged(rows, sizeof(rows) / sizeof(rows[0]))

int main(int argc, char **argv)
{
    listing = argc == 2 && strcmp(argv[1], "rows") == 0;
    JUDGE_ALL(accepted);
    JUDGE_ALL(bad_line);
    JUDGE_ALL(bad_field);
    JUDGE_ALL(bad_length);
    JUDGE_ALL(bad_chunk);
    line_of(8192, NULL);
    line_of(8193, "!414");
    field_of(8192, "GET / []\n");
    field_of(8193, "!431");
    fields_of(64, "GET / []\n");
    fields_of(65, "!431");
    head_of(16384, "GET / []\n");
    head_of(16385, "!431");
    extension_of(128, "POST / [x]\n");
    extension_of(129, "!400");
    body_of(BODY_MAX, false, NULL);
    body_of(BODY_MAX, true, NULL);
    body_of(BODY_MAX + 1, false, "!413");
    body_of(BODY_MAX + 1, true, "!413");
    if (listing)
        return 0;
    an_absolute_target_says_the_host();
    DAMAGED(accepted);
    DAMAGED(bad_length);
    DAMAGED(bad_chunk);
    return tap_end();
}
