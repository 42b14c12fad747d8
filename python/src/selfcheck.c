/* python/src/selfcheck.c - is this the interpreter that the extension was compiled for?
 *
 * The extension reads structures that Python does not promise to keep. Before it touches anything,
 * what it finds by their layout is compared with what the interpreter's functions tell, and its own
 * visits with the types' own tp_traverse. What differs is named in an ImportError.
 * Locks: the GIL. */
#define _GNU_SOURCE 1
#include "api.h"

#include <link.h>
#include <stdarg.h>

#include <internal/pycore_frame.h>

#include "visit.h"

struct hp_known hp_known;

static int hp_refuse(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    PyObject *reason = PyUnicode_FromFormatV(format, list);
    va_end(list);
    if (reason != NULL) {
        PyErr_Format(PyExc_ImportError,
                     "hearth was compiled for CPython %s and cannot replace the collector of this "
                     "interpreter: %U",
                     PY_VERSION, reason);
        Py_DECREF(reason);
    }
    return -1;
}

/* --- the segments of the interpreter ----------------------------------------------------------- */

static int hp_segment(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    (void)data;
    uintptr_t runtime = (uintptr_t)&_PyRuntime, code = (uintptr_t)PyList_Type.tp_traverse;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_LOAD)
            continue;
        if (runtime - from < header->p_memsz) {
            hp_known.data = from;
            hp_known.data_bytes = header->p_memsz;
        }
        if (code - from < header->p_memsz) {
            hp_known.text = from;
            hp_known.text_bytes = header->p_memsz;
        }
    }
    return 0;
}

static int hp_find_known(void)
{
    PyObject *probe = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){}", "probe");
    if (probe == NULL)
        return -1;
    hp_known.instance = ((PyTypeObject *)probe)->tp_traverse;
    Py_DECREF(probe);
    hp_known.list = PyList_Type.tp_traverse;
    hp_known.tuple = PyTuple_Type.tp_traverse;
    hp_known.dict = PyDict_Type.tp_traverse;
    hp_known.set = PySet_Type.tp_traverse;
    hp_known.function = PyFunction_Type.tp_traverse;
    hp_known.cell = PyCell_Type.tp_traverse;
    hp_known.builtin = PyCFunction_Type.tp_traverse;
    hp_known.descriptor = PyMethodDescr_Type.tp_traverse;
    hp_known.reference = _PyWeakref_RefType.tp_traverse;
    dl_iterate_phdr(hp_segment, NULL);
    if (hp_known.data_bytes == 0 || hp_known.text_bytes == 0)
        return hp_refuse("its data and code were not found in any loaded segment");
    return 0;
}

/* --- structures -------------------------------------------------------------------------------- */

static int hp_check_version(void)
{
    if (strncmp(Py_GetVersion(), "3.11.", 5) != 0)
        return hp_refuse("it is version %.20s", Py_GetVersion());
    if (PySys_GetObject("getobjects") != NULL)
        return hp_refuse("its objects have other headers (Py_TRACE_REFS)");
    return 0;
}

