/* bench/old-young.c - a large old table whose entries are replaced at random by fresh objects.
 *
 * `array`: an array of a million references; an update makes a cell and stores it in a random slot.
 * `hash`: the same through a hash table with chains; an update finds a random key's entry and gives
 * it a fresh cell, so that the stores go to small old objects and not to a large one. Ten million
 * updates at scale 1. Nearly everything that is young survives for long, which no generational
 * collector expects: it is their worst case.
 *
 * The checksum sums what all cells hold at the end; a cell's value is the number of the update that
 * made it, so a lost or stale one changes the sum. Finally every slot must have its own key.
 *
 * Invariant: slot i of the array, or the entry of key i, always has a cell whose key is i. Each
 * thread owns its table. */
#define WORKLOAD          "old-young"
#define WORKLOAD_VARIANTS "array", "hash"
#define WORKLOAD_SIZED    1

#include "bench/cell.h"

enum { ENTRIES = 1000000, UPDATES = 10000000, ARRAY_VARIANT = 0, MULTIPLIER = 1327217885 };

/* Of the hash table. */
struct entry {
    void *next;   /* struct entry *: of the same bucket                                 */
    void *value;  /* struct cell *                                                      */
    uint64_t key; /* 0 .. entries - 1                                                   */
};

static sys_type entry_type;

/* Buckets: the power of two that is at least the number of entries. */
static unsigned bucket_bits(size_t entries)
{
    unsigned bits = 1;
    while (((size_t)1 << bits) < entries)
        bits++;
    return bits;
}

/* Knuth's multiplicative hash, of 31 bits. */
BENCH_INLINE size_t bucket_of(uint64_t key, unsigned bits)
{
    return (size_t)((key * MULTIPLIER & 0x7fffffffu) >> (31 - bits));
}

BENCH_INLINE struct cell *fresh(sys_thread m, uint64_t key, uint64_t value)
{
    struct cell *cell = cell_new(m);
    cell->key = key;
    cell->value = value;
    return cell;
}

static uint64_t cell_check(const struct cell *cell, uint64_t key)
{
    if (cell == NULL || cell->key != key || cell->link != NULL)
        bench_fail(1, "the cell of key %llu is damaged", (unsigned long long)key);
    return cell->value;
}

static void array_build(sys_thread m, void **table, size_t entries)
{
    *table = refs_new(m, entries);
    for (size_t i = 0; i < entries; i++) {
        struct cell *cell = fresh(m, i, 0);
        void **array = *table;
        sys_store(m, array, &array[i], cell);
    }
}

static void array_update(sys_thread m, void **table, size_t entries, uint64_t updates)
{
    uint32_t random = RANDOM_SEED;
    for (uint64_t u = 1; u <= updates; u++) {
        size_t i = random_index(&random, entries);
        struct cell *cell = fresh(m, i, u);
        void **array = *table;
        if (SYS_MANUAL)
            sys_free(m, array[i]);
        sys_store(m, array, &array[i], cell);
    }
}

static uint64_t array_check(sys_thread m, void **table, size_t entries)
{
    void **array = *table;
    uint64_t sum = 0;
    for (size_t i = 0; i < entries; i++) {
        sum += cell_check(array[i], i);
        sys_free(m, array[i]);
    }
    sys_free(m, array);
    return sum;
}

static void hash_build(sys_thread m, void **table, size_t entries)
{
    unsigned bits = bucket_bits(entries);
    *table = refs_new(m, (size_t)1 << bits);
    SYS_FRAME(m, frame, 1);
    for (size_t i = 0; i < entries; i++) {
        frame.ref[0] = fresh(m, i, 0);
        struct entry *entry = sys_new(m, entry_type, sizeof *entry);
        if (entry == NULL)
            worker_no_memory();
        void **buckets = *table, **bucket = &buckets[bucket_of(i, bits)];
        sys_store_init(&entry->next, *bucket);
        sys_store_init(&entry->value, frame.ref[0]);
        entry->key = i;
        sys_store(m, buckets, bucket, entry);
    }
    SYS_FRAME_END(m, frame);
}

static void hash_update(sys_thread m, void **table, size_t entries, uint64_t updates)
{
    unsigned bits = bucket_bits(entries);
    uint32_t random = RANDOM_SEED;
    for (uint64_t u = 1; u <= updates; u++) {
        uint64_t key = random_index(&random, entries);
        struct cell *cell = fresh(m, key, u);
        void **buckets = *table;
        struct entry *entry = buckets[bucket_of(key, bits)];
        while (entry->key != key)
            entry = entry->next;
        if (SYS_MANUAL)
            sys_free(m, entry->value);
        sys_store(m, entry, &entry->value, cell);
    }
}

static uint64_t hash_check(sys_thread m, void **table, size_t entries)
{
    unsigned bits = bucket_bits(entries);
    void **buckets = *table;
    uint64_t sum = 0;
    size_t count = 0;
    for (size_t b = 0; b < (size_t)1 << bits; b++) {
        for (struct entry *entry = buckets[b], *next; entry != NULL; entry = next, count++) {
            next = entry->next;
            sum += cell_check(entry->value, entry->key);
            sys_free(m, entry->value);
            sys_free(m, entry);
        }
    }
    if (count != entries)
        bench_fail(1, "the hash table has %zu entries, not %zu", count, entries);
    sys_free(m, buckets);
    return sum;
}

static size_t workload_live_bytes(void)
{
    size_t entries = sized(ENTRIES);
    if (driver_variant == ARRAY_VARIANT)
        return entries * (sizeof(void *) + CELL_BYTES);
    return ((size_t)1 << bucket_bits(entries)) * sizeof(void *) + entries * 2 * CELL_BYTES;
}

static bool workload_start(void)
{
    return cell_register() && sys_type_object("entry", sizeof(struct entry), 3, &entry_type);
}

static void workload_run(sys_thread m, struct worker *worker)
{
    size_t entries = sized(ENTRIES);
    uint64_t updates = scaled(worker, UPDATES);
    bool array = driver_variant == ARRAY_VARIANT;
    SYS_FRAME(m, frame, 1);
    (array ? array_build : hash_build)(m, &frame.ref[0], entries);
    work_begin(m, worker);
    (array ? array_update : hash_update)(m, &frame.ref[0], entries, updates);
    work_end(m, worker);
    worker->checksum = (array ? array_check : hash_check)(m, &frame.ref[0], entries);
    worker->allocations = updates + entries * (array ? 1 : 2) + 1;
    worker->ops = updates;
    SYS_FRAME_END(m, frame);
}
