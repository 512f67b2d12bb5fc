/* handover.h - one tael serve takes over from another: the words that the two processes exchange.
 *
 * The old one listens at a unix socket of mode 0600 in the data folder (SOCK_SEQPACKET; only a peer
 * of the same user is heard). Each message is a line, some with a descriptor:
 *
 *   new: takeover 1            its configuration is read and right
 *   old: draining MS           answers what is under way, at most so long; or: refused WHY
 *   old: socket NAME ADDRESS   + fd: each listening socket, this one ("takeover") included
 *   old: lock                  + fd: its store is closed, the new one may write from here on
 *   new: serving               the old one ends
 *
 * Whoever falls silent is gone: the end of the connection is the end of the process, or of its
 * wish. The old one goes on serving when the new one ends before it has said "serving"; a new one
 * closes its store before it closes the connection. Threads: taking is the main thread's; a
 * handover has a thread that waits for a successor, the rest is the main thread's.
 */
#ifndef TAEL_HANDOVER_H
#define TAEL_HANDOVER_H

#include "engine.h"
#include "signals.h"

/* ---- the new process ---- */

struct tael_taking {
    const atomic_bool *stop; /* true ends the waiting */
    int connection;          /* to the old engine; -1: there is none */
};

/* tael_engine_setup.inherit; user is a struct tael_taking. Nobody there, or it died in between: the
 * legacy has no lock, which is then taken like at any start. */
tael_status tael_taking_inherit(void *user, const struct tael_plan *plan,
                                struct tael_legacy *legacy, tael_error *err);
bool tael_taking_found(const struct tael_taking *taking);
/* The engine serves: the old one may end. */
void tael_taking_done(struct tael_taking *taking);
/* The engine is closed, or has never been: the old one goes on. No effect after done. */
void tael_taking_drop(struct tael_taking *taking);

/* ---- the old process ---- */

struct tael_handover;

/* Begins to wait for a successor of the running engine, which lets go of what it has inherited
 * itself; *out stays NULL when its plan has none. */
tael_status tael_handover_open(struct tael_handover **out, tael_engine *engine);
/* Waits no more. true: a successor has come, and has stopped the engine. */
bool tael_handover_came(struct tael_handover *handover);

enum tael_handover_end {
    TAEL_HANDOVER_DONE,   /* it serves */
    TAEL_HANDOVER_FAILED, /* it is gone: to be resumed */
};

/* After tael_engine_run: pauses the engine and gives all away. */
enum tael_handover_end tael_handover_give(struct tael_handover *handover,
                                          const struct tael_signals *signals);
/* Waits again, after the engine was resumed. */
tael_status tael_handover_again(struct tael_handover *handover);
void tael_handover_close(struct tael_handover *handover); /* NULL allowed */

#endif
