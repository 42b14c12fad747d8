/* python/src/takeover.h - taking the place of the built-in collection, and giving it back. */
#ifndef HEARTH_PYTHON_TAKEOVER_H
#define HEARTH_PYTHON_TAKEOVER_H

#include "core.h"

/* From now on every collection of the interpreter is hearth's. Idempotent. -1 with an exception:
 * MemoryError; RuntimeError within a collection. */
int hp_install(struct hp_state *state);
/* The built-in collector is back, its list of callbacks in place. Idempotent; errors as above. */
int hp_uninstall(struct hp_state *state);
/* Call the built-in gc.collect with these arguments, hearth doing the work. NULL: its exception. */
PyObject *hp_explicit(struct hp_state *state, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *names);
/* Every entry point begins with this: lists that a lost call left hidden come back. */
void hp_unhide(struct hp_state *state);
/* The module goes away: nothing of it stays in the interpreter. */
void hp_forget(struct hp_state *state);

#endif
