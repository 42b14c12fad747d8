/* examples/respd/dict.c - the hash table behind the keyspace, sets and hashes.
 *
 * Open addressing with linear probing; a slot has the hash beside the reference, so that a search seldom reads a
 * record it does not want. A removed entry is made good by moving later ones back (Knuth, volume 3, 6.4,
 * algorithm R), so there are no tombstones.
 *
 * Growing is incremental, as in Redis: a second table gets what is added, and every insertion moves a few slots of
 * the first. It is moved by whole clusters, beginning behind an empty slot, so no probe of what is left
 * runs across a gap.
 *
 * Invariants: no key is in both tables; of table[0] all slots between the one where moving began and `next` are
 * empty; there is always an empty slot. Only one thread uses a dict at a time. A dict lies on the node
 * of the thread that made it; each of its tables on the node of the thread that let it grow. */
#include "respd.h"

#include <string.h>

enum { SMALLEST = 4, AT_ONCE = 16, STEP = 8, POLL = 1024 };

struct dict *dict_new(struct worker *w)
{
    return hearth_alloc(w->me, w->server->dict, sizeof(struct dict));
}

uint64_t dict_count(const struct dict *d)
{
    return d->used[0] + d->used[1];
}

static bool same_key(const struct record *record, struct bytes key)
{
    struct bytes other = record_key(record);
    return other.length == key.length && memcmp(other.at, key.at, key.length) == 0;
}

/* The slot of a key, or the empty one where it would be. */
static struct slot *probe(const struct dict *d, int which, struct bytes key, uint64_t hash)
{
    struct slot *table = d->table[which];
    uint64_t mask = d->mask[which], i = hash & mask;
    while (table[i].record != NULL && (table[i].hash != hash || !same_key(table[i].record, key)))
        i = (i + 1) & mask;
    return &table[i];
}

struct record *dict_find(const struct dict *d, struct bytes key, uint64_t hash)
{
    struct record *found = NULL;
    if (d->table[1] != NULL)
        found = probe(d, 1, key, hash)->record;
    if (found == NULL && d->table[0] != NULL)
        found = probe(d, 0, key, hash)->record;
    return found;
}

/* --- moving to a table of another size ------------------------------------------------------------ */

static void move_one(struct worker *w, struct dict *d, struct slot *from)
{
    struct slot *table = d->table[1];
    uint64_t mask = d->mask[1], i = from->hash & mask;
    while (table[i].record != NULL)
        i = (i + 1) & mask;
    table[i].hash = from->hash;
    hearth_store(w->me, table, &table[i].record, from->record);
    hearth_store(w->me, d->table[0], &from->record, NULL);
    d->used[0]--;
    d->used[1]++;
}

/* Move at least `slots` slots, and the cluster begun. */
static void move(struct worker *w, struct dict *d, uint64_t slots)
{
    struct slot *table = d->table[0];
    while (d->left != 0 && (slots != 0 || table[d->next].record != NULL)) {
        if (table[d->next].record != NULL)
            move_one(w, d, &table[d->next]);
        d->next = (d->next + 1) & d->mask[0];
        d->left--;
        slots -= slots != 0;
    }
    if (d->left != 0)
        return;
    hearth_store(w->me, d, &d->table[0], d->table[1]);
    hearth_store(w->me, d, &d->table[1], NULL);
    d->mask[0] = d->mask[1];
    d->used[0] = d->used[1];
    d->used[1] = 0;
}

/* A new table for `count` keys at half load. A safepoint. */
static bool begin_move(struct worker *w, struct dict *d, uint64_t count)
{
    uint64_t size = SMALLEST;
    while (size < count * 2)
        size *= 2;
    struct slot *table = array_new(w, w->server->table, size, sizeof(struct slot));
    if (table == NULL)
        return false;
    if (d->table[0] == NULL) {
        hearth_store(w->me, d, &d->table[0], table);
        d->mask[0] = size - 1;
        return true;
    }
    struct slot *old = d->table[0];
    hearth_store(w->me, d, &d->table[1], table);
    d->mask[1] = size - 1;
    d->next = 0;
    while (old[d->next].record != NULL)
        d->next++;
    d->left = d->mask[0] + 1;
    move(w, d, d->left <= AT_ONCE ? d->left : STEP);
    return true;
}

/* Three quarters may be used; if there is no memory for more, nearly all. */
bool dict_reserve(struct worker *w, struct dict *d, uint64_t count)
{
    uint64_t wanted = dict_count(d) + count;
    if (d->table[1] != NULL) {
        bool enough = wanted <= (d->mask[1] + 1) / 4 * 3;
        move(w, d, enough ? STEP * count : d->left);
        if (enough)
            return true;
    }
    uint64_t size = d->table[0] == NULL ? 0 : d->mask[0] + 1;
    if (wanted <= size / 4 * 3)
        return true;
    return begin_move(w, d, wanted) || wanted < size - size / 16;
}

void dict_tend(struct worker *w, struct dict *d, uint64_t slots)
{
    if (d->table[1] != NULL)
        move(w, d, slots);
    else if (d->table[0] != NULL && d->mask[0] > AT_ONCE && dict_count(d) < d->mask[0] / 10)
        begin_move(w, d, dict_count(d)); /* without memory: another time */
}

