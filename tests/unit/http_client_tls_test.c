/* http_client_tls_test.c - TLS of the HTTP client, against a server of OpenSSL's on a thread of its
 * own: who is not who he should be gets no byte of the request. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "identity.h"
#include "net/http_client.h"
#include "net/world_uv.h"
#include "tap.h"

/* ---- the server ---- */

enum behaviour {
    ANSWERS,
    MUTE,    /* reads the request and closes */
    GREETS,  /* answers the first request of a connection and closes a little later */
    TURNS,   /* answers the first request of a connection, then is mute */
    SLEEPS,  /* takes connections and says nothing, not even in TLS */
    DRIPS,   /* an answer of one byte every 20 ms */
    SENDS_ON /* to another server */
};

struct server {
    SSL_CTX *context; /* NULL: speaks plain HTTP */
    enum behaviour behaviour;
    int other_port; /* where SENDS_ON sends to */
    int listener;
    int port;
    pthread_t thread;
    atomic_bool stopping;
    int connections, requests; /* read after the join */
};

static int read_some(SSL *ssl, int fd, char *data, int len)
{
    return ssl != NULL ? SSL_read(ssl, data, len) : (int)recv(fd, data, (size_t)len, 0);
}

/* False: the connection ends. */
static bool answer(struct server *server, SSL *ssl, int served)
{
    char text[256] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    if (server->behaviour == MUTE || (server->behaviour == TURNS && served > 1))
        return false;
    if (server->behaviour == SENDS_ON)
        snprintf(text, sizeof(text),
                 "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:%d/\r\n"
                 "Content-Length: 0\r\n\r\n",
                 server->other_port);
    if (server->behaviour != DRIPS)
        return SSL_write(ssl, text, (int)strlen(text)) > 0 && server->behaviour != GREETS;
    for (size_t i = 0; i < strlen(text) - 1; i++) {
        if (server->stopping || SSL_write(ssl, text + i, 1) <= 0)
            return false;
        usleep(20000);
    }
    return true;
}

static void serve(struct server *server, int fd)
{
    static const char plain[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    char text[4096];
    int len = 0;
    int served = 0;
    SSL *ssl = server->context != NULL ? SSL_new(server->context) : NULL;
    while (server->behaviour == SLEEPS && !server->stopping)
        usleep(5000);
    if (ssl != NULL) {
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) != 1)
            goto end;
    }
    for (;;) {
        int got = read_some(ssl, fd, text + len, (int)sizeof(text) - len);
        if (got <= 0)
            goto end;
        len += got;
        if (ssl == NULL) { /* a greeting in TLS is no request: say so in plain */
            (void)!send(fd, plain, sizeof(plain) - 1, MSG_NOSIGNAL);
            goto end;
        }
        if (len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0)
            continue;
        server->requests++;
        len = 0;
        if (!answer(server, ssl, ++served))
            goto end;
    }
end:
    if (server->behaviour == GREETS)
        SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static void *run(void *user)
{
    struct server *server = user;
    sigset_t pipe;
    int fd;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE); /* on this thread only: the client must do without */
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        server->connections++;
        serve(server, fd);
    }
    return NULL;
}

static void server_start_with(struct server *server, const struct identity *identity,
                              int max_version, enum behaviour behaviour)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    *server = (struct server){.listener = socket(AF_INET, SOCK_STREAM, 0), .behaviour = behaviour};
    if (identity != NULL) {
        server->context = SSL_CTX_new(TLS_server_method());
        must(server->context != NULL &&
             SSL_CTX_set_cipher_list(server->context, "DEFAULT:@SECLEVEL=0") == 1 &&
             SSL_CTX_use_certificate_chain_file(server->context, identity->file) == 1 &&
             SSL_CTX_use_PrivateKey(server->context, identity->key) == 1 &&
             SSL_CTX_set_min_proto_version(server->context, TLS1_VERSION) == 1 &&
             SSL_CTX_set_max_proto_version(server->context, max_version) == 1);
    }
    must(bind(server->listener, (struct sockaddr *)&address, len) == 0 &&
         listen(server->listener, 8) == 0 &&
         getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
}

static void server_run(struct server *server)
{
    must(pthread_create(&server->thread, NULL, run, server) == 0);
}

