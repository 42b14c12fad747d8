/* tests/test_ephemeron.c - ephemerons: what lives through them, in every order, and in linear time. */
#include "alloc/meta.h"
#include "tests/cell_fixture.h"

/* How many of an array's ephemerons have a key. */
static size_t count_alive(struct fixture *f, void *array, size_t count)
{
    size_t alive = 0;

    for (size_t i = 0; i < count; i++) {
        void *ephemeron = ((void **)array)[i];
        void *key = hearth_ephemeron_key(f->mutator, ephemeron);
        EXPECT(key != NULL || hearth_ephemeron_value(f->mutator, ephemeron) == NULL);
        alive += key != NULL;
    }
    return alive;
}

START_TEST(a_value_lives_as_long_as_its_key)
{
    for (int mode = 0; mode < CELL_MODES; mode++) {
        struct fixture f = cell_open(mode);
        HEARTH_FRAME(f.mutator, frame, 3);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        frame.ref[1] = fixture_new(f.mutator, f.node, 2);
        struct fixture_node *value = frame.ref[1];
        frame.ref[2] = cell_ephemeron(&f, frame.ref[0], value);
        frame.ref[1] = NULL;
        for (int generation = 0; generation < 3; generation++) {
            cell_collect(&f, generation);
            ck_assert_ptr_eq(hearth_ephemeron_key(f.mutator, frame.ref[2]), frame.ref[0]);
            ck_assert_ptr_eq(hearth_ephemeron_value(f.mutator, frame.ref[2]), value);
            ck_assert_uint_eq(value->value, 2);
        }
        frame.ref[0] = NULL;
        cell_collect(&f, 2);
        ck_assert_uint_eq(count_alive(&f, &frame.ref[2], 1), 0);
        ck_assert(!hearth_is_object(f.heap, value));
        HARNESS_STATUS(hearth_ephemeron_set_value(f.mutator, frame.ref[2], NULL), HEARTH_ESTATE);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(a_key_is_not_kept_by_its_value)
{
    for (int mode = 0; mode < CELL_MODES; mode++) {
        struct fixture f = cell_open(mode);
        HEARTH_FRAME(f.mutator, frame, 3);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        frame.ref[1] = fixture_new(f.mutator, f.node, 2);
        HARNESS_OK(hearth_store(f.mutator, frame.ref[1],
                                &((struct fixture_node *)frame.ref[1])->left, frame.ref[0]));
        frame.ref[2] = cell_ephemeron(&f, frame.ref[0], frame.ref[1]);
        frame.ref[0] = frame.ref[1] = NULL;
        cell_collect(&f, 2);
        ck_assert_uint_eq(count_alive(&f, &frame.ref[2], 1), 0);
        frame.ref[0] = cell_ephemeron(&f, frame.ref[2], frame.ref[2]); /* its own key's value */
        cell_collect(&f, 1);
        ck_assert_uint_eq(count_alive(&f, &frame.ref[0], 1), 1);
        frame.ref[2] = NULL;
        cell_collect(&f, 2);
        ck_assert_uint_eq(count_alive(&f, &frame.ref[0], 1), 0);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* Key i is the value of ephemeron i - 1; ref[0] holds the ephemerons, forwards, backwards or shuffled, ref[1]
 * the first key. With `through` an ephemeron is reachable only through the value before it. */
static void make_chain(struct fixture *f, void **ref, size_t count, int order, bool through)
{
    uint64_t random = harness_seed();
    ref[0] = cell_refs(f, through ? 1 : count);
    ref[1] = ref[2] = fixture_new(f->mutator, f->node, 0);
    size_t *place = calloc(count, sizeof *place);
    for (size_t i = 0; i < count; i++) {
        size_t j = order == 2 ? harness_random_below(&random, i + 1) : i;
        place[i] = place[j];
        place[j] = order == 1 ? count - 1 - i : i;
    }
    for (size_t i = 0; i < count; i++) {
        ref[3] = fixture_new(f->mutator, f->node, i + 1);
        void *ephemeron = cell_ephemeron(f, ref[2], ref[3]);
        if (!through)
            cell_set(f, ref[0], place[i], ephemeron);
        else if (i == 0)
            cell_set(f, ref[0], 0, ephemeron);
        else /* the key, which is the value before, refers to it */
            EXPECT(hearth_store(f->mutator, ref[2], &((struct fixture_node *)ref[2])->right,
                                ephemeron) == HEARTH_OK);
        ref[2] = ref[3];
    }
    ref[2] = ref[3] = NULL;
    free(place);
}

START_TEST(chains_in_every_order)
{
    enum { COUNT = 1000 };
    for (int mode = 0; mode < CELL_MODES; mode++)
        for (int order = 0; order < 3; order++) {
            if (mode == 1)
                continue; /* stress: see the chain of 50 */
            struct fixture f = cell_open(mode);
            HEARTH_FRAME(f.mutator, frame, 4);
            make_chain(&f, frame.ref, COUNT, order, false);
            for (int generation = 0; generation < 3; generation++) {
                cell_collect(&f, generation);
                ck_assert_uint_eq(count_alive(&f, frame.ref[0], COUNT), COUNT);
            }
            frame.ref[1] = NULL;
            cell_collect(&f, 2);
            ck_assert_uint_eq(count_alive(&f, frame.ref[0], COUNT), 0);
            HEARTH_FRAME_END(f.mutator, frame);
            fixture_close(&f);
        }
}
END_TEST

START_TEST(chains_through_values)
{
    for (int mode = 0; mode < CELL_MODES; mode++) {
        size_t count = mode == 1 ? 50 : 1000, found = 0;
        struct fixture f = cell_open(mode);
        HEARTH_FRAME(f.mutator, frame, 4);
        make_chain(&f, frame.ref, count, 0, true);
        void *first = *(void **)frame.ref[0];
        for (int generation = 0; generation < 3; generation++) {
            cell_collect(&f, generation);
            found = 0;
            for (void *at = first; at != NULL; found++)
                at = ((struct fixture_node *)hearth_ephemeron_value(f.mutator, at))->right;
            ck_assert_uint_eq(found, count);
        }
        frame.ref[1] = NULL;
        cell_collect(&f, 2);
        ck_assert_uint_eq(count_alive(&f, frame.ref[0], 1), 0);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* Three ephemerons of every key of a chain; which of them is found first depends on the order. */
START_TEST(several_ephemerons_of_one_key)
{
    enum { COUNT = 200, EACH = 3 };
    for (int i = 0; i < CELL_MODES * 2; i++) {
        if (i / 2 == 1)
            continue; /* stress */
        struct fixture f = cell_open(i / 2);
        HEARTH_FRAME(f.mutator, frame, 4);
        frame.ref[0] = cell_refs(&f, COUNT * EACH);
        frame.ref[1] = frame.ref[2] = fixture_new(f.mutator, f.node, 0);
        for (size_t k = 0; k < COUNT * EACH; k++) {
            size_t place = i % 2 ? COUNT * EACH - 1 - k : k;
            frame.ref[3] = fixture_new(f.mutator, f.node, k);
            cell_set(&f, frame.ref[0], place, cell_ephemeron(&f, frame.ref[2], frame.ref[3]));
            if (k % EACH == (size_t)i / 4 % EACH)
                ((struct fixture_node *)frame.ref[3])->raw = 1; /* the next key */
            if (k % EACH == EACH - 1)
                for (size_t j = 0; j < EACH; j++) {
                    size_t back = i % 2 ? place + j : place - j;
                    struct fixture_node *value =
                        hearth_ephemeron_value(f.mutator, ((void **)frame.ref[0])[back]);
                    frame.ref[2] = value->raw ? value : frame.ref[2];
                }
        }
        frame.ref[2] = frame.ref[3] = NULL;
        for (int generation = 0; generation < 3; generation++) {
            cell_collect(&f, generation);
            ck_assert_uint_eq(count_alive(&f, frame.ref[0], COUNT * EACH), COUNT * EACH);
            for (size_t k = 0; k < COUNT * EACH; k++) {
                struct fixture_node *value =
                    hearth_ephemeron_value(f.mutator, ((void **)frame.ref[0])[k]);
                EXPECT(value->value == (i % 2 ? COUNT * EACH - 1 - k : k));
            }
        }
        ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 2 * COUNT * EACH + 2);
        frame.ref[1] = NULL;
        cell_collect(&f, 2);
        ck_assert_uint_eq(count_alive(&f, frame.ref[0], COUNT * EACH), 0);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* How long a full collection of a chain takes, in units of objects traced. */
START_TEST(a_chain_is_traced_in_one_round)
{
    enum { COUNT = 20000 };
    fixture_alone();
    struct fixture f = fixture_open(_i == 0   ? ""
                                    : _i == 1 ? "workers=2,help-after=0"
                                              : "fake-nodes=2,mode=local,workers=3,help-after=0");
    HEARTH_FRAME(f.mutator, frame, 4);
    make_chain(&f, frame.ref, COUNT, 1, false);
    cell_collect(&f, 2);
    uint64_t maps = ht_fault_count(HT_FAULT_MAP), begin = ht_os_now();
    cell_collect(&f, 2);
    uint64_t ns = ht_os_now() - begin;
    ck_assert_uint_eq(ht_fault_count(HT_FAULT_MAP) - maps, 1); /* the table of keys */
    ck_assert_uint_eq(count_alive(&f, frame.ref[0], COUNT), COUNT);
    ck_assert_msg(ns / COUNT < 200000, "%llu ns",
                  (unsigned long long)ns); /* rescanning: 10 us x n */
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(without_memory_for_the_table_it_is_right_all_the_same)
{
    enum { COUNT = 300 };
    fixture_alone();
    for (int order = 0; order < 4; order++) {
        struct fixture f = fixture_open(_i ? "verify=on,workers=3,help-after=0" : "verify=on");
        HEARTH_FRAME(f.mutator, frame, 4);
        make_chain(&f, frame.ref, COUNT, order, order == 3);
        ht_fault_arm(HT_FAULT_MAP, 1, true);
        for (int generation = 0; generation < 3; generation++) {
            cell_collect(&f, generation);
            if (order < 3)
                ck_assert_uint_eq(count_alive(&f, frame.ref[0], COUNT), COUNT);
        }
        ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 2 * COUNT + 2);
        frame.ref[1] = NULL;
        cell_collect(&f, 2);
        ht_fault_arm(HT_FAULT_MAP, 0, false);
        ck_assert_uint_eq(count_alive(&f, frame.ref[0], order < 3 ? COUNT : 1), 0);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* No memory for batches: the mark stack drops references, and the heap is searched for them. */
START_TEST(dropped_references_lose_nothing)
{
    enum { COUNT = 3 * HG_STACK };
    fixture_alone();
    struct fixture f = fixture_open("workers=1,heap-limit=512m");
    HEARTH_FRAME(f.mutator, frame, 5);
    frame.ref[0] = fixture_new(f.mutator, f.node, 0);
    frame.ref[1] = cell_refs(&f, COUNT);
    frame.ref[2] = cell_refs(&f, COUNT);
    for (size_t i = 0; i < COUNT; i++) { /* the value of each: a node held by nothing else */
        frame.ref[3] = fixture_new(f.mutator, f.node, i);
        cell_set(&f, frame.ref[1], i, cell_ephemeron(&f, frame.ref[0], frame.ref[3]));
    }
    frame.ref[4] = cell_ephemeron(&f, frame.ref[2], frame.ref[0]);
    frame.ref[0] = frame.ref[3] = NULL;
    ht_fault_arm(HT_FAULT_RESERVE, 1, true);
    while (ha_meta_take(f.heap->space.windows, 0, HG_SLAB) != NULL)
        ;
    while (hg_batch_take(&f.heap->trace->mail, 0) != NULL)
        ;
    cell_collect(&f, 1);
    cell_collect(&f, 2);
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    ck_assert_uint_eq(count_alive(&f, frame.ref[1], COUNT), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        struct fixture_node *node = hearth_ephemeron_value(f.mutator, ((void **)frame.ref[1])[i]);
        EXPECT(node->value == i);
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* An old ephemeron whose key is younger is not traced by minor collections, nor remembered. */
START_TEST(old_ephemerons_with_young_keys)
{
    struct fixture f = cell_open_alone();
    HEARTH_FRAME(f.mutator, frame, 4);
    frame.ref[0] = cell_old_refs(&f, 2);
    frame.ref[1] = fixture_new(f.mutator, f.node, 1);
    frame.ref[2] = fixture_new(f.mutator, f.node, 2);
    struct fixture_node *value = frame.ref[2];
    frame.ref[3] = cell_ephemeron(&f, frame.ref[1], value);
    cell_set(&f, frame.ref[0], 0, frame.ref[3]);
    frame.ref[2] = frame.ref[3] = NULL;
    cell_collect(&f, 0); /* now it is old, its key is not */
    frame.ref[3] = *(void **)frame.ref[0];
    ck_assert(cell_is_old(frame.ref[3]));
    ck_assert(!cell_is_old(frame.ref[1]));
    ck_assert(cell_is_old(value));
    frame.ref[2] = value = fixture_new(f.mutator, f.node, 3);
    HARNESS_OK(hearth_ephemeron_set_value(f.mutator, frame.ref[3], value));
    frame.ref[2] = frame.ref[3] = NULL;
    cell_collect(&f, 0);
    ck_assert(hearth_is_object(f.heap, value));
    ck_assert_uint_eq(value->value, 3);
    ck_assert_uint_eq(cell_old(&f, HG_CELLS_EPHEMERON), 1);
    frame.ref[2] = value = fixture_new(f.mutator, f.node, 4);
    HARNESS_OK(hearth_ephemeron_set_value(f.mutator, *(void **)frame.ref[0], value));
    frame.ref[2] = NULL;
    cell_collect(&f, 0);
    ck_assert(hearth_is_object(f.heap, value));
    ck_assert_uint_eq(value->value, 4);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* The same, with a key that dies young. */
START_TEST(keys_die_in_minor_collections)
{
    struct fixture f = cell_open_alone();
    HEARTH_FRAME(f.mutator, frame, 3);
    frame.ref[0] = cell_old_refs(&f, 2);
    frame.ref[1] = fixture_new(f.mutator, f.node, 1);
    frame.ref[2] = fixture_new(f.mutator, f.node, 2);
    void *value = frame.ref[2];
    cell_set(&f, frame.ref[0], 0, cell_ephemeron(&f, frame.ref[1], value));
    frame.ref[2] = NULL;
    cell_collect(&f, 0);
    ck_assert_uint_eq(count_alive(&f, frame.ref[0], 1), 1);
    frame.ref[1] = NULL;
    cell_collect(&f, 0);
    ck_assert_uint_eq(count_alive(&f, frame.ref[0], 1), 0);
    ck_assert(hearth_is_object(f.heap, value)); /* old already: until a full one */
    cell_collect(&f, 2);
    ck_assert(!hearth_is_object(f.heap, value));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Keys of every size and kind, and many ephemerons of one key. */
START_TEST(keys_of_all_sizes)
{
    enum { KEYS = 40, EACH = 25 };
    for (int mode = 0; mode < CELL_MODES; mode++) {
        if (mode == 1)
            continue;
        struct fixture f = cell_open(mode);
        HEARTH_FRAME(f.mutator, frame, 4);
        frame.ref[0] = cell_refs(&f, KEYS);
        frame.ref[1] = cell_refs(&f, KEYS * EACH);
        for (size_t i = 0; i < KEYS; i++) {
            size_t size = (size_t)1 << i / 2;
            void *key = i % 2 ? hearth_new_array(f.mutator, f.bytes, size)
                              : hearth_new_array(f.mutator, f.refs, size / 8 + 1);
            EXPECT(key != NULL);
            frame.ref[2] = key;
            for (size_t j = 0; j < EACH; j++) {
                frame.ref[3] = fixture_new(f.mutator, f.node, i * EACH + j);
                cell_set(&f, frame.ref[1], i * EACH + j,
                         cell_ephemeron(&f, frame.ref[2], frame.ref[3]));
            }
            if (i % 3 != 0)
                frame.ref[3] = fixture_new(f.mutator, f.node, 0);
            if (i % 3 == 1) /* reached after a chain of another ephemeron */
                frame.ref[3] = cell_ephemeron(&f, frame.ref[0], frame.ref[2]);
            else if (i % 3 == 2)
                frame.ref[3] = frame.ref[2];
            else
                frame.ref[3] = NULL;
            cell_set(&f, frame.ref[0], i, frame.ref[3]);
        }
        frame.ref[2] = frame.ref[3] = NULL;
        for (int generation = 0; generation < 3; generation++) {
            cell_collect(&f, generation);
            for (size_t i = 0; i < KEYS * EACH; i++) {
                struct fixture_node *value =
                    hearth_ephemeron_value(f.mutator, ((void **)frame.ref[1])[i]);
                if (i / EACH % 3 != 0)
                    EXPECT(value != NULL && value->value == i);
                else if (generation == 2)
                    EXPECT(value == NULL);
            }
        }
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* --- introspection -------------------------------------------------------------------------------- */

struct slot_count {
    hearth_visitor visitor; /* first */
    void *slot[4];
    int count;
};

static void count_slot(hearth_visitor *visitor, void **slot)
{
    struct slot_count *count = (struct slot_count *)visitor;

    ck_assert_int_lt(count->count, 4);
    count->slot[count->count++] = *slot;
}

START_TEST(weak_slots_are_no_edges)
{
    struct fixture f = fixture_open("verify=on");
    struct slot_count count = {.visitor = {count_slot}};
    HEARTH_FRAME(f.mutator, frame, 4);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    frame.ref[1] = fixture_new(f.mutator, f.node, 2);
    frame.ref[2] = hearth_weak_new(f.mutator, frame.ref[0], 0, NULL, frame.ref[1]);
    frame.ref[3] = cell_ephemeron(&f, frame.ref[0], frame.ref[1]);
    hg_visit_object(f.heap, (uintptr_t)frame.ref[2], &count.visitor);
    ck_assert_int_eq(count.count, 1);
    ck_assert_ptr_eq(count.slot[0], frame.ref[1]);
    hg_visit_object(f.heap, (uintptr_t)frame.ref[3], &count.visitor);
    ck_assert_int_eq(count.count, 2);
    ck_assert_ptr_eq(count.slot[1], frame.ref[1]);
    frame.ref[0] = NULL;
    cell_collect(&f, 2);
    hg_visit_object(f.heap, (uintptr_t)frame.ref[3], &count.visitor);
    ck_assert_int_eq(count.count, 2);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(ephemeron)
{
    Suite *suite = suite_create("ephemeron");
    TCase *lives = tcase_create("lives");
    tcase_add_test(lives, a_value_lives_as_long_as_its_key);
    tcase_add_test(lives, a_key_is_not_kept_by_its_value);
    tcase_add_test(lives, chains_in_every_order);
    tcase_add_test(lives, chains_through_values);
    tcase_add_test(lives, several_ephemerons_of_one_key);
    tcase_add_test(lives, keys_of_all_sizes);
    tcase_add_test(lives, weak_slots_are_no_edges);
    suite_add_tcase(suite, lives);
    TCase *fixpoint = tcase_create("fixpoint");
    tcase_add_loop_test(fixpoint, a_chain_is_traced_in_one_round, 0, 3);
    tcase_add_loop_test(fixpoint, without_memory_for_the_table_it_is_right_all_the_same, 0, 2);
    tcase_add_test(fixpoint, dropped_references_lose_nothing);
    suite_add_tcase(suite, fixpoint);
    TCase *minor = tcase_create("minor");
    tcase_add_test(minor, old_ephemerons_with_young_keys);
    tcase_add_test(minor, keys_die_in_minor_collections);
    suite_add_tcase(suite, minor);
    return suite;
}
