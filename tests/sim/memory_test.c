/* memory_test.c - a whole engine while memory runs out: for every n, the n-th allocation of a
 * request's handling fails, in our code and in the libraries' (SQLite, OpenSSL, Lua).
 *
 * Each n is one request over the wire of the simulated world. It is answered right, or with a 503,
 * or its connection ends when there is no memory for an answer; sent again, it is answered right.
 * In the end chains, seals and tables agree: nothing was doubled and nothing is half there. Leaks
 * are the sanitizer's. EVERY=k takes every k-th n.
 */
#include <time.h>

#include "crypto/codec.h"
#include "crypto/key.h"
#include "tests/sim/history.h"
#include "tests/unit/alloc_fail.h"

enum {
    ANSWER_MAX = 256 * 1024,
    SHORT_MS = 200,
    SOON_MS = 60000,
    NEVER = 1 << 30,
    LOG_SHOWN = 32768
};

static const struct history_script script = {.more = "limits = { key = false },"};

struct place {
    struct history history;
    struct tael_loop *client;
    struct tael_key *channel;
    int every;
    int orders;        /* made so far: each has a name of its own */
    char order_no[64]; /* of the newest, at the channel */
    char payment[64];
};

/* ---- one request, one connection ---- */

struct answer {
    int status; /* 0: none came */
    bool ended;
    size_t len;
    char text[ANSWER_MAX];
};

static struct answer answer; /* without memory of its own: none may be left */

static void on_open(void *user)
{
    (void)user;
}

static void on_read(void *user, const char *data, size_t len)
{
    (void)user;
    if (len < sizeof(answer.text) - answer.len) {
        memcpy(answer.text + answer.len, data, len);
        answer.len += len;
        answer.text[answer.len] = '\0';
    }
}

static void on_end(void *user, tael_status why)
{
    (void)user, (void)why;
    answer.ended = true;
}

static const struct tael_stream_events events = {.open = on_open, .read = on_read, .end = on_end};

/* Sends it, then lets `count` allocations fail from the n-th on (0: none). True: it came to that.
 */
static bool converse(struct place *place, const char *address, const char *bytes, long n,
                     long count)
{
    struct tael_world *world = place->history.world;
    struct tael_stream *stream = NULL;
    answer = (struct answer){.len = 0};
    if (tael_connect(place->client, address, &events, NULL, &stream) != TAEL_OK ||
        tael_stream_write(stream, bytes, strlen(bytes)) != TAEL_OK)
        abort();
    int64_t begin_ms = tael_now_ms(world);
    alloc_fail_run(n, count);
    while (!answer.ended && tael_now_ms(world) < begin_ms + SHORT_MS)
        tael_sim_run(world, tael_now_ms(world) + 1);
    bool failed = alloc_fail_end();
    while (!answer.ended && tael_now_ms(world) < begin_ms + SOON_MS)
        tael_sim_run(world, tael_now_ms(world) + 100);
    tael_stream_close(stream);
    /* one that was cut off before its first line had come is none */
    if (strncmp(answer.text, "HTTP/1.1 ", 9) == 0 && strchr(answer.text, '\r') != NULL)
        answer.status = atoi(answer.text + 9);
    return failed;
}

static bool send_bytes(struct place *place, const char *bytes, long n, long count)
{
    return converse(place, "127.0.0.1:8080", bytes, n, count);
}

static void request(char *out, size_t room, const struct place *place, const char *line,
                    const char *type, const char *body)
{
    snprintf(out, room,
             "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
             line, place->history.key, type, strlen(body), body);
}

/* The value of a text member of the answer, the first that has this name. */
static bool read_member(const char *name, char *out, size_t room)
{
    char mark[64];
    snprintf(mark, sizeof(mark), "\"%s\":\"", name);
    const char *at = strstr(answer.text, mark);
    if (at == NULL)
        return false;
    at += strlen(mark);
    size_t len = strcspn(at, "\"");
    snprintf(out, room, "%.*s", (int)len, at);
    return true;
}

/* ---- what is asked ---- */

static void write_create(struct place *place, const char *product, char *out, size_t room)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"merchant_order_id\":\"M%d\",\"amount\":1234,\"currency\":\"CNY\",\"channel\":"
             "\"alipay\",\"product\":\"%s\",\"subject\":\"tea\"}",
             ++place->orders, product);
    request(out, room, place, "POST /v1/payments", "application/json", body);
}

