/* gc/cell_check.c - the verifier's part for cells: who is registered, and what weak slots hold.
 *
 * Every list is walked, setting LISTED in the headers of its cells, then every allocated cell is asked whether
 * it is listed if it has to be. World stopped, heap->lock held; headers are as before at the end. */
#include "gc/card.h"
#include "gc/ephemeron.h"
#include "gc/heap.h"
#include "topology/error.h"

static const struct hg_type *hg_row(const hearth_heap *heap, uintptr_t object)
{
    return &heap->types.row[hg_header_type(*hearth_header_of((void *)object))];
}

static bool hg_is_cell(uint8_t kind)
{
    return kind != HG_CELL_NONE && kind < HG_CELL_TABLE;
}

/* What its weak slot holds. */
static hearth_status hg_check_weak(hearth_heap *heap, const struct hg_cell *cell, bool before,
                                   bool old)
{
    uintptr_t weak = (uintptr_t)cell->weak;
    const char *name = hg_row(heap, (uintptr_t)cell)->name;
    if (!ha_windows_contain(heap->space.windows, weak))
        return HEARTH_OK;
    if (ha_space_find(&heap->space, weak) != weak)
        return ht_fail(HEARTH_ECORRUPT, "%s %p refers to %p: no object", name, (const void *)cell,
                       (void *)weak);
    if (!before && !hg_referent_lives(heap, weak))
        return ht_fail(HEARTH_ECORRUPT, "%s %p refers to %p, which is dead", name,
                       (const void *)cell, (void *)weak);
    uint8_t mark = ha_mark_load(ha_meta_of(weak)) & HA_MARK;
    if (old && !hg_mark_is_old(&heap->marks, mark))
        return ht_fail(HEARTH_ECORRUPT, "%s %p is listed as old but refers to younger %p", name,
                       (const void *)cell, (void *)weak);
    return HEARTH_OK;
}

static hearth_status hg_check_cell(hearth_heap *heap, uintptr_t object, int group, bool before,
                                   bool old)
{
    const struct hg_cell *cell = (const struct hg_cell *)object;
    if (ha_space_find(&heap->space, object) != object)
        return ht_fail(HEARTH_ECORRUPT, "the registry of cells lists %p: no object",
                       (void *)object);
    uint64_t *header = hearth_header_of((void *)object);
    const struct hg_type *row = hg_row(heap, object);
    bool ephemeron = row->tier == HG_TIER_EPHEMERON;
    if (!hg_is_cell(row->cell) || ephemeron != (group == HG_CELLS_EPHEMERON))
        return ht_fail(HEARTH_ECORRUPT, "the registry lists object %p (%s) in group %d",
                       (void *)object, row->name, group);
    if (*header & HG_OBJECT_LISTED)
        return ht_fail(HEARTH_ECORRUPT, "%s %p is registered twice", row->name, (void *)object);
    *header |= HG_OBJECT_LISTED;
    if (ephemeron && cell->link != 0)
        return ht_fail(HEARTH_ECORRUPT, "%s %p is left waiting for its key", row->name,
                       (void *)object);
    if (old && !hg_mark_is_old(&heap->marks, ha_mark_load(ha_meta_of(object)) & HA_MARK))
        return ht_fail(HEARTH_ECORRUPT, "%s %p is listed as old", row->name, (void *)object);
    return hg_check_weak(heap, cell, before, old);
}

static hearth_status hg_check_list(hearth_heap *heap, const struct hg_remembered *set, int group,
                                   bool before, bool old)
{
    size_t count = 0;
    for (const struct hg_remember_chunk *c = set->first; c != NULL; c = c->next) {
        for (size_t i = 0; i < c->count; i++) {
            hearth_status status = hg_check_cell(heap, c->object[i], group, before, old);
            if (status != HEARTH_OK)
                return status;
        }
        count += c->count;
    }
    if (count != set->count)
        return ht_fail(HEARTH_ECORRUPT, "a list of cells has %zu of them, its count says %zu",
                       count, set->count);
    return HEARTH_OK;
}

static hearth_status hg_check_group(hearth_heap *heap, int group, bool before)
{
    hearth_status status = hg_check_list(heap, &heap->cells.young[group], group, before, false);
    if (status == HEARTH_OK)
        status = hg_check_list(heap, &heap->cells.old[group], group, before, true);
    for (struct hg_mutator *m = heap->mutators; m != NULL && status == HEARTH_OK; m = m->next)
        status = hg_check_list(heap, &m->cells[group], group, before, false);
    return status;
}

struct hg_cell_walk {
    hearth_heap *heap;
    hearth_status status;
};

/* Every cell that refers to something is listed; LISTED is cleared. */
static void hg_check_listed(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_cell_walk *walk = data;
    const struct hg_type *row = hg_row(walk->heap, object);
    uint64_t *header = hearth_header_of((void *)object);
    (void)mark;
    if (!hg_is_cell(row->cell))
        return;
    bool listed = *header & HG_OBJECT_LISTED;
    *header &= ~(uint64_t)HG_OBJECT_LISTED;
    if (!listed && ((struct hg_cell *)object)->weak != NULL && walk->status == HEARTH_OK)
        walk->status =
            ht_fail(HEARTH_ECORRUPT, "%s %p is not registered", row->name, (void *)object);
}

hearth_status hg_cells_check(hearth_heap *heap, bool before)
{
    struct hg_cell_walk walk = {heap, HEARTH_OK};
    if (!heap->cells.ready)
        return HEARTH_OK;
    for (int g = 0; g < HG_CELLS_GROUPS && walk.status == HEARTH_OK; g++)
        walk.status = hg_check_group(heap, g, before);
    if (walk.status == HEARTH_OK && (heap->cells.watch.key != NULL || heap->trace->watch))
        walk.status = ht_fail(HEARTH_ECORRUPT, "keys of ephemerons are still watched");
    hg_walk_allocated(heap, hg_check_listed, &walk);
    return walk.status;
}
