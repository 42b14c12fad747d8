/* gc/ephemeron.c - tracing ephemerons to the fixpoint, in time linear in what is traced.
 *
 * During the closure the value of an ephemeron is pushed if its key is reached already; else it is only noted
 * that there is one (cells.found). After it the registry tells which they are, and their keys are watched: a
 * table has a place for every cell of a block that holds such keys: the head of a chain of the key's
 * ephemerons through their `link`, and the value if there is only one. Tracing goes on in the instance of the loop that asks for every object it
 * marks in such a block whether it is watched, and pushes what waits for it. An ephemeron that is met then
 * with an unreached key joins the table at once. So each is looked at a fixed number of times, however
 * they are chained. (Hayes, OOPSLA 1997, for the semantics; the table in place of rescanning is that of
 * Jones's notes on Lua and V8's key-to-ephemeron map.)
 *
 * Invariant: for no reached ephemeron whose key is reached the value is neither reached nor pushed. Two workers
 * agree because of one order of sequentially consistent operations: who marks a key looks at the table after
 * it; who adds an ephemeron looks at the key's mark after it; one of them sees the other. In the same way
 * the value is promoted by whoever reads the ephemeron's mark last, so it is read after the key's. A value in
 * the table is given up for the chain before the chain gets longer, or the ephemeron turns out to have aged.
 *
 * Without memory for the table all ephemerons are looked at again until nothing changes: slow, and right.
 * Lock: cells.lock while a block gets its part of the table. Node: the table is touched first by its user. */
#define _GNU_SOURCE
#include "gc/ephemeron.h"

#include <sys/mman.h>

#include "gc/crew.h"
#include "topology/os.h"

enum {
    HG_WATCH_HUGE = 1 << 17, /* ephemerons from which on the table is worth large pages: 2 MiB */
    HG_WATCH_VALUE =
        8, /* tag of a value in the table: the only one of its key, with HG_TAG_PROMOTE */
    HG_WATCH_CHAIN = 4 /* instead of a value: look at the chain                                  */
};

static struct hg_cell *hg_cell_at(uintptr_t object)
{
    return (struct hg_cell *)object;
}

/* The tag for what the ephemeron refers to, by its mark now. */
static uintptr_t hg_cell_tag(const hearth_heap *heap, uintptr_t object)
{
    uint8_t mark = __atomic_load_n(ha_meta_of(object), __ATOMIC_SEQ_CST) & HA_MARK;
    return hg_mark_is_old(&heap->marks, mark) ? HG_TAG_PROMOTE : 0;
}

/* The place of a key in a block that has its part of the table. */
static struct hg_watched *hg_watched_at(const struct hg_watch *watch, const struct ha_block *block,
                                        uintptr_t key)
{
    size_t offset = key - (uintptr_t)ha_block_start(block) - HEARTH_GRANULE;
    size_t index =
        block->state == HA_LARGE ? 0 : (size_t)((uint64_t)offset * block->reciprocal >> 32);
    return &watch->key[block->keys_at + index];
}

/* Give the block its part of the table; false: there is no room. */
static bool hg_watch_block(struct hg_cells *cells, struct ha_block *block)
{
    struct hg_watch *watch = &cells->watch;
    size_t keys = block->state == HA_LARGE ? 1 : block->cells;
    bool room = true;
    pthread_mutex_lock(&cells->lock);
    if (!__atomic_load_n(&block->keys, __ATOMIC_RELAXED)) {
        room = watch->keys - watch->used >= keys && watch->used + keys <= UINT32_MAX;
        if (room) {
            block->keys_at = (uint32_t)watch->used;
            watch->used += keys;
            block->keys_next = watch->blocks;
            watch->blocks = block;
            __atomic_store_n(&block->keys, 1, __ATOMIC_SEQ_CST);
        }
    }
    pthread_mutex_unlock(&cells->lock);
    return room;
}

/* Alone: no other worker marks or adds. */
static void hg_watch_put_alone(const hearth_heap *heap, struct hg_watched *at, uintptr_t object)
{
    struct hg_cell *cell = hg_cell_at(object);
    at->value = at->first != 0 || cell->link != 0
                    ? HG_WATCH_CHAIN
                    : (uintptr_t)cell->other | hg_cell_tag(heap, object) | HG_WATCH_VALUE;
    if (cell->link != 0)
        return;
    cell->link = at->first | 1;
    at->first = object;
}

