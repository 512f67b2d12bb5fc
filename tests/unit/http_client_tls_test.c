/* http_client_tls_test.c - TLS of the HTTP client, against a server of OpenSSL's on a thread of its
 * own: who is not who he should be gets no byte of the request. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/http_client.h"
#include "net/world_uv.h"
#include "tap.h"

/* ---- a certificate ---- */

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char file[64]; /* the certificate as PEM: whoever trusts this file trusts the server */
};

static void must(bool right)
{
    if (!right)
        abort();
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

/* Self-signed, for these names, valid for a day from now + from_s. */
static void identity_make(struct identity *out, const char *names, long from_s)
{
    static int number;
    out->key = EVP_EC_gen("P-256");
    out->certificate = X509_new();
    must(out->key != NULL && out->certificate != NULL);
    X509 *certificate = out->certificate;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++number);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), from_s + 86400);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"tael test", -1, -1,
                               0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, out->key);
    add_extension(certificate, NID_subject_alt_name, names);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    must(X509_sign(certificate, out->key, EVP_sha256()) > 0);
    snprintf(out->file, sizeof(out->file), "/tmp/tael_tls_test_%d_%d.pem", (int)getpid(), number);
    FILE *file = fopen(out->file, "w");
    must(file != NULL && PEM_write_X509(file, certificate) == 1);
    fclose(file);
}

static void identity_free(struct identity *identity)
{
    unlink(identity->file);
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

/* ---- the server ---- */

struct server {
    SSL_CTX *context; /* NULL: speaks plain HTTP */
    bool mute;        /* reads the request and closes */
    int listener;
    int port;
    pthread_t thread;
    int connections, requests; /* read after the join */
};

static int read_some(SSL *ssl, int fd, char *data, int len)
{
    return ssl != NULL ? SSL_read(ssl, data, len) : (int)recv(fd, data, (size_t)len, 0);
}

static void serve(struct server *server, int fd)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    char text[4096];
    int len = 0;
    SSL *ssl = server->context != NULL ? SSL_new(server->context) : NULL;
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
        if (ssl == NULL || len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0) {
            if (ssl == NULL) /* a greeting in TLS is no request: say so in plain */
                (void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
            if (ssl == NULL)
                goto end;
            continue;
        }
        server->requests++;
        len = 0;
        if (server->mute || SSL_write(ssl, answer, sizeof(answer) - 1) <= 0)
            goto end;
    }
end:
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

static void server_start(struct server *server, const struct identity *identity, int max_version)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    *server = (struct server){.listener = socket(AF_INET, SOCK_STREAM, 0)};
    if (identity != NULL) {
        server->context = SSL_CTX_new(TLS_server_method());
        must(server->context != NULL &&
             SSL_CTX_set_cipher_list(server->context, "DEFAULT:@SECLEVEL=0") == 1 &&
             SSL_CTX_use_certificate(server->context, identity->certificate) == 1 &&
             SSL_CTX_use_PrivateKey(server->context, identity->key) == 1 &&
             SSL_CTX_set_min_proto_version(server->context, TLS1_VERSION) == 1 &&
             SSL_CTX_set_max_proto_version(server->context, max_version) == 1);
    }
    must(bind(server->listener, (struct sockaddr *)&address, len) == 0 &&
         listen(server->listener, 8) == 0 &&
         getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    must(pthread_create(&server->thread, NULL, run, server) == 0);
}

static void server_stop(struct server *server)
{
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
};

static void on_done(void *user, const struct tael_http_result *result)
{
    struct outcome *outcome = user;
    outcome->failure = result->failure;
    outcome->sent = result->sent;
    outcome->status = result->status;
    tael_loop_stop(outcome->loop);
}

/* One client, count requests after each other; what the last one brought. Stops the server. */
static struct outcome ask(struct server *server, const char *ca_file, int count)
{
    struct tael_world *world = NULL;
    struct tael_http_client *client = NULL;
    struct outcome outcome = {.failure = TAEL_HTTP_OK};
    struct tael_http_client_options options = {.allow_private = true};
    char url[64];
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", server->port);
    must(tael_world_uv_new(&world) == TAEL_OK && tael_loop_new(world, &outcome.loop) == TAEL_OK &&
         tael_http_client_new(&client, outcome.loop, &options) == TAEL_OK);
    for (int i = 0; i < count; i++) {
        struct tael_http_exchange *exchange = NULL;
        struct tael_http_call call = {.method = "POST", .url = url, .ca_file = ca_file};
        must(tael_http_client_start(client, &call, on_done, &outcome, &exchange) == TAEL_OK);
        tael_loop_run(outcome.loop);
    }
    tael_http_client_free(client);
    tael_loop_free(outcome.loop);
    tael_world_free(world);
    server_stop(server);
    return outcome;
}

/* ---- the tests ---- */

static void a_server_that_is_trusted_is_spoken_to(void)
{
    struct identity identity;
    struct server server;
    identity_make(&identity, "IP:127.0.0.1", -60);
    server_start(&server, &identity, TLS1_3_VERSION);
    struct outcome outcome = ask(&server, identity.file, 3);
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.status == 200 && outcome.sent);
    CHECK(server.connections == 1 && server.requests == 3);
    server_start(&server, &identity, TLS1_2_VERSION);
    outcome = ask(&server, identity.file, 1);
    CHECK(outcome.failure == TAEL_HTTP_OK && outcome.status == 200);
    identity_free(&identity);
}

