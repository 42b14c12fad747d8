/* gc/alloc.c - the slow path of allocation: runs, blocks, large objects, and what to do when there is
 * no room.
 *
 * Escalation: take a block; else collect what pacing says; else collect everything; else take also
 * nearly full blocks and other nodes'; else raise the budget up to the limit; else run finalizers that
 * are due and collect again; else fail with a status. What other mutators take in between does not count: it fails only if the last full
 * collection, whoever made it, left too little. The mutator's node is latched once per block. No lock is
 * held when collecting. */
#include <assert.h>

#include "alloc/large.h"
#include "gc/guard.h"
#include "gc/heap.h"
#include "gc/page.h"
#include "gc/slots.h"
#include "topology/error.h"

enum { HG_ALLOWANCE = 64 << 10 }; /* bytes of the nursery a mutator takes at a time */

/* Why the last attempt failed, and how far escalation has come. */
struct hg_hunger {
    int attempt;
    int rounds; /* how often escalation has begun again            */
    enum ha_refusal why;
    uint64_t fulls; /* full collections that had ended when it began   */
    int pressed;    /* how often the embedder was asked to drop things  */
};

enum { HG_PRESSED = 8 }; /* times that may be */
enum { HG_ROUNDS = 64 }; /* of escalation, while others take what is freed */

/* The mutator's runs in another node's memory, made at first use. */
static struct ha_allocator *hg_remote_runs(struct hg_mutator *m, int node)
{
    if (m->public.heap->space.nodes == 1 || node == m->node)
        return &m->allocator;
    if (m->remote[node] == NULL) {
        struct hg_remote *remote = hg_meta_near(m->public.heap, m->home, sizeof *remote);
        if (remote == NULL)
            return NULL;
        remote->allocator.run = remote->run;
        remote->allocator.space = &m->public.heap->space;
        remote->allocator.node = node;
        __atomic_store_n(&m->remote[node], remote, __ATOMIC_RELEASE); /* object.c looks at it */
    }
    return &m->remote[node]->allocator;
}

/* Charge the nursery; false: it is used up, collect first. */
static bool hg_nursery_charge(struct hg_mutator *m, size_t bytes)
{
    struct ha_space *space = &m->public.heap->space;
    m->allowance -= (int64_t)bytes;
    if (m->allowance >= 0)
        return true;
    size_t more = (size_t)-m->allowance + HG_ALLOWANCE;
    m->allowance += (int64_t)more;
    size_t used = __atomic_add_fetch(&space->nursery_used, more, __ATOMIC_RELAXED);
    return used <= __atomic_load_n(&space->nursery, __ATOMIC_RELAXED);
}

static bool hg_enabled(const hearth_heap *heap)
{
    return __atomic_load_n(&heap->pacing.enabled, __ATOMIC_RELAXED);
}

/* Safepoint work at the head of every slow path: stop request, nursery, stress. */
static void hg_slow_entry(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    if (__atomic_load_n(&m->public.poll, __ATOMIC_RELAXED) != 0)
        hearth_safepoint_slow(&m->public);
    if (m->stress != 0 && --m->stress == 0) {
        m->stress = (uint64_t)heap->options.stress;
        uint64_t number = __atomic_load_n(&heap->collections, __ATOMIC_RELAXED);
        hearth_gc_kind kind = number % 4 == 3 ? HEARTH_GC_FULL : hg_pacing_kind(heap);
        hg_collect(m, kind, false, HEARTH_REASON_STRESS);
    } else if (__atomic_load_n(&heap->space.nursery_used, __ATOMIC_RELAXED) >=
                   __atomic_load_n(&heap->space.nursery, __ATOMIC_RELAXED) &&
               hg_enabled(heap)) {
        hg_collect(m, hg_pacing_kind(heap), false, HEARTH_REASON_NURSERY);
    } else if (hg_threshold_on(heap)) {
        hg_threshold_entry(m);
    }
    hg_pending_run(m);
    if (hg_pressure_due(&heap->pressure))
        hg_pressure_run(m);
}

