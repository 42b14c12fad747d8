/* gc/dominators.c - Lengauer and Tarjan's algorithm with simple path compression. See dominators.h.
 *
 * All numbers but `order` and the graph's are places in depth-first preorder. Invariant while places are
 * dealt with from the last to the first: semi[v] of those done is their semidominator, label[v] the place of
 * least semi on the compressed path to the root of v's tree in the forest that `ancestor` makes.
 * Working memory is mapped and goes at the end. No locks, one thread. */
#include "gc/dominators.h"

#include <string.h>

#include "topology/error.h"
#include "topology/os.h"

enum { HG_NONE_YET = UINT32_MAX };

struct hg_lt {
    const struct hg_flowgraph *graph;
    uint32_t *order;     /* by node: its place                                       */
    uint32_t *vertex;    /* by place: the node                                       */
    uint32_t *parent;    /* in the depth-first tree                                  */
    uint32_t *pred_head; /* predecessors of place v: pred[pred_head[v]] ..           */
    uint32_t *pred;
    uint32_t *semi, *label, *ancestor, *idom;
    uint32_t *bucket, *next; /* places with this semidominator: a list                   */
    uint32_t *stack;         /* of path compression; in the search, edges done of a node */
    uint32_t count;
};

enum { HG_LT_ARRAYS = 11 };

static bool hg_lt_map(struct hg_lt *lt, size_t bytes, size_t edges)
{
    uint32_t **array[HG_LT_ARRAYS] = {&lt->order,  &lt->vertex, &lt->parent,   &lt->pred_head,
                                      &lt->semi,   &lt->label,  &lt->ancestor, &lt->idom,
                                      &lt->bucket, &lt->next,   &lt->stack};
    bool mapped = true;
    for (int i = 0; i < HG_LT_ARRAYS; i++) {
        *array[i] = ht_os_map(bytes, true);
        mapped = mapped && *array[i] != NULL;
    }
    lt->pred = ht_os_map((edges + 1) * sizeof *lt->pred, true);
    return mapped && lt->pred != NULL;
}

/* All but vertex and idom; those too if `all`. */
static void hg_lt_unmap(struct hg_lt *lt, size_t bytes, size_t edges, bool all)
{
    uint32_t *array[HG_LT_ARRAYS] = {lt->order,
                                     lt->parent,
                                     lt->pred_head,
                                     lt->semi,
                                     lt->label,
                                     lt->ancestor,
                                     lt->bucket,
                                     lt->next,
                                     lt->stack,
                                     all ? lt->vertex : NULL,
                                     all ? lt->idom : NULL};
    for (int i = 0; i < HG_LT_ARRAYS; i++)
        ht_os_unmap(array[i], bytes);
    ht_os_unmap(lt->pred, (edges + 1) * sizeof *lt->pred);
}

static void hg_lt_visit(struct hg_lt *lt, uint32_t node, uint32_t parent)
{
    lt->order[node] = lt->count;
    lt->vertex[lt->count] = node;
    lt->parent[lt->count++] = parent;
}

/* Depth first; the tree's parents are the stack. */
static void hg_lt_search(struct hg_lt *lt)
{
    const struct hg_flowgraph *g = lt->graph;
    uint32_t *done = lt->stack, node = 0;
    memset(lt->order, 0xff, (size_t)g->nodes * sizeof *lt->order);
    hg_lt_visit(lt, 0, 0);
    for (;;) {
        if (g->head[node] + done[node] < g->head[node + 1]) {
            uint32_t to = g->to[g->head[node] + done[node]++];
            if (lt->order[to] == HG_UNREACHED) {
                hg_lt_visit(lt, to, lt->order[node]);
                node = to;
            }
        } else if (node == 0) {
            return;
        } else {
            node = lt->vertex[lt->parent[lt->order[node]]];
        }
    }
}

/* Edges between places, turned round. pred_head[v + 1] counts, then ends, then begins those of v. */
static void hg_lt_turn(struct hg_lt *lt)
{
    const struct hg_flowgraph *g = lt->graph;
    uint32_t *head = lt->pred_head;
    for (uint32_t i = 0; i < lt->count; i++)
        for (uint32_t e = g->head[lt->vertex[i]]; e < g->head[lt->vertex[i] + 1]; e++)
            head[lt->order[g->to[e]]]++;
    for (uint32_t i = 1; i < lt->count; i++)
        head[i] += head[i - 1];
    head[lt->count] = lt->count > 0 ? head[lt->count - 1] : 0;
    for (uint32_t i = 0; i < lt->count; i++)
        for (uint32_t e = g->head[lt->vertex[i]]; e < g->head[lt->vertex[i] + 1]; e++)
            lt->pred[--head[lt->order[g->to[e]]]] = i;
}

