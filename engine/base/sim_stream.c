/* sim_stream.c - listeners and byte streams of the simulated world.
 *
 * A connection is two pipes, one per direction. A pipe delivers, always in this order: the opening
 * (to the side that connected), pieces of data, the end. It has one event, for its next delivery,
 * so that the order within a direction cannot be broken; only the times are drawn from the seed.
 * Bytes beyond a pipe's window (the room in a kernel's buffers, drawn too) count as queued. A side
 * that is gone (closed, or its machine killed) takes no data; whoever writes to it learns of it a
 * little later, when the reset has come back.
 * Ownership: a stream is its holder's and is freed by close at once; the connection lives until
 * nothing can come out of it.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sim_inner.h"

enum { ADDRESS_MAX = 128, PIECE_MAX = 64 * 1024, KILL_LATENCIES = 10 };
enum { CLIENT, SERVER }; /* sides; a pipe has the number of the side that writes into it */

struct piece {
    struct piece *next;
    int64_t at;
    size_t len;
    char data[];
};

struct sim_stream {
    struct tael_stream base; /* first */
    struct tael_sim_conn *conn;
    int side;
    const struct tael_stream_events *events;
    void *user;
    struct tael_sim_event drain;
    bool started; /* events are known */
    bool opened;  /* the connection stands */
    bool reads;
    bool ended;
};

struct pipe {
    struct tael_sim_event event; /* first; the next delivery */
    struct tael_sim_conn *conn;
    int side;
    struct piece *pieces, **pieces_end;
    size_t bytes, window; /* bytes: under way */
    int64_t last_at;      /* nothing may come before what was sent before it */
    bool used;            /* at least one byte was written */
    bool lost;            /* bytes are missing: of no more use */
    bool has_open, has_end;
    int64_t open_at, end_at;
    tael_status end_status;
    int64_t reset_at; /* when the writer learns that nobody reads; 0: it has no reason to */
};

struct tael_sim_conn {
    struct tael_sim_event connect; /* first */
    struct tael_sim *sim;
    struct tael_sim_conn *next, **link;
    struct sim_stream *ends[2]; /* NULL: not yet, or closed */
    uint64_t loops[2];          /* ids; 0: not yet */
    bool dead[2];
    bool connected;
    struct pipe pipes[2];
    char address[ADDRESS_MAX];  /* of the listener */
    char peers[2][ADDRESS_MAX]; /* what each side calls the other */
};

struct tael_sim_listener {
    struct tael_listener base; /* first */
    tael_accept_fn accept;
    void *user;
    struct tael_sim_listener *next, **link;
    bool retired;
    char address[ADDRESS_MAX];
};

static struct sim_stream *stream_of(struct tael_stream *stream)
{
    return (struct sim_stream *)stream;
}

static struct tael_sim *sim_of(const struct sim_stream *stream)
{
    return tael_sim_of(stream->base.loop->world);
}

static int64_t some_delay(struct tael_sim *sim)
{
    return (int64_t)tael_sim_below(sim, (uint64_t)sim->latency_us + 1);
}

/* ---- pipes ---- */

static void drop_pieces(struct pipe *pipe, struct piece **from)
{
    while (*from != NULL) {
        struct piece *piece = *from;
        *from = piece->next;
        pipe->bytes -= piece->len;
        free(piece);
    }
    pipe->pieces_end = from;
}

static size_t queued_in(const struct pipe *pipe)
{
    return pipe->bytes > pipe->window ? pipe->bytes - pipe->window : 0;
}

/* Sets the event for what is next in the pipe, if its reader wants it now. */
static void arm(struct pipe *pipe)
{
    const struct sim_stream *reader = pipe->conn->ends[1 - pipe->side];
    if (pipe->event.node.place != 0 || reader == NULL || pipe->conn->dead[reader->side] ||
        !reader->started || reader->ended || (reader->opened && !reader->reads))
        return;
    if (pipe->has_open)
        tael_sim_schedule(pipe->conn->sim, &pipe->event, pipe->open_at);
    else if (pipe->pieces != NULL)
        tael_sim_schedule(pipe->conn->sim, &pipe->event, pipe->pieces->at);
    else if (pipe->has_end)
        tael_sim_schedule(pipe->conn->sim, &pipe->event, pipe->end_at);
}

static void put_end(struct pipe *pipe, tael_status why, int64_t delay)
{
    struct tael_sim *sim = pipe->conn->sim;
    int64_t at = sim->now_us + delay;
    pipe->has_end = true;
    pipe->end_status = why;
    pipe->end_at = at > pipe->last_at ? at : pipe->last_at;
    arm(pipe);
}

