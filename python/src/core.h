/* python/src/core.h - what the parts of the extension share: CPython's internals, one interpreter's
 * state, the memory of a collection, and operations on the collector's lists.
 *
 * CPython keeps its own object headers and lists (PyGC_Head); hearth's collector works on them.
 * Invariant between collections: bits 2 and up of _gc_prev are the previous element, the COLLECTING
 * bit is clear.
 * Locks: everything here is used with the GIL held. Helpers (parallel.c) run while its holder waits
 * for them or works beside them, and change nothing but _gc_prev. */
#ifndef HEARTH_PYTHON_CORE_H
#define HEARTH_PYTHON_CORE_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <Python.h>
#include <internal/pycore_gc.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_object.h>
#include <internal/pycore_pystate.h>
#include <internal/pycore_runtime.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gc/histogram.h"

#if PY_VERSION_HEX < 0x030b0000 || PY_VERSION_HEX >= 0x030c0000
#error "the extension is for CPython 3.11: object headers and frames differ in other versions"
#endif

#define HP_HOT         static inline __attribute__((always_inline))
#define HP_LIKELY(x)   __builtin_expect(!!(x), 1)
#define HP_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define HP_COLLECTING ((uintptr_t)_PyGC_PREV_MASK_COLLECTING)
#define HP_FINALIZED  ((uintptr_t)_PyGC_PREV_MASK_FINALIZED)
/* Of candidates, _gc_prev holds a count of references: shifted, and with a bit that no pointer has. */
#define HP_COUNTED ((uintptr_t)4)
#define HP_ONE_REF ((uintptr_t)8)

typedef struct _gc_runtime_state hp_gc;

/* --- memory of a collection -------------------------------------------------------------------- */

struct hp_vec {
    PyGC_Head **at;
    size_t n;    /* in use                                            */
    size_t room; /* allocated                                         */
};

/* Arrays for one collection. User code of its second half may let another interpreter collect, so each
 * collection has its own; one is kept for the next. */
struct hp_scratch {
    struct hp_vec all;   /* snapshot of the list, in order                    */
    struct hp_vec rest;  /* candidates, then the garbage among them           */
    struct hp_vec stack; /* marked, not traversed: room for every object      */
    size_t zeros;        /* candidates that have no reference left            */
    size_t live;         /* objects left on the list by the last division     */
    size_t gone;         /* of `live`, untracked since: their places are NULL */
    size_t size;         /* objects that were on it                           */
    size_t candidates;   /* of them, not reached from the roots (full)        */
};

/* Room for `room` elements, contents kept; false: no memory, nothing changed. */
bool hp_vec_reserve(struct hp_vec *vec, size_t room);
/* NULL: no memory. */
struct hp_scratch *hp_scratch_take(void);
void hp_scratch_give(struct hp_scratch *scratch);
/* Free what is kept for the next collection. */
void hp_scratch_trim(void);

/* --- one interpreter --------------------------------------------------------------------------- */

/* What is hidden from the built-in pass between its two callbacks (takeover.c). */
struct hp_stash {
    bool active;
    int debug;
    PyGC_Head list[NUM_GENERATIONS];
    int count[NUM_GENERATIONS];
    struct gc_generation_stats stats[NUM_GENERATIONS];
    Py_ssize_t long_lived_total, long_lived_pending;
};

/* What hearth.stats() tells. Times in nanoseconds. */
struct hp_stats {
    uint64_t collections[NUM_GENERATIONS];
    uint64_t collected[NUM_GENERATIONS];
    uint64_t examined[NUM_GENERATIONS]; /* objects on the collected lists                    */
    struct hg_histogram pauses[NUM_GENERATIONS];
    uint64_t fallbacks;  /* left to the built-in collector for want of memory */
    uint64_t live;       /* objects after the last full collection            */
    uint64_t candidates; /* of the last full collection: not marked from roots */
    uint64_t unmarked;   /* full collections that did not mark                */
};

