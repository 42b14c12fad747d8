/* bench/systems/malloc.h - the C library's malloc and free.
 *
 * Invariant: as bench/manual.h. */
#ifndef HEARTH_BENCH_SYSTEMS_MALLOC_H
#define HEARTH_BENCH_SYSTEMS_MALLOC_H

#include <stdlib.h>

#define manual_alloc malloc
#define manual_free  free

#include "bench/manual.h"

#endif
