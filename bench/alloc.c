/* bench/alloc.c - allocating objects of one size that are dead at once, collections included.
 *
 * The variant is the size in bytes, from 16 to 4096, as the program asks for it; an object's first word
 * is a reference. 30 million objects at scale 1, but no more than 4 GB. In a heap of 64 MB at
 * --heap-x 2. What is freed by hand is freed at once, the best case of an allocator: it gets the same
 * cell back each time.
 *
 * Invariant: every object is zero when it is new; the checksum counts them. A thread's objects are its
 * own. */
#define WORKLOAD          "alloc"
#define WORKLOAD_VARIANTS "16", "24", "32", "64", "128", "256", "512", "1024", "2048", "4096"

#include "bench/cell.h"

enum { LIVE_BYTES = 32000000, OBJECTS = 30000000, SIZES = 10 };

static const double most_bytes = 4e9;
static const size_t size_of[SIZES] = {16, 24, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static sys_type type;

/* Nothing is alive; it only says how large the heap is. */
static size_t workload_live_bytes(void)
{
    return LIVE_BYTES;
}

static bool workload_start(void)
{
    return cell_register() && sys_type_object("object", size_of[driver_variant], 1, &type);
}

BENCH_INLINE uint64_t allocate(sys_thread m, size_t size, uint64_t count)
{
    uint64_t zero = 0;
    for (uint64_t i = 0; i < count; i++) {
        sys_region region = sys_region_begin(m);
        uint64_t *object = sys_new(m, type, size);
        if (BENCH_UNLIKELY(object == NULL))
            worker_no_memory();
        zero += object[1] == 0;
        object[1] = i + 1;
        BENCH_OPAQUE(object);
        sys_free(m, object);
        sys_region_end(m, region);
    }
    return zero;
}

#define ALLOCATE(n)                                                                                \
    case n:                                                                                        \
        return allocate(m, n, count)

/* The size is a constant in each loop, as in a program that allocates a struct. */
static uint64_t allocate_size(sys_thread m, size_t size, uint64_t count)
{
    switch (size) {
        ALLOCATE(16);
        ALLOCATE(24);
        ALLOCATE(32);
        ALLOCATE(64);
        ALLOCATE(128);
        ALLOCATE(256);
        ALLOCATE(512);
        ALLOCATE(1024);
        ALLOCATE(2048);
        ALLOCATE(4096);
    }
    return 0;
}

static void workload_run(sys_thread m, struct worker *worker)
{
    size_t size = size_of[driver_variant];
    double usual = most_bytes / (double)size;
    uint64_t count = scaled(worker, usual < OBJECTS ? usual : OBJECTS);
    work_begin(m, worker);
    worker->checksum = allocate_size(m, size, count);
    work_end(m, worker);
    if (worker->checksum != count)
        bench_fail(1, "of %llu objects only %llu were zero", (unsigned long long)count,
                   (unsigned long long)worker->checksum);
    worker->allocations = count;
    worker->ops = count;
}
