/* gc/entry.c - slabs of entries, and the index by object. See entry.h for the invariant and the
 * lock. */
#include "gc/entry.h"

#include <string.h>

#include "gc/line.h"
#include "topology/os.h"

enum { HG_BUCKETS_MIN = 64 };

static struct hg_entry_slab *hg_slab_of(struct hg_entry *entry)
{
    return (struct hg_entry_slab *)((char *)(entry - entry->slot) -
                                    offsetof(struct hg_entry_slab, entry));
}

static void hg_slab_remove(struct hg_entry_slabs *list, struct hg_entry_slab *slab)
{
    *(slab->prev != NULL ? &slab->prev->next : &list->first) = slab->next;
    *(slab->next != NULL ? &slab->next->prev : &list->last) = slab->prev;
}

static void hg_slab_append(struct hg_entry_slabs *list, struct hg_entry_slab *slab)
{
    slab->next = NULL;
    slab->prev = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = slab;
    list->last = slab;
}

static void hg_slab_prepend(struct hg_entry_slabs *list, struct hg_entry_slab *slab)
{
    slab->prev = NULL;
    slab->next = list->first;
    *(list->first != NULL ? &list->first->prev : &list->last) = slab;
    list->first = slab;
}

static bool hg_slab_add(struct hg_entries *entries)
{
    struct hg_entry_slab *slab = ht_os_alloc(sizeof *slab);
    if (slab == NULL)
        return false;
    for (unsigned i = HG_ENTRY_SLAB; i-- > 0;) {
        slab->entry[i].slot = (uint16_t)i;
        slab->entry[i].next = slab->free;
        slab->free = &slab->entry[i];
    }
    hg_slab_append(&entries->partial, slab);
    return true;
}

static size_t hg_bucket(const struct hg_entries *entries, uintptr_t object)
{
    return (size_t)((object >> 4) * 0x9e3779b97f4a7c15u >> 20) & (entries->buckets - 1);
}

/* One more fits. The index may stay crowded if there is no memory, but it must exist. */
static bool hg_index_room(struct hg_entries *entries)
{
    if (entries->taken < entries->buckets)
        return true;
    size_t buckets = entries->buckets != 0 ? entries->buckets * 4 : HG_BUCKETS_MIN;
    struct hg_entry **bucket = ht_os_alloc(buckets * sizeof(struct hg_entry *));
    if (bucket == NULL)
        return entries->buckets != 0;
    struct hg_entry **old = entries->bucket;
    size_t old_buckets = entries->buckets;
    entries->bucket = bucket;
    entries->buckets = buckets;
    for (size_t i = 0; i < old_buckets; i++)
        for (struct hg_entry *entry = old[i], *next; entry != NULL; entry = next) {
            next = entry->chain;
            size_t at = hg_bucket(entries, entry->object);
            entry->chain = bucket[at];
            bucket[at] = entry;
        }
    ht_os_free(old);
    return true;
}

struct hg_entry *hg_entry_take(struct hg_entries *entries)
{
    if (!hg_index_room(entries) || (entries->partial.first == NULL && !hg_slab_add(entries)))
        return NULL;
    struct hg_entry_slab *slab = entries->partial.first;
    struct hg_entry *entry = slab->free;
    slab->free = entry->next;
    *entry = (struct hg_entry){.state = HG_ENTRY_TAKEN, .slot = entry->slot};
    entries->taken++;
    if (++slab->used == HG_ENTRY_SLAB) {
        hg_slab_remove(&entries->partial, slab);
        hg_slab_append(&entries->full, slab);
    }
    return entry;
}

/* An empty slab in no list stands last, to be used last; of two one goes. */
static void hg_slab_trim(struct hg_entries *entries, struct hg_entry_slab *slab)
{
    if (slab->used != 0 || slab->is_young)
        return;
    hg_slab_remove(&entries->partial, slab);
    struct hg_entry_slab *last = entries->partial.last;
    if (last != NULL && last->used == 0 && !last->is_young)
        ht_os_free(slab);
    else
        hg_slab_append(&entries->partial, slab);
}

