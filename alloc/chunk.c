/* alloc/chunk.c - chunks cut from reservations: free lists, spans, the slot table.
 *
 * Invariant: the memory of a free chunk is zero and not resident; slot[i].owner is set exactly for
 * slots that are handed out, and is written last when taking, first when giving. A reservation for single
 * chunks is kept for ever; one for a span goes back to mimalloc with it.
 * Lock order: the set lock, which is dropped while waiting for the keeper and around madvise.
 * A node's chunks lie in its window; its lists touch no chunk, only the slot table. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/guard.h"
#include "alloc/window_state.h"
#include "topology/error.h"
#include "topology/os.h"

/* What is asked of mimalloc for single chunks, best first. With mimalloc's header of 64 KiB each fills
 * a whole number of its 32 MiB arena blocks but for one page of 4 MiB (none for the last). */
static const size_t ha_reservation_bytes[] = {(size_t)252 << 20, (size_t)124 << 20,
                                              (size_t)60 << 20, (size_t)31 << 20};

enum {
    HA_RESERVATIONS = sizeof(ha_reservation_bytes) / sizeof(ha_reservation_bytes[0]),
    HA_SPAN_MIN = 31 << 20 /* smallest own reservation: less shares a segment of mimalloc */
};

/* --- slots --------------------------------------------------------------------------------------- */

static size_t ha_slot_of(const struct ha_window_state *state, const void *chunk)
{
    return ((uintptr_t)chunk - state->windows.base) >> HA_CHUNK_SHIFT;
}

static char *ha_slot_chunk(const struct ha_window_state *state, size_t slot)
{
    return (char *)state->windows.base + (slot << HA_CHUNK_SHIFT);
}

/* First slot of the node's window. */
static size_t ha_slot_first(const struct ha_window_state *state, int node)
{
    return (size_t)node << (state->windows.shift - HA_CHUNK_SHIFT);
}

/* Hand `count` slots to `owner`. Readers that see the owner see head and span. */
static void ha_slot_own(struct ha_window_state *state, size_t slot, size_t count, void *owner,
                        enum ha_slot_kind kind)
{
    struct ha_slot *first = &state->windows.slot[slot];

    for (size_t i = 0; i < count; i++) {
        __atomic_store_n(&first[i].head, (uint32_t)i, __ATOMIC_RELAXED);
        __atomic_store_n(&first[i].span, i == 0 ? (uint32_t)count : 0, __ATOMIC_RELAXED);
        __atomic_store_n(&first[i].owner, owner, __ATOMIC_RELEASE);
    }
    memset(state->kind + slot, kind, count);
}

static void ha_slot_disown(struct ha_window_state *state, size_t slot, size_t count,
                           enum ha_slot_kind kind)
{
    for (size_t i = 0; i < count; i++)
        __atomic_store_n(&state->windows.slot[slot + i].owner, NULL, __ATOMIC_RELEASE);
    memset(state->kind + slot, kind, count);
}

/* Zero by giving the pages back. Where that is refused (locked memory), only pages that are dirty are
 * written, so that untouched ones stay untouched. */
void ha_discard(void *address, size_t bytes)
{
    static const char zero[HA_PAGE];

    if (ht_os_advise(address, bytes, MADV_DONTNEED))
        return;
    for (char *page = address; page < (char *)address + bytes; page += HA_PAGE)
        if (memcmp(page, zero, HA_PAGE) != 0)
            memset(page, 0, HA_PAGE);
}

/* --- single chunks ------------------------------------------------------------------------------- */

void ha_chunk_push(struct ha_window_state *state, int node, size_t slot)
{
    struct ha_window_node *n = &state->node[node];

    __atomic_store_n(&state->windows.slot[slot].head, n->free, __ATOMIC_RELAXED);
    state->kind[slot] = HA_SLOT_FREE;
    n->free = (uint32_t)slot + 1;
    n->free_chunks++;
}

void *ha_chunk_pop(struct ha_window_state *state, int node, void *owner)
{
    struct ha_window_node *n = &state->node[node];
    size_t slot;

    if (n->free == 0)
        return NULL;
    slot = n->free - 1;
    n->free = state->windows.slot[slot].head;
    n->free_chunks--;
    ha_slot_own(state, slot, 1, owner, HA_SLOT_USED);
    ha_guard_show(ha_slot_chunk(state, slot), HA_CHUNK);
    return ha_slot_chunk(state, slot);
}

/* Cut a reservation into chunks, lowest first in the list; what comes before the first chunk becomes
 * metadata. Set lock held; the memory is zero. */
