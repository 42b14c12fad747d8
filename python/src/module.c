/* python/src/module.c - the extension module hearth._core.
 *
 * One module object for each interpreter of the process, with its own state: sub-interpreters may use
 * hearth or not, each for itself. (They share one GIL in CPython 3.11, which guards what the process
 * has once.) While hearth is installed the hook refers to the module, so the state is there as long as
 * it can be called.
 * Locks: the GIL. */
#include "api.h"
#include "takeover.h"

struct hp_state *hp_state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

/* The built-in gc.collect, whatever modules there are. */
static PyObject *hp_builtin_collect(PyObject *gc_module)
{
    PyObject *collect = PyObject_GetAttrString(gc_module, "collect");
    if (collect == NULL)
        return NULL;
    PyObject *self = PyCFunction_Check(collect) ? PyCFunction_GET_SELF(collect) : NULL;
    if (self == NULL || !PyModule_Check(self) || strcmp(PyModule_GetName(self), "gc") != 0) {
        Py_DECREF(collect);
        PyErr_SetString(
            PyExc_ImportError,
            "hearth: gc.collect is not the built-in one; another collector is there, or hearth "
            "was imported twice");
        return NULL;
    }
    return collect;
}

static int hp_add_constants(PyObject *module, struct hp_state *state)
{
    static const struct {
        const char *name;
        long value;
    } constant[] = {
        {"DEBUG_STATS", 1},    {"DEBUG_COLLECTABLE", 2}, {"DEBUG_UNCOLLECTABLE", 4},
        {"DEBUG_SAVEALL", 32}, {"DEBUG_LEAK", 38},
    };
    for (size_t i = 0; i < sizeof constant / sizeof *constant; i++)
        if (PyModule_AddIntConstant(module, constant[i].name, constant[i].value) < 0)
            return -1;
    if (PyModule_AddObjectRef(module, "garbage", state->gc->garbage) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "callbacks", state->gc->callbacks);
}

/* As functions of a module gc, so that they are named so in messages and when pickled. */
static int hp_add_gc_functions(PyObject *module, PyMethodDef *defs)
{
    PyObject *name = PyUnicode_InternFromString("gc");
    int result = name != NULL ? 0 : -1;
    for (PyMethodDef *def = defs; result == 0 && def->ml_name != NULL; def++) {
        PyObject *function = PyCFunction_NewEx(def, module, name);
        result = function != NULL ? PyModule_AddObjectRef(module, def->ml_name, function) : -1;
        Py_XDECREF(function);
    }
    Py_XDECREF(name);
    return result;
}

static int hp_exec(PyObject *module)
{
    struct hp_state *state = hp_state_of(module);
    PyObject *gc_module = PyImport_ImportModule("gc");
    if (gc_module == NULL)
        return -1;
    state->module = module;
    state->interp = PyInterpreterState_Get();
    state->gc = &state->interp->gc;
    state->force = -1;
    state->builtin = hp_builtin_collect(gc_module);
    state->generation = PyUnicode_InternFromString("generation");
    int result =
        state->builtin != NULL && state->generation != NULL && hp_selfcheck(state, gc_module) == 0
            ? 0
            : -1;
    Py_DECREF(gc_module);
    if (result == 0 &&
        (hp_add_constants(module, state) < 0 || hp_add_gc_functions(module, hp_gc_functions) < 0 ||
         hp_add_gc_functions(module, hp_object_functions) < 0 ||
         PyModule_AddFunctions(module, hp_control_functions) < 0))
        result = -1;
    return result;
}

static int hp_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct hp_state *state = hp_state_of(module);
    if (state == NULL) /* before it was made */
        return 0;
    Py_VISIT(state->builtin);
    Py_VISIT(state->user);
    return 0;
}

static void hp_free(void *module)
{
    struct hp_state *state = hp_state_of(module);
    if (state != NULL && state->module != NULL)
        hp_forget(state);
}

static PyModuleDef_Slot hp_slots[] = {
    {Py_mod_exec, hp_exec},
    {0, NULL},
};

static struct PyModuleDef hp_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "hearth._core",
    .m_doc = "hearth's collector for CPython 3.11, the functions of gc and its own.",
    .m_size = sizeof(struct hp_state),
    .m_slots = hp_slots,
    .m_traverse = hp_traverse,
    .m_free = hp_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&hp_module);
}