static void on_drained(struct tael_sim_event *event)
{
    struct sim_stream *stream =
        (struct sim_stream *)(void *)((char *)event - offsetof(struct sim_stream, drain));
    sim_of(stream)->current = tael_sim_loop_of(stream->base.loop);
    bool tell = !stream->ended && queued_in(&stream->conn->pipes[stream->side]) == 0;
    if (tell && stream->events->drain != NULL)
        stream->events->drain(stream->user);
}

/* Takes the first piece out, now and then together with what has come right behind it. */
static struct piece *take_piece(struct pipe *pipe)
{
    struct tael_sim *sim = pipe->conn->sim;
    struct piece *piece = pipe->pieces;
    pipe->pieces = piece->next;
    struct piece *more = pipe->pieces;
    if (more != NULL && more->at <= sim->now_us && piece->len + more->len <= PIECE_MAX &&
        tael_sim_below(sim, 2) == 0) {
        struct piece *joined = realloc(piece, sizeof(*piece) + piece->len + more->len);
        if (joined != NULL) {
            memcpy(joined->data + joined->len, more->data, more->len);
            joined->len += more->len;
            pipe->pieces = more->next;
            piece = joined;
            free(more);
        }
    }
    if (pipe->pieces == NULL)
        pipe->pieces_end = &pipe->pieces;
    return piece;
}

static void deliver_piece(struct pipe *pipe, struct sim_stream *reader)
{
    struct sim_stream *writer = pipe->conn->ends[pipe->side];
    bool was_queued = queued_in(pipe) > 0;
    struct piece *piece = take_piece(pipe);
    pipe->bytes -= piece->len;
    if (writer != NULL && was_queued && queued_in(pipe) == 0 && !pipe->conn->dead[pipe->side] &&
        writer->started)
        tael_sim_schedule(pipe->conn->sim, &writer->drain, pipe->conn->sim->now_us);
    arm(pipe); /* before the callback: it may close everything */
    if (reader->events->read != NULL)
        reader->events->read(reader->user, piece->data, piece->len);
    free(piece);
}

static void deliver(struct tael_sim_event *event)
{
    struct pipe *pipe = (struct pipe *)event;
    struct sim_stream *reader = pipe->conn->ends[1 - pipe->side];
    pipe->conn->sim->current = tael_sim_loop_of(reader->base.loop);
    if (pipe->has_open) {
        pipe->has_open = false;
        reader->opened = true;
        arm(pipe);
        if (reader->events->open != NULL)
            reader->events->open(reader->user);
    } else if (pipe->pieces != NULL) {
        deliver_piece(pipe, reader);
    } else {
        reader->ended = true;
        if (reader->events->end != NULL)
            reader->events->end(reader->user, pipe->end_status);
    }
}

/* ---- connections ---- */

static void conn_free(struct tael_sim_conn *conn)
{
    for (int side = 0; side < 2; side++) {
        tael_sim_cancel(conn->sim, &conn->pipes[side].event);
        drop_pieces(&conn->pipes[side], &conn->pipes[side].pieces);
    }
    tael_sim_cancel(conn->sim, &conn->connect);
    tael_heap_unreserve(&conn->sim->queue, 3);
    *conn->link = conn->next;
    if (conn->next != NULL)
        conn->next->link = conn->link;
    free(conn);
}

static void free_if_over(struct tael_sim_conn *conn)
{
    if (conn->ends[CLIENT] == NULL && conn->ends[SERVER] == NULL && conn->connect.node.place == 0)
        conn_free(conn);
}

static struct sim_stream *stream_new(struct tael_sim_conn *conn, int side, struct tael_loop *loop)
{
    struct sim_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return NULL;
    if (tael_heap_reserve(&conn->sim->queue, 1) != TAEL_OK) {
        free(stream);
        return NULL;
    }
    stream->base.loop = loop;
    stream->conn = conn;
    stream->side = side;
    stream->drain.run = on_drained;
    stream->reads = true;
    conn->ends[side] = stream;
    conn->loops[side] = tael_sim_loop_of(loop)->id;
    return stream;
}

static void refuse(struct tael_sim_conn *conn)
{
    drop_pieces(&conn->pipes[CLIENT], &conn->pipes[CLIENT].pieces);
    put_end(&conn->pipes[SERVER], TAEL_ENETWORK, some_delay(conn->sim));
    free_if_over(conn);
}

