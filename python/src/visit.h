/* python/src/visit.h - visiting the references of an object, inlined for the types that heaps are made
 * of.
 *
 * The collector visits in two ways: subtracting the references between candidates (trial deletion,
 * Bacon and Rajan 2001; Python's own since 2.0), and marking. Both look at the COLLECTING bit of the
 * child's header: only objects of the list that is being collected have it. Lists, tuples, dicts,
 * instances and functions are recognised by their tp_traverse and visited in place; every other type's
 * own tp_traverse is called. What lies in the interpreter's data segment (None, small integers, static
 * types) is never on a list and is skipped by its address.
 * Node: an object's header is written by whoever reaches it first. Parallel marking needs no atomic
 * read-modify-write: clearing a bit twice is harmless, the object is then visited twice. */
#ifndef HEARTH_PYTHON_VISIT_H
#define HEARTH_PYTHON_VISIT_H

#include "core.h"
#include <internal/pycore_dict.h>
#include <structmember.h>

/* How to know the types; found once (selfcheck.c). */
struct hp_known {
    uintptr_t data;    /* where the interpreter's data segment begins               */
    size_t data_bytes; /* and how long it is                                        */
    uintptr_t text;    /* its code                                                  */
    size_t text_bytes;
    traverseproc list, tuple, dict, set, instance, function, cell, builtin, descriptor, reference;
};
extern struct hp_known hp_known;

struct hg_mail;
struct hg_batch;
struct hp_worker;

enum { HP_NODES_MAX = 64 };

/* One that marks or subtracts. Alone, only the stack is used. */
struct hp_worker {
    PyGC_Head **stack;
    size_t top, room;
    int number;            /* 0: the holder of the GIL                               */
    int home, acting;      /* node it is bound to; it works for                      */
    uintptr_t base, bytes; /* of the window of `acting`, if references are routed    */
    size_t plenty;         /* entries on the stack above which some are given away   */
    size_t marked;         /* objects visited                                        */
    size_t zeros;  /* candidates without references left: subtracting counts up, reviving down */
    bool left;     /* some candidates were tagged: only the holder of the GIL may visit them */
    uint64_t sent; /* references sent to other nodes                         */
    struct hg_mail *mail;               /* while marking with others                              */
    struct hg_batch *out[HP_NODES_MAX]; /* being filled for other nodes               */
    struct hp_vec strange;              /* objects that only the holder of the GIL may visit      */
    void (*begin)(struct hp_worker *worker); /* to be called when there is plenty     */
};

/* The stack has no room: make some, or (marking only) drop the last entry. In share.c. */
void hp_worker_full(struct hp_worker *worker);
/* The object lies outside of the worker's window: send it to its node if it has one; false: look at it
 * here. */
bool hp_worker_route(struct hp_worker *worker, PyObject *o);
/* May helpers call this tp_traverse? (trust.c) */
bool hp_trusted(traverseproc traverse);

/* Marking by several, references to other nodes being sent there: HP_ROUTE. */
/* Dividing: only those without any reference left are marked, the others are alive anyway: HP_REVIVE. */
enum hp_visit { HP_SUBTRACT, HP_MARK, HP_ROUTE, HP_REVIVE };

HP_HOT bool hp_is_gc(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    return (type->tp_flags & Py_TPFLAGS_HAVE_GC) && (type->tp_is_gc == NULL || type->tp_is_gc(o));
}
HP_HOT bool hp_is_static(const void *o)
{
    return (uintptr_t)o - hp_known.data < hp_known.data_bytes;
}

/* An object that has just been marked and refers to one other at most, *o: that is to be looked at
 * next, and the object itself need not go through the stack. */
HP_HOT bool hp_is_leaf(PyObject **o)
{
    traverseproc traverse = Py_TYPE(*o)->tp_traverse;
    if (traverse == hp_known.descriptor)
        *o = (PyObject *)PyDescr_TYPE(*o);
    else if (traverse == hp_known.reference)
        *o = ((PyWeakReference *)*o)->wr_callback;
    else
        return false;
    return true;
}
void hp_see_leaf(struct hp_worker *worker, PyObject *o);