void hg_charge_external(struct hg_mutator *m, size_t bytes, bool used_up)
{
    hearth_heap *heap = m->public.heap;
    bool fits = hg_nursery_charge(m, bytes);
    if (hg_enabled(heap) && (used_up || !fits))
        hg_collect(m, used_up ? HEARTH_GC_FULL : hg_pacing_kind(heap), false,
                   HEARTH_REASON_EXTERNAL);
    hg_pending_run(m);
    hg_pressure_run(m);
}

static size_t hg_limit(const hearth_heap *heap)
{
    return __atomic_load_n(&heap->space.limit, __ATOMIC_RELAXED);
}

/* Full collections so far; *room gets the blocks that the last of all collections left to the limit. */
static uint64_t hg_full_collections(hearth_heap *heap, size_t *room)
{
    struct hg_stats *stats = &heap->stats;
    pthread_mutex_lock(&stats->lock);
    uint64_t fulls = stats->full;
    size_t used = (size_t)(stats->last.heap_bytes >> HA_BLOCK_SHIFT);
    pthread_mutex_unlock(&stats->lock);
    *room = hg_limit(heap) > used ? hg_limit(heap) - used : 0;
    return fulls;
}

/* A full collection that began after hunger did: this thread's, unless another one was quicker. */
static void hg_emergency(struct hg_mutator *m, const struct hg_hunger *hunger)
{
    size_t room;
    while (!hg_collect(m, HEARTH_GC_FULL, false, HEARTH_REASON_EMERGENCY) &&
           hg_full_collections(m->public.heap, &room) == hunger->fulls)
        ;
}

static void hg_no_room(hearth_heap *heap, const struct hg_hunger *hunger, size_t blocks, int node)
{
    if (hunger->why == HA_NO_MEMORY)
        ht_fail(HEARTH_ENOMEM, "node %d has no memory left for %zu more blocks of 64 KiB", node,
                blocks);
    else
        ht_fail(HEARTH_ELIMIT, "heap limit: %zu of %zu bytes in use, %zu more wanted",
                ha_space_used_bytes(&heap->space), hg_limit(heap) << HA_BLOCK_SHIFT,
                blocks << HA_BLOCK_SHIFT);
}

/* Make room somehow; false: there is none, the error is set. */
static bool hg_make_room(struct hg_mutator *m, struct hg_hunger *hunger, size_t blocks, int node)
{
    hearth_heap *heap = m->public.heap;
    size_t room;
    uint64_t fulls = hg_full_collections(heap, &room);
    switch (hunger->attempt++) {
    case 0:
        hunger->fulls = fulls;
        if (!hg_enabled(heap) && hg_pacing_stretch(heap, blocks)) {
            hunger->attempt = 0;
            return true;
        }
        hg_collect(m, hg_pacing_kind(heap), false, HEARTH_REASON_BUDGET);
        return true;
    case 1:
        hg_emergency(m, hunger);
        return true;
    case 2:
        hg_pacing_stretch(heap, blocks);
        return true; /* and nearly full blocks: the effort is HA_EFFORT_TIGHT now */
    default:
        break;
    }
    if (hunger->why == HA_OVER_BUDGET && hg_pacing_stretch(heap, blocks))
        return true; /* another mutator took what was stretched before */
    if (hunger->why == HA_OVER_BUDGET && room >= blocks && hunger->rounds++ < HG_ROUNDS) {
        hunger->attempt = 1; /* others took what was freed */
        hunger->fulls = fulls;
        return true;
    }
    if (hunger->rounds < HG_ROUNDS && hg_pending_run(m) != 0) {
        hunger->rounds++; /* finalizers held memory: collect once more */
        hunger->attempt = 1;
        hunger->fulls = fulls;
        return true;
    }
    hearth_status status = hunger->why == HA_NO_MEMORY ? HEARTH_ENOMEM : HEARTH_ELIMIT;
    if (hunger->pressed++ < HG_PRESSED && hg_pressure_hard(m, status, blocks, node)) {
        hunger->attempt = 1; /* what was dropped is to be collected */
        hunger->fulls = hg_full_collections(heap, &room);
        return true;
    }
    hg_no_room(heap, hunger, blocks, node);
    return false;
}

