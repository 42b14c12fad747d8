/* gc/entry.h - entries: objects with finalizers, and whatever is due; where their memory comes from.
 *
 * An entry is taken when something is registered and serves it to the end: in the registry (finalize.h), then
 * in the queue (pending.h). So a collection, which moves entries from one to the other, needs no memory; nor does
 * it touch them. They lie in slabs, and what a collection looks at stands in front, close together: the objects
 * of registered entries, and a bit for each that says whether it is young, legacy, or found. (Go keeps such
 * records, "specials", in a list by span.) A hash index finds the entry of an object, until it leaves the queue.
 *
 * Invariant: slab->object[i] is entry[i].object if that is REGISTERED, else 0 and so are its bits; a slab with young
 * or found bits is in the list of such slabs; the index has exactly what is REGISTERED or DUE and no CELL,
 * one of an object at most.
 * Lock: pending->lock, or world stopped. Node: ordinary memory of who registers. */
#ifndef HEARTH_GC_ENTRY_H
#define HEARTH_GC_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hearth/types.h"

enum {
    HG_ENTRY_SLAB = 256, /* entries of a slab: 16 KiB */
    HG_ENTRY_WORDS = HG_ENTRY_SLAB / 64
};

enum hg_entry_state {
    HG_ENTRY_FREE,
    HG_ENTRY_TAKEN, /* reserved: the object is being allocated, or a callback may be due once  */
    HG_ENTRY_REGISTERED, /* the object has a finalizer, or is legacy                              */
    HG_ENTRY_DUE         /* in the queue                                                          */
};

enum hg_entry_kind {
    HG_ENTRY_FINALIZER,
    HG_ENTRY_LEGACY, /* unreached, the object goes to the garbage list                         */
    HG_ENTRY_CELL    /* the callback of a weak reference                                       */
};

struct hg_entry {
    uintptr_t object;       /* or the cell                                                     */
    struct hg_entry *next;  /* of a line or a free list                                        */
    struct hg_entry *chain; /* of the index                                                    */
    hearth_finalizer_fn *fn;
    void *data;
    uint64_t serial;  /* order of registration                                               */
    int32_t priority; /* higher ones are run first                                           */
    uint8_t state;    /* enum hg_entry_state                                                 */
    uint8_t kind;     /* enum hg_entry_kind                                                  */
    uint16_t slot;    /* number in the slab                                                  */
};

struct hg_entry_slab {
    struct hg_entry_slab *next, *prev; /* in its list                                     */
    struct hg_entry_slab *young_next;  /* of those with young bits                        */
    struct hg_entry_slab *found_next;  /* of those with found bits                        */
    struct hg_entry *free;             /* by next                                         */
    uint32_t used;                     /* entries that are not free                       */
    bool is_young, is_found;           /* it is in that list                              */
    uint64_t young[HG_ENTRY_WORDS];    /* minor collections look at it                    */
    uint64_t legacy[HG_ENTRY_WORDS];   /* of that kind                                    */
    uint64_t found[HG_ENTRY_WORDS];    /* due, but not in the queue yet                   */
    uint64_t aged[HG_ENTRY_WORDS];     /* of those, objects that are old                  */
    uintptr_t object[HG_ENTRY_SLAB];   /* of registered entries, else 0                   */
    struct hg_entry entry[HG_ENTRY_SLAB];
};

struct hg_entry_slabs {
    struct hg_entry_slab *first, *last;
};

struct hg_entries {
    struct hg_entry_slabs partial; /* slabs with free entries, at most one of them idle     */
    struct hg_entry_slabs full;
    struct hg_entry_slab *young;              /* slabs, by young_next                      */
    struct hg_entry_slab *found, *found_last; /* slabs, by found_next                      */
    struct hg_entry **bucket;                 /* the index                                 */
    size_t buckets;                           /* power of two or 0                         */
    size_t indexed;                           /* entries in it                             */
    size_t taken;                             /* entries that are not free                 */
};

/* Entries in line: first in, first out. */
struct hg_line {
    struct hg_entry *first, *last;
    size_t count;
};

/* A zeroed entry that is TAKEN, also room for it in the index; NULL: no memory. */
struct hg_entry *hg_entry_take(struct hg_entries *entries);
/* Not REGISTERED, in no line, not in the index. */
void hg_entry_give(struct hg_entries *entries, struct hg_entry *entry);

/* A TAKEN entry that has object and kind becomes REGISTERED, young, and is put into the index. */
void hg_entry_register(struct hg_entries *entries, struct hg_entry *entry);
/* REGISTERED no more: `state`. It is still in the index. */
void hg_entry_withdraw(struct hg_entry *entry, enum hg_entry_state state);
/* Is it due: in the queue or found? */
bool hg_entry_is_due(const struct hg_entry *entry);
/* Entry `i` of the slab is due now; it may leave the young ones. */
void hg_entry_found(struct hg_entries *entries, struct hg_entry_slab *slab, unsigned i);
/* After a look at the young ones: slabs without any leave their list. */
void hg_entries_age(struct hg_entries *entries);
/* All that were found become DUE and go to the end of the line. */
void hg_entries_harvest(struct hg_entries *entries, struct hg_line *line);

void hg_entry_unindex(struct hg_entries *entries, struct hg_entry *entry);
/* The object's entry, registered or due; NULL: none. */
struct hg_entry *hg_entry_find(const struct hg_entries *entries, uintptr_t object);

void hg_entries_free(struct hg_entries *entries);
/* Slabs, lists, index and counts agree. The numbers of entries that are registered and not found; found; DUE. */
bool hg_entries_check(const struct hg_entries *entries, size_t *registered, size_t *found,
                      size_t *due);

static inline bool hg_bit_get(const uint64_t *word, unsigned i)
{
    return word[i / 64] >> i % 64 & 1;
}
static inline void hg_bit_set(uint64_t *word, unsigned i)
{
    word[i / 64] |= (uint64_t)1 << i % 64;
}
static inline void hg_bit_clear(uint64_t *word, unsigned i)
{
    word[i / 64] &= ~((uint64_t)1 << i % 64);
}

#endif