static void server_start(struct server *server, const struct identity *identity, int max_version)
{
    server_start_with(server, identity, max_version, ANSWERS);
    server_run(server);
}

static void server_stop(struct server *server)
{
    server->stopping = true;
    shutdown(server->listener, SHUT_RDWR); /* accept returns */
    pthread_join(server->thread, NULL);
    close(server->listener);
    SSL_CTX_free(server->context);
}

/* ---- the client ---- */

struct outcome {
    struct tael_loop *loop;
    enum tael_http_failure failure;
    bool sent;
    int status;
    int64_t elapsed_us;
    char detail[256];
};

static void on_done(void *user, const struct tael_http_result *result)
{
    struct outcome *outcome = user;
    outcome->failure = result->failure;
    outcome->sent = result->sent;
    outcome->status = result->status;
    outcome->elapsed_us = result->elapsed_us;
    snprintf(outcome->detail, sizeof(outcome->detail), "%s", result->detail);
    tael_loop_stop(outcome->loop);
}

static const char *look_up(void *user, const char *name, struct tael_addresses *out)
{
    (void)user, (void)name;
    out->count = 1;
    must(tael_address_parse(&out->list[0], tael_span_of("127.0.0.1")));
    return NULL;
}

static void on_pause(void *user)
{
    tael_loop_stop(user);
}

static void pause_ms(struct tael_loop *loop, int64_t ms)
{
    struct tael_timer *timer = tael_timer_new(loop, on_pause, loop);
    must(timer != NULL);
    tael_timer_start(timer, ms * 1000);
    tael_loop_run(loop);
    tael_timer_free(timer);
}

/* One client, count requests after each other with a pause between them; what the last one brought.
 * Stops the server. more may say what differs from a POST to https://HOST:port/. */
static struct outcome ask_host(struct server *server, const char *host, const char *ca_file,
                               int count, const struct tael_http_call *more)
{
    struct tael_world *world = NULL;
    struct tael_http_client *client = NULL;
    struct outcome outcome = {.failure = TAEL_HTTP_OK};
    struct tael_http_client_options options = {
        .allow_private = true, .ca_file = ca_file, .resolve = look_up};
    char url[128];
    snprintf(url, sizeof(url), "https://%s:%d/", host, server->port);
    must(tael_world_uv_new(&world) == TAEL_OK && tael_loop_new(world, &outcome.loop) == TAEL_OK &&
         tael_http_client_new(&client, outcome.loop, &options) == TAEL_OK);
    for (int i = 0; i < count; i++) {
        struct tael_http_exchange *exchange = NULL;
        struct tael_http_call call = more != NULL ? *more : (struct tael_http_call){.url = NULL};
        call.method = call.method != NULL ? call.method : "POST";
        call.url = url;
        if (i > 0)
            pause_ms(outcome.loop, 150);
        must(tael_http_client_start(client, &call, on_done, &outcome, &exchange) == TAEL_OK);
        tael_loop_run(outcome.loop);
    }
    tael_http_client_free(client);
    tael_loop_free(outcome.loop);
    tael_world_free(world);
    server_stop(server);
    return outcome;
}

static struct outcome ask(struct server *server, const char *ca_file, int count)
{
    return ask_host(server, "127.0.0.1", ca_file, count, NULL);
}

static void make_plain(struct identity *out, const char *names, long from_s)
{
    identity_make(out, &(struct identity_form){.names = names, .from_s = from_s});
}

/* ---- who is spoken to ---- */

static void a_server_that_is_trusted_is_spoken_to(void)
{
    struct identity identity, leaf;
    struct server server;
    make_plain(&identity, "IP:127.0.0.1", -60);
    server_start(&server, &identity, TLS1_3_VERSION);
    struct outcome outcome = ask(&server, identity.file, 3);
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.status == 200 && outcome.sent);
    CHECK(server.connections == 1 && server.requests == 3);
    server_start(&server, &identity, TLS1_2_VERSION);
    outcome = ask(&server, identity.file, 1);
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.status == 200);
    identity_make(&leaf, &(struct identity_form){.from_s = -60, .issuer = &identity});
    server_start(&server, &leaf, TLS1_3_VERSION);
    outcome = ask(&server, identity.file, 1); /* the issuer is trusted */
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.status == 200);
    identity_free(&leaf);
    identity_free(&identity);
}