static int hp_check_sizes(void)
{
    const struct {
        const PyTypeObject *type;
        size_t size;
    } expected[] = {
        {&PyList_Type, sizeof(PyListObject)},
        {&PyTuple_Type, sizeof(PyTupleObject) - sizeof(PyObject *)},
        {&PyDict_Type, sizeof(PyDictObject)},
        {&PySet_Type, sizeof(PySetObject)},
        {&PyFunction_Type, sizeof(PyFunctionObject)},
        {&PyCell_Type, sizeof(PyCellObject)},
        {&PyType_Type, sizeof(PyHeapTypeObject)},
        {&PyCFunction_Type, sizeof(PyCFunctionObject)},
        {&PyMethodDescr_Type, sizeof(PyMethodDescrObject)},
        {&_PyWeakref_RefType, sizeof(PyWeakReference)},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if ((size_t)expected[i].type->tp_basicsize != expected[i].size)
            return hp_refuse("%s objects have %zd bytes, not %zu", expected[i].type->tp_name,
                             expected[i].type->tp_basicsize, expected[i].size);
    if (PyType_IS_GC(&PyCode_Type))
        return hp_refuse("code objects are collectable");
    return 0;
}

/* Is the list a ring of a few elements with clean flags? */
static bool hp_ring_whole(const PyGC_Head *list)
{
    const PyGC_Head *prev = list, *g = HP_NEXT(list);
    for (int i = 0; i < 1000 && g != list; i++) {
        if (g == NULL || ((uintptr_t)g & 7) || HP_PREV(g) != prev || (g->_gc_prev & HP_COLLECTING))
            return false;
        prev = g;
        g = HP_NEXT(g);
    }
    return true;
}

static int hp_check_gc(struct hp_state *state, PyObject *gc_module)
{
    hp_gc *gc = state->gc;
    PyObject *garbage = PyObject_GetAttrString(gc_module, "garbage");
    PyObject *callbacks = PyObject_GetAttrString(gc_module, "callbacks");
    PyObject *counts = PyObject_CallMethod(gc_module, "get_threshold", NULL);
    int threshold[NUM_GENERATIONS], result = -1;
    if (garbage == NULL || callbacks == NULL || counts == NULL ||
        !PyArg_ParseTuple(counts, "iii", &threshold[0], &threshold[1], &threshold[2]))
        PyErr_Clear();
    else if (gc->garbage != garbage || gc->callbacks != callbacks)
        hp_refuse("gc.garbage and gc.callbacks are not where they should be, or were replaced");
    else if (gc->generation0 != hp_generation(gc, 0))
        hp_refuse("its youngest generation is not where it should be");
    else if (gc->generations[0].threshold != threshold[0] ||
             gc->generations[1].threshold != threshold[1] ||
             gc->generations[2].threshold != threshold[2])
        hp_refuse("the thresholds are not where they should be");
    else if (!hp_ring_whole(hp_generation(gc, 0)) || !hp_ring_whole(hp_generation(gc, 1)) ||
             !hp_ring_whole(hp_generation(gc, 2)))
        hp_refuse("its lists of objects are not linked as they should be");
    else
        result = 0;
    Py_XDECREF(garbage);
    Py_XDECREF(callbacks);
    Py_XDECREF(counts);
    if (result < 0 && PyErr_Occurred() == NULL)
        hp_refuse("its gc module lacks garbage, callbacks or get_threshold()");
    return result;
}

static int hp_check_interpreter(struct hp_state *state)
{
    PyThreadState *thread = PyThreadState_Get();
    PyInterpreterState *interp = state->interp;
    if (interp->modules != PyImport_GetModuleDict())
        return hp_refuse("sys.modules is not where it should be");
    if (PyInterpreterState_GetID(interp) != interp->id)
        return hp_refuse("the interpreter's number is not where it should be");
    PyObject *dict = PyInterpreterState_GetDict(interp); /* made when first asked for */
    if (interp->dict != dict)
        return hp_refuse("the interpreter's dict is not where it should be");
    bool found = false;
    for (PyThreadState *t = interp->threads.head; t != NULL && !found; t = t->next)
        found = t == thread;
    if (!found)
        return hp_refuse("this thread is not in its list of threads");
    PyFrameObject *frame = PyEval_GetFrame();
    if (frame != NULL &&
        (frame->f_frame->frame_obj != frame || Py_TYPE(frame->f_frame->f_code) != &PyCode_Type))
        return hp_refuse("frames are not laid out as they should be");
    return 0;
}

/* --- visits ------------------------------------------------------------------------------------ */

/* Each kind of object that is visited in place, with references to the same few objects in different
 * places. */
static const char hp_samples_source[] =
    "def samples(a, b, c):\n"
    "    class Plain: pass\n"
    "    class Slots:\n"
    "        __slots__ = 'x', 'y', '__weakref__'\n"
    "    class Both(Slots): pass\n"
    "    class Sequence(list): pass\n"
    "    class Record(tuple): pass\n"
    "    class Table(dict):\n"
    "        __slots__ = 'z',\n"
    "    p, q, r, s, t = Plain(), Plain(), Slots(), Both(), Sequence([a, b, b])\n"
    "    p.x, p.y, p.z = a, b, c\n"
    "    q.x, q.y = c, c\n"
    "    q.__dict__[a.__name__] = a\n"
    "    r.x, s.x, s.y, s.other = a, b, c, c\n"
    "    u = Table(x=a)\n"
    "    u.z = b\n"
    "    def f(x=a, *, y=b) -> c: return x, b\n"
    "    f.attribute = c\n"
    "    g = {a, b, 1, 2, 3, 'x'} - {b}\n"
    "    g.remove(2)\n"
    "    return [p, q, p.__dict__, r, s, t, u, Record((a, a, c)), f, f.__closure__[0],\n"
    "            [a, None, 1, b, 'x'], (a, b, c, None), {'x': a, 'y': b}, {a: b, 1: c, (): a}, {}, "
    "[], ()]\n"
    "class A: pass\n"
    "class B: pass\n"
    "class C: pass\n"
    "everything, targets = samples(A, B, C), [A, B, C]\n";

/* Give the targets counts to subtract from. */
static void hp_targets_arm(PyObject *targets, uintptr_t *saved)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(targets); i++) {
        PyGC_Head *g = HP_HEAD(PyList_GET_ITEM(targets, i));
        saved[i] = g->_gc_prev;
        g->_gc_prev = 1000 * HP_ONE_REF | HP_COUNTED | HP_COLLECTING;
    }
}

