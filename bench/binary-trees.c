/* bench/binary-trees.c - the binary-trees program of the Computer Language Benchmarks Game, depth
 * 18, once per thread.
 *
 * Builds bottom-up, walks and drops a stretch tree of depth 19; then, with a tree of depth 18
 * alive, 2^(22-d) trees of each depth d = 4, 6, ... 18. Every tree is walked and its nodes
 * counted. Scale multiplies the number of trees, not their depth (at least one of each depth):
 * scale 1 is 68 million nodes. The node is GCBench's of 24 bytes, not the original's of two
 * references, so that all systems spend the same 32 bytes on it.
 *
 * Invariant: every count is checked against 2^(d+1) - 1; the checksum is their sum. Each thread
 * owns its trees. */
#define WORKLOAD "binary-trees"

#include "bench/tree.h"

enum { DEPTH = 18, MIN_DEPTH = 4 };

static struct node *make_tree(sys_thread m, int depth)
{
    if (depth <= 0)
        return node_new(m);
    SYS_FRAME(m, frame, 2);
    frame.ref[0] = make_tree(m, depth - 1);
    frame.ref[1] = make_tree(m, depth - 1);
    struct node *node = node_join(m, &frame.ref[0], &frame.ref[1], 0);
    SYS_FRAME_END(m, frame);
    return node;
}

static uint64_t tree_count(const struct node *node)
{
    if (node->left == NULL)
        return 1;
    return 1 + tree_count(node->left) + tree_count(node->right);
}

static uint64_t tree_check(const struct node *root, int depth)
{
    uint64_t count = tree_count(root);
    if (count != tree_size(depth))
        bench_fail(1, "a tree of depth %d has %llu nodes, not %llu", depth,
                   (unsigned long long)count, (unsigned long long)tree_size(depth));
    return count;
}

/* Builds, walks and drops `count` trees. */
static void temporary_trees(sys_thread m, struct worker *worker, int depth, uint64_t count)
{
    SYS_FRAME(m, frame, 1);
    for (uint64_t i = 0; i < count; i++) {
        sys_region region = sys_region_begin(m);
        frame.ref[0] = make_tree(m, depth);
        worker->checksum += tree_check(frame.ref[0], depth);
        tree_drop(m, frame.ref[0]);
        frame.ref[0] = NULL;
        sys_region_end(m, region);
    }
    SYS_FRAME_END(m, frame);
    worker->allocations += count * tree_size(depth);
}

/* The stretch tree alone: one node more than the long-lived tree and a temporary one together. */
static size_t workload_live_bytes(void)
{
    return tree_size(DEPTH + 1) * NODE_CELL;
}

static bool workload_start(void)
{
    return node_register();
}

static void workload_run(sys_thread m, struct worker *worker)
{
    temporary_trees(m, worker, DEPTH + 1, 1);
    SYS_FRAME(m, frame, 1);
    frame.ref[0] = make_tree(m, DEPTH);
    worker->allocations += tree_size(DEPTH);
    for (int depth = MIN_DEPTH; depth <= DEPTH; depth += 2) {
        double count = worker->scale * (double)(UINT64_C(1) << (DEPTH - depth + MIN_DEPTH));
        temporary_trees(m, worker, depth, count < 1 ? 1 : (uint64_t)(count + 0.5));
        worker_progress(worker, (double)(depth - MIN_DEPTH + 2) / (DEPTH - MIN_DEPTH + 2));
    }
    worker->checksum += tree_check(frame.ref[0], DEPTH);
    tree_drop(m, frame.ref[0]);
    SYS_FRAME_END(m, frame);
}
