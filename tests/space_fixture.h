/* tests/space_fixture.h - a heap's memory without a collector, for the tests of pools and objects.
 *
 * The tests play the mutator (fixture_mutator) and the collector: they set marks themselves and
 * sweep with fixture_sweep, which does with blocks what a full collection does. */
#ifndef HEARTH_TESTS_SPACE_FIXTURE_H
#define HEARTH_TESTS_SPACE_FIXTURE_H

#include <sys/mman.h>

#include "alloc/hole.h"
#include "alloc/large.h"
#include "alloc/sweep.h"
#include "tests/window_fixture.h"

/* Marks as the collector has them (gc/mark.h). */
enum { MARK_GEN1 = 1, MARK_GEN1_BEFORE = 2, MARK_OLD = 4, MARK_OLD_BEFORE = 8 };

enum { CHUNK_ALL = HA_DATA_BLOCKS }; /* blocks of one chunk */

struct fixture_heap {
    struct fixture_heap *next; /* all that are open */
    struct ha_space space;
    struct hearth_topology *topology;
    struct hearth_options options;
};

struct fixture_mutator {
    struct fixture_mutator *next;
    struct ha_allocator allocator;
    hearth_run run[HEARTH_RUNS];
};

/* Spaces and mutators that a test leaves open: in reach of the leak checker. */
static struct fixture_heap *fixture_heaps;
static struct fixture_mutator *fixture_mutators;

/* Nodes in a row: the distance grows with the difference of the numbers, the lower wins. */
static inline struct hearth_topology *fixture_row(int nodes)
{
    struct hearth_topology *topology = fixture_topology(nodes);

    for (int i = 0; i < nodes; i++) {
        int n = 0;

        for (int far = 0; far < nodes; far++) {
            topology->distance[i][far] = (uint16_t)(10 + 5 * abs(i - far));
            if (i - far >= 0)
                topology->node[i].order[n++] = (uint8_t)(i - far);
            if (far > 0 && i + far < nodes)
                topology->node[i].order[n++] = (uint8_t)(i + far);
        }
        ck_assert_int_eq(n, nodes);
    }
    return topology;
}

static inline hearth_status fixture_space_try(struct fixture_heap *heap, size_t blocks)
{
    hearth_status status = ha_space_init(&heap->space, heap->topology, &heap->options, heap);

    heap->space.limit = heap->space.budget = blocks;
    return status;
}

/* Not initialised yet: the options can be changed. */
static inline struct fixture_heap *fixture_plan(int nodes)
{
    struct fixture_heap *heap = calloc(1, sizeof *heap);

    ck_assert_ptr_nonnull(heap);
    heap->topology = fixture_row(nodes);
    heap->next = fixture_heaps;
    fixture_heaps = heap;
    return heap;
}

/* A space of so many nodes, windows of `window` bytes (0: automatic) and a budget of `blocks`. */
static inline struct fixture_heap *fixture_space(int nodes, size_t window, size_t blocks)
{
    struct fixture_heap *heap = fixture_plan(nodes);

    heap->options.window = window;
    HARNESS_OK(fixture_space_try(heap, blocks));
    ck_assert_int_eq(heap->space.nodes, nodes);
    return heap;
}

static inline void fixture_space_close(struct fixture_heap *heap)
{
    struct ha_windows *windows = heap->space.windows;

    ha_space_destroy(&heap->space);
    HARNESS_OK(ha_windows_check(windows));
    struct fixture_heap **link = &fixture_heaps;
    while (*link != heap)
        link = &(*link)->next;
    *link = heap->next;
    free(heap->topology);
    free(heap);
}

static inline hearth_status fixture_checked(struct ha_space *space)
{
    ha_space_hold(space);
    hearth_status status = ha_space_check(space);
    ha_space_release(space);
    return status;
}

static inline void fixture_check(struct ha_space *space)
{
    hearth_status status = fixture_checked(space);

    if (status != HEARTH_OK)
        ck_abort_msg("check: %s", hearth_last_error());
}

static inline struct fixture_mutator *fixture_mutator(struct ha_space *space, int node)
{
    struct fixture_mutator *mutator = calloc(1, sizeof *mutator);

    ck_assert_ptr_nonnull(mutator);
    mutator->allocator.run = mutator->run;
    mutator->allocator.space = space;
    mutator->allocator.node = node;
    mutator->next = fixture_mutators;
    fixture_mutators = mutator;
    return mutator;
}

