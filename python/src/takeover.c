/* python/src/takeover.c - how the built-in collection becomes hearth's.
 *
 * The built-in trigger stays: thresholds, gc.disable, the rule of long-lived objects, PyGC_Collect and
 * old references to gc.collect all work on. What is replaced is the interpreter's pointer to the list
 * of callbacks: it has a list of hearth's own with one C function, which the built-in calls before and
 * after each of its passes. The list users know stays as it is, and its callbacks are called from
 * here.
 * At "start" the generation is collected here, then everything the pass would touch is put aside:
 * lists, counts, statistics, debug flags. It sees three empty lists, and empties the free lists if the
 * collection was full. At "stop" all comes back. Between the two no Python code runs and the GIL is
 * not given up.
 * If hearth has no memory for a collection, nothing is put aside, and the pass does the collection
 * itself. A "stop" may be lost (no memory for its argument): then the next entry into hearth brings
 * all back. So may a "start": then the built-in has collected, and its "stop" is passed on.
 * Invariant: state->stash is empty whenever Python code runs, but after a lost "stop".
 * The list and the function are unknown to the collector, so gc.get_objects does not show them.
 * Locks: the GIL. */
#include "takeover.h"

#include "collect.h"

/* --- putting aside ----------------------------------------------------------------------------- */

static void hp_hide(struct hp_state *state)
{
    struct hp_stash *stash = &state->stash;
    hp_gc *gc = state->gc;
    for (int i = 0; i < NUM_GENERATIONS; i++) {
        hp_list_init(&stash->list[i]);
        hp_list_merge(hp_generation(gc, i), &stash->list[i]);
        stash->count[i] = gc->generations[i].count;
        stash->stats[i] = gc->generation_stats[i];
    }
    stash->long_lived_total = gc->long_lived_total;
    stash->long_lived_pending = gc->long_lived_pending;
    stash->debug = gc->debug;
    gc->debug = 0;
    stash->active = true;
}

void hp_unhide(struct hp_state *state)
{
    struct hp_stash *stash = &state->stash;
    hp_gc *gc = state->gc;
    if (HP_LIKELY(!stash->active))
        return;
    stash->active = false;
    for (int i = 0; i < NUM_GENERATIONS; i++) {
        hp_list_merge(hp_generation(gc, i),
                      &stash->list[i]); /* made meanwhile, if "stop" was lost */
        hp_list_merge(&stash->list[i], hp_generation(gc, i));
        gc->generations[i].count = stash->count[i];
        gc->generation_stats[i] = stash->stats[i];
    }
    gc->long_lived_total = stash->long_lived_total;
    gc->long_lived_pending = stash->long_lived_pending;
    gc->debug = stash->debug;
}

/* --- the callbacks of users -------------------------------------------------------------------- */

static void hp_call_each(PyObject *list, PyObject *phase, PyObject *info)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *callback = PyList_GET_ITEM(list, i);
        Py_INCREF(callback);
        PyObject *result = PyObject_CallFunctionObjArgs(callback, phase, info, NULL);
        if (result == NULL)
            PyErr_WriteUnraisable(callback);
        else
            Py_DECREF(result);
        Py_DECREF(callback);
    }
}

static void hp_call_users(struct hp_state *state, const char *phase, int generation,
                          Py_ssize_t collected, Py_ssize_t uncollectable)
{
    PyObject *list = state->user != NULL ? state->user : state->gc->callbacks;
    if (PyList_GET_SIZE(list) == 0)
        return;
    PyObject *name = PyUnicode_FromString(phase);
    PyObject *info = Py_BuildValue("{sisnsn}", "generation", generation, "collected", collected,
                                   "uncollectable", uncollectable);
    if (name == NULL || info == NULL)
        PyErr_WriteUnraisable(NULL);
    else
        hp_call_each(list, name, info);
    Py_XDECREF(name);
    Py_XDECREF(info);
}

/* --- the hook ---------------------------------------------------------------------------------- */

/* One collection with the users' callbacks; sets state->ours and ->found. */
static void hp_collect_and_tell(struct hp_state *state, int generation)
{
    Py_ssize_t collected, uncollectable;
    hp_unhide(state);
    state->inside = true;
    if (!state->told)
        hp_call_users(state, "start", generation, 0, 0);
    state->told = false;
    state->ours = hp_collect(state, generation, &collected, &uncollectable);
    if (!state->ours) {
        state->stats.fallbacks++;
        return;
    }
    state->found = collected + uncollectable;
    hp_call_users(state, "stop", generation, collected, uncollectable);
}