static void ha_chunk_cut(struct ha_window_state *state, int node, char *block, size_t bytes)
{
    struct ha_window_node *n = &state->node[node];
    uintptr_t start = ((uintptr_t)block + HA_CHUNK - 1) & -(uintptr_t)HA_CHUNK;
    size_t count = ((uintptr_t)block + bytes - start) >> HA_CHUNK_SHIFT;
    size_t slot = ha_slot_of(state, (void *)start);

    for (size_t i = count; i-- > 0;)
        ha_chunk_push(state, node, slot + i);
    n->chunks += count;
    n->reserved += bytes;
    if (n->top < slot + count - ha_slot_first(state, node))
        n->top = slot + count - ha_slot_first(state, node);
    ha_meta_add(state, node, block, (char *)start);
}

/* Ask the keeper for the largest reservation the node still gives. No lock held. */
static char *ha_chunk_reserve(struct ha_window_state *state, int node, int *step)
{
    char *block = NULL;

    for (; *step < HA_RESERVATIONS; ++*step) {
        block = ha_keeper_reserve(state->keeper, node, ha_reservation_bytes[*step]);
        if (block != NULL)
            break;
    }
    if (block != NULL) { /* it may lie where a span has been */
        ha_guard_show(block, ha_on_valgrind() ? ha_reservation_bytes[*step] : 0);
        ha_discard(block, ha_reservation_bytes[*step]);
    }
    return block;
}

/* One thread at a time refills a node, the others wait for it; but the keeper itself must not wait for
 * a thread that may be waiting for the keeper. */
bool ha_chunk_refill(struct ha_window_state *state, int node)
{
    struct ha_window_node *n = &state->node[node];
    bool alone = !ha_keeper_here(state->keeper);
    uint64_t failures = n->failures;
    int step = n->step;
    char *block;

    if (alone && n->refilling) {
        while (n->refilling)
            pthread_cond_wait(&n->refilled, &state->lock);
        return n->failures == failures;
    }
    n->refilling |= alone;
    pthread_mutex_unlock(&state->lock);
    block = ha_chunk_reserve(state, node, &step);
    pthread_mutex_lock(&state->lock);
    if (block != NULL) {
        ha_chunk_cut(state, node, block, ha_reservation_bytes[step]);
        n->step = n->step < step ? step : n->step;
    } else {
        n->step = HA_RESERVATIONS - 1;
        n->failures++;
    }
    if (alone) {
        n->refilling = false;
        pthread_cond_broadcast(&n->refilled);
    }
    return block != NULL;
}

static void *ha_chunk_take_one(struct ha_window_state *state, int node, void *owner)
{
    bool more = true;
    void *chunk;

    pthread_mutex_lock(&state->lock);
    while ((chunk = ha_chunk_pop(state, node, owner)) == NULL && more)
        more = ha_chunk_refill(state, node);
    pthread_mutex_unlock(&state->lock);
    return chunk;
}

void ha_chunk_prepare(struct ha_windows *windows, int node, size_t count)
{
    struct ha_window_state *state = windows->state;

    assert(node >= 0 && node < windows->nodes);
    pthread_mutex_lock(&state->lock);
    while (state->node[node].free_chunks < count && ha_chunk_refill(state, node))
        ;
    pthread_mutex_unlock(&state->lock);
}

/* --- spans --------------------------------------------------------------------------------------- */

static size_t ha_span_reservation(size_t count)
{
    size_t bytes = (count + 1) << HA_CHUNK_SHIFT;

    return bytes < HA_SPAN_MIN ? HA_SPAN_MIN : bytes;
}

/* The record of a span's own reservation is the page before the span. */
static struct ha_reservation *ha_span_record(const void *span)
{
    return (struct ha_reservation *)((uintptr_t)span - HA_PAGE);
}

/* A span with a reservation of its own, NULL if the window has no room for one. */
static void *ha_span_take(struct ha_window_state *state, int node, size_t count, void *owner)
{
    struct ha_window_node *n = &state->node[node];
    size_t bytes = ha_span_reservation(count);
    char *block = ha_keeper_reserve(state->keeper, node, bytes);
    uintptr_t start;
    size_t slot;

    if (block == NULL)
        return NULL;
    ha_guard_show(block, ha_on_valgrind() ? bytes : 0);
    start = ((uintptr_t)block + HA_PAGE + HA_CHUNK - 1) & -(uintptr_t)HA_CHUNK;
    assert(start + (count << HA_CHUNK_SHIFT) <= (uintptr_t)block + bytes);
    ha_discard((void *)start, count << HA_CHUNK_SHIFT);
    *ha_span_record((void *)start) =
        (struct ha_reservation){.block = block,
                                .bytes = bytes,
                                .node = node,
                                .generation = ha_keeper_generation(state->keeper)};
    slot = ha_slot_of(state, (void *)start);
    pthread_mutex_lock(&state->lock);
    ha_slot_own(state, slot, count, owner, HA_SLOT_SPAN);
    n->spans++;
    n->reserved += bytes;
    if (n->top < slot + count - ha_slot_first(state, node))
        n->top = slot + count - ha_slot_first(state, node);
    pthread_mutex_unlock(&state->lock);
    return (void *)start;
}

