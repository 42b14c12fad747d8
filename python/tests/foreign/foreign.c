/* python/tests/foreign/foreign.c - an extension that is none of Python's own, for test_trust.py.
 *
 * Box(o) refers to one object. Its tp_traverse counts its calls, and those on other threads than the one
 * that imported the module. Locks: none; the counts are atomic. */
#include <Python.h>
#include <pthread.h>

typedef struct {
    PyObject_HEAD PyObject *o; /* what is in the box                                */
} Box;

static pthread_t box_owner; /* who imported the module                  */
static int box_calls;       /* of tp_traverse (atomic)                  */
static int box_elsewhere;   /* of them on other threads (atomic)        */

static int box_traverse(Box *box, visitproc visit, void *arg)
{
    __atomic_fetch_add(&box_calls, 1, __ATOMIC_RELAXED);
    if (!pthread_equal(box_owner, pthread_self()))
        __atomic_fetch_add(&box_elsewhere, 1, __ATOMIC_RELAXED);
    Py_VISIT(box->o);
    return 0;
}

static int box_clear(Box *box)
{
    Py_CLEAR(box->o);
    return 0;
}

static void box_dealloc(Box *box)
{
    PyObject_GC_UnTrack(box);
    Py_TRASHCAN_BEGIN(box, box_dealloc);
    box_clear(box);
    Py_TYPE(box)->tp_free(box);
    Py_TRASHCAN_END;
}

static int box_init(Box *box, PyObject *args, PyObject *names)
{
    PyObject *o;
    (void)names;
    if (!PyArg_ParseTuple(args, "O", &o))
        return -1;
    Py_INCREF(o);
    Py_XSETREF(box->o, o);
    return 0;
}

static PyTypeObject box_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "foreign.Box",
    .tp_basicsize = sizeof(Box),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_traverse = (traverseproc)box_traverse,
    .tp_clear = (inquiry)box_clear,
    .tp_dealloc = (destructor)box_dealloc,
    .tp_init = (initproc)box_init,
    .tp_new = PyType_GenericNew,
    .tp_alloc = PyType_GenericAlloc,
    .tp_free = PyObject_GC_Del,
};

/* (calls, calls on other threads) since the last time. */
static PyObject *box_counts(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    return Py_BuildValue("(ii)", __atomic_exchange_n(&box_calls, 0, __ATOMIC_RELAXED),
                         __atomic_exchange_n(&box_elsewhere, 0, __ATOMIC_RELAXED));
}

static PyMethodDef box_functions[] = {
    {"counts", box_counts, METH_NOARGS, "counts()"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef box_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "foreign",
    .m_size = -1,
    .m_methods = box_functions,
};

PyMODINIT_FUNC PyInit_foreign(void)
{
    box_owner = pthread_self();
    PyObject *module = PyType_Ready(&box_type) == 0 ? PyModule_Create(&box_module) : NULL;
    if (module != NULL && PyModule_AddObjectRef(module, "Box", (PyObject *)&box_type) < 0)
        Py_CLEAR(module);
    return module;
}
