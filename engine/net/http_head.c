/* http_head.c - the two scanners of http_head.h. Pure functions of bytes: no memory, no time, no
 * I/O.
 *
 * The head is scanned byte by byte for what may stand in it at all and for its limits; each line is
 * judged when its CRLF is there. What llhttp 8.1.0 lets through and RFC 9112 does not (folded
 * lines, empty names, HTTP/0.9 and other versions, Transfer-Encoding in HTTP/1.0, missing or
 * repeated Host, chunk sizes and extensions without end, trailers) ends here.
 */
#include "net/http_head.h"

#include <assert.h>

enum { CHUNK_DIGITS_MAX = 16, CHUNK_EXTENSION_MAX = 128 };

static const struct tael_http_refusal line_too_long = {414, "uri_too_long",
                                                       "The request line is too long."};
static const struct tael_http_refusal head_too_large = {
    431, "headers_too_large", "The header fields are too many or too long."};
static const struct tael_http_refusal body_too_large = {
    413, "too_large", "The body is larger than this address takes."};

static enum tael_http_gate refuse(struct tael_http_refusal *out, struct tael_http_refusal why)
{
    *out = why;
    return TAEL_HTTP_GATE_REFUSED;
}

static enum tael_http_gate refuse_form(struct tael_http_refusal *out, const char *detail)
{
    return refuse(out, (struct tael_http_refusal){400, "invalid_header", detail});
}

/* ---- characters ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_tchar(char c)
{
    return is_alpha(c) || is_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_control(char c) /* HTAB is one too */
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

bool tael_http_is_token(struct tael_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_tchar(text.data[i]))
            return false;
    }
    return text.len > 0;
}

bool tael_http_is_value(struct tael_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_control(text.data[i]) && text.data[i] != '\t')
            return false;
    }
    return true;
}

bool tael_http_same(struct tael_span text, const char *lower_text)
{
    if (text.len != strlen(lower_text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (lower(text.data[i]) != lower_text[i])
            return false;
    }
    return true;
}

static struct tael_span trim(struct tael_span text)
{
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Cuts what stands before the next stop character off text. false: no stop in it. */
static bool cut(struct tael_span *text, char stop, struct tael_span *out)
{
    const char *hit = text->len > 0 ? memchr(text->data, stop, text->len) : NULL;
    if (hit == NULL)
        return false;
    out->data = text->data;
    out->len = (size_t)(hit - text->data);
    text->data += out->len + 1;
    text->len -= out->len + 1;
    return true;
}

/* ---- request line ---- */

/* reg-name, IP-literal and port (RFC 3986 §3.2.2) by their characters; user information is none of
 * them. */
static bool is_authority(struct tael_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!is_alpha(c) && !is_digit(c) && (c == '\0' || strchr("-._~!$&'()*+,;=%:[]", c) == NULL))
            return false;
    }
    return true;
}

/* "http://host:1/path": *authority becomes what stands before the path. */
static bool is_absolute(struct tael_span target, struct tael_span *authority)
{
    struct tael_span scheme = {NULL, 0};
    if (!cut(&target, ':', &scheme) ||
        !(tael_http_same(scheme, "http") || tael_http_same(scheme, "https")))
        return false;
    if (target.len < 3 || memcmp(target.data, "//", 2) != 0)
        return false;
    *authority = (struct tael_span){target.data + 2, 0};
    while (authority->len < target.len - 2 && authority->data[authority->len] != '/' &&
           authority->data[authority->len] != '?')
        authority->len++;
    return authority->len > 0 && authority->data[0] != ':' && is_authority(*authority);
}

static const char *target_fault(struct tael_span method, struct tael_span target,
                                struct tael_span *authority)
{
    if (target.len == 0)
        return "The request line has an empty target or doubled spaces.";
    for (size_t i = 0; i < target.len; i++) {
        char c = target.data[i];
        if (c <= ' ' || c > '~') /* char may be signed: both catch bytes above 0x7f */
            return "The target holds a byte that is not printable ASCII.";
        if (c == '#')
            return "The target holds a fragment.";
    }
    if (target.data[0] == '/' || is_absolute(target, authority))
        return NULL;
    if (tael_span_is(target, "*") && tael_span_is(method, "OPTIONS"))
        return NULL;
    return "The target is neither a path nor an absolute http address.";
}

