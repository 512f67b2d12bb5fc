/* http_request.c - from a head that has passed the gate to a whole request.
 *
 * Invariants:
 * 1. llhttp is given exactly the bytes of one message, the head in its plain form and no chunk
 *    extensions; it pauses at the end of the message.
 * 2. Gate and parser agree on where the message ends, else it is refused: two readings of one
 * message are what smuggling is made of.
 */
#include "net/http_request.h"

#include <assert.h>
#include <stdlib.h>

/* What every body may have, and a declared length may make us reserve before its bytes have come.
 */
enum { BODY_SMALL = 16 * 1024 };

static enum tael_http_gate refuse(struct tael_http_incoming *incoming, int status, const char *code,
                                  const char *detail)
{
    incoming->refusal = (struct tael_http_refusal){status, code, detail};
    return TAEL_HTTP_GATE_REFUSED;
}

/* ---- llhttp's callbacks ---- */

static int on_headers_complete(llhttp_t *parser)
{
    struct tael_http_incoming *incoming = parser->data;
    bool chunked = (parser->flags & F_CHUNKED) != 0;
    incoming->begun = true;
    if (chunked != incoming->chunked || parser->content_length != incoming->left || parser->upgrade)
        return -1;
    return 0;
}

static bool has_room(struct tael_http_incoming *incoming, size_t len)
{
    size_t all = incoming->body.len + len;
    size_t more = all > BODY_SMALL ? all - BODY_SMALL - incoming->large_own : 0;
    if (more == 0) /* also while those of the local socket are more than all others may be */
        return true;
    const struct tael_http_large *large = &incoming->large;
    if (more > large->max || *large->bytes > large->max - more)
        return false;
    size_t of_peer = large->max / 2 > incoming->body.max ? large->max / 2 : incoming->body.max;
    if (large->peer != NULL && !tael_http_peers_take(large->peer, more, of_peer))
        return false;
    *large->bytes += more;
    incoming->large_own += more;
    return true;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct tael_http_incoming *incoming = parser->data;
    if (!has_room(incoming, len)) {
        refuse(incoming, 503, "overloaded", "There are too many large bodies just now.");
        return -1;
    }
    if (tael_buf_append(&incoming->body, at, len) == TAEL_OK)
        return 0;
    refuse(incoming, 503, "overloaded", "There is no memory for the body.");
    return -1;
}

