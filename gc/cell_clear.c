/* gc/cell_clear.c - what a collection does with the registry of cells: clearing, forgetting, sorting.
 *
 * Weak references are looked at before finalizers are: those whose targets are dead are cleared. Whoever is settled
 * by then, whatever finalizers may bring back, is sorted into the young or the old part at once: a cell that is
 * reached and whose target is. The others (cells that are dead themselves; long references and weak keys
 * with dead targets) wait in a third part, `unsettled`, for the end. So each cell is looked at once, but for those few.
 *
 * To look at cells is to wait for memory, so many of them are shared out to helpers: a verdict is written into the
 * low bits of each entry, and then carried out by the collecting thread alone, in the order of the lists.
 *
 * Sorting needs no memory: parts are written by way of scratch chunks into chunks that have been read. N cells in
 * three parts take at most HG_CELLS_SPARE chunks more than N cells in one; so many are kept spare for each group, or
 * are in use already. Only the first chunk of a part is not full. Invariant and locks: cell.h. A chunk
 * belongs to the worker that took it; nodes are ignored, lists are plain memory. */
#include <string.h>

#include "gc/crew.h"
#include "gc/ephemeron.h"

/* The low bits of an entry: a part, or */
enum {
    HG_CELL_GONE = HG_CELLS_PARTS, /* nothing is to be done with it ever again       */
    HG_CELL_DUE,                   /* its target is dead: to be cleared              */
    HG_CELL_DEAD,                  /* it is dead itself, and its callback never due  */
    HG_VERDICT = 15
};

enum { HG_SORT_GROUP = 32 }; /* cells whose memory is asked for together */