HP_HOT void hp_see(struct hp_worker *w, PyObject *o, const enum hp_visit how, const bool parallel)
{
    if (how == HP_ROUTE && (uintptr_t)o - w->base >= w->bytes && hp_worker_route(w, o))
        return;
    if (!hp_is_gc(o))
        return;
    PyGC_Head *g = HP_HEAD(o);
    uintptr_t prev = __atomic_load_n(&g->_gc_prev, __ATOMIC_RELAXED);
    if (!(prev & HP_COLLECTING))
        return;
    if (how == HP_SUBTRACT) {
        if (parallel)
            prev = __atomic_fetch_sub(&g->_gc_prev, HP_ONE_REF, __ATOMIC_RELAXED);
        else
            g->_gc_prev = prev - HP_ONE_REF;
        w->zeros += prev < 2 * HP_ONE_REF;
        return;
    }
    if (how == HP_REVIVE) {
        if ((prev & HP_COUNTED) && prev >= HP_ONE_REF)
            return;
        w->zeros--;
    }
    __atomic_store_n(&g->_gc_prev, prev & ~HP_COLLECTING, __ATOMIC_RELAXED);
    if (how == HP_MARK && !parallel && hp_is_leaf(&o)) {
        if (o != NULL && !hp_is_static(o))
            hp_see_leaf(w, o);
        return;
    }
    if (parallel && HP_UNLIKELY(w->top == w->room))
        hp_worker_full(w);
    w->stack[w->top++] = g;
}

#define HP_SEE(o)                                                                                  \
    do {                                                                                           \
        PyObject *seen_ = (PyObject *)(o);                                                         \
        if (seen_ != NULL)                                                                         \
            hp_see(w, seen_, how, parallel);                                                       \
    } while (0)

/* As visitproc, for tp_traverse. */
static inline int hp_see_subtract(PyObject *o, void *w)
{
    hp_see(w, o, HP_SUBTRACT, false);
    return 0;
}
static inline int hp_see_subtract_parallel(PyObject *o, void *w)
{
    hp_see(w, o, HP_SUBTRACT, true);
    return 0;
}
static inline int hp_see_mark(PyObject *o, void *w)
{
    hp_see(w, o, HP_MARK, false);
    return 0;
}
static inline int hp_see_mark_parallel(PyObject *o, void *w)
{
    hp_see(w, o, HP_MARK, true);
    return 0;
}
static inline int hp_see_route(PyObject *o, void *w)
{
    hp_see(w, o, HP_ROUTE, true);
    return 0;
}
static inline int hp_see_revive(PyObject *o, void *w)
{
    hp_see(w, o, HP_REVIVE, false);
    return 0;
}
HP_HOT visitproc hp_seer(const enum hp_visit how, const bool parallel)
{
    if (how == HP_SUBTRACT)
        return parallel ? hp_see_subtract_parallel : hp_see_subtract;
    if (how == HP_ROUTE)
        return hp_see_route;
    if (how == HP_REVIVE)
        return hp_see_revive;
    return parallel ? hp_see_mark_parallel : hp_see_mark;
}

/* Does the object keep a tuple or dict tracked that refers to it, whatever becomes of tuples? */
HP_HOT bool hp_may_cycle(PyObject *o)
{
    return o != NULL && hp_is_gc(o) && !PyTuple_CheckExact(o);
}

/* Marking has found such an object in the tuple or dict: it need not be asked again whether it can be
 * untracked (full.c). A helper that marks it a moment later may undo this; then it is asked. */
HP_HOT void hp_note_kept(PyObject *o)
{
    PyGC_Head *g = HP_HEAD(o);
    uintptr_t prev = __atomic_load_n(&g->_gc_prev, __ATOMIC_RELAXED);
    __atomic_store_n(&g->_gc_prev, prev & ~HP_COUNTED, __ATOMIC_RELAXED);
}

enum { HP_AHEAD = 6 }; /* elements of a list between prefetch and look                           */

