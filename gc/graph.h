/* gc/graph.h - what is reachable, numbered: the copy of the object graph that paths, retained sizes,
 * dominators and snapshots work on.
 *
 * Invariant (hg_graph_check): node[0 .. count) are the objects reached so far, each once, in breadth-first
 * order; those below `rooted` are held by roots; number[] says where each is; parent[p] < p says by which
 * it was reached first. So the chain of parents is a shortest path. Cells are counted through per block,
 * so that finding an object's number takes three reads and no search, and nothing is kept in the
 * heap. All memory is the looking thread's own and goes with hg_graph_free; a heap of n cells needs 16 n
 * bytes at most, of which only what is used is touched.
 *
 * Weak slots are not followed. The value of an ephemeron is entered once both it and its key are: an
 * ephemeron that is met before its key waits in a list of the key, which is looked at when the key's own
 * slots are, so that all of it takes linear time. World stopped, heap->lock held. */
#ifndef HEARTH_GC_GRAPH_H
#define HEARTH_GC_GRAPH_H

#include "gc/inspect.h"
#include "gc/rootset.h"

#define HG_BARRED    UINT32_MAX /* number of an object that is not to be entered */
#define HG_NO_PARENT UINT32_MAX /* reached from a root                           */

/* Numbers of all cells and large objects, allocated or not. */
struct hg_index {
    const struct ha_windows *windows;
    uint32_t *chunk;    /* by slot of the windows: 1 + ordinal of the chunk           */
    uint32_t *first;    /* by ordinal and block: number of the block's first cell     */
    size_t chunk_bytes; /* of the table `chunk`, which is a map                       */
    uint32_t chunks;    /* ordinals given                                             */
    uint64_t cells;     /* numbers given                                              */
};

/* An ephemeron that waits for its key. */
struct hg_wait {
    uint32_t position; /* of the ephemeron                */
    uint32_t next;     /* 1 + the next with this key, 0: none */
};

struct hg_graph {
    hearth_heap *heap;
    struct hg_index index;
    uint32_t *number;     /* by cell: 1 + position in `node`; 0: not reached            */
    uintptr_t *node;      /* by position: the object                                    */
    uint32_t *parent;     /* by position: position of what it was reached from          */
    size_t count;         /* objects reached                                            */
    size_t rooted;        /* of them, by roots                                          */
    size_t next;          /* the first whose slots have not been visited                */
    struct hg_root *root; /* every root that holds an object, in order                  */
    size_t roots, root_capacity;
    uint32_t *waiting;    /* by cell of a key: 1 + the first of its ephemerons in `wait` */
    struct hg_wait *wait; /* NULL with `waiting`: none has waited                        */
    size_t waits, wait_capacity;
    bool failed; /* no memory for the list of roots, or of what waits          */
};

/* An empty graph of the heap as it is now; ENOMEM. Freed in any case by hg_graph_free. */
hearth_status hg_graph_init(struct hg_graph *graph, hearth_heap *heap, const char *call);
void hg_graph_free(struct hg_graph *graph);
/* Enter what the roots hold; keeps the roots. */
hearth_status hg_graph_roots(struct hg_graph *graph, const char *call);
/* Enter one object, if it is not there and not barred. */
void hg_graph_enter(struct hg_graph *graph, uintptr_t object, uint32_t parent);
/* Follow references until there are no more, or `until` (not 0) has been entered. ENOMEM with ephemerons. */
hearth_status hg_graph_follow(struct hg_graph *graph, uintptr_t until, const char *call);
hearth_status hg_graph_check(const struct hg_graph *graph);

/* The cell's number. `object` is an object of the heap. */
static inline uint32_t hg_index_of(const struct hg_index *index, uintptr_t object)
{
    uint32_t ordinal = index->chunk[(object - index->windows->base) >> HA_CHUNK_SHIFT] - 1;
    const struct ha_block *block = ha_block_of(object);
    uint32_t first = index->first[(size_t)ordinal * HA_CHUNK_BLOCKS + ha_block_index(object)];
    if (block->state == HA_LARGE)
        return first;
    uintptr_t offset = object - (uintptr_t)ha_block_start(block);
    return first + (uint32_t)(((offset - HEARTH_HEADER) * block->reciprocal) >> 32);
}

static inline uint32_t *hg_graph_number(const struct hg_graph *graph, uintptr_t object)
{
    return &graph->number[hg_index_of(&graph->index, object)];
}

/* Is it an address of the heap that was reached? Its position then. */
static inline bool hg_graph_find(const struct hg_graph *graph, uintptr_t address,
                                 uint32_t *position)
{
    if (!ha_windows_contain(graph->index.windows, address))
        return false;
    uint32_t number = *hg_graph_number(graph, address);
    *position = number - 1;
    return number != 0 && number != HG_BARRED;
}

#endif