static bool hg_has_callback(uint8_t kind)
{
    return kind == HG_CELL_WEAK || kind == HG_CELL_LONG;
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

/* The parts being written, by way of scratch chunks, into chunks that have been read. */
struct hg_cell_sorter {
    hearth_heap *heap;
    struct hg_remember_chunk *free;
    struct hg_remembered *to[HG_CELLS_PARTS];
    struct hg_remember_chunk *scratch[HG_CELLS_PARTS];
    struct hg_remembered *spare;
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

static inline void hg_sorter_put(struct hg_cell_sorter *sorter, int part, uintptr_t object)
{
    struct hg_remember_chunk *to = sorter->scratch[part];
    to->object[to->count++] = object;
    if (__builtin_expect(to->count == HG_REMEMBER_CHUNK, 0))
        hg_sorter_flush(sorter, part);
}

/* Go on with the last chunk of a part, which may have room. */
static void hg_sorter_resume(struct hg_cell_sorter *sorter, int part)
{
    struct hg_remembered *set = sorter->to[part];
    struct hg_remember_chunk *chunk = set->first;
    if (chunk == NULL || chunk->count == HG_REMEMBER_CHUNK)
        return;
    struct hg_remember_chunk *to = sorter->scratch[part];
    memcpy(to->object, chunk->object, chunk->count * sizeof *to->object);
    to->count = chunk->count;
    set->first = chunk->next;
    set->count -= chunk->count;
    chunk->next = sorter->free;
    sorter->free = chunk;
}

/* Write to a group's parts, going on where they end. */
static void hg_sorter_begin(struct hg_cell_sorter *sorter, hearth_heap *heap, int group)
{
    struct hg_cells *cells = &heap->cells;
    sorter->heap = heap;
    sorter->spare = &cells->spare[group];
    sorter->free = sorter->spare->first;
    sorter->to[HG_CELLS_YOUNG] = &cells->young[group];
    sorter->to[HG_CELLS_OLD] = &cells->old[group];
    sorter->to[HG_CELLS_UNSETTLED] = &cells->unsettled;
    for (int p = 0; p < HG_CELLS_PARTS; p++) {
        sorter->scratch[p] = cells->scratch[p].first;
        hg_sorter_resume(sorter, p);
    }
}

/* Of the chunks that are left over some stay; the others go. */
static void hg_sorter_end(struct hg_cell_sorter *sorter)
{
    struct hg_remember_chunk **at = &sorter->spare->first;
    for (int p = 0; p < HG_CELLS_PARTS; p++)
        hg_sorter_flush(sorter, p);
    *at = sorter->free;
    for (int i = 0; i < HG_CELLS_SPARE && *at != NULL; i++) {
        (*at)->count = 0;
        at = &(*at)->next;
    }
    struct hg_remembered rest = {*at, 0};
    *at = NULL;
    hg_remember_free(&rest);
}

/* --- verdicts ------------------------------------------------------------------------------------- */

/* Addresses outside of the heap are old. */
static inline uint8_t hg_referent_mark(const hearth_heap *heap, uintptr_t referent)
{
    if (!ha_windows_contain(heap->space.windows, referent))
        return heap->marks.old;
    return ha_mark_load(ha_meta_of(referent)) & HA_MARK;
}

static inline unsigned hg_verdict_living(const hearth_heap *heap, uint8_t mark, uint8_t referent)
{
    bool old = hg_mark_is_old(&heap->marks, mark) && hg_mark_is_old(&heap->marks, referent);
    return old ? HG_CELLS_OLD : HG_CELLS_YOUNG;
}

/* The target is dead. What concerns nobody else is done at once. */
static unsigned hg_verdict_cleared(struct hg_cell *cell, uint8_t kind)
{
    if (kind == HG_CELL_EPHEMERON)
        cell->other = NULL;
    else if (!hg_has_callback(kind) || cell->fn != NULL)
        return HG_CELL_DUE;
    cell->weak = NULL;
    return HG_CELL_GONE;
}

/* Before finalizers: also weak references that are dead themselves, which a finalizer may bring back, are
 * cleared. */
static inline unsigned hg_verdict_early(const hearth_heap *heap, uintptr_t object)
{
    struct hg_cell *cell = (struct hg_cell *)object;
    if (cell->weak == NULL)
        return HG_CELL_GONE;
    uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
    uint8_t referent = hg_referent_mark(heap, (uintptr_t)cell->weak);
    if (!hg_mark_is_live(&heap->marks, referent)) {
        uint8_t kind = hg_cell_row(heap, object);
        bool early = kind == HG_CELL_WEAK || kind == HG_CELL_VALUE;
        return early ? hg_verdict_cleared(cell, kind) : HG_CELLS_UNSETTLED;
    }
    if (!hg_mark_is_live(&heap->marks, mark))
        return HG_CELLS_UNSETTLED;
    return hg_verdict_living(heap, mark, referent);
}

/* At the end: what is dead now stays so. */
static inline unsigned hg_verdict_late(const hearth_heap *heap, uintptr_t object)
{
    struct hg_cell *cell = (struct hg_cell *)object;
    uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
    bool reached = hg_mark_is_live(&heap->marks, mark);
    if (cell->weak == NULL && !reached)
        return HG_CELL_GONE;
    uint8_t kind = hg_cell_row(heap, object);
    if (hg_kind_is_ephemeron(kind) && cell->link != 0) /* pages of frozen ones are shared */
        cell->link = 0;
    if (!reached)
        return hg_has_callback(kind) && cell->fn != NULL ? HG_CELL_DEAD : HG_CELL_GONE;
    if (cell->weak == NULL)
        return HG_CELL_GONE;
    uint8_t referent = hg_referent_mark(heap, (uintptr_t)cell->weak);
    if (!hg_mark_is_live(&heap->marks, referent))
        return hg_verdict_cleared(cell, kind);
    return hg_verdict_living(heap, mark, referent);
}

/* Ask for the marks of cells and of what they refer to weakly. The loads do not wait for each other. */
static inline void hg_judge_ahead(const hearth_heap *heap, const uintptr_t *cell, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uintptr_t weak = (uintptr_t)((struct hg_cell *)cell[i])->weak;
        uintptr_t target = ha_windows_contain(heap->space.windows, weak) ? weak : cell[i];
        __builtin_prefetch(ha_meta_of(cell[i]), 0, 3);
        __builtin_prefetch(ha_meta_of(target), 0, 3);
    }
}

static inline void hg_judge_some(const hearth_heap *heap, uintptr_t *cell, size_t count, bool early)
{
    for (size_t i = 0; i < count; i++)
        cell[i] |= early ? hg_verdict_early(heap, cell[i]) : hg_verdict_late(heap, cell[i]);
}

/* Three groups are under way: of one the cells are asked for, of one the marks, one is judged. */
static inline void hg_judge(const hearth_heap *heap, struct hg_remember_chunk *chunk, bool early)
{
    const size_t count = chunk->count, group = HG_SORT_GROUP;
    uintptr_t *cell = chunk->object;
    for (size_t i = 0; i < count + 2 * group; i += group) {
        for (size_t k = i; k < i + group && k < count; k++)
            __builtin_prefetch((void *)(cell[k] - HEARTH_HEADER), 0, 3);
        size_t mid = i - group, last = mid - group;
        if (i >= group && mid < count)
            hg_judge_ahead(heap, cell + mid, count - mid < group ? count - mid : group);
        if (i >= 2 * group)
            hg_judge_some(heap, cell + last, count - last < group ? count - last : group, early);
    }
}

/* --- many of them --------------------------------------------------------------------------------- */

struct hg_jury {
    hearth_heap *heap;
    struct hg_remember_chunk *next; /* to be judged (atomic) */
    bool early;
};

/* A helper's part of the phase, and the collecting thread's. */
static void hg_judge_help(void *data, int number)
{
    struct hg_jury *jury = data;
    hearth_heap *heap = jury->heap;
    int home = number != 0 ? hg_crew_node(heap->crew, number) : 0;
    if (number != 0)
        hg_observe_worker_begin(heap, number, home);
    struct hg_remember_chunk *chunk = __atomic_load_n(&jury->next, __ATOMIC_ACQUIRE);
    while (chunk != NULL) {
        if (!__atomic_compare_exchange_n(&jury->next, &chunk, chunk->next, true, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE))
            continue;
        if (jury->early)
            hg_judge(heap, chunk, true);
        else
            hg_judge(heap, chunk, false);
        chunk = __atomic_load_n(&jury->next, __ATOMIC_ACQUIRE);
    }
    if (number != 0)
        hg_observe_worker_end(heap, number, home);
}

static void hg_judge_all(hearth_heap *heap, struct hg_remember_chunk *list, bool early)
{
    struct hg_jury jury = {heap, list, early};
    hg_crew_open(heap->crew, hg_judge_help, &jury);
    hg_crew_call(heap->crew, HG_CREW_MAX);
    hg_judge_help(&jury, 0);
    hg_crew_close(heap->crew);
}

/* --- carrying out --------------------------------------------------------------------------------- */

static void hg_carry_out(struct hg_cell_sorter *sorter, uintptr_t entry)
{
    uintptr_t object = entry & ~(uintptr_t)HG_VERDICT;
    unsigned verdict = entry & HG_VERDICT;
    if (verdict < HG_CELLS_PARTS)
        hg_sorter_put(sorter, (int)verdict, object);
    else if (verdict == HG_CELL_DUE)
        hg_cell_clear(sorter->heap, object, hg_cell_row(sorter->heap, object));
    else if (verdict == HG_CELL_DEAD)
        hg_pending_unreserve(sorter->heap);
}

/* One list, whose chunks are free after that. `judged`: it was shared out. */
static void hg_sort_list(struct hg_cell_sorter *sorter, struct hg_remember_chunk *chunk, bool early,
                         bool judged)
{
    for (struct hg_remember_chunk *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        if (!judged && early)
            hg_judge(sorter->heap, chunk, true);
        else if (!judged)
            hg_judge(sorter->heap, chunk, false);
        for (size_t i = 0; i < chunk->count; i++)
            hg_carry_out(sorter, chunk->object[i]);
        chunk->next = sorter->free;
        sorter->free = chunk;
    }
}

/* So many that helpers are worth their calling? */
static bool hg_cells_many(const hearth_heap *heap, size_t count)
{
    return heap->crew->size > 0 && count > HG_REMEMBER_CHUNK &&
           count / 4 >= heap->options.help_after;
}

/* One group, in minor collections only its young part; or what is unsettled. */
static void hg_cells_pass(hearth_heap *heap, bool full, int group, bool early)
{
    struct hg_cells *cells = &heap->cells;
    struct hg_remembered list[2] = {{NULL, 0}, {NULL, 0}};
    struct hg_cell_sorter sorter;
    if (group == HG_CELLS_WEAK && !early) {
        hg_remember_move(&list[0], &cells->unsettled);
    } else {
        if (full)
            hg_remember_move(&list[0], &cells->old[group]);
        hg_remember_move(&list[1], &cells->young[group]);
    }
    if (list[0].first == NULL && list[1].first == NULL)
        return;
    hg_sorter_begin(&sorter, heap, group);
    for (int i = 0; i < 2; i++) {
        bool many = hg_cells_many(heap, list[i].count);
        if (many)
            hg_judge_all(heap, list[i].first, early);
        hg_sort_list(&sorter, list[i].first, early, many);
    }
    hg_sorter_end(&sorter);
}

void hg_cells_clear(hearth_heap *heap, bool full, enum hg_cell_pass pass)
{
    if (!heap->cells.ready)
        return;
    hg_cells_pass(heap, full, HG_CELLS_WEAK, pass == HG_CELL_SHORT);
    if (pass == HG_CELL_SHORT)
        return;
    hg_cells_pass(heap, full, HG_CELLS_EPHEMERON, false);
    hg_ephemerons_forget(heap);
}
