/* bench/numa/systems/counted-hearth.h - bench/systems/hearth.h whose collections are counted: region
 * "collect", from the moment the world stands until it runs again. */
#include "bench/numa/counted.h"

#define sys_start plain_start
#define sys_stop  plain_stop
#include "bench/systems/hearth.h"
#undef sys_start
#undef sys_stop

static void counted_begin(void *data, hearth_heap *heap, hearth_gc_kind kind)
{
    (void)data, (void)heap, (void)kind;
    na_begin("collect");
}

static void counted_end(void *data, hearth_heap *heap, const hearth_collection *collection)
{
    (void)data, (void)heap, (void)collection;
    na_end();
}

static inline bool sys_start(const struct sys_config *config)
{
    const hearth_observer observer = {.struct_size = sizeof observer,
                                      .collection_begin = counted_begin,
                                      .collection_end = counted_end};
    if (!plain_start(config))
        return false;
    na_reset();
    return hearth_observe(system_heap, &observer) == HEARTH_OK;
}

static inline void sys_stop(struct sys_report *report)
{
    if (hearth_observe(system_heap, NULL) != HEARTH_OK)
        bench_fail(1, "no observer: %s", hearth_last_error());
    plain_stop(report);
    counted_print("hearth", report->collections);
}
