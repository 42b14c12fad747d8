/* alloc/meta.c - the metadata heap of a node: buffers of the collector, in the node's own memory.
 *
 * A reservation begins 64 KiB behind a 32 MiB boundary, so nearly a chunk is left over before its
 * first chunk. Pieces of 2^12 .. 2^20 bytes come from there: segregated free lists by power of two, else
 * a bump pointer; larger ones are whole chunks. Pieces are not joined again: what a class once needed
 * stays its own.
 * Invariant: free memory is zero but for the link in a free piece's first word and the record of a
 * waiting region; free pieces larger than a page are resident with one page only.
 * Lock order: the set lock. All of it lies in the window of the node it is for. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "alloc/meta.h"
#include "alloc/window_state.h"
#include "topology/error.h"
#include "topology/os.h"

/* Index of the smallest class that holds `bytes`. */
static int ha_meta_class(size_t bytes)
{
    int index = 0;

    while (((size_t)1 << (HA_META_MIN_SHIFT + index)) < bytes)
        index++;
    return index;
}

static size_t ha_meta_size(int index)
{
    return (size_t)1 << (HA_META_MIN_SHIFT + index);
}

static void ha_meta_push(struct ha_meta *meta, int index, void *piece)
{
    *(void **)piece = meta->free[index];
    meta->free[index] = piece;
}

static void *ha_meta_pop(struct ha_meta *meta, int index)
{
    void **piece = meta->free[index];

    if (piece != NULL) {
        meta->free[index] = *piece;
        *piece = NULL;
    }
    return piece;
}

void ha_meta_add(struct ha_window_state *state, int node, char *start, char *limit)
{
    struct ha_meta *meta = &state->node[node].meta;
    struct ha_meta_region *region = (struct ha_meta_region *)start;

    if (limit - start < HA_PAGE)
        return;
    region->next = meta->region;
    region->limit = limit;
    meta->region = region;
    meta->bytes += (size_t)(limit - start);
}

/* Cut what the bump pointer has left into free pieces, then bump in the next region. */
static void ha_meta_next(struct ha_meta *meta)
{
    struct ha_meta_region *region = meta->region;

    for (int i = HA_META_CLASSES - 1; i >= 0; i--)
        while ((size_t)(meta->limit - meta->cursor) >= ha_meta_size(i)) {
            ha_meta_push(meta, i, meta->cursor);
            meta->cursor += ha_meta_size(i);
        }
    meta->region = region->next;
    meta->cursor = (char *)region;
    meta->limit = region->limit;
    *region = (struct ha_meta_region){0};
}

/* Find or get another region. Set lock held, dropped while waiting. */
static bool ha_meta_grow(struct ha_window_state *state, int node)
{
    struct ha_window_node *n = &state->node[node];
    bool more = true;
    char *chunk;

    while (n->meta.region == NULL) {
        chunk = ha_chunk_pop(state, node, state);
        if (chunk != NULL)
            ha_meta_add(state, node, chunk, chunk + HA_CHUNK);
        else if (!more)
            return false;
        else
            more = ha_chunk_refill(state, node);
    }
    ha_meta_next(&n->meta);
    return true;
}

static void *ha_meta_take_piece(struct ha_window_state *state, int node, int index)
{
    struct ha_meta *meta = &state->node[node].meta;
    void *piece;

    pthread_mutex_lock(&state->lock);
    for (;;) {
        piece = ha_meta_pop(meta, index);
        if (piece == NULL && (size_t)(meta->limit - meta->cursor) >= ha_meta_size(index)) {
            piece = meta->cursor;
            meta->cursor += ha_meta_size(index);
        }
        if (piece != NULL || !ha_meta_grow(state, node))
            break;
    }
    if (piece != NULL)
        meta->used += ha_meta_size(index);
    pthread_mutex_unlock(&state->lock);
    return piece;
}

