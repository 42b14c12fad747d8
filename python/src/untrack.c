/* python/src/untrack.c - tuples and dicts that cannot be part of a cycle leave the collector's sight.
 *
 * The rules are CPython's: a tuple all of whose items are out of sight for good, at every collection; a dict of such
 * keys and values, at full ones. The answer depends on the order in which nested tuples are asked, as it
 * does there. Called for every survivor, so it looks at the type first. Locks: the GIL; helpers only read. */
#include "collect.h"

/* May the object ever be tracked? */
HP_HOT bool hp_may_track(PyObject *o)
{
    return !hp_is_static(o) && hp_is_gc(o) && (!PyTuple_CheckExact(o) || HP_HEAD(o)->_gc_next != 0);
}

static bool hp_tuple_untrackable(PyObject *o)
{
    Py_ssize_t n = Py_SIZE(o);
    PyObject **item = ((PyTupleObject *)o)->ob_item;
    for (Py_ssize_t i = 0; i < n; i++)
        if (item[i] == NULL || hp_may_track(item[i])) /* NULL: it is being filled */
            return false;
    return true;
}

static bool hp_dict_untrackable(PyObject *o)
{
    PyDictObject *dict = (PyDictObject *)o;
    PyDictKeysObject *keys = dict->ma_keys;
    Py_ssize_t n = keys->dk_nentries;
    if (dict->ma_values != NULL) {
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject *value = dict->ma_values->values[i];
            if (value != NULL && hp_may_track(value))
                return false;
        }
    } else if (DK_IS_UNICODE(keys)) {
        PyDictUnicodeEntry *entry = DK_UNICODE_ENTRIES(keys);
        for (Py_ssize_t i = 0; i < n; i++)
            if (entry[i].me_value != NULL && hp_may_track(entry[i].me_value))
                return false;
    } else {
        PyDictKeyEntry *entry = DK_ENTRIES(keys);
        for (Py_ssize_t i = 0; i < n; i++)
            if (entry[i].me_value != NULL &&
                (hp_may_track(entry[i].me_value) || hp_may_track(entry[i].me_key)))
                return false;
    }
    return true;
}

bool hp_untrackable(PyObject *o, bool full)
{
    if (PyTuple_CheckExact(o))
        return hp_tuple_untrackable(o);
    return full && PyDict_CheckExact(o) && hp_dict_untrackable(o);
}
