/* bench/quads.c - quad trees: a large one stays alive, small ones come and go.
 *
 * After the program of Whippet and, before it, of Guile's gc-benchmarks. The long-lived tree is sixteen
 * trees of depth 7 (350,000 nodes) under an array; short-lived trees have depth 3 (85 nodes), and
 * are walked and dropped. 500,000 of them at scale 1.
 *
 * Invariant: a node's height is as it was built, and it has four children or none. The checksum sums
 * the heights. Each thread owns its trees. */
#define WORKLOAD       "quads"
#define WORKLOAD_SIZED 1

#include "bench/cell.h"

enum { LONG_TREES = 16, LONG_DEPTH = 7, SHORT_DEPTH = 3, SHORT_TREES = 500000, CHILDREN = 4 };
enum { QUAD_CELL = 48 }; /* bytes a node takes from the heap                                */

struct quad {
    void *child[CHILDREN]; /* struct quad *                                         */
    uint64_t height;       /* 0: a leaf                                             */
};

static sys_type quad_type;

static uint64_t quad_size(int depth)
{
    return (((uint64_t)1 << (2 * (depth + 1))) - 1) / 3;
}

/* Top-down, as the original does. */
static struct quad *quad_make(sys_thread m, int depth)
{
    struct quad *quad = sys_new(m, quad_type, sizeof *quad);
    if (BENCH_UNLIKELY(quad == NULL))
        worker_no_memory();
    quad->height = (uint64_t)depth;
    if (depth == 0)
        return quad;
    SYS_FRAME(m, frame, 1);
    frame.ref[0] = quad;
    for (int i = 0; i < CHILDREN; i++) {
        struct quad *child = quad_make(m, depth - 1);
        quad = frame.ref[0];
        sys_store(m, quad, &quad->child[i], child);
    }
    SYS_FRAME_END(m, frame);
    return quad;
}

static uint64_t quad_check(const struct quad *quad, int depth)
{
    if (quad->height != (uint64_t)depth || (quad->child[0] != NULL) != (depth > 0))
        bench_fail(1, "a quad at height %d is damaged: it says %llu", depth,
                   (unsigned long long)quad->height);
    uint64_t sum = (uint64_t)depth + 1;
    for (int i = 0; i < CHILDREN && depth > 0; i++)
        sum += quad_check(quad->child[i], depth - 1);
    return sum;
}

static void quad_free_walk(sys_thread m, struct quad *quad)
{
    for (int i = 0; i < CHILDREN && quad->height > 0; i++)
        quad_free_walk(m, quad->child[i]);
    sys_free(m, quad);
}

static void quad_drop(sys_thread m, struct quad *quad)
{
    if (SYS_MANUAL)
        quad_free_walk(m, quad);
}

static size_t workload_live_bytes(void)
{
    return sized(LONG_TREES) * (quad_size(LONG_DEPTH) * QUAD_CELL + sizeof(void *));
}

static bool workload_start(void)
{
    return cell_register() && sys_type_object("quad", sizeof(struct quad), 15, &quad_type);
}

static void workload_run(sys_thread m, struct worker *worker)
{
    size_t trees = sized(LONG_TREES);
    uint64_t count = scaled(worker, SHORT_TREES);
    SYS_FRAME(m, frame, 2);
    frame.ref[0] = refs_new(m, trees);
    for (size_t i = 0; i < trees; i++) {
        struct quad *quad = quad_make(m, LONG_DEPTH);
        void **array = frame.ref[0];
        sys_store(m, array, &array[i], quad);
    }
    work_begin(m, worker);
    for (uint64_t i = 0; i < count; i++) {
        sys_region region = sys_region_begin(m);
        frame.ref[1] = quad_make(m, SHORT_DEPTH);
        worker->checksum += quad_check(frame.ref[1], SHORT_DEPTH);
        quad_drop(m, frame.ref[1]);
        frame.ref[1] = NULL;
        sys_region_end(m, region);
    }
    work_end(m, worker);
    void **array = frame.ref[0];
    for (size_t i = 0; i < trees; i++) {
        worker->checksum += quad_check(array[i], LONG_DEPTH);
        quad_drop(m, array[i]);
    }
    sys_free(m, array);
    worker->allocations = 1 + trees * quad_size(LONG_DEPTH) + count * quad_size(SHORT_DEPTH);
    worker->ops = count * quad_size(SHORT_DEPTH);
    SYS_FRAME_END(m, frame);
}
