/* tests/test_fork.c - a child of fork() has working heaps, whatever the parent's threads were doing.
 *
 * What must hold in the child: every object the forking thread or a global root held is there, the verifier
 * finds nothing, and everything works: allocating, collecting with workers, large objects, giving memory back,
 * threads, more heaps, destroying them, forking again. The parent notices nothing. */
#include "tests/fork_fixture.h"

static const char *const variants[] = {
    "",
    "fake-nodes=2,mode=local,workers=3,help-after=0",
    "fake-nodes=2,mode=place,release-after=5",
    "generational=off,workers=3,help-after=0",
    "fake-nodes=2,mode=interleave,verify=on",
    "verify=on,stress=3",
    "conservative=on,release-after=0",
};

enum { VARIANTS = sizeof variants / sizeof variants[0] };

/* --- alone ------------------------------------------------------------------------------------------ */

/* Nothing is started that may not be needed: the child may be about to exec. */
static void alone_at_first(void *data)
{
    HOLDS(fixture_threads() == 1);
    live(data);
}

START_TEST(a_child_has_the_heap)
{
    struct state s;

    open_state(&s, variants[_i]);
    s.depth = 1;
    join_child(start_child(alone_at_first, &s));
    use_heap(&s); /* workers and spans */
    join_child(start_child(alone_at_first, &s));
    close_state(&s);
}
END_TEST

static void detach_and_live(void *data)
{
    struct state *s = data;

    HOLDS(hearth_native_end(s->f.mutator) == HEARTH_OK);
    live(s);
}

START_TEST(in_a_native_section)
{
    struct state s;

    open_state(&s, "");
    HARNESS_OK(hearth_native_begin(s.f.mutator));
    pid_t child = start_child(detach_and_live, &s);
    HARNESS_OK(hearth_native_end(s.f.mutator));
    join_child(child);
    close_state(&s);
}
END_TEST

struct pair {
    struct state a, b;
};

static void live_in_both(void *data)
{
    struct pair *pair = data;

    HOLDS(!hg_mutator_of(pair->a.f.mutator)->lent && !hg_mutator_of(pair->b.f.mutator)->lent);
    live(&pair->a);
    live(&pair->b);
}

START_TEST(of_several_heaps)
{
    struct pair pair;

    open_state(&pair.a, "fake-nodes=2");
    open_state(&pair.b, "fake-nodes=3");
    join_child(start_child(live_in_both, &pair));
    close_state(&pair.a);
    close_state(&pair.b);
}
END_TEST

/* Given back to the system so far, by all nodes. */
static uint64_t released(struct state *s)
{
    hearth_node_stats stats = {.struct_size = sizeof stats};
    uint64_t bytes = 0;

    for (int n = 0; n < s->f.heap->space.nodes; n++) {
        HOLDS(hearth_get_node_stats(s->f.heap, n, &stats) == HEARTH_OK);
        bytes += stats.released_bytes;
    }
    return bytes;
}

/* Idle memory goes back to the system in the child too, once it has collected. */
static void age(void *data)
{
    struct state *s = data;
    uint64_t before = released(s), after = 0;

    for (int i = 0; i < 200000; i++)
        HOLDS(hearth_new(s->f.mutator, s->f.node) != NULL);
    HOLDS(hearth_gc_collect(s->f.mutator, 2) == HEARTH_OK);
    for (int i = 0; i < 1000 && after <= before; i++) {
        fixture_sleep_ms(5);
        after = released(s);
    }
    HOLDS(after > before);
}

START_TEST(memory_ages)
{
    struct state s;

    open_state(&s, "release-after=10");
    join_child(start_child(age, &s));
    close_state(&s);
}
END_TEST

/* A child in which no thread can be started gets no more address space, but loses nothing. */
static void without_threads(void *data)
{
    struct state *s = data;

    ht_fault_arm(HT_FAULT_THREAD, 1, true);
    HOLDS(hearth_new_array(s->f.mutator, s->f.bytes, 300 << 20) == NULL);
    HOLDS(hearth_last_status() == HEARTH_ENOMEM);
    for (int generation = 0; generation < 3; generation++)
        HOLDS(hearth_gc_collect(s->f.mutator, generation) == HEARTH_OK);
    HOLDS(hearth_verify(s->f.mutator) == HEARTH_OK);
    HOLDS(fixture_threads() == 1);
    ht_fault_arm(HT_FAULT_THREAD, 0, false);
    HOLDS(hearth_new_array(s->f.mutator, s->f.bytes, 300 << 20) != NULL);
    live(s);
}

START_TEST(no_thread_can_be_started)
{
    struct state s;

    fixture_alone();
    open_state(&s, "window=2g,heap-limit=1g,workers=3,help-after=0");
    join_child(start_child(without_threads, &s));
    close_state(&s);
}
END_TEST

