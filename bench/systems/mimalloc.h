/* bench/systems/mimalloc.h - mimalloc's mi_malloc and mi_free, from the shared library.
 *
 * Invariant: as bench/manual.h. */
#ifndef HEARTH_BENCH_SYSTEMS_MIMALLOC_H
#define HEARTH_BENCH_SYSTEMS_MIMALLOC_H

#include <mimalloc.h>

#define manual_alloc mi_malloc
#define manual_free  mi_free

#include "bench/manual.h"

#endif
