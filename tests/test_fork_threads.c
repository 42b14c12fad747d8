/* tests/test_fork_threads.c - forks while other threads allocate, collect, attach, exit, make and destroy
 * heaps, and fork themselves.
 *
 * What must hold: nobody waits for ever; every child has whole heaps (fork_fixture.h); the parent's threads
 * lose nothing. */
#define CROWDED 1
#include "tests/fork_fixture.h"

enum { BUSY = 3, KEPT = 500 };

static const char *const variants[] = {
    "nursery=256k",
    "fake-nodes=2,mode=local,workers=3,help-after=0,nursery=256k",
    "generational=off,workers=2,help-after=0,release-after=2",
    "fake-nodes=2,verify=on,nursery=256k",
    "stress=20,conservative=on",
};

enum { VARIANTS = sizeof variants / sizeof variants[0] };

struct crowd {
    struct state s;
    bool stop; /* atomic */
    uint64_t turns[BUSY];
    pthread_t thread[BUSY];
};

static bool stopped(const struct crowd *crowd)
{
    return __atomic_load_n(&crowd->stop, __ATOMIC_RELAXED);
}

/* Allocates, collects, shares by storing into an old object, leaves and comes again. */
static void *busy_thread(void *data)
{
    struct crowd *crowd = data;
    int number = 0;

    for (uint64_t turn = 0; !stopped(crowd); turn++) {
        hearth_mutator *m = fixture_attach(crowd->s.f.heap);
        HEARTH_FRAME(m, frame, 2);
        fixture_list(m, crowd->s.f.node, KEPT, &frame.ref[0]);
        fixture_garbage(m, crowd->s.f.node, 3000);
        frame.ref[1] = hearth_new_array(m, crowd->s.f.bytes, (turn % 4) * 3000000 + 1);
        EXPECT(frame.ref[1] != NULL);
        if (turn % 8 == 0)
            fixture_collect(m, (int)(turn / 8 % 3));
        EXPECT(hearth_store(m, crowd->s.list, &((struct fixture_node *)crowd->s.list)->right,
                            frame.ref[0]) == HEARTH_OK);
        fixture_check_list(frame.ref[0], KEPT);
        if (turn % 16 == 1) {
            EXPECT(hearth_native_begin(m) == HEARTH_OK);
            fixture_sleep_ms(1);
            EXPECT(hearth_native_end(m) == HEARTH_OK);
        }
        HEARTH_FRAME_END(m, frame);
        EXPECT(hearth_detach(m) == HEARTH_OK);
        fixture_sleep_ms(1);
        __atomic_fetch_add(&crowd->turns[number], 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void begin_crowd(struct crowd *crowd, const char *options)
{
    *crowd = (struct crowd){.stop = false};
    crowd->s.f = fixture_open(options);
    HARNESS_OK(hearth_root_add(crowd->s.f.heap, &crowd->s.list));
    fixture_list(crowd->s.f.mutator, crowd->s.f.node, LIST, &crowd->s.list);
    for (int i = 0; i < BUSY; i++)
        EXPECT(pthread_create(&crowd->thread[i], NULL, busy_thread, crowd) == 0);
}

static void end_crowd(struct crowd *crowd)
{
    EXPECT(hearth_native_begin(crowd->s.f.mutator) == HEARTH_OK);
    while (__atomic_load_n(&crowd->turns[0], __ATOMIC_RELAXED) == 0)
        fixture_sleep_ms(1);
    __atomic_store_n(&crowd->stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < BUSY; i++)
        EXPECT(pthread_join(crowd->thread[i], NULL) == 0);
    EXPECT(hearth_native_end(crowd->s.f.mutator) == HEARTH_OK);
    fixture_check_list(crowd->s.list, LIST);
    HARNESS_OK(hearth_root_remove(crowd->s.f.heap, &crowd->s.list));
    fixture_close(&crowd->s.f);
}

/* An attached thread must not wait outside of native sections. */
static void wait_for(struct crowd *crowd, pid_t child)
{
    EXPECT(hearth_native_begin(crowd->s.f.mutator) == HEARTH_OK);
    join_child(child);
    EXPECT(hearth_native_end(crowd->s.f.mutator) == HEARTH_OK);
}

START_TEST(while_threads_allocate)
{
    struct crowd crowd;
    uint64_t forks = harness_scaled(2);

    begin_crowd(&crowd, variants[_i]);
    for (uint64_t i = 0; i < forks; i++) {
        crowd.s.depth = i % 4 == 1;
        wait_for(&crowd, start_child(live, &crowd.s));
        fixture_garbage(crowd.s.f.mutator, crowd.s.f.node, 1000);
    }
    end_crowd(&crowd);
}
END_TEST

/* Many in a row whose children do little: what the parent does meanwhile is met at many places. */
static void look(void *data)
{
    struct state *s = data;

    HOLDS(hearth_verify(s->f.mutator) == HEARTH_OK);
    HOLDS(hearth_new_array(s->f.mutator, s->f.bytes, 9 << 20) != NULL); /* a keeper is needed */
    hold_list(s->list, LIST);
}

START_TEST(again_and_again)
{
    struct crowd crowd;
    uint64_t forks = harness_scaled(8);

    begin_crowd(&crowd, variants[_i]);
    for (uint64_t i = 0; i < forks; i++)
        wait_for(&crowd, start_child(look, &crowd.s));
    end_crowd(&crowd);
}
END_TEST

/* Not attached to anything: it attaches in the child. */
static void *unattached_thread(void *data)
{
    struct crowd *crowd = data;
    struct state s = crowd->s;

    s.f.mutator = NULL;
    for (uint64_t i = 0; i < harness_scaled(2); i++) {
        pid_t child;

        fflush(NULL);
        child = fork();
        EXPECT(child >= 0);
        if (child == 0) { /* its global root is the list of `crowd`, not of the copy */
            alarm(PATIENCE_S);
            if (!CHILDREN_LIVE)
                _exit(0);
            HOLDS(hearth_attach(s.f.heap, NULL, &s.f.mutator) == HEARTH_OK);
            HOLDS(hearth_verify(s.f.mutator) == HEARTH_OK);
            use_heap(&s);
            hold_list(crowd->s.list, LIST);
            _exit(0);
        }
        join_child(child);
    }
    return NULL;
}

START_TEST(by_several_threads)
{
    struct crowd crowd;
    pthread_t forker[3];

    begin_crowd(&crowd, variants[_i]);
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_create(&forker[i], NULL, unattached_thread, &crowd) == 0);
    for (uint64_t i = 0; i < harness_scaled(2); i++)
        wait_for(&crowd, start_child(look, &crowd.s));
    EXPECT(hearth_native_begin(crowd.s.f.mutator) == HEARTH_OK);
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_join(forker[i], NULL) == 0);
    EXPECT(hearth_native_end(crowd.s.f.mutator) == HEARTH_OK);
    end_crowd(&crowd);
}
END_TEST

/* Heaps come and go, and threads that are attached to two of them. */
static void *maker_thread(void *data)
{
    struct crowd *crowd = data;
    hearth_mutator *m = fixture_attach(crowd->s.f.heap);

    for (int i = 0; !stopped(crowd); i++) {
        struct fixture f = fixture_open(i % 2 ? "fake-nodes=2" : "release-after=3");
        for (int j = 0; j < 3; j++) {
            fixture_garbage(f.mutator, f.node, 500);
            fixture_garbage(m, crowd->s.f.node, 500);
            fixture_collect(j % 2 ? f.mutator : m, j % 3);
        }
        fixture_close(&f);
    }
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

START_TEST(while_heaps_come_and_go)
{
    struct crowd crowd;
    pthread_t maker[2];

    begin_crowd(&crowd, variants[_i]);
    for (int i = 0; i < 2; i++)
        EXPECT(pthread_create(&maker[i], NULL, maker_thread, &crowd) == 0);
    for (uint64_t i = 0; i < harness_scaled(3); i++)
        wait_for(&crowd, start_child(i % 4 == 0 ? live : look, &crowd.s));
    EXPECT(hearth_native_begin(crowd.s.f.mutator) == HEARTH_OK);
    __atomic_store_n(&crowd.stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        EXPECT(pthread_join(maker[i], NULL) == 0);
    EXPECT(hearth_native_end(crowd.s.f.mutator) == HEARTH_OK);
    end_crowd(&crowd);
}
END_TEST

HARNESS_SUITE(fork_threads)
{
    Suite *suite = suite_create("fork_threads");
    TCase *tests = tcase_create("fork_threads");
    int some = FIXTURE_SANITIZED ? 2 : VARIANTS; /* a fork takes seconds with shadow memory */

    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, while_threads_allocate, 0, some);
    tcase_add_loop_test(tests, again_and_again, 0, some);
    tcase_add_loop_test(tests, by_several_threads, 1, some < 3 ? 2 : 3);
    tcase_add_loop_test(tests, while_heaps_come_and_go, 1, some < 3 ? 2 : 3);
    suite_add_tcase(suite, tests);
    return suite;
}
