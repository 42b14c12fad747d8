/* tests/chunk_fixture.h - taking and giving chunks with every promise looked at. Any thread. */
#ifndef HEARTH_TESTS_CHUNK_FIXTURE_H
#define HEARTH_TESTS_CHUNK_FIXTURE_H

#include "tests/window_fixture.h"

/* A fresh chunk or span is aligned, in its window, in the slot table, and zero if `bytes` says so. */
static inline char *take(struct ha_windows *windows, int node, size_t count, void *owner)
{
    char *chunk = ha_chunk_take(windows, node, count, owner);
    const struct ha_slot *slot;

    if (chunk == NULL)
        return NULL;
    EXPECT((uintptr_t)chunk % HA_CHUNK == 0);
    EXPECT(ha_windows_contain(windows, (uintptr_t)chunk));
    EXPECT(ha_windows_contain(windows, (uintptr_t)chunk + count * HA_CHUNK - 1));
    EXPECT(ha_node_of(windows, (uintptr_t)chunk) == node);
    EXPECT(ha_node_of(windows, (uintptr_t)chunk + count * HA_CHUNK - 1) == node);
    slot = &windows->slot[((uintptr_t)chunk - windows->base) >> HA_CHUNK_SHIFT];
    EXPECT(slot[0].span == count);
    for (size_t i = 0; i < count; i++) {
        EXPECT(slot[i].owner == owner);
        EXPECT(slot[i].head == i);
    }
    return chunk;
}

static inline void give(struct ha_windows *windows, void *chunk)
{
    const struct ha_slot *slot =
        &windows->slot[((uintptr_t)chunk - windows->base) >> HA_CHUNK_SHIFT];
    size_t count = slot->span;

    ha_chunk_give(windows, chunk);
    for (size_t i = 0; i < count; i++)
        EXPECT(slot[i].owner == NULL);
}

static inline struct ha_window_stats stats(struct ha_windows *windows, int node)
{
    struct ha_window_stats out;

    ha_window_stats(windows, node, &out);
    return out;
}

#endif