/* Nor can the process register what it does at a fork: then there is no heap at all. */
START_TEST(nothing_can_be_registered)
{
    hearth_heap *heap = NULL;

    ht_fault_arm(HT_FAULT_PTHREAD, 1, false);
    HARNESS_STATUS_NAMES(hearth_heap_create(&heap, NULL), HEARTH_ESYSTEM, "pthread_atfork");
    ck_assert_ptr_null(heap);
    HARNESS_OK(hearth_heap_create(&heap, NULL));
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

/* --- others' mutators ------------------------------------------------------------------------------- */

struct holder {
    struct state *s;
    uint32_t stage; /* atomic */
    void *dead;     /* what only its frame holds: an address              */
};

static void wait_stage(struct holder *h, uint32_t stage)
{
    while (__atomic_load_n(&h->stage, __ATOMIC_ACQUIRE) < stage)
        fixture_sleep_ms(1);
}

/* Holds an object in a frame, and stores a young one into the old list; then waits in a native section. */
static void *holder_thread(void *data)
{
    struct holder *h = data;
    hearth_mutator *m = fixture_attach(h->s->f.heap);

    HEARTH_FRAME(m, frame, 1);
    frame.ref[0] = fixture_new(m, h->s->f.node, 1);
    h->dead = frame.ref[0];
    struct fixture_node *young = fixture_new(m, h->s->f.node, 4711);
    EXPECT(hearth_store(m, h->s->list, &((struct fixture_node *)h->s->list)->right, young) ==
           HEARTH_OK);
    EXPECT(hearth_native_begin(m) == HEARTH_OK);
    __atomic_store_n(&h->stage, 1, __ATOMIC_RELEASE);
    wait_stage(h, 2);
    EXPECT(hearth_native_end(m) == HEARTH_OK);
    EXPECT(((struct fixture_node *)frame.ref[0])->value == 1);
    HEARTH_FRAME_END(m, frame);
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

static void without_the_holder(void *data)
{
    struct holder *h = data;
    struct fixture_node *first = h->s->list;

    HOLDS(fixture_stats(h->s->f.heap).mutators == 1);
    HOLDS(hearth_verify(h->s->f.mutator) == HEARTH_OK);
    HOLDS(hearth_is_object(h->s->f.heap, h->dead));
    HOLDS(hearth_gc_collect(h->s->f.mutator, 0) ==
          HEARTH_OK); /* its remembered set is the heap's */
    HOLDS(((struct fixture_node *)first->right)->value == 4711);
    HOLDS(!hearth_is_object(h->s->f.heap, h->dead)); /* its frame is gone */
    HOLDS(hearth_verify(h->s->f.mutator) == HEARTH_OK);
    live(h->s);
}

START_TEST(what_gone_threads_leave)
{
    struct state s;
    struct holder h = {.s = &s};
    pthread_t thread;

    fixture_alone();
    open_state(&s, "heap-min=64m");
    fixture_collect(s.f.mutator, 1);
    EXPECT(hearth_native_begin(s.f.mutator) == HEARTH_OK);
    EXPECT(pthread_create(&thread, NULL, holder_thread, &h) == 0);
    wait_stage(&h, 1);
    EXPECT(hearth_native_end(s.f.mutator) == HEARTH_OK);
    join_child(start_child(without_the_holder, &h));
    EXPECT(hearth_native_begin(s.f.mutator) == HEARTH_OK);
    __atomic_store_n(&h.stage, 2, __ATOMIC_RELEASE);
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(hearth_native_end(s.f.mutator) == HEARTH_OK);
    close_state(&s);
}
END_TEST

/* --- in callbacks ----------------------------------------------------------------------------------- */

static pid_t callback_child;

static void fork_in_callback(void *data, hearth_visitor *visitor)
{
    (void)data;
    (void)visitor;
    if (callback_child == 0) {
        callback_child = fork();
        if (callback_child == 0)
            _exit(0);
    }
}

START_TEST(in_a_callback)
{
    struct state s;

    open_state(&s, variants[_i]);
    callback_child = 0;
    HARNESS_OK(hearth_root_provider_add(s.f.heap, fork_in_callback, NULL));
    fixture_collect(s.f.mutator, 2);
    ck_assert_int_gt(callback_child, 0);
    join_child(callback_child);
    HARNESS_OK(hearth_root_provider_remove(s.f.heap, fork_in_callback, NULL));
    join_child(start_child(live, &s)); /* and the next one is as ever */
    close_state(&s);
}
END_TEST

HARNESS_SUITE(fork)
{
    Suite *suite = suite_create("fork");
    TCase *tests = tcase_create("fork");

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_child_has_the_heap, 0, VARIANTS);
    tcase_add_test(tests, in_a_native_section);
    tcase_add_test(tests, of_several_heaps);
    tcase_add_test(tests, memory_ages);
    tcase_add_test(tests, no_thread_can_be_started);
    tcase_add_test(tests, nothing_can_be_registered);
    tcase_add_test(tests, what_gone_threads_leave);
    tcase_add_loop_test(tests, in_a_callback, 0, VARIANTS);
    suite_add_tcase(suite, tests);
    return suite;
}
