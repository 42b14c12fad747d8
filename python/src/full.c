/* python/src/full.c - dividing the oldest generation: mark from the roots, then try what was not
 * reached.
 *
 * Steps: (1) a snapshot of the list makes every object a candidate. (2) Marking clears the COLLECTING
 * bit. (3) A scan of the snapshot links what is marked again and subtracts the references of what is
 * not; in a heap that lives those are few. (4) The candidates are divided (subtract.c).
 * Where most objects are expected to be dead, marking would only cost: the references of all are
 * subtracted. Walking a linked list waits for memory at every step. The shadow, the order of the last
 * full collection, tells what probably comes next, so that it can be fetched ahead; where the list has
 * changed, the walk looks a little ahead in the shadow to find its place again. Its addresses may be
 * of freed objects and are only prefetched.
 * Locks: the GIL. */
#include "parallel.h"

/* Every object of the list into the array, as a candidate. */
static bool hp_snapshot(struct hp_vec *vec, PyGC_Head *list)
{
    struct hp_shadow shadow = hp_shadow_get();
    struct hp_follow follow = hp_follow(shadow.at, shadow.n);
    size_t n = 0;
    for (PyGC_Head *g = HP_NEXT(list); g != list; g = HP_NEXT(g)) {
        hp_follow_step(&follow, g);
        if (HP_UNLIKELY(n == vec->room) && !hp_vec_reserve(vec, n + 1))
            return false;
        vec->at[n++] = g;
        g->_gc_prev = hp_candidate(g);
    }
    vec->n = n;
    return true;
}

HP_HOT void hp_scan_range(struct hp_vec *all, struct hp_scan *scan, struct hp_worker *w,
                          const bool parallel)
{
    PyGC_Head **const at = all->at, **live = at + scan->from, **rest = scan->rest;
    PyGC_Head *tail = &scan->list;
    const size_t to = scan->to;
    for (size_t i = scan->from; i < to; i++) {
        if (i + HP_SCAN_AHEAD < to)
            __builtin_prefetch(at[i + HP_SCAN_AHEAD]);
        PyGC_Head *g = at[i];
        uintptr_t prev = __atomic_load_n(&g->_gc_prev, __ATOMIC_RELAXED);
        if (prev & HP_COLLECTING) {
            bool visited = hp_visit(HP_OBJECT(g), w, HP_SUBTRACT, parallel);
            w->left |= !visited;
            *rest++ = (PyGC_Head *)((uintptr_t)g | !visited);
            continue;
        }
        enum hp_untrack untrack = prev & HP_COUNTED ? hp_untrackable(HP_OBJECT(g), true) : HP_KEEP;
        if (HP_UNLIKELY(untrack == HP_UNTRACK)) {
            g->_gc_next = 0;
            g->_gc_prev &= HP_FINALIZED;
            continue;
        }
        bool late = untrack == HP_LATER && (parallel || PyDict_CheckExact(HP_OBJECT(g)));
        scan->later |= late;
        hp_list_build(g, &tail);
        *live++ = (PyGC_Head *)((uintptr_t)g | late);
    }
    scan->list._gc_prev = (uintptr_t)tail;
    scan->live = (size_t)(live - at) - scan->from;
    scan->candidates = (size_t)(rest - scan->rest);
}

void hp_scan(struct hp_vec *all, struct hp_scan *scan, struct hp_worker *w, bool parallel)
{
    if (parallel)
        hp_scan_range(all, scan, w, true);
    else
        hp_scan_range(all, scan, w, false);
}

/* The i-th of those that live, asked again. */
static void hp_ask_again(struct hp_scratch *scratch, size_t i)
{
    PyGC_Head *g = scratch->all.at[i];
    if (hp_untrackable(HP_OBJECT(g), true) != HP_UNTRACK)
        return;
    HP_PREV(g)->_gc_next = g->_gc_next;
    hp_set_prev(HP_NEXT(g), HP_PREV(g));
    g->_gc_next = 0;
    g->_gc_prev &= HP_FINALIZED;
    scratch->all.at[i] = NULL;
    scratch->gone++;
}

/* Dicts that hold tuples: all tuples come first, as in CPython. And tuples that hold tuples which another helper was
 * looking at: in the order of the list. The stack, empty now, has the places of the dicts. */
void hp_untrack_late(struct hp_scratch *scratch)
{
    size_t dicts = 0, *place = (size_t *)(void *)scratch->stack.at;
    for (size_t i = 0; i < scratch->live; i++) {
        PyGC_Head *g = scratch->all.at[i];
        if (HP_LIKELY(!((uintptr_t)g & 1)))
            continue;
        scratch->all.at[i] = g = (PyGC_Head *)((uintptr_t)g & ~(uintptr_t)1);
        if (PyDict_CheckExact(HP_OBJECT(g)))
            place[dicts++] = i;
        else
            hp_ask_again(scratch, i);
    }
    for (size_t k = 0; k < dicts; k++)
        hp_ask_again(scratch, place[k]);
}

/* Mark and scan: leaves what is marked on the list. */
static void hp_mark_all(struct hp_scratch *scratch, PyInterpreterState *interp, PyGC_Head *list)
{
    struct hp_worker worker = {.stack = scratch->stack.at, .room = scratch->stack.room};
    hp_push_roots(&worker, interp);
    if (!hp_parallel_mark(&worker))
        hp_mark(&worker);
    if (hp_parallel_scan(&worker, scratch, list))
        return;
    struct hp_scan scan = {.to = scratch->all.n, .rest = scratch->rest.at};
    hp_scan(&scratch->all, &scan, &worker, false);
    hp_scan_link(&scan, list, list);
    scratch->live = scan.live;
    if (scan.later)
        hp_untrack_late(scratch);
    scratch->rest.n = scan.candidates;
    scratch->zeros = worker.zeros;
}

bool hp_divide_full(struct hp_scratch *scratch, PyInterpreterState *interp, PyGC_Head *list,
                    struct hp_dead *dead, bool mark)
{
    struct hp_vec *all = &scratch->all, *rest = &scratch->rest;
    struct hp_vec *first = mark ? all : rest, *second = mark ? rest : all;
    if (!hp_snapshot(first, list) || !hp_vec_reserve(second, first->n) ||
        !hp_vec_reserve(&scratch->stack, first->n)) {
        hp_list_repair(list);
        return false;
    }
    scratch->size = first->n;
    scratch->live = scratch->gone = 0;
    hp_parallel_begin(scratch->size);
    if (mark) {
        hp_mark_all(scratch, interp, list);
    } else {
        hp_list_init(list);
        hp_subtract(scratch);
    }
    scratch->candidates = rest->n;
    hp_divide(scratch, list, dead, HP_FULL);
    hp_parallel_end();
    hp_shadow_swap(all, scratch->live);
    scratch->live -= scratch->gone;
    return true;
}
