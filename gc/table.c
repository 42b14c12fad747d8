/* gc/table.c - weak tables: hash tables whose entries are cells (cell.h), chained in an array of buckets.
 *
 * Invariant: `entries` cells are linked, each in the bucket of its hash; `dead` of them were cleared by a
 * collection; an entry that was removed is unlinked, its
 * weak slot NULL, but its `next` stays, so that who stands on it goes on. While there are visitors
 * buckets are neither moved nor swept of dead entries. If more than a quarter is dead every call sweeps a few
 * buckets (hearth_table_put all of them), and a collection that finds all dead empties the table, so that dead entries
 * stay only in a table that nobody uses, and as long as others in it live. No locks: one thread at a time uses a table;
 * with the world stopped the collector writes `dead` and cells, and empties. Node: entries lie where their mutators allocate. */
#include "gc/heap.h"
#include "gc/slots.h"
#include "topology/error.h"

enum {
    HG_TABLE_MIN = 8,    /* buckets                                             */
    HG_TABLE_SHRINK = 8, /* buckets per entry above which they become fewer     */
    HG_TABLE_STEP = 16   /* buckets swept by a call                             */
};

static enum hg_cell_kind hg_entry_kind(const struct hg_table *table)
{
    return table->kind == HEARTH_TABLE_WEAK_KEYS     ? HG_CELL_KEY
           : table->kind == HEARTH_TABLE_WEAK_VALUES ? HG_CELL_VALUE
                                                     : HG_CELL_ENTRY;
}

