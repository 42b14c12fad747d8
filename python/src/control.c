/* python/src/control.c - hearth's own functions: in and out, statistics, switches for tests. Locks: the GIL. */
#include "api.h"
#include "takeover.h"

#include "topology/os.h"

static PyObject *hp_none_or_error(int result)
{
    if (result < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *hp_install_function(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    return hp_none_or_error(hp_install(hp_state_of(module)));
}

static PyObject *hp_uninstall_function(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    return hp_none_or_error(hp_uninstall(hp_state_of(module)));
}

static PyObject *hp_installed(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    return PyBool_FromLong(hp_state_of(module)->installed);
}

/* Tests: automatic collections are of this generation; -1: of the one that is due. */
static PyObject *hp_force(PyObject *module, PyObject *value)
{
    int generation = _PyLong_AsInt(value);
    if (generation == -1 && PyErr_Occurred() != NULL)
        return NULL;
    if (generation < -1 || generation >= NUM_GENERATIONS)
        return PyErr_Format(PyExc_ValueError, "there is no generation %d", generation);
    hp_state_of(module)->force = generation;
    Py_RETURN_NONE;
}

/* Tests: the n-th allocation of hearth's from now on fails, and all later ones if `sticky`; 0: none does. */
static PyObject *hp_fail(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long n;
    int sticky = 0;
    if (!PyArg_ParseTuple(args, "K|p:_fail", &n, &sticky))
        return NULL;
    ht_fault_arm(HT_FAULT_ALLOC, n, sticky != 0);
    Py_RETURN_NONE;
}

PyMethodDef hp_control_functions[] = {
    {"_install", hp_install_function, METH_NOARGS,
     "_install($module, /)\n--\n\nFrom now on all collections of this interpreter are hearth's."},
    {"_uninstall", hp_uninstall_function, METH_NOARGS,
     "_uninstall($module, /)\n--\n\nGive the collections back to the built-in collector."},
    {"installed", hp_installed, METH_NOARGS,
     "installed($module, /)\n--\n\nAre this interpreter's collections hearth's?"},
    {"stats", hp_stats, METH_NOARGS,
     "stats($module, /)\n--\n\n"
     "What hearth's collections in this interpreter did: a dict, times in\n"
     "seconds."},
    {"_force", hp_force, METH_O,
     "_force($module, generation, /)\n--\n\n"
     "For tests: every automatic collection is of this generation; -1 ends that."},
    {"_fail", hp_fail, METH_VARARGS,
     "_fail(n, sticky=False)\n\n"
     "For tests: let the n-th allocation of hearth's own memory fail, and all\n"
     "later ones if sticky. 0 ends that."},
    {NULL, NULL, 0, NULL},
};