static bool is_refused(const char *names, long from_s, bool trusted, int max_version,
                       const char *detail)
{
    struct identity identity;
    struct server server;
    make_plain(&identity, names, from_s);
    server_start(&server, &identity, max_version);
    struct outcome outcome = ask(&server, trusted ? identity.file : NULL, 1);
    identity_free(&identity);
    if (strstr(outcome.detail, detail) == NULL)
        printf("# %s\n", outcome.detail);
    return outcome.failure == TAEL_HTTP_TLS && !outcome.sent && outcome.status == 0 &&
           server.connections == 1 && server.requests == 0 &&
           strstr(outcome.detail, detail) != NULL;
}

static void others_get_no_byte_of_the_request(void)
{
    static const char here[] = "IP:127.0.0.1";
    CHECK(!is_refused(here, -60, true, TLS1_3_VERSION, ""));
    CHECK(is_refused(here, -60, false, TLS1_3_VERSION, "self-signed certificate"));
    CHECK(is_refused("IP:127.0.0.2,DNS:localhost", -60, true, TLS1_3_VERSION, "no alternative"));
    CHECK(is_refused("DNS:127.0.0.1", -60, true, TLS1_3_VERSION, "no alternative"));
    CHECK(is_refused(here, -2 * 86400, true, TLS1_3_VERSION, "has expired"));
    CHECK(is_refused(here, 86400, true, TLS1_3_VERSION, "not yet valid"));
    CHECK(is_refused(here, -60, true, TLS1_1_VERSION, "")); /* too old */
    CHECK(is_refused(here, -60, true, TLS1_VERSION, ""));
}

static void issuers_that_are_not_known_vouch_for_nobody(void)
{
    struct identity authority, between, leaf, other;
    struct server server;
    make_plain(&authority, "DNS:a", -60);
    make_plain(&other, "DNS:b", -60);
    identity_make(&between, &(struct identity_form){.from_s = -60, .issuer = &authority});
    identity_make(&leaf, &(struct identity_form){.from_s = -60, .issuer = &authority});
    server_start(&server, &leaf, TLS1_3_VERSION);
    struct outcome outcome = ask(&server, other.file, 1);
    CHECK(outcome.failure == TAEL_HTTP_TLS && !outcome.sent && server.requests == 0);
    server_start(&server, &leaf, TLS1_3_VERSION);
    outcome = ask(&server, "/tmp/tael_no_such_file.pem", 1);
    CHECK(outcome.failure == TAEL_HTTP_TLS && !outcome.sent && server.requests == 0);
    identity_free(&leaf);
    /* who is no authority cannot issue */
    identity_make(&leaf, &(struct identity_form){.from_s = -60, .issuer = &between});
    server_start(&server, &leaf, TLS1_3_VERSION);
    outcome = ask(&server, authority.file, 1);
    CHECK(outcome.failure == TAEL_HTTP_TLS && !outcome.sent && server.requests == 0);
    identity_free(&leaf);
    identity_free(&between);
    identity_free(&other);
    identity_free(&authority);
}

/* The name is what is verified, wherever the resolver says that it is. */
static void a_name_is_not_its_address(void)
{
    struct identity identity;
    struct server server;
    make_plain(&identity, "DNS:bank.test,DNS:*.wild.test", -60);
    server_start(&server, &identity, TLS1_3_VERSION);
    struct outcome outcome = ask_host(&server, "bank.test", identity.file, 2, NULL);
    CHECK(outcome.failure == TAEL_HTTP_OK && server.connections == 1);
    server_start(&server, &identity, TLS1_3_VERSION);
    CHECK(ask_host(&server, "a.wild.test", identity.file, 1, NULL).failure == TAEL_HTTP_OK);
    static const char *const others[] = {"other.test", "a.b.wild.test", "127.0.0.1",
                                         "bank.test.other.test"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        server_start(&server, &identity, TLS1_3_VERSION);
        outcome = ask_host(&server, others[i], identity.file, 1, NULL);
        CHECK_NAMED(outcome.failure == TAEL_HTTP_TLS && !outcome.sent && server.requests == 0,
                    others[i]);
    }
    identity_free(&identity);
}

