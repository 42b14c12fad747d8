/* tests/test_chain.c - graphs that lead from node to node with little else to do: references are followed, one
 * object at a time, instead of being sent. What is traced, counted and kept must be the same. */
#define _GNU_SOURCE
#include "gc/trace_work.h"
#include "tests/trace_fixture.h"

static const char *const options[] = {
    "fake-nodes=2,workers=1",
    "fake-nodes=4,workers=1",
    "fake-nodes=4,workers=1,generational=off",
    "fake-nodes=2,workers=2,help-after=0",
    "fake-nodes=4,workers=3,help-after=0",
    "fake-nodes=8,workers=3,help-after=100",
    "fake-nodes=2,workers=4,help-after=0,mode=place",
};
enum { OPTIONS = sizeof(options) / sizeof(options[0]), LONE = 3 };

/* Collect: so many objects live, and a full collection traces each of them once. */
static hearth_collection collect_live(struct fixture *f, int generation, uint64_t live)
{
    hearth_collection c = fixture_collect(f, generation);

    ck_assert_uint_eq(fixture_stats(f).live_objects, live);
    if (generation == 2 || c.kind == HEARTH_GC_FULL)
        ck_assert_uint_eq(c.objects_traced, live);
    return c;
}

/* Three times, of these generations; each sends so many references at most. Then the heap is verified. */
static void collect_thrice(struct fixture *f, const int *generation, uint64_t live, uint64_t sent)
{
    for (int i = 0; i < 3; i++)
        ck_assert_uint_le(collect_live(f, generation[i], live).sent, sent);
    HARNESS_OK(hearth_verify(f->m));
}

/* Collect a list: a single reference is followed, not sent. */
static hearth_collection collect_list(struct fixture *f, uint64_t count)
{
    hearth_collection c = collect_live(f, 2, count);

    ck_assert_uint_le(c.sent, count / 100);
    return c;
}