/* The state of the module in one interpreter. */
struct hp_state {
    hp_gc *gc; /* of the interpreter                                */
    PyInterpreterState *interp;
    PyObject *module;     /* borrowed: this state is part of it                */
    PyObject *user;       /* the list that users know as callbacks; owned while hooked */
    PyObject *hook;       /* the list that the interpreter has instead         */
    PyObject *builtin;    /* the built-in gc.collect                           */
    PyObject *generation; /* "generation"                                      */
    bool installed;       /* for all collections, not only explicit ones       */
    bool inside;          /* between the built-in's two calls                  */
    bool ours;            /* the last collection was done here, not left       */
    bool told;            /* users were called for "start" already */
    bool died;            /* most new objects of the last full collection were garbage */
    int force;            /* >= 0: automatic collections are of this generation */
    Py_ssize_t found;     /* its result                                        */
    struct hp_stash stash;
    struct hp_stats stats;
};

struct hp_state *hp_state_of(PyObject *module);

/* --- lists ------------------------------------------------------------------------------------- */

#define HP_OBJECT(g) ((PyObject *)((PyGC_Head *)(g) + 1))
#define HP_HEAD(o)   _Py_AS_GC(o)
#define HP_NEXT(g)   ((PyGC_Head *)(g)->_gc_next)
#define HP_PREV(g)   ((PyGC_Head *)((g)->_gc_prev & _PyGC_PREV_MASK))

HP_HOT PyGC_Head *hp_generation(hp_gc *gc, int generation)
{
    return &gc->generations[generation].head;
}
HP_HOT void hp_list_init(PyGC_Head *list)
{
    list->_gc_next = list->_gc_prev = (uintptr_t)list;
}
HP_HOT bool hp_list_empty(const PyGC_Head *list)
{
    return list->_gc_next == (uintptr_t)list;
}
HP_HOT void hp_set_prev(PyGC_Head *g, PyGC_Head *prev)
{
    g->_gc_prev = (g->_gc_prev & ~_PyGC_PREV_MASK) | (uintptr_t)prev;
}
HP_HOT void hp_list_append(PyGC_Head *g, PyGC_Head *list)
{
    PyGC_Head *last = (PyGC_Head *)list->_gc_prev;
    hp_set_prev(g, last);
    last->_gc_next = (uintptr_t)g;
    g->_gc_next = (uintptr_t)list;
    list->_gc_prev = (uintptr_t)g;
}
/* To the end of another list; flags of _gc_prev are kept. */
HP_HOT void hp_list_move(PyGC_Head *g, PyGC_Head *list)
{
    PyGC_Head *prev = HP_PREV(g), *next = HP_NEXT(g);
    prev->_gc_next = (uintptr_t)next;
    hp_set_prev(next, prev);
    hp_list_append(g, list);
}
/* All of `from` to the end of `to`. */
HP_HOT void hp_list_merge(PyGC_Head *from, PyGC_Head *to)
{
    if (!hp_list_empty(from)) {
        PyGC_Head *tail = HP_PREV(to), *first = HP_NEXT(from), *last = HP_PREV(from);
        tail->_gc_next = (uintptr_t)first;
        hp_set_prev(first, tail);
        last->_gc_next = (uintptr_t)to;
        hp_set_prev(to, last);
    }
    hp_list_init(from);
}
HP_HOT Py_ssize_t hp_list_size(const PyGC_Head *list)
{
    Py_ssize_t n = 0;
    for (const PyGC_Head *g = HP_NEXT(list); g != list; g = HP_NEXT(g))
        n++;
    return n;
}
/* What a candidate's _gc_prev holds: its reference count, the COLLECTING bit. */
HP_HOT uintptr_t hp_candidate(const PyGC_Head *g)
{
    return (uintptr_t)Py_REFCNT(HP_OBJECT(g)) * HP_ONE_REF | HP_COUNTED | HP_COLLECTING |
           (g->_gc_prev & HP_FINALIZED);
}
/* Building a list: the element behind `*tail`, the COLLECTING bit cleared. Close it at the end. */
HP_HOT void hp_list_build(PyGC_Head *g, PyGC_Head **tail)
{
    g->_gc_prev = (g->_gc_prev & HP_FINALIZED) | (uintptr_t)*tail;
    (*tail)->_gc_next = (uintptr_t)g;
    *tail = g;
}
HP_HOT void hp_list_close(PyGC_Head *list, PyGC_Head *tail)
{
    tail->_gc_next = (uintptr_t)list;
    list->_gc_prev = (uintptr_t)tail;
}

#endif
