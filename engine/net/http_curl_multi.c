/* http_curl_multi.c - a group's connections: one multi handle of libcurl's on the loop.
 *
 * libcurl says which sockets to watch (on_socket) and when to come back (on_timeout); what it has
 * finished is collected after each step and told from there, never from inside one of its
 * callbacks. uv handles free themselves in their close callbacks.
 */
#include <assert.h>
#include <stdlib.h>

#include <poll.h>
#include <sys/socket.h>

#include "net/http_curl.h"

struct tael_curl_watch { /* one socket of libcurl's */
    uv_poll_t poll;
    struct tael_curl_watch *next, **place; /* in group->watches */
    struct tael_curl_group *group;
    struct tael_curl_exchange *exchange; /* whom it serves; NULL: libcurl's own */
    curl_socket_t socket;
};

static void step(struct tael_curl_group *group, curl_socket_t socket, int what);

/* ---- connections at rest ---- */

void tael_curl_socket_gone(struct tael_curl_group *group, curl_socket_t socket)
{
    for (size_t i = 0; i < group->resting_count; i++) {
        if (group->resting[i] == socket) {
            group->resting[i] = group->resting[--group->resting_count];
            return;
        }
    }
}

void tael_curl_socket_rests(struct tael_curl_group *group, curl_socket_t socket)
{
    tael_curl_socket_gone(group, socket);
    const struct tael_curl_watch *watch = group->watches;
    while (watch != NULL && watch->socket != socket)
        watch = watch->next;
    if (watch == NULL && socket != CURL_SOCKET_BAD && group->resting_count < TAEL_HTTP_REUSE_MAX)
        group->resting[group->resting_count++] = socket;
}

/* Afterwards libcurl sees a close, and closes. */
static void end_dead(curl_socket_t socket)
{
    enum { MOST = 64 }; /* a server that goes on talking does not hold us */
    char data[4096];
    shutdown(socket, SHUT_RDWR);
    for (int i = 0; i < MOST && recv(socket, data, sizeof(data), MSG_DONTWAIT) > 0; i++) {
    }
}

void tael_curl_end_dead(struct tael_curl_group *group)
{
    struct pollfd looks[TAEL_HTTP_REUSE_MAX];
    nfds_t count = 0;
    for (; count < group->resting_count; count++)
        looks[count] = (struct pollfd){.fd = group->resting[count], .events = POLLIN};
    if (count == 0 || poll(looks, count, 0) <= 0)
        return;
    for (nfds_t i = 0; i < count; i++) {
        if (looks[i].revents != 0)
            end_dead(looks[i].fd);
    }
}

/* ---- what libcurl calls for sockets and time ---- */

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Before the request is sent libcurl finds errors by itself: it may have several sockets, and what
 * it is told of one that was refused it (7.88) keeps, to end the exchange when another has sent. */
static int error_of(const struct tael_curl_watch *watch)
{
    return watch->exchange != NULL && !watch->exchange->base.sent ? 0 : CURL_CSELECT_ERR;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct tael_curl_watch *watch = poll->data;
    int what = 0;
    if (status < 0)
        what = error_of(watch);
    if ((events & UV_READABLE) != 0)
        what |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        what |= CURL_CSELECT_OUT;
    step(watch->group, watch->socket, what);
}

static struct tael_curl_watch *watch_new(struct tael_curl_group *group, curl_socket_t socket)
{
    struct tael_curl_client *client = (struct tael_curl_client *)group->base.client;
    struct tael_curl_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    *watch = (struct tael_curl_watch){
        .next = group->watches, .place = &group->watches, .group = group, .socket = socket};
    if (uv_poll_init_socket(client->uv, &watch->poll, socket) != 0) {
        free(watch);
        return NULL;
    }
    if (watch->next != NULL)
        watch->next->place = &watch->next;
    group->watches = watch;
    watch->poll.data = watch;
    group->curl->multi_assign(group->multi, socket, watch);
    return watch;
}

static void watch_end(struct tael_curl_watch *watch)
{
    const struct tael_curl_group *group = watch->group;
    *watch->place = watch->next;
    if (watch->next != NULL)
        watch->next->place = watch->place;
    group->curl->multi_assign(group->multi, watch->socket, NULL);
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static struct tael_curl_exchange *exchange_of(const struct tael_curl_group *group, CURL *easy)
{
    struct tael_curl_exchange *exchange = NULL;
    group->curl->easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&exchange);
    return exchange;
}

