/* python/src/collect.h - the steps of a collection, in the order they are taken.
 *
 * Young lists (generations 0 and 1): trial deletion on the whole list (young.c). Full collections
 * first mark from the interpreter's roots (roots.c, mark.c), then try the few objects that were not
 * reached (subtract.c): the roots need not be complete, what they miss is found alive by its reference
 * count.
 * Then garbage is finalized and cleared (finish.c), as CPython does it. */
#ifndef HEARTH_PYTHON_COLLECT_H
#define HEARTH_PYTHON_COLLECT_H

#include "visit.h"

/* Collect one generation and all younger ones. The caller holds the GIL and gc->collecting is set.
 * False: no memory; nothing was done, the lists are whole and the built-in collector may take them. */
bool hp_collect(struct hp_state *state, int generation, Py_ssize_t *collected,
                Py_ssize_t *uncollectable);

/* Garbage, on a list of its own: the COLLECTING bit set, previous pointers whole. */
struct hp_dead {
    PyGC_Head list;
    size_t n;
    bool legacy;      /* some may have a legacy finalizer (tp_del)                    */
    bool finalizable; /* ... a finalizer that has not run                             */
    bool weak;        /* ... weak references to them, or be some                      */
};

/* May the object leave the collector's sight? Tuples at any time, dicts if `full`. Its list is not
 * touched. HP_LATER: not now, but it holds nothing that is tracked but tuples. */
enum hp_untrack { HP_KEEP, HP_UNTRACK, HP_LATER };
enum hp_untrack hp_untrack_items(PyObject *o);
HP_HOT enum hp_untrack hp_untrackable(PyObject *o, bool full)
{
    PyTypeObject *type = Py_TYPE(o);
    if (HP_LIKELY(type != &PyTuple_Type && (type != &PyDict_Type || !full)))
        return HP_KEEP;
    return hp_untrack_items(o);
}

/* Divide a list by trial deletion: what is alive stays on it, the rest is put on dead->list, order
 * kept. `untrack`: tuples that cannot be part of a cycle leave the list. scratch->rest has the dead in
 * order. False: no memory, nothing changed. */
bool hp_divide_young(struct hp_scratch *scratch, PyGC_Head *list, struct hp_dead *dead,
                     bool untrack);
/* The same for the oldest generation; dicts are untracked too. `mark`: mark from the roots first. */
bool hp_divide_full(struct hp_scratch *scratch, PyInterpreterState *interp, PyGC_Head *list,
                    struct hp_dead *dead, bool mark);

/* Subtract the references of the candidates in scratch->rest from each other; counts scratch->zeros. */
void hp_subtract(struct hp_scratch *scratch);
/* The end of both: scratch->rest holds candidates with the counts that are left. Those alive go to the
 * end of the list, and if it was a full one to scratch->all behind scratch->live; the others to
 * `dead`. */
enum hp_how { HP_AGAIN, HP_YOUNG, HP_FULL }; /* untrack nothing; tuples; dicts too */
void hp_divide(struct hp_scratch *scratch, PyGC_Head *list, struct hp_dead *dead, enum hp_how how);

enum { HP_SCAN_AHEAD = 8 }; /* objects between prefetch and look */

/* A scan of a part of the snapshot: what is marked is linked by itself, and moved to the front of the
 * part. */
struct hp_scan {
    size_t from, to;   /* the part                                                     */
    PyGC_Head **rest;  /* room for its candidates; tagged with 1: not visited          */
    size_t candidates; /* in there                                                     */
    size_t live;       /* marked                                                       */
    PyGC_Head list;    /* them; not closed: _gc_prev is the last                       */
    bool later;        /* some might be untracked when they are asked again: tagged 1  */
};
void hp_scan(struct hp_vec *all, struct hp_scan *scan, struct hp_worker *worker, bool parallel);
/* Ask them; the list is complete. */
void hp_untrack_late(struct hp_scratch *scratch);
/* Link the part behind `tail` and close the list. Returns the new tail. */
HP_HOT PyGC_Head *hp_scan_link(struct hp_scan *scan, PyGC_Head *list, PyGC_Head *tail)
{
    if (scan->live != 0) {
        PyGC_Head *first = HP_NEXT(&scan->list);
        tail->_gc_next = (uintptr_t)first;
        hp_set_prev(first, tail);
        tail = HP_PREV(&scan->list);
    }
    hp_list_close(list, tail);
    return tail;
}

/* Push every root of the interpreter; objects not on the list that is collected are ignored. */
void hp_push_roots(struct hp_worker *worker, PyInterpreterState *interp);
/* Traverse until the stack is empty, one thread. */
void hp_mark(struct hp_worker *worker);

/* Weak references, finalizers, clearing. Gives the scratch back. Returns how many were collected;
 * *uncollectable are those kept for a legacy finalizer, which are on the list `legacy` afterwards. */
Py_ssize_t hp_finish(struct hp_state *state, struct hp_scratch *scratch, struct hp_dead *dead,
                     PyGC_Head *old, PyGC_Head *legacy, Py_ssize_t *uncollectable);
/* Those go to gc.garbage, and live on. */
void hp_keep_legacy(hp_gc *gc, PyGC_Head *legacy, PyGC_Head *old);

/* The order in which the objects of the last full collection lay, to prefetch along it: hints, never
 * read from. */
struct hp_shadow {
    PyGC_Head **at;
    size_t n;
};
struct hp_shadow hp_shadow_get(void);
/* Keep the first `n` of the array as the new order; the vector gets the old array. */
void hp_shadow_swap(struct hp_vec *vec, size_t n);

enum {
    HP_SHADOW_AHEAD = 16,  /* entries between prefetch and visit; as many lie behind the last */
    HP_SHADOW_SEARCH = 12, /* entries that are searched for the place                         */
    HP_SHADOW_LOST = 64,   /* failures in a row after which the shadow is of no use           */
    HP_SHADOW_MIN = 16384  /* with fewer objects all is in the cache                          */
};

/* Follow a walk over objects in an array of about the same order. */
struct hp_follow {
    PyGC_Head **at;
    size_t n, place;
    unsigned lost;
};
HP_HOT struct hp_follow hp_follow(PyGC_Head **at, size_t n)
{
    return (struct hp_follow){.at = at, .n = n < HP_SHADOW_MIN ? 0 : n};
}
HP_HOT void hp_follow_step(struct hp_follow *f, const PyGC_Head *g)
{
    if (HP_UNLIKELY(f->place >= f->n))
        return;
    if (HP_LIKELY(f->at[f->place] == g)) {
        f->place++;
        f->lost = 0;
    } else {
        size_t next = f->place + 1;
        size_t end = next + HP_SHADOW_SEARCH < f->n ? next + HP_SHADOW_SEARCH : f->n;
        while (next < end && f->at[next] != g)
            next++;
        if (next < end)
            f->place = next + 1;
        else if (++f->lost == HP_SHADOW_LOST)
            f->n = 0;
    }
    if (f->place + HP_SHADOW_AHEAD < f->n)
        __builtin_prefetch(f->at[f->place + HP_SHADOW_AHEAD], 1);
}

/* Undo a snapshot: previous pointers from the next ones, COLLECTING bits cleared. */
void hp_list_repair(PyGC_Head *list);

#endif
