/* python/src/untrack.c - tuples and dicts that cannot be part of a cycle leave the collector's sight.
 *
 * The rules are CPython's: a tuple all of whose items are out of sight for good, at every collection;
 * a dict of such keys and values, at full ones. The answer depends on the order in which nested tuples
 * are asked, as it does there. Helpers look at parts of a list side by side; what hangs on nothing but
 * tracked tuples, which somebody may be about to untrack, is left for later. Called for every
 * survivor, so it looks at the type first.
 * Locks: the GIL; helpers only read. */
#include "collect.h"

/* May the object ever be tracked? HP_LATER: it is a tuple that is tracked now. */
HP_HOT enum hp_untrack hp_holds(PyObject *o)
{
    if (hp_is_static(o))
        return HP_UNTRACK;
    if (hp_may_cycle(o))
        return HP_KEEP;
    return PyTuple_CheckExact(o) && HP_HEAD(o)->_gc_next != 0 ? HP_LATER : HP_UNTRACK;
}

/* The answer for a container from those for its items; returns true when it is certain. */
HP_HOT bool hp_holds_item(PyObject *o, enum hp_untrack *answer)
{
    enum hp_untrack item = hp_holds(o);
    if (item != HP_UNTRACK)
        *answer = item;
    return item == HP_KEEP;
}

static enum hp_untrack hp_tuple(PyObject *o)
{
    enum hp_untrack answer = HP_UNTRACK;
    Py_ssize_t n = Py_SIZE(o);
    PyObject **item = ((PyTupleObject *)o)->ob_item;
    for (Py_ssize_t i = 0; i < n; i++)
        if (item[i] == NULL) /* it is being filled */
            return HP_KEEP;
        else if (hp_holds_item(item[i], &answer))
            return HP_KEEP;
    return answer;
}

static enum hp_untrack hp_dict(PyObject *o)
{
    enum hp_untrack answer = HP_UNTRACK;
    PyDictObject *dict = (PyDictObject *)o;
    PyDictKeysObject *keys = dict->ma_keys;
    Py_ssize_t n = keys->dk_nentries;
    if (dict->ma_values != NULL) {
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject *value = dict->ma_values->values[i];
            if (value != NULL && hp_holds_item(value, &answer))
                return HP_KEEP;
        }
    } else if (DK_IS_UNICODE(keys)) {
        PyDictUnicodeEntry *entry = DK_UNICODE_ENTRIES(keys);
        for (Py_ssize_t i = 0; i < n; i++)
            if (entry[i].me_value != NULL && hp_holds_item(entry[i].me_value, &answer))
                return HP_KEEP;
    } else {
        PyDictKeyEntry *entry = DK_ENTRIES(keys);
        for (Py_ssize_t i = 0; i < n; i++)
            if (entry[i].me_value != NULL && (hp_holds_item(entry[i].me_value, &answer) ||
                                              hp_holds_item(entry[i].me_key, &answer)))
                return HP_KEEP;
    }
    return answer;
}

enum hp_untrack hp_untrack_items(PyObject *o)
{
    return PyTuple_CheckExact(o) ? hp_tuple(o) : hp_dict(o);
}
