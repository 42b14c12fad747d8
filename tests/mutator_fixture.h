/* tests/mutator_fixture.h - heaps, types and threads for the tests of the mutator's side and of the
 * public interface.
 *
 * A fixture is one heap with the calling thread attached and a few types. Options are given as text,
 * on top of a limit of 256 MiB; HEARTH_OPTIONS from the environment still overrides them, so that
 * all tests can be run with verify=on,stress=1. Tests that count collections or bytes call
 * fixture_alone first. Not thread-safe but for what is said to be. */
#ifndef HEARTH_TESTS_MUTATOR_FIXTURE_H
#define HEARTH_TESTS_MUTATOR_FIXTURE_H

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gc/heap.h"
#include "hearth.h"
#include "tests/harness.h"
#include "topology/os.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FIXTURE_SANITIZED 1 /* resident memory says nothing */
#else
#define FIXTURE_SANITIZED 0
#endif

enum { FIXTURE_KIB = 1 << 10, FIXTURE_MIB = 1 << 20 };

/* Two references, a number and a word that is no reference. */
struct fixture_node {
    void *left;
    void *right;
    uint64_t value;
    uint64_t raw;
};

struct fixture {
    hearth_heap *heap;
    hearth_mutator *mutator; /* of the thread that opened it       */
    hearth_type node;        /* struct fixture_node                */
    hearth_type refs;        /* arrays of references               */
    hearth_type bytes;       /* arrays of bytes                    */
};

/* Without what the operator asked for in the environment: for exact counts. */
static inline void fixture_alone(void)
{
    unsetenv("HEARTH_OPTIONS");
}

static inline hearth_status fixture_try_heap(hearth_heap **out, const char *text)
{
    hearth_options *options = NULL;
    hearth_status status = hearth_options_create(&options);

    if (status == HEARTH_OK)
        status = hearth_options_set(options, "heap-limit", "256m");
    if (status == HEARTH_OK && text != NULL)
        status = harness_parse(options, text);
    if (status == HEARTH_OK)
        status = hearth_heap_create(out, options);
    hearth_options_destroy(options);
    return status;
}

static inline hearth_heap *fixture_heap(const char *text)
{
    hearth_heap *heap = NULL;

    HARNESS_OK(fixture_try_heap(&heap, text));
    ck_assert_ptr_nonnull(heap);
    return heap;
}

static inline hearth_mutator *fixture_attach(hearth_heap *heap)
{
    hearth_mutator *mutator = NULL;
    hearth_status status = hearth_attach(heap, NULL, &mutator);

    EXPECT(status == HEARTH_OK && mutator != NULL);
    return mutator;
}

/* Scans this thread's registers and stack. */
static inline hearth_mutator *fixture_attach_conservative(hearth_heap *heap)
{
    hearth_attach_options options = {
        .struct_size = sizeof options, .node = HEARTH_NODE_AUTO, .conservative = true};
    hearth_mutator *mutator = NULL;
    hearth_status status = hearth_attach(heap, &options, &mutator);

    EXPECT(status == HEARTH_OK && mutator != NULL);
    return mutator;
}

static inline void fixture_types(struct fixture *f)
{
    HARNESS_OK(hearth_type_fixed(f->heap, "node", sizeof(struct fixture_node), 3, &f->node));
    HARNESS_OK(hearth_type_refs(f->heap, "refs", &f->refs));
    HARNESS_OK(hearth_type_bytes(f->heap, "bytes", &f->bytes));
}

static inline struct fixture fixture_open(const char *text)
{
    struct fixture f = {.heap = fixture_heap(text)};

    f.mutator = fixture_attach(f.heap);
    fixture_types(&f);
    return f;
}

static inline struct fixture fixture_open_conservative(const char *text)
{
    struct fixture f = {.heap = fixture_heap(text)};

    f.mutator = fixture_attach_conservative(f.heap);
    fixture_types(&f);
    return f;
}

static inline void fixture_close(struct fixture *f)
{
    HARNESS_OK(hearth_verify(f->mutator));
    HARNESS_OK(hearth_detach(f->mutator));
    HARNESS_OK(hearth_heap_destroy(f->heap));
}

static inline struct fixture_node *fixture_new(hearth_mutator *mutator, hearth_type type,
                                               uint64_t value)
{
    struct fixture_node *node = hearth_alloc(mutator, type, sizeof *node);

    EXPECT(node != NULL);
    node->value = value;
    return node;
}

/* A list of `count` nodes through `left`, values count-1 .. 0, kept in *root while it is made. */
static inline void fixture_list(hearth_mutator *mutator, hearth_type type, size_t count,
                                void **root)
{
    for (size_t i = 0; i < count; i++) {
        struct fixture_node *node = fixture_new(mutator, type, i);

        hearth_store_init(&node->left, *root);
        *root = node;
    }
}

static inline void fixture_check_list(const void *root, size_t count)
{
    for (const struct fixture_node *node = root; node != NULL; node = node->left) {
        EXPECT(count > 0);
        EXPECT(node->value == --count);
    }
    EXPECT(count == 0);
}

static inline void fixture_garbage(hearth_mutator *mutator, hearth_type type, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)fixture_new(mutator, type, i);
}

static inline void fixture_collect(hearth_mutator *mutator, int generation)
{
    hearth_status status = hearth_gc_collect(mutator, generation);

    EXPECT(status == HEARTH_OK);
}

static inline hearth_stats fixture_stats(hearth_heap *heap)
{
    hearth_stats stats = {.struct_size = sizeof stats};
    hearth_status status = hearth_get_stats(heap, &stats);

    EXPECT(status == HEARTH_OK);
    return stats;
}

static inline void fixture_sleep_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* Threads of the process. */
static inline int fixture_threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    int count = -2; /* . and .. */

    EXPECT(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Resident bytes. */
static inline size_t fixture_resident(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    EXPECT(file != NULL && fscanf(file, "%lu %lu", &total, &resident) == 2);
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Is any byte of the memory not zero? */
static inline bool fixture_is_zero(const void *memory, size_t bytes)
{
    const char *at = memory;

    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

#endif
