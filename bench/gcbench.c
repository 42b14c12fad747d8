/* bench/gcbench.c - GCBench (John Ellis and Pete Kovac, 1997; Hans Boehm), once per thread.
 *
 * With a tree of depth 16 and an array of 500,000 doubles alive all the time, builds and drops
 * temporary trees of depth 4, 6, ... 16, as many of each as make up the nodes of two trees of
 * depth 18: first top-down (stores into existing nodes), then bottom-up (into fresh ones). Scale 1
 * does that five times: 74 million nodes. The original's first step, a "stretch tree" of depth 18,
 * is left out: it alone would set the live size, and the rest would run in a heap more roomy than
 * it says.
 *
 * With GARBAGE defined (bench/gcbench-holes.c) a buffer of 0 to 36 words is made and forgotten
 * before every node but the roots and the leaves of bottom-up trees, so that nodes do not lie side
 * by side.
 *
 * The long-lived tree and array are checked at the end, temporary trees by sample (one in 16 of
 * each depth); the checksum sums what was found.
 *
 * Invariant: every node's i is 0 and its j its height. Each thread owns its trees. */
#ifndef WORKLOAD
#define WORKLOAD "gcbench"
#endif

#include "bench/tree.h"

enum {
    LONG_DEPTH = 16, /* of the long-lived tree                              */
    MIN_DEPTH = 4,   /* of temporary trees                                  */
    MAX_DEPTH = 16,
    COUNT_DEPTH = 18, /* twice its nodes are made for each depth             */
    ARRAY = 500000,   /* doubles                                             */
    REPEATS = 5,      /* at scale 1                                          */
    SAMPLE = 16       /* one temporary tree in so many is checked            */
};

static sys_type buffer_type;

static struct sys_buffer *buffer_new(sys_thread m, size_t count)
{
    struct sys_buffer *buffer = sys_new_buffer(m, buffer_type, count);
    if (BENCH_UNLIKELY(buffer == NULL))
        worker_no_memory();
    buffer->count = count;
    return buffer;
}

#ifdef GARBAGE
#include "bench/garbage.h"

static _Thread_local uint64_t garbage_turn;  /* position in the sequence                    */
static _Thread_local uint64_t garbage_made;  /* buffers                                     */
static _Thread_local uint64_t garbage_words; /* in all buffers                              */

BENCH_INLINE void garbage(sys_thread m)
{
    size_t words = garbage_size[garbage_turn++ % GARBAGE_SIZES];
    if (words == 0)
        return;
    sys_free(m, buffer_new(m, words));
    garbage_made++;
    garbage_words += words;
}

static void garbage_report(struct worker *worker)
{
    worker->allocations += garbage_made;
    worker->checksum += garbage_words;
}
#else
static void garbage_start(void)
{
}
BENCH_INLINE void garbage(sys_thread m)
{
    (void)m;
}
static void garbage_report(struct worker *worker)
{
    (void)worker;
}
#endif

/* Gives a node, which the caller keeps alive, two children, and them theirs. */
static void populate(sys_thread m, int depth, struct node *node)
{
    node->j = depth;
    if (depth <= 0)
        return;
    SYS_FRAME(m, frame, 1);
    frame.ref[0] = node;
    garbage(m);
    struct node *left = node_new(m);
    node = frame.ref[0];
    sys_store(m, node, &node->left, left);
    garbage(m);
    struct node *right = node_new(m);
    node = frame.ref[0];
    sys_store(m, node, &node->right, right);
    populate(m, depth - 1, node->left);
    node = frame.ref[0];
    populate(m, depth - 1, node->right);
    SYS_FRAME_END(m, frame);
}

static struct node *make_tree(sys_thread m, int depth)
{
    if (depth <= 0)
        return node_new(m);
    SYS_FRAME(m, frame, 2);
    frame.ref[0] = make_tree(m, depth - 1);
    frame.ref[1] = make_tree(m, depth - 1);
    garbage(m);
    struct node *node = node_join(m, &frame.ref[0], &frame.ref[1], depth);
    SYS_FRAME_END(m, frame);
    return node;
}

