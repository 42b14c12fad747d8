/* bench/mark.c - what a full collection takes for each object that is alive.
 *
 * Builds twenty million objects of 32 bytes and collects fully, five times; nothing else happens
 * meanwhile, so the operations are objects times collections, and the time is the collector's.
 *
 *   random   each object refers to two others, at random: four in five can be reached, and every
 *            reference misses the caches
 *   list     a list in the order of allocation: nothing to prefetch, nothing to do in parallel
 *   tree     a binary tree built depth first, as a program builds one
 *   shuffled the same tree, its nodes placed at random
 *   array    one array that refers to all objects, in order
 *
 * Before, a full collection that is not counted frees what building left. Workers and huge pages are the
 * system's options: HEARTH_OPTIONS=workers=1,hugepages=on, GC_MARKERS=1.
 *
 * Invariant: an object's key is its number; afterwards all that can be reached from the root is walked,
 * counted, and the keys summed: that is the checksum. Each thread owns its objects. */
#define WORKLOAD          "mark"
#define WORKLOAD_VARIANTS "random", "list", "tree", "shuffled", "array"
#define WORKLOAD_SIZED    1

#include "bench/cell.h"

enum { OBJECTS = 20000000, COLLECTIONS = 5 };
enum { RANDOM, LIST, TREE, SHUFFLED, ARRAY }; /* driver_variant                                   */

struct object {
    void *a, *b; /* struct object *                                                   */
    uint64_t key;
};

static sys_type object_type;

static size_t workload_live_bytes(void)
{
    return sized(OBJECTS) * (CELL_BYTES + sizeof(void *));
}

static bool workload_start(void)
{
    return cell_register() && sys_type_object("object", sizeof(struct object), 3, &object_type);
}

static struct object *object_new(sys_thread m, uint64_t key)
{
    struct object *object = sys_new(m, object_type, sizeof *object);
    if (BENCH_UNLIKELY(object == NULL))
        worker_no_memory();
    object->key = key;
    return object;
}

static void link_a(sys_thread m, struct object *from, struct object *to)
{
    sys_store(m, from, &from->a, to);
}

static void link_b(sys_thread m, struct object *from, struct object *to)
{
    sys_store(m, from, &from->b, to);
}

static void all_new(sys_thread m, void **ref, size_t count)
{
    *ref = refs_new(m, count);
    for (size_t i = 0; i < count; i++) {
        struct object *object = object_new(m, i);
        void **all = *ref;
        sys_store(m, all, &all[i], object);
    }
}

static void array_shuffle(sys_thread m, void **all, size_t count)
{
    uint32_t random = RANDOM_SEED;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = random_index(&random, i + 1);
        void *swap = all[i];
        sys_store(m, all, &all[i], all[j]);
        sys_store(m, all, &all[j], swap);
    }
}

/* The tree of count objects that lie in all, depth first; its root. */
static struct object *tree_link(sys_thread m, void **all, size_t count)
{
    struct object *root = all[0];
    size_t left = (count - 1) / 2, right = count - 1 - left;
    if (left > 0)
        link_a(m, root, tree_link(m, all + 1, left));
    if (right > 0)
        link_b(m, root, tree_link(m, all + 1 + left, right));
    return root;
}

static struct object *graph_link(sys_thread m, void **all, size_t count)
{
    uint32_t random = RANDOM_SEED;
    for (size_t i = 0; i < count; i++) {
        size_t a = random_index(&random, count), b = random_index(&random, count);
        link_a(m, all[i], all[a]);
        link_b(m, all[i], all[b]);
    }
    return all[0];
}

/* Builds in ref[0] what the variant says; ref[1] holds all objects meanwhile. The list and the tree
 * need no such array, which would be large garbage between them. */
static void build(sys_thread m, void **ref, size_t count)
{
    if (driver_variant == LIST) {
        for (size_t i = count; i-- > 0;) {
            struct object *object = object_new(m, i);
            sys_store_init(&object->a, ref[0]);
            ref[0] = object;
        }
        return;
    }
    all_new(m, &ref[1], count);
    void **all = ref[1];
    if (driver_variant == SHUFFLED)
        array_shuffle(m, all, count);
    if (driver_variant == ARRAY)
        ref[0] = all;
    else
        ref[0] = driver_variant == RANDOM ? graph_link(m, all, count) : tree_link(m, all, count);
    ref[1] = NULL;
}

/* Follows all references once, with a bit for each object and a stack, in plain memory. */
static uint64_t walk(struct object *root, size_t count, uint64_t *sum)
{
    uint8_t *seen = calloc(count / 8 + 1, 1);
    struct object **stack = malloc((count + 1) * sizeof(struct object *));
    if (seen == NULL || stack == NULL)
        bench_fail(1, "no memory to walk %zu objects", count);
    size_t depth = 0;
    uint64_t reached = 0;
    stack[depth++] = root;
    seen[root->key / 8] |= (uint8_t)(1u << root->key % 8);
    while (depth > 0) {
        struct object *object = stack[--depth], *next[2] = {object->a, object->b};
        reached++;
        *sum += object->key;
        for (int i = 0; i < 2; i++) {
            if (next[i] == NULL)
                continue;
            uint64_t key = next[i]->key;
            if (key >= count)
                bench_fail(1, "an object is damaged: its key is %llu", (unsigned long long)key);
            if (seen[key / 8] & 1u << key % 8)
                continue;
            seen[key / 8] |= (uint8_t)(1u << key % 8);
            stack[depth++] = next[i];
        }
    }
    free(stack);
    free(seen);
    return reached;
}

static uint64_t walk_array(void **all, size_t count, uint64_t *sum)
{
    for (size_t i = 0; i < count; i++) {
        const struct object *object = all[i];
        if (object->key != i)
            bench_fail(1, "object %zu is damaged: its key is %llu", i,
                       (unsigned long long)object->key);
        *sum += i;
    }
    return count;
}

static void collect(sys_thread m)
{
    if (!sys_collect(m, true))
        bench_fail(1, "no collection: %s", sys_error());
}

static void workload_run(sys_thread m, struct worker *worker)
{
    size_t count = sized(OBJECTS);
    uint64_t collections = scaled(worker, COLLECTIONS), sum = 0;
    SYS_FRAME(m, frame, 2);
    build(m, frame.ref, count);
    collect(m);
    work_begin(m, worker);
    worker->latency = calloc(1, sizeof *worker->latency);
    for (uint64_t i = 0; i < collections && worker->latency != NULL; i++) {
        uint64_t before = measure_now();
        collect(m);
        latency_add(worker->latency, measure_now() - before);
    }
    work_end(m, worker);
    uint64_t reached = driver_variant == ARRAY ? walk_array(frame.ref[0], count, &sum)
                                               : walk(frame.ref[0], count, &sum);
    worker->checksum = sum + reached;
    worker->allocations = count;
    worker->ops = reached * collections;
    SYS_FRAME_END(m, frame);
}