/* The first run of `count` free single chunks, SIZE_MAX if there is none. Set lock held. */
static size_t ha_run_find(const struct ha_window_state *state, int node, size_t count)
{
    size_t first = ha_slot_first(state, node);
    size_t run = 0;

    for (size_t i = first; i < first + state->node[node].top; i++) {
        run = state->kind[i] == HA_SLOT_FREE ? run + 1 : 0;
        if (run == count)
            return i + 1 - count;
    }
    return SIZE_MAX;
}

/* Where the window is used up, a span can be had from single chunks; the free list is rebuilt. */
static void *ha_run_take(struct ha_window_state *state, int node, size_t count, void *owner)
{
    struct ha_window_node *n = &state->node[node];
    uint32_t *link = &n->free;
    void *run = NULL;
    size_t slot;

    pthread_mutex_lock(&state->lock);
    slot = n->free_chunks < count ? SIZE_MAX : ha_run_find(state, node, count);
    if (slot != SIZE_MAX) {
        while (*link != 0) {
            uint32_t *next = &state->windows.slot[*link - 1].head;

            if (*link - 1 - slot < count)
                __atomic_store_n(link, *next, __ATOMIC_RELAXED);
            else
                link = next;
        }
        n->free_chunks -= count;
        ha_slot_own(state, slot, count, owner, HA_SLOT_RUN);
        run = ha_slot_chunk(state, slot);
        ha_guard_show(run, count << HA_CHUNK_SHIFT);
    }
    pthread_mutex_unlock(&state->lock);
    return run;
}

void *ha_chunk_take(struct ha_windows *windows, int node, size_t count, void *owner)
{
    struct ha_window_state *state = windows->state;
    void *chunk = NULL;

    assert(node >= 0 && node < windows->nodes && count > 0 && owner != NULL);
    if (count == 1)
        chunk = ha_chunk_take_one(state, node, owner);
    else if (count < (size_t)1 << (windows->shift - HA_CHUNK_SHIFT))
        chunk = ha_span_take(state, node, count, owner);
    if (chunk == NULL && count > 1)
        chunk = ha_run_take(state, node, count, owner);
    if (chunk == NULL)
        errno = ENOMEM;
    return chunk;
}

/* --- giving back ----------------------------------------------------------------------------------- */

static void ha_span_give(struct ha_window_state *state, size_t slot, size_t count)
{
    void *span = ha_slot_chunk(state, slot);
    struct ha_reservation *record = ha_span_record(span);

    ha_discard(span, count << HA_CHUNK_SHIFT);
    /* Under valgrind the keeper keeps it; else mimalloc writes to it, which AddressSanitizer would see. */
    ha_guard_hide(span, ha_on_valgrind() ? count << HA_CHUNK_SHIFT : 0);
    pthread_mutex_lock(&state->lock);
    state->node[record->node].spans--;
    state->node[record->node].reserved -= record->bytes;
    pthread_mutex_unlock(&state->lock);
    ha_keeper_release(state->keeper, record);
}

static void ha_singles_give(struct ha_window_state *state, int node, size_t slot, size_t count)
{
    struct ha_window_node *n = &state->node[node];

    ha_discard(ha_slot_chunk(state, slot), count << HA_CHUNK_SHIFT);
    ha_guard_hide(ha_slot_chunk(state, slot), count << HA_CHUNK_SHIFT);
    pthread_mutex_lock(&state->lock);
    for (size_t i = count; i-- > 0;)
        ha_chunk_push(state, node, slot + i);
    n->giving -= count;
    pthread_mutex_unlock(&state->lock);
}

void ha_chunk_give(struct ha_windows *windows, void *chunk)
{
    struct ha_window_state *state = windows->state;
    int node = ha_node_of(windows, (uintptr_t)chunk);
    size_t slot = ha_slot_of(state, chunk);
    size_t count;
    bool span;

    pthread_mutex_lock(&state->lock);
    count = windows->slot[slot].span;
    span = state->kind[slot] == HA_SLOT_SPAN;
    assert(((uintptr_t)chunk & (HA_CHUNK - 1)) == 0 && windows->slot[slot].owner != NULL);
    assert(windows->slot[slot].head == 0 && count > 0);
    ha_slot_disown(state, slot, count, span ? HA_SLOT_NONE : HA_SLOT_GIVING);
    if (!span)
        state->node[node].giving += count;
    pthread_mutex_unlock(&state->lock);
    if (span)
        ha_span_give(state, slot, count);
    else
        ha_singles_give(state, node, slot, count);
}

