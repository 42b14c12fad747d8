/* tests/embed.c - a small embedder, in the common subset of C11 and C++17.
 *
 * Uses only <hearth.h> and the libraries as installed. It is compiled as strict C11 here and as C++17
 * by test_cxx.cc, with the archive and with the shared library, plain and with HEARTH_CHECKED: a
 * header that is not valid in one of them, or an inline path that needs a hidden symbol, fails. */
#include <hearth.h>

#include <stdio.h>
#include <string.h>

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s (last error: %s)\n", __FILE__, __LINE__,          \
                    #condition, hearth_last_error());                                              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

enum { EMBED_NODES = 1000, EMBED_ELEMENTS = 100, EMBED_GARBAGE = 200000 };

struct embed_node {
    void *next;    /* struct embed_node * */
    size_t number; /* 0 .. EMBED_NODES-1  */
};

struct embed_types {
    hearth_type node; /* struct embed_node       */
    hearth_type refs; /* arrays of references    */
};

/* A list of EMBED_NODES nodes in *list; highest number first. 0 or 1. */
static int embed_build_list(hearth_mutator *mutator, hearth_type type, void **list)
{
    for (size_t i = 0; i < EMBED_NODES; i++) {
        struct embed_node *node =
            (struct embed_node *)hearth_alloc(mutator, type, sizeof(struct embed_node));
        EXPECT(node != NULL);
        node->number = i;
        hearth_store_init(&node->next, *list);
        *list = node;
    }
    return 0;
}

/* Stores the list's first nodes into an array's elements, through the barrier. 0 or 1. */
static int embed_fill_array(hearth_mutator *mutator, void **array, void *list)
{
    for (size_t i = 0; i < EMBED_ELEMENTS; i++) {
        EXPECT(hearth_store(mutator, array, &array[i], list) == HEARTH_OK);
        list = ((struct embed_node *)list)->next;
    }
    return 0;
}

/* Everything that was built is still there. 0 or 1. */
static int embed_check_list(void *list, void **array)
{
    size_t number = EMBED_NODES;
    for (struct embed_node *node = (struct embed_node *)list; node != NULL;
         node = (struct embed_node *)node->next) {
        EXPECT(node->number == --number);
        size_t element = EMBED_NODES - 1 - number;
        EXPECT(element >= EMBED_ELEMENTS || array[element] == node);
    }
    EXPECT(number == 0);
    return 0;
}

/* Builds a list and an array, makes garbage, collects, and looks at them again. 0 or 1. */
static int embed_use_heap(hearth_heap *heap, hearth_mutator *mutator, struct embed_types types)
{
    int wrong = 0;
    HEARTH_FRAME(mutator, frame, 2);
    wrong |= embed_build_list(mutator, types.node, &frame.ref[0]);
    frame.ref[1] = hearth_alloc_array(mutator, types.refs, EMBED_ELEMENTS);
    EXPECT(frame.ref[1] != NULL);
    EXPECT(hearth_gc_collect(mutator, 1) == HEARTH_OK);
    wrong |= embed_fill_array(mutator, (void **)frame.ref[1], frame.ref[0]);
    for (size_t i = 0; i < EMBED_GARBAGE; i++)
        EXPECT(hearth_alloc(mutator, types.node, sizeof(struct embed_node)) != NULL);
    hearth_safepoint(mutator);
    EXPECT(hearth_gc_collect(mutator, 2) == HEARTH_OK);
    EXPECT(hearth_length(heap, frame.ref[1]) == EMBED_ELEMENTS);
    EXPECT(hearth_node_of(heap, frame.ref[0]) >= 0);
    wrong |= embed_check_list(frame.ref[0], (void **)frame.ref[1]);
    HEARTH_FRAME_END(mutator, frame);
    return wrong;
}

/* The heap counted what happened, and a wrong argument is named. 0 or 1. */
static int embed_check_answers(hearth_heap *heap, hearth_mutator *mutator)
{
    hearth_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    EXPECT(hearth_get_stats(heap, &stats) == HEARTH_OK);
    EXPECT(stats.minor_count >= 1 && stats.full_count >= 1);
    EXPECT(stats.live_objects == EMBED_NODES + 1);
    EXPECT(hearth_gc_collect(mutator, 7) == HEARTH_EINVAL);
    EXPECT(hearth_last_status() == HEARTH_EINVAL && strstr(hearth_last_error(), "7") != NULL);
    EXPECT(strcmp(hearth_version(), HEARTH_VERSION) == 0);
    return 0;
}

/* The life of a heap with one mutator. 0 if everything held. */
static int embed_run(void)
{
    hearth_options *options = NULL;
    hearth_heap *heap = NULL;
    hearth_mutator *mutator = NULL;
    struct embed_types types = {0, 0};
    EXPECT(hearth_options_create(&options) == HEARTH_OK);
    EXPECT(hearth_options_set(options, "heap-limit", "64m") == HEARTH_OK);
    EXPECT(hearth_heap_create(&heap, options) == HEARTH_OK);
    hearth_options_destroy(options);
    EXPECT(hearth_attach(heap, NULL, &mutator) == HEARTH_OK);
    EXPECT(hearth_type_fixed(heap, "node", sizeof(struct embed_node), 1, &types.node) == HEARTH_OK);
    EXPECT(hearth_type_refs(heap, "refs", &types.refs) == HEARTH_OK);
    if (embed_use_heap(heap, mutator, types) != 0 || embed_check_answers(heap, mutator) != 0)
        return 1;
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    EXPECT(hearth_heap_destroy(heap) == HEARTH_OK);
    return 0;
}

#ifndef __cplusplus
int main(void)
{
    return embed_run();
}
#endif
