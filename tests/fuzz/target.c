/* tests/fuzz/target.c - one byte string, one heap, one program or several side by side.
 *
 * Invariant: whatever the string, every object that must live is right after each collection asked for,
 * and after the last full one the heap holds nothing. Threads have a model each; they share the heap only. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { OPTIONS_MAX = 512, THREADS_MAX = 3, HEAD = 10 };

struct fuzz_thread {
    struct oracle_heap *heap;
    const uint8_t *data, *end; /* its part of the string                     */
    bool generational;
    bool table; /* its model has a weak table               */
    bool alone; /* no other thread: the heap's counts are exact */
    struct oracle oracle;
    pthread_t thread;
};

/* The first bytes of a string; missing ones are 0. */
struct head {
    uint8_t byte[HEAD];
    size_t used;
};

static unsigned head_below(struct head *head, unsigned bound)
{
    return head->byte[head->used++] % bound;
}

static void head_options(struct head *head, char *options)
{
    static const char *const modes[] = {"auto", "local", "place", "off", "interleave"};
    static const unsigned nodes[] = {0, 1, 2, 4}, stress[] = {0, 0, 3, 17, 100, 1};
    static const char *const limits[] = {"", "", ",heap-limit=24m", ",heap-limit=8m,growth=1.2"};
    static const char *const nurseries[] = {"0", "16k", "64k", "1m"};
    static const unsigned help[] = {0, 100}, workers[] = {1, 1, 1, 2, 3};

#define PICK(table) table[head_below(head, sizeof(table) / sizeof((table)[0]))]
    const char *mode = PICK(modes);
    unsigned flags = head_below(head, 64), node_count = PICK(nodes), stressed = PICK(stress);
    const char *limit = PICK(limits), *nursery = PICK(nurseries);
    snprintf(options, OPTIONS_MAX,
             "fake-nodes=%u,mode=%s,workers=%u,help-after=%u,stress=%u,nursery=%s,"
             "nursery-adaptive=%s,generational=%s,poison=%s,verify=%s,prefetch=%u%s",
             node_count, mode, PICK(workers), PICK(help), stressed, nursery,
             flags & 1 ? "on" : "off", flags & 6 ? "on" : "off", flags & 8 ? "on" : "off",
             (flags & 48) == 48 ? "on" : "off", flags & 1 ? 16 : 1, limit);
#undef PICK
}

/* The next operation; the generation if it was a collection, else -1. */
static int operation(struct fuzz_thread *self)
{
    struct oracle *oracle = &self->oracle;

    fuzz_count(&fuzz_counts->operations);
    if (oracle_below(oracle, 16) == 0) {
        fuzz_misuse(oracle);
        return -1;
    }
    if (self->alone && oracle_below(oracle, 4) == 0) {
        oracle_after_step(oracle);
        return -1;
    }
    int generation = oracle_step(oracle);
    if (oracle->disabled && !self->alone) { /* it is the heap's: others would never collect */
        HARNESS_OK(hearth_gc_enable(oracle->heap->heap));
        oracle->disabled = false;
    }
    return generation;
}

/* After a collection that leaves nothing that is dead. */
static void check_exact(struct fuzz_thread *self)
{
    struct oracle *all[] = {&self->oracle};

    if (!self->alone)
        return;
    if (oracle_after_settle(&self->oracle))
        oracle_check_exact(all, 1);
}

static void *thread_main(void *argument)
{
    struct fuzz_thread *self = argument;
    struct oracle *oracle = &self->oracle;

    oracle_begin(oracle, self->heap, (uint64_t)(self->end - self->data), HEARTH_NODE_AUTO);
    if (self->alone)
        oracle_after_begin(oracle, self->table);
    oracle->input = self->data;
    oracle->input_end = self->end;
    while (oracle->input < oracle->input_end) {
        int generation = operation(self);
        if (generation < 0)
            continue;
        fuzz_count(&fuzz_counts->collections);
        oracle_check(oracle);
        if (generation == 2 || !self->generational)
            check_exact(self);
    }
    oracle_check(oracle);
    HARNESS_OK(hearth_gc_collect(oracle->mutator, 2));
    oracle_check(oracle);
    check_exact(self);
    if (self->alone)
        oracle_after_end(oracle);
    __atomic_fetch_add(&fuzz_counts->no_memory, oracle->failures, __ATOMIC_RELAXED);
    oracle_end(oracle, false);
    return NULL;
}

/* All models have ended: a full collection leaves nothing, whatever they did. */
static void check_empty(struct oracle_heap *heap, uint64_t seed)
{
    struct oracle oracle, *all[] = {&oracle};

    oracle_begin(&oracle, heap, seed, HEARTH_NODE_AUTO);
    HARNESS_OK(hearth_gc_collect(oracle.mutator, 2));
    oracle_check_exact(all, 1);
    HARNESS_OK(hearth_verify(oracle.mutator));
    oracle_end(&oracle, false);
}

static void run_threads(struct oracle_heap *heap, struct fuzz_thread *thread, unsigned count,
                        bool table, const uint8_t *data, size_t size)
{
    for (unsigned i = 0; i < count; i++) {
        thread[i].heap = heap;
        thread[i].data = data + size * i / count;
        thread[i].end = data + size * (i + 1) / count;
        thread[i].generational = strstr(heap->options, "generational=off") == NULL;
        thread[i].alone = count == 1;
        thread[i].table = table;
    }
    if (count == 1) {
        thread_main(thread);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        ck_assert_int_eq(pthread_create(&thread[i].thread, NULL, thread_main, &thread[i]), 0);
    for (unsigned i = 0; i < count; i++)
        pthread_join(thread[i].thread, NULL);
}

void fuzz_string(const uint8_t *data, size_t size)
{
    static struct fuzz_thread thread[THREADS_MAX];
    static const unsigned threads[] = {1, 1, 1, 1, 1, 2, 2, 3};
    struct oracle_heap heap;
    struct head head = {.used = 0};
    char options[OPTIONS_MAX];
    size_t taken = size < HEAD ? size : HEAD;

    memset(thread, 0, sizeof(thread));
    memcpy(head.byte, data, taken);
    head_options(&head, options);
    unsigned mode = head_below(&head, 64);
    oracle_heap_create(&heap, options);
    heap.big = mode % 32 >= 28;
    run_threads(&heap, thread, threads[mode % 8], mode >= 32, data + taken, size - taken);
    check_empty(&heap, size);
    oracle_heap_destroy(&heap);
    fuzz_count(&fuzz_counts->strings);
}
