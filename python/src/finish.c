/* python/src/finish.c - what becomes of garbage: CPython's rules, in CPython's order.
 *
 * Objects with a legacy finalizer (tp_del), and what they reach, are kept and given to gc.garbage. Weak references to
 * garbage are cleared, and the callbacks of those that are not garbage themselves are called; then finalizers are
 * called, once per object (PEP 442); what they resurrect is found by a second division, which is needed only
 * if user code has run. The rest is cleared, which breaks its cycles.
 * Invariant: garbage lies on a list of its own with the COLLECTING bit set, previous pointers whole, so that user
 * code may untrack and delete any of it. Locks: the GIL, which finalizers may give up for a while. */
#include "collect.h"

#include <internal/pycore_pyerrors.h>

struct hp_dead {
    PyGC_Head list;       /* unreachable                                        */
    PyGC_Head finalizers; /* legacy ones, and what they reach                   */
    PyGC_Head callbacks;  /* weak references whose callbacks are due            */
    bool legacy, finalizable, weak;
    bool ran; /* user code                                          */
};

static void hp_debug(const char *what, PyObject *o)
{
    PySys_FormatStderr("gc: %s <%s %p>\n", what, Py_TYPE(o)->tp_name, o);
}

/* What there may be to do for objects of a type. Garbage has few types: a small cache saves asking each
 * object whether it is a weak reference, which means a walk along the bases of its type. */
enum { HP_LEGACY = 1, HP_FINALIZE = 2, HP_REFERENCE = 4, HP_TYPES = 16 };

struct hp_type_cache {
    PyTypeObject *type[HP_TYPES];
    unsigned what[HP_TYPES];
};

HP_HOT unsigned hp_type_needs(struct hp_type_cache *cache, PyTypeObject *type)
{
    size_t slot = ((uintptr_t)type >> 6) % HP_TYPES;
    if (HP_UNLIKELY(cache->type[slot] != type)) {
        cache->type[slot] = type;
        cache->what[slot] =
            (type->tp_del != NULL ? HP_LEGACY : 0) | (type->tp_finalize != NULL ? HP_FINALIZE : 0) |
            (PyType_IsSubtype(type, &_PyWeakref_RefType) || type == &_PyWeakref_ProxyType ||
                     type == &_PyWeakref_CallableProxyType
                 ? HP_REFERENCE
                 : 0);
    }
    return cache->what[slot];
}

/* The list of the dead; notes which steps there is anything to do for. */
static void hp_dead_build(struct hp_dead *dead, const struct hp_vec *rest)
{
    struct hp_type_cache cache = {0};
    PyGC_Head *tail = &dead->list;
    unsigned any = 0;
    for (size_t i = 0; i < rest->n; i++) {
        if (i + HP_SCAN_AHEAD < rest->n)
            __builtin_prefetch(rest->at[i + HP_SCAN_AHEAD], 1);
        PyGC_Head *g = rest->at[i];
        PyObject *o = HP_OBJECT(g);
        PyTypeObject *type = Py_TYPE(o);
        uintptr_t finalized = g->_gc_prev & HP_FINALIZED;
        g->_gc_prev = (uintptr_t)tail | finalized | HP_COLLECTING;
        tail->_gc_next = (uintptr_t)g;
        tail = g;
        any |= hp_type_needs(&cache, type) & ~(finalized ? (unsigned)HP_FINALIZE : 0u);
        if (type->tp_weaklistoffset > 0 &&
            *(PyObject **)(void *)((char *)o + type->tp_weaklistoffset) != NULL)
            any |= HP_REFERENCE;
    }
    hp_list_close(&dead->list, tail);
    dead->legacy = any & HP_LEGACY;
    dead->finalizable = any & HP_FINALIZE;
    dead->weak = any & HP_REFERENCE;
}

/* --- legacy finalizers -------------------------------------------------------------------------------- */

static int hp_visit_reached(PyObject *o, void *to)
{
    if (hp_is_gc(o) && (HP_HEAD(o)->_gc_prev & HP_COLLECTING)) {
        hp_list_move(HP_HEAD(o), to);
        HP_HEAD(o)->_gc_prev &= ~HP_COLLECTING;
    }
    return 0;
}

