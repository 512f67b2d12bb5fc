/* world_uv.h - the real world: libuv loops, the system's clocks and random generator. */
#ifndef TAEL_NET_WORLD_UV_H
#define TAEL_NET_WORLD_UV_H

#include "base/world.h"

tael_status tael_world_uv_new(struct tael_world **out);

/* The uv_loop_t of a loop made by this world, for what stands on libuv itself (http_client.c).
 * Returned as void * so that this header needs no other. */
void *tael_loop_uv(struct tael_loop *loop);

#endif
