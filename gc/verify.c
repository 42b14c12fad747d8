/* gc/verify.c - the heap verifier: every structure's _check(), and what must hold between them.
 *
 * With the world stopped and all blocks given back:
 *   - every reference of a marked object leads to an allocated object (after a collection: a marked one);
 *   - an old object refers to younger ones only if it is remembered, or the slot's card is dirty;
 *   - the OLD flag agrees with the mark; old objects of a remembered set are listed once;
 *   - each block lies on its pool's node. Lock: heap->lock is held. */
#include <stdio.h>
#include <string.h>

#include "gc/card.h"
#include "gc/heap.h"
#include "gc/trace.h"
#include "topology/error.h"

struct hg_verifier {
    hearth_visitor visitor; /* first */
    hearth_heap *heap;
    bool before;      /* remembered sets are full, young objects have no marks   */
    uintptr_t object; /* being visited                                           */
    bool is_old;
    uint64_t header;
    hearth_status status;
};

static const char *hg_type_name(const hearth_heap *heap, uint64_t header)
{
    const char *name = heap->types.row[hg_header_type(header)].name;
    return name != NULL ? name : "(no type)";
}

static void hg_verify_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_verifier *v = (struct hg_verifier *)visitor;
    hearth_heap *heap = v->heap;
    uintptr_t to = (uintptr_t)*slot;
    if (v->status != HEARTH_OK || !ha_windows_contain(heap->space.windows, to))
        return;
    if (ha_space_find(&heap->space, to) != to) {
        v->status =
            ht_fail(HEARTH_ECORRUPT, "slot %p of object %p (%s) refers to %p: no object",
                    (void *)slot, (void *)v->object, hg_type_name(heap, v->header), (void *)to);
        return;
    }
    uint8_t mark = ha_mark_load(ha_meta_of(to)) & HA_MARK;
    const struct hg_marks *marks = &heap->marks;
    if (!v->before && mark != marks->old && mark != marks->gen1) {
        v->status = ht_fail(HEARTH_ECORRUPT, "slot %p of live object %p (%s) refers to %p: mark %u",
                            (void *)slot, (void *)v->object, hg_type_name(heap, v->header),
                            (void *)to, mark);
        return;
    }
    if (!v->is_old || mark == marks->old || !heap->options.generational || heap->pacing.lost)
        return;
    bool known = v->header & HEARTH_OBJECT_CARDS ? hg_card_get(v->object, (uintptr_t)slot)
                                                 : v->header & HEARTH_OBJECT_REMEMBERED;
    const struct hg_type *type = &heap->types.row[hg_header_type(v->header)];
    if (type->tier >= HG_TIER_CALLBACK)
        known = v->header & (HEARTH_OBJECT_REMEMBERED | HEARTH_OBJECT_DIRTY);
    if (!known)
        v->status = ht_fail(
            HEARTH_ECORRUPT, "old object %p (%s) refers to younger %p by slot %p, unremembered",
            (void *)v->object, hg_type_name(heap, v->header), (void *)to, (void *)slot);
}

static void hg_verify_object(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_verifier *v = data;
    const struct hg_marks *marks = &v->heap->marks;
    if (v->status != HEARTH_OK || ha_block_of(object)->kind == HA_LEAF)
        return;
    v->object = object;
    v->header = *hearth_header_of((void *)object);
    v->is_old = mark == marks->old;
    bool flagged = v->header & HEARTH_OBJECT_OLD;
    if (mark != marks->old && mark != marks->gen1)
        v->status =
            ht_fail(HEARTH_ECORRUPT, "object %p has the stale mark %u", (void *)object, mark);
    else if (hg_header_type(v->header) >= v->heap->types.count)
        v->status = ht_fail(HEARTH_ECORRUPT, "object %p has the unknown type %u", (void *)object,
                            hg_header_type(v->header));
    else if (v->heap->options.generational && flagged != v->is_old)
        v->status =
            ht_fail(HEARTH_ECORRUPT, "object %p (%s): mark %u but header 0x%llx", (void *)object,
                    hg_type_name(v->heap, v->header), mark, (unsigned long long)v->header);
    else
        hg_visit_object(v->heap, object, &v->visitor);
}