HP_HOT void hp_visit_list(PyObject *o, struct hp_worker *w, const enum hp_visit how,
                          const bool parallel)
{
    Py_ssize_t n = Py_SIZE(o);
    PyObject **item = ((PyListObject *)o)->ob_item;
    Py_ssize_t i = 0;
    for (; i + HP_AHEAD < n; i++) {
        __builtin_prefetch(item[i + HP_AHEAD]);
        HP_SEE(item[i]);
    }
    for (; i < n; i++)
        HP_SEE(item[i]);
}

HP_HOT void hp_visit_tuple(PyObject *o, struct hp_worker *w, const enum hp_visit how,
                           const bool parallel)
{
    const bool marks = how == HP_MARK || how == HP_ROUTE;
    Py_ssize_t n = Py_SIZE(o);
    PyObject **item = ((PyTupleObject *)o)->ob_item;
    bool kept = false;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (marks)
            kept |= hp_may_cycle(item[i]);
        HP_SEE(item[i]);
    }
    if (marks && kept && PyTuple_CheckExact(o))
        hp_note_kept(o);
}

HP_HOT void hp_visit_dict(PyObject *o, struct hp_worker *w, const enum hp_visit how,
                          const bool parallel)
{
    const bool marks = how == HP_MARK || how == HP_ROUTE;
    PyDictObject *dict = (PyDictObject *)o;
    PyDictKeysObject *keys = dict->ma_keys;
    Py_ssize_t n = keys->dk_nentries;
    bool kept = false;
    if (dict->ma_values != NULL) {
        for (Py_ssize_t i = 0; i < n; i++) {
            if (marks)
                kept |= hp_may_cycle(dict->ma_values->values[i]);
            HP_SEE(dict->ma_values->values[i]);
        }
    } else if (DK_IS_UNICODE(keys)) {
        PyDictUnicodeEntry *entry = DK_UNICODE_ENTRIES(keys);
        for (Py_ssize_t i = 0; i < n; i++) {
            if (i + HP_AHEAD < n)
                __builtin_prefetch(entry[i + HP_AHEAD].me_value);
            if (marks)
                kept |= hp_may_cycle(entry[i].me_value);
            HP_SEE(entry[i].me_value);
        }
    } else {
        PyDictKeyEntry *entry = DK_ENTRIES(keys);
        for (Py_ssize_t i = 0; i < n; i++)
            if (entry[i].me_value != NULL) {
                if (marks)
                    kept |= hp_may_cycle(entry[i].me_value) || hp_may_cycle(entry[i].me_key);
                HP_SEE(entry[i].me_value);
                HP_SEE(entry[i].me_key);
            }
    }
    if (marks && kept && PyDict_CheckExact(o))
        hp_note_kept(o);
}

/* Deleted entries have a key of their own, a static object. */
HP_HOT void hp_visit_set(PyObject *o, struct hp_worker *w, const enum hp_visit how,
                         const bool parallel)
{
    PySetObject *set = (PySetObject *)o;
    for (Py_ssize_t i = 0; i <= set->mask; i++) {
        if (i + HP_AHEAD <= set->mask)
            __builtin_prefetch(set->table[i + HP_AHEAD].key);
        HP_SEE(set->table[i].key);
    }
}

/* What a function or a built-in one refers to is mostly strings and code, which are not collectable,
 * and what others refer to as well; marking does not even look at those, for a look may have to wait
 * for memory. (A name may be of a subclass of str that refers to something. It is not marked then, but
 * found alive by its reference count.) */
HP_HOT void hp_visit_function(PyObject *o, struct hp_worker *w, const enum hp_visit how,
                              const bool parallel)
{
    PyFunctionObject *f = (PyFunctionObject *)o;
    HP_SEE(f->func_globals);
    HP_SEE(f->func_defaults);
    HP_SEE(f->func_kwdefaults);
    HP_SEE(f->func_dict);
    HP_SEE(f->func_closure);
    HP_SEE(f->func_annotations);
    if (how == HP_SUBTRACT || how == HP_REVIVE) {
        HP_SEE(f->func_builtins);
        HP_SEE(f->func_module);
        HP_SEE(f->func_doc);
        HP_SEE(f->func_code);
        HP_SEE(f->func_name);
        HP_SEE(f->func_qualname);
    }
}