static int on_message_complete(llhttp_t *parser)
{
    struct tael_http_incoming *incoming = parser->data;
    incoming->complete = true;
    return HPE_PAUSED; /* what follows must pass the gate first */
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* Gives bytes to the parser, all of which must be the message's. */
static enum tael_http_gate parse(struct tael_http_incoming *incoming, const char *data, size_t len)
{
    llhttp_errno_t err = llhttp_execute(&incoming->parser, data, len);
    if (err == HPE_OK && !incoming->complete)
        return TAEL_HTTP_GATE_MORE;
    if (err == HPE_PAUSED && llhttp_get_error_pos(&incoming->parser) == data + len)
        return TAEL_HTTP_GATE_DONE;
    if (incoming->refusal.status != 0)
        return TAEL_HTTP_GATE_REFUSED;
    if (err == HPE_INVALID_METHOD)
        return refuse(incoming, 501, "method_not_allowed", "The method is not known.");
    return refuse(incoming, 400, "invalid_header", "The request is not well-formed HTTP.");
}

/* ---- life ---- */

tael_status tael_http_incoming_new(struct tael_http_incoming **out,
                                   const struct tael_http_head *head, const char *data,
                                   const char *listener, const char *peer)
{
    size_t fields = head->fields * sizeof(struct tael_http_header);
    size_t room = tael_http_head_room(head);
    size_t peer_size = strlen(peer) + 1;
    struct tael_http_incoming *incoming = calloc(1, sizeof(*incoming) + fields + room + peer_size);
    if (incoming == NULL)
        return TAEL_ENOMEM;
    char *text = (char *)(incoming->headers + head->fields);
    struct tael_http_request *request = &incoming->request;
    incoming->head_len = tael_http_head_copy(head, data, text, &request->method, &request->target,
                                             incoming->headers);
    char *peer_copy = text + room;
    memcpy(peer_copy, peer, peer_size);
    request->headers = incoming->headers;
    request->header_count = head->fields;
    request->listener = listener;
    request->peer = peer_copy;
    incoming->left = head->length;
    incoming->chunked = head->chunked;
    incoming->minor = head->minor;
    incoming->expects = head->expects;
    incoming->persistent = !head->close && (head->minor || head->keep_alive);
    incoming->head_only = tael_span_is(request->method, "HEAD");
    *out = incoming;
    return TAEL_OK;
}

void tael_http_incoming_free(struct tael_http_incoming *incoming)
{
    if (incoming == NULL)
        return;
    if (incoming->large_own > 0)
        *incoming->large.bytes -= incoming->large_own;
    if (incoming->large_own > 0 && incoming->large.peer != NULL) /* else it may be gone */
        tael_http_peers_give(incoming->large.peers, incoming->large.peer, incoming->large_own);
    tael_buf_free(&incoming->body);
    free(incoming);
}

/* ---- receiving ---- */

enum tael_http_gate tael_http_incoming_begin(struct tael_http_incoming *incoming, size_t body_max,
                                             const struct tael_http_large *large)
{
    assert(!incoming->begun && body_max > 0);
    if (incoming->left > body_max)
        return refuse(incoming, 413, "too_large", "The body is larger than this address takes.");
    incoming->body.max = body_max;
    incoming->large = *large;
    llhttp_init(&incoming->parser, HTTP_REQUEST, &settings);
    incoming->parser.data = incoming;
    enum tael_http_gate gate = parse(incoming, incoming->request.method.data, incoming->head_len);
    bool wants_body = incoming->chunked || incoming->left > 0;
    if (gate == TAEL_HTTP_GATE_REFUSED)
        return gate;
    if (!incoming->begun || wants_body != (gate == TAEL_HTTP_GATE_MORE))
        return refuse(incoming, 400, "invalid_header", "The request is not well-formed HTTP.");
    if (incoming->left > 0 &&
        tael_buf_reserve(&incoming->body, incoming->left < BODY_SMALL ? (size_t)incoming->left
                                                                      : BODY_SMALL) != TAEL_OK)
        return refuse(incoming, 503, "overloaded", "There is no memory for the body.");
    return gate;
}

static enum tael_http_gate feed_plain(struct tael_http_incoming *incoming, const char *data,
                                      size_t len, size_t *used)
{
    *used = incoming->left < len ? (size_t)incoming->left : len;
    incoming->left -= *used;
    return parse(incoming, data, *used);
}

static enum tael_http_gate feed_chunks(struct tael_http_incoming *incoming, const char *data,
                                       size_t len, size_t *used)
{
    enum tael_http_gate gate = TAEL_HTTP_GATE_MORE;
    *used = 0;
    while (gate == TAEL_HTTP_GATE_MORE && *used < len) {
        size_t run = 0;
        bool pass = false;
        const char *at = data + *used;
        gate = tael_http_chunks_scan(&incoming->chunks, incoming->body.max, at, len - *used, &run,
                                     &pass);
        if (gate == TAEL_HTTP_GATE_REFUSED) {
            incoming->refusal = incoming->chunks.refusal;
            return gate;
        }
        *used += run;
        if (pass && parse(incoming, at, run) != gate)
            return incoming->refusal.status != 0 ? TAEL_HTTP_GATE_REFUSED
                                                 : refuse(incoming, 400, "invalid_header",
                                                          "The request is not well-formed HTTP.");
    }
    return gate;
}

enum tael_http_gate tael_http_incoming_feed(struct tael_http_incoming *incoming, const char *data,
                                            size_t len, size_t *used)
{
    assert(incoming->begun && !incoming->complete && len > 0);
    enum tael_http_gate gate = incoming->chunked ? feed_chunks(incoming, data, len, used)
                                                 : feed_plain(incoming, data, len, used);
    if (gate == TAEL_HTTP_GATE_DONE && !incoming->chunked && incoming->left != 0)
        return refuse(incoming, 400, "invalid_header", "The request is not well-formed HTTP.");
    if (gate == TAEL_HTTP_GATE_DONE)
        incoming->request.body = (struct tael_span){incoming->body.data, incoming->body.len};
    return gate;
}