void *ha_meta_take(struct ha_windows *windows, int node, size_t bytes)
{
    void *piece = NULL;

    assert(node >= 0 && node < windows->nodes && bytes > 0);
    if (bytes <= ha_meta_size(HA_META_CLASSES - 1))
        piece = ha_meta_take_piece(windows->state, node, ha_meta_class(bytes));
    else if (bytes <= windows->bytes)
        piece =
            ha_chunk_take(windows, node, (bytes + HA_CHUNK - 1) >> HA_CHUNK_SHIFT, windows->state);
    if (piece == NULL)
        errno = ENOMEM;
    return piece;
}

void ha_meta_give(struct ha_windows *windows, int node, void *block, size_t bytes)
{
    struct ha_window_state *state = windows->state;
    int index;

    if (block == NULL)
        return;
    assert(node == ha_node_of(windows, (uintptr_t)block));
    if (bytes > ha_meta_size(HA_META_CLASSES - 1)) {
        ha_chunk_give(windows, block);
        return;
    }
    index = ha_meta_class(bytes);
    if (index == 0)
        memset(block, 0, HA_PAGE); /* its link keeps it resident anyway */
    else
        ha_discard(block, ha_meta_size(index));
    pthread_mutex_lock(&state->lock);
    ha_meta_push(&state->node[node].meta, index, block);
    state->node[node].meta.used -= ha_meta_size(index);
    pthread_mutex_unlock(&state->lock);
}

/* May the node's memory be touched for a piece? One that was handed out before may be resident: not asked is only
 * for pages that surely are. */
static bool ha_meta_room(struct ha_window_state *state, int node, size_t bytes)
{
    struct ha_meta *meta = &state->node[node].meta;

    pthread_mutex_lock(&state->lock);
    bool room = (bytes <= HA_PAGE && meta->free[0] != NULL) ||
                ha_room_take(&meta->room, bytes, (uint32_t)(ht_os_now() / 1000000u));
    pthread_mutex_unlock(&state->lock);
    return room;
}

void *ha_meta_near(struct ha_windows *windows, int node, size_t bytes)
{
    struct ha_window_state *state = windows->state;
    const uint8_t *order = state->order[node];
    void *piece = NULL;

    if (ha_windows_strict(windows))
        return ha_meta_take(windows, node, bytes);
    for (int i = 0; i < windows->nodes && piece == NULL; i++)
        if (ha_meta_room(state, order[i], bytes))
            piece = ha_meta_take(windows, order[i], bytes);
    for (int i = 0; i < windows->nodes && piece == NULL; i++)
        piece = ha_meta_take(windows, order[i], bytes);
    return piece;
}

void ha_meta_back(struct ha_windows *windows, void *memory, size_t bytes)
{
    if (memory != NULL)
        ha_meta_give(windows, ha_node_of(windows, (uintptr_t)memory), memory, bytes);
}

hearth_status ha_meta_check(struct ha_window_state *state, int node)
{
    struct ha_meta *meta = &state->node[node].meta;
    size_t total = (size_t)(meta->limit - meta->cursor) + meta->used;

    for (int i = 0; i < HA_META_CLASSES; i++)
        for (void **piece = meta->free[i]; piece != NULL; piece = *piece) {
            total += ha_meta_size(i);
            if (((uintptr_t)piece & (HA_PAGE - 1)) != 0 || total > meta->bytes ||
                piece[1] != NULL || !ha_windows_contain(&state->windows, (uintptr_t)piece) ||
                ha_node_of(&state->windows, (uintptr_t)piece) != node)
                return ht_fail(HEARTH_ECORRUPT,
                               "metadata of node %d: free piece %p of %zu is wrong", node,
                               (void *)piece, ha_meta_size(i));
        }
    for (struct ha_meta_region *region = meta->region; region != NULL; region = region->next)
        total += (size_t)(region->limit - (char *)region);
    if (total != meta->bytes)
        return ht_fail(HEARTH_ECORRUPT, "metadata of node %d: %zu bytes found of %zu", node, total,
                       meta->bytes);
    return HEARTH_OK;
}