HP_HOT void hp_visit_builtin(PyObject *o, struct hp_worker *w, const enum hp_visit how,
                             const bool parallel)
{
    HP_SEE(((PyCFunctionObject *)o)->m_self);
    if (how == HP_SUBTRACT || how == HP_REVIVE) {
        HP_SEE(PyCFunction_GET_CLASS(o));
        HP_SEE(((PyCFunctionObject *)o)->m_module);
    }
}

/* __slots__ of one class of the chain. */
HP_HOT void hp_visit_slots(PyObject *o, PyTypeObject *type, struct hp_worker *w,
                           const enum hp_visit how, const bool parallel)
{
    Py_ssize_t n = Py_SIZE(type);
    PyMemberDef *member = _PyHeapType_GET_MEMBERS((PyHeapTypeObject *)type);
    for (Py_ssize_t i = 0; i < n; i++, member++)
        if (member->type == T_OBJECT_EX)
            HP_SEE(*(PyObject **)(void *)((char *)o + member->offset));
}

/* The attributes of an instance: in line, or its dict. */
HP_HOT void hp_visit_attributes(PyObject *o, PyTypeObject *base, struct hp_worker *w,
                                const enum hp_visit how, const bool parallel)
{
    PyTypeObject *type = Py_TYPE(o);
    if (type->tp_flags & Py_TPFLAGS_MANAGED_DICT) {
        PyDictValues *values = *_PyObject_ValuesPointer(o);
        if (values != NULL) {
            Py_ssize_t n = ((PyHeapTypeObject *)type)->ht_cached_keys->dk_nentries;
            for (Py_ssize_t i = 0; i < n; i++)
                HP_SEE(values->values[i]);
        }
    }
    if (type->tp_dictoffset != base->tp_dictoffset) {
        PyObject **dict = type->tp_flags & Py_TPFLAGS_MANAGED_DICT ? _PyObject_ManagedDictPointer(o)
                                                                   : _PyObject_GetDictPtr(o);
        if (dict != NULL)
            HP_SEE(*dict);
    }
}

/* The tp_traverse of the first base that is not made by a class statement, NULL: it has none. */
HP_HOT traverseproc hp_base_traverse(PyTypeObject *type)
{
    while (type->tp_traverse == hp_known.instance)
        type = type->tp_base;
    return type->tp_traverse;
}

/* An instance of a class made by a class statement: slots and attributes, then what its first other
 * base has. */
HP_HOT bool hp_visit_instance(PyObject *o, struct hp_worker *w, const enum hp_visit how,
                              const bool parallel)
{
    PyTypeObject *type = Py_TYPE(o), *base = type;
    traverseproc traverse;
    while ((traverse = base->tp_traverse) == hp_known.instance)
        base = base->tp_base;
    if (parallel && traverse != NULL && !hp_trusted(traverse))
        return false;
    for (PyTypeObject *t = type; t != base; t = t->tp_base)
        if (Py_SIZE(t) != 0)
            hp_visit_slots(o, t, w, how, parallel);
    hp_visit_attributes(o, base, w, how, parallel);
    if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) &&
        (traverse == NULL || !(base->tp_flags & Py_TPFLAGS_HEAPTYPE)))
        HP_SEE(type);
    if (traverse != NULL)
        traverse(o, hp_seer(how, parallel), w);
    return true;
}

/* Visit what the object refers to. False (parallel only): nothing was done, its tp_traverse may not be
 * called here. */
