/* python/src/objects.c - the functions of Python's gc module that tell about objects.
 *
 * As in CPython 3.11: only tracked objects of the three generations are seen, frozen ones are not.
 * Locks: the GIL. Lists may change while results are appended: PyList_Append makes no collectable
 * object, and appending starts no collection. */
#include "api.h"
#include "takeover.h"

#include "visit.h"

static hp_gc *hp_lists_of(PyObject *module)
{
    struct hp_state *state = hp_state_of(module);
    hp_unhide(state);
    return state->gc;
}

static int hp_append_list(PyObject *result, PyGC_Head *list)
{
    for (PyGC_Head *g = HP_NEXT(list); g != list; g = HP_NEXT(g))
        if (HP_OBJECT(g) != result && PyList_Append(result, HP_OBJECT(g)) < 0)
            return -1;
    return 0;
}

/* None: -1. Returns 0 with an exception. */
static int hp_convert_generation(PyObject *value, void *out)
{
    Py_ssize_t generation = -1;
    if (value != Py_None) {
        if (!PyIndex_Check(value)) {
            PyErr_Format(PyExc_TypeError, "argument should be integer or None, not '%.200s'",
                         Py_TYPE(value)->tp_name);
            return 0;
        }
        generation = PyNumber_AsSsize_t(value, PyExc_OverflowError);
        if (generation == -1 && PyErr_Occurred() != NULL)
            return 0;
    }
    *(Py_ssize_t *)out = generation;
    return 1;
}

static PyObject *hp_get_objects(PyObject *module, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"generation", NULL};
    Py_ssize_t wanted = -1;
    if (!PyArg_ParseTupleAndKeywords(args, names, "|O&:get_objects", keywords,
                                     hp_convert_generation, &wanted))
        return NULL;
    if (PySys_Audit("gc.get_objects", "n", wanted) < 0)
        return NULL;
    if (wanted >= NUM_GENERATIONS)
        return PyErr_Format(PyExc_ValueError,
                            "generation parameter must be less than the number of available "
                            "generations (%i)",
                            NUM_GENERATIONS);
    if (wanted < -1)
        return PyErr_Format(PyExc_ValueError, "generation parameter cannot be negative");
    hp_gc *gc = hp_lists_of(module);
    PyObject *result = PyList_New(0);
    for (int i = 0; result != NULL && i < NUM_GENERATIONS; i++)
        if ((wanted == -1 || wanted == i) && hp_append_list(result, hp_generation(gc, i)) < 0)
            Py_CLEAR(result);
    return result;
}

static int hp_visit_is_one(PyObject *o, void *wanted)
{
    PyObject *objects = wanted;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(objects); i++)
        if (PyTuple_GET_ITEM(objects, i) == o)
            return 1;
    return 0;
}

static int hp_append_referrers(PyObject *result, PyGC_Head *list, PyObject *objects)
{
    for (PyGC_Head *g = HP_NEXT(list); g != list; g = HP_NEXT(g)) {
        PyObject *o = HP_OBJECT(g);
        if (o == objects || o == result)
            continue;
        if (Py_TYPE(o)->tp_traverse(o, hp_visit_is_one, objects) && PyList_Append(result, o) < 0)
            return -1;
    }
    return 0;
}

static PyObject *hp_get_referrers(PyObject *module, PyObject *args)
{
    if (PySys_Audit("gc.get_referrers", "(O)", args) < 0)
        return NULL;
    hp_gc *gc = hp_lists_of(module);
    PyObject *result = PyList_New(0);
    for (int i = 0; result != NULL && i < NUM_GENERATIONS; i++)
        if (hp_append_referrers(result, hp_generation(gc, i), args) < 0)
            Py_CLEAR(result);
    return result;
}

static int hp_visit_append(PyObject *o, void *list)
{
    return PyList_Append(list, o) < 0;
}

static PyObject *hp_get_referents(PyObject *module, PyObject *args)
{
    (void)module;
    if (PySys_Audit("gc.get_referents", "(O)", args) < 0)
        return NULL;
    PyObject *result = PyList_New(0);
    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_GET_SIZE(args); i++) {
        PyObject *o = PyTuple_GET_ITEM(args, i);
        traverseproc traverse = hp_is_gc(o) ? Py_TYPE(o)->tp_traverse : NULL;
        if (traverse != NULL && traverse(o, hp_visit_append, result))
            Py_CLEAR(result);
    }
    return result;
}

static PyObject *hp_is_tracked(PyObject *module, PyObject *o)
{
    (void)module;
    return PyBool_FromLong(hp_is_gc(o) && HP_HEAD(o)->_gc_next != 0);
}

static PyObject *hp_is_finalized(PyObject *module, PyObject *o)
{
    (void)module;
    return PyBool_FromLong(hp_is_gc(o) && (HP_HEAD(o)->_gc_prev & HP_FINALIZED) != 0);
}

static PyObject *hp_freeze(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    hp_gc *gc = hp_lists_of(module);
    for (int i = 0; i < NUM_GENERATIONS; i++) {
        hp_list_merge(hp_generation(gc, i), &gc->permanent_generation.head);
        gc->generations[i].count = 0;
    }
    Py_RETURN_NONE;
}

static PyObject *hp_unfreeze(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    hp_gc *gc = hp_lists_of(module);
    hp_list_merge(&gc->permanent_generation.head, hp_generation(gc, NUM_GENERATIONS - 1));
    Py_RETURN_NONE;
}

static PyObject *hp_get_freeze_count(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    return PyLong_FromSsize_t(hp_list_size(&hp_lists_of(module)->permanent_generation.head));
}

PyMethodDef hp_object_functions[] = {
    {"get_objects", (PyCFunction)(void (*)(void))hp_get_objects, METH_VARARGS | METH_KEYWORDS,
     "get_objects($module, /, generation=None)\n--\n\n"
     "A list of all tracked objects (but for the list itself), or of those\n"
     "in one generation: 0, 1 or 2."},
    {"get_referrers", hp_get_referrers, METH_VARARGS,
     "get_referrers(*objs) -> list\n\n"
     "The tracked objects that refer to any of these directly."},
    {"get_referents", hp_get_referents, METH_VARARGS,
     "get_referents(*objs) -> list\n\n"
     "What these objects refer to, as far as the collector needs to know."},
    {"is_tracked", hp_is_tracked, METH_O,
     "is_tracked($module, obj, /)\n--\n\n"
     "Does the collector know the object now? Objects that hold no others,\n"
     "such as numbers and strings, are never tracked."},
    {"is_finalized", hp_is_finalized, METH_O,
     "is_finalized($module, obj, /)\n--\n\n"
     "Has the collector called the object's finalizer already?"},
    {"freeze", hp_freeze, METH_NOARGS,
     "freeze($module, /)\n--\n\n"
     "Put all objects tracked now out of the collector's sight. Before a\n"
     "fork this leaves their memory shared with the child for longer."},
    {"unfreeze", hp_unfreeze, METH_NOARGS,
     "unfreeze($module, /)\n--\n\nPut the frozen objects back, into the oldest generation."},
    {"get_freeze_count", hp_get_freeze_count, METH_NOARGS,
     "get_freeze_count($module, /)\n--\n\nHow many objects are frozen."},
    {NULL, NULL, 0, NULL},
};