/* Walks a tree; its nodes plus their heights. */
static uint64_t tree_check(const struct node *node, int depth)
{
    if (node->i != 0 || node->j != depth || (node->left == NULL) != (depth == 0) ||
        (node->right == NULL) != (depth == 0))
        bench_fail(1, "a node at height %d is damaged: i %d, j %d, left %p, right %p", depth,
                   node->i, node->j, node->left, node->right);
    uint64_t sum = 1 + (uint64_t)depth;
    if (depth > 0)
        sum += tree_check(node->left, depth - 1) + tree_check(node->right, depth - 1);
    return sum;
}

static void array_fill(struct sys_buffer *array)
{
    for (size_t i = 0; i < ARRAY / 2; i++)
        array->value[i] = 1.0 / (double)(i + 1);
}

static uint64_t array_check(const struct sys_buffer *array)
{
    for (size_t i = 0; i < ARRAY / 2; i++)
        if (array->value[i] != 1.0 / (double)(i + 1))
            bench_fail(1, "the array is damaged: element %zu is %g", i, array->value[i]);
    return array->count;
}

/* Builds and drops `count` trees top-down, and as many bottom-up. */
static void temporary_trees(sys_thread m, struct worker *worker, int depth, uint64_t count)
{
    SYS_FRAME(m, frame, 1);
    for (uint64_t i = 0; i < 2 * count; i++) {
        sys_region region = sys_region_begin(m);
        if (i < count) {
            frame.ref[0] = node_new(m);
            populate(m, depth, frame.ref[0]);
        } else {
            frame.ref[0] = make_tree(m, depth);
        }
        if (i % SAMPLE == 0)
            worker->checksum += tree_check(frame.ref[0], depth);
        tree_drop(m, frame.ref[0]);
        frame.ref[0] = NULL;
        sys_region_end(m, region);
    }
    SYS_FRAME_END(m, frame);
    worker->allocations += 2 * count * tree_size(depth);
}

/* One repeat, or a part of one. */
static void repeat(sys_thread m, struct worker *worker, double share, double done, double all)
{
    const int steps = (MAX_DEPTH - MIN_DEPTH) / 2 + 1;
    for (int depth = MIN_DEPTH; depth <= MAX_DEPTH; depth += 2) {
        double count = share * (double)(2 * tree_size(COUNT_DEPTH) / tree_size(depth));
        temporary_trees(m, worker, depth, count < 1 ? 1 : (uint64_t)(count + 0.5));
        worker_progress(worker, (done + share * ((depth - MIN_DEPTH) / 2 + 1) / steps) / all);
    }
}

/* The two trees that are alive at most, both of depth 16, and the array. */
static size_t workload_live_bytes(void)
{
    return (tree_size(LONG_DEPTH) + tree_size(MAX_DEPTH)) * NODE_CELL + sizeof(struct sys_buffer) +
           ARRAY * sizeof(double);
}

static bool workload_start(void)
{
    garbage_start();
    return node_register() && sys_type_buffer("buffer", &buffer_type);
}

static void workload_run(sys_thread m, struct worker *worker)
{
    SYS_FRAME(m, frame, 2);
    frame.ref[0] = node_new(m);
    populate(m, LONG_DEPTH, frame.ref[0]);
    frame.ref[1] = buffer_new(m, ARRAY);
    array_fill(frame.ref[1]);
    worker->allocations = tree_size(LONG_DEPTH) + 1;

    double repeats = REPEATS * worker->scale;
    for (double done = 0; done < repeats; done += 1)
        repeat(m, worker, repeats - done < 1 ? repeats - done : 1, done, repeats);

    worker->checksum += tree_check(frame.ref[0], LONG_DEPTH) + array_check(frame.ref[1]);
    garbage_report(worker);
    tree_drop(m, frame.ref[0]);
    sys_free(m, frame.ref[1]);
    SYS_FRAME_END(m, frame);
}