/* A cell of the run, as the collector's slow path takes it; NULL when there is no block. */
static inline char *fixture_cell(struct fixture_mutator *mutator, unsigned run)
{
    struct ha_allocator *allocator = &mutator->allocator;
    struct hearth_run *r = &mutator->run[run];
    size_t cell = ha_class_cell(run / 2);
    enum ha_refusal why;

    while ((size_t)(r->limit - r->cursor) < cell) {
        if (ha_run_next(allocator, run) != 0)
            continue;
        struct ha_block *block =
            ha_space_take(allocator->space, allocator->node, run, HA_EFFORT_NORMAL, &why);

        if (block == NULL)
            return NULL;
        ha_run_hold(allocator, run, block);
    }
    r->cursor += cell;
    return r->cursor - cell;
}

/* Where the class table of a block is. */
static inline const struct ha_class *fixture_class(const struct ha_block *block)
{
    return &ha_chunk_of(block)->pool->classes.of[block->size_class];
}

static inline uint8_t *fixture_mark(const struct ha_block *block, unsigned cell)
{
    return ha_meta_of(ha_object_at(block, cell));
}

/* The list of a block of cells after sweeping: free, or by how free it is. */
static inline void fixture_sort(struct ha_space *space, struct ha_pool *pool,
                                struct ha_block *block, struct ha_swept swept, uint32_t now_ms)
{
    if (swept.live == 0) {
        ha_pool_free(pool, block, 1, now_ms);
        ha_space_refund(space, 1);
        return;
    }
    if (swept.aging)
        ha_pool_add_young(pool, block);
    ha_pool_sort(pool, block);
}

static inline void fixture_sweep_large(struct ha_space *space, struct ha_pool *pool,
                                       struct ha_list *list, uint32_t now_ms)
{
    for (struct ha_block *block = list->head, *next; block != NULL; block = next) {
        next = block->next;
        if (ha_mark_load(ha_meta_of(ha_large_object(block))) == MARK_OLD) {
            if (list == &pool->large_young) {
                ha_list_remove(list, block);
                ha_list_append(&pool->large_old, block);
                block->live = 1;
            }
            continue;
        }
        ha_list_remove(list, block);
        ha_large_give(space, pool, block, now_ms);
    }
}

/* What a full collection does to the blocks: MARK_OLD and MARK_GEN1 live. Allocators are flushed. */
static inline void fixture_sweep(struct ha_space *space, uint32_t now_ms)
{
    ha_space_hold(space);
    for (int n = 0; n < space->nodes; n++) {
        struct ha_pool *pool = space->pool[n];

        fixture_sweep_large(space, pool, &pool->large_old, now_ms);
        fixture_sweep_large(space, pool, &pool->large_young, now_ms);
        for (struct ha_block *block = pool->young; block != NULL; block = block->young_next)
            block->young = 0;
        pool->young = NULL;
        pool->young_blocks = 0;
        pool->live_bytes = pool->live_objects = 0;
        for (struct ha_block *b = pool->large_old.head; b != NULL; b = b->next) {
            pool->live_objects++;
            pool->live_bytes += b->size;
        }
        for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next)
            for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
                struct ha_block *block = ha_block_at(chunk, i);

                if (block->state != HA_PARTIAL && block->state != HA_FULL)
                    continue;
                ha_pool_unsort(pool, block);
                block->touched = 1; /* the tests may have marked cells */
                struct ha_swept swept =
                    ha_sweep_block(block, MARK_GEN1_BEFORE, MARK_OLD_BEFORE, MARK_GEN1);
                if (space->poison)
                    ha_poison_block(block);
                pool->live_objects += swept.live;
                pool->live_bytes += (uint64_t)swept.live * block->cell;
                fixture_sort(space, pool, block, swept, now_ms);
            }
    }
    ha_space_release(space);
}

/* Bytes of [address, address + bytes) that are in memory; page-aligned. */
static inline size_t fixture_resident(const void *address, size_t bytes)
{
    unsigned char *vector = calloc(bytes / HA_PAGE, 1);
    size_t resident = 0;

    ck_assert_ptr_nonnull(vector);
    ck_assert_int_eq(mincore((void *)(uintptr_t)address, bytes, vector), 0);
    for (size_t i = 0; i < bytes / HA_PAGE; i++)
        resident += vector[i] & 1;
    free(vector);
    return resident * HA_PAGE;
}

#endif
