/* python/src/machine.h - the process's one view of the machine: nodes, windows of memory, GC workers.
 *
 * Made when first needed, because asking for the topology takes milliseconds and most programs never
 * need it; lives as long as the process. HEARTH_OPTIONS is obeyed (fake-nodes, hugepages, policy...).
 * Locks: made and used with the GIL held; after that it is read only. */
#ifndef HEARTH_PYTHON_MACHINE_H
#define HEARTH_PYTHON_MACHINE_H

#include <stdbool.h>

#include "alloc/window.h"
#include "gc/crew.h"

struct hp_machine {
    struct hearth_options options;
    struct hearth_topology *topology;
    struct ha_windows *windows;
    struct hg_crew *crew; /* NULL: not made yet (hp_machine_crew)                */
};

/* NULL: it cannot be had; hearth_last_error tells why. `huge`: ask for huge pages (decided by the
 * first caller). */
struct hp_machine *hp_machine(bool huge);
/* The machine if it has been made, else NULL. */
struct hp_machine *hp_machine_made(void);
/* Make sure there is a crew for this many workers, 0: for all processors. NULL: none. */
struct hg_crew *hp_machine_crew(struct hp_machine *machine, int workers);

#endif