static void hp_split_legacy(struct hp_dead *dead)
{
    PyGC_Head *next;
    for (PyGC_Head *g = HP_NEXT(&dead->list); g != &dead->list; g = next) {
        next = HP_NEXT(g);
        if (Py_TYPE(HP_OBJECT(g))->tp_del != NULL) {
            g->_gc_prev &= ~HP_COLLECTING;
            hp_list_move(g, &dead->finalizers);
        }
    }
    for (PyGC_Head *g = HP_NEXT(&dead->finalizers); g != &dead->finalizers; g = HP_NEXT(g))
        Py_TYPE(HP_OBJECT(g))->tp_traverse(HP_OBJECT(g), hp_visit_reached, &dead->finalizers);
}

/* --- weak references ---------------------------------------------------------------------------------- */

/* Clear the weak references to one dead object; keep those with a callback that lives. */
static void hp_clear_weak(struct hp_dead *dead, PyObject *o)
{
    if (PyWeakref_Check(o))
        _PyWeakref_ClearRef((PyWeakReference *)o);
    if (Py_TYPE(o)->tp_weaklistoffset <= 0)
        return;
    PyWeakReference **list = (PyWeakReference **)_PyObject_GET_WEAKREFS_LISTPTR(o);
    for (PyWeakReference *ref = *list; ref != NULL; ref = *list) {
        _PyWeakref_ClearRef(ref);
        if (ref->wr_callback == NULL || (HP_HEAD(ref)->_gc_prev & HP_COLLECTING))
            continue;
        Py_INCREF(ref);
        hp_list_move(HP_HEAD(ref), &dead->callbacks);
    }
}

/* Returns how many of the weak references died with their callback. */
static Py_ssize_t hp_call_callbacks(struct hp_dead *dead, PyGC_Head *old)
{
    Py_ssize_t freed = 0;
    while (!hp_list_empty(&dead->callbacks)) {
        PyGC_Head *g = HP_NEXT(&dead->callbacks);
        PyObject *ref = HP_OBJECT(g);
        PyObject *callback = ((PyWeakReference *)ref)->wr_callback;
        PyObject *result = PyObject_CallOneArg(callback, ref);
        if (result == NULL)
            PyErr_WriteUnraisable(callback);
        else
            Py_DECREF(result);
        Py_DECREF(ref);
        if (HP_NEXT(&dead->callbacks) == g)
            hp_list_move(g, old);
        else
            freed++;
    }
    return freed;
}

static Py_ssize_t hp_weak(struct hp_dead *dead, PyGC_Head *old)
{
    for (PyGC_Head *g = HP_NEXT(&dead->list); g != &dead->list; g = HP_NEXT(g))
        hp_clear_weak(dead, HP_OBJECT(g));
    if (hp_list_empty(&dead->callbacks))
        return 0;
    dead->ran = true;
    return hp_call_callbacks(dead, old);
}

/* --- finalizers and resurrection ---------------------------------------------------------------------- */

static void hp_finalize(struct hp_dead *dead)
{
    PyGC_Head seen;
    hp_list_init(&seen);
    while (!hp_list_empty(&dead->list)) {
        PyGC_Head *g = HP_NEXT(&dead->list);
        PyObject *o = HP_OBJECT(g);
        destructor finalize = Py_TYPE(o)->tp_finalize;
        hp_list_move(g, &seen);
        if (finalize == NULL || (g->_gc_prev & HP_FINALIZED))
            continue;
        g->_gc_prev |= HP_FINALIZED;
        dead->ran = true;
        Py_INCREF(o);
        finalize(o);
        Py_DECREF(o);
    }
    hp_list_merge(&seen, &dead->list);
}

static Py_ssize_t hp_count_all(const struct hp_dead *dead, const struct hp_scratch *scratch)
{
    return dead->legacy ? hp_list_size(&dead->list) : (Py_ssize_t)scratch->rest.n;
}

/* What user code resurrected goes to the old list. Without memory to find out, all of it does: its weak references are
 * gone and its finalizers have run, the next collection takes the rest. Returns how many stay dead. */
