/* bench/tree.h - the node that the workloads build trees of.
 *
 * 24 bytes: two references and two integers, as in GCBench. It fills a 32-byte cell in hearth,
 * bdwgc, glibc and mimalloc alike, so live sizes are counted in cells of 32 bytes.
 *
 * Invariant: a leaf has no children, every other node two. A tree belongs to the thread that built
 * it. */
#ifndef HEARTH_BENCH_TREE_H
#define HEARTH_BENCH_TREE_H

#include "bench/driver.h"

enum { NODE_CELL = 32 }; /* bytes a node takes from the heap */

struct node {
    void *left, *right; /* struct node *                                        */
    int i;              /* never written: must be zero                          */
    int j;              /* height, where the workload sets it                   */
};

static sys_type node_type;

static inline bool node_register(void)
{
    return sys_type_object("node", sizeof(struct node), 3, &node_type);
}

/* Nodes of a full tree. */
static inline uint64_t tree_size(int depth)
{
    return ((uint64_t)2 << depth) - 1;
}

BENCH_INLINE struct node *node_new(sys_thread m)
{
    struct node *node = sys_new(m, node_type, sizeof *node);
    if (BENCH_UNLIKELY(node == NULL))
        worker_no_memory();
    return node;
}

/* A node with its height and two children; both must be in roots. */
BENCH_INLINE struct node *node_join(sys_thread m, void *const *left, void *const *right, int height)
{
    struct node *node = node_new(m);
    sys_store_init(&node->left, *left);
    sys_store_init(&node->right, *right);
    node->j = height;
    return node;
}

static inline void tree_free_walk(sys_thread m, struct node *node)
{
    if (node->left != NULL) {
        tree_free_walk(m, node->left);
        tree_free_walk(m, node->right);
    }
    sys_free(m, node);
}

/* The tree is not needed any more. */
static inline void tree_drop(sys_thread m, struct node *root)
{
    if (SYS_MANUAL)
        tree_free_walk(m, root);
}

#endif
