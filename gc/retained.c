/* gc/retained.c - what an object keeps alive alone, and which objects keep the most.
 *
 * One object: follow references from the roots without entering it, then from it: what is new then is
 * retained by it. All objects: the sum over each one's subtree of the dominator tree. World
 * stopped, heap->lock held; all memory is the looking thread's. */
#include <stdlib.h>
#include <string.h>

#include "gc/dominators.h"
#include "gc/graph.h"
#include "topology/error.h"
#include "topology/os.h"

static hearth_retained hg_retained_make(hearth_heap *heap, uintptr_t object, uint64_t bytes,
                                        uint64_t objects)
{
    const struct hg_type *type = hg_type_row(heap, object);
    return (hearth_retained){.struct_size = sizeof(hearth_retained),
                             .object = (void *)object,
                             .type = type->handle,
                             .name = type->name != NULL ? type->name : "",
                             .bytes = bytes,
                             .objects = objects};
}

/* --- one object ------------------------------------------------------------------------------------------ */

static hearth_status hg_retained_one(hearth_heap *heap, void *object, hearth_retained *out,
                                     const char *call)
{
    struct hg_graph graph;
    hearth_status status = hg_inspect_objects(heap, &object, 1, call);
    if (status != HEARTH_OK)
        return status;
    status = hg_graph_init(&graph, heap, call);
    if (status == HEARTH_OK) {
        *hg_graph_number(&graph, (uintptr_t)object) = HG_BARRED;
        status = hg_graph_roots(&graph, call);
    }
    if (status == HEARTH_OK)
        status = hg_graph_follow(&graph, 0, call);
    size_t others = graph.count;
    if (status == HEARTH_OK) {
        *hg_graph_number(&graph, (uintptr_t)object) = 0;
        hg_graph_enter(&graph, (uintptr_t)object, HG_NO_PARENT);
        status = hg_graph_follow(&graph, 0, call);
    }
    if (status == HEARTH_OK) {
        uint64_t bytes = 0;
        for (size_t p = others; p < graph.count; p++)
            bytes += hg_footprint(graph.node[p]);
        *out = hg_retained_make(heap, (uintptr_t)object, bytes, graph.count - others);
    }
    hg_graph_free(&graph);
    return status;
}

hearth_status hearth_retained_size(hearth_mutator *mutator, void *object, hearth_retained *out)
{
    const char *call = "hearth_retained_size";
    if (out == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: out is NULL (object %p)", call, object);
    if (out->struct_size != sizeof *out)
        return ht_fail(HEARTH_EINVAL, "hearth_retained.struct_size is %zu, not %zu",
                       out->struct_size, sizeof *out);
    hearth_status status = hg_inspect_begin(mutator, call);
    if (status != HEARTH_OK)
        return status;
    status = hg_retained_one(mutator->heap, object, out, call);
    hg_inspect_end(mutator);
    return status;
}

/* --- the graph as numbers ----------------------------------------------------------------------------------- */

/* Node 0 is the roots, node p + 1 the object at position p. Edges are counted first, then written. */
struct hg_flow_builder {
    hearth_visitor visitor; /* first */
    const struct hg_graph *graph;
    uint32_t *to;   /* NULL: count only */
    uint64_t edges; /* so far           */
};

static void hg_flow_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_flow_builder *builder = (struct hg_flow_builder *)visitor;
    uint32_t position;
    if (!hg_graph_find(builder->graph, (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED),
                       &position))
        return;
    if (builder->to != NULL)
        builder->to[builder->edges] = position + 1;
    builder->edges++;
}

static void hg_flow_edges(struct hg_flow_builder *builder, uint32_t *head)
{
    const struct hg_graph *graph = builder->graph;
    builder->edges = 0;
    if (head != NULL)
        head[0] = 0;
    for (size_t p = 0; p < graph->rooted; p++, builder->edges++)
        if (builder->to != NULL)
            builder->to[builder->edges] = (uint32_t)p + 1;
    for (size_t p = 0; p < graph->count; p++) {
        if (head != NULL)
            head[p + 1] = (uint32_t)builder->edges;
        if (ha_block_of(graph->node[p])->kind != HA_LEAF)
            hg_visit_object(graph->heap, graph->node[p], &builder->visitor);
    }
    if (head != NULL)
        head[graph->count + 1] = (uint32_t)builder->edges;
}

static size_t hg_flow_head_bytes(const struct hg_flowgraph *flow)
{
    return ((size_t)flow->nodes + 1) * sizeof *flow->head;
}

static hearth_status hg_flow_init(struct hg_flowgraph *flow, const struct hg_graph *graph,
                                  uint64_t *edges, const char *call)
{
    struct hg_flow_builder builder = {{hg_flow_slot}, graph, NULL, 0};
    *flow = (struct hg_flowgraph){(uint32_t)graph->count + 1, NULL, NULL};
    hg_flow_edges(&builder, NULL);
    *edges = builder.edges;
    if (*edges < UINT32_MAX) {
        flow->head = ht_os_map(hg_flow_head_bytes(flow), true);
        flow->to = ht_os_map((*edges + 1) * sizeof *flow->to, true);
    }
    if (flow->head == NULL || flow->to == NULL)
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for %llu references", call,
                       (unsigned long long)*edges);
    builder.to = flow->to;
    hg_flow_edges(&builder, flow->head);
    return HEARTH_OK;
}