START_TEST(a_list_may_change_nodes_at_every_link)
{
    uint64_t count = harness_scaled(_i == 3 ? 1000000 : 100000);
    struct fixture f;

    fixture_open(&f, options[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    fixture_list_on(&f, &frame.ref[0], count, nodes_of(&f), 1);
    hearth_collection c = collect_list(&f, count);
    if (f.heap->trace->mail.nodes > 1)
        ck_assert_uint_lt(c.local, count - count / 100);
    fixture_expect_list(frame.ref[0], count);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* What was traced on each node since the heap was made. */
static uint64_t traced_on(const struct fixture *f, int node, bool local)
{
    hearth_node_stats stats = {.struct_size = sizeof(stats)};

    HARNESS_OK(hearth_get_node_stats(f->heap, node, &stats));
    return local ? stats.traced_local : stats.traced_remote;
}

/* Followed objects count for the node they lie on. */
START_TEST(followed_objects_are_counted_by_node)
{
    enum { COUNT = 8000 };
    struct fixture f;

    fixture_open(&f, options[_i]);
    fixture_stay_home(&f);
    int nodes = nodes_of(&f);
    HEARTH_FRAME(f.m, frame, 1);
    fixture_list_on(&f, &frame.ref[0], COUNT, nodes, 1);
    uint64_t before[8][2];
    for (int n = 0; n < nodes; n++)
        for (int local = 0; local < 2; local++)
            before[n][local] = traced_on(&f, n, local);
    hearth_collection c = fixture_collect(&f, 2);
    ck_assert_uint_eq(c.objects_traced, COUNT);
    ck_assert_uint_eq(c.local, COUNT / (uint64_t)nodes);
    ck_assert_uint_eq(c.sent, 0);
    for (int n = 0; n < nodes; n++)
        for (int local = 0; local < 2; local++)
            ck_assert_uint_eq(traced_on(&f, n, local) - before[n][local],
                              (n == 0) == local ? COUNT / (uint64_t)nodes : 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* A list with links both ways: on four nodes each object refers to two others'. */
START_TEST(links_may_lead_back)
{
    uint64_t count = harness_scaled(50000);
    struct fixture f;

    fixture_open(&f, options[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    fixture_list_on(&f, &frame.ref[0], count, nodes_of(&f), 1);
    for (struct item *item = frame.ref[0]; item->next != NULL; item = item->next)
        HARNESS_OK(hearth_store(f.m, item->next, &((struct item *)item->next)->other, item));
    collect_list(&f, count);
    fixture_expect_list(frame.ref[0], count);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Each of a list's items has a leaf, an array or another item on a node of its own. */
START_TEST(links_may_have_company)
{
    uint64_t count = harness_scaled(20000);
    struct fixture f;

    fixture_open(&f, options[_i]);
    int nodes = nodes_of(&f);
    HEARTH_FRAME(f.m, frame, 2);
    for (uint64_t i = 0; i < count; i++) {
        int node = (int)((i + i / 7) % (uint64_t)nodes);
        hearth_type type[] = {f.leaf, f.item, f.refs};
        frame.ref[1] = hearth_new_on(f.m, type[i % 3], i % 3 == 2 ? 3 : 0, node);
        EXPECT(frame.ref[1] != NULL);
        struct item *item = hearth_new_on(f.m, f.item, 0, (int)(i % (uint64_t)nodes));
        EXPECT(item != NULL);
        item->number = i;
        hearth_store_init(&item->next, frame.ref[0]);
        HARNESS_OK(hearth_store(f.m, item, &item->other, frame.ref[1]));
        frame.ref[0] = item;
    }
    frame.ref[1] = NULL;
    collect_thrice(&f, (int[]){2, 0, 2}, 2 * count, _i < LONE ? 0 : UINT64_MAX);
    fixture_expect_list(frame.ref[0], count);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

static void trace_next(void *object, size_t size, hearth_visitor *visitor)
{
    EXPECT(size == sizeof(struct item));
    hearth_visit(visitor, &((struct item *)object)->next);
}

/* The links are arrays, large arrays in slices, objects traced by callback: all that may have many slots. */
START_TEST(links_may_be_of_any_kind)
{
    enum { COUNT = 2000, LARGE = 3000 };
    const hearth_type_info info = {.struct_size = sizeof(info),
                                   .name = "by callback",
                                   .size = sizeof(struct item),
                                   .trace = trace_next};
    hearth_type callback;
    struct fixture f;

    fixture_open(&f, options[_i]);
    HARNESS_OK(hearth_type_register(f.heap, &info, &callback));
    int nodes = nodes_of(&f);
    HEARTH_FRAME(f.m, frame, 1);
    for (int i = 0; i < COUNT; i++) {
        hearth_type type = i % 3 == 0 ? f.item : i % 3 == 1 ? callback : f.refs;
        size_t length = i % 3 != 2 ? 0 : i % 50 == 0 ? LARGE : 1 + (size_t)i % 20;
        void **object = hearth_new_on(f.m, type, length, i % nodes);
        EXPECT(object != NULL);
        hearth_store_init(&object[length != 0 ? length - 1 : 0], frame.ref[0]);
        frame.ref[0] = object;
    }
    collect_thrice(&f, (int[]){2, 2, 2}, COUNT, _i < LONE ? 1 : UINT64_MAX);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* A chain that begins in an old object makes what it reaches old, in one minor collection. */
START_TEST(a_chain_from_an_old_object_is_promoted)
{
    enum { COUNT = 3000 };
    struct fixture f;

    fixture_open(&f, options[_i]);
    HEARTH_FRAME(f.m, frame, 2);
    struct item *old = frame.ref[0] = hearth_new_on(f.m, f.item, 0, 0);
    EXPECT(old != NULL);
    HARNESS_OK(hearth_gc_collect(f.m, 1));
    HARNESS_OK(hearth_gc_disable(f.heap));
    fixture_list_on(&f, &frame.ref[1], COUNT, nodes_of(&f), 1);
    HARNESS_OK(hearth_store(f.m, old, &old->next, frame.ref[1]));
    frame.ref[1] = NULL;
    hearth_collection c = fixture_collect(&f, 0);
    ck_assert_uint_ge(c.objects_traced, COUNT);
    for (const struct item *item = old->next; item != NULL; item = item->next)
        EXPECT(strstr(options[_i], "generational=off") != NULL || fixture_is_old(item));
    fixture_expect_list(old->next, COUNT);
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Addresses next to the windows, and where the windows of more nodes would be, belong to nobody. */
START_TEST(addresses_outside_of_all_windows_are_not_followed)
{
    enum { COUNT = 200 };
    struct fixture f;
    const void *low, *high;

    fixture_open(&f, options[_i]);
    HARNESS_OK(hearth_heap_range(f.heap, &low, &high));
    size_t window = (size_t)1 << f.heap->space.windows->shift;
    void *outside[] = {(char *)low - 16,
                       (void *)(uintptr_t)high,
                       (char *)high + 16,
                       (void *)((uintptr_t)high + window * (HT_MAX_NODES - 1)),
                       (void *)((uintptr_t)high + window * (2 * HT_MAX_NODES)),
                       &f,
                       (void *)16,
                       (void *)(UINTPTR_MAX - 15)};
    int nodes = nodes_of(&f), kinds = sizeof outside / sizeof outside[0];
    HEARTH_FRAME(f.m, frame, 1);
    for (int i = 0; i < COUNT; i++) {
        bool array = i / kinds % 2 != 0;
        void **object = hearth_new_on(f.m, array ? f.refs : f.item, array ? 2 : 0, i % nodes);
        EXPECT(object != NULL);
        hearth_store_init(&object[0], frame.ref[0]);
        hearth_store_init(&object[1], outside[i % kinds]);
        frame.ref[0] = object;
    }
    collect_thrice(&f, (int[]){0, 1, 2}, COUNT, UINT64_MAX);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* A chain through ephemerons: each key's death is told by that of the one before it, on another node. */
START_TEST(a_chain_may_lead_through_ephemerons)
{
    enum { COUNT = 1000 };
    struct fixture f;

    fixture_open(&f, options[_i]);
    HEARTH_FRAME(f.m, frame, 3);
    void **all = frame.ref[0] = fixture_refs(&f, COUNT);
    frame.ref[1] = frame.ref[2] = fixture_item_on(&f, 0);
    for (int i = 0; i < COUNT; i++) { /* ref[1]: the first key, ref[2]: the last */
        struct item *next = fixture_item_on(&f, (i + 1) % nodes_of(&f));
        next->number = (uint64_t)i;
        void *ephemeron = hearth_ephemeron_new(f.m, frame.ref[2], next);
        EXPECT(ephemeron != NULL);
        HARNESS_OK(hearth_store(f.m, all, &all[COUNT - 1 - i], ephemeron));
        frame.ref[2] = hearth_ephemeron_value(f.m, ephemeron);
        all = frame.ref[0];
    }
    frame.ref[2] = NULL;
    for (int i = 0; i < 3; i++) {
        HARNESS_OK(hearth_gc_collect(f.m, 2 - i % 2));
        ck_assert_uint_eq(fixture_stats(&f).live_objects, 2 * COUNT + 2);
    }
    for (int i = 0; i < COUNT; i++) {
        const struct item *value = hearth_ephemeron_value(f.m, all[COUNT - 1 - i]);
        EXPECT(value != NULL && value->number == (uint64_t)i);
    }
    frame.ref[1] = NULL;
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, COUNT + 1);
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Objects marked once each, for the expected count. */
static uint64_t count_reached(struct item **stack, struct item *root, uint64_t round)
{
    uint64_t count = 0;
    size_t top = 0;

    for (stack[top++] = root; top > 0;) {
        struct item *item = stack[--top];
        if (item == NULL || item->number == round)
            continue;
        item->number = round;
        count++;
        stack[top++] = item->next;
        stack[top++] = item->other;
    }
    return count;
}

/* Random graphs in which an object has 1.2 references on the average: a few references at a time, that grow
 * to many, and end. */
START_TEST(sparse_random_graphs_are_traced)
{
    enum { COUNT = 4000, ROUNDS = 4 };
    struct fixture f;
    uint64_t random = harness_seed();

    for (uint64_t round = 1; round <= ROUNDS; round++) {
        fixture_open(&f, options[_i]);
        HEARTH_FRAME(f.m, frame, 2);
        void **all = frame.ref[0] = fixture_refs(&f, COUNT);
        for (int i = 0; i < COUNT; i++) {
            int node = (int)(harness_random(&random) % (uint64_t)nodes_of(&f));
            HARNESS_OK(hearth_store(f.m, all, &all[i], hearth_new_on(f.m, f.item, 0, node)));
        }
        for (int i = 0; i < COUNT; i++) {
            struct item *item = all[i];
            HARNESS_OK(hearth_store(f.m, item, &item->next, all[harness_random(&random) % COUNT]));
            if (harness_random(&random) % 5 == 0)
                HARNESS_OK(
                    hearth_store(f.m, item, &item->other, all[harness_random(&random) % COUNT]));
        }
        frame.ref[1] = all[0];
        frame.ref[0] = NULL;
        struct item **stack = malloc((2 * COUNT + 2) * sizeof(struct item *));
        EXPECT(stack != NULL);
        uint64_t expected = count_reached(stack, frame.ref[1], round);
        for (int i = 0; i < 2; i++)
            collect_live(&f, 2, expected);
        ck_assert_uint_eq(count_reached(stack, frame.ref[1], round + ROUNDS), expected);
        HARNESS_OK(hearth_verify(f.m));
        free(stack);
        HEARTH_FRAME_END(f.m, frame);
        fixture_close(&f);
    }
}
END_TEST

/* Whom a chain gives way to: workers of a node, other than the one that asks, of which not all sleep. */
START_TEST(a_node_is_awake_unless_its_workers_sleep)
{
    static const struct {
        uint32_t workers, sleepers;
        bool own, other; /* is the asking worker's node awake, is another one? */
    } cases[] = {{1, 0, false, true}, {1, 1, false, false}, {2, 1, false, true},
                 {2, 0, true, true},  {3, 2, false, true},  {3, 1, true, true}};
    struct fixture f;

    fixture_open(&f, "fake-nodes=4,workers=1,mode=local");
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    struct hg_worker *w = f.heap->trace->worker[0];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int n = 0; n < 4; n++) {
            for (int k = 0; k < 4; k++) {
                struct hg_queue *queue = f.heap->trace->mail.queue[k];
                queue->workers = k == n ? cases[i].workers : k == w->home;
                queue->sleepers = k == n ? cases[i].sleepers : 0;
            }
            bool awake = n == w->home ? cases[i].own : cases[i].other;
            ck_assert_uint_eq(hg_nodes_awake(w), (uint64_t)awake << n);
            f.heap->trace->mail.queue[n]->sleepers = 0;
        }
    fixture_close(&f);
}
END_TEST

/* Nothing can be sent: what a chain leaves is traced by who followed it. */
START_TEST(chains_need_no_memory)
{
    uint64_t count = harness_scaled(10000);
    struct fixture f;

    fixture_open(&f, options[_i]);
    int nodes = nodes_of(&f);
    HEARTH_FRAME(f.m, frame, 1);
    void **top = frame.ref[0] = fixture_refs(&f, 12);
    for (int i = 0; i < 12; i++) {
        HEARTH_FRAME(f.m, inner, 1);
        fixture_list_on(&f, &inner.ref[0], count, nodes, 1 + (uint64_t)i % 3);
        HARNESS_OK(hearth_store(f.m, top, &top[i], inner.ref[0]));
        HEARTH_FRAME_END(f.m, inner);
    }
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    fixture_exhaust(&f);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, 12 * count + 1);
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    HARNESS_OK(hearth_verify(f.m));
    for (int i = 0; i < 12; i++)
        fixture_expect_list(top[i], count);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(chain)
{
    Suite *suite = suite_create("chain");
    TCase *chain = tcase_create("chain");

    tcase_add_loop_test(chain, a_list_may_change_nodes_at_every_link, 0, OPTIONS);
    tcase_add_loop_test(chain, followed_objects_are_counted_by_node, 0, LONE);
    tcase_add_loop_test(chain, links_may_lead_back, 0, OPTIONS);
    tcase_add_loop_test(chain, links_may_have_company, 0, OPTIONS);
    tcase_add_loop_test(chain, links_may_be_of_any_kind, 0, OPTIONS);
    tcase_add_loop_test(chain, addresses_outside_of_all_windows_are_not_followed, 0, OPTIONS);
    tcase_add_loop_test(chain, a_chain_may_lead_through_ephemerons, 0, OPTIONS);
    tcase_add_loop_test(chain, a_chain_from_an_old_object_is_promoted, 0, OPTIONS);
    tcase_add_loop_test(chain, sparse_random_graphs_are_traced, 0, OPTIONS);
    tcase_add_test(chain, a_node_is_awake_unless_its_workers_sleep);
    tcase_add_loop_test(chain, chains_need_no_memory, 0, OPTIONS);
    suite_add_tcase(suite, chain);
    return suite;
}