/* --- looking at it --------------------------------------------------------------------------------- */

void ha_window_stats(struct ha_windows *windows, int node, struct ha_window_stats *out)
{
    struct ha_window_state *state = windows->state;
    struct ha_window_node *n = &state->node[node];

    pthread_mutex_lock(&state->lock);
    *out = (struct ha_window_stats){.reserved = n->reserved,
                                    .chunks = n->chunks,
                                    .free_chunks = n->free_chunks,
                                    .spans = n->spans,
                                    .meta = n->meta.used};
    pthread_mutex_unlock(&state->lock);
}

/* The free list holds free slots of the node, as many as counted. */
static hearth_status ha_check_free(struct ha_window_state *state, int node)
{
    struct ha_window_node *n = &state->node[node];
    size_t first = ha_slot_first(state, node);
    size_t count = 0;

    for (uint32_t at = n->free; at != 0; at = state->windows.slot[at - 1].head) {
        size_t slot = at - 1;

        if (slot - first >= n->top || state->kind[slot] != HA_SLOT_FREE ||
            state->windows.slot[slot].owner != NULL || ++count > n->free_chunks)
            return ht_fail(HEARTH_ECORRUPT, "free list of node %d: slot %zu is wrong", node, slot);
    }
    if (count != n->free_chunks)
        return ht_fail(HEARTH_ECORRUPT, "free list of node %d holds %zu chunks, not %zu", node,
                       count, n->free_chunks);
    return HEARTH_OK;
}

/* A taken chunk, run or span is whole; `count` gets its slots. */
static hearth_status ha_check_taken(struct ha_window_state *state, int node, size_t slot,
                                    size_t *count)
{
    const struct ha_slot *first = &state->windows.slot[slot];
    enum ha_slot_kind kind = state->kind[slot];

    *count = first->span;
    if (first->span == 0 || (kind == HA_SLOT_USED) != (first->span == 1))
        return ht_fail(HEARTH_ECORRUPT, "slot %zu begins a span of %u", slot, first->span);
    for (uint32_t i = 0; i < first->span; i++)
        if (first[i].owner != first->owner || first->owner == NULL || first[i].head != i ||
            state->kind[slot + i] != kind)
            return ht_fail(HEARTH_ECORRUPT, "slot %zu is not slot %u of the span at %zu", slot + i,
                           i, slot);
    if (kind == HA_SLOT_SPAN) {
        const struct ha_reservation *record = ha_span_record(ha_slot_chunk(state, slot));

        if (record->node != node || record->bytes != ha_span_reservation(first->span) ||
            (uintptr_t)record - (uintptr_t)record->block > HA_CHUNK)
            return ht_fail(HEARTH_ECORRUPT, "the record of the span at slot %zu is wrong", slot);
    }
    return HEARTH_OK;
}

static hearth_status ha_check_node(struct ha_window_state *state, int node)
{
    struct ha_window_node *n = &state->node[node];
    size_t end = ha_slot_first(state, node) + n->top;
    size_t singles = 0, spans = 0, step;
    hearth_status status = ha_check_free(state, node);

    for (size_t i = end - n->top; i < end && status == HEARTH_OK; i += step) {
        step = 1;
        if (state->kind[i] == HA_SLOT_NONE)
            continue;
        if (state->kind[i] != HA_SLOT_FREE && state->kind[i] != HA_SLOT_GIVING)
            status = ha_check_taken(state, node, i, &step);
        if (state->kind[i] == HA_SLOT_SPAN)
            spans++;
        else
            singles += step;
    }
    if (status == HEARTH_OK && (singles != n->chunks || spans > n->spans))
        status = ht_fail(HEARTH_ECORRUPT, "node %d has %zu chunks and %zu spans, not %zu and %zu",
                         node, singles, spans, n->chunks, n->spans);
    return status == HEARTH_OK ? ha_meta_check(state, node) : status;
}

hearth_status ha_windows_check(struct ha_windows *windows)
{
    struct ha_window_state *state = windows->state;
    hearth_status status = HEARTH_OK;

    pthread_mutex_lock(&state->lock);
    for (int i = 0; i < windows->nodes && status == HEARTH_OK; i++)
        status = ha_check_node(state, i);
    pthread_mutex_unlock(&state->lock);
    return status;
}
