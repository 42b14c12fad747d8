/* bench/numa/workloads.c - shapes of sharing between the threads of different nodes.
 *
 *   trees       each thread builds binary trees of its own; then 2 % of all references are turned to a
 *               random object of a random other thread: data partitioned by thread
 *   shared      each thread builds its share of one random graph of out-degree 4, every reference to an object
 *               of a random thread: of N threads' objects (N-1)/N refer to others; 75 % on four nodes
 *   onebuilder  thread 0 builds everybody's trees: everything lies on its node
 *   alternate   one list whose links lead from node to node: no two objects in a row on one node
 *   oneroot     trees, found from an array on the first thread's node
 *   cache       a hash table that all threads put entries into at random: table and chains are shared,
 *               an entry lies on the node of the thread that put it
 *
 * Invariant: between two phases every object that `nodes` names is reachable from `roots`. */
#include <stdlib.h>

#include "bench/numa/run.h"

enum { TREE = 1023, ROOT_EVERY = 64, CROSS_PERCENT = 2, ROUNDS = 4 };

static void *object_or_fail(void *object)
{
    if (object == NULL)
        run_fail("allocation");
    return object;
}

static void roots_create(struct worker *w, size_t count)
{
    struct run *run = w->run;
    w->roots = object_or_fail(hearth_new_array(w->mutator, run->refs, count));
    w->nodes = calloc(run->objects, sizeof *w->nodes);
    if (w->nodes == NULL)
        run_fail("calloc");
}

static struct node *node_create(struct worker *w, uint64_t number)
{
    struct node *node = object_or_fail(hearth_alloc(w->mutator, w->run->node, sizeof(struct node)));
    node->number = number;
    return node;
}

/* --- trees ------------------------------------------------------------------------------------------------ */

/* Binary trees of TREE nodes, in breadth-first order; the nodes are `owner`'s, made by `w`. */
static void trees_build(struct worker *w, struct worker *owner)
{
    struct run *run = w->run;
    size_t trees = run->objects / TREE;
    for (size_t t = 0; t < trees; t++)
        for (size_t i = 0; i < TREE; i++) {
            struct node *node = node_create(w, i);
            struct node **tree = owner->nodes + t * TREE;
            tree[i] = node;
            if (i == 0)
                hearth_store(w->mutator, owner->roots, (void **)owner->roots + t, node);
            else
                hearth_store(w->mutator, tree[(i - 1) / 2], (void **)&tree[(i - 1) / 2]->ref[i % 2],
                             node);
        }
    owner->count = trees * TREE;
}

static void trees_own(struct worker *w)
{
    roots_create(w, w->run->objects / TREE);
    trees_build(w, w);
}

/* Each tree node has two references to its own tree; 2 % of all lead elsewhere: in ref[2]. */
static void trees_cross(struct worker *w)
{
    struct run *run = w->run;
    if (run->threads == 1)
        return;
    for (size_t i = 0; i < w->count; i++) {
        if (run_random(w, 100) >= CROSS_PERCENT)
            continue;
        int other = (w->index + 1 + (int)run_random(w, (uint64_t)run->threads - 1)) % run->threads;
        struct worker *o = &run->worker[other];
        hearth_store(w->mutator, w->nodes[i], (void **)&w->nodes[i]->ref[2],
                     o->nodes[run_random(w, o->count)]);
    }
}

static bool trees_check(struct run *run)
{
    for (int t = 0; t < run->threads; t++) {
        struct worker *w = &run->worker[t];
        for (size_t i = 0; i < w->count; i++)
            if (w->nodes[i]->number != i % TREE || !hearth_is_object(run->heap, w->nodes[i]))
                return false;
    }
    return true;
}

static const struct phase trees_phases[] = {{"allocate", trees_own}, {"link", trees_cross}, {0}};

/* --- one builder ------------------------------------------------------------------------------------------ */

static void onebuilder_build(struct worker *w)
{
    struct run *run = w->run;
    if (w->index != 0)
        return;
    for (int t = 0; t < run->threads; t++) {
        struct worker *o = &run->worker[t];
        o->nodes = calloc(run->objects, sizeof *o->nodes);
        if (o->nodes == NULL)
            run_fail("calloc");
        o->roots = object_or_fail(hearth_new_array(w->mutator, run->refs, run->objects / TREE));
        trees_build(w, o);
    }
}

static const struct phase onebuilder_phases[] = {{"allocate", onebuilder_build}, {0}};

/* --- one random graph --------------------------------------------------------------------------------------- */

static void shared_nodes(struct worker *w)
{
    struct run *run = w->run;
    roots_create(w, run->objects);
    for (size_t i = 0; i < run->objects; i++) {
        w->nodes[i] = node_create(w, i % TREE);
        hearth_store(w->mutator, w->roots, (void **)w->roots + i, w->nodes[i]);
    }
    w->count = run->objects;
}

static void shared_edges(struct worker *w)
{
    struct run *run = w->run;
    for (size_t i = 0; i < w->count; i++)
        for (int r = 0; r < RUN_DEGREE; r++) {
            struct worker *o = &run->worker[run_random(w, (uint64_t)run->threads)];
            hearth_store(w->mutator, w->nodes[i], (void **)&w->nodes[i]->ref[r],
                         o->nodes[run_random(w, o->count)]);
        }
}

