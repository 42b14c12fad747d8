/* examples/respd/store.c - the keyspace: shards and their locks, keys that expire.
 *
 * Invariants: the dict of a shard is a root and exists from store_start on. A shard is touched under its lock;
 * with a single loop there is nobody to lock out, and locks are left alone. `mortal` is at least the number of
 * the shard's keys that have a time to live.
 *
 * Locks: ascending. Who must wait does so in a native section: the holder may be waiting for a collection,
 * which waits for everybody who is not in one. Who gets the lock while a collection runs stands in
 * hearth_native_end until it is over; the collector needs no shard lock, so that ends.
 *
 * Nodes: records lie where the loop that wrote them runs; a dict where the first loop runs. */
#include "respd.h"

enum { TEND_SLOTS = 512, SEARCH_SLOTS = 1024, LARGE = 4096 };

/* The shards, and what commands have made and not stored yet. */
static void visit_roots(void *data, hearth_visitor *visitor)
{
    struct server *server = data;
    for (int i = 0; i < SHARDS; i++)
        hearth_visit(visitor, &server->shard[i].dict);
    for (int i = 0; i < server->workers; i++)
        for (size_t k = 0; k < server->worker[i].kept_count; k++)
            hearth_visit(visitor, &server->worker[i].kept[k]);
}

/* On the thread of `w`, before there are others. */
bool store_start(struct worker *w)
{
    struct server *server = w->server;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&server->shard[i].lock, NULL);
    bool good = hearth_root_provider_add(server->heap, visit_roots, server) == HEARTH_OK;
    for (int i = 0; i < SHARDS && good; i++)
        good = (server->shard[i].dict = dict_new(w)) != NULL;
    return good;
}

void store_end(struct server *server)
{
    hearth_root_provider_remove(server->heap, visit_roots, server);
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&server->shard[i].lock);
}

/* The highest bits: the lowest choose the slot. */
struct shard *store_shard(struct worker *w, uint64_t hash)
{
    return &w->server->shard[hash >> (64 - SHARD_BITS)];
}

uint64_t store_hash(struct worker *w, struct bytes key)
{
    return hash_bytes(w->server->seed, key);
}

void store_lock(struct worker *w, uint64_t mask)
{
    if (w->server->workers == 1)
        return;
    for (; mask != 0; mask &= mask - 1) {
        pthread_mutex_t *lock = &w->server->shard[__builtin_ctzll(mask)].lock;
        if (pthread_mutex_trylock(lock) == 0)
            continue;
        hearth_native_begin(w->me);
        pthread_mutex_lock(lock);
        hearth_native_end(w->me);
    }
}

void store_unlock(struct worker *w, uint64_t mask)
{
    if (w->server->workers == 1)
        return;
    for (; mask != 0; mask &= mask - 1)
        pthread_mutex_unlock(&w->server->shard[__builtin_ctzll(mask)].lock);
}

/* What is let go counts: after a refusal for want of memory, writing is tried again when it was much. */
static void let_go(struct worker *w, struct shard *shard, struct record *record)
{
    if (record == NULL)
        return;
    shard->mortal -= record->expires != 0;
    w->freed += record->key_length + sizeof *record;
    if (record->kind == STRING)
        w->freed += record->value_length;
    else
        w->freed += LARGE;
}

bool store_expired(struct worker *w, struct record *record)
{
    return record->expires != 0 && record->expires <= w->now;
}

struct record *store_find(struct worker *w, struct bytes key, uint64_t hash)
{
    struct shard *shard = store_shard(w, hash);
    struct record *record = dict_find(shard->dict, key, hash);
    if (record == NULL || !store_expired(w, record))
        return record;
    let_go(w, shard, dict_remove(w, shard->dict, key, hash));
    __atomic_fetch_add(&w->server->expired, 1, __ATOMIC_RELAXED);
    return NULL;
}

bool store_reserve(struct worker *w, uint64_t hash, uint64_t count)
{
    return dict_reserve(w, store_shard(w, hash)->dict, count);
}

void store_put(struct worker *w, struct record *record, uint64_t hash)
{
    struct shard *shard = store_shard(w, hash);
    shard->mortal += record->expires != 0;
    struct record *old = dict_put(w, shard->dict, record, hash);
    if (old != NULL)
        shard->mortal -= old->expires != 0;
}

/* When the record, which is in the store, expires; 0: never. */
void store_expire(struct worker *w, struct record *record, uint64_t hash, int64_t when)
{
    struct shard *shard = store_shard(w, hash);
    shard->mortal -= record->expires != 0;
    shard->mortal += when != 0;
    record->expires = when;
}

bool store_delete(struct worker *w, struct bytes key, uint64_t hash)
{
    struct shard *shard = store_shard(w, hash);
    struct record *record = dict_remove(w, shard->dict, key, hash);
    if (record == NULL)
        return false;
    bool was_there = !store_expired(w, record);
    let_go(w, shard, record);
    return was_there;
}

/* Needs no memory: it must work when there is none. */
void store_flush(struct worker *w)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &w->server->shard[i];
        dict_clear(w, shard->dict);
        shard->mortal = 0;
        shard->expire_next = 0;
    }
    w->freed = UINT64_MAX / 2;
}

/* All shards must be locked. */
uint64_t store_count(struct server *server, uint64_t *mortal)
{
    uint64_t count = 0;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &server->shard[i];
        count += dict_count(shard->dict);
        if (mortal != NULL)
            *mortal += shard->mortal;
    }
    return count;
}

/* An expired record found by the search; what it was is counted by the caller. */
static bool doomed(struct worker *w, struct record *record)
{
    if (!store_expired(w, record))
        return false;
    let_go(w, store_shard(w, store_hash(w, record_key(record))), record);
    return true;
}

static void tend_shard(struct worker *w, int i)
{
    struct shard *shard = &w->server->shard[i];
    store_lock(w, (uint64_t)1 << i);
    dict_tend(w, shard->dict, TEND_SLOTS);
    if (shard->mortal != 0) {
        uint64_t removed = dict_purge(w, shard->dict, &shard->expire_next, SEARCH_SLOTS, doomed);
        __atomic_fetch_add(&w->server->expired, removed, __ATOMIC_RELAXED);
    }
    store_unlock(w, (uint64_t)1 << i);
    hearth_safepoint(w->me);
}

/* Each loop tends its share of the shards. */
void store_tend(struct worker *w)
{
    for (int i = w->number; i < SHARDS; i += w->server->workers)
        tend_shard(w, i);
}