/* The node to take memory from: asked for, the mutator's own, or that of the CPU it runs on now. */
static int hg_latch_node(const struct hg_mutator *m, int wish)
{
    const hearth_heap *heap = m->public.heap;
    if (wish >= 0)
        return wish;
    if (m->node >= 0)
        return m->node;
    if (heap->options.preferred >= 0)
        return (int)heap->options.preferred;
    return heap->space.nodes > 1 ? ht_topology_here(heap->topology) : 0;
}

static void hg_note_spill(struct hg_mutator *m, int node, uintptr_t address, size_t bytes)
{
    hearth_heap *heap = m->public.heap;
    if (heap->space.nodes == 1 || ha_node_of(heap->space.windows, address) == node)
        return;
    hg_pressure_spilled(&heap->pressure, node);
    hg_observe_spilled(heap, node, ha_node_of(heap->space.windows, address), bytes);
}

static __attribute__((noinline)) bool hg_next_block(struct hg_mutator *m, struct ha_allocator *from,
                                                    unsigned k, int wish, struct hg_hunger *hunger)
{
    struct ha_space *space = &m->public.heap->space;
    from->node = hg_latch_node(m, wish);
    bool tight = hunger->attempt > 2;
    bool near = hunger->attempt == 0 && hg_enabled(m->public.heap) &&
                (hg_pacing_kind(m->public.heap) == HEARTH_GC_FULL || ha_space_borrows(space));
    struct ha_block *block = ha_space_take(space, from->node, k, HA_EFFORT_NORMAL, &hunger->why);
    if (block == NULL && (tight || near))
        block = ha_space_take(space, from->node, k, tight ? HA_EFFORT_TIGHT : HA_EFFORT_NEAR,
                              &hunger->why);
    if (block == NULL)
        return hg_make_room(m, hunger, 1, from->node);
    ha_run_hold(from, k, block);
    if (__builtin_expect(m->public.heap->page != NULL, 0))
        hg_page_update(m->public.heap, false);
    hg_note_spill(m, from->node, (uintptr_t)block, HA_BLOCK);
    return true;
}

/* A cell of run index `k`; NULL with the error set. `wish`: a node asked for, or -1. */
static __attribute__((noinline)) void *hg_cell(struct hg_mutator *m, struct ha_allocator *from,
                                               unsigned k, size_t cell, uint64_t header, int wish)
{
    struct hearth_run *run = &from->run[k];
    struct hg_hunger hunger = {0, 0, HA_GRANTED, 0, 0};
    if (!ha_run_step(from, k))
        hg_slow_entry(m);
    while ((size_t)(run->limit - run->cursor) < cell) {
        bool counted = hg_threshold_on(m->public.heap);
        from->portion = counted ? hg_threshold_portion(m) : 0;
        uint64_t before = from->objects;
        size_t bytes = ha_run_next(from, k);
        if (bytes != 0) {
            hg_nursery_charge(m, bytes);
            m->credit -= counted ? (int64_t)(from->objects - before) : 0;
        } else if (!hg_next_block(m, from, k, wish, &hunger)) {
            return NULL;
        }
    }
    char *at = run->cursor;
    run->cursor = at + cell;
    *(uint64_t *)(void *)at = header;
    return at + HEARTH_HEADER;
}

