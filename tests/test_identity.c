/* tests/test_identity.c - pinned and immortal objects, identity hashes. */
#include "hearth/identity.h"
#include "tests/mutator_fixture.h"

static const char *const ways[] = {
    "verify=on",
    "verify=on,stress=1",
    "verify=on,generational=off",
    "verify=on,fake-nodes=2,mode=local,workers=3,help-after=0",
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static bool is_pinned(const void *object)
{
    return *hearth_header_of(object) & HEARTH_OBJECT_PINNED;
}

/* A node with a child, in no root. */
static struct fixture_node *family(struct fixture *f)
{
    HEARTH_FRAME(f->mutator, frame, 1);
    frame.ref[0] = fixture_new(f->mutator, f->node, 1);
    struct fixture_node *child = fixture_new(f->mutator, f->node, 2), *node = frame.ref[0];
    hearth_store(f->mutator, node, &node->left, child);
    HEARTH_FRAME_END(f->mutator, frame);
    return node;
}

START_TEST(pinned_objects_live)
{
    fixture_alone();
    struct fixture f = fixture_open(ways[_i]);

    struct fixture_node *node = family(&f), *child = node->left;
    HARNESS_OK(hearth_pin(f.mutator, node));
    HARNESS_OK(hearth_pin(f.mutator, node));
    for (int i = 0; i < 3; i++) {
        fixture_collect(f.mutator, i);
        fixture_garbage(f.mutator, f.node, 500);
    }
    ck_assert(is_pinned(node));
    HARNESS_OK(hearth_unpin(f.mutator, node));
    ck_assert(is_pinned(node));
    fixture_collect(f.mutator, 2);
    ck_assert(node->left == child && child->value == 2);
    HARNESS_OK(hearth_unpin(f.mutator, node));
    ck_assert(!is_pinned(node));
    HARNESS_STATUS_NAMES(hearth_unpin(f.mutator, node), HEARTH_ESTATE, "not pinned");
    fixture_collect(f.mutator, 2);
    ck_assert(!hearth_is_object(f.heap, node) && !hearth_is_object(f.heap, child));
    fixture_close(&f);
}
END_TEST

/* Pinned between two minor collections, and not looked at by the ones after. */
START_TEST(pins_of_young_objects_hold)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,nursery-adaptive=off");

    for (int i = 0; i < 4; i++) {
        struct fixture_node *node = family(&f);
        HARNESS_OK(hearth_pin(f.mutator, node));
        ck_assert(f.heap->pins.fresh);
        fixture_collect(f.mutator, 0);
        ck_assert(!f.heap->pins.fresh);
        fixture_garbage(f.mutator, f.node, 500);
        fixture_collect(f.mutator, 0);
        ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 2 * ((uint64_t)i + 1));
    }
    fixture_close(&f);
}
END_TEST

START_TEST(immortal_objects_live)
{
    fixture_alone();
    struct fixture f = fixture_open(ways[_i]);

    struct fixture_node *node = family(&f);
    HARNESS_OK(hearth_immortal(f.mutator, node));
    HARNESS_OK(hearth_immortal(f.mutator, node));
    HARNESS_STATUS(hearth_unpin(f.mutator, node), HEARTH_ESTATE);
    HARNESS_OK(hearth_pin(f.mutator, node));
    HARNESS_OK(hearth_unpin(f.mutator, node));
    ck_assert(is_pinned(node));
    for (int i = 0; i < 3; i++) {
        struct fixture_node *child = fixture_new(f.mutator, f.node, (uint64_t)i);
        hearth_store(f.mutator, node, &node->right, child);
        fixture_collect(f.mutator, i);
        fixture_garbage(f.mutator, f.node, 500);
        ck_assert_uint_eq(((struct fixture_node *)node->right)->value, i);
    }
    fixture_close(&f);
}
END_TEST

