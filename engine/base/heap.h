/* heap.h - a priority queue of nodes that live inside their owners; both worlds keep their time in
 * it.
 *
 * Order: (at, tie, seq), least first. seq is given by the owner and differs for every node in one
 * heap, so that the order is total and never depends on addresses. The heap holds pointers only.
 * Room is reserved when an owner is made (tael_heap_reserve), so that pushing cannot fail.
 */
#ifndef TAEL_BASE_HEAP_H
#define TAEL_BASE_HEAP_H

#include "tael.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tael_heap_node {
    int64_t at;
    uint64_t tie, seq;
    size_t place; /* 1-based; 0: not in a heap */
};

struct tael_heap { /* all zero: empty */
    struct tael_heap_node **nodes;
    size_t count, cap;
    size_t reserved; /* nodes that may be in it at once */
};

tael_status tael_heap_reserve(struct tael_heap *heap, size_t nodes); /* room for so many more */
void tael_heap_unreserve(struct tael_heap *heap, size_t nodes);
void tael_heap_push(struct tael_heap *heap, struct tael_heap_node *node); /* not in a heap */
void tael_heap_remove(struct tael_heap *heap,
                      struct tael_heap_node *node); /* not in it: no effect */
void tael_heap_moved(struct tael_heap *heap, struct tael_heap_node *node); /* its key has changed */
void tael_heap_free(struct tael_heap *heap);                               /* the array only */

static inline struct tael_heap_node *tael_heap_first(const struct tael_heap *heap) /* NULL: empty */
{
    return heap->count > 0 ? heap->nodes[0] : NULL;
}

#endif
