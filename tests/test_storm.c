/* tests/test_storm.c - a thousand threads come, allocate, share and go while collections run.
 *
 * Every thread publishes a list in a slot of one array and reads the lists of others. Some detach, some
 * simply exit, with frames, scopes or a native section open. What is published at the end must be
 * whole; no mutator may be left. */
#define _GNU_SOURCE
#include "tests/mutator_fixture.h"

enum { STACK = 256 << 10, SHARED = 64, LENGTH = 40 };

struct storm {
    hearth_heap *heap;
    hearth_type node;
    void *shared;    /* global root: an array of SHARED lists             */
    uint64_t count;  /* threads                                           */
    uint64_t inside; /* attached, or were (atomic)                        */
    uint32_t stop;   /* collectors: enough (atomic)                       */
    bool together;   /* nobody begins before all are attached             */
    pthread_barrier_t begin;
};

struct stormer {
    struct storm *storm;
    uint64_t number;
    pthread_t thread;
};

/* A list of values that add up to its head's `raw`; another thread may be reading it. */
static void check_shared(const struct fixture_node *node)
{
    uint64_t sum = 0, expected = node != NULL ? node->raw : 0;

    for (; node != NULL; node = __atomic_load_n(&node->left, __ATOMIC_ACQUIRE))
        sum += node->value;
    EXPECT(sum == expected);
}

static void publish(struct stormer *self, hearth_mutator *m, uint64_t *random)
{
    HEARTH_FRAME(m, frame, 2);
    uint64_t sum = 0;

    for (int i = 0; i < LENGTH; i++) {
        struct fixture_node *node = fixture_new(m, self->storm->node, self->number + (uint64_t)i);
        sum += node->value;
        node->raw = sum;
        hearth_store_init(&node->left, frame.ref[0]);
        frame.ref[0] = node;
    }
    void **slot = (void **)self->storm->shared + harness_random_below(random, SHARED);
    hearth_store(m, self->storm->shared, slot, frame.ref[0]);
    slot = (void **)self->storm->shared + harness_random_below(random, SHARED);
    frame.ref[1] = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    check_shared(frame.ref[1]);
    hearth_safepoint(m);
    check_shared(frame.ref[1]);
    HEARTH_FRAME_END(m, frame);
}

/* How a thread leaves; the frame of the third is gone with its stack. */
static void leave(struct stormer *self, hearth_mutator *m)
{
    static __thread struct {
        hearth_frame head;
        void *ref[1];
    } frame;

    switch (self->number % 4) {
    case 0:
        EXPECT(hearth_detach(m) == HEARTH_OK);
        break;
    case 1: {
        hearth_scope scope;
        EXPECT(hearth_scope_open(m, &scope) == HEARTH_OK);
        EXPECT(hearth_handle(m, self->storm->shared) != NULL);
        break;
    }
    case 2:
        frame.head.count = 1;
        frame.head.prev = m->frames;
        frame.ref[0] = self->storm->shared;
        m->frames = &frame.head;
        break;
    default:
        EXPECT(hearth_native_begin(m) == HEARTH_OK);
    }
}

static void *storming(void *data)
{
    struct stormer *self = data;
    struct storm *storm = self->storm;
    uint64_t random = harness_seed() + self->number;
    hearth_mutator *m = self->number % 3 == 0 ? fixture_attach_conservative(storm->heap)
                                              : fixture_attach(storm->heap);

    __atomic_fetch_add(&storm->inside, 1, __ATOMIC_RELAXED);
    if (storm->together) {
        EXPECT(hearth_native_begin(m) == HEARTH_OK);
        pthread_barrier_wait(&storm->begin);
        EXPECT(hearth_native_end(m) == HEARTH_OK);
    }
    for (int i = 0; i < 3; i++)
        publish(self, m, &random);
    if (self->number % 16 == 0)
        fixture_collect(m, (int)(self->number / 16 % 3));
    leave(self, m);
    return NULL;
}

static void *collecting(void *data)
{
    struct storm *storm = data;
    hearth_mutator *m = fixture_attach(storm->heap);

    for (int i = 0; !__atomic_load_n(&storm->stop, __ATOMIC_RELAXED); i++) {
        fixture_collect(m, i % 3);
        fixture_sleep_ms(20);
    }
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

static const struct {
    const char *options;
    bool together;
} storms[] = {
    {"heap-limit=256m", true},
    {"heap-limit=64m,verify=on,poison=on", false},
    {"heap-limit=256m,fake-nodes=4,mode=local,workers=3,help-after=0,nursery=1m", true},
    {"heap-limit=64m,generational=off,guard=on", false},
};

static void blow(struct storm *storm)
{
    struct stormer *stormer = calloc(storm->count, sizeof *stormer);
    pthread_attr_t attributes;
    pthread_t collector;

    EXPECT(stormer != NULL);
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, STACK), 0);
    ck_assert_int_eq(pthread_create(&collector, NULL, collecting, storm), 0);
    for (uint64_t i = 0; i < storm->count; i++) {
        stormer[i].storm = storm;
        stormer[i].number = i;
        ck_assert_int_eq(pthread_create(&stormer[i].thread, &attributes, storming, &stormer[i]), 0);
    }
    for (uint64_t i = 0; i < storm->count; i++)
        pthread_join(stormer[i].thread, NULL);
    __atomic_store_n(&storm->stop, 1, __ATOMIC_RELAXED);
    pthread_join(collector, NULL);
    pthread_attr_destroy(&attributes);
    free(stormer);
}

START_TEST(a_thousand_threads)
{
    fixture_alone();
    struct fixture f = fixture_open(storms[_i].options);
    static struct storm storm;

    storm = (struct storm){.heap = f.heap,
                           .node = f.node,
                           .count = harness_scaled(1000),
                           .together = storms[_i].together};
    ck_assert_int_eq(pthread_barrier_init(&storm.begin, NULL, (unsigned)storm.count), 0);
    HARNESS_OK(hearth_root_add(f.heap, &storm.shared));
    storm.shared = hearth_new_array(f.mutator, f.refs, SHARED);
    ck_assert_ptr_nonnull(storm.shared);
    HARNESS_OK(hearth_native_begin(f.mutator));
    blow(&storm);
    HARNESS_OK(hearth_native_end(f.mutator));
    ck_assert_uint_eq(storm.inside, storm.count);
    ck_assert_int_eq(f.heap->mutator_count, 1);
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    uint64_t lists = 0;
    for (int i = 0; i < SHARED; i++) {
        check_shared(((void **)storm.shared)[i]);
        lists += ((void **)storm.shared)[i] != NULL;
    }
    ck_assert_uint_gt(lists, 0);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 1 + lists * LENGTH);
    HARNESS_OK(hearth_root_remove(f.heap, &storm.shared));
    pthread_barrier_destroy(&storm.begin);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(storm)
{
    Suite *suite = suite_create("storm");
    TCase *all = tcase_create("all");

    tcase_add_loop_test(all, a_thousand_threads, 0, sizeof storms / sizeof storms[0]);
    suite_add_tcase(suite, all);
    return suite;
}
