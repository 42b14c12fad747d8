/* alloc/hole.c - finding holes in a block's metadata and zeroing runs.
 *
 * A hole begins at a cell whose mark is 0 and ends before the next marked cell. 64 metadata bytes are
 * tested at once with SSE2 (the search of Whippet's nofl space, arXiv 2503.16971, on bytes).
 * Allocation in a block goes in address order, so that "below the frontier or marked" is the test
 * for "allocated": young objects need no mark. No locks: the block is the mutator's. */
#include "alloc/hole.h"

#include <string.h>

#include "alloc/scan.h"
#include "topology/error.h"

/* The next hole at or behind *granule: [*from, *to) in bytes; false: none. */
static bool ha_next_hole(const struct ha_block *block, const uint64_t *starts, uint32_t *granule,
                         char **from, char **to)
{
    const uint8_t *meta = ha_block_meta(block);
    unsigned at = *granule, end = block->end;
    if (at >= end)
        return false;
    unsigned word = at / 64, words = (end + 63) / 64;
    uint64_t set = ha_nonzero64(meta + 64 * word);
    uint64_t found = ~set & starts[word] & (~(uint64_t)0 << (at % 64));
    while (found == 0) {
        if (++word >= words)
            return false;
        set = ha_nonzero64(meta + 64 * word);
        found = ~set & starts[word];
    }
    unsigned first = word * 64 + (unsigned)__builtin_ctzll(found), last = end;
    found = set & (~(uint64_t)0 << (first % 64));
    while (found == 0 && ++word < words)
        found = ha_nonzero64(meta + 64 * word);
    if (found != 0 && word * 64 + (unsigned)__builtin_ctzll(found) < end)
        last = word * 64 + (unsigned)__builtin_ctzll(found);
    *granule = last;
    *from = ha_cell_at(block, first);
    *to = ha_cell_at(block, last);
    return true;
}

/* Small runs by 16-byte stores: a variable-size memset of a few cells costs more than the cells, and so does the string
 * instruction that the compiler would make of the loop. The smallest without a loop: how many cells a hole has is what
 * no processor can predict. */
static inline void ha_zero(char *from, size_t bytes)
{
    const __m128i zero = _mm_setzero_si128();
    if (bytes > 512) {
        memset(from, 0, bytes);
        return;
    }
    if (bytes <= 64) {
        size_t last = bytes - 16, second = last < 16 ? last : 16, third = last < 32 ? last : 32;
        _mm_storeu_si128((__m128i *)(void *)from, zero);
        _mm_storeu_si128((__m128i *)(void *)(from + second), zero);
        _mm_storeu_si128((__m128i *)(void *)(from + third), zero);
        _mm_storeu_si128((__m128i *)(void *)(from + last), zero);
        return;
    }
    for (size_t i = 0; i < bytes; i += 16) {
        _mm_storeu_si128((__m128i *)(void *)(from + i), zero);
        __asm__ volatile("" ::: "memory");
    }
}

/* A block of larger cells than the run's: each hole is one cell, of which the run uses the first part. */
static inline bool ha_borrowed(const struct ha_block *block, unsigned k)
{
    return __builtin_expect(block->size_class != k / 2, 0);
}

/* Bytes of cells made ready and not allocated yet. */
static inline size_t ha_hole_left(const struct ha_hole *hole, const struct hearth_run *run,
                                  unsigned k)
{
    if (hole->block != NULL && ha_borrowed(hole->block, k) && run->cursor == run->limit)
        return 0;
    return (size_t)(hole->ready - run->cursor);
}

/* The block is the collector's again. What was allocated in it is counted here, once a block: runs can
 * be as short as a cell, and the counter is shared. */
static void ha_run_drop(struct ha_hole *hole, struct hearth_run *run, char *frontier)
{
    struct ha_block *block = hole->block;
    uint64_t *allocated = &ha_chunk_of(block)->pool->allocated_bytes;
    __atomic_fetch_add(allocated, hole->bytes, __ATOMIC_RELAXED);
    /* Others may look (gc/object.c): who finds the hole or the run empty finds the state changed. */
    __atomic_store_n(&block->frontier, frontier, __ATOMIC_RELAXED);
    __atomic_store_n(&block->state, HA_FULL, __ATOMIC_RELEASE);
    __atomic_store_n(&hole->block, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&run->cursor, NULL, __ATOMIC_RELEASE);
    run->limit = NULL;
    hole->end = hole->ready = NULL;
    hole->bytes = 0;
}