static enum tael_http_gate take_request_line(struct tael_http_head *head, const char *data,
                                             struct tael_span line)
{
    struct tael_http_refusal *refusal = &head->refusal;
    struct tael_span method = {NULL, 0};
    struct tael_span target = {NULL, 0};
    if (!cut(&line, ' ', &method) || !tael_http_is_token(method))
        return refuse_form(refusal, "The request line does not begin with a method and one space.");
    if (!cut(&line, ' ', &target))
        return refuse_form(refusal, "The request line has no version.");
    struct tael_span authority = {target.data, 0};
    const char *fault = target_fault(method, target, &authority);
    if (fault != NULL)
        return refuse_form(refusal, fault);
    if (!tael_span_is(line, "HTTP/1.1") && !tael_span_is(line, "HTTP/1.0"))
        return refuse_form(refusal, "The version is neither HTTP/1.1 nor HTTP/1.0.");
    if (tael_span_is(method, "CONNECT"))
        return refuse_form(refusal, "CONNECT is not offered.");
    head->minor = line.data[line.len - 1] == '1';
    head->method_len = (uint32_t)method.len;
    head->target_at = (uint32_t)(target.data - data);
    head->target_len = (uint32_t)target.len;
    head->authority_at = (uint32_t)(authority.data - data);
    head->authority_len = (uint32_t)authority.len;
    head->request_line = true;
    return TAEL_HTTP_GATE_MORE;
}

/* ---- header fields: one function per field that has a part in framing ---- */

static enum tael_http_gate take_host(struct tael_http_head *head, struct tael_span value)
{
    if (head->host)
        return refuse_form(&head->refusal, "Host is given more than once.");
    if (!is_authority(value))
        return refuse_form(&head->refusal, "Host is not a host name with an optional port.");
    head->host = true;
    return TAEL_HTTP_GATE_MORE;
}

static enum tael_http_gate take_length(struct tael_http_head *head, struct tael_span value)
{
    if (head->has_length || head->chunked)
        return refuse_form(&head->refusal, "The length of the body is given more than once.");
    if (value.len == 0)
        return refuse_form(&head->refusal, "Content-Length is not a number.");
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.data[i]))
            return refuse_form(&head->refusal, "Content-Length is not a number.");
        if (__builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, (uint64_t)(value.data[i] - '0'), &length) ||
            length > INT64_MAX)
            return refuse_form(&head->refusal, "Content-Length is out of range.");
    }
    head->has_length = true;
    head->length = length;
    return TAEL_HTTP_GATE_MORE;
}

static enum tael_http_gate take_coding(struct tael_http_head *head, struct tael_span value)
{
    if (head->has_length || head->chunked)
        return refuse_form(&head->refusal, "The length of the body is given more than once.");
    if (!head->minor)
        return refuse_form(&head->refusal, "Transfer-Encoding does not exist in HTTP/1.0.");
    if (!tael_http_same(value, "chunked"))
        return refuse_form(&head->refusal, "Transfer-Encoding is not exactly chunked.");
    head->chunked = true;
    return TAEL_HTTP_GATE_MORE;
}

static enum tael_http_gate take_connection(struct tael_http_head *head, struct tael_span value)
{
    bool more = true;
    while (more) {
        struct tael_span word = value;
        more = cut(&value, ',', &word);
        word = trim(word);
        if (tael_http_same(word, "close"))
            head->close = true;
        else if (tael_http_same(word, "keep-alive"))
            head->keep_alive = true;
    }
    return TAEL_HTTP_GATE_MORE;
}

static enum tael_http_gate take_expect(struct tael_http_head *head, struct tael_span value)
{
    if (!tael_http_same(value, "100-continue"))
        return refuse(&head->refusal, (struct tael_http_refusal){417, "invalid_header",
                                                                 "Expect is not 100-continue."});
    head->expects = head->minor; /* RFC 9110 §10.1.1: ignored in HTTP/1.0 */
    return TAEL_HTTP_GATE_MORE;
}

