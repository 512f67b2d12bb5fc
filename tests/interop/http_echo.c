/* http_echo.c - the engine's HTTP server alone: each request is told on stdout and answered with
 * what it was, so that a test can compare how others split the same bytes.
 *
 * A line and an answer are "peer tag method target body", tag (the field x-tag) and body in
 * hexadecimal and '-' when they are empty. The first line is the address. Arguments: ms for a head
 * or a body to come or to be idle, and the largest body. Ends by SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/codec.h"
#include "net/http_server.h"
#include "net/world_uv.h"

static struct tael_loop *loop; /* for the signal */

static void must(bool holds)
{
    if (!holds)
        abort();
}

static struct tael_span field(const struct tael_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (tael_span_is(request->headers[i].name, name))
            return request->headers[i].value;
    return tael_span_of("");
}

static void put_hex(struct tael_buf *out, struct tael_span bytes)
{
    must(tael_buf_append_text(out, bytes.len > 0 ? " " : " -") == TAEL_OK &&
         tael_buf_reserve(out, 2 * bytes.len) == TAEL_OK);
    out->len += tael_hex_encode(out->data + out->len, bytes.data, bytes.len);
}

static void put_text(struct tael_buf *out, struct tael_span text)
{
    must(tael_buf_append_char(out, ' ') == TAEL_OK &&
         tael_buf_append(out, text.data, text.len) == TAEL_OK);
}

static void on_request(void *user, struct tael_http_request *request)
{
    struct tael_buf line = {0};
    (void)user;
    must(tael_buf_append_text(&line, request->peer) == TAEL_OK);
    put_hex(&line, field(request, "x-tag"));
    put_text(&line, request->method);
    put_text(&line, request->target);
    put_hex(&line, request->body);
    printf("%.*s\n", (int)line.len, line.data);
    fflush(stdout);
    tael_http_respond(request, 200, NULL, 0, (struct tael_span){line.data, line.len});
    tael_buf_free(&line);
}

static void on_signal(int number)
{
    (void)number;
    tael_loop_stop(loop);
}

int main(int argc, char **argv)
{
    struct tael_world *world = NULL;
    struct tael_http_server *server = NULL;
    const char *address = NULL;
    must(argc == 3);
    must(tael_world_uv_new(&world) == TAEL_OK && tael_loop_new(world, &loop) == TAEL_OK);
    struct tael_http_server_options options = {.loop = loop,
                                               .limits = {.head_ms = atoi(argv[1]),
                                                          .body_ms = atoi(argv[1]),
                                                          .idle_ms = atoi(argv[1]),
                                                          .body = (size_t)atoi(argv[2])},
                                               .handler = {.request = on_request}};
    must(tael_http_server_new(&server, &options) == TAEL_OK &&
         tael_http_server_listen(server, "echo", "127.0.0.1:0", &address) == TAEL_OK);
    signal(SIGTERM, on_signal);
    printf("%s\n", address);
    fflush(stdout);
    tael_loop_run(loop);
    tael_http_server_free(server);
    tael_loop_free(loop);
    tael_world_free(world);
    return 0;
}