static void a_server_without_tls_is_none(void)
{
    struct server server;
    server_start(&server, NULL, 0);
    struct outcome outcome = ask(&server, NULL, 1);
    CHECK(outcome.failure == TAEL_HTTP_TLS && !outcome.sent);
}

/* ---- what a server may do ---- */

static struct outcome ask_behaving(struct server *server, enum behaviour behaviour, int count,
                                   const struct tael_http_call *more)
{
    struct identity identity;
    make_plain(&identity, "IP:127.0.0.1", -60);
    server_start_with(server, &identity, TLS1_3_VERSION, behaviour);
    server_run(server);
    struct outcome outcome = ask_host(server, "127.0.0.1", identity.file, count, more);
    identity_free(&identity);
    return outcome;
}

static void a_close_after_the_request_is_a_reset(void)
{
    struct server server;
    struct outcome outcome = ask_behaving(&server, MUTE, 1, NULL);
    CHECK(outcome.failure == TAEL_HTTP_RESET && outcome.sent && server.requests == 1);
}

static void a_connection_closed_while_it_rests_costs_nothing(void)
{
    struct server server;
    struct outcome outcome = ask_behaving(&server, GREETS, 4, NULL);
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.sent && outcome.status == 200);
    CHECK(server.requests == 4 && server.connections == 4);
}

static void a_connection_closed_when_it_is_used_again_is_unknown(void)
{
    struct server server;
    struct outcome outcome = ask_behaving(&server, TURNS, 2, NULL);
    CHECK(outcome.failure == TAEL_HTTP_RESET && outcome.sent);
    CHECK(server.requests == 2); /* never sent a second time */
    struct tael_http_call get = {.method = "GET"};
    outcome = ask_behaving(&server, TURNS, 2, &get); /* what is safe is asked again */
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.sent && outcome.status == 200);
    CHECK(server.requests == 3 && server.connections == 2);
}

static void silence_in_the_handshake_is_no_byte(void)
{
    struct server server;
    struct tael_http_call more = {.connect_ms = 100, .timeout_ms = 20000};
    struct outcome outcome = ask_behaving(&server, SLEEPS, 1, &more);
    CHECK(outcome.failure == TAEL_HTTP_TIMEOUT && !outcome.sent);
    CHECK(outcome.elapsed_us >= 99000 && outcome.elapsed_us < 10000000);
    more = (struct tael_http_call){.connect_ms = 20000, .timeout_ms = 100};
    outcome = ask_behaving(&server, SLEEPS, 1, &more);
    CHECK(outcome.failure == TAEL_HTTP_TIMEOUT && !outcome.sent);
    CHECK(outcome.elapsed_us >= 99000 && outcome.elapsed_us < 10000000);
}

static void an_answer_that_drips_ends_at_the_deadline(void)
{
    struct server server;
    struct tael_http_call more = {.timeout_ms = 300};
    struct outcome outcome = ask_behaving(&server, DRIPS, 1, &more);
    CHECK(outcome.failure == TAEL_HTTP_TIMEOUT && outcome.elapsed_us >= 299000);
}

static void nobody_is_sent_on(void)
{
    struct identity identity;
    struct server server, other;
    make_plain(&identity, "IP:127.0.0.1", -60);
    server_start(&other, &identity, TLS1_3_VERSION);
    server_start_with(&server, &identity, TLS1_3_VERSION, SENDS_ON);
    server.other_port = other.port;
    server_run(&server);
    struct tael_http_call get = {.method = "GET"};
    struct outcome outcome = ask_host(&server, "127.0.0.1", identity.file, 1, &get);
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.status == 302);
    server_stop(&other);
    CHECK(other.connections == 0);
    identity_free(&identity);
}

/* ---- our own certificate ---- */