/* Clients that speak HTTP/2, too, offer it with each request; RFC 9110 §7.8: it may be ignored. The
 * copy is without the field, and the parser behind never waits for another protocol. */
static enum tael_http_gate take_upgrade(struct tael_http_head *head, struct tael_span value)
{
    (void)value;
    head->fields--;
    head->left_out++;
    return TAEL_HTTP_GATE_MORE;
}

static enum tael_http_gate take_encoding(struct tael_http_head *head, struct tael_span value)
{
    if (tael_http_same(value, "identity"))
        return TAEL_HTTP_GATE_MORE;
    return refuse(&head->refusal,
                  (struct tael_http_refusal){415, "unsupported_media_type",
                                             "Compressed request bodies are not taken."});
}

static const struct {
    const char *name;
    enum tael_http_gate (*take)(struct tael_http_head *head, struct tael_span value);
} framing[] = {
    {"host", take_host},
    {"content-length", take_length},
    {"transfer-encoding", take_coding},
    {"connection", take_connection},
    {"expect", take_expect},
    {"upgrade", take_upgrade},
    {"content-encoding", take_encoding},
};

static enum tael_http_gate take_field(struct tael_http_head *head,
                                      const struct tael_http_limits *limits, struct tael_span line)
{
    struct tael_span name = {NULL, 0};
    if (is_blank(line.data[0]))
        return refuse_form(&head->refusal, "A header line begins with a blank.");
    if (!cut(&line, ':', &name) || !tael_http_is_token(name))
        return refuse_form(&head->refusal, "A header line does not begin with a name and a colon.");
    if (++head->fields + head->left_out > limits->fields)
        return refuse(&head->refusal, head_too_large);
    for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++) {
        if (tael_http_same(name, framing[i].name))
            return framing[i].take(head, trim(line));
    }
    return TAEL_HTTP_GATE_MORE;
}

/* ---- the head ---- */

static enum tael_http_gate take_line(struct tael_http_head *head,
                                     const struct tael_http_limits *limits, const char *data,
                                     size_t len)
{
    struct tael_span line = {data + head->line, len};
    if (len > 0)
        return head->request_line ? take_field(head, limits, line)
                                  : take_request_line(head, data, line);
    if (head->request_line)
        return head->host ? TAEL_HTTP_GATE_DONE : refuse_form(&head->refusal, "Host is missing.");
    if (head->blank)
        return refuse_form(&head->refusal, "The request begins with empty lines.");
    head->blank = true;
    head->start = head->at; /* RFC 9112 §2.2: some clients end a body with one CRLF too many */
    return TAEL_HTTP_GATE_MORE;
}

enum tael_http_gate tael_http_head_scan(struct tael_http_head *head,
                                        const struct tael_http_limits *limits, const char *data,
                                        size_t len)
{
    assert(head->at <= len && limits->line > 0 && limits->head > 0);
    while (head->at < len) {
        char c = data[head->at++];
        if (head->at - head->start > limits->head) {
            return refuse(&head->refusal, head_too_large);
        } else if (head->cr) {
            if (c != '\n')
                return refuse_form(&head->refusal, "A CR is not followed by LF.");
            head->cr = false;
            enum tael_http_gate gate = take_line(head, limits, data, head->at - 2 - head->line);
            if (gate != TAEL_HTTP_GATE_MORE)
                return gate;
            head->line = head->at;
        } else if (c == '\r') {
            head->cr = true;
        } else if (is_control(c) && c != '\t') {
            return refuse_form(&head->refusal, c == '\n' ? "A line does not end with CR LF."
                                                         : "The head holds a control character.");
        } else if (head->at - head->line > (head->request_line ? limits->field : limits->line)) {
            return refuse(&head->refusal, head->request_line ? head_too_large : line_too_long);
        }
    }
    return TAEL_HTTP_GATE_MORE;
}

/* ---- the copy ---- */

static char *put(char *out, struct tael_span text)
{
    if (text.len > 0)
        memcpy(out, text.data, text.len);
    return out + text.len;
}

static bool is_left_out(struct tael_span line)
{
    struct tael_span name = {NULL, 0};
    return cut(&line, ':', &name) && tael_http_same(name, "upgrade");
}

