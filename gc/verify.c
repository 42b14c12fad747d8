/* gc/verify.c - the heap verifier: every structure's _check(), and what must hold between them.
 *
 * With the world stopped and all blocks given back:
 *   - every reference of an allocated object leads to an allocated object (after a collection: a marked one);
 *   - type, kind, length and size of an object agree with each other and with its cell;
 *   - an old object refers to younger ones only if it is remembered, or the slot's card is dirty;
 *   - the OLD flag agrees with the mark; an object is listed once in a remembered set if its header says
 *     so, else not at all, and then none of its cards is dirty; after a collection no set lists anything;
 *   - a frozen object that refers to others than frozen ones is listed as written since;
 *   - frames, handles, global roots and what providers show hold NULL, foreign addresses or objects;
 *   - weak slots hold NULL, foreign addresses or (after a collection: marked) objects, and their cells are
 *     registered (cell_check.c);
 *   - with policy strict each block in use lies on its node; and what check.c says of marks, mutators, workers.
 * Lock: heap->lock is held. */
#include <stdio.h>
#include <string.h>

#include "gc/afterlife.h"
#include "gc/card.h"
#include "gc/freeze.h"
#include "gc/guard.h"
#include "gc/heap.h"
#include "gc/inspect.h"
#include "gc/trace.h"
#include "topology/error.h"