/* Most roots go: the graph is found through its edges. */
static void shared_unroot(struct worker *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (i % ROOT_EVERY != 0)
            hearth_store(w->mutator, w->roots, (void **)w->roots + i, NULL);
}

/* Nodes without a way to them are gone; those that are rooted are whole. */
static bool shared_check(struct run *run)
{
    for (int t = 0; t < run->threads; t++)
        for (size_t i = 0; i < run->worker[t].count; i += ROOT_EVERY)
            if (run->worker[t].nodes[i]->number != i % TREE)
                return false;
    return true;
}

static const struct phase shared_phases[] = {
    {"allocate", shared_nodes}, {"link", shared_edges}, {"unroot", shared_unroot}, {0}};

/* --- cache ------------------------------------------------------------------------------------------------ */

/* Thread 0 makes the table; the others come after the barrier. */
static void cache_create(struct worker *w)
{
    struct run *run = w->run;
    run->buckets = run->objects * (size_t)run->threads / 2;
    if (w->index == 0)
        run->table = object_or_fail(hearth_new_array(w->mutator, run->refs, run->buckets));
    roots_create(w, run->objects);
}

/* Entries with their values; each thread holds its own until the next phase. */
static void cache_entries(struct worker *w)
{
    struct run *run = w->run;
    for (size_t i = 0; i < run->objects; i++) {
        size_t size = (size_t)16 << run_random(w, 6);
        struct entry *entry =
            object_or_fail(hearth_alloc(w->mutator, run->entry, sizeof(struct entry)));
        hearth_store(w->mutator, w->roots, (void **)w->roots + i, entry);
        void *value = object_or_fail(hearth_alloc_array(w->mutator, run->bytes, size));
        hearth_store(w->mutator, entry, &entry->value, value);
    }
}

/* An entry takes the place of a random bucket's chain; one in four is chained before it. Two threads may
 * take the same bucket at once: one of their entries is lost, as in any cache. */
static void cache_put(struct worker *w)
{
    struct run *run = w->run;
    for (size_t i = 0; i < run->objects; i++) {
        struct entry *entry = ((struct entry **)w->roots)[i];
        size_t bucket = run_random(w, run->buckets);
        void **slot = (void **)run->table + bucket;
        struct entry *before = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
        entry->key = bucket;
        if (before != NULL && before->next == NULL && run_random(w, 4) == 0)
            hearth_store(w->mutator, entry, (void **)&entry->next, before);
        hearth_store(w->mutator, run->table, slot, entry);
    }
    w->roots = NULL; /* what was replaced is garbage */
}

static bool cache_check(struct run *run)
{
    size_t found = 0;
    for (size_t i = 0; i < run->buckets; i++)
        for (struct entry *e = ((void **)run->table)[i]; e != NULL; e = e->next, found++)
            if (e->key != i || !hearth_is_object(run->heap, e->value))
                return false;
    return found > run->buckets / 4;
}

static const struct phase cache_phases[] = {
    {"create", cache_create}, {"allocate", cache_entries}, {"link", cache_put}, {0}};

/* --- hard cases for tracing by node ------------------------------------------------------------------------- */

/* One list whose every link leads to the next node; held by its head alone. */
static void alternate_build(struct worker *w)
{
    struct run *run = w->run;
    int nodes = hearth_topology_nodes(hearth_heap_topology(run->heap));
    if (w->index != 0)
        return;
    w->roots = object_or_fail(hearth_new_array(w->mutator, run->refs, 1));
    struct node *before = NULL;
    for (size_t i = 0; i < run->objects * (size_t)run->threads; i++) {
        struct node *node =
            object_or_fail(hearth_new_on(w->mutator, run->node, 0, (int)(i % (size_t)nodes)));
        node->number = i;
        if (before == NULL)
            hearth_store(w->mutator, w->roots, (void **)w->roots, node);
        else
            hearth_store(w->mutator, before, (void **)&before->ref[0], node);
        before = node;
    }
}

static bool alternate_check(struct run *run)
{
    size_t count = 0;
    for (struct node *n = *(struct node **)run->worker[0].roots; n != NULL; n = n->ref[0], count++)
        if (n->number != count)
            return false;
    return count == run->objects * (size_t)run->threads;
}

static const struct phase alternate_phases[] = {{"allocate", alternate_build}, {0}};

/* Everybody's trees, found from one array on the first thread's node. */
static void oneroot_gather(struct worker *w)
{
    struct run *run = w->run;
    size_t trees = run->objects / TREE, all = trees * (size_t)run->threads;
    if (w->index != 0)
        return;
    run->table = object_or_fail(hearth_new_array(w->mutator, run->refs, all));
    for (size_t i = 0; i < all; i++) {
        void **roots = run->worker[i / trees].roots;
        hearth_store(w->mutator, run->table, (void **)run->table + i, roots[i % trees]);
    }
}

static void oneroot_drop(struct worker *w)
{
    w->roots = NULL;
}

static const struct phase oneroot_phases[] = {
    {"allocate", trees_own}, {"gather", oneroot_gather}, {"drop", oneroot_drop}, {0}};

const struct workload run_workloads[] = {{"trees", trees_phases, trees_check},
                                         {"shared", shared_phases, shared_check},
                                         {"onebuilder", onebuilder_phases, trees_check},
                                         {"cache", cache_phases, cache_check},
                                         {"alternate", alternate_phases, alternate_check},
                                         {"oneroot", oneroot_phases, trees_check},
                                         {0}};