/* The place of least semidominator on the path from v to the root of its tree, the root left out. */
static uint32_t hg_lt_eval(struct hg_lt *lt, uint32_t v)
{
    uint32_t *ancestor = lt->ancestor, *label = lt->label;
    uint32_t top = 0, u = v;
    if (ancestor[v] == HG_NONE_YET)
        return v;
    for (; ancestor[ancestor[u]] != HG_NONE_YET; u = ancestor[u])
        lt->stack[top++] = u;
    while (top > 0) {
        uint32_t w = lt->stack[--top], a = ancestor[w];
        if (lt->semi[label[a]] < lt->semi[label[w]])
            label[w] = label[a];
        ancestor[w] = ancestor[a];
    }
    return label[v];
}

/* The places whose semidominator is v's parent, now that v hangs below it. */
static void hg_lt_empty_bucket(struct hg_lt *lt, uint32_t parent)
{
    for (uint32_t v = lt->bucket[parent]; v != HG_NONE_YET; v = lt->next[v]) {
        uint32_t u = hg_lt_eval(lt, v);
        lt->idom[v] = lt->semi[u] < lt->semi[v] ? u : parent;
    }
    lt->bucket[parent] = HG_NONE_YET;
}

static void hg_lt_solve(struct hg_lt *lt)
{
    for (uint32_t i = 0; i < lt->count; i++) {
        lt->semi[i] = lt->label[i] = i;
        lt->ancestor[i] = lt->bucket[i] = HG_NONE_YET;
    }
    for (uint32_t w = lt->count; w-- > 1;) {
        for (uint32_t e = lt->pred_head[w]; e < lt->pred_head[w + 1]; e++) {
            uint32_t u = hg_lt_eval(lt, lt->pred[e]);
            if (lt->semi[u] < lt->semi[w])
                lt->semi[w] = lt->semi[u];
        }
        lt->next[w] = lt->bucket[lt->semi[w]];
        lt->bucket[lt->semi[w]] = w;
        lt->ancestor[w] = lt->parent[w];
        hg_lt_empty_bucket(lt, lt->parent[w]);
    }
    for (uint32_t w = 1; w < lt->count; w++)
        if (lt->idom[w] != lt->semi[w])
            lt->idom[w] = lt->idom[lt->idom[w]];
    lt->idom[0] = 0;
}

hearth_status hg_dominators_find(struct hg_dominators *tree, const struct hg_flowgraph *graph)
{
    struct hg_lt lt = {.graph = graph};
    size_t bytes = ((size_t)graph->nodes + 1) * sizeof(uint32_t);
    size_t edges = graph->head[graph->nodes];
    *tree = (struct hg_dominators){.bytes = bytes};
    if (!hg_lt_map(&lt, bytes, edges)) {
        hg_lt_unmap(&lt, bytes, edges, true);
        return ht_fail(HEARTH_ENOMEM, "no memory for dominators of %u nodes", graph->nodes);
    }
    hg_lt_search(&lt);
    hg_lt_turn(&lt);
    hg_lt_solve(&lt);
    tree->count = lt.count;
    tree->vertex = lt.vertex;
    tree->idom = lt.idom;
    hg_lt_unmap(&lt, bytes, edges, false);
    return HEARTH_OK;
}

void hg_dominators_free(struct hg_dominators *tree)
{
    ht_os_unmap(tree->vertex, tree->bytes);
    ht_os_unmap(tree->idom, tree->bytes);
}

hearth_status hg_dominators_check(const struct hg_dominators *tree)
{
    if (tree->count == 0 || tree->vertex[0] != 0 || tree->idom[0] != 0)
        return ht_fail(HEARTH_ECORRUPT, "dominators: %u nodes do not begin with the entry",
                       tree->count);
    for (uint32_t i = 1; i < tree->count; i++)
        if (tree->idom[i] >= i)
            return ht_fail(HEARTH_ECORRUPT, "dominators: place %u is dominated by %u", i,
                           tree->idom[i]);
    return HEARTH_OK;
}
