/* gc/graph.c - numbering what is reachable, breadth first. See graph.h for the invariant.
 *
 * No recursion: the array of reached objects is the queue. Nothing of the heap is written. World stopped;
 * plain memory of the looking thread. */
#include "gc/graph.h"

#include <string.h>

#include "topology/error.h"
#include "topology/os.h"

/* --- numbering cells ------------------------------------------------------------------------------------ */

/* Where the block's first number is kept; its chunk gets an ordinal if it has none. */
static uint32_t *hg_index_first(struct hg_index *index, const struct ha_block *block)
{
    uintptr_t chunk = ha_chunk_base((uintptr_t)block);
    uint32_t *ordinal = &index->chunk[(chunk - index->windows->base) >> HA_CHUNK_SHIFT];
    if (*ordinal == 0)
        *ordinal = ++index->chunks;
    return &index->first[(size_t)(*ordinal - 1) * HA_CHUNK_BLOCKS + ha_block_number(block)];
}

static void hg_index_block(struct hg_index *index, const struct ha_block *block, uint32_t cells)
{
    *hg_index_first(index, block) = (uint32_t)index->cells;
    index->cells += cells;
}

static void hg_index_pool(struct hg_index *index, struct ha_pool *pool)
{
    for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next)
        for (unsigned b = HA_HEAD_BLOCKS; b < HA_CHUNK_BLOCKS; b++) {
            const struct ha_block *block = ha_block_at(chunk, b);
            if (hg_block_has_cells(block))
                hg_index_block(index, block, block->cells);
        }
    for (const struct ha_block *b = pool->large_young.head; b != NULL; b = b->next)
        hg_index_block(index, b, 1);
    for (const struct ha_block *b = pool->large_old.head; b != NULL; b = b->next)
        hg_index_block(index, b, 1);
}

/* No fewer than the chunks that hold anything. */
static size_t hg_count_chunks(const hearth_heap *heap)
{
    size_t count = 0;
    for (int n = 0; n < heap->space.nodes; n++) {
        const struct ha_pool *pool = heap->space.pool[n];
        for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next)
            count++;
        for (const struct ha_block *b = pool->large_young.head; b != NULL; b = b->next)
            count++;
        for (const struct ha_block *b = pool->large_old.head; b != NULL; b = b->next)
            count++;
    }
    return count;
}

static bool hg_index_init(struct hg_index *index, const hearth_heap *heap)
{
    *index = (struct hg_index){.windows = heap->space.windows};
    index->chunk_bytes = ((index->windows->bytes >> HA_CHUNK_SHIFT) + 1) * sizeof *index->chunk;
    index->chunk = ht_os_map(index->chunk_bytes, true);
    index->first =
        ht_os_alloc((hg_count_chunks(heap) + 1) * HA_CHUNK_BLOCKS * sizeof *index->first);
    if (index->chunk == NULL || index->first == NULL)
        return false;
    for (int n = 0; n < heap->space.nodes; n++)
        hg_index_pool(index, heap->space.pool[n]);
    return true;
}

static void hg_index_free(struct hg_index *index)
{
    ht_os_unmap(index->chunk, index->chunk_bytes);
    ht_os_free(index->first);
}

/* --- the graph -------------------------------------------------------------------------------------------- */

static size_t hg_graph_bytes(const struct hg_graph *graph, size_t each)
{
    return (graph->index.cells + 1) * each;
}

hearth_status hg_graph_init(struct hg_graph *graph, hearth_heap *heap, const char *call)
{
    memset(graph, 0, sizeof *graph);
    graph->heap = heap;
    if (!hg_index_init(&graph->index, heap))
        return ht_fail(HEARTH_ENOMEM, "%s: no memory to number %zu blocks", call, heap->space.used);
    if (graph->index.cells >= HG_BARRED - 1)
        return ht_fail(HEARTH_ENOMEM, "%s: %llu cells are more than can be numbered", call,
                       (unsigned long long)graph->index.cells);
    graph->number = ht_os_map(hg_graph_bytes(graph, sizeof *graph->number), true);
    graph->node = ht_os_map(hg_graph_bytes(graph, sizeof *graph->node), true);
    graph->parent = ht_os_map(hg_graph_bytes(graph, sizeof *graph->parent), true);
    if (graph->number == NULL || graph->node == NULL || graph->parent == NULL)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for a graph of %llu cells", call,
                       (unsigned long long)graph->index.cells);
    return HEARTH_OK;
}

void hg_graph_free(struct hg_graph *graph)
{
    ht_os_unmap(graph->number, hg_graph_bytes(graph, sizeof *graph->number));
    ht_os_unmap(graph->node, hg_graph_bytes(graph, sizeof *graph->node));
    ht_os_unmap(graph->parent, hg_graph_bytes(graph, sizeof *graph->parent));
    ht_os_unmap(graph->waiting, hg_graph_bytes(graph, sizeof *graph->waiting));
    ht_os_free(graph->wait);
    ht_os_free(graph->root);
    hg_index_free(&graph->index);
}

void hg_graph_enter(struct hg_graph *graph, uintptr_t object, uint32_t parent)
{
    uint32_t *number = hg_graph_number(graph, object);
    if (*number != 0)
        return;
    graph->node[graph->count] = object;
    graph->parent[graph->count] = parent;
    *number = (uint32_t)++graph->count;
}

