/* hearth.h - a NUMA-aware garbage-collected heap for C: the public API in one include.
 *
 * Read in this order: heap.h (create, attach, safepoints), types.h (where references are), roots.h
 * (what keeps objects alive), alloc.h, barrier.h (storing references), collect.h; then limits.h, weak.h,
 * finalize.h, identity.h, gc.h (the control interface), inspect.h, stats.h, observe.h, leaks.h, topology.h,
 * options.h, status.h; layout.h is for JITs. C11 and C++17. */
#ifndef HEARTH_H
#define HEARTH_H

#include "hearth/status.h"
#include "hearth/options.h"
#include "hearth/types.h"
#include "hearth/layout.h"
#include "hearth/heap.h"
#include "hearth/roots.h"
#include "hearth/alloc.h"
#include "hearth/barrier.h"
#include "hearth/collect.h"
#include "hearth/limits.h"
#include "hearth/weak.h"
#include "hearth/finalize.h"
#include "hearth/identity.h"
#include "hearth/gc.h"
#include "hearth/inspect.h"
#include "hearth/stats.h"
#include "hearth/observe.h"
#include "hearth/leaks.h"
#include "hearth/topology.h"

#endif
