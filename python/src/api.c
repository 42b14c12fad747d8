/* python/src/api.c - the functions of Python's gc module that steer the collector.
 *
 * Names, arguments, errors and results are those of CPython 3.11; the state they read and write is the
 * interpreter's own, so the built-in module's functions and these agree at any time.
 * Locks: the GIL. */
#include "api.h"
#include "takeover.h"

static hp_gc *hp_gc_of(PyObject *module)
{
    struct hp_state *state = hp_state_of(module);
    hp_unhide(state);
    return state->gc;
}

static PyObject *hp_enable(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    hp_gc_of(module)->enabled = 1;
    Py_RETURN_NONE;
}

static PyObject *hp_disable(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    hp_gc_of(module)->enabled = 0;
    Py_RETURN_NONE;
}

static PyObject *hp_isenabled(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    return PyBool_FromLong(hp_gc_of(module)->enabled);
}

static PyObject *hp_collect_function(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *names)
{
    return hp_explicit(hp_state_of(module), args, nargs, names);
}

static PyObject *hp_set_debug(PyObject *module, PyObject *flags)
{
    int value = _PyLong_AsInt(flags);
    if (value == -1 && PyErr_Occurred() != NULL)
        return NULL;
    hp_gc_of(module)->debug = value;
    Py_RETURN_NONE;
}

static PyObject *hp_get_debug(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    return PyLong_FromLong(hp_gc_of(module)->debug);
}

/* As in CPython, arguments before a wrong one have taken effect. */
static PyObject *hp_set_threshold(PyObject *module, PyObject *args)
{
    struct gc_generation *generation = hp_gc_of(module)->generations;
    if (!PyArg_ParseTuple(args, "i|ii:set_threshold", &generation[0].threshold,
                          &generation[1].threshold, &generation[2].threshold))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *hp_get_threshold(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    struct gc_generation *generation = hp_gc_of(module)->generations;
    return Py_BuildValue("(iii)", generation[0].threshold, generation[1].threshold,
                         generation[2].threshold);
}

static PyObject *hp_get_count(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    struct gc_generation *generation = hp_gc_of(module)->generations;
    return Py_BuildValue("(iii)", generation[0].count, generation[1].count, generation[2].count);
}

static PyObject *hp_get_stats(PyObject *module, PyObject *nothing)
{
    (void)nothing;
    struct gc_generation_stats stats[NUM_GENERATIONS];
    memcpy(stats, hp_gc_of(module)->generation_stats, sizeof stats); /* what follows may collect */
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < NUM_GENERATIONS; i++) {
        PyObject *entry =
            Py_BuildValue("{snsnsn}", "collections", stats[i].collections, "collected",
                          stats[i].collected, "uncollectable", stats[i].uncollectable);
        if (entry == NULL || PyList_Append(list, entry) < 0)
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}

#define HP_FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

PyMethodDef hp_gc_functions[] = {
    {"enable", hp_enable, METH_NOARGS,
     "enable($module, /)\n--\n\nLet collections start by themselves, as the thresholds say."},
    {"disable", hp_disable, METH_NOARGS,
     "disable($module, /)\n--\n\nLet no collection start by itself; collect() still works."},
    {"isenabled", hp_isenabled, METH_NOARGS,
     "isenabled($module, /)\n--\n\nDo collections start by themselves?"},
    {"collect", HP_FUNCTION(hp_collect_function), METH_FASTCALL | METH_KEYWORDS,
     "collect($module, /, generation=2)\n--\n\n"
     "Collect a generation and all younger ones; the oldest is 2.\n\n"
     "Returns how many unreachable objects were found, those that could not\n"
     "be collected included. ValueError for any other generation than 0, 1\n"
     "and 2. During a collection it does nothing and returns 0."},
    {"set_debug", hp_set_debug, METH_O,
     "set_debug($module, flags, /)\n--\n\n"
     "Choose what collections write to sys.stderr: a sum of\n\n"
     "  DEBUG_STATS          what each collection found, and its time\n"
     "  DEBUG_COLLECTABLE    every object that is collected\n"
     "  DEBUG_UNCOLLECTABLE  every object that cannot be\n"
     "  DEBUG_SAVEALL        nothing is written, but what was found goes to\n"
     "                       gc.garbage instead of being freed\n"
     "  DEBUG_LEAK           the last three"},
    {"get_debug", hp_get_debug, METH_NOARGS,
     "get_debug($module, /)\n--\n\nThe flags that set_debug() has set."},
    {"set_threshold", hp_set_threshold, METH_VARARGS,
     "set_threshold(threshold0, [threshold1, threshold2]) -> None\n\n"
     "Collect generation 0 when that many more objects were made than freed,\n"
     "generation 1 after so many collections of 0, generation 2 after so many\n"
     "of 1 (and when a quarter of all has come in). threshold0 = 0: never."},
    {"get_threshold", hp_get_threshold, METH_NOARGS,
     "get_threshold($module, /)\n--\n\nThe three thresholds, as a tuple."},
    {"get_count", hp_get_count, METH_NOARGS,
     "get_count($module, /)\n--\n\nWhat is compared with the thresholds, as a tuple."},
    {"get_stats", hp_get_stats, METH_NOARGS,
     "get_stats($module, /)\n--\n\n"
     "A list of three dicts, one for each generation: collections, objects\n"
     "collected, objects found uncollectable."},
    {NULL, NULL, 0, NULL},
};