struct hg_verifier {
    hearth_visitor visitor; /* first */
    hearth_heap *heap;
    bool before;      /* remembered sets are full, young objects have no marks   */
    uintptr_t object; /* being visited                                           */
    bool is_old;
    bool is_frozen;
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
    if (!v->before && !hg_mark_is_live(marks, mark)) {
        v->status = ht_fail(HEARTH_ECORRUPT, "slot %p of live object %p (%s) refers to %p: mark %u",
                            (void *)slot, (void *)v->object, hg_type_name(heap, v->header),
                            (void *)to, mark);
        return;
    }
    if (v->is_frozen && mark != HG_FROZEN && !(v->header & HG_OBJECT_THAWED) &&
        !heap->control.thaw_lost) {
        v->status = ht_fail(HEARTH_ECORRUPT,
                            "frozen object %p (%s) refers to %p, which is not: "
                            "it is in no list of what was written",
                            (void *)v->object, hg_type_name(heap, v->header), (void *)to);
        return;
    }
    if (!v->is_old || hg_mark_is_old(marks, mark) || !heap->options.generational ||
        heap->pacing.lost)
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

/* Header, mark and cell agree. */
static hearth_status hg_verify_header(const struct hg_verifier *v, uint8_t mark)
{
    hearth_heap *heap = v->heap;
    const struct hg_marks *marks = &heap->marks;
    const struct ha_block *block = ha_block_of(v->object);
    const struct hg_type *type = &heap->types.row[hg_header_type(v->header)];
    void *object = (void *)v->object;
    bool is_large = block->state == HA_LARGE, old = v->header & HEARTH_OBJECT_OLD;
    if (!hg_mark_is_live(marks, mark) && !(v->before && mark == HG_YOUNG))
        return ht_fail(HEARTH_ECORRUPT, "object %p has the stale mark %u", object, mark);
    if (hg_header_type(v->header) >= heap->types.count || type->handle == 0)
        return ht_fail(HEARTH_ECORRUPT, "object %p has the unknown type %u", object,
                       hg_header_type(v->header));
    if ((block->kind == HA_LEAF) != type->leaf)
        return ht_fail(HEARTH_ECORRUPT, "object %p (%s) lies in a block of kind %u", object,
                       type->name, block->kind);
    if (hg_object_size(v->object, v->header, type) > ha_object_capacity(v->object))
        return ht_fail(HEARTH_ECORRUPT, "object %p (%s): %zu bytes in a cell for %zu", object,
                       type->name, hg_object_size(v->object, v->header, type),
                       ha_object_capacity(v->object));
    if (!(v->header & HEARTH_OBJECT_LARGE) == is_large)
        return ht_fail(HEARTH_ECORRUPT, "object %p (%s): block of state %u but header 0x%llx",
                       object, type->name, block->state, (unsigned long long)v->header);
    if (heap->options.generational && block->kind != HA_LEAF && old != v->is_old)
        return ht_fail(HEARTH_ECORRUPT, "object %p (%s): mark %u but header 0x%llx", object,
                       type->name, mark, (unsigned long long)v->header);
    return HEARTH_OK;
}

/* What the header says of remembering is true; hg_verify_lists has set LISTED. */
static hearth_status hg_verify_memory(const struct hg_verifier *v)
{
    const uint64_t flags = HEARTH_OBJECT_REMEMBERED | HEARTH_OBJECT_DIRTY;
    const struct hg_type *type = &v->heap->types.row[hg_header_type(v->header)];
    void *object = (void *)v->object;
    bool flagged = v->header & flags, listed = v->header & HG_OBJECT_LISTED;
    if (flagged != listed)
        return ht_fail(HEARTH_ECORRUPT, "object %p (%s): header 0x%llx, but %s remembered set",
                       object, type->name, (unsigned long long)v->header,
                       listed ? "it is in a" : "it is in no");
    if (flagged && !v->is_old)
        return ht_fail(HEARTH_ECORRUPT, "object %p (%s) is remembered but not old", object,
                       type->name);
    if ((v->header & HEARTH_OBJECT_CARDS) && !(v->header & HEARTH_OBJECT_DIRTY) &&
        hg_cards_any(v->object, hg_object_size(v->object, v->header, type)))
        return ht_fail(HEARTH_ECORRUPT, "object %p (%s) has dirty cards but is not remembered",
                       object, type->name);
    return HEARTH_OK;
}

static void hg_verify_object(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_verifier *v = data;
    if (v->status != HEARTH_OK)
        return;
    v->object = object;
    v->header = *hearth_header_of((void *)object);
    v->is_old = hg_mark_is_old(&v->heap->marks, mark);
    v->is_frozen = mark == HG_FROZEN;
    v->status = hg_verify_header(v, mark);
    if (v->status == HEARTH_OK)
        v->status = hg_verify_memory(v);
    if (v->status == HEARTH_OK)
        v->status = hg_guard_check(v->heap, object);
    if (v->status == HEARTH_OK && ha_block_of(object)->kind != HA_LEAF)
        hg_visit_object(v->heap, object, &v->visitor);
}

/* Set LISTED in every object of a remembered set, or clear it. A second time it is an error. */
static hearth_status hg_verify_list(hearth_heap *heap, const struct hg_remembered *set, bool on)
{
    size_t count = 0;
    for (const struct hg_remember_chunk *c = set->first; c != NULL; c = c->next) {
        for (size_t i = 0; i < c->count; i++) {
            uintptr_t object = c->object[i];
            bool is_object = ha_space_find(&heap->space, object) == object;
            uint64_t *header = hearth_header_of((void *)object);
            if (!on && is_object)
                *header &= ~(uint64_t)HG_OBJECT_LISTED;
            if (!on)
                continue;
            if (!is_object)
                return ht_fail(HEARTH_ECORRUPT, "a remembered set lists %p: no object",
                               (void *)object);
            if (*header & HG_OBJECT_LISTED)
                return ht_fail(HEARTH_ECORRUPT, "object %p (%s) is remembered twice",
                               (void *)object, hg_type_name(heap, *header));
            *header |= HG_OBJECT_LISTED;
        }
        count += c->count;
    }
    if (on && count != set->count)
        return ht_fail(HEARTH_ECORRUPT, "a remembered set has %zu objects, its count says %zu",
                       count, set->count);
    return HEARTH_OK;
}

static hearth_status hg_verify_lists(hearth_heap *heap, bool on)
{
    hearth_status status = hg_verify_list(heap, &heap->orphans, on);
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        if (status == HEARTH_OK)
            status = hg_verify_list(heap, &m->remembered, on);
    return status;
}

/* Slots of mutators, global roots, providers. */
static hearth_status hg_verify_roots(hearth_heap *heap)
{
    struct hg_verifier v = {{hg_verify_slot}, heap, true, 0, false, false, 0, HEARTH_OK};
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
    hg_roots_visit(&heap->roots, &v.visitor);
    if (v.status == HEARTH_OK && mutators != (size_t)heap->mutator_count)
        return ht_fail(HEARTH_ECORRUPT, "%zu mutators are listed, the count is %d", mutators,
                       heap->mutator_count);
    return v.status;
}

static hearth_status hg_verify_objects(hearth_heap *heap, bool before)
{
    struct hg_verifier v = {{hg_verify_slot}, heap, before, 0, false, false, 0, HEARTH_OK};
    v.status = hg_verify_lists(heap, true);
    if (v.status == HEARTH_OK)
        hg_walk_allocated(heap, hg_verify_object, &v);
    hg_verify_lists(heap, false);
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
    if (status == HEARTH_OK &&
        (!hg_balance_check(&heap->pacing.balance) || !hg_external_check(heap) ||
         !hg_pressure_check(&heap->pressure, heap->space.nodes)))
        status = ht_fail(HEARTH_ECORRUPT, "the state of pacing is damaged");
    if (status == HEARTH_OK)
        status = hg_control_check(heap);
    if (status == HEARTH_OK)
        status = hg_leaks_check(heap);
    if (status == HEARTH_OK)
        status = hg_parts_check(heap);
    if (status == HEARTH_OK)
        status = hg_verify_roots(heap);
    if (status == HEARTH_OK)
        status = hg_verify_objects(heap, before);
    if (status == HEARTH_OK)
        status = hg_afterlife_check(heap, before);
    return status;
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

hearth_status hg_health(const hearth_heap *heap)
{
    const char *damage = ha_damage_found(&heap->space);
    if (heap->corrupt != HEARTH_OK)
        return ht_fail(heap->corrupt, "%s", heap->corrupt_why);
    return damage != NULL ? ht_fail(HEARTH_ECORRUPT, "%s", damage) : HEARTH_OK;
}

hearth_status hearth_verify(hearth_mutator *mutator)
{
    hearth_status status = hg_inspect_begin(mutator, "hearth_verify");
    if (status != HEARTH_OK)
        return status;
    hearth_heap *heap = mutator->heap;
    status = hg_verify_heap(heap, true);
    if (status == HEARTH_OK)
        status = hg_health(heap);
    hg_inspect_end(mutator);
    return status;
}