static Py_ssize_t hp_resurrect(struct hp_dead *dead, struct hp_scratch *scratch, PyGC_Head *old)
{
    PyGC_Head resurrected;
    hp_list_init(&resurrected);
    if (!hp_divide_young(scratch, &dead->list, false)) {
        hp_list_merge(&dead->list, old);
        return 0;
    }
    hp_list_merge(&dead->list, &resurrected);
    PyGC_Head *tail = &dead->list;
    for (size_t i = 0; i < scratch->rest.n; i++) {
        PyGC_Head *g = scratch->rest.at[i];
        hp_list_build(g, &tail);
        g->_gc_prev |= HP_COLLECTING;
    }
    hp_list_close(&dead->list, tail);
    hp_list_merge(&resurrected, old);
    return (Py_ssize_t)scratch->rest.n;
}

/* --- clearing ----------------------------------------------------------------------------------------- */

static void hp_clear_one(hp_gc *gc, PyObject *o)
{
    if (gc->debug & 32) { /* DEBUG_SAVEALL */
        if (PyList_Append(gc->garbage, o) < 0)
            PyErr_Clear();
        return;
    }
    inquiry clear = Py_TYPE(o)->tp_clear;
    if (clear == NULL)
        return;
    Py_INCREF(o);
    (void)clear(o);
    if (PyErr_Occurred() != NULL)
        _PyErr_WriteUnraisableMsg("in tp_clear of", (PyObject *)Py_TYPE(o));
    Py_DECREF(o);
}

static void hp_clear(hp_gc *gc, PyGC_Head *dead, PyGC_Head *old)
{
    while (!hp_list_empty(dead)) {
        PyGC_Head *g = HP_NEXT(dead);
        __builtin_prefetch(HP_OBJECT(HP_NEXT(g)));
        hp_clear_one(gc, HP_OBJECT(g));
        if (HP_NEXT(dead) == g) { /* still there; it may die later */
            g->_gc_prev &= ~HP_COLLECTING;
            hp_list_move(g, old);
        }
    }
}

static Py_ssize_t hp_uncollectable(hp_gc *gc, struct hp_dead *dead)
{
    Py_ssize_t n = 0;
    for (PyGC_Head *g = HP_NEXT(&dead->finalizers); g != &dead->finalizers; g = HP_NEXT(g)) {
        n++;
        if (gc->debug & 4) /* DEBUG_UNCOLLECTABLE */
            hp_debug("uncollectable", HP_OBJECT(g));
    }
    return n;
}

void hp_keep_legacy(hp_gc *gc, PyGC_Head *finalizers, PyGC_Head *old)
{
    for (PyGC_Head *g = HP_NEXT(finalizers); g != finalizers; g = HP_NEXT(g)) {
        PyObject *o = HP_OBJECT(g);
        if ((gc->debug & 32) || Py_TYPE(o)->tp_del != NULL)
            if (PyList_Append(gc->garbage, o) < 0) {
                PyErr_Clear();
                break;
            }
    }
    hp_list_merge(finalizers, old);
}

Py_ssize_t hp_finish(struct hp_state *state, struct hp_scratch *scratch, PyGC_Head *old,
                     PyGC_Head *finalizers, Py_ssize_t *uncollectable)
{
    struct hp_dead dead = {0};
    hp_list_init(&dead.finalizers);
    hp_list_init(&dead.callbacks);
    hp_dead_build(&dead, &scratch->rest);
    if (HP_UNLIKELY(dead.legacy))
        hp_split_legacy(&dead);
    if (HP_UNLIKELY(state->gc->debug & 2)) /* DEBUG_COLLECTABLE */
        for (PyGC_Head *g = HP_NEXT(&dead.list); g != &dead.list; g = HP_NEXT(g))
            hp_debug("collectable", HP_OBJECT(g));
    Py_ssize_t collected = 0;
    if (dead.weak)
        collected += hp_weak(&dead, old);
    if (dead.finalizable)
        hp_finalize(&dead);
    collected += dead.ran ? hp_resurrect(&dead, scratch, old) : hp_count_all(&dead, scratch);
    hp_scratch_give(scratch);
    hp_clear(state->gc, &dead.list, old);
    *uncollectable = hp_uncollectable(state->gc, &dead);
    hp_list_init(finalizers);
    hp_list_merge(&dead.finalizers, finalizers);
    return collected;
}
