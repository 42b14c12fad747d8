/* tests/numa/test_placement_where.c - tells where the pages of a heap are, under whatever policy the process
 * was started with; for check_policies.sh, which knows what they should be.
 *
 * Prints "nodes N" and "cpus N" (as hearth sees them), "bound 0" or "bound 1" (did hearth give its windows a
 * policy?), and "node N PAGES" for every node of the system that has any. */
#define _GNU_SOURCE 1

#include "tests/numa/placement_fixture.h"

struct user {
    struct fixture *fixture;
    int cpu;
    void *root;
};

/* Small objects, a large one and a span, all written; they stay. */
static void *use(void *data)
{
    struct user *user = data;
    struct fixture *f = user->fixture;

    place_pin(user->cpu);
    hearth_mutator *m = fixture_attach(f->heap);
    HEARTH_FRAME(m, frame, 3);
    fixture_list(m, f->node, 5000, &frame.ref[0]);
    frame.ref[1] = hearth_new_array(m, f->bytes, 300 << 10);
    EXPECT(frame.ref[1] != NULL);
    memset(frame.ref[1], 1, 300 << 10);
    frame.ref[2] = hearth_new_array(m, f->bytes, 4200 << 10);
    EXPECT(frame.ref[2] != NULL);
    memset(frame.ref[2], 1, 4200 << 10);
    user->root = hearth_new_array(m, f->refs, 3);
    EXPECT(user->root != NULL);
    for (int i = 0; i < 3; i++)
        EXPECT(hearth_store(m, user->root, (void **)user->root + i, frame.ref[i]) == HEARTH_OK);
    HEARTH_FRAME_END(m, frame);
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

/* One thread after the other, on every processor the process may use. */
static void use_all(struct fixture *f, struct user *users, int count)
{
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        HARNESS_OK(hearth_root_add(f->heap, &users[i].root));
        ck_assert_int_eq(pthread_create(&thread, NULL, use, &users[i]), 0);
        HARNESS_OK(hearth_native_begin(f->mutator));
        pthread_join(thread, NULL);
        HARNESS_OK(hearth_native_end(f->mutator));
        fixture_collect(f->mutator, i % 3);
    }
}

static void tell(const struct fixture *f, int cpus)
{
    struct place_survey survey = place_survey(f->heap);
    const struct ha_windows *windows = f->heap->space.windows;

    printf("nodes %d\ncpus %d\nbound %d\n", f->heap->topology->nodes, cpus, windows->bound);
    for (int node = 0; node < PLACE_OS_NODES; node++) {
        uint64_t pages = 0;
        for (int w = 0; w < windows->nodes; w++)
            pages += survey.on[w][node];
        if (pages > 0)
            printf("node %d %lu\n", node, (unsigned long)pages);
    }
    fflush(stdout);
}

START_TEST(where)
{
    static struct user users[PLACE_CPUS];
    int cpus[PLACE_CPUS];
    struct fixture f = fixture_open("help-after=0");
    int count = place_cpus(f.heap, -1, cpus);

    for (int i = 0; i < count; i++)
        users[i] = (struct user){.fixture = &f, .cpu = cpus[i]};
    use_all(&f, users, count);
    fixture_collect(f.mutator, 2);
    tell(&f, count);
    if (f.heap->space.windows->bound && f.heap->topology->spread == 0)
        place_expect_home(f.heap, "under this policy");
    for (int i = 0; i < count; i++)
        HARNESS_OK(hearth_root_remove(f.heap, &users[i].root));
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(placement_where)
{
    Suite *suite = suite_create("placement_where");
    TCase *tests = tcase_create("where");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, where);
    suite_add_tcase(suite, tests);
    return suite;
}