static void write_page(struct place *place, char *out, size_t room)
{
    write_create(place, "page", out, room);
}

static void write_qr(struct place *place, char *out, size_t room)
{
    write_create(place, "qr", out, room);
}

/* Without this nothing further can be tried. */
static void give_up(const struct place *place, const char *why)
{
    size_t len = place->history.log.len, cut = len > LOG_SHOWN ? len - LOG_SHOWN : 0;
    printf("# %.*s\n%.*s\n", 600, answer.text, (int)(len - cut), place->history.log.data + cut);
    CHECK_NAMED(false, why);
    exit(tap_end());
}

static void new_payment(struct place *place)
{
    char bytes[2048], line[128];
    write_page(place, bytes, sizeof(bytes));
    send_bytes(place, bytes, 0, 0);
    if (answer.status != 201 || !read_member("id", place->payment, sizeof(place->payment)))
        give_up(place, "no payment can be made");
    snprintf(line, sizeof(line), "GET /v1/payments/%s/attempts", place->payment);
    request(bytes, sizeof(bytes), place, line, "application/json", "");
    send_bytes(place, bytes, 0, 0);
    if (!read_member("order_no", place->order_no, sizeof(place->order_no)))
        give_up(place, "the order has no number");
}

static void write_get(struct place *place, char *out, size_t room)
{
    char line[128];
    snprintf(line, sizeof(line), "GET /v1/payments/%s", place->payment);
    request(out, room, place, line, "application/json", "");
}

static void write_list(struct place *place, char *out, size_t room)
{
    request(out, room, place, "GET /v1/payments?limit=5", "application/json", "");
}

static void write_events(struct place *place, char *out, size_t room)
{
    request(out, room, place, "GET /v1/events?limit=5", "application/json", "");
}

static void write_wrong(struct place *place, char *out, size_t room)
{
    request(out, room, place, "POST /v1/payments", "application/json",
            "{\"amount\":1.5,\"surprise\":[1,2,{\"deep\":null}]}");
}

static void write_close(struct place *place, char *out, size_t room)
{
    char line[128];
    new_payment(place);
    snprintf(line, sizeof(line), "POST /v1/payments/%s/close", place->payment);
    request(out, room, place, line, "application/json", "{}");
}

/* Name and value as they are signed; one blank at most is what has to be escaped. */
struct field {
    const char *name, *value;
};

static void append_signature(struct place *place, const char *text, char *body, size_t room)
{
    unsigned char signature[TAEL_SIGNATURE_MAX];
    char base64[2 * TAEL_SIGNATURE_MAX], escaped[6 * TAEL_SIGNATURE_MAX];
    size_t len = 0;
    if (tael_key_sign(place->channel, TAEL_DIGEST_SHA256, tael_span_of(text), signature, &len) !=
        TAEL_OK)
        abort();
    size_t encoded = tael_base64_encode(base64, signature, len);
    size_t at = 0;
    for (size_t i = 0; i < encoded; i++) {
        bool plain = base64[i] != '+' && base64[i] != '/' && base64[i] != '=';
        at += (size_t)snprintf(escaped + at, sizeof(escaped) - at, plain ? "%c" : "%%%02X",
                               base64[i]);
    }
    size_t end = strlen(body);
    snprintf(body + end, room - end, "&sign_type=RSA2&sign=%s", escaped);
}