/* --- changing ------------------------------------------------------------------------------------- */

struct record *dict_put(struct worker *w, struct dict *d, struct record *record, uint64_t hash)
{
    struct bytes key = record_key(record);
    int which = 0;
    struct slot *slot = probe(d, 0, key, hash);
    if (d->table[1] != NULL && slot->record == NULL) {
        which = 1;
        slot = probe(d, 1, key, hash);
    }
    struct record *old = slot->record;
    slot->hash = hash;
    hearth_store(w->me, d->table[which], &slot->record, record);
    d->used[which] += old == NULL;
    return old;
}

static void remove_slot(struct worker *w, struct dict *d, int which, uint64_t hole)
{
    struct slot *table = d->table[which];
    uint64_t mask = d->mask[which];
    for (uint64_t i = (hole + 1) & mask; table[i].record != NULL; i = (i + 1) & mask) {
        uint64_t from_home = (i - table[i].hash) & mask, from_hole = (i - hole) & mask;
        if (from_home < from_hole)
            continue;
        table[hole].hash = table[i].hash;
        hearth_store(w->me, table, &table[hole].record, table[i].record);
        hole = i;
    }
    hearth_store(w->me, table, &table[hole].record, NULL);
    d->used[which]--;
}

struct record *dict_remove(struct worker *w, struct dict *d, struct bytes key, uint64_t hash)
{
    for (int which = 0; which < 2; which++) {
        if (d->table[which] == NULL)
            continue;
        struct slot *slot = probe(d, which, key, hash);
        struct record *record = slot->record;
        if (record == NULL)
            continue;
        remove_slot(w, d, which, (uint64_t)(slot - (struct slot *)d->table[which]));
        return record;
    }
    return NULL;
}

void dict_clear(struct worker *w, struct dict *d)
{
    for (int which = 0; which < 2; which++) {
        hearth_store(w->me, d, &d->table[which], NULL);
        d->mask[which] = d->used[which] = 0;
    }
    d->left = 0;
}

uint64_t dict_purge(struct worker *w, struct dict *d, uint64_t *next, uint64_t slots,
                    dict_doomed *doomed)
{
    uint64_t removed = 0;
    for (int which = 0; which < 2; which++) {
        struct slot *table = d->table[which];
        for (uint64_t n = 0; table != NULL && n < slots && n <= d->mask[which]; n++) {
            uint64_t i = (*next + n) & d->mask[which];
            while (table[i].record != NULL && doomed(w, table[i].record)) {
                remove_slot(w, d, which, i);
                removed++;
            }
        }
    }
    *next += slots;
    return removed;
}

/* --- looking at all ------------------------------------------------------------------------------- */

/* Long: other loops do not wait for the end of it. */
void dict_each(struct worker *w, struct dict *d, dict_fn *fn, void *data)
{
    for (int which = 0; which < 2; which++) {
        struct slot *table = d->table[which];
        for (uint64_t i = 0; table != NULL && i <= d->mask[which]; i++) {
            if (table[i].record != NULL)
                fn(w, table[i].record, data);
            if (i % POLL == POLL - 1)
                hearth_safepoint(w->me);
        }
    }
}

/* The entries whose hash leads to slot `home`: they lie there or behind it, before the next empty slot. */
static void show_home(struct worker *w, struct dict *d, int which, uint64_t home, dict_fn *fn,
                      void *data)
{
    struct slot *table = d->table[which];
    uint64_t mask = d->mask[which];
    home &= mask;
    for (uint64_t i = home; table[i].record != NULL; i = (i + 1) & mask)
        if ((table[i].hash & mask) == home)
            fn(w, table[i].record, data);
}

static uint64_t reversed(uint64_t word)
{
    word = __builtin_bswap64(word);
    word = (word >> 4 & 0x0f0f0f0f0f0f0f0fu) | (word & 0x0f0f0f0f0f0f0f0fu) << 4;
    word = (word >> 2 & 0x3333333333333333u) | (word & 0x3333333333333333u) << 2;
    return (word >> 1 & 0x5555555555555555u) | (word & 0x5555555555555555u) << 1;
}

/* Count upwards from the highest bit of the mask down (Pieter Noordhuis' scan of Redis): what was shown of a table
 * of one size stays shown when the size doubles or halves. */
static uint64_t next_cursor(uint64_t cursor, uint64_t mask)
{
    return reversed(reversed(cursor | ~mask) + 1);
}

/* While moving, for one home of the smaller table all those of the larger that it becomes. */
uint64_t dict_scan(struct worker *w, struct dict *d, uint64_t cursor, dict_fn *fn, void *data)
{
    if (d->table[0] == NULL)
        return 0;
    if (d->table[1] == NULL) {
        show_home(w, d, 0, cursor, fn, data);
        return next_cursor(cursor, d->mask[0]);
    }
    int small = d->mask[0] <= d->mask[1] ? 0 : 1, large = 1 - small;
    uint64_t low = d->mask[small], high = d->mask[large];
    show_home(w, d, small, cursor, fn, data);
    do {
        show_home(w, d, large, cursor, fn, data);
        cursor = next_cursor(cursor, high);
    } while ((cursor & (low ^ high)) != 0);
    return cursor;
}
