/* bench/numa/systems/counted-bdwgc.h - bench/systems/bdwgc.h whose collections are counted: region "collect".
 *
 * From the start of marking to the end of a collection the mutators stand still, so that whatever the
 * process accesses then is the collector's (tag or no tag). What it sweeps lazily, while the program
 * allocates, is not in it. */
#include "bench/numa/counted.h"

#define sys_start plain_start
#define sys_stop  plain_stop
#include "bench/systems/bdwgc.h"
#undef sys_start
#undef sys_stop

static void counted_event(GC_EventType event)
{
    if (event == GC_EVENT_MARK_START)
        na_begin("collect");
    bdwgc_event(event);
    if (event == GC_EVENT_END)
        na_end();
}

static inline bool sys_start(const struct sys_config *config)
{
    if (!plain_start(config))
        return false;
    na_reset();
    GC_set_on_collection_event(counted_event);
    return true;
}

static inline void sys_stop(struct sys_report *report)
{
    plain_stop(report);
    counted_print("bdwgc", report->collections);
}