static void write_notification(struct place *place, char *out, size_t room)
{
    char now[32], text[1024] = "", id[32];
    static char body[8192];
    body[0] = '\0';
    new_payment(place);
    time_t beijing = (time_t)(tael_now_ms(place->history.world) / 1000 + 8 * 3600);
    struct tm parts;
    gmtime_r(&beijing, &parts);
    strftime(now, sizeof(now), "%Y-%m-%d %H:%M:%S", &parts);
    snprintf(id, sizeof(id), "n%d", place->orders);
    const struct field fields[] = {
        {"app_id", "2021000000000001"},
        {"charset", "utf-8"},
        {"gmt_payment", now},
        {"notify_id", id},
        {"notify_time", now},
        {"notify_type", "trade_status_sync"},
        {"out_trade_no", place->order_no},
        {"seller_id", "2088000000000001"},
        {"total_amount", "12.34"},
        {"trade_no", place->order_no},
        {"trade_status", "TRADE_SUCCESS"},
        {"version", "1.0"},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        size_t signed_len = strlen(text), sent_len = strlen(body);
        const char *join = i == 0 ? "" : "&", *blank = strchr(fields[i].value, ' ');
        snprintf(text + signed_len, sizeof(text) - signed_len, "%s%s=%s", join, fields[i].name,
                 fields[i].value);
        size_t first = blank != NULL ? (size_t)(blank - fields[i].value) : strlen(fields[i].value);
        snprintf(body + sent_len, sizeof(body) - sent_len, "%s%s=%.*s%s%s", join, fields[i].name,
                 (int)first, fields[i].value, blank != NULL ? "+" : "",
                 blank != NULL ? blank + 1 : "");
    }
    append_signature(place, text, body, sizeof(body));
    request(out, room, place, "POST /notify/alipay/alipay-demo",
            "application/x-www-form-urlencoded", body);
}

/* The payer opens the page at the channel and pays; the channel notifies. */
static void pay(struct place *place)
{
    char url[4096], bytes[8192], line[128];
    write_get(place, bytes, sizeof(bytes));
    send_bytes(place, bytes, 0, 0);
    if (!read_member("url", url, sizeof(url)) || strchr(url + 8, '/') == NULL)
        give_up(place, "the payment has no page");
    snprintf(bytes, sizeof(bytes),
             "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
             strchr(url + 8, '/'));
    converse(place, "127.0.0.1:8090", bytes, 0, 0);
    snprintf(line, sizeof(line), "POST /sandbox/trades/%s/pay", place->order_no);
    request(bytes, sizeof(bytes), place, line, "application/json", "");
    converse(place, "127.0.0.1:8090", bytes, 0, 0);
    write_get(place, bytes, sizeof(bytes));
    for (int i = 0; i < 100 && strstr(answer.text, "\"state\":\"paid\"") == NULL; i++) {
        tael_sim_run(place->history.world, tael_now_ms(place->history.world) + 1000);
        send_bytes(place, bytes, 0, 0);
    }
    if (strstr(answer.text, "\"state\":\"paid\"") == NULL)
        give_up(place, "the payment is not paid");
}

static void write_refund(struct place *place, char *out, size_t room)
{
    char line[128], body[64];
    new_payment(place);
    pay(place);
    snprintf(body, sizeof(body), "{\"amount\":34,\"merchant_refund_id\":\"R%d\"}", place->orders);
    snprintf(line, sizeof(line), "POST /v1/payments/%s/refunds", place->payment);
    request(out, room, place, line, "application/json", body);
}

static const struct work {
    const char *name;
    void (*write)(struct place *place, char *out, size_t room);
    int right, again; /* statuses of the answer: the first time, and when it is sent once more */
} works[] = {
    {"create", write_page, 201, 200},         {"get", write_get, 200, 200},
    {"list", write_list, 200, 200},           {"events", write_events, 200, 200},
    {"a wrong body", write_wrong, 400, 400},  {"notification", write_notification, 200, 200},
    {"create by a call", write_qr, 201, 200}, {"close", write_close, 202, 202},
    {"refund", write_refund, 201, 200},
};

/* ---- every n ---- */

struct tally {
    long right, refused, silent, open, wrong, not_again;
};

static void judge(const struct work *work, long n, struct tally *tally)
{
    if (!answer.ended)
        tally->open++;
    if (answer.status == 0)
        tally->silent++;
    else if (answer.status == work->right || answer.status == work->again)
        tally->right++;
    else if (answer.status == 503)
        tally->refused++;
    else if (tally->wrong++ < 3)
        printf("# %s, allocation %ld: %.*s\n", work->name, n, 600, answer.text);
}

