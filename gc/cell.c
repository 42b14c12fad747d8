/* gc/cell.c - cells and their registry: making them, who they are. What a collection does with the registry is in
 * cell_clear.c. Invariant and locks: cell.h. */
#include "gc/cell.h"

#include "gc/ephemeron.h"
#include "gc/heap.h"
#include "topology/error.h"
#include "topology/os.h"

/* Entries of tables have a chain, their table, and a hash behind the cell (table.c). */
static const struct {
    const char *name;
    size_t size, element;
    uint64_t strong; /* words that are traced as of any object */
} hg_cell_type[HG_CELL_KINDS] = {
    [HG_CELL_WEAK] = {"weak reference", sizeof(struct hg_cell), 0, 1 << 1},
    [HG_CELL_LONG] = {"long weak reference", sizeof(struct hg_cell), 0, 1 << 1},
    [HG_CELL_KEY] = {"weak key", sizeof(struct hg_table_entry), 0, 1 << 1 | 1 << 3 | 1 << 4},
    [HG_CELL_VALUE] = {"weak value", sizeof(struct hg_table_entry), 0, 1 << 1 | 1 << 3 | 1 << 4},
    [HG_CELL_EPHEMERON] = {"ephemeron", sizeof(struct hg_cell), 0, 0},
    [HG_CELL_ENTRY] = {"ephemeron entry", sizeof(struct hg_table_entry), 0, 1 << 3 | 1 << 4},
    [HG_CELL_TABLE] = {"weak table", sizeof(struct hg_table), 0, 1 << 0},
    [HG_CELL_BUCKETS] = {"weak table buckets", 0, sizeof(void *), 0},
};

_Static_assert(offsetof(struct hg_table_entry, next) == 24 &&
                   offsetof(struct hg_table_entry, table) == 32,
               "the bitmaps of entries");
_Static_assert(offsetof(struct hg_table, buckets) == 0, "the bitmap of tables");

hearth_status hg_cells_init(hearth_heap *heap)
{
    pthread_mutex_init(&heap->cells.lock, NULL);
    return HEARTH_OK;
}

void hg_cells_destroy(hearth_heap *heap)
{
    struct hg_cells *cells = &heap->cells;
    for (int g = 0; g < HG_CELLS_GROUPS; g++) {
        hg_remember_free(&cells->young[g]);
        hg_remember_free(&cells->old[g]);
        hg_remember_free(&cells->spare[g]);
    }
    for (int p = 0; p < HG_CELLS_PARTS; p++)
        hg_remember_free(&cells->scratch[p]);
    pthread_mutex_destroy(&cells->lock);
}

/* The types that are not registered yet; a failure leaves those that are. cells->lock is held. */
static hearth_status hg_cells_types(hearth_heap *heap)
{
    struct hg_cells *cells = &heap->cells;
    hearth_status status = HEARTH_OK;
    for (uint8_t k = 1; k < HG_CELL_KINDS && status == HEARTH_OK; k++) {
        hearth_type_info info = {.struct_size = sizeof info,
                                 .name = hg_cell_type[k].name,
                                 .size = hg_cell_type[k].size,
                                 .element_size = hg_cell_type[k].element,
                                 .element_bitmap = hg_cell_type[k].element != 0,
                                 .ref_bitmap = hg_cell_type[k].strong};
        if (cells->type[k] == 0)
            status =
                hg_type_builtin(&heap->types, &info, k, hg_kind_is_ephemeron(k), &cells->type[k]);
    }
    return status;
}

/* At least so many chunks without cells. */
static bool hg_spare_chunks(struct hg_remembered *set, int count)
{
    for (struct hg_remember_chunk *chunk = set->first; chunk != NULL; chunk = chunk->next)
        count--;
    for (; count > 0; count--) {
        struct hg_remembered one = {NULL, 0};
        if (!hg_remember_room(&one))
            return false;
        one.first->next = set->first;
        set->first = one.first;
    }
    return true;
}