static void our_own_certificate_is_shown(void)
{
    struct identity identity, ours;
    struct server server;
    make_plain(&identity, "IP:127.0.0.1", -60);
    make_plain(&ours, "DNS:us.test", -60);
    struct tael_http_call more = {.cert_file = ours.file, .key_file = ours.key_file};
    for (int shown = 0; shown < 2; shown++) {
        server_start_with(&server, &identity, TLS1_3_VERSION, ANSWERS);
        SSL_CTX_set_verify(server.context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        must(SSL_CTX_load_verify_locations(server.context, ours.file, NULL) == 1);
        server_run(&server);
        struct outcome outcome =
            ask_host(&server, "127.0.0.1", identity.file, 1, shown == 1 ? &more : NULL);
        CHECK((outcome.failure == TAEL_HTTP_OK) == (shown == 1) && server.requests == shown);
    }
    must(chmod(ours.key_file, 0644) == 0);
    server_start(&server, &identity, TLS1_3_VERSION);
    struct outcome outcome = ask_host(&server, "127.0.0.1", identity.file, 1, &more);
    CHECK(outcome.failure == TAEL_HTTP_TLS && !outcome.sent && server.connections == 0);
    CHECK(strstr(outcome.detail, ours.key_file) != NULL &&
          strstr(outcome.detail, "chmod 600") != NULL);
    identity_free(&ours);
    identity_free(&identity);
}

/* CPU of this thread alone: the server has its own. */
static int64_t busy_us(int count)
{
    struct identity identity;
    struct server server;
    struct timespec from, to;
    make_plain(&identity, "IP:127.0.0.1", -60);
    server_start(&server, &identity, TLS1_3_VERSION);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    struct outcome outcome = ask(&server, NULL, count);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    CHECK(outcome.failure == TAEL_HTTP_TLS && server.connections == count);
    identity_free(&identity);
    return (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
}

static void the_systems_authorities_are_read_once(void)
{
    int64_t one = busy_us(1), eight = busy_us(8);
    printf("# one connection %d us, eight %d us\n", (int)one, (int)eight);
    CHECK(eight < 3 * one || eight < 100000); /* where there are few, reading them costs nothing */
}

static void who_is_trusted_by_one_call_is_not_by_another(void)
{
    struct identity identity;
    struct server server;
    struct tael_world *world = NULL;
    struct tael_http_client *client = NULL;
    struct tael_http_exchange *exchange = NULL;
    struct outcome outcome = {.failure = TAEL_HTTP_OK};
    struct tael_http_client_options options = {.allow_private = true};
    char url[64];
    make_plain(&identity, "IP:127.0.0.1", -60);
    server_start(&server, &identity, TLS1_3_VERSION);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", server.port);
    must(tael_world_uv_new(&world) == TAEL_OK && tael_loop_new(world, &outcome.loop) == TAEL_OK &&
         tael_http_client_new(&client, outcome.loop, &options) == TAEL_OK);
    struct tael_http_call call = {.method = "POST", .url = url, .ca_file = identity.file};
    must(tael_http_client_start(client, &call, on_done, &outcome, &exchange) == TAEL_OK);
    tael_loop_run(outcome.loop);
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.status == 200);
    call.ca_file = NULL; /* the connection is at rest, and not for this one */
    call.connect_ms = 300;
    must(tael_http_client_start(client, &call, on_done, &outcome, &exchange) == TAEL_OK);
    tael_loop_run(outcome.loop);
    CHECK(outcome.failure != TAEL_HTTP_OK && !outcome.sent);
    tael_http_client_free(client);
    tael_loop_free(outcome.loop);
    tael_world_free(world);
    server_stop(&server);
    CHECK(server.requests == 1);
    identity_free(&identity);
}

int main(void)
{
    a_server_that_is_trusted_is_spoken_to();
    others_get_no_byte_of_the_request();
    issuers_that_are_not_known_vouch_for_nobody();
    a_name_is_not_its_address();
    a_server_without_tls_is_none();
    a_close_after_the_request_is_a_reset();
    a_connection_closed_while_it_rests_costs_nothing();
    a_connection_closed_when_it_is_used_again_is_unknown();
    silence_in_the_handshake_is_no_byte();
    an_answer_that_drips_ends_at_the_deadline();
    nobody_is_sent_on();
    our_own_certificate_is_shown();
    the_systems_authorities_are_read_once();
    who_is_trusted_by_one_call_is_not_by_another();
    return tap_end();
}
