/* bench/barrier.c - storing references into objects: what the write barrier costs.
 *
 *   young   into objects made since the last collection
 *   old     into old objects, of 32 bytes, a thousand in turns
 *   array   into an old array of a million references, in order
 *   random  the same, at random
 *   range   the same in order, 64 references at a time
 *
 * 100 million stores at scale 1 (range: references), of a young object each. Between them every ten
 * million stores there is a minor collection, so that what is remembered is remembered again; its time is
 * counted, as a program would have it. Systems without a barrier store plainly: the floor.
 *
 * Invariant: at the end each slot that was stored to holds the value; the checksum counts them. Each
 * thread owns its objects. */
#define WORKLOAD          "barrier"
#define WORKLOAD_VARIANTS "young", "old", "array", "random", "range"

#include "bench/cell.h"

enum { STORES = 100000000, PERIOD = 10000000, FEW = 1000, MANY = 1000000, RANGE = 64 };
enum { YOUNG, OLD, IN_ORDER, AT_RANDOM, BY_RANGE }; /* driver_variant                             */

/* More than is alive, so that the heap has room for its nursery. */
static size_t workload_live_bytes(void)
{
    return 2 * (MANY * sizeof(void *) + FEW * CELL_BYTES);
}

static bool workload_start(void)
{
    return cell_register();
}

static bool to_cells(void)
{
    return driver_variant == YOUNG || driver_variant == OLD;
}

/* Old after two, where there are generations. */
static void collect(sys_thread m, bool full)
{
#if SYS_COLLECTS
    if (!sys_collect(m, full))
        bench_fail(1, "no collection: %s", sys_error());
#else
    (void)m, (void)full;
#endif
}

static void cells_new(sys_thread m, void **table)
{
    for (size_t i = 0; i < FEW; i++) {
        struct cell *cell = cell_new(m);
        void **array = *table;
        if (SYS_MANUAL && array[i] != NULL)
            sys_free(m, array[i]);
        sys_store(m, array, &array[i], cell);
    }
}

static void store_cells(sys_thread m, void **array, void *value, uint64_t count)
{
    for (uint64_t n = 0, i = 0; n < count; n++, i = i + 1 < FEW ? i + 1 : 0) {
        struct cell *cell = array[i];
        sys_store(m, cell, &cell->link, value);
    }
}

static void store_in_order(sys_thread m, void **array, void *value, uint64_t count)
{
    for (uint64_t n = 0, i = 0; n < count; n++, i = i + 1 < MANY ? i + 1 : 0)
        sys_store(m, array, &array[i], value);
}

static void store_at_random(sys_thread m, void **array, void *value, uint64_t count)
{
    uint32_t random = RANDOM_SEED;
    for (uint64_t n = 0; n < count; n++)
        sys_store(m, array, &array[random_index(&random, MANY)], value);
}

static void store_by_range(sys_thread m, void **array, void *value, uint64_t count)
{
    void *values[RANGE];
    for (int i = 0; i < RANGE; i++)
        values[i] = value;
    for (uint64_t n = 0, i = 0; n < count; n += RANGE, i = i + 2 * RANGE <= MANY ? i + RANGE : 0)
        sys_store_range(m, array, &array[i], values, RANGE);
}

static void store(sys_thread m, void **array, void *value, uint64_t count)
{
    if (to_cells())
        store_cells(m, array, value, count);
    else if (driver_variant == IN_ORDER)
        store_in_order(m, array, value, count);
    else if (driver_variant == AT_RANDOM)
        store_at_random(m, array, value, count);
    else
        store_by_range(m, array, value, count);
}

/* How many slots hold the value. */
static uint64_t count_stored(void **array, const struct cell *value)
{
    uint64_t count = 0;
    for (size_t i = 0; to_cells() && i < FEW; i++)
        count += ((struct cell *)array[i])->link == value;
    for (size_t i = 0; !to_cells() && i < MANY; i++)
        count += array[i] == value;
    return count;
}

static void workload_run(sys_thread m, struct worker *worker)
{
    uint64_t stores = scaled(worker, STORES), left = stores;
    SYS_FRAME(m, frame, 2); /* the array, the value */
    frame.ref[0] = refs_new(m, to_cells() ? FEW : MANY);
    if (to_cells())
        cells_new(m, &frame.ref[0]);
    collect(m, true);
    collect(m, true);
    work_begin(m, worker);
    for (uint64_t some; left > 0; left -= some) {
        some = left < PERIOD ? left : PERIOD;
        if (driver_variant == YOUNG)
            cells_new(m, &frame.ref[0]);
        struct cell *value = cell_new(m);
        sys_free(m, frame.ref[1]);
        frame.ref[1] = value;
        store(m, frame.ref[0], value, some);
        collect(m, false);
    }
    work_end(m, worker);
    worker->checksum = count_stored(frame.ref[0], frame.ref[1]);
    worker->allocations = stores / PERIOD + 1;
    worker->ops = stores;
    SYS_FRAME_END(m, frame);
}
