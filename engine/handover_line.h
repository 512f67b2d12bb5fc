/* handover_line.h - single messages between the two processes of a handover: a line, and with it
 * one descriptor or none. Shared by handover_take.c and handover_give.c alone.
 */
#ifndef TAEL_HANDOVER_LINE_H
#define TAEL_HANDOVER_LINE_H

#include "tael.h"

#include <stdatomic.h>
#include <stdbool.h>

#include <sys/types.h>

enum { TAEL_HANDOVER_LINE = 256 };

#define TAEL_HANDOVER_HELLO "takeover 1" /* the number is the protocol's */
#define TAEL_HANDOVER_NAME  "takeover"   /* the listening socket of the handover itself */

/* fd -1: none; it stays the caller's. */
tael_status tael_handover_say(int connection, const char *line, int fd);
/* Waits at most timeout_ms, less when *stop becomes true (TAEL_ETIMEOUT). TAEL_ECLOSED: the peer is
 * gone. *fd (may be NULL: none is taken) is the caller's, -1: none came. */
tael_status tael_handover_hear(int connection, int64_t timeout_ms, const atomic_bool *stop,
                               char line[TAEL_HANDOVER_LINE], int *fd);

#endif