static void hp_on_start(struct hp_state *state, PyObject *info)
{
    PyObject *number = PyDict_GetItemWithError(info, state->generation);
    int generation = number != NULL ? (int)PyLong_AsLong(number) : 0;
    if (HP_UNLIKELY(state->force >= 0))
        generation = state->force;
    hp_collect_and_tell(state, generation);
    if (state->ours)
        hp_hide(state);
}

static PyObject *hp_hook(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct hp_state *state = hp_state_of(module);
    if (nargs != 2 || !PyUnicode_Check(args[0]) || !PyDict_Check(args[1]))
        return PyErr_Format(PyExc_TypeError,
                            "the hook of hearth is called by the interpreter alone");
    if (PyUnicode_READ_CHAR(args[0], 2) == 'a') { /* start */
        hp_on_start(state, args[1]);
        Py_RETURN_NONE;
    }
    state->inside = false;
    if (state->stash.active)
        hp_unhide(state);
    else
        hp_call_each(state->user, args[0], args[1]);
    Py_RETURN_NONE;
}

static PyMethodDef hp_hook_def = {"_hearth_hook", (PyCFunction)(void (*)(void))hp_hook,
                                  METH_FASTCALL, NULL};

/* --- in and out -------------------------------------------------------------------------------- */

static int hp_hook_in(struct hp_state *state)
{
    PyObject *function = PyCFunction_New(&hp_hook_def, state->module);
    PyObject *list = function != NULL ? PyList_New(1) : NULL;
    if (list == NULL) {
        Py_XDECREF(function);
        return -1;
    }
    PyList_SET_ITEM(list, 0, function);
    PyObject_GC_UnTrack(function);
    PyObject_GC_UnTrack(list);
    state->hook = list;
    state->user = state->gc->callbacks; /* with its reference */
    state->gc->callbacks = list;
    return 0;
}

static void hp_hook_out(struct hp_state *state)
{
    PyObject *list = state->hook;
    hp_unhide(state);
    state->gc->callbacks = state->user;
    state->user = state->hook = NULL;
    Py_DECREF(list);
}

static bool hp_busy(struct hp_state *state, const char *what)
{
    bool busy = state->inside && state->gc->collecting;
    if (busy)
        PyErr_Format(PyExc_RuntimeError, "hearth: cannot %s during a collection", what);
    return busy;
}

int hp_install(struct hp_state *state)
{
    if (state->installed)
        return 0;
    if (hp_busy(state, "install") || hp_hook_in(state) < 0)
        return -1;
    state->installed = true;
    return 0;
}

int hp_uninstall(struct hp_state *state)
{
    if (!state->installed)
        return 0;
    if (hp_busy(state, "uninstall"))
        return -1;
    state->installed = false;
    hp_hook_out(state);
    return 0;
}

/* collect(0) and collect(1) do not need the built-in pass, which would only empty the free lists after
 * a full one. NULL without an exception: no memory, "start" was told. */
static PyObject *hp_direct(struct hp_state *state, long generation)
{
    state->gc->collecting = 1;
    hp_collect_and_tell(state, (int)generation);
    state->told = !state->ours;
    state->inside = false;
    state->gc->collecting = 0;
    return state->ours ? PyLong_FromSsize_t(state->found) : NULL;
}

PyObject *hp_explicit(struct hp_state *state, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *names)
{
    hp_unhide(state);
    if (state->gc->collecting) /* it does nothing then, but complains of wrong arguments */
        return PyObject_Vectorcall(state->builtin, args, (size_t)nargs, names);
    if (nargs == 1 && names == NULL && PyLong_CheckExact(args[0])) {
        int overflow;
        long generation = PyLong_AsLongAndOverflow(args[0], &overflow);
        if (generation == 0 || generation == 1) {
            PyObject *number = hp_direct(state, generation);
            if (number != NULL || PyErr_Occurred() != NULL)
                return number;
        }
    }
    bool alone = state->hook == NULL;
    if (alone && hp_hook_in(state) < 0)
        return NULL;
    state->ours = false;
    PyObject *result = PyObject_Vectorcall(state->builtin, args, (size_t)nargs, names);
    bool ours = state->ours;
    if (alone)
        hp_hook_out(state);
    if (result == NULL || !ours)
        return result;
    Py_DECREF(result);
    return PyLong_FromSsize_t(state->found);
}

void hp_forget(struct hp_state *state)
{
    if (state->hook != NULL && state->gc->callbacks == state->hook) {
        hp_hook_out(state);
    } else {
        Py_CLEAR(state->user);
        state->hook = NULL;
    }
    state->installed = false;
    Py_CLEAR(state->builtin);
    Py_CLEAR(state->generation);
}