void hg_entry_give(struct hg_entries *entries, struct hg_entry *entry)
{
    struct hg_entry_slab *slab = hg_slab_of(entry);
    entry->state = HG_ENTRY_FREE;
    entry->next = slab->free;
    slab->free = entry;
    entries->taken--;
    if (slab->used-- == HG_ENTRY_SLAB) {
        hg_slab_remove(&entries->full, slab);
        hg_slab_prepend(&entries->partial, slab);
    }
    hg_slab_trim(entries, slab);
}

static void hg_slab_is_young(struct hg_entries *entries, struct hg_entry_slab *slab)
{
    if (slab->is_young)
        return;
    slab->is_young = true;
    slab->young_next = entries->young;
    entries->young = slab;
}

void hg_entries_age(struct hg_entries *entries)
{
    for (struct hg_entry_slab **link = &entries->young, *slab; (slab = *link) != NULL;) {
        uint64_t any = 0;
        for (unsigned i = 0; i < HG_ENTRY_WORDS; i++)
            any |= slab->young[i];
        if (any != 0) {
            link = &slab->young_next;
            continue;
        }
        *link = slab->young_next;
        slab->is_young = false;
        hg_slab_trim(entries, slab);
    }
}

void hg_entry_found(struct hg_entries *entries, struct hg_entry_slab *slab, unsigned i)
{
    hg_bit_set(slab->found, i);
    hg_bit_clear(slab->young, i);
    if (slab->is_found)
        return;
    slab->is_found = true;
    slab->found_next = NULL;
    *(entries->found_last != NULL ? &entries->found_last->found_next : &entries->found) = slab;
    entries->found_last = slab;
}

bool hg_entry_is_due(const struct hg_entry *entry)
{
    const struct hg_entry_slab *slab = hg_slab_of((struct hg_entry *)entry);
    return entry->state == HG_ENTRY_DUE || hg_bit_get(slab->found, entry->slot);
}

void hg_entry_withdraw(struct hg_entry *entry, enum hg_entry_state state)
{
    struct hg_entry_slab *slab = hg_slab_of(entry);
    entry->state = (uint8_t)state;
    slab->object[entry->slot] = 0;
    hg_bit_clear(slab->young, entry->slot);
    hg_bit_clear(slab->legacy, entry->slot);
    hg_bit_clear(slab->found, entry->slot);
    hg_bit_clear(slab->aged, entry->slot);
}

void hg_entries_harvest(struct hg_entries *entries, struct hg_line *line)
{
    for (struct hg_entry_slab *slab = entries->found; slab != NULL; slab = slab->found_next) {
        for (unsigned i = 0; i < HG_ENTRY_SLAB; i++)
            if (hg_bit_get(slab->found, i)) {
                hg_entry_withdraw(&slab->entry[i], HG_ENTRY_DUE);
                hg_line_add(line, &slab->entry[i]);
            }
        slab->is_found = false;
    }
    entries->found = entries->found_last = NULL;
}

void hg_entry_register(struct hg_entries *entries, struct hg_entry *entry)
{
    struct hg_entry_slab *slab = hg_slab_of(entry);
    entry->state = HG_ENTRY_REGISTERED;
    slab->object[entry->slot] = entry->object;
    hg_bit_set(slab->young, entry->slot);
    if (entry->kind == HG_ENTRY_LEGACY)
        hg_bit_set(slab->legacy, entry->slot);
    hg_slab_is_young(entries, slab);
    struct hg_entry **bucket = &entries->bucket[hg_bucket(entries, entry->object)];
    entry->chain = *bucket;
    *bucket = entry;
    entries->indexed++;
}

void hg_entry_unindex(struct hg_entries *entries, struct hg_entry *entry)
{
    struct hg_entry **link = &entries->bucket[hg_bucket(entries, entry->object)];
    while (*link != entry)
        link = &(*link)->chain;
    *link = entry->chain;
    entries->indexed--;
}

struct hg_entry *hg_entry_find(const struct hg_entries *entries, uintptr_t object)
{
    if (entries->buckets == 0)
        return NULL;
    struct hg_entry *entry = entries->bucket[hg_bucket(entries, object)];
    while (entry != NULL && entry->object != object)
        entry = entry->chain;
    return entry;
}

static void hg_slabs_free(struct hg_entry_slabs *list)
{
    while (list->first != NULL) {
        struct hg_entry_slab *next = list->first->next;
        ht_os_free(list->first);
        list->first = next;
    }
    list->last = NULL;
}