HP_HOT bool hp_visit(PyObject *o, struct hp_worker *w, const enum hp_visit how, const bool parallel)
{
    traverseproc traverse = Py_TYPE(o)->tp_traverse;
    if (traverse == hp_known.list)
        hp_visit_list(o, w, how, parallel);
    else if (traverse == hp_known.instance)
        return hp_visit_instance(o, w, how, parallel);
    else if (traverse == hp_known.dict)
        hp_visit_dict(o, w, how, parallel);
    else if (traverse == hp_known.tuple)
        hp_visit_tuple(o, w, how, parallel);
    else if (traverse == hp_known.function)
        hp_visit_function(o, w, how, parallel);
    else if (traverse == hp_known.set)
        hp_visit_set(o, w, how, parallel);
    else if (traverse == hp_known.builtin)
        hp_visit_builtin(o, w, how, parallel);
    else if (traverse == hp_known.cell)
        HP_SEE(((PyCellObject *)o)->ob_ref);
    else if (parallel && !hp_trusted(traverse))
        return false;
    else
        traverse(o, hp_seer(how, parallel), w);
    return true;
}

/* Where the references of an object lie, if not in it: fetch that. */
HP_HOT void hp_prefetch(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    traverseproc traverse = type->tp_traverse;
    if (traverse == hp_known.list) {
        __builtin_prefetch(((PyListObject *)o)->ob_item);
    } else if (traverse == hp_known.set) {
        __builtin_prefetch(((PySetObject *)o)->table);
    } else if (traverse == hp_known.dict) {
        PyDictObject *dict = (PyDictObject *)o;
        __builtin_prefetch((char *)dict->ma_keys);
        __builtin_prefetch((char *)dict->ma_keys + 64);
        if (dict->ma_values != NULL)
            __builtin_prefetch(dict->ma_values);
    } else if (traverse == hp_known.instance && (type->tp_flags & Py_TPFLAGS_MANAGED_DICT)) {
        void *values = *_PyObject_ValuesPointer(o);
        if (values != NULL)
            __builtin_prefetch(values);
    }
}

enum { HP_ITEMS = 8 }; /* of an object, fetched before it is looked at */

/* The second step, when that has come: fetch the first of the objects it refers to. */
HP_HOT void hp_prefetch_items(PyObject *o)
{
    traverseproc traverse = Py_TYPE(o)->tp_traverse;
    if (traverse == hp_known.list) {
        PyObject **item = ((PyListObject *)o)->ob_item;
        Py_ssize_t n = Py_SIZE(o) < HP_AHEAD ? Py_SIZE(o) : HP_AHEAD;
        for (Py_ssize_t i = 0; i < n; i++)
            __builtin_prefetch(item[i]);
    } else if (traverse == hp_known.dict) {
        PyDictObject *dict = (PyDictObject *)o;
        PyDictKeysObject *keys = dict->ma_keys;
        Py_ssize_t n = keys->dk_nentries < HP_ITEMS ? keys->dk_nentries : HP_ITEMS;
        if (dict->ma_values == NULL && DK_IS_UNICODE(keys)) {
            PyDictUnicodeEntry *entry = DK_UNICODE_ENTRIES(keys);
            for (Py_ssize_t i = 0; i < n; i++)
                __builtin_prefetch(entry[i].me_value);
        } else if (dict->ma_values != NULL) {
            for (Py_ssize_t i = 0; i < n; i++)
                __builtin_prefetch(dict->ma_values->values[i]);
        }
    }
}

/* Objects between the stack and the visit (Cher et al., ASPLOS 2004), in two steps: at entry what lies
 * beside the object is fetched, halfway what it refers to. */
enum { HP_RING = 16 };
struct hp_ring {
    PyGC_Head *at[HP_RING];
    unsigned head, tail; /* taken and put so far                              */
};

HP_HOT void hp_ring_fill(struct hp_ring *ring, struct hp_worker *w)
{
    while (ring->tail - ring->head < HP_RING && w->top != 0) {
        PyGC_Head *g = w->stack[--w->top];
        hp_prefetch(HP_OBJECT(g));
        ring->at[ring->tail++ % HP_RING] = g;
        if (ring->tail - ring->head > HP_RING / 2)
            hp_prefetch_items(HP_OBJECT(ring->at[(ring->tail - HP_RING / 2 - 1) % HP_RING]));
    }
}

#endif
