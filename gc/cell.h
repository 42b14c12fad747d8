/* gc/cell.h - cells: objects with a slot that is not traced, and the registry that knows them.
 *
 * A weak reference, an ephemeron or an entry of a weak table is an object of a built-in type whose first slot
 * is weak. Its address is registered: in a buffer of its mutator, and from the next collection on in lists of
 * the heap. Invariants (hg_cells_check): a cell whose weak slot is not NULL is registered exactly once, any
 * other at most once; the `old` part holds only old cells whose weak slots hold old objects or foreign
 * addresses, so that minor collections need not look at it; after a collection a weak slot leads to
 * marked objects only. A weak slot, once NULL, stays so.
 *
 * Lock: buffers are their mutators', lists are used with the world stopped or under heap->lock; `lock` guards
 * the registration of the types and is a leaf but for types->lock. Node: buffers are plain memory. */
#ifndef HEARTH_GC_CELL_H
#define HEARTH_GC_CELL_H

#include <pthread.h>

#include "gc/remember.h"
#include "hearth/weak.h"

struct hg_mutator;
struct ha_block;

enum hg_cell_kind {
    HG_CELL_NONE,      /* not a cell                                                */
    HG_CELL_WEAK,      /* weak reference, cleared before finalizers are looked for  */
    HG_CELL_LONG,      /* cleared after resurrection                                */
    HG_CELL_KEY,       /* entry of a table with weak keys                           */
    HG_CELL_VALUE,     /* entry of a table with weak values                         */
    HG_CELL_EPHEMERON, /* from here on: `other` is traced if `weak` lives           */
    HG_CELL_ENTRY,     /* entry of a table of ephemerons                            */
    HG_CELL_TABLE,     /* no cell: the table                                        */
    HG_CELL_BUCKETS,   /* no cell: its array                                        */
    HG_CELL_KINDS
};

/* Cells are registered in two groups. A collection sorts them into parts; see cell_clear.c. */
enum { HG_CELLS_WEAK, HG_CELLS_EPHEMERON, HG_CELLS_GROUPS };
enum { HG_CELLS_YOUNG, HG_CELLS_OLD, HG_CELLS_UNSETTLED, HG_CELLS_PARTS };
enum { HG_CELLS_SPARE = HG_CELLS_PARTS - 1 }; /* chunks */

struct hg_cell {
    void *weak;  /* target, key, or the value of a table with weak values; NULL: cleared       */
    void *other; /* data, value, or the key of a table with weak values                        */
    union {
        hearth_weak_fn *fn; /* weak reference: callback, until it has been called            */
        uintptr_t link;     /* ephemeron: 1 | the next with this key; 0: not being watched   */
    };
};

struct hg_table;

/* An entry of a weak table: a cell in a chain. */
struct hg_table_entry {
    struct hg_cell cell;
    struct hg_table_entry *next;
    struct hg_table *table; /* whose it is                                               */
    uint64_t hash;          /* of the key                                                */
};

/* A weak table. `entries` are all that are linked; `dead` those of them that a collection has cleared. */
struct hg_table {
    void **buckets;         /* array of references to entries; a power of two            */
    uint64_t entries, dead; /* dead: counted by the collector                            */
    uint32_t kind;          /* enum hearth_table_kind                                    */
    uint32_t visitors;      /* hearth_table_each that are under way                      */
    hearth_hash_fn *hash;   /* NULL: by identity                                         */
    hearth_equal_fn *equal;
    void *data;
};

struct hg_mutator;

enum hg_cell_pass {
    HG_CELL_SHORT, /* weak references and weak values: before finalizers                   */
    HG_CELL_REST   /* what survives resurrection                                            */
};

/* Keys of reached ephemerons that have not been reached; see ephemeron.c. */
struct hg_watched {
    uintptr_t first; /* of the key's ephemerons (atomic)                                  */
    uintptr_t value; /* the value of the only one, tagged; see ephemeron.c (atomic)       */
};
struct hg_watch {
    struct hg_watched *key;  /* by block and cell                                         */
    size_t keys, used;       /* mapped, given to blocks                                   */
    struct ha_block *blocks; /* that hold keys                                            */
};

struct hg_cells {
    struct hg_remembered young[HG_CELLS_GROUPS], old[HG_CELLS_GROUPS];
    struct hg_remembered unsettled; /* weak group: from the first pass to the last   */
    struct hg_remembered
        spare[HG_CELLS_GROUPS]; /* empty chunks: HG_CELLS_SPARE, less what parts need */
    struct hg_remembered scratch[HG_CELLS_PARTS]; /* a chunk each, for sorting                    */
    pthread_mutex_t lock;            /* of the registration of types, and of watched blocks       */
    hearth_type type[HG_CELL_KINDS]; /* 0: not registered                                         */
    bool ready;                      /* all are (atomic)                                          */
    bool gathered;                   /* in this collection: buffers were collected                */
    bool found;                      /* tracing met an ephemeron whose key is unreached (atomic)  */
    bool slow;                       /* no memory to watch keys: look at all, again and again     */
    struct hg_watch watch;
};

static inline bool hg_kind_is_ephemeron(uint8_t kind)
{
    return kind == HG_CELL_EPHEMERON || kind == HG_CELL_ENTRY;
}

hearth_status hg_cells_init(hearth_heap *heap);
void hg_cells_destroy(hearth_heap *heap);

/* A new registered cell of a built-in kind, both slots set; a safepoint. NULL: the error is set. With `fn`
 * room in the queue of what is pending is reserved. */
struct hg_cell *hg_cell_new(struct hg_mutator *mutator, enum hg_cell_kind kind, void *weak,
                            void *other, hearth_weak_fn *fn);
/* OK, or why `object`, called `what` by the function `call`, can not be referred to. */
hearth_status hg_cell_referent(struct hg_mutator *mutator, const void *object, const char *call,
                               const char *what);
/* The kind of a built-in object of this heap; NONE: something else. `object` may be anything. */
enum hg_cell_kind hg_cell_kind_of(hearth_heap *heap, const void *object);
/* Register the built-in types once. */
hearth_status hg_cells_ready(hearth_heap *heap);
/* A due callback (pending.c), at a safepoint; the caller holds the cell. Its room in the queue is the caller's. */
void hg_cell_call(struct hg_mutator *mutator, uintptr_t cell);

/* Trace the values of ephemerons whose keys have been reached, until there are no more. */
void hg_cells_resolve(hearth_heap *heap, bool full);
/* Clear weak slots whose objects are dead as far as the pass may know; after the last one the lists hold what may
 * have to be cleared later, and nothing else. */
void hg_cells_clear(hearth_heap *heap, bool full, enum hg_cell_pass pass);
/* A mutator goes: its buffers become the heap's; heap->lock is held. */
void hg_cells_gather(hearth_heap *heap, struct hg_mutator *mutator);

/* The registry's invariants; world stopped, blocks given back. Message through ht_fail. */
hearth_status hg_cells_check(hearth_heap *heap, bool before);

#endif
