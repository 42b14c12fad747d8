/* gc/trace.c - the marking loop.
 *
 * A ring of prefetched references sits between the stack and the visit (Cher et al., ASPLOS 2004; OCaml's
 * prefetch buffer); in full collections it has two stages, metadata first, then the object once it
 * is newly marked: most edges of a big graph lead to objects that are marked already. Read
 * prefetches only: prefetching for write bounces lines between workers. */
#include <assert.h>

#include "gc/trace.h"

#include "gc/card.h"
#include "gc/crew.h"
#include "gc/ephemeron.h"
#include "gc/slots.h"
#include "gc/trace_work.h"

#define HG_HOT static inline __attribute__((always_inline))

enum { HG_RING = 64 };

/* Put a reference into the batch for its node; false: there is none, it is full, or (a static object) no node. */
HG_HOT bool hg_send_now(struct hg_worker *w, uintptr_t entry)
{
    uintptr_t node = (entry - w->all_base) >> w->shift;
    if (__builtin_expect(node >= HT_MAX_NODES, 0))
        return false;
    uintptr_t *at = w->out[node];
    if (__builtin_expect(hg_batch_full(at), 0)) /* or NULL */
        return false;
    *at = entry;
    w->out[node] = at + 1;
    return true;
}

/* Push a reference. `base` and `bytes` are those of the acting node's window, or of all of them if nothing
 * is routed; NULL and addresses outside fail the same comparison. */
HG_HOT void hg_push(struct hg_worker *w, uintptr_t object, uintptr_t tags, const bool routed)
{
    if (object - w->base >= w->bytes) {
        if (routed && object != 0 && !hg_send_now(w, object | tags))
            hg_send(w, object | tags);
        return;
    }
    if (__builtin_expect(w->top == HG_STACK, 0))
        hg_spill(w);
    w->stack[w->top++] = object | tags;
}

#define HG_PUSH_SLOT(slot)                                                                         \
    hg_push(w, (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED), promote, routed)

static void hg_visit_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_worker *w = (struct hg_worker *)visitor;
    hg_push(w, (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED), w->promote, w->routed);
}

void hg_trace_push(struct hg_worker *worker, uintptr_t object, uintptr_t tags)
{
    if (__builtin_expect(worker->report != NULL, 0)) {
        worker->report(worker->report_data, object);
        return;
    }
    if (worker->top == HG_STACK)
        hg_spill_roots(worker);
    hg_push(worker, object, tags, worker->routed);
}

/* Callback tiers. */
static __attribute__((noinline)) void hg_trace_callback(struct hg_worker *w, uintptr_t object,
                                                        uint64_t header, const struct hg_type *type,
                                                        uintptr_t promote)
{
    size_t size = hg_object_size(object, header, type);
    w->promote = promote;
    if (type->tier == HG_TIER_EPHEMERON) {
        hg_ephemeron_trace(w, object);
    } else if (type->tier == HG_TIER_MODEL) {
        if (w->model->size_of != NULL)
            size = w->model->size_of((void *)object);
        w->model->trace((void *)object, size, &w->visitor);
    } else {
        type->trace((void *)object, size, &w->visitor);
    }
}

/* The next slice of a large array; the entry goes back under what the slice pushes. */
static __attribute__((noinline)) void hg_trace_slice(struct hg_worker *w, uintptr_t object,
                                                     uint64_t header, const struct hg_type *type,
                                                     uintptr_t promote)
{
    const bool routed = w->routed;
    struct ha_block *block = ha_block_of(object);
    size_t count = hg_object_count(object, header, type);
    assert(type->element != 0);
    size_t per_slice = HG_SLICE * sizeof(void *) / type->element + 1;
    size_t slice = __atomic_fetch_add(&block->scan, 1, __ATOMIC_RELAXED);
    size_t from = slice * per_slice, to = from + per_slice < count ? from + per_slice : count;
    if (from >= count)
        return;
    if (to < count)
        hg_push(w, object, HG_TAG_SLICE | promote, routed);
    HG_EACH_ELEMENT(object, type, from, to, HG_PUSH_SLOT);
}

