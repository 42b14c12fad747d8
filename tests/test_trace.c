/* tests/test_trace.c - the marking loop: which slots are followed, what grows old, what is counted. */
#include "tests/oracle.h"
#include "tests/trace_fixture.h"

/* --- promotion ----------------------------------------------------------------------------------- */

START_TEST(an_object_is_old_after_two_minor_collections)
{
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 1);
    fixture_push(&f, &frame.ref[0], 0);
    ck_assert(!fixture_is_old(frame.ref[0]));
    ck_assert_int_eq(fixture_collect(&f, 0).objects_traced, 1);
    ck_assert(!fixture_is_old(frame.ref[0]));
    ck_assert_int_eq(fixture_collect(&f, 0).objects_traced, 1);
    ck_assert(fixture_is_old(frame.ref[0]));
    ck_assert_int_eq(fixture_collect(&f, 0).objects_traced, 0); /* its mark sticks */
    ck_assert_int_eq(fixture_collect(&f, 2).objects_traced, 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(a_full_collection_ages_like_a_minor_one)
{
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 1);
    fixture_push(&f, &frame.ref[0], 0);
    fixture_collect(&f, 2);
    ck_assert(!fixture_is_old(frame.ref[0]));
    fixture_collect(&f, 2);
    ck_assert(fixture_is_old(frame.ref[0]));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(generation_one_makes_every_survivor_old)
{
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 1);
    for (int i = 0; i < 1000; i++)
        fixture_push(&f, &frame.ref[0], (uint64_t)i);
    ck_assert_int_eq(fixture_collect(&f, 1).objects_traced, 1000);
    for (struct item *item = frame.ref[0]; item != NULL; item = item->next)
        EXPECT(fixture_is_old(item));
    ck_assert_int_eq(fixture_collect(&f, 0).objects_traced, 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* An old object in the one root, a young list in the other; then the object refers to the list too. */
static void list_of_old_object(struct fixture *f, void **ref)
{
    struct item *old = fixture_push(f, &ref[0], 1);

    fixture_collect(f, 1);
    for (int i = 0; i < 100; i++)
        fixture_push(f, &ref[1], (uint64_t)i);
    HARNESS_OK(hearth_store(f->m, old, &old->other, ref[1]));
}

START_TEST(what_an_old_object_reaches_is_promoted_at_once)
{
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 2);
    list_of_old_object(&f, frame.ref);
    struct item *old = frame.ref[0];
    frame.ref[1] = NULL; /* and a second list, not reached from old memory */
    struct item *other = fixture_push(&f, &frame.ref[1], 0);
    fixture_collect(&f, 0);
    for (struct item *item = old->other; item != NULL; item = item->next)
        EXPECT(fixture_is_old(item));
    ck_assert(!fixture_is_old(other));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* First marked as generation 1 from a root, then reached from an old object: visited again. */
START_TEST(promotion_overtakes_an_earlier_mark)
{
    struct fixture f;

    fixture_open(&f, "verify=on,prefetch=1");
    HEARTH_FRAME(f.m, frame, 2);
    list_of_old_object(&f, frame.ref);
    /* the root is pushed last and so traced first, the remembered object after it */
    fixture_collect(&f, 0);
    for (struct item *item = frame.ref[1]; item != NULL; item = item->next)
        EXPECT(fixture_is_old(item));
    fixture_expect_list(frame.ref[1], 100);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(a_large_object_is_old_when_it_survives_and_promotes)
{
    struct fixture f;

    fixture_open(&f, "verify=on,nursery=64m");
    HEARTH_FRAME(f.m, frame, 2);
    frame.ref[0] = fixture_refs(&f, 600000); /* chunks of its own */
    frame.ref[1] = fixture_refs(&f, 5000);   /* blocks of a chunk */
    void **slots[2] = {frame.ref[0], frame.ref[1]};
    struct item *first = fixture_push(&f, &slots[0][599999], 1); /* young to young: no barrier */
    struct item *second = fixture_push(&f, &slots[1][4999], 2);
    fixture_collect(&f, 0);
    ck_assert(fixture_is_old(slots[0]) && fixture_is_old(slots[1]));
    ck_assert(fixture_is_old(first) && fixture_is_old(second));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(without_generations_no_object_is_flagged)
{
    struct fixture f;

    fixture_open(&f, "verify=on,generational=off");
    HEARTH_FRAME(f.m, frame, 1);
    fixture_push(&f, &frame.ref[0], 0);
    for (int i = 0; i < 3; i++) {
        hearth_collection c = fixture_collect(&f, 0);
        ck_assert_int_eq(c.kind, HEARTH_GC_FULL);
        ck_assert_int_eq(c.objects_traced, 1);
        ck_assert(!fixture_is_old(frame.ref[0]));
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- what is followed ---------------------------------------------------------------------------- */

/* Only the slot of a dirty card keeps its young target; its neighbour on the same card does, too; the
 * other elements of the old array are not looked at. The array refers to one young object everywhere,
 * but only one card is told so. */
static void expect_exact_cards(size_t count, size_t slot)
{
    struct fixture f;

    fixture_open(&f, "nursery=64m,nursery-adaptive=off");
    HEARTH_FRAME(f.m, frame, 1);
    void **array = frame.ref[0] = fixture_refs(&f, count);
    fixture_collect(&f, 1);
    ck_assert(fixture_is_old(array));
    struct item *kept = hearth_new(f.m, f.item), *near = hearth_new(f.m, f.item);
    for (size_t i = 0; i < count; i++) {
        void *dropped = i % 7 == 0 ? hearth_new(f.m, f.item) : NULL;
        hearth_store_init(&array[i], dropped); /* behind the barrier's back */
    }
    HARNESS_OK(hearth_store(f.m, array, &array[slot], kept));
    hearth_store_init(&array[slot ^ 1], near); /* two slots to a card */
    hearth_collection c = fixture_collect(&f, 0);
    ck_assert_uint_eq(c.objects_traced, 2);
    ck_assert(fixture_is_old(kept) && fixture_is_old(near));
    ck_assert(hearth_is_object(f.heap, kept) && hearth_is_object(f.heap, near));
    for (size_t i = 0; i < count; i++)
        hearth_store_init(&array[i], NULL);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 3);
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}

START_TEST(only_dirty_cards_are_scanned)
{
    static const size_t counts[] = {40, 1000, 4000, 100000, 700000};
    size_t count = counts[_i];
    uint64_t random = harness_seed() + (uint64_t)_i;

    expect_exact_cards(count, 0);
    expect_exact_cards(count, count - 2);
    expect_exact_cards(count, harness_random_below(&random, count / 2) * 2 + 1);
}
END_TEST

/* An ordinary old object is scanned whole once it is remembered, and not at all otherwise. */
START_TEST(an_unremembered_old_object_is_not_scanned)
{
    struct fixture f;

    fixture_open(&f, "nursery=64m");
    HEARTH_FRAME(f.m, frame, 2);
    struct item *a = fixture_push(&f, &frame.ref[0], 1), *b = fixture_push(&f, &frame.ref[1], 2);
    fixture_collect(&f, 1);
    HARNESS_OK(hearth_store(f.m, a, &a->next, hearth_new(f.m, f.item)));
    hearth_store_init(&a->other, hearth_new(f.m, f.item)); /* found with the object */
    hearth_store_init(&b->other, hearth_new(f.m, f.item)); /* not found */
    ck_assert_uint_eq(fixture_collect(&f, 0).objects_traced, 2);
    hearth_store_init(&b->other, NULL);
    ck_assert(fixture_is_old(a->next) && fixture_is_old(a->other));
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Every slot of every kind of object keeps its target, and only the slots do. */
static void expect_slots(const char *options, enum oracle_kind kind, size_t count, bool old)
{
    struct oracle_heap heap;
    struct oracle oracle, *all[] = {&oracle};

    oracle_heap_create(&heap, options);
    oracle_begin(&oracle, &heap, 1, 0);
    struct oracle_object *holder = oracle_new(&oracle, kind, count);
    ck_assert(holder != NULL && oracle_hold(&oracle, holder));
    if (old)
        HARNESS_OK(hearth_gc_collect(oracle.mutator, 1));
    size_t step = holder->slots > 3000 ? holder->slots / 1000 : 1;
    for (size_t i = 0; i < holder->slots; i += step)
        oracle_store(&oracle, holder, i, oracle_new(&oracle, ORACLE_LEAF, 0));
    for (int generation = 0; generation < 3; generation++) {
        HARNESS_OK(hearth_gc_collect(oracle.mutator, generation));
        oracle_check(&oracle);
    }
    oracle_check_exact(all, 1);
    oracle_end(&oracle, false);
    oracle_heap_destroy(&heap);
}

START_TEST(every_slot_of_every_kind_is_followed)
{
    static const size_t counts[] = {1, 2, 30, 31, 32, 100, 4095, 20000};
    enum oracle_kind kind = (enum oracle_kind)(_i / 2);

    for (int i = 0; i < 8; i++) {
        size_t count = kind == ORACLE_MODEL ? counts[i] * 16 : counts[i];
        expect_slots(i % 2 ? "verify=on" : "verify=on,fake-nodes=2,workers=2,help-after=0", kind,
                     count, _i % 2);
        if (!oracle_is_array(kind) && kind != ORACLE_MODEL)
            break;
    }
}
END_TEST

/* --- shapes of graphs ---------------------------------------------------------------------------- */

/* Depth does not matter: no recursion, and a list needs one entry of the stack at a time. */
START_TEST(a_deep_list_never_overflows)
{
    uint64_t count = harness_scaled(2000000);
    struct fixture f;

    fixture_open(&f, _i ? "fake-nodes=2,workers=2,help-after=0" : "");
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < count; i++)
        fixture_push(&f, &frame.ref[0], i);
    ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, count);
    fixture_expect_list(frame.ref[0], count);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, count);
    frame.ref[0] = NULL;
    ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, 0);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* A tree in the other order: the stack holds one entry for each level, whatever the ring's depth. */
static void *build_tree(struct fixture *f, int depth)
{
    HEARTH_FRAME(f->m, frame, 2);
    if (depth > 0) {
        frame.ref[0] = build_tree(f, depth - 1);
        frame.ref[1] = build_tree(f, depth - 1);
    }
    struct item *item = hearth_alloc(f->m, f->item, sizeof(*item));
    EXPECT(item != NULL);
    item->number = (uint64_t)depth;
    hearth_store_init(&item->next, frame.ref[0]);
    hearth_store_init(&item->other, frame.ref[1]);
    HEARTH_FRAME_END(f->m, frame);
    return item;
}

static uint64_t count_tree(const struct item *item)
{
    return item == NULL ? 0 : 1 + count_tree(item->next) + count_tree(item->other);
}

START_TEST(every_prefetch_depth_traces_everything)
{
    static const int depths[] = {0, 1, 2, 3, 15, 16, 17, 63, 64};
    struct fixture f;
    char options[64];

    snprintf(options, sizeof(options), "verify=on,prefetch=%d", depths[_i]);
    fixture_open(&f, options);
    HEARTH_FRAME(f.m, frame, 1);
    frame.ref[0] = build_tree(&f, 12);
    for (int i = 0; i < 4; i++) {
        hearth_collection c = fixture_collect(&f, i < 2 ? 0 : 2);
        if (i >= 2) /* the first two may follow automatic ones */
            ck_assert_uint_eq(c.objects_traced, 8191);
    }
    ck_assert_uint_eq(count_tree(frame.ref[0]), 8191);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 8191);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Slices: element 0 .. n-1 are visited once each, with leaves so that the count is exact. */
START_TEST(a_sliced_array_is_traced_exactly_once)
{
    static const size_t counts[] = {4094, 4095, 5125, 5126, 50000, 600000};
    size_t count = counts[_i], kept = 0;
    struct fixture f;

    fixture_open(&f, "nursery=64m,workers=2,help-after=0");
    HEARTH_FRAME(f.m, frame, 1);
    void **array = frame.ref[0] = fixture_refs(&f, count);
    for (size_t i = 0; i < count; i += 1 + count / 20000, kept++)
        hearth_store_init(&array[i], hearth_new(f.m, f.leaf));
    HARNESS_OK(hearth_store(f.m, array, &array[count - 1], hearth_new(f.m, f.leaf)));
    kept += (count - 1) % (1 + count / 20000) != 0;
    ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, kept + 1);
    ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, kept + 1);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, kept + 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Elements that are larger than a slice are visited one at a time. */
START_TEST(huge_elements_are_sliced)
{
    struct fixture f;
    hearth_type type;
    const hearth_type_info info = {.struct_size = sizeof(info),
                                   .name = "huge elements",
                                   .size = 8,
                                   .ref_bitmap = 1,
                                   .element_size = 16384,
                                   .element_bitmap = 0x8000000000000001};

    fixture_open(&f, "verify=on,nursery=64m");
    HARNESS_OK(hearth_type_register(f.heap, &info, &type));
    HEARTH_FRAME(f.m, frame, 1);
    void **object = frame.ref[0] = hearth_new_array(f.m, type, 9);
    ck_assert_ptr_nonnull(object);
    hearth_store_init(&object[0], hearth_new(f.m, f.leaf));
    for (size_t i = 0; i < 9; i++) {
        hearth_store_init(&object[1 + i * 2048], hearth_new(f.m, f.leaf));
        hearth_store_init(&object[1 + i * 2048 + 63], hearth_new(f.m, f.leaf));
        hearth_store_init(&object[1 + i * 2048 + 64], hearth_new(f.m, f.leaf)); /* no slot */
    }
    ck_assert_uint_eq(fixture_collect(&f, 0).objects_traced, 20);
    ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, 20);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- several workers ----------------------------------------------------------------------------- */

/* Many references to few objects from everywhere: each is counted and visited once. */
START_TEST(objects_are_counted_once_by_many_workers)
{
    struct fixture f;

    fixture_open(&f, _i ? "workers=4,help-after=0,fake-nodes=4" : "workers=4,help-after=0");
    HEARTH_FRAME(f.m, frame, 2);
    void **top = frame.ref[0] = fixture_refs(&f, 200);
    void **shared = frame.ref[1] = fixture_refs(&f, 100);
    for (size_t i = 0; i < 100; i++)
        HARNESS_OK(hearth_store(f.m, shared, &shared[i],
                                hearth_new_on(f.m, f.refs, 8000, (int)i % (_i ? 4 : 1))));
    for (size_t i = 0; i < 200; i++) {
        void **below = hearth_new_on(f.m, f.refs, 100, (int)i % (_i ? 4 : 1));
        HARNESS_OK(hearth_copy(f.m, below, below, shared, shared, 100));
        HARNESS_OK(hearth_store(f.m, top, &top[i], below));
    }
    frame.ref[1] = NULL;
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, 301);
        ck_assert_uint_eq(fixture_stats(&f).live_objects, 301);
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(trace)
{
    Suite *suite = suite_create("trace");
    TCase *promotion = tcase_create("promotion");
    TCase *slots = tcase_create("slots");
    TCase *graphs = tcase_create("graphs");

    tcase_add_test(promotion, an_object_is_old_after_two_minor_collections);
    tcase_add_test(promotion, a_full_collection_ages_like_a_minor_one);
    tcase_add_test(promotion, generation_one_makes_every_survivor_old);
    tcase_add_test(promotion, what_an_old_object_reaches_is_promoted_at_once);
    tcase_add_test(promotion, promotion_overtakes_an_earlier_mark);
    tcase_add_test(promotion, a_large_object_is_old_when_it_survives_and_promotes);
    tcase_add_test(promotion, without_generations_no_object_is_flagged);
    suite_add_tcase(suite, promotion);
    tcase_add_loop_test(slots, only_dirty_cards_are_scanned, 0, 5);
    tcase_add_test(slots, an_unremembered_old_object_is_not_scanned);
    tcase_add_loop_test(slots, every_slot_of_every_kind_is_followed, 0, 2 * ORACLE_KINDS);
    suite_add_tcase(suite, slots);
    tcase_add_loop_test(graphs, a_deep_list_never_overflows, 0, 2);
    tcase_add_loop_test(graphs, every_prefetch_depth_traces_everything, 0, 9);
    tcase_add_loop_test(graphs, a_sliced_array_is_traced_exactly_once, 0, 6);
    tcase_add_test(graphs, huge_elements_are_sliced);
    tcase_add_loop_test(graphs, objects_are_counted_once_by_many_workers, 0, 2);
    suite_add_tcase(suite, graphs);
    return suite;
}
