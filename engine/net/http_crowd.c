/* http_crowd.c - many connections: who makes room for the next one, and memory when they have left.
 *
 * 1. Nobody who waits for an answer or sends a body has to go. 2. Queues are by the time of
 * entering, so that both ends are found at once however many there are.
 */
#include <stddef.h>

#include <malloc.h>

#include "net/http_connection.h"

enum {
    CROWD_MIN = 64,                  /* fewer leave nothing that is worth it */
    CROWD_LEFT = 4,                  /* so small a part is left */
    TRIM_AFTER_US = 2 * 1000 * 1000, /* and they have been gone for so long */
};

/* ---- who goes first ---- */

void tael_http_link_leave(struct tael_http_queue *queue, struct tael_http_link *link)
{
    if (link->place == NULL)
        return;
    *link->place = link->next;
    if (link->next != NULL)
        link->next->place = link->place;
    else
        queue->end = link->place;
    *link = (struct tael_http_link){0};
}

void tael_http_link_enter(struct tael_http_queue *queue, struct tael_http_link *link)
{
    link->place = queue->end != NULL ? queue->end : &queue->first;
    *link->place = link;
    queue->end = &link->next;
}

void tael_http_queue_leave(struct tael_http_connection *connection)
{
    tael_http_link_leave(&connection->server->queues[connection->rank], &connection->ranked);
}

void tael_http_queue_enter(struct tael_http_connection *connection, enum tael_http_rank rank)
{
    connection->rank = rank;
    tael_http_link_enter(&connection->server->queues[rank], &connection->ranked);
}

struct tael_http_connection *tael_http_queue_first(struct tael_http_server *server)
{
    for (size_t rank = 0; rank < TAEL_HTTP_RANKS; rank++) {
        struct tael_http_link *first = server->queues[rank].first;
        if (first != NULL)
            return (struct tael_http_connection *)(void *)((char *)first -
                                                           offsetof(struct tael_http_connection,
                                                                    ranked));
    }
    return NULL;
}

/* ---- memory ---- */

/* What many small pieces leave behind lies scattered between others: it is not given back by
 * freeing, and would be held for ever. */
static void on_crowd_timer(void *user)
{
    struct tael_http_server *server = user;
    if (server->connection_count > server->crowd / CROWD_LEFT)
        return; /* they have come again */
    server->crowd = server->connection_count;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void tael_http_crowd_came(struct tael_http_server *server)
{
    if (server->connection_count > server->crowd)
        server->crowd = server->connection_count;
}

void tael_http_crowd_left(struct tael_http_server *server)
{
    if (server->crowd >= CROWD_MIN && server->crowd_timer != NULL &&
        server->connection_count <= server->crowd / CROWD_LEFT)
        tael_timer_start(server->crowd_timer, TRIM_AFTER_US);
}

tael_status tael_http_crowd_begin(struct tael_http_server *server)
{
    server->crowd_timer = tael_timer_new(server->loop, on_crowd_timer, server);
    return server->crowd_timer != NULL ? TAEL_OK : TAEL_ENOMEM;
}

void tael_http_crowd_end(struct tael_http_server *server)
{
    tael_timer_free(server->crowd_timer);
    server->crowd_timer = NULL;
}
