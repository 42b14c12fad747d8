/* gc/weak.c - the public side of weak references and ephemerons. Cells are made and cleared in cell.c.
 *
 * Own thread's mutator, no lock. A weak slot is read without a barrier: it is cleared with the world stopped
 * only, and what was read is a root of the caller's by the next safepoint. */
#include "gc/heap.h"
#include "topology/error.h"

/* The cell if `object` is of one of two kinds, else NULL with the error set. */
static struct hg_cell *hg_cell_argument(hearth_mutator *mutator, const void *object,
                                        enum hg_cell_kind a, enum hg_cell_kind b, const char *call)
{
    if (hg_mutator_ready(mutator, call) != HEARTH_OK)
        return NULL;
    enum hg_cell_kind kind = hg_cell_kind_of(mutator->heap, object);
    if (object != NULL && (kind == a || kind == b))
        return (struct hg_cell *)(uintptr_t)object;
    ht_fail(HEARTH_EOBJECT, "%s: %p is not %s", call, object,
            a == HG_CELL_EPHEMERON ? "an ephemeron" : "a weak reference");
    return NULL;
}

static void *hg_load(void **slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

/* Mutator and both referents are usable. */
static bool hg_cell_arguments(hearth_mutator *mutator, const void *weak, const char *weak_name,
                              const void *other, const char *other_name, const char *call)
{
    if (hg_mutator_ready(mutator, call) != HEARTH_OK)
        return false;
    if (weak == NULL) {
        ht_fail(HEARTH_EINVAL, "%s: %s is NULL", call, weak_name);
        return false;
    }
    struct hg_mutator *m = hg_mutator_of(mutator);
    return hg_cell_referent(m, weak, call, weak_name) == HEARTH_OK &&
           hg_cell_referent(m, other, call, other_name) == HEARTH_OK;
}

void *hearth_weak_new(hearth_mutator *mutator, void *target, unsigned flags, hearth_weak_fn *fn,
                      void *data)
{
    if (!hg_cell_arguments(mutator, target, "target", data, "data", "hearth_weak_new"))
        return NULL;
    if (flags & ~(unsigned)HEARTH_WEAK_LONG) {
        ht_fail(HEARTH_EINVAL, "hearth_weak_new: unknown flags 0x%x", flags);
        return NULL;
    }
    return hg_cell_new(hg_mutator_of(mutator),
                       flags & HEARTH_WEAK_LONG ? HG_CELL_LONG : HG_CELL_WEAK, target, data, fn);
}

void *hearth_weak_get(hearth_mutator *mutator, const void *weak)
{
    struct hg_cell *cell =
        hg_cell_argument(mutator, weak, HG_CELL_WEAK, HG_CELL_LONG, "hearth_weak_get");
    return cell != NULL ? hg_load(&cell->weak) : NULL;
}

hearth_status hearth_weak_clear(hearth_mutator *mutator, void *weak)
{
    struct hg_cell *cell =
        hg_cell_argument(mutator, weak, HG_CELL_WEAK, HG_CELL_LONG, "hearth_weak_clear");
    if (cell == NULL)
        return hearth_last_status();
    if (__atomic_exchange_n(&cell->weak, NULL, __ATOMIC_ACQ_REL) != NULL && cell->fn != NULL) {
        cell->fn = NULL;
        hg_pending_unreserve(mutator->heap);
    }
    return HEARTH_OK;
}

void *hearth_ephemeron_new(hearth_mutator *mutator, void *key, void *value)
{
    if (!hg_cell_arguments(mutator, key, "key", value, "value", "hearth_ephemeron_new"))
        return NULL;
    return hg_cell_new(hg_mutator_of(mutator), HG_CELL_EPHEMERON, key, value, NULL);
}

void *hearth_ephemeron_key(hearth_mutator *mutator, const void *ephemeron)
{
    struct hg_cell *cell = hg_cell_argument(mutator, ephemeron, HG_CELL_EPHEMERON,
                                            HG_CELL_EPHEMERON, "hearth_ephemeron_key");
    return cell != NULL ? hg_load(&cell->weak) : NULL;
}

void *hearth_ephemeron_value(hearth_mutator *mutator, const void *ephemeron)
{
    struct hg_cell *cell = hg_cell_argument(mutator, ephemeron, HG_CELL_EPHEMERON,
                                            HG_CELL_EPHEMERON, "hearth_ephemeron_value");
    return cell != NULL ? hg_load(&cell->other) : NULL;
}

hearth_status hearth_ephemeron_set_value(hearth_mutator *mutator, void *ephemeron, void *value)
{
    struct hg_cell *cell = hg_cell_argument(mutator, ephemeron, HG_CELL_EPHEMERON,
                                            HG_CELL_EPHEMERON, "hearth_ephemeron_set_value");
    if (cell == NULL)
        return hearth_last_status();
    if (cell->weak == NULL)
        return ht_fail(HEARTH_ESTATE, "hearth_ephemeron_set_value: the key of %p has died",
                       ephemeron);
    hearth_status status =
        hg_cell_referent(hg_mutator_of(mutator), value, "hearth_ephemeron_set_value", "value");
    return status == HEARTH_OK ? hearth_store(mutator, cell, &cell->other, value) : status;
}
