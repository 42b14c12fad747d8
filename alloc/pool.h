/* alloc/pool.h - the blocks of one node: free ones, partly free ones by how free they are, chunks.
 *
 * A heap has one pool per node. A block belongs to the pool of the node its address lies in, whoever
 * allocates from it. Lock: pool->lock guards lists, chunks and the states of blocks in them; the
 * collector, with the world stopped, holds no lock but pool->ageing, which keeps the keeper out.
 * Lock order: ageing < lock < the window set's lock. The pool struct itself lies on its node, or the
 * nearest that had room. */
#ifndef HEARTH_ALLOC_POOL_H
#define HEARTH_ALLOC_POOL_H

#include <pthread.h>

#include "alloc/block.h"
#include "alloc/room.h"

/* Buckets of partly free blocks, by the share of their cells that is free; those with frozen cells, whose
 * pages are to stay as they are, by themselves. */
enum { HA_BUCKET_HALF, HA_BUCKET_QUARTER, HA_BUCKET_TENTH, HA_BUCKET_FROZEN, HA_BUCKETS };

/* How far a pool may go for blocks whose memory is not resident: nowhere but to those it has the address
 * space for; to the window for more; and the same if its node seems to be full. */
enum ha_grow { HA_GROW_NEVER, HA_GROW_ROOM, HA_GROW_ANYHOW };

struct ha_list {
    struct ha_block *head, *tail;
    size_t count;
};

struct ha_pool {
    pthread_mutex_t lock;
    pthread_mutex_t ageing; /* held while idle memory is being given back              */
    int node;               /* logical                                                 */
    void *owner;            /* the heap, as the window's slot table knows it           */
    struct ha_windows *windows;
    struct ha_chunk *chunks; /* all ordinary chunks                                     */
    struct ha_list free;     /* FREE blocks; LIFO, oldest at the tail                   */
    struct ha_list cold;     /* COLD blocks                                             */
    struct ha_list partial[HEARTH_RUNS][HA_BUCKETS];
    struct ha_block *young;       /* blocks with young or generation-1 objects               */
    struct ha_block *sweep_young; /* minor sweep: those of them that nobody has taken yet    */
    size_t young_blocks;          /* in `young`                                              */
    struct ha_chunk *sweep;       /* full sweep: the next chunk to be taken                  */
    struct ha_list large_young;   /* large objects that are not old                          */
    struct ha_list large_old;
    bool hides;           /* free memory is hidden from a memory checker             */
    size_t chunk_count;   /* ordinary chunks                                         */
    size_t used;          /* blocks in use, large objects in blocks included         */
    size_t partial_bytes; /* free bytes in the half and quarter buckets              */
    size_t large_bytes;   /* payload of large objects                                */
    struct ha_room room;  /* what its node has left                                  */
    uint32_t refused_ms;  /* clock when the window had no chunk, 0: it had (atomic)  */
    /* statistics */
    uint64_t allocated_bytes;          /* objects in blocks given back, large ones (atomic)       */
    uint64_t spilled_in;               /* blocks given to mutators of other nodes                 */
    uint64_t released;                 /* bytes given back to the system                          */
    uint64_t live_bytes, live_objects; /* at the last sweep                                       */
    struct ha_classes classes;
};

void ha_list_push(struct ha_list *list, struct ha_block *block);
void ha_list_append(struct ha_list *list, struct ha_block *block);
void ha_list_remove(struct ha_list *list, struct ha_block *block);

/* Create the pool in its node's memory. NULL: no memory (ht_fail has been called). */
struct ha_pool *ha_pool_create(struct ha_windows *windows, int node, void *owner);
/* Give every chunk back. No object may be in use; the world is the caller's. */
void ha_pool_destroy(struct ha_pool *pool);

/* A partly free block from the buckets `first` .. `last`, NULL if there is none. */
struct ha_block *ha_pool_reuse(struct ha_pool *pool, unsigned run, unsigned first, unsigned last);
/* The same, from all buckets, of the next larger size class that has one. */
struct ha_block *ha_pool_borrow(struct ha_pool *pool, unsigned run);
/* A free block made ready for the run; NULL if there is none as far as `grow` goes, or the node has no
 * memory for one that is not resident. The caller has charged the budget. */
struct ha_block *ha_pool_fresh(struct ha_pool *pool, unsigned run, enum ha_grow grow);
/* `count` <= HA_DATA_BLOCKS adjacent free blocks of one chunk; state of the first LARGE, of the others
 * TAIL. *zero tells whether their memory is known to be zero. */
struct ha_block *ha_pool_adjacent(struct ha_pool *pool, size_t count, enum ha_grow grow,
                                  bool *zero);
/* May the pool touch `bytes` more of its node's memory? */
bool ha_pool_room(struct ha_pool *pool, size_t bytes, enum ha_grow grow);

/* Collector only (world stopped, pool->lock held by the worker): a swept block back into its list. */
void ha_pool_sort(struct ha_pool *pool, struct ha_block *block);
/* The reverse: take a PARTIAL block out of its bucket (it becomes FULL). */
void ha_pool_unsort(struct ha_pool *pool, struct ha_block *block);
/* Collector or owner: block (count of them from a large object) becomes free. */
void ha_pool_free(struct ha_pool *pool, struct ha_block *block, size_t count, uint32_t now_ms);

/* Give a chunk, or the chunks of a large object, back to the window; it is in no list any more. */
void ha_pool_leave(struct ha_pool *pool, struct ha_chunk *chunk);

/* Put the block in the young list if it is not there; pool->lock is held or the world stopped. */
void ha_pool_add_young(struct ha_pool *pool, struct ha_block *block);

/* Give back the memory of blocks that have been free for keep_ms, and chunks that are wholly cold;
 * keeper thread. */
void ha_pool_age(struct ha_pool *pool, uint32_t now_ms, uint32_t keep_ms);

/* Give back the chunks in which nothing is in use, at once: for a span that finds no room. Returns how
 * many. Any thread. */
size_t ha_pool_trim(struct ha_pool *pool);

/* Invariants of lists, masks, counters and every block; world stopped. */
hearth_status ha_pool_check(struct ha_pool *pool);

#endif
