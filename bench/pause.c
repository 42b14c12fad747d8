/* bench/pause.c - how long it takes until all threads stand.
 *
 * All threads but one work: they compute for about a microsecond, pass a safepoint, and allocate an
 * object every so often. The first asks for a collection five hundred times (at scale 1), a
 * millisecond after the last one; an operation is a collection, and its latency the time from the
 * request until every thread stood. hearth asks threads to come to a safepoint; bdwgc sends them signals.
 *
 * With more threads than processors a thread cannot stand before it has run: the operating system's time
 * slices decide then.
 *
 * Invariant: workers end when `finished` says so. The checksum counts collections; what the workers compute
 * is looked at but not summed, because how much they do is a matter of time. */
#define WORKLOAD "pause"

#include "bench/cell.h"

#include <time.h>

enum { COLLECTIONS = 500, EVERY = 64, STEPS = 300, INTERVAL_NS = 1000000 };

static int finished; /* atomic; written by thread 0                                         */

/* The heap is large enough that nobody else collects often. */
static size_t workload_live_bytes(void)
{
    return 16000000;
}

static bool workload_start(void)
{
    return cell_register();
}

static void work(sys_thread m)
{
    uint32_t random = RANDOM_SEED;
    SYS_FRAME(m, frame, 1);
    for (uint64_t turn = 1; !__atomic_load_n(&finished, __ATOMIC_RELAXED); turn++) {
        for (int i = 0; i < STEPS; i++)
            random_next(&random);
        sys_safepoint(m);
        if (turn % EVERY == 0) {
            struct cell *cell = cell_new(m);
            cell->key = random;
            frame.ref[0] = cell;
        }
    }
    const struct cell *last = frame.ref[0];
    if (random == 0 || (last != NULL && last->key == 0))
        bench_fail(1, "a random number is 0");
    SYS_FRAME_END(m, frame);
}

static void request(sys_thread m, struct worker *worker)
{
    const struct timespec interval = {.tv_nsec = INTERVAL_NS};
    sys_wait_begin(m);
    nanosleep(&interval, NULL);
    sys_wait_end(m);
    if (!sys_collect(m, false))
        bench_fail(1, "no collection: %s", sys_error());
    latency_add(worker->latency, sys_stopped_ns());
}

static void workload_run(sys_thread m, struct worker *worker)
{
    uint64_t collections = scaled(worker, COLLECTIONS);
    if (worker->index == 0)
        worker->latency = calloc(1, sizeof *worker->latency);
    work_begin(m, worker);
    if (worker->index == 0 && worker->latency != NULL) {
        for (uint64_t i = 0; i < collections; i++)
            request(m, worker);
        __atomic_store_n(&finished, 1, __ATOMIC_RELAXED);
    } else if (worker->index > 0) {
        work(m);
    }
    work_end(m, worker);
    if (worker->index == 0) {
        worker->checksum = collections;
        worker->ops = collections;
        worker->allocations = collections;
    }
}
