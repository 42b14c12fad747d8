/* alloc/window_state.h - what window.c, chunk.c and meta.c share about one window set.
 *
 * Invariant: every slot of a window has one kind (ha_slot_kind); the free list of a node holds
 * exactly its HA_SLOT_FREE slots; memory of free chunks and of free metadata is zero.
 * Lock order: pool lock < set lock (ha_window_state.lock) < keeper lock. No set lock is held while a
 * thread waits for the keeper.
 * Data of node i is state->node[i]; the memory it describes lies in
 * window i. */
#ifndef HEARTH_ALLOC_WINDOW_STATE_H
#define HEARTH_ALLOC_WINDOW_STATE_H

#include <mimalloc.h>
#include <pthread.h>

#include "alloc/keeper.h"
#include "alloc/room.h"
#include "alloc/window.h"

enum {
    HA_PAGE = 4096,         /* x86-64                                       */
    HA_META_MIN_SHIFT = 12, /* smallest piece of the metadata heap          */
    HA_META_MAX_SHIFT = 20, /* largest; above that whole chunks             */
    HA_META_CLASSES = HA_META_MAX_SHIFT - HA_META_MIN_SHIFT + 1,
    HA_STEP_LAZY = 2 /* reservation size to begin with where commit is scarce: 60 MiB */
};

/* What a slot is to this layer; one byte per slot in state->kind, under the set lock. */
enum ha_slot_kind {
    HA_SLOT_NONE,   /* not cut: never reserved, or before the first chunk of a reservation     */
    HA_SLOT_FREE,   /* single chunk, in the free list                                          */
    HA_SLOT_USED,   /* single chunk, taken                                                     */
    HA_SLOT_RUN,    /* taken as part of a run of single chunks                                 */
    HA_SLOT_GIVING, /* single chunk whose memory is being given back                           */
    HA_SLOT_SPAN    /* part of a span with a reservation of its own                            */
};

/* Which sets can be shared: equal layouts share one. Compared byte by byte, so zeroed first. */
struct ha_layout {
    int32_t nodes;                 /* windows                                       */
    int32_t os_node[HT_MAX_NODES]; /* system number of each                         */
    int32_t binding;               /* 'p' preferred, 'b' strict, 'i' interleave, 0: none */
    int32_t spread;                /* 'i': how many of os_node the one window is over */
    int32_t hugepages;             /* enum ht_huge                                  */
    uint64_t window;               /* bytes asked for per window, 0 = auto          */
};

_Static_assert(sizeof(struct ha_layout) == (HT_MAX_NODES + 4) * sizeof(int32_t) + sizeof(uint64_t),
               "layouts are compared byte by byte, so they have no padding");

/* A stretch of memory waiting to become metadata; the record is its first bytes. */
struct ha_meta_region {
    struct ha_meta_region *next;
    char *limit; /* its end                                       */
};

/* The metadata heap of a node (meta.c). */
struct ha_meta {
    char *cursor;                  /* bump pointer, page-aligned                    */
    char *limit;                   /* its end                                       */
    struct ha_meta_region *region; /* further stretches                             */
    void *free[HA_META_CLASSES];   /* pieces of 2^(12+i) bytes, linked by word 0    */
    size_t bytes;                  /* all stretches together                        */
    size_t used;                   /* bytes in pieces handed out                    */
    struct ha_room room;           /* what the node has left                        */
};

/* One node's chunks. Under the set lock. */
struct ha_window_node {
    uint32_t free;           /* first free slot + 1, 0: none; next in slot.head      */
    int step;                /* reservation sizes before this one are refused        */
    bool refilling;          /* a thread is waiting for the keeper for this node     */
    uint64_t failures;       /* refills that brought nothing                         */
    pthread_cond_t refilled; /* broadcast when refilling ends                        */
    size_t top;              /* slots of this window below it may have a kind        */
    size_t chunks;           /* single chunks cut                                    */
    size_t free_chunks;      /* of them, free                                        */
    size_t giving;           /* of them, being given back                            */
    size_t spans;            /* with a reservation of their own, in use              */
    size_t reserved;         /* bytes held from mimalloc                             */
    struct ha_meta meta;
};

/* A window set. Lives as long as the process once mimalloc has seen a window of it. */
struct ha_window_state {
    struct ha_windows windows;         /* the part other layers see                     */
    struct ha_layout layout;           /* table key; constant                           */
    struct ha_window_state *next;      /* table link, under the table lock              */
    int managed;                       /* windows that are arenas (creation resumes)    */
    bool ready;                        /* creation is complete                          */
    mi_arena_id_t arena[HT_MAX_NODES]; /* of each window                                */
    struct ha_keeper *keeper;
    uint8_t *kind;        /* enum ha_slot_kind per slot, mapped lazily     */
    size_t table_bytes;   /* of the mapping of slot[] and kind[]           */
    pthread_mutex_t lock; /* the set lock                                  */
    uint8_t order[HT_MAX_NODES]
                 [HT_MAX_NODES]; /* nodes by distance, itself first; by the first heap */
    struct ha_window_node node[HT_MAX_NODES];
};

/* Take the table lock; the first set of the table, NULL: there is none. And let go of it. */
struct ha_window_state *ha_table_hold(void);
void ha_table_release(void);

/* ha_windows_get with the file that tells the overcommit mode; tests pass their own. */
hearth_status ha_windows_open(struct ha_windows **out, const struct hearth_topology *topology,
                              const struct hearth_options *options, const char *overcommit);
/* True if the file says that the kernel never overcommits (mode 2). Unreadable: false. */
bool ha_overcommit_never(const char *path);
/* Running under valgrind? Known only if its header was there when hearth was built. */
bool ha_on_valgrind(void);
/* Bytes of one window to try first: a power of two. */
size_t ha_window_size(size_t option, uint64_t physical);
/* Is this version of mimalloc known to work? */
bool ha_mimalloc_known(int version);

/* The system's number of a node that is asked for room, -1: it is not, as nodes cannot be told from each other
 * or are not bound. And: may its memory come from nowhere else? */
int ha_windows_asked(const struct ha_windows *windows, int node);
bool ha_windows_strict(const struct ha_windows *windows);

/* Make [address, address + bytes) zero and not resident; page-aligned. Always succeeds. */
void ha_discard(void *address, size_t bytes);
/* Get more chunks for the node from the keeper. Called and returns with the set lock held, but lets
 * go of it. False: there are no more to get (though some may have been given back meanwhile). */
bool ha_chunk_refill(struct ha_window_state *state, int node);
/* Put a slot into its node's free list; its memory is zero and not resident. Set lock held. */
void ha_chunk_push(struct ha_window_state *state, int node, size_t slot);
/* Pop a free single chunk for `owner`, NULL if none. Set lock held. */
void *ha_chunk_pop(struct ha_window_state *state, int node, void *owner);

/* Add a zero stretch of memory, page-aligned, to the node's metadata heap. Set lock held. */
void ha_meta_add(struct ha_window_state *state, int node, char *start, char *limit);
/* Invariants of the node's metadata heap; set lock held. */
hearth_status ha_meta_check(struct ha_window_state *state, int node);

#endif