/* Always 0: anything else would end every exchange of the group. What cannot be watched times out.
 */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *socket_user)
{
    struct tael_curl_group *group = user;
    struct tael_curl_watch *watch = socket_user;
    struct tael_curl_exchange *exchange = exchange_of(group, easy);
    if (what == CURL_POLL_REMOVE) {
        if (exchange != NULL && !exchange->base.sent)
            tael_curl_moved(exchange);
        if (watch != NULL)
            watch_end(watch);
        return 0;
    }
    tael_curl_socket_gone(group, socket); /* it is used again */
    if (watch == NULL)
        watch = watch_new(group, socket);
    if (watch != NULL) {
        watch->exchange = exchange;
        int events =
            (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
        uv_poll_start(&watch->poll, events, on_poll);
    }
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    step(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *user)
{
    struct tael_curl_group *group = user;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(group->timer);
    else
        uv_timer_start(group->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

/* ---- from one address to the next ---- */

void tael_curl_moved(struct tael_curl_exchange *exchange)
{
    struct tael_curl_group *group = (struct tael_curl_group *)exchange->base.pool->group;
    exchange->moved = group->moved = group->curl->stalls;
}

/* A pause and its end: all that this libcurl offers to have one handle run at once. */
static void run_soon(const struct tael_curl_exchange *exchange)
{
    exchange->curl->easy_pause(exchange->easy, CURLPAUSE_RECV);
    exchange->curl->easy_pause(exchange->easy, CURLPAUSE_CONT);
}

/* When an address fails, or gives no answer for its share of the time, libcurl prepares the next
 * and returns: without a socket for it, and without asking to be called. Left alone it opens that
 * when some later timer fires, and where this is the next address's own, or the end of the time to
 * connect, it gives it up in the same breath. */
static void run_moved(struct tael_curl_group *group)
{
    if (!group->moved)
        return;
    group->moved = false;
    for (struct tael_http_pool *pool = group->base.pools; pool != NULL; pool = pool->next) {
        struct tael_http_exchange *base = pool->running;
        for (; base != NULL; base = base->next) {
            struct tael_curl_exchange *exchange = (struct tael_curl_exchange *)base;
            if (exchange->moved && exchange->added && !base->sent && !base->over)
                run_soon(exchange);
            exchange->moved = false;
        }
    }
}

/* ---- steps ---- */

static struct tael_curl_exchange *take_finished(struct tael_curl_group *group, CURLcode *code)
{
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = group->curl->multi_info_read(group->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        *code = message->data.result;
        return exchange_of(group, message->easy_handle);
    }
    return NULL;
}

static void step(struct tael_curl_group *group, curl_socket_t socket, int what)
{
    struct tael_curl_client *client = (struct tael_curl_client *)group->base.client;
    struct tael_curl_exchange *exchange = NULL;
    int running = 0;
    CURLcode code = CURLE_OK;
    assert(!client->stepping);
    client->stepping = group->base.busy = true;
    group->curl->multi_socket_action(group->multi, socket, what, &running);
    run_moved(group);
    while (!client->base.freed && (exchange = take_finished(group, &code)) != NULL)
        tael_curl_ended(exchange, code);
    client->stepping = group->base.busy = false;
    if (client->base.freed)
        tael_curl_destroy(client);
}

/* ---- life ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

tael_status tael_curl_group_new(struct tael_http_client *base, struct tael_http_group **out)
{
    struct tael_curl_client *client = (struct tael_curl_client *)base;
    struct tael_curl_group *group = calloc(1, sizeof(*group));
    if (group == NULL)
        return TAEL_ENOMEM;
    group->timer = calloc(1, sizeof(*group->timer));
    if (group->timer == NULL)
        goto free_group;
    group->base.client = base;
    group->curl = &client->curl;
    uv_timer_init(client->uv, group->timer); /* cannot fail */
    group->timer->data = group;
    *out = &group->base;
    return TAEL_OK;

free_group:
    free(group);
    return TAEL_ENOMEM;
}

static CURLM *make_multi(struct tael_curl_group *group)
{
    const struct tael_curl_library *curl = group->curl;
    CURLM *multi = curl->multi_init();
    if (multi == NULL)
        return NULL;
    curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, group);
    curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl->multi_setopt(multi, CURLMOPT_TIMERDATA, group);
    curl->multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)TAEL_HTTP_REUSE_MAX);
    return multi;
}

tael_status tael_curl_group_ready(struct tael_curl_group *group)
{
    struct tael_curl_client *client = (struct tael_curl_client *)group->base.client;
    tael_status status = TAEL_OK;
    if (group->multi != NULL)
        return TAEL_OK;
    if (client->curl.multi_init == NULL)
        status = tael_curl_library_open(&client->curl, client->missing, sizeof(client->missing));
    if (status != TAEL_OK)
        return status;
    group->multi = make_multi(group);
    return group->multi != NULL ? TAEL_OK : TAEL_ENOMEM;
}

void tael_curl_group_free(struct tael_http_group *base)
{
    struct tael_curl_group *group = (struct tael_curl_group *)base;
    if (group->multi != NULL) /* closes connections: on_socket comes once more for each */
        group->curl->multi_cleanup(group->multi);
    uv_close((uv_handle_t *)group->timer, on_timer_closed);
    free(group);
}
