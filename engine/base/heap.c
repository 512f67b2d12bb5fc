/* heap.c - binary heap in an array of pointers. Every node knows its place, so that removal is
 * O(log n). */
#include "base/heap.h"

#include <assert.h>
#include <stdlib.h>

static bool before(const struct tael_heap_node *a, const struct tael_heap_node *b)
{
    if (a->at != b->at)
        return a->at < b->at;
    if (a->tie != b->tie)
        return a->tie < b->tie;
    return a->seq < b->seq;
}

static void put(struct tael_heap *heap, size_t idx, struct tael_heap_node *node)
{
    heap->nodes[idx] = node;
    node->place = idx + 1;
}

static void sift_up(struct tael_heap *heap, size_t idx, struct tael_heap_node *node)
{
    while (idx > 0 && before(node, heap->nodes[(idx - 1) / 2])) {
        put(heap, idx, heap->nodes[(idx - 1) / 2]);
        idx = (idx - 1) / 2;
    }
    put(heap, idx, node);
}

static void sift_down(struct tael_heap *heap, size_t idx, struct tael_heap_node *node)
{
    for (;;) {
        size_t child = idx * 2 + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!before(heap->nodes[child], node))
            break;
        put(heap, idx, heap->nodes[child]);
        idx = child;
    }
    put(heap, idx, node);
}

tael_status tael_heap_reserve(struct tael_heap *heap, size_t nodes)
{
    size_t need = heap->reserved + nodes;
    if (need > heap->cap) {
        size_t cap = heap->cap < 32 ? 32 : heap->cap * 2;
        if (cap < need)
            cap = need;
        struct tael_heap_node **grown = realloc(heap->nodes, cap * sizeof(struct tael_heap_node *));
        if (grown == NULL)
            return TAEL_ENOMEM;
        heap->nodes = grown;
        heap->cap = cap;
    }
    heap->reserved = need;
    return TAEL_OK;
}

void tael_heap_unreserve(struct tael_heap *heap, size_t nodes)
{
    assert(heap->reserved >= nodes && heap->count <= heap->reserved - nodes);
    heap->reserved -= nodes;
}

void tael_heap_push(struct tael_heap *heap, struct tael_heap_node *node)
{
    assert(node->place == 0 && heap->count < heap->reserved);
    sift_up(heap, heap->count++, node);
}

void tael_heap_moved(struct tael_heap *heap, struct tael_heap_node *node)
{
    assert(node->place > 0 && heap->nodes[node->place - 1] == node);
    size_t idx = node->place - 1;
    if (idx > 0 && before(node, heap->nodes[(idx - 1) / 2]))
        sift_up(heap, idx, node);
    else
        sift_down(heap, idx, node);
}

void tael_heap_remove(struct tael_heap *heap, struct tael_heap_node *node)
{
    if (node->place == 0)
        return;
    assert(heap->nodes[node->place - 1] == node);
    size_t idx = node->place - 1;
    node->place = 0;
    struct tael_heap_node *last = heap->nodes[--heap->count];
    if (last == node)
        return;
    put(heap, idx, last);
    tael_heap_moved(heap, last);
}

void tael_heap_free(struct tael_heap *heap)
{
    free(heap->nodes);
    *heap = (struct tael_heap){0};
}