/* The same while others do; an ephemeron that waits already may have aged. */
static void hg_watch_put(const hearth_heap *heap, struct hg_watched *at, uintptr_t object)
{
    struct hg_cell *cell = hg_cell_at(object);
    uintptr_t none = 0, head;
    if (!__atomic_compare_exchange_n(&cell->link, &none, 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&at->value, HG_WATCH_CHAIN, __ATOMIC_SEQ_CST);
        return;
    }
    head = __atomic_load_n(&at->first, __ATOMIC_SEQ_CST);
    do {
        if (head != 0)
            __atomic_store_n(&at->value, HG_WATCH_CHAIN, __ATOMIC_SEQ_CST);
        __atomic_store_n(&cell->link, head | 1, __ATOMIC_RELAXED);
    } while (!__atomic_compare_exchange_n(&at->first, &head, object, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    if (head == 0)
        __atomic_compare_exchange_n(
            &at->value, &none, (uintptr_t)cell->other | hg_cell_tag(heap, object) | HG_WATCH_VALUE,
            false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Let an ephemeron wait for its key; true if it does (now or already). */
static bool hg_watch_add(const struct hg_worker *w, uintptr_t object, uintptr_t key)
{
    hearth_heap *heap = w->trace->heap;
    struct ha_block *block = ha_block_of(key);
    if (!__atomic_load_n(&block->keys, __ATOMIC_SEQ_CST) && !hg_watch_block(&heap->cells, block))
        return false;
    struct hg_watched *at = hg_watched_at(&heap->cells.watch, block, key);
    if (w->parallel)
        hg_watch_put(heap, at, object);
    else
        hg_watch_put_alone(heap, at, object);
    return true;
}

static void hg_push_value(struct hg_worker *w, uintptr_t object, uintptr_t tag)
{
    w->promote = tag;
    w->visitor.slot(&w->visitor, &hg_cell_at(object)->other);
}

/* What waits for the value, which may be a key in its turn, is asked for together with its mark. */
static void hg_watch_prefetch(const hearth_heap *heap, uintptr_t value)
{
    if (!ha_windows_contain(heap->space.windows, value))
        return;
    const struct ha_block *block = ha_block_of(value);
    __builtin_prefetch(ha_meta_of(value), 0, 3);
    if (__atomic_load_n(&block->keys, __ATOMIC_SEQ_CST))
        __builtin_prefetch(hg_watched_at(&heap->cells.watch, block, value), 0, 3);
}

void hg_ephemeron_key(struct hg_worker *w, uintptr_t key)
{
    hearth_heap *heap = w->trace->heap;
    struct hg_watched *at = hg_watched_at(&heap->cells.watch, ha_block_of(key), key);
    uintptr_t value = __atomic_load_n(&at->value, __ATOMIC_SEQ_CST);
    if (value & HG_WATCH_VALUE) {
        void *slot = (void *)(value & ~(uintptr_t)HG_TAGS);
        hg_watch_prefetch(heap, (uintptr_t)slot);
        w->promote = value & HG_TAG_PROMOTE;
        w->visitor.slot(&w->visitor, &slot);
        return;
    }
    uintptr_t object = __atomic_load_n(&at->first, __ATOMIC_SEQ_CST);
    while (object != 0) {
        hg_push_value(w, object, hg_cell_tag(heap, object));
        object = __atomic_load_n(&hg_cell_at(object)->link, __ATOMIC_RELAXED) & ~(uintptr_t)1;
    }
}

static void hg_note(bool *flag)
{
    if (!__atomic_load_n(flag, __ATOMIC_RELAXED))
        __atomic_store_n(flag, true, __ATOMIC_RELAXED);
}

/* In the ordinary closure: its key's mark has been asked for some ephemerons ago. */
static void hg_ephemeron_met(struct hg_worker *w, uintptr_t entry)
{
    hearth_heap *heap = w->trace->heap;
    uintptr_t object = entry & ~(uintptr_t)HG_TAGS;
    if (hg_referent_lives(heap, (uintptr_t)hg_cell_at(object)->weak))
        hg_push_value(w, object, entry & HG_TAG_PROMOTE);
    else
        hg_note(&heap->cells.found);
}

void hg_ephemerons_met(struct hg_worker *w)
{
    for (int i = 0; i < HG_MET; i++) {
        uintptr_t entry = w->met[i];
        w->met[i] = 0;
        if (entry != 0)
            hg_ephemeron_met(w, entry);
    }
}

static void hg_ephemeron_watch(struct hg_worker *w, uintptr_t object, uintptr_t key)
{
    hearth_heap *heap = w->trace->heap;
    if (hg_referent_lives(heap, key))
        hg_push_value(w, object, w->promote);
    else if (!hg_watch_add(w, object, key))
        hg_note(&heap->cells.found);
    else if (hg_referent_lives(heap, key))
        hg_push_value(w, object, hg_cell_tag(heap, object));
}

void hg_ephemeron_trace(struct hg_worker *w, uintptr_t object)
{
    const struct ha_windows *windows = w->trace->heap->space.windows;
    uintptr_t key = (uintptr_t)hg_cell_at(object)->weak;
    if (key == 0)
        return;
    if (w->trace->watch) {
        hg_ephemeron_watch(w, object, key);
        return;
    }
    if (ha_windows_contain(windows, key))
        __builtin_prefetch(ha_meta_of(key), 0, 3);
    uintptr_t *at = &w->met[w->mets++ % HG_MET], before = *at;
    *at = object | w->promote;
    if (before != 0)
        hg_ephemeron_met(w, before);
}

/* The table, as large as the keys of all ephemerons may need; untouched parts of it cost nothing. Before
 * anything is pushed: no key may be marked unasked from then on. */
static void hg_watch_begin(hearth_heap *heap)
{
    struct hg_cells *cells = &heap->cells;
    if (heap->trace->watch || cells->slow)
        return;
    size_t blocks = __atomic_load_n(&heap->space.used, __ATOMIC_RELAXED);
    size_t count = cells->young[HG_CELLS_EPHEMERON].count + cells->old[HG_CELLS_EPHEMERON].count;
    if (blocks > count)
        blocks = count;
    cells->watch.keys = blocks * HA_BLOCK_GRANULES;
    cells->watch.key = ht_os_map(cells->watch.keys * sizeof(struct hg_watched), true);
    if (cells->watch.key != NULL && count >= HG_WATCH_HUGE)
        (void)ht_os_advise(cells->watch.key, cells->watch.keys * sizeof(struct hg_watched),
                           MADV_HUGEPAGE);
    heap->trace->watch = cells->watch.key != NULL;
    cells->slow = cells->watch.key == NULL;
}

/* Is the value to be pushed: not reached, or to be promoted? */
static bool hg_value_due(const hearth_heap *heap, uintptr_t value, uintptr_t tag)
{
    if (!ha_windows_contain(heap->space.windows, value))
        return false;
    uint8_t mark = ha_mark_load(ha_meta_of(value)) & HA_MARK;
    return !hg_mark_is_old(&heap->marks, mark) && (tag != 0 || mark != heap->marks.gen1);
}

/* One ephemeron of the registry, between two runs of the tracer; true if its value was pushed. */
static bool hg_resolve_one(hearth_heap *heap, struct hg_worker *w, uintptr_t object)
{
    struct hg_cell *cell = hg_cell_at(object);
    if (cell->weak == NULL || !hg_reached(heap, object))
        return false;
    if (!hg_referent_lives(heap, (uintptr_t)cell->weak)) {
        if (!heap->trace->watch || !hg_watch_add(w, object, (uintptr_t)cell->weak))
            heap->cells.slow = true;
        if (!hg_referent_lives(heap, (uintptr_t)cell->weak))
            return false; /* else helpers have been called, and have marked it */
    }
    uintptr_t tag = hg_cell_tag(heap, object);
    bool due = hg_value_due(heap, (uintptr_t)cell->other, tag);
    if (due)
        hg_trace_push(w, (uintptr_t)cell->other, tag);
    return due;
}

/* As HG_EACH_CELL, and half-way in between the places of keys are asked for. */
static bool hg_resolve_list(hearth_heap *heap, struct hg_worker *w, const struct hg_remembered *set)
{
    enum { PLACE = HG_CELLS_AHEAD + HG_CELLS_AHEAD / 2 };
    bool pushed = false;
    for (struct hg_remember_chunk *chunk = set->first; chunk != NULL; chunk = chunk->next) {
        const uintptr_t *cell = chunk->object;
        for (size_t i = 0; i < chunk->count + 2 * HG_CELLS_AHEAD; i++) {
            hg_cell_prefetch(heap, cell, chunk->count, i);
            if (i >= PLACE && i - PLACE < chunk->count)
                hg_watch_prefetch(heap, (uintptr_t)hg_cell_at(cell[i - PLACE])->weak);
            if (i >= 2 * HG_CELLS_AHEAD)
                pushed |= hg_resolve_one(heap, w, cell[i - 2 * HG_CELLS_AHEAD]);
        }
    }
    return pushed;
}

/* Look at the ephemerons that may wait, and trace; true if something was pushed. */
static bool hg_resolve_round(hearth_heap *heap, bool full)
{
    struct hg_cells *cells = &heap->cells;
    __atomic_store_n(&cells->found, false, __ATOMIC_RELAXED);
    hg_watch_begin(heap);
    struct hg_worker *w = hg_trace_more(heap->trace);
    bool pushed = hg_resolve_list(heap, w, &cells->young[HG_CELLS_EPHEMERON]);
    if (full)
        pushed |= hg_resolve_list(heap, w, &cells->old[HG_CELLS_EPHEMERON]);
    hg_trace_run(heap->trace);
    return pushed;
}

/* Minor collections do not trace old ephemerons that are not remembered, and need not: their values are old. The
 * others with unreached keys are in the young part. */
void hg_cells_resolve(hearth_heap *heap, bool full)
{
    struct hg_cells *cells = &heap->cells;
    if (!cells->ready)
        return;
    if (!cells->gathered)
        for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
            hg_cells_gather(heap, m);
    cells->gathered = true;
    bool due = cells->found || cells->slow;
    while (due) {
        bool pushed = hg_resolve_round(heap, full);
        due = cells->found || (cells->slow && pushed);
    }
}

void hg_ephemerons_forget(hearth_heap *heap)
{
    struct hg_cells *cells = &heap->cells;
    struct hg_watch *watch = &cells->watch;
    for (struct ha_block *block = watch->blocks; block != NULL; block = block->keys_next)
        block->keys = 0;
    if (watch->key != NULL)
        ht_os_unmap(watch->key, watch->keys * sizeof *watch->key);
    *watch = (struct hg_watch){NULL, 0, 0, NULL};
    heap->trace->watch = false;
    cells->gathered = cells->found = cells->slow = false;
}