/* A large object; NULL with the error set. */
static void *hg_large(struct hg_mutator *m, size_t size, unsigned kind, uint64_t header, int wish)
{
    hearth_heap *heap = m->public.heap;
    struct hg_hunger hunger = {0, 0, HA_GRANTED, 0, 0};
    bool guarded = heap->space.guarded && header >> 32 != UINT32_MAX;
    size_t payload = guarded ? hg_guarded_size(size) : size, blocks = ha_large_blocks(payload);
    if (size > (size_t)1 << 46 || blocks > hg_limit(heap)) {
        ht_fail(HEARTH_ELIMIT, "an object of %zu bytes exceeds the heap limit of %zu bytes", size,
                hg_limit(heap) << HA_BLOCK_SHIFT);
        return NULL;
    }
    hg_slow_entry(m);
    if (!hg_nursery_charge(m, size) && hg_enabled(heap))
        hg_collect(m, hg_pacing_kind(heap), false, HEARTH_REASON_LARGE);
    uintptr_t object;
    int node;
    for (;;) {
        node = hg_latch_node(m, wish);
        object = ha_large_take(&heap->space, node, payload, kind, &hunger.why);
        if (object != 0)
            break;
        if (!hg_make_room(m, &hunger, blocks, node))
            return NULL;
    }
    hg_note_spill(m, node, object, blocks << HA_BLOCK_SHIFT);
    m->allocator.bytes += payload;
    m->allocator.objects++;
    m->credit--;
    header |= HEARTH_OBJECT_LARGE | (kind == HA_SCAN ? HEARTH_OBJECT_CARDS : 0u);
    if (guarded)
        hg_guard_set((void *)object, size);
    __atomic_store_n(hearth_header_of((void *)object), header, __ATOMIC_RELEASE);
    return (void *)object;
}

/* A small object whose run is used up. */
static void *hg_small(struct hg_mutator *m, struct ha_allocator *from, size_t size, unsigned kind,
                      uint64_t header, int wish)
{
    bool guarded = m->public.heap->space.guarded;
    size_t whole = guarded ? hg_guarded_size(size) : size;
    if (whole > HA_SMALL_MAX)
        return hg_large(m, size, kind, header, wish);
    unsigned size_class = ha_class_of(whole);
    void *object = hg_cell(m, from, size_class * 2 + kind, ha_class_cell(size_class), header, wish);
    if (guarded && object != NULL)
        hg_guard_set(object, size);
    return object;
}

/* `size` payload bytes for a known type, from the mutator's runs or those of a node. */
static inline __attribute__((always_inline)) void *
hg_allocate_plain(struct hg_mutator *m, struct ha_allocator *from, const struct hg_type *type,
                  size_t size, size_t count, int wish)
{
    uint64_t header =
        hearth_header_make(type->handle, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX);
    bool cards = type->cards || (type->element_bitmap != 0 && size > 256 - HEARTH_HEADER);
    if (cards)
        header |= HEARTH_OBJECT_CARDS;
    unsigned kind = type->leaf ? HA_LEAF : HA_SCAN;
    if (size > HA_SMALL_MAX)
        return hg_large(m, size, kind, header, wish);
    unsigned size_class = ha_class_of(size), k = size_class * 2 + kind;
    size_t cell = ha_class_cell(size_class);
    struct hearth_run *run = &from->run[k];
    char *at = run->cursor;
    if ((size_t)(run->limit - at) < cell)
        return hg_small(m, from, size, kind, header, wish);
    run->cursor = at + cell;
    *(uint64_t *)(void *)at = header;
    return at + HEARTH_HEADER;
}

/* An object that gets a finalizer at birth: first the memory for that. No safepoint lies between. */
static __attribute__((noinline)) void *hg_allocate_registered(struct hg_mutator *m,
                                                              struct ha_allocator *from,
                                                              const struct hg_type *type,
                                                              size_t size, size_t count, int wish)
{
    hearth_heap *heap = m->public.heap;
    struct hg_entry *entry = hg_finalizers_reserve(heap);
    if (entry == NULL) {
        ht_fail(HEARTH_ENOMEM, "type %s: no memory for the finalizer of one more object",
                type->name);
        return NULL;
    }
    void *object = hg_allocate_plain(m, from, type, size, count, wish);
    hg_finalizers_settle(heap, entry, object, type);
    return object;
}

