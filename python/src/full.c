/* python/src/full.c - dividing the oldest generation: mark from the roots, then try what was not reached.
 *
 * Steps: (1) a snapshot of the list sets the COLLECTING bit of every object; previous pointers stay. (2) Marking
 * clears it. (3) A scan of the snapshot takes what is not marked off the list: the candidates, with their
 * reference counts. In a heap that lives those are few, and the list is hardly written to. (4) Trial deletion
 * among the candidates (subtract.c).
 * Walking a linked list waits for memory at every step. The shadow, the order of the last full collection, tells
 * what probably comes next, so that it can be fetched ahead; where the list has changed, the walk looks a
 * little ahead in the shadow to find its place again. Its addresses may be of freed objects and are only
 * prefetched.
 * Locks: the GIL. */
#include "parallel.h"

enum {
    HP_SHADOW_AHEAD = 16, /* entries between prefetch and visit                 */
    HP_SHADOW_SEARCH = 12 /* entries that are searched for the place            */
};

/* Follow the walk in the shadow; returns the new place. */
HP_HOT size_t hp_shadow_step(const struct hp_shadow *shadow, size_t place, const PyGC_Head *g)
{
    if (HP_UNLIKELY(place >= shadow->n))
        return place;
    if (HP_LIKELY(shadow->at[place] == g)) {
        place++;
    } else {
        size_t next = place + 1;
        size_t end = next + HP_SHADOW_SEARCH < shadow->n ? next + HP_SHADOW_SEARCH : shadow->n;
        while (next < end && shadow->at[next] != g)
            next++;
        if (next < end)
            place = next + 1;
    }
    __builtin_prefetch(shadow->at[place + HP_SHADOW_AHEAD], 1);
    return place;
}

static bool hp_snapshot(struct hp_vec *all, PyGC_Head *list)
{
    struct hp_shadow shadow = hp_shadow_get();
    size_t place = 0, n = 0;
    for (PyGC_Head *g = HP_NEXT(list); g != list; g = HP_NEXT(g)) {
        place = hp_shadow_step(&shadow, place, g);
        if (HP_UNLIKELY(n == all->room) && !hp_vec_reserve(all, n + 1))
            return false;
        all->at[n++] = g;
        g->_gc_prev |= HP_COLLECTING;
    }
    all->n = n;
    return true;
}

size_t hp_scan(struct hp_vec *all, size_t from, size_t to, PyGC_Head *list, struct hp_vec *rest,
               bool *later)
{
    PyGC_Head *tail = list;
    size_t live = from;
    bool gap = true;
    for (size_t i = from; i < to; i++) {
        if (i + HP_SCAN_AHEAD < to)
            __builtin_prefetch(all->at[i + HP_SCAN_AHEAD]);
        PyGC_Head *g = all->at[i];
        uintptr_t prev = g->_gc_prev;
        if (prev & HP_COLLECTING) {
            g->_gc_prev = ((uintptr_t)Py_REFCNT(HP_OBJECT(g)) << _PyGC_PREV_SHIFT) | HP_COLLECTING |
                          (prev & HP_FINALIZED);
            rest->at[rest->n++] = g;
            gap = true;
            continue;
        }
        enum hp_untrack untrack = hp_untrackable(HP_OBJECT(g), true);
        *later |= untrack == HP_LATER;
        if (HP_UNLIKELY(untrack == HP_UNTRACK)) {
            g->_gc_next = 0;
            g->_gc_prev = prev & HP_FINALIZED;
            gap = true;
            continue;
        }
        if (gap) {
            hp_set_prev(g, tail);
            tail->_gc_next = (uintptr_t)g;
            gap = false;
        }
        tail = g;
        all->at[live++] = g;
    }
    list->_gc_prev = (uintptr_t)tail;
    return live - from;
}

bool hp_divide_full(struct hp_scratch *scratch, PyInterpreterState *interp, PyGC_Head *list)
{
    struct hp_vec *all = &scratch->all, *rest = &scratch->rest;
    if (!hp_snapshot(all, list) || !hp_vec_reserve(rest, all->n) ||
        !hp_vec_reserve(&scratch->stack, all->n)) {
        hp_list_repair(list);
        return false;
    }
    struct hp_worker worker = {.stack = scratch->stack.at, .room = scratch->stack.room};
    hp_parallel_begin(all->n);
    hp_push_roots(&worker, interp);
    if (!hp_parallel_mark(&worker))
        hp_mark(&worker);
    rest->n = 0;
    scratch->size = all->n;
    scratch->gone = 0;
    if (!hp_parallel_scan(scratch, list)) {
        bool later = false;
        scratch->live = hp_scan(all, 0, all->n, list, rest, &later);
        hp_list_close(list, HP_PREV(list));
    }
    scratch->candidates = rest->n;
    hp_try_rest(scratch, list);
    hp_parallel_end();
    hp_shadow_swap(all, scratch->live);
    scratch->live -= scratch->gone;
    return true;
}
