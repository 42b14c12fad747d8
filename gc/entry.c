/* gc/entry.c - slabs of entries, the index by object, lines of entries. See entry.h for the invariant and the
 * lock. */
#include "gc/entry.h"

#include "topology/os.h"

enum { HG_BUCKETS_MIN = 64, HG_RUNS_MAX = 64 };

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
    struct hg_entry **bucket = ht_os_alloc(buckets * sizeof *bucket);
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

void hg_entry_give(struct hg_entries *entries, struct hg_entry *entry)
{
    struct hg_entry_slab *slab = hg_slab_of(entry);
    hg_entry_become(entry, HG_ENTRY_FREE);
    entry->next = slab->free;
    slab->free = entry;
    entries->taken--;
    if (slab->used-- == HG_ENTRY_SLAB) {
        hg_slab_remove(&entries->full, slab);
        hg_slab_prepend(&entries->partial, slab);
    }
    if (slab->used != 0)
        return;
    /* The empty one stands last, to be used last; of two one goes. */
    hg_slab_remove(&entries->partial, slab);
    if (entries->partial.last != NULL && entries->partial.last->used == 0)
        ht_os_free(slab);
    else
        hg_slab_append(&entries->partial, slab);
}

void hg_entry_become(struct hg_entry *entry, enum hg_entry_state state)
{
    bool registered = state == HG_ENTRY_YOUNG || state == HG_ENTRY_OLD;
    entry->state = (uint8_t)state;
    hg_slab_of(entry)->object[entry->slot] = registered ? entry->object : 0;
}

void hg_entry_index(struct hg_entries *entries, struct hg_entry *entry)
{
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
    struct hg_entry *due = NULL;
    if (entries->buckets == 0)
        return NULL;
    for (struct hg_entry *entry = entries->bucket[hg_bucket(entries, object)]; entry != NULL;
         entry = entry->chain) {
        if (entry->object != object)
            continue;
        if (entry->state != HG_ENTRY_DUE)
            return entry;
        due = entry;
    }
    return due;
}

void hg_line_add(struct hg_line *line, struct hg_entry *entry)
{
    entry->next = NULL;
    *(line->last != NULL ? &line->last->next : &line->first) = entry;
    line->last = entry;
    line->count++;
}

void hg_line_join(struct hg_line *to, struct hg_line *from)
{
    if (from->first == NULL)
        return;
    *(to->last != NULL ? &to->last->next : &to->first) = from->first;
    to->last = from->last;
    to->count += from->count;
    *from = (struct hg_line){NULL, NULL, 0};
}

struct hg_entry *hg_line_pop(struct hg_line *line)
{
    struct hg_entry *entry = line->first;
    line->first = entry->next;
    if (line->first == NULL)
        line->last = NULL;
    line->count--;
    entry->next = NULL;
    return entry;
}

static bool hg_before(const struct hg_entry *a, const struct hg_entry *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->serial < b->serial;
}

static struct hg_line hg_merge(struct hg_line a, struct hg_line b)
{
    struct hg_line line = {NULL, NULL, 0};
    while (a.first != NULL && b.first != NULL)
        hg_line_add(&line, hg_line_pop(hg_before(b.first, a.first) ? &b : &a));
    hg_line_join(&line, &a);
    hg_line_join(&line, &b);
    return line;
}

/* The longest beginning of `from` that is in order. */
static struct hg_line hg_run_pop(struct hg_line *from)
{
    struct hg_line run = {from->first, from->first, 1};
    while (run.last->next != NULL && !hg_before(run.last->next, run.last)) {
        run.last = run.last->next;
        run.count++;
    }
    from->first = run.last->next;
    from->count -= run.count;
    if (from->first == NULL)
        from->last = NULL;
    run.last->next = NULL;
    return run;
}

/* Merge sort of the runs there are; merged[i] is made of 2^i runs or empty. */
void hg_line_sort(struct hg_line *line)
{
    struct hg_line merged[HG_RUNS_MAX] = {{NULL, NULL, 0}}, all = {NULL, NULL, 0};
    while (line->first != NULL) {
        struct hg_line run = hg_run_pop(line);
        unsigned i = 0;
        for (; merged[i].first != NULL; i++) {
            run = hg_merge(merged[i], run);
            merged[i] = (struct hg_line){NULL, NULL, 0};
        }
        merged[i] = run;
    }
    for (unsigned i = 0; i < HG_RUNS_MAX; i++)
        if (merged[i].first != NULL)
            all = hg_merge(merged[i], all);
    *line = all;
}

bool hg_line_check(const struct hg_line *line)
{
    size_t count = 0;
    const struct hg_entry *last = NULL;
    for (const struct hg_entry *entry = line->first; entry != NULL && count <= line->count;
         entry = entry->next, count++) {
        if (entry->state != HG_ENTRY_DUE)
            return false;
        last = entry;
    }
    return count == line->count && last == line->last;
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
    *entries = (struct hg_entries){{NULL, NULL}, {NULL, NULL}, NULL, 0, 0, 0};
}

/* One slab; adds up what its entries are. */
static bool hg_slab_check(const struct hg_entry_slab *slab, bool full,
                          size_t count[HG_ENTRY_DUE + 1], size_t *cells)
{
    size_t used = 0, free = 0;
    for (unsigned i = 0; i < HG_ENTRY_SLAB; i++) {
        const struct hg_entry *entry = &slab->entry[i];
        if (entry->slot != i || entry->state > HG_ENTRY_DUE)
            return false;
        bool registered = entry->state == HG_ENTRY_YOUNG || entry->state == HG_ENTRY_OLD;
        if (slab->object[i] != (registered ? entry->object : 0))
            return false;
        used += entry->state != HG_ENTRY_FREE;
        *cells += entry->state == HG_ENTRY_DUE && entry->kind == HG_ENTRY_CELL;
        count[entry->state]++;
    }
    for (const struct hg_entry *entry = slab->free; entry != NULL && free <= HG_ENTRY_SLAB; free++)
        entry = entry->next;
    return used == slab->used && used + free == HG_ENTRY_SLAB && full == (used == HG_ENTRY_SLAB);
}

bool hg_entries_check(const struct hg_entries *entries, size_t *registered, size_t *due)
{
    size_t count[HG_ENTRY_DUE + 1] = {0}, cells = 0, indexed = 0;
    for (const struct hg_entry_slab *slab = entries->partial.first; slab != NULL; slab = slab->next)
        if (!hg_slab_check(slab, false, count, &cells))
            return false;
    for (const struct hg_entry_slab *slab = entries->full.first; slab != NULL; slab = slab->next)
        if (!hg_slab_check(slab, true, count, &cells))
            return false;
    for (size_t i = 0; i < entries->buckets; i++)
        for (const struct hg_entry *entry = entries->bucket[i]; entry != NULL;
             entry = entry->chain, indexed++)
            if (entry->state < HG_ENTRY_YOUNG || entry->kind == HG_ENTRY_CELL ||
                hg_bucket(entries, entry->object) != i)
                return false;
    *registered = count[HG_ENTRY_YOUNG] + count[HG_ENTRY_OLD];
    *due = count[HG_ENTRY_DUE];
    return indexed == entries->indexed && indexed == *registered + *due - cells &&
           entries->taken == *registered + *due + count[HG_ENTRY_TAKEN];
}