static bool is_refused(const char *names, long from_s, bool trusted, int max_version)
{
    struct identity identity;
    struct server server;
    identity_make(&identity, names, from_s);
    server_start(&server, &identity, max_version);
    struct outcome outcome = ask(&server, trusted ? identity.file : NULL, 1);
    identity_free(&identity);
    return outcome.failure == TAEL_HTTP_TLS && !outcome.sent && outcome.status == 0 &&
           server.connections == 1 && server.requests == 0;
}

static void others_get_no_byte_of_the_request(void)
{
    CHECK(!is_refused("IP:127.0.0.1", -60, true, TLS1_3_VERSION));
    CHECK(is_refused("IP:127.0.0.1", -60, false, TLS1_3_VERSION)); /* not of the system's */
    CHECK(is_refused("IP:127.0.0.2,DNS:localhost", -60, true, TLS1_3_VERSION)); /* other name */
    CHECK(is_refused("IP:127.0.0.1", -2 * 86400, true, TLS1_3_VERSION));        /* expired */
    CHECK(is_refused("IP:127.0.0.1", 86400, true, TLS1_3_VERSION));             /* not yet valid */
    CHECK(is_refused("IP:127.0.0.1", -60, true, TLS1_1_VERSION));               /* too old */
}

static void a_file_of_others_is_not_enough(void)
{
    struct identity identity, other;
    struct server server;
    identity_make(&identity, "IP:127.0.0.1", -60);
    identity_make(&other, "IP:127.0.0.1", -60);
    server_start(&server, &identity, TLS1_3_VERSION);
    struct outcome outcome = ask(&server, other.file, 1);
    CHECK(outcome.failure == TAEL_HTTP_TLS && !outcome.sent && server.requests == 0);
    server_start(&server, &identity, TLS1_3_VERSION);
    outcome = ask(&server, "/tmp/tael_no_such_file.pem", 1);
    CHECK(outcome.failure == TAEL_HTTP_TLS && !outcome.sent && server.requests == 0);
    identity_free(&identity);
    identity_free(&other);
}

static void a_server_without_tls_is_none(void)
{
    struct server server;
    server_start(&server, NULL, 0);
    struct outcome outcome = ask(&server, NULL, 1);
    CHECK(outcome.failure == TAEL_HTTP_TLS && !outcome.sent);
}

static void a_close_after_the_request_is_a_reset(void)
{
    struct identity identity;
    struct server server;
    identity_make(&identity, "IP:127.0.0.1", -60);
    server_start(&server, &identity, TLS1_3_VERSION);
    server.mute = true; /* before any client comes */
    struct outcome outcome = ask(&server, identity.file, 1);
    CHECK(outcome.failure == TAEL_HTTP_RESET && outcome.sent && server.requests == 1);
    identity_free(&identity);
}

int main(void)
{
    a_server_that_is_trusted_is_spoken_to();
    others_get_no_byte_of_the_request();
    a_file_of_others_is_not_enough();
    a_server_without_tls_is_none();
    a_close_after_the_request_is_a_reset();
    return tap_end();
}