/* Checkers and option poison: free memory is looked at before it is handed out. */
static __attribute__((noinline)) void ha_run_checked(struct ha_allocator *allocator,
                                                     struct ha_hole *hole, struct hearth_run *run)
{
    const struct ha_block *block = hole->block;
    if (allocator->space->exact)
        run->limit = run->cursor + block->cell;
    ha_guard_ready(allocator->space, run->cursor, (size_t)(run->limit - run->cursor),
                   block->stamp != 0);
}

bool ha_run_step(struct ha_allocator *allocator, unsigned k)
{
    struct ha_hole *hole = &allocator->hole[k];
    struct hearth_run *run = &allocator->run[k];
    if (run->limit == hole->ready || ha_borrowed(hole->block, k))
        return false;
    ha_run_checked(allocator, hole, run);
    return true;
}

/* A run of one cell, the one at `from`, in a block of larger ones. */
static __attribute__((noinline)) size_t ha_run_borrowed(struct ha_allocator *allocator, unsigned k,
                                                        char *from)
{
    struct ha_hole *hole = &allocator->hole[k];
    struct hearth_run *run = &allocator->run[k];
    const struct ha_block *block = hole->block;
    size_t bytes = block->cell;
    hole->end = hole->ready = from + bytes;
    hole->granule = (uint32_t)((size_t)(hole->end - ha_cell_at(block, 0)) / HEARTH_GRANULE);
    if (allocator->space->checked)
        ha_guard_ready(allocator->space, from, bytes, block->stamp != 0);
    else if (!block->stamp)
        memset(from, 0, bytes);
    run->cursor = from;
    run->limit = from + ha_class_cell(k / 2);
    hole->bytes += (uint32_t)bytes;
    allocator->bytes += bytes;
    allocator->objects++;
    return bytes;
}

size_t ha_run_next(struct ha_allocator *allocator, unsigned k)
{
    struct ha_hole *hole = &allocator->hole[k];
    struct hearth_run *run = &allocator->run[k];
    struct ha_block *block = hole->block;
    char *from, *to;
    if (block == NULL)
        return 0;
    if (hole->ready < hole->end) {
        from = hole->ready;
        to = hole->end;
    } else {
        const struct ha_pool *pool = ha_chunk_of(block)->pool;
        const uint64_t *starts = pool->classes.of[block->size_class].starts;
        if (!ha_next_hole(block, starts, &hole->granule, &from, &to)) {
            ha_run_drop(hole, run, ha_block_start(block) + HA_BLOCK);
            return 0;
        }
        hole->end = to;
    }
    if (ha_borrowed(block, k))
        return ha_run_borrowed(allocator, k, from);
    if ((size_t)(to - from) > HA_RUN_BYTES) {
        size_t cells = HA_RUN_BYTES / block->cell;
        to = from + (cells == 0 ? 1 : cells) * block->cell;
    }
    if (allocator->portion != 0 && (size_t)(to - from) > (size_t)allocator->portion * block->cell)
        to = from + (size_t)allocator->portion * block->cell;
    size_t bytes = (size_t)(to - from);
    run->cursor = from;
    run->limit = hole->ready = to;
    if (__builtin_expect(allocator->space->checked, 0))
        ha_run_checked(allocator, hole, run);
    else if (!block->stamp)
        ha_zero(from, bytes);
    hole->bytes += (uint32_t)bytes;
    allocator->bytes += bytes;
    allocator->objects += ((uint64_t)bytes * block->reciprocal) >> 32; /* cells */
    return bytes;
}

void ha_run_hold(struct ha_allocator *allocator, unsigned k, struct ha_block *block)
{
    struct ha_hole *hole = &allocator->hole[k];
    __atomic_store_n(&block->run, (uint16_t)k, __ATOMIC_RELAXED);
    hole->block = block;
    hole->granule = HA_FIRST_GRANULE;
    hole->end = hole->ready = NULL;
    hole->bytes = 0;
    allocator->run[k].cursor = allocator->run[k].limit = NULL;
}