/* Frames and handles hold NULL, foreign addresses or objects. */
static hearth_status hg_verify_roots(hearth_heap *heap)
{
    struct hg_verifier v = {{hg_verify_slot}, heap, true, 0, false, 0, HEARTH_OK};
    size_t mutators = 0;
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next, mutators++) {
        for (hearth_frame *f = m->public.frames; f != NULL; f = f->prev)
            for (size_t i = 0; i < f->count; i++)
                hg_verify_slot(&v.visitor, (void **)(f + 1) + i);
        for (struct hg_handles *page = m->handles; page != NULL; page = page->prev)
            for (size_t i = 0; i < page->count; i++)
                hg_verify_slot(&v.visitor, &page->slot[i]);
        if (v.status == HEARTH_OK && !hg_handles_check(m))
            return ht_fail(HEARTH_ECORRUPT, "the handle scopes of mutator %p are damaged",
                           (void *)m);
    }
    if (v.status == HEARTH_OK && mutators != (size_t)heap->mutator_count)
        return ht_fail(HEARTH_ECORRUPT, "%zu mutators are listed, the count is %d", mutators,
                       heap->mutator_count);
    return v.status;
}

hearth_status hg_verify_heap(hearth_heap *heap, bool before)
{
    hearth_status status = ha_space_check(&heap->space);
    if (status == HEARTH_OK)
        status = ht_topology_check(heap->topology);
    if (status == HEARTH_OK && !hg_types_check(&heap->types))
        status = ht_fail(HEARTH_ECORRUPT, "the table of types is damaged");
    if (status == HEARTH_OK && !hg_roots_check(&heap->roots))
        status = ht_fail(HEARTH_ECORRUPT, "the set of global roots is damaged");
    if (status == HEARTH_OK && !hg_mail_check(&heap->trace->mail))
        status = ht_fail(HEARTH_ECORRUPT, "references are left in an inbox");
    if (status == HEARTH_OK)
        status = hg_verify_roots(heap);
    if (status != HEARTH_OK)
        return status;
    struct hg_verifier v = {{hg_verify_slot}, heap, before, 0, false, 0, HEARTH_OK};
    hg_walk_marked(heap, hg_verify_object, &v);
    return v.status;
}

void hg_verify_report(hearth_heap *heap, bool before)
{
    hearth_status status = hg_verify_heap(heap, before);
    if (status != HEARTH_OK && heap->corrupt == HEARTH_OK) {
        heap->corrupt = status;
        snprintf(heap->corrupt_why, sizeof heap->corrupt_why, "collection %llu, %s: %s",
                 (unsigned long long)heap->collections, before ? "before" : "after",
                 hearth_last_error());
    }
}

hearth_status hearth_verify(hearth_mutator *mutator)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_verify");
    if (status != HEARTH_OK)
        return status;
    hearth_heap *heap = mutator->heap;
    struct hg_mutator *self = hg_mutator_of(mutator);
    pthread_mutex_lock(&heap->lock);
    while (heap->stop)
        hg_park(heap, self);
    hg_world_stop(heap, self);
    ha_space_hold(&heap->space);
    __atomic_store_n(&heap->collecting, true, __ATOMIC_RELAXED);
    uint64_t bytes = 0, objects = 0;
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        hg_mutator_flush(m, &bytes, &objects);
    pthread_mutex_lock(&heap->stats.lock);
    heap->stats.allocated_objects += objects;
    heap->stats.unswept_bytes += bytes;
    pthread_mutex_unlock(&heap->stats.lock);
    status = hg_verify_heap(heap, true);
    if (status == HEARTH_OK && heap->corrupt != HEARTH_OK)
        status = ht_fail(heap->corrupt, "%s", heap->corrupt_why);
    __atomic_store_n(&heap->collecting, false, __ATOMIC_RELAXED);
    ha_space_release(&heap->space);
    hg_world_resume(heap);
    pthread_mutex_unlock(&heap->lock);
    return status;
}
