/* python/src/finish.c - what becomes of garbage: CPython's rules, in CPython's order.
 *
 * Objects with a legacy finalizer (tp_del), and what they reach, are kept and given to gc.garbage.
 * Weak references to garbage are cleared, and the callbacks of those that are not garbage themselves
 * are called; then finalizers are called, once per object (PEP 442); what they resurrect is found by a
 * second division, which is needed only if user code has run. The rest is cleared, which breaks its
 * cycles.
 * Invariant: garbage lies on a list of its own with the COLLECTING bit set, previous pointers whole,
 * so that user code may untrack and delete any of it. Locks: the GIL, which finalizers may give up for
 * a while. */
#include "collect.h"

#include <internal/pycore_pyerrors.h>

/* The steps of one collection's end. */
struct hp_end {
    struct hp_dead *dead;
    PyGC_Head finalizers; /* legacy ones, and what they reach                   */
    PyGC_Head callbacks;  /* weak references whose callbacks are due            */
    bool ran;             /* user code                                          */
};

static void hp_debug(const char *what, PyObject *o)
{
    PySys_FormatStderr("gc: %s <%s %p>\n", what, Py_TYPE(o)->tp_name, o);
}

/* --- legacy finalizers ------------------------------------------------------------------------- */

static int hp_visit_reached(PyObject *o, void *to)
{
    if (hp_is_gc(o) && (HP_HEAD(o)->_gc_prev & HP_COLLECTING)) {
        hp_list_move(HP_HEAD(o), to);
        HP_HEAD(o)->_gc_prev &= ~HP_COLLECTING;
    }
    return 0;
}

static void hp_split_legacy(struct hp_end *end)
{
    PyGC_Head *dead = &end->dead->list, *next;
    for (PyGC_Head *g = HP_NEXT(dead); g != dead; g = next) {
        next = HP_NEXT(g);
        if (Py_TYPE(HP_OBJECT(g))->tp_del != NULL) {
            g->_gc_prev &= ~HP_COLLECTING;
            hp_list_move(g, &end->finalizers);
        }
    }
    for (PyGC_Head *g = HP_NEXT(&end->finalizers); g != &end->finalizers; g = HP_NEXT(g))
        Py_TYPE(HP_OBJECT(g))->tp_traverse(HP_OBJECT(g), hp_visit_reached, &end->finalizers);
}

/* --- weak references --------------------------------------------------------------------------- */

/* Clear the weak references to one dead object; keep those with a callback that lives. */
static void hp_clear_weak(struct hp_end *end, PyObject *o)
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
        hp_list_move(HP_HEAD(ref), &end->callbacks);
    }
}

/* Returns how many of the weak references died with their callback. */
static Py_ssize_t hp_call_callbacks(struct hp_end *end, PyGC_Head *old)
{
    Py_ssize_t freed = 0;
    while (!hp_list_empty(&end->callbacks)) {
        PyGC_Head *g = HP_NEXT(&end->callbacks);
        PyObject *ref = HP_OBJECT(g);
        PyObject *callback = ((PyWeakReference *)ref)->wr_callback;
        PyObject *result = PyObject_CallOneArg(callback, ref);
        if (result == NULL)
            PyErr_WriteUnraisable(callback);
        else
            Py_DECREF(result);
        Py_DECREF(ref);
        if (HP_NEXT(&end->callbacks) == g)
            hp_list_move(g, old);
        else
            freed++;
    }
    return freed;
}

static Py_ssize_t hp_weak(struct hp_end *end, PyGC_Head *old)
{
    PyGC_Head *dead = &end->dead->list;
    for (PyGC_Head *g = HP_NEXT(dead); g != dead; g = HP_NEXT(g))
        hp_clear_weak(end, HP_OBJECT(g));
    if (hp_list_empty(&end->callbacks))
        return 0;
    end->ran = true;
    return hp_call_callbacks(end, old);
}

/* --- finalizers and resurrection --------------------------------------------------------------- */