/* What sorting needs, so that a collection need not ask for memory. */
static bool hg_cells_reserve(struct hg_cells *cells)
{
    bool done = true;
    for (int g = 0; g < HG_CELLS_GROUPS && done; g++)
        done = hg_spare_chunks(&cells->spare[g], HG_CELLS_SPARE);
    for (int p = 0; p < HG_CELLS_PARTS && done; p++)
        done = hg_remember_room(&cells->scratch[p]);
    return done;
}

hearth_status hg_cells_ready(hearth_heap *heap)
{
    struct hg_cells *cells = &heap->cells;
    if (__atomic_load_n(&cells->ready, __ATOMIC_ACQUIRE))
        return HEARTH_OK;
    pthread_mutex_lock(&cells->lock);
    hearth_status status = hg_cells_types(heap);
    if (status == HEARTH_OK && !hg_cells_reserve(cells))
        status = ht_fail(HEARTH_ENOMEM, "no memory for the registry of weak references");
    if (status == HEARTH_OK)
        __atomic_store_n(&cells->ready, true, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&cells->lock);
    return status;
}

enum hg_cell_kind hg_cell_kind_of(hearth_heap *heap, const void *object)
{
    uintptr_t address = (uintptr_t)object;
    if (address % HEARTH_GRANULE != 0 ||
        !ha_windows_contain(heap->space.windows, address - HEARTH_HEADER) ||
        !__atomic_load_n(&heap->cells.ready, __ATOMIC_ACQUIRE))
        return HG_CELL_NONE;
    return (enum hg_cell_kind)hg_cell_row(heap, address);
}

hearth_status hg_cell_referent(struct hg_mutator *m, const void *object, const char *call,
                               const char *what)
{
    hearth_heap *heap = m->public.heap;
    if (!ha_windows_contain(heap->space.windows, (uintptr_t)object) ||
        hg_is_object_for(m, (uintptr_t)object))
        return HEARTH_OK;
    return ht_fail(HEARTH_EOBJECT, "%s: %s %p is not an object of this heap", call, what, object);
}

/* Allocate with the referents held; room in the registry and the queue. */
static struct hg_cell *hg_cell_allocate(struct hg_mutator *m, enum hg_cell_kind kind, void *weak,
                                        void *other, bool callback)
{
    hearth_heap *heap = m->public.heap;
    HEARTH_FRAME(&m->public, frame, 2);
    frame.ref[0] = weak;
    frame.ref[1] = other;
    struct hg_cell *cell = hearth_new(&m->public, heap->cells.type[kind]);
    HEARTH_FRAME_END(&m->public, frame);
    if (cell == NULL)
        return NULL;
    if (!hg_remember_room(&m->cells[hg_kind_is_ephemeron((uint8_t)kind)]) ||
        (callback && !hg_pending_reserve(heap))) {
        ht_fail(HEARTH_ENOMEM, "no memory to register one more %s", hg_cell_type[kind].name);
        return NULL;
    }
    return cell;
}

struct hg_cell *hg_cell_new(struct hg_mutator *m, enum hg_cell_kind kind, void *weak, void *other,
                            hearth_weak_fn *fn)
{
    if (hg_cells_ready(m->public.heap) != HEARTH_OK)
        return NULL;
    struct hg_cell *cell = hg_cell_allocate(m, kind, weak, other, fn != NULL);
    if (cell == NULL)
        return NULL;
    cell->weak = weak;
    cell->other = other;
    if (fn != NULL)
        cell->fn = fn;
    hg_remember_add(&m->cells[hg_kind_is_ephemeron((uint8_t)kind)], (uintptr_t)cell);
    return cell;
}

void hg_cell_call(struct hg_mutator *m, uintptr_t object)
{
    struct hg_cell *cell = (struct hg_cell *)object;
    hearth_weak_fn *fn = cell->fn;
    cell->fn = NULL;
    if (fn != NULL)
        fn(&m->public, cell, cell->other);
}

void hg_cells_gather(hearth_heap *heap, struct hg_mutator *m)
{
    for (int g = 0; g < HG_CELLS_GROUPS; g++)
        hg_remember_move(&heap->cells.young[g], &m->cells[g]);
}