void hg_entries_free(struct hg_entries *entries)
{
    hg_slabs_free(&entries->partial);
    hg_slabs_free(&entries->full);
    ht_os_free(entries->bucket);
    memset(entries, 0, sizeof *entries);
}

struct hg_entry_census {
    size_t state[HG_ENTRY_DUE + 1]; /* how many entries are in it         */
    size_t found, cells;            /* of the registered; of those in DUE */
};

/* One entry and its bits. */
static bool hg_entry_check(const struct hg_entry_slab *slab, unsigned i,
                           struct hg_entry_census *census)
{
    const struct hg_entry *entry = &slab->entry[i];
    bool registered = entry->state == HG_ENTRY_REGISTERED;
    bool young = hg_bit_get(slab->young, i), found = hg_bit_get(slab->found, i);
    if (entry->slot != i || entry->state > HG_ENTRY_DUE)
        return false;
    census->state[entry->state]++;
    census->found += found;
    census->cells += entry->state == HG_ENTRY_DUE && entry->kind == HG_ENTRY_CELL;
    if (slab->object[i] != (registered ? entry->object : 0))
        return false;
    if (hg_bit_get(slab->legacy, i) != (registered && entry->kind == HG_ENTRY_LEGACY))
        return false;
    if (hg_bit_get(slab->aged, i) && !found)
        return false;
    return !(young && found) && (registered || !(young || found)) && (!young || slab->is_young) &&
           (!found || slab->is_found);
}

static bool hg_slab_check(const struct hg_entry_slab *slab, bool full,
                          struct hg_entry_census *census)
{
    size_t used = 0, free = 0;
    for (unsigned i = 0; i < HG_ENTRY_SLAB; i++) {
        if (!hg_entry_check(slab, i, census))
            return false;
        used += slab->entry[i].state != HG_ENTRY_FREE;
    }
    for (const struct hg_entry *entry = slab->free; entry != NULL && free <= HG_ENTRY_SLAB; free++)
        entry = entry->next;
    return used == slab->used && used + free == HG_ENTRY_SLAB && full == (used == HG_ENTRY_SLAB);
}

/* Slabs that are in the lists of young ones and of found ones. */
static bool hg_slab_lists_check(const struct hg_entries *entries, size_t slabs)
{
    size_t young = 0, found = 0;
    for (const struct hg_entry_slab *slab = entries->young; slab != NULL; slab = slab->young_next)
        if (!slab->is_young || young++ > slabs)
            return false;
    const struct hg_entry_slab *last = NULL;
    for (const struct hg_entry_slab *slab = entries->found; slab != NULL; slab = slab->found_next) {
        if (!slab->is_found || found++ > slabs)
            return false;
        last = slab;
    }
    return last == entries->found_last;
}

bool hg_entries_check(const struct hg_entries *entries, size_t *registered, size_t *found,
                      size_t *due)
{
    struct hg_entry_census census = {{0}, 0, 0};
    size_t indexed = 0, slabs = 0;
    for (const struct hg_entry_slab *slab = entries->partial.first; slab != NULL;
         slab = slab->next, slabs++)
        if (!hg_slab_check(slab, false, &census))
            return false;
    for (const struct hg_entry_slab *slab = entries->full.first; slab != NULL;
         slab = slab->next, slabs++)
        if (!hg_slab_check(slab, true, &census))
            return false;
    for (size_t i = 0; i < entries->buckets; i++)
        for (const struct hg_entry *entry = entries->bucket[i]; entry != NULL;
             entry = entry->chain, indexed++)
            if (entry->state < HG_ENTRY_REGISTERED || entry->kind == HG_ENTRY_CELL ||
                hg_bucket(entries, entry->object) != i)
                return false;
    *registered = census.state[HG_ENTRY_REGISTERED] - census.found;
    *found = census.found;
    *due = census.state[HG_ENTRY_DUE];
    return hg_slab_lists_check(entries, slabs) && indexed == entries->indexed &&
           indexed == *registered + *found + *due - census.cells &&
           entries->taken == indexed + census.cells + census.state[HG_ENTRY_TAKEN];
}