/* Many come and go, against counters of plain memory. */
START_TEST(many_pins)
{
    enum { MANY = 300 };
    uint64_t state = harness_seed(), steps = harness_scaled(6000);
    unsigned pins[MANY] = {0};
    fixture_alone();
    struct fixture f = fixture_open("verify=on");

    HEARTH_FRAME(f.mutator, frame, MANY);
    for (size_t i = 0; i < MANY; i++)
        frame.ref[i] = fixture_new(f.mutator, f.node, i);
    for (uint64_t step = 0; step < steps; step++) {
        size_t i = (size_t)harness_random_below(&state, MANY);
        if (harness_random_below(&state, 2)) {
            HARNESS_OK(hearth_pin(f.mutator, frame.ref[i]));
            pins[i]++;
        } else if (pins[i] == 0) {
            EXPECT(hearth_unpin(f.mutator, frame.ref[i]) == HEARTH_ESTATE);
        } else {
            HARNESS_OK(hearth_unpin(f.mutator, frame.ref[i]));
            pins[i]--;
        }
        EXPECT(is_pinned(frame.ref[i]) == (pins[i] != 0));
    }
    void *objects[MANY];
    memcpy(objects, frame.ref, sizeof objects);
    memset(frame.ref, 0, sizeof frame.ref);
    fixture_collect(f.mutator, 2);
    for (size_t i = 0; i < MANY; i++)
        ck_assert(hearth_is_object(f.heap, objects[i]) == (pins[i] != 0));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(hashes_are_stable)
{
    enum { MANY = 1000 };
    fixture_alone();
    struct fixture f = fixture_open(ways[_i]);
    uint64_t hash[MANY], low[16] = {0};

    HEARTH_FRAME(f.mutator, frame, MANY);
    for (size_t i = 0; i < MANY; i++) {
        frame.ref[i] = fixture_new(f.mutator, f.node, i);
        ck_assert(!(*hearth_header_of(frame.ref[i]) & HEARTH_OBJECT_HASHED));
        hash[i] = hearth_identity_hash(f.mutator, frame.ref[i]);
        ck_assert_uint_ne(hash[i], 0);
        low[hash[i] % 16]++;
    }
    fixture_collect(f.mutator, 1);
    fixture_collect(f.mutator, 2);
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_uint_eq(hearth_identity_hash(f.mutator, frame.ref[i]), hash[i]);
        ck_assert(*hearth_header_of(frame.ref[i]) & HEARTH_OBJECT_HASHED);
        ck_assert(i == 0 || hash[i] != hash[i - 1]);
    }
    for (int i = 0; i < 16; i++) /* 62.5 each would be even */
        ck_assert(low[i] > 15 && low[i] < 150);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

static void *pins_of_another(void *data)
{
    struct fixture *f = data;
    ck_assert_int_eq(hearth_pin(f->mutator, f), HEARTH_ETHREAD);
    ck_assert_uint_eq(hearth_identity_hash(f->mutator, f), 0);
    return NULL;
}

START_TEST(bad_input_is_refused)
{
    struct fixture f = fixture_open(NULL);
    hearth_mutator *m = f.mutator;
    pthread_t thread;

    HEARTH_FRAME(m, frame, 1);
    struct fixture_node *node = fixture_new(m, f.node, 1);
    frame.ref[0] = node;
    HARNESS_STATUS(hearth_pin(NULL, node), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_pin(m, NULL), HEARTH_EINVAL, "object is NULL");
    HARNESS_STATUS_NAMES(hearth_pin(m, &node->right), HEARTH_EOBJECT, "hearth_pin");
    HARNESS_STATUS(hearth_unpin(m, &f), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_unpin(m, node), HEARTH_ESTATE); /* nothing was ever pinned */
    HARNESS_STATUS(hearth_immortal(m, &f), HEARTH_EOBJECT);
    ck_assert_uint_eq(hearth_identity_hash(m, NULL), 0);
    harness_expect_error("hearth_identity_hash", HEARTH_EINVAL, "NULL");
    ck_assert_uint_eq(hearth_identity_hash(m, &f), 0);
    harness_expect_error("hearth_identity_hash", HEARTH_EOBJECT, NULL);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    HARNESS_STATUS(hearth_pin(m, node), HEARTH_ENOMEM);
    HARNESS_STATUS(hearth_immortal(m, node), HEARTH_ENOMEM);
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    ck_assert(!is_pinned(node));
    HARNESS_OK(hearth_pin(m, node));
    for (size_t i = 0; i < f.heap->pins.capacity; i++)
        if (f.heap->pins.pin[i].object == (uintptr_t)node)
            f.heap->pins.pin[i].count = UINT32_MAX;
    HARNESS_STATUS_NAMES(hearth_pin(m, node), HEARTH_ESTATE, "4294967295");
    ck_assert_int_eq(pthread_create(&thread, NULL, pins_of_another, &f), 0);
    pthread_join(thread, NULL);
    HEARTH_FRAME_END(m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(verifier_sees_damage)
{
    fixture_alone();
    struct fixture f = fixture_open(NULL);
    struct fixture_node *node = family(&f);

    HARNESS_OK(hearth_pin(f.mutator, node));
    *hearth_header_of(node) &= ~(uint64_t)HEARTH_OBJECT_PINNED;
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "pinned 1 times");
    *hearth_header_of(node) |= HEARTH_OBJECT_PINNED;
    f.heap->pins.count++;
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "1 objects are pinned");
    f.heap->pins.count--;
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(identity)
{
    Suite *suite = suite_create("identity");
    TCase *tcase = tcase_create("identity");

    tcase_add_loop_test(tcase, pinned_objects_live, 0, WAYS);
    tcase_add_test(tcase, pins_of_young_objects_hold);
    tcase_add_loop_test(tcase, immortal_objects_live, 0, WAYS);
    tcase_add_test(tcase, many_pins);
    tcase_add_loop_test(tcase, hashes_are_stable, 0, WAYS);
    tcase_add_test(tcase, bad_input_is_refused);
    tcase_add_test(tcase, verifier_sees_damage);
    suite_add_tcase(suite, tcase);
    return suite;
}
