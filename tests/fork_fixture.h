/* tests/fork_fixture.h - children that must work: started, watched and joined. */
#ifndef HEARTH_TESTS_FORK_FIXTURE_H
#define HEARTH_TESTS_FORK_FIXTURE_H

#include <sys/wait.h>

#include "tests/mutator_fixture.h"

enum { LIST = 3000, PATIENCE_S = 60 };

/* EXPECT would write to the runner's pipe: a child says it on standard error. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "\nchild, line %d: %s; last error: %s\n", __LINE__, #condition,        \
                    hearth_last_error());                                                          \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* ThreadSanitizer ends a child in which a thread gets the id of one that is gone ("dup thread with used id").
 * With it children do nothing, and what is looked at is the parent. AddressSanitizer's allocator (of gcc 12) is not
 * prepared for forks: if another thread is inside of it, the child waits for its lock for ever. With it children
 * do nothing where other threads allocate (CROWDED, defined before this file is included). */
#if defined(__SANITIZE_THREAD__) || (defined(__SANITIZE_ADDRESS__) && defined(CROWDED))
#define CHILDREN_LIVE 0
#else
#define CHILDREN_LIVE 1
#endif

/* Run `body` in a child, which must return and leave with status 0. A child that hangs is killed. */
static inline pid_t start_child(void (*body)(void *), void *data)
{
    pid_t child;

    fflush(NULL);
    child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_S);
        if (CHILDREN_LIVE)
            body(data);
        _exit(0);
    }
    return child;
}

static inline void join_child(pid_t child)
{
    int status = 0;

    EXPECT(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        ck_abort_msg("the child ended with status 0x%x", (unsigned)status);
}

struct state {
    struct fixture f;
    void *list; /* a global root: LIST nodes */
    int depth;  /* forks still to come       */
};

static inline void hold_list(const void *list, size_t count)
{
    for (const struct fixture_node *node = list; node != NULL; node = node->left) {
        HOLDS(count > 0);
        HOLDS(node->value == --count);
    }
    HOLDS(count == 0);
}

static inline void *visitor_thread(void *data)
{
    struct state *s = data;
    hearth_mutator *m = NULL;

    HOLDS(hearth_attach(s->f.heap, NULL, &m) == HEARTH_OK);
    for (int i = 0; i < 2000; i++)
        HOLDS(hearth_new(m, s->f.node) != NULL);
    HOLDS(hearth_gc_collect(m, 2) == HEARTH_OK);
    return NULL;
}

static inline void use_threads(struct state *s)
{
    pthread_t threads[2];

    HOLDS(hearth_native_begin(s->f.mutator) == HEARTH_OK);
    for (int i = 0; i < 2; i++)
        HOLDS(pthread_create(&threads[i], NULL, visitor_thread, s) == 0);
    for (int i = 0; i < 2; i++)
        HOLDS(pthread_join(threads[i], NULL) == 0);
    HOLDS(hearth_native_end(s->f.mutator) == HEARTH_OK);
}

/* Lists, large objects in blocks and in spans, all generations. */
static inline void use_heap(struct state *s)
{
    hearth_mutator *m = s->f.mutator;

    HEARTH_FRAME(m, frame, 3);
    for (int round = 0; round < 2; round++) {
        frame.ref[0] = NULL;
        for (size_t i = 0; i < LIST; i++) {
            struct fixture_node *node = hearth_alloc(m, s->f.node, sizeof *node);
            HOLDS(node != NULL);
            node->value = i;
            hearth_store_init(&node->left, frame.ref[0]);
            frame.ref[0] = node;
        }
        frame.ref[1] = hearth_new_array(m, s->f.bytes, 1 << 20);
        frame.ref[2] = hearth_new_array(m, s->f.refs, 1 << 20); /* 8 MiB: a span */
        HOLDS(frame.ref[1] != NULL && frame.ref[2] != NULL);
        HOLDS(hearth_store(m, frame.ref[2], (void **)frame.ref[2] + 9, frame.ref[0]) == HEARTH_OK);
        for (int generation = 0; generation < 3; generation++)
            HOLDS(hearth_gc_collect(m, generation) == HEARTH_OK);
        hold_list(((void **)frame.ref[2])[9], LIST);
        frame.ref[1] = frame.ref[2] = NULL; /* spans from before the fork go, others come */
    }
    HEARTH_FRAME_END(m, frame);
}

static inline void other_heap(void)
{
    hearth_heap *heap = NULL;
    hearth_mutator *m = NULL;
    hearth_type bytes;

    HOLDS(hearth_heap_create(&heap, NULL) == HEARTH_OK);
    HOLDS(hearth_attach(heap, NULL, &m) == HEARTH_OK);
    HOLDS(hearth_type_bytes(heap, "bytes", &bytes) == HEARTH_OK);
    HOLDS(hearth_new_array(m, bytes, 100000) != NULL);
    HOLDS(hearth_gc_collect(m, 2) == HEARTH_OK);
    HOLDS(hearth_detach(m) == HEARTH_OK);
    HOLDS(hearth_heap_destroy(heap) == HEARTH_OK);
}

/* A child that has threads of its own forks. */
static inline void use_in_child(struct state *s)
{
    int status = 0;
    pid_t child = fork();

    HOLDS(child >= 0);
    if (child == 0) {
        use_heap(s);
        _exit(0);
    }
    HOLDS(waitpid(child, &status, 0) == child && status == 0);
}

/* What every child does. */
static inline void live(void *data)
{
    struct state *s = data;

    if (s->f.mutator == NULL)
        HOLDS(hearth_attach(s->f.heap, NULL, &s->f.mutator) == HEARTH_OK);
    HOLDS(hearth_verify(s->f.mutator) == HEARTH_OK);
    HOLDS(fixture_stats(s->f.heap).mutators == 1);
    hold_list(s->list, LIST);
    if (s->depth-- > 0)
        use_in_child(s);
    use_heap(s);
    use_threads(s);
    if (s->depth >= 0)
        use_in_child(s);
    hold_list(s->list, LIST);
    HOLDS(hearth_verify(s->f.mutator) == HEARTH_OK);
    other_heap();
    HOLDS(hearth_root_remove(s->f.heap, &s->list) == HEARTH_OK);
    HOLDS(hearth_detach(s->f.mutator) == HEARTH_OK);
    HOLDS(hearth_heap_destroy(s->f.heap) == HEARTH_OK);
    other_heap();
}

static inline void open_state(struct state *s, const char *options)
{
    *s = (struct state){.f = fixture_open(options)};
    HARNESS_OK(hearth_root_add(s->f.heap, &s->list));
    fixture_list(s->f.mutator, s->f.node, LIST, &s->list);
}

static inline void close_state(struct state *s)
{
    fixture_check_list(s->list, LIST);
    HARNESS_OK(hearth_root_remove(s->f.heap, &s->list));
    fixture_close(&s->f);
}

#endif
