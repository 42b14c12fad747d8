/* gc/paths.c - why an object is alive: a shortest path from a root.
 *
 * Breadth first from all roots at once until the object is met; the chain of parents is the path, turned
 * round in place. World stopped, heap->lock held. */
#include "gc/graph.h"
#include "topology/error.h"

struct hg_slot_finder {
    hearth_visitor visitor; /* first */
    uintptr_t target;
    void **slot; /* the first that holds it */
};

static void hg_find_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_slot_finder *finder = (struct hg_slot_finder *)visitor;
    if (finder->slot == NULL && (uintptr_t)*slot == finder->target)
        finder->slot = slot;
}

static void hg_step_object(hearth_heap *heap, uintptr_t object, hearth_path_step *step)
{
    const struct hg_type *type = hg_type_row(heap, object);
    step->struct_size = sizeof *step;
    step->object = (void *)object;
    step->type = type->handle;
    step->name = type->name != NULL ? type->name : "";
    step->size = hg_payload_size(heap, object);
}

static void hg_step_root(const struct hg_graph *graph, hearth_path_step *step)
{
    const struct hg_root *root = graph->root;
    while (root->object != (uintptr_t)step->object)
        root++;
    step->root = root->kind;
    step->root_owner = root->owner;
    step->root_index = root->index;
    step->root_slot = root->slot;
}

static void hg_step_slot(hearth_heap *heap, uintptr_t from, hearth_path_step *step)
{
    struct hg_slot_finder finder = {{hg_find_slot}, (uintptr_t)step->object, NULL};
    hg_visit_object(heap, from, &finder.visitor);
    step->offset = (uintptr_t)finder.slot - from;
    step->root = HEARTH_ROOT_NONE;
    step->root_owner = step->root_index = 0;
    step->root_slot = NULL;
}

/* Turn the chain of parents of `last` round: afterwards parent[p] is what follows p. Returns the first. */
static uint32_t hg_path_turn(struct hg_graph *graph, uint32_t last, size_t *length)
{
    uint32_t after = HG_NO_PARENT, at = last;
    *length = 1;
    while (graph->parent[at] != HG_NO_PARENT) {
        uint32_t before = graph->parent[at];
        graph->parent[at] = after;
        after = at;
        at = before;
        (*length)++;
    }
    graph->parent[at] = after;
    return at;
}

static void hg_path_tell(struct hg_graph *graph, uint32_t first, size_t length, hearth_path_fn *fn,
                         void *data)
{
    hearth_path_step step = {.length = length};
    uintptr_t before = 0;
    for (uint32_t at = first; at != HG_NO_PARENT; at = graph->parent[at]) {
        hg_step_object(graph->heap, graph->node[at], &step);
        if (before == 0)
            hg_step_root(graph, &step);
        else
            hg_step_slot(graph->heap, before, &step);
        if (!fn(data, &step))
            return;
        before = graph->node[at];
        step.index++;
    }
}

static hearth_status hg_path(hearth_heap *heap, void *object, hearth_path_fn *fn, void *data,
                             size_t *length, const char *call)
{
    struct hg_graph graph;
    hearth_status status = hg_inspect_objects(heap, &object, 1, call);
    if (status != HEARTH_OK)
        return status;
    status = hg_graph_init(&graph, heap, call);
    if (status == HEARTH_OK)
        status = hg_graph_roots(&graph, call);
    size_t steps = 0;
    uint32_t last;
    if (status == HEARTH_OK)
        status = hg_graph_follow(&graph, (uintptr_t)object, call);
    if (status == HEARTH_OK) {
        if (hg_graph_find(&graph, (uintptr_t)object, &last)) {
            uint32_t first = hg_path_turn(&graph, last, &steps);
            hg_path_tell(&graph, first, steps, fn, data);
        }
        if (length != NULL)
            *length = steps;
    }
    hg_graph_free(&graph);
    return status;
}

hearth_status hearth_path_from_roots(hearth_mutator *mutator, void *object, hearth_path_fn *fn,
                                     void *data, size_t *length)
{
    const char *call = "hearth_path_from_roots";
    if (fn == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: fn is NULL (object %p)", call, object);
    hearth_status status = hg_inspect_begin(mutator, call);
    if (status != HEARTH_OK)
        return status;
    status = hg_path(mutator->heap, object, fn, data, length, call);
    hg_inspect_end(mutator);
    return status;
}
