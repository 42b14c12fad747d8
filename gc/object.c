/* gc/object.c - questions about objects: type, length, node, is it one.
 *
 * Whether an address is an object is decided under heap->lock: no collection runs then and no mutator comes or
 * goes, but others allocate. An object that the caller holds stays in its block; the block may be
 * used up and dropped by its mutator meanwhile (state before hole: ha_run_drop), so the answer is taken
 * again if its state has changed. Lock order: heap->lock first of all. */
#include "alloc/large.h"
#include "gc/guard.h"
#include "gc/heap.h"
#include "gc/slots.h"
#include "topology/error.h"

/* Another thread's run, that it may be moving: any value of the cursor that lies in the block is right. */
__attribute__((no_sanitize("thread"), noinline)) static bool
hg_below_cursor(const struct ha_allocator *allocator, unsigned k, const struct ha_block *block,
                uintptr_t object, bool *held)
{
    if (*(struct ha_block *const volatile *)&allocator->hole[k].block != block)
        return false;
    uintptr_t cursor = (uintptr_t) * (char *const volatile *)&allocator->run[k].cursor;
    *held = true;
    return cursor - (uintptr_t)ha_block_start(block) <= HA_BLOCK && object - HEARTH_HEADER < cursor;
}

/* A block that a mutator holds now: cells below its cursor are allocated. */
static bool hg_in_held_block(hearth_heap *heap, const struct ha_block *block, uintptr_t object)
{
    unsigned k = __atomic_load_n(&block->run, __ATOMIC_RELAXED);
    bool held = false;
    for (struct hg_mutator *m = heap->mutators; m != NULL && !held; m = m->next) {
        if (hg_below_cursor(&m->allocator, k, block, object, &held))
            return true;
        for (int n = 0; n < heap->space.nodes && !held; n++) {
            const struct hg_remote *remote = __atomic_load_n(&m->remote[n], __ATOMIC_ACQUIRE);
            if (remote != NULL && hg_below_cursor(&remote->allocator, k, block, object, &held))
                return true;
        }
    }
    return false;
}

/* The block of an address in an ordinary chunk of this heap, NULL if there is none. */
static const struct ha_block *hg_small_block(const hearth_heap *heap, uintptr_t address)
{
    const struct ha_windows *windows = heap->space.windows;
    if (!ha_windows_contain(windows, address))
        return NULL;
    const struct ha_slot *slot = &windows->slot[(address - windows->base) >> HA_CHUNK_SHIFT];
    if (__atomic_load_n(&slot->owner, __ATOMIC_ACQUIRE) != heap || slot->head != 0 ||
        ha_chunk_of((void *)address)->span != 1 || ha_block_index(address) < HA_HEAD_BLOCKS)
        return NULL;
    return ha_block_of(address);
}

bool hg_is_object(hearth_heap *heap, uintptr_t address)
{
    if (address == 0 || address % HEARTH_GRANULE != 0)
        return false;
    const struct ha_block *block = hg_small_block(heap, address);
    for (;;) {
        uint8_t before = block != NULL ? __atomic_load_n(&block->state, __ATOMIC_ACQUIRE) : HA_NONE;
        if (ha_space_find(&heap->space, address) == address)
            return true;
        if (before != HA_CURRENT)
            return false;
        uintptr_t offset = address - (uintptr_t)ha_block_start(block) - HEARTH_GRANULE;
        if (offset % block->cell != 0)
            return false;
        if (hg_in_held_block(heap, block, address))
            return true;
        if (__atomic_load_n(&block->state, __ATOMIC_ACQUIRE) == HA_CURRENT)
            return false;
    }
}

bool hg_is_object_locked(hearth_heap *heap, uintptr_t address)
{
    hearth_mutator *mutator = hearth_current(heap);
    bool collecting = __atomic_load_n(&heap->collecting, __ATOMIC_RELAXED);
    if (collecting && (mutator == NULL || hg_in_callback(heap)))
        return hg_is_object(heap, address); /* a callback: the world stands, the lock is taken */
    pthread_mutex_lock(&heap->lock);
    bool is_object = hg_is_object(heap, address);
    pthread_mutex_unlock(&heap->lock);
    return is_object;
}

bool hg_is_object_for(struct hg_mutator *m, uintptr_t address)
{
    hearth_heap *heap = m->public.heap;
    if (address == 0 || address % HEARTH_GRANULE != 0)
        return false;
    if (ha_space_find(&heap->space, address) == address)
        return true;
    const struct ha_block *block = hg_small_block(heap, address);
    bool held = false;
    if (block == NULL)
        return false;
    unsigned k = __atomic_load_n(&block->run, __ATOMIC_RELAXED);
    if (__atomic_load_n(&block->state, __ATOMIC_ACQUIRE) == HA_CURRENT &&
        (address - HEARTH_GRANULE - (uintptr_t)ha_block_start(block)) % block->cell == 0 &&
        hg_below_cursor(&m->allocator, k, block, address, &held))
        return true;
    return !held && hg_is_object_locked(heap, address);
}

bool hearth_is_object(hearth_heap *heap, const void *address)
{
    if (heap == NULL) {
        ht_fail(HEARTH_EINVAL, "hearth_is_object: heap is NULL (address %p)", address);
        return false;
    }
    return hg_is_object_locked(heap, (uintptr_t)address);
}

/* The type's row and the header; NULL with the error set if it is not even in the windows. */
static const struct hg_type *hg_row_of(hearth_heap *heap, const void *object, uint64_t *header,
                                       const char *call)
{
    if (heap == NULL) {
        ht_fail(HEARTH_EINVAL, "%s: heap is NULL (object %p)", call, object);
        return NULL;
    }
    if (!ha_windows_contain(heap->space.windows, (uintptr_t)object - HEARTH_HEADER)) {
        ht_fail(HEARTH_EOBJECT, "%s: %p is not in this heap", call, object);
        return NULL;
    }
    *header = __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED);
    return &heap->types.row[hg_header_type(*header)];
}

size_t hearth_usable_size(hearth_heap *heap, const void *object)
{
    if (heap == NULL) {
        ht_fail(HEARTH_EINVAL, "hearth_usable_size: heap is NULL (object %p)", object);
        return 0;
    }
    if (!hg_is_object_locked(heap, (uintptr_t)object)) {
        ht_fail(HEARTH_EOBJECT, "hearth_usable_size: %p is not an object of this heap", object);
        return 0;
    }
    if (heap->space.guarded)
        return hg_guarded_payload(heap, (uintptr_t)object);
    return ha_object_capacity((uintptr_t)object);
}

size_t hearth_length(hearth_heap *heap, const void *object)
{
    uint64_t header;
    const struct hg_type *type = hg_row_of(heap, object, &header, "hearth_length");
    return type != NULL ? hg_object_count((uintptr_t)object, header, type) : 0;
}

hearth_type hearth_type_of(hearth_heap *heap, const void *object)
{
    uint64_t header;
    const struct hg_type *type = hg_row_of(heap, object, &header, "hearth_type_of");
    return type != NULL ? type->handle : 0;
}

int hearth_node_of(hearth_heap *heap, const void *object)
{
    uint64_t header;
    if (hg_row_of(heap, object, &header, "hearth_node_of") == NULL)
        return -1;
    return ha_node_of(heap->space.windows, (uintptr_t)object);
}