static void hp_targets_read(PyObject *targets, const uintptr_t *saved, uintptr_t *counts)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(targets); i++) {
        PyGC_Head *g = HP_HEAD(PyList_GET_ITEM(targets, i));
        counts[i] = g->_gc_prev;
        g->_gc_prev = saved[i];
    }
}

enum { HP_TARGETS = 3 };

static int hp_check_sample(PyObject *o, PyObject *targets)
{
    uintptr_t saved[HP_TARGETS], theirs[HP_TARGETS], ours[HP_TARGETS];
    hp_targets_arm(targets, saved);
    struct hp_worker worker = {.stack = NULL};
    Py_TYPE(o)->tp_traverse(o, hp_see_subtract, &worker);
    hp_targets_read(targets, saved, theirs);
    hp_targets_arm(targets, saved);
    hp_visit(o, &worker, HP_SUBTRACT, false);
    hp_targets_read(targets, saved, ours);
    if (memcmp(theirs, ours, sizeof ours) != 0)
        return hp_refuse("%s objects are not laid out as they should be", Py_TYPE(o)->tp_name);
    return 0;
}

static int hp_check_visits(void)
{
    PyObject *space = PyDict_New();
    if (space == NULL || PyDict_SetItemString(space, "__builtins__", PyEval_GetBuiltins()) < 0)
        return -1;
    PyObject *ran = PyRun_String(hp_samples_source, Py_file_input, space, space);
    PyObject *samples = PyDict_GetItemString(space, "everything");
    PyObject *targets = PyDict_GetItemString(space, "targets");
    int result = -1;
    if (ran != NULL && samples != NULL && targets != NULL) {
        result = 0;
        for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(samples); i++)
            result = hp_check_sample(PyList_GET_ITEM(samples, i), targets);
    }
    Py_XDECREF(ran);
    PyDict_Clear(space);
    Py_DECREF(space);
    return result;
}

int hp_selfcheck(struct hp_state *state, PyObject *gc_module)
{
    if (hp_check_version() < 0 || hp_check_sizes() < 0 || hp_check_interpreter(state) < 0 ||
        hp_check_gc(state, gc_module) < 0 || hp_find_known() < 0)
        return -1;
    return hp_check_visits();
}
