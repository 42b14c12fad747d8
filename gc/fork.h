/* gc/fork.h - the heaps of the process, and what fork() does with them. */
#ifndef HEARTH_GC_FORK_H
#define HEARTH_GC_FORK_H

#include "gc/heap.h"

/* A heap that has all its parts is one of the process's, which are whole in the child of a fork. The first one
 * registers what is done then. ESYSTEM: it can not be registered. */
hearth_status hg_heaps_join(hearth_heap *heap);
/* The reverse, before it is taken apart: returns its mutators; if there are any, nothing has happened. */
int hg_heaps_leave(hearth_heap *heap);

#endif