/* Push what the object refers to. */
HG_HOT void hg_trace_slots(struct hg_worker *w, uintptr_t object, uint64_t header,
                           uintptr_t promote, const bool routed)
{
    const struct hg_type *type = &w->types[hg_header_type(header)];
    HG_EACH_BIT(type->bitmap, object, HG_PUSH_SLOT);
    if (type->tier == HG_TIER_OFFSETS)
        for (uint32_t i = 0; i < type->offset_count; i++)
            HG_PUSH_SLOT((void **)(void *)((char *)object + type->offsets[i]));
    if (type->tier >= HG_TIER_CALLBACK) {
        hg_trace_callback(w, object, header, type, promote);
    } else if (type->element_bitmap != 0) {
        if (header & HEARTH_OBJECT_LARGE) {
            __atomic_store_n(&ha_block_of(object)->scan, 0, __ATOMIC_RELAXED);
            hg_trace_slice(w, object, header, type, promote);
        } else {
            size_t count = hg_object_count(object, header, type);
            HG_EACH_ELEMENT(object, type, 0, count, HG_PUSH_SLOT);
        }
    }
}

static __attribute__((noinline)) void hg_trace_any(struct hg_worker *w, uintptr_t object,
                                                   uint64_t header, uintptr_t promote)
{
    hg_trace_slots(w, object, header, promote, false);
}

static __attribute__((noinline)) void hg_trace_any_routed(struct hg_worker *w, uintptr_t object,
                                                          uint64_t header, uintptr_t promote)
{
    hg_trace_slots(w, object, header, promote, true);
}

static __attribute__((noinline)) void hg_send_late(struct hg_worker *w)
{
    for (uint32_t i = 0; i < w->lates; i++)
        hg_send(w, w->late[i]);
    w->lates = 0;
}

/* The same in the loop: at most 64 slots at fixed places are visited without a call or a look at the room
 * left, so that all is in registers, which the compiler dares not do with the worker's fields. */
HG_HOT void hg_trace_fixed(struct hg_worker *w, uintptr_t object, uint64_t header,
                           uintptr_t promote, const bool routed)
{
    const struct hg_type *type = &w->types[hg_header_type(header)];
    const uintptr_t base = w->base, bytes = w->bytes;
    uintptr_t *const stack = w->stack;
    size_t top = w->top;
    if (__builtin_expect(
            type->tier != HG_TIER_BITMAP || type->element != 0 || top > HG_STACK - HG_LATE, 0)) {
        if (routed)
            hg_trace_any_routed(w, object, header, promote);
        else
            hg_trace_any(w, object, header, promote);
        return;
    }
    for (uint64_t bits = type->bitmap; bits != 0; bits &= bits - 1) {
        void **slot = (void **)object + __builtin_ctzll(bits);
        uintptr_t to = (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED);
        if (to - base < bytes)
            stack[top++] = to | promote;
        else if (routed && to != 0 && !hg_send_now(w, to | promote))
            w->late[w->lates++] = to | promote;
    }
    w->top = top;
    if (routed && __builtin_expect(w->lates != 0, 0))
        hg_send_late(w);
}

/* Mark; false: nothing new. *promote is set if the object is old now. While keys are watched the order of
 * marks, and of what is looked at after them, must be one for all workers: see ephemeron.c. */
HG_HOT bool hg_mark(struct hg_worker *w, uintptr_t object, uintptr_t *promote, uint8_t *was,
                    const bool parallel, const bool watch)
{
    uint8_t *meta = ha_meta_of(object);
    const uint8_t *next = w->trace->next + (*promote ? HG_BYTES : 0);
    uint8_t byte = ha_mark_load(meta), to = next[byte & (HG_BYTES - 1)];
    if (to == byte)
        return false;
    if (parallel) {
        while (!__atomic_compare_exchange_n(meta, &byte, to, false,
                                            watch ? __ATOMIC_SEQ_CST : __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED)) {
            to = next[byte & (HG_BYTES - 1)];
            if (to == byte)
                return false;
        }
    } else {
        __atomic_store_n(meta, to, __ATOMIC_RELAXED);
    }
    *was = byte;
    *promote = to == w->old;
    return true;
}

/* A large object is old as soon as it survives: its slices must be scanned once, with one promotion. If
 * it is marked as generation 1 here and as old by another worker at the same time, one of them
 * gets true. */