static void hp_finalize(struct hp_end *end)
{
    PyGC_Head *dead = &end->dead->list, seen;
    hp_list_init(&seen);
    while (!hp_list_empty(dead)) {
        PyGC_Head *g = HP_NEXT(dead);
        PyObject *o = HP_OBJECT(g);
        destructor finalize = Py_TYPE(o)->tp_finalize;
        hp_list_move(g, &seen);
        if (finalize == NULL || (g->_gc_prev & HP_FINALIZED))
            continue;
        g->_gc_prev |= HP_FINALIZED;
        end->ran = true;
        Py_INCREF(o);
        finalize(o);
        Py_DECREF(o);
    }
    hp_list_merge(&seen, dead);
}

/* What user code resurrected goes to the old list. Without memory to find out, all of it does: its
 * weak references are gone and its finalizers have run, the next collection takes the rest. */
static void hp_resurrect(struct hp_end *end, struct hp_scratch *scratch, PyGC_Head *old)
{
    struct hp_dead still;
    hp_list_init(&still.list);
    if (hp_divide_young(scratch, &end->dead->list, &still, false)) {
        hp_list_merge(&end->dead->list, old);
        hp_list_merge(&still.list, &end->dead->list);
        end->dead->n = still.n;
    } else {
        hp_list_merge(&end->dead->list, old);
        end->dead->n = 0;
    }
}

/* --- clearing ---------------------------------------------------------------------------------- */

static void hp_clear_one(PyThreadState *thread, hp_gc *gc, PyObject *o)
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
    if (HP_UNLIKELY(_PyErr_Occurred(thread) != NULL))
        _PyErr_WriteUnraisableMsg("in tp_clear of", (PyObject *)Py_TYPE(o));
    Py_DECREF(o);
}

/* `order`: where the dead lay, to fetch what is cleared next. Clearing one frees others, far ahead on
 * the list too. */
static void hp_clear(hp_gc *gc, PyGC_Head *dead, PyGC_Head *old, const struct hp_vec *order)
{
    PyThreadState *thread = _PyThreadState_GET();
    struct hp_follow follow = hp_follow(order->at, order->n);
    while (!hp_list_empty(dead)) {
        PyGC_Head *g = HP_NEXT(dead);
        hp_follow_step(&follow, g);
        hp_clear_one(thread, gc, HP_OBJECT(g));
        if (HP_NEXT(dead) == g) { /* still there; it may die later */
            g->_gc_prev &= ~HP_COLLECTING;
            hp_list_move(g, old);
        }
    }
}

static Py_ssize_t hp_uncollectable(hp_gc *gc, struct hp_end *end)
{
    Py_ssize_t n = 0;
    for (PyGC_Head *g = HP_NEXT(&end->finalizers); g != &end->finalizers; g = HP_NEXT(g)) {
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

Py_ssize_t hp_finish(struct hp_state *state, struct hp_scratch *scratch, struct hp_dead *dead,
                     PyGC_Head *old, PyGC_Head *legacy, Py_ssize_t *uncollectable)
{
    struct hp_end end = {.dead = dead};
    hp_list_init(&end.finalizers);
    hp_list_init(&end.callbacks);
    if (HP_UNLIKELY(dead->legacy)) {
        hp_split_legacy(&end);
        dead->n = (size_t)hp_list_size(&dead->list);
    }
    if (HP_UNLIKELY(state->gc->debug & 2)) /* DEBUG_COLLECTABLE */
        for (PyGC_Head *g = HP_NEXT(&dead->list); g != &dead->list; g = HP_NEXT(g))
            hp_debug("collectable", HP_OBJECT(g));
    Py_ssize_t collected = 0;
    if (dead->weak)
        collected += hp_weak(&end, old);
    if (dead->finalizable)
        hp_finalize(&end);
    if (end.ran)
        hp_resurrect(&end, scratch, old);
    collected += (Py_ssize_t)dead->n;
    hp_clear(state->gc, &dead->list, old, &scratch->rest);
    hp_scratch_give(scratch);
    *uncollectable = hp_uncollectable(state->gc, &end);
    hp_list_init(legacy);
    hp_list_merge(&end.finalizers, legacy);
    return collected;
}