uint64_t ha_allocator_left(const struct ha_allocator *allocator)
{
    uint64_t cells = 0;
    for (unsigned k = 0; k < HEARTH_RUNS; k++) {
        size_t left = ha_hole_left(&allocator->hole[k], &allocator->run[k], k);
        if (left != 0)
            cells += left / allocator->hole[k].block->cell;
    }
    return cells;
}

uint64_t ha_allocator_recall(struct ha_allocator *allocator)
{
    uint64_t cells = 0;
    for (unsigned k = 0; k < HEARTH_RUNS; k++) {
        struct hearth_run *run = &allocator->run[k];
        struct ha_hole *hole = &allocator->hole[k];
        size_t left = ha_hole_left(hole, run, k);
        if (left == 0)
            continue;
        char *end = ha_borrowed(hole->block, k) ? hole->ready : run->limit;
        if (allocator->space->poison && !hole->block->stamp) /* as it was before */
            memset(run->cursor, HA_POISON, (size_t)(end - run->cursor));
        cells += left / hole->block->cell;
        allocator->bytes -= left;
        hole->bytes -= (uint32_t)left;
        run->limit = hole->ready = run->cursor;
    }
    allocator->objects -= cells;
    return cells;
}

void ha_allocator_flush(struct ha_allocator *allocator)
{
    for (unsigned k = 0; k < HEARTH_RUNS; k++) {
        struct ha_hole *hole = &allocator->hole[k];
        struct hearth_run *run = &allocator->run[k];
        struct ha_block *block = hole->block;
        if (block == NULL)
            continue;
        size_t left = ha_hole_left(hole, run, k);
        allocator->bytes -= left;
        allocator->objects -= left / block->cell;
        hole->bytes -= (uint32_t)left;
        ha_run_drop(hole, run, run->cursor != NULL ? hole->ready - left : ha_block_start(block));
    }
}

/* A borrowed block: its present cell is used up, or not begun, or was recalled. */
static bool ha_borrowed_right(const struct ha_hole *hole, const struct hearth_run *run, unsigned k)
{
    uint32_t cell = hole->block->cell;
    if (hole->block->size_class < k / 2 || hole->ready > hole->end)
        return false;
    if (hole->ready != hole->end)
        return run->cursor == hole->ready && run->cursor == run->limit &&
               hole->end == run->cursor + cell;
    return run->limit == hole->end - cell + ha_class_cell(k / 2) &&
           (run->cursor == run->limit || run->cursor == hole->end - cell);
}

/* One held block: the run lies in its hole, cut at cells. */
static bool ha_hole_right(const struct ha_hole *hole, const struct hearth_run *run, unsigned k)
{
    const struct ha_block *block = hole->block;
    if (block == NULL)
        return run->cursor == NULL && run->limit == NULL && hole->end == NULL &&
               hole->ready == NULL;
    if (block->state != HA_CURRENT || !block->young || block->frontier != NULL || block->run != k ||
        block->kind != (k & 1) || hole->granule < HA_FIRST_GRANULE || hole->granule > block->end)
        return false;
    if (run->cursor == NULL)
        return run->limit == NULL && hole->end == NULL && hole->bytes == 0;
    if (hole->end != ha_cell_at(block, hole->granule))
        return false;
    if (ha_borrowed(block, k))
        return ha_borrowed_right(hole, run, k);
    const char *first = ha_block_start(block) + HEARTH_HEADER;
    return run->cursor >= first && run->cursor <= run->limit && run->limit <= hole->ready &&
           hole->ready <= hole->end && (size_t)(run->cursor - first) % block->cell == 0 &&
           (size_t)(run->limit - first) % block->cell == 0;
}

hearth_status ha_allocator_check(const struct ha_allocator *allocator)
{
    for (unsigned k = 0; k < HEARTH_RUNS; k++) {
        const struct hearth_run *run = &allocator->run[k];
        const char *at = run->cursor;
        if (!ha_hole_right(&allocator->hole[k], run, k))
            return ht_fail(HEARTH_ECORRUPT, "run %u: %p to %p in a hole that ends at %p", k,
                           (void *)run->cursor, (void *)run->limit, (void *)allocator->hole[k].end);
        while (at < run->limit && *at == 0)
            at++;
        if (at < run->limit)
            return ht_fail(HEARTH_ECORRUPT, "run %u: byte %p is not zero", k, (const void *)at);
    }
    return HEARTH_OK;
}