/* authority: Host's value, where it has a length. */
static char *put_field(char *out, struct tael_span line, struct tael_span authority,
                       struct tael_http_header *header)
{
    struct tael_span name = {NULL, 0};
    cut(&line, ':', &name);
    struct tael_span value =
        authority.len > 0 && tael_http_same(name, "host") ? authority : trim(line);
    header->name = (struct tael_span){out, name.len};
    for (size_t i = 0; i < name.len; i++)
        *out++ = lower(name.data[i]);
    out = put(out, tael_span_of(": "));
    header->value = (struct tael_span){out, value.len};
    out = put(out, value);
    return put(out, tael_span_of("\r\n"));
}

/* The path and query that a target in absolute form asks for. "/" stands in front where there is no
 * path. What is written never gets longer by it: "http://" goes, and the authority moves at most.
 */
static char *put_request_line(char *out, const struct tael_http_head *head, const char *data,
                              struct tael_span line, struct tael_span *target)
{
    struct tael_span path = {data + head->target_at, head->target_len};
    if (head->authority_len > 0) {
        path.data = data + head->authority_at + head->authority_len;
        path.len = head->target_len - (size_t)(path.data - (data + head->target_at));
    }
    size_t before = head->target_at - head->start;
    size_t behind = before + head->target_len;
    out = put(out, (struct tael_span){line.data, before});
    target->data = out;
    if (path.len == 0 || path.data[0] == '?')
        out = put(out, tael_span_of("/"));
    out = put(out, path);
    target->len = (size_t)(out - target->data);
    out = put(out, (struct tael_span){line.data + behind, line.len - behind});
    return put(out, tael_span_of("\r\n"));
}

size_t tael_http_head_copy(const struct tael_http_head *head, const char *data, char *out,
                           struct tael_span *method, struct tael_span *target,
                           struct tael_http_header *headers)
{
    struct tael_span rest = {data + head->start, head->at - head->start};
    struct tael_span line = {NULL, 0};
    struct tael_span authority = {data + head->authority_at, head->authority_len};
    char *at = out;
    size_t fields = 0;
    for (bool first = true; cut(&rest, '\n', &line); first = false) {
        line.len--; /* CR */
        if (first) {
            at = put_request_line(at, head, data, line, target);
        } else if (line.len == 0) {
            at = put(put(at, line), tael_span_of("\r\n"));
        } else if (!is_left_out(line)) {
            assert(fields < head->fields);
            at = put_field(at, line, authority, &headers[fields++]);
        }
    }
    assert(fields == head->fields);
    *method = (struct tael_span){out, head->method_len};
    assert((size_t)(at - out) <= tael_http_head_room(head));
    return (size_t)(at - out);
}

/* ---- chunks ---- */

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum tael_http_gate end_size(struct tael_http_chunks *chunks, uint64_t max,
                                    enum tael_http_chunk_state next)
{
    if (chunks->digits == 0)
        return refuse_form(&chunks->refusal, "A chunk has no size.");
    if (chunks->size > max - chunks->total)
        return refuse(&chunks->refusal, body_too_large);
    chunks->total += chunks->size;
    chunks->state = next;
    return TAEL_HTTP_GATE_MORE;
}

static enum tael_http_gate take_size_byte(struct tael_http_chunks *chunks, uint64_t max, char c)
{
    int value = hex_value(c);
    if (value >= 0 && ++chunks->digits <= CHUNK_DIGITS_MAX) {
        chunks->size = (chunks->size << 4) | (uint64_t)value;
        return TAEL_HTTP_GATE_MORE;
    }
    if (c == '\r')
        return end_size(chunks, max, TAEL_HTTP_CHUNK_SIZE_LF);
    return refuse_form(&chunks->refusal, "A chunk size is not 1 to 16 hexadecimal digits.");
}

static enum tael_http_gate expect_byte(struct tael_http_chunks *chunks, char c, char want,
                                       enum tael_http_chunk_state next)
{
    if (c != want)
        return refuse_form(&chunks->refusal, chunks->state == TAEL_HTTP_CHUNK_LAST_CR
                                                 ? "Fields after the last chunk are not taken."
                                                 : "A chunk is not framed by CR LF.");
    chunks->state = next;
    return next == TAEL_HTTP_CHUNK_DONE ? TAEL_HTTP_GATE_DONE : TAEL_HTTP_GATE_MORE;
}