/* One of the listeners of that name, drawn by the seed as the kernel would draw it by hash. */
static struct tael_sim_listener *find_listener(struct tael_sim *sim, const char *address)
{
    struct tael_sim_listener *listener, *found = NULL;
    uint64_t count = 0;
    for (listener = sim->listeners; listener != NULL; listener = listener->next) {
        if (listener->retired || tael_sim_loop_of(listener->base.loop)->dead ||
            strcmp(listener->address, address) != 0)
            continue;
        if (tael_sim_below(sim, ++count) == 0)
            found = listener;
    }
    return found;
}

static void on_connect(struct tael_sim_event *event)
{
    struct tael_sim_conn *conn = (struct tael_sim_conn *)event;
    struct tael_sim *sim = conn->sim;
    struct tael_sim_listener *listener = find_listener(sim, conn->address);
    struct sim_stream *stream = NULL;
    if (listener != NULL)
        stream = stream_new(conn, SERVER, listener->base.loop);
    if (stream == NULL) {
        refuse(conn);
        return;
    }
    conn->connected = true;
    stream->opened = true;
    struct pipe *back = &conn->pipes[SERVER];
    back->has_open = true;
    back->open_at = back->last_at = sim->now_us + some_delay(sim);
    arm(back);
    sim->current = tael_sim_loop_of(listener->base.loop);
    listener->accept(listener->user, &stream->base);
}

/* "unix:PATH" or "NAME:PORT"; names are not looked into. */
static bool address_is_valid(const char *address)
{
    if (strlen(address) >= ADDRESS_MAX - 8) /* room for the digits of a port */
        return false;
    if (strncmp(address, "unix:", 5) == 0)
        return address[5] != '\0';
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address)
        return false;
    size_t digits = strspn(colon + 1, "0123456789");
    return digits > 0 && digits <= 5 && colon[1 + digits] == '\0' && atoi(colon + 1) <= 65535;
}

static void name_peers(struct tael_sim_conn *conn, const char *address)
{
    bool local = strncmp(address, "unix:", 5) == 0;
    struct tael_sim *sim = conn->sim;
    snprintf(conn->address, ADDRESS_MAX, "%s", address);
    snprintf(conn->peers[CLIENT], ADDRESS_MAX, "%s", local ? "unix" : address);
    if (local)
        snprintf(conn->peers[SERVER], ADDRESS_MAX, "unix");
    else
        snprintf(conn->peers[SERVER], ADDRESS_MAX, "127.0.0.1:%d", sim->next_peer);
    sim->next_peer = sim->next_peer < 65535 ? sim->next_peer + 1 : 49152;
}

static tael_status conn_new(struct tael_sim *sim, const char *address, struct tael_sim_conn **out)
{
    static const size_t windows[] = {0, 1024, 16 * 1024, 256 * 1024};
    struct tael_sim_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        return TAEL_ENOMEM;
    if (tael_heap_reserve(&sim->queue, 3) != TAEL_OK) {
        free(conn);
        return TAEL_ENOMEM;
    }
    conn->sim = sim;
    conn->connect.run = on_connect;
    name_peers(conn, address);
    for (int side = 0; side < 2; side++) {
        struct pipe *pipe = &conn->pipes[side];
        pipe->event.run = deliver;
        pipe->conn = conn;
        pipe->side = side;
        pipe->pieces_end = &pipe->pieces;
        pipe->window = windows[tael_sim_below(sim, sizeof(windows) / sizeof(windows[0]))];
    }
    conn->next = sim->conns;
    conn->link = &sim->conns;
    if (conn->next != NULL)
        conn->next->link = &conn->next;
    sim->conns = conn;
    *out = conn;
    return TAEL_OK;
}

tael_status tael_sim_connect(struct tael_loop *loop, const char *address,
                             const struct tael_stream_events *events, void *user,
                             struct tael_stream **out)
{
    struct tael_sim *sim = tael_sim_of(loop->world);
    struct tael_sim_conn *conn = NULL;
    if (!address_is_valid(address))
        return TAEL_EINVAL;
    if (tael_sim_loop_of(loop)->dead)
        return TAEL_ENETWORK;
    tael_status status = conn_new(sim, address, &conn);
    if (status != TAEL_OK)
        return status;
    struct sim_stream *stream = stream_new(conn, CLIENT, loop);
    if (stream == NULL) {
        conn_free(conn);
        return TAEL_ENOMEM;
    }
    stream->events = events;
    stream->user = user;
    stream->started = true;
    tael_sim_schedule(sim, &conn->connect, sim->now_us + some_delay(sim));
    *out = &stream->base;
    return TAEL_OK;
}

/* ---- streams ---- */

