/* log_ring.h - log lines to a file descriptor, by a thread of its own: whoever logs never waits.
 *
 * A reader that does not read (a full pipe, a stopped terminal) costs lines, never time: what does
 * not fit into the ring is dropped and counted, and a line log.dropped says how many when there is
 * room again. Lines stay whole and in order. [any thread]
 */
#ifndef TAEL_BASE_LOG_RING_H
#define TAEL_BASE_LOG_RING_H

#include "tael.h"

#include "base/bytes.h"

struct tael_log_ring;

/* The descriptor stays the caller's. size: bytes held back; 0: 1 MiB. */
tael_status tael_log_ring_new(struct tael_log_ring **out, int fd, size_t size);
/* As tael_options.log; user: the ring. */
void tael_log_ring_write(void *user, tael_log_level level, const char *line, size_t len);
/* Waits for what is in it as long as the reader goes on reading. NULL allowed. */
void tael_log_ring_free(struct tael_log_ring *ring);

#endif
