/* world_uv.c - the real world: the system's clocks and random generator, and the table of its
 * loops.
 *
 * The world has no state: loops (loop_uv.c), streams (stream_uv.c) and listeners (listen_uv.c)
 * stand on their own. Everything here may be called from any thread.
 */
#include "net/world_uv.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <sys/random.h>

#include "net/loop_uv.h"

const struct tael_loop_ops tael_uv_loop_ops = {
    .run = tael_uv_loop_run,
    .stop = tael_uv_loop_stop,
    .free = tael_uv_loop_free,
    .post = tael_uv_post,
    .take = tael_uv_take,
    .timer_new = tael_uv_timer_new,
    .timer_start = tael_uv_timer_start,
    .timer_stop = tael_uv_timer_stop,
    .timer_free = tael_uv_timer_free,
    .listen = tael_uv_listen,
    .listener_address = tael_uv_listener_address,
    .listener_retire = tael_uv_listener_retire,
    .listener_share = tael_uv_listener_share,
    .listener_close = tael_uv_listener_close,
    .connect = tael_uv_connect,
    .stream_start = tael_uv_stream_start,
    .stream_read = tael_uv_stream_read,
    .stream_write = tael_uv_stream_write,
    .stream_queued = tael_uv_stream_queued,
    .stream_peer = tael_uv_stream_peer,
    .stream_close = tael_uv_stream_close,
    .spawn = tael_uv_spawn,
    .child_used_us = tael_uv_child_used_us,
    .child_turn = tael_uv_child_turn,
    .child_end = tael_uv_child_end,
};

static int64_t now_ms(struct tael_world *world)
{
    (void)world;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t tael_uv_mono_us(struct tael_world *world)
{
    (void)world;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static tael_status random_bytes(struct tael_world *world, void *out, size_t len)
{
    (void)world;
    char *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return TAEL_EINTERNAL;
        at += got;
        len -= (size_t)got;
    }
    return TAEL_OK;
}

static void world_free(struct tael_world *world)
{
    free(world);
}

static const struct tael_world_ops world_ops = {
    .now_ms = now_ms,
    .mono_us = tael_uv_mono_us,
    .random = random_bytes,
    .loop_new = tael_uv_loop_new,
    .free = world_free,
};

tael_status tael_world_uv_new(struct tael_world **out)
{
    struct tael_world *world = calloc(1, sizeof(*world));
    if (world == NULL)
        return TAEL_ENOMEM;
    world->ops = &world_ops;
    *out = world;
    return TAEL_OK;
}

void *tael_loop_uv(struct tael_loop *loop)
{
    return loop->ops == &tael_uv_loop_ops ? &((struct tael_uv_loop *)loop)->uv : NULL;
}
