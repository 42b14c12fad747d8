/* python/src/api.h - the tables of functions that make up the module. */
#ifndef HEARTH_PYTHON_API_H
#define HEARTH_PYTHON_API_H

#include "core.h"

extern PyMethodDef hp_gc_functions[];      /* gc: control (api.c)                        */
extern PyMethodDef hp_object_functions[];  /* gc: objects (objects.c)                    */
extern PyMethodDef hp_control_functions[]; /* hearth's own (control.c)                   */

/* The layout of this interpreter is the one this file was compiled for; else ImportError, -1. */
int hp_selfcheck(struct hp_state *state, PyObject *gc_module);

/* hearth.stats() (stats.c). */
PyObject *hp_stats(PyObject *module, PyObject *nothing);

#endif
