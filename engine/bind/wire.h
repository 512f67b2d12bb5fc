/* wire.h - what a worker and a script's process say to each other: messages of at most 4 MiB, each
 * with its length in front. A generation is told before the first ask that needs it, and not
 * answered. An ask, and what is given to a call that waits, is followed by one answer or effect,
 * with the ask's number; that a call is cancelled is told and not answered.
 *
 * Both are of one build on one machine, so numbers are as they lie in memory. Reading trusts
 * nothing: who writes may have been taken over by a script. Any thread.
 */
#ifndef TAEL_BIND_WIRE_H
#define TAEL_BIND_WIRE_H

#include "bind/ask.h"

enum {
    TAEL_WIRE_MAX = 4 * 1024 * 1024, /* bytes of a message behind its length */
    TAEL_WIRE_GENERATIONS = 4, /* told last, that a process still knows; a ring on both sides */
    TAEL_WIRE_STACK = 8 * 1024 * 1024, /* bytes that a script's process must be able to have */
    TAEL_WIRE_FAULT_MAX = 1024,        /* bytes of a sentence that says why not */
};

enum tael_wire_kind {
    TAEL_WIRE_GENERATION = 1,
    TAEL_WIRE_ASK,
    TAEL_WIRE_GIVEN,
    TAEL_WIRE_CANCEL,
    TAEL_WIRE_ANSWER, /* the process says it, as what follows */
    TAEL_WIRE_EFFECT,
};

/* Appends one message. TAEL_ELIMIT: it is larger than a message may be; out is as it was, as with
 * TAEL_ENOMEM. */
tael_status tael_wire_put_generation(struct tael_buf *out, const struct tael_generation *of);
tael_status tael_wire_put_ask(struct tael_buf *out, const struct tael_ask *ask, uint32_t number);
tael_status tael_wire_put_given(struct tael_buf *out, const struct tael_effect_given *given,
                                uint32_t number);
tael_status tael_wire_put_cancel(struct tael_buf *out, uint32_t number);
tael_status tael_wire_put_answer(struct tael_buf *out, const struct tael_ask *ask, uint32_t number);
tael_status tael_wire_put_effect(struct tael_buf *out, const struct tael_ask *ask, uint32_t number);

enum tael_wire_state {
    TAEL_WIRE_WHOLE,
    TAEL_WIRE_PART,     /* more has to come */
    TAEL_WIRE_NONSENSE, /* longer than any message, or of no kind */
};
/* Takes the first message of what has arrived: its kind and what belongs to it. */
enum tael_wire_state tael_wire_take(struct tael_cursor *from, enum tael_wire_kind *kind,
                                    struct tael_span *body);

/* What they give lies in body; files are allocated, the caller's. TAEL_EINVAL: not so written. */
tael_status tael_wire_read_generation(struct tael_span body, struct tael_generation *out);
/* Sets key instead of a generation. */
tael_status tael_wire_read_ask(struct tael_span body, struct tael_ask *ask, struct tael_span *key,
                               uint32_t *number);
tael_status tael_wire_read_given(struct tael_span body, struct tael_effect_given *given,
                                 uint32_t *number);
tael_status tael_wire_read_cancel(struct tael_span body, uint32_t *number);
/* Sets effect and out of the ask that was put; its arguments are still to be read as plain data.
 * TAEL_EINVAL: none of its generation's; TAEL_ENOMEM. */
tael_status tael_wire_read_effect(struct tael_span body, struct tael_ask *ask, uint32_t number);
/* Sets ends, results and out of the ask that was put, whose results are still to be read as plain
 * data. TAEL_EINVAL: no answer to it; TAEL_ENOMEM. */
tael_status tael_wire_read_answer(struct tael_span body, struct tael_ask *ask, uint32_t number);

#endif
