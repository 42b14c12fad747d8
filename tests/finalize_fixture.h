/* tests/finalize_fixture.h - finalizers that write down what they are called with, and heaps to try them in.
 *
 * The log is the process's; finalizers of several threads may write it at once. */
#ifndef HEARTH_TESTS_FINALIZE_FIXTURE_H
#define HEARTH_TESTS_FINALIZE_FIXTURE_H

#include "tests/mutator_fixture.h"

enum { FINALIZE_LOG = 4096 };

static uint64_t finalize_log[FINALIZE_LOG]; /* values of the nodes, in the order of the calls */
static size_t finalize_count;               /* calls (atomic)                                  */

/* Every way of collecting that finalizers have to do with. */
static const char *const finalize_ways[] = {
    "verify=on",
    "verify=on,stress=1",
    "verify=on,generational=off",
    "verify=on,fake-nodes=2,mode=local,workers=3,help-after=0",
    "verify=on,fake-nodes=2,mode=interleave,workers=2,help-after=0,stress=2,nursery=256k",
};
enum { FINALIZE_WAYS = sizeof finalize_ways / sizeof finalize_ways[0] };

/* Writes down the value; `data` may point to a counter. */
static inline hearth_status finalize_note(hearth_mutator *mutator, void *object, void *data)
{
    const struct fixture_node *node = object;
    size_t at = __atomic_fetch_add(&finalize_count, 1, __ATOMIC_RELAXED);

    EXPECT(hearth_is_finalized(mutator->heap, object));
    if (at < FINALIZE_LOG)
        finalize_log[at] = node->value;
    if (data != NULL)
        __atomic_fetch_add((uint64_t *)data, 1, __ATOMIC_RELAXED);
    return HEARTH_OK;
}

static inline size_t finalize_calls(void)
{
    return __atomic_load_n(&finalize_count, __ATOMIC_RELAXED);
}

/* A node with a finalizer, referred to by *root (a root). */
static inline struct fixture_node *finalize_new(struct fixture *f, void **root, uint64_t value,
                                                int priority)
{
    struct fixture_node *node = fixture_new(f->mutator, f->node, value);

    *root = node;
    HARNESS_OK(hearth_finalizer_add(f->mutator, node, finalize_note, NULL, priority));
    return node;
}

/* Nodes of this type have the finalizer from the beginning. */
static inline hearth_type finalize_type(hearth_heap *heap, hearth_finalizer_fn *fn, void *data)
{
    hearth_type_info info = {.struct_size = sizeof info,
                             .name = "finalized",
                             .size = sizeof(struct fixture_node),
                             .ref_bitmap = 3,
                             .finalize = fn,
                             .finalize_data = data};
    hearth_type type = 0;

    HARNESS_OK(hearth_type_register(heap, &info, &type));
    return type;
}

/* Nodes of this type are garbage, never freed, when nothing refers to them. */
static inline hearth_type finalize_legacy_type(hearth_heap *heap)
{
    hearth_type_info info = {.struct_size = sizeof info,
                             .name = "legacy",
                             .size = sizeof(struct fixture_node),
                             .ref_bitmap = 3,
                             .flags = HEARTH_TYPE_LEGACY_FINALIZER};
    hearth_type legacy = 0;

    HARNESS_OK(hearth_type_register(heap, &info, &legacy));
    return legacy;
}

/* Makes `count` unreachable nodes with finalizers of values 0, 1, ... and collects. */
static inline void make_due(struct fixture *f, uint64_t count, hearth_finalizer_fn *fn, void *data)
{
    for (uint64_t i = 0; i < count; i++) {
        struct fixture_node *node = fixture_new(f->mutator, f->node, i);
        HARNESS_OK(hearth_finalizer_add(f->mutator, node, fn, data, 0));
    }
    fixture_collect(f->mutator, 2);
}

struct reports {
    size_t count;
    hearth_status status[3];
    char message[3][80];
};

static inline void report(void *data, hearth_mutator *mutator, void *object, hearth_status status,
                          const char *message)
{
    struct reports *reports = data;
    EXPECT(hearth_is_object(mutator->heap, object));
    EXPECT(hearth_new_array(mutator, 0, 1) == NULL); /* fails, but may be called */
    reports->status[reports->count] = status;
    snprintf(reports->message[reports->count++], 80, "%s", message);
}

#endif