static void each_allocation(struct place *place, const struct work *work, long count)
{
    struct tally tally = {0};
    char bytes[8192], name[160];
    long n = 1;
    for (bool failed = true; failed; n += place->every) {
        work->write(place, bytes, sizeof(bytes));
        failed = send_bytes(place, bytes, n, count);
        judge(work, n, &tally);
        send_bytes(place, bytes, 0, 0);
        if (answer.status != work->right && answer.status != work->again && tally.not_again++ < 3)
            printf("# %s, sent again after allocation %ld: %.*s\n", work->name, n, 600,
                   answer.text);
    }
    snprintf(name, sizeof(name), "%s, %s from each of %ld allocations", work->name,
             count == 1   ? "one fails"
             : count == 2 ? "two fail"
                          : "all fail",
             n);
    printf("# %s: %ld right, %ld refused, %ld without an answer\n", name, tally.right,
           tally.refused, tally.silent);
    CHECK_NAMED(tally.wrong == 0 && tally.not_again == 0 && n > 20, name);
    CHECK_NAMED(tally.open == 0, "every connection comes to its end");
    if (count == 1)
        CHECK_NAMED(tally.silent < n / 4, "mostly there is an answer");
}

/* ---- opening ---- */

/* Allocations of an opening are many: n grows by a part of itself, a smaller one the more is asked
 * for. */
static void opening_may_fail(const char *folder, int every)
{
    long n = 1, refused = 0, unsaid = 0, tries = 0;
    for (bool failed = true; failed; tries++) {
        struct history history;
        tael_status rc = TAEL_ENOMEM;
        if (!begin(&history, &script, 100 + (uint64_t)tries, folder))
            break;
        alloc_fail_run(n, NEVER);
        rc = open_engine(&history);
        failed = alloc_fail_end();
        refused += rc != TAEL_OK;
        unsaid += rc != TAEL_OK && history.err.message[0] == '\0';
        end(&history);
        n += 1 + n * every / 400;
    }
    printf("# %ld openings up to allocation %ld, %ld refused\n", tries, n, refused);
    CHECK_NAMED(refused > 5 && refused >= tries - 2, "an engine without memory does not open");
    CHECK_NAMED(unsaid == 0, "and says why");
}

static bool open_place(struct place *place, const char *folder)
{
    const char *every = getenv("EVERY");
    char path[128];
    struct tael_buf text = {.max = TAEL_KEY_TEXT_MAX};
    memset(place, 0, sizeof(*place));
    place->every = every != NULL && atoi(every) > 0 ? atoi(every) : 1;
    if (!begin(&place->history, &script, 7, folder) || open_engine(&place->history) != TAEL_OK ||
        !read_demo_key(&place->history) ||
        tael_loop_new(place->history.world, &place->client) != TAEL_OK)
        return false;
    snprintf(path, sizeof(path), "%s/data/keys/sandbox.alipay.key", folder);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    char chunk[4096];
    size_t len = fread(chunk, 1, sizeof(chunk), file);
    fclose(file);
    bool ok = tael_buf_append(&text, chunk, len) == TAEL_OK &&
              tael_key_parse(&place->channel, (struct tael_span){text.data, text.len},
                             TAEL_KEY_SIGN, false, NULL) == TAEL_OK;
    tael_buf_free(&text);
    return ok;
}

static void on_verified(void *user, const tael_response *response)
{
    (void)user;
    answer.ended = true;
    answer.status = response->http_status;
    on_read(NULL, response->body, response->body_len);
}

/* Everything that the store can prove of itself, after the last seal. */
static void verify(struct place *place)
{
    struct tael_world *world = place->history.world;
    tael_sim_run(world, tael_now_ms(world) + 5000);
    answer = (struct answer){.len = 0};
    CHECK(tael_call(place->history.engine, "GET", "/-/verify", NULL, NULL, on_verified, NULL) ==
          TAEL_OK);
    for (int i = 0; i < SOON_MS && !answer.ended; i++)
        tael_sim_run(world, tael_now_ms(world) + 1);
    CHECK_NAMED(strstr(answer.text, "\"ok\":true") != NULL, answer.text);
}

int main(void)
{
    char folder[] = "/tmp/tael-memory-XXXXXX";
    static struct place place;
    if (!begin_folder(&script, folder))
        return end_folder(folder);
    bool open = open_place(&place, folder);
    CHECK(open);
    opening_may_fail(folder, place.every);
    if (open)
        new_payment(&place);
    for (size_t i = 0; open && i < sizeof(works) / sizeof(works[0]); i++) {
        each_allocation(&place, &works[i], 1);
        each_allocation(&place, &works[i], 2);
        each_allocation(&place, &works[i], NEVER);
    }
    if (open)
        verify(&place);
    tael_key_release(place.channel);
    tael_loop_free(place.client);
    end(&place.history);
    return end_folder(folder);
}
