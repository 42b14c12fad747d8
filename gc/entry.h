/* gc/entry.h - entries: objects with finalizers, and whatever is due; where their memory comes from.
 *
 * An entry is taken when something is registered and serves it to the end: as a member of the registry
 * (finalize.h), then of the queue (pending.h). So a collection, which moves entries from one to the other,
 * needs no memory. Entries lie in slabs; the objects of registered ones also stand in an array of the
 * slab, so that a full collection reads 8 bytes for each that is reached. A hash index finds the entry of
 * an object, until it is taken from the queue: a collection does not touch the index. (Go keeps such
 * records, "specials", in a list by span.)
 *
 * Invariant: slab->object[i] is entry[i].object if it is YOUNG or OLD, else 0; the index has exactly those
 * that are YOUNG, OLD or DUE and no CELL. Lock: pending->lock, or world stopped. Node: ordinary memory of
 * who registers. */
#ifndef HEARTH_GC_ENTRY_H
#define HEARTH_GC_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hearth/types.h"

enum { HG_ENTRY_SLAB = 256 /* entries of a slab: 18 KiB */ };

enum hg_entry_state {
    HG_ENTRY_FREE,
    HG_ENTRY_TAKEN, /* reserved: the object is being allocated, or a callback may be due once  */
    HG_ENTRY_YOUNG, /* registered; looked at by every collection                               */
    HG_ENTRY_OLD,   /* registered, the object is old; looked at by full ones                   */
    HG_ENTRY_DUE    /* in the queue                                                            */
};

enum hg_entry_kind {
    HG_ENTRY_FINALIZER,
    HG_ENTRY_LEGACY, /* unreached, the object goes to the garbage list                         */
    HG_ENTRY_CELL    /* the callback of a weak reference                                       */
};

struct hg_entry {
    uintptr_t object;             /* or the cell                                             */
    struct hg_entry *next, *prev; /* of the young list, or (next only) of a queue or a free list */
    struct hg_entry *chain;       /* of the index                                            */
    hearth_finalizer_fn *fn;
    void *data;
    uint64_t serial;  /* order of registration                                               */
    int32_t priority; /* higher ones are run first                                           */
    uint8_t state;    /* enum hg_entry_state                                                 */
    uint8_t kind;     /* enum hg_entry_kind                                                  */
    uint16_t slot;    /* number in the slab                                                  */
};

struct hg_entry_slab {
    struct hg_entry_slab *next, *prev; /* in its list                                          */
    struct hg_entry *free;             /* by next                                              */
    uint32_t used;                     /* entries that are not free                            */
    uintptr_t object[HG_ENTRY_SLAB];   /* of registered entries, else 0                        */
    struct hg_entry entry[HG_ENTRY_SLAB];
};

struct hg_entry_slabs {
    struct hg_entry_slab *first, *last;
};

struct hg_entries {
    struct hg_entry_slabs partial; /* slabs with free entries; at most one is empty          */
    struct hg_entry_slabs full;
    struct hg_entry **bucket; /* the index                                              */
    size_t buckets;           /* power of two or 0                                      */
    size_t indexed;           /* entries in it                                          */
    size_t taken;             /* entries that are not free                              */
};

/* Entries in line: first in, first out. */
struct hg_line {
    struct hg_entry *first, *last;
    size_t count;
};

/* A zeroed entry that is TAKEN, also room for it in the index; NULL: no memory. */
struct hg_entry *hg_entry_take(struct hg_entries *entries);
/* Neither in a list nor in the index. */
void hg_entry_give(struct hg_entries *entries, struct hg_entry *entry);

/* The entry gets its state; the slab's array follows. */
void hg_entry_become(struct hg_entry *entry, enum hg_entry_state state);

void hg_entry_index(struct hg_entries *entries, struct hg_entry *entry);
void hg_entry_unindex(struct hg_entries *entries, struct hg_entry *entry);
/* The object's entry: a registered one rather than one that is due; NULL: none. */
struct hg_entry *hg_entry_find(const struct hg_entries *entries, uintptr_t object);

void hg_line_add(struct hg_line *line, struct hg_entry *entry);
/* `from` goes to the end of `to` and is empty then. */
void hg_line_join(struct hg_line *to, struct hg_line *from);
/* Take the first away; the line is not empty. */
struct hg_entry *hg_line_pop(struct hg_line *line);
/* Higher priority first, then lower serial. Linear if it is in order but for a few runs; no memory. */
void hg_line_sort(struct hg_line *line);
bool hg_line_check(const struct hg_line *line);

void hg_entries_free(struct hg_entries *entries);
/* Slabs, lists, index and counts agree; *registered and *due get the numbers of entries that are. */
bool hg_entries_check(const struct hg_entries *entries, size_t *registered, size_t *due);

#endif
