/* python/src/full.c - dividing the oldest generation: mark from the roots, then try what was not reached.
 *
 * Steps: (1) a snapshot of the list sets the COLLECTING bit of every object; previous pointers stay. (2) Marking
 * clears it. (3) A scan of the snapshot takes what is not marked off the list: the candidates, with their
 * reference counts. In a heap that lives those are few, and the list is hardly written to. (4) Trial deletion
 * among the candidates (subtract.c).
 * Where most objects are expected to be dead, marking and scanning would only cost: every object is a candidate.
 * Walking a linked list waits for memory at every step. The shadow, the order of the last full collection, tells
 * what probably comes next, so that it can be fetched ahead; where the list has changed, the walk looks a
 * little ahead in the shadow to find its place again. Its addresses may be of freed objects and are only
 * prefetched.
 * Locks: the GIL. */
#include "parallel.h"

/* Every object of the list into the array, with the COLLECTING bit; `counts`: and its reference count. */
HP_HOT bool hp_snapshot(struct hp_vec *vec, PyGC_Head *list, const bool counts)
{
    struct hp_shadow shadow = hp_shadow_get();
    struct hp_follow follow = {.at = shadow.at, .n = shadow.n};
    size_t n = 0;
    for (PyGC_Head *g = HP_NEXT(list); g != list; g = HP_NEXT(g)) {
        hp_follow_step(&follow, g);
        if (HP_UNLIKELY(n == vec->room) && !hp_vec_reserve(vec, n + 1))
            return false;
        vec->at[n++] = g;
        if (counts)
            g->_gc_prev = hp_candidate(g);
        else
            g->_gc_prev |= HP_COLLECTING;
    }
    vec->n = n;
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
            g->_gc_prev = hp_candidate(g);
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

/* Mark and scan: leaves what is marked on the list. */
static void hp_mark_all(struct hp_scratch *scratch, PyInterpreterState *interp, PyGC_Head *list)
{
    struct hp_vec *all = &scratch->all;
    struct hp_worker worker = {.stack = scratch->stack.at, .room = scratch->stack.room};
    hp_push_roots(&worker, interp);
    if (!hp_parallel_mark(&worker))
        hp_mark(&worker);
    scratch->rest.n = 0;
    if (!hp_parallel_scan(scratch, list)) {
        bool later = false;
        scratch->live = hp_scan(all, 0, all->n, list, &scratch->rest, &later);
        hp_list_close(list, HP_PREV(list));
    }
}

bool hp_divide_full(struct hp_scratch *scratch, PyInterpreterState *interp, PyGC_Head *list,
                    struct hp_dead *dead, bool mark)
{
    struct hp_vec *all = &scratch->all, *rest = &scratch->rest;
    struct hp_vec *first = mark ? all : rest, *second = mark ? rest : all;
    if (!(mark ? hp_snapshot(first, list, false) : hp_snapshot(first, list, true)) ||
        !hp_vec_reserve(second, first->n) || !hp_vec_reserve(&scratch->stack, first->n)) {
        hp_list_repair(list);
        return false;
    }
    scratch->size = first->n;
    scratch->live = scratch->gone = 0;
    hp_parallel_begin(scratch->size);
    if (mark)
        hp_mark_all(scratch, interp, list);
    else
        hp_list_init(list);
    scratch->candidates = rest->n;
    hp_try(scratch, list, dead, HP_FULL);
    hp_parallel_end();
    hp_shadow_swap(all, scratch->live);
    scratch->live -= scratch->gone;
    return true;
}