static __attribute__((noinline)) bool hg_mark_large(struct hg_worker *w, uintptr_t object,
                                                    uintptr_t *promote)
{
    bool won =
        *promote || __atomic_exchange_n(ha_meta_of(object), w->old, __ATOMIC_RELAXED) != w->old;
    *promote = HG_TAG_PROMOTE;
    w->survived += won && ha_block_of(object)->live == 0 ? ha_block_of(object)->size : 0;
    return won;
}

/* Mark and say whether the object has slots to trace. */
HG_HOT bool hg_visit_mark(struct hg_worker *w, uintptr_t object, uintptr_t *promote,
                          const bool parallel, const bool watch)
{
    uint8_t was;
    if (!hg_mark(w, object, promote, &was, parallel, watch))
        return false;
    struct ha_block *block = ha_block_of(object);
    if (watch && __atomic_load_n(&block->keys, __ATOMIC_SEQ_CST))
        hg_ephemeron_key(w, object);
    if (__builtin_expect(!__atomic_load_n(&block->touched, __ATOMIC_RELAXED), 0))
        __atomic_store_n(&block->touched, 1, __ATOMIC_RELAXED);
    if (__builtin_expect(block->state == HA_LARGE, 0)) {
        if (!hg_mark_large(w, object, promote))
            return false;
        was = HG_YOUNG; /* of two marks one counts */
    }
    w->traced++;
    w->again += was == w->gen1;
    w->survived += was == HG_YOUNG ? block->cell : 0;
    return block->kind != HA_LEAF;
}

HG_HOT void hg_visit_object_slots(struct hg_worker *w, uintptr_t object, uintptr_t promote,
                                  const bool routed)
{
    uint64_t *at = hearth_header_of((void *)object);
    uint64_t header = __atomic_load_n(at, __ATOMIC_RELAXED);
    if (promote && w->set_old && !(header & HEARTH_OBJECT_OLD))
        __atomic_store_n(at, header | HEARTH_OBJECT_OLD, __ATOMIC_RELAXED);
    hg_trace_fixed(w, object, header, promote, routed);
}

/* Entries with other tags: remembered objects, slices, frozen objects. */
static __attribute__((noinline)) void hg_visit_special(struct hg_worker *w, uintptr_t entry)
{
    uintptr_t object = entry & ~(uintptr_t)HG_TAGS;
    uint64_t header = __atomic_load_n(hearth_header_of((void *)object), __ATOMIC_RELAXED);
    const struct hg_type *type = &w->types[hg_header_type(header)];
    if (entry & HG_TAG_SLICE)
        hg_trace_slice(w, object, header, type, entry & HG_TAG_PROMOTE);
    else if (entry & HG_TAG_VISIT)
        hg_trace_slots(w, object, header, HG_TAG_PROMOTE, w->routed);
    else
        hg_trace_remembered(w, object);
}

/* Pop into the ring; false: the stack is empty. Special entries are dealt with at once. */
HG_HOT bool hg_ring_fill(struct hg_worker *w, uintptr_t *ring, unsigned *tail, unsigned head,
                         unsigned depth, const bool full)
{
    while (*tail - head < depth && __builtin_expect(w->top > 0, 1)) {
        uintptr_t entry = w->stack[--w->top];
        if (__builtin_expect((entry & HG_TAG_SPECIAL) != 0, 0)) {
            hg_visit_special(w, entry);
            continue;
        }
        uintptr_t object = entry & ~(uintptr_t)HG_TAGS;
        __builtin_prefetch(ha_meta_of(object), 0, 3);
        if (!full)
            __builtin_prefetch((void *)(object - HEARTH_HEADER), 0, 3);
        ring[(*tail)++ % HG_RING] = entry;
    }
    return *tail != head;
}

