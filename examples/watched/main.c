/* examples/watched/main.c - a program to be watched: a cache that turns over, on every node, for some seconds.
 *
 * usage: watched [SECONDS [MAP]]
 * One thread a node keeps a table of entries of many sizes, replaces some of them all the time, and now and then
 * makes a large one. At the end the first thread writes a heap map, if asked to. Used by docs/observability.md:
 *
 *     HEARTH_OPTIONS=stats-page=on,trace=trace.json build/examples/watched 5 heap.map & build/hearth-top $!
 */
#define _GNU_SOURCE
#include <hearth.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ENTRIES = 20000, THREADS = 64, STEPS = 1000 };

struct entry {
    void *value; /* bytes    */
    void *other; /* an entry, perhaps of another thread */
    uint64_t number;
};

struct shared {
    hearth_heap *heap;
    hearth_type table_type, entry_type, bytes_type;
    void *table[THREADS]; /* roots; a thread's own                          */
    int threads;
    atomic_int stored; /* tables that are there                          */
    double until;      /* of the monotonic clock, seconds                */
    const char *map;
};

struct thread {
    struct shared *shared;
    int node;
    uint64_t random;
    hearth_status status;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t next(struct thread *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

/* Mostly small; one in ten thousand is large. */
static size_t some_size(struct thread *t)
{
    uint64_t r = next(t);
    if (r % 10000 == 0)
        return 100000 + r % 400000;
    return (size_t)16 << (r >> 16) % 7;
}

/* An entry at a random place of the thread's table; false: no memory. */
static bool replace_one(struct thread *t, hearth_mutator *m)
{
    struct shared *s = t->shared;
    bool made = false;
    HEARTH_FRAME(m, f, 1);
    f.ref[0] = hearth_new(m, s->entry_type);
    void *value = f.ref[0] != NULL ? hearth_new_array(m, s->bytes_type, some_size(t)) : NULL;
    if (value != NULL) {
        struct entry *entry = f.ref[0];
        void **table = s->table[t->node], **others = s->table[next(t) % (uint64_t)s->threads];
        hearth_store(m, entry, &entry->value, value);
        if (next(t) % 8 == 0 && others != NULL) {
            struct entry *other = others[next(t) % ENTRIES];
            if (other != NULL && other->other == NULL) /* chains stay short */
                hearth_store(m, entry, &entry->other, other);
        }
        hearth_store(m, table, &table[next(t) % ENTRIES], entry);
        made = true;
    }
    HEARTH_FRAME_END(m, f);
    return made;
}

static hearth_status churn(struct thread *t, hearth_mutator *m)
{
    struct shared *s = t->shared;
    void *table = hearth_new_array(m, s->table_type, ENTRIES);
    if (table == NULL)
        return hearth_last_status();
    s->table[t->node] = table;
    atomic_fetch_add(&s->stored, 1);
    while (atomic_load(&s->stored) < s->threads)
        hearth_safepoint(m);
    do {
        for (int i = 0; i < STEPS; i++)
            if (!replace_one(t, m))
                return hearth_last_status();
    } while (now() < s->until);
    if (t->node == 0 && s->map != NULL)
        return hearth_heap_map_file(m, s->map);
    return HEARTH_OK;
}

static void *run(void *argument)
{
    struct thread *t = argument;
    hearth_mutator *m;
    hearth_attach_options options = {.struct_size = sizeof options, .node = t->node};
    hearth_topology_bind_thread(hearth_heap_topology(t->shared->heap), t->node);
    t->status = hearth_attach(t->shared->heap, &options, &m);
    if (t->status == HEARTH_OK) {
        t->status = churn(t, m);
        if (t->status != HEARTH_OK)
            fprintf(stderr, "watched: thread %d: %s\n", t->node, hearth_last_error());
        hearth_detach(m);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct shared s;
    static struct thread thread[THREADS];
    pthread_t id[THREADS];
    bool good = true;
    if (hearth_heap_create(&s.heap, NULL) != HEARTH_OK ||
        hearth_type_refs(s.heap, "table", &s.table_type) != HEARTH_OK ||
        hearth_type_fixed(s.heap, "entry", sizeof(struct entry), 3, &s.entry_type) != HEARTH_OK ||
        hearth_type_bytes(s.heap, "bytes", &s.bytes_type) != HEARTH_OK) {
        fprintf(stderr, "watched: %s\n", hearth_last_error());
        return 1;
    }
    s.threads = hearth_topology_nodes(hearth_heap_topology(s.heap));
    s.until = now() + (argc > 1 ? atof(argv[1]) : 2);
    s.map = argc > 2 ? argv[2] : NULL;
    for (int i = 0; i < s.threads; i++) {
        good = good && hearth_root_add(s.heap, &s.table[i]) == HEARTH_OK;
        thread[i] = (struct thread){&s, i, 88172645463325252ull + (uint64_t)i, HEARTH_OK};
    }
    int started = 0;
    while (good && started < s.threads &&
           pthread_create(&id[started], NULL, run, &thread[started]) == 0)
        started++;
    if (started < s.threads) {
        fprintf(stderr, "watched: %d of %d threads started\n", started, s.threads);
        return 1;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(id[i], NULL);
        good = good && thread[i].status == HEARTH_OK;
    }
    hearth_stats stats = {.struct_size = sizeof stats};
    if (hearth_get_stats(s.heap, &stats) == HEARTH_OK)
        printf("%d threads, %.0f MB allocated, %.1f MB live, %llu collections\n", s.threads,
               (double)stats.allocated_bytes / 1048576, (double)stats.live_bytes / 1048576,
               (unsigned long long)(stats.minor_count + stats.full_count));
    for (int i = 0; i < s.threads; i++)
        good = hearth_root_remove(s.heap, &s.table[i]) == HEARTH_OK && good;
    return hearth_heap_destroy(s.heap) == HEARTH_OK && good ? 0 : 1;
}
