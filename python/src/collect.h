/* python/src/collect.h - the steps of a collection, in the order they are taken.
 *
 * Young lists (generations 0 and 1): trial deletion on the whole list (young.c). Full collections first mark from
 * the interpreter's roots (roots.c, mark.c), then try the few objects that were not reached (subtract.c): the
 * roots need not be complete, what they miss is found alive by its reference count.
 * Then garbage is finalized and cleared (finish.c), as CPython does it. */
#ifndef HEARTH_PYTHON_COLLECT_H
#define HEARTH_PYTHON_COLLECT_H

#include "visit.h"

/* Collect one generation and all younger ones. The caller holds the GIL and gc->collecting is set. False: no memory;
 * nothing was done, the lists are whole and the built-in collector may take them. */
bool hp_collect(struct hp_state *state, int generation, Py_ssize_t *collected,
                Py_ssize_t *uncollectable);

/* Divide a list by trial deletion: what is alive stays on it, the rest goes to scratch->rest, the COLLECTING bit
 * set, its order kept. `untrack`: tuples that cannot be part of a cycle leave the list. False: no memory,
 * nothing changed. */
bool hp_divide_young(struct hp_scratch *scratch, PyGC_Head *list, bool untrack);
/* The same for the oldest generation, marking from the roots first; dicts are untracked too. */
bool hp_divide_full(struct hp_scratch *scratch, PyInterpreterState *interp, PyGC_Head *list);

/* Second half of the above: scratch->rest holds candidates, their reference counts in _gc_prev. Those alive go to
 * the end of the list, the others stay. */
void hp_try_young(struct hp_scratch *scratch, PyGC_Head *list, bool tuples);
void hp_try_rest(struct hp_scratch *scratch, PyGC_Head *list);

enum {
    HP_SCAN_AHEAD = 8
}; /* objects between prefetch and look                                        */
/* Of [from, to) of the snapshot, what is marked is linked behind `list` (not closed) and stays in front of the range,
 * what is not becomes a candidate in `rest`, which has room. Returns how many are marked. *later is set if some might be
 * untracked when they are asked again. */
size_t hp_scan(struct hp_vec *all, size_t from, size_t to, PyGC_Head *list, struct hp_vec *rest,
               bool *later);

/* Push every root of the interpreter; objects not on the list that is collected are ignored. */
void hp_push_roots(struct hp_worker *worker, PyInterpreterState *interp);
/* Traverse until the stack is empty, one thread. */
void hp_mark(struct hp_worker *worker);
/* Subtract the references of the candidates from each other. */
void hp_subtract(struct hp_worker *worker, const struct hp_vec *rest);

/* Weak references, finalizers, clearing: scratch->rest is garbage. Gives the scratch back. Returns how many were
 * collected; *uncollectable are those kept for a legacy finalizer, which are on the list `legacy` afterwards. */
Py_ssize_t hp_finish(struct hp_state *state, struct hp_scratch *scratch, PyGC_Head *old,
                     PyGC_Head *legacy, Py_ssize_t *uncollectable);
/* Those go to gc.garbage, and live on. */
void hp_keep_legacy(hp_gc *gc, PyGC_Head *legacy, PyGC_Head *old);

/* May the object leave the collector's sight? Tuples at any time, dicts if `full`. Its list is not touched.
 * HP_LATER: not now, but it holds nothing that is tracked but tuples. */
enum hp_untrack { HP_KEEP, HP_UNTRACK, HP_LATER };
enum hp_untrack hp_untrackable(PyObject *o, bool full);

/* The order in which the objects of the last full collection lay, to prefetch along it: hints, never read from. */
struct hp_shadow {
    PyGC_Head **at;
    size_t n;
};
struct hp_shadow hp_shadow_get(void);
/* Keep the first `n` of the array as the new order; the vector gets the old array. */
void hp_shadow_swap(struct hp_vec *vec, size_t n);

/* Undo a snapshot: previous pointers from the next ones, COLLECTING bits cleared. */
void hp_list_repair(PyGC_Head *list);

#endif