static void hg_graph_root(void *data, const struct hg_root *root)
{
    struct hg_graph *graph = data;
    if (graph->roots == graph->root_capacity && !graph->failed) {
        size_t capacity = graph->root_capacity * 2 + 64;
        struct hg_root *grown = ht_os_realloc(graph->root, capacity * sizeof *grown);
        graph->failed = grown == NULL;
        if (grown != NULL) {
            graph->root = grown;
            graph->root_capacity = capacity;
        }
    }
    if (graph->failed)
        return;
    graph->root[graph->roots++] = *root;
    hg_graph_enter(graph, root->object, HG_NO_PARENT);
}

hearth_status hg_graph_roots(struct hg_graph *graph, const char *call)
{
    hg_each_root(graph->heap, hg_graph_root, graph);
    graph->rooted = graph->count;
    if (graph->failed)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for a list of more than %zu roots", call,
                       graph->roots);
    return HEARTH_OK;
}

struct hg_graph_visitor {
    hearth_visitor visitor; /* first */
    struct hg_graph *graph;
};

static inline void hg_graph_reference(struct hg_graph *graph, void *const *slot, uint32_t parent)
{
    uintptr_t to = (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED);
    if (ha_windows_contain(graph->index.windows, to))
        hg_graph_enter(graph, to, parent);
}

static void hg_graph_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_graph *graph = ((struct hg_graph_visitor *)visitor)->graph;
    hg_graph_reference(graph, slot, (uint32_t)(graph->next - 1));
}

/* --- ephemerons --------------------------------------------------------------------------------------------- */

static bool hg_graph_wait_room(struct hg_graph *graph)
{
    if (graph->waiting == NULL)
        graph->waiting = ht_os_map(hg_graph_bytes(graph, sizeof *graph->waiting), true);
    if (graph->waits == graph->wait_capacity && graph->waiting != NULL) {
        size_t capacity = graph->wait_capacity * 2 + 64;
        struct hg_wait *grown = ht_os_realloc(graph->wait, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        graph->wait = grown;
        graph->wait_capacity = capacity;
    }
    return graph->waiting != NULL;
}

/* The ephemeron at `position` waits until its key is reached. */
static void hg_graph_wait(struct hg_graph *graph, uint32_t position, uintptr_t key)
{
    if (!hg_graph_wait_room(graph)) {
        graph->failed = true;
        return;
    }
    uint32_t *first = &graph->waiting[hg_index_of(&graph->index, key)];
    graph->wait[graph->waits] = (struct hg_wait){position, *first};
    *first = (uint32_t)++graph->waits;
}

/* Enter the values of the ephemerons that have waited for this key. */
static void hg_graph_wake(struct hg_graph *graph, uintptr_t key)
{
    uint32_t *first = &graph->waiting[hg_index_of(&graph->index, key)];
    for (uint32_t w = *first; w != 0; w = graph->wait[w - 1].next) {
        uint32_t position = graph->wait[w - 1].position;
        hg_graph_reference(graph, &((struct hg_cell *)graph->node[position])->other, position);
    }
    *first = 0;
}

#define HG_ENTER(slot) hg_graph_reference(graph, slot, (uint32_t)(graph->next - 1))

static void hg_graph_ephemeron(struct hg_graph *graph, uintptr_t object, const struct hg_type *type)
{
    struct hg_cell *cell = (struct hg_cell *)object;
    uintptr_t key = (uintptr_t)cell->weak;
    uint32_t position;
    HG_EACH_BIT(type->bitmap, object, HG_ENTER);
    if (key == 0)
        return;
    if (!ha_windows_contain(graph->index.windows, key) || hg_graph_find(graph, key, &position))
        HG_ENTER(&cell->other);
    else
        hg_graph_wait(graph, (uint32_t)(graph->next - 1), key);
}

/* --- following ----------------------------------------------------------------------------------------------- */

hearth_status hg_graph_follow(struct hg_graph *graph, uintptr_t until, const char *call)
{
    struct hg_graph_visitor visitor = {{hg_graph_slot}, graph};
    const uint32_t *found = until != 0 ? hg_graph_number(graph, until) : NULL;
    while (graph->next < graph->count && (found == NULL || *found == 0)) {
        uintptr_t object = graph->node[graph->next++];
        if (graph->waiting != NULL)
            hg_graph_wake(graph, object);
        if (ha_block_of(object)->kind == HA_LEAF)
            continue;
        const struct hg_type *type = hg_type_row(graph->heap, object);
        if (type->tier == HG_TIER_EPHEMERON)
            hg_graph_ephemeron(graph, object, type);
        else
            hg_visit_object(graph->heap, object, &visitor.visitor);
    }
    if (graph->failed)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for %zu ephemerons", call, graph->waits + 1);
    return HEARTH_OK;
}

hearth_status hg_graph_check(const struct hg_graph *graph)
{
    for (size_t p = 0; p < graph->count; p++) {
        uintptr_t object = graph->node[p];
        if (ha_space_find(&graph->heap->space, object) != object)
            return ht_fail(HEARTH_ECORRUPT, "graph: node %zu, %p, is no object", p, (void *)object);
        if (*hg_graph_number(graph, object) != p + 1)
            return ht_fail(HEARTH_ECORRUPT, "graph: node %zu has the number %u", p,
                           *hg_graph_number(graph, object));
        uint32_t parent = graph->parent[p];
        if (p < graph->rooted ? parent != HG_NO_PARENT : parent != HG_NO_PARENT && parent >= p)
            return ht_fail(HEARTH_ECORRUPT, "graph: node %zu has the parent %u", p, parent);
    }
    for (size_t i = 0; i < graph->roots; i++) {
        uint32_t number = *hg_graph_number(graph, graph->root[i].object);
        if (number != HG_BARRED && (number == 0 || number > graph->count))
            return ht_fail(HEARTH_ECORRUPT, "graph: root %zu has the number %u", i, number);
    }
    return HEARTH_OK;
}
