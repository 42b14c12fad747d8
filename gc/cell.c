/* gc/cell.c - the registry of cells: making them, clearing them, forgetting them.
 *
 * Invariant and locks: cell.h. A collection sorts what is left of the lists it looks at into young and old
 * part without asking for memory: parts are written by way of two scratch chunks into chunks that have been
 * read. N cells in two parts take at most one chunk more than N cells in one; that one is kept spare for each
 * group, or is in use already. */
#include "gc/cell.h"

#include <string.h>

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

static bool hg_is_ephemeron(uint8_t kind)
{
    return kind == HG_CELL_EPHEMERON || kind == HG_CELL_ENTRY;
}

static bool hg_has_callback(uint8_t kind)
{
    return kind == HG_CELL_WEAK || kind == HG_CELL_LONG;
}

static uint8_t hg_kind(const hearth_heap *heap, uintptr_t object)
{
    uint64_t header = __atomic_load_n(hearth_header_of((void *)object), __ATOMIC_RELAXED);
    return heap->types.row[hg_header_type(header)].cell;
}

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
        hg_remember_free(&cells->scratch[g]);
    }
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
            status = hg_type_builtin(&heap->types, &info, k, hg_is_ephemeron(k), &cells->type[k]);
    }
    return status;
}

hearth_status hg_cells_ready(hearth_heap *heap)
{
    struct hg_cells *cells = &heap->cells;
    if (__atomic_load_n(&cells->ready, __ATOMIC_ACQUIRE))
        return HEARTH_OK;
    pthread_mutex_lock(&cells->lock);
    hearth_status status = hg_cells_types(heap);
    for (int i = 0; i < HG_CELLS_GROUPS && status == HEARTH_OK; i++)
        if (!hg_remember_room(&cells->spare[i]) || !hg_remember_room(&cells->scratch[i]))
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
    return (enum hg_cell_kind)hg_kind(heap, address);
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
    if (!hg_remember_room(&m->cells[hg_is_ephemeron((uint8_t)kind)]) ||
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
    hg_remember_add(&m->cells[hg_is_ephemeron((uint8_t)kind)], (uintptr_t)cell);
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

/* The weak slot's object is dead: clear; what was held for its sake goes too, and the callback is due if
 * there is somebody to be called. */
static void hg_cell_clear(hearth_heap *heap, uintptr_t object, uint8_t kind)
{
    struct hg_cell *cell = (struct hg_cell *)object;
    cell->weak = NULL;
    if (!hg_has_callback(kind)) {
        cell->other = NULL;
        if (kind != HG_CELL_EPHEMERON)
            ((struct hg_table_entry *)cell)->table->dead++;
    } else if (cell->fn != NULL) {
        if (hg_reached(heap, object)) {
            hg_pending_cell(heap, object);
        } else {
            cell->fn = NULL;
            hg_pending_unreserve(heap);
        }
    }
}

/* Before finalizers: also weak references that are dead themselves, which a finalizer may bring back. */
static void hg_clear_short(hearth_heap *heap, uintptr_t object)
{
    const struct hg_cell *cell = (struct hg_cell *)object;
    if (hg_referent_lives(heap, (uintptr_t)cell->weak))
        return;
    uint8_t kind = hg_kind(heap, object);
    if (kind == HG_CELL_WEAK || kind == HG_CELL_VALUE)
        hg_cell_clear(heap, object, kind);
}

static void hg_clear_list(hearth_heap *heap, const struct hg_remembered *set)
{
#define HG_CLEAR(object) hg_clear_short(heap, (object))
    for (struct hg_remember_chunk *chunk = set->first; chunk != NULL; chunk = chunk->next)
        HG_EACH_CELL(heap, chunk->object, chunk->count, HG_CLEAR);
#undef HG_CLEAR
}

/* Two lists being written, by way of scratch chunks, into chunks that have been read. */
enum { HG_SORT_YOUNG, HG_SORT_OLD };

struct hg_cell_sorter {
    hearth_heap *heap;
    struct hg_remember_chunk *free;
    struct hg_remembered *to[2];
    struct hg_remember_chunk *scratch[2];
};

static void hg_sorter_flush(struct hg_cell_sorter *sorter, int part)
{
    struct hg_remember_chunk *from = sorter->scratch[part], *chunk = sorter->free;
    struct hg_remembered *to = sorter->to[part];
    if (from->count == 0)
        return;
    sorter->free = chunk->next;
    memcpy(chunk->object, from->object, from->count * sizeof *from->object);
    chunk->count = from->count;
    chunk->next = to->first;
    to->first = chunk;
    to->count += from->count;
    from->count = 0;
}

static void hg_sorter_put(struct hg_cell_sorter *sorter, int part, uintptr_t object)
{
    struct hg_remember_chunk *to = sorter->scratch[part];
    to->object[to->count++] = object;
    if (to->count == HG_REMEMBER_CHUNK)
        hg_sorter_flush(sorter, part);
}

/* Go on with the last chunk of the old part, which may have room. */
static void hg_sorter_resume(struct hg_cell_sorter *sorter)
{
    struct hg_remembered *old = sorter->to[HG_SORT_OLD];
    struct hg_remember_chunk *chunk = old->first;
    if (chunk == NULL || chunk->count == HG_REMEMBER_CHUNK)
        return;
    struct hg_remember_chunk *to = sorter->scratch[HG_SORT_OLD];
    memcpy(to->object, chunk->object, chunk->count * sizeof *to->object);
    to->count = chunk->count;
    old->first = chunk->next;
    old->count -= chunk->count;
    chunk->next = sorter->free;
    sorter->free = chunk;
}

static bool hg_referent_is_old(const hearth_heap *heap, uintptr_t referent)
{
    return !ha_windows_contain(heap->space.windows, referent) ||
           hg_mark_is_old(&heap->marks, ha_mark_load(ha_meta_of(referent)) & HA_MARK);
}

/* After finalizers have been found: clear what is dead now, and keep what may still have to be cleared. */
static void hg_sort_cell(struct hg_cell_sorter *sorter, uintptr_t object)
{
    hearth_heap *heap = sorter->heap;
    struct hg_cell *cell = (struct hg_cell *)object;
    if (cell->weak == NULL && !hg_reached(heap, object))
        return;
    uint8_t kind = hg_kind(heap, object);
    if (hg_is_ephemeron(kind) && cell->link != 0) /* pages of frozen ones are shared */
        cell->link = 0;
    if (!hg_reached(heap, object)) {
        if (hg_has_callback(kind) && cell->fn != NULL)
            hg_pending_unreserve(heap);
        return;
    }
    if (!hg_referent_lives(heap, (uintptr_t)cell->weak))
        hg_cell_clear(heap, object, kind);
    if (cell->weak == NULL)
        return;
    bool old = hg_referent_is_old(heap, object) && hg_referent_is_old(heap, (uintptr_t)cell->weak);
    hg_sorter_put(sorter, old ? HG_SORT_OLD : HG_SORT_YOUNG, object);
}

static void hg_sort_list(struct hg_cell_sorter *sorter, struct hg_remember_chunk *chunk)
{
#define HG_SORT(object) hg_sort_cell(sorter, (object))
    while (chunk != NULL) {
        struct hg_remember_chunk *next = chunk->next;
        HG_EACH_CELL(sorter->heap, chunk->object, chunk->count, HG_SORT);
        chunk->next = sorter->free;
        sorter->free = chunk;
        chunk = next;
    }
#undef HG_SORT
}

/* One chunk that is left over stays; the others go. */
static void hg_sorter_end(struct hg_cell_sorter *sorter, struct hg_remembered *spare)
{
    hg_sorter_flush(sorter, HG_SORT_YOUNG);
    hg_sorter_flush(sorter, HG_SORT_OLD);
    spare->first = sorter->free;
    if (sorter->free == NULL)
        return;
    struct hg_remembered rest = {sorter->free->next, 0};
    sorter->free->next = NULL;
    sorter->free->count = 0;
    hg_remember_free(&rest);
}

/* One group: the young part, in a full collection also the old one. */
static void hg_sort_group(hearth_heap *heap, bool full, int group)
{
    struct hg_cells *cells = &heap->cells;
    struct hg_remembered *spare = &cells->spare[group], young = cells->young[group], old = {0};
    struct hg_cell_sorter sorter = {heap,
                                    spare->first,
                                    {&cells->young[group], &cells->old[group]},
                                    {cells->scratch[0].first, cells->scratch[1].first}};
    if (full) {
        old = cells->old[group];
        cells->old[group] = (struct hg_remembered){NULL, 0};
    }
    if (young.first == NULL && old.first == NULL)
        return;
    cells->young[group] = (struct hg_remembered){NULL, 0};
    hg_sorter_resume(&sorter);
    hg_sort_list(&sorter, old.first);
    hg_sort_list(&sorter, young.first);
    hg_sorter_end(&sorter, spare);
}

void hg_cells_clear(hearth_heap *heap, bool full, enum hg_cell_pass pass)
{
    struct hg_cells *cells = &heap->cells;
    if (!cells->ready)
        return;
    if (pass == HG_CELL_SHORT) {
        hg_clear_list(heap, &cells->young[HG_CELLS_WEAK]);
        if (full)
            hg_clear_list(heap, &cells->old[HG_CELLS_WEAK]);
        return;
    }
    for (int g = 0; g < HG_CELLS_GROUPS; g++)
        hg_sort_group(heap, full, g);
    hg_ephemerons_forget(heap);
}