static void *hg_load(void *const *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static struct hg_table_entry *hg_entry_next(const struct hg_table_entry *entry)
{
    return __atomic_load_n(&entry->next, __ATOMIC_ACQUIRE);
}

static void *hg_entry_key(const struct hg_table *table, const struct hg_table_entry *entry)
{
    return hg_load(table->kind == HEARTH_TABLE_WEAK_VALUES ? &entry->cell.other
                                                           : &entry->cell.weak);
}

static void *hg_entry_value(const struct hg_table *table, const struct hg_table_entry *entry)
{
    return hg_load(table->kind == HEARTH_TABLE_WEAK_VALUES ? &entry->cell.weak
                                                           : &entry->cell.other);
}

static size_t hg_bucket_count(void *const *buckets)
{
    uint64_t header = __atomic_load_n(hearth_header_of(buckets), __ATOMIC_RELAXED);
    return (size_t)(header >> 32);
}

/* The finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): identities differ in a few middle bits. */
static uint64_t hg_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t hg_hash(const struct hg_table *table, const void *key)
{
    return hg_mix(table->hash != NULL ? table->hash(key, table->data) : (uint64_t)(uintptr_t)key);
}

static bool hg_same(const struct hg_table *table, const void *a, const void *b)
{
    return a == b || (table->equal != NULL && table->equal(a, b, table->data));
}

/* The table, or NULL with the error set. */
static struct hg_table *hg_table_argument(hearth_mutator *mutator, const void *table,
                                          const char *call)
{
    if (hg_mutator_ready(mutator, call) != HEARTH_OK)
        return NULL;
    if (table != NULL && hg_cell_kind_of(mutator->heap, table) == HG_CELL_TABLE)
        return (struct hg_table *)(uintptr_t)table;
    ht_fail(HEARTH_EOBJECT, "%s: %p is not a weak table", call, table);
    return NULL;
}

/* An array of buckets; NULL with the error set. A safepoint. */
static void **hg_buckets_new(hearth_mutator *mutator, size_t count)
{
    return hearth_new_array(mutator, mutator->heap->cells.type[HG_CELL_BUCKETS], count);
}

void *hearth_table_new_with(hearth_mutator *mutator, hearth_table_kind kind, hearth_hash_fn *hash,
                            hearth_equal_fn *equal, void *data)
{
    if (hg_mutator_ready(mutator, "hearth_table_new") != HEARTH_OK)
        return NULL;
    if ((unsigned)kind > HEARTH_TABLE_EPHEMERON) {
        ht_fail(HEARTH_EINVAL, "hearth_table_new: unknown kind %d", (int)kind);
        return NULL;
    }
    if ((hash == NULL) != (equal == NULL)) {
        ht_fail(HEARTH_EINVAL, "hearth_table_new: %s is NULL, the other is not",
                hash == NULL ? "hash" : "equal");
        return NULL;
    }
    if (hg_cells_ready(mutator->heap) != HEARTH_OK)
        return NULL;
    HEARTH_FRAME(mutator, frame, 1);
    frame.ref[0] = hg_buckets_new(mutator, HG_TABLE_MIN);
    struct hg_table *table =
        frame.ref[0] != NULL ? hearth_new(mutator, mutator->heap->cells.type[HG_CELL_TABLE]) : NULL;
    if (table != NULL) {
        table->kind = (uint32_t)kind;
        table->hash = hash;
        table->equal = equal;
        table->data = data;
        hearth_store_init((void **)&table->buckets, frame.ref[0]);
    }
    HEARTH_FRAME_END(mutator, frame);
    return table;
}

void *hearth_table_new(hearth_mutator *mutator, hearth_table_kind kind)
{
    return hearth_table_new_with(mutator, kind, NULL, NULL, NULL);
}

/* Make `to` the successor of `entry`, or the first of its bucket. */
static void hg_link(hearth_mutator *mutator, struct hg_table *table, size_t bucket,
                    struct hg_table_entry *entry, struct hg_table_entry *to)
{
    if (entry != NULL)
        hearth_store(mutator, entry, (void **)&entry->next, to);
    else
        hearth_store(mutator, table->buckets, &table->buckets[bucket], to);
}

/* Find the entry of a key; *before gets its predecessor. */
static struct hg_table_entry *hg_find(const struct hg_table *table, const void *key, uint64_t hash,
                                      struct hg_table_entry **before)
{
    size_t bucket = hash & (hg_bucket_count(table->buckets) - 1);
    *before = NULL;
    for (struct hg_table_entry *entry = hg_load(&table->buckets[bucket]); entry != NULL;
         *before = entry, entry = hg_entry_next(entry))
        if (entry->hash == hash && entry->cell.weak != NULL &&
            hg_same(table, hg_entry_key(table, entry), key))
            return entry;
    return NULL;
}

/* Take the linked entry out; `next` stays. */
static void hg_unlink(hearth_mutator *mutator, struct hg_table *table,
                      struct hg_table_entry *before, struct hg_table_entry *entry)
{
    size_t bucket = entry->hash & (hg_bucket_count(table->buckets) - 1);
    hg_link(mutator, table, bucket, before, hg_entry_next(entry));
    table->entries--;
}

/* Unlink what collections have cleared in one bucket. */
static void hg_bucket_sweep(hearth_mutator *mutator, struct hg_table *table, size_t bucket)
{
    struct hg_table_entry *before = NULL, *next;
    for (struct hg_table_entry *entry = hg_load(&table->buckets[bucket]); entry != NULL;
         entry = next) {
        next = hg_entry_next(entry);
        if (entry->cell.weak == NULL) {
            hg_unlink(mutator, table, before, entry);
            table->dead--;
        } else {
            before = entry;
        }
    }
}

/* Too many are dead: go on sweeping, at most so many buckets. No safepoint. */
static void hg_table_sweep(hearth_mutator *mutator, struct hg_table *table, size_t most)
{
    size_t count = hg_bucket_count(table->buckets);
    if (table->visitors != 0 || table->dead <= table->entries / 4 + HG_TABLE_MIN)
        return;
    for (size_t i = 0; i < most && i < count && table->dead != 0; i++)
        hg_bucket_sweep(mutator, table, table->cursor++ & (count - 1));
}

void hg_table_dead(struct hg_table *table)
{
    if (++table->dead < table->entries)
        return;
    for (size_t i = hg_bucket_count(table->buckets); i-- > 0;)
        if (table->buckets[i] != NULL) /* pages of frozen ones are shared */
            __atomic_store_n(&table->buckets[i], NULL, __ATOMIC_RELAXED);
    table->entries = table->dead = 0;
}

/* Another number of buckets; without memory for them the old ones do. `table` is rooted. A safepoint. */
static void hg_table_resize(hearth_mutator *mutator, struct hg_table *table, size_t count)
{
    void **to = hg_buckets_new(mutator, count);
    if (to == NULL)
        return;
    void **from = table->buckets;
    size_t old = hg_bucket_count(from);
    for (size_t i = 0; i < old; i++) {
        struct hg_table_entry *next;
        for (struct hg_table_entry *entry = hg_load(&from[i]); entry != NULL; entry = next) {
            next = hg_entry_next(entry);
            size_t bucket = entry->hash & (count - 1);
            hearth_store(mutator, entry, (void **)&entry->next, to[bucket]);
            hearth_store(mutator, to, &to[bucket], entry);
        }
    }
    hearth_store(mutator, table, (void **)&table->buckets, to);
}

/* Buckets for the entries there are, and one more. `table` is rooted. A safepoint. */
static void hg_table_fit(hearth_mutator *mutator, struct hg_table *table)
{
    if (table->visitors != 0)
        return;
    hg_table_sweep(mutator, table, SIZE_MAX);
    size_t count = hg_bucket_count(table->buckets), want = count;
    if (table->entries >= count && count < (size_t)1 << 31)
        want = count * 2;
    while (want > HG_TABLE_MIN && table->entries < want / HG_TABLE_SHRINK)
        want /= 2;
    if (want != count)
        hg_table_resize(mutator, table, want);
}

/* The entry goes for good. */
static void hg_table_drop(hearth_mutator *mutator, struct hg_table *table,
                          struct hg_table_entry *before, struct hg_table_entry *entry)
{
    hg_unlink(mutator, table, before, entry);
    __atomic_store_n(&entry->cell.weak, NULL, __ATOMIC_RELEASE);
    hearth_store(mutator, entry, &entry->cell.other, NULL);
}

/* A new entry; the table, key and value are rooted. A safepoint. */
static hearth_status hg_table_add(hearth_mutator *mutator, struct hg_table *table, void *key,
                                  void *value, uint64_t hash)
{
    bool values = table->kind == HEARTH_TABLE_WEAK_VALUES;
    struct hg_table_entry *entry =
        (struct hg_table_entry *)hg_cell_new(hg_mutator_of(mutator), hg_entry_kind(table),
                                             values ? value : key, values ? key : value, NULL);
    if (entry == NULL)
        return hearth_last_status();
    size_t bucket = hash & (hg_bucket_count(table->buckets) - 1);
    entry->hash = hash;
    hearth_store_init((void **)&entry->table, table);
    hearth_store_init((void **)&entry->next, table->buckets[bucket]);
    hg_link(mutator, table, bucket, NULL, entry);
    table->entries++;
    return HEARTH_OK;
}

/* Replace or add; everything is rooted. Weak slots never change: another weak value is another entry. */
static hearth_status hg_table_set(hearth_mutator *mutator, struct hg_table *table, void *key,
                                  void *value)
{
    struct hg_table_entry *before, *entry;
    uint64_t hash = hg_hash(table, key);
    entry = hg_find(table, key, hash, &before);
    if (entry != NULL && table->kind != HEARTH_TABLE_WEAK_VALUES)
        return hearth_store(mutator, entry, &entry->cell.other, value);
    if (entry != NULL && entry->cell.weak == value)
        return HEARTH_OK;
    if (entry == NULL)
        hg_table_fit(mutator, table);
    void *old = entry != NULL ? entry->cell.weak : NULL;
    hearth_status status = hg_table_add(mutator, table, key, value, hash);
    if (status != HEARTH_OK || old == NULL)
        return status;
    struct hg_table_entry *added =
        hg_load(&table->buckets[hash & (hg_bucket_count(table->buckets) - 1)]);
    for (before = added, entry = hg_entry_next(added); entry != NULL;
         before = entry, entry = hg_entry_next(entry))
        if (entry->hash == hash && entry->cell.weak == old &&
            hg_same(table, entry->cell.other, key)) {
            hg_table_drop(mutator, table, before, entry);
            break;
        }
    return HEARTH_OK;
}

hearth_status hearth_table_put(hearth_mutator *mutator, void *object, void *key, void *value)
{
    struct hg_table *table = hg_table_argument(mutator, object, "hearth_table_put");
    if (table == NULL)
        return hearth_last_status();
    if (key == NULL || (value == NULL && table->kind == HEARTH_TABLE_WEAK_VALUES))
        return ht_fail(HEARTH_EINVAL, "hearth_table_put: %s is NULL",
                       key == NULL ? "key" : "value, in a table with weak values,");
    struct hg_mutator *m = hg_mutator_of(mutator);
    hearth_status status = hg_cell_referent(m, key, "hearth_table_put", "key");
    if (status == HEARTH_OK)
        status = hg_cell_referent(m, value, "hearth_table_put", "value");
    if (status != HEARTH_OK)
        return status;
    HEARTH_FRAME(mutator, frame, 3);
    frame.ref[0] = table;
    frame.ref[1] = key;
    frame.ref[2] = value;
    status = hg_table_set(mutator, table, key, value);
    HEARTH_FRAME_END(mutator, frame);
    return status;
}

bool hearth_table_get(hearth_mutator *mutator, void *object, const void *key, void **value)
{
    struct hg_table *table = hg_table_argument(mutator, object, "hearth_table_get");
    struct hg_table_entry *before;
    if (table == NULL)
        return false;
    if (key == NULL) {
        ht_fail(HEARTH_EINVAL, "hearth_table_get: key is NULL");
        return false;
    }
    hg_table_sweep(mutator, table, HG_TABLE_STEP);
    const struct hg_table_entry *entry = hg_find(table, key, hg_hash(table, key), &before);
    if (entry != NULL && value != NULL)
        *value = hg_entry_value(table, entry);
    return entry != NULL;
}

bool hearth_table_remove(hearth_mutator *mutator, void *object, const void *key)
{
    struct hg_table *table = hg_table_argument(mutator, object, "hearth_table_remove");
    struct hg_table_entry *before;
    if (table == NULL)
        return false;
    if (key == NULL) {
        ht_fail(HEARTH_EINVAL, "hearth_table_remove: key is NULL");
        return false;
    }
    hg_table_sweep(mutator, table, HG_TABLE_STEP);
    struct hg_table_entry *entry = hg_find(table, key, hg_hash(table, key), &before);
    if (entry != NULL)
        hg_table_drop(mutator, table, before, entry);
    return entry != NULL;
}

size_t hearth_table_count(hearth_mutator *mutator, void *object)
{
    struct hg_table *table = hg_table_argument(mutator, object, "hearth_table_count");
    if (table == NULL)
        return 0;
    hg_table_sweep(mutator, table, HG_TABLE_STEP);
    return (size_t)(table->entries - table->dead);
}

/* One bucket's entries; frame[1] holds the one it stands on. */
static bool hg_visit_bucket(hearth_mutator *mutator, struct hg_table *table, size_t bucket,
                            void **held, hearth_table_fn *fn, void *data)
{
    bool more = true;
    struct hg_table_entry *entry = hg_load(&table->buckets[bucket]);
    for (; entry != NULL && more; entry = hg_entry_next(entry)) {
        *held = entry;
        if (entry->cell.weak != NULL)
            more = fn(mutator, hg_entry_key(table, entry), hg_entry_value(table, entry), data);
    }
    return more;
}

hearth_status hearth_table_each(hearth_mutator *mutator, void *object, hearth_table_fn *fn,
                                void *data)
{
    struct hg_table *table = hg_table_argument(mutator, object, "hearth_table_each");
    if (table == NULL)
        return hearth_last_status();
    if (fn == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_table_each: fn is NULL");
    HEARTH_FRAME(mutator, frame, 2);
    frame.ref[0] = table;
    table->visitors++;
    size_t count = hg_bucket_count(table->buckets);
    for (size_t i = 0; i < count; i++)
        if (!hg_visit_bucket(mutator, table, i, &frame.ref[1], fn, data))
            break;
    table->visitors--;
    hg_table_sweep(mutator, table, SIZE_MAX);
    HEARTH_FRAME_END(mutator, frame);
    return HEARTH_OK;
}
