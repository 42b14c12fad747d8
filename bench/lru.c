/* bench/lru.c - a cache of a million entries: each request makes nine temporary buffers, and an
 * entry that replaces another.
 *
 * The buffers have 1 to 36 words (bench/garbage.h) and are dead at once, nine for each object that is
 * kept; the entry that goes is chosen at random, as when all were used equally long ago. So most
 * garbage is young, and a steady stream of old objects dies one by one between live ones. Three
 * million requests at scale 1.
 *
 * Invariant: slot i always has a cell whose key is i and whose value is the number of the request
 * that made it; the checksum sums the values at the end. Each thread owns its cache. */
#define WORKLOAD       "lru"
#define WORKLOAD_SIZED 1

#include "bench/cell.h"
#include "bench/garbage.h"

enum { ENTRIES = 1000000, REQUESTS = 3000000, BUFFERS = 9 };

static sys_type buffer_type;

static size_t workload_live_bytes(void)
{
    return sized(ENTRIES) * (sizeof(void *) + CELL_BYTES);
}

static bool workload_start(void)
{
    garbage_start();
    return cell_register() && sys_type_buffer("buffer", &buffer_type);
}

/* What a request needs for a moment. Gives the words. */
BENCH_INLINE uint64_t temporary(sys_thread m, uint64_t turn)
{
    size_t words = garbage_size[turn % GARBAGE_SIZES];
    if (words == 0)
        words = 1;
    struct sys_buffer *buffer = sys_new_buffer(m, buffer_type, words);
    if (BENCH_UNLIKELY(buffer == NULL))
        worker_no_memory();
    buffer->count = words;
    buffer->value[words - 1] = 1;
    sys_free(m, buffer);
    return words;
}

static void request(sys_thread m, void **table, size_t i, uint64_t number)
{
    struct cell *cell = cell_new(m);
    cell->key = i;
    cell->value = number;
    void **array = *table;
    if (SYS_MANUAL && array[i] != NULL)
        sys_free(m, array[i]);
    sys_store(m, array, &array[i], cell);
}

static uint64_t check(sys_thread m, void **array, size_t entries)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < entries; i++) {
        const struct cell *cell = array[i];
        if (cell->key != i)
            bench_fail(1, "entry %zu is damaged: its key is %llu", i,
                       (unsigned long long)cell->key);
        sum += cell->value;
        sys_free(m, array[i]);
    }
    return sum;
}

static void workload_run(sys_thread m, struct worker *worker)
{
    size_t entries = sized(ENTRIES);
    uint64_t requests = scaled(worker, REQUESTS);
    uint32_t random = RANDOM_SEED;
    SYS_FRAME(m, frame, 1);
    frame.ref[0] = refs_new(m, entries);
    for (size_t i = 0; i < entries; i++)
        request(m, &frame.ref[0], i, 0);
    work_begin(m, worker);
    uint64_t words = 0, turn = 0;
    for (uint64_t number = 1; number <= requests; number++) {
        for (int i = 0; i < BUFFERS; i++)
            words += temporary(m, turn++);
        request(m, &frame.ref[0], random_index(&random, entries), number);
    }
    work_end(m, worker);
    worker->checksum = words + check(m, frame.ref[0], entries);
    sys_free(m, frame.ref[0]);
    worker->allocations = 1 + entries + requests * (1 + BUFFERS);
    worker->ops = requests;
    SYS_FRAME_END(m, frame);
}
