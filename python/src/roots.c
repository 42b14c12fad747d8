/* python/src/roots.c - where marking begins: what the interpreter and its threads hold.
 *
 * The roots need not be complete: an object they miss is found alive by its reference count. They must
 * be valid pointers, however. A frame whose callee was inlined by the evaluation loop is suspended,
 * with as many slots as `stacktop` says; one that called C code has all its local slots valid while
 * stacktop is -1; with any other value it is being taken down, and its slots may dangle.
 * Lock order: the GIL < the runtime's lock of the list of threads, a leaf. */
#include "collect.h"

#include <internal/pycore_frame.h>

#define HP_ROOT(o)                                                                                 \
    do {                                                                                           \
        PyObject *root_ = (PyObject *)(o);                                                         \
        if (root_ != NULL)                                                                         \
            hp_see(w, root_, HP_MARK, false);                                                      \
    } while (0)

enum {
    HP_TYPE_DEPTH = 20
}; /* of static types below object                                            */

/* Static types are not on any list, but what they hold is. */
static void hp_type_roots(struct hp_worker *w, PyTypeObject *type, int depth)
{
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE)
        return;
    HP_ROOT(type->tp_dict);
    HP_ROOT(type->tp_bases);
    HP_ROOT(type->tp_mro);
    PyObject *subclasses = (PyObject *)type->tp_subclasses;
    HP_ROOT(subclasses);
    if (depth == 0 || subclasses == NULL || !PyDict_CheckExact(subclasses))
        return;
    PyObject *key, *ref;
    Py_ssize_t at = 0;
    while (PyDict_Next(subclasses, &at, &key, &ref)) {
        PyObject *subclass = PyWeakref_CheckRef(ref) ? PyWeakref_GET_OBJECT(ref) : Py_None;
        if (subclass != Py_None && PyType_Check(subclass))
            hp_type_roots(w, (PyTypeObject *)subclass, depth - 1);
    }
}

/* Slots of a frame that are valid; below 0: none of it is. */
static int hp_frame_slots(const _PyInterpreterFrame *frame, bool suspended)
{
    if (suspended)
        return frame->stacktop;
    return frame->stacktop < 0 ? frame->f_code->co_nlocalsplus : -1;
}

static void hp_frame_roots(struct hp_worker *w, PyThreadState *thread)
{
    if (thread->cframe == NULL)
        return;
    bool suspended = false;
    for (_PyInterpreterFrame *frame = thread->cframe->current_frame; frame != NULL;
         frame = frame->previous) {
        int slots = hp_frame_slots(frame, suspended);
        suspended = !frame->is_entry;
        if (slots < 0)
            continue;
        HP_ROOT(frame->f_func);
        HP_ROOT(frame->f_locals);
        HP_ROOT(frame->f_code);
        HP_ROOT(frame->frame_obj);
        HP_ROOT(frame->f_globals);
        for (int i = 0; i < slots; i++)
            HP_ROOT(frame->localsplus[i]);
    }
}

static void hp_thread_roots(struct hp_worker *w, PyThreadState *thread)
{
    if (!thread->_initialized)
        return;
    HP_ROOT(thread->dict);
    HP_ROOT(thread->context);
    HP_ROOT(thread->c_profileobj);
    HP_ROOT(thread->c_traceobj);
    HP_ROOT(thread->async_gen_firstiter);
    HP_ROOT(thread->async_gen_finalizer);
    for (_PyErr_StackItem *item = thread->exc_info; item != NULL; item = item->previous_item)
        HP_ROOT(item->exc_value);
    hp_frame_roots(w, thread);
}

static void hp_interpreter_roots(struct hp_worker *w, PyInterpreterState *interp)
{
    PyObject *const held[] = {
        interp->modules,
        interp->modules_by_index,
        interp->sysdict,
        interp->builtins,
        interp->importlib,
        interp->codec_search_path,
        interp->codec_search_cache,
        interp->codec_error_registry,
        interp->dict,
        interp->builtins_copy,
        interp->import_func,
        interp->before_forkers,
        interp->after_forkers_parent,
        interp->after_forkers_child,
        interp->warnings.filters,
        interp->warnings.once_registry,
        interp->warnings.default_action,
        interp->audit_hooks,
        interp->gc.garbage,
    };
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        HP_ROOT(held[i]);
    for (int i = 0; i < interp->atexit.ncallbacks; i++) {
        atexit_callback *callback = interp->atexit.callbacks[i];
        if (callback != NULL) {
            HP_ROOT(callback->func);
            HP_ROOT(callback->args);
            HP_ROOT(callback->kwargs);
        }
    }
}

void hp_push_roots(struct hp_worker *w, PyInterpreterState *interp)
{
    hp_interpreter_roots(w, interp);
    hp_type_roots(w, &PyBaseObject_Type, HP_TYPE_DEPTH);
    PyThread_type_lock lock = _PyRuntime.interpreters.mutex;
    PyThread_acquire_lock(lock, WAIT_LOCK);
    for (PyThreadState *thread = interp->threads.head; thread != NULL; thread = thread->next)
        hp_thread_roots(w, thread);
    PyThread_release_lock(lock);
}
