/* tests/trace_fixture.h - a heap with one mutator and a few types, for the tests of collecting. */
#ifndef HEARTH_TESTS_TRACE_FIXTURE_H
#define HEARTH_TESTS_TRACE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/meta.h"
#include "gc/card.h"
#include "gc/crew.h"
#include "gc/heap.h"
#include "gc/trace.h"
#include "tests/harness.h"
#include "topology/os.h"

/* 24 bytes: two references and a number. */
struct item {
    void *next;
    void *other;
    uint64_t number;
};

struct fixture {
    hearth_heap *heap;
    hearth_mutator *m;
    hearth_type item;  /* struct item              */
    hearth_type refs;  /* array of references      */
    hearth_type leaf;  /* 24 bytes, no references  */
    hearth_type bytes; /* array of bytes           */
};

static inline void fixture_open(struct fixture *f, const char *options)
{
    hearth_options *set = NULL;

    unsetenv("HEARTH_OPTIONS");
    memset(f, 0, sizeof(*f));
    HARNESS_OK(hearth_options_create(&set));
    HARNESS_OK(harness_parse(set, options));
    HARNESS_OK(hearth_heap_create(&f->heap, set));
    hearth_options_destroy(set);
    HARNESS_OK(hearth_type_fixed(f->heap, "item", sizeof(struct item), 0x3, &f->item));
    HARNESS_OK(hearth_type_refs(f->heap, "refs", &f->refs));
    HARNESS_OK(hearth_type_leaf(f->heap, "leaf", 24, &f->leaf));
    HARNESS_OK(hearth_type_bytes(f->heap, "bytes", &f->bytes));
    const hearth_attach_options attach = {.struct_size = sizeof(attach), .node = 0};
    HARNESS_OK(hearth_attach(f->heap, &attach, &f->m));
}

/* The calling thread runs on node 0 from now on, where the fixture's mutator allocates: for tests that
 * count what is local. Heaps made later see only that node. */
static inline void fixture_stay_home(const struct fixture *f)
{
    HARNESS_OK(hearth_topology_bind_thread(f->heap->topology, 0));
}

static inline void fixture_close(struct fixture *f)
{
    HARNESS_OK(hearth_detach(f->m));
    HARNESS_OK(hearth_heap_destroy(f->heap));
}

/* A new item in front of *list, which is a root. */
static inline struct item *fixture_push(struct fixture *f, void **list, uint64_t number)
{
    struct item *item = hearth_alloc(f->m, f->item, sizeof(*item));

    EXPECT(item != NULL);
    item->number = number;
    hearth_store_init(&item->next, *list);
    *list = item;
    return item;
}

/* The list holds `count` items, numbered from count - 1 down to 0. */
static inline void fixture_expect_list(const void *list, uint64_t count)
{
    for (const struct item *item = list; item != NULL; item = item->next) {
        EXPECT(count > 0);
        count--;
        EXPECT(item->number == count);
    }
    EXPECT(count == 0);
}

static inline struct item *fixture_item_on(struct fixture *f, int node)
{
    struct item *item = hearth_new_on(f->m, f->item, 0, node);

    EXPECT(item != NULL);
    return item;
}

static inline int nodes_of(const struct fixture *f)
{
    return f->heap->topology->nodes;
}

/* In front of *list, items whose links change the node every `same` items. */
static inline void fixture_list_on(struct fixture *f, void **list, uint64_t count, int nodes,
                                   uint64_t same)
{
    for (uint64_t i = 0; i < count; i++) {
        struct item *item = fixture_item_on(f, (int)(i / same % (uint64_t)nodes));
        item->number = i;
        hearth_store_init(&item->next, *list);
        *list = item;
    }
}

static inline void *fixture_refs(struct fixture *f, size_t count)
{
    void *array = hearth_new_array(f->m, f->refs, count);

    EXPECT(array != NULL);
    return array;
}

static inline uint64_t fixture_header(const void *object)
{
    return __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED);
}

static inline bool fixture_is_old(const void *object)
{
    return fixture_header(object) & HEARTH_OBJECT_OLD;
}

static inline hearth_collection fixture_last(const struct fixture *f)
{
    hearth_collection last = {.struct_size = sizeof(last)};

    HARNESS_OK(hearth_last_collection(f->heap, &last));
    return last;
}

static inline hearth_stats fixture_stats(const struct fixture *f)
{
    hearth_stats stats = {.struct_size = sizeof(stats)};

    HARNESS_OK(hearth_get_stats(f->heap, &stats));
    return stats;
}

/* Collect, and return what was done. */
static inline hearth_collection fixture_collect(struct fixture *f, int generation)
{
    HARNESS_OK(hearth_gc_collect(f->m, generation));
    return fixture_last(f);
}

/* No node gives memory any more for the collector's buffers (nor for blocks) until disarmed. */
static inline void fixture_exhaust(struct fixture *f)
{
    struct hg_mail *mail = &f->heap->trace->mail;

    ht_fault_arm(HT_FAULT_RESERVE, 1, true);
    for (int n = 0; n < f->heap->space.nodes; n++)
        while (ha_meta_take(f->heap->space.windows, n, HG_SLAB) != NULL)
            ;
    for (int n = 0; n < mail->nodes; n++)
        while (hg_batch_take(mail, n) != NULL)
            ;
}

static inline int fixture_nodes(const struct fixture *f)
{
    return f->heap->topology->nodes;
}

#endif
