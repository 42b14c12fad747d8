/* bench/cache.c - an in-memory cache under random replacement, and how long each request takes.
 *
 * Each thread keeps 200 MB of blobs of 16 bytes to 4 KiB, whose sizes are log-normal (median 256
 * bytes, sigma 1); a request looks at a random entry and replaces it by a new one with a blob that
 * it fills. Two million requests a thread at scale 1. Every request is timed.
 *
 * The sizes come from integers, so that they are the same in every language: the number of ones among
 * 16 random bits is nearly normal with deviation 2, and selects a step of e^(1/2); 16 more bits
 * select a size within the step.
 *
 * Invariant: an entry's blob has `length` bytes, all equal to the low byte of its key. The checksum
 * sums keys and lengths of what was replaced. Each thread owns its cache. */
#define WORKLOAD       "cache"
#define WORKLOAD_SIZED 1

#include "bench/cell.h"

enum {
    LIVE_BYTES = 200000000, /* of a thread, at size 1                                     */
    REQUESTS = 2000000,
    STEPS = 18,
    LEAST = 16, /* bytes of a blob                                            */
    MOST = 4096
};

/* 256 e^((i - 8.5) / 2), cut to LEAST .. MOST. */
static const uint32_t step[STEPS] = {16,  16,  16,  16,   27,   44,   73,   121,  199,
                                     329, 542, 893, 1473, 2428, 4004, 4096, 4096, 4096};
static const double ways[STEPS - 1] = {1,     16,   120,  560,  1820, 4368, 8008, 11440, 12870,
                                       11440, 8008, 4368, 1820, 560,  120,  16,   1};

static sys_type buffer_type;

static size_t blob_length(uint32_t *random)
{
    uint32_t bits = random_next(random);
    unsigned i = (unsigned)__builtin_popcount(bits & 0xffff);
    return step[i] + (((step[i + 1] - step[i]) * (bits >> 16)) >> 16);
}

static size_t blob_words(size_t length)
{
    return (length + sizeof(double) - 1) / sizeof(double);
}

/* What an entry takes on the average: its slot, its cell, and its blob in cells of 16 bytes with a
 * count before it. */
static double entry_bytes(void)
{
    double sum = 0;
    for (int i = 0; i < STEPS - 1; i++)
        sum += ways[i] / 65536 * (step[i] + step[i + 1]) / 2;
    return sizeof(void *) + CELL_BYTES + sum + sizeof(struct sys_buffer) + 8;
}

static size_t cache_entries(void)
{
    double entries = LIVE_BYTES * driver_size / entry_bytes();
    return entries < 1 ? 1 : (size_t)entries;
}

static size_t workload_live_bytes(void)
{
    return (size_t)((double)cache_entries() * entry_bytes());
}

static bool workload_start(void)
{
    return cell_register() && sys_type_buffer("buffer", &buffer_type);
}

/* A new entry: key and length in a cell that refers to the blob. */
static struct cell *entry_new(sys_thread m, uint64_t key, size_t length)
{
    SYS_FRAME(m, frame, 1);
    struct sys_buffer *blob = sys_new_buffer(m, buffer_type, blob_words(length));
    if (BENCH_UNLIKELY(blob == NULL))
        worker_no_memory();
    blob->count = blob_words(length);
    memset(blob->value, (int)(key & 0xff), length);
    frame.ref[0] = blob;
    struct cell *cell = cell_new(m);
    sys_store_init(&cell->link, frame.ref[0]);
    cell->key = key;
    cell->value = length;
    SYS_FRAME_END(m, frame);
    return cell;
}

/* Looks at an entry; its share of the checksum. */
BENCH_INLINE uint64_t entry_use(const struct cell *cell)
{
    const struct sys_buffer *blob = cell->link;
    const uint8_t *bytes = (const uint8_t *)blob->value;
    if (BENCH_UNLIKELY(bytes[0] != (uint8_t)cell->key || bytes[cell->value - 1] != bytes[0] ||
                       blob->count != blob_words(cell->value)))
        bench_fail(1, "the entry of key %llu is damaged", (unsigned long long)cell->key);
    return cell->key + cell->value;
}

BENCH_INLINE uint64_t request(sys_thread m, void **table, size_t i, uint64_t key, size_t length)
{
    uint64_t sum = entry_use(((void **)*table)[i]);
    struct cell *cell = entry_new(m, key, length);
    void **array = *table;
    if (SYS_MANUAL) {
        sys_free(m, ((struct cell *)array[i])->link);
        sys_free(m, array[i]);
    }
    sys_store(m, array, &array[i], cell);
    return sum;
}

static void fill(sys_thread m, void **table, size_t entries, uint32_t *random)
{
    *table = refs_new(m, entries);
    for (size_t i = 0; i < entries; i++) {
        struct cell *cell = entry_new(m, i, blob_length(random));
        void **array = *table;
        sys_store(m, array, &array[i], cell);
    }
}

static uint64_t check(sys_thread m, void **array, size_t entries)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < entries; i++) {
        sum += entry_use(array[i]);
        sys_free(m, ((struct cell *)array[i])->link);
        sys_free(m, array[i]);
    }
    sys_free(m, array);
    return sum;
}

static void workload_run(sys_thread m, struct worker *worker)
{
    size_t entries = cache_entries();
    uint64_t requests = scaled(worker, REQUESTS);
    uint32_t random = RANDOM_SEED;
    worker->latency = calloc(1, sizeof *worker->latency);
    if (worker->latency == NULL)
        bench_fail(1, "no memory for a histogram");
    SYS_FRAME(m, frame, 1);
    fill(m, &frame.ref[0], entries, &random);
    work_begin(m, worker);
    uint64_t sum = 0, before = measure_now();
    for (uint64_t number = 0; number < requests; number++) {
        size_t i = random_index(&random, entries);
        sum += request(m, &frame.ref[0], i, entries + number, blob_length(&random));
        uint64_t now = measure_now();
        latency_add(worker->latency, now - before);
        before = now;
    }
    work_end(m, worker);
    worker->checksum = sum + check(m, frame.ref[0], entries);
    worker->allocations = 1 + 2 * (entries + requests);
    worker->ops = requests;
    SYS_FRAME_END(m, frame);
}