static void *hg_allocate_from(struct hg_mutator *m, struct ha_allocator *from,
                              const struct hg_type *type, size_t size, size_t count, int wish)
{
    if (__builtin_expect(type->registered, 0))
        return hg_allocate_registered(m, from, type, size, count, wish);
    return hg_allocate_plain(m, from, type, size, count, wish);
}

static void *hg_allocate(struct hg_mutator *m, const struct hg_type *type, size_t size,
                         size_t count)
{
    return hg_allocate_from(m, &m->allocator, type, size, count, -1);
}

/* The type's row, or NULL with the error set; also checks the mutator. */
static const struct hg_type *hg_allocatable(hearth_mutator *mutator, hearth_type type,
                                            const char *call)
{
    if (hg_mutator_ready(mutator, call) != HEARTH_OK)
        return NULL;
    assert(mutator != NULL);
    const struct hg_type *row = hg_type_find(&mutator->heap->types, type);
    if (row == NULL)
        ht_fail(HEARTH_ETYPE, "%s: 0x%x is not a type of this heap", call, type);
    return row;
}

/* The next hole of the held block, when nothing else is to be done at this safepoint: what programs do most whose
 * heap is full of holes. NULL: the slow path proper, which looks at everything. */
static inline void *hg_cell_next(hearth_mutator *mutator, unsigned k, size_t cell, uint64_t header)
{
    struct hg_mutator *m = hg_mutator_of(mutator);
    hearth_heap *heap = mutator->heap;
    if (m->allowance < HA_RUN_BYTES || __atomic_load_n(&mutator->poll, __ATOMIC_RELAXED) != 0 ||
        m->stress != 0 || heap->space.checked || heap->space.guarded || hg_threshold_on(heap) ||
        m->allocator.portion != 0 || hg_is_native(m) ||
        __atomic_load_n(&heap->pending.count, __ATOMIC_RELAXED) != 0 ||
        __atomic_load_n(&heap->collecting, __ATOMIC_RELAXED))
        return NULL;
    size_t bytes = ha_run_next(&m->allocator, k);
    if (bytes == 0)
        return NULL;
    m->allowance -= (int64_t)bytes;
    char *at = mutator->run[k].cursor;
    mutator->run[k].cursor = at + cell;
    *(uint64_t *)(void *)at = header;
    return at + HEARTH_HEADER;
}

void *hearth_alloc_next(hearth_mutator *mutator, hearth_type type, size_t size)
{
    unsigned size_class = size <= HA_SMALL_MAX ? ha_class_of(size) : 0;
    size_t cell = ha_class_cell(size_class);
    if (mutator == NULL || type >> 16 != cell / HEARTH_GRANULE)
        return hearth_alloc_slow(mutator, type, size); /* which says what is wrong */
    void *object =
        hg_cell_next(mutator, size_class * 2 + (type & 1), cell, hearth_header_make(type, 0));
    return object != NULL ? object : hearth_alloc_slow(mutator, type, size);
}

void *hearth_array_next(hearth_mutator *mutator, hearth_type type, size_t count)
{
    uint32_t index = (type & 0xffffu) >> 1;
    if (mutator == NULL || type > 0xffffu || index >= mutator->shape_count || count > 0xffffu)
        return hearth_new_array(mutator, type, count);
    hearth_shape shape = mutator->shapes[index];
    size_t size = (size_t)shape.fixed + (size_t)shape.element * count;
    if (size > 256 - HEARTH_HEADER)
        return hearth_new_array(mutator, type, count);
    unsigned size_class = ha_class_of(size);
    void *object = hg_cell_next(mutator, size_class * 2 + (type & 1), ha_class_cell(size_class),
                                hearth_header_make(type, (uint32_t)count));
    return object != NULL ? object : hearth_new_array(mutator, type, count);
}