/* Trace until the stack is empty, or (true) until it is time to go on in another way. */
HG_HOT bool hg_drain(struct hg_worker *w, const bool full, const bool routed, const bool parallel,
                     const bool watch)
{
    uintptr_t first[HG_RING], second[HG_RING];
    unsigned head1 = 0, tail1 = 0, head2 = 0, tail2 = 0;
    const unsigned depth = (unsigned)w->trace->depth;
    uint64_t tick = w->traced + w->period;
    assert(depth != 0);
    for (;;) {
        if (__builtin_expect(hg_ring_fill(w, first, &tail1, head1, depth, full), 1)) {
            uintptr_t entry = first[head1++ % HG_RING];
            uintptr_t object = entry & ~(uintptr_t)HG_TAGS, promote = entry & HG_TAG_PROMOTE;
            if (hg_visit_mark(w, object, &promote, parallel, watch)) {
                if (full) {
                    __builtin_prefetch((void *)(object - HEARTH_HEADER), 0, 3);
                    if (tail2 - head2 == depth) {
                        uintptr_t e = second[head2++ % HG_RING];
                        hg_visit_object_slots(w, e & ~(uintptr_t)HG_TAGS, e & HG_TAG_PROMOTE,
                                              routed);
                    }
                    second[tail2++ % HG_RING] = object | promote;
                } else {
                    hg_visit_object_slots(w, object, promote, routed);
                }
            }
        } else if (full && tail2 != head2) {
            uintptr_t e = second[head2++ % HG_RING];
            hg_visit_object_slots(w, e & ~(uintptr_t)HG_TAGS, e & HG_TAG_PROMOTE, routed);
        } else {
            return false;
        }
        if (__builtin_expect(w->traced >= tick, 0)) {
            tick = w->traced + w->period;
            if (!hg_trace_tick(w, parallel))
                continue;
            while (full && tail2 != head2) {
                uintptr_t e = second[head2++ % HG_RING];
                hg_visit_object_slots(w, e & ~(uintptr_t)HG_TAGS, e & HG_TAG_PROMOTE, routed);
            }
            while (tail1 != head1) {
                uintptr_t e = first[head1++ % HG_RING];
                hg_push(w, e & ~(uintptr_t)HG_TAGS, e & HG_TAGS, routed);
            }
            return true;
        }
    }
}

#define HG_DRAIN(name, full, routed, parallel)                                                     \
    static __attribute__((noinline)) bool name(struct hg_worker *w)                                \
    {                                                                                              \
        return hg_drain(w, full, routed, parallel, false);                                         \
    }
HG_DRAIN(hg_drain_minor, false, false, false)
HG_DRAIN(hg_drain_minor_parallel, false, false, true)
HG_DRAIN(hg_drain_minor_routed, false, true, false)
HG_DRAIN(hg_drain_minor_both, false, true, true)
HG_DRAIN(hg_drain_full, true, false, false)
HG_DRAIN(hg_drain_full_parallel, true, false, true)
HG_DRAIN(hg_drain_full_routed, true, true, false)
HG_DRAIN(hg_drain_full_both, true, true, true)

/* After the closure, while ephemerons wait for their keys: less is left to trace, and fewer instances do. */
static __attribute__((noinline)) bool hg_drain_watch(struct hg_worker *w)
{
    return hg_drain(w, w->trace->full, w->routed, w->parallel, true);
}

void hg_trace_drain(struct hg_worker *w)
{
    static bool (*const loop[8])(struct hg_worker *) = {
        hg_drain_minor, hg_drain_minor_parallel, hg_drain_minor_routed, hg_drain_minor_both,
        hg_drain_full,  hg_drain_full_parallel,  hg_drain_full_routed,  hg_drain_full_both};
    if (w->trace->watch) {
        while (hg_drain_watch(w) && !w->returns)
            ;
        return;
    }
    for (uint32_t met = w->mets - 1; met != w->mets && !w->returns;) {
        met = w->mets;
        while (loop[w->trace->full * 4 + w->routed * 2 + w->parallel](w) && !w->returns)
            ;
        hg_ephemerons_met(w);
    }
}

/* One object at a time, and not sent, until there are more than HG_FOLLOW references, or one to a node that works
 * itself; for HG_TICK objects at most. What may have many slots is visited as usual, and the last. */
