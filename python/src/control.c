/* python/src/control.c - hearth's own functions: in and out, statistics, switches for tests. Locks:
 * the GIL. */
#include "api.h"
#include "takeover.h"

#include "arenas.h"
#include "parallel.h"
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

/* --- helpers ----------------------------------------------------------------------------------- */

static PyObject *hp_workers_function(PyObject *module, PyObject *args)
{
    (void)module;
    int workers = hp_parallel.workers;
    if (!PyArg_ParseTuple(args, "|i:workers", &workers))
        return NULL;
    if (workers < 0 || workers > HP_WORKERS_MAX)
        return PyErr_Format(PyExc_ValueError,
                            "workers must be 0 (one for each processor) to %d, not %d",
                            HP_WORKERS_MAX, workers);
    int before = hp_parallel.workers;
    hp_parallel.workers = workers;
    hp_parallel_forget();
    return PyLong_FromLong(before);
}

static PyObject *hp_parallel_min(PyObject *module, PyObject *args)
{
    (void)module;
    Py_ssize_t minimum = (Py_ssize_t)hp_parallel.minimum;
    if (!PyArg_ParseTuple(args, "|n:parallel_min", &minimum))
        return NULL;
    if (minimum < 0)
        return PyErr_Format(PyExc_ValueError, "a number of objects cannot be negative: %zd",
                            minimum);
    Py_ssize_t before = (Py_ssize_t)hp_parallel.minimum;
    hp_parallel.minimum = (size_t)minimum;
    hp_parallel_forget();
    return PyLong_FromSsize_t(before);
}

static const char *const hp_trust_name[] = {"off", "python", "all"};

static PyObject *hp_set_parallel(PyObject *module, PyObject *mode)
{
    (void)module;
    if (!PyUnicode_Check(mode))
        return PyErr_Format(PyExc_TypeError, "set_parallel() takes a string, not %.200s",
                            Py_TYPE(mode)->tp_name);
    for (int i = 0; i < 3; i++)
        if (PyUnicode_CompareWithASCIIString(mode, hp_trust_name[i]) == 0) {
            hp_parallel.trust = (enum hp_trust)i;
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "set_parallel() takes 'off', 'python' or 'all', not %R",
                        mode);
}

static PyObject *hp_get_parallel(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    return PyUnicode_FromString(hp_trust_name[hp_parallel.trust]);
}

/* --- memory ------------------------------------------------------------------------------------ */

static PyObject *hp_arenas(PyObject *module, PyObject *mode)
{
    (void)module;
    if (!PyUnicode_Check(mode))
        return PyErr_Format(PyExc_TypeError, "arenas() takes a string, not %.200s",
                            Py_TYPE(mode)->tp_name);
    bool huge = PyUnicode_CompareWithASCIIString(mode, "huge") == 0;
    if (PyUnicode_CompareWithASCIIString(mode, "off") == 0)
        hp_arenas_off();
    else if (huge || PyUnicode_CompareWithASCIIString(mode, "on") == 0 ||
             (PyUnicode_CompareWithASCIIString(mode, "auto") == 0 && hp_arenas_useful()))
        return hp_none_or_error(hp_arenas_on(huge));
    else if (PyUnicode_CompareWithASCIIString(mode, "auto") != 0)
        return PyErr_Format(PyExc_ValueError,
                            "arenas() takes 'auto', 'on', 'huge' or 'off', not %R", mode);
    Py_RETURN_NONE;
}

static PyObject *hp_residency(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    return hp_arenas_residency();
}

/* --- tests ------------------------------------------------------------------------------------- */

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

/* Tests: what is kept for later collections is freed; then the n-th allocation of hearth's fails, and
 * all later ones if `sticky`; 0: none does. */
static PyObject *hp_fail(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long n;
    int sticky = 0;
    if (!PyArg_ParseTuple(args, "K|p:_fail", &n, &sticky))
        return NULL;
    hp_scratch_trim();
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
    {"workers", hp_workers_function, METH_VARARGS,
     "workers([n])\n\n"
     "Let at most n threads work on a large collection, this one included;\n"
     "1: no helpers, 0: as many as there are processors. Returns what was set\n"
     "before."},
    {"parallel_min", hp_parallel_min, METH_VARARGS,
     "parallel_min([n])\n\n"
     "Call no helpers to a collection of fewer than n objects. Returns what\n"
     "was set before. Below 4096 helpers are given work at once: for tests."},
    {"set_parallel", hp_set_parallel, METH_O,
     "set_parallel($module, mode, /)\n--\n\n"
     "Whose objects helpers may look at, that is whose tp_traverse functions\n"
     "run on other threads while this one holds the GIL:\n\n"
     "  'python'  the interpreter's and its own extension modules' (default)\n"
     "  'all'     also those of other extensions\n"
     "  'off'     none: no helpers"},
    {"get_parallel", hp_get_parallel, METH_NOARGS,
     "get_parallel($module, /)\n--\n\nWhat set_parallel() has set."},
    {"arenas", hp_arenas, METH_O,
     "arenas($module, mode, /)\n--\n\n"
     "Where the memory of new objects comes from:\n\n"
     "  'on'    hearth's windows, on the node that the running thread is on\n"
     "  'huge'  the same, with huge pages (if it was not 'on' before)\n"
     "  'auto'  'on' if this machine has several nodes of memory\n"
     "  'off'   CPython's own\n\n"
     "Objects that are there already stay where they are. OSError if there is\n"
     "no address space."},
    {"residency", hp_residency, METH_NOARGS,
     "residency($module, /)\n--\n\n"
     "For each node a dict: how many pages of its arenas lie on it, elsewhere,\n"
     "or have not been touched. It asks the system about every page."},
    {"_force", hp_force, METH_O,
     "_force($module, generation, /)\n--\n\n"
     "For tests: every automatic collection is of this generation; -1 ends that."},
    {"_fail", hp_fail, METH_VARARGS,
     "_fail(n, sticky=False)\n\n"
     "For tests: free what is kept for later collections, and let the n-th allocation of hearth's "
     "own memory fail, and all\n"
     "later ones if sticky. 0 ends that."},
    {NULL, NULL, 0, NULL},
};