void *hearth_alloc_slow(hearth_mutator *mutator, hearth_type type, size_t size)
{
    const struct hg_type *row = hg_allocatable(mutator, type, "hearth_alloc");
    if (row == NULL)
        return NULL;
    if (row->element != 0 || row->tier == HG_TIER_MODEL || size != row->fixed) {
        ht_fail(HEARTH_ESIZE, "hearth_alloc: size %zu; type %s has %u bytes%s", size, row->name,
                row->fixed, row->element != 0 ? " and elements: use hearth_alloc_array" : "");
        return NULL;
    }
    return hg_allocate(hg_mutator_of(mutator), row, size, 0);
}

void *hearth_new(hearth_mutator *mutator, hearth_type type)
{
    const struct hg_type *row = hg_allocatable(mutator, type, "hearth_new");
    if (row == NULL)
        return NULL;
    if (row->tier == HG_TIER_MODEL) {
        ht_fail(HEARTH_ETYPE, "hearth_new: type 0x%x is the object model's: use hearth_new_sized",
                type);
        return NULL;
    }
    return hg_allocate(hg_mutator_of(mutator), row, hg_type_size(row, 0), 0);
}

void *hearth_new_array(hearth_mutator *mutator, hearth_type type, size_t count)
{
    const struct hg_type *row = hg_allocatable(mutator, type, "hearth_new_array");
    if (row == NULL)
        return NULL;
    if (row->element == 0) {
        ht_fail(HEARTH_ETYPE, "hearth_new_array: type %s has no elements", row->name);
        return NULL;
    }
    size_t size = hg_type_size(row, count);
    if (size == 0) {
        ht_fail(HEARTH_ESIZE, "hearth_new_array: %zu elements of %u bytes overflow", count,
                row->element);
        return NULL;
    }
    return hg_allocate(hg_mutator_of(mutator), row, size, count);
}

void *hearth_new_sized(hearth_mutator *mutator, hearth_type type, size_t size)
{
    const struct hg_type *row = hg_allocatable(mutator, type, "hearth_new_sized");
    if (row == NULL)
        return NULL;
    if (row->tier != HG_TIER_MODEL) {
        ht_fail(HEARTH_ETYPE, "hearth_new_sized: type %s is not the object model's", row->name);
        return NULL;
    }
    if (size == 0 || size > (size_t)1 << 46) {
        ht_fail(HEARTH_ESIZE, "hearth_new_sized: size %zu", size);
        return NULL;
    }
    return hg_allocate(hg_mutator_of(mutator), row, size, size);
}

void *hearth_new_on(hearth_mutator *mutator, hearth_type type, size_t count, int node)
{
    const struct hg_type *row = hg_allocatable(mutator, type, "hearth_new_on");
    if (row == NULL)
        return NULL;
    hearth_heap *heap = mutator->heap;
    if (node < 0 || node >= heap->topology->nodes) {
        ht_fail(HEARTH_ENODE, "hearth_new_on: node %d; the heap has nodes 0 to %d", node,
                heap->topology->nodes - 1);
        return NULL;
    }
    struct hg_mutator *m = hg_mutator_of(mutator);
    size_t size = row->tier == HG_TIER_MODEL ? count : hg_type_size(row, count);
    if (size == 0 || (row->element == 0 && row->tier != HG_TIER_MODEL && count != 0)) {
        ht_fail(HEARTH_ESIZE, "hearth_new_on: %zu elements of type %s", count, row->name);
        return NULL;
    }
    struct ha_allocator *from = hg_remote_runs(m, node);
    if (from == NULL) {
        ht_fail(HEARTH_ENOMEM, "hearth_new_on: no memory for allocation state on node %d", node);
        return NULL;
    }
    return hg_allocate_from(m, from, row, size, count, node);
}
