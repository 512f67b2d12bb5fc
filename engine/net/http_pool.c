/* http_pool.c - which exchanges may be under way, and which connections they may use.
 *
 * A group is a set of connections, a pool a set of exchanges with one limit. A call with a pool's
 * name has both for its own; the others share two groups, public and any, with a pool a host. Pools
 * go when they are empty, groups when they have been without a pool for as long as connections are
 * used again; that is looked at whenever a call starts.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/http_client_parts.h"

/* ---- groups ---- */

static bool is_public(const struct tael_http_client *client, const struct tael_http_call *call)
{
    if (call->unix_path != NULL)
        return false;
    return !client->options.allow_private || call->addresses == TAEL_HTTP_ADDRESSES_PUBLIC;
}

void tael_http_group_destroy(struct tael_http_group *group)
{
    assert(group->pools == NULL);
    struct tael_http_client *client = group->client;
    struct tael_http_group **at = &client->groups;
    while (*at != group)
        at = &(*at)->next;
    *at = group->next;
    free(group->name);
    client->ops->group_free(group);
}

static void destroy_idle(struct tael_http_client *client)
{
    int64_t oldest = tael_mono_us(client->loop->world) - (int64_t)TAEL_HTTP_REUSE_MS * 1000;
    struct tael_http_group *group = client->groups;
    while (group != NULL) {
        struct tael_http_group *next = group->next;
        if (group->pools == NULL && !group->busy && group->idle_since_us < oldest)
            tael_http_group_destroy(group);
        group = next;
    }
}

static tael_status group_new(struct tael_http_client *client, const char *name, bool public,
                             struct tael_http_group **out)
{
    struct tael_http_group *group = NULL;
    char *copy = strdup(name);
    tael_status status = copy != NULL ? client->ops->group_new(client, &group) : TAEL_ENOMEM;
    if (status != TAEL_OK) {
        free(copy);
        return status;
    }
    group->client = client;
    group->name = copy;
    group->public = public;
    group->next = client->groups;
    client->groups = group;
    *out = group;
    return TAEL_OK;
}

static tael_status find_group(struct tael_http_client *client, const char *name, bool public,
                              struct tael_http_group **out)
{
    for (struct tael_http_group *at = client->groups; at != NULL; at = at->next) {
        if (at->public == public && strcmp(at->name, name) == 0) {
            *out = at;
            return TAEL_OK;
        }
    }
    return group_new(client, name, public, out);
}

/* ---- pools ---- */

static void make_key(struct tael_buf *out, const struct tael_http_call *call,
                     const struct tael_url_host *host, tael_status *status)
{
    if (call->pool != NULL)
        *status = tael_buf_append_char(out, '\0');
    else if (call->unix_path != NULL)
        *status = tael_buf_printf(out, "unix:%s%c", call->unix_path, '\0');
    else
        *status = tael_buf_printf(out, "%s:%d%c", host->name, host->port, '\0');
}

static struct tael_http_pool *pool_new(struct tael_http_group *group, const struct tael_buf *key)
{
    struct tael_http_pool *pool = calloc(1, sizeof(*pool) + key->len);
    if (pool == NULL)
        return NULL;
    memcpy(pool->key, key->data, key->len);
    pool->group = group;
    pool->next = group->pools;
    pool->place = &group->pools;
    if (pool->next != NULL)
        pool->next->place = &pool->next;
    group->pools = pool;
    return pool;
}

tael_status tael_http_pool_find(struct tael_http_client *client, const struct tael_http_call *call,
                                const struct tael_url_host *host, struct tael_http_pool **out)
{
    struct tael_http_group *group = NULL;
    struct tael_buf key = {0};
    tael_status status = TAEL_OK;
    destroy_idle(client);
    make_key(&key, call, host, &status);
    if (status == TAEL_OK)
        status = find_group(client, call->pool != NULL ? call->pool : "", is_public(client, call),
                            &group);
    if (status != TAEL_OK)
        goto free_key;
    *out = group->pools;
    while (*out != NULL && strcmp((*out)->key, key.data) != 0)
        *out = (*out)->next;
    if (*out == NULL)
        *out = pool_new(group, &key);
    if (*out == NULL)
        status = TAEL_ENOMEM;
free_key:
    tael_buf_free(&key);
    return status;
}

void tael_http_pool_settle(struct tael_http_pool *pool)
{
    struct tael_http_group *group = pool->group;
    if (pool->running != NULL || pool->waiting != NULL)
        return;
    assert(pool->running_count == 0);
    *pool->place = pool->next;
    if (pool->next != NULL)
        pool->next->place = pool->place;
    free(pool);
    if (group->pools == NULL)
        group->idle_since_us = tael_mono_us(group->client->loop->world);
}

/* ---- exchanges ---- */

static void link_exchange(struct tael_http_exchange **place, struct tael_http_exchange *exchange)
{
    exchange->next = *place;
    exchange->place = place;
    if (exchange->next != NULL)
        exchange->next->place = &exchange->next;
    *place = exchange;
}

static void unlink_exchange(struct tael_http_exchange *exchange)
{
    *exchange->place = exchange->next;
    if (exchange->next != NULL)
        exchange->next->place = exchange->place;
}

/* It is in no list. */
static tael_status begin(struct tael_http_exchange *exchange)
{
    struct tael_http_client *client = exchange->client;
    struct tael_http_pool *pool = exchange->pool;
    assert(!exchange->begun && pool->running_count < client->options.per_pool);
    link_exchange(&pool->running, exchange);
    pool->running_count++;
    exchange->begun = true;
    exchange->connect_by_us = tael_mono_us(client->loop->world) + exchange->connect_ms * 1000;
    return client->ops->begin(exchange);
}

static void begin_waiting(struct tael_http_pool *pool)
{
    const struct tael_http_client *client = pool->group->client;
    struct tael_http_exchange *exchange = pool->waiting;
    while (exchange != NULL && !client->freed && pool->running_count < client->options.per_pool) {
        struct tael_http_exchange *next = exchange->next;
        if (!exchange->over) {
            unlink_exchange(exchange);
            if (begin(exchange) != TAEL_OK)
                tael_http_exchange_fail(exchange, TAEL_HTTP_CONNECT, "out of memory");
        }
        exchange = next;
    }
}

tael_status tael_http_pool_enter(struct tael_http_pool *pool, struct tael_http_exchange *exchange)
{
    struct tael_http_exchange **end = &pool->waiting;
    if (!exchange->over && pool->waiting == NULL &&
        pool->running_count < pool->group->client->options.per_pool) {
        tael_status status = begin(exchange);
        if (status != TAEL_OK) {
            unlink_exchange(exchange);
            pool->running_count--;
        }
        return status;
    }
    while (*end != NULL)
        end = &(*end)->next;
    link_exchange(end, exchange);
    tael_http_exchange_wait(exchange, false);
    return TAEL_OK;
}

void tael_http_pool_leave(struct tael_http_exchange *exchange)
{
    struct tael_http_pool *pool = exchange->pool;
    unlink_exchange(exchange);
    assert(!exchange->begun || pool->running_count > 0);
    if (exchange->begun)
        pool->running_count--;
    begin_waiting(pool);
    tael_http_pool_settle(pool);
}