void tael_sim_stream_start(struct tael_stream *base, const struct tael_stream_events *events,
                           void *user)
{
    struct sim_stream *stream = stream_of(base);
    stream->events = events;
    stream->user = user;
    stream->started = true;
    arm(&stream->conn->pipes[1 - stream->side]);
}

void tael_sim_stream_read(struct tael_stream *base, bool on)
{
    struct sim_stream *stream = stream_of(base);
    struct pipe *pipe = &stream->conn->pipes[1 - stream->side];
    stream->reads = on;
    if (on)
        arm(pipe);
    else if (stream->opened)
        tael_sim_cancel(sim_of(stream), &pipe->event);
}

/* How much of len bytes travels in one piece: mostly all, sometimes a part, sometimes next to
 * nothing. */
static size_t draw_piece(struct tael_sim *sim, size_t len)
{
    size_t most = len < PIECE_MAX ? len : PIECE_MAX;
    uint64_t kind = tael_sim_below(sim, 8);
    if (kind == 0)
        return 1 + tael_sim_below(sim, most < 16 ? most : 16);
    return kind <= 2 ? 1 + tael_sim_below(sim, most) : most;
}

static tael_status put_pieces(struct pipe *pipe, const char *data, size_t len)
{
    struct tael_sim *sim = pipe->conn->sim;
    while (len > 0) {
        size_t part = draw_piece(sim, len);
        struct piece *piece = malloc(sizeof(*piece) + part);
        if (piece == NULL)
            return TAEL_ENOMEM;
        int64_t at = sim->now_us + some_delay(sim);
        pipe->last_at = at > pipe->last_at ? at : pipe->last_at;
        piece->next = NULL;
        piece->at = pipe->last_at;
        piece->len = part;
        memcpy(piece->data, data, part);
        *pipe->pieces_end = piece;
        pipe->pieces_end = &piece->next;
        pipe->bytes += part;
        data += part;
        len -= part;
    }
    return TAEL_OK;
}

tael_status tael_sim_stream_write(struct tael_stream *base, const char *data, size_t len)
{
    struct sim_stream *stream = stream_of(base);
    struct tael_sim_conn *conn = stream->conn;
    struct pipe *pipe = &conn->pipes[stream->side], *back = &conn->pipes[1 - stream->side];
    bool broken = stream->ended && back->end_status != TAEL_OK;
    if (len == 0)
        return TAEL_OK;
    if (conn->dead[stream->side] || broken || pipe->lost ||
        (pipe->reset_at != 0 && pipe->reset_at <= conn->sim->now_us))
        return TAEL_ENETWORK;
    bool reader_gone = conn->ends[1 - stream->side] == NULL || conn->dead[1 - stream->side];
    if (conn->connected && reader_gone) {
        if (pipe->reset_at == 0) /* there and back */
            pipe->reset_at = conn->sim->now_us + 1 + some_delay(conn->sim) + some_delay(conn->sim);
        return TAEL_OK;
    }
    pipe->used = true;
    tael_status status = put_pieces(pipe, data, len);
    pipe->lost = status != TAEL_OK;
    arm(pipe);
    return status;
}

size_t tael_sim_stream_queued(struct tael_stream *base)
{
    struct sim_stream *stream = stream_of(base);
    return queued_in(&stream->conn->pipes[stream->side]);
}

const char *tael_sim_stream_peer(struct tael_stream *base)
{
    struct sim_stream *stream = stream_of(base);
    return stream->conn->peers[stream->side];
}

/* The side reads no more: what is under way to it is lost. true: some had come and was not read. */
static bool stop_reader(struct tael_sim_conn *conn, int side)
{
    struct pipe *pipe = &conn->pipes[1 - side];
    bool unread = pipe->pieces != NULL && pipe->pieces->at <= conn->sim->now_us;
    tael_sim_cancel(conn->sim, &pipe->event);
    drop_pieces(pipe, &pipe->pieces);
    return unread;
}

void tael_sim_stream_close(struct tael_stream *base)
{
    struct sim_stream *stream = stream_of(base);
    struct tael_sim_conn *conn = stream->conn;
    struct pipe *out = &conn->pipes[stream->side];
    bool unread = stop_reader(conn, stream->side);
    tael_sim_cancel(conn->sim, &stream->drain);
    tael_heap_unreserve(&conn->sim->queue, 1);
    conn->ends[stream->side] = NULL;
    if (!conn->connected && out->pieces == NULL)
        tael_sim_cancel(conn->sim, &conn->connect); /* nothing to send: as if it had never been */
    /* Closing lingers where something was sent (net/stream_uv.c), else what was not read is a
     * reset. */
    if (!conn->dead[stream->side]) /* a dead one has broken already */
        put_end(out, unread && !out->used ? TAEL_ENETWORK : TAEL_OK, some_delay(conn->sim));
    free(stream);
    free_if_over(conn);
}