static void hg_flow_free(struct hg_flowgraph *flow, uint64_t edges)
{
    ht_os_unmap(flow->head, hg_flow_head_bytes(flow));
    ht_os_unmap(flow->to, (edges + 1) * sizeof *flow->to);
}

/* --- the largest ------------------------------------------------------------------------------------------- */

struct hg_top {
    uint64_t bytes;
    uint32_t objects, place;
};

/* More bytes first; of the same, the dominator first. */
static int hg_top_order(const void *a, const void *b)
{
    const struct hg_top *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->place < y->place ? -1 : 1;
}

/* Put the entry at the root of a heap of `count` whose root is the last in order, and let it sink. */
static void hg_top_sink(struct hg_top *heap, size_t count, struct hg_top entry)
{
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= count)
            break;
        if (child + 1 < count && hg_top_order(&heap[child], &heap[child + 1]) < 0)
            child++;
        if (hg_top_order(&heap[child], &entry) < 0)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

static void hg_top_rise(struct hg_top *heap, size_t at, struct hg_top entry)
{
    for (; at > 0 && hg_top_order(&entry, &heap[(at - 1) / 2]) > 0; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = entry;
}

/* The `most` first of the order, sorted; returns how many there are. `sum` and `objects` are by place. */
static size_t hg_top_select(struct hg_top *top, size_t most, const uint64_t *sum,
                            const uint32_t *objects, uint32_t count)
{
    size_t kept = 0;
    for (uint32_t i = 1; i < count; i++) {
        struct hg_top entry = {sum[i], objects[i], i};
        if (kept < most)
            hg_top_rise(top, kept++, entry);
        else if (hg_top_order(&entry, &top[0]) < 0)
            hg_top_sink(top, kept, entry);
    }
    qsort(top, kept, sizeof *top, hg_top_order);
    return kept;
}

static void hg_top_sums(const struct hg_graph *graph, const struct hg_dominators *tree,
                        uint64_t *sum, uint32_t *objects)
{
    for (uint32_t i = tree->count; i-- > 1;) {
        sum[i] += hg_footprint(graph->node[tree->vertex[i] - 1]);
        objects[i]++;
        sum[tree->idom[i]] += sum[i];
        objects[tree->idom[i]] += objects[i];
    }
}

static hearth_status hg_top_tell(const struct hg_graph *graph, const struct hg_dominators *tree,
                                 size_t most, hearth_retained_fn *fn, void *data, const char *call)
{
    most = most < tree->count ? most : tree->count;
    size_t sum_bytes = tree->count * sizeof(uint64_t), count_bytes = tree->count * sizeof(uint32_t);
    size_t top_bytes = (most + 1) * sizeof(struct hg_top);
    uint64_t *sum = ht_os_map(sum_bytes, true);
    uint32_t *objects = ht_os_map(count_bytes, true);
    struct hg_top *top = ht_os_map(top_bytes, true);
    bool mapped = sum != NULL && objects != NULL && top != NULL;
    if (mapped) {
        hg_top_sums(graph, tree, sum, objects);
        size_t count = hg_top_select(top, most, sum, objects, tree->count);
        for (size_t i = 0; i < count; i++) {
            uintptr_t object = graph->node[tree->vertex[top[i].place] - 1];
            hearth_retained entry =
                hg_retained_make(graph->heap, object, top[i].bytes, top[i].objects);
            if (!fn(data, &entry))
                break;
        }
    }
    ht_os_unmap(sum, sum_bytes);
    ht_os_unmap(objects, count_bytes);
    ht_os_unmap(top, top_bytes);
    return mapped ? HEARTH_OK : ht_fail(HEARTH_ENOMEM, "%s: no memory for %zu sums", call, most);
}

static hearth_status hg_retained_most(hearth_heap *heap, size_t most, hearth_retained_fn *fn,
                                      void *data, const char *call)
{
    struct hg_graph graph;
    struct hg_flowgraph flow = {0, NULL, NULL};
    struct hg_dominators tree = {0, NULL, NULL, 0};
    uint64_t edges = 0;
    hearth_status status = hg_graph_init(&graph, heap, call);
    if (status == HEARTH_OK)
        status = hg_graph_roots(&graph, call);
    if (status == HEARTH_OK)
        status = hg_graph_follow(&graph, 0, call);
    if (status == HEARTH_OK)
        status = hg_flow_init(&flow, &graph, &edges, call);
    if (status == HEARTH_OK)
        status = hg_dominators_find(&tree, &flow);
    hg_flow_free(&flow, edges);
    if (status == HEARTH_OK)
        status = hg_top_tell(&graph, &tree, most, fn, data, call);
    hg_dominators_free(&tree);
    hg_graph_free(&graph);
    return status;
}

hearth_status hearth_retained_top(hearth_mutator *mutator, size_t most, hearth_retained_fn *fn,
                                  void *data)
{
    const char *call = "hearth_retained_top";
    if (fn == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: fn is NULL (most %zu)", call, most);
    hearth_status status = hg_inspect_begin(mutator, call);
    if (status != HEARTH_OK)
        return status;
    status = hg_retained_most(mutator->heap, most, fn, data, call);
    hg_inspect_end(mutator);
    return status;
}
