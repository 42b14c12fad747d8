/* gc/dominators.h - the dominator tree of a directed graph (Lengauer & Tarjan, "A Fast Algorithm for Finding
 * Dominators in a Flowgraph", TOPLAS 1979; the version of O(m log n)).
 *
 * Of plain numbers: knows nothing of heaps. Iterative throughout, so depth costs no stack. */
#ifndef HEARTH_GC_DOMINATORS_H
#define HEARTH_GC_DOMINATORS_H

#include <stdint.h>

#include "hearth/status.h"

#define HG_UNREACHED UINT32_MAX

/* Nodes 0 .. nodes - 1; the entry is 0. Edges of node v are to[head[v]] .. to[head[v + 1] - 1]. */
struct hg_flowgraph {
    uint32_t nodes;
    uint32_t *head; /* nodes + 1 */
    uint32_t *to;
};

/* The tree. Reached nodes in depth-first preorder: vertex[i] is a node, idom[i] < i the place of its
 * immediate dominator in the same order (idom[0] is 0). So children come after their parents. */
struct hg_dominators {
    uint32_t count;   /* reached nodes             */
    uint32_t *vertex; /* by place                  */
    uint32_t *idom;   /* by place                  */
    size_t bytes;     /* of each map               */
};

/* ENOMEM: nothing is kept. Freed by hg_dominators_free. */
hearth_status hg_dominators_find(struct hg_dominators *tree, const struct hg_flowgraph *graph);
void hg_dominators_free(struct hg_dominators *tree);
hearth_status hg_dominators_check(const struct hg_dominators *tree);

#endif