/* ---- death ---- */

static void kill_side(struct tael_sim_conn *conn, int side)
{
    struct tael_sim *sim = conn->sim;
    struct pipe *out = &conn->pipes[side];
    conn->dead[side] = true;
    stop_reader(conn, side);
    if (conn->ends[side] != NULL)
        tael_sim_cancel(sim, &conn->ends[side]->drain);
    if (!conn->connected)
        tael_sim_cancel(sim, &conn->connect);
    size_t under_way = 0;
    for (struct piece *piece = out->pieces; piece != NULL; piece = piece->next)
        under_way++;
    struct piece **from = &out->pieces; /* what had left the machine still arrives */
    for (uint64_t left = tael_sim_below(sim, under_way + 1); left > 0; left--)
        from = &(*from)->next;
    drop_pieces(out, from);
    tael_sim_cancel(sim, &out->event);
    put_end(out, TAEL_ENETWORK, some_delay(sim) * KILL_LATENCIES);
}

void tael_sim_streams_kill(struct tael_sim_loop *loop)
{
    struct tael_sim *sim = tael_sim_of(loop->base.world);
    for (struct tael_sim_conn *conn = sim->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        for (int side = 0; side < 2; side++) {
            if (conn->loops[side] == loop->id)
                kill_side(conn, side);
        }
        free_if_over(conn);
    }
}

void tael_sim_streams_free(struct tael_sim *sim)
{
    while (sim->conns != NULL)
        conn_free(sim->conns);
    assert(sim->listeners == NULL);
}

/* ---- listeners ---- */

static struct tael_sim_listener *listener_at(struct tael_sim *sim, const char *address)
{
    struct tael_sim_listener *listener = sim->listeners;
    while (listener != NULL &&
           (tael_sim_loop_of(listener->base.loop)->dead || strcmp(listener->address, address) != 0))
        listener = listener->next;
    return listener;
}

/* Port 0 becomes the next one that is free. */
static void name_listener(struct tael_sim *sim, const char *address, char out[ADDRESS_MAX])
{
    const char *colon = strrchr(address, ':');
    snprintf(out, ADDRESS_MAX, "%s", address);
    if (strncmp(address, "unix:", 5) == 0 || atoi(colon + 1) != 0)
        return;
    do {
        snprintf(out, ADDRESS_MAX, "%.*s:%d", (int)(colon - address), address, sim->next_port);
        sim->next_port = sim->next_port < 49151 ? sim->next_port + 1 : 20000;
    } while (listener_at(sim, out) != NULL);
}

tael_status tael_sim_listen(struct tael_loop *loop, const char *address, tael_accept_fn accept,
                            void *user, struct tael_listener **out)
{
    struct tael_sim *sim = tael_sim_of(loop->world);
    if (strncmp(address, TAEL_LISTEN_ALONE, sizeof(TAEL_LISTEN_ALONE) - 1) == 0)
        address += sizeof(TAEL_LISTEN_ALONE) - 1; /* nobody else lives in this world */
    if (!address_is_valid(address))
        return TAEL_EINVAL;
    if (strncmp(address, "unix:", 5) == 0 && listener_at(sim, address) != NULL)
        return TAEL_ENETWORK; /* only TCP listeners share an address */
    struct tael_sim_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return TAEL_ENOMEM;
    listener->base.loop = loop;
    listener->accept = accept;
    listener->user = user;
    name_listener(sim, address, listener->address);
    listener->next = sim->listeners;
    listener->link = &sim->listeners;
    if (listener->next != NULL)
        listener->next->link = &listener->next;
    sim->listeners = listener;
    *out = &listener->base;
    return TAEL_OK;
}

const char *tael_sim_listener_address(struct tael_listener *listener)
{
    return ((struct tael_sim_listener *)listener)->address;
}

void tael_sim_listener_retire(struct tael_listener *base)
{
    ((struct tael_sim_listener *)base)->retired = true;
}

int tael_sim_listener_share(struct tael_listener *base)
{
    (void)base;
    return -1; /* there is no other process */
}

void tael_sim_listener_close(struct tael_listener *base)
{
    struct tael_sim_listener *listener = (struct tael_sim_listener *)base;
    *listener->link = listener->next;
    if (listener->next != NULL)
        listener->next->link = listener->link;
    free(listener);
}