static enum tael_http_gate take_frame_byte(struct tael_http_chunks *chunks, uint64_t max, char c)
{
    switch (chunks->state) {
    case TAEL_HTTP_CHUNK_SIZE:
        return take_size_byte(chunks, max, c);
    case TAEL_HTTP_CHUNK_EXTENSION:
        return expect_byte(chunks, c, '\r', TAEL_HTTP_CHUNK_SIZE_LF);
    case TAEL_HTTP_CHUNK_SIZE_LF:
        return expect_byte(chunks, c, '\n',
                           chunks->size > 0 ? TAEL_HTTP_CHUNK_DATA : TAEL_HTTP_CHUNK_LAST_CR);
    case TAEL_HTTP_CHUNK_DATA_CR:
        return expect_byte(chunks, c, '\r', TAEL_HTTP_CHUNK_DATA_LF);
    case TAEL_HTTP_CHUNK_DATA_LF:
        chunks->digits = chunks->extra = 0;
        chunks->size = 0;
        return expect_byte(chunks, c, '\n', TAEL_HTTP_CHUNK_SIZE);
    case TAEL_HTTP_CHUNK_LAST_CR:
        return expect_byte(chunks, c, '\r', TAEL_HTTP_CHUNK_LAST_LF);
    case TAEL_HTTP_CHUNK_LAST_LF:
        return expect_byte(chunks, c, '\n', TAEL_HTTP_CHUNK_DONE);
    case TAEL_HTTP_CHUNK_DATA:
    case TAEL_HTTP_CHUNK_DONE:
        break;
    }
    assert(false);
    return refuse_form(&chunks->refusal, "A chunk is not framed by CR LF.");
}

/* Extensions mean nothing here (RFC 9112 §7.1.1: ignored); they only must not hide a line end. */
static enum tael_http_gate take_extension(struct tael_http_chunks *chunks, const char *data,
                                          size_t len, size_t *used)
{
    while (*used < len && data[*used] != '\r') {
        char c = data[(*used)++];
        if (is_control(c) && c != '\t')
            return refuse_form(&chunks->refusal, "A chunk extension holds a control character.");
        if (++chunks->extra > CHUNK_EXTENSION_MAX)
            return refuse_form(&chunks->refusal, "A chunk extension is too long.");
    }
    return TAEL_HTTP_GATE_MORE;
}

static enum tael_http_gate take_data(struct tael_http_chunks *chunks, size_t len, size_t *used)
{
    *used = chunks->size < len ? (size_t)chunks->size : len;
    chunks->size -= *used;
    if (chunks->size == 0)
        chunks->state = TAEL_HTTP_CHUNK_DATA_CR;
    return TAEL_HTTP_GATE_MORE;
}

enum tael_http_gate tael_http_chunks_scan(struct tael_http_chunks *chunks, uint64_t max,
                                          const char *data, size_t len, size_t *used, bool *pass)
{
    enum tael_http_gate gate = TAEL_HTTP_GATE_MORE;
    *used = 0;
    *pass = true;
    if (len == 0)
        return gate;
    if (chunks->state == TAEL_HTTP_CHUNK_DATA)
        return take_data(chunks, len, used);
    if (chunks->state == TAEL_HTTP_CHUNK_EXTENSION && data[0] != '\r') {
        *pass = false;
        return take_extension(chunks, data, len, used);
    }
    if (chunks->state == TAEL_HTTP_CHUNK_SIZE && data[0] == ';') {
        *pass = false;
        *used = 1;
        return end_size(chunks, max, TAEL_HTTP_CHUNK_EXTENSION);
    }
    while (gate == TAEL_HTTP_GATE_MORE && *used < len && chunks->state != TAEL_HTTP_CHUNK_DATA &&
           !(chunks->state == TAEL_HTTP_CHUNK_SIZE && data[*used] == ';'))
        gate = take_frame_byte(chunks, max, data[(*used)++]);
    return gate;
}