HG_HOT void hg_chain(struct hg_worker *w, const bool parallel, const bool watch)
{
    const uint64_t awake = hg_nodes_awake(w); /* for so few objects they need not be asked again */
    w->base = w->all_base;
    w->bytes = w->all_bytes;
    for (int left = HG_TICK; left > 0 && w->top > 0 && w->top <= HG_FOLLOW; left--) {
        uintptr_t entry = w->stack[w->top - 1];
        uintptr_t object = entry & ~(uintptr_t)HG_TAGS, promote = entry & HG_TAG_PROMOTE;
        int node = hg_node_of(w, object);
        if ((entry & HG_TAG_SPECIAL) || (awake >> node & 1))
            return;
        w->top--;
        uint64_t traced = w->traced;
        bool slots = hg_visit_mark(w, object, &promote, parallel, watch);
        uint64_t *count = node == w->home ? &w->node_local[node] : &w->node_remote[node];
        *count += w->traced - traced;
        w->local += node == w->home ? w->traced - traced : 0;
        w->last_traced = w->traced;
        if (!slots)
            continue;
        uint64_t header = __atomic_load_n(hearth_header_of((void *)object), __ATOMIC_RELAXED);
        const struct hg_type *type = &w->types[hg_header_type(header)];
        if (__builtin_expect(type->tier != HG_TIER_BITMAP || type->element != 0, 0)) {
            hg_act_for(w, node);
            hg_visit_object_slots(w, object, promote, true);
            return;
        }
        hg_visit_object_slots(w, object, promote, false);
    }
}

void hg_trace_chain(struct hg_worker *w)
{
    if (w->parallel || w->trace->watch)
        hg_chain(w, true, w->trace->watch);
    else
        hg_chain(w, false, false);
}

void hg_trace_again(struct hg_worker *w, uintptr_t object, uintptr_t promote)
{
    hg_visit_object_slots(w, object, promote, w->routed);
}

void hg_worker_visitor(struct hg_worker *worker)
{
    worker->visitor.slot = hg_visit_slot;
}

/* The slots of one dirty card. */
static void hg_trace_card(struct hg_worker *w, uintptr_t object, uintptr_t end,
                          const struct hg_type *type, uintptr_t at)
{
    const bool routed = w->routed;
    const uintptr_t promote = HG_TAG_PROMOTE;
    bool array = type->fixed == 0 && type->element == sizeof(void *) && type->element_bitmap == 1;
    for (int i = 0; i < 2; i++, at += sizeof(void *))
        if (at + sizeof(void *) <= end && (array || hg_is_slot(type, at - object)))
            HG_PUSH_SLOT((void **)at);
}

/* The slots of dirty cards, fetched some cards ahead: in a big table they are far apart. A type that is traced by
 * callback is visited whole. */
static void hg_trace_cards(struct hg_worker *w, uintptr_t object, uint64_t header)
{
    enum { AHEAD = 16 };
    const struct hg_type *type = &w->types[hg_header_type(header)];
    size_t size = hg_object_size(object, header, type), found = 0;
    bool callback = type->tier >= HG_TIER_CALLBACK;
    uintptr_t ahead[AHEAD], at;
    struct hg_card_walk walk;
    hg_cards_begin(&walk, object, size);
    while ((at = hg_cards_next(&walk)) != 0) {
        __builtin_prefetch((void *)at, 0, 3);
        if (found >= AHEAD && !callback)
            hg_trace_card(w, object, object + size, type, ahead[found % AHEAD]);
        ahead[found++ % AHEAD] = at;
    }
    for (size_t i = found < AHEAD ? 0 : found - AHEAD; i < found && !callback; i++)
        hg_trace_card(w, object, object + size, type, ahead[i % AHEAD]);
    if (found != 0 && callback)
        hg_trace_callback(w, object, header, type, HG_TAG_PROMOTE);
}

/* Slots of an old object of the remembered set, or those of its dirty cards. */
void hg_trace_remembered(struct hg_worker *w, uintptr_t object)
{
    uint64_t *at = hearth_header_of((void *)object);
    uint64_t header = __atomic_load_n(at, __ATOMIC_RELAXED);
    if (header & HEARTH_OBJECT_CARDS) {
        hg_trace_cards(w, object, header);
        header = __atomic_load_n(at, __ATOMIC_RELAXED);
        __atomic_store_n(at, header & ~(uint64_t)HEARTH_OBJECT_DIRTY, __ATOMIC_RELAXED);
    } else {
        __atomic_store_n(at, header & ~(uint64_t)HEARTH_OBJECT_REMEMBERED, __ATOMIC_RELAXED);
        hg_trace_slots(w, object, header, HG_TAG_PROMOTE, w->routed);
    }
}
