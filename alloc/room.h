/* alloc/room.h - has a memory node room left? Asked before memory is touched for the first time.
 *
 * A full node shows only when a page is touched: a preferring policy then takes the page from another node
 * and tells nobody, a strict one ends in the kernel's out-of-memory killer. So a pool asks what
 * the node has left and takes its blocks elsewhere, or fails cleanly, while that can be chosen. The
 * answer is bought in pieces: one look at the system's figures allows up to a step of bytes. Who else fills the node
 * meanwhile may make up to so much of it go elsewhere.
 * Lock: the owner's (pool->lock; the window set's for metadata). */
#ifndef HEARTH_ALLOC_ROOM_H
#define HEARTH_ALLOC_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ha_room {
    int os_node;           /* system number of the node; -1: not asked                */
    const char *directory; /* with a folder per node; tests have their own             */
    size_t credit;         /* bytes that may be touched before it is asked again       */
    size_t step;           /* most of that                                             */
    unsigned watermark;    /* 65536ths of the node that the kernel keeps free          */
    uint32_t refused_ms;   /* when it was full, 0: it was not                           */
    bool files;            /* cached files count as room                                */
};

/* Steps of a pool, and of a node's metadata. */
enum { HA_ROOM_POOL = 32 << 20, HA_ROOM_META = 1 << 20 };

/* Not asked about a node below 0. `alone`: the kernel may not take pages of other nodes instead. */
void ha_room_init(struct ha_room *room, int os_node, bool alone, size_t step);
/* True if `bytes` more may be touched, which are then taken off the credit. `now_ms`: ha_space_clock. */
bool ha_room_take(struct ha_room *room, size_t bytes, uint32_t now_ms);

#endif
