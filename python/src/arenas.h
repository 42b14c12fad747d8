/* python/src/arenas.h - memory for pymalloc's arenas from hearth's windows. */
#ifndef HEARTH_PYTHON_ARENAS_H
#define HEARTH_PYTHON_ARENAS_H

#include "core.h"

/* From now on new arenas lie in the window of the node that the asking thread runs on. `huge`: advise
 * huge pages. Idempotent; `huge` counts the first time. -1: an exception is set. */
int hp_arenas_on(bool huge);
/* New arenas are the interpreter's own again. Those in use stay where they are until they are empty. */
void hp_arenas_off(void);
/* Has the machine several nodes of memory? A guess without asking for the topology. */
bool hp_arenas_useful(void);

/* hearth.stats()["arenas"]: NULL with an exception. */
PyObject *hp_arenas_stats(void);
/* A list of dicts, by node: pages of arenas on their node, on another, not there yet. */
PyObject *hp_arenas_residency(void);

/* Around fork(). */
void hp_arenas_hold(void);
void hp_arenas_release(void);

#endif
